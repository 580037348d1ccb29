/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/report_html.h"

#include "experiment/report_html_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char STYLE[] =
    ":root{color-scheme:light dark;--ink:#1b1b1f;--mute:#62666e;--faint:#d5d8dd;--paper:#ffffff;--page:#f6f7f9;"
    "--blue:#0072b2;--orange:#c25500;--note:#fff4e6}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}\n"
    "main{max-width:1180px;margin:0 auto;padding:24px 20px 60px}\n"
    "h1{font-size:26px;margin:.2em 0}h2{font-size:19px;margin:2.2em 0 .5em}h3{font-size:15px;margin:1.6em 0 .3em}\n"
    "p,figcaption,li{max-width:76ch}.mute,figcaption,small{color:var(--mute)}\n"
    ".note{border-left:4px solid var(--orange);background:var(--note);padding:8px 14px;margin:14px 0}\n"
    ".note p{margin:.2em 0}\n"
    "figure{margin:16px 0 30px;padding:14px;background:var(--paper);border:1px solid var(--faint);border-radius:6px;"
    "break-inside:avoid}\n"
    "figure svg{display:block;max-width:100%;height:auto;margin:0 auto}figcaption{margin-top:8px}\n"
    "figcaption b{color:var(--ink)}a{color:var(--blue)}\n"
    ".scroll{overflow-x:auto;background:var(--paper);border:1px solid var(--faint);border-radius:6px}\n"
    "table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:4px 5px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--faint)}\n"
    "th{color:var(--mute);font-weight:600;vertical-align:bottom}tr:last-child td{border-bottom:0}\n"
    ".t{text-align:left}.wrap{white-space:normal;min-width:16ch;overflow-wrap:anywhere}\n"
    "td small{font-size:11.5px}.above{color:var(--orange);font-weight:600}.within{color:var(--blue)}\n"
    ".question{background:var(--paper);border:1px solid var(--faint);border-radius:6px;padding:10px 14px;margin:10px 0;"
    "break-inside:avoid}\n"
    ".question p{margin:.2em 0}.question table{width:auto;margin-top:6px}.question td{border:0;padding:1px 10px 1px "
    "0}\n"
    ".bar{display:inline-block;height:9px;background:var(--blue);vertical-align:middle}.bar.wrong{background:var(--"
    "orange)}"
    "\nbdi{overflow-wrap:anywhere}\n"
    "@media (prefers-color-scheme:dark){:root{--ink:#ececf0;--mute:#a3a8b0;--faint:#44484f;--paper:#17191d;"
    "--page:#0f1114;--blue:#5ab4ea;--orange:#ff8f3f;--note:#2a2118}}\n"
    "@media print{:root{--ink:#000;--mute:#444;--faint:#ccc;--paper:#fff;--page:#fff;--blue:#0072b2;--orange:#c25500;"
    "--note:#fff}body{font-size:11px}main{max-width:none;padding:0}.scroll{overflow:visible}table{font-size:9px}"
    "th,td{padding:2px 4px}td small{font-size:8px}h2,h3,summary{break-after:avoid}figure "
    "svg{max-height:42vh}figure,.scroll,.question{border-color:#ccc}}\n";

void sc_report_html_name(sc_report_text *p, const char *text)
{
    sc_report_put(p, "<bdi>");
    sc_report_put_html(p, text, 0);
    sc_report_put(p, "</bdi>");
}

void sc_report_html_share(sc_report_text *p, double value)
{
    char t[16];
    sc_report_put(p, "<td>%s</td>", sc_report_share(t, value));
}

void sc_report_html_interval(sc_report_text *p, double value, const double ci[2], const char *class)
{
    char t[3][16];
    sc_report_put(p, "<td><span class=\"%s\">%s</span>", class, sc_report_share(t[0], value));
    if (isfinite(ci[0])) {
        sc_report_put(p, "<br><small>%s to %s</small>", sc_report_share(t[1], ci[0]), sc_report_share(t[2], ci[1]));
    }
    sc_report_put(p, "</td>");
}

/* ---- what is wrong, first of all ---- */

static void put_status(sc_report_text *p, const sc_report_data *data, const sc_report_figures *figures)
{
    const sc_run_state *state = &data->state;
    if (data->analysis.n_missing > 0) {
        sc_report_put(p,
                      "<div class=\"note\"><p><b>This run is not complete:</b> %zu of %zu cells are not finished, %s. "
                      "What follows is about the others.</p><ul>",
                      data->analysis.n_missing, state->plan.n_cells,
                      state->running ? "a process is at work on it"
                      : state->interrupted || !state->ended
                          ? "it was interrupted; the same <code>semcal run</code> goes on"
                          : "they failed");
        for (size_t i = 0; i < state->plan.n_cells; i++) {
            const sc_run_state_cell *cell = &state->cells[i];
            for (size_t k = 0; k < data->analysis.n_missing; k++) {
                if (strcmp(data->analysis.missing[k], cell->cell->name) == 0) {
                    sc_report_put(p, "<li>");
                    sc_report_html_name(p, cell->cell->name);
                    if (cell->committed > 0) {
                        sc_report_put(p, ", %llu", (unsigned long long)cell->committed);
                        sc_report_put(p, cell->questions > 0 ? " of %llu questions" : " questions",
                                      (unsigned long long)cell->questions);
                    }
                    if (cell->failure != NULL) {
                        sc_report_put(p, ": ");
                        sc_report_html_name(p, cell->failure);
                    }
                    sc_report_put(p, "</li>");
                }
            }
        }
        sc_report_put(p, "</ul></div>\n");
    }
    if (data->analysis.n_failed > 0) {
        sc_report_put(p, "<div class=\"note\"><p><b>Cells that could not be analysed:</b></p><ul>");
        for (size_t i = 0; i < data->analysis.n_failed; i++) {
            sc_report_put(p, "<li>");
            sc_report_html_name(p, data->analysis.failed[i]);
            sc_report_put(p, "</li>");
        }
        sc_report_put(p, "</ul></div>\n");
    }
    if (figures->absent) {
        sc_report_put(p, "<div class=\"note\"><p><b>No figures:</b> the program <code>gnuplot</code> is not installed "
                         "(Debian, Ubuntu: <code>gnuplot-nox</code>). Install it and make the report again, or run "
                         "<code>gnuplot NAME.gp</code> beside this page.</p></div>\n");
    }
    if (figures->complaints.length > 0) {
        sc_report_put(p, "<div class=\"note\"><p><b>Figures that gnuplot did not draw:</b> ");
        sc_report_html_name(p, figures->complaints.data);
        sc_report_put(p, "</p></div>\n");
    }
    for (size_t i = 0; i < data->n_cells; i++) {
        const sc_analysis_cell *cell = data->cells[i].numbers;
        if (cell->flagged) {
            char t[2][16];
            sc_report_put(p, "<div class=\"note\"><p><b>Not to be trusted: ");
            sc_report_html_name(p, cell->name);
            sc_report_put(p, "</b> %s of its responses were cut at max_tokens, in %s no answer was found.</p></div>\n",
                          sc_report_share(t[0], cell->truncated), sc_report_share(t[1], cell->unparsed));
        }
    }
}

/* ---- the summary ---- */

static void put_summary(sc_report_text *p, const sc_report_data *data)
{
    if (data->n_cells == 0) {
        return;
    }
    size_t above = 0, within = 0, over = 0, under = 0;
    double drawn = 0, forward = 0;
    for (size_t i = 0; i < data->n_cells; i++) {
        const sc_analysis_cell *cell = data->cells[i].numbers;
        const sc_calibration *c = &cell->rows[SC_ANALYSIS_FREQUENCY].calibration;
        sc_report_verdict verdict = sc_report_cell_verdict(cell);
        above += verdict == SC_REPORT_ABOVE;
        within += verdict == SC_REPORT_WITHIN;
        over += verdict == SC_REPORT_ABOVE && c->overconfidence_ci[0] > 0;
        under += verdict == SC_REPORT_ABOVE && c->overconfidence_ci[1] < 0;
        drawn += isfinite(cell->draw_tokens) ? cell->draw_tokens : 0;
        forward += isfinite(cell->forward_tokens) ? cell->forward_tokens : 0;
    }
    sc_report_put(p, "<p>%zu cells: ", data->n_cells);
    sc_report_put(p,
                  "<span class=\"within\">%zu within</span> what chance and the number of draws explain, "
                  "<span class=\"above\">%zu above</span>",
                  within, above);
    if (above > 0) {
        sc_report_put(p, " (%zu overconfident, %zu underconfident, %zu both ways or unclear)", over, under,
                      above - over - under);
    }
    sc_report_put(p, ".");
    if (forward > 0) {
        sc_report_put(p, " %.0f tokens were drawn with %.0f run through models: %.1f draws per forward.", drawn,
                      forward, drawn / forward);
    }
    sc_report_put(p, "</p>\n");
}

static void put_cells(sc_report_text *p, const sc_report_data *data)
{
    if (data->n_cells == 0) {
        return;
    }
    sc_report_put(p,
                  "<h2>Cells</h2>\n<p class=\"mute\">A cell is one model on one dataset in one style. The floors are "
                  "the smECE of a perfectly calibrated model: with these confidences (noise), and with this many "
                  "draws (model). Read smECE against its floor. <i>Known</i> is smECE against the known probability "
                  "of being right, where the dataset has one. All numbers: <a href=\"cells.csv\">cells.csv</a>.</p>\n"
                  "<div class=\"scroll\"><table><thead><tr><th class=\"t\">model</th><th class=\"t\">dataset</th>"
                  "<th class=\"t\">style</th><th>n</th><th>draws</th><th>accuracy</th><th>confidence</th>"
                  "<th>over-<br>confidence</th><th>smECE</th><th>noise<br>floor</th><th>model<br>floor</th>"
                  "<th>split<br>smECE</th><th>known</th><th>AUROC</th><th>cut</th><th>un&shy;parsed</th>"
                  "<th>draws per<br>forward</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < data->n_cells; i++) {
        const sc_report_cell *cell = &data->cells[i];
        const sc_analysis_cell *n = cell->numbers;
        const sc_analysis_row *f = &n->rows[SC_ANALYSIS_FREQUENCY], *s = &n->rows[SC_ANALYSIS_SPLIT];
        sc_report_verdict verdict = sc_report_cell_verdict(n);
        sc_report_put(p, "<tr><td class=\"t\">");
        sc_report_html_name(p, cell->variant);
        sc_report_put(p, "</td><td class=\"t\">");
        sc_report_html_name(p, n->dataset);
        sc_report_put(p, "</td><td class=\"t\">");
        sc_report_html_name(p, n->style);
        sc_report_put(p, "</td><td>%zu</td><td>%lld</td>", n->n_questions, (long long)n->draws);
        if (f->calibration.n == 0) {
            sc_report_put(p, "<td colspan=\"7\">no pairs for the frequency estimator</td>");
        } else {
            sc_report_html_share(p, f->calibration.accuracy);
            sc_report_html_share(p, f->calibration.mean_confidence);
            sc_report_html_interval(p, f->calibration.overconfidence, f->calibration.overconfidence_ci, "");
            sc_report_html_interval(p, f->calibration.smece, f->calibration.smece_ci,
                                    verdict == SC_REPORT_ABOVE ? "above" : "within");
            sc_report_html_share(p, f->calibration.smece_floor);
            sc_report_html_share(p, f->model_floor.mean);
            sc_report_html_share(p, s->calibration.n > 0 ? s->calibration.smece : NAN);
        }
        sc_report_html_share(p, n->smece_known);
        sc_report_html_share(p, f->calibration.n > 0 ? f->calibration.auroc : NAN);
        sc_report_html_share(p, n->truncated);
        sc_report_html_share(p, n->unparsed);
        sc_report_put(p, isfinite(n->draws_per_forward) ? "<td>%.2f</td></tr>\n" : "<td></td></tr>\n",
                      n->draws_per_forward);
    }
    sc_report_put(p, "</tbody></table></div>\n");
}

/* ---- figures ---- */

static void put_figures(sc_report_text *p, const sc_report_figures *figures, bool of_cell)
{
    for (size_t i = 0; i < figures->n; i++) {
        const sc_report_figure *f = &figures->at[i];
        if (f->of_cell != of_cell) {
            continue;
        }
        sc_report_put(p, "<figure id=\"");
        sc_report_put_html(p, f->name, 0);
        sc_report_put(p, "\">\n");
        if (f->svg != NULL) {
            sc_report_put(p, "%s", f->svg);
        } else {
            sc_report_put(p, "<p class=\"mute\">(not drawn)</p>");
        }
        sc_report_put(p, "\n<figcaption><b>");
        sc_report_html_name(p, f->title);
        sc_report_put(p, ".</b> ");
        sc_report_put_html(p, f->reading, 0);
        sc_report_put(p, " <small>");
        static const char *const endings[] = {"svg", "png", "gp", "dat"};
        for (size_t e = f->svg != NULL ? 0 : 2; e < 4; e++) {
            sc_report_put(p, "<a href=\"");
            sc_report_put_html(p, f->name, 0);
            sc_report_put(p, ".%s\">%s</a> ", endings[e], endings[e]);
        }
        sc_report_put(p, "</small></figcaption></figure>\n");
    }
}

/* ---- comparisons and questions ---- */

static const char *interval_class(const double ci[2])
{
    return ci[0] > 0 ? "above" : ci[1] < 0 ? "within" : "";
}

static void put_comparisons(sc_report_text *p, const sc_report_comparisons *comparisons)
{
    if (comparisons->n == 0) {
        return;
    }
    sc_report_put(p,
                  "<h2>Comparisons</h2>\n<p class=\"mute\">Cells that differ in one thing only, over the questions "
                  "they share: the second minus the first, with the 95 %% interval of a bootstrap that draws the "
                  "same questions for both. In colour where the interval leaves out 0: orange larger, blue smaller. "
                  "With many pairs, some intervals leave out 0 by chance.%s "
                  "<a href=\"comparisons.csv\">comparisons.csv</a></p>\n"
                  "<div class=\"scroll\"><table><thead><tr><th class=\"t\">differ in</th><th class=\"t\">first</th>"
                  "<th class=\"t\">second</th><th>questions</th><th>accuracy</th><th>overconfidence</th><th>smECE</th>"
                  "</tr></thead><tbody>\n",
                  comparisons->first_only ? " There are too many pairs: shown are those with the first value." : "");
    for (size_t i = 0; i < comparisons->n; i++) {
        const sc_report_comparison *c = &comparisons->at[i];
        sc_report_put(p, "<tr><td class=\"t\">%s</td><td class=\"t\">", c->axis);
        sc_report_html_name(p, c->a->numbers->name);
        sc_report_put(p, "</td><td class=\"t\">");
        sc_report_html_name(p, c->b->numbers->name);
        sc_report_put(p, "</td><td>%zu</td>", c->n);
        sc_report_html_share(p, c->accuracy);
        sc_report_html_interval(p, c->overconfidence, c->overconfidence_ci, interval_class(c->overconfidence_ci));
        sc_report_html_interval(p, c->smece, c->smece_ci, interval_class(c->smece_ci));
        sc_report_put(p, "</tr>\n");
    }
    sc_report_put(p, "</tbody></table></div>\n");
}

static void put_question(sc_report_text *p, const sc_report_question *q, int64_t draws)
{
    enum { CLASSES = 5, QUESTION = 600, SAMPLE = 240 };
    char t[2][16];
    sc_report_put(p, "<div class=\"question\"><p><b><bdi>");
    sc_report_put_html(p, q->question, QUESTION);
    sc_report_put(p, "</bdi></b></p><p class=\"mute\">");
    sc_report_html_name(p, q->id);
    sc_report_put(p, ": confidence %s, deserved %s; reference: ", sc_report_share(t[0], q->confidence),
                  sc_report_share(t[1], q->deserved));
    sc_report_put(p, "<bdi>");
    sc_report_put_html(p, q->references, SAMPLE);
    sc_report_put(p, "</bdi></p><table>\n");
    for (size_t k = 0; k < q->n_classes && k < CLASSES; k++) {
        const sc_report_class *class = &q->classes[k];
        sc_report_put(p,
                      "<tr><td>%d</td><td class=\"t\"><span class=\"bar%s\" style=\"width:%.0fpx\"></span></td>"
                      "<td class=\"t\"><bdi>",
                      (int)class->count, class->correct ? "" : " wrong",
                      draws > 0 ? 120.0 * (double)class->count / (double)draws : 0.0);
        sc_report_put_html(p, class->label[0] != '\0' ? class->label : "(no answer found)", 60);
        sc_report_put(p, "</bdi>%s</td><td class=\"t wrap mute\"><bdi>", class->correct ? " (right)" : "");
        sc_report_put_html(p, class->sample, SAMPLE);
        sc_report_put(p, "</bdi></td></tr>\n");
    }
    if (q->n_classes > CLASSES) {
        sc_report_put(p, "<tr><td></td><td></td><td class=\"t mute\" colspan=\"2\">and %zu more classes</td></tr>\n",
                      q->n_classes - CLASSES);
    }
    sc_report_put(p, "</table></div>\n");
}

static void put_questions(sc_report_text *p, const sc_report_data *data)
{
    if (data->n_cells == 0) {
        return;
    }
    sc_report_put(p,
                  "<h2>The most overconfident questions</h2>\n<p class=\"mute\">Where confidence exceeds what it "
                  "deserves most: the known probability that the answer is right, or 0 and 1 when only one answer is "
                  "known. Bars are shares of the draws, with one response of each class; blue holds the reference. A "
                  "wrong class on top that means the same as the reference points at the collapse, not at the model. "
                  "<a href=\"questions.csv\">questions.csv</a></p>\n");
    for (size_t i = 0; i < data->n_cells; i++) {
        const sc_report_cell *cell = &data->cells[i];
        if (cell->n_worst > 0) {
            sc_report_put(p, "<details open><summary><b>");
            sc_report_html_name(p, cell->numbers->name);
            sc_report_put(p, "</b></summary>\n");
            for (size_t w = 0; w < cell->n_worst; w++) {
                put_question(p, &cell->worst[w], cell->numbers->draws);
            }
            sc_report_put(p, "</details>\n");
        }
    }
}

static void put_origin(sc_report_text *p, const sc_report_data *data)
{
    const sc_report_cell *first = data->n_cells > 0 ? &data->cells[0] : &data->tokens->cells.cells[0];
    sc_report_put(p, "<h2>Where this comes from</h2>\n<p>Seed %lld; drawn by semcal ",
                  (long long)data->state.config->seed);
    sc_report_html_name(p, first->version);
    sc_report_put(p, " on ");
    sc_report_html_name(p, first->device[0] != '\0' ? first->device : "an unnamed device");
    if (data->n_cells > 0) {
        sc_report_put(p, "; collapse ");
        sc_report_html_name(p, first->numbers->collapse);
    }
    for (size_t d = 1; d < data->n_datasets; d++) {
        for (size_t i = 0; i < data->n_cells; i++) {
            if (strcmp(data->cells[i].numbers->dataset, data->datasets[d]) == 0) {
                sc_report_put(p, " (");
                sc_report_html_name(p, data->datasets[0]);
                sc_report_put(p, "), ");
                sc_report_html_name(p, data->cells[i].numbers->collapse);
                sc_report_put(p, " (");
                sc_report_html_name(p, data->datasets[d]);
                sc_report_put(p, ")");
                break;
            }
        }
        if (d == 1 && data->n_datasets == 2) {
            break;
        }
    }
    sc_report_put(p,
                  ". The configuration is <code>resolved.yaml</code> of the run; digests of models, data and kernels "
                  "are attributes of every cell file. Each figure's script (gp) and data (dat) lie beside this page: "
                  "<code>gnuplot NAME.gp</code> draws it again.</p>\n");
}

semcal_status sc_report_html(sc_report_text *p, const sc_report_data *data, const sc_report_comparisons *comparisons,
                             const sc_report_figures *figures)
{
    sc_report_put(p, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta name=\"viewport\" "
                     "content=\"width=device-width,initial-scale=1\">\n<meta http-equiv=\"Content-Security-Policy\" "
                     "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n<title>");
    sc_report_put_html(p, data->state.config->name, 0);
    sc_report_put(p, ": semantic calibration</title>\n<style>\n%s@media screen and (prefers-color-scheme:dark){",
                  STYLE);
    sc_report_svg_style(p, "figure svg");
    sc_report_put(p, "}\n</style></head><body><main>\n<h1>");
    sc_report_html_name(p, data->state.config->name);
    sc_report_put(p, "</h1>\n");
    put_status(p, data, figures);
    put_summary(p, data);
    put_cells(p, data);
    sc_report_html_tokens(p, data);
    sc_report_html_gaps(p, data);
    sc_report_put(p, "<h2>Figures</h2>\n");
    put_figures(p, figures, false);
    put_comparisons(p, comparisons);
    put_questions(p, data);
    sc_report_put(p, "<h2>Every cell, large</h2>\n");
    put_figures(p, figures, true);
    put_origin(p, data);
    sc_report_put(p, "</main></body></html>\n");
    return p->status;
}

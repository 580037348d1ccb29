/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/report_html_parts.h"

#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- next-token calibration ---- */

/* Four digits: tokens come in thousands. */
static void put_small(sc_report_text *p, double value, const double ci[2], const char *class)
{
    if (!isfinite(value)) {
        sc_report_put(p, "<td>\xe2\x80\x93</td>");
        return;
    }
    sc_report_put(p, "<td><span class=\"%s\">%.4f</span>", class, value);
    if (ci != NULL && isfinite(ci[0])) {
        sc_report_put(p, "<br><small>%.4f to %.4f</small>", ci[0], ci[1]);
    }
    sc_report_put(p, "</td>");
}

typedef struct by_share {
    size_t class;
    double share;
} by_share;

static int largest_first(const void *a, const void *b)
{
    const by_share *x = a, *y = b;
    return x->share != y->share ? (x->share < y->share) - (x->share > y->share)
                                : (x->class > y->class) - (x->class < y->class);
}

static void put_classes(sc_report_text *p, const sc_analysis_text *n)
{
    enum { SHOWN = 15 };
    by_share *order = sc_memory_alloc(n->n_classes, sizeof *order, p->error);
    if (order == NULL) {
        p->status = SEMCAL_E_MEMORY;
        return;
    }
    size_t seen = 0;
    for (size_t k = 0; k < n->n_classes; k++) {
        order[k] = (by_share){k, fmax(n->class_frequency[k], n->class_mass[k])};
        seen += order[k].share > 0;
    }
    qsort(order, n->n_classes, sizeof *order, largest_first);
    sc_report_put(p, "<details><summary><b>");
    sc_report_html_name(p, n->name);
    sc_report_put(p, "</b>, classes of tokens</summary><div class=\"scroll\"><table><thead><tr>"
                     "<th class=\"t\">class</th><th>share of tokens</th><th>mean probability</th><th>difference</th>"
                     "<th>best bias, nats</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < seen && i < SHOWN; i++) {
        const size_t k = order[i].class;
        sc_report_put(p, "<tr><td class=\"t\">");
        sc_report_html_name(p, n->labels[k]);
        sc_report_put(p, "</td><td>%.4f</td><td>%.4f</td><td>%+.4f</td><td>%+.3f</td></tr>\n", n->class_frequency[k],
                      n->class_mass[k], n->class_mass[k] - n->class_frequency[k], n->class_bias[k]);
    }
    sc_report_put(p, "</tbody></table></div>");
    if (seen > SHOWN) {
        sc_report_put(p, "<p class=\"mute\">and %zu more in <a href=\"text_classes.csv\">text_classes.csv</a></p>",
                      seen - SHOWN);
    }
    sc_report_put(p, "</details>\n");
    free(order);
}

void sc_report_html_tokens(sc_report_text *p, const sc_report_data *data)
{
    if (data->tokens == NULL) {
        return;
    }
    sc_report_put(
        p, "<h2 id=\"tokens\">Next-token calibration</h2>\n<p class=\"mute\">The same question one token at a time, on "
           "plain text: is "
           "the most probable next token right as often as its probability says? This is the calibration that base "
           "language models are trained to have; the cells above say whether it carries over to meanings. Class-wise "
           "smECE asks it of every class of tokens, not of the top one alone. Intervals resample blocks of text, since "
           "neighbouring tokens are not independent. All numbers: <a href=\"texts.csv\">texts.csv</a>.</p>\n"
           "<div class=\"scroll\"><table><thead><tr><th class=\"t\">model</th><th class=\"t\">text</th><th>tokens</th>"
           "<th>accuracy</th><th>confidence</th><th>over-<br>confidence</th><th>smECE</th><th>noise<br>floor</th>"
           "<th>class-wise<br>smECE</th><th>log loss,<br>nats</th><th>entropy,<br>nats</th><th>perplexity</th><th>best "
           "tem-<br>perature</th>"
           "</tr></thead><tbody>\n");
    for (size_t i = 0; i < data->tokens->cells.n_cells; i++) {
        const sc_report_cell *cell = &data->tokens->cells.cells[i];
        const sc_analysis_text *n = cell->text;
        sc_report_put(p, "<tr><td class=\"t\">");
        sc_report_html_name(p, cell->variant);
        sc_report_put(p, "</td><td class=\"t\">");
        sc_report_html_name(p, n->dataset);
        sc_report_put(p, "</td><td>%.0f</td>", n->n_tokens);
        put_small(p, n->accuracy, n->accuracy_ci, "");
        put_small(p, n->mean_confidence, NULL, "");
        put_small(p, n->overconfidence, n->overconfidence_ci, "");
        put_small(p, n->smece, n->smece_ci,
                  sc_report_cell_verdict(cell->numbers) == SC_REPORT_ABOVE ? "above" : "within");
        put_small(p, n->smece_floor, NULL, "");
        put_small(p, n->smece_classwise, n->smece_classwise_ci, "");
        put_small(p, n->log_loss, n->log_loss_ci, "");
        put_small(p, n->entropy, NULL, "");
        sc_report_put(p, "<td>%.4g</td><td>%.3f</td></tr>\n", n->perplexity, n->temperature_best);
    }
    sc_report_put(p, "</tbody></table></div>\n");
    for (size_t i = 0; i < data->analysis.n_texts; i++) {
        put_classes(p, &data->analysis.texts[i]);
    }
}

/* ---- loss gaps ---- */

static void put_nats(sc_report_text *p, double value)
{
    if (isfinite(value)) {
        sc_report_put(p, "%.4f", fabs(value) < .00005 ? 0 : value);
    } else {
        sc_report_put(p, "\xe2\x80\x93");
    }
}

/* The cross-fitted gap, and the one in sample below it. */
static void put_gap(sc_report_text *p, double crossfit, double in_sample, bool above)
{
    sc_report_put(p, "<td>");
    if (isfinite(crossfit) || isfinite(in_sample)) {
        sc_report_put(p, "<span class=\"%s\">", above ? "above" : "");
        put_nats(p, crossfit);
        sc_report_put(p, "</span><br><small>");
        put_nats(p, in_sample);
        sc_report_put(p, "</small>");
    }
    sc_report_put(p, "</td>");
}

static void put_cell(sc_report_text *p, const sc_report_cell *cell)
{
    const sc_analysis_cell *n = cell->numbers;
    const sc_calibration *c = &n->rows[SC_ANALYSIS_FREQUENCY].calibration;
    sc_report_put(p, "<td></td><td></td>");
    for (int k = SC_GAP_SHIFT; k <= SC_GAP_ISOTONIC; k++) {
        put_gap(p, c->pgap_crossfit[k], c->pgap[k], c->pgap[k] > c->pgap_spread.floor_95[k]);
    }
    sc_report_put(p, "<td>");
    put_nats(p, c->pgap_spread.floor[SC_GAP_LIPSCHITZ]);
    sc_report_put(p, "</td>");
    put_gap(p, n->full.crossfit, n->full.gap, n->full.gap > n->full.floor_95);
}

static void put_text(sc_report_text *p, const sc_analysis_text *n)
{
    for (int k = SC_TEXT_TEMPERATURE_GAP; k < SC_TEXT_FAMILIES; k++) {
        put_gap(p, n->gap[k].crossfit, n->gap[k].in_sample, n->gap[k].ci[0] > 0);
    }
    sc_report_put(p, "<td></td><td></td>");
}

void sc_report_html_gaps(sc_report_text *p, const sc_report_data *data)
{
    const sc_report_data *tokens = data->tokens != NULL ? &data->tokens->cells : NULL;
    const size_t n = data->n_cells + (tokens != NULL ? tokens->n_cells : 0);
    sc_report_put(
        p,
        "<h2>What calibrating would save</h2>\n<p class=\"mute\">The other side of calibration: the log loss, nats per "
        "question, that the best change of the model's law by a function of its confidence would save. A calibrated "
        "model has nothing to save. Above, cross-fitted: saved on questions the fit has not seen, 0 or less where "
        "nothing can be gained. Below, in sample: every fit finds some, a calibrated model as much as the floor. "
        "Orange: above the 95 %% point of that family's floor%s.%s</p>\n<div class=\"scroll\"><table><thead><tr>"
        "<th class=\"t\">model</th><th class=\"t\">dataset</th><th class=\"t\">style</th><th>temperature</th>"
        "<th>bias of<br>classes</th><th>shift</th><th>affine</th><th>1-Lipschitz</th><th>isotonic</th>"
        "<th>floor of<br>1-Lipschitz</th><th>tilt of all<br>classes</th></tr></thead><tbody>\n",
        tokens != NULL ? ", for text where the interval of the cross-fitted gap lies above 0" : "",
        tokens != NULL ? " Rows of tokens: nats per token; temperature and bias change the law of every token, the "
                         "other families tilt the most probable one."
                       : "");
    for (size_t i = 0; i < n; i++) {
        const sc_report_cell *cell = i < data->n_cells ? &data->cells[i] : &tokens->cells[i - data->n_cells];
        if (cell->numbers->rows[SC_ANALYSIS_FREQUENCY].calibration.n == 0) {
            continue;
        }
        sc_report_put(p, "<tr><td class=\"t\">");
        sc_report_html_name(p, cell->variant);
        sc_report_put(p, "</td><td class=\"t\">");
        sc_report_html_name(p, cell->numbers->dataset);
        sc_report_put(p, "</td><td class=\"t\">");
        sc_report_html_name(p, cell->numbers->style);
        sc_report_put(p, "</td>");
        if (cell->text != NULL) {
            put_text(p, cell->text);
        } else {
            put_cell(p, cell);
        }
        sc_report_put(p, "</tr>\n");
    }
    sc_report_put(p, "</tbody></table></div>\n");
}

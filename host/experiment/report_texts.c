/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/report_texts.h"

#include <math.h>
#include <stdio.h>

/* Four digits: tokens come in thousands. */
static const char *small(char text[24], double value)
{
    if (!isfinite(value)) {
        return "\xe2\x80\x93";
    }
    (void)snprintf(text, 24, "%.4f", value);
    return text;
}

static void put_number(sc_report_text *p, double value)
{
    char t[24];
    sc_report_put(p, "<td>%s</td>", small(t, value));
}

/* `class` colours the value: "", or as in the table of cells. */
static void put_interval(sc_report_text *p, double value, const double ci[2], const char *class)
{
    char t[3][24];
    sc_report_put(p, "<td><span class=\"%s\">%s</span>", class, small(t[0], value));
    if (isfinite(ci[0])) {
        sc_report_put(p, "<br><small>%s to %s</small>", small(t[1], ci[0]), small(t[2], ci[1]));
    }
    sc_report_put(p, "</td>");
}

static void put_name(sc_report_text *p, const char *name)
{
    sc_report_put(p, "<tr><td class=\"t\"><bdi>");
    sc_report_put_html(p, name, 0);
    sc_report_put(p, "</bdi></td>");
}

static void put_calibration(sc_report_text *p, const sc_report_data *data)
{
    sc_report_put(p, "<div class=\"scroll\"><table><thead><tr><th class=\"t\">cell</th><th>tokens</th>"
                     "<th>accuracy</th><th>confidence</th><th>over-<br>confidence</th><th>smECE</th>"
                     "<th>noise<br>floor</th><th>class-wise<br>smECE</th><th>log loss</th><th>perplexity</th></tr>"
                     "</thead><tbody>\n");
    for (size_t i = 0; i < data->analysis.n_texts; i++) {
        const sc_analysis_text *x = &data->analysis.texts[i];
        const char *class = !isfinite(x->smece_floor_95) ? "" : x->smece > x->smece_floor_95 ? "above" : "within";
        put_name(p, x->name);
        sc_report_put(p, "<td>%.0f</td>", x->n_tokens);
        put_interval(p, x->accuracy, x->accuracy_ci, "");
        put_number(p, x->mean_confidence);
        put_interval(p, x->overconfidence, x->overconfidence_ci, "");
        put_interval(p, x->smece, x->smece_ci, class);
        put_number(p, x->smece_floor);
        put_interval(p, x->smece_classwise, x->smece_classwise_ci, "");
        put_interval(p, x->log_loss, x->log_loss_ci, "");
        sc_report_put(p, "<td>%.4g</td></tr>\n", x->perplexity);
    }
    sc_report_put(p, "</tbody></table></div>\n");
}

static void put_gaps(sc_report_text *p, const sc_report_data *data)
{
    static const char *const heads[SC_TEXT_FAMILIES] = {"temperature", "bias of<br>classes", "shift",
                                                        "affine",      "Lipschitz",          "isotonic"};
    sc_report_put(p, "<p class=\"mute\">What a perturbation of every next-token law would save, in nats per token: the "
                     "best temperature (a multiple of the cell's, sought between 1/2 and 2), the best bias of each "
                     "class of tokens, and the best tilt of the most probable token by a function of its probability. "
                     "Each was fitted on other text than it is scored on, so a calibrated model saves nothing or "
                     "less.</p>\n<div class=\"scroll\"><table><thead><tr><th class=\"t\">cell</th>"
                     "<th>best<br>temperature</th>");
    for (int k = 0; k < SC_TEXT_FAMILIES; k++) {
        sc_report_put(p, "<th>%s</th>", heads[k]);
    }
    sc_report_put(p, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < data->analysis.n_texts; i++) {
        const sc_analysis_text *x = &data->analysis.texts[i];
        put_name(p, x->name);
        sc_report_put(p, "<td>%.3f</td>", x->temperature_best);
        for (int k = 0; k < SC_TEXT_FAMILIES; k++) {
            const sc_text_gap *gap = &x->gap[k];
            put_interval(p, gap->crossfit, gap->ci, gap->ci[0] > 0 ? "above" : "");
        }
        sc_report_put(p, "</tr>\n");
    }
    sc_report_put(p, "</tbody></table></div>\n");
}

void sc_report_texts_html(sc_report_text *p, const sc_report_data *data)
{
    if (data->analysis.n_texts == 0) {
        return;
    }
    sc_report_put(p, "<h2 id=\"tokens\">Next tokens</h2>\n<p class=\"mute\">The calibration that base language models "
                     "are known to have: is the most probable next token of a text right as often as its probability "
                     "says? Class-wise: the same for every class of tokens, weighted by its probability. Intervals "
                     "are over blocks of text. All numbers: <a href=\"texts.csv\">texts.csv</a>.</p>\n");
    put_calibration(p, data);
    put_gaps(p, data);
}

void sc_report_texts_csv(sc_report_text *t, const sc_report_data *data)
{
    sc_report_put(t, "cell,model,model_kind,dataset");
    for (size_t f = 0; f < sc_analysis_text_n_fields; f++) {
        sc_report_put(t, ",%s", sc_analysis_text_fields[f].name);
    }
    sc_report_put(t, "\n");
    for (size_t i = 0; i < data->analysis.n_texts; i++) {
        const sc_analysis_text *x = &data->analysis.texts[i];
        sc_report_put_csv(t, x->name, true);
        sc_report_put_csv(t, x->model, false);
        sc_report_put_csv(t, x->model_kind, false);
        sc_report_put_csv(t, x->dataset, false);
        for (size_t f = 0; f < sc_analysis_text_n_fields; f++) {
            sc_report_put_csv_real(t, sc_analysis_text_fields[f].value(x));
        }
        sc_report_put(t, "\n");
    }
}

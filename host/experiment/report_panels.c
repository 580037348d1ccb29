/* SPDX-License-Identifier: Apache-2.0 */
/* Grids of what else the questions of a cell say: entropy, abstention, the tilt that would lower the loss. */
#include "experiment/report_charts.h"
#include "experiment/report_grid.h"

#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has_pairs(const sc_report_cell *cell)
{
    return cell->numbers->rows[SC_ANALYSIS_FREQUENCY].calibration.n > 0;
}

/* ---- semantic entropy of right and wrong answers ---- */

enum { BINS = 20 };

static double entropy_range(const sc_report_cell *cell)
{
    double most = .5;
    for (size_t q = 0; q < cell->n; q++) {
        most = isfinite(cell->entropy[q]) ? fmax(most, cell->entropy[q]) : most;
    }
    return most * 1.3; /* room for words on the right */
}

static void entropy_panel(sc_report_figure *figure, const sc_report_cell *cell, const sc_report_place *place)
{
    double count[2][BINS] = {{0}}, most = 0, bin = place->range / BINS;
    for (size_t q = 0; q < cell->n; q++) {
        if (isfinite(cell->entropy[q]) && isfinite(cell->correct[q])) {
            size_t at = (size_t)fmax(0, cell->entropy[q] / bin);
            count[cell->correct[q] > .5][at < BINS ? at : BINS - 1] += 1;
        }
    }
    sc_report_put(&figure->data,
                  "# %s\n# semantic entropy (middle of the bin, nats), share of all questions that are "
                  "there and right, and wrong\n",
                  cell->numbers->name);
    for (size_t b = 0; b < BINS; b++) {
        sc_report_put(&figure->data, "%.4g %.5g %.5g\n", ((double)b + .5) * bin, count[1][b] / (double)cell->n,
                      count[0][b] / (double)cell->n);
        most = fmax(most, fmax(count[0][b], count[1][b]) / (double)cell->n);
    }
    size_t block = sc_report_block_end(figure);
    char t[16], line[64];
    (void)snprintf(line, sizeof line, "AUROC %s", sc_report_share(t, cell->numbers->auroc_entropy));
    sc_report_label(figure, place->x + place->width - 4, place->y + 7, "right", "ink", -11, line);
    sc_report_label(figure, place->x + place->width - 4, place->y + .55 * place->height - 12, "right", "blue", 10,
                    "right");
    sc_report_label(figure, place->x + place->width - 4, place->y + .55 * place->height + 12, "right", "orange", 10,
                    "wrong");
    sc_report_put(&figure->script,
                  "set xrange [0:%g]; set yrange [%g:%g]; set xtics 0,1; unset ytics; set border 1\n"
                  "set boxwidth %g\nset arrow from graph 0,first 0 to graph 1,first 0 nohead front linecolor rgb mute "
                  "linewidth 0.8\n"
                  "plot data index %zu using 1:2 with boxes fillcolor rgb blue fillstyle solid 1 noborder, \\\n"
                  "     data index %zu using 1:(-$3) with boxes fillcolor rgb orange fillstyle solid 1 noborder\n",
                  place->range, -1.1 * most, 1.35 * most, .86 * bin, block, block);
}

/* ---- risk against coverage ---- */

typedef struct pair {
    double c, a;
} pair;

static int by_confidence(const void *a, const void *b)
{
    const pair *x = a, *y = b;
    return (x->c < y->c) - (x->c > y->c);
}

/* Puts the curve (when there is a figure) of questions in falling confidence; equal confidences come in together.
 * Returns its largest value. */
static double put_risk(sc_report_figure *figure, const sc_report_cell *cell, double *at_half)
{
    pair *pairs = sc_memory_alloc(cell->n, sizeof *pairs, NULL);
    double wrong = 0, promised = 0, most = .05, earlier = 0, earlier_risk = 0;
    size_t n = 0;
    *at_half = NAN;
    for (size_t q = 0; pairs != NULL && q < cell->n; q++) {
        if (isfinite(cell->confidence[q]) && isfinite(cell->correct[q])) {
            pairs[n++] = (pair){cell->confidence[q], cell->correct[q]};
        }
    }
    if (n > 0) {
        qsort(pairs, n, sizeof *pairs, by_confidence);
    }
    bool begun = false;
    for (size_t i = 0; i < n;) {
        size_t end = i;
        for (; end < n && pairs[end].c == pairs[i].c; end++) {
            wrong += 1 - pairs[end].a;
            promised += 1 - pairs[end].c;
        }
        double coverage = (double)end / (double)n, risk = wrong / (double)end, said = promised / (double)end;
        if (end >= 20 || end == n) { /* a share of fewer says nothing */
            if (figure != NULL && !begun) {
                sc_report_put(&figure->data, "0 %.5g %.5g\n", risk, said);
            }
            if (figure != NULL) {
                sc_report_put(&figure->data, "%.5g %.5g %.5g\n", coverage, risk, said);
            }
            begun = true;
            most = fmax(most, fmax(risk, said));
        }
        if (earlier < .5 && coverage >= .5) {
            double part = earlier > 0 ? (.5 - earlier) / (coverage - earlier) : 1;
            *at_half = earlier_risk + part * (risk - earlier_risk);
        }
        earlier = coverage;
        earlier_risk = risk;
        i = end;
    }
    free(pairs);
    return most;
}

static double risk_range(const sc_report_cell *cell)
{
    double at_half;
    return put_risk(NULL, cell, &at_half);
}

static void risk_panel(sc_report_figure *figure, const sc_report_cell *cell, const sc_report_place *place)
{
    double at_half, top = fmin(1, ceil(place->range * 1.35 * 5) / 5);
    sc_report_put(&figure->data,
                  "# %s\n# coverage, share wrong among those answered, share wrong that the confidence promises\n",
                  cell->numbers->name);
    (void)put_risk(figure, cell, &at_half);
    size_t block = sc_report_block_end(figure);
    char t[16], line[64];
    (void)snprintf(line, sizeof line, "all: %s wrong",
                   sc_report_share(t, 1 - cell->numbers->rows[SC_ANALYSIS_FREQUENCY].calibration.accuracy));
    sc_report_label(figure, place->x + 10, place->y + 10, "left", "ink", 11, line);
    (void)snprintf(line, sizeof line, "surest half: %s", sc_report_share(t, at_half));
    sc_report_label(figure, place->x + 10, place->y + 25, "left", "ink", 11, line);
    sc_report_label(figure, place->x + 10, place->y + 40, "left", "mute", 10, "dashed: promised");
    sc_report_put(
        &figure->script,
        "set xrange [0:1]; set yrange [0:%g]; set xtics 0,0.5,1; set ytics 0,%g\n"
        "plot data index %zu using 1:2:3 with filledcurves fillcolor rgb orange fillstyle transparent solid "
        "0.15 noborder, \\\n     data index %zu using 1:3 with lines linecolor rgb mute linewidth 1.4 dashtype "
        "(8,5), \\\n     data index %zu using 1:2 with lines linecolor rgb orange linewidth 2\n",
        top,
        top > .5   ? .5
        : top > .2 ? .2
                   : .1,
        block, block, block);
}

/* ---- the tilt that would lower the loss ---- */

static bool has_tilt(const sc_report_cell *cell)
{
    const sc_analysis_row *row = &cell->numbers->rows[SC_ANALYSIS_FREQUENCY];
    return row->calibration.n > 0 && isfinite(row->tilt_lipschitz[SC_ANALYSIS_CURVE / 2]) &&
           isfinite(row->calibration.pgap[SC_GAP_LIPSCHITZ]);
}

static double tilt_range(const sc_report_cell *cell)
{
    const sc_analysis_row *row = &cell->numbers->rows[SC_ANALYSIS_FREQUENCY];
    double most = .5;
    for (size_t i = 0; i < SC_ANALYSIS_CURVE; i++) {
        most = sc_report_cell_in_range(cell, i) ? fmax(most, fabs(row->tilt_lipschitz[i])) : most;
    }
    return most;
}

static void tilt_panel(sc_report_figure *figure, const sc_report_cell *cell, const sc_report_place *place)
{
    const sc_analysis_row *row = &cell->numbers->rows[SC_ANALYSIS_FREQUENCY];
    const sc_calibration *c = &row->calibration;
    double sum = 0, top = place->range * 1.08;
    sc_report_put(&figure->data,
                  "# %s\n# confidence, best tilt 1-Lipschitz in the logit, best isotonic tilt, density\n",
                  cell->numbers->name);
    for (size_t i = 0; i < SC_ANALYSIS_CURVE; i++) {
        if (sc_report_cell_in_range(cell, i)) {
            sc_report_put(&figure->data, "%.3f %.4g %.4g %.4g\n", (double)i / (SC_ANALYSIS_CURVE - 1),
                          row->tilt_lipschitz[i], row->tilt_isotonic[i], row->density[i]);
            sum += row->tilt_lipschitz[i];
        }
    }
    size_t block = sc_report_block_end(figure);
    /* The tilt is mostly on one side: the text goes to the other. */
    double y = sum <= 0 ? place->y + 10 : place->y + place->height - 40;
    char line[64];
    bool above = c->pgap[SC_GAP_LIPSCHITZ] > c->pgap_spread.floor_95[SC_GAP_LIPSCHITZ];
    (void)snprintf(line, sizeof line, "gap %.4f nats", c->pgap[SC_GAP_LIPSCHITZ]);
    sc_report_label(figure, place->x + 10, y, "left", above ? "orange" : "blue", -11, line);
    (void)snprintf(line, sizeof line, "floor %.4f", c->pgap_spread.floor[SC_GAP_LIPSCHITZ]);
    sc_report_label(figure, place->x + 10, y + 15, "left", "mute", 10, line);
    (void)snprintf(line, sizeof line, "new questions %.4f", c->pgap_crossfit[SC_GAP_LIPSCHITZ]);
    sc_report_label(figure, place->x + 10, y + 29, "left", "mute", 10, line);
    sc_report_put(
        &figure->script,
        "set xrange [-.03:1.03]; set yrange [%g:%g]; set xtics 0,0.5,1; set ytics %g\n"
        "set arrow from graph 0,first 0 to graph 1,first 0 nohead back linecolor rgb mute linewidth 0.8\n"
        "plot data index %zu using 1:2:(0) with filledcurves fillcolor rgb %s fillstyle transparent solid 0.16 "
        "noborder, \\\n     data index %zu using 1:2 with lines linecolor rgb %s linewidth 2.2\n",
        -top, top,
        top > 2   ? 2.0
        : top > 1 ? 1.0
                  : .5,
        block, above ? "orange" : "blue", block, above ? "orange" : "blue");
}

/* ---- how early the answer is decided ---- */

static bool has_mechanism(const sc_report_cell *cell)
{
    return cell->numbers->mechanism.n_places > 0 && cell->numbers->mechanism.by_fraction != NULL;
}

static size_t put_places(sc_report_figure *figure, const sc_report_cell *cell, const sc_analysis_place *places,
                         const char *what)
{
    sc_report_put(&figure->data, "# %s\n# %s, resolved, low, high\n", cell->numbers->name, what);
    for (size_t i = 0; i < cell->numbers->mechanism.n_places; i++) {
        if (isfinite(places[i].resolved)) {
            sc_report_put(&figure->data, "%.5g %.5g %.5g %.5g\n", places[i].at, places[i].resolved,
                          isfinite(places[i].low) ? places[i].low : places[i].resolved,
                          isfinite(places[i].high) ? places[i].high : places[i].resolved);
        }
    }
    return sc_report_block_end(figure);
}

/* Where the curve first reaches one half, by straight lines between places; NaN: nowhere. */
static double half_resolved(const sc_analysis_mechanism *m)
{
    double at = 0, resolved = 0;
    for (size_t i = 0; i < m->n_places; i++) {
        const sc_analysis_place *p = &m->by_fraction[i];
        if (isfinite(p->resolved) && p->resolved >= .5) {
            return p->resolved > resolved ? at + (.5 - resolved) / (p->resolved - resolved) * (p->at - at) : p->at;
        }
        at = isfinite(p->resolved) ? p->at : at;
        resolved = isfinite(p->resolved) ? p->resolved : resolved;
    }
    return NAN;
}

static void mechanism_panel(sc_report_figure *figure, const sc_report_cell *cell, const sc_report_place *place)
{
    const sc_analysis_mechanism *m = &cell->numbers->mechanism;
    size_t block = put_places(figure, cell, m->by_fraction, "fraction of the response");
    if (m->by_token != NULL) {
        (void)put_places(figure, cell, m->by_token, "tokens of the response");
    }
    char t[16], line[64];
    double half = half_resolved(m);
    /* The curve rises: the upper left is free when it is late, the lower right when it is early. */
    bool late = !(half < .5);
    double x = late ? place->x + 10 : place->x + place->width - 6;
    double y = late ? place->y + 12 : place->y + place->height - 30;
    if (isfinite(half)) {
        (void)snprintf(line, sizeof line, "half at %s", sc_report_share(t, half));
        sc_report_label(figure, x, y, late ? "left" : "right", "blue", -11, line);
    }
    (void)snprintf(line, sizeof line, "%zu questions", m->n_questions);
    sc_report_label(figure, x, y + 15, late ? "left" : "right", "mute", 10, line);
    sc_report_put(
        &figure->script,
        "set xrange [0:1]; set yrange [-.15:1.08]; set xtics 0,0.5,1; set ytics 0,0.5,1\n"
        "set arrow from 0,0 to 1,1 nohead back linecolor rgb mute linewidth 0.8\n"
        "plot data index %zu using 1:3:4 with filledcurves fillcolor rgb blue fillstyle transparent solid 0.16 "
        "noborder, \\\n     data index %zu using 1:2 with linespoints pointtype 7 pointsize 0.5 linecolor rgb blue "
        "linewidth 2\n",
        block, block);
}

semcal_status sc_report_panels(sc_report_figures *figures, const sc_report_data *data, semcal_error *error)
{
    static const sc_report_grid grids[] = {
        {.name = "risk_coverage",
         .title = "Risk against coverage",
         .reading = "If the model answers only the questions it is surest of, down to the coverage on the horizontal "
                    "axis, the orange line is the share of wrong answers among them; the dashed line is what its "
                    "confidence promises. The shaded area between them is miscalibration that a user of the confidence "
                    "would feel. A line that falls to the left means that confidence sorts well.",
         .x_label = "share answered",
         .y_label = "share wrong",
         .aspect = .8,
         .has = has_pairs,
         .range = risk_range,
         .panel = risk_panel},
        {.name = "semantic_entropy",
         .title = "Semantic entropy of right and wrong answers",
         .reading = "Questions by the entropy of their meanings: right answers above the line, wrong ones below it, to "
                    "the same scale. Where the two differ, entropy tells right from wrong; AUROC is the chance that a "
                    "right answer has lower entropy than a wrong one.",
         .x_label = "semantic entropy, nats",
         .y_label = "questions",
         .aspect = .75,
         .has = has_pairs,
         .range = entropy_range,
         .panel = entropy_panel},
        {.name = "loss_gap",
         .title = "The tilt that would lower the loss",
         .reading =
             "The best change of the model's log-odds as a function of its confidence, no steeper than the "
             "log-odds themselves (1-Lipschitz): below 0 it should trust its answer less, above 0 more; at 0 it is "
             "best as it is. The gap is the loss per question that this tilt saves; a calibrated model would seem "
             "to save the floor. Orange: more than the floor's 95 % point. On new questions (cross-fitted), a "
             "saving of 0 or below says that nothing can be gained.",
         .x_label = "semantic confidence",
         .y_label = "tilt, nats",
         .aspect = .9,
         .has = has_tilt,
         .range = tilt_range,
         .panel = tilt_panel},
        {.name = "resolved",
         .title = "How early the answer is decided",
         .reading =
             "The share of the uncertainty about the answer's meaning that is gone after a part of the response, "
             "measured by letting the model go on many times from there, with its 95 % bootstrap interval. On the "
             "diagonal the answer forms evenly; a curve that jumps up at the end speaks its answer before it has "
             "settled it by anything said earlier, one that rises at once has decided at the first words.",
         .x_label = "part of the response",
         .y_label = "decided",
         .aspect = .8,
         .has = has_mechanism,
         .panel = mechanism_panel},
    };
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < sizeof grids / sizeof *grids && status == SEMCAL_OK; i++) {
        status = sc_report_grids(figures, data, &grids[i], error);
    }
    return status;
}

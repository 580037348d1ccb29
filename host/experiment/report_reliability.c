/* SPDX-License-Identifier: Apache-2.0 */
/* Reliability diagrams: one large per cell, and grids of small ones. */
#include "experiment/report_charts.h"

#include "experiment/report_grid.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double EDGE = .03;   /* room beyond 0 and 1 */
static const double RIBBON = .03; /* half the ribbon's width where the density is largest */
static const double RUG = .09;    /* the longest tick */

/* ---- data blocks: curve, ribbon, rug, all in one order ---- */

enum { CURVE, RIBBON_BLOCK, RUG_BLOCK, N_BLOCKS };

static bool drawn(const sc_report_cell *cell, size_t i)
{
    return i < SC_ANALYSIS_CURVE && isfinite(cell->numbers->rows[SC_ANALYSIS_FREQUENCY].curve[i]) &&
           sc_report_cell_support(cell, i) >= 2 && sc_report_cell_in_range(cell, i);
}

static void put_number(sc_report_text *out, double value)
{
    if (isfinite(value)) {
        sc_report_put(out, " %.5g", value);
    } else {
        sc_report_put(out, " NaN");
    }
}

static void put_curve(sc_report_figure *figure, const sc_report_cell *cell)
{
    const sc_analysis_row *row = &cell->numbers->rows[SC_ANALYSIS_FREQUENCY];
    const sc_analysis_row *split = &cell->numbers->rows[SC_ANALYSIS_SPLIT];
    sc_report_text *d = &figure->data;
    sc_report_put(d,
                  "# %s\n# curve: confidence, share right, density, band low, band high, known law, share right by "
                  "the split estimator\n",
                  cell->numbers->name);
    for (size_t i = 0; i < SC_ANALYSIS_CURVE; i++) {
        if (drawn(cell, i)) {
            bool has_split = split->calibration.n > 0 && split->density[i] > .05;
            sc_report_put(d, "%.3f", (double)i / (SC_ANALYSIS_CURVE - 1));
            put_number(d, row->curve[i]);
            put_number(d, row->density[i]);
            put_number(d, isfinite(cell->band_low[i]) ? cell->band_low[i] : row->curve[i]);
            put_number(d, isfinite(cell->band_high[i]) ? cell->band_high[i] : row->curve[i]);
            put_number(d, cell->known_curve[i]);
            put_number(d, has_split ? split->curve[i] : NAN);
            sc_report_put(d, "\n");
        } else if (drawn(cell, i + 1)) {
            sc_report_put(d, "\n"); /* a gap: the next piece is a line of its own */
        }
    }
    (void)sc_report_block_end(figure);
}

/* One side of the ribbon at point i: the curve moved along its normal by the density. */
static void put_side(sc_report_text *d, const sc_report_cell *cell, size_t i, double densest, double side)
{
    const sc_analysis_row *row = &cell->numbers->rows[SC_ANALYSIS_FREQUENCY];
    size_t before = i > 0 && drawn(cell, i - 1) ? i - 1 : i, after = drawn(cell, i + 1) ? i + 1 : i;
    double dx = (double)(after - before) / (SC_ANALYSIS_CURVE - 1), dy = row->curve[after] - row->curve[before];
    double length = hypot(dx, dy), half = side * RIBBON * row->density[i] / densest;
    double x = (double)i / (SC_ANALYSIS_CURVE - 1), y = row->curve[i];
    if (length > 0) {
        x -= half * dy / length;
        y += half * dx / length;
    }
    sc_report_put(d, "%.5f %.5f\n", x, y);
}

static void put_ribbon(sc_report_figure *figure, const sc_report_cell *cell)
{
    const sc_analysis_row *row = &cell->numbers->rows[SC_ANALYSIS_FREQUENCY];
    sc_report_text *d = &figure->data;
    double densest = 0;
    for (size_t i = 0; i < SC_ANALYSIS_CURVE; i++) {
        densest = drawn(cell, i) && row->density[i] > densest ? row->density[i] : densest;
    }
    sc_report_put(d, "# ribbon: outline of the curve with the density as its width\n");
    for (size_t i = 0; i < SC_ANALYSIS_CURVE; i++) {
        if (!drawn(cell, i)) {
            continue;
        }
        size_t end = i;
        while (drawn(cell, end + 1)) {
            end++;
        }
        for (size_t k = i; k <= end; k++) {
            put_side(d, cell, k, densest, 1);
        }
        for (size_t k = end + 1; k-- > i;) {
            put_side(d, cell, k, densest, -1);
        }
        sc_report_put(d, "\n");
        i = end;
    }
    (void)sc_report_block_end(figure);
}

static void put_rug(sc_report_figure *figure, const sc_report_cell *cell)
{
    enum { PLACES = 201 };
    double count[2][PLACES] = {{0}}, most = 1;
    if (cell->n == 0) { /* text: no block either, gnuplot does not count empty ones */
        return;
    }
    for (size_t q = 0; q < cell->n; q++) {
        size_t place = (size_t)lround(cell->confidence[q] * (PLACES - 1));
        double *at = &count[cell->correct[q] > .5][place < PLACES ? place : PLACES - 1];
        *at += 1;
        most = *at > most ? *at : most;
    }
    sc_report_put(&figure->data, "# ticks: confidence, questions right, wrong, length of the tick for right, wrong\n");
    for (size_t i = 0; i < PLACES; i++) {
        double height[2];
        for (int a = 0; a < 2; a++) {
            height[a] = count[a][i] > 0 ? fmax(RUG * count[a][i] / most, .008) : 0;
        }
        if (count[0][i] + count[1][i] > 0) {
            sc_report_put(&figure->data, "%.3f %g %g %.4f %.4f\n", (double)i / (PLACES - 1), count[1][i], count[0][i],
                          height[1], height[0]);
        }
    }
    (void)sc_report_block_end(figure);
}

/* Puts the blocks of a cell and returns the index of the first. */
static size_t put_blocks(sc_report_figure *figure, const sc_report_cell *cell)
{
    size_t first = figure->n_blocks;
    put_curve(figure, cell);
    put_ribbon(figure, cell);
    put_rug(figure, cell);
    return first;
}

static bool has_curve(const sc_report_cell *cell)
{
    for (size_t i = 0; i < SC_ANALYSIS_CURVE; i++) {
        if (drawn(cell, i)) {
            return true;
        }
    }
    return false;
}

static const char *verdict_colour(const sc_report_cell *cell)
{
    return sc_report_cell_verdict(cell->numbers) == SC_REPORT_ABOVE ? "orange" : "blue";
}

/* The plot command of one diagram; `extra` adds the thin curves of the large one. */
static void put_plot(sc_report_figure *figure, const sc_report_cell *cell, size_t first, bool extra)
{
    sc_report_text *s = &figure->script;
    const char *colour = verdict_colour(cell);
    sc_report_put(s, "set xrange [%g:%g]; set yrange [%g:%g]\n", -EDGE, 1 + EDGE, -EDGE, 1 + EDGE);
    sc_report_put(s, "set arrow from 0,0 to 1,1 nohead back linecolor rgb mute linewidth 0.8\n");
    sc_report_put(s, "plot ");
    if (has_curve(cell)) {
        sc_report_put(s,
                      "data index %zu using 1:4:5 with filledcurves fillcolor rgb %s fillstyle transparent solid 0.16 "
                      "noborder, \\\n     data index %zu using 1:2 with filledcurves closed fillcolor rgb %s fillstyle "
                      "solid noborder, \\\n     data index %zu using 1:2 with lines linecolor rgb %s linewidth 1.2, "
                      "\\\n     ",
                      first, colour, first + RIBBON_BLOCK, colour, first, colour);
        if (extra && isfinite(cell->numbers->smece_known)) {
            sc_report_put(s, "data index %zu using 1:6 with lines linecolor rgb green linewidth 1.6, \\\n     ", first);
        }
        if (extra && cell->numbers->rows[SC_ANALYSIS_SPLIT].calibration.n > 0) {
            sc_report_put(s,
                          "data index %zu using 1:7 with lines linecolor rgb purple linewidth 1.6 dashtype (4,6), "
                          "\\\n     ",
                          first);
        }
    }
    if (cell->n == 0) { /* text: no rug, the width of the curve tells where the tokens are */
        sc_report_put(s, "NaN notitle\n");
        return;
    }
    sc_report_put(s,
                  "data index %zu using 1:(%g):(0):(-$4) with vectors nohead linecolor rgb ink linewidth 1, \\\n"
                  "     data index %zu using 1:(%g):(0):5 with vectors nohead linecolor rgb ink linewidth 1\n",
                  first + RUG_BLOCK, 1 + EDGE, first + RUG_BLOCK, -EDGE);
}

/* ---- grids ---- */

static bool has_pairs(const sc_report_cell *cell)
{
    return cell->numbers->rows[SC_ANALYSIS_FREQUENCY].calibration.n > 0;
}

static void put_panel(sc_report_figure *figure, const sc_report_cell *cell, const sc_report_place *place)
{
    const sc_analysis_row *row = &cell->numbers->rows[SC_ANALYSIS_FREQUENCY];
    /* Where the curve is not. */
    bool under = row->calibration.overconfidence < 0;
    double x = under ? place->x + place->width - 8 : place->x + 12;
    double y = under ? place->y + place->height - 44 : place->y + 28;
    const char *align = under ? "right" : "left";
    char t[16], line[96];
    sc_report_put(&figure->script, "set xtics 0,0.5,1; set ytics 0,0.5,1\n");
    (void)snprintf(line, sizeof line, "smECE %s", sc_report_share(t, row->calibration.smece));
    sc_report_label(figure, x, y, align, verdict_colour(cell), -11, line);
    (void)snprintf(line, sizeof line, "floor %s", sc_report_share(t, sc_report_cell_floor(cell->numbers)));
    sc_report_label(figure, x, y + 15, align, "mute", 10, line);
    if (cell->text != NULL) {
        (void)snprintf(line, sizeof line, "class-wise %s", sc_report_share(t, cell->text->smece_classwise));
        sc_report_label(figure, x, y + 29, align, "mute", 10, line);
    }
    put_plot(figure, cell, put_blocks(figure, cell), false);
}

semcal_status sc_report_reliability_grids(sc_report_figures *figures, const sc_report_data *data, semcal_error *error)
{
    static const sc_report_grid grid = {
        .name = "reliability",
        .title = "Reliability",
        .reading = "On the diagonal, answers are right as often as the model's confidence says; a curve below it is "
                   "overconfidence, above it underconfidence. The curve is as wide as there are questions at that "
                   "confidence, the pale band is its 95 % bootstrap interval, ticks at the top are questions answered "
                   "right and at the bottom wrong. Blue: smECE is no larger than chance and the number of draws "
                   "explain (95 % point of the model floor). Orange: it is.",
        .x_label = "semantic confidence",
        .y_label = "share right",
        .aspect = 1,
        .has = has_pairs,
        .panel = put_panel};
    static const sc_report_grid next_token = {
        .name = "next_token",
        .title = "Reliability of the next token",
        .reading =
            "The same for plain text: how often the most probable next token comes, against its probability. This is "
            "the calibration that base language models are known to have on text like their training text; compare it "
            "with the calibration of their answers' meanings. The curve is as wide as there are tokens, the pale band "
            "its 95 % interval over blocks of text. Blue: smECE is no larger than chance explains (95 % point of the "
            "noise floor, which is low for so many tokens). Class-wise: the same over classes of tokens.",
        .x_label = "probability of the top token",
        .y_label = "share right",
        .aspect = 1,
        .has = has_pairs,
        .panel = put_panel};
    semcal_status status = sc_report_grids(figures, data, &grid, error);
    return status == SEMCAL_OK && data->tokens != NULL
               ? sc_report_grids(figures, &data->tokens->cells, &next_token, error)
               : status;
}

/* ---- one cell, large ---- */

static void put_numbers(sc_report_figure *figure, const sc_report_cell *cell, double x, double y)
{
    const sc_analysis_row *f = &cell->numbers->rows[SC_ANALYSIS_FREQUENCY];
    const sc_analysis_row *s = &cell->numbers->rows[SC_ANALYSIS_SPLIT];
    char t[4][16], line[160];
    (void)snprintf(line, sizeof line, "smECE %s", sc_report_share(t[0], f->calibration.smece));
    sc_report_label(figure, x, y, "left", verdict_colour(cell), -18, line);
    (void)snprintf(line, sizeof line, "95 %% interval %s to %s", sc_report_share(t[0], f->calibration.smece_ci[0]),
                   sc_report_share(t[1], f->calibration.smece_ci[1]));
    sc_report_label(figure, x, y + 22, "left", "ink", 12, line);
    sc_report_label(figure, x, y + 52, "left", "mute", 11, "A calibrated model would score");
    (void)snprintf(line, sizeof line, "noise floor %s (95 %%: %s)", sc_report_share(t[0], f->calibration.smece_floor),
                   sc_report_share(t[1], f->calibration.smece_floor_95));
    sc_report_label(figure, x, y + 70, "left", "ink", 12, line);
    (void)snprintf(line, sizeof line, "model floor %s (95 %%: %s)", sc_report_share(t[0], f->model_floor.mean),
                   sc_report_share(t[1], f->model_floor.point_95));
    sc_report_label(figure, x, y + 88, "left", "ink", 12, line);
    (void)snprintf(line, sizeof line, "accuracy %s, mean confidence %s", sc_report_share(t[0], f->calibration.accuracy),
                   sc_report_share(t[1], f->calibration.mean_confidence));
    sc_report_label(figure, x, y + 122, "left", "ink", 12, line);
    (void)snprintf(line, sizeof line, "overconfidence %s (%s to %s)",
                   sc_report_share(t[0], f->calibration.overconfidence),
                   sc_report_share(t[1], f->calibration.overconfidence_ci[0]),
                   sc_report_share(t[2], f->calibration.overconfidence_ci[1]));
    sc_report_label(figure, x, y + 140, "left", "ink", 12, line);
    (void)snprintf(line, sizeof line, "%zu questions, %lld draws each", cell->n, (long long)cell->numbers->draws);
    sc_report_label(figure, x, y + 158, "left", "ink", 12, line);
    double at = y + 196;
    sc_report_label(figure, x, at, "left", verdict_colour(cell), 12, "wide curve: against the drawn answers");
    if (isfinite(cell->numbers->smece_known)) {
        (void)snprintf(line, sizeof line, "green: against the known law, smECE %s",
                       sc_report_share(t[0], cell->numbers->smece_known));
        sc_report_label(figure, x, at += 18, "left", "green", 12, line);
    }
    if (s->calibration.n > 0) {
        (void)snprintf(line, sizeof line, "dotted: split estimator, smECE %s",
                       sc_report_share(t[0], s->calibration.smece));
        sc_report_label(figure, x, at + 18, "left", "purple", 12, line);
    }
}

static void put_token_numbers(sc_report_figure *figure, const sc_report_cell *cell, double x, double y)
{
    const sc_analysis_text *n = cell->text;
    char t[4][16], line[160];
    (void)snprintf(line, sizeof line, "smECE %s", sc_report_share(t[0], n->smece));
    sc_report_label(figure, x, y, "left", verdict_colour(cell), -18, line);
    (void)snprintf(line, sizeof line, "95 %% interval %s to %s", sc_report_share(t[0], n->smece_ci[0]),
                   sc_report_share(t[1], n->smece_ci[1]));
    sc_report_label(figure, x, y + 22, "left", "ink", 12, line);
    (void)snprintf(line, sizeof line, "noise floor %s (95 %%: %s)", sc_report_share(t[0], n->smece_floor),
                   sc_report_share(t[1], n->smece_floor_95));
    sc_report_label(figure, x, y + 40, "left", "ink", 12, line);
    (void)snprintf(line, sizeof line, "class-wise smECE %s (%s to %s)", sc_report_share(t[0], n->smece_classwise),
                   sc_report_share(t[1], n->smece_classwise_ci[0]), sc_report_share(t[2], n->smece_classwise_ci[1]));
    sc_report_label(figure, x, y + 74, "left", "ink", 12, line);
    (void)snprintf(line, sizeof line, "accuracy %s, mean confidence %s", sc_report_share(t[0], n->accuracy),
                   sc_report_share(t[1], n->mean_confidence));
    sc_report_label(figure, x, y + 92, "left", "ink", 12, line);
    (void)snprintf(line, sizeof line, "overconfidence %s (%s to %s)", sc_report_share(t[0], n->overconfidence),
                   sc_report_share(t[1], n->overconfidence_ci[0]), sc_report_share(t[2], n->overconfidence_ci[1]));
    sc_report_label(figure, x, y + 110, "left", "ink", 12, line);
    (void)snprintf(line, sizeof line, "log loss %.4f nats, perplexity %.3f", n->log_loss, n->perplexity);
    sc_report_label(figure, x, y + 128, "left", "ink", 12, line);
    (void)snprintf(line, sizeof line, "%.0f tokens of %.0f documents", n->n_tokens, n->n_documents);
    sc_report_label(figure, x, y + 146, "left", "ink", 12, line);
    (void)snprintf(line, sizeof line, "best temperature %.3f", n->temperature_best);
    sc_report_label(figure, x, y + 164, "left", "ink", 12, line);
}

static semcal_status large(sc_report_figures *figures, const sc_report_cell *cell, semcal_error *error)
{
    static const char reading[] =
        "A point of the wide curve says how often answers with that confidence are right; its width is the share of "
        "questions there, the pale band the 95 % bootstrap interval. Ticks: questions right (top) and wrong (bottom). "
        "smECE is the average distance from the diagonal; compare it with the floors, not with 0.";
    static const char reading_text[] =
        "A point of the wide curve says how often the most probable next token comes when it has that probability; its "
        "width is the share of tokens there, the pale band the 95 % interval over blocks of text. Compare smECE with "
        "its floor, not with 0.";
    sc_text name = {0};
    semcal_status status = sc_text_printf(&name, error, "cell_%s", cell->numbers->name);
    sc_report_figure *figure = status == SEMCAL_OK
                                   ? sc_report_figure_begin(figures, name.data, 740, 450, cell->numbers->name,
                                                            cell->text != NULL ? reading_text : reading, error)
                                   : NULL;
    if (figure != NULL) {
        const double x = 62, y = 40, size = 350;
        figure->of_cell = true;
        sc_report_label(figure, x, 20, "left", "ink", -13, cell->numbers->name);
        if (cell->text != NULL) {
            put_token_numbers(figure, cell, x + size + 30, y + 16);
        } else {
            sc_report_label(figure, x + size + 4, y + 6, "left", "mute", 10, "right");
            sc_report_label(figure, x + size + 4, y + size - 6, "left", "mute", 10, "wrong");
            put_numbers(figure, cell, x + size + 54, y + 16);
        }
        sc_report_panel(figure, x, y, size, size);
        sc_report_put(&figure->script,
                      "set xtics 0,0.2,1; set ytics 0,0.2,1; set format x '%%.1f'; set format y "
                      "'%%.1f'\nset xlabel '%s' textcolor rgb mute offset 0,0.3\nset "
                      "ylabel '%s' textcolor rgb mute offset 0.5,0\n",
                      cell->text != NULL ? "probability of the top token" : "semantic confidence",
                      cell->text != NULL ? "share of right tokens" : "share of right answers");
        put_plot(figure, cell, put_blocks(figure, cell), true);
        sc_report_panel_end(figure);
        status = sc_report_figure_end(figures, error);
    } else if (status == SEMCAL_OK) {
        status = SEMCAL_E_MEMORY;
    }
    sc_text_free(&name);
    return status;
}

semcal_status sc_report_reliability_cells(sc_report_figures *figures, const sc_report_data *data, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < data->n_cells && status == SEMCAL_OK; i++) {
        if (data->cells[i].numbers->rows[SC_ANALYSIS_FREQUENCY].calibration.n > 0) {
            status = large(figures, &data->cells[i], error);
        }
    }
    for (size_t i = 0; data->tokens != NULL && i < data->tokens->cells.n_cells && status == SEMCAL_OK; i++) {
        status = large(figures, &data->tokens->cells.cells[i], error);
    }
    return status;
}

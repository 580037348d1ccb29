/* SPDX-License-Identifier: Apache-2.0 */
/* Figures with one row or point per cell: all cells of a run against each other. */
#include "experiment/report_charts.h"

#include "base/memory.h"
#include "experiment/report_rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const sc_analysis_row *row_of(const sc_report_cell *cell)
{
    return &cell->numbers->rows[SC_ANALYSIS_FREQUENCY];
}

static bool has_pairs(const sc_report_cell *cell)
{
    return row_of(cell)->calibration.n > 0;
}

/* ---- smECE of every cell with its floors ---- */

#define READING                                                                                                        \
    "The dot is smECE by frequency with its 95 % interval, the ring the split estimator, which has no selection "      \
    "bias. "                                                                                                           \
    "The grey bar ends at what a calibrated model with as many questions and draws stays below in 95 % of cases, the " \
    "mark in it is its mean: a dot inside the bar shows no miscalibration, a blue one. On the right the "              \
    "overconfidence: orange above 0, blue below, grey where its interval holds 0."

static semcal_status chart_smece(sc_report_figures *figures, const sc_report_data *data, semcal_error *error)
{
    static const char reading[] = READING;
    static const char reading_tokens[] = READING
        " Rows of tokens are the same for the next token of a plain text: the most probable one for the answer, "
        "its probability for the confidence; with so many tokens the bar is short.";
    sc_report_rows r;
    semcal_status status = sc_report_rows_make(&r, data, has_pairs, error);
    sc_report_figure *f = NULL;
    const double left = r.label + 24, width = 460;
    if (status == SEMCAL_OK) {
        f = sc_report_figure_begin(figures, "smece", (int)(left + width + 84), (int)(r.top + r.height + 48),
                                   "SmoothECE of every cell",
                                   data->cells[data->n_cells - 1].text == NULL ? reading : reading_tokens, error);
        status = f == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    if (status == SEMCAL_OK) {
        double most = .05;
        sc_report_put(&f->data, "# pixel row, smECE, low, high, floor mean, floor 95 %%, split smECE, 1: above the "
                                "floor, cell\n");
        for (size_t i = 0; i < data->n_cells; i++) {
            const sc_report_cell *cell = &data->cells[i];
            const sc_analysis_row *row = row_of(cell), *split = &cell->numbers->rows[SC_ANALYSIS_SPLIT];
            if (!isfinite(r.y[i])) {
                continue;
            }
            bool model = isfinite(row->model_floor.point_95);
            double floor_95 = model ? row->model_floor.point_95 : row->calibration.smece_floor_95;
            most = fmax(most, fmax(row->calibration.smece_ci[1], fmax(row->calibration.smece, floor_95)));
            sc_report_put(&f->data, "%.1f %.5g %.5g %.5g %.5g %.5g %.5g %d \"%s\"\n", r.y[i], row->calibration.smece,
                          row->calibration.smece_ci[0], row->calibration.smece_ci[1],
                          model ? row->model_floor.mean : row->calibration.smece_floor, floor_95,
                          split->calibration.n > 0 ? split->calibration.smece : (double)NAN,
                          sc_report_cell_verdict(cell->numbers) == SC_REPORT_ABOVE, cell->numbers->name);
            char t[16];
            const char *colour = row->calibration.overconfidence_ci[0] > 0   ? "orange"
                                 : row->calibration.overconfidence_ci[1] < 0 ? "blue"
                                                                             : "mute";
            char line[64];
            (void)snprintf(line, sizeof line, "%s%s", row->calibration.overconfidence > 0 ? "+" : "",
                           sc_report_share(t, row->calibration.overconfidence));
            sc_report_label(f, left + width + 60, r.y[i], "right", colour, 12, line);
        }
        (void)sc_report_block_end(f);
        sc_report_rows_names(f, &r, left - 12);
        sc_report_label(
            f, left, r.top - 10, "left", "mute", 11,
            "\xe2\x97\x8f by frequency, with interval   \xe2\x97\x8b split   \xe2\x96\xae 95 % of calibrated "
            "models   \xe2\x94\x82 their mean");
        sc_report_label(f, left + width + 60, r.top - 10, "right", "mute", 11, "over-");
        sc_report_label(f, left + width + 60, r.top + 4, "right", "mute", 11, "confidence");
        sc_report_panel(f, left, r.top, width, r.height);
        sc_report_put(
            &f->script,
            "set yrange [%g:%g]; set xrange [0:%g]\n"
            "unset ytics; set border 1; set xtics %g\nset xlabel 'smECE' textcolor rgb mute offset 0,0.3\n"
            "plot data using ($6/2):1:($6/2):(5) with boxxyerror fillcolor rgb faint fillstyle solid noborder, "
            "\\\n     data using 5:($1-5):(0):(10) with vectors nohead linecolor rgb mute linewidth 1.5, \\\n"
            "     for [k=0:1] data using 2:($8 == k ? $1 : NaN):3:4 with xerrorbars pointtype 7 pointsize 0.9 "
            "linewidth 1.6 linecolor rgb (k ? orange : blue), \\\n"
            "     for [k=0:1] data using 7:($8 == k ? $1 : NaN) with points pointtype 6 pointsize 0.9 linewidth "
            "1.4 linecolor rgb (k ? orange : blue)\n",
            r.top + r.height, r.top, most * 1.04, sc_report_tick_step(most, 6));
        sc_report_panel_end(f);
        status = sc_report_figure_end(figures, error);
    }
    free(r.y);
    return status;
}

/* ---- smECE against accuracy ---- */

typedef struct box {
    double x, y, width, height;
} box;

static bool overlap(const box *a, const box *b)
{
    return a->x < b->x + b->width && b->x < a->x + a->width && a->y < b->y + b->height && b->y < a->y + a->height;
}

/* Puts a text beside the point where it hides no other: tries places around it. */
static void place_text(sc_report_figure *figure, box *taken, size_t *n_taken, double x, double y, const char *colour,
                       const char *text, const box *frame)
{
    const double width = .9 * sc_report_text_width(text), height = 13;
    static const double dx[] = {8, -8, 8, -8, 8, -8, 8, -8}, dy[] = {0, 0, -13, -13, 13, 13, -26, -26};
    size_t best = 0, fewest = SIZE_MAX;
    box at = {0};
    for (size_t k = 0; k < 8; k++) {
        const box b = {dx[k] > 0 ? x + dx[k] : x + dx[k] - width, y + dy[k] - height / 2, width, height};
        size_t hits = b.x < frame->x || b.x + width > frame->x + frame->width ? 3 : 0;
        for (size_t i = 0; i < *n_taken; i++) {
            hits += overlap(&b, &taken[i]);
        }
        if (hits < fewest) {
            fewest = hits;
            best = k;
            at = b;
        }
    }
    taken[(*n_taken)++] = at;
    sc_report_label(figure, x + dx[best], y + dy[best], dx[best] > 0 ? "left" : "right", colour, 11, text);
}

/* The axes of the chart of smECE against accuracy. */
typedef struct axes {
    box frame;
    double least, width, most; /* accuracy from, its range; smECE to */
} axes;

static double axes_x(const axes *a, double accuracy)
{
    return a->frame.x + (accuracy - a->least) / a->width * a->frame.width;
}

static double floor_of(const sc_analysis_row *row)
{
    return isfinite(row->model_floor.mean) ? row->model_floor.mean : row->calibration.smece_floor;
}

static double axes_y(const axes *a, double smece)
{
    return a->frame.y + (1 - smece / a->most) * a->frame.height;
}

static axes find_axes(const sc_report_data *data)
{
    axes a = {.frame = {64, 30, 600, 340}, .least = 1, .most = .05};
    double best = 0;
    for (size_t i = 0; i < data->n_cells; i++) {
        const sc_calibration *c = &row_of(&data->cells[i])->calibration;
        if (c->n > 0) {
            a.most = fmax(a.most, fmax(c->smece, c->smece_ci[1]));
            a.least = fmin(a.least, c->accuracy);
            best = fmax(best, c->accuracy);
        }
    }
    a.most *= 1.05;
    a.least = fmax(0, floor(a.least * 10 - .5) / 10);
    a.width = fmin(1, ceil(best * 10 + .2) / 10) - a.least;
    a.width = fmax(a.width, .2);
    return a;
}

static void put_accuracy(sc_report_figure *f, const sc_report_data *data, const axes *a, box *taken)
{
    size_t n_taken = 0;
    const box *frame = &a->frame;
    for (size_t i = 0; i < data->n_cells; i++) {
        const sc_calibration *c = &row_of(&data->cells[i])->calibration;
        if (c->n > 0) {
            double x = axes_x(a, c->accuracy), y = axes_y(a, c->smece);
            taken[n_taken++] = (box){x - 5, y - 5, 10, 10};
            taken[n_taken++] = (box){x - 8, axes_y(a, floor_of(row_of(&data->cells[i]))) - 2, 16, 4};
            if (isfinite(c->smece_ci[0])) {
                double top = axes_y(a, c->smece_ci[1]);
                taken[n_taken++] = (box){x - 3, top, 6, axes_y(a, c->smece_ci[0]) - top};
            }
        }
    }
    for (size_t d = 0; d < data->n_datasets; d++) {
        sc_report_put(&f->data, "# %s: accuracy, low, high, smECE, low, high, model floor, cell\n", data->datasets[d]);
        bool any = false;
        for (size_t i = 0; i < data->n_cells; i++) {
            const sc_report_cell *cell = &data->cells[i];
            const sc_analysis_row *row = row_of(cell);
            const sc_calibration *c = &row->calibration;
            if (c->n == 0 || strcmp(cell->numbers->dataset, data->datasets[d]) != 0) {
                continue;
            }
            any = true;
            sc_report_put(&f->data, "%.5g %.5g %.5g %.5g %.5g %.5g %.5g \"%s\"\n", c->accuracy, c->accuracy_ci[0],
                          c->accuracy_ci[1], c->smece, c->smece_ci[0], c->smece_ci[1], floor_of(row),
                          cell->numbers->name);
            char name[128];
            sc_report_row_name(name, cell);
            place_text(f, taken, &n_taken, axes_x(a, c->accuracy), axes_y(a, c->smece), sc_report_colour_of(d), name,
                       frame);
        }
        if (!any) {
            sc_report_put(&f->data, "NaN NaN NaN NaN NaN NaN NaN \"\"\n");
        }
        (void)sc_report_block_end(f);
        sc_report_label(f, frame->x + frame->width, frame->y - 16 + 16 * (double)d, "right", sc_report_colour_of(d),
                        -12, data->datasets[d]);
    }
}

static semcal_status chart_accuracy(sc_report_figures *figures, const sc_report_data *data, semcal_error *error)
{
    const axes a = find_axes(data);
    box *taken = sc_memory_alloc(4 * data->n_cells, sizeof *taken, error);
    sc_report_figure *f = NULL;
    if (taken != NULL) {
        f = sc_report_figure_begin(
            figures, "smece_accuracy", 690, 430, "Calibration against accuracy",
            "A model that is right more often is not for that better calibrated: height is smECE "
            "with its 95 % interval, the dash below or above each point its model floor, what a "
            "calibrated model with these confidences scores on average.",
            error);
    }
    semcal_status status = f == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK) {
        put_accuracy(f, data, &a, taken);
        sc_report_panel(f, a.frame.x, a.frame.y, a.frame.width, a.frame.height);
        sc_report_put(&f->script,
                      "set xrange [%g:%g]; set yrange [0:%g]; set xtics 0.1; set ytics %g\n"
                      "set xlabel 'accuracy' textcolor rgb mute offset 0,0.3\n"
                      "set ylabel 'smECE' textcolor rgb mute offset 0.5,0\nplot ",
                      a.least, a.least + a.width, a.most, sc_report_tick_step(a.most, 6));
        for (size_t d = 0; d < data->n_datasets; d++) {
            const char *colour = sc_report_colour_of(d);
            sc_report_put(
                &f->script,
                "%sdata index %zu using ($1-%g):7:(%g):(0) with vectors nohead linecolor rgb mute "
                "linewidth 2, \\\n     data index %zu using 1:4:5:6 with yerrorbars pointtype 7 pointsize 0.9 "
                "linewidth 1.2 linecolor rgb %s",
                d > 0 ? ", \\\n     " : "", d, .012 * a.width, .024 * a.width, d, colour);
        }
        sc_report_put(&f->script, "\n");
        sc_report_panel_end(f);
        status = sc_report_figure_end(figures, error);
    }
    free(taken);
    return status;
}

/* ---- overconfidence of the models ---- */

static const sc_report_cell *find(const sc_report_data *data, size_t dataset, size_t style, size_t variant)
{
    const sc_report_cell *cell =
        sc_report_data_find(data, data->datasets[dataset], data->styles[style], data->variants[variant]);
    return cell != NULL && has_pairs(cell) ? cell : NULL;
}

/* Where each variant stands on the horizontal axis. True when all sizes are known and differ: the axis is the size. */
static bool places_of(double *place, const sc_report_data *data)
{
    bool sized = data->n_variants > 1;
    for (size_t v = 0; v < data->n_variants; v++) {
        place[v] = 0;
        for (size_t i = 0; i < data->n_cells; i++) {
            if (strcmp(data->cells[i].variant, data->variants[v]) == 0) {
                place[v] = data->cells[i].weight_bytes;
            }
        }
        sized = sized && place[v] > 0;
        for (size_t w = 0; w < v; w++) {
            sized = sized && place[w] != place[v];
        }
    }
    for (size_t v = 0; v < data->n_variants; v++) {
        place[v] = sized ? log2(place[v] / 1e6) : (double)v;
    }
    return sized;
}

static void put_overconfidence(sc_report_figure *f, const sc_report_data *data, size_t d, const double *place,
                               bool sized, double spread)
{
    for (size_t s = 0; s < data->n_styles; s++) {
        double shift = ((double)s - .5 * (double)(data->n_styles - 1)) * spread;
        sc_report_put(&f->data, "# %s, %s: place, overconfidence, low, high, model\n", data->datasets[d],
                      data->styles[s]);
        bool any = false;
        for (size_t v = 0; v < data->n_variants; v++) {
            const sc_report_cell *cell = find(data, d, s, v);
            if (cell != NULL) {
                const sc_calibration *c = &row_of(cell)->calibration;
                sc_report_put(&f->data, "%.4f %.5g %.5g %.5g \"%s\"\n", place[v] + shift, c->overconfidence,
                              c->overconfidence_ci[0], c->overconfidence_ci[1], data->variants[v]);
                any = true;
            }
        }
        if (!any) {
            sc_report_put(&f->data, "NaN NaN NaN NaN \"\"\n");
        }
        size_t block = sc_report_block_end(f);
        const char *colour = sc_report_colour_of(s);
        if (sized) {
            sc_report_put(&f->script, "%s data index %zu using 1:2 with lines linecolor rgb %s linewidth 1",
                          s == 0 ? "plot" : ", \\\n    ", block, colour);
        }
        sc_report_put(&f->script,
                      "%s data index %zu using 1:2:3:4 with yerrorbars pointtype 7 pointsize 0.9 linewidth 1.6 "
                      "linecolor rgb %s",
                      s == 0 && !sized ? "plot" : ", \\\n    ", block, colour);
    }
    sc_report_put(&f->script, "\n");
}

static double overconfidence_range(const sc_report_data *data)
{
    double most = .05;
    for (size_t i = 0; i < data->n_cells; i++) {
        const sc_calibration *c = &row_of(&data->cells[i])->calibration;
        if (c->n > 0) {
            most = fmax(most, fmax(fabs(c->overconfidence),
                                   fmax(fabs(c->overconfidence_ci[0]), fabs(c->overconfidence_ci[1]))));
        }
    }
    return most * 1.1;
}

static void put_overconfidence_panels(sc_report_figure *f, const sc_report_data *data, const double *place, bool sized,
                                      double width)
{
    double most = overconfidence_range(data), least_place = INFINITY, most_place = -INFINITY;
    for (size_t v = 0; v < data->n_variants; v++) {
        least_place = fmin(least_place, place[v]);
        most_place = fmax(most_place, place[v]);
    }
    for (size_t d = 0; d < data->n_datasets; d++) {
        double x = 70 + (double)d * (width + 20);
        sc_report_label(f, x, 18, "left", "ink", -13, data->datasets[d]);
        for (size_t s = 0; s < data->n_styles && d == 0; s++) {
            sc_report_label(f, 70 + (double)data->n_datasets * (width + 20), 50 + 18 * (double)s, "left",
                            sc_report_colour_of(s), 12, data->styles[s]);
        }
        sc_report_panel(f, x, 36, width, 240);
        sc_report_put(&f->script,
                      "set xrange [%g:%g]; set yrange [%g:%g]; set ytics %g; set format y '%s'\n"
                      "set arrow from graph 0,first 0 to graph 1,first 0 nohead back linecolor rgb mute linewidth 0.8\n"
                      "set ylabel '%s' textcolor rgb mute offset 0.5,0\nset xtics (",
                      least_place - .6, most_place + .6, -most, most, sc_report_tick_step(2 * most, 6),
                      d == 0 ? "%g" : "", d == 0 ? "overconfidence" : "");
        for (size_t v = 0; v < data->n_variants; v++) {
            sc_report_put(&f->script, v > 0 ? ", " : "");
            sc_report_put_gnuplot(&f->script, data->variants[v]);
            sc_report_put(&f->script, " %.4f", place[v]);
        }
        sc_report_put(&f->script, ")%s\n", data->n_variants > 4 ? " rotate by 35 right" : "");
        put_overconfidence(f, data, d, place, sized, sized ? 0 : .16);
        sc_report_panel_end(f);
    }
}

static semcal_status chart_overconfidence(sc_report_figures *figures, const sc_report_data *data, semcal_error *error)
{
    if (data->n_variants < 2) {
        return SEMCAL_OK;
    }
    double *place = sc_memory_alloc(data->n_variants, sizeof *place, error);
    if (place == NULL) {
        return SEMCAL_E_MEMORY;
    }
    bool sized = places_of(place, data);
    double width = fmax(160, 84 * (double)data->n_variants);
    sc_report_figure *f = sc_report_figure_begin(
        figures, "overconfidence", (int)(90 + (double)data->n_datasets * (width + 20) + 80), 340,
        sized ? "Overconfidence against model size" : "Overconfidence of the models",
        sized ? "Mean confidence minus accuracy with its 95 % interval, models by the size of their weights "
                "(logarithmic): above the line a model claims more than it keeps, below it less."
              : "Mean confidence minus accuracy with its 95 % interval: above the line a model claims more than it "
                "keeps, "
                "below it less.",
        error);
    semcal_status status = SEMCAL_E_MEMORY;
    if (f != NULL) {
        put_overconfidence_panels(f, data, place, sized, width);
        status = sc_report_figure_end(figures, error);
    }
    free(place);
    return status;
}

/* ---- draws per forward ---- */

static bool has_draws(const sc_report_cell *cell)
{
    return isfinite(cell->numbers->draws_per_forward) && cell->numbers->draws_per_forward > 0;
}

static semcal_status chart_draws(sc_report_figures *figures, const sc_report_data *data, semcal_error *error)
{
    sc_report_rows r;
    semcal_status status = sc_report_rows_make(&r, data, has_draws, error);
    double most = 0, least = 1;
    for (size_t i = 0; i < data->n_cells; i++) {
        most = has_draws(&data->cells[i]) ? fmax(most, data->cells[i].numbers->draws_per_forward) : most;
        least = has_draws(&data->cells[i]) ? fmin(least, data->cells[i].numbers->draws_per_forward) : least;
    }
    if (status != SEMCAL_OK || most == 0) {
        free(r.y);
        return status;
    }
    const double left = r.label + 24, width = 480;
    most = fmax(most * 1.3, 4);
    least = exp2(floor(log2(least)));
    sc_report_figure *f = sc_report_figure_begin(
        figures, "draws_per_forward", (int)(left + width + 60), (int)(r.top + r.height + 48), "Draws per forward",
        "Tokens drawn for each token run through the model, on a logarithmic scale. At 1, nothing is shared; above it, "
        "draws that begin alike share the work, so that at 5 fifty draws cost as much as ten alone. The more certain a "
        "model, "
        "the more is shared.",
        error);
    status = f == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK) {
        sc_report_put(&f->data, "# pixel row, draws per forward, tokens drawn, tokens forward, cell\n");
        for (size_t i = 0; i < data->n_cells; i++) {
            const sc_analysis_cell *n = data->cells[i].numbers;
            if (isfinite(r.y[i])) {
                sc_report_put(&f->data, "%.1f %.5g %.0f %.0f \"%s\"\n", r.y[i], n->draws_per_forward, n->draw_tokens,
                              n->forward_tokens, n->name);
            }
        }
        (void)sc_report_block_end(f);
        sc_report_rows_names(f, &r, left - 12);
        sc_report_panel(f, left, r.top, width, r.height);
        sc_report_put(&f->script,
                      "set logscale x 2; set xrange [%g:%g]; set yrange [%g:%g]\n"
                      "unset ytics; set border 1; set xtics 2; set format x '%%g'\n"
                      "set xlabel 'tokens drawn per token run through the model' textcolor rgb mute offset 0,0.3\n"
                      "plot data using (%g):1:($2-%g):(0) with vectors nohead linecolor rgb faint linewidth 2, \\\n"
                      "     data using 2:1 with points pointtype 7 pointsize 1 linecolor rgb blue, \\\n"
                      "     data using 2:1:(sprintf('%%.1f',$2)) with labels left offset 1,0 textcolor rgb ink font "
                      "',11'\n",
                      least, most, r.top + r.height, r.top, least, least);
        sc_report_panel_end(f);
        status = sc_report_figure_end(figures, error);
    }
    free(r.y);
    return status;
}

semcal_status sc_report_charts(sc_report_figures *figures, const sc_report_data *data, semcal_error *error)
{
    sc_report_data all;
    bool any = false;
    semcal_status status = sc_report_data_join(&all, data, error);
    for (size_t i = 0; i < all.n_cells; i++) {
        any = any || has_pairs(&all.cells[i]);
    }
    if (status == SEMCAL_OK && any) {
        status = chart_smece(figures, &all, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_report_loss_gaps(figures, &all, error);
    }
    sc_report_data_join_free(&all);
    if (status == SEMCAL_OK) {
        status = chart_overconfidence(figures, data, error);
    }
    if (status == SEMCAL_OK && data->n_cells > 0) {
        status = chart_accuracy(figures, data, error);
    }
    return status == SEMCAL_OK ? chart_draws(figures, data, error) : status;
}

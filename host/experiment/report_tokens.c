/* SPDX-License-Identifier: Apache-2.0 */
/* What next-token calibration shows beyond its reliability, and what tilts would save at either level. */
#include "experiment/report_charts.h"
#include "experiment/report_grid.h"
#include "experiment/report_rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has_text(const sc_report_cell *cell)
{
    return cell->text != NULL && cell->text->n_tokens > 0;
}

/* ---- classes of tokens ---- */

enum { CLASSES_SHOWN = 12 };

typedef struct shown {
    size_t class;
    double most; /* the larger of share and probability */
} shown;

static int largest_first(const void *a, const void *b)
{
    const shown *x = a, *y = b;
    return x->most != y->most ? (x->most < y->most) - (x->most > y->most)
                              : (x->class > y->class) - (x->class < y->class);
}

/* The largest classes of a text, largest first; returns how many. */
static size_t find_shown(shown largest[CLASSES_SHOWN], const sc_analysis_text *n)
{
    size_t found = 0;
    for (size_t k = 0; k < n->n_classes; k++) {
        const shown next = {k, fmax(n->class_frequency[k], n->class_mass[k])};
        if (found < CLASSES_SHOWN && next.most > 0) {
            largest[found++] = next;
        } else if (found > 0 && largest_first(&next, &largest[found - 1]) < 0) {
            largest[found - 1] = next;
        }
        qsort(largest, found, sizeof *largest, largest_first);
    }
    return found;
}

static double classes_range(const sc_report_cell *cell)
{
    shown largest[CLASSES_SHOWN];
    return find_shown(largest, cell->text) > 0 ? largest[0].most : 0;
}

static void classes_panel(sc_report_figure *figure, const sc_report_cell *cell, const sc_report_place *place)
{
    const sc_analysis_text *n = cell->text;
    shown largest[CLASSES_SHOWN];
    const size_t found = find_shown(largest, n);
    const double range = place->range * 1.7;         /* room for words on the right */
    const size_t n_rows = found < 6 ? 8 : found + 2; /* and for the legend below */
    sc_report_put(&figure->data, "# %s\n# row, share of tokens, mean probability of the class, best bias (nats)\n",
                  n->name);
    for (size_t i = 0; i < found; i++) {
        const size_t k = largest[i].class;
        char label[64];
        sc_report_put(&figure->data, "%zu %.6g %.6g %.4g\n", i, n->class_frequency[k], n->class_mass[k],
                      n->class_bias[k]);
        (void)snprintf(label, sizeof label, "%.18s", n->labels[k]);
        sc_report_label(figure, place->x + largest[i].most / range * place->width + 9,
                        place->y + ((double)i + 1) / (double)(n_rows + 1) * place->height, "left", "ink", 10, label);
    }
    const size_t block = sc_report_block_end(figure);
    sc_report_label(figure, place->x + place->width - 4, place->y + place->height - 26, "right", "blue", 10,
                    "\xe2\x97\x8f share of tokens");
    sc_report_label(figure, place->x + place->width - 4, place->y + place->height - 12, "right", "orange", 10,
                    "\xe2\x97\x8b probability");
    sc_report_put(
        &figure->script,
        "set xrange [0:%g]; set yrange [%d:-1]; set xtics %g; unset ytics\n"
        "plot data index %zu using 2:1:($3-$2):(0) with vectors nohead linewidth 1.6 linecolor rgb mute, \\\n"
        "     data index %zu using 3:1 with points pointtype 6 pointsize 0.9 linewidth 1.6 linecolor rgb "
        "orange, \\\n     data index %zu using 2:1 with points pointtype 7 pointsize 0.7 linecolor rgb blue\n",
        range, (int)n_rows, sc_report_tick_step(range, 4), block, block, block);
}

/* ---- temperature ---- */

/* What the temperature at grid point p costs against the text's own law, nats per token. */
static double cost_of(const sc_analysis_text *n, size_t p)
{
    return n->loss[p] - n->loss[SC_TEMPERATURE_ONE];
}

static void temperature_panel(sc_report_figure *figure, const sc_report_cell *cell, const sc_report_place *place)
{
    const sc_analysis_text *n = cell->text;
    double least = 0, most = .002;
    sc_report_put(&figure->data, "# %s\n# multiple of the temperature, loss minus the loss as it is, nats per token\n",
                  n->name);
    for (size_t p = 0; p < SC_TEMPERATURES; p++) {
        sc_report_put(&figure->data, "%.6g %.6g\n", sc_token_gap_multiplier(p), cost_of(n, p));
        least = fmin(least, cost_of(n, p));
        most = fmax(most, cost_of(n, p));
    }
    const size_t block = sc_report_block_end(figure);
    const double height = most - least, low = least - .08 * height, high = most + .45 * height;
    char line[64];
    const bool saves = n->gap[SC_TEXT_TEMPERATURE_GAP].ci[0] > 0;
    (void)snprintf(line, sizeof line, "best at %.2f", n->temperature_best);
    sc_report_label(figure, place->x + 10, place->y + 12, "left", saves ? "orange" : "blue", -11, line);
    (void)snprintf(line, sizeof line, "saves %.4f nats", n->gap[SC_TEXT_TEMPERATURE_GAP].crossfit);
    sc_report_label(figure, place->x + 10, place->y + 27, "left", "mute", 10, line);
    sc_report_put(
        &figure->script,
        "set logscale x 2; set xrange [0.48:2.08]; set yrange [%g:%g]; set xtics ('1/2' 0.5, '1' 1, '2' 2)\n"
        "set ytics %g; set format y '%%g'\nset arrow from graph 0,first 0 to graph 1,first 0 nohead back linecolor rgb "
        "mute "
        "linewidth 0.8\nset arrow from %g,graph 0 to %g,graph 0.08 nohead front linecolor rgb %s linewidth 2\n"
        "plot data index %zu using 1:2 with linespoints pointtype 7 pointsize 0.5 linewidth 2 linecolor rgb "
        "%s\nunset logscale\n",
        low, high, sc_report_tick_step(high - low, 5), n->temperature_best, n->temperature_best,
        saves ? "orange" : "blue", block, saves ? "orange" : "blue");
}

semcal_status sc_report_tokens_panels(sc_report_figures *figures, const sc_report_data *data, semcal_error *error)
{
    static const sc_report_grid grids[] = {
        {.name = "next_token_classes",
         .title = "Classes of tokens",
         .reading =
             "The largest classes of tokens: the dot is how often a token of the class comes, the ring the mean "
             "probability the model gives to the class. A ring to the right of its dot is a class the model expects "
             "too often, one to the left too seldom; a ring around its dot is right on average. The biases that would "
             "set them right are in text_classes.csv.",
         .x_label = "share of all tokens",
         .y_label = "classes",
         .aspect = 1.1,
         .has = has_text,
         .range = classes_range,
         .panel = classes_panel},
        {.name = "next_token_temperature",
         .title = "Next-token loss at other temperatures",
         .reading =
             "How much the log loss per token changes when the logits are divided by a temperature. A calibrated "
             "model loses at every temperature but its own, 1; a minimum to the right of 1 is overconfidence, to the "
             "left underconfidence. The saving is cross-fitted over blocks of text; orange where its 95 % interval "
             "lies above 0. Each panel has its own scale.",
         .gap = 48,
         .x_label = "temperature",
         .y_label = "change of the loss, nats",
         .aspect = .8,
         .has = has_text,
         .panel = temperature_panel},
    };
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; data->tokens != NULL && i < sizeof grids / sizeof *grids && status == SEMCAL_OK; i++) {
        status = sc_report_grids(figures, &data->tokens->cells, &grids[i], error);
    }
    return status;
}

/* ---- loss gaps of both kinds of cells ---- */

/* 1-Lipschitz tilts of the confidence: of the mode, or of the most probable token. */
typedef struct gap {
    double in_sample, crossfit, low, high, floor_95; /* interval: of the in-sample gap, of a text's cross-fitted one */
    bool above;
} gap;

static gap gap_of(const sc_report_cell *cell)
{
    if (cell->text != NULL) {
        const sc_text_gap *g = &cell->text->gap[SC_TEXT_LIPSCHITZ_GAP];
        return (gap){g->in_sample, g->crossfit, g->ci[0], g->ci[1], NAN, g->ci[0] > 0};
    }
    const sc_calibration *c = &cell->numbers->rows[SC_ANALYSIS_FREQUENCY].calibration;
    const sc_gap_spread *s = &c->pgap_spread;
    return (gap){c->pgap[SC_GAP_LIPSCHITZ],        c->pgap_crossfit[SC_GAP_LIPSCHITZ],
                 s->interval[SC_GAP_LIPSCHITZ][0], s->interval[SC_GAP_LIPSCHITZ][1],
                 s->floor_95[SC_GAP_LIPSCHITZ],    c->pgap[SC_GAP_LIPSCHITZ] > s->floor_95[SC_GAP_LIPSCHITZ]};
}

static bool has_gap(const sc_report_cell *cell)
{
    return cell->numbers->rows[SC_ANALYSIS_FREQUENCY].calibration.n > 0 && isfinite(gap_of(cell).in_sample);
}

static void put_gaps(sc_report_figure *f, const sc_report_data *all, const sc_report_rows *r, double *least,
                     double *most)
{
    sc_report_put(&f->data, "# pixel row, gap in sample, cross-fitted, low, high, floor 95 %%, 1: above the floor, "
                            "place of the interval (2: in sample, 3: cross-fitted), cell\n");
    for (size_t i = 0; i < all->n_cells; i++) {
        if (!isfinite(r->y[i])) {
            continue;
        }
        const gap g = gap_of(&all->cells[i]);
        const double numbers[] = {g.in_sample, g.crossfit, g.low, g.high, g.floor_95};
        for (size_t k = 0; k < 5; k++) {
            *most = isfinite(numbers[k]) ? fmax(*most, numbers[k]) : *most;
            *least = isfinite(numbers[k]) ? fmin(*least, numbers[k]) : *least;
        }
        sc_report_put(&f->data, "%.1f", r->y[i]);
        for (size_t k = 0; k < 5; k++) {
            sc_report_put(&f->data, isfinite(numbers[k]) ? " %.6g" : " NaN", numbers[k]);
        }
        sc_report_put(&f->data, " %d %d \"%s\"\n", g.above, all->cells[i].text != NULL ? 3 : 2,
                      all->cells[i].numbers->name);
    }
    (void)sc_report_block_end(f);
}

semcal_status sc_report_loss_gaps(sc_report_figures *figures, const sc_report_data *all, semcal_error *error)
{
    static const char reading[] =
        "The log loss that the best 1-Lipschitz tilt of the confidence would save: the other side of calibration, nats "
        "per question, for rows of tokens nats per token. The dot is cross-fitted, what the tilt saves on what it was "
        "not fitted to; at 0 or below, nothing can be gained. The ring is in sample, which always finds some: the grey "
        "bar ends at what it finds for a calibrated model in 95 % of cases. The line is the 95 % interval of the ring, "
        "for tokens that of the dot. Orange: more than a calibrated model would seem to save.";
    sc_report_rows r;
    semcal_status status = sc_report_rows_make(&r, all, has_gap, error);
    const double left = r.label + 24, width = 480;
    bool any = false;
    for (size_t i = 0; status == SEMCAL_OK && i < all->n_cells; i++) {
        any = any || isfinite(r.y[i]);
    }
    if (status == SEMCAL_OK && any) {
        double least = 0, most = .005;
        sc_report_figure *f =
            sc_report_figure_begin(figures, "loss_gaps", (int)(left + width + 24), (int)(r.top + r.height + 48),
                                   "What calibrating would save", reading, error);
        status = f == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
        if (f != NULL) {
            put_gaps(f, all, &r, &least, &most);
            sc_report_rows_names(f, &r, left - 12);
            sc_report_label(
                f, left, r.top - 10, "left", "mute", 11,
                "\xe2\x97\x8f cross-fitted   \xe2\x97\x8b in sample   \xe2\x96\xae 95 % of calibrated models");
            sc_report_panel(f, left, r.top, width, r.height);
            sc_report_put(
                &f->script,
                "set yrange [%g:%g]; set xrange [%g:%g]\nunset ytics; set border 1; set xtics %g\n"
                "set xlabel 'loss saved, nats' textcolor rgb mute offset 0,0.3\n"
                "set arrow from 0,graph 0 to 0,graph 1 nohead back linecolor rgb mute linewidth 0.8\n"
                "plot data using ($6/2):1:($6/2):(5) with boxxyerror fillcolor rgb faint fillstyle solid "
                "noborder, \\\n"
                "     for [k=0:1] data using 4:($7 == k ? $1 : NaN):($5-$4):(0) with vectors nohead linewidth "
                "1.6 linecolor rgb (k ? orange : blue), \\\n"
                "     for [k=0:1] data using 2:($7 == k ? $1 : NaN) with points pointtype 6 pointsize 0.9 "
                "linewidth 1.4 linecolor rgb (k ? orange : blue), \\\n"
                "     for [k=0:1] data using 3:($7 == k ? $1 : NaN) with points pointtype 7 pointsize 0.9 "
                "linecolor rgb (k ? orange : blue)\n",
                r.top + r.height, r.top, least * 1.1, most * 1.04, sc_report_tick_step(most - least, 6));
            sc_report_panel_end(f);
            status = sc_report_figure_end(figures, error);
        }
    }
    free(r.y);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A run in a terminal: a table, and a reliability diagram of every cell in Braille. */
#include "cli/show.h"
#include "cli/terminal.h"
#include "experiment/analyze.h"
#include "experiment/report_text.h"
#include "experiment/run_state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 26, HEIGHT = 11, DOTS_X = 2 * WIDTH, DOTS_Y = 4 * HEIGHT, GAP = 3 };

/* A row of the table: a cell, or a cell of text, whose items are tokens. */
typedef struct line {
    const char *name;
    double n, accuracy, mean_confidence, overconfidence, smece, low, high, floor, floor_95, split, sigma;
    const double *curve, *density; /* [SC_ANALYSIS_CURVE] */
} line;

typedef struct lines {
    line *at;
    size_t n, n_cells; /* the cells first, then the text cells */
} lines;

static line of_cell(const sc_analysis_cell *cell)
{
    const sc_analysis_row *row = &cell->rows[SC_ANALYSIS_FREQUENCY], *split = &cell->rows[SC_ANALYSIS_SPLIT];
    const sc_calibration *c = &row->calibration;
    const double n = (double)cell->n_questions;
    if (c->n == 0) {
        return (line){cell->name, n, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, row->curve, row->density};
    }
    const bool model = isfinite(row->model_floor.point_95);
    return (line){cell->name,
                  n,
                  c->accuracy,
                  c->mean_confidence,
                  c->overconfidence,
                  c->smece,
                  c->smece_ci[0],
                  c->smece_ci[1],
                  model ? row->model_floor.mean : c->smece_floor,
                  model ? row->model_floor.point_95 : c->smece_floor_95,
                  split->calibration.n > 0 ? split->calibration.smece : (double)NAN,
                  c->smece_sigma,
                  row->curve,
                  row->density};
}

static line of_text(const sc_analysis_text *x)
{
    return (line){x->name,        x->n_tokens,    x->accuracy,    x->mean_confidence, x->overconfidence,  x->smece,
                  x->smece_ci[0], x->smece_ci[1], x->smece_floor, x->smece_floor_95,  x->smece_classwise, x->smece,
                  x->curve,       x->density};
}

static semcal_status make_lines(lines *l, const sc_analysis *analysis, semcal_error *error)
{
    l->n_cells = analysis->n_cells;
    l->n = analysis->n_cells + analysis->n_texts;
    l->at = sc_memory_alloc(l->n, sizeof *l->at, error);
    for (size_t i = 0; l->at != NULL && i < l->n; i++) {
        l->at[i] = i < l->n_cells ? of_cell(&analysis->cells[i]) : of_text(&analysis->texts[i - l->n_cells]);
    }
    return l->at == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
}

/* A diagram: dots of the curve, and of the diagonal. */
typedef struct canvas {
    bool dots[DOTS_Y][DOTS_X];
    const char *bar[WIDTH]; /* how many questions are at this confidence */
} canvas;

static void dot(canvas *c, double x, double y)
{
    long column = lround(x * (DOTS_X - 1)), row = lround((1 - y) * (DOTS_Y - 1));
    if (column >= 0 && column < DOTS_X && row >= 0 && row < DOTS_Y) {
        c->dots[row][column] = true;
    }
}

static void draw(canvas *c, const line *cell)
{
    static const char *const blocks[] = {" ",
                                         "\xe2\x96\x81",
                                         "\xe2\x96\x82",
                                         "\xe2\x96\x83",
                                         "\xe2\x96\x84",
                                         "\xe2\x96\x85",
                                         "\xe2\x96\x86",
                                         "\xe2\x96\x87",
                                         "\xe2\x96\x88"};
    double densest = 1e-9, width = cell->sigma > .01 ? cell->sigma : .01;
    memset(c, 0, sizeof *c);
    for (size_t i = 0; i < SC_ANALYSIS_CURVE; i++) {
        densest = cell->density[i] > densest ? cell->density[i] : densest;
    }
    for (size_t k = 0; k < DOTS_X; k += 3) {
        dot(c, (double)k / (DOTS_X - 1), (double)k / (DOTS_X - 1));
    }
    for (size_t i = 0; i < SC_ANALYSIS_CURVE; i++) {
        double questions = cell->n * cell->density[i] * width * 3.5449077018110318; /* 2 sqrt(pi) */
        if (isfinite(cell->curve[i]) && questions >= 2) {
            double x = (double)i / (SC_ANALYSIS_CURVE - 1), step = 1.0 / (DOTS_Y - 1);
            int thick = (int)lround(2 * cell->density[i] / densest);
            for (int t = -(thick / 2); t <= (thick + 1) / 2; t++) {
                dot(c, x, cell->curve[i] + t * step);
            }
        }
    }
    for (size_t k = 0; k < WIDTH; k++) {
        size_t at = (size_t)lround(((double)k + .5) / WIDTH * (SC_ANALYSIS_CURVE - 1));
        double share = cell->density[at] / densest;
        c->bar[k] = blocks[share > .01 ? 1 + (size_t)(share * 7) : 0];
    }
}

static void put_braille(sc_report_text *out, const canvas *c, size_t row)
{
    static const unsigned bits[4][2] = {{1, 8}, {2, 16}, {4, 32}, {64, 128}};
    for (size_t column = 0; column < WIDTH; column++) {
        unsigned code = 0;
        for (size_t y = 0; y < 4; y++) {
            for (size_t x = 0; x < 2; x++) {
                code |= c->dots[4 * row + y][2 * column + x] ? bits[y][x] : 0;
            }
        }
        sc_report_put(out, "%c%c%c", 0xe2, 0xa0 + (int)(code >> 6), 0x80 + (int)(code & 63));
    }
}

static const char *above(const line *cell)
{
    return cell->smece > cell->floor_95 ? "!" : " ";
}

/* Rows `first` to `last` - 1 under a heading of their own; the last column is the split estimator of cells, the
 * class-wise smECE of text cells. */
static void put_table(sc_report_text *out, const lines *l, size_t first, size_t last, size_t width, bool intervals)
{
    const bool tokens = first >= l->n_cells;
    sc_report_put(out, "%-*s %7s %5s %5s %6s %6s %s %6s %6s\n", (int)width, tokens ? "next token" : "cell",
                  tokens ? "tokens" : "n", "acc", "conf", "over", "smECE", intervals ? " [95 %]      " : "", "floor",
                  tokens ? "class." : "split");
    for (size_t i = first; i < last; i++) {
        const line *c = &l->at[i];
        char t[8][16], interval[40] = "";
        if (intervals && isfinite(c->low)) {
            (void)snprintf(interval, sizeof interval, "[%s %s]", sc_report_share(t[6], c->low),
                           sc_report_share(t[7], c->high));
        }
        const char *numbers[] = {sc_report_share(t[0], c->accuracy),       sc_report_share(t[1], c->mean_confidence),
                                 sc_report_share(t[2], c->overconfidence), sc_report_share(t[3], c->smece),
                                 sc_report_share(t[4], c->floor),          sc_report_share(t[5], c->split)};
        sc_terminal_cut(out, c->name, width);
        for (size_t k = 0; k < 6; k++) { /* the dash of a missing number has three bytes and one column */
            numbers[k] = (unsigned char)numbers[k][0] == 0xe2 ? "-" : numbers[k];
        }
        sc_report_put(out, " %7.0f %5s %5s %6s %6s%s %*s %6s %6s\n", c->n, numbers[0], numbers[1], numbers[2],
                      numbers[3], above(c), intervals ? -12 : 0, interval, numbers[4], numbers[5]);
    }
}

static void put_tables(sc_report_text *out, const lines *l, size_t columns)
{
    const size_t fixed = 63;
    size_t width = 12;
    for (size_t i = 0; i < l->n; i++) {
        size_t n = strlen(l->at[i].name);
        width = n > width ? n : width;
    }
    const bool intervals = columns >= fixed + width; /* the first to go in a narrow window */
    const size_t room = intervals ? columns - fixed : columns > 61 ? columns - 49 : 12;
    width = width > room ? room : width;
    if (l->n_cells > 0) {
        put_table(out, l, 0, l->n_cells, width, intervals);
    }
    if (l->n > l->n_cells) {
        sc_report_put(out, "%s", l->n_cells > 0 ? "\n" : "");
        put_table(out, l, l->n_cells, l->n, width, intervals);
    }
}

/* Finished cells that the analysis lacks. */
static void put_failed(sc_report_text *out, const sc_run_state *state, const lines *l)
{
    for (size_t i = 0; i < state->plan.n_cells; i++) {
        bool there = !state->cells[i].finished;
        for (size_t k = 0; k < l->n; k++) {
            there = there || strcmp(l->at[k].name, state->cells[i].cell->name) == 0;
        }
        if (!there) {
            sc_report_put_visible(out, state->cells[i].cell->name, 0);
            sc_report_put(out, " could not be analysed: 'semcal analyze' says why\n");
        }
    }
}

static void put_diagrams(sc_report_text *out, const lines *l, size_t columns)
{
    size_t beside = (columns + GAP) / (WIDTH + 2 + GAP);
    beside = beside < 1 ? 1 : beside;
    canvas *drawn = sc_memory_alloc(beside, sizeof *drawn, out->error);
    for (size_t first = 0; drawn != NULL && first < l->n; first += beside) {
        size_t n = l->n - first < beside ? l->n - first : beside;
        sc_report_put(out, "\n");
        for (size_t k = 0; k < n; k++) {
            draw(&drawn[k], &l->at[first + k]);
            sc_terminal_cut(out, l->at[first + k].name, WIDTH + 2);
            sc_report_put(out, "%*s", k + 1 < n ? GAP : 0, "");
        }
        sc_report_put(out, "\n");
        for (size_t k = 0; k < n; k++) {
            const line *c = &l->at[first + k];
            char t[2][16], numbers[64];
            (void)snprintf(numbers, sizeof numbers, "smECE %s%s floor %s", sc_report_share(t[0], c->smece), above(c),
                           sc_report_share(t[1], c->floor));
            sc_terminal_cut(out, numbers, WIDTH + 2);
            sc_report_put(out, "%*s", k + 1 < n ? GAP : 0, "");
        }
        for (size_t row = 0; row < HEIGHT; row++) {
            sc_report_put(out, "\n");
            for (size_t k = 0; k < n; k++) {
                sc_report_put(out, "%s\xe2\x94\x82", row == 0 ? "1" : row + 1 == HEIGHT ? "0" : " ");
                put_braille(out, &drawn[k], row);
                sc_report_put(out, "%*s", k + 1 < n ? GAP : 0, "");
            }
        }
        sc_report_put(out, "\n");
        for (size_t k = 0; k < n; k++) {
            sc_report_put(out, "  ");
            for (size_t column = 0; column < WIDTH; column++) {
                sc_report_put(out, "%s", drawn[k].bar[column]);
            }
            sc_report_put(out, "%*s", k + 1 < n ? GAP : 0, "");
        }
        sc_report_put(out, "\n");
    }
    free(drawn);
}

static void put_unfinished(sc_report_text *out, const sc_run_state *state)
{
    size_t missing = state->plan.n_cells - state->n_finished;
    if (missing > 0) {
        sc_report_put(out, "%zu of %zu cells are not finished%s\n", missing, state->plan.n_cells,
                      state->running ? "; a process is at work ('semcal watch')" : "");
        for (size_t i = 0; i < state->plan.n_cells; i++) {
            if (!state->cells[i].finished) {
                sc_report_put(out, "  ");
                sc_report_put_visible(out, state->cells[i].cell->name, 0);
                if (state->cells[i].failure != NULL) {
                    sc_report_put(out, ": ");
                    sc_report_put_visible(out, state->cells[i].failure, 300);
                }
                sc_report_put(out, "\n");
            }
        }
        sc_report_put(out, "\n");
    }
}

semcal_status sc_cli_show_run(const char *path, bool json, semcal_error *error)
{
    sc_run_state state = {0};
    sc_analysis analysis;
    lines l = {0};
    sc_report_text out;
    sc_text text = {0};
    semcal_status status = sc_analysis_get(&analysis, path, true, NULL, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    sc_report_text_init(&out, error);
    if (json) {
        status = sc_analysis_json(&text, &analysis, error);
        (void)fputs(text.data != NULL ? text.data : "", stdout);
        goto done;
    }
    status = sc_run_state_read(&state, path, error);
    if (status == SEMCAL_OK) {
        status = make_lines(&l, &analysis, error);
    }
    if (status == SEMCAL_OK) {
        size_t columns = sc_terminal_columns();
        put_unfinished(&out, &state);
        put_tables(&out, &l, columns);
        put_failed(&out, &state, &l);
        sc_report_put(
            &out,
            "\n!: smECE above the 95 %% point of its floor, what a calibrated model with as many draws scores.\n"
            "Diagrams: share of right answers%s against confidence, diagonal dotted; below, where the %s are.\n",
            l.n > l.n_cells ? " (next tokens)" : "", l.n > l.n_cells ? "questions (tokens)" : "questions");
        put_diagrams(&out, &l, columns);
        status = out.status;
        sc_terminal_put(out.text.data != NULL ? out.text.data : "");
    }
done:
    free(l.at);
    sc_report_text_free(&out);
    sc_text_free(&text);
    sc_run_state_free(&state);
    sc_analysis_free(&analysis);
    return status;
}

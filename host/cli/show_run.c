/* SPDX-License-Identifier: Apache-2.0 */
/* A run in a terminal: a table, and a reliability diagram of every cell in Braille. */
#include "cli/show.h"
#include "cli/terminal.h"
#include "experiment/report_text.h"
#include "experiment/run_glance.h"
#include "experiment/run_state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 26, HEIGHT = 11, DOTS_X = 2 * WIDTH, DOTS_Y = 4 * HEIGHT, GAP = 3 };

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

static void draw(canvas *c, const sc_glance_cell *cell)
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
        double questions = cell->n_questions * cell->density[i] * width * 3.5449077018110318; /* 2 sqrt(pi) */
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

/* A text cut and padded to `width` columns; names are plain enough to count characters. */
static void put_cut(sc_report_text *out, const char *text, size_t width)
{
    sc_report_text whole;
    sc_report_text_init(&whole, out->error);
    sc_report_put_visible(&whole, text, 0);
    const char *bytes = whole.text.data != NULL ? whole.text.data : "";
    size_t n = 0;
    for (const char *p = bytes; *p != '\0'; p++) {
        n += (*p & 0xc0) != 0x80;
    }
    if (n > width) { /* the end of a name says more than its beginning */
        for (size_t skip = n - width + 1; skip > 0; skip--) {
            do {
                bytes++;
            } while ((*bytes & 0xc0) == 0x80);
        }
        sc_report_put(out, "\xe2\x80\xa6");
        n = width;
    }
    sc_report_put(out, "%s%*s", bytes, (int)(width - n), "");
    sc_report_text_free(&whole);
}

static const char *above(const sc_glance_cell *cell)
{
    return cell->smece > cell->floor_95 ? "!" : " ";
}

static void put_table(sc_report_text *out, const sc_glance *glance, size_t columns)
{
    const size_t fixed = 62;
    size_t width = 12;
    for (size_t i = 0; i < glance->n_cells; i++) {
        size_t n = strlen(glance->cells[i].name);
        width = n > width ? n : width;
    }
    const bool intervals = columns >= fixed + 12; /* the first to go in a narrow window */
    const size_t room = intervals ? columns - fixed : columns > 60 ? columns - 48 : 12;
    width = width > room ? room : width;
    sc_report_put(out, "%-*s %6s %5s %5s %6s %6s %s %6s %6s\n", (int)width, "cell", "n", "acc", "conf", "over", "smECE",
                  intervals ? " [95 %]      " : "", "floor", "split");
    for (size_t i = 0; i < glance->n_cells; i++) {
        const sc_glance_cell *c = &glance->cells[i];
        char t[8][16], interval[40] = "";
        if (intervals && isfinite(c->smece_low)) {
            (void)snprintf(interval, sizeof interval, "[%s %s]", sc_report_share(t[6], c->smece_low),
                           sc_report_share(t[7], c->smece_high));
        }
        const char *numbers[] = {sc_report_share(t[0], c->accuracy),       sc_report_share(t[1], c->mean_confidence),
                                 sc_report_share(t[2], c->overconfidence), sc_report_share(t[3], c->smece),
                                 sc_report_share(t[4], c->floor),          sc_report_share(t[5], c->smece_split)};
        put_cut(out, c->name, width);
        for (size_t k = 0; k < 6; k++) { /* the dash of a missing number has three bytes and one column */
            numbers[k] = (unsigned char)numbers[k][0] == 0xe2 ? "-" : numbers[k];
        }
        sc_report_put(out, " %6.0f %5s %5s %6s %6s%s %*s %6s %6s\n", c->n_questions, numbers[0], numbers[1], numbers[2],
                      numbers[3], above(c), intervals ? -12 : 0, interval, numbers[4], numbers[5]);
    }
}

/* Finished cells that the analysis lacks. */
static void put_failed(sc_report_text *out, const sc_run_state *state, const sc_glance *glance)
{
    for (size_t i = 0; i < state->plan.n_cells; i++) {
        bool there = !state->cells[i].finished;
        for (size_t k = 0; k < glance->n_cells; k++) {
            there = there || strcmp(glance->cells[k].name, state->cells[i].cell->name) == 0;
        }
        if (!there) {
            sc_report_put_visible(out, state->cells[i].cell->name, 0);
            sc_report_put(out, " could not be analysed: 'semcal analyze' says why\n");
        }
    }
}

static void put_diagrams(sc_report_text *out, const sc_glance *glance, size_t columns)
{
    size_t beside = (columns + GAP) / (WIDTH + 2 + GAP);
    beside = beside < 1 ? 1 : beside;
    canvas *drawn = sc_memory_alloc(beside, sizeof *drawn, out->error);
    for (size_t first = 0; drawn != NULL && first < glance->n_cells; first += beside) {
        size_t n = glance->n_cells - first < beside ? glance->n_cells - first : beside;
        sc_report_put(out, "\n");
        for (size_t k = 0; k < n; k++) {
            draw(&drawn[k], &glance->cells[first + k]);
            put_cut(out, glance->cells[first + k].name, WIDTH + 2);
            sc_report_put(out, "%*s", k + 1 < n ? GAP : 0, "");
        }
        sc_report_put(out, "\n");
        for (size_t k = 0; k < n; k++) {
            const sc_glance_cell *c = &glance->cells[first + k];
            char t[2][16], line[64];
            (void)snprintf(line, sizeof line, "smECE %s%s floor %s", sc_report_share(t[0], c->smece), above(c),
                           sc_report_share(t[1], c->floor));
            put_cut(out, line, WIDTH + 2);
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

static semcal_status show_json(const char *path, semcal_error *error)
{
    sc_analysis analysis;
    sc_text text = {0};
    semcal_status status = sc_analyze(&analysis, path, NULL, error);
    if (status == SEMCAL_OK) {
        status = sc_analysis_json(&text, &analysis, error);
        (void)fputs(text.data != NULL ? text.data : "", stdout);
        sc_analysis_free(&analysis);
    }
    sc_text_free(&text);
    return status;
}

semcal_status sc_cli_show_run(const char *path, bool json, semcal_error *error)
{
    if (json) {
        return show_json(path, error);
    }
    sc_run_state state;
    sc_glance glance;
    sc_report_text out;
    sc_report_text_init(&out, error);
    semcal_status status = sc_run_state_read(&state, path, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    status = sc_glance_read(&glance, path, error);
    if (status == SEMCAL_OK) {
        size_t columns = sc_terminal_columns();
        put_unfinished(&out, &state);
        put_table(&out, &glance, columns);
        put_failed(&out, &state, &glance);
        sc_report_put(
            &out, "\n!: smECE above the 95 %% point of its floor, what a calibrated model with as many draws scores."
                  "\nDiagrams: share of right answers against confidence, diagonal dotted; below, where the "
                  "questions are.\n");
        put_diagrams(&out, &glance, columns);
        status = out.status;
        (void)fputs(out.text.data != NULL ? out.text.data : "", stdout);
        sc_glance_free(&glance);
    }
    sc_report_text_free(&out);
    sc_run_state_free(&state);
    return status;
}

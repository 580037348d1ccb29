/* SPDX-License-Identifier: Apache-2.0 */
/* A live view of a run from its files alone: any process may look, on any machine that sees the folder. */
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/terminal.h"
#include "experiment/report_text.h"
#include "experiment/run_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

semcal_status sc_cli_watch(int argc, char **argv, semcal_error *error);

/* Progress between looks: the rate over the last minute or so. */
typedef struct rate {
    double at[64];
    uint64_t committed[64];
    size_t n;
} rate;

/* Questions per second, 0: not known yet. */
static double measure(rate *r, uint64_t committed)
{
    enum { KEPT = sizeof r->at / sizeof *r->at };
    if (r->n > 0 && committed < r->committed[r->n - 1]) {
        r->n = 0; /* the run was begun afresh */
    }
    if (r->n == KEPT) {
        memmove(r->at, r->at + 1, (KEPT - 1) * sizeof *r->at);
        memmove(r->committed, r->committed + 1, (KEPT - 1) * sizeof *r->committed);
        r->n--;
    }
    r->at[r->n] = sc_clock_now_s();
    r->committed[r->n++] = committed;
    double seconds = r->at[r->n - 1] - r->at[0];
    return seconds > 3 ? (double)(committed - r->committed[0]) / seconds : 0;
}

static void put_bar(sc_report_text *out, double share, size_t width)
{
    static const char *const parts[] = {"",
                                        "\xe2\x96\x8f",
                                        "\xe2\x96\x8e",
                                        "\xe2\x96\x8d",
                                        "\xe2\x96\x8c",
                                        "\xe2\x96\x8b",
                                        "\xe2\x96\x8a",
                                        "\xe2\x96\x89"};
    size_t eighths = (size_t)((share < 0 ? 0 : share > 1 ? 1 : share) * 8 * (double)width), used = eighths / 8;
    for (size_t i = 0; i < used; i++) {
        sc_report_put(out, "\xe2\x96\x88");
    }
    sc_report_put(out, "%s", parts[eighths % 8]);
    used += eighths % 8 != 0;
    for (; used < width; used++) {
        sc_report_put(out, "\xc2\xb7");
    }
}

static void put_cell(sc_report_text *out, const sc_run_state_cell *cell, bool running, size_t width, size_t bar)
{
    sc_terminal_cut(out, cell->cell->name, width);
    sc_report_put(out, " ");
    put_bar(out, cell->finished ? 1 : cell->questions > 0 ? (double)cell->committed / (double)cell->questions : 0, bar);
    sc_report_put(out, " %7llu", (unsigned long long)cell->committed);
    if (cell->questions > 0) {
        sc_report_put(out, "/%llu", (unsigned long long)cell->questions);
    }
    if (cell->finished) {
        char took[32];
        sc_progress_duration(took, cell->wall_s);
        sc_report_put(out, "  done%s%s", cell->wall_s >= 0 ? " in " : "", cell->wall_s >= 0 ? took : "");
    } else if (cell->failure != NULL) {
        sc_report_put(out, "  failed: ");
        sc_report_put_visible(out, cell->failure, 160);
    } else if (cell->committed > 0) {
        sc_report_put(out, running ? "  at work" : "  begun");
    }
    sc_report_put(out, "\n");
}

/* The first line says what is done, the second how it goes, then come the cells: a name, a bar and numbers. */
static void put_view(sc_report_text *out, const sc_run_state *state, double per_second, size_t rows, size_t columns)
{
    enum { NUMBERS = 33 }; /* "    1000/1000  done in 1:02:03" */
    char left[32];
    size_t width = 8, first = 0;
    for (size_t i = 0; i < state->plan.n_cells; i++) {
        size_t n = strlen(state->cells[i].cell->name);
        width = n > width ? n : width;
    }
    const size_t bar = columns >= 72 ? 16 : 8, room = columns > NUMBERS + bar + 12 ? columns - NUMBERS - bar : 12;
    width = width > room ? room : width;
    sc_report_put_visible(out, state->config->name, 60);
    sc_report_put(out, ": %zu of %zu cells", state->n_finished, state->plan.n_cells);
    if (state->n_failed > 0) {
        sc_report_put(out, ", %zu failed", state->n_failed);
    }
    sc_report_put(out, "\n%s, ",
                  state->running                             ? "running"
                  : state->n_finished == state->plan.n_cells ? "finished"
                  : state->interrupted                       ? "interrupted; the same 'semcal run' goes on"
                  : state->ended                             ? "ended; not every cell could be done"
                                                             : "no process is at work; 'semcal run' goes on with it");
    sc_report_put(out, "%llu", (unsigned long long)state->committed);
    if (state->questions > 0) {
        sc_report_put(out, " of %llu", (unsigned long long)state->questions);
    }
    sc_report_put(out, " questions");
    if (state->running && per_second > 0) {
        sc_report_put(out, ", %.1f per second", per_second);
        if (state->questions > state->committed) {
            sc_progress_duration(left, (double)(state->questions - state->committed) / per_second);
            sc_report_put(out, ", %s left", left);
        }
    }
    sc_report_put(out, "\n\n");
    /* What does not fit is done already, or far ahead. */
    size_t shown = rows > 5 ? rows - 5 : 1;
    while (first + shown < state->plan.n_cells && state->cells[first].finished) {
        first++;
    }
    for (size_t i = first; i < state->plan.n_cells && i < first + shown; i++) {
        put_cell(out, &state->cells[i], state->running, width, bar);
    }
    if (first + shown < state->plan.n_cells) {
        sc_report_put(out, "and %zu more\n", state->plan.n_cells - first - shown);
    }
}

/* A line that wraps would push the first ones off the screen. */
static void cut_line(char *line, size_t columns)
{
    for (size_t n = 0; *line != '\0'; line++) {
        n += (*line & 0xc0) != 0x80;
        if (n > columns) {
            *line = '\0';
            return;
        }
    }
}

/* One look. *done when there is nothing left to wait for. */
static semcal_status look(bool *done, rate *r, const char *run, bool screen, bool once, semcal_error *error)
{
    sc_run_state state;
    semcal_status status = sc_run_state_read(&state, run, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    sc_report_text out;
    sc_report_text_init(&out, error);
    uint64_t before = r->n > 0 ? r->committed[r->n - 1] : UINT64_MAX;
    double per_second = measure(r, state.committed);
    *done = once || !state.running;
    if (screen) {
        sc_report_put(&out, "\033[H");
    }
    const size_t columns = screen ? sc_terminal_columns() : 120;
    put_view(&out, &state, per_second, screen ? sc_terminal_rows() : SIZE_MAX, columns);
    status = out.status;
    if (status == SEMCAL_OK && screen) {
        /* each line clears what was right of it, the last one what was below */
        for (char *line = out.text.data, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
            *end = '\0';
            cut_line(line, columns);
            sc_terminal_put(line);
            (void)fputs("\033[K\n", stdout);
        }
        (void)fputs("\033[J", stdout);
    } else if (status == SEMCAL_OK && (*done || before != state.committed)) {
        sc_terminal_put(out.text.data);
    }
    (void)fflush(stdout);
    sc_report_text_free(&out);
    sc_run_state_free(&state);
    return status;
}

semcal_status sc_cli_watch(int argc, char **argv, semcal_error *error)
{
    bool once = false;
    static const sc_cli_usage usage = {
        "watch",
        "RUN",
        "a live view of a run, from its files alone",
        1,
        1,
        "Looks every second until no process works on the run any more. Ctrl-C ends the view, not the run."};
    const sc_cli_option table[] = {{"once", 0, SC_CLI_FLAG, &once, NULL, "look once"}};
    const char *operands[64];
    int n_operands;
    bool help, done = false;
    semcal_status status =
        sc_cli_parse(&n_operands, operands, &help, &usage, table, sizeof table / sizeof *table, argc, argv, error);
    if (status != SEMCAL_OK || help) {
        return status;
    }
    bool screen = !once && isatty(STDOUT_FILENO) == 1;
    rate r = {.n = 0};
    if (screen) {
        (void)fputs("\033[2J", stdout);
    }
    while (status == SEMCAL_OK && !done) {
        status = look(&done, &r, operands[0], screen, once, error);
        if (status == SEMCAL_OK && !done) {
            const struct timespec second = {1, 0};
            (void)nanosleep(&second, NULL);
        }
    }
    return status;
}

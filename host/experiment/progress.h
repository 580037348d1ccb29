/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The progress line of a run. It neither prints nor reads a clock: counters and time go in, a line comes out when one
 * is due, so that it behaves the same under test.
 */
#ifndef SC_EXPERIMENT_PROGRESS_H
#define SC_EXPERIMENT_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sc_progress_counters {
    const char *cell;                     /* the one at work */
    size_t cell_number, n_cells;          /* 1-based */
    size_t cell_done, cell_questions;     /* questions of this cell, those of an earlier run included */
    size_t done, questions;               /* of the whole run, likewise */
    double work_done, work;               /* of the whole run in any unit (estimated tokens); 0: count questions */
    uint64_t draw_tokens, forward_tokens; /* tokens drawn, tokens run through the model */
} sc_progress_counters;

typedef struct sc_progress_options {
    bool terminal;     /* redraw one line; otherwise write whole lines */
    double interval_s; /* at least this long between lines; 0: 0.2 on a terminal, 10 elsewhere */
    size_t columns;    /* width of the terminal; 0: 80 */
} sc_progress_options;

typedef struct sc_progress {
    sc_progress_options options;
    bool started;
    double last_line_s;     /* time of the last line */
    double last_sample_s;   /* time of the last rate sample */
    double sampled, worked; /* questions and work at that sample */
    double rate, work_rate; /* smoothed, per second; 0: not known yet */
} sc_progress;

enum { SC_PROGRESS_LINE = 512 };

void sc_progress_init(sc_progress *progress, const sc_progress_options *options);

/* Writes the line due at `now_s` (seconds of any steady clock) into `line` and returns true, or returns false when it
 * is too early. `last` asks for a line now. On a terminal the line begins with a carriage return, clears what was
 * there and fits the width; the last one, and every line elsewhere, ends in a newline. */
bool sc_progress_line(sc_progress *progress, char line[SC_PROGRESS_LINE], const sc_progress_counters *counters,
                      double now_s, bool last);

/* "0:42", "12:05", "3:07:09", "2d 03:00"; "?" when negative or not finite. */
void sc_progress_duration(char text[32], double seconds);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is left of a cell when its questions are drawn, beside the next cell: the segments joined into the cell's file,
 * the responses collapsed. Only the mechanism between them needs the device, so that is done by the drawing thread:
 *
 *     drawing thread     draws 1 | draws 2           | mechanism 1 | draws 3              | mechanism 2 | ...
 *     beside it                  | joins 1           |             | collapses 1, joins 2 |             | ...
 *
 * Without a mechanism a cell is joined and collapsed in one go. Whatever is not done when the run ends is done by the
 * next one: every step finds out by itself whether it is needed.
 */
#ifndef SC_EXPERIMENT_RUN_BEHIND_H
#define SC_EXPERIMENT_RUN_BEHIND_H

#include "experiment/run_cell.h"

#include <pthread.h>

/* A drawn cell on its way to the end. */
typedef struct sc_run_drawn {
    sc_run_cell job;
    sc_run_cell_rest rest;
    char *path;   /* of the cell's file */
    bool already; /* nothing was left to draw */
    bool fresh;   /* its mechanism was made now: its collapses have to be applied */
    bool done;    /* nothing is left */
    double own_s; /* time spent on it */
    semcal_error failure;
} sc_run_drawn;

typedef struct sc_run_behind {
    pthread_t thread;
    bool has_thread;
    sc_run_drawn *collapsing, *joining; /* the thread's, in this order; NULL: none */
    sc_phases *phases;                  /* of the thread's time */
} sc_run_behind;

/* Begins with what is behind `collapsing` (its mechanism is made) and `joining` (just drawn); either may be NULL. The
 * thread before must have been waited for. Without a thread to be had it is done at once. */
void sc_run_behind_start(sc_run_behind *behind, sc_run_drawn *collapsing, sc_run_drawn *joining);
/* Waits for it; then each has a failure, is done, or (joining) wants its mechanism. */
void sc_run_behind_wait(sc_run_behind *behind);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* How far a run is, from its files alone: for the live view, and for reports of runs that did not end well. */
#ifndef SC_EXPERIMENT_RUN_STATE_H
#define SC_EXPERIMENT_RUN_STATE_H

#include "experiment/plan.h"

typedef struct sc_run_state_cell {
    const sc_cell *cell;           /* of the plan */
    bool finished;                 /* its closed file is there */
    uint64_t committed, questions; /* committed so far; of the whole cell, 0: not known yet */
    char *failure;                 /* why it failed in the last session, NULL: it did not */
    double wall_s;                 /* of the session that finished it; NaN: unknown */
} sc_run_state_cell;

typedef struct sc_run_state {
    sc_config *config;
    sc_plan plan;
    sc_run_state_cell *cells; /* [plan.n_cells] */
    size_t n_finished, n_failed;
    uint64_t committed, questions; /* of the run; questions 0: not known for every cell */
    bool running;                  /* a process holds the folder */
    bool ended;                    /* the last session came to its end */
    bool interrupted;              /* the last session was stopped by its user */
    char *began, *last;            /* times of the last session's beginning and of the last line; NULL: no log */
} sc_run_state;

/* Reads resolved.yaml, log.jsonl (a torn last line is skipped) and the folder. SEMCAL_E_DATA when `folder` is no run.
 */
semcal_status sc_run_state_read(sc_run_state *state, const char *folder, semcal_error *error);
void sc_run_state_free(sc_run_state *state);

#endif

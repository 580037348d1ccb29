/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is left of a cell when the device is done with it, beside the next cell: a thread that does one step after the
 * other in the order they are left to it, cells to be joined before all else, as that is what the device may have to
 * wait for.
 *
 *     drawing thread: draws 1 | draws 2              | draws 3              | mechanism 1          | draws 4    | ...
 *     beside it:              | joins 1, collapses 1 | joins 2, collapses 2 | joins 3, collapses 3 | finishes 1 | ...
 *
 * Only the mechanism needs the device again; it follows two cells later, or as soon after that as the cell is joined,
 * six cells later at the latest. So does a judge of the responses (collapse kind `model`): then the cell is collapsed
 * when its responses, and those of its mechanism, are judged; by its own model before that is closed, by another one
 * when all cells are drawn. Whatever is not done when the run ends is done by the next one: every step finds out by
 * itself whether it is needed.
 */
#ifndef SC_EXPERIMENT_RUN_BEHIND_H
#define SC_EXPERIMENT_RUN_BEHIND_H

#include "experiment/mechanism.h"
#include "experiment/run_cell.h"
#include "experiment/run_text.h"

#include <pthread.h>

/* What the next cell's model will be asked, made while the device works on this one. Borrows cell, dataset, source. */
typedef struct sc_run_ahead {
    const sc_cell *cell; /* NULL: nothing */
    const sc_dataset *dataset;
    sc_source *source;
    sc_questions questions; /* empty where they could not be made: the error is met again by who makes them then */
    sc_text_data text;      /* of a text cell */
} sc_run_ahead;

/* A cell on its way to the end. Between posting a step and waiting for it, what the step works on is the thread's. */
typedef struct sc_run_drawn {
    sc_run_cell job;
    sc_run_cell_rest rest;
    char *path;                /* of the cell's file; NULL: not begun */
    sc_run_text *text;         /* of a text cell */
    sc_mechanism *mechanism;   /* opened by joining; NULL: none is wanted */
    bool already;              /* nothing was left to draw */
    bool mechanism_due;        /* when it is joined */
    bool is_judged, judge_due; /* a collapse needs a judge; when it is joined and its mechanism made */
    sc_judged *judged;         /* what the judge said */
    size_t after_join, ticket; /* of the step that joins it, of its last one: its number from 1; 0: none */
    double own_s, behind_s;    /* time spent on it by the drawing thread and by the other one */
    semcal_error failure;
} sc_run_drawn;

typedef enum sc_behind_step {
    SC_BEHIND_JOIN,     /* segments into the cell's file; its mechanism is opened */
    SC_BEHIND_COLLAPSE, /* responses classified; where they are judged, the mechanism's, too */
    SC_BEHIND_FINISH,   /* the mechanism's file, collapsed as the responses are unless these wait for a judge */
    SC_BEHIND_TEXT      /* the file of a text cell */
} sc_behind_step;

typedef struct sc_run_behind {
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t work, progress;
    /* Under the lock: */
    struct sc_behind_job {
        sc_run_drawn *drawn;
        sc_behind_step step;
        bool done;
    } * jobs;
    size_t n_jobs, n_done; /* those before n_done are done, some behind it may be */
    sc_run_ahead *ahead;   /* wanted next of all; NULL: nothing, or begun */
    bool making;           /* it is begun */
    bool stop, drop;
    sc_phases *phases; /* of the thread's time; the thread's until it is closed */
} sc_run_behind;

/* For a run of `n_cells` cells. Without a thread to be had, steps are done when they are posted. */
semcal_status sc_run_behind_open(sc_run_behind *behind, size_t n_cells, sc_phases *phases, semcal_error *error);
/* Leaves a step to the thread. */
void sc_run_behind_post(sc_run_behind *behind, sc_run_drawn *drawn, sc_behind_step step);
/* Has the thread make something as soon as its step is done. One at a time. */
void sc_run_behind_make(sc_run_behind *behind, sc_run_ahead *ahead);
/* Waits until it is made; where that has not begun, it is empty. */
void sc_run_behind_take(sc_run_behind *behind, sc_run_ahead *ahead);
/* Waits until the step with this ticket (of a sc_run_drawn) is done. Then the cell has a failure, or the step worked.
 */
void sc_run_behind_wait(sc_run_behind *behind, size_t ticket);
bool sc_run_behind_is_done(sc_run_behind *behind, size_t ticket);
/* Ends the thread: when all is done, or (`drop`) when the step under way is; of the others, only mechanisms that are
 * made are stored. May be called for what sc_run_behind_open did not open. */
void sc_run_behind_close(sc_run_behind *behind, bool drop);

#endif

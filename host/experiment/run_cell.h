/* SPDX-License-Identifier: Apache-2.0 */
/* One cell of a run: its questions generated into its store, then collapsed. */
#ifndef SC_EXPERIMENT_RUN_CELL_H
#define SC_EXPERIMENT_RUN_CELL_H

#include "experiment/dataset.h"
#include "experiment/judge.h"
#include "experiment/plan.h"
#include "experiment/questions.h"
#include "experiment/run.h"
#include "source/source.h"

typedef struct sc_run_cell {
    const sc_config *config;
    const sc_cell *cell;
    const sc_dataset *dataset;
    sc_source *source;
    const sc_device *device; /* the source's; NULL: it has none */
    const sc_run_options *options;
    sc_log *log;
    sc_progress_counters *counters; /* of the run; moved on and told to options->progress */
    sc_run_summary *summary;        /* added to */
} sc_run_cell;

/* A cell whose questions are all drawn. */
typedef struct sc_run_cell_rest {
    struct sc_store *store; /* NULL: the cell's file was there before */
    sc_questions questions; /* those that the mechanism wants */
    char wall[32], idle[16];
    double writer_s; /* worked by the store's writer thread */
} sc_run_cell_rest;

/* Generates what is missing. `questions` are the cell's where they were made before, and taken over; else empty. After
 * a failure or an interruption what was generated is committed and there is no rest. *already tells that nothing was
 * left to generate. */
semcal_status sc_run_cell_draw(sc_run_cell_rest *rest, const sc_run_cell *run, sc_questions *questions, bool *already,
                               semcal_error *error);

/* Makes the cell's file of it; questions are left. Uses neither source nor device. */
semcal_status sc_run_cell_finish(sc_run_cell_rest *rest, semcal_error *error);
/* Commits what is there and ends the rest. */
semcal_status sc_run_cell_drop(sc_run_cell_rest *rest, semcal_error *error);

/* Share of a span of `wall_s` seconds in which no kernel ran, given the device's busy time before it, as text for an
 * attribute; "" without a device. Not part of what a cell is. */
typedef struct sc_run_share {
    char text[16];
} sc_run_share;
sc_run_share sc_run_cell_idle(const sc_run_cell *run, double busy_before_s, double wall_s);

/* A token is drawn, or scored: the summary keeps when the first one was. */
void sc_run_cell_tell_token(const sc_run_cell *run);

/* sc_judge_cell, told to the log. */
semcal_status sc_run_judge(sc_judged **judged, const char *path, const sc_judge_options *options, sc_log *log,
                           semcal_error *error);

/* Applies the dataset's collapse kinds (the first becomes the active one) to a finished cell file. `judged` knows the
 * responses of the cell where one of the kinds needs a judge. */
semcal_status sc_run_cell_collapse(const char *path, const sc_config *config, const sc_config_dataset *dataset_config,
                                   const sc_dataset *dataset, const char *only_kind, const sc_judged *judged,
                                   sc_log *log, semcal_error *error);

/* Applies the dataset's collapse kinds, which the cell file has, to its mechanism where that has not been done;
 * `judged` as above, of the mechanism's responses, too. */
semcal_status sc_run_cell_collapse_mechanism(const char *path, const char *mechanism_sha256, const sc_config *config,
                                             const sc_config_dataset *dataset_config, const sc_dataset *dataset,
                                             const sc_judged *judged, semcal_error *error);
/* Whether there is something for that to do. */
semcal_status sc_run_cell_mechanism_is_collapsed(bool *collapsed, const char *path, const char *mechanism_sha256,
                                                 const sc_config_dataset *dataset_config, semcal_error *error);

/* Whether the finished cell file holds every collapse its dataset names, with as many splits and the judge that the
 * configuration wants, one of them active. */
semcal_status sc_run_cell_is_collapsed(bool *collapsed, const char *path, const sc_config *all,
                                       const sc_config_dataset *config, semcal_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run: every cell of a configuration generated, stored and collapsed in one folder.
 *
 *     RUN/config.yaml      the file as it was given
 *     RUN/resolved.yaml    every key with its value; feeding it back gives the same run
 *     RUN/log.jsonl        what happened, one JSON object a line
 *     RUN/cells/<cell>.h5  see experiment/store.h
 *
 * A run that was stopped or killed goes on where it was: finished cells are left alone, committed questions are not
 * generated again, and the result is the same, bit for bit, as that of an uninterrupted run.
 */
#ifndef SC_EXPERIMENT_RUN_H
#define SC_EXPERIMENT_RUN_H

#include "base/log.h"
#include "base/phases.h"
#include "device/device.h"
#include "experiment/config.h"
#include "experiment/progress.h"

/* What a run came to. */
typedef struct sc_run_summary {
    size_t n_cells, n_finished, n_failed, n_already;   /* n_already of the finished ones were there before */
    uint64_t n_questions, draw_tokens, forward_tokens; /* of this process, this time */
    double wall_s;
    double device_busy_s; /* the part of wall_s in which kernels ran; NaN: no device was in use */
    sc_phases phases;     /* where wall_s went on the host */
    sc_phases behind;     /* beside that: joining and collapsing cells already drawn (experiment/run_behind.h) */
    double writer_s;      /* and time the stores' writer threads worked */
    double began_s;       /* by sc_clock_now_s */
    double first_token_s; /* from then to the first token drawn, or scored in a text; NaN: there was none */
} sc_run_summary;

typedef struct sc_run_options {
    const char *folder;       /* RUN */
    const char *config_text;  /* the file's own text, kept as config.yaml; may be NULL */
    const char *device;       /* selector, see device/device.h; NULL: the best */
    unsigned shard, n_shards; /* 1-based; 1 of 1: everything */
    bool fresh;               /* forget what the folder holds */
    /* Asked between device calls; true stops the run with SEMCAL_INTERRUPTED after a commit. May be NULL. */
    bool (*stopped)(void *payload);
    /* Told after every device call. May be NULL. */
    void (*progress)(const sc_progress_counters *counters, bool last, void *payload);
    sc_log_sink sink; /* lines for people, also from other threads, one at a time; may be NULL */
    /* When not NULL every kernel is measured, and this is told at the end if a device was in use. */
    void (*profiled)(sc_device *device, const sc_run_summary *summary, void *payload);
    void *payload;
} sc_run_options;

#define SC_RUN_OPTIONS_INIT                                                                                            \
    {                                                                                                                  \
        .shard = 1, .n_shards = 1                                                                                      \
    }

/* Runs `config`. SEMCAL_PARTIAL when some cells failed (each is in the log and told to `sink`), SEMCAL_INTERRUPTED
 * after a clean stop, SEMCAL_E_CONFIG when the folder holds a run of another configuration, SEMCAL_E_DEVICE when there
 * is no such device. */
semcal_status sc_run(sc_run_summary *summary, const sc_config *config, const sc_run_options *options,
                     semcal_error *error);

typedef struct sc_run_collapse_options {
    const char *kind; /* becomes the active one of every finished cell. NULL: the kinds the configuration names are
                         applied to the cells that lack them (those just merged from shards) */
    /* For the kind model: the judge's folder (NULL: as the configuration says), overrides "key=value" of the keys of a
     * collapse [n_set], the device */
    const char *judge;
    const char *const *set;
    size_t n_set;
    const char *device;
    bool (*stopped)(void *payload); /* asked between device calls; true stops with SEMCAL_INTERRUPTED; may be NULL */
    sc_log_sink sink;               /* may be NULL */
    void *payload;
} sc_run_collapse_options;

/* Collapses the finished cells of a run again. A model is needed by the kind `model` alone. SEMCAL_PARTIAL when some
 * cells failed, SEMCAL_E_CONFIG for a kind or key that is not there. */
semcal_status sc_run_collapse(const char *folder, const sc_run_collapse_options *options, semcal_error *error);

#endif

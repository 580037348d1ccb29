/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mechanism of a run: how early its responses decide what they mean (statistics/resolved.h).
 *
 *     RUN/mechanism/<cell>.h5              what follows from chosen prefixes of stored draws, generated
 *     RUN/mechanism/<cell>.<collapse>.h5   intermediate confidences under one collapse
 *
 * For the first `mechanism.questions` questions and their first `mechanism.draws` draws, prefixes are taken at
 * P = `mechanism.positions` places in two ways: by fraction of the response (after 0, 1/P, ..., 1 of its tokens) and by
 * token (after ceil(k L / P) tokens, L the longest response allowed). Each distinct prefix is enumerated where that
 * ends within `mechanism.max_forward_tokens`, else continued by `mechanism.forks` forks (sampling/fork.h).
 *
 * What is made is committed every `store.commit_seconds`, and when a question takes longer than that, by itself: as
 * with draws, a kill loses no more than these seconds. The parts are joined when all are there:
 *
 *     RUN/mechanism/<cell>.parts/NNNNNN.h5         some questions, named after the first, while the cell runs
 *     RUN/mechanism/<cell>.shard-<i>-of-<n>.h5     (and .parts) the questions of one shard; `semcal merge` joins them
 *
 * Random numbers are keyed by names, so the result is the same, bit for bit, for any interruption and number of shards.
 * A mechanism says which draws it belongs to (the cell file's digest), and the collapsed one which mechanism: one of
 * other draws or settings is made again.
 */
#ifndef SC_EXPERIMENT_MECHANISM_H
#define SC_EXPERIMENT_MECHANISM_H

#include "experiment/collapse_cell.h"
#include "experiment/questions.h"
#include "experiment/run_cell.h"
#include "experiment/store.h"

/* RUN/mechanism/<cell><suffix> for the cell file RUN/cells/<cell>.h5; malloc'ed. */
char *sc_mechanism_path(const char *cell_path, const char *suffix, semcal_error *error);

/* The mechanism of a finished cell file (of a shard's, when this run is one) is made in three steps, of which only the
 * one in the middle uses the source: the others may be done beside other work of the device. Borrows all it is given.
 * The cell file may be replaced meanwhile by one with more collapses. */
typedef struct sc_mechanism sc_mechanism;

/* Finds out what is there and reads the first draws. */
semcal_status sc_mechanism_open(sc_mechanism **mechanism, const sc_run_cell *run, const sc_questions *questions,
                                const char *cell_path, semcal_error *error);
/* True when one of the same settings and draws is there, then nothing is to be generated. */
bool sc_mechanism_is_there(const sc_mechanism *mechanism);
/* Generates what is missing with run->source. After a failure or an interruption what was made is committed. */
semcal_status sc_mechanism_generate(sc_mechanism *mechanism, semcal_error *error);
/* Makes the file of it, and deletes the parts. */
semcal_status sc_mechanism_finish(sc_mechanism *mechanism, semcal_error *error);
/* Of the file; "" before it is there. */
const char *sc_mechanism_sha256(const sc_mechanism *mechanism);
void sc_mechanism_close(sc_mechanism **mechanism);

/* Applies a collapse that the cell file already has; does nothing when the cell has no mechanism. */
semcal_status sc_mechanism_collapse(const char *cell_path, const sc_collapse_cell_options *options,
                                    semcal_error *error);

/* Checks everything in RUN/mechanism and tells each finding: seals, digests, completeness, that a mechanism belongs to
 * the draws of its cell and a collapsed one to its mechanism. `digest` is told each whole mechanism's name and content
 * digest. */
typedef struct sc_mechanism_findings {
    sc_store_report report;
    void (*digest)(const char *name, const char *sha256, void *payload);
    void *payload;
} sc_mechanism_findings;
semcal_status sc_mechanism_verify(const char *run_folder, const sc_mechanism_findings *findings, semcal_error *error);

/* Joins the mechanisms of the shards of one cell, whose files have the digests shard_sha256 [n_shards], into that of
 * the merged cell. *merged is false when there are none. The shards' files are left. */
semcal_status sc_mechanism_merge(bool *merged, const char *run_folder, const char *cell, unsigned n_shards,
                                 const char *const *shard_sha256, const char *cell_sha256, semcal_error *error);
void sc_mechanism_remove_shards(const char *run_folder, const char *cell, unsigned n_shards);

/* Deletes what collapses made of the cell's mechanism `path`, which is about to be replaced. */
void sc_mechanism_forget_collapsed(const char *path, const char *cell);

/* Spreads g (1 - g) by question: Q questions, P + 1 positions. */
typedef struct sc_mechanism_spreads {
    size_t n_questions, n_positions; /* n_positions = P + 1 */
    double *by_fraction;             /* [Q, P+1] mean over draws of the estimate at fraction k / P */
    double *by_token;                /* [Q, P+1] after token[k] tokens; a response that has ended has 0 */
    double *start;                   /* [Q] c (1 - c), from forks of the prompt */
    double *token;                   /* [P+1] */
    double exact;                    /* share of the prefixes whose law was enumerated */
} sc_mechanism_spreads;

/* What a collapsed mechanism was made from. */
typedef struct sc_mechanism_origin {
    char *cell, *collapse;
    char *collapse_sha256, *mechanism_sha256; /* of the products, and of the mechanism */
} sc_mechanism_origin;
void sc_mechanism_origin_free(sc_mechanism_origin *origin);

/* Reads and checks the file of a collapsed mechanism; `origin` may be NULL. */
semcal_status sc_mechanism_collapsed_read(sc_mechanism_spreads *spreads, sc_mechanism_origin *origin, const char *path,
                                          semcal_error *error);

/* Whether the cell's mechanism has been collapsed with these products; false also for a damaged file. */
semcal_status sc_mechanism_is_collapsed(bool *current, const char *mechanism_sha256, sc_store_cell *cell,
                                        const char *cell_path, const char *collapse, semcal_error *error);

/* Reads them; n_questions is 0 when the cell has no mechanism under this collapse. */
semcal_status sc_mechanism_read(sc_mechanism_spreads *spreads, const char *cell_path, const char *collapse,
                                semcal_error *error);
void sc_mechanism_spreads_free(sc_mechanism_spreads *spreads);

#endif

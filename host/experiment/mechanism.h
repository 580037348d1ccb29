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
 * Both files appear at once when they are whole. A run stopped in between does the cell's mechanism again; with the
 * same names it gets the same numbers. The files do not belong to the cell's content digest.
 */
#ifndef SC_EXPERIMENT_MECHANISM_H
#define SC_EXPERIMENT_MECHANISM_H

#include "experiment/collapse_cell.h"
#include "experiment/run_cell.h"

/* RUN/mechanism/<cell><suffix> for the cell file RUN/cells/<cell>.h5; malloc'ed. */
char *sc_mechanism_path(const char *cell_path, const char *suffix, semcal_error *error);

/* Generates the mechanism of a finished cell file when the configuration wants it, unless one of the same settings is
 * there. *made tells that the dataset's collapses have to be applied to it. */
semcal_status sc_mechanism_run(bool *made, const sc_run_cell *run, const char *cell_path, semcal_error *error);

/* Applies a collapse that the cell file already has; does nothing when the cell has no mechanism. */
semcal_status sc_mechanism_collapse(const char *cell_path, const sc_collapse_cell_options *options,
                                    semcal_error *error);

/* Spreads g (1 - g) by question: Q questions, P + 1 positions. */
typedef struct sc_mechanism_spreads {
    size_t n_questions, n_positions; /* n_positions = P + 1 */
    double *by_fraction;             /* [Q, P+1] mean over draws of the estimate at fraction k / P */
    double *by_token;                /* [Q, P+1] after token[k] tokens; a response that has ended has 0 */
    double *start;                   /* [Q] c (1 - c), from forks of the prompt */
    double *token;                   /* [P+1] */
    double exact;                    /* share of the prefixes whose law was enumerated */
} sc_mechanism_spreads;

/* Reads them; n_questions is 0 when the cell has no mechanism under this collapse. */
semcal_status sc_mechanism_read(sc_mechanism_spreads *spreads, const char *cell_path, const char *collapse,
                                semcal_error *error);
void sc_mechanism_spreads_free(sc_mechanism_spreads *spreads);

#endif

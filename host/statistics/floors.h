/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a perfectly calibrated model would score: SmoothECE is never 0 on finite data, so it is read against a floor.
 *
 *   noise floor   the confidences stay, the outcomes are redrawn as a_i ~ Bernoulli(c_i). Label noise alone: about .040
 *                 for 500 questions, .031 for 1000, .023 for 2000.
 *   model floor   M draws and the answer are redrawn from each question's estimated class law, the confidence is
 *                 estimated again from the redrawn counts. This carries the selection bias of the estimator too.
 *
 * Redraw r uses the stream keyed by (seed, purpose, name) and r; results do not depend on the number of threads.
 */
#ifndef SC_STATISTICS_FLOORS_H
#define SC_STATISTICS_FLOORS_H

#include "base/error.h"

#include <stdbool.h>

typedef struct sc_floor_options {
    uint64_t seed;
    const char *name; /* of the stream: a cell, "" */
    size_t n_redraws;
    unsigned n_threads; /* 0: as many as the machine has */
    unsigned n_splits;  /* of the split estimator; 0: SC_ESTIMATORS_SPLITS */
} sc_floor_options;

#define SC_FLOOR_OPTIONS_INIT                                                                                          \
    {                                                                                                                  \
        1, "", 400, 0, 0                                                                                               \
    }

/* Mean and 95 % point of smECE over the redraws; mean of the signed overconfidence. */
typedef struct sc_floor {
    double mean, point_95;
    double overconfidence; /* mean over redraws of mean(c) - mean(a): the estimator's own bias */
} sc_floor;

/* Noise floor of the confidences c[n] in [0, 1]. `values` ([n_redraws], may be NULL) receives the redraws, sorted. */
semcal_status sc_floors_noise(sc_floor *floor, double *values, const double *c, size_t n,
                              const sc_floor_options *options, semcal_error *error);

/* How a redrawn confidence is estimated: as sc_estimators_compute does, ties by the class's probability. */
typedef enum sc_floor_estimator { SC_FLOOR_FREQUENCY, SC_FLOOR_SPLIT } sc_floor_estimator;

/* The class laws of n questions; question q owns entries first[q] .. first[q + 1] - 1. */
typedef struct sc_class_laws {
    size_t n_questions;
    const size_t *first;       /* [n_questions + 1] */
    const double *probability; /* [first[n]] >= 0; each question is normalised to 1 */
    const bool *never_correct; /* [first[n]] true for `unparsed`: as an answer it is wrong for every mode; or NULL */
} sc_class_laws;

/* Model floor at `n_draws` draws per question. Errors: SEMCAL_E_NUMERIC naming the question without mass. */
semcal_status sc_floors_model(sc_floor *floor, double *values, const sc_class_laws *laws, size_t n_draws,
                              sc_floor_estimator estimator, const sc_floor_options *options, semcal_error *error);

/* Both estimators' model floors from the same redraws: the numbers of two calls of sc_floors_model for little more than
 * one. `floors` is indexed by sc_floor_estimator; n_draws >= 2. */
semcal_status sc_floors_model_both(sc_floor floors[2], const sc_class_laws *laws, size_t n_draws,
                                   const sc_floor_options *options, semcal_error *error);

#endif

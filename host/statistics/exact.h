/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Semantic confidence from response probabilities that were enumerated, not only drawn: the estimators `exact` and
 * `hybrid` of one question.
 *
 *   exact    the distinct responses known (enumerated, and those drawn beside them) have the mass lower_k in class k
 * and leave `unexplored` outside. Every class then has lower_k <= pi(k) <= lower_k + unexplored, with certainty. When
 * the heaviest class leads by at least `unexplored`, the mode is certain, and c lies in [lower, upper]. The confidence
 * is the middle, off by at most unexplored / 2. While the mode is not certain there is no number: the confidence is
 * NaN, and lower, upper bound max_k pi(k) over all classes. hybrid   the enumerated head plus R draws from the law of
 * the rest (sampling/tail.h): head_k + tail * share_k. Unbiased for each class, standard error tail * sqrt(s (1 - s) /
 * (R - 1)).
 */
#ifndef SC_STATISTICS_EXACT_H
#define SC_STATISTICS_EXACT_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* S distinct responses known, R draws of the tail, K classes. */
typedef struct sc_exact_found {
    size_t n_strings, n_tail, n_classes;
    const int32_t *string_class; /* [S] */
    const double *string_logp;   /* [S] nats */
    const bool *string_in_head;  /* [S] found by the enumeration */
    const int32_t *tail_class;   /* [R] */
    const bool *class_correct;   /* [K] */
} sc_exact_found;

/* NaN where a number cannot be had. */
typedef struct sc_exact_estimates {
    double unexplored; /* mass outside the S responses, in [0, 1] */
    int32_t mode;      /* heaviest class found, -1: none */
    bool mode_certain;
    double lower, upper;        /* certain bounds on the probability of the heaviest class */
    double confidence, correct; /* NaN unless the mode is certain */
    double tail;                /* mass outside the head */
    int32_t mode_hybrid;        /* -1: none */
    double confidence_hybrid, correct_hybrid, standard_error;
} sc_exact_estimates;

/* `class_lower` [K] receives lower_k. SEMCAL_E_DATA for a class out of range, SEMCAL_E_NUMERIC when the masses sum to
 * more than 1 (1e-3 is forgiven: log-probabilities may come from single precision). */
semcal_status sc_exact_compute(sc_exact_estimates *out, double *class_lower, const sc_exact_found *found,
                               semcal_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the draws of one question to its semantic confidence: the estimators side by side, for the same draws.
 *
 * A question has a law over classes, pi(k). Its mode k* and the semantic confidence c = pi(k*) are not known; M draws
 * are. Every estimator here pairs a confidence with the correctness of *its own* mode, so that each pair (c, a) can go
 * straight into a calibration measure:
 *
 *   frequency   c = count of the most drawn class / M. The paper's. Biased up: it is the maximum of noisy numbers.
 *   split       mode from one half of the draws, its frequency from the other half; mean over fixed random splits,
 *               with the mean correctness of their modes. No selection bias.
 *   mass        exact response probabilities instead of counts: certain bounds, and the normalised sums.
 *
 * Ties for a mode are broken the same way everywhere: larger summed probability of the distinct responses of the class,
 * then the class that was drawn first.
 */
#ifndef SC_STATISTICS_ESTIMATORS_H
#define SC_STATISTICS_ESTIMATORS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Random halvings averaged by the split estimator when nothing else is said (10). */
#define SC_ESTIMATORS_SPLITS 10
/* Below this mass found, the normalised estimate is not to be trusted and must stay out of calibration measures. */
#define SC_ESTIMATORS_MASS_RELIABLE 0.9

/* The draws of one question; shape letters M draws, K classes. All arrays stay the caller's. */
typedef struct sc_draws {
    size_t n_draws;             /* M >= 1 */
    size_t n_classes;           /* K >= 1; classes are 0 .. K-1, in any order, empty ones allowed */
    const int32_t *draw_class;  /* [M] class of each draw, in draw order */
    const double *draw_logp;    /* [M] log-probability of the whole response, nats, <= 0; NULL when unknown */
    const int64_t *draw_string; /* [M] equal number = same response; NULL when unknown (then draw_logp must be too) */
    const bool *class_correct;  /* [K] the reference answer is in this class; always false for `unparsed` */
} sc_draws;

/* What the draws say. A number that cannot be had (split for M = 1, everything of mass without log-probabilities) is
 * NaN, and is documented so: store it as a missing value, keep it out of averages. */
typedef struct sc_estimates {
    int32_t mode;                   /* most drawn class (frequency) */
    double confidence_frequency;    /* count[mode] / M */
    double correct;                 /* 1 when class_correct[mode], else 0 */
    double confidence_split;        /* NaN for M < 2 */
    double correct_split;           /* share of the splits whose own mode is correct; NaN for M < 2 */
    size_t n_distinct;              /* distinct responses; 0 when unknown */
    int32_t mode_mass;              /* class of the largest mass found; -1 when unknown */
    double mass_found;              /* sum of p(z) over the distinct responses found, in [0, 1] */
    double mass_lower, mass_upper;  /* certain: mass_lower <= max_k pi(k) <= mass_upper */
    double confidence_mass;         /* mass of mode_mass / mass_found */
    double correct_mass;            /* 1 when class_correct[mode_mass], else 0 */
    bool mode_certain;              /* no other class, found or not, can be heavier than mode_mass */
    double semantic_entropy;        /* nats; -sum P log P, P = masses normalised over the classes found */
    double semantic_entropy_counts; /* nats; the same with P = counts / M */
} sc_estimates;

/* Computes everything. `class_count` and `class_mass` ([K], may be NULL) receive the number of draws of each class and
 * lower_k, the summed probability of its distinct responses (upper_k is lower_k + 1 - mass_found; NaN when unknown).
 * SEMCAL_E_DATA: no draws, a class out of range, two draws of one response in different classes.
 * SEMCAL_E_NUMERIC: a log-probability that is NaN or above 0 (1e-6 is forgiven), masses that sum to more than 1
 * (1e-3 is forgiven: log-probabilities may come from single precision). */
semcal_status sc_estimators_compute(sc_estimates *out, uint32_t *class_count, double *class_mass, const sc_draws *draws,
                                    semcal_error *error);

/* The same with the split estimator averaged over n_splits halvings; 0: SC_ESTIMATORS_SPLITS. */
semcal_status sc_estimators_compute_splits(sc_estimates *out, uint32_t *class_count, double *class_mass,
                                           const sc_draws *draws, unsigned n_splits, semcal_error *error);

/* The tie rule by itself: largest count, then largest mass (may be NULL), then smallest first draw. Classes with count
 * 0 are never chosen; -1 when all are empty. */
int32_t sc_estimators_mode(const uint32_t *count, const double *mass, const uint32_t *first_draw, size_t n_classes);

/* The half of the draws that chooses the mode in split `split` (0, 1, ...): marks floor(M/2) of
 * `chooses` ([M]). A pure function of M and `split`; `scratch` has room for M numbers. */
void sc_estimators_split(bool *chooses, uint32_t *scratch, size_t n_draws, unsigned split);

#endif

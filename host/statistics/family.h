/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loss gap of the full family: tilts of every class of a question, not of its mode alone.
 *
 * A tilt multiplies the law of question x by e^{tau_k} on class k, tau_k a function of the whole pushforward pi_x. Its
 * loss change is  log(rest + sum_k pi_k e^{tau_k}) - tau_ref,  rest = 1 - sum_k pi_k, in nats. A model is calibrated
 * over all its classes exactly when no such tilt lowers the mean loss. The functions tried are
 *
 *   tau_k = clip(theta . f_k, -4, 4),  f_k = (1 for the mode, 1 for the second class, log rank_k, log pi_k),
 *
 * fitted by ridge-regularised maximum likelihood: half the square of every coefficient but the mode's costs 1/n nats
 * (a normal prior of standard deviation 1). The mode's alone is the family SC_GAP_SHIFT of gap.h, so in sample this gap
 * is at least that one; the search starts from the best shift and climbs (concave but for the clipping).
 *
 * A reference answer in no class found has tau = 0, like all mass that was not seen. Where the classes found make up
 * the whole law its log loss is infinite before and after, and its change, log sum_k pi_k e^{tau_k}, is the limit of a
 * small unseen mass: as gap.h treats confidences of 0 and 1. Such questions are counted. Laws estimated by counts / M
 * claim that nothing was missed, and a tilt of everything found would be paid for every answer that was: up to 4 nats
 * each, of a calibrated model too. sc_family_smooth leaves room for the classes not drawn.
 */
#ifndef SC_STATISTICS_FAMILY_H
#define SC_STATISTICS_FAMILY_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

#define SC_FAMILY_FEATURES 4

/* Question q owns classes first[q] .. first[q + 1] - 1. */
typedef struct sc_family_laws {
    size_t n_questions;
    const size_t *first;       /* [n + 1] */
    const double *probability; /* [first[n]] >= 0; each question's sum at most 1 + 1e-9; 0: as if absent */
    const int32_t *reference;  /* [n] class of the reference answer within the question; negative: in none found */
    const int32_t *mode;       /* [n] class of rank 1 within the question; NULL: the first of the largest */
} sc_family_laws;

typedef struct sc_family_options {
    uint64_t seed;
    const char *name;    /* of the random streams: a cell, "" */
    size_t n_replicates; /* resamples and redraws; 0: no interval, no floor */
    size_t n_folds;      /* of the cross-fit, gap.h's folds; 0: none */
    unsigned n_threads;  /* 0: as many as the machine has */
    size_t n_draws;      /* M behind laws made by sc_family_smooth: the floor redraws them too; 0: laws are given */
} sc_family_options;

#define SC_FAMILY_OPTIONS_INIT                                                                                         \
    {                                                                                                                  \
        1, "", 200, 5, 0, 0                                                                                            \
    }

/* Gains in nats per question; NaN where not asked for. */
typedef struct sc_family_gap {
    double theta[SC_FAMILY_FEATURES]; /* the tilt fitted to all questions */
    double gap, crossfit;             /* in sample; each question by the tilt fitted without its fold */
    double interval[2];               /* basic bootstrap interval of gap over questions, 95 %, clipped at 0 */
    double floor, floor_95;           /* gap when answers (and M draws) are redrawn from pi: mean and 95 % point */
    size_t n_unseen;                  /* questions whose reference answer is in no class found */
} sc_family_gap;

/* A law from counts of n_draws draws that leaves room for classes not drawn: absolute discounting (Ney, Essen and
 * Kneser 1994),  pi_k = (count_k - d) / M  with  d = (n_1 + 1/2) / (n_1 + 2 n_2 + 1)  for n_1, n_2 classes drawn once
 * and twice. The rest, d K / M, is near n_1 / M (Good and Turing's estimate of the mass not seen), and near 1/2M, as in
 * the smoothed log loss, for a law of one class. Classes of count 0 get 0. */
void sc_family_smooth(double *probability, const uint32_t *count, size_t n_classes, size_t n_draws);

/* The features of a class (rank from 1, probability > 0), and the tilt they give. */
void sc_family_features(double feature[SC_FAMILY_FEATURES], size_t rank, double probability);
double sc_family_tilt(const double theta[SC_FAMILY_FEATURES], const double feature[SC_FAMILY_FEATURES]);

/* What theta saves, mean over questions (weights w[n], NULL: equal), before any penalty. */
semcal_status sc_family_gain(double *gain, const double theta[SC_FAMILY_FEATURES], const sc_family_laws *laws,
                             const double *w, semcal_error *error);

/* Everything. In redraws each draw of the rest is a class of its own. SEMCAL_E_DATA for a reference or mode out of
 * range, SEMCAL_E_NUMERIC for probabilities that are none. */
semcal_status sc_family_compute(sc_family_gap *out, const sc_family_laws *laws, const sc_family_options *options,
                                semcal_error *error);

#endif

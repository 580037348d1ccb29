/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loss gap: how much loss a calibration-fixing perturbation of the model would save.
 *
 * Tilting the sequence law by e^{tau(c)} on the answers of the mode class changes the loss of a question by
 *
 *   log(1 + c (e^tau - 1)) - tau a      (nats), and its confidence to  sigmoid(logit c + tau),
 *
 * so tilting the model is post-processing its confidence, and a model is calibrated exactly when no tilt of the family
 * lowers the mean loss. pGap is the most that a family can save. With t = logit(c), all with |tau| <= 4:
 *
 *   shift       tau is one number
 *   affine      tau = clip((alpha - 1) t + beta), alpha in [0, 2]; at c = 0 and 1 by its limit
 *   lipschitz   tau is 1-Lipschitz in t, free at c = 0 and 1
 *   isotonic    t + tau(t) never falls
 *   square      the squared-loss twin: c + x(c) in [0, 1], x 1-Lipschitz in c; saves mean (a-c)^2 - (a-c-x)^2
 *
 * In sample shift <= affine <= lipschitz <= isotonic, and with smce.h: 2 dsmCE^2 <= lipschitz <= 4 dsmCE,
 * smCE^2 <= square <= 2 smCE. In-sample gaps overfit (isotonic most); the cross-fitted ones do not and may be negative.
 *
 * Accuracy of the supremum: shift and isotonic to rounding; lipschitz and square to 1e-8 with a proof per call (see
 * chain.h), for more than SC_GAP_CHAIN distinct confidences the proof is looser and returned; affine is a search over
 * two numbers on a grid refined by Newton's method, for at most 64 distinct confidences also along the lines on which
 * some point meets the clip: a value that is attained, within 1e-9 of the best that finer searches found.
 */
#ifndef SC_STATISTICS_GAP_H
#define SC_STATISTICS_GAP_H

#include "base/error.h"
#include "statistics/pool.h"

#include <stdint.h>

#define SC_GAP_MOST_TILT 4.0
/* Distinct confidences beyond which neighbours are solved for together. */
#define SC_GAP_CHAIN 32768
#define SC_GAP_TOLERANCE 1e-9

typedef enum sc_gap_family {
    SC_GAP_SHIFT,
    SC_GAP_AFFINE,
    SC_GAP_LIPSCHITZ,
    SC_GAP_ISOTONIC,
    SC_GAP_SQUARE,
    SC_GAP_FAMILIES
} sc_gap_family;

/* A fitted function of the confidence: linear between places, constant beyond them. Free with sc_gap_free. */
typedef struct sc_gap_tilt {
    sc_gap_family family;
    size_t n;
    double *place;          /* [n] rising: logit(c), or c for SC_GAP_SQUARE */
    double *value;          /* [n] tau, or x for SC_GAP_SQUARE */
    double at_zero, at_one; /* tau at c = 0 and 1 */
} sc_gap_tilt;

double sc_gap_tilt_at(const sc_gap_tilt *tilt, double c);
void sc_gap_free(sc_gap_tilt *tilt);

/* What the value x saves on a question of confidence c and outcome a: nats, or squared error for SC_GAP_SQUARE. */
double sc_gap_gain(sc_gap_family family, double c, double a, double x);

/* The best tilt of a family for a sample, and its gap. `*slack` (may be NULL): the supremum is at most gap + slack
 * (NaN for the affine family). SEMCAL_E_NUMERIC when a chain program does not converge. */
semcal_status sc_gap_fit(sc_gap_tilt *tilt, double *gap, double *slack, sc_gap_family family, const sc_pool *pool,
                         semcal_error *error);

/* The same to within about `tolerance` (nats; 1e-9 is what sc_gap_fit asks for), for replicates: the affine search
 * starts from fewer places. */
semcal_status sc_gap_fit_within(sc_gap_tilt *tilt, double *gap, double *slack, sc_gap_family family,
                                const sc_pool *pool, double tolerance, semcal_error *error);

/* All five in sample; `slack` ([SC_GAP_FAMILIES]) may be NULL. Errors of sc_smece_check besides. */
semcal_status sc_gap_in_sample(double gap[SC_GAP_FAMILIES], double *slack, const double *c, const double *a,
                               const double *w, size_t n, semcal_error *error);

/* The folds of a cross-fit: fold[n] < n_folds, a random partition into parts of equal size (but for one) keyed by
 * (seed, "folds", name). */
void sc_gap_folds(uint32_t *fold, size_t n, size_t n_folds, uint64_t seed, const char *name);

/* All five, each question scored by the tilt fitted without its fold. NaN when n < n_folds. */
semcal_status sc_gap_crossfit(double gap[SC_GAP_FAMILIES], const double *c, const double *a, size_t n, size_t n_folds,
                              uint64_t seed, const char *name, semcal_error *error);

#endif

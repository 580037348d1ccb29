/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The classical scores of confidences c[n] in [0, 1] against outcomes a[n] (0 or 1; a probability in [0, 1] counts as
 * the expectation over its outcome). n >= 1; nothing is checked (sc_smece_check does).
 */
#ifndef SC_STATISTICS_BINNED_H
#define SC_STATISTICS_BINNED_H

#include "base/error.h"

/* mean(c) - mean(a): positive is overconfident. */
double sc_binned_overconfidence(const double *c, const double *a, size_t n);

/* Expected calibration error over equal-width bins [j/B, (j+1)/B), the last one closed: sum over bins of
 * |sum of (a - c)| / n. In double, .3 / .1 is below 3: the decimal .3 falls into the bin [.2, .3), as in the usual
 * Python code for this score. */
double sc_binned_ece(const double *c, const double *a, size_t n, size_t n_bins);

/* Mean of (c - a)^2, in expectation over a: for a probability a it includes a (1 - a). */
double sc_binned_brier(const double *c, const double *a, size_t n);

/* Mean of -log(probability given to the outcome), nats; +inf when an outcome had probability 0, and then
 * `*n_infinite` (may be NULL) counts such pairs. */
double sc_binned_log_loss(size_t *n_infinite, const double *c, const double *a, size_t n);

/* The same at the smoothed confidence (M c + 1/2) / (M + 1), M >= 1 draws: always finite. */
double sc_binned_log_loss_smoothed(const double *c, const double *a, size_t n, size_t n_draws);

/* Area under the ROC curve: chance that a right answer is more confident than a wrong one, ties half. NaN when all
 * answers are right or all are wrong. O(n log n). */
semcal_status sc_binned_auroc(double *auroc, const double *c, const double *a, size_t n, semcal_error *error);

#endif

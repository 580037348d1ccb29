/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Class-wise SmoothECE, a test of full B-calibration: every class of every question is one pair
 * (pi_q(k), 1 when the reference answer is in k), pooled with weight pi_q(k).
 *
 * Full B-calibration makes it vanish in expectation; the converse does not hold (errors of different classes with equal
 * probability can cancel in the pool), so it is necessary, not sufficient.
 */
#ifndef SC_STATISTICS_CLASSWISE_H
#define SC_STATISTICS_CLASSWISE_H

#include "base/error.h"

/* Question q owns classes first[q] .. first[q + 1] - 1 with probability[] >= 0 summing to at most 1 + 1e-9 (an absent
 * rest is allowed). reference[q] counts within the question; negative when the answer is in no class found. */
semcal_status sc_classwise_smece(double *smece, size_t n_questions, const size_t *first, const double *probability,
                                 const int32_t *reference, semcal_error *error);

#endif

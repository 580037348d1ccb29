/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certified bounds on SmoothECE at a fixed width s when the confidences are known only to lie in intervals.
 *
 * Let F_i(c) = K_s(., c) (a_i - c), so that smECE_s = || mean_i F_i(c_i) || with || f || the integral of |f| over [0,
 * 1]. The reflected kernel has || K_s(., c) || = 1, and since its images unfold [0, 1] onto the whole line once,
 *     || K_s(., c) - K_s(., v) || <= integral of |phi_s(x - c) - phi_s(x - v)| dx = 2 erf(|c - v| / (2 sqrt 2 s)).
 * Writing F_i(c) - F_i(v) = (K_s(., c) - K_s(., v)) (a_i - v) + K_s(., c) (v - c) gives
 *     || F_i(c) - F_i(v) || <= |c - v| + |a_i - v| 2 erf(|c - v| / (2 sqrt 2 s)),
 * and by the triangle inequality one question moves smECE_s by at most 1/n of that. For small |c - v| it is the
 * Lipschitz constant of smECE_s in c_i,
 *     (1 + |a_i - v| sqrt(2 / pi) / s) / n    (at s = .05: at most 16.96 / n);
 * the erf, which lies below its tangent, keeps wide intervals from costing more than they can. The bounds are smECE_s
 * at the middles v_i of the intervals, minus and plus the sum over questions with |c - v| the half width.
 *
 * A question whose mode is not resolved has an unknown a_i as well: it counts as worst case. In the middle it is left
 * out (F = 0), and it moves the sum by at most || F_i || = |a_i - c_i| <= max(upper_i, 1 - lower_i).
 */
#ifndef SC_STATISTICS_CERTIFIED_H
#define SC_STATISTICS_CERTIFIED_H

#include "base/error.h"

#include <stddef.h>

/* bounds[0] <= smECE_s <= bounds[1] for every c with lower[i] <= c[i] <= upper[i] (in [0, 1]) and the outcomes a[i] (in
 * [0, 1]); NaN: not resolved, any outcome. Both bounds lie in [0, 1] and are widened by 1e-5, more than sc_smece_at's
 * own error. n >= 1. SEMCAL_E_NUMERIC naming the question for bounds out of order. */
semcal_status sc_certified_smece(double bounds[2], double s, const double *lower, const double *upper, const double *a,
                                 size_t n, semcal_error *error);

#endif

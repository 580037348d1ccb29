/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Smooth calibration error, exactly.
 *
 *   smCE  = sup over h: [0, 1] -> [-1, 1], 1-Lipschitz, of mean_i h(c_i) (a_i - c_i)
 *   dsmCE = the same with h 1/4-Lipschitz in the log-odds log(c / (1 - c)); at c = 0 and c = 1 h is free.
 *
 * smCE <= dsmCE, since log-odds move at least four times as fast as c. (Kakade and Foster 2008; Blasiok, Gopalan, Hu
 * and Nakkiran, STOC 2023: the dual is a transport distance.)
 *
 * Method: sorted, this is a linear program along a chain. The best value given h at the current point is a concave
 * piecewise-linear function of h; one step widens it at its maximum (the neighbour may differ by the distance) and adds
 * a linear function. Its slope changes are kept in two balanced trees left and right of the maximum, so a step is
 * O(log n) whatever the data: O(n log n) in all, exact to rounding (about 1e-13).
 */
#ifndef SC_STATISTICS_SMCE_H
#define SC_STATISTICS_SMCE_H

#include "base/error.h"

/* c, a, w as in sc_smece_check, whose errors it gives; `w` may be NULL. */
semcal_status sc_smce_exact(double *smce, const double *c, const double *a, const double *w, size_t n,
                            semcal_error *error);
semcal_status sc_smce_logit(double *dsmce, const double *c, const double *a, const double *w, size_t n,
                            semcal_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The fits behind sc_gap_fit, one file each. They fill place and value; at_zero and at_one come set for free atoms. */
#ifndef SC_STATISTICS_GAP_FAMILIES_H
#define SC_STATISTICS_GAP_FAMILIES_H

#include "statistics/gap.h"

/* Shift and affine: Newton's method, for affine from the best places of a grid. */
semcal_status sc_gap_fit_affine(sc_gap_tilt *tilt, const sc_pool *pool, double tolerance, semcal_error *error);

/* Lipschitz and square, as a chain program. `*slack` bounds what was missed. */
semcal_status sc_gap_fit_chain(sc_gap_tilt *tilt, double *slack, const sc_pool *pool, double tolerance,
                               semcal_error *error);

/* Isotonic, by pooling adjacent violators. */
semcal_status sc_gap_fit_isotonic(sc_gap_tilt *tilt, const sc_pool *pool, semcal_error *error);

/* Room for n places and values. */
semcal_status sc_gap_alloc(sc_gap_tilt *tilt, size_t n, semcal_error *error);

#endif

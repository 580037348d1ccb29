/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SmoothECE (Blasiok and Nakkiran, ICLR 2024): calibration error without bins.
 *
 *   smECE_s = integral over [0, 1] of | mean_i K_s(t, c_i) (a_i - c_i) | dt,   K_s the reflected Gaussian kernel,
 *   smECE   = its value at the width s that equals it (the fixed point; smECE_s never increases with s).
 *
 * c_i in [0, 1] is a confidence, a_i in [0, 1] the outcome (0 or 1, or its known probability), w_i >= 0 a weight.
 * Near linear in n. Absolute error below 1e-5: see smooth.h for the parts and tests/unit/test_smece.c for the proof by
 * quadrature.
 */
#ifndef SC_STATISTICS_SMECE_H
#define SC_STATISTICS_SMECE_H

#include "base/error.h"

/* The narrowest width that is resolved; a fixed point below it is reported as a number in [0, this]. */
#define SC_SMECE_NARROWEST 7.62939453125e-06 /* 2^-17 */

/* Checks a sample: n >= 1, every c and a in [0, 1], weights finite, >= 0 and not all 0. SEMCAL_E_NUMERIC naming the
 * pair (counted from 0). `w` may be NULL. */
semcal_status sc_smece_check(const double *c, const double *a, const double *w, size_t n, semcal_error *error);

/* The fixed point. `w` may be NULL (equal weights). */
semcal_status sc_smece_exact(double *smece, const double *c, const double *a, const double *w, size_t n,
                             semcal_error *error);

/* The value at a given width s >= SC_SMECE_NARROWEST. */
semcal_status sc_smece_at(double *smece, double s, const double *c, const double *a, const double *w, size_t n,
                          semcal_error *error);

/* The smoothed reliability curve at the points t[n_points]: density[j] = E[K_s(t_j, c)] (it integrates to 1) and
 * curve[j] = E[K_s(t_j, c) a] / density[j], NaN where the density is below 1e-9: no data, nothing to draw. */
semcal_status sc_smece_curve(double *curve, double *density, const double *t, size_t n_points, double s,
                             const double *c, const double *a, const double *w, size_t n, semcal_error *error);

/* ---- the same many times, for resampling ---- */

/* Scratch that is kept between calls; one per thread. */
typedef struct sc_smece_work sc_smece_work;
sc_smece_work *sc_smece_work_new(semcal_error *error);
void sc_smece_work_free(sc_smece_work *work);

/* The fixed point for points c[n] that carry the signed masses m_i = w_i (a_i - c_i) / sum w, to within `tolerance`.
 * Nothing is checked. */
semcal_status sc_smece_of_masses(double *smece, sc_smece_work *work, const double *c, const double *m, size_t n,
                                 double tolerance, semcal_error *error);

#endif

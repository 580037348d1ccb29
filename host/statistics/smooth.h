/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A weighted sample on [0, 1] smoothed by the reflected Gaussian kernel, and the integral of its absolute value.
 *
 * The reflected kernel of width s is K_s(t, v) = 1 + 2 sum_k e^{-(k pi s)^2 / 2} cos(k pi t) cos(k pi v), so a sample
 * {(v_i, m_i)} is known once its cosine coefficients  M_k = sum_i m_i cos(k pi v_i)  are known, and smoothing it at any
 * width is one multiplication per coefficient and one transform.
 *
 * M_k comes from N cells: each point is laid on its four nearest cell centres by the cubic B-spline (at the ends what
 * falls outside is reflected back, so an atom at 0 or 1 has its full weight), the cells are transformed, and the
 * spline's own factor sinc(pi k / 2N)^4 is divided out. What remains is aliasing of the frequencies 2N - k and above:
 * relative error below 2.2 (k / 2N)^4 of sum |m|. At widths s >= SC_SMOOTH_CELLS / N, where coefficient k is damped by
 * e^{-(k pi s)^2/2}, summing this gives an error of the smoothed function below 1.4e-7 sum |m| times the height
 * 1 / (s sqrt(2 pi)) of the kernel, everywhere.
 *
 * The integral is the midpoint rule over the cells, exact to rounding for the smooth even function itself; only the
 * kinks of |.| at sign changes cost anything, and their second-order term is subtracted. The error left is of third
 * order in 1 / (N s): below 1e-5 sum |m| at s = SC_SMOOTH_CELLS / N (tests/unit/test_smece.c; 4e-6 at worst).
 */
#ifndef SC_STATISTICS_SMOOTH_H
#define SC_STATISTICS_SMOOTH_H

#include "base/error.h"

/* Cells per kernel width that the error bounds above ask for. */
#define SC_SMOOTH_CELLS 16.0

typedef struct sc_smooth sc_smooth;

/* Room for samples on N cells, N a power of two from 16 to 2^22. One user at a time. NULL with the error set. */
sc_smooth *sc_smooth_new(size_t n_cells, semcal_error *error);
void sc_smooth_free(sc_smooth *smooth);
size_t sc_smooth_cells(const sc_smooth *smooth);

/* Takes a sample: points v[n] in [0, 1] with weights m[n] (signed; NULL: 1/n each). O(n + N log N). */
void sc_smooth_take(sc_smooth *smooth, const double *v, const double *m, size_t n);

/* The cosine coefficient M_k of the sample taken, k < N. M_0 is its total weight. */
double sc_smooth_coefficient(const sc_smooth *smooth, size_t k);

/* Integral over [0, 1] of |sum_i m_i K_s(t, v_i)| dt. Never increasing in s. */
double sc_smooth_integral(sc_smooth *smooth, double s);

/* The same on as few cells as the error bound above allows for this width: faster, but no better than the bound. */
double sc_smooth_integral_fast(sc_smooth *smooth, double s);

/* values[j] = sum_i m_i K_s(t[j], v_i) at any points t[n_points] of [0, 1]. O(n_points / s). */
void sc_smooth_values(const sc_smooth *smooth, double *values, const double *t, size_t n_points, double s);

#endif

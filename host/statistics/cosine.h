/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cosine transforms of power-of-two length on the cell centres t_j = (j + 1/2) / N of [0, 1].
 *
 * A function on [0, 1] that is reflected at both ends is a sum of cos(k pi t), and convolution with a reflected kernel
 * multiplies its k-th coefficient: smoothing is diagonal here. That is why SmoothECE lives in this basis.
 * O(N log N): the transform is a complex FFT of length N/2 (Makhoul, IEEE TASSP 28, 1980).
 */
#ifndef SC_STATISTICS_COSINE_H
#define SC_STATISTICS_COSINE_H

#include "base/error.h"

typedef struct sc_cosine sc_cosine;

/* Tables and scratch for one length N (a power of two, 4 <= N <= 2^24). One user at a time; NULL with the error set on
 * exhaustion. */
sc_cosine *sc_cosine_new(size_t n_cells, semcal_error *error);
void sc_cosine_free(sc_cosine *cosine);

/* spectrum[k] = sum_j grid[j] cos(pi k (j + 1/2) / N), k = 0 .. N-1. The arrays may be the same. */
void sc_cosine_forward(sc_cosine *cosine, double *spectrum, const double *grid);

/* grid[j] = spectrum[0] + 2 sum_{k >= 1} spectrum[k] cos(pi k (j + 1/2) / N); N times the inverse of the above.
 * The arrays may be the same. */
void sc_cosine_inverse(sc_cosine *cosine, double *grid, const double *spectrum);

#endif

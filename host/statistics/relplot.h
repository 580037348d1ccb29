/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SmoothECE as the Python package relplot 1.0.3 prints it, for comparison with published numbers.
 *
 * It is a discretisation of the quantity in smece.h that gives atoms at exactly 0 or 1 half their weight: the end cells
 * are not duplicated when the sample is reflected. Re-derived from a description of the algorithm: the width by ten
 * bisections of [0, 1] (upper end kept), the sample on max(2000, round(20/s))/2 + 1 nodes, one mirrored copy per side,
 * the Gaussian cut at |u| <= 1/2, read back by linear interpolation at max(200, round(10/s)) points. Agrees with the
 * package to 1e-5.
 */
#ifndef SC_STATISTICS_RELPLOT_H
#define SC_STATISTICS_RELPLOT_H

#include "base/error.h"

/* `sigma` (may be NULL) receives the width chosen. Pairs as in smece.h, without weights. */
semcal_status sc_relplot_smece(double *smece, double *sigma, const double *c, const double *a, size_t n,
                               semcal_error *error);

#endif

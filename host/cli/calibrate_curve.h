/* SPDX-License-Identifier: Apache-2.0 */
/* The curves of a calibration sample as a table: how often right, and by how much the best tilts would correct. */
#ifndef SC_CLI_CALIBRATE_CURVE_H
#define SC_CLI_CALIBRATE_CURVE_H

#include "base/error.h"

#include <stddef.h>

/* Writes CSV to `path` (whole or not at all), 201 rows at confidence 0, .005, .., 1:
 *   confidence, accuracy (smoothed by a kernel of `width`, at least .01), density, and the tau in nats of the families
 *   shift, affine, lipschitz, isotonic (statistics/gap.h); accuracy is empty where there are no data.
 * Pairs c[n], a[n] as in sc_calibration_compute. */
semcal_status sc_calibrate_write_curve(const char *path, const double *c, const double *a, size_t n, double width,
                                       semcal_error *error);

#endif

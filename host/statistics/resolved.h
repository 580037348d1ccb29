/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How early a model decides what it will mean.
 *
 * The intermediate confidence g_i of a response's first i tokens is a martingale that begins at c and ends at 0 or 1,
 * so E[g_i (1 - g_i)] falls from E[c (1 - c)] to 0. The share of the uncertainty that is gone by position i is
 *     resolved(i) = 1 - E[g_i (1 - g_i)] / E[c (1 - c)]:
 * 0 while nothing is decided, 1 when everything is. Expectations are over questions and over responses drawn from the
 * model.
 */
#ifndef SC_STATISTICS_RESOLVED_H
#define SC_STATISTICS_RESOLVED_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

typedef struct sc_resolved_options {
    uint64_t seed;
    const char *name;    /* of the bootstrap's stream */
    size_t n_replicates; /* 0: no intervals */
} sc_resolved_options;

/* One position. `spread` [n] are the questions' means of (unbiased estimates of) g_i (1 - g_i) over their draws,
 * `start` [n] those of c (1 - c). `interval` is the 95 % basic bootstrap interval over questions, at most 1; all NaN
 * when the start's mean is not positive: then there was nothing to decide. */
semcal_status sc_resolved_compute(double *resolved, double interval[2], const double *spread, const double *start,
                                  size_t n, const sc_resolved_options *options, semcal_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intervals of the in-sample loss gaps over questions, and their floors: what the same in-sample fit finds on outcomes
 * redrawn as a_i ~ Bernoulli(c_i), that is, overfitting alone.
 *
 * Both work on the sample thinned to SC_GAP_RESAMPLE_POINTS distinct confidences (pool.h); the intervals are put around
 * the gaps of the whole sample.
 */
#ifndef SC_STATISTICS_GAP_RESAMPLE_H
#define SC_STATISTICS_GAP_RESAMPLE_H

#include "statistics/bootstrap.h"
#include "statistics/gap.h"

#define SC_GAP_RESAMPLE_POINTS 256

/* The smooth calibration errors go along. */
enum { SC_GAP_SMCE, SC_GAP_DSMCE, SC_GAP_SMOOTH };

typedef struct sc_gap_spread {
    double interval[SC_GAP_FAMILIES][2]; /* basic bootstrap interval at 95 %, in [0, 4] nats or [0, 1] */
    double floor[SC_GAP_FAMILIES];       /* mean over redraws */
    double floor_95[SC_GAP_FAMILIES];    /* their 95 % point */
    double smooth_interval[SC_GAP_SMOOTH][2], smooth_floor[SC_GAP_SMOOTH], smooth_floor_95[SC_GAP_SMOOTH];
} sc_gap_spread;

/* `gap` are the in-sample gaps of (c, a), `smooth` its smCE and dsmCE (smce.h); options->n_replicates counts resamples
 * and redraws alike. */
semcal_status sc_gap_resample(sc_gap_spread *out, const double gap[SC_GAP_FAMILIES], const double smooth[SC_GAP_SMOOTH],
                              const double *c, const double *a, size_t n, const sc_bootstrap_options *options,
                              semcal_error *error);

#endif

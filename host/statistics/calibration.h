/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything this project says about one sample of pairs (confidence, correctness), in one struct and one call: what
 * `semcal calibrate` prints and `semcal analyze` stores for a cell.
 */
#ifndef SC_STATISTICS_CALIBRATION_H
#define SC_STATISTICS_CALIBRATION_H

#include "base/error.h"
#include "statistics/gap_resample.h"

#include <stdbool.h>

typedef struct sc_calibration_options {
    uint64_t seed;
    const char *name;   /* of the random streams: a cell, "" */
    size_t n_bootstrap; /* replicates of the intervals; 0: none */
    size_t n_floor;     /* redraws of the noise floor; 0: none */
    size_t n_draws;     /* M behind each confidence, for the smoothed log loss; 0: unknown */
    size_t n_gap;       /* replicates and redraws for the loss gaps; 0: none */
    size_t n_folds;     /* of the cross-fitted gaps; 0: none */
    unsigned n_threads; /* 0: as many as the machine has */
    bool relplot;       /* smece and smece_sigma as relplot prints them (intervals and floors stay exact ones) */
} sc_calibration_options;

#define SC_CALIBRATION_OPTIONS_INIT                                                                                    \
    {                                                                                                                  \
        1, "", 1000, 400, 0, 200, 5, 0, false                                                                          \
    }

/* A number that was not asked for or cannot be had is NaN (print null). Losses and gaps are in nats per question. */
typedef struct sc_calibration {
    size_t n;
    double accuracy, mean_confidence, overconfidence; /* overconfidence = mean_confidence - accuracy */
    double accuracy_ci[2], overconfidence_ci[2];
    double smece, smece_sigma; /* SmoothECE and the width at which it was taken */
    double smece_005;          /* at width .05 */
    double smece_ci[2];        /* basic bootstrap interval over questions, 95 %, clipped at 0 */
    double smece_floor, smece_floor_95;
    double smece_relplot, smece_relplot_sigma;
    double ece_10, brier;
    double log_loss;          /* +inf when some answer had confidence 0 (print null) */
    size_t log_loss_infinite; /* how many had */
    double log_loss_smoothed; /* at (M c + 1/2) / (M + 1); NaN when M is unknown */
    double auroc;             /* NaN when all answers are right or all wrong */
    double smce, dsmce;       /* smooth calibration errors, smce.h */
    double pgap[SC_GAP_FAMILIES], pgap_crossfit[SC_GAP_FAMILIES]; /* by sc_gap_family; nats (squared error: the last) */
    sc_gap_spread pgap_spread;                                    /* intervals and floors of pgap and smce, dsmce */
} sc_calibration;

/* Pairs c[n], a[n] in [0, 1]. Errors of sc_smece_check. */
semcal_status sc_calibration_compute(sc_calibration *out, const double *c, const double *a, size_t n,
                                     const sc_calibration_options *options, semcal_error *error);

#endif

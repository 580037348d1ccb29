/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bootstrap over questions: statistics of samples drawn with replacement from the n questions at hand.
 *
 * Replicate b uses its own stream, keyed by (seed, "bootstrap", name) and b, so results depend neither on the number of
 * threads nor on how many replicates are made after it.
 */
#ifndef SC_STATISTICS_BOOTSTRAP_H
#define SC_STATISTICS_BOOTSTRAP_H

#include "base/error.h"

/* Computes `n_values` statistics of a resample: group i appears `times[i]` times (whole numbers that sum to n).
 * `thread` is below the number of threads, for scratch space. */
typedef semcal_status (*sc_bootstrap_statistic)(double *values, const double *times, unsigned thread, void *payload,
                                                semcal_error *error);

typedef struct sc_bootstrap_options {
    uint64_t seed;
    const char *name; /* of the stream: a cell, "" */
    size_t n_replicates;
    unsigned n_threads; /* 0: as many as the machine has */
} sc_bootstrap_options;

#define SC_BOOTSTRAP_OPTIONS_INIT                                                                                      \
    {                                                                                                                  \
        1, "", 1000, 0                                                                                                 \
    }

/* values[v * n_replicates + b] is statistic v of replicate b. The sample is n_groups groups of count[i] equal questions
 * (NULL: one each); n = sum of the counts questions are drawn with replacement, exactly, group by group. */
semcal_status sc_bootstrap_run(double *values, size_t n_values, const double *count, size_t n_groups,
                               const sc_bootstrap_options *options, sc_bootstrap_statistic statistic, void *payload,
                               semcal_error *error);

/* The basic interval at 95 %: [2 x - q(97.5 %), 2 x - q(2.5 %)] for the estimate x, both ends at least `least` and at
 * most `most`. The percentile interval would sit above the estimate for a calibrated model, since resampling adds its
 * own noise to a number that noise can only raise. Sorts `replicates`; NaN among them makes both ends NaN. */
void sc_bootstrap_basic(double interval[2], double estimate, double *replicates, size_t n_replicates, double least,
                        double most);

#endif

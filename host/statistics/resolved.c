/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/resolved.h"

#include "base/memory.h"
#include "base/numeric.h"
#include "statistics/bootstrap.h"

#include <math.h>
#include <stdlib.h>

typedef struct sample {
    const double *spread, *start;
    size_t n;
} sample;

static double ratio(const sample *s, const double *times)
{
    sc_sum spread = {0, 0}, start = {0, 0};
    for (size_t i = 0; i < s->n; i++) {
        double weight = times != NULL ? times[i] : 1;
        sc_sum_add(&spread, weight * s->spread[i]);
        sc_sum_add(&start, weight * s->start[i]);
    }
    return sc_sum_value(&start) > 0 ? 1 - sc_sum_value(&spread) / sc_sum_value(&start) : NAN;
}

static semcal_status replicate(double *values, const double *times, unsigned thread, void *payload, semcal_error *error)
{
    (void)thread;
    (void)error;
    values[0] = ratio(payload, times);
    return SEMCAL_OK;
}

semcal_status sc_resolved_compute(double *resolved, double interval[2], const double *spread, const double *start,
                                  size_t n, const sc_resolved_options *options, semcal_error *error)
{
    sample s = {spread, start, n};
    *resolved = ratio(&s, NULL);
    interval[0] = interval[1] = NAN;
    if (isnan(*resolved) || options->n_replicates == 0) {
        return SEMCAL_OK;
    }
    double *values = sc_memory_alloc(options->n_replicates, sizeof *values, error);
    if (values == NULL) {
        return SEMCAL_E_MEMORY;
    }
    sc_bootstrap_options bootstrap = SC_BOOTSTRAP_OPTIONS_INIT;
    bootstrap.seed = options->seed;
    bootstrap.name = options->name;
    bootstrap.n_replicates = options->n_replicates;
    semcal_status status = sc_bootstrap_run(values, 1, NULL, n, &bootstrap, replicate, &s, error);
    if (status == SEMCAL_OK) {
        sc_bootstrap_basic(interval, *resolved, values, options->n_replicates, -INFINITY, 1);
    }
    free(values);
    return status;
}

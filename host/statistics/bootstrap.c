/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/bootstrap.h"

#include "base/memory.h"
#include "base/numeric.h"
#include "base/parallel.h"
#include "base/random.h"
#include "statistics/binomial.h"

#include <math.h>
#include <stdlib.h>

typedef struct resampling {
    double *values; /* [V, R] */
    size_t n_values, n_groups, n_replicates;
    const double *count; /* [n_groups] or NULL */
    double n;            /* questions */
    uint64_t key;
    double *times;   /* [threads, n] */
    double *results; /* [threads, V] */
    sc_bootstrap_statistic statistic;
    void *payload;
} resampling;

/* A multinomial draw: one question at a time, or one binomial per group given what the groups before it took. */
static void resample(double *times, const resampling *r, sc_random_stream *stream)
{
    for (size_t i = 0; i < r->n_groups; i++) {
        times[i] = 0;
    }
    if (r->count == NULL) {
        for (size_t i = 0; i < r->n_groups; i++) {
            times[sc_random_below(stream, (uint32_t)r->n_groups)] += 1;
        }
        return;
    }
    double questions = r->n, draws = r->n;
    for (size_t i = 0; i < r->n_groups && draws > 0; i++) {
        times[i] = (double)sc_binomial_draw(stream, (uint64_t)draws, r->count[i] / questions);
        draws -= times[i];
        questions -= r->count[i];
    }
}

static semcal_status replicate(size_t b, unsigned thread, void *payload, semcal_error *error)
{
    const resampling *r = payload;
    double *times = r->times + thread * r->n_groups, *results = r->results + thread * r->n_values;
    sc_random_stream stream;
    sc_random_stream_init(&stream, r->key, b);
    resample(times, r, &stream);
    semcal_status status = r->statistic(results, times, thread, r->payload, error);
    for (size_t v = 0; status == SEMCAL_OK && v < r->n_values; v++) {
        r->values[v * r->n_replicates + b] = results[v];
    }
    return status;
}

semcal_status sc_bootstrap_run(double *values, size_t n_values, const double *count, size_t n_groups,
                               const sc_bootstrap_options *options, sc_bootstrap_statistic statistic, void *payload,
                               semcal_error *error)
{
    if (n_groups == 0 || n_groups > UINT32_MAX) {
        return sc_error_set(error, SEMCAL_E_DATA, "cannot resample %zu questions", n_groups);
    }
    unsigned n_threads = options->n_threads != 0 ? options->n_threads : sc_parallel_default_threads();
    resampling r = {.values = values,
                    .n_values = n_values,
                    .n_groups = n_groups,
                    .count = count,
                    .n_replicates = options->n_replicates,
                    .statistic = statistic,
                    .payload = payload,
                    .key = sc_random_key(options->seed, "bootstrap", options->name),
                    .times = sc_memory_alloc((size_t)n_threads * n_groups, sizeof(double), error),
                    .results = sc_memory_alloc((size_t)n_threads * n_values, sizeof(double), error)};
    for (size_t i = 0; i < n_groups; i++) {
        r.n += count != NULL ? count[i] : 1;
    }
    semcal_status status = SEMCAL_E_MEMORY;
    if (r.times != NULL && r.results != NULL) {
        status = sc_parallel_for(options->n_replicates, n_threads, replicate, &r, error);
    }
    free(r.times);
    free(r.results);
    return status;
}

void sc_bootstrap_basic(double interval[2], double estimate, double *replicates, size_t n_replicates, double least,
                        double most)
{
    interval[0] = interval[1] = NAN;
    for (size_t b = 0; b < n_replicates; b++) {
        if (isnan(replicates[b])) {
            return;
        }
    }
    if (n_replicates > 0 && !isnan(estimate)) {
        qsort(replicates, n_replicates, sizeof *replicates, sc_compare_doubles);
        interval[0] = 2 * estimate - sc_quantile_sorted(replicates, n_replicates, 0.975);
        interval[1] = 2 * estimate - sc_quantile_sorted(replicates, n_replicates, 0.025);
        for (int i = 0; i < 2; i++) {
            interval[i] = fmin(most, fmax(least, interval[i]));
        }
    }
}

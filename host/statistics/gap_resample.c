/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/gap_resample.h"

#include "base/memory.h"
#include "base/numeric.h"
#include "base/parallel.h"
#include "base/random.h"
#include "statistics/binomial.h"
#include "statistics/group.h"
#include "statistics/smce.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* Nats; far below the spread of the replicates. */
#define REPLICATE_TOLERANCE 1e-6

/* The families, then the smooth errors. */
#define N_VALUES ((size_t)SC_GAP_FAMILIES + SC_GAP_SMOOTH)

/* `gap` [N_VALUES]. */
static semcal_status fit_all(double *gap, sc_pool *pool, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    sc_pool_thin(pool, SC_GAP_RESAMPLE_POINTS);
    for (int family = 0; status == SEMCAL_OK && family < SC_GAP_FAMILIES; family++) {
        sc_gap_tilt tilt;
        status = sc_gap_fit_within(&tilt, &gap[family], NULL, (sc_gap_family)family, pool, REPLICATE_TOLERANCE, error);
        if (status == SEMCAL_OK) {
            sc_gap_free(&tilt);
        }
    }
    double *share = status == SEMCAL_OK ? sc_memory_alloc(pool->n, sizeof *share, error) : NULL;
    if (share == NULL) {
        return status == SEMCAL_OK ? SEMCAL_E_MEMORY : status;
    }
    for (size_t j = 0; j < pool->n; j++) {
        share[j] = fmin(1, pool->right[j] / pool->weight[j]);
    }
    status = sc_smce_exact(&gap[SC_GAP_FAMILIES + SC_GAP_SMCE], pool->c, share, pool->weight, pool->n, error);
    if (status == SEMCAL_OK) {
        status = sc_smce_logit(&gap[SC_GAP_FAMILIES + SC_GAP_DSMCE], pool->c, share, pool->weight, pool->n, error);
    }
    free(share);
    return status;
}

static semcal_status resampled(double *values, const double *times, unsigned thread, void *payload, semcal_error *error)
{
    (void)thread;
    const sc_groups *g = payload;
    sc_pool pool;
    semcal_status status = sc_pool_make(&pool, g->c, g->a, times, g->n, error);
    if (status == SEMCAL_OK) {
        status = fit_all(values, &pool, error);
        sc_pool_free(&pool);
    }
    return status;
}

typedef struct redraws {
    const sc_groups *groups;
    uint64_t key;
    double *values; /* [N_VALUES, n_redraws] */
    size_t n_redraws;
} redraws;

static semcal_status redrawn(size_t i, unsigned thread, void *payload, semcal_error *error)
{
    (void)thread;
    const redraws *r = payload;
    const sc_groups *g = r->groups;
    double gap[N_VALUES], *share = sc_memory_alloc(g->n, sizeof *share, error);
    if (share == NULL) {
        return SEMCAL_E_MEMORY;
    }
    sc_random_stream stream;
    sc_random_stream_init(&stream, r->key, i);
    for (size_t j = 0; j < g->n; j++) {
        share[j] = (double)sc_binomial_draw(&stream, (uint64_t)g->count[j], g->c[j]) / g->count[j];
    }
    sc_pool pool;
    semcal_status status = sc_pool_make(&pool, g->c, share, g->count, g->n, error);
    if (status == SEMCAL_OK) {
        status = fit_all(gap, &pool, error);
        sc_pool_free(&pool);
    }
    for (size_t v = 0; status == SEMCAL_OK && v < N_VALUES; v++) {
        r->values[v * r->n_redraws + i] = gap[v];
    }
    free(share);
    return status;
}

/* What a value can be at most: a tilt of 4 saves 4 nats, squared errors and residuals are at most 1. */
static double most_of(size_t v)
{
    return v < SC_GAP_FAMILIES && v != SC_GAP_SQUARE ? SC_GAP_MOST_TILT : 1;
}

static semcal_status intervals(double (*ends[N_VALUES])[2], double *values, const double *whole, sc_groups *groups,
                               size_t n, const sc_bootstrap_options *options, semcal_error *error)
{
    double thinned[N_VALUES];
    size_t b = options->n_replicates;
    semcal_status status = resampled(thinned, groups->count, 0, groups, error);
    if (status == SEMCAL_OK) {
        status = sc_bootstrap_run(values, N_VALUES, groups->count, groups->n, options, resampled, groups, error);
    }
    for (size_t v = 0; status == SEMCAL_OK && v < N_VALUES; v++) {
        double *interval = *ends[v];
        if (n < 2) { /* one question says nothing about spread */
            interval[0] = interval[1] = NAN;
            continue;
        }
        sc_bootstrap_basic(interval, thinned[v], values + v * b, b, -INFINITY, INFINITY);
        for (int end = 0; end < 2; end++) {
            interval[end] = fmin(most_of(v), fmax(0, interval[end] + whole[v] - thinned[v]));
        }
    }
    return status;
}

semcal_status sc_gap_resample(sc_gap_spread *out, const double gap[SC_GAP_FAMILIES], const double smooth[SC_GAP_SMOOTH],
                              const double *c, const double *a, size_t n, const sc_bootstrap_options *options,
                              semcal_error *error)
{
    size_t b = options->n_replicates;
    sc_groups groups = {0};
    double whole[N_VALUES], (*interval[N_VALUES])[2], *floor[N_VALUES], *floor_95[N_VALUES];
    for (size_t v = 0; v < N_VALUES; v++) {
        bool family = v < SC_GAP_FAMILIES;
        size_t k = family ? v : v - SC_GAP_FAMILIES;
        whole[v] = family ? gap[k] : smooth[k];
        interval[v] = family ? &out->interval[k] : &out->smooth_interval[k];
        floor[v] = family ? &out->floor[k] : &out->smooth_floor[k];
        floor_95[v] = family ? &out->floor_95[k] : &out->smooth_floor_95[k];
    }
    double *values = sc_memory_alloc(N_VALUES * b, sizeof *values, error);
    semcal_status status = values != NULL ? sc_group_pairs(&groups, c, a, n, error) : SEMCAL_E_MEMORY;
    if (status == SEMCAL_OK && b == 0) {
        status = sc_error_set(error, SEMCAL_E_CONFIG, "intervals of gaps need at least one replicate");
    }
    if (status == SEMCAL_OK) {
        status = intervals(interval, values, whole, &groups, n, options, error);
    }
    sc_group_free(&groups);
    if (status == SEMCAL_OK) {
        status = sc_group_pairs(&groups, c, NULL, n, error);
    }
    if (status == SEMCAL_OK) {
        redraws r = {&groups, sc_random_key(options->seed, "gap floor", options->name), values, b};
        status = sc_parallel_for(b, options->n_threads, redrawn, &r, error);
    }
    for (size_t v = 0; status == SEMCAL_OK && v < N_VALUES; v++) {
        double *redraw = values + v * b;
        sc_sum sum = {0, 0};
        for (size_t i = 0; i < b; i++) {
            sc_sum_add(&sum, redraw[i]);
        }
        qsort(redraw, b, sizeof *redraw, sc_compare_doubles);
        *floor[v] = sc_sum_value(&sum) / (double)b;
        *floor_95[v] = sc_quantile_sorted(redraw, b, 0.95);
    }
    sc_group_free(&groups);
    free(values);
    return status;
}

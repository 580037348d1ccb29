/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/pair_grid.h"

#include "base/memory.h"
#include "base/numeric.h"
#include "base/parallel.h"
#include "statistics/binomial.h"
#include "statistics/smece.h"

#include <math.h>
#include <stdlib.h>

enum { LAST = SC_PAIR_GRID - 1 };

void sc_pair_grid_add(const sc_pair_grid *grid, double c, double a, double w)
{
    c = c > 1 ? 1 : c;
    const double at = c * LAST;
    size_t i = (size_t)at;
    i = i < LAST ? i : LAST - 1;
    const double upper = w * (at - (double)i), lower = w - upper;
    grid->weight[i] += lower;
    grid->right[i] += lower * a;
    grid->confidence[i] += lower * c;
    grid->weight[i + 1] += upper;
    grid->right[i + 1] += upper * a;
    grid->confidence[i + 1] += upper * c;
}

static double sum_of(const double *x)
{
    sc_sum sum = {0, 0};
    for (size_t i = 0; i < SC_PAIR_GRID; i++) {
        sc_sum_add(&sum, x[i]);
    }
    return sc_sum_value(&sum);
}

void sc_pair_grid_masses(double *place, double *mass, const sc_pair_grid *grid)
{
    const double scale = 1 / sum_of(grid->weight);
    for (size_t i = 0; i < SC_PAIR_GRID; i++) {
        place[i] = (double)i / LAST;
        mass[i] = (grid->right[i] - grid->confidence[i]) * scale;
    }
}

size_t sc_pair_grid_pairs(double *c, double *a, double *w, const sc_pair_grid *grid)
{
    size_t n = 0;
    for (size_t i = 0; i < SC_PAIR_GRID; i++) {
        if (grid->weight[i] > 0) {
            c[n] = fmin(1, fmax(0, grid->confidence[i] / grid->weight[i]));
            a[n] = fmin(1, fmax(0, grid->right[i] / grid->weight[i]));
            w[n++] = grid->weight[i];
        }
    }
    return n;
}

semcal_status sc_pair_grid_describe(sc_pair_grid_facts *facts, const sc_pair_grid *grid, semcal_error *error)
{
    *facts = (sc_pair_grid_facts){.weight = sum_of(grid->weight)};
    if (!(facts->weight > 0 && isfinite(facts->weight))) {
        return sc_error_set(error, SEMCAL_E_NUMERIC, "no pairs of confidence and correctness");
    }
    facts->accuracy = sum_of(grid->right) / facts->weight;
    facts->mean_confidence = sum_of(grid->confidence) / facts->weight;
    double *place = sc_memory_alloc(4 * SC_PAIR_GRID, sizeof *place, error);
    sc_smece_work *work = sc_smece_work_new(error);
    semcal_status status = place == NULL || work == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK) {
        double *mass = place + SC_PAIR_GRID;
        sc_pair_grid_masses(place, mass, grid);
        status = sc_smece_of_masses(&facts->smece, work, place, mass, SC_PAIR_GRID, 1e-9, error);
    }
    if (status == SEMCAL_OK) {
        double *c = place + SC_PAIR_GRID, *a = c + SC_PAIR_GRID, *w = a + SC_PAIR_GRID;
        size_t n = sc_pair_grid_pairs(c, a, w, grid);
        status = sc_smece_at(&facts->smece_005, .05, c, a, w, n, error);
    }
    sc_smece_work_free(work);
    free(place);
    return status;
}

/* ---- noise floor ---- */

typedef struct redraws {
    double *c, *w; /* [n] */
    size_t n;
    double total;
    uint64_t key;
    double *mass;         /* [threads, n] */
    sc_smece_work **work; /* [threads] */
    double *values;       /* [redraws] */
} redraws;

static semcal_status redraw(size_t i, unsigned thread, void *payload, semcal_error *error)
{
    redraws *r = payload;
    double *mass = r->mass + thread * r->n;
    sc_random_stream stream;
    sc_random_stream_init(&stream, r->key, i);
    for (size_t k = 0; k < r->n; k++) {
        const double whole = floor(r->w[k]);
        const uint64_t n = (uint64_t)whole + (sc_random_unit(&stream) < r->w[k] - whole);
        const double hits = (double)sc_binomial_draw(&stream, n, r->c[k]);
        mass[k] = (hits - (double)n * r->c[k]) / r->total;
    }
    return sc_smece_of_masses(&r->values[i], r->work[thread], r->c, mass, r->n, 1e-7, error);
}

semcal_status sc_pair_grid_floor(double *mean, double *point_95, const sc_pair_grid *grid, size_t n_redraws,
                                 uint64_t seed, const char *name, semcal_error *error)
{
    const unsigned n_threads = sc_parallel_default_threads();
    redraws r = {.key = sc_random_key(seed, "floor", name), .total = sum_of(grid->weight)};
    *mean = *point_95 = NAN;
    if (n_redraws == 0) {
        return SEMCAL_OK;
    }
    double *pairs = sc_memory_alloc(3 * SC_PAIR_GRID, sizeof *pairs, error);
    r.mass = sc_memory_alloc((size_t)n_threads * SC_PAIR_GRID, sizeof *r.mass, error);
    r.work = sc_memory_alloc(n_threads, sizeof(sc_smece_work *), error);
    r.values = sc_memory_alloc(n_redraws, sizeof *r.values, error);
    semcal_status status = pairs && r.mass && r.work && r.values ? SEMCAL_OK : SEMCAL_E_MEMORY;
    for (unsigned t = 0; t < n_threads && status == SEMCAL_OK; t++) {
        r.work[t] = sc_smece_work_new(error);
        status = r.work[t] == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    if (status == SEMCAL_OK) {
        r.c = pairs;
        r.w = pairs + 2 * SC_PAIR_GRID;
        r.n = sc_pair_grid_pairs(r.c, pairs + SC_PAIR_GRID, r.w, grid);
        status = sc_parallel_for(n_redraws, n_threads, redraw, &r, error);
    }
    if (status == SEMCAL_OK) {
        qsort(r.values, n_redraws, sizeof *r.values, sc_compare_doubles);
        sc_sum sum = {0, 0};
        for (size_t i = 0; i < n_redraws; i++) {
            sc_sum_add(&sum, r.values[i]);
        }
        *mean = sc_sum_value(&sum) / (double)n_redraws;
        *point_95 = sc_quantile_sorted(r.values, n_redraws, .95);
    }
    for (unsigned t = 0; r.work != NULL && t < n_threads; t++) {
        sc_smece_work_free(r.work[t]);
    }
    free(r.work);
    free(r.mass);
    free(r.values);
    free(pairs);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/pool.h"

#include "base/memory.h"
#include "base/numeric.h"

#include <stdlib.h>

typedef struct point {
    double c, weight, right;
} point;

static int compare_points(const void *x, const void *y)
{
    return sc_compare_doubles(&((const point *)x)->c, &((const point *)y)->c);
}

semcal_status sc_pool_make(sc_pool *pool, const double *c, const double *a, const double *w, size_t n,
                           semcal_error *error)
{
    point *points = sc_memory_alloc(n, sizeof *points, error);
    *pool = (sc_pool){0, sc_memory_alloc(n, sizeof(double), error), sc_memory_alloc(n, sizeof(double), error),
                      sc_memory_alloc(n, sizeof(double), error)};
    if (points == NULL || pool->c == NULL || pool->weight == NULL || pool->right == NULL) {
        free(points);
        sc_pool_free(pool);
        return SEMCAL_E_MEMORY;
    }
    sc_sum total = {0, 0};
    size_t n_points = 0;
    for (size_t i = 0; i < n; i++) {
        double weight = w != NULL ? w[i] : 1;
        sc_sum_add(&total, weight);
        if (weight > 0) {
            points[n_points++] = (point){c[i], weight, weight * a[i]};
        }
    }
    qsort(points, n_points, sizeof *points, compare_points);
    double scale = 1 / sc_sum_value(&total);
    size_t m = 0;
    for (size_t i = 0, j; i < n_points; i = j, m++) {
        sc_sum weight = {0, 0}, right = {0, 0};
        for (j = i; j < n_points && points[j].c == points[i].c; j++) {
            sc_sum_add(&weight, points[j].weight);
            sc_sum_add(&right, points[j].right);
        }
        pool->c[m] = points[i].c;
        pool->weight[m] = sc_sum_value(&weight) * scale;
        pool->right[m] = sc_sum_value(&right) * scale;
    }
    pool->n = m;
    free(points);
    return SEMCAL_OK;
}

void sc_pool_free(sc_pool *pool)
{
    free(pool->c);
    free(pool->weight);
    free(pool->right);
    *pool = (sc_pool){0};
}

void sc_pool_thin(sc_pool *pool, size_t n_most)
{
    if (pool->n <= n_most) {
        return;
    }
    size_t run = (pool->n + n_most - 1) / n_most, m = 0;
    for (size_t i = 0, j; i < pool->n; i = j, m++) {
        double weight = 0, right = 0, sum = 0;
        for (j = i; j < pool->n && j - i < run && (j == i || (pool->c[i] > 0 && pool->c[j] < 1)); j++) {
            weight += pool->weight[j];
            right += pool->right[j];
            sum += pool->weight[j] * pool->c[j];
        }
        pool->c[m] = j - i == 1 ? pool->c[i] : sum / weight;
        pool->weight[m] = weight;
        pool->right[m] = right;
    }
    pool->n = m;
}

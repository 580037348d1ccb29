/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/gap.h"

#include "base/memory.h"
#include "base/numeric.h"
#include "base/random.h"
#include "statistics/gap_families.h"
#include "statistics/smece.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

double sc_gap_gain(sc_gap_family family, double c, double a, double x)
{
    return family == SC_GAP_SQUARE ? 2 * (a - c) * x - x * x : x * a - log1p(c * expm1(x));
}

double sc_gap_tilt_at(const sc_gap_tilt *tilt, double c)
{
    bool square = tilt->family == SC_GAP_SQUARE;
    if (!square && (c == 0 || c == 1)) {
        return c == 0 ? tilt->at_zero : tilt->at_one;
    }
    double t = square ? c : sc_logit(c), x = 0;
    if (tilt->n > 0 && t <= tilt->place[0]) {
        x = tilt->value[0];
    } else if (tilt->n > 0 && t >= tilt->place[tilt->n - 1]) {
        x = tilt->value[tilt->n - 1];
    } else if (tilt->n > 0) {
        size_t low = 0, high = tilt->n - 1;
        while (high - low > 1) {
            size_t middle = (low + high) / 2;
            if (tilt->place[middle] <= t) {
                low = middle;
            } else {
                high = middle;
            }
        }
        double share = (t - tilt->place[low]) / (tilt->place[high] - tilt->place[low]);
        x = tilt->value[low] + share * (tilt->value[high] - tilt->value[low]);
    }
    return square ? fmin(1 - c, fmax(-c, x)) : x;
}

void sc_gap_free(sc_gap_tilt *tilt)
{
    free(tilt->place);
    free(tilt->value);
    *tilt = (sc_gap_tilt){0};
}

/* The tilt at an atom, where the loss is linear in tau: free to go to the end that helps, 0 when nothing does. */
static void fit_atoms(sc_gap_tilt *tilt, const sc_pool *pool)
{
    size_t last = pool->n - 1;
    bool zero = pool->c[0] == 0 && pool->right[0] > 0;
    bool one = pool->c[last] == 1 && pool->right[last] < pool->weight[last];
    tilt->at_zero = zero ? SC_GAP_MOST_TILT : 0;
    tilt->at_one = one ? -SC_GAP_MOST_TILT : 0;
}

static double gain_of_pool(const sc_gap_tilt *tilt, const sc_pool *pool)
{
    sc_sum sum = {0, 0};
    for (size_t j = 0; j < pool->n; j++) {
        double c = pool->c[j], weight = pool->weight[j], right = pool->right[j], x = sc_gap_tilt_at(tilt, c);
        /* exp and log lose what expm1 and log1p keep, 1e-16 of the weight, at a third of their price. */
        double gain = tilt->family == SC_GAP_SQUARE ? 2 * (right - weight * c) * x - weight * x * x
                                                    : x * right - weight * log(1 - c + c * exp(x));
        sc_sum_add(&sum, gain);
    }
    return sc_sum_value(&sum);
}

semcal_status sc_gap_fit(sc_gap_tilt *tilt, double *gap, double *slack, sc_gap_family family, const sc_pool *pool,
                         semcal_error *error)
{
    return sc_gap_fit_within(tilt, gap, slack, family, pool, SC_GAP_TOLERANCE, error);
}

semcal_status sc_gap_fit_within(sc_gap_tilt *tilt, double *gap, double *slack, sc_gap_family family,
                                const sc_pool *pool, double tolerance, semcal_error *error)
{
    double proof = 0;
    *tilt = (sc_gap_tilt){.family = family};
    fit_atoms(tilt, pool);
    semcal_status status = SEMCAL_OK;
    if (family == SC_GAP_SHIFT || family == SC_GAP_AFFINE) {
        status = sc_gap_fit_affine(tilt, pool, tolerance, error);
        proof = family == SC_GAP_AFFINE ? NAN : 0;
    } else if (family == SC_GAP_ISOTONIC) {
        status = sc_gap_fit_isotonic(tilt, pool, error);
    } else {
        status = sc_gap_fit_chain(tilt, &proof, pool, tolerance, error);
    }
    if (status != SEMCAL_OK) {
        sc_gap_free(tilt);
        return status;
    }
    /* Doing nothing is in every family: a gap is never negative but by rounding. */
    *gap = fmax(0, gain_of_pool(tilt, pool));
    if (slack != NULL) {
        *slack = proof;
    }
    return SEMCAL_OK;
}

semcal_status sc_gap_in_sample(double gap[SC_GAP_FAMILIES], double *slack, const double *c, const double *a,
                               const double *w, size_t n, semcal_error *error)
{
    sc_pool pool = {0};
    semcal_status status = sc_smece_check(c, a, w, n, error);
    if (status == SEMCAL_OK) {
        status = sc_pool_make(&pool, c, a, w, n, error);
    }
    for (int family = 0; status == SEMCAL_OK && family < SC_GAP_FAMILIES; family++) {
        sc_gap_tilt tilt;
        status =
            sc_gap_fit(&tilt, &gap[family], slack != NULL ? &slack[family] : NULL, (sc_gap_family)family, &pool, error);
        if (status == SEMCAL_OK) {
            sc_gap_free(&tilt);
        }
    }
    if (status == SEMCAL_OK && pool.n > SC_GAP_CHAIN) {
        /* The affine tilt is a Lipschitz one; where neighbours were solved for together it may be the better one. */
        gap[SC_GAP_LIPSCHITZ] = fmax(gap[SC_GAP_LIPSCHITZ], gap[SC_GAP_AFFINE]);
    }
    sc_pool_free(&pool);
    return status;
}

void sc_gap_folds(uint32_t *fold, size_t n, size_t n_folds, uint64_t seed, const char *name)
{
    sc_random_stream stream;
    sc_random_stream_init(&stream, sc_random_key(seed, "folds", name), 0);
    for (size_t i = 0; i < n; i++) {
        size_t j = sc_random_below(&stream, (uint32_t)i + 1);
        fold[i] = fold[j];
        fold[j] = (uint32_t)(i % n_folds);
    }
}

semcal_status sc_gap_crossfit(double gap[SC_GAP_FAMILIES], const double *c, const double *a, size_t n, size_t n_folds,
                              uint64_t seed, const char *name, semcal_error *error)
{
    semcal_status status = sc_smece_check(c, a, NULL, n, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    for (int family = 0; family < SC_GAP_FAMILIES; family++) {
        gap[family] = n < n_folds || n_folds < 2 ? NAN : 0;
    }
    if (n < n_folds || n_folds < 2) {
        return SEMCAL_OK;
    }
    uint32_t *fold = sc_memory_alloc(n, sizeof *fold, error);
    double *w = sc_memory_alloc(n, sizeof *w, error);
    if (fold == NULL || w == NULL) {
        status = SEMCAL_E_MEMORY;
        goto done;
    }
    sc_gap_folds(fold, n, n_folds, seed, name);
    for (size_t f = 0; status == SEMCAL_OK && f < n_folds; f++) {
        for (size_t i = 0; i < n; i++) {
            w[i] = fold[i] == f ? 0 : 1;
        }
        sc_pool pool;
        status = sc_pool_make(&pool, c, a, w, n, error);
        /* Any tilt may be scored on the fold left out: a thinner sample to fit loses nothing that could be seen. */
        if (status == SEMCAL_OK) {
            sc_pool_thin(&pool, SC_GAP_CHAIN);
        }
        for (int family = 0; status == SEMCAL_OK && family < SC_GAP_FAMILIES; family++) {
            sc_gap_tilt tilt;
            double in_sample;
            status = sc_gap_fit(&tilt, &in_sample, NULL, (sc_gap_family)family, &pool, error);
            for (size_t i = 0; status == SEMCAL_OK && i < n; i++) {
                if (fold[i] == f) {
                    gap[family] += sc_gap_gain(tilt.family, c[i], a[i], sc_gap_tilt_at(&tilt, c[i])) / (double)n;
                }
            }
            if (status == SEMCAL_OK) {
                sc_gap_free(&tilt);
            }
        }
        sc_pool_free(&pool);
    }
done:
    free(fold);
    free(w);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/binned.h"

#include "base/memory.h"
#include "base/numeric.h"

#include <math.h>
#include <stdlib.h>

double sc_binned_overconfidence(const double *c, const double *a, size_t n)
{
    sc_sum sum = {0, 0};
    for (size_t i = 0; i < n; i++) {
        sc_sum_add(&sum, c[i] - a[i]);
    }
    return sc_sum_value(&sum) / (double)n;
}

double sc_binned_ece(const double *c, const double *a, size_t n, size_t n_bins)
{
    sc_sum total = {0, 0};
    for (size_t bin = 0; bin < n_bins; bin++) {
        sc_sum sum = {0, 0};
        for (size_t i = 0; i < n; i++) {
            size_t at = (size_t)(c[i] / (1 / (double)n_bins));
            if ((at < n_bins ? at : n_bins - 1) == bin) {
                sc_sum_add(&sum, a[i] - c[i]);
            }
        }
        sc_sum_add(&total, fabs(sc_sum_value(&sum)));
    }
    return sc_sum_value(&total) / (double)n;
}

double sc_binned_brier(const double *c, const double *a, size_t n)
{
    sc_sum sum = {0, 0};
    for (size_t i = 0; i < n; i++) {
        sc_sum_add(&sum, a[i] * (1 - c[i]) * (1 - c[i]) + (1 - a[i]) * c[i] * c[i]);
    }
    return sc_sum_value(&sum) / (double)n;
}

double sc_binned_log_loss(size_t *n_infinite, const double *c, const double *a, size_t n)
{
    sc_sum sum = {0, 0};
    size_t infinite = 0;
    for (size_t i = 0; i < n; i++) {
        if ((a[i] > 0 && c[i] == 0) || (a[i] < 1 && c[i] == 1)) {
            infinite++;
        } else {
            sc_sum_add(&sum, (a[i] > 0 ? a[i] * log(c[i]) : 0) + (a[i] < 1 ? (1 - a[i]) * log1p(-c[i]) : 0));
        }
    }
    if (n_infinite != NULL) {
        *n_infinite = infinite;
    }
    return infinite > 0 ? INFINITY : -sc_sum_value(&sum) / (double)n;
}

double sc_binned_log_loss_smoothed(const double *c, const double *a, size_t n, size_t n_draws)
{
    sc_sum sum = {0, 0};
    double m = (double)n_draws;
    for (size_t i = 0; i < n; i++) {
        double p = (m * c[i] + 0.5) / (m + 1);
        sc_sum_add(&sum, a[i] * log(p) + (1 - a[i]) * log1p(-p));
    }
    return -sc_sum_value(&sum) / (double)n;
}

typedef struct scored {
    double c, a;
} scored;

static int compare_scored(const void *x, const void *y)
{
    return sc_compare_doubles(&((const scored *)x)->c, &((const scored *)y)->c);
}

semcal_status sc_binned_auroc(double *auroc, const double *c, const double *a, size_t n, semcal_error *error)
{
    scored *pairs = sc_memory_alloc(n, sizeof *pairs, error);
    if (pairs == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < n; i++) {
        pairs[i] = (scored){c[i], a[i]};
    }
    qsort(pairs, n, sizeof *pairs, compare_scored);
    double right = 0, wrong = 0, won = 0;
    for (size_t i = 0, j; i < n; i = j) {
        double right_here = 0, wrong_here = 0;
        for (j = i; j < n && pairs[j].c == pairs[i].c; j++) {
            right_here += pairs[j].a;
            wrong_here += 1 - pairs[j].a;
        }
        won += right_here * (wrong + wrong_here / 2);
        right += right_here;
        wrong += wrong_here;
    }
    *auroc = right > 0 && wrong > 0 ? won / (right * wrong) : NAN;
    free(pairs);
    return SEMCAL_OK;
}

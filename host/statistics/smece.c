/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/smece.h"

#include "base/memory.h"
#include "base/numeric.h"
#include "statistics/smooth.h"

#include <math.h>
#include <stdlib.h>

/* Resolutions tried in turn: 512 cells serve widths down to 1/32, each next one a width four times smaller. */
#define FIRST_CELLS ((size_t)512)
#define LEVELS 7
/* From the next one on, a level costs more than to sort the sample. */
#define CHEAP_LEVELS 3
#define TOLERANCE 1e-9
/* From this tolerance on, integrals need not be better than it either. */
#define FAST 1e-5

struct sc_smece_work {
    sc_smooth *level[LEVELS]; /* made when first needed */
};

sc_smece_work *sc_smece_work_new(semcal_error *error)
{
    return sc_memory_alloc(1, sizeof(sc_smece_work), error);
}

void sc_smece_work_free(sc_smece_work *work)
{
    if (work != NULL) {
        for (size_t i = 0; i < LEVELS; i++) {
            sc_smooth_free(work->level[i]);
        }
        free(work);
    }
}

semcal_status sc_smece_check(const double *c, const double *a, const double *w, size_t n, semcal_error *error)
{
    if (n == 0) {
        return sc_error_set(error, SEMCAL_E_NUMERIC, "no pairs of confidence and correctness");
    }
    double total = 0;
    for (size_t i = 0; i < n; i++) {
        if (!(c[i] >= 0 && c[i] <= 1)) {
            return sc_error_set(error, SEMCAL_E_NUMERIC, "pair %zu: confidence %g is not in [0, 1]", i, c[i]);
        }
        if (!(a[i] >= 0 && a[i] <= 1)) {
            return sc_error_set(error, SEMCAL_E_NUMERIC, "pair %zu: correctness %g is not in [0, 1]", i, a[i]);
        }
        if (w != NULL && !(w[i] >= 0 && isfinite(w[i]))) {
            return sc_error_set(error, SEMCAL_E_NUMERIC, "pair %zu: weight %g is not a finite number >= 0", i, w[i]);
        }
        total += w != NULL ? w[i] : 1;
    }
    if (!(total > 0 && isfinite(total))) {
        return sc_error_set(error, SEMCAL_E_NUMERIC, "the weights sum to %g", total);
    }
    return SEMCAL_OK;
}

/* m_i = w_i x_i / sum w for x = a - c (kind 'r'), a ('a') or 1 ('1'). */
static void fill_masses(double *m, char kind, const double *c, const double *a, const double *w, size_t n)
{
    sc_sum total = {0, 0};
    for (size_t i = 0; i < n; i++) {
        sc_sum_add(&total, w != NULL ? w[i] : 1);
    }
    double scale = 1 / sc_sum_value(&total);
    for (size_t i = 0; i < n; i++) {
        double x = kind == 'r' ? a[i] - c[i] : kind == 'a' ? a[i] : 1;
        m[i] = x * scale * (w != NULL ? w[i] : 1);
    }
}

/* The root of smECE_s - s in [low, high]. The difference falls at least as fast as s grows, so its absolute value at
 * any s bounds the distance to the root: the stopping rule is a certificate. Regula falsi with Illinois' halving. */
static double solve(sc_smooth *smooth, double low, double excess_low, double high, double tolerance)
{
    double (*integral)(sc_smooth *, double) = tolerance >= FAST ? sc_smooth_integral_fast : sc_smooth_integral;
    double excess_high = integral(smooth, high) - high, s = high, excess = excess_high;
    int side = 0;
    for (int i = 0; i < 100 && fabs(excess) > tolerance; i++) {
        s = excess_low > excess_high ? (low * -excess_high + high * excess_low) / (excess_low - excess_high) : low;
        if (!(s > low && s < high)) {
            break;
        }
        excess = integral(smooth, s) - s;
        if (excess > 0) {
            excess_high = side == 1 ? excess_high / 2 : excess_high;
            low = s, excess_low = excess, side = 1;
        } else {
            excess_low = side == -1 ? excess_low / 2 : excess_low;
            high = s, excess_high = excess, side = -1;
        }
    }
    return s + excess;
}

/* Places this close are one to the narrowest kernel, up to 1e-9 of the mass. */
#define ONE_PLACE 1e-15

typedef struct mass_at {
    double c, m;
} mass_at;

static int compare_places(const void *x, const void *y)
{
    return sc_compare_doubles(&((const mass_at *)x)->c, &((const mass_at *)y)->c);
}

/* What no kernel can find more of than: all mass, that at one place together. */
static semcal_status most_to_find(double *most, const double *c, const double *m, size_t n, semcal_error *error)
{
    mass_at *sorted = sc_memory_alloc(n, sizeof *sorted, error);
    if (sorted == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < n; i++) {
        sorted[i] = (mass_at){c[i], m[i]};
    }
    qsort(sorted, n, sizeof *sorted, compare_places);
    *most = 0;
    for (size_t i = 0, j; i < n; i = j) {
        double here = 0;
        for (j = i; j < n && sorted[j].c - sorted[i].c <= ONE_PLACE; j++) {
            here += sorted[j].m;
        }
        *most += fabs(here);
    }
    free(sorted);
    return SEMCAL_OK;
}

semcal_status sc_smece_of_masses(double *smece, sc_smece_work *work, const double *c, const double *m, size_t n,
                                 double tolerance, semcal_error *error)
{
    double value = 0, most = 0;
    for (size_t i = 0; i < n; i++) {
        most += fabs(m[i]);
    }
    for (size_t i = 0; i < LEVELS; i++) {
        size_t cells = FIRST_CELLS << (2 * i);
        if (work->level[i] == NULL) {
            work->level[i] = sc_smooth_new(cells, error);
            if (work->level[i] == NULL) {
                return SEMCAL_E_MEMORY;
            }
        }
        sc_smooth *smooth = work->level[i];
        sc_smooth_take(smooth, c, m, n);
        double narrow = fmin(1, SC_SMOOTH_CELLS / (double)cells);
        value = sc_smooth_integral(smooth, narrow);
        if (value > narrow) {
            /* The root lies between this width and the value there. */
            *smece = solve(smooth, narrow, value - narrow, value, tolerance);
            return SEMCAL_OK;
        }
        if (i + 1 == CHEAP_LEVELS) {
            semcal_status status = most_to_find(&most, c, m, n, error);
            if (status != SEMCAL_OK) {
                return status;
            }
        }
        /* Narrower kernels find at least this and at most all mass: no need to look when that is the same. */
        if (most - value <= tolerance) {
            break;
        }
    }
    *smece = value;
    return SEMCAL_OK;
}

semcal_status sc_smece_exact(double *smece, const double *c, const double *a, const double *w, size_t n,
                             semcal_error *error)
{
    semcal_status status = sc_smece_check(c, a, w, n, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    sc_smece_work *work = sc_smece_work_new(error);
    double *m = sc_memory_alloc(n, sizeof *m, error);
    if (work == NULL || m == NULL) {
        status = SEMCAL_E_MEMORY;
        goto done;
    }
    fill_masses(m, 'r', c, a, w, n);
    status = sc_smece_of_masses(smece, work, c, m, n, TOLERANCE, error);
done:
    sc_smece_work_free(work);
    free(m);
    return status;
}

/* A smoother with enough cells for the width s. */
static sc_smooth *smooth_for(double s, semcal_error *error)
{
    if (!(s >= SC_SMECE_NARROWEST && isfinite(s))) {
        (void)sc_error_set(error, SEMCAL_E_CONFIG, "kernel width %g is not in [%g, inf)", s, SC_SMECE_NARROWEST);
        return NULL;
    }
    size_t cells = FIRST_CELLS;
    while ((double)cells * s < SC_SMOOTH_CELLS) {
        cells *= 2;
    }
    return sc_smooth_new(cells, error);
}

semcal_status sc_smece_at(double *smece, double s, const double *c, const double *a, const double *w, size_t n,
                          semcal_error *error)
{
    semcal_status status = sc_smece_check(c, a, w, n, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    sc_smooth *smooth = smooth_for(s, error);
    if (smooth == NULL) {
        return error != NULL && error->status != SEMCAL_OK ? error->status : SEMCAL_E_CONFIG;
    }
    double *m = sc_memory_alloc(n, sizeof *m, error);
    if (m == NULL) {
        status = SEMCAL_E_MEMORY;
        goto done;
    }
    fill_masses(m, 'r', c, a, w, n);
    sc_smooth_take(smooth, c, m, n);
    *smece = sc_smooth_integral(smooth, s);
done:
    sc_smooth_free(smooth);
    free(m);
    return status;
}

semcal_status sc_smece_curve(double *curve, double *density, const double *t, size_t n_points, double s,
                             const double *c, const double *a, const double *w, size_t n, semcal_error *error)
{
    semcal_status status = sc_smece_check(c, a, w, n, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    sc_smooth *smooth = smooth_for(s, error);
    if (smooth == NULL) {
        return error != NULL && error->status != SEMCAL_OK ? error->status : SEMCAL_E_CONFIG;
    }
    double *m = sc_memory_alloc(n, sizeof *m, error);
    if (m == NULL) {
        status = SEMCAL_E_MEMORY;
        goto done;
    }
    fill_masses(m, 'a', c, a, w, n);
    sc_smooth_take(smooth, c, m, n);
    sc_smooth_values(smooth, curve, t, n_points, s);
    fill_masses(m, '1', c, a, w, n);
    sc_smooth_take(smooth, c, m, n);
    sc_smooth_values(smooth, density, t, n_points, s);
    for (size_t j = 0; j < n_points; j++) {
        density[j] = fmax(0, density[j]);
        curve[j] = density[j] >= 1e-9 ? fmin(1, fmax(0, curve[j] / density[j])) : NAN;
    }
done:
    sc_smooth_free(smooth);
    free(m);
    return status;
}

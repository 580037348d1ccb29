/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/smooth.h"

#include "base/memory.h"
#include "statistics/cosine.h"

#include <math.h>
#include <stdlib.h>

#define PI 3.14159265358979323846
/* Coefficients damped below e^-45 = 3e-20 cannot be seen in a double. */
#define DAMPED 45.0
/* How often a wide kernel may halve the cells. */
#define FEWER 2

struct sc_smooth {
    size_t n; /* N cells */
    sc_cosine *cosine;
    sc_cosine *fewer[FEWER]; /* of N/2, N/4, ... cells */
    double *coefficient;     /* [N] M_k of the sample taken */
    double *undo;            /* [N] 1 / sinc(pi k / 2N)^4 */
    double *cells;           /* [N + 4] two cells of margin at each end */
};

sc_smooth *sc_smooth_new(size_t n_cells, semcal_error *error)
{
    sc_smooth *s = sc_memory_alloc(1, sizeof *s, error);
    if (s == NULL) {
        return NULL;
    }
    s->n = n_cells;
    s->cosine = sc_cosine_new(n_cells, error);
    s->coefficient = sc_memory_alloc(n_cells, sizeof(double), error);
    s->undo = sc_memory_alloc(n_cells, sizeof(double), error);
    s->cells = sc_memory_alloc(n_cells + 4, sizeof(double), error);
    if (s->cosine == NULL || s->coefficient == NULL || s->undo == NULL || s->cells == NULL) {
        sc_smooth_free(s);
        return NULL;
    }
    for (size_t i = 0; i < FEWER; i++) {
        s->fewer[i] = sc_cosine_new(n_cells >> (i + 1), error);
        if (s->fewer[i] == NULL) {
            sc_smooth_free(s);
            return NULL;
        }
    }
    s->undo[0] = 1;
    for (size_t k = 1; k < n_cells; k++) {
        double x = PI * (double)k / (2 * (double)n_cells), sinc = sin(x) / x;
        s->undo[k] = 1 / (sinc * sinc * sinc * sinc);
    }
    return s;
}

void sc_smooth_free(sc_smooth *smooth)
{
    if (smooth != NULL) {
        sc_cosine_free(smooth->cosine);
        for (size_t i = 0; i < FEWER; i++) {
            sc_cosine_free(smooth->fewer[i]);
        }
        free(smooth->coefficient);
        free(smooth->undo);
        free(smooth->cells);
        free(smooth);
    }
}

size_t sc_smooth_cells(const sc_smooth *smooth)
{
    return smooth->n;
}

void sc_smooth_take(sc_smooth *smooth, const double *v, const double *m, size_t n)
{
    size_t cells = smooth->n;
    double *cell = smooth->cells, each = 1 / (double)n;
    for (size_t j = 0; j < cells + 4; j++) {
        cell[j] = 0;
    }
    for (size_t i = 0; i < n; i++) {
        double weight = m != NULL ? m[i] : each;
        if (weight == 0) {
            continue;
        }
        /* Cell centre j lies at (j + 1/2) / N and at index j + 2; x + 1 >= 1/2, so truncation is floor. */
        double x = v[i] * (double)cells + 0.5;
        size_t j = (size_t)x;
        double u = x - (double)j, w = 1 - u, sixth = weight / 6;
        cell[j] += sixth * w * w * w;
        cell[j + 1] += sixth * (4 + u * u * (3 * u - 6));
        cell[j + 2] += sixth * (4 + w * w * (3 * w - 6));
        cell[j + 3] += sixth * u * u * u;
    }
    cell[2] += cell[1];
    cell[3] += cell[0];
    cell[cells + 1] += cell[cells + 2];
    cell[cells] += cell[cells + 3];
    sc_cosine_forward(smooth->cosine, smooth->coefficient, cell + 2);
    for (size_t k = 0; k < cells; k++) {
        smooth->coefficient[k] *= smooth->undo[k];
    }
}

double sc_smooth_coefficient(const sc_smooth *smooth, size_t k)
{
    return smooth->coefficient[k];
}

static double integral(sc_smooth *smooth, sc_cosine *cosine, size_t n, double s)
{
    size_t k = 0;
    double *f = smooth->cells, a = PI * s;
    for (; k < n; k++) {
        double x = a * (double)k;
        if (x * x / 2 > DAMPED) {
            break;
        }
        f[k] = smooth->coefficient[k] * exp(-x * x / 2);
    }
    for (; k < n; k++) {
        f[k] = 0;
    }
    sc_cosine_inverse(cosine, f, f);
    double sum = fabs(f[0]), kinks = 0;
    for (size_t j = 1; j < n; j++) {
        double before = f[j - 1], here = f[j];
        sum += fabs(here);
        if ((before < 0) != (here < 0)) {
            /* |f| has a kink of slope change 2 |f'| at the fraction p of this cell; the midpoint rule is too large by
             * h^2 |f'| (p (1 - p) - 1/6), with h |f'| = |before| + |here|. */
            double rise = fabs(before) + fabs(here);
            kinks += rise > 0 ? fabs(before) * fabs(here) / rise - rise / 6 : 0;
        }
    }
    return (sum - kinks) / (double)n;
}

double sc_smooth_integral(sc_smooth *smooth, double s)
{
    return integral(smooth, smooth->cosine, smooth->n, s);
}

double sc_smooth_integral_fast(sc_smooth *smooth, double s)
{
    size_t i = 0, n = smooth->n;
    for (; i < FEWER && (double)(n / 2) * s >= SC_SMOOTH_CELLS; i++) {
        n /= 2;
    }
    return integral(smooth, i == 0 ? smooth->cosine : smooth->fewer[i - 1], n, s);
}

void sc_smooth_values(const sc_smooth *smooth, double *values, const double *t, size_t n_points, double s)
{
    double a = PI * s;
    size_t n_used = (size_t)fmin((double)smooth->n, ceil(sqrt(2 * DAMPED) / a) + 1);
    for (size_t j = 0; j < n_points; j++) {
        double sum = 0;
        for (size_t k = n_used - 1; k > 0; k--) {
            double x = a * (double)k;
            sum += smooth->coefficient[k] * exp(-x * x / 2) * cos(PI * (double)k * t[j]);
        }
        values[j] = smooth->coefficient[0] + 2 * sum;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/binomial.h"

#include <math.h>

/* log k! minus Stirling's formula, to double precision. */
static double stirling_rest(double k)
{
    static const double table[10] = {
        0.08106146679532726, 0.04134069595540929, 0.02767792568499834, 0.02079067210376509,  0.01664469118982119,
        0.01387612882307075, 0.01189670994589177, 0.01041126526197209, 0.009255462182712733, 0.008330563433362871};
    if (k < 10) {
        return table[(int)k];
    }
    double x = (k + 1) * (k + 1);
    return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / x) / x) / (k + 1);
}

/* p <= 1/2, n p < 10: walk up the distribution function. */
static uint64_t draw_small(sc_random_stream *stream, uint64_t n, double p)
{
    double q = 1 - p, mass = exp((double)n * log1p(-p)), u = sc_random_unit(stream);
    uint64_t k = 0;
    while (u >= mass && k < n) {
        u -= mass;
        k++;
        mass *= p / q * (double)(n - k + 1) / (double)k;
        if (mass < 1e-300) {
            break;
        }
    }
    return k;
}

/* p <= 1/2, n p >= 10. */
static uint64_t draw_large(sc_random_stream *stream, uint64_t trials, double p)
{
    double n = (double)trials, q = 1 - p, spread = sqrt(n * p * q);
    double b = 1.15 + 2.53 * spread, a = -0.0873 + 0.0248 * b + 0.01 * p, centre = n * p + 0.5;
    double squeeze = 0.92 - 4.2 / b, alpha = (2.83 + 5.1 / b) * spread, odds = p / q, mode = floor((n + 1) * p);
    for (;;) {
        double u = sc_random_unit(stream) - 0.5, v = sc_random_unit(stream), us = 0.5 - fabs(u);
        double k = floor((2 * a / us + b) * u + centre);
        if (!(k >= 0 && k <= n)) {
            continue;
        }
        if (us >= 0.07 && v <= squeeze) {
            return (uint64_t)k;
        }
        double height = log(v * alpha / (a / (us * us) + b));
        double bound = (mode + 0.5) * log((mode + 1) / (odds * (n - mode + 1))) +
                       (n + 1) * log((n - mode + 1) / (n - k + 1)) + (k + 0.5) * log(odds * (n - k + 1) / (k + 1)) +
                       stirling_rest(mode) + stirling_rest(n - mode) - stirling_rest(k) - stirling_rest(n - k);
        if (height <= bound) {
            return (uint64_t)k;
        }
    }
}

uint64_t sc_binomial_draw(sc_random_stream *stream, uint64_t n, double p)
{
    if (!(p > 0) || n == 0) {
        return 0;
    }
    if (p >= 1) {
        return n;
    }
    if (p > 0.5) {
        return n - sc_binomial_draw(stream, n, 1 - p);
    }
    return (double)n * p < 10 ? draw_small(stream, n, p) : draw_large(stream, n, p);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/numeric.h"

#include <math.h>

void sc_sum_add(sc_sum *sum, double value)
{
    double t = sum->total + value;
    if (fabs(sum->total) >= fabs(value)) {
        sum->correction += (sum->total - t) + value;
    } else {
        sum->correction += (value - t) + sum->total;
    }
    sum->total = t;
}

double sc_sum_value(const sc_sum *sum)
{
    return sum->total + sum->correction;
}

double sc_log_sum_exp(const double *x, size_t n)
{
    double top = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        top = x[i] > top ? x[i] : top;
    }
    if (!isfinite(top)) {
        return top;
    }
    sc_sum sum = {0, 0};
    for (size_t i = 0; i < n; i++) {
        sc_sum_add(&sum, exp(x[i] - top));
    }
    return top + log(sc_sum_value(&sum));
}

double sc_log_add_exp(double a, double b)
{
    double high = a > b ? a : b, low = a > b ? b : a;
    return isfinite(low) ? high + log1p(exp(low - high)) : high;
}

double sc_log1m_exp(double x)
{
    return x > -0.6931471805599453 ? log(-expm1(x)) : log1p(-exp(x));
}

double sc_logit(double c)
{
    return log(c) - log1p(-c);
}

double sc_sigmoid(double t)
{
    if (t >= 0) {
        return 1.0 / (1.0 + exp(-t));
    }
    double e = exp(t);
    return e / (1.0 + e);
}

int sc_compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double sc_quantile_sorted(const double *sorted, size_t n, double q)
{
    double place = q * (double)(n - 1);
    size_t below = (size_t)floor(place);
    if (below + 1 >= n) {
        return sorted[n - 1];
    }
    return sorted[below] + (place - (double)below) * (sorted[below + 1] - sorted[below]);
}

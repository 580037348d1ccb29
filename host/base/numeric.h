/* SPDX-License-Identifier: Apache-2.0 */
/* Small numeric helpers in double. */
#ifndef SC_BASE_NUMERIC_H
#define SC_BASE_NUMERIC_H

#include <stddef.h>

/* Neumaier's compensated sum: initialise with {0, 0}, read with sc_sum_value. */
typedef struct sc_sum {
    double total, correction;
} sc_sum;
void sc_sum_add(sc_sum *sum, double value);
double sc_sum_value(const sc_sum *sum);

/* log(sum exp x_i); -inf for n = 0 or when every x_i is -inf. */
double sc_log_sum_exp(const double *x, size_t n);
/* log(exp a + exp b). */
double sc_log_add_exp(double a, double b);
/* log(1 - exp x) for x <= 0, accurate at both ends. */
double sc_log1m_exp(double x);
/* log(c / (1 - c)); -inf and +inf at 0 and 1. */
double sc_logit(double c);
/* 1 / (1 + exp(-t)) without overflow. */
double sc_sigmoid(double t);
/* qsort comparator, ascending; NaN is not expected. */
int sc_compare_doubles(const void *a, const void *b);
/* Quantile q in [0,1] of sorted data by linear interpolation (numpy's default); n >= 1. */
double sc_quantile_sorted(const double *sorted, size_t n, double q);

#endif

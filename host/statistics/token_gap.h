/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loss gap at token level: what the best temperature, and the best bias of each class of tokens, would save.
 *
 * Temperature: the law softmax(logits / T) at T = multiplier times the law's own. Mean losses are known on a grid of
 * multipliers; between its points the loss is the polynomial of fourth degree in the logarithm of the multiplier
 * through the five nearest, so a fit is a set of weights on the grid and scores any other sample by the same weights.
 *
 * Bias: adding b_k to the logits of every token of class k changes a loss by log sum_k pi_k e^{b_k} - b_{class of y},
 * pi_k being the class's mass. The mean is convex in b; Newton's method with conjugate gradients finds the best b, with
 * a ridge b^2 / (2 n) so that a class that never occurs keeps a finite bias.
 */
#ifndef SC_STATISTICS_TOKEN_GAP_H
#define SC_STATISTICS_TOKEN_GAP_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* The grid of multipliers: 2^(k/6), k = -6 .. 6. */
enum { SC_TEMPERATURES = 13, SC_TEMPERATURE_ONE = 6 };
double sc_token_gap_multiplier(size_t k);

/* Finds the multiplier of least loss among [1/2, 2] for losses on the grid, and the weights that give the loss there:
 * loss = sum_k weight[k] loss[k]. */
void sc_token_gap_temperature(double *multiplier, double weight[SC_TEMPERATURES], const double loss[SC_TEMPERATURES]);

/* The best bias [K] for rows of class masses [n, K] (each sums to 1) and the classes that came; `use` ([n], may be
 * NULL) leaves rows out. With no row in use the bias is 0. SEMCAL_E_NUMERIC when it does not converge. */
semcal_status sc_token_gap_bias(double *bias, const double *mass, const int32_t *class_of, const uint8_t *use, size_t n,
                                size_t K, semcal_error *error);

/* What a bias saves on one row: b_y - log sum_k pi_k e^{b_k}. */
double sc_token_gap_bias_gain(const double *bias, const double *mass, int32_t class_of, size_t K);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any number of pairs (confidence, outcome) in constant memory.
 *
 * The unit interval has SC_PAIR_GRID places, h = 1 / (SC_PAIR_GRID - 1) apart. A pair is split between the two places
 * around its confidence in inverse proportion to the distances, so total weight, confidence and outcome are kept to
 * rounding. At each place three sums are held: weight, weight times outcome, weight times confidence.
 *
 * Accuracy. Putting a residual at the places instead of at c replaces the kernel, as a function of c, by its linear
 * interpolation: the smoothed residual is off by at most h^2/8 times the kernel's second derivative. For the reflected
 * Gaussian of width s the integral of that derivative is at most 4 phi(1) / s^2, so
 *     |smECE_s(places) - smECE_s(pairs)| <= 0.121 (h/s)^2 mean |a - c|,
 * and the fixed points differ by no more than this at the smaller of them. With 4097 places: 7.2e-5 mean |a - c| at
 * s = .01, 1.2e-5 at .025. The bound lets no residuals cancel; in practice the error is far smaller.
 */
#ifndef SC_STATISTICS_PAIR_GRID_H
#define SC_STATISTICS_PAIR_GRID_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

#define SC_PAIR_GRID 4097

/* Sums over one set of pairs, each [SC_PAIR_GRID]. Borrowed. */
typedef struct sc_pair_grid {
    double *weight, *right, *confidence;
} sc_pair_grid;

/* Adds a pair: c in [0, 1] (a rounding beyond 1 is cut), outcome a in [0, 1], weight w >= 0. */
void sc_pair_grid_add(const sc_pair_grid *grid, double c, double a, double w);

/* What a sample on places amounts to. smece is the fixed point (statistics/smece.h), smece_005 the value at .05. */
typedef struct sc_pair_grid_facts {
    double weight, accuracy, mean_confidence, smece, smece_005;
} sc_pair_grid_facts;

/* SEMCAL_E_NUMERIC when there is no weight. */
semcal_status sc_pair_grid_describe(sc_pair_grid_facts *facts, const sc_pair_grid *grid, semcal_error *error);

/* The places, and their residual masses (right - confidence) / total weight: arguments of sc_smece_of_masses. */
void sc_pair_grid_masses(double *place, double *mass, const sc_pair_grid *grid);

/* The occupied places as weighted pairs: mean confidence, mean outcome, weight; each [SC_PAIR_GRID]. Returns how
 * many. For statistics that want pairs (curves, gaps). */
size_t sc_pair_grid_pairs(double *c, double *a, double *w, const sc_pair_grid *grid);

/* Noise floor for pairs of weight 1: smECE when each outcome is redrawn as Bernoulli(confidence), mean and 95 % point
 * over `n_redraws`, keyed by (seed, "floor", name). A place of fractional weight stands for its whole part of pairs, or
 * one more with the chance of the rest. */
semcal_status sc_pair_grid_floor(double *mean, double *point_95, const sc_pair_grid *grid, size_t n_redraws,
                                 uint64_t seed, const char *name, semcal_error *error);

#endif

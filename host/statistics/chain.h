/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convex functions along a chain whose neighbours may differ by a bounded amount:
 *
 *   minimise sum_j f_j(x_j)   subject to   low_j <= x_j <= high_j,   |x_{j+1} - x_j| <= distance_j.
 *
 * A primal-dual interior point method: the Newton system of a chain is tridiagonal, so an iteration costs O(n). Any
 * multipliers of the neighbour constraints give a lower bound on the minimum in closed form, so the answer carries a
 * certificate: `*gap_bound` is how far the value returned can lie above the minimum.
 */
#ifndef SC_STATISTICS_CHAIN_H
#define SC_STATISTICS_CHAIN_H

#include "base/error.h"

typedef enum sc_chain_kind {
    SC_CHAIN_LOG,    /* f = weight log(1 + c (e^x - 1)) - right x, 0 < c < 1: log loss after the tilt x */
    SC_CHAIN_SQUARE, /* f = weight x^2 - 2 (right - weight c) x: squared loss after adding x to c, less the one before
                      */
} sc_chain_kind;

typedef struct sc_chain {
    sc_chain_kind kind;
    size_t n;
    const double *c, *weight, *right; /* [n] as in sc_pool */
    const double *low, *high;         /* [n] low < high */
    const double *distance;           /* [n - 1] > 0 */
} sc_chain;

/* `x` ([n]) holds a strictly feasible start and receives the minimiser, feasible exactly. `flow` ([n - 1], may be NULL)
 * receives the multipliers of the neighbour constraints (> 0: the right one would go higher). `tolerance` is the wanted
 * bound; SEMCAL_E_NUMERIC when even 1000 times that is not reached. Distances below 1e-10 are too close to call: pool
 * such points first. */
semcal_status sc_chain_minimise(double *x, double *value, double *gap_bound, double *flow, const sc_chain *chain,
                                double tolerance, semcal_error *error);

/* The lower bound on the minimum that any multipliers prove: sum_j min over [low, high] of f_j(x) + (flow_{j-1} -
 * flow_j) x, less sum_j distance_j |flow_j|. */
double sc_chain_lower_bound(const sc_chain *chain, const double *flow);

/* f_j(x) and its derivative. */
double sc_chain_value(const sc_chain *chain, size_t j, double x);
double sc_chain_slope(const sc_chain *chain, size_t j, double x);

#endif

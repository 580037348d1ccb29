/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Laws held on the host in double, for sources without a device: reads what a request asks for off one row of
 * probabilities. The inverse CDF works on 64-bit integers: weight i is round(p_i 2^52), the cumulative sums are exact,
 * and uniform u picks the first token whose cumulative weight exceeds floor(u W / 2^64). Tokens of probability below
 * 2^-53 have weight 0 and are never drawn.
 */
#ifndef SC_SOURCE_HOST_LAW_H
#define SC_SOURCE_HOST_LAW_H

#include "source/source.h"

/* The law of node `i` of `request`: natural log-probabilities `logprob` [V] at temperature 1 (normalised, -inf
 * allowed); fills row i of `result`. A target outside the law's support has log-probability -inf (a closed form knows
 * that exactly). `scratch` has room for V doubles. E_NUMERIC on NaN, +inf or a law without mass. */
semcal_status sc_host_law_read(sc_law_result *result, const sc_law_request *request, size_t i, const double *logprob,
                               size_t n_vocabulary, double *scratch, semcal_error *error);

/* Token of uniform `u` under probabilities `p` [n] (need not be normalised); n >= 1 and some p_i >= 2^-53 of the sum.
 */
int32_t sc_host_law_draw(const double *p, size_t n, uint64_t u);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exact binomial numbers from a random stream, for resampling groups of questions at once.
 *
 * Inversion by sequential search for small means, otherwise Hoermann's transformed rejection (BTRS, J. Stat. Comput.
 * Simul. 46, 1993): constant cost at any n.
 */
#ifndef SC_STATISTICS_BINOMIAL_H
#define SC_STATISTICS_BINOMIAL_H

#include "base/random.h"

/* Successes among n trials of probability p, clipped to [0, 1]. */
uint64_t sc_binomial_draw(sc_random_stream *stream, uint64_t n, double p);

#endif

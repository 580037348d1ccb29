/* SPDX-License-Identifier: Apache-2.0 */
/* A sample as its distinct confidences: what a function of the confidence alone can see of it. */
#ifndef SC_STATISTICS_POOL_H
#define SC_STATISTICS_POOL_H

#include "base/error.h"

/* Points by strictly rising confidence; weights sum to 1. */
typedef struct sc_pool {
    size_t n;
    double *c;      /* [n] */
    double *weight; /* [n] share of the sample at this confidence, > 0 */
    double *right;  /* [n] weight * mean outcome there */
} sc_pool;

/* Pools pairs (checked by sc_smece_check; `w` may be NULL). Free with sc_pool_free. O(n log n). */
semcal_status sc_pool_make(sc_pool *pool, const double *c, const double *a, const double *w, size_t n,
                           semcal_error *error);
void sc_pool_free(sc_pool *pool);

/* Merges neighbours so that at most about `n_most` points remain, each a weighted mean; points at 0 and 1 stay apart.
 */
void sc_pool_thin(sc_pool *pool, size_t n_most);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Equal pairs together: a sample as few weighted points.
 *
 * Confidences are multiples of 1/M, so thousands of questions are a few dozen different pairs, and resampling groups is
 * far cheaper than resampling questions. When more than SC_GROUP_EXACT groups would remain, neighbours closer than
 * SC_GROUP_WIDTH are merged at their mean: far below any kernel width that so many pairs can resolve.
 */
#ifndef SC_STATISTICS_GROUP_H
#define SC_STATISTICS_GROUP_H

#include "base/error.h"

#define SC_GROUP_EXACT 16384
#define SC_GROUP_WIDTH 0x1p-14

/* Groups by rising outcome, then rising confidence. */
typedef struct sc_groups {
    size_t n;      /* groups */
    double *c, *a; /* [n] confidence (mean over the group) and outcome (the same for all of it; NaN if none given) */
    double *count; /* [n] pairs in the group */
} sc_groups;

/* Groups c[n_pairs] and a[n_pairs] (NULL: confidences alone). Free with sc_group_free. O(n log n). */
semcal_status sc_group_pairs(sc_groups *groups, const double *c, const double *a, size_t n_pairs, semcal_error *error);
void sc_group_free(sc_groups *groups);

#endif

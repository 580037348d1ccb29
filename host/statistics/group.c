/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/group.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

typedef struct pair {
    double c, a;
} pair;

static int compare_pairs(const void *x, const void *y)
{
    const pair *p = x, *q = y;
    if (p->a != q->a) {
        return p->a < q->a ? -1 : 1;
    }
    return (p->c > q->c) - (p->c < q->c);
}

/* Groups sorted pairs whose confidences lie within `width` of the group's first; returns their number. */
static size_t group_sorted(sc_groups *groups, const pair *pairs, size_t n, double width)
{
    size_t g = 0;
    for (size_t i = 0, j; i < n; i = j, g++) {
        double offset = 0;
        for (j = i; j < n && pairs[j].a == pairs[i].a && pairs[j].c - pairs[i].c <= width; j++) {
            offset += pairs[j].c - pairs[i].c;
        }
        groups->c[g] = fmin(1, pairs[i].c + offset / (double)(j - i));
        groups->a[g] = pairs[i].a;
        groups->count[g] = (double)(j - i);
    }
    return g;
}

semcal_status sc_group_pairs(sc_groups *groups, const double *c, const double *a, size_t n_pairs, semcal_error *error)
{
    pair *pairs = sc_memory_alloc(n_pairs, sizeof *pairs, error);
    *groups =
        (sc_groups){0, sc_memory_alloc(n_pairs, sizeof(double), error), sc_memory_alloc(n_pairs, sizeof(double), error),
                    sc_memory_alloc(n_pairs, sizeof(double), error)};
    if (pairs == NULL || groups->c == NULL || groups->a == NULL || groups->count == NULL) {
        free(pairs);
        sc_group_free(groups);
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < n_pairs; i++) {
        pairs[i] = (pair){c[i], a != NULL ? a[i] : 0};
    }
    qsort(pairs, n_pairs, sizeof *pairs, compare_pairs);
    groups->n = group_sorted(groups, pairs, n_pairs, 0);
    if (groups->n > SC_GROUP_EXACT) {
        groups->n = group_sorted(groups, pairs, n_pairs, SC_GROUP_WIDTH);
    }
    for (size_t g = 0; a == NULL && g < groups->n; g++) {
        groups->a[g] = NAN;
    }
    free(pairs);
    return SEMCAL_OK;
}

void sc_group_free(sc_groups *groups)
{
    free(groups->c);
    free(groups->a);
    free(groups->count);
    *groups = (sc_groups){0};
}

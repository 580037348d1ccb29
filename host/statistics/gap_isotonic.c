/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/gap_families.h"

#include "base/memory.h"
#include "base/numeric.h"

#include <math.h>
#include <stdlib.h>

semcal_status sc_gap_alloc(sc_gap_tilt *tilt, size_t n, semcal_error *error)
{
    tilt->n = n;
    tilt->place = sc_memory_alloc(n, sizeof(double), error);
    tilt->value = sc_memory_alloc(n, sizeof(double), error);
    return tilt->place != NULL && tilt->value != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
}

/* Neighbours that share one new log-odds y. Within |y - t| <= 4 for all of them their loss is least at the log-odds of
 * their accuracy. */
typedef struct block {
    double weight, right, first_t, last_t, y;
    size_t end;
} block;

static void settle(block *b)
{
    double p = b->right / b->weight;
    double y = p <= 0 ? -INFINITY : p >= 1 ? INFINITY : sc_logit(p);
    b->y = fmin(b->first_t + SC_GAP_MOST_TILT, fmax(b->last_t - SC_GAP_MOST_TILT, y));
}

/* Pool adjacent violators for convex functions: a block whose best y lies above its right neighbour's merges with it.
 * The bounds t - 4 and t + 4 rise with t, so a merged block always has a y that suits all of it. */
semcal_status sc_gap_fit_isotonic(sc_gap_tilt *tilt, const sc_pool *pool, semcal_error *error)
{
    size_t first = pool->c[0] == 0 ? 1 : 0, last = pool->n;
    last -= last > first && pool->c[last - 1] == 1 ? 1 : 0;
    block *blocks = sc_memory_alloc(pool->n, sizeof *blocks, error);
    if (blocks == NULL || sc_gap_alloc(tilt, last - first, error) != SEMCAL_OK) {
        free(blocks);
        return SEMCAL_E_MEMORY;
    }
    size_t n = 0;
    for (size_t j = first; j < last; j++) {
        double t = sc_logit(pool->c[j]);
        tilt->place[j - first] = t;
        blocks[n] = (block){pool->weight[j], pool->right[j], t, t, 0, j + 1 - first};
        settle(&blocks[n++]);
        while (n > 1 && blocks[n - 2].y >= blocks[n - 1].y) {
            block *left = &blocks[n - 2], *right = &blocks[n - 1];
            left->weight += right->weight;
            left->right += right->right;
            left->last_t = right->last_t;
            left->end = right->end;
            settle(left);
            n--;
        }
    }
    for (size_t b = 0, j = 0; b < n; b++) {
        for (; j < blocks[b].end; j++) {
            double tau = blocks[b].y - tilt->place[j];
            tilt->value[j] = fmin(SC_GAP_MOST_TILT, fmax(-SC_GAP_MOST_TILT, tau));
        }
    }
    free(blocks);
    return SEMCAL_OK;
}

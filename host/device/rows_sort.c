/* SPDX-License-Identifier: Apache-2.0 */
#include "device/rows_sort.h"

#include "base/memory.h"
#include "base/parallel.h"

#include <stdlib.h>

enum {
    SORT_DRAWS = 512,  /* draws of a row from which sorting them pays (results/benchmarks/LOG.md) */
    SORT_ALONE = 4096, /* draws in all below which one thread sorts them */
    SORT_BITS = 10     /* leading bits of a uniform that are sorted by: order within is left as it was */
};

typedef struct task {
    sc_rows_sort *sort;
    const sc_rows_request *request;
} task;

void sc_rows_sort_free(sc_rows_sort *sort)
{
    free(sort->uniform);
    free(sort->order);
    free(sort->unsorted);
    *sort = (sc_rows_sort){0};
}

/* One counting sort by the leading bits: near enough to order for the walk, at the cost of reading the draws twice. */
static semcal_status sort_row(size_t i, unsigned thread, void *payload, semcal_error *error)
{
    (void)thread;
    (void)error;
    const task *t = payload;
    const uint64_t *uniform = t->request->uniform;
    const size_t first = t->request->first_draw[i], end = t->request->first_draw[i + 1];
    if (end - first < SORT_DRAWS) {
        for (size_t j = first; j < end; j++) {
            t->sort->uniform[j] = uniform[j];
            t->sort->order[j] = j;
        }
        return SEMCAL_OK;
    }
    size_t next[(1 << SORT_BITS) + 1] = {0};
    for (size_t j = first; j < end; j++) {
        next[(uniform[j] >> (64 - SORT_BITS)) + 1]++;
    }
    next[0] = first;
    for (size_t k = 1; k <= (size_t)1 << SORT_BITS; k++) {
        next[k] += next[k - 1];
    }
    for (size_t j = first; j < end; j++) {
        const size_t at = next[uniform[j] >> (64 - SORT_BITS)]++;
        t->sort->uniform[at] = uniform[j];
        t->sort->order[at] = j;
    }
    return SEMCAL_OK;
}

semcal_status sc_rows_sort_draws(const uint64_t **uniform, sc_rows_sort *sort, const sc_rows_request *request,
                                 size_t n_rows, semcal_error *error)
{
    const size_t n_draws = request->first_draw[n_rows];
    sort->sorted = false;
    for (size_t i = 0; i < n_rows && !sort->sorted; i++) {
        sort->sorted = request->first_draw[i + 1] - request->first_draw[i] >= SORT_DRAWS;
    }
    *uniform = request->uniform;
    if (!sort->sorted) {
        return SEMCAL_OK;
    }
    task t = {sort, request};
    semcal_status status =
        sc_memory_grow(&sort->uniform, &sort->uniform_capacity, n_draws, sizeof *sort->uniform, error);
    if (status == SEMCAL_OK) {
        status = sc_memory_grow(&sort->order, &sort->order_capacity, n_draws, sizeof *sort->order, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_memory_grow(&sort->unsorted, &sort->unsorted_capacity, n_draws, sizeof *sort->unsorted, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_parallel_for(n_rows, n_draws < SORT_ALONE ? 1 : 0, sort_row, &t, error);
    }
    sort->sorted = status == SEMCAL_OK;
    *uniform = sort->sorted ? sort->uniform : request->uniform;
    return status;
}

const sc_rows_token *sc_rows_sort_back(sc_rows_sort *sort, const sc_rows_token *draws, size_t n_draws)
{
    if (n_draws == 0 || !sort->sorted) {
        return draws;
    }
    for (size_t j = 0; j < n_draws; j++) {
        sort->unsorted[sort->order[j]] = draws[j];
    }
    return sort->unsorted;
}

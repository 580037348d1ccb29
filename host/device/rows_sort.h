/* SPDX-License-Identifier: Apache-2.0 */
/* Draws of rows with many of them, sorted by uniform: the draw kernel then walks such a row once. A draw's token does
 * not depend on its place among the others, so this is a matter of time alone. */
#ifndef SC_DEVICE_ROWS_SORT_H
#define SC_DEVICE_ROWS_SORT_H

#include "device/rows.h"

#include "abi.h"

/* Scratch that grows; starts as {0}. */
typedef struct sc_rows_sort {
    bool sorted; /* the request under way is */
    uint64_t *uniform;
    size_t *order; /* where each of them came from */
    sc_rows_token *unsorted;
    size_t uniform_capacity, order_capacity, unsorted_capacity;
} sc_rows_sort;

void sc_rows_sort_free(sc_rows_sort *sort);

/* Where a row has many draws, *uniform becomes a copy of the request's uniforms sorted by their leading bits within
 * each such row, valid until the next call; else the request's own. */
semcal_status sc_rows_sort_draws(const uint64_t **uniform, sc_rows_sort *sort, const sc_rows_request *request,
                                 size_t n_rows, semcal_error *error);

/* What was drawn, in the order of the request. */
const sc_rows_token *sc_rows_sort_back(sc_rows_sort *sort, const sc_rows_token *draws, size_t n_draws);

#endif

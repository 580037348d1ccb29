/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel around tiles in registers, for products on CPUs. Who includes it has defined
 *   GEMM_NAME           the kernel's name
 *   ROW_T, STEP_WORDS   an element of A; words of a panel for each of a row's k elements
 *   TILE(rows, fetch)   tile_<rows>(total, a, panel, k, ahead, spread): total [2 * rows] = products of `rows` rows of A (row
 *                       stride k) with one panel; fetch(i) asks for weights, which lie at ahead + i * spread
 *   AHEAD               a panel's first tile asks for its own weights this many steps ahead; further tiles ask for
 *                       the next panel's, a part each, so that memory and arithmetic do not take turns
 *   PUT_ROUNDED         (optional) as in gemm_put.h
 * Work-item: one panel and one block of `block` rows, taken in tiles of at most 14 rows x 32 columns; local size 1.
 */
#include "gemm_put.h"

TILE(1, NO_FETCH)
TILE(2, FETCH)
TILE(3, FETCH)
TILE(4, FETCH)
TILE(5, FETCH)
TILE(6, FETCH)
TILE(7, FETCH)
TILE(8, FETCH)
TILE(9, FETCH)
TILE(10, FETCH)
TILE(11, FETCH)
TILE(12, FETCH)
TILE(13, FETCH)
TILE(14, FETCH)

__kernel void GEMM_NAME(__global const ROW_T *a, __global const uint *weights, __global const float *bias, __global float *c,
                        const uint m, const uint n, const uint k, const uint stride, const uint mode, const uint block,
                        const uint n_blocks, const uint panel_first)
{
    const uint panel_here = get_global_id(0) / n_blocks, panel_index = panel_first + panel_here;
    const uint row_first = (get_global_id(0) % n_blocks) * block, row_last = min(row_first + block, m);
    __global const void *panel = weights + (size_t)panel_here * k * STEP_WORDS;
    const size_t step = STEP_WORDS * sizeof(uint), bytes = k * step;
    const uint n_rows = row_last - row_first, n_tiles = (n_rows + SC_TILE_ROWS - 1) / SC_TILE_ROWS;
    const uint spread = n_blocks == 1 && n_tiles > 1 ? (uint)step / (n_tiles - 1) : 0;
    const uint column = panel_index * SC_PANEL;
    float16 total[2 * SC_TILE_ROWS];
    float16 bias0 = -0.0f, bias1 = -0.0f; /* which added to any number leave it, 0 of either sign too */
    if (bias) {
        bias0 = SC_CONST_VECTOR16(bias + column);
        bias1 = SC_CONST_VECTOR16(bias + column + 16);
    }
    for (uint t = 0; t < n_tiles; t++) {
        const uint row = row_first + n_rows * t / n_tiles, rows = row_first + n_rows * (t + 1) / n_tiles - row;
        __global const ROW_T *first = a + (size_t)row * k;
        const uintptr_t here = (uintptr_t)panel, next = here + bytes;
        const uintptr_t ahead = t == 0 ? here + AHEAD * step : next + (t - 1) * bytes / (n_tiles - 1);
#define CASE(r)                                                                                                        \
    case r:                                                                                                            \
        tile_##r(total, first, panel, k, ahead, t == 0 ? (uint)step : spread);                                                                              \
        break;
        switch (rows) {
            CASE(1)
            CASE(2)
            CASE(3)
            CASE(4)
            CASE(5)
            CASE(6)
            CASE(7)
            CASE(8)
            CASE(9)
            CASE(10)
            CASE(11)
            CASE(12)
            CASE(13)
            CASE(14)
        }
        for (uint r = 0; r < rows; r++) {
            put_row(c + (size_t)(row + r) * stride, total[2 * r] + bias0, total[2 * r + 1] + bias1, n, panel_index, mode);
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm: C [m, n] = A [m, k] W^T for packed weights, on CPUs.
 *
 * W is packed in panels of SC_PANEL = 32 columns (host/device/gemm.h). Per k a panel holds 32 fp32 values, or (WEIGHT_BF16)
 * sixteen 32-bit words: low half column j, high half column 16 + j, in bf16; one 64-byte load gives both vectors.
 * Work-item: one panel and one block of `block` rows, taken in tiles of at most 14 rows x 32 columns in registers; local size 1.
 * Precision: fp32. Every output is fma chains over k ascending, one chain per SC_CHUNK values of k, the chains' sums added
 * in order: a row's bits depend on nothing but that row and W. C reference: sc_gemm_reference.
 *
 * mode  SC_GEMM_STORE   C = A W^T (+ bias)        SC_GEMM_ADD  C += A W^T (+ bias)
 *       SC_GEMM_SWIGLU  panels hold 16 gate and 16 up columns; C [m, n / 2] = silu(gate) * up
 */
#include "abi.h"
#include "exp.h"
#include "vector.h"

#pragma OPENCL FP_CONTRACT OFF

#define UNPACK_LOW(u) as_float16((u) << 16)
#define UNPACK_HIGH(u) as_float16((u) & (uint16)(0xffff0000u))

#ifdef WEIGHT_BF16
#define LOAD_WEIGHTS(k)                                                                                                \
    const uint16 u = ((__global const uint16 *)panel)[k];                                                              \
    const float16 b0 = UNPACK_LOW(u), b1 = UNPACK_HIGH(u);
#else
#define LOAD_WEIGHTS(k)                                                                                                \
    const float16 b0 = ((__global const float16 *)panel)[2 * (k)], b1 = ((__global const float16 *)panel)[2 * (k) + 1];
#endif

/* Tiles of several rows ask for the weights of this many steps ahead: the processor's own prefetching stops at the end of
 * every page of memory, and leaves arithmetic and memory taking turns. */
#define AHEAD 64
#define NO_FETCH(k)
#define FETCH_LINE(line) SC_FETCH((uintptr_t)panel + (uintptr_t)(line) * 64);
#ifdef WEIGHT_BF16
#define FETCH(k) FETCH_LINE((k) + AHEAD)
#else
#define FETCH(k) FETCH_LINE(2 * ((k) + AHEAD)) FETCH_LINE(2 * ((k) + AHEAD) + 1)
#endif

#define ROWS_1(X) X(0)
#define ROWS_2(X) ROWS_1(X) X(1)
#define ROWS_3(X) ROWS_2(X) X(2)
#define ROWS_4(X) ROWS_3(X) X(3)
#define ROWS_5(X) ROWS_4(X) X(4)
#define ROWS_6(X) ROWS_5(X) X(5)
#define ROWS_7(X) ROWS_6(X) X(6)
#define ROWS_8(X) ROWS_7(X) X(7)
#define ROWS_9(X) ROWS_8(X) X(8)
#define ROWS_10(X) ROWS_9(X) X(9)
#define ROWS_11(X) ROWS_10(X) X(10)
#define ROWS_12(X) ROWS_11(X) X(11)
#define ROWS_13(X) ROWS_12(X) X(12)
#define ROWS_14(X) ROWS_13(X) X(13)

#define DECLARE(r) float16 x##r, y##r; __global const float *a##r = a + r * k;
#define CLEAR(r) x##r = 0.0f, y##r = 0.0f;
#define STEP(r)                                                                                                        \
    {                                                                                                                  \
        const float16 v = a##r[i];                                                                                     \
        x##r = fma(v, b0, x##r);                                                                                       \
        y##r = fma(v, b1, y##r);                                                                                       \
    }
#define FLUSH(r)                                                                                                       \
    total[2 * r] = first == 0 ? x##r : total[2 * r] + x##r;                                                            \
    total[2 * r + 1] = first == 0 ? y##r : total[2 * r + 1] + y##r;

/* total [2 * rows] = the products of `rows` rows of A (row stride k) with one panel. */
#define TILE(rows, fetch)                                                                                              \
    static void tile_##rows(float16 *total, __global const float *a, __global const void *panel, const uint k)         \
    {                                                                                                                  \
        ROWS_##rows(DECLARE) for (uint first = 0; first < k; first += SC_CHUNK)                                        \
        {                                                                                                              \
            const uint last = min(first + SC_CHUNK, k);                                                                \
            ROWS_##rows(CLEAR) for (uint i = first; i < last; i++)                                                     \
            {                                                                                                          \
                LOAD_WEIGHTS(i)                                                                                        \
                fetch(i)                                                                                               \
                ROWS_##rows(STEP)                                                                                      \
            }                                                                                                          \
            ROWS_##rows(FLUSH)                                                                                         \
        }                                                                                                              \
    }

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

/* The first `n` (at most 16) of `v` to `c`, or added to it. */
static void put(__global float *c, const float16 v, const uint n, const bool add)
{
    if (n >= 16) {
        SC_VECTOR16(c) = add ? SC_VECTOR16(c) + v : v;
    } else {
        float part[16];
        vstore16(v, 0, part);
        for (uint j = 0; j < n; j++) {
            c[j] = add ? c[j] + part[j] : part[j];
        }
    }
}

__kernel void gemm_packed(__global const float *a, __global const uint *weights, __global const float *bias, __global float *c,
                          const uint m, const uint n, const uint k, const uint stride, const uint mode, const uint block,
                          const uint n_blocks, const uint panel_first)
{
    const uint panel_here = get_global_id(0) / n_blocks, panel_index = panel_first + panel_here;
    const uint row_first = (get_global_id(0) % n_blocks) * block, row_last = min(row_first + block, m);
#ifdef WEIGHT_BF16
    __global const void *panel = weights + (size_t)panel_here * k * 16;
#else
    __global const void *panel = weights + (size_t)panel_here * k * 32;
#endif
    const uint n_rows = row_last - row_first, n_tiles = (n_rows + SC_TILE_ROWS - 1) / SC_TILE_ROWS;
    const uint column = panel_index * SC_PANEL;
    float16 total[2 * SC_TILE_ROWS];
    float16 bias0 = 0.0f, bias1 = 0.0f;
    if (bias) {
        bias0 = SC_CONST_VECTOR16(bias + column);
        bias1 = SC_CONST_VECTOR16(bias + column + 16);
    }
    for (uint t = 0; t < n_tiles; t++) {
        const uint row = row_first + n_rows * t / n_tiles, rows = row_first + n_rows * (t + 1) / n_tiles - row;
        __global const float *first = a + (size_t)row * k;
#define CASE(r)                                                                                                        \
    case r:                                                                                                            \
        tile_##r(total, first, panel, k);                                                                              \
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
            const float16 x = total[2 * r] + bias0, y = total[2 * r + 1] + bias1;
            if (mode == SC_GEMM_SWIGLU) {
                const uint out = panel_index * 16;
                put(c + (size_t)(row + r) * stride + out, sc_silu16(x) * y, n / 2 - out, false);
            } else {
                __global float *to = c + (size_t)(row + r) * stride + column;
                put(to, x, n - column, mode == SC_GEMM_ADD);
                if (n - column > 16) {
                    put(to + 16, y, n - column - 16, mode == SC_GEMM_ADD);
                }
            }
        }
    }
}

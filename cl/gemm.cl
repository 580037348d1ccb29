/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm: C [m, n] = A [m, k] W^T for packed weights, on CPUs.
 *
 * W is packed in panels of SC_PANEL = 32 columns (host/device/gemm.h). Per k a panel holds 32 fp32 values, or (WEIGHT_BF16)
 * sixteen 32-bit words: low half column j, high half column 16 + j, in bf16; one 64-byte load gives both vectors.
 * Work-item: one panel and one block of `block` rows, taken in tiles of at most 14 rows x 32 columns in registers; local size 1.
 * Precision: fp32. Every output is fma chains over k ascending, one chain per SC_CHUNK values of k, the chains' sums added
 * in order: a row's bits depend on nothing but that row and W. C reference: sc_gemm_reference.
 * Floor: panels + 4 m (k + n) bytes, 2 m n k operations (a SwiGLU writes half of n, an addition reads C as well).
 *
 * mode  SC_GEMM_STORE   C = A W^T (+ bias)        SC_GEMM_ADD  C += A W^T (+ bias)
 *       SC_GEMM_SWIGLU  panels hold 16 gate and 16 up columns; C [m, n / 2] = silu(gate) * up
 */
#include "abi.h"
#include "exp.h"
#include "gemm_rows.h"
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

/* Tiles of several rows ask for weights ahead: the processor's own prefetching stops at the end of every page of memory,
 * and leaves arithmetic and memory taking turns. */
#define AHEAD 64
#define NO_FETCH(i)
#ifdef WEIGHT_BF16
#define FETCH(i) SC_FETCH(ahead + (size_t)(i) * spread);
#else
#define FETCH(i)                                                                                                       \
    SC_FETCH(ahead + (size_t)(i) * spread);                                                                            \
    SC_FETCH(ahead + (size_t)(i) * spread + 64);
#endif

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
    static void tile_##rows(float16 *total, __global const float *a, __global const void *panel, const uint k,     \
                            const uintptr_t ahead, const uint spread)         \
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

#define GEMM_NAME gemm_packed
#define ROW_T float
#ifdef WEIGHT_BF16
#define STEP_WORDS 16
#else
#define STEP_WORDS 32
#endif
#include "gemm_kernel.h"

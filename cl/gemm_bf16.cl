/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_bf16: C [m, n] = round(A) [m, k] W^T with both operands in bf16 and sums in fp32, on CPUs with AVX-512 bf16.
 *
 * A comes as pairs along k, rounded by gemm_round.cl; `k` counts pairs here. Panels hold per pair 32 words, one per column:
 * low half the even k, high half the odd one. Same bytes as the panels of gemm.cl, same tiles, same modes.
 * Definition of every sum, which is what vdpbf16ps does (found by trying, on an AMD Zen 4; tests/kernel/test_gemm_bf16.c):
 * per pair an fma of the odd values, then one of the even values, each rounded to nearest even and set to 0 when it falls
 * below the normal numbers, as are bf16 operands below them; one chain per SC_CHUNK values of k, the chains' sums added in
 * order. A row's bits depend on nothing but that row and W. C reference: sc_gemm_bf16_reference.
 * Floor: panels + 2 m k + 4 m n bytes, 2 m n k operations at twice the rate of fp32 multiply-adds.
 */
#include "abi.h"
#include "bf16.h"
#include "bf16_unit.h"
#include "exp.h"
#include "gemm_rows.h"
#include "vector.h"

#pragma OPENCL FP_CONTRACT OFF

/* Tiles of several rows ask for weights ahead, as in gemm.cl. */
#define AHEAD 64
#define NO_FETCH(i)
#define FETCH(i)                                                                                                       \
    SC_FETCH(ahead + (size_t)(i) * spread);                                                                            \
    SC_FETCH(ahead + (size_t)(i) * spread + 64);

#define DECLARE(r) float16 x##r, y##r; __global const uint *a##r = a + r * k;
#define CLEAR(r) x##r = 0.0f, y##r = 0.0f;
#define STEP(r)                                                                                                        \
    {                                                                                                                  \
        const uint16 v = a##r[i];                                                                                      \
        x##r = SC_DOT_BF16(x##r, v, b0);                                                                               \
        y##r = SC_DOT_BF16(y##r, v, b1);                                                                               \
    }
#define FLUSH(r)                                                                                                       \
    total[2 * r] = first == 0 ? x##r : total[2 * r] + x##r;                                                            \
    total[2 * r + 1] = first == 0 ? y##r : total[2 * r + 1] + y##r;

#define TILE(rows, fetch)                                                                                              \
    SC_WITH_BF16 static void tile_##rows(float16 *total, __global const uint *a, __global const void *panel, const uint k,    \
                                      const uintptr_t ahead, const uint spread) \
    {                                                                                                                  \
        ROWS_##rows(DECLARE) for (uint first = 0; first < k; first += SC_CHUNK / 2)                                    \
        {                                                                                                              \
            const uint last = min(first + SC_CHUNK / 2, k);                                                            \
            ROWS_##rows(CLEAR) for (uint i = first; i < last; i++)                                                     \
            {                                                                                                          \
                const uint16 b0 = ((__global const uint16 *)panel)[2 * i];                                             \
                const uint16 b1 = ((__global const uint16 *)panel)[2 * i + 1];                                         \
                fetch(i)                                                                                               \
                ROWS_##rows(STEP)                                                                                      \
            }                                                                                                          \
            ROWS_##rows(FLUSH)                                                                                         \
        }                                                                                                              \
    }

#define PUT_ROUNDED sc_put_bf16
#define GEMM_NAME gemm_bf16
#define ROW_T uint
#define STEP_WORDS 32
#include "gemm_kernel.h"

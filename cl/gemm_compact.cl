/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_compact: C [m, n] = A [m, k] W^T as gemm_packed (or, with PAIRS, gemm_bf16), m at most SC_COMPACT_ROWS and k even, on
 * CPUs with AVX-512 BW. Such products wait for weights, so these come a second time, without loss, in three quarters of the
 * bytes.
 *
 * The high byte of a bf16 number, its sign and most of its exponent, takes few values among neighbours. SC_COMPACT_LINES
 * lines (64 bytes) of a panel share a table of 16 such bytes and become a unit: for every four lines 128 low bytes, two by
 * two lines interleaved as vpunpcklbw and vpunpckhbw take them apart, then 128 places in the table, two in a byte.
 * Units follow each other and are read in order, as memory likes best. One whose numbers have more than 16 high bytes has
 * its table's first two entries equal: it is read from the panel, as are lines behind the last whole unit.
 * host/device/gemm_compact.c writes units and tables.
 *
 * Work-item: one panel, all rows; local size 1. Sums in the order of gemm_packed (gemm_bf16), bit by bit; C reference:
 * sc_gemm_reference (sc_gemm_bf16_reference).
 * Floor: .758 of the panels' bytes + 4 m (k + n).
 */
#include "abi.h"
#include "bf16.h"
#include "exp.h"
#include "gemm_rows.h"
#include "vector.h"
#ifdef PAIRS
#include "bf16_unit.h"
#endif

#pragma OPENCL FP_CONTRACT OFF

typedef char sc_bytes16 __attribute__((ext_vector_type(16)));
typedef uchar sc_bytes32 __attribute__((ext_vector_type(32)));
typedef char sc_bytes64 __attribute__((ext_vector_type(64)));
typedef ushort sc_words32 __attribute__((ext_vector_type(32)));

/* A table in each quarter of a register, where vpshufb looks. */
#define LOAD_TABLE(pointer)                                                                                            \
    __builtin_shufflevector(*(__global const sc_bytes16 *)(pointer), *(__global const sc_bytes16 *)(pointer), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9,   \
                            10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, \
                            11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
/* Byte pairs (low, high) of the first and of the last eight bytes of each quarter. */
#define QUARTER(first, q)                                                                                              \
    first + 16 * q, 64 + first + 16 * q, first + 1 + 16 * q, 65 + first + 16 * q, first + 2 + 16 * q, 66 + first + 16 * q,           \
        first + 3 + 16 * q, 67 + first + 16 * q, first + 4 + 16 * q, 68 + first + 16 * q, first + 5 + 16 * q,                        \
        69 + first + 16 * q, first + 6 + 16 * q, 70 + first + 16 * q, first + 7 + 16 * q, 71 + first + 16 * q
#define INTERLEAVE(low, high, first)                                                                                   \
    __builtin_astype(__builtin_shufflevector(low, high, QUARTER(first, 0), QUARTER(first, 1), QUARTER(first, 2), QUARTER(first, 3)),  \
                     uint16)

#ifdef PAIRS
#define SC_WITH_UNIT __attribute__((target("avx512f,avx512bw,avx512bf16")))
#define ROW_T uint
#define PUT_ROUNDED sc_put_bf16
/* Two lines are the columns' first and last 16 for one pair of k. */
#define STEP(r)                                                                                                        \
    {                                                                                                                  \
        const uint16 v = a##r[i];                                                                                      \
        x##r = SC_DOT_BF16(x##r, v, u0);                                                                               \
        y##r = SC_DOT_BF16(y##r, v, u1);                                                                               \
    }
#else
#define SC_WITH_UNIT __attribute__((target("avx512f,avx512bw")))
#define ROW_T float
/* fma(a, b, c), which a function for another processor than the program's may not call. */
#define FMA(a, b, c) __builtin_ia32_vfmaddps512_mask(a, b, c, (ushort)0xffff, 4)
/* Two lines are two values of k. */
#define STEP(r)                                                                                                        \
    {                                                                                                                  \
        const float16 v0 = a##r[2 * i], v1 = a##r[2 * i + 1];                                                          \
        x##r = FMA(v0, as_float16(u0 << 16), x##r);                                                                    \
        y##r = FMA(v0, as_float16(u0 & (uint16)(0xffff0000u)), y##r);                                                  \
        x##r = FMA(v1, as_float16(u1 << 16), x##r);                                                                    \
        y##r = FMA(v1, as_float16(u1 & (uint16)(0xffff0000u)), y##r);                                                  \
    }
#endif
#include "gemm_put.h"

#define UNIT (SC_COMPACT_LINES / 2) /* pairs of lines of a unit */
#if SC_CHUNK / 2 % UNIT != 0
#error "a chunk must end with a unit"
#endif
#define DECLARE(r) float16 x##r, y##r; __global const ROW_T *a##r = a + r * k;
#define CLEAR(r) x##r = 0.0f, y##r = 0.0f;
#define FLUSH(r)                                                                                                       \
    total[2 * r] = first == 0 ? x##r : total[2 * r] + x##r;                                                            \
    total[2 * r + 1] = first == 0 ? y##r : total[2 * r + 1] + y##r;

/* Two lines out of their low bytes and the places of their high bytes. */
#define EXPAND(rows, group, which, at)                                                                                 \
    {                                                                                                                  \
        const uint i = at;                                                                                             \
        const sc_bytes64 low = *(__global const sc_bytes64 *)((group) + 64 * (which));                                 \
        const sc_words32 two = __builtin_convertvector(*(__global const sc_bytes32 *)((group) + 128 + 32 * (which)), sc_words32);  \
        const sc_bytes64 place = __builtin_astype((two | two << 4) & (ushort)0x0f0f, sc_bytes64);                      \
        const sc_bytes64 high = __builtin_ia32_pshufb512(table, place);                                                \
        const uint16 u0 = INTERLEAVE(low, high, 0), u1 = INTERLEAVE(low, high, 8);                                     \
        ROWS_##rows(STEP)                                                                                              \
    }

/* total [2 * rows] = the products of `rows` rows of A (row stride k) with one panel of n_pairs pairs of lines. */
#define TILE(rows)                                                                                                     \
    SC_WITH_UNIT static void tile_##rows(float16 *total, __global const ROW_T *a, __global const uint16 *panel,             \
                                         __global const uchar *unit, __global const uchar *tables, const uint k,            \
                                         const uint n_pairs)                                                           \
    {                                                                                                                  \
        ROWS_##rows(DECLARE) for (uint first = 0; first < n_pairs; first += SC_CHUNK / 2)                              \
        {                                                                                                              \
            const uint last = first + SC_CHUNK / 2 < n_pairs ? first + SC_CHUNK / 2 : n_pairs;                         \
            ROWS_##rows(CLEAR) for (uint from = first; from < last; from += UNIT)                                      \
            {                                                                                                          \
                if (from + UNIT <= last && tables[0] != tables[1]) {                                                   \
                    const sc_bytes64 table = LOAD_TABLE(tables);                                                       \
                    for (uint g = 0; g < UNIT; g += 2) {                                                               \
                        EXPAND(rows, unit + 96 * g, 0, from + g)                                                       \
                        EXPAND(rows, unit + 96 * g, 1, from + g + 1)                                                   \
                    }                                                                                                  \
                } else {                                                                                               \
                    for (uint i = from; i < from + UNIT && i < last; i++) {                                            \
                        const uint16 u0 = panel[2 * i], u1 = panel[2 * i + 1];                                         \
                        ROWS_##rows(STEP)                                                                              \
                    }                                                                                                  \
                }                                                                                                      \
                unit += SC_COMPACT_BYTES;                                                                              \
                tables += SC_COMPACT_TABLE;                                                                            \
            }                                                                                                          \
            ROWS_##rows(FLUSH)                                                                                         \
        }                                                                                                              \
    }
TILE(1)
TILE(2)
TILE(3)
TILE(4)

/* k: elements of a row of A, which PAIRS counts two by two. */
__kernel void gemm_compact(__global const ROW_T *a, __global const uint *weights, __global const uchar *units,
                           __global const uchar *tables, __global const float *bias, __global float *c, const uint m,
                           const uint n, const uint k, const uint stride, const uint mode, const uint panel_first)
{
#ifdef PAIRS
    const uint n_pairs = k;
#else
    const uint n_pairs = k / 2;
#endif
    const size_t here = get_global_id(0), n_units = n_pairs / UNIT;
    const uint index = panel_first + (uint)here;
    __global const uint16 *panel = (__global const uint16 *)weights + here * 2 * n_pairs;
    units += here * n_units * SC_COMPACT_BYTES;
    tables += here * n_units * SC_COMPACT_TABLE;
    float16 total[2 * SC_COMPACT_ROWS];
    float16 bias0 = -0.0f, bias1 = -0.0f; /* which added to any number leave it */
    if (bias) {
        bias0 = SC_CONST_VECTOR16(bias + index * SC_PANEL);
        bias1 = SC_CONST_VECTOR16(bias + index * SC_PANEL + 16);
    }
#define CASE(r)                                                                                                        \
    case r:                                                                                                            \
        tile_##r(total, a, panel, units, tables, k, n_pairs);                                                          \
        break;
    switch (m) {
        CASE(1)
        CASE(2)
        CASE(3)
        CASE(4)
    }
    for (uint r = 0; r < m; r++) {
        put_row(c + (size_t)r * stride, total[2 * r] + bias0, total[2 * r + 1] + bias1, n, index, mode);
    }
}

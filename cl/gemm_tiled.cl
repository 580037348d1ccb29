/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_tiled, gemm_skinny: C [m, n] = A [m, k] W^T for packed weights, on GPUs.
 *
 * The panels and the definition of every sum are those of gemm.cl, and so are the bits of the result.
 * Work-group: 128 items = 16 weight words x 8, for one panel of 32 columns; item (j, g) owns columns j and 16 + j.
 *   gemm_tiled   64 rows; item (j, g) has rows g, 8 + g, .. 56 + g; weights and A staged through local memory, 16 of k a time.
 *   gemm_skinny  at most SC_SKINNY_ROWS rows; item (j, g) takes chunks g, 8 + g, .. of k, so that a long k keeps a small n
 *                busy; the chunks' sums meet in local memory and are added in order.
 * Precision: fp32. C reference: sc_gemm_reference. Floor: that of gemm.cl.
 */
#include "abi.h"
#include "exp.h"

#pragma OPENCL FP_CONTRACT OFF

#ifdef WEIGHT_BF16
#define WORDS 16
#define LOW(panel, i, j) as_float((panel)[(i) * 16 + (j)] << 16)
#define HIGH(panel, i, j) as_float((panel)[(i) * 16 + (j)] & 0xffff0000u)
#else
#define WORDS 32
#define LOW(panel, i, j) as_float((panel)[(i) * 32 + (j)])
#define HIGH(panel, i, j) as_float((panel)[(i) * 32 + 16 + (j)])
#endif
#define GROUP 128
#define K_TILE 16
#define ROWS SC_TILED_ROWS
#define MY_ROWS (ROWS / 8)

static float2 with_bias(const float2 total, __global const float *bias, const uint column)
{
    return bias ? total + (float2)(bias[column], bias[column + 16]) : total;
}

static void finish(__global float *c, const float2 total, const uint j, const uint panel, const uint n, const uint mode)
{
    if (mode == SC_GEMM_SWIGLU) {
        if (panel * 16 + j < n / 2) {
            c[panel * 16 + j] = sc_silu(total.x) * total.y;
        }
        return;
    }
    const uint column = panel * SC_PANEL + j;
    if (column < n) {
        c[column] = mode == SC_GEMM_ADD ? c[column] + total.x : total.x;
    }
    if (column + 16 < n) {
        c[column + 16] = mode == SC_GEMM_ADD ? c[column + 16] + total.y : total.y;
    }
}

__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void
gemm_tiled(__global const float *a, __global const uint *weights, __global const float *bias, __global float *c, const uint m,
           const uint n, const uint k, const uint stride, const uint mode, const uint panel_first)
{
    __local uint words[K_TILE * WORDS];
    __local float rows[K_TILE][ROWS + 1];
    const uint lid = get_local_id(0), j = lid % 16, g = lid / 16, panel = panel_first + get_group_id(0), first_row = get_group_id(1) * ROWS;
    __global const uint *from = weights + (size_t)get_group_id(0) * k * WORDS;
    float2 total[MY_ROWS], chain[MY_ROWS];
    for (uint r = 0; r < MY_ROWS; r++) {
        total[r] = 0.0f;
    }
    for (uint first = 0; first < k; first += SC_CHUNK) {
        const uint last = min(first + SC_CHUNK, k);
        for (uint r = 0; r < MY_ROWS; r++) {
            chain[r] = 0.0f;
        }
        for (uint at = first; at < last; at += K_TILE) {
            const uint depth = min((uint)K_TILE, last - at);
            barrier(CLK_LOCAL_MEM_FENCE);
            for (uint i = lid; i < depth * WORDS; i += GROUP) {
                words[i] = from[(size_t)at * WORDS + i];
            }
            for (uint i = lid; i < K_TILE * ROWS; i += GROUP) {
                const uint row = first_row + i / K_TILE, d = i % K_TILE;
                rows[d][i / K_TILE] = row < m && d < depth ? a[(size_t)row * k + at + d] : 0.0f;
            }
            barrier(CLK_LOCAL_MEM_FENCE);
            for (uint d = 0; d < depth; d++) {
                const float2 w = (float2)(LOW(words, d, j), HIGH(words, d, j));
                for (uint r = 0; r < MY_ROWS; r++) {
                    chain[r] = fma((float2)(rows[d][r * 8 + g]), w, chain[r]);
                }
            }
        }
        for (uint r = 0; r < MY_ROWS; r++) {
            total[r] = first == 0 ? chain[r] : total[r] + chain[r];
        }
    }
    for (uint r = 0; r < MY_ROWS; r++) {
        const uint row = first_row + r * 8 + g;
        if (row < m) {
            finish(c + (size_t)row * stride, with_bias(total[r], bias, panel * SC_PANEL + j), j, panel, n, mode);
        }
    }
}

__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void
gemm_skinny(__global const float *a, __global const uint *weights, __global const float *bias, __global float *c, const uint m,
            const uint n, const uint k, const uint stride, const uint mode, const uint panel_first)
{
    __local float2 sums[8][SC_SKINNY_ROWS][16];
    const uint lid = get_local_id(0), j = lid % 16, g = lid / 16, panel = panel_first + get_group_id(0);
    const uint first_row = get_group_id(1) * SC_SKINNY_ROWS, n_rows = min((uint)SC_SKINNY_ROWS, m - first_row);
    __global const uint *from = weights + (size_t)get_group_id(0) * k * WORDS;
    __global const float *x = a + (size_t)first_row * k;
    float2 total = 0.0f; /* of row g, column j, for g < n_rows */
    const uint n_chunks = (k + SC_CHUNK - 1) / SC_CHUNK;
    for (uint round = 0; round < n_chunks; round += 8) {
        const uint first = (round + g) * SC_CHUNK, last = min(first + SC_CHUNK, k);
        float2 chain[SC_SKINNY_ROWS];
        for (uint r = 0; r < SC_SKINNY_ROWS; r++) {
            chain[r] = 0.0f;
        }
        for (uint i = first; i < last; i++) {
            const float2 w = (float2)(LOW(from, (size_t)i, j), HIGH(from, (size_t)i, j));
            for (uint r = 0; r < SC_SKINNY_ROWS; r++) {
                if (r < n_rows) {
                    chain[r] = fma((float2)(x[(size_t)r * k + i]), w, chain[r]);
                }
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint r = 0; r < SC_SKINNY_ROWS; r++) {
            sums[g][r][j] = chain[r];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        if (g < n_rows) {
            const uint here = min(8u, n_chunks - round);
            for (uint s = 0; s < here; s++) {
                total = round + s == 0 ? sums[s][g][j] : total + sums[s][g][j];
            }
        }
    }
    if (g < n_rows) {
        finish(c + (size_t)(first_row + g) * stride, with_bias(total, bias, panel * SC_PANEL + j), j, panel, n, mode);
    }
}

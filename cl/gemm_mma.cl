/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_mma, gemm_mma_skinny: C [m, n] = bf16(A) [m, k] W^T on the tensor cores of NVIDIA GPUs (compute capability 8.0).
 *
 * W is packed in panels of SC_PANEL = 32 columns; per pair of k a panel has one 32-bit word per column: low half k even, high
 * half k odd. Weights are the 16-row operand of mma.sync.m16n8k16, rows of A its 8 columns: few rows waste little.
 * Precision: products of bf16 exact, sums fp32 as tensor cores make them (they may truncate); SC_CHUNK values of k in one
 * chain of mma.sync, the chains' sums added in order in fp32. Every kernel here runs the same instructions for an output,
 * whatever m is, so that a row's result depends on nothing but that row and W. The 32 values of k of two instructions are
 * dealt to them in blocks of four: 0-3, 8-11, 16-19, 24-27 to the first. C reference: sc_gemm_bf16_reference,
 * within the tolerance of host/device/gemm_mma.c.
 *
 *   gemm_mma_round   A in fp32 to words of two neighbours of k, rows of `words` words, zeros at the end
 *   gemm_mma         many rows. Work-group: 2 x MMA_ROW_WARPS warps of 32 MMA_PANELS columns x 32 rows; 32 values of k at a
 *                    time through local memory, two steps ahead by cp.async. Index space: [row blocks, blocks of panels].
 *   gemm_mma_skinny  few rows. Work-group: four warps on one panel and SC_MMA_SKINNY_ROWS rows, each with its own chunks of k,
 *                    straight from global memory; A in fp32, rounded here. Index space: [row blocks, panels].
 * Floors: weights 2 n k bytes + A and C once; 2 m n k operations at the device's bf16 rate. Local memory gives 192 (MMA_PANELS
 * 2) or 256 (1) bytes per instruction: 6 or 8 cycles of a compute unit for one on each of its four tensor cores, which take 8
 * (capability 8.0) or 4 (9.0).
 *
 * SC_MMA_EMULATE: any device with local memory; the instruction is replaced by its definition over the same fragments.
 */
#include "abi.h"
#include "bf16.h"
#include "exp.h"

#pragma OPENCL FP_CONTRACT OFF

#ifdef __clang__
#define ASM __asm__ volatile
#else
#define ASM asm volatile
#endif

#ifndef MMA_PANELS
#define MMA_PANELS 2
#endif
#ifndef MMA_ROW_WARPS
#define MMA_ROW_WARPS 4
#endif

#define STEP_PAIRS 16  /* pairs of k of a step: two instructions deep */
#define ROW_TILES 4    /* groups of 8 rows of a warp */
#define WARP_ROWS (8 * ROW_TILES)
#define CHUNK_STEPS (SC_CHUNK / (2 * STEP_PAIRS))
#define PANEL_QUADS (STEP_PAIRS * SC_PANEL / 4) /* 16-byte pieces of a panel in a step */
#define ROW_QUADS (STEP_PAIRS / 4)

/* A in pairs along k, rounded, rows `words` words apart. Floor: 6 bytes for each of A's elements. */
__kernel void gemm_mma_round(__global const float *a, __global uint *rounded, const uint k, const uint words)
{
    const uint at = get_global_id(0), row = get_global_id(1);
    __global const float *from = a + (size_t)row * k;
    const float low = 2 * at < k ? from[2 * at] : 0.0f, high = 2 * at + 1 < k ? from[2 * at + 1] : 0.0f;
    rounded[(size_t)row * words + at] = sc_bf16_pair(low, high);
}

/* ---- the instruction ---- */

/* Lane = 4 g + t of a warp holds, of the weights [16, 16], words (column, pair): a.x (g, t), a.y (g + 8, t), a.z (g, t + 4),
 * a.w (g + 8, t + 4); of A [16, 8]: b.x (pair t, row g), b.y (t + 4, g); of the sums [16, 8]: c.x (g, 2t), c.y (g, 2t + 1),
 * c.z (g + 8, 2t), c.w (g + 8, 2t + 1). (PTX ISA, matrix fragments for mma.m16n8k16 with .bf16.) */
#ifdef SC_MMA_EMULATE
#define UNROLL /* PoCL takes minutes over unrolled barriers */
#define FRAGMENT_WORDS(n_a, n_b) (4 * (n_a) + 2 * (n_b))
#define LANES_DECLARE(group, n_a, n_b) __local uint lanes[(group) * FRAGMENT_WORDS(n_a, n_b)];
#define LANES , lanes
#define LANES_PARAMETER , __local uint *lanes

static void multiply(float4 *sum, const uint4 *a, const uint2 *b, const uint n_a, const uint n_b, __local uint *lanes)
{
    const uint lane = get_local_id(0) % 32, words = FRAGMENT_WORDS(n_a, n_b);
    __local uint *warp = lanes + get_local_id(0) / 32 * 32 * words, *mine = warp + lane * words;
    for (uint i = 0; i < n_a; i++) {
        vstore4(a[i], i, mine);
    }
    for (uint j = 0; j < n_b; j++) {
        vstore2(b[j], j, mine + 4 * n_a);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = 0; i < n_a; i++) {
        for (uint j = 0; j < n_b; j++) {
            float c[4];
            vstore4(sum[i * n_b + j], 0, c);
            for (uint e = 0; e < 4; e++) {
                const uint column = lane / 4 + e / 2 * 8, row = lane % 4 * 2 + e % 2;
                for (uint pair = 0; pair < 8; pair++) {
                    const uint t = pair % 4, late = pair / 4;
                    const uint x = warp[(column % 8 * 4 + t) * words + 4 * i + column / 8 + 2 * late];
                    const uint y = warp[(row * 4 + t) * words + 4 * n_a + 2 * j + late];
                    c[e] = fma(as_float(x << 16), as_float(y << 16), c[e]);
                    c[e] = fma(as_float(x & 0xffff0000u), as_float(y & 0xffff0000u), c[e]);
                }
            }
            sum[i * n_b + j] = vload4(0, c);
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}

static void copy_quad(__local uint4 *to, __global const uint *from, const bool there)
{
    *to = there ? *(__global const uint4 *)from : (uint4)(0);
}
#define COPIES_COMMIT()
#define COPIES_WAIT()
#else
#define UNROLL _Pragma("unroll")
#define LANES_DECLARE(group, n_a, n_b)
#define LANES
#define LANES_PARAMETER

/* sum [n_a][n_b] += a [n_a] x b [n_b], 16 of k deep. */
static void multiply(float4 *sum, const uint4 *a, const uint2 *b, const uint n_a, const uint n_b)
{
    UNROLL
    for (uint i = 0; i < n_a; i++) {
        UNROLL
        for (uint j = 0; j < n_b; j++) {
            float c0 = sum[i * n_b + j].x, c1 = sum[i * n_b + j].y, c2 = sum[i * n_b + j].z, c3 = sum[i * n_b + j].w;
            ASM("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                "{%0, %1, %2, %3};"
                : "+f"(c0), "+f"(c1), "+f"(c2), "+f"(c3)
                : "r"(a[i].x), "r"(a[i].y), "r"(a[i].z), "r"(a[i].w), "r"(b[j].x), "r"(b[j].y));
            sum[i * n_b + j] = (float4)(c0, c1, c2, c3);
        }
    }
}

/* Sixteen bytes to local memory, not waited for; zeros where there is nothing. */
static void copy_quad(__local uint4 *to, __global const uint *from, const bool there)
{
    ASM("cp.async.cg.shared.global [%0], [%1], 16, %2;"
        :
        : "l"((ulong)(size_t)to), "l"((ulong)(size_t)from), "r"(there ? 16u : 0u)
        : "memory");
}
#define COPIES_COMMIT() ASM("cp.async.commit_group;" : : : "memory")
#define COPIES_WAIT() ASM("cp.async.wait_group 1;" : : : "memory") /* all but the last group */
#endif

/* Operand fragments from the four columns 4g .. 4g + 3 of a panel at two pairs of k: columns 4g, 4g + 1 are g and g + 8 of the
 * first fragment, 4g + 2 and 4g + 3 of the second. */
static void weight_fragments(uint4 *a, const uint4 early, const uint4 late)
{
    a[0] = (uint4)(early.x, early.y, late.x, late.y);
    a[1] = (uint4)(early.z, early.w, late.z, late.w);
}

/* The four columns of a panel that a lane has for its row 2t (odd 0) or 2t + 1 (odd 1) of a group of eight. */
static float4 columns_of(const float4 first, const float4 second, const uint odd)
{
    return odd ? (float4)(first.y, first.w, second.y, second.w) : (float4)(first.x, first.z, second.x, second.z);
}

/* ---- what becomes of the sums ---- */

static void put(__global float *c, const float x, const uint mode)
{
    *c = mode == SC_GEMM_ADD ? *c + x : x;
}

/* Four neighbouring columns of a row of C; `aligned`: C's rows begin at multiples of 16 bytes. */
static void put_quad(__global float *row, const float4 x, const uint column, const uint n, const uint mode, const bool aligned)
{
    __global float *to = row + column;
    if (aligned && column + 4 <= n) {
        __global float4 *quad = (__global float4 *)to;
        *quad = mode == SC_GEMM_ADD ? *quad + x : x;
        return;
    }
    if (column < n) {
        put(to, x.x, mode);
    }
    if (column + 1 < n) {
        put(to + 1, x.y, mode);
    }
    if (column + 2 < n) {
        put(to + 2, x.z, mode);
    }
    if (column + 3 < n) {
        put(to + 3, x.w, mode);
    }
}

static float4 silu_quad(const float4 x)
{
    return (float4)(sc_silu(x.x), sc_silu(x.y), sc_silu(x.z), sc_silu(x.w));
}

/* ---- many rows ---- */

#define GROUP (64 * MMA_ROW_WARPS)
#define GROUP_PANELS (2 * MMA_PANELS)
#define GROUP_ROWS (WARP_ROWS * MMA_ROW_WARPS)
#define STAGES 3
#define STAGE_WEIGHTS (GROUP_PANELS * PANEL_QUADS)
#define STAGE_QUADS (STAGE_WEIGHTS + GROUP_ROWS * ROW_QUADS)
#define SUMS (2 * MMA_PANELS * ROW_TILES)

/* Four columns of one row: i counts panels, row tiles, even and odd. */
static float4 quad_of(const float4 *total, const uint i, const uint panel, __global const float *bias, const uint g)
{
    const float4 *first = total + i / (2 * ROW_TILES) * 2 * ROW_TILES + i % (2 * ROW_TILES) / 2;
    const float4 x = columns_of(first[0], first[ROW_TILES], i % 2);
    return bias ? x + *(__global const float4 *)(bias + panel * SC_PANEL + 4 * g) : x;
}

/* One step's weights and rows on their way to local memory. Pieces of a panel are exchanged within a pair's 128 bytes, so
 * that the eight lanes that read together meet all banks. */
static void stage(__local uint4 *to, __global const uint *weights, __global const uint *a, const uint step, const uint pairs,
                  const uint words, const uint n_panels, const uint n_rows)
{
    const uint lid = get_local_id(0);
    UNROLL
    for (uint i = 0; i < STAGE_WEIGHTS; i += GROUP) {
        const uint panel = (i + lid) / PANEL_QUADS, pair = lid / 8 % STEP_PAIRS, quad = lid % 8, at = step * STEP_PAIRS + pair;
        const bool there = panel < n_panels && at < pairs;
        copy_quad(to + panel * PANEL_QUADS + pair * 8 + (quad ^ pair / 4 * 2),
                  weights + (there ? ((size_t)panel * pairs + at) * SC_PANEL + quad * 4 : 0), there);
    }
    to += STAGE_WEIGHTS;
    UNROLL
    for (uint i = 0; i < GROUP_ROWS * ROW_QUADS; i += GROUP) {
        const uint row = (i + lid) / ROW_QUADS, at = step * STEP_PAIRS + lid % ROW_QUADS * 4;
        const bool there = row < n_rows && at < words;
        copy_quad(to + i + lid, a + (there ? (size_t)row * words + at : 0), there);
    }
}

__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void
gemm_mma(__global const uint *a, __global const uint *weights, __global const float *bias, __global float *c, const uint m,
         const uint n, const uint k, const uint words, const uint stride, const uint mode, const uint panel_first,
         const uint n_panels)
{
    __local uint4 staged[STAGES * STAGE_QUADS];
    LANES_DECLARE(GROUP, 2 * MMA_PANELS, ROW_TILES)
    const uint lid = get_local_id(0), warp = lid / 32, g = lid % 32 / 4, t = lid % 4;
    const uint row_first = get_group_id(0) * GROUP_ROWS, here = get_group_id(1) * GROUP_PANELS;
    const uint warp_panel = warp % 2 * MMA_PANELS, warp_row = warp / 2 * WARP_ROWS;
    const uint pairs = (k + 1) / 2, n_steps = (pairs + STEP_PAIRS - 1) / STEP_PAIRS;
    weights += (size_t)here * pairs * SC_PANEL;
    a += (size_t)row_first * words;
    float4 total[SUMS], chain[SUMS];
    UNROLL
    for (uint i = 0; i < SUMS; i++) {
        total[i] = 0.0f;
        chain[i] = 0.0f;
    }
    for (uint step = 0; step < STAGES - 1; step++) {
        stage(staged + step * STAGE_QUADS, weights, a, step, pairs, words, n_panels - here, m - row_first);
        COPIES_COMMIT();
    }
    for (uint step = 0; step < n_steps; step++) {
        COPIES_WAIT();
        barrier(CLK_LOCAL_MEM_FENCE);
        stage(staged + (step + STAGES - 1) % STAGES * STAGE_QUADS, weights, a, step + STAGES - 1, pairs, words,
              n_panels - here, m - row_first);
        COPIES_COMMIT();
        __local const uint4 *panel = staged + step % STAGES * STAGE_QUADS;
        __local const uint4 *rows = panel + STAGE_WEIGHTS + (warp_row + g) * ROW_QUADS + t;
        panel += warp_panel * PANEL_QUADS + t * 32 + (g ^ t * 2);
        uint4 x[ROW_TILES];
        UNROLL
        for (uint r = 0; r < ROW_TILES; r++) {
            x[r] = rows[r * 8 * ROW_QUADS];
        }
        UNROLL
        for (uint half_step = 0; half_step < 2; half_step++) {
            uint4 w[2 * MMA_PANELS];
            uint2 b[ROW_TILES];
            UNROLL
            for (uint p = 0; p < MMA_PANELS; p++) {
                __local const uint4 *quad = panel + p * PANEL_QUADS + half_step * 16;
                weight_fragments(w + 2 * p, quad[0], quad[8]);
            }
            UNROLL
            for (uint r = 0; r < ROW_TILES; r++) {
                b[r] = half_step ? x[r].zw : x[r].xy;
            }
            multiply(chain, w, b, 2 * MMA_PANELS, ROW_TILES LANES);
        }
        if (step % CHUNK_STEPS == CHUNK_STEPS - 1 || step + 1 == n_steps) {
            UNROLL
            for (uint i = 0; i < SUMS; i++) {
                total[i] = step < CHUNK_STEPS ? chain[i] : total[i] + chain[i];
                chain[i] = 0.0f;
            }
        }
    }
    /* gate columns are with g < 4, up columns with g >= 4: they meet in local memory, by warp: [panel][row tile][odd][lane] */
    __local float4 *ups = (__local float4 *)staged + warp * (MMA_PANELS * ROW_TILES * 2 * 16) + lid % 16;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (mode == SC_GEMM_SWIGLU && g >= 4) {
        UNROLL
        for (uint i = 0; i < 2 * MMA_PANELS * ROW_TILES; i++) {
            const uint p = i / (2 * ROW_TILES);
            ups[i * 16] = quad_of(total, i, panel_first + here + warp_panel + p, here + warp_panel + p < n_panels ? bias : 0, g);
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    UNROLL
    for (uint i = 0; i < 2 * MMA_PANELS * ROW_TILES; i++) {
        const uint panel = here + warp_panel + i / (2 * ROW_TILES), row = row_first + warp_row + i % (2 * ROW_TILES) / 2 * 8 + 2 * t + i % 2;
        if (row < m && panel < n_panels && (mode != SC_GEMM_SWIGLU || g < 4)) {
            const float4 x = quad_of(total, i, panel_first + panel, bias, g);
            put_quad(c + (size_t)row * stride, mode == SC_GEMM_SWIGLU ? silu_quad(x) * ups[i * 16] : x,
                     (panel_first + panel) * (mode == SC_GEMM_SWIGLU ? 16 : SC_PANEL) + 4 * g,
                     mode == SC_GEMM_SWIGLU ? n / 2 : n, mode, stride % 4 == 0);
        }
    }
}

/* ---- few rows ---- */

#define SKINNY_GROUP 128
#define SKINNY_STEPS 4 /* steps whose weights are asked for together */

/* Eight values of k of a row as four words, zeros past `k`. */
static uint4 round_eight(__global const float *row, const uint at, const uint k)
{
    if (k % 4 == 0 && at + 8 <= k) {
        const float4 low = *(__global const float4 *)(row + at), high = *(__global const float4 *)(row + at + 4);
        return (uint4)(sc_bf16_pair(low.x, low.y), sc_bf16_pair(low.z, low.w), sc_bf16_pair(high.x, high.y), sc_bf16_pair(high.z, high.w));
    }
    uint4 pairs;
    pairs.x = sc_bf16_pair(at < k ? row[at] : 0.0f, at + 1 < k ? row[at + 1] : 0.0f);
    pairs.y = sc_bf16_pair(at + 2 < k ? row[at + 2] : 0.0f, at + 3 < k ? row[at + 3] : 0.0f);
    pairs.z = sc_bf16_pair(at + 4 < k ? row[at + 4] : 0.0f, at + 5 < k ? row[at + 5] : 0.0f);
    pairs.w = sc_bf16_pair(at + 6 < k ? row[at + 6] : 0.0f, at + 7 < k ? row[at + 7] : 0.0f);
    return pairs;
}

/* SKINNY_STEPS steps of a lane from the pair `begin` on: their weights together, then each group of eight rows. Inlined by
 * order: a call would keep `chain` in memory. */
static inline __attribute__((always_inline)) void
skinny_steps(float4 *chain, __global const uint4 *from, __global const float *a, const uint begin, const uint pairs,
             const uint n_rows, const uint k, const uint g LANES_PARAMETER)
{
    uint4 w[SKINNY_STEPS][4];
    UNROLL
    for (uint s = 0; s < SKINNY_STEPS; s++) {
        UNROLL
        for (uint j = 0; j < 4; j++) {
            const uint pair = begin + s * STEP_PAIRS + j;
            w[s][j] = pair < pairs ? from[(size_t)pair * 8 + g] : (uint4)(0);
        }
    }
    UNROLL
    for (uint r = 0; r < ROW_TILES; r++) {
        if (r * 8 < n_rows) {
            const uint row = r * 8 + g;
            UNROLL
            for (uint s = 0; s < SKINNY_STEPS; s++) {
                const uint at = 2 * (begin + s * STEP_PAIRS);
                const uint4 x = row < n_rows ? round_eight(a + (size_t)row * k, at, k) : (uint4)(0);
                uint4 fragments[2];
                uint2 b = x.xy;
                weight_fragments(fragments, w[s][0], w[s][1]);
                multiply(chain + 2 * r, fragments, &b, 2, 1 LANES);
                b = x.zw;
                weight_fragments(fragments, w[s][2], w[s][3]);
                multiply(chain + 2 * r, fragments, &b, 2, 1 LANES);
            }
        }
    }
}

/* Rows `warp`, `warp` + 4, .. of column `lane`; `sums`: the columns beside it where gate and up meet. */
static void skinny_put(__global float *c, const float *total, __local float (*sums)[SC_PANEL + 4], const uint n,
                       const uint n_rows, const uint stride, const uint mode, const uint panel)
{
    const uint warp = get_local_id(0) / 32, lane = get_local_id(0) % 32;
    const uint column = mode == SC_GEMM_SWIGLU ? panel * 16 + lane : panel * SC_PANEL + lane;
    const bool mine = mode == SC_GEMM_SWIGLU ? lane < 16 && column < n / 2 : column < n;
    UNROLL
    for (uint i = 0; i < WARP_ROWS / 4; i++) {
        const uint row = 4 * i + warp;
        if (row < n_rows && mine) {
            __global float *to = c + (size_t)row * stride + column;
            if (mode == SC_GEMM_SWIGLU) {
                *to = sc_silu(total[i]) * sums[row][(lane + 16) % SC_PANEL];
            } else {
                put(to, total[i], mode);
            }
        }
    }
}

__kernel __attribute__((reqd_work_group_size(SKINNY_GROUP, 1, 1))) void
gemm_mma_skinny(__global const float *a, __global const uint *weights, __global const float *bias, __global float *c,
                const uint m, const uint n, const uint k, const uint stride, const uint mode, const uint panel_first)
{
    __local float sums[4][WARP_ROWS][SC_PANEL + 4];
    LANES_DECLARE(SKINNY_GROUP, 2, 1)
    const uint lid = get_local_id(0), warp = lid / 32, lane = lid % 32, g = lane / 4, t = lane % 4;
    const uint row_first = get_group_id(0) * SC_MMA_SKINNY_ROWS, n_rows = min((uint)SC_MMA_SKINNY_ROWS, m - row_first);
    const uint pairs = (k + 1) / 2, n_chunks = (k + SC_CHUNK - 1) / SC_CHUNK, panel = panel_first + get_group_id(1);
    __global const uint4 *from = (__global const uint4 *)(weights + (size_t)get_group_id(1) * pairs * SC_PANEL);
    a += (size_t)row_first * k;
    float total[WARP_ROWS / 4]; /* of rows `warp`, `warp` + 4, .. and column `lane` */
    UNROLL
    for (uint i = 0; i < WARP_ROWS / 4; i++) {
        total[i] = 0.0f;
    }
    for (uint round = 0; round < n_chunks; round += 4) {
        float4 chain[2 * ROW_TILES];
        UNROLL
        for (uint i = 0; i < 2 * ROW_TILES; i++) {
            chain[i] = 0.0f;
        }
        const uint begin = (round + warp) * (SC_CHUNK / 2) + 4 * t; /* pair */
        for (uint step = 0; step < CHUNK_STEPS; step += SKINNY_STEPS) {
            skinny_steps(chain, from, a, begin + step * STEP_PAIRS, pairs, n_rows, k, g LANES);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        UNROLL
        for (uint r = 0; r < ROW_TILES; r++) {
            UNROLL
            for (uint odd = 0; odd < 2; odd++) {
                *(__local float4 *)&sums[warp][r * 8 + 2 * t + odd][4 * g] = columns_of(chain[2 * r], chain[2 * r + 1], odd);
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        const uint here = min(4u, n_chunks - round);
        UNROLL
        for (uint i = 0; i < WARP_ROWS / 4; i++) {
            for (uint s = 0; s < here; s++) {
                const float x = sums[s][4 * i + warp][lane];
                total[i] = round + s == 0 ? x : total[i] + x;
            }
        }
    }
    const float shift = bias ? bias[panel * SC_PANEL + lane] : 0.0f;
    UNROLL
    for (uint i = 0; i < WARP_ROWS / 4; i++) {
        total[i] = bias ? total[i] + shift : total[i];
    }
    if (mode == SC_GEMM_SWIGLU) {
        barrier(CLK_LOCAL_MEM_FENCE);
        UNROLL
        for (uint i = 0; i < WARP_ROWS / 4; i++) {
            sums[0][4 * i + warp][lane] = total[i];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    skinny_put(c + (size_t)row_first * stride, total, sums[0], n, n_rows, stride, mode, panel);
}

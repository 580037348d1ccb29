/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perturb_blocks: what rows_law leaves of each block, and from the same reading of the logits [N, V] the sums behind
 * perturbed laws.
 *
 * Per row r and block b of the pass, weights w_v = e^{l_v - m_b}, 0 where l_v = -inf (logits below 2^-100 as well):
 *   tempered [R, n_blocks, n_temperatures]   sum_v e^{(l_v - m_b) / T}
 *   biased   [R, n_blocks, n_biases]         sum_v w_v bias_v,
 *            bias [n_biases, n_blocks * SC_ROWS_BLOCK] = e^{b - max b}
 * and per chunk of SC_PERTURB_CHUNK blocks the mass of each class relative to `anchor` and `octaves`:
 *   masses   LSZ 1: [R / group_rows, n_chunks, n_classes, SC_PERTURB_ROWS]; else [R, n_chunks, 2, n_classes]
 *            class_of [n_blocks * SC_ROWS_BLOCK], one map or one per row
 *
 * Work-groups: LSZ 1: an item takes group_rows rows through a chunk, so that bias vectors are read once for all of
 * them; weights pass through tiles in the second-level cache. LSZ > 1: a group takes one row through a chunk in
 * registers; masses are 64-bit integers of two scales, added by atomics: exact, so of no order.
 *
 * Floors on a CPU with 512-bit vectors on units of 256 bits, cycles per 16 logits: 9.5 for the law (rows.cl), 4 per
 * temperature (tempered.h), 1 per dense bias (a product), and per class map 4 for the transposition and 6 to 8 for the
 * sums (two conversions, two products, two loads and two stores of 64 bytes a token of sixteen rows).
 *
 * Chunks and blocks are cut the same way whatever the batch is: no result depends on it.
 * Precision: fp32 within a block (sums of at most 64 per lane), masses in double. C reference:
 * host/device/perturb_reference.c. perturb_merge.cl makes rows of this.
 */
#include "exp2.h"
#include "rows_block.h"
#include "tempered.h"
#if LSZ == 1
#include "perturb_tiles.h"
#endif

#if LSZ > 1
#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable
typedef ulong mass_t;
#else
typedef double mass_t;
#endif

#define PERTURB_ARGS                                                                                                   \
    __global const logit_t *restrict logits, const sc_rows_shape shape, const sc_perturb_shape extra,                  \
        __global const int *restrict target, __global float *restrict out_max, __global ulong *restrict out_part,      \
        __global float *restrict out_moment, __global int *restrict out_rank, const uint first_row,                    \
        __global const float2 *restrict temperature, __global float *restrict tempered,                                \
        __global const float *restrict bias, __global float *restrict biased,                                          \
        __global const ushort *restrict class_of, __global mass_t *restrict masses, __global float *restrict anchor,   \
        __global int *restrict octaves

/* The weight as it enters sums that a bias may favour: nothing is left of what was cut. */
static inline FLOATV alive(FLOATV w, FLOATV d, float lowest)
{
    return d > (FLOATV)(lowest) ? w : (FLOATV)(0.0f);
}

#if LSZ == 1

/* A block of the row whose maximum is known, its weights into `tile`; the maximum of the whole block at `next` beside
 * it. The same numbers as whole_block and short_block of rows.cl. */
static inline float take_block(__global const logit_t *p, uint n, __global const logit_t *next, float *next_max,
                               float reference, float c, float lowest, const int with_moment, const int with_tile,
                               const int with_next, ulong *sums, FLOATV *tile)
{
    FLOATV moment = (FLOATV)(0.0f), m = (FLOATV)(-INFINITY);
    for (uint part = 0; part < SC_ROWS_PARTS; part++) {
        UINTV coarse = COARSE_START(PART_VECTORS), fine = FINE_START(PART_VECTORS);
        for (uint i = part * SC_ROWS_PART; i < (part + 1) * SC_ROWS_PART; i += TOGETHER * VW) {
            FLOATV d[TOGETHER], w[TOGETHER];
            EACH(k)
            {
                AHEAD(next + i + k * VW + 2 * SC_ROWS_PART, 3);
                if (with_next) {
                    const FLOATV y = LOADV(next, i + k * VW);
                    m = y > m ? y : m;
                }
            }
            EACH(k)
            {
                d[k] = below(LOADV(p, i + k * VW), reference, lowest);
            }
            weigh(d, c, w, &coarse, &fine);
            EACH(k)
            {
                moment = with_moment ? fma(w[k], d[k], moment) : moment + w[k];
            }
            if (with_tile) {
                EACH(k)
                {
                    tile[(i / VW + k) * SC_PERTURB_ROWS] = alive(w[k], d[k], lowest);
                }
            }
        }
        sums[part] = part_sum(CAT(as_, INTV)(coarse), CAT(as_, INTV)(fine));
    }
    if (with_next) {
        *next_max = greatest(m);
    }
    return fold_float(moment);
}

static inline void tile_short(__global const logit_t *p, uint n, float reference, float c, float lowest, FLOATV *tile)
{
    for (uint i = 0; i < SC_ROWS_BLOCK; i += VW) {
        const FLOATV d = i < n ? below(load_any(p, i, n), reference, lowest) : (FLOATV)(lowest);
        tile[i / VW * SC_PERTURB_ROWS] = alive(weight_v(d, c), d, lowest);
    }
}

/* Sums of a block at 8, 4, 2 or 1 temperatures with one limit below which a logit is cut. Beside it the maximum of the
 * whole block at `next` (NULL: none), so that it comes from memory while there is work. */
#define TEMPER_CUT(d, logits)                                                                                          \
    FLOATV d = (logits) - (FLOATV)(reference);                                                                         \
    d = d < (FLOATV)(lowest) ? (FLOATV)(lowest) : d;
#define TEMPER_VECTOR(logits, count)                                                                                   \
    {                                                                                                                  \
        TEMPER_CUT(d, logits)                                                                                          \
        __attribute__((opencl_unroll_hint(count))) for (uint k = 0; k < count; k++)                                    \
        {                                                                                                              \
            ADD_TEMPERED(s[k], d, c[k])                                                                                \
        }                                                                                                              \
    }
/* Two vectors for each temperature in turn: independent work stands close together. */
#define TEMPER_TWO(i, count)                                                                                           \
    {                                                                                                                  \
        TEMPER_CUT(d, LOADV(p, i))                                                                                     \
        TEMPER_CUT(e, LOADV(p, (i) + VW))                                                                              \
        __attribute__((opencl_unroll_hint(count))) for (uint k = 0; k < count; k++)                                    \
        {                                                                                                              \
            ADD_TEMPERED(s[k], d, c[k])                                                                                \
            ADD_TEMPERED(s[k], e, c[k])                                                                                \
        }                                                                                                              \
    }
#define DEFINE_TEMPER(name, count)                                                                                     \
    static inline void name(__global const logit_t *p, uint n, __global const logit_t *next, float *next_max,          \
                            float reference, __global const float2 *temperature, __global float *out)                  \
    {                                                                                                                  \
        const float lowest = temperature[0].y;                                                                         \
        float c[count];                                                                                                \
        FLOATV s[count];                                                                                               \
        __attribute__((opencl_unroll_hint(count))) for (uint k = 0; k < count; k++)                                    \
        {                                                                                                              \
            c[k] = temperature[k].x;                                                                                   \
            s[k] = (FLOATV)(0.0f);                                                                                     \
        }                                                                                                              \
        uint i = 0;                                                                                                    \
        if (next) {                                                                                                    \
            FLOATV m = (FLOATV)(-INFINITY);                                                                            \
            for (; i < SC_ROWS_BLOCK; i += 2 * VW) {                                                                   \
                const FLOATV y = LOADV(next, i), z = LOADV(next, i + VW);                                              \
                m = y > m ? y : m;                                                                                     \
                m = z > m ? z : m;                                                                                     \
                TEMPER_TWO(i, count)                                                                                   \
            }                                                                                                          \
            *next_max = greatest(m);                                                                                   \
        } else {                                                                                                       \
            for (; i + 2 * VW <= n; i += 2 * VW) {                                                                     \
                TEMPER_TWO(i, count)                                                                                   \
            }                                                                                                          \
            if (i + VW <= n) {                                                                                         \
                TEMPER_VECTOR(LOADV(p, i), count)                                                                      \
                i += VW;                                                                                               \
            }                                                                                                          \
            if (i < n) {                                                                                               \
                TEMPER_VECTOR(load_tail(p, i, n - i), count)                                                           \
            }                                                                                                          \
        }                                                                                                              \
        __attribute__((opencl_unroll_hint(count))) for (uint k = 0; k < count; k++)                                    \
        {                                                                                                              \
            out[k] = fold_float(s[k]);                                                                                 \
        }                                                                                                              \
    }
DEFINE_TEMPER(temper_one, 1)
DEFINE_TEMPER(temper_two, 2)
DEFINE_TEMPER(temper_four, 4)
DEFINE_TEMPER(temper_eight, 8)

/* Temperatures rise; those that share a limit stand together. */
static inline void temper_block(__global const logit_t *p, uint n, __global const logit_t *next, float *next_max,
                                float reference, __global const float2 *temperature, uint n_temperatures,
                                __global float *out)
{
    for (uint t = 0, step; t < n_temperatures; t += step) {
        __global const float2 *at = temperature + t;
        __global const logit_t *beside = t == 0 ? next : 0;
        const uint left = n_temperatures - t;
        if (left >= 8 && at[0].y == at[7].y) {
            step = 8;
            temper_eight(p, n, beside, next_max, reference, at, out + t);
        } else if (left >= 4 && at[0].y == at[3].y) {
            step = 4;
            temper_four(p, n, beside, next_max, reference, at, out + t);
        } else if (left >= 2 && at[0].y == at[1].y) {
            step = 2;
            temper_two(p, n, beside, next_max, reference, at, out + t);
        } else {
            step = 1;
            temper_one(p, n, beside, next_max, reference, at, out + t);
        }
    }
}

static inline void rank_block(__global const logit_t *q, uint n, uint first, float logit, int t, __global int *out)
{
    INTV count = (INTV)(0);
    for (uint i = 0; t >= 0 && i < n; i += VW) {
        count -= before_target(load_any(q, i, n), first + i, logit, t);
    }
    *out = fold_int(count);
}

#define TAKE(with_tile, with_next)                                                                                     \
    (extra.with_moment                                                                                                 \
         ? take_block(q, n, next, next_max, relative, shape.c, shape.lowest, 1, with_tile, with_next, sums, tile)      \
         : take_block(q, n, next, next_max, relative, shape.c, shape.lowest, 0, with_tile, with_next, sums, tile))

/* Any block of `n` logits at q: its maximum at `m` (of a whole block in *next_max already) and its sums; returns its
 * moment. */
static inline float take_any(__global const logit_t *q, uint n, const int whole, __global const logit_t *next,
                             float *next_max, const sc_rows_shape shape, const sc_perturb_shape extra,
                             const int with_tile, float *m, ulong *sums, FLOATV *tile)
{
    *m = whole ? *next_max : block_max(q, n);
    const float relative = *m == -INFINITY ? 0.0f : *m;
    if (whole) {
        return with_tile ? TAKE(1, 1) : extra.n_tempered == 0 ? TAKE(0, 1) : TAKE(0, 0);
    }
    if (with_tile) {
        tile_short(q, n, relative, shape.c, shape.lowest, tile);
    }
    return short_block(q, n, relative, shape.c, shape.lowest, sums);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void perturb_blocks(PERTURB_ARGS)
{
    const uint group = (uint)get_global_id(0) / extra.n_chunks, chunk = (uint)get_global_id(0) % extra.n_chunks;
    const uint first = group * extra.group_rows, n_rows = min(extra.group_rows, shape.n_rows - first);
    const uint b0 = chunk * SC_PERTURB_CHUNK, b1 = min(b0 + SC_PERTURB_CHUNK, shape.n_blocks);
    const uint n_whole = shape.n_vocabulary / SC_ROWS_BLOCK;
    __global const logit_t *rows = logits + shape.offset + first * shape.stride;
    const ulong stride = (ulong)shape.n_blocks * SC_ROWS_BLOCK;
    const int with_tile = extra.n_biases > 0 || extra.n_classes > 0;
    FLOATV tiles[STRETCH * N_VECTORS * SC_PERTURB_ROWS];
    float maxima[STRETCH * SC_PERTURB_ROWS];
    float reference[SC_PERTURB_ROWS];
    __global double *sums_of = masses + (ulong)get_global_id(0) * extra.n_classes * SC_PERTURB_ROWS;
    for (ulong k = 0; k < extra.n_classes * SC_PERTURB_ROWS; k++) {
        sums_of[k] = 0.0;
    }
    if (with_tile) {
        clear_tiles(tiles, n_rows);
    }
    for (uint r = 0; r < n_rows; r++) {
        reference[r] = -INFINITY;
        if (b1 == shape.n_blocks) {
            pad_blocks(shape, (ulong)(first + r) * shape.n_padded, out_max, out_part, out_moment);
        }
    }
    float next_max = b0 < n_whole ? block_max(rows + b0 * SC_ROWS_BLOCK, SC_ROWS_BLOCK) : 0.0f;
    for (uint stretch = b0; stretch < b1; stretch += STRETCH) {
        const uint stretch_end = min(stretch + STRETCH, b1);
        for (uint i = 0; i < n_rows * (stretch_end - stretch); i++) {
            const uint r = i / (stretch_end - stretch), b = stretch + i % (stretch_end - stretch), row = first + r;
            const uint n = min(shape.n_vocabulary - b * SC_ROWS_BLOCK, (uint)SC_ROWS_BLOCK);
            const ulong base = (ulong)row * shape.n_padded;
            __global const logit_t *p = rows + r * shape.stride, *q = p + b * SC_ROWS_BLOCK;
            FLOATV *tile = tiles + (b - stretch) * N_VECTORS * SC_PERTURB_ROWS + r;
            ulong sums[SC_ROWS_PARTS];
            float m;
            const int whole = b < n_whole;
            __global const logit_t *next = q;
            if (whole) {
                next = b + 1 < min(stretch_end, n_whole) ? q + SC_ROWS_BLOCK
                       : r + 1 < n_rows                  ? p + shape.stride + stretch * SC_ROWS_BLOCK
                       : stretch_end < min(b1, n_whole)  ? rows + stretch_end * SC_ROWS_BLOCK
                                                         : q;
            }
            const float moment = take_any(q, n, whole, next, &next_max, shape, extra, with_tile, &m, sums, tile);
            out_max[base + b] = m;
            out_moment[base + b] = moment;
            for (uint part = 0; part < SC_ROWS_PARTS; part++) {
                out_part[base * SC_ROWS_PARTS + part * shape.n_padded + b] = sums[part];
            }
            if (extra.with_rank) {
                const int t = target[first_row + row];
                rank_block(q, n, b * SC_ROWS_BLOCK, t >= 0 ? LOAD(p, t) : 0.0f, t, out_rank + base + b);
            }
            if (extra.n_tempered > 0) {
                temper_block(q, n, !with_tile && whole ? next : 0, &next_max, m == -INFINITY ? 0.0f : m, temperature,
                             extra.n_tempered, tempered + ((ulong)row * shape.n_blocks + b) * extra.n_temperatures);
            }
            maxima[(b - stretch) * SC_PERTURB_ROWS + r] = m;
        }
        for (uint b = stretch; b < stretch_end; b++) {
            const FLOATV *tile = tiles + (b - stretch) * N_VECTORS * SC_PERTURB_ROWS;
            if (extra.n_classes > 0) {
                classify_tiles(tile, maxima + (b - stretch) * SC_PERTURB_ROWS, n_rows,
                               min(shape.n_vocabulary - b * SC_ROWS_BLOCK, (uint)SC_ROWS_BLOCK), shape.scale,
                               class_of + b * SC_ROWS_BLOCK + (first_row + first) * extra.class_stride,
                               extra.class_stride, extra.n_classes, sums_of, reference);
            }
            bias_tiles(tile, n_rows, bias + b * SC_ROWS_BLOCK, stride, extra.n_biases,
                       biased + ((ulong)first * shape.n_blocks + b) * extra.n_biases,
                       (ulong)shape.n_blocks * extra.n_biases);
        }
    }
    for (uint r = 0; r < n_rows; r++) {
        anchor[(ulong)(first + r) * extra.n_chunks + chunk] = reference[r];
        octaves[(ulong)(first + r) * extra.n_chunks + chunk] = 0;
    }
}

#else

/* Sums four numbers over the group; every item gets them. */
static inline float4 group_sum(float4 x, __local float4 *fours)
{
    const uint lid = (uint)get_local_id(0);
    fours[lid] = x;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint w = LSZ / 2; w >= 1; w /= 2) {
        if (lid < w) {
            fours[lid] += fours[lid + w];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    const float4 sum = fours[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    return sum;
}

static inline float tempered_sum(const FLOATV *x, float reference, float2 t)
{
    FLOATV s = (FLOATV)(0.0f);
    for (uint j = 0; j < N_VECTORS / LSZ; j++) {
        const FLOATV d = x[j] - (FLOATV)(reference);
        ADD_TEMPERED(s, d < (FLOATV)(t.y) ? (FLOATV)(t.y) : d, t.x)
    }
    return fold_float(s);
}

static inline float biased_sum(const FLOATV *w, __global const float *bias)
{
    const uint lid = (uint)get_local_id(0);
    FLOATV s = (FLOATV)(0.0f);
    for (uint j = 0; j < N_VECTORS / LSZ; j++) {
        s = fma(w[j], CAT(vload, VW)(0, bias + (j * LSZ + lid) * VW), s);
    }
    return fold_float(s);
}

/* Integer class masses relative to 2^octaves e^anchor: multiples of 2^-48 for weights of 2^-24 and more, of 2^-72 for
 * smaller ones. A block above the reference raises it and shifts what is there. */
static inline void classify_block(const FLOATV *w, uint n, float m, double scale, __global const ushort *class_of,
                                  uint n_classes, __global ulong *sums, float *anchor, int *octaves)
{
    const uint lid = (uint)get_local_id(0);
    if (m == -INFINITY) {
        return; /* the whole group */
    }
    if (*anchor == -INFINITY) {
        *anchor = m;
    }
    double x = ((double)m - (double)*anchor) * scale - *octaves;
    if (x > 0.0) {
        const int shift = x < 64.0 ? (int)ceil(x) : 64;
        for (uint k = lid; k < 2 * n_classes; k += LSZ) {
            sums[k] = shift < 64 ? sums[k] >> shift : 0;
        }
        barrier(CLK_GLOBAL_MEM_FENCE);
        *anchor = shift < 64 ? *anchor : m;
        *octaves = shift < 64 ? *octaves + shift : 0;
        x = shift < 64 ? x - shift : 0.0;
    }
    const float factor = x < -120.0 ? 0.0f : (float)exp2(x);
    for (uint j = 0; j < N_VECTORS / LSZ; j++) {
        float lane[VW];
        CAT(vstore, VW)(w[j] * factor, 0, lane);
        const uint i = (j * LSZ + lid) * VW;
        for (uint v = 0; v < VW && i + v < n; v++) {
            const int small = lane[v] < 0x1p-24f;
            const ulong q = convert_ulong_rte(lane[v] * (small ? 0x1p72f : 0x1p48f));
            if (q > 0) {
                atom_add(&sums[class_of[i + v] + (small ? n_classes : 0)], q);
            }
        }
    }
    barrier(CLK_GLOBAL_MEM_FENCE);
}

__kernel __attribute__((reqd_work_group_size(LSZ, 1, 1))) void perturb_blocks(PERTURB_ARGS)
{
    __local FLOATV lanes[LSZ];
    __local ulong sums[N_VECTORS];
    __local float4 fours[LSZ];
    const uint lid = (uint)get_local_id(0), row = (uint)get_group_id(0) / extra.n_chunks;
    const uint chunk = (uint)get_group_id(0) % extra.n_chunks;
    const uint b0 = chunk * SC_PERTURB_CHUNK, b1 = min(b0 + SC_PERTURB_CHUNK, shape.n_blocks);
    const ulong base = (ulong)row * shape.n_padded, cell = (ulong)row * extra.n_chunks + chunk;
    const ulong table = 2 * (ulong)extra.n_classes, stride = (ulong)shape.n_blocks * SC_ROWS_BLOCK;
    __global const logit_t *p = logits + shape.offset + row * shape.stride;
    float reference = -INFINITY;
    int raised = 0;
    for (ulong k = lid; k < table; k += LSZ) {
        masses[cell * table + k] = 0;
    }
    barrier(CLK_GLOBAL_MEM_FENCE);
    if (b1 == shape.n_blocks && lid == 0) {
        pad_blocks(shape, base, out_max, out_part, out_moment);
    }
    for (uint b = b0; b < b1; b++) {
        const uint n = min(shape.n_vocabulary - b * SC_ROWS_BLOCK, (uint)SC_ROWS_BLOCK);
        FLOATV x[N_VECTORS / LSZ];
        const float m = group_block(p, b, base, shape, extra.with_rank ? target[first_row + row] : -1, out_max,
                                    out_part, out_moment, out_rank, extra.with_moment, extra.with_rank, x, lanes, sums);
        const float relative = m == -INFINITY ? 0.0f : m;
        for (uint t = 0; t < extra.n_temperatures; t += 4) {
            const float4 s = group_sum(
                (float4)(tempered_sum(x, relative, temperature[t]), tempered_sum(x, relative, temperature[t + 1]),
                         tempered_sum(x, relative, temperature[t + 2]), tempered_sum(x, relative, temperature[t + 3])),
                fours);
            if (lid == 0) {
                vstore4(s, 0, tempered + ((ulong)row * shape.n_blocks + b) * extra.n_temperatures + t);
            }
        }
        if (extra.n_biases == 0 && extra.n_classes == 0) {
            continue;
        }
        for (uint j = 0; j < N_VECTORS / LSZ; j++) {
            const FLOATV d = below(x[j], relative, shape.lowest);
            x[j] = alive(weight_v(d, shape.c), d, shape.lowest);
        }
        __global const float *e = bias + b * SC_ROWS_BLOCK;
        for (uint k = 0; k < extra.n_biases; k += 4) {
            const float4 s =
                group_sum((float4)(biased_sum(x, e + k * stride), biased_sum(x, e + (k + 1) * stride),
                                   biased_sum(x, e + (k + 2) * stride), biased_sum(x, e + (k + 3) * stride)),
                          fours);
            if (lid == 0) {
                vstore4(s, 0, biased + ((ulong)row * shape.n_blocks + b) * extra.n_biases + k);
            }
        }
        if (extra.n_classes > 0) {
            classify_block(x, n, m, shape.scale, class_of + (first_row + row) * extra.class_stride + b * SC_ROWS_BLOCK,
                           extra.n_classes, masses + cell * table, &reference, &raised);
        }
    }
    if (lid == 0) {
        anchor[cell] = reference;
        octaves[cell] = raised;
    }
}

#endif

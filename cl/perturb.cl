/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perturb_blocks: what rows_law leaves of each block, and from the same reading of the logits [N, V] the sums behind
 * perturbed laws.
 *
 * Per row r and block b of the pass, weights w_v = e^{l_v - m_b}, 0 where l_v = -inf (logits below 2^-100 as well):
 *   tempered [R, n_blocks, n_temperatures]   sum_v e^{(l_v - m_b) / T}
 *   biased   [R, n_blocks, n_biases]         sum_v w_v bias_v, bias [n_biases, n_blocks * SC_ROWS_BLOCK] = e^{b - max b}
 * and per chunk of SC_PERTURB_CHUNK blocks the mass of each class relative to `anchor` and `octaves`:
 *   masses   [R, n_chunks, n_copies, n_classes], class_of [n_blocks * SC_ROWS_BLOCK], one map or one per row
 * Work-groups: LSZ 1: an item takes group_rows rows through a chunk, so that bias vectors are read once for all of them;
 * weights pass through an L1-sized tile. LSZ > 1: a group takes one row through a chunk in registers; masses are 64-bit
 * integers of two scales, added by atomics: exact, so of no order.
 * Chunks and blocks are cut the same way whatever the batch is: no result depends on it.
 * Precision: fp32 within a block (sums of at most 64 per lane), masses in double. C reference:
 * host/device/perturb_reference.c. perturb_merge.cl makes rows of this.
 */
#include "exp2.h"
#include "rows_block.h"

#if LSZ > 1
#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable
typedef ulong mass_t;
#else
typedef double mass_t;
#endif

#define PERTURB_ARGS                                                                                                  \
    __global const logit_t *restrict logits, const sc_rows_shape shape, const sc_perturb_shape extra,                 \
        __global const int *restrict target, __global float *restrict out_max, __global ulong *restrict out_part,     \
        __global float *restrict out_moment, __global int *restrict out_rank, const uint first_row,                   \
        __global const float2 *restrict temperature, __global float *restrict tempered,                               \
        __global const float *restrict bias, __global float *restrict biased,                                         \
        __global const ushort *restrict class_of, __global mass_t *restrict masses, __global float *restrict anchor,  \
        __global int *restrict octaves

/* Adds exp2(d c) to s. 2^n is made beside the polynomial: the magic number carries the exponent's offset. */
#define ADD_TEMPERED(s, d, c, lowest)                                                                                 \
    {                                                                                                                 \
        const FLOATV d_ = (d) < (FLOATV)(lowest) ? (FLOATV)(lowest) : (d), magic_ = (FLOATV)(0x1.8p23f + 127.0f);     \
        const FLOATV n_ = fma(d_, (FLOATV)(c), magic_), f_ = fma(d_, (FLOATV)(c), magic_ - n_);                       \
        FLOATV p_ = fma((FLOATV)(0x1.5bba14p-10f), f_, (FLOATV)(0x1.3cea88p-7f));                                     \
        p_ = fma(p_, f_, (FLOATV)(0x1.c6b752p-5f));                                                                   \
        p_ = fma(p_, f_, (FLOATV)(0x1.ebf9bcp-3f));                                                                   \
        p_ = fma(p_, f_, (FLOATV)(0x1.62e42ap-1f));                                                                   \
        p_ = fma(p_, f_, (FLOATV)(1.0f));                                                                             \
        s = fma(CAT(as_, FLOATV)(CAT(as_, INTV)(n_) << 23), p_, s);                                                   \
    }

/* The weight as it enters sums that a bias may favour: nothing is left of what was cut. */
inline FLOATV alive(FLOATV w, FLOATV d, float lowest)
{
    return d > (FLOATV)(lowest) ? w : (FLOATV)(0.0f);
}

#if LSZ == 1

SC_DEFINE_EXP2(double, exp2_reduced)

/* A block of the row whose maximum is known, its weights into `tile`; the maximum of the whole block at `next` beside
 * it. The same numbers as whole_block and short_block of rows.cl. */
inline float take_block(__global const logit_t *p, uint n, __global const logit_t *next, float *next_max,
                        float reference, float c, float lowest, const int with_moment, const int with_tile, ulong *sums,
                        float *tile)
{
    FLOATV moment = (FLOATV)(0.0f), m = (FLOATV)(-INFINITY);
    for (uint part = 0; part < SC_ROWS_PARTS; part++) {
        INTV coarse = (INTV)(0), fine = (INTV)(0);
        for (uint k = 0; k < PART_VECTORS; k++) {
            const uint i = part * SC_ROWS_PART + k * VW;
            const FLOATV y = LOADV(next, i);
            m = y > m ? y : m;
            const FLOATV d = below(LOADV(p, i), reference, lowest), w = weight_v(d, c);
            quantize(w, &coarse, &fine);
            moment = with_moment ? fma(w, d, moment) : moment + w;
            if (with_tile) {
                CAT(vstore, VW)(alive(w, d, lowest), 0, tile + i);
            }
        }
        sums[part] = part_sum(coarse, fine);
    }
    *next_max = greatest(m);
    return fold_float(moment);
}

inline void tile_short(__global const logit_t *p, uint n, float reference, float c, float lowest, float *tile)
{
    for (uint i = 0; i < SC_ROWS_BLOCK; i += VW) {
        const FLOATV d = i < n ? below(load_any(p, i, n), reference, lowest) : (FLOATV)(lowest);
        CAT(vstore, VW)(alive(weight_v(d, c), d, lowest), 0, tile + i);
    }
}

inline void temper_block(__global const logit_t *p, uint n, float reference, __global const float2 *temperature,
                         uint n_temperatures, __global float *out)
{
    for (uint t = 0; t < n_temperatures; t += SC_PERTURB_TEMPERED) {
        const float2 a = temperature[t], b = temperature[t + 1], c = temperature[t + 2], e = temperature[t + 3];
        FLOATV sa = (FLOATV)(0.0f), sb = sa, sc = sa, se = sa;
        uint i = 0;
        for (; i + VW <= n; i += VW) {
            const FLOATV d = LOADV(p, i) - (FLOATV)(reference);
            ADD_TEMPERED(sa, d, a.x, a.y)
            ADD_TEMPERED(sb, d, b.x, b.y)
            ADD_TEMPERED(sc, d, c.x, c.y)
            ADD_TEMPERED(se, d, e.x, e.y)
        }
        if (i < n) {
            const FLOATV d = load_tail(p, i, n - i) - (FLOATV)(reference);
            ADD_TEMPERED(sa, d, a.x, a.y)
            ADD_TEMPERED(sb, d, b.x, b.y)
            ADD_TEMPERED(sc, d, c.x, c.y)
            ADD_TEMPERED(se, d, e.x, e.y)
        }
        out[t] = fold_float(sa);
        out[t + 1] = fold_float(sb);
        out[t + 2] = fold_float(sc);
        out[t + 3] = fold_float(se);
    }
}

inline void rank_block(__global const logit_t *q, uint n, uint first, float logit, int t, __global int *out)
{
    INTV count = (INTV)(0);
    for (uint i = 0; t >= 0 && i < n; i += VW) {
        count -= before_target(load_any(q, i, n), first + i, logit, t);
    }
    *out = fold_int(count);
}

/* Sums of four rows (tiles) with four biases. */
inline void bias_four(const float *w0, const float *w1, const float *w2, const float *w3, __global const float *e,
                      ulong stride, float *out)
{
    FLOATV s[16];
    __attribute__((opencl_unroll_hint(16))) for (uint j = 0; j < 16; j++) {
        s[j] = (FLOATV)(0.0f);
    }
    for (uint i = 0; i < SC_ROWS_BLOCK; i += VW) {
        const FLOATV a = CAT(vload, VW)(0, w0 + i), b = CAT(vload, VW)(0, w1 + i);
        const FLOATV c = CAT(vload, VW)(0, w2 + i), d = CAT(vload, VW)(0, w3 + i);
        __attribute__((opencl_unroll_hint(4))) for (uint p = 0; p < 4; p++) {
            const FLOATV x = CAT(vload, VW)(0, e + p * stride + i);
            s[p] = fma(a, x, s[p]);
            s[4 + p] = fma(b, x, s[4 + p]);
            s[8 + p] = fma(c, x, s[8 + p]);
            s[12 + p] = fma(d, x, s[12 + p]);
        }
    }
    __attribute__((opencl_unroll_hint(16))) for (uint j = 0; j < 16; j++) {
        out[j] = fold_float(s[j]);
    }
}

/* Weights of one block into the row's class masses, relative to *reference (-inf before the first). */
inline void classify_block(const float *tile, uint n, float m, double scale, __global const ushort *class_of,
                           uint n_classes, uint n_copies, __global double *sums, float *reference)
{
    if (m == -INFINITY) {
        return;
    }
    if (*reference == -INFINITY) {
        *reference = m;
    }
    double x = ((double)m - (double)*reference) * scale;
    if (x > 500.0) { /* a reference that cannot hold this block */
        const double shrink = x < 1000.0 ? exp2(-x) : 0.0;
        for (uint k = 0; k < n_copies * n_classes; k++) {
            sums[k] *= shrink;
        }
        *reference = m;
        x = 0.0;
    }
    const double whole = rint(x);
    const double factor = x < SC_PERTURB_CUT ? 0.0 : exp2_reduced(x - whole) * as_double(((long)whole + 1023) << 52);
    __global double *s0 = sums, *s1 = sums + (n_copies == 1 ? 0 : n_classes);
    __global double *s2 = sums + (n_copies == 1 ? 0 : 2 * n_classes), *s3 = sums + (n_copies == 1 ? 0 : 3 * n_classes);
    double scaled[SC_ROWS_BLOCK];
    for (uint i = 0; i < n; i += 8) {
        vstore8(convert_double8(vload8(0, tile + i)) * factor, 0, scaled + i);
    }
    for (uint i = 0; i < n; i += 4) {
        s0[class_of[i]] += scaled[i];
        s1[class_of[i + 1]] += scaled[i + 1];
        s2[class_of[i + 2]] += scaled[i + 2];
        s3[class_of[i + 3]] += scaled[i + 3];
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void perturb_blocks(PERTURB_ARGS)
{
    const uint group = (uint)get_global_id(0) / extra.n_chunks, chunk = (uint)get_global_id(0) % extra.n_chunks;
    const uint first = group * extra.group_rows, n_rows = min(extra.group_rows, shape.n_rows - first);
    const uint b0 = chunk * SC_PERTURB_CHUNK, b1 = min(b0 + SC_PERTURB_CHUNK, shape.n_blocks);
    const uint n_whole = shape.n_vocabulary / SC_ROWS_BLOCK;
    __global const logit_t *rows = logits + shape.offset + first * shape.stride;
    const ulong table = (ulong)extra.n_copies * extra.n_classes, stride = (ulong)shape.n_blocks * SC_ROWS_BLOCK;
    const int with_tile = extra.n_biases > 0 || extra.n_classes > 0;
    float tiles[SC_PERTURB_ROWS * SC_ROWS_BLOCK], reference[SC_PERTURB_ROWS];
    for (uint r = 0; r < n_rows; r++) {
        const ulong cell = (ulong)(first + r) * extra.n_chunks + chunk;
        reference[r] = -INFINITY;
        for (ulong k = 0; k < table; k++) {
            masses[cell * table + k] = 0.0;
        }
        if (b1 == shape.n_blocks) {
            pad_blocks(shape, (ulong)(first + r) * shape.n_padded, out_max, out_part, out_moment);
        }
    }
    float next_max = b0 < n_whole ? block_max(rows + b0 * SC_ROWS_BLOCK, SC_ROWS_BLOCK) : 0.0f;
    for (uint b = b0; b < b1; b++) {
        const uint n = min(shape.n_vocabulary - b * SC_ROWS_BLOCK, (uint)SC_ROWS_BLOCK);
        for (uint r = 0; r < n_rows; r++) {
            const uint row = first + r;
            const ulong base = (ulong)row * shape.n_padded;
            __global const logit_t *p = rows + r * shape.stride, *q = p + b * SC_ROWS_BLOCK;
            float *tile = tiles + (extra.n_biases > 0 ? r * SC_ROWS_BLOCK : 0);
            ulong sums[SC_ROWS_PARTS];
            float m, moment, relative;
            if (b < n_whole) {
                __global const logit_t *next = r + 1 < n_rows ? q + shape.stride
                                               : b + 1 < min(b1, n_whole) ? rows + (b + 1) * SC_ROWS_BLOCK
                                                                          : q;
                m = next_max;
                relative = m == -INFINITY ? 0.0f : m;
                if (with_tile) {
                    moment = extra.with_moment
                                 ? take_block(q, n, next, &next_max, relative, shape.c, shape.lowest, 1, 1, sums, tile)
                                 : take_block(q, n, next, &next_max, relative, shape.c, shape.lowest, 0, 1, sums, tile);
                } else {
                    moment = extra.with_moment
                                 ? take_block(q, n, next, &next_max, relative, shape.c, shape.lowest, 1, 0, sums, tile)
                                 : take_block(q, n, next, &next_max, relative, shape.c, shape.lowest, 0, 0, sums, tile);
                }
            } else {
                m = block_max(q, n);
                relative = m == -INFINITY ? 0.0f : m;
                moment = short_block(q, n, relative, shape.c, shape.lowest, sums);
                if (with_tile) {
                    tile_short(q, n, relative, shape.c, shape.lowest, tile);
                }
            }
            out_max[base + b] = m;
            out_moment[base + b] = moment;
            for (uint part = 0; part < SC_ROWS_PARTS; part++) {
                out_part[base * SC_ROWS_PARTS + part * shape.n_padded + b] = sums[part];
            }
            if (extra.with_rank) {
                const int t = target[first_row + row];
                rank_block(q, n, b * SC_ROWS_BLOCK, t >= 0 ? LOAD(p, t) : 0.0f, t, out_rank + base + b);
            }
            if (extra.n_temperatures > 0) {
                temper_block(q, n, relative, temperature, extra.n_temperatures,
                             tempered + ((ulong)row * shape.n_blocks + b) * extra.n_temperatures);
            }
            if (extra.n_classes > 0) {
                const ulong cell = (ulong)row * extra.n_chunks + chunk;
                classify_block(tile, (n + 7) & ~7u, m, shape.scale,
                               class_of + (first_row + row) * extra.class_stride + b * SC_ROWS_BLOCK, extra.n_classes,
                               extra.n_copies, masses + cell * table, &reference[r]);
            }
        }
        for (uint p = 0; p < extra.n_biases; p += 4) {
            for (uint r = 0; r < n_rows; r += 4) {
                const uint last = n_rows - 1;
                float s[16];
                bias_four(tiles + r * SC_ROWS_BLOCK, tiles + min(r + 1, last) * SC_ROWS_BLOCK,
                          tiles + min(r + 2, last) * SC_ROWS_BLOCK, tiles + min(r + 3, last) * SC_ROWS_BLOCK,
                          bias + p * stride + b * SC_ROWS_BLOCK, stride, s);
                for (uint j = 0; j < 4 && r + j < n_rows; j++) {
                    __global float *out = biased + ((ulong)(first + r + j) * shape.n_blocks + b) * extra.n_biases + p;
                    vstore4(vload4(j, s), 0, out);
                }
            }
        }
    }
    for (uint r = 0; r < n_rows; r++) {
        anchor[(ulong)(first + r) * extra.n_chunks + chunk] = reference[r];
        octaves[(ulong)(first + r) * extra.n_chunks + chunk] = 0;
    }
}

#else

/* Sums four numbers over the group; every item gets them. */
inline float4 group_sum(float4 x, __local float4 *fours)
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

inline float tempered_sum(const FLOATV *x, float reference, float2 t)
{
    FLOATV s = (FLOATV)(0.0f);
    for (uint j = 0; j < N_VECTORS / LSZ; j++) {
        ADD_TEMPERED(s, x[j] - (FLOATV)(reference), t.x, t.y)
    }
    return fold_float(s);
}

inline float biased_sum(const FLOATV *w, __global const float *bias)
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
inline void classify_block(const FLOATV *w, uint n, float m, double scale, __global const ushort *class_of,
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
    const ulong table = (ulong)extra.n_copies * extra.n_classes, stride = (ulong)shape.n_blocks * SC_ROWS_BLOCK;
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
            const float4 s = group_sum((float4)(tempered_sum(x, relative, temperature[t]),
                                                tempered_sum(x, relative, temperature[t + 1]),
                                                tempered_sum(x, relative, temperature[t + 2]),
                                                tempered_sum(x, relative, temperature[t + 3])),
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
            const float4 s = group_sum((float4)(biased_sum(x, e + k * stride), biased_sum(x, e + (k + 1) * stride),
                                                biased_sum(x, e + (k + 2) * stride), biased_sum(x, e + (k + 3) * stride)),
                                       fours);
            if (lid == 0) {
                vstore4(s, 0, biased + ((ulong)row * shape.n_blocks + b) * extra.n_biases + k);
            }
        }
        if (extra.n_classes > 0) {
            classify_block(x, n, m, shape.scale,
                           class_of + (first_row + row) * extra.class_stride + b * SC_ROWS_BLOCK, extra.n_classes,
                           masses + cell * table, &reference, &raised);
        }
    }
    if (lid == 0) {
        anchor[cell] = reference;
        octaves[cell] = raised;
    }
}

#endif

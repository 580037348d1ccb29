/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of a row: what rows.cl and perturb.cl both do with them. */
#ifndef SEMCAL_ROWS_BLOCK_H
#define SEMCAL_ROWS_BLOCK_H

#include "rows_weight.h"

/* Which logits come before the target: larger, or equal at a smaller index. */
static inline INTV before_target(FLOATV x, uint first, float logit, int target)
{
    INTV index = (INTV)((int)first);
#if VW == 16
    index += (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#elif VW == 8
    index += (int8)(0, 1, 2, 3, 4, 5, 6, 7);
#else
    index += (int4)(0, 1, 2, 3);
#endif
    return (x > (FLOATV)(logit)) | ((x == (FLOATV)(logit)) & (index < (INTV)(target)));
}

/* Blocks past the last one, up to the padded count: without weight. */
static inline void pad_blocks(const sc_rows_shape shape, ulong base, __global float *max, __global ulong *part,
                              __global float *moment)
{
    for (uint b = shape.n_blocks; b < shape.n_padded; b++) {
        max[base + b] = -INFINITY;
        moment[base + b] = 0.0f;
        for (uint p = 0; p < SC_ROWS_PARTS; p++) {
            part[base * SC_ROWS_PARTS + p * shape.n_padded + b] = 0;
        }
    }
}

#if LSZ == 1

static inline float block_max(__global const logit_t *p, uint n)
{
    FLOATV m = (FLOATV)(-INFINITY);
    for (uint i = 0; i < n; i += VW) {
        const FLOATV x = load_any(p, i, n);
        m = x > m ? x : m;
    }
    return greatest(m);
}

/* The last block of a row, any length. */
static inline float short_block(__global const logit_t *p, uint n, float reference, float c, float lowest, ulong *sums)
{
    FLOATV moment = (FLOATV)(0.0f);
    for (uint part = 0; part < SC_ROWS_PARTS; part++) {
        INTV coarse = (INTV)(0), fine = (INTV)(0);
        const uint end = min(n, (part + 1) * SC_ROWS_PART);
        for (uint i = part * SC_ROWS_PART; i < end; i += VW) {
            const FLOATV d = below(load_any(p, i, n), reference, lowest), w = weight_v(d, c);
            quantize(w, &coarse, &fine);
            moment = fma(w, d, moment);
        }
        sums[part] = part_sum(coarse, fine);
    }
    return fold_float(moment);
}

#else

/* One group on block `b` of the row at p, which it leaves in `x`; returns its maximum. `base`: of the row in scratch,
 * `t`: its target or -1. */
static inline float group_block(__global const logit_t *p, const uint b, const ulong base, const sc_rows_shape shape,
                                const int t, __global float *out_max, __global ulong *out_part,
                                __global float *out_moment, __global int *out_rank, const int with_moment,
                                const int with_rank, FLOATV *x, __local FLOATV *lanes, __local ulong *sums)
{
    const uint lid = (uint)get_local_id(0);
    __global const logit_t *q = p + b * SC_ROWS_BLOCK;
    const uint n = min(shape.n_vocabulary - b * SC_ROWS_BLOCK, (uint)SC_ROWS_BLOCK);
    FLOATV m = (FLOATV)(-INFINITY), moment = (FLOATV)(0.0f);
    for (uint j = 0; j < N_VECTORS / LSZ; j++) {
        x[j] = load_any(q, (j * LSZ + lid) * VW, n);
        m = x[j] > m ? x[j] : m;
    }
    lanes[lid] = m;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint half_size = LSZ / 2; half_size >= 1; half_size /= 2) {
        if (lid < half_size) {
            const FLOATV a = lanes[lid], c = lanes[lid + half_size];
            lanes[lid] = a > c ? a : c;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    const float block_max = greatest(lanes[0]);
    const float reference = block_max == -INFINITY ? 0.0f : block_max;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint j = 0; j < N_VECTORS / LSZ; j++) {
        INTV coarse = (INTV)(0), fine = (INTV)(0);
        const FLOATV d = below(x[j], reference, shape.lowest), w = weight_v(d, shape.c);
        quantize(w, &coarse, &fine);
        /* Padding past the last vector of a short block does not exist in the definition: see rows_reference. */
        const int exists = (j * LSZ) * VW < n;
        moment = exists ? (with_moment ? fma(w, d, moment) : moment + w) : moment;
        sums[j * LSZ + lid] = part_sum(coarse, fine);
    }
    lanes[lid] = moment;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint w = PART_VECTORS / 2; w >= 1; w /= 2) {
        for (uint i = lid; i < SC_ROWS_PARTS * w; i += LSZ) {
            const uint k = i / w * PART_VECTORS + i % w;
            sums[k] += sums[k + w];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    for (uint w = LSZ / 2; w >= 1; w /= 2) {
        if (lid < w) {
            lanes[lid] += lanes[lid + w];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (lid == 0) {
        out_max[base + b] = block_max;
        out_moment[base + b] = fold_float(lanes[0]);
    }
    if (lid < SC_ROWS_PARTS) {
        out_part[base * SC_ROWS_PARTS + lid * shape.n_padded + b] = sums[lid * PART_VECTORS];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (with_rank) {
        INTV count = (INTV)(0);
        if (t >= 0) {
            const float logit = LOAD(p, t);
            for (uint j = 0; j < N_VECTORS / LSZ; j++) {
                const uint i = (j * LSZ + lid) * VW;
                /* -inf padding is never larger than the target and its index is past it */
                count -= before_target(x[j], b * SC_ROWS_BLOCK + i, logit, t);
            }
        }
        __local int *counts = (__local int *)sums;
        counts[lid] = fold_int(count);
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint w = LSZ / 2; w >= 1; w /= 2) {
            if (lid < w) {
                counts[lid] += counts[lid + w];
            }
            barrier(CLK_LOCAL_MEM_FENCE);
        }
        if (lid == 0) {
            out_rank[base + b] = counts[0];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    return block_max;
}

#endif

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens of rows that rows.cl has evaluated.
 *
 *   rows_draw   tokens by two-level inverse CDF
 *   rows_top    the most probable tokens
 *
 * Shapes: logits and scratch as in rows.cl; draw_row, uniform, drawn tokens [M] of the whole request, top [N, n_top].
 * Work-groups: rows_draw: one item per SC_ROWS_DRAWS(LSZ) draws, any group; rows_top: LSZ items per row.
 * Precision: draws in 64-bit integers, exact; C reference: host/device/rows_reference.c, equal bit by bit.
 * Floor: rows_draw: SC_ROWS_PART logits of every draw; rows_top: the blocks' maxima of a row and one block of its logits.
 */
#include "rows_weight.h"

/* ---- draws ---- */

/* floor((high 2^64 + low) / divisor) for high < divisor, by two digits of 32 bits (Knuth, algorithm D). */
static inline ulong divide_wide(ulong high, ulong low, ulong divisor)
{
    const ulong shift = clz(divisor), base = 1UL << 32;
    const ulong d = divisor << shift, d1 = d >> 32, d0 = d & 0xffffffffUL;
    ulong remainder = (high << shift) | (shift == 0 ? 0UL : low >> (64 - shift));
    const ulong rest = low << shift;
    ulong quotient = 0;
    for (int digit = 1; digit >= 0; digit--) {
        const ulong next = digit ? rest >> 32 : rest & 0xffffffffUL;
        ulong q = remainder / d1, r = remainder % d1;
        while (q >= base || q * d0 > ((r << 32) | next)) {
            q--;
            r += d1;
            if (r >= base) {
                break;
            }
        }
        remainder = ((remainder << 32) | next) - q * d;
        quotient = (quotient << 32) | q;
    }
    return quotient;
}

/* Where a draw falls: `rest` weights after token `first` of the row. */
typedef struct place {
    ulong rest;
    uint row, first;
    float reference;              /* maximum of the block */
    int found;                    /* 0: a bad row, reported from rows_merge */
    uint reach;                   /* tokens of the part that a walk may need: even weights and a little more */
} place;

static inline place locate(const sc_rows_shape shape, __global const float *restrict block_max,
                           __global const ulong *restrict part, __global const ulong *restrict cumulative, uint row,
                           ulong u)
{
    const ulong base = (ulong)row * shape.n_padded;
    __global const ulong *cum = cumulative + base;
    const ulong total = cum[shape.n_blocks - 1], at = mul_hi(u, total);
    uint lo = 0, hi = shape.n_blocks - 1;
    while (lo < hi) {
        const uint middle = (lo + hi) / 2;
        if (cum[middle] > at) {
            hi = middle;
        } else {
            lo = middle + 1;
        }
    }
    const ulong before = lo == 0 ? 0UL : cum[lo - 1], mass = cum[lo] - before;
    place result;
    result.row = row;
    result.first = lo * SC_ROWS_BLOCK;
    result.reference = block_max[base + lo];
    result.found = mass != 0 && at - before < mass;
    result.rest = 0;
    result.reach = 0;
    if (!result.found) {
        return result;
    }
    __global const ulong *parts = part + base * SC_ROWS_PARTS + lo;
    ulong sums[SC_ROWS_PARTS], sum = 0;
    for (uint p = 0; p < SC_ROWS_PARTS; p++) {
        sums[p] = parts[p * shape.n_padded];
        sum += sums[p];
    }
    result.rest = mul_hi(divide_wide(at - before, u * total, mass), sum);
    uint p = 0;
    for (; p + 1 < SC_ROWS_PARTS && result.rest >= sums[p]; p++) {
        result.rest -= sums[p];
        result.first += SC_ROWS_PART;
    }
    result.reach = min((uint)(convert_float(result.rest) / convert_float(sums[p]) * SC_ROWS_PART) + 3 * VW,
                       (uint)SC_ROWS_PART);
    return result;
}

/* How far the last walk came: the weights of its part before token `i`. */
typedef struct trail {
    ulong before;
    uint row, first, i;
} trail;

/* Walks from the place to the token. A draw that falls behind the last one of the same part goes on from there: sums of
 * integers, so nothing changes but the time. */
static inline sc_rows_token walk(const place at, trail *last, __global const logit_t *q, const sc_rows_shape shape)
{
    sc_rows_token result;
    result.token = -1;
    result.logit = 0.0f;
    if (last->row != at.row || last->first != at.first || at.rest < last->before) {
        last->row = at.row;
        last->first = last->i = at.first;
        last->before = 0;
    }
    ulong rest = at.rest - last->before;
    uint i = last->i;
    /* In strides of some vectors, summed once, to the stride that holds the token. */
    for (; at.found && i + TOGETHER * VW <= shape.n_vocabulary; i += TOGETHER * VW) {
        UINTV coarse = COARSE_START(TOGETHER), fine = FINE_START(TOGETHER);
        FLOATV d[TOGETHER], w[TOGETHER];
        EACH(k) { d[k] = below(LOADV(q, i + k * VW), at.reference, shape.lowest); }
        weigh(d, shape.c, w, &coarse, &fine);
        const ulong here = part_sum(CAT(as_, INTV)(coarse), CAT(as_, INTV)(fine));
        if (rest < here) {
            break;
        }
        rest -= here;
    }
    last->i = i;
    last->before = at.rest - rest;
    for (; at.found && i < shape.n_vocabulary; i += VW) {
        INTV coarse = (INTV)(0), fine = (INTV)(0);
        const FLOATV x = load_any(q, i, shape.n_vocabulary);
        quantize(weight_v(below(x, at.reference, shape.lowest), shape.c), &coarse, &fine);
        const ulong here = part_sum(coarse, fine);
        if (rest < here) {
            int a[VW], c[VW];
            CAT(vstore, VW)(coarse, 0, a);
            CAT(vstore, VW)(fine, 0, c);
            for (uint v = 0; v < VW; v++) {
                const ulong w = ((ulong)a[v] << 23) + (ulong)(long)c[v];
                if (rest < w) {
                    result.token = (int)(i + v);
                    result.logit = LOAD(q, i + v);
                    break;
                }
                rest -= w;
            }
            break;
        }
        rest -= here;
    }
    return result;
}

/* Work: one item per SC_ROWS_DRAWS(LSZ) draws: a CPU finds the places of several draws first and asks for their logits,
 * scattered over memory, so that it waits for them together, if at all. draw_row: row of the request. Any order of draws
 * is right; sorted by row and uniform they walk the row once. */
__kernel void rows_draw(__global const logit_t *restrict logits, const sc_rows_shape shape,
                        __global const float *restrict block_max, __global const ulong *restrict part,
                        __global const ulong *restrict cumulative, __global const uint *restrict draw_row,
                        __global const ulong *restrict uniform, __global sc_rows_token *restrict out,
                        const ulong first_draw, const uint n_draws, const uint first_row)
{
    const uint first = (uint)get_global_id(0) * SC_ROWS_DRAWS(LSZ);
    place places[SC_ROWS_DRAWS(LSZ)];
    const uint n = first < n_draws ? min((uint)SC_ROWS_DRAWS(LSZ), n_draws - first) : 0;
    for (uint j = 0; j < n; j++) {
        const uint row = draw_row[first_draw + first + j] - first_row;
        places[j] = locate(shape, block_max, part, cumulative, row, uniform[first_draw + first + j]);
        for (uint i = 0; i < places[j].reach; i += VW) {
            AHEAD(logits + shape.offset + row * shape.stride + places[j].first + i, 2);
        }
    }
    trail last;
    last.row = last.first = last.i = 0xffffffffu;
    last.before = 0;
    for (uint j = 0; j < n; j++) {
        out[first_draw + first + j] =
            walk(places[j], &last, logits + shape.offset + places[j].row * shape.stride, shape);
    }
}

/* ---- top ---- */

static inline int comes_first(float a, int ia, float b, int ib)
{
    return a > b || (a == b && ia < ib);
}

#if LSZ == 1

/* Inserts into a list of at most n entries sorted by `comes_first`; returns its new length. */
static inline uint insert(float *value, int *index, uint length, uint n, float x, int i)
{
    if (length == n && !comes_first(x, i, value[n - 1], index[n - 1])) {
        return length;
    }
    uint k = length < n ? length++ : n - 1;
    for (; k > 0 && comes_first(x, i, value[k - 1], index[k - 1]); k--) {
        value[k] = value[k - 1];
        index[k] = index[k - 1];
    }
    value[k] = x;
    index[k] = i;
    return length;
}

/* The n_top best tokens lie in the n_top blocks with the largest maxima (ties: lower block). Work: one item per row. */
__kernel void rows_top(__global const logit_t *restrict logits, const sc_rows_shape shape,
                       __global const float *restrict block_max, __global sc_rows_token *restrict out,
                       const uint first_row)
{
    const uint row = (uint)get_global_id(0), n = shape.n_top;
    __global const logit_t *p = logits + shape.offset + row * shape.stride;
    float block_value[SC_ROWS_TOP], value[SC_ROWS_TOP];
    int block_index[SC_ROWS_TOP], index[SC_ROWS_TOP];
    uint n_chosen = 0, length = 0;
    for (uint b = 0; b < shape.n_blocks; b++) {
        n_chosen = insert(block_value, block_index, n_chosen, n, block_max[(ulong)row * shape.n_padded + b], (int)b);
    }
    for (uint k = 0; k < n_chosen; k++) {
        if (length == n && block_value[k] < value[n - 1]) {
            break;
        }
        const uint first = (uint)block_index[k] * SC_ROWS_BLOCK;
        const uint end = min(first + SC_ROWS_BLOCK, shape.n_vocabulary);
        for (uint i = first; i < end; i += VW) {
            const FLOATV x = load_any(p, i, shape.n_vocabulary);
            if (length == n && !any(x >= (FLOATV)(value[n - 1]))) {
                continue;
            }
            const uint last = min(i + VW, end);
            for (uint v = i; v < last; v++) {
                length = insert(value, index, length, n, LOAD(p, v), (int)v);
            }
        }
    }
    for (uint k = 0; k < n; k++) {
        out[(ulong)(first_row + row) * n + k].token = k < length ? index[k] : -1;
        out[(ulong)(first_row + row) * n + k].logit = k < length ? value[k] : 0.0f;
    }
}

#else

/* The item's candidate against the best of the group; the winner in value[0], index[0]. */
static inline void best_of_group(__local float *value, __local int *index, uint lid)
{
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint w = LSZ / 2; w >= 1; w /= 2) {
        if (lid < w && comes_first(value[lid + w], index[lid + w], value[lid], index[lid])) {
            value[lid] = value[lid + w];
            index[lid] = index[lid + w];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}

/* Work: one group of LSZ items per row. Each round finds the best block, then the best token, after the last one. */
__kernel __attribute__((reqd_work_group_size(LSZ, 1, 1))) void rows_top(__global const logit_t *restrict logits,
                                                                        const sc_rows_shape shape,
                                                                        __global const float *restrict block_max,
                                                                        __global sc_rows_token *restrict out,
                                                                        const uint first_row)
{
    const uint row = (uint)get_group_id(0), lid = (uint)get_local_id(0), n = shape.n_top;
    __global const logit_t *p = logits + shape.offset + row * shape.stride;
    __global const float *maxima = block_max + (ulong)row * shape.n_padded;
    __local float value[LSZ];
    __local int index[LSZ], chosen[SC_ROWS_TOP];
    const uint n_chosen = min(n, shape.n_blocks);
    float last = INFINITY;
    int last_index = -1;
    for (uint k = 0; k < n_chosen; k++) {
        value[lid] = -INFINITY;
        index[lid] = 0x7fffffff;
        for (uint b = lid; b < shape.n_blocks; b += LSZ) {
            const float x = maxima[b];
            if (comes_first(last, last_index, x, (int)b) && comes_first(x, (int)b, value[lid], index[lid])) {
                value[lid] = x;
                index[lid] = (int)b;
            }
        }
        best_of_group(value, index, lid);
        last = value[0];
        last_index = index[0];
        if (lid == 0) {
            chosen[k] = last_index;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    last = INFINITY;
    last_index = -1;
    for (uint k = 0; k < n; k++) {
        value[lid] = -INFINITY;
        index[lid] = 0x7fffffff;
        for (uint c = 0; c < n_chosen; c++) {
            const uint first = (uint)chosen[c] * SC_ROWS_BLOCK;
            const uint end = min(first + SC_ROWS_BLOCK, shape.n_vocabulary);
            for (uint i = first + lid; i < end; i += LSZ) {
                const float x = LOAD(p, i);
                if (comes_first(last, last_index, x, (int)i) && comes_first(x, (int)i, value[lid], index[lid])) {
                    value[lid] = x;
                    index[lid] = (int)i;
                }
            }
        }
        best_of_group(value, index, lid);
        last = value[0];
        last_index = index[0];
        if (lid == 0) {
            out[(ulong)(first_row + row) * n + k].token = last_index == 0x7fffffff ? -1 : last_index;
            out[(ulong)(first_row + row) * n + k].logit = last_index == 0x7fffffff ? 0.0f : last;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token-level stage over rows of logits [N, V].
 *
 *   rows_law, rows_loss    blocks of a row: maximum, sums of weights, moment (rows_loss: without the moment)
 *   rows_law_rank          the same, and how many logits come before the target
 *   rows_merge             blocks to rows: W, cumulative block weights, moment, rank
 *
 * rows_pick.cl takes draws and the top list from what these leave.
 * What is computed is defined in host/device/rows.h; C reference: host/device/rows_reference.c, equal bit by bit.
 * Every block is evaluated alone and its weights are summed as integers, so no result depends on how work is split.
 *
 * Shapes: logits as in sc_rows_shape; scratch per row r of the pass: max, moment, rank [R, n_padded], part
 * [R, SC_ROWS_PARTS, n_padded], cumulative [R, n_padded].
 * Work-groups: LSZ 1 (CPU): one item walks n_blocks/n_items blocks in vectors of VW = 16, and takes the maximum of the
 * next block while it exponentiates this one. LSZ > 1 (GPU): one group of LSZ items per item above; LSZ*VW divides
 * SC_ROWS_BLOCK. rows_merge: 1 item (CPU) or 8 items (GPU) per row.
 * Floors of a log-loss on a CPU with 512-bit vectors on units of 256 bits, per 16 logits: 64 bytes read, and 19
 * operations of which a core starts two per cycle (eight products, five sums, two maxima, a shift, three integer sums):
 * 9.5 cycles. `semcal bench kernels --only rows` prints both beside what is reached.
 * Precision: fp32 weights to 2^-45 of the block's largest, rows in 64-bit integers and double (cl_khr_fp64).
 */
#include "exp2.h"
#include "rows_block.h"

#define BLOCK_ARGS                                                                                                    \
    __global const logit_t *restrict logits, const sc_rows_shape shape, __global const int *restrict target,          \
        __global float *restrict out_max, __global ulong *restrict out_part, __global float *restrict out_moment,     \
        __global int *restrict out_rank, const uint first_row

#if LSZ == 1

/* A whole block at p; beside it, the maximum of the whole block at `next`. */
static inline float whole_block(__global const logit_t *p, __global const logit_t *next, float *next_max,
                                float reference, float c, float lowest, const int with_moment, ulong *sums)
{
    FLOATV moment = (FLOATV)(0.0f), m = (FLOATV)(-INFINITY);
    for (uint part = 0; part < SC_ROWS_PARTS; part++) {
        UINTV coarse = COARSE_START(PART_VECTORS), fine = FINE_START(PART_VECTORS);
        for (uint i = part * SC_ROWS_PART; i < (part + 1) * SC_ROWS_PART; i += TOGETHER * VW) {
            FLOATV d[TOGETHER], w[TOGETHER];
            EACH(k) {
                AHEAD(next + i + k * VW + SC_ROWS_BLOCK, 2);
                const FLOATV y = LOADV(next, i + k * VW);
                m = y > m ? y : m;
            }
            EACH(k) { d[k] = below(LOADV(p, i + k * VW), reference, lowest); }
            weigh(d, c, w, &coarse, &fine);
            EACH(k) { moment = with_moment ? fma(w[k], d[k], moment) : moment + w[k]; /* either carries a NaN out */ }
        }
        sums[part] = part_sum(CAT(as_, INTV)(coarse), CAT(as_, INTV)(fine));
    }
    *next_max = greatest(m);
    return fold_float(moment);
}

static inline void blocks(BLOCK_ARGS, const int with_moment, const int with_rank)
{
    const uint row = (uint)get_global_id(0) / shape.n_items, item = (uint)get_global_id(0) % shape.n_items;
    if (row >= shape.n_rows) {
        return;
    }
    __global const logit_t *p = logits + shape.offset + row * shape.stride;
    const uint first = (uint)((ulong)item * shape.n_blocks / shape.n_items);
    const uint end = (uint)((ulong)(item + 1) * shape.n_blocks / shape.n_items);
    const uint n_whole = shape.n_vocabulary / SC_ROWS_BLOCK;
    const ulong base = (ulong)row * shape.n_padded;
    if (end == shape.n_blocks) {
        pad_blocks(shape, base, out_max, out_part, out_moment);
    }
    float next_max = first < n_whole ? block_max(p + first * SC_ROWS_BLOCK, SC_ROWS_BLOCK) : 0.0f;
    for (uint b = first; b < end; b++) {
        __global const logit_t *q = p + b * SC_ROWS_BLOCK;
        ulong sums[SC_ROWS_PARTS];
        float m, moment;
        if (b < n_whole) {
            m = next_max;
            const float reference = m == -INFINITY ? 0.0f : m;
            moment = whole_block(q, b + 1 < n_whole ? q + SC_ROWS_BLOCK : q, &next_max, reference, shape.c,
                                 shape.lowest, with_moment, sums);
        } else {
            const uint n = shape.n_vocabulary - b * SC_ROWS_BLOCK;
            m = block_max(q, n);
            moment = short_block(q, n, m == -INFINITY ? 0.0f : m, shape.c, shape.lowest, sums);
        }
        out_max[base + b] = m;
        out_moment[base + b] = moment;
        for (uint part = 0; part < SC_ROWS_PARTS; part++) {
            out_part[(base * SC_ROWS_PARTS) + part * shape.n_padded + b] = sums[part];
        }
        if (with_rank) {
            const int t = target[first_row + row];
            INTV count = (INTV)(0);
            if (t >= 0) {
                const float logit = LOAD(p, t);
                const uint n = min(shape.n_vocabulary - b * SC_ROWS_BLOCK, (uint)SC_ROWS_BLOCK);
                for (uint i = 0; i < n; i += VW) {
                    count -= before_target(load_any(q, i, n), b * SC_ROWS_BLOCK + i, logit, t);
                }
            }
            out_rank[base + b] = fold_int(count);
        }
    }
}

#else

/* One group per block at a time; item `lid` holds vectors lid, lid + LSZ, ... of it. */
static inline void blocks(BLOCK_ARGS, const int with_moment, const int with_rank, __local FLOATV *lanes,
                          __local ulong *sums)
{
    const uint lid = (uint)get_local_id(0), group = (uint)get_group_id(0);
    const uint row = group / shape.n_items, item = group % shape.n_items;
    __global const logit_t *p = logits + shape.offset + row * shape.stride;
    const uint first = (uint)((ulong)item * shape.n_blocks / shape.n_items);
    const uint end = (uint)((ulong)(item + 1) * shape.n_blocks / shape.n_items);
    const ulong base = (ulong)row * shape.n_padded;
    if (end == shape.n_blocks && lid == 0) {
        pad_blocks(shape, base, out_max, out_part, out_moment);
    }
    for (uint b = first; b < end; b++) {
        FLOATV x[N_VECTORS / LSZ];
        (void)group_block(p, b, base, shape, with_rank ? target[first_row + row] : -1, out_max, out_part, out_moment,
                          out_rank, with_moment, with_rank, x, lanes, sums);
    }
}

#endif

#if LSZ == 1
#define BLOCK_LOCALS
#define BLOCK_LOCAL_ARGS
#else
#define BLOCK_LOCALS                                                                                                  \
    __local FLOATV lanes[LSZ];                                                                                        \
    __local ulong sums[N_VECTORS];
#define BLOCK_LOCAL_ARGS , lanes, sums
#endif
#define BLOCK_KERNEL(NAME, MOMENT, RANK)                                                                              \
    __kernel __attribute__((reqd_work_group_size(LSZ, 1, 1))) void NAME(BLOCK_ARGS)                                   \
    {                                                                                                                 \
        BLOCK_LOCALS                                                                                                  \
        blocks(logits, shape, target, out_max, out_part, out_moment, out_rank, first_row, MOMENT,                     \
               RANK BLOCK_LOCAL_ARGS);                                                                                \
    }
BLOCK_KERNEL(rows_law, 1, 0)
BLOCK_KERNEL(rows_loss, 0, 0)
BLOCK_KERNEL(rows_law_rank, 1, 1)

/* ---- rows ---- */

/* Eight lanes of blocks: one vector on a CPU, eight work-items elsewhere. */
#if LSZ == 1
typedef double8 double_l;
typedef ulong8 ulong_l;
typedef long8 long_l;
typedef float8 float_l;
#define CONVERT(type, x) CAT(CAT(convert_, type), 8)(x)
#define LOAD_L(p, i) vload8(0, (p) + (i))
#define STORE_L(x, p, i) vstore8(x, 0, (p) + (i))
#else
typedef double double_l;
typedef ulong ulong_l;
typedef long long_l;
typedef float float_l;
#define CONVERT(type, x) CAT(convert_, type)(x)
#define LOAD_L(p, i) ((p)[(i) + lane])
#define STORE_L(x, p, i) ((p)[(i) + lane] = (x))
#endif

SC_DEFINE_EXP2(double_l, exp2_reduced)

/* Scaled weights of a group of eight blocks; their moments go to `moment`. */
static inline ulong_l merge_blocks(float_l m, ulong_l sum, float_l block_moment, double row_max, double scale,
                                   double_l *moment)
{
    const double_l distance = CONVERT(double, m) - (double_l)(row_max), x = distance * (double_l)(scale);
    const long_l alive = x >= (double_l)(SC_ROWS_CUT);
    const double_l safe = alive ? x : (double_l)(0.0), n = rint(safe), p = exp2_reduced(safe - n);
    const ulong_l shift = CONVERT(ulong, -n);
    ulong_l scaled = mul_hi(sum << 2, CONVERT(ulong, p * (double_l)(0x1p62)));
    scaled = shift < (ulong_l)(64) ? scaled >> (shift & (ulong_l)(63)) : (ulong_l)(0);
#if LSZ == 1
    scaled = alive ? scaled : (ulong8)(0);
    const double8 factor = p * as_double8((convert_long8(n) + 1023) << 52);
#else
    scaled = alive ? scaled : 0;
    const double factor = p * as_double((convert_long(n) + 1023) << 52);
#endif
    const double_l inside = fma(CONVERT(double, sum) * (double_l)(0x1p-45), distance, CONVERT(double, block_moment));
    *moment = alive ? fma(factor, inside, *moment) : *moment;
    return scaled;
}

/* A row from its maximum, its moment and the scaled weights of its blocks, which become inclusive sums. `t`: its target
 * or -1; `ranks`: of its blocks or NULL. */
static inline sc_rows_row finish_row(__global const logit_t *p, const int t, __global const int *ranks,
                                     __global ulong *cumulative, const uint n_blocks, const float row_max,
                                     const double row_moment, const int bad)
{
    ulong total = 0;
    int rank = 0;
    for (uint b = 0; b < n_blocks; b++) {
        total += cumulative[b];
        cumulative[b] = total;
    }
    if (ranks && t >= 0) {
        for (uint b = 0; b < n_blocks; b++) {
            rank += ranks[b];
        }
    }
    const float logit = t >= 0 ? LOAD(p, t) : 0.0f;
    sc_rows_row result;
    result.weight = total;
    result.moment = row_moment;
    result.max = row_max;
    result.target = logit;
    result.rank = rank;
    result.bad = bad || row_max == -INFINITY || row_max == INFINITY || logit == -INFINITY;
    return result;
}

/* Work: one item (LSZ 1) or one group of eight (else) per row. `cumulative` gets inclusive sums of scaled weights.
 * Floor: of each block its maximum, weights and moment read and a sum written, 16 + 8 SC_ROWS_PARTS bytes: a hundredth
 * of the logits. */
__kernel void rows_merge(__global const logit_t *restrict logits, const sc_rows_shape shape,
                         __global const int *restrict target, __global const float *restrict block_max,
                         __global const ulong *restrict part, __global const float *restrict block_moment,
                         __global const int *restrict block_rank, __global ulong *restrict cumulative,
                         __global sc_rows_row *restrict out, const uint first_row, const uint flags)
{
#if LSZ == 1
    const uint row = (uint)get_global_id(0);
    const int leader = 1;
#else
    const uint row = (uint)get_group_id(0), lane = (uint)get_local_id(0);
    const int leader = lane == 0;
    __local double lanes[SC_ROWS_LANES];
    __local int wrongs[SC_ROWS_LANES];
#endif
    const ulong base = (ulong)row * shape.n_padded;
    __global const ulong *parts = part + base * SC_ROWS_PARTS;
    float_l m = (float_l)(-INFINITY);
    double_l moment = (double_l)(0.0);
    for (uint b = 0; b < shape.n_padded; b += SC_ROWS_LANES) {
        const float_l x = LOAD_L(block_max + base, b);
        m = x > m ? x : m;
    }
#if LSZ == 1
    const float4 m4 = m.lo > m.hi ? m.lo : m.hi;
    const float2 m2 = m4.lo > m4.hi ? m4.lo : m4.hi;
    const float row_max = m2.x > m2.y ? m2.x : m2.y;
    int8 wrong = (int8)(0);
#else
    lanes[lane] = m;
    barrier(CLK_LOCAL_MEM_FENCE);
    float row_max = -INFINITY;
    for (uint j = 0; j < SC_ROWS_LANES; j++) {
        row_max = (float)lanes[j] > row_max ? (float)lanes[j] : row_max;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    int wrong = 0;
#endif
    for (uint b = 0; b < shape.n_padded; b += SC_ROWS_LANES) {
        ulong_l sum = (ulong_l)(0);
        for (uint p = 0; p < SC_ROWS_PARTS; p++) {
            sum += LOAD_L(parts + p * shape.n_padded, b);
        }
        const float_l e = LOAD_L(block_moment + base, b);
        wrong |= e != e;
        const ulong_l scaled =
            merge_blocks(LOAD_L(block_max + base, b), sum, e, (double)row_max, shape.scale, &moment);
        STORE_L(scaled, cumulative + base, b);
    }
#if LSZ == 1
    const double4 d4 = moment.lo + moment.hi;
    const double2 d2 = d4.lo + d4.hi;
    const double row_moment = d2.x + d2.y;
    int bad = any(wrong);
#else
    lanes[lane] = moment;
    wrongs[lane] = wrong;
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    const double row_moment = ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
                              ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
    int bad = 0;
    for (uint j = 0; j < SC_ROWS_LANES; j++) {
        bad |= wrongs[j];
    }
#endif
    if (leader) {
        const int t = flags & 1 ? target[first_row + row] : -1;
        out[first_row + row] =
            finish_row(logits + shape.offset + row * shape.stride, t, flags & 2 ? block_rank + base : 0,
                       cumulative + base, shape.n_blocks, row_max, row_moment, bad);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perturb_classes: mass of each class of tokens in rows of logits [N, V], for tilts and class-wise calibration.
 *
 * Shapes: class_of [V] in 0..K-1; mass [N, copies, K] zeroed, copies 4 (LSZ 1) or 1.
 *   Rows are known to be good: rows.cl has looked at them.
 *   weight of token v = round(2^45 exp2((l_v - m) log2 e)), m the row's maximum; mass = integer sums, so exact and of no
 *   order. The row is read twice, the second time from a CPU's cache.
 * Work-groups: LSZ 1: one item per row, four interleaved sums per class (a class that takes most tokens would else wait
 * for its own last addition); LSZ > 1: one group per row, 64-bit atomics on integers.
 * Precision: as rows.cl, relative to the row's maximum. C reference: host/device/perturb_reference.c.
 */
#include "rows_weight.h"

#if LSZ > 1
#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable
#endif
#define COPIES (LSZ == 1 ? 4 : 1)

__kernel __attribute__((reqd_work_group_size(LSZ, 1, 1))) void
perturb_classes(__global const logit_t *restrict logits, const sc_rows_shape shape,
                __global const int *restrict class_of, const uint n_classes, __global ulong *mass)
{
    const uint row = (uint)get_group_id(0), lid = (uint)get_local_id(0), n = shape.n_vocabulary;
    __global const logit_t *p = logits + shape.offset + row * shape.stride;
    __global ulong *sums = mass + (ulong)row * COPIES * n_classes;
    FLOATV highest = (FLOATV)(-INFINITY);
    for (uint i = lid * VW; i < n; i += LSZ * VW) {
        const FLOATV x = load_any(p, i, n);
        highest = x > highest ? x : highest;
    }
    float m = greatest(highest);
#if LSZ > 1
    __local float lanes[LSZ];
    lanes[lid] = m;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint w = LSZ / 2; w >= 1; w /= 2) {
        if (lid < w) {
            lanes[lid] = lanes[lid] > lanes[lid + w] ? lanes[lid] : lanes[lid + w];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    m = lanes[0];
#endif
    const float reference = m == -INFINITY ? 0.0f : m;
    for (uint i = lid * VW; i < n; i += LSZ * VW) {
        INTV coarse = (INTV)(0), fine = (INTV)(0);
        const FLOATV w = weight_v(below(load_any(p, i, n), reference, shape.lowest), shape.c);
        quantize(w, &coarse, &fine);
        int a[VW], b[VW];
        CAT(vstore, VW)(coarse, 0, a);
        CAT(vstore, VW)(fine, 0, b);
        const uint count = min((uint)VW, n - i);
        for (uint v = 0; v < count; v++) {
            const ulong q = ((ulong)a[v] << 23) + (ulong)(long)b[v];
            const uint k = (uint)class_of[i + v];
#if LSZ == 1
            sums[(v & 3) * n_classes + k] += q;
#else
            atom_add(&sums[k], q);
#endif
        }
    }
}

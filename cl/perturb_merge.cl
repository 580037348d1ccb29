/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the blocks and chunks of perturb.cl to rows, eight numbers at a time, in double:
 *
 *   perturb_merge    sums [N, n_temperatures + n_biases] relative to the row's maximum (a bias also to its own)
 *   perturb_masses   mass [R, n_classes] of each class in units of the maximum's weight
 *   perturb_tilt     tilted [N, n_tilts] = sum_k mass_k tilt_k, tilt [n_classes, n_tilts] = e^{tau - max tau}
 *   perturb_gather   logits of single tokens and their blocks' maxima, [N, n_entries, 2]
 *
 * R rows of the pass, N of the request. Work: one item per row and eight columns (one per entry in perturb_gather);
 * items past the end do nothing. Sums run over blocks, chunks and classes in order.
 * Floor: what perturb.cl left, read once; perturb_tilt: 2 n_classes n_tilts operations of a row in double.
 * C reference: host/device/perturb_reference.c.
 */
#include "exp2.h"
#include "rows_weight.h"
#include "tempered.h"

#if LSZ > 1
typedef ulong mass_t;
#else
typedef double mass_t;
#endif

SC_DEFINE_EXP2(double8, exp2_reduced8)

/* 2^x for x <= 0; 0 below `cut`. */
static inline double8 powers(double8 x, double cut)
{
    const long8 is_alive = x >= (double8)(cut);
    const double8 safe = is_alive ? x : (double8)(0.0), n = rint(safe);
    const double8 p = exp2_reduced8(safe - n) * as_double8((convert_long8(n) + 1023) << 52);
    return is_alive ? p : (double8)(0.0);
}

static inline float row_maximum(__global const float *max, uint n_padded)
{
    float8 m = (float8)(-INFINITY);
    for (uint b = 0; b < n_padded; b += 8) {
        const float8 x = vload8(0, max + b);
        m = x > m ? x : m;
    }
    const float4 m4 = m.lo > m.hi ? m.lo : m.hi;
    const float2 m2 = m4.lo > m4.hi ? m4.lo : m4.hi;
    return m2.x > m2.y ? m2.x : m2.y;
}

/* scale [n_temperatures]: log2(e) / T. */
__kernel __attribute__((reqd_work_group_size(LSZ, 1, 1))) void
perturb_merge(const sc_rows_shape shape, const sc_perturb_shape extra, __global const float *restrict block_max,
              __global const double *restrict scale, __global const float *restrict tempered,
              __global const float *restrict biased, __global double *restrict sums, const uint first_row)
{
    const uint n_columns = extra.n_temperatures + extra.n_biases, n_groups = n_columns / SC_PERTURB_PAD;
    const uint row = (uint)get_global_id(0) / n_groups, column = (uint)get_global_id(0) % n_groups * SC_PERTURB_PAD;
    if (row >= shape.n_rows) {
        return;
    }
    __global const float *max = block_max + (ulong)row * shape.n_padded;
    const double m = (double)row_maximum(max, shape.n_padded);
    double8 sum = (double8)(0.0);
    if (column < extra.n_temperatures) {
        const double8 s = vload8(0, scale + column);
        __global const float *from = tempered + (ulong)row * shape.n_blocks * extra.n_temperatures + column;
        for (uint b = 0; b < shape.n_blocks; b++) {
            const double8 factor = powers(((double8)((double)max[b]) - m) * s, SC_ROWS_CUT);
            sum = fma(convert_double8(vload8(0, from + b * extra.n_temperatures)), factor, sum);
        }
        sum *= 1.0 / (double)TEMPERED_UNIT;
    } else {
        __global const float *from =
            biased + (ulong)row * shape.n_blocks * extra.n_biases + (column - extra.n_temperatures);
        for (uint b = 0; b < shape.n_blocks; b += 8) {
            double factor[8];
            vstore8(powers((convert_double8(vload8(0, max + b)) - m) * shape.scale, SC_ROWS_CUT), 0, factor);
            for (uint j = 0; j < 8 && b + j < shape.n_blocks; j++) {
                const double8 x = convert_double8(vload8(0, from + (b + j) * extra.n_biases));
                sum = fma(x, (double8)(factor[j]), sum);
            }
        }
    }
    vstore8(sum, 0, sums + (ulong)(first_row + row) * n_columns + column);
}

__kernel __attribute__((reqd_work_group_size(LSZ, 1, 1))) void
perturb_masses(const sc_rows_shape shape, const sc_perturb_shape extra, __global const float *restrict block_max,
               __global const mass_t *restrict masses, __global const float *restrict anchor,
               __global const int *restrict octaves, __global double *restrict mass)
{
    const uint n_groups = extra.n_classes / SC_PERTURB_PAD;
    const uint row = (uint)get_global_id(0) / n_groups, k = (uint)get_global_id(0) % n_groups * SC_PERTURB_PAD;
    if (row >= shape.n_rows) {
        return;
    }
    const double m = (double)row_maximum(block_max + (ulong)row * shape.n_padded, shape.n_padded);
    double8 total = (double8)(0.0);
    for (uint c = 0; c < extra.n_chunks; c++) {
        const ulong cell = (ulong)row * extra.n_chunks + c;
#if LSZ == 1
        const ulong group = (ulong)(row / extra.group_rows) * extra.n_chunks + c;
        __global const double *from =
            masses + (group * extra.n_classes + k) * SC_PERTURB_ROWS + row % extra.group_rows;
        double lane[8];
        for (uint j = 0; j < 8; j++) {
            lane[j] = from[j * SC_PERTURB_ROWS];
        }
        const double8 sum = vload8(0, lane);
#else
        __global const ulong *from = masses + cell * 2 * extra.n_classes + k;
        const double8 sum =
            convert_double8(vload8(0, from)) * 0x1p-48 + convert_double8(vload8(0, from + extra.n_classes)) * 0x1p-72;
#endif
        double x = ((double)anchor[cell] - m) * shape.scale + octaves[cell];
        /* A chunk's masses may stand far above its reference, and its reference a little above the row's maximum. */
        double above = 1.0;
        if (x > 0.0) {
            above = 2.0;
            x -= 1.0;
        }
        total = fma(sum * above, powers((double8)(x), SC_PERTURB_CUT), total);
    }
    vstore8(total, 0, mass + (ulong)row * extra.n_classes + k);
}

__kernel __attribute__((reqd_work_group_size(LSZ, 1, 1))) void
perturb_tilt(const sc_rows_shape shape, const sc_perturb_shape extra, __global const double *restrict mass,
             __global const double *restrict tilt, __global double *restrict tilted, const uint first_row)
{
    const uint n_groups = extra.n_tilts / SC_PERTURB_PAD;
    const uint row = (uint)get_global_id(0) / n_groups, p = (uint)get_global_id(0) % n_groups * SC_PERTURB_PAD;
    if (row >= shape.n_rows) {
        return;
    }
    double8 even = (double8)(0.0), odd = (double8)(0.0);
    for (uint k = 0; k < extra.n_classes; k += 2) {
        const double a = mass[(ulong)row * extra.n_classes + k], b = mass[(ulong)row * extra.n_classes + k + 1];
        even = fma((double8)(a), vload8(0, tilt + (ulong)k * extra.n_tilts + p), even);
        odd = fma((double8)(b), vload8(0, tilt + (ulong)(k + 1) * extra.n_tilts + p), odd);
    }
    vstore8(even + odd, 0, tilted + (ulong)(first_row + row) * extra.n_tilts + p);
}

__kernel __attribute__((reqd_work_group_size(LSZ, 1, 1))) void
perturb_gather(__global const logit_t *restrict logits, const sc_rows_shape shape, const sc_perturb_shape extra,
               __global const float *restrict block_max, __global const int *restrict token,
               __global float2 *restrict out, const uint first_row)
{
    const ulong id = get_global_id(0);
    const uint row = (uint)(id / extra.n_entries), j = (uint)(id % extra.n_entries);
    if (row >= shape.n_rows) {
        return;
    }
    const int t = token[j];
    const float l = LOAD(logits + shape.offset + row * shape.stride, t);
    const float m = block_max[(ulong)row * shape.n_padded + (uint)t / SC_ROWS_BLOCK];
    out[(ulong)(first_row + row) * extra.n_entries + j] = (float2)(l, m);
}

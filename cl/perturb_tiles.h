/* SPDX-License-Identifier: Apache-2.0 */
/* Sums over the weights of sixteen rows at once, on a CPU: dense biases and the masses of classes (perturb.cl). */
#ifndef SEMCAL_PERTURB_TILES_H
#define SEMCAL_PERTURB_TILES_H

#include "exp2.h"
#include "rows_block.h"

SC_DEFINE_EXP2(double, exp2_reduced)

/* A tile is [N_VECTORS, SC_PERTURB_ROWS]: rows side by side, vectors whole, as vload16 and vstore16 on private memory
 * become four accesses each on PoCL. */

/* Blocks of a row taken in one go before the next row: memory is read in longer runs, tiles still fit the L2 cache. */
#ifndef STRETCH
#define STRETCH 8
#endif

/* Sums of four rows (tiles) with four biases. */
static inline void bias_four(const FLOATV *w, __global const float *e, ulong stride, float *out)
{
    FLOATV s[16];
    __attribute__((opencl_unroll_hint(16))) for (uint j = 0; j < 16; j++)
    {
        s[j] = (FLOATV)(0.0f);
    }
    for (uint i = 0; i < SC_ROWS_BLOCK; i += VW) {
        const FLOATV *q = w + i / VW * SC_PERTURB_ROWS;
        const FLOATV a = q[0], b = q[1], c = q[2], d = q[3];
        __attribute__((opencl_unroll_hint(4))) for (uint p = 0; p < 4; p++)
        {
            const FLOATV x = *(__global const FLOATV *)(e + p * stride + i);
            s[p] = fma(a, x, s[p]);
            s[4 + p] = fma(b, x, s[4 + p]);
            s[8 + p] = fma(c, x, s[8 + p]);
            s[12 + p] = fma(d, x, s[12 + p]);
        }
    }
    __attribute__((opencl_unroll_hint(16))) for (uint j = 0; j < 16; j++)
    {
        out[j] = fold_float(s[j]);
    }
}

/* What turns weights of a block into the units of the row's masses; *reference is -inf before the first block. A
 * reference that cannot hold the block is replaced, and the masses (every SC_PERTURB_ROWS-th of `sums`) are scaled. */
static inline double mass_factor(float m, double scale, uint n_classes, __global double *sums, float *reference)
{
    if (m == -INFINITY) {
        return 0.0;
    }
    if (*reference == -INFINITY) {
        *reference = m;
    }
    double x = ((double)m - (double)*reference) * scale;
    if (x > 500.0) {
        const double shrink = x < 1000.0 ? exp2(-x) : 0.0;
        for (uint k = 0; k < n_classes; k++) {
            sums[k * SC_PERTURB_ROWS] *= shrink;
        }
        *reference = m;
        x = 0.0;
    }
    const double whole = rint(x);
    return x < SC_PERTURB_CUT ? 0.0 : exp2_reduced(x - whole) * as_double(((long)whole + 1023) << 52);
}

/* One row: the same sums in the same order as sixteen at once. */
static inline void classify_one(const FLOATV *tile, uint n, double factor, __global const ushort *class_of,
                                __global double *sums)
{
    for (uint i = 0; i < n; i++) {
        __global double *sum = sums + (uint)class_of[i] * SC_PERTURB_ROWS;
        const float w = ((const float *)(tile + i / VW * SC_PERTURB_ROWS))[i % VW];
        *sum = fma((double)w, factor, *sum);
    }
}

#define LOW(a, b)                                                                                                      \
    (float16)(a.s0, b.s0, a.s1, b.s1, a.s2, b.s2, a.s3, b.s3, a.s4, b.s4, a.s5, b.s5, a.s6, b.s6, a.s7, b.s7)
#define HIGH(a, b)                                                                                                     \
    (float16)(a.s8, b.s8, a.s9, b.s9, a.sa, b.sa, a.sb, b.sb, a.sc, b.sc, a.sd, b.sd, a.se, b.se, a.sf, b.sf)

/* Sixteen tokens of sixteen rows: 16 x 16 transposed by interleaving the halves four times. */
static inline void transpose(const FLOATV *tiles, float16 *x)
{
    float16 y[16];
    __attribute__((opencl_unroll_hint(16))) for (uint r = 0; r < 16; r++)
    {
        x[r] = tiles[r];
    }
    __attribute__((opencl_unroll_hint(2))) for (uint round = 0; round < 2; round++)
    {
        __attribute__((opencl_unroll_hint(8))) for (uint r = 0; r < 8; r++)
        {
            y[2 * r] = LOW(x[r], x[r + 8]);
            y[2 * r + 1] = HIGH(x[r], x[r + 8]);
        }
        __attribute__((opencl_unroll_hint(8))) for (uint r = 0; r < 8; r++)
        {
            x[2 * r] = LOW(y[r], y[r + 8]);
            x[2 * r + 1] = HIGH(y[r], y[r + 8]);
        }
    }
}

/* Sixteen rows side by side: one vector of sums per class. */
static inline void classify_rows(const FLOATV *tiles, uint n, const double *factors, __global const ushort *class_of,
                                 __global double *sums)
{
    const double8 f0 = vload8(0, factors), f1 = vload8(1, factors);
    for (uint i = 0; i < n; i += 16) {
        float16 x[16];
        transpose(tiles + i / VW * SC_PERTURB_ROWS, x);
        __attribute__((opencl_unroll_hint(16))) for (uint v = 0; v < 16; v++)
        {
            __global double8 *sum = (__global double8 *)(sums + (uint)class_of[i + v] * SC_PERTURB_ROWS);
            sum[0] = fma(convert_double8(x[v].lo), f0, sum[0]);
            sum[1] = fma(convert_double8(x[v].hi), f1, sum[1]);
        }
    }
}

/* A block of all rows, its weights in `tile`, in the classes; `class_of`: of the first row. */
static inline void classify_tiles(const FLOATV *tile, const float *maxima, uint n_rows, uint n, double scale,
                                  __global const ushort *class_of, ulong class_stride, uint n_classes,
                                  __global double *sums, float *reference)
{
    double factor[SC_PERTURB_ROWS] = {0.0};
    for (uint r = 0; r < n_rows; r++) {
        factor[r] = mass_factor(maxima[r], scale, n_classes, sums + r, &reference[r]);
    }
    if (n_rows > 2 && class_stride == 0) {
        classify_rows(tile, (n + 15) & ~15u, factor, class_of, sums);
    } else {
        for (uint r = 0; r < n_rows; r++) {
            classify_one(tile + r, n, factor[r], class_of + r * class_stride, sums + r);
        }
    }
}

/* The same block with every bias; `biased`: of the first row, rows `row_stride` apart. */
static inline void bias_tiles(const FLOATV *tile, uint n_rows, __global const float *bias, ulong stride, uint n_biases,
                              __global float *biased, ulong row_stride)
{
    for (uint p = 0; p < n_biases; p += 4) {
        for (uint r = 0; r < n_rows; r += 4) {
            float s[16];
            bias_four(tile + r, bias + p * stride, stride, s);
            for (uint j = 0; j < 4 && r + j < n_rows; j++) {
                vstore4(vload4(j, s), 0, biased + (r + j) * row_stride + p);
            }
        }
    }
}

/* Rows that do not exist weigh nothing. */
static inline void clear_tiles(FLOATV *tiles, uint n_rows)
{
    for (uint r = n_rows; r < SC_PERTURB_ROWS; r++) {
        for (uint i = 0; i < STRETCH * N_VECTORS; i++) {
            tiles[i * SC_PERTURB_ROWS + r] = (FLOATV)(0.0f);
        }
    }
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What products on CPUs do with the 32 sums of a row and a panel. Who includes it may have defined
 *   PUT_ROUNDED (c, v, n)   the first n of v as bf16, for mode SC_GEMM_SWIGLU_ROUNDED */
#ifndef SEMCAL_GEMM_PUT_H
#define SEMCAL_GEMM_PUT_H

#include "exp.h"
#include "vector.h"

/* The first `n` (at most 16) of `v` to `c`, or added to it. */
static void put(__global float *c, const float16 v, const uint n, const bool add)
{
    if (n >= 16) {
        SC_VECTOR16(c) = add ? SC_VECTOR16(c) + v : v;
    } else {
        float part[16];
        vstore16(v, 0, part);
        for (uint j = 0; j < n; j++) {
            c[j] = add ? c[j] + part[j] : part[j];
        }
    }
}

/* x, y: the sums of a panel's first and last 16 columns, bias included; c: the row of C. */
static void put_row(__global float *c, const float16 x, const float16 y, const uint n, const uint panel, const uint mode)
{
    const uint column = panel * SC_PANEL, out = panel * 16;
    if (mode == SC_GEMM_SWIGLU) {
        put(c + out, sc_silu16(x) * y, n / 2 - out, false);
#ifdef PUT_ROUNDED
    } else if (mode == SC_GEMM_SWIGLU_ROUNDED) {
        PUT_ROUNDED((__global ushort *)c + out, sc_silu16(x) * y, n / 2 - out);
#endif
    } else {
        put(c + column, x, n - column, mode == SC_GEMM_ADD);
        if (n - column > 16) {
            put(c + column + 16, y, n - column - 16, mode == SC_GEMM_ADD);
        }
    }
}

#endif

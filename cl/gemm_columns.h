/* SPDX-License-Identifier: Apache-2.0 */
/* What the plain products do with the sums of columns j and 16 + j of a panel: bias, residual sum or SwiGLU, as the modes
 * of gemm.cl and gemm_bf16.cl. */
#ifndef SEMCAL_GEMM_COLUMNS_H
#define SEMCAL_GEMM_COLUMNS_H

#include "bf16.h"
#include "exp.h"

static inline void sc_put_columns(__global float *to, float2 total, __global const float *bias, const uint n, const uint panel,
                                  const uint j, const uint mode)
{
    const uint column = panel * SC_PANEL + j;
    if (bias) {
        total += (float2)(bias[column], bias[column + 16]);
    }
    if (mode == SC_GEMM_SWIGLU) {
        if (panel * 16 + j < n / 2) {
            to[panel * 16 + j] = sc_silu(total.x) * total.y;
        }
        return;
    }
    if (mode == SC_GEMM_SWIGLU_ROUNDED) {
        const uint at = panel * 16 + j;
        __global ushort *values = (__global ushort *)to;
        if (at < n / 2) {
            values[at] = (ushort)sc_bf16(sc_silu(total.x) * total.y);
        }
        if (at + 1 == n / 2 && at % 2 == 0) {
            values[at + 1] = 0; /* half a word */
        }
        return;
    }
    if (column < n) {
        to[column] = mode == SC_GEMM_ADD ? to[column] + total.x : total.x;
    }
    if (column + 16 < n) {
        to[column + 16] = mode == SC_GEMM_ADD ? to[column + 16] + total.y : total.y;
    }
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_bf16_plain: the products of gemm_bf16.cl on any device: no vectors, no local memory, no work-group size, no
 * instruction for bf16.
 *
 * The panels, the rounded rows and the definition of every sum are those of gemm_bf16.cl, and so are the bits.
 * Work-item: columns j and 16 + j of a panel for one row (index space: 16 * panels, m). Work-group: any.
 * C reference: sc_gemm_bf16_reference. Floor: panels + 2 m k + 4 m n bytes, 2 m n k operations.
 */
#include "abi.h"
#include "gemm_columns.h"

#pragma OPENCL FP_CONTRACT OFF

/* Numbers below the normal ones count as 0, on the way in and out, whatever the device does with them. */
static float2 flush(const float2 x)
{
    return fabs(x) < 0x1p-126f ? copysign((float2)(0.0f), x) : x;
}

static float2 low(const uint2 words)
{
    return flush(as_float2(words << 16));
}

static float2 high(const uint2 words)
{
    return flush(as_float2(words & (uint2)(0xffff0000u)));
}

__kernel void gemm_bf16_plain(__global const uint *a, __global const uint *weights, __global const float *bias,
                              __global float *c, const uint n, const uint k, const uint stride, const uint mode,
                              const uint panel_first)
{
    const uint j = get_global_id(0) % 16, here = get_global_id(0) / 16, panel = panel_first + here, row = get_global_id(1);
    __global const uint *x = a + (size_t)row * k;
    float2 total = 0.0f;
    for (uint first = 0; first < k; first += SC_CHUNK / 2) {
        const uint last = min(first + SC_CHUNK / 2, k);
        float2 chain = 0.0f;
        for (uint i = first; i < last; i++) {
            __global const uint *words = weights + ((size_t)here * k + i) * SC_PANEL;
            const uint2 w = (uint2)(words[j], words[16 + j]), v = (uint2)(x[i]);
            chain = flush(fma(high(v), high(w), chain));
            chain = flush(fma(low(v), low(w), chain));
        }
        total = first == 0 ? chain : total + chain;
    }
    sc_put_columns(c + (size_t)row * stride, total, bias, n, panel, j, mode);
}

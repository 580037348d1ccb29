/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_plain: C [m, n] = A [m, k] W^T for packed weights, on any device: no vectors, no local memory, no work-group size.
 *
 * The panels and the definition of every sum are those of gemm.cl, and so are the bits of the result.
 * Work-item: columns j and 16 + j of a panel for one row (index space: 16 * panels, m). Work-group: any.
 * Precision: fp32. C reference: sc_gemm_reference. Floor: panels + 4 m (k + n) bytes, 2 m n k operations.
 */
#include "abi.h"
#include "gemm_columns.h"

#pragma OPENCL FP_CONTRACT OFF

__kernel void gemm_plain(__global const float *a, __global const uint *weights, __global const float *bias, __global float *c,
                         const uint n, const uint k, const uint stride, const uint mode, const uint panel_first)
{
    const uint j = get_global_id(0) % 16, here = get_global_id(0) / 16, panel = panel_first + here, row = get_global_id(1);
    __global const float *x = a + (size_t)row * k;
    float2 total = 0.0f;
    for (uint first = 0; first < k; first += SC_CHUNK) {
        const uint last = min(first + SC_CHUNK, k);
        float2 chain = 0.0f;
        for (uint i = first; i < last; i++) {
#ifdef WEIGHT_BF16
            const uint word = weights[((size_t)here * k + i) * 16 + j];
            const float2 w = (float2)(as_float(word << 16), as_float(word & 0xffff0000u));
#else
            __global const uint *words = weights + ((size_t)here * k + i) * 32;
            const float2 w = (float2)(as_float(words[j]), as_float(words[16 + j]));
#endif
            chain = fma((float2)(x[i]), w, chain);
        }
        total = first == 0 ? chain : total + chain;
    }
    sc_put_columns(c + (size_t)row * stride, total, bias, n, panel, j, mode);
}

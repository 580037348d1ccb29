/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_finish: bias, residual sum or SwiGLU over plain products [m, n], for methods without an epilogue (CLBlast).
 * Work-item: one output. Here gate is columns 0 .. n/2-1 and up the rest. Precision: fp32. Floor: 8 m n bytes, 6 m n for
 * SwiGLU, 12 m n for a sum.
 */
#include "abi.h"
#include "exp.h"

#pragma OPENCL FP_CONTRACT OFF

__kernel void gemm_finish(__global const float *products, __global const float *bias, __global float *c, const uint n,
                          const uint stride, const uint mode)
{
    const uint row = get_global_id(1), j = get_global_id(0);
    __global const float *from = products + (size_t)row * n;
    __global float *to = c + (size_t)row * stride;
    if (mode == SC_GEMM_SWIGLU) {
        const float gate = bias ? from[j] + bias[j] : from[j], up = bias ? from[n / 2 + j] + bias[n / 2 + j] : from[n / 2 + j];
        to[j] = sc_silu(gate) * up;
    } else {
        const float x = bias ? from[j] + bias[j] : from[j];
        to[j] = mode == SC_GEMM_ADD ? to[j] + x : x;
    }
}

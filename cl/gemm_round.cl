/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_round: rows A [m, k] in fp32 to rows of bf16 pairs [m, (k + 1) / 2], as the products of gemm: bf16 read them; the
 * low half of word i is value 2 i, the high half value 2 i + 1, 0 behind the end.
 *
 * Work-group: one row (LSZ items). Floor: 6 m k bytes. C reference: inside sc_gemm_bf16_reference.
 */
#include "abi.h"
#include "bf16.h"
#include "vector.h"

__kernel void gemm_round(__global uint *pairs, __global const float *a, const uint k)
{
    const uint n = (k + 1) / 2, row = get_group_id(0);
    __global const float *from = a + (size_t)row * k;
    __global uint *to = pairs + (size_t)row * n;
    uint i = get_local_id(0);
#if LSZ == 1
    for (; 2 * i + 16 <= k; i += 8) {
        sc_put_bf16((__global ushort *)(to + i), SC_CONST_VECTOR16(from + 2 * i), 16);
    }
#endif
    for (; i < n; i += LSZ) {
        to[i] = sc_bf16_pair(from[2 * i], 2 * i + 1 < k ? from[2 * i + 1] : 0.0f);
    }
}

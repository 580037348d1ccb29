/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What host and kernels share: valid C11 and valid OpenCL C.
 *
 * Shape letters, fixed once for the whole project:
 *   N rows, T positions, D width, H heads, V vocabulary, K classes, M draws, P perturbations.
 */
#ifndef SEMCAL_ABI_H
#define SEMCAL_ABI_H

#ifdef __OPENCL_VERSION__
typedef uint abi_u32;
typedef int abi_i32;
typedef ulong abi_u64;
#else
#include <stdint.h>
typedef uint32_t abi_u32;
typedef int32_t abi_i32;
typedef uint64_t abi_u64;
#endif

#endif

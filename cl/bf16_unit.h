/* SPDX-License-Identifier: Apache-2.0 */
/* vcvtneps2bf16: 16 floats rounded, as sc_bf1616 rounds them. vdpbf16ps: sum + odd * odd' + even * even' for 16 words
 * of two bf16, each step rounded (gemm_bf16.cl has the definition). */
#ifndef SEMCAL_BF16_UNIT_H
#define SEMCAL_BF16_UNIT_H

/* The compiler may be set to a processor without the instructions (PoCL's often is): functions that use them ask for
 * them. Attention's helpers, which only pass vectors, need AVX-512F in what it is set to. */
#define SC_WITH_BF16 __attribute__((target("avx512f,avx512bf16")))

#if __clang_major__ >= 16
typedef __bf16 sc_bf16_32 __attribute__((ext_vector_type(32)));
typedef __bf16 sc_bf16_16 __attribute__((ext_vector_type(16)));
#define SC_AS_BF16(v) __builtin_astype(v, sc_bf16_32)
#define SC_NO_BF16 __builtin_astype((ushort16)(0), sc_bf16_16)
#else
#define SC_AS_BF16(v) as_int16(v)
#define SC_NO_BF16 ((short16)(0))
#endif
#define SC_ROUND_BF16(x) __builtin_astype(__builtin_ia32_cvtneps2bf16_512_mask(x, SC_NO_BF16, (ushort)0xffff), ushort16)
#define SC_DOT_BF16(sum, x, w) __builtin_ia32_dpbf16ps_512(sum, SC_AS_BF16(x), SC_AS_BF16(w))

#endif

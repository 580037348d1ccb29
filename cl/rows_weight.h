/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logits of any type as vectors, and their weights as integers: the definition in host/device/rows.h, shared by rows.cl
 * and perturb.cl. ROWS_TYPE: 0 fp32, 1 fp16, 2 bf16. C reference: sc_rows_weight in host/device/rows_reference.c.
 */
#ifndef SEMCAL_ROWS_WEIGHT_H
#define SEMCAL_ROWS_WEIGHT_H

#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#include "abi.h"

#pragma OPENCL FP_CONTRACT OFF

#define CAT_(a, b) a##b
#define CAT(a, b) CAT_(a, b)
#define FLOATV CAT(float, VW)
#define INTV CAT(int, VW)
#define UINTV CAT(uint, VW)
#define N_VECTORS (SC_ROWS_BLOCK / VW)
#define PART_VECTORS (SC_ROWS_PART / VW)

#if ROWS_TYPE == 0
typedef float logit_t;
#define LOAD(p, i) ((p)[i])
#define LOADV(p, i) CAT(vload, VW)(0, (p) + (i))
#elif ROWS_TYPE == 1
typedef half logit_t;
#define LOAD(p, i) vload_half(i, p)
#define LOADV(p, i) CAT(vload_half, VW)(0, (p) + (i))
#else
typedef ushort logit_t;
#define LOAD(p, i) as_float((uint)(p)[i] << 16)
#define LOADV(p, i) CAT(as_float, VW)(CAT(convert_uint, VW)(CAT(vload, VW)(0, (p) + (i))) << 16)
#endif

/* Asks for a line ahead of its use, into the cache of a level (3: first, 2: second, where lines on their way do not wait
 * for room in the first): hardware does not see what comes behind a page, nor the next block where a tile is written
 * between. OpenCL's prefetch does nothing on PoCL. */
#if LSZ == 1 && defined(__clang__)
#define AHEAD(p, level) __builtin_prefetch((const void *)(size_t)(p), 0, level)
#else
#define AHEAD(p, level)
#endif

/* ---- weights ---- */

/* Constants of the two-stage fixed point: adding 3 leaves multiples of 2^-22 in the low bits, adding 3*2^-23 to what
 * is left leaves multiples of 2^-45. Integer sums of both are exact and together are round(w 2^45). */
#define COARSE 3.0f
#define FINE 0x1.8p-22f
#define COARSE_BITS 0x40400000
#define FINE_BITS 0x34c00000

/* exp2(d c), d <= 0: n by a magic number, 2^r by a polynomial of degree 5 with p(0) = 1. A NaN stays one. */
#define WEIGHT_FUNCTION(NAME, F, I)                                                                                   \
    static inline F NAME(F d, float c)                                                                                       \
    {                                                                                                                 \
        const F magic = (F)(0x1.8p23f), cc = (F)(c);                                                                  \
        const F shifted = fma(d, cc, magic);                                                                          \
        const F r = fma(d, cc, magic - shifted);                                                                      \
        F p = fma((F)(0x1.5bba14p-10f), r, (F)(0x1.3cea88p-7f));                                                      \
        p = fma(p, r, (F)(0x1.c6b752p-5f));                                                                           \
        p = fma(p, r, (F)(0x1.ebf9bcp-3f));                                                                           \
        p = fma(p, r, (F)(0x1.62e42ap-1f));                                                                           \
        p = fma(p, r, (F)(1.0f));                                                                                     \
        return CAT(as_, F)(CAT(as_, I)(p) + (CAT(as_, I)(shifted) << 23));                                            \
    }
WEIGHT_FUNCTION(weight_v, FLOATV, INTV)
WEIGHT_FUNCTION(weight_1, float, int)

static inline FLOATV below(FLOATV x, float reference, float lowest)
{
    const FLOATV d = x - (FLOATV)(reference);
    return d < (FLOATV)(lowest) ? (FLOATV)(lowest) : d;
}

/* What adding 3*2^-23 to the rest of w behind s = w + 3 gives: 3 + 3*2^-23 - s is a product and a difference, exact. */
static inline FLOATV fine_stage(FLOATV w, FLOATV s)
{
    return w + fma((FLOATV)(COARSE), (FLOATV)(0x1.000002p+0f), -s);
}

/* Adds the two stages of w to the running integer sums. */
static inline void quantize(FLOATV w, INTV *coarse, INTV *fine)
{
    const FLOATV s = w + (FLOATV)(COARSE);
    *coarse += CAT(as_, INTV)(s) - COARSE_BITS;
    *fine += CAT(as_, INTV)(fine_stage(w, s)) - FINE_BITS;
}

/* What a sum of the bits of `n` vectors starts from, so that the constants cancel modulo 2^32. */
#define COARSE_START(n) ((UINTV)(0u - (n) * (uint)COARSE_BITS))
#define FINE_START(n) ((UINTV)(0u - (n) * (uint)FINE_BITS))

/* Vectors on their way side by side: each operation is issued for all of them before the next one, or a core that looks
 * ahead some sixty operations waits for results. */
#define TOGETHER 4
#define EACH(k) __attribute__((opencl_unroll_hint(TOGETHER))) for (uint k = 0; k < TOGETHER; k++)

/* weight_v and quantize of TOGETHER vectors, the same bits. */
static inline void weigh(const FLOATV *d, float c, FLOATV *w, UINTV *coarse, UINTV *fine)
{
    const FLOATV magic = (FLOATV)(0x1.8p23f), cc = (FLOATV)(c);
    FLOATV n[TOGETHER], r[TOGETHER], s[TOGETHER];
    EACH(k) { n[k] = fma(d[k], cc, magic); }
    EACH(k) { r[k] = magic - n[k]; }
    EACH(k) { r[k] = fma(d[k], cc, r[k]); }
    EACH(k) { w[k] = fma((FLOATV)(0x1.5bba14p-10f), r[k], (FLOATV)(0x1.3cea88p-7f)); }
    EACH(k) { w[k] = fma(w[k], r[k], (FLOATV)(0x1.c6b752p-5f)); }
    EACH(k) { w[k] = fma(w[k], r[k], (FLOATV)(0x1.ebf9bcp-3f)); }
    EACH(k) { w[k] = fma(w[k], r[k], (FLOATV)(0x1.62e42ap-1f)); }
    EACH(k) { w[k] = fma(w[k], r[k], (FLOATV)(1.0f)); }
    EACH(k) { w[k] = CAT(as_, FLOATV)(CAT(as_, UINTV)(w[k]) + (CAT(as_, UINTV)(n[k]) << 23)); }
    EACH(k) { s[k] = w[k] + (FLOATV)(COARSE); }
    EACH(k) { *coarse += CAT(as_, UINTV)(s[k]); }
    EACH(k) { s[k] = fine_stage(w[k], s[k]); }
    EACH(k) { *fine += CAT(as_, UINTV)(s[k]); }
}

static inline int fold_int(INTV x)
{
#if VW == 16
    const int8 a = x.lo + x.hi;
    const int4 b = a.lo + a.hi;
#elif VW == 8
    const int4 b = x.lo + x.hi;
#else
    const int4 b = x;
#endif
    const int2 c = b.lo + b.hi;
    return c.x + c.y;
}

static inline float fold_float(FLOATV x)
{
#if VW == 16
    const float8 a = x.lo + x.hi;
    const float4 b = a.lo + a.hi;
#elif VW == 8
    const float4 b = x.lo + x.hi;
#else
    const float4 b = x;
#endif
    const float2 c = b.lo + b.hi;
    return c.x + c.y;
}

static inline float greatest(FLOATV x)
{
#if VW == 16
    const float8 a = x.lo > x.hi ? x.lo : x.hi;
    const float4 b = a.lo > a.hi ? a.lo : a.hi;
#elif VW == 8
    const float4 b = x.lo > x.hi ? x.lo : x.hi;
#else
    const float4 b = x;
#endif
    const float2 c = b.lo > b.hi ? b.lo : b.hi;
    return c.x > c.y ? c.x : c.y;
}

/* Sums of at most SC_ROWS_PART weights fit: |fine| and coarse stay below 2^31. */
static inline ulong part_sum(INTV coarse, INTV fine)
{
    return ((ulong)fold_int(coarse) << 23) + (ulong)(long)fold_int(fine);
}

static inline ulong quantize_1(float w)
{
    const float s = w + COARSE, rest = w - (s - COARSE);
    return ((ulong)(as_int(s) - COARSE_BITS) << 23) + (ulong)(long)(as_int(rest + FINE) - FINE_BITS);
}

/* A vector of which only the first `n` logits exist; the others are -inf. */
static inline FLOATV load_tail(__global const logit_t *p, uint i, uint n)
{
    float lane[VW];
    for (uint v = 0; v < VW; v++) {
        lane[v] = v < n ? LOAD(p, i + v) : -INFINITY;
    }
    return CAT(vload, VW)(0, lane);
}

static inline FLOATV load_any(__global const logit_t *p, uint i, uint n)
{
    return i + VW <= n ? LOADV(p, i) : load_tail(p, i, i < n ? n - i : 0);
}

#endif

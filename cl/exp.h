/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exp and silu of our own: the same bits in scalar and vector form, and several times faster than the library's.
 * exp: 2^n e^r with n rounded by a magic number, r in [-ln 2 / 2, ln 2 / 2], a polynomial of degree 6; about 1 ulp.
 * Arguments of exp are limited to [-87, 88]: no denormals, no infinity. NaN stays NaN.
 */
#ifndef SEMCAL_EXP_H
#define SEMCAL_EXP_H

#pragma OPENCL FP_CONTRACT OFF

#define SC_DEFINE_EXP(type, name, as_int_type, as_float_type)                                                          \
    static type name(type x)                                                                                           \
    {                                                                                                                  \
        x = x < -87.0f ? (type)(-87.0f) : x;                                                                           \
        x = x > 88.0f ? (type)(88.0f) : x;                                                                             \
        const type shifted = fma(x, (type)(1.44269504088896341f), (type)(12582912.0f));                                \
        const type n = shifted - 12582912.0f;                                                                          \
        type r = fma(n, (type)(-0.693145751953125f), x);                                                               \
        r = fma(n, (type)(-1.42860677e-6f), r);                                                                        \
        type p = fma(r, (type)(1.3888889e-3f), (type)(8.3333333e-3f));                                                 \
        p = fma(p, r, (type)(4.1666667e-2f));                                                                          \
        p = fma(p, r, (type)(1.6666667e-1f));                                                                          \
        p = fma(p, r, (type)(0.5f));                                                                                   \
        p = fma(p, r, (type)(1.0f));                                                                                   \
        p = fma(p, r, (type)(1.0f));                                                                                   \
        return p * as_float_type((as_int_type(shifted) - 0x4b400000 + 127) << 23);                                     \
    }

SC_DEFINE_EXP(float, sc_exp, as_int, as_float)
SC_DEFINE_EXP(float16, sc_exp16, as_int16, as_float16)

static float sc_silu(const float x)
{
    return x / (1.0f + sc_exp(-x));
}

static float16 sc_silu16(const float16 x)
{
    return x / (1.0f + sc_exp16(-x));
}

#endif

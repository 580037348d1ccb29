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

/* 2^x for x <= 0, as a softmax wants it: at -125 and below exactly 0, so that -inf needs no care of its own. NaN stays
 * NaN. n is rounded by a magic number whose low nine bits are zero: shifted into the exponent, only n is left of it. A
 * maximum and a subtraction, which rounds away unless 2^x is below 2^-101, make the 0: a comparison would need a
 * multiplier's turn. */
#define SC_DEFINE_EXP2_FALLING(type, name, as_int_type, as_float_type)                                                 \
    static type name(const type y)                                                                                     \
    {                                                                                                                  \
        const type x = y < -125.0f ? (type)(-125.0f) : y;                                                              \
        const type shifted = x + 12582912.0f;                                                                          \
        const type r = x - (shifted - 12582912.0f);                                                                    \
        type p = fma(r, (type)(1.5353362e-4f), (type)(1.33988739e-3f));                                                \
        p = fma(p, r, (type)(9.61843692e-3f));                                                                         \
        p = fma(p, r, (type)(5.55033237e-2f));                                                                         \
        p = fma(p, r, (type)(2.40226477e-1f));                                                                         \
        p = fma(p, r, (type)(6.93147182e-1f));                                                                         \
        p = fma(p, r, (type)(1.0f));                                                                                   \
        return as_float_type(as_int_type(p) + (as_int_type(shifted) << 23)) - 0x1p-125f;                               \
    }

/* The same for weights in bf16: rounded to it (to nearest, ties up), in the upper half of the bits, the lower half to
 * be cut off; below 2^-124 exactly 0. A polynomial of degree 3, off by at most 1.1e-4 of 2^x, a twentieth of half a
 * step of bf16. */
#define SC_DEFINE_EXP2_WEIGHT(type, name, as_int_type, as_float_type)                                                  \
    static type name(const type y)                                                                                     \
    {                                                                                                                  \
        const type x = y < -125.0f ? (type)(-125.0f) : y;                                                              \
        const type shifted = x + 12582912.0f;                                                                          \
        const type r = x - (shifted - 12582912.0f);                                                                    \
        type p = fma(r, (type)(5.50089312e-2f), (type)(2.42210961e-1f));                                               \
        p = fma(p, r, (type)(6.93282927e-1f));                                                                         \
        p = fma(p, r, (type)(1.0f));                                                                                   \
        const type whole = as_float_type(as_int_type(p) + (as_int_type(shifted) << 23));                               \
        return as_float_type(as_int_type((whole + 0x1p-100f) - 0x1p-100f) + 0x8000);                                   \
    }

SC_DEFINE_EXP2_FALLING(float, sc_exp2_falling, as_int, as_float)
SC_DEFINE_EXP2_FALLING(float8, sc_exp2_falling8, as_int8, as_float8)
SC_DEFINE_EXP2_FALLING(float16, sc_exp2_falling16, as_int16, as_float16)
SC_DEFINE_EXP2_WEIGHT(float, sc_exp2_weight, as_int, as_float)
SC_DEFINE_EXP2_WEIGHT(float16, sc_exp2_weight16, as_int16, as_float16)
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

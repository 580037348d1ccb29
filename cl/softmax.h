/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weights of a softmax as powers of 2. NaN stays NaN.
 *
 * One by one, for work-groups: sc_exp2_falling(x), x <= 0, at -125 and below exactly 0, so that -inf needs no care of
 * its own; sc_exp2_weight(x), the same rounded to bf16.
 *
 * Sixteen in steps, made beside other work, for x from -125 (who calls limits it: that is far enough) to 64:
 *     step = x + SC_EXP2_MAGIC          x rounded to a multiple of 1/16
 *     whole = step - SC_EXP2_MAGIC      that multiple
 *     sc_exp2_power16(step)             2^whole
 *     sc_exp2_fine16(x - whole), sc_exp2_rough16(x - whole)   times power, 2^x in a unit of their own, which a softmax
 *                                       divides away
 * fine: relative error below 2e-7, two products; rough, for weights that are rounded to bf16: below 1.2e-4, a twentieth
 * of half a step of bf16, none. Without a table in a register (SC_EXP2_PLAIN: though there might be one) x is rounded
 * to whole numbers, and both take longer.
 */
#ifndef SEMCAL_SOFTMAX_H
#define SEMCAL_SOFTMAX_H

#pragma OPENCL FP_CONTRACT OFF

/* 2^r for |r| <= 1/2: to 1 ulp, and to 1.1e-4. */
#define SC_DEFINE_EXP2_NEAR(type, suffix)                                                                              \
    static type sc_exp2_near##suffix(const type r)                                                                     \
    {                                                                                                                  \
        type p = fma(r, (type)(1.5353362e-4f), (type)(1.33988739e-3f));                                                \
        p = fma(p, r, (type)(9.61843692e-3f));                                                                         \
        p = fma(p, r, (type)(5.55033237e-2f));                                                                         \
        p = fma(p, r, (type)(2.40226477e-1f));                                                                         \
        p = fma(p, r, (type)(6.93147182e-1f));                                                                         \
        return fma(p, r, (type)(1.0f));                                                                                \
    }                                                                                                                  \
    static type sc_exp2_about##suffix(const type r)                                                                    \
    {                                                                                                                  \
        type p = fma(r, (type)(5.50089312e-2f), (type)(2.42210961e-1f));                                               \
        p = fma(p, r, (type)(6.93282927e-1f));                                                                         \
        return fma(p, r, (type)(1.0f));                                                                                \
    }

SC_DEFINE_EXP2_NEAR(float, )

/* n is rounded by a magic number whose low nine bits are zero: shifted into the exponent, only n is left of it. The
 * subtraction, which rounds away unless 2^x is below 2^-101, makes the 0. */
static float sc_exp2_falling(const float y)
{
    const float x = y < -125.0f ? -125.0f : y, step = x + 0x1.8p23f;
    return as_float(as_int(sc_exp2_near(x - (step - 0x1.8p23f))) + (as_int(step) << 23)) - 0x1p-125f;
}

/* Rounded to nearest, ties up, in the upper half of the bits, the lower half to be cut off; below 2^-124 exactly 0. */
static float sc_exp2_weight(const float y)
{
    const float x = y < -125.0f ? -125.0f : y, step = x + 0x1.8p23f;
    const float whole = as_float(as_int(sc_exp2_about(x - (step - 0x1.8p23f))) + (as_int(step) << 23));
    return as_float(as_int((whole + 0x1p-100f) - 0x1p-100f) + 0x8000);
}

#if defined(__AVX512F__) && defined(__has_builtin) && !defined(SC_EXP2_PLAIN)
#if __has_builtin(__builtin_ia32_permvarsf512)
#define SC_EXP2_TABLE
#endif
#endif

#ifdef SC_EXP2_TABLE

#define SC_EXP2_MAGIC 0x1.8p19f
/* Bits of 2^(j/16) less j << 19: with k << 19 added, k = 16 n + j, they are those of 2^(k/16). */
#define SC_EXP2_STEPS                                                                                                  \
    as_float16((int16)(0x3f800000, 0x3f7daac3, 0x3f7b95c2, 0x3f79c3d3, 0x3f7837f0, 0x3f76f532, 0x3f75fed7, 0x3f75583f, \
                       0x3f7504f3, 0x3f7508a4, 0x3f75672a, 0x3f76248c, 0x3f7744fd, 0x3f78ccdf, 0x3f7ac0c7,             \
                       0x3f7d257d))

static float16 sc_exp2_power16(const float16 step)
{
    const float16 steps = __builtin_ia32_permvarsf512(SC_EXP2_STEPS, as_int16(step));
    return as_float16(as_int16(steps) + (as_int16(step) << 19));
}

/* Polynomials of degree 3 and 1 over [-1/32, 1/32], their leading coefficients divided out. */
static float16 sc_exp2_fine16(const float16 r)
{
    return fma(fma(r + 4.32835588f, r, (float16)(12.48850689f)), r, (float16)(18.01710689f));
}

static float16 sc_exp2_rough16(const float16 r)
{
    return r + 1.44292067f;
}

#else

#define SC_EXP2_MAGIC 0x1.8p23f
SC_DEFINE_EXP2_NEAR(float16, 16)
#define sc_exp2_fine16 sc_exp2_near16
#define sc_exp2_rough16 sc_exp2_about16

static float16 sc_exp2_power16(const float16 step)
{
    return as_float16((as_int16(step) << 23) + 0x3f800000);
}

#endif

#endif

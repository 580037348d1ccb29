/* SPDX-License-Identifier: Apache-2.0 */
/* Powers of two for sums at other temperatures: perturb.cl adds them, perturb_merge.cl divides their unit away. */
#ifndef SEMCAL_TEMPERED_H
#define SEMCAL_TEMPERED_H

/* TEMPERED_UNIT: what a weight of 1 counts in a sum of ADD_TEMPERED(s, d, c), which adds TEMPERED_UNIT exp2(d c) to s,
 * for d c >= -118. Polynomials have their leading coefficient divided out. */
#if VW == 16 && defined(__AVX512F__) && defined(__has_builtin)
#if __has_builtin(__builtin_ia32_permvarsf512)
#define TEMPERED_TABLE
#endif
#endif

#ifdef TEMPERED_TABLE

/* exp2(k/16) from a table in one register times a polynomial of degree 2 over [-1/32, 1/32], relative error below
 * 7.5e-7. The polynomial is a square and a constant: its variable comes out of the reduction moved by 23/16, near the
 * 1/ln 2 that has no linear term, and exact in fp32. Eight operations, 4 cycles where a core has two units of 256 bits
 * for products and two for sums: four products, one difference, one permutation, two integer operations. */
#define TEMPERED_UNIT 0x1.096facp+2f
/* Bits of exp2(j/16) less j << 19: with k << 19 added, k = 16 n + j, they are those of exp2(k/16). */
#define TEMPERED_STEPS                                                                                                 \
    as_float16((int16)(0x3f800000, 0x3f7daac3, 0x3f7b95c2, 0x3f79c3d3, 0x3f7837f0, 0x3f76f532, 0x3f75fed7, 0x3f75583f, \
                       0x3f7504f3, 0x3f7508a4, 0x3f75672a, 0x3f76248c, 0x3f7744fd, 0x3f78ccdf, 0x3f7ac0c7,             \
                       0x3f7d257d))
#define ADD_TEMPERED(s, d, c)                                                                                          \
    {                                                                                                                  \
        const float16 d_ = (d), n_ = fma(d_, (float16)(c), (float16)(0x1.8p19f));                                      \
        const float16 g_ = fma(d_, (float16)(c), (float16)(0x1.8p19f + 0x1.7p+0f) - n_);                               \
        const int16 e_ = as_int16(__builtin_ia32_permvarsf512(TEMPERED_STEPS, as_int16(n_))) + (as_int16(n_) << 19);   \
        s = fma(fma(g_, g_, (float16)(0x1.0a5f5p+1f)), as_float16(e_), s);                                             \
    }

#else

/* A polynomial of degree 4 over [-1/2, 1/2], exact at 0, relative error below 2.9e-6. The work is spread evenly: five
 * multiplications, five additions or integer operations. */
#define TEMPERED_UNIT 0x1.a14dfcp+6f
#define ADD_TEMPERED(s, d, c)                                                                                          \
    {                                                                                                                  \
        const FLOATV d_ = (d), magic_ = (FLOATV)(0x1.8p23f);                                                           \
        const FLOATV n_ = fma(d_, (FLOATV)(c), magic_), f_ = fma(d_, (FLOATV)(c), magic_ - n_);                        \
        FLOATV p_ = f_ + (FLOATV)(0x1.754812p+2f);                                                                     \
        p_ = fma(p_, f_, (FLOATV)(0x1.910384p+4f));                                                                    \
        p_ = fma(p_, f_, (FLOATV)(0x1.213e72p+6f));                                                                    \
        p_ = fma(p_, f_, (FLOATV)(TEMPERED_UNIT));                                                                     \
        s += CAT(as_, FLOATV)(CAT(as_, INTV)(p_) + (CAT(as_, INTV)(n_) << 23));                                        \
    }

#endif

#endif

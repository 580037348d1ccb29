/* SPDX-License-Identifier: Apache-2.0 */
/* Powers of two for sums at other temperatures: perturb.cl adds them, perturb_merge.cl divides their unit away. */
#ifndef SEMCAL_TEMPERED_H
#define SEMCAL_TEMPERED_H

/* What a weight of 1 counts in a sum of ADD_TEMPERED. */
#define TEMPERED_UNIT 0x1.a14dfcp+6f

/* Adds TEMPERED_UNIT exp2(d c) to s, for d c >= -118: exp2 as a polynomial of degree 4 with the leading coefficient
 * divided out, exact at 0, relative error below 2.9e-6. The work is spread evenly: five multiplications, five additions
 * or integer operations. */
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

/* SPDX-License-Identifier: Apache-2.0 */
/* 2^r for |r| <= 1/2 in double or a vector of doubles: the same bits in every form. */
#ifndef SEMCAL_EXP2_H
#define SEMCAL_EXP2_H

#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#pragma OPENCL FP_CONTRACT OFF

#define SC_DEFINE_EXP2(type, name)                                                                                     \
    static inline type name(type r)                                                                                           \
    {                                                                                                                  \
        type p = (type)(0x1.c3bd650fc2986p-36);                                                                        \
        p = fma(p, r, (type)(0x1.e8cac7351bb25p-32));                                                                  \
        p = fma(p, r, (type)(0x1.e4cf5158b8ecap-28));                                                                  \
        p = fma(p, r, (type)(0x1.b5253d395e7c4p-24));                                                                  \
        p = fma(p, r, (type)(0x1.62c0223a5c824p-20));                                                                  \
        p = fma(p, r, (type)(0x1.ffcbfc588b0c7p-17));                                                                  \
        p = fma(p, r, (type)(0x1.430912f86c787p-13));                                                                  \
        p = fma(p, r, (type)(0x1.5d87fe78a6731p-10));                                                                  \
        p = fma(p, r, (type)(0x1.3b2ab6fba4e77p-7));                                                                   \
        p = fma(p, r, (type)(0x1.c6b08d704a0c0p-5));                                                                   \
        p = fma(p, r, (type)(0x1.ebfbdff82c58fp-3));                                                                   \
        p = fma(p, r, (type)(0x1.62e42fefa39efp-1));                                                                   \
        return fma(p, r, (type)(1.0));                                                                                 \
    }

#endif

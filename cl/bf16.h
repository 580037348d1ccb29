/* SPDX-License-Identifier: Apache-2.0 */
/* fp32 rounded to bf16: to the nearest, ties to even; what is below the normal numbers becomes 0, NaN stays NaN. */
#ifndef SEMCAL_BF16_H
#define SEMCAL_BF16_H

#define SC_DEFINE_BF16(suffix, floats, uints)                                                                          \
    static inline uints sc_bf16##suffix(floats x)                                                                             \
    {                                                                                                                  \
        const uints u = as_uint##suffix(x), size = u & (uints)(0x7fffffffu);                                           \
        const uints even = u + (uints)(0x7fffu) + ((u >> 16) & (uints)(1u));                                           \
        const uints finite = size < (uints)(0x00800000u) ? u & (uints)(0x80000000u) : even;                            \
        return (size > (uints)(0x7f800000u) ? u | (uints)(0x00400000u) : finite) >> 16;                                \
    }

SC_DEFINE_BF16(, float, uint)
SC_DEFINE_BF16(16, float16, uint16)

/* A word of two: `even` in the low half. */
static inline uint sc_bf16_pair(float even, float odd)
{
    return sc_bf16(even) | sc_bf16(odd) << 16;
}

typedef ushort16 sc_loose_ushort16 __attribute__((aligned(2)));

/* The first `n` (at most 16) of `v`, with a 0 behind the end of a row that would leave half a word. */
static inline void sc_put_bf16(__global ushort *to, const float16 v, const uint n)
{
    const ushort16 rounded = convert_ushort16(sc_bf1616(v));
    if (n >= 16) {
        *(__global sc_loose_ushort16 *)to = rounded;
    } else {
        ushort part[16];
        vstore16(rounded, 0, part);
        for (uint j = 0; j < n; j++) {
            to[j] = part[j];
        }
        if (n % 2 != 0) {
            to[n] = 0;
        }
    }
}

#endif

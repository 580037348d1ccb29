/* SPDX-License-Identifier: Apache-2.0 */
/* Elements of tensors as numbers (declared in safetensors.h). Bytes are read by memcpy: files promise no alignment. */
#include "formats/safetensors.h"

#include <string.h>

float sc_float_from_bfloat(uint16_t bits)
{
    const uint32_t word = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &word, sizeof value);
    return value;
}

float sc_float_from_half(uint16_t bits)
{
    const uint32_t sign = (uint32_t)(bits & 0x8000u) << 16, exponent = bits >> 10 & 0x1fu, mantissa = bits & 0x3ffu;
    float value;
    if (exponent == 0) {
        value = (float)mantissa * 0x1p-24f;
        return sign != 0 ? -value : value;
    }
    const uint32_t word = sign | (exponent == 31 ? 255u : exponent + 112u) << 23 | mantissa << 13;
    memcpy(&value, &word, sizeof value);
    return value;
}

#define LOAD(type, name)                                                                                               \
    static type name(const unsigned char *at)                                                                          \
    {                                                                                                                  \
        type value;                                                                                                    \
        memcpy(&value, at, sizeof value);                                                                              \
        return value;                                                                                                  \
    }
LOAD(double, load_f64)
LOAD(float, load_f32)
LOAD(uint16_t, load_u16)
LOAD(int16_t, load_i16)
LOAD(int32_t, load_i32)
LOAD(uint32_t, load_u32)
LOAD(int64_t, load_i64)
LOAD(uint64_t, load_u64)
LOAD(int8_t, load_i8)
LOAD(uint8_t, load_u8)

#define EACH(expression)                                                                                               \
    for (size_t i = 0; i < n; i++, at += size) {                                                                       \
        out[i] = expression;                                                                                           \
    }                                                                                                                  \
    return

#define GET(type, name)                                                                                                \
    void name(type *out, const sc_tensor *tensor, uint64_t first, size_t n)                                            \
    {                                                                                                                  \
        const size_t size = sc_dtype_size(tensor->dtype);                                                              \
        const unsigned char *at = tensor->data + first * size;                                                         \
        switch (tensor->dtype) {                                                                                       \
        case SC_DTYPE_F64:                                                                                             \
            EACH((type)load_f64(at));                                                                                  \
        case SC_DTYPE_F32:                                                                                             \
            EACH((type)load_f32(at));                                                                                  \
        case SC_DTYPE_F16:                                                                                             \
            EACH((type)sc_float_from_half(load_u16(at)));                                                              \
        case SC_DTYPE_BF16:                                                                                            \
            EACH((type)sc_float_from_bfloat(load_u16(at)));                                                            \
        case SC_DTYPE_I64:                                                                                             \
            EACH((type)load_i64(at));                                                                                  \
        case SC_DTYPE_I32:                                                                                             \
            EACH((type)load_i32(at));                                                                                  \
        case SC_DTYPE_I16:                                                                                             \
            EACH((type)load_i16(at));                                                                                  \
        case SC_DTYPE_I8:                                                                                              \
            EACH((type)load_i8(at));                                                                                   \
        case SC_DTYPE_U64:                                                                                             \
            EACH((type)load_u64(at));                                                                                  \
        case SC_DTYPE_U32:                                                                                             \
            EACH((type)load_u32(at));                                                                                  \
        case SC_DTYPE_U16:                                                                                             \
            EACH((type)load_u16(at));                                                                                  \
        case SC_DTYPE_U8:                                                                                              \
        case SC_DTYPE_BOOL:                                                                                            \
            EACH((type)load_u8(at));                                                                                   \
        }                                                                                                              \
    }

GET(float, sc_tensor_get_floats)
GET(double, sc_tensor_get_doubles)

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of a transformer layer around the matrix products: embedding, RMSNorm, RoPE with the KV store, attention.
 *
 * Built per model: HEADS, KV_HEADS, HEAD (head size). Rows are tokens to run: row r has token[r], position[r] and a
 * page list pages[table[r]], pages[table[r] + 1], .. that covers positions 0 .. position[r].
 *
 * A KV page holds SC_PAGE positions of one layer: keys [KV_HEADS][HEAD][SC_PAGE], values
 * [KV_HEADS][HEAD_PAD / 16][SC_PAGE][16]. With KV_BF16 they are rounded to bf16, two in a word, the even one in the low
 * half: keys [KV_HEADS][HEAD / 2][SC_PAGE], pairs along the head, values [KV_HEADS][HEAD_PAD / 16][SC_PAGE / 2][16],
 * pairs of positions; queries and weights are rounded too, and sums are those of gemm_bf16.cl. KV_BF16 is 2 where the
 * processor multiplies such pairs and 1 where that is imitated, with the same bits.
 *
 * Work-group: LSZ items; one row (embed, norm, rope_store), or one row and KV head (attention; on CPUs: several rows).
 *
 * Precision: fp32. No result depends on any other row: sums run over constant places, attention over pages in order, in
 * chunks of pages counted from position 0. C reference: sc_reference_logits (float64).
 */
#include "abi.h"
#include "bf16.h"
#include "softmax.h"
#include "vector.h"

#pragma OPENCL FP_CONTRACT OFF

#define GROUP (HEADS / KV_HEADS)
#define HEAD_PAD ((HEAD + 15) / 16 * 16)
#define QKV ((HEADS + 2 * KV_HEADS) * HEAD)

/* What keys, values and their counterparts are made of, and how many numbers one of it holds. */
#ifdef KV_BF16
typedef uint kv_word;
#define PER_WORD 2
#else
typedef float kv_word;
#define PER_WORD 1
#endif
#define KEY_PAGE (KV_HEADS * HEAD / PER_WORD * SC_PAGE) /* words */
#define VALUE_PAGE (KV_HEADS * HEAD_PAD * SC_PAGE / PER_WORD)

#if LSZ > 1
#define SYNC() barrier(CLK_LOCAL_MEM_FENCE)
#else
#define SYNC()
#endif

/* x [N, width] = rows `token` of a packed matrix; tokens outside this part's panels are left to another launch.
 * Floor: 4 width bytes written per row and width lines of 64 bytes read: a row of W lies across its panel. */
__kernel void embed(__global float *x, __global const int *token, __global const uint *panels, const uint first_panel,
                    const uint n_panels, const uint width, const uint form)
{
    const uint row = get_group_id(0), id = (uint)token[row], panel = id / SC_PANEL;
    if (panel < first_panel || panel >= first_panel + n_panels) {
        return;
    }
    const uint j = id % SC_PANEL;
    const uint words = form == SC_PANELS_PAIRS ? (width + 1) / 2 * 32 : width * (form == SC_PANELS_BF16 ? 16 : 32);
    __global const uint *from = panels + (size_t)(panel - first_panel) * words;
    for (uint i = get_local_id(0); i < width; i += LSZ) {
        uint bits;
        if (form == SC_PANELS_PAIRS) {
            const uint word = from[i / 2 * 32 + j];
            bits = i % 2 == 0 ? word << 16 : word & 0xffff0000u;
        } else if (form == SC_PANELS_BF16) {
            const uint word = from[i * 16 + j % 16];
            bits = j < 16 ? word << 16 : word & 0xffff0000u;
        } else {
            bits = from[i * 32 + j];
        }
        x[(size_t)row * width + i] = as_float(bits);
    }
}

/* y = x / rms * gain; rounded: in bf16, two values in a word, as products with bf16 rows take them.
 * Floor: 8 width bytes of a row (6 rounded). */
__kernel void norm(__global float *y, __global const float *x, __global const float *gain, const uint width,
                   const float epsilon, const uint rounded)
{
    const uint row = get_group_id(0);
    __global const float *from = x + (size_t)row * width;
    __global float *to = y + (size_t)row * (rounded ? (width + 1) / 2 : width);
    __global ushort *values = (__global ushort *)to;
#if LSZ > 1
    __local float part[LSZ];
    const uint lid = get_local_id(0);
    float mine = 0.0f;
    for (uint i = lid; i < width; i += LSZ) {
        mine = fma(from[i], from[i], mine);
    }
    part[lid] = mine;
    for (uint step = LSZ / 2; step > 0; step /= 2) {
        SYNC();
        if (lid < step) {
            part[lid] += part[lid + step];
        }
    }
    SYNC();
    const float scale = 1.0f / sqrt(part[0] / (float)width + epsilon);
    for (uint i = lid; i < width; i += LSZ) {
        const float v = from[i] * scale * gain[i];
        if (rounded) {
            values[i] = (ushort)sc_bf16(v);
        } else {
            to[i] = v;
        }
    }
    if (rounded && width % 2 != 0 && lid == 0) {
        values[width] = 0; /* half a word */
    }
#else
    float16 sum = 0.0f;
    uint i = 0;
    for (; i + 16 <= width; i += 16) {
        const float16 v = SC_CONST_VECTOR16(from + i);
        sum = fma(v, v, sum);
    }
    const float8 s8 = sum.lo + sum.hi;
    const float4 s4 = s8.lo + s8.hi;
    float total = (s4.s0 + s4.s2) + (s4.s1 + s4.s3);
    for (; i < width; i++) {
        total = fma(from[i], from[i], total);
    }
    const float scale = 1.0f / sqrt(total / (float)width + epsilon);
    for (i = 0; i + 16 <= width; i += 16) {
        const float16 v = SC_CONST_VECTOR16(from + i) * scale * SC_CONST_VECTOR16(gain + i);
        if (rounded) {
            sc_put_bf16(values + i, v, 16);
        } else {
            SC_VECTOR16(to + i) = v;
        }
    }
    for (; i < width; i++) {
        const float v = from[i] * scale * gain[i];
        if (rounded) {
            values[i] = (ushort)sc_bf16(v);
        } else {
            to[i] = v;
        }
    }
    if (rounded && width % 2 != 0) {
        values[width] = 0; /* half a word */
    }
#endif
}

/* Queries and keys of qkv, head by head and in place: x / rms * gain; gain [2, HEAD]: of queries, of keys. One item
 * takes a whole head, so that the sum has one order everywhere. Floor: 8 (HEADS + KV_HEADS) HEAD bytes of a row. */
__kernel void head_norm(__global float *qkv, __global const float *gain, const float epsilon)
{
    __global float *q = qkv + (size_t)get_group_id(0) * QKV;
    for (uint h = get_local_id(0); h < HEADS + KV_HEADS; h += LSZ) {
        __global float *x = q + h * HEAD;
        __global const float *by = h < HEADS ? gain : gain + HEAD;
        float4 sums = 0.0f;
        uint i = 0;
        for (; i + 4 <= HEAD; i += 4) {
            const float4 v = vload4(0, x + i);
            sums = fma(v, v, sums);
        }
        float total = (sums.x + sums.z) + (sums.y + sums.w);
        for (; i < HEAD; i++) {
            total = fma(x[i], x[i], total);
        }
        const float scale = 1.0f / sqrt(total / (float)HEAD + epsilon);
        for (i = 0; i < HEAD; i++) {
            x[i] = x[i] * scale * by[i];
        }
    }
}

/* Rotates q in place, stores rotated k and v in the row's page. angle [positions][HEAD / 2]: (cos, sin).
 * Floor: 8 (HEADS + 2 KV_HEADS) HEAD bytes of a row, 4 KV_HEADS HEAD fewer where pages are bf16. */
__kernel void rope_store(__global float *qkv, __global kv_word *keys, __global kv_word *values,
                         __global const int *position, __global const int *table, __global const int *pages,
                         __global const float2 *angle)
{
    const uint row = get_group_id(0), at = (uint)position[row], slot = at % SC_PAGE;
    const size_t page = (size_t)pages[table[row] + (int)(at / SC_PAGE)];
    __global float *q = qkv + (size_t)row * QKV, *k = q + HEADS * HEAD, *v = k + KV_HEADS * HEAD;
    __global const float2 *turn = angle + (size_t)at * (HEAD / 2);
#ifdef KV_BF16
    __global ushort *to_k = (__global ushort *)(keys + page * KEY_PAGE + slot);
    __global ushort *to_v = (__global ushort *)(values + page * VALUE_PAGE + slot / 2 * 16) + slot % 2;
#define KEY_AT(i) to_k[(i) / 2 * (2 * SC_PAGE) + (i) % 2]
#define VALUE_AT(i) to_v[(i) / HEAD * (HEAD_PAD * SC_PAGE) + (i) % HEAD / 16 * (16 * SC_PAGE) + (i) % HEAD % 16 * 2]
#define STORED(x) ((ushort)sc_bf16(x))
#else
    __global float *to_k = keys + page * KEY_PAGE + slot;
    __global float *to_v = values + page * VALUE_PAGE + slot * 16;
#define KEY_AT(i) to_k[(i)*SC_PAGE]
#define VALUE_AT(i) to_v[(i) / HEAD * (HEAD_PAD * SC_PAGE) + (i) % HEAD / 16 * (16 * SC_PAGE) + (i) % HEAD % 16]
#define STORED(x) (x)
#endif
#if LSZ == 1 && HEAD % 32 == 0
    for (uint d = 0; d < HEAD / 2; d += 16) {
        __global const float *t = (__global const float *)(turn + d);
        const float16 first = SC_CONST_VECTOR16(t), second = SC_CONST_VECTOR16(t + 16);
        const float16 c = (float16)(first.even, second.even), s = (float16)(first.odd, second.odd);
        for (uint h = 0; h < HEADS; h++) {
            __global float *x = q + h * HEAD + d;
            const float16 a = SC_VECTOR16(x), b = SC_VECTOR16(x + HEAD / 2);
            SC_VECTOR16(x) = fma(a, c, -(b * s));
            SC_VECTOR16(x + HEAD / 2) = fma(b, c, a * s);
        }
        for (uint h = 0; h < KV_HEADS; h++) {
            __global const float *x = k + h * HEAD + d;
            const float16 a = SC_CONST_VECTOR16(x), b = SC_CONST_VECTOR16(x + HEAD / 2);
            const float16 turned[2] = {fma(a, c, -(b * s)), fma(b, c, a * s)};
            const float *from = (const float *)turned;
            for (uint i = 0; i < 16; i++) {
                KEY_AT(h * HEAD + d + i) = STORED(from[i]);
                KEY_AT(h * HEAD + d + i + HEAD / 2) = STORED(from[16 + i]);
            }
        }
    }
    for (uint h = 0; h < KV_HEADS; h++) {
        for (uint i = 0; i < HEAD; i += 16) {
#ifdef KV_BF16
            const uint16 rounded = sc_bf1616(SC_CONST_VECTOR16(v + h * HEAD + i));
            const uint *from = (const uint *)&rounded;
            for (uint j = 0; j < 16; j++) {
                VALUE_AT(h * HEAD + i + j) = (ushort)from[j];
            }
#else
            SC_VECTOR16(&VALUE_AT(h * HEAD + i)) = SC_CONST_VECTOR16(v + h * HEAD + i);
#endif
        }
    }
#else
    for (uint i = get_local_id(0); i < HEADS * (HEAD / 2); i += LSZ) {
        __global float *pair = q + i / (HEAD / 2) * HEAD + i % (HEAD / 2);
        const float2 t = turn[i % (HEAD / 2)];
        const float a = pair[0], b = pair[HEAD / 2];
        pair[0] = fma(a, t.x, -(b * t.y));
        pair[HEAD / 2] = fma(b, t.x, a * t.y);
    }
    for (uint i = get_local_id(0); i < KV_HEADS * (HEAD / 2); i += LSZ) {
        const uint h = i / (HEAD / 2), d = i % (HEAD / 2);
        const float2 t = turn[d];
        const float a = k[h * HEAD + d], b = k[h * HEAD + d + HEAD / 2];
        KEY_AT(h * HEAD + d) = STORED(fma(a, t.x, -(b * t.y)));
        KEY_AT(h * HEAD + d + HEAD / 2) = STORED(fma(b, t.x, a * t.y));
    }
    for (uint i = get_local_id(0); i < KV_HEADS * HEAD; i += LSZ) {
        VALUE_AT(i) = STORED(v[i]);
    }
#endif
}

/* pair [N, 2]: pages (to, from) of keys and values of one layer; no page is both. Floor: 16 KV_HEADS HEAD SC_PAGE bytes
 * of a pair. */
__kernel void copy_pages(__global kv_word *keys, __global kv_word *values, __global const int *pair)
{
    const size_t to = (size_t)pair[2 * get_group_id(0)], from = (size_t)pair[2 * get_group_id(0) + 1];
    const size_t n_k = KEY_PAGE / 16, n_v = VALUE_PAGE / 16;
    __global float16 *k = (__global float16 *)keys, *v = (__global float16 *)values;
    for (size_t i = get_local_id(0); i < n_k; i += LSZ) {
        k[to * n_k + i] = k[from * n_k + i];
    }
    for (size_t i = get_local_id(0); i < n_v; i += LSZ) {
        v[to * n_v + i] = v[from * n_v + i];
    }
}

/* Row i of all that is to_..., is row index[i]: hidden states, queries (keys and values are in their pages), where it
 * stands. Floor: 8 (width + HEADS HEAD) bytes of a row. */
__kernel void keep(__global float *to_x, __global float *to_qkv, __global int *to_position, __global int *to_table,
                   __global const float *x, __global const float *qkv, __global const int *position,
                   __global const int *table, __global const int *index, const uint width)
{
    const uint row = get_group_id(0), from = (uint)index[row];
    for (uint i = get_local_id(0); i < width; i += LSZ) {
        to_x[(size_t)row * width + i] = x[(size_t)from * width + i];
    }
    for (uint i = get_local_id(0); i < HEADS * HEAD; i += LSZ) {
        to_qkv[(size_t)row * QKV + i] = qkv[(size_t)from * QKV + i];
    }
    if (get_local_id(0) == 0) {
        to_position[row] = position[from];
        to_table[row] = table[from];
    }
}

#if LSZ == 1
#include "attention_cpu.h"
#else
#include "attention_group.h"
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of a transformer layer around the matrix products: embedding, RMSNorm, RoPE with the KV store, attention.
 *
 * Built per model: HEADS, KV_HEADS, HEAD (head size). Rows are tokens to run: row r has token[r], position[r] and a
 * page list pages[table[r]], pages[table[r] + 1], .. that covers positions 0 .. position[r]. A KV page holds SC_PAGE
 * positions of one layer: keys [KV_HEADS][HEAD][SC_PAGE], values [KV_HEADS][HEAD_PAD / 16][SC_PAGE][16]. Work-group:
 * LSZ items; one row (embed, norm, rope_store), or one row and KV head (attention; on CPUs: several rows). Precision:
 * fp32. No result depends on any other row: sums run over constant places, attention over pages in order, in chunks of
 * SC_ATTENTION_PAGES pages counted from position 0. C reference: sc_reference_logits (float64).
 */
#include "abi.h"
#include "bf16.h"
#include "exp.h"
#include "vector.h"

#pragma OPENCL FP_CONTRACT OFF

#define GROUP (HEADS / KV_HEADS)
#define HEAD_PAD ((HEAD + 15) / 16 * 16)
#define QKV ((HEADS + 2 * KV_HEADS) * HEAD)

#if LSZ > 1
#define SYNC() barrier(CLK_LOCAL_MEM_FENCE)
#else
#define SYNC()
#endif

/* x [N, width] = rows `token` of a packed matrix; tokens outside this part's panels are left to another launch. */
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

/* y = x / rms * gain; rounded: in bf16, two values in a word, as products with bf16 rows take them. */
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

/* Rotates q in place, stores rotated k and v in the row's page. angle [positions][HEAD / 2]: (cos, sin). */
__kernel void rope_store(__global float *qkv, __global float *keys, __global float *values,
                         __global const int *position, __global const int *table, __global const int *pages,
                         __global const float2 *angle)
{
    const uint row = get_group_id(0), at = (uint)position[row], slot = at % SC_PAGE;
    const size_t page = (size_t)pages[table[row] + (int)(at / SC_PAGE)];
    __global float *q = qkv + (size_t)row * QKV, *k = q + HEADS * HEAD, *v = k + KV_HEADS * HEAD;
    __global const float2 *turn = angle + (size_t)at * (HEAD / 2);
    __global float *to_k = keys + page * (KV_HEADS * HEAD * SC_PAGE) + slot;
    __global float *to_v = values + page * (KV_HEADS * HEAD_PAD * SC_PAGE) + slot * 16;
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
            __global float *to = to_k + (h * HEAD + d) * SC_PAGE;
            for (uint i = 0; i < 16; i++) {
                to[i * SC_PAGE] = from[i];
                to[(i + HEAD / 2) * SC_PAGE] = from[16 + i];
            }
        }
    }
    for (uint h = 0; h < KV_HEADS; h++) {
        for (uint i = 0; i < HEAD; i += 16) {
            SC_VECTOR16(to_v + h * (HEAD_PAD * SC_PAGE) + i * SC_PAGE) = SC_CONST_VECTOR16(v + h * HEAD + i);
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
        to_k[(h * HEAD + d) * SC_PAGE] = fma(a, t.x, -(b * t.y));
        to_k[(h * HEAD + d + HEAD / 2) * SC_PAGE] = fma(b, t.x, a * t.y);
    }
    for (uint i = get_local_id(0); i < KV_HEADS * HEAD; i += LSZ) {
        to_v[i / HEAD * (HEAD_PAD * SC_PAGE) + i % HEAD / 16 * (16 * SC_PAGE) + i % HEAD % 16] = v[i];
    }
#endif
}

/* pair [N, 2]: pages (to, from) of keys and values of one layer; no page is both. Floor: 16 KV_HEADS HEAD SC_PAGE bytes
 * of a pair. */
__kernel void copy_pages(__global float *keys, __global float *values, __global const int *pair)
{
    const size_t to = (size_t)pair[2 * get_group_id(0)], from = (size_t)pair[2 * get_group_id(0) + 1];
    const size_t n_k = KV_HEADS * HEAD * SC_PAGE / 16, n_v = KV_HEADS * HEAD_PAD * SC_PAGE / 16;
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

#define VECTORS (HEAD_PAD / 16)
#define UNROLL __attribute__((opencl_unroll_hint))
#define UNROLL_4 __attribute__((opencl_unroll_hint(4)))
#ifdef __clang__
#pragma clang diagnostic ignored                                                                                       \
    "-Wpass-failed" /* heads so large that UNROLL_4 is not followed need no word about it */
#endif
#define CHUNK (SC_ATTENTION_PAGES * SC_PAGE)

/* Heads, pages and vectors whose sums are in registers together: enough of them to keep the multipliers busy, few
 * enough to leave registers for what is loaded. */
#define HEADS_AT_ONCE                                                                                                  \
    (GROUP <= 8 ? GROUP : GROUP % 8 == 0 ? 8 : GROUP % 7 == 0 ? 7 : GROUP % 6 == 0 ? 6 : GROUP % 5 == 0 ? 5 : 1)
#define PAGES_AT_ONCE (HEADS_AT_ONCE <= 2 ? 8 : HEADS_AT_ONCE <= 5 ? 4 : 2)
#define MOST_VECTORS (HEADS_AT_ONCE <= 2 ? 8 : HEADS_AT_ONCE <= 5 ? 4 : 2)
#define VECTORS_AT_ONCE                                                                                                \
    (VECTORS <= MOST_VECTORS                 ? VECTORS                                                                 \
     : MOST_VECTORS >= 8 && VECTORS % 8 == 0 ? 8                                                                       \
     : MOST_VECTORS >= 4 && VECTORS % 4 == 0 ? 4                                                                       \
     : MOST_VECTORS >= 3 && VECTORS % 3 == 0 ? 3                                                                       \
     : VECTORS % 2 == 0                      ? 2                                                                       \
                                             : 1)

/* Heads of a group by eights: their maxima, sums and factors lie side by side in one vector. */
#define EIGHTS ((GROUP + 7) / 8)

static float16 larger(const float16 a, const float16 b)
{
    return a > b ? a : b; /* NaN comes out again with the sums */
}

static float16 sum_of(const float16 a, const float16 b)
{
    return a + b;
}

/* Each of eight vectors folded to one number, halves first: lane i with i + 8, then i + 4, i + 2, i + 1. Vectors share
 * every step but the last. */
#define DEFINE_FOLD(name, both)                                                                                        \
    static float8 name(const float16 *v)                                                                               \
    {                                                                                                                  \
        float16 a[4], b[2];                                                                                            \
        UNROLL                                                                                                         \
        for (int i = 0; i < 4; i++) {                                                                                  \
            a[i] = both((float16)(v[i].lo, v[i + 4].lo), (float16)(v[i].hi, v[i + 4].hi));                             \
        }                                                                                                              \
        UNROLL                                                                                                         \
        for (int i = 0; i < 2; i++) {                                                                                  \
            const float16 x = a[i], y = a[i + 2];                                                                      \
            b[i] = both((float16)(x.s0123, y.s0123, x.s89ab, y.s89ab), (float16)(x.s4567, y.s4567, x.scdef, y.scdef)); \
        }                                                                                                              \
        const float16 x = b[0], y = b[1];                                                                              \
        const float16 c = both((float16)(x.s01, y.s01, x.s45, y.s45, x.s89, y.s89, x.scd, y.scd),                      \
                               (float16)(x.s23, y.s23, x.s67, y.s67, x.sab, y.sab, x.sef, y.sef));                     \
        return both(c, c.s1032547698badcfe).s02468ace;                                                                 \
    }

DEFINE_FOLD(fold_highest, larger)
DEFINE_FOLD(fold_total, sum_of)

/* One place of the head against n pages. Where a number meets two vectors it is read from two addresses that look
 * different: the multiply-add then takes it from memory by itself, where a broadcast of its own would cost a shuffle.
 */
#define SCORE_PLACE(n)                                                                                                 \
    {                                                                                                                  \
        float16 key[n];                                                                                                \
        UNROLL                                                                                                         \
        for (int j = 0; j < n; j++) {                                                                                  \
            key[j] = page[j][d];                                                                                       \
        }                                                                                                              \
        UNROLL                                                                                                         \
        for (int g = 0; g < HEADS_AT_ONCE; g++) {                                                                      \
            UNROLL                                                                                                     \
            for (int j = 0; j < n; j++) {                                                                              \
                const float query = n == 2 && j == 1 ? x_again[g * HEAD + d] : x[g * HEAD + d];                        \
                chain[g][j] = fma((float16)(query), key[j], chain[g][j]);                                              \
            }                                                                                                          \
        }                                                                                                              \
        d++;                                                                                                           \
    }

/* weight [GROUP][SC_ATTENTION_PAGES] = scores of the positions of pages p .. p + n - 1 of the chunk; those after `left`
 * are -inf. On the way a quarter of a page of keys and one of values are asked for, from the addresses `ahead` on. */
#define SCORE(n)                                                                                                       \
    static void score_##n(float16 *weight, const float *q, __global const float *keys, __global const int *list,       \
                          const int p, const int left, const ulong2 ahead)                                             \
    {                                                                                                                  \
        const int16 lane = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);                              \
        __global const float16 *page[n];                                                                               \
        UNROLL                                                                                                         \
        for (int j = 0; j < n; j++) {                                                                                  \
            page[j] = (__global const float16 *)(keys + (size_t)list[p + j] * (KV_HEADS * HEAD * SC_PAGE));            \
        }                                                                                                              \
        for (int first = 0; first < GROUP; first += HEADS_AT_ONCE) {                                                   \
            const float *x = q + first * HEAD, *x_again = x;                                                           \
            SC_APART(x_again);                                                                                         \
            float16 *to = weight + first * SC_ATTENTION_PAGES + p;                                                     \
            float16 chain[HEADS_AT_ONCE][n];                                                                           \
            UNROLL                                                                                                     \
            for (int g = 0; g < HEADS_AT_ONCE; g++) {                                                                  \
                UNROLL                                                                                                 \
                for (int j = 0; j < n; j++) {                                                                          \
                    chain[g][j] = 0.0f;                                                                                \
                }                                                                                                      \
            }                                                                                                          \
            int d = 0;                                                                                                 \
            while (d + 4 <= HEAD) {                                                                                    \
                SC_FETCH(ahead.x + (uint)d * 16);                                                                      \
                SC_FETCH(ahead.y + (uint)d * 16);                                                                      \
                SCORE_PLACE(n)                                                                                         \
                SCORE_PLACE(n)                                                                                         \
                SCORE_PLACE(n)                                                                                         \
                SCORE_PLACE(n)                                                                                         \
            }                                                                                                          \
            while (d < HEAD) {                                                                                         \
                SCORE_PLACE(n)                                                                                         \
            }                                                                                                          \
            if (left < (p + n) * SC_PAGE - 1) {                                                                        \
                UNROLL                                                                                                 \
                for (int g = 0; g < HEADS_AT_ONCE; g++) {                                                              \
                    UNROLL                                                                                             \
                    for (int j = 0; j < n; j++) {                                                                      \
                        chain[g][j] = lane + (p + j) * SC_PAGE > left ? (float16)(-INFINITY) : chain[g][j];            \
                    }                                                                                                  \
                }                                                                                                      \
            }                                                                                                          \
            UNROLL                                                                                                     \
            for (int g = 0; g < HEADS_AT_ONCE; g++) {                                                                  \
                UNROLL                                                                                                 \
                for (int j = 0; j < n; j++) {                                                                          \
                    to[g * SC_ATTENTION_PAGES + j] = chain[g][j];                                                      \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }

SCORE(8)
SCORE(4)
SCORE(2)
SCORE(1)

/* The same for pages p .. end - 1, at most PAGES_AT_ONCE. */
static void score(float16 *weight, const float *q, __global const float *keys, __global const int *list, int p,
                  const int end, const int left, const ulong2 ahead)
{
#define SCORE_BY(n)                                                                                                    \
    for (; PAGES_AT_ONCE >= n && p + n <= end; p += n) {                                                               \
        score_##n(weight, q, keys, list, p, left, ahead);                                                              \
    }
    SCORE_BY(8)
    SCORE_BY(4)
    SCORE_BY(2)
    SCORE_BY(1)
}

/* Asks for part `part` of `parts` of the pages p .. p + PAGES_AT_ONCE - 1, as far as there are any. */
static void fetch(__global const float *pages, const uint bytes, __global const int *list, const int p,
                  const int n_pages, const int part, const int parts)
{
    const uint n_lines = bytes / 64, from = n_lines * part / parts, to = n_lines * (part + 1) / parts;
    for (int j = p; j < min(p + PAGES_AT_ONCE, n_pages); j++) {
        const uintptr_t page = (uintptr_t)pages + (uintptr_t)list[j] * (KV_HEADS * bytes);
        for (uint i = from; i < to; i++) {
            SC_FETCH(page + i * 64);
        }
    }
}

/* What row r of n_here, at page p of a chunk, asks for: score() one quarter of a page of keys and of one of values,
 * further rows the next quarters; what few rows would leave out is asked for here. */
static ulong2 ask(__global const float *keys, __global const float *values, __global const int *list, const int p,
                  const int n_pages, const int r, const int n_here)
{
    const int page = r / 4 % PAGES_AT_ONCE, quarter = r % 4;
    const ulong key_page = (ulong)list[min(p + PAGES_AT_ONCE + page, n_pages - 1)];
    const ulong value_page = (ulong)list[min(p + page, n_pages - 1)];
    if (n_here < 4 * PAGES_AT_ONCE) {
        fetch(keys, HEAD * SC_PAGE * 4, list, p + PAGES_AT_ONCE, n_pages, r, n_here);
        fetch(values, HEAD_PAD * SC_PAGE * 4, list, p, n_pages, r, n_here);
    }
    return (ulong2)((ulong)(uintptr_t)keys + (key_page * (KV_HEADS * 4) + quarter) * (HEAD * SC_PAGE),
                    (ulong)(uintptr_t)values + (value_page * (KV_HEADS * 4) + quarter) * (HEAD_PAD * SC_PAGE));
}

/* The highest of the scores of `here` pages, of every head of eight `e`. */
static float8 peaks_of(const float16 *weight, const int e, const int here)
{
    float16 top[8];
    UNROLL
    for (int g = 0; g < 8; g++) {
        const float16 *from = weight + (e * 8 + g) * SC_ATTENTION_PAGES;
        top[g] = e * 8 + g < GROUP ? from[0] : top[0];
        for (int p = 1; p < here && e * 8 + g < GROUP; p++) {
            top[g] = larger(from[p], top[g]);
        }
    }
    return fold_highest(top);
}

/* Scores of one page and head g to 2^(score - peak), gathered on the way. */
#define SOFTEN(page, g)                                                                                                \
    {                                                                                                                  \
        const float16 soft = sc_exp2_falling16((page)[(g)*SC_ATTENTION_PAGES] - peak[first + (g)]);                    \
        (page)[(g)*SC_ATTENTION_PAGES] = soft;                                                                         \
        gathered[g] += soft;                                                                                           \
    }

/* The next position's values times its weights; weights are read as queries are above. */
#define ADD_POSITION                                                                                                   \
    {                                                                                                                  \
        float16 x[VECTORS_AT_ONCE];                                                                                    \
        UNROLL                                                                                                         \
        for (int v = 0; v < VECTORS_AT_ONCE; v++) {                                                                    \
            x[v] = ((__global const float16 *)from)[v * SC_PAGE];                                                      \
        }                                                                                                              \
        UNROLL                                                                                                         \
        for (int g = 0; g < HEADS_AT_ONCE; g++) {                                                                      \
            UNROLL                                                                                                     \
            for (int v = 0; v < VECTORS_AT_ONCE; v++) {                                                                \
                const float share = VECTORS_AT_ONCE == 2 && v == 1 ? w_again[g * CHUNK] : w[g * CHUNK];                \
                part[g][v] = fma((float16)(share), x[v], part[g][v]);                                                  \
            }                                                                                                          \
        }                                                                                                              \
        from += 16;                                                                                                    \
        w++;                                                                                                           \
        w_again++;                                                                                                     \
    }

#define VALUES_OF(begin)                                                                                               \
    (values + (size_t)list[(begin) / SC_PAGE] * (KV_HEADS * HEAD_PAD * SC_PAGE) + vector * (16 * SC_PAGE))

/* sum [GROUP][VECTORS] = sum * shrink + the weighted values of n positions, for VECTORS_AT_ONCE vectors of the head
 * from `vector` on; slots past them hold anything. Together with the first vectors the weights are made from the
 * scores, a page ahead, and `added` [GROUP] from them: most of that work goes to units of the processor that
 * multiply-adds leave idle. */
static void add_values(float16 *sum, float16 *added, const float *shrink, const float *peak, float16 *weight,
                       __global const float *values, __global const int *list, const int vector, const int n_positions)
{
    for (int first = 0; first < GROUP; first += HEADS_AT_ONCE) {
        float16 *const page = weight + first * SC_ATTENTION_PAGES;
        const float *w = (const float *)page, *w_again = w;
        SC_APART(w_again);
        float16 part[HEADS_AT_ONCE][VECTORS_AT_ONCE], gathered[HEADS_AT_ONCE];
        int begin = 0;
        UNROLL
        for (int g = 0; g < HEADS_AT_ONCE; g++) {
            UNROLL
            for (int v = 0; v < VECTORS_AT_ONCE; v++) {
                part[g][v] = 0.0f;
            }
        }
        if (vector == 0) {
            UNROLL
            for (int g = 0; g < HEADS_AT_ONCE; g++) {
                gathered[g] = 0.0f;
                SOFTEN(page, g)
            }
            for (; begin + SC_PAGE < n_positions; begin += SC_PAGE) {
                __global const float *from = VALUES_OF(begin);
                float16 *const next = page + begin / SC_PAGE + 1;
                UNROLL
                for (int s = 0; s < SC_PAGE; s++) {
                    if (s % 2 == 0 && s / 2 < HEADS_AT_ONCE) {
                        SOFTEN(next, s / 2)
                    }
                    ADD_POSITION
                }
            }
            UNROLL
            for (int g = 0; g < HEADS_AT_ONCE; g++) {
                added[first + g] = gathered[g];
            }
        }
        for (; begin < n_positions; begin += SC_PAGE) {
            __global const float *from = VALUES_OF(begin);
            const int n = min(SC_PAGE, n_positions - begin);
            UNROLL_4
            for (int s = 0; s < n; s++) {
                ADD_POSITION
            }
        }
        UNROLL
        for (int g = 0; g < HEADS_AT_ONCE; g++) {
            UNROLL
            for (int v = 0; v < VECTORS_AT_ONCE; v++) {
                float16 *to = sum + (first + g) * VECTORS + vector + v;
                *to = *to * shrink[first + g] + part[g][v];
            }
        }
    }
}

/* out [N, HEADS * HEAD]: softmax of q k / sqrt(HEAD) over positions 0 .. position[row], times the values. `scale` holds
 * log2(e), as weights are powers of 2. Work-item: one KV head and one of n_tiles runs of neighbouring rows, all of
 * which go through a few pages before the next ones: where they share pages (draws of one prompt, tokens of one
 * prompt), keys and values come from memory once for all of them. Nothing of a row depends on its tile. Floor, per KV
 * head: 2 * HEAD * GROUP fma per row and position (16 to an instruction), and the distinct pages once. */
__kernel void attention(__global float *out, __global const float *qkv, __global const float *keys,
                        __global const float *values, __global const int *position, __global const int *table,
                        __global const int *pages, const float scale, const uint n_rows, const uint n_tiles)
{
    const uint tile = get_global_id(0) / KV_HEADS, head = get_global_id(0) % KV_HEADS;
    const uint row_first = (uint)((ulong)n_rows * tile / n_tiles);
    const int n_here = (int)((uint)((ulong)n_rows * (tile + 1) / n_tiles) - row_first);
    float q[SC_ATTENTION_ROWS][GROUP * HEAD];
    float16 sum[SC_ATTENTION_ROWS][GROUP * VECTORS], weight[SC_ATTENTION_ROWS][GROUP * SC_ATTENTION_PAGES];
    float8 peak[SC_ATTENTION_ROWS][EIGHTS], mass[SC_ATTENTION_ROWS][EIGHTS], shrink[SC_ATTENTION_ROWS][EIGHTS];
    float16 added[8 * EIGHTS]; /* of heads; what only fills the last eight stays 0 */
    int n_positions[SC_ATTENTION_ROWS], longest = 0;
    keys += head * (HEAD * SC_PAGE);
    values += head * (HEAD_PAD * SC_PAGE);
    for (int r = 0; r < n_here; r++) {
        __global const float *from = qkv + (size_t)(row_first + r) * QKV + head * GROUP * HEAD;
        for (int i = 0; i < GROUP * HEAD; i++) {
            q[r][i] = from[i] * scale;
        }
        for (int i = 0; i < GROUP * VECTORS; i++) {
            sum[r][i] = 0.0f;
        }
        for (int e = 0; e < EIGHTS; e++) {
            peak[r][e] = -INFINITY;
            mass[r][e] = 0.0f;
        }
        longest = max(longest, position[row_first + r] + 1);
    }
    for (int g = 0; g < 8 * EIGHTS; g++) {
        added[g] = 0.0f;
    }
    for (int first = 0; first < longest; first += CHUNK) {
        for (int r = 0; r < n_here; r++) {
            n_positions[r] = clamp(position[row_first + r] + 1 - first, 0, CHUNK);
        }
        for (int p = 0; p < SC_ATTENTION_PAGES; p += PAGES_AT_ONCE) {
            for (int r = 0; r < n_here; r++) {
                __global const int *list = pages + table[row_first + r] + first / SC_PAGE;
                const int n_pages = n_positions[r] > 0 ? (position[row_first + r] - first) / SC_PAGE + 1 : 0;
                if (n_pages > 0) {
                    const ulong2 ahead = ask(keys, values, list, p, n_pages, r, n_here);
                    score(weight[r], q[r], keys, list, p, min(p + PAGES_AT_ONCE, min(n_pages, SC_ATTENTION_PAGES)),
                          n_positions[r] - 1, ahead);
                }
            }
        }
        for (int r = 0; r < n_here; r++) {
            const int here = (n_positions[r] + SC_PAGE - 1) / SC_PAGE;
            for (int e = 0; e < EIGHTS && here > 0; e++) {
                const float8 found = peaks_of(weight[r], e, here), best = found > peak[r][e] ? found : peak[r][e];
                shrink[r][e] = first == 0 ? (float8)(0.0f) : sc_exp2_falling8(peak[r][e] - best);
                peak[r][e] = best;
            }
        }
        for (int vector = 0; vector < VECTORS; vector += VECTORS_AT_ONCE) {
            for (int r = 0; r < n_here; r++) {
                if (n_positions[r] > 0) {
                    add_values(sum[r], added, (const float *)shrink[r], (const float *)peak[r], weight[r], values,
                               pages + table[row_first + r] + first / SC_PAGE, vector, n_positions[r]);
                    for (int e = 0; e < EIGHTS && vector == 0; e++) {
                        mass[r][e] = mass[r][e] * shrink[r][e] + fold_total(added + e * 8);
                    }
                }
            }
        }
    }
    for (int r = 0; r < n_here; r++) {
        for (int g = 0; g < GROUP; g++) {
            __global float *to = out + (size_t)(row_first + r) * (HEADS * HEAD) + (head * GROUP + g) * HEAD;
            const float *from = (const float *)(sum[r] + g * VECTORS);
            for (int d = 0; d < HEAD; d++) {
                to[d] = from[d] / ((const float *)mass[r])[g];
            }
        }
    }
}

#else

/* The same for work-groups: items share the positions of a chunk, then the places of the output. */
__kernel void attention(__global float *out, __global const float *qkv, __global const float *keys,
                        __global const float *values, __global const int *position, __global const int *table,
                        __global const int *pages, const float scale, const uint n_rows, const uint n_tiles)
{
    enum { CHUNK = SC_ATTENTION_PAGES * SC_PAGE, PLACES = (GROUP * HEAD + LSZ - 1) / LSZ };
    __local float q[GROUP * HEAD], weight[GROUP][CHUNK], peak[GROUP], mass[GROUP], shrink[GROUP];
    const uint lid = get_local_id(0), row = get_group_id(0) / KV_HEADS, head = get_group_id(0) % KV_HEADS;
    const uint last = (uint)position[row];
    __global const int *list = pages + table[row];
    __global const float *from = qkv + (size_t)row * QKV + head * GROUP * HEAD;
    float sum[PLACES];
    for (uint i = lid; i < GROUP * HEAD; i += LSZ) {
        q[i] = from[i] * scale;
    }
    for (uint i = 0; i < PLACES; i++) {
        sum[i] = 0.0f;
    }
    for (uint first = 0; first <= last; first += CHUNK) {
        const uint here = min((uint)CHUNK, last - first + 1);
        SYNC();
        for (uint i = lid; i < GROUP * CHUNK; i += LSZ) {
            const uint g = i / CHUNK, at = first + i % CHUNK;
            if (at <= last) {
                const size_t page = (size_t)list[at / SC_PAGE];
                __global const float *k = keys + (page * KV_HEADS + head) * (HEAD * SC_PAGE) + at % SC_PAGE;
                float score = 0.0f;
                for (uint d = 0; d < HEAD; d++) {
                    score = fma(q[g * HEAD + d], k[d * SC_PAGE], score);
                }
                weight[g][i % CHUNK] = score;
            }
        }
        SYNC();
        for (uint g = lid; g < GROUP; g += LSZ) {
            float best = weight[g][0];
            for (uint s = 1; s < here; s++) {
                best = fmax(best, weight[g][s]);
            }
            best = first == 0 ? best : fmax(best, peak[g]);
            shrink[g] = first == 0 ? 0.0f : sc_exp2_falling(peak[g] - best);
            peak[g] = best;
        }
        SYNC();
        for (uint i = lid; i < GROUP * CHUNK; i += LSZ) {
            if (i % CHUNK < here) {
                weight[i / CHUNK][i % CHUNK] = sc_exp2_falling(weight[i / CHUNK][i % CHUNK] - peak[i / CHUNK]);
            }
        }
        SYNC();
        for (uint g = lid; g < GROUP; g += LSZ) {
            float added = 0.0f;
            for (uint s = 0; s < here; s++) {
                added += weight[g][s];
            }
            mass[g] = first == 0 ? added : fma(mass[g], shrink[g], added);
        }
        for (uint i = 0; i < PLACES; i++) {
            const uint place = i * LSZ + lid, g = place / HEAD, d = place % HEAD;
            if (place < GROUP * HEAD) {
                float part = 0.0f;
                for (uint s = 0; s < here; s++) {
                    const size_t page = (size_t)list[(first + s) / SC_PAGE];
                    const size_t place_of = (d / 16 * SC_PAGE + s % SC_PAGE) * 16 + d % 16;
                    part = fma(weight[g][s], values[(page * KV_HEADS + head) * (HEAD_PAD * SC_PAGE) + place_of], part);
                }
                sum[i] = fma(sum[i], shrink[g], part);
            }
        }
    }
    SYNC();
    for (uint i = 0; i < PLACES; i++) {
        const uint place = i * LSZ + lid;
        if (place < GROUP * HEAD) {
            out[(size_t)row * (HEADS * HEAD) + head * GROUP * HEAD + place] = sum[i] / mass[place / HEAD];
        }
    }
}

#endif

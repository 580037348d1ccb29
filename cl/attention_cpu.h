/* SPDX-License-Identifier: Apache-2.0 */
/* Attention of transformer.cl on CPUs: one work-item for one KV head of several rows. */
#ifndef SEMCAL_ATTENTION_CPU_H
#define SEMCAL_ATTENTION_CPU_H

#define VECTORS (HEAD_PAD / 16)
#define UNROLL __attribute__((opencl_unroll_hint))
#define UNROLL_4 __attribute__((opencl_unroll_hint(4)))
#ifdef __clang__
#pragma clang diagnostic ignored                                                                                       \
    "-Wpass-failed" /* heads so large that UNROLL_4 is not followed need no word about it */
#endif
#define CHUNK (SC_ATTENTION_PAGES * SC_PAGE)
#define PLACES (HEAD / PER_WORD)   /* words of a head */
#define SLOTS (SC_PAGE / PER_WORD) /* and of a page's positions */

#ifdef KV_BF16
typedef uint16 kv_word16;
#if KV_BF16 == 2
#include "bf16_unit.h"
#define WITH_BF16 SC_WITH_BF16
#define ADD_PRODUCT(sum, word, words) SC_DOT_BF16(sum, words, (uint16)(word))
#else
#define WITH_BF16
/* As gemm_bf16.cl defines it: the odd numbers, then the even ones, what falls below the normal numbers to 0. */
static float16 flushed16(const float16 x)
{
    return fabs(x) < 0x1p-126f ? copysign((float16)(0.0f), x) : x;
}

static float16 add_pairs(float16 sum, const uint word, const uint16 words)
{
    sum = flushed16(fma((float16)(as_float(word & 0xffff0000u)), as_float16(words & (uint16)(0xffff0000u)), sum));
    return flushed16(fma((float16)(as_float(word << 16)), as_float16(words << 16), sum));
}
#define ADD_PRODUCT(sum, word, words) add_pairs(sum, word, words)
#endif
#else
typedef float16 kv_word16;
#define WITH_BF16
#define ADD_PRODUCT(sum, word, words) fma((float16)(word), words, sum)
#endif

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
        kv_word16 key[n];                                                                                              \
        UNROLL                                                                                                         \
        for (int j = 0; j < n; j++) {                                                                                  \
            key[j] = page[j][d];                                                                                       \
        }                                                                                                              \
        UNROLL                                                                                                         \
        for (int g = 0; g < HEADS_AT_ONCE; g++) {                                                                      \
            UNROLL                                                                                                     \
            for (int j = 0; j < n; j++) {                                                                              \
                const kv_word query = n == 2 && j == 1 ? x_again[g * PLACES + d] : x[g * PLACES + d];                  \
                chain[g][j] = ADD_PRODUCT(chain[g][j], query, key[j]);                                                 \
            }                                                                                                          \
        }                                                                                                              \
        d++;                                                                                                           \
    }

/* weight [GROUP][SC_ATTENTION_PAGES] = scores of the positions of pages p .. p + n - 1 of the chunk; those after `left`
 * are -inf. On the way a quarter of a page of keys and one of values are asked for, from the addresses `ahead` on. */
#define SCORE(n)                                                                                                       \
    WITH_BF16 static void score_##n(float16 *weight, const kv_word *q, __global const kv_word *keys,                   \
                                    __global const int *list, const int p, const int left, const ulong2 ahead)         \
    {                                                                                                                  \
        const int16 lane = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);                              \
        __global const kv_word16 *page[n];                                                                             \
        UNROLL                                                                                                         \
        for (int j = 0; j < n; j++) {                                                                                  \
            page[j] = (__global const kv_word16 *)(keys + (size_t)list[p + j] * KEY_PAGE);                             \
        }                                                                                                              \
        for (int first = 0; first < GROUP; first += HEADS_AT_ONCE) {                                                   \
            const kv_word *x = q + first * PLACES, *x_again = x;                                                       \
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
            while (d + 4 <= PLACES) {                                                                                  \
                SC_FETCH(ahead.x + (uint)d * 16);                                                                      \
                SC_FETCH(ahead.y + (uint)d * 16);                                                                      \
                SCORE_PLACE(n)                                                                                         \
                SCORE_PLACE(n)                                                                                         \
                SCORE_PLACE(n)                                                                                         \
                SCORE_PLACE(n)                                                                                         \
            }                                                                                                          \
            while (d < PLACES) {                                                                                       \
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
WITH_BF16 static void score(float16 *weight, const kv_word *q, __global const kv_word *keys, __global const int *list,
                            int p, const int end, const int left, const ulong2 ahead)
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
static void fetch(__global const kv_word *pages, const uint bytes, __global const int *list, const int p,
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
static ulong2 ask(__global const kv_word *keys, __global const kv_word *values, __global const int *list, const int p,
                  const int n_pages, const int r, const int n_here)
{
    const int page = r / 4 % PAGES_AT_ONCE, quarter = r % 4;
    const ulong key_page = (ulong)list[min(p + PAGES_AT_ONCE + page, n_pages - 1)];
    const ulong value_page = (ulong)list[min(p + page, n_pages - 1)];
    if (n_here < 4 * PAGES_AT_ONCE) {
        fetch(keys, PLACES * SC_PAGE * 4, list, p + PAGES_AT_ONCE, n_pages, r, n_here);
        fetch(values, HEAD_PAD * SLOTS * 4, list, p, n_pages, r, n_here);
    }
    return (ulong2)((ulong)(uintptr_t)keys + (key_page * (KV_HEADS * 4) + quarter) * (PLACES * SC_PAGE),
                    (ulong)(uintptr_t)values + (value_page * (KV_HEADS * 4) + quarter) * (HEAD_PAD * SLOTS));
}

/* The highest of the scores of `here` pages, of every head of eight `e`. */
static float8 peaks_of(const float16 *weight, const int e, const int here)
{
    float16 top[8];
    UNROLL
    for (int g = 0; g < 8; g++) {
        const float16 *from = weight + (e * 8 + g) * SC_ATTENTION_PAGES;
        top[g] = e * 8 + g < GROUP ? from[0] : top[0];
        if (here == SC_ATTENTION_PAGES && e * 8 + g < GROUP) {
            UNROLL
            for (int p = 1; p < SC_ATTENTION_PAGES; p++) {
                top[g] = larger(from[p], top[g]);
            }
        } else {
            for (int p = 1; p < here && e * 8 + g < GROUP; p++) {
                top[g] = larger(from[p], top[g]);
            }
        }
    }
    return fold_highest(top);
}

/* Scores of page p and head g of this turn to 2^(score - peak), gathered on the way. As bf16 they are rounded first,
 * and go to a place of their own. */
#ifdef KV_BF16
#define SOFTEN(p, g)                                                                                                   \
    {                                                                                                                  \
        const uint16 soft =                                                                                            \
            as_uint16(sc_exp2_weight16(weight[(first + (g)) * SC_ATTENTION_PAGES + (p)] - peak[first + (g)]));         \
        ((ushort16 *)share)[(first + (g)) * SC_ATTENTION_PAGES + (p)] = convert_ushort16(soft >> 16);                  \
        gathered[g] += as_float16(soft & (uint16)(0xffff0000u));                                                       \
    }
#else
#define SOFTEN(p, g)                                                                                                   \
    {                                                                                                                  \
        float16 *const soft = weight + (first + (g)) * SC_ATTENTION_PAGES + (p);                                       \
        *soft = sc_exp2_falling16(*soft - peak[first + (g)]);                                                          \
        gathered[g] += *soft;                                                                                          \
    }
#endif

/* The values of the next word of positions times its weights; weights are read as queries are above. */
#define ADD_POSITIONS(x_of)                                                                                            \
    {                                                                                                                  \
        kv_word16 x[VECTORS_AT_ONCE];                                                                                  \
        UNROLL                                                                                                         \
        for (int v = 0; v < VECTORS_AT_ONCE; v++) {                                                                    \
            x[v] = x_of(((__global const kv_word16 *)from)[v * SLOTS]);                                                \
        }                                                                                                              \
        UNROLL                                                                                                         \
        for (int g = 0; g < HEADS_AT_ONCE; g++) {                                                                      \
            UNROLL                                                                                                     \
            for (int v = 0; v < VECTORS_AT_ONCE; v++) {                                                                \
                const int at = g * (CHUNK / PER_WORD);                                                                 \
                const kv_word part_of = VECTORS_AT_ONCE == 2 && v == 1 ? w_again[at] : w[at];                          \
                part[g][v] = ADD_PRODUCT(part[g][v], part_of, x[v]);                                                   \
            }                                                                                                          \
        }                                                                                                              \
        from += 16;                                                                                                    \
        w++;                                                                                                           \
        w_again++;                                                                                                     \
    }
#define WHOLE_WORD(x) (x)
#define EVEN_HALF(x) ((x) & (kv_word16)(0x0000ffffu))

#define VALUES_OF(begin) (values + (size_t)list[(begin) / SC_PAGE] * VALUE_PAGE + vector * (16 * SLOTS))

/* sum [GROUP][VECTORS] = sum * shrink + the weighted values of n positions, for VECTORS_AT_ONCE vectors of the head
 * from `vector` on; slots past them hold anything. Together with the first vectors the weights (`share` [GROUP][CHUNK /
 * PER_WORD]; in fp32 the scores' own place) are made from the scores, a page ahead, and `added` [GROUP] from them: most
 * of that work goes to units of the processor that multiply-adds leave idle. */
WITH_BF16 static void add_values(float16 *sum, float16 *added, const float *shrink, const float *peak, float16 *weight,
                                 kv_word *share, __global const kv_word *values, __global const int *list,
                                 const int vector, const int n_positions)
{
    for (int first = 0; first < GROUP; first += HEADS_AT_ONCE) {
        const kv_word *w = share + first * (CHUNK / PER_WORD), *w_again = w;
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
                SOFTEN(0, g)
            }
            for (; begin + SC_PAGE < n_positions; begin += SC_PAGE) {
                __global const kv_word *from = VALUES_OF(begin);
                const int next = begin / SC_PAGE + 1;
                UNROLL
                for (int s = 0; s < SLOTS; s++) {
                    if (s % (2 / PER_WORD) == 0 && s / (2 / PER_WORD) < HEADS_AT_ONCE) {
                        SOFTEN(next, s / (2 / PER_WORD))
                    }
                    ADD_POSITIONS(WHOLE_WORD)
                }
            }
            UNROLL
            for (int g = 0; g < HEADS_AT_ONCE; g++) {
                added[first + g] = gathered[g];
            }
        }
        for (; begin < n_positions; begin += SC_PAGE) {
            __global const kv_word *from = VALUES_OF(begin);
            const int n = min(SC_PAGE, n_positions - begin);
            UNROLL_4
            for (int s = 0; s < n / PER_WORD; s++) {
                ADD_POSITIONS(WHOLE_WORD)
            }
#if PER_WORD == 2
            if (n % 2 != 0) {
                ADD_POSITIONS(EVEN_HALF)
            }
#endif
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
 * head: 2 * HEAD * GROUP fma per row and position (16 to an instruction, 32 of bf16), and the distinct pages once. */
__kernel void attention(__global float *out, __global const float *qkv, __global const kv_word *keys,
                        __global const kv_word *values, __global const int *position, __global const int *table,
                        __global const int *pages, const float scale, const uint n_rows, const uint n_tiles)
{
    const uint tile = get_global_id(0) % n_tiles, head = get_global_id(0) / n_tiles;
    const uint row_first = (uint)((ulong)n_rows * tile / n_tiles);
    const int n_here = (int)((uint)((ulong)n_rows * (tile + 1) / n_tiles) - row_first);
    kv_word q[SC_ATTENTION_ROWS][GROUP * PLACES];
    float16 sum[SC_ATTENTION_ROWS][GROUP * VECTORS], weight[SC_ATTENTION_ROWS][GROUP * SC_ATTENTION_PAGES];
#ifdef KV_BF16
    uint share[SC_ATTENTION_ROWS][GROUP * (CHUNK / 2)] __attribute__((aligned(64)));
#define SHARES_OF(r) share[r]
#else
#define SHARES_OF(r) ((float *)weight[r])
#endif
    float8 peak[SC_ATTENTION_ROWS][EIGHTS], mass[SC_ATTENTION_ROWS][EIGHTS], shrink[SC_ATTENTION_ROWS][EIGHTS];
    float16 added[8 * EIGHTS]; /* of heads; what only fills the last eight stays 0 */
    int n_positions[SC_ATTENTION_ROWS], longest = 0;
    keys += head * (PLACES * SC_PAGE);
    values += head * (HEAD_PAD * SLOTS);
    for (int r = 0; r < n_here; r++) {
        __global const float *from = qkv + (size_t)(row_first + r) * QKV + head * GROUP * HEAD;
        for (int i = 0; i < GROUP * PLACES; i++) {
#ifdef KV_BF16
            q[r][i] = sc_bf16_pair(from[2 * i] * scale, from[2 * i + 1] * scale);
#else
            q[r][i] = from[i] * scale;
#endif
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
                    add_values(sum[r], added, (const float *)shrink[r], (const float *)peak[r], weight[r], SHARES_OF(r),
                               values, pages + table[row_first + r] + first / SC_PAGE, vector, n_positions[r]);
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

#endif

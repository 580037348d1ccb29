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
#define CHUNK_PAGES 16 /* pages whose weights are made together, by absolute position */
#define CHUNK (CHUNK_PAGES * SC_PAGE)
#define PLACES (HEAD / PER_WORD)   /* words of a head */
#define SLOTS (SC_PAGE / PER_WORD) /* and of a page's positions */

#ifdef KV_BF16
typedef uint16 kv_word16;
#if KV_BF16 == 2
#include "bf16_unit.h"
#define WITH_BF16 SC_WITH_BF16
#define ROUND(x) SC_ROUND_BF16(x)
#define ADD_PRODUCT(sum, word, words) SC_DOT_BF16(sum, words, (uint16)(word))
#else
#define WITH_BF16
#define ROUND(x) convert_ushort16(sc_bf1616(x))
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

/* Heads of a group by eights: their maxima and sums are folded together. */
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
                const kv_word query = n == 2 && j == 1 ? y_again[g * PLACES + d] : y[g * PLACES + d];                  \
                chain[g][j] = ADD_PRODUCT(chain[g][j], query, key[j]);                                                 \
            }                                                                                                          \
        }                                                                                                              \
        d++;                                                                                                           \
    }

/* Four places, and on the way a line of keys and one of values to come. */
#define SCORE_PLACES(n)                                                                                                \
    {                                                                                                                  \
        SC_FETCH(some_keys + (uint)d * 16);                                                                            \
        SC_FETCH(some_values + (uint)d * 16);                                                                          \
        SCORE_PLACE(n)                                                                                                 \
        SCORE_PLACE(n)                                                                                                 \
        SCORE_PLACE(n)                                                                                                 \
        SCORE_PLACE(n)                                                                                                 \
    }
#if PER_WORD == 2 && PLACES % 16 == 0
/* Sixteen at once, and the pointers moved behind them: addresses are then constants beside a pointer, where the
 * compiler would make each from the place's number. In fp32 that costs more than it gives. */
#define PLACES_AT_ONCE 16
#define MOVE_ON(n)                                                                                                     \
    {                                                                                                                  \
        UNROLL                                                                                                         \
        for (int j = 0; j < n; j++) {                                                                                  \
            page[j] += d;                                                                                              \
            SC_APART(page[j]);                                                                                         \
        }                                                                                                              \
        y += d;                                                                                                        \
        y_again += d;                                                                                                  \
        some_keys += (uint)d * 16;                                                                                     \
        some_values += (uint)d * 16;                                                                                   \
        SC_APART(y);                                                                                                   \
        SC_APART(y_again);                                                                                             \
        SC_APART(some_keys);                                                                                           \
        SC_APART(some_values);                                                                                         \
        d = 0;                                                                                                         \
    }
#define SCORE_MORE(n) SCORE_PLACES(n) SCORE_PLACES(n) SCORE_PLACES(n) SCORE_PLACES(n) MOVE_ON(n)
#else
#define PLACES_AT_ONCE 4
#define SCORE_MORE(n) SCORE_PLACES(n)
#endif

/* weight [GROUP][CHUNK_PAGES] = scores of the positions of pages begin .. end - 1 of the chunk, n pages at a time, and
 * top [GROUP] = their maxima, with those of the pages before; scores of positions after `left` are -inf. On the way a
 * quarter of one page of the next chunk is asked for with every n pages, as rows that come together want the same
 * pages: of page part / 4 of the n that lie a chunk ahead the quarter that n pages and `part` choose, so that a row
 * which has no such page asks for all of its last one, which may be its own. `last` is that page, counted from this
 * chunk's first. */
#define SCORE(n)                                                                                                       \
    WITH_BF16 static void score_##n(float16 *weight, float16 *top, const kv_word *q, __global const kv_word *keys,     \
                                    __global const kv_word *values, __global const int *list, const int begin,         \
                                    const int end, const int left, const int last, const int part)                     \
    {                                                                                                                  \
        const int16 lane = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);                              \
        for (int first = 0; first < GROUP; first += HEADS_AT_ONCE) {                                                   \
            const kv_word *x = q + first * PLACES, *x_again = x;                                                       \
            SC_APART(x_again);                                                                                         \
            float16 best[HEADS_AT_ONCE];                                                                               \
            UNROLL                                                                                                     \
            for (int g = 0; g < HEADS_AT_ONCE; g++) {                                                                  \
                best[g] = begin == 0 ? (float16)(-INFINITY) : top[first + g];                                          \
            }                                                                                                          \
            for (int p = begin; p + n <= end; p += n) {                                                                \
                const ulong next = (ulong)list[min(p + CHUNK_PAGES + part / 4, last)] * (KV_HEADS * 4);                \
                const ulong quarter = (ulong)((part + p / n) % 4);                                                     \
                uintptr_t some_keys = (uintptr_t)keys + (next + quarter) * (PLACES * SC_PAGE);                         \
                uintptr_t some_values = (uintptr_t)values + (next + quarter) * (HEAD_PAD * SLOTS);                     \
                __global const kv_word16 *page[n];                                                                     \
                float16 chain[HEADS_AT_ONCE][n];                                                                       \
                UNROLL                                                                                                 \
                for (int j = 0; j < n; j++) {                                                                          \
                    page[j] = (__global const kv_word16 *)(keys + (size_t)list[p + j] * KEY_PAGE);                     \
                }                                                                                                      \
                UNROLL                                                                                                 \
                for (int g = 0; g < HEADS_AT_ONCE; g++) {                                                              \
                    UNROLL                                                                                             \
                    for (int j = 0; j < n; j++) {                                                                      \
                        chain[g][j] = 0.0f;                                                                            \
                    }                                                                                                  \
                }                                                                                                      \
                const kv_word *y = x, *y_again = x_again;                                                              \
                int d = 0;                                                                                             \
                for (int more = PLACES / PLACES_AT_ONCE; more > 0; more--) {                                           \
                    SCORE_MORE(n)                                                                                      \
                }                                                                                                      \
                for (int more = PLACES % PLACES_AT_ONCE; more > 0; more--) {                                           \
                    SCORE_PLACE(n)                                                                                     \
                }                                                                                                      \
                if (left < (p + n) * SC_PAGE - 1) {                                                                    \
                    UNROLL                                                                                             \
                    for (int g = 0; g < HEADS_AT_ONCE; g++) {                                                          \
                        UNROLL                                                                                         \
                        for (int j = 0; j < n; j++) {                                                                  \
                            chain[g][j] = lane + (p + j) * SC_PAGE > left ? (float16)(-INFINITY) : chain[g][j];        \
                        }                                                                                              \
                    }                                                                                                  \
                }                                                                                                      \
                UNROLL                                                                                                 \
                for (int g = 0; g < HEADS_AT_ONCE; g++) {                                                              \
                    UNROLL                                                                                             \
                    for (int j = 0; j < n; j++) {                                                                      \
                        best[g] = larger(chain[g][j], best[g]);                                                        \
                        weight[(first + g) * CHUNK_PAGES + p + j] = chain[g][j];                                       \
                    }                                                                                                  \
                }                                                                                                      \
            }                                                                                                          \
            UNROLL                                                                                                     \
            for (int g = 0; g < HEADS_AT_ONCE; g++) {                                                                  \
                top[first + g] = best[g];                                                                              \
            }                                                                                                          \
        }                                                                                                              \
    }

SCORE(8)
SCORE(4)
SCORE(2)
SCORE(1)

/* The same for pages 0 .. end - 1. */
WITH_BF16 static void score(float16 *weight, float16 *top, const kv_word *q, __global const kv_word *keys,
                            __global const kv_word *values, __global const int *list, const int end, const int left,
                            const int last, const int part)
{
    int p = 0;
#define SCORE_BY(n)                                                                                                    \
    if (PAGES_AT_ONCE >= n && p + n <= end) {                                                                          \
        score_##n(weight, top, q, keys, values, list, p, end, left, last, part);                                       \
        p = end - (end - p) % n;                                                                                       \
    }
    SCORE_BY(8)
    SCORE_BY(4)
    SCORE_BY(2)
    SCORE_BY(1)
}

/* Rows that come together ask for the next chunk, a part each. With fewer than RUN of them score() leaves some of it
 * out: here row r of n_here asks for its share of the whole. */
#define RUN (4 * PAGES_AT_ONCE)
static void ask(__global const kv_word *keys, __global const kv_word *values, __global const int *list, const int last,
                const int r, const int n_here)
{
    const uint key_lines = PLACES * SC_PAGE * 4 / 64, value_lines = HEAD_PAD * SLOTS * 4 / 64;
    for (int p = CHUNK_PAGES; p < min(2 * CHUNK_PAGES, last + 1); p++) {
        const uintptr_t key_page = (uintptr_t)keys + (uintptr_t)list[p] * (KV_HEADS * 64) * key_lines;
        const uintptr_t value_page = (uintptr_t)values + (uintptr_t)list[p] * (KV_HEADS * 64) * value_lines;
        for (uint i = key_lines * r / n_here; i < key_lines * (r + 1) / n_here; i++) {
            SC_FETCH(key_page + i * 64);
        }
        for (uint i = value_lines * r / n_here; i < value_lines * (r + 1) / n_here; i++) {
            SC_FETCH(value_page + i * 64);
        }
    }
}

/* Weights are 2^(score - peak). A head's peak is the highest score of its first chunk, and moves when a later chunk has
 * one more than RISE above: sums then stay far from the ends of fp32, whose precision does not depend on the peak. */
#define RISE 64.0f

/* Whether some head's peak has to move, given the chunk's highest scores by lanes. */
static bool rises(const float16 *top, const float *peak)
{
    int16 far = 0;
    UNROLL
    for (int g = 0; g < GROUP; g++) {
        far |= top[g] - peak[g] > RISE;
    }
    return any(far);
}

/* out [8 * EIGHTS] = each of v [GROUP] folded by `fold`. */
#define FOLD_HEADS(out, v, fold)                                                                                       \
    float out[8 * EIGHTS];                                                                                             \
    for (int e = 0; e < EIGHTS; e++) {                                                                                 \
        float16 eight[8];                                                                                              \
        for (int g = 0; g < 8; g++) {                                                                                  \
            eight[g] = v[min(e * 8 + g, GROUP - 1)];                                                                   \
        }                                                                                                              \
        vstore8(fold(eight), e, out);                                                                                  \
    }

/* The peaks of a row's first chunk. NaN comes out again with the sums. */
static void begin_peaks(float *peak, const float16 *top)
{
    FOLD_HEADS(found, top, fold_highest)
    for (int g = 0; g < GROUP; g++) {
        peak[g] = found[g] > -INFINITY ? found[g] : -INFINITY;
    }
}

/* Moves peaks that have to, and with them sum [GROUP][VECTORS] and mass [GROUP] of the chunks before. */
static void rise(float16 *sum, float16 *mass, float *peak, const float16 *top)
{
    FOLD_HEADS(found, top, fold_highest)
    for (int g = 0; g < GROUP; g++) {
        if (found[g] - peak[g] > RISE) {
            const float shrink = sc_exp2_falling(peak[g] - found[g]);
            peak[g] = found[g];
            mass[g] *= shrink;
            for (int v = 0; v < VECTORS; v++) {
                sum[g * VECTORS + v] *= shrink;
            }
        }
    }
}

/* Scores of page p and head g of this turn to weights, in three steps: what one begins has time until the next, while
 * multiply-adds go on. In fp32 they are gathered on the way; as bf16 they go to a place of their own. */
#define SOFTEN_1(p, g)                                                                                                 \
    {                                                                                                                  \
        const float16 y = weight[(first + (g)) * CHUNK_PAGES + (p)] - peak[first + (g)];                               \
        far = y < -125.0f ? (float16)(-125.0f) : y;                                                                    \
        step = far + SC_EXP2_MAGIC;                                                                                    \
    }
#define SOFTEN_2                                                                                                       \
    {                                                                                                                  \
        rest = far - (step - SC_EXP2_MAGIC);                                                                           \
        power = sc_exp2_power16(step);                                                                                 \
    }
#ifdef KV_BF16
#define SOFTEN_3(p, g)                                                                                                 \
    {                                                                                                                  \
        ((ushort16 *)share)[(first + (g)) * CHUNK_PAGES + (p)] = ROUND(sc_exp2_rough16(rest) * power);                 \
    }
#else
#define SOFTEN_3(p, g)                                                                                                 \
    {                                                                                                                  \
        const float16 soft = sc_exp2_fine16(rest) * power;                                                             \
        weight[(first + (g)) * CHUNK_PAGES + (p)] = soft;                                                              \
        gathered[g] += soft;                                                                                           \
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
#define TURN                                                                                                           \
    (SLOTS / 8) /* words of positions from one step to the next: eight in a page, the steps of a head in three */

#ifdef KV_BF16
/* mass [HEADS_AT_ONCE] += the weights of n pages, heads side by side: a sum waits for the one before it. */
WITH_BF16 static void gather(float16 *mass, kv_word *share, const int n)
{
    ushort16 *halves = (ushort16 *)share;
    float16 gathered[HEADS_AT_ONCE];
    UNROLL
    for (int g = 0; g < HEADS_AT_ONCE; g++) {
        if (n % 2 != 0) {
            halves[g * CHUNK_PAGES + n] = 0; /* the other half of a vector */
        }
        gathered[g] = mass[g];
    }
    for (int p = 0; p < n; p += 2) {
        UNROLL
        for (int g = 0; g < HEADS_AT_ONCE; g++) {
            gathered[g] = ADD_PRODUCT(gathered[g], 0x3f803f80u, *(const uint16 *)(halves + g * CHUNK_PAGES + p));
        }
    }
    UNROLL
    for (int g = 0; g < HEADS_AT_ONCE; g++) {
        mass[g] = gathered[g];
    }
}
#endif

/* sum [GROUP][VECTORS] += the weighted values of n positions, for VECTORS_AT_ONCE vectors of the head from `vector` on;
 * slots past them hold anything. Together with the first vectors the weights (`share` [GROUP][CHUNK / PER_WORD]; in
 * fp32 the scores' own place) are made from the scores, a page ahead, and mass [GROUP] grows by them: most of that work
 * goes to units of the processor that multiply-adds leave idle. */
WITH_BF16 static void add_values(float16 *sum, float16 *mass, const float *peak, float16 *weight, kv_word *share,
                                 __global const kv_word *values, __global const int *list, const int vector,
                                 const int n_positions)
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
            float16 far, step, rest, power;
            UNROLL
            for (int g = 0; g < HEADS_AT_ONCE; g++) {
                gathered[g] = 0.0f;
                SOFTEN_1(0, g)
                SOFTEN_2
                SOFTEN_3(0, g)
            }
            for (; begin + SC_PAGE < n_positions; begin += SC_PAGE) {
                __global const kv_word *from = VALUES_OF(begin);
                const int next = begin / SC_PAGE + 1;
                UNROLL
                for (int s = 0; s < SLOTS; s++) {
                    const int turn = s % TURN == 0 ? s / TURN : HEADS_AT_ONCE + 2;
                    if (turn >= 2 && turn < HEADS_AT_ONCE + 2) {
                        SOFTEN_3(next, turn - 2)
                    }
                    if (turn >= 1 && turn < HEADS_AT_ONCE + 1) {
                        SOFTEN_2
                    }
                    if (turn < HEADS_AT_ONCE) {
                        SOFTEN_1(next, turn)
                    }
                    ADD_POSITIONS(WHOLE_WORD)
                }
#if HEADS_AT_ONCE >= 7
                SOFTEN_3(next, 6)
#endif
#if HEADS_AT_ONCE == 8
                SOFTEN_2
                SOFTEN_3(next, 7)
#endif
            }
#ifdef KV_BF16
            gather(mass + first, share + first * (CHUNK / PER_WORD), (n_positions + SC_PAGE - 1) / SC_PAGE);
#else
            UNROLL
            for (int g = 0; g < HEADS_AT_ONCE; g++) {
                mass[first + g] += gathered[g];
            }
#endif
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
                sum[(first + g) * VECTORS + vector + v] += part[g][v];
            }
        }
    }
}

#if defined(KV_BF16) && KV_BF16 == 2 && HEADS_AT_ONCE == GROUP && PAGES_AT_ONCE == 2 && PLACES >= 2 * GROUP
#include "attention_chunk.h"
#endif

/* q [GROUP * HEAD] times scale, as products take it. On the way the row after the next is asked for. */
WITH_BF16 static void take_queries(kv_word *q, __global const float *from, const float scale)
{
#if GROUP * HEAD % 32 == 0
    for (int i = 0; i < GROUP * HEAD; i += 16) {
        const float16 x = SC_CONST_VECTOR16(from + i) * scale;
        SC_FETCH(from + 2 * QKV + i);
#ifdef KV_BF16
        ((ushort16 *)q)[i / 16] = ROUND(x);
#else
        *(float16 *)(q + i) = x;
#endif
    }
#elif defined(KV_BF16)
    for (int i = 0; i < GROUP * HEAD; i += 2) {
        q[i / 2] = sc_bf16_pair(from[i] * scale, from[i + 1] * scale);
    }
#else
    for (int i = 0; i < GROUP * HEAD; i++) {
        q[i] = from[i] * scale;
    }
#endif
}

/* to [GROUP * HEAD] = sum [GROUP][VECTORS] over mass [GROUP]; rounded: in bf16. */
static void put_row(__global float *to, const float16 *sum, const float16 *mass, const uint rounded)
{
    FOLD_HEADS(total, mass, fold_total)
    for (int g = 0; g < GROUP; g++) {
        const float *from = (const float *)(sum + g * VECTORS), one = 1.0f / total[g];
        if (rounded) {
            __global ushort *in_bf16 = (__global ushort *)to + g * HEAD;
            for (int d = 0; d < HEAD; d++) {
                in_bf16[d] = (ushort)sc_bf16(from[d] * one);
            }
            continue;
        }
        int d = 0;
        for (; d + 16 <= HEAD; d += 16) {
            SC_VECTOR16(to + g * HEAD + d) = *(const float16 *)(from + d) * one;
        }
        for (; d < HEAD; d++) {
            to[g * HEAD + d] = from[d] * one;
        }
    }
}

/* out [N, HEADS * HEAD]: softmax of q k / sqrt(HEAD) over positions 0 .. position[row], times the values; rounded: in
 * bf16, two values in a word, as products with bf16 rows take them. `scale` holds log2(e), as weights are powers of 2.
 * Work-item: one KV head and one of n_tiles runs of neighbouring rows, all of which go through a chunk of pages before
 * the next one: where they share pages (draws of one prompt, tokens of one prompt), keys and values come from memory
 * once for all of them. Nothing of a row depends on its tile. Floor, per KV head: 2 * HEAD * GROUP fma per row and
 * position (16 to an instruction, 32 of bf16), and the distinct pages once. */
__kernel void attention(__global float *out, __global const float *qkv, __global const kv_word *keys,
                        __global const kv_word *values, __global const int *position, __global const int *table,
                        __global const int *pages, const float scale, const uint n_rows, const uint n_tiles,
                        const uint rounded)
{
    const uint tile = get_global_id(0) % n_tiles, head = get_global_id(0) / n_tiles;
    const uint row_first = (uint)((ulong)n_rows * tile / n_tiles);
    const int n_here = (int)((uint)((ulong)n_rows * (tile + 1) / n_tiles) - row_first);
    kv_word q[SC_ATTENTION_ROWS][GROUP * PLACES] __attribute__((aligned(64)));
    float16 sum[SC_ATTENTION_ROWS][GROUP * VECTORS], mass[SC_ATTENTION_ROWS][GROUP];
    float peak[SC_ATTENTION_ROWS][GROUP];
    float16 top[GROUP], weight[GROUP * CHUNK_PAGES];
#ifdef KV_BF16
    uint share[GROUP * (CHUNK / 2)] __attribute__((aligned(64)));
#else
    float *share = (float *)weight;
#endif
    int longest = 0;
    keys += head * (PLACES * SC_PAGE);
    values += head * (HEAD_PAD * SLOTS);
    for (int r = 0; r < n_here; r++) {
        take_queries(q[r], qkv + (size_t)(row_first + r) * QKV + head * GROUP * HEAD, scale);
        for (int g = 0; g < GROUP; g++) {
            mass[r][g] = 0.0f;
            for (int v = 0; v < VECTORS; v++) {
                sum[r][g * VECTORS + v] = 0.0f;
            }
        }
        longest = max(longest, position[row_first + r] + 1);
    }
    for (int first = 0; first < longest; first += CHUNK) {
        for (int r = 0; r < n_here; r++) {
            const int at = position[row_first + r] - first, n = min(at + 1, CHUNK);
            if (n <= 0) {
                continue;
            }
            __global const int *list = pages + table[row_first + r] + first / SC_PAGE;
            if (n_here < RUN) {
                ask(keys, values, list, at / SC_PAGE, r, n_here);
            }
#ifdef SEMCAL_ATTENTION_CHUNK_H
            if (first > 0 && n == CHUNK &&
                begin_chunk(sum[r], peak[r], share, q[r], keys, values, list, at / SC_PAGE, r % RUN)) {
                for (int vector = VECTORS_AT_ONCE; vector < VECTORS; vector += VECTORS_AT_ONCE) {
                    add_values(sum[r], mass[r], peak[r], weight, share, values, list, vector, n);
                }
                gather(mass[r], share, CHUNK_PAGES);
                continue;
            }
#endif
            score(weight, top, q[r], keys, values, list, (n + SC_PAGE - 1) / SC_PAGE, n - 1, at / SC_PAGE, r % RUN);
            if (first == 0) {
                begin_peaks(peak[r], top);
            } else if (rises(top, peak[r])) {
                rise(sum[r], mass[r], peak[r], top);
            }
            for (int vector = 0; vector < VECTORS; vector += VECTORS_AT_ONCE) {
                add_values(sum[r], mass[r], peak[r], weight, share, values, list, vector, n);
            }
        }
    }
    for (int r = 0; r < n_here; r++) {
        const size_t at = (size_t)(row_first + r) * (HEADS * HEAD) + head * GROUP * HEAD;
        put_row(rounded ? (__global float *)((__global ushort *)out + at) : out + at, sum[r], mass[r], rounded);
    }
}

#endif

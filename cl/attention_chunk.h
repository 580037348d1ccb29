/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attention_cpu.h in bf16: the chunks of a row after its first one whose pages are all full, for groups of six to eight
 * heads. As the peaks are known, a score need not wait in memory for the highest of its chunk: it stays in a register
 * and becomes a weight while the next two pages' products go on. The bits are those of score() and add_values(), the
 * floor that of attention.
 */
#ifndef SEMCAL_ATTENTION_CHUNK_H
#define SEMCAL_ATTENTION_CHUNK_H

/* Score i of `old` [GROUP][2] to its weight, in three steps, each held where it is written: in one block they would
 * keep products waiting. `highest` is by how far scores are above their peaks, at most, by lanes. */
#define HOLD(a, b) __asm__ volatile("" : "+v"(a), "+v"(b));
#define WEIGHT_1(i)                                                                                                    \
    {                                                                                                                  \
        const float16 y = old[(i) / 2][(i) % 2] - peak[(i) / 2];                                                       \
        highest = larger(y, highest);                                                                                  \
        far = y < -125.0f ? (float16)(-125.0f) : y;                                                                    \
        step = far + SC_EXP2_MAGIC;                                                                                    \
        HOLD(far, step)                                                                                                \
    }
#define WEIGHT_2                                                                                                       \
    {                                                                                                                  \
        SOFTEN_2                                                                                                       \
        HOLD(rest, power)                                                                                              \
    }
#define WEIGHT_3(i, p) SOFTEN_3((p) + (i) % 2, (i) / 2)

/* Which of these steps come before product s of n, for the scores of pages p and p + 1; and after all of them. */
#define EVERY(n) ((n) / (2 * GROUP))
#define WEIGHTS_AT(s, n, p)                                                                                            \
    {                                                                                                                  \
        const int i = (s) / EVERY(n), turn = (s) % EVERY(n);                                                           \
        if (turn == 0 && i > 0 && i <= 2 * GROUP) {                                                                    \
            WEIGHT_3(i - 1, p)                                                                                         \
        }                                                                                                              \
        if (turn == 0 && i < 2 * GROUP) {                                                                              \
            WEIGHT_1(i)                                                                                                \
        }                                                                                                              \
        if (turn == EVERY(n) / 2 && i < 2 * GROUP) {                                                                   \
            WEIGHT_2                                                                                                   \
        }                                                                                                              \
    }
#define WEIGHTS_AFTER(n, p)                                                                                            \
    if (EVERY(n) * 2 * GROUP == (n)) {                                                                                 \
        WEIGHT_3(2 * GROUP - 1, p)                                                                                     \
    }

/* `old` = scores of pages p and p + 1, what was in it to weights on the way if `some`. Pages are asked for as by
 * score(). */
#define SCORE_PAGES(p, some)                                                                                           \
    {                                                                                                                  \
        const ulong next = (ulong)list[min((p) + CHUNK_PAGES + asked / 4, last)] * (KV_HEADS * 4);                     \
        const ulong quarter = (ulong)((asked + (p) / 2) % 4);                                                          \
        const uintptr_t some_keys = (uintptr_t)keys + (next + quarter) * (PLACES * SC_PAGE);                           \
        const uintptr_t some_values = (uintptr_t)values + (next + quarter) * (HEAD_PAD * SLOTS);                       \
        __global const kv_word16 *page[2];                                                                             \
        float16 chain[GROUP][2];                                                                                       \
        UNROLL                                                                                                         \
        for (int j = 0; j < 2; j++) {                                                                                  \
            page[j] = (__global const kv_word16 *)(keys + (size_t)list[(p) + j] * KEY_PAGE);                           \
        }                                                                                                              \
        UNROLL                                                                                                         \
        for (int i = 0; i < 2 * GROUP; i++) {                                                                          \
            chain[i / 2][i % 2] = 0.0f;                                                                                \
        }                                                                                                              \
        UNROLL                                                                                                         \
        for (int d = 0; d < PLACES; d++) {                                                                             \
            if (d % 4 == 0) {                                                                                          \
                SC_FETCH(some_keys + (uint)d * 16);                                                                    \
                SC_FETCH(some_values + (uint)d * 16);                                                                  \
            }                                                                                                          \
            if (some) {                                                                                                \
                WEIGHTS_AT(d, PLACES, (p)-2)                                                                           \
            }                                                                                                          \
            const kv_word16 key[2] = {page[0][d], page[1][d]};                                                         \
            UNROLL                                                                                                     \
            for (int i = 0; i < 2 * GROUP; i++) {                                                                      \
                const kv_word query = i % 2 == 1 ? q_again[i / 2 * PLACES + d] : q[i / 2 * PLACES + d];                \
                chain[i / 2][i % 2] = ADD_PRODUCT(chain[i / 2][i % 2], query, key[i % 2]);                             \
            }                                                                                                          \
        }                                                                                                              \
        if (some) {                                                                                                    \
            WEIGHTS_AFTER(PLACES, (p)-2)                                                                               \
        }                                                                                                              \
        UNROLL                                                                                                         \
        for (int i = 0; i < 2 * GROUP; i++) {                                                                          \
            old[i / 2][i % 2] = chain[i / 2][i % 2];                                                                   \
        }                                                                                                              \
    }

/* part += the values of page p times their weights; before each product s what `softening` says. */
#define VALUES_OF_PAGE(p, softening)                                                                                   \
    {                                                                                                                  \
        __global const kv_word *from = VALUES_OF((p)*SC_PAGE);                                                         \
        UNROLL                                                                                                         \
        for (int s = 0; s < SLOTS; s++) {                                                                              \
            softening;                                                                                                 \
            ADD_POSITIONS(WHOLE_WORD)                                                                                  \
        }                                                                                                              \
    }

/* share [GROUP][CHUNK / PER_WORD] = the weights of the chunk, and sum [GROUP][VECTORS] += its values times them, for
 * the first VECTORS_AT_ONCE vectors of the head; false if a peak has to move: sum is then as it was, and the chunk is
 * one for score() and rise(). NaN is above no peak, and comes out with the sums. `asked` chooses what is asked for
 * ahead, as part does for score(). */
WITH_BF16 static bool begin_chunk(float16 *sum, const float *peak, kv_word *share, const kv_word *q,
                                  __global const kv_word *keys, __global const kv_word *values,
                                  __global const int *list, const int last, const int asked)
{
    const int first = 0, vector = 0;
    const kv_word *q_again = q, *w = share, *w_again = w;
    SC_APART(q_again);
    SC_APART(w_again);
    float16 highest = -INFINITY, old[GROUP][2], part[GROUP][VECTORS_AT_ONCE], far, step, rest, power;
    SCORE_PAGES(0, false)
    for (int p = 2; p < CHUNK_PAGES; p += 2) {
        SCORE_PAGES(p, true)
    }
    UNROLL
    for (int i = 0; i < GROUP * VECTORS_AT_ONCE; i++) {
        part[i / VECTORS_AT_ONCE][i % VECTORS_AT_ONCE] = 0.0f;
    }
    VALUES_OF_PAGE(0, WEIGHTS_AT(s, 2 * SLOTS, CHUNK_PAGES - 2))
    VALUES_OF_PAGE(1, WEIGHTS_AT(SLOTS + s, 2 * SLOTS, CHUNK_PAGES - 2))
    WEIGHTS_AFTER(2 * SLOTS, CHUNK_PAGES - 2)
    for (int p = 2; p < CHUNK_PAGES; p++) {
        VALUES_OF_PAGE(p, )
    }
    if (any(highest > RISE)) {
        return false;
    }
    UNROLL
    for (int i = 0; i < GROUP * VECTORS_AT_ONCE; i++) {
        sum[i / VECTORS_AT_ONCE * VECTORS + i % VECTORS_AT_ONCE] += part[i / VECTORS_AT_ONCE][i % VECTORS_AT_ONCE];
    }
    return true;
}

#endif

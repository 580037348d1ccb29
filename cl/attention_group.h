/* SPDX-License-Identifier: Apache-2.0 */
/* Attention of transformer.cl in work-groups. */
#ifndef SEMCAL_ATTENTION_GROUP_H
#define SEMCAL_ATTENTION_GROUP_H

#ifdef KV_BF16
#define QUERY(x) as_float(sc_bf16(x) << 16)
#define WEIGHT(x) as_float(as_uint(sc_exp2_weight(x)) & 0xffff0000u)
/* The definition of gemm_bf16.cl. */
static float flushed(const float x)
{
    return fabs(x) < 0x1p-126f ? copysign(0.0f, x) : x;
}

static float add_pair(float sum, __local const float *x, const uint word)
{
    sum = flushed(fma(x[1], as_float(word & 0xffff0000u), sum));
    return flushed(fma(x[0], as_float(word << 16), sum));
}
#define ADD_PRODUCT(sum, x, word) add_pair(sum, x, word)
#define LAST_WORD(word, left) ((left) == 1 ? (word)&0x0000ffffu : (word))
#else
#define QUERY(x) (x)
#define WEIGHT(x) sc_exp2_falling(x)
#define ADD_PRODUCT(sum, x, word) fma(*(x), word, sum)
#define LAST_WORD(word, left) (word)
#endif

static void put(__global float *out, const size_t at, const float v, const uint rounded)
{
    if (rounded) {
        ((__global ushort *)out)[at] = (ushort)sc_bf16(v);
    } else {
        out[at] = v;
    }
}

/* The same for work-groups: items share the positions of a chunk, then the places of the output. One group takes one row
 * and KV head. Floor, of a row and KV head: 2 * HEAD * GROUP fma per position, its keys and values once; rows that share
 * pages find them in a cache at best. */
__kernel void attention(__global float *out, __global const float *qkv, __global const kv_word *keys,
                        __global const kv_word *values, __global const int *position, __global const int *table,
                        __global const int *pages, const float scale, const uint n_rows, const uint n_tiles,
                        const uint rounded)
{
    enum { CHUNK = 8 * SC_PAGE, PLACES = (GROUP * HEAD + LSZ - 1) / LSZ };
    __local float q[GROUP * HEAD], weight[GROUP][CHUNK], peak[GROUP], mass[GROUP], shrink[GROUP];
    const uint lid = get_local_id(0), row = get_group_id(0) / KV_HEADS, head = get_group_id(0) % KV_HEADS;
    const uint last = (uint)position[row];
    __global const int *list = pages + table[row];
    __global const float *from = qkv + (size_t)row * QKV + head * GROUP * HEAD;
    float sum[PLACES];
    for (uint i = lid; i < GROUP * HEAD; i += LSZ) {
        q[i] = QUERY(from[i] * scale);
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
                __global const kv_word *k = keys + page * KEY_PAGE + head * (HEAD / PER_WORD * SC_PAGE) + at % SC_PAGE;
                float score = 0.0f;
                for (uint d = 0; d < HEAD; d += PER_WORD) {
                    score = ADD_PRODUCT(score, q + g * HEAD + d, k[d / PER_WORD * SC_PAGE]);
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
                weight[i / CHUNK][i % CHUNK] = WEIGHT(weight[i / CHUNK][i % CHUNK] - peak[i / CHUNK]);
            } else {
                weight[i / CHUNK][i % CHUNK] = 0.0f; /* the other half of a last word */
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
                for (uint s = 0; s < here; s += PER_WORD) {
                    const size_t page = (size_t)list[(first + s) / SC_PAGE];
                    const size_t at = head * (HEAD_PAD * SC_PAGE / PER_WORD) + d / 16 * (SC_PAGE / PER_WORD * 16) +
                                      s % SC_PAGE / PER_WORD * 16 + d % 16;
                    part = ADD_PRODUCT(part, &weight[g][s], LAST_WORD(values[page * VALUE_PAGE + at], here - s));
                }
                sum[i] = fma(sum[i], shrink[g], part);
            }
        }
    }
    SYNC();
    for (uint i = 0; i < PLACES; i++) {
        const uint place = i * LSZ + lid;
        if (place < GROUP * HEAD) {
            put(out, (size_t)row * (HEADS * HEAD) + head * GROUP * HEAD + place, sum[i] / mass[place / HEAD], rounded);
        }
    }
}

#endif

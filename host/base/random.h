/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random numbers keyed by identity and purpose: Philox4x32-10 (Salmon et al., SC 2011).
 *
 * Nothing here has hidden state that depends on call order across items: the number for (seed, purpose, cell,
 * question, draw, step) is a pure function of those names, so adding cells or questions, or raising the number of
 * draws, keeps every earlier number.
 */
#ifndef SC_BASE_RANDOM_H
#define SC_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Ten rounds over `counter` with `key`; `out` may alias `counter`. */
void sc_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

/* 64-bit hash of a byte string: the first eight bytes (little-endian) of its SHA-256. */
uint64_t sc_hash64(const void *data, size_t length);

/* Key of a stream: hash of the decimal seed, the purpose ("draw", "bootstrap", ...) and a name (a cell; "" for none),
 * separated by NUL bytes. */
uint64_t sc_random_key(uint64_t seed, const char *purpose, const char *name);

/* The 64-bit uniform integer of draw `draw` of the item with hash `item` at step `step`: the first two Philox words
 * at counter (item low, item high, draw, step), low word first. */
uint64_t sc_random_uniform(uint64_t key, uint64_t item, uint32_t draw, uint32_t step);

/* A sequential stream for resampling: same key and item, same sequence. */
typedef struct sc_random_stream {
    uint64_t key, item;
    uint64_t position; /* block counter */
    uint32_t buffer[4];
    unsigned used; /* words of buffer already used */
} sc_random_stream;

void sc_random_stream_init(sc_random_stream *stream, uint64_t key, uint64_t item);
uint32_t sc_random_u32(sc_random_stream *stream);
uint64_t sc_random_u64(sc_random_stream *stream);
/* Leaves the stream where `n_words` calls of sc_random_u32 would, at no cost. */
void sc_random_skip(sc_random_stream *stream, uint64_t n_words);
/* Uniform in [0, 1), a multiple of 2^-53. */
double sc_random_unit(sc_random_stream *stream);
/* Uniform integer in [0, n), n >= 1, without modulo bias. */
uint32_t sc_random_below(sc_random_stream *stream, uint32_t n);

#endif

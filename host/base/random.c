/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include "base/memory.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

void sc_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

static uint64_t low64(const unsigned char digest[32])
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--) {
        value = value << 8 | digest[i];
    }
    return value;
}

uint64_t sc_hash64(const void *data, size_t length)
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    (void)EVP_Digest(data, length, digest, NULL, EVP_sha256(), NULL);
    return low64(digest);
}

uint64_t sc_random_key(uint64_t seed, const char *purpose, const char *name)
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    char number[32];
    int n = snprintf(number, sizeof number, "%" PRIu64, seed);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    (void)EVP_DigestInit_ex(context, EVP_sha256(), NULL);
    (void)EVP_DigestUpdate(context, number, (size_t)n + 1);
    (void)EVP_DigestUpdate(context, purpose, strlen(purpose) + 1);
    (void)EVP_DigestUpdate(context, name, strlen(name) + 1);
    (void)EVP_DigestFinal_ex(context, digest, NULL);
    EVP_MD_CTX_free(context);
    return low64(digest);
}

uint64_t sc_random_uniform(uint64_t key, uint64_t item, uint32_t draw, uint32_t step)
{
    uint32_t words[4] = {(uint32_t)item, (uint32_t)(item >> 32), draw, step};
    const uint32_t keys[2] = {(uint32_t)key, (uint32_t)(key >> 32)};
    sc_philox(words, words, keys);
    return (uint64_t)words[1] << 32 | words[0];
}

void sc_random_stream_init(sc_random_stream *stream, uint64_t key, uint64_t item)
{
    *stream = (sc_random_stream){.key = key, .item = item, .position = 0, .used = 4};
}

uint32_t sc_random_u32(sc_random_stream *stream)
{
    if (stream->used == 4) {
        const uint32_t counter[4] = {(uint32_t)stream->item, (uint32_t)(stream->item >> 32), (uint32_t)stream->position,
                                     (uint32_t)(stream->position >> 32)};
        const uint32_t keys[2] = {(uint32_t)stream->key, (uint32_t)(stream->key >> 32)};
        sc_philox(stream->buffer, counter, keys);
        stream->position++;
        stream->used = 0;
    }
    return stream->buffer[stream->used++];
}

void sc_random_skip(sc_random_stream *stream, uint64_t n_words)
{
    while (stream->used < 4 && n_words > 0) {
        stream->used++;
        n_words--;
    }
    stream->position += n_words / 4;
    for (n_words %= 4; n_words > 0; n_words--) {
        (void)sc_random_u32(stream);
    }
}

uint64_t sc_random_u64(sc_random_stream *stream)
{
    uint64_t low = sc_random_u32(stream);
    return low | (uint64_t)sc_random_u32(stream) << 32;
}

double sc_random_unit(sc_random_stream *stream)
{
    return (double)(sc_random_u64(stream) >> 11) * 0x1p-53;
}

uint32_t sc_random_below(sc_random_stream *stream, uint32_t n)
{
    /* Lemire's multiply-shift with rejection. */
    uint64_t product = (uint64_t)sc_random_u32(stream) * n;
    if ((uint32_t)product < n) {
        uint32_t threshold = (0u - n) % n;
        while ((uint32_t)product < threshold) {
            product = (uint64_t)sc_random_u32(stream) * n;
        }
    }
    return (uint32_t)(product >> 32);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The byte-level alphabet of GPT-2: every byte is a visible character. Bytes that are visible in Latin-1 stand for
 * themselves, the other 68 get U+0100, U+0101, ... in order. */
#include "language/tokenizer_internal.h"
#include "language/utf8.h"

static bool visible(unsigned byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

uint32_t sc_byte_level_character(unsigned char byte)
{
    if (visible(byte)) {
        return byte;
    }
    /* 0x00-0x20 come first, then 0x7F-0xA0, then 0xAD */
    return byte <= 0x20 ? 0x100u + byte : byte <= 0xA0 ? 0x121u + (byte - 0x7Fu) : 0x143u;
}

int sc_byte_level_byte(uint32_t c)
{
    if (c < 0x100) {
        return visible(c) ? (int)c : -1;
    }
    if (c <= 0x120) {
        return (int)(c - 0x100);
    }
    if (c <= 0x142) {
        return (int)(c - 0x121 + 0x7F);
    }
    return c == 0x143 ? 0xAD : -1;
}

semcal_status sc_byte_level_encode(sc_text *out, const char *text, size_t length, semcal_error *error)
{
    semcal_status status = sc_memory_grow(&out->data, &out->capacity, out->length + 2 * length + 1, 1, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    for (size_t i = 0; i < length; i++) {
        char bytes[4];
        const size_t n = sc_utf8_encode(bytes, sc_byte_level_character((unsigned char)text[i]));
        for (size_t k = 0; k < n; k++) {
            out->data[out->length++] = bytes[k];
        }
    }
    out->data[out->length] = '\0';
    return SEMCAL_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "language/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* Length of the well-formed character at `text`, or 0; then `*subpart` is the length of the maximal subpart of a
 * character there (at least 1), which one replacement character stands for. */
static size_t scan(uint32_t *codepoint, size_t *subpart, const unsigned char *text, size_t length)
{
    *subpart = 1;
    if (length == 0) {
        return 0;
    }
    const unsigned char lead = text[0];
    if (lead < 0x80) {
        *codepoint = lead;
        return 1;
    }
    /* The first continuation byte has a narrower range after some leads: no overlong form, surrogate or value above
     * U+10FFFF passes (Unicode table 3-7). */
    unsigned char low = 0x80, high = 0xBF;
    size_t need;
    if (lead >= 0xC2 && lead <= 0xDF) {
        need = 2;
        *codepoint = lead & 0x1Fu;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        need = 3;
        *codepoint = lead & 0x0Fu;
        low = lead == 0xE0 ? 0xA0 : low;
        high = lead == 0xED ? 0x9F : high;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        need = 4;
        *codepoint = lead & 0x07u;
        low = lead == 0xF0 ? 0x90 : low;
        high = lead == 0xF4 ? 0x8F : high;
    } else {
        return 0;
    }
    for (size_t i = 1; i < need; i++) {
        if (i >= length || text[i] < low || text[i] > high) {
            *subpart = i;
            return 0;
        }
        *codepoint = (*codepoint << 6) | (text[i] & 0x3Fu);
        low = 0x80;
        high = 0xBF;
    }
    return need;
}

size_t sc_utf8_decode(uint32_t *codepoint, const char *text, size_t length)
{
    size_t subpart;
    return scan(codepoint, &subpart, (const unsigned char *)text, length);
}

size_t sc_utf8_encode(char bytes[4], uint32_t codepoint)
{
    if (codepoint < 0x80) {
        bytes[0] = (char)codepoint;
        return 1;
    }
    if (codepoint < 0x800) {
        bytes[0] = (char)(0xC0 | codepoint >> 6);
        bytes[1] = (char)(0x80 | (codepoint & 0x3F));
        return 2;
    }
    if (codepoint < 0x10000) {
        bytes[0] = (char)(0xE0 | codepoint >> 12);
        bytes[1] = (char)(0x80 | (codepoint >> 6 & 0x3F));
        bytes[2] = (char)(0x80 | (codepoint & 0x3F));
        return 3;
    }
    bytes[0] = (char)(0xF0 | codepoint >> 18);
    bytes[1] = (char)(0x80 | (codepoint >> 12 & 0x3F));
    bytes[2] = (char)(0x80 | (codepoint >> 6 & 0x3F));
    bytes[3] = (char)(0x80 | (codepoint & 0x3F));
    return 4;
}

bool sc_utf8_valid(size_t *bad, const char *text, size_t length)
{
    size_t at = 0;
    while (at < length) {
        uint32_t codepoint;
        size_t n = sc_utf8_decode(&codepoint, text + at, length - at);
        if (n == 0) {
            if (bad != NULL) {
                *bad = at;
            }
            return false;
        }
        at += n;
    }
    return true;
}

semcal_status sc_utf8_check(const char *text, size_t length, semcal_error *error)
{
    size_t bad = 0;
    if (!sc_utf8_valid(&bad, text, length)) {
        return sc_error_set(error, SEMCAL_E_DATA, "byte %zu (0x%02X): not valid UTF-8", bad, (unsigned char)text[bad]);
    }
    return SEMCAL_OK;
}

semcal_status sc_utf8_sanitize(sc_text *out, const char *text, size_t length, sc_utf8_nul nul, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    size_t clean = 0, at = 0; /* text[clean..at) is well-formed and not yet appended */
    while (at < length && status == SEMCAL_OK) {
        uint32_t codepoint;
        size_t subpart;
        size_t n = scan(&codepoint, &subpart, (const unsigned char *)text + at, length - at);
        if (n > 0 && (codepoint != 0 || nul == SC_UTF8_KEEP_NUL)) {
            at += n;
            continue;
        }
        status = sc_text_append(out, text + clean, at - clean, error);
        if (status == SEMCAL_OK) {
            status = sc_text_append(out, "\xEF\xBF\xBD", 3, error);
        }
        at += subpart;
        clean = at;
    }
    return status == SEMCAL_OK ? sc_text_append(out, text + clean, at - clean, error) : status;
}

semcal_status sc_utf8_normalize(sc_text *out, const char *text, size_t length, sc_utf8_form form, semcal_error *error)
{
    static const int options[] = {
        [SC_UTF8_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
        [SC_UTF8_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
        [SC_UTF8_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
        [SC_UTF8_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
    };
    semcal_status status = sc_utf8_check(text, length, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    size_t plain = 0;
    while (plain < length && (unsigned char)text[plain] < 0x80) {
        plain++;
    }
    if (plain == length) {
        return sc_text_append(out, text, length, error); /* ASCII is its own normal form */
    }
    utf8proc_uint8_t *mapped = NULL;
    const utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)length, &mapped,
                                            (utf8proc_option_t)options[form]);
    if (n < 0) {
        return sc_error_set(error, n == UTF8PROC_ERROR_NOMEM ? SEMCAL_E_MEMORY : SEMCAL_E_DATA,
                            "Unicode normal form: %s", utf8proc_errmsg(n));
    }
    status = sc_text_append(out, (const char *)mapped, (size_t)n, error);
    free(mapped);
    return status;
}

semcal_status sc_utf8_lower(sc_text *out, const char *text, size_t length, semcal_error *error)
{
    semcal_status status = sc_utf8_check(text, length, error);
    for (size_t at = 0; at < length && status == SEMCAL_OK;) {
        uint32_t codepoint = 0;
        at += sc_utf8_decode(&codepoint, text + at, length - at);
        char bytes[4];
        if (codepoint == 0x130) { /* the only character whose full lower case is two: i and a dot above */
            status = sc_text_append(out, "i\xCC\x87", 3, error);
        } else {
            const uint32_t lower = (uint32_t)utf8proc_tolower((utf8proc_int32_t)codepoint);
            status = sc_text_append(out, bytes, sc_utf8_encode(bytes, lower), error);
        }
    }
    return status;
}

static utf8proc_category_t category(uint32_t codepoint)
{
    return utf8proc_category((utf8proc_int32_t)codepoint);
}

bool sc_utf8_is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool sc_utf8_is_letter(uint32_t codepoint)
{
    const utf8proc_category_t c = category(codepoint);
    return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

bool sc_utf8_is_mark(uint32_t codepoint)
{
    const utf8proc_category_t c = category(codepoint);
    return c >= UTF8PROC_CATEGORY_MN && c <= UTF8PROC_CATEGORY_ME;
}

bool sc_utf8_is_number(uint32_t codepoint)
{
    const utf8proc_category_t c = category(codepoint);
    return c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO;
}

bool sc_utf8_is_punctuation(uint32_t codepoint)
{
    const utf8proc_category_t c = category(codepoint);
    return c >= UTF8PROC_CATEGORY_PC && c <= UTF8PROC_CATEGORY_PO;
}

bool sc_utf8_is_word(uint32_t c)
{
    /* The circled and squared letters are Alphabetic although their category is So. */
    return sc_utf8_is_letter(c) || sc_utf8_is_mark(c) || category(c) == UTF8PROC_CATEGORY_ND ||
           category(c) == UTF8PROC_CATEGORY_NL || category(c) == UTF8PROC_CATEGORY_PC || c == 0x200C || c == 0x200D ||
           (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
           (c >= 0x1F170 && c <= 0x1F189);
}

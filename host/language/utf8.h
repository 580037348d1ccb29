/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 and Unicode: validation, repair, normal forms, and the character classes tokenizers ask for. */
#ifndef SC_LANGUAGE_UTF8_H
#define SC_LANGUAGE_UTF8_H

#include "base/memory.h"

#include <stdbool.h>
#include <stdint.h>

/* Decodes the character at the beginning of `text`. Returns its length in bytes (1 to 4), or 0 when `length` is 0 or
 * the bytes there are no well-formed UTF-8 (overlong forms, surrogates and values above U+10FFFF are not). */
size_t sc_utf8_decode(uint32_t *codepoint, const char *text, size_t length);

/* Writes `codepoint` (a Unicode scalar value) to `bytes` and returns its length, 1 to 4. */
size_t sc_utf8_encode(char bytes[4], uint32_t codepoint);

/* True when all of `text` is well-formed; otherwise `*bad` (may be NULL) is the offset of the first byte that begins
 * no well-formed character. */
bool sc_utf8_valid(size_t *bad, const char *text, size_t length);

/* SEMCAL_E_DATA naming the byte offset when `text` is not well-formed. */
semcal_status sc_utf8_check(const char *text, size_t length, semcal_error *error);

typedef enum sc_utf8_nul { SC_UTF8_KEEP_NUL, SC_UTF8_REPLACE_NUL } sc_utf8_nul;

/* Appends `text` to `out` as valid UTF-8: each maximal ill-formed part becomes one U+FFFD (Unicode chapter 3.9,
 * "substitution of maximal subparts"), and so does each NUL if asked for. Well-formed text passes unchanged. */
semcal_status sc_utf8_sanitize(sc_text *out, const char *text, size_t length, sc_utf8_nul nul, semcal_error *error);

typedef enum sc_utf8_form { SC_UTF8_NFC, SC_UTF8_NFD, SC_UTF8_NFKC, SC_UTF8_NFKD } sc_utf8_form;

/* Appends the normal form of `text` (well-formed, or SEMCAL_E_DATA). */
semcal_status sc_utf8_normalize(sc_text *out, const char *text, size_t length, sc_utf8_form form, semcal_error *error);

/* Appends `text` in lower case, character by character without context (so a final sigma stays a plain one). */
semcal_status sc_utf8_lower(sc_text *out, const char *text, size_t length, semcal_error *error);

/* Classes of a code point. Space is White_Space; a word character is Alphabetic, Mark, Decimal_Number,
 * Connector_Punctuation or Join_Control (UTS 18, annex C). */
bool sc_utf8_is_space(uint32_t codepoint);
bool sc_utf8_is_word(uint32_t codepoint);
bool sc_utf8_is_letter(uint32_t codepoint);
bool sc_utf8_is_mark(uint32_t codepoint);
bool sc_utf8_is_number(uint32_t codepoint);      /* Nd, Nl, No */
bool sc_utf8_is_punctuation(uint32_t codepoint); /* Pc, Pd, Ps, Pe, Pi, Pf, Po */

#endif

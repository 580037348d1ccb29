/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns of tokenizer.json: literal strings and regular expressions. The expressions are written for Oniguruma in
 * its Ruby syntax; they are translated so that PCRE2 finds the same matches (for
 * characters both know: their Unicode versions differ). */
#ifndef SC_LANGUAGE_TOKENIZER_PATTERN_H
#define SC_LANGUAGE_TOKENIZER_PATTERN_H

#include "base/memory.h"

#include <stdbool.h>

typedef struct sc_pattern sc_pattern;

/* Compiles `pattern` (`length` bytes of UTF-8). SEMCAL_E_DATA with the reason when it is no valid expression. */
semcal_status sc_pattern_open(sc_pattern **out, const char *pattern, size_t length, bool literal, semcal_error *error);
void sc_pattern_free(sc_pattern *pattern);
bool sc_pattern_is_literal(const sc_pattern *pattern);

typedef struct sc_match {
    size_t begin, end;
} sc_match;

/* A search through texts with one pattern; start each text (of valid UTF-8, unless the
 * pattern is literal) with sc_search_begin. One search per thread. */
typedef struct sc_search {
    const sc_pattern *pattern;
    const char *text;
    size_t length, at;
    size_t last_end; /* end of the last match + 1, 0 before the first */
    void *match_data;
} sc_search;

semcal_status sc_search_open(sc_search *search, const sc_pattern *pattern, semcal_error *error);
void sc_search_close(sc_search *search);
void sc_search_begin(sc_search *search, const char *text, size_t length);
/* The next match, left to right without overlap; `*found` is false when there is none. Empty matches count, but not
 * right at the end of the previous match. SEMCAL_E_DATA when the expression needs too much backtracking. */
semcal_status sc_search_next(sc_match *match, bool *found, sc_search *search, semcal_error *error);

/* The expression in PCRE2's syntax (for tests). */
semcal_status sc_pattern_translate(sc_text *out, const char *pattern, size_t length, semcal_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "language/tokenizer_pattern.h"

#include "language/utf8.h"

#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

struct sc_pattern {
    char *literal; /* NULL for an expression */
    size_t length;
    pcre2_code *code;
    pcre2_match_context *context;
};

semcal_status sc_pattern_open(sc_pattern **out, const char *pattern, size_t length, bool literal, semcal_error *error)
{
    *out = NULL;
    sc_text translated = {0};
    sc_pattern *made = sc_memory_alloc(1, sizeof *made, error);
    if (made == NULL) {
        return SEMCAL_E_MEMORY;
    }
    semcal_status status = SEMCAL_OK;
    if (literal) {
        made->length = length;
        made->literal = sc_memory_strndup(pattern, length, error);
        status = made->literal != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
        goto done;
    }
    status = sc_pattern_translate(&translated, pattern, length, error);
    if (status != SEMCAL_OK) {
        goto done;
    }
    int code;
    PCRE2_SIZE offset;
    /* Ruby's ^ and $ always stand at line ends. */
    made->code = pcre2_compile((PCRE2_SPTR)translated.data, translated.length,
                               PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &offset, NULL);
    if (made->code == NULL) {
        PCRE2_UCHAR text[128];
        (void)pcre2_get_error_message(code, text, sizeof text);
        status = sc_error_set(error, SEMCAL_E_DATA, "regular expression, near byte %zu: %s", (size_t)offset,
                              (const char *)text);
        goto done;
    }
    (void)pcre2_jit_compile(made->code, PCRE2_JIT_COMPLETE); /* where there is no JIT, matching is only slower */
    made->context = pcre2_match_context_create(NULL);
    if (made->context == NULL) {
        status = sc_error_set(error, SEMCAL_E_MEMORY, "out of memory: regular expression");
        goto done;
    }
    (void)pcre2_set_match_limit(made->context, 20000000);
done:
    sc_text_free(&translated);
    if (status != SEMCAL_OK) {
        sc_pattern_free(made);
    } else {
        *out = made;
    }
    return status;
}

void sc_pattern_free(sc_pattern *pattern)
{
    if (pattern != NULL) {
        free(pattern->literal);
        pcre2_code_free(pattern->code);
        pcre2_match_context_free(pattern->context);
        free(pattern);
    }
}

bool sc_pattern_is_literal(const sc_pattern *pattern)
{
    return pattern->literal != NULL;
}

semcal_status sc_search_open(sc_search *search, const sc_pattern *pattern, semcal_error *error)
{
    *search = (sc_search){.pattern = pattern};
    if (pattern->code != NULL) {
        search->match_data = pcre2_match_data_create(1, NULL);
        if (search->match_data == NULL) {
            return sc_error_set(error, SEMCAL_E_MEMORY, "out of memory: regular expression");
        }
    }
    return SEMCAL_OK;
}

void sc_search_close(sc_search *search)
{
    pcre2_match_data_free(search->match_data);
    search->match_data = NULL;
}

void sc_search_begin(sc_search *search, const char *text, size_t length)
{
    search->text = text;
    search->length = length;
    search->at = 0;
    search->last_end = 0;
}

static void next_literal(sc_match *match, bool *found, sc_search *search)
{
    const sc_pattern *p = search->pattern;
    *found = false;
    if (p->length == 0) {
        return; /* an empty literal matches nowhere */
    }
    while (search->length - search->at >= p->length) {
        const char *hit = memchr(search->text + search->at, p->literal[0], search->length - search->at - p->length + 1);
        if (hit == NULL) {
            return;
        }
        search->at = (size_t)(hit - search->text);
        if (memcmp(hit, p->literal, p->length) == 0) {
            *match = (sc_match){search->at, search->at + p->length};
            search->at = match->end;
            *found = true;
            return;
        }
        search->at++;
    }
}

semcal_status sc_search_next(sc_match *match, bool *found, sc_search *search, semcal_error *error)
{
    if (search->pattern->literal != NULL) {
        next_literal(match, found, search);
        return SEMCAL_OK;
    }
    *found = false;
    while (search->at <= search->length) {
        int code = pcre2_match(search->pattern->code, (PCRE2_SPTR)search->text, search->length, search->at,
                               PCRE2_NO_UTF_CHECK, search->match_data, search->pattern->context);
        if (code == PCRE2_ERROR_JIT_STACKLIMIT) { /* the interpreter keeps its stack on the heap */
            code = pcre2_match(search->pattern->code, (PCRE2_SPTR)search->text, search->length, search->at,
                               PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, search->match_data, search->pattern->context);
        }
        if (code == PCRE2_ERROR_NOMATCH) {
            search->at = search->length + 1;
            return SEMCAL_OK;
        }
        if (code < 0) {
            PCRE2_UCHAR text[128];
            (void)pcre2_get_error_message(code, text, sizeof text);
            return sc_error_set(error, code == PCRE2_ERROR_NOMEMORY ? SEMCAL_E_MEMORY : SEMCAL_E_DATA,
                                "regular expression: %s", (const char *)text);
        }
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(search->match_data);
        const size_t begin = span[0], end = span[1];
        if (begin > end || begin < search->at) { /* \K in a look-behind */
            return sc_error_set(error, SEMCAL_E_DATA, "regular expression: a match that ends before it begins");
        }
        const bool empty = begin == end;
        const bool again = empty && search->last_end == end + 1;
        search->at = end;
        if (empty) { /* go on behind the next character */
            uint32_t codepoint;
            const size_t step = sc_utf8_decode(&codepoint, search->text + end, search->length - end);
            search->at += step > 0 ? step : 1;
        }
        search->last_end = end + 1;
        if (!again) {
            *match = (sc_match){begin, end};
            *found = true;
            return SEMCAL_OK;
        }
    }
    return SEMCAL_OK;
}

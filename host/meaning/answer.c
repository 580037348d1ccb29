/* SPDX-License-Identifier: Apache-2.0 */
#include "meaning/answer.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Bytes between "answer" and the verb or colon that may still belong together: "answer to the question above is". */
enum { PHRASE_REACH = 80 };

/* Statements are looked for in this many bytes at the end: an answer stands there, and a stuck model that writes one
 * mark a hundred thousand times must not cost the square of that. */
enum { SEARCHED = 16384 };

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Marks of Markdown that may stand around anything. */
static bool is_markup(char c)
{
    return c == '*' || c == '_' || c == '`' || c == '>';
}

static bool starts_with(const char *at, const char *end, const char *word)
{
    size_t n = strlen(word);
    return (size_t)(end - at) >= n && strncasecmp(at, word, n) == 0;
}

static const char *line_end(const char *at, const char *end)
{
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    return newline == NULL ? end : newline;
}

const char *sc_answer_end(const char *text)
{
    const char *end = text + strlen(text);
    bool content = false;
    for (const char *line = text; line < end;) {
        const char *at = line, *stop = line_end(line, end);
        while (at < stop && (is_blank(*at) || is_markup(*at))) {
            at++;
        }
        if (content && (starts_with(at, stop, "Q:") || starts_with(at, stop, "Question:"))) {
            return line;
        }
        content = content || at < stop;
        line = stop + (stop < end);
    }
    return end;
}

const char *sc_answer_sentence_end(const char *begin, const char *end)
{
    for (const char *at = begin; at < end; at++) {
        if ((*at == '.' || *at == '!' || *at == '?') && (at + 1 == end || is_blank(at[1]))) {
            return at + 1;
        }
    }
    return end;
}

typedef struct list {
    sc_answer_span *spans;
    size_t n, capacity;
} list;

static semcal_status add(list *found, sc_answer_mark mark, const char *begin, const char *stop, const char *end,
                         semcal_error *error)
{
    while (begin < stop && is_blank(*begin)) {
        begin++;
    }
    while (stop > begin && is_blank(stop[-1])) {
        stop--;
    }
    semcal_status status = sc_memory_grow(&found->spans, &found->capacity, found->n + 1, sizeof *found->spans, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    const char *rest = line_end(stop, end);
    while (rest < end && is_blank(*rest)) {
        rest++;
    }
    found->spans[found->n++] = (sc_answer_span){mark, begin, stop, rest == end};
    return SEMCAL_OK;
}

/* \boxed{...} with balanced braces; one that is never closed ends with its line. */
static bool find_boxed(const char **begin, const char **stop, const char *at, const char *end)
{
    if (!starts_with(at, end, "\\boxed") && !starts_with(at, end, "\\fbox")) {
        return false;
    }
    at += at[1] == 'b' || at[1] == 'B' ? 6 : 5;
    while (at < end && *at == ' ') {
        at++;
    }
    if (at == end || *at != '{') {
        return false;
    }
    *begin = at + 1;
    size_t depth = 0;
    for (; at < end && *at != '\n'; at++) {
        depth += *at == '{';
        if (*at == '}' && --depth == 0) {
            break;
        }
    }
    *stop = at;
    return true;
}

/* Length of the verb or sign that links "answer" and its statement at `at`, 0 when there is none. */
static size_t link_length(const char *at, const char *end)
{
    static const char *const verbs[] = {"is", "are", "was", "be", "equals"};
    if (*at == ':' || *at == '=') {
        return 1;
    }
    if (!is_blank(at[-1]) && !is_markup(at[-1])) {
        return 0;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        size_t n = strlen(verbs[i]);
        if (starts_with(at, end, verbs[i]) && (at + n == end || !(is_letter(at[n]) || at[n] == '\''))) {
            return n;
        }
    }
    return 0;
}

/* The statement of the word "answer" at `at`. */
static bool find_phrase(const char **begin, const char **stop, const char *at, const char *end)
{
    const char *limit = line_end(at, end);
    at += strlen("answer");
    if (limit - at > PHRASE_REACH) {
        limit = at + PHRASE_REACH;
    }
    size_t n = 0;
    for (; at < limit && (n = link_length(at, end)) == 0; at++) {
        if ((*at == '.' || *at == '!' || *at == '?') && (at + 1 == end || is_blank(at[1]))) {
            return false;
        }
    }
    if (n == 0) {
        return false;
    }
    at += n;
    while (at < end && (is_blank(*at) || is_markup(*at) || *at == ':' || *at == '=')) {
        at++;
    }
    if (starts_with(at, end, "not ") || at == end) {
        return false;
    }
    *begin = at;
    *stop = line_end(at, end);
    return true;
}

/* "A:" as the first thing of its line, Markdown marks aside. */
static bool find_line(const char **begin, const char **stop, const char *text, const char *at, const char *end)
{
    if (end - at < 2 || at[0] != 'A' || at[1] != ':') {
        return false;
    }
    for (const char *left = at; left > text && left[-1] != '\n'; left--) {
        if (!is_blank(left[-1]) && !is_markup(left[-1])) {
            return false;
        }
    }
    *begin = at + 2;
    while (*begin < end && is_markup(**begin)) {
        ++*begin;
    }
    *stop = line_end(*begin, end);
    return true;
}

static int compare_spans(const void *a, const void *b)
{
    const sc_answer_span *x = a, *y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

semcal_status sc_answer_find(sc_answer_span **spans, size_t *n_spans, const char *text, const char *end,
                             semcal_error *error)
{
    list found = {0};
    semcal_status status = SEMCAL_OK;
    const char *start = end - text > SEARCHED ? end - SEARCHED : text;
    for (const char *at = start; at < end && status == SEMCAL_OK; at++) {
        const char *begin, *stop;
        if (*at == '\\' && find_boxed(&begin, &stop, at, end)) {
            status = add(&found, SC_ANSWER_BOXED, begin, stop, end, error);
        } else if (*at == '#' && starts_with(at, end, "####") && (at == text || at[-1] != '#') &&
                   (at + 4 == end || at[4] != '#')) {
            status = add(&found, SC_ANSWER_HASHES, at + 4, line_end(at, end), end, error);
        } else if (*at == 'A' && find_line(&begin, &stop, text, at, end)) {
            status = add(&found, SC_ANSWER_LINE, begin, stop, end, error);
        } else if ((*at == 'a' || *at == 'A') && starts_with(at, end, "answer") && (at == text || !is_letter(at[-1])) &&
                   (at + 6 == end || !is_letter(at[6])) && find_phrase(&begin, &stop, at, end)) {
            status = add(&found, SC_ANSWER_PHRASE, begin, stop, end, error);
        }
    }
    if (status != SEMCAL_OK) {
        free(found.spans);
        found = (list){0};
    } else if (found.n > 1) {
        qsort(found.spans, found.n, sizeof *found.spans, compare_spans);
    }
    *spans = found.spans;
    *n_spans = found.n;
    return status;
}

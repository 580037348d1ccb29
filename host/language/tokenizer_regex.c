/* SPDX-License-Identifier: Apache-2.0 */
/* Oniguruma's Ruby syntax to PCRE2's, where the two differ:
 *   \s \w \d \b       the same words mean slightly different sets; they become explicit sets
 *   \h \v             a hexadecimal digit and U+000B, not horizontal and vertical space
 *   x{2,3}+  x{2}?    a quantified quantifier, not a possessive or lazy one
 *   x{,3}             from zero times
 *   (?m)              dot matches newline
 *   [a&&b] [a[b]]     set operations, which PCRE2 10.42 does not have: an error
 * The sets were read off Oniguruma over all code points. */
#include "language/tokenizer_pattern.h"
#include "language/utf8.h"

#include <stdlib.h>
#include <string.h>

#define SPACE "\\t-\\r \\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"
#define NOT_SPACE                                                                                                      \
    "\\x{0}-\\x{8}\\x{E}-\\x{1F}!-\\x{84}\\x{86}-\\x{9F}\\x{A1}-\\x{167F}\\x{1681}-\\x{1FFF}\\x{200B}-\\x{2027}"       \
    "\\x{202A}-\\x{202E}\\x{2030}-\\x{205E}\\x{2060}-\\x{2FFF}\\x{3001}-\\x{10FFFF}"
#define WORD                                                                                                           \
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}\\x{24B6}-\\x{24E9}"                         \
    "\\x{1F130}-\\x{1F149}\\x{1F150}-\\x{1F169}\\x{1F170}-\\x{1F189}"
#define HEX "0-9A-Fa-f"

#define MAX_GROUPS 256
#define NO_ATOM SIZE_MAX

typedef struct translation {
    const char *in;
    size_t length, at;
    sc_text *out;
    size_t atom; /* where the last atom begins in out, for quantifiers; NO_ATOM when there is none */
    size_t groups[MAX_GROUPS], n_groups;
    semcal_error *error;
} translation;

static semcal_status put(translation *t, const char *bytes)
{
    return sc_text_append(t->out, bytes, strlen(bytes), t->error);
}

static semcal_status copy(translation *t, size_t n)
{
    const semcal_status status = sc_text_append(t->out, t->in + t->at, n, t->error);
    t->at += n;
    return status;
}

static bool ahead(const translation *t, const char *what)
{
    const size_t n = strlen(what);
    return t->length - t->at >= n && memcmp(t->in + t->at, what, n) == 0;
}

static semcal_status unsupported(translation *t, const char *what)
{
    return sc_error_set(t->error, SEMCAL_E_DATA, "regular expression, byte %zu: %s: not supported", t->at, what);
}

static size_t character_length(const translation *t)
{
    uint32_t codepoint;
    const size_t n = sc_utf8_decode(&codepoint, t->in + t->at, t->length - t->at);
    return n > 0 ? n : 1;
}

/* \uHHHH as \x{HHHH}. */
static semcal_status translate_u(translation *t)
{
    char digits[16] = "\\x{";
    for (size_t i = 0; i < 4; i++) {
        const char c = t->length - t->at > 2 + i ? t->in[t->at + 2 + i] : '\0';
        if (c == '\0' || strchr("0123456789abcdefABCDEF", c) == NULL) {
            return unsupported(t, "\\u without four hexadecimal digits");
        }
        digits[3 + i] = c;
    }
    digits[7] = '}';
    t->at += 6;
    return put(t, digits);
}

/* Set members for the escape at `t->at`, when it stands for a set whose meaning differs; NULL otherwise. */
static const char *set_of_escape(char letter)
{
    switch (letter) {
    case 's':
        return SPACE;
    case 'S':
        return NOT_SPACE;
    case 'w':
        return WORD;
    case 'd':
        return "\\p{Nd}";
    case 'D':
        return "\\P{Nd}";
    case 'h':
        return HEX;
    case 'v':
        return "\\x0B";
    default:
        return NULL;
    }
}

static semcal_status translate_escape(translation *t, bool in_class)
{
    if (t->length - t->at < 2) {
        return unsupported(t, "a backslash at the end");
    }
    const char letter = t->in[t->at + 1];
    if (letter == 'u') {
        return translate_u(t);
    }
    if (letter == 'Q' || letter == 'E') { /* plain letters in Ruby, quoting in PCRE2 */
        t->at++;
        return copy(t, 1);
    }
    const char *set = set_of_escape(letter);
    if (in_class) {
        if (letter == 'W' || letter == 'H') {
            return unsupported(t, "\\W or \\H inside [...]");
        }
    } else {
        if (letter == 'b' || letter == 'B') {
            t->at += 2;
            return put(t, letter == 'b' ? "(?:(?<=[" WORD "])(?![" WORD "])|(?<![" WORD "])(?=[" WORD "]))"
                                        : "(?:(?<=[" WORD "])(?=[" WORD "])|(?<![" WORD "])(?![" WORD "]))");
        }
        if (letter == 'W' || letter == 'H') {
            t->at += 2;
            return put(t, letter == 'W' ? "[^" WORD "]" : "[^" HEX "]");
        }
    }
    if (set != NULL) {
        t->at += 2;
        semcal_status status = in_class ? SEMCAL_OK : put(t, "[");
        if (status == SEMCAL_OK) {
            status = put(t, set);
        }
        return status == SEMCAL_OK && !in_class ? put(t, "]") : status;
    }
    semcal_status status = copy(t, 1);
    if (status == SEMCAL_OK) {
        status = copy(t, character_length(t));
    }
    /* \p{...}, \x{...}, \k<...>: the braces belong to the escape, not to a quantifier. */
    if (status == SEMCAL_OK && strchr("pPxok", letter) != NULL && ahead(t, "{")) {
        const char *end = memchr(t->in + t->at, '}', t->length - t->at);
        if (end == NULL) {
            return unsupported(t, "a brace without its end");
        }
        status = copy(t, (size_t)(end - (t->in + t->at)) + 1);
    }
    return status;
}

/* [:name:] inside a class. */
static semcal_status translate_posix(translation *t)
{
    static const struct {
        const char *name, *set;
    } table[] = {
        {"[:space:]", SPACE},
        {"[:word:]", WORD},
        {"[:punct:]", "\\p{P}\\p{S}"},
        {"[:alpha:]", "\\p{Alphabetic}"},
        {"[:alnum:]", "\\p{Alphabetic}\\p{Nd}"},
        {"[:digit:]", "\\p{Nd}"},
        {"[:upper:]", "\\p{Uppercase}"},
        {"[:lower:]", "\\p{Lowercase}"},
        {"[:xdigit:]", HEX},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (ahead(t, table[i].name)) {
            t->at += strlen(table[i].name);
            return put(t, table[i].set);
        }
    }
    return unsupported(t, "a set inside [...]");
}

static semcal_status translate_class(translation *t)
{
    semcal_status status = copy(t, 1);
    if (status == SEMCAL_OK && ahead(t, "^")) {
        status = copy(t, 1);
    }
    while (status == SEMCAL_OK) {
        if (t->at >= t->length) {
            return unsupported(t, "[ without its ]");
        }
        const char c = t->in[t->at];
        if (c == ']') {
            return copy(t, 1);
        }
        if (c == '\\') {
            status = translate_escape(t, true);
        } else if (c == '[') {
            status = translate_posix(t);
        } else if (ahead(t, "&&")) {
            return unsupported(t, "&& inside [...]");
        } else {
            status = copy(t, character_length(t));
        }
    }
    return status;
}

/* ( and the group syntax after it. */
static semcal_status translate_open(translation *t)
{
    if (ahead(t, "(*")) {
        return unsupported(t, "(*");
    }
    if (t->n_groups == MAX_GROUPS) {
        return unsupported(t, "so deep a nesting");
    }
    t->groups[t->n_groups++] = t->out->length;
    t->atom = NO_ATOM;
    semcal_status status = copy(t, 1);
    if (status != SEMCAL_OK || !ahead(t, "?")) {
        return status;
    }
    size_t n = 1;
    while (t->at + n < t->length && strchr("imx-", t->in[t->at + n]) != NULL) {
        n++;
    }
    if (n > 1 && t->at + n < t->length && (t->in[t->at + n] == ')' || t->in[t->at + n] == ':')) {
        for (size_t i = 0; i < n && status == SEMCAL_OK; i++, t->at++) {
            const char option = t->in[t->at];
            status = sc_text_append(t->out, option == 'm' ? "s" : &option, 1, t->error);
        }
        return status;
    }
    status = copy(t, 1);
    while (status == SEMCAL_OK && t->at < t->length && strchr(":=!<>", t->in[t->at]) != NULL) {
        status = copy(t, 1);
    }
    return status;
}

static semcal_status insert(sc_text *out, size_t at, const char *bytes, semcal_error *error)
{
    const size_t n = strlen(bytes), tail = out->length - at;
    const semcal_status status = sc_text_append(out, bytes, n, error);
    if (status == SEMCAL_OK) {
        memmove(out->data + at + n, out->data + at, tail);
        memcpy(out->data + at, bytes, n);
    }
    return status;
}

/* { as an interval when it is one, else a plain brace. */
static semcal_status translate_brace(translation *t)
{
    size_t n = 1, digits = 0, commas = 0;
    while (t->at + n < t->length &&
           (strchr("0123456789", t->in[t->at + n]) != NULL || (t->in[t->at + n] == ',' && commas == 0))) {
        commas += t->in[t->at + n] == ',';
        digits += t->in[t->at + n] != ',';
        n++;
    }
    const bool interval = t->atom != NO_ATOM && digits > 0 && t->at + n < t->length && t->in[t->at + n] == '}';
    if (!interval) {
        t->atom = t->out->length;
        t->at++;
        return put(t, "\\{");
    }
    const bool from_zero = t->in[t->at + 1] == ',';
    semcal_status status = copy(t, 1);
    if (status == SEMCAL_OK && from_zero) {
        status = put(t, "0");
    }
    if (status == SEMCAL_OK) {
        status = copy(t, n);
    }
    if (status == SEMCAL_OK && (ahead(t, "+") || (commas == 0 && ahead(t, "?")))) {
        status = insert(t->out, t->atom, "(?:", t->error);
        if (status == SEMCAL_OK) {
            status = put(t, ")");
        }
    }
    return status;
}

semcal_status sc_pattern_translate(sc_text *out, const char *pattern, size_t length, semcal_error *error)
{
    translation t = {.in = pattern, .length = length, .out = out, .atom = NO_ATOM, .error = error};
    semcal_status status = sc_utf8_check(pattern, length, error);
    if (status == SEMCAL_OK) {
        status = sc_text_append(out, "", 0, error);
    }
    if (status == SEMCAL_OK && memchr(pattern, '\0', length) != NULL) {
        status = sc_error_set(error, SEMCAL_E_DATA, "regular expression: holds a NUL");
    }
    while (status == SEMCAL_OK && t.at < t.length) {
        const size_t start = out->length;
        switch (pattern[t.at]) {
        case '\\':
            status = translate_escape(&t, false);
            t.atom = start;
            break;
        case '[':
            status = translate_class(&t);
            t.atom = start;
            break;
        case '(':
            status = translate_open(&t);
            break;
        case ')':
            status = copy(&t, 1);
            t.atom = t.n_groups > 0 ? t.groups[--t.n_groups] : NO_ATOM;
            break;
        case '{':
            status = translate_brace(&t);
            break;
        case '*':
        case '+':
        case '?':
            status = copy(&t, 1);
            break;
        case '|':
            status = copy(&t, 1);
            t.atom = NO_ATOM;
            break;
        default:
            status = copy(&t, character_length(&t));
            t.atom = start;
        }
    }
    return status;
}

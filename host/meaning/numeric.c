/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collapse kind `numeric`: the final number of a response, exactly.
 *
 * The last explicit statement wins (####, \boxed{}, a line "A:", "the answer is"), whatever its kind; without one, the
 * last number of the response. A percent sign, a currency and units are no part of the value: "50%" is 50, not 1/2,
 * since references name the number the question asks for. Two rival values in one statement ("5 or 6", "5-7"), an
 * expression without its result ("5 * 12") and what is no number (3:30, 12/25/2020, 5\pi) are unparsed: guessing a part
 * of them would invent an answer.
 */
#include "meaning/answer.h"
#include "meaning/kinds.h"
#include "meaning/number.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef enum outcome { NOTHING, VALUE, RIVALS } outcome;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Skips a word of `list` and blanks behind it. */
static const char *skip_word(const char *at, const char *end, const char *const *list, size_t n_list)
{
    for (size_t i = 0; i < n_list; i++) {
        size_t n = strlen(list[i]);
        if ((size_t)(end - at) >= n && strncasecmp(at, list[i], n) == 0 &&
            (at + n == end || !is_letter(at[n]) || !is_letter(list[i][n - 1]))) {
            return at + n;
        }
    }
    return at;
}

/* Where the first word or digit of a statement stands: past brackets, marks, signs and hedges. */
static const char *skip_head(const char *at, const char *end)
{
    static const char *const hedges[] = {
        "about", "approximately", "around",   "roughly", "exactly",  "nearly",  "almost", "only",
        "just",  "a total of",    "equal to", "minus",   "negative", "\\boxed", "\\fbox", "US$",
        "USD",   "Rs.",           "Rs",       "EUR",     "GBP",      "INR",
    };
    for (;;) {
        const char *before = at;
        while (at < end && strchr(" $*_(\"'[{=:<>-+\n", *at) != NULL) {
            at++;
        }
        at = skip_word(at, end, hedges, sizeof hedges / sizeof *hedges);
        if (at == before) {
            return at;
        }
    }
}

static bool starts_number(const char *at, const char *end)
{
    return at < end && (is_digit(*at) || (*at == '.' && at + 1 < end && is_digit(at[1])));
}

/* An operator and another operand follow the number that ends at `at`. */
static bool continues(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == ')' || *at == '}')) {
        at++;
    }
    if (at == end || strchr("+-*/^xX", *at) == NULL) {
        return false;
    }
    at++;
    while (at < end && (*at == ' ' || *at == '$' || *at == '(' || *at == '{')) {
        at++;
    }
    return starts_number(at, end);
}

static const char *last_equals(const char *begin, const char *end)
{
    for (const char *at = end; at > begin; at--) {
        if (at[-1] == '=') {
            return at;
        }
    }
    return NULL;
}

/* Takes `number` as the value; RIVALS when it has none. */
static semcal_status take_value(outcome *came, char **label, const sc_number *number, semcal_error *error)
{
    semcal_status status = sc_number_label(label, number, error);
    *came = *label == NULL ? RIVALS : VALUE;
    return status;
}

/* "5 or 6", "5, 6", "5 to 6": another value directly behind the one at hand makes both rivals. */
static semcal_status check_rival(outcome *came, char **label, const char *at, const char *end, semcal_error *error)
{
    static const char *const joints[] = {",", ";", "and", "or", "to", "&", "/"};
    while (at < end && strchr(" $)}]{(", *at) != NULL) {
        at++;
    }
    const char *next = skip_word(at, end, joints, sizeof joints / sizeof *joints);
    if (next == at) {
        return SEMCAL_OK;
    }
    next = skip_word(next + strspn(next, " "), end, joints, sizeof joints / sizeof *joints); /* ", and" */
    while (next < end && (*next == '}' || *next == ')')) {
        next++;
    }
    next = skip_head(next, end);
    sc_number other;
    if (!starts_number(next, end) || !sc_number_next(&other, next, end, at)) {
        return SEMCAL_OK;
    }
    char *label_other = NULL;
    semcal_status status = sc_number_label(&label_other, &other, error);
    if (status == SEMCAL_OK && (label_other == NULL || strcmp(label_other, *label) != 0)) {
        *came = RIVALS;
    }
    free(label_other);
    return status;
}

/* A number in words at `at`, behind what skip_head skipped since `begin`. */
static semcal_status words_value(outcome *came, char **label, const char *begin, const char *at, const char *end,
                                 semcal_error *error)
{
    long long value;
    const char *stop;
    if (!sc_number_words(&value, &stop, at, end)) {
        return SEMCAL_OK;
    }
    for (; begin < at; begin++) {
        static const char *const signs[] = {"minus", "negative"};
        if (skip_word(begin, at, signs, 2) > begin) {
            value = -value;
            break;
        }
    }
    sc_text text = {0};
    semcal_status status = sc_text_printf(&text, error, "%lld", value);
    *label = text.data;
    *came = VALUE;
    return status;
}

/* The last number in [begin, end): the way to read a text that points at none. An operand of an expression that has no
 * result is no answer. Ordinals count only when there is nothing else. */
static semcal_status last_number(outcome *came, char **label, const char *begin, const char *end, semcal_error *error)
{
    sc_number number, found;
    bool any = false;
    for (const char *at = begin; sc_number_next(&number, at, end, begin); at = number.end) {
        if (!number.embedded && (!number.ordinal || !any || found.ordinal)) {
            found = number;
            any = true;
        }
    }
    *came = NOTHING;
    if (!any) {
        return SEMCAL_OK;
    }
    if (found.operand) {
        *came = RIVALS;
        return SEMCAL_OK;
    }
    return take_value(came, label, &found, error);
}

/* The number the statement [begin, end) of `text` begins with, if it does. */
static semcal_status head_number(outcome *came, char **label, const char *text, const char *begin, const char *end,
                                 semcal_error *error)
{
    *came = NOTHING;
    const char *head = skip_head(begin, end);
    sc_number number;
    if (!starts_number(head, end)) {
        return words_value(came, label, begin, head, end, error);
    }
    if (!sc_number_next(&number, head, end, text)) {
        return SEMCAL_OK;
    }
    if (number.embedded || continues(number.end, end)) {
        *came = RIVALS;
        return SEMCAL_OK;
    }
    semcal_status status = take_value(came, label, &number, error);
    return status == SEMCAL_OK && *came == VALUE ? check_rival(came, label, number.end, end, error) : status;
}

/* What a statement says: the right side of its last "=", else the number it begins with, else its last number. */
static semcal_status read_statement(outcome *came, char **label, const char *text, const char *begin, const char *end,
                                    semcal_error *error)
{
    const char *right = last_equals(begin, end);
    *came = NOTHING;
    semcal_status status = SEMCAL_OK;
    if (right != NULL) {
        status = head_number(came, label, text, right, end, error);
    }
    if (status == SEMCAL_OK && *came == NOTHING) {
        status = head_number(came, label, text, begin, end, error);
    }
    if (status == SEMCAL_OK && *came == NOTHING) {
        status = last_number(came, label, begin, end, error);
    }
    if (*came != VALUE) {
        free(*label);
        *label = NULL;
    }
    return status;
}

/* "#### 2. Next step": a heading of Markdown, not an answer. */
static bool is_heading(const sc_answer_span *span)
{
    if (span->last_line) {
        return false;
    }
    const char *at = skip_head(span->begin, span->end);
    if (!starts_number(at, span->end)) {
        return true;
    }
    while (at < span->end && is_digit(*at)) {
        at++;
    }
    return span->end - at >= 2 && (*at == '.' || *at == ')' || *at == ':') && at[1] == ' ';
}

/* Reads one marked statement. NOTHING means: look at the one before. */
static semcal_status read_span(outcome *came, char **label, const char *text, const sc_answer_span *span,
                               semcal_error *error)
{
    *came = NOTHING;
    if (span->mark == SC_ANSWER_HASHES && is_heading(span)) {
        return SEMCAL_OK;
    }
    const char *end = span->end;
    if (span->mark == SC_ANSWER_PHRASE) {
        end = sc_answer_sentence_end(span->begin, span->end);
    }
    semcal_status status = read_statement(came, label, text, span->begin, end, error);
    if (status == SEMCAL_OK && *came == NOTHING && end < span->end) { /* the sentence ended at an abbreviation */
        status = read_statement(came, label, text, span->begin, span->end, error);
    }
    bool firm = span->mark == SC_ANSWER_BOXED || (span->mark != SC_ANSWER_PHRASE && span->last_line);
    if (status == SEMCAL_OK && *came == NOTHING && firm) {
        *came = RIVALS; /* "A: none", \boxed{\text{impossible}}: an answer, and no number */
    }
    return status;
}

/* A response without digits may say its number in words: at its start, or as the last such words ("one" alone is
 * mostly a pronoun and counts only at the start). */
static semcal_status read_words(outcome *came, char **label, const char *begin, const char *end, semcal_error *error)
{
    semcal_status status = words_value(came, label, begin, skip_head(begin, end), end, error);
    long long value, found = 1;
    for (const char *at = begin; at < end && *came == NOTHING;) {
        const char *stop = at + 1;
        if ((at == begin || !is_letter(at[-1])) && sc_number_words(&value, &stop, at, end) && value != 1) {
            found = value;
        }
        at = stop;
    }
    if (status != SEMCAL_OK || *came == VALUE || found == 1) {
        return status;
    }
    sc_text text = {0};
    status = sc_text_printf(&text, error, "%lld", found);
    *label = text.data;
    *came = VALUE;
    return status;
}

static semcal_status numeric_label(char **label, const void *data, const char *response, semcal_error *error)
{
    (void)data;
    char *clean = NULL;
    sc_answer_span *spans = NULL;
    size_t n_spans = 0;
    outcome came = NOTHING;
    *label = NULL;
    semcal_status status = sc_number_clean(&clean, response, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    const char *end = sc_answer_end(clean);
    status = sc_answer_find(&spans, &n_spans, clean, end, error);
    for (size_t i = n_spans; i > 0 && status == SEMCAL_OK && came == NOTHING; i--) {
        status = read_span(&came, label, clean, &spans[i - 1], error);
    }
    if (status == SEMCAL_OK && came == NOTHING) {
        status = last_number(&came, label, clean, end, error);
    }
    if (status == SEMCAL_OK && came == NOTHING) {
        status = read_words(&came, label, clean, end, error);
    }
    if (status != SEMCAL_OK || came != VALUE) {
        free(*label);
        *label = NULL;
    }
    free(spans);
    free(clean);
    return status;
}

const sc_collapse_kind sc_collapse_numeric = {
    .name = "numeric",
    .description = "the final number, exactly: ####, A:, \\boxed{}, \"answer is\", else the last number",
    .label = numeric_label,
};

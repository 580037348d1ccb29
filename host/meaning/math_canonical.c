/* SPDX-License-Identifier: Apache-2.0 */
/* First the notation is tidied into few forms, then a small recursive reader writes the canonical spelling. */
#include "meaning/math.h"

#include "base/memory.h"
#include "meaning/number.h"
#include "meaning/words.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Formulas nested deeper are kept as they are. */
enum { MOST_DEPTH = 24 };

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_one_of(const char *name, size_t length, const char *list)
{
    for (const char *at = list; *at != '\0';) {
        size_t n = strcspn(at, " ");
        if (n == length && memcmp(at, name, n) == 0) {
            return true;
        }
        at += n + (at[n] == ' ');
    }
    return false;
}

/* ---- tidying ---- */

/* The brace that closes the one at `open`, or NULL. */
static const char *closing_brace(const char *open)
{
    size_t depth = 0;
    for (const char *at = open; *at != '\0'; at++) {
        if (*at == '\\' && at[1] != '\0') {
            at++;
        } else if (*at == '{') {
            depth++;
        } else if (*at == '}' && --depth == 0) {
            return at;
        }
    }
    return NULL;
}

static bool is_blank_text(const char *text)
{
    return text[strspn(text, " .$\\)")] == '\0';
}

/* \text{...}: "or" and "and" part a list, words behind a formula are units, anything else stays. */
static semcal_status tidy_text(const char **next, sc_text *out, const char *open, semcal_error *error)
{
    const char *close = closing_brace(open);
    if (close == NULL) {
        *next = open;
        return SEMCAL_OK;
    }
    const char *begin = open + 1, *end = close;
    while (begin < end && *begin == ' ') {
        begin++;
    }
    while (end > begin && end[-1] == ' ') {
        end--;
    }
    *next = close + 1;
    if (is_one_of(begin, (size_t)(end - begin), "or and")) {
        return sc_text_append(out, ",", 1, error);
    }
    size_t before = 0;
    while (before < out->length && strchr(" ({$", out->data[before]) != NULL) {
        before++;
    }
    bool unit = before < out->length;
    const char *rest = close + 1;
    if (unit && (*rest == '^' || is_blank_text(rest))) { /* "5 \text{ cm}^2": the exponent belongs to the unit */
        rest += *rest == '^';
        rest += *rest == '{' ? strcspn(rest, "}") + 1 : (size_t)(rest > close + 1 && *rest != '\0');
        if (is_blank_text(rest)) {
            *next = rest;
            return SEMCAL_OK;
        }
    }
    return sc_text_append(out, begin, (size_t)(end - begin), error);
}

static semcal_status tidy_command(const char **next, sc_text *out, const char *at, semcal_error *error)
{
    const char *name = at + 1;
    size_t n = 0;
    while (is_letter(name[n])) {
        n++;
    }
    *next = name + n;
    if (n == 0) {
        *next = name + (*name != '\0' && (unsigned char)*name < 0x80); /* never into a character */
        if (*name == '{' || *name == '}') {                            /* set braces */
            return sc_text_printf(out, error, "\\%c", *name);
        }
        return *name == ' ' || *name == '\\' ? sc_text_append(out, " ", 1, error) : SEMCAL_OK;
    }
    if (is_one_of(name, n, "left right big Big bigl bigr Bigl Bigr displaystyle limits quad qquad circ degree")) {
        return SEMCAL_OK;
    }
    if (is_one_of(name, n, "text textrm textbf textit mathrm mathbf mathit mbox operatorname boxed fbox")) {
        *next += strspn(*next, " ");
        return **next == '{' ? tidy_text(next, out, *next, error) : SEMCAL_OK;
    }
    if (is_one_of(name, n, "dfrac tfrac cfrac frac")) {
        return sc_text_append(out, "\\frac", 5, error);
    }
    if (is_one_of(name, n, "times cdot ast")) {
        return sc_text_append(out, "*", 1, error);
    }
    if (is_one_of(name, n, "lbrace")) {
        return sc_text_append(out, "\\{", 2, error);
    }
    if (is_one_of(name, n, "rbrace")) {
        return sc_text_append(out, "\\}", 2, error);
    }
    return sc_text_append(out, at, n + 1, error);
}

/* Characters beyond ASCII that have a LaTeX spelling; their length in bytes, 0 for others. */
static size_t tidy_symbol(const char **latex, const char *at)
{
    static const struct {
        const char *bytes, *latex;
    } symbols[] = {
        {"\xCF\x80", "\\pi"},     {"\xE2\x88\x9A", "\\sqrt"}, {"\xE2\x88\x92", "-"},    {"\xE2\x88\x9E", "\\infty"},
        {"\xC3\x97", "*"},        {"\xC2\xB7", "*"},          {"\xE2\x8B\x85", "*"},    {"\xC2\xB0", ""},
        {"\xC2\xB2", "^2"},       {"\xC2\xB3", "^3"},         {"\xC2\xA0", " "},        {"\xE2\x89\xA4", "\\le"},
        {"\xE2\x89\xA5", "\\ge"}, {"\xC2\xBD", "\\frac12"},   {"\xC2\xBC", "\\frac14"}, {"\xC2\xBE", "\\frac34"},
    };
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        size_t n = strlen(symbols[i].bytes);
        if (strncmp(at, symbols[i].bytes, n) == 0) {
            *latex = symbols[i].latex;
            return n;
        }
    }
    return 0;
}

static semcal_status tidy(sc_text *out, const char *formula, semcal_error *error)
{
    semcal_status status = sc_text_append(out, "", 0, error);
    for (const char *at = formula; *at != '\0' && status == SEMCAL_OK;) {
        const char *latex = NULL;
        size_t n = (unsigned char)*at >= 0x80 ? tidy_symbol(&latex, at) : 0;
        if (n > 0) {
            status = sc_text_append(out, latex, strlen(latex), error);
            at += n;
        } else if (*at == '\\') {
            status = tidy_command(&at, out, at, error);
        } else if (strncmp(at, "^{\\circ}", 8) == 0 || strncmp(at, "^\\circ", 6) == 0) {
            at += at[1] == '{' ? 8 : 6;
        } else if (strncmp(at, "{,}", 3) == 0) {
            status = sc_text_append(out, ",", 1, error);
            at += 3;
        } else if (strchr("$%`~\r", *at) != NULL || (at[0] == '*' && at[1] == '*')) {
            at += *at == '*' ? 2 : 1;
        } else {
            char c = *at == '\t' || *at == '\n' ? ' ' : *at;
            status = sc_text_append(out, &c, 1, error);
            at++;
        }
    }
    return status;
}

/* ---- reading ---- */

static semcal_status write_form(sc_text *out, const char *begin, const char *end, int depth, semcal_error *error);

static void trim(const char **begin, const char **end)
{
    while (*begin < *end && **begin == ' ') {
        ++*begin;
    }
    while (*end > *begin && strchr(" .,;", (*end)[-1]) != NULL) {
        --*end;
    }
}

/* The end of what opens at `at` (a bracket of any kind, "\{" too), or NULL. */
static const char *closing(const char *at, const char *end)
{
    int depth = 0;
    for (; at < end; at++) {
        if (strchr("([{", *at) != NULL) {
            depth++;
        } else if (strchr(")]}", *at) != NULL && --depth == 0) {
            return at;
        }
    }
    return NULL;
}

/* The first of `wanted` at or after `at` outside of brackets, or NULL. */
static const char *find_top(const char *at, const char *end, const char *wanted)
{
    int depth = 0;
    for (; at < end; at++) {
        if (depth == 0 && *at != '\0' && strchr(wanted, *at) != NULL) {
            return at;
        }
        depth += strchr("([{", *at) != NULL;
        depth -= strchr(")]}", *at) != NULL;
    }
    return NULL;
}

/* Behind a number: words that are units. Letters glued to it are a product (5x) unless they are a known unit. */
static bool only_units(const char *at, const char *end)
{
    static const char glued[] = "cm mm km kg mg ft in mi ml hr min sec mph lb lbs oz deg degrees";
    static const char no_units[] = "sin cos tan log ln exp or and i x y z n k a b c";
    bool spaced = false;
    while (at < end) {
        if (strchr(" %.", *at) != NULL) {
            spaced = *at++ == ' ' || spaced;
            continue;
        }
        size_t n = 0;
        while (at + n < end && is_letter(at[n])) {
            n++;
        }
        if (n == 0 || is_one_of(at, n, no_units) || (!spaced && !is_one_of(at, n, glued))) {
            return false;
        }
        at += n;
        if (end - at >= 2 && *at == '^' && (at[1] == '2' || at[1] == '3')) {
            at += 2;
        } else if (at < end && *at == '/') {
            at++;
            spaced = true;
        }
    }
    return true;
}

/* The label of a text that is one number with its units, else NULL. */
static semcal_status whole_number(char **label, const char *begin, const char *end, semcal_error *error)
{
    *label = NULL;
    char *text = sc_memory_strndup(begin, (size_t)(end - begin), error), *clean = NULL;
    semcal_status status = text == NULL ? SEMCAL_E_MEMORY : sc_number_clean(&clean, text, error);
    if (status == SEMCAL_OK) {
        const char *stop = clean + strlen(clean), *head = clean + strspn(clean, " +-$");
        sc_number number;
        bool starts = is_digit(*head) || (*head == '.' && is_digit(head[1]));
        if (starts && sc_number_next(&number, head, stop, clean) && !number.ordinal && !number.operand &&
            !number.embedded && only_units(number.end, stop)) {
            number.negative = memchr(clean, '-', (size_t)(head - clean)) != NULL;
            status = sc_number_label(label, &number, error);
        }
    }
    free(text);
    free(clean);
    return status;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Canonical elements of a comma list, joined by commas; sorted and each once where order means nothing. */
static semcal_status write_list(sc_text *out, const char *begin, const char *end, bool sorted, int depth,
                                semcal_error *error)
{
    char **items = NULL;
    size_t n = 0, capacity = 0;
    semcal_status status = SEMCAL_OK;
    while (begin <= end && status == SEMCAL_OK) {
        const char *comma = find_top(begin, end, ",;"), *stop = comma == NULL ? end : comma;
        sc_text item = {0};
        status = sc_text_append(&item, "", 0, error);
        if (status == SEMCAL_OK) {
            status = write_form(&item, begin, stop, depth + 1, error);
        }
        if (status == SEMCAL_OK && item.length > 0) {
            status = sc_memory_grow(&items, &capacity, n + 1, sizeof *items, error);
        }
        if (status == SEMCAL_OK && item.length > 0) {
            items[n++] = item.data;
            item = (sc_text){0};
        }
        sc_text_free(&item);
        begin = stop + 1;
    }
    if (sorted && n > 1) {
        qsort(items, n, sizeof *items, compare_texts);
    }
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        if (!sorted || i == 0 || strcmp(items[i], items[i - 1]) != 0) {
            status = sc_text_printf(out, error, "%s%s", i == 0 ? "" : ",", items[i]);
        }
    }
    for (size_t i = 0; i < n; i++) {
        free(items[i]);
    }
    free(items);
    return status;
}

/* "x =", "f(x) =", "x \in" in front of the answer: where the answer begins. */
static const char *behind_name(const char *begin, const char *end)
{
    const char *at = begin;
    if (at == end || !is_letter(*at)) {
        return begin;
    }
    at++;
    if (end - at >= 3 && at[0] == '(' && is_letter(at[1]) && at[2] == ')') {
        at += 3;
    }
    while (at < end && *at == ' ') {
        at++;
    }
    if (end - at > 3 && strncmp(at, "\\in", 3) == 0 && !is_letter(at[3])) {
        return at + 3;
    }
    return at < end && *at == '=' && find_top(at + 1, end, "=") == NULL ? at + 1 : begin;
}

/* An argument at *at: {...} or one character (a command counts as one). */
static void take_argument(const char **begin, const char **end, const char **at, const char *stop)
{
    while (*at < stop && **at == ' ') {
        ++*at;
    }
    const char *close = *at < stop && **at == '{' ? closing(*at, stop) : NULL;
    if (close != NULL) {
        *begin = *at + 1;
        *end = close;
        *at = close + 1;
        return;
    }
    *begin = *at;
    if (*at < stop && **at == '\\') {
        ++*at;
        while (*at < stop && is_letter(**at)) {
            ++*at;
        }
    } else if (*at < stop) {
        do { /* a whole character */
            ++*at;
        } while (*at < stop && ((unsigned char)**at & 0xC0) == 0x80);
    }
    *end = *at;
}

static semcal_status write_group(sc_text *out, const char **at, const char *stop, int depth, semcal_error *error)
{
    const char *begin, *end;
    take_argument(&begin, &end, at, stop);
    semcal_status status = sc_text_append(out, "{", 1, error);
    if (status == SEMCAL_OK) {
        status = write_form(out, begin, end, depth + 1, error);
    }
    return status == SEMCAL_OK ? sc_text_append(out, "}", 1, error) : status;
}

static bool is_command(const char *at, const char *end, const char *name)
{
    size_t n = strlen(name);
    return (size_t)(end - at) >= n && strncmp(at, name, n) == 0;
}

/* over/under as \frac, a leading minus moved in front of it. */
static semcal_status write_quotient(sc_text *out, const char *over, const char *over_end, const char *under,
                                    const char *under_end, int depth, semcal_error *error)
{
    sc_text above = {0}, below = {0};
    semcal_status status = sc_text_append(&above, "", 0, error);
    status = status == SEMCAL_OK ? sc_text_append(&below, "", 0, error) : status;
    status = status == SEMCAL_OK ? write_form(&above, over, over_end, depth + 1, error) : status;
    status = status == SEMCAL_OK ? write_form(&below, under, under_end, depth + 1, error) : status;
    if (status == SEMCAL_OK) {
        const char *top = above.data == NULL ? "" : above.data, *bottom = below.data == NULL ? "" : below.data;
        bool minus = top[0] == '-' && out->length == 0 && strpbrk(top + 1, "+-") == NULL;
        status = sc_text_printf(out, error, "%s\\frac{%s}{%s}", minus ? "-" : "", top + minus, bottom);
    }
    sc_text_free(&above);
    sc_text_free(&below);
    return status;
}

static semcal_status write_expression(sc_text *out, const char *at, const char *end, int depth, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    while (at < end && status == SEMCAL_OK) {
        if (*at == ' ') {
            at++;
        } else if (is_command(at, end, "\\frac")) {
            const char *over, *over_end, *under, *under_end;
            at += 5;
            take_argument(&over, &over_end, &at, end);
            take_argument(&under, &under_end, &at, end);
            status = write_quotient(out, over, over_end, under, under_end, depth, error);
        } else if (is_command(at, end, "\\sqrt")) {
            const char *index = at + 5, *close = index < end && *index == '[' ? closing(index, end) : NULL;
            at = close == NULL ? index : close + 1;
            status = sc_text_printf(out, error, "\\sqrt%.*s", close == NULL ? 0 : (int)(close + 1 - index), index);
            if (status == SEMCAL_OK) {
                status = write_group(out, &at, end, depth, error);
            }
        } else if (*at == '^' || *at == '_') {
            status = sc_text_append(out, at++, 1, error);
            if (status == SEMCAL_OK) {
                status = write_group(out, &at, end, depth, error);
            }
        } else if (*at == '*') { /* a product sign is needed between digits only */
            const char *next = at + 1;
            while (next < end && *next == ' ') {
                next++;
            }
            bool digits = out->length > 0 && is_digit(out->data[out->length - 1]) && next < end && is_digit(*next);
            status = sc_text_append(out, "*", digits ? 1 : 0, error);
            at++;
        } else {
            status = sc_text_append(out, at, 1, error);
            at++;
        }
    }
    return status;
}

/* A text of words: as other kinds read it. */
static semcal_status write_words(sc_text *out, const char *begin, const char *end, semcal_error *error)
{
    char *text = sc_memory_strndup(begin, (size_t)(end - begin), error), *plain = NULL;
    semcal_status status = text == NULL ? SEMCAL_E_MEMORY : sc_words_plain(&plain, text, error);
    if (status == SEMCAL_OK) {
        status = sc_text_append(out, plain, strlen(plain), error);
    }
    free(text);
    free(plain);
    return status;
}

static bool is_words(const char *begin, const char *end)
{
    size_t n_letters = 0;
    for (const char *at = begin; at < end; at++) {
        if (!is_letter(*at) && strchr(" -'", *at) == NULL && (unsigned char)*at < 0x80) {
            return false;
        }
        n_letters += is_letter(*at) || (unsigned char)*at >= 0x80;
    }
    return n_letters >= 2;
}

/* Brackets around all of [begin, end): \{ \}, ( ), [ ] (or half-open), { }. */
static semcal_status write_bracketed(bool *done, sc_text *out, const char *begin, const char *end, int depth,
                                     semcal_error *error)
{
    *done = false;
    bool set = end - begin >= 4 && begin[0] == '\\' && begin[1] == '{' && closing(begin + 1, end) == end - 1;
    if (set) {
        *done = true;
        semcal_status status = sc_text_append(out, "{", 1, error);
        if (status == SEMCAL_OK) {
            status = write_list(out, begin + 2, end - 2, true, depth, error);
        }
        return status == SEMCAL_OK ? sc_text_append(out, "}", 1, error) : status;
    }
    if (end - begin < 2 || strchr("([{", *begin) == NULL || closing(begin, end) != end - 1) {
        return SEMCAL_OK;
    }
    *done = true;
    bool list = find_top(begin + 1, end - 1, ",;") != NULL;
    if (!list && *begin != '[') { /* brackets that only group */
        return write_form(out, begin + 1, end - 1, depth + 1, error);
    }
    if (*begin == '{') {
        return write_form(out, begin + 1, end - 1, depth + 1, error);
    }
    semcal_status status = sc_text_append(out, begin, 1, error);
    if (status == SEMCAL_OK) {
        status = write_list(out, begin + 1, end - 1, false, depth, error);
    }
    return status == SEMCAL_OK ? sc_text_append(out, end - 1, 1, error) : status;
}

static semcal_status write_form(sc_text *out, const char *begin, const char *end, int depth, semcal_error *error)
{
    char *label = NULL;
    bool done = false;
    trim(&begin, &end);
    begin = behind_name(begin, end);
    trim(&begin, &end);
    if (depth > MOST_DEPTH || begin == end) {
        return sc_text_append(out, begin, (size_t)(end - begin), error);
    }
    semcal_status status = whole_number(&label, begin, end, error);
    if (status == SEMCAL_OK && label != NULL) {
        status = sc_text_append(out, label, strlen(label), error);
        free(label);
        return status;
    }
    if (status == SEMCAL_OK) {
        status = write_bracketed(&done, out, begin, end, depth, error);
    }
    if (status != SEMCAL_OK || done) {
        return status;
    }
    if (find_top(begin, end, ",;") != NULL) { /* a bare list is a set */
        status = sc_text_append(out, "{", 1, error);
        status = status == SEMCAL_OK ? write_list(out, begin, end, true, depth, error) : status;
        return status == SEMCAL_OK ? sc_text_append(out, "}", 1, error) : status;
    }
    if (is_words(begin, end)) {
        return write_words(out, begin, end, error);
    }
    const char *slash = find_top(begin, end, "/");
    if (slash != NULL && find_top(slash + 1, end, "/") == NULL &&
        find_top(begin + (*begin == '-' || *begin == '+'), end, "+-=<>") == NULL) {
        return write_quotient(out, begin, slash, slash + 1, end, depth, error);
    }
    return write_expression(out, begin, end, depth, error);
}

semcal_status sc_math_canonical(char **canonical, const char *formula, size_t length, semcal_error *error)
{
    char *copy = sc_memory_strndup(formula, length, error), *valid = NULL;
    sc_text tidied = {0}, out = {0};
    *canonical = NULL;
    semcal_status status = copy == NULL ? SEMCAL_E_MEMORY : sc_words_valid(&valid, copy, error);
    if (status == SEMCAL_OK) {
        status = tidy(&tidied, valid, error);
    }
    if (status == SEMCAL_OK && tidied.length > 0) {
        status = write_form(&out, tidied.data, tidied.data + tidied.length, 0, error);
    }
    if (status == SEMCAL_OK && out.length > 0) {
        *canonical = out.data;
        out = (sc_text){0};
    }
    free(copy);
    free(valid);
    sc_text_free(&tidied);
    sc_text_free(&out);
    return status;
}

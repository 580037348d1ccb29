/* SPDX-License-Identifier: Apache-2.0 */
/* The first half of reading numbers: many notations become few. */
#include "meaning/number.h"

#include "base/memory.h"

#include <string.h>
#include <utf8proc.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static semcal_status put(sc_text *out, const char *bytes, semcal_error *error)
{
    return sc_text_append(out, bytes, strlen(bytes), error);
}

static char last(const sc_text *out)
{
    return out->length == 0 ? '\0' : out->data[out->length - 1];
}

/* True when a separator here parts thousands: one to three digits stand before, exactly three follow. */
static bool parts_thousands(const sc_text *out, const char *after)
{
    size_t n = 0;
    while (n < out->length && n < 4 && is_digit(out->data[out->length - 1 - n])) {
        n++;
    }
    return n >= 1 && n <= 3 && is_digit(after[0]) && is_digit(after[1]) && is_digit(after[2]) && !is_digit(after[3]);
}

static semcal_status put_thin(sc_text *out, const char *after, semcal_error *error)
{
    return put(out, parts_thousands(out, after) ? "," : " ", error);
}

/* An argument of \frac at `at`: {...} without inner braces, or one character. False when it is not a whole number. */
static bool whole_argument(const char **begin, const char **end, const char **next, const char *at)
{
    while (*at == ' ') {
        at++;
    }
    if (*at == '{') {
        const char *close = at + 1 + strcspn(at + 1, "{}\n");
        if (*close != '}') {
            return false;
        }
        *begin = at + 1;
        *end = close;
        *next = close + 1;
    } else {
        *begin = at;
        *end = *next = at + (*at != '\0');
    }
    while (*begin < *end && **begin == ' ') {
        ++*begin;
    }
    while (*end > *begin && (*end)[-1] == ' ') {
        --*end;
    }
    const char *digits = *begin + (**begin == '-' && *end - *begin > 1);
    for (const char *c = digits; c < *end; c++) {
        if (!is_digit(*c) && *c != ',') {
            return false;
        }
    }
    return digits < *end;
}

/* \frac of two whole numbers becomes over/under; a digit before it makes a mixed number. NULL in *next: not so simple.
 */
static semcal_status put_fraction(const char **next, sc_text *out, const char *at, semcal_error *error)
{
    const char *over, *over_end, *under, *under_end, *middle, *end;
    *next = NULL;
    if (!whole_argument(&over, &over_end, &middle, at) || !whole_argument(&under, &under_end, &end, middle) ||
        *under == '-') {
        return SEMCAL_OK;
    }
    *next = end;
    return sc_text_printf(out, error, "%s%.*s/%.*s", is_digit(last(out)) ? " " : "", (int)(over_end - over), over,
                          (int)(under_end - under), under);
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

/* A LaTeX command at `at` (a backslash). */
static semcal_status put_command(const char **next, sc_text *out, const char *at, semcal_error *error)
{
    size_t n = 0;
    while (is_letter(at[1 + n])) {
        n++;
    }
    const char *name = at + 1;
    if (n == 0) {
        char c = *name;
        *next = at + 1 + (c != '\0');
        if (c == ',') {
            return put_thin(out, *next, error);
        }
        if (c == '!') {
            return SEMCAL_OK;
        }
        if (c != '\0' && strchr("$%#&_", c) != NULL) {
            return sc_text_append(out, &c, 1, error);
        }
        /* any other byte after a backslash stays for the main loop, unless it is LaTeX's own punctuation */
        *next = c != '\0' && strchr(";: ()[]{}\\", c) != NULL ? *next : at + 1;
        return put(out, " ", error);
    }
    *next = name + n;
    if (is_one_of(name, n, "frac dfrac tfrac cfrac")) {
        const char *end;
        semcal_status status = put_fraction(&end, out, name + n, error);
        if (status != SEMCAL_OK || end != NULL) {
            *next = end;
            return status;
        }
        return put(out, "\\frac", error);
    }
    if (is_one_of(name, n, "left right big Big bigl bigr Bigl Bigr displaystyle")) {
        return SEMCAL_OK;
    }
    if (is_one_of(name, n, "times cdot ast")) {
        return put(out, "*", error);
    }
    if (is_one_of(name, n, "div")) {
        return put(out, "/", error);
    }
    if (is_one_of(name, n, "circ degree")) {
        return put(out, " degrees ", error);
    }
    if (is_one_of(name, n, "textdollar pounds euro yen")) {
        return put(out, "$", error);
    }
    if (is_one_of(name, n,
                  "text textrm textbf textit mathrm mathbf mathit mbox operatorname approx sim simeq quad qquad")) {
        return put(out, " ", error);
    }
    return sc_text_append(out, at, n + 1, error);
}

/* The zeros of decimal digits beyond ASCII: Arabic, Persian, Devanagari, Bengali, Thai, fullwidth. */
static int digit_of(int32_t point)
{
    static const int32_t zeros[] = {0x0660, 0x06F0, 0x0966, 0x09E6, 0x0E50, 0xFF10};
    for (size_t i = 0; i < sizeof zeros / sizeof *zeros; i++) {
        if (point >= zeros[i] && point <= zeros[i] + 9) {
            return (int)(point - zeros[i]);
        }
    }
    return point >= 0x1D7CE && point <= 0x1D7FF ? (int)((point - 0x1D7CE) % 10) : -1;
}

/* Superscript digits and minus become ^n; one caret for a run of them. */
static bool superscript_of(char *c, int32_t point)
{
    static const int32_t points[] = {0x2070, 0xB9, 0xB2, 0xB3, 0x2074, 0x2075, 0x2076, 0x2077, 0x2078, 0x2079};
    for (int i = 0; i < 10; i++) {
        if (points[i] == point) {
            *c = (char)('0' + i);
            return true;
        }
    }
    *c = '-';
    return point == 0x207B;
}

/* A character that unfolds into over/under (a vulgar fraction): its compatibility form has a fraction slash. */
static semcal_status put_vulgar(bool *done, sc_text *out, int32_t point, semcal_error *error)
{
    utf8proc_int32_t parts[8];
    int boundary = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char(point, parts, 8, UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE, &boundary);
    char text[10] = "";
    size_t used = 0;
    *done = false;
    for (utf8proc_ssize_t i = 0; i < n && n <= 8; i++) {
        *done = *done || parts[i] == 0x2044;
        text[used++] = parts[i] == 0x2044 ? '/' : (char)(parts[i] < 128 ? parts[i] : '?');
    }
    if (!*done) {
        return SEMCAL_OK;
    }
    semcal_status status = is_digit(last(out)) ? put(out, " ", error) : SEMCAL_OK;
    return status == SEMCAL_OK ? sc_text_append(out, text, used, error) : status;
}

/* What a sign of one meaning becomes; NULL for every other character. */
static const char *plain_of(int32_t point)
{
    switch (point) {
    case 0x2010:
    case 0x2011:
    case 0x2012:
    case 0x2013:
    case 0x2212:
    case 0xFE63:
    case 0xFF0D:
        return "-";
    case 0xD7:
    case 0xB7:
    case 0x22C5:
    case 0x2219:
    case 0x2217:
    case 0x2715:
    case 0x2A2F:
        return "*";
    case 0xF7:
    case 0x2044:
    case 0x2215:
        return "/";
    case 0xAD:
    case 0x200B:
    case 0x200C:
    case 0x200D:
    case 0x2060:
    case 0xFEFF:
        return "";
    case 0x3C0:
        return "\\pi";
    case 0x221A:
        return "\\sqrt";
    case 0x2248:
    case 0x223C:
    case 0x2245:
        return " ";
    default:
        return NULL;
    }
}

/* A character beyond ASCII. `after` is the text behind it. */
static semcal_status put_wide(sc_text *out, int32_t point, const char *bytes, size_t n_bytes, bool *raised,
                              semcal_error *error)
{
    const char *after = bytes + n_bytes;
    char digit[3] = "";
    if (superscript_of(&digit[0], point)) {
        semcal_status status = *raised ? SEMCAL_OK : put(out, "^", error);
        *raised = true;
        return status == SEMCAL_OK ? put(out, digit, error) : status;
    }
    *raised = false;
    if (digit_of(point) >= 0) {
        digit[0] = (char)('0' + digit_of(point));
        return put(out, digit, error);
    }
    if (point >= 0x2080 && point <= 0x2089) { /* subscripts name things, they count nothing */
        digit[0] = '_';
        digit[1] = (char)('0' + (point - 0x2080));
        return put(out, digit, error);
    }
    const char *plain = plain_of(point);
    if (plain != NULL) {
        return put(out, plain, error);
    }
    if (point == 0x2018 || point == 0x2019) {
        return put(out, parts_thousands(out, after) ? "," : "'", error);
    }
    if (point == 0xA0 || point == 0x2007 || point == 0x2009 || point == 0x200A || point == 0x202F) {
        return put_thin(out, after, error);
    }
    if (point >= 0xFF01 && point <= 0xFF5E) {
        digit[0] = (char)(point - 0xFF01 + '!');
        return put(out, digit, error);
    }
    utf8proc_category_t category = utf8proc_category(point);
    if (category == UTF8PROC_CATEGORY_SC) {
        return put(out, "$", error);
    }
    if (category == UTF8PROC_CATEGORY_ZS) {
        return put(out, " ", error);
    }
    if (category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP) {
        return put(out, "\n", error);
    }
    bool done = false;
    if (category == UTF8PROC_CATEGORY_NO) {
        semcal_status status = put_vulgar(&done, out, point, error);
        if (status != SEMCAL_OK || done) {
            return status;
        }
    }
    return sc_text_append(out, bytes, n_bytes, error);
}

/* The end of a calculator mark <<16-3=13>> at `at`; one that is cut off ends with its line. NULL when it is none. */
static const char *calculator_end(const char *at)
{
    if (at[0] != '<' || at[1] != '<' || at[2] == '\0' || strchr("0123456789.(+-$ ", at[2]) == NULL) {
        return NULL;
    }
    const char *end = at + strcspn(at, "\n"), *close = strstr(at, ">>");
    return close != NULL && close < end ? close + 2 : end;
}

/* One ASCII character and what belongs to it. */
static semcal_status put_ascii(const char **next, sc_text *out, const char *at, semcal_error *error)
{
    const char *calculator = calculator_end(at);
    *next = at + 1;
    if (calculator != NULL) {
        *next = calculator;
        return SEMCAL_OK;
    }
    switch (*at) {
    case '\\':
        return put_command(next, out, at, error);
    case '{':
        if (strncmp(at, "{,}", 3) == 0) {
            *next = at + 3;
            return put(out, ",", error);
        }
        return put(out, "{", error);
    case '^':
        if (strncmp(at, "^\\circ", 6) == 0 || strncmp(at, "^{\\circ}", 8) == 0) {
            *next = at + (at[1] == '{' ? 8 : 6);
            return put(out, " degrees ", error);
        }
        return put(out, "^", error);
    case '\'':
        return put(out, parts_thousands(out, at + 1) ? "," : "'", error);
    case '*':
        if (at[1] == '*') { /* bold in Markdown, a power in programs */
            *next = at + 2;
            return put(out, is_digit(last(out)) && is_digit(at[2]) ? "^" : " ", error);
        }
        return put(out, "*", error);
    case '\t':
    case '\v':
    case '\f':
    case '\r':
    case '`':
    case '~':
        return put(out, " ", error);
    default:
        return sc_text_append(out, at, 1, error);
    }
}

semcal_status sc_number_clean(char **clean, const char *text, semcal_error *error)
{
    sc_text out = {0};
    semcal_status status = sc_text_append(&out, "", 0, error);
    bool raised = false;
    *clean = NULL;
    while (status == SEMCAL_OK && *text != '\0') {
        if ((unsigned char)*text < 0x80) {
            raised = false;
            status = put_ascii(&text, &out, text, error);
            continue;
        }
        utf8proc_int32_t point;
        utf8proc_ssize_t n =
            utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)strnlen(text, 4), &point);
        if (n <= 0) {
            status = put(&out, "?", error);
            text++;
            continue;
        }
        status = put_wide(&out, point, text, (size_t)n, &raised, error);
        text += n;
    }
    if (status == SEMCAL_OK && out.data == NULL) {
        out.data = sc_memory_strdup("", error);
        status = out.data == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    if (status == SEMCAL_OK) {
        *clean = out.data;
        out = (sc_text){0};
    }
    sc_text_free(&out);
    return status;
}

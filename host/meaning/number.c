/* SPDX-License-Identifier: Apache-2.0 */
/* The scanner: where a number begins and ends in clean text, and what its parts are. */
#include "meaning/number.h"

#include <string.h>
#include <strings.h>

/* More digits than this is a stuck model, not a number. */
enum { MOST_DIGITS = 1000, MOST_EXPONENT = 1000 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The character at `at`, NUL at the end of the text searched. */
static char peek(const char *at, const char *end)
{
    return at < end ? *at : '\0';
}

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && is_digit(*at)) {
        at++;
    }
    return at;
}

static const char *skip_spaces(const char *at, const char *end)
{
    while (at < end && *at == ' ') {
        at++;
    }
    return at;
}

/* Digits with commas: groups of three (1,234,567) or the Indian way (12,34,567). */
static bool good_groups(const char *begin, const char *end)
{
    const char *comma = memchr(begin, ',', (size_t)(end - begin));
    if (comma == NULL) {
        return true;
    }
    size_t first = (size_t)(comma - begin), middle = 0, group = 0;
    bool same = true;
    for (const char *at = comma + 1; at <= end; at++) {
        if (at < end && *at != ',') {
            group++;
            continue;
        }
        if (at < end) {
            same = same && (middle == 0 || middle == group);
            middle = group;
        } else if (group != 3) {
            return false;
        }
        group = 0;
    }
    return same && ((middle == 0 || middle == 3) ? first <= 3 : middle == 2 && first <= 2);
}

/* Swallows what makes a number no number: more dots, commas, colons or slashes between digits. */
static const char *skip_tangle(const char *at, const char *end)
{
    while (at + 1 < end && strchr(".,:/", *at) != NULL && is_digit(at[1])) {
        at = skip_digits(at + 1, end);
    }
    return at;
}

/* over/under behind `at`; the slash has spaces on both sides or on none. */
static bool read_under(struct sc_number_part *under, const char *at, const char *end)
{
    const char *slash = skip_spaces(at, end), *digits = skip_spaces(slash + (slash < end), end);
    if (peek(slash, end) != '/' || (slash > at) != (digits > slash + 1) || !is_digit(peek(digits, end))) {
        return false;
    }
    const char *stop = skip_digits(digits, end);
    while (peek(stop, end) == ',' && good_groups(digits, skip_digits(stop + 1, end)) && is_digit(peek(stop + 1, end))) {
        stop = skip_digits(stop + 1, end);
    }
    *under = (struct sc_number_part){digits, stop};
    return true;
}

/* Value of a few digits, for comparing the parts of a mixed number and reading exponents; saturates. */
static long small_value(const char *begin, const char *end)
{
    long value = 0;
    for (; begin < end; begin++) {
        if (is_digit(*begin) && value < 100000000) {
            value = 10 * value + (*begin - '0');
        }
    }
    return value;
}

/* A proper fraction behind a whole number: "1 3/4", "1 and 3/4". */
static const char *read_mixed(sc_number *number, const char *at, const char *end)
{
    const char *digits = skip_spaces(at, end);
    if (digits == at) {
        return at;
    }
    if (end - digits > 4 && strncasecmp(digits, "and ", 4) == 0) {
        digits = skip_spaces(digits + 4, end);
    } else if (peek(digits, end) == '&') {
        digits = skip_spaces(digits + 1, end);
    }
    const char *stop = skip_digits(digits, end);
    struct sc_number_part under;
    if (stop == digits || peek(stop, end) != '/' || !read_under(&under, stop, end) ||
        small_value(digits, stop) >= small_value(under.begin, under.end)) {
        return at;
    }
    number->over = (struct sc_number_part){digits, stop};
    number->under = under;
    return under.end;
}

/* "^5", "^{5}", "^-5" behind `at`; NULL when there is none. */
static const char *read_power(long *power, const char *at, const char *end)
{
    if (peek(at, end) != '^') {
        return NULL;
    }
    at++;
    bool brace = peek(at, end) == '{';
    at += brace;
    bool minus = peek(at, end) == '-';
    at += minus || peek(at, end) == '+';
    const char *stop = skip_digits(at, end);
    if (stop == at || (brace && peek(stop, end) != '}')) {
        return NULL;
    }
    *power = minus ? -small_value(at, stop) : small_value(at, stop);
    return stop + brace;
}

/* The power of ten behind a mantissa: "e3", "E+3", " x 10^3", " * 10^{3}". */
static const char *read_exponent(sc_number *number, const char *at, const char *end)
{
    if (peek(at, end) == 'e' || peek(at, end) == 'E') {
        const char *digits = at + 1;
        bool minus = peek(digits, end) == '-';
        digits += minus || peek(digits, end) == '+';
        const char *stop = skip_digits(digits, end);
        if (stop > digits && !is_letter(peek(stop, end))) {
            number->exponent += minus ? -small_value(digits, stop) : small_value(digits, stop);
            return stop;
        }
        return at;
    }
    const char *sign = skip_spaces(at, end);
    if (peek(sign, end) == '*' || peek(sign, end) == 'x' || peek(sign, end) == 'X') {
        const char *ten = skip_spaces(sign + 1, end);
        long power = 0;
        if (end - ten > 2 && ten[0] == '1' && ten[1] == '0') {
            const char *stop = read_power(&power, ten + 2, end);
            if (stop != NULL) {
                number->exponent += power;
                return stop;
            }
        }
    }
    return at;
}

/* Scale words ("million"), and after a currency sign the letters k, m, b ("$5k"). */
static const char *read_scale(sc_number *number, const char *at, const char *end, bool currency)
{
    static const struct {
        const char *word;
        long exponent;
        bool only_currency;
    } scales[] = {
        {"hundred", 2, false},   {"thousand", 3, false}, {"million", 6, false}, {"billion", 9, false},
        {"trillion", 12, false}, {"k", 3, true},         {"m", 6, true},        {"mn", 6, true},
        {"bn", 9, true},         {"b", 9, true},
    };
    for (;;) {
        const char *word = skip_spaces(at, end);
        size_t i = 0, n = 0;
        for (; i < sizeof scales / sizeof *scales; i++) {
            n = strlen(scales[i].word);
            if ((size_t)(end - word) < n || strncasecmp(word, scales[i].word, n) != 0 ||
                (scales[i].only_currency && (!currency || word > at))) {
                continue;
            }
            if (peek(word + n, end) == 's' && !scales[i].only_currency) {
                n++;
            }
            if (!is_letter(peek(word + n, end))) {
                break;
            }
        }
        if (i == sizeof scales / sizeof *scales) {
            return at;
        }
        number->exponent += scales[i].exponent;
        at = word + n;
    }
}

/* What stands behind the digits and spoils or marks them. */
static const char *read_tail(sc_number *number, const char *at, const char *end)
{
    const char *next = skip_spaces(at, end);
    if (end - at >= 2 && is_letter(at[0]) && is_letter(at[1]) && !is_letter(peek(at + 2, end)) &&
        (strncasecmp(at, "st", 2) == 0 || strncasecmp(at, "nd", 2) == 0 || strncasecmp(at, "rd", 2) == 0 ||
         strncasecmp(at, "th", 2) == 0)) {
        number->ordinal = true;
        return at + 2;
    }
    while (peek(next, end) == '*') {
        next = skip_spaces(next + 1, end);
    }
    if (end - next >= 3 && (strncmp(next, "\\pi", 3) == 0 || strncmp(next, "\\sq", 3) == 0)) {
        number->malformed = true;
        return next + 3;
    }
    long power;
    const char *stop = read_power(&power, at, end);
    if (stop != NULL) {
        number->malformed = true;
        return stop;
    }
    return at;
}

/* Reads forward from the first digit or the dot before it. */
static void read_forward(sc_number *number, const char *at, const char *end, bool currency)
{
    const char *begin = at;
    at = skip_digits(at, end);
    while (peek(at, end) == ',' && is_digit(peek(at + 1, end))) {
        at = skip_digits(at + 1, end);
    }
    number->whole = (struct sc_number_part){begin, at};
    number->malformed = !good_groups(begin, at);
    if (peek(at, end) == '.' && is_digit(peek(at + 1, end))) {
        const char *stop = skip_digits(at + 1, end);
        number->decimals = (struct sc_number_part){at + 1, stop};
        at = stop;
    } else if (!number->malformed) {
        struct sc_number_part under;
        long power = 0;
        if (read_under(&under, at, end)) {
            number->over = number->whole;
            number->whole.begin = number->whole.end;
            number->under = under;
            at = under.end;
        } else if (at - begin == 2 && begin[0] == '1' && begin[1] == '0' && read_power(&power, at, end) != NULL) {
            at = read_power(&power, at, end);
            number->exponent = power - 1;
        } else {
            at = read_mixed(number, at, end);
        }
    }
    const char *tangled = skip_tangle(at, end);
    if (tangled > at) {
        number->malformed = true;
        at = tangled;
    }
    at = read_exponent(number, at, end);
    at = read_scale(number, at, end, currency);
    number->end = read_tail(number, at, end);
    if (number->end - begin > MOST_DIGITS || number->exponent > MOST_EXPONENT || number->exponent < -MOST_EXPONENT) {
        number->malformed = true;
    }
}

static bool word_before(const char *at, const char *floor, const char *word)
{
    size_t n = strlen(word);
    return (size_t)(at - floor) >= n && strncasecmp(at - n, word, n) == 0 &&
           ((size_t)(at - floor) == n || !is_letter(at[-(ptrdiff_t)n - 1]));
}

static const char *back_spaces(const char *at, const char *floor)
{
    while (at > floor && at[-1] == ' ') {
        at--;
    }
    return at;
}

static bool is_currency_code(const char *at, const char *floor)
{
    static const char *const codes[] = {"Rs", "USD", "EUR", "GBP", "INR", "CAD", "AUD", "US", "RM"};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (word_before(at, floor, codes[i])) {
            return true;
        }
    }
    return false;
}

/* A left operand ends here: a digit, a closing bracket, a percent sign. */
static bool ends_operand(char c)
{
    return is_digit(c) || c == ')' || c == '}' || c == '%' || c == ']';
}

/* A minus or plus at `sign`, before a number or its currency at `at`. */
static void read_sign(sc_number *number, const char *sign, const char *at, const char *floor)
{
    const char *before = back_spaces(sign, floor);
    char left = before > floor ? before[-1] : '\0';
    bool tight_before = before == sign, tight_after = sign + 1 == at;
    if (ends_operand(left)) {
        number->operand = true;
    } else if (is_letter(left) || (unsigned char)left >= 0x80) {
        if (tight_before) {
            number->embedded = true;
        } else if (tight_after) {
            number->negative = *sign == '-';
        } else {
            number->operand = *sign == '+'; /* " - " between words is a dash */
        }
    } else if (tight_after || left == '=' || left == ':' || left == '(' || left == '{' || left == '#') {
        number->negative = *sign == '-'; /* "- 5" at the start of a line is a bullet */
    }
}

/* What stands before the first digit: currency, sign, operator, letters. */
static void read_backward(sc_number *number, const char *digits, const char *floor)
{
    const char *at = digits, *before = back_spaces(at, floor);
    if (at > floor && is_letter(at[-1]) && !is_currency_code(at, floor) && !word_before(at, floor, "x")) {
        number->embedded = true;
        return;
    }
    if (at > floor && (at[-1] == '_' || at[-1] == '^') && at - 1 > floor &&
        (is_letter(at[-2]) || ends_operand(at[-2]))) {
        number->embedded = true;
        return;
    }
    if (at > floor && at[-1] == '{' && at - 1 > floor && (at[-2] == '^' || at[-2] == '_')) {
        number->embedded = true;
        return;
    }
    if (before > floor && before[-1] == '$') {
        number->begin = at = before - 1;
        before = back_spaces(at, floor);
    }
    if (before == floor) {
        return;
    }
    char c = before[-1];
    if (c == '-' || c == '+') {
        read_sign(number, before - 1, at, floor);
    } else if (c == '*' || c == '/' || c == '^') {
        const char *left = back_spaces(before - 1, floor);
        bool italic = c == '*' && before == at && left < before - 1;
        number->operand = left > floor && (ends_operand(left[-1]) || (!italic && is_letter(left[-1])));
    } else if ((c == 'x' || c == 'X') && word_before(before, floor, "x")) {
        const char *left = back_spaces(before - 1, floor);
        number->operand = left > floor && ends_operand(left[-1]);
        number->embedded = !number->operand && before == at; /* a variable: x5 */
    } else if (word_before(before, floor, "minus") || word_before(before, floor, "negative")) {
        number->negative = true;
    }
    if (number->negative || c == '+') {
        number->begin = before - 1;
    }
}

bool sc_number_next(sc_number *number, const char *at, const char *end, const char *floor)
{
    for (; at < end; at++) {
        bool dot =
            *at == '.' && is_digit(peek(at + 1, end)) && (at == floor || strchr(" \n$-+=(:*{/[", at[-1]) != NULL);
        if (!is_digit(*at) && !dot) {
            continue;
        }
        struct sc_number_part none = {at, at};
        *number = (sc_number){.begin = at, .whole = none, .decimals = none, .over = none, .under = none};
        read_backward(number, at, floor);
        read_forward(number, at, end, number->begin < at && memchr(number->begin, '$', (size_t)(at - number->begin)));
        return true;
    }
    return false;
}

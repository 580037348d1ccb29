/* SPDX-License-Identifier: Apache-2.0 */
/* The exact value of a number as a label, and numbers in words. */
#include "meaning/number.h"

#include "base/memory.h"

#include <openssl/bn.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Digits of a part, separators left out. */
static semcal_status append_digits(sc_text *digits, struct sc_number_part part, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (const char *at = part.begin; at < part.end && status == SEMCAL_OK; at++) {
        if (*at >= '0' && *at <= '9') {
            status = sc_text_append(digits, at, 1, error);
        }
    }
    return status;
}

static semcal_status append_zeros(sc_text *text, long n, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (long i = 0; i < n && status == SEMCAL_OK; i++) {
        status = sc_text_append(text, "0", 1, error);
    }
    return status;
}

/* digits * 10^shift as a plain decimal without spare zeros. */
static semcal_status decimal_label(char **label, const char *digits, long shift, bool negative, semcal_error *error)
{
    digits += strspn(digits, "0");
    size_t n = strlen(digits);
    for (; n > 0 && digits[n - 1] == '0'; n--) {
        shift++;
    }
    sc_text text = {0};
    semcal_status status = sc_text_append(&text, "-", negative && n > 0 ? 1 : 0, error);
    long point = (long)n + shift; /* digits before the point */
    if (status == SEMCAL_OK && n == 0) {
        status = sc_text_append(&text, "0", 1, error);
    } else if (status == SEMCAL_OK && shift >= 0) {
        status = sc_text_append(&text, digits, n, error);
        status = status == SEMCAL_OK ? append_zeros(&text, shift, error) : status;
    } else if (status == SEMCAL_OK && point > 0) {
        status = sc_text_printf(&text, error, "%.*s.%.*s", (int)point, digits, (int)((long)n - point), digits + point);
    } else if (status == SEMCAL_OK) {
        status = sc_text_append(&text, "0.", 2, error);
        status = status == SEMCAL_OK ? append_zeros(&text, -point, error) : status;
        status = status == SEMCAL_OK ? sc_text_append(&text, digits, n, error) : status;
    }
    if (status == SEMCAL_OK) {
        *label = text.data;
    } else {
        sc_text_free(&text);
    }
    return status;
}

/* How often `factor` divides `number`; it is divided out. */
static int divide_out(BIGNUM *number, BN_ULONG factor)
{
    int n = 0;
    while (!BN_is_zero(number) && BN_mod_word(number, factor) == 0) {
        (void)BN_div_word(number, factor);
        n++;
    }
    return n;
}

static int multiply_power(BIGNUM *number, BN_ULONG factor, int times)
{
    int good = 1;
    for (int i = 0; i < times && good; i++) {
        good = BN_mul_word(number, factor);
    }
    return good;
}

/* (whole + over/under) * 10^exponent. Zero under gives NULL. */
static semcal_status fraction_label(char **label, const char *whole, const char *over, const char *under, long exponent,
                                    bool negative, semcal_error *error)
{
    semcal_status status = SEMCAL_E_MEMORY;
    char *above = NULL, *below = NULL;
    BIGNUM *a = NULL, *b = NULL, *w = NULL, *common = BN_new();
    BN_CTX *context = BN_CTX_new();
    if (common == NULL || context == NULL || BN_dec2bn(&a, over) == 0 || BN_dec2bn(&b, under) == 0 ||
        BN_dec2bn(&w, whole) == 0) {
        goto done;
    }
    if (BN_is_zero(b)) {
        status = SEMCAL_OK;
        goto done;
    }
    if (!BN_mul(w, w, b, context) || !BN_add(a, a, w) ||
        !multiply_power(exponent > 0 ? a : b, 10, (int)labs(exponent)) || !BN_gcd(common, a, b, context) ||
        !BN_div(a, NULL, a, common, context) || !BN_div(b, NULL, b, common, context)) {
        goto done;
    }
    int twos = divide_out(b, 2), fives = divide_out(b, 5), shift = twos > fives ? twos : fives;
    if (BN_is_one(b)) { /* the expansion ends after `shift` decimals */
        if (multiply_power(a, 2, shift - twos) && multiply_power(a, 5, shift - fives) &&
            (above = BN_bn2dec(a)) != NULL) {
            status = decimal_label(label, above, -shift, negative, error);
        }
        goto done;
    }
    if (multiply_power(b, 2, twos) && multiply_power(b, 5, fives) && (above = BN_bn2dec(a)) != NULL &&
        (below = BN_bn2dec(b)) != NULL) {
        sc_text text = {0};
        status = sc_text_printf(&text, error, "%s%s/%s", negative ? "-" : "", above, below);
        if (status == SEMCAL_OK) {
            *label = text.data;
        } else {
            sc_text_free(&text);
        }
    }
done:
    OPENSSL_free(above);
    OPENSSL_free(below);
    BN_free(a);
    BN_free(b);
    BN_free(w);
    BN_free(common);
    BN_CTX_free(context);
    return status == SEMCAL_E_MEMORY ? sc_error_set(error, status, "out of memory for a fraction") : status;
}

semcal_status sc_number_label(char **label, const sc_number *number, semcal_error *error)
{
    *label = NULL;
    if (number->malformed) {
        return SEMCAL_OK;
    }
    sc_text whole = {0}, over = {0}, under = {0};
    semcal_status status = append_digits(&whole, number->whole, error);
    if (status == SEMCAL_OK && number->under.begin == number->under.end) {
        status = append_digits(&whole, number->decimals, error);
        long shift = number->exponent - (long)(number->decimals.end - number->decimals.begin);
        if (status == SEMCAL_OK) {
            status = decimal_label(label, whole.data == NULL ? "0" : whole.data, shift, number->negative, error);
        }
    } else if (status == SEMCAL_OK) {
        status = append_digits(&over, number->over, error);
        status = status == SEMCAL_OK ? append_digits(&under, number->under, error) : status;
        if (status == SEMCAL_OK) {
            status = fraction_label(label, whole.data == NULL ? "0" : whole.data, over.data, under.data,
                                    number->exponent, number->negative, error);
        }
    }
    sc_text_free(&whole);
    sc_text_free(&over);
    sc_text_free(&under);
    return status;
}

/* ---- words ---- */

typedef struct word {
    const char *text;
    long long value;
} word;

static const word units[] = {
    {"zero", 0},      {"one", 1},       {"two", 2},       {"three", 3},    {"four", 4},     {"five", 5},
    {"six", 6},       {"seven", 7},     {"eight", 8},     {"nine", 9},     {"ten", 10},     {"eleven", 11},
    {"twelve", 12},   {"thirteen", 13}, {"fourteen", 14}, {"fifteen", 15}, {"sixteen", 16}, {"seventeen", 17},
    {"eighteen", 18}, {"nineteen", 19}, {"twenty", 20},   {"thirty", 30},  {"forty", 40},   {"fifty", 50},
    {"sixty", 60},    {"seventy", 70},  {"eighty", 80},   {"ninety", 90},
};

static const word scales[] = {
    {"hundred", 100}, {"thousand", 1000}, {"million", 1000000}, {"billion", 1000000000}, {"trillion", 1000000000000},
};

static size_t letters_at(const char *at, const char *end)
{
    size_t n = 0;
    while (at + n < end && ((at[n] >= 'a' && at[n] <= 'z') || (at[n] >= 'A' && at[n] <= 'Z'))) {
        n++;
    }
    return n;
}

static const word *find_word(const char *at, size_t n, const word *list, size_t n_list)
{
    for (size_t i = 0; i < n_list; i++) {
        if (strlen(list[i].text) == n && strncasecmp(list[i].text, at, n) == 0) {
            return &list[i];
        }
    }
    return NULL;
}

/* Skips "-" or blanks to the next word, and an "and" between words of one number. */
static const char *next_word(const char *at, const char *end, bool allow_and)
{
    const char *next = at;
    while (next < end && (*next == ' ' || *next == '-')) {
        next++;
    }
    if (allow_and && next > at && end - next > 4 && strncasecmp(next, "and ", 4) == 0) {
        return next_word(next + 3, end, false);
    }
    return next;
}

bool sc_number_words(long long *value, const char **words_end, const char *at, const char *end)
{
    long long total = 0, group = 0;
    bool any = false, minus = false;
    long long least_unit = 100; /* what may follow: after "twenty" a digit, after "hundred" anything below */
    for (const char *next = at; next < end;) {
        size_t n = letters_at(next, end);
        const word *unit = find_word(next, n, units, sizeof units / sizeof *units);
        const word *scale = find_word(next, n, scales, sizeof scales / sizeof *scales);
        if (!any && !minus &&
            ((n == 5 && strncasecmp(next, "minus", n) == 0) || (n == 8 && strncasecmp(next, "negative", n) == 0))) {
            minus = true;
            next = next_word(next + n, end, false);
            continue;
        }
        if (!any && unit == NULL && n == 1 && (*next == 'a' || *next == 'A')) { /* "a hundred" */
            const char *after = next_word(next + 1, end, false);
            if (find_word(after, letters_at(after, end), scales, sizeof scales / sizeof *scales) == NULL) {
                return false;
            }
            group = 1;
            least_unit = 1;
            any = true;
            next = after;
            continue;
        }
        if (unit != NULL && unit->value < least_unit) {
            group += unit->value;
            least_unit = unit->value >= 20 ? 10 : 1;
        } else if (scale != NULL && any && scale->value == 100 && group > 0 && group < 100) {
            group *= 100;
            least_unit = 100;
        } else if (scale != NULL && any && scale->value > 100 && group > 0 &&
                   (total == 0 || total % (1000 * scale->value) == 0)) {
            total += group * scale->value;
            group = 0;
            least_unit = 100;
        } else {
            break;
        }
        any = true;
        *words_end = next + n;
        next = next_word(next + n, end, scale != NULL);
        if (total > 1000000000000000) {
            return false;
        }
    }
    *value = minus ? -(total + group) : total + group;
    return any;
}

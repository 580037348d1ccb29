/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers as people write them, compared exactly.
 *
 * A number is a rational: digits with thousands separators, decimals, fractions (3/4, 1 3/4, \frac{3}{4}), powers of
 * ten (1.5e3, 1.5 x 10^3) and scale words (million). It never passes through a double: 0.1 + 0.2 style slips cannot
 * join or part two classes. Its label is the reduced value: a plain decimal when the expansion ends ("0.5", "-12",
 * "1000"), otherwise "p/q".
 */
#ifndef SC_MEANING_NUMBER_H
#define SC_MEANING_NUMBER_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

/* A number found in clean text. Pointers are into that text; parts a number lacks are empty (begin = end). */
typedef struct sc_number {
    const char *begin, *end; /* from the first digit to the last character that belongs to it */
    struct sc_number_part {
        const char *begin, *end;
    } whole, decimals, over, under; /* 1 3/4: whole 1, over 3, under 4;  3/4: over 3, under 4 */
    long exponent;                  /* power of ten on top */
    bool negative;
    bool malformed; /* looks like a number and is none: 3:30, 12/25/2020, 1,00, 2^5, 5\pi */
    bool ordinal;   /* 2nd */
    bool operand;   /* an operator and its left operand stand before it: the 5 of "3 + 5" */
    bool embedded;  /* part of a word or an exponent: B12, COVID-19, cm^2 */
} sc_number;

/* Rewrites a text so that the scanner meets few forms: digits and operators in ASCII, one kind of space, minus and
 * multiplication sign, "$" for every currency, vulgar fractions, superscripts and LaTeX unrolled (\frac{3}{4} -> 3/4,
 * 1{,}000 -> 1,000, \text{...} -> ...), calculator marks <<...>> dropped. Lines stay lines, \boxed stays. */
semcal_status sc_number_clean(char **clean, const char *text, semcal_error *error);

/* The first number that begins in [at, end). `floor` is where its left context (sign, operator) ends: the start of the
 * statement. False when there is none. Embedded ones are reported, callers skip them. */
bool sc_number_next(sc_number *number, const char *at, const char *end, const char *floor);

/* The exact value as a label (malloc'ed). Malformed numbers, x/0 and more than 1000 digits give NULL and SEMCAL_OK. */
semcal_status sc_number_label(char **label, const sc_number *number, semcal_error *error);

/* A number in English words at `at` ("twenty-three", "two hundred and five", "three million"): its value and where it
 * ends. False when there is none, or it is beyond 10^15. */
bool sc_number_words(long long *value, const char **words_end, const char *at, const char *end);

#endif

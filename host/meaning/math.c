/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collapse kind `math`: a LaTeX answer up to simple equivalence.
 *
 * The answer is the last explicit statement (\boxed{}, ####, A:, "the answer is"), else the last formula between dollar
 * signs, else the whole response when it is one line. A number with its units is the number of `numeric`, so that
 * \frac12, 0.5, 1/2 and $0.50$ are one class. Other answers get a canonical spelling: spaces, \left, \right, sizes,
 * units, degree and percent signs dropped, "x =" in front dropped, \dfrac and a/b written as \frac, braces written out.
 * Elements of tuples are canonical one by one; sets and bare lists are sorted. Algebra is not done: x+1 and 1+x are two
 * classes.
 */
#include "meaning/math.h"
#include "meaning/answer.h"
#include "meaning/kinds.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* What is longer is no answer to compare by its spelling. */
enum { LONGEST_FORMULA = 4096 };

/* The last formula of [begin, end) between dollar signs or \( \), as [*from, *to). */
static bool last_formula(const char **from, const char **to, const char *begin, const char *end)
{
    const char *open = NULL;
    bool found = false;
    for (const char *at = begin; at < end; at++) {
        bool dollar = *at == '$' && (at == begin || at[-1] != '\\');
        bool opens = *at == '\\' && at + 1 < end && (at[1] == '(' || at[1] == '[');
        bool closes = *at == '\\' && at + 1 < end && (at[1] == ')' || at[1] == ']');
        if (open == NULL && (dollar || opens)) {
            at += opens || (at + 1 < end && at[1] == '$');
            open = at + 1;
        } else if (open != NULL && (dollar || closes)) {
            if (at > open) {
                *from = open;
                *to = at;
                found = true;
            }
            at += closes || (at + 1 < end && at[1] == '$');
            open = NULL;
        }
    }
    return found;
}

/* What a statement begins with: its formula when it starts with one ("$x$ because ..."), else all of it. */
static void leading_formula(const char **begin, const char **end)
{
    const char *close = NULL;
    if (*begin < *end && **begin == '$') {
        *begin += 1 + (*begin + 1 < *end && (*begin)[1] == '$');
        close = memchr(*begin, '$', (size_t)(*end - *begin));
    } else if (*end - *begin > 1 && (*begin)[0] == '\\' && (*begin)[1] == '(') {
        *begin += 2;
        close = strstr(*begin, "\\)");
    }
    if (close != NULL && close < *end && close > *begin) {
        *end = close;
    }
}

/* Finds the answer in `response`; false when there is none. */
static semcal_status find_answer(bool *found, const char **begin, const char **end, const char *response,
                                 semcal_error *error)
{
    sc_answer_span *spans = NULL;
    size_t n = 0;
    const char *stop = sc_answer_end(response);
    semcal_status status = sc_answer_find(&spans, &n, response, stop, error);
    *found = false;
    if (status == SEMCAL_OK && n > 0) {
        *begin = spans[n - 1].begin;
        *end = spans[n - 1].end;
        if (spans[n - 1].mark == SC_ANSWER_PHRASE) {
            leading_formula(begin, end);
        }
        *found = *end > *begin;
    } else if (status == SEMCAL_OK && last_formula(begin, end, response, stop)) {
        *found = true;
    } else if (status == SEMCAL_OK) {
        *begin = response + strspn(response, " \t\r\n");
        for (*end = stop; *end > *begin && strchr(" \t\r\n", (*end)[-1]) != NULL;) {
            --*end;
        }
        *found = *end > *begin && memchr(*begin, '\n', (size_t)(*end - *begin)) == NULL;
    }
    free(spans);
    return status;
}

static semcal_status math_label(char **label, const void *data, const char *response, semcal_error *error)
{
    (void)data;
    const char *begin, *end;
    bool found;
    *label = NULL;
    semcal_status status = find_answer(&found, &begin, &end, response, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    if (!found || end - begin > LONGEST_FORMULA) { /* prose: its last number */
        return sc_collapse_numeric.label(label, NULL, response, error);
    }
    return sc_math_canonical(label, begin, (size_t)(end - begin), error);
}

const sc_collapse_kind sc_collapse_math = {
    .name = "math",
    .description = "a LaTeX answer up to simple equivalence: \\frac, units, spaces, tuples, sets, decimals",
    .open_text = true,
    .label = math_label,
};

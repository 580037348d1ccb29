/* SPDX-License-Identifier: Apache-2.0 */
/* One spelling for LaTeX answers that mean the same in simple ways. */
#ifndef SC_MEANING_MATH_H
#define SC_MEANING_MATH_H

#include "base/error.h"

#include <stddef.h>

/* The canonical spelling (malloc'ed) of the formula in the first `length` bytes; NULL and SEMCAL_OK when nothing is
 * left of it. Rules: math.c. */
semcal_status sc_math_canonical(char **canonical, const char *formula, size_t length, semcal_error *error);

#endif

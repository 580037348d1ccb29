/* SPDX-License-Identifier: Apache-2.0 */
/* Nearest name, for "did you mean". */
#ifndef SC_BASE_NEAREST_H
#define SC_BASE_NEAREST_H

#include <stddef.h>

/* Edit distance with transpositions (optimal string alignment), bytes; names over 63 bytes count their first 63. */
size_t sc_nearest_distance(const char *a, const char *b);

/* The candidate closest to `name`, or NULL when none is close enough to be a likely slip. */
const char *sc_nearest_name(const char *name, const char *const *candidates, size_t n_candidates);

#endif

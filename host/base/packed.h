/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and texts one behind the other in memory, to be put away and taken out again by this process. */
#ifndef SC_BASE_PACKED_H
#define SC_BASE_PACKED_H

#include "base/memory.h"

#include <stdbool.h>
#include <stdint.h>

semcal_status sc_packed_number(sc_text *out, uint64_t number, semcal_error *error);
/* A text or NULL. */
semcal_status sc_packed_text(sc_text *out, const char *text, semcal_error *error);
/* n elements of `size` bytes. */
semcal_status sc_packed_array(sc_text *out, const void *values, size_t n, size_t size, semcal_error *error);

/* What is taken out, in the order in which it was put in. */
typedef struct sc_unpacker {
    const char *at, *end;
    semcal_error *error;
} sc_unpacker;

semcal_status sc_unpack_number(uint64_t *number, sc_unpacker *from);
/* Malloc'ed, or NULL where that was put in. */
semcal_status sc_unpack_text(char **text, sc_unpacker *from);
/* Malloc'ed [*n]. */
semcal_status sc_unpack_array(void *array, size_t *n, size_t size, sc_unpacker *from);

#endif

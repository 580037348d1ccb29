/* SPDX-License-Identifier: Apache-2.0 */
/* Checked allocation and growing arrays. */
#ifndef SC_BASE_MEMORY_H
#define SC_BASE_MEMORY_H

#include "base/error.h"

/* Zeroed array of `count` elements of `size` bytes; NULL (with the error set) on overflow or exhaustion.
 * A count of 0 gives a valid pointer. Free with free(). */
void *sc_memory_alloc(size_t count, size_t size, semcal_error *error);

/* Makes room for at least `need` elements in `*array` (capacity `*capacity` elements of `size` bytes), growing by
 * half; new bytes are not initialised. On failure nothing changes. */
semcal_status sc_memory_grow(void *array, size_t *capacity, size_t need, size_t size, semcal_error *error);

/* `bytes` (not 0) for data read again and again, contents undefined: large ones on huge pages where the system has
 * them, as walks through page tables otherwise cost a fifth of the bandwidth. NULL (with the error set) on exhaustion. */
void *sc_memory_large(size_t bytes, semcal_error *error);
void sc_memory_large_free(void *data, size_t bytes); /* bytes as they were asked for; of NULL nothing */

/* A copy of `text` (of its first `length` bytes), NUL-terminated. */
char *sc_memory_strdup(const char *text, semcal_error *error);
char *sc_memory_strndup(const char *text, size_t length, semcal_error *error);

/* A growing, always NUL-terminated byte string. Initialise with {0}; free with sc_text_free. */
typedef struct sc_text {
    char *data;
    size_t length, capacity;
} sc_text;

semcal_status sc_text_append(sc_text *text, const char *bytes, size_t length, semcal_error *error);
semcal_status sc_text_printf(sc_text *text, semcal_error *error, const char *format, ...) SC_PRINTF(3, 4);
void sc_text_clear(sc_text *text);
void sc_text_free(sc_text *text);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE /* madvise */
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void *sc_memory_alloc(size_t count, size_t size, semcal_error *error)
{
    void *data = calloc(count == 0 ? 1 : count, size == 0 ? 1 : size);
    if (data == NULL) {
        sc_error_set(error, SEMCAL_E_MEMORY, "out of memory: %zu elements of %zu bytes", count, size);
    }
    return data;
}

void *sc_memory_large(size_t bytes, semcal_error *error)
{
    enum { HUGE = 2 << 20, LINE = 4096 };
    const size_t unit = bytes < HUGE / 2 ? LINE : HUGE;
    const size_t rounded = (bytes + unit - 1) / unit * unit;
    void *data = NULL;
    if (rounded < bytes || posix_memalign(&data, unit, rounded) != 0) {
        sc_error_set(error, SEMCAL_E_MEMORY, "out of memory: %zu bytes", bytes);
        return NULL;
    }
#ifdef MADV_HUGEPAGE
    if (unit == HUGE) {
        (void)madvise(data, rounded, MADV_HUGEPAGE); /* refused: slower, not wrong */
    }
#endif
    return data;
}

semcal_status sc_memory_grow(void *array, size_t *capacity, size_t need, size_t size, semcal_error *error)
{
    if (need <= *capacity) {
        return SEMCAL_OK;
    }
    size_t wanted = *capacity + *capacity / 2;
    if (wanted < need) {
        wanted = need;
    }
    if (wanted < 16) {
        wanted = 16;
    }
    if (wanted > SIZE_MAX / size) {
        return sc_error_set(error, SEMCAL_E_MEMORY, "out of memory: %zu elements of %zu bytes", wanted, size);
    }
    void *old;
    memcpy(&old, array, sizeof old);
    void *grown = realloc(old, wanted * size);
    if (grown == NULL) {
        return sc_error_set(error, SEMCAL_E_MEMORY, "out of memory: %zu elements of %zu bytes", wanted, size);
    }
    memcpy(array, &grown, sizeof grown);
    *capacity = wanted;
    return SEMCAL_OK;
}

char *sc_memory_strndup(const char *text, size_t length, semcal_error *error)
{
    char *copy = sc_memory_alloc(length + 1, 1, error);
    if (copy != NULL && length > 0) {
        memcpy(copy, text, length);
    }
    return copy;
}

char *sc_memory_strdup(const char *text, semcal_error *error)
{
    return sc_memory_strndup(text, strlen(text), error);
}

semcal_status sc_text_append(sc_text *text, const char *bytes, size_t length, semcal_error *error)
{
    semcal_status status = sc_memory_grow(&text->data, &text->capacity, text->length + length + 1, 1, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    if (length > 0) {
        memcpy(text->data + text->length, bytes, length);
    }
    text->length += length;
    text->data[text->length] = '\0';
    return SEMCAL_OK;
}

semcal_status sc_text_printf(sc_text *text, semcal_error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int n = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    semcal_status status = n < 0 ? sc_error_set(error, SEMCAL_E_DATA, "cannot format text")
                                 : sc_memory_grow(&text->data, &text->capacity, text->length + (size_t)n + 1, 1, error);
    if (status == SEMCAL_OK) {
        (void)vsnprintf(text->data + text->length, (size_t)n + 1, format, again);
        text->length += (size_t)n;
    }
    va_end(again);
    return status;
}

void sc_text_clear(sc_text *text)
{
    text->length = 0;
    if (text->data != NULL) {
        text->data[0] = '\0';
    }
}

void sc_text_free(sc_text *text)
{
    free(text->data);
    *text = (sc_text){0};
}

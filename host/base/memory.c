/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE /* madvise */
#include "base/memory.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
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

enum { HUGE = 2 << 20, LINE = 4096 };

static bool is_large(size_t bytes)
{
    return bytes >= HUGE / 2;
}

/* Pages of its own from the system, as a heap hands out again what it once had in small pages. */
static void *map_large(size_t rounded)
{
    if (rounded > SIZE_MAX - HUGE) {
        return NULL;
    }
    char *all = mmap(NULL, rounded + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) {
        return NULL;
    }
    const size_t before = (HUGE - (uintptr_t)all % HUGE) % HUGE;
    if (before > 0) {
        (void)munmap(all, before);
    }
    (void)munmap(all + before + rounded, HUGE - before);
#ifdef MADV_HUGEPAGE
    (void)madvise(all + before, rounded, MADV_HUGEPAGE); /* refused: slower, not wrong */
#endif
    return all + before;
}

static size_t round_up(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

void *sc_memory_large(size_t bytes, semcal_error *error)
{
    const size_t rounded = round_up(bytes, is_large(bytes) ? HUGE : LINE);
    void *data = NULL;
    if (rounded >= bytes && is_large(bytes)) {
        data = map_large(rounded);
    } else if (rounded >= bytes && posix_memalign(&data, LINE, rounded) != 0) {
        data = NULL;
    }
    if (data == NULL) {
        sc_error_set(error, SEMCAL_E_MEMORY, "out of memory: %zu bytes", bytes);
    }
    return data;
}

void sc_memory_large_free(void *data, size_t bytes)
{
    if (data != NULL && is_large(bytes)) {
        (void)munmap(data, round_up(bytes, HUGE));
    } else {
        free(data);
    }
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

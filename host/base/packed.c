/* SPDX-License-Identifier: Apache-2.0 */
#include "base/packed.h"

#include <string.h>

/* The length of a text that is not there. */
static const uint64_t NO_TEXT = UINT64_MAX;

semcal_status sc_packed_number(sc_text *out, uint64_t number, semcal_error *error)
{
    return sc_text_append(out, (const char *)&number, sizeof number, error);
}

semcal_status sc_packed_text(sc_text *out, const char *text, semcal_error *error)
{
    const size_t length = text != NULL ? strlen(text) : 0;
    semcal_status status = sc_packed_number(out, text != NULL ? length : NO_TEXT, error);
    return status == SEMCAL_OK && length > 0 ? sc_text_append(out, text, length, error) : status;
}

semcal_status sc_packed_array(sc_text *out, const void *values, size_t n, size_t size, semcal_error *error)
{
    semcal_status status = sc_packed_number(out, n, error);
    return status == SEMCAL_OK && n > 0 ? sc_text_append(out, values, n * size, error) : status;
}

static semcal_status take(const char **bytes, sc_unpacker *from, uint64_t n)
{
    if (n > (uint64_t)(from->end - from->at)) {
        return sc_error_set(from->error, SEMCAL_E_DATA, "a temporary file was changed");
    }
    *bytes = from->at;
    from->at += n;
    return SEMCAL_OK;
}

semcal_status sc_unpack_number(uint64_t *number, sc_unpacker *from)
{
    const char *bytes = NULL;
    *number = 0;
    const semcal_status status = take(&bytes, from, sizeof *number);
    if (status == SEMCAL_OK) {
        memcpy(number, bytes, sizeof *number);
    }
    return status;
}

semcal_status sc_unpack_text(char **text, sc_unpacker *from)
{
    uint64_t length;
    const char *bytes = NULL;
    *text = NULL;
    semcal_status status = sc_unpack_number(&length, from);
    if (status != SEMCAL_OK || length == NO_TEXT) {
        return status;
    }
    status = take(&bytes, from, length);
    if (status == SEMCAL_OK) {
        *text = sc_memory_strndup(bytes, (size_t)length, from->error);
        status = *text != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
    }
    return status;
}

semcal_status sc_unpack_array(void *array, size_t *n, size_t size, sc_unpacker *from)
{
    uint64_t count;
    const char *bytes = NULL;
    void *values = NULL;
    *n = 0;
    memcpy(array, &values, sizeof values);
    semcal_status status = sc_unpack_number(&count, from);
    if (status == SEMCAL_OK) {
        status = take(&bytes, from, count > UINT64_MAX / size ? UINT64_MAX : count * size);
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    values = sc_memory_alloc((size_t)count, size, from->error);
    if (values == NULL) {
        return SEMCAL_E_MEMORY;
    }
    if (count > 0) {
        memcpy(values, bytes, (size_t)count * size);
    }
    memcpy(array, &values, sizeof values);
    *n = (size_t)count;
    return SEMCAL_OK;
}

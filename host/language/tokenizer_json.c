/* SPDX-License-Identifier: Apache-2.0 */
/* Reading members of JSON objects, and the small containers the loaders share. */
#include "language/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

static const json_t *member(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

semcal_status sc_json_bool(bool *out, const json_t *object, const char *key, semcal_error *error)
{
    const json_t *value = member(object, key);
    if (value != NULL && !json_is_boolean(value)) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: must be true or false", key);
    }
    if (value != NULL) {
        *out = json_is_true(value);
    }
    return SEMCAL_OK;
}

semcal_status sc_json_size(size_t *out, const json_t *object, const char *key, semcal_error *error)
{
    const json_t *value = member(object, key);
    if (value != NULL && (!json_is_integer(value) || json_integer_value(value) < 0)) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: must be an integer >= 0", key);
    }
    if (value != NULL) {
        *out = (size_t)json_integer_value(value);
    }
    return SEMCAL_OK;
}

semcal_status sc_json_string(const char **out, size_t *length, const json_t *object, const char *key, bool required,
                             semcal_error *error)
{
    const json_t *value = member(object, key);
    if (value == NULL && !required) {
        return SEMCAL_OK;
    }
    if (!json_is_string(value)) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: must be a string", key);
    }
    *out = json_string_value(value);
    *length = json_string_length(value);
    return SEMCAL_OK;
}

semcal_status sc_json_string_copy(char **out, size_t *length, const json_t *object, const char *key,
                                  semcal_error *error)
{
    const char *text = NULL;
    semcal_status status = sc_json_string(&text, length, object, key, true, error);
    if (status == SEMCAL_OK) {
        *out = sc_memory_strndup(text, *length, error);
        status = *out != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
    }
    return status;
}

semcal_status sc_json_pattern(sc_pattern **out, const json_t *object, semcal_error *error)
{
    const json_t *pattern = member(object, "pattern");
    const bool regex = member(pattern, "Regex") != NULL;
    const char *text = NULL;
    size_t length = 0;
    semcal_status status = sc_json_string(&text, &length, pattern, regex ? "Regex" : "String", true, error);
    if (status == SEMCAL_OK) {
        status = sc_pattern_open(out, text, length, !regex, error);
    }
    return status == SEMCAL_OK ? status : sc_error_where(error, "pattern");
}

semcal_status sc_array_push(void *array, size_t *n, size_t *capacity, size_t size, semcal_error *error)
{
    const semcal_status status = sc_memory_grow(array, capacity, *n + 1, size, error);
    if (status == SEMCAL_OK) {
        char *data;
        memcpy(&data, array, sizeof data);
        memset(data + *n * size, 0, size);
        (*n)++;
    }
    return status;
}

void sc_pieces_clear(sc_pieces *pieces)
{
    pieces->n = 0;
    pieces->text.length = 0;
}

void sc_pieces_free(sc_pieces *pieces)
{
    sc_text_free(&pieces->text);
    free(pieces->items);
    *pieces = (sc_pieces){0};
}

semcal_status sc_pieces_add(sc_pieces *pieces, const char *bytes, size_t length, int32_t id, bool at_start,
                            semcal_error *error)
{
    if (length == 0 && id < 0) {
        return SEMCAL_OK;
    }
    const size_t begin = pieces->text.length;
    semcal_status status = sc_text_append(&pieces->text, bytes, length, error);
    if (status == SEMCAL_OK) {
        status = sc_array_push(&pieces->items, &pieces->n, &pieces->capacity, sizeof *pieces->items, error);
    }
    if (status == SEMCAL_OK) {
        pieces->items[pieces->n - 1] = (sc_piece){begin, begin + length, id, at_start};
    }
    return status;
}

semcal_status sc_ids_add(sc_ids *ids, int32_t id, semcal_error *error)
{
    const semcal_status status = sc_memory_grow(&ids->data, &ids->capacity, ids->n + 1, sizeof *ids->data, error);
    if (status == SEMCAL_OK) {
        ids->data[ids->n++] = id;
    }
    return status;
}

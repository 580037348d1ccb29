/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/json.h"

#include "base/file.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

enum { JSON_READ_FLAGS = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY };

static semcal_status syntax_error(const json_error_t *problem, const char *name, size_t first_line, semcal_error *error)
{
    if (json_error_code(problem) == json_error_out_of_memory) {
        return sc_error_set(error, SEMCAL_E_MEMORY, "%s: out of memory", name);
    }
    size_t line = first_line + (problem->line > 0 ? (size_t)problem->line - 1 : 0);
    return sc_error_set(error, SEMCAL_E_DATA, "%s:%zu:%d: %s", name, line, problem->column > 0 ? problem->column : 1,
                        problem->text);
}

static semcal_status parse_at(json_t **root, const char *bytes, size_t length, const char *name, size_t line,
                              semcal_error *error)
{
    json_error_t problem;
    *root = json_loadb(bytes, length, JSON_READ_FLAGS, &problem);
    return *root != NULL ? SEMCAL_OK : syntax_error(&problem, name, line, error);
}

semcal_status sc_json_parse(json_t **root, const char *bytes, size_t length, const char *name, semcal_error *error)
{
    return parse_at(root, bytes, length, name, 1, error);
}

semcal_status sc_json_read(json_t **root, const char *path, semcal_error *error)
{
    *root = NULL;
    char *data;
    size_t length;
    semcal_status status = sc_file_read(&data, &length, path, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    status = sc_json_parse(root, data, length, path, error);
    free(data);
    return status;
}

/* ---- lines ---- */

semcal_status sc_json_lines_wrap(sc_json_lines *lines, FILE *file, const char *name, semcal_error *error)
{
    *lines = (sc_json_lines){.file = file};
    lines->path = sc_memory_strdup(name, error);
    return lines->path != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
}

semcal_status sc_json_lines_open(sc_json_lines *lines, const char *path, semcal_error *error)
{
    *lines = (sc_json_lines){0};
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: cannot open: %s", path, strerror(errno));
    }
    semcal_status status = sc_json_lines_wrap(lines, file, path, error);
    lines->owned = true;
    if (status != SEMCAL_OK) {
        sc_json_lines_close(lines);
    }
    return status;
}

semcal_status sc_json_lines_next(json_t **value, sc_json_lines *lines, semcal_error *error)
{
    *value = NULL;
    for (;;) {
        errno = 0;
        ssize_t n = getline(&lines->buffer, &lines->capacity, lines->file);
        if (n < 0) {
            if (ferror(lines->file) || errno == ENOMEM) {
                return sc_error_set(error, SEMCAL_E_DATA, "%s: cannot read: %s", lines->path, strerror(errno));
            }
            return SEMCAL_OK;
        }
        lines->line++;
        while (n > 0 && strchr("\r\n", lines->buffer[n - 1]) != NULL && lines->buffer[n - 1] != '\0') {
            n--;
        }
        lines->buffer[n] = '\0';
        lines->length = (size_t)n;
        if (strspn(lines->buffer, " \t") < (size_t)n) {
            return parse_at(value, lines->buffer, (size_t)n, lines->path, lines->line, error);
        }
    }
}

void sc_json_lines_close(sc_json_lines *lines)
{
    if (lines->owned && lines->file != NULL) {
        (void)fclose(lines->file);
    }
    free(lines->buffer);
    free(lines->path);
    *lines = (sc_json_lines){0};
}

/* ---- members ---- */

const char *sc_json_kind(const json_t *value)
{
    if (value == NULL) {
        return "missing";
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a text";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        return "null";
    }
    return "unknown";
}

/* Sets *member to NULL when it is absent or null, which is fine unless required. */
static semcal_status member_of(const json_t **member, const json_t *object, const char *key, bool required,
                               const char *wanted, const char *where, semcal_error *error)
{
    *member = NULL;
    if (!json_is_object(object)) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: must be an object, is %s", where, sc_json_kind(object));
    }
    const json_t *value = json_object_get(object, key);
    if (value != NULL && !json_is_null(value)) {
        *member = value;
        return SEMCAL_OK;
    }
    if (required) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: %s: must be %s, is %s", where, key, wanted, sc_json_kind(value));
    }
    return SEMCAL_OK;
}

static semcal_status mismatch(const json_t *value, const char *key, const char *wanted, const char *where,
                              semcal_error *error)
{
    return sc_error_set(error, SEMCAL_E_DATA, "%s: %s: must be %s, is %s", where, key, wanted, sc_json_kind(value));
}

semcal_status sc_json_get_int(int64_t *value, const json_t *object, const char *key, bool required, const char *where,
                              semcal_error *error)
{
    const json_t *member;
    semcal_status status = member_of(&member, object, key, required, "an integer", where, error);
    if (status != SEMCAL_OK || member == NULL) {
        return status;
    }
    if (!json_is_integer(member)) {
        return mismatch(member, key, "an integer", where, error);
    }
    *value = json_integer_value(member);
    return SEMCAL_OK;
}

semcal_status sc_json_get_real(double *value, const json_t *object, const char *key, bool required, const char *where,
                               semcal_error *error)
{
    const json_t *member;
    semcal_status status = member_of(&member, object, key, required, "a number", where, error);
    if (status != SEMCAL_OK || member == NULL) {
        return status;
    }
    if (!json_is_number(member)) {
        return mismatch(member, key, "a number", where, error);
    }
    *value = json_number_value(member);
    return SEMCAL_OK;
}

semcal_status sc_json_get_bool(bool *value, const json_t *object, const char *key, bool required, const char *where,
                               semcal_error *error)
{
    const json_t *member;
    semcal_status status = member_of(&member, object, key, required, "true or false", where, error);
    if (status != SEMCAL_OK || member == NULL) {
        return status;
    }
    if (!json_is_boolean(member)) {
        return mismatch(member, key, "true or false", where, error);
    }
    *value = json_is_true(member);
    return SEMCAL_OK;
}

semcal_status sc_json_get_text(const char **text, size_t *length, const json_t *object, const char *key, bool required,
                               const char *where, semcal_error *error)
{
    const json_t *member;
    semcal_status status = member_of(&member, object, key, required, "a text", where, error);
    if (status != SEMCAL_OK || member == NULL) {
        return status;
    }
    if (!json_is_string(member)) {
        return mismatch(member, key, "a text", where, error);
    }
    const char *bytes = json_string_value(member);
    size_t n = json_string_length(member);
    if (length == NULL && strlen(bytes) != n) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: %s: holds a NUL character", where, key);
    }
    *text = bytes;
    if (length != NULL) {
        *length = n;
    }
    return SEMCAL_OK;
}

semcal_status sc_json_get_object(const json_t **value, const json_t *object, const char *key, bool required,
                                 const char *where, semcal_error *error)
{
    const json_t *member;
    semcal_status status = member_of(&member, object, key, required, "an object", where, error);
    if (status != SEMCAL_OK || member == NULL) {
        return status;
    }
    if (!json_is_object(member)) {
        return mismatch(member, key, "an object", where, error);
    }
    *value = member;
    return SEMCAL_OK;
}

semcal_status sc_json_get_array(const json_t **value, const json_t *object, const char *key, bool required,
                                const char *where, semcal_error *error)
{
    const json_t *member;
    semcal_status status = member_of(&member, object, key, required, "a list", where, error);
    if (status != SEMCAL_OK || member == NULL) {
        return status;
    }
    if (!json_is_array(member)) {
        return mismatch(member, key, "a list", where, error);
    }
    *value = member;
    return SEMCAL_OK;
}

/* ---- writing ---- */

typedef struct json_sink {
    sc_text *out;
    semcal_error *error;
} json_sink;

static int sink_write(const char *bytes, size_t length, void *payload)
{
    json_sink *sink = payload;
    return sc_text_append(sink->out, bytes, length, sink->error) == SEMCAL_OK ? 0 : -1;
}

semcal_status sc_json_append(sc_text *out, const json_t *value, bool indent, semcal_error *error)
{
    json_sink sink = {out, error};
    size_t flags = JSON_ENCODE_ANY | JSON_REAL_PRECISION(17) | (indent ? JSON_INDENT(2) : JSON_COMPACT);
    if (json_dump_callback(value, sink_write, &sink, flags) != 0) {
        return sc_error_set(error, SEMCAL_E_MEMORY, "cannot write JSON: out of memory");
    }
    return SEMCAL_OK;
}

json_t *sc_json_real_or_null(double value)
{
    return isfinite(value) ? json_real(value + 0.0) : json_null(); /* + 0.0: no "-0.0" */
}

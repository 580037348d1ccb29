/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON on jansson: whole files and JSON lines with places in messages, and getters that name what is wrong.
 *
 * Duplicate keys are errors. Texts may hold NUL characters, so they come with a length.
 */
#ifndef SC_FORMATS_JSON_H
#define SC_FORMATS_JSON_H

#include "base/error.h"
#include "base/memory.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Reads a file whose top level is any JSON value; json_decref(*root) frees it. SEMCAL_E_DATA with
 * "path:line:column: what" on malformed input. */
semcal_status sc_json_read(json_t **root, const char *path, semcal_error *error);
semcal_status sc_json_parse(json_t **root, const char *bytes, size_t length, const char *name, semcal_error *error);

/* ---- JSON lines: one value per line, empty lines skipped ---- */

typedef struct sc_json_lines {
    char *path; /* for messages */
    FILE *file;
    bool owned; /* close `file` at the end */
    char *buffer;
    size_t capacity;
    size_t line;   /* of the value read last, from 1 */
    size_t length; /* bytes of that line, without its end; the line itself is in `buffer` */
} sc_json_lines;

semcal_status sc_json_lines_open(sc_json_lines *lines, const char *path, semcal_error *error);
/* Reads from an open stream (e.g. stdin), which stays the caller's. */
semcal_status sc_json_lines_wrap(sc_json_lines *lines, FILE *file, const char *name, semcal_error *error);
/* The next value (to json_decref), or *value = NULL at the end. SEMCAL_E_DATA with "path:line:column: what". */
semcal_status sc_json_lines_next(json_t **value, sc_json_lines *lines, semcal_error *error);
void sc_json_lines_close(sc_json_lines *lines);

/* ---- members of objects ----
 * `where` stands in front of messages: "config.json" gives "config.json: hidden_size: must be an integer, is a text".
 * A member that is absent or null leaves the out-parameter alone; that is an error only when `required`. */

semcal_status sc_json_get_int(int64_t *value, const json_t *object, const char *key, bool required, const char *where,
                              semcal_error *error);
semcal_status sc_json_get_real(double *value, const json_t *object, const char *key, bool required, const char *where,
                               semcal_error *error);
semcal_status sc_json_get_bool(bool *value, const json_t *object, const char *key, bool required, const char *where,
                               semcal_error *error);
/* `*text` (UTF-8, NUL-terminated) lives in the object; length may be NULL, then a NUL inside is an error. */
semcal_status sc_json_get_text(const char **text, size_t *length, const json_t *object, const char *key, bool required,
                               const char *where, semcal_error *error);
/* Borrowed references. */
semcal_status sc_json_get_object(const json_t **value, const json_t *object, const char *key, bool required,
                                 const char *where, semcal_error *error);
semcal_status sc_json_get_array(const json_t **value, const json_t *object, const char *key, bool required,
                                const char *where, semcal_error *error);

/* "an object", "a text", ... for messages; NULL is "missing". */
const char *sc_json_kind(const json_t *value);

/* Appends the value as text: compact or indented by two, doubles with 17 digits (they read back exactly). */
semcal_status sc_json_append(sc_text *out, const json_t *value, bool indent, semcal_error *error);

/* A number, or null when it is not finite: JSON has no NaN. New reference. */
json_t *sc_json_real_or_null(double value);

#endif

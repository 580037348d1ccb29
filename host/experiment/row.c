/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/row.h"

#include "base/memory.h"
#include "base/nearest.h"
#include "base/numeric.h"
#include "formats/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* How far the sum of a law may be from 1: decimals of a text file. */
#define LAW_TOLERANCE 1e-6

/* Names shown in a message; more than these help nobody. */
enum { MOST_NAMES = 20 };

void sc_row_texts_free(sc_row_texts *texts)
{
    for (size_t i = 0; i < texts->n; i++) {
        free(texts->at[i]);
    }
    free(texts->at);
    *texts = (sc_row_texts){0};
}

semcal_status sc_row_texts_add(sc_row_texts *texts, const char *text, size_t length, semcal_error *error)
{
    semcal_status status = sc_memory_grow(&texts->at, &texts->capacity, texts->n + 1, sizeof *texts->at, error);
    if (status == SEMCAL_OK) {
        texts->at[texts->n] = sc_memory_strndup(text, length, error);
        status = texts->at[texts->n] == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
        texts->n += status == SEMCAL_OK;
    }
    return status;
}

semcal_status sc_row_texts_split(sc_row_texts *texts, const char *text, const char *separator, semcal_error *error)
{
    if (separator == NULL || separator[0] == '\0') {
        return sc_row_texts_add(texts, text, strlen(text), error);
    }
    semcal_status status = SEMCAL_OK;
    while (text != NULL && status == SEMCAL_OK) {
        const char *found = strstr(text, separator);
        size_t n = found == NULL ? strlen(text) : (size_t)(found - text), skip = strspn(text, " \t\r\n");
        skip = skip < n ? skip : n;
        while (n > skip && strchr(" \t\r\n", text[n - 1]) != NULL) {
            n--;
        }
        if (n > skip) {
            status = sc_row_texts_add(texts, text + skip, n - skip, error);
        }
        text = found == NULL ? NULL : found + strlen(separator);
    }
    return status;
}

semcal_status sc_row_missing(const char *field, const char *const *fields, size_t n_fields, const char *where,
                             semcal_error *error)
{
    sc_text list = {0};
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < n_fields && i < MOST_NAMES && status == SEMCAL_OK; i++) {
        status = sc_text_printf(&list, error, "%s%s", i == 0 ? "" : ", ", fields[i]);
    }
    if (status == SEMCAL_OK && n_fields > MOST_NAMES) {
        status = sc_text_printf(&list, error, ", ...");
    }
    if (status == SEMCAL_OK) {
        const char *near = n_fields == 0 ? NULL : sc_nearest_name(field, fields, n_fields);
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: field '%s' missing%s%s%s fields here: %s", where, field,
                              near == NULL ? ";" : ", did you mean '", near == NULL ? "" : near,
                              near == NULL ? "" : "'?", n_fields == 0 ? "none" : list.data);
    }
    sc_text_free(&list);
    return status;
}

semcal_status sc_row_member(const json_t **value, const json_t *row, const char *field, const char *where,
                            semcal_error *error)
{
    *value = NULL;
    if (!json_is_object(row)) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: a row must be an object, is %s", where, sc_json_kind(row));
    }
    *value = json_object_get(row, field);
    if (*value != NULL) {
        return SEMCAL_OK;
    }
    const char *names[256], *key;
    size_t n = 0;
    json_t *member;
    json_object_foreach((json_t *)row, key, member)
    {
        if (n < sizeof names / sizeof *names) {
            names[n++] = key;
        }
    }
    return sc_row_missing(field, names, n, where, error);
}

semcal_status sc_row_text(char **text, const json_t *value, const char *field, const char *where, semcal_error *error)
{
    *text = NULL;
    if (json_is_string(value)) {
        if (strlen(json_string_value(value)) != json_string_length(value)) {
            return sc_error_set(error, SEMCAL_E_DATA, "%s: field '%s' holds a NUL character", where, field);
        }
        *text = sc_memory_strdup(json_string_value(value), error);
        return *text == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    if (json_is_number(value) || json_is_boolean(value)) {
        sc_text out = {0};
        semcal_status status = sc_json_append(&out, value, false, error);
        *text = status == SEMCAL_OK ? out.data : NULL;
        if (status != SEMCAL_OK) {
            sc_text_free(&out);
        }
        return status;
    }
    return sc_error_set(error, SEMCAL_E_DATA, "%s: field '%s' must be a text, is %s", where, field,
                        sc_json_kind(value));
}

semcal_status sc_row_answers(sc_row_texts *answers, const json_t *value, const char *separator, const char *field,
                             const char *where, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    bool list = json_is_array(value);
    size_t n = list ? json_array_size(value) : (size_t)(value != NULL && !json_is_null(value));
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        char *text = NULL;
        status = sc_row_text(&text, list ? json_array_get(value, i) : value, field, where, error);
        if (status == SEMCAL_OK) {
            status = sc_row_texts_split(answers, text, list ? NULL : separator, error);
        }
        free(text);
    }
    return status;
}

semcal_status sc_row_law(sc_row_texts *labels, double **probabilities, const json_t *value, const char *field,
                         const char *where, semcal_error *error)
{
    *probabilities = NULL;
    if (!json_is_object(value) || json_object_size(value) == 0) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: field '%s' must be an object {answer: probability}, is %s",
                            where, field, json_is_object(value) ? "empty" : sc_json_kind(value));
    }
    *probabilities = sc_memory_alloc(json_object_size(value), sizeof **probabilities, error);
    if (*probabilities == NULL) {
        return SEMCAL_E_MEMORY;
    }
    sc_sum sum = {0, 0};
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)value, key, member)
    {
        double p = json_is_number(member) ? json_number_value(member) : (double)NAN;
        if (!(p >= 0 && p <= 1)) {
            return sc_error_set(error, SEMCAL_E_DATA, "%s: field '%s': '%s' needs a probability in [0, 1]", where,
                                field, key);
        }
        semcal_status status = sc_row_texts_add(labels, key, strlen(key), error);
        if (status != SEMCAL_OK) {
            return status;
        }
        (*probabilities)[labels->n - 1] = p;
        sc_sum_add(&sum, p);
    }
    if (!(fabs(sc_sum_value(&sum) - 1) <= LAW_TOLERANCE)) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: field '%s': the probabilities sum to %.9g, not 1", where, field,
                            sc_sum_value(&sum));
    }
    return SEMCAL_OK;
}

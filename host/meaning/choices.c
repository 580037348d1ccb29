/* SPDX-License-Identifier: Apache-2.0 */
#include "meaning/choices.h"

#include "base/file.h"
#include "base/memory.h"
#include "formats/json.h"

#include <stdlib.h>
#include <string.h>

static void free_choice(sc_choice *choice)
{
    for (size_t i = 0; i < choice->n_aliases; i++) {
        free((char *)choice->aliases[i]);
    }
    free((char **)choice->aliases);
    free((char *)choice->name);
}

void sc_choices_free(sc_choices *choices)
{
    for (size_t i = 0; i < choices->n; i++) {
        free_choice(&choices->items[i]);
    }
    free(choices->items);
    *choices = (sc_choices){0};
}

semcal_status sc_choices_add(sc_choices *choices, const char *const *names, size_t n_names, semcal_error *error)
{
    if (n_names == 0 || names[0][strspn(names[0], " \t\r\n")] == '\0') {
        return sc_error_set(error, SEMCAL_E_DATA, "a choice without a name");
    }
    semcal_status status =
        sc_memory_grow(&choices->items, &choices->capacity, choices->n + 1, sizeof *choices->items, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    char **aliases = sc_memory_alloc(n_names - 1, sizeof *aliases, error);
    sc_choice made = {sc_memory_strdup(names[0], error), (const char *const *)aliases, 0};
    while (made.name != NULL && aliases != NULL && made.n_aliases + 1 < n_names) {
        aliases[made.n_aliases] = sc_memory_strdup(names[made.n_aliases + 1], error);
        if (aliases[made.n_aliases] == NULL) {
            break;
        }
        made.n_aliases++;
    }
    if (made.name == NULL || aliases == NULL || made.n_aliases + 1 < n_names) {
        free_choice(&made);
        return SEMCAL_E_MEMORY;
    }
    choices->items[choices->n++] = made;
    return SEMCAL_OK;
}

static semcal_status text_of(const char **text, const json_t *value, const char *where, semcal_error *error)
{
    *text = json_string_value(value);
    if (*text == NULL) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: a choice must be a text, is %s", where, sc_json_kind(value));
    }
    if (strlen(*text) != json_string_length(value)) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: a choice holds a NUL character", where);
    }
    return SEMCAL_OK;
}

/* Adds the choice `first` (may be NULL) followed by what `value` holds: a text or a list of them. */
static semcal_status add_value(sc_choices *choices, const char *first, const json_t *value, const char *where,
                               semcal_error *error)
{
    size_t n = json_is_array(value) ? json_array_size(value) : 1, n_names = 0;
    const char **names = sc_memory_alloc(n + 1, sizeof *names, error);
    if (names == NULL) {
        return SEMCAL_E_MEMORY;
    }
    semcal_status status = SEMCAL_OK;
    if (first != NULL) {
        names[n_names++] = first;
    }
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        status = text_of(&names[n_names++], json_is_array(value) ? json_array_get(value, i) : value, where, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_choices_add(choices, names, n_names, error);
        if (status == SEMCAL_E_DATA) {
            sc_error_where(error, "%s", where);
        }
    }
    free(names);
    return status;
}

semcal_status sc_choices_add_json(sc_choices *choices, const json_t *list, const char *where, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    if (json_is_array(list)) {
        for (size_t i = 0; i < json_array_size(list) && status == SEMCAL_OK; i++) {
            status = add_value(choices, NULL, json_array_get(list, i), where, error);
        }
        return status;
    }
    if (!json_is_object(list)) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: choices must be a list or an object, are %s", where,
                            sc_json_kind(list));
    }
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)list, key, value)
    {
        if (key[0] >= 'A' && key[0] <= 'Z' && key[1] == '\0' && json_is_string(value)) {
            sc_text name = {0};
            status = sc_text_printf(&name, error, "%s. %s", key, json_string_value(value));
            const char *const names[] = {name.data};
            if (status == SEMCAL_OK) {
                status = sc_choices_add(choices, names, 1, error);
            }
            sc_text_free(&name);
        } else {
            status = add_value(choices, key, value, where, error);
        }
        if (status != SEMCAL_OK) {
            break;
        }
    }
    return status;
}

/* Splits `text` in place at any of `separators` and adds the parts as one choice. Blanks around parts are dropped. */
static semcal_status add_parts(sc_choices *choices, char *text, char separator, semcal_error *error)
{
    size_t n = 1, k = 0;
    for (const char *at = text; *at != '\0'; at++) {
        n += *at == separator;
    }
    const char **names = sc_memory_alloc(n, sizeof *names, error);
    if (names == NULL) {
        return SEMCAL_E_MEMORY;
    }
    while (text != NULL) {
        char *next = strchr(text, separator);
        if (next != NULL) {
            *next++ = '\0';
        }
        text += strspn(text, " \t\r");
        size_t length = strlen(text);
        while (length > 0 && strchr(" \t\r", text[length - 1]) != NULL) {
            text[--length] = '\0';
        }
        names[k++] = text;
        text = next;
    }
    semcal_status status = sc_choices_add(choices, names, n, error);
    free(names);
    return status;
}

/* Adds the pieces of `text` (changed in place) between `outer` separators. */
static semcal_status add_all(sc_choices *choices, char *text, char outer, char inner, const char *path,
                             semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t line = 1; text != NULL && status == SEMCAL_OK; line++) {
        char *next = strchr(text, outer);
        if (next != NULL) {
            *next++ = '\0';
        }
        if (path == NULL || text[strspn(text, " \t\r")] != '\0') {
            status = add_parts(choices, text, inner, error);
            if (status == SEMCAL_E_DATA && path != NULL) {
                sc_error_where(error, "%s:%zu", path, line);
            }
        }
        text = next;
    }
    return status;
}

semcal_status sc_choices_add_file(sc_choices *choices, const char *path, semcal_error *error)
{
    char *data;
    size_t length, n_before = choices->n;
    semcal_status status = sc_file_read(&data, &length, path, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    if (strlen(data) != length) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: holds a NUL character, is it a text file?", path);
    } else {
        status = add_all(choices, data, '\n', '\t', path, error);
    }
    if (status == SEMCAL_OK && choices->n == n_before) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: no choices, one per line is wanted", path);
    }
    free(data);
    return status;
}

semcal_status sc_choices_add_text(sc_choices *choices, const char *text, semcal_error *error)
{
    char *copy = sc_memory_strdup(text, error);
    if (copy == NULL) {
        return SEMCAL_E_MEMORY;
    }
    semcal_status status = add_all(choices, copy, ',', '|', NULL, error);
    free(copy);
    return status;
}

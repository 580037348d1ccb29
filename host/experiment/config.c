/* SPDX-License-Identifier: Apache-2.0 */
/* Loading: file, overrides, defaults that follow from other keys, checks. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "experiment/config.h"

#include "base/file.h"
#include "experiment/config_table.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static semcal_status fail_at(sc_config_reader *reader, const char *override, size_t line, size_t column,
                             const char *path, const char *message)
{
    char where[1024];
    if (override != NULL) {
        (void)snprintf(where, sizeof where, "--set %.200s", override);
        path = strcmp(override, path) == 0 ? "" : path;
    } else if (line > 0) {
        (void)snprintf(where, sizeof where, "%.900s:%zu:%zu", reader->label, line, column);
    } else {
        (void)snprintf(where, sizeof where, "%.900s", reader->label);
    }
    return sc_error_set(reader->error, SEMCAL_E_CONFIG, "%s: %s%s%s", where, path, path[0] != '\0' ? ": " : "",
                        message);
}

semcal_status sc_config_fail(sc_config_reader *reader, const sc_yaml_node *place, const char *path, const char *format,
                             ...)
{
    char message[SEMCAL_ERROR_SIZE / 2];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return fail_at(reader, reader->override, place->line, place->column, path, message);
}

semcal_status sc_config_remember(sc_config_reader *reader, const char *path, const sc_yaml_node *place)
{
    if (reader->standard) {
        return SEMCAL_OK;
    }
    if (sc_memory_grow(&reader->places, &reader->places_capacity, reader->n_places + 1, sizeof *reader->places,
                       reader->error) != SEMCAL_OK) {
        return SEMCAL_E_MEMORY;
    }
    sc_config_place made = {.line = place->line, .column = place->column};
    made.path = sc_memory_strdup(path, reader->error);
    if (made.path != NULL && reader->override != NULL) {
        made.override = sc_memory_strdup(reader->override, reader->error);
    }
    if (made.path == NULL || (reader->override != NULL && made.override == NULL)) {
        free(made.path);
        return SEMCAL_E_MEMORY;
    }
    reader->places[reader->n_places++] = made;
    return SEMCAL_OK;
}

static void free_place(sc_config_place *place)
{
    free(place->path);
    free(place->override);
}

void sc_config_forget(sc_config_reader *reader, const char *path)
{
    size_t kept = 0, n = strlen(path);
    for (size_t i = 0; i < reader->n_places; i++) {
        const char *at = reader->places[i].path;
        if (strncmp(at, path, n) == 0 && at[n] == '[') {
            free_place(&reader->places[i]);
        } else {
            reader->places[kept++] = reader->places[i];
        }
    }
    reader->n_places = kept;
}

static const sc_config_place *find_place(const sc_config_reader *reader, const char *path)
{
    for (size_t i = reader->n_places; i > 0; i--) {
        if (strcmp(reader->places[i - 1].path, path) == 0) {
            return &reader->places[i - 1];
        }
    }
    return NULL;
}

bool sc_config_was_given(const sc_config_reader *reader, const char *path)
{
    return find_place(reader, path) != NULL;
}

semcal_status sc_config_fail_later(sc_config_reader *reader, const char *path, const char *format, ...)
{
    char message[SEMCAL_ERROR_SIZE / 2], around[SC_CONFIG_PATH];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    (void)snprintf(around, sizeof around, "%s", path);
    const sc_config_place *place = find_place(reader, around);
    while (place == NULL && around[0] != '\0') {
        size_t n = strlen(around);
        while (n > 0 && around[n - 1] != '.' && around[n - 1] != '[') {
            n--;
        }
        around[n > 0 ? n - 1 : 0] = '\0';
        place = find_place(reader, around);
    }
    if (place == NULL) {
        return fail_at(reader, NULL, 0, 0, path, message);
    }
    return fail_at(reader, place->override, place->line, place->column, path, message);
}

/* Folder of `path`, absolute: paths in the resolved file must mean the same from anywhere. */
static char *folder_of(const char *path, semcal_error *error)
{
    char *copy = sc_memory_strdup(path, error), *folder = NULL;
    if (copy == NULL) {
        return NULL;
    }
    char *slash = strrchr(copy, '/');
    const char *relative = ".";
    if (slash != NULL) {
        slash[slash == copy ? 1 : 0] = '\0';
        relative = copy;
    }
    char absolute[PATH_MAX];
    if (realpath(relative, absolute) == NULL) {
        sc_error_set(error, SEMCAL_E_DATA, "%s: no such folder: %s", relative, strerror(errno));
    } else {
        folder = sc_memory_strdup(absolute, error);
    }
    free(copy);
    return folder;
}

static semcal_status read_all(sc_config_reader *reader, const char *text, size_t length, const char *const *set,
                              size_t n_set)
{
    sc_yaml yaml = {0};
    semcal_status status = sc_config_set_standard(reader, reader->config, &sc_config_root, NULL);
    if (status == SEMCAL_OK) {
        status = sc_yaml_parse(&yaml, text, length, reader->label, reader->error);
    }
    if (status == SEMCAL_OK) {
        status = sc_config_set_section(reader, reader->config, &sc_config_root, yaml.root, yaml.root, "");
    }
    for (size_t i = 0; i < n_set && status == SEMCAL_OK; i++) {
        status = sc_config_set_override(reader, set[i]);
    }
    if (status == SEMCAL_OK) {
        status = sc_config_finish(reader);
    }
    sc_yaml_free(&yaml);
    return status;
}

semcal_status sc_config_parse(sc_config **config, const char *text, size_t length, const char *label,
                              const char *folder, const char *const *set, size_t n_set, semcal_error *error)
{
    semcal_error own = SEMCAL_ERROR_INIT;
    sc_config_reader reader = {.label = label, .folder = folder, .error = &own};
    *config = NULL;
    reader.config = sc_memory_alloc(1, sizeof *reader.config, error);
    if (reader.config == NULL) {
        return SEMCAL_E_MEMORY;
    }
    semcal_status status = read_all(&reader, text, length, set, n_set);
    for (size_t i = 0; i < reader.n_places; i++) {
        free_place(&reader.places[i]);
    }
    free(reader.places);
    if (status != SEMCAL_OK) {
        sc_config_free(reader.config);
        return sc_error_set(error, status, "%s", own.message);
    }
    *config = reader.config;
    return SEMCAL_OK;
}

semcal_status sc_config_load(sc_config **config, const char *path, const char *const *set, size_t n_set,
                             semcal_error *error)
{
    char *text = NULL, *folder = NULL;
    size_t length;
    *config = NULL;
    semcal_status status = sc_file_read(&text, &length, path, error);
    if (status != SEMCAL_OK) {
        goto done;
    }
    folder = folder_of(path, error);
    if (folder == NULL) {
        status = SEMCAL_E_DATA;
        goto done;
    }
    status = sc_config_parse(config, text, length, path, folder, set, n_set, error);
done:
    free(text);
    free(folder);
    return status;
}

void sc_config_free(sc_config *config)
{
    if (config != NULL) {
        sc_config_clear_section(config, &sc_config_root);
        free(config);
    }
}

const sc_config_model *sc_config_find_model(const sc_config *config, const char *name)
{
    for (size_t i = 0; i < config->models.n; i++) {
        if (strcmp(config->models.at[i].name, name) == 0) {
            return &config->models.at[i];
        }
    }
    return NULL;
}

const sc_config_dataset *sc_config_find_dataset(const sc_config *config, const char *name)
{
    for (size_t i = 0; i < config->datasets.n; i++) {
        if (strcmp(config->datasets.at[i].name, name) == 0) {
            return &config->datasets.at[i];
        }
    }
    return NULL;
}

bool sc_config_is_text(const sc_config_dataset *dataset)
{
    return dataset->format == SC_CONFIG_TEXT || dataset->format == SC_CONFIG_TEXT_JSONL;
}

const sc_config_style *sc_config_find_style(const sc_config *config, const char *name)
{
    for (size_t i = 0; i < config->style.n; i++) {
        if (strcmp(config->style.at[i].name, name) == 0) {
            return &config->style.at[i];
        }
    }
    return NULL;
}

const sc_config_collapse *sc_config_find_collapse(const sc_config_dataset *dataset, const char *kind)
{
    for (size_t i = 0; i < dataset->collapse.n; i++) {
        if (strcmp(dataset->collapse.at[i].kind, kind) == 0) {
            return &dataset->collapse.at[i];
        }
    }
    return NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Sections: maps of keys, lists and maps of structs, overrides by path. */
#include "base/nearest.h"
#include "experiment/config_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

sc_config_structs sc_config_get_structs(const void *base, const sc_config_key *key)
{
    sc_config_structs structs;
    memcpy(&structs, (const char *)base + key->offset, sizeof structs);
    return structs;
}

void sc_config_put_structs(void *base, const sc_config_key *key, sc_config_structs structs)
{
    memcpy((char *)base + key->offset, &structs, sizeof structs);
}

static void extend_path(char out[SC_CONFIG_PATH], const char *path, const char *name)
{
    (void)snprintf(out, SC_CONFIG_PATH, "%s%s%.80s", path, path[0] != '\0' ? "." : "", name);
}

static semcal_status unknown_key(sc_config_reader *reader, const sc_config_section *section, const char *name,
                                 const sc_yaml_node *place, const char *path)
{
    const char *names[64], *near;
    size_t n = 0;
    for (; n < section->n_keys && n < 64; n++) {
        names[n] = section->keys[n].name;
    }
    near = sc_nearest_name(name, names, n);
    if (near != NULL) {
        return sc_config_fail(reader, place, path, "unknown key, did you mean '%s'?", near);
    }
    return sc_config_fail(reader, place, path, "unknown key; 'semcal show config' lists them");
}

semcal_status sc_config_set_standard(sc_config_reader *reader, void *base, const sc_config_section *section,
                                     const char *style)
{
    for (size_t i = 0; i < section->n_keys; i++) {
        const sc_config_key *key = &section->keys[i];
        const char *standard = style != NULL ? sc_config_style_standard(style, key) : key->standard;
        semcal_status status = SEMCAL_OK;
        if (key->type == SC_KEY_SECTION) {
            status = sc_config_set_standard(reader, (char *)base + key->offset, key->section, NULL);
        } else if (standard != NULL) {
            sc_yaml yaml;
            status = sc_yaml_parse(&yaml, standard, strlen(standard), "default", reader->error);
            if (status == SEMCAL_OK) {
                bool before = reader->standard;
                reader->standard = true;
                status = sc_config_set(reader, base, key, yaml.root, yaml.root, key->name);
                reader->standard = before;
                sc_yaml_free(&yaml);
            }
        }
        if (status != SEMCAL_OK) {
            return status;
        }
    }
    return SEMCAL_OK;
}

/* A key without a default: still NULL or empty after its section was read. */
static bool is_missing(const void *base, const sc_config_key *key)
{
    if (key->standard != NULL || key->type == SC_KEY_SECTION) {
        return false;
    }
    if (key->type == SC_KEY_SECTIONS) {
        return sc_config_get_structs(base, key).n == 0;
    }
    char *text;
    memcpy(&text, (const char *)base + key->offset, sizeof text);
    return text == NULL;
}

semcal_status sc_config_set_section(sc_config_reader *reader, void *base, const sc_config_section *section,
                                    const sc_yaml_node *value, const sc_yaml_node *place, const char *path)
{
    if (value->kind != SC_YAML_MAP && !(sc_yaml_is_null(value) && section == &sc_config_root)) {
        return sc_config_fail(reader, place, path, "must be a map of keys, is %s",
                              value->kind == SC_YAML_LIST ? "a list"
                              : sc_yaml_is_null(value)    ? "empty"
                                                          : "a text");
    }
    for (size_t i = 0; i < value->n; i++) {
        const sc_yaml_node *name = value->keys[i];
        char at[SC_CONFIG_PATH];
        extend_path(at, path, name->text);
        const sc_config_key *key = sc_config_find_key(section, name->text, name->length);
        if (key == NULL) {
            return unknown_key(reader, section, name->text, name, at);
        }
        semcal_status status = sc_config_set(reader, base, key, value->items[i], name, at);
        if (status != SEMCAL_OK) {
            return status;
        }
    }
    for (size_t i = 0; i < section->n_keys; i++) {
        if (is_missing(base, &section->keys[i])) {
            return sc_config_fail(reader, place, path, "key '%s' is missing: %s", section->keys[i].name,
                                  section->keys[i].help);
        }
    }
    return sc_config_remember(reader, path, place);
}

/* Room for one more struct at the end of the list, zeroed; it is counted at once so that clearing sees it. */
static void *add_struct(sc_config_reader *reader, void *base, const sc_config_key *key)
{
    sc_config_structs structs = sc_config_get_structs(base, key);
    void *grown = sc_memory_alloc(structs.n + 1, key->section->size, reader->error);
    if (grown == NULL) {
        return NULL;
    }
    if (structs.n > 0) {
        memcpy(grown, structs.at, structs.n * key->section->size);
    }
    free(structs.at);
    structs = (sc_config_structs){grown, structs.n + 1};
    sc_config_put_structs(base, key, structs);
    return sc_config_element(structs, key, structs.n - 1);
}

static const char *struct_name(const void *element)
{
    char *name;
    memcpy(&name, element, sizeof name);
    return name;
}

void *sc_config_named(sc_config_reader *reader, void *base, const sc_config_key *key, const char *name)
{
    sc_config_structs structs = sc_config_get_structs(base, key);
    for (size_t i = 0; i < structs.n; i++) {
        void *element = sc_config_element(structs, key, i);
        if (strcmp(struct_name(element), name) == 0) {
            return element;
        }
    }
    char *copy = sc_memory_strdup(name, reader->error);
    if (copy == NULL) {
        return NULL;
    }
    void *element = add_struct(reader, base, key);
    if (element == NULL) {
        free(copy);
        return NULL;
    }
    memcpy(element, &copy, sizeof copy);
    return sc_config_set_standard(reader, element, key->section, name) == SEMCAL_OK ? element : NULL;
}

static semcal_status set_named(sc_config_reader *reader, void *base, const sc_config_key *key,
                               const sc_yaml_node *value, const sc_yaml_node *place, const char *path)
{
    if (value->kind != SC_YAML_MAP) {
        return sc_config_fail(reader, place, path, "must be a map from names to maps of keys");
    }
    for (size_t i = 0; i < value->n; i++) {
        const sc_yaml_node *name = value->keys[i];
        char at[SC_CONFIG_PATH];
        extend_path(at, path, name->text);
        if (strlen(name->text) != name->length || !sc_config_name_is_good(name->text)) {
            return sc_config_fail(reader, name, at, "not a name: " SC_CONFIG_NAME_RULE);
        }
        void *element = sc_config_named(reader, base, key, name->text);
        if (element == NULL) {
            return reader->error->status;
        }
        semcal_status status = sc_config_set_section(reader, element, key->section, value->items[i], name, at);
        if (status != SEMCAL_OK) {
            return status;
        }
    }
    return SEMCAL_OK;
}

/* Where an entry may be its name alone, only one name goes with further keys. */
static semcal_status check_full(sc_config_reader *reader, const sc_config_key *key, const void *element,
                                const char *name, const sc_yaml_node *place, const char *path)
{
    if (key->full == NULL || strcmp(struct_name(element), key->full) == 0 ||
        strcmp(name, key->section->keys[0].name) == 0) {
        return SEMCAL_OK;
    }
    char at[SC_CONFIG_PATH];
    extend_path(at, path, name);
    return sc_config_fail(reader, place, reader->override != NULL ? path : at, "'%s' has no further keys, '%s' has",
                          struct_name(element), key->full);
}

/* One more entry of a list of structs: a map, or its name alone where that is allowed. */
static semcal_status set_entry(sc_config_reader *reader, void *base, const sc_config_key *key,
                               const sc_yaml_node *value, const sc_yaml_node *place, const char *path)
{
    void *element = add_struct(reader, base, key);
    if (element == NULL) {
        return SEMCAL_E_MEMORY;
    }
    semcal_status status = sc_config_set_standard(reader, element, key->section, NULL);
    if (status == SEMCAL_OK && key->full != NULL && value->kind != SC_YAML_MAP) {
        status = sc_config_set(reader, element, &key->section->keys[0], value, place, path);
    } else if (status == SEMCAL_OK) {
        status = sc_config_set_section(reader, element, key->section, value, place, path);
    }
    for (size_t i = 0; key->full != NULL && value->kind == SC_YAML_MAP && status == SEMCAL_OK && i < value->n; i++) {
        status = check_full(reader, key, element, value->keys[i]->text, value->keys[i], path);
    }
    const sc_config_structs structs = sc_config_get_structs(base, key);
    for (size_t i = 0; key->full != NULL && status == SEMCAL_OK && i + 1 < structs.n; i++) {
        const char *name = struct_name(sc_config_element(structs, key, structs.n - 1));
        if (strcmp(struct_name(sc_config_element(structs, key, i)), name) == 0) {
            status = sc_config_fail(reader, place, path, "%s is listed twice", name);
        }
    }
    return status;
}

semcal_status sc_config_set_structs(sc_config_reader *reader, void *base, const sc_config_key *key,
                                    const sc_yaml_node *value, const sc_yaml_node *place, const char *path)
{
    if (key->type == SC_KEY_NAMED) {
        return set_named(reader, base, key, value, place, path);
    }
    if (value->kind != SC_YAML_LIST && key->full == NULL) {
        return sc_config_fail(reader, place, path, "must be a list of maps");
    }
    if (value->kind == SC_YAML_LIST && value->n == 0 && (key->standard == NULL || key->full != NULL)) {
        return sc_config_fail(reader, place, path, "must not be %s", key->full != NULL ? "an empty list" : "empty");
    }
    sc_config_clear(base, key);
    sc_config_forget(reader, path);
    if (value->kind != SC_YAML_LIST) {
        return set_entry(reader, base, key, value, place, path);
    }
    for (size_t i = 0; i < value->n; i++) {
        char at[SC_CONFIG_PATH];
        (void)snprintf(at, sizeof at, "%.200s[%zu]", path, i);
        semcal_status status = set_entry(reader, base, key, value->items[i], value->items[i], at);
        if (status != SEMCAL_OK) {
            return status;
        }
    }
    return SEMCAL_OK;
}

/* ---- overrides ---- */

/* The struct that `rest` (behind the key of a list or map of structs) begins with, by [index] or .name; moves `*rest`
 * behind it. Names may hold dots, so the longest that fits is meant. NULL with the error set. */
static void *find_struct(sc_config_reader *reader, void *base, const sc_config_key *key, const char **rest)
{
    static const sc_yaml_node nowhere = {0};
    sc_config_structs structs = sc_config_get_structs(base, key);
    const char *at = *rest;
    if (at[0] == '[') {
        char *end;
        unsigned long i = strtoul(at + 1, &end, 10);
        if (at[1] < '0' || at[1] > '9' || *end != ']' || i >= structs.n) {
            (void)sc_config_fail(reader, &nowhere, reader->override, "%s has %zu entries, from [0] on", key->name,
                                 structs.n);
            return NULL;
        }
        *rest = end + 1;
        return sc_config_element(structs, key, i);
    }
    at++;
    void *found = NULL;
    size_t longest = 0;
    for (size_t i = 0; i < structs.n; i++) {
        void *element = sc_config_element(structs, key, i);
        const char *name = struct_name(element);
        size_t n = strlen(name);
        if (n > longest && strncmp(at, name, n) == 0 && (at[n] == '.' || at[n] == '\0')) {
            found = element;
            longest = n;
        }
    }
    if (found == NULL && key->type == SC_KEY_NAMED) {
        char name[SC_CONFIG_PATH];
        longest = strcspn(at, ".");
        (void)snprintf(name, sizeof name, "%.*s", (int)(longest < 100 ? longest : 100), at);
        if (!sc_config_name_is_good(name)) {
            (void)sc_config_fail(reader, &nowhere, reader->override, "not a name: " SC_CONFIG_NAME_RULE);
            return NULL;
        }
        found = sc_config_named(reader, base, key, name);
    } else if (found == NULL) {
        const char *names[64];
        size_t n = 0;
        for (; n < structs.n && n < 64; n++) {
            names[n] = struct_name(sc_config_element(structs, key, n));
        }
        char name[SC_CONFIG_PATH];
        (void)snprintf(name, sizeof name, "%.*s", (int)(strcspn(at, ".") < 100 ? strcspn(at, ".") : 100), at);
        const char *near = sc_nearest_name(name, names, n);
        (void)sc_config_fail(reader, &nowhere, reader->override, "no entry of %s is called '%s'%s%s%s", key->name, name,
                             near != NULL ? ", did you mean '" : "", near != NULL ? near : "",
                             near != NULL ? "'?" : "");
    }
    *rest = at + longest;
    return found;
}

/* Walks `path` down to its last key and sets it. */
static semcal_status set_at(sc_config_reader *reader, const char *path, const sc_yaml_node *value)
{
    static const sc_yaml_node nowhere = {0};
    void *base = reader->config;
    const sc_config_section *section = &sc_config_root;
    const char *rest = path;
    for (;;) {
        size_t n = strcspn(rest, ".[");
        const sc_config_key *key = sc_config_find_key(section, rest, n);
        if (key == NULL) {
            char name[SC_CONFIG_PATH];
            (void)snprintf(name, sizeof name, "%.*s", (int)(n < 100 ? n : 100), rest);
            return unknown_key(reader, section, name, &nowhere, path);
        }
        rest += n;
        if (*rest == '\0') {
            return sc_config_set(reader, base, key, value, &nowhere, path);
        }
        if (key->type == SC_KEY_SECTION && *rest == '.') {
            base = (char *)base + key->offset;
        } else if (key->type == SC_KEY_NAMED || key->type == SC_KEY_SECTIONS) {
            base = find_struct(reader, base, key, &rest);
            if (base == NULL) {
                return reader->error->status;
            }
            if (*rest == '\0') {
                return sc_config_set_section(reader, base, key->section, value, &nowhere, path);
            }
            semcal_status status = check_full(reader, key, base, rest + 1, &nowhere, path);
            if (status != SEMCAL_OK) {
                return status;
            }
        } else {
            return sc_config_fail(reader, &nowhere, path, "'%s' holds no further keys", key->name);
        }
        if (*rest != '.') {
            return sc_config_fail(reader, &nowhere, path, "expected '.' before '%.40s'", rest);
        }
        section = key->section;
        rest++;
    }
}

semcal_status sc_config_set_override(sc_config_reader *reader, const char *assignment)
{
    const char *equals = strchr(assignment, '=');
    if (equals == NULL || equals == assignment) {
        return sc_error_set(reader->error, SEMCAL_E_CONFIG, "--set %.200s: expected key=value", assignment);
    }
    sc_yaml yaml = {0};
    char *path = sc_memory_strndup(assignment, (size_t)(equals - assignment), reader->error);
    semcal_status status = path == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    sc_text where = {0};
    if (status == SEMCAL_OK) {
        status = sc_text_printf(&where, reader->error, "--set %s", path);
    }
    if (status == SEMCAL_OK) {
        status = sc_yaml_parse(&yaml, equals + 1, strlen(equals + 1), where.data, reader->error);
    }
    if (status == SEMCAL_OK) {
        reader->override = path;
        status = set_at(reader, path, yaml.root);
        reader->override = NULL;
    }
    sc_text_free(&where);
    sc_yaml_free(&yaml);
    free(path);
    return status;
}

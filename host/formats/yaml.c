/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/yaml.h"

#include "base/file.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { YAML_MAX_DEPTH = 64 };

/* ---- nodes ---- */

sc_yaml_node *sc_yaml_new(sc_yaml_kind kind, semcal_error *error)
{
    sc_yaml_node *node = sc_memory_alloc(1, sizeof *node, error);
    if (node != NULL) {
        node->kind = kind;
    }
    return node;
}

static sc_yaml_node *new_scalar(const char *text, size_t length, bool quoted, semcal_error *error)
{
    sc_yaml_node *node = sc_yaml_new(SC_YAML_SCALAR, error);
    if (node == NULL) {
        return NULL;
    }
    node->text = sc_memory_strndup(text, length, error);
    node->length = length;
    node->quoted = quoted;
    if (node->text == NULL) {
        free(node);
        return NULL;
    }
    return node;
}

sc_yaml_node *sc_yaml_new_text(const char *text, bool quoted, semcal_error *error)
{
    return new_scalar(text, strlen(text), quoted, error);
}

sc_yaml_node *sc_yaml_new_format(semcal_error *error, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= sizeof text) {
        sc_error_set(error, SEMCAL_E_CONFIG, "a value of %d characters is too long", n);
        return NULL;
    }
    return new_scalar(text, (size_t)n, false, error);
}

void sc_yaml_node_free(sc_yaml_node *node)
{
    if (node == NULL) {
        return;
    }
    for (size_t i = 0; i < node->n; i++) {
        sc_yaml_node_free(node->items[i]);
        if (node->keys != NULL) {
            sc_yaml_node_free(node->keys[i]);
        }
    }
    free(node->items);
    free(node->keys);
    free(node->text);
    free(node);
}

/* Takes key (NULL for lists) and item over, also on failure. */
static semcal_status push(sc_yaml_node *node, sc_yaml_node *key, sc_yaml_node *item, semcal_error *error)
{
    semcal_status status =
        item == NULL ? SEMCAL_E_MEMORY
                     : sc_memory_grow(&node->items, &node->capacity, node->n + 1, sizeof(sc_yaml_node *), error);
    if (status == SEMCAL_OK && node->kind == SC_YAML_MAP) {
        status = key == NULL
                     ? SEMCAL_E_MEMORY
                     : sc_memory_grow(&node->keys, &node->keys_capacity, node->n + 1, sizeof(sc_yaml_node *), error);
    }
    if (status != SEMCAL_OK) {
        sc_yaml_node_free(key);
        sc_yaml_node_free(item);
        return status;
    }
    if (node->kind == SC_YAML_MAP) {
        node->keys[node->n] = key;
    }
    node->items[node->n++] = item;
    return SEMCAL_OK;
}

semcal_status sc_yaml_append(sc_yaml_node *list, sc_yaml_node *item, semcal_error *error)
{
    return push(list, NULL, item, error);
}

static sc_yaml_node **find(const sc_yaml_node *map, const char *key, size_t length, size_t *at)
{
    for (size_t i = 0; map->kind == SC_YAML_MAP && i < map->n; i++) {
        if (map->keys[i]->length == length && memcmp(map->keys[i]->text, key, length) == 0) {
            *at = i;
            return &map->items[i];
        }
    }
    return NULL;
}

sc_yaml_node *sc_yaml_get(const sc_yaml_node *map, const char *key)
{
    size_t at;
    sc_yaml_node **slot = map != NULL ? find(map, key, strlen(key), &at) : NULL;
    return slot != NULL ? *slot : NULL;
}

semcal_status sc_yaml_put(sc_yaml_node *map, const char *key, sc_yaml_node *item, semcal_error *error)
{
    size_t at;
    sc_yaml_node **slot = find(map, key, strlen(key), &at);
    if (slot == NULL || item == NULL) {
        return push(map, item != NULL ? sc_yaml_new_text(key, false, error) : NULL, item, error);
    }
    sc_yaml_node_free(*slot);
    *slot = item;
    return SEMCAL_OK;
}

sc_yaml_node *sc_yaml_copy(const sc_yaml_node *node, semcal_error *error)
{
    sc_yaml_node *copy = node->kind == SC_YAML_SCALAR ? new_scalar(node->text, node->length, node->quoted, error)
                                                      : sc_yaml_new(node->kind, error);
    if (copy == NULL) {
        return NULL;
    }
    copy->line = node->line;
    copy->column = node->column;
    for (size_t i = 0; i < node->n; i++) {
        sc_yaml_node *key = node->keys != NULL ? sc_yaml_copy(node->keys[i], error) : NULL;
        if (push(copy, key, sc_yaml_copy(node->items[i], error), error) != SEMCAL_OK) {
            sc_yaml_node_free(copy);
            return NULL;
        }
    }
    return copy;
}

/* ---- reading ---- */

typedef struct yaml_reader {
    yaml_parser_t parser;
    yaml_event_t event; /* current one; deleted by next() */
    bool has_event;
    const char *path;
    semcal_error *error;
} yaml_reader;

static semcal_status fail_at(const yaml_reader *reader, yaml_mark_t mark, const char *what)
{
    return sc_error_set(reader->error, SEMCAL_E_CONFIG, "%s:%zu:%zu: %s", reader->path, mark.line + 1, mark.column + 1,
                        what);
}

static semcal_status next(yaml_reader *reader)
{
    if (reader->has_event) {
        yaml_event_delete(&reader->event);
        reader->has_event = false;
    }
    if (yaml_parser_parse(&reader->parser, &reader->event) == 0) {
        const yaml_parser_t *parser = &reader->parser;
        const char *problem = parser->problem != NULL ? parser->problem : "cannot be parsed";
        if (parser->error == YAML_MEMORY_ERROR) {
            return sc_error_set(reader->error, SEMCAL_E_MEMORY, "%s: out of memory", reader->path);
        }
        if (parser->error == YAML_READER_ERROR) {
            return sc_error_set(reader->error, SEMCAL_E_CONFIG, "%s: byte %zu: %s", reader->path,
                                parser->problem_offset, problem);
        }
        return sc_error_set(reader->error, SEMCAL_E_CONFIG, "%s:%zu:%zu: %s%s%s", reader->path,
                            parser->problem_mark.line + 1, parser->problem_mark.column + 1, problem,
                            parser->context != NULL ? " " : "", parser->context != NULL ? parser->context : "");
    }
    reader->has_event = true;
    return SEMCAL_OK;
}

static semcal_status refuse_decorations(const yaml_reader *reader, const void *anchor, const void *tag)
{
    if (anchor != NULL) {
        return fail_at(reader, reader->event.start_mark, "anchors (&) are not supported; write the value out");
    }
    if (tag != NULL) {
        return fail_at(reader, reader->event.start_mark, "tags (!) are not supported; write the plain value");
    }
    return SEMCAL_OK;
}

static semcal_status read_node(sc_yaml_node **node, yaml_reader *reader, size_t depth);

static semcal_status read_map_entry(sc_yaml_node *map, yaml_reader *reader, size_t depth)
{
    if (reader->event.type != YAML_SCALAR_EVENT) {
        return fail_at(reader, reader->event.start_mark,
                       reader->event.type == YAML_ALIAS_EVENT ? "aliases (*) are not supported; write the value out"
                                                              : "a key must be a plain name");
    }
    sc_yaml_node *key = NULL, *item = NULL;
    semcal_status status = read_node(&key, reader, depth);
    size_t first;
    if (status == SEMCAL_OK && find(map, key->text, key->length, &first) != NULL) {
        status = sc_error_set(reader->error, SEMCAL_E_CONFIG, "%s:%zu:%zu: duplicate key '%s', first at line %zu",
                              reader->path, key->line, key->column, key->text, map->keys[first]->line);
    }
    if (status == SEMCAL_OK) {
        status = next(reader);
    }
    if (status == SEMCAL_OK) {
        status = read_node(&item, reader, depth);
    }
    if (status != SEMCAL_OK) {
        sc_yaml_node_free(key);
        return status;
    }
    return push(map, key, item, reader->error);
}

static semcal_status read_entries(sc_yaml_node *node, yaml_reader *reader, size_t depth)
{
    yaml_event_type_t end = node->kind == SC_YAML_MAP ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
    for (;;) {
        semcal_status status = next(reader);
        if (status != SEMCAL_OK || reader->event.type == end) {
            return status;
        }
        if (node->kind == SC_YAML_MAP) {
            status = read_map_entry(node, reader, depth + 1);
        } else {
            sc_yaml_node *item = NULL;
            status = read_node(&item, reader, depth + 1);
            if (status == SEMCAL_OK) {
                status = push(node, NULL, item, reader->error);
            }
        }
        if (status != SEMCAL_OK) {
            return status;
        }
    }
}

/* Makes the node that the current event begins; afterwards the current event is the last one of the node. */
static semcal_status read_node(sc_yaml_node **node, yaml_reader *reader, size_t depth)
{
    *node = NULL;
    const yaml_event_t *event = &reader->event;
    yaml_mark_t mark = event->start_mark;
    if (depth > YAML_MAX_DEPTH) {
        return fail_at(reader, mark, "nested too deeply");
    }
    semcal_status status;
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        status = refuse_decorations(reader, event->data.scalar.anchor, event->data.scalar.tag);
        if (status == SEMCAL_OK) {
            *node = new_scalar((const char *)event->data.scalar.value, event->data.scalar.length,
                               event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE, reader->error);
        }
        break;
    case YAML_SEQUENCE_START_EVENT:
        status = refuse_decorations(reader, event->data.sequence_start.anchor, event->data.sequence_start.tag);
        if (status == SEMCAL_OK) {
            *node = sc_yaml_new(SC_YAML_LIST, reader->error);
        }
        break;
    case YAML_MAPPING_START_EVENT:
        status = refuse_decorations(reader, event->data.mapping_start.anchor, event->data.mapping_start.tag);
        if (status == SEMCAL_OK) {
            *node = sc_yaml_new(SC_YAML_MAP, reader->error);
        }
        break;
    case YAML_ALIAS_EVENT:
        return fail_at(reader, mark, "aliases (*) are not supported; write the value out");
    default:
        return fail_at(reader, mark, "a value is missing");
    }
    if (status != SEMCAL_OK || *node == NULL) {
        return status != SEMCAL_OK ? status : SEMCAL_E_MEMORY;
    }
    (*node)->line = mark.line + 1;
    (*node)->column = mark.column + 1;
    if ((*node)->kind != SC_YAML_SCALAR) {
        status = read_entries(*node, reader, depth);
    }
    if (status != SEMCAL_OK) {
        sc_yaml_node_free(*node);
        *node = NULL;
    }
    return status;
}

/* Stream start, at most one document, stream end. */
static semcal_status read_document(sc_yaml *yaml, yaml_reader *reader)
{
    semcal_status status = next(reader);
    if (status == SEMCAL_OK) {
        status = next(reader);
    }
    if (status == SEMCAL_OK && reader->event.type == YAML_STREAM_END_EVENT) {
        yaml->root = new_scalar("", 0, false, reader->error);
        if (yaml->root == NULL) {
            return SEMCAL_E_MEMORY;
        }
        yaml->root->line = yaml->root->column = 1;
        return SEMCAL_OK;
    }
    if (status == SEMCAL_OK) {
        status = next(reader);
    }
    if (status == SEMCAL_OK) {
        status = read_node(&yaml->root, reader, 0);
    }
    if (status == SEMCAL_OK) {
        status = next(reader);
    }
    if (status == SEMCAL_OK) {
        status = next(reader);
    }
    if (status == SEMCAL_OK && reader->event.type != YAML_STREAM_END_EVENT) {
        status = fail_at(reader, reader->event.start_mark, "a second document (---) begins; one per file");
    }
    return status;
}

semcal_status sc_yaml_parse(sc_yaml *yaml, const char *bytes, size_t length, const char *name, semcal_error *error)
{
    *yaml = (sc_yaml){0};
    yaml_reader reader = {.path = name, .error = error};
    yaml->path = sc_memory_strdup(name, error);
    if (yaml->path == NULL) {
        return SEMCAL_E_MEMORY;
    }
    if (yaml_parser_initialize(&reader.parser) == 0) {
        sc_yaml_free(yaml);
        return sc_error_set(error, SEMCAL_E_MEMORY, "%s: out of memory", name);
    }
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)bytes, length);
    semcal_status status = read_document(yaml, &reader);
    if (reader.has_event) {
        yaml_event_delete(&reader.event);
    }
    yaml_parser_delete(&reader.parser);
    if (status != SEMCAL_OK) {
        sc_yaml_free(yaml);
    }
    return status;
}

semcal_status sc_yaml_read(sc_yaml *yaml, const char *path, semcal_error *error)
{
    *yaml = (sc_yaml){0};
    char *data;
    size_t length;
    semcal_status status = sc_file_read(&data, &length, path, error);
    if (status == SEMCAL_OK) {
        status = sc_yaml_parse(yaml, data, length, path, error);
        free(data);
    }
    return status;
}

void sc_yaml_free(sc_yaml *yaml)
{
    sc_yaml_node_free(yaml->root);
    free(yaml->path);
    *yaml = (sc_yaml){0};
}

semcal_status sc_yaml_error(const sc_yaml *yaml, const sc_yaml_node *node, semcal_error *error, semcal_status status,
                            const char *format, ...)
{
    char text[SEMCAL_ERROR_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const char *path = yaml != NULL && yaml->path != NULL ? yaml->path : "config";
    if (node == NULL || node->line == 0) {
        return sc_error_set(error, status, "%s: %s", path, text);
    }
    return sc_error_set(error, status, "%s:%zu:%zu: %s", path, node->line, node->column, text);
}

/* ---- typed reading ---- */

static bool one_of(const char *text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(text, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_plain(const sc_yaml_node *node)
{
    return node->kind == SC_YAML_SCALAR && !node->quoted;
}

bool sc_yaml_is_null(const sc_yaml_node *node)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    return is_plain(node) && one_of(node->text, words, sizeof words / sizeof *words);
}

static semcal_status mismatch(const sc_yaml *yaml, const sc_yaml_node *node, const char *what, const char *wanted,
                              semcal_error *error)
{
    if (node->kind != SC_YAML_SCALAR) {
        return sc_yaml_error(yaml, node, error, SEMCAL_E_CONFIG, "%s: must be %s, is a %s", what, wanted,
                             node->kind == SC_YAML_LIST ? "list" : "map");
    }
    if (sc_yaml_is_null(node)) {
        return sc_yaml_error(yaml, node, error, SEMCAL_E_CONFIG, "%s: must be %s, is empty", what, wanted);
    }
    const char *quote = node->quoted ? "\"" : "'";
    return sc_yaml_error(yaml, node, error, SEMCAL_E_CONFIG, "%s: must be %s, got %s%s%s", what, wanted, quote,
                         node->text, quote);
}

semcal_status sc_yaml_as_bool(bool *value, const sc_yaml *yaml, const sc_yaml_node *node, const char *what,
                              semcal_error *error)
{
    static const char *const yes[] = {"true", "True", "TRUE"}, *const no[] = {"false", "False", "FALSE"};
    if (is_plain(node) && (one_of(node->text, yes, 3) || one_of(node->text, no, 3))) {
        *value = one_of(node->text, yes, 3);
        return SEMCAL_OK;
    }
    return mismatch(yaml, node, what, "true or false", error);
}

semcal_status sc_yaml_as_int(int64_t *value, const sc_yaml *yaml, const sc_yaml_node *node, const char *what,
                             semcal_error *error)
{
    const char *digits = node->kind == SC_YAML_SCALAR ? node->text + strspn(node->text, "+-") : "";
    if (is_plain(node) && digits - node->text <= 1 && digits[0] != '\0' &&
        digits[strspn(digits, "0123456789")] == '\0') {
        errno = 0;
        *value = strtoll(node->text, NULL, 10);
        if (errno == 0) {
            return SEMCAL_OK;
        }
        return sc_yaml_error(yaml, node, error, SEMCAL_E_CONFIG, "%s: %s does not fit 64 bits", what, node->text);
    }
    return mismatch(yaml, node, what, "an integer", error);
}

semcal_status sc_yaml_as_real(double *value, const sc_yaml *yaml, const sc_yaml_node *node, const char *what,
                              semcal_error *error)
{
    /* strtod knows more spellings (hex, inf, nan) than a config should. */
    if (is_plain(node) && node->text[0] != '\0' && node->text[strspn(node->text, "0123456789+-.eE")] == '\0') {
        char *end;
        *value = strtod(node->text, &end);
        if (*end == '\0' && isfinite(*value)) {
            return SEMCAL_OK;
        }
    }
    return mismatch(yaml, node, what, "a number", error);
}

semcal_status sc_yaml_as_text(const char **text, const sc_yaml *yaml, const sc_yaml_node *node, const char *what,
                              semcal_error *error)
{
    if (node->kind != SC_YAML_SCALAR || sc_yaml_is_null(node)) {
        return mismatch(yaml, node, what, "a text", error);
    }
    if (strlen(node->text) != node->length) {
        return sc_yaml_error(yaml, node, error, SEMCAL_E_CONFIG, "%s: holds a NUL character", what);
    }
    *text = node->text;
    return SEMCAL_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML as a strict tree on libyaml: every node knows its line and column, duplicate keys are errors.
 *
 * Keys are scalars. Anchors, aliases, tags and several documents in a file are refused with a clear line: a config says
 * what it means in place. Scalars keep their text; what type it has is asked for by the reader (sc_yaml_as_*), by the
 * rules of YAML 1.2's core schema: 'yes' and 'no' are texts, a quoted scalar is always a text.
 */
#ifndef SC_FORMATS_YAML_H
#define SC_FORMATS_YAML_H

#include "base/memory.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum sc_yaml_kind { SC_YAML_SCALAR, SC_YAML_LIST, SC_YAML_MAP } sc_yaml_kind;

typedef struct sc_yaml_node sc_yaml_node;
struct sc_yaml_node {
    sc_yaml_kind kind;
    size_t line, column;            /* from 1; 0 for nodes made by the program */
    char *text;                     /* scalar: UTF-8 with a NUL behind it; NULL otherwise */
    size_t length;                  /* bytes of `text` */
    bool quoted;                    /* scalar written with quotes or as a block: always a text */
    size_t n;                       /* entries of a list or map */
    sc_yaml_node **items;           /* [n] list items or map values */
    sc_yaml_node **keys;            /* [n] map keys (scalars), NULL for lists */
    size_t capacity, keys_capacity; /* room in items and keys */
};

/* A parsed file: the tree and the name that messages use. Free with sc_yaml_free. */
typedef struct sc_yaml {
    char *path;
    sc_yaml_node *root; /* never NULL after success; an empty file is an empty plain scalar (null) */
} sc_yaml;

/* SEMCAL_E_CONFIG with "path:line:column: what" on malformed input; SEMCAL_E_DATA when the file cannot be read. */
semcal_status sc_yaml_read(sc_yaml *yaml, const char *path, semcal_error *error);
semcal_status sc_yaml_parse(sc_yaml *yaml, const char *bytes, size_t length, const char *name, semcal_error *error);
void sc_yaml_free(sc_yaml *yaml);

/* Value of `key` in a map, or NULL (also when `map` is no map). */
sc_yaml_node *sc_yaml_get(const sc_yaml_node *map, const char *key);

/* Records "path:line:column: <formatted>" (without a place for nodes made by the program). Returns `status`. */
semcal_status sc_yaml_error(const sc_yaml *yaml, const sc_yaml_node *node, semcal_error *error, semcal_status status,
                            const char *format, ...) SC_PRINTF(5, 6);

/* ---- typed reading: `what` names the value in messages, e.g. "sampling.draws"; SEMCAL_E_CONFIG on a mismatch ---- */

bool sc_yaml_is_null(const sc_yaml_node *node); /* plain ~, null or nothing */
semcal_status sc_yaml_as_bool(bool *value, const sc_yaml *yaml, const sc_yaml_node *node, const char *what,
                              semcal_error *error);
semcal_status sc_yaml_as_int(int64_t *value, const sc_yaml *yaml, const sc_yaml_node *node, const char *what,
                             semcal_error *error);
/* Integers are reals too; .inf and .nan are refused. */
semcal_status sc_yaml_as_real(double *value, const sc_yaml *yaml, const sc_yaml_node *node, const char *what,
                              semcal_error *error);
/* Any scalar but null; `*text` lives in the node. Refuses texts with a NUL inside. */
semcal_status sc_yaml_as_text(const char **text, const sc_yaml *yaml, const sc_yaml_node *node, const char *what,
                              semcal_error *error);

/* ---- building and changing trees; nodes belong to the tree they are put into ---- */

sc_yaml_node *sc_yaml_new(sc_yaml_kind kind, semcal_error *error);
sc_yaml_node *sc_yaml_new_text(const char *text, bool quoted, semcal_error *error);
/* Plain scalar from a format: sc_yaml_new_format(error, "%d", n). */
sc_yaml_node *sc_yaml_new_format(semcal_error *error, const char *format, ...) SC_PRINTF(2, 3);
sc_yaml_node *sc_yaml_copy(const sc_yaml_node *node, semcal_error *error);
void sc_yaml_node_free(sc_yaml_node *node);

/* Both take `item` over, also on failure, and accept NULL for it (SEMCAL_E_MEMORY). sc_yaml_put replaces a value. */
semcal_status sc_yaml_append(sc_yaml_node *list, sc_yaml_node *item, semcal_error *error);
semcal_status sc_yaml_put(sc_yaml_node *map, const char *key, sc_yaml_node *item, semcal_error *error);

/* Appends the tree as YAML text: maps as blocks, lists of scalars in brackets, quoted scalars in double quotes.
 * Reading it back gives an equal tree (places aside). */
semcal_status sc_yaml_emit(sc_text *out, const sc_yaml_node *root, semcal_error *error);

#endif

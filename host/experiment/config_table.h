/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the configuration: the table of keys and the functions that walk it. Only config*.c include this.
 *
 * A *section* is a struct and the keys that fill its members. Nothing outside of the table knows the name, type,
 * default or range of a key.
 */
#ifndef SC_EXPERIMENT_CONFIG_TABLE_H
#define SC_EXPERIMENT_CONFIG_TABLE_H

#include "experiment/config.h"
#include "formats/yaml.h"

#include <math.h>

typedef enum sc_config_type {
    SC_KEY_TEXT,     /* char *, NULL for null */
    SC_KEY_NAME,     /* char *, usable in file names */
    SC_KEY_PATH,     /* char *, made absolute */
    SC_KEY_INT,      /* int64_t, SC_CONFIG_UNSET for null */
    SC_KEY_BYTES,    /* int64_t, also "512M", "4GiB" */
    SC_KEY_REAL,     /* double */
    SC_KEY_BOOL,     /* bool */
    SC_KEY_WORD,     /* enum: index of a word */
    SC_KEY_INTS,     /* sc_config_ints, swept: n = 0 for null */
    SC_KEY_REALS,    /* sc_config_reals, swept */
    SC_KEY_WORDS,    /* sc_config_ints, swept: indices of words */
    SC_KEY_TEXTS,    /* sc_config_texts, a list by nature; with words: each one of them */
    SC_KEY_NAMES,    /* sc_config_texts of names */
    SC_KEY_PAIRS,    /* sc_config_pairs */
    SC_KEY_CHOICES,  /* sc_config_choices */
    SC_KEY_SECTION,  /* a struct in place */
    SC_KEY_SECTIONS, /* list of structs: {pointer, n} */
    SC_KEY_NAMED     /* map from a name to a struct whose first member is `char *name`: {pointer, n} */
} sc_config_type;

typedef struct sc_config_section sc_config_section;

typedef struct sc_config_key {
    const char *name;
    sc_config_type type;
    size_t offset;
    const char *standard; /* the default as YAML; NULL: the key must be given */
    bool optional;        /* null is a value */
    double low, high;     /* numbers: the range */
    bool open_low;        /* > low instead of >= low */
    const char *const *words;
    const sc_config_section *section;
    const char *full; /* lists of structs: an entry may be its name alone, a single one needs no list, and only entries
                         of this name have further keys; NULL: entries are maps */
    const char *unit, *help;
} sc_config_key;

struct sc_config_section {
    size_t size;
    const sc_config_key *keys;
    size_t n_keys;
};

extern const sc_config_section sc_config_root;

/* The default of `key` of the style `style`, where a built-in style has one of its own. */
const char *sc_config_style_standard(const char *style, const sc_config_key *key);
/* NULL-terminated names of the built-in styles. */
extern const char *const sc_config_builtin_styles[];

/* NULL-terminated kinds of collapse. */
extern const char *const sc_config_collapse_words[];

/* A growing list of structs, as SC_KEY_SECTIONS and SC_KEY_NAMED keep them. */
typedef struct sc_config_structs {
    void *at;
    size_t n;
} sc_config_structs;
sc_config_structs sc_config_get_structs(const void *base, const sc_config_key *key);
void sc_config_put_structs(void *base, const sc_config_key *key, sc_config_structs structs);
static inline char *sc_config_element(sc_config_structs structs, const sc_config_key *key, size_t i)
{
    return (char *)structs.at + i * key->section->size;
}

/* The shortest decimal that reads back as the same number. */
void sc_config_format_real(char text[32], double value);

/* ---- reading ---- */

enum { SC_CONFIG_PATH = 256, SC_CONFIG_NAME = 64 };

#define SC_CONFIG_NAME_RULE "letters, digits, '_', '-', '+' and '.', not first '.', '-' or '+', at most 64"

/* Where a key got its value, for checks that come after reading. */
typedef struct sc_config_place {
    char *path;
    size_t line, column;
    char *override; /* NULL: the file */
} sc_config_place;

typedef struct sc_config_reader {
    sc_config *config;
    const char *label, *folder;
    const char *override; /* key of the --set at work, NULL while the file is read */
    bool standard;        /* the value comes from the table */
    sc_config_place *places;
    size_t n_places, places_capacity;
    semcal_error *error; /* never NULL */
} sc_config_reader;

/* Notes that `path` got its value at `place`; nothing while defaults are set. */
semcal_status sc_config_remember(sc_config_reader *reader, const char *path, const sc_yaml_node *place);
/* Drops the places of the entries of the list `path`. */
void sc_config_forget(sc_config_reader *reader, const char *path);

/* SEMCAL_E_CONFIG "label:line:column: path: <formatted>", or "--set key: ..." during an override. */
semcal_status sc_config_fail(sc_config_reader *reader, const sc_yaml_node *place, const char *path, const char *format,
                             ...) SC_PRINTF(4, 5);
/* The same for a key read earlier: its place, or that of the nearest key around it. */
semcal_status sc_config_fail_later(sc_config_reader *reader, const char *path, const char *format, ...) SC_PRINTF(3, 4);

/* Whether the key got its value from the file or an override. */
bool sc_config_was_given(const sc_config_reader *reader, const char *path);

/* Sets the member of `base` that `key` describes from `value`, dropping what it held. `place` is shown in messages. */
semcal_status sc_config_set(sc_config_reader *reader, void *base, const sc_config_key *key, const sc_yaml_node *value,
                            const sc_yaml_node *place, const char *path);
/* Sets every member of a fresh struct to its default; `style` as in sc_config_style_standard, or NULL. */
semcal_status sc_config_set_standard(sc_config_reader *reader, void *base, const sc_config_section *section,
                                     const char *style);
/* Sets the keys of the map `value` (config_sections.c). */
semcal_status sc_config_set_section(sc_config_reader *reader, void *base, const sc_config_section *section,
                                    const sc_yaml_node *value, const sc_yaml_node *place, const char *path);
/* Lists of structs, maps of structs. */
semcal_status sc_config_set_structs(sc_config_reader *reader, void *base, const sc_config_key *key,
                                    const sc_yaml_node *value, const sc_yaml_node *place, const char *path);
/* The struct called `name` of a map of structs, made with its defaults when it is not there; NULL on failure. */
void *sc_config_named(sc_config_reader *reader, void *base, const sc_config_key *key, const char *name);
/* One override "key=value". */
semcal_status sc_config_set_override(sc_config_reader *reader, const char *assignment);

void sc_config_clear(void *base, const sc_config_key *key);
void sc_config_clear_section(void *base, const sc_config_section *section);

const sc_config_key *sc_config_find_key(const sc_config_section *section, const char *name, size_t length);
bool sc_config_name_is_good(const char *name);

/* Fills what follows from other keys, then checks what one key alone cannot tell (config_check.c). */
semcal_status sc_config_finish(sc_config_reader *reader);

#endif

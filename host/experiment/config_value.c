/* SPDX-License-Identifier: Apache-2.0 */
/* One value: from a YAML node to a member of a struct, by the type of its key; and dropping it again. */
#include "base/file.h"
#include "base/nearest.h"
#include "experiment/config_table.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool sc_config_name_is_good(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n > SC_CONFIG_NAME || strchr(".-+", name[0]) != NULL) {
        return false;
    }
    return name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+.")] == '\0';
}

/* How a message calls what it got. */
static const char *shown(char out[96], const sc_yaml_node *node)
{
    if (node->kind != SC_YAML_SCALAR) {
        (void)snprintf(out, 96, "%s", node->kind == SC_YAML_LIST ? "a list" : "a map");
    } else if (sc_yaml_is_null(node)) {
        (void)snprintf(out, 96, "nothing");
    } else {
        (void)snprintf(out, 96, "%s%.80s%s", node->quoted ? "\"" : "", node->text, node->quoted ? "\"" : "");
    }
    return out;
}

static semcal_status mismatch(sc_config_reader *reader, const sc_yaml_node *value, const sc_yaml_node *place,
                              const char *path, const char *wanted)
{
    char got[96];
    return sc_config_fail(reader, place, path, "must be %s, got %s", wanted, shown(got, value));
}

static semcal_status check_range(sc_config_reader *reader, const sc_config_key *key, double number,
                                 const sc_yaml_node *value, const sc_yaml_node *place, const char *path)
{
    char range[96], got[96];
    if (number <= key->high && (key->open_low ? number > key->low : number >= key->low)) {
        return SEMCAL_OK;
    }
    if (number > key->high || key->high < 1e6) {
        (void)snprintf(range, sizeof range, "in %s%.12g, %.12g]", key->open_low ? "(" : "[", key->low, key->high);
    } else {
        (void)snprintf(range, sizeof range, "%s %.12g", key->open_low ? ">" : ">=", key->low);
    }
    return sc_config_fail(reader, place, path, "must be %s, got %s", range, shown(got, value));
}

static semcal_status read_int(sc_config_reader *reader, int64_t *out, const sc_config_key *key,
                              const sc_yaml_node *value, const sc_yaml_node *place, const char *path)
{
    if (sc_yaml_as_int(out, NULL, value, path, NULL) != SEMCAL_OK) {
        return mismatch(reader, value, place, path, "an integer");
    }
    return check_range(reader, key, (double)*out, value, place, path);
}

static semcal_status read_real(sc_config_reader *reader, double *out, const sc_config_key *key,
                               const sc_yaml_node *value, const sc_yaml_node *place, const char *path)
{
    if (sc_yaml_as_real(out, NULL, value, path, NULL) != SEMCAL_OK) {
        return mismatch(reader, value, place, path, "a number");
    }
    return check_range(reader, key, *out, value, place, path);
}

/* "123", "64K", "512MB", "4GiB": powers of 1024 whatever the spelling. */
static semcal_status read_bytes(sc_config_reader *reader, int64_t *out, const sc_config_key *key,
                                const sc_yaml_node *value, const sc_yaml_node *place, const char *path)
{
    static const char wanted[] = "a number of bytes like 1000000, 512M or 4GiB";
    static const char units[] = "KMGT";
    if (value->kind != SC_YAML_SCALAR || !isdigit((unsigned char)value->text[0])) {
        return mismatch(reader, value, place, path, wanted);
    }
    char *end;
    double number = strtod(value->text, &end);
    const char *unit = *end != '\0' ? strchr(units, toupper((unsigned char)*end)) : NULL;
    if (unit != NULL) {
        number = ldexp(number, 10 * (int)(unit - units + 1));
        end++;
        end += *end == 'i';
    }
    end += *end == 'B';
    if (*end != '\0' || value->length != strlen(value->text) || number != floor(number)) {
        return mismatch(reader, value, place, path, wanted);
    }
    semcal_status status = check_range(reader, key, number, value, place, path);
    if (status == SEMCAL_OK) {
        *out = (int64_t)number;
    }
    return status;
}

static size_t count_words(const char *const *words)
{
    size_t n = 0;
    while (words[n] != NULL) {
        n++;
    }
    return n;
}

static semcal_status read_word(sc_config_reader *reader, int64_t *out, const sc_config_key *key,
                               const sc_yaml_node *value, const sc_yaml_node *place, const char *path)
{
    size_t n = count_words(key->words);
    const char *given = value->kind == SC_YAML_SCALAR ? value->text : "";
    for (size_t i = 0; i < n; i++) {
        if (strcmp(key->words[i], given) == 0) {
            *out = (int64_t)i;
            return SEMCAL_OK;
        }
    }
    char list[256] = "", got[96];
    for (size_t i = 0, used = 0; i < n; i++) {
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "", key->words[i]);
    }
    const char *near = given[0] != '\0' ? sc_nearest_name(given, key->words, n) : NULL;
    return sc_config_fail(reader, place, path, "must be one of %s; got %s%s%s%s", list, shown(got, value),
                          near != NULL ? ", did you mean '" : "", near != NULL ? near : "", near != NULL ? "'?" : "");
}

/* A scalar of any spelling; NULL with the error set. */
static char *read_text(sc_config_reader *reader, const sc_config_key *key, const sc_yaml_node *value,
                       const sc_yaml_node *place, const char *path)
{
    const char *text;
    if (value->kind != SC_YAML_SCALAR || sc_yaml_is_null(value)) {
        (void)mismatch(reader, value, place, path, "a text");
        return NULL;
    }
    if (sc_yaml_as_text(&text, NULL, value, path, NULL) != SEMCAL_OK) {
        (void)sc_config_fail(reader, place, path, "holds a NUL character");
        return NULL;
    }
    if (key->type == SC_KEY_NAME || key->type == SC_KEY_NAMES) {
        if (!sc_config_name_is_good(text)) {
            char got[96];
            (void)sc_config_fail(reader, place, path, "not a name (" SC_CONFIG_NAME_RULE "): %s", shown(got, value));
            return NULL;
        }
    }
    if (key->type == SC_KEY_PATH) {
        if (text[0] == '\0') {
            (void)sc_config_fail(reader, place, path, "must be a path, got \"\"");
            return NULL;
        }
        while (strncmp(text, "./", 2) == 0 && text[2] != '\0' && text[2] != '/') {
            text += 2;
        }
        return sc_file_join(reader->folder, text, reader->error);
    }
    if (key->words != NULL) {
        int64_t unused;
        if (read_word(reader, &unused, key, value, place, path) != SEMCAL_OK) {
            return NULL;
        }
    }
    return sc_memory_strdup(text, reader->error);
}

/* ---- lists: a scalar stands for a list of one ---- */

static size_t list_length(const sc_yaml_node *value)
{
    return value->kind == SC_YAML_LIST ? value->n : 1;
}

/* Element i of a list with its place and path, or the scalar itself. */
static const sc_yaml_node *list_item(const sc_yaml_node *value, size_t i, const sc_yaml_node **place,
                                     char at[SC_CONFIG_PATH], const char *path)
{
    if (value->kind != SC_YAML_LIST) {
        (void)snprintf(at, SC_CONFIG_PATH, "%s", path);
        return value;
    }
    (void)snprintf(at, SC_CONFIG_PATH, "%.200s[%zu]", path, i);
    *place = value->items[i];
    return value->items[i];
}

static semcal_status set_numbers(sc_config_reader *reader, void *member, const sc_config_key *key,
                                 const sc_yaml_node *value, const sc_yaml_node *place, const char *path)
{
    size_t n = list_length(value);
    if (n == 0) {
        return sc_config_fail(reader, place, path, "must not be an empty list");
    }
    int64_t *ints = sc_memory_alloc(n, sizeof *ints, reader->error);
    double *reals = sc_memory_alloc(n, sizeof *reals, reader->error);
    semcal_status status = ints == NULL || reals == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        char at[SC_CONFIG_PATH];
        const sc_yaml_node *where = place, *item = list_item(value, i, &where, at, path);
        status = key->type == SC_KEY_REALS  ? read_real(reader, &reals[i], key, item, where, at)
                 : key->type == SC_KEY_INTS ? read_int(reader, &ints[i], key, item, where, at)
                                            : read_word(reader, &ints[i], key, item, where, at);
        for (size_t j = 0; j < i && status == SEMCAL_OK; j++) {
            if (key->type == SC_KEY_REALS ? reals[i] == reals[j] : ints[i] == ints[j]) {
                status = sc_config_fail(reader, where, at, "%s is listed twice", item->text);
            }
        }
    }
    if (status == SEMCAL_OK && key->type == SC_KEY_REALS) {
        memcpy(member, &(sc_config_reals){reals, n}, sizeof(sc_config_reals));
        reals = NULL;
    } else if (status == SEMCAL_OK) {
        memcpy(member, &(sc_config_ints){ints, n}, sizeof(sc_config_ints));
        ints = NULL;
    }
    free(ints);
    free(reals);
    return status;
}

static void free_texts(sc_config_texts *texts)
{
    for (size_t i = 0; i < texts->n; i++) {
        free(texts->at[i]);
    }
    free(texts->at);
    *texts = (sc_config_texts){0};
}

static semcal_status set_texts(sc_config_reader *reader, sc_config_texts *texts, const sc_config_key *key,
                               const sc_yaml_node *value, const sc_yaml_node *place, const char *path)
{
    size_t n = list_length(value);
    if (n == 0 && key->words != NULL) {
        return sc_config_fail(reader, place, path, "must not be an empty list");
    }
    texts->at = sc_memory_alloc(n, sizeof *texts->at, reader->error);
    if (texts->at == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < n; i++) {
        char at[SC_CONFIG_PATH];
        const sc_yaml_node *where = place, *item = list_item(value, i, &where, at, path);
        texts->at[i] = read_text(reader, key, item, where, at);
        if (texts->at[i] == NULL) {
            return reader->error->status;
        }
        texts->n = i + 1;
        if (key->type == SC_KEY_NAMES && sc_config_remember(reader, at, where) != SEMCAL_OK) {
            return SEMCAL_E_MEMORY;
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(texts->at[i], texts->at[j]) == 0) {
                char got[96];
                return sc_config_fail(reader, where, at, "%s is listed twice", shown(got, item));
            }
        }
    }
    return SEMCAL_OK;
}

static semcal_status set_pairs(sc_config_reader *reader, sc_config_pairs *pairs, const sc_config_key *key,
                               const sc_yaml_node *value, const sc_yaml_node *place, const char *path)
{
    if (value->kind != SC_YAML_MAP) {
        return mismatch(reader, value, place, path, "a map from names to texts");
    }
    pairs->names = sc_memory_alloc(value->n, sizeof *pairs->names, reader->error);
    pairs->values = sc_memory_alloc(value->n, sizeof *pairs->values, reader->error);
    if (pairs->names == NULL || pairs->values == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < value->n; i++) {
        const sc_yaml_node *name = value->keys[i];
        char at[SC_CONFIG_PATH];
        (void)snprintf(at, sizeof at, "%.150s.%.80s", path, name->text);
        static const sc_config_key name_key = {.name = "name", .type = SC_KEY_NAME};
        pairs->names[i] = read_text(reader, &name_key, name, name, at);
        if (pairs->names[i] == NULL) {
            return reader->error->status;
        }
        pairs->n = i + 1;
        pairs->values[i] = read_text(reader, key, value->items[i], name, at);
        if (pairs->values[i] == NULL || sc_config_remember(reader, at, name) != SEMCAL_OK) {
            return reader->error->status;
        }
    }
    return SEMCAL_OK;
}

static semcal_status set_choices(sc_config_reader *reader, sc_config_choices *choices, const sc_config_key *key,
                                 const sc_yaml_node *value, const sc_yaml_node *place, const char *path)
{
    if (value->kind == SC_YAML_SCALAR) {
        choices->field = read_text(reader, key, value, place, path);
        return choices->field == NULL ? reader->error->status : SEMCAL_OK;
    }
    if (value->kind == SC_YAML_MAP || value->n == 0) {
        return mismatch(reader, value, place, path, "a field name, or a list of texts and lists [label, alias, ...]");
    }
    choices->groups = sc_memory_alloc(value->n, sizeof *choices->groups, reader->error);
    if (choices->groups == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < value->n; i++) {
        const sc_yaml_node *item = value->items[i];
        char at[SC_CONFIG_PATH];
        (void)snprintf(at, sizeof at, "%.200s[%zu]", path, i);
        if (item->kind == SC_YAML_LIST && item->n == 0) {
            return sc_config_fail(reader, item, at, "must not be an empty list");
        }
        choices->n_groups = i + 1;
        semcal_status status = set_texts(reader, &choices->groups[i], key, item, item, at);
        if (status != SEMCAL_OK) {
            return status;
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(choices->groups[i].at[0], choices->groups[j].at[0]) == 0) {
                char got[96];
                return sc_config_fail(reader, item, at, "the class '%s' is listed twice",
                                      shown(got, item->kind == SC_YAML_LIST ? item->items[0] : item));
            }
        }
    }
    return SEMCAL_OK;
}

/* ---- the switch over types ---- */

static semcal_status set_scalar(sc_config_reader *reader, void *member, const sc_config_key *key,
                                const sc_yaml_node *value, const sc_yaml_node *place, const char *path)
{
    semcal_status status;
    int64_t integer = SC_CONFIG_UNSET;
    double real = 0;
    bool flag = false;
    switch (key->type) {
    case SC_KEY_INT:
    case SC_KEY_BYTES:
        if (key->optional && sc_yaml_is_null(value)) {
            status = SEMCAL_OK;
        } else if (key->type == SC_KEY_INT) {
            status = read_int(reader, &integer, key, value, place, path);
        } else {
            status = read_bytes(reader, &integer, key, value, place, path);
        }
        memcpy(member, &integer, sizeof integer);
        return status;
    case SC_KEY_REAL:
        status = read_real(reader, &real, key, value, place, path);
        memcpy(member, &real, sizeof real);
        return status;
    case SC_KEY_BOOL:
        status = sc_yaml_as_bool(&flag, NULL, value, path, NULL);
        memcpy(member, &flag, sizeof flag);
        return status == SEMCAL_OK ? status : mismatch(reader, value, place, path, "true or false");
    default:
        status = read_word(reader, &integer, key, value, place, path);
        if (status == SEMCAL_OK) {
            memcpy(member, &(unsigned){(unsigned)integer}, sizeof(unsigned));
        }
        return status;
    }
}

static semcal_status set_value(sc_config_reader *reader, void *base, const sc_config_key *key,
                               const sc_yaml_node *value, const sc_yaml_node *place, const char *path)
{
    void *member = (char *)base + key->offset;
    switch (key->type) {
    case SC_KEY_SECTION:
        return sc_config_set_section(reader, member, key->section, value, place, path);
    case SC_KEY_SECTIONS:
    case SC_KEY_NAMED:
        return sc_config_set_structs(reader, base, key, value, place, path);
    case SC_KEY_INT:
    case SC_KEY_BYTES:
    case SC_KEY_REAL:
    case SC_KEY_BOOL:
    case SC_KEY_WORD:
        return set_scalar(reader, member, key, value, place, path);
    default:
        break;
    }
    sc_config_clear(base, key);
    if (key->optional && sc_yaml_is_null(value)) {
        return SEMCAL_OK;
    }
    switch (key->type) {
    case SC_KEY_INTS:
    case SC_KEY_REALS:
    case SC_KEY_WORDS:
        return set_numbers(reader, member, key, value, place, path);
    case SC_KEY_TEXTS:
    case SC_KEY_NAMES:
        return set_texts(reader, member, key, value, place, path);
    case SC_KEY_PAIRS:
        return set_pairs(reader, member, key, value, place, path);
    case SC_KEY_CHOICES:
        return set_choices(reader, member, key, value, place, path);
    default: {
        char *text = read_text(reader, key, value, place, path);
        memcpy(member, &text, sizeof text);
        return text == NULL ? reader->error->status : SEMCAL_OK;
    }
    }
}

semcal_status sc_config_set(sc_config_reader *reader, void *base, const sc_config_key *key, const sc_yaml_node *value,
                            const sc_yaml_node *place, const char *path)
{
    semcal_status status = set_value(reader, base, key, value, place, path);
    return status == SEMCAL_OK ? sc_config_remember(reader, path, place) : status;
}

void sc_config_clear(void *base, const sc_config_key *key)
{
    void *member = (char *)base + key->offset;
    switch (key->type) {
    case SC_KEY_TEXT:
    case SC_KEY_NAME:
    case SC_KEY_PATH: {
        char *text;
        memcpy(&text, member, sizeof text);
        free(text);
        memcpy(member, &(char *){NULL}, sizeof(char *));
        break;
    }
    case SC_KEY_INTS:
    case SC_KEY_WORDS:
        free(((sc_config_ints *)member)->at);
        *(sc_config_ints *)member = (sc_config_ints){0};
        break;
    case SC_KEY_REALS:
        free(((sc_config_reals *)member)->at);
        *(sc_config_reals *)member = (sc_config_reals){0};
        break;
    case SC_KEY_TEXTS:
    case SC_KEY_NAMES:
        free_texts(member);
        break;
    case SC_KEY_PAIRS: {
        sc_config_pairs *pairs = member;
        for (size_t i = 0; i < pairs->n; i++) {
            free(pairs->names[i]);
            free(pairs->values[i]);
        }
        free(pairs->names);
        free(pairs->values);
        *pairs = (sc_config_pairs){0};
        break;
    }
    case SC_KEY_CHOICES: {
        sc_config_choices *choices = member;
        for (size_t i = 0; i < choices->n_groups; i++) {
            free_texts(&choices->groups[i]);
        }
        free(choices->groups);
        free(choices->field);
        *choices = (sc_config_choices){0};
        break;
    }
    case SC_KEY_SECTION:
        sc_config_clear_section(member, key->section);
        break;
    case SC_KEY_SECTIONS:
    case SC_KEY_NAMED: {
        sc_config_structs structs = sc_config_get_structs(base, key);
        for (size_t i = 0; i < structs.n; i++) {
            void *element = sc_config_element(structs, key, i);
            sc_config_clear_section(element, key->section);
            if (key->type == SC_KEY_NAMED) {
                char *name;
                memcpy(&name, element, sizeof name);
                free(name);
            }
        }
        free(structs.at);
        sc_config_put_structs(base, key, (sc_config_structs){0});
        break;
    }
    default:
        break;
    }
}

void sc_config_clear_section(void *base, const sc_config_section *section)
{
    for (size_t i = 0; i < section->n_keys; i++) {
        sc_config_clear(base, &section->keys[i]);
    }
}

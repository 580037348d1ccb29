/* SPDX-License-Identifier: Apache-2.0 */
/* Pre-tokenizers, as tokenizer.json describes them. */
#include "language/tokenizer_internal.h"
#include "language/utf8.h"

#include <stdlib.h>
#include <string.h>

#define GPT2_PATTERN "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

static semcal_status load_behavior(sc_split_behavior *out, const json_t *json, semcal_error *error)
{
    static const char *const names[][2] = {
        [SC_SPLIT_REMOVED] = {"Removed", "removed"},
        [SC_SPLIT_ISOLATED] = {"Isolated", "isolated"},
        [SC_SPLIT_MERGED_WITH_PREVIOUS] = {"MergedWithPrevious", "merged_with_previous"},
        [SC_SPLIT_MERGED_WITH_NEXT] = {"MergedWithNext", "merged_with_next"},
        [SC_SPLIT_CONTIGUOUS] = {"Contiguous", "contiguous"},
    };
    const char *name = "Isolated";
    size_t length;
    const semcal_status status = sc_json_string(&name, &length, json, "behavior", false, error);
    for (size_t i = 0; i < sizeof names / sizeof *names && status == SEMCAL_OK; i++) {
        if (strcmp(names[i][0], name) == 0 || strcmp(names[i][1], name) == 0) {
            *out = (sc_split_behavior)i;
            return SEMCAL_OK;
        }
    }
    return sc_error_set(error, SEMCAL_E_DATA, "behavior \"%.40s\": not supported", name);
}

static semcal_status load_byte_level(sc_splitter *s, const json_t *json, semcal_error *error)
{
    bool use_regex = true;
    s->add_prefix_space = true;
    semcal_status status = sc_json_bool(&s->add_prefix_space, json, "add_prefix_space", error);
    if (status == SEMCAL_OK) {
        status = sc_json_bool(&use_regex, json, "use_regex", error);
    }
    return status == SEMCAL_OK && use_regex
               ? sc_pattern_open(&s->pattern, GPT2_PATTERN, strlen(GPT2_PATTERN), false, error)
               : status;
}

static semcal_status load_metaspace(sc_splitter *s, const json_t *json, semcal_error *error)
{
    const char *replacement = NULL, *scheme = "always";
    size_t length = 0, n_scheme = 0;
    bool add_prefix_space = true;
    s->split = true;
    semcal_status status = sc_json_string(&replacement, &length, json, "replacement", true, error);
    uint32_t codepoint;
    if (status == SEMCAL_OK && (length == 0 || sc_utf8_decode(&codepoint, replacement, length) != length)) {
        return sc_error_set(error, SEMCAL_E_DATA, "replacement: must be one character");
    }
    if (status == SEMCAL_OK) {
        memcpy(s->replacement, replacement, length);
        s->replacement_length = length;
        status = sc_json_string(&scheme, &n_scheme, json, "prepend_scheme", false, error);
    }
    if (status == SEMCAL_OK) { /* older files say add_prefix_space */
        status = sc_json_bool(&add_prefix_space, json, "add_prefix_space", error);
    }
    if (status == SEMCAL_OK) {
        status = sc_json_bool(&s->split, json, "split", error);
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    if (strcmp(scheme, "always") == 0) {
        s->prepend = SC_PREPEND_ALWAYS;
    } else if (strcmp(scheme, "first") == 0) {
        s->prepend = SC_PREPEND_FIRST;
    } else if (strcmp(scheme, "never") == 0) {
        s->prepend = SC_PREPEND_NEVER;
    } else {
        return sc_error_set(error, SEMCAL_E_DATA, "prepend_scheme \"%.40s\": not supported", scheme);
    }
    if (!add_prefix_space) {
        s->prepend = SC_PREPEND_NEVER;
    }
    return sc_pattern_open(&s->pattern, replacement, length, true, error);
}

static semcal_status load_digits(sc_splitter *s, const json_t *json, semcal_error *error)
{
    bool individual = false;
    const semcal_status status = sc_json_bool(&individual, json, "individual_digits", error);
    s->behavior = individual ? SC_SPLIT_ISOLATED : SC_SPLIT_CONTIGUOUS;
    return status;
}

static semcal_status load_split(sc_splitter *s, const json_t *json, semcal_error *error)
{
    semcal_status status = load_behavior(&s->behavior, json, error);
    if (status == SEMCAL_OK) {
        status = sc_json_bool(&s->invert, json, "invert", error);
    }
    return status == SEMCAL_OK ? sc_json_pattern(&s->pattern, json, error) : status;
}

static semcal_status load_delimiter(sc_splitter *s, const json_t *json, semcal_error *error)
{
    const char *delimiter;
    size_t length;
    const semcal_status status = sc_json_string(&delimiter, &length, json, "delimiter", true, error);
    s->behavior = SC_SPLIT_REMOVED;
    return status == SEMCAL_OK ? sc_pattern_open(&s->pattern, delimiter, length, true, error) : status;
}

static semcal_status load_nothing(sc_splitter *s, const json_t *json, semcal_error *error)
{
    (void)s;
    (void)json;
    (void)error;
    return SEMCAL_OK;
}

static semcal_status load_punctuation(sc_splitter *s, const json_t *json, semcal_error *error)
{
    return load_behavior(&s->behavior, json, error);
}

static const struct {
    const char *type;
    sc_splitter_kind kind;
    semcal_status (*load)(sc_splitter *s, const json_t *json, semcal_error *error);
} kinds[] = {
    {"ByteLevel", SC_SPLITTER_BYTE_LEVEL, load_byte_level},
    {"Split", SC_SPLITTER_PATTERN, load_split},
    {"CharDelimiterSplit", SC_SPLITTER_PATTERN, load_delimiter},
    {"Metaspace", SC_SPLITTER_METASPACE, load_metaspace},
    {"Digits", SC_SPLITTER_DIGITS, load_digits},
    {"Punctuation", SC_SPLITTER_PUNCTUATION, load_punctuation},
    {"Whitespace", SC_SPLITTER_WHITESPACE, load_nothing},
    {"WhitespaceSplit", SC_SPLITTER_WHITESPACE_SPLIT, load_nothing},
};

semcal_status sc_splitters_load(sc_splitters *splitters, const json_t *json, semcal_error *error)
{
    if (json == NULL || json_is_null(json)) {
        return SEMCAL_OK;
    }
    const char *type;
    size_t length;
    semcal_status status = sc_json_string(&type, &length, json, "type", true, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    if (strcmp(type, "Sequence") == 0) {
        const json_t *list = json_object_get(json, "pretokenizers");
        if (!json_is_array(list)) {
            return sc_error_set(error, SEMCAL_E_DATA, "pretokenizers: must be a list");
        }
        for (size_t i = 0; i < json_array_size(list) && status == SEMCAL_OK; i++) {
            status = sc_splitters_load(splitters, json_array_get(list, i), error);
            if (status != SEMCAL_OK) {
                sc_error_where(error, "pretokenizers[%zu]", i);
            }
        }
        return status;
    }
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        if (strcmp(kinds[k].type, type) == 0) {
            status =
                sc_array_push(&splitters->items, &splitters->n, &splitters->capacity, sizeof *splitters->items, error);
            if (status != SEMCAL_OK) {
                return status;
            }
            splitters->items[splitters->n - 1].kind = kinds[k].kind;
            return kinds[k].load(&splitters->items[splitters->n - 1], json, error);
        }
    }
    return sc_error_set(error, SEMCAL_E_DATA, "type \"%.40s\": not supported", type);
}

void sc_splitters_free(sc_splitters *splitters)
{
    for (size_t i = 0; i < splitters->n; i++) {
        sc_pattern_free(splitters->items[i].pattern);
    }
    free(splitters->items);
    *splitters = (sc_splitters){0};
}

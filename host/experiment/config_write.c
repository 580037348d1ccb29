/* SPDX-License-Identifier: Apache-2.0 */
/* Writing: the resolved configuration, and the reference of all keys. */
#include "experiment/config_table.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the resolved configuration ---- */

static sc_yaml_node *text_node(const char *text, semcal_error *error)
{
    return text == NULL ? sc_yaml_new_text("null", false, error) : sc_yaml_new_text(text, true, error);
}

/* Names read better without quotes, unless they would read as nothing. */
static sc_yaml_node *name_node(const char *text, semcal_error *error)
{
    sc_yaml_node *node = sc_yaml_new_text(text == NULL ? "null" : text, false, error);
    if (node != NULL && text != NULL) {
        node->quoted = sc_yaml_is_null(node);
    }
    return node;
}

static sc_yaml_node *int_node(int64_t value, bool optional, semcal_error *error)
{
    if (optional && value == SC_CONFIG_UNSET) {
        return sc_yaml_new_text("null", false, error);
    }
    return sc_yaml_new_format(error, "%lld", (long long)value);
}

/* The shortest decimal that reads back as the same number. */
void sc_config_format_real(char text[32], double value)
{
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, 32, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            return;
        }
    }
}

static sc_yaml_node *real_node(double value, semcal_error *error)
{
    char text[32];
    sc_config_format_real(text, value);
    return sc_yaml_new_text(text, false, error);
}

static sc_yaml_node *texts_node(const sc_config_texts *texts, bool names, semcal_error *error)
{
    sc_yaml_node *list = sc_yaml_new(SC_YAML_LIST, error);
    for (size_t i = 0; i < texts->n && list != NULL; i++) {
        sc_yaml_node *item = names ? name_node(texts->at[i], error) : text_node(texts->at[i], error);
        if (sc_yaml_append(list, item, error) != SEMCAL_OK) {
            sc_yaml_node_free(list);
            return NULL;
        }
    }
    return list;
}

static sc_yaml_node *number_node(const void *member, const sc_config_key *key, size_t i, semcal_error *error)
{
    if (key->type == SC_KEY_REALS) {
        return real_node(((const sc_config_reals *)member)->at[i], error);
    }
    int64_t value = ((const sc_config_ints *)member)->at[i];
    return key->type == SC_KEY_INTS ? int_node(value, false, error) : sc_yaml_new_text(key->words[value], false, error);
}

/* One value stands alone, several make a list, none is null. */
static sc_yaml_node *numbers_node(const void *member, const sc_config_key *key, semcal_error *error)
{
    size_t n = key->type == SC_KEY_REALS ? ((const sc_config_reals *)member)->n : ((const sc_config_ints *)member)->n;
    if (n == 0) {
        return sc_yaml_new_text("null", false, error);
    }
    if (n == 1) {
        return number_node(member, key, 0, error);
    }
    sc_yaml_node *list = sc_yaml_new(SC_YAML_LIST, error);
    for (size_t i = 0; i < n && list != NULL; i++) {
        if (sc_yaml_append(list, number_node(member, key, i, error), error) != SEMCAL_OK) {
            sc_yaml_node_free(list);
            return NULL;
        }
    }
    return list;
}

static sc_yaml_node *pairs_node(const sc_config_pairs *pairs, semcal_error *error)
{
    sc_yaml_node *map = sc_yaml_new(SC_YAML_MAP, error);
    for (size_t i = 0; i < pairs->n && map != NULL; i++) {
        if (sc_yaml_put(map, pairs->names[i], text_node(pairs->values[i], error), error) != SEMCAL_OK) {
            sc_yaml_node_free(map);
            return NULL;
        }
    }
    return map;
}

static sc_yaml_node *choices_node(const sc_config_choices *choices, semcal_error *error)
{
    if (choices->n_groups == 0) {
        return text_node(choices->field, error);
    }
    sc_yaml_node *list = sc_yaml_new(SC_YAML_LIST, error);
    for (size_t i = 0; i < choices->n_groups && list != NULL; i++) {
        if (sc_yaml_append(list, texts_node(&choices->groups[i], false, error), error) != SEMCAL_OK) {
            sc_yaml_node_free(list);
            return NULL;
        }
    }
    return list;
}

static sc_yaml_node *section_node(const void *base, const sc_config_section *section, semcal_error *error);

static sc_yaml_node *structs_node(const void *base, const sc_config_key *key, semcal_error *error)
{
    sc_config_structs structs = sc_config_get_structs(base, key);
    sc_yaml_node *node = sc_yaml_new(key->type == SC_KEY_NAMED ? SC_YAML_MAP : SC_YAML_LIST, error);
    for (size_t i = 0; i < structs.n && node != NULL; i++) {
        const void *element = sc_config_element(structs, key, i);
        char *name = NULL;
        if (key->type == SC_KEY_NAMED || key->full != NULL) {
            memcpy(&name, element, sizeof name);
        }
        bool short_form = key->full != NULL && strcmp(name, key->full) != 0;
        sc_yaml_node *item = short_form ? name_node(name, error) : section_node(element, key->section, error);
        semcal_status status;
        if (key->type == SC_KEY_NAMED) {
            status = sc_yaml_put(node, name, item, error);
        } else {
            status = sc_yaml_append(node, item, error);
        }
        if (status != SEMCAL_OK) {
            sc_yaml_node_free(node);
            return NULL;
        }
    }
    return node;
}

static sc_yaml_node *value_node(const void *base, const sc_config_key *key, semcal_error *error)
{
    const char *member = (const char *)base + key->offset;
    char *text;
    int64_t integer;
    double real;
    bool flag;
    unsigned word;
    switch (key->type) {
    case SC_KEY_TEXT:
    case SC_KEY_PATH:
        memcpy(&text, member, sizeof text);
        return text_node(text, error);
    case SC_KEY_NAME:
        memcpy(&text, member, sizeof text);
        return name_node(text, error);
    case SC_KEY_INT:
    case SC_KEY_BYTES:
        memcpy(&integer, member, sizeof integer);
        return int_node(integer, key->optional, error);
    case SC_KEY_REAL:
        memcpy(&real, member, sizeof real);
        return real_node(real, error);
    case SC_KEY_BOOL:
        memcpy(&flag, member, sizeof flag);
        return sc_yaml_new_text(flag ? "true" : "false", false, error);
    case SC_KEY_WORD:
        memcpy(&word, member, sizeof word);
        return sc_yaml_new_text(key->words[word], false, error);
    case SC_KEY_INTS:
    case SC_KEY_REALS:
    case SC_KEY_WORDS:
        return numbers_node(member, key, error);
    case SC_KEY_TEXTS:
    case SC_KEY_NAMES:
        return texts_node((const sc_config_texts *)(const void *)member,
                          key->type == SC_KEY_NAMES || key->words != NULL, error);
    case SC_KEY_PAIRS:
        return pairs_node((const sc_config_pairs *)(const void *)member, error);
    case SC_KEY_CHOICES:
        return choices_node((const sc_config_choices *)(const void *)member, error);
    case SC_KEY_SECTION:
        return section_node(member, key->section, error);
    default:
        return structs_node(base, key, error);
    }
}

static sc_yaml_node *section_node(const void *base, const sc_config_section *section, semcal_error *error)
{
    sc_yaml_node *map = sc_yaml_new(SC_YAML_MAP, error);
    for (size_t i = 0; i < section->n_keys && map != NULL; i++) {
        const sc_config_key *key = &section->keys[i];
        if (sc_yaml_put(map, key->name, value_node(base, key, error), error) != SEMCAL_OK) {
            sc_yaml_node_free(map);
            return NULL;
        }
    }
    return map;
}

semcal_status sc_config_resolved(sc_text *yaml, const sc_config *config, semcal_error *error)
{
    sc_yaml_node *root = section_node(config, &sc_config_root, error);
    semcal_status status = root == NULL ? SEMCAL_E_MEMORY : sc_yaml_emit(yaml, root, error);
    sc_yaml_node_free(root);
    return status;
}

/* ---- the reference ---- */

static const char *type_name(const sc_config_key *key)
{
    static const char *const names[] = {
        [SC_KEY_TEXT] = "text",
        [SC_KEY_NAME] = "name",
        [SC_KEY_PATH] = "path",
        [SC_KEY_INT] = "integer",
        [SC_KEY_BYTES] = "bytes",
        [SC_KEY_REAL] = "number",
        [SC_KEY_BOOL] = "true or false",
        [SC_KEY_WORD] = "word",
        [SC_KEY_INTS] = "integer",
        [SC_KEY_REALS] = "number",
        [SC_KEY_WORDS] = "word",
        [SC_KEY_TEXTS] = "list of texts",
        [SC_KEY_NAMES] = "list of names",
        [SC_KEY_PAIRS] = "map from names to texts",
        [SC_KEY_CHOICES] = "field name, or list of texts or lists",
        [SC_KEY_SECTION] = "map",
        [SC_KEY_SECTIONS] = "list of maps",
        [SC_KEY_NAMED] = "map from names to maps",
    };
    return key->full != NULL ? "list of words or maps" : names[key->type];
}

static bool is_number(const sc_config_key *key)
{
    return key->type == SC_KEY_INT || key->type == SC_KEY_BYTES || key->type == SC_KEY_REAL ||
           key->type == SC_KEY_INTS || key->type == SC_KEY_REALS;
}

static bool is_swept(const sc_config_key *key)
{
    return key->type == SC_KEY_INTS || key->type == SC_KEY_REALS || key->type == SC_KEY_WORDS;
}

/* "" when anything goes. */
static void range_of(char range[64], const sc_config_key *key)
{
    range[0] = '\0';
    if (!is_number(key)) {
        return;
    }
    if (key->high < 1e6) {
        (void)snprintf(range, 64, "in %s%g, %g]", key->open_low ? "(" : "[", key->low, key->high);
    } else {
        (void)snprintf(range, 64, "%s %g", key->open_low ? ">" : ">=", key->low);
    }
}

static semcal_status words_of(sc_text *text, const sc_config_key *key, const char *separator, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; key->words != NULL && key->words[i] != NULL && status == SEMCAL_OK; i++) {
        status = sc_text_printf(text, error, "%s%s", i > 0 ? separator : "", key->words[i]);
    }
    return status;
}

/* Lines of at most 100 columns, indented by four. */
static semcal_status wrap_text(sc_text *text, const char *help, semcal_error *error)
{
    enum { COLUMNS = 96 };
    semcal_status status = SEMCAL_OK;
    while (*help != '\0' && status == SEMCAL_OK) {
        size_t n = strlen(help);
        if (n > COLUMNS) {
            n = COLUMNS;
            while (n > 1 && help[n] != ' ') {
                n--;
            }
        }
        status = sc_text_printf(text, error, "    %.*s\n", (int)n, help);
        help += n;
        help += strspn(help, " ");
    }
    return status;
}

static semcal_status describe_text(sc_text *text, const char *path, const sc_config_key *key, semcal_error *error)
{
    char range[64];
    range_of(range, key);
    semcal_status status = sc_text_printf(text, error, "%s\n    ", path);
    if (status == SEMCAL_OK) {
        status =
            key->words == NULL ? sc_text_printf(text, error, "%s", type_name(key)) : words_of(text, key, " | ", error);
    }
    if (status == SEMCAL_OK) {
        bool unit = key->unit != NULL && key->type != SC_KEY_BYTES;
        status = sc_text_printf(text, error, "%s%s%s%s%s%s", range[0] != '\0' ? " " : "", range, unit ? ", in " : "",
                                unit ? key->unit : "", is_swept(key) ? ", a list is swept" : "",
                                key->full != NULL ? ", a map of the keys below, or a list of these" : "");
    }
    bool standard = key->type != SC_KEY_SECTION && key->standard != NULL;
    if (status == SEMCAL_OK && standard) {
        status = sc_text_printf(text, error, "; default %s", key->standard);
    } else if (status == SEMCAL_OK && key->type != SC_KEY_SECTION) {
        status = sc_text_printf(text, error, "; required");
    }
    if (status == SEMCAL_OK) {
        status = sc_text_append(text, "\n", 1, error);
    }
    return status == SEMCAL_OK ? wrap_text(text, key->help, error) : status;
}

static json_t *describe_json(const char *path, const sc_config_key *key)
{
    char range[64];
    range_of(range, key);
    json_t *words = json_null();
    if (key->words != NULL) {
        words = json_array();
        for (size_t i = 0; key->words[i] != NULL; i++) {
            (void)json_array_append_new(words, json_string(key->words[i]));
        }
    }
    return json_pack("{s:s, s:s, s:o, s:s?, s:b, s:b, s:b, s:s?, s:s?, s:s}", "key", path, "type", type_name(key),
                     "words", words, "default", key->standard, "required",
                     key->standard == NULL && key->type != SC_KEY_SECTION, "null", key->optional, "swept",
                     is_swept(key), "range", range[0] != '\0' ? range : NULL, "unit", key->unit, "help", key->help);
}

/* Either `text` or `array` is given. */
static semcal_status describe_section(sc_text *text, json_t *array, const char *prefix,
                                      const sc_config_section *section, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < section->n_keys && status == SEMCAL_OK; i++) {
        const sc_config_key *key = &section->keys[i];
        char path[SC_CONFIG_PATH], inner[SC_CONFIG_PATH + 16];
        (void)snprintf(path, sizeof path, "%s%s", prefix, key->name);
        if (array == NULL) {
            status = describe_text(text, path, key, error);
        } else if (json_array_append_new(array, describe_json(path, key)) != 0) {
            status = sc_error_set(error, SEMCAL_E_MEMORY, "out of memory");
        }
        if (key->section != NULL && status == SEMCAL_OK) {
            (void)snprintf(inner, sizeof inner, "%s%s.", path,
                           key->type == SC_KEY_SECTIONS ? "[]"
                           : key->type == SC_KEY_NAMED  ? ".<name>"
                                                        : "");
            status = describe_section(text, array, inner, key->section, error);
        }
    }
    return status;
}

static semcal_status describe_styles(sc_text *text, semcal_error *error)
{
    const sc_config_key *style = sc_config_find_key(&sc_config_root, "style", 5);
    semcal_status status = sc_text_printf(text, error, "\nDefaults of the built-in styles, where they differ\n");
    for (size_t i = 0; sc_config_builtin_styles[i] != NULL; i++) {
        for (size_t j = 0; j < style->section->n_keys && status == SEMCAL_OK; j++) {
            const sc_config_key *key = &style->section->keys[j];
            const char *own = sc_config_style_standard(sc_config_builtin_styles[i], key);
            if (own != key->standard) {
                status =
                    sc_text_printf(text, error, "    style.%s.%s: %s\n", sc_config_builtin_styles[i], key->name, own);
            }
        }
    }
    return status;
}

semcal_status sc_config_describe(sc_text *text, bool json, semcal_error *error)
{
    if (!json) {
        semcal_status status = sc_text_printf(
            text, error,
            "Keys of a configuration (YAML). A list where one value could stand is swept: one cell per value.\n"
            "Unknown and duplicate keys are errors. Relative paths start at the configuration's folder.\n"
            "'--set key=value' overrides a key, e.g. --set sampling.draws=10 --set datasets.NAME.limit=100.\n\n");
        if (status == SEMCAL_OK) {
            status = describe_section(text, NULL, "", &sc_config_root, error);
        }
        return status == SEMCAL_OK ? describe_styles(text, error) : status;
    }
    json_t *array = json_array();
    semcal_status status = array == NULL ? sc_error_set(error, SEMCAL_E_MEMORY, "out of memory")
                                         : describe_section(NULL, array, "", &sc_config_root, error);
    char *dump = status == SEMCAL_OK ? json_dumps(array, JSON_INDENT(1)) : NULL;
    if (status == SEMCAL_OK) {
        status = dump == NULL ? sc_error_set(error, SEMCAL_E_MEMORY, "out of memory")
                              : sc_text_printf(text, error, "%s\n", dump);
    }
    free(dump);
    json_decref(array);
    return status;
}

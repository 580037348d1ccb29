/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a tokenizer: tokenizer.json, and what tokenizer_config.json adds to it. */
#include "base/file.h"
#include "language/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- post-processor: only the special tokens it puts around a single text matter here ---- */

static semcal_status add_id(sc_ids *ids, const json_t *id, semcal_error *error)
{
    if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= SC_MAX_TOKENS) {
        return sc_error_set(error, SEMCAL_E_DATA, "ids: must be integers in [0, %d)", SC_MAX_TOKENS);
    }
    return sc_ids_add(ids, (int32_t)json_integer_value(id), error);
}

/* {"SpecialToken": {"id": NAME}}: the ids listed under special_tokens.NAME. */
static semcal_status add_template_token(sc_ids *ids, const json_t *item, const json_t *processor, semcal_error *error)
{
    const char *name = NULL;
    size_t length;
    semcal_status status = sc_json_string(&name, &length, item, "id", true, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    const json_t *list = json_object_get(json_object_get(json_object_get(processor, "special_tokens"), name), "ids");
    if (!json_is_array(list)) {
        return sc_error_set(error, SEMCAL_E_DATA, "special_tokens: no ids for \"%.40s\"", name);
    }
    for (size_t i = 0; i < json_array_size(list) && status == SEMCAL_OK; i++) {
        status = add_id(ids, json_array_get(list, i), error);
    }
    return status;
}

static semcal_status load_template(sc_ids *before, sc_ids *after, const json_t *processor, semcal_error *error)
{
    const json_t *single = json_object_get(processor, "single");
    if (!json_is_array(single)) {
        return sc_error_set(error, SEMCAL_E_DATA, "single: must be a list");
    }
    semcal_status status = SEMCAL_OK;
    bool seen = false;
    for (size_t i = 0; i < json_array_size(single) && status == SEMCAL_OK; i++) {
        const json_t *item = json_array_get(single, i);
        const json_t *token = json_object_get(item, "SpecialToken");
        if (token != NULL) {
            status = add_template_token(seen ? after : before, token, processor, error);
        } else if (json_object_get(item, "Sequence") != NULL && !seen) {
            seen = true;
        } else {
            status = sc_error_set(error, SEMCAL_E_DATA, "single[%zu]: not supported", i);
        }
    }
    if (status == SEMCAL_OK && !seen) {
        status = sc_error_set(error, SEMCAL_E_DATA, "single: leaves the text out");
    }
    return status;
}

/* BERT and RoBERTa: [cls] text [sep], each given as [token, id]. */
static semcal_status load_pair(sc_ids *before, sc_ids *after, const json_t *processor, semcal_error *error)
{
    semcal_status status = add_id(before, json_array_get(json_object_get(processor, "cls"), 1), error);
    return status == SEMCAL_OK ? add_id(after, json_array_get(json_object_get(processor, "sep"), 1), error) : status;
}

/* The ids of one processor go around those of the processors before it. */
static semcal_status wrap(sc_tokenizer *t, const sc_ids *before, const sc_ids *after, semcal_error *error)
{
    sc_ids joined = {0};
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < before->n + t->before.n && status == SEMCAL_OK; i++) {
        status = sc_ids_add(&joined, i < before->n ? before->data[i] : t->before.data[i - before->n], error);
    }
    for (size_t i = 0; i < after->n && status == SEMCAL_OK; i++) {
        status = sc_ids_add(&t->after, after->data[i], error);
    }
    free(t->before.data);
    t->before = joined;
    return status;
}

static semcal_status load_processor(sc_tokenizer *t, const json_t *json, semcal_error *error)
{
    if (json == NULL || json_is_null(json)) {
        return SEMCAL_OK;
    }
    const char *type;
    size_t length;
    semcal_status status = sc_json_string(&type, &length, json, "type", true, error);
    if (status != SEMCAL_OK || strcmp(type, "ByteLevel") == 0) { /* ByteLevel only trims offsets */
        return status;
    }
    if (strcmp(type, "Sequence") == 0) {
        const json_t *list = json_object_get(json, "processors");
        if (!json_is_array(list)) {
            return sc_error_set(error, SEMCAL_E_DATA, "processors: must be a list");
        }
        for (size_t i = 0; i < json_array_size(list) && status == SEMCAL_OK; i++) {
            status = load_processor(t, json_array_get(list, i), error);
            if (status != SEMCAL_OK) {
                sc_error_where(error, "processors[%zu]", i);
            }
        }
        return status;
    }
    sc_ids before = {0}, after = {0};
    if (strcmp(type, "TemplateProcessing") == 0) {
        status = load_template(&before, &after, json, error);
    } else if (strcmp(type, "BertProcessing") == 0 || strcmp(type, "RobertaProcessing") == 0) {
        status = load_pair(&before, &after, json, error);
    } else {
        status = sc_error_set(error, SEMCAL_E_DATA, "type \"%.40s\": not supported", type);
    }
    if (status == SEMCAL_OK) {
        status = wrap(t, &before, &after, error);
    }
    free(before.data);
    free(after.data);
    return status;
}

/* ---- the table of tokens by id ---- */

static semcal_status set_token(sc_tokenizer *t, int32_t id, const char *text, size_t length, bool added, bool special,
                               semcal_error *error)
{
    sc_token *token = &t->tokens[id];
    if (token->text != NULL && !(added && token->length == length && memcmp(token->text, text, length) == 0)) {
        return sc_error_set(error, SEMCAL_E_DATA, "id %d: both \"%.40s\" and \"%.40s\"", id, token->text, text);
    }
    token->text = text;
    token->length = token->decoded_length = (uint32_t)length;
    token->decoded = text;
    token->special = special;
    return SEMCAL_OK;
}

static semcal_status list_tokens(sc_tokenizer *t, semcal_error *error)
{
    int32_t largest = -1;
    for (size_t i = 0; i < t->bpe.n_entries; i++) {
        largest = t->bpe.entries[i].id > largest ? t->bpe.entries[i].id : largest;
    }
    for (size_t i = 0; i < t->added.n; i++) {
        largest = t->added.items[i].id > largest ? t->added.items[i].id : largest;
    }
    t->n_tokens = (size_t)(largest + 1);
    t->tokens = sc_memory_alloc(t->n_tokens, sizeof *t->tokens, error);
    if (t->tokens == NULL) {
        return SEMCAL_E_MEMORY;
    }
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < t->bpe.n_entries && status == SEMCAL_OK; i++) {
        const sc_vocabulary_entry *entry = &t->bpe.entries[i];
        status = set_token(t, entry->id, entry->bytes, entry->length, false, false, error);
    }
    for (size_t i = 0; i < t->added.n && status == SEMCAL_OK; i++) {
        const sc_added_token *token = &t->added.items[i];
        status = set_token(t, token->id, token->content, token->length, true, token->special, error);
        t->tokens[token->id].decoded = token->decoded;
        t->tokens[token->id].decoded_length = (uint32_t)token->decoded_length;
    }
    return status;
}

/* What each token adds behind another one: the decoded pair (a, token) less the decoded a. */
static semcal_status list_bytes(sc_tokenizer *t, semcal_error *error)
{
    sc_pieces pieces = {0}, spare = {0};
    semcal_status status = sc_text_append(&t->token_bytes, "", 0, error);
    for (size_t id = 0; id < t->n_tokens && status == SEMCAL_OK; id++) {
        sc_token *token = &t->tokens[id];
        if (token->text == NULL || token->special) {
            continue;
        }
        sc_pieces_clear(&pieces);
        status = sc_pieces_add(&pieces, "a", 1, 0, false, error);
        if (status == SEMCAL_OK) {
            status = sc_pieces_add(&pieces, token->decoded, token->decoded_length, 0, false, error);
        }
        if (status == SEMCAL_OK) {
            status = sc_decoders_apply(&t->decoders, &pieces, &spare, true, error);
        }
        token->bytes = t->token_bytes.length;
        if (status == SEMCAL_OK && !t->decoders.present) {
            status = sc_text_append(&t->token_bytes, " ", 1, error);
        }
        bool first = true; /* the "a" */
        for (size_t i = 0; i < pieces.n && status == SEMCAL_OK; i++) {
            const size_t length = pieces.items[i].end - pieces.items[i].begin;
            const size_t skip = first && length > 0 ? 1 : 0;
            first = first && length == 0;
            status =
                sc_text_append(&t->token_bytes, pieces.text.data + pieces.items[i].begin + skip, length - skip, error);
        }
        token->n_bytes = (uint32_t)(t->token_bytes.length - token->bytes);
    }
    sc_pieces_free(&pieces);
    sc_pieces_free(&spare);
    return status;
}

/* ---- the files ---- */

static semcal_status parse_text(json_t **out, const char *name, const char *data, size_t length, semcal_error *error)
{
    json_error_t where;
    *out = json_loadb(data, length, JSON_ALLOW_NUL, &where);
    if (*out == NULL) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s:%d:%d: %s", name, where.line, where.column, where.text);
    }
    return json_is_object(*out) ? SEMCAL_OK : sc_error_set(error, SEMCAL_E_DATA, "%s: must be a JSON object", name);
}

static semcal_status parse_file(json_t **out, const char *path, semcal_error *error)
{
    char *data = NULL;
    size_t length;
    semcal_status status = sc_file_read(&data, &length, path, error);
    if (status == SEMCAL_OK) {
        status = parse_text(out, path, data, length, error);
    }
    free(data);
    return status;
}

static semcal_status load_added(sc_tokenizer *t, const json_t *list, semcal_error *error)
{
    if (list != NULL && !json_is_null(list) && !json_is_array(list)) {
        return sc_error_set(error, SEMCAL_E_DATA, "must be a list");
    }
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < json_array_size(list) && status == SEMCAL_OK; i++) {
        status = sc_added_read(&t->added, json_array_get(list, i), -1, &t->bpe, error);
        if (status != SEMCAL_OK) {
            sc_error_where(error, "[%zu]", i);
        }
    }
    return status;
}

static semcal_status load_parts(sc_tokenizer *t, const json_t *root, semcal_error *error)
{
    semcal_status status = sc_bpe_load(&t->bpe, json_object_get(root, "model"), error);
    if (status != SEMCAL_OK) {
        return sc_error_where(error, "$.model");
    }
    status = sc_normalizers_load(&t->normalizers, json_object_get(root, "normalizer"), error);
    if (status != SEMCAL_OK) {
        return sc_error_where(error, "$.normalizer");
    }
    status = sc_splitters_load(&t->splitters, json_object_get(root, "pre_tokenizer"), error);
    if (status != SEMCAL_OK) {
        return sc_error_where(error, "$.pre_tokenizer");
    }
    status = load_processor(t, json_object_get(root, "post_processor"), error);
    if (status != SEMCAL_OK) {
        return sc_error_where(error, "$.post_processor");
    }
    status = sc_decoders_load(&t->decoders, json_object_get(root, "decoder"), error);
    if (status != SEMCAL_OK) {
        return sc_error_where(error, "$.decoder");
    }
    status = load_added(t, json_object_get(root, "added_tokens"), error);
    return status == SEMCAL_OK ? status : sc_error_where(error, "$.added_tokens");
}

/* bos_token and eos_token are strings, or objects with a content. */
static const char *token_name(const json_t *config, const char *key)
{
    const json_t *value = json_object_get(config, key);
    return json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
}

/* added_tokens_decoder: {"ID": {"content": ...}}; entries tokenizer.json has too change nothing. */
static semcal_status load_config_tokens(sc_tokenizer *t, json_t *config, semcal_error *error)
{
    json_t *decoder = json_object_get(config, "added_tokens_decoder");
    const char *key;
    json_t *token;
    json_object_foreach(decoder, key, token)
    {
        char *end;
        const long id = strtol(key, &end, 10);
        if (*key == '\0' || *end != '\0' || id < 0 || id >= SC_MAX_TOKENS) {
            return sc_error_set(error, SEMCAL_E_DATA, "$.added_tokens_decoder: \"%.40s\" is no token id", key);
        }
        const semcal_status status = sc_added_read(&t->added, token, (int32_t)id, &t->bpe, error);
        if (status != SEMCAL_OK) {
            return sc_error_where(error, "$.added_tokens_decoder.%s", key);
        }
    }
    return SEMCAL_OK;
}

/* A string, or a list of {"name", "template"} of which "default" (or else the first) is meant. */
static semcal_status load_chat_template(sc_tokenizer *t, const json_t *config, semcal_error *error)
{
    const json_t *value = json_object_get(config, "chat_template");
    const json_t *chosen = value;
    if (json_is_array(value)) {
        chosen = json_object_get(json_array_get(value, 0), "template");
        for (size_t i = 0; i < json_array_size(value); i++) {
            const json_t *item = json_array_get(value, i);
            const char *name = json_string_value(json_object_get(item, "name"));
            if (name != NULL && strcmp(name, "default") == 0) {
                chosen = json_object_get(item, "template");
            }
        }
    }
    if (!json_is_string(chosen)) {
        return SEMCAL_OK;
    }
    t->chat_template = sc_memory_strndup(json_string_value(chosen), json_string_length(chosen), error);
    return t->chat_template != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
}

static semcal_status load_config(sc_tokenizer *t, const char *folder, const char **bos, const char **eos,
                                 json_t **config, semcal_error *error)
{
    char *path = sc_file_join(folder, "tokenizer_config.json", error);
    char *jinja = sc_file_join(folder, "chat_template.jinja", error);
    semcal_status status = path != NULL && jinja != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
    if (status == SEMCAL_OK && sc_file_exists(path)) {
        status = parse_file(config, path, error);
        if (status == SEMCAL_OK) {
            *bos = token_name(*config, "bos_token");
            *eos = token_name(*config, "eos_token");
            status = load_config_tokens(t, *config, error);
            if (status == SEMCAL_OK) {
                status = load_chat_template(t, *config, error);
            }
            if (status != SEMCAL_OK) {
                sc_error_where(error, "%s", path);
            }
        }
    }
    if (status == SEMCAL_OK && t->chat_template == NULL && sc_file_exists(jinja)) {
        size_t length;
        status = sc_file_read(&t->chat_template, &length, jinja, error);
    }
    free(path);
    free(jinja);
    return status;
}

/* Opens from the text of tokenizer.json and, when `folder` is not NULL, what lies beside it. */
static semcal_status open_text(sc_tokenizer **out, const char *name, const char *json, size_t length,
                               const char *folder, semcal_error *error)
{
    json_t *root = NULL, *config = NULL;
    const char *bos = NULL, *eos = NULL;
    sc_tokenizer *t = sc_memory_alloc(1, sizeof *t, error);
    semcal_status status = t != NULL ? parse_text(&root, name, json, length, error) : SEMCAL_E_MEMORY;
    if (status != SEMCAL_OK) {
        goto done;
    }
    sc_sha256_hex(t->sha256, json, length);
    status = load_parts(t, root, error);
    if (status == SEMCAL_OK && folder != NULL) {
        status = load_config(t, folder, &bos, &eos, &config, error);
        if (status != SEMCAL_OK) {
            goto done; /* the message names its own file */
        }
    }
    if (status == SEMCAL_OK) {
        status = sc_added_finish(&t->added, &t->normalizers, error);
    }
    if (status == SEMCAL_OK) {
        status = list_tokens(t, error);
    }
    if (status == SEMCAL_OK) {
        status = list_bytes(t, error);
    }
    if (status != SEMCAL_OK) {
        sc_error_where(error, "%s", name);
        goto done;
    }
    t->bos = bos != NULL ? sc_tokenizer_find(t, bos) : -1;
    t->eos = eos != NULL ? sc_tokenizer_find(t, eos) : -1;
    *out = t;
    t = NULL;
done:
    json_decref(root);
    json_decref(config);
    sc_tokenizer_free(t);
    return status;
}

semcal_status sc_tokenizer_open_text(sc_tokenizer **out, const char *name, const char *json, size_t length,
                                     semcal_error *error)
{
    *out = NULL;
    return open_text(out, name, json, length, NULL, error);
}

semcal_status sc_tokenizer_open(sc_tokenizer **out, const char *path, semcal_error *error)
{
    *out = NULL;
    char *data = NULL;
    size_t length;
    const bool folder = sc_file_is_folder(path);
    char *file = folder ? sc_file_join(path, "tokenizer.json", error) : sc_memory_strdup(path, error);
    semcal_status status = file != NULL ? sc_file_read(&data, &length, file, error) : SEMCAL_E_MEMORY;
    if (status == SEMCAL_OK) {
        status = open_text(out, file, data, length, folder ? path : NULL, error);
    }
    free(data);
    free(file);
    return status;
}

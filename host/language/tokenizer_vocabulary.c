/* SPDX-License-Identifier: Apache-2.0 */
/* The BPE model of tokenizer.json: vocabulary and merges, as hash tables. */
#include "language/tokenizer_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* FNV-1a, 64 bits. */
static uint64_t hash_bytes(const char *bytes, size_t length)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < length; i++) {
        h = (h ^ (unsigned char)bytes[i]) * 0x100000001b3u;
    }
    return h ^ h >> 32;
}

static size_t slots_for(size_t n)
{
    size_t slots = 16;
    while (slots < 2 * n) {
        slots *= 2;
    }
    return slots;
}

int32_t sc_bpe_find(const sc_bpe *bpe, const char *token, size_t length)
{
    if (bpe->n_slots == 0) {
        return -1;
    }
    for (size_t s = hash_bytes(token, length) & (bpe->n_slots - 1);; s = (s + 1) & (bpe->n_slots - 1)) {
        if (bpe->slots[s] == 0) {
            return -1;
        }
        const sc_vocabulary_entry *entry = &bpe->entries[bpe->slots[s] - 1];
        if (entry->length == length && memcmp(entry->bytes, token, length) == 0) {
            return entry->id;
        }
    }
}

static semcal_status load_vocabulary(sc_bpe *bpe, const json_t *model, semcal_error *error)
{
    json_t *vocabulary = json_object_get(model, "vocab");
    if (!json_is_object(vocabulary)) {
        return sc_error_set(error, SEMCAL_E_DATA, "vocab: must be an object from token to id");
    }
    const size_t n = json_object_size(vocabulary);
    bpe->n_slots = slots_for(n);
    bpe->slots = sc_memory_alloc(bpe->n_slots, sizeof *bpe->slots, error);
    if (bpe->slots == NULL) {
        return SEMCAL_E_MEMORY;
    }
    const char *token;
    json_t *id;
    json_object_foreach(vocabulary, token, id)
    {
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= SC_MAX_TOKENS) {
            return sc_error_set(error, SEMCAL_E_DATA, "vocab: id of \"%.40s\": must be an integer in [0, %d)", token,
                                SC_MAX_TOKENS);
        }
        semcal_status status =
            sc_array_push(&bpe->entries, &bpe->n_entries, &bpe->entry_capacity, sizeof *bpe->entries, error);
        if (status != SEMCAL_OK) {
            return status;
        }
        sc_vocabulary_entry *entry = &bpe->entries[bpe->n_entries - 1];
        entry->length = (uint32_t)strlen(token);
        entry->id = (int32_t)json_integer_value(id);
        entry->bytes = sc_memory_strndup(token, entry->length, error);
        if (entry->bytes == NULL) {
            return SEMCAL_E_MEMORY;
        }
        size_t s = hash_bytes(token, entry->length) & (bpe->n_slots - 1);
        while (bpe->slots[s] != 0) {
            s = (s + 1) & (bpe->n_slots - 1);
        }
        bpe->slots[s] = (uint32_t)bpe->n_entries;
    }
    return SEMCAL_OK;
}

/* The two halves of a merge: "a b" or ["a", "b"]. */
static bool merge_halves(const char *half[2], size_t length[2], const json_t *merge)
{
    if (json_is_array(merge)) {
        for (size_t k = 0; k < 2; k++) {
            const json_t *item = json_array_get(merge, k);
            half[k] = json_string_value(item);
            length[k] = json_string_length(item);
        }
        return json_array_size(merge) == 2 && half[0] != NULL && half[1] != NULL;
    }
    const char *text = json_string_value(merge);
    const size_t n = json_string_length(merge);
    const char *space = text != NULL ? memchr(text, ' ', n) : NULL;
    if (space == NULL || memchr(space + 1, ' ', n - (size_t)(space - text) - 1) != NULL) {
        return false;
    }
    half[0] = text;
    length[0] = (size_t)(space - text);
    half[1] = space + 1;
    length[1] = n - length[0] - 1;
    return true;
}

static void store_merge(sc_bpe *bpe, uint64_t pair, uint32_t rank, int32_t id)
{
    size_t s = (size_t)((pair * 0x9E3779B97F4A7C15u) >> 32) & (bpe->n_merge_slots - 1);
    while (bpe->merges[s].pair != SC_NO_PAIR && bpe->merges[s].pair != pair) {
        s = (s + 1) & (bpe->n_merge_slots - 1);
    }
    bpe->merges[s] = (sc_merge){pair, rank, id}; /* of two merges of one pair, the last counts */
}

static semcal_status load_merge(sc_bpe *bpe, const json_t *merge, size_t rank, sc_text *joined, semcal_error *error)
{
    const char *half[2];
    size_t length[2];
    if (!merge_halves(half, length, merge)) {
        return sc_error_set(error, SEMCAL_E_DATA, "merges[%zu]: must be \"a b\" or [\"a\", \"b\"]", rank);
    }
    const size_t cut = bpe->prefix != NULL ? strlen(bpe->prefix) : 0;
    if (length[1] < cut) {
        return sc_error_set(error, SEMCAL_E_DATA, "merges[%zu]: shorter than continuing_subword_prefix", rank);
    }
    joined->length = 0;
    semcal_status status = sc_text_append(joined, half[0], length[0], error);
    if (status == SEMCAL_OK) {
        status = sc_text_append(joined, half[1] + cut, length[1] - cut, error);
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    const int32_t left = sc_bpe_find(bpe, half[0], length[0]), right = sc_bpe_find(bpe, half[1], length[1]);
    const int32_t id = sc_bpe_find(bpe, joined->data, joined->length);
    if (left < 0 || right < 0 || id < 0) {
        const bool whole = left >= 0 && right >= 0;
        const char *missing = whole ? joined->data : half[left >= 0];
        const size_t n = whole ? joined->length : length[left >= 0];
        return sc_error_set(error, SEMCAL_E_DATA, "merges[%zu]: token \"%.*s\" is not in vocab", rank,
                            (int)(n < 40 ? n : 40), missing);
    }
    store_merge(bpe, (uint64_t)left << 32 | (uint64_t)right, (uint32_t)rank, id);
    return SEMCAL_OK;
}

static semcal_status load_merges(sc_bpe *bpe, const json_t *model, semcal_error *error)
{
    const json_t *merges = json_object_get(model, "merges");
    if (!json_is_array(merges)) {
        return sc_error_set(error, SEMCAL_E_DATA, "merges: must be a list");
    }
    const size_t n = json_array_size(merges);
    bpe->n_merge_slots = slots_for(n);
    bpe->merges = sc_memory_alloc(bpe->n_merge_slots, sizeof *bpe->merges, error);
    if (bpe->merges == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t s = 0; s < bpe->n_merge_slots; s++) {
        bpe->merges[s].pair = SC_NO_PAIR;
    }
    sc_text joined = {0};
    semcal_status status = SEMCAL_OK;
    size_t rank = 0;
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        const json_t *merge = json_array_get(merges, i);
        const char *text = json_string_value(merge);
        if (text == NULL || strncmp(text, "#version", 8) != 0) { /* the first line of a merges.txt */
            status = load_merge(bpe, merge, rank++, &joined, error);
        }
    }
    sc_text_free(&joined);
    return status;
}

/* A string member of the model; absent, null and "" all give NULL. */
static semcal_status load_affix(char **out, const json_t *model, const char *key, semcal_error *error)
{
    const char *text = NULL;
    size_t length = 0;
    semcal_status status = sc_json_string(&text, &length, model, key, false, error);
    if (status == SEMCAL_OK && length > 0) {
        *out = sc_memory_strndup(text, length, error);
        status = *out != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
    }
    return status;
}

static semcal_status load_options(sc_bpe *bpe, const json_t *model, semcal_error *error)
{
    const char *type = "BPE";
    size_t length = 0;
    semcal_status status = sc_json_string(&type, &length, model, "type", false, error);
    if (status == SEMCAL_OK && strcmp(type, "BPE") != 0) {
        return sc_error_set(error, SEMCAL_E_DATA, "type \"%.40s\": not supported, only BPE is", type);
    }
    const json_t *dropout = json_object_get(model, "dropout");
    if (status == SEMCAL_OK && json_is_number(dropout) && json_number_value(dropout) > 0) {
        return sc_error_set(error, SEMCAL_E_DATA, "dropout: not supported, the same text must give the same ids");
    }
    if (status == SEMCAL_OK) {
        status = sc_json_bool(&bpe->fuse_unknown, model, "fuse_unk", error);
    }
    if (status == SEMCAL_OK) {
        status = sc_json_bool(&bpe->byte_fallback, model, "byte_fallback", error);
    }
    if (status == SEMCAL_OK) {
        status = sc_json_bool(&bpe->ignore_merges, model, "ignore_merges", error);
    }
    if (status == SEMCAL_OK) {
        status = load_affix(&bpe->prefix, model, "continuing_subword_prefix", error);
    }
    if (status == SEMCAL_OK) {
        status = load_affix(&bpe->suffix, model, "end_of_word_suffix", error);
    }
    return status == SEMCAL_OK ? load_affix(&bpe->unknown, model, "unk_token", error) : status;
}

semcal_status sc_bpe_load(sc_bpe *bpe, const json_t *model, semcal_error *error)
{
    if (!json_is_object(model)) {
        return sc_error_set(error, SEMCAL_E_DATA, "must be an object");
    }
    semcal_status status = load_options(bpe, model, error);
    if (status == SEMCAL_OK) {
        status = load_vocabulary(bpe, model, error);
    }
    if (status == SEMCAL_OK) {
        status = load_merges(bpe, model, error);
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    bpe->unknown_id = bpe->unknown != NULL ? sc_bpe_find(bpe, bpe->unknown, strlen(bpe->unknown)) : -1;
    for (unsigned b = 0; b < 256; b++) {
        char name[8];
        const int n = snprintf(name, sizeof name, "<0x%02X>", b);
        bpe->byte_id[b] = sc_bpe_find(bpe, name, (size_t)n);
    }
    return SEMCAL_OK;
}

void sc_bpe_free(sc_bpe *bpe)
{
    for (size_t i = 0; i < bpe->n_entries; i++) {
        free(bpe->entries[i].bytes);
    }
    free(bpe->entries);
    free(bpe->slots);
    free(bpe->merges);
    free(bpe->prefix);
    free(bpe->suffix);
    free(bpe->unknown);
    *bpe = (sc_bpe){0};
}

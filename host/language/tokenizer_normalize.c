/* SPDX-License-Identifier: Apache-2.0 */
#include "language/tokenizer_internal.h"
#include "language/utf8.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *type;
    sc_normalizer_kind kind;
} kinds[] = {
    {"NFC", SC_NORMALIZER_NFC},
    {"NFD", SC_NORMALIZER_NFD},
    {"NFKC", SC_NORMALIZER_NFKC},
    {"NFKD", SC_NORMALIZER_NFKD},
    {"Lowercase", SC_NORMALIZER_LOWERCASE},
    {"Strip", SC_NORMALIZER_STRIP},
    {"StripAccents", SC_NORMALIZER_STRIP_ACCENTS},
    {"Prepend", SC_NORMALIZER_PREPEND},
    {"Replace", SC_NORMALIZER_REPLACE},
    {"ByteLevel", SC_NORMALIZER_BYTE_LEVEL},
};

static semcal_status load_one(sc_normalizers *normalizers, const json_t *json, const char *type, semcal_error *error)
{
    size_t k = 0;
    while (k < sizeof kinds / sizeof *kinds && strcmp(kinds[k].type, type) != 0) {
        k++;
    }
    if (k == sizeof kinds / sizeof *kinds) {
        return sc_error_set(error, SEMCAL_E_DATA, "type \"%.40s\": not supported", type);
    }
    semcal_status status =
        sc_array_push(&normalizers->items, &normalizers->n, &normalizers->capacity, sizeof *normalizers->items, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    sc_normalizer *made = &normalizers->items[normalizers->n - 1];
    made->kind = kinds[k].kind;
    switch (made->kind) {
    case SC_NORMALIZER_STRIP:
        status = sc_json_bool(&made->left, json, "strip_left", error);
        return status == SEMCAL_OK ? sc_json_bool(&made->right, json, "strip_right", error) : status;
    case SC_NORMALIZER_PREPEND:
        return sc_json_string_copy(&made->content, &made->content_length, json, "prepend", error);
    case SC_NORMALIZER_REPLACE:
        status = sc_json_pattern(&made->pattern, json, error);
        return status == SEMCAL_OK ? sc_json_string_copy(&made->content, &made->content_length, json, "content", error)
                                   : status;
    default:
        return SEMCAL_OK;
    }
}

semcal_status sc_normalizers_load(sc_normalizers *normalizers, const json_t *json, semcal_error *error)
{
    if (json == NULL || json_is_null(json)) {
        return SEMCAL_OK;
    }
    const char *type;
    size_t length;
    semcal_status status = sc_json_string(&type, &length, json, "type", true, error);
    if (status != SEMCAL_OK || strcmp(type, "Sequence") != 0) {
        return status == SEMCAL_OK ? load_one(normalizers, json, type, error) : status;
    }
    const json_t *list = json_object_get(json, "normalizers");
    if (!json_is_array(list)) {
        return sc_error_set(error, SEMCAL_E_DATA, "normalizers: must be a list");
    }
    for (size_t i = 0; i < json_array_size(list) && status == SEMCAL_OK; i++) {
        status = sc_normalizers_load(normalizers, json_array_get(list, i), error);
        if (status != SEMCAL_OK) {
            sc_error_where(error, "normalizers[%zu]", i);
        }
    }
    return status;
}

void sc_normalizers_free(sc_normalizers *normalizers)
{
    for (size_t i = 0; i < normalizers->n; i++) {
        sc_pattern_free(normalizers->items[i].pattern);
        free(normalizers->items[i].content);
    }
    free(normalizers->items);
    *normalizers = (sc_normalizers){0};
}

static semcal_status replace(sc_text *out, const sc_normalizer *normalizer, const sc_text *text, semcal_error *error)
{
    sc_search search;
    semcal_status status = sc_search_open(&search, normalizer->pattern, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    sc_search_begin(&search, text->data, text->length);
    size_t done = 0;
    for (;;) {
        sc_match match;
        bool found;
        status = sc_search_next(&match, &found, &search, error);
        if (status != SEMCAL_OK || !found) {
            break;
        }
        status = sc_text_append(out, text->data + done, match.begin - done, error);
        if (status == SEMCAL_OK) {
            status = sc_text_append(out, normalizer->content, normalizer->content_length, error);
        }
        if (status != SEMCAL_OK) {
            break;
        }
        done = match.end;
    }
    sc_search_close(&search);
    return status == SEMCAL_OK ? sc_text_append(out, text->data + done, text->length - done, error) : status;
}

static semcal_status strip(sc_text *out, const sc_normalizer *normalizer, const sc_text *text, bool *at_start,
                           semcal_error *error)
{
    size_t begin = 0, end = 0, at = 0;
    bool seen = false;
    while (at < text->length) {
        uint32_t codepoint = 0;
        const size_t step = sc_utf8_decode(&codepoint, text->data + at, text->length - at);
        if (!sc_utf8_is_space(codepoint)) {
            begin = seen ? begin : at;
            end = at + step;
            seen = true;
        }
        at += step > 0 ? step : 1;
    }
    begin = normalizer->left ? (seen ? begin : text->length) : 0;
    end = normalizer->right ? (end > begin ? end : begin) : text->length;
    *at_start = *at_start && begin == 0;
    return sc_text_append(out, text->data + begin, end - begin, error);
}

static semcal_status strip_accents(sc_text *out, const sc_text *text, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t at = 0; at < text->length && status == SEMCAL_OK;) {
        uint32_t codepoint = 0;
        size_t step = sc_utf8_decode(&codepoint, text->data + at, text->length - at);
        step = step > 0 ? step : 1;
        if (!sc_table_is_mark(codepoint)) {
            status = sc_text_append(out, text->data + at, step, error);
        }
        at += step;
    }
    return status;
}

/* A normal form, run by run between the characters that are inert. */
static semcal_status normal_form(sc_text *out, const sc_text *text, sc_utf8_form form, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    size_t done = 0;
    for (size_t at = 0; at < text->length && status == SEMCAL_OK;) {
        uint32_t codepoint = 0;
        size_t step = sc_utf8_decode(&codepoint, text->data + at, text->length - at);
        step = step > 0 ? step : 1;
        if (sc_table_is_inert(codepoint)) {
            status = sc_utf8_normalize(out, text->data + done, at - done, form, error);
            if (status == SEMCAL_OK) {
                status = sc_text_append(out, text->data + at, step, error);
            }
            done = at + step;
        }
        at += step;
    }
    return status == SEMCAL_OK ? sc_utf8_normalize(out, text->data + done, text->length - done, form, error) : status;
}

static semcal_status apply(const sc_normalizer *normalizer, sc_text *out, const sc_text *text, bool *at_start,
                           semcal_error *error)
{
    switch (normalizer->kind) {
    case SC_NORMALIZER_NFC:
        return normal_form(out, text, SC_UTF8_NFC, error);
    case SC_NORMALIZER_NFD:
        return normal_form(out, text, SC_UTF8_NFD, error);
    case SC_NORMALIZER_NFKC:
        return normal_form(out, text, SC_UTF8_NFKC, error);
    case SC_NORMALIZER_NFKD:
        return normal_form(out, text, SC_UTF8_NFKD, error);
    case SC_NORMALIZER_LOWERCASE:
        return sc_utf8_lower(out, text->data, text->length, error);
    case SC_NORMALIZER_STRIP:
        return strip(out, normalizer, text, at_start, error);
    case SC_NORMALIZER_STRIP_ACCENTS:
        return strip_accents(out, text, error);
    case SC_NORMALIZER_PREPEND:
        if (text->length > 0) {
            const semcal_status status = sc_text_append(out, normalizer->content, normalizer->content_length, error);
            if (status != SEMCAL_OK) {
                return status;
            }
        }
        return sc_text_append(out, text->data, text->length, error);
    case SC_NORMALIZER_REPLACE:
        return replace(out, normalizer, text, error);
    case SC_NORMALIZER_BYTE_LEVEL:
        return sc_byte_level_encode(out, text->data, text->length, error);
    }
    return SEMCAL_OK;
}

semcal_status sc_normalizers_apply(const sc_normalizers *normalizers, sc_text *text, sc_text *spare, bool *at_start,
                                   semcal_error *error)
{
    for (size_t i = 0; i < normalizers->n; i++) {
        spare->length = 0;
        const semcal_status status = apply(&normalizers->items[i], spare, text, at_start, error);
        if (status != SEMCAL_OK) {
            return status;
        }
        const sc_text swap = *text;
        *text = *spare;
        *spare = swap;
    }
    return SEMCAL_OK;
}

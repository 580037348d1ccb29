/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/text_data.h"

#include "base/file.h"
#include "base/memory.h"
#include "experiment/row.h"
#include "formats/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- chunks ---- */

size_t sc_text_window(const sc_config_dataset *config, size_t n_context)
{
    if (config->window != SC_CONFIG_UNSET) {
        return (size_t)config->window;
    }
    return n_context > 0 && n_context < (size_t)SC_CONFIG_TEXT_WINDOW ? n_context : (size_t)SC_CONFIG_TEXT_WINDOW;
}

/* Cuts the document whose `n` tokens begin at `at`, the first `n_context` of them not to be scored. */
static semcal_status cut(sc_text_data *data, size_t at, size_t n, size_t n_context, semcal_error *error)
{
    const size_t step = data->window - data->overlap;
    for (size_t start = 0; start == 0 || start + data->overlap < n; start += step) {
        const size_t length = n - start < data->window ? n - start : data->window;
        size_t skip = start == 0 ? 1 : data->overlap;
        skip = n_context > start + skip ? n_context - start : skip;
        if (length <= skip) {
            continue; /* context alone, or a document of one token: nothing to score */
        }
        semcal_status status =
            sc_memory_grow(&data->chunks, &data->chunks_capacity, data->n_chunks + 1, sizeof *data->chunks, error);
        if (status != SEMCAL_OK) {
            return status;
        }
        data->chunks[data->n_chunks++] = (sc_text_chunk){.document = (uint32_t)data->n_documents,
                                                         .start = start,
                                                         .n_tokens = (uint32_t)length,
                                                         .skip = (uint32_t)skip,
                                                         .at = at + start};
        data->n_scored += length - skip;
    }
    data->n_documents++;
    return SEMCAL_OK;
}

/* Appends the tokens of a text, as many as the limit leaves. */
static semcal_status add_tokens(sc_text_data *data, const char *text, size_t length, bool special, int64_t limit,
                                sc_source *source, semcal_error *error)
{
    int32_t *ids = NULL;
    size_t n = 0;
    semcal_status status = source->functions->encode(source, &ids, &n, text, length, special, error);
    if (status == SEMCAL_OK && limit != SC_CONFIG_UNSET && data->n_tokens + n > (size_t)limit) {
        n = (size_t)limit - data->n_tokens;
    }
    if (status == SEMCAL_OK) {
        status = sc_memory_grow(&data->tokens, &data->capacity, data->n_tokens + n, sizeof *data->tokens, error);
    }
    if (status == SEMCAL_OK && n > 0) {
        memcpy(data->tokens + data->n_tokens, ids, n * sizeof *ids);
        data->n_tokens += n;
    }
    free(ids);
    return status;
}

/* `context` (NULL: none) is encoded apart, as a prompt is, and not scored. */
static semcal_status add_document(sc_text_data *data, const char *context, const char *text, size_t length,
                                  int64_t limit, sc_source *source, semcal_error *error)
{
    const size_t at = data->n_tokens;
    semcal_status status = SEMCAL_OK;
    if (context != NULL) {
        status = add_tokens(data, context, strlen(context), true, limit, source, error);
    }
    const size_t n_context = data->n_tokens - at;
    if (status == SEMCAL_OK) {
        status = add_tokens(data, text, length, context == NULL, limit, source, error);
    }
    return status == SEMCAL_OK ? cut(data, at, data->n_tokens - at, n_context, error) : status;
}

static bool is_full(const sc_text_data *data, int64_t limit)
{
    return limit != SC_CONFIG_UNSET && data->n_tokens >= (size_t)limit;
}

static semcal_status add_lines(sc_text_data *data, const sc_config_dataset *config, sc_source *source,
                               semcal_error *error)
{
    sc_json_lines lines;
    semcal_status status = sc_json_lines_open(&lines, config->path, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    while (status == SEMCAL_OK && !is_full(data, config->limit)) {
        json_t *object = NULL;
        status = sc_json_lines_next(&object, &lines, error);
        if (status != SEMCAL_OK || object == NULL) {
            break;
        }
        char where[1024];
        char *text = NULL, *context = NULL;
        const json_t *value;
        (void)snprintf(where, sizeof where, "%s:%zu", config->path, lines.line);
        status = sc_row_member(&value, object, config->question, where, error);
        if (status == SEMCAL_OK) {
            status = sc_row_text(&text, value, config->question, where, error);
        }
        if (status == SEMCAL_OK && config->context != NULL) {
            status = sc_row_member(&value, object, config->context, where, error);
            if (status == SEMCAL_OK) {
                status = sc_row_text(&context, value, config->context, where, error);
            }
        }
        if (status == SEMCAL_OK) {
            status = add_document(data, context, text, strlen(text), config->limit, source, error);
            if (status != SEMCAL_OK) {
                sc_error_where(error, "%s", where);
            }
        }
        free(text);
        free(context);
        json_decref(object);
    }
    sc_json_lines_close(&lines);
    return status;
}

semcal_status sc_text_data_open(sc_text_data *data, const sc_config_dataset *config, sc_source *source,
                                semcal_error *error)
{
    const size_t context = (size_t)source->facts.n_context;
    *data = (sc_text_data){.window = sc_text_window(config, context), .overlap = (size_t)config->overlap};
    if (context > 0 && data->window > context) {
        return sc_error_set(error, SEMCAL_E_DATA, "dataset '%s': a window of %zu tokens is longer than the model's %zu",
                            config->name, data->window, context);
    }
    if (data->overlap >= data->window) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "dataset '%s': overlap %zu, but the window is %zu tokens",
                            config->name, data->overlap, data->window);
    }
    semcal_status status = sc_file_sha256(data->sha256, config->path, error);
    if (status == SEMCAL_OK && config->format == SC_CONFIG_TEXT_JSONL) {
        status = add_lines(data, config, source, error);
    } else if (status == SEMCAL_OK) {
        char *text = NULL;
        size_t length = 0;
        status = sc_file_read(&text, &length, config->path, error);
        if (status == SEMCAL_OK) {
            status = add_document(data, NULL, text, length, config->limit, source, error);
            if (status != SEMCAL_OK) {
                sc_error_where(error, "%s", config->path);
            }
        }
        free(text);
    }
    if (status == SEMCAL_OK && data->n_chunks == 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: no text: a document needs at least two tokens", config->path);
    }
    if (status != SEMCAL_OK) {
        sc_text_data_free(data);
    }
    return status;
}

void sc_text_data_free(sc_text_data *data)
{
    free(data->tokens);
    free(data->chunks);
    *data = (sc_text_data){0};
}

/* ---- classes ---- */

enum { SPACE_LETTER, LETTER, DIGIT, PUNCTUATION, NEWLINE, OTHER, N_KINDS };
static const char *const kind_labels[N_KINDS] = {"space-letter", "letter", "digit", "punctuation", "newline", "other"};

static bool is_letter(unsigned char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte >= 0x80;
}

/* By the first bytes; bytes of other scripts count as letters. */
static int kind_of(const unsigned char *bytes, size_t n)
{
    if (n == 0) {
        return OTHER; /* special tokens, unused ids */
    }
    const unsigned char byte = bytes[0];
    if (byte == ' ' && n > 1 && is_letter(bytes[1])) {
        return SPACE_LETTER;
    }
    if (is_letter(byte)) {
        return LETTER;
    }
    if (byte >= '0' && byte <= '9') {
        return DIGIT;
    }
    if (byte == '\n' || byte == '\r') {
        return NEWLINE;
    }
    return byte > ' ' && byte < 0x7f ? PUNCTUATION : OTHER;
}

static semcal_status add_label(sc_text_classes *classes, const char *label, semcal_error *error)
{
    classes->labels[classes->n] = sc_memory_strdup(label, error);
    return classes->labels[classes->n] == NULL ? SEMCAL_E_MEMORY : (classes->n++, SEMCAL_OK);
}

static semcal_status by_kind(sc_text_classes *classes, sc_source *source, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t k = 0; k < N_KINDS && status == SEMCAL_OK; k++) {
        status = add_label(classes, kind_labels[k], error);
    }
    for (int32_t v = 0; v < source->facts.n_vocabulary && status == SEMCAL_OK; v++) {
        const char *bytes;
        size_t n;
        source->functions->token_bytes(source, &bytes, &n, v);
        classes->class_of[v] = kind_of((const unsigned char *)bytes, n);
    }
    return status;
}

/* Line v of the file is the label of token v. */
static semcal_status by_file(sc_text_classes *classes, const char *path, size_t V, semcal_error *error)
{
    char *text = NULL;
    size_t length = 0, v = 0;
    semcal_status status = sc_file_read(&text, &length, path, error);
    for (char *line = text; status == SEMCAL_OK && line < text + length; v++) {
        size_t n = strcspn(line, "\n");
        char *next = line + n + (line[n] == '\n');
        line[n] = '\0';
        if (n > 0 && line[n - 1] == '\r') {
            line[--n] = '\0';
        }
        if (n == 0 || v >= V) {
            status = n == 0
                         ? sc_error_set(error, SEMCAL_E_DATA, "%s:%zu: no label", path, v + 1)
                         : sc_error_set(error, SEMCAL_E_DATA, "%s:%zu: the vocabulary has %zu tokens", path, v + 1, V);
            break;
        }
        size_t k = 0;
        while (k < classes->n && strcmp(classes->labels[k], line) != 0) {
            k++;
        }
        if (k == SC_TEXT_MAX_CLASSES) {
            status =
                sc_error_set(error, SEMCAL_E_DATA, "%s:%zu: more than %d classes", path, v + 1, SC_TEXT_MAX_CLASSES);
        } else if (k == classes->n) {
            status = add_label(classes, line, error);
        }
        classes->class_of[v] = (int32_t)k;
        line = next;
    }
    if (status == SEMCAL_OK && v != V) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: %zu lines, but the vocabulary has %zu tokens", path, v, V);
    }
    free(text);
    return status;
}

semcal_status sc_text_classes_make(sc_text_classes *classes, const sc_config_dataset *config, sc_source *source,
                                   semcal_error *error)
{
    const size_t V = (size_t)source->facts.n_vocabulary;
    *classes = (sc_text_classes){0};
    classes->labels = sc_memory_alloc(SC_TEXT_MAX_CLASSES, sizeof(char *), error);
    classes->class_of = sc_memory_alloc(V, sizeof *classes->class_of, error);
    semcal_status status = classes->labels == NULL || classes->class_of == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK && config->classes_file != NULL) {
        status = by_file(classes, config->classes_file, V, error);
    } else if (status == SEMCAL_OK) {
        status = config->classes == SC_CONFIG_CLASSES_NONE ? add_label(classes, "all", error)
                                                           : by_kind(classes, source, error);
    }
    if (status == SEMCAL_OK) {
        sc_text bytes = {0};
        status = sc_text_append(&bytes, (const char *)classes->class_of, V * sizeof *classes->class_of, error);
        for (size_t k = 0; k < classes->n && status == SEMCAL_OK; k++) {
            status = sc_text_append(&bytes, classes->labels[k], strlen(classes->labels[k]) + 1, error);
        }
        if (status == SEMCAL_OK) {
            sc_sha256_hex(classes->sha256, bytes.data, bytes.length);
        }
        sc_text_free(&bytes);
    }
    if (status != SEMCAL_OK) {
        sc_text_classes_free(classes);
    }
    return status;
}

void sc_text_classes_free(sc_text_classes *classes)
{
    for (size_t k = 0; k < classes->n; k++) {
        free(classes->labels[k]);
    }
    free(classes->labels);
    free(classes->class_of);
    *classes = (sc_text_classes){0};
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "source/recorded.h"

#include "base/file.h"
#include "base/memory.h"
#include "device/rows.h"
#include "formats/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_PER_CALL = 64 };

typedef struct recorded {
    sc_source base;
    char *path, *description;
    sc_table *table;
    uint64_t n_rows;
    size_t n_vocabulary;
    float *rows; /* [ROWS_PER_CALL, V] */
    char (*words)[24];
    char sha256[65];
} recorded;

/* A node is a row; after one token there is nothing. */
static semcal_status recorded_open(sc_source *source, sc_node *roots, size_t n, const size_t *first,
                                   const int32_t *token_ids, semcal_error *error)
{
    recorded *self = (recorded *)source;
    for (size_t i = 0; i < n; i++) {
        int32_t row = first[i + 1] == first[i] + 1 ? token_ids[first[i]] : -1;
        if (row < 0 || (uint64_t)row >= self->n_rows) {
            source->failed = i;
            return sc_error_set(error, SEMCAL_E_DATA, "%s: row %d asked for, there are %" PRIu64, self->path, (int)row,
                                self->n_rows);
        }
        roots[i] = row;
        self->base.facts.n_forward_tokens++;
    }
    return SEMCAL_OK;
}

static semcal_status recorded_extend(sc_source *source, sc_node *children, size_t n, const sc_node *parents,
                                     const int32_t *tokens, semcal_error *error)
{
    (void)children, (void)parents, (void)tokens;
    recorded *self = (recorded *)source;
    source->failed = 0;
    return n == 0 ? SEMCAL_OK
                  : sc_error_set(error, SEMCAL_E_DATA, "%s: recorded laws are of single tokens; nothing follows one",
                                 self->path);
}

static void recorded_release(sc_source *source, size_t n, const sc_node *nodes)
{
    (void)source, (void)n, (void)nodes;
}

/* The rows of n nodes; neighbours in the file are read at once. */
static semcal_status load_rows(recorded *self, const sc_node *nodes, size_t n, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0, k; i < n && status == SEMCAL_OK; i = k) {
        for (k = i + 1; k < n && nodes[k] == nodes[k - 1] + 1; k++) {
        }
        status =
            sc_table_read_floats(self->rows + i * self->n_vocabulary, self->table, (uint64_t)nodes[i], k - i, error);
    }
    return status;
}

/* The results of rows begin .. begin+n-1 of a request. */
static void sub_request(sc_rows_request *part, sc_rows_result *out, const sc_law_request *request,
                        const sc_law_result *result, size_t begin, size_t *first_draw, size_t n)
{
    size_t draw = request->first_draw[begin];
    for (size_t i = 0; i <= n; i++) {
        first_draw[i] = request->first_draw[begin + i] - draw;
    }
    *part = (sc_rows_request){.temperature = request->temperature,
                              .first_draw = first_draw,
                              .uniform = request->uniform == NULL ? NULL : request->uniform + draw,
                              .target = request->target == NULL ? NULL : request->target + begin,
                              .n_top = request->n_top};
    *out = (sc_rows_result){.log_normalizer = result->log_normalizer + begin,
                            .entropy = result->entropy + begin,
                            .target_logprob = result->target_logprob == NULL ? NULL : result->target_logprob + begin,
                            .target_logprob_raw =
                                result->target_logprob_raw == NULL ? NULL : result->target_logprob_raw + begin,
                            .top_token = request->n_top == 0 ? NULL : result->top_token + begin * request->n_top,
                            .top_logprob = request->n_top == 0 ? NULL : result->top_logprob + begin * request->n_top,
                            .token = result->token == NULL ? NULL : result->token + draw,
                            .logprob = result->logprob == NULL ? NULL : result->logprob + draw,
                            .logprob_raw = result->logprob_raw == NULL ? NULL : result->logprob_raw + draw};
    out->first_row = SC_ROWS_UNNAMED;
    if (first_draw[n] == 0) {
        part->first_draw = NULL;
    }
}

static semcal_status recorded_laws(sc_source *source, const sc_law_request *request, sc_law_result *result,
                                   semcal_error *error)
{
    recorded *self = (recorded *)source;
    size_t first_draw[ROWS_PER_CALL + 1];
    for (size_t begin = 0; begin < request->n_nodes; begin += ROWS_PER_CALL) {
        size_t n = request->n_nodes - begin < ROWS_PER_CALL ? request->n_nodes - begin : ROWS_PER_CALL;
        semcal_status status = load_rows(self, request->node + begin, n, error);
        sc_rows_request part;
        sc_rows_result out;
        sub_request(&part, &out, request, result, begin, first_draw, n);
        if (status == SEMCAL_OK) {
            status = sc_rows_reference(self->rows, SC_ROWS_F32, n, self->n_vocabulary, self->n_vocabulary, &part, &out,
                                       error);
        }
        if (status == SEMCAL_E_NUMERIC) {
            source->failed = begin + out.bad_row;
            sc_error_where(error, "%s: row %" PRId64, self->path, request->node[begin + out.bad_row]);
        }
        for (size_t i = 0; i < n && status == SEMCAL_OK && request->spill != NULL; i++) {
            status = sc_source_keep_logits(request, result, begin + i, self->rows + i * self->n_vocabulary,
                                           source->phases, error);
        }
        if (status != SEMCAL_OK) {
            return status;
        }
    }
    return SEMCAL_OK;
}

/* The last integer of a text, -1 when there is none that fits. */
static int32_t last_integer(const char *text, size_t length)
{
    size_t end = length;
    while (end > 0 && (text[end - 1] < '0' || text[end - 1] > '9')) {
        end--;
    }
    size_t begin = end;
    while (begin > 0 && text[begin - 1] >= '0' && text[begin - 1] <= '9') {
        begin--;
    }
    int64_t value = end == begin ? -1 : 0;
    for (size_t i = begin; i < end && value <= INT32_MAX; i++) {
        value = 10 * value + (text[i] - '0');
    }
    return value > INT32_MAX ? -1 : (int32_t)value;
}

static semcal_status recorded_encode(sc_source *source, int32_t **ids, size_t *n_ids, const char *text, size_t length,
                                     bool special, semcal_error *error)
{
    recorded *self = (recorded *)source;
    *ids = NULL;
    *n_ids = 0;
    int32_t number = last_integer(text, length);
    int64_t limit = special ? (int64_t)self->n_rows : (int64_t)self->n_vocabulary;
    if (number < 0 || number >= limit) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: '%.*s' names no %s (they are 0 to %" PRId64 ")", self->path,
                            length > 60 ? 60 : (int)length, text, special ? "row" : "token", limit - 1);
    }
    *ids = sc_memory_alloc(1, sizeof **ids, error);
    if (*ids == NULL) {
        return SEMCAL_E_MEMORY;
    }
    (*ids)[0] = number;
    *n_ids = 1;
    return SEMCAL_OK;
}

static void recorded_token_bytes(sc_source *source, const char **bytes, size_t *length, int32_t token)
{
    recorded *self = (recorded *)source;
    *bytes = token >= 0 && (size_t)token < self->n_vocabulary ? self->words[token] : "";
    *length = strlen(*bytes);
}

static semcal_status recorded_decode(sc_source *source, char **text, size_t *length, const int32_t *ids, size_t n_ids,
                                     semcal_error *error)
{
    const char *bytes = "";
    *length = 0;
    if (n_ids > 0) {
        recorded_token_bytes(source, &bytes, length, ids[0]);
    }
    *text = sc_memory_strndup(bytes, *length, error);
    return *text == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
}

static bool recorded_is_end(sc_source *source, int32_t token)
{
    (void)source, (void)token;
    return true;
}

static void recorded_limits(sc_source *source, const sc_limits_plan *plan, size_t *live_nodes, size_t *batch_nodes)
{
    (void)source, (void)plan;
    *live_nodes = 0;
    *batch_nodes = ROWS_PER_CALL;
}

static void recorded_close(sc_source *source)
{
    recorded *self = (recorded *)source;
    if (self != NULL) {
        sc_table_close(self->table);
        free(self->path);
        free(self->description);
        free(self->rows);
        free(self->words);
        free(self);
    }
}

static semcal_status open_file(recorded *self, const char *path, semcal_error *error)
{
    static const char *const names[] = {"logits"};
    semcal_status status = sc_table_open(&self->table, path, names, 1, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    const sc_table_shape *shape = sc_table_get_shape(self->table);
    if (shape->n_dims != 2 ||
        (shape->type != SC_DTYPE_F32 && shape->type != SC_DTYPE_F16 && shape->type != SC_DTYPE_BF16)) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: needs float32, float16 or bfloat16 with two dimensions [N, V]",
                            path);
    }
    self->n_rows = shape->length[0];
    self->n_vocabulary = (size_t)shape->length[1];
    return SEMCAL_OK;
}

static semcal_status finish_open(recorded *self, const char *path, semcal_error *error)
{
    if (self->n_rows < 1 || self->n_rows > INT32_MAX || self->n_vocabulary < 1 ||
        self->n_vocabulary > SC_ROWS_MAX_VOCABULARY) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: shape [%" PRIu64 ", %zu] is out of range", path, self->n_rows,
                            self->n_vocabulary);
    }
    sc_text text = {0};
    semcal_status status =
        sc_text_printf(&text, error, "recorded logits [%" PRIu64 ", %zu]", self->n_rows, self->n_vocabulary);
    self->description = text.data;
    self->path = sc_memory_strdup(path, error);
    self->rows = sc_memory_alloc(ROWS_PER_CALL * self->n_vocabulary, sizeof *self->rows, error);
    self->words = sc_memory_alloc(self->n_vocabulary, sizeof *self->words, error);
    if (status != SEMCAL_OK || self->path == NULL || self->rows == NULL || self->words == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < self->n_vocabulary; i++) {
        (void)snprintf(self->words[i], sizeof self->words[i], "%zu", i);
    }
    return sc_file_sha256(self->sha256, sc_table_path(self->table), error);
}

semcal_status sc_source_recorded_open(sc_source **source, const char *path, semcal_error *error)
{
    static const sc_source_functions functions = {
        .open = recorded_open,
        .extend = recorded_extend,
        .laws = recorded_laws,
        .release = recorded_release,
        .encode = recorded_encode,
        .decode = recorded_decode,
        .token_bytes = recorded_token_bytes,
        .is_end = recorded_is_end,
        .limits = recorded_limits,
        .close = recorded_close,
    };
    *source = NULL;
    if (path == NULL) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "source 'recorded' needs 'logits', the file to replay");
    }
    recorded *self = sc_memory_alloc(1, sizeof *self, error);
    if (self == NULL) {
        return SEMCAL_E_MEMORY;
    }
    self->base.functions = &functions;
    semcal_status status = open_file(self, path, error);
    if (status == SEMCAL_OK) {
        status = finish_open(self, path, error);
    }
    if (status != SEMCAL_OK) {
        recorded_close(&self->base);
        return status;
    }
    self->base.facts = (sc_source_facts){.kind = "recorded",
                                         .description = self->description,
                                         .n_vocabulary = (int32_t)self->n_vocabulary,
                                         .deterministic = true,
                                         .model_sha256 = self->sha256,
                                         .tokenizer_sha256 = "",
                                         .device = "",
                                         .driver = "",
                                         .gemm = "",
                                         .kernels_sha256 = "",
                                         .build_options = ""};
    *source = &self->base;
    return SEMCAL_OK;
}

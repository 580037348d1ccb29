/* SPDX-License-Identifier: Apache-2.0 */
#include "source/model.h"

#include "source/model_nodes.h"

#include "base/file.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static sc_source_model *self(sc_source *source)
{
    return (sc_source_model *)source;
}

/* ---- nodes ---- */

/* Makes sure that `n` nodes can be made without further memory. */
static semcal_status reserve(sc_source_model *s, size_t n, semcal_error *error)
{
    semcal_status status = sc_memory_grow(&s->nodes, &s->nodes_capacity, s->n_nodes + n, sizeof *s->nodes, error);
    return status != SEMCAL_OK
               ? status
               : sc_memory_grow(&s->free_nodes, &s->free_capacity, s->n_nodes + n, sizeof *s->free_nodes, error);
}

static int32_t new_node(sc_source_model *s)
{
    const int32_t id = s->n_free > 0 ? s->free_nodes[--s->n_free] : (int32_t)s->n_nodes++;
    s->nodes[id] = (sc_model_node){.holders = 1, .parent = -1};
    return id;
}

static semcal_status check_token(const sc_source_model *s, int32_t token, semcal_error *error)
{
    const size_t V = sc_model_shape(s->model)->n_vocabulary;
    if (token < 0 || (size_t)token >= V) {
        return sc_error_set(error, SEMCAL_E_DATA, "token %d is outside the model's vocabulary of %zu", (int)token, V);
    }
    return SEMCAL_OK;
}

static semcal_status check_length(const sc_source_model *s, size_t length, semcal_error *error)
{
    const size_t limit = sc_model_shape(s->model)->n_context;
    if (length > limit) {
        return sc_error_set(error, SEMCAL_E_DATA, "%zu tokens are longer than the model's context of %zu", length,
                            limit);
    }
    return SEMCAL_OK;
}

static semcal_status open_prompts(sc_source *source, sc_node *roots, size_t n, const size_t *first,
                                  const int32_t *token_ids, semcal_error *error)
{
    sc_source_model *s = self(source);
    semcal_status status = reserve(s, n, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    size_t made = 0;
    for (; made < n && status == SEMCAL_OK; made++) {
        const size_t length = first[made + 1] - first[made];
        const int32_t *tokens = token_ids + first[made];
        if (length == 0) {
            status = sc_error_set(error, SEMCAL_E_DATA, "a prompt needs at least one token");
        }
        if (status == SEMCAL_OK) {
            status = check_length(s, length, error);
        }
        for (size_t t = 0; t < length && status == SEMCAL_OK; t++) {
            status = check_token(s, tokens[t], error);
        }
        int32_t *prompt = status == SEMCAL_OK ? sc_memory_alloc(length, sizeof *prompt, error) : NULL;
        if (prompt == NULL) {
            status = status == SEMCAL_OK ? SEMCAL_E_MEMORY : status;
            source->failed = made;
            break;
        }
        memcpy(prompt, tokens, length * sizeof *prompt);
        const int32_t id = new_node(s);
        s->nodes[id].length = (int32_t)length;
        s->nodes[id].token = tokens[length - 1];
        s->nodes[id].prompt = prompt;
        roots[made] = id;
    }
    for (size_t i = 0; status != SEMCAL_OK && i < made; i++) {
        sc_model_node_drop(s, (int32_t)roots[i]);
    }
    return status;
}

static semcal_status extend(sc_source *source, sc_node *children, size_t n, const sc_node *parents,
                            const int32_t *tokens, semcal_error *error)
{
    sc_source_model *s = self(source);
    semcal_status status = reserve(s, n, error);
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        status = check_token(s, tokens[i], error);
        if (status == SEMCAL_OK) {
            status = check_length(s, (size_t)s->nodes[parents[i]].length + 1, error);
        }
        source->failed = status != SEMCAL_OK ? i : source->failed;
    }
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        const int32_t id = new_node(s), parent = (int32_t)parents[i];
        s->nodes[id].parent = parent;
        s->nodes[id].length = s->nodes[parent].length + 1;
        s->nodes[id].token = tokens[i];
        s->nodes[parent].holders++;
        children[i] = id;
    }
    return status;
}

static void release(sc_source *source, size_t n, const sc_node *nodes)
{
    for (size_t i = 0; i < n; i++) {
        sc_model_node_drop(self(source), (int32_t)nodes[i]);
    }
}

/* ---- laws ---- */

/* What a single node would need, where that is the matter. */
static semcal_status explain(const sc_source_model *s, const sc_law_request *request, semcal_error *error)
{
    for (size_t i = 0; i < request->n_nodes; i++) {
        const int32_t length = s->nodes[request->node[i]].length;
        const size_t need = ((size_t)length + SC_PAGE - 1) / SC_PAGE, have = sc_pages_total(s->pages);
        if (need > have) {
            const double mb = (double)sc_model_page_bytes(s->model) / 1e6;
            sc_error_clear(error);
            return sc_error_set(error, SEMCAL_E_DEVICE,
                                "out of device memory: one prefix of %d tokens needs %.3f MB of keys and values, there "
                                "are %.3f MB for them; raise kv_memory or give the device more memory",
                                (int)length, (double)need * mb, (double)have * mb);
        }
    }
    return SEMCAL_E_DEVICE;
}

static semcal_status laws(sc_source *source, const sc_law_request *request, sc_law_result *result, semcal_error *error)
{
    sc_source_model *s = self(source);
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < request->n_nodes && status == SEMCAL_OK; i++) {
        status = sc_model_build_add(s, i, request, result, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_model_build_run(s, request, result, error);
    }
    if (status != SEMCAL_OK) {
        const bool no_pages = sc_pages_available(s->pages) == 0;
        s->base.facts.out_of_memory =
            status == SEMCAL_E_DEVICE && (sc_device_ran_out(sc_model_device(s->model)) || no_pages);
        sc_model_build_undo(s);
        return s->base.facts.out_of_memory ? explain(s, request, error) : status;
    }
    s->base.facts.out_of_memory = false;
    sc_model_build_commit(s);
    return SEMCAL_OK;
}

/* ---- text ---- */

static semcal_status need_tokenizer(const sc_source_model *s, semcal_error *error)
{
    return s->tokenizer != NULL ? SEMCAL_OK
                                : sc_error_set(error, SEMCAL_E_CONFIG, "the model was opened without a tokenizer");
}

static semcal_status encode(sc_source *source, int32_t **ids, size_t *n_ids, const char *text, size_t length,
                            bool special, semcal_error *error)
{
    semcal_status status = need_tokenizer(self(source), error);
    return status != SEMCAL_OK ? status
                               : sc_tokenizer_encode(ids, n_ids, self(source)->tokenizer, text, length, special, error);
}

/* Without a tokenizer a text is its token numbers. */
static semcal_status spell_numbers(char **text, size_t *length, const int32_t *ids, size_t n_ids, semcal_error *error)
{
    sc_text out = {0};
    semcal_status status = sc_text_append(&out, "", 0, error);
    for (size_t i = 0; i < n_ids && status == SEMCAL_OK; i++) {
        status = sc_text_printf(&out, error, i == 0 ? "%d" : " %d", (int)ids[i]);
    }
    *text = out.data;
    *length = out.length;
    if (status != SEMCAL_OK) {
        sc_text_free(&out);
        *text = NULL;
    }
    return status;
}

static semcal_status decode(sc_source *source, char **text, size_t *length, const int32_t *ids, size_t n_ids,
                            semcal_error *error)
{
    if (self(source)->tokenizer == NULL) {
        return spell_numbers(text, length, ids, n_ids, error);
    }
    return sc_tokenizer_decode(text, length, self(source)->tokenizer, ids, n_ids, true, error);
}

static void token_bytes(sc_source *source, const char **bytes, size_t *length, int32_t token)
{
    *bytes = "";
    *length = 0;
    if (self(source)->tokenizer != NULL) {
        *bytes = sc_tokenizer_token_bytes(length, self(source)->tokenizer, token);
    }
}

static bool is_end(sc_source *source, int32_t token)
{
    const sc_source_model *s = self(source);
    const sc_model_config *config = sc_model_shape(s->model);
    for (size_t i = 0; i < config->n_ends; i++) {
        if (config->ends[i] == token) {
            return true;
        }
    }
    return token >= 0 && s->tokenizer != NULL && token == sc_tokenizer_eos(s->tokenizer);
}

/* Pages by what the nodes share: the full pages of a prompt are there once per question. A node owns the pages from the
 * prompt's last, partly filled one on, and one more: a fork copies its last page while the original is still held. */
static void limits(sc_source *source, const sc_limits_plan *plan, size_t *live_nodes, size_t *batch_nodes)
{
    const sc_source_model *s = self(source);
    const size_t total = sc_pages_total(s->pages),
                 common = s->sharing && plan->n_prompt > 0 ? (plan->n_prompt - 1) / SC_PAGE : 0;
    /* prompts shorter than the longest one may end anywhere in a page */
    const size_t loose = common > 0 ? SC_PAGE : plan->n_prompt;
    const size_t each = (loose + plan->n_more + SC_PAGE - 1) / SC_PAGE + 1;
    const size_t questions = plan->n_together == 0 ? 0 : total / (common + plan->n_together * each);
    size_t live = questions > 0 ? questions * plan->n_together : total > common ? (total - common) / each : 0;
    *live_nodes = live == 0 ? 1 : live;
    *batch_nodes = sc_model_max_outputs(s->model);
}

/* ---- opening and closing ---- */

static void close_source(sc_source *source)
{
    sc_source_model *s = self(source);
    for (size_t i = 0; i < s->n_nodes; i++) {
        free(s->nodes[i].prompt);
        free(s->nodes[i].pages);
    }
    free(s->nodes);
    free(s->free_nodes);
    free(s->build.token);
    free(s->build.position);
    free(s->build.table);
    free(s->build.output);
    free(s->build.pages);
    free(s->build.copy);
    free(s->written_in);
    free(s->written_from);
    free(s->placed);
    free(s->path);
    free(s->first_draw);
    free(s->logits);
    sc_pages_free(s->pages);
    sc_tokenizer_free(s->tokenizer);
    sc_rows_free(s->rows);
    sc_model_close(s->model);
    free(s);
}

static const sc_source_functions functions = {.open = open_prompts,
                                              .extend = extend,
                                              .laws = laws,
                                              .release = release,
                                              .encode = encode,
                                              .decode = decode,
                                              .token_bytes = token_bytes,
                                              .is_end = is_end,
                                              .limits = limits,
                                              .close = close_source};

static semcal_status allocate(sc_source_model *s, semcal_error *error)
{
    const size_t rows = sc_model_max_rows(s->model), n_pages = sc_model_n_pages(s->model);
    semcal_status status = sc_pages_create(&s->pages, n_pages, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    s->build.number = 1;
    s->build.token = sc_memory_alloc(rows, sizeof(int32_t), error);
    s->build.position = sc_memory_alloc(rows, sizeof(int32_t), error);
    s->build.table = sc_memory_alloc(rows, sizeof(int32_t), error);
    s->build.output = sc_memory_alloc(rows, sizeof(int32_t), error);
    s->written_in = sc_memory_alloc(n_pages, sizeof *s->written_in, error);
    s->written_from = sc_memory_alloc(n_pages, sizeof *s->written_from, error);
    s->first_draw = sc_memory_alloc(sc_model_max_outputs(s->model) + 1, sizeof *s->first_draw, error);
    return s->build.token != NULL && s->build.position != NULL && s->build.table != NULL && s->build.output != NULL &&
                   s->written_in != NULL && s->written_from != NULL && s->first_draw != NULL
               ? SEMCAL_OK
               : SEMCAL_E_MEMORY;
}

/* The row kernels are compiled with their first use; one row of zeros makes that now, so that facts can name them. */
static semcal_status try_rows(sc_source_model *s, semcal_error *error)
{
    const size_t V = sc_model_shape(s->model)->n_vocabulary;
    const float zero = 0;
    double log_normalizer = 0;
    const sc_rows_request request = SC_ROWS_REQUEST_INIT;
    const sc_rows_input input = {sc_model_logits(s->model), SC_ROWS_F32, 1, V, V, 0};
    sc_rows_result result = {.log_normalizer = &log_normalizer};
    semcal_status status = sc_buffer_fill(input.logits, 0, V * sizeof zero, &zero, sizeof zero, error);
    return status != SEMCAL_OK ? status : sc_rows_evaluate(s->rows, &input, &request, &result, error);
}

static void fill_facts(sc_source_model *s)
{
    const sc_model_config *c = sc_model_shape(s->model);
    const sc_device_info *device = sc_device_facts(sc_model_device(s->model));
    (void)snprintf(
        s->description, sizeof s->description,
        "%s, %zu layers of width %zu, %zu heads (%zu of keys and values), vocabulary %zu, %.1f MB of weights",
        c->architecture, c->n_layers, c->width, c->n_heads, c->n_kv_heads, c->n_vocabulary,
        (double)sc_model_weight_bytes(s->model) / 1e6);
    char joined[160];
    const int length =
        snprintf(joined, sizeof joined, "%s%s", sc_model_kernels_hash(s->model), sc_rows_kernels_sha256(s->rows));
    sc_sha256_hex(s->kernels_sha256, joined, (size_t)length);
    (void)snprintf(s->build_options, sizeof s->build_options, "%s | %s", sc_model_build_options(s->model),
                   sc_rows_build_options(s->rows));
    s->base.facts = (sc_source_facts){.kind = "model",
                                      .description = s->description,
                                      .weight_bytes = (double)sc_model_weight_bytes(s->model),
                                      .n_vocabulary = (int32_t)c->n_vocabulary,
                                      .n_context = (int32_t)c->n_context,
                                      .deterministic = sc_model_is_invariant(s->model),
                                      .model_sha256 = sc_model_weights_hash(s->model),
                                      .tokenizer_sha256 = s->tokenizer != NULL ? sc_tokenizer_sha256(s->tokenizer) : "",
                                      .device = device->name,
                                      .driver = device->driver,
                                      .gemm = sc_model_products(s->model),
                                      .kernels_sha256 = s->kernels_sha256,
                                      .build_options = s->build_options};
}

/* `folder`, or random weights of the shape `config`. */
static semcal_status open_source(sc_source **source, const char *folder, const sc_model_config *config,
                                 sc_device *device, const sc_source_model_options *options, semcal_error *error)
{
    static const sc_source_model_options defaults = SC_SOURCE_MODEL_OPTIONS_INIT;
    *source = NULL;
    options = options != NULL ? options : &defaults;
    sc_source_model *s = sc_memory_alloc(1, sizeof *s, error);
    if (s == NULL) {
        return SEMCAL_E_MEMORY;
    }
    s->base.functions = &functions;
    s->sharing = !options->no_prefix_sharing;
    semcal_status status = SEMCAL_OK;
    if (folder != NULL && !options->no_tokenizer) {
        status = sc_tokenizer_open(&s->tokenizer, folder, error);
    }
    if (status == SEMCAL_OK) {
        status = folder != NULL ? sc_model_open(&s->model, folder, device, &options->model, error)
                                : sc_model_open_random(&s->model, config, true, device, &options->model, error);
    }
    if (status != SEMCAL_OK || (status = sc_rows_create(&s->rows, device, NULL, error)) != SEMCAL_OK ||
        (status = allocate(s, error)) != SEMCAL_OK || (status = try_rows(s, error)) != SEMCAL_OK) {
        close_source(&s->base);
        return status;
    }
    fill_facts(s);
    *source = &s->base;
    return SEMCAL_OK;
}

semcal_status sc_source_model_open(sc_source **source, const char *folder, sc_device *device,
                                   const sc_source_model_options *options, semcal_error *error)
{
    return open_source(source, folder, NULL, device, options, error);
}

semcal_status sc_source_model_open_random(sc_source **source, const sc_model_config *config, sc_device *device,
                                          const sc_source_model_options *options, semcal_error *error)
{
    return open_source(source, NULL, config, device, options, error);
}

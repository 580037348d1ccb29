/* SPDX-License-Identifier: Apache-2.0 */
/* Opening: kernels built for the shape, memory laid out, weights brought to the device (layers.c). */
#include "model/attention_selftest.h"
#include "model/model_internal.h"

#include "abi.h"
#include "base/file.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- kernels and memory ---- */

/* Keys and values are kept as the products take them. */
static bool rounds_keys(const sc_model *model)
{
    return sc_matrix_form(model->layers[0].qkv) == SC_PANELS_PAIRS;
}

/* Options of transformer.cl: of the forms of attention that this device may have, fastest first, the first that passes
 * its self-test; the last one has to do, and has other bits than the others: *plain tells. Work-groups have one form.
 */
static void choose_attention(bool *plain, char *options, size_t size, const sc_model *model)
{
    const sc_model_config *c = &model->config;
    const bool rounded = rounds_keys(model), unit = rounded && sc_gemm_has_unit(model->gemm);
    const struct {
        bool possible;
        const char *name, *options;
    } forms[] = {
        {unit && model->group_size == 1, "attention_bf16", " -DKV_BF16=2"},
        {model->group_size == 1, "attention", rounded ? " -DKV_BF16=1" : ""},
        {true, "attention_plain", rounded ? " -DKV_BF16=1 -DSC_EXP2_PLAIN" : " -DSC_EXP2_PLAIN"},
    };
    const size_t n = sizeof forms / sizeof *forms;
    *plain = false;
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(options, size, "-DHEADS=%zu -DKV_HEADS=%zu -DHEAD=%zu -DLSZ=%zu%s", c->n_heads, c->n_kv_heads,
                       c->head_size, model->group_size, forms[i].options);
        if (forms[i].possible && (i + 1 == n || sc_attention_selftest(model->device, c, options, rounded, forms[i].name,
                                                                      forms[i + 1].name))) {
            *plain = i + 1 == n && model->group_size == 1;
            return;
        }
    }
}

static semcal_status build_kernels(sc_model *model, semcal_error *error)
{
    char options[200];
    bool plain;
    choose_attention(&plain, options, sizeof options, model);
    sc_program *program;
    semcal_status status = sc_program_get(&program, model->device, "transformer.cl", options, error);
    if (status != SEMCAL_OK || (status = sc_kernel_get(&model->embed, program, "embed", error)) != SEMCAL_OK ||
        (status = sc_kernel_get(&model->norm, program, "norm", error)) != SEMCAL_OK ||
        (status = sc_kernel_get(&model->head_norm, program, "head_norm", error)) != SEMCAL_OK ||
        (status = sc_kernel_get(&model->rope_store, program, "rope_store", error)) != SEMCAL_OK ||
        (status = sc_kernel_get(&model->copy_pages, program, "copy_pages", error)) != SEMCAL_OK ||
        (status = sc_kernel_get(&model->keep, program, "keep", error)) != SEMCAL_OK ||
        (status = sc_kernel_get(&model->attention, program, "attention", error)) != SEMCAL_OK) {
        return status;
    }
    char joined[160];
    const int length = snprintf(joined, sizeof joined, "%s%s%s", sc_gemm_sha256(model->gemm),
                                sc_program_sha256(program), plain ? "attention_plain" : "");
    sc_sha256_hex(model->kernels_sha256, joined, (size_t)length);
    model->build_options = sc_program_options(program);
    return SEMCAL_OK;
}

static size_t at_least(size_t value, size_t least)
{
    return value < least ? least : value;
}

static size_t at_most(size_t value, size_t most)
{
    return value > most ? most : value;
}

static uint64_t memory_left(const sc_model *model)
{
    const uint64_t budget = sc_device_memory_budget(model->device), used = sc_device_memory_used(model->device);
    return budget > used ? budget - used : 0;
}

static void choose_sizes(sc_model *model, const sc_model_options *options)
{
    const sc_model_config *c = &model->config;
    const bool cpu = sc_device_facts(model->device)->is_cpu;
    /* A step of many questions in one call, as far as that is a small part of the memory; but what is in flight is lost
     * with a crash. */
    const uint64_t part = memory_left(model) / 32, least = (uint64_t)128 << 20, most = (uint64_t)(cpu ? 1 : 8) << 28;
    const uint64_t logits_bytes = part < least ? least : part > most ? most : part;
    model->max_rows = options->max_rows != 0 ? options->max_rows : cpu ? 1024 : 4096;
    model->max_outputs = options->max_outputs != 0
                             ? options->max_outputs
                             : at_least((size_t)(logits_bytes / (c->n_vocabulary * sizeof(float))), 32);
    model->max_outputs = at_most(model->max_outputs, model->max_rows);
}

static semcal_status try_activations(sc_model *model, semcal_error *error)
{
    const sc_model_config *c = &model->config;
    const size_t q = c->n_heads * c->head_size, kv = c->n_kv_heads * c->head_size, rows = model->max_rows,
                 outputs = model->max_outputs;
    const struct {
        sc_buffer **buffer;
        size_t elements;
        const char *what;
    } wanted[] = {{&model->x, rows * c->width, "hidden states"},
                  {&model->normed, rows * c->width, "normed states"},
                  {&model->qkv, rows * (q + 2 * kv), "queries, keys, values"},
                  {&model->mixed, rows * q, "attention output"},
                  {&model->activation, rows * c->mlp_width, "activations"},
                  {&model->logits, outputs * c->n_vocabulary, "logits"},
                  {&model->token, rows, "tokens"},
                  {&model->position, rows, "positions"},
                  {&model->table, rows, "page tables"},
                  {&model->output, rows, "output rows"},
                  {&model->kept_x, outputs * c->width, "hidden states of the last layer"},
                  {&model->kept_qkv, outputs * (q + 2 * kv), "queries of the last layer"},
                  {&model->kept_position, outputs, "positions"},
                  {&model->kept_table, outputs, "page tables"}};
    enum { N = sizeof wanted / sizeof *wanted };
    uint64_t bytes = 0;
    for (size_t i = 0; i < N; i++) {
        bytes += wanted[i].elements * sizeof(float);
    }
    /* what fits only to the last byte leaves nothing for keys and values */
    const bool whole = rows == 1 && model->max_outputs == 1;
    semcal_status status = SEMCAL_OK;
    if (!whole && bytes > memory_left(model) / 2) {
        status = sc_error_set(error, SEMCAL_E_DEVICE, "%.3f MB of activations", (double)bytes / 1e6);
    }
    for (size_t i = 0; i < N && status == SEMCAL_OK; i++) {
        status = sc_buffer_create(wanted[i].buffer, model->device, wanted[i].elements * sizeof(float), SC_BUFFER_DEVICE,
                                  wanted[i].what, error);
    }
    for (size_t i = 0; i < N && status != SEMCAL_OK; i++) {
        sc_buffer_free(*wanted[i].buffer);
        *wanted[i].buffer = NULL;
    }
    return status;
}

/* Fewer rows per call when there is little memory: more calls, the same bits. */
static semcal_status lay_out_activations(sc_model *model, semcal_error *error)
{
    for (;;) {
        semcal_error why = SEMCAL_ERROR_INIT;
        semcal_status status = try_activations(model, &why);
        if (status == SEMCAL_OK) {
            return SEMCAL_OK;
        }
        if (status != SEMCAL_E_DEVICE || (model->max_rows == 1 && model->max_outputs == 1)) {
            return sc_error_set(error, status, "%s", why.message);
        }
        (void)sc_device_ran_out(model->device); /* dealt with */
        model->max_rows = at_least(model->max_rows / 2, 1);
        model->max_outputs = at_least(at_most(model->max_outputs / 2, model->max_rows), 1);
    }
}

/* Pages to begin with: what was asked for or a share of what is left, within what one buffer may hold. */
static uint64_t wanted_pages(const sc_model *model, const sc_model_options *options)
{
    const sc_device_info *info = sc_device_facts(model->device);
    const uint64_t page = sc_model_page_bytes(model), left = memory_left(model);
    uint64_t bytes = options->kv_bytes;
    if (bytes == 0) {
        const uint64_t context = (model->config.n_context + SC_PAGE - 1) / SC_PAGE * page, most = left / 4 * 3;
        bytes = left / 4 < (uint64_t)4 << 30 || !info->is_cpu ? left / 4 : (uint64_t)4 << 30;
        /* where memory is short, one prefix of the whole context rather than room for other things */
        bytes = bytes > context ? bytes : context < most ? context : most;
    }
    uint64_t n = bytes / page;
    if (n * page > left / 10 * 9) {
        n = left / 10 * 9 / page;
        sc_device_note(model->device, "%s: %.3f MB are left for keys and values, less than the %.3f MB asked for",
                       info->name, (double)(n * page) / 1e6, (double)bytes / 1e6);
    }
    const uint64_t most = info->max_allocation / model->value_page_bytes;
    n = n < most ? n : most;
    return n < INT32_MAX ? n : INT32_MAX;
}

static semcal_status try_pages(sc_model *model, uint64_t n, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < model->config.n_layers && status == SEMCAL_OK; i++) {
        struct sc_model_layer *layer = &model->layers[i];
        status = sc_buffer_create(&layer->keys, model->device, n * model->key_page_bytes, SC_BUFFER_DEVICE, "key pages",
                                  error);
        if (status == SEMCAL_OK) {
            status = sc_buffer_create(&layer->values, model->device, n * model->value_page_bytes, SC_BUFFER_DEVICE,
                                      "value pages", error);
        }
    }
    for (size_t i = 0; i < model->config.n_layers && status != SEMCAL_OK; i++) {
        struct sc_model_layer *layer = &model->layers[i];
        sc_buffer_free(layer->keys);
        sc_buffer_free(layer->values);
        layer->keys = layer->values = NULL;
    }
    return status;
}

static semcal_status lay_out_pages(sc_model *model, const sc_model_options *options, semcal_error *error)
{
    const sc_model_config *c = &model->config;
    const size_t padded = (c->head_size + 15) / 16 * 16, number = rounds_keys(model) ? sizeof(uint16_t) : sizeof(float);
    model->key_page_bytes = c->n_kv_heads * c->head_size * SC_PAGE * number;
    model->value_page_bytes = c->n_kv_heads * padded * SC_PAGE * number;
    for (uint64_t n = wanted_pages(model, options); n >= 2; n /= 2) {
        semcal_error why = SEMCAL_ERROR_INIT;
        semcal_status status = try_pages(model, n, &why);
        if (status == SEMCAL_OK) {
            model->n_pages = (size_t)n;
            return SEMCAL_OK;
        }
        if (status != SEMCAL_E_DEVICE || !sc_device_ran_out(model->device)) {
            return sc_error_set(error, status, "%s", why.message);
        }
        sc_device_note(model->device, "%s: no memory for %llu pages of keys and values, trying half as many",
                       sc_device_facts(model->device)->name, (unsigned long long)n);
    }
    return sc_error_set(error, SEMCAL_E_DEVICE,
                        "out of device memory: two pages of keys and values need %.3f MB, %.3f MB of %.3f MB are left "
                        "after weights and activations%s",
                        2e-6 * (double)sc_model_page_bytes(model), (double)memory_left(model) / 1e6,
                        (double)sc_device_memory_budget(model->device) / 1e6,
                        options->kv_bytes != 0 ? " (kv_memory is set: raise it)" : "");
}

/* ---- opening and closing ---- */

static semcal_status open_model(sc_model **model, const sc_model_config *config, const char *folder, bool bf16,
                                sc_device *device, const sc_model_options *options, semcal_error *error)
{
    static const sc_model_options defaults = SC_MODEL_OPTIONS_INIT;
    options = options != NULL ? options : &defaults;
    sc_model *made = sc_memory_alloc(1, sizeof *made, error);
    semcal_status status = SEMCAL_E_MEMORY;
    if (made == NULL) {
        return status;
    }
    made->config = *config;
    made->device = device;
    made->build_options = "";
    made->layers = sc_memory_alloc(config->n_layers, sizeof *made->layers, error);
    if (made->layers == NULL) {
        goto done;
    }
    made->group_size = options->group_size != 0 ? options->group_size : sc_device_facts(device)->is_cpu ? 1 : 128;
    choose_sizes(made, options);
    if ((status = sc_gemm_open(&made->gemm, device, options->gemm, error)) != SEMCAL_OK ||
        (status = folder != NULL ? sc_model_load_weights(made, folder, error)
                                 : sc_model_random_weights(made, bf16, error)) != SEMCAL_OK ||
        (status = build_kernels(made, error)) != SEMCAL_OK || /* for the weights' form */
        (options->head_scale != 1 && (status = sc_model_scale_head(made, options->head_scale, error)) != SEMCAL_OK) ||
        (status = lay_out_activations(made, error)) != SEMCAL_OK) {
        goto done;
    }
    if ((status = lay_out_pages(made, options, error)) == SEMCAL_OK && sc_device_is_profiled(device)) {
        made->seen = sc_memory_alloc(made->n_pages, sizeof *made->seen, error);
        made->seen_strips = sc_memory_alloc(sc_model_strips(config), sizeof *made->seen_strips, error);
        status = made->seen == NULL || made->seen_strips == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
done:
    if (status != SEMCAL_OK) {
        if (folder != NULL && error != NULL && error->status == SEMCAL_E_DEVICE) {
            sc_error_where(error, "%s", folder);
        }
        sc_model_close(made);
        return status;
    }
    *model = made;
    return SEMCAL_OK;
}

semcal_status sc_model_open(sc_model **model, const char *folder, sc_device *device, const sc_model_options *options,
                            semcal_error *error)
{
    *model = NULL;
    sc_model_config config;
    semcal_status status = sc_model_config_read(&config, folder, error);
    return status != SEMCAL_OK ? status : open_model(model, &config, folder, false, device, options, error);
}

semcal_status sc_model_open_random(sc_model **model, const sc_model_config *config, bool bf16, sc_device *device,
                                   const sc_model_options *options, semcal_error *error)
{
    *model = NULL;
    return open_model(model, config, NULL, bf16, device, options, error);
}

void sc_model_close(sc_model *model)
{
    if (model == NULL) {
        return;
    }
    for (size_t i = 0; model->layers != NULL && i < model->config.n_layers; i++) {
        struct sc_model_layer *layer = &model->layers[i];
        sc_matrix_free(layer->qkv);
        sc_matrix_free(layer->o);
        sc_matrix_free(layer->gate_up);
        sc_matrix_free(layer->down);
        sc_buffer_free(layer->attention_norm);
        sc_buffer_free(layer->mlp_norm);
        sc_buffer_free(layer->head_norms);
        sc_buffer_free(layer->keys);
        sc_buffer_free(layer->values);
    }
    free(model->layers);
    if (model->head != model->embedding) {
        sc_matrix_free(model->head);
    }
    sc_matrix_free(model->embedding);
    sc_buffer *const buffers[] = {
        model->final_norm, model->angle,  model->x,      model->normed,   model->qkv,           model->mixed,
        model->activation, model->logits, model->token,  model->position, model->table,         model->output,
        model->pages,      model->copies, model->kept_x, model->kept_qkv, model->kept_position, model->kept_table};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        sc_buffer_free(buffers[i]);
    }
    sc_gemm_close(model->gemm);
    free(model->seen);
    free(model->seen_strips);
    free(model);
}

const sc_model_config *sc_model_shape(const sc_model *model)
{
    return &model->config;
}

sc_device *sc_model_device(const sc_model *model)
{
    return model->device;
}

size_t sc_model_n_pages(const sc_model *model)
{
    return model->n_pages;
}

uint64_t sc_model_page_bytes(const sc_model *model)
{
    return model->config.n_layers * (model->key_page_bytes + model->value_page_bytes);
}

size_t sc_model_max_rows(const sc_model *model)
{
    return model->max_rows;
}

size_t sc_model_max_outputs(const sc_model *model)
{
    return model->max_outputs;
}

sc_gemm_choice sc_model_gemm(const sc_model *model)
{
    return sc_gemm_choice_of(model->gemm);
}

const char *sc_model_products(const sc_model *model)
{
    return sc_gemm_definition(model->gemm);
}

bool sc_model_is_invariant(const sc_model *model)
{
    return sc_gemm_is_invariant(model->gemm);
}

const char *sc_model_weights_hash(const sc_model *model)
{
    return model->weights_sha256;
}

const char *sc_model_kernels_hash(const sc_model *model)
{
    return model->kernels_sha256;
}

const char *sc_model_build_options(const sc_model *model)
{
    return model->build_options;
}

static uint64_t bytes_of(const sc_matrix *matrix)
{
    return matrix != NULL ? sc_matrix_bytes(matrix) : 0;
}

uint64_t sc_model_weight_bytes(const sc_model *model)
{
    uint64_t bytes = bytes_of(model->embedding) + (model->head != model->embedding ? bytes_of(model->head) : 0);
    for (size_t i = 0; i < model->config.n_layers; i++) {
        const struct sc_model_layer *layer = &model->layers[i];
        bytes += bytes_of(layer->qkv) + bytes_of(layer->o) + bytes_of(layer->gate_up) + bytes_of(layer->down);
    }
    return bytes;
}

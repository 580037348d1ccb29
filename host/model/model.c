/* SPDX-License-Identifier: Apache-2.0 */
/* Opening: weights packed and brought to the device, kernels built for the shape, memory laid out. */
#include "model/model_internal.h"

#include "abi.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- packing: matrices that read the same input are stored as one ---- */

/* Rows of up to three maps, one after the other. */
struct pieces {
    const sc_linear *linear[3];
    size_t n;
};

static void row_of_pieces(float *row, size_t i, void *payload)
{
    const struct pieces *pieces = payload;
    size_t p = 0;
    while (i >= pieces->linear[p]->weight->shape[0]) {
        i -= pieces->linear[p++]->weight->shape[0];
    }
    const sc_tensor *weight = pieces->linear[p]->weight;
    sc_tensor_get_floats(row, weight, i * weight->shape[1], weight->shape[1]);
}

static semcal_status pack(sc_matrix **matrix, sc_model *model, struct pieces pieces, bool paired, const char *what,
                          semcal_error *error)
{
    size_t n = 0;
    const size_t k = pieces.linear[0]->weight->shape[1];
    bool bf16 = true, has_bias = false;
    for (size_t p = 0; p < pieces.n; p++) {
        n += pieces.linear[p]->weight->shape[0];
        bf16 = bf16 && pieces.linear[p]->weight->dtype == SC_DTYPE_BF16;
        has_bias = has_bias || pieces.linear[p]->bias != NULL;
    }
    float *bias = NULL;
    if (has_bias) {
        bias = sc_memory_alloc(n, sizeof *bias, error);
        if (bias == NULL) {
            return SEMCAL_E_MEMORY;
        }
        size_t at = 0;
        for (size_t p = 0; p < pieces.n; p++) {
            const sc_linear *linear = pieces.linear[p];
            if (linear->bias != NULL) {
                sc_tensor_get_floats(bias + at, linear->bias, 0, linear->bias->shape[0]);
            }
            at += linear->weight->shape[0];
        }
    }
    semcal_status status =
        sc_matrix_pack(matrix, model->gemm, n, k, bf16, paired, row_of_pieces, bias, what, &pieces, error);
    free(bias);
    return status;
}

static semcal_status vector(sc_buffer **buffer, sc_model *model, const float *values, size_t n, semcal_error *error)
{
    semcal_status status =
        sc_buffer_create(buffer, model->device, n * sizeof *values, SC_BUFFER_DEVICE, "norm weights", error);
    return status != SEMCAL_OK ? status : sc_buffer_write(*buffer, 0, values, n * sizeof *values, error);
}

static semcal_status tensor_vector(sc_buffer **buffer, sc_model *model, const sc_tensor *tensor, semcal_error *error)
{
    const size_t n = tensor->n_elements;
    float *values = sc_memory_alloc(n, sizeof *values, error);
    if (values == NULL) {
        return SEMCAL_E_MEMORY;
    }
    sc_tensor_get_floats(values, tensor, 0, n);
    semcal_status status = vector(buffer, model, values, n, error);
    free(values);
    return status;
}

/* The gains of queries, then of keys. */
static semcal_status load_head_norms(sc_model *model, struct sc_model_layer *layer, const sc_layer_weights *w,
                                     semcal_error *error)
{
    const size_t n = model->config.head_size;
    float *values = sc_memory_alloc(2 * n, sizeof *values, error);
    if (values == NULL) {
        return SEMCAL_E_MEMORY;
    }
    sc_tensor_get_floats(values, w->q_norm, 0, n);
    sc_tensor_get_floats(values + n, w->k_norm, 0, n);
    semcal_status status = vector(&layer->head_norms, model, values, 2 * n, error);
    free(values);
    return status;
}

static semcal_status load_layer(sc_model *model, struct sc_model_layer *layer, const sc_layer_weights *w,
                                semcal_error *error)
{
    semcal_status status;
    if ((status = pack(&layer->qkv, model, (struct pieces){{&w->q, &w->k, &w->v}, 3}, false, "qkv weights", error)) !=
            SEMCAL_OK ||
        (status = pack(&layer->o, model, (struct pieces){{&w->o}, 1}, false, "output weights", error)) != SEMCAL_OK ||
        (status = pack(&layer->gate_up, model, (struct pieces){{&w->gate, &w->up}, 2}, true, "gate and up weights",
                       error)) != SEMCAL_OK ||
        (status = pack(&layer->down, model, (struct pieces){{&w->down}, 1}, false, "down weights", error)) !=
            SEMCAL_OK ||
        (status = tensor_vector(&layer->attention_norm, model, w->attention_norm, error)) != SEMCAL_OK ||
        (model->config.head_norms && (status = load_head_norms(model, layer, w, error)) != SEMCAL_OK)) {
        return status;
    }
    return tensor_vector(&layer->mlp_norm, model, w->mlp_norm, error);
}

static semcal_status load_weights(sc_model *model, const char *folder, semcal_error *error)
{
    sc_model_weights weights;
    semcal_status status = sc_model_weights_open(&weights, &model->config, folder, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    const sc_linear embedding = {weights.embedding, NULL};
    if ((status = sc_model_weights_sha256(model->weights_sha256, &weights, error)) != SEMCAL_OK ||
        (status = pack(&model->embedding, model, (struct pieces){{&embedding}, 1}, false, "embedding", error)) !=
            SEMCAL_OK ||
        (status = tensor_vector(&model->final_norm, model, weights.final_norm, error)) != SEMCAL_OK) {
        goto done;
    }
    model->head = model->embedding;
    if (!model->config.tied) {
        model->head = NULL;
        status = pack(&model->head, model, (struct pieces){{&weights.head}, 1}, false, "output head", error);
    }
    for (size_t i = 0; i < model->config.n_layers && status == SEMCAL_OK; i++) {
        status = load_layer(model, &model->layers[i], &weights.layers[i], error);
    }
done:
    sc_model_weights_close(&weights);
    return status;
}

/* ---- random weights ---- */

struct random_rows {
    uint64_t salt;
    size_t k;
    bool bf16;
};

static void random_row(float *row, size_t i, void *payload)
{
    const struct random_rows *random = payload;
    const float scale = (float)(1.7 / sqrt((double)random->k)); /* uniform in [-scale, scale] has deviation 1/sqrt(k) */
    for (size_t j = 0; j < random->k; j += 4) {
        const uint32_t counter[4] = {(uint32_t)i, (uint32_t)j, (uint32_t)random->salt, 0}, key[2] = {1, 2};
        uint32_t words[4];
        sc_philox(words, counter, key);
        for (size_t l = 0; l < 4 && j + l < random->k; l++) {
            float value = scale * ((float)(words[l] >> 8) * 0x1p-23f - 1);
            if (random->bf16) {
                uint32_t bits;
                memcpy(&bits, &value, sizeof bits);
                bits &= 0xffff0000u;
                memcpy(&value, &bits, sizeof value);
            }
            row[j + l] = value;
        }
    }
}

static semcal_status random_matrix(sc_matrix **matrix, sc_model *model, size_t n, size_t k, bool bf16, bool paired,
                                   uint64_t *salt, semcal_error *error)
{
    struct random_rows random = {(*salt)++, k, bf16};
    return sc_matrix_pack(matrix, model->gemm, n, k, bf16, paired, random_row, NULL, "weights", &random, error);
}

static semcal_status random_weights(sc_model *model, bool bf16, semcal_error *error)
{
    const sc_model_config *c = &model->config;
    const size_t q = c->n_heads * c->head_size, kv = c->n_kv_heads * c->head_size;
    uint64_t salt = 0;
    float *ones = sc_memory_alloc(c->width, sizeof *ones, error);
    semcal_status status = SEMCAL_E_MEMORY;
    if (ones == NULL) {
        goto done;
    }
    for (size_t i = 0; i < c->width; i++) {
        ones[i] = 1;
    }
    if ((status = random_matrix(&model->embedding, model, c->n_vocabulary, c->width, bf16, false, &salt, error)) !=
            SEMCAL_OK ||
        (status = vector(&model->final_norm, model, ones, c->width, error)) != SEMCAL_OK) {
        goto done;
    }
    model->head = model->embedding;
    if (!c->tied) {
        model->head = NULL;
        status = random_matrix(&model->head, model, c->n_vocabulary, c->width, bf16, false, &salt, error);
    }
    for (size_t i = 0; i < c->n_layers && status == SEMCAL_OK; i++) {
        struct sc_model_layer *layer = &model->layers[i];
        if ((status = random_matrix(&layer->qkv, model, q + 2 * kv, c->width, bf16, false, &salt, error)) !=
                SEMCAL_OK ||
            (status = random_matrix(&layer->o, model, c->width, q, bf16, false, &salt, error)) != SEMCAL_OK ||
            (status = random_matrix(&layer->gate_up, model, 2 * c->mlp_width, c->width, bf16, true, &salt, error)) !=
                SEMCAL_OK ||
            (status = random_matrix(&layer->down, model, c->width, c->mlp_width, bf16, false, &salt, error)) !=
                SEMCAL_OK ||
            (status = vector(&layer->attention_norm, model, ones, c->width, error)) != SEMCAL_OK) {
            break;
        }
        status = vector(&layer->mlp_norm, model, ones, c->width, error);
    }
done:
    free(ones);
    return status;
}

/* The head reads the normed states, so its scale is that of their gain. */
static semcal_status scale_head(sc_model *model, double scale, semcal_error *error)
{
    const size_t n = model->config.width;
    float *gain = sc_memory_alloc(n, sizeof *gain, error);
    semcal_status status = gain == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK) {
        status = sc_buffer_read(model->final_norm, 0, gain, n * sizeof *gain, error);
    }
    for (size_t i = 0; status == SEMCAL_OK && i < n; i++) {
        gain[i] *= (float)scale;
    }
    if (status == SEMCAL_OK) {
        status = sc_buffer_write(model->final_norm, 0, gain, n * sizeof *gain, error);
    }
    free(gain);
    return status;
}

/* ---- kernels and memory ---- */

/* Keys and values are kept as the products take them. */
static bool rounds_keys(const sc_model *model)
{
    return sc_gemm_choice_of(model->gemm) == SC_GEMM_BF16;
}

static semcal_status build_kernels(sc_model *model, semcal_error *error)
{
    const sc_model_config *c = &model->config;
    const bool unit = sc_gemm_has_unit(model->gemm) && model->group_size == 1;
    char options[160];
    (void)snprintf(options, sizeof options, "-DHEADS=%zu -DKV_HEADS=%zu -DHEAD=%zu -DLSZ=%zu%s", c->n_heads,
                   c->n_kv_heads, c->head_size, model->group_size,
                   !rounds_keys(model) ? ""
                   : unit              ? " -DKV_BF16=2"
                                       : " -DKV_BF16=1");
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
    const int length = snprintf(joined, sizeof joined, "%s%s", sc_gemm_sha256(model->gemm), sc_program_sha256(program));
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
        (status = build_kernels(made, error)) != SEMCAL_OK ||
        (status = folder != NULL ? load_weights(made, folder, error) : random_weights(made, bf16, error)) !=
            SEMCAL_OK ||
        (options->head_scale != 1 && (status = scale_head(made, options->head_scale, error)) != SEMCAL_OK) ||
        (status = lay_out_activations(made, error)) != SEMCAL_OK) {
        goto done;
    }
    status = lay_out_pages(made, options, error);
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

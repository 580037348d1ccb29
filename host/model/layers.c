/* SPDX-License-Identifier: Apache-2.0 */
/* The weights of a model packed and brought to the device: from a checkpoint, or random. */
#include "model/model_internal.h"

#include "base/memory.h"
#include "base/random.h"

#include <math.h>
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

semcal_status sc_model_load_weights(sc_model *model, const char *folder, semcal_error *error)
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

semcal_status sc_model_random_weights(sc_model *model, bool bf16, semcal_error *error)
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
semcal_status sc_model_scale_head(sc_model *model, double scale, semcal_error *error)
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

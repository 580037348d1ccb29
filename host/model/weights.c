/* SPDX-License-Identifier: Apache-2.0 */
#include "model/weights.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/parallel.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The tensor `name`, of one of the float types, with shape [rows] or [rows, columns]. */
static semcal_status take(const sc_tensor **tensor, const sc_tensor_set *set, const char *name, uint64_t rows,
                          uint64_t columns, semcal_error *error)
{
    const uint64_t shape[2] = {rows, columns};
    const size_t n_dims = columns == 0 ? 1 : 2;
    const sc_tensor *found = sc_tensor_set_find(set, name);
    if (found == NULL) {
        return sc_error_set(error, SEMCAL_E_DATA, "tensor '%s' is missing", name);
    }
    if (found->n_dims != n_dims || memcmp(found->shape, shape, n_dims * sizeof *shape) != 0) {
        char expected[64], actual[128];
        sc_tensor_shape_text(expected, sizeof expected, shape, n_dims);
        sc_tensor_shape_text(actual, sizeof actual, found->shape, found->n_dims);
        return sc_error_set(error, SEMCAL_E_DATA, "tensor '%s': shape %s expected from config.json, %s found in %s",
                            name, expected, actual, found->file);
    }
    if (found->dtype != SC_DTYPE_F32 && found->dtype != SC_DTYPE_F16 && found->dtype != SC_DTYPE_BF16) {
        return sc_error_set(error, SEMCAL_E_DATA, "tensor '%s': type %s is not supported; supported are BF16, F16, F32",
                            name, sc_dtype_name(found->dtype));
    }
    *tensor = found;
    return SEMCAL_OK;
}

static semcal_status take_linear(sc_linear *linear, const sc_tensor_set *set, size_t layer, const char *name,
                                 uint64_t out, uint64_t in, bool bias, semcal_error *error)
{
    char text[160];
    (void)snprintf(text, sizeof text, "model.layers.%zu.%s.weight", layer, name);
    semcal_status status = take(&linear->weight, set, text, out, in, error);
    if (status == SEMCAL_OK && bias) {
        (void)snprintf(text, sizeof text, "model.layers.%zu.%s.bias", layer, name);
        status = take(&linear->bias, set, text, out, 0, error);
    }
    return status;
}

/* RMSNorm gains of a layer: its input's, its MLP's, and where there are some its heads'. */
static semcal_status take_norms(sc_layer_weights *layer, const sc_tensor_set *set, size_t i, const sc_model_config *c,
                                semcal_error *error)
{
    const struct {
        const sc_tensor **tensor;
        const char *name;
        size_t n;
    } norms[] = {{&layer->attention_norm, "input_layernorm", c->width},
                 {&layer->mlp_norm, "post_attention_layernorm", c->width},
                 {&layer->q_norm, "self_attn.q_norm", c->head_size},
                 {&layer->k_norm, "self_attn.k_norm", c->head_size}};
    semcal_status status = SEMCAL_OK;
    for (size_t j = 0; j < (c->head_norms ? 4u : 2u) && status == SEMCAL_OK; j++) {
        char text[160];
        (void)snprintf(text, sizeof text, "model.layers.%zu.%s.weight", i, norms[j].name);
        status = take(norms[j].tensor, set, text, norms[j].n, 0, error);
    }
    return status;
}

static semcal_status take_layer(sc_layer_weights *layer, const sc_tensor_set *set, size_t i, const sc_model_config *c,
                                semcal_error *error)
{
    const uint64_t q = c->n_heads * c->head_size, kv = c->n_kv_heads * c->head_size;
    semcal_status status;
    if ((status = take_norms(layer, set, i, c, error)) != SEMCAL_OK ||
        (status = take_linear(&layer->q, set, i, "self_attn.q_proj", q, c->width, c->qkv_bias, error)) != SEMCAL_OK ||
        (status = take_linear(&layer->k, set, i, "self_attn.k_proj", kv, c->width, c->qkv_bias, error)) != SEMCAL_OK ||
        (status = take_linear(&layer->v, set, i, "self_attn.v_proj", kv, c->width, c->qkv_bias, error)) != SEMCAL_OK ||
        (status = take_linear(&layer->o, set, i, "self_attn.o_proj", c->width, q, c->output_bias, error)) !=
            SEMCAL_OK) {
        return status;
    }
    if ((status = take_linear(&layer->gate, set, i, "mlp.gate_proj", c->mlp_width, c->width, c->mlp_bias, error)) !=
            SEMCAL_OK ||
        (status = take_linear(&layer->up, set, i, "mlp.up_proj", c->mlp_width, c->width, c->mlp_bias, error)) !=
            SEMCAL_OK) {
        return status;
    }
    return take_linear(&layer->down, set, i, "mlp.down_proj", c->width, c->mlp_width, c->mlp_bias, error);
}

/* Index of the first NaN or infinity among the bits, or n. `mask` covers the exponent. */
#define FIND_BAD(type, name)                                                                                           \
    static uint64_t name(const unsigned char *data, uint64_t n, type mask)                                             \
    {                                                                                                                  \
        enum { BLOCK = 4096 };                                                                                         \
        for (uint64_t first = 0; first < n; first += BLOCK) {                                                          \
            const uint64_t last = first + BLOCK < n ? first + BLOCK : n;                                               \
            type bad = 0;                                                                                              \
            for (uint64_t i = first; i < last; i++) {                                                                  \
                type word;                                                                                             \
                memcpy(&word, data + i * sizeof word, sizeof word);                                                    \
                bad = (type)(bad | ((word & mask) == mask));                                                           \
            }                                                                                                          \
            for (uint64_t i = first; bad != 0 && i < last; i++) {                                                      \
                type word;                                                                                             \
                memcpy(&word, data + i * sizeof word, sizeof word);                                                    \
                if ((word & mask) == mask) {                                                                           \
                    return i;                                                                                          \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        return n;                                                                                                      \
    }
FIND_BAD(uint16_t, find_bad_16)
FIND_BAD(uint32_t, find_bad_32)

/* One tensor of the set (payload): all its values are finite. Tensors of other types are not the model's. */
static semcal_status check_finite(size_t i, unsigned thread, void *payload, semcal_error *error)
{
    (void)thread;
    const sc_tensor *tensor = (const sc_tensor *)payload + i;
    uint64_t at = tensor->n_elements;
    if (tensor->dtype == SC_DTYPE_BF16) {
        at = find_bad_16(tensor->data, at, 0x7f80);
    } else if (tensor->dtype == SC_DTYPE_F16) {
        at = find_bad_16(tensor->data, at, 0x7c00);
    } else if (tensor->dtype == SC_DTYPE_F32) {
        at = find_bad_32(tensor->data, at, 0x7f800000);
    }
    if (at == tensor->n_elements) {
        return SEMCAL_OK;
    }
    float value;
    sc_tensor_get_floats(&value, tensor, at, 1);
    const uint64_t columns = tensor->n_dims > 1 ? tensor->shape[tensor->n_dims - 1] : 1;
    char place[64];
    if (tensor->n_dims > 1) {
        (void)snprintf(place, sizeof place, "[%" PRIu64 ", %" PRIu64 "]", at / columns, at % columns);
    } else {
        (void)snprintf(place, sizeof place, "[%" PRIu64 "]", at);
    }
    return sc_error_set(error, SEMCAL_E_NUMERIC, "%s: tensor '%s' holds %s at %s", tensor->file, tensor->name,
                        isnan(value) ? "NaN" : "an infinity", place);
}

semcal_status sc_model_weights_open(sc_model_weights *weights, const sc_model_config *config, const char *folder,
                                    semcal_error *error)
{
    *weights = (sc_model_weights){0};
    semcal_status status = sc_tensor_set_open(&weights->set, folder, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    weights->layers = sc_memory_alloc(config->n_layers, sizeof *weights->layers, error);
    if (weights->layers == NULL) {
        status = SEMCAL_E_MEMORY;
        goto done;
    }
    const sc_tensor_set *set = weights->set;
    const uint64_t V = config->n_vocabulary, D = config->width;
    if ((status = take(&weights->embedding, set, "model.embed_tokens.weight", V, D, error)) != SEMCAL_OK ||
        (status = take(&weights->final_norm, set, "model.norm.weight", D, 0, error)) != SEMCAL_OK) {
        goto done;
    }
    if (config->tied) {
        weights->head.weight = weights->embedding;
    } else if ((status = take(&weights->head.weight, set, "lm_head.weight", V, D, error)) != SEMCAL_OK) {
        goto done;
    }
    for (size_t i = 0; i < config->n_layers; i++) {
        if ((status = take_layer(&weights->layers[i], set, i, config, error)) != SEMCAL_OK) {
            goto done;
        }
    }
    size_t n;
    const sc_tensor *all = sc_tensor_set_all(set, &n);
    status = sc_parallel_for(n, 0, check_finite, (void *)(uintptr_t)all, error);
done:
    if (status != SEMCAL_OK) {
        sc_error_where(error, "%s", folder);
        sc_model_weights_close(weights);
    }
    return status;
}

void sc_model_weights_close(sc_model_weights *weights)
{
    sc_tensor_set_close(weights->set);
    free(weights->layers);
    *weights = (sc_model_weights){0};
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

semcal_status sc_model_weights_sha256(char hex[65], const sc_model_weights *weights, semcal_error *error)
{
    size_t n;
    const char *const *files = sc_tensor_set_files(weights->set, &n);
    const char **sorted = sc_memory_alloc(n, sizeof *sorted, error);
    char(*sums)[65] = sc_memory_alloc(n, sizeof *sums, error);
    semcal_status status = SEMCAL_E_MEMORY;
    if (sorted == NULL || sums == NULL) {
        goto done;
    }
    memcpy(sorted, files, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_text);
    status = SEMCAL_OK;
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        status = sc_file_sha256(sums[i], sorted[i], error);
    }
    if (status == SEMCAL_OK && n == 1) {
        memcpy(hex, sums[0], 65); /* one file: what sha256sum prints for it */
    } else if (status == SEMCAL_OK) {
        sc_sha256_hex(hex, sums, n * sizeof *sums);
    }
done:
    free(sorted);
    free(sums);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/config.h"

#include "base/file.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sizes beyond this are slips, and products of two of them stay far from overflow. */
#define SIZE_LIMIT 100000000

static semcal_status read_size(size_t *value, const json_t *root, const char *key, semcal_error *error)
{
    const json_t *item = json_object_get(root, key);
    if (item == NULL) {
        return sc_error_set(error, SEMCAL_E_DATA, "'%s' is missing", key);
    }
    if (!json_is_integer(item) || json_integer_value(item) < 1 || json_integer_value(item) > SIZE_LIMIT) {
        return sc_error_set(error, SEMCAL_E_DATA, "'%s' must be an integer from 1 to %d", key, SIZE_LIMIT);
    }
    *value = (size_t)json_integer_value(item);
    return SEMCAL_OK;
}

/* As read_size; absent or null keeps what is there. */
static semcal_status read_size_or(size_t *value, const json_t *root, const char *key, semcal_error *error)
{
    const json_t *item = json_object_get(root, key);
    return item == NULL || json_is_null(item) ? SEMCAL_OK : read_size(value, root, key, error);
}

static semcal_status read_flag(bool *value, const json_t *root, const char *key, bool otherwise, semcal_error *error)
{
    const json_t *item = json_object_get(root, key);
    if (item == NULL || json_is_null(item)) {
        *value = otherwise;
        return SEMCAL_OK;
    }
    if (!json_is_boolean(item)) {
        return sc_error_set(error, SEMCAL_E_DATA, "'%s' must be true or false", key);
    }
    *value = json_is_true(item);
    return SEMCAL_OK;
}

/* A positive number; absent or null keeps what is there, which may be 0 to mean that it is needed. */
static semcal_status read_positive(double *value, const json_t *root, const char *key, semcal_error *error)
{
    const json_t *item = json_object_get(root, key);
    if (item != NULL && !json_is_null(item)) {
        *value = json_is_number(item) ? json_number_value(item) : -1;
    }
    if (!(*value > 0) || !isfinite(*value)) {
        return sc_error_set(error, SEMCAL_E_DATA, "'%s' %s", key,
                            item == NULL ? "is missing" : "must be a number above 0");
    }
    return SEMCAL_OK;
}

static semcal_status read_architecture(sc_model_config *config, const json_t *root, semcal_error *error)
{
    static const char *const known[] = {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM",
                                        "Qwen3ForCausalLM"};
    const char *name = json_string_value(json_array_get(json_object_get(root, "architectures"), 0));
    if (name == NULL) {
        return sc_error_set(error, SEMCAL_E_DATA, "'architectures' is missing or empty");
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(name, known[i]) == 0) {
            (void)snprintf(config->architecture, sizeof config->architecture, "%s", name);
            return SEMCAL_OK;
        }
    }
    return sc_error_set(error, SEMCAL_E_DATA,
                        "architecture '%.60s' is not supported; supported are LlamaForCausalLM, MistralForCausalLM, "
                        "Qwen2ForCausalLM and Qwen3ForCausalLM",
                        name);
}

/* rope_parameters (Transformers 5) holds everything; before, rope_theta stood at the top and rope_scaling beside it. */
static semcal_status read_rope(sc_rope_config *rope, const json_t *root, semcal_error *error)
{
    const json_t *parameters = json_object_get(root, "rope_parameters");
    const char *where = "rope_parameters";
    if (!json_is_object(parameters)) {
        parameters = json_object_get(root, "rope_scaling");
        where = "rope_scaling";
    }
    rope->theta = 10000;
    semcal_status status = read_positive(&rope->theta, root, "rope_theta", error);
    if (status != SEMCAL_OK || !json_is_object(parameters)) {
        return status;
    }
    status = read_positive(&rope->theta, parameters, "rope_theta", error);
    const json_t *type = json_object_get(parameters, "rope_type");
    const char *name = json_string_value(type != NULL ? type : json_object_get(parameters, "type"));
    if (status == SEMCAL_OK && (name == NULL || strcmp(name, "default") == 0)) {
        rope->kind = SC_ROPE_DEFAULT;
    } else if (status == SEMCAL_OK && strcmp(name, "linear") == 0) {
        rope->kind = SC_ROPE_LINEAR;
        status = read_positive(&rope->factor, parameters, "factor", error);
    } else if (status == SEMCAL_OK && strcmp(name, "llama3") == 0) {
        rope->kind = SC_ROPE_LLAMA3;
        if ((status = read_positive(&rope->factor, parameters, "factor", error)) == SEMCAL_OK &&
            (status = read_positive(&rope->low_factor, parameters, "low_freq_factor", error)) == SEMCAL_OK &&
            (status = read_positive(&rope->high_factor, parameters, "high_freq_factor", error)) == SEMCAL_OK) {
            status = read_positive(&rope->original_context, parameters, "original_max_position_embeddings", error);
        }
        if (status == SEMCAL_OK && rope->high_factor <= rope->low_factor) {
            status = sc_error_set(error, SEMCAL_E_DATA, "'high_freq_factor' must be above 'low_freq_factor'");
        }
    } else if (status == SEMCAL_OK) {
        status = sc_error_set(error, SEMCAL_E_DATA,
                              "rotary type '%.40s' is not supported; supported are default, linear and llama3", name);
    }
    if (status != SEMCAL_OK) {
        sc_error_where(error, "%s", where);
    }
    return status;
}

static void add_end(sc_model_config *config, const json_t *item)
{
    if (!json_is_integer(item) || json_integer_value(item) < 0 || json_integer_value(item) > INT32_MAX) {
        return;
    }
    const int32_t id = (int32_t)json_integer_value(item);
    for (size_t i = 0; i < config->n_ends; i++) {
        if (config->ends[i] == id) {
            return;
        }
    }
    if (config->n_ends < SC_MODEL_MAX_ENDS) {
        config->ends[config->n_ends++] = id;
    }
}

/* eos_token_id is a number or a list of them. */
static void read_ends(sc_model_config *config, const json_t *root)
{
    const json_t *ends = json_object_get(root, "eos_token_id");
    add_end(config, ends);
    for (size_t i = 0; i < json_array_size(ends); i++) {
        add_end(config, json_array_get(ends, i));
    }
}

static semcal_status read_shape(sc_model_config *config, const json_t *root, semcal_error *error)
{
    semcal_status status;
    if ((status = read_size(&config->width, root, "hidden_size", error)) != SEMCAL_OK ||
        (status = read_size(&config->mlp_width, root, "intermediate_size", error)) != SEMCAL_OK ||
        (status = read_size(&config->n_layers, root, "num_hidden_layers", error)) != SEMCAL_OK ||
        (status = read_size(&config->n_heads, root, "num_attention_heads", error)) != SEMCAL_OK ||
        (status = read_size(&config->n_vocabulary, root, "vocab_size", error)) != SEMCAL_OK ||
        (status = read_size(&config->n_context, root, "max_position_embeddings", error)) != SEMCAL_OK) {
        return status;
    }
    config->n_kv_heads = config->n_heads;
    config->head_size = config->width / config->n_heads;
    const json_t *head = json_object_get(root, "head_dim");
    if ((status = read_size_or(&config->n_kv_heads, root, "num_key_value_heads", error)) != SEMCAL_OK ||
        (status = read_size_or(&config->head_size, root, "head_dim", error)) != SEMCAL_OK) {
        return status;
    }
    if (!json_is_integer(head) && config->width % config->n_heads != 0) {
        return sc_error_set(
            error, SEMCAL_E_DATA,
            "'hidden_size' %zu is not a multiple of 'num_attention_heads' %zu and there is no 'head_dim'",
            config->width, config->n_heads);
    }
    if (config->n_heads % config->n_kv_heads != 0) {
        return sc_error_set(error, SEMCAL_E_DATA,
                            "'num_attention_heads' %zu is not a multiple of 'num_key_value_heads' %zu", config->n_heads,
                            config->n_kv_heads);
    }
    if (config->head_size == 0 || config->head_size % 2 != 0 || config->head_size > 1024) {
        return sc_error_set(error, SEMCAL_E_DATA, "'head_dim' must be even and at most 1024, got %zu",
                            config->head_size);
    }
    return SEMCAL_OK;
}

static semcal_status read_activation(const json_t *root, semcal_error *error)
{
    const char *name = json_string_value(json_object_get(root, "hidden_act"));
    if (name != NULL && strcmp(name, "silu") != 0) {
        return sc_error_set(error, SEMCAL_E_DATA, "'hidden_act' '%.40s' is not supported; supported is silu", name);
    }
    return SEMCAL_OK;
}

/* Attention over the last `sliding_window` positions is attention over all of them while there are no more than that:
 * the window becomes the context. Mistral slides unless told otherwise, Qwen when told so. */
static semcal_status read_window(sc_model_config *config, const json_t *root, semcal_error *error)
{
    enum { DEFAULT_WINDOW = 4096 };
    const bool mistral = strcmp(config->architecture, "MistralForCausalLM") == 0;
    bool sliding = mistral;
    semcal_status status = mistral ? SEMCAL_OK : read_flag(&sliding, root, "use_sliding_window", false, error);
    if (status != SEMCAL_OK || !sliding || json_is_null(json_object_get(root, "sliding_window"))) {
        return status;
    }
    size_t window = DEFAULT_WINDOW;
    status = read_size_or(&window, root, "sliding_window", error);
    config->n_context = window < config->n_context ? window : config->n_context;
    return status;
}

static semcal_status read_all(sc_model_config *config, const json_t *root, semcal_error *error)
{
    semcal_status status;
    if ((status = read_architecture(config, root, error)) != SEMCAL_OK ||
        (status = read_shape(config, root, error)) != SEMCAL_OK ||
        (status = read_activation(root, error)) != SEMCAL_OK ||
        (status = read_positive(&config->norm_epsilon, root, "rms_norm_eps", error)) != SEMCAL_OK ||
        (status = read_rope(&config->rope, root, error)) != SEMCAL_OK ||
        (status = read_flag(&config->tied, root, "tie_word_embeddings", false, error)) != SEMCAL_OK ||
        (status = read_window(config, root, error)) != SEMCAL_OK) {
        return status;
    }
    config->head_norms = strcmp(config->architecture, "Qwen3ForCausalLM") == 0;
    if (strcmp(config->architecture, "Qwen2ForCausalLM") == 0) {
        config->qkv_bias = true;
    } else if (strcmp(config->architecture, "MistralForCausalLM") != 0) {
        if ((status = read_flag(&config->qkv_bias, root, "attention_bias", false, error)) != SEMCAL_OK ||
            (status = read_flag(&config->mlp_bias, root, "mlp_bias", false, error)) != SEMCAL_OK) {
            return status;
        }
        config->output_bias = config->qkv_bias;
    }
    const json_t *bos = json_object_get(root, "bos_token_id");
    config->bos = json_is_integer(bos) && json_integer_value(bos) >= 0 && json_integer_value(bos) <= INT32_MAX
                      ? (int32_t)json_integer_value(bos)
                      : -1;
    read_ends(config, root);
    return SEMCAL_OK;
}

semcal_status sc_model_config_parse(sc_model_config *config, const char *text, size_t length, const char *where,
                                    semcal_error *error)
{
    *config = (sc_model_config){0};
    json_error_t json_error;
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &json_error);
    semcal_status status;
    if (!json_is_object(root)) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s:%d:%d: %s", where, json_error.line, json_error.column,
                              root == NULL ? json_error.text : "no JSON object");
    } else {
        status = read_all(config, root, error);
        if (status != SEMCAL_OK) {
            sc_error_where(error, "%s", where);
        }
    }
    json_decref(root);
    return status;
}

semcal_status sc_model_config_read(sc_model_config *config, const char *folder, semcal_error *error)
{
    char *path = sc_file_join(folder, "config.json", error), *generation = NULL, *text = NULL;
    size_t length;
    semcal_status status = SEMCAL_E_MEMORY;
    if (path == NULL || (generation = sc_file_join(folder, "generation_config.json", error)) == NULL) {
        goto done;
    }
    if ((status = sc_file_read(&text, &length, path, error)) != SEMCAL_OK ||
        (status = sc_model_config_parse(config, text, length, path, error)) != SEMCAL_OK) {
        goto done;
    }
    if (sc_file_exists(generation)) {
        json_error_t json_error;
        json_t *root = json_load_file(generation, 0, &json_error);
        if (root == NULL) {
            status = sc_error_set(error, SEMCAL_E_DATA, "%s:%d:%d: %s", generation, json_error.line, json_error.column,
                                  json_error.text);
        } else {
            read_ends(config, root);
        }
        json_decref(root);
    }
done:
    free(text);
    free(path);
    free(generation);
    return status;
}

void sc_rope_frequencies(double *frequency, const sc_rope_config *rope, size_t head_size)
{
    const double turn = 6.283185307179586476925286766559;
    for (size_t i = 0; i < head_size / 2; i++) {
        double f = pow(rope->theta, -2.0 * (double)i / (double)head_size);
        if (rope->kind == SC_ROPE_LINEAR) {
            f /= rope->factor;
        } else if (rope->kind == SC_ROPE_LLAMA3) {
            const double wavelength = turn / f;
            const double turns = rope->original_context / wavelength;
            if (turns < rope->low_factor) {
                f /= rope->factor;
            } else if (turns <= rope->high_factor) {
                const double blend = (turns - rope->low_factor) / (rope->high_factor - rope->low_factor);
                f = (1 - blend) * f / rope->factor + blend * f;
            }
        }
        frequency[i] = f;
    }
}

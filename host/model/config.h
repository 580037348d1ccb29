/* SPDX-License-Identifier: Apache-2.0 */
/* The shape of a decoder-only transformer, read from a Hugging Face config.json. */
#ifndef SC_MODEL_CONFIG_H
#define SC_MODEL_CONFIG_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum sc_rope_kind {
    SC_ROPE_DEFAULT, /* angle = position * theta^(-2i / head size) */
    SC_ROPE_LINEAR,  /* the same with position / factor */
    SC_ROPE_LLAMA3   /* low frequencies divided by factor, high ones kept, a linear blend between (Llama 3.1) */
} sc_rope_kind;

typedef struct sc_rope_config {
    sc_rope_kind kind;
    double theta;
    double factor;                                    /* linear, llama3 */
    double low_factor, high_factor, original_context; /* llama3 */
} sc_rope_config;

#define SC_MODEL_MAX_ENDS 16

typedef struct sc_model_config {
    char architecture[64]; /* LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM or Qwen3ForCausalLM */
    size_t width;          /* D, hidden_size */
    size_t mlp_width;      /* intermediate_size */
    size_t n_layers;
    size_t n_heads;      /* query heads H */
    size_t n_kv_heads;   /* divides n_heads */
    size_t head_size;    /* even */
    size_t n_vocabulary; /* V */
    size_t n_context;    /* max_position_embeddings, or the sliding window where that is shorter */
    double norm_epsilon;
    sc_rope_config rope;
    bool tied;                  /* output head is the embedding */
    bool qkv_bias, output_bias; /* biases of the attention's projections */
    bool mlp_bias;
    bool head_norms;                 /* RMSNorm of each head's query and key before the rotation */
    int32_t bos;                     /* -1: none */
    int32_t ends[SC_MODEL_MAX_ENDS]; /* eos_token_id, of config.json and generation_config.json */
    size_t n_ends;
} sc_model_config;

/* Reads `folder`/config.json (and generation_config.json for further end tokens, if there). SEMCAL_E_DATA names the
 * file and key; an unknown architecture names those that are supported. */
semcal_status sc_model_config_read(sc_model_config *config, const char *folder, semcal_error *error);

/* The same from JSON text; `where` stands in front of messages. */
semcal_status sc_model_config_parse(sc_model_config *config, const char *text, size_t length, const char *where,
                                    semcal_error *error);

/* Rotary frequencies: angle of pair i at position t is t * frequency[i]; `frequency` has head_size / 2 places. */
void sc_rope_frequencies(double *frequency, const sc_rope_config *rope, size_t head_size);

#endif

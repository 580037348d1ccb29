/* SPDX-License-Identifier: Apache-2.0 */
/* What model.c (opening), layers.c (weights) and forward.c share. */
#ifndef SC_MODEL_MODEL_INTERNAL_H
#define SC_MODEL_MODEL_INTERNAL_H

#include "model/model.h"
#include "model/weights.h"

struct sc_model_layer {
    sc_matrix *qkv, *o, *gate_up, *down;
    sc_buffer *attention_norm, *mlp_norm;
    sc_buffer *head_norms;    /* [2, head size]: gains of queries, of keys; NULL without */
    sc_buffer *keys, *values; /* pages */
};

struct sc_model {
    sc_model_config config;
    sc_device *device;
    sc_gemm *gemm;
    struct sc_model_layer *layers;
    sc_matrix *embedding, *head; /* the same when tied */
    sc_buffer *final_norm;
    sc_kernel *embed, *norm, *head_norm, *rope_store, *copy_pages, *keep, *attention;
    size_t group_size;
    size_t n_pages, max_rows, max_outputs;
    uint64_t key_page_bytes, value_page_bytes; /* of one page of one layer */
    sc_buffer *angle;                          /* [n_angles, head size / 2] (cos, sin) */
    size_t n_angles;
    /* activations, sized for max_rows (logits: max_outputs) */
    sc_buffer *x, *normed, *qkv, *mixed, *activation, *logits;
    sc_buffer *token, *position, *table, *output, *pages, *copies;
    size_t pages_capacity, copies_capacity;
    /* for counting what attention and embedding must read; NULL: nobody asks */
    unsigned char *seen, *seen_strips;                         /* [n_pages]; [sc_model_strips] */
    sc_buffer *kept_x, *kept_qkv, *kept_position, *kept_table; /* of the rows with logits in the last layer */
    size_t n_few;         /* forwards of so few rows that compact weights would have served them */
    bool compact_decided; /* they were made, or cannot be */
    char weights_sha256[65], kernels_sha256[65];
    const char *build_options;
};

/* Tokens by sixteens. */
static inline size_t sc_model_strips(const sc_model_config *config)
{
    return config->n_vocabulary / 16 + 1;
}

/* Weights and final norm of a checkpoint folder; of a model whose gemm is open. */
semcal_status sc_model_load_weights(sc_model *model, const char *folder, semcal_error *error);
/* Made-up weights of the same shape, in bf16 or fp32; the same every time. */
semcal_status sc_model_random_weights(sc_model *model, bool bf16, semcal_error *error);
/* Counts a forward; after enough of few rows makes compact weights (sc_model_compact). */
semcal_status sc_model_count_few(sc_model *model, size_t n_rows, semcal_error *error);
/* Multiplies all logits by `scale`. */
semcal_status sc_model_scale_head(sc_model *model, double scale, semcal_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The tensors of a model folder under the names Llama, Mistral and Qwen give them, with shapes and values checked. */
#ifndef SC_MODEL_WEIGHTS_H
#define SC_MODEL_WEIGHTS_H

#include "formats/safetensors.h"
#include "model/config.h"

/* One linear map y = x W^T + b: `weight` [out, in], `bias` [out] or NULL. */
typedef struct sc_linear {
    const sc_tensor *weight, *bias;
} sc_linear;

typedef struct sc_layer_weights {
    const sc_tensor *attention_norm, *mlp_norm; /* [D] */
    sc_linear q, k, v, o;             /* [H * head size, D], 2 x [kv heads * head size, D], [D, H * head size] */
    sc_linear gate, up, down;         /* 2 x [mlp width, D], [D, mlp width] */
    const sc_tensor *q_norm, *k_norm; /* [head size]; NULL without head norms */
} sc_layer_weights;

typedef struct sc_model_weights {
    sc_tensor_set *set;
    const sc_tensor *embedding;  /* [V, D] */
    const sc_tensor *final_norm; /* [D] */
    sc_linear head;              /* [V, D]; the embedding when tied */
    sc_layer_weights *layers;    /* [n_layers] */
} sc_model_weights;

/* Opens the tensors of `folder`. A missing tensor, a type other than F32, F16 or BF16, a shape that is not what
 * `config` says, and a NaN or infinity anywhere are SEMCAL_E_DATA (the last SEMCAL_E_NUMERIC) naming the tensor. */
semcal_status sc_model_weights_open(sc_model_weights *weights, const sc_model_config *config, const char *folder,
                                    semcal_error *error);
void sc_model_weights_close(sc_model_weights *weights);

/* sha256 (hex) over the sha256 of each file in the order of their names. */
semcal_status sc_model_weights_sha256(char hex[65], const sc_model_weights *weights, semcal_error *error);

#endif

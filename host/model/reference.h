/* SPDX-License-Identifier: Apache-2.0 */
/* The transformer in plain float64 C: slow, short, and what every device kernel is checked against. Tests only. */
#ifndef SC_MODEL_REFERENCE_H
#define SC_MODEL_REFERENCE_H

#include "model/weights.h"

/* Deliberate mistakes, to show that the comparison would notice them. All zero: the right forward. */
typedef struct sc_reference_mutation {
    bool no_qkv_bias;
    bool no_head_norms;
    bool interleaved_rope; /* pairs (2i, 2i+1) instead of (i, i + head size / 2) */
    double epsilon;        /* instead of the configured one, when above 0 */
} sc_reference_mutation;

/* logits [T, V] of the next token after each of `token_ids` [T]. `mutation` may be NULL. */
semcal_status sc_reference_logits(double *logits, const sc_model_config *config, const sc_model_weights *weights,
                                  const int32_t *token_ids, size_t n_tokens, const sc_reference_mutation *mutation,
                                  semcal_error *error);

/* logits - log sum exp(logits), in place, for each of `n_rows` rows of `n` values. */
void sc_reference_log_softmax(double *logits, size_t n_rows, size_t n);

#endif

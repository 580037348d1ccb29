/* SPDX-License-Identifier: Apache-2.0 */
#include "model/reference.h"

#include "base/memory.h"
#include "base/numeric.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* y [T, out] = x [T, in] W^T + b (b may be absent). `row` has room for max(in, out). */
static void linear(double *y, const double *x, const sc_linear *map, size_t T, bool use_bias, double *row)
{
    const size_t out = map->weight->shape[0], in = map->weight->shape[1];
    for (size_t j = 0; j < out; j++) {
        sc_tensor_get_doubles(row, map->weight, j * in, in);
        double bias = 0;
        if (use_bias && map->bias != NULL) {
            sc_tensor_get_doubles(&bias, map->bias, j, 1);
        }
        for (size_t t = 0; t < T; t++) {
            double sum = bias;
            for (size_t i = 0; i < in; i++) {
                sum += x[t * in + i] * row[i];
            }
            y[t * out + j] = sum;
        }
    }
}

static void rms_norm(double *y, const double *x, const sc_tensor *gain, size_t T, double epsilon, double *row)
{
    const size_t D = gain->shape[0];
    sc_tensor_get_doubles(row, gain, 0, D);
    for (size_t t = 0; t < T; t++) {
        double sum = 0;
        for (size_t i = 0; i < D; i++) {
            sum += x[t * D + i] * x[t * D + i];
        }
        const double scale = 1 / sqrt(sum / (double)D + epsilon);
        for (size_t i = 0; i < D; i++) {
            y[t * D + i] = x[t * D + i] * scale * row[i];
        }
    }
}

/* Rotates each head's pairs by position times frequency. */
static void rope(double *x, size_t T, size_t n_heads, size_t size, const double *frequency, bool interleaved)
{
    for (size_t t = 0; t < T; t++) {
        for (size_t h = 0; h < n_heads; h++) {
            double *head = x + (t * n_heads + h) * size;
            for (size_t i = 0; i < size / 2; i++) {
                double *a = interleaved ? head + 2 * i : head + i, *b = interleaved ? a + 1 : a + size / 2;
                const double angle = (double)t * frequency[i], c = cos(angle), s = sin(angle), a0 = *a, b0 = *b;
                *a = a0 * c - b0 * s;
                *b = b0 * c + a0 * s;
            }
        }
    }
}

static void attention(double *y, const double *q, const double *k, const double *v, size_t T, const sc_model_config *c,
                      double *score)
{
    const size_t size = c->head_size, group = c->n_heads / c->n_kv_heads;
    for (size_t t = 0; t < T; t++) {
        for (size_t h = 0; h < c->n_heads; h++) {
            const double *query = q + (t * c->n_heads + h) * size;
            double *out = y + (t * c->n_heads + h) * size;
            for (size_t s = 0; s <= t; s++) {
                const double *key = k + (s * c->n_kv_heads + h / group) * size;
                double dot = 0;
                for (size_t i = 0; i < size; i++) {
                    dot += query[i] * key[i];
                }
                score[s] = dot / sqrt((double)size);
            }
            const double log_sum = sc_log_sum_exp(score, t + 1);
            memset(out, 0, size * sizeof *out);
            for (size_t s = 0; s <= t; s++) {
                const double *value = v + (s * c->n_kv_heads + h / group) * size, weight = exp(score[s] - log_sum);
                for (size_t i = 0; i < size; i++) {
                    out[i] += weight * value[i];
                }
            }
        }
    }
}

struct scratch {
    double *x, *norm, *q, *k, *v, *mix, *gate, *up, *row, *score, *frequency;
};

static void layer_forward(struct scratch *s, const sc_model_config *c, const sc_layer_weights *w, size_t T,
                          double epsilon, const sc_reference_mutation *mutation)
{
    const size_t D = c->width;
    const bool bias = !mutation->no_qkv_bias;
    rms_norm(s->norm, s->x, w->attention_norm, T, epsilon, s->row);
    linear(s->q, s->norm, &w->q, T, bias, s->row);
    linear(s->k, s->norm, &w->k, T, bias, s->row);
    linear(s->v, s->norm, &w->v, T, bias, s->row);
    if (c->head_norms && !mutation->no_head_norms) {
        rms_norm(s->q, s->q, w->q_norm, T * c->n_heads, epsilon, s->row);
        rms_norm(s->k, s->k, w->k_norm, T * c->n_kv_heads, epsilon, s->row);
    }
    rope(s->q, T, c->n_heads, c->head_size, s->frequency, mutation->interleaved_rope);
    rope(s->k, T, c->n_kv_heads, c->head_size, s->frequency, mutation->interleaved_rope);
    attention(s->mix, s->q, s->k, s->v, T, c, s->score);
    linear(s->norm, s->mix, &w->o, T, true, s->row);
    for (size_t i = 0; i < T * D; i++) {
        s->x[i] += s->norm[i];
    }
    rms_norm(s->norm, s->x, w->mlp_norm, T, epsilon, s->row);
    linear(s->gate, s->norm, &w->gate, T, true, s->row);
    linear(s->up, s->norm, &w->up, T, true, s->row);
    for (size_t i = 0; i < T * c->mlp_width; i++) {
        s->gate[i] = s->gate[i] / (1 + exp(-s->gate[i])) * s->up[i];
    }
    linear(s->norm, s->gate, &w->down, T, true, s->row);
    for (size_t i = 0; i < T * D; i++) {
        s->x[i] += s->norm[i];
    }
}

semcal_status sc_reference_logits(double *logits, const sc_model_config *config, const sc_model_weights *weights,
                                  const int32_t *token_ids, size_t n_tokens, const sc_reference_mutation *mutation,
                                  semcal_error *error)
{
    static const sc_reference_mutation none = {0};
    mutation = mutation != NULL ? mutation : &none;
    const size_t T = n_tokens, D = config->width, Q = config->n_heads * config->head_size;
    const size_t KV = config->n_kv_heads * config->head_size, F = config->mlp_width;
    const size_t sizes[] = {T * D, T * D, T * Q, T * KV, T * KV, T * Q, T * F, T * F, D + Q + F, T, config->head_size};
    size_t total = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        total += sizes[i];
    }
    double *memory = sc_memory_alloc(total, sizeof *memory, error), *next = memory;
    if (memory == NULL) {
        return SEMCAL_E_MEMORY;
    }
    struct scratch s;
    double **parts[] = {&s.x, &s.norm, &s.q, &s.k, &s.v, &s.mix, &s.gate, &s.up, &s.row, &s.score, &s.frequency};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        *parts[i] = next;
        next += sizes[i];
    }
    const double epsilon = mutation->epsilon > 0 ? mutation->epsilon : config->norm_epsilon;
    sc_rope_frequencies(s.frequency, &config->rope, config->head_size);
    for (size_t t = 0; t < T; t++) {
        sc_tensor_get_doubles(s.x + t * D, weights->embedding, (uint64_t)token_ids[t] * D, D);
    }
    for (size_t i = 0; i < config->n_layers; i++) {
        layer_forward(&s, config, &weights->layers[i], T, epsilon, mutation);
    }
    rms_norm(s.norm, s.x, weights->final_norm, T, epsilon, s.row);
    linear(logits, s.norm, &weights->head, T, true, s.row);
    free(memory);
    return SEMCAL_OK;
}

void sc_reference_log_softmax(double *logits, size_t n_rows, size_t n)
{
    for (size_t t = 0; t < n_rows; t++) {
        const double log_sum = sc_log_sum_exp(logits + t * n, n);
        for (size_t i = 0; i < n; i++) {
            logits[t * n + i] -= log_sum;
        }
    }
}

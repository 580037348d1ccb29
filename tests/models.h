/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of models share: the fixture folders and the laws Transformers gave for them. */
#ifndef SEMCAL_TESTS_MODELS_H
#define SEMCAL_TESTS_MODELS_H

#include "check.h"
#include "formats/safetensors.h"

static const char *const model_fixtures[] = {
    "llama_fp32",      "llama_bf16_tied", "llama_bf16_sharded", "llama_bf16_llama3", "llama_bf16_linear",
    "qwen2_fp32_tied", "qwen2_bf16",      "qwen2_fp16",         "mistral_bf16",      "qwen3_bf16"};
enum { N_MODEL_FIXTURES = sizeof model_fixtures / sizeof *model_fixtures, N_FIXTURE_SEQUENCES = 3 };

static inline const char *fixture_folder(const char *name)
{
    static char path[4096];
    (void)snprintf(path, sizeof path, SEMCAL_FIXTURES "/models/%s", name);
    return path;
}

/* Sequence `i` of a fixture: `ids` [T] and `logp` [T, V], malloc'ed. */
static inline void fixture_sequence(const char *name, int i, int32_t **ids, double **logp, size_t *T, size_t *V)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    char path[4096], tensor[32];
    (void)snprintf(path, sizeof path, SEMCAL_FIXTURES "/models/%s/expected.safetensors", name);
    sc_tensor_set *set;
    check_ok(sc_tensor_set_open(&set, path, &error), error);
    (void)snprintf(tensor, sizeof tensor, "ids.%d", i);
    const sc_tensor *a = sc_tensor_set_find(set, tensor);
    (void)snprintf(tensor, sizeof tensor, "logp.%d", i);
    const sc_tensor *b = sc_tensor_set_find(set, tensor);
    assert_non_null(a);
    assert_non_null(b);
    *T = b->shape[0];
    *V = b->shape[1];
    *ids = malloc(*T * sizeof **ids);
    *logp = malloc(*T * *V * sizeof **logp);
    double *values = malloc(*T * sizeof *values);
    assert_true(*ids != NULL && *logp != NULL && values != NULL);
    sc_tensor_get_doubles(values, a, 0, *T);
    for (size_t t = 0; t < *T; t++) {
        (*ids)[t] = (int32_t)values[t];
    }
    sc_tensor_get_doubles(*logp, b, 0, *T * *V);
    free(values);
    sc_tensor_set_close(set);
}

#endif

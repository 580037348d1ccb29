/* SPDX-License-Identifier: Apache-2.0 */
/* Laws without the row kernels: for devices that lack double precision or fail the self-test, which is here too. */
#include "device/rows_law.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

semcal_status sc_rows_on_host(const sc_rows_input *input, const sc_rows_request *request, sc_rows_result *result,
                              semcal_error *error)
{
    const size_t element = sc_rows_element(input->type), V = input->n_vocabulary, n_top = request->n_top;
    void *row = sc_memory_alloc(V, element, error);
    semcal_status status = row == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t i = 0; i < input->n_rows && status == SEMCAL_OK; i++) {
        const size_t from = request->first_draw != NULL ? request->first_draw[i] : 0;
        const size_t first_draw[2] = {0, request->first_draw != NULL ? request->first_draw[i + 1] - from : 0};
#define FROM(pointer, offset) ((pointer) == NULL ? NULL : (pointer) + (offset))
        const sc_rows_request one = {.temperature = request->temperature,
                                     .first_draw = request->first_draw != NULL ? first_draw : NULL,
                                     .uniform = FROM(request->uniform, from),
                                     .target = FROM(request->target, i),
                                     .n_top = n_top};
        sc_rows_result out = {.log_normalizer = FROM(result->log_normalizer, i),
                              .entropy = FROM(result->entropy, i),
                              .target_logprob = FROM(result->target_logprob, i),
                              .target_logprob_raw = FROM(result->target_logprob_raw, i),
                              .target_rank = FROM(result->target_rank, i),
                              .top_token = FROM(result->top_token, i * n_top),
                              .top_logprob = FROM(result->top_logprob, i * n_top),
                              .token = FROM(result->token, from),
                              .logprob = FROM(result->logprob, from),
                              .logprob_raw = FROM(result->logprob_raw, from),
                              .first_row = result->first_row + i};
#undef FROM
        status = sc_buffer_read(input->logits, (input->offset + i * input->stride) * element, row, V * element, error);
        if (status == SEMCAL_OK) {
            status = sc_rows_reference(row, input->type, 1, V, V, &one, &out, error);
        }
        if (status == SEMCAL_E_NUMERIC) {
            result->bad_row = i;
            result->bad_token = out.bad_token;
        }
    }
    free(row);
    return status;
}

/* ---- the self-test ---- */

enum { N = 3, V = 1500, M = 4, TOP = 5 }; /* two blocks, the second with a rest */

/* What is compared; the entropy's last bits depend on the device's lanes. */
struct answers {
    double log_normalizer[N], target_logprob[N], top_logprob[N * TOP], logprob[N * M], logprob_raw[N * M];
    int32_t top_token[N * TOP], token[N * M], target_rank[N];
};

static sc_rows_result result_of(struct answers *a, double *entropy)
{
    return (sc_rows_result){.log_normalizer = a->log_normalizer,
                            .entropy = entropy,
                            .target_logprob = a->target_logprob,
                            .target_rank = a->target_rank,
                            .top_token = a->top_token,
                            .top_logprob = a->top_logprob,
                            .token = a->token,
                            .logprob = a->logprob,
                            .logprob_raw = a->logprob_raw};
}

/* Values between -8 and 8 that every type holds exactly. */
static void fill(void *logits, sc_rows_type type)
{
    uint32_t seed = 7;
    for (size_t i = 0; i < N * V; i++) {
        seed = seed * 1664525u + 1013904223u;
        const float x = (float)((int32_t)(seed >> 24) - 128) / 16.0f;
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        if (type == SC_ROWS_F32) {
            memcpy((float *)logits + i, &x, sizeof x);
        } else if (type == SC_ROWS_BF16) {
            ((uint16_t *)logits)[i] = (uint16_t)(bits >> 16);
        } else {
            const uint32_t sign = bits >> 16 & 0x8000u, exponent = (bits >> 23 & 0xff) - 112;
            ((uint16_t *)logits)[i] = (uint16_t)(x == 0 ? sign : sign | exponent << 10 | (bits >> 13 & 0x3ff));
        }
    }
}

semcal_status sc_rows_selftest(bool *same, void *payload, semcal_error *error)
{
    const sc_rows_trial *trial = payload;
    sc_device *device = sc_rows_device(trial->rows);
    static const size_t first_draw[N + 1] = {0, M, M, N * M}; /* also a row without draws */
    const int32_t target[N] = {0, V - 1, 700};
    const size_t element = sc_rows_element(trial->type);
    uint64_t uniform[N * M];
    double entropy[2][N];
    struct answers *answers = sc_memory_alloc(2, sizeof *answers, error);
    void *logits = sc_memory_alloc(N * V, element, error);
    sc_buffer *buffer = NULL;
    semcal_status status = SEMCAL_E_MEMORY;
    if (answers == NULL || logits == NULL) {
        goto done;
    }
    for (size_t i = 0; i < N * M; i++) {
        uniform[i] = (uint64_t)i * UINT64_C(0x13a7c15f5d4e9b21) + 5;
    }
    fill(logits, trial->type);
    const sc_rows_request request = {0.75, first_draw, uniform, target, TOP};
    sc_rows_result got = result_of(&answers[0], entropy[0]), expected = result_of(&answers[1], entropy[1]);
    if ((status = sc_buffer_create(&buffer, device, N * V * element, SC_BUFFER_DEVICE, "self-test", error)) !=
            SEMCAL_OK ||
        (status = sc_buffer_write(buffer, 0, logits, N * V * element, error)) != SEMCAL_OK) {
        goto done;
    }
    const sc_rows_input input = {buffer, trial->type, N, V, V, 0};
    if ((status = sc_rows_evaluate(trial->rows, &input, &request, &got, error)) == SEMCAL_OK &&
        (status = sc_rows_reference(logits, trial->type, N, V, V, &request, &expected, error)) == SEMCAL_OK) {
        *same = memcmp(&answers[0], &answers[1], sizeof *answers) == 0;
        for (size_t i = 0; i < N; i++) {
            const double gap = entropy[0][i] - entropy[1][i];
            *same = *same && gap < 1e-6 && gap > -1e-6;
        }
    }
done:
    sc_buffer_free(buffer);
    free(logits);
    free(answers);
    return status;
}

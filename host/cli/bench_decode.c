/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding steps of a model of the Qwen2.5-0.5B shape with random bf16 weights: one token for each of 1, 8, 50
 * sequences that share a prompt, forward and draws, against its matrix products alone. */
#include "cli/bench.h"

#include "abi.h"
#include "base/memory.h"
#include "device/rows.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROMPT = 128, MOST = 50, SETS = 6, N_MATRICES = 4, PAGES = PROMPT / SC_PAGE + 1 };

static const size_t batches[] = {1, 8, MOST};
static const struct {
    size_t n, k;
} products[N_MATRICES] = {{1152, 896}, {896, 896}, {9728, 896}, {896, 4864}};

/* Everything the cases share. The products cycle through a few sets of weights, more than caches hold. */
typedef struct workplace {
    sc_device *device;
    sc_model *model;
    sc_rows *rows;
    sc_gemm *gemm;
    sc_matrix *matrix[SETS][N_MATRICES], *head;
    sc_buffer *a, *c;
    size_t first_draw[MOST + 1];
    uint64_t uniform[MOST];
} workplace;

typedef struct step {
    workplace *place;
    size_t m;
} step;

static semcal_status decode(void *payload, semcal_error *error)
{
    const step *s = payload;
    workplace *place = s->place;
    int32_t token[MOST], position[MOST], table[MOST], output[MOST], pages[MOST * PAGES], drawn[MOST];
    double numbers[4 * MOST];
    for (size_t r = 0; r < s->m; r++) {
        token[r] = (int32_t)(r * 37 + 11);
        position[r] = PROMPT;
        table[r] = (int32_t)(r * PAGES);
        output[r] = (int32_t)r;
        for (size_t p = 0; p < PAGES; p++) {
            pages[r * PAGES + p] = (int32_t)(p + 1 < PAGES ? p : PAGES + r);
        }
    }
    const sc_forward forward = {s->m, token, position, table, pages, s->m * PAGES, output, s->m};
    semcal_status status = sc_model_forward(place->model, &forward, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    const size_t V = sc_model_shape(place->model)->n_vocabulary;
    const sc_rows_input input = {sc_model_logits(place->model), SC_ROWS_F32, s->m, V, V, 0};
    sc_rows_request request = SC_ROWS_REQUEST_INIT;
    request.first_draw = place->first_draw;
    request.uniform = place->uniform;
    sc_rows_result result = {.log_normalizer = numbers,
                             .entropy = numbers + MOST,
                             .token = drawn,
                             .logprob = numbers + 2 * MOST,
                             .logprob_raw = numbers + 3 * MOST};
    return sc_rows_evaluate(place->rows, &input, &request, &result, error);
}

static semcal_status multiply(void *payload, semcal_error *error)
{
    const step *s = payload;
    workplace *place = s->place;
    semcal_status status = SEMCAL_OK;
    const size_t n_layers = sc_model_shape(place->model)->n_layers;
    for (size_t i = 0; i < n_layers * N_MATRICES && status == SEMCAL_OK; i++) {
        const size_t j = i % N_MATRICES;
        status = sc_gemm_run(place->gemm, place->c, products[j].n, SC_MODE_STORE, place->a,
                             place->matrix[i / N_MATRICES % SETS][j], s->m, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_gemm_run(place->gemm, place->c, sc_matrix_rows(place->head), SC_MODE_STORE, place->a, place->head,
                             s->m, error);
    }
    return status == SEMCAL_OK ? sc_device_finish(place->device, error) : status;
}

static void some_row(float *row, size_t i, void *payload)
{
    const size_t k = *(const size_t *)payload;
    for (size_t j = 0; j < k; j++) {
        row[j] = (float)((int32_t)((i * 31 + j * 17) % 255) - 127) / 1024.0f;
    }
}

static semcal_status prepare(workplace *place, semcal_error *error)
{
    const sc_model_config config = {.architecture = "Qwen2ForCausalLM",
                                    .width = 896,
                                    .mlp_width = 4864,
                                    .n_layers = 24,
                                    .n_heads = 14,
                                    .n_kv_heads = 2,
                                    .head_size = 64,
                                    .n_vocabulary = 151936,
                                    .n_context = 1024,
                                    .norm_epsilon = 1e-6,
                                    .rope = {.kind = SC_ROPE_DEFAULT, .theta = 1e6},
                                    .tied = true};
    sc_model_options options = SC_MODEL_OPTIONS_INIT;
    options.gemm = SC_GEMM_OWN;
    options.max_rows = options.max_outputs = PROMPT;
    options.kv_bytes = (uint64_t)128 << 20;
    const uint64_t a_bytes = sizeof(float) * MOST * 4864, c_bytes = sizeof(float) * MOST * config.n_vocabulary;
    semcal_status status;
    if ((status = sc_model_open_random(&place->model, &config, true, place->device, &options, error)) != SEMCAL_OK ||
        (status = sc_rows_create(&place->rows, place->device, NULL, error)) != SEMCAL_OK ||
        (status = sc_gemm_open(&place->gemm, place->device, SC_GEMM_OWN, error)) != SEMCAL_OK ||
        (status = sc_buffer_create(&place->a, place->device, a_bytes, SC_BUFFER_DEVICE, "rows", error)) != SEMCAL_OK ||
        (status = sc_buffer_create(&place->c, place->device, c_bytes, SC_BUFFER_DEVICE, "products", error)) !=
            SEMCAL_OK) {
        return status;
    }
    const float half = 0.5f;
    status = sc_buffer_fill(place->a, 0, a_bytes, &half, sizeof half, error);
    for (size_t i = 0; i < SETS * N_MATRICES && status == SEMCAL_OK; i++) {
        size_t k = products[i % N_MATRICES].k;
        status = sc_matrix_pack(&place->matrix[i / N_MATRICES][i % N_MATRICES], place->gemm, products[i % N_MATRICES].n,
                                k, true, false, some_row, NULL, "benchmark weights", &k, error);
    }
    size_t width = config.width;
    if (status == SEMCAL_OK) {
        status = sc_matrix_pack(&place->head, place->gemm, config.n_vocabulary, width, true, false, some_row, NULL,
                                "benchmark weights", &width, error);
    }
    for (size_t i = 0; i <= MOST; i++) {
        place->first_draw[i] = i;
        if (i < MOST) {
            place->uniform[i] = (uint64_t)i * UINT64_C(0x0512345678901234);
        }
    }
    return status;
}

/* The shared prompt, once. */
static semcal_status prefill(workplace *place, semcal_error *error)
{
    int32_t token[PROMPT], position[PROMPT], table[PROMPT] = {0}, pages[PAGES];
    for (int32_t t = 0; t < PROMPT; t++) {
        token[t] = t * 101 + 5;
        position[t] = t;
    }
    for (int32_t p = 0; p < PAGES; p++) {
        pages[p] = p;
    }
    const sc_forward forward = {PROMPT, token, position, table, pages, PAGES, NULL, 0};
    semcal_status status = sc_model_forward(place->model, &forward, error);
    return status == SEMCAL_OK ? sc_device_finish(place->device, error) : status;
}

static void dismantle(workplace *place)
{
    for (size_t i = 0; i < SETS * N_MATRICES; i++) {
        sc_matrix_free(place->matrix[i / N_MATRICES][i % N_MATRICES]);
    }
    sc_matrix_free(place->head);
    sc_buffer_free(place->a);
    sc_buffer_free(place->c);
    sc_gemm_close(place->gemm);
    sc_rows_free(place->rows);
    sc_model_close(place->model);
}

semcal_status sc_bench_decode(sc_bench *bench, semcal_error *error)
{
    enum { N = 2 * sizeof batches / sizeof *batches };
    workplace *place = sc_memory_alloc(1, sizeof *place, error);
    if (place == NULL) {
        return SEMCAL_E_MEMORY;
    }
    place->device = bench->device;
    step steps[N];
    sc_bench_case cases[N];
    char names[N][80];
    for (size_t i = 0; i < N; i++) {
        const size_t m = batches[i / 2];
        steps[i] = (step){place, m};
        (void)snprintf(names[i], sizeof names[i], "%s, batch %zu", i % 2 == 0 ? "products alone" : "decode", m);
        cases[i] = (sc_bench_case)SC_BENCH_CASE_INIT;
        cases[i].name = names[i];
        cases[i].body = i % 2 == 0 ? multiply : decode;
        cases[i].payload = &steps[i];
        cases[i].work = 1e9 * (double)m; /* rates are per 1e9 */
        cases[i].unit = "token/s";
        cases[i].ceiling = i % 2 == 0 ? -1 : (int)i - 1;
    }
    semcal_status status = prepare(place, error);
    if (status == SEMCAL_OK) {
        status = prefill(place, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_bench_measure(bench, cases, N, error);
    }
    dismantle(place);
    free(place);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Prefill of one prompt through a model of the Qwen2.5-0.5B shape with random bf16 weights, from tokens to the logits
 * after the last of them, attention and all, against the rate of OpenBLAS at the products of its layers alone. */
#include "cli/bench.h"

#include "abi.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_ROWS = 1024, BLAS_LAYERS = 4 };

typedef struct workplace {
    sc_model *model;
    sc_bench_sgemm sgemm;
    float *a, *c, *w[SC_BENCH_N_PRODUCTS];
    int32_t *token, *position, *table, *pages;
    size_t n_prompt;
} workplace;

static semcal_status prefill(void *payload, semcal_error *error)
{
    const workplace *place = payload;
    semcal_status status = SEMCAL_OK;
    const size_t n = place->n_prompt;
    for (size_t first = 0; first < n && status == SEMCAL_OK; first += MAX_ROWS) {
        const size_t rows = n - first < MAX_ROWS ? n - first : MAX_ROWS;
        const int32_t last = (int32_t)rows - 1;
        const sc_forward forward = {rows,
                                    place->token + first,
                                    place->position + first,
                                    place->table,
                                    place->pages,
                                    (n + SC_PAGE - 1) / SC_PAGE,
                                    &last,
                                    first + rows == n,
                                    NULL,
                                    0};
        status = sc_model_forward(place->model, &forward, error);
    }
    return status == SEMCAL_OK ? sc_device_finish(sc_model_device(place->model), error) : status;
}

/* OpenBLAS on the same rows, a few layers of it. */
static semcal_status blas(void *payload, semcal_error *error)
{
    (void)error;
    const workplace *place = payload;
    for (size_t first = 0; first < place->n_prompt; first += MAX_ROWS) {
        const size_t rows = place->n_prompt - first < MAX_ROWS ? place->n_prompt - first : MAX_ROWS;
        for (size_t i = 0; i < BLAS_LAYERS * SC_BENCH_N_PRODUCTS; i++) {
            const size_t j = i % SC_BENCH_N_PRODUCTS;
            const int n = (int)sc_bench_products[j].n, k = (int)sc_bench_products[j].k;
            place->sgemm(101, 111, 112, (int)rows, n, k, 1, place->a, k, place->w[j], k, 0, place->c, n);
        }
    }
    return SEMCAL_OK;
}

static semcal_status prepare(workplace *place, sc_device *device, sc_gemm_choice choice, size_t most,
                             semcal_error *error)
{
    semcal_status status =
        sc_bench_open_model(&place->model, device, choice, MAX_ROWS, most, (most + SC_PAGE - 1) / SC_PAGE, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    place->token = sc_memory_alloc(most, sizeof *place->token, error);
    place->position = sc_memory_alloc(most, sizeof *place->position, error);
    place->table = sc_memory_alloc(most, sizeof *place->table, error);
    place->pages = sc_memory_alloc(most, sizeof *place->pages, error);
    if (!place->token || !place->position || !place->table || !place->pages) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t t = 0; t < most; t++) {
        place->token[t] = (int32_t)(t * 101 % 150000);
        place->position[t] = (int32_t)t;
        place->pages[t] = (int32_t)(t < (most + SC_PAGE - 1) / SC_PAGE ? t : 0);
    }
    place->sgemm = sc_bench_find_sgemm();
    if (place->sgemm == NULL) {
        return SEMCAL_OK;
    }
    place->a = sc_memory_alloc((size_t)MAX_ROWS * 4864, sizeof(float), error);
    place->c = sc_memory_alloc((size_t)MAX_ROWS * 9728, sizeof(float), error);
    for (size_t j = 0; j < SC_BENCH_N_PRODUCTS; j++) {
        place->w[j] = sc_memory_alloc(sc_bench_products[j].n * sc_bench_products[j].k, sizeof(float), error);
        if (place->w[j] == NULL) {
            return SEMCAL_E_MEMORY;
        }
        for (size_t i = 0; i < sc_bench_products[j].n * sc_bench_products[j].k; i++) {
            place->w[j][i] = (float)(i % 255) / 1024;
        }
    }
    if (place->a == NULL || place->c == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < (size_t)MAX_ROWS * 4864; i++) {
        place->a[i] = (float)(i % 127) / 512;
    }
    return SEMCAL_OK;
}

static void dismantle(workplace *place)
{
    sc_model_close(place->model);
    free(place->token);
    free(place->position);
    free(place->table);
    free(place->pages);
    free(place->a);
    free(place->c);
    for (size_t j = 0; j < SC_BENCH_N_PRODUCTS; j++) {
        free(place->w[j]);
    }
}

static semcal_status measure(sc_bench *bench, workplace *place, size_t n, semcal_error *error)
{
    char names[2][80];
    (void)snprintf(names[0], sizeof names[0], "OpenBLAS products, %zu rows", n);
    (void)snprintf(names[1], sizeof names[1], "prefill, %zu tokens", n);
    place->n_prompt = n;
    double per_layer = 0;
    for (size_t j = 0; j < SC_BENCH_N_PRODUCTS; j++) {
        per_layer += 2.0 * (double)n * (double)sc_bench_products[j].n * (double)sc_bench_products[j].k;
    }
    const sc_model_config *shape = sc_model_shape(place->model);
    const double pairs = (double)n * (double)(n + 1) / 2; /* of a position and one it attends to */
    const double attention = 4.0 * (double)(shape->n_heads * shape->head_size) * pairs;
    sc_bench_case cases[2] = {SC_BENCH_CASE_INIT, SC_BENCH_CASE_INIT};
    for (size_t i = 0; i < 2; i++) {
        cases[i].name = names[i];
        cases[i].payload = place;
        cases[i].unit = "GFLOP/s";
    }
    cases[0].body = blas;
    cases[0].work = per_layer * BLAS_LAYERS;
    cases[1].body = prefill;
    cases[1].work = (per_layer + attention) * (double)shape->n_layers;
    cases[1].ceiling = 0;
    if (place->sgemm == NULL) {
        cases[1].ceiling = -1;
        return sc_bench_measure(bench, &cases[1], 1, error);
    }
    return sc_bench_measure(bench, cases, 2, error);
}

semcal_status sc_bench_prefill(sc_bench *bench, semcal_error *error)
{
    const size_t usual[] = {256, 2048};
    const size_t *lengths = bench->n_prompt != 0 ? &bench->n_prompt : usual, n = bench->n_prompt != 0 ? 1 : 2;
    workplace place = {0};
    semcal_status status = prepare(&place, bench->device, bench->gemm, lengths[n - 1], error);
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        status = measure(bench, &place, lengths[i], error);
    }
    dismantle(&place);
    return status;
}

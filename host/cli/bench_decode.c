/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding steps of a model of the Qwen2.5-0.5B shape with random bf16 weights: one token for each of 1, 8, 50
 * sequences after a prompt they share, forward and draws, against the matrix products alone; and the share of a step
 * that is attention. */
#include "cli/bench.h"

#include "abi.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/numeric.h"
#include "device/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROMPT = 128, SETS = 6, N_MATRICES = SC_BENCH_N_PRODUCTS, N_BATCHES = 3, MOST_ROWS = 1024 };

/* Everything the cases share. The products cycle through a few sets of weights, more than caches hold. */
typedef struct workplace {
    sc_device *device;
    sc_model *model;
    sc_rows *rows;
    sc_gemm_choice choice;
    sc_gemm *gemm;
    sc_matrix *matrix[SETS][N_MATRICES], *head;
    sc_buffer *a, *c;
    size_t n_prompt, most;    /* positions before the step; sequences of the largest one */
    size_t n_shared, n_lists; /* full pages of the prompt; copies of them */
    size_t n_pages;           /* of one sequence */
    int32_t *rows_of, *pages; /* [4, most] token, position, table, output; [most, n_pages] */
    int32_t *drawn;           /* [most] */
    double *numbers;          /* [4, most] */
    size_t *first_draw;       /* [most + 1] */
    uint64_t *uniform;        /* [most] */
} workplace;

typedef struct step {
    workplace *place;
    size_t m;
    double *share; /* of attention, of every step so far */
    size_t n_steps;
} step;

/* Pages 0 .. n_lists * n_shared - 1 hold the prompt, once or for every sequence; then one or two of each sequence. */
static void list_pages(workplace *place, size_t m)
{
    const size_t own = place->n_pages - place->n_shared;
    for (size_t r = 0; r < m; r++) {
        for (size_t p = 0; p < place->n_pages; p++) {
            const size_t shared = place->n_lists == 1 ? p : r * place->n_shared + p;
            const size_t mine = place->n_lists * place->n_shared + r * own + p - place->n_shared;
            place->pages[r * place->n_pages + p] = (int32_t)(p < place->n_shared ? shared : mine);
        }
    }
}

static semcal_status attention_seconds(double *seconds, sc_device *device, semcal_error *error)
{
    sc_profile_row *rows;
    size_t n;
    *seconds = 0;
    semcal_status status = sc_device_profile(&rows, &n, device, error);
    for (size_t i = 0; status == SEMCAL_OK && i < n; i++) {
        *seconds += strcmp(rows[i].kernel, "attention") == 0 ? rows[i].seconds : 0;
    }
    free(status == SEMCAL_OK ? rows : NULL);
    return status;
}

static semcal_status run_step(workplace *place, size_t m, semcal_error *error)
{
    int32_t *token = place->rows_of, *position = token + place->most, *table = position + place->most,
            *output = table + place->most;
    for (size_t r = 0; r < m; r++) {
        token[r] = (int32_t)(r * 37 + 11);
        position[r] = (int32_t)place->n_prompt;
        table[r] = (int32_t)(r * place->n_pages);
        output[r] = (int32_t)r;
    }
    const sc_forward forward = {m, token, position, table, place->pages, m * place->n_pages, output, m, NULL, 0};
    semcal_status status = sc_model_forward(place->model, &forward, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    const size_t V = sc_model_shape(place->model)->n_vocabulary;
    const sc_rows_input input = {sc_model_logits(place->model), SC_ROWS_F32, m, V, V, 0};
    sc_rows_request request = SC_ROWS_REQUEST_INIT;
    request.first_draw = place->first_draw;
    request.uniform = place->uniform;
    sc_rows_result result = {.log_normalizer = place->numbers,
                             .entropy = place->numbers + place->most,
                             .token = place->drawn,
                             .logprob = place->numbers + 2 * place->most,
                             .logprob_raw = place->numbers + 3 * place->most};
    return sc_rows_evaluate(place->rows, &input, &request, &result, error);
}

static semcal_status decode(void *payload, semcal_error *error)
{
    step *s = payload;
    double before = 0, after = 0;
    semcal_status status = attention_seconds(&before, s->place->device, error);
    const double start = sc_clock_now_s();
    status = status == SEMCAL_OK ? run_step(s->place, s->m, error) : status;
    const double wall = sc_clock_now_s() - start;
    status = status == SEMCAL_OK ? sc_device_finish(s->place->device, error) : status;
    status = status == SEMCAL_OK ? attention_seconds(&after, s->place->device, error) : status;
    s->share[s->n_steps++] = (after - before) / wall;
    return status;
}

static semcal_status multiply(void *payload, semcal_error *error)
{
    const step *s = payload;
    workplace *place = s->place;
    semcal_status status = SEMCAL_OK;
    const size_t n_layers = sc_model_shape(place->model)->n_layers;
    for (size_t i = 0; i < n_layers * N_MATRICES && status == SEMCAL_OK; i++) {
        const size_t j = i % N_MATRICES;
        status = sc_gemm_run(place->gemm, place->c, sc_bench_products[j].n, SC_MODE_STORE, place->a,
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

static semcal_status prepare_rows(workplace *place, semcal_error *error)
{
    const size_t most = place->most;
    place->rows_of = sc_memory_alloc(4 * most, sizeof *place->rows_of, error);
    place->pages = sc_memory_alloc(most * place->n_pages, sizeof *place->pages, error);
    place->drawn = sc_memory_alloc(most, sizeof *place->drawn, error);
    place->numbers = sc_memory_alloc(4 * most, sizeof *place->numbers, error);
    place->first_draw = sc_memory_alloc(most + 1, sizeof *place->first_draw, error);
    place->uniform = sc_memory_alloc(most, sizeof *place->uniform, error);
    if (!place->rows_of || !place->pages || !place->drawn || !place->numbers || !place->first_draw || !place->uniform) {
        return SEMCAL_E_MEMORY;
    }
    list_pages(place, most);
    for (size_t i = 0; i < most; i++) {
        place->first_draw[i + 1] = i + 1;
        place->uniform[i] = (uint64_t)i * UINT64_C(0x0512345678901234);
    }
    return SEMCAL_OK;
}

static semcal_status prepare(workplace *place, semcal_error *error)
{
    const size_t n_pages = place->n_lists * place->n_shared + place->most * (place->n_pages - place->n_shared);
    const uint64_t a_bytes = sizeof(float) * place->most * 4864;
    semcal_status status;
    if ((status = prepare_rows(place, error)) != SEMCAL_OK ||
        (status = sc_bench_open_model(&place->model, place->device, place->choice, MOST_ROWS, place->n_prompt + 1,
                                      n_pages, error)) != SEMCAL_OK ||
        (status = sc_rows_create(&place->rows, place->device, NULL, error)) != SEMCAL_OK ||
        (status = sc_gemm_open(&place->gemm, place->device, place->choice, error)) != SEMCAL_OK ||
        (status = sc_buffer_create(&place->a, place->device, a_bytes, SC_BUFFER_DEVICE, "rows", error)) != SEMCAL_OK) {
        return status;
    }
    const size_t n_vocabulary = sc_model_shape(place->model)->n_vocabulary;
    status = sc_buffer_create(&place->c, place->device, sizeof(float) * place->most * n_vocabulary, SC_BUFFER_DEVICE,
                              "products", error);
    const float half = 0.5f;
    if (status == SEMCAL_OK) {
        status = sc_buffer_fill(place->a, 0, a_bytes, &half, sizeof half, error);
    }
    for (size_t i = 0; i < SETS * N_MATRICES && status == SEMCAL_OK; i++) {
        size_t k = sc_bench_products[i % N_MATRICES].k;
        status = sc_matrix_pack(&place->matrix[i / N_MATRICES][i % N_MATRICES], place->gemm,
                                sc_bench_products[i % N_MATRICES].n, k, true, false, some_row, NULL,
                                "benchmark weights", &k, error);
    }
    size_t width = sc_model_shape(place->model)->width;
    if (status == SEMCAL_OK) {
        status = sc_matrix_pack(&place->head, place->gemm, n_vocabulary, width, true, false, some_row, NULL,
                                "benchmark weights", &width, error);
    }
    return status;
}

/* Compact weights, as steps of few rows have them once they keep coming; without memory for them, panels. */
static semcal_status make_compact(workplace *place, semcal_error *error)
{
    semcal_status status = sc_model_compact(place->model, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    semcal_error why = SEMCAL_ERROR_INIT;
    for (size_t i = 0; i < SETS * N_MATRICES && status == SEMCAL_OK; i++) {
        status = sc_matrix_compact(place->matrix[i / N_MATRICES][i % N_MATRICES], place->gemm, &why);
    }
    status = status == SEMCAL_OK ? sc_matrix_compact(place->head, place->gemm, &why) : status;
    const bool no_memory = sc_device_ran_out(place->device) || status == SEMCAL_E_MEMORY;
    return status == SEMCAL_OK || no_memory ? SEMCAL_OK : sc_error_set(error, status, "%s", why.message);
}

/* The prompt, through the pages of each sequence that has its own; its end goes to every sequence's own page. */
static semcal_status prefill(workplace *place, semcal_error *error)
{
    const size_t T = place->n_prompt;
    int32_t *rows = sc_memory_alloc(3 * MOST_ROWS, sizeof *rows, error);
    semcal_status status = rows == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t r = 0; r < place->most && status == SEMCAL_OK; r++) {
        const size_t begin = r == 0 || place->n_lists > 1 ? 0 : place->n_shared * SC_PAGE;
        for (size_t first = begin; first < T && status == SEMCAL_OK; first += MOST_ROWS) {
            const size_t n = T - first < MOST_ROWS ? T - first : MOST_ROWS;
            for (size_t i = 0; i < n; i++) {
                rows[i] = (int32_t)((first + i) * 101 % 150000);
                rows[MOST_ROWS + i] = (int32_t)(first + i);
            }
            memset(rows + 2 * MOST_ROWS, 0, MOST_ROWS * sizeof *rows);
            const sc_forward forward = {n,
                                        rows,
                                        rows + MOST_ROWS,
                                        rows + 2 * MOST_ROWS,
                                        place->pages + r * place->n_pages,
                                        place->n_pages,
                                        NULL,
                                        0,
                                        NULL,
                                        0};
            status = sc_model_forward(place->model, &forward, error);
        }
    }
    free(rows);
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
    free(place->rows_of);
    free(place->pages);
    free(place->drawn);
    free(place->numbers);
    free(place->first_draw);
    free(place->uniform);
}

static semcal_status measure(sc_bench *bench, workplace *place, const size_t *batches, size_t n_batches,
                             semcal_error *error)
{
    step steps[2 * N_BATCHES];
    sc_bench_case cases[2 * N_BATCHES];
    char names[2 * N_BATCHES][80];
    double *shares = sc_memory_alloc(n_batches * (bench->n_rounds + 1), sizeof *shares, error);
    if (shares == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < 2 * n_batches; i++) {
        const size_t m = batches[i / 2];
        steps[i] = (step){place, m, shares + i / 2 * (bench->n_rounds + 1), 0};
        (void)snprintf(names[i], sizeof names[i], "%s, batch %zu", i % 2 == 0 ? "products alone" : "decode", m);
        cases[i] = (sc_bench_case)SC_BENCH_CASE_INIT;
        cases[i].name = names[i];
        cases[i].body = i % 2 == 0 ? multiply : decode;
        cases[i].payload = &steps[i];
        cases[i].work = 1e9 * (double)m; /* rates are per 1e9 */
        cases[i].unit = "token/s";
        cases[i].ceiling = i % 2 == 0 ? -1 : (int)i - 1;
    }
    semcal_status status = sc_bench_measure(bench, cases, 2 * n_batches, error);
    for (size_t i = 0; i < n_batches && status == SEMCAL_OK; i++) {
        double *share = steps[2 * i + 1].share + 1; /* without the round that warms up */
        char name[80];
        (void)snprintf(name, sizeof name, "attention, %zu%s + %zu tokens", place->n_prompt,
                       place->n_lists > 1 ? " own" : "", batches[i]);
        qsort(share, bench->n_rounds, sizeof *share, sc_compare_doubles);
        const double middle = sc_quantile_sorted(share, bench->n_rounds, 0.5);
        const double step_s = bench->entries[bench->n - i - 2 * (n_batches - i) + 1].median_s;
        status = sc_bench_append(bench, name, middle * step_s, middle, names[2 * i + 1], error);
    }
    free(shares);
    return status;
}

semcal_status sc_bench_decode(sc_bench *bench, semcal_error *error)
{
    const size_t usual[N_BATCHES] = {1, 8, 50};
    const size_t *batches = bench->n_live != 0 ? &bench->n_live : usual, n = bench->n_live != 0 ? 1 : N_BATCHES;
    workplace *place = sc_memory_alloc(1, sizeof *place, error);
    if (place == NULL) {
        return SEMCAL_E_MEMORY;
    }
    place->device = bench->device;
    place->choice = bench->gemm;
    place->n_prompt = bench->n_prompt != 0 ? bench->n_prompt : PROMPT;
    place->most = batches[n - 1];
    place->n_shared = place->n_prompt / SC_PAGE;
    place->n_lists = bench->unshared ? place->most : 1;
    place->n_pages = place->n_prompt / SC_PAGE + 1;
    semcal_status status = prepare(place, error);
    if (status == SEMCAL_OK) {
        status = prefill(place, error);
    }
    if (status == SEMCAL_OK && batches[0] <= sc_gemm_compact_rows(place->gemm)) {
        status = make_compact(place, error);
    }
    if (status == SEMCAL_OK) {
        status = measure(bench, place, batches, n, error);
    }
    dismantle(place);
    free(place);
    return status;
}

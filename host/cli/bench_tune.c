/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the parameters of device/tune.h on this device: one after the other, each candidate against the present value
 * in the same rounds; a candidate must be 3 % faster to replace it. */
#include "cli/bench.h"

#include "abi.h"
#include "base/memory.h"
#include "device/gemm.h"
#include "device/rows.h"
#include "device/tune.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WIDTH = 896,
    MLP = 9728,
    LARGE = 49152,
    MOST_ROWS = 200,
    N_ROWS = 64,
    V = 151936,
    DRAWS = 50,
    MOST_CANDIDATES = 8
};

/* What the candidates work on. */
typedef struct workplace {
    sc_device *device;
    sc_gemm *gemm, *clblast, *rounding;
    sc_matrix *square, *wide, *plain, *large[2]; /* large: more than caches hold, for gemm and for rounding */
    sc_buffer *a, *c;
    sc_rows *rows;
    size_t *first_draw;
    uint64_t *uniform;
    int32_t *token;
    double *numbers;
} workplace;

typedef struct candidate {
    workplace *place;
    const sc_tune_parameter *parameter;
    int32_t value;
    semcal_status (*work)(workplace *place, semcal_error *error);
    size_t m; /* products of CLBlast against the own method */
} candidate;

/* ---- work ---- */

static const sc_tune_parameter *find(const char *name)
{
    const sc_tune_parameter *p = sc_tune_parameters;
    while (strcmp(p->name, name) != 0) {
        p++;
    }
    return p;
}

static semcal_status multiply(workplace *p, semcal_error *error)
{
    static const size_t counts[] = {8, 50, MOST_ROWS};
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < sizeof counts / sizeof *counts && status == SEMCAL_OK; i++) {
        status = sc_gemm_run(p->gemm, p->c, MLP, SC_MODE_STORE, p->a, p->wide, counts[i], error);
        for (int j = 0; j < 4 && status == SEMCAL_OK; j++) {
            status = sc_gemm_run(p->gemm, p->c, WIDTH, SC_MODE_STORE, p->a, p->square, counts[i], error);
        }
    }
    return status == SEMCAL_OK ? sc_device_finish(p->device, error) : status;
}

static semcal_status read_laws(workplace *p, semcal_error *error)
{
    const sc_rows_input input = {p->c, SC_ROWS_F32, N_ROWS, V, V, 0};
    const sc_rows_request request = {1, p->first_draw, p->uniform, NULL, 0};
    sc_rows_result result = {.log_normalizer = p->numbers, .token = p->token, .logprob = p->numbers + N_ROWS};
    return sc_rows_evaluate(p->rows, &input, &request, &result, error);
}

static semcal_status run_candidate(void *payload, semcal_error *error)
{
    const candidate *c = payload;
    const sc_tune before = *sc_device_tune(c->place->device);
    sc_tune tune = before;
    memcpy((char *)&tune + c->parameter->offset, &c->value, sizeof c->value);
    sc_device_set_tune(c->place->device, &tune);
    semcal_status status = c->work(c->place, error);
    sc_device_set_tune(c->place->device, &before);
    return status;
}

/* m rows by CLBlast (value 1) or by the own method (value 0). */
static semcal_status run_product(void *payload, semcal_error *error)
{
    const candidate *c = payload;
    workplace *p = c->place;
    const sc_gemm_method own = sc_device_facts(p->device)->is_cpu ? SC_GEMM_METHOD_PACKED : SC_GEMM_METHOD_TILED;
    semcal_status status = sc_gemm_run_method(p->clblast, c->value == 1 ? SC_GEMM_METHOD_CLBLAST : own, p->c, WIDTH,
                                              SC_MODE_STORE, p->a, p->plain, c->m, error);
    return status == SEMCAL_OK ? sc_device_finish(p->device, error) : status;
}

/* m rows with compact weights (value 1) or with the panels (value 0). */
static semcal_status run_compact(void *payload, semcal_error *error)
{
    const candidate *c = payload;
    workplace *p = c->place;
    const bool rounds = c->parameter == find("gemm_compact_bf16_rows");
    const sc_gemm_method whole = rounds ? SC_GEMM_METHOD_BF16 : SC_GEMM_METHOD_PACKED;
    semcal_status status =
        sc_gemm_run_method(rounds ? p->rounding : p->gemm, c->value == 1 ? SC_GEMM_METHOD_COMPACT : whole, p->c, LARGE,
                           SC_MODE_STORE, p->a, p->large[rounds], c->m, error);
    return status == SEMCAL_OK ? sc_device_finish(p->device, error) : status;
}

/* ---- choosing ---- */

static int32_t present(const sc_device *device, const sc_tune_parameter *parameter)
{
    int32_t value;
    memcpy(&value, (const char *)sc_device_tune(device) + parameter->offset, sizeof value);
    return value;
}

static void set(sc_device *device, const sc_tune_parameter *parameter, int32_t value)
{
    sc_tune tune = *sc_device_tune(device);
    memcpy((char *)&tune + parameter->offset, &value, sizeof value);
    sc_device_set_tune(device, &tune);
}

/* Measures the present value and `values`, keeps the best. */
static semcal_status tune_one(sc_bench *bench, workplace *place, const char *name, const int32_t *values, size_t n,
                              semcal_status (*work)(workplace *place, semcal_error *error), semcal_error *error)
{
    const sc_tune_parameter *parameter = find(name);
    candidate candidates[MOST_CANDIDATES + 1];
    sc_bench_case cases[MOST_CANDIDATES + 1];
    char names[MOST_CANDIDATES + 1][80];
    size_t n_cases = 1;
    candidates[0] = (candidate){place, parameter, present(bench->device, parameter), work, 0};
    for (size_t i = 0; i < n; i++) {
        if (values[i] != candidates[0].value) {
            candidates[n_cases++] = (candidate){place, parameter, values[i], work, 0};
        }
    }
    for (size_t i = 0; i < n_cases; i++) {
        (void)snprintf(names[i], sizeof names[i], "%s %d", name, (int)candidates[i].value);
        cases[i] = (sc_bench_case)SC_BENCH_CASE_INIT;
        cases[i].name = names[i];
        cases[i].body = run_candidate;
        cases[i].payload = &candidates[i];
        cases[i].minus = -2;
        cases[i].of = 0;
    }
    const size_t first = bench->n;
    semcal_status status = sc_bench_measure(bench, cases, n_cases, error);
    if (status == SEMCAL_OK) {
        size_t best = 0;
        for (size_t i = 1; i < n_cases; i++) {
            if (bench->entries[first + i].ratio < fmin(0.97, bench->entries[first + best].ratio)) {
                best = i;
            }
        }
        set(bench->device, parameter, candidates[best].value);
    }
    return status;
}

/* Time of m rows done one way (value 1) over the other (value 0), in the same rounds. */
static semcal_status measure_pair(double *ratio, sc_bench *bench, const candidate *first, const char *const names[2],
                                  semcal_status (*body)(void *payload, semcal_error *error), semcal_error *error)
{
    candidate candidates[2] = {*first, *first};
    sc_bench_case cases[2];
    for (int32_t i = 0; i < 2; i++) {
        candidates[i].value = i;
        cases[i] = (sc_bench_case)SC_BENCH_CASE_INIT;
        cases[i].name = names[i];
        cases[i].body = body;
        cases[i].payload = &candidates[i];
        cases[i].minus = -2;
        cases[i].of = 0;
    }
    semcal_status status = sc_bench_measure(bench, cases, 2, error);
    *ratio = status == SEMCAL_OK ? bench->entries[bench->n - 1].ratio : (double)NAN;
    return status;
}

/* From how many rows on CLBlast beats the own fp32 method; a square matrix speaks for all. */
static semcal_status tune_clblast(sc_bench *bench, workplace *place, semcal_error *error)
{
    static const size_t counts[] = {1, 8, 50, MOST_ROWS};
    int32_t from = 1 << 30;
    semcal_status status = SEMCAL_OK;
    for (size_t i = sizeof counts / sizeof *counts; i-- > 0 && status == SEMCAL_OK;) {
        const candidate first = {.place = place, .m = counts[i]};
        char own[80], clblast[80];
        double ratio;
        (void)snprintf(own, sizeof own, "own m=%zu fp32", counts[i]);
        (void)snprintf(clblast, sizeof clblast, "clblast m=%zu fp32", counts[i]);
        status = measure_pair(&ratio, bench, &first, (const char *const[2]){own, clblast}, run_product, error);
        if (status == SEMCAL_OK && !(ratio < 0.97)) {
            break; /* and so for fewer rows */
        }
        from = (int32_t)counts[i];
    }
    if (status == SEMCAL_OK) {
        set(bench->device, find("gemm_clblast_rows"), from);
    }
    return status;
}

/* Up to how many rows compact weights beat the panels. */
static semcal_status tune_compact(sc_bench *bench, workplace *place, const char *name, semcal_error *error)
{
    const bool rounds = strcmp(name, "gemm_compact_bf16_rows") == 0;
    semcal_status status = SEMCAL_OK;
    if (!sc_gemm_supports(rounds ? place->rounding : place->gemm, SC_GEMM_METHOD_COMPACT, place->large[rounds])) {
        return SEMCAL_OK;
    }
    int32_t most = 0;
    for (size_t m = 1; m <= SC_COMPACT_ROWS && status == SEMCAL_OK; m++) {
        const candidate first = {.place = place, .parameter = find(name), .m = m};
        char panels[80], compact[80];
        double ratio;
        (void)snprintf(panels, sizeof panels, "panels m=%zu%s", m, rounds ? " rows rounded" : "");
        (void)snprintf(compact, sizeof compact, "compact m=%zu%s", m, rounds ? " rows rounded" : "");
        status = measure_pair(&ratio, bench, &first, (const char *const[2]){panels, compact}, run_compact, error);
        if (status == SEMCAL_OK && !(ratio < 0.97)) {
            break; /* and so for more rows */
        }
        most = (int32_t)m;
    }
    if (status == SEMCAL_OK) {
        set(bench->device, find(name), most);
    }
    return status;
}

/* ---- the suite ---- */

static void some_row(float *row, size_t i, void *payload)
{
    (void)payload;
    for (size_t j = 0; j < WIDTH; j++) {
        row[j] = (float)((int32_t)((i * 31 + j * 17) % 255) - 127) / 1024.0f;
    }
}

static semcal_status prepare(workplace *p, semcal_error *error)
{
    const uint64_t a_bytes = sizeof(float) * MOST_ROWS * WIDTH, c_bytes = sizeof(float) * N_ROWS * V;
    const float half = 0.5f;
    semcal_status status = SEMCAL_OK;
    p->first_draw = sc_memory_alloc(N_ROWS + 1, sizeof *p->first_draw, error);
    p->uniform = sc_memory_alloc(N_ROWS * DRAWS, sizeof *p->uniform, error);
    p->token = sc_memory_alloc(N_ROWS * DRAWS, sizeof *p->token, error);
    p->numbers = sc_memory_alloc(N_ROWS * (DRAWS + 1), sizeof *p->numbers, error);
    if (p->first_draw == NULL || p->uniform == NULL || p->token == NULL || p->numbers == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i <= N_ROWS; i++) {
        p->first_draw[i] = i * DRAWS;
    }
    for (size_t i = 0; i < N_ROWS * DRAWS; i++) {
        p->uniform[i] = (uint64_t)i * UINT64_C(0x9e3779b97f4a7c15);
    }
    if ((status = sc_gemm_open(&p->gemm, p->device, SC_GEMM_OWN, error)) != SEMCAL_OK ||
        (status = sc_gemm_open(&p->clblast, p->device, SC_GEMM_CLBLAST, error)) != SEMCAL_OK ||
        (status = sc_rows_create(&p->rows, p->device, NULL, error)) != SEMCAL_OK ||
        (status = sc_buffer_create(&p->a, p->device, a_bytes, SC_BUFFER_DEVICE, "rows", error)) != SEMCAL_OK ||
        (status = sc_buffer_create(&p->c, p->device, c_bytes, SC_BUFFER_DEVICE, "products", error)) != SEMCAL_OK ||
        (status = sc_buffer_fill(p->a, 0, a_bytes, &half, sizeof half, error)) != SEMCAL_OK ||
        (status = sc_buffer_fill(p->c, 0, c_bytes, &half, sizeof half, error)) != SEMCAL_OK ||
        (status = sc_matrix_pack(&p->square, p->gemm, WIDTH, WIDTH, true, false, some_row, NULL, "w", NULL, error)) !=
            SEMCAL_OK ||
        (status = sc_matrix_pack(&p->wide, p->gemm, MLP, WIDTH, true, false, some_row, NULL, "w", NULL, error)) !=
            SEMCAL_OK) {
        return status;
    }
    if ((status = sc_matrix_pack(&p->plain, p->clblast, WIDTH, WIDTH, false, false, some_row, NULL, "w", NULL,
                                 error)) != SEMCAL_OK ||
        (status = sc_gemm_open(&p->rounding, p->device, SC_GEMM_BF16, error)) != SEMCAL_OK) {
        return status;
    }
    for (int i = 0; i < 2 && status == SEMCAL_OK; i++) {
        sc_gemm *gemm = i == 0 ? p->gemm : p->rounding;
        status = sc_matrix_pack(&p->large[i], gemm, LARGE, WIDTH, true, false, some_row, NULL, "w", NULL, error);
        status = status == SEMCAL_OK ? sc_matrix_compact(p->large[i], gemm, error) : status;
    }
    return status;
}

static void dismantle(workplace *p)
{
    sc_matrix_free(p->square);
    sc_matrix_free(p->wide);
    sc_matrix_free(p->plain);
    sc_matrix_free(p->large[0]);
    sc_matrix_free(p->large[1]);
    sc_buffer_free(p->a);
    sc_buffer_free(p->c);
    sc_gemm_close(p->gemm);
    sc_gemm_close(p->clblast);
    sc_gemm_close(p->rounding);
    sc_rows_free(p->rows);
    free(p->first_draw);
    free(p->uniform);
    free(p->token);
    free(p->numbers);
}

static semcal_status tune_all(sc_bench *bench, workplace *place, semcal_error *error)
{
#define VALUES(...) (const int32_t[]){__VA_ARGS__}, sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t)
    semcal_status status;
    if (sc_device_facts(bench->device)->is_cpu) {
        if ((status = tune_one(bench, place, "gemm_block_tiles", VALUES(3, 5, 7, 9, 12, 18), multiply, error)) !=
                SEMCAL_OK ||
            (status = tune_one(bench, place, "gemm_items_per_unit", VALUES(2, 4, 8, 16, 32), multiply, error)) !=
                SEMCAL_OK ||
            (status = tune_compact(bench, place, "gemm_compact_rows", error)) != SEMCAL_OK ||
            (status = tune_compact(bench, place, "gemm_compact_bf16_rows", error)) != SEMCAL_OK ||
            (status = tune_one(bench, place, "rows_pass_mb", VALUES(5, 10, 20, 40, 80), read_laws, error)) !=
                SEMCAL_OK) {
            return status;
        }
    } else if ((status = tune_one(bench, place, "gemm_skinny_rows", VALUES(0, 8, 16, 32, 64, 128), multiply, error)) !=
               SEMCAL_OK) {
        return status;
    }
    status = tune_one(bench, place, "rows_items_per_unit", VALUES(8, 16, 32, 64, 128, 256, 512), read_laws, error);
    return status == SEMCAL_OK ? tune_clblast(bench, place, error) : status;
#undef VALUES
}

semcal_status sc_bench_tune(sc_bench *bench, semcal_error *error)
{
    workplace place = {.device = bench->device};
    sc_tune tune = sc_tune_defaults(sc_device_facts(bench->device));
    if (!sc_device_facts(bench->device)->is_cpu) {
        tune.gemm_skinny_rows = 16; /* what the own methods take without a file */
    }
    sc_device_set_tune(bench->device, &tune);
    char *path = sc_tune_path(bench->device);
    semcal_status status = path != NULL ? prepare(&place, error)
                                        : sc_error_set(error, SEMCAL_E_CONFIG,
                                                       "nowhere to keep tuned parameters: set SEMCAL_CACHE_DIR or "
                                                       "SEMCAL_TUNE");
    if (status == SEMCAL_OK) {
        status = tune_all(bench, &place, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_tune_save(bench->device, path, error);
    }
    if (status == SEMCAL_OK) {
        fprintf(stderr, "semcal: tuned parameters are in %s:", path);
        for (size_t i = 0; i < sc_tune_n_parameters; i++) {
            fprintf(stderr, " %s %d", sc_tune_parameters[i].name, (int)present(bench->device, &sc_tune_parameters[i]));
        }
        fprintf(stderr, "\n");
    }
    dismantle(&place);
    free(path);
    return status;
}

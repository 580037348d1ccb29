/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix products of the Qwen2.5-0.5B shape, every method against sgemm of OpenBLAS in the same process. */
#include "cli/bench.h"

#include "abi.h"
#include "base/memory.h"
#include "device/gemm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The products of a layer and the output head: [n, k]. */
static const struct {
    const char *name;
    size_t n, k;
} shapes[] = {{"qkv", 1152, 896},
              {"attention out", 896, 896},
              {"gate+up", 9728, 896},
              {"down", 896, 4864},
              {"head", 151936, 896}};
static const size_t row_counts[] = {1, 8, 50, 510};

enum {
    N_SHAPES = sizeof shapes / sizeof *shapes,
    N_LAYER = N_SHAPES - 1,
    MOST_ROWS = 510,
    MOST_K = 4864,
    N_WEIGHTS = 3,                              /* bf16, fp32, bf16 with rounded rows */
    N_KINDS = SC_GEMM_N_METHODS * N_WEIGHTS + 1 /* OpenBLAS, then methods by weights */
};

/* Everything the cases share. */
typedef struct workplace {
    sc_device *device;
    sc_bench_sgemm sgemm;
    sc_gemm *own, *clblast, *rounding;
    float *a, *w[N_SHAPES], *c;
    sc_buffer *device_a, *device_c;
    sc_matrix *bf16[N_SHAPES], *fp32[N_SHAPES], *plain[N_SHAPES], *pairs[N_SHAPES];
} workplace;

/* One case: the products first .. last of one kind. */
typedef struct product {
    workplace *place;
    sc_gemm *gemm; /* NULL: OpenBLAS */
    sc_gemm_method method;
    sc_matrix *const *matrix; /* by shape */
    size_t m, first, last;
} product;

static semcal_status run_product(void *payload, semcal_error *error)
{
    const product *p = payload;
    workplace *place = p->place;
    semcal_status status = SEMCAL_OK;
    for (size_t i = p->first; i <= p->last && status == SEMCAL_OK; i++) {
        const size_t n = shapes[i].n, k = shapes[i].k;
        if (p->gemm == NULL) {
            place->sgemm(101, 111, 112, (int)p->m, (int)n, (int)k, 1, place->a, (int)k, place->w[i], (int)k, 0,
                         place->c, (int)n);
        } else {
            status = sc_gemm_run_method(p->gemm, p->method, place->device_c, n, SC_MODE_STORE, place->device_a,
                                        p->matrix[i], p->m, error);
        }
    }
    return status == SEMCAL_OK && p->gemm != NULL ? sc_device_finish(place->device, error) : status;
}

/* ---- preparing ---- */

struct rows {
    const float *w;
    size_t k;
};

static void copy_row(float *row, size_t i, void *payload)
{
    const struct rows *rows = payload;
    memcpy(row, rows->w + i * rows->k, rows->k * sizeof *row);
}

/* Irregular values with few bits: exact in bf16, so that every method computes the same products. */
static void fill(float *values, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = (float)((int32_t)(seed >> 24) - 128) / 256.0f;
    }
}

static semcal_status pack(sc_matrix **matrix, sc_gemm *gemm, const workplace *place, size_t i, bool bf16,
                          semcal_error *error)
{
    struct rows rows = {place->w[i], shapes[i].k};
    return sc_matrix_pack(matrix, gemm, shapes[i].n, shapes[i].k, bf16, false, copy_row, NULL, "benchmark weights",
                          &rows, error);
}

static semcal_status prepare(workplace *place, semcal_error *error)
{
    const uint64_t a_bytes = sizeof(float) * MOST_ROWS * MOST_K, c_bytes = sizeof(float) * MOST_ROWS * shapes[2].n;
    const uint64_t head_bytes = sizeof(float) * 50 * shapes[N_LAYER].n,
                   most = c_bytes > head_bytes ? c_bytes : head_bytes;
    place->sgemm = sc_bench_find_sgemm();
    place->a = sc_memory_alloc((size_t)a_bytes, 1, error);
    place->c = sc_memory_alloc((size_t)most, 1, error);
    if (place->a == NULL || place->c == NULL) {
        return SEMCAL_E_MEMORY;
    }
    fill(place->a, MOST_ROWS * MOST_K, 1);
    semcal_status status;
    if ((status = sc_buffer_create(&place->device_a, place->device, a_bytes, SC_BUFFER_DEVICE, "rows", error)) !=
            SEMCAL_OK ||
        (status = sc_buffer_create(&place->device_c, place->device, most, SC_BUFFER_DEVICE, "products", error)) !=
            SEMCAL_OK ||
        (status = sc_buffer_write(place->device_a, 0, place->a, a_bytes, error)) != SEMCAL_OK ||
        (status = sc_gemm_open(&place->own, place->device, SC_GEMM_OWN, error)) != SEMCAL_OK ||
        (status = sc_gemm_open(&place->clblast, place->device, SC_GEMM_CLBLAST, error)) != SEMCAL_OK ||
        (status = sc_gemm_open(&place->rounding, place->device, SC_GEMM_BF16, error)) != SEMCAL_OK) {
        return status;
    }
    for (size_t i = 0; i < N_SHAPES && status == SEMCAL_OK; i++) {
        place->w[i] = sc_memory_alloc(shapes[i].n * shapes[i].k, sizeof(float), error);
        if (place->w[i] == NULL) {
            return SEMCAL_E_MEMORY;
        }
        fill(place->w[i], shapes[i].n * shapes[i].k, (uint32_t)i + 2);
        if ((status = pack(&place->bf16[i], place->own, place, i, true, error)) == SEMCAL_OK) {
            status = pack(&place->fp32[i], place->own, place, i, false, error);
        }
        if (status == SEMCAL_OK) {
            status = pack(&place->pairs[i], place->rounding, place, i, true, error);
        }
        if (status == SEMCAL_OK && (status = sc_matrix_compact(place->bf16[i], place->own, error)) == SEMCAL_OK) {
            status = sc_matrix_compact(place->pairs[i], place->rounding, error);
        }
        if (status == SEMCAL_OK && i < N_LAYER) {
            status = pack(&place->plain[i], place->clblast, place, i, false, error);
        }
    }
    return status;
}

static void dismantle(workplace *place)
{
    for (size_t i = 0; i < N_SHAPES; i++) {
        sc_matrix_free(place->bf16[i]);
        sc_matrix_free(place->fp32[i]);
        sc_matrix_free(place->plain[i]);
        sc_matrix_free(place->pairs[i]);
        free(place->w[i]);
    }
    sc_buffer_free(place->device_a);
    sc_buffer_free(place->device_c);
    sc_gemm_close(place->own);
    sc_gemm_close(place->clblast);
    sc_gemm_close(place->rounding);
    free(place->a);
    free(place->c);
}

/* ---- measuring ---- */

/* All kinds for one row count and the shapes first .. last, relative to OpenBLAS. */
static semcal_status measure(sc_bench *bench, workplace *place, const char *name, size_t m, size_t first, size_t last,
                             semcal_error *error)
{
    product products[N_KINDS];
    sc_bench_case cases[N_KINDS];
    char names[N_KINDS][80];
    size_t n = 0;
    double flops = 0;
    for (size_t i = first; i <= last; i++) {
        flops += 2.0 * (double)m * (double)shapes[i].n * (double)shapes[i].k;
    }
    if (place->sgemm != NULL) {
        (void)snprintf(names[n], sizeof names[n], "%s m=%zu OpenBLAS", name, m);
        products[n++] = (product){.place = place, .m = m, .first = first, .last = last};
    }
    for (int method = 0; method < SC_GEMM_N_METHODS; method++) {
        for (int weights = 0; weights < N_WEIGHTS; weights++) {
            static const char *const names_of[N_WEIGHTS] = {"bf16", "fp32", "bf16, rows rounded"};
            const bool clblast = method == SC_GEMM_METHOD_CLBLAST;
            sc_matrix *const *const of[N_WEIGHTS] = {place->bf16, clblast ? place->plain : place->fp32, place->pairs};
            sc_matrix *const *matrix = of[weights];
            sc_gemm *gemm = weights == 2 ? place->rounding : clblast ? place->clblast : place->own;
            /* CLBlast on a CPU takes seconds for many rows; one by one is enough */
            const bool skip =
                clblast && (weights != 1 || first != last || (m > 50 && sc_device_facts(place->device)->is_cpu));
            const bool many = method == SC_GEMM_METHOD_COMPACT && m > SC_COMPACT_ROWS;
            if (skip || many || matrix[last] == NULL || !sc_gemm_supports(gemm, (sc_gemm_method)method, matrix[last])) {
                continue;
            }
            (void)snprintf(names[n], sizeof names[n], "%s m=%zu %s %s", name, m,
                           sc_gemm_method_name((sc_gemm_method)method), names_of[weights]);
            products[n++] = (product){place, gemm, (sc_gemm_method)method, matrix, m, first, last};
        }
    }
    for (size_t i = 0; i < n; i++) {
        cases[i] = (sc_bench_case)SC_BENCH_CASE_INIT;
        cases[i].name = names[i];
        cases[i].body = run_product;
        cases[i].payload = &products[i];
        cases[i].work = flops;
        cases[i].unit = "GFLOP/s";
        cases[i].ceiling = place->sgemm != NULL && i > 0 ? 0 : -1;
    }
    return sc_bench_measure(bench, cases, n, error);
}

semcal_status sc_bench_gemm(sc_bench *bench, semcal_error *error)
{
    workplace place = {.device = bench->device};
    semcal_status status = prepare(&place, error);
    for (size_t c = 0; c < sizeof row_counts / sizeof *row_counts && status == SEMCAL_OK; c++) {
        for (size_t i = 0; i < N_LAYER && status == SEMCAL_OK; i++) {
            status = measure(bench, &place, shapes[i].name, row_counts[c], i, i, error);
        }
        if (status == SEMCAL_OK) {
            status = measure(bench, &place, "whole layer", row_counts[c], 0, N_LAYER - 1, error);
        }
        if (status == SEMCAL_OK && row_counts[c] <= 50) {
            status = measure(bench, &place, shapes[N_LAYER].name, row_counts[c], N_LAYER, N_LAYER, error);
        }
    }
    dismantle(&place);
    return status;
}

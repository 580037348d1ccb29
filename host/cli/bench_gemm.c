/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_gemm.h"

#include "base/memory.h"
#include "base/numeric.h"
#include "device/gemm.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What the products of a Qwen2.5-0.5B layer and its head are: [n, k]. */
static const struct {
    const char *name;
    size_t n, k;
} shapes[] = {{"qkv", 1152, 896},
              {"attention output", 896, 896},
              {"gate and up", 9728, 896},
              {"down", 896, 4864},
              {"head", 151936, 896}};
static const size_t row_counts[] = {1, 8, 50, 510};

enum { N_SHAPES = sizeof shapes / sizeof *shapes, N_COUNTS = sizeof row_counts / sizeof *row_counts };

/* cblas_sgemm(order, transposeA, transposeB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc); loaded when it is there, as
 * the program itself has no use for it. */
typedef void (*sgemm_function)(int, int, int, int, int, int, float, const float *, int, const float *, int, float,
                               float *, int);

struct bench {
    sc_device *device;
    sgemm_function sgemm;
    size_t n_rounds;
    float *a, *w, *c; /* [510, 4864], [151936, 896] or [9728, 896], [510, n] */
    sc_buffer *device_a, *device_c;
    sc_bench_gemm_row *rows;
    size_t n_rows, capacity;
};

static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

struct source {
    const float *w;
    size_t k;
};

static void copy_row(float *row, size_t i, void *payload)
{
    const struct source *source = payload;
    memcpy(row, source->w + i * source->k, source->k * sizeof *row);
}

static double median(double *times, size_t n)
{
    qsort(times, n, sizeof *times, sc_compare_doubles);
    return sc_quantile_sorted(times, n, 0.5);
}

/* One method on one matrix and row count, each round followed by one of BLAS: both see the same machine. */
static semcal_status measure(struct bench *b, sc_gemm *gemm, sc_gemm_method method, const sc_matrix *matrix,
                             size_t shape, bool bf16, size_t m, semcal_error *error)
{
    const size_t n = shapes[shape].n, k = shapes[shape].k;
    double own[64], blas[64];
    semcal_status status = sc_memory_grow(&b->rows, &b->capacity, b->n_rows + 1, sizeof *b->rows, error);
    for (size_t i = 0; i <= b->n_rounds && status == SEMCAL_OK; i++) { /* the first round warms up */
        const size_t at = i > 0 ? i - 1 : 0;
        double start = seconds_now();
        status = sc_gemm_run_method(gemm, method, b->device_c, n, SC_MODE_STORE, b->device_a, matrix, m, error);
        if (status == SEMCAL_OK) {
            status = sc_device_finish(b->device, error);
        }
        own[at] = seconds_now() - start;
        if (b->sgemm != NULL) {
            start = seconds_now();
            b->sgemm(101, 111, 112, (int)m, (int)n, (int)k, 1, b->a, (int)k, b->w, (int)k, 0, b->c, (int)n);
            blas[at] = seconds_now() - start;
        }
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    const double seconds = median(own, b->n_rounds), other = b->sgemm != NULL ? median(blas, b->n_rounds) : 0;
    b->rows[b->n_rows++] = (sc_bench_gemm_row){.matrix = shapes[shape].name,
                                               .weights = bf16 ? "bf16" : "fp32",
                                               .method = sc_gemm_method_name(method),
                                               .m = m,
                                               .n = n,
                                               .k = k,
                                               .seconds = seconds,
                                               .gflops = 2e-9 * (double)m * (double)n * (double)k / seconds,
                                               .weight_rate = (double)n * (double)k * (bf16 ? 2 : 4) / seconds,
                                               .blas_seconds = other,
                                               .ratio = other / seconds};
    return SEMCAL_OK;
}

static semcal_status measure_matrix(struct bench *b, sc_gemm *gemm, size_t shape, bool bf16, bool clblast,
                                    semcal_error *error)
{
    sc_matrix *matrix;
    struct source source = {b->w, shapes[shape].k};
    semcal_status status = sc_matrix_pack(&matrix, gemm, shapes[shape].n, shapes[shape].k, bf16, false, copy_row, NULL,
                                          "benchmark weights", &source, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    for (int method = 0; method < SC_GEMM_N_METHODS && status == SEMCAL_OK; method++) {
        if ((method == SC_GEMM_METHOD_CLBLAST) != clblast || !sc_gemm_supports(gemm, (sc_gemm_method)method, matrix)) {
            continue;
        }
        for (size_t i = 0; i < N_COUNTS && status == SEMCAL_OK; i++) {
            const bool slow = method == SC_GEMM_METHOD_CLBLAST && sc_device_facts(b->device)->is_cpu;
            if (!slow || row_counts[i] <= 50) { /* CLBlast on a CPU takes seconds at 510 rows */
                status = measure(b, gemm, (sc_gemm_method)method, matrix, shape, bf16, row_counts[i], error);
            }
        }
    }
    sc_matrix_free(matrix);
    return status;
}

/* Irregular values with few bits: exact in bf16, so that every method computes the same products. */
static void fill(float *values, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = (float)((int32_t)(seed >> 24) - 128) / 256.0f;
    }
}

static semcal_status prepare(struct bench *b, size_t n_shapes, semcal_error *error)
{
    const size_t most = row_counts[N_COUNTS - 1];
    size_t w = 0, k = 0, n = 0;
    for (size_t i = 0; i < n_shapes; i++) {
        w = shapes[i].n * shapes[i].k > w ? shapes[i].n * shapes[i].k : w;
        k = shapes[i].k > k ? shapes[i].k : k;
        n = shapes[i].n > n ? shapes[i].n : n;
    }
    b->a = sc_memory_alloc(most * k, sizeof *b->a, error);
    b->w = sc_memory_alloc(w, sizeof *b->w, error);
    b->c = sc_memory_alloc(most * n, sizeof *b->c, error);
    if (b->a == NULL || b->w == NULL || b->c == NULL) {
        return SEMCAL_E_MEMORY;
    }
    fill(b->a, most * k, 1);
    fill(b->w, w, 2);
    semcal_status status =
        sc_buffer_create(&b->device_a, b->device, most * k * sizeof(float), SC_BUFFER_DEVICE, "benchmark rows", error);
    if (status == SEMCAL_OK) {
        status = sc_buffer_create(&b->device_c, b->device, most * n * sizeof(float), SC_BUFFER_DEVICE,
                                  "benchmark results", error);
    }
    return status == SEMCAL_OK ? sc_buffer_write(b->device_a, 0, b->a, most * k * sizeof(float), error) : status;
}

semcal_status sc_bench_gemm(sc_bench_gemm_row **rows, size_t *n_rows, sc_device *device, size_t n_rounds, bool quick,
                            bool clblast, semcal_error *error)
{
    struct bench b = {.device = device, .n_rounds = n_rounds < 1 ? 1 : n_rounds > 64 ? 64 : n_rounds};
    const size_t n_shapes = quick ? N_SHAPES - 1 : N_SHAPES;
    sc_gemm *gemm = NULL, *other = NULL;
    void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (library != NULL) {
        void *symbol = dlsym(library, "cblas_sgemm");
        memcpy(&b.sgemm, &symbol, sizeof b.sgemm); /* POSIX promises that this is a function pointer */
    }
    semcal_status status = prepare(&b, n_shapes, error);
    if (status == SEMCAL_OK && (status = sc_gemm_open(&gemm, device, SC_GEMM_OWN, error)) == SEMCAL_OK && clblast) {
        status = sc_gemm_open(&other, device, SC_GEMM_CLBLAST, error);
    }
    for (size_t i = 0; i < n_shapes && status == SEMCAL_OK; i++) {
        status = measure_matrix(&b, gemm, i, true, false, error);
        if (status == SEMCAL_OK) {
            status = measure_matrix(&b, gemm, i, false, false, error);
        }
        if (status == SEMCAL_OK && clblast) {
            status = measure_matrix(&b, other, i, false, true, error);
        }
    }
    sc_buffer_free(b.device_a);
    sc_buffer_free(b.device_c);
    sc_gemm_close(gemm);
    sc_gemm_close(other);
    free(b.a);
    free(b.w);
    free(b.c);
    if (status != SEMCAL_OK) {
        free(b.rows);
        return status;
    }
    *rows = b.rows;
    *n_rows = b.n_rows;
    return SEMCAL_OK;
}

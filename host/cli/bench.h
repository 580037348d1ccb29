/* SPDX-License-Identifier: Apache-2.0 */
/* Measuring: cases of one suite run in turn, round after round, so that what disturbs the machine disturbs all alike;
 * medians over the rounds, ratios within each round. One file per suite, one line in bench.c. */
#ifndef SC_CLI_BENCH_H
#define SC_CLI_BENCH_H

#include "model/model.h"

typedef semcal_status (*sc_bench_body)(void *payload, semcal_error *error);

/* One thing to measure. */
typedef struct sc_bench_case {
    const char *name;
    sc_bench_body body; /* does the work once, completely (waits for the device) */
    void *payload;
    double work;      /* bytes or floating-point operations of one run */
    const char *unit; /* "GB/s" or "GFLOP/s": rate = work / seconds / 1e9 */
    int ceiling;      /* case whose rate is the limit; -1: none */
    int minus, of;    /* report (seconds - seconds of `minus`) / seconds of `of` instead; minus -2: seconds / seconds of
                       * `of`; -1: rate */
} sc_bench_case;
#define SC_BENCH_CASE_INIT                                                                                             \
    {                                                                                                                  \
        NULL, NULL, NULL, 0, "GB/s", -1, -1, -1                                                                        \
    }

/* One line of the result. */
typedef struct sc_bench_entry {
    char name[80], ceiling[80]; /* what `ratio` is relative to; "" for none */
    const char *unit;
    double median_s, best_s; /* NaN: the line is no time */
    double rate, ratio;      /* medians; NaN where they mean nothing */
    double low, high;        /* quartiles of the ratios within single rounds */
} sc_bench_entry;

/* Sizes of the job (bench_job.c). */
typedef struct sc_bench_job {
    const char *model; /* folder; NULL: random weights */
    size_t n_questions, n_draws, n_prompt, n_tokens, n_layers;
    double head_scale;
} sc_bench_job;

typedef struct sc_bench {
    sc_device *device;
    size_t n_rounds;
    bool cpu_clock;              /* processor time of all threads instead of wall time */
    bool paired;                 /* what a case is compared with runs again right beside it, now before, now after it */
    size_t n_rows, n_vocabulary; /* of the row kernels */
    sc_bench_job job;
    size_t n_prompt;                /* tokens before a decoding step, or of a prefill; 0: the suite's own choice */
    size_t n_questions, n_preamble; /* of prompts with a common beginning; 0: the suite's own choice */
    size_t n_live;                  /* sequences of a decoding step; 0: the suite's own choice */
    sc_gemm_choice gemm;            /* of models */
    bool unshared;                  /* every sequence has its own copy of the prompt */
    sc_bench_entry *entries;
    size_t n, capacity;
} sc_bench;

/* Runs every case once to warm up, then n_rounds rounds, and appends the entries. */
semcal_status sc_bench_measure(sc_bench *bench, const sc_bench_case *cases, size_t n_cases, semcal_error *error);

/* Appends a line of another making: `ratio` of `name` to `ceiling`; median_s may be NaN. */
semcal_status sc_bench_append(sc_bench *bench, const char *name, double median_s, double ratio, const char *ceiling,
                              semcal_error *error);

/* cblas_sgemm(order, transposeA, transposeB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc) of OpenBLAS, loaded when it
 * is there, as the program itself has no use for it; else NULL. */
typedef void (*sc_bench_sgemm)(int, int, int, int, int, int, float, const float *, int, const float *, int, float,
                               float *, int);
sc_bench_sgemm sc_bench_find_sgemm(void);

/* The Qwen2.5-0.5B shape, with so many layers (24) and positions. */
sc_model_config sc_bench_shape(size_t n_layers, size_t n_positions);
/* A model of that shape with random bf16 weights and room for `n_pages` pages of keys and values. */
semcal_status sc_bench_open_model(sc_model **model, sc_device *device, sc_gemm_choice gemm, size_t max_rows,
                                  size_t n_positions, size_t n_pages, semcal_error *error);
/* Layer products of that shape, [n, k]: qkv, attention out, gate and up, down. */
enum { SC_BENCH_N_PRODUCTS = 4 };
extern const struct sc_bench_product {
    size_t n, k;
} sc_bench_products[SC_BENCH_N_PRODUCTS];

/* Suites. */
semcal_status sc_bench_rows(sc_bench *bench, semcal_error *error);
semcal_status sc_bench_perturb(sc_bench *bench, semcal_error *error);
semcal_status sc_bench_gemm(sc_bench *bench, semcal_error *error);
semcal_status sc_bench_decode(sc_bench *bench, semcal_error *error);
semcal_status sc_bench_job_run(sc_bench *bench, semcal_error *error);
semcal_status sc_bench_prefill(sc_bench *bench, semcal_error *error);
semcal_status sc_bench_shared(sc_bench *bench, semcal_error *error);
semcal_status sc_bench_tune(sc_bench *bench, semcal_error *error);
semcal_status sc_bench_io(sc_bench *bench, semcal_error *error);

#endif

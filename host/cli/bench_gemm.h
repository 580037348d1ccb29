/* SPDX-License-Identifier: Apache-2.0 */
/* The matrix-product part of `semcal bench kernels`. */
#ifndef SC_CLI_BENCH_GEMM_H
#define SC_CLI_BENCH_GEMM_H

#include "device/device.h"

typedef struct sc_bench_gemm_row {
    const char *matrix;  /* "qkv", "head" .. of the model shape */
    const char *weights; /* "bf16" or "fp32" */
    const char *method;  /* of sc_gemm_method_name */
    size_t m, n, k;
    double seconds;      /* median */
    double gflops;       /* 2 m n k / seconds */
    double weight_rate;  /* bytes of weights per second */
    double blas_seconds; /* median of sgemm of the BLAS library in the same process, 0 when there is none */
    double ratio;        /* blas_seconds / seconds, 0 without BLAS */
} sc_bench_gemm_row;

/* Products of the Qwen2.5-0.5B shape at m = 1, 8, 50, 510 rows, each method that the device has (`clblast`: CLBlast
 * too), `n_rounds` rounds each, alternating with OpenBLAS when libopenblas.so.0 is found. `quick` leaves out the output
 * head. `*rows` is malloc'ed. */
semcal_status sc_bench_gemm(sc_bench_gemm_row **rows, size_t *n_rows, sc_device *device, size_t n_rounds, bool quick,
                            bool clblast, semcal_error *error);

#endif

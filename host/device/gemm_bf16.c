/* SPDX-License-Identifier: Apache-2.0 */
/* Products of rows rounded to bf16 with bf16 weights (SC_GEMM_BF16): launching, the device's feature, the reference. */
#include "device/gemm_internal.h"

#include "abi.h"

#include <float.h>
#include <math.h>
#include <string.h>

bool sc_gemm_has_bf16_unit(const sc_device *device)
{
#if defined(__x86_64__) && defined(__GNUC__)
    /* an OpenCL device that is a CPU is the one this program runs on */
    return sc_device_facts(device)->is_cpu && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bf16");
#else
    (void)device;
    return false;
#endif
}

/* ---- launching ---- */

/* Pairs in a row of A. */
static uint32_t pairs_of(const sc_matrix *matrix)
{
    return (uint32_t)((matrix->k + 1) / 2);
}

semcal_status sc_gemm_room_for_rounded(sc_gemm *gemm, uint64_t bytes, semcal_error *error)
{
    if (gemm->rounded != NULL && sc_buffer_bytes(gemm->rounded) >= bytes) {
        return SEMCAL_OK;
    }
    sc_buffer_free(gemm->rounded);
    gemm->rounded = NULL;
    return sc_buffer_create(&gemm->rounded, gemm->device, bytes, SC_BUFFER_DEVICE, "rounded rows", error);
}

semcal_status sc_gemm_round_rows(sc_buffer **rows, sc_gemm *gemm, const struct sc_gemm_job *job, semcal_error *error)
{
    *rows = job->a;
    if (job->rounded) {
        return SEMCAL_OK;
    }
    semcal_status status =
        sc_gemm_room_for_rounded(gemm, (uint64_t)job->m * pairs_of(job->matrix) * sizeof(uint32_t), error);
    if (status != SEMCAL_OK) {
        return status;
    }
    *rows = gemm->rounded;
    sc_work work = SC_WORK_1D(job->m, gemm->round_size);
    work.bytes = 6.0 * (double)job->m * (double)job->matrix->k;
    return sc_launch(gemm->round, &work,
                     SC_ARGS(SC_BUFFER_ARG(gemm->rounded), SC_BUFFER_ARG(job->a), SC_U32((uint32_t)job->matrix->k)),
                     error);
}

semcal_status sc_gemm_run_bf16(sc_gemm *gemm, const struct sc_gemm_job *job, semcal_error *error)
{
    const sc_matrix *w = job->matrix;
    sc_buffer *rows;
    semcal_status status = sc_gemm_round_rows(&rows, gemm, job, error);
    const uint32_t block = sc_gemm_block_rows(gemm, job->m, w->n_panels),
                   blocks = ((uint32_t)job->m + block - 1) / block;
    for (size_t i = 0; i < w->n_parts && status == SEMCAL_OK; i++) {
        sc_work work = SC_WORK_1D(w->parts[i].n_panels * blocks, 1);
        sc_gemm_tell_floor(&work, job, &w->parts[i], 2);
        work.pace = 2;
        status = sc_launch(gemm->kernels[SC_GEMM_METHOD_BF16][1], &work,
                           SC_ARGS(SC_BUFFER_ARG(rows), SC_BUFFER_ARG(w->parts[i].panels), SC_BUFFER_ARG(w->bias),
                                   SC_BUFFER_ARG(job->c), SC_U32((uint32_t)job->m), SC_U32((uint32_t)w->n),
                                   SC_U32(pairs_of(w)), SC_U32((uint32_t)job->stride), SC_U32((uint32_t)job->mode),
                                   SC_U32(block), SC_U32(blocks), SC_U32((uint32_t)w->parts[i].first_panel)),
                           error);
    }
    return status;
}

semcal_status sc_gemm_run_bf16_plain(sc_gemm *gemm, const struct sc_gemm_job *job, semcal_error *error)
{
    const sc_matrix *w = job->matrix;
    sc_buffer *rows;
    semcal_status status = sc_gemm_round_rows(&rows, gemm, job, error);
    for (size_t i = 0; i < w->n_parts && status == SEMCAL_OK; i++) {
        sc_work work = {.n_dims = 2, .global = {w->parts[i].n_panels * 16, job->m, 1}, .local = {0, 0, 0}};
        sc_gemm_tell_floor(&work, job, &w->parts[i], 2);
        status = sc_launch(gemm->kernels[SC_GEMM_METHOD_BF16_PLAIN][1], &work,
                           SC_ARGS(SC_BUFFER_ARG(rows), SC_BUFFER_ARG(w->parts[i].panels), SC_BUFFER_ARG(w->bias),
                                   SC_BUFFER_ARG(job->c), SC_U32((uint32_t)w->n), SC_U32(pairs_of(w)),
                                   SC_U32((uint32_t)job->stride), SC_U32((uint32_t)job->mode),
                                   SC_U32((uint32_t)w->parts[i].first_panel)),
                           error);
    }
    return status;
}

/* ---- the definition ---- */

static float flush(float x)
{
    return fabsf(x) < FLT_MIN ? copysignf(0, x) : x;
}

float sc_gemm_rounded(float x)
{
    uint32_t bits;
    if (isnan(x)) {
        return x;
    }
    x = flush(x);
    memcpy(&bits, &x, sizeof bits);
    bits = (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000u;
    memcpy(&x, &bits, sizeof bits);
    return x;
}

void sc_gemm_bf16_reference(float *c, const float *a, const float *w, const float *bias, size_t m, size_t n, size_t k)
{
    for (size_t r = 0; r < m; r++) {
        for (size_t j = 0; j < n; j++) {
            float total = 0;
            for (size_t first = 0; first < k; first += SC_CHUNK) {
                float chain = 0;
                for (size_t i = first; i < first + SC_CHUNK && i < k; i += 2) {
                    const float *x = a + r * k + i, *y = w + j * k + i;
                    const bool odd = i + 1 < k;
                    chain = flush(fmaf(odd ? sc_gemm_rounded(x[1]) : 0, odd ? flush(y[1]) : 0, chain));
                    chain = flush(fmaf(sc_gemm_rounded(x[0]), flush(y[0]), chain));
                }
                total = first == 0 ? chain : total + chain;
            }
            c[r * n + j] = bias != NULL ? total + bias[j] : total;
        }
    }
}

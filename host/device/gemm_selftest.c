/* SPDX-License-Identifier: Apache-2.0 */
/* Products prove themselves on a small case before they are used. */
#include "device/gemm_internal.h"

#include "abi.h"
#include "base/memory.h"
#include "device/selftest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TEST_ROWS = 17, TEST_COLUMNS = 40, TEST_K = 300 }; /* rests of tiles, panels and chunks */

struct trial {
    sc_gemm *gemm;
    sc_gemm_method method;
    bool bf16;
    float a[TEST_ROWS * TEST_K], w[TEST_COLUMNS * TEST_K], bias[TEST_COLUMNS];
    float expected[TEST_ROWS * TEST_COLUMNS], got[TEST_ROWS * TEST_COLUMNS], alone[TEST_COLUMNS];
};

static void trial_row(float *row, size_t i, void *payload)
{
    const struct trial *t = payload;
    memcpy(row, t->w + i * TEST_K, TEST_K * sizeof *row);
}

/* All rows (or as many as the method takes) at once, then the last one alone: both must be the reference's bits. */
static semcal_status try_method(bool *same, void *payload, semcal_error *error)
{
    struct trial *t = payload;
    sc_device *device = t->gemm->device;
    sc_matrix *w = NULL;
    sc_buffer *a = NULL, *last = NULL, *c = NULL;
    const size_t row_bytes = TEST_K * sizeof(float);
    const bool few = t->method == SC_GEMM_METHOD_COMPACT;
    const size_t m = few ? SC_COMPACT_ROWS : TEST_ROWS;
    semcal_status status =
        sc_matrix_pack(&w, t->gemm, TEST_COLUMNS, TEST_K, t->bf16, false, trial_row, t->bias, "self-test", t, error);
    if (status != SEMCAL_OK || (few && (status = sc_matrix_compact(w, t->gemm, error)) != SEMCAL_OK) ||
        (status = sc_buffer_create(&a, device, sizeof t->a, SC_BUFFER_DEVICE, "self-test", error)) != SEMCAL_OK ||
        (status = sc_buffer_create(&last, device, row_bytes, SC_BUFFER_DEVICE, "self-test", error)) != SEMCAL_OK ||
        (status = sc_buffer_create(&c, device, sizeof t->got, SC_BUFFER_DEVICE, "self-test", error)) != SEMCAL_OK ||
        (status = sc_buffer_write(a, 0, t->a, sizeof t->a, error)) != SEMCAL_OK ||
        (status = sc_buffer_write(last, 0, t->a + (TEST_ROWS - 1) * TEST_K, row_bytes, error)) != SEMCAL_OK ||
        (status = sc_gemm_run_method(t->gemm, t->method, c, TEST_COLUMNS, SC_MODE_STORE, a, w, m, error)) !=
            SEMCAL_OK ||
        (status = sc_buffer_read(c, 0, t->got, sizeof t->got, error)) != SEMCAL_OK ||
        (status = sc_gemm_run_method(t->gemm, t->method, c, TEST_COLUMNS, SC_MODE_STORE, last, w, 1, error)) !=
            SEMCAL_OK ||
        (status = sc_buffer_read(c, 0, t->alone, sizeof t->alone, error)) != SEMCAL_OK) {
        goto done;
    }
    (sc_matrix_form(w) == SC_PANELS_PAIRS ? sc_gemm_bf16_reference : sc_gemm_reference)(
        t->expected, t->a, t->w, t->bias, TEST_ROWS, TEST_COLUMNS, TEST_K);
    *same = memcmp(t->got, t->expected, m * TEST_COLUMNS * sizeof *t->got) == 0 &&
            memcmp(t->alone, t->expected + (TEST_ROWS - 1) * TEST_COLUMNS, sizeof t->alone) == 0;
done:
    sc_buffer_free(a);
    sc_buffer_free(last);
    sc_buffer_free(c);
    sc_matrix_free(w);
    return status;
}

void sc_gemm_trial_fill(float *a, size_t n_a, float *w, size_t n_w, float *bias, size_t n_bias)
{
    uint32_t seed = 1;
    float *const all[] = {a, w, bias};
    const size_t n[] = {n_a, n_w, n_bias};
    for (size_t p = 0; p < 3; p++) {
        for (size_t i = 0; i < n[p]; i++) {
            seed = seed * 1664525u + 1013904223u;
            const float x = p == 1 ? (float)((int32_t)(seed >> 24) - 128) / 256.0f
                                   : (float)((int32_t)(seed >> 8) - (1 << 23)) / 0x1p22f;
            all[p][i] = p < 2 && 2 * i >= n[p] ? fabsf(x) : x;
        }
    }
}

semcal_status sc_gemm_selftest(bool *usable, sc_gemm *gemm, sc_gemm_method method, const char *kernel,
                               const char *instead, semcal_error *error)
{
    *usable = false;
    struct trial *t = sc_memory_alloc(1, sizeof *t, error);
    if (t == NULL) {
        return SEMCAL_E_MEMORY;
    }
    sc_gemm_trial_fill(t->a, TEST_ROWS * TEST_K, t->w, TEST_COLUMNS * TEST_K, t->bias, TEST_COLUMNS);
    t->gemm = gemm;
    t->method = method;
    *usable = true;
    for (int bf16 = 0; bf16 < 2 && *usable; bf16++) {
        if (gemm->kernels[method][bf16] != NULL) {
            t->bf16 = bf16 != 0;
            *usable = sc_selftest(gemm->device, kernel, instead, gemm->kernels[method][bf16]->program, try_method, t);
        }
    }
    free(t);
    return SEMCAL_OK;
}

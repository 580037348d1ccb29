/* SPDX-License-Identifier: Apache-2.0 */
/* Products on tensor cores (cl/gemm_mma.cl): which devices, which form for which shape, launching, the self-test. */
#include "device/gemm_internal.h"

#include "abi.h"
#include "base/memory.h"
#include "device/selftest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The forms give the same bits: only speed decides between them. */
static const struct {
    const char *options, *kernel;
    uint32_t group, rows, panels; /* of a work-group: items, rows of A, panels */
} forms[SC_GEMM_MMA_N_FORMS] = {
    [SC_GEMM_MMA_LARGE] = {"-DMMA_PANELS=2 -DMMA_ROW_WARPS=4", "gemm_mma", 256, 128, 4},
    [SC_GEMM_MMA_SMALL] = {"-DMMA_PANELS=1 -DMMA_ROW_WARPS=2", "gemm_mma", 128, 64, 2},
    [SC_GEMM_MMA_SKINNY] = {"-DMMA_PANELS=1 -DMMA_ROW_WARPS=2", "gemm_mma_skinny", 128, SC_MMA_SKINNY_ROWS, 1},
};

bool sc_gemm_has_mma_unit(const sc_device *device)
{
    const sc_device_info *info = sc_device_facts(device);
    return info->compute_capability >= 80 && info->max_group >= 256 && info->local_memory >= 49152;
}

semcal_status sc_gemm_load_mma(sc_gemm *gemm, semcal_error *error)
{
    for (int form = 0; form < SC_GEMM_MMA_N_FORMS; form++) {
        char options[96];
        sc_program *program;
        (void)snprintf(options, sizeof options, "%s%s", forms[form].options,
                       sc_gemm_has_mma_unit(gemm->device) ? "" : " -DSC_MMA_EMULATE");
        semcal_status status = sc_program_get(&program, gemm->device, "gemm_mma.cl", options, error);
        if (status == SEMCAL_OK) {
            status = sc_kernel_get(&gemm->mma[form], program, forms[form].kernel, error);
        }
        if (status == SEMCAL_OK && form == 0) {
            sc_gemm_count_in(gemm, program);
            status = sc_kernel_get(&gemm->mma_round, program, "gemm_mma_round", error);
        }
        if (status != SEMCAL_OK) {
            return status;
        }
    }
    gemm->kernels[SC_GEMM_METHOD_MMA][1] = gemm->mma[0];
    return SEMCAL_OK;
}

/* ---- launching ---- */

/* Words of a rounded row: whole copies of 16 bytes. */
static uint32_t words_of(const sc_matrix *matrix)
{
    return (uint32_t)((matrix->k + 7) / 8 * 4);
}

static semcal_status round_rows(sc_gemm *gemm, const struct sc_gemm_job *job, semcal_error *error)
{
    const uint32_t words = words_of(job->matrix);
    semcal_status status = sc_gemm_room_for_rounded(gemm, (uint64_t)job->m * words * sizeof(uint32_t), error);
    const sc_work work = {
        .n_dims = 2, .global = {words, job->m, 1}, .bytes = 6.0 * (double)job->m * (double)job->matrix->k};
    return status != SEMCAL_OK ? status
                               : sc_launch(gemm->mma_round, &work,
                                           SC_ARGS(SC_BUFFER_ARG(job->a), SC_BUFFER_ARG(gemm->rounded),
                                                   SC_U32((uint32_t)job->matrix->k), SC_U32(words)),
                                           error);
}

static size_t n_groups(int form, size_t m, size_t n_panels)
{
    return (m + forms[form].rows - 1) / forms[form].rows * ((n_panels + forms[form].panels - 1) / forms[form].panels);
}

/* Few rows: one reading of the weights and the chunks of k side by side; also where tiles would leave most of the
 * device idle. Else the largest tiles that give every compute unit one. By reasoning: no device was there to measure it
 * on. */
static int choose_form(const sc_gemm *gemm, size_t m, size_t n_panels)
{
    const size_t units = sc_device_facts(gemm->device)->compute_units;
    if (m <= SC_MMA_SKINNY_ROWS || (m <= 128 && n_groups(SC_GEMM_MMA_SMALL, m, n_panels) < units / 2)) {
        return SC_GEMM_MMA_SKINNY;
    }
    return n_groups(SC_GEMM_MMA_LARGE, m, n_panels) >= units ? SC_GEMM_MMA_LARGE : SC_GEMM_MMA_SMALL;
}

static semcal_status run_form(sc_gemm *gemm, int form, const struct sc_gemm_job *job, semcal_error *error)
{
    const sc_matrix *w = job->matrix;
    const bool skinny = form == SC_GEMM_MMA_SKINNY;
    semcal_status status = skinny ? SEMCAL_OK : round_rows(gemm, job, error);
    for (size_t i = 0; i < w->n_parts && status == SEMCAL_OK; i++) {
        const struct sc_matrix_part *part = &w->parts[i];
        sc_work work = {.n_dims = 2,
                        .global = {(job->m + forms[form].rows - 1) / forms[form].rows * forms[form].group,
                                   (part->n_panels + forms[form].panels - 1) / forms[form].panels, 1},
                        .local = {forms[form].group, 1, 1}};
        sc_gemm_tell_floor(&work, job, part, skinny ? 4 : 2);
        work.pace = 16; /* bf16 on tensor cores to fp32: 312 to 19.5 and 989 to 67 TFLOP/s in the data sheets */
        const sc_arg few[] = {SC_BUFFER_ARG(job->a),       SC_BUFFER_ARG(part->panels),
                              SC_BUFFER_ARG(w->bias),      SC_BUFFER_ARG(job->c),
                              SC_U32((uint32_t)job->m),    SC_U32((uint32_t)w->n),
                              SC_U32((uint32_t)w->k),      SC_U32((uint32_t)job->stride),
                              SC_U32((uint32_t)job->mode), SC_U32((uint32_t)part->first_panel)};
        const sc_arg many[] = {SC_BUFFER_ARG(gemm->rounded),
                               SC_BUFFER_ARG(part->panels),
                               SC_BUFFER_ARG(w->bias),
                               SC_BUFFER_ARG(job->c),
                               SC_U32((uint32_t)job->m),
                               SC_U32((uint32_t)w->n),
                               SC_U32((uint32_t)w->k),
                               SC_U32(words_of(w)),
                               SC_U32((uint32_t)job->stride),
                               SC_U32((uint32_t)job->mode),
                               SC_U32((uint32_t)part->first_panel),
                               SC_U32((uint32_t)part->n_panels)};
        status = skinny ? sc_launch(gemm->mma[form], &work, few, sizeof few / sizeof *few, error)
                        : sc_launch(gemm->mma[form], &work, many, sizeof many / sizeof *many, error);
    }
    return status;
}

semcal_status sc_gemm_run_mma(sc_gemm *gemm, const struct sc_gemm_job *job, semcal_error *error)
{
    return run_form(gemm, choose_form(gemm, job->m, job->matrix->n_panels), job, error);
}

/* ---- self-test ---- */

enum { TEST_ROWS = 70, TEST_COLUMNS = 72, TEST_K = 556 }; /* rests of every tile, of steps and of chunks */

struct trial {
    sc_gemm *gemm;
    float a[TEST_ROWS * TEST_K], w[TEST_COLUMNS * TEST_K], bias[TEST_COLUMNS];
    float got[SC_GEMM_MMA_N_FORMS][TEST_ROWS * TEST_COLUMNS], alone[TEST_COLUMNS];
};

static void trial_row(float *row, size_t i, void *payload)
{
    const struct trial *t = payload;
    memcpy(row, t->w + i * TEST_K, TEST_K * sizeof *row);
}

/* |got - exact| <= 1.25 k 2^-23 (sum of |a w| + |bias|). An instruction that adds its products in blocks of eight to
 * the sum and cuts everything below 2^-23 of the largest of them loses at most 10 such units per eight values of k
 * (Fasi, Higham, Mikaitis, Pranesh 2021 found tensor cores to do this or better); sums in fewer bits, a value in a
 * wrong place or one left out miss it by far. */
static bool is_close(const struct trial *t, const float *got)
{
    for (size_t r = 0; r < TEST_ROWS; r++) {
        for (size_t j = 0; j < TEST_COLUMNS; j++) {
            double sum = (double)t->bias[j], size = fabs(sum);
            for (size_t i = 0; i < TEST_K; i++) {
                const double product = (double)sc_gemm_rounded(t->a[r * TEST_K + i]) * (double)t->w[j * TEST_K + i];
                sum += product;
                size += fabs(product);
            }
            if (!(fabs((double)got[r * TEST_COLUMNS + j] - sum) <= 1.25 * TEST_K * 0x1p-23 * size)) {
                return false;
            }
        }
    }
    return true;
}

/* Every form on all rows, then on the last one alone: close to the reference, and the same bits everywhere. */
static semcal_status try_forms(bool *same, void *payload, semcal_error *error)
{
    struct trial *t = payload;
    sc_device *device = t->gemm->device;
    sc_matrix *w = NULL;
    sc_buffer *a = NULL, *last = NULL, *c = NULL;
    const size_t row_bytes = TEST_K * sizeof(float);
    semcal_status status =
        sc_matrix_pack(&w, t->gemm, TEST_COLUMNS, TEST_K, true, false, trial_row, t->bias, "self-test", t, error);
    if (status != SEMCAL_OK ||
        (status = sc_buffer_create(&a, device, sizeof t->a, SC_BUFFER_DEVICE, "self-test", error)) != SEMCAL_OK ||
        (status = sc_buffer_create(&last, device, row_bytes, SC_BUFFER_DEVICE, "self-test", error)) != SEMCAL_OK ||
        (status = sc_buffer_create(&c, device, sizeof t->got[0], SC_BUFFER_DEVICE, "self-test", error)) != SEMCAL_OK ||
        (status = sc_buffer_write(a, 0, t->a, sizeof t->a, error)) != SEMCAL_OK ||
        (status = sc_buffer_write(last, 0, t->a + (TEST_ROWS - 1) * TEST_K, row_bytes, error)) != SEMCAL_OK) {
        goto done;
    }
    *same = true;
    for (int form = 0; form < SC_GEMM_MMA_N_FORMS && *same; form++) {
        const struct sc_gemm_job all = {c, a, TEST_COLUMNS, TEST_ROWS, SC_MODE_STORE, w, false};
        const struct sc_gemm_job one = {c, last, TEST_COLUMNS, 1, SC_MODE_STORE, w, false};
        float *got = t->got[form];
        if ((status = run_form(t->gemm, form, &all, error)) != SEMCAL_OK ||
            (status = sc_buffer_read(c, 0, got, sizeof t->got[form], error)) != SEMCAL_OK ||
            (status = run_form(t->gemm, form, &one, error)) != SEMCAL_OK ||
            (status = sc_buffer_read(c, 0, t->alone, sizeof t->alone, error)) != SEMCAL_OK) {
            goto done;
        }
        *same = (form == 0 ? is_close(t, got) : memcmp(got, t->got[0], sizeof t->got[0]) == 0) &&
                memcmp(t->alone, got + (TEST_ROWS - 1) * TEST_COLUMNS, sizeof t->alone) == 0;
    }
done:
    sc_buffer_free(a);
    sc_buffer_free(last);
    sc_buffer_free(c);
    sc_matrix_free(w);
    return status;
}

semcal_status sc_gemm_selftest_mma(bool *usable, sc_gemm *gemm, const char *instead, semcal_error *error)
{
    *usable = false;
    struct trial *t = sc_memory_alloc(1, sizeof *t, error);
    if (t == NULL) {
        return SEMCAL_E_MEMORY;
    }
    sc_gemm_trial_fill(t->a, TEST_ROWS * TEST_K, t->w, TEST_COLUMNS * TEST_K, t->bias, TEST_COLUMNS);
    t->gemm = gemm;
    *usable = sc_selftest(gemm->device, "gemm_mma", instead, gemm->mma[0]->program, try_forms, t);
    free(t);
    return SEMCAL_OK;
}

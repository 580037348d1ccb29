/* SPDX-License-Identifier: Apache-2.0 */
/* Packing constant matrices into panels of 32 columns (layouts: cl/gemm.cl, cl/gemm_bf16.cl). */
#include "device/gemm_internal.h"

#include "abi.h"
#include "base/memory.h"
#include "base/parallel.h"

#include <stdlib.h>
#include <string.h>

struct packing {
    const sc_matrix *matrix;
    sc_matrix_row row;
    void *payload;
    uint32_t *words; /* of the part being packed */
    size_t first_panel;
    float *scratch; /* [threads, k] */
};

/* Row of W that stands at `column` of the panels, or n where there is padding. */
static size_t row_of_column(const sc_matrix *matrix, size_t column)
{
    if (!matrix->paired) {
        return column < matrix->n ? column : matrix->n;
    }
    const size_t half = matrix->n / 2, place = column % SC_PANEL, i = column / SC_PANEL * (SC_PANEL / 2) + place % 16;
    if (i >= half) {
        return matrix->n;
    }
    return place < 16 ? i : half + i;
}

size_t sc_matrix_panel_words(const sc_matrix *matrix)
{
    return matrix->pairs ? (matrix->k + 1) / 2 * SC_PANEL : matrix->k * (matrix->bf16 ? SC_PANEL / 2 : SC_PANEL);
}

static semcal_status pack_panel(size_t i, unsigned thread, void *payload, semcal_error *error)
{
    (void)error;
    const struct packing *job = payload;
    const sc_matrix *w = job->matrix;
    uint32_t *panel = job->words + i * sc_matrix_panel_words(w);
    float *row = job->scratch + thread * w->k;
    for (size_t j = 0; j < SC_PANEL; j++) {
        const size_t from = row_of_column(w, (job->first_panel + i) * SC_PANEL + j);
        if (from == w->n) {
            continue;
        }
        job->row(row, from, job->payload);
        for (size_t at = 0; at < w->k; at++) {
            uint32_t bits;
            memcpy(&bits, &row[at], sizeof bits);
            if (w->pairs) {
                panel[at / 2 * 32 + j] |= at % 2 == 0 ? bits >> 16 : bits & 0xffff0000u;
            } else if (!w->bf16) {
                panel[at * 32 + j] = bits;
            } else if (j < 16) {
                panel[at * 16 + j] |= bits >> 16;
            } else {
                panel[at * 16 + j - 16] |= bits & 0xffff0000u;
            }
        }
    }
    return SEMCAL_OK;
}

static semcal_status pack_parts(sc_matrix *matrix, sc_gemm *gemm, struct packing *job, const char *what,
                                semcal_error *error)
{
    const uint64_t panel_bytes = (uint64_t)sc_matrix_panel_words(matrix) * sizeof(uint32_t);
    uint64_t most = sc_device_facts(gemm->device)->max_allocation / panel_bytes;
    if (most == 0) {
        return sc_error_set(error, SEMCAL_E_DEVICE, "%s: one panel of %llu bytes is more than the device allocates",
                            what, (unsigned long long)panel_bytes);
    }
    most = most < matrix->n_panels ? most : matrix->n_panels;
    const size_t n_parts = (matrix->n_panels + most - 1) / most;
    matrix->parts = sc_memory_alloc(n_parts, sizeof *matrix->parts, error);
    if (matrix->parts == NULL) {
        return SEMCAL_E_MEMORY;
    }
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < n_parts && status == SEMCAL_OK; i++) {
        struct sc_matrix_part *part = &matrix->parts[matrix->n_parts];
        part->first_panel = i * most;
        part->n_panels = matrix->n_panels - part->first_panel < most ? matrix->n_panels - part->first_panel : most;
        const uint64_t bytes = part->n_panels * panel_bytes;
        status = sc_buffer_create(&part->panels, gemm->device, bytes, SC_BUFFER_DEVICE, what, error);
        if (status != SEMCAL_OK) {
            break;
        }
        matrix->n_parts++;
        job->first_panel = part->first_panel;
        job->words = sc_memory_alloc((size_t)bytes, 1, error);
        if (job->words == NULL) {
            return SEMCAL_E_MEMORY;
        }
        status = sc_parallel_for(part->n_panels, 0, pack_panel, job, error);
        if (status == SEMCAL_OK) {
            status = sc_buffer_write(part->panels, 0, job->words, bytes, error);
        }
        free(job->words);
    }
    return status;
}

static semcal_status pack_bias(sc_matrix *matrix, sc_gemm *gemm, const float *bias, const char *what,
                               semcal_error *error)
{
    const size_t n = matrix->n_panels * SC_PANEL;
    float *padded = sc_memory_alloc(n, sizeof *padded, error);
    if (padded == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < n; i++) {
        const size_t from =
            gemm->choice == SC_GEMM_CLBLAST ? (i < matrix->n ? i : matrix->n) : row_of_column(matrix, i);
        padded[i] = from < matrix->n ? bias[from] : 0;
    }
    semcal_status status =
        sc_buffer_create(&matrix->bias, gemm->device, n * sizeof *padded, SC_BUFFER_DEVICE, what, error);
    if (status == SEMCAL_OK) {
        status = sc_buffer_write(matrix->bias, 0, padded, n * sizeof *padded, error);
    }
    free(padded);
    return status;
}

/* Row-major fp32 for CLBlast. */
static semcal_status copy_plain(sc_matrix *matrix, sc_gemm *gemm, const struct packing *job, const char *what,
                                semcal_error *error)
{
    const uint64_t bytes = (uint64_t)matrix->n * matrix->k * sizeof(float);
    semcal_status status = sc_buffer_create(&matrix->plain, gemm->device, bytes, SC_BUFFER_DEVICE, what, error);
    void *data = NULL;
    if (status == SEMCAL_OK) {
        status = sc_buffer_map(&data, matrix->plain, 0, bytes, true, error);
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    for (size_t i = 0; i < matrix->n; i++) {
        job->row((float *)data + i * matrix->k, i, job->payload);
    }
    return sc_buffer_unmap(matrix->plain, data, error);
}

semcal_status sc_matrix_pack(sc_matrix **matrix, sc_gemm *gemm, size_t n, size_t k, bool bf16, bool paired,
                             sc_matrix_row row, const float *bias, const char *what, void *payload, semcal_error *error)
{
    *matrix = NULL;
    sc_matrix *made = sc_memory_alloc(1, sizeof *made, error);
    float *scratch = sc_memory_alloc(sc_parallel_default_threads() * k, sizeof *scratch, error);
    semcal_status status = SEMCAL_E_MEMORY;
    if (made == NULL || scratch == NULL) {
        goto done;
    }
    *made = (sc_matrix){.n = n, .k = k, .bf16 = bf16, .paired = paired};
    made->pairs = bf16 && gemm->choice == SC_GEMM_BF16;
    made->n_panels = paired ? (n / 2 + 15) / 16 : (n + SC_PANEL - 1) / SC_PANEL;
    struct packing job = {.matrix = made, .row = row, .payload = payload, .scratch = scratch};
    status = pack_parts(made, gemm, &job, what, error);
    if (status == SEMCAL_OK && bias != NULL) {
        status = pack_bias(made, gemm, bias, what, error);
    }
    if (status == SEMCAL_OK && gemm->choice == SC_GEMM_CLBLAST) {
        status = copy_plain(made, gemm, &job, what, error);
    }
done:
    free(scratch);
    if (status != SEMCAL_OK) {
        sc_matrix_free(made);
        return status;
    }
    *matrix = made;
    return SEMCAL_OK;
}

void sc_matrix_free(sc_matrix *matrix)
{
    if (matrix == NULL) {
        return;
    }
    sc_matrix_forget_compact(matrix);
    for (size_t i = 0; i < matrix->n_parts; i++) {
        sc_buffer_free(matrix->parts[i].panels);
    }
    free(matrix->parts);
    sc_buffer_free(matrix->plain);
    sc_buffer_free(matrix->bias);
    free(matrix);
}

uint64_t sc_matrix_bytes(const sc_matrix *matrix)
{
    uint64_t bytes = matrix->plain != NULL ? sc_buffer_bytes(matrix->plain) : 0;
    for (size_t i = 0; i < matrix->n_parts; i++) {
        bytes += sc_buffer_bytes(matrix->parts[i].panels);
    }
    return bytes;
}

size_t sc_matrix_rows(const sc_matrix *matrix)
{
    return matrix->n;
}

size_t sc_matrix_columns(const sc_matrix *matrix)
{
    return matrix->k;
}

size_t sc_matrix_n_parts(const sc_matrix *matrix)
{
    return matrix->n_parts;
}

const sc_buffer *sc_matrix_part(const sc_matrix *matrix, size_t i, size_t *first_panel, size_t *n_panels)
{
    *first_panel = matrix->parts[i].first_panel;
    *n_panels = matrix->parts[i].n_panels;
    return matrix->parts[i].panels;
}

uint32_t sc_matrix_form(const sc_matrix *matrix)
{
    return matrix->pairs ? SC_PANELS_PAIRS : matrix->bf16 ? SC_PANELS_BF16 : SC_PANELS_FP32;
}

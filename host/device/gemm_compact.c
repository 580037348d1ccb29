/* SPDX-License-Identifier: Apache-2.0 */
/* bf16 weights a second time in three quarters of the bytes, for products of few rows (cl/gemm_compact.cl). */
#include "device/gemm_internal.h"

#include "abi.h"
#include "base/parallel.h"

#include <string.h>

/* ---- writing them ---- */

enum { LINE = 32, /* bf16 numbers of 64 bytes */ MOST_KINDS = SC_COMPACT_TABLE };

/* The high bytes of a unit, ascending, and each one's place; false: there are more than a table holds. A table with
 * free places has its last byte there, its second one differs from the first. */
static bool make_table(uint8_t table[SC_COMPACT_TABLE], uint8_t place[256], const uint16_t *numbers)
{
    bool seen[256] = {false};
    for (size_t i = 0; i < SC_COMPACT_LINES * LINE; i++) {
        seen[numbers[i] >> 8] = true;
    }
    size_t n = 0;
    for (unsigned high = 0; high < 256; high++) {
        if (seen[high] && n == MOST_KINDS) {
            return false;
        }
        if (seen[high]) {
            place[high] = (uint8_t)n;
            table[n++] = (uint8_t)high;
        }
    }
    for (; n < MOST_KINDS; n++) {
        table[n] = n == 1 ? table[0] ^ 1 : table[n - 1];
    }
    return true;
}

/* 64 low bytes and 32 bytes of places of two lines, in the order that vpunpcklbw and vpunpckhbw undo. */
static void write_pair(uint8_t *low, uint8_t *places, const uint16_t *lines, const uint8_t place[256])
{
    for (size_t b = 0; b < 64; b++) {
        const size_t quarter = b / 16, i = b % 16;
        const uint16_t number = lines[(i / 8) * LINE + quarter * 8 + i % 8];
        low[b] = (uint8_t)number;
        if (b % 2 == 0) {
            places[b / 2] = place[number >> 8];
        } else {
            places[b / 2] = (uint8_t)(places[b / 2] | place[number >> 8] << 4);
        }
    }
}

void sc_compact_unit(uint8_t unit[SC_COMPACT_BYTES], uint8_t table[SC_COMPACT_TABLE], const uint16_t *numbers)
{
    uint8_t place[256] = {0};
    if (!make_table(table, place, numbers)) {
        memset(table, 0, SC_COMPACT_TABLE);
        memset(unit, 0, SC_COMPACT_BYTES);
        return;
    }
    for (size_t pair = 0; pair < SC_COMPACT_LINES / 2; pair++) {
        uint8_t *group = unit + pair / 2 * 192;
        write_pair(group + pair % 2 * 64, group + 128 + pair % 2 * 32, numbers + pair * 2 * LINE, place);
    }
}

struct writing {
    const uint16_t *panels;
    uint8_t *units, *tables;
    size_t n_units, panel_numbers; /* of a panel */
};

static semcal_status write_panel(size_t i, unsigned thread, void *payload, semcal_error *error)
{
    (void)thread;
    (void)error;
    const struct writing *w = payload;
    for (size_t u = 0; u < w->n_units; u++) {
        const size_t at = i * w->n_units + u;
        sc_compact_unit(w->units + at * SC_COMPACT_BYTES, w->tables + at * SC_COMPACT_TABLE,
                        w->panels + i * w->panel_numbers + u * SC_COMPACT_LINES * LINE);
    }
    return SEMCAL_OK;
}

static semcal_status write_part(const struct sc_matrix_part *part, struct writing *w, semcal_error *error)
{
    void *panels = NULL, *units = NULL, *tables = NULL;
    semcal_status status, unmapped = SEMCAL_OK;
    if ((status = sc_buffer_map(&panels, part->panels, 0, sc_buffer_bytes(part->panels), false, error)) == SEMCAL_OK &&
        (status = sc_buffer_map(&units, part->units, 0, sc_buffer_bytes(part->units), true, error)) == SEMCAL_OK &&
        (status = sc_buffer_map(&tables, part->tables, 0, sc_buffer_bytes(part->tables), true, error)) == SEMCAL_OK) {
        w->panels = panels;
        w->units = units;
        w->tables = tables;
        status = sc_parallel_for(part->n_panels, 0, write_panel, w, error);
    }
    sc_buffer *const buffers[] = {part->panels, part->units, part->tables};
    void *const maps[] = {panels, units, tables};
    for (size_t i = 0; i < 3; i++) {
        semcal_status one = maps[i] != NULL ? sc_buffer_unmap(buffers[i], maps[i], error) : SEMCAL_OK;
        unmapped = unmapped != SEMCAL_OK ? unmapped : one;
    }
    return status != SEMCAL_OK ? status : unmapped;
}

/* ---- whether they may be used ---- */

/* Whether this device and choice have a use for it. */
static bool is_of_use(const sc_gemm *gemm)
{
    const sc_gemm_method whole = gemm->choice == SC_GEMM_BF16 ? gemm->pairs : gemm->many_rows;
#if defined(__x86_64__) && defined(__GNUC__)
    /* an OpenCL device that is a CPU is the one this program runs on */
    return sc_device_facts(gemm->device)->is_cpu && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && gemm->choice != SC_GEMM_CLBLAST &&
           (whole == SC_GEMM_METHOD_PACKED || whole == SC_GEMM_METHOD_BF16);
#else
    (void)whole;
    return false;
#endif
}

static semcal_status load(sc_gemm *gemm, semcal_error *error)
{
    const char *options = gemm->choice == SC_GEMM_BF16 ? "-DPAIRS" : "";
    sc_program *program;
    semcal_status status = sc_program_get(&program, gemm->device, "gemm_compact.cl", options, error);
    return status != SEMCAL_OK
               ? status
               : sc_kernel_get(&gemm->kernels[SC_GEMM_METHOD_COMPACT][1], program, "gemm_compact", error);
}

semcal_status sc_gemm_ready_compact(bool *usable, sc_gemm *gemm, semcal_error *error)
{
    sc_kernel **kernel = &gemm->kernels[SC_GEMM_METHOD_COMPACT][1];
    const char *instead = gemm->choice == SC_GEMM_BF16 ? "gemm_bf16" : "gemm_packed";
    *usable = *kernel != NULL;
    if (gemm->compact_tried || !is_of_use(gemm)) {
        return SEMCAL_OK;
    }
    gemm->compact_tried = true;
    semcal_error why = SEMCAL_ERROR_INIT;
    semcal_status status = load(gemm, &why);
    if (status == SEMCAL_OK) {
        status = sc_gemm_selftest(usable, gemm, SC_GEMM_METHOD_COMPACT, "gemm_compact", instead, error);
    } else if (status != SEMCAL_E_MEMORY) {
        sc_device_note(gemm->device, "%s: gemm_compact cannot be used (%s); %s is used instead",
                       sc_device_facts(gemm->device)->name, why.message, instead);
        status = SEMCAL_OK;
    } else {
        (void)sc_error_set(error, status, "%s", why.message);
    }
    *kernel = *usable ? *kernel : NULL;
    return status;
}

/* ---- making them ---- */

/* Whole units of a panel. */
static size_t units_of(const sc_matrix *matrix)
{
    return sc_matrix_panel_words(matrix) * sizeof(uint32_t) / 64 / SC_COMPACT_LINES;
}

uint64_t sc_matrix_compact_bytes(const sc_matrix *matrix, const sc_gemm *gemm)
{
    const bool usable = gemm->compact_tried ? gemm->kernels[SC_GEMM_METHOD_COMPACT][1] != NULL : is_of_use(gemm);
    const bool fits = usable && matrix->bf16 && matrix->pairs == (gemm->choice == SC_GEMM_BF16) && matrix->k % 2 == 0;
    return fits ? (uint64_t)matrix->n_panels * units_of(matrix) * (SC_COMPACT_BYTES + SC_COMPACT_TABLE) : 0;
}

void sc_matrix_forget_compact(sc_matrix *matrix)
{
    for (size_t i = 0; i < matrix->n_parts; i++) {
        sc_buffer_free(matrix->parts[i].units);
        sc_buffer_free(matrix->parts[i].tables);
        matrix->parts[i].units = matrix->parts[i].tables = NULL;
    }
    matrix->compact = false;
}

semcal_status sc_matrix_compact(sc_matrix *matrix, sc_gemm *gemm, semcal_error *error)
{
    const size_t n_units = units_of(matrix);
    if (matrix->compact || sc_matrix_compact_bytes(matrix, gemm) == 0) {
        return SEMCAL_OK;
    }
    bool usable;
    semcal_status status = sc_gemm_ready_compact(&usable, gemm, error);
    if (status != SEMCAL_OK || !usable) {
        return status;
    }
    struct writing w = {.n_units = n_units, .panel_numbers = sc_matrix_panel_words(matrix) * 2};
    for (size_t i = 0; i < matrix->n_parts && status == SEMCAL_OK; i++) {
        struct sc_matrix_part *part = &matrix->parts[i];
        const uint64_t n = (uint64_t)part->n_panels * n_units;
        if ((status = sc_buffer_create(&part->units, gemm->device, n * SC_COMPACT_BYTES, SC_BUFFER_DEVICE,
                                       "compact weights", error)) == SEMCAL_OK &&
            (status = sc_buffer_create(&part->tables, gemm->device, n * SC_COMPACT_TABLE, SC_BUFFER_DEVICE,
                                       "compact weights", error)) == SEMCAL_OK) {
            status = write_part(part, &w, error);
        }
    }
    matrix->compact = status == SEMCAL_OK;
    if (status != SEMCAL_OK) {
        sc_matrix_forget_compact(matrix);
    }
    return status;
}

/* ---- using them ---- */

semcal_status sc_gemm_run_compact(sc_gemm *gemm, const struct sc_gemm_job *job, semcal_error *error)
{
    const sc_matrix *w = job->matrix;
    if (job->m > SC_COMPACT_ROWS) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "matrix product: method 'compact' takes %d rows, got %zu",
                            SC_COMPACT_ROWS, job->m);
    }
    sc_buffer *rows = job->a;
    semcal_status status = w->pairs ? sc_gemm_round_rows(&rows, gemm, job, error) : SEMCAL_OK;
    const size_t k = w->pairs ? (w->k + 1) / 2 : w->k;
    for (size_t i = 0; i < w->n_parts && status == SEMCAL_OK; i++) {
        const struct sc_matrix_part *part = &w->parts[i];
        sc_work work = SC_WORK_1D(part->n_panels, 1);
        sc_gemm_tell_floor(&work, job, part, w->pairs ? 2 : sizeof(float));
        work.bytes -= (double)sc_buffer_bytes(part->panels);
        work.bytes += (double)(sc_buffer_bytes(part->units) + sc_buffer_bytes(part->tables));
        work.pace = w->pairs ? 2 : 1;
        status = sc_launch(gemm->kernels[SC_GEMM_METHOD_COMPACT][1], &work,
                           SC_ARGS(SC_BUFFER_ARG(rows), SC_BUFFER_ARG(part->panels), SC_BUFFER_ARG(part->units),
                                   SC_BUFFER_ARG(part->tables), SC_BUFFER_ARG(w->bias), SC_BUFFER_ARG(job->c),
                                   SC_U32((uint32_t)job->m), SC_U32((uint32_t)w->n), SC_U32((uint32_t)k),
                                   SC_U32((uint32_t)job->stride), SC_U32((uint32_t)job->mode),
                                   SC_U32((uint32_t)part->first_panel)),
                           error);
    }
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The methods and the choice between them; matrix.c packs the weights. */
#include "device/gemm_internal.h"

#include "abi.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"

#include <clblast_c.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- own methods ---- */

void sc_gemm_tell_floor(sc_work *work, const struct sc_gemm_job *job, const struct sc_matrix_part *part, double a_bytes)
{
    const double m = (double)job->m, k = (double)job->matrix->k, n = (double)part->n_panels * SC_PANEL;
    const double outputs = job->mode == SC_MODE_SWIGLU           ? n / 2
                           : job->mode == SC_MODE_SWIGLU_ROUNDED ? n / 4
                           : job->mode == SC_MODE_ADD            ? 2 * n
                                                                 : n;
    work->bytes = (double)sc_buffer_bytes(part->panels) + m * (a_bytes * k + 4 * outputs);
    work->flops = 2 * m * n * k;
}

uint32_t sc_gemm_block_rows(const sc_gemm *gemm, size_t m, size_t n_panels)
{
    const sc_tune *tune = sc_device_tune(gemm->device);
    const size_t wanted = (size_t)tune->gemm_items_per_unit * sc_device_facts(gemm->device)->compute_units;
    size_t block = (size_t)tune->gemm_block_tiles * SC_TILE_ROWS;
    while (block > SC_TILE_ROWS && n_panels * ((m + block - 1) / block) < wanted) {
        block -= SC_TILE_ROWS;
    }
    const size_t n_blocks = (m + block - 1) / block;
    return (uint32_t)((m + n_blocks - 1) / n_blocks);
}

static semcal_status run_packed(sc_gemm *gemm, const struct sc_gemm_job *job, semcal_error *error)
{
    const sc_matrix *w = job->matrix;
    sc_kernel *kernel = gemm->kernels[SC_GEMM_METHOD_PACKED][w->bf16];
    semcal_status status = SEMCAL_OK;
    const uint32_t block = sc_gemm_block_rows(gemm, job->m, w->n_panels),
                   blocks = ((uint32_t)job->m + block - 1) / block;
    for (size_t i = 0; i < w->n_parts && status == SEMCAL_OK; i++) {
        sc_work work = SC_WORK_1D(w->parts[i].n_panels * blocks, 1);
        sc_gemm_tell_floor(&work, job, &w->parts[i], sizeof(float));
        status = sc_launch(kernel, &work,
                           SC_ARGS(SC_BUFFER_ARG(job->a), SC_BUFFER_ARG(w->parts[i].panels), SC_BUFFER_ARG(w->bias),
                                   SC_BUFFER_ARG(job->c), SC_U32((uint32_t)job->m), SC_U32((uint32_t)w->n),
                                   SC_U32((uint32_t)w->k), SC_U32((uint32_t)job->stride), SC_U32((uint32_t)job->mode),
                                   SC_U32(block), SC_U32(blocks), SC_U32((uint32_t)w->parts[i].first_panel)),
                           error);
    }
    return status;
}

static semcal_status run_groups(sc_gemm *gemm, sc_gemm_method method, size_t rows_per_group,
                                const struct sc_gemm_job *job, semcal_error *error)
{
    const sc_matrix *w = job->matrix;
    sc_kernel *kernel = gemm->kernels[method][w->bf16];
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < w->n_parts && status == SEMCAL_OK; i++) {
        sc_work work = {.n_dims = 2,
                        .global = {w->parts[i].n_panels * 128, (job->m + rows_per_group - 1) / rows_per_group, 1},
                        .local = {128, 1, 1}};
        sc_gemm_tell_floor(&work, job, &w->parts[i], sizeof(float));
        status = sc_launch(kernel, &work,
                           SC_ARGS(SC_BUFFER_ARG(job->a), SC_BUFFER_ARG(w->parts[i].panels), SC_BUFFER_ARG(w->bias),
                                   SC_BUFFER_ARG(job->c), SC_U32((uint32_t)job->m), SC_U32((uint32_t)w->n),
                                   SC_U32((uint32_t)w->k), SC_U32((uint32_t)job->stride), SC_U32((uint32_t)job->mode),
                                   SC_U32((uint32_t)w->parts[i].first_panel)),
                           error);
    }
    return status;
}

static semcal_status run_skinny(sc_gemm *gemm, const struct sc_gemm_job *job, semcal_error *error)
{
    return run_groups(gemm, SC_GEMM_METHOD_SKINNY, SC_SKINNY_ROWS, job, error);
}

static semcal_status run_tiled(sc_gemm *gemm, const struct sc_gemm_job *job, semcal_error *error)
{
    return run_groups(gemm, SC_GEMM_METHOD_TILED, SC_TILED_ROWS, job, error);
}

static semcal_status run_plain(sc_gemm *gemm, const struct sc_gemm_job *job, semcal_error *error)
{
    const sc_matrix *w = job->matrix;
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < w->n_parts && status == SEMCAL_OK; i++) {
        sc_work work = {.n_dims = 2, .global = {w->parts[i].n_panels * 16, job->m, 1}, .local = {0, 0, 0}};
        sc_gemm_tell_floor(&work, job, &w->parts[i], sizeof(float));
        status = sc_launch(gemm->kernels[SC_GEMM_METHOD_PLAIN][w->bf16], &work,
                           SC_ARGS(SC_BUFFER_ARG(job->a), SC_BUFFER_ARG(w->parts[i].panels), SC_BUFFER_ARG(w->bias),
                                   SC_BUFFER_ARG(job->c), SC_U32((uint32_t)w->n), SC_U32((uint32_t)w->k),
                                   SC_U32((uint32_t)job->stride), SC_U32((uint32_t)job->mode),
                                   SC_U32((uint32_t)w->parts[i].first_panel)),
                           error);
    }
    return status;
}

/* ---- CLBlast ---- */

static semcal_status run_clblast(sc_gemm *gemm, const struct sc_gemm_job *job, semcal_error *error)
{
    const sc_matrix *w = job->matrix;
    const uint64_t bytes = (uint64_t)job->m * w->n * sizeof(float);
    if (gemm->products == NULL || sc_buffer_bytes(gemm->products) < bytes) {
        sc_buffer_free(gemm->products);
        gemm->products = NULL;
        semcal_status status =
            sc_buffer_create(&gemm->products, gemm->device, bytes, SC_BUFFER_DEVICE, "products", error);
        if (status != SEMCAL_OK) {
            return status;
        }
    }
    const double m = (double)job->m, n = (double)w->n, k = (double)w->k;
    const sc_work product = {.bytes = 4 * (n * k + m * k + m * n), .flops = 2 * m * n * k};
    sc_profile_call call;
    semcal_status status = sc_profile_enter(&call, gemm->device, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    const CLBlastStatusCode code = CLBlastSgemm(CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, job->m,
                                                w->n, w->k, 1.0f, job->a->handle, 0, w->k, w->plain->handle, 0, w->k,
                                                0.0f, gemm->products->handle, 0, w->n, &gemm->device->queue, call.last);
    sc_profile_leave(gemm->device, &call, code == CLBlastSuccess, &product);
    if (code != CLBlastSuccess) {
        return sc_error_set(error, SEMCAL_E_DEVICE, "CLBlast sgemm [%zu, %zu, %zu]: status %d", job->m, w->n, w->k,
                            (int)code);
    }
    const size_t columns = job->mode == SC_MODE_SWIGLU ? w->n / 2 : w->n;
    const sc_work work = {.n_dims = 2,
                          .global = {columns, job->m, 1},
                          .local = {0, 0, 0},
                          .bytes = 4.0 * (double)job->m * (double)(w->n + columns)};
    return sc_launch(gemm->kernels[SC_GEMM_METHOD_CLBLAST][0], &work,
                     SC_ARGS(SC_BUFFER_ARG(gemm->products), SC_BUFFER_ARG(w->bias), SC_BUFFER_ARG(job->c),
                             SC_U32((uint32_t)w->n), SC_U32((uint32_t)job->stride), SC_U32((uint32_t)job->mode)),
                     error);
}

/* ---- the table ---- */

static const struct {
    const char *name, *file, *kernel;
    semcal_status (*run)(sc_gemm *gemm, const struct sc_gemm_job *job, semcal_error *error);
    bool fp32, bf16; /* weights it takes: fp32, bf16 */
    bool pairs;      /* bf16 weights in pairs along k, with rows of A rounded to bf16 */
    bool rounded;    /* takes such rows as sc_gemm_run_rounded has them, and writes them */
} methods[SC_GEMM_N_METHODS] = {
    [SC_GEMM_METHOD_PACKED] = {"packed", "gemm.cl", "gemm_packed", run_packed, true, true, false, false},
    [SC_GEMM_METHOD_SKINNY] = {"skinny", "gemm_tiled.cl", "gemm_skinny", run_skinny, true, true, false, false},
    [SC_GEMM_METHOD_TILED] = {"tiled", "gemm_tiled.cl", "gemm_tiled", run_tiled, true, true, false, false},
    [SC_GEMM_METHOD_PLAIN] = {"plain", "gemm_plain.cl", "gemm_plain", run_plain, true, true, false, false},
    [SC_GEMM_METHOD_CLBLAST] = {"clblast", "gemm_finish.cl", "gemm_finish", run_clblast, true, false, false, false},
    [SC_GEMM_METHOD_BF16] = {"bf16", "gemm_bf16.cl", "gemm_bf16", sc_gemm_run_bf16, false, true, true, true},
    [SC_GEMM_METHOD_BF16_PLAIN] = {"bf16_plain", "gemm_bf16_plain.cl", "gemm_bf16_plain", sc_gemm_run_bf16_plain, false,
                                   true, true, true},
    [SC_GEMM_METHOD_MMA] = {"mma", "gemm_mma.cl", "gemm_mma", sc_gemm_run_mma, false, true, true, false},
    [SC_GEMM_METHOD_COMPACT] = {"compact", "gemm_compact.cl", "gemm_compact", sc_gemm_run_compact, false, true, false,
                                true},
};

const char *sc_gemm_method_name(sc_gemm_method method)
{
    return methods[method].name;
}

bool sc_gemm_supports(const sc_gemm *gemm, sc_gemm_method method, const sc_matrix *matrix)
{
    if (method == SC_GEMM_METHOD_CLBLAST) {
        return gemm->kernels[method][0] != NULL && matrix->plain != NULL;
    }
    if (method == SC_GEMM_METHOD_COMPACT) {
        return gemm->kernels[method][1] != NULL && matrix->compact && matrix->pairs == (gemm->choice == SC_GEMM_BF16);
    }
    return methods[method].pairs == matrix->pairs && gemm->kernels[method][matrix->bf16] != NULL;
}

static semcal_status run_job(sc_gemm *gemm, sc_gemm_method method, const struct sc_gemm_job *job, semcal_error *error)
{
    if (!sc_gemm_supports(gemm, method, job->matrix)) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "matrix product: method '%s' is not ready on this device",
                            methods[method].name);
    }
    if ((job->mode >= SC_MODE_SWIGLU) != job->matrix->paired) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "matrix product: SwiGLU needs a paired matrix, and only it");
    }
    if ((job->rounded || job->mode == SC_MODE_SWIGLU_ROUNDED) && !(methods[method].rounded && job->matrix->pairs)) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "matrix product: method '%s' has no rounded rows",
                            methods[method].name);
    }
    return job->m == 0 ? SEMCAL_OK : methods[method].run(gemm, job, error);
}

semcal_status sc_gemm_run_method(sc_gemm *gemm, sc_gemm_method method, sc_buffer *c, size_t stride, sc_gemm_mode mode,
                                 sc_buffer *a, const sc_matrix *matrix, size_t m, semcal_error *error)
{
    const struct sc_gemm_job job = {c, a, stride, m, mode, matrix, false};
    return run_job(gemm, method, &job, error);
}

bool sc_gemm_takes_rounded(const sc_gemm *gemm, const sc_matrix *matrix)
{
    return matrix->pairs && methods[gemm->pairs].rounded;
}

size_t sc_gemm_compact_rows(const sc_gemm *gemm)
{
    const sc_tune *tune = sc_device_tune(gemm->device);
    return (size_t)(gemm->choice == SC_GEMM_BF16 ? tune->gemm_compact_bf16_rows : tune->gemm_compact_rows);
}

static bool takes_compact(const sc_gemm *gemm, const sc_matrix *matrix, size_t m)
{
    return m <= sc_gemm_compact_rows(gemm) && sc_gemm_supports(gemm, SC_GEMM_METHOD_COMPACT, matrix);
}

semcal_status sc_gemm_run_rounded(sc_gemm *gemm, sc_buffer *c, size_t stride, sc_gemm_mode mode, sc_buffer *a,
                                  const sc_matrix *matrix, size_t m, semcal_error *error)
{
    const struct sc_gemm_job job = {c, a, stride, m, mode, matrix, true};
    return run_job(gemm, takes_compact(gemm, matrix, m) ? SC_GEMM_METHOD_COMPACT : gemm->pairs, &job, error);
}

semcal_status sc_gemm_run(sc_gemm *gemm, sc_buffer *c, size_t stride, sc_gemm_mode mode, sc_buffer *a,
                          const sc_matrix *matrix, size_t m, semcal_error *error)
{
    const sc_tune *tune = sc_device_tune(gemm->device);
    const size_t skinny =
        gemm->skinny_rows > 0 && tune->gemm_skinny_rows >= 0 ? (size_t)tune->gemm_skinny_rows : gemm->skinny_rows;
    /* a paired bias lies in CLBlast's order where CLBlast was chosen */
    const bool clblast = gemm->choice == SC_GEMM_CLBLAST &&
                         (m >= (size_t)tune->gemm_clblast_rows || (matrix->paired && matrix->bias != NULL));
    const sc_gemm_method method = takes_compact(gemm, matrix, m) ? SC_GEMM_METHOD_COMPACT
                                  : matrix->pairs                ? gemm->pairs
                                  : clblast                      ? SC_GEMM_METHOD_CLBLAST
                                  : m <= skinny                  ? SC_GEMM_METHOD_SKINNY
                                                                 : gemm->many_rows;
    return sc_gemm_run_method(gemm, method, c, stride, mode, a, matrix, m, error);
}

/* ---- loading and measuring ---- */

void sc_gemm_count_in(sc_gemm *gemm, const sc_program *program)
{
    char joined[3 * 64 + 1];
    memcpy(joined, gemm->sha256, 64);
    memcpy(joined + 64, sc_program_sha256(program), 64);
    sc_sha256_hex(gemm->sha256, joined, 128);
    gemm->build_options = sc_program_options(program);
}

/* A method's kernels for the kinds of weights that matrices can have under this choice. */
static semcal_status load(sc_gemm *gemm, sc_gemm_method method, semcal_error *error)
{
    static const char *const options[2] = {"", "-DWEIGHT_BF16"};
    const bool bf16 = methods[method].bf16 && methods[method].pairs == (gemm->choice == SC_GEMM_BF16);
    semcal_status status = SEMCAL_OK;
    if (method == SC_GEMM_METHOD_MMA) {
        return bf16 ? sc_gemm_load_mma(gemm, error) : SEMCAL_OK;
    }
    if (method == SC_GEMM_METHOD_COMPACT) {
        bool usable;
        return sc_gemm_ready_compact(&usable, gemm, error);
    }
    if (methods[method].pairs && gemm->round == NULL) {
        sc_program *program;
        char size[32];
        const sc_device_info *info = sc_device_facts(gemm->device);
        gemm->round_size = info->is_cpu ? 1 : info->max_group < 64 ? info->max_group : 64;
        (void)snprintf(size, sizeof size, "-DLSZ=%zu", gemm->round_size);
        if ((status = sc_program_get(&program, gemm->device, "gemm_round.cl", size, error)) != SEMCAL_OK ||
            (status = sc_kernel_get(&gemm->round, program, "gemm_round", error)) != SEMCAL_OK) {
            return status;
        }
        sc_gemm_count_in(gemm, program);
    }
    for (int i = methods[method].fp32 ? 0 : 1; i < (bf16 ? 2 : 1); i++) {
        sc_program *program;
        status = sc_program_get(&program, gemm->device, methods[method].file, methods[method].pairs ? "" : options[i],
                                error);
        if (status == SEMCAL_OK) {
            status = sc_kernel_get(&gemm->kernels[method][i], program, methods[method].kernel, error);
        }
        if (status != SEMCAL_OK) {
            return status;
        }
        sc_gemm_count_in(gemm, program);
    }
    return SEMCAL_OK;
}

static bool is_loaded(const sc_gemm *gemm, sc_gemm_method method)
{
    return gemm->kernels[method][0] != NULL || gemm->kernels[method][1] != NULL;
}

semcal_status sc_gemm_load(sc_gemm *gemm, sc_gemm_method method, semcal_error *error)
{
    return is_loaded(gemm, method) ? SEMCAL_OK : load(gemm, method, error);
}

static void zero_row(float *row, size_t i, void *payload)
{
    (void)i;
    const size_t k = *(const size_t *)payload;
    memset(row, 0, k * sizeof *row);
}

/* Best of three runs. */
static semcal_status time_method(double *best, sc_gemm *gemm, sc_gemm_method method, sc_buffer *c, sc_buffer *a,
                                 const sc_matrix *w, size_t m, semcal_error *error)
{
    *best = INFINITY;
    for (int i = 0; i < 4; i++) {
        const double start = sc_clock_now_s();
        semcal_status status = sc_gemm_run_method(gemm, method, c, w->n, SC_MODE_STORE, a, w, m, error);
        if (status == SEMCAL_OK) {
            status = sc_device_finish(gemm->device, error);
        }
        if (status != SEMCAL_OK) {
            return status;
        }
        *best = i > 0 ? fmin(*best, sc_clock_now_s() - start) : *best;
    }
    return SEMCAL_OK;
}

/* Up to how many rows gemm_skinny is the faster one. Both give the same bits, so noise here changes nothing else. */
static semcal_status measure(sc_gemm *gemm, semcal_error *error)
{
    enum { WIDTH = 1024, MOST_ROWS = 128 };
    size_t k = WIDTH;
    sc_matrix *w = NULL;
    sc_buffer *a = NULL, *c = NULL;
    const float zero = 0;
    const uint64_t bytes = (uint64_t)MOST_ROWS * WIDTH * sizeof(float);
    semcal_status status = sc_matrix_pack(&w, gemm, WIDTH, k, true, false, zero_row, NULL, "measurement", &k, error);
    if (status != SEMCAL_OK ||
        (status = sc_buffer_create(&a, gemm->device, bytes, SC_BUFFER_DEVICE, "measurement", error)) != SEMCAL_OK ||
        (status = sc_buffer_create(&c, gemm->device, bytes, SC_BUFFER_DEVICE, "measurement", error)) != SEMCAL_OK ||
        (status = sc_buffer_fill(a, 0, bytes, &zero, sizeof zero, error)) != SEMCAL_OK) {
        goto done;
    }
    for (size_t m = 8; m <= MOST_ROWS; m *= 2) {
        double skinny, tiled;
        if ((status = time_method(&skinny, gemm, SC_GEMM_METHOD_SKINNY, c, a, w, m, error)) != SEMCAL_OK ||
            (status = time_method(&tiled, gemm, SC_GEMM_METHOD_TILED, c, a, w, m, error)) != SEMCAL_OK) {
            goto done;
        }
        if (skinny > tiled) {
            break;
        }
        gemm->skinny_rows = m;
    }
done:
    sc_buffer_free(a);
    sc_buffer_free(c);
    sc_matrix_free(w);
    return status;
}

/* ---- opening ---- */

/* Loads a method if it works here. */
static semcal_status load_tested(bool *usable, sc_gemm *gemm, sc_gemm_method method, sc_gemm_method instead,
                                 semcal_error *error)
{
    *usable = false;
    semcal_status status = load(gemm, method, error);
    if (status == SEMCAL_OK && method == SC_GEMM_METHOD_MMA) {
        return sc_gemm_selftest_mma(usable, gemm, methods[instead].kernel, error);
    }
    return status != SEMCAL_OK
               ? status
               : sc_gemm_selftest(usable, gemm, method, methods[method].kernel, methods[instead].kernel, error);
}

/* Forgets the methods loaded so far, for the hash of what is in use. */
static void unload(sc_gemm *gemm, sc_gemm_method method)
{
    gemm->kernels[method][0] = gemm->kernels[method][1] = NULL;
    memset(gemm->sha256, '0', 64);
}

static semcal_status fall_back(sc_gemm *gemm, sc_gemm_method from, semcal_error *error)
{
    unload(gemm, from);
    gemm->many_rows = SC_GEMM_METHOD_PLAIN;
    gemm->skinny_rows = 0;
    return load(gemm, SC_GEMM_METHOD_PLAIN, error);
}

static bool has_groups(sc_device *device)
{
    const sc_device_info *info = sc_device_facts(device);
    const bool enough = info->max_group >= 128 && info->local_memory >= 8192;
    if (!enough) {
        sc_device_note(device,
                       "%s: work-groups of %zu items and %llu bytes of local memory are too small for "
                       "gemm_tiled; gemm_plain is used instead",
                       info->name, info->max_group, (unsigned long long)info->local_memory);
    }
    return enough;
}

static semcal_status choose_methods(sc_gemm *gemm, semcal_error *error)
{
    const bool cpu = sc_device_facts(gemm->device)->is_cpu;
    bool usable = false;
    gemm->many_rows = cpu ? SC_GEMM_METHOD_PACKED : SC_GEMM_METHOD_TILED;
    semcal_status status = SEMCAL_OK;
    if (cpu || has_groups(gemm->device)) {
        status = load_tested(&usable, gemm, gemm->many_rows, SC_GEMM_METHOD_PLAIN, error);
    }
    if (status != SEMCAL_OK || !usable) {
        return status != SEMCAL_OK ? status : fall_back(gemm, gemm->many_rows, error);
    }
    if (cpu) {
        return SEMCAL_OK;
    }
    status = load_tested(&usable, gemm, SC_GEMM_METHOD_SKINNY, SC_GEMM_METHOD_PLAIN, error);
    if (status != SEMCAL_OK || !usable) {
        gemm->kernels[SC_GEMM_METHOD_SKINNY][0] = gemm->kernels[SC_GEMM_METHOD_SKINNY][1] = NULL;
        return status; /* gemm_tiled takes all rows */
    }
    gemm->skinny_rows = 16;
    const bool tuned = sc_device_tune(gemm->device)->gemm_skinny_rows >= 0;
    return gemm->choice == SC_GEMM_AUTO && !tuned ? measure(gemm, error) : SEMCAL_OK;
}

/* The method for matrices of pairs: the one with the device's own instruction where there is one and it proves itself.
 */
static semcal_status choose_pairs(sc_gemm *gemm, semcal_error *error)
{
    char before[65];
    memcpy(before, gemm->sha256, sizeof before);
    bool usable = false;
    const bool mma = sc_gemm_has_mma_unit(gemm->device), own = mma || sc_gemm_has_bf16_unit(gemm->device);
    gemm->pairs = mma ? SC_GEMM_METHOD_MMA : SC_GEMM_METHOD_BF16;
    if (own) {
        semcal_error why = SEMCAL_ERROR_INIT;
        semcal_status status = load_tested(&usable, gemm, gemm->pairs, SC_GEMM_METHOD_BF16_PLAIN, &why);
        if (status == SEMCAL_OK && usable) {
            return SEMCAL_OK;
        }
        if (status == SEMCAL_E_MEMORY) {
            return sc_error_set(error, status, "%s", why.message);
        }
        if (status != SEMCAL_OK) {
            sc_device_note(gemm->device, "%s: %s cannot be used (%s); gemm_bf16_plain is used instead",
                           sc_device_facts(gemm->device)->name, methods[gemm->pairs].kernel, why.message);
        }
    } else {
        sc_device_note(gemm->device, "%s: no %s; gemm_bf16_plain is used instead", sc_device_facts(gemm->device)->name,
                       sc_device_facts(gemm->device)->is_cpu
                           ? "AVX-512 bf16 instructions for gemm_bf16"
                           : "tensor cores for gemm_mma (NVIDIA, compute capability 8.0)");
    }
    unload(gemm, gemm->pairs);
    gemm->round = NULL;
    memcpy(gemm->sha256, before, sizeof before);
    gemm->pairs = SC_GEMM_METHOD_BF16_PLAIN;
    return load(gemm, gemm->pairs, error);
}

semcal_status sc_gemm_open(sc_gemm **gemm, sc_device *device, sc_gemm_choice choice, semcal_error *error)
{
    *gemm = NULL;
    sc_gemm *made = sc_memory_alloc(1, sizeof *made, error);
    if (made == NULL) {
        return SEMCAL_E_MEMORY;
    }
    made->device = device;
    made->choice = choice;
    made->build_options = "";
    memset(made->sha256, '0', 64);
    semcal_status status = choose_methods(made, error);
    if (status == SEMCAL_OK && choice == SC_GEMM_CLBLAST) {
        status = load(made, SC_GEMM_METHOD_CLBLAST, error);
    } else if (status == SEMCAL_OK && choice == SC_GEMM_BF16) {
        status = choose_pairs(made, error);
    }
    if (status != SEMCAL_OK) {
        sc_gemm_close(made);
        return status;
    }
    *gemm = made;
    return SEMCAL_OK;
}

void sc_gemm_close(sc_gemm *gemm)
{
    if (gemm != NULL) {
        sc_buffer_free(gemm->products);
        sc_buffer_free(gemm->rounded);
        free(gemm);
    }
}

sc_gemm_choice sc_gemm_choice_of(const sc_gemm *gemm)
{
    return gemm->choice;
}

const char *sc_gemm_choice_name(sc_gemm_choice choice)
{
    static const char *const names[SC_GEMM_N_CHOICES] = {"auto", "own", "clblast", "bf16"};
    return names[choice];
}

const char *sc_gemm_definition(const sc_gemm *gemm)
{
    return gemm->choice == SC_GEMM_BF16 && gemm->pairs == SC_GEMM_METHOD_MMA
               ? "bf16-mma"
               : sc_gemm_choice_name(gemm->choice == SC_GEMM_AUTO ? SC_GEMM_OWN : gemm->choice);
}

semcal_status sc_gemm_choice_find(sc_gemm_choice *choice, const char *name, semcal_error *error)
{
    for (int i = 0; i < SC_GEMM_N_CHOICES; i++) {
        if (strcmp(name, sc_gemm_choice_name((sc_gemm_choice)i)) == 0) {
            *choice = (sc_gemm_choice)i;
            return SEMCAL_OK;
        }
    }
    return sc_error_set(error, SEMCAL_E_CONFIG, "--gemm must be auto, own, clblast or bf16, got '%s'", name);
}

bool sc_gemm_has_unit(const sc_gemm *gemm)
{
    return gemm->choice == SC_GEMM_BF16 && gemm->pairs == SC_GEMM_METHOD_BF16;
}

bool sc_gemm_is_invariant(const sc_gemm *gemm)
{
    return gemm->choice != SC_GEMM_CLBLAST;
}

const char *sc_gemm_sha256(const sc_gemm *gemm)
{
    return gemm->sha256;
}

const char *sc_gemm_build_options(const sc_gemm *gemm)
{
    return gemm->build_options;
}

void sc_gemm_reference(float *c, const float *a, const float *w, const float *bias, size_t m, size_t n, size_t k)
{
    for (size_t r = 0; r < m; r++) {
        for (size_t j = 0; j < n; j++) {
            float total = 0;
            for (size_t first = 0; first < k; first += SC_CHUNK) {
                float chain = 0;
                for (size_t i = first; i < first + SC_CHUNK && i < k; i++) {
                    chain = fmaf(a[r * k + i], w[j * k + i], chain);
                }
                total = first == 0 ? chain : total + chain;
            }
            c[r * n + j] = bias != NULL ? total + bias[j] : total;
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The methods and the choice between them; matrix.c packs the weights. */
#include "device/gemm_internal.h"

#include "abi.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "device/selftest.h"

#include <clblast_c.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One product to do. */
struct job {
    sc_buffer *c, *a;
    size_t stride, m;
    sc_gemm_mode mode;
    const sc_matrix *matrix;
};

/* ---- own methods ---- */

/* The floor of one part of a product: its panels, A and its columns of C each moved once. */
static void tell_floor(sc_work *work, const struct job *job, const struct sc_matrix_part *part)
{
    const double m = (double)job->m, k = (double)job->matrix->k, n = (double)part->n_panels * SC_PANEL;
    const double outputs = job->mode == SC_MODE_SWIGLU ? n / 2 : job->mode == SC_MODE_ADD ? 2 * n : n;
    work->bytes = (double)sc_buffer_bytes(part->panels) + 4 * m * (k + outputs);
    work->flops = 2 * m * n * k;
}

/* Rows per work-item: few enough that every compute unit has several, many enough that a panel is read seldom. */
static uint32_t block_rows(const sc_gemm *gemm, size_t m, size_t n_panels)
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

static semcal_status run_packed(sc_gemm *gemm, const struct job *job, semcal_error *error)
{
    const sc_matrix *w = job->matrix;
    sc_kernel *kernel = gemm->kernels[SC_GEMM_METHOD_PACKED][w->bf16];
    semcal_status status = SEMCAL_OK;
    const uint32_t block = block_rows(gemm, job->m, w->n_panels), blocks = ((uint32_t)job->m + block - 1) / block;
    for (size_t i = 0; i < w->n_parts && status == SEMCAL_OK; i++) {
        sc_work work = SC_WORK_1D(w->parts[i].n_panels * blocks, 1);
        tell_floor(&work, job, &w->parts[i]);
        status = sc_launch(kernel, &work,
                           SC_ARGS(SC_BUFFER_ARG(job->a), SC_BUFFER_ARG(w->parts[i].panels), SC_BUFFER_ARG(w->bias),
                                   SC_BUFFER_ARG(job->c), SC_U32((uint32_t)job->m), SC_U32((uint32_t)w->n),
                                   SC_U32((uint32_t)w->k), SC_U32((uint32_t)job->stride), SC_U32((uint32_t)job->mode),
                                   SC_U32(block), SC_U32(blocks), SC_U32((uint32_t)w->parts[i].first_panel)),
                           error);
    }
    return status;
}

static semcal_status run_groups(sc_gemm *gemm, sc_gemm_method method, size_t rows_per_group, const struct job *job,
                                semcal_error *error)
{
    const sc_matrix *w = job->matrix;
    sc_kernel *kernel = gemm->kernels[method][w->bf16];
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < w->n_parts && status == SEMCAL_OK; i++) {
        sc_work work = {.n_dims = 2,
                        .global = {w->parts[i].n_panels * 128, (job->m + rows_per_group - 1) / rows_per_group, 1},
                        .local = {128, 1, 1}};
        tell_floor(&work, job, &w->parts[i]);
        status = sc_launch(kernel, &work,
                           SC_ARGS(SC_BUFFER_ARG(job->a), SC_BUFFER_ARG(w->parts[i].panels), SC_BUFFER_ARG(w->bias),
                                   SC_BUFFER_ARG(job->c), SC_U32((uint32_t)job->m), SC_U32((uint32_t)w->n),
                                   SC_U32((uint32_t)w->k), SC_U32((uint32_t)job->stride), SC_U32((uint32_t)job->mode),
                                   SC_U32((uint32_t)w->parts[i].first_panel)),
                           error);
    }
    return status;
}

static semcal_status run_skinny(sc_gemm *gemm, const struct job *job, semcal_error *error)
{
    return run_groups(gemm, SC_GEMM_METHOD_SKINNY, SC_SKINNY_ROWS, job, error);
}

static semcal_status run_tiled(sc_gemm *gemm, const struct job *job, semcal_error *error)
{
    return run_groups(gemm, SC_GEMM_METHOD_TILED, SC_TILED_ROWS, job, error);
}

static semcal_status run_plain(sc_gemm *gemm, const struct job *job, semcal_error *error)
{
    const sc_matrix *w = job->matrix;
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < w->n_parts && status == SEMCAL_OK; i++) {
        sc_work work = {.n_dims = 2, .global = {w->parts[i].n_panels * 16, job->m, 1}, .local = {0, 0, 0}};
        tell_floor(&work, job, &w->parts[i]);
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

static semcal_status run_clblast(sc_gemm *gemm, const struct job *job, semcal_error *error)
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
    const CLBlastStatusCode code = CLBlastSgemm(CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, job->m,
                                                w->n, w->k, 1.0f, job->a->handle, 0, w->k, w->plain->handle, 0, w->k,
                                                0.0f, gemm->products->handle, 0, w->n, &gemm->device->queue, NULL);
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
    semcal_status (*run)(sc_gemm *gemm, const struct job *job, semcal_error *error);
} methods[SC_GEMM_N_METHODS] = {
    [SC_GEMM_METHOD_PACKED] = {"packed", "gemm.cl", "gemm_packed", run_packed},
    [SC_GEMM_METHOD_SKINNY] = {"skinny", "gemm_tiled.cl", "gemm_skinny", run_skinny},
    [SC_GEMM_METHOD_TILED] = {"tiled", "gemm_tiled.cl", "gemm_tiled", run_tiled},
    [SC_GEMM_METHOD_PLAIN] = {"plain", "gemm_plain.cl", "gemm_plain", run_plain},
    [SC_GEMM_METHOD_CLBLAST] = {"clblast", "gemm_finish.cl", "gemm_finish", run_clblast},
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
    return gemm->kernels[method][matrix->bf16] != NULL;
}

semcal_status sc_gemm_run_method(sc_gemm *gemm, sc_gemm_method method, sc_buffer *c, size_t stride, sc_gemm_mode mode,
                                 sc_buffer *a, const sc_matrix *matrix, size_t m, semcal_error *error)
{
    if (!sc_gemm_supports(gemm, method, matrix)) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "matrix product: method '%s' is not ready on this device",
                            methods[method].name);
    }
    if ((mode == SC_MODE_SWIGLU) != matrix->paired) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "matrix product: SwiGLU needs a paired matrix, and only it");
    }
    if (m == 0) {
        return SEMCAL_OK;
    }
    const struct job job = {c, a, stride, m, mode, matrix};
    return methods[method].run(gemm, &job, error);
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
    const sc_gemm_method method = clblast       ? SC_GEMM_METHOD_CLBLAST
                                  : m <= skinny ? SC_GEMM_METHOD_SKINNY
                                                : gemm->many_rows;
    return sc_gemm_run_method(gemm, method, c, stride, mode, a, matrix, m, error);
}

/* ---- loading and measuring ---- */

static semcal_status load(sc_gemm *gemm, sc_gemm_method method, semcal_error *error)
{
    static const char *const options[2] = {"", "-DWEIGHT_BF16"};
    for (int bf16 = 0; bf16 < (method == SC_GEMM_METHOD_CLBLAST ? 1 : 2); bf16++) {
        sc_program *program;
        semcal_status status = sc_program_get(&program, gemm->device, methods[method].file, options[bf16], error);
        if (status == SEMCAL_OK) {
            status = sc_kernel_get(&gemm->kernels[method][bf16], program, methods[method].kernel, error);
        }
        if (status != SEMCAL_OK) {
            return status;
        }
        char joined[3 * 64 + 1];
        memcpy(joined, gemm->sha256, 64);
        memcpy(joined + 64, sc_program_sha256(program), 64);
        sc_sha256_hex(gemm->sha256, joined, 128);
        gemm->build_options = sc_program_options(program);
    }
    return SEMCAL_OK;
}

semcal_status sc_gemm_load(sc_gemm *gemm, sc_gemm_method method, semcal_error *error)
{
    return gemm->kernels[method][0] != NULL ? SEMCAL_OK : load(gemm, method, error);
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

/* ---- self-tests ---- */

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

/* All rows at once, then the last one alone: both must be the reference's bits. */
static semcal_status try_method(bool *same, void *payload, semcal_error *error)
{
    struct trial *t = payload;
    sc_device *device = t->gemm->device;
    sc_matrix *w = NULL;
    sc_buffer *a = NULL, *last = NULL, *c = NULL;
    const size_t row_bytes = TEST_K * sizeof(float);
    semcal_status status =
        sc_matrix_pack(&w, t->gemm, TEST_COLUMNS, TEST_K, t->bf16, false, trial_row, t->bias, "self-test", t, error);
    if (status != SEMCAL_OK ||
        (status = sc_buffer_create(&a, device, sizeof t->a, SC_BUFFER_DEVICE, "self-test", error)) != SEMCAL_OK ||
        (status = sc_buffer_create(&last, device, row_bytes, SC_BUFFER_DEVICE, "self-test", error)) != SEMCAL_OK ||
        (status = sc_buffer_create(&c, device, sizeof t->got, SC_BUFFER_DEVICE, "self-test", error)) != SEMCAL_OK ||
        (status = sc_buffer_write(a, 0, t->a, sizeof t->a, error)) != SEMCAL_OK ||
        (status = sc_buffer_write(last, 0, t->a + (TEST_ROWS - 1) * TEST_K, row_bytes, error)) != SEMCAL_OK ||
        (status = sc_gemm_run_method(t->gemm, t->method, c, TEST_COLUMNS, SC_MODE_STORE, a, w, TEST_ROWS, error)) !=
            SEMCAL_OK ||
        (status = sc_buffer_read(c, 0, t->got, sizeof t->got, error)) != SEMCAL_OK ||
        (status = sc_gemm_run_method(t->gemm, t->method, c, TEST_COLUMNS, SC_MODE_STORE, last, w, 1, error)) !=
            SEMCAL_OK ||
        (status = sc_buffer_read(c, 0, t->alone, sizeof t->alone, error)) != SEMCAL_OK) {
        goto done;
    }
    sc_gemm_reference(t->expected, t->a, t->w, t->bias, TEST_ROWS, TEST_COLUMNS, TEST_K);
    *same = memcmp(t->got, t->expected, sizeof t->got) == 0 &&
            memcmp(t->alone, t->expected + (TEST_ROWS - 1) * TEST_COLUMNS, sizeof t->alone) == 0;
done:
    sc_buffer_free(a);
    sc_buffer_free(last);
    sc_buffer_free(c);
    sc_matrix_free(w);
    return status;
}

/* Weights exact in bf16; rows of A with all their bits. */
static void fill_trial(struct trial *t)
{
    uint32_t seed = 1;
    float *const all[] = {t->a, t->w, t->bias};
    const size_t n[] = {TEST_ROWS * TEST_K, TEST_COLUMNS * TEST_K, TEST_COLUMNS};
    for (size_t p = 0; p < 3; p++) {
        for (size_t i = 0; i < n[p]; i++) {
            seed = seed * 1664525u + 1013904223u;
            all[p][i] = p == 1 ? (float)((int32_t)(seed >> 24) - 128) / 256.0f
                               : (float)((int32_t)(seed >> 8) - (1 << 23)) / 0x1p22f;
        }
    }
}

/* Loads a method if it works here. */
static semcal_status load_tested(bool *usable, sc_gemm *gemm, sc_gemm_method method, semcal_error *error)
{
    *usable = false;
    semcal_status status = load(gemm, method, error);
    struct trial *t = status == SEMCAL_OK ? sc_memory_alloc(1, sizeof *t, error) : NULL;
    if (t == NULL) {
        return status != SEMCAL_OK ? status : SEMCAL_E_MEMORY;
    }
    fill_trial(t);
    t->gemm = gemm;
    t->method = method;
    *usable = true;
    for (int bf16 = 0; bf16 < 2 && *usable; bf16++) {
        t->bf16 = bf16 != 0;
        *usable = sc_selftest(gemm->device, methods[method].kernel, methods[SC_GEMM_METHOD_PLAIN].kernel,
                              gemm->kernels[method][bf16]->program, try_method, t);
    }
    free(t);
    return SEMCAL_OK;
}

/* ---- opening ---- */

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
        status = load_tested(&usable, gemm, gemm->many_rows, error);
    }
    if (status != SEMCAL_OK || !usable) {
        return status != SEMCAL_OK ? status : fall_back(gemm, gemm->many_rows, error);
    }
    if (cpu) {
        return SEMCAL_OK;
    }
    status = load_tested(&usable, gemm, SC_GEMM_METHOD_SKINNY, error);
    if (status != SEMCAL_OK || !usable) {
        gemm->kernels[SC_GEMM_METHOD_SKINNY][0] = gemm->kernels[SC_GEMM_METHOD_SKINNY][1] = NULL;
        return status; /* gemm_tiled takes all rows */
    }
    gemm->skinny_rows = 16;
    const bool tuned = sc_device_tune(gemm->device)->gemm_skinny_rows >= 0;
    return gemm->choice == SC_GEMM_AUTO && !tuned ? measure(gemm, error) : SEMCAL_OK;
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
        free(gemm);
    }
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

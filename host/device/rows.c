/* SPDX-License-Identifier: Apache-2.0 */
#include "device/rows.h"

#include "base/memory.h"
#include "device/rows_law.h"
#include "device/rows_sort.h"
#include "device/selftest.h"
#include "device/tune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG2E 1.44269504088896340735992468100

enum { N_TYPES = 3 };

/* The kernels for one type of logits. */
typedef struct kernels {
    sc_program *program, *pick;
    sc_kernel *law, *loss, *law_rank, *merge, *top, *draw;
} kernels;

/* A device buffer that grows. */
typedef struct room {
    sc_buffer *buffer;
    uint64_t bytes;
} room;

/* What lies on the device, in the order of sc_rows.rooms. */
enum {
    /* scratch of one pass, per row and block */
    ROOM_MAX,
    ROOM_PART,
    ROOM_MOMENT,
    ROOM_RANK,
    ROOM_CUMULATIVE,
    /* whole request */
    ROOM_TARGET,
    ROOM_DRAW_ROW,
    ROOM_UNIFORM,
    ROOM_LAW,
    ROOM_RAW,
    ROOM_TOP,
    ROOM_DRAWS,
    N_ROOMS
};

struct sc_rows {
    sc_device *device;
    sc_rows_options options;
    char *build_options;
    size_t group; /* LSZ */
    kernels kernels[N_TYPES];
    bool on_host[N_TYPES]; /* these kernels are not to be used */
    bool trusted;          /* they need no self-test */
    room rooms[N_ROOMS];
    /* the outstanding request */
    bool outstanding;
    sc_rows_input input;
    sc_rows_request request;
    sc_rows_result result;
    const sc_rows_hook *hook; /* NULL: none */
    /* host side of what is read back or sent */
    sc_rows_row *law, *raw;
    sc_rows_token *top, *draws;
    uint32_t *draw_row;
    size_t law_capacity, raw_capacity, top_capacity, draws_capacity, draw_row_capacity;
    sc_rows_sort sort; /* draws of rows with many */
};

/* ---- making ---- */

static size_t local_size(const sc_device_info *facts, const char *build_options)
{
    const char *given = strstr(build_options, "-DLSZ=");
    if (given != NULL) {
        return (size_t)strtoul(given + 6, NULL, 10);
    }
    return facts->is_cpu ? 1 : facts->max_group < 256 ? facts->max_group : 256;
}

semcal_status sc_rows_create(sc_rows **out, sc_device *device, const sc_rows_options *options, semcal_error *error)
{
    static const sc_rows_options defaults = SC_ROWS_OPTIONS_INIT;
    options = options == NULL ? &defaults : options;
    *out = NULL;
    sc_rows *rows = sc_memory_alloc(1, sizeof *rows, error);
    if (rows == NULL) {
        return SEMCAL_E_MEMORY;
    }
    rows->device = device;
    rows->options = *options;
    rows->build_options = sc_memory_strdup(options->build_options == NULL ? "" : options->build_options, error);
    if (rows->build_options == NULL) {
        free(rows);
        return SEMCAL_E_MEMORY;
    }
    rows->group = local_size(sc_device_facts(device), rows->build_options);
    if (!sc_device_facts(device)->fp64) {
        sc_device_note(device, "%s: no double precision (cl_khr_fp64) for the row kernels; the host computes the laws",
                       sc_device_facts(device)->name);
        rows->on_host[SC_ROWS_F32] = rows->on_host[SC_ROWS_F16] = rows->on_host[SC_ROWS_BF16] = true;
    }
    *out = rows;
    return SEMCAL_OK;
}

void sc_rows_free(sc_rows *rows)
{
    if (rows == NULL) {
        return;
    }
    if (rows->outstanding) {
        (void)sc_device_finish(rows->device, NULL); /* enqueued reads write into memory freed below */
    }
    for (size_t i = 0; i < N_ROOMS; i++) {
        sc_buffer_free(rows->rooms[i].buffer);
    }
    free(rows->law);
    free(rows->raw);
    free(rows->top);
    free(rows->draws);
    free(rows->draw_row);
    sc_rows_sort_free(&rows->sort);
    free(rows->build_options);
    free(rows);
}

semcal_status sc_rows_program(sc_program **program, sc_rows *rows, const char *file, sc_rows_type type,
                              semcal_error *error)
{
    sc_text options = {0};
    const char *space = rows->build_options[0] == '\0' ? "" : " ";
    semcal_status status = sc_text_printf(&options, error, "-DROWS_TYPE=%d%s%s", (int)type, space, rows->build_options);
    if (status == SEMCAL_OK) {
        status = sc_program_get(program, rows->device, file, options.data, error);
    }
    sc_text_free(&options);
    return status;
}

/* Another sc_rows, so that this one's state is not touched. */
static semcal_status test_kernels(sc_rows *rows, sc_rows_type type, semcal_error *error)
{
    sc_rows_options options = rows->options;
    options.build_options = rows->build_options;
    sc_rows_trial trial = {NULL, type};
    semcal_status status = sc_rows_create(&trial.rows, rows->device, &options, error);
    if (status == SEMCAL_OK) {
        sc_rows_trust(trial.rows);
        rows->on_host[type] = !sc_selftest(rows->device, "rows", "the reference on the host",
                                           rows->kernels[type].program, sc_rows_selftest, &trial);
    }
    sc_rows_free(trial.rows);
    return status;
}

static semcal_status get_kernels(kernels **out, sc_rows *rows, sc_rows_type type, semcal_error *error)
{
    kernels *k = &rows->kernels[type];
    *out = k;
    if (k->draw != NULL || rows->on_host[type]) {
        return SEMCAL_OK;
    }
    semcal_status status = sc_rows_program(&k->program, rows, "rows.cl", type, error);
    if (status == SEMCAL_OK) {
        status = sc_rows_program(&k->pick, rows, "rows_pick.cl", type, error);
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    const struct {
        sc_kernel **kernel;
        sc_program *program;
        const char *name;
    } wanted[] = {{&k->law, k->program, "rows_law"},
                  {&k->loss, k->program, "rows_loss"},
                  {&k->law_rank, k->program, "rows_law_rank"},
                  {&k->merge, k->program, "rows_merge"},
                  {&k->top, k->pick, "rows_top"},
                  {&k->draw, k->pick, "rows_draw"}};
    for (size_t i = 0; status == SEMCAL_OK && i < sizeof wanted / sizeof *wanted; i++) {
        status = sc_kernel_get(wanted[i].kernel, wanted[i].program, wanted[i].name, error);
    }
    return status == SEMCAL_OK && !rows->trusted ? test_kernels(rows, type, error) : status;
}

void sc_rows_trust(sc_rows *rows)
{
    rows->trusted = true;
}

sc_device *sc_rows_device(const sc_rows *rows)
{
    return rows->device;
}

size_t sc_rows_group(const sc_rows *rows)
{
    return rows->group;
}

const char *sc_rows_kernels_sha256(const sc_rows *rows)
{
    for (size_t i = 0; i < N_TYPES; i++) {
        if (rows->kernels[i].program != NULL) {
            return sc_program_sha256(rows->kernels[i].program);
        }
    }
    return "";
}

const char *sc_rows_build_options(const sc_rows *rows)
{
    for (size_t i = 0; i < N_TYPES; i++) {
        if (rows->kernels[i].program != NULL) {
            return sc_program_options(rows->kernels[i].program);
        }
    }
    return "";
}

/* ---- shapes ---- */

static semcal_status ensure(sc_rows *rows, int which, uint64_t bytes, const char *what, semcal_error *error)
{
    room *r = &rows->rooms[which];
    if (bytes <= r->bytes) {
        return SEMCAL_OK;
    }
    sc_buffer_free(r->buffer);
    *r = (room){NULL, 0};
    semcal_status status = sc_buffer_create(&r->buffer, rows->device, bytes, SC_BUFFER_DEVICE, what, error);
    r->bytes = status == SEMCAL_OK ? bytes : 0;
    return status;
}

sc_rows_shape sc_rows_make_shape(const sc_rows_input *input, double temperature, size_t n_top)
{
    sc_rows_shape shape;
    memset(&shape, 0, sizeof shape);
    shape.offset = input->offset;
    shape.stride = input->stride;
    shape.scale = LOG2E / temperature;
    shape.c = (float)shape.scale;
    shape.lowest = (float)(-100.0 / (double)shape.c);
    shape.n_vocabulary = (uint32_t)input->n_vocabulary;
    shape.n_blocks = (uint32_t)((input->n_vocabulary + SC_ROWS_BLOCK - 1) / SC_ROWS_BLOCK);
    shape.n_padded = (shape.n_blocks + SC_ROWS_LANES - 1) / SC_ROWS_LANES * SC_ROWS_LANES;
    shape.n_top = (uint32_t)n_top;
    return shape;
}

/* Rows per pass: enough to fill the device, few enough that a CPU still has their logits in its cache for the draws. */
static size_t rows_per_pass(const sc_rows *rows, const sc_rows_input *input)
{
    const sc_device_info *facts = sc_device_facts(rows->device);
    size_t n = ((size_t)sc_device_tune(rows->device)->rows_pass_mb << 20) / (4 * input->n_vocabulary),
           least = 32 * (size_t)facts->compute_units;
    n = !facts->is_cpu ? 8192 : n < least ? least : n > 4096 ? 4096 : n;
    n = rows->options.rows_per_pass != 0 ? rows->options.rows_per_pass : n;
    if (rows->hook == NULL) {
        return n;
    }
    /* Nothing comes back to the logits of a hooked pass, and a pass ends with cores that wait for the last one. */
    size_t most = rows->hook->rows_per_pass, step = rows->hook->step;
    n = rows->options.rows_per_pass != 0 ? n : 8 * n;
    n = most != 0 && n > most ? most : n;
    return n < step ? step : n / step * step;
}

/* Many small pieces: a CPU shared with other programs finishes its last piece late, however fast the others are. */
static size_t items_per_row(const sc_rows *rows, size_t n_rows, size_t n_blocks)
{
    const sc_device_info *facts = sc_device_facts(rows->device);
    size_t wanted = (size_t)facts->compute_units * (size_t)sc_device_tune(rows->device)->rows_items_per_unit;
    size_t n = rows->options.items_per_row != 0 ? rows->options.items_per_row : (wanted + n_rows - 1) / n_rows;
    size_t most = rows->group == 1 ? (n_blocks + 7) / 8 : n_blocks; /* a piece begins with a pass for its maximum */
    most = rows->options.items_per_row != 0 ? n_blocks : most;
    return n > most ? most : n;
}

/* ---- enqueueing ---- */

/* Sizes and uploads of a whole request. */
static semcal_status prepare(sc_rows *rows, const sc_rows_shape *shape, size_t pass, semcal_error *error)
{
    const sc_rows_request *request = &rows->request;
    size_t n = rows->input.n_rows, n_draws = request->first_draw == NULL ? 0 : request->first_draw[n];
    uint64_t cells = (uint64_t)pass * shape->n_padded;
    const struct {
        int which;
        uint64_t bytes;
        const char *what;
    } wanted[] = {{ROOM_MAX, cells * 4, "block maxima"},
                  {ROOM_PART, cells * 8 * SC_ROWS_PARTS, "block sums"},
                  {ROOM_MOMENT, cells * 4, "block moments"},
                  {ROOM_RANK, cells * 4, "block ranks"},
                  {ROOM_CUMULATIVE, cells * 8, "cumulative block weights"},
                  {ROOM_TARGET, n * 4, "targets"},
                  {ROOM_DRAW_ROW, n_draws * 4, "rows of draws"},
                  {ROOM_UNIFORM, n_draws * 8, "uniforms"},
                  {ROOM_LAW, n * sizeof(sc_rows_row), "row laws"},
                  {ROOM_RAW, request->temperature != 1 ? n * sizeof(sc_rows_row) : 0, "row laws at temperature 1"},
                  {ROOM_TOP, n * request->n_top * sizeof(sc_rows_token), "top tokens"},
                  {ROOM_DRAWS, n_draws * sizeof(sc_rows_token), "drawn tokens"}};
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; status == SEMCAL_OK && i < sizeof wanted / sizeof *wanted; i++) {
        status = ensure(rows, wanted[i].which, wanted[i].bytes, wanted[i].what, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_memory_grow(&rows->law, &rows->law_capacity, n, sizeof *rows->law, error);
    }
    if (status == SEMCAL_OK && request->temperature != 1) {
        status = sc_memory_grow(&rows->raw, &rows->raw_capacity, n, sizeof *rows->raw, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_memory_grow(&rows->top, &rows->top_capacity, n * request->n_top, sizeof *rows->top, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_memory_grow(&rows->draws, &rows->draws_capacity, n_draws, sizeof *rows->draws, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_memory_grow(&rows->draw_row, &rows->draw_row_capacity, n_draws, sizeof *rows->draw_row, error);
    }
    return status;
}

static semcal_status upload(sc_rows *rows, size_t n_draws, semcal_error *error)
{
    const sc_rows_request *request = &rows->request;
    semcal_status status = SEMCAL_OK;
    if (request->target != NULL) {
        status =
            sc_buffer_enqueue_write(rows->rooms[ROOM_TARGET].buffer, 0, request->target, 4 * rows->input.n_rows, error);
    }
    if (n_draws == 0 || status != SEMCAL_OK) {
        return status;
    }
    for (size_t i = 0; i < rows->input.n_rows; i++) {
        for (size_t j = request->first_draw[i]; j < request->first_draw[i + 1]; j++) {
            rows->draw_row[j] = (uint32_t)i;
        }
    }
    status = sc_buffer_enqueue_write(rows->rooms[ROOM_DRAW_ROW].buffer, 0, rows->draw_row, 4 * n_draws, error);
    const uint64_t *uniform = request->uniform;
    if (status == SEMCAL_OK) {
        status = sc_rows_sort_draws(&uniform, &rows->sort, request, rows->input.n_rows, error);
    }
    return status != SEMCAL_OK
               ? status
               : sc_buffer_enqueue_write(rows->rooms[ROOM_UNIFORM].buffer, 0, uniform, 8 * n_draws, error);
}

/* The part of a per-row output that belongs to a pass, by offset arguments rather than sub-buffers (alignment). */
typedef struct pass {
    size_t first, n;     /* rows */
    sc_rows_shape shape; /* temperature of the law */
} pass;

/* Bytes of a logit. */
static size_t element(const sc_rows *rows)
{
    return rows->input.type == SC_ROWS_F32 ? 4 : 2;
}

static semcal_status launch_blocks(sc_rows *rows, const kernels *k, const pass *p, const sc_rows_shape *shape,
                                   bool with_moment, bool with_rank, semcal_error *error)
{
    const room *r = rows->rooms;
    sc_kernel *kernel = with_rank ? k->law_rank : with_moment ? k->law : k->loss;
    sc_work work = SC_WORK_1D(p->n * shape->n_items, rows->group);
    work.bytes = (double)p->n * shape->n_vocabulary * (double)element(rows);
    return sc_launch(kernel, &work,
                     SC_ARGS(SC_BUFFER_ARG(rows->input.logits), SC_STRUCT(shape), SC_BUFFER_ARG(r[ROOM_TARGET].buffer),
                             SC_BUFFER_ARG(r[ROOM_MAX].buffer), SC_BUFFER_ARG(r[ROOM_PART].buffer),
                             SC_BUFFER_ARG(r[ROOM_MOMENT].buffer), SC_BUFFER_ARG(r[ROOM_RANK].buffer),
                             SC_U32((uint32_t)p->first)),
                     error);
}

static semcal_status launch_merge(sc_rows *rows, const kernels *k, const pass *p, const sc_rows_shape *shape, int which,
                                  bool with_target, bool with_rank, semcal_error *error)
{
    const room *r = rows->rooms;
    sc_work work = SC_WORK_1D(p->n, rows->group == 1 ? 1 : SC_ROWS_LANES);
    work.bytes = (double)p->n * shape->n_blocks * (4 + 8 * SC_ROWS_PARTS + 4 + 8); /* maxima, sums, moments; CDF out */
    uint32_t flags = (with_target ? 1u : 0u) | (with_rank ? 2u : 0u);
    return sc_launch(k->merge, &work,
                     SC_ARGS(SC_BUFFER_ARG(rows->input.logits), SC_STRUCT(shape), SC_BUFFER_ARG(r[ROOM_TARGET].buffer),
                             SC_BUFFER_ARG(r[ROOM_MAX].buffer), SC_BUFFER_ARG(r[ROOM_PART].buffer),
                             SC_BUFFER_ARG(r[ROOM_MOMENT].buffer), SC_BUFFER_ARG(r[ROOM_RANK].buffer),
                             SC_BUFFER_ARG(r[ROOM_CUMULATIVE].buffer), SC_BUFFER_ARG(r[which].buffer),
                             SC_U32((uint32_t)p->first), SC_U32(flags)),
                     error);
}

static semcal_status launch_pass(sc_rows *rows, const kernels *k, const pass *p, semcal_error *error)
{
    const room *r = rows->rooms;
    const sc_rows_request *request = &rows->request;
    bool with_target = request->target != NULL, with_rank = with_target && rows->result.target_rank != NULL;
    semcal_status status = SEMCAL_OK;
    if (request->temperature != 1) {
        sc_rows_shape raw = sc_rows_make_shape(&rows->input, 1, request->n_top);
        raw.offset = p->shape.offset;
        raw.n_rows = p->shape.n_rows;
        raw.n_items = p->shape.n_items;
        status = launch_blocks(rows, k, p, &raw, false, false, error);
        if (status == SEMCAL_OK) {
            status = launch_merge(rows, k, p, &raw, ROOM_RAW, false, false, error);
        }
    }
    if (status == SEMCAL_OK && rows->hook != NULL) {
        const sc_rows_pass hooked = {.first = p->first,
                                     .n = p->n,
                                     .shape = p->shape,
                                     .with_moment = rows->result.entropy != NULL,
                                     .with_rank = with_rank,
                                     .target = r[ROOM_TARGET].buffer,
                                     .max = r[ROOM_MAX].buffer,
                                     .part = r[ROOM_PART].buffer,
                                     .moment = r[ROOM_MOMENT].buffer,
                                     .rank = r[ROOM_RANK].buffer};
        status = rows->hook->launch(rows->hook->payload, &hooked, error);
    } else if (status == SEMCAL_OK) {
        status = launch_blocks(rows, k, p, &p->shape, rows->result.entropy != NULL, with_rank, error);
    }
    if (status == SEMCAL_OK) {
        status = launch_merge(rows, k, p, &p->shape, ROOM_LAW, with_target, with_rank, error);
    }
    if (status == SEMCAL_OK && request->n_top > 0) {
        sc_work work = SC_WORK_1D(p->n, rows->group);
        work.bytes = (double)p->n * (4.0 * p->shape.n_blocks + (double)element(rows) * SC_ROWS_BLOCK);
        status = sc_launch(k->top, &work,
                           SC_ARGS(SC_BUFFER_ARG(rows->input.logits), SC_STRUCT(&p->shape),
                                   SC_BUFFER_ARG(r[ROOM_MAX].buffer), SC_BUFFER_ARG(r[ROOM_TOP].buffer),
                                   SC_U32((uint32_t)p->first)),
                           error);
    }
    size_t first = request->first_draw == NULL ? 0 : request->first_draw[p->first];
    size_t n_draws = request->first_draw == NULL ? 0 : request->first_draw[p->first + p->n] - first;
    if (status == SEMCAL_OK && n_draws > 0) {
        size_t group = rows->group == 1 ? 1 : rows->group < 64 ? rows->group : 64;
        size_t n_items = (n_draws + SC_ROWS_DRAWS(rows->group) - 1) / SC_ROWS_DRAWS(rows->group);
        sc_work work = SC_WORK_1D((n_items + group - 1) / group, group);
        work.bytes = (double)n_draws * (double)(element(rows) * SC_ROWS_PART + 4 + 8 + sizeof(sc_rows_token));
        status = sc_launch(k->draw, &work,
                           SC_ARGS(SC_BUFFER_ARG(rows->input.logits), SC_STRUCT(&p->shape),
                                   SC_BUFFER_ARG(r[ROOM_MAX].buffer), SC_BUFFER_ARG(r[ROOM_PART].buffer),
                                   SC_BUFFER_ARG(r[ROOM_CUMULATIVE].buffer), SC_BUFFER_ARG(r[ROOM_DRAW_ROW].buffer),
                                   SC_BUFFER_ARG(r[ROOM_UNIFORM].buffer), SC_BUFFER_ARG(r[ROOM_DRAWS].buffer),
                                   SC_U64(first), SC_U32((uint32_t)n_draws), SC_U32((uint32_t)p->first)),
                           error);
    }
    return status;
}

static semcal_status enqueue_reads(sc_rows *rows, size_t n_draws, semcal_error *error)
{
    const room *r = rows->rooms;
    size_t n = rows->input.n_rows;
    semcal_status status = sc_buffer_enqueue_read(r[ROOM_LAW].buffer, 0, rows->law, n * sizeof *rows->law, error);
    if (status == SEMCAL_OK && rows->request.temperature != 1) {
        status = sc_buffer_enqueue_read(r[ROOM_RAW].buffer, 0, rows->raw, n * sizeof *rows->raw, error);
    }
    if (status == SEMCAL_OK && rows->request.n_top > 0) {
        status = sc_buffer_enqueue_read(r[ROOM_TOP].buffer, 0, rows->top, n * rows->request.n_top * sizeof *rows->top,
                                        error);
    }
    if (status == SEMCAL_OK && n_draws > 0) {
        status = sc_buffer_enqueue_read(r[ROOM_DRAWS].buffer, 0, rows->draws, n_draws * sizeof *rows->draws, error);
    }
    return status;
}

static semcal_status check_input(const sc_rows *rows, const sc_rows_input *input, const sc_rows_request *request,
                                 semcal_error *error)
{
    if (rows->outstanding) {
        return sc_error_set(error, SEMCAL_E_DEVICE, "rows: the last request is not collected yet");
    }
    semcal_status status = sc_rows_check(request, input->n_rows, input->n_vocabulary, input->stride, error);
    if (status != SEMCAL_OK || input->n_rows == 0) {
        return status;
    }
    uint64_t elements = sc_buffer_bytes(input->logits) / (input->type == SC_ROWS_F32 ? 4 : 2);
    uint64_t needed = input->offset + (uint64_t)(input->n_rows - 1) * input->stride + input->n_vocabulary;
    if (needed > elements || input->n_rows > INT32_MAX) {
        return sc_error_set(error, SEMCAL_E_DATA, "%zu rows of %zu logits: the buffer has %llu of the %llu needed",
                            input->n_rows, input->n_vocabulary, (unsigned long long)elements,
                            (unsigned long long)needed);
    }
    return SEMCAL_OK;
}

static semcal_status needs_kernels(sc_rows *rows, semcal_error *error)
{
    rows->outstanding = false;
    return sc_error_set(error, SEMCAL_E_DEVICE,
                        "%s: perturbations need the row kernels, which do not work on this device",
                        sc_device_facts(rows->device)->name);
}

semcal_status sc_rows_enqueue(sc_rows *rows, const sc_rows_input *input, const sc_rows_request *request,
                              const sc_rows_result *result, semcal_error *error)
{
    semcal_status status = check_input(rows, input, request, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    rows->input = *input;
    rows->request = *request;
    rows->result = *result;
    rows->outstanding = true;
    if (input->n_rows == 0) {
        return SEMCAL_OK;
    }
    kernels *k = NULL;
    size_t step = rows_per_pass(rows, input), n = input->n_rows;
    size_t n_draws = request->first_draw == NULL ? 0 : request->first_draw[n];
    sc_rows_shape shape = sc_rows_make_shape(input, request->temperature, request->n_top);
    status = get_kernels(&k, rows, input->type, error);
    if (status == SEMCAL_OK && rows->on_host[input->type]) {
        return rows->hook == NULL ? SEMCAL_OK : needs_kernels(rows, error);
    }
    if (status == SEMCAL_OK) {
        status = prepare(rows, &shape, step < n ? step : n, error);
    }
    if (status == SEMCAL_OK) {
        status = upload(rows, n_draws, error);
    }
    for (size_t first = 0; status == SEMCAL_OK && first < n; first += step) {
        pass p = {first, n - first < step ? n - first : step, shape};
        p.shape.offset = input->offset + first * input->stride;
        p.shape.n_rows = (uint32_t)p.n;
        p.shape.n_items = (uint32_t)items_per_row(rows, p.n, shape.n_blocks);
        status = launch_pass(rows, k, &p, error);
    }
    if (status == SEMCAL_OK) {
        status = enqueue_reads(rows, n_draws, error);
    }
    if (status != SEMCAL_OK) {
        (void)sc_device_finish(rows->device, NULL);
        rows->outstanding = false;
        return status;
    }
    return sc_device_flush(rows->device, error);
}

/* ---- collecting ---- */

static semcal_status name_bad_row(sc_rows *rows, size_t i, semcal_error *error)
{
    const sc_rows_input *input = &rows->input;
    size_t element = input->type == SC_ROWS_F32 ? 4 : 2;
    void *row = sc_memory_alloc(input->n_vocabulary, element, error);
    if (row == NULL) {
        return SEMCAL_E_MEMORY;
    }
    semcal_status status = sc_buffer_read(input->logits, (input->offset + i * input->stride) * element, row,
                                          input->n_vocabulary * element, error);
    if (status == SEMCAL_OK) {
        status = sc_rows_name_bad(&rows->result, i, row, input->type, input->n_vocabulary, &rows->request, error);
    }
    free(row);
    return status;
}

semcal_status sc_rows_collect(sc_rows *rows, sc_rows_result *result, semcal_error *error)
{
    if (!rows->outstanding) {
        return sc_error_set(error, SEMCAL_E_DEVICE, "rows: nothing to collect");
    }
    rows->outstanding = false;
    semcal_status status = sc_device_finish(rows->device, error);
    const sc_rows_request *request = &rows->request;
    const bool on_host = rows->on_host[rows->input.type];
    if (status == SEMCAL_OK && on_host) {
        status = sc_rows_on_host(&rows->input, request, &rows->result, error);
    }
    const bool has_draws = !on_host && rows->input.n_rows > 0 && request->first_draw != NULL;
    const sc_rows_token *draws =
        has_draws ? sc_rows_sort_back(&rows->sort, rows->draws, request->first_draw[rows->input.n_rows]) : rows->draws;
    for (size_t i = 0; status == SEMCAL_OK && !on_host && i < rows->input.n_rows; i++) {
        const sc_rows_row *raw = request->temperature == 1 ? &rows->law[i] : &rows->raw[i];
        if (rows->law[i].bad || raw->bad) {
            status = name_bad_row(rows, i, error);
            break;
        }
        size_t first = request->first_draw == NULL ? 0 : request->first_draw[i];
        sc_rows_finish_row(&rows->result, i, request, &rows->law[i], raw, rows->top + i * request->n_top,
                           draws + first);
    }
    if (result != NULL) {
        result->bad_row = rows->result.bad_row;
        result->bad_token = rows->result.bad_token;
    }
    return status;
}

semcal_status sc_rows_evaluate(sc_rows *rows, const sc_rows_input *input, const sc_rows_request *request,
                               sc_rows_result *result, semcal_error *error)
{
    semcal_status status = sc_rows_enqueue(rows, input, request, result, error);
    return status == SEMCAL_OK ? sc_rows_collect(rows, result, error) : status;
}

semcal_status sc_rows_evaluate_with(sc_rows *rows, const sc_rows_input *input, const sc_rows_request *request,
                                    sc_rows_result *result, const sc_rows_hook *hook, semcal_error *error)
{
    rows->hook = hook;
    semcal_status status = sc_rows_evaluate(rows, input, request, result, error);
    rows->hook = NULL;
    return status;
}

const sc_rows_row *sc_rows_laws(const sc_rows *rows)
{
    return rows->law;
}

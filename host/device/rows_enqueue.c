/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a request through the device: room for it, what it uploads, its passes, what is read back. */
#include "device/rows_internal.h"

#include "base/memory.h"
#include "device/tune.h"

#include <string.h>

#define LOG2E 1.44269504088896340735992468100

/* ---- shapes ---- */

static semcal_status ensure(sc_rows *rows, int which, uint64_t bytes, const char *what, semcal_error *error)
{
    sc_rows_room *r = &rows->rooms[which];
    if (bytes <= r->bytes) {
        return SEMCAL_OK;
    }
    sc_buffer_free(r->buffer);
    *r = (sc_rows_room){NULL, 0};
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

static semcal_status launch_blocks(sc_rows *rows, const sc_rows_kernels *k, const pass *p, const sc_rows_shape *shape,
                                   bool with_moment, bool with_rank, semcal_error *error)
{
    const sc_rows_room *r = rows->rooms;
    sc_kernel *kernel = with_rank ? k->law_rank : with_moment ? k->law : k->loss;
    sc_work work = SC_WORK_1D(p->n * shape->n_items, rows->group);
    work.bytes = (double)p->n * shape->n_vocabulary * (double)sc_rows_element(rows->input.type);
    return sc_launch(kernel, &work,
                     SC_ARGS(SC_BUFFER_ARG(rows->input.logits), SC_STRUCT(shape), SC_BUFFER_ARG(r[ROOM_TARGET].buffer),
                             SC_BUFFER_ARG(r[ROOM_MAX].buffer), SC_BUFFER_ARG(r[ROOM_PART].buffer),
                             SC_BUFFER_ARG(r[ROOM_MOMENT].buffer), SC_BUFFER_ARG(r[ROOM_RANK].buffer),
                             SC_U32((uint32_t)p->first)),
                     error);
}

static semcal_status launch_merge(sc_rows *rows, const sc_rows_kernels *k, const pass *p, const sc_rows_shape *shape,
                                  int which, bool with_target, bool with_rank, semcal_error *error)
{
    const sc_rows_room *r = rows->rooms;
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

static semcal_status launch_pass(sc_rows *rows, const sc_rows_kernels *k, const pass *p, semcal_error *error)
{
    const sc_rows_room *r = rows->rooms;
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
        work.bytes =
            (double)p->n * (4.0 * p->shape.n_blocks + (double)sc_rows_element(rows->input.type) * SC_ROWS_BLOCK);
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
        work.bytes = (double)n_draws *
                     (double)(sc_rows_element(rows->input.type) * SC_ROWS_PART + 4 + 8 + sizeof(sc_rows_token));
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
    const sc_rows_room *r = rows->rooms;
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

semcal_status sc_rows_enqueue_passes(sc_rows *rows, const sc_rows_kernels *kernels, semcal_error *error)
{
    const sc_rows_input *input = &rows->input;
    const sc_rows_request *request = &rows->request;
    size_t step = rows_per_pass(rows, input), n = input->n_rows;
    size_t n_draws = request->first_draw == NULL ? 0 : request->first_draw[n];
    sc_rows_shape shape = sc_rows_make_shape(input, request->temperature, request->n_top);
    semcal_status status = prepare(rows, &shape, step < n ? step : n, error);
    if (status == SEMCAL_OK) {
        status = upload(rows, n_draws, error);
    }
    for (size_t first = 0; status == SEMCAL_OK && first < n; first += step) {
        pass p = {first, n - first < step ? n - first : step, shape};
        p.shape.offset = input->offset + first * input->stride;
        p.shape.n_rows = (uint32_t)p.n;
        p.shape.n_items = (uint32_t)items_per_row(rows, p.n, shape.n_blocks);
        status = launch_pass(rows, kernels, &p, error);
    }
    return status == SEMCAL_OK ? enqueue_reads(rows, n_draws, error) : status;
}

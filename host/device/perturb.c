/* SPDX-License-Identifier: Apache-2.0 */
#include "device/perturb.h"

#include "base/memory.h"
#include "device/perturb_internal.h"
#include "device/rows_law.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LOG2E 1.44269504088896340735992468100
#define SCRATCH_BYTES ((uint64_t)256 << 20) /* of one pass */

static size_t padded(size_t n)
{
    return (n + SC_PERTURB_PAD - 1) / SC_PERTURB_PAD * SC_PERTURB_PAD;
}

static semcal_status ensure(sc_perturb *p, int which, uint64_t bytes, const char *what, semcal_error *error)
{
    if (p->rooms[which] != NULL && bytes <= sc_buffer_bytes(p->rooms[which])) {
        return SEMCAL_OK;
    }
    sc_buffer_free(p->rooms[which]);
    p->rooms[which] = NULL;
    return sc_buffer_create(&p->rooms[which], sc_rows_device(p->rows), bytes < 8 ? 8 : bytes, SC_BUFFER_DEVICE, what,
                            error);
}

/* ---- the perturbations on the device ---- */

static semcal_status send_temperatures(sc_perturb *p, semcal_error *error)
{
    size_t n = p->shape.n_temperatures;
    float *pair = sc_memory_alloc(2 * n, sizeof *pair, error);
    double *scale = sc_memory_alloc(n, sizeof *scale, error);
    semcal_status status = pair == NULL || scale == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t t = 0; status == SEMCAL_OK && t < n; t++) {
        scale[t] = LOG2E / (t < p->n_tempered ? p->spec.temperature[p->tempered[t]] : 1);
        pair[2 * t] = (float)scale[t];
    }
    /* A logit counts no more below 2^-118 of its block's largest at the first, lowest temperature of those that share
     * the limit: below 2^-33 at the last, so that all of a block together stay below 2^-23. */
    for (size_t t = 0, first = 0; status == SEMCAL_OK && t < n; t++) {
        first = scale[first] > 3.5 * scale[t] ? t : first;
        pair[2 * t + 1] = (float)(-118.0 / scale[first]);
    }
    if (status == SEMCAL_OK) {
        status = ensure(p, ROOM_TEMPERATURE, 8 * n, "temperatures", error);
    }
    if (status == SEMCAL_OK) {
        status = ensure(p, ROOM_SCALE, 8 * n, "scales of temperatures", error);
    }
    if (status == SEMCAL_OK && n > 0) {
        status = sc_buffer_write(p->rooms[ROOM_TEMPERATURE], 0, pair, 8 * n, error);
    }
    if (status == SEMCAL_OK && n > 0) {
        status = sc_buffer_write(p->rooms[ROOM_SCALE], 0, scale, 8 * n, error);
    }
    free(pair);
    free(scale);
    return status;
}

/* e^{b - max b}; what would be a denormal, or close to one, is 0. */
static semcal_status send_biases(sc_perturb *p, semcal_error *error)
{
    size_t n = p->spec.n_vocabulary, stride = p->stride;
    semcal_status status = ensure(p, ROOM_BIAS, 4 * (uint64_t)stride * p->shape.n_biases, "bias vectors", error);
    float *row = sc_memory_alloc(stride, sizeof *row, error);
    status = status == SEMCAL_OK && row == NULL ? SEMCAL_E_MEMORY : status;
    for (size_t b = 0; status == SEMCAL_OK && b < p->shape.n_biases; b++) {
        memset(row, 0, stride * sizeof *row);
        if (b < p->spec.n_dense) {
            const float *bias = p->spec.dense + b * n;
            double highest = (double)bias[0];
            for (size_t v = 1; v < n; v++) {
                highest = (double)bias[v] > highest ? (double)bias[v] : highest;
            }
            for (size_t v = 0; v < n; v++) {
                double x = (double)bias[v] - highest;
                row[v] = x < -69 ? 0 : (float)exp(x);
            }
            p->dense_max[b] = highest;
        }
        status = sc_buffer_write(p->rooms[ROOM_BIAS], 4 * (uint64_t)stride * b, row, 4 * stride, error);
    }
    free(row);
    return status;
}

/* e^{tau - max tau}, by class; the column after the last tilt is 1: it gives the row's total. */
static semcal_status send_tilts(sc_perturb *p, semcal_error *error)
{
    size_t n = p->shape.n_tilts, n_classes = p->spec.n_classes;
    double *table = sc_memory_alloc((size_t)p->shape.n_classes * n, sizeof *table, error);
    semcal_status status = table == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t t = 0; status == SEMCAL_OK && n_classes > 0 && t <= p->spec.n_tilts; t++) {
        const double *tau = t < p->spec.n_tilts ? p->spec.tilt + t * n_classes : NULL;
        double highest = tau == NULL ? 0 : tau[0];
        for (size_t k = 1; tau != NULL && k < n_classes; k++) {
            highest = tau[k] > highest ? tau[k] : highest;
        }
        for (size_t k = 0; k < n_classes; k++) {
            table[k * n + t] = tau == NULL ? 1 : exp(tau[k] - highest);
        }
        if (tau != NULL) {
            p->tilt_max[t] = highest;
        }
    }
    uint64_t bytes = 8 * (uint64_t)p->shape.n_classes * n;
    if (status == SEMCAL_OK) {
        status = ensure(p, ROOM_TILT, bytes, "tilts", error);
    }
    if (status == SEMCAL_OK && bytes > 0) {
        status = sc_buffer_write(p->rooms[ROOM_TILT], 0, table, bytes, error);
    }
    free(table);
    return status;
}

/* Class maps of `n` rows, padded to whole blocks. */
static semcal_status send_classes(sc_perturb *p, const int32_t *class_of, size_t n, semcal_error *error)
{
    size_t n_vocabulary = p->spec.n_vocabulary;
    semcal_status status = ensure(p, ROOM_CLASS, 2 * (uint64_t)p->stride * n, "class maps", error);
    uint16_t *row = sc_memory_alloc(p->stride, sizeof *row, error);
    status = status == SEMCAL_OK && row == NULL ? SEMCAL_E_MEMORY : status;
    for (size_t i = 0; status == SEMCAL_OK && i < n; i++) {
        for (size_t v = 0; v < n_vocabulary; v++) {
            row[v] = (uint16_t)class_of[i * n_vocabulary + v];
        }
        status = sc_buffer_write(p->rooms[ROOM_CLASS], 2 * (uint64_t)p->stride * i, row, 2 * p->stride, error);
    }
    free(row);
    return status;
}

static semcal_status send_all(sc_perturb *p, semcal_error *error)
{
    semcal_status status = send_temperatures(p, error);
    if (status == SEMCAL_OK) {
        status = send_biases(p, error);
    }
    if (status == SEMCAL_OK) {
        status = send_tilts(p, error);
    }
    if (status == SEMCAL_OK) {
        bool here = p->spec.n_classes > 0 && p->spec.class_of != NULL;
        status = send_classes(p, p->spec.class_of, here ? 1 : 0, error);
    }
    if (status == SEMCAL_OK) {
        status = ensure(p, ROOM_TOKEN, 4 * (uint64_t)p->shape.n_entries, "tokens of sparse biases", error);
    }
    if (status == SEMCAL_OK && p->shape.n_entries > 0) {
        status =
            sc_buffer_write(p->rooms[ROOM_TOKEN], 0, p->spec.sparse_token, 4 * (uint64_t)p->shape.n_entries, error);
    }
    return status;
}

/* ---- making ---- */

semcal_status sc_perturb_create(sc_perturb **out, sc_rows *rows, const sc_perturb_spec *spec, semcal_error *error)
{
    *out = NULL;
    semcal_status status = sc_perturb_check(spec, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    sc_perturb *p = sc_memory_alloc(1, sizeof *p, error);
    if (p == NULL) {
        return SEMCAL_E_MEMORY;
    }
    p->rows = rows;
    p->spec = *spec;
    p->group = sc_rows_group(rows);
    p->tempered = sc_memory_alloc(spec->n_temperatures, sizeof *p->tempered, error);
    p->dense_max = sc_memory_alloc(spec->n_dense, sizeof *p->dense_max, error);
    p->tilt_max = sc_memory_alloc(spec->n_tilts, sizeof *p->tilt_max, error);
    status = p->tempered == NULL || p->dense_max == NULL || p->tilt_max == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t t = 0; status == SEMCAL_OK && t < spec->n_temperatures; t++) {
        if (spec->temperature[t] != 1) { /* at 1 it is the loss itself */
            p->tempered[p->n_tempered++] = t;
        }
    }
    for (size_t i = 1; status == SEMCAL_OK && i < p->n_tempered; i++) { /* rising */
        size_t which = p->tempered[i], k = i;
        for (; k > 0 && spec->temperature[p->tempered[k - 1]] > spec->temperature[which]; k--) {
            p->tempered[k] = p->tempered[k - 1];
        }
        p->tempered[k] = which;
    }
    size_t n_blocks = (spec->n_vocabulary + SC_ROWS_BLOCK - 1) / SC_ROWS_BLOCK;
    p->stride = n_blocks * SC_ROWS_BLOCK;
    p->shape.n_temperatures = (uint32_t)padded(p->n_tempered);
    p->shape.n_tempered = (uint32_t)p->n_tempered;
    p->shape.n_biases = (uint32_t)padded(spec->n_dense);
    p->shape.n_classes = (uint32_t)padded(spec->n_classes);
    p->shape.n_tilts = spec->n_classes == 0 ? 0 : (uint32_t)padded(spec->n_tilts + 1);
    p->shape.n_entries = spec->n_sparse == 0 ? 0 : (uint32_t)spec->sparse_first[spec->n_sparse];
    p->shape.n_chunks = (uint32_t)((n_blocks + SC_PERTURB_CHUNK - 1) / SC_PERTURB_CHUNK);
    p->shape.group_rows = p->group == 1 && spec->n_dense + spec->n_classes > 0 ? SC_PERTURB_ROWS : 1;
    p->shape.class_stride = spec->class_of == NULL ? p->stride : 0;
    if (status == SEMCAL_OK) {
        status = send_all(p, error);
    }
    if (status != SEMCAL_OK) {
        sc_perturb_free(p);
        return status;
    }
    *out = p;
    return SEMCAL_OK;
}

void sc_perturb_free(sc_perturb *p)
{
    if (p == NULL) {
        return;
    }
    for (size_t i = 0; i < N_ROOMS; i++) {
        sc_buffer_free(p->rooms[i]);
    }
    free(p->tempered);
    free(p->dense_max);
    free(p->tilt_max);
    free(p->sums);
    free(p->tilted);
    free(p->mass);
    free(p->gathered);
    free(p);
}

const char *sc_perturb_kernels_sha256(const sc_perturb *p)
{
    return p->program == NULL ? "" : sc_program_sha256(p->program);
}

/* ---- one pass ---- */

static sc_work columns_work(const sc_perturb *p, size_t n_rows, size_t n_columns)
{
    size_t group = p->group == 1 ? 1 : p->group;
    return SC_WORK_1D((n_rows * n_columns + group - 1) / group, group);
}

/* Of a class in one row and chunk. */
static uint64_t mass_bytes(const sc_perturb *p)
{
    return p->group == 1 ? 8 : 16;
}

/* Of `n_rows` rows at once: bytes for each of them and for all together, multiply-adds of a row in double (half as fast
 * as fp32 where it is fastest). Padding and exponentials are left out. */
static void tell(sc_work *work, size_t n_rows, double row_bytes, double bytes, double row_fmas)
{
    work->bytes = (double)n_rows * row_bytes + bytes;
    work->flops = 2 * (double)n_rows * row_fmas;
    work->pace = 0.5;
}

/* Logits, biases and class maps in, sums and masses out; products with biases. */
static void tell_blocks(sc_work *work, const sc_perturb *p, const sc_rows_pass *pass)
{
    const double V = pass->shape.n_vocabulary, n_dense = (double)p->spec.n_dense,
                 map = p->spec.n_classes > 0 ? 2 * V : 0;
    const double sums = 4.0 * pass->shape.n_blocks * ((double)p->n_tempered + n_dense);
    const double masses =
        p->spec.n_classes > 0 ? p->shape.n_chunks * ((double)p->spec.n_classes * (double)mass_bytes(p) + 8) : 0;
    const bool own_map = p->spec.class_of == NULL;
    tell(work, pass->n, (double)sc_rows_element(p->input->type) * V + sums + masses + (own_map ? map : 0),
         4 * V * n_dense + (own_map ? 0 : map), V * n_dense);
    work->pace = 1;
}

static semcal_status launch_classes(sc_perturb *p, const sc_rows_pass *pass, semcal_error *error)
{
    sc_buffer **r = p->rooms;
    sc_work work = columns_work(p, pass->n, p->shape.n_classes / SC_PERTURB_PAD);
    const double n_blocks = pass->shape.n_blocks, n_chunks = p->shape.n_chunks, K = (double)p->spec.n_classes,
                 T = (double)p->spec.n_tilts + 1;
    tell(&work, pass->n, n_chunks * (K * (double)mass_bytes(p) + 8) + 4 * n_blocks + 8 * K, 0, n_chunks * K);
    semcal_status status = sc_launch(p->masses, &work,
                                     SC_ARGS(SC_STRUCT(&pass->shape), SC_STRUCT(&p->shape), SC_BUFFER_ARG(pass->max),
                                             SC_BUFFER_ARG(r[ROOM_TABLES]), SC_BUFFER_ARG(r[ROOM_ANCHOR]),
                                             SC_BUFFER_ARG(r[ROOM_OCTAVES]), SC_BUFFER_ARG(r[ROOM_MASS])),
                                     error);
    work = columns_work(p, pass->n, p->shape.n_tilts / SC_PERTURB_PAD);
    tell(&work, pass->n, 8 * (K + T), 8 * K * T, K * T);
    if (status == SEMCAL_OK) {
        status = sc_launch(p->tilt, &work,
                           SC_ARGS(SC_STRUCT(&pass->shape), SC_STRUCT(&p->shape), SC_BUFFER_ARG(r[ROOM_MASS]),
                                   SC_BUFFER_ARG(r[ROOM_TILT]), SC_BUFFER_ARG(r[ROOM_TILTED]),
                                   SC_U32((uint32_t)pass->first)),
                           error);
    }
    if (status == SEMCAL_OK && p->want_mass) {
        status = sc_buffer_enqueue_read(r[ROOM_MASS], 0, p->mass + pass->first * p->shape.n_classes,
                                        8 * (uint64_t)pass->n * p->shape.n_classes, error);
    }
    return status;
}

static semcal_status launch_pass(void *payload, const sc_rows_pass *pass, semcal_error *error)
{
    sc_perturb *p = payload;
    sc_buffer **r = p->rooms;
    p->shape.with_moment = pass->with_moment;
    p->shape.with_rank = pass->with_rank;
    size_t n_items = (pass->n + p->shape.group_rows - 1) / p->shape.group_rows * p->shape.n_chunks;
    sc_work work = SC_WORK_1D(n_items, p->group);
    tell_blocks(&work, p, pass);
    semcal_status status =
        sc_launch(p->blocks, &work,
                  SC_ARGS(SC_BUFFER_ARG(p->input->logits), SC_STRUCT(&pass->shape), SC_STRUCT(&p->shape),
                          SC_BUFFER_ARG(pass->target), SC_BUFFER_ARG(pass->max), SC_BUFFER_ARG(pass->part),
                          SC_BUFFER_ARG(pass->moment), SC_BUFFER_ARG(pass->rank), SC_U32((uint32_t)pass->first),
                          SC_BUFFER_ARG(r[ROOM_TEMPERATURE]), SC_BUFFER_ARG(r[ROOM_TEMPERED]),
                          SC_BUFFER_ARG(r[ROOM_BIAS]), SC_BUFFER_ARG(r[ROOM_BIASED]), SC_BUFFER_ARG(r[ROOM_CLASS]),
                          SC_BUFFER_ARG(r[ROOM_TABLES]), SC_BUFFER_ARG(r[ROOM_ANCHOR]), SC_BUFFER_ARG(r[ROOM_OCTAVES])),
                  error);
    size_t n_columns = p->shape.n_temperatures + p->shape.n_biases;
    if (status == SEMCAL_OK && n_columns > 0) {
        work = columns_work(p, pass->n, n_columns / SC_PERTURB_PAD);
        const double wanted = (double)(p->n_tempered + p->spec.n_dense), n_blocks = pass->shape.n_blocks;
        tell(&work, pass->n, 4 * n_blocks * (wanted + 1) + 8 * wanted, 0, n_blocks * wanted);
        status = sc_launch(p->merge, &work,
                           SC_ARGS(SC_STRUCT(&pass->shape), SC_STRUCT(&p->shape), SC_BUFFER_ARG(pass->max),
                                   SC_BUFFER_ARG(r[ROOM_SCALE]), SC_BUFFER_ARG(r[ROOM_TEMPERED]),
                                   SC_BUFFER_ARG(r[ROOM_BIASED]), SC_BUFFER_ARG(r[ROOM_SUMS]),
                                   SC_U32((uint32_t)pass->first)),
                           error);
    }
    if (status == SEMCAL_OK && p->shape.n_classes > 0) {
        status = launch_classes(p, pass, error);
    }
    if (status == SEMCAL_OK && p->shape.n_entries > 0) {
        work = columns_work(p, pass->n, p->shape.n_entries);
        tell(&work, pass->n, p->shape.n_entries * ((double)sc_rows_element(p->input->type) + 8),
             4.0 * p->shape.n_entries, 0);
        status = sc_launch(p->gather, &work,
                           SC_ARGS(SC_BUFFER_ARG(p->input->logits), SC_STRUCT(&pass->shape), SC_STRUCT(&p->shape),
                                   SC_BUFFER_ARG(pass->max), SC_BUFFER_ARG(r[ROOM_TOKEN]),
                                   SC_BUFFER_ARG(r[ROOM_GATHERED]), SC_U32((uint32_t)pass->first)),
                           error);
    }
    return status;
}

/* ---- evaluating ---- */

static semcal_status get_kernels(sc_perturb *p, sc_rows_type type, semcal_error *error)
{
    sc_program *merging = NULL;
    semcal_status status = sc_rows_program(&p->program, p->rows, "perturb.cl", type, error);
    if (status == SEMCAL_OK) {
        status = sc_rows_program(&merging, p->rows, "perturb_merge.cl", type, error);
    }
    const struct {
        sc_kernel **kernel;
        const char *name;
    } wanted[] = {{&p->blocks, "perturb_blocks"},
                  {&p->merge, "perturb_merge"},
                  {&p->masses, "perturb_masses"},
                  {&p->tilt, "perturb_tilt"},
                  {&p->gather, "perturb_gather"}};
    for (size_t i = 0; status == SEMCAL_OK && i < sizeof wanted / sizeof *wanted; i++) {
        status = sc_kernel_get(wanted[i].kernel, i == 0 ? p->program : merging, wanted[i].name, error);
    }
    return status;
}

/* Class masses of one group of rows in one chunk. */
static uint64_t table_bytes(const sc_perturb *p)
{
    return mass_bytes(p) * p->shape.n_classes * (p->group == 1 ? SC_PERTURB_ROWS : 1);
}

/* Room for `n` rows, of which `pass` at once. */
static semcal_status prepare(sc_perturb *p, size_t n, size_t pass, semcal_error *error)
{
    const sc_perturb_shape *s = &p->shape;
    uint64_t blocks = (uint64_t)pass * (p->stride / SC_ROWS_BLOCK), chunks = (uint64_t)pass * s->n_chunks;
    uint64_t tables = (pass + s->group_rows - 1) / s->group_rows * s->n_chunks * table_bytes(p);
    size_t n_columns = s->n_temperatures + s->n_biases;
    const struct {
        int which;
        uint64_t bytes;
        const char *what;
    } wanted[] = {{ROOM_TEMPERED, 4 * blocks * s->n_temperatures, "tempered block sums"},
                  {ROOM_BIASED, 4 * blocks * s->n_biases, "biased block sums"},
                  {ROOM_TABLES, tables, "class masses of chunks"},
                  {ROOM_ANCHOR, 4 * chunks, "references of class masses"},
                  {ROOM_OCTAVES, 4 * chunks, "octaves of class masses"},
                  {ROOM_MASS, 8 * (uint64_t)pass * s->n_classes, "class masses"},
                  {ROOM_SUMS, 8 * (uint64_t)n * n_columns, "perturbed sums"},
                  {ROOM_TILTED, 8 * (uint64_t)n * s->n_tilts, "tilted sums"},
                  {ROOM_GATHERED, 8 * (uint64_t)n * s->n_entries, "logits of sparse biases"}};
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; status == SEMCAL_OK && i < sizeof wanted / sizeof *wanted; i++) {
        status = ensure(p, wanted[i].which, wanted[i].bytes, wanted[i].what, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_memory_grow(&p->sums, &p->sums_capacity, n * n_columns, sizeof *p->sums, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_memory_grow(&p->tilted, &p->tilted_capacity, n * s->n_tilts, sizeof *p->tilted, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_memory_grow(&p->gathered, &p->gathered_capacity, 2 * n * s->n_entries, sizeof *p->gathered, error);
    }
    if (status == SEMCAL_OK && p->want_mass) {
        status = sc_memory_grow(&p->mass, &p->mass_capacity, n * s->n_classes, sizeof *p->mass, error);
    }
    return status;
}

static semcal_status read_back(sc_perturb *p, size_t n, semcal_error *error)
{
    const sc_perturb_shape *s = &p->shape;
    const struct {
        int which;
        void *to;
        uint64_t bytes;
    } wanted[] = {{ROOM_SUMS, p->sums, 8 * (uint64_t)n * (s->n_temperatures + s->n_biases)},
                  {ROOM_TILTED, p->tilted, 8 * (uint64_t)n * s->n_tilts},
                  {ROOM_GATHERED, p->gathered, 8 * (uint64_t)n * s->n_entries}};
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; status == SEMCAL_OK && i < sizeof wanted / sizeof *wanted; i++) {
        if (wanted[i].bytes > 0) {
            status = sc_buffer_enqueue_read(p->rooms[wanted[i].which], 0, wanted[i].to, wanted[i].bytes, error);
        }
    }
    return status == SEMCAL_OK ? sc_device_finish(sc_rows_device(p->rows), error) : status;
}

/* Rows of a pass whose scratch stays within bounds. */
static size_t rows_of_pass(const sc_perturb *p)
{
    const sc_perturb_shape *s = &p->shape;
    uint64_t per_row = 4 * (p->stride / SC_ROWS_BLOCK) * (uint64_t)(s->n_temperatures + s->n_biases) +
                       s->n_chunks * table_bytes(p) / s->group_rows + 8 * (uint64_t)s->n_classes + 1;
    uint64_t most = SCRATCH_BYTES / per_row / SC_PERTURB_ROWS * SC_PERTURB_ROWS;
    return most < SC_PERTURB_ROWS ? SC_PERTURB_ROWS : most > 8192 ? 8192 : (size_t)most;
}

semcal_status sc_perturb_evaluate(sc_perturb *p, const sc_perturb_batch *batch, sc_perturb_result *result,
                                  semcal_error *error)
{
    size_t n = batch->input.n_rows;
    result->n_exact = 0;
    semcal_status status = sc_perturb_check_batch(&p->spec, batch, result, error);
    if (status != SEMCAL_OK || n == 0) {
        return status;
    }
    bool on_host;
    status = sc_rows_uses_host(&on_host, p->rows, batch->input.type, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    if (on_host) {
        return sc_perturb_on_host(&p->spec, batch, result, error);
    }
    p->input = &batch->input;
    p->want_mass = result->class_logmass != NULL && p->spec.n_classes > 0;
    status = get_kernels(p, batch->input.type, error);
    size_t most = rows_of_pass(p);
    if (status == SEMCAL_OK) {
        status = prepare(p, n, most < n ? most : n, error);
    }
    if (status == SEMCAL_OK && p->spec.n_classes > 0 && p->spec.class_of == NULL) {
        status = send_classes(p, batch->class_of, n, error);
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    sc_rows_request request = SC_ROWS_REQUEST_INIT;
    request.target = batch->target;
    request.n_top = batch->n_top;
    sc_rows_result rows = {.log_normalizer = result->log_normalizer,
                           .entropy = result->entropy,
                           .target_rank = result->target_rank,
                           .top_token = result->top_token,
                           .top_logprob = result->top_logprob,
                           .first_row = batch->first_row};
    const sc_rows_hook hook = {launch_pass, most, p->shape.group_rows, p};
    bool plain = p->shape.n_temperatures + p->shape.n_biases + p->shape.n_classes + p->shape.n_entries == 0;
    status = sc_rows_evaluate_with(p->rows, &batch->input, &request, &rows, plain ? NULL : &hook, error);
    result->bad_row = rows.bad_row;
    result->bad_token = rows.bad_token;
    if (status == SEMCAL_OK) {
        status = read_back(p, n, error);
    }
    return status == SEMCAL_OK ? sc_perturb_finish(p, batch, result, error) : status;
}

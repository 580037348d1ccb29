/* SPDX-License-Identifier: Apache-2.0 */
/* The row kernels against what the same device can read. */
#include "cli/bench.h"

#include "base/memory.h"
#include "base/parallel.h"
#include "base/random.h"
#include "device/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_TOP = 20, SLICE = 1 << 16 };

/* Everything the cases share. */
typedef struct workplace {
    sc_bench *bench;
    sc_buffer *logits, *copy, *sums;
    sc_rows *rows;
    sc_kernel *sum;
    size_t n_elements, group;
    float *mapped, *mapped_copy; /* CPU devices: the same memory in plain C */
    uint64_t seen;               /* keeps the reading loop alive */
    size_t *first_draw;
    uint64_t *uniform;
    int32_t *target, *token, *top_token, *rank;
    double *numbers;
} workplace;

/* ---- plain C ---- */

static semcal_status read_slice(size_t i, unsigned thread, void *payload, semcal_error *error)
{
    (void)thread;
    (void)error;
    workplace *w = payload;
    size_t first = i * SLICE, n = w->n_elements - first < SLICE ? w->n_elements - first : SLICE;
    const uint64_t *p = (const uint64_t *)(const void *)(w->mapped + first);
    uint64_t sum[16] = {0};
    for (size_t k = 0; k + 16 <= n / 2; k += 16) {
        for (size_t j = 0; j < 16; j++) {
            sum[j] += p[k + j];
        }
    }
    for (size_t j = 1; j < 16; j++) {
        sum[0] += sum[j];
    }
    if (sum[0] == 0x5eed) { /* never known at compile time: the loop must run */
        w->seen = i;
    }
    return SEMCAL_OK;
}

static semcal_status copy_slice(size_t i, unsigned thread, void *payload, semcal_error *error)
{
    (void)thread;
    (void)error;
    workplace *w = payload;
    size_t first = i * SLICE, n = w->n_elements - first < SLICE ? w->n_elements - first : SLICE;
    memcpy(w->mapped_copy + first, w->mapped + first, n * sizeof(float));
    return SEMCAL_OK;
}

/* Buffers of a CPU device are host memory: mapped, measured, unmapped. */
static semcal_status host_pass(workplace *w, sc_parallel_body body, semcal_error *error)
{
    return sc_parallel_for((w->n_elements + SLICE - 1) / SLICE, 0, body, w, error);
}

static semcal_status host_read(void *payload, semcal_error *error)
{
    return host_pass(payload, read_slice, error);
}

static semcal_status host_copy(void *payload, semcal_error *error)
{
    return host_pass(payload, copy_slice, error);
}

/* ---- device ---- */

static semcal_status device_copy(void *payload, semcal_error *error)
{
    workplace *w = payload;
    semcal_status status = sc_buffer_copy(w->copy, 0, w->logits, 0, 4 * w->n_elements, error);
    return status == SEMCAL_OK ? sc_device_finish(w->bench->device, error) : status;
}

enum { CHUNK = 1 << 14 };

static semcal_status device_sum(void *payload, semcal_error *error)
{
    workplace *w = payload;
    sc_work work = SC_WORK_1D(w->n_elements / CHUNK, w->group);
    work.bytes = 4.0 * (double)w->n_elements;
    semcal_status status =
        sc_launch(w->sum, &work, SC_ARGS(SC_BUFFER_ARG(w->logits), SC_U64(CHUNK), SC_BUFFER_ARG(w->sums)), error);
    return status == SEMCAL_OK ? sc_device_finish(w->bench->device, error) : status;
}

static semcal_status evaluate(workplace *w, double temperature, bool entropy, bool rank, bool draws, size_t n_top,
                              semcal_error *error)
{
    size_t n = w->bench->n_rows, v = w->bench->n_vocabulary;
    const sc_rows_request request = {temperature, draws ? w->first_draw : NULL, w->uniform, w->target, n_top};
    const sc_rows_input input = {w->logits, SC_ROWS_F32, n, v, v, 0};
    sc_rows_result result = {.log_normalizer = w->numbers,
                             .entropy = entropy ? w->numbers + n : NULL,
                             .target_logprob = w->numbers + 2 * n,
                             .target_rank = rank ? w->rank : NULL,
                             .top_token = w->top_token,
                             .top_logprob = w->numbers + 3 * n,
                             .token = w->token,
                             .logprob = w->numbers + (3 + N_TOP) * n};
    return sc_rows_evaluate(w->rows, &input, &request, &result, error);
}

static semcal_status log_loss(void *payload, semcal_error *error)
{
    return evaluate(payload, 1, false, false, false, 0, error);
}

static semcal_status law(void *payload, semcal_error *error)
{
    return evaluate(payload, 1, true, false, false, 0, error);
}

static semcal_status law_rank(void *payload, semcal_error *error)
{
    return evaluate(payload, 1, true, true, false, 0, error);
}

static semcal_status loss_draws(void *payload, semcal_error *error)
{
    return evaluate(payload, 1, false, false, true, 0, error);
}

static semcal_status law_top(void *payload, semcal_error *error)
{
    return evaluate(payload, 1, true, false, false, N_TOP, error);
}

static semcal_status everything(void *payload, semcal_error *error)
{
    return evaluate(payload, 1, true, true, true, N_TOP, error);
}

static semcal_status tempered(void *payload, semcal_error *error)
{
    return evaluate(payload, 0.7, true, false, false, 0, error);
}

/* ---- setting up ---- */

/* About normal logits with a heavy token per row, the same for every run. */
static semcal_status fill_slice(size_t i, unsigned thread, void *payload, semcal_error *error)
{
    (void)thread;
    (void)error;
    workplace *w = payload;
    size_t first = i * SLICE, n = w->n_elements - first < SLICE ? w->n_elements - first : SLICE;
    sc_random_stream stream;
    sc_random_stream_init(&stream, 1, i);
    for (size_t k = 0; k < n; k++) {
        uint32_t x = sc_random_u32(&stream);
        w->mapped[first + k] = (float)((x & 255) + (x >> 8 & 255) + (x >> 16 & 255) + (x >> 24)) / 50.0f - 10.2f;
    }
    return SEMCAL_OK;
}

static semcal_status make_host(workplace *w, semcal_error *error)
{
    size_t n = w->bench->n_rows, m = n * w->bench->job.n_draws;
    w->first_draw = sc_memory_alloc(n + 1, sizeof *w->first_draw, error);
    w->uniform = sc_memory_alloc(m, sizeof *w->uniform, error);
    w->target = sc_memory_alloc(n, sizeof *w->target, error);
    w->rank = sc_memory_alloc(n, sizeof *w->rank, error);
    w->token = sc_memory_alloc(m, sizeof *w->token, error);
    w->top_token = sc_memory_alloc(n * N_TOP, sizeof *w->top_token, error);
    w->numbers = sc_memory_alloc((3 + N_TOP) * n + m, sizeof *w->numbers, error);
    if (w->first_draw == NULL || w->uniform == NULL || w->target == NULL || w->rank == NULL || w->token == NULL ||
        w->top_token == NULL || w->numbers == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < n; i++) {
        w->first_draw[i + 1] = (i + 1) * w->bench->job.n_draws;
        w->target[i] = (int32_t)(i * 97 % w->bench->n_vocabulary);
    }
    for (size_t j = 0; j < m; j++) {
        w->uniform[j] = sc_random_uniform(3, j, 0, 0);
    }
    return SEMCAL_OK;
}

static semcal_status make_device(workplace *w, semcal_error *error)
{
    sc_device *device = w->bench->device;
    uint64_t bytes = 4 * (uint64_t)w->n_elements;
    sc_program *program;
    void *mapped = NULL;
    semcal_status status = sc_buffer_create(&w->logits, device, bytes, SC_BUFFER_DEVICE, "logits", error);
    if (status == SEMCAL_OK) {
        status = sc_buffer_create(&w->copy, device, bytes, SC_BUFFER_DEVICE, "copy of the logits", error);
    }
    if (status == SEMCAL_OK) {
        status = sc_buffer_map(&mapped, w->logits, 0, bytes, true, error);
    }
    if (status == SEMCAL_OK) {
        w->mapped = mapped;
        status = host_pass(w, fill_slice, error);
        w->mapped = NULL;
        semcal_status unmapped = sc_buffer_unmap(w->logits, mapped, error);
        status = status == SEMCAL_OK ? unmapped : status;
    }
    if (status == SEMCAL_OK) {
        status = sc_rows_create(&w->rows, device, NULL, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_program_get(&program, device, "bench.cl", "", error);
    }
    if (status == SEMCAL_OK) {
        status = sc_kernel_get(&w->sum, program, "bench_sum", error);
    }
    const sc_device_info *facts = sc_device_facts(device);
    w->group = facts->is_cpu ? 1 : facts->max_group < 256 ? facts->max_group : 256;
    if (status == SEMCAL_OK) {
        status = sc_buffer_create(&w->sums, device, (w->n_elements / CHUNK + 1) * w->group * 4, SC_BUFFER_DEVICE,
                                  "sums", error);
    }
    return status;
}

/* What the arithmetic of a log-loss takes at least: the operations of whole_block (rows.cl) on a vector, of which a
 * core starts two in the time of a multiply-add of the same width; at the multiply-adds measured now. */
static semcal_status append_floor(workplace *w, const sc_bench_entry *loss, semcal_error *error)
{
    enum { OPERATIONS = 19, WIDTH = 16 };
    sc_ceilings most;
    double measured = loss->best_s;
    semcal_status status = sc_device_ceilings(&most, w->bench->device, error);
    double floor_s = (double)w->n_elements / WIDTH * (OPERATIONS / 2.0) * (2.0 * WIDTH) / most.flops_per_s;
    return status == SEMCAL_OK ? sc_bench_append(w->bench, "rows: log-loss, arithmetic alone", floor_s,
                                                 floor_s / measured, "best time of rows: log-loss", error)
                               : status;
}

/* On a CPU device the ceiling is plain C reading the same memory, on others a kernel that only reads. The mapping stays
 * for the whole measurement: on such devices it is the memory itself. */
static semcal_status measure(workplace *w, semcal_error *error)
{
    double bytes = 4 * (double)w->n_elements;
    bool cpu = sc_device_facts(w->bench->device)->is_cpu;
    sc_bench_case cases[12];
    for (size_t i = 0; i < 12; i++) {
        cases[i] = (sc_bench_case)SC_BENCH_CASE_INIT;
    }
    size_t n = 0;
    char draws[80];
    (void)snprintf(draws, sizeof draws, "rows: %zu draws, time on top", w->bench->job.n_draws);
    if (cpu) {
        cases[n++] = (sc_bench_case){"read, plain C", host_read, w, bytes, "GB/s", -1, -1, -1};
        cases[n++] = (sc_bench_case){"copy, plain C", host_copy, w, 2 * bytes, "GB/s", -1, -1, -1};
    } else {
        cases[n++] = (sc_bench_case){"plain reduction kernel", device_sum, w, bytes, "GB/s", -1, -1, -1};
        cases[n++] = (sc_bench_case){"copy on the device", device_copy, w, 2 * bytes, "GB/s", -1, -1, -1};
    }
    if (cpu) {
        cases[n++] = (sc_bench_case){"plain reduction kernel", device_sum, w, bytes, "GB/s", 0, -1, -1};
    }
    int loss = (int)n;
    cases[n++] = (sc_bench_case){"rows: log-loss", log_loss, w, bytes, "GB/s", 0, -1, -1};
    int with_entropy = (int)n;
    cases[n++] = (sc_bench_case){"rows: law with entropy", law, w, bytes, "GB/s", 0, -1, -1};
    cases[n++] = (sc_bench_case){"rows: law at T=0.7 (two readings)", tempered, w, 2 * bytes, "GB/s", 0, -1, -1};
    cases[n++] = (sc_bench_case){draws, loss_draws, w, bytes, "GB/s", -1, loss, loss};
    cases[n++] = (sc_bench_case){"rows: top 20, time on top", law_top, w, bytes, "GB/s", -1, with_entropy, loss};
    cases[n++] = (sc_bench_case){"rows: rank, time on top", law_rank, w, bytes, "GB/s", -1, with_entropy, loss};
    cases[n++] = (sc_bench_case){"rows: everything", everything, w, bytes, "GB/s", 0, -1, -1};
    w->bench->paired = true;
    semcal_status status = sc_bench_measure(w->bench, cases, n, error);
    w->bench->paired = false;
    return status == SEMCAL_OK && cpu ? append_floor(w, &w->bench->entries[w->bench->n - n + (size_t)loss], error)
                                      : status;
}

semcal_status sc_bench_rows(sc_bench *bench, semcal_error *error)
{
    workplace w = {.bench = bench, .n_elements = bench->n_rows * bench->n_vocabulary};
    void *mapped = NULL, *mapped_copy = NULL;
    semcal_status status = make_host(&w, error);
    if (status == SEMCAL_OK) {
        status = make_device(&w, error);
    }
    bool cpu = sc_device_facts(bench->device)->is_cpu;
    if (status == SEMCAL_OK && cpu) {
        status = sc_buffer_map(&mapped, w.logits, 0, 4 * (uint64_t)w.n_elements, false, error);
    }
    if (status == SEMCAL_OK && cpu) {
        status = sc_buffer_map(&mapped_copy, w.copy, 0, 4 * (uint64_t)w.n_elements, true, error);
    }
    w.mapped = mapped;
    w.mapped_copy = mapped_copy;
    if (status == SEMCAL_OK) {
        status = measure(&w, error);
    }
    if (mapped != NULL) {
        (void)sc_buffer_unmap(w.logits, mapped, NULL);
    }
    if (mapped_copy != NULL) {
        (void)sc_buffer_unmap(w.copy, mapped_copy, NULL);
    }
    (void)sc_device_finish(bench->device, NULL);
    sc_rows_free(w.rows);
    sc_buffer_free(w.sums);
    sc_buffer_free(w.copy);
    sc_buffer_free(w.logits);
    free(w.first_draw);
    free(w.uniform);
    free(w.target);
    free(w.rank);
    free(w.token);
    free(w.top_token);
    free(w.numbers);
    return status;
}

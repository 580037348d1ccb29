/* SPDX-License-Identifier: Apache-2.0 */
/* Perturbations of rows against one log-loss of the same rows. */
#include "cli/bench.h"

#include "base/memory.h"
#include "base/parallel.h"
#include "base/random.h"
#include "device/perturb.h"

#include <stdlib.h>

enum { N_TEMPERATURES = 8, N_DENSE = 16, N_CLASSES = 64, N_TILTS = 256 };

typedef struct workplace {
    sc_bench *bench;
    sc_buffer *buffer;
    sc_rows *rows;
    float *logits, *dense;
    int32_t *class_of, *target;
    double *tilt, *numbers;
    size_t n_random; /* numbers made in one item */
} workplace;

/* One case: a set of perturbations made ready. */
typedef struct family {
    workplace *w;
    sc_perturb *perturb;
} family;

static semcal_status evaluate(void *payload, semcal_error *error)
{
    family *f = payload;
    workplace *w = f->w;
    size_t n = w->bench->n_rows, v = w->bench->n_vocabulary;
    const sc_perturb_batch batch = {{w->buffer, SC_ROWS_F32, n, v, v, 0}, w->target, NULL, 0, 0};
    sc_perturb_result result = {.log_normalizer = w->numbers,
                                .loss = w->numbers + n,
                                .loss_temperature = w->numbers + 2 * n,
                                .loss_dense = w->numbers + (2 + N_TEMPERATURES) * n,
                                .loss_tilt = w->numbers + (2 + N_TEMPERATURES + N_DENSE) * n};
    return sc_perturb_evaluate(f->perturb, &batch, &result, error);
}

static semcal_status log_loss(void *payload, semcal_error *error)
{
    workplace *w = payload;
    size_t n = w->bench->n_rows, v = w->bench->n_vocabulary;
    sc_rows_request request = SC_ROWS_REQUEST_INIT;
    request.target = w->target;
    const sc_rows_input input = {w->buffer, SC_ROWS_F32, n, v, v, 0};
    sc_rows_result result = {.log_normalizer = w->numbers, .target_logprob = w->numbers + n};
    return sc_rows_evaluate(w->rows, &input, &request, &result, error);
}

/* About normal logits of one row, the same for every run. */
static semcal_status fill_row(size_t i, unsigned thread, void *payload, semcal_error *error)
{
    (void)thread;
    (void)error;
    workplace *w = payload;
    sc_random_stream stream;
    sc_random_stream_init(&stream, 1, i);
    for (size_t k = 0; k < w->bench->n_vocabulary; k++) {
        uint32_t x = sc_random_u32(&stream);
        w->logits[i * w->bench->n_vocabulary + k] =
            (float)((x & 255) + (x >> 8 & 255) + (x >> 16 & 255) + (x >> 24)) / 50.0f - 10.2f;
    }
    w->target[i] = (int32_t)(i * 97 % w->bench->n_vocabulary);
    return SEMCAL_OK;
}

static semcal_status make(workplace *w, semcal_error *error)
{
    size_t n = w->bench->n_rows, v = w->bench->n_vocabulary;
    w->logits = sc_memory_alloc(n * v, sizeof *w->logits, error);
    w->dense = sc_memory_alloc(N_DENSE * v, sizeof *w->dense, error);
    w->class_of = sc_memory_alloc(v, sizeof *w->class_of, error);
    w->target = sc_memory_alloc(n, sizeof *w->target, error);
    w->tilt = sc_memory_alloc((size_t)N_TILTS * N_CLASSES, sizeof *w->tilt, error);
    w->numbers = sc_memory_alloc((2 + N_TEMPERATURES + N_DENSE + N_TILTS) * n, sizeof *w->numbers, error);
    if (w->logits == NULL || w->dense == NULL || w->class_of == NULL || w->target == NULL || w->tilt == NULL ||
        w->numbers == NULL) {
        return SEMCAL_E_MEMORY;
    }
    sc_random_stream stream;
    sc_random_stream_init(&stream, 2, 0);
    for (size_t i = 0; i < N_DENSE * v; i++) {
        w->dense[i] = (float)(sc_random_unit(&stream) - 0.5);
    }
    for (size_t i = 0; i < v; i++) {
        w->class_of[i] = (int32_t)sc_random_below(&stream, N_CLASSES);
    }
    for (size_t i = 0; i < (size_t)N_TILTS * N_CLASSES; i++) {
        w->tilt[i] = sc_random_unit(&stream) - 0.5;
    }
    semcal_status status = sc_parallel_for(n, 0, fill_row, w, error);
    if (status == SEMCAL_OK) {
        status = sc_buffer_create(&w->buffer, w->bench->device, 4 * (uint64_t)n * v, SC_BUFFER_DEVICE, "logits", error);
    }
    if (status == SEMCAL_OK) {
        status = sc_buffer_write(w->buffer, 0, w->logits, 4 * (uint64_t)n * v, error);
    }
    free(w->logits);
    w->logits = NULL;
    return status == SEMCAL_OK ? sc_rows_create(&w->rows, w->bench->device, NULL, error) : status;
}

semcal_status sc_bench_perturb(sc_bench *bench, semcal_error *error)
{
    static const double temperature[N_TEMPERATURES] = {0.5, 0.6, 0.7, 0.8, 0.9, 1.1, 1.25, 1.5};
    workplace w = {.bench = bench};
    family temperatures = {&w, NULL}, biases = {&w, NULL}, tilts = {&w, NULL};
    semcal_status status = make(&w, error);
    sc_perturb_spec spec = SC_PERTURB_SPEC_INIT;
    spec.n_vocabulary = bench->n_vocabulary;
    if (status == SEMCAL_OK) {
        spec.n_temperatures = N_TEMPERATURES;
        spec.temperature = temperature;
        status = sc_perturb_create(&temperatures.perturb, w.rows, &spec, error);
    }
    spec.n_temperatures = 0;
    if (status == SEMCAL_OK) {
        spec.n_dense = N_DENSE;
        spec.dense = w.dense;
        status = sc_perturb_create(&biases.perturb, w.rows, &spec, error);
    }
    spec.n_dense = 0;
    if (status == SEMCAL_OK) {
        spec.n_classes = N_CLASSES;
        spec.class_of = w.class_of;
        spec.n_tilts = N_TILTS;
        spec.tilt = w.tilt;
        status = sc_perturb_create(&tilts.perturb, w.rows, &spec, error);
    }
    if (status == SEMCAL_OK) {
        double bytes = 4 * (double)bench->n_rows * (double)bench->n_vocabulary;
        const sc_bench_case cases[] = {
            {"perturb: one log-loss", log_loss, &w, bytes, "GB/s", -1, -1, -1},
            {"perturb: and 8 temperatures", evaluate, &temperatures, bytes, "GB/s", -1, -2, 0},
            {"perturb: and 16 dense biases", evaluate, &biases, bytes, "GB/s", -1, -2, 0},
            {"perturb: and 64 classes, 256 tilts", evaluate, &tilts, bytes, "GB/s", -1, -2, 0},
        };
        bench->paired = true;
        status = sc_bench_measure(bench, cases, sizeof cases / sizeof *cases, error);
        bench->paired = false;
    }
    sc_perturb_free(temperatures.perturb);
    sc_perturb_free(biases.perturb);
    sc_perturb_free(tilts.perturb);
    sc_rows_free(w.rows);
    sc_buffer_free(w.buffer);
    free(w.logits);
    free(w.dense);
    free(w.class_of);
    free(w.target);
    free(w.tilt);
    free(w.numbers);
    return status;
}

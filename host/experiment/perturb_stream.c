/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/perturb_stream.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/numeric.h"
#include "device/gemm.h"
#include "experiment/perturb_calibration.h"
#include "experiment/perturb_output.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { N_SLOTS = 3 };
#define BATCH_BYTES ((size_t)64 << 20) /* of one batch: its logits, its results */

typedef enum slot_state { SLOT_EMPTY, SLOT_READ, SLOT_DONE } slot_state;

/* One batch on its way. */
typedef struct slot {
    slot_state state;
    size_t n; /* rows; 0: the end */
    void *rows;
    int32_t *target, *class_of;
    int64_t *wide; /* integers as read */
    sc_perturb_result result;
} slot;

typedef struct stream {
    sc_perturb_inputs *in;
    const sc_perturb_options *options;
    sc_perturb_summary *summary;
    size_t rows_at_once, row_bytes; /* of a slot's rows */
    slot slots[N_SLOTS];
    /* device */
    sc_rows *rows;
    sc_perturb *perturb;
    sc_buffer *logits, *hidden;
    sc_gemm *gemm;
    sc_matrix *head;
    sc_perturb_output *output;
    /* sums over rows: loss, its square; per perturbation loss, gap, squares of both */
    sc_sum loss[2], entropy[2], *sums;
    sc_perturb_pairs *pairs;
    size_t n_batches, n_taken; /* of a live model: slots handed over, rows in them */
    size_t n_top;              /* asked of the device: the most probable token at least, where there are targets */
    /* shared by the threads */
    pthread_mutex_t lock, table_lock;
    pthread_cond_t changed;
    bool stop;
    semcal_status status;
    semcal_error error;
} stream;

static const char *const family_names[SC_PERTURB_FAMILIES] = {"temperature", "tilt", "bias", "sparse bias"};

const char *sc_perturb_family_name(sc_perturb_family family)
{
    return family_names[family];
}

/* ---- threads ---- */

/* Waits for slot `i` to reach `state`; NULL when everything stops. */
static slot *wait_for(stream *s, size_t i, slot_state state)
{
    slot *at = &s->slots[i % N_SLOTS];
    (void)pthread_mutex_lock(&s->lock);
    while (at->state != state && !s->stop) {
        (void)pthread_cond_wait(&s->changed, &s->lock);
    }
    bool stopped = s->stop;
    (void)pthread_mutex_unlock(&s->lock);
    return stopped ? NULL : at;
}

static void hand_over(stream *s, slot *at, slot_state state)
{
    (void)pthread_mutex_lock(&s->lock);
    at->state = state;
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
}

/* The first error of any thread stops all. */
static void give_up(stream *s, semcal_status status, const semcal_error *error)
{
    (void)pthread_mutex_lock(&s->lock);
    if (s->status == SEMCAL_OK) {
        s->status = status;
        s->error = *error;
    }
    s->stop = true;
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
}

/* ---- reading ---- */

static semcal_status narrow(int32_t *out, const int64_t *wide, size_t n, size_t first_row, size_t per_row, size_t limit,
                            const sc_table *table, const char *what, semcal_error *error)
{
    for (size_t i = 0; i < n; i++) {
        if (wide[i] < 0 || (uint64_t)wide[i] >= limit) {
            return sc_error_set(error, SEMCAL_E_DATA, "%s: row %zu: %s %lld is not below %zu", sc_table_label(table),
                                first_row + i / per_row, what, (long long)wide[i], limit);
        }
        out[i] = (int32_t)wide[i];
    }
    return SEMCAL_OK;
}

static semcal_status read_batch(stream *s, slot *at, size_t first, semcal_error *error)
{
    sc_perturb_inputs *in = s->in;
    semcal_status status = SEMCAL_OK;
    if (in->head == NULL) {
        status = sc_table_read_raw(at->rows, in->logits, first, at->n, error);
    } else if (sc_table_get_shape(in->logits)->type != SC_DTYPE_U16) {
        status = sc_table_read_floats(at->rows, in->logits, first, at->n, error);
    } else { /* bfloat16 by another name, widened from the end */
        status = sc_table_read_raw(at->rows, in->logits, first, at->n, error);
        for (size_t i = at->n * in->width; status == SEMCAL_OK && i-- > 0;) {
            uint16_t bits;
            memcpy(&bits, (const char *)at->rows + 2 * i, sizeof bits);
            const float value = sc_float_from_bfloat(bits);
            memcpy((char *)at->rows + 4 * i, &value, sizeof value);
        }
    }
    if (status == SEMCAL_OK && in->targets != NULL) {
        status = sc_table_read_ints(at->wide, in->targets, first, at->n, error);
        if (status == SEMCAL_OK) {
            status = narrow(at->target, at->wide, at->n, first, 1, in->n_vocabulary, in->targets, "target", error);
        }
    }
    if (status == SEMCAL_OK && in->row_classes != NULL) {
        status = sc_table_read_ints(at->wide, in->row_classes, first, at->n, error);
        if (status == SEMCAL_OK) {
            status = narrow(at->class_of, at->wide, at->n * in->n_vocabulary, first, in->n_vocabulary,
                            in->spec.n_classes, in->row_classes, "class", error);
        }
    }
    return status;
}

static void *read_all(void *payload)
{
    stream *s = payload;
    size_t n = s->in->n_rows;
    for (size_t i = 0, first = 0; first <= n; i++) {
        slot *at = wait_for(s, i, SLOT_EMPTY);
        if (at == NULL) {
            return NULL;
        }
        semcal_error error = SEMCAL_ERROR_INIT;
        at->n = n - first < s->rows_at_once ? n - first : s->rows_at_once;
        const double began = sc_clock_now_s();
        semcal_status status = at->n > 0 ? read_batch(s, at, first, &error) : SEMCAL_OK;
        s->summary->read_s += sc_clock_now_s() - began;
        if (status != SEMCAL_OK) {
            give_up(s, status, &error);
            return NULL;
        }
        bool end = at->n == 0;
        first += at->n;
        hand_over(s, at, SLOT_READ);
        if (end) {
            return NULL;
        }
    }
    return NULL;
}

/* ---- computing ---- */

static void head_row(float *row, size_t i, void *payload)
{
    stream *s = payload;
    /* Tables are read by one thread at a time; a failed read leaves NaN, which the kernels refuse by name. */
    (void)pthread_mutex_lock(&s->table_lock);
    semcal_status status;
    if (sc_table_get_shape(s->in->head)->type == SC_DTYPE_U16) {
        status = sc_table_read_raw(row, s->in->head, i, 1, NULL);
        for (size_t d = s->in->width; status == SEMCAL_OK && d-- > 0;) {
            uint16_t bits;
            memcpy(&bits, (const char *)row + 2 * d, sizeof bits);
            row[d] = sc_float_from_bfloat(bits);
        }
    } else {
        status = sc_table_read_floats(row, s->in->head, i, 1, NULL);
    }
    (void)pthread_mutex_unlock(&s->table_lock);
    for (size_t d = 0; status != SEMCAL_OK && d < s->in->width; d++) {
        row[d] = NAN;
    }
}

/* Logits of a batch onto the device. */
static semcal_status upload(stream *s, const slot *at, semcal_error *error)
{
    if (s->in->head == NULL) {
        return sc_buffer_write(s->logits, 0, at->rows, at->n * s->row_bytes, error);
    }
    semcal_status status = sc_buffer_write(s->hidden, 0, at->rows, 4 * at->n * s->in->width, error);
    return status == SEMCAL_OK
               ? sc_gemm_run(s->gemm, s->logits, s->in->n_vocabulary, SC_MODE_STORE, s->hidden, s->head, at->n, error)
               : status;
}

static void add(sc_sum *sums, double value)
{
    sc_sum_add(&sums[0], value);
    sc_sum_add(&sums[1], value * value);
}

static void add_row(stream *s, const sc_perturb_result *r, size_t i)
{
    const sc_perturb_spec *spec = &s->in->spec;
    add(s->entropy, r->entropy[i]);
    if (!sc_perturb_inputs_has_targets(s->in)) {
        return;
    }
    add(s->loss, r->loss[i]);
    sc_perturb_pairs_add(s->pairs, r->top_logprob[i * s->n_top], r->target_rank[i] == 0);
    const double *losses[SC_PERTURB_FAMILIES] = {r->loss_temperature, r->loss_tilt, r->loss_dense, r->loss_sparse};
    const size_t n[SC_PERTURB_FAMILIES] = {spec->n_temperatures, spec->n_tilts, spec->n_dense, spec->n_sparse};
    sc_sum *sums = s->sums;
    for (size_t f = 0; f < SC_PERTURB_FAMILIES; f++) {
        for (size_t p = 0; p < n[f]; p++, sums += 4) {
            double loss = losses[f][i * n[f] + p];
            add(sums, loss);
            add(sums + 2, r->loss[i] - loss);
        }
    }
}

/* Evaluates the rows of a slot, whose logits are `input`, and adds them to the sums. */
static semcal_status compute(stream *s, slot *at, const sc_rows_input *input, size_t first, semcal_error *error)
{
    const sc_perturb_batch batch = {*input, sc_perturb_inputs_has_targets(s->in) ? at->target : NULL, at->class_of,
                                    s->n_top, first};
    semcal_status status = sc_perturb_evaluate(s->perturb, &batch, &at->result, error);
    if (status != SEMCAL_OK) {
        return sc_error_where(error, "%s", sc_perturb_inputs_label(s->in));
    }
    for (size_t r = 0; r < at->n; r++) {
        add_row(s, &at->result, r);
    }
    s->summary->n_exact += at->result.n_exact;
    return SEMCAL_OK;
}

/* Rows of one forward of a live model; a payload of sc_perturb_live_run. */
static semcal_status take_rows(const sc_rows_input *input, const int32_t *target, void *payload, semcal_error *error)
{
    stream *s = payload;
    for (size_t done = 0; done < input->n_rows; s->n_batches++) {
        slot *at = wait_for(s, s->n_batches, SLOT_EMPTY);
        if (at == NULL) {
            return SEMCAL_INTERRUPTED; /* the writer says why */
        }
        at->n = input->n_rows - done < s->rows_at_once ? input->n_rows - done : s->rows_at_once;
        memcpy(at->target, target + done, at->n * sizeof *target);
        sc_rows_input rows = *input;
        rows.n_rows = at->n;
        rows.offset += done * input->stride;
        semcal_status status = compute(s, at, &rows, s->n_taken, error);
        if (status != SEMCAL_OK) {
            return status;
        }
        done += at->n;
        s->n_taken += at->n;
        hand_over(s, at, SLOT_DONE);
    }
    return SEMCAL_OK;
}

static semcal_status compute_live(stream *s, semcal_error *error)
{
    const double began = sc_clock_now_s();
    semcal_status status = sc_perturb_live_run(s->in->live, take_rows, s, error);
    s->summary->compute_s = sc_clock_now_s() - began;
    slot *end = status == SEMCAL_OK ? wait_for(s, s->n_batches, SLOT_EMPTY) : NULL;
    if (end != NULL) {
        end->n = 0;
        hand_over(s, end, SLOT_DONE);
    }
    return status;
}

static semcal_status compute_all(stream *s, semcal_error *error)
{
    size_t first = 0;
    for (size_t i = 0;; i++) {
        slot *at = wait_for(s, i, SLOT_READ);
        if (at == NULL) {
            return SEMCAL_OK; /* another thread says why */
        }
        if (at->n > 0) {
            const sc_rows_input input = {s->logits,
                                         s->in->head == NULL ? s->in->type : SC_ROWS_F32,
                                         at->n,
                                         s->in->n_vocabulary,
                                         s->in->n_vocabulary,
                                         0};
            const double began = sc_clock_now_s();
            semcal_status status = upload(s, at, error);
            if (status == SEMCAL_OK) {
                status = compute(s, at, &input, first, error);
            }
            s->summary->compute_s += sc_clock_now_s() - began;
            if (status != SEMCAL_OK) {
                return status;
            }
            first += at->n;
        }
        bool end = at->n == 0;
        hand_over(s, at, SLOT_DONE);
        if (end) {
            return SEMCAL_OK;
        }
    }
}

/* ---- writing ---- */

static void *write_all(void *payload)
{
    stream *s = payload;
    for (size_t i = 0;; i++) {
        slot *at = wait_for(s, i, SLOT_DONE);
        if (at == NULL || at->n == 0) {
            return NULL;
        }
        semcal_error error = SEMCAL_ERROR_INIT;
        const double began = sc_clock_now_s();
        semcal_status status =
            s->output == NULL ? SEMCAL_OK : sc_perturb_output_append(s->output, &at->result, at->target, at->n, &error);
        s->summary->write_s += sc_clock_now_s() - began;
        if (status != SEMCAL_OK) {
            give_up(s, status, &error);
            return NULL;
        }
        hand_over(s, at, SLOT_EMPTY);
    }
}

/* ---- making ready ---- */

static size_t choose_rows(const stream *s)
{
    const sc_perturb_spec *spec = &s->in->spec;
    size_t widest = s->in->row_classes == NULL ? 4 : 12;
    size_t per_row = widest * s->in->n_vocabulary;
    size_t numbers = 8 * (8 + 2 * s->options->n_top + spec->n_classes + spec->n_temperatures + spec->n_tilts +
                          spec->n_dense + spec->n_sparse);
    size_t n = BATCH_BYTES / (per_row > numbers ? per_row : numbers);
    n = s->options->rows_at_once != 0 ? s->options->rows_at_once : n > 16384 ? 16384 : n < 16 ? 16 : n;
    return n > s->in->n_rows && s->in->n_rows > 0 ? s->in->n_rows : n;
}

static semcal_status make_slot(stream *s, slot *at, semcal_error *error)
{
    const sc_perturb_spec *spec = &s->in->spec;
    size_t n = s->rows_at_once, n_top = s->n_top;
    bool targets = sc_perturb_inputs_has_targets(s->in), rows = s->in->row_classes != NULL;
    bool masses = s->options->output != NULL && !s->options->no_masses && spec->n_classes > 0;
    sc_perturb_result *r = &at->result;
    const struct {
        void *array; /* address of a pointer */
        size_t count, size;
    } wanted[] = {{&at->rows, s->in->live != NULL ? 0 : n, s->row_bytes},
                  {&at->target, targets ? n : 0, 4},
                  {&at->class_of, rows ? n * spec->n_vocabulary : 0, 4},
                  {&at->wide, rows ? n * spec->n_vocabulary : n, 8},
                  {&r->log_normalizer, n, 8},
                  {&r->entropy, n, 8},
                  {&r->loss, targets ? n : 0, 8},
                  {&r->target_rank, targets ? n : 0, 4},
                  {&r->top_token, n * n_top, 4},
                  {&r->top_logprob, n * n_top, 8},
                  {&r->class_logmass, masses ? n * spec->n_classes : 0, 8},
                  {&r->loss_temperature, n * spec->n_temperatures, 8},
                  {&r->loss_tilt, n * spec->n_tilts, 8},
                  {&r->loss_dense, n * spec->n_dense, 8},
                  {&r->loss_sparse, n * spec->n_sparse, 8}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        void *made = wanted[i].count == 0 ? NULL : sc_memory_alloc(wanted[i].count, wanted[i].size, error);
        if (wanted[i].count > 0 && made == NULL) {
            return SEMCAL_E_MEMORY;
        }
        memcpy(wanted[i].array, &made, sizeof made);
    }
    return SEMCAL_OK;
}

static void free_slot(slot *at)
{
    void *all[] = {at->rows,
                   at->target,
                   at->class_of,
                   at->wide,
                   at->result.log_normalizer,
                   at->result.entropy,
                   at->result.loss,
                   at->result.target_rank,
                   at->result.top_token,
                   at->result.top_logprob,
                   at->result.class_logmass,
                   at->result.loss_temperature,
                   at->result.loss_tilt,
                   at->result.loss_dense,
                   at->result.loss_sparse};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        free(all[i]);
    }
}

static semcal_status make_head(stream *s, semcal_error *error)
{
    sc_device *device = s->options->device;
    sc_dtype type = sc_table_get_shape(s->in->head)->type;
    bool bf16 = type == SC_DTYPE_BF16 || type == SC_DTYPE_U16;
    semcal_status status = sc_gemm_open(&s->gemm, device, SC_GEMM_OWN, error);
    if (status == SEMCAL_OK) {
        status = sc_matrix_pack(&s->head, s->gemm, s->in->n_vocabulary, s->in->width, bf16, false, head_row, NULL,
                                "head", s, error);
    }
    return status == SEMCAL_OK ? sc_buffer_create(&s->hidden, device, 4 * (uint64_t)s->rows_at_once * s->in->width,
                                                  SC_BUFFER_DEVICE, "hidden states", error)
                               : status;
}

static semcal_status make_ready(stream *s, semcal_error *error)
{
    sc_device *device = s->options->device;
    const sc_perturb_spec *spec = &s->in->spec;
    size_t n = spec->n_temperatures + spec->n_tilts + spec->n_dense + spec->n_sparse;
    size_t element = s->in->head != NULL || s->in->type == SC_ROWS_F32 ? 4 : 2;
    s->n_top = sc_perturb_inputs_has_targets(s->in) && s->options->n_top == 0 ? 1 : s->options->n_top;
    s->rows_at_once = choose_rows(s);
    s->row_bytes = s->in->width * element;
    semcal_status status = sc_rows_create(&s->rows, device, NULL, error);
    if (status == SEMCAL_OK) {
        status = sc_perturb_create(&s->perturb, s->rows, spec, error);
    }
    if (status == SEMCAL_OK && s->in->live == NULL) {
        status = sc_buffer_create(&s->logits, device, element * s->rows_at_once * s->in->n_vocabulary, SC_BUFFER_DEVICE,
                                  "logits", error);
    }
    if (status == SEMCAL_OK && s->in->head != NULL) {
        status = make_head(s, error);
    }
    for (size_t i = 0; status == SEMCAL_OK && i < N_SLOTS; i++) {
        status = make_slot(s, &s->slots[i], error);
    }
    if (status == SEMCAL_OK) {
        s->sums = sc_memory_alloc(4 * n, sizeof *s->sums, error);
        status = s->sums == NULL ? SEMCAL_E_MEMORY : sc_perturb_pairs_new(&s->pairs, error);
    }
    if (status == SEMCAL_OK && s->options->output != NULL) {
        status = sc_perturb_output_create(&s->output, s->in, s->options, error);
    }
    return status;
}

/* ---- the summary ---- */

static sc_perturb_mean mean_of(const sc_sum *sums, size_t n)
{
    double mean = sc_sum_value(&sums[0]) / (double)n, square = sc_sum_value(&sums[1]) / (double)n;
    double variance = square - mean * mean;
    return (sc_perturb_mean){mean, n > 1 ? sqrt((variance > 0 ? variance : 0) / ((double)n - 1)) : (double)NAN};
}

static semcal_status summarize(stream *s, semcal_error *error)
{
    sc_perturb_summary *out = s->summary;
    const sc_perturb_spec *spec = &s->in->spec;
    const size_t n[SC_PERTURB_FAMILIES] = {spec->n_temperatures, spec->n_tilts, spec->n_dense, spec->n_sparse};
    const sc_sum *sums = s->sums;
    out->n_rows = s->in->n_rows;
    out->n_vocabulary = s->in->n_vocabulary;
    out->has_targets = sc_perturb_inputs_has_targets(s->in);
    out->entropy = mean_of(s->entropy, out->n_rows);
    out->loss = mean_of(s->loss, out->n_rows);
    double best = -(double)INFINITY;
    for (size_t f = 0; f < SC_PERTURB_FAMILIES; f++) {
        out->n[f] = n[f];
        out->n_total += n[f];
        out->loss_of[f] = sc_memory_alloc(n[f], sizeof *out->loss_of[f], error);
        out->gap_of[f] = sc_memory_alloc(n[f], sizeof *out->gap_of[f], error);
        if (out->loss_of[f] == NULL || out->gap_of[f] == NULL) {
            return SEMCAL_E_MEMORY;
        }
        for (size_t p = 0; p < n[f]; p++, sums += 4) {
            out->loss_of[f][p] = mean_of(sums, out->n_rows);
            out->gap_of[f][p] = mean_of(sums + 2, out->n_rows);
            if (out->gap_of[f][p].mean > best) {
                best = out->gap_of[f][p].mean;
                out->best_family = (sc_perturb_family)f;
                out->best = p;
            }
        }
    }
    return out->has_targets ? sc_perturb_pairs_describe(&out->top1, s->pairs, error) : SEMCAL_OK;
}

void sc_perturb_summary_free(sc_perturb_summary *summary)
{
    for (size_t f = 0; f < SC_PERTURB_FAMILIES; f++) {
        free(summary->loss_of[f]);
        free(summary->gap_of[f]);
    }
    memset(summary, 0, sizeof *summary);
}

/* ---- all of it ---- */

static semcal_status run_threads(stream *s, semcal_error *error)
{
    pthread_t reader, writer;
    const bool live = s->in->live != NULL;
    if (!live && pthread_create(&reader, NULL, read_all, s) != 0) {
        return sc_error_set(error, SEMCAL_E_MEMORY, "cannot start a thread");
    }
    if (pthread_create(&writer, NULL, write_all, s) != 0) {
        (void)sc_error_set(error, SEMCAL_E_MEMORY, "cannot start a thread");
        give_up(s, SEMCAL_E_MEMORY, error);
        if (!live) {
            (void)pthread_join(reader, NULL);
        }
        return SEMCAL_E_MEMORY;
    }
    semcal_error mine = SEMCAL_ERROR_INIT;
    semcal_status status = live ? compute_live(s, &mine) : compute_all(s, &mine);
    if (status != SEMCAL_OK) {
        give_up(s, status, &mine);
    }
    if (!live) {
        (void)pthread_join(reader, NULL);
    }
    (void)pthread_join(writer, NULL);
    if (s->status != SEMCAL_OK && error != NULL) {
        *error = s->error;
    }
    return s->status;
}

semcal_status sc_perturb_stream(sc_perturb_summary *summary, sc_perturb_inputs *inputs,
                                const sc_perturb_options *options, semcal_error *error)
{
    memset(summary, 0, sizeof *summary);
    if (inputs->n_rows == 0) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: has no rows", sc_perturb_inputs_label(inputs));
    }
    double start = sc_clock_now_s();
    stream s = {.in = inputs, .options = options, .summary = summary, .error = SEMCAL_ERROR_INIT};
    (void)pthread_mutex_init(&s.lock, NULL);
    (void)pthread_mutex_init(&s.table_lock, NULL);
    (void)pthread_cond_init(&s.changed, NULL);
    semcal_status status = make_ready(&s, error);
    if (status == SEMCAL_OK) {
        status = run_threads(&s, error);
    }
    if (status == SEMCAL_OK) {
        status = summarize(&s, error);
    }
    summary->wall_s = sc_clock_now_s() - start;
    if (status == SEMCAL_OK && s.output != NULL) {
        status = sc_perturb_output_finish(s.output, summary, sc_perturb_kernels_sha256(s.perturb),
                                          sc_rows_build_options(s.rows), summary->wall_s, error);
    }
    sc_perturb_output_free(s.output);
    (void)sc_device_finish(options->device, NULL);
    sc_perturb_free(s.perturb);
    sc_rows_free(s.rows);
    sc_matrix_free(s.head);
    sc_gemm_close(s.gemm);
    sc_buffer_free(s.hidden);
    sc_buffer_free(s.logits);
    for (size_t i = 0; i < N_SLOTS; i++) {
        free_slot(&s.slots[i]);
    }
    free(s.sums);
    sc_perturb_pairs_free(s.pairs);
    (void)pthread_cond_destroy(&s.changed);
    (void)pthread_mutex_destroy(&s.lock);
    (void)pthread_mutex_destroy(&s.table_lock);
    return status;
}

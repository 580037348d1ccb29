/* SPDX-License-Identifier: Apache-2.0 */
#include "source/model_text.h"

#include "base/memory.h"
#include "device/perturb.h"
#include "source/model_nodes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The forward being gathered, and where its laws go. */
struct sc_model_text {
    sc_source_model *source;
    sc_text_spec spec;
    sc_perturb *perturb;
    const sc_text_request *request;
    sc_text_result *result;
    int32_t *token, *position, *table, *output; /* [max rows] */
    int32_t *target;                            /* [max rows] the token after each output row */
    int32_t *pages;                             /* of all sequences that have rows here, list after list */
    size_t n_rows, n_outputs, n_pages, pages_capacity;
    size_t done;      /* scored tokens that have their numbers */
    size_t open_from; /* pages[open_from..] belong to the sequence at work, those before to finished ones */
};
typedef sc_model_text text_build;

size_t sc_model_text_rows(const sc_model_text *reader)
{
    const size_t rows = sc_model_max_rows(reader->source->model), outputs = sc_model_max_outputs(reader->source->model);
    return rows < outputs ? rows : outputs;
}

static semcal_status check(const sc_source_model *s, const sc_text_request *request, semcal_error *error)
{
    const sc_model_config *shape = sc_model_shape(s->model);
    for (size_t q = 0; q < request->n_sequences; q++) {
        const size_t length = request->first[q + 1] - request->first[q];
        if (length > shape->n_context) {
            return sc_error_set(error, SEMCAL_E_DATA,
                                "sequence %zu: %zu tokens are longer than the model's context of %zu", q, length,
                                shape->n_context);
        }
        if (request->skip[q] == 0) {
            return sc_error_set(error, SEMCAL_E_DATA, "sequence %zu: its first token has no law before it", q);
        }
        for (size_t i = request->first[q]; i < request->first[q + 1]; i++) {
            if (request->tokens[i] < 0 || (size_t)request->tokens[i] >= shape->n_vocabulary) {
                return sc_error_set(error, SEMCAL_E_DATA, "sequence %zu: token %d is outside the vocabulary of %zu", q,
                                    (int)request->tokens[i], shape->n_vocabulary);
            }
        }
    }
    return SEMCAL_OK;
}

/* Class masses at a temperature other than 1, on the host: the device's kernel knows the raw law. */
static semcal_status tempered_masses(double *logmass, const text_build *b, size_t n, size_t V, semcal_error *error)
{
    const size_t K = b->spec.n_classes;
    float *logits = sc_memory_alloc(V, sizeof *logits, error);
    semcal_status status = logits == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        double *mass = logmass + i * K, total = 0;
        float most = -INFINITY;
        status = sc_buffer_read(sc_model_logits(b->source->model), i * V * sizeof *logits, logits, V * sizeof *logits,
                                error);
        for (size_t v = 0; v < V; v++) {
            most = logits[v] > most ? logits[v] : most;
        }
        memset(mass, 0, K * sizeof *mass);
        for (size_t v = 0; v < V && status == SEMCAL_OK; v++) {
            const double weight = exp(((double)logits[v] - (double)most) / b->spec.temperature);
            mass[b->spec.class_of[v]] += weight;
            total += weight;
        }
        for (size_t k = 0; k < K && status == SEMCAL_OK; k++) {
            mass[k] = log(mass[k] / total);
        }
    }
    free(logits);
    return status;
}

/* The numbers of the output rows, off the logits where they lie: one reading at temperature 1; elsewhere one more for
 * the tempered law itself. */
static semcal_status read_laws(text_build *b, semcal_error *error)
{
    sc_source_model *s = b->source;
    const size_t V = sc_model_shape(s->model)->n_vocabulary, n = b->n_outputs, at = b->done;
    const bool raw = b->spec.temperature == 1.0;
    const sc_rows_input input = {sc_model_logits(s->model), SC_ROWS_F32, n, V, V, 0};
    if (b->spec.take != NULL) {
        return b->spec.take(&input, b->target, b->spec.payload, error);
    }
    const sc_perturb_batch batch = {
        .input = input, .target = b->target, .n_top = raw ? 1 : 0, .first_row = SC_ROWS_UNNAMED};
    sc_perturb_result losses = {.loss_temperature = b->result->loss_temperature + at * b->spec.n_temperatures};
    double *const logmass = b->result->class_logmass + at * b->spec.n_classes;
    if (raw) {
        losses.loss = b->result->loss + at;
        losses.entropy = b->result->entropy + at;
        losses.top_token = b->result->top_token + at;
        losses.top_logprob = b->result->top_logprob + at;
        losses.class_logmass = b->spec.n_classes > 0 ? logmass : NULL;
    }
    semcal_status status = sc_perturb_evaluate(b->perturb, &batch, &losses, error);
    if (status == SEMCAL_E_NUMERIC) {
        s->base.failed = at + losses.bad_row;
        sc_error_where(error, "law before a scored token");
    }
    if (status != SEMCAL_OK || raw) {
        return status;
    }
    const sc_rows_request law = {.temperature = b->spec.temperature, .target = b->target, .n_top = 1};
    sc_rows_result out = {.entropy = b->result->entropy + at,
                          .target_logprob = b->result->loss + at,
                          .top_token = b->result->top_token + at,
                          .top_logprob = b->result->top_logprob + at,
                          .first_row = SC_ROWS_UNNAMED};
    status = sc_rows_evaluate(s->rows, &input, &law, &out, error);
    if (status == SEMCAL_E_NUMERIC) {
        s->base.failed = at + out.bad_row;
        sc_error_where(error, "law before a scored token");
    }
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        b->result->loss[at + i] = -b->result->loss[at + i];
    }
    if (status == SEMCAL_OK && b->spec.n_classes > 0) {
        status = tempered_masses(logmass, b, n, V, error);
    }
    return status;
}

static void drop(text_build *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sc_pages_drop(b->source->pages, b->pages[i]);
    }
    memmove(b->pages, b->pages + n, (b->n_pages - n) * sizeof *b->pages);
    b->n_pages -= n;
    b->open_from -= n;
}

/* Runs what is gathered; pages of finished sequences go back, those of the one at work stay. */
static semcal_status run(text_build *b, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    if (b->n_rows > 0) {
        const sc_forward forward = {b->n_rows,  b->token,  b->position,  b->table, b->pages,
                                    b->n_pages, b->output, b->n_outputs, NULL,     0};
        status = sc_model_forward(b->source->model, &forward, error);
        if (status == SEMCAL_OK && b->n_outputs > 0) {
            status = read_laws(b, error);
        }
        b->source->base.facts.n_forward_tokens += b->n_rows;
        b->done += b->n_outputs;
        b->n_rows = b->n_outputs = 0;
    }
    drop(b, b->open_from);
    return status;
}

/* Pages for `length` positions at the end of the list; what is finished makes room first when there is none. */
static semcal_status take_pages(text_build *b, size_t length, semcal_error *error)
{
    const size_t n = (length + SC_PAGE - 1) / SC_PAGE;
    semcal_status status = SEMCAL_OK;
    b->open_from = b->n_pages;
    if (sc_pages_available(b->source->pages) < n) {
        status = run(b, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_memory_grow(&b->pages, &b->pages_capacity, b->n_pages + n, sizeof *b->pages, error);
    }
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        int32_t page;
        status = sc_pages_take(b->source->pages, &page, error);
        if (status == SEMCAL_OK) {
            sc_pages_set_claimed(b->source->pages, page, SC_PAGE);
            b->source->written_in[page] = 0;
            b->pages[b->n_pages++] = page;
        }
    }
    return status;
}

/* Rows for every token of sequence q but its last, whose law nobody asks for. */
static semcal_status add_sequence(text_build *b, size_t q, semcal_error *error)
{
    const sc_text_request *request = b->request;
    const int32_t *tokens = request->tokens + request->first[q];
    const size_t length = request->first[q + 1] - request->first[q];
    const size_t most = sc_model_max_rows(b->source->model), outputs = sc_model_max_outputs(b->source->model);
    if (length <= request->skip[q]) {
        return SEMCAL_OK;
    }
    semcal_status status = take_pages(b, length - 1, error);
    for (size_t t = 0; t + 1 < length && status == SEMCAL_OK; t++) {
        const bool scored = t + 1 >= request->skip[q];
        if (b->n_rows == most || (scored && b->n_outputs == outputs)) {
            status = run(b, error);
        }
        b->token[b->n_rows] = tokens[t];
        b->position[b->n_rows] = (int32_t)t;
        b->table[b->n_rows] = (int32_t)b->open_from;
        if (scored) {
            b->target[b->n_outputs] = tokens[t + 1];
            b->output[b->n_outputs++] = (int32_t)b->n_rows;
        }
        b->n_rows++;
    }
    b->open_from = b->n_pages;
    return status;
}

semcal_status sc_model_text_open(sc_model_text **reader, sc_source *source, const sc_text_spec *spec,
                                 semcal_error *error)
{
    sc_source_model *s = (sc_source_model *)source;
    const size_t rows = sc_model_max_rows(s->model);
    *reader = NULL;
    sc_model_text *b = sc_memory_alloc(1, sizeof *b, error);
    if (b == NULL) {
        return SEMCAL_E_MEMORY;
    }
    b->source = s;
    b->spec = *spec;
    b->token = sc_memory_alloc(rows, sizeof(int32_t), error);
    b->position = sc_memory_alloc(rows, sizeof(int32_t), error);
    b->table = sc_memory_alloc(rows, sizeof(int32_t), error);
    b->output = sc_memory_alloc(rows, sizeof(int32_t), error);
    b->target = sc_memory_alloc(rows, sizeof(int32_t), error);
    semcal_status status = b->token && b->position && b->table && b->output && b->target ? SEMCAL_OK : SEMCAL_E_MEMORY;
    if (status == SEMCAL_OK && spec->take == NULL) {
        const bool raw = spec->temperature == 1.0;
        sc_perturb_spec perturb = SC_PERTURB_SPEC_INIT;
        perturb.n_vocabulary = sc_model_shape(s->model)->n_vocabulary;
        perturb.n_temperatures = spec->n_temperatures;
        perturb.temperature = spec->temperatures;
        perturb.n_classes = raw ? spec->n_classes : 0;
        perturb.class_of = raw ? spec->class_of : NULL;
        status = sc_perturb_create(&b->perturb, s->rows, &perturb, error);
    }
    if (status != SEMCAL_OK) {
        sc_model_text_close(b);
        return status;
    }
    *reader = b;
    return SEMCAL_OK;
}

void sc_model_text_close(sc_model_text *reader)
{
    if (reader == NULL) {
        return;
    }
    sc_perturb_free(reader->perturb);
    free(reader->token);
    free(reader->position);
    free(reader->table);
    free(reader->output);
    free(reader->target);
    free(reader->pages);
    free(reader);
}

semcal_status sc_model_text_evaluate(sc_model_text *reader, sc_text_result *result, const sc_text_request *request,
                                     semcal_error *error)
{
    text_build *b = reader;
    semcal_status status = check(b->source, request, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    b->request = request;
    b->result = result;
    b->n_rows = b->n_outputs = b->n_pages = b->done = b->open_from = 0;
    for (size_t q = 0; q < request->n_sequences && status == SEMCAL_OK; q++) {
        status = add_sequence(b, q, error);
    }
    if (status == SEMCAL_OK) {
        status = run(b, error);
    }
    b->open_from = b->n_pages;
    drop(b, b->n_pages);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "source/model_text.h"

#include "base/memory.h"
#include "device/perturb.h"
#include "source/model_nodes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The forward being gathered, and where its laws go. */
typedef struct text_build {
    sc_source_model *source;
    const sc_text_request *request;
    sc_text_result *result;
    int32_t *token, *position, *table, *output; /* [max rows] */
    int32_t *target;                            /* [max outputs] the token after each output row */
    int32_t *pages;                             /* of all sequences that have rows here, list after list */
    size_t n_rows, n_outputs, n_pages, pages_capacity;
    size_t done;      /* scored tokens that have their numbers */
    size_t open_from; /* pages[open_from..] belong to the sequence at work, those before to finished ones */
} text_build;

size_t sc_model_text_rows(const sc_source *source)
{
    const sc_source_model *s = (const sc_source_model *)source;
    const size_t rows = sc_model_max_rows(s->model), outputs = sc_model_max_outputs(s->model);
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
    const size_t K = b->request->n_classes;
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
            const double weight = exp(((double)logits[v] - (double)most) / b->request->temperature);
            mass[b->request->class_of[v]] += weight;
            total += weight;
        }
        for (size_t k = 0; k < K && status == SEMCAL_OK; k++) {
            mass[k] = log(mass[k] / total);
        }
    }
    free(logits);
    return status;
}

/* The numbers of the output rows, off the logits where they lie. */
static semcal_status read_laws(text_build *b, semcal_error *error)
{
    const sc_text_request *request = b->request;
    sc_source_model *s = b->source;
    const size_t V = sc_model_shape(s->model)->n_vocabulary, n = b->n_outputs, at = b->done;
    const sc_rows_input input = {sc_model_logits(s->model), SC_ROWS_F32, n, V, V, 0};
    const sc_rows_request law = {.temperature = request->temperature, .target = b->target, .n_top = 1};
    sc_rows_result out = {.entropy = b->result->entropy + at,
                          .target_logprob = b->result->loss + at,
                          .top_token = b->result->top_token + at,
                          .top_logprob = b->result->top_logprob + at};
    semcal_status status = sc_rows_evaluate(s->rows, &input, &law, &out, error);
    if (status == SEMCAL_E_NUMERIC) {
        return sc_error_where(error, "law before scored token %zu of this call", at + out.bad_row);
    }
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        b->result->loss[at + i] = -b->result->loss[at + i];
    }
    const bool raw = request->temperature == 1.0;
    sc_perturb_request perturb = SC_PERTURB_REQUEST_INIT;
    perturb.target = b->target;
    perturb.n_temperatures = request->n_temperatures;
    perturb.temperature = request->temperatures;
    perturb.n_classes = raw ? request->n_classes : 0;
    perturb.class_of = request->class_of;
    sc_perturb_result losses = {.loss_temperature = b->result->loss_temperature + at * request->n_temperatures,
                                .class_logmass = b->result->class_logmass + at * request->n_classes};
    if (status == SEMCAL_OK) {
        status = sc_perturb_evaluate(s->rows, &input, &perturb, &losses, error);
    }
    if (status == SEMCAL_OK && !raw && request->n_classes > 0) {
        status = tempered_masses(losses.class_logmass, b, n, V, error);
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
        const sc_forward forward = {b->n_rows, b->token,   b->position, b->table,
                                    b->pages,  b->n_pages, b->output,   b->n_outputs};
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

semcal_status sc_model_text_evaluate(sc_text_result *result, sc_source *source, const sc_text_request *request,
                                     semcal_error *error)
{
    sc_source_model *s = (sc_source_model *)source;
    semcal_status status = check(s, request, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    const size_t rows = sc_model_max_rows(s->model);
    text_build b = {.source = s, .request = request, .result = result};
    b.token = sc_memory_alloc(rows, sizeof(int32_t), error);
    b.position = sc_memory_alloc(rows, sizeof(int32_t), error);
    b.table = sc_memory_alloc(rows, sizeof(int32_t), error);
    b.output = sc_memory_alloc(rows, sizeof(int32_t), error);
    b.target = sc_memory_alloc(rows, sizeof(int32_t), error);
    if (b.token == NULL || b.position == NULL || b.table == NULL || b.output == NULL || b.target == NULL) {
        status = SEMCAL_E_MEMORY;
    }
    for (size_t q = 0; q < request->n_sequences && status == SEMCAL_OK; q++) {
        status = add_sequence(&b, q, error);
    }
    if (status == SEMCAL_OK) {
        status = run(&b, error);
    }
    b.open_from = b.n_pages;
    drop(&b, b.n_pages);
    free(b.token);
    free(b.position);
    free(b.table);
    free(b.output);
    free(b.target);
    free(b.pages);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/run_exact.h"

#include "base/memory.h"
#include "base/random.h"
#include "sampling/enumerate.h"
#include "sampling/graft.h"
#include "sampling/tail.h"

#include <string.h>

/* Tokens followed at each prefix; the rest counts as unexplored. */
enum { FOLLOWED = 64 };

bool sc_run_exact_wanted(const sc_cell *cell)
{
    return cell->estimator == SC_CONFIG_EXACT || cell->estimator == SC_CONFIG_HYBRID;
}

static semcal_status allocate(sc_store_record *record, size_t n, semcal_error *error)
{
    record->found_leaf = sc_memory_alloc(n, sizeof *record->found_leaf, error);
    record->found_logprob = sc_memory_alloc(n, sizeof *record->found_logprob, error);
    record->found_logprob_raw = sc_memory_alloc(n, sizeof *record->found_logprob_raw, error);
    record->found_finish = sc_memory_alloc(n, sizeof *record->found_finish, error);
    record->found_tail = sc_memory_alloc(n, sizeof *record->found_tail, error);
    record->found_text = sc_memory_alloc(n, sizeof *record->found_text, error);
    bool complete = record->found_leaf && record->found_logprob && record->found_logprob_raw && record->found_finish &&
                    record->found_tail && record->found_text;
    record->n_found = complete ? n : 0;
    return complete ? SEMCAL_OK : SEMCAL_E_MEMORY;
}

static semcal_status set_found(sc_store_record *record, size_t i, double logprob, double logprob_raw, uint8_t finish,
                               bool tail, const char *text, size_t length, semcal_error *error)
{
    record->found_logprob[i] = logprob;
    record->found_logprob_raw[i] = logprob_raw;
    record->found_finish[i] = finish;
    record->found_tail[i] = tail;
    record->found_text[i] = sc_store_text(text, length, error);
    return record->found_text[i] == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
}

static semcal_status fill(sc_store_record *record, const sc_enumeration *e, const sc_tail *tail, semcal_error *error)
{
    semcal_status status = allocate(record, e->n_responses + tail->n_draws, error);
    for (size_t i = 0; i < e->n_responses && status == SEMCAL_OK; i++) {
        const sc_enumerated *r = &e->responses[i];
        status = set_found(record, i, r->logprob, r->logprob_raw, r->finish, false, r->text, r->text_length, error);
    }
    for (size_t i = 0; i < tail->n_draws && status == SEMCAL_OK; i++) {
        const sc_tail_draw *d = &tail->draws[i];
        status = set_found(record, e->n_responses + i, d->logprob, d->logprob_raw, d->finish, true, d->text,
                           d->text_length, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_graft_enumeration(&record->tree, record->found_leaf, e, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_graft_tail(&record->tree, record->found_leaf + e->n_responses, e, tail, error);
    }
    record->unexplored_mass = e->unexplored;
    record->n_forward_tokens += e->n_laws + tail->n_laws;
    return status;
}

semcal_status sc_run_exact_add(sc_store_record *record, const sc_run_cell *run, const sc_question *q,
                               semcal_error *error)
{
    const sc_cell *cell = run->cell;
    const sc_config_sampling *sampling = &run->config->sampling;
    const size_t top_k = record->tree.n_top;
    sc_enumerate_options options = SC_ENUMERATE_OPTIONS_INIT;
    options.ending = (sc_ending){.max_tokens = (uint32_t)cell->max_tokens,
                                 .stops = (const char *const *)cell->style->stop.at,
                                 .n_stops = cell->style->stop.n};
    options.temperature = cell->temperature;
    options.epsilon = sampling->epsilon;
    options.max_laws = sampling->max_forward_tokens == SC_CONFIG_UNSET ? 0 : (uint64_t)sampling->max_forward_tokens;
    options.n_top = top_k > FOLLOWED ? top_k : FOLLOWED;
    options.keep_top = top_k;
    options.spill = record->tree.spill;
    sc_enumeration enumeration;
    sc_tail tail = {0};
    semcal_status status = sc_enumerate(&enumeration, run->source, &options, q->tokens, q->n_tokens, 0, error);
    if (status == SEMCAL_OK && cell->estimator == SC_CONFIG_HYBRID) {
        const sc_tail_options behind = {.key = sc_random_key((uint64_t)run->config->seed, "tail", cell->rng_name),
                                        .item = q->item,
                                        .n_draws = (uint32_t)sampling->tail_draws,
                                        .keep_top = top_k};
        status = sc_tail_sample(&tail, run->source, &enumeration, &options, &behind, q->tokens, q->n_tokens, error);
    }
    if (status == SEMCAL_OK) {
        status = fill(record, &enumeration, &tail, error);
        sc_tail_free(&tail);
    }
    sc_enumeration_free(&enumeration);
    if (status != SEMCAL_OK) {
        sc_error_where(error, "question '%s'", q->row->id);
    }
    return status;
}

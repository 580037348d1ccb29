/* SPDX-License-Identifier: Apache-2.0 */
/* What generate.c (calls to the source) and generate_questions.c (questions coming and going) share. */
#ifndef SC_SAMPLING_GENERATE_INTERNAL_H
#define SC_SAMPLING_GENERATE_INTERNAL_H

#include "sampling/generate.h"

/* One question in progress. */
typedef struct sc_generate_active {
    sc_generate_question question;
    sc_tree_raw raw;
    int32_t *order;  /* draws, grouped so that each entry owns a segment */
    int32_t *leaf;   /* [M] last raw node */
    uint8_t *finish; /* [M] */
    size_t n_open;   /* entries of this question in the frontier */
    size_t n_laws;
    double logprob_reference;
} sc_generate_active;

/* A prefix whose next-token law is wanted. */
typedef struct sc_generate_entry {
    sc_generate_active *question;
    int32_t raw;       /* its node */
    sc_node node;      /* handle, or -1 while it exists as a path only */
    uint32_t depth;    /* tokens after the prompt */
    size_t begin, end; /* its draws: order[begin..end) */
    bool on_reference; /* the reference begins with this prefix and goes on */
    sc_ending_tail tail;
} sc_generate_entry;

/* A draw and what it took. */
typedef struct sc_generate_taken {
    int32_t draw, token;
    double logprob, logprob_raw;
} sc_generate_taken;

typedef struct sc_generator {
    sc_source *source;
    const sc_generate_options *options;
    const sc_generate_callbacks *callbacks;
    void *payload;
    sc_generate_entry *frontier;
    size_t n_frontier, frontier_capacity;
    sc_generate_active **actives; /* questions in progress */
    size_t n_actives, actives_capacity;
    size_t batch_nodes, live_nodes, n_live;
    bool no_more;
    sc_generate_counters counters;
    /* the call being made: N entries taken off the frontier, their request and its result */
    sc_generate_entry *batch;
    size_t n_batch, batch_capacity;
    sc_node *nodes;
    size_t *first_draw;
    int32_t *target;
    uint64_t *uniform;
    size_t uniform_capacity, token_capacity, logprob_capacity, raw_capacity;
    sc_law_result result;
    /* children made by the batch */
    sc_generate_entry *children;
    size_t n_children, children_capacity;
    sc_node *parents_of, *made;
    int32_t *tokens_of;
    size_t parents_capacity, made_capacity, tokens_capacity;
    sc_generate_taken *taken;
    size_t taken_capacity;
} sc_generator;

/* Takes questions in until a batch is full, or there are no more. */
semcal_status sc_generate_admit_more(sc_generator *generator, semcal_error *error);
/* Puts a prefix on the frontier. */
semcal_status sc_generate_push(sc_generator *generator, const sc_generate_entry *fresh, semcal_error *error);
/* Hands over the tree of a question that has nothing left on the frontier. */
semcal_status sc_generate_finish(sc_generator *generator, sc_generate_active *question, semcal_error *error);
void sc_generate_active_free(sc_generate_active *question);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * M draws for each of many questions, one forward pass per distinct prefix.
 *
 * Draw j of a question at step t owns one 64-bit uniform integer, sc_random_uniform(key, item, j, t), and takes the
 * token by inverse CDF of the law of its own prefix. Draws with the same prefix so far share one node and one law;
 * they part where their uniforms pick different tokens. The draws are therefore, token for token, those of M
 * independent chains with the same uniforms (option `chain` is that plain way), whatever the batch, the order of
 * questions, or the memory limit.
 *
 * Live nodes of many questions share each call to the source. When memory for live nodes runs out, nodes are kept as
 * token paths and opened again later; bit-invariant laws make that invisible in the result.
 */
#ifndef SC_SAMPLING_GENERATE_H
#define SC_SAMPLING_GENERATE_H

#include "sampling/ending.h"
#include "sampling/tree.h"
#include "source/source.h"

typedef struct sc_generate_question {
    uint64_t item;         /* 64-bit hash of the question id */
    const int32_t *prompt; /* borrowed until the question is finished */
    size_t n_prompt;
    size_t n_given; /* so many of the prompt's last tokens are the response's first: they count towards max_tokens and
                       stop strings and stand in its text; log-probabilities and n_tokens are of what follows */
    const int32_t *reference; /* tokens to score teacher-forced; borrowed, may be NULL */
    size_t n_reference;
    const char *name; /* for messages, its id; borrowed, may be NULL */
    void *tag;        /* the caller's */
} sc_generate_question;

typedef struct sc_generate_options {
    uint64_t key;       /* sc_random_key(seed, "draw", cell) */
    uint32_t n_draws;   /* M >= 1 */
    sc_ending ending;   /* max_tokens and stop strings */
    double temperature; /* > 0 */
    size_t n_top;       /* top-k kept per node */
    bool chain;         /* one independent chain per draw */
    size_t batch_nodes; /* laws per call to the source; 0: what the source likes */
    size_t live_nodes;  /* nodes alive at once; 0: what the source can hold */
    size_t max_prompt;  /* longest prompt to come, for the source's memory estimate; 0: unknown */
    sc_spill *spill;    /* laws are kept there as a whole, and named by the trees; borrowed, NULL: they are not kept */
} sc_generate_options;

#define SC_GENERATE_OPTIONS_INIT                                                                                       \
    {                                                                                                                  \
        .n_draws = 50, .ending = {.max_tokens = 16}, .temperature = 1.0                                                \
    }

typedef struct sc_generate_counters {
    uint64_t n_questions, n_draws, n_draw_tokens, n_laws, n_calls, n_reopened;
} sc_generate_counters;

typedef struct sc_generate_callbacks {
    /* Gives the next question, or sets *more to false. */
    semcal_status (*next)(sc_generate_question *question, bool *more, void *payload, semcal_error *error);
    /* Takes a finished question's tree (and its ownership). Questions finish in any order. */
    semcal_status (*finished)(const sc_generate_question *question, sc_tree *tree, void *payload, semcal_error *error);
    /* Called after every call to the source; returning true stops with SEMCAL_INTERRUPTED. May be NULL. */
    bool (*progress)(const sc_generate_counters *counters, void *payload);
} sc_generate_callbacks;

/* Runs until `next` has no more. On error or interruption unfinished questions are dropped. */
semcal_status sc_generate(sc_source *source, const sc_generate_options *options, const sc_generate_callbacks *callbacks,
                          void *payload, semcal_error *error);

#endif

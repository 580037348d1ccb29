/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Greedy continuations of many prompts: at every step the most probable token, ties by lowest index, until the ending
 * says so. Nothing is drawn.
 *
 * Prompts share each call to the source, and the source shares what their beginnings have in common. A continuation is
 * a function of its prompt alone, whatever the batch, the order, or the memory limit: laws are bit-invariant.
 */
#ifndef SC_SAMPLING_GREEDY_H
#define SC_SAMPLING_GREEDY_H

#include "sampling/ending.h"

typedef struct sc_greedy_prompt {
    int32_t *tokens;  /* [n_tokens], malloc'ed; taken over */
    size_t n_tokens;  /* at least 1 */
    const char *name; /* for messages, the question's id; borrowed, may be NULL */
    void *tag;        /* the caller's */
} sc_greedy_prompt;

typedef struct sc_greedy_reply {
    const int32_t *tokens; /* [n_tokens] that followed the prompt, the end token among them */
    size_t n_tokens;
    const char *text; /* raw bytes without the stop string or end token, NUL-terminated */
    size_t text_length;
    sc_finish finish;
} sc_greedy_reply;

typedef struct sc_greedy_options {
    sc_ending ending;
    size_t batch_prompts; /* at most so many at once; 0: what the source likes */
    size_t max_prompt;    /* longest prompt to come, for the source's memory estimate; 0: unknown */
} sc_greedy_options;

typedef struct sc_greedy_callbacks {
    /* Gives the next prompt, or sets *more to false. */
    semcal_status (*next)(sc_greedy_prompt *prompt, bool *more, void *payload, semcal_error *error);
    /* Takes the reply to the prompt with this tag; borrowed. They finish in any order. */
    semcal_status (*finished)(void *tag, const sc_greedy_reply *reply, void *payload, semcal_error *error);
    /* Called after every call to the source; returning true stops with SEMCAL_INTERRUPTED. May be NULL. */
    bool (*stopped)(void *payload);
} sc_greedy_callbacks;

/* Runs until `next` has no more. On error or interruption prompts under way are dropped. SEMCAL_E_CONFIG for an ending
 * out of range, SEMCAL_E_NUMERIC for a law that is none, naming the prompt. */
semcal_status sc_greedy(sc_source *source, const sc_greedy_options *options, const sc_greedy_callbacks *callbacks,
                        void *payload, semcal_error *error);

#endif

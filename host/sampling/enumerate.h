/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Best-first enumeration of responses: the heaviest open prefixes are expanded until the mass not yet seen is below
 * epsilon or a budget ends. Every response found carries its exact log-probability, so the masses of classes get
 * certain bounds: what was found, and what was found plus everything not found.
 *
 * What was not found is known by its places: the prefixes still open, and at each expanded prefix the rest, the tokens
 * that were not followed. sampling/tail.h draws from there.
 */
#ifndef SC_SAMPLING_ENUMERATE_H
#define SC_SAMPLING_ENUMERATE_H

#include "sampling/ending.h"

typedef struct sc_enumerate_options {
    sc_ending ending;
    double temperature; /* > 0; log-probabilities are those of the tempered law */
    double epsilon;     /* stop when the unexplored mass is at most this; in [0, 1) */
    uint64_t max_laws;  /* stop after this many laws (forward passes); 0: no budget */
    size_t n_top;       /* tokens of a law that are followed; the rest counts as unexplored */
    size_t keep_top;    /* of them, so many are kept with the laws of the expanded prefixes; at most n_top */
    size_t batch_nodes; /* prefixes per call; part of the definition of the result when the budget ends it */
    size_t live_nodes;  /* handles kept at once; 0: as the source can hold */
    sc_spill *spill;    /* laws are kept there as a whole; borrowed, NULL: they are not */
} sc_enumerate_options;

#define SC_ENUMERATE_OPTIONS_INIT                                                                                      \
    {                                                                                                                  \
        .ending = {.max_tokens = 16}, .temperature = 1.0, .epsilon = 1e-3, .n_top = 64, .batch_nodes = 32              \
    }

/* One response, its text without the stop. */
typedef struct sc_enumerated {
    double logprob;     /* nats */
    double logprob_raw; /* at temperature 1 */
    int64_t parent;     /* the prefix before its last token */
    int32_t *tokens;    /* [n_tokens] */
    size_t n_tokens;
    uint8_t finish; /* sc_finish */
    char *text;
    size_t text_length;
} sc_enumerated;

/* A prefix that was met. Prefix 0 is the prompt; parents come before children. */
typedef struct sc_enumerated_prefix {
    int64_t parent; /* -1: this is the prompt */
    int32_t token;
    uint32_t depth;              /* tokens after the prompt */
    double logprob, logprob_raw; /* of all its tokens, nats */
    int64_t law;                 /* row of its law below; -1: still open */
    double rest;                 /* expanded: probability, given the prefix, of the tokens not followed */
} sc_enumerated_prefix;

typedef struct sc_enumeration {
    sc_enumerated *responses; /* by falling probability, ties by tokens */
    size_t n_responses, capacity;
    sc_enumerated_prefix *prefixes;
    size_t n_prefixes, prefixes_capacity;
    /* laws of the expanded prefixes, in the order of expansion; L = n_laws */
    double *entropy, *log_normalizer; /* [L] */
    int32_t *top_token;               /* [L, keep_top] */
    double *top_logprob;              /* [L, keep_top] */
    size_t keep_top;
    int64_t *logits; /* [n_logits] row of the spill, held here: L of them with a spill, none without one */
    size_t n_logits;
    sc_spill *spill;   /* borrowed */
    double mass_found; /* sum of the responses' probabilities */
    double unexplored; /* certain upper bound on everything else: 1 - mass_found, at least 0 */
    uint64_t n_laws;
    bool finished; /* unexplored <= epsilon; false: the budget ended it, or n_top was too small */
} sc_enumeration;

/* Enumerates the responses to the prompt `prompt` [n_prompt], which may end in tokens of the response already given
 * (`n_given` of them: they count towards max_tokens and stop strings). Free with sc_enumeration_free. */
semcal_status sc_enumerate(sc_enumeration *out, sc_source *source, const sc_enumerate_options *options,
                           const int32_t *prompt, size_t n_prompt, size_t n_given, semcal_error *error);
void sc_enumeration_free(sc_enumeration *enumeration);

/* Many prompts: up to so many are searched side by side, as far as the source has room, their laws in common calls. */
#define SC_ENUMERATE_TOGETHER 32

typedef struct sc_enumerate_prompt {
    const int32_t *tokens; /* borrowed */
    size_t n_tokens, n_given;
} sc_enumerate_prompt;

typedef struct sc_enumerate_callbacks {
    /* Takes the enumeration of prompts[number], and its ownership. Prompts come in any order. */
    semcal_status (*take)(size_t number, sc_enumeration *enumeration, void *payload, semcal_error *error);
    bool (*stopped)(void *payload); /* asked between calls; true ends with SEMCAL_INTERRUPTED. May be NULL */
} sc_enumerate_callbacks;

/* Each result is that of sc_enumerate, bit for bit. */
semcal_status sc_enumerate_many(sc_source *source, const sc_enumerate_options *options,
                                const sc_enumerate_prompt *prompts, size_t n_prompts,
                                const sc_enumerate_callbacks *callbacks, void *payload, semcal_error *error);

/* The tokens of prefix `at`: tokens[0 .. depth-1]. */
void sc_enumeration_path(const sc_enumeration *enumeration, int32_t *tokens, int64_t at);

#endif

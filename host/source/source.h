/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The border between models and experiments: where next-token laws come from.
 *
 * A source holds the prefix trees of many questions at once. A *node* is a prefix (prompt plus tokens); its law is the
 * distribution of the next token. The sampler opens a root per question, asks for draws from the laws of a batch of
 * nodes, extends nodes by the tokens drawn, and releases what it no longer needs.
 *
 * Laws must not depend on the batch: the answers for a node are bit-identical whatever other nodes are in the call.
 */
#ifndef SC_SOURCE_SOURCE_H
#define SC_SOURCE_SOURCE_H

#include "base/error.h"
#include "base/phases.h"
#include "base/spill.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int64_t sc_node; /* handle chosen by the source; >= 0 */

/* Laws to evaluate and what to read off them. Arrays belong to the caller.
 * N = n_nodes, M = first_draw[N] draws in all; node i owns draws first_draw[i] .. first_draw[i+1]-1. */
typedef struct sc_law_request {
    size_t n_nodes;
    const sc_node *node;      /* [N] */
    const size_t *first_draw; /* [N+1] */
    const uint64_t *uniform;  /* [M] 64-bit uniform integers; token = inverse CDF of the node's law */
    const int32_t *target;    /* [N] token whose log-probability is wanted, -1 for none; may be NULL */
    double temperature;       /* > 0; the law is softmax(logits / temperature) */
    size_t n_top;             /* how many of the most probable tokens to report (0: none) */
    sc_spill *spill;          /* rows of n_vocabulary floats: the laws as a whole are kept there; NULL: they are not */
} sc_law_request;

/* What comes back; arrays belong to the caller. Natural logarithms. All refer to the tempered law unless named raw. */
typedef struct sc_law_result {
    double *log_normalizer;     /* [N] log sum exp of the raw logits (temperature 1); 0 for laws given in closed form */
    double *entropy;            /* [N] nats, of the tempered law */
    double *target_logprob;     /* [N] (NaN where no target); may be NULL */
    double *target_logprob_raw; /* [N] at temperature 1; may be NULL */
    int32_t *top_token;         /* [N, n_top] by falling probability, ties by index; -1 past the vocabulary */
    double *top_logprob;        /* [N, n_top] */
    int32_t *token;             /* [M] drawn tokens */
    double *logprob;            /* [M] */
    double *logprob_raw;        /* [M] at temperature 1 */
    int64_t *logits; /* [N] with a spill: the row that has the node's logits, as a model gives them, log-probabilities
                        of laws given in closed form; temperature 1. The caller sets -1 before, and is the holder of
                        what stands here after the call, also when it failed. NULL without a spill */
} sc_law_result;

/* Keeps the whole law of row i of a request, as sources do. */
semcal_status sc_source_keep_logits(const sc_law_request *request, sc_law_result *result, size_t i, const float *logits,
                                    sc_phases *phases, semcal_error *error);

/* What a sampler intends to keep alive: nodes of at most n_prompt + n_more positions, the prompt's being common to the
 * nodes of one question, of which there are up to n_together (0: all nodes belong to one question). */
typedef struct sc_limits_plan {
    size_t n_prompt, n_more, n_together;
} sc_limits_plan;

typedef struct sc_source sc_source;

/* Every function returns SEMCAL_OK or sets the error. Handles that a failed call would have made do not exist. */
typedef struct sc_source_functions {
    /* Makes roots for `n` prompts; prompt i is token_ids[first[i]] .. token_ids[first[i+1]-1] (at least one token).
     * Prompts with a common beginning may share its computation; that never changes a bit of any law. */
    semcal_status (*open)(sc_source *source, sc_node *roots, size_t n, const size_t *first, const int32_t *token_ids,
                          semcal_error *error);
    /* Makes children[i] = parents[i] followed by tokens[i]. A parent may appear several times. */
    semcal_status (*extend)(sc_source *source, sc_node *children, size_t n, const sc_node *parents,
                            const int32_t *tokens, semcal_error *error);
    /* Evaluates laws. Sources compute lazily: the forward passes of open and extend may happen here, in one batch. */
    semcal_status (*laws)(sc_source *source, const sc_law_request *request, sc_law_result *result, semcal_error *error);
    /* Gives nodes back. A released node's children stay valid. */
    void (*release)(sc_source *source, size_t n, const sc_node *nodes);
    /* Text to prompt tokens (with the model's own special tokens) and response tokens to text.
     * `*ids` and `*text` are malloc'ed. Text is the raw bytes; the caller makes it valid UTF-8. Encoding changes
     * nothing in the source: another thread may do it at the same time as this one does anything else but close. */
    semcal_status (*encode)(sc_source *source, int32_t **ids, size_t *n_ids, const char *text, size_t length,
                            bool special, semcal_error *error);
    semcal_status (*decode)(sc_source *source, char **text, size_t *length, const int32_t *ids, size_t n_ids,
                            semcal_error *error);
    /* The bytes `token` adds in the middle of a text ("" for special tokens), for finding stop strings as they appear.
     * Owned by the source. */
    void (*token_bytes)(sc_source *source, const char **bytes, size_t *length, int32_t token);
    /* True when the token ends a response by itself (an end-of-text token). */
    bool (*is_end)(sc_source *source, int32_t token);
    /* How many nodes can be alive at once under `plan`, and how many of them are worth evaluating per call; 0 means no
     * limit. */
    void (*limits)(sc_source *source, const sc_limits_plan *plan, size_t *live_nodes, size_t *batch_nodes);
    void (*close)(sc_source *source);
} sc_source_functions;

/* Facts about a source, for plans and provenance. Strings live as long as the source. */
typedef struct sc_source_facts {
    const char *kind;             /* "model", "toy", "recorded" */
    const char *description;      /* one line */
    int32_t n_vocabulary;         /* V */
    int32_t n_context;            /* longest prompt plus response, 0: no limit */
    bool deterministic;           /* laws are bit-invariant over batches (false only for gemm: clblast) */
    uint64_t n_forward_tokens;    /* tokens run through the model so far */
    bool out_of_memory;           /* the last call failed for lack of memory: with fewer nodes alive it may work */
    double weight_bytes;          /* of the model on the device, 0: it has none */
    const char *model_sha256;     /* of the weights, "" when there are none */
    const char *tokenizer_sha256; /* "" when there is none */
    const char *device, *driver;  /* "" on the host */
    const char *gemm; /* the definition of matrix products, own, clblast, bf16 or bf16-mma; "" without them */
    const char *kernels_sha256, *build_options;
} sc_source_facts;

/* Every implementation begins with this. */
struct sc_source {
    const sc_source_functions *functions;
    sc_source_facts facts;
    /* After a failed open, extend or laws: which prompt, child or node of the request it was, so that the caller can
     * say whose it is. The caller sets SC_SOURCE_NONE before; a failure of the call as a whole leaves it. */
    size_t failed;
    sc_phases *phases; /* of the thread that uses it, for profiles; NULL: nobody measures */
};

#define SC_SOURCE_NONE SIZE_MAX

#endif

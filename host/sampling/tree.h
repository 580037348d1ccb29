/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The prefix tree of one question: what M draws looked like, each distinct prefix once.
 *
 * Nodes are in canonical order: the root (the prompt, token -1, parent -1) is node 0, then the nodes of draw 0 from its
 * first token to its last, then those of draw 1 that are new, and so on. The order therefore depends on the draws
 * alone, never on how they were scheduled, and parents come before children.
 */
#ifndef SC_SAMPLING_TREE_H
#define SC_SAMPLING_TREE_H

#include "base/error.h"
#include "base/spill.h"

#include <stddef.h>
#include <stdint.h>

/* N = n_nodes, M = n_draws. Natural logarithms; "raw" is temperature 1. */
typedef struct sc_tree {
    size_t n_nodes, n_top, n_draws;
    /* [N] the token and its log-probability given its prefix (0 at the root) */
    int32_t *parent, *token, *count;
    double *logprob, *logprob_raw;
    /* [N] the law of the token after this prefix; NaN and -1 where no draw went on */
    double *entropy, *log_normalizer, *rest_mass;
    int32_t *top_token;  /* [N, n_top] */
    double *top_logprob; /* [N, n_top] */
    /* [N] row of the spill that has the logits of the token after this prefix, -1 where there is no law; the tree holds
     * these rows. NULL where laws are not kept as a whole */
    int64_t *logits;
    sc_spill *spill; /* borrowed */
    /* [M] */
    int32_t *leaf, *n_tokens;
    double *draw_logprob, *draw_logprob_raw;
    uint8_t *finish; /* sc_finish */
    char **text;     /* raw bytes of the response without its stop string or end token */
    size_t *text_length;
    /* teacher-forced log-probability of the reference tokens (temperature 1); NaN when there was none */
    double logprob_reference;
    uint64_t n_draw_tokens, n_laws; /* tokens of all draws; laws evaluated for them */
    uint64_t n_mismatches; /* chain mode: laws of one prefix that differed between chains, bit for bit; must be 0 */
} sc_tree;

void sc_tree_free(sc_tree *tree);

/* What the generator recorded in the order it happened. Prefix `i` has parent[i] < i; prefix 0 is the root.
 * In chain mode there is one root per chain (parent -1) and equal prefixes appear several times. */
typedef struct sc_tree_raw {
    size_t n, capacity;
    struct sc_tree_raw_node {
        int32_t parent, token;
        double logprob, logprob_raw;
        double entropy, log_normalizer;
        int64_t top;    /* row of the top-k arrays, -1: no law was evaluated */
        int64_t logits; /* row of the spill, which is held here; -1: none */
    } * nodes;
    size_t n_tops, tops_capacity, n_top;
    int32_t *top_token;
    double *top_logprob;
    sc_spill *spill; /* borrowed; NULL: laws are not kept as a whole */
} sc_tree_raw;

void sc_tree_raw_free(sc_tree_raw *raw);

/* Adds a node; *index receives its place. */
semcal_status sc_tree_raw_add(sc_tree_raw *raw, int32_t *index, int32_t parent, int32_t token, double logprob,
                              double logprob_raw, semcal_error *error);

/* Sets the law that follows node `index`; the row `logits` of the spill (-1: none) goes over to the tree, also on
 * failure. */
semcal_status sc_tree_raw_set_law(sc_tree_raw *raw, int32_t index, double entropy, double log_normalizer,
                                  const int32_t *top_token, const double *top_logprob, int64_t logits,
                                  semcal_error *error);

/* Builds the canonical tree from the raw nodes and the leaf of each draw. Texts and finish reasons are left for the
 * caller. */
semcal_status sc_tree_build(sc_tree *tree, const sc_tree_raw *raw, const int32_t *leaf, size_t n_draws,
                            semcal_error *error);

#endif

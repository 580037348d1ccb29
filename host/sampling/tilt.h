/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tilted law of responses as a sampler; the paper's theorem 9.
 *
 * Tilting the law p of whole responses by the class of the response,
 *     (p * w)(z) = p(z) e^{tau[B(z)]} / sum_k e^{tau[k]} pi(k),
 * is itself autoregressive: with the intermediate confidences g_i[k] = Pr[B(z) = k | z_<=i] and
 * G_i = sum_k e^{tau[k]} g_i[k], its next-token law is  p(z_i | z_<i) G_i / G_{i-1}.  The factors telescope, from
 * G_0 = sum_k e^{tau[k]} pi(k) to G = e^{tau[B(z)]} at the end. A tilt of one class k* by tau moves its mass c to
 * sigmoid(logit c + tau).
 *
 * Exact g needs every response, so a tilt is made from a finished enumeration: a prefix tree with the classes' masses
 * at every node. Where some mass u stays unexplored, p is the model's law given that the response was found, which
 * differs from the model's by u at most (in total variation); all of the above holds for it without error. Its g may be
 * replaced by estimates (forks, sampling/fork.h); the sampler then takes the next token in proportion to p G over the
 * possible tokens, and sc_tilt_law gives the law it really draws from.
 */
#ifndef SC_SAMPLING_TILT_H
#define SC_SAMPLING_TILT_H

#include "sampling/enumerate.h"

typedef struct sc_tilt_node {
    int32_t parent, token;             /* -1 at the prompt, node 0; parents come before children */
    int32_t first_child, next_sibling; /* -1: none */
    int32_t response;                  /* index in the enumeration where one ends here, else -1 */
    uint32_t depth;
    double logprob; /* of the token given its prefix and that a response found follows; 0 at the prompt */
} sc_tilt_node;

typedef struct sc_tilt {
    sc_tilt_node *nodes;
    size_t n_nodes, n_classes, n_responses;
    double *g;               /* [n_nodes, n_classes] each row sums to 1 */
    int32_t *response_class; /* [n_responses] */
    int32_t *response_node;  /* [n_responses] */
} sc_tilt;

/* `response_class` [n_responses] in 0 .. n_classes-1. SEMCAL_E_NUMERIC when the enumeration leaves more than
 * `most_unexplored` aside: g would not be exact. Free with sc_tilt_free. */
semcal_status sc_tilt_make(sc_tilt *tilt, const sc_enumeration *enumeration, const int32_t *response_class,
                           size_t n_classes, double most_unexplored, semcal_error *error);
void sc_tilt_free(sc_tilt *tilt);

/* tokens[0 .. depth-1] of a node. */
void sc_tilt_path(const sc_tilt *tilt, int32_t *tokens, size_t node);

/* Log-probabilities of all responses by the theorem's factors, sum_i log[p_i G_i / G_{i-1}]; logprob [n_responses],
 * tau [n_classes]. With exact g equal to the closed form below. */
void sc_tilt_reweighted(double *logprob, const sc_tilt *tilt, const double *tau);

/* The closed form: log p(z) + tau[B(z)] - log sum_k e^{tau[k]} pi(k). */
void sc_tilt_closed_form(double *logprob, const sc_tilt *tilt, const double *tau);

/* Log-probabilities of all responses under what sc_tilt_draw draws from, exact whatever g is. Also the largest
 * |log sum_t p(t) G(child) - log G(node)| over nodes: 0 up to rounding exactly when g is a martingale. */
void sc_tilt_law(double *logprob, double *worst_step, const sc_tilt *tilt, const double *tau);

/* Draws a response (its index) token by token; step i uses sc_random_uniform(key, item, draw, i). */
semcal_status sc_tilt_draw(size_t *response, const sc_tilt *tilt, const double *tau, uint64_t key, uint64_t item,
                           uint32_t draw, semcal_error *error);

#endif

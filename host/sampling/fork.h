/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What follows from a prefix of a response: the law of the rest, exactly where enumeration finishes, otherwise by R
 * fresh continuations ("forks").
 *
 * The intermediate confidence of a prefix is g = Pr[the response falls into class k | prefix]. The prefix tree of the
 * draws says nothing about it: a prefix that one draw passed has one continuation there, so its own count would say 0
 * or 1 and make every model look as if it had decided early. Forks are new draws with random numbers of their own
 * (purpose "fork", keyed by the question and the tokens of the prefix), so with h of R forks in the class h / R   and
 * R / (R - 1) * h / R * (1 - h / R) are unbiased for g and g (1 - g).
 */
#ifndef SC_SAMPLING_FORK_H
#define SC_SAMPLING_FORK_H

#include "sampling/ending.h"

typedef struct sc_fork_options {
    uint64_t key;     /* sc_random_key(seed, "fork", cell) */
    uint32_t n_forks; /* R >= 2 */
    sc_ending ending;
    double temperature;             /* > 0 */
    uint64_t max_laws;              /* budget of the enumeration tried first at each prefix; 0: never */
    double epsilon;                 /* it has finished when no more mass than this is unexplored; in [0, 1) */
    size_t n_top;                   /* see sampling/enumerate.h */
    size_t batch_nodes;             /* laws per call; 0: what the source likes */
    bool (*stopped)(void *payload); /* asked between calls; true ends with SEMCAL_INTERRUPTED. May be NULL */
    void *payload;
} sc_fork_options;

#define SC_FORK_OPTIONS_INIT                                                                                           \
    {                                                                                                                  \
        .n_forks = 32, .ending = {.max_tokens = 16}, .temperature = 1.0, .max_laws = 128, .epsilon = 1e-4, .n_top = 64 \
    }

/* A prefix: the prompt and the first n_given tokens of a response. */
typedef struct sc_fork_point {
    uint64_t item;         /* 64-bit hash of the question id */
    const int32_t *tokens; /* [n_tokens] borrowed */
    size_t n_tokens, n_given;
} sc_fork_point;

/* One distinct response that begins with the prefix, its text from the beginning. */
typedef struct sc_fork_response {
    double weight; /* exact: its probability given the prefix; else the share of the forks */
    uint8_t finish;
    char *text;
    size_t text_length;
} sc_fork_response;

typedef struct sc_fork_law {
    bool exact;
    double unexplored; /* exact: probability of what is not listed, at most epsilon; else 0 */
    sc_fork_response *responses;
    size_t n_responses;
    uint64_t n_laws;
} sc_fork_law;

/* laws[i] of points[i], i < n; the caller's array. Points with the same tokens should be given once. Free each with
 * sc_fork_law_free; on failure there is nothing to free. */
semcal_status sc_fork_many(sc_fork_law *laws, sc_source *source, const sc_fork_options *options,
                           const sc_fork_point *points, size_t n, semcal_error *error);
void sc_fork_law_free(sc_fork_law *law);

/* Estimates of g and of g (1 - g) from the weight `inside` of the class among a law's responses. With an exact law the
 * error of both is at most unexplored; otherwise they are the unbiased ones above. */
void sc_fork_confidence(double *g, double *spread, const sc_fork_law *law, double inside, uint32_t n_forks);

#endif

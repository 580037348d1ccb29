/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Draws from what an enumeration did not find: the law of responses given that they are not among those found.
 *
 * Everything not found lies behind a prefix that is still open, or behind a token outside the top at an expanded one
 * (its rest). These places have known masses. A draw chooses a place in proportion to its mass; behind an open prefix
 * it goes on by the law itself; at a rest it first takes the token by rejection, uniform after uniform on one law until
 * the token is outside the top. So draws are independent and exactly from the conditional law.
 *
 * With R such draws, the mass of a class is head + tail s: its mass among the responses found, and the tail's mass
 * times the class's share s of the draws. Unbiased; the variance is tail^2 s (1 - s) / R, against pi (1 - pi) / M for
 * plain draws. Rests below SC_TAIL_LEAST_REST are not drawn from (a rest that small is mostly rounding of
 * single-precision laws); `neglected` is their mass and bounds what they can bias.
 */
#ifndef SC_SAMPLING_TAIL_H
#define SC_SAMPLING_TAIL_H

#include "sampling/enumerate.h"
#include "sampling/tree.h"

#define SC_TAIL_LEAST_REST 1e-5

typedef struct sc_tail_options {
    uint64_t key;  /* sc_random_key(seed, "tail", cell) */
    uint64_t item; /* 64-bit hash of the question id */
    uint32_t n_draws;
    size_t keep_top;    /* top-k kept in the draws' trees */
    size_t batch_nodes; /* laws per call; 0: what the source likes. Never changes a result */
} sc_tail_options;

/* One draw: the tokens of `prefix`, the token of a rest if there was one, then the path of `tree`. */
typedef struct sc_tail_draw {
    int64_t prefix;     /* of the enumeration */
    int32_t rest_token; /* -1: the prefix was open */
    double rest_logprob, rest_logprob_raw;
    sc_tree tree;                /* of one draw; no nodes when the rest's token ended the response */
    double logprob, logprob_raw; /* of the whole response, not conditional */
    uint8_t finish;              /* sc_finish */
    char *text;
    size_t text_length;
    uint64_t n_laws; /* evaluated for it */
} sc_tail_draw;

typedef struct sc_tail {
    sc_tail_draw *draws; /* [n_draws] */
    size_t n_draws;
    double mass;      /* of the places drawn from; up to rounding the enumeration's unexplored mass less `neglected` */
    double neglected; /* of the rests left out */
    uint64_t n_laws;
} sc_tail;

/* Draws behind `enumeration`, made with `enumerated` for `prompt` [n_prompt]. No draws come back when there is no mass
 * to draw from. Free with sc_tail_free. */
semcal_status sc_tail_sample(sc_tail *tail, sc_source *source, const sc_enumeration *enumeration,
                             const sc_enumerate_options *enumerated, const sc_tail_options *options,
                             const int32_t *prompt, size_t n_prompt, semcal_error *error);
void sc_tail_free(sc_tail *tail);

#endif

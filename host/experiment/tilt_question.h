/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tilted law of one question of an experiment, as a sampler (sampling/tilt.h; the paper's theorem 9): its responses
 * are enumerated and collapsed, the mode class is tilted by tau, and responses are drawn token by token from the
 * reweighted next-token laws.
 */
#ifndef SC_EXPERIMENT_TILT_QUESTION_H
#define SC_EXPERIMENT_TILT_QUESTION_H

#include "experiment/questions.h"
#include "sampling/tilt.h"

typedef struct sc_tilt_question_options {
    const sc_cell *cell;
    const sc_collapse_kind *kind;
    uint64_t seed;
    double tau;                  /* nats, added to the mode class */
    double epsilon;              /* enumerate until no more than this is unexplored */
    uint64_t max_forward_tokens; /* budget of that; 0: none */
    uint32_t n_draws;
    uint32_t n_forks; /* R >= 2: also the sampler with g from R forks at every prefix; 0: not */
} sc_tilt_question_options;

typedef struct sc_tilt_question {
    sc_enumeration responses;
    sc_tilt tilt;
    char **label;    /* [n_labels]; SC_COLLAPSE_UNPARSED for the class unparsed */
    size_t n_labels; /* = tilt.n_classes */
    double *tau;     /* [n_labels] */
    size_t mode;
    bool correct;       /* the mode class is that of an accepted answer */
    double c;           /* mass of the mode class among the responses found */
    double predicted;   /* sigmoid(logit c + tau) */
    double mass;        /* of the mode class under the law that is drawn from */
    double apart;       /* largest difference of reweighted log-probabilities from the closed form, nats */
    double *logprob;    /* [n_responses] under the tilted law, nats */
    size_t *drawn;      /* [n_draws] index of the response */
    double loss_change; /* of the question: log(1 + c (e^tau - 1)) - tau [correct], nats */
    double share;       /* of the draws in the mode class; NaN without draws */
    double fork_mass;   /* as `mass`, with g estimated by forks; NaN without */
    double divergence;  /* Kullback-Leibler, of that law from the tilted one, nats; NaN without */
} sc_tilt_question;

/* SEMCAL_E_NUMERIC when more than options->epsilon stays unexplored: g would not be exact (out->responses.finished is
 * false then, and everything behind it unset). Errors name the question.
 * Free with sc_tilt_question_free, also after a failure. */
semcal_status sc_tilt_question_make(sc_tilt_question *out, const sc_tilt_question_options *options, sc_source *source,
                                    const sc_question *question, const sc_collapse_context *context,
                                    semcal_error *error);
void sc_tilt_question_free(sc_tilt_question *question);

#endif

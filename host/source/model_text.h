/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Teacher forcing through a model: the law after every token of given texts, and what follows from it at token level.
 *
 * Beside source/source.h, which serves sampling: here whole sequences go through in as few forwards as fit, every
 * position has its law read, and no prefix outlives the call. Laws are those of the source, bit for bit.
 */
#ifndef SC_SOURCE_MODEL_TEXT_H
#define SC_SOURCE_MODEL_TEXT_H

#include "source/source.h"

/* Sequence s is tokens[first[s]] .. tokens[first[s+1]-1], its first `skip[s]` tokens (at least one) context alone; the
 * others are scored. N scored tokens in all, in that order. P = n_temperatures, K = n_classes. */
typedef struct sc_text_request {
    size_t n_sequences;
    const size_t *first;   /* [n_sequences+1] */
    const int32_t *tokens; /* [first[n_sequences]] */
    const size_t *skip;    /* [n_sequences] */
    double temperature;    /* of the law */
    size_t n_temperatures;
    const double *temperatures; /* [P] of further laws, for their losses */
    size_t n_classes;           /* 0: none */
    const int32_t *class_of;    /* [V] in 0..K-1 */
} sc_text_request;

/* Natural logarithms; arrays belong to the caller. */
typedef struct sc_text_result {
    double *loss, *entropy;   /* [N] -log p(token), of the law at `temperature` */
    int32_t *top_token;       /* [N] the most probable token, ties by index */
    double *top_logprob;      /* [N] */
    double *loss_temperature; /* [N, P] */
    double *class_logmass;    /* [N, K] of the law at `temperature`, -inf for a class without mass */
} sc_text_result;

/* How many tokens one forward takes: requests of about this size waste nothing. */
size_t sc_model_text_rows(const sc_source *source);

/* Evaluates a source of the kind "model". SEMCAL_E_DATA: a token outside the vocabulary, a sequence longer than the
 * context; SEMCAL_E_NUMERIC naming the sequence and token. */
semcal_status sc_model_text_evaluate(sc_text_result *result, sc_source *source, const sc_text_request *request,
                                     semcal_error *error);

#endif

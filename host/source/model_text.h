/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Teacher forcing through a model: the law after every token of given texts, and what follows from it at token level.
 *
 * Beside source/source.h, which serves sampling: here whole sequences go through in as few forwards as fit, every
 * position has its law read, and no prefix outlives the call. Laws are those of the source, bit for bit.
 */
#ifndef SC_SOURCE_MODEL_TEXT_H
#define SC_SOURCE_MODEL_TEXT_H

#include "device/rows.h"
#include "source/source.h"

/* What is read off every law. P = n_temperatures, K = n_classes. Arrays must outlive the reader. */
typedef struct sc_text_spec {
    double temperature; /* of the law */
    size_t n_temperatures;
    const double *temperatures; /* [P] of further laws, for their losses */
    size_t n_classes;           /* 0: none */
    const int32_t *class_of;    /* [V] in 0..K-1 */
    /* Reads the laws instead, forward by forward: logits where they lie, and the tokens that came. Then only `payload`
     * of the rest is looked at, and there is no result. NULL: the above. */
    semcal_status (*take)(const sc_rows_input *input, const int32_t *target, void *payload, semcal_error *error);
    void *payload;
} sc_text_spec;

/* Sequence s is tokens[first[s]] .. tokens[first[s+1]-1], its first `skip[s]` tokens (at least one) context alone; the
 * others are scored. N scored tokens in all, in that order. */
typedef struct sc_text_request {
    size_t n_sequences;
    const size_t *first;   /* [n_sequences+1] */
    const int32_t *tokens; /* [first[n_sequences]] */
    const size_t *skip;    /* [n_sequences] */
} sc_text_request;

/* Natural logarithms; arrays belong to the caller. */
typedef struct sc_text_result {
    double *loss, *entropy;   /* [N] -log p(token), of the law at `temperature` */
    int32_t *top_token;       /* [N] the most probable token, ties by index */
    double *top_logprob;      /* [N] */
    double *loss_temperature; /* [N, P] */
    double *class_logmass;    /* [N, K] of the law at `temperature`, -inf for a class without mass */
} sc_text_result;

typedef struct sc_model_text sc_model_text;

/* A reader of a source of the kind "model", which must outlive it. Errors of sc_perturb_create. */
semcal_status sc_model_text_open(sc_model_text **reader, sc_source *source, const sc_text_spec *spec,
                                 semcal_error *error);
void sc_model_text_close(sc_model_text *reader);

/* How many tokens one forward takes: requests of about this size waste nothing. */
size_t sc_model_text_rows(const sc_model_text *reader);

/* SEMCAL_E_DATA: a token outside the vocabulary, a sequence longer than the context; SEMCAL_E_NUMERIC naming the law.
 */
semcal_status sc_model_text_evaluate(sc_model_text *reader, sc_text_result *result, const sc_text_request *request,
                                     semcal_error *error);

#endif

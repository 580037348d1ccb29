/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collapse kind `model`: a language model, the judge, has named the short answer of a response; another kind makes the
 * class of it. A reply that is empty, cut or says that there is no answer leaves the response unparsed. Reference
 * answers are short already and go straight to that other kind.
 */
#include "meaning/kinds.h"
#include "meaning/words.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

typedef struct judged {
    const sc_collapse_judge *judge;
    char *question;
    const sc_collapse_kind *then;
    void *then_data;
    char **unknown; /* [n_unknown] plain */
    size_t n_unknown;
} judged;

static void model_release(void *data)
{
    judged *made = data;
    if (made == NULL) {
        return;
    }
    if (made->then->release != NULL) {
        made->then->release(made->then_data);
    }
    for (size_t i = 0; i < made->n_unknown; i++) {
        free(made->unknown[i]);
    }
    free(made->unknown);
    free(made->question);
    free(made);
}

static semcal_status model_prepare(void **data, const sc_collapse_context *context, semcal_error *error)
{
    const sc_collapse_judge *judge = context->judge;
    if (judge == NULL) {
        return sc_error_set(error, SEMCAL_E_CONFIG,
                            "collapse kind 'model' needs a judge, the language model that names short answers");
    }
    judged *made = sc_memory_alloc(1, sizeof *made, error);
    if (made == NULL) {
        return SEMCAL_E_MEMORY;
    }
    const bool has_aliases = context->n_answers > 1 || context->n_choices > 0;
    made->judge = judge;
    made->then = judge->then != NULL ? judge->then : has_aliases ? &sc_collapse_alias : &sc_collapse_exact;
    made->question = sc_memory_strdup(context->question != NULL ? context->question : "", error);
    made->unknown = sc_memory_alloc(judge->n_unknown, sizeof *made->unknown, error);
    semcal_status status = made->question == NULL || made->unknown == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (; made->n_unknown < judge->n_unknown && status == SEMCAL_OK; made->n_unknown++) {
        status = sc_words_plain(&made->unknown[made->n_unknown], judge->unknown[made->n_unknown], error);
    }
    if (status == SEMCAL_OK && made->then->prepare != NULL) {
        status = made->then->prepare(&made->then_data, context, error);
    }
    if (status != SEMCAL_OK) {
        model_release(made);
        return status;
    }
    *data = made;
    return SEMCAL_OK;
}

static semcal_status model_reference(char **label, const void *data, const char *answer, semcal_error *error)
{
    const judged *made = data;
    return made->then->label(label, made->then_data, answer, error);
}

static semcal_status is_unknown(bool *unknown, const judged *made, const char *answer, semcal_error *error)
{
    char *plain = NULL;
    semcal_status status = sc_words_plain(&plain, answer, error);
    *unknown = status == SEMCAL_OK && plain[0] == '\0';
    for (size_t i = 0; i < made->n_unknown && status == SEMCAL_OK && !*unknown; i++) {
        *unknown = strcmp(plain, made->unknown[i]) == 0;
    }
    free(plain);
    return status;
}

static semcal_status model_label(char **label, const void *data, const char *response, semcal_error *error)
{
    const judged *made = data;
    sc_collapse_reply reply = {NULL, false};
    bool unknown = true;
    *label = NULL;
    semcal_status status = made->judge->reply(&reply, made->question, response, made->judge->payload, error);
    if (status == SEMCAL_OK && reply.text != NULL && !reply.cut) {
        status = is_unknown(&unknown, made, reply.text, error);
    }
    return status == SEMCAL_OK && !unknown ? made->then->label(label, made->then_data, reply.text, error) : status;
}

const sc_collapse_kind sc_collapse_model = {
    .name = "model",
    .description = "a language model names the short answer, then as exact or alias",
    .needs_judge = true,
    .prepare = model_prepare,
    .release = model_release,
    .label = model_label,
    .reference = model_reference,
};

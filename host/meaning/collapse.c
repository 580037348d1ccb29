/* SPDX-License-Identifier: Apache-2.0 */
#include "meaning/collapse.h"

#include "base/memory.h"
#include "base/nearest.h"
#include "meaning/kinds.h"

#include <stdlib.h>
#include <string.h>

struct sc_collapse_question {
    const sc_collapse_kind *kind;
    void *data;
    char **references;
    size_t n_references, n_unparsed_references;
};

const sc_collapse_kind *const sc_collapse_kinds[] = {
    &sc_collapse_exact, &sc_collapse_numeric, &sc_collapse_math,
    &sc_collapse_alias, &sc_collapse_choice,  &sc_collapse_model,
};
const size_t sc_collapse_n_kinds = sizeof sc_collapse_kinds / sizeof *sc_collapse_kinds;

semcal_status sc_collapse_find(const sc_collapse_kind **kind, const char *name, semcal_error *error)
{
    *kind = NULL;
    const char *names[sizeof sc_collapse_kinds / sizeof *sc_collapse_kinds];
    for (size_t i = 0; i < sc_collapse_n_kinds; i++) {
        names[i] = sc_collapse_kinds[i]->name;
        if (strcmp(names[i], name) == 0) {
            *kind = sc_collapse_kinds[i];
            return SEMCAL_OK;
        }
    }
    const char *near = sc_nearest_name(name, names, sc_collapse_n_kinds);
    if (near != NULL) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "unknown collapse kind '%s', did you mean '%s'?", name, near);
    }
    return sc_error_set(error, SEMCAL_E_CONFIG,
                        "unknown collapse kind '%s'; there are exact, numeric, math, alias, choice and model", name);
}

static bool find_reference(const sc_collapse_question *question, const char *label)
{
    for (size_t i = 0; i < question->n_references; i++) {
        if (strcmp(question->references[i], label) == 0) {
            return true;
        }
    }
    return false;
}

typedef semcal_status (*label_function)(char **label, const void *data, const char *text, semcal_error *error);

static label_function answer_label(const sc_collapse_kind *kind)
{
    return kind->reference != NULL ? kind->reference : kind->label;
}

static semcal_status add_references(sc_collapse_question *question, const sc_collapse_context *context,
                                    semcal_error *error)
{
    question->references = sc_memory_alloc(context->n_answers, sizeof *question->references, error);
    if (question->references == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < context->n_answers; i++) {
        char *label = NULL;
        semcal_status status = answer_label(question->kind)(&label, question->data, context->answers[i], error);
        if (status != SEMCAL_OK) {
            return status;
        }
        if (label == NULL) {
            question->n_unparsed_references++;
        } else if (find_reference(question, label)) {
            free(label);
        } else {
            question->references[question->n_references++] = label;
        }
    }
    return SEMCAL_OK;
}

semcal_status sc_collapse_question_make(sc_collapse_question **question, const sc_collapse_kind *kind,
                                        const sc_collapse_context *context, semcal_error *error)
{
    *question = NULL;
    sc_collapse_question *made = sc_memory_alloc(1, sizeof *made, error);
    if (made == NULL) {
        return SEMCAL_E_MEMORY;
    }
    made->kind = kind;
    semcal_status status = kind->prepare == NULL ? SEMCAL_OK : kind->prepare(&made->data, context, error);
    if (status == SEMCAL_OK) {
        status = add_references(made, context, error);
    }
    if (status != SEMCAL_OK) {
        sc_collapse_question_free(made);
        return status;
    }
    *question = made;
    return SEMCAL_OK;
}

void sc_collapse_question_free(sc_collapse_question *question)
{
    if (question == NULL) {
        return;
    }
    if (question->kind->release != NULL) {
        question->kind->release(question->data);
    }
    for (size_t i = 0; i < question->n_references; i++) {
        free(question->references[i]);
    }
    free(question->references);
    free(question);
}

static semcal_status classify(sc_collapse_class *class, const sc_collapse_question *question, label_function label,
                              const char *text, semcal_error *error)
{
    *class = (sc_collapse_class){NULL, false, false};
    semcal_status status = label(&class->label, question->data, text, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    class->parsed = class->label != NULL;
    if (!class->parsed) {
        class->label = sc_memory_strdup(SC_COLLAPSE_UNPARSED, error);
        return class->label == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    class->correct = find_reference(question, class->label);
    return SEMCAL_OK;
}

semcal_status sc_collapse_classify(sc_collapse_class *class, const sc_collapse_question *question, const char *response,
                                   semcal_error *error)
{
    return classify(class, question, question->kind->label, response, error);
}

semcal_status sc_collapse_classify_answer(sc_collapse_class *class, const sc_collapse_question *question,
                                          const char *answer, semcal_error *error)
{
    return classify(class, question, answer_label(question->kind), answer, error);
}

bool sc_collapse_is_correct(const sc_collapse_question *question, const char *label)
{
    return label[0] != '\0' && find_reference(question, label);
}

const char *const *sc_collapse_references(const sc_collapse_question *question, size_t *n_references)
{
    *n_references = question->n_references;
    return (const char *const *)question->references;
}

size_t sc_collapse_n_unparsed_references(const sc_collapse_question *question)
{
    return question->n_unparsed_references;
}

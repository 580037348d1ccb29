/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collapse kind `alias`: the accepted answers of a question are names of one class (TriviaQA's way); the response is
 * searched for them as whole words. Other answers it might name can be listed as choices. A response that names nothing
 * on the lists is a class of its own, its plain text: on open text that parts what means the same.
 */
#include "meaning/kinds.h"
#include "meaning/list.h"
#include "meaning/words.h"

#include "base/memory.h"

#include <stdlib.h>

static semcal_status alias_prepare(void **data, const sc_collapse_context *context, semcal_error *error)
{
    sc_list *list = NULL;
    bool any = false;
    size_t class = 0;
    semcal_status status = sc_list_make(&list, error);
    for (size_t i = 0; i < context->n_answers && status == SEMCAL_OK; i++) {
        char *plain = NULL;
        status = sc_words_plain(&plain, context->answers[i], error);
        if (status == SEMCAL_OK && plain[0] != '\0') {
            status = any ? sc_list_add_name(list, class, plain, error) : sc_list_add_class(&class, list, plain, error);
            any = true;
        }
        free(plain);
    }
    for (size_t i = 0; i < context->n_choices && status == SEMCAL_OK; i++) {
        const sc_choice *choice = &context->choices[i];
        status = sc_list_add_class(&class, list, choice->name, error);
        for (size_t j = 0; j < choice->n_aliases && status == SEMCAL_OK; j++) {
            status = sc_list_add_name(list, class, choice->aliases[j], error);
        }
    }
    if (status != SEMCAL_OK) {
        sc_list_free(list);
        return status;
    }
    *data = list;
    return SEMCAL_OK;
}

static void alias_release(void *data)
{
    sc_list_free(data);
}

static semcal_status alias_label(char **label, const void *data, const char *response, semcal_error *error)
{
    const sc_list *list = data;
    size_t n_classes = sc_list_n_classes(list), n_hits = 0, class = 0;
    char *statement = NULL, *plain = NULL;
    bool marked, *hit = NULL;
    *label = NULL;
    semcal_status status = sc_list_statement(&statement, &marked, response, error);
    if (status != SEMCAL_OK) {
        goto done;
    }
    status = sc_words_plain(&plain, statement, error);
    if (status != SEMCAL_OK) {
        goto done;
    }
    hit = sc_memory_alloc(n_classes, sizeof *hit, error);
    status = hit == NULL ? SEMCAL_E_MEMORY : sc_list_search(hit, list, plain, error);
    if (status != SEMCAL_OK) {
        goto done;
    }
    for (size_t i = 0; i < n_classes; i++) {
        n_hits += hit[i];
        class = hit[i] ? i : class;
    }
    if (n_hits == 1) {
        *label = sc_memory_strdup(sc_list_label(list, class), error);
        status = *label == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    } else if (n_hits == 0 && plain[0] != '\0') {
        *label = plain;
        plain = NULL;
    }
done:
    free(statement);
    free(plain);
    free(hit);
    return status;
}

const sc_collapse_kind sc_collapse_alias = {
    .name = "alias",
    .description = "the accepted answers and their aliases as whole words, TriviaQA normalisation",
    .open_text = true,
    .prepare = alias_prepare,
    .release = alias_release,
    .label = alias_label,
};

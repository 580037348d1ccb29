/* SPDX-License-Identifier: Apache-2.0 */
#include "meaning/list.h"

#include "base/memory.h"
#include "meaning/answer.h"
#include "meaning/words.h"

#include <stdlib.h>
#include <string.h>

typedef struct name {
    char *plain;
    size_t class;
    bool whole_only;
} name;

struct sc_list {
    name *names;
    size_t n_names, names_capacity;
    char **labels;
    size_t n_classes, labels_capacity;
};

semcal_status sc_list_make(sc_list **list, semcal_error *error)
{
    *list = sc_memory_alloc(1, sizeof **list, error);
    return *list == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
}

void sc_list_free(sc_list *list)
{
    if (list == NULL) {
        return;
    }
    for (size_t i = 0; i < list->n_names; i++) {
        free(list->names[i].plain);
    }
    for (size_t i = 0; i < list->n_classes; i++) {
        free(list->labels[i]);
    }
    free(list->names);
    free(list->labels);
    free(list);
}

static const name *find_name(const sc_list *list, const char *plain)
{
    for (size_t i = 0; i < list->n_names; i++) {
        if (strcmp(list->names[i].plain, plain) == 0) {
            return &list->names[i];
        }
    }
    return NULL;
}

/* Takes `plain` over, also on failure. */
static semcal_status append_name(sc_list *list, size_t class, char *plain, semcal_error *error)
{
    semcal_status status =
        sc_memory_grow(&list->names, &list->names_capacity, list->n_names + 1, sizeof *list->names, error);
    if (status != SEMCAL_OK) {
        free(plain);
        return status;
    }
    list->names[list->n_names++] = (name){plain, class, sc_words_is_function(plain)};
    return SEMCAL_OK;
}

semcal_status sc_list_add_class(size_t *class, sc_list *list, const char *text, semcal_error *error)
{
    char *plain = NULL;
    *class = 0;
    semcal_status status = sc_words_plain(&plain, text, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    if (plain[0] == '\0') {
        free(plain);
        return sc_error_set(error, SEMCAL_E_DATA, "a choice without text");
    }
    const name *known = find_name(list, plain);
    if (known != NULL) {
        *class = known->class;
        free(plain);
        return SEMCAL_OK;
    }
    status = sc_memory_grow(&list->labels, &list->labels_capacity, list->n_classes + 1, sizeof *list->labels, error);
    if (status == SEMCAL_OK) {
        list->labels[list->n_classes] = sc_memory_strdup(plain, error);
        status = list->labels[list->n_classes] == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    if (status != SEMCAL_OK) {
        free(plain);
        return status;
    }
    *class = list->n_classes++;
    return append_name(list, *class, plain, error);
}

semcal_status sc_list_add_name(sc_list *list, size_t class, const char *text, semcal_error *error)
{
    char *plain = NULL;
    semcal_status status = sc_words_plain(&plain, text, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    const name *known = find_name(list, plain);
    if (plain[0] != '\0' && known == NULL) {
        return append_name(list, class, plain, error);
    }
    if (known != NULL && known->class != class) {
        status = sc_error_set(error, SEMCAL_E_DATA, "'%s' names both '%s' and '%s'", text, list->labels[known->class],
                              list->labels[class]);
    }
    free(plain);
    return status;
}

size_t sc_list_n_classes(const sc_list *list)
{
    return list->n_classes;
}

const char *sc_list_label(const sc_list *list, size_t class)
{
    return list->labels[class];
}

typedef struct place {
    const char *begin, *end;
    size_t class;
} place;

/* By beginning, the longer one first. */
static int compare_places(const void *a, const void *b)
{
    const place *x = a, *y = b;
    if (x->begin != y->begin) {
        return x->begin < y->begin ? -1 : 1;
    }
    return (x->end < y->end) - (x->end > y->end);
}

semcal_status sc_list_search(bool *hit, const sc_list *list, const char *plain, semcal_error *error)
{
    place *places = NULL;
    size_t n = 0, capacity = 0;
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < list->n_names; i++) {
        const char *needle = list->names[i].plain;
        if (list->names[i].whole_only && strcmp(needle, plain) != 0) {
            continue;
        }
        size_t length = strlen(needle);
        for (const char *at = sc_words_find(plain, plain, needle); at != NULL;
             at = sc_words_find(plain, at + length, needle)) {
            status = sc_memory_grow(&places, &capacity, n + 1, sizeof *places, error);
            if (status != SEMCAL_OK) {
                goto done;
            }
            places[n++] = (place){at, at + length, list->names[i].class};
        }
    }
    if (n > 1) {
        qsort(places, n, sizeof *places, compare_places);
    }
    const char *covered = plain;
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && places[i].end <= covered) {
            continue;
        }
        hit[places[i].class] = true;
        covered = places[i].end;
    }
done:
    free(places);
    return status;
}

semcal_status sc_list_statement(char **statement, bool *marked, const char *response, semcal_error *error)
{
    const char *end = sc_answer_end(response), *begin = response;
    sc_answer_span *spans = NULL;
    size_t n = 0;
    *statement = NULL;
    semcal_status status = sc_answer_find(&spans, &n, response, end, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    *marked = n > 0;
    if (n > 0) {
        begin = spans[n - 1].begin;
        end = spans[n - 1].end;
    }
    *statement = sc_memory_strndup(begin, (size_t)(end - begin), error);
    free(spans);
    return *statement == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A closed list of classes, each with the texts that name it, searched as whole words. */
#ifndef SC_MEANING_LIST_H
#define SC_MEANING_LIST_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct sc_list sc_list;

semcal_status sc_list_make(sc_list **list, semcal_error *error);
void sc_list_free(sc_list *list);

/* Adds a class whose label is the plain form (words.h) of `name`, which names it too. A text that already names a class
 * gives that class instead. Blank names give SEMCAL_E_DATA. */
semcal_status sc_list_add_class(size_t *class, sc_list *list, const char *name, semcal_error *error);

/* Adds another text that names `class`. Blank texts are passed over. SEMCAL_E_DATA when it names another class. */
semcal_status sc_list_add_name(sc_list *list, size_t class, const char *name, semcal_error *error);

size_t sc_list_n_classes(const sc_list *list);
const char *sc_list_label(const sc_list *list, size_t class);

/* Classes named in `plain` (a plain text), marked in hit[n_classes], which the caller clears. A name inside a longer
 * name that was found ("York" in "New York") does not count. Names made of function words count only when they are the
 * whole text. Returns the status. */
semcal_status sc_list_search(bool *hit, const sc_list *list, const char *plain, semcal_error *error);

/* The statement to search: what the last mark (answer.h) of `response` points at, else all of it, as a new string.
 * `*marked` tells which. */
semcal_status sc_list_statement(char **statement, bool *marked, const char *response, semcal_error *error);

#endif

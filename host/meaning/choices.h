/* SPDX-License-Identifier: Apache-2.0 */
/* Owned lists of choices, from JSON, from a file, or built by hand. */
#ifndef SC_MEANING_CHOICES_H
#define SC_MEANING_CHOICES_H

#include "meaning/collapse.h"

#include <jansson.h>

/* `items` fits sc_collapse_context. Initialise with {0}; free with sc_choices_free. */
typedef struct sc_choices {
    sc_choice *items;
    size_t n, capacity;
} sc_choices;

void sc_choices_free(sc_choices *choices);

/* Appends a choice: names[0] is its name, the others are aliases. SEMCAL_E_DATA when there is none or it is blank. */
semcal_status sc_choices_add(sc_choices *choices, const char *const *names, size_t n_names, semcal_error *error);

/* Appends choices from a JSON list, each a text or a list [name, alias, ...], or from an object {name: alias} or
 * {name: [alias, ...]}; in an object, a name of one capital letter is the letter of the option: {"A": "Paris"}.
 * `where` stands in front of messages. */
semcal_status sc_choices_add_json(sc_choices *choices, const json_t *list, const char *where, semcal_error *error);

/* Appends choices from a file: one per line, aliases behind the name separated by tabs; empty lines are skipped. */
semcal_status sc_choices_add_file(sc_choices *choices, const char *path, semcal_error *error);

/* Appends choices from one text: "yes|yeah,no|nope", commas between choices, bars before aliases. */
semcal_status sc_choices_add_text(sc_choices *choices, const char *text, semcal_error *error);

#endif

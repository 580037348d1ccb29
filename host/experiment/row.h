/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of one row of data given as JSON: texts, lists of answers, choices, laws, with messages that help. */
#ifndef SC_EXPERIMENT_ROW_H
#define SC_EXPERIMENT_ROW_H

#include "base/error.h"
#include "meaning/choices.h"

#include <jansson.h>

/* Texts of their own; initialise with {0}. */
typedef struct sc_row_texts {
    char **at;
    size_t n, capacity;
} sc_row_texts;

void sc_row_texts_free(sc_row_texts *texts);

/* Appends a copy of the first `length` bytes. */
semcal_status sc_row_texts_add(sc_row_texts *texts, const char *text, size_t length, semcal_error *error);

/* Appends the pieces of `text` between `separator` (NULL or "": the whole), blanks around them and empty ones dropped.
 */
semcal_status sc_row_texts_split(sc_row_texts *texts, const char *text, const char *separator, semcal_error *error);

/* SEMCAL_E_DATA: "where: field 'x' missing, did you mean 'y'? fields here: a, b". */
semcal_status sc_row_missing(const char *field, const char *const *fields, size_t n_fields, const char *where,
                             semcal_error *error);

/* The member `field` of an object row, or that error. */
semcal_status sc_row_member(const json_t **value, const json_t *row, const char *field, const char *where,
                            semcal_error *error);

/* A text, number or truth value as a new text; NUL characters and other kinds are SEMCAL_E_DATA naming `field`. */
semcal_status sc_row_text(char **text, const json_t *value, const char *field, const char *where, semcal_error *error);

/* A text (split at `separator` when given), a number, or a list of them, as texts. Null is no answer. */
semcal_status sc_row_answers(sc_row_texts *answers, const json_t *value, const char *separator, const char *field,
                             const char *where, semcal_error *error);

/* An object label -> probability: finite, not negative, sum 1 within 1e-6. `*probabilities` is malloc'ed. */
semcal_status sc_row_law(sc_row_texts *labels, double **probabilities, const json_t *value, const char *field,
                         const char *where, semcal_error *error);

#endif

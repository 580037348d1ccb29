/* SPDX-License-Identifier: Apache-2.0 */
/* Applies a collapse B to a stored cell: classes of draws, masses of classes, confidences of questions. */
#ifndef SC_EXPERIMENT_COLLAPSE_CELL_H
#define SC_EXPERIMENT_COLLAPSE_CELL_H

#include "experiment/store.h"
#include "meaning/collapse.h"

#include <stdint.h>

typedef struct sc_collapse_cell_options {
    const sc_collapse_kind *kind;
    const char *name; /* what the products are called; NULL: the kind's name */
    /* Choices of question `index` (of the dataset); NULL: there are none. The result is borrowed until the next call.
     */
    semcal_status (*choices)(const sc_choice **choices, size_t *n_choices, uint64_t index, const char *id,
                             void *payload, semcal_error *error);
    void *payload;
    const sc_collapse_judge *judge;       /* for kinds that need one: it knows all responses of the cell */
    const sc_store_attribute *attributes; /* [n_attributes] more to say about the collapse: who judged */
    size_t n_attributes;
    unsigned n_splits; /* halvings behind the split estimator; 0: the standard number */
} sc_collapse_cell_options;

/* What deserves a warning; THEORY.md tells how to read confidences. */
typedef struct sc_collapse_cell_summary {
    uint64_t n_questions;
    uint64_t n_without_reference; /* questions none of whose answers has a class under this kind */
    uint64_t n_without_law;       /* questions with a known law of which less than .999 has a class */
    uint64_t n_enumerated,
        n_unresolved;           /* questions whose responses were enumerated; those whose mode is not certain */
    double truncated, unparsed; /* shares of all draws */
    double classes_per_question;
} sc_collapse_cell_summary;

/* Reads the finished cell file `path`, classifies every response (one cut at max_tokens is unparsed), computes the
 * estimators of statistics/estimators.h and writes the products into the file. `summary` may be NULL. */
semcal_status sc_collapse_cell(const char *path, const sc_collapse_cell_options *options,
                               sc_collapse_cell_summary *summary, semcal_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The questions of one cell as the model gets them: prompts written out and tokenized. */
#ifndef SC_EXPERIMENT_QUESTIONS_H
#define SC_EXPERIMENT_QUESTIONS_H

#include "experiment/dataset.h"
#include "experiment/plan.h"
#include "source/source.h"

typedef struct sc_question {
    const sc_dataset_row *row; /* of the dataset */
    uint64_t item;             /* hash of its id: keys its random numbers */
    char *prompt;              /* text */
    int32_t *tokens;           /* [n_tokens] */
    size_t n_tokens;
    char *reference;           /* the first accepted answer as it would follow the prompt; NULL: none */
    int32_t *reference_tokens; /* [n_reference_tokens] */
    size_t n_reference_tokens;
} sc_question;

typedef struct sc_questions {
    sc_question *at; /* [n] */
    size_t n, max_tokens;
    const sc_dataset *dataset;
} sc_questions;

/* Builds the prompts of `cell` (style's template, shots, chat template) and encodes them with the source's tokenizer.
 * SEMCAL_E_DATA naming the question when one does not fit the context together with its answer. The dataset must
 * outlive the questions. */
semcal_status sc_questions_make(sc_questions *questions, const sc_cell *cell, const sc_dataset *dataset,
                                sc_source *source, semcal_error *error);
/* Frees all but the first n. */
void sc_questions_keep(sc_questions *questions, size_t n);
void sc_questions_free(sc_questions *questions);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The questions of one cell as the model gets them: prompts written out and tokenized. */
#ifndef SC_EXPERIMENT_QUESTIONS_H
#define SC_EXPERIMENT_QUESTIONS_H

#include "experiment/dataset.h"
#include "experiment/plan.h"
#include "source/source.h"

typedef struct sc_question {
    const sc_dataset_row *row; /* of the dataset; the question's own where it was read */
    uint64_t item;             /* hash of its id: keys its random numbers */
    char *prompt;              /* text */
    int32_t *tokens;           /* [n_tokens] */
    size_t n_tokens;
    char *reference;           /* the first accepted answer as it would follow the prompt; NULL: none */
    int32_t *reference_tokens; /* [n_reference_tokens] */
    size_t n_reference_tokens;
} sc_question;

typedef struct sc_questions {
    sc_question *at; /* [n] NULL: they wait in the dataset's file, and are had with sc_questions_read */
    size_t n, max_tokens;
    const sc_dataset *dataset;      /* NULL: not made */
    struct sc_questions_tape *tape; /* NULL: they are in memory */
} sc_questions;

/* Builds the prompts of `cell` (style's template, shots, chat template) and encodes them with the source's tokenizer.
 * SEMCAL_E_DATA naming the question when one does not fit the context together with its answer. The dataset must
 * outlive the questions; where its rows wait in a file, so do they, and 8 bytes of each are in memory. */
semcal_status sc_questions_make(sc_questions *questions, const sc_cell *cell, const sc_dataset *dataset,
                                sc_source *source, semcal_error *error);
void sc_questions_free(sc_questions *questions);

/* A copy of question i of those that wait in a file, the caller's to free. One thread at a time. */
semcal_status sc_questions_read(sc_question *question, const sc_questions *questions, size_t i, semcal_error *error);
void sc_question_free(sc_question *question);

#endif

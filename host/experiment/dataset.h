/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datasets: questions with accepted answers from JSON lines or CSV.
 *
 * Field names are the configuration's; everything else in a row is ignored. Texts are UTF-8 without NUL and kept byte
 * for byte: what is in an answer ("#### 42") is the collapse's business. Messages read "path:line: ...".
 */
#ifndef SC_EXPERIMENT_DATASET_H
#define SC_EXPERIMENT_DATASET_H

#include "base/memory.h"
#include "experiment/config.h"
#include "experiment/row.h"
#include "meaning/collapse.h"

/* Which file, which fields. Initialise with SC_DATASET_OPTIONS_INIT. */
typedef struct sc_dataset_options {
    const char *path;
    sc_config_format format;       /* AUTO: ".csv" is CSV, everything else JSON lines */
    const char *question;          /* field; a text, not blank */
    const char *answers;           /* field; a text, a number, or a list of them; NULL: the rows need no answers */
    const char *answers_separator; /* splits an answers text ("; "), not lists; NULL: does not */
    const char *id;                /* field; unique. NULL: "q" and a hash of the question's text */
    const char *law;               /* field {answer: probability}; in CSV that object as JSON text; NULL: none */
    const char *choices;           /* field (forms: meaning/choices.h; in CSV as JSON text); NULL: none */
    const char *const *extra;      /* further fields, kept as texts */
    size_t n_extra;
    int64_t limit; /* only the first rows, the rest is not looked at; <= 0: all */
    /* Rows wait in a temporary file in this folder rather than in memory, and are had with sc_dataset_read; NULL: they
     * are in `rows`. */
    const char *folder;
} sc_dataset_options;

#define SC_DATASET_OPTIONS_INIT                                                                                        \
    {                                                                                                                  \
        .format = SC_CONFIG_FORMAT_AUTO, .question = "question", .answers = "answers"                                  \
    }

typedef struct sc_dataset_row {
    char *id;
    char *question;
    sc_row_texts answers; /* at least one, when the option names a field */
    sc_choices choices;   /* of this question; n = 0: see the dataset's */
    sc_row_texts law;     /* labels of the known law; n = 0: none */
    double *law_p;        /* [law.n] sum to 1 within 1e-6 */
    sc_row_texts extra;   /* [n_extra] */
    size_t line;          /* of the file, from 1 */
} sc_dataset_row;

typedef struct sc_dataset {
    char *path;
    char sha256[65]; /* of the whole file */
    size_t n_rows;
    sc_dataset_row *rows;         /* [n_rows] NULL: they wait in a file */
    size_t n_held, capacity;      /* rows in memory, and room for them */
    struct sc_dataset_tape *tape; /* NULL: they are in memory */
    sc_choices choices;           /* the closed list of all questions; n = 0: none */
} sc_dataset;

/* Reads the file. SEMCAL_E_DATA for what is wrong with it: no rows, a missing field (with the nearest one), a wrong
 * kind, invalid UTF-8, a law that does not sum to 1, two rows with one id. `dataset->choices` stays empty.
 *
 * Ids key the random numbers, so the default depends on the question's text alone; a second row with the same text has
 * "-2" behind it, and so on. */
semcal_status sc_dataset_open(sc_dataset *dataset, const sc_dataset_options *options, semcal_error *error);

/* The same for a dataset of the configuration, with its closed list (choices, choices_file), and with the rows in a
 * file in `folder` (NULL: in memory). */
semcal_status sc_dataset_open_config(sc_dataset *dataset, const sc_config_dataset *config, const char *folder,
                                     semcal_error *error);

/* The examples of a dataset of the configuration: its first shots.n rows; extra holds the fields of shots.responses in
 * their order. Without a shots file the result is empty. SEMCAL_E_DATA when the file has fewer rows. */
semcal_status sc_dataset_open_shots(sc_dataset *shots, const sc_config_dataset *config, semcal_error *error);

void sc_dataset_free(sc_dataset *dataset);

/* A copy of row i of a dataset whose rows wait in a file, the caller's to free. Any thread may call. */
semcal_status sc_dataset_read(sc_dataset_row *row, const sc_dataset *dataset, size_t i, semcal_error *error);
void sc_dataset_row_free(sc_dataset_row *row);

/* The 64-bit hash of row i's id, wherever the rows are: it keys the question's random numbers. */
uint64_t sc_dataset_item(const sc_dataset *dataset, size_t i);

/* Appends the id that a question without one has: from sc_hash64 of its text and its ordinal among the same, from 1. */
semcal_status sc_dataset_put_default_id(sc_text *id, uint64_t hash, size_t ordinal, semcal_error *error);
/* Gives it to a row. */
semcal_status sc_dataset_default_id(sc_dataset_row *row, size_t ordinal, semcal_error *error);

/* What the collapse needs to know about row `row` of a dataset in memory. Borrows from the dataset. */
sc_collapse_context sc_dataset_context(const sc_dataset *dataset, size_t row);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A text as a model reads it: documents as tokens, cut into chunks, and the classes of tokens.
 *
 * A document is encoded with the tokenizer's own special tokens. Chunk j of it is the window of tokens that begins at
 * j (window - overlap); a model sees nothing before it. The first `overlap` tokens of every chunk but the document's
 * first are context alone (they were scored in the chunk before), and so is the first token of the document, before
 * which there is no law: every other token is scored exactly once. A document may have a context before it (a prompt),
 * encoded apart and not scored.
 */
#ifndef SC_EXPERIMENT_TEXT_DATA_H
#define SC_EXPERIMENT_TEXT_DATA_H

#include "experiment/plan.h"
#include "source/source.h"

enum { SC_TEXT_MAX_CLASSES = 4096 };

typedef struct sc_text_chunk {
    uint32_t document;
    uint64_t start;          /* of the document */
    uint32_t n_tokens, skip; /* n_tokens > skip >= 1 */
    size_t at;               /* of the first token in sc_text_data.tokens */
} sc_text_chunk;

typedef struct sc_text_data {
    int32_t *tokens; /* all documents, one after the other */
    size_t n_tokens, capacity;
    size_t n_documents, n_scored;
    size_t window, overlap; /* as resolved */
    sc_text_chunk *chunks;
    size_t n_chunks, chunks_capacity;
    char sha256[65]; /* of the file */
} sc_text_data;

/* Reads and encodes the dataset of a text cell. At most `limit` tokens are used, and only they are encoded when the
 * documents are lines. Holds four bytes per token, and one document's text at a time. SEMCAL_E_DATA: no tokens, text
 * that is not UTF-8, a window longer than the model's context. */
semcal_status sc_text_data_open(sc_text_data *data, const sc_config_dataset *config, sc_source *source,
                                semcal_error *error);
void sc_text_data_free(sc_text_data *data);

/* Tokens of a chunk when the configuration leaves it open. */
size_t sc_text_window(const sc_config_dataset *config, size_t n_context);

typedef struct sc_text_classes {
    size_t n; /* K */
    char **labels;
    int32_t *class_of; /* [V] */
    char sha256[65];   /* of the map */
} sc_text_classes;

/* The class map of a text cell. SEMCAL_E_DATA naming the line of a bad file. */
semcal_status sc_text_classes_make(sc_text_classes *classes, const sc_config_dataset *config, sc_source *source,
                                   semcal_error *error);
void sc_text_classes_free(sc_text_classes *classes);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What the store*.c files share. */
#ifndef SC_EXPERIMENT_STORE_INTERNAL_H
#define SC_EXPERIMENT_STORE_INTERNAL_H

#include "base/file.h"
#include "base/memory.h"
#include "experiment/store.h"
#include "formats/h5.h"

#define SC_STORE_FORMAT "semcal-cell"
#define SC_STORE_FORMAT_VERSION 1

/* ---- the table of variables (store_table.c) ---- */

/* What a row is: one question, one draw of it, one node of its tree... The first dimension of a variable, except that
 * draws lie on (question, draw). */
typedef enum sc_store_rows {
    SC_ROWS_QUESTION,
    SC_ROWS_DRAW,
    SC_ROWS_NODE,
    SC_ROWS_ANSWER,
    SC_ROWS_LAW,
    SC_ROWS_RESPONSE,
    SC_ROWS_LOGITS, /* a law of the tree that is kept as a whole */
    SC_ROWS_KINDS
} sc_store_rows;

typedef enum sc_store_role {
    SC_ROLE_PLAIN,
    SC_ROLE_RAW,     /* only when temperature is not 1; elsewhere equal to the variable before it in the table */
    SC_ROLE_NODE,    /* a node: within the question in memory, a row of `node` in the file */
    SC_ROLE_OWNER,   /* the row of `question` that this row belongs to; not in memory */
    SC_ROLE_COUNT,   /* how many rows of kind `counts` the question has; in memory the structs' own n_... */
    SC_ROLE_DIGEST,  /* sha256 of the question's content; computed */
    SC_ROLE_LOGITS,  /* whole laws: too large for memory, they go from file to file (store_logits.c) */
    SC_ROLE_SCHEDULE /* depends on scheduling: stored, not part of the content */
} sc_store_role;

typedef struct sc_store_variable {
    const char *name, *long_name, *units;
    sc_h5_type memory, stored;
    sc_store_rows rows;
    bool top; /* has a second dimension of the k most probable tokens */
    sc_store_role role;
    size_t offset; /* in sc_store_record: of the value (SC_ROWS_QUESTION) or of the pointer to the rows */
    sc_store_rows counts;
    bool logits; /* only in files of whole laws */
} sc_store_variable;

extern const sc_store_variable sc_store_variables[];
extern const size_t sc_store_n_variables;
extern const char *const sc_store_dimensions[SC_ROWS_KINDS];

/* Sizes that a file's variables follow. */
typedef struct sc_store_sizes {
    size_t n_draws, n_top;
    bool raw;
    size_t n_vocabulary;           /* V where laws are kept as a whole, else 0 */
    uint64_t total[SC_ROWS_KINDS]; /* rows of each kind in the file; draws: questions * n_draws */
} sc_store_sizes;

/* Rows of a kind that one record has. */
uint64_t sc_store_rows_of(const sc_store_record *record, sc_store_rows rows);
void sc_store_add_rows(sc_store_sizes *sizes, const sc_store_record *record);
/* True when a file of these sizes has the variable. */
bool sc_store_has_variable(const sc_store_variable *variable, const sc_store_sizes *sizes);
size_t sc_store_element_size(sc_h5_type type);
/* True when files of these sizes have the variable as soon as they have rows of its kind. */
bool sc_store_is_kept(const sc_store_variable *variable, const sc_store_sizes *sizes);
/* Elements per row: n_top, n_vocabulary or 1. */
size_t sc_store_width(const sc_store_variable *variable, const sc_store_sizes *sizes);
/* The record's rows of a variable (PLAIN, RAW, NODE, SCHEDULE). */
const void *sc_store_values(const sc_store_record *record, const sc_store_variable *variable);

/* ---- records (store_record.c) ---- */

/* Checks sizes, indices and numbers, makes texts valid UTF-8, lists the laws that the tree keeps as a whole.
 * SEMCAL_E_DATA, SEMCAL_E_NUMERIC naming the question. */
semcal_status sc_store_record_check(sc_store_record *record, const sc_store_sizes *sizes, semcal_error *error);

/* ---- digests (store_digest.c) ---- */

/* Appends the canonical bytes of n values of a variable: its name and their number, then the values, which may come in
 * parts. */
semcal_status sc_store_digest_put(sc_text *out, const char *name, sc_h5_type memory, sc_h5_type stored,
                                  const void *values, size_t n, semcal_error *error);
semcal_status sc_store_digest_name(sc_text *out, const char *name, size_t n, semcal_error *error);
semcal_status sc_store_digest_values(sc_text *out, sc_h5_type memory, sc_h5_type stored, const void *values, size_t n,
                                     semcal_error *error);

/* Of one question: every stored value but those that depend on scheduling. */
semcal_status sc_store_digest_record(char hex[65], const sc_store_record *record, const sc_store_sizes *sizes,
                                     semcal_error *error);
/* Of a file of n questions, from their digests in dataset order; sc_sha256_end gives it, and must follow. */
semcal_status sc_store_digest_file_begin(sc_sha256 **sum, size_t n, const sc_store_sizes *sizes, semcal_error *error);
void sc_store_digest_file_add(sc_sha256 *sum, const char *question);

/* ---- seals (store_seal.c) ---- */

/* Appends a line with the sha256 of everything before it. HDF5 ignores what stands behind its own end. */
semcal_status sc_store_seal(const char *path, semcal_error *error);
/* SEMCAL_E_DATA when the file is not exactly as it was sealed. HDF5 itself can crash on a damaged file, so this comes
 * before HDF5 sees it. *content receives the length without the seal. */
semcal_status sc_store_check_seal(uint64_t *content, const char *path, semcal_error *error);
/* Seals a closed file, fsyncs it and renames it into place; deletes it when that fails. */
semcal_status sc_store_commit_sealed(const char *temporary, const char *path, semcal_error *error);
/* A whole file at once: made beside `path`, filled by `write`, sealed, renamed into place; nothing is left of it when
 * any of this fails. */
typedef semcal_status (*sc_store_content)(sc_h5 *file, const void *payload, semcal_error *error);
semcal_status sc_store_write_sealed(const char *path, sc_store_content write, const void *payload, semcal_error *error);
/* Opens a sealed file whose attributes say this format and version, for reading. SEMCAL_E_DATA otherwise. */
semcal_status sc_store_open_sealed(sc_h5 **file, const char *path, const char *format, int64_t version,
                                   semcal_error *error);

/* ---- writing one file (store_write.c) ---- */

typedef struct sc_store_writer {
    sc_h5 *file;
    char *path, *temporary;
    sc_store_sizes sizes;
    uint64_t at[SC_ROWS_KINDS]; /* rows written so far */
    char (*digests)[65];        /* [digests_capacity] of the records being written */
    size_t digests_capacity;
    sc_sha256 *sum;                 /* of the file */
    struct sc_store_logits *logits; /* whole laws on their way; NULL until there are some */
} sc_store_writer;

/* What the root attributes say beside provenance. */
typedef struct sc_store_label {
    const char *cell;
    uint64_t n_cell_questions;
    unsigned shard, n_shards;
    unsigned deflate;
} sc_store_label;

/* Makes a file that appears as `path` when it is finished. sizes->total must be final. */
semcal_status sc_store_writer_open(sc_store_writer *writer, const char *path, const sc_store_sizes *sizes,
                                   const sc_store_label *label, semcal_error *error);
/* Writes checked records, in the order of the file. Sets or checks their logits_sha256. */
semcal_status sc_store_writer_write(sc_store_writer *writer, sc_store_record *records, size_t n, semcal_error *error);
/* Adds the attributes and the digest (copied to hex), closes, fsyncs, renames. Frees the writer in any case. */
semcal_status sc_store_writer_finish(char hex[65], sc_store_writer *writer, const sc_store_attribute *attributes,
                                     size_t n_attributes, semcal_error *error);
void sc_store_writer_discard(sc_store_writer *writer);

/* ---- whole laws (store_logits.c) ---- */

/* How many nodes are as large as n whole laws. */
uint64_t sc_store_logits_weight(uint64_t n, const sc_store_sizes *sizes);
/* The lists of a record: the nodes whose laws its tree keeps, and a token drawn from each. */
semcal_status sc_store_logits_list(sc_store_record *record, semcal_error *error);
/* Copies the laws of records, from wherever they are, into the file being written; some may wait for the next call.
 * SEMCAL_E_DATA when they are not those of logits_sha256. */
semcal_status sc_store_logits_copy(sc_store_writer *writer, sc_store_record *records, size_t n, semcal_error *error);
/* Writes what waits. */
semcal_status sc_store_logits_end(sc_store_writer *writer, semcal_error *error);
void sc_store_logits_free(struct sc_store_logits *logits);
/* SEMCAL_E_DATA when the laws of question i are not those of its digest. */
semcal_status sc_store_logits_check(sc_store_cell *cell, uint64_t i, const sc_store_record *record,
                                    semcal_error *error);

/* ---- reading one file (store_read.c) ---- */

struct sc_store_cell {
    char *path;
    sc_h5 *file;
    sc_store_facts facts;
    sc_store_sizes sizes;
    char *cell_name, *content_sha256, *collapse;
    uint64_t *first[SC_ROWS_KINDS]; /* [n_questions+1] first row of each question; NULL for questions and draws */
    uint64_t *index;                /* [n_questions] of the dataset */
    char **names, **values;         /* text attributes */
    size_t n_attributes;
    sc_store_record *block; /* rows read ahead */
    uint64_t block_first, block_n;
    unsigned block_what;
    uint64_t block_end; /* rows from here on are not read ahead; 0: all are */
};

/* Has sc_store_cell_read read rows ahead only up to `end`. */
void sc_store_cell_read_no_further(sc_store_cell *cell, uint64_t end);
/* Reads a block of rows from i on, so that sc_store_cell_read finds them in memory. */
semcal_status sc_store_cell_read_ahead(sc_store_cell *cell, uint64_t i, unsigned what, semcal_error *error);

/* sc_store_cell_open without looking at the seal: for files this process wrote or checked. */
semcal_status sc_store_cell_open_trusted(sc_store_cell **cell, const char *path, semcal_error *error);

/* Reads rows first .. first+n-1 into records[0..n-1], which the caller frees. */
semcal_status sc_store_cell_read_rows(sc_store_record *records, sc_store_cell *cell, uint64_t first, uint64_t n,
                                      unsigned what, semcal_error *error);

/* Reads everything and compares with the digests stored. SEMCAL_E_DATA naming the first question that differs. */
semcal_status sc_store_cell_check(sc_store_cell *cell, semcal_error *error);

/* ---- joining files (store_join.c) ---- */

/* Where the questions of a cell are: one source per segment or shard. */
typedef struct sc_store_sources {
    char **paths;
    size_t n, capacity;
    sc_store_sizes sizes; /* totals over all sources */
    struct sc_store_place {
        int32_t source; /* -1: nowhere */
        uint32_t n_nodes;
        uint64_t row;
    } * places; /* [n_cell_questions] */
    uint64_t n_cell_questions, n_found;
} sc_store_sources;

semcal_status sc_store_sources_init(sc_store_sources *sources, uint64_t n_cell_questions, semcal_error *error);
void sc_store_sources_free(sc_store_sources *sources);
/* Adds an opened file. SEMCAL_E_DATA when one of its questions is there already. */
semcal_status sc_store_sources_add(sc_store_sources *sources, const sc_store_cell *cell, semcal_error *error);
/* Writes all of them as one file in dataset order. */
semcal_status sc_store_join(char hex[65], const char *path, const sc_store_sources *sources,
                            const sc_store_label *label, const sc_store_attribute *attributes, size_t n_attributes,
                            semcal_error *error);

/* SEMCAL_E_CONFIG naming the first identity attribute of `attributes` that the file has with another value. */
semcal_status sc_store_same_identity(const sc_store_cell *cell, const sc_store_attribute *attributes, size_t n,
                                     semcal_error *error);

/* RUN/cells/<cell>[.shard-i-of-n]<suffix>; NULL on exhaustion. */
char *sc_store_path(const char *run_folder, const char *cell, unsigned shard, unsigned n_shards, const char *suffix,
                    semcal_error *error);
/* Reads products from root level (folder "") or from "collapse/<name>/"; checks them against their digest. */
semcal_status sc_store_read_products_at(sc_store_products *products, sc_store_cell *cell, const char *folder,
                                        const char *collapse, semcal_error *error);

/* Removes a folder of files. */
void sc_store_remove_folder(const char *path);

#endif

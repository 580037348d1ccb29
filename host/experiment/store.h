/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The result store of a run: one closed, checksummed HDF5 file per cell.
 *
 *     RUN/cells/<cell>.h5                     the finished cell
 *     RUN/cells/<cell>.segments/NNNNNN.h5     what is committed while the cell runs
 *     RUN/cells/<cell>.shard-<i>-of-<n>.h5    (and .segments) the same for one shard of it; `semcal merge` joins them
 *
 * A *record* is what the generator finished for one question. Records are appended in any order; a writer thread turns
 * them into closed segments (written beside, fsynced, renamed) every few seconds, so that a kill loses at most those
 * seconds and a reader never sees a broken file. Finishing merges the segments in dataset order. The *content digest*
 * of the generated data is the same for any order, segmenting, shard or resume.
 *
 * Variables of a cell file are on the dimensions `question`, `draw` (M), `node`, `answer`, `law`, `response`, `class`,
 * `top` and, with full_logits, `logits_row` and `vocabulary`; the complete list with types and units is the table in
 * store_table.c. Indices in the file are rows of their dimension (draw_leaf and node_parent of `node`, draw_class of
 * `class`, node_question of `question`), so that `ds.class_label[ds.draw_class]` works; in the structs here they count
 * within the question.
 */
#ifndef SC_EXPERIMENT_STORE_H
#define SC_EXPERIMENT_STORE_H

#include "base/error.h"
#include "sampling/tree.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- what is stored ---- */

/* One question as generated. Pointers are malloc'ed and the record's own; texts are NUL-terminated and become valid
 * UTF-8 when stored. Begin with SC_STORE_RECORD_INIT. */
typedef struct sc_store_record {
    uint64_t index;      /* of the question in the dataset, from 0 */
    char *id, *question; /* the question's id and text */
    char *prompt;        /* the text given to the model */
    int32_t n_prompt_tokens;
    size_t n_answers;        /* accepted reference answers */
    char **answers;          /* [n_answers] */
    size_t n_law;            /* known law of the right answer, 0: unknown */
    char **law_label;        /* [n_law] */
    double *law_probability; /* [n_law] */
    char *reference;         /* the text whose log-probability is tree.logprob_reference; NULL is "" */
    sc_tree tree;            /* draws and prefix tree, M = the cell's n_draws, node 0 is the prompt */
    /* Enumerated responses (estimators exact and hybrid), then those drawn from their tail (hybrid); 0 otherwise */
    size_t n_found;
    int32_t *found_leaf;       /* [n_found] node */
    double *found_logprob;     /* [n_found] of the whole response, tempered */
    double *found_logprob_raw; /* [n_found] at temperature 1 */
    uint8_t *found_finish;     /* [n_found] sc_finish */
    uint8_t *found_tail;       /* [n_found] 1: a draw from the law of what enumeration did not find (may repeat) */
    char **found_text;         /* [n_found] valid text */
    double unexplored_mass;    /* probability outside the enumerated responses; NaN when nothing was enumerated */
    /* Laws of the tree that are kept as a whole, in the order of their nodes; 0 without full_logits */
    size_t n_logits;
    int32_t *logits_node;      /* [n_logits] node; filled by sc_store_append */
    int32_t *logits_target;    /* [n_logits] the token that the first draw through the node took there */
    char *logits_sha256;       /* of their numbers */
    const char *logits_file;   /* where they are when not in the tree's spill: a cell file, borrowed, */
    uint64_t logits_first;     /* and its row of the first */
    uint64_t n_forward_tokens; /* run through the model for this question; depends on scheduling, not in the digest */
} sc_store_record;

#define SC_STORE_RECORD_INIT                                                                                           \
    {                                                                                                                  \
        .unexplored_mass = (double)NAN                                                                                 \
    }

void sc_store_record_free(sc_store_record *record);

/* A malloc'ed copy of any bytes as valid UTF-8 without NUL: what is not becomes U+FFFD. */
char *sc_store_text(const char *bytes, size_t length, semcal_error *error);

/* Provenance: becomes a text attribute of the file. */
typedef struct sc_store_attribute {
    const char *name, *text;
    bool identity; /* true: must agree between segments, shards and a resumed run (config, model, dataset, seed...);
                      false: may differ (host, device name, time) */
} sc_store_attribute;

typedef struct sc_store_options {
    uint64_t n_questions;     /* of the whole cell, all shards together */
    size_t n_draws;           /* M; 0 when the cell has only enumerated responses */
    size_t n_top;             /* k */
    bool raw;                 /* temperature is not 1: raw log-probabilities are stored beside the tempered ones */
    size_t n_vocabulary;      /* V to keep every law of the trees as a whole, 0: the top alone */
    unsigned shard, n_shards; /* this process works on questions with index % n_shards == shard - 1; 1 of 1: all */
    unsigned deflate;         /* 0 to 9 */
    double commit_seconds;    /* a segment is closed at least this often while records come */
    size_t commit_questions;  /* ... or when it has this many questions */
    size_t queue_records;     /* appending waits when this many records are not yet taken by the writer */
    bool fresh;               /* forget what the folder holds for this cell */
    const sc_store_attribute *attributes; /* borrowed during sc_store_open only */
    size_t n_attributes;
    /* Told what was discarded or merged, one line each; called from sc_store_open and the writer thread. May be NULL.
     */
    void (*log)(const char *line, void *payload);
    void *payload;
} sc_store_options;

#define SC_STORE_OPTIONS_INIT                                                                                          \
    {                                                                                                                  \
        .shard = 1, .n_shards = 1, .deflate = 1, .commit_seconds = 10, .commit_questions = 256, .queue_records = 1024  \
    }

/* ---- writing ---- */

typedef struct sc_store sc_store;

/* Opens the cell for writing and finds out what is there. Damaged or half-written segments are deleted with a log line;
 * their questions are to be done again. SEMCAL_E_CONFIG when the folder holds data of another configuration (an
 * identity attribute or a size differs; the message names it), SEMCAL_E_DATA on file errors. */
semcal_status sc_store_open(sc_store **store, const char *run_folder, const char *cell, const sc_store_options *options,
                            semcal_error *error);

/* True when question `index` still has to be generated by this shard: not committed, not appended. */
bool sc_store_wants(const sc_store *store, uint64_t index);

/* Questions of this shard, and how many of them are committed (durable on disk). */
uint64_t sc_store_n_wanted(const sc_store *store);
uint64_t sc_store_n_committed(sc_store *store);

/* True when the finished file is already there; nothing needs to be appended. */
bool sc_store_is_finished(const sc_store *store);

/* Hands a record to the writer thread. Takes the record's contents over, also on failure, and leaves *record empty.
 * Waits only when the queue is full. Checks what must hold (sizes, indices, NaN, +inf: SEMCAL_E_NUMERIC naming
 * question, node and token). An earlier failure of the writer is reported here. Not thread-safe: one appending thread.
 */
semcal_status sc_store_append(sc_store *store, sc_store_record *record, semcal_error *error);

/* Returns when everything appended is durable. */
semcal_status sc_store_commit(sc_store *store, semcal_error *error);

/* Commits, merges the segments into the finished file (atomically), deletes them. `attributes` are added (wall
 * time...). SEMCAL_E_DATA when questions are missing; the message counts them and everything stays as it is. */
semcal_status sc_store_finish(sc_store *store, const sc_store_attribute *attributes, size_t n_attributes,
                              semcal_error *error);

/* Where the laws of trees wait until they are written (full_logits); NULL when they are not kept, or the cell is
 * finished. Lives as long as the store. */
sc_spill *sc_store_spill(sc_store *store);

/* Time the writer thread has worked so far. */
double sc_store_writer_s(sc_store *store);

/* Commits what was appended (also after Ctrl-C), stops the writer thread, frees the store and sets it to NULL. */
semcal_status sc_store_close(sc_store **store, semcal_error *error);

/* ---- reading ---- */

typedef struct sc_store_cell sc_store_cell;

/* What a finished cell file (or a segment) holds. */
typedef struct sc_store_facts {
    uint64_t n_questions;      /* in this file */
    uint64_t n_cell_questions; /* in the whole cell; more than n_questions for shards and segments */
    size_t n_draws, n_top;
    uint64_t n_nodes; /* of all questions */
    bool raw;
    size_t n_vocabulary; /* V, 0: no law is kept as a whole */
    unsigned shard, n_shards;
    const char *cell; /* its name */
    const char *content_sha256;
    const char *collapse; /* the active collapse, NULL when there is none */
} sc_store_facts;

semcal_status sc_store_cell_open(sc_store_cell **cell, const char *path, semcal_error *error);
void sc_store_cell_close(sc_store_cell **cell);
const sc_store_facts *sc_store_cell_facts(const sc_store_cell *cell);

/* A text attribute, or NULL; lives as long as the cell. */
const char *sc_store_cell_attribute(const sc_store_cell *cell, const char *name);

enum {
    SC_STORE_NODES = 1, /* with node arrays; without, tree.n_nodes is 0 and only draws and texts are read */
};

/* Reads question i (row of the file, 0 .. n_questions-1) into *record, which the caller frees. Rows are read in blocks:
 * going through them in order is fast. */
semcal_status sc_store_cell_read(sc_store_record *record, sc_store_cell *cell, uint64_t i, unsigned what,
                                 semcal_error *error);

/* Rows first .. first + n - 1 of the question's whole laws: logits[n * V], as the model gave them, at temperature 1;
 * law k is that after record.logits_node[k]. SEMCAL_E_DATA when there are fewer. */
semcal_status sc_store_cell_read_logits(float *logits, sc_store_cell *cell, uint64_t i, uint64_t first, uint64_t n,
                                        semcal_error *error);

/* A question-level number column by name (e.g. "confidence_frequency"), malloc'ed [n_questions] doubles; integers are
 * converted. SEMCAL_E_DATA when it is not there. */
semcal_status sc_store_cell_column(double **values, sc_store_cell *cell, const char *name, semcal_error *error);

/* ---- products of a collapse ---- */

typedef enum sc_store_kind { SC_STORE_REAL, SC_STORE_INT, SC_STORE_TEXT } sc_store_kind;

/* A question-level variable. `name` as in the file, e.g. "confidence_split"; units "1" for shares and probabilities,
 * "nat" for entropies. Missing: NaN, -1, "". */
typedef struct sc_store_column {
    char *name, *long_name, *units;
    sc_store_kind kind;
    double *reals; /* [n_questions], SC_STORE_REAL */
    int32_t *ints; /* [n_questions], SC_STORE_INT */
    char **texts;  /* [n_questions], SC_STORE_TEXT */
} sc_store_column;

/* Everything a collapse adds to a cell. Q = n_questions, M = n_draws, K = n_classes of all questions. Pointers are
 * malloc'ed and its own when it was read; for writing they may be anyone's. */
typedef struct sc_store_products {
    char *collapse;                           /* name: letters, digits, _ and - */
    size_t n_questions, n_draws, n_responses; /* n_responses is set by reading */
    int32_t *draw_class;                      /* [Q, M] class within the question */
    size_t *first_class;  /* [Q+1] classes of question q are first_class[q] .. first_class[q+1]-1; K = the last */
    char **class_label;   /* [K] */
    int32_t *class_count; /* [K] draws */
    double *class_mass;   /* [K] estimate of pi(k): mass found, normalised over the classes found */
    double *class_mass_lower, *class_mass_upper; /* [K] certain bounds; NULL: not known */
    uint8_t *class_correct;                      /* [K] 1: holds a reference answer */
    int32_t *response_class; /* [all enumerated responses] class within the question; NULL when there are none */
    /* kinds with a judge: its reply to the response, "" where it was not asked; NULL for other kinds */
    char **draw_short_answer;     /* [Q, M] */
    char **response_short_answer; /* [all enumerated responses]; NULL when there are none */
    int32_t *mode_class;          /* [Q] class within the question, -1: none; stored as the column mode_class */
    sc_store_column *columns;     /* [n_columns] confidence_frequency, correct, semantic_entropy, ... */
    size_t n_columns;
    sc_store_attribute *attributes; /* [n_attributes] options of the collapse */
    size_t n_attributes;
} sc_store_products;

/* Frees products that were read. */
void sc_store_products_free(sc_store_products *products);

/* Makes `products` the active collapse of a finished cell file: root-level variables are replaced, the group
 * /collapse/<name> keeps them beside those of other collapses. Works on a copy that is renamed into place; what was
 * generated, and its digest, are not touched. */
semcal_status sc_store_write_products(const char *path, const sc_store_products *products, semcal_error *error);

/* Reads the products of `collapse` (NULL: the active one). SEMCAL_E_DATA naming those there are when it is missing. */
semcal_status sc_store_read_products(sc_store_products *products, sc_store_cell *cell, const char *collapse,
                                     semcal_error *error);

/* The attribute of a collapse that says how many splits its split estimator averages, and its number; files from before
 * it was there have the standard number. */
#define SC_STORE_SPLITS "splits"
semcal_status sc_store_collapse_splits(unsigned *splits, sc_store_cell *cell, const char *collapse,
                                       semcal_error *error);
/* Any attribute of a collapse, malloc'ed; NULL when it has none of that name. */
semcal_status sc_store_collapse_attribute(char **text, sc_store_cell *cell, const char *collapse, const char *name,
                                          semcal_error *error);

/* Names of the collapses in the file; free with sc_file_list_free. */
semcal_status sc_store_collapses(char ***names, size_t *n_names, sc_store_cell *cell, semcal_error *error);

/* ---- whole runs ---- */

/* Cell files end in a line with the sha256 of everything before it. *sealed is false for files of other programs;
 * SEMCAL_E_DATA when there is such a line and the file does not match it. */
semcal_status sc_store_look_at_seal(bool *sealed, const char *path, semcal_error *error);

/* One line per finding; `bad` tells a fault from a remark. */
typedef void (*sc_store_report)(const char *line, bool bad, void *payload);

/* Reads everything a run folder stores: checksums, digests, completeness. SEMCAL_E_DATA when anything is wrong. */
semcal_status sc_store_verify(const char *run_folder, sc_store_report report, void *payload, semcal_error *error);

/* Joins the finished shards of every cell: same identity attributes, disjoint, complete. The digest is that of an
 * unsharded run. The shard files are deleted afterwards. */
semcal_status sc_store_merge(const char *run_folder, sc_store_report report, void *payload, semcal_error *error);

#endif

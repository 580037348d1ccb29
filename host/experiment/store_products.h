/* SPDX-License-Identifier: Apache-2.0 */
/* What the store_products*.c files share. */
#ifndef SC_EXPERIMENT_STORE_PRODUCTS_H
#define SC_EXPERIMENT_STORE_PRODUCTS_H

#include "experiment/store_internal.h"

typedef enum sc_products_rows { ON_QUESTION, ON_DRAW, ON_CLASS, ON_RESPONSE } sc_products_rows;

/* The fixed variables. `shifted` ones count classes within the question in memory and rows of `class` in the file. */
typedef struct sc_products_variable {
    const char *name, *long_name, *units;
    sc_h5_type type;
    sc_products_rows rows;
    bool shifted, optional;
    size_t offset; /* of the pointer in sc_store_products */
} sc_products_variable;

extern const sc_products_variable sc_products_variables[];
extern const size_t sc_products_n_variables;

#define SC_PRODUCTS_OWNER "class_question"

size_t sc_products_n_rows(const sc_store_products *p, const sc_store_cell *cell, sc_products_rows rows);
void *sc_products_values(const sc_store_products *p, const sc_products_variable *v);

/* First row of question q; q = n_questions: one behind the last. */
size_t sc_products_first_row(const sc_store_products *p, const sc_store_cell *cell, sc_products_rows rows, size_t q);

/* Some neighbouring questions: first .. first + n - 1, whose rows of a variable begin at `row`. */
typedef struct sc_products_window {
    size_t first, n, row;
} sc_products_window;

/* Adds (sign 1) or takes away (-1) the first class of the question in the window's rows; SEMCAL_E_DATA on a class out
 * of range. */
semcal_status sc_products_shift(int32_t *out, const int32_t *in, const sc_store_products *p, const sc_store_cell *cell,
                                const sc_products_variable *v, const sc_products_window *window, int sign,
                                semcal_error *error);

sc_h5_type sc_products_column_type(sc_store_kind kind);
const void *sc_products_column_values(const sc_store_column *column);

/* The digest: the classes of each question, then variable by variable (sc_products_digest_name) its values, which may
 * come in parts. Ending frees it, and must follow beginning in any case. */
typedef struct sc_products_digest {
    struct sc_sha256 *sum;
    sc_text bytes;
} sc_products_digest;

semcal_status sc_products_digest_begin(sc_products_digest *digest, const sc_store_products *p, semcal_error *error);
semcal_status sc_products_digest_name(sc_products_digest *digest, const char *name, size_t n, semcal_error *error);
semcal_status sc_products_digest_add(sc_products_digest *digest, sc_h5_type type, const void *values, size_t n,
                                     semcal_error *error);
void sc_products_digest_end(char hex[65], sc_products_digest *digest);
/* Of products that are in memory. */
semcal_status sc_products_digest_all(char hex[65], const sc_store_products *p, const sc_store_cell *cell,
                                     semcal_error *error);

/* Where the values of products come from. Variables are numbered: those of the table, then the columns. */
typedef struct sc_products_source {
    const sc_store_products *products; /* sizes, names, attributes, first_class; its arrays are the source's affair */
    bool (*has)(size_t number, void *payload);
    /* Rows first .. first + n - 1, valid until the next call; asked for in the order of rows. */
    semcal_status (*read)(const void **values, size_t number, size_t first, size_t n, void *payload,
                          semcal_error *error);
    void *payload;
} sc_products_source;

/* sc_store_write_products of what is not in memory as a whole. */
semcal_status sc_products_write(const char *path, const sc_products_source *source, semcal_error *error);

/* Products of any number of questions on their way to the file, made question by question: they wait on tapes, in
 * memory are the two blocks that each tape has at hand, and first_class. */
typedef struct sc_products_spool {
    sc_store_products all; /* sizes, names, first_class; no arrays */
    sc_spill *spill;
    struct sc_products_reel *reels; /* [n_reels] one per variable */
    size_t n_reels, n_done;         /* n_done: questions put */
} sc_products_spool;

/* For the cell file `path`. `columns` (their names) are borrowed until the spool is freed. */
semcal_status sc_products_spool_open(sc_products_spool *spool, const char *path, size_t n_questions, size_t n_draws,
                                     sc_store_column *columns, size_t n_columns, semcal_error *error);
/* Adds the next question: products of n_questions 1, whose n_responses is set. */
semcal_status sc_products_spool_put(sc_products_spool *spool, const sc_store_products *one, semcal_error *error);
/* What sc_products_write wants; spool->all may be given a name and attributes before. */
sc_products_source sc_products_spool_source(sc_products_spool *spool);
void sc_products_spool_free(sc_products_spool *spool);

/* The digest stored with a collapse of the cell; malloc'ed. */
semcal_status sc_store_products_sha256(char **sha256, sc_store_cell *cell, const char *collapse, semcal_error *error);

#endif

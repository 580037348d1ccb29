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

/* Adds (sign 1) or takes away (-1) the first class of the question; SEMCAL_E_DATA on a class out of range. */
semcal_status sc_products_shift(int32_t *out, const int32_t *in, const sc_store_products *p, const sc_store_cell *cell,
                                const sc_products_variable *v, int sign, semcal_error *error);

sc_h5_type sc_products_column_type(sc_store_kind kind);
const void *sc_products_column_values(const sc_store_column *column);
semcal_status sc_products_digest(char hex[65], const sc_store_products *p, const sc_store_cell *cell,
                                 semcal_error *error);
/* The digest stored with a collapse of the cell; malloc'ed. */
semcal_status sc_store_products_sha256(char **sha256, sc_store_cell *cell, const char *collapse, semcal_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An array of numbers in any file this project reads: .npy, a tensor of a .safetensors file or folder, a dataset of an
 * HDF5 file. Read by rows (everything behind the first dimension), so that a file may be larger than memory.
 */
#ifndef SC_FORMATS_TABLE_H
#define SC_FORMATS_TABLE_H

#include "formats/safetensors.h"

typedef struct sc_table sc_table;

/* What is stored. HDF5 converts while it reads: half and single precision come as F32, integers as I64. */
typedef struct sc_table_shape {
    sc_dtype type;
    size_t n_dims;
    uint64_t length[SC_TENSOR_MAX_DIMS];
    uint64_t row_elements; /* product of all lengths but the first */
} sc_table_shape;

/* `where` is PATH, or PATH:NAME for a tensor or dataset. Without a name the first of `names` [n_names] that exists is
 * taken, else the only array of the file. SEMCAL_E_DATA when there is no such file or array, when it ends early, or
 * when several could be meant (they are listed). */
semcal_status sc_table_open(sc_table **table, const char *where, const char *const *names, size_t n_names,
                            semcal_error *error);
void sc_table_close(sc_table *table);

const sc_table_shape *sc_table_get_shape(const sc_table *table);
/* The file without the name, and PATH or PATH:NAME for messages. */
const char *sc_table_path(const sc_table *table);
const char *sc_table_label(const sc_table *table);

/* Rows first .. first + n - 1. Raw: elements of the shape's type; ints: SEMCAL_E_DATA from a type that is no integer.
 * Any thread, one at a time. */
semcal_status sc_table_read_raw(void *out, sc_table *table, uint64_t first, uint64_t n, semcal_error *error);
semcal_status sc_table_read_floats(float *out, sc_table *table, uint64_t first, uint64_t n, semcal_error *error);
semcal_status sc_table_read_doubles(double *out, sc_table *table, uint64_t first, uint64_t n, semcal_error *error);
semcal_status sc_table_read_ints(int64_t *out, sc_table *table, uint64_t first, uint64_t n, semcal_error *error);

#endif

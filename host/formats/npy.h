/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NumPy's .npy files: arrays of half, single and double precision and of integers, read and written row by row.
 *
 * Little-endian, C order (what numpy.save writes on common machines). A row is everything behind the first dimension.
 */
#ifndef SC_FORMATS_NPY_H
#define SC_FORMATS_NPY_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

typedef enum sc_npy_type {
    SC_NPY_F16,
    SC_NPY_F32,
    SC_NPY_F64,
    SC_NPY_I8,
    SC_NPY_I16,
    SC_NPY_I32,
    SC_NPY_I64,
    SC_NPY_U8,
    SC_NPY_U16,
    SC_NPY_U32,
    SC_NPY_U64,
    SC_NPY_BOOL
} sc_npy_type;

enum { SC_NPY_MAX_DIMS = 8 };

typedef struct sc_npy sc_npy;

typedef struct sc_npy_shape {
    sc_npy_type type;
    size_t n_dims; /* a scalar is read as one dimension of length 1 */
    uint64_t length[SC_NPY_MAX_DIMS];
    uint64_t row_elements; /* product of all lengths but the first */
} sc_npy_shape;

/* ---- reading ---- */

/* SEMCAL_E_DATA when it is no .npy file, has another byte order, type or layout, or is shorter than its shape. */
semcal_status sc_npy_open(sc_npy **npy, const char *path, semcal_error *error);
const sc_npy_shape *sc_npy_get_shape(const sc_npy *npy);

/* Rows first .. first+n-1, converted; out has n * row_elements elements. To float only from F16 and F32 (the others
 * would lose digits); to double from any type; to int64_t from integers that fit. */
semcal_status sc_npy_read_floats(float *out, sc_npy *npy, uint64_t first, uint64_t n, semcal_error *error);
semcal_status sc_npy_read_doubles(double *out, sc_npy *npy, uint64_t first, uint64_t n, semcal_error *error);
semcal_status sc_npy_read_ints(int64_t *out, sc_npy *npy, uint64_t first, uint64_t n, semcal_error *error);
/* As stored, n * row_elements * element size bytes. */
semcal_status sc_npy_read_raw(void *out, sc_npy *npy, uint64_t first, uint64_t n, semcal_error *error);

/* ---- writing: rows are appended; the file appears under its name when it is closed ---- */

/* `shape->length[0]` is not used: it becomes the number of rows appended. */
semcal_status sc_npy_create(sc_npy **npy, const char *path, const sc_npy_shape *shape, semcal_error *error);
semcal_status sc_npy_append(sc_npy *npy, const void *rows, uint64_t n, semcal_error *error);

/* Closes; a file being written is completed, fsynced and renamed into place. *npy becomes NULL in any case. */
semcal_status sc_npy_close(sc_npy **npy, semcal_error *error);
/* Closes without completing: what was being written is removed. */
void sc_npy_discard(sc_npy **npy);

size_t sc_npy_element_size(sc_npy_type type);

#endif

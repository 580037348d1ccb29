/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HDF5 files as this project writes them: readable by h5py, h5dump, and by xarray through netCDF-4's conventions.
 *
 * Every dataset lies on named dimensions (dimension scales); numbers are shuffled, deflated and carry a Fletcher-32
 * checksum per chunk; texts are variable-length UTF-8. The file format is the default one (HDF5 1.8 can read it).
 *
 * Paths inside a file are relative to its root: "draw_leaf", "collapse/exact/class_label"; "" is the root itself.
 * All calls may come from any thread; one mutex serialises them, as the library need not be thread-safe. Failures give
 * one line "file: what: reason" with SEMCAL_E_DATA; HDF5 prints nothing.
 */
#ifndef SC_FORMATS_H5_H
#define SC_FORMATS_H5_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sc_h5 sc_h5;

/* Memory types: double, float, int64_t, int32_t, uint8_t, char *. */
typedef enum sc_h5_type { SC_H5_F64, SC_H5_F32, SC_H5_I64, SC_H5_I32, SC_H5_U8, SC_H5_TEXT } sc_h5_type;

/* Chunks are about this large: big enough to compress, small enough that reading one row is cheap. */
enum { SC_H5_MAX_DIMS = 4, SC_H5_CHUNK_BYTES = 256 * 1024 };

/* Makes a new file (an old one is replaced), or opens one. Closing reports what could not be written: a file is good
 * only after sc_h5_close returned SEMCAL_OK. `*file` becomes NULL in any case. */
semcal_status sc_h5_create(sc_h5 **file, const char *path, semcal_error *error);
semcal_status sc_h5_open(sc_h5 **file, const char *path, bool writable, semcal_error *error);
semcal_status sc_h5_close(sc_h5 **file, semcal_error *error);
const char *sc_h5_path(const sc_h5 *file);

/* From now on datasets that are read or written stay open until the file is closed or they are let go, with the chunk
 * that was used last in memory: one that several calls share is inflated or deflated once. */
void sc_h5_keep_open(sc_h5 *file);
/* Closes them, to be kept open anew when they are used again. SEMCAL_E_DATA when something could not be written. */
semcal_status sc_h5_let_go(sc_h5 *file, semcal_error *error);

/* ---- structure ---- */

/* Makes a group and its parents; an existing one is fine. */
semcal_status sc_h5_make_group(sc_h5 *file, const char *path, semcal_error *error);

/* Makes a named dimension without a coordinate variable. An extendible one begins with `length` and grows with
 * sc_h5_append. */
semcal_status sc_h5_make_dimension(sc_h5 *file, const char *path, uint64_t length, bool extendible,
                                   semcal_error *error);

typedef struct sc_h5_spec {
    const char *path;
    sc_h5_type type;
    size_t n_dims;                    /* 1 .. SC_H5_MAX_DIMS */
    const char *dims[SC_H5_MAX_DIMS]; /* paths of dimensions; the first may be extendible */
    unsigned deflate;                 /* 0: not compressed */
    const char *long_name, *units;    /* what xarray and ncdump show; units "" for texts and labels */
} sc_h5_spec;

/* Makes a dataset of the dimensions' lengths. */
semcal_status sc_h5_make_dataset(sc_h5 *file, const sc_h5_spec *spec, semcal_error *error);

/* Unlinks a dataset, dimension or group (with all below it). Datasets are detached from their dimensions first; a
 * dimension that still has datasets on it is refused. */
semcal_status sc_h5_delete(sc_h5 *file, const char *path, semcal_error *error);

bool sc_h5_exists(sc_h5 *file, const char *path);

typedef struct sc_h5_shape {
    size_t n_dims; /* 0: a scalar */
    uint64_t length[SC_H5_MAX_DIMS];
    sc_h5_type type;               /* the memory type that holds it without loss */
    char storage[32];              /* e.g. "float64", "int32", "text" */
    bool is_dimension;             /* a dimension scale */
    char dims[SC_H5_MAX_DIMS][64]; /* names of the dimensions, "" where none is attached */
} sc_h5_shape;

/* SEMCAL_E_DATA when it is no dataset, has more dimensions than SC_H5_MAX_DIMS or an unsupported type. */
semcal_status sc_h5_get_shape(sc_h5_shape *shape, sc_h5 *file, const char *path, semcal_error *error);

/* Names below a group, in the order they were made, with `is_group` ([n], may be NULL). Free with sc_file_list_free
 * and free. */
semcal_status sc_h5_list(char ***names, bool **is_group, size_t *n, sc_h5 *file, const char *group,
                         semcal_error *error);

/* ---- contents ----
 * `start` and `count` have one number per dimension; NULL start begins at 0, NULL count means everything. Data is
 * row-major in the memory type given; HDF5 converts. Texts are arrays of char *: NULL is written as "", what is read is
 * malloc'ed, never NULL, and the caller's to free. */

semcal_status sc_h5_write(sc_h5 *file, const char *path, sc_h5_type type, const uint64_t *start, const uint64_t *count,
                          const void *data, semcal_error *error);
semcal_status sc_h5_read(sc_h5 *file, const char *path, sc_h5_type type, const uint64_t *start, const uint64_t *count,
                         void *data, semcal_error *error);

/* Adds `rows` rows at the end of the (extendible) first dimension, which grows along. */
semcal_status sc_h5_append(sc_h5 *file, const char *path, sc_h5_type type, uint64_t rows, const void *data,
                           semcal_error *error);

/* ---- attributes of a dataset or group; setting replaces ---- */

semcal_status sc_h5_set_text(sc_h5 *file, const char *path, const char *name, const char *text, semcal_error *error);
semcal_status sc_h5_set_int(sc_h5 *file, const char *path, const char *name, int64_t value, semcal_error *error);
semcal_status sc_h5_set_real(sc_h5 *file, const char *path, const char *name, double value, semcal_error *error);
semcal_status sc_h5_set_texts(sc_h5 *file, const char *path, const char *name, const char *const *texts, size_t n,
                              semcal_error *error);

bool sc_h5_has(sc_h5 *file, const char *path, const char *name);
/* `*text` is malloc'ed. */
semcal_status sc_h5_get_text(char **text, sc_h5 *file, const char *path, const char *name, semcal_error *error);
semcal_status sc_h5_get_int(int64_t *value, sc_h5 *file, const char *path, const char *name, semcal_error *error);
semcal_status sc_h5_get_real(double *value, sc_h5 *file, const char *path, const char *name, semcal_error *error);
/* Free with sc_file_list_free. */
semcal_status sc_h5_get_texts(char ***texts, size_t *n, sc_h5 *file, const char *path, const char *name,
                              semcal_error *error);
/* Names of the attributes that are not bookkeeping of dimensions, and each value as text for people. */
semcal_status sc_h5_list_attributes(char ***names, char ***values, size_t *n, sc_h5 *file, const char *path,
                                    semcal_error *error);

#endif

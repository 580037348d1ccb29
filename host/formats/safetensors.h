/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tensors in safetensors files: one file, or a Hugging Face folder with model.safetensors or
 * model.safetensors.index.json. Files are mapped, not read; a tensor's bytes stay valid until the set is closed.
 *
 * Everything the header claims is checked against the file before a tensor can be looked up: sizes, offsets, overlaps,
 * gaps, duplicate names. A defect is one SEMCAL_E_DATA line with file, tensor and numbers.
 */
#ifndef SC_FORMATS_SAFETENSORS_H
#define SC_FORMATS_SAFETENSORS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum sc_dtype {
    SC_DTYPE_F64,
    SC_DTYPE_F32,
    SC_DTYPE_F16,
    SC_DTYPE_BF16,
    SC_DTYPE_I64,
    SC_DTYPE_I32,
    SC_DTYPE_I16,
    SC_DTYPE_I8,
    SC_DTYPE_U64,
    SC_DTYPE_U32,
    SC_DTYPE_U16,
    SC_DTYPE_U8,
    SC_DTYPE_BOOL
} sc_dtype;

#define SC_TENSOR_MAX_DIMS 8

typedef struct sc_tensor {
    const char *name;
    sc_dtype dtype;
    size_t n_dims;
    uint64_t shape[SC_TENSOR_MAX_DIMS];
    uint64_t n_elements;
    const unsigned char *data; /* little-endian, row-major, at any alignment; NULL when empty */
    uint64_t n_bytes;
    const char *file; /* path it came from */
} sc_tensor;

typedef struct sc_tensor_set sc_tensor_set;

/* The name safetensors gives a type ("BF16"), and its bytes per element. */
const char *sc_dtype_name(sc_dtype dtype);
size_t sc_dtype_size(sc_dtype dtype);

/* Opens a .safetensors file, or a folder: its model.safetensors.index.json with all shards, else its
 * model.safetensors. */
semcal_status sc_tensor_set_open(sc_tensor_set **set, const char *path, semcal_error *error);

/* The same from `length` bytes in memory, which must outlive the set; `name` stands for the path in messages. */
semcal_status sc_tensor_set_parse(sc_tensor_set **set, const void *data, size_t length, const char *name,
                                  semcal_error *error);

/* NULL is fine. */
void sc_tensor_set_close(sc_tensor_set *set);

/* All tensors, sorted by name. */
const sc_tensor *sc_tensor_set_all(const sc_tensor_set *set, size_t *n);

/* NULL when there is none of that name. */
const sc_tensor *sc_tensor_set_find(const sc_tensor_set *set, const char *name);

/* The files the set was made of, in the order opened; for hashes. */
const char *const *sc_tensor_set_files(const sc_tensor_set *set, size_t *n);

/* Elements `first` .. `first + n - 1` as numbers; any type. Exact except F64, I64, U64, I32, U32 as float and I64, U64
 * as double. */
void sc_tensor_get_floats(float *out, const sc_tensor *tensor, uint64_t first, size_t n);
void sc_tensor_get_doubles(double *out, const sc_tensor *tensor, uint64_t first, size_t n);

/* "[2, 3]" into `text`. */
void sc_tensor_shape_text(char *text, size_t size, const uint64_t *shape, size_t n_dims);

/* IEEE half and bfloat16 bits as float; exact. */
float sc_float_from_half(uint16_t bits);
float sc_float_from_bfloat(uint16_t bits);

#endif

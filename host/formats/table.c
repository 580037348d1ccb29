/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE /* madvise */
#include "formats/table.h"

#include "base/file.h"
#include "base/memory.h"
#include "formats/h5.h"
#include "formats/npy.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct sc_table {
    sc_table_shape shape;
    char *path, *name, *label;
    /* one of these */
    sc_npy *npy;
    sc_tensor_set *set;
    const sc_tensor *tensor;
    sc_h5 *h5;
    sc_h5_type memory; /* of h5 */
};

static semcal_status fail(const sc_table *t, semcal_error *error, const char *what)
{
    return sc_error_set(error, SEMCAL_E_DATA, "%s: %s", t->label, what);
}

/* ---- which array ---- */

/* The name to read: the one given, a usual one, the only one. `all` are the arrays there are. */
static semcal_status choose_name(sc_table *t, const char *const *all, size_t n, const char *const *names,
                                 size_t n_names, semcal_error *error)
{
    const char *found = NULL;
    for (size_t i = 0; t->name != NULL && i < n && found == NULL; i++) {
        found = strcmp(all[i], t->name) == 0 ? all[i] : NULL;
    }
    for (size_t k = 0; t->name == NULL && k < n_names && found == NULL; k++) {
        for (size_t i = 0; i < n && found == NULL; i++) {
            found = strcmp(all[i], names[k]) == 0 ? all[i] : NULL;
        }
    }
    if (found == NULL && t->name == NULL && n == 1) {
        found = all[0];
    }
    if (found == NULL) {
        sc_text list = {0};
        semcal_status status = SEMCAL_OK;
        for (size_t i = 0; status == SEMCAL_OK && i < n && i < 12; i++) {
            status = sc_text_printf(&list, error, "%s%s", i == 0 ? "" : ", ", all[i]);
        }
        if (status == SEMCAL_OK) {
            status = sc_error_set(error, SEMCAL_E_DATA, "%s: %s; it has %s%s", t->label,
                                  t->name != NULL ? "no such array" : "which array is meant? Name it as FILE:NAME",
                                  n == 0 ? "none" : list.data, n > 12 ? ", ..." : "");
        }
        sc_text_free(&list);
        return status;
    }
    char *name = sc_memory_strdup(found, error);
    free(t->name);
    t->name = name;
    return name == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
}

static semcal_status open_npy(sc_table *t, semcal_error *error)
{
    static const sc_dtype types[] = {
        [SC_NPY_F16] = SC_DTYPE_F16, [SC_NPY_F32] = SC_DTYPE_F32, [SC_NPY_F64] = SC_DTYPE_F64,
        [SC_NPY_I8] = SC_DTYPE_I8,   [SC_NPY_I16] = SC_DTYPE_I16, [SC_NPY_I32] = SC_DTYPE_I32,
        [SC_NPY_I64] = SC_DTYPE_I64, [SC_NPY_U8] = SC_DTYPE_U8,   [SC_NPY_U16] = SC_DTYPE_U16,
        [SC_NPY_U32] = SC_DTYPE_U32, [SC_NPY_U64] = SC_DTYPE_U64, [SC_NPY_BOOL] = SC_DTYPE_BOOL};
    if (t->name != NULL) {
        return fail(t, error, "a .npy file has no named arrays");
    }
    semcal_status status = sc_npy_open(&t->npy, t->path, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    const sc_npy_shape *shape = sc_npy_get_shape(t->npy);
    t->shape.type = types[shape->type];
    t->shape.n_dims = shape->n_dims;
    memcpy(t->shape.length, shape->length, shape->n_dims * sizeof *shape->length);
    return SEMCAL_OK;
}

static semcal_status open_tensor(sc_table *t, const char *const *names, size_t n_names, semcal_error *error)
{
    size_t n;
    semcal_status status = sc_tensor_set_open(&t->set, t->path, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    const sc_tensor *all = sc_tensor_set_all(t->set, &n);
    const char **list = sc_memory_alloc(n, sizeof *list, error);
    if (list == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < n; i++) {
        list[i] = all[i].name;
    }
    status = choose_name(t, list, n, names, n_names, error);
    free(list);
    if (status == SEMCAL_OK) {
        t->tensor = sc_tensor_set_find(t->set, t->name);
        t->shape.type = t->tensor->dtype;
        t->shape.n_dims = t->tensor->n_dims;
        memcpy(t->shape.length, t->tensor->shape, t->tensor->n_dims * sizeof *t->tensor->shape);
    }
    return status;
}

static semcal_status open_h5(sc_table *t, const char *const *names, size_t n_names, semcal_error *error)
{
    char **all = NULL;
    bool *is_group = NULL;
    size_t n = 0, n_arrays = 0;
    semcal_status status = sc_h5_open(&t->h5, t->path, false, error);
    if (status == SEMCAL_OK && t->name == NULL) { /* a name may be a path into groups: HDF5 says whether it exists */
        status = sc_h5_list(&all, &is_group, &n, t->h5, "", error);
        const char **list = status == SEMCAL_OK ? sc_memory_alloc(n, sizeof *list, error) : NULL;
        status = status == SEMCAL_OK && list == NULL ? SEMCAL_E_MEMORY : status;
        for (size_t i = 0; status == SEMCAL_OK && i < n; i++) {
            sc_h5_shape shape;
            if (!is_group[i] && sc_h5_get_shape(&shape, t->h5, all[i], NULL) == SEMCAL_OK && !shape.is_dimension) {
                list[n_arrays++] = all[i];
            }
        }
        if (status == SEMCAL_OK) {
            status = choose_name(t, list, n_arrays, names, n_names, error);
        }
        free(list);
        sc_file_list_free(all, n);
        free(is_group);
    }
    sc_h5_shape shape;
    if (status == SEMCAL_OK) {
        status = sc_h5_get_shape(&shape, t->h5, t->name, error);
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    bool integer = strstr(shape.storage, "int") != NULL;
    if (!integer && strncmp(shape.storage, "float", 5) != 0) {
        return fail(t, error, "holds no numbers");
    }
    t->memory = integer ? SC_H5_I64 : strcmp(shape.storage, "float64") == 0 ? SC_H5_F64 : SC_H5_F32;
    t->shape.type = integer ? SC_DTYPE_I64 : t->memory == SC_H5_F64 ? SC_DTYPE_F64 : SC_DTYPE_F32;
    t->shape.n_dims = shape.n_dims;
    memcpy(t->shape.length, shape.length, shape.n_dims * sizeof *shape.length);
    return SEMCAL_OK;
}

/* ---- opening ---- */

static semcal_status split(sc_table *t, const char *where, semcal_error *error)
{
    const char *colon = sc_file_exists(where) ? NULL : strrchr(where, ':');
    t->label = sc_memory_strdup(where, error);
    t->path = colon == NULL ? sc_memory_strdup(where, error) : sc_memory_strndup(where, (size_t)(colon - where), error);
    t->name = colon == NULL ? NULL : sc_memory_strdup(colon + 1, error);
    return t->label == NULL || t->path == NULL || (colon != NULL && t->name == NULL) ? SEMCAL_E_MEMORY : SEMCAL_OK;
}

static semcal_status open_any(sc_table *t, const char *const *names, size_t n_names, semcal_error *error)
{
    if (!sc_file_exists(t->path)) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: there is no such file", t->path);
    }
    char magic[8] = {0};
    FILE *file = sc_file_is_folder(t->path) ? NULL : fopen(t->path, "rb");
    if (file != NULL) {
        size_t n = fread(magic, 1, sizeof magic, file);
        (void)fclose(file);
        if (n < sizeof magic) {
            return sc_error_set(error, SEMCAL_E_DATA, "%s: ends after %zu bytes", t->path, n);
        }
    }
    if (memcmp(magic, "\x93NUMPY", 6) == 0) {
        return open_npy(t, error);
    }
    return memcmp(magic, "\x89HDF\r\n\x1a\n", 8) == 0 ? open_h5(t, names, n_names, error)
                                                      : open_tensor(t, names, n_names, error);
}

semcal_status sc_table_open(sc_table **table, const char *where, const char *const *names, size_t n_names,
                            semcal_error *error)
{
    *table = NULL;
    sc_table *t = sc_memory_alloc(1, sizeof *t, error);
    if (t == NULL) {
        return SEMCAL_E_MEMORY;
    }
    semcal_status status = split(t, where, error);
    if (status == SEMCAL_OK) {
        status = open_any(t, names, n_names, error);
    }
    if (status == SEMCAL_OK && t->shape.n_dims == 0) {
        status = fail(t, error, "is a single number, not an array");
    }
    if (status != SEMCAL_OK) {
        sc_table_close(t);
        return status;
    }
    t->shape.row_elements = 1;
    for (size_t d = 1; d < t->shape.n_dims; d++) {
        t->shape.row_elements *= t->shape.length[d];
    }
    *table = t;
    return SEMCAL_OK;
}

void sc_table_close(sc_table *t)
{
    if (t == NULL) {
        return;
    }
    if (t->npy != NULL) {
        (void)sc_npy_close(&t->npy, NULL);
    }
    if (t->h5 != NULL) {
        (void)sc_h5_close(&t->h5, NULL);
    }
    sc_tensor_set_close(t->set);
    free(t->path);
    free(t->name);
    free(t->label);
    free(t);
}

const sc_table_shape *sc_table_get_shape(const sc_table *table)
{
    return &table->shape;
}

const char *sc_table_path(const sc_table *table)
{
    return table->path;
}

const char *sc_table_label(const sc_table *table)
{
    return table->label;
}

/* ---- reading ---- */

/* Whole pages of the mapped file up to here are not needed again soon: without this, reading a file by rows would count
 * as memory of the size of the file. They come back from the file when touched. */
static void forget(const unsigned char *from, size_t n)
{
    const long page = sysconf(_SC_PAGESIZE);
    if (page > 0) {
        const uintptr_t size = (uintptr_t)page, start = (uintptr_t)from / size * size;
        const uintptr_t end = ((uintptr_t)from + n) / size * size;
        if (end > start) {
            (void)madvise((void *)start, end - start, MADV_DONTNEED);
        }
    }
}

semcal_status sc_table_read_raw(void *out, sc_table *t, uint64_t first, uint64_t n, semcal_error *error)
{
    if (first > t->shape.length[0] || n > t->shape.length[0] - first) {
        return fail(t, error, "rows past the end");
    }
    size_t row = (size_t)t->shape.row_elements * sc_dtype_size(t->shape.type);
    if (n * row == 0) {
        return SEMCAL_OK;
    }
    if (t->npy != NULL) {
        return sc_npy_read_raw(out, t->npy, first, n, error);
    }
    if (t->tensor != NULL) {
        memcpy(out, t->tensor->data + first * row, (size_t)n * row);
        forget(t->tensor->data + first * row, (size_t)n * row);
        return SEMCAL_OK;
    }
    uint64_t start[SC_TENSOR_MAX_DIMS] = {first}, count[SC_TENSOR_MAX_DIMS];
    memcpy(count, t->shape.length, sizeof count);
    count[0] = n;
    return sc_h5_read(t->h5, t->name, t->memory, start, count, out, error);
}

/* The rows as a tensor in memory, to convert; `*bytes` is to be freed. */
static semcal_status read_tensor(sc_tensor *tensor, char **bytes, sc_table *t, uint64_t first, uint64_t n,
                                 semcal_error *error)
{
    *bytes = sc_memory_alloc((size_t)(n * t->shape.row_elements), sc_dtype_size(t->shape.type), error);
    if (*bytes == NULL) {
        return SEMCAL_E_MEMORY;
    }
    *tensor = (sc_tensor){.dtype = t->shape.type,
                          .n_elements = n * t->shape.row_elements,
                          .data = (const unsigned char *)*bytes,
                          .n_bytes = n * t->shape.row_elements * sc_dtype_size(t->shape.type)};
    return sc_table_read_raw(*bytes, t, first, n, error);
}

semcal_status sc_table_read_floats(float *out, sc_table *t, uint64_t first, uint64_t n, semcal_error *error)
{
    sc_tensor tensor;
    char *bytes;
    semcal_status status = read_tensor(&tensor, &bytes, t, first, n, error);
    if (status == SEMCAL_OK && tensor.n_elements > 0) {
        sc_tensor_get_floats(out, &tensor, 0, (size_t)tensor.n_elements);
    }
    free(bytes);
    return status;
}

semcal_status sc_table_read_doubles(double *out, sc_table *t, uint64_t first, uint64_t n, semcal_error *error)
{
    sc_tensor tensor;
    char *bytes;
    semcal_status status = read_tensor(&tensor, &bytes, t, first, n, error);
    if (status == SEMCAL_OK && tensor.n_elements > 0) {
        sc_tensor_get_doubles(out, &tensor, 0, (size_t)tensor.n_elements);
    }
    free(bytes);
    return status;
}

/* One integer; false when it is none or does not fit. */
static bool get_int(int64_t *out, sc_dtype type, const char *at)
{
    switch (type) {
    case SC_DTYPE_I64:
        memcpy(out, at, 8);
        return true;
    case SC_DTYPE_I32: {
        int32_t x;
        memcpy(&x, at, 4);
        *out = x;
        return true;
    }
    case SC_DTYPE_I16: {
        int16_t x;
        memcpy(&x, at, 2);
        *out = x;
        return true;
    }
    case SC_DTYPE_I8: {
        int8_t x;
        memcpy(&x, at, 1);
        *out = x;
        return true;
    }
    case SC_DTYPE_U64: {
        uint64_t x;
        memcpy(&x, at, 8);
        *out = (int64_t)x;
        return x <= INT64_MAX;
    }
    case SC_DTYPE_U32: {
        uint32_t x;
        memcpy(&x, at, 4);
        *out = x;
        return true;
    }
    case SC_DTYPE_U16: {
        uint16_t x;
        memcpy(&x, at, 2);
        *out = x;
        return true;
    }
    case SC_DTYPE_U8:
    case SC_DTYPE_BOOL:
        *out = (unsigned char)*at;
        return true;
    default:
        return false;
    }
}

semcal_status sc_table_read_ints(int64_t *out, sc_table *t, uint64_t first, uint64_t n, semcal_error *error)
{
    sc_tensor tensor;
    char *bytes;
    semcal_status status = read_tensor(&tensor, &bytes, t, first, n, error);
    size_t size = sc_dtype_size(t->shape.type);
    for (uint64_t i = 0; status == SEMCAL_OK && i < tensor.n_elements; i++) {
        if (!get_int(&out[i], t->shape.type, bytes + i * size)) {
            status = sc_error_set(error, SEMCAL_E_DATA, "%s: must hold integers, has %s", t->label,
                                  sc_dtype_name(t->shape.type));
        }
    }
    free(bytes);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/npy.h"

#include "base/file.h"
#include "base/memory.h"
#include "formats/safetensors.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* Room for the header of a file being written: the number of rows is filled in at the end. */
enum { NPY_HEADER = 256, NPY_MAGIC = 10 };

struct sc_npy {
    char *path, *temporary; /* temporary: NULL when reading */
    FILE *file;
    sc_npy_shape shape;
    uint64_t data_offset, n_rows;
};

static const struct {
    const char *name;
    size_t size;
} npy_types[] = {
    [SC_NPY_F16] = {"f2", 2}, [SC_NPY_F32] = {"f4", 4}, [SC_NPY_F64] = {"f8", 8}, [SC_NPY_I8] = {"i1", 1},
    [SC_NPY_I16] = {"i2", 2}, [SC_NPY_I32] = {"i4", 4}, [SC_NPY_I64] = {"i8", 8}, [SC_NPY_U8] = {"u1", 1},
    [SC_NPY_U16] = {"u2", 2}, [SC_NPY_U32] = {"u4", 4}, [SC_NPY_U64] = {"u8", 8}, [SC_NPY_BOOL] = {"b1", 1},
};

size_t sc_npy_element_size(sc_npy_type type)
{
    return npy_types[type].size;
}

static semcal_status npy_fail(const sc_npy *npy, semcal_error *error, const char *what)
{
    return sc_error_set(error, SEMCAL_E_DATA, "%s: %s", npy->path, what);
}

/* ---- header: a Python dict literal with three known keys ---- */

static const char *value_of(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    if (at == NULL) {
        return NULL;
    }
    at += strlen(key);
    return at + strspn(at, " :");
}

static semcal_status parse_type(sc_npy *npy, const char *text, semcal_error *error)
{
    if (text == NULL || (text[0] != '\'' && text[0] != '"')) {
        return npy_fail(npy, error, "the .npy header has no simple 'descr'; structured arrays are not supported");
    }
    if (strchr("<|=", text[1]) == NULL) {
        return npy_fail(npy, error, "not little-endian; save it again with .astype('<f4') or alike");
    }
    for (size_t i = 0; i < sizeof npy_types / sizeof *npy_types; i++) {
        if (strncmp(text + 2, npy_types[i].name, 2) == 0 && (text[4] == '\'' || text[4] == '"')) {
            npy->shape.type = (sc_npy_type)i;
            return SEMCAL_OK;
        }
    }
    return sc_error_set(error, SEMCAL_E_DATA, "%s: elements of type %.*s are not supported", npy->path,
                        (int)(strcspn(text + 1, "'\"") + 2), text);
}

static semcal_status parse_shape(sc_npy *npy, const char *text, semcal_error *error)
{
    sc_npy_shape *shape = &npy->shape;
    if (text == NULL || *text++ != '(') {
        return npy_fail(npy, error, "the .npy header has no 'shape'");
    }
    while (*(text += strspn(text, " ,")) != ')') {
        char *end;
        errno = 0;
        unsigned long long length = strtoull(text, &end, 10);
        if (end == text || errno != 0 || *text == '-' || shape->n_dims == SC_NPY_MAX_DIMS) {
            return npy_fail(npy, error, "the .npy header has a shape that is not supported");
        }
        shape->length[shape->n_dims++] = length;
        text = end;
    }
    if (shape->n_dims == 0) {
        shape->length[shape->n_dims++] = 1;
    }
    shape->row_elements = 1;
    uint64_t most = (uint64_t)INT64_MAX / sc_npy_element_size(shape->type);
    for (size_t i = 1; i < shape->n_dims; i++) {
        if (shape->length[i] != 0 && shape->row_elements > most / shape->length[i]) {
            return npy_fail(npy, error, "the array is impossibly large");
        }
        shape->row_elements *= shape->length[i];
    }
    if (shape->row_elements != 0 && shape->length[0] > most / shape->row_elements) {
        return npy_fail(npy, error, "the array is impossibly large");
    }
    npy->n_rows = shape->length[0];
    return SEMCAL_OK;
}

static semcal_status parse_header(sc_npy *npy, semcal_error *error)
{
    unsigned char magic[12] = {0};
    size_t n = fread(magic, 1, sizeof magic, npy->file);
    if (n < NPY_MAGIC || memcmp(magic, "\x93NUMPY", 6) != 0) {
        return npy_fail(npy, error, "not a .npy file");
    }
    bool wide = magic[6] >= 2;
    size_t length = magic[8] + ((size_t)magic[9] << 8);
    if (wide) {
        length += ((size_t)magic[10] << 16) + ((size_t)magic[11] << 24);
    }
    if (length > 1 << 20) {
        return npy_fail(npy, error, "the .npy header is impossibly long");
    }
    npy->data_offset = length + (wide ? 12 : 10);
    char *header = sc_memory_alloc(length + 1, 1, error);
    if (header == NULL) {
        return SEMCAL_E_MEMORY;
    }
    semcal_status status = SEMCAL_OK;
    if (fseeko(npy->file, wide ? 12 : 10, SEEK_SET) != 0 || fread(header, 1, length, npy->file) != length) {
        status = npy_fail(npy, error, "the .npy header is cut off");
    }
    const char *order = value_of(header, "'fortran_order'");
    if (status == SEMCAL_OK) {
        status = parse_type(npy, value_of(header, "'descr'"), error);
    }
    if (status == SEMCAL_OK && (order == NULL || strncmp(order, "False", 5) != 0)) {
        status = npy_fail(npy, error, "not in C order; save it again with numpy.ascontiguousarray");
    }
    if (status == SEMCAL_OK) {
        status = parse_shape(npy, value_of(header, "'shape'"), error);
    }
    free(header);
    return status;
}

static semcal_status check_length(sc_npy *npy, semcal_error *error)
{
    uint64_t needed = npy->data_offset + npy->n_rows * npy->shape.row_elements * sc_npy_element_size(npy->shape.type);
    if (fseeko(npy->file, 0, SEEK_END) != 0 || (uint64_t)ftello(npy->file) < needed) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: truncated: %" PRIu64 " bytes are needed, has %" PRId64,
                            npy->path, needed, (int64_t)ftello(npy->file));
    }
    return SEMCAL_OK;
}

semcal_status sc_npy_open(sc_npy **npy, const char *path, semcal_error *error)
{
    *npy = sc_memory_alloc(1, sizeof **npy, error);
    if (*npy == NULL) {
        return SEMCAL_E_MEMORY;
    }
    semcal_status status = SEMCAL_OK;
    (*npy)->path = sc_memory_strdup(path, error);
    (*npy)->file = fopen(path, "rb");
    if ((*npy)->path == NULL) {
        status = SEMCAL_E_MEMORY;
    } else if ((*npy)->file == NULL) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: cannot open: %s", path, strerror(errno));
    } else {
        status = parse_header(*npy, error);
    }
    if (status == SEMCAL_OK) {
        status = check_length(*npy, error);
    }
    if (status != SEMCAL_OK) {
        sc_npy_discard(npy);
    }
    return status;
}

const sc_npy_shape *sc_npy_get_shape(const sc_npy *npy)
{
    return &npy->shape;
}

/* ---- reading rows ---- */

semcal_status sc_npy_read_raw(void *out, sc_npy *npy, uint64_t first, uint64_t n, semcal_error *error)
{
    if (first > npy->n_rows || n > npy->n_rows - first) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: rows %" PRIu64 " to %" PRIu64 " asked for, has %" PRIu64,
                            npy->path, first, first + n, npy->n_rows);
    }
    uint64_t row = npy->shape.row_elements * sc_npy_element_size(npy->shape.type);
    if (fseeko(npy->file, (off_t)(npy->data_offset + first * row), SEEK_SET) != 0 ||
        fread(out, 1, n * row, npy->file) != n * row) {
        return npy_fail(npy, error, "cannot read");
    }
    return SEMCAL_OK;
}

#define LOAD(type, name)                                                                                               \
    type name;                                                                                                         \
    memcpy(&name, at, sizeof name)

static double element_as_double(sc_npy_type type, const unsigned char *at)
{
    switch (type) {
    case SC_NPY_F16: {
        LOAD(uint16_t, value);
        return (double)sc_float_from_half(value);
    }
    case SC_NPY_F32: {
        LOAD(float, value);
        return (double)value;
    }
    case SC_NPY_F64: {
        LOAD(double, value);
        return value;
    }
    case SC_NPY_U64: {
        LOAD(uint64_t, value);
        return (double)value;
    }
    default:
        break;
    }
    switch (npy_types[type].size) {
    case 1:
        return type == SC_NPY_I8 ? (double)(int8_t)*at : (double)*at;
    case 2: {
        LOAD(uint16_t, value);
        return type == SC_NPY_I16 ? (double)(int16_t)value : (double)value;
    }
    case 4: {
        LOAD(uint32_t, value);
        return type == SC_NPY_I32 ? (double)(int32_t)value : (double)value;
    }
    default: {
        LOAD(int64_t, value);
        return (double)value;
    }
    }
}

/* Reads rows as stored into a buffer the caller frees. */
static semcal_status load_rows(unsigned char **bytes, uint64_t *n_elements, sc_npy *npy, uint64_t first, uint64_t n,
                               semcal_error *error)
{
    *n_elements = n * npy->shape.row_elements;
    *bytes = sc_memory_alloc(*n_elements, sc_npy_element_size(npy->shape.type), error);
    if (*bytes == NULL) {
        return SEMCAL_E_MEMORY;
    }
    semcal_status status = sc_npy_read_raw(*bytes, npy, first, n, error);
    if (status != SEMCAL_OK) {
        free(*bytes);
        *bytes = NULL;
    }
    return status;
}

semcal_status sc_npy_read_floats(float *out, sc_npy *npy, uint64_t first, uint64_t n, semcal_error *error)
{
    if (npy->shape.type == SC_NPY_F32) {
        return sc_npy_read_raw(out, npy, first, n, error);
    }
    if (npy->shape.type != SC_NPY_F16) {
        return npy_fail(npy, error, "must hold half or single precision numbers");
    }
    unsigned char *bytes;
    uint64_t n_elements;
    semcal_status status = load_rows(&bytes, &n_elements, npy, first, n, error);
    for (uint64_t i = 0; status == SEMCAL_OK && i < n_elements; i++) {
        const unsigned char *at = bytes + 2 * i;
        LOAD(uint16_t, value);
        out[i] = sc_float_from_half(value);
    }
    free(bytes);
    return status;
}

semcal_status sc_npy_read_doubles(double *out, sc_npy *npy, uint64_t first, uint64_t n, semcal_error *error)
{
    unsigned char *bytes;
    uint64_t n_elements;
    semcal_status status = load_rows(&bytes, &n_elements, npy, first, n, error);
    size_t size = sc_npy_element_size(npy->shape.type);
    for (uint64_t i = 0; status == SEMCAL_OK && i < n_elements; i++) {
        out[i] = element_as_double(npy->shape.type, bytes + i * size);
    }
    free(bytes);
    return status;
}

semcal_status sc_npy_read_ints(int64_t *out, sc_npy *npy, uint64_t first, uint64_t n, semcal_error *error)
{
    if (npy->shape.type <= SC_NPY_F64) {
        return npy_fail(npy, error, "must hold integers");
    }
    unsigned char *bytes;
    uint64_t n_elements;
    semcal_status status = load_rows(&bytes, &n_elements, npy, first, n, error);
    size_t size = sc_npy_element_size(npy->shape.type);
    for (uint64_t i = 0; status == SEMCAL_OK && i < n_elements; i++) {
        const unsigned char *at = bytes + i * size;
        if (size < 8) {
            out[i] = (int64_t)element_as_double(npy->shape.type, at);
            continue;
        }
        LOAD(int64_t, value);
        out[i] = value;
        if (npy->shape.type == SC_NPY_U64 && value < 0) {
            status = npy_fail(npy, error, "holds an integer above 2^63 - 1");
        }
    }
    free(bytes);
    return status;
}

/* ---- writing ---- */

static semcal_status write_header(sc_npy *npy, semcal_error *error)
{
    sc_text text = {0};
    const char *name = npy_types[npy->shape.type].name;
    bool one_byte = npy_types[npy->shape.type].size == 1;
    semcal_status status =
        sc_text_printf(&text, error, "{'descr': '%c%s', 'fortran_order': False, 'shape': (%" PRIu64 ",",
                       one_byte ? '|' : '<', name, npy->n_rows);
    for (size_t i = 1; i < npy->shape.n_dims && status == SEMCAL_OK; i++) {
        status = sc_text_printf(&text, error, "%s%" PRIu64, i > 1 ? ", " : " ", npy->shape.length[i]);
    }
    if (status == SEMCAL_OK) {
        status = sc_text_printf(&text, error, "), }");
    }
    unsigned char header[NPY_HEADER];
    memset(header, ' ', sizeof header);
    if (status == SEMCAL_OK && text.length >= NPY_HEADER - NPY_MAGIC) {
        status = npy_fail(npy, error, "the .npy header is impossibly long");
    }
    if (status == SEMCAL_OK) {
        memcpy(header, "\x93NUMPY\x01\x00", 8);
        header[8] = (NPY_HEADER - NPY_MAGIC) & 255;
        header[9] = (NPY_HEADER - NPY_MAGIC) >> 8;
        memcpy(header + NPY_MAGIC, text.data, text.length);
        header[NPY_HEADER - 1] = '\n';
        if (fseeko(npy->file, 0, SEEK_SET) != 0 || fwrite(header, 1, sizeof header, npy->file) != sizeof header) {
            status = sc_error_set(error, SEMCAL_E_DATA, "%s: cannot write: %s", npy->path, strerror(errno));
        }
    }
    sc_text_free(&text);
    return status;
}

semcal_status sc_npy_create(sc_npy **npy, const char *path, const sc_npy_shape *shape, semcal_error *error)
{
    *npy = sc_memory_alloc(1, sizeof **npy, error);
    if (*npy == NULL) {
        return SEMCAL_E_MEMORY;
    }
    (*npy)->shape = *shape;
    (*npy)->shape.row_elements = 1;
    for (size_t i = 1; i < shape->n_dims; i++) {
        (*npy)->shape.row_elements *= shape->length[i];
    }
    sc_text temporary = {0};
    semcal_status status = sc_text_printf(&temporary, error, "%s.tmp.%ld", path, (long)getpid());
    (*npy)->path = sc_memory_strdup(path, error);
    (*npy)->temporary = temporary.data;
    if (status == SEMCAL_OK && (*npy)->path == NULL) {
        status = SEMCAL_E_MEMORY;
    }
    if (status == SEMCAL_OK) {
        (*npy)->file = fopen((*npy)->temporary, "wb");
        status = (*npy)->file != NULL
                     ? write_header(*npy, error)
                     : sc_error_set(error, SEMCAL_E_DATA, "%s: cannot create: %s", path, strerror(errno));
    }
    if (status != SEMCAL_OK) {
        sc_npy_discard(npy);
    }
    return status;
}

semcal_status sc_npy_append(sc_npy *npy, const void *rows, uint64_t n, semcal_error *error)
{
    size_t bytes = n * npy->shape.row_elements * sc_npy_element_size(npy->shape.type);
    if (fwrite(rows, 1, bytes, npy->file) != bytes) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: cannot write: %s", npy->path, strerror(errno));
    }
    npy->n_rows += n;
    return SEMCAL_OK;
}

semcal_status sc_npy_close(sc_npy **npy, semcal_error *error)
{
    sc_npy *closed = *npy;
    semcal_status status = SEMCAL_OK;
    if (closed != NULL && closed->temporary != NULL) {
        status = write_header(closed, error);
        if (fclose(closed->file) != 0 && status == SEMCAL_OK) {
            status = sc_error_set(error, SEMCAL_E_DATA, "%s: cannot write: %s", closed->path, strerror(errno));
        }
        closed->file = NULL;
        if (status == SEMCAL_OK) {
            status = sc_file_commit(closed->temporary, closed->path, error);
        }
    }
    sc_npy_discard(npy);
    return status;
}

void sc_npy_discard(sc_npy **npy)
{
    if (*npy == NULL) {
        return;
    }
    if ((*npy)->file != NULL) {
        (void)fclose((*npy)->file);
    }
    if ((*npy)->temporary != NULL) {
        (void)unlink((*npy)->temporary);
    }
    free((*npy)->temporary);
    free((*npy)->path);
    free(*npy);
    *npy = NULL;
}

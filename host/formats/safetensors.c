/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/safetensors.h"

#include "base/file.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The format's own limit on the header. */
#define HEADER_LIMIT 100000000u

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {[SC_DTYPE_F64] = {"F64", 8},   [SC_DTYPE_F32] = {"F32", 4}, [SC_DTYPE_F16] = {"F16", 2},
              [SC_DTYPE_BF16] = {"BF16", 2}, [SC_DTYPE_I64] = {"I64", 8}, [SC_DTYPE_I32] = {"I32", 4},
              [SC_DTYPE_I16] = {"I16", 2},   [SC_DTYPE_I8] = {"I8", 1},   [SC_DTYPE_U64] = {"U64", 8},
              [SC_DTYPE_U32] = {"U32", 4},   [SC_DTYPE_U16] = {"U16", 2}, [SC_DTYPE_U8] = {"U8", 1},
              [SC_DTYPE_BOOL] = {"BOOL", 1}};

struct mapping {
    void *data;
    size_t length;
};

struct sc_tensor_set {
    sc_tensor *tensors; /* sorted by name once loaded */
    size_t n, capacity;
    struct mapping *mappings;
    char **files;
    size_t n_mappings, n_files, mappings_capacity, files_capacity;
};

const char *sc_dtype_name(sc_dtype dtype)
{
    return dtypes[dtype].name;
}

size_t sc_dtype_size(sc_dtype dtype)
{
    return dtypes[dtype].size;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const sc_tensor *)a)->name, ((const sc_tensor *)b)->name);
}

static int by_place(const void *a, const void *b)
{
    const sc_tensor *x = a, *y = b;
    if (x->data != y->data) {
        return x->data < y->data ? -1 : 1;
    }
    return x->n_bytes < y->n_bytes ? -1 : x->n_bytes > y->n_bytes;
}

static semcal_status read_dtype(sc_dtype *dtype, const json_t *entry, semcal_error *error)
{
    const char *text = json_string_value(json_object_get(entry, "dtype"));
    if (text == NULL) {
        return sc_error_set(error, SEMCAL_E_DATA, "'dtype' is missing or not a string");
    }
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        if (strcmp(dtypes[i].name, text) == 0) {
            *dtype = (sc_dtype)i;
            return SEMCAL_OK;
        }
    }
    return sc_error_set(error, SEMCAL_E_DATA, "type '%.32s' is not supported", text);
}

static semcal_status read_shape(sc_tensor *tensor, const json_t *entry, semcal_error *error)
{
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape)) {
        return sc_error_set(error, SEMCAL_E_DATA, "'shape' is missing or not a list");
    }
    tensor->n_dims = json_array_size(shape);
    if (tensor->n_dims > SC_TENSOR_MAX_DIMS) {
        return sc_error_set(error, SEMCAL_E_DATA, "has %zu dimensions, at most %d are supported", tensor->n_dims,
                            SC_TENSOR_MAX_DIMS);
    }
    tensor->n_elements = 1;
    for (size_t i = 0; i < tensor->n_dims; i++) {
        const json_t *size = json_array_get(shape, i);
        if (!json_is_integer(size) || json_integer_value(size) < 0) {
            return sc_error_set(error, SEMCAL_E_DATA, "'shape' holds something that is no size");
        }
        tensor->shape[i] = (uint64_t)json_integer_value(size);
        if (tensor->shape[i] != 0 && tensor->n_elements > UINT64_MAX / 16 / tensor->shape[i]) {
            return sc_error_set(error, SEMCAL_E_DATA, "'shape' is too large");
        }
        tensor->n_elements *= tensor->shape[i];
    }
    return SEMCAL_OK;
}

static semcal_status read_entry(sc_tensor *tensor, const json_t *entry, const unsigned char *body, uint64_t body_bytes,
                                semcal_error *error)
{
    if (!json_is_object(entry)) {
        return sc_error_set(error, SEMCAL_E_DATA, "its entry is no object");
    }
    if (read_dtype(&tensor->dtype, entry, error) != SEMCAL_OK || read_shape(tensor, entry, error) != SEMCAL_OK) {
        return error != NULL ? error->status : SEMCAL_E_DATA;
    }
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last) ||
        json_integer_value(first) < 0 || json_integer_value(last) < json_integer_value(first)) {
        return sc_error_set(error, SEMCAL_E_DATA, "'data_offsets' is not a pair of rising offsets");
    }
    const uint64_t begin = (uint64_t)json_integer_value(first), end = (uint64_t)json_integer_value(last);
    tensor->n_bytes = tensor->n_elements * dtypes[tensor->dtype].size;
    if (end - begin != tensor->n_bytes) {
        char shape[128];
        sc_tensor_shape_text(shape, sizeof shape, tensor->shape, tensor->n_dims);
        return sc_error_set(error, SEMCAL_E_DATA, "%s %s needs %" PRIu64 " bytes, its offsets hold %" PRIu64,
                            dtypes[tensor->dtype].name, shape, tensor->n_bytes, end - begin);
    }
    if (end > body_bytes) {
        return sc_error_set(error, SEMCAL_E_DATA,
                            "the file ends early: data up to byte %" PRIu64 " expected, %" PRIu64
                            " bytes are there (truncated download?)",
                            end, body_bytes);
    }
    tensor->data = body + begin;
    return SEMCAL_OK;
}

/* The data must be covered exactly once: an overlap or a gap means offsets that were tampered with or miswritten. */
static semcal_status check_cover(sc_tensor *tensors, size_t n, const unsigned char *body, uint64_t body_bytes,
                                 const char *file, semcal_error *error)
{
    qsort(tensors, n, sizeof *tensors, by_place);
    uint64_t covered = 0;
    const char *before = "the header";
    for (size_t i = 0; i < n; i++) {
        const uint64_t begin = (uint64_t)(tensors[i].data - body);
        if (begin != covered) {
            return sc_error_set(error, SEMCAL_E_DATA,
                                "%s: %s '%.200s' at byte %" PRIu64 ", expected at %" PRIu64 " after '%.200s'", file,
                                begin < covered ? "tensors overlap:" : "unused bytes before", tensors[i].name, begin,
                                covered, before);
        }
        covered += tensors[i].n_bytes;
        before = tensors[i].name;
    }
    if (covered != body_bytes) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: %" PRIu64 " bytes of data, its tensors account for %" PRIu64,
                            file, body_bytes, covered);
    }
    return SEMCAL_OK;
}

static semcal_status read_header(json_t **header, const unsigned char **body, const unsigned char *data, size_t length,
                                 const char *file, semcal_error *error)
{
    if (length < 8) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: %zu bytes are too few for a safetensors file", file, length);
    }
    uint64_t header_bytes = 0;
    for (int i = 7; i >= 0; i--) {
        header_bytes = header_bytes << 8 | data[i];
    }
    if (header_bytes > HEADER_LIMIT) {
        return sc_error_set(error, SEMCAL_E_DATA,
                            "%s: header of %" PRIu64 " bytes is over the limit of %u: not a safetensors file?", file,
                            header_bytes, HEADER_LIMIT);
    }
    if (header_bytes > length - 8) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: truncated header: %" PRIu64 " bytes expected, %zu are there",
                            file, header_bytes, length - 8);
    }
    json_error_t json_error;
    *header = json_loadb((const char *)data + 8, (size_t)header_bytes, JSON_REJECT_DUPLICATES, &json_error);
    if (!json_is_object(*header)) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: header: %s", file,
                            *header == NULL ? json_error.text : "no JSON object");
    }
    *body = data + 8 + header_bytes;
    return SEMCAL_OK;
}

/* Adds the tensors of one file to the set; `file` must live as long as the set. */
static semcal_status add_file(sc_tensor_set *set, const void *data, size_t length, const char *file,
                              semcal_error *error)
{
    json_t *header = NULL, *entry;
    const unsigned char *body = NULL;
    const char *name;
    const size_t first = set->n;
    semcal_status status = read_header(&header, &body, data, length, file, error);
    if (status != SEMCAL_OK) {
        goto done;
    }
    const uint64_t body_bytes = (uint64_t)((const unsigned char *)data + length - body);
    json_object_foreach(header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0) {
            continue;
        }
        status = sc_memory_grow(&set->tensors, &set->capacity, set->n + 1, sizeof *set->tensors, error);
        if (status != SEMCAL_OK) {
            goto done;
        }
        sc_tensor *tensor = &set->tensors[set->n];
        *tensor = (sc_tensor){.file = file};
        status = read_entry(tensor, entry, body, body_bytes, error);
        if (status != SEMCAL_OK) {
            sc_error_where(error, "%s: tensor '%.200s'", file, name);
            goto done;
        }
        tensor->name = sc_memory_strdup(name, error);
        if (tensor->name == NULL) {
            status = SEMCAL_E_MEMORY;
            goto done;
        }
        set->n++;
    }
    status = check_cover(set->tensors + first, set->n - first, body, body_bytes, file, error);
done:
    json_decref(header);
    return status;
}

static semcal_status sort_names(sc_tensor_set *set, semcal_error *error)
{
    qsort(set->tensors, set->n, sizeof *set->tensors, by_name);
    for (size_t i = 1; i < set->n; i++) {
        if (strcmp(set->tensors[i - 1].name, set->tensors[i].name) == 0) {
            return sc_error_set(error, SEMCAL_E_DATA, "tensor '%.200s' is in %s and again in %s", set->tensors[i].name,
                                set->tensors[i - 1].file, set->tensors[i].file);
        }
    }
    return SEMCAL_OK;
}

/* Maps `path` (taken over) and adds its tensors. */
static semcal_status open_file(sc_tensor_set *set, char *path, semcal_error *error)
{
    struct stat facts;
    int file = -1;
    semcal_status status =
        sc_memory_grow(&set->files, &set->files_capacity, set->n_files + 1, sizeof *set->files, error);
    if (status != SEMCAL_OK) {
        free(path);
        return status;
    }
    set->files[set->n_files++] = path;
    status = sc_memory_grow(&set->mappings, &set->mappings_capacity, set->n_mappings + 1, sizeof *set->mappings, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &facts) != 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: %s", path, strerror(errno));
        goto done;
    }
    if (!S_ISREG(facts.st_mode) || facts.st_size < 8) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: not a safetensors file (%s)", path,
                              S_ISREG(facts.st_mode) ? "under 8 bytes" : "no regular file");
        goto done;
    }
    const size_t length = (size_t)facts.st_size;
    void *data = mmap(NULL, length, PROT_READ, MAP_PRIVATE, file, 0);
    if (data == MAP_FAILED) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: cannot map: %s", path, strerror(errno));
        goto done;
    }
    set->mappings[set->n_mappings++] = (struct mapping){data, length};
    status = add_file(set, data, length, path, error);
done:
    if (file >= 0) {
        (void)close(file);
    }
    return status;
}

static bool has_file(const sc_tensor_set *set, const char *path)
{
    for (size_t i = 0; i < set->n_files; i++) {
        if (strcmp(set->files[i], path) == 0) {
            return true;
        }
    }
    return false;
}

/* Opens every shard the index names. */
static semcal_status open_shards(sc_tensor_set *set, const char *folder, const json_t *map, const char *index,
                                 semcal_error *error)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)map, name, value)
    {
        const char *shard = json_string_value(value);
        if (shard == NULL || strchr(shard, '/') != NULL || shard[0] == '\0') {
            return sc_error_set(error, SEMCAL_E_DATA, "%s: weight_map: '%.200s' names no file of this folder", index,
                                name);
        }
        char *path = sc_file_join(folder, shard, error);
        if (path == NULL) {
            return SEMCAL_E_MEMORY;
        }
        if (has_file(set, path)) {
            free(path);
            continue;
        }
        semcal_status status = open_file(set, path, error);
        if (status != SEMCAL_OK) {
            sc_error_where(error, "%s", index);
            return status;
        }
    }
    return SEMCAL_OK;
}

/* A tensor must be in the shard the index says. */
static semcal_status check_index(const sc_tensor_set *set, const json_t *map, const char *index, semcal_error *error)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)map, name, value)
    {
        const sc_tensor *tensor = sc_tensor_set_find(set, name);
        const char *shard = json_string_value(value);
        const char *slash = tensor != NULL ? strrchr(tensor->file, '/') : NULL;
        if (tensor == NULL || strcmp(slash != NULL ? slash + 1 : tensor->file, shard) != 0) {
            return sc_error_set(error, SEMCAL_E_DATA, "%s: tensor '%.200s' is not in %s", index, name, shard);
        }
    }
    return SEMCAL_OK;
}

static semcal_status open_index(sc_tensor_set *set, const char *folder, const char *index, semcal_error *error)
{
    json_error_t json_error;
    json_t *root = json_load_file(index, JSON_REJECT_DUPLICATES, &json_error);
    const json_t *map = json_object_get(root, "weight_map");
    semcal_status status;
    if (root == NULL) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s:%d:%d: %s", index, json_error.line, json_error.column,
                              json_error.text);
    } else if (!json_is_object(map) || json_object_size(map) == 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: 'weight_map' is missing or empty", index);
    } else {
        status = open_shards(set, folder, map, index, error);
        if (status == SEMCAL_OK) {
            status = sort_names(set, error);
        }
        if (status == SEMCAL_OK) {
            status = check_index(set, map, index, error);
        }
    }
    json_decref(root);
    return status;
}

static semcal_status open_folder(sc_tensor_set *set, const char *folder, semcal_error *error)
{
    char *index = sc_file_join(folder, "model.safetensors.index.json", error);
    char *single = sc_file_join(folder, "model.safetensors", error);
    semcal_status status = SEMCAL_E_MEMORY;
    if (index == NULL || single == NULL) {
        goto done;
    }
    if (sc_file_exists(index)) {
        status = open_index(set, folder, index, error);
    } else if (sc_file_exists(single)) {
        status = open_file(set, single, error);
        single = NULL;
    } else {
        status = sc_error_set(error, SEMCAL_E_DATA,
                              "%s: neither model.safetensors nor model.safetensors.index.json is there", folder);
    }
done:
    free(index);
    free(single);
    return status;
}

semcal_status sc_tensor_set_open(sc_tensor_set **set, const char *path, semcal_error *error)
{
    *set = NULL;
    sc_tensor_set *made = sc_memory_alloc(1, sizeof *made, error);
    if (made == NULL) {
        return SEMCAL_E_MEMORY;
    }
    semcal_status status;
    if (!sc_file_exists(path)) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: no such file or folder", path);
    } else if (sc_file_is_folder(path)) {
        status = open_folder(made, path, error);
    } else {
        char *copy = sc_memory_strdup(path, error);
        status = copy != NULL ? open_file(made, copy, error) : SEMCAL_E_MEMORY;
    }
    if (status == SEMCAL_OK) {
        status = sort_names(made, error);
    }
    if (status != SEMCAL_OK) {
        sc_tensor_set_close(made);
        return status;
    }
    *set = made;
    return SEMCAL_OK;
}

semcal_status sc_tensor_set_parse(sc_tensor_set **set, const void *data, size_t length, const char *name,
                                  semcal_error *error)
{
    *set = NULL;
    sc_tensor_set *made = sc_memory_alloc(1, sizeof *made, error);
    char *copy = sc_memory_strdup(name, error);
    semcal_status status = SEMCAL_E_MEMORY;
    if (made == NULL || copy == NULL) {
        goto done;
    }
    status = sc_memory_grow(&made->files, &made->files_capacity, 1, sizeof *made->files, error);
    if (status != SEMCAL_OK) {
        goto done;
    }
    made->files[made->n_files++] = copy;
    status = add_file(made, data, length, copy, error);
    copy = NULL;
    if (status == SEMCAL_OK) {
        status = sort_names(made, error);
    }
done:
    free(copy);
    if (status != SEMCAL_OK) {
        sc_tensor_set_close(made);
        return status;
    }
    *set = made;
    return SEMCAL_OK;
}

void sc_tensor_set_close(sc_tensor_set *set)
{
    if (set == NULL) {
        return;
    }
    for (size_t i = 0; i < set->n; i++) {
        free((char *)(uintptr_t)set->tensors[i].name);
    }
    for (size_t i = 0; i < set->n_mappings; i++) {
        (void)munmap(set->mappings[i].data, set->mappings[i].length);
    }
    for (size_t i = 0; i < set->n_files; i++) {
        free(set->files[i]);
    }
    free(set->tensors);
    free(set->mappings);
    free(set->files);
    free(set);
}

const sc_tensor *sc_tensor_set_all(const sc_tensor_set *set, size_t *n)
{
    *n = set->n;
    return set->tensors;
}

const sc_tensor *sc_tensor_set_find(const sc_tensor_set *set, const char *name)
{
    const sc_tensor key = {.name = name};
    return set->n == 0 ? NULL : bsearch(&key, set->tensors, set->n, sizeof key, by_name);
}

const char *const *sc_tensor_set_files(const sc_tensor_set *set, size_t *n)
{
    *n = set->n_files;
    return (const char *const *)set->files;
}

void sc_tensor_shape_text(char *text, size_t size, const uint64_t *shape, size_t n_dims)
{
    size_t used = 0;
    for (size_t i = 0; i <= n_dims && used < size; i++) {
        int wrote;
        if (i < n_dims) {
            wrote = snprintf(text + used, size - used, "%s%" PRIu64, i == 0 ? "[" : ", ", shape[i]);
        } else {
            wrote = snprintf(text + used, size - used, "%s", n_dims == 0 ? "[]" : "]");
        }
        used += wrote > 0 ? (size_t)wrote : size;
    }
}

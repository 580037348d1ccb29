/* SPDX-License-Identifier: Apache-2.0 */
/* Contents of datasets. */
#include "formats/h5_internal.h"

#include "base/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A dataset with a selection of it and the memory space that fits. */
typedef struct selection {
    hid_t dataset, file_space, memory_space;
    size_t n_elements;
    bool kept; /* the dataset stays open */
} selection;

/* Room for the chunk at hand and no other: what is written goes from front to back. */
static hid_t access_list(void)
{
    hid_t list = H5Pcreate(H5P_DATASET_ACCESS);
    (void)H5Pset_chunk_cache(list, 13, SC_H5_CHUNK_BYTES, 1);
    return list;
}

/* Opens the dataset, or finds it open. */
static void open_dataset(selection *s, sc_h5 *file, const char *path)
{
    for (size_t i = 0; i < file->n_kept; i++) {
        if (strcmp(file->kept[i].path, path) == 0) {
            s->dataset = file->kept[i].dataset;
            s->kept = true;
            return;
        }
    }
    const hid_t list = access_list();
    s->dataset = H5Dopen2(file->id, path, list);
    (void)H5Pclose(list);
    if (!file->keeps || s->dataset < 0 ||
        sc_memory_grow(&file->kept, &file->kept_capacity, file->n_kept + 1, sizeof *file->kept, NULL) != SEMCAL_OK) {
        return;
    }
    char *name = sc_memory_strdup(path, NULL); /* without memory for the list it is closed after use, as ever */
    if (name != NULL) {
        file->kept[file->n_kept++] = (struct sc_h5_kept){name, s->dataset};
        s->kept = true;
    }
}

static herr_t close_selection(const selection *s)
{
    if (s->memory_space >= 0) {
        (void)H5Sclose(s->memory_space);
    }
    if (s->file_space >= 0) {
        (void)H5Sclose(s->file_space);
    }
    return s->dataset >= 0 && !s->kept ? H5Dclose(s->dataset) : 0;
}

/* What was written may be in HDF5's cache until the dataset is closed. Where it cannot be stored then, it is lost, and
 * closing the file later would not tell; sc_h5_close closes those that are kept open itself. */
static semcal_status close_written(const selection *s, semcal_status status, sc_h5 *file, const char *path,
                                   semcal_error *error)
{
    if (close_selection(s) < 0 && status == SEMCAL_OK) {
        return sc_h5_fail(file, error, "cannot write '%s'", path);
    }
    return status;
}

static semcal_status select_part(selection *s, sc_h5 *file, const char *path, const uint64_t *start,
                                 const uint64_t *count, semcal_error *error)
{
    *s = (selection){-1, -1, -1, 0, false};
    open_dataset(s, file, path);
    s->file_space = s->dataset >= 0 ? H5Dget_space(s->dataset) : -1;
    int n_dims = s->file_space >= 0 ? H5Sget_simple_extent_ndims(s->file_space) : -1;
    if (n_dims < 0 || n_dims > SC_H5_MAX_DIMS) {
        return sc_h5_fail(file, error, n_dims < 0 ? "no dataset '%s'" : "'%s' has too many dimensions", path);
    }
    hsize_t size[SC_H5_MAX_DIMS] = {0}, from[SC_H5_MAX_DIMS] = {0}, n[SC_H5_MAX_DIMS] = {0};
    (void)H5Sget_simple_extent_dims(s->file_space, size, NULL);
    s->n_elements = 1;
    for (int i = 0; i < n_dims; i++) {
        from[i] = start != NULL ? start[i] : 0;
        if (from[i] > size[i] || (count != NULL && count[i] > size[i] - from[i])) {
            return sc_h5_fail(
                file, error, "'%s': rows %" PRIu64 " to %" PRIu64 " of dimension %d asked for, has %" PRIu64, path,
                (uint64_t)from[i], (uint64_t)from[i] + (count != NULL ? count[i] : 0), i, (uint64_t)size[i]);
        }
        n[i] = count != NULL ? count[i] : size[i] - from[i];
        s->n_elements *= n[i];
    }
    if (s->n_elements == 0) {
        return SEMCAL_OK;
    }
    if (n_dims > 0 && H5Sselect_hyperslab(s->file_space, H5S_SELECT_SET, from, NULL, n, NULL) < 0) {
        return sc_h5_fail(file, error, "cannot select from '%s'", path);
    }
    s->memory_space = n_dims > 0 ? H5Screate_simple(n_dims, n, NULL) : H5Screate(H5S_SCALAR);
    return s->memory_space >= 0 ? SEMCAL_OK : sc_h5_fail(file, error, "cannot select from '%s'", path);
}

static semcal_status write_selected(sc_h5 *file, const char *path, sc_h5_type type, const selection *s,
                                    const void *data, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    const char **texts = NULL;
    if (type == SC_H5_TEXT) {
        texts = sc_memory_alloc(s->n_elements, sizeof *texts, error);
        if (texts == NULL) {
            return SEMCAL_E_MEMORY;
        }
        memcpy(texts, data, s->n_elements * sizeof *texts);
        for (size_t i = 0; i < s->n_elements; i++) {
            texts[i] = texts[i] != NULL ? texts[i] : "";
        }
        data = texts;
    }
    hid_t memory = sc_h5_memory_type(type);
    if (H5Dwrite(s->dataset, memory, s->memory_space, s->file_space, H5P_DEFAULT, data) < 0) {
        status = sc_h5_fail(file, error, "cannot write '%s'", path);
    }
    sc_h5_close_type(type, memory);
    free(texts);
    return status;
}

semcal_status sc_h5_write(sc_h5 *file, const char *path, sc_h5_type type, const uint64_t *start, const uint64_t *count,
                          const void *data, semcal_error *error)
{
    sc_h5_guard guard;
    sc_h5_enter(&guard);
    selection s;
    semcal_status status = select_part(&s, file, path, start, count, error);
    if (status == SEMCAL_OK && s.n_elements > 0) {
        status = write_selected(file, path, type, &s, data, error);
    }
    status = close_written(&s, status, file, path, error);
    sc_h5_leave(&guard);
    return status;
}

/* Texts of fixed length, as other programs write them. */
static semcal_status read_fixed_texts(sc_h5 *file, const char *path, const selection *s, hid_t stored, char **texts,
                                      semcal_error *error)
{
    size_t width = H5Tget_size(stored);
    char *buffer = sc_memory_alloc(s->n_elements, width, error);
    if (buffer == NULL) {
        return SEMCAL_E_MEMORY;
    }
    semcal_status status = SEMCAL_OK;
    if (H5Dread(s->dataset, stored, s->memory_space, s->file_space, H5P_DEFAULT, buffer) < 0) {
        status = sc_h5_fail(file, error, "cannot read '%s'", path);
    }
    for (size_t i = 0; i < s->n_elements && status == SEMCAL_OK; i++) {
        const char *text = buffer + i * width, *nul = memchr(text, '\0', width);
        texts[i] = sc_memory_strndup(text, nul != NULL ? (size_t)(nul - text) : width, error);
        status = texts[i] != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
    }
    free(buffer);
    return status;
}

static semcal_status read_texts(sc_h5 *file, const char *path, const selection *s, char **texts, semcal_error *error)
{
    memset(texts, 0, s->n_elements * sizeof *texts);
    hid_t stored = H5Dget_type(s->dataset);
    semcal_status status = SEMCAL_OK;
    if (H5Tget_class(stored) != H5T_STRING) {
        status = sc_h5_fail(file, error, "'%s' does not hold texts", path);
    } else if (H5Tis_variable_str(stored) <= 0) {
        status = read_fixed_texts(file, path, s, stored, texts, error);
    } else if (H5Dread(s->dataset, stored, s->memory_space, s->file_space, H5P_DEFAULT, texts) < 0) {
        status = sc_h5_fail(file, error, "cannot read '%s'", path);
    }
    (void)H5Tclose(stored);
    for (size_t i = 0; i < s->n_elements && status == SEMCAL_OK; i++) {
        if (texts[i] == NULL) {
            texts[i] = sc_memory_strdup("", error);
            status = texts[i] != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
        }
    }
    if (status != SEMCAL_OK) {
        for (size_t i = 0; i < s->n_elements; i++) {
            free(texts[i]);
            texts[i] = NULL;
        }
    }
    return status;
}

semcal_status sc_h5_read(sc_h5 *file, const char *path, sc_h5_type type, const uint64_t *start, const uint64_t *count,
                         void *data, semcal_error *error)
{
    sc_h5_guard guard;
    sc_h5_enter(&guard);
    selection s;
    semcal_status status = select_part(&s, file, path, start, count, error);
    if (status == SEMCAL_OK && s.n_elements > 0) {
        if (type == SC_H5_TEXT) {
            status = read_texts(file, path, &s, data, error);
        } else if (H5Dread(s.dataset, sc_h5_memory_type(type), s.memory_space, s.file_space, H5P_DEFAULT, data) < 0) {
            status = sc_h5_fail(file, error, "cannot read '%s'", path);
        }
    }
    (void)close_selection(&s);
    sc_h5_leave(&guard);
    return status;
}

static herr_t extend_scale(hid_t dataset, unsigned dim, hid_t scale, void *payload)
{
    (void)dataset;
    (void)dim;
    const hsize_t *wanted = payload;
    hid_t space = H5Dget_space(scale);
    hsize_t size = 0;
    herr_t result = H5Sget_simple_extent_dims(space, &size, NULL) == 1 ? 0 : -1;
    if (result >= 0 && size < *wanted) {
        result = H5Dset_extent(scale, wanted);
    }
    (void)H5Sclose(space);
    return result < 0 ? -1 : 1;
}

semcal_status sc_h5_append(sc_h5 *file, const char *path, sc_h5_type type, uint64_t rows, const void *data,
                           semcal_error *error)
{
    sc_h5_guard guard;
    sc_h5_enter(&guard);
    selection s = {-1, -1, -1, 0, false};
    semcal_status status = SEMCAL_OK;
    hsize_t size[SC_H5_MAX_DIMS] = {0};
    hid_t dataset = H5Dopen2(file->id, path, H5P_DEFAULT), space = dataset >= 0 ? H5Dget_space(dataset) : -1;
    int n_dims = space >= 0 ? H5Sget_simple_extent_dims(space, size, NULL) : -1;
    uint64_t start[SC_H5_MAX_DIMS] = {0}, count[SC_H5_MAX_DIMS] = {0};
    for (int i = 0; i < n_dims; i++) {
        count[i] = size[i];
    }
    start[0] = size[0];
    count[0] = rows;
    size[0] += rows;
    if (n_dims < 1 || H5Dset_extent(dataset, size) < 0 ||
        (H5DSget_num_scales(dataset, 0) > 0 && H5DSiterate_scales(dataset, 0, NULL, extend_scale, &size[0]) < 0)) {
        status = sc_h5_fail(file, error, "cannot append to '%s'", path);
    }
    if (space >= 0) {
        (void)H5Sclose(space);
    }
    if (dataset >= 0 && H5Dclose(dataset) < 0 && status == SEMCAL_OK) {
        status = sc_h5_fail(file, error, "cannot append to '%s'", path);
    }
    if (status == SEMCAL_OK) {
        status = select_part(&s, file, path, start, count, error);
    }
    if (status == SEMCAL_OK && s.n_elements > 0) {
        status = write_selected(file, path, type, &s, data, error);
    }
    status = close_written(&s, status, file, path, error);
    sc_h5_leave(&guard);
    return status;
}

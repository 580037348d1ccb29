/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes. */
#include "formats/h5_internal.h"

#include "base/file.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static semcal_status put_attribute(sc_h5 *file, hid_t object, const char *name, hid_t stored, hid_t memory, hid_t space,
                                   const void *value, semcal_error *error)
{
    bool cleared = H5Aexists(object, name) <= 0 || H5Adelete(object, name) >= 0;
    hid_t attribute = cleared ? H5Acreate2(object, name, stored, space, H5P_DEFAULT, H5P_DEFAULT) : -1;
    semcal_status status = SEMCAL_OK;
    /* Asked before anything is closed: a call that succeeds clears HDF5's error stack. */
    if (attribute < 0 || H5Awrite(attribute, memory, value) < 0) {
        status = sc_h5_fail(file, error, "cannot write attribute '%s'", name);
    }
    if (attribute >= 0) {
        (void)H5Aclose(attribute);
    }
    return status;
}

semcal_status sc_h5_set_number_locked(sc_h5 *file, hid_t object, const char *name, hid_t stored, hid_t memory,
                                      const void *value, semcal_error *error)
{
    hid_t space = H5Screate(H5S_SCALAR);
    semcal_status status = put_attribute(file, object, name, stored, memory, space, value, error);
    (void)H5Sclose(space);
    return status;
}

semcal_status sc_h5_set_text_locked(sc_h5 *file, hid_t object, const char *name, const char *text, semcal_error *error)
{
    /* Variable length: h5py gives a str then, not bytes, and no limit of 64 KiB applies. */
    hid_t type = sc_h5_memory_type(SC_H5_TEXT);
    semcal_status status = sc_h5_set_number_locked(file, object, name, type, type, &text, error);
    (void)H5Tclose(type);
    return status;
}

/* Runs `put` on an opened object under the lock. */
#define WITH_OBJECT(call)                                                                                              \
    sc_h5_guard guard;                                                                                                 \
    sc_h5_enter(&guard);                                                                                               \
    hid_t object = sc_h5_object(file, path);                                                                           \
    semcal_status status = object >= 0 ? (call) : sc_h5_fail(file, error, "no object '%s'", path);                     \
    if (object >= 0) {                                                                                                 \
        (void)H5Oclose(object);                                                                                        \
    }                                                                                                                  \
    sc_h5_leave(&guard);                                                                                               \
    return status

semcal_status sc_h5_set_text(sc_h5 *file, const char *path, const char *name, const char *text, semcal_error *error)
{
    WITH_OBJECT(sc_h5_set_text_locked(file, object, name, text, error));
}

semcal_status sc_h5_set_int(sc_h5 *file, const char *path, const char *name, int64_t value, semcal_error *error)
{
    WITH_OBJECT(sc_h5_set_number_locked(file, object, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value, error));
}

semcal_status sc_h5_set_real(sc_h5 *file, const char *path, const char *name, double value, semcal_error *error)
{
    WITH_OBJECT(sc_h5_set_number_locked(file, object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value, error));
}

static semcal_status set_texts(sc_h5 *file, hid_t object, const char *name, const char *const *texts, size_t n,
                               semcal_error *error)
{
    hsize_t size = n;
    hid_t type = sc_h5_memory_type(SC_H5_TEXT), space = n > 0 ? H5Screate_simple(1, &size, NULL) : H5Screate(H5S_NULL);
    semcal_status status = put_attribute(file, object, name, type, type, space, texts, error);
    (void)H5Sclose(space);
    (void)H5Tclose(type);
    return status;
}

semcal_status sc_h5_set_texts(sc_h5 *file, const char *path, const char *name, const char *const *texts, size_t n,
                              semcal_error *error)
{
    WITH_OBJECT(set_texts(file, object, name, texts, n, error));
}

bool sc_h5_has(sc_h5 *file, const char *path, const char *name)
{
    sc_h5_guard guard;
    sc_h5_enter(&guard);
    hid_t object = sc_h5_object(file, path);
    bool found = object >= 0 && H5Aexists(object, name) > 0;
    if (object >= 0) {
        (void)H5Oclose(object);
    }
    sc_h5_leave(&guard);
    return found;
}

/* ---- reading ---- */

static semcal_status get_number(void *value, hid_t memory, sc_h5 *file, hid_t object, const char *name,
                                semcal_error *error)
{
    hid_t attribute = H5Aexists(object, name) > 0 ? H5Aopen(object, name, H5P_DEFAULT) : -1;
    hid_t space = attribute >= 0 ? H5Aget_space(attribute) : -1;
    semcal_status status = SEMCAL_OK;
    if (space < 0 || H5Sget_simple_extent_npoints(space) != 1 || H5Aread(attribute, memory, value) < 0) {
        status = sc_h5_fail(file, error, "no number in attribute '%s'", name);
    }
    if (space >= 0) {
        (void)H5Sclose(space);
    }
    if (attribute >= 0) {
        (void)H5Aclose(attribute);
    }
    return status;
}

semcal_status sc_h5_get_int(int64_t *value, sc_h5 *file, const char *path, const char *name, semcal_error *error)
{
    WITH_OBJECT(get_number(value, H5T_NATIVE_INT64, file, object, name, error));
}

semcal_status sc_h5_get_real(double *value, sc_h5 *file, const char *path, const char *name, semcal_error *error)
{
    WITH_OBJECT(get_number(value, H5T_NATIVE_DOUBLE, file, object, name, error));
}

static semcal_status copy_fixed(char **texts, size_t n, hid_t attribute, hid_t type, semcal_error *error)
{
    size_t width = H5Tget_size(type);
    char *buffer = sc_memory_alloc(n, width + 1, error);
    if (buffer == NULL) {
        return SEMCAL_E_MEMORY;
    }
    semcal_status status = H5Aread(attribute, type, buffer) >= 0 ? SEMCAL_OK : SEMCAL_E_DATA;
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        const char *text = buffer + i * width, *nul = memchr(text, '\0', width);
        texts[i] = sc_memory_strndup(text, nul != NULL ? (size_t)(nul - text) : width, error);
        status = texts[i] != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
    }
    free(buffer);
    return status;
}

/* The texts of an attribute, scalar or list, fixed or variable length. */
static semcal_status get_texts(char ***texts, size_t *n, sc_h5 *file, hid_t object, const char *name,
                               semcal_error *error)
{
    *texts = NULL;
    *n = 0;
    hid_t attribute = H5Aexists(object, name) > 0 ? H5Aopen(object, name, H5P_DEFAULT) : -1;
    if (attribute < 0) {
        return sc_h5_fail(file, error, "no attribute '%s'", name);
    }
    semcal_status status = SEMCAL_OK;
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    hssize_t points = H5Sget_simple_extent_npoints(space);
    if (H5Tget_class(type) != H5T_STRING || points < 0) {
        status = sc_h5_fail(file, error, "no text in attribute '%s'", name);
        goto done;
    }
    *n = (size_t)points;
    *texts = sc_memory_alloc(*n, sizeof **texts, error);
    if (*texts == NULL) {
        status = SEMCAL_E_MEMORY;
    } else if (*n > 0 && H5Tis_variable_str(type) <= 0) {
        status = copy_fixed(*texts, *n, attribute, type, error);
    } else if (*n > 0 && H5Aread(attribute, type, *texts) < 0) {
        status = SEMCAL_E_DATA;
    }
    for (size_t i = 0; i < *n && status == SEMCAL_OK; i++) {
        (*texts)[i] = (*texts)[i] != NULL ? (*texts)[i] : sc_memory_strdup("", error);
        status = (*texts)[i] != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
    }
    if (status == SEMCAL_E_DATA) {
        status = sc_h5_fail(file, error, "cannot read attribute '%s'", name);
    }
done:
    (void)H5Sclose(space);
    (void)H5Tclose(type);
    (void)H5Aclose(attribute);
    if (status != SEMCAL_OK) {
        sc_file_list_free(*texts, *texts != NULL ? *n : 0);
        *texts = NULL;
        *n = 0;
    }
    return status;
}

semcal_status sc_h5_get_texts(char ***texts, size_t *n, sc_h5 *file, const char *path, const char *name,
                              semcal_error *error)
{
    *texts = NULL;
    *n = 0;
    WITH_OBJECT(get_texts(texts, n, file, object, name, error));
}

semcal_status sc_h5_get_text(char **text, sc_h5 *file, const char *path, const char *name, semcal_error *error)
{
    *text = NULL;
    char **texts;
    size_t n;
    semcal_status status = sc_h5_get_texts(&texts, &n, file, path, name, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    if (n == 1) {
        *text = texts[0];
        texts[0] = NULL;
    } else {
        status =
            sc_error_set(error, SEMCAL_E_DATA, "%s: attribute '%s' holds %zu texts, one expected", file->path, name, n);
    }
    sc_file_list_free(texts, n);
    return status;
}

/* ---- listing ---- */

static bool is_bookkeeping(const char *name)
{
    static const char *const names[] = {"CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST", "DIMENSION_LABELS"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return strncmp(name, "_Netcdf4", 8) == 0;
}

static char *describe(sc_h5 *file, hid_t object, const char *name, semcal_error *error)
{
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT), type = H5Aget_type(attribute);
    H5T_class_t kind = H5Tget_class(type);
    (void)H5Tclose(type);
    (void)H5Aclose(attribute);
    sc_text text = {0};
    semcal_status status = sc_text_append(&text, "", 0, error);
    semcal_error ignored = SEMCAL_ERROR_INIT;
    char **texts = NULL;
    size_t n = 0;
    int64_t integer;
    double real;
    if (kind == H5T_STRING && get_texts(&texts, &n, file, object, name, &ignored) == SEMCAL_OK) {
        for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
            status = sc_text_printf(&text, error, "%s%s", i > 0 ? ", " : "", texts[i]);
        }
        sc_file_list_free(texts, n);
    } else if (kind == H5T_INTEGER &&
               get_number(&integer, H5T_NATIVE_INT64, file, object, name, &ignored) == SEMCAL_OK) {
        status = sc_text_printf(&text, error, "%" PRId64, integer);
    } else if (kind == H5T_FLOAT && get_number(&real, H5T_NATIVE_DOUBLE, file, object, name, &ignored) == SEMCAL_OK) {
        status = sc_text_printf(&text, error, "%.17g", real);
    }
    if (status != SEMCAL_OK) {
        sc_text_free(&text);
    }
    return text.data;
}

static semcal_status list_attributes(char ***names, char ***values, size_t *n, sc_h5 *file, hid_t object,
                                     semcal_error *error)
{
    H5O_info_t info;
    if (H5Oget_info(object, &info) < 0) {
        return sc_h5_fail(file, error, "cannot list attributes");
    }
    *names = sc_memory_alloc(info.num_attrs, sizeof **names, error);
    *values = sc_memory_alloc(info.num_attrs, sizeof **values, error);
    if (*names == NULL || *values == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (hsize_t i = 0; i < info.num_attrs; i++) {
        char name[256] = "";
        if (H5Aget_name_by_idx(object, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT) < 0) {
            return sc_h5_fail(file, error, "cannot list attributes");
        }
        if (is_bookkeeping(name)) {
            continue;
        }
        (*names)[*n] = sc_memory_strdup(name, error);
        (*values)[*n] = describe(file, object, name, error);
        (*n)++;
        if ((*names)[*n - 1] == NULL || (*values)[*n - 1] == NULL) {
            return SEMCAL_E_MEMORY;
        }
    }
    return SEMCAL_OK;
}

static semcal_status list_object(char ***names, char ***values, size_t *n, sc_h5 *file, const char *path,
                                 semcal_error *error)
{
    WITH_OBJECT(list_attributes(names, values, n, file, object, error));
}

semcal_status sc_h5_list_attributes(char ***names, char ***values, size_t *n, sc_h5 *file, const char *path,
                                    semcal_error *error)
{
    *names = *values = NULL;
    *n = 0;
    semcal_status status = list_object(names, values, n, file, path, error);
    if (status != SEMCAL_OK) {
        sc_file_list_free(*names, *n);
        sc_file_list_free(*values, *n);
        *names = *values = NULL;
        *n = 0;
    }
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Groups, dimensions, datasets: making, describing, listing, deleting. */
#include "formats/h5_internal.h"

#include "base/file.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

semcal_status sc_h5_make_group(sc_h5 *file, const char *path, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    char *copy = sc_memory_strdup(path, error);
    if (copy == NULL) {
        return SEMCAL_E_MEMORY;
    }
    sc_h5_guard guard;
    sc_h5_enter(&guard);
    hid_t list = H5Pcreate(H5P_GROUP_CREATE);
    (void)H5Pset_link_creation_order(list, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
    for (char *slash = copy; slash != NULL && status == SEMCAL_OK;) {
        slash = strchr(slash, '/');
        if (slash != NULL) {
            *slash = '\0';
        }
        if (H5Lexists(file->id, copy, H5P_DEFAULT) <= 0) {
            hid_t group = H5Gcreate2(file->id, copy, H5P_DEFAULT, list, H5P_DEFAULT);
            if (group < 0 || H5Gclose(group) < 0) {
                status = sc_h5_fail(file, error, "cannot make group '%s'", copy);
            }
        }
        if (slash != NULL) {
            *slash++ = '/';
        }
    }
    (void)H5Pclose(list);
    sc_h5_leave(&guard);
    free(copy);
    return status;
}

/* The next number for _Netcdf4Dimid, which must be unique in a file that is opened again, too. */
static herr_t count_dimension(hid_t root, const char *name, const H5O_info_t *info, void *payload)
{
    if (info->type == H5O_TYPE_DATASET) {
        hid_t object = H5Oopen(root, name, H5P_DEFAULT);
        int32_t id = -1, *next = payload;
        if (H5Aexists(object, "_Netcdf4Dimid") > 0) {
            hid_t attribute = H5Aopen(object, "_Netcdf4Dimid", H5P_DEFAULT);
            (void)H5Aread(attribute, H5T_NATIVE_INT32, &id);
            (void)H5Aclose(attribute);
        }
        *next = id >= *next ? id + 1 : *next;
        (void)H5Oclose(object);
    }
    return 0;
}

semcal_status sc_h5_make_dimension(sc_h5 *file, const char *path, uint64_t length, bool extendible, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    sc_h5_guard guard;
    sc_h5_enter(&guard);
    hsize_t size = length, most = extendible ? H5S_UNLIMITED : length, chunk = 4096;
    hid_t space = H5Screate_simple(1, &size, &most), list = H5Pcreate(H5P_DATASET_CREATE);
    if (extendible) {
        (void)H5Pset_chunk(list, 1, &chunk);
    }
    /* Never written, so it takes no room: only its length says something. */
    hid_t scale = H5Dcreate2(file->id, path, H5T_IEEE_F32BE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    char name[80];
    (void)snprintf(name, sizeof name, "This is a netCDF dimension but not a netCDF variable.%10llu",
                   (unsigned long long)length);
    if (file->n_dimensions == 0) {
        (void)H5Ovisit(file->id, H5_INDEX_NAME, H5_ITER_NATIVE, count_dimension, &file->n_dimensions);
    }
    if (scale < 0 || H5DSset_scale(scale, name) < 0) {
        status = sc_h5_fail(file, error, "cannot make dimension '%s'", path);
    } else {
        status = sc_h5_set_number_locked(file, scale, "_Netcdf4Dimid", H5T_STD_I32LE, H5T_NATIVE_INT32,
                                         &file->n_dimensions, error);
        file->n_dimensions++;
    }
    if (scale >= 0) {
        (void)H5Dclose(scale);
    }
    (void)H5Pclose(list);
    (void)H5Sclose(space);
    sc_h5_leave(&guard);
    return status;
}

static hid_t stored_type(sc_h5_type type)
{
    switch (type) {
    case SC_H5_F64:
        return H5T_IEEE_F64LE;
    case SC_H5_F32:
        return H5T_IEEE_F32LE;
    case SC_H5_I64:
        return H5T_STD_I64LE;
    case SC_H5_I32:
        return H5T_STD_I32LE;
    case SC_H5_U8:
        return H5T_STD_U8LE;
    case SC_H5_TEXT:
        break;
    }
    return sc_h5_memory_type(SC_H5_TEXT);
}

static void choose_chunk(hsize_t *chunk, const hsize_t *size, size_t n_dims, hid_t type)
{
    hsize_t row = H5Tget_size(type);
    for (size_t i = 1; i < n_dims; i++) {
        chunk[i] = size[i] > 0 ? size[i] : 1;
        row *= chunk[i];
    }
    hsize_t rows = SC_H5_CHUNK_BYTES / (row > 0 ? row : 1);
    rows = rows > 0 ? rows : 1;
    chunk[0] = size[0] > 0 && size[0] < rows ? size[0] : rows;
}

/* Opens the dimensions of a spec and reads their lengths. */
static semcal_status open_dimensions(hid_t *scales, hsize_t *size, hsize_t *most, sc_h5 *file, const sc_h5_spec *spec,
                                     semcal_error *error)
{
    for (size_t i = 0; i < spec->n_dims; i++) {
        scales[i] = H5Dopen2(file->id, spec->dims[i], H5P_DEFAULT);
        hid_t space = scales[i] >= 0 ? H5Dget_space(scales[i]) : -1;
        if (space < 0 || H5Sget_simple_extent_dims(space, &size[i], &most[i]) != 1) {
            return sc_h5_fail(file, error, "%s: no dimension '%s'", spec->path, spec->dims[i]);
        }
        (void)H5Sclose(space);
    }
    return SEMCAL_OK;
}

semcal_status sc_h5_make_dataset(sc_h5 *file, const sc_h5_spec *spec, semcal_error *error)
{
    hid_t scales[SC_H5_MAX_DIMS] = {-1, -1, -1, -1};
    hid_t list = -1, type = -1, space = -1, dataset = -1;
    hsize_t size[SC_H5_MAX_DIMS] = {0}, most[SC_H5_MAX_DIMS] = {0}, chunk[SC_H5_MAX_DIMS] = {0};
    sc_h5_guard guard;
    sc_h5_enter(&guard);
    semcal_status status = open_dimensions(scales, size, most, file, spec, error);
    if (status != SEMCAL_OK) {
        goto done;
    }
    type = stored_type(spec->type);
    choose_chunk(chunk, size, spec->n_dims, type);
    list = H5Pcreate(H5P_DATASET_CREATE);
    space = H5Screate_simple((int)spec->n_dims, size, most);
    bool set = H5Pset_chunk(list, (int)spec->n_dims, chunk) >= 0;
    if (spec->type != SC_H5_TEXT) {
        set = set && H5Pset_shuffle(list) >= 0;
        set = set && (spec->deflate == 0 || H5Pset_deflate(list, spec->deflate) >= 0);
        set = set && H5Pset_fletcher32(list) >= 0;
    }
    dataset = set ? H5Dcreate2(file->id, spec->path, type, space, H5P_DEFAULT, list, H5P_DEFAULT) : -1;
    for (size_t i = 0; i < spec->n_dims && dataset >= 0; i++) {
        if (H5DSattach_scale(dataset, scales[i], (unsigned)i) < 0) {
            status = sc_h5_fail(file, error, "cannot attach dimension '%s' to '%s'", spec->dims[i], spec->path);
        }
    }
    if (dataset < 0) {
        status = sc_h5_fail(file, error, "cannot make '%s'", spec->path);
    }
    if (status == SEMCAL_OK && spec->long_name != NULL) {
        status = sc_h5_set_text_locked(file, dataset, "long_name", spec->long_name, error);
    }
    if (status == SEMCAL_OK && spec->units != NULL) {
        status = sc_h5_set_text_locked(file, dataset, "units", spec->units, error);
    }
done:
    for (size_t i = 0; i < spec->n_dims; i++) {
        if (scales[i] >= 0) {
            (void)H5Dclose(scales[i]);
        }
    }
    if (dataset >= 0) {
        (void)H5Dclose(dataset);
    }
    if (space >= 0) {
        (void)H5Sclose(space);
    }
    if (list >= 0) {
        (void)H5Pclose(list);
    }
    sc_h5_close_type(spec->type, type);
    sc_h5_leave(&guard);
    return status;
}

bool sc_h5_exists(sc_h5 *file, const char *path)
{
    sc_h5_guard guard;
    sc_h5_enter(&guard);
    hid_t object = sc_h5_object(file, path);
    if (object >= 0) {
        (void)H5Oclose(object);
    }
    sc_h5_leave(&guard);
    return object >= 0;
}

/* ---- deleting ---- */

static herr_t keep_scale(hid_t dataset, unsigned dim, hid_t scale, void *payload)
{
    (void)dataset;
    (void)dim;
    *(hid_t *)payload = scale;
    (void)H5Iinc_ref(scale);
    return 1;
}

static herr_t detach_dataset(hid_t root, const char *name, const H5O_info_t *info, void *payload)
{
    (void)payload;
    if (info->type != H5O_TYPE_DATASET) {
        return 0;
    }
    hid_t dataset = H5Dopen2(root, name, H5P_DEFAULT), space = H5Dget_space(dataset);
    int n_dims = H5DSis_scale(dataset) > 0 ? 0 : H5Sget_simple_extent_ndims(space);
    herr_t result = 0;
    for (int i = 0; i < n_dims && result >= 0; i++) {
        while (result >= 0 && H5DSget_num_scales(dataset, (unsigned)i) > 0) {
            hid_t scale = -1;
            result = H5DSiterate_scales(dataset, (unsigned)i, NULL, keep_scale, &scale);
            result = result >= 0 ? H5DSdetach_scale(dataset, scale, (unsigned)i) : result;
            if (scale >= 0) {
                (void)H5Idec_ref(scale);
            }
        }
    }
    (void)H5Sclose(space);
    (void)H5Dclose(dataset);
    return result >= 0 ? 0 : -1;
}

semcal_status sc_h5_delete(sc_h5 *file, const char *path, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    sc_h5_guard guard;
    sc_h5_enter(&guard);
    hid_t object = sc_h5_object(file, path);
    herr_t detached = object >= 0 ? H5Ovisit(object, H5_INDEX_NAME, H5_ITER_NATIVE, detach_dataset, NULL) : -1;
    if (detached >= 0 && H5Aexists(object, "REFERENCE_LIST") > 0) {
        status = sc_h5_fail(file, error, "dimension '%s' still has datasets on it", path);
    } else if (detached < 0 || H5Ldelete(file->id, path, H5P_DEFAULT) < 0) {
        status = sc_h5_fail(file, error, "cannot delete '%s'", path);
    }
    if (object >= 0) {
        (void)H5Oclose(object);
    }
    sc_h5_leave(&guard);
    return status;
}

/* ---- describing ---- */

static bool describe_type(sc_h5_shape *shape, hid_t type)
{
    size_t size = H5Tget_size(type);
    bool is_signed = false;
    switch (H5Tget_class(type)) {
    case H5T_FLOAT:
        (void)snprintf(shape->storage, sizeof shape->storage, "float%zu", 8 * size);
        shape->type = size <= 4 ? SC_H5_F32 : SC_H5_F64;
        return size <= 8;
    case H5T_INTEGER:
    case H5T_ENUM:
        is_signed = H5Tget_class(type) == H5T_ENUM || H5Tget_sign(type) == H5T_SGN_2;
        (void)snprintf(shape->storage, sizeof shape->storage, "%sint%zu", is_signed ? "" : "u", 8 * size);
        shape->type = size == 1 && !is_signed ? SC_H5_U8 : size < 4 || (size == 4 && is_signed) ? SC_H5_I32 : SC_H5_I64;
        return true;
    case H5T_STRING:
        (void)snprintf(shape->storage, sizeof shape->storage, "text");
        shape->type = SC_H5_TEXT;
        return true;
    default:
        return false;
    }
}

static herr_t take_name(hid_t dataset, unsigned dim, hid_t scale, void *payload)
{
    (void)dataset;
    (void)dim;
    char name[256] = "";
    (void)H5Iget_name(scale, name, sizeof name);
    const char *slash = strrchr(name, '/');
    (void)snprintf(payload, 64, "%.63s", slash != NULL ? slash + 1 : name);
    return 1;
}

semcal_status sc_h5_get_shape(sc_h5_shape *shape, sc_h5 *file, const char *path, semcal_error *error)
{
    *shape = (sc_h5_shape){0};
    semcal_status status = SEMCAL_OK;
    hid_t space = -1, type = -1;
    sc_h5_guard guard;
    sc_h5_enter(&guard);
    hid_t dataset = H5Dopen2(file->id, path, H5P_DEFAULT);
    if (dataset < 0) {
        status = sc_h5_fail(file, error, "no dataset '%s'", path);
        goto done;
    }
    space = H5Dget_space(dataset);
    type = H5Dget_type(dataset);
    int n_dims = H5Sget_simple_extent_ndims(space);
    if (n_dims < 0 || n_dims > SC_H5_MAX_DIMS || !describe_type(shape, type)) {
        status = sc_h5_fail(file, error, "'%s' has a type or a shape that is not supported", path);
        goto done;
    }
    hsize_t size[SC_H5_MAX_DIMS] = {0};
    (void)H5Sget_simple_extent_dims(space, size, NULL);
    shape->n_dims = (size_t)n_dims;
    shape->is_dimension = H5DSis_scale(dataset) > 0;
    for (int i = 0; i < n_dims; i++) {
        shape->length[i] = size[i];
        if (!shape->is_dimension && H5DSget_num_scales(dataset, (unsigned)i) > 0) {
            (void)H5DSiterate_scales(dataset, (unsigned)i, NULL, take_name, shape->dims[i]);
        }
    }
done:
    if (type >= 0) {
        (void)H5Tclose(type);
    }
    if (space >= 0) {
        (void)H5Sclose(space);
    }
    if (dataset >= 0) {
        (void)H5Dclose(dataset);
    }
    sc_h5_leave(&guard);
    return status;
}

static semcal_status list_links(char **names, bool *kinds, size_t n, hid_t group, H5_index_t order, semcal_error *error)
{
    for (size_t i = 0; i < n; i++) {
        char name[1024] = "";
        (void)H5Lget_name_by_idx(group, ".", order, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT);
        H5O_info_t info;
        bool known = H5Oget_info_by_name(group, name, &info, H5P_DEFAULT) >= 0;
        kinds[i] = known && info.type == H5O_TYPE_GROUP;
        names[i] = sc_memory_strdup(name, error);
        if (names[i] == NULL) {
            return SEMCAL_E_MEMORY;
        }
    }
    return SEMCAL_OK;
}

semcal_status sc_h5_list(char ***names, bool **is_group, size_t *n, sc_h5 *file, const char *group, semcal_error *error)
{
    *names = NULL;
    *n = 0;
    bool *kinds = NULL;
    semcal_status status = SEMCAL_OK;
    sc_h5_guard guard;
    sc_h5_enter(&guard);
    hid_t id = H5Gopen2(file->id, group[0] == '\0' ? "/" : group, H5P_DEFAULT);
    H5G_info_t info = {0};
    if (id < 0 || H5Gget_info(id, &info) < 0) {
        status = sc_h5_fail(file, error, "no group '%s'", group);
        goto done;
    }
    hid_t list = H5Gget_create_plist(id);
    unsigned tracked = 0;
    (void)H5Pget_link_creation_order(list, &tracked);
    (void)H5Pclose(list);
    *n = info.nlinks;
    *names = sc_memory_alloc(*n, sizeof **names, error);
    kinds = sc_memory_alloc(*n, sizeof *kinds, error);
    if (*names == NULL || kinds == NULL) {
        status = SEMCAL_E_MEMORY;
        goto done;
    }
    status = list_links(*names, kinds, *n, id, tracked != 0 ? H5_INDEX_CRT_ORDER : H5_INDEX_NAME, error);
done:
    if (id >= 0) {
        (void)H5Gclose(id);
    }
    sc_h5_leave(&guard);
    if (status != SEMCAL_OK) {
        sc_file_list_free(*names, *names != NULL ? *n : 0);
        *names = NULL;
        *n = 0;
    }
    if (status == SEMCAL_OK && is_group != NULL) {
        *is_group = kinds;
        kinds = NULL;
    }
    free(kinds);
    return status;
}

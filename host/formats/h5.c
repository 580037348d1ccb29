/* SPDX-License-Identifier: Apache-2.0 */
/* Files, the error stack and the lock. Structure is in h5_dataset.c, contents in h5_io.c, attributes in
 * h5_attribute.c. */
#include "formats/h5_internal.h"

#include "base/memory.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The one piece of global state: distributions ship HDF5 with and without thread safety. */
static pthread_mutex_t h5_lock = PTHREAD_MUTEX_INITIALIZER;

/* A file that could not be closed (disk full) stays in HDF5's tables, and its exit handler crashes on it (1.10.8).
 * Everything is closed explicitly here, so nothing is left for that handler to do. */
static void no_exit_handler(void)
{
    (void)H5dont_atexit();
}

void sc_h5_enter(sc_h5_guard *guard)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, no_exit_handler);
    (void)pthread_mutex_lock(&h5_lock);
    (void)H5Eget_auto2(H5E_DEFAULT, &guard->print, &guard->payload);
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    (void)H5Eclear2(H5E_DEFAULT);
}

void sc_h5_leave(const sc_h5_guard *guard)
{
    (void)H5Eclear2(H5E_DEFAULT);
    (void)H5Eset_auto2(H5E_DEFAULT, guard->print, guard->payload);
    (void)pthread_mutex_unlock(&h5_lock);
}

typedef struct reason {
    char text[256];
    bool from_system;
} reason;

/* The innermost entry says it best, unless a deeper or later one carries the system's own message. */
static herr_t take_reason(unsigned n, const H5E_error2_t *entry, void *payload)
{
    (void)n;
    reason *found = payload;
    const char *text = entry->desc != NULL ? entry->desc : "";
    const char *system = strstr(text, "error message = '");
    if (system != NULL && !found->from_system) {
        system += strlen("error message = '");
        (void)snprintf(found->text, sizeof found->text, "%.*s", (int)strcspn(system, "'"), system);
        found->from_system = true;
    } else if (found->text[0] == '\0') {
        (void)snprintf(found->text, sizeof found->text, "%s", text);
    }
    return 0;
}

semcal_status sc_h5_fail(const sc_h5 *file, semcal_error *error, const char *format, ...)
{
    char what[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    reason found = {.text = ""};
    (void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_reason, &found);
    return sc_error_set(error, SEMCAL_E_DATA, "%s: %s%s%s", file->path, what, found.text[0] != '\0' ? ": " : "",
                        found.text);
}

hid_t sc_h5_object(const sc_h5 *file, const char *path)
{
    return H5Oopen(file->id, path[0] == '\0' ? "/" : path, H5P_DEFAULT);
}

/* Of a file's structure and texts, kept in memory by HDF5. */
enum { METADATA_BYTES = 1 << 20 };

static hid_t access_list(void)
{
    hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    if (list < 0) {
        return list;
    }
    (void)H5Pset_libver_bounds(list, H5F_LIBVER_EARLIEST, H5F_LIBVER_V18);
    /* Its own limit is 32 MB a file, most of it texts that were written and will not be asked for again. */
    H5AC_cache_config_t cache = {.version = H5AC__CURR_CACHE_CONFIG_VERSION};
    if (H5Pget_mdc_config(list, &cache) >= 0) {
        cache.set_initial_size = true;
        cache.initial_size = cache.max_size = METADATA_BYTES;
        cache.min_size = METADATA_BYTES / 2;
        (void)H5Pset_mdc_config(list, &cache);
    }
#if H5_VERSION_GE(1, 10, 7)
    /* Files are written under another name and renamed; locks would only fail on network file systems. */
    (void)H5Pset_file_locking(list, 0, 1);
#endif
    return list;
}

static semcal_status open_file(sc_h5 **file, const char *path, bool create, bool writable, semcal_error *error)
{
    *file = NULL;
    sc_h5 *made = sc_memory_alloc(1, sizeof *made, error);
    if (made == NULL) {
        return SEMCAL_E_MEMORY;
    }
    made->path = sc_memory_strdup(path, error);
    if (made->path == NULL) {
        free(made);
        return SEMCAL_E_MEMORY;
    }
    sc_h5_guard guard;
    sc_h5_enter(&guard);
    hid_t access = access_list(), creation = H5Pcreate(H5P_FILE_CREATE);
    /* Readers then list variables in the order they were made, not by name. */
    (void)H5Pset_link_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
    made->id = create ? H5Fcreate(path, H5F_ACC_TRUNC, creation, access)
                      : H5Fopen(path, writable ? H5F_ACC_RDWR : H5F_ACC_RDONLY, access);
    semcal_status status = SEMCAL_OK;
    if (made->id < 0) {
        status = sc_h5_fail(made, error, create ? "cannot create" : "cannot open as HDF5");
    }
    (void)H5Pclose(access);
    (void)H5Pclose(creation);
    sc_h5_leave(&guard);
    if (status != SEMCAL_OK) {
        free(made->path);
        free(made);
        return status;
    }
    *file = made;
    return SEMCAL_OK;
}

semcal_status sc_h5_create(sc_h5 **file, const char *path, semcal_error *error)
{
    return open_file(file, path, true, true, error);
}

semcal_status sc_h5_open(sc_h5 **file, const char *path, bool writable, semcal_error *error)
{
    return open_file(file, path, false, writable, error);
}

/* Closes what is kept open; negative when something written could not be stored. */
static herr_t close_kept(sc_h5 *file)
{
    herr_t result = 0;
    for (size_t i = 0; i < file->n_kept; i++) {
        result = H5Dclose(file->kept[i].dataset) < 0 ? -1 : result;
        free(file->kept[i].path);
    }
    file->n_kept = 0;
    return result;
}

semcal_status sc_h5_close(sc_h5 **file, semcal_error *error)
{
    sc_h5 *closed = *file;
    *file = NULL;
    if (closed == NULL) {
        return SEMCAL_OK;
    }
    semcal_status status = SEMCAL_OK;
    sc_h5_guard guard;
    sc_h5_enter(&guard);
    if (close_kept(closed) < 0) {
        status = sc_h5_fail(closed, error, "cannot write");
    }
    if (H5Fclose(closed->id) < 0 && status == SEMCAL_OK) {
        status = sc_h5_fail(closed, error, "cannot write");
    }
    sc_h5_leave(&guard);
    free(closed->kept);
    free(closed->path);
    free(closed);
    return status;
}

void sc_h5_keep_open(sc_h5 *file)
{
    file->keeps = true;
}

semcal_status sc_h5_let_go(sc_h5 *file, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    sc_h5_guard guard;
    sc_h5_enter(&guard);
    if (close_kept(file) < 0) {
        status = sc_h5_fail(file, error, "cannot write");
    }
    sc_h5_leave(&guard);
    return status;
}

const char *sc_h5_path(const sc_h5 *file)
{
    return file->path;
}

hid_t sc_h5_memory_type(sc_h5_type type)
{
    hid_t text;
    switch (type) {
    case SC_H5_F64:
        return H5T_NATIVE_DOUBLE;
    case SC_H5_F32:
        return H5T_NATIVE_FLOAT;
    case SC_H5_I64:
        return H5T_NATIVE_INT64;
    case SC_H5_I32:
        return H5T_NATIVE_INT32;
    case SC_H5_U8:
        return H5T_NATIVE_UINT8;
    case SC_H5_TEXT:
        text = H5Tcopy(H5T_C_S1);
        (void)H5Tset_size(text, H5T_VARIABLE);
        (void)H5Tset_cset(text, H5T_CSET_UTF8);
        return text;
    }
    return H5I_INVALID_HID;
}

void sc_h5_close_type(sc_h5_type type, hid_t id)
{
    if (type == SC_H5_TEXT && id >= 0) {
        (void)H5Tclose(id);
    }
}

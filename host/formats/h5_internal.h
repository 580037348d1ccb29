/* SPDX-License-Identifier: Apache-2.0 */
/* What the h5*.c files share. */
#ifndef SC_FORMATS_H5_INTERNAL_H
#define SC_FORMATS_H5_INTERNAL_H

#include "formats/h5.h"

#include <hdf5.h>
#include <hdf5_hl.h>

struct sc_h5 {
    char *path;
    hid_t id;
    int32_t n_dimensions; /* made so far: the next _Netcdf4Dimid */
    bool keeps;           /* datasets that are read or written stay open */
    struct sc_h5_kept {
        char *path;
        hid_t dataset;
    } * kept;
    size_t n_kept, kept_capacity;
};

/* Everything between enter and leave runs alone and with HDF5's own printing off. */
typedef struct sc_h5_guard {
    H5E_auto2_t print;
    void *payload;
} sc_h5_guard;

void sc_h5_enter(sc_h5_guard *guard);
void sc_h5_leave(const sc_h5_guard *guard);

/* "file: <formatted>: innermost reason of HDF5's error stack". To be called before sc_h5_leave. */
semcal_status sc_h5_fail(const sc_h5 *file, semcal_error *error, const char *format, ...) SC_PRINTF(3, 4);

/* Opens a dataset or group ("" is the root); negative on failure. */
hid_t sc_h5_object(const sc_h5 *file, const char *path);

hid_t sc_h5_memory_type(sc_h5_type type); /* texts: to be closed with sc_h5_close_type */
void sc_h5_close_type(sc_h5_type type, hid_t id);

semcal_status sc_h5_set_text_locked(sc_h5 *file, hid_t object, const char *name, const char *text, semcal_error *error);
semcal_status sc_h5_set_number_locked(sc_h5 *file, hid_t object, const char *name, hid_t stored, hid_t memory,
                                      const void *value, semcal_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The files of cl/ as embedded in the library at build time. */
#ifndef SC_DEVICE_EMBEDDED_H
#define SC_DEVICE_EMBEDDED_H

#include <stddef.h>

typedef struct sc_embedded_file {
    const char *name; /* "rows.cl" */
    const char *data; /* NUL-terminated */
    size_t length;    /* bytes without the NUL */
} sc_embedded_file;

extern const sc_embedded_file sc_embedded_files[];
extern const size_t sc_embedded_n_files;

#endif

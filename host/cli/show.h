/* SPDX-License-Identifier: Apache-2.0 */
/* Things `semcal show` can show, one file each. */
#ifndef SC_CLI_SHOW_H
#define SC_CLI_SHOW_H

#include "base/error.h"

#include <stdbool.h>

/* Every OpenCL device (show_devices.c). */
semcal_status sc_cli_show_devices(bool json, semcal_error *error);

/* What is in a file: HDF5, npy, safetensors, or a model folder (show_file.c). */
semcal_status sc_cli_show_file(const char *path, bool json, semcal_error *error);

/* A run folder: a table and a diagram of every cell (show_run.c). */
semcal_status sc_cli_show_run(const char *path, bool json, semcal_error *error);

#endif

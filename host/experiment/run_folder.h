/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of a run: made, locked against a second writer, tied to one configuration. */
#ifndef SC_EXPERIMENT_RUN_FOLDER_H
#define SC_EXPERIMENT_RUN_FOLDER_H

#include "experiment/run.h"

typedef struct sc_run_folder {
    char *path;
    int lock; /* descriptor, -1: none */
} sc_run_folder;

/* Makes or finds options->folder, locks it for this shard and writes config.yaml and resolved.yaml.
 * SEMCAL_E_CONFIG when it holds another configuration (keys under `analyze` and `mechanism` may differ: they do
 * not touch what is drawn) and `fresh` is not set; SEMCAL_E_DATA when another process is at work in it. */
semcal_status sc_run_folder_open(sc_run_folder *folder, const sc_config *config, const sc_run_options *options,
                                 semcal_error *error);
void sc_run_folder_close(sc_run_folder *folder);

/* RUN/cells/<cell>.h5, malloc'ed. */
char *sc_run_folder_cell(const sc_run_folder *folder, const char *cell, semcal_error *error);

/* The configuration a run folder was made with (its resolved.yaml). SEMCAL_E_DATA when `path` is no run folder. */
semcal_status sc_run_folder_config(sc_config **config, const char *path, semcal_error *error);

#endif

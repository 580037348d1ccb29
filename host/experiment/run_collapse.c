/* SPDX-License-Identifier: Apache-2.0 */
/* Another collapse for a run that is already stored: no model is needed. */
#include "base/file.h"
#include "experiment/dataset.h"
#include "experiment/plan.h"
#include "experiment/run.h"
#include "experiment/run_cell.h"
#include "experiment/run_folder.h"

#include <stdio.h>
#include <stdlib.h>

static semcal_status collapse_cells(const char *folder, const sc_plan *plan, const char *kind, sc_log *log,
                                    semcal_error *error)
{
    const sc_run_folder run = {.path = (char *)(uintptr_t)folder, .lock = -1};
    sc_dataset dataset = {0};
    const sc_config_dataset *open = NULL;
    size_t n_done = 0;
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < plan->n_cells && status == SEMCAL_OK; i++) {
        const sc_cell *cell = &plan->cells[i];
        char *path = sc_run_folder_cell(&run, cell->name, error);
        if (path == NULL) {
            status = SEMCAL_E_MEMORY;
        } else if (sc_file_exists(path)) {
            if (open != cell->dataset) {
                sc_dataset_free(&dataset);
                status = sc_dataset_open_config(&dataset, cell->dataset, error);
                open = status == SEMCAL_OK ? cell->dataset : NULL;
            }
            bool done = false;
            if (status == SEMCAL_OK && kind == NULL) {
                status = sc_run_cell_is_collapsed(&done, path, cell->dataset, error);
            }
            if (status == SEMCAL_OK && !done) {
                status = sc_run_cell_collapse(path, cell->dataset, &dataset, kind, log, error);
            }
            n_done++;
        }
        free(path);
    }
    sc_dataset_free(&dataset);
    if (status == SEMCAL_OK && n_done == 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: none of its %zu cells is finished; 'semcal run' goes on",
                              folder, plan->n_cells);
    }
    return status;
}

semcal_status sc_run_collapse(const char *folder, const char *kind, sc_log_sink sink, void *payload,
                              semcal_error *error)
{
    const sc_collapse_kind *found;
    sc_config *config = NULL;
    sc_plan plan = {0};
    sc_log *log = NULL;
    char *path = NULL;
    semcal_status status = kind == NULL ? SEMCAL_OK : sc_collapse_find(&found, kind, error);
    if (status == SEMCAL_OK) {
        status = sc_run_folder_config(&config, folder, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_plan_make(&plan, config, error);
    }
    if (status == SEMCAL_OK) {
        path = sc_file_join(folder, "log.jsonl", error);
        status = path == NULL ? SEMCAL_E_MEMORY : sc_log_open(&log, path, sink, SC_LOG_WARNING, payload, error);
    }
    if (status == SEMCAL_OK) {
        status = collapse_cells(folder, &plan, kind, log, error);
        semcal_status closed = sc_log_close(log, status == SEMCAL_OK ? error : NULL);
        status = status == SEMCAL_OK ? closed : status;
    }
    free(path);
    sc_plan_free(&plan);
    sc_config_free(config);
    return status;
}

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

/* The dataset of the cells at hand; neighbours share it. */
typedef struct open_dataset {
    const sc_config_dataset *config;
    sc_dataset dataset;
} open_dataset;

static semcal_status collapse_cell(open_dataset *open, const sc_config *config, const sc_cell *cell, const char *path,
                                   const char *kind, sc_log *log, semcal_error *error)
{
    bool done = false;
    semcal_status status = SEMCAL_OK;
    if (kind == NULL) {
        status = sc_run_cell_is_collapsed(&done, path, config, cell->dataset, error);
    }
    if (status == SEMCAL_OK && !done && open->config != cell->dataset) {
        sc_dataset_free(&open->dataset);
        open->config = NULL;
        status = sc_dataset_open_config(&open->dataset, cell->dataset, error);
        open->config = status == SEMCAL_OK ? cell->dataset : NULL;
    }
    if (status == SEMCAL_OK && !done) {
        status = sc_run_cell_collapse(path, config, cell->dataset, &open->dataset, kind, log, error);
    }
    return status;
}

/* A kind need not fit every dataset: cells where it fails are told, the others go on. */
static semcal_status collapse_cells(const char *folder, const sc_config *config, const sc_plan *plan, const char *kind,
                                    sc_log *log, semcal_error *error)
{
    const sc_run_folder run = {.path = (char *)(uintptr_t)folder, .lock = -1};
    open_dataset open = {0};
    semcal_error first = SEMCAL_ERROR_INIT;
    size_t n_found = 0, n_failed = 0;
    for (size_t i = 0; i < plan->n_cells; i++) {
        if (plan->cells[i].text) {
            continue; /* no responses, nothing to collapse */
        }
        semcal_error failure = SEMCAL_ERROR_INIT;
        char *path = sc_run_folder_cell(&run, plan->cells[i].name, &failure);
        if (path != NULL && sc_file_exists(path)) {
            n_found++;
            (void)collapse_cell(&open, config, &plan->cells[i], path, kind, log, &failure);
        }
        free(path);
        if (failure.status != SEMCAL_OK) {
            sc_log_write(log, SC_LOG_ERROR, "collapse_failed", failure.message, NULL, 0);
            first = n_failed++ == 0 ? failure : first;
        }
    }
    sc_dataset_free(&open.dataset);
    if (n_found == 0 && kind != NULL) { /* a merged run may be of texts alone */
        return sc_error_set(error, SEMCAL_E_DATA, "%s: none of its %zu cells is finished; 'semcal run' goes on", folder,
                            plan->n_cells);
    }
    if (n_failed > 0) {
        return sc_error_set(error, n_failed == n_found ? first.status : SEMCAL_PARTIAL,
                            "%zu of %zu cells failed; first: %s", n_failed, n_found, first.message);
    }
    return SEMCAL_OK;
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
        status = collapse_cells(folder, config, &plan, kind, log, error);
        semcal_status closed = sc_log_close(log, status == SEMCAL_OK ? error : NULL);
        status = status == SEMCAL_OK ? closed : status;
    }
    free(path);
    sc_plan_free(&plan);
    sc_config_free(config);
    return status;
}

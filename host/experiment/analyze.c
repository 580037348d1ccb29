/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/analyze.h"

#include "base/file.h"
#include "base/memory.h"
#include "experiment/analyze_cell.h"
#include "experiment/run_folder.h"

#include <stdlib.h>

void sc_analysis_free(sc_analysis *analysis)
{
    for (size_t i = 0; analysis->cells != NULL && i < analysis->n_cells; i++) {
        sc_analysis_cell_free(&analysis->cells[i]);
    }
    free(analysis->cells);
    for (size_t i = 0; analysis->texts != NULL && i < analysis->n_texts; i++) {
        sc_analysis_text_free(&analysis->texts[i]);
    }
    free(analysis->texts);
    sc_file_list_free(analysis->missing, analysis->n_missing);
    sc_file_list_free(analysis->failed, analysis->n_failed);
    free(analysis->collapse);
    *analysis = (sc_analysis){0};
}

/* A cell that fails is noted and the others go on; out of memory ends it all. */
static semcal_status note_failure(sc_analysis *analysis, semcal_status status, const semcal_error *failure,
                                  semcal_error *error)
{
    if (status == SEMCAL_E_MEMORY) {
        return sc_error_set(error, status, "%s", failure->message);
    }
    char *line = sc_memory_strdup(failure->message, error);
    if (line == NULL) {
        return SEMCAL_E_MEMORY;
    }
    analysis->failed[analysis->n_failed++] = line;
    return SEMCAL_OK;
}

static semcal_status analyze_cells(sc_analysis *analysis, const sc_config *config, const sc_plan *plan,
                                   const char *folder, const sc_analyze_options *options, semcal_error *error)
{
    const sc_run_folder run = {.path = (char *)(uintptr_t)folder, .lock = -1};
    analysis->cells = sc_memory_alloc(plan->n_cells, sizeof *analysis->cells, error);
    analysis->missing = sc_memory_alloc(plan->n_cells, sizeof *analysis->missing, error);
    analysis->texts = sc_memory_alloc(plan->n_cells, sizeof *analysis->texts, error);
    analysis->failed = sc_memory_alloc(plan->n_cells, sizeof *analysis->failed, error);
    bool complete = analysis->cells && analysis->texts && analysis->missing && analysis->failed;
    semcal_status status = complete ? SEMCAL_OK : SEMCAL_E_MEMORY;
    for (size_t i = 0; i < plan->n_cells && status == SEMCAL_OK; i++) {
        const sc_cell *cell = &plan->cells[i];
        char *path = sc_run_folder_cell(&run, cell->name, error);
        if (path == NULL) {
            status = SEMCAL_E_MEMORY;
        } else if (!sc_file_exists(path)) {
            analysis->missing[analysis->n_missing] = sc_memory_strdup(cell->name, error);
            status = analysis->missing[analysis->n_missing] == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
            analysis->n_missing += status == SEMCAL_OK;
        } else if (cell->text) {
            semcal_error failure = SEMCAL_ERROR_INIT;
            status = sc_analyze_text(&analysis->texts[analysis->n_texts], config, cell, path, &failure);
            if (status == SEMCAL_OK) {
                analysis->n_texts++;
            } else {
                sc_analysis_text_free(&analysis->texts[analysis->n_texts]);
                status = note_failure(analysis, status, &failure, error);
            }
        } else {
            semcal_error failure = SEMCAL_ERROR_INIT;
            status = sc_analysis_cell_make(&analysis->cells[analysis->n_cells], config, cell, path,
                                           options != NULL ? options->collapse : NULL, &failure);
            if (status == SEMCAL_OK) {
                analysis->n_cells++;
            } else {
                sc_analysis_cell_free(&analysis->cells[analysis->n_cells]);
                analysis->cells[analysis->n_cells] = (sc_analysis_cell){0};
                status = note_failure(analysis, status, &failure, error);
            }
        }
        free(path);
    }
    return status;
}

semcal_status sc_analyze(sc_analysis *analysis, const char *folder, const sc_analyze_options *options,
                         semcal_error *error)
{
    *analysis = (sc_analysis){0};
    sc_config *config = NULL;
    sc_plan plan = {0};
    char *path = NULL;
    semcal_status status = sc_run_folder_config(&config, folder, error);
    if (status == SEMCAL_OK) {
        status = sc_plan_make(&plan, config, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_analysis_inputs(analysis->inputs, folder, &plan, error); /* before they are read */
    }
    if (status == SEMCAL_OK && options != NULL && options->collapse != NULL) {
        analysis->collapse = sc_memory_strdup(options->collapse, error);
        status = analysis->collapse == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    if (status == SEMCAL_OK) {
        status = analyze_cells(analysis, config, &plan, folder, options, error);
    }
    if (analysis->n_failed > 0) {
        analysis->inputs[0] = '\0'; /* what failed is told by whoever looks next, too */
    }
    if (status == SEMCAL_OK && analysis->n_failed > 0 && analysis->n_cells + analysis->n_texts == 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s", analysis->failed[0]);
    }
    if (status == SEMCAL_OK && analysis->n_cells + analysis->n_texts == 0) {
        status =
            sc_error_set(error, SEMCAL_E_DATA, "%s: none of its %zu cells is finished; 'semcal run' goes on with them",
                         folder, plan.n_cells);
    }
    if (status == SEMCAL_OK) {
        path = sc_file_join(folder, "analysis.h5", error);
        status = path == NULL ? SEMCAL_E_MEMORY : sc_analysis_write(path, analysis, error);
    }
    free(path);
    sc_plan_free(&plan);
    sc_config_free(config);
    if (status != SEMCAL_OK) {
        sc_analysis_free(analysis);
    }
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Another collapse for a run that is already stored: no model is needed but a judge. */
#include "base/file.h"
#include "base/memory.h"
#include "experiment/dataset.h"
#include "experiment/plan.h"
#include "experiment/run.h"
#include "experiment/run_cell.h"
#include "experiment/run_folder.h"
#include "experiment/sources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct work {
    const char *folder;
    const sc_run_collapse_options *options;
    sc_config *config;
    sc_plan plan;
    sc_log *log;
    sc_sources sources;
    size_t n_notes; /* of the device, told so far */
    /* the dataset of the cells at hand; neighbours share it */
    const sc_config_dataset *dataset_config;
    sc_dataset dataset;
} work;

/* NULL when no kind that is to be applied needs one. */
static semcal_status judge(sc_judged **judged, work *w, const sc_cell *cell, const char *path, semcal_error *error)
{
    const char *kind = w->options->kind;
    const sc_config_collapse *collapse = sc_config_find_collapse(cell->dataset, SC_JUDGE_KIND);
    if (collapse == NULL || (kind != NULL && strcmp(kind, SC_JUDGE_KIND) != 0)) {
        return SEMCAL_OK;
    }
    sc_config_model model;
    sc_judge_options options = {.config = collapse,
                                .model = &model,
                                .folder = w->folder,
                                .commit_seconds = w->config->store.commit_seconds,
                                .stopped = w->options->stopped,
                                .payload = w->options->payload};
    sc_judge_model(&model, collapse, cell->model);
    semcal_status status = sc_sources_get(&options.source, &w->sources, &model, error);
    for (; w->sources.device != NULL && w->n_notes < sc_device_n_notes(w->sources.device); w->n_notes++) {
        sc_log_write(w->log, SC_LOG_WARNING, "device_note", sc_device_note_at(w->sources.device, w->n_notes), NULL, 0);
    }
    return status == SEMCAL_OK ? sc_run_judge(judged, path, &options, w->log, error) : status;
}

static semcal_status collapse_cell(work *w, const sc_cell *cell, const char *path, semcal_error *error)
{
    const char *kind = w->options->kind;
    bool done = false;
    sc_judged *judged = NULL;
    semcal_status status = SEMCAL_OK;
    if (kind == NULL) {
        status = sc_run_cell_is_collapsed(&done, path, w->config, cell->dataset, error);
    }
    if (status == SEMCAL_OK && !done && w->dataset_config != cell->dataset) {
        sc_dataset_free(&w->dataset);
        w->dataset_config = NULL;
        status = sc_dataset_open_config(&w->dataset, cell->dataset, w->folder, error);
        w->dataset_config = status == SEMCAL_OK ? cell->dataset : NULL;
    }
    if (status == SEMCAL_OK && !done) {
        status = judge(&judged, w, cell, path, error);
    }
    if (status == SEMCAL_OK && !done) {
        status = sc_run_cell_collapse(path, w->config, cell->dataset, &w->dataset, kind, judged, w->log, error);
    }
    sc_judged_free(judged);
    return status;
}

/* A kind need not fit every dataset: cells where it fails are told, the others go on. */
static semcal_status collapse_cells(work *w, semcal_error *error)
{
    const sc_run_folder run = {.path = (char *)(uintptr_t)w->folder, .lock = -1};
    semcal_error first = SEMCAL_ERROR_INIT;
    size_t n_found = 0, n_failed = 0;
    for (size_t i = 0; i < w->plan.n_cells; i++) {
        if (w->plan.cells[i].text) {
            continue; /* no responses, nothing to collapse */
        }
        semcal_error failure = SEMCAL_ERROR_INIT;
        semcal_status status = SEMCAL_OK;
        char *path = sc_run_folder_cell(&run, w->plan.cells[i].name, &failure);
        if (path != NULL && sc_file_exists(path)) {
            n_found++;
            status = collapse_cell(w, &w->plan.cells[i], path, &failure);
        }
        free(path);
        if (status == SEMCAL_INTERRUPTED) {
            return status;
        }
        if (failure.status != SEMCAL_OK) {
            sc_log_write(w->log, SC_LOG_ERROR, "collapse_failed", failure.message, NULL, 0);
            first = n_failed++ == 0 ? failure : first;
        }
    }
    if (n_found == 0 && w->options->kind != NULL) { /* a merged run may be of texts alone */
        return sc_error_set(error, SEMCAL_E_DATA, "%s: none of its %zu cells is finished; 'semcal run' goes on",
                            w->folder, w->plan.n_cells);
    }
    if (n_failed > 0) {
        return sc_error_set(error, n_failed == n_found ? first.status : SEMCAL_PARTIAL,
                            "%zu of %zu cells failed; first: %s", n_failed, n_found, first.message);
    }
    return SEMCAL_OK;
}

/* ---- the configuration, with what the options say about the judge ---- */

typedef struct overrides {
    char **at;
    size_t n, capacity;
} overrides;

static semcal_status add_override(overrides *o, size_t dataset, const char *rest, const char *text, semcal_error *error)
{
    sc_text line = {0};
    semcal_status status = sc_memory_grow(&o->at, &o->capacity, o->n + 1, sizeof *o->at, error);
    if (status == SEMCAL_OK) {
        status = sc_text_printf(&line, error, "datasets[%zu].collapse%s%s", dataset, rest, text);
    }
    if (status != SEMCAL_OK) {
        sc_text_free(&line);
        return status;
    }
    o->at[o->n++] = line.data;
    return SEMCAL_OK;
}

static semcal_status list_overrides(overrides *o, const sc_config *config, const sc_run_collapse_options *options,
                                    semcal_error *error)
{
    sc_text path = {0};
    semcal_status status = options->judge != NULL ? sc_judge_put_path(&path, options->judge, error) : SEMCAL_OK;
    for (size_t i = 0; i < config->datasets.n && status == SEMCAL_OK; i++) {
        if (sc_config_is_text(&config->datasets.at[i])) {
            continue;
        }
        if (sc_config_find_collapse(&config->datasets.at[i], SC_JUDGE_KIND) == NULL) {
            status = add_override(o, i, "=", SC_JUDGE_KIND, error);
        }
        if (status == SEMCAL_OK && options->judge != NULL) {
            status = add_override(o, i, "." SC_JUDGE_KIND ".path=", path.data, error);
        }
        for (size_t k = 0; k < options->n_set && status == SEMCAL_OK; k++) {
            status = add_override(o, i, "." SC_JUDGE_KIND ".", options->set[k], error);
        }
    }
    sc_text_free(&path);
    return status;
}

static semcal_status load_config(work *w, semcal_error *error)
{
    const sc_run_collapse_options *options = w->options;
    const bool judged = options->kind != NULL && strcmp(options->kind, SC_JUDGE_KIND) == 0;
    if (!judged && (options->judge != NULL || options->n_set > 0)) {
        return sc_error_set(error, SEMCAL_E_CONFIG,
                            "--judge and --set are for the kind " SC_JUDGE_KIND ", which alone asks a judge");
    }
    semcal_status status = sc_run_folder_config(&w->config, w->folder, error);
    if (status != SEMCAL_OK || !judged) {
        return status;
    }
    overrides o = {0};
    char *resolved = sc_file_join(w->folder, "resolved.yaml", error);
    status = resolved == NULL ? SEMCAL_E_MEMORY : list_overrides(&o, w->config, options, error);
    if (status == SEMCAL_OK) {
        sc_config_free(w->config);
        w->config = NULL;
        status = sc_config_load(&w->config, resolved, (const char *const *)o.at, o.n, error);
    }
    for (size_t i = 0; i < o.n; i++) {
        free(o.at[i]);
    }
    free(o.at);
    free(resolved);
    return status == SEMCAL_OK ? sc_judge_check(w->config, error) : status;
}

semcal_status sc_run_collapse(const char *folder, const sc_run_collapse_options *options, semcal_error *error)
{
    const sc_collapse_kind *found;
    work w = {.folder = folder, .options = options};
    char *path = NULL;
    semcal_status status = options->kind == NULL ? SEMCAL_OK : sc_collapse_find(&found, options->kind, error);
    if (status == SEMCAL_OK) {
        status = load_config(&w, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_plan_make(&w.plan, w.config, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_sources_init(&w.sources, options->device, false, NULL, error);
    }
    if (status == SEMCAL_OK) {
        path = sc_file_join(folder, "log.jsonl", error);
        status = path == NULL ? SEMCAL_E_MEMORY
                              : sc_log_open(&w.log, path, options->sink, SC_LOG_WARNING, options->payload, error);
    }
    if (status == SEMCAL_OK) {
        status = collapse_cells(&w, error);
        semcal_status closed = sc_log_close(w.log, status == SEMCAL_OK ? error : NULL);
        status = status == SEMCAL_OK ? closed : status;
    }
    free(path);
    sc_dataset_free(&w.dataset);
    sc_sources_free(&w.sources);
    sc_plan_free(&w.plan);
    sc_config_free(w.config);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/run.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "experiment/dataset.h"
#include "experiment/mechanism.h"
#include "experiment/plan.h"
#include "experiment/run_behind.h"
#include "experiment/run_folder.h"
#include "experiment/run_text.h"
#include "experiment/sources.h"
#include "experiment/store_internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct run {
    const sc_config *config;
    const sc_run_options *options;
    sc_plan plan;
    sc_run_folder folder;
    sc_log *log;
    sc_dataset *datasets; /* [config->datasets.n], opened when first needed (path NULL: not yet) */
    sc_sources sources;
    sc_progress_counters counters;
    sc_run_summary *summary;
    semcal_error first_failure;
    sc_run_drawn *drawn; /* [plan.n_cells] */
    sc_run_behind behind;
    size_t n_notes; /* of the device, told so far */
} run;

static semcal_status dataset_of(run *r, const sc_dataset **dataset, const sc_config_dataset *config,
                                semcal_error *error)
{
    size_t i = (size_t)(config - r->config->datasets.at);
    semcal_status status = SEMCAL_OK;
    if (r->datasets[i].path == NULL) {
        status = sc_dataset_open_config(&r->datasets[i], config, error);
    }
    *dataset = &r->datasets[i];
    return status;
}

/* What the device has to say about itself, once each. */
static void tell_notes(run *r)
{
    for (; r->sources.device != NULL && r->n_notes < sc_device_n_notes(r->sources.device); r->n_notes++) {
        sc_log_write(r->log, SC_LOG_WARNING, "device_note", sc_device_note_at(r->sources.device, r->n_notes), NULL, 0);
    }
}

static semcal_status do_text(run *r, const sc_cell *cell, semcal_error *error)
{
    sc_source *source = NULL;
    bool already = false;
    semcal_status status = sc_sources_get(&source, &r->sources, cell->model, error);
    if (status == SEMCAL_OK) {
        const sc_run_cell job = {r->config,  cell,   NULL,         source,    r->sources.device,
                                 r->options, r->log, &r->counters, r->summary};
        status = sc_run_text_do(&job, &already, error);
    }
    r->summary->n_already += status == SEMCAL_OK && already;
    return status;
}

/* Draws the questions of a cell of questions. */
static semcal_status draw_cell(run *r, sc_run_drawn *drawn, const sc_cell *cell, semcal_error *error)
{
    const sc_dataset *dataset = NULL;
    sc_source *source = NULL;
    semcal_status status = dataset_of(r, &dataset, cell->dataset, error);
    if (status == SEMCAL_OK) {
        status = sc_sources_get(&source, &r->sources, cell->model, error);
        tell_notes(r);
    }
    drawn->job = (sc_run_cell){r->config,  cell,   dataset,      source,    r->sources.device,
                               r->options, r->log, &r->counters, r->summary};
    if (status == SEMCAL_OK) {
        drawn->path =
            sc_store_path(r->options->folder, cell->name, r->options->shard, r->options->n_shards, ".h5", error);
        status = drawn->path == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    return status == SEMCAL_OK ? sc_run_cell_draw(&drawn->rest, &drawn->job, &drawn->already, error) : status;
}

/* Whether a cell failed because nothing more can be written: what it had begun is deleted by then, so there may be room
 * for a little again, and the message knows better. */
static bool is_full(const semcal_error *failure, const char *folder)
{
    static const int causes[] = {ENOSPC, EDQUOT, EFBIG};
    bool full = failure->status == SEMCAL_E_DATA && !sc_file_has_room(folder);
    for (size_t i = 0; i < sizeof causes / sizeof *causes && !full; i++) {
        full = failure->status == SEMCAL_E_DATA && strstr(failure->message, strerror(causes[i])) != NULL;
    }
    return full;
}

static void tell_done(run *r, const sc_cell *cell, double wall_s)
{
    r->summary->n_finished++;
    sc_log_event(r->log, SC_LOG_INFO, "cell_done", NULL, sc_log_text("cell", cell->name),
                 sc_log_real("wall_s", wall_s));
}

/* A failed cell is told and the others go on; an interruption or a full disk ends the run. */
static semcal_status tell_failure(run *r, const sc_cell *cell, const semcal_error *failure, semcal_error *error)
{
    if (failure->status == SEMCAL_INTERRUPTED) {
        sc_log_event(r->log, SC_LOG_INFO, "interrupted", NULL, sc_log_text("cell", cell->name));
        return SEMCAL_INTERRUPTED;
    }
    if (is_full(failure, r->options->folder)) {
        sc_log_event(r->log, SC_LOG_ERROR, "disk_full", NULL, sc_log_text("cell", cell->name));
        return sc_error_set(error, SEMCAL_E_DATA,
                            "no room left for %s (cell %s: %s); what is committed stays, make room and the same "
                            "command goes on",
                            r->options->folder, cell->name, failure->message);
    }
    char line[SEMCAL_ERROR_SIZE + 256];
    (void)snprintf(line, sizeof line, "cell %s failed: %s", cell->name, failure->message);
    sc_log_write(r->log, SC_LOG_ERROR, "cell_failed", line, NULL, 0);
    r->summary->n_failed++;
    if (r->first_failure.status == SEMCAL_OK) {
        r->first_failure = *failure;
        sc_error_where(&r->first_failure, "cell %s", cell->name);
    }
    return SEMCAL_OK;
}

/* Tells what has become of a cell that was behind; *left stays when there is more to do. */
static semcal_status settle(run *r, sc_run_drawn **left, semcal_error *error)
{
    sc_run_drawn *drawn = *left;
    semcal_status status = SEMCAL_OK;
    if (drawn == NULL) {
        return SEMCAL_OK;
    }
    if (drawn->failure.status != SEMCAL_OK) {
        status = tell_failure(r, drawn->job.cell, &drawn->failure, error);
    } else if (drawn->done) {
        tell_done(r, drawn->job.cell, drawn->own_s);
        r->summary->n_already += drawn->already;
    }
    if (drawn->done || drawn->failure.status != SEMCAL_OK) {
        *left = NULL;
    }
    return status;
}

/* Waits for what is behind, makes the mechanism of the cell joined last, and leaves its collapses and the joining of
 * `next` (may be NULL) behind. */
static semcal_status move_on(run *r, sc_run_drawn *next, semcal_error *error)
{
    const sc_phase before = sc_phases_enter(&r->summary->phases, SC_PHASE_STORE);
    sc_run_behind_wait(&r->behind);
    (void)sc_phases_enter(&r->summary->phases, before);
    sc_run_drawn *collapsing = r->behind.collapsing, *joined = r->behind.joining;
    r->behind.collapsing = r->behind.joining = NULL;
    semcal_status status = settle(r, &collapsing, error);
    semcal_status other = settle(r, &joined, status == SEMCAL_OK ? error : NULL);
    status = status == SEMCAL_OK ? other : status;
    if (joined != NULL && status == SEMCAL_OK) {
        const double began = sc_clock_now_s();
        sc_source *source = NULL; /* may have been closed for another model meanwhile */
        joined->failure.status = sc_sources_get(&source, &r->sources, joined->job.cell->model, &joined->failure);
        joined->job.source = source;
        if (joined->failure.status == SEMCAL_OK) {
            joined->failure.status = sc_mechanism_run(&joined->fresh, &joined->job, joined->path, &joined->failure);
        }
        joined->own_s += sc_clock_now_s() - began;
        status = settle(r, &joined, error);
    }
    if (status == SEMCAL_OK) {
        sc_run_behind_start(&r->behind, joined, next);
    } else if (next != NULL) {
        (void)sc_run_cell_drop(&next->rest, NULL);
    }
    return status;
}

static semcal_status do_cells(run *r, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < r->plan.n_cells && status == SEMCAL_OK; i++) {
        const sc_cell *cell = &r->plan.cells[i];
        sc_run_drawn *drawn = &r->drawn[i];
        semcal_error failure = SEMCAL_ERROR_INIT;
        r->counters.cell = cell->name;
        r->counters.cell_number = i + 1;
        r->counters.cell_done = r->counters.cell_questions = 0;
        const sc_run_drawn *joining = r->behind.joining;
        if (joining != NULL && r->config->mechanism.questions > 0 && joining->job.cell->model != cell->model &&
            (status = move_on(r, NULL, error)) != SEMCAL_OK) {
            break; /* its mechanism is made before its model is closed */
        }
        const double began = sc_clock_now_s();
        failure.status = cell->text ? do_text(r, cell, &failure) : draw_cell(r, drawn, cell, &failure);
        drawn->own_s = sc_clock_now_s() - began;
        tell_notes(r);
        if (failure.status != SEMCAL_OK) {
            status = tell_failure(r, cell, &failure, error);
        } else if (cell->text) {
            tell_done(r, cell, drawn->own_s);
        } else {
            status = move_on(r, drawn, error);
        }
    }
    while (status == SEMCAL_OK && (r->behind.collapsing != NULL || r->behind.joining != NULL)) {
        status = move_on(r, NULL, error);
    }
    /* After an interruption or with a full disk: what is under way ends, what comes after it is the next run's. */
    sc_run_behind_wait(&r->behind);
    sc_run_drawn *ending[] = {r->behind.collapsing, r->behind.joining};
    for (size_t i = 0; i < 2; i++) {
        (void)settle(r, &ending[i], NULL);
    }
    for (size_t i = 0; i < r->plan.n_cells; i++) {
        r->summary->writer_s += r->drawn[i].rest.writer_s;
        free(r->drawn[i].path);
    }
    return status;
}

/* Questions of the whole run, for the progress line; a dataset that cannot be read fails its cells later. */
static void count_questions(run *r)
{
    for (size_t i = 0; i < r->plan.n_cells; i++) {
        const sc_dataset *dataset = NULL;
        semcal_error error = SEMCAL_ERROR_INIT;
        if (r->plan.cells[i].text) {
            continue; /* counted in chunks when the model's tokenizer has cut it */
        }
        if (dataset_of(r, &dataset, r->plan.cells[i].dataset, &error) == SEMCAL_OK) {
            r->counters.questions +=
                (dataset->n_rows + r->options->n_shards - r->options->shard) / r->options->n_shards;
        }
    }
}

enum { MOST_DRAWS = 1000000 };

/* Keys whose other values this version does not act on are refused rather than ignored. */
static semcal_status check_supported(const run *r, semcal_error *error)
{
    for (size_t i = 0; i < r->plan.n_cells; i++) {
        if (r->plan.cells[i].draws > MOST_DRAWS) {
            return sc_error_set(error, SEMCAL_E_CONFIG, "cell %s: sampling.draws is %lld, at most %d are possible",
                                r->plan.cells[i].name, (long long)r->plan.cells[i].draws, MOST_DRAWS);
        }
    }
    return SEMCAL_OK;
}

semcal_status sc_run(sc_run_summary *summary, const sc_config *config, const sc_run_options *options,
                     semcal_error *error)
{
    *summary = (sc_run_summary){0};
    sc_phases_start(&summary->phases);
    sc_phases_start(&summary->behind);
    run r = {.config = config, .options = options, .summary = summary, .behind.phases = &summary->behind};
    double began = sc_clock_now_s();
    semcal_status status = sc_plan_make(&r.plan, config, error);
    if (status == SEMCAL_OK) {
        status = check_supported(&r, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_run_folder_open(&r.folder, config, options, error);
    }
    if (status == SEMCAL_OK) {
        char *path = sc_file_join(options->folder, "log.jsonl", error);
        status = path == NULL ? SEMCAL_E_MEMORY
                              : sc_log_open(&r.log, path, options->sink, SC_LOG_WARNING, options->payload, error);
        free(path);
    }
    if (status == SEMCAL_OK) {
        r.datasets = sc_memory_alloc(config->datasets.n, sizeof *r.datasets, error);
        r.drawn = sc_memory_alloc(r.plan.n_cells, sizeof *r.drawn, error);
        status = r.datasets == NULL || r.drawn == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    if (status == SEMCAL_OK) {
        status = sc_sources_init(&r.sources, options->device, options->profiled != NULL, &summary->phases, error);
    }
    if (status == SEMCAL_OK) {
        sc_log_event(r.log, SC_LOG_INFO, "run_begins", NULL, sc_log_text("name", config->name),
                     sc_log_text("version", semcal_version()), sc_log_text("commit", semcal_commit()),
                     sc_log_int("cells", (int64_t)r.plan.n_cells), sc_log_int("shard", options->shard),
                     sc_log_int("shards", options->n_shards));
        summary->n_cells = r.plan.n_cells;
        r.counters.n_cells = r.plan.n_cells;
        count_questions(&r);
        status = do_cells(&r, error);
        if (options->progress != NULL) {
            options->progress(&r.counters, true, options->payload);
        }
    }
    (void)sc_phases_enter(&summary->phases, SC_PHASE_REST);
    summary->wall_s = sc_clock_now_s() - began;
    summary->device_busy_s = r.sources.device != NULL ? sc_device_busy_s(r.sources.device) : NAN;
    if (options->profiled != NULL && r.sources.device != NULL) {
        options->profiled(r.sources.device, summary, options->payload);
    }
    if (status == SEMCAL_OK && summary->n_failed > 0) {
        /* One cell alone, or all of them alike: its own status says more than "partial". */
        status = sc_error_set(error, summary->n_failed == summary->n_cells ? r.first_failure.status : SEMCAL_PARTIAL,
                              "%zu of %zu cells failed; first: %s", summary->n_failed, summary->n_cells,
                              r.first_failure.message);
    }
    sc_log_event(r.log, SC_LOG_INFO, "run_ends", NULL, sc_log_int("status", (int64_t)status),
                 sc_log_int("finished", (int64_t)summary->n_finished), sc_log_int("failed", (int64_t)summary->n_failed),
                 sc_log_real("wall_s", summary->wall_s), sc_log_real("device_busy_s", summary->device_busy_s));
    sc_sources_free(&r.sources);
    for (size_t i = 0; r.datasets != NULL && i < config->datasets.n; i++) {
        sc_dataset_free(&r.datasets[i]);
    }
    free(r.datasets);
    free(r.drawn);
    semcal_error closing = SEMCAL_ERROR_INIT;
    semcal_status closed = sc_log_close(r.log, &closing);
    if (status == SEMCAL_OK && closed != SEMCAL_OK) {
        status = sc_error_set(error, closed, "%s", closing.message);
    }
    sc_run_folder_close(&r.folder);
    sc_plan_free(&r.plan);
    return status;
}

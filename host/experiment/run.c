/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/run.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "experiment/dataset.h"
#include "experiment/plan.h"
#include "experiment/run_behind.h"
#include "experiment/run_folder.h"
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
    size_t *order;       /* [plan.n_cells] cells as they are done */
    sc_run_drawn *drawn; /* [plan.n_cells] in that order */
    size_t n_begun, n_settled;
    sc_run_behind behind;
    sc_run_ahead ahead;
    size_t n_notes; /* of the device, told so far */
} run;

static semcal_status dataset_of(run *r, const sc_dataset **dataset, const sc_config_dataset *config,
                                semcal_error *error)
{
    size_t i = (size_t)(config - r->config->datasets.at);
    semcal_status status = SEMCAL_OK;
    if (r->datasets[i].path == NULL) {
        status = sc_dataset_open_config(&r->datasets[i], config, r->options->folder, error);
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

/* What was made ahead for this cell; the caller's to free. */
static sc_run_ahead take_ahead(run *r, const sc_cell *cell)
{
    if (r->ahead.cell != NULL) {
        const sc_phase before = sc_phases_enter(&r->summary->phases, SC_PHASE_TEXT);
        sc_run_behind_take(&r->behind, &r->ahead);
        (void)sc_phases_enter(&r->summary->phases, before);
    }
    sc_run_ahead taken = r->ahead;
    if (taken.cell != cell) {
        sc_questions_free(&taken.questions);
        sc_text_data_free(&taken.text);
    }
    r->ahead = (sc_run_ahead){0};
    return taken;
}

/* Has what the next cell asks made while this one is drawn, where the same model answers. */
static void look_ahead(run *r, const sc_cell *next, sc_source *source)
{
    const sc_dataset *dataset = NULL;
    semcal_error ignored = SEMCAL_ERROR_INIT;
    if (next == NULL || !sc_sources_is_open(&r->sources, next->model) ||
        (!next->text && dataset_of(r, &dataset, next->dataset, &ignored) != SEMCAL_OK)) {
        return;
    }
    r->ahead = (sc_run_ahead){.cell = next, .dataset = dataset, .source = source};
    sc_run_behind_make(&r->behind, &r->ahead);
}

/* What of a cell needs the device: the questions drawn, the text read. */
static semcal_status draw_cell(run *r, sc_run_drawn *drawn, const sc_cell *cell, const sc_cell *next,
                               semcal_error *error)
{
    sc_run_ahead made = take_ahead(r, cell);
    const sc_dataset *dataset = NULL;
    sc_source *source = NULL;
    semcal_status status = SEMCAL_OK;
    if (!cell->text) {
        status = dataset_of(r, &dataset, cell->dataset, error);
    }
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
    if (status == SEMCAL_OK) {
        look_ahead(r, next, source);
        status = cell->text ? sc_run_text_read(&drawn->text, &drawn->job, &made.text, &drawn->already, error)
                            : sc_run_cell_draw(&drawn->rest, &drawn->job, &made.questions, &drawn->already, error);
    }
    sc_questions_free(&made.questions);
    sc_text_data_free(&made.text);
    return status;
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

static void forget(sc_run_drawn *drawn)
{
    (void)sc_run_cell_drop(&drawn->rest, NULL);
    sc_mechanism_close(&drawn->mechanism);
    sc_judged_free(drawn->judged);
    drawn->judged = NULL;
    sc_run_text_free(&drawn->text);
}

/* Says what has become of the cells that are done, in their order. Waits where more than `most` are under way. */
static semcal_status settle(run *r, size_t most, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    while (r->n_settled < r->n_begun && status == SEMCAL_OK) {
        sc_run_drawn *drawn = &r->drawn[r->n_settled];
        const bool many = r->n_begun - r->n_settled > most;
        if (drawn->mechanism_due || drawn->judge_due || (!many && !sc_run_behind_is_done(&r->behind, drawn->ticket))) {
            break;
        }
        sc_run_behind_wait(&r->behind, drawn->ticket);
        if (drawn->failure.status != SEMCAL_OK) {
            status = tell_failure(r, drawn->job.cell, &drawn->failure, error);
        } else {
            tell_done(r, drawn->job.cell, drawn->own_s + drawn->behind_s);
            r->summary->n_already += drawn->already;
        }
        forget(drawn);
        r->n_settled++;
    }
    return status;
}

/* Cells under way at once, the one being drawn not counted. Most of what one takes is let go when it is joined. */
enum { MOST_BEHIND = 6 };

/* Makes the mechanism of a joined cell, and leaves its file to the thread behind. A failure is the cell's. */
static semcal_status make_mechanism(run *r, sc_run_drawn *drawn, semcal_error *error)
{
    drawn->mechanism_due = false;
    sc_run_behind_wait(&r->behind, drawn->after_join);
    if (drawn->mechanism == NULL) {
        return SEMCAL_OK; /* it could not be joined */
    }
    const double began = sc_clock_now_s();
    semcal_error failure = SEMCAL_ERROR_INIT;
    sc_source *source = NULL;
    semcal_status status = SEMCAL_OK;
    if (!sc_mechanism_is_there(drawn->mechanism)) {
        status = sc_sources_get(&source, &r->sources, drawn->job.cell->model, &failure);
        drawn->job.source = source;
        status = status == SEMCAL_OK ? sc_mechanism_generate(drawn->mechanism, &failure) : status;
    }
    drawn->own_s += sc_clock_now_s() - began;
    if (status == SEMCAL_OK) {
        sc_run_behind_post(&r->behind, drawn, SC_BEHIND_FINISH);
    } else if (status == SEMCAL_INTERRUPTED) {
        failure.status = status;
        return tell_failure(r, drawn->job.cell, &failure, error);
    } else {
        sc_run_behind_wait(&r->behind, drawn->ticket); /* its collapse may be under way, and may have failed */
        drawn->failure = drawn->failure.status == SEMCAL_OK ? failure : drawn->failure;
        drawn->failure.status = drawn->failure.status == SEMCAL_OK ? status : drawn->failure.status;
    }
    return SEMCAL_OK;
}

/* Makes mechanisms of all cells but the last `lag` ones: where `all`, each that is due, otherwise those whose cell is
 * joined, so that the device need not wait for that, or too long behind. */
static semcal_status make_mechanisms(run *r, size_t lag, bool all, semcal_error *error)
{
    const sc_phase before = sc_phases_enter(&r->summary->phases, SC_PHASE_STORE);
    semcal_status status = SEMCAL_OK;
    for (size_t i = r->n_settled; i + lag < r->n_begun && status == SEMCAL_OK; i++) {
        const bool late = all || i + MOST_BEHIND < r->n_begun;
        if (r->drawn[i].mechanism_due && (late || sc_run_behind_is_done(&r->behind, r->drawn[i].after_join))) {
            status = make_mechanism(r, &r->drawn[i], error);
        }
    }
    (void)sc_phases_enter(&r->summary->phases, before);
    return status;
}

/* ---- judges ---- */

/* The judge of the cell's responses; NULL: it has none. */
static const sc_config_collapse *judge_of(const run *r, const sc_cell *cell)
{
    const bool collapses = !cell->text && r->options->n_shards == 1; /* shards are collapsed when they are merged */
    return collapses ? sc_config_find_collapse(cell->dataset, SC_JUDGE_KIND) : NULL;
}

/* Whether a collapse of the cell or of its mechanism is missing. */
static semcal_status wants_judge(bool *wanted, const run *r, const sc_run_drawn *drawn, semcal_error *error)
{
    const sc_config_dataset *dataset = drawn->job.cell->dataset;
    bool done = false;
    semcal_status status = sc_run_cell_is_collapsed(&done, drawn->path, r->config, dataset, error);
    if (status == SEMCAL_OK && done && drawn->mechanism != NULL) {
        status = sc_run_cell_mechanism_is_collapsed(&done, drawn->path, sc_mechanism_sha256(drawn->mechanism), dataset,
                                                    error);
    }
    *wanted = !done;
    return status;
}

static semcal_status ask_judge(run *r, sc_run_drawn *drawn, semcal_error *error)
{
    const sc_config_collapse *collapse = judge_of(r, drawn->job.cell);
    bool wanted = false;
    semcal_status status = wants_judge(&wanted, r, drawn, error);
    if (status != SEMCAL_OK || !wanted) {
        return status;
    }
    sc_config_model model;
    sc_judge_options options = {.config = collapse,
                                .model = &model,
                                .folder = r->options->folder,
                                .commit_seconds = r->config->store.commit_seconds,
                                .stopped = r->options->stopped,
                                .payload = r->options->payload};
    sc_judge_model(&model, collapse, drawn->job.cell->model);
    status = sc_sources_get(&options.source, &r->sources, &model, error);
    tell_notes(r);
    return status == SEMCAL_OK ? sc_run_judge(&drawn->judged, drawn->path, &options, r->log, error) : status;
}

/* Has the responses of a cell judged, and leaves its collapse to the thread behind. A failure is the cell's. */
static semcal_status judge(run *r, sc_run_drawn *drawn, semcal_error *error)
{
    drawn->judge_due = false;
    sc_run_behind_wait(&r->behind, drawn->ticket);
    if (drawn->failure.status != SEMCAL_OK) {
        return SEMCAL_OK;
    }
    const double began = sc_clock_now_s();
    semcal_status status = ask_judge(r, drawn, &drawn->failure);
    drawn->own_s += sc_clock_now_s() - began;
    drawn->failure.status = status;
    if (status == SEMCAL_INTERRUPTED) {
        return tell_failure(r, drawn->job.cell, &drawn->failure, error);
    }
    if (status == SEMCAL_OK) {
        sc_run_behind_post(&r->behind, drawn, SC_BEHIND_COLLAPSE);
    }
    return SEMCAL_OK;
}

/* Those that judge themselves, of all cells but the last `lag` ones. */
static semcal_status judge_own(run *r, size_t lag, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t i = r->n_settled; i + lag < r->n_begun && status == SEMCAL_OK; i++) {
        const sc_run_drawn *drawn = &r->drawn[i];
        if (drawn->judge_due && !drawn->mechanism_due && judge_of(r, drawn->job.cell)->path == NULL) {
            status = judge(r, &r->drawn[i], error);
        }
    }
    return status;
}

/* All that are left when everything is drawn, judge by judge. */
static semcal_status judge_rest(run *r, semcal_error *error)
{
    semcal_status status = judge_own(r, 0, error);
    for (size_t i = r->n_settled; i < r->n_begun && status == SEMCAL_OK; i++) {
        const char *path = r->drawn[i].judge_due ? judge_of(r, r->drawn[i].job.cell)->path : NULL;
        for (size_t k = i; k < r->n_begun && path != NULL && status == SEMCAL_OK; k++) {
            if (r->drawn[k].judge_due && strcmp(judge_of(r, r->drawn[k].job.cell)->path, path) == 0) {
                status = judge(r, &r->drawn[k], error);
            }
        }
    }
    return status;
}

/* Leaves to the thread behind what a cell needs no device for. */
static void leave_behind(run *r, sc_run_drawn *drawn)
{
    r->n_begun++;
    if (drawn->text != NULL) {
        sc_run_behind_post(&r->behind, drawn, SC_BEHIND_TEXT);
    } else if (!drawn->job.cell->text) {
        drawn->mechanism_due = r->config->mechanism.questions > 0;
        drawn->is_judged = drawn->judge_due = judge_of(r, drawn->job.cell) != NULL;
        sc_run_behind_post(&r->behind, drawn, SC_BEHIND_JOIN);
        if (!drawn->is_judged) {
            sc_run_behind_post(&r->behind, drawn, SC_BEHIND_COLLAPSE);
        }
    }
}

/* Model by model, so that each is opened once; texts last, beside which the last answers are joined. */
static void order_cells(run *r)
{
    size_t n = 0;
    for (size_t m = 0; m < r->config->models.n; m++) {
        for (int text = 0; text < 2; text++) {
            for (size_t i = 0; i < r->plan.n_cells; i++) {
                const sc_cell *cell = &r->plan.cells[i];
                if (cell->model == &r->config->models.at[m] && cell->text == (text == 1)) {
                    r->order[n++] = i;
                }
            }
        }
    }
}

/* Cells that wait for a judge are not settled before the end: they are joined in time all the same, and what they asked
 * is let go. */
static void keep_few(run *r)
{
    sc_run_drawn *old = r->n_begun > MOST_BEHIND ? &r->drawn[r->n_begun - 1 - MOST_BEHIND] : NULL;
    if (old != NULL && old->judge_due && !old->mechanism_due) {
        sc_run_behind_wait(&r->behind, old->ticket);
        (void)sc_run_cell_drop(&old->rest, NULL);
    }
}

/* Judges that differ between the models compared are a difference that is none of the models'. */
static void warn_of_judges(const run *r)
{
    for (size_t i = 0; i < r->config->datasets.n && r->config->models.n > 1; i++) {
        const sc_config_collapse *collapse = sc_config_find_collapse(&r->config->datasets.at[i], SC_JUDGE_KIND);
        if (collapse != NULL && collapse->path == NULL) {
            sc_log_write(r->log, SC_LOG_WARNING, "many_judges",
                         "collapse model: each model judges its own responses, so rows differ by their judges, too; "
                         "name one judge for all with collapse.path",
                         NULL, 0);
            return;
        }
    }
}

static semcal_status do_cells(run *r, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < r->plan.n_cells && status == SEMCAL_OK; i++) {
        const sc_cell *cell = &r->plan.cells[r->order[i]];
        sc_run_drawn *drawn = &r->drawn[r->n_begun];
        semcal_error failure = SEMCAL_ERROR_INIT;
        r->counters.cell = cell->name;
        r->counters.cell_number = i + 1;
        r->counters.cell_done = r->counters.cell_questions = 0;
        if (r->n_begun > 0 && r->drawn[r->n_begun - 1].job.cell->model != cell->model &&
            ((status = make_mechanisms(r, 0, true, error)) != SEMCAL_OK ||
             (status = judge_own(r, 0, error)) != SEMCAL_OK)) {
            break; /* before their model is closed */
        }
        const double began = sc_clock_now_s();
        const sc_cell *next = i + 1 < r->plan.n_cells ? &r->plan.cells[r->order[i + 1]] : NULL;
        failure.status = draw_cell(r, drawn, cell, next, &failure);
        drawn->own_s = sc_clock_now_s() - began;
        tell_notes(r);
        if (failure.status != SEMCAL_OK) {
            status = tell_failure(r, cell, &failure, error);
            free(drawn->path);
            *drawn = (sc_run_drawn){0};
            continue;
        }
        leave_behind(r, drawn);
        /* The one before this is kept for when the last cell is joined and the device has nothing else to do. */
        status = make_mechanisms(r, 2, false, error);
        if (status == SEMCAL_OK) { /* a mechanism's file takes another cell */
            status = judge_own(r, r->config->mechanism.questions > 0 ? 3 : 1, error);
        }
        const sc_phase before = sc_phases_enter(&r->summary->phases, SC_PHASE_STORE);
        if (status == SEMCAL_OK) {
            status = settle(r, MOST_BEHIND, error);
            keep_few(r);
        }
        (void)sc_phases_enter(&r->summary->phases, before);
    }
    if (status == SEMCAL_OK) {
        status = make_mechanisms(r, 0, true, error);
    }
    if (status == SEMCAL_OK) {
        status = judge_rest(r, error);
    }
    const sc_phase before = sc_phases_enter(&r->summary->phases, SC_PHASE_STORE);
    if (status == SEMCAL_OK) {
        status = settle(r, 0, error);
    }
    (void)take_ahead(r, NULL);
    /* After an interruption or with a full disk: what is under way ends, what comes after it is the next run's. */
    (void)settle(r, r->n_begun, NULL);
    sc_run_behind_close(&r->behind, status != SEMCAL_OK);
    (void)sc_phases_enter(&r->summary->phases, before);
    for (size_t i = 0; i < r->n_begun; i++) {
        forget(&r->drawn[i]);
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
    return sc_judge_check(r->config, error);
}

semcal_status sc_run(sc_run_summary *summary, const sc_config *config, const sc_run_options *options,
                     semcal_error *error)
{
    *summary = (sc_run_summary){.began_s = sc_clock_now_s(), .first_token_s = NAN};
    sc_phases_start(&summary->phases);
    sc_phases_start(&summary->behind);
    run r = {.config = config, .options = options, .summary = summary};
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
        r.order = sc_memory_alloc(r.plan.n_cells, sizeof *r.order, error);
        status = r.datasets == NULL || r.drawn == NULL || r.order == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
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
        warn_of_judges(&r);
        count_questions(&r);
        order_cells(&r);
        status = sc_run_behind_open(&r.behind, r.plan.n_cells, &summary->behind, error);
        if (status == SEMCAL_OK) {
            status = do_cells(&r, error);
        }
        if (options->progress != NULL) {
            options->progress(&r.counters, true, options->payload);
        }
    }
    (void)sc_phases_enter(&summary->phases, SC_PHASE_REST);
    summary->wall_s = sc_clock_now_s() - summary->began_s;
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
    free(r.order);
    semcal_error closing = SEMCAL_ERROR_INIT;
    semcal_status closed = sc_log_close(r.log, &closing);
    if (status == SEMCAL_OK && closed != SEMCAL_OK) {
        status = sc_error_set(error, closed, "%s", closing.message);
    }
    sc_run_folder_close(&r.folder);
    sc_plan_free(&r.plan);
    return status;
}

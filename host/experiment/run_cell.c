/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/run_cell.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "experiment/collapse_cell.h"
#include "experiment/dataset_tape.h"
#include "experiment/mechanism.h"
#include "experiment/provenance.h"
#include "experiment/questions.h"
#include "experiment/run_exact.h"
#include "experiment/store_internal.h"
#include "sampling/generate.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Questions drawn before their responses are enumerated (estimators exact and hybrid): both want the source's memory.
 */
enum { BLOCK = 16 };

/* A question that is being drawn, or waits to be enumerated. */
typedef struct asked {
    sc_question question;
    size_t index;
    struct asked *before, *next; /* the others */
} asked;

/* What the generator's callbacks see. */
typedef struct feed {
    const sc_run_cell *run;
    const sc_questions *questions;
    sc_store *store;
    size_t next;
    sc_generate_counters seen; /* at the last progress call */
    asked *first;              /* of all that are under way */
    /* drawn, not yet enumerated */
    sc_store_record waiting[BLOCK];
    asked *waiting_asked[BLOCK];
    size_t n_waiting, n_block; /* n_block: given out of this block */
} feed;

/* Reads the next question from where it waits. */
static semcal_status ask(asked **out, feed *f, semcal_error *error)
{
    asked *a = sc_memory_alloc(1, sizeof *a, error);
    const semcal_status status =
        a != NULL ? sc_questions_read(&a->question, f->questions, f->next, error) : SEMCAL_E_MEMORY;
    *out = a;
    if (status != SEMCAL_OK) {
        free(a);
        return status;
    }
    a->index = f->next;
    a->next = f->first;
    if (f->first != NULL) {
        f->first->before = a;
    }
    f->first = a;
    return SEMCAL_OK;
}

static void forget(feed *f, asked *a)
{
    *(a->before != NULL ? &a->before->next : &f->first) = a->next;
    if (a->next != NULL) {
        a->next->before = a->before;
    }
    sc_question_free(&a->question);
    free(a);
}

static semcal_status next_question(sc_generate_question *out, bool *more, void *payload, semcal_error *error)
{
    feed *f = payload;
    while (f->next < f->questions->n && !sc_store_wants(f->store, f->next)) {
        f->next++;
    }
    *more = f->next < f->questions->n && f->n_block < BLOCK;
    if (*more) {
        f->n_block += sc_run_exact_wanted(f->run->cell);
        asked *a = NULL;
        const sc_phase before = sc_phases_enter(f->run->source->phases, SC_PHASE_TEXT);
        const semcal_status status = ask(&a, f, error);
        (void)sc_phases_enter(f->run->source->phases, before);
        if (status != SEMCAL_OK) {
            return status;
        }
        const sc_question *q = &a->question;
        *out = (sc_generate_question){.item = q->item,
                                      .prompt = q->tokens,
                                      .n_prompt = q->n_tokens,
                                      .reference = q->reference_tokens,
                                      .n_reference = q->n_reference_tokens,
                                      .name = q->row->id,
                                      .tag = a};
        f->next++;
    }
    return SEMCAL_OK;
}

static char **take_texts(sc_row_texts *texts, size_t *n)
{
    char **at = texts->at;
    *n = texts->n;
    *texts = (sc_row_texts){0};
    return at;
}

/* Texts go over from the question to the record; its id stays for messages, its tokens for enumeration. */
static semcal_status make_record(sc_store_record *record, asked *a, semcal_error *error)
{
    sc_question *q = &a->question;
    sc_dataset_row *row = (sc_dataset_row *)(uintptr_t)q->row; /* its own, as it was read */
    record->index = a->index;
    record->n_prompt_tokens = (int32_t)q->n_tokens;
    record->id = sc_memory_strdup(row->id, error);
    record->question = row->question;
    record->prompt = q->prompt;
    record->reference = q->reference;
    row->question = q->prompt = q->reference = NULL;
    record->answers = take_texts(&row->answers, &record->n_answers);
    record->law_label = take_texts(&row->law, &record->n_law);
    record->law_probability = row->law_p;
    row->law_p = NULL;
    return record->id != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
}

/* Hands a finished record over; `status` is how its making went. */
static semcal_status append(feed *f, sc_store_record *record, semcal_status status, semcal_error *error)
{
    const sc_phase before = sc_phases_enter(f->run->source->phases, SC_PHASE_STORE);
    if (status == SEMCAL_OK) {
        status = sc_store_append(f->store, record, error);
    }
    sc_store_record_free(record);
    (void)sc_phases_enter(f->run->source->phases, before);
    f->run->counters->cell_done++;
    f->run->counters->done++;
    return status;
}

static semcal_status store_tree(const sc_generate_question *question, sc_tree *tree, void *payload, semcal_error *error)
{
    feed *f = payload;
    asked *a = question->tag;
    const sc_question *q = &a->question;
    if (tree->n_mismatches > 0) {
        semcal_status status =
            sc_error_set(error, SEMCAL_E_NUMERIC,
                         "question '%s': %" PRIu64 " prefixes had different laws in different chains; this device's "
                         "forward pass is not bit-invariant",
                         q->row->id, tree->n_mismatches);
        sc_tree_free(tree);
        return status;
    }
    sc_store_record record = SC_STORE_RECORD_INIT;
    record.tree = *tree;
    record.n_forward_tokens = tree->n_laws;
    const sc_phase before = sc_phases_enter(f->run->source->phases, SC_PHASE_STORE);
    semcal_status status = make_record(&record, a, error);
    (void)sc_phases_enter(f->run->source->phases, before);
    if (status == SEMCAL_OK && sc_run_exact_wanted(f->run->cell)) {
        f->waiting_asked[f->n_waiting] = a;
        f->waiting[f->n_waiting++] = record;
        return SEMCAL_OK;
    }
    status = append(f, &record, status, error);
    if (status == SEMCAL_OK) {
        forget(f, a);
    }
    return status;
}

static bool tell_progress(const sc_generate_counters *counters, void *payload)
{
    feed *f = payload;
    const sc_run_options *options = f->run->options;
    sc_progress_counters *all = f->run->counters;
    if (counters->n_draw_tokens > 0) {
        sc_run_cell_tell_token(f->run);
    }
    all->draw_tokens += counters->n_draw_tokens - f->seen.n_draw_tokens;
    all->forward_tokens += counters->n_laws - f->seen.n_laws;
    f->seen = *counters;
    const sc_phase before = sc_phases_enter(f->run->source->phases, SC_PHASE_REST);
    if (options->progress != NULL) {
        options->progress(all, false, options->payload);
    }
    (void)sc_phases_enter(f->run->source->phases, before);
    return options->stopped != NULL && options->stopped(options->payload);
}

/* Enumerates the questions of a block and stores them. */
static semcal_status enumerate_block(feed *f, semcal_error *error)
{
    const sc_run_options *options = f->run->options;
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < f->n_waiting; i++) {
        sc_store_record *record = &f->waiting[i];
        if (status == SEMCAL_OK && options->stopped != NULL && options->stopped(options->payload)) {
            status = SEMCAL_INTERRUPTED;
        }
        if (status != SEMCAL_OK) {
            sc_store_record_free(record);
            continue;
        }
        uint64_t before = record->n_forward_tokens;
        status = sc_run_exact_add(record, f->run, &f->waiting_asked[i]->question, error);
        f->run->counters->forward_tokens += record->n_forward_tokens - before;
        status = append(f, record, status, error);
        if (status == SEMCAL_OK) {
            forget(f, f->waiting_asked[i]);
        }
        if (options->progress != NULL) {
            options->progress(f->run->counters, false, options->payload);
        }
    }
    f->n_waiting = f->n_block = 0;
    return status;
}

static void log_store(const char *line, void *payload)
{
    sc_log_write(payload, SC_LOG_WARNING, "store", line, NULL, 0);
}

static semcal_status open_store(sc_store **store, const sc_run_cell *run, const sc_questions *questions,
                                semcal_error *error)
{
    sc_provenance provenance = {0};
    semcal_status status = sc_provenance_of_cell(&provenance, run->config, run->cell, run->dataset, run->source, error);
    if (status == SEMCAL_OK) {
        sc_store_options options = SC_STORE_OPTIONS_INIT;
        options.n_questions = questions->n;
        options.n_draws = (size_t)run->cell->draws;
        options.n_top = (size_t)run->config->store.top_k;
        options.raw = run->cell->temperature != 1.0;
        options.n_vocabulary = run->config->store.full_logits ? (size_t)run->source->facts.n_vocabulary : 0;
        options.shard = run->options->shard;
        options.n_shards = run->options->n_shards;
        options.deflate = (unsigned)run->config->store.compression;
        options.commit_seconds = run->config->store.commit_seconds;
        options.fresh = run->options->fresh;
        options.attributes = provenance.attributes;
        options.n_attributes = provenance.n_attributes;
        options.log = log_store;
        options.payload = run->log;
        status = sc_store_open(store, run->options->folder, run->cell->name, &options, error);
    }
    sc_provenance_free(&provenance);
    return status;
}

static semcal_status generate(const sc_run_cell *run, feed *f, semcal_error *error)
{
    const sc_cell *cell = run->cell;
    sc_generate_options options = SC_GENERATE_OPTIONS_INIT;
    options.key = sc_random_key((uint64_t)run->config->seed, "draw", cell->rng_name);
    options.n_draws = (uint32_t)cell->draws;
    options.temperature = cell->temperature;
    options.n_top = (size_t)run->config->store.top_k;
    options.chain = cell->estimator == SC_CONFIG_CHAIN;
    options.ending = (sc_ending){.max_tokens = (uint32_t)cell->max_tokens,
                                 .stops = (const char *const *)cell->style->stop.at,
                                 .n_stops = cell->style->stop.n};
    options.batch_nodes = run->config->sampling.batch == SC_CONFIG_UNSET ? 0 : (size_t)run->config->sampling.batch;
    options.max_prompt = f->questions->max_tokens;
    options.spill = sc_store_spill(f->store);
    const sc_generate_callbacks callbacks = {next_question, store_tree, tell_progress};
    uint64_t forward = run->source->facts.n_forward_tokens, draws = run->counters->draw_tokens;
    const sc_phase before = sc_phases_enter(run->source->phases, SC_PHASE_TREE);
    semcal_status status = SEMCAL_OK;
    do {
        f->seen = (sc_generate_counters){0};
        status = sc_generate(run->source, &options, &callbacks, f, error);
        for (size_t i = 0; i < f->n_waiting && status != SEMCAL_OK; i++) {
            sc_store_record_free(&f->waiting[i]);
        }
        if (status == SEMCAL_OK) {
            status = enumerate_block(f, error);
        }
    } while (status == SEMCAL_OK && f->next < f->questions->n);
    while (f->first != NULL) { /* after a failure */
        forget(f, f->first);
    }
    (void)sc_phases_enter(run->source->phases, before);
    run->summary->forward_tokens += run->source->facts.n_forward_tokens - forward;
    run->summary->draw_tokens += run->counters->draw_tokens - draws;
    return status;
}

void sc_run_cell_tell_token(const sc_run_cell *run)
{
    if (isnan(run->summary->first_token_s)) {
        run->summary->first_token_s = sc_clock_now_s() - run->summary->began_s;
    }
}

sc_run_share sc_run_cell_idle(const sc_run_cell *run, double busy_before_s, double wall_s)
{
    sc_run_share share = {""};
    if (run->device != NULL && wall_s > 0) {
        const double idle = 1 - (sc_device_busy_s(run->device) - busy_before_s) / wall_s;
        (void)snprintf(share.text, sizeof share.text, "%.4f", idle > 0 ? idle : 0);
    }
    return share;
}

static semcal_status close_store(sc_run_cell_rest *rest, semcal_error *error)
{
    if (rest->store == NULL) {
        return SEMCAL_OK;
    }
    rest->writer_s = sc_store_writer_s(rest->store);
    return sc_store_close(&rest->store, error);
}

semcal_status sc_run_cell_draw(sc_run_cell_rest *rest, const sc_run_cell *run, sc_questions *made, bool *already,
                               semcal_error *error)
{
    feed f = {.run = run};
    sc_questions questions = *made;
    const double began = sc_clock_now_s(), busy = run->device != NULL ? sc_device_busy_s(run->device) : 0;
    *rest = (sc_run_cell_rest){0};
    *already = false;
    *made = (sc_questions){0};
    const sc_phase before = sc_phases_enter(run->source->phases, SC_PHASE_TEXT);
    semcal_status status = SEMCAL_OK;
    if (questions.dataset == NULL) {
        status = sc_questions_make(&questions, run->cell, run->dataset, run->source, error);
    }
    (void)sc_phases_enter(run->source->phases, SC_PHASE_STORE);
    if (status == SEMCAL_OK) {
        status = open_store(&f.store, run, &questions, error);
    }
    f.questions = &questions;
    sc_progress_counters *counters = run->counters;
    if (status == SEMCAL_OK) {
        uint64_t wanted = sc_store_n_wanted(f.store), committed = sc_store_n_committed(f.store);
        counters->cell_questions = (size_t)wanted;
        counters->cell_done = (size_t)committed;
        counters->done += (size_t)committed;
        *already = sc_store_is_finished(f.store);
        if (!*already) {
            status = generate(run, &f, error);
        }
        run->summary->n_questions += counters->cell_done - committed;
    }
    rest->store = f.store;
    if (f.store != NULL && (status != SEMCAL_OK || *already)) {
        /* What is finished is committed also after an error or Ctrl-C; the first error is the one to tell. */
        semcal_error closing = SEMCAL_ERROR_INIT;
        semcal_status closed = close_store(rest, &closing);
        if (status == SEMCAL_OK && closed != SEMCAL_OK) {
            status = sc_error_set(error, closed, "%s", closing.message);
        }
    }
    const double wall_s = sc_clock_now_s() - began;
    const sc_run_share idle = sc_run_cell_idle(run, busy, wall_s);
    (void)snprintf(rest->wall, sizeof rest->wall, "%.3f", wall_s);
    memcpy(rest->idle, idle.text, sizeof rest->idle);
    (void)sc_phases_enter(run->source->phases, before);
    if (status != SEMCAL_OK || run->config->mechanism.questions == 0) {
        sc_questions_free(&questions);
    }
    rest->questions = questions;
    return status;
}

semcal_status sc_run_cell_drop(sc_run_cell_rest *rest, semcal_error *error)
{
    sc_questions_free(&rest->questions);
    return close_store(rest, error);
}

semcal_status sc_run_cell_finish(sc_run_cell_rest *rest, semcal_error *error)
{
    if (rest->store == NULL) {
        return SEMCAL_OK;
    }
    const sc_store_attribute attributes[] = {{.name = "wall_s", .text = rest->wall, .identity = false},
                                             {.name = "device_idle", .text = rest->idle, .identity = false}};
    semcal_status status = sc_store_finish(rest->store, attributes, sizeof attributes / sizeof *attributes, error);
    semcal_error closing = SEMCAL_ERROR_INIT;
    semcal_status closed = close_store(rest, &closing);
    return status == SEMCAL_OK && closed != SEMCAL_OK ? sc_error_set(error, closed, "%s", closing.message) : status;
}

/* ---- collapse ---- */

/* Where the choices of questions come from. */
typedef struct chooser {
    const sc_dataset *dataset;
    sc_dataset_row row; /* of the question asked for last, where rows have choices of their own */
} chooser;

static semcal_status choices_of(const sc_choice **choices, size_t *n_choices, uint64_t index, const char *id,
                                void *payload, semcal_error *error)
{
    chooser *from = payload;
    const sc_dataset *dataset = from->dataset;
    if (index >= dataset->n_rows || sc_dataset_item(dataset, (size_t)index) != sc_hash64(id, strlen(id))) {
        return sc_error_set(error, SEMCAL_E_DATA,
                            "%s: row %" PRIu64 " is not the question '%s' of the run: the dataset has changed",
                            dataset->path, index + 1, id);
    }
    const sc_choices *found = &dataset->choices;
    if (sc_dataset_tape_has_choices(dataset->tape)) {
        sc_dataset_row_free(&from->row);
        const semcal_status status = sc_dataset_read(&from->row, dataset, (size_t)index, error);
        if (status != SEMCAL_OK) {
            return status;
        }
        found = from->row.choices.n > 0 ? &from->row.choices : found;
    }
    *choices = found->items;
    *n_choices = found->n;
    return SEMCAL_OK;
}

static void tell_summary(const char *path, const sc_collapse_kind *kind, const sc_collapse_cell_summary *summary,
                         sc_log *log)
{
    char line[512];
    if (summary->n_without_reference > 0) {
        (void)snprintf(line, sizeof line,
                       "%s: %" PRIu64 " of %" PRIu64
                       " questions have no answer that '%s' can read; no response to them can be correct",
                       path, summary->n_without_reference, summary->n_questions, kind->name);
        sc_log_write(log, SC_LOG_WARNING, "collapse_reference", line, NULL, 0);
    }
    if (summary->n_unresolved > 0) {
        (void)snprintf(line, sizeof line,
                       "%s: the enumeration leaves the mode of %" PRIu64 " of %" PRIu64
                       " questions open under '%s': they have no exact confidence and count as worst case in certified "
                       "bounds; a larger sampling.max_forward_tokens may resolve them",
                       path, summary->n_unresolved, summary->n_enumerated, kind->name);
        sc_log_write(log, SC_LOG_WARNING, "mode_unresolved", line, NULL, 0);
    }
    if (kind->open_text && summary->classes_per_question > 20) {
        (void)snprintf(line, sizeof line,
                       "%s: %.0f classes per question under '%s': on open text one meaning splits into many strings, "
                       "which looks like underconfidence; ask for short answers, give aliases or choices, or have a "
                       "language model name the short answers (collapse kind 'model')",
                       path, summary->classes_per_question, kind->name);
        sc_log_write(log, SC_LOG_WARNING, "collapse_open_text", line, NULL, 0);
    }
}

static semcal_status options_of(sc_collapse_cell_options *options, const char *kind, const sc_config *config,
                                chooser *from, const sc_judged *judged, semcal_error *error)
{
    *options = (sc_collapse_cell_options){
        .choices = choices_of, .payload = from, .n_splits = (unsigned)config->analyze.splits};
    semcal_status status = sc_collapse_find(&options->kind, kind, error);
    if (status == SEMCAL_OK && options->kind->needs_judge && judged != NULL) {
        options->judge = sc_judged_judge(judged);
        options->attributes = sc_judged_attributes(judged, &options->n_attributes);
    }
    return status;
}

semcal_status sc_run_judge(sc_judged **judged, const char *path, const sc_judge_options *options, sc_log *log,
                           semcal_error *error)
{
    const double began = sc_clock_now_s();
    semcal_status status = sc_judge_cell(judged, path, options, error);
    if (status == SEMCAL_OK) {
        uint64_t n_wanted = 0, n_asked = 0;
        sc_judged_counts(*judged, &n_wanted, &n_asked);
        sc_log_event(log, SC_LOG_INFO, "judged", NULL, sc_log_text("cell", path),
                     sc_log_text("judge", options->model->name), sc_log_int("responses", (int64_t)n_wanted),
                     sc_log_int("asked", (int64_t)n_asked), sc_log_real("wall_s", sc_clock_now_s() - began));
    }
    return status;
}

semcal_status sc_run_cell_collapse(const char *path, const sc_config *config, const sc_config_dataset *dataset_config,
                                   const sc_dataset *dataset, const char *only_kind, const sc_judged *judged,
                                   sc_log *log, semcal_error *error)
{
    /* The last one applied is the active one: the first of the list comes last. */
    size_t n = only_kind != NULL ? 1 : dataset_config->collapse.n;
    chooser from = {.dataset = dataset};
    semcal_status status = SEMCAL_OK;
    for (size_t i = n; i-- > 0 && status == SEMCAL_OK;) {
        sc_collapse_cell_options options;
        sc_collapse_cell_summary summary;
        const char *name = only_kind != NULL ? only_kind : dataset_config->collapse.at[i].kind;
        status = options_of(&options, name, config, &from, judged, error);
        if (status == SEMCAL_OK) {
            status = sc_collapse_cell(path, &options, &summary, error);
        }
        if (status == SEMCAL_OK) {
            status = sc_mechanism_collapse(path, &options, error);
        }
        if (status != SEMCAL_OK) {
            break;
        }
        tell_summary(path, options.kind, &summary, log);
        sc_log_event(log, SC_LOG_INFO, "collapsed", NULL, sc_log_text("cell", path), sc_log_text("kind", name),
                     sc_log_real("truncated", summary.truncated), sc_log_real("unparsed", summary.unparsed),
                     sc_log_real("classes_per_question", summary.classes_per_question));
    }
    sc_dataset_row_free(&from.row);
    return status;
}

semcal_status sc_run_cell_collapse_mechanism(const char *path, const char *mechanism_sha256, const sc_config *config,
                                             const sc_config_dataset *dataset_config, const sc_dataset *dataset,
                                             const sc_judged *judged, semcal_error *error)
{
    sc_store_cell *cell = NULL;
    chooser from = {.dataset = dataset};
    semcal_status status = sc_store_cell_open_trusted(&cell, path, error);
    for (size_t i = dataset_config->collapse.n; i-- > 0 && status == SEMCAL_OK;) {
        const char *name = dataset_config->collapse.at[i].kind;
        sc_collapse_cell_options options;
        bool current = false;
        status = sc_mechanism_is_collapsed(&current, mechanism_sha256, cell, path, name, error);
        if (status == SEMCAL_OK && !current) {
            status = options_of(&options, name, config, &from, judged, error);
            status = status == SEMCAL_OK ? sc_mechanism_collapse(path, &options, error) : status;
        }
    }
    sc_dataset_row_free(&from.row);
    sc_store_cell_close(&cell);
    return status;
}

semcal_status sc_run_cell_mechanism_is_collapsed(bool *collapsed, const char *path, const char *mechanism_sha256,
                                                 const sc_config_dataset *dataset_config, semcal_error *error)
{
    sc_store_cell *cell = NULL;
    semcal_status status = sc_store_cell_open_trusted(&cell, path, error);
    *collapsed = true;
    for (size_t i = 0; i < dataset_config->collapse.n && *collapsed && status == SEMCAL_OK; i++) {
        status = sc_mechanism_is_collapsed(collapsed, mechanism_sha256, cell, path, dataset_config->collapse.at[i].kind,
                                           error);
    }
    sc_store_cell_close(&cell);
    return status;
}

/* Whether the file has this collapse as the configuration wants it. */
static semcal_status has_collapse(bool *has, sc_store_cell *cell, const sc_config *all,
                                  const sc_config_collapse *config, semcal_error *error)
{
    unsigned splits = 0;
    char wanted[65], *settings = NULL;
    semcal_status status = sc_store_collapse_splits(&splits, cell, config->kind, error);
    *has = splits == (unsigned)all->analyze.splits;
    if (status == SEMCAL_OK && strcmp(config->kind, SC_JUDGE_KIND) == 0) {
        status = sc_store_collapse_attribute(&settings, cell, config->kind, SC_JUDGE_SETTINGS, error);
        if (status == SEMCAL_OK) {
            status = sc_judge_settings(wanted, config, error);
        }
        *has = *has && status == SEMCAL_OK && settings != NULL && strcmp(settings, wanted) == 0;
    }
    free(settings);
    return status;
}

semcal_status sc_run_cell_is_collapsed(bool *collapsed, const char *path, const sc_config *all,
                                       const sc_config_dataset *config, semcal_error *error)
{
    sc_store_cell *cell = NULL;
    char **names = NULL;
    size_t n = 0, found = 0;
    semcal_status status = sc_store_cell_open(&cell, path, error);
    if (status == SEMCAL_OK) {
        *collapsed = sc_store_cell_facts(cell)->collapse != NULL;
        status = sc_store_collapses(&names, &n, cell, error);
    }
    for (size_t i = 0; i < config->collapse.n; i++) {
        for (size_t k = 0; k < n; k++) {
            if (strcmp(config->collapse.at[i].kind, names[k]) == 0 && status == SEMCAL_OK) {
                bool has = false;
                status = has_collapse(&has, cell, all, &config->collapse.at[i], error);
                found += has;
            }
        }
    }
    *collapsed = *collapsed && found >= config->collapse.n;
    sc_file_list_free(names, n);
    sc_store_cell_close(&cell);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/mechanism.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "experiment/mechanism_file.h"
#include "experiment/questions.h"
#include "experiment/store_internal.h"
#include "sampling/fork.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *sc_mechanism_path(const char *cell_path, const char *suffix, semcal_error *error)
{
    const char *name = strrchr(cell_path, '/');
    name = name == NULL ? cell_path : name + 1;
    size_t folder = (size_t)(name - cell_path), length = strlen(name);
    /* one folder up from RUN/cells/ */
    while (folder > 0 && cell_path[folder - 1] == '/') {
        folder--;
    }
    while (folder > 0 && cell_path[folder - 1] != '/') {
        folder--;
    }
    length -= length > 3 && strcmp(name + length - 3, ".h5") == 0 ? 3 : 0;
    sc_text path = {0};
    if (sc_text_printf(&path, error, "%.*smechanism/%.*s%s", (int)folder, cell_path, (int)length, name, suffix) !=
        SEMCAL_OK) {
        sc_text_free(&path);
    }
    return path.data;
}

typedef struct maker {
    const sc_run_cell *run;
    const sc_config_mechanism *wanted;
    char *settings;
    const sc_store_facts *facts; /* of the cell file */
    char *path, *parts;          /* the file to make; the folder of its questions */
    sc_mechanism_file file;      /* of the question at hand, at last of all */
    sc_fork_options options;
    /* prefixes of the question at hand: one per node of its tree that is visited */
    int32_t *point_of_node; /* -1: none */
    size_t nodes_room;
    sc_fork_point *points;
    size_t n_points, points_room;
} maker;

static char *describe_settings(const sc_config_mechanism *m, const sc_run_cell *run, semcal_error *error)
{
    sc_text text = {0};
    if (sc_text_printf(&text, error,
                       "questions %" PRId64 ", draws %" PRId64 ", positions %" PRId64 ", forks %" PRId64
                       ", enumeration %" PRId64 " tokens to %.17g, seed %" PRId64,
                       m->questions, m->draws, m->positions, m->forks, m->max_forward_tokens, m->epsilon,
                       run->config->seed) != SEMCAL_OK) {
        sc_text_free(&text);
    }
    return text.data;
}

/* The node after `position` tokens on the way to `leaf`, which is `length` tokens deep. */
static int32_t node_at(const sc_tree *tree, int32_t leaf, int32_t length, int32_t position)
{
    for (int32_t i = length; i > position; i--) {
        leaf = tree->parent[leaf];
    }
    return leaf;
}

static semcal_status add_point(maker *m, int32_t *point, const sc_tree *tree, int32_t node, int32_t depth, int32_t row,
                               const sc_question *q, semcal_error *error)
{
    sc_mechanism_file *f = &m->file;
    if (m->point_of_node[node] >= 0) {
        *point = m->point_of_node[node];
        return SEMCAL_OK;
    }
    semcal_status status = sc_memory_grow(&f->points, &f->points_room, f->n_points + 1, sizeof *f->points, error);
    status |= sc_memory_grow(&m->points, &m->points_room, m->n_points + 1, sizeof *m->points, error);
    int32_t *tokens = sc_memory_alloc(q->n_tokens + (size_t)depth, sizeof *tokens, error);
    if (status != SEMCAL_OK || tokens == NULL) {
        free(tokens);
        return SEMCAL_E_MEMORY;
    }
    memcpy(tokens, q->tokens, q->n_tokens * sizeof *tokens);
    int32_t at = node;
    for (int32_t i = depth; i-- > 0; at = tree->parent[at]) {
        tokens[q->n_tokens + (size_t)i] = tree->token[at];
    }
    m->points[m->n_points++] = (sc_fork_point){q->item, tokens, q->n_tokens + (size_t)depth, (size_t)depth};
    *point = m->point_of_node[node] = (int32_t)f->n_points;
    f->points[f->n_points++] = (struct sc_mechanism_point){.question = row, .depth = depth};
    return SEMCAL_OK;
}

static semcal_status add_visit(maker *m, const sc_store_record *record, int32_t row, int32_t draw, int32_t position,
                               const sc_question *q, semcal_error *error)
{
    sc_mechanism_file *f = &m->file;
    const sc_tree *tree = &record->tree;
    int32_t length = tree->n_tokens[draw];
    position = position < length ? position : length;
    for (size_t i = f->n_visits; i-- > 0 && f->visits[i].question == row && f->visits[i].draw == draw;) {
        if (f->visits[i].position == position) {
            return SEMCAL_OK;
        }
    }
    struct sc_mechanism_visit visit = {row, draw, position, length, -1};
    semcal_status status = sc_memory_grow(&f->visits, &f->visits_room, f->n_visits + 1, sizeof *f->visits, error);
    if (status == SEMCAL_OK && position < length) {
        status = add_point(m, &visit.point, tree, node_at(tree, tree->leaf[draw], length, position), position, row, q,
                           error);
    }
    if (status == SEMCAL_OK) {
        f->visits[f->n_visits++] = visit;
    }
    return status;
}

/* Positions of part k of n_positions. */
static int32_t by_fraction(int32_t k, int64_t n_positions, int32_t length)
{
    return (int32_t)((2 * (int64_t)k * length + n_positions) / (2 * n_positions));
}

static int32_t by_token(int32_t k, int64_t n_positions, int64_t max_tokens)
{
    return (int32_t)(((int64_t)k * max_tokens + n_positions - 1) / n_positions);
}

static semcal_status keep_laws(maker *m, const sc_fork_law *laws, size_t first, semcal_error *error)
{
    sc_mechanism_file *f = &m->file;
    for (size_t i = 0; i < m->n_points; i++) {
        struct sc_mechanism_point *point = &f->points[first + i];
        point->exact = laws[i].exact;
        point->unexplored = laws[i].unexplored;
        m->run->summary->forward_tokens += laws[i].n_laws;
        for (size_t k = 0; k < laws[i].n_responses; k++) {
            const sc_fork_response *from = &laws[i].responses[k];
            semcal_status status =
                sc_memory_grow(&f->responses, &f->responses_room, f->n_responses + 1, sizeof *f->responses, error);
            char *text = status == SEMCAL_OK ? sc_store_text(from->text, from->text_length, error) : NULL;
            if (text == NULL) {
                return SEMCAL_E_MEMORY;
            }
            f->responses[f->n_responses++] =
                (struct sc_mechanism_response){(int32_t)(first + i), from->finish, from->weight, text};
        }
    }
    return SEMCAL_OK;
}

static semcal_status do_question(maker *m, const sc_store_record *record, int32_t row, const sc_question *q,
                                 semcal_error *error)
{
    const sc_config_mechanism *s = m->wanted;
    const size_t first = m->file.n_points;
    semcal_status status =
        sc_memory_grow(&m->point_of_node, &m->nodes_room, record->tree.n_nodes, sizeof *m->point_of_node, error);
    for (size_t i = 0; i < record->tree.n_nodes && status == SEMCAL_OK; i++) {
        m->point_of_node[i] = -1;
    }
    m->n_points = 0;
    for (int32_t j = 0; j < s->draws && (size_t)j < record->tree.n_draws; j++) {
        for (int32_t k = 0; k <= s->positions && status == SEMCAL_OK; k++) {
            int32_t fraction = by_fraction(k, s->positions, record->tree.n_tokens[j]);
            status = add_visit(m, record, row, j, fraction, q, error);
            if (status == SEMCAL_OK) {
                status = add_visit(m, record, row, j, by_token(k, s->positions, m->file.max_tokens), q, error);
            }
        }
    }
    sc_fork_law *laws = status == SEMCAL_OK ? sc_memory_alloc(m->n_points, sizeof *laws, error) : NULL;
    if (status == SEMCAL_OK) {
        status = laws == NULL ? SEMCAL_E_MEMORY
                              : sc_fork_many(laws, m->run->source, &m->options, m->points, m->n_points, error);
    }
    if (status == SEMCAL_OK) {
        status = keep_laws(m, laws, first, error);
        for (size_t i = 0; i < m->n_points; i++) {
            sc_fork_law_free(&laws[i]);
        }
    }
    for (size_t i = 0; i < m->n_points; i++) {
        free((void *)(uintptr_t)m->points[i].tokens);
    }
    free(laws);
    return status;
}

/* A file of no questions yet. */
static semcal_status begin_file(maker *m, semcal_error *error)
{
    sc_mechanism_file_free(&m->file);
    const uint64_t most = (uint64_t)m->wanted->questions, n = m->facts->n_cell_questions;
    m->file = (sc_mechanism_file){.settings = sc_memory_strdup(m->settings, error),
                                  .cell = sc_memory_strdup(m->facts->cell, error),
                                  .cell_sha256 = sc_memory_strdup(m->facts->content_sha256, error),
                                  .n_positions = m->wanted->positions,
                                  .n_forks = m->wanted->forks,
                                  .max_tokens = m->run->cell->max_tokens,
                                  .n_cell_questions = (int64_t)(n < most ? n : most),
                                  .shard = m->facts->shard,
                                  .n_shards = m->facts->n_shards};
    return m->file.settings && m->file.cell && m->file.cell_sha256 ? SEMCAL_OK : SEMCAL_E_MEMORY;
}

/* Reads a file that may be there; one that is damaged is deleted with a log line, one of other settings or draws
 * without. */
static semcal_status read_old(bool *there, sc_mechanism_file *old, const maker *m, const char *path,
                              semcal_error *error)
{
    *there = false;
    *old = (sc_mechanism_file){0};
    if (!sc_file_exists(path)) {
        return SEMCAL_OK;
    }
    semcal_error damage = SEMCAL_ERROR_INIT;
    semcal_status status = sc_mechanism_file_read(old, path, &damage);
    if (status == SEMCAL_E_MEMORY) {
        return sc_error_set(error, status, "%s", damage.message);
    }
    *there = status == SEMCAL_OK && strcmp(old->settings, m->settings) == 0 && strcmp(old->cell, m->facts->cell) == 0 &&
             strcmp(old->cell_sha256, m->facts->content_sha256) == 0;
    if (status != SEMCAL_OK) {
        sc_error_where(&damage, "the mechanism is made again");
        sc_log_write(m->run->log, SC_LOG_WARNING, "store", damage.message, NULL, 0);
    }
    if (!*there) {
        sc_mechanism_file_free(old);
        (void)unlink(path);
    }
    return SEMCAL_OK;
}

/* The number of the i-th question of this cell file in the dataset. */
static uint64_t question_of(const sc_store_facts *facts, uint64_t i)
{
    return i * facts->n_shards + facts->shard - 1;
}

static semcal_status part_path(sc_text *path, const maker *m, uint64_t question, semcal_error *error)
{
    sc_text_clear(path);
    return sc_text_printf(path, error, "%s/%06" PRIu64 ".h5", m->parts, question);
}

/* Generates and commits question i of the cell file unless its part is there. */
static semcal_status do_part(maker *m, sc_store_cell *cell, uint64_t i, const sc_questions *questions,
                             semcal_error *error)
{
    const uint64_t question = question_of(m->facts, i);
    sc_store_record record = SC_STORE_RECORD_INIT;
    sc_text path = {0};
    bool there = false;
    semcal_status status = part_path(&path, m, question, error);
    if (status == SEMCAL_OK) {
        sc_mechanism_file old;
        status = read_old(&there, &old, m, path.data, error);
        there = there && old.n_questions == 1 && (uint64_t)old.questions[0] == question;
        sc_mechanism_file_free(&old);
    }
    if (status == SEMCAL_OK && !there) {
        status = sc_store_cell_read(&record, cell, i, SC_STORE_NODES, error);
        if (status == SEMCAL_OK && (record.index != question || question >= questions->n ||
                                    strcmp(questions->at[question].row->id, record.id) != 0)) {
            status = sc_error_set(error, SEMCAL_E_DATA, "question '%s' is not in the dataset any more", record.id);
        }
        if (status == SEMCAL_OK) {
            status = begin_file(m, error);
        }
        if (status == SEMCAL_OK) {
            const sc_phase before = sc_phases_enter(m->run->source->phases, SC_PHASE_TREE);
            status = do_question(m, &record, (int32_t)question, &questions->at[question], error);
            (void)sc_phases_enter(m->run->source->phases, before);
            if (status != SEMCAL_OK) {
                sc_error_where(error, "question '%s'", record.id);
            }
        }
        if (status == SEMCAL_OK) {
            status = sc_memory_grow(&m->file.questions, &m->file.questions_room, 1, sizeof *m->file.questions, error);
        }
        if (status == SEMCAL_OK) {
            m->file.questions[m->file.n_questions++] = (int32_t)question;
            status = sc_mechanism_file_write(path.data, &m->file, error);
        }
        sc_store_record_free(&record);
    }
    sc_text_free(&path);
    return status;
}

/* The parts of n questions of the cell file into one. */
static semcal_status join_parts(maker *m, uint64_t n, semcal_error *error)
{
    sc_text path = {0};
    semcal_status status = begin_file(m, error);
    for (uint64_t i = 0; i < n && status == SEMCAL_OK; i++) {
        sc_mechanism_file part;
        status = part_path(&path, m, question_of(m->facts, i), error);
        if (status == SEMCAL_OK) {
            status = sc_mechanism_file_read(&part, path.data, error);
        }
        if (status == SEMCAL_OK) {
            status = sc_mechanism_file_take(&m->file, &part, 0, error);
            sc_mechanism_file_free(&part);
        }
    }
    if (status == SEMCAL_OK) {
        sc_mechanism_forget_collapsed(m->path, m->facts->cell);
        status = sc_mechanism_file_write(m->path, &m->file, error);
    }
    if (status == SEMCAL_OK) {
        sc_store_remove_folder(m->parts);
    }
    sc_text_free(&path);
    return status;
}

static semcal_status do_cell(maker *m, sc_store_cell *cell, semcal_error *error)
{
    sc_questions questions = {0};
    uint64_t n = 0;
    while (n < m->facts->n_questions && question_of(m->facts, n) < (uint64_t)m->wanted->questions) {
        n++;
    }
    semcal_status status = sc_questions_make(&questions, m->run->cell, m->run->dataset, m->run->source, error);
    if (status == SEMCAL_OK) {
        status = sc_file_make_folder(m->parts, error);
    }
    for (uint64_t i = 0; i < n && status == SEMCAL_OK; i++) {
        status = do_part(m, cell, i, &questions, error);
    }
    if (status == SEMCAL_OK) {
        status = join_parts(m, n, error);
    }
    sc_questions_free(&questions);
    return status;
}

static void set_options(maker *m)
{
    const sc_run_cell *run = m->run;
    const sc_cell *cell = run->cell;
    m->options = (sc_fork_options)SC_FORK_OPTIONS_INIT;
    m->options.key = sc_random_key((uint64_t)run->config->seed, "fork", cell->rng_name);
    m->options.n_forks = (uint32_t)m->wanted->forks;
    m->options.ending = (sc_ending){.max_tokens = (uint32_t)cell->max_tokens,
                                    .stops = (const char *const *)cell->style->stop.at,
                                    .n_stops = cell->style->stop.n};
    m->options.temperature = cell->temperature;
    m->options.max_laws = (uint64_t)m->wanted->max_forward_tokens;
    m->options.epsilon = m->wanted->epsilon;
    m->options.stopped = run->options->stopped;
    m->options.payload = run->options->payload;
}

/* Whether a collapse of the dataset is yet to be applied to this mechanism. */
static semcal_status lacks_collapse(bool *lacks, const char *mechanism_sha256, sc_store_cell *cell,
                                    const char *cell_path, const sc_config_dataset *dataset, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < dataset->collapse.n && !*lacks && status == SEMCAL_OK; i++) {
        bool current = false;
        status = sc_mechanism_is_collapsed(&current, mechanism_sha256, cell, cell_path, dataset->collapse.at[i], error);
        *lacks = !current;
    }
    return status;
}

semcal_status sc_mechanism_run(bool *made, const sc_run_cell *run, const char *cell_path, semcal_error *error)
{
    maker m = {.run = run, .wanted = &run->config->mechanism};
    sc_store_cell *cell = NULL;
    bool there = false;
    *made = false;
    if (m.wanted->questions == 0) {
        return SEMCAL_OK;
    }
    const sc_phase before = sc_phases_enter(run->source->phases, SC_PHASE_STORE);
    semcal_status status = sc_store_cell_open(&cell, cell_path, error);
    m.path = sc_mechanism_path(cell_path, ".h5", error);
    m.parts = sc_mechanism_path(cell_path, ".parts", error);
    m.settings = describe_settings(m.wanted, run, error);
    if (status == SEMCAL_OK && (m.path == NULL || m.parts == NULL || m.settings == NULL)) {
        status = SEMCAL_E_MEMORY;
    }
    if (status == SEMCAL_OK) {
        m.facts = sc_store_cell_facts(cell);
        set_options(&m);
        if (run->options->fresh) {
            (void)unlink(m.path);
            sc_store_remove_folder(m.parts);
        }
        status = read_old(&there, &m.file, &m, m.path, error);
    }
    if (status == SEMCAL_OK && there) {
        sc_store_remove_folder(m.parts); /* of a run that ended between joining them and removing them */
    }
    if (status == SEMCAL_OK && !there) {
        status = do_cell(&m, cell, error);
    }
    if (status == SEMCAL_OK && m.facts->n_shards == 1) {
        status = lacks_collapse(made, m.file.content_sha256, cell, cell_path, run->cell->dataset, error);
    }
    if (status != SEMCAL_OK) {
        sc_error_where(error, "mechanism");
    }
    sc_store_cell_close(&cell);
    (void)sc_phases_enter(run->source->phases, before);
    sc_mechanism_file_free(&m.file);
    free(m.settings);
    free(m.point_of_node);
    free(m.points);
    free(m.path);
    free(m.parts);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/mechanism.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "experiment/mechanism_file.h"
#include "experiment/questions.h"
#include "experiment/store.h"
#include "sampling/fork.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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
    const sc_config_mechanism *settings;
    sc_mechanism_file file;
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
    const sc_config_mechanism *s = m->settings;
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

static semcal_status do_cell(maker *m, const char *cell_path, const sc_questions *questions, semcal_error *error)
{
    sc_store_cell *cell = NULL;
    semcal_status status = sc_store_cell_open(&cell, cell_path, error);
    uint64_t n = status == SEMCAL_OK ? sc_store_cell_facts(cell)->n_questions : 0;
    for (uint64_t i = 0; i < n && i < (uint64_t)m->settings->questions && status == SEMCAL_OK; i++) {
        sc_store_record record = SC_STORE_RECORD_INIT;
        status = sc_store_cell_read(&record, cell, i, SC_STORE_NODES, error);
        if (status == SEMCAL_OK &&
            (record.index >= questions->n || strcmp(questions->at[record.index].row->id, record.id) != 0)) {
            status = sc_error_set(error, SEMCAL_E_DATA, "question '%s' is not in the dataset any more", record.id);
        }
        if (status == SEMCAL_OK) {
            status = do_question(m, &record, (int32_t)i, &questions->at[record.index], error);
        }
        sc_store_record_free(&record);
    }
    sc_store_cell_close(&cell);
    return status;
}

static semcal_status is_there(bool *there, const char *path, const char *settings, semcal_error *error)
{
    sc_mechanism_file old = {0};
    *there = false;
    if (!sc_file_exists(path)) {
        return SEMCAL_OK;
    }
    semcal_status status = sc_mechanism_file_read(&old, path, error);
    *there = status == SEMCAL_OK && strcmp(old.settings, settings) == 0;
    sc_mechanism_file_free(&old);
    return status;
}

static semcal_status make(maker *m, const char *cell_path, const char *path, semcal_error *error)
{
    const sc_run_cell *run = m->run;
    const sc_cell *cell = run->cell;
    m->file.n_positions = m->settings->positions;
    m->file.n_forks = m->settings->forks;
    m->file.max_tokens = cell->max_tokens;
    m->options = (sc_fork_options)SC_FORK_OPTIONS_INIT;
    m->options.key = sc_random_key((uint64_t)run->config->seed, "fork", cell->rng_name);
    m->options.n_forks = (uint32_t)m->settings->forks;
    m->options.ending = (sc_ending){.max_tokens = (uint32_t)cell->max_tokens,
                                    .stops = (const char *const *)cell->style->stop.at,
                                    .n_stops = cell->style->stop.n};
    m->options.temperature = cell->temperature;
    m->options.max_laws = (uint64_t)m->settings->max_forward_tokens;
    m->options.epsilon = m->settings->epsilon;
    m->options.stopped = run->options->stopped;
    m->options.payload = run->options->payload;
    sc_questions questions = {0};
    semcal_status status = sc_questions_make(&questions, cell, run->dataset, run->source, error);
    if (status == SEMCAL_OK) {
        status = do_cell(m, cell_path, &questions, error);
    }
    sc_questions_free(&questions);
    sc_text folder = {0};
    if (status == SEMCAL_OK) {
        status = sc_text_append(&folder, path, (size_t)(strrchr(path, '/') - path), error);
    }
    if (status == SEMCAL_OK) {
        status = sc_file_make_folder(folder.data, error);
    }
    sc_text_free(&folder);
    return status == SEMCAL_OK ? sc_mechanism_file_write(path, &m->file, error) : status;
}

/* A run that was killed between the two files. */
static semcal_status lacks_collapse(bool *lacks, const char *cell_path, const sc_config_dataset *dataset,
                                    semcal_error *error)
{
    for (size_t i = 0; i < dataset->collapse.n && !*lacks; i++) {
        sc_text suffix = {0};
        semcal_status status = sc_text_printf(&suffix, error, ".%s.h5", dataset->collapse.at[i]);
        char *path = status == SEMCAL_OK ? sc_mechanism_path(cell_path, suffix.data, error) : NULL;
        *lacks = path != NULL && !sc_file_exists(path);
        sc_text_free(&suffix);
        if (path == NULL) {
            return SEMCAL_E_MEMORY;
        }
        free(path);
    }
    return SEMCAL_OK;
}

semcal_status sc_mechanism_run(bool *made, const sc_run_cell *run, const char *cell_path, semcal_error *error)
{
    maker m = {.run = run, .settings = &run->config->mechanism};
    bool there = false;
    *made = false;
    if (m.settings->questions == 0) {
        return SEMCAL_OK;
    }
    char *path = sc_mechanism_path(cell_path, ".h5", error);
    m.file.settings = describe_settings(m.settings, run, error);
    semcal_status status =
        path == NULL || m.file.settings == NULL ? SEMCAL_E_MEMORY : is_there(&there, path, m.file.settings, error);
    if (status == SEMCAL_OK && !there) {
        status = make(&m, cell_path, path, error);
    }
    if (status == SEMCAL_OK) {
        status = lacks_collapse(made, cell_path, run->cell->dataset, error);
        *made = *made || !there;
    }
    if (status != SEMCAL_OK) {
        sc_error_where(error, "mechanism");
    }
    sc_mechanism_file_free(&m.file);
    free(m.point_of_node);
    free(m.points);
    free(path);
    return status;
}

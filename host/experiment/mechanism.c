/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/mechanism.h"

#include "base/clock.h"
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

/* Questions of one file: a part that is there, or what was made since the last one was written. */
typedef struct piece {
    sc_mechanism_file file;
    size_t next; /* of its questions, to be joined */
} piece;

struct sc_mechanism {
    const sc_run_cell *run;
    const sc_config_mechanism *wanted;
    const sc_questions *questions;
    char *settings;
    sc_store_cell *cell;
    const sc_store_facts *facts; /* of the cell file */
    char *path, *parts;          /* the file to make; the folder of its parts */
    uint64_t n;                  /* questions of the cell file that are wanted */
    int32_t *piece_of;           /* [n] -1: to be made */
    piece *pieces;               /* the last one is not written yet */
    size_t n_pieces, pieces_room;
    bool there; /* the file is there */
    char content_sha256[65];
    double committed_s;
    sc_mechanism_file file; /* of the question at hand, at last of all */
    sc_fork_options options;
    /* prefixes of the question at hand: one per node of its tree that is visited */
    int32_t *point_of_node; /* -1: none */
    size_t nodes_room;
    sc_fork_point *points;
    size_t n_points, points_room;
};

typedef sc_mechanism maker;

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
static semcal_status begin_file(sc_mechanism_file *file, const maker *m, semcal_error *error)
{
    const uint64_t most = (uint64_t)m->wanted->questions, n = m->facts->n_cell_questions;
    *file = (sc_mechanism_file){.settings = sc_memory_strdup(m->settings, error),
                                .cell = sc_memory_strdup(m->facts->cell, error),
                                .cell_sha256 = sc_memory_strdup(m->facts->content_sha256, error),
                                .n_positions = m->wanted->positions,
                                .n_forks = m->wanted->forks,
                                .max_tokens = m->run->cell->max_tokens,
                                .n_cell_questions = (int64_t)(n < most ? n : most),
                                .shard = m->facts->shard,
                                .n_shards = m->facts->n_shards};
    return file->settings && file->cell && file->cell_sha256 ? SEMCAL_OK : SEMCAL_E_MEMORY;
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

/* ---- parts ---- */

/* Room for one more piece; *piece is empty. */
static semcal_status add_piece(maker *m, piece **added, semcal_error *error)
{
    semcal_status status = sc_memory_grow(&m->pieces, &m->pieces_room, m->n_pieces + 1, sizeof *m->pieces, error);
    if (status == SEMCAL_OK) {
        *added = &m->pieces[m->n_pieces++];
        **added = (piece){0};
    }
    return status;
}

/* Notes which questions a part holds; one that holds others, or some twice, is of no use. */
static bool take_part(maker *m, const sc_mechanism_file *file)
{
    for (size_t i = 0; i < file->n_questions; i++) {
        const uint64_t question = (uint64_t)file->questions[i], row = question / m->facts->n_shards;
        if (row >= m->n || question_of(m->facts, row) != question || m->piece_of[row] >= 0) {
            return false;
        }
    }
    for (size_t i = 0; i < file->n_questions; i++) {
        m->piece_of[(uint64_t)file->questions[i] / m->facts->n_shards] = (int32_t)m->n_pieces - 1;
    }
    return true;
}

static semcal_status read_parts(maker *m, semcal_error *error)
{
    char **names;
    size_t n;
    semcal_status status = sc_file_list(&names, &n, m->parts, ".h5", error);
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        bool there = false;
        piece *part;
        char *path = sc_file_join(m->parts, names[i], error);
        status = path == NULL ? SEMCAL_E_MEMORY : add_piece(m, &part, error);
        if (status == SEMCAL_OK) {
            status = read_old(&there, &part->file, m, path, error);
        }
        if (status == SEMCAL_OK && there && !take_part(m, &part->file)) {
            (void)unlink(path);
            there = false;
        }
        if (status == SEMCAL_OK && !there) {
            sc_mechanism_file_free(&m->pieces[--m->n_pieces].file);
        }
        free(path);
    }
    sc_file_list_free(names, n);
    return status;
}

/* Makes what the last piece has durable, under the number of its first question. */
static semcal_status commit(maker *m, semcal_error *error)
{
    piece *last = &m->pieces[m->n_pieces - 1];
    sc_text path = {0};
    semcal_status status = SEMCAL_OK;
    if (last->file.n_questions > 0) {
        status = sc_text_printf(&path, error, "%s/%06" PRId32 ".h5", m->parts, last->file.questions[0]);
        if (status == SEMCAL_OK) {
            status = sc_mechanism_file_write(path.data, &last->file, error);
        }
        if (status == SEMCAL_OK) {
            status = add_piece(m, &last, error);
        }
        if (status == SEMCAL_OK) {
            status = begin_file(&last->file, m, error);
        }
    }
    m->committed_s = sc_clock_now_s();
    sc_text_free(&path);
    return status;
}

/* ---- generating ---- */

static semcal_status not_there(const sc_store_record *record, semcal_error *error)
{
    return sc_error_set(error, SEMCAL_E_DATA, "question '%s' is not in the dataset any more", record->id);
}

/* Generates question i of the cell file into the last piece. */
static semcal_status do_row(maker *m, uint64_t i, semcal_error *error)
{
    const uint64_t question = question_of(m->facts, i);
    sc_store_record record = SC_STORE_RECORD_INIT;
    sc_mechanism_file *to = &m->pieces[m->n_pieces - 1].file;
    semcal_status status = sc_store_cell_read(&record, m->cell, i, SC_STORE_NODES, error);
    sc_question asked = {0};
    if (status == SEMCAL_OK && (record.index != question || question >= m->questions->n)) {
        status = not_there(&record, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_questions_read(&asked, m->questions, (size_t)question, error);
    }
    if (status == SEMCAL_OK && strcmp(asked.row->id, record.id) != 0) {
        status = not_there(&record, error);
    }
    if (status == SEMCAL_OK) {
        status = begin_file(&m->file, m, error);
    }
    if (status == SEMCAL_OK) {
        const sc_phase before = sc_phases_enter(m->run->source->phases, SC_PHASE_TREE);
        status = do_question(m, &record, (int32_t)question, &asked, error);
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
        status = sc_mechanism_file_take(to, &m->file, 0, error);
    }
    if (status == SEMCAL_OK) {
        m->piece_of[i] = (int32_t)m->n_pieces - 1;
    }
    sc_mechanism_file_free(&m->file);
    sc_question_free(&asked);
    sc_store_record_free(&record);
    return status;
}

semcal_status sc_mechanism_generate(sc_mechanism *m, semcal_error *error)
{
    const double seconds = m->run->config->store.commit_seconds;
    const sc_phase before = sc_phases_enter(m->run->source->phases, SC_PHASE_STORE);
    piece *last;
    semcal_status status = add_piece(m, &last, error);
    if (status == SEMCAL_OK) {
        status = begin_file(&last->file, m, error);
    }
    m->committed_s = sc_clock_now_s();
    for (uint64_t i = 0; i < m->n && status == SEMCAL_OK; i++) {
        if (m->piece_of[i] < 0) {
            status = do_row(m, i, error);
            if (status == SEMCAL_OK && sc_clock_now_s() - m->committed_s >= seconds) {
                status = commit(m, error);
            }
        }
    }
    if (status != SEMCAL_OK && status != SEMCAL_E_MEMORY) {
        /* What is finished is committed also after an error or Ctrl-C; the first error is the one to tell. */
        (void)commit(m, NULL);
    }
    if (status != SEMCAL_OK) {
        sc_error_where(error, "mechanism");
    }
    (void)sc_phases_enter(m->run->source->phases, before);
    return status;
}

/* ---- the whole ---- */

/* All pieces into one file. */
static semcal_status join_pieces(maker *m, semcal_error *error)
{
    semcal_status status = begin_file(&m->file, m, error);
    for (uint64_t i = 0; i < m->n && status == SEMCAL_OK; i++) {
        piece *from = m->piece_of[i] < 0 ? NULL : &m->pieces[m->piece_of[i]];
        if (from == NULL) {
            status = sc_error_set(error, SEMCAL_E_DATA, "question %" PRIu64 " is missing", question_of(m->facts, i));
        } else {
            status = sc_mechanism_file_take(&m->file, &from->file, from->next++, error);
        }
    }
    if (status == SEMCAL_OK) {
        sc_mechanism_forget_collapsed(m->path, m->facts->cell);
        status = sc_mechanism_file_write(m->path, &m->file, error);
    }
    if (status == SEMCAL_OK) {
        sc_store_remove_folder(m->parts);
        memcpy(m->content_sha256, m->file.content_sha256, sizeof m->content_sha256);
        m->there = true;
    }
    return status;
}

semcal_status sc_mechanism_finish(sc_mechanism *m, semcal_error *error)
{
    const semcal_status status = m->there ? SEMCAL_OK : join_pieces(m, error);
    if (status != SEMCAL_OK) {
        sc_error_where(error, "mechanism");
    }
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

/* What is there of it, and the first draws. */
static semcal_status look(maker *m, const char *cell_path, semcal_error *error)
{
    semcal_status status = sc_store_cell_open_trusted(&m->cell, cell_path, error);
    m->path = sc_mechanism_path(cell_path, ".h5", error);
    m->parts = sc_mechanism_path(cell_path, ".parts", error);
    m->settings = describe_settings(m->wanted, m->run, error);
    if (status == SEMCAL_OK && (m->path == NULL || m->parts == NULL || m->settings == NULL)) {
        status = SEMCAL_E_MEMORY;
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    m->facts = sc_store_cell_facts(m->cell);
    while (m->n < m->facts->n_questions && question_of(m->facts, m->n) < (uint64_t)m->wanted->questions) {
        m->n++;
    }
    sc_store_cell_read_no_further(m->cell, m->n);
    if (m->run->options->fresh) {
        (void)unlink(m->path);
        sc_store_remove_folder(m->parts);
    }
    status = read_old(&m->there, &m->file, m, m->path, error);
    memcpy(m->content_sha256, m->file.content_sha256, sizeof m->content_sha256);
    sc_mechanism_file_free(&m->file);
    if (status == SEMCAL_OK && m->there) {
        sc_store_remove_folder(m->parts); /* of a run that ended between joining them and removing them */
        return SEMCAL_OK;
    }
    m->piece_of = sc_memory_alloc(m->n, sizeof *m->piece_of, error);
    for (uint64_t i = 0; m->piece_of != NULL && i < m->n; i++) {
        m->piece_of[i] = -1;
    }
    if (status == SEMCAL_OK) {
        status = m->piece_of == NULL ? SEMCAL_E_MEMORY : sc_file_make_folder(m->parts, error);
    }
    if (status == SEMCAL_OK) {
        status = read_parts(m, error);
    }
    /* The first that is to be made and those behind it: read now, they are at hand later. */
    for (uint64_t i = 0; i < m->n && status == SEMCAL_OK; i++) {
        if (m->piece_of[i] < 0) {
            return sc_store_cell_read_ahead(m->cell, i, SC_STORE_NODES, error);
        }
    }
    return status;
}

semcal_status sc_mechanism_open(sc_mechanism **out, const sc_run_cell *run, const sc_questions *questions,
                                const char *cell_path, semcal_error *error)
{
    sc_mechanism *m = sc_memory_alloc(1, sizeof *m, error);
    *out = NULL;
    if (m == NULL) {
        return SEMCAL_E_MEMORY;
    }
    m->run = run;
    m->wanted = &run->config->mechanism;
    m->questions = questions;
    set_options(m);
    const semcal_status status = look(m, cell_path, error);
    if (status != SEMCAL_OK) {
        sc_error_where(error, "mechanism");
        sc_mechanism_close(&m);
    }
    *out = m;
    return status;
}

bool sc_mechanism_is_there(const sc_mechanism *m)
{
    return m->there;
}

const char *sc_mechanism_sha256(const sc_mechanism *m)
{
    return m->content_sha256;
}

void sc_mechanism_close(sc_mechanism **out)
{
    sc_mechanism *m = *out;
    *out = NULL;
    if (m == NULL) {
        return;
    }
    for (size_t i = 0; i < m->n_pieces; i++) {
        sc_mechanism_file_free(&m->pieces[i].file);
    }
    sc_mechanism_file_free(&m->file);
    sc_store_cell_close(&m->cell);
    free(m->pieces);
    free(m->piece_of);
    free(m->settings);
    free(m->point_of_node);
    free(m->points);
    free(m->path);
    free(m->parts);
    free(m);
}

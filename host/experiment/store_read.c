/* SPDX-License-Identifier: Apache-2.0 */
/* Reading one file of records. */
#include "base/file.h"
#include "experiment/store_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Rows read ahead when questions are read in order. */
enum { BLOCK_QUESTIONS = 64, BLOCK_NODES = 1 << 16 };

/* ---- opening ---- */

static semcal_status read_number(uint64_t *value, sc_store_cell *cell, const char *name, semcal_error *error)
{
    int64_t number = -1;
    semcal_status status = sc_h5_get_int(&number, cell->file, "", name, error);
    if (status == SEMCAL_OK && number < 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: attribute '%s' is negative", cell->path, name);
    }
    *value = (uint64_t)number;
    return status;
}

static semcal_status read_label(sc_store_cell *cell, semcal_error *error)
{
    char *format = NULL;
    uint64_t version = 0, n_draws = 0, n_top = 0, raw = 0, shard = 0, n_shards = 0;
    semcal_error ignored = SEMCAL_ERROR_INIT;
    if (sc_h5_get_text(&format, cell->file, "", "format", &ignored) != SEMCAL_OK ||
        strcmp(format, SC_STORE_FORMAT) != 0) {
        free(format);
        return sc_error_set(error, SEMCAL_E_DATA, "%s: not a cell file of semcal", cell->path);
    }
    free(format);
    const struct {
        const char *name;
        uint64_t *value;
    } numbers[] = {
        {"format_version", &version},
        {"n_questions", &cell->facts.n_questions},
        {"n_cell_questions", &cell->facts.n_cell_questions},
        {"n_draws", &n_draws},
        {"n_top", &n_top},
        {"raw", &raw},
        {"shard", &shard},
        {"n_shards", &n_shards},
    };
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && status == SEMCAL_OK; i++) {
        status = read_number(numbers[i].value, cell, numbers[i].name, error);
    }
    if (status == SEMCAL_OK && version != SC_STORE_FORMAT_VERSION) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: format version %" PRIu64 ", this program reads %d", cell->path,
                              version, SC_STORE_FORMAT_VERSION);
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    uint64_t n_vocabulary = 0;
    if (sc_h5_has(cell->file, "", "n_vocabulary") &&
        (status = read_number(&n_vocabulary, cell, "n_vocabulary", error)) != SEMCAL_OK) {
        return status;
    }
    cell->sizes =
        (sc_store_sizes){.n_draws = n_draws, .n_top = n_top, .raw = raw != 0, .n_vocabulary = (size_t)n_vocabulary};
    cell->facts.n_vocabulary = (size_t)n_vocabulary;
    cell->facts.n_draws = n_draws;
    cell->facts.n_top = n_top;
    cell->facts.raw = raw != 0;
    cell->facts.shard = (unsigned)shard;
    cell->facts.n_shards = (unsigned)n_shards;
    status = sc_h5_get_text(&cell->cell_name, cell->file, "", "cell", error);
    if (status == SEMCAL_OK) {
        status = sc_h5_get_text(&cell->content_sha256, cell->file, "", "content_sha256", error);
    }
    if (status == SEMCAL_OK && sc_h5_has(cell->file, "", "collapse")) {
        status = sc_h5_get_text(&cell->collapse, cell->file, "", "collapse", error);
    }
    cell->facts.cell = cell->cell_name;
    cell->facts.content_sha256 = cell->content_sha256;
    cell->facts.collapse = cell->collapse;
    return status;
}

/* First rows of each question, from the counts. */
static semcal_status read_counts(sc_store_cell *cell, semcal_error *error)
{
    uint64_t n = cell->facts.n_questions;
    semcal_status status = SEMCAL_OK;
    cell->index = sc_memory_alloc(n, sizeof *cell->index, error);
    if (cell->index == NULL) {
        return SEMCAL_E_MEMORY;
    }
    if (n > 0) {
        status = sc_h5_read(cell->file, "question_index", SC_H5_I64, NULL, &n, cell->index, error);
    }
    for (size_t i = 0; i < sc_store_n_variables && status == SEMCAL_OK; i++) {
        const sc_store_variable *v = &sc_store_variables[i];
        if (v->role != SC_ROLE_COUNT || !sc_store_is_kept(v, &cell->sizes)) {
            continue;
        }
        uint64_t *first = sc_memory_alloc(n + 1, sizeof *first, error);
        cell->first[v->counts] = first;
        if (first == NULL) {
            return SEMCAL_E_MEMORY;
        }
        if (n > 0) {
            status = sc_h5_read(cell->file, v->name, SC_H5_I64, NULL, &n, first + 1, error);
        }
        for (uint64_t q = 0; q < n && status == SEMCAL_OK; q++) {
            if (first[q + 1] > UINT32_MAX) {
                status = sc_error_set(error, SEMCAL_E_DATA, "%s: %s of row %" PRIu64 " is impossible", cell->path,
                                      v->name, q);
            }
            first[q + 1] += first[q];
        }
        cell->sizes.total[v->counts] = first[n];
    }
    cell->sizes.total[SC_ROWS_QUESTION] = n;
    cell->sizes.total[SC_ROWS_DRAW] = n * cell->sizes.n_draws;
    cell->facts.n_nodes = cell->sizes.total[SC_ROWS_NODE];
    return status;
}

semcal_status sc_store_cell_open(sc_store_cell **cell, const char *path, semcal_error *error)
{
    *cell = NULL;
    uint64_t content;
    semcal_status status = sc_store_check_seal(&content, path, error);
    return status == SEMCAL_OK ? sc_store_cell_open_trusted(cell, path, error) : status;
}

semcal_status sc_store_cell_open_trusted(sc_store_cell **out, const char *path, semcal_error *error)
{
    *out = NULL;
    sc_store_cell *cell = sc_memory_alloc(1, sizeof *cell, error);
    if (cell == NULL) {
        return SEMCAL_E_MEMORY;
    }
    cell->path = sc_memory_strdup(path, error);
    semcal_status status = cell->path != NULL ? sc_h5_open(&cell->file, path, false, error) : SEMCAL_E_MEMORY;
    if (status == SEMCAL_OK) {
        status = read_label(cell, error);
    }
    if (status == SEMCAL_OK) {
        status = read_counts(cell, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_list_attributes(&cell->names, &cell->values, &cell->n_attributes, cell->file, "", error);
    }
    if (status != SEMCAL_OK) {
        sc_store_cell_close(&cell);
        return status;
    }
    *out = cell;
    return SEMCAL_OK;
}

static void free_block(sc_store_cell *cell)
{
    for (uint64_t i = 0; i < cell->block_n; i++) {
        sc_store_record_free(&cell->block[i]);
    }
    free(cell->block);
    cell->block = NULL;
    cell->block_n = 0;
}

void sc_store_cell_close(sc_store_cell **out)
{
    sc_store_cell *cell = *out;
    *out = NULL;
    if (cell == NULL) {
        return;
    }
    free_block(cell);
    (void)sc_h5_close(&cell->file, NULL);
    for (int rows = 0; rows < SC_ROWS_KINDS; rows++) {
        free(cell->first[rows]);
    }
    sc_file_list_free(cell->names, cell->n_attributes);
    sc_file_list_free(cell->values, cell->n_attributes);
    free(cell->index);
    free(cell->cell_name);
    free(cell->content_sha256);
    free(cell->collapse);
    free(cell->path);
    free(cell);
}

const sc_store_facts *sc_store_cell_facts(const sc_store_cell *cell)
{
    return &cell->facts;
}

const char *sc_store_cell_attribute(const sc_store_cell *cell, const char *name)
{
    for (size_t i = 0; i < cell->n_attributes; i++) {
        if (strcmp(cell->names[i], name) == 0) {
            return cell->values[i];
        }
    }
    return NULL;
}

/* ---- records ---- */

static void set_counts(sc_store_record *record, const sc_store_cell *cell, uint64_t row, unsigned what)
{
    *record = (sc_store_record)SC_STORE_RECORD_INIT;
    uint64_t n[SC_ROWS_KINDS] = {0};
    for (int rows = 0; rows < SC_ROWS_KINDS; rows++) {
        n[rows] = cell->first[rows] != NULL ? cell->first[rows][row + 1] - cell->first[rows][row] : 0;
    }
    record->tree.n_draws = cell->sizes.n_draws;
    record->tree.n_top = cell->sizes.n_top;
    record->tree.n_nodes = (what & SC_STORE_NODES) != 0 ? n[SC_ROWS_NODE] : 0;
    record->n_answers = n[SC_ROWS_ANSWER];
    record->n_law = n[SC_ROWS_LAW];
    record->n_found = n[SC_ROWS_RESPONSE];
    record->n_logits = (what & SC_STORE_NODES) != 0 ? n[SC_ROWS_LOGITS] : 0;
}

/* Moves one record's part of `buffer` into it. */
static semcal_status scatter_one(sc_store_record *record, const sc_store_variable *v, const sc_store_cell *cell,
                                 uint64_t row, void *buffer, size_t at, semcal_error *error)
{
    size_t size = sc_store_element_size(v->memory), width = sc_store_width(v, &cell->sizes);
    size_t rows = v->rows == SC_ROWS_NODE ? record->tree.n_nodes : sc_store_rows_of(record, v->rows);
    char *member = (char *)record + v->offset;
    if (v->rows == SC_ROWS_QUESTION) {
        memcpy(member, (char *)buffer + at * size, size);
        memset((char *)buffer + at * size, 0, size);
        return SEMCAL_OK;
    }
    void *values = sc_memory_alloc(rows * width, size, error);
    if (values == NULL) {
        return SEMCAL_E_MEMORY;
    }
    memcpy(member, &values, sizeof values);
    if (v->role != SC_ROLE_NODE) {
        /* Texts move: what stays behind must not be freed twice. */
        memcpy(values, (char *)buffer + at * width * size, rows * width * size);
        memset((char *)buffer + at * width * size, 0, rows * width * size);
        return SEMCAL_OK;
    }
    const int64_t *indices = (const int64_t *)buffer + at;
    int64_t base = (int64_t)cell->first[SC_ROWS_NODE][row];
    int64_t n_nodes = (int64_t)cell->first[SC_ROWS_NODE][row + 1] - base;
    for (size_t i = 0; i < rows; i++) {
        int64_t within = indices[i] < 0 ? -1 : indices[i] - base;
        if (indices[i] < -1 || (indices[i] >= 0 && within < 0) || within >= n_nodes) {
            return sc_error_set(error, SEMCAL_E_DATA, "%s: %s of question %" PRIu64 " points outside its tree",
                                cell->path, v->name, row);
        }
        ((int32_t *)values)[i] = (int32_t)within;
    }
    return SEMCAL_OK;
}

static semcal_status read_variable(sc_store_record *records, sc_store_cell *cell, const sc_store_variable *v,
                                   uint64_t first, uint64_t n, semcal_error *error)
{
    sc_h5_type type = v->role == SC_ROLE_NODE ? SC_H5_I64 : v->memory;
    uint64_t start[SC_H5_MAX_DIMS] = {0}, count[SC_H5_MAX_DIMS] = {0};
    const uint64_t *offsets = cell->first[v->rows];
    start[0] = offsets != NULL ? offsets[first] : first;
    count[0] = offsets != NULL ? offsets[first + n] - offsets[first] : n;
    count[1] = v->rows == SC_ROWS_DRAW ? cell->sizes.n_draws : sc_store_width(v, &cell->sizes);
    size_t n_elements = count[0] * count[1];
    void *buffer = sc_memory_alloc(n_elements, sc_store_element_size(type), error);
    if (buffer == NULL) {
        return SEMCAL_E_MEMORY;
    }
    semcal_status status = sc_h5_read(cell->file, v->name, type, start, count, buffer, error);
    for (uint64_t i = 0; i < n && status == SEMCAL_OK; i++) {
        size_t at = offsets != NULL           ? offsets[first + i] - offsets[first]
                    : v->rows == SC_ROWS_DRAW ? i * cell->sizes.n_draws
                                              : i;
        status = scatter_one(&records[i], v, cell, first + i, buffer, at, error);
    }
    for (size_t i = 0; v->memory == SC_H5_TEXT && i < n_elements; i++) {
        free(((char **)buffer)[i]);
    }
    free(buffer);
    return status;
}

/* At temperature 1 the raw log-probabilities are the others. */
static semcal_status copy_raw(sc_store_record *record, const sc_store_variable *v, const sc_store_variable *tempered,
                              semcal_error *error)
{
    size_t rows = sc_store_rows_of(record, v->rows);
    double *values = sc_memory_alloc(rows, sizeof *values, error);
    if (values == NULL) {
        return SEMCAL_E_MEMORY;
    }
    const double *from = sc_store_values(record, tempered);
    if (rows > 0 && from != NULL) {
        memcpy(values, from, rows * sizeof *values);
    }
    memcpy((char *)record + v->offset, &values, sizeof values);
    return SEMCAL_OK;
}

static semcal_status finish_record(sc_store_record *record, const sc_store_cell *cell, semcal_error *error)
{
    sc_tree *tree = &record->tree;
    semcal_status status = SEMCAL_OK;
    for (size_t i = 1; i < sc_store_n_variables && status == SEMCAL_OK; i++) {
        const sc_store_variable *v = &sc_store_variables[i];
        if (v->role == SC_ROLE_RAW && !cell->sizes.raw) {
            status = copy_raw(record, v, v - 1, error);
        }
    }
    tree->text_length = sc_memory_alloc(tree->n_draws, sizeof *tree->text_length, error);
    if (tree->text_length == NULL) {
        return SEMCAL_E_MEMORY;
    }
    tree->n_draw_tokens = 0;
    for (size_t j = 0; j < tree->n_draws && status == SEMCAL_OK; j++) {
        tree->text_length[j] = strlen(tree->text[j]);
        tree->n_draw_tokens += (uint64_t)tree->n_tokens[j];
    }
    return status;
}

semcal_status sc_store_cell_read_rows(sc_store_record *records, sc_store_cell *cell, uint64_t first, uint64_t n,
                                      unsigned what, semcal_error *error)
{
    if (first > cell->facts.n_questions || n > cell->facts.n_questions - first) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: question %" PRIu64 " asked for, has %" PRIu64, cell->path,
                            first + n - 1, cell->facts.n_questions);
    }
    for (uint64_t i = 0; i < n; i++) {
        set_counts(&records[i], cell, first + i, what);
    }
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < sc_store_n_variables && status == SEMCAL_OK; i++) {
        const sc_store_variable *v = &sc_store_variables[i];
        bool in_memory = v->role == SC_ROLE_PLAIN || v->role == SC_ROLE_RAW || v->role == SC_ROLE_NODE ||
                         v->role == SC_ROLE_SCHEDULE;
        bool wanted = (v->rows != SC_ROWS_NODE && v->rows != SC_ROWS_LOGITS) || (what & SC_STORE_NODES) != 0;
        if (in_memory && wanted && sc_store_has_variable(v, &cell->sizes)) {
            status = read_variable(records, cell, v, first, n, error);
        }
    }
    for (uint64_t i = 0; i < n && status == SEMCAL_OK; i++) {
        status = finish_record(&records[i], cell, error);
    }
    for (uint64_t i = 0; i < n && status != SEMCAL_OK; i++) {
        sc_store_record_free(&records[i]);
    }
    return status;
}

static bool is_at_hand(const sc_store_cell *cell, uint64_t i, unsigned what)
{
    return i >= cell->block_first && i - cell->block_first < cell->block_n && cell->block_what == what &&
           cell->block[i - cell->block_first].id != NULL;
}

void sc_store_cell_read_no_further(sc_store_cell *cell, uint64_t end)
{
    cell->block_end = end;
}

semcal_status sc_store_cell_read_ahead(sc_store_cell *cell, uint64_t i, unsigned what, semcal_error *error)
{
    if (is_at_hand(cell, i, what)) {
        return SEMCAL_OK;
    }
    free_block(cell);
    const uint64_t end =
        cell->block_end > i && cell->block_end < cell->facts.n_questions ? cell->block_end : cell->facts.n_questions;
    uint64_t n = i < end ? 1 : 0, most = end - i;
    const uint64_t *nodes = cell->first[SC_ROWS_NODE];
    while (n > 0 && n < most && n < BLOCK_QUESTIONS &&
           ((what & SC_STORE_NODES) == 0 || nodes[i + n + 1] - nodes[i] <= BLOCK_NODES)) {
        n++;
    }
    n = n > 0 ? n : 1;
    sc_store_record *block = sc_memory_alloc(n, sizeof *block, error);
    sc_h5_keep_open(cell->file); /* blocks share chunks */
    const semcal_status status =
        block != NULL ? sc_store_cell_read_rows(block, cell, i, n, what, error) : SEMCAL_E_MEMORY;
    if (status != SEMCAL_OK) {
        free(block);
        return status;
    }
    cell->block = block;
    cell->block_first = i;
    cell->block_n = n;
    cell->block_what = what;
    return SEMCAL_OK;
}

semcal_status sc_store_cell_read(sc_store_record *record, sc_store_cell *cell, uint64_t i, unsigned what,
                                 semcal_error *error)
{
    *record = (sc_store_record)SC_STORE_RECORD_INIT;
    const semcal_status status = sc_store_cell_read_ahead(cell, i, what, error);
    if (status == SEMCAL_OK) {
        sc_store_record *held = &cell->block[i - cell->block_first];
        *record = *held;
        *held = (sc_store_record)SC_STORE_RECORD_INIT;
    }
    return status;
}

semcal_status sc_store_cell_column(double **values, sc_store_cell *cell, const char *name, semcal_error *error)
{
    *values = NULL;
    sc_h5_shape shape;
    semcal_status status = sc_h5_get_shape(&shape, cell->file, name, error);
    if (status == SEMCAL_OK && (shape.n_dims != 1 || shape.length[0] != cell->facts.n_questions || shape.is_dimension ||
                                shape.type == SC_H5_TEXT)) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: '%s' is no number per question", cell->path, name);
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    *values = sc_memory_alloc(cell->facts.n_questions, sizeof **values, error);
    status = *values != NULL ? sc_h5_read(cell->file, name, SC_H5_F64, NULL, NULL, *values, error) : SEMCAL_E_MEMORY;
    if (status != SEMCAL_OK) {
        free(*values);
        *values = NULL;
    }
    return status;
}

/* ---- checking ---- */

/* Questions whose digests are read at once. */
enum { CHECK_QUESTIONS = 512 };

/* The question's own digest, which must be that of the file. */
static semcal_status check_question(sc_store_cell *cell, uint64_t i, const char *stored, semcal_error *error)
{
    sc_store_record record;
    char hex[65];
    semcal_status status = sc_store_cell_read(&record, cell, i, SC_STORE_NODES, error);
    if (status == SEMCAL_OK) {
        status = sc_store_digest_record(hex, &record, &cell->sizes, error);
    }
    if (status == SEMCAL_OK && strcmp(hex, stored) != 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: question %" PRIu64 " (%s) does not match its digest",
                              cell->path, record.index, record.id);
    }
    if (status == SEMCAL_OK && record.n_logits > 0) {
        status = sc_store_logits_check(cell, i, &record, error);
    }
    sc_store_record_free(&record);
    return status;
}

semcal_status sc_store_cell_check(sc_store_cell *cell, semcal_error *error)
{
    const uint64_t n = cell->facts.n_questions;
    char *stored[CHECK_QUESTIONS], hex[65] = "";
    sc_sha256 *sum = NULL;
    semcal_status status = sc_store_digest_file_begin(&sum, n, &cell->sizes, error);
    for (uint64_t first = 0; first < n && status == SEMCAL_OK; first += CHECK_QUESTIONS) {
        const uint64_t part = n - first < CHECK_QUESTIONS ? n - first : CHECK_QUESTIONS;
        memset(stored, 0, sizeof stored);
        status = sc_h5_read(cell->file, "question_sha256", SC_H5_TEXT, &first, &part, stored, error);
        for (uint64_t i = 0; i < part && status == SEMCAL_OK; i++) {
            sc_store_digest_file_add(sum, stored[i]);
            status = check_question(cell, first + i, stored[i], error);
        }
        for (uint64_t i = 0; i < part; i++) {
            free(stored[i]);
        }
    }
    if (sum != NULL) {
        sc_sha256_end(hex, sum);
    }
    if (status == SEMCAL_OK && strcmp(hex, cell->content_sha256) != 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: the digests of its questions do not add up to content_sha256",
                              cell->path);
    }
    return status;
}

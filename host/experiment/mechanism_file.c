/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/mechanism_file.h"

#include "base/file.h"
#include "base/memory.h"
#include "experiment/store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One number of a row, by its place in the struct. */
typedef struct field {
    const char *path, *dimension, *long_name, *units;
    bool real;
    size_t offset;
} field;

#define VISIT(member, long_name, units)                                                                                \
    {                                                                                                                  \
        "visit_" #member, "visit", long_name, units, false, offsetof(struct sc_mechanism_visit, member)                \
    }
#define POINT(member, real, long_name, units)                                                                          \
    {                                                                                                                  \
        "point_" #member, "point", long_name, units, real, offsetof(struct sc_mechanism_point, member)                 \
    }
#define RESPONSE(member, real, long_name, units)                                                                       \
    {                                                                                                                  \
        "response_" #member, "response", long_name, units, real, offsetof(struct sc_mechanism_response, member)        \
    }

#define QUESTION(name, long_name)                                                                                      \
    {                                                                                                                  \
        name, "question", long_name, "", false, 0                                                                      \
    }

static const field fields[] = {
    QUESTION("question_index", "row of the question in the whole cell file, from 0"),
    VISIT(question, "row of question in the whole cell file", ""),
    VISIT(draw, "draw of that question", ""),
    VISIT(position, "tokens of the prefix", "1"),
    VISIT(length, "tokens of the whole response", "1"),
    VISIT(point, "row of point that holds what follows, -1 when the response has ended", ""),
    POINT(question, false, "row of question in the whole cell file", ""),
    POINT(depth, false, "tokens of the prefix", "1"),
    POINT(exact, false, "1 when what follows was enumerated, 0 when it was sampled by forks", ""),
    POINT(unexplored, true, "probability not enumerated, 0 for forks", "1"),
    RESPONSE(point, false, "row of point that the response begins with", ""),
    RESPONSE(finish, false, "why the response ended: 0 stop string, 1 end token, 2 max_tokens", ""),
    RESPONSE(weight, true, "probability given the prefix (enumerated) or share of the forks", "1"),
};
enum { N_FIELDS = sizeof fields / sizeof *fields };

/* Rows of a field's table, and their size. */
static char *rows_of(const sc_mechanism_file *f, const field *at, size_t *n, size_t *size)
{
    switch (at->dimension[0]) {
    case 'q':
        *n = f->n_questions;
        *size = sizeof *f->questions;
        return (char *)f->questions;
    case 'v':
        *n = f->n_visits;
        *size = sizeof *f->visits;
        return (char *)f->visits;
    case 'p':
        *n = f->n_points;
        *size = sizeof *f->points;
        return (char *)f->points;
    default:
        *n = f->n_responses;
        *size = sizeof *f->responses;
        return (char *)f->responses;
    }
}

static size_t width_of(const field *at)
{
    return at->real ? sizeof(double) : sizeof(int32_t);
}

static sc_h5_type type_of(const field *at)
{
    return at->real ? SC_H5_F64 : SC_H5_I32;
}

/* The values of a field, one after the other; malloc'ed. */
static char *column_of(const sc_mechanism_file *f, const field *at, size_t *n, semcal_error *error)
{
    size_t size;
    const char *rows = rows_of(f, at, n, &size);
    char *values = sc_memory_alloc(*n, width_of(at), error);
    for (size_t i = 0; values != NULL && i < *n; i++) {
        memcpy(values + i * width_of(at), rows + i * size + at->offset, width_of(at));
    }
    return values;
}

static const char **texts_of(const sc_mechanism_file *f, semcal_error *error)
{
    const char **texts = sc_memory_alloc(f->n_responses, sizeof *texts, error);
    for (size_t i = 0; texts != NULL && i < f->n_responses; i++) {
        texts[i] = f->responses[i].text;
    }
    return texts;
}

/* ---- digest ---- */

static semcal_status put_column(sc_text *all, const char *name, sc_h5_type type, const void *values, size_t n,
                                semcal_error *error)
{
    sc_text bytes = {0};
    char hex[65];
    semcal_status status = sc_store_digest_put(&bytes, name, type, type, values, n, error);
    if (status == SEMCAL_OK) {
        sc_sha256_hex(hex, bytes.data, bytes.length);
        status = sc_text_printf(all, error, "%s\n", hex);
    }
    sc_text_free(&bytes);
    return status;
}

static semcal_status digest_of(char hex[65], const sc_mechanism_file *f, semcal_error *error)
{
    sc_text all = {0};
    semcal_status status = sc_text_printf(&all, error, "%s %d\n%s\n%s\n%s\n", SC_MECHANISM_FORMAT,
                                          SC_MECHANISM_FORMAT_VERSION, f->cell, f->cell_sha256, f->settings);
    for (size_t i = 0; i < N_FIELDS && status == SEMCAL_OK; i++) {
        size_t n;
        char *values = column_of(f, &fields[i], &n, error);
        status =
            values == NULL ? SEMCAL_E_MEMORY : put_column(&all, fields[i].path, type_of(&fields[i]), values, n, error);
        free(values);
    }
    if (status == SEMCAL_OK) {
        const char **texts = texts_of(f, error);
        status = texts == NULL ? SEMCAL_E_MEMORY
                               : put_column(&all, "response_text", SC_H5_TEXT, texts, f->n_responses, error);
        free(texts);
    }
    if (status == SEMCAL_OK) {
        sc_sha256_hex(hex, all.data, all.length);
    }
    sc_text_free(&all);
    return status;
}

/* ---- writing ---- */

static semcal_status write_field(sc_h5 *h5, const sc_mechanism_file *f, const field *at, semcal_error *error)
{
    size_t n;
    char *values = column_of(f, at, &n, error);
    semcal_status status = values == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK && n > 0) {
        const sc_h5_spec spec = {.path = at->path,
                                 .type = type_of(at),
                                 .n_dims = 1,
                                 .dims = {at->dimension},
                                 .deflate = 4,
                                 .long_name = at->long_name,
                                 .units = at->units};
        status = sc_h5_make_dataset(h5, &spec, error);
        if (status == SEMCAL_OK) {
            status = sc_h5_write(h5, at->path, spec.type, NULL, NULL, values, error);
        }
    }
    free(values);
    return status;
}

static semcal_status write_texts(sc_h5 *h5, const sc_mechanism_file *f, semcal_error *error)
{
    if (f->n_responses == 0) {
        return SEMCAL_OK;
    }
    const char **texts = texts_of(f, error);
    const sc_h5_spec spec = {.path = "response_text",
                             .type = SC_H5_TEXT,
                             .n_dims = 1,
                             .dims = {"response"},
                             .long_name = "text of the whole response without its ending",
                             .units = ""};
    semcal_status status = texts == NULL ? SEMCAL_E_MEMORY : sc_h5_make_dataset(h5, &spec, error);
    if (status == SEMCAL_OK) {
        status = sc_h5_write(h5, spec.path, SC_H5_TEXT, NULL, NULL, texts, error);
    }
    free(texts);
    return status;
}

static semcal_status write_attributes(sc_h5 *h5, const sc_mechanism_file *f, semcal_error *error)
{
    const struct {
        const char *name, *text;
    } texts[] = {{"format", SC_MECHANISM_FORMAT},
                 {"cell", f->cell},
                 {"cell_sha256", f->cell_sha256},
                 {"content_sha256", f->content_sha256},
                 {"settings", f->settings}};
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {{"format_version", SC_MECHANISM_FORMAT_VERSION},
                   {"positions", f->n_positions},
                   {"forks", f->n_forks},
                   {"max_tokens", f->max_tokens},
                   {"n_questions", (int64_t)f->n_questions},
                   {"n_cell_questions", f->n_cell_questions},
                   {"shard", f->shard},
                   {"n_shards", f->n_shards}};
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < sizeof texts / sizeof *texts && status == SEMCAL_OK; i++) {
        status = sc_h5_set_text(h5, "", texts[i].name, texts[i].text, error);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && status == SEMCAL_OK; i++) {
        status = sc_h5_set_int(h5, "", numbers[i].name, numbers[i].value, error);
    }
    return status;
}

/* A dimension without rows is not made, nor are the variables on it. */
static semcal_status write_all(sc_h5 *h5, const void *payload, semcal_error *error)
{
    const sc_mechanism_file *f = payload;
    const struct {
        const char *name;
        size_t n;
    } dimensions[] = {
        {"question", f->n_questions}, {"visit", f->n_visits}, {"point", f->n_points}, {"response", f->n_responses}};
    semcal_status status = write_attributes(h5, f, error);
    for (size_t i = 0; i < sizeof dimensions / sizeof *dimensions && status == SEMCAL_OK; i++) {
        if (dimensions[i].n > 0) {
            status = sc_h5_make_dimension(h5, dimensions[i].name, dimensions[i].n, false, error);
        }
    }
    for (size_t i = 0; i < N_FIELDS && status == SEMCAL_OK; i++) {
        status = write_field(h5, f, &fields[i], error);
    }
    return status == SEMCAL_OK ? write_texts(h5, f, error) : status;
}

semcal_status sc_mechanism_file_write(const char *path, sc_mechanism_file *file, semcal_error *error)
{
    semcal_status status = digest_of(file->content_sha256, file, error);
    return status == SEMCAL_OK ? sc_store_write_sealed(path, write_all, file, error) : status;
}

/* ---- reading ---- */

/* Rows of a variable; 0 when the file has none. */
static semcal_status length_of(size_t *n, sc_h5 *h5, const char *path, semcal_error *error)
{
    sc_h5_shape shape;
    *n = 0;
    if (!sc_h5_exists(h5, path)) {
        return SEMCAL_OK;
    }
    semcal_status status = sc_h5_get_shape(&shape, h5, path, error);
    *n = status == SEMCAL_OK ? (size_t)shape.length[0] : 0;
    return status;
}

static semcal_status read_field(sc_mechanism_file *f, sc_h5 *h5, const field *at, semcal_error *error)
{
    size_t n, size, width = width_of(at), there;
    char *rows = rows_of(f, at, &n, &size), *values = NULL;
    semcal_status status = length_of(&there, h5, at->path, error);
    if (status == SEMCAL_OK && there != n) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: %zu rows where %zu are expected", at->path, there, n);
    }
    if (status == SEMCAL_OK && n > 0) {
        values = sc_memory_alloc(n, width, error);
        status = values == NULL ? SEMCAL_E_MEMORY : sc_h5_read(h5, at->path, type_of(at), NULL, NULL, values, error);
    }
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        memcpy(rows + i * size + at->offset, values + i * width, width);
    }
    free(values);
    return status;
}

static semcal_status allocate(sc_mechanism_file *f, sc_h5 *h5, semcal_error *error)
{
    size_t n_responses = 0;
    semcal_status status = length_of(&f->n_questions, h5, "question_index", error);
    if (status == SEMCAL_OK) {
        status = length_of(&f->n_visits, h5, "visit_question", error);
    }
    if (status == SEMCAL_OK) {
        status = length_of(&f->n_points, h5, "point_question", error);
    }
    if (status == SEMCAL_OK) {
        status = length_of(&n_responses, h5, "response_point", error);
    }
    if (status == SEMCAL_OK) {
        f->questions = sc_memory_alloc(f->n_questions, sizeof *f->questions, error);
        f->visits = sc_memory_alloc(f->n_visits, sizeof *f->visits, error);
        f->points = sc_memory_alloc(f->n_points, sizeof *f->points, error);
        f->responses = sc_memory_alloc(n_responses, sizeof *f->responses, error);
        f->questions_room = f->n_questions;
        f->visits_room = f->n_visits;
        f->points_room = f->n_points;
        f->responses_room = f->n_responses = f->responses != NULL ? n_responses : 0;
        status = f->questions && f->visits && f->points && f->responses ? SEMCAL_OK : SEMCAL_E_MEMORY;
    }
    return status;
}

static semcal_status check_rows(const sc_mechanism_file *f, semcal_error *error)
{
    bool good = f->n_positions >= 1 && f->n_forks >= 2;
    for (size_t i = 0; i < f->n_questions && good; i++) {
        good = i == 0 ? f->questions[i] >= 0 : f->questions[i] > f->questions[i - 1];
    }
    for (size_t i = 0; i < f->n_visits && good; i++) {
        good = f->visits[i].point >= -1 && f->visits[i].point < (int64_t)f->n_points &&
               f->visits[i].question >= (i > 0 ? f->visits[i - 1].question : 0);
    }
    for (size_t i = 0; i < f->n_points && good; i++) {
        good = f->points[i].question >= (i > 0 ? f->points[i - 1].question : 0);
    }
    for (size_t i = 0; i < f->n_responses && good; i++) {
        good = f->responses[i].point >= (i > 0 ? f->responses[i - 1].point : 0) &&
               (size_t)f->responses[i].point < f->n_points;
    }
    return good ? SEMCAL_OK : sc_error_set(error, SEMCAL_E_DATA, "a row refers to nothing; the file is damaged");
}

static semcal_status read_attributes(sc_mechanism_file *f, sc_h5 *h5, semcal_error *error)
{
    char *digest = NULL;
    const struct {
        const char *name;
        char **text;
    } texts[] = {
        {"settings", &f->settings}, {"cell", &f->cell}, {"cell_sha256", &f->cell_sha256}, {"content_sha256", &digest}};
    const struct {
        const char *name;
        int64_t *value;
    } numbers[] = {{"positions", &f->n_positions}, {"forks", &f->n_forks},
                   {"max_tokens", &f->max_tokens}, {"n_cell_questions", &f->n_cell_questions},
                   {"shard", &f->shard},           {"n_shards", &f->n_shards}};
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < sizeof texts / sizeof *texts && status == SEMCAL_OK; i++) {
        status = sc_h5_get_text(texts[i].text, h5, "", texts[i].name, error);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && status == SEMCAL_OK; i++) {
        status = sc_h5_get_int(numbers[i].value, h5, "", numbers[i].name, error);
    }
    if (status == SEMCAL_OK) {
        (void)snprintf(f->content_sha256, sizeof f->content_sha256, "%s", digest);
    }
    free(digest);
    return status;
}

static semcal_status read_contents(sc_mechanism_file *f, sc_h5 *h5, semcal_error *error)
{
    char hex[65];
    semcal_status status = read_attributes(f, h5, error);
    if (status == SEMCAL_OK) {
        status = allocate(f, h5, error);
    }
    for (size_t i = 0; i < N_FIELDS && status == SEMCAL_OK; i++) {
        status = read_field(f, h5, &fields[i], error);
    }
    if (status == SEMCAL_OK && f->n_responses > 0) {
        char **texts = sc_memory_alloc(f->n_responses, sizeof *texts, error);
        status =
            texts == NULL ? SEMCAL_E_MEMORY : sc_h5_read(h5, "response_text", SC_H5_TEXT, NULL, NULL, texts, error);
        for (size_t i = 0; i < f->n_responses && status == SEMCAL_OK; i++) {
            f->responses[i].text = texts[i];
        }
        free(texts);
    }
    if (status == SEMCAL_OK) {
        status = check_rows(f, error);
    }
    if (status == SEMCAL_OK) {
        status = digest_of(hex, f, error);
    }
    if (status == SEMCAL_OK && strcmp(hex, f->content_sha256) != 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "its contents do not match their digest");
    }
    return status;
}

semcal_status sc_mechanism_file_read(sc_mechanism_file *f, const char *path, semcal_error *error)
{
    *f = (sc_mechanism_file){0};
    sc_h5 *h5 = NULL;
    semcal_status status = sc_store_open_sealed(&h5, path, SC_MECHANISM_FORMAT, SC_MECHANISM_FORMAT_VERSION, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    status = read_contents(f, h5, error);
    if (status != SEMCAL_OK) {
        sc_error_where(error, "%s", path);
        sc_mechanism_file_free(f);
    }
    (void)sc_h5_close(&h5, NULL);
    return status;
}

void sc_mechanism_file_free(sc_mechanism_file *f)
{
    for (size_t i = 0; f->responses != NULL && i < f->n_responses; i++) {
        free(f->responses[i].text);
    }
    free(f->settings);
    free(f->cell);
    free(f->cell_sha256);
    free(f->questions);
    free(f->visits);
    free(f->points);
    free(f->responses);
    *f = (sc_mechanism_file){0};
}

/* ---- joining ---- */

/* The first row of a table, sorted by its int32 member at `offset`, whose number is at least `least`. */
static size_t first_row(const void *rows, size_t n, size_t size, size_t offset, int64_t least)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int32_t number;
        memcpy(&number, (const char *)rows + middle * size + offset, sizeof number);
        if (number < least) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Rows of one question. */
struct slice {
    size_t visit, end_visit, point, end_point, response, end_response;
};

static struct slice slice_of(const sc_mechanism_file *f, int64_t question)
{
    enum {
        BY_VISIT = offsetof(struct sc_mechanism_visit, question),
        BY_POINT = offsetof(struct sc_mechanism_point, question),
        BY_RESPONSE = offsetof(struct sc_mechanism_response, point)
    };
    struct slice s;
    s.visit = first_row(f->visits, f->n_visits, sizeof *f->visits, BY_VISIT, question);
    s.end_visit = first_row(f->visits, f->n_visits, sizeof *f->visits, BY_VISIT, question + 1);
    s.point = first_row(f->points, f->n_points, sizeof *f->points, BY_POINT, question);
    s.end_point = first_row(f->points, f->n_points, sizeof *f->points, BY_POINT, question + 1);
    s.response = first_row(f->responses, f->n_responses, sizeof *f->responses, BY_RESPONSE, (int64_t)s.point);
    s.end_response = first_row(f->responses, f->n_responses, sizeof *f->responses, BY_RESPONSE, (int64_t)s.end_point);
    return s;
}

semcal_status sc_mechanism_file_take(sc_mechanism_file *to, sc_mechanism_file *from, size_t i, semcal_error *error)
{
    const int32_t question = from->questions[i];
    const struct slice s = slice_of(from, question);
    if (strcmp(to->settings, from->settings) != 0 || strcmp(to->cell, from->cell) != 0) {
        return sc_error_set(error, SEMCAL_E_DATA, "mechanisms of other settings ('%s' and '%s') do not fit together",
                            to->settings, from->settings);
    }
    if (to->n_questions > 0 && question <= to->questions[to->n_questions - 1]) {
        return sc_error_set(error, SEMCAL_E_DATA, "question %d is there twice or out of order", (int)question);
    }
    semcal_status status =
        sc_memory_grow(&to->questions, &to->questions_room, to->n_questions + 1, sizeof *to->questions, error);
    status |= sc_memory_grow(&to->visits, &to->visits_room, to->n_visits + (s.end_visit - s.visit), sizeof *to->visits,
                             error);
    status |= sc_memory_grow(&to->points, &to->points_room, to->n_points + (s.end_point - s.point), sizeof *to->points,
                             error);
    status |= sc_memory_grow(&to->responses, &to->responses_room, to->n_responses + (s.end_response - s.response),
                             sizeof *to->responses, error);
    if (status != SEMCAL_OK) {
        return SEMCAL_E_MEMORY;
    }
    const int32_t shift = (int32_t)to->n_points - (int32_t)s.point;
    to->questions[to->n_questions++] = question;
    for (size_t v = s.visit; v < s.end_visit; v++) {
        struct sc_mechanism_visit visit = from->visits[v];
        visit.point += visit.point < 0 ? 0 : shift;
        to->visits[to->n_visits++] = visit;
    }
    for (size_t p = s.point; p < s.end_point; p++) {
        to->points[to->n_points++] = from->points[p];
    }
    for (size_t r = s.response; r < s.end_response; r++) {
        struct sc_mechanism_response response = from->responses[r];
        response.point += shift;
        to->responses[to->n_responses++] = response;
        from->responses[r].text = NULL; /* moved */
    }
    return SEMCAL_OK;
}

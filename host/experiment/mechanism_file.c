/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/mechanism_file.h"

#include "base/file.h"
#include "base/memory.h"
#include "formats/h5.h"

#include <stdlib.h>
#include <string.h>

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

static const field fields[] = {
    VISIT(question, "row of question in the cell file", ""),
    VISIT(draw, "draw of that question", ""),
    VISIT(position, "tokens of the prefix", "1"),
    VISIT(length, "tokens of the whole response", "1"),
    VISIT(point, "row of point that holds what follows, -1 when the response has ended", ""),
    POINT(question, false, "row of question in the cell file", ""),
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
    if (at->dimension[0] == 'v') {
        *n = f->n_visits;
        *size = sizeof *f->visits;
        return (char *)f->visits;
    }
    if (at->dimension[0] == 'p') {
        *n = f->n_points;
        *size = sizeof *f->points;
        return (char *)f->points;
    }
    *n = f->n_responses;
    *size = sizeof *f->responses;
    return (char *)f->responses;
}

static semcal_status write_field(sc_h5 *h5, const sc_mechanism_file *f, const field *at, semcal_error *error)
{
    size_t n, size, width = at->real ? sizeof(double) : sizeof(int32_t);
    const char *rows = rows_of(f, at, &n, &size);
    char *values = sc_memory_alloc(n, width, error);
    if (values == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < n; i++) {
        memcpy(values + i * width, rows + i * size + at->offset, width);
    }
    const sc_h5_spec spec = {.path = at->path,
                             .type = at->real ? SC_H5_F64 : SC_H5_I32,
                             .n_dims = 1,
                             .dims = {at->dimension},
                             .deflate = 4,
                             .long_name = at->long_name,
                             .units = at->units};
    semcal_status status = sc_h5_make_dataset(h5, &spec, error);
    if (status == SEMCAL_OK) {
        status = sc_h5_write(h5, at->path, spec.type, NULL, NULL, values, error);
    }
    free(values);
    return status;
}

static semcal_status write_texts(sc_h5 *h5, const sc_mechanism_file *f, semcal_error *error)
{
    const char **texts = sc_memory_alloc(f->n_responses, sizeof *texts, error);
    if (texts == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < f->n_responses; i++) {
        texts[i] = f->responses[i].text;
    }
    const sc_h5_spec spec = {.path = "response_text",
                             .type = SC_H5_TEXT,
                             .n_dims = 1,
                             .dims = {"response"},
                             .long_name = "text of the whole response without its ending",
                             .units = ""};
    semcal_status status = sc_h5_make_dataset(h5, &spec, error);
    if (status == SEMCAL_OK) {
        status = sc_h5_write(h5, spec.path, SC_H5_TEXT, NULL, NULL, texts, error);
    }
    free(texts);
    return status;
}

static semcal_status write_all(sc_h5 *h5, const sc_mechanism_file *f, semcal_error *error)
{
    semcal_status status = sc_h5_set_text(h5, "", "format", "semcal-mechanism", error);
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"format_version", 1}, {"positions", f->n_positions}, {"forks", f->n_forks}, {"max_tokens", f->max_tokens}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && status == SEMCAL_OK; i++) {
        status = sc_h5_set_int(h5, "", numbers[i].name, numbers[i].value, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_set_text(h5, "", "settings", f->settings, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_make_dimension(h5, "visit", f->n_visits, false, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_make_dimension(h5, "point", f->n_points, false, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_make_dimension(h5, "response", f->n_responses, false, error);
    }
    for (size_t i = 0; i < N_FIELDS && status == SEMCAL_OK; i++) {
        status = write_field(h5, f, &fields[i], error);
    }
    return status == SEMCAL_OK ? write_texts(h5, f, error) : status;
}

semcal_status sc_mechanism_file_write(const char *path, const sc_mechanism_file *file, semcal_error *error)
{
    sc_h5 *h5 = NULL;
    sc_text temporary = {0};
    semcal_status status = sc_text_printf(&temporary, error, "%s.tmp", path);
    if (status == SEMCAL_OK) {
        status = sc_h5_create(&h5, temporary.data, error);
    }
    if (status == SEMCAL_OK) {
        status = write_all(h5, file, error);
        semcal_status closed = sc_h5_close(&h5, status == SEMCAL_OK ? error : NULL);
        status = status == SEMCAL_OK ? closed : status;
    }
    if (status == SEMCAL_OK) {
        status = sc_file_commit(temporary.data, path, error);
    }
    sc_text_free(&temporary);
    return status;
}

static semcal_status length_of(size_t *n, sc_h5 *h5, const char *path, semcal_error *error)
{
    sc_h5_shape shape;
    semcal_status status = sc_h5_get_shape(&shape, h5, path, error);
    *n = status == SEMCAL_OK ? (size_t)shape.length[0] : 0;
    return status;
}

static semcal_status read_field(sc_mechanism_file *f, sc_h5 *h5, const field *at, semcal_error *error)
{
    size_t n, size, width = at->real ? sizeof(double) : sizeof(int32_t), there;
    char *rows = rows_of(f, at, &n, &size), *values = NULL;
    semcal_status status = length_of(&there, h5, at->path, error);
    if (status == SEMCAL_OK && there != n) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: %zu rows where %zu are expected", at->path, there, n);
    }
    if (status == SEMCAL_OK) {
        values = sc_memory_alloc(n, width, error);
        status = values == NULL ? SEMCAL_E_MEMORY
                                : sc_h5_read(h5, at->path, at->real ? SC_H5_F64 : SC_H5_I32, NULL, NULL, values, error);
    }
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        memcpy(rows + i * size + at->offset, values + i * width, width);
    }
    free(values);
    return status;
}

static semcal_status allocate(sc_mechanism_file *f, sc_h5 *h5, semcal_error *error)
{
    semcal_status status = length_of(&f->n_visits, h5, "visit_question", error);
    if (status == SEMCAL_OK) {
        status = length_of(&f->n_points, h5, "point_question", error);
    }
    size_t n_responses = 0;
    if (status == SEMCAL_OK) {
        status = length_of(&n_responses, h5, "response_point", error);
    }
    if (status == SEMCAL_OK) {
        f->visits = sc_memory_alloc(f->n_visits, sizeof *f->visits, error);
        f->points = sc_memory_alloc(f->n_points, sizeof *f->points, error);
        f->responses = sc_memory_alloc(n_responses, sizeof *f->responses, error);
        f->n_responses = f->responses != NULL ? n_responses : 0;
        status = f->visits && f->points && f->responses ? SEMCAL_OK : SEMCAL_E_MEMORY;
    }
    return status;
}

static semcal_status check_rows(const sc_mechanism_file *f, semcal_error *error)
{
    bool good = f->n_positions >= 1 && f->n_forks >= 2;
    for (size_t i = 0; i < f->n_visits && good; i++) {
        good = f->visits[i].point >= -1 && f->visits[i].point < (int64_t)f->n_points && f->visits[i].question >= 0;
    }
    for (size_t i = 0; i < f->n_points && good; i++) {
        good = f->points[i].question >= 0;
    }
    for (size_t i = 0; i < f->n_responses && good; i++) {
        good = f->responses[i].point >= 0 && (size_t)f->responses[i].point < f->n_points;
    }
    return good ? SEMCAL_OK : sc_error_set(error, SEMCAL_E_DATA, "a row refers to nothing; the file is damaged");
}

semcal_status sc_mechanism_file_read(sc_mechanism_file *f, const char *path, semcal_error *error)
{
    *f = (sc_mechanism_file){0};
    sc_h5 *h5 = NULL;
    char **texts = NULL;
    semcal_status status = sc_h5_open(&h5, path, false, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    status = sc_h5_get_text(&f->settings, h5, "", "settings", error);
    if (status == SEMCAL_OK) {
        status = sc_h5_get_int(&f->n_positions, h5, "", "positions", error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_get_int(&f->n_forks, h5, "", "forks", error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_get_int(&f->max_tokens, h5, "", "max_tokens", error);
    }
    if (status == SEMCAL_OK) {
        status = allocate(f, h5, error);
    }
    for (size_t i = 0; i < N_FIELDS && status == SEMCAL_OK; i++) {
        status = read_field(f, h5, &fields[i], error);
    }
    if (status == SEMCAL_OK) {
        texts = sc_memory_alloc(f->n_responses, sizeof *texts, error);
        status =
            texts == NULL ? SEMCAL_E_MEMORY : sc_h5_read(h5, "response_text", SC_H5_TEXT, NULL, NULL, texts, error);
    }
    for (size_t i = 0; i < f->n_responses && status == SEMCAL_OK; i++) {
        f->responses[i].text = texts[i];
    }
    if (status == SEMCAL_OK) {
        status = check_rows(f, error);
    }
    free(texts);
    semcal_status closed = sc_h5_close(&h5, status == SEMCAL_OK ? error : NULL);
    status = status == SEMCAL_OK ? closed : status;
    if (status != SEMCAL_OK) {
        sc_error_where(error, "%s", path);
        sc_mechanism_file_free(f);
    }
    return status;
}

void sc_mechanism_file_free(sc_mechanism_file *f)
{
    for (size_t i = 0; f->responses != NULL && i < f->n_responses; i++) {
        free(f->responses[i].text);
    }
    free(f->settings);
    free(f->visits);
    free(f->points);
    free(f->responses);
    *f = (sc_mechanism_file){0};
}

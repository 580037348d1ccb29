/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a collapse adds to a cell file. /collapse/<name>/ holds every collapse; the active one stands at root level,
 * too, where xarray looks. Root level has the list of its columns in `collapse_columns`.
 */
#include "experiment/store_products.h"
#include "base/file.h"
#include "statistics/estimators.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const sc_products_variable sc_products_variables[] = {
    {"draw_class", "row of class that the draw's answer belongs to", "", SC_H5_I32, ON_DRAW, true, true,
     offsetof(sc_store_products, draw_class)},
    {"mode_class", "row of the class with most draws, -1 when there is none", "", SC_H5_I32, ON_QUESTION, true, true,
     offsetof(sc_store_products, mode_class)},
    {"class_label", "what the answers of the class have in common", "", SC_H5_TEXT, ON_CLASS, false, false,
     offsetof(sc_store_products, class_label)},
    {"class_count", "draws in the class", "1", SC_H5_I32, ON_CLASS, false, false,
     offsetof(sc_store_products, class_count)},
    {"class_mass", "probability of the class: mass found, normalised over the classes found", "1", SC_H5_F64, ON_CLASS,
     false, false, offsetof(sc_store_products, class_mass)},
    {"class_mass_lower", "certain lower bound of the probability of the class", "1", SC_H5_F64, ON_CLASS, false, true,
     offsetof(sc_store_products, class_mass_lower)},
    {"class_mass_upper", "certain upper bound of the probability of the class", "1", SC_H5_F64, ON_CLASS, false, true,
     offsetof(sc_store_products, class_mass_upper)},
    {"class_correct", "1 when a reference answer is in the class", "1", SC_H5_U8, ON_CLASS, false, false,
     offsetof(sc_store_products, class_correct)},
    {"response_class", "row of class that the enumerated response belongs to", "", SC_H5_I32, ON_RESPONSE, true, true,
     offsetof(sc_store_products, response_class)},
    {"draw_short_answer", "what the judge named as the short answer of the response, empty where it was not asked", "",
     SC_H5_TEXT, ON_DRAW, false, true, offsetof(sc_store_products, draw_short_answer)},
    {"response_short_answer", "what the judge named as the short answer of the enumerated response", "", SC_H5_TEXT,
     ON_RESPONSE, false, true, offsetof(sc_store_products, response_short_answer)},
};
const size_t sc_products_n_variables = sizeof sc_products_variables / sizeof *sc_products_variables;

size_t sc_products_n_rows(const sc_store_products *p, const sc_store_cell *cell, sc_products_rows rows)
{
    switch (rows) {
    case ON_QUESTION:
        return p->n_questions;
    case ON_DRAW:
        return p->n_questions * p->n_draws;
    case ON_CLASS:
        return p->n_questions > 0 ? p->first_class[p->n_questions] : 0;
    case ON_RESPONSE:
        return cell->sizes.total[SC_ROWS_RESPONSE];
    }
    return 0;
}

void *sc_products_values(const sc_store_products *p, const sc_products_variable *v)
{
    return *(void *const *)(const void *)((const char *)p + v->offset);
}

size_t sc_products_first_row(const sc_store_products *p, const sc_store_cell *cell, sc_products_rows rows, size_t q)
{
    switch (rows) {
    case ON_QUESTION:
        return q;
    case ON_DRAW:
        return q * p->n_draws;
    case ON_CLASS:
        return p->first_class[q];
    case ON_RESPONSE:
        return cell->first[SC_ROWS_RESPONSE][q];
    }
    return 0;
}

semcal_status sc_products_shift(int32_t *out, const int32_t *in, const sc_store_products *p, const sc_store_cell *cell,
                                const sc_products_variable *v, const sc_products_window *window, int sign,
                                semcal_error *error)
{
    for (size_t q = window->first; q < window->first + window->n; q++) {
        const int64_t first = (int64_t)p->first_class[q], k = (int64_t)p->first_class[q + 1] - first;
        const size_t begin = sc_products_first_row(p, cell, v->rows, q),
                     end = sc_products_first_row(p, cell, v->rows, q + 1);
        for (size_t i = begin - window->row; i < end - window->row; i++) {
            int64_t within = in[i] < 0 ? -1 : sign > 0 ? in[i] : in[i] - first;
            if (within < -1 || within >= k) {
                return sc_error_set(error, SEMCAL_E_DATA, "%s: %s: class %d of question %zu, which has %lld",
                                    cell->path, v->name, (int)in[i], q, (long long)k);
            }
            out[i] = within < 0 ? -1 : sign > 0 ? (int32_t)(within + first) : (int32_t)within;
        }
    }
    return SEMCAL_OK;
}

sc_h5_type sc_products_column_type(sc_store_kind kind)
{
    return kind == SC_STORE_REAL ? SC_H5_F64 : kind == SC_STORE_INT ? SC_H5_I32 : SC_H5_TEXT;
}

const void *sc_products_column_values(const sc_store_column *column)
{
    return column->kind == SC_STORE_REAL  ? (const void *)column->reals
           : column->kind == SC_STORE_INT ? (const void *)column->ints
                                          : (const void *)column->texts;
}

/* ---- reading ---- */

void sc_store_products_free(sc_store_products *p)
{
    size_t k = p->first_class != NULL ? p->first_class[p->n_questions] : 0;
    if (p->class_label != NULL) {
        sc_file_list_free(p->class_label, k);
    }
    if (p->draw_short_answer != NULL) {
        sc_file_list_free(p->draw_short_answer, p->n_questions * p->n_draws);
    }
    if (p->response_short_answer != NULL) {
        sc_file_list_free(p->response_short_answer, p->n_responses);
    }
    for (size_t i = 0; i < sc_products_n_variables; i++) {
        if (sc_products_variables[i].type != SC_H5_TEXT) {
            free(sc_products_values(p, &sc_products_variables[i]));
        }
    }
    for (size_t i = 0; p->columns != NULL && i < p->n_columns; i++) {
        sc_store_column *c = &p->columns[i];
        free(c->name);
        free(c->long_name);
        free(c->units);
        free(c->reals);
        free(c->ints);
        if (c->texts != NULL) {
            sc_file_list_free(c->texts, p->n_questions);
        }
    }
    for (size_t i = 0; p->attributes != NULL && i < p->n_attributes; i++) {
        free((void *)(uintptr_t)p->attributes[i].name);
        free((void *)(uintptr_t)p->attributes[i].text);
    }
    free(p->columns);
    free(p->attributes);
    free(p->first_class);
    free(p->collapse);
    *p = (sc_store_products){0};
}

static semcal_status read_first_class(sc_store_products *p, sc_store_cell *cell, const char *folder,
                                      semcal_error *error)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s%s", folder, SC_PRODUCTS_OWNER);
    p->first_class = sc_memory_alloc(p->n_questions + 1, sizeof *p->first_class, error);
    if (p->first_class == NULL) {
        return SEMCAL_E_MEMORY;
    }
    if (!sc_h5_exists(cell->file, path)) {
        return SEMCAL_OK;
    }
    sc_h5_shape shape;
    semcal_status status = sc_h5_get_shape(&shape, cell->file, path, error);
    int64_t *owner = status == SEMCAL_OK ? sc_memory_alloc(shape.length[0], sizeof *owner, error) : NULL;
    if (owner == NULL) {
        return status != SEMCAL_OK ? status : SEMCAL_E_MEMORY;
    }
    status = sc_h5_read(cell->file, path, SC_H5_I64, NULL, NULL, owner, error);
    for (size_t i = 0; i < shape.length[0] && status == SEMCAL_OK; i++) {
        if (owner[i] < 0 || (uint64_t)owner[i] >= p->n_questions || (i > 0 && owner[i] < owner[i - 1])) {
            status = sc_error_set(error, SEMCAL_E_DATA, "%s: %s is not sorted by question", cell->path, path);
        } else {
            p->first_class[owner[i] + 1] = i + 1;
        }
    }
    for (size_t q = 0; q < p->n_questions; q++) {
        if (p->first_class[q + 1] < p->first_class[q]) {
            p->first_class[q + 1] = p->first_class[q];
        }
    }
    free(owner);
    return status;
}

static semcal_status read_fixed(sc_store_products *p, sc_store_cell *cell, const char *folder,
                                const sc_products_variable *v, semcal_error *error)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s%s", folder, v->name);
    size_t n = sc_products_n_rows(p, cell, v->rows);
    if (!sc_h5_exists(cell->file, path)) {
        return v->optional || n == 0 ? SEMCAL_OK : sc_error_set(error, SEMCAL_E_DATA, "%s: no '%s'", cell->path, path);
    }
    void *values = sc_memory_alloc(n, sc_store_element_size(v->type), error);
    if (values == NULL) {
        return SEMCAL_E_MEMORY;
    }
    memcpy((char *)p + v->offset, &values, sizeof values);
    uint64_t count[2] = {v->rows == ON_DRAW ? p->n_questions : n, p->n_draws};
    semcal_status status = sc_h5_read(cell->file, path, v->type, NULL, count, values, error);
    const sc_products_window all = {0, p->n_questions, 0};
    return status == SEMCAL_OK && v->shifted ? sc_products_shift(values, values, p, cell, v, &all, -1, error) : status;
}

static semcal_status read_column(sc_store_column *c, const sc_store_products *p, sc_store_cell *cell,
                                 const char *folder, const char *name, semcal_error *error)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s%s", folder, name);
    sc_h5_shape shape = {.type = SC_H5_F64};
    c->name = sc_memory_strdup(name, error);
    semcal_status status = c->name == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK && p->n_questions > 0) {
        status = sc_h5_get_shape(&shape, cell->file, path, error);
        if (status == SEMCAL_OK) {
            status = sc_h5_get_text(&c->long_name, cell->file, path, "long_name", error);
        }
        if (status == SEMCAL_OK) {
            status = sc_h5_get_text(&c->units, cell->file, path, "units", error);
        }
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    c->kind = shape.type == SC_H5_TEXT ? SC_STORE_TEXT : shape.type == SC_H5_F64 ? SC_STORE_REAL : SC_STORE_INT;
    void *values = sc_memory_alloc(p->n_questions, sc_store_element_size(sc_products_column_type(c->kind)), error);
    if (values == NULL) {
        return SEMCAL_E_MEMORY;
    }
    c->reals = c->kind == SC_STORE_REAL ? values : NULL;
    c->ints = c->kind == SC_STORE_INT ? values : NULL;
    c->texts = c->kind == SC_STORE_TEXT ? values : NULL;
    uint64_t n = p->n_questions;
    return n > 0 ? sc_h5_read(cell->file, path, sc_products_column_type(c->kind), NULL, &n, values, error) : SEMCAL_OK;
}

static semcal_status read_columns(sc_store_products *p, sc_store_cell *cell, const char *folder, const char *group,
                                  semcal_error *error)
{
    char **names;
    size_t n;
    semcal_status status = sc_h5_get_texts(&names, &n, cell->file, group, "collapse_columns", error);
    if (status == SEMCAL_OK) {
        p->columns = sc_memory_alloc(n, sizeof *p->columns, error);
        status = p->columns != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        p->n_columns++;
        status = read_column(&p->columns[i], p, cell, folder, names[i], error);
    }
    sc_file_list_free(names, n);
    return status;
}

static semcal_status read_options(sc_store_products *p, sc_store_cell *cell, const char *group, semcal_error *error)
{
    char **names;
    size_t n;
    semcal_status status = sc_h5_get_texts(&names, &n, cell->file, group, "provenance_attributes", error);
    if (status == SEMCAL_OK) {
        p->attributes = sc_memory_alloc(n, sizeof *p->attributes, error);
        status = p->attributes != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        char *text = NULL;
        status = sc_h5_get_text(&text, cell->file, group, names[i], error);
        p->attributes[p->n_attributes++] = (sc_store_attribute){names[i], text, false};
        names[i] = NULL;
    }
    sc_file_list_free(names, n);
    return status;
}

semcal_status sc_store_read_products_at(sc_store_products *p, sc_store_cell *cell, const char *folder,
                                        const char *collapse, semcal_error *error)
{
    char group[512], hex[65], *stored = NULL;
    *p = (sc_store_products){.n_questions = cell->facts.n_questions,
                             .n_draws = cell->sizes.n_draws,
                             .n_responses = cell->sizes.total[SC_ROWS_RESPONSE]};
    (void)snprintf(group, sizeof group, "%s", folder);
    group[strlen(group) > 0 ? strlen(group) - 1 : 0] = '\0';
    p->collapse = sc_memory_strdup(collapse, error);
    semcal_status status = p->collapse != NULL ? read_first_class(p, cell, folder, error) : SEMCAL_E_MEMORY;
    for (size_t i = 0; i < sc_products_n_variables && status == SEMCAL_OK; i++) {
        status = read_fixed(p, cell, folder, &sc_products_variables[i], error);
    }
    if (status == SEMCAL_OK) {
        status = read_columns(p, cell, folder, group, error);
    }
    if (status == SEMCAL_OK && group[0] != '\0') {
        status = read_options(p, cell, group, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_products_digest_all(hex, p, cell, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_get_text(&stored, cell->file, group, "collapse_sha256", error);
    }
    if (status == SEMCAL_OK && strcmp(stored, hex) != 0) {
        status =
            sc_error_set(error, SEMCAL_E_DATA, "%s: collapse '%s' does not match its digest", cell->path, collapse);
    }
    free(stored);
    if (status != SEMCAL_OK) {
        sc_store_products_free(p);
    }
    return status;
}

semcal_status sc_store_read_products(sc_store_products *products, sc_store_cell *cell, const char *collapse,
                                     semcal_error *error)
{
    *products = (sc_store_products){0};
    if (collapse == NULL && cell->collapse == NULL) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: no collapse was applied yet; run semcal collapse", cell->path);
    }
    collapse = collapse != NULL ? collapse : cell->collapse;
    char folder[512];
    (void)snprintf(folder, sizeof folder, "collapse/%.200s", collapse);
    if (!sc_h5_exists(cell->file, folder)) {
        char **names;
        size_t n;
        sc_text all = {0};
        if (sc_store_collapses(&names, &n, cell, error) == SEMCAL_OK) {
            for (size_t i = 0; i < n; i++) {
                (void)sc_text_printf(&all, error, "%s%s", i > 0 ? ", " : "", names[i]);
            }
            sc_file_list_free(names, n);
        }
        semcal_status status = sc_error_set(error, SEMCAL_E_DATA, "%s: no collapse '%s', has %s", cell->path, collapse,
                                            all.length > 0 ? all.data : "none");
        sc_text_free(&all);
        return status;
    }
    (void)snprintf(folder, sizeof folder, "collapse/%.200s/", collapse);
    return sc_store_read_products_at(products, cell, folder, collapse, error);
}

semcal_status sc_store_collapses(char ***names, size_t *n_names, sc_store_cell *cell, semcal_error *error)
{
    *names = NULL;
    *n_names = 0;
    if (!sc_h5_exists(cell->file, "collapse")) {
        return SEMCAL_OK;
    }
    return sc_h5_list(names, NULL, n_names, cell->file, "collapse", error);
}

semcal_status sc_store_products_sha256(char **sha256, sc_store_cell *cell, const char *collapse, semcal_error *error)
{
    sc_text group = {0};
    semcal_status status = sc_text_printf(&group, error, "collapse/%s", collapse);
    if (status == SEMCAL_OK) {
        status = sc_h5_get_text(sha256, cell->file, group.data, "collapse_sha256", error);
    }
    sc_text_free(&group);
    return status;
}

semcal_status sc_store_collapse_attribute(char **text, sc_store_cell *cell, const char *collapse, const char *name,
                                          semcal_error *error)
{
    sc_text group = {0};
    *text = NULL;
    semcal_status status = sc_text_printf(&group, error, "collapse/%s", collapse);
    if (status == SEMCAL_OK && sc_h5_has(cell->file, group.data, name)) {
        status = sc_h5_get_text(text, cell->file, group.data, name, error);
    }
    sc_text_free(&group);
    return status;
}

semcal_status sc_store_collapse_splits(unsigned *splits, sc_store_cell *cell, const char *collapse, semcal_error *error)
{
    char *text = NULL;
    *splits = SC_ESTIMATORS_SPLITS;
    semcal_status status = sc_store_collapse_attribute(&text, cell, collapse, SC_STORE_SPLITS, error);
    if (text != NULL) {
        *splits = (unsigned)strtoul(text, NULL, 10);
    }
    free(text);
    return status;
}

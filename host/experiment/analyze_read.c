/* SPDX-License-Identifier: Apache-2.0 */
/* The analysis that a run already has: whether it is of the files that are there, and its numbers. */
#include "experiment/analyze.h"

#include "base/file.h"
#include "base/memory.h"
#include "experiment/run_folder.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FORMAT_VERSION = 1 };

static semcal_status check_format(sc_h5 *file, const char *path, semcal_error *error)
{
    char *format = NULL;
    int64_t version = 0;
    semcal_status status = sc_h5_get_text(&format, file, "", "format", NULL);
    if (status != SEMCAL_OK || strcmp(format, "semcal-analysis") != 0) {
        status =
            sc_error_set(error, SEMCAL_E_DATA, "%s: not an analysis of semcal; delete it to have it made again", path);
    } else {
        status = sc_h5_get_int(&version, file, "", "format_version", error);
    }
    if (status == SEMCAL_OK && version > FORMAT_VERSION) {
        status = sc_error_set(error, SEMCAL_E_DATA,
                              "%s: format version %" PRId64 ", this program reads %d; use the newer semcal", path,
                              version, (int)FORMAT_VERSION);
    }
    free(format);
    return status;
}

semcal_status sc_analysis_check_format(const char *path, semcal_error *error)
{
    sc_h5 *file = NULL;
    if (!sc_file_exists(path)) {
        return SEMCAL_OK;
    }
    semcal_status status = sc_h5_open(&file, path, false, error);
    if (status == SEMCAL_OK) {
        status = check_format(file, path, error);
    }
    (void)sc_h5_close(&file, NULL);
    return status;
}

/* ---- what it is made of ---- */

static semcal_status put_facts(sc_text *out, const char *folder, const char *name, semcal_error *error)
{
    char *path = sc_file_join(folder, name, error);
    if (path == NULL) {
        return SEMCAL_E_MEMORY;
    }
    struct stat facts;
    semcal_status status = SEMCAL_OK;
    if (stat(path, &facts) == 0) {
        status = sc_text_printf(out, error, "%s %lld %lld.%09ld\n", name, (long long)facts.st_size,
                                (long long)facts.st_mtim.tv_sec, facts.st_mtim.tv_nsec);
    }
    free(path);
    return status;
}

/* The files of a cell's mechanism: of every collapse. */
static semcal_status put_mechanisms(sc_text *out, const char *folder, semcal_error *error)
{
    char *inside = sc_file_join(folder, "mechanism", error), **names = NULL;
    size_t n = 0;
    semcal_status status = inside == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK && sc_file_is_folder(inside)) {
        status = sc_file_list(&names, &n, inside, ".h5", error);
    }
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        status = put_facts(out, inside, names[i], error);
    }
    sc_file_list_free(names, n);
    free(inside);
    return status;
}

semcal_status sc_analysis_inputs(char hex[65], const char *folder, const sc_plan *plan, semcal_error *error)
{
    sc_text facts = {0};
    char config[65];
    char *resolved = sc_file_join(folder, "resolved.yaml", error);
    semcal_status status = resolved == NULL ? SEMCAL_E_MEMORY : sc_file_sha256(config, resolved, error);
    if (status == SEMCAL_OK) {
        status = sc_text_printf(&facts, error, "%s %s\n%s\n", semcal_version(), semcal_commit(), config);
    }
    for (size_t i = 0; i < plan->n_cells && status == SEMCAL_OK; i++) {
        sc_text name = {0};
        status = sc_text_printf(&name, error, "cells/%s.h5", plan->cells[i].name);
        if (status == SEMCAL_OK) {
            status = put_facts(&facts, folder, name.data, error);
        }
        sc_text_free(&name);
    }
    if (status == SEMCAL_OK) {
        status = put_mechanisms(&facts, folder, error);
    }
    if (status == SEMCAL_OK) {
        sc_sha256_hex(hex, facts.data, facts.length);
    }
    sc_text_free(&facts);
    free(resolved);
    return status;
}

/* ---- reading ---- */

static semcal_status read_doubles(double *values, sc_h5 *file, const char *name, size_t n, semcal_error *error)
{
    sc_h5_shape shape;
    semcal_status status = sc_h5_get_shape(&shape, file, name, error);
    size_t length = 1;
    for (size_t i = 0; status == SEMCAL_OK && i < shape.n_dims; i++) {
        length *= (size_t)shape.length[i];
    }
    if (status == SEMCAL_OK && length != n) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: %s: %zu numbers where %zu belong; run 'semcal analyze' again",
                              sc_h5_path(file), name, length, n);
    }
    return status == SEMCAL_OK ? sc_h5_read(file, name, SC_H5_F64, NULL, NULL, values, error) : status;
}

static semcal_status read_texts(sc_analysis *analysis, sc_h5 *file, semcal_error *error)
{
    char **column = sc_memory_alloc(analysis->n_cells, sizeof *column, error);
    semcal_status status = column == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t i = 0; i < SC_ANALYSIS_TEXTS && status == SEMCAL_OK; i++) {
        status = sc_h5_read(file, sc_analysis_texts[i].name, SC_H5_TEXT, NULL, NULL, column, error);
        for (size_t k = 0; k < analysis->n_cells && status == SEMCAL_OK; k++) {
            memcpy((char *)&analysis->cells[k] + sc_analysis_texts[i].offset, &column[k], sizeof *column);
        }
    }
    free(column);
    return status;
}

static semcal_status read_numbers(sc_analysis *analysis, sc_h5 *file, semcal_error *error)
{
    const size_t n = analysis->n_cells, n_rows = SC_ANALYSIS_N_ESTIMATORS, n_points = SC_ANALYSIS_CURVE;
    double *values = sc_memory_alloc(n * n_rows * n_points, sizeof *values, error);
    semcal_status status = values == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t f = 0; f < sc_analysis_n_fields && status == SEMCAL_OK; f++) {
        const sc_analysis_field *field = &sc_analysis_fields[f];
        status = read_doubles(values, file, field->name, field->of_cell != NULL ? n : n * n_rows, error);
        for (size_t k = 0; k < n && status == SEMCAL_OK; k++) {
            if (field->of_cell != NULL) {
                field->restore_cell(&analysis->cells[k], values[k]);
            }
            for (size_t e = 0; e < n_rows && field->of_row != NULL; e++) {
                field->restore_row(&analysis->cells[k].rows[e], values[k * n_rows + e]);
            }
        }
    }
    for (size_t which = 0; which < SC_ANALYSIS_CURVES && status == SEMCAL_OK; which++) {
        const sc_analysis_part *part = &sc_analysis_curves[which];
        status = read_doubles(values, file, part->name, n * n_rows * n_points, error);
        for (size_t i = 0; i < n * n_rows && status == SEMCAL_OK; i++) {
            memcpy((char *)&analysis->cells[i / n_rows].rows[i % n_rows] + part->offset, values + i * n_points,
                   n_points * sizeof *values);
        }
    }
    free(values);
    return status;
}

/* Rows of cells without a mechanism, and places beyond a cell's last, are NaN. */
static semcal_status make_places(sc_analysis_mechanism *m, const double *at, size_t width, semcal_error *error)
{
    while (m->n_places < width && isfinite(at[m->n_places])) {
        m->n_places++;
    }
    if (m->n_places > 0) {
        m->by_fraction = sc_memory_alloc(m->n_places, sizeof *m->by_fraction, error);
        m->by_token = sc_memory_alloc(m->n_places, sizeof *m->by_token, error);
        return m->by_fraction == NULL || m->by_token == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    return SEMCAL_OK;
}

static semcal_status read_mechanism(sc_analysis *analysis, sc_h5 *file, semcal_error *error)
{
    const size_t n = analysis->n_cells;
    sc_h5_shape shape;
    if (!sc_h5_exists(file, sc_analysis_places[0].name)) {
        return SEMCAL_OK;
    }
    semcal_status status = sc_h5_get_shape(&shape, file, sc_analysis_places[0].name, error);
    const size_t width = status == SEMCAL_OK ? (size_t)shape.length[1] : 0;
    double *values = sc_memory_alloc(n * width + 3 * n, sizeof *values, error), *facts = values + n * width;
    status = status == SEMCAL_OK && values == NULL ? SEMCAL_E_MEMORY : status;
    static const char *const names[] = {"mechanism_questions", "mechanism_start", "mechanism_exact"};
    for (size_t i = 0; i < 3 && status == SEMCAL_OK; i++) {
        status = read_doubles(facts + i * n, file, names[i], n, error);
    }
    for (size_t v = 0; v < SC_ANALYSIS_PLACES && status == SEMCAL_OK; v++) {
        const sc_analysis_part *part = &sc_analysis_places[v];
        status = read_doubles(values, file, part->name, n * width, error);
        for (size_t k = 0; k < n && status == SEMCAL_OK; k++) {
            sc_analysis_mechanism *m = &analysis->cells[k].mechanism;
            if (v == 0) {
                m->n_questions = (size_t)facts[k];
                m->start = facts[n + k];
                m->exact = facts[2 * n + k];
                status = make_places(m, values + k * width, width, error);
            }
            for (size_t i = 0; i < m->n_places && status == SEMCAL_OK; i++) {
                sc_analysis_place *place = part->by_token ? &m->by_token[i] : &m->by_fraction[i];
                memcpy((char *)place + part->offset, &values[k * width + i], sizeof *values);
            }
        }
    }
    free(values);
    return status;
}

static semcal_status read_file(sc_analysis *analysis, sc_h5 *file, semcal_error *error)
{
    sc_h5_shape shape;
    semcal_status status = SEMCAL_OK;
    if (sc_h5_exists(file, sc_analysis_texts[0].name)) {
        status = sc_h5_get_shape(&shape, file, sc_analysis_texts[0].name, error);
        if (status == SEMCAL_OK) {
            analysis->cells = sc_memory_alloc((size_t)shape.length[0], sizeof *analysis->cells, error);
            status = analysis->cells == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
        }
        if (status == SEMCAL_OK) {
            analysis->n_cells = (size_t)shape.length[0];
            status = read_texts(analysis, file, error);
        }
        if (status == SEMCAL_OK) {
            status = read_numbers(analysis, file, error);
        }
        if (status == SEMCAL_OK) {
            status = read_mechanism(analysis, file, error);
        }
    }
    return status == SEMCAL_OK ? sc_analysis_text_read(&analysis->texts, &analysis->n_texts, file, error) : status;
}

semcal_status sc_analysis_read(sc_analysis *analysis, const char *path, semcal_error *error)
{
    *analysis = (sc_analysis){0};
    sc_h5 *file = NULL;
    semcal_status status = sc_h5_open(&file, path, false, error);
    if (status == SEMCAL_OK) {
        status = check_format(file, path, error);
    }
    if (status == SEMCAL_OK) {
        status = read_file(analysis, file, error);
    }
    (void)sc_h5_close(&file, NULL);
    if (status != SEMCAL_OK) {
        sc_analysis_free(analysis);
    }
    return status;
}

/* ---- the stored one, or a new one ---- */

/* Whether the file is of these inputs and of the collapse wanted (NULL: of any). */
static bool is_fresh(const char *path, const char *inputs, const char *wanted)
{
    sc_h5 *file = NULL;
    char *of = NULL, *collapse = NULL;
    bool fresh = false;
    if (sc_file_exists(path) && sc_h5_open(&file, path, false, NULL) == SEMCAL_OK) {
        fresh = sc_h5_get_text(&of, file, "", "inputs_sha256", NULL) == SEMCAL_OK && strcmp(of, inputs) == 0 &&
                sc_h5_get_text(&collapse, file, "", "collapse_wanted", NULL) == SEMCAL_OK &&
                (wanted == NULL || strcmp(collapse, wanted) == 0);
    }
    (void)sc_h5_close(&file, NULL);
    free(of);
    free(collapse);
    return fresh;
}

/* Cells of the plan that have no file: an analysis of all files there lacks just these. */
static semcal_status list_missing(sc_analysis *analysis, const char *folder, const sc_plan *plan, semcal_error *error)
{
    const sc_run_folder run = {.path = (char *)(uintptr_t)folder, .lock = -1};
    analysis->missing = sc_memory_alloc(plan->n_cells, sizeof *analysis->missing, error);
    semcal_status status = analysis->missing == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t i = 0; i < plan->n_cells && status == SEMCAL_OK; i++) {
        char *path = sc_run_folder_cell(&run, plan->cells[i].name, error);
        if (path == NULL) {
            status = SEMCAL_E_MEMORY;
        } else if (!sc_file_exists(path)) {
            char *name = sc_memory_strdup(plan->cells[i].name, error);
            status = name == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
            analysis->missing[analysis->n_missing] = name;
            analysis->n_missing += status == SEMCAL_OK;
        }
        free(path);
    }
    return status;
}

semcal_status sc_analysis_get(sc_analysis *analysis, const char *folder, bool any, const sc_analyze_options *options,
                              semcal_error *error)
{
    *analysis = (sc_analysis){0};
    sc_config *config = NULL;
    sc_plan plan = {0};
    char inputs[65];
    const char *wanted = any ? NULL : options != NULL && options->collapse != NULL ? options->collapse : "";
    char *path = sc_file_join(folder, "analysis.h5", error);
    semcal_status status = path == NULL ? SEMCAL_E_MEMORY : sc_run_folder_config(&config, folder, error);
    if (status == SEMCAL_OK) {
        status = sc_analysis_check_format(path, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_plan_make(&plan, config, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_analysis_inputs(inputs, folder, &plan, error);
    }
    if (status == SEMCAL_OK && is_fresh(path, inputs, wanted)) {
        status = sc_analysis_read(analysis, path, error);
        if (status == SEMCAL_OK) {
            status = list_missing(analysis, folder, &plan, error);
        }
        if (status != SEMCAL_OK) {
            sc_analysis_free(analysis);
        }
    } else if (status == SEMCAL_OK) {
        status = sc_analyze(analysis, folder, options, error);
    }
    free(path);
    sc_plan_free(&plan);
    sc_config_free(config);
    return status;
}

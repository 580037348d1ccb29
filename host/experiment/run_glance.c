/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/run_glance.h"

#include "base/file.h"
#include "base/memory.h"
#include "formats/h5.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
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

semcal_status sc_glance_check_format(const char *path, semcal_error *error)
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

/* ---- age ---- */

static double age_of(const char *folder, const char *name)
{
    char *path = sc_file_join(folder, name, NULL);
    struct stat facts;
    double at = path != NULL && stat(path, &facts) == 0
                    ? (double)facts.st_mtim.tv_sec + 1e-9 * (double)facts.st_mtim.tv_nsec
                    : -INFINITY;
    free(path);
    return at;
}

static bool is_fresh(const char *run)
{
    double analysis = age_of(run, "analysis.h5");
    char *cells = sc_file_join(run, "cells", NULL), **names = NULL;
    size_t n = 0;
    bool fresh = analysis > age_of(run, "resolved.yaml");
    if (cells != NULL && sc_file_list(&names, &n, cells, ".h5", NULL) == SEMCAL_OK) {
        for (size_t i = 0; i < n; i++) {
            fresh = fresh && analysis > age_of(cells, names[i]);
        }
    }
    sc_file_list_free(names, n);
    free(cells);
    return fresh && isfinite(analysis);
}

/* ---- reading ---- */

static semcal_status read_texts(sc_glance *glance, sc_h5 *file, const char *name, size_t offset, semcal_error *error)
{
    char **texts = sc_memory_alloc(glance->n_cells, sizeof *texts, error);
    semcal_status status =
        texts == NULL ? SEMCAL_E_MEMORY : sc_h5_read(file, name, SC_H5_TEXT, NULL, NULL, texts, error);
    for (size_t i = 0; i < glance->n_cells && status == SEMCAL_OK; i++) {
        memcpy((char *)&glance->cells[i] + offset, &texts[i], sizeof texts[i]);
    }
    free(texts);
    return status;
}

/* Row of an estimator in the file, -1: it is not there. */
static semcal_status find_estimator(int *row, sc_h5 *file, int estimator, semcal_error *error)
{
    sc_h5_shape shape;
    char **names = NULL;
    semcal_status status = sc_h5_get_shape(&shape, file, "estimator_name", error);
    *row = -1;
    if (status == SEMCAL_OK) {
        names = sc_memory_alloc((size_t)shape.length[0], sizeof *names, error);
        status =
            names == NULL ? SEMCAL_E_MEMORY : sc_h5_read(file, "estimator_name", SC_H5_TEXT, NULL, NULL, names, error);
    }
    for (size_t i = 0; status == SEMCAL_OK && i < (size_t)shape.length[0]; i++) {
        *row = strcmp(names[i], sc_analysis_estimator_name(estimator)) == 0 ? (int)i : *row;
        free(names[i]);
    }
    free(names);
    return status;
}

/* A number of each cell; row `estimator` of those that have estimators, -1: of the cell itself. NaN: not there. */
static semcal_status read_numbers(sc_glance *glance, sc_h5 *file, const char *name, int estimator, size_t offset,
                                  semcal_error *error)
{
    for (size_t i = 0; i < glance->n_cells; i++) {
        const uint64_t start[] = {i, estimator < 0 ? 0 : (uint64_t)estimator}, count[] = {1, 1};
        double value = NAN;
        semcal_status status =
            sc_h5_exists(file, name) ? sc_h5_read(file, name, SC_H5_F64, start, count, &value, error) : SEMCAL_OK;
        if (status != SEMCAL_OK) {
            return status;
        }
        memcpy((char *)&glance->cells[i] + offset, &value, sizeof value);
    }
    return SEMCAL_OK;
}

static semcal_status read_curve(sc_glance *glance, sc_h5 *file, const char *name, int estimator, size_t offset,
                                semcal_error *error)
{
    sc_h5_shape shape;
    semcal_status status = sc_h5_get_shape(&shape, file, name, error);
    if (status == SEMCAL_OK && (shape.n_dims != 3 || shape.length[2] != SC_ANALYSIS_CURVE)) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: %s: not a curve of %d points; run 'semcal analyze' again",
                              sc_h5_path(file), name, (int)SC_ANALYSIS_CURVE);
    }
    for (size_t i = 0; i < glance->n_cells && status == SEMCAL_OK; i++) {
        const uint64_t start[] = {i, (uint64_t)estimator, 0}, count[] = {1, 1, SC_ANALYSIS_CURVE};
        status = sc_h5_read(file, name, SC_H5_F64, start, count, (char *)&glance->cells[i] + offset, error);
    }
    return status;
}

static semcal_status read_file(sc_glance *glance, sc_h5 *file, semcal_error *error)
{
    static const struct {
        const char *name;
        int estimator;
        size_t offset;
    } numbers[] = {
        {"n_questions", -1, offsetof(sc_glance_cell, n_questions)},
        {"truncated", -1, offsetof(sc_glance_cell, truncated)},
        {"unparsed", -1, offsetof(sc_glance_cell, unparsed)},
        {"draws_per_forward", -1, offsetof(sc_glance_cell, draws_per_forward)},
        {"accuracy", SC_ANALYSIS_FREQUENCY, offsetof(sc_glance_cell, accuracy)},
        {"mean_confidence", SC_ANALYSIS_FREQUENCY, offsetof(sc_glance_cell, mean_confidence)},
        {"overconfidence", SC_ANALYSIS_FREQUENCY, offsetof(sc_glance_cell, overconfidence)},
        {"smece", SC_ANALYSIS_FREQUENCY, offsetof(sc_glance_cell, smece)},
        {"smece_low", SC_ANALYSIS_FREQUENCY, offsetof(sc_glance_cell, smece_low)},
        {"smece_high", SC_ANALYSIS_FREQUENCY, offsetof(sc_glance_cell, smece_high)},
        {"smece_sigma", SC_ANALYSIS_FREQUENCY, offsetof(sc_glance_cell, sigma)},
        {"smece_model_floor", SC_ANALYSIS_FREQUENCY, offsetof(sc_glance_cell, floor)},
        {"smece_model_floor_95", SC_ANALYSIS_FREQUENCY, offsetof(sc_glance_cell, floor_95)},
        {"smece", SC_ANALYSIS_SPLIT, offsetof(sc_glance_cell, smece_split)},
    };
    sc_h5_shape shape;
    int rows[SC_ANALYSIS_N_ESTIMATORS];
    semcal_status status = sc_h5_get_shape(&shape, file, "cell_name", error);
    for (int e = 0; e < SC_ANALYSIS_N_ESTIMATORS && status == SEMCAL_OK; e++) {
        status = find_estimator(&rows[e], file, e, error);
    }
    if (status == SEMCAL_OK && rows[SC_ANALYSIS_FREQUENCY] < 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: has no estimator 'frequency'; run 'semcal analyze' again",
                              sc_h5_path(file));
    }
    if (status == SEMCAL_OK) {
        glance->n_cells = (size_t)shape.length[0];
        glance->cells = sc_memory_alloc(glance->n_cells, sizeof *glance->cells, error);
        status = glance->cells == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    if (status == SEMCAL_OK) {
        status = read_texts(glance, file, "cell_name", offsetof(sc_glance_cell, name), error);
    }
    if (status == SEMCAL_OK) {
        status = read_texts(glance, file, "collapse", offsetof(sc_glance_cell, collapse), error);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && status == SEMCAL_OK; i++) {
        const int e = numbers[i].estimator;
        if (e < 0 || rows[e] >= 0) {
            status = read_numbers(glance, file, numbers[i].name, e < 0 ? -1 : rows[e], numbers[i].offset, error);
        }
    }
    if (status == SEMCAL_OK) {
        status = read_curve(glance, file, "curve", rows[SC_ANALYSIS_FREQUENCY], offsetof(sc_glance_cell, curve), error);
    }
    return status == SEMCAL_OK ? read_curve(glance, file, "density", rows[SC_ANALYSIS_FREQUENCY],
                                            offsetof(sc_glance_cell, density), error)
                               : status;
}

semcal_status sc_glance_read(sc_glance *glance, const char *run, semcal_error *error)
{
    *glance = (sc_glance){0};
    sc_h5 *file = NULL;
    char *path = sc_file_join(run, "analysis.h5", error);
    semcal_status status = path == NULL ? SEMCAL_E_MEMORY : sc_glance_check_format(path, error);
    if (status == SEMCAL_OK && !is_fresh(run)) {
        sc_analysis analysis;
        status = sc_analyze(&analysis, run, NULL, error);
        glance->analysed = true;
        if (status == SEMCAL_OK) {
            sc_analysis_free(&analysis);
        }
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_open(&file, path, false, error);
    }
    if (status == SEMCAL_OK) {
        status = read_file(glance, file, error);
    }
    (void)sc_h5_close(&file, NULL);
    free(path);
    if (status != SEMCAL_OK) {
        sc_glance_free(glance);
    }
    return status;
}

void sc_glance_free(sc_glance *glance)
{
    for (size_t i = 0; glance->cells != NULL && i < glance->n_cells; i++) {
        free(glance->cells[i].name);
        free(glance->cells[i].collapse);
    }
    free(glance->cells);
    *glance = (sc_glance){0};
}

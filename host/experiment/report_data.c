/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/report_data.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/numeric.h"
#include "experiment/run_folder.h"
#include "experiment/store.h"
#include "statistics/bootstrap.h"
#include "statistics/group.h"
#include "statistics/smece.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- curves ---- */

/* The width the analysis drew its curve at. */
static double curve_width(const sc_report_cell *cell)
{
    double width = cell->numbers->rows[SC_ANALYSIS_FREQUENCY].calibration.smece_sigma;
    return width > .01 ? width : .01;
}

double sc_report_cell_support(const sc_report_cell *cell, size_t i)
{
    const sc_analysis_row *row = &cell->numbers->rows[SC_ANALYSIS_FREQUENCY];
    return (double)row->calibration.n * row->density[i] * curve_width(cell) * 3.5449077018110318; /* 2 sqrt(pi) */
}

bool sc_report_cell_in_range(const sc_report_cell *cell, size_t i)
{
    double at = (double)i / (SC_ANALYSIS_CURVE - 1), step = .5 / (SC_ANALYSIS_CURVE - 1);
    return at > cell->least - step && at < cell->most + step;
}

typedef struct band {
    sc_groups groups;
    double t[SC_ANALYSIS_CURVE], width;
} band;

static semcal_status band_curve(double *values, const double *times, unsigned thread, void *payload,
                                semcal_error *error)
{
    (void)thread;
    const band *b = payload;
    double density[SC_ANALYSIS_CURVE];
    return sc_smece_curve(values, density, b->t, SC_ANALYSIS_CURVE, b->width, b->groups.c, b->groups.a, times,
                          b->groups.n, error);
}

/* Pointwise percentiles of the replicates that have the point; NaN where most have not. */
static void band_interval(sc_report_cell *cell, size_t i, double *replicates, size_t n)
{
    size_t have = 0;
    for (size_t b = 0; b < n; b++) {
        if (isfinite(replicates[b])) {
            replicates[have++] = replicates[b];
        }
    }
    cell->band_low[i] = cell->band_high[i] = NAN;
    if (have > n / 2) {
        qsort(replicates, have, sizeof *replicates, sc_compare_doubles);
        cell->band_low[i] = sc_quantile_sorted(replicates, have, .025);
        cell->band_high[i] = sc_quantile_sorted(replicates, have, .975);
    }
}

static semcal_status make_band(sc_report_cell *cell, uint64_t seed, size_t n_replicates, semcal_error *error)
{
    band b = {.width = curve_width(cell)};
    double density[SC_ANALYSIS_CURVE], *values = NULL;
    for (size_t i = 0; i < SC_ANALYSIS_CURVE; i++) {
        b.t[i] = (double)i / (SC_ANALYSIS_CURVE - 1);
        cell->band_low[i] = cell->band_high[i] = cell->known_curve[i] = NAN;
    }
    bool known = cell->n > 0;
    cell->least = INFINITY;
    cell->most = -INFINITY;
    for (size_t q = 0; q < cell->n; q++) {
        cell->least = fmin(cell->least, cell->confidence[q]);
        cell->most = fmax(cell->most, cell->confidence[q]);
        known = known && isfinite(cell->known[q]);
    }
    semcal_status status = SEMCAL_OK;
    if (known) {
        status = sc_smece_curve(cell->known_curve, density, b.t, SC_ANALYSIS_CURVE, b.width, cell->confidence,
                                cell->known, NULL, cell->n, error);
    }
    if (status == SEMCAL_OK && n_replicates > 0 && cell->n > 0) {
        const sc_bootstrap_options options = {.seed = seed, .name = cell->numbers->name, .n_replicates = n_replicates};
        status = sc_group_pairs(&b.groups, cell->confidence, cell->correct, cell->n, error);
        if (status == SEMCAL_OK) {
            values = sc_memory_alloc(SC_ANALYSIS_CURVE * n_replicates, sizeof *values, error);
            status = values == NULL ? SEMCAL_E_MEMORY
                                    : sc_bootstrap_run(values, SC_ANALYSIS_CURVE, b.groups.count, b.groups.n, &options,
                                                       band_curve, &b, error);
        }
        for (size_t i = 0; i < SC_ANALYSIS_CURVE && status == SEMCAL_OK; i++) {
            band_interval(cell, i, values + i * n_replicates, n_replicates);
        }
        free(values);
        sc_group_free(&b.groups);
    }
    return status;
}

/* ---- reading ---- */

static semcal_status take_column(double **to, const sc_store_products *p, const char *name, semcal_error *error)
{
    *to = sc_memory_alloc(p->n_questions, sizeof **to, error);
    if (*to == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t q = 0; q < p->n_questions; q++) {
        (*to)[q] = NAN;
    }
    for (size_t i = 0; i < p->n_columns; i++) {
        if (strcmp(p->columns[i].name, name) == 0 && p->columns[i].kind == SC_STORE_REAL) {
            memcpy(*to, p->columns[i].reals, p->n_questions * sizeof **to);
        }
    }
    return SEMCAL_OK;
}

static semcal_status take_index(sc_report_cell *cell, sc_store_cell *file, semcal_error *error)
{
    double *values = NULL;
    cell->index = sc_memory_alloc(cell->n, sizeof *cell->index, error);
    semcal_status status =
        cell->index == NULL ? SEMCAL_E_MEMORY : sc_store_cell_column(&values, file, "question_index", error);
    for (size_t q = 0; q < cell->n && status == SEMCAL_OK; q++) {
        cell->index[q] = (uint64_t)values[q];
    }
    free(values);
    return status;
}

static char *copy_attribute(sc_store_cell *file, const char *name, semcal_error *error)
{
    const char *text = sc_store_cell_attribute(file, name);
    return sc_memory_strdup(text != NULL ? text : "", error);
}

static semcal_status read_columns(sc_report_cell *cell, sc_store_cell *file, semcal_error *error)
{
    sc_store_products products = {0};
    semcal_status status = sc_store_read_products(&products, file, cell->numbers->collapse, error);
    if (status == SEMCAL_OK) {
        cell->n = products.n_questions;
        status = take_column(&cell->confidence, &products, "confidence_frequency", error);
    }
    if (status == SEMCAL_OK) {
        status = take_column(&cell->correct, &products, "correct", error);
    }
    if (status == SEMCAL_OK) {
        status = take_column(&cell->known, &products, "correct_known", error);
    }
    if (status == SEMCAL_OK) {
        status = take_column(&cell->entropy, &products, "semantic_entropy_counts", error);
    }
    if (status == SEMCAL_OK) {
        status = take_index(cell, file, error);
    }
    sc_store_products_free(&products);
    return status;
}

/* The name of a cell without dataset and style, "T1" left out: what tells the rows of a grid apart. */
static char *variant_of(const sc_cell *cell, semcal_error *error)
{
    sc_text text = {0};
    size_t skip = strlen(cell->model->name) + strlen(cell->dataset->name) + strlen(cell->style->name) + 3;
    const char *rest = strlen(cell->name) > skip ? cell->name + skip : "";
    if (strcmp(rest, "T1") == 0) {
        rest = "";
    } else if (strncmp(rest, "T1.", 3) == 0 && rest[3] >= 'A') {
        rest += 3;
    }
    if (sc_text_printf(&text, error, "%s%s%s", cell->model->name, rest[0] != '\0' ? " " : "", rest) != SEMCAL_OK) {
        sc_text_free(&text);
    }
    return text.data;
}

static semcal_status read_cell(sc_report_cell *cell, const sc_report_data *data, const sc_analysis_cell *numbers,
                               const sc_report_options *options, semcal_error *error)
{
    const sc_run_folder folder = {.path = (char *)(uintptr_t)data->run, .lock = -1};
    sc_store_cell *file = NULL;
    cell->numbers = numbers;
    cell->plan = sc_plan_find(&data->state.plan, numbers->name);
    cell->variant = variant_of(cell->plan, error);
    char *path = sc_run_folder_cell(&folder, numbers->name, error);
    semcal_status status = path == NULL || cell->variant == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK) {
        status = sc_store_cell_open(&file, path, error);
    }
    if (status == SEMCAL_OK) {
        cell->device = copy_attribute(file, "device", error);
        const char *bytes = sc_store_cell_attribute(file, "model_weight_bytes");
        cell->weight_bytes = bytes != NULL ? strtod(bytes, NULL) : 0;
        cell->version = copy_attribute(file, "semcal_version", error);
        status = cell->device == NULL || cell->version == NULL ? SEMCAL_E_MEMORY : read_columns(cell, file, error);
    }
    sc_store_cell_close(&file);
    if (status == SEMCAL_OK) {
        status = make_band(cell, (uint64_t)data->state.config->seed, options->n_bootstrap, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_report_worst(cell, path, numbers->collapse, error);
    }
    free(path);
    return status;
}

/* ---- the axes of grids ---- */

static void add_name(const char **names, size_t *n, const char *name)
{
    for (size_t i = 0; i < *n; i++) {
        if (strcmp(names[i], name) == 0) {
            return;
        }
    }
    names[(*n)++] = name;
}

semcal_status sc_report_data_list(sc_report_data *data, semcal_error *error)
{
    data->datasets = sc_memory_alloc(data->n_cells, sizeof *data->datasets, error);
    data->styles = sc_memory_alloc(data->n_cells, sizeof *data->styles, error);
    data->variants = sc_memory_alloc(data->n_cells, sizeof *data->variants, error);
    if (data->datasets == NULL || data->styles == NULL || data->variants == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < data->n_cells; i++) {
        add_name(data->datasets, &data->n_datasets, data->cells[i].numbers->dataset);
        add_name(data->styles, &data->n_styles, data->cells[i].numbers->style);
        add_name(data->variants, &data->n_variants, data->cells[i].variant);
    }
    return SEMCAL_OK;
}

const sc_report_cell *sc_report_data_find(const sc_report_data *data, const char *dataset, const char *style,
                                          const char *variant)
{
    for (size_t i = 0; i < data->n_cells; i++) {
        const sc_report_cell *cell = &data->cells[i];
        if (strcmp(cell->numbers->dataset, dataset) == 0 && strcmp(cell->numbers->style, style) == 0 &&
            strcmp(cell->variant, variant) == 0) {
            return cell;
        }
    }
    return NULL;
}

semcal_status sc_report_data_join(sc_report_data *all, const sc_report_data *data, semcal_error *error)
{
    const sc_report_data *tokens = data->tokens != NULL ? &data->tokens->cells : NULL;
    *all = (sc_report_data){.run = data->run};
    all->n_cells = data->n_cells + (tokens != NULL ? tokens->n_cells : 0);
    all->cells = sc_memory_alloc(all->n_cells, sizeof *all->cells, error);
    if (all->cells == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < all->n_cells; i++) {
        all->cells[i] = i < data->n_cells ? data->cells[i] : tokens->cells[i - data->n_cells];
    }
    return sc_report_data_list(all, error);
}

void sc_report_data_join_free(sc_report_data *all)
{
    free(all->cells);
    free(all->datasets);
    free(all->styles);
    free(all->variants);
    *all = (sc_report_data){0};
}

double sc_report_cell_floor(const sc_analysis_cell *cell)
{
    const sc_analysis_row *row = &cell->rows[SC_ANALYSIS_FREQUENCY];
    return isfinite(row->model_floor.mean) ? row->model_floor.mean : row->calibration.smece_floor;
}

sc_report_verdict sc_report_cell_verdict(const sc_analysis_cell *cell)
{
    const sc_analysis_row *row = &cell->rows[SC_ANALYSIS_FREQUENCY];
    double floor = isfinite(row->model_floor.point_95) ? row->model_floor.point_95 : row->calibration.smece_floor_95;
    if (row->calibration.n == 0 || !isfinite(floor)) {
        return SC_REPORT_UNKNOWN;
    }
    return row->calibration.smece > floor ? SC_REPORT_ABOVE : SC_REPORT_WITHIN;
}

semcal_status sc_report_data_read(sc_report_data *data, const char *run, const sc_report_options *options,
                                  semcal_error *error)
{
    *data = (sc_report_data){.run = run};
    semcal_status status = sc_run_state_read(&data->state, run, error);
    if (status == SEMCAL_OK) {
        const sc_analyze_options analyze = {.sink = options->sink, .payload = options->payload};
        status = sc_analysis_get(&data->analysis, run, false, &analyze, error);
    }
    if (status == SEMCAL_OK) {
        data->cells = sc_memory_alloc(data->analysis.n_cells, sizeof *data->cells, error);
        status = data->cells == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    for (size_t i = 0; status == SEMCAL_OK && i < data->analysis.n_cells; i++) {
        data->n_cells++;
        status = read_cell(&data->cells[i], data, &data->analysis.cells[i], options, error);
        if (status != SEMCAL_OK) {
            sc_error_where(error, "cell %s", data->analysis.cells[i].name);
        }
    }
    if (status == SEMCAL_OK) {
        status = sc_report_data_list(data, error);
    }
    if (status == SEMCAL_OK && data->analysis.n_texts > 0) {
        status = sc_report_tokens_read(data, options, error);
    }
    if (status != SEMCAL_OK) {
        sc_report_data_free(data);
    }
    return status;
}

void sc_report_data_free(sc_report_data *data)
{
    for (size_t i = 0; i < data->n_cells; i++) {
        sc_report_cell *cell = &data->cells[i];
        sc_report_worst_free(cell);
        free(cell->variant);
        free(cell->index);
        free(cell->confidence);
        free(cell->correct);
        free(cell->known);
        free(cell->entropy);
        free(cell->device);
        free(cell->version);
    }
    free(data->cells);
    free(data->datasets);
    free(data->styles);
    free(data->variants);
    sc_report_tokens_free(data);
    sc_analysis_free(&data->analysis);
    sc_run_state_free(&data->state);
    *data = (sc_report_data){0};
}

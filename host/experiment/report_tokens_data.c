/* SPDX-License-Identifier: Apache-2.0 */
/* Text cells in the shape of the others. Bands resample blocks of text, as the analysis does. */
#include "experiment/report_data.h"

#include "base/memory.h"
#include "base/numeric.h"
#include "experiment/run_folder.h"
#include "experiment/text_store.h"
#include "formats/h5.h"
#include "statistics/bootstrap.h"
#include "statistics/smece.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The sums of a cell's top-1 pairs on fewer places: a curve is much wider than these. */
enum { MERGED = 8, PLACES = (SC_PAIR_GRID + MERGED - 1) / MERGED };

typedef struct band {
    size_t B;
    double *sums; /* [B, 3, PLACES] weight, right, confidence */
    double t[SC_TEXT_CURVE], width;
} band;

static size_t put_pairs(double *c, double *a, double *w, const band *b, const double *times)
{
    double sums[3][PLACES] = {{0}};
    for (size_t block = 0; block < b->B; block++) {
        const double *from = b->sums + block * 3 * PLACES;
        for (size_t i = 0; i < 3 && times[block] > 0; i++) {
            for (size_t p = 0; p < PLACES; p++) {
                sums[i][p] += times[block] * from[i * PLACES + p];
            }
        }
    }
    size_t n = 0;
    for (size_t p = 0; p < PLACES; p++) {
        if (sums[0][p] > 0) {
            c[n] = fmin(1, sums[2][p] / sums[0][p]);
            a[n] = fmin(1, sums[1][p] / sums[0][p]);
            w[n++] = sums[0][p];
        }
    }
    return n;
}

static semcal_status band_curve(double *values, const double *times, unsigned thread, void *payload,
                                semcal_error *error)
{
    (void)thread;
    const band *b = payload;
    double c[PLACES], a[PLACES], w[PLACES], density[SC_TEXT_CURVE];
    const size_t n = put_pairs(c, a, w, b, times);
    return sc_smece_curve(values, density, b->t, SC_TEXT_CURVE, b->width, c, a, w, n, error);
}

static semcal_status merge(band *b, const sc_text_file *file, semcal_error *error)
{
    const sc_text_sums *s = &file->sums;
    const double *const from[3] = {s->top_weight, s->top_right, s->top_confidence};
    b->B = file->sizes.n[SC_TEXT_BLOCK];
    b->sums = sc_memory_alloc(b->B * 3 * PLACES, sizeof *b->sums, error);
    for (size_t i = 0; b->sums != NULL && i < b->B * 3; i++) {
        for (size_t g = 0; g < SC_PAIR_GRID; g++) {
            b->sums[i * PLACES + g / MERGED] += from[i % 3][i / 3 * SC_PAIR_GRID + g];
        }
    }
    return b->sums == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
}

/* Pointwise percentiles; NaN where most replicates have no point. */
static void percentiles(sc_report_cell *cell, size_t i, double *replicates, size_t n)
{
    size_t have = 0;
    for (size_t k = 0; k < n; k++) {
        if (isfinite(replicates[k])) {
            replicates[have++] = replicates[k];
        }
    }
    if (have > n / 2) {
        qsort(replicates, have, sizeof *replicates, sc_compare_doubles);
        cell->band_low[i] = sc_quantile_sorted(replicates, have, .025);
        cell->band_high[i] = sc_quantile_sorted(replicates, have, .975);
    }
}

static semcal_status make_band(sc_report_cell *cell, const sc_text_file *file, uint64_t seed, size_t n,
                               semcal_error *error)
{
    band b = {.width = fmax(cell->text->smece, .01)};
    double *values = NULL, c[PLACES], a[PLACES], w[PLACES];
    semcal_status status = merge(&b, file, error);
    for (size_t i = 0; i < SC_TEXT_CURVE; i++) {
        b.t[i] = (double)i / (SC_TEXT_CURVE - 1);
        cell->band_low[i] = cell->band_high[i] = cell->known_curve[i] = NAN;
    }
    if (status == SEMCAL_OK) {
        double *once = sc_memory_alloc(b.B, sizeof *once, error);
        for (size_t i = 0; once != NULL && i < b.B; i++) {
            once[i] = 1;
        }
        const size_t places = once != NULL ? put_pairs(c, a, w, &b, once) : 0;
        cell->least = places > 0 ? c[0] : NAN;
        cell->most = places > 0 ? c[places - 1] : NAN;
        status = once == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
        free(once);
    }
    if (status == SEMCAL_OK && n > 0 && b.B > 1) {
        const sc_bootstrap_options options = {.seed = seed, .name = cell->numbers->name, .n_replicates = n};
        values = sc_memory_alloc(SC_TEXT_CURVE * n, sizeof *values, error);
        status = values == NULL ? SEMCAL_E_MEMORY
                                : sc_bootstrap_run(values, SC_TEXT_CURVE, NULL, b.B, &options, band_curve, &b, error);
        for (size_t i = 0; i < SC_TEXT_CURVE && status == SEMCAL_OK; i++) {
            percentiles(cell, i, values + i * n, n);
        }
    }
    free(values);
    free(b.sums);
    return status;
}

/* ---- shapes ---- */

static const char TOKENS[] = "tokens";

static void make_shape(sc_analysis_cell *shape, const sc_analysis_text *x)
{
    *shape = (sc_analysis_cell){.name = x->name,
                                .model = x->model,
                                .model_kind = x->model_kind,
                                .dataset = x->dataset,
                                .style = (char *)(uintptr_t)TOKENS,
                                .collapse = (char *)(uintptr_t)TOKENS,
                                .temperature = x->temperature,
                                .smece_classwise = x->smece_classwise,
                                .draws_per_forward = NAN,
                                .smece_known = NAN,
                                .n_questions = (size_t)x->n_tokens};
    sc_analysis_row *row = &shape->rows[SC_ANALYSIS_FREQUENCY];
    row->model_floor = (sc_floor){NAN, NAN, NAN};
    row->calibration = (sc_calibration){.n = (size_t)x->n_tokens,
                                        .accuracy = x->accuracy,
                                        .mean_confidence = x->mean_confidence,
                                        .overconfidence = x->overconfidence,
                                        .smece = x->smece,
                                        .smece_sigma = x->smece,
                                        .smece_005 = x->smece_005,
                                        .smece_floor = x->smece_floor,
                                        .smece_floor_95 = x->smece_floor_95,
                                        .log_loss = x->log_loss};
    for (size_t i = 0; i < 2; i++) {
        row->calibration.accuracy_ci[i] = x->accuracy_ci[i];
        row->calibration.overconfidence_ci[i] = x->overconfidence_ci[i];
        row->calibration.smece_ci[i] = x->smece_ci[i];
    }
    memcpy(row->curve, x->curve, sizeof row->curve);
    memcpy(row->density, x->density, sizeof row->density);
}

/* The model, and what else tells text cells of one text apart: "base", "base T0.5". */
static char *variant_of(const sc_analysis_text *x, semcal_error *error)
{
    sc_text text = {0};
    const size_t skip = strlen(x->model) + strlen(x->dataset) + sizeof TOKENS + 2;
    const char *rest = strlen(x->name) > skip ? x->name + skip : "";
    rest = strcmp(rest, "T1") == 0 ? "" : rest;
    if (sc_text_printf(&text, error, "%s%s%s", x->model, rest[0] != '\0' ? " " : "", rest) != SEMCAL_OK) {
        sc_text_free(&text);
    }
    return text.data;
}

/* What made the file; an attribute that is missing is "". */
static semcal_status read_origin(sc_report_cell *cell, const char *path, semcal_error *error)
{
    sc_h5 *file = NULL;
    semcal_status status = sc_h5_open(&file, path, false, error);
    if (status == SEMCAL_OK && sc_h5_get_text(&cell->device, file, "", "device", NULL) != SEMCAL_OK) {
        cell->device = sc_memory_strdup("", error);
    }
    if (status == SEMCAL_OK && sc_h5_get_text(&cell->version, file, "", "semcal_version", NULL) != SEMCAL_OK) {
        cell->version = sc_memory_strdup("", error);
    }
    if (status == SEMCAL_OK && (cell->device == NULL || cell->version == NULL)) {
        status = SEMCAL_E_MEMORY;
    }
    (void)sc_h5_close(&file, NULL);
    return status;
}

static semcal_status read_cell(sc_report_cell *cell, const sc_report_data *data, const sc_report_options *options,
                               semcal_error *error)
{
    const sc_run_folder folder = {.path = (char *)(uintptr_t)data->run, .lock = -1};
    sc_text_file file = {.labels = NULL};
    cell->plan = sc_plan_find(&data->state.plan, cell->text->name);
    cell->variant = variant_of(cell->text, error);
    char *path = sc_run_folder_cell(&folder, cell->text->name, error);
    semcal_status status = path == NULL || cell->variant == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK) {
        status = sc_text_file_open(&file, path, error);
        if (status == SEMCAL_OK) {
            status = make_band(cell, &file, (uint64_t)data->state.config->seed, options->n_bootstrap, error);
        }
        sc_text_file_free(&file);
    }
    if (status == SEMCAL_OK) {
        status = read_origin(cell, path, error);
    }
    free(path);
    return status;
}

semcal_status sc_report_tokens_read(sc_report_data *data, const sc_report_options *options, semcal_error *error)
{
    const size_t n = data->analysis.n_texts;
    sc_report_tokens *tokens = sc_memory_alloc(1, sizeof *tokens, error);
    data->tokens = tokens;
    if (tokens == NULL) {
        return SEMCAL_E_MEMORY;
    }
    tokens->cells.run = data->run;
    tokens->shapes = sc_memory_alloc(n, sizeof *tokens->shapes, error);
    tokens->cells.cells = sc_memory_alloc(n, sizeof *tokens->cells.cells, error);
    semcal_status status = tokens->shapes == NULL || tokens->cells.cells == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        sc_report_cell *cell = &tokens->cells.cells[tokens->cells.n_cells++];
        make_shape(&tokens->shapes[i], &data->analysis.texts[i]);
        cell->numbers = &tokens->shapes[i];
        cell->text = &data->analysis.texts[i];
        status = read_cell(cell, data, options, error);
        if (status != SEMCAL_OK) {
            sc_error_where(error, "cell %s", cell->text->name);
        }
    }
    return status == SEMCAL_OK ? sc_report_data_list(&tokens->cells, error) : status;
}

void sc_report_tokens_free(sc_report_data *data)
{
    if (data->tokens != NULL) {
        sc_report_data *cells = &data->tokens->cells;
        for (size_t i = 0; i < cells->n_cells; i++) {
            free(cells->cells[i].variant);
            free(cells->cells[i].device);
            free(cells->cells[i].version);
        }
        sc_report_data_join_free(cells);
        free(data->tokens->shapes);
        free(data->tokens);
        data->tokens = NULL;
    }
}

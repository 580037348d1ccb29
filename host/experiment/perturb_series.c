/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/perturb_series.h"

#include "base/memory.h"
#include "base/nearest.h"
#include "experiment/perturb_calibration.h"
#include "experiment/perturb_record.h"
#include "formats/csv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

static semcal_status check_keys(const sc_yaml *yaml, const sc_yaml_node *map, const char *const *known, size_t n,
                                semcal_error *error)
{
    if (map->kind != SC_YAML_MAP) {
        return sc_yaml_error(yaml, map, error, SEMCAL_E_CONFIG, "must be a map");
    }
    for (size_t i = 0; i < map->n; i++) {
        const char *key = map->keys[i]->text;
        bool found = false;
        for (size_t k = 0; k < n; k++) {
            found = found || strcmp(key, known[k]) == 0;
        }
        if (!found) {
            const char *nearest = sc_nearest_name(key, known, n);
            return sc_yaml_error(yaml, map->keys[i], error, SEMCAL_E_CONFIG, "unknown key '%s'%s%s%s", key,
                                 nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                                 nearest == NULL ? "" : "'?");
        }
    }
    return SEMCAL_OK;
}

/* `path` as it stands in the file at `config`. */
static char *beside(const char *config, const char *path, semcal_error *error)
{
    const char *slash = strrchr(config, '/');
    if (path[0] == '/' || slash == NULL) {
        return sc_memory_strdup(path, error);
    }
    sc_text text = {0};
    (void)sc_text_printf(&text, error, "%.*s/%s", (int)(slash - config), config, path);
    return text.data;
}

static semcal_status read_model(sc_perturb_series_row *row, const sc_yaml *yaml, const sc_yaml_node *node,
                                semcal_error *error)
{
    static const char *const known[] = {"name", "path", "size"};
    semcal_status status = check_keys(yaml, node, known, 3, error);
    row->size = (double)NAN;
    for (size_t k = 0; k < 2 && status == SEMCAL_OK; k++) {
        const sc_yaml_node *value = sc_yaml_get(node, known[k]);
        const char *text = NULL;
        status = value == NULL ? sc_yaml_error(yaml, node, error, SEMCAL_E_CONFIG, "a model needs '%s'", known[k])
                               : sc_yaml_as_text(&text, yaml, value, known[k], error);
        if (status == SEMCAL_OK) {
            char *copy = k == 0 ? sc_memory_strdup(text, error) : beside(yaml->path, text, error);
            *(k == 0 ? &row->name : &row->path) = copy;
            status = copy == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
        }
    }
    const sc_yaml_node *size = sc_yaml_get(node, "size");
    if (status == SEMCAL_OK && size != NULL) {
        status = sc_yaml_as_real(&row->size, yaml, size, "size", error);
    }
    return status;
}

static semcal_status read_temperatures(sc_perturb_series *series, const sc_yaml *yaml, const sc_yaml_node *list,
                                       semcal_error *error)
{
    if (list->kind != SC_YAML_LIST) {
        return sc_yaml_error(yaml, list, error, SEMCAL_E_CONFIG, "temperatures must be a list");
    }
    series->temperature = sc_memory_alloc(list->n, sizeof *series->temperature, error);
    semcal_status status = series->temperature == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t i = 0; i < list->n && status == SEMCAL_OK; i++) {
        status = sc_yaml_as_real(&series->temperature[i], yaml, list->items[i], "temperatures", error);
    }
    series->n_temperatures = status == SEMCAL_OK ? list->n : 0;
    return status;
}

semcal_status sc_perturb_series_read(sc_perturb_series *series, const char *path, semcal_error *error)
{
    static const char *const known[] = {"name", "temperatures", "models"};
    sc_yaml yaml = {0};
    memset(series, 0, sizeof *series);
    semcal_status status = sc_yaml_read(&yaml, path, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    status = check_keys(&yaml, yaml.root, known, 3, error);
    const sc_yaml_node *models = status == SEMCAL_OK ? sc_yaml_get(yaml.root, "models") : NULL;
    const sc_yaml_node *list = status == SEMCAL_OK ? sc_yaml_get(yaml.root, "temperatures") : NULL;
    if (status == SEMCAL_OK && (models == NULL || models->kind != SC_YAML_LIST || models->n == 0)) {
        status = sc_yaml_error(&yaml, models == NULL ? yaml.root : models, error, SEMCAL_E_CONFIG,
                               "models must be a list of {name, path, size}");
    }
    if (status == SEMCAL_OK && list != NULL) {
        status = read_temperatures(series, &yaml, list, error);
    }
    if (status == SEMCAL_OK) {
        series->rows = sc_memory_alloc(models->n, sizeof *series->rows, error);
        status = series->rows == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    for (size_t i = 0; status == SEMCAL_OK && i < models->n; i++) {
        series->n = i + 1;
        status = read_model(&series->rows[i], &yaml, models->items[i], error);
    }
    sc_yaml_free(&yaml);
    return status;
}

/* ---- running ---- */

static semcal_status run_one(sc_perturb_series *series, sc_perturb_series_row *row, sc_device *device,
                             semcal_error *error)
{
    sc_perturb_record record = {0};
    sc_perturb_inputs inputs = {0};
    const sc_perturb_options how = {.device = device};
    semcal_status status =
        sc_perturb_record_is(row->path)
            ? sc_perturb_record_open(&record, row->path, error)
            : sc_error_set(error, SEMCAL_E_DATA, "%s: no folder with record.json; scripts/record_logits.py makes one",
                           row->path);
    if (status == SEMCAL_OK) {
        const sc_perturb_files files = {.logits = record.rows,
                                        .head = record.head,
                                        .targets = record.targets,
                                        .temperature = series->temperature,
                                        .n_temperatures = series->n_temperatures};
        row->size = isnan(row->size) ? record.parameters / 1e9 : row->size;
        status = sc_perturb_inputs_open(&inputs, &files, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_perturb_stream(&row->summary, &inputs, &how, error);
    }
    row->temperature_best = 1;
    for (size_t t = 0; status == SEMCAL_OK && t < series->n_temperatures; t++) {
        const sc_perturb_mean *gap = &row->summary.gap_of[SC_PERTURB_TEMPERATURE][t];
        if (gap->mean > row->gap_temperature.mean) {
            row->gap_temperature = *gap;
            row->temperature_best = series->temperature[t];
        }
    }
    sc_perturb_inputs_close(&inputs);
    sc_perturb_record_free(&record);
    return status;
}

semcal_status sc_perturb_series_run(sc_perturb_series *series, sc_device *device, semcal_error *error)
{
    size_t n_failed = 0;
    semcal_status first = SEMCAL_OK;
    for (size_t i = 0; i < series->n; i++) {
        sc_perturb_series_row *row = &series->rows[i];
        semcal_error slip = SEMCAL_ERROR_INIT;
        semcal_status status = run_one(series, row, device, &slip);
        if (status != SEMCAL_OK) {
            row->failed = sc_memory_strdup(slip.message, error);
            if (row->failed == NULL) {
                return SEMCAL_E_MEMORY;
            }
            first = n_failed++ == 0 ? status : first;
        }
    }
    if (n_failed > 0 && n_failed == series->n) {
        return sc_error_set(error, first, "%s", series->rows[0].failed);
    }
    return n_failed == 0 ? SEMCAL_OK
                         : sc_error_set(error, SEMCAL_PARTIAL, "%zu of %zu models have no numbers; the others stand",
                                        n_failed, series->n);
}

/* ---- the table ---- */

/* Sizes rise, those not known come last; ties in the order of the file. */
static bool comes_before(const sc_perturb_series_row *a, const sc_perturb_series_row *b)
{
    return isnan(b->size) ? !isnan(a->size) : a->size < b->size;
}

static semcal_status add_number(sc_text *csv, double value, semcal_error *error)
{
    return isnan(value) ? sc_text_printf(csv, error, ",") : sc_text_printf(csv, error, ",%.9g", value);
}

static semcal_status add_row(sc_text *csv, const sc_perturb_series_row *row, semcal_error *error)
{
    const sc_perturb_summary *s = &row->summary;
    const double numbers[] = {row->size,
                              (double)s->n_rows,
                              (double)s->n_vocabulary,
                              s->loss.mean,
                              s->loss.error,
                              s->entropy.mean,
                              s->top1.mean_confidence - s->top1.accuracy,
                              row->temperature_best,
                              row->gap_temperature.mean,
                              row->gap_temperature.error};
    semcal_status status = sc_csv_append(csv, row->name, strlen(row->name), true, error);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && status == SEMCAL_OK; i++) {
        status = add_number(csv, numbers[i], error);
    }
    for (size_t i = 0; i < sc_perturb_n_facts && status == SEMCAL_OK; i++) {
        status = add_number(csv, sc_perturb_fact_value(&s->top1, i), error);
    }
    return status == SEMCAL_OK ? sc_text_printf(csv, error, "\n") : status;
}

semcal_status sc_perturb_series_csv(sc_text *csv, const sc_perturb_series *series, semcal_error *error)
{
    semcal_status status = sc_text_printf(csv, error,
                                          "model,size_billion,rows,vocabulary,log_loss,log_loss_error,entropy,"
                                          "overconfidence,temperature_best,gap_temperature,gap_temperature_error");
    for (size_t i = 0; i < sc_perturb_n_facts && status == SEMCAL_OK; i++) {
        status = sc_text_printf(csv, error, ",%s", sc_perturb_facts[i].name);
    }
    if (status == SEMCAL_OK) {
        status = sc_text_printf(csv, error, "\n");
    }
    size_t *order = sc_memory_alloc(series->n, sizeof *order, error);
    status = status == SEMCAL_OK && order == NULL ? SEMCAL_E_MEMORY : status;
    size_t n = 0;
    for (size_t i = 0; status == SEMCAL_OK && i < series->n; i++) {
        if (series->rows[i].failed == NULL) {
            size_t k = n++;
            for (; k > 0 && comes_before(&series->rows[i], &series->rows[order[k - 1]]); k--) {
                order[k] = order[k - 1];
            }
            order[k] = i;
        }
    }
    for (size_t k = 0; status == SEMCAL_OK && k < n; k++) {
        status = add_row(csv, &series->rows[order[k]], error);
    }
    free(order);
    return status;
}

void sc_perturb_series_free(sc_perturb_series *series)
{
    for (size_t i = 0; i < series->n; i++) {
        free(series->rows[i].name);
        free(series->rows[i].path);
        free(series->rows[i].failed);
        sc_perturb_summary_free(&series->rows[i].summary);
    }
    free(series->rows);
    free(series->temperature);
    memset(series, 0, sizeof *series);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/cost.h"

#include "base/parallel.h"
#include "formats/csv.h"
#include "formats/json.h"
#include "formats/safetensors.h"
#include "model/config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Text per token grows with the logarithm of the vocabulary: 4.2 bytes at 50257, 2.4 at 512, as English does. */
static const double BYTES_PER_TOKEN_PER_BIT = 0.27;
/* Responses end before max_tokens, and the draws of a question share prefixes. */
static const double RESPONSE_SHARE = 0.5, DISTINCT_SHARE = 0.33;
/* Arithmetic rate of one core on the decode steps of a small batch, and the cost of a forward token whatever its size.
 */
static const double FLOPS_PER_CORE = 1e10, SECONDS_PER_TOKEN = 2e-6;
/* Bytes of a stored node and draw before compression, and what compression leaves. */
static const double NODE_BYTES = 48, TOP_BYTES = 12, DRAW_BYTES = 64, COMPRESSED = 0.6;

/* ---- sizes of files ---- */

static double json_bytes(const json_t *value)
{
    if (json_is_string(value)) {
        return (double)json_string_length(value);
    }
    return json_is_array(value) && json_array_size(value) > 0 ? json_bytes(json_array_get(value, 0)) : 0;
}

static semcal_status measure_jsonl(int64_t *n, double *bytes, const char *path, int64_t limit,
                                   const char *const *fields, size_t n_fields, semcal_error *error)
{
    sc_json_lines lines = {0};
    double sum = 0;
    *n = 0;
    semcal_status status = sc_json_lines_open(&lines, path, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    while (status == SEMCAL_OK && (limit < 0 || *n < limit)) {
        json_t *row = NULL;
        status = sc_json_lines_next(&row, &lines, error);
        if (row == NULL) {
            break;
        }
        for (size_t i = 0; i < n_fields && status == SEMCAL_OK; i++) {
            const json_t *value = json_object_get(row, fields[i]);
            if (value == NULL) {
                status = sc_error_set(error, SEMCAL_E_DATA, "%s:%zu: no field '%s'", path, lines.line, fields[i]);
            }
            sum += json_bytes(value);
        }
        json_decref(row);
        *n += status == SEMCAL_OK;
    }
    sc_json_lines_close(&lines);
    *bytes = *n > 0 ? sum / (double)*n : 0;
    return status;
}

static semcal_status measure_csv(int64_t *n, double *bytes, const char *path, int64_t limit, const char *const *fields,
                                 size_t n_fields, semcal_error *error)
{
    sc_csv csv = {0};
    double sum = 0;
    *n = 0;
    semcal_status status = sc_csv_read(&csv, path, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    size_t rows = limit >= 0 && (uint64_t)limit < csv.n_rows ? (size_t)limit : csv.n_rows;
    for (size_t i = 0; i < n_fields && status == SEMCAL_OK; i++) {
        size_t column;
        status = sc_csv_column(&column, &csv, fields[i], error);
        for (size_t row = 0; row < rows && status == SEMCAL_OK; row++) {
            sum += (double)sc_csv_at(&csv, row, column)->length;
        }
    }
    sc_csv_free(&csv);
    *n = (int64_t)rows;
    *bytes = rows > 0 ? sum / (double)rows : 0;
    return status;
}

static semcal_status measure_dataset(sc_cost_dataset *size, const sc_config_dataset *dataset, semcal_error *error)
{
    const char *const question[] = {dataset->question};
    semcal_status status = (dataset->format == SC_CONFIG_CSV ? measure_csv : measure_jsonl)(
        &size->n_questions, &size->question_bytes, dataset->path, dataset->limit, question, 1, error);
    if (status == SEMCAL_OK && size->n_questions == 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: holds no question", dataset->path);
    }
    const sc_config_shots *shots = &dataset->shots;
    if (status == SEMCAL_OK && shots->path != NULL && shots->n > 0) {
        const char *const both[] = {shots->question, shots->answers};
        int64_t n_shots;
        status = (shots->format == SC_CONFIG_CSV ? measure_csv : measure_jsonl)(&n_shots, &size->shot_bytes,
                                                                                shots->path, shots->n, both, 2, error);
        if (status == SEMCAL_OK && n_shots < shots->n) {
            status = sc_error_set(error, SEMCAL_E_DATA, "%s: %lld examples are wanted, it holds %lld", shots->path,
                                  (long long)shots->n, (long long)n_shots);
        }
    }
    return status == SEMCAL_OK ? status : sc_error_where(error, "dataset '%s'", dataset->name);
}

static semcal_status measure_model(sc_cost_model *size, const sc_config_model *model, semcal_error *error)
{
    if (model->source != SC_CONFIG_MODEL) {
        return SEMCAL_OK;
    }
    sc_model_config shape;
    sc_tensor_set *set = NULL;
    semcal_status status = sc_model_config_read(&shape, model->path, error);
    if (status == SEMCAL_OK) {
        status = sc_tensor_set_open(&set, model->path, error);
    }
    if (status != SEMCAL_OK) {
        return sc_error_where(error, "model '%s'", model->name);
    }
    size_t n;
    const sc_tensor *tensors = sc_tensor_set_all(set, &n);
    uint64_t widest = 2;
    for (size_t i = 0; i < n; i++) {
        size->n_parameters += tensors[i].n_elements;
        size->weight_bytes += tensors[i].n_bytes;
        widest = tensors[i].dtype == SC_DTYPE_F32 ? 4 : widest;
    }
    size->kv_bytes_per_token = 2 * shape.n_layers * shape.n_kv_heads * shape.head_size * widest;
    size->n_vocabulary = shape.n_vocabulary;
    size->n_context = shape.n_context;
    sc_tensor_set_close(set);
    return SEMCAL_OK;
}

/* ---- cells ---- */

static double mean_tokens(double bytes, const sc_cost_model *model)
{
    double per_token = model->n_vocabulary > 1 ? BYTES_PER_TOKEN_PER_BIT * log2((double)model->n_vocabulary) : 1;
    return ceil(bytes / fmax(1, per_token));
}

static sc_cost_cell cost_cell(const sc_cell *cell, const sc_cost_dataset *data, const sc_cost_model *model,
                              const sc_config_store *store, unsigned n_threads)
{
    double template_bytes = (double)strlen(cell->style->prompt);
    double shot_bytes = data->shot_bytes + (double)strlen(cell->style->shot) + (double)strlen(cell->style->separator);
    sc_cost_cell cost = {.n_questions = data->n_questions};
    double questions = (double)data->n_questions, length = (double)cell->max_tokens, n_draws = (double)cell->draws;
    cost.draws = questions * n_draws;
    cost.prompt_tokens = mean_tokens(template_bytes + data->question_bytes + (double)cell->shots * shot_bytes, model);
    double drawn = n_draws * fmax(1, length * RESPONSE_SHARE);
    double nodes = cell->estimator == SC_CONFIG_CHAIN ? drawn : fmax(1, drawn * DISTINCT_SHARE);
    cost.forward_tokens = questions * (cost.prompt_tokens + nodes);
    cost.forward_tokens_most = questions * (cost.prompt_tokens + n_draws * length);
    cost.device_bytes =
        (double)model->weight_bytes + (double)model->kv_bytes_per_token * (cost.prompt_tokens + n_draws * length);
    double logits = store->full_logits ? 4.0 * (double)model->n_vocabulary : 0;
    double per_node = NODE_BYTES + TOP_BYTES * (double)store->top_k + logits;
    cost.disk_bytes = questions * (nodes * per_node + n_draws * (DRAW_BYTES + length * RESPONSE_SHARE * 4)) *
                      (store->compression > 0 ? COMPRESSED : 1);
    cost.time_s = cost.forward_tokens *
                  (2 * (double)model->n_parameters / (FLOPS_PER_CORE * (double)n_threads) + SECONDS_PER_TOKEN);
    cost.too_long = model->n_context > 0 && cost.prompt_tokens + length > (double)model->n_context;
    return cost;
}

void sc_cost_cells(sc_cost *cost, const sc_config *config, const sc_plan *plan)
{
    cost->total = (sc_cost_cell){0};
    for (size_t i = 0; i < plan->n_cells; i++) {
        const sc_cell *cell = &plan->cells[i];
        sc_cost_cell one = cost_cell(cell, &cost->datasets[cell->dataset - config->datasets.at],
                                     &cost->models[cell->model - config->models.at], &config->store, cost->n_threads);
        cost->cells[i] = one;
        cost->total.n_questions += one.n_questions;
        cost->total.draws += one.draws;
        cost->total.forward_tokens += one.forward_tokens;
        cost->total.forward_tokens_most += one.forward_tokens_most;
        cost->total.device_bytes = fmax(cost->total.device_bytes, one.device_bytes);
        cost->total.disk_bytes += one.disk_bytes;
        cost->total.time_s += one.time_s;
        cost->total.too_long = cost->total.too_long || one.too_long;
    }
}

semcal_status sc_cost_estimate(sc_cost *cost, const sc_config *config, const sc_plan *plan, semcal_error *error)
{
    *cost = (sc_cost){.n_threads = sc_parallel_default_threads()};
    cost->datasets = sc_memory_alloc(config->datasets.n, sizeof *cost->datasets, error);
    cost->models = sc_memory_alloc(config->models.n, sizeof *cost->models, error);
    cost->cells = sc_memory_alloc(plan->n_cells, sizeof *cost->cells, error);
    semcal_status status =
        cost->datasets == NULL || cost->models == NULL || cost->cells == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t i = 0; i < config->datasets.n && status == SEMCAL_OK; i++) {
        status = measure_dataset(&cost->datasets[i], &config->datasets.at[i], error);
    }
    for (size_t i = 0; i < config->models.n && status == SEMCAL_OK; i++) {
        status = measure_model(&cost->models[i], &config->models.at[i], error);
    }
    if (status != SEMCAL_OK) {
        sc_cost_free(cost);
        return status;
    }
    sc_cost_cells(cost, config, plan);
    return SEMCAL_OK;
}

void sc_cost_free(sc_cost *cost)
{
    free(cost->datasets);
    free(cost->models);
    free(cost->cells);
    *cost = (sc_cost){0};
}

semcal_status sc_cost_assumptions(sc_text *text, const sc_cost *cost, semcal_error *error)
{
    return sc_text_printf(
        text, error,
        "prompt tokens: %.2f bytes of text per token and bit of vocabulary\n"
        "forward tokens: a response takes %.0f %% of max_tokens, %.0f %% of the drawn tokens are distinct prefixes "
        "(all "
        "for estimator chain)\n"
        "device memory: weights as stored, and the keys and values of one question without sharing; a run uses more "
        "when there is more\n"
        "time: %.0f GFLOP/s on each of %u cores and %.0f us per token; a GPU is faster\n",
        BYTES_PER_TOKEN_PER_BIT, 100 * RESPONSE_SHARE, 100 * DISTINCT_SHARE, 1e-9 * FLOPS_PER_CORE, cost->n_threads,
        1e6 * SECONDS_PER_TOKEN);
}

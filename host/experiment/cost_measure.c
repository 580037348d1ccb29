/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/cost_measure.h"

#include "base/file.h"
#include "experiment/dataset.h"
#include "experiment/judge.h"
#include "experiment/prompt.h"
#include "formats/safetensors.h"
#include "formats/table.h"
#include "language/tokenizer.h"
#include "model/config.h"
#include "source/toy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Prompts are tokenized for this many questions, spread over the dataset. */
enum { SAMPLE = 16, TEXT_SAMPLE = 1 << 16 };

/* Everything opened, by index in the configuration. */
typedef struct cost_files {
    sc_dataset *datasets, *shots;
    sc_tokenizer **tokenizers; /* NULL: the model has none */
} cost_files;

/* A text is measured by its bytes; nothing of it is kept. */
static semcal_status open_text(sc_cost_dataset *size, const sc_config_dataset *config, semcal_error *error)
{
    char *text = NULL;
    size_t length = 0;
    semcal_status status = sc_file_read(&text, &length, config->path, error);
    size->text_bytes = (double)length;
    free(text);
    return status == SEMCAL_OK ? status : sc_error_where(error, "dataset '%s'", config->name);
}

/* Tokens of a text, from the beginning of the file. Of JSON lines the names of fields count along. */
static semcal_status measure_text(double *tokens, const sc_cell *cell, const sc_tokenizer *tokenizer,
                                  semcal_error *error)
{
    char *text = NULL;
    size_t length = 0, n = 0;
    int32_t *ids = NULL;
    semcal_status status = sc_file_read(&text, &length, cell->dataset->path, error);
    size_t part = length < TEXT_SAMPLE ? length : TEXT_SAMPLE;
    while (status == SEMCAL_OK && part > 0 && part < length && ((unsigned char)text[part] & 0xc0) == 0x80) {
        part--; /* not in the middle of a character */
    }
    if (status == SEMCAL_OK) {
        status = sc_tokenizer_encode(&ids, &n, tokenizer, text, part, true, error);
    }
    *tokens = part > 0 ? ceil((double)n * (double)length / (double)part) : 0;
    free(text);
    free(ids);
    return status == SEMCAL_OK ? status : sc_error_where(error, "%s", cell->dataset->path);
}

static semcal_status open_dataset(sc_cost_dataset *size, sc_dataset *dataset, sc_dataset *shots,
                                  const sc_config_dataset *config, semcal_error *error)
{
    semcal_status status = sc_dataset_open_config(dataset, config, NULL, error);
    if (status == SEMCAL_OK) {
        status = sc_dataset_open_shots(shots, config, error);
    }
    if (status != SEMCAL_OK) {
        return sc_error_where(error, "dataset '%s'", config->name);
    }
    size->n_questions = (int64_t)dataset->n_rows;
    for (size_t i = 0; i < dataset->n_rows; i++) {
        size->question_bytes += (double)strlen(dataset->rows[i].question) / (double)dataset->n_rows;
    }
    for (size_t i = 0; i < shots->n_rows; i++) {
        double bytes = (double)strlen(shots->rows[i].question) + (double)strlen(shots->rows[i].answers.at[0]);
        size->shot_bytes += bytes / (double)shots->n_rows;
    }
    return SEMCAL_OK;
}

/* How wide the rows of a recorded source are. */
static semcal_status measure_recorded(sc_cost_model *size, const sc_config_model *model, semcal_error *error)
{
    static const char *const names[] = {"logits"};
    sc_table *table = NULL;
    semcal_status status = model->logits == NULL ? SEMCAL_OK : sc_table_open(&table, model->logits, names, 1, error);
    if (status == SEMCAL_OK && table != NULL) {
        size->n_logits = sc_table_get_shape(table)->row_elements;
    }
    sc_table_close(table);
    return status == SEMCAL_OK ? status : sc_error_where(error, "model '%s'", model->name);
}

static semcal_status open_model(sc_cost_model *size, sc_tokenizer **tokenizer, const sc_config_model *model,
                                bool full_logits, semcal_error *error)
{
    if (model->source == SC_CONFIG_TOY) {
        size->n_logits = SC_TOY_VOCABULARY;
    }
    if (model->source == SC_CONFIG_RECORDED && full_logits) {
        return measure_recorded(size, model, error);
    }
    if (model->source != SC_CONFIG_MODEL) {
        return SEMCAL_OK;
    }
    sc_model_config shape;
    sc_tensor_set *set = NULL;
    semcal_status status = sc_model_config_read(&shape, model->path, error);
    if (status == SEMCAL_OK) {
        status = sc_tensor_set_open(&set, model->path, error);
    }
    size_t n = 0;
    const sc_tensor *tensors = status == SEMCAL_OK ? sc_tensor_set_all(set, &n) : NULL;
    for (size_t i = 0; i < n; i++) {
        /* as model/model.h keeps them: bf16 stays, everything else becomes fp32 */
        size->n_parameters += tensors[i].n_elements;
        size->weight_bytes += tensors[i].n_elements * (tensors[i].dtype == SC_DTYPE_BF16 ? 2 : 4);
    }
    sc_tensor_set_close(set);
    if (status == SEMCAL_OK) {
        size->kv_bytes_per_token = 2 * shape.n_layers * shape.n_kv_heads * shape.head_size * sizeof(float);
        size->n_vocabulary = size->n_logits = shape.n_vocabulary;
        size->n_context = shape.n_context;
        char *path = sc_file_join(model->path, "tokenizer.json", error);
        if (path == NULL) {
            status = SEMCAL_E_MEMORY;
        } else if (sc_file_exists(path)) {
            status = sc_tokenizer_open(tokenizer, model->path, error);
        }
        free(path);
    }
    return status == SEMCAL_OK ? status : sc_error_where(error, "model '%s'", model->name);
}

/* What example `row` shows in a style: its own text for it, or one made from its answer. Malloc'ed. */
static semcal_status shot_response(char **response, const sc_config_dataset *dataset, const sc_dataset_row *row,
                                   const char *style, semcal_error *error)
{
    const sc_config_pairs *responses = &dataset->shots.responses;
    for (size_t i = 0; i < responses->n; i++) {
        if (strcmp(responses->names[i], style) == 0) {
            *response = sc_memory_strdup(row->extra.at[i], error);
            return *response == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
        }
    }
    return sc_prompt_response(response, style, row->answers.at[0], error);
}

static semcal_status count_tokens(double *n, const sc_cell *cell, const char *question, const sc_prompt_shot *shots,
                                  const sc_tokenizer *tokenizer, semcal_error *error)
{
    const sc_prompt_template parts = {cell->style->prompt, cell->style->shot, cell->style->separator};
    char *prompt = NULL;
    int32_t *ids = NULL;
    size_t n_ids = 0;
    semcal_status status = sc_prompt_build(&prompt, &parts, question, shots, (size_t)cell->shots, error);
    if (status == SEMCAL_OK) {
        status = sc_tokenizer_encode(&ids, &n_ids, tokenizer, prompt, strlen(prompt), true, error);
    }
    *n = (double)n_ids;
    free(prompt);
    free(ids);
    return status;
}

static semcal_status measure_cell(double *tokens, const sc_cell *cell, const sc_dataset *dataset,
                                  const sc_dataset *examples, const sc_tokenizer *tokenizer, semcal_error *error)
{
    size_t n_shots = (size_t)cell->shots;
    semcal_status status = SEMCAL_OK;
    char **responses = sc_memory_alloc(n_shots, sizeof *responses, error);
    sc_prompt_shot *shots = sc_memory_alloc(n_shots, sizeof *shots, error);
    if (responses == NULL || shots == NULL) {
        status = SEMCAL_E_MEMORY;
        n_shots = 0;
    }
    for (size_t i = 0; i < n_shots && status == SEMCAL_OK; i++) {
        status = shot_response(&responses[i], cell->dataset, &examples->rows[i], cell->style->name, error);
        shots[i] = (sc_prompt_shot){examples->rows[i].question, responses[i]};
    }
    size_t n = dataset->n_rows < SAMPLE ? dataset->n_rows : SAMPLE;
    double sum = 0;
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        double one;
        status = count_tokens(&one, cell, dataset->rows[i * dataset->n_rows / n].question, shots, tokenizer, error);
        sum += one;
    }
    *tokens = n > 0 ? sum / (double)n : 0;
    for (size_t i = 0; i < n_shots; i++) {
        free(responses[i]);
    }
    free(responses);
    free(shots);
    return status == SEMCAL_OK ? status : sc_error_where(error, "cell '%s'", cell->name);
}

static semcal_status measure_all(cost_files *files, sc_cost *cost, const sc_config *config, const sc_plan *plan,
                                 semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < config->datasets.n && status == SEMCAL_OK; i++) {
        const sc_config_dataset *dataset = &config->datasets.at[i];
        status = sc_config_is_text(dataset)
                     ? open_text(&cost->datasets[i], dataset, error)
                     : open_dataset(&cost->datasets[i], &files->datasets[i], &files->shots[i], dataset, error);
    }
    for (size_t i = 0; i < config->models.n && status == SEMCAL_OK; i++) {
        status = open_model(&cost->models[i], &files->tokenizers[i], &config->models.at[i], config->store.full_logits,
                            error);
    }
    for (size_t i = 0; i < config->datasets.n && status == SEMCAL_OK; i++) {
        const sc_config_collapse *collapse = sc_config_find_collapse(&config->datasets.at[i], SC_JUDGE_KIND);
        if (collapse != NULL && collapse->path != NULL) {
            sc_config_model judge;
            sc_tokenizer *unused = NULL;
            sc_judge_model(&judge, collapse, &config->models.at[0]);
            status = open_model(&cost->judges[i], &unused, &judge, false, error);
            sc_tokenizer_free(unused);
        }
    }
    for (size_t i = 0; i < plan->n_cells && status == SEMCAL_OK; i++) {
        const sc_cell *cell = &plan->cells[i];
        size_t d = (size_t)(cell->dataset - config->datasets.at), m = (size_t)(cell->model - config->models.at);
        if (files->tokenizers[m] != NULL && cell->text) {
            status = measure_text(&cost->prompt_tokens[i], cell, files->tokenizers[m], error);
        } else if (files->tokenizers[m] != NULL) {
            status = measure_cell(&cost->prompt_tokens[i], cell, &files->datasets[d], &files->shots[d],
                                  files->tokenizers[m], error);
        }
    }
    return status;
}

semcal_status sc_cost_measure(sc_cost *cost, const sc_config *config, const sc_plan *plan, semcal_error *error)
{
    size_t n = config->datasets.n;
    cost_files files;
    files.datasets = sc_memory_alloc(n, sizeof *files.datasets, error);
    files.shots = sc_memory_alloc(n, sizeof *files.shots, error);
    files.tokenizers = sc_memory_alloc(config->models.n, sizeof *files.tokenizers, error);
    semcal_status status = SEMCAL_E_MEMORY;
    if (files.datasets != NULL && files.shots != NULL && files.tokenizers != NULL) {
        status = measure_all(&files, cost, config, plan, error);
        for (size_t i = 0; i < n; i++) {
            sc_dataset_free(&files.datasets[i]);
            sc_dataset_free(&files.shots[i]);
        }
        for (size_t i = 0; i < config->models.n; i++) {
            sc_tokenizer_free(files.tokenizers[i]);
        }
    }
    free(files.datasets);
    free(files.shots);
    free(files.tokenizers);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/cost.h"

#include "base/parallel.h"
#include "experiment/cost_measure.h"
#include "experiment/judge.h"
#include "experiment/text_data.h"

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
static const double TEXT_BLOCKS = 128, TEXT_BLOCK_BYTES = 25000, TEXT_CHUNK_BYTES = 40;
static const double NODE_BYTES = 48, TOP_BYTES = 12, DRAW_BYTES = 64, COMPRESSED = 0.6, LOGITS_COMPRESSED = 0.8;

/* ---- cells ---- */

static double guess_tokens(double bytes, const sc_cost_model *model)
{
    double per_token = model->n_vocabulary > 1 ? BYTES_PER_TOKEN_PER_BIT * log2((double)model->n_vocabulary) : 1;
    return ceil(bytes / fmax(1, per_token));
}

/* Chunks stand for questions, a window for a prompt. */
static sc_cost_cell cost_text(const sc_cell *cell, const sc_cost_dataset *data, const sc_cost_model *model,
                              double tokens, unsigned n_threads)
{
    const double window = (double)sc_text_window(cell->dataset, (size_t)model->n_context);
    tokens = tokens > 0 ? tokens : guess_tokens(data->text_bytes, model);
    if (cell->dataset->limit != SC_CONFIG_UNSET) {
        tokens = fmin(tokens, (double)cell->dataset->limit);
    }
    sc_cost_cell cost = {.n_questions = (int64_t)ceil(tokens / (window - (double)cell->dataset->overlap))};
    const double blocks = fmin((double)cost.n_questions, TEXT_BLOCKS);
    cost.prompt_tokens = fmin(window, tokens);
    cost.forward_tokens = cost.forward_tokens_most = (double)cost.n_questions * cost.prompt_tokens;
    cost.device_bytes = (double)model->weight_bytes + (double)model->kv_bytes_per_token * window;
    cost.disk_bytes = blocks * TEXT_BLOCK_BYTES + (double)cost.n_questions * TEXT_CHUNK_BYTES;
    cost.time_s = cost.forward_tokens *
                  (2 * (double)model->n_parameters / (FLOPS_PER_CORE * (double)n_threads) + SECONDS_PER_TOKEN);
    cost.too_long = model->n_context > 0 && window > (double)model->n_context;
    return cost;
}

static sc_cost_cell cost_cell(const sc_cell *cell, const sc_cost_dataset *data, const sc_cost_model *model,
                              const sc_config_store *store, double prompt_tokens, unsigned n_threads)
{
    double template_bytes = (double)strlen(cell->style->prompt);
    double shot_bytes = data->shot_bytes + (double)strlen(cell->style->shot) + (double)strlen(cell->style->separator);
    sc_cost_cell cost = {.n_questions = data->n_questions};
    double questions = (double)data->n_questions, length = (double)cell->max_tokens, n_draws = (double)cell->draws;
    cost.draws = questions * n_draws;
    cost.prompt_tokens = prompt_tokens;
    if (!(prompt_tokens > 0)) {
        double bytes = template_bytes + data->question_bytes + (double)cell->shots * shot_bytes;
        cost.prompt_tokens = guess_tokens(bytes, model);
    }
    double drawn = n_draws * fmax(1, length * RESPONSE_SHARE);
    double nodes = cell->estimator == SC_CONFIG_CHAIN ? drawn : fmax(1, drawn * DISTINCT_SHARE);
    cost.forward_tokens = questions * (cost.prompt_tokens + nodes);
    cost.forward_tokens_most = questions * (cost.prompt_tokens + n_draws * length);
    cost.device_bytes =
        (double)model->weight_bytes + (double)model->kv_bytes_per_token * (cost.prompt_tokens + n_draws * length);
    double logits = store->full_logits ? 4.0 * (double)model->n_logits : 0;
    double per_node = NODE_BYTES + TOP_BYTES * (double)store->top_k;
    cost.logits_bytes = questions * nodes * logits * (store->compression > 0 ? LOGITS_COMPRESSED : 1);
    cost.disk_bytes = questions * (nodes * per_node + n_draws * (DRAW_BYTES + length * RESPONSE_SHARE * 4)) *
                          (store->compression > 0 ? COMPRESSED : 1) +
                      cost.logits_bytes;
    cost.time_s = cost.forward_tokens *
                  (2 * (double)model->n_parameters / (FLOPS_PER_CORE * (double)n_threads) + SECONDS_PER_TOKEN);
    cost.too_long = model->n_context > 0 && cost.prompt_tokens + length > (double)model->n_context;
    return cost;
}

/* Adds what a judge of the distinct responses costs; the beginning of its prompts is read once. */
static void add_judge(sc_cost_cell *cost, const sc_cell *cell, const sc_cost_dataset *data, const sc_cost_model *judge,
                      unsigned n_threads)
{
    const sc_config_collapse *collapse = sc_config_find_collapse(cell->dataset, SC_JUDGE_KIND);
    const double reply = (double)collapse->max_tokens, length = (double)cell->max_tokens;
    const double common = guess_tokens((double)strlen(collapse->prompt), judge);
    const double question = guess_tokens(data->question_bytes, judge);
    cost->judge_tokens = common + cost->draws * DISTINCT_SHARE * (question + RESPONSE_SHARE * (length + reply));
    cost->forward_tokens += cost->judge_tokens;
    cost->forward_tokens_most += cost->draws * (common + question + length + reply);
    cost->device_bytes =
        fmax(cost->device_bytes,
             (double)judge->weight_bytes + (double)judge->kv_bytes_per_token * (common + question + length + reply));
    cost->time_s += cost->judge_tokens *
                    (2 * (double)judge->n_parameters / (FLOPS_PER_CORE * (double)n_threads) + SECONDS_PER_TOKEN);
    cost->too_long =
        cost->too_long || (judge->n_context > 0 && common + question + length + reply > (double)judge->n_context);
}

void sc_cost_cells(sc_cost *cost, const sc_config *config, const sc_plan *plan)
{
    cost->total = (sc_cost_cell){0};
    for (size_t i = 0; i < plan->n_cells; i++) {
        const sc_cell *cell = &plan->cells[i];
        const sc_cost_dataset *data = &cost->datasets[cell->dataset - config->datasets.at];
        const sc_cost_model *model = &cost->models[cell->model - config->models.at];
        const double tokens = cost->prompt_tokens != NULL ? cost->prompt_tokens[i] : 0;
        sc_cost_cell one = cell->text ? cost_text(cell, data, model, tokens, cost->n_threads)
                                      : cost_cell(cell, data, model, &config->store, tokens, cost->n_threads);
        const sc_config_collapse *judge = sc_config_find_collapse(cell->dataset, SC_JUDGE_KIND);
        if (judge != NULL && !cell->text) {
            const bool own = judge->path == NULL || cost->judges == NULL;
            add_judge(&one, cell, data, own ? model : &cost->judges[cell->dataset - config->datasets.at],
                      cost->n_threads);
        }
        cost->cells[i] = one;
        cost->total.n_questions += one.n_questions;
        cost->total.draws += one.draws;
        cost->total.forward_tokens += one.forward_tokens;
        cost->total.forward_tokens_most += one.forward_tokens_most;
        cost->total.judge_tokens += one.judge_tokens;
        cost->total.device_bytes = fmax(cost->total.device_bytes, one.device_bytes);
        cost->total.disk_bytes += one.disk_bytes;
        cost->total.logits_bytes += one.logits_bytes;
        cost->total.time_s += one.time_s;
        cost->total.too_long = cost->total.too_long || one.too_long;
    }
}

semcal_status sc_cost_estimate(sc_cost *cost, const sc_config *config, const sc_plan *plan, semcal_error *error)
{
    *cost = (sc_cost){.n_threads = sc_parallel_default_threads()};
    cost->datasets = sc_memory_alloc(config->datasets.n, sizeof *cost->datasets, error);
    cost->models = sc_memory_alloc(config->models.n, sizeof *cost->models, error);
    cost->judges = sc_memory_alloc(config->datasets.n, sizeof *cost->judges, error);
    cost->cells = sc_memory_alloc(plan->n_cells, sizeof *cost->cells, error);
    cost->prompt_tokens = sc_memory_alloc(plan->n_cells, sizeof *cost->prompt_tokens, error);
    semcal_status status = sc_judge_check(config, error);
    if (cost->datasets == NULL || cost->models == NULL || cost->judges == NULL || cost->cells == NULL ||
        cost->prompt_tokens == NULL) {
        status = SEMCAL_E_MEMORY;
    }
    if (status == SEMCAL_OK) {
        status = sc_cost_measure(cost, config, plan, error);
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
    free(cost->judges);
    free(cost->cells);
    free(cost->prompt_tokens);
    *cost = (sc_cost){0};
}

semcal_status sc_cost_assumptions(sc_text *text, const sc_cost *cost, semcal_error *error)
{
    semcal_status status = sc_text_printf(
        text, error,
        "prompt tokens: mean of some questions, the chat template aside; without a tokenizer, %.2f bytes of text per "
        "token and bit of vocabulary\n"
        "forward tokens: a response takes %.0f %% of max_tokens, %.0f %% of the drawn tokens are distinct prefixes "
        "(all "
        "for estimator chain)\n"
        "device memory: weights as stored, and the keys and values of one question without sharing; a run uses more "
        "when there is more\n"
        "time: %.0f GFLOP/s on each of %u cores and %.0f us per token; a GPU is faster\n",
        BYTES_PER_TOKEN_PER_BIT, 100 * RESPONSE_SHARE, 100 * DISTINCT_SHARE, 1e-9 * FLOPS_PER_CORE, cost->n_threads,
        1e6 * SECONDS_PER_TOKEN);
    if (status == SEMCAL_OK && cost->total.logits_bytes > 0) {
        status = sc_text_printf(text, error,
                                "whole laws (store.full_logits): four bytes per distinct prefix and token of the "
                                "vocabulary, %.0f %% of it when compressed\n",
                                100 * LOGITS_COMPRESSED);
    }
    if (status == SEMCAL_OK && cost->total.judge_tokens > 0) {
        status = sc_text_printf(text, error,
                                "judge: %.0f %% of the draws are distinct responses, each shown once with its question "
                                "and answered in %.0f %% of max_tokens; what all its prompts begin with is read once\n",
                                100 * DISTINCT_SHARE, 100 * RESPONSE_SHARE);
    }
    return status;
}

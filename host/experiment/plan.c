/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/plan.h"

#include "experiment/config_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The values that one (model, dataset, style) runs through, and which of them must show in the cell's name. */
typedef struct plan_sweep {
    const sc_config_model *model;
    const sc_config_dataset *dataset;
    const sc_config_style *style;
    const sc_config_reals *temperature;
    const sc_config_ints *draws, *estimator, *max_tokens, *shots;
    bool name_draws, name_estimator, name_max_tokens, name_shots;
    bool extra;
} plan_sweep;

const sc_config_style sc_plan_text_style = {.name = (char *)(uintptr_t) "tokens",
                                            .prompt = (char *)(uintptr_t) "",
                                            .shot = (char *)(uintptr_t) "",
                                            .separator = (char *)(uintptr_t) ""};

/* Leaves room for the endings of the files of a cell within the 255 bytes of a file name. */
enum { PLAN_NAME = 200, PLAN_CELLS = 10000 };

static semcal_status name_cell(sc_cell *cell, const plan_sweep *sweep, semcal_error *error)
{
    char temperature[32];
    sc_text text = {0};
    sc_config_format_real(temperature, cell->temperature);
    semcal_status status = sc_text_printf(&text, error, "%s.%s.%s.T%s", cell->model->name, cell->dataset->name,
                                          cell->style->name, temperature);
    if (status == SEMCAL_OK) {
        cell->rng_name = sc_memory_strdup(text.data, error);
        status = cell->rng_name == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    if (status == SEMCAL_OK && sweep->name_draws) {
        status = sc_text_printf(&text, error, ".M%lld", (long long)cell->draws);
    }
    if (status == SEMCAL_OK && sweep->name_estimator) {
        status = sc_text_printf(&text, error, ".%s", sc_config_estimator_name(cell->estimator));
    }
    if (status == SEMCAL_OK && sweep->name_max_tokens) {
        status = sc_text_printf(&text, error, ".L%lld", (long long)cell->max_tokens);
    }
    if (status == SEMCAL_OK && sweep->name_shots) {
        status = sc_text_printf(&text, error, ".S%lld", (long long)cell->shots);
    }
    if (status == SEMCAL_OK && text.length > PLAN_NAME) {
        status = sc_error_set(error, SEMCAL_E_CONFIG, "the cell's name '%s' is longer than %d bytes: shorten the names",
                              text.data, PLAN_NAME);
    }
    cell->name = text.data;
    return status;
}

static semcal_status add_cell(sc_plan *plan, size_t *capacity, const sc_cell *values, const plan_sweep *sweep,
                              semcal_error *error)
{
    semcal_status status = sc_memory_grow(&plan->cells, capacity, plan->n_cells + 1, sizeof *plan->cells, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    sc_cell *cell = &plan->cells[plan->n_cells++];
    *cell = *values;
    status = name_cell(cell, sweep, error);
    for (size_t i = 0; i + 1 < plan->n_cells && status == SEMCAL_OK; i++) {
        if (strcmp(plan->cells[i].name, cell->name) == 0) {
            status = sc_error_set(error, SEMCAL_E_CONFIG, "two cells are called '%s'%s", cell->name,
                                  cell->extra ? ": extra repeats a cell that is already planned"
                                              : ": names with dots in them collide");
        }
    }
    return status;
}

static semcal_status add_sweep(sc_plan *plan, size_t *capacity, const plan_sweep *sweep, semcal_error *error)
{
    static const int64_t zero = 0;
    const int64_t *shots = sweep->shots->at, all = sweep->dataset->shots.n;
    size_t n_shots = sweep->shots->n;
    if (sweep->dataset->shots.path == NULL) {
        shots = &zero;
        n_shots = 1;
    } else if (n_shots == 0) {
        shots = &all;
        n_shots = 1;
    }
    double product = (double)sweep->temperature->n * (double)sweep->estimator->n * (double)sweep->draws->n *
                     (double)sweep->max_tokens->n * (double)n_shots;
    if (product + (double)plan->n_cells > PLAN_CELLS) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "more than %d cells: sweep less", PLAN_CELLS);
    }
    semcal_status status = SEMCAL_OK;
    size_t n = (size_t)product;
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        size_t at = i;
        sc_cell cell = {.model = sweep->model, .dataset = sweep->dataset, .style = sweep->style, .extra = sweep->extra};
        cell.shots = shots[at % n_shots];
        at /= n_shots;
        cell.max_tokens = sweep->max_tokens->at[at % sweep->max_tokens->n];
        at /= sweep->max_tokens->n;
        cell.draws = sweep->draws->at[at % sweep->draws->n];
        at /= sweep->draws->n;
        cell.estimator = (sc_config_estimator)sweep->estimator->at[at % sweep->estimator->n];
        at /= sweep->estimator->n;
        cell.temperature = sweep->temperature->at[at];
        status = add_cell(plan, capacity, &cell, sweep, error);
    }
    return status;
}

/* A text is read, not asked: model x temperature. */
static semcal_status add_text(sc_plan *plan, size_t *capacity, const sc_config *config, const sc_config_model *model,
                              const sc_config_dataset *dataset, semcal_error *error)
{
    const plan_sweep sweep = {.model = model};
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < config->sampling.temperature.n && status == SEMCAL_OK; i++) {
        const sc_cell cell = {.model = model,
                              .dataset = dataset,
                              .style = &sc_plan_text_style,
                              .temperature = config->sampling.temperature.at[i],
                              .text = true};
        status = add_cell(plan, capacity, &cell, &sweep, error);
    }
    return status;
}

static bool is_listed(const sc_config_texts *subset, const char *name)
{
    for (size_t i = 0; i < subset->n; i++) {
        if (strcmp(subset->at[i], name) == 0) {
            return true;
        }
    }
    return subset->n == 0;
}

static plan_sweep sweep_of(const sc_config *config, const sc_config_model *model, const sc_config_dataset *dataset,
                           const sc_config_style *style)
{
    plan_sweep sweep = {.model = model, .dataset = dataset, .style = style};
    sweep.temperature = &config->sampling.temperature;
    sweep.draws = &config->sampling.draws;
    sweep.estimator = &config->sampling.estimator;
    sweep.max_tokens = &style->max_tokens;
    sweep.shots = &style->shots;
    sweep.name_draws = sweep.draws->n > 1;
    sweep.name_estimator = sweep.estimator->n > 1;
    sweep.name_max_tokens = sweep.max_tokens->n > 1;
    sweep.name_shots = sweep.shots->n > 1 && dataset->shots.path != NULL;
    return sweep;
}

static semcal_status add_extra(sc_plan *plan, size_t *capacity, const sc_config *config, const sc_config_extra *extra,
                               semcal_error *error)
{
    const sc_config_dataset *dataset = sc_config_find_dataset(config, extra->dataset);
    plan_sweep sweep = sweep_of(config, sc_config_find_model(config, extra->model), dataset,
                                sc_config_find_style(config, extra->style));
    sweep.extra = true;
    if (extra->temperature.n > 0) {
        sweep.temperature = &extra->temperature;
    }
    if (extra->draws.n > 0) {
        sweep.draws = &extra->draws;
        sweep.name_draws = true;
    }
    if (extra->estimator.n > 0) {
        sweep.estimator = &extra->estimator;
        sweep.name_estimator = true;
    }
    if (extra->max_tokens.n > 0) {
        sweep.max_tokens = &extra->max_tokens;
        sweep.name_max_tokens = true;
    }
    if (extra->shots.n > 0) {
        sweep.shots = &extra->shots;
        sweep.name_shots = dataset->shots.path != NULL;
    }
    return add_sweep(plan, capacity, &sweep, error);
}

semcal_status sc_plan_make(sc_plan *plan, const sc_config *config, semcal_error *error)
{
    size_t capacity = 0;
    semcal_status status = SEMCAL_OK;
    *plan = (sc_plan){0};
    for (size_t m = 0; m < config->models.n; m++) {
        for (size_t d = 0; d < config->datasets.n; d++) {
            const sc_config_dataset *dataset = &config->datasets.at[d];
            bool text = sc_config_is_text(dataset);
            if (text && status == SEMCAL_OK && is_listed(&dataset->models, config->models.at[m].name)) {
                status = add_text(plan, &capacity, config, &config->models.at[m], dataset, error);
            }
            for (size_t s = 0; s < config->styles.n && !text && status == SEMCAL_OK; s++) {
                const sc_config_style *style = sc_config_find_style(config, config->styles.at[s]);
                if (is_listed(&dataset->models, config->models.at[m].name) &&
                    is_listed(&dataset->styles, style->name)) {
                    plan_sweep sweep = sweep_of(config, &config->models.at[m], dataset, style);
                    status = add_sweep(plan, &capacity, &sweep, error);
                }
            }
        }
    }
    for (size_t i = 0; i < config->extra.n && status == SEMCAL_OK; i++) {
        status = add_extra(plan, &capacity, config, &config->extra.at[i], error);
        if (status != SEMCAL_OK) {
            sc_error_where(error, "extra[%zu]", i);
        }
    }
    if (status != SEMCAL_OK) {
        sc_plan_free(plan);
    }
    return status;
}

void sc_plan_free(sc_plan *plan)
{
    for (size_t i = 0; i < plan->n_cells; i++) {
        free(plan->cells[i].name);
        free(plan->cells[i].rng_name);
    }
    free(plan->cells);
    *plan = (sc_plan){0};
}

const sc_cell *sc_plan_find(const sc_plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->n_cells; i++) {
        if (strcmp(plan->cells[i].name, name) == 0) {
            return &plan->cells[i];
        }
    }
    return NULL;
}

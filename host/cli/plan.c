/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"
#include "cli/terminal.h"
#include "experiment/cost.h"
#include "experiment/progress.h"
#include "formats/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

semcal_status sc_cli_plan(int argc, char **argv, semcal_error *error);

static const sc_cli_usage usage = {
    "plan",
    "CONFIG",
    "what a configuration will run and cost; runs nothing",
    1,
    1,
    "Shows one line per cell (model x dataset x style x temperature and whatever else is swept): questions, draws per\n"
    "question, examples in the prompt, tokens of a prompt, most tokens of a response, tokens run through the model,\n"
    "device memory, disk, time. Questions and draws are exact, '~' marks guesses; their assumptions are printed "
    "below."};

/* "12", "3.4k", "1.2M": three digits are enough for a guess. */
static const char *rounded(char text[16], double value, double unit, const char *suffixes)
{
    int steps = 0, n_suffixes = (int)strlen(suffixes);
    while (value >= 0.9995 * unit && steps < n_suffixes) {
        value /= unit;
        steps++;
    }
    int decimals = steps == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    char suffix[2] = {steps > 0 ? suffixes[steps - 1] : '\0', '\0'};
    (void)snprintf(text, 16, "%.*f%s", decimals, value, suffix);
    return text;
}

/* The disk that the largest cell takes. */
static double largest(const sc_cost *cost, const sc_plan *plan)
{
    double most = 0;
    for (size_t i = 0; i < plan->n_cells; i++) {
        most = cost->cells[i].disk_bytes > most ? cost->cells[i].disk_bytes : most;
    }
    return most;
}

static void print_row(int width, const char *name, const char *draws, const char *shots, const char *prompt,
                      const char *most, const sc_cost_cell *cost, bool total)
{
    char tokens[16], device[16], disk[16], time[32];
    sc_progress_duration(time, cost->time_s);
    printf("%-*s %9lld %7s %5s %7s %6s %9s %8s %8s %9s%s\n", width, name, (long long)cost->n_questions, draws, shots,
           prompt, most, rounded(tokens, cost->forward_tokens, 1000, "kMGT"),
           rounded(device, cost->device_bytes, 1024, "KMGT"), rounded(disk, cost->disk_bytes, 1024, "KMGT"), time,
           !total && cost->too_long ? "  longer than the model's context" : "");
}

static semcal_status print_table(const sc_plan *plan, const sc_cost *cost, semcal_error *error)
{
    size_t width = 5;
    for (size_t i = 0; i < plan->n_cells; i++) {
        size_t n = strlen(plan->cells[i].name);
        width = n > width ? n : width;
    }
    printf("%-*s %9s %7s %5s %7s %6s %9s %8s %8s %9s\n", (int)width, "cell", "questions", "draws", "shots", "~prompt",
           "most", "~forward", "~device", "~disk", "~time");
    for (size_t i = 0; i < plan->n_cells; i++) {
        const sc_cell *cell = &plan->cells[i];
        char draws[24], shots[24], prompt[24], most[24];
        (void)snprintf(draws, sizeof draws, "%lld", (long long)cell->draws);
        (void)snprintf(shots, sizeof shots, "%lld", (long long)cell->shots);
        (void)snprintf(prompt, sizeof prompt, "%.0f", cost->cells[i].prompt_tokens);
        (void)snprintf(most, sizeof most, "%lld", (long long)cell->max_tokens);
        print_row((int)width, cell->name, draws, shots, prompt, most, &cost->cells[i], false);
    }
    char name[32];
    (void)snprintf(name, sizeof name, "%zu cell%s", plan->n_cells, plan->n_cells == 1 ? "" : "s");
    print_row((int)width, name, "", "", "", "", &cost->total, true);
    sc_text notes = {0};
    semcal_status status = sc_cost_assumptions(&notes, cost, error);
    if (status == SEMCAL_OK) {
        (void)fputs("\nassumptions\n", stderr);
        sc_terminal_print(stderr, notes.data);
    }
    if (status == SEMCAL_OK && cost->total.logits_bytes > 0) {
        char logits[16], rest[16], twice[16];
        (void)fprintf(stderr,
                      "\n%sstore.full_logits keeps about %s of logits; without them the run takes %s. While cells are "
                      "joined and collapsed they are there twice: the disk needs %s free\n",
                      cost->total.logits_bytes >= SC_COST_MANY_LOGITS ? "warning: " : "",
                      rounded(logits, cost->total.logits_bytes, 1024, "KMGT"),
                      rounded(rest, cost->total.disk_bytes - cost->total.logits_bytes, 1024, "KMGT"),
                      rounded(twice, cost->total.disk_bytes + largest(cost, plan), 1024, "KMGT"));
    }
    sc_text_free(&notes);
    return status;
}

static json_t *cost_json(const sc_cost_cell *cost)
{
    return json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "questions", (json_int_t)cost->n_questions,
                     "draws_total", cost->draws, "forward_tokens", cost->forward_tokens, "forward_tokens_most",
                     cost->forward_tokens_most, "judge_tokens", cost->judge_tokens, "device_bytes", cost->device_bytes,
                     "disk_bytes", cost->disk_bytes, "logits_bytes", cost->logits_bytes, "time_s", cost->time_s);
}

static json_t *cell_json(const sc_cell *cell, const sc_cost_cell *cost)
{
    json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:f, s:I, s:s, s:I, s:I, s:b, s:f, s:b}", "name", cell->name,
                            "rng_name", cell->rng_name, "model", cell->model->name, "dataset", cell->dataset->name,
                            "style", cell->style->name, "temperature", cell->temperature, "draws",
                            (json_int_t)cell->draws, "estimator", sc_config_estimator_name(cell->estimator),
                            "max_tokens", (json_int_t)cell->max_tokens, "shots", (json_int_t)cell->shots, "extra",
                            cell->extra, "prompt_tokens", cost->prompt_tokens, "longer_than_context", cost->too_long);
    json_t *sizes = cost_json(cost);
    (void)json_object_update_missing(row, sizes);
    json_decref(sizes);
    return row;
}

static semcal_status print_json(const sc_config *config, const sc_plan *plan, const sc_cost *cost, semcal_error *error)
{
    sc_text text = {0};
    json_t *cells = json_array(), *root = NULL;
    for (size_t i = 0; i < plan->n_cells; i++) {
        (void)json_array_append_new(cells, cell_json(&plan->cells[i], &cost->cells[i]));
    }
    semcal_status status = sc_cost_assumptions(&text, cost, error);
    if (status == SEMCAL_OK) {
        root = json_pack("{s:s, s:I, s:o, s:o, s:s}", "name", config->name, "seed", (json_int_t)config->seed, "cells",
                         cells, "total", cost_json(&cost->total), "assumptions", text.data);
        sc_text_clear(&text);
        status = root == NULL ? sc_error_set(error, SEMCAL_E_MEMORY, "out of memory")
                              : sc_json_append(&text, root, true, error);
    }
    if (status == SEMCAL_OK) {
        printf("%s\n", text.data);
    }
    if (root == NULL) {
        json_decref(cells);
    }
    json_decref(root);
    sc_text_free(&text);
    return status;
}

semcal_status sc_cli_plan(int argc, char **argv, semcal_error *error)
{
    sc_cli_list set = {.n = 0};
    bool json = false, help;
    const sc_cli_option options[] = {
        {"set", 0, SC_CLI_LIST, &set, "KEY=VALUE", "override a key of the configuration; may be repeated"},
        {"json", 0, SC_CLI_FLAG, &json, NULL, "print JSON"},
    };
    const char **operands = sc_memory_alloc((size_t)argc, sizeof *operands, error);
    if (operands == NULL) {
        return SEMCAL_E_MEMORY;
    }
    int n_operands;
    sc_config *config = NULL;
    sc_plan plan = {0};
    sc_cost cost = {0};
    semcal_status status = sc_cli_parse(&n_operands, operands, &help, &usage, options, sizeof options / sizeof *options,
                                        argc, argv, error);
    if (status != SEMCAL_OK || help) {
        goto done;
    }
    status = sc_config_load(&config, operands[0], set.items, set.n, error);
    if (status != SEMCAL_OK) {
        goto done;
    }
    status = sc_plan_make(&plan, config, error);
    if (status != SEMCAL_OK) {
        sc_error_where(error, "%s", operands[0]);
        goto done;
    }
    status = sc_cost_estimate(&cost, config, &plan, error);
    if (status == SEMCAL_OK) {
        status = json ? print_json(config, &plan, &cost, error) : print_table(&plan, &cost, error);
    }
done:
    sc_cost_free(&cost);
    sc_plan_free(&plan);
    sc_config_free(config);
    free(operands);
    return status;
}

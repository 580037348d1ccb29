/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: a configuration and overrides. The input is the YAML text, then, each behind a NUL, up to four --set
 * assignments. Whatever comes, there is one line of error or a configuration that resolves to itself and plans.
 */
#include "experiment/config.h"
#include "experiment/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds, const char *what, const semcal_error *error)
{
    if (!holds) {
        fprintf(stderr, "broken: %s (%d: %s)\n", what, (int)error->status, error->message);
        abort();
    }
}

static void check_failure(const semcal_error *error)
{
    require(error->status == SEMCAL_E_CONFIG, "a bad configuration is an error of configuration", error);
    require(error->message[0] != '\0', "an error has a message", error);
    for (const char *c = error->message; *c != '\0'; c++) {
        require((unsigned char)*c >= 0x20, "a message is one line", error);
    }
}

static void check_plan(const sc_config *config)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_plan plan;
    if (sc_plan_make(&plan, config, &error) != SEMCAL_OK) {
        check_failure(&error);
        return;
    }
    for (size_t i = 0; i < plan.n_cells; i++) {
        const sc_cell *cell = &plan.cells[i];
        require(strchr(cell->name, '/') == NULL && strlen(cell->name) <= 200, "a cell's name is a file name", &error);
        require(strncmp(cell->name, cell->rng_name, strlen(cell->rng_name)) == 0, "names begin alike", &error);
    }
    sc_plan_free(&plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    char *text = malloc(size + 1);
    if (text == NULL) {
        return 0;
    }
    memcpy(text, data, size);
    text[size] = '\0';
    const char *set[4];
    size_t length = strlen(text), n_set = 0;
    for (size_t at = length + 1; at < size && n_set < 4; at += strlen(text + at) + 1) {
        set[n_set++] = text + at;
    }
    sc_config *config = NULL, *again = NULL;
    sc_text once = {0}, twice = {0};
    if (sc_config_parse(&config, text, length, "f.yaml", "/f", set, n_set, &error) != SEMCAL_OK) {
        check_failure(&error);
    } else {
        require(sc_config_resolved(&once, config, &error) == SEMCAL_OK, "it can be written", &error);
        require(sc_config_parse(&again, once.data, once.length, "r.yaml", "/r", NULL, 0, &error) == SEMCAL_OK,
                "what was written can be read", &error);
        require(sc_config_resolved(&twice, again, &error) == SEMCAL_OK, "and written", &error);
        require(strcmp(once.data, twice.data) == 0, "and is the same", &error);
        check_plan(config);
    }
    sc_text_free(&once);
    sc_text_free(&twice);
    sc_config_free(config);
    sc_config_free(again);
    free(text);
    return 0;
}

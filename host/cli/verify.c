/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "experiment/plan.h"
#include "experiment/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

semcal_status sc_cli_verify(int argc, char **argv, semcal_error *error);

static void print_line(const char *line, bool bad, void *payload)
{
    (void)payload;
    printf("%s%s\n", bad ? "BAD  " : "     ", line);
}

/* Every cell of the plan has its file, or the segments or shards that verify speaks of. */
static semcal_status check_plan(const char *run, semcal_error *error)
{
    sc_config *config = NULL;
    sc_plan plan = {0};
    size_t n_missing = 0;
    char *resolved = sc_file_join(run, "resolved.yaml", error), *cells = sc_file_join(run, "cells", error);
    semcal_status status = resolved == NULL || cells == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK && !sc_file_exists(resolved)) {
        goto done;
    }
    if (status == SEMCAL_OK) {
        status = sc_config_load(&config, resolved, NULL, 0, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_plan_make(&plan, config, error);
    }
    char **names = NULL;
    size_t n_names = 0;
    if (status == SEMCAL_OK) {
        status = sc_file_list(&names, &n_names, cells, "", error);
    }
    for (size_t i = 0; i < plan.n_cells && status == SEMCAL_OK; i++) {
        sc_text prefix = {0};
        bool found = false;
        status = sc_text_printf(&prefix, error, "%s.", plan.cells[i].name);
        const char *const endings[] = {"h5", "segments", "shard-"};
        for (size_t j = 0; j < n_names && status == SEMCAL_OK; j++) {
            for (size_t k = 0; k < 3 && strncmp(names[j], prefix.data, prefix.length) == 0; k++) {
                found = found || strncmp(names[j] + prefix.length, endings[k], strlen(endings[k])) == 0;
            }
        }
        if (status == SEMCAL_OK && !found) {
            char line[512];
            (void)snprintf(line, sizeof line, "%s/%s: not begun; semcal run resumes", cells, plan.cells[i].name);
            print_line(line, true, NULL);
            n_missing++;
        }
        sc_text_free(&prefix);
    }
    sc_file_list_free(names, n_names);
    if (status == SEMCAL_OK && n_missing > 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: %zu of %zu cells are missing", run, n_missing, plan.n_cells);
    }
done:
    sc_plan_free(&plan);
    sc_config_free(config);
    free(resolved);
    free(cells);
    return status;
}

semcal_status sc_cli_verify(int argc, char **argv, semcal_error *error)
{
    static const sc_cli_usage usage = {
        "verify",
        "RUN",
        "checksums and completeness of a run",
        1,
        1,
        "Reads every cell file, segment and shard of the run folder: seals, digests of every question, products of\n"
        "collapses, and whether the cells of the plan are there and complete. Faults are marked BAD; exit code 3."};
    const char *operands[64];
    int n_operands;
    bool help;
    semcal_status status = sc_cli_parse(&n_operands, operands, &help, &usage, NULL, 0, argc, argv, error);
    if (status != SEMCAL_OK || help) {
        return status;
    }
    status = sc_store_verify(operands[0], print_line, NULL, error);
    semcal_status planned = check_plan(operands[0], error);
    return status != SEMCAL_OK ? status : planned;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/terminal.h"
#include "experiment/plan.h"
#include "experiment/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

semcal_status sc_cli_verify(int argc, char **argv, semcal_error *error);

static void print_line(const char *line, bool bad, void *payload)
{
    (void)payload;
    (void)fputs(bad ? "BAD  " : "     ", stdout);
    sc_terminal_print(stdout, line);
    (void)putchar('\n');
}

static bool ends_with(const char *name, const char *suffix)
{
    const size_t n = strlen(name), m = strlen(suffix);
    return n > m && strcmp(name + n - m, suffix) == 0;
}

/* A finished file whose mechanism the configuration wants has it, or what verify says of one that is being made. */
static semcal_status has_mechanism(bool *has, const char *run, const char *name, semcal_error *error)
{
    sc_text file = {0}, parts = {0};
    semcal_status status = sc_text_printf(&file, error, "%s/mechanism/%s", run, name);
    if (status == SEMCAL_OK) {
        status =
            sc_text_printf(&parts, error, "%s/mechanism/%.*s.parts", run, (int)(strlen(name) - strlen(".h5")), name);
    }
    *has = status == SEMCAL_OK && (sc_file_exists(file.data) || sc_file_exists(parts.data));
    sc_text_free(&file);
    sc_text_free(&parts);
    return status;
}

/* One cell of the plan; *missing counts what is not there at all. */
static semcal_status check_cell(size_t *missing, const char *run, const sc_cell *cell, bool wants_mechanism,
                                char *const *names, size_t n_names, semcal_error *error)
{
    static const char *const endings[] = {"h5", "segments", "shard-"};
    sc_text prefix = {0};
    bool found = false;
    semcal_status status = sc_text_printf(&prefix, error, "%s.", cell->name);
    for (size_t j = 0; j < n_names && status == SEMCAL_OK; j++) {
        bool own = false;
        for (size_t k = 0; k < 3 && strncmp(names[j], prefix.data, prefix.length) == 0; k++) {
            own = own || strncmp(names[j] + prefix.length, endings[k], strlen(endings[k])) == 0;
        }
        found = found || own;
        if (own && wants_mechanism && !cell->text && ends_with(names[j], ".h5")) {
            bool has = false;
            status = has_mechanism(&has, run, names[j], error);
            if (status == SEMCAL_OK && !has) {
                char line[512];
                (void)snprintf(line, sizeof line, "%s/cells/%s: its mechanism is missing; semcal run makes it", run,
                               names[j]);
                print_line(line, true, NULL);
                ++*missing;
            }
        }
    }
    if (status == SEMCAL_OK && !found) {
        char line[512];
        (void)snprintf(line, sizeof line, "%s/cells/%s: not begun; semcal run resumes", run, cell->name);
        print_line(line, true, NULL);
        ++*missing;
    }
    sc_text_free(&prefix);
    return status;
}

/* Every cell of the plan has its file, or the segments or shards that verify speaks of, and the mechanism it wants. */
static semcal_status check_plan(const char *run, semcal_error *error)
{
    sc_config *config = NULL;
    sc_plan plan = {0};
    size_t n_missing = 0, n_names = 0;
    char **names = NULL;
    char *resolved = sc_file_join(run, "resolved.yaml", error), *cells = sc_file_join(run, "cells", error);
    semcal_status status = resolved == NULL || cells == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK && !sc_file_exists(resolved)) {
        char line[512];
        (void)snprintf(line, sizeof line,
                       "%s: there is no resolved.yaml, so whether cells are missing altogether was not checked", run);
        print_line(line, false, NULL);
        goto done;
    }
    if (status == SEMCAL_OK) {
        status = sc_config_load(&config, resolved, NULL, 0, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_plan_make(&plan, config, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_file_list(&names, &n_names, cells, "", error);
    }
    for (size_t i = 0; i < plan.n_cells && status == SEMCAL_OK; i++) {
        status = check_cell(&n_missing, run, &plan.cells[i], config->mechanism.questions > 0, names, n_names, error);
    }
    if (status == SEMCAL_OK && n_missing > 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: %zu of what %zu cells need %s missing", run, n_missing,
                              plan.n_cells, n_missing == 1 ? "is" : "are");
    }
done:
    sc_file_list_free(names, n_names);
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
        "collapses, mechanisms, and whether the cells of the plan are there and complete. Faults are marked BAD; exit\n"
        "code 3. The last digest is that of everything generated, the same for any interruption and number of shards."};
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

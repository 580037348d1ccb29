/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "cli/cli.h"
#include "cli/terminal.h"
#include "experiment/run.h"
#include "experiment/store.h"

#include <stdio.h>
#include <stdlib.h>

semcal_status sc_cli_merge(int argc, char **argv, semcal_error *error);

static void print_line(const char *line, bool bad, void *payload)
{
    (void)payload;
    (void)fputs(bad ? "BAD  " : "", stdout);
    sc_terminal_print(stdout, line);
    (void)putchar('\n');
}

static void show_line(sc_log_level level, const char *line, void *payload)
{
    sc_terminal_line(payload, sc_log_level_name(level), line);
}

semcal_status sc_cli_merge(int argc, char **argv, semcal_error *error)
{
    static const sc_cli_usage usage = {
        "merge",
        "RUN",
        "the shards of a run into one",
        1,
        1,
        "Joins RUN/cells/<cell>.shard-<i>-of-<n>.h5 into RUN/cells/<cell>.h5. All shards must be there, from the same\n"
        "configuration, model and data, without a question missing or twice; their digests are checked first. The\n"
        "content digest is that of an unsharded run. The shard files are deleted afterwards. The collapses the\n"
        "configuration names are applied to the joined cells."};
    const char *operands[64];
    int n_operands;
    bool help;
    const char *device = NULL;
    const sc_cli_option table[] = {
        {"device", 0, SC_CLI_TEXT, &device, "P:D|NAME", "OpenCL device of a judge (collapse kind model)"},
    };
    semcal_status status =
        sc_cli_parse(&n_operands, operands, &help, &usage, table, sizeof table / sizeof *table, argc, argv, error);
    if (status != SEMCAL_OK || help) {
        return status;
    }
    status = sc_store_merge(operands[0], print_line, NULL, error);
    char *resolved = status == SEMCAL_OK ? sc_file_join(operands[0], "resolved.yaml", error) : NULL;
    if (resolved != NULL && sc_file_exists(resolved)) {
        sc_terminal terminal;
        sc_terminal_init(&terminal);
        const sc_run_collapse_options options = {.device = device, .sink = show_line, .payload = &terminal};
        status = sc_run_collapse(operands[0], &options, error);
    }
    free(resolved);
    return status;
}

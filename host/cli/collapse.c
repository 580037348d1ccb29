/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "cli/terminal.h"
#include "experiment/run.h"

semcal_status sc_cli_collapse(int argc, char **argv, semcal_error *error);

static void show_line(sc_log_level level, const char *line, void *payload)
{
    sc_terminal_line(payload, sc_log_level_name(level), line);
}

semcal_status sc_cli_collapse(int argc, char **argv, semcal_error *error)
{
    const char *kind = NULL;
    static const sc_cli_usage usage = {
        "collapse",
        "RUN",
        "applies another collapse B to a stored run; needs no model",
        1,
        1,
        "The kind becomes the active collapse of every finished cell; those applied before stay in the files\n"
        "(semcal analyze --collapse KIND). Kinds: exact, numeric, math, alias, choice."};
    const sc_cli_option table[] = {
        {"with", 0, SC_CLI_TEXT, &kind, "KIND", "the collapse to apply"},
    };
    const char *operands[64];
    int n_operands;
    bool help;
    semcal_status status =
        sc_cli_parse(&n_operands, operands, &help, &usage, table, sizeof table / sizeof *table, argc, argv, error);
    if (status != SEMCAL_OK || help) {
        return status;
    }
    if (kind == NULL) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "--with KIND is missing; usage: semcal collapse RUN --with KIND");
    }
    sc_terminal terminal;
    sc_terminal_init(&terminal);
    return sc_run_collapse(operands[0], kind, show_line, &terminal, error);
}

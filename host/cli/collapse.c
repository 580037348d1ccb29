/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "cli/stop.h"
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
        "applies another collapse B to a stored run; the run's models are not needed",
        1,
        1,
        "The kind becomes the active collapse of every finished cell; those applied before stay in the files\n"
        "(semcal analyze --collapse KIND). Kinds: exact, numeric, math, alias, choice, model.\n\n"
        "With model, a language model names the short answer of each distinct response, the judge: --judge, else as "
        "the\n"
        "configuration of the run says, else the model that gave the responses. What it said is kept in RUN/judge, so\n"
        "that nothing is asked twice, and beside each draw (draw_short_answer)."};
    sc_run_collapse_options options = {.stopped = sc_cli_stop_asked, .sink = show_line};
    sc_cli_list set = {.n = 0};
    const sc_cli_option table[] = {
        {"with", 0, SC_CLI_TEXT, &kind, "KIND", "the collapse to apply"},
        {"judge", 0, SC_CLI_TEXT, &options.judge, "MODEL_DIR", "model: who names the short answers"},
        {"set", 0, SC_CLI_LIST, &set, "KEY=VALUE",
         "model: a key of the collapse (prompt, max_tokens, ...; semcal-config(5)); may be repeated"},
        {"device", 0, SC_CLI_TEXT, &options.device, "P:D|NAME", "model: OpenCL device (see 'semcal show devices')"},
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
    options.kind = kind;
    options.set = set.items;
    options.n_set = set.n;
    options.payload = &terminal;
    sc_cli_stop stop;
    sc_cli_stop_catch(&stop);
    status = sc_run_collapse(operands[0], &options, error);
    sc_cli_stop_restore(&stop);
    return status == SEMCAL_INTERRUPTED
               ? sc_error_set(error, status, "stopped; what was judged is kept, the same command goes on")
               : status;
}

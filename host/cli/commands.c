/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"
#include "cli/terminal.h"

#include "base/nearest.h"

#include <stdio.h>
#include <string.h>

/* Each subcommand's file defines one of these. Keep both lists in the order of the manual. */
#define SC_CLI_COMMANDS(X)                                                                                             \
    X(plan, "what a configuration will run and cost; runs nothing")                                                    \
    X(run, "draws answers for every cell of a configuration; resumes by default")                                      \
    X(analyze, "calibration of the stored cells of a run")                                                             \
    X(collapse, "applies another collapse to a stored run")                                                            \
    X(merge, "the shards of a run into one")                                                                           \
    X(verify, "checksums and completeness of a run")                                                                   \
    X(report, "a page of a run: index.html, figures, tables")                                                          \
    X(watch, "a live view of a run")                                                                                   \
    X(calibrate, "calibration of a table of (confidence, correct) pairs")                                              \
    X(classify, "classes of responses, line by line")                                                                  \
    X(score, "log-probabilities of given texts under a model")                                                         \
    X(tokenize, "token ids of texts, and texts of token ids")                                                          \
    X(perturb, "log-losses of recorded logits after temperatures, tilts and biases")                                   \
    X(tilt, "draws from a law tilted by its own confidence, token by token")                                           \
    X(show, "devices, the keys of a configuration, what is in a file")                                                 \
    X(bench, "achieved rates against the measured ceiling of the device")                                              \
    X(version, "the version and the commit it was built from")

#define DECLARE(name, summary) semcal_status sc_cli_##name(int argc, char **argv, semcal_error *error);
SC_CLI_COMMANDS(DECLARE)
#undef DECLARE

#define ROW(name, summary) {#name, sc_cli_##name, summary},
const sc_cli_command sc_cli_commands[] = {SC_CLI_COMMANDS(ROW)};
#undef ROW
const size_t sc_cli_n_commands = sizeof sc_cli_commands / sizeof *sc_cli_commands;

static void print_help(FILE *out)
{
    fprintf(out, "usage: semcal COMMAND [options]\n\n"
                 "Semantic calibration and loss optimality of language models.\n\ncommands:\n");
    for (size_t i = 0; i < sc_cli_n_commands; i++) {
        fprintf(out, "  %-10s %s\n", sc_cli_commands[i].name, sc_cli_commands[i].summary);
    }
    fprintf(out, "\n'semcal COMMAND --help' tells more. Exit codes: 0 done, 1 some cells failed, 2 usage or config,\n"
                 "3 file or data, 4 device, 5 numeric, 130 interrupted (everything finished is committed).\n");
}

static int unknown_command(const char *name)
{
    const char *names[64];
    for (size_t i = 0; i < sc_cli_n_commands && i < 64; i++) {
        names[i] = sc_cli_commands[i].name;
    }
    const char *near = sc_nearest_name(name, names, sc_cli_n_commands);
    if (near != NULL) {
        fprintf(stderr, "semcal: unknown command '%s', did you mean '%s'?\n", name, near);
    } else {
        fprintf(stderr, "semcal: unknown command '%s'; 'semcal --help' lists them\n", name);
    }
    return SEMCAL_E_CONFIG;
}

/* An error of an earlier flush counts too: fflush alone speaks of the last one only. */
static bool standard_output_is_whole(void)
{
    return fflush(stdout) == 0 && ferror(stdout) == 0;
}

int sc_cli_main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return SEMCAL_E_CONFIG;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        if (!standard_output_is_whole()) {
            fprintf(stderr, "semcal: standard output: cannot write\n");
            return semcal_status_exit_code(SEMCAL_E_DATA);
        }
        return SEMCAL_OK;
    }
    const char *name = strcmp(argv[1], "--version") == 0 ? "version" : argv[1];
    for (size_t i = 0; i < sc_cli_n_commands; i++) {
        if (strcmp(sc_cli_commands[i].name, name) == 0) {
            semcal_error error = SEMCAL_ERROR_INIT;
            semcal_status status = sc_cli_commands[i].run(argc - 1, argv + 1, &error);
            if (!standard_output_is_whole() && status == SEMCAL_OK) {
                status = sc_error_set(&error, SEMCAL_E_DATA, "standard output: cannot write");
            }
            if (status != SEMCAL_OK && error.message[0] != '\0') {
                (void)fprintf(stderr, "semcal %s: ", name);
                sc_terminal_print(stderr, error.message);
                (void)fputc('\n', stderr);
            }
            return semcal_status_exit_code(status);
        }
    }
    return unknown_command(argv[1]);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: a table of subcommands and a small option parser shared by all of them. */
#ifndef SC_CLI_CLI_H
#define SC_CLI_CLI_H

#include "base/error.h"

#include <stdbool.h>

/* ---- options ---- */

typedef enum sc_cli_kind {
    SC_CLI_FLAG, /* bool *: --name */
    SC_CLI_TEXT, /* const char **: --name VALUE or --name=VALUE */
    SC_CLI_LIST, /* sc_cli_list *: may be given several times */
    SC_CLI_INT,  /* long * */
    SC_CLI_REAL  /* double * */
} sc_cli_kind;

typedef struct sc_cli_list {
    const char *items[64];
    size_t n;
} sc_cli_list;

typedef struct sc_cli_option {
    const char *name; /* long name without dashes */
    char letter;      /* short form, or 0 */
    sc_cli_kind kind;
    void *target;
    const char *value; /* what the help calls the value, e.g. "DIR"; NULL for flags */
    const char *help;  /* one line */
} sc_cli_option;

/* What one subcommand is; `operands` reads as in the usage line, e.g. "RUN" or "MODEL_DIR". */
typedef struct sc_cli_usage {
    const char *name, *operands, *summary;
    int min_operands, max_operands; /* max -1: any number */
    const char *details;            /* free text shown by --help, may be NULL */
} sc_cli_usage;

/* Parses argv[1..]: options anywhere, "--" ends them. Operands come back in `operands`
 * (room for max_operands pointers, or argc when that is -1).
 * `--help` prints the help on stdout and sets *help: the caller then returns SEMCAL_OK. Unknown options give
 * SEMCAL_E_CONFIG with the nearest name. */
semcal_status sc_cli_parse(int *n_operands, const char **operands, bool *help, const sc_cli_usage *usage,
                           const sc_cli_option *options, size_t n_options, int argc, char **argv, semcal_error *error);

/* ---- subcommands: one file each, same signature; argv[0] is the subcommand's name ---- */

typedef semcal_status (*sc_cli_function)(int argc, char **argv, semcal_error *error);

typedef struct sc_cli_command {
    const char *name;
    sc_cli_function run;
    const char *summary;
} sc_cli_command;

/* The table (commands.c). */
extern const sc_cli_command sc_cli_commands[];
extern const size_t sc_cli_n_commands;

/* Runs argv[1] with the rest; prints the error line; returns the exit code. */
int sc_cli_main(int argc, char **argv);

#endif

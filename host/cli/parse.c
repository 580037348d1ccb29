/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "base/nearest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_help(const sc_cli_usage *usage, const sc_cli_option *options, size_t n_options)
{
    printf("usage: semcal %s%s%s%s\n\n%s\n", usage->name, usage->operands[0] != '\0' ? " " : "", usage->operands,
           n_options > 0 ? " [options]" : "", usage->summary);
    if (usage->details != NULL) {
        printf("\n%s\n", usage->details);
    }
    printf("\noptions:\n");
    for (size_t i = 0; i < n_options; i++) {
        char left[64], letter[8] = "    ";
        if (options[i].letter != 0) {
            (void)snprintf(letter, sizeof letter, "-%c, ", options[i].letter);
        }
        (void)snprintf(left, sizeof left, "%s--%s%s%s", letter, options[i].name, options[i].value != NULL ? " " : "",
                       options[i].value != NULL ? options[i].value : "");
        printf("  %-30s %s\n", left, options[i].help);
    }
    printf("  %-30s %s\n", "-h, --help", "this text");
}

static semcal_status unknown_option(const char *given, const sc_cli_option *options, size_t n_options,
                                    semcal_error *error)
{
    const char *names[65];
    size_t n = 0;
    for (; n < n_options && n < 64; n++) {
        names[n] = options[n].name;
    }
    names[n++] = "help";
    char bare[128];
    (void)snprintf(bare, sizeof bare, "%s", given + strspn(given, "-"));
    bare[strcspn(bare, "=")] = '\0';
    const char *near = sc_nearest_name(bare, names, n);
    if (near != NULL) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "unknown option '%s', did you mean '--%s'?", given, near);
    }
    return sc_error_set(error, SEMCAL_E_CONFIG, "unknown option '%s'; --help lists them", given);
}

static semcal_status store_value(const sc_cli_option *option, const char *value, semcal_error *error)
{
    char *end = NULL;
    errno = 0;
    switch (option->kind) {
    case SC_CLI_FLAG:
        *(bool *)option->target = true;
        return SEMCAL_OK;
    case SC_CLI_TEXT:
        *(const char **)option->target = value;
        return SEMCAL_OK;
    case SC_CLI_LIST: {
        sc_cli_list *list = option->target;
        if (list->n == sizeof list->items / sizeof *list->items) {
            return sc_error_set(error, SEMCAL_E_CONFIG, "--%s: given more than %zu times", option->name, list->n);
        }
        list->items[list->n++] = value;
        return SEMCAL_OK;
    }
    case SC_CLI_INT:
        *(long *)option->target = strtol(value, &end, 10);
        break;
    case SC_CLI_REAL:
        *(double *)option->target = strtod(value, &end);
        break;
    }
    if (value[0] == '\0' || end == NULL || *end != '\0' || errno == ERANGE) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "--%s: '%s' is not %s", option->name, value,
                            option->kind == SC_CLI_INT ? "an integer" : "a number");
    }
    return SEMCAL_OK;
}

static const sc_cli_option *find_option(const char *argument, const sc_cli_option *options, size_t n_options)
{
    for (size_t i = 0; i < n_options; i++) {
        if (argument[1] == '-') {
            size_t n = strcspn(argument + 2, "=");
            if (strlen(options[i].name) == n && strncmp(options[i].name, argument + 2, n) == 0) {
                return &options[i];
            }
        } else if (options[i].letter != 0 && argument[1] == options[i].letter && argument[2] == '\0') {
            return &options[i];
        }
    }
    return NULL;
}

/* Handles the option at argv[*at], moving *at past a separate value. */
static semcal_status parse_option(int *at, const sc_cli_option *options, size_t n_options, int argc, char **argv,
                                  semcal_error *error)
{
    const char *argument = argv[*at];
    const sc_cli_option *option = find_option(argument, options, n_options);
    if (option == NULL) {
        return unknown_option(argument, options, n_options, error);
    }
    const char *equals = argument[1] == '-' ? strchr(argument, '=') : NULL;
    const char *value = NULL;
    if (option->kind == SC_CLI_FLAG) {
        if (equals != NULL) {
            return sc_error_set(error, SEMCAL_E_CONFIG, "--%s takes no value", option->name);
        }
    } else if (equals != NULL) {
        value = equals + 1;
    } else if (*at + 1 < argc) {
        value = argv[++*at];
    } else {
        return sc_error_set(error, SEMCAL_E_CONFIG, "--%s needs a value: %s", option->name,
                            option->value != NULL ? option->value : "VALUE");
    }
    return store_value(option, value, error);
}

semcal_status sc_cli_parse(int *n_operands, const char **operands, bool *help, const sc_cli_usage *usage,
                           const sc_cli_option *options, size_t n_options, int argc, char **argv, semcal_error *error)
{
    *n_operands = 0;
    *help = false;
    bool only_operands = false;
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        if (only_operands || argument[0] != '-' || argument[1] == '\0') {
            if (usage->max_operands >= 0 && *n_operands >= usage->max_operands) {
                return sc_error_set(error, SEMCAL_E_CONFIG, "too many operands; usage: semcal %s %s", usage->name,
                                    usage->operands);
            }
            operands[(*n_operands)++] = argument;
        } else if (strcmp(argument, "--") == 0) {
            only_operands = true;
        } else if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
            print_help(usage, options, n_options);
            *help = true;
            return SEMCAL_OK;
        } else {
            semcal_status status = parse_option(&i, options, n_options, argc, argv, error);
            if (status != SEMCAL_OK) {
                return status;
            }
        }
    }
    if (*n_operands < usage->min_operands) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "too few operands; usage: semcal %s %s", usage->name,
                            usage->operands);
    }
    return SEMCAL_OK;
}

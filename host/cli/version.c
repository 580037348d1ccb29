/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <stdio.h>

semcal_status sc_cli_version(int argc, char **argv, semcal_error *error);

semcal_status sc_cli_version(int argc, char **argv, semcal_error *error)
{
    static const sc_cli_usage usage = {"version", "", "the version and the commit it was built from", 0, 0, NULL};
    const char *operands[64];
    int n_operands;
    bool help;
    semcal_status status = sc_cli_parse(&n_operands, operands, &help, &usage, NULL, 0, argc, argv, error);
    if (status == SEMCAL_OK && !help) {
        printf("semcal %s (%s)\n", semcal_version(), semcal_commit());
    }
    return status;
}

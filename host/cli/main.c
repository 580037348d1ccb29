/* SPDX-License-Identifier: Apache-2.0 */
/* The program: picks the subcommand, maps its status to the exit code. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    return sc_cli_main(argc, argv);
}

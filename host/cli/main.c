/* SPDX-License-Identifier: Apache-2.0 */
/* The program: picks the subcommand, maps its status to the exit code. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

int main(int argc, char **argv)
{
#ifdef __GLIBC__
    /* What one thread allocates another often frees (records, questions), and what is free in one heap serves no other:
     * with a heap per thread a run keeps 10 to 15 MB for nothing. */
    (void)mallopt(M_ARENA_MAX, 2);
#endif
    return sc_cli_main(argc, argv);
}

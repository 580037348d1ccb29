/* SPDX-License-Identifier: Apache-2.0 */
/* Ctrl-C: the first one asks for a clean stop, a second one ends the process at once. */
#ifndef SC_CLI_STOP_H
#define SC_CLI_STOP_H

#include <signal.h>
#include <stdbool.h>

typedef struct sc_cli_stop {
    struct sigaction old_int, old_term;
} sc_cli_stop;

void sc_cli_stop_catch(sc_cli_stop *stop);
void sc_cli_stop_restore(const sc_cli_stop *stop);

/* Whether a stop was asked for; for callbacks, so with a payload that is not looked at. */
bool sc_cli_stop_asked(void *payload);

#endif

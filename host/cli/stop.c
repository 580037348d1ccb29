/* SPDX-License-Identifier: Apache-2.0 */
#define _XOPEN_SOURCE 700 /* sigaction */
#include "cli/stop.h"

#include <stddef.h>
#include <string.h>

/* Set by Ctrl-C; the command stops after its next device call and commits. */
static volatile sig_atomic_t asked;

static void on_signal(int number)
{
    if (asked) {
        (void)signal(number, SIG_DFL);
        (void)raise(number);
    }
    asked = 1;
}

void sc_cli_stop_catch(sc_cli_stop *stop)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    (void)sigaction(SIGINT, &action, &stop->old_int);
    (void)sigaction(SIGTERM, &action, &stop->old_term);
}

void sc_cli_stop_restore(const sc_cli_stop *stop)
{
    (void)sigaction(SIGINT, &stop->old_int, NULL);
    (void)sigaction(SIGTERM, &stop->old_term, NULL);
}

bool sc_cli_stop_asked(void *payload)
{
    (void)payload;
    return asked != 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Lines for people on stderr, sharing it with a progress line. */
#ifndef SC_CLI_TERMINAL_H
#define SC_CLI_TERMINAL_H

#include "experiment/progress.h"
#include "experiment/report_text.h"

#include <stdio.h>

typedef struct sc_terminal {
    sc_progress progress;
    bool is_terminal;
    double began_s;
} sc_terminal;

void sc_terminal_init(sc_terminal *terminal);
/* Shows the progress line when one is due. */
void sc_terminal_progress(sc_terminal *terminal, const sc_progress_counters *counters, bool last);
/* Shows "semcal: <label>: line" ("" for no label) above the progress line. */
void sc_terminal_line(sc_terminal *terminal, const char *label, const char *line);

/* Writes text that may come from elsewhere (a file's names, a model's words) so that a terminal only shows it: control
 * characters, and with them escape sequences, become visible ones; ends of lines stay. */
void sc_terminal_print(FILE *to, const char *untrusted);

/* Size of the terminal at stdout, or COLUMNS and LINES, or 80 x 24. */
size_t sc_terminal_columns(void);
size_t sc_terminal_rows(void);

/* Puts a text cut and padded to `width` columns: the end of a name says more than its beginning. Names are plain enough
 * to count characters. */
void sc_terminal_cut(sc_report_text *out, const char *text, size_t width);

/* Writes UTF-8 text to stdout. Where the locale (LC_ALL, LC_CTYPE, LANG, the first one set) names another encoding,
 * bars and diagrams become plain ASCII and any other character '?'. */
void sc_terminal_put(const char *text);

#endif

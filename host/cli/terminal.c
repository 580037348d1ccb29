/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

void sc_terminal_init(sc_terminal *terminal)
{
    const char *columns = getenv("COLUMNS");
    long n = columns != NULL ? strtol(columns, NULL, 10) : 0;
    terminal->is_terminal = isatty(STDERR_FILENO) == 1;
    terminal->began_s = sc_clock_now_s();
    const sc_progress_options options = {.terminal = terminal->is_terminal, .columns = n > 0 ? (size_t)n : 0};
    sc_progress_init(&terminal->progress, &options);
}

void sc_terminal_progress(sc_terminal *terminal, const sc_progress_counters *counters, bool last)
{
    char line[SC_PROGRESS_LINE];
    if (sc_progress_line(&terminal->progress, line, counters, sc_clock_now_s() - terminal->began_s, last)) {
        (void)fputs(line, stderr);
        (void)fflush(stderr);
    }
}

void sc_terminal_line(sc_terminal *terminal, const char *label, const char *line)
{
    (void)fprintf(stderr, "%ssemcal: %s%s%s\n", terminal->is_terminal ? "\r\033[K" : "", label,
                  label[0] != '\0' ? ": " : "", line);
}

static size_t size_of(const char *variable, bool rows, size_t otherwise)
{
    struct winsize size = {0, 0, 0, 0};
    const char *given = getenv(variable);
    long n = given != NULL ? strtol(given, NULL, 10) : 0;
    if (n > 0 && n < 10000) {
        return (size_t)n;
    }
    if (isatty(STDOUT_FILENO) == 1 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
        size_t has = rows ? size.ws_row : size.ws_col;
        return has > 0 ? has : otherwise;
    }
    return otherwise;
}

size_t sc_terminal_columns(void)
{
    return size_of("COLUMNS", false, 80);
}

size_t sc_terminal_rows(void)
{
    return size_of("LINES", true, 24);
}

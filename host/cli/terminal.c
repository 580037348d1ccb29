/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal.h"

#include "base/clock.h"
#include "base/memory.h"
#include "experiment/report_text.h"
#include "language/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
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
    flockfile(stderr); /* lines of the log come from several threads */
    if (sc_progress_line(&terminal->progress, line, counters, sc_clock_now_s() - terminal->began_s, last)) {
        (void)fputs(line, stderr);
        (void)fflush(stderr);
    }
    funlockfile(stderr);
}

void sc_terminal_print(FILE *to, const char *untrusted)
{
    for (const char *at = untrusted; *at != '\0';) {
        const size_t n = strcspn(at, "\n");
        semcal_error ignored = SEMCAL_ERROR_INIT;
        sc_report_text line;
        sc_report_text_init(&line, &ignored);
        char *part = sc_memory_strndup(at, n, &ignored);
        if (part != NULL) {
            sc_report_put_visible(&line, part, 0);
        }
        (void)fputs(line.text.data != NULL ? line.text.data : "", to);
        free(part);
        sc_report_text_free(&line);
        at += n;
        if (*at == '\n') {
            (void)fputc('\n', to);
            at++;
        }
    }
}

void sc_terminal_line(sc_terminal *terminal, const char *label, const char *line)
{
    flockfile(stderr);
    (void)fprintf(stderr, "%ssemcal: %s%s", terminal->is_terminal ? "\r\033[K" : "", label,
                  label[0] != '\0' ? ": " : "");
    sc_terminal_print(stderr, line);
    (void)fputc('\n', stderr);
    funlockfile(stderr);
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

/* Nothing set says nothing about the terminal, and nearly all of them know UTF-8. */
static bool knows_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *locale = getenv(names[i]);
        if (locale != NULL && locale[0] != '\0') {
            const char *encoding = strchr(locale, '.');
            return encoding != NULL &&
                   (strncasecmp(encoding, ".utf-8", 6) == 0 || strncasecmp(encoding, ".utf8", 5) == 0);
        }
    }
    return true;
}

/* Dots of a Braille character: bits 0, 1, 3, 4 are its upper half. */
static char plain_dots(uint32_t bits)
{
    int upper = 0, lower = 0;
    for (int i = 0; i < 8; i++) {
        const bool is_upper = i == 0 || i == 1 || i == 3 || i == 4;
        *(is_upper ? &upper : &lower) += (int)(bits >> i & 1);
    }
    return upper + lower == 0 ? ' ' : upper + lower > 3 ? '#' : lower == 0 ? '\'' : upper == 0 ? '.' : ':';
}

static char plain(uint32_t code)
{
    static const char heights[] = ".:-=+*##"; /* U+2581 to U+2588 */
    return code < 0x80                       ? (char)code
           : code >= 0x2800 && code < 0x2900 ? plain_dots(code - 0x2800)
           : code >= 0x2581 && code < 0x2589 ? heights[code - 0x2581]
           : code > 0x2588 && code < 0x2590  ? '='
           : code == 0x2502                  ? '|'
           : code == 0xb7                    ? '.'
           : code == 0x2013                  ? '-'
           : code == 0x2026                  ? '~'
                                             : '?';
}

void sc_terminal_put(const char *text)
{
    if (knows_utf8()) {
        (void)fputs(text, stdout);
        return;
    }
    for (size_t left = strlen(text); left > 0;) {
        uint32_t code;
        size_t step = sc_utf8_decode(&code, text, left);
        (void)putchar(step > 0 ? plain(code) : '?');
        step = step > 0 ? step : 1;
        text += step;
        left -= step;
    }
}

void sc_terminal_cut(sc_report_text *out, const char *text, size_t width)
{
    sc_report_text whole;
    sc_report_text_init(&whole, out->error);
    sc_report_put_visible(&whole, text, 0);
    const char *bytes = whole.text.data != NULL ? whole.text.data : "";
    size_t n = 0;
    for (const char *p = bytes; *p != '\0'; p++) {
        n += (*p & 0xc0) != 0x80;
    }
    if (n > width) { /* the end of a name says more than its beginning */
        for (size_t skip = n - width + 1; skip > 0; skip--) {
            do {
                bytes++;
            } while ((*bytes & 0xc0) == 0x80);
        }
        sc_report_put(out, "\xe2\x80\xa6");
        n = width;
    }
    sc_report_put(out, "%s%*s", bytes, (int)(width - n), "");
    sc_report_text_free(&whole);
}

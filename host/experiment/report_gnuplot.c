/* SPDX-License-Identifier: Apache-2.0 */
/* The program gnuplot: started without a shell, and its pictures made fit for a page. */
#include "experiment/report_figure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Only calls that are safe between fork and exec in a process with threads. */
static void child(const char *gnuplot, const char *folder, const char *script, int out, int failed)
{
    char *const arguments[] = {(char *)(uintptr_t)gnuplot, (char *)(uintptr_t) "-d", (char *)(uintptr_t)script, NULL};
    int nothing = open("/dev/null", O_RDWR);
    if (nothing >= 0 && chdir(folder) == 0 && dup2(nothing, 0) >= 0 && dup2(nothing, 1) >= 0 && dup2(out, 2) >= 0) {
        (void)execvp(gnuplot, arguments);
    }
    int reason = errno;
    (void)!write(failed, &reason, sizeof reason);
    _exit(127);
}

/* Reads to the end; keeps the first bytes. */
static size_t read_all(int from, char *to, size_t room)
{
    size_t have = 0;
    char rest[512];
    for (;;) {
        ssize_t n = have < room ? read(from, to + have, room - have) : read(from, rest, sizeof rest);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return have;
        }
        have += have < room ? (size_t)n : 0;
    }
}

/* The first line that says something; gnuplot points at the place with blanks and a caret first. */
static void first_line(char line[256], const char *text, size_t length)
{
    size_t at = 0;
    while (at < length) {
        size_t n = 0;
        while (at + n < length && text[at + n] != '\n') {
            n++;
        }
        size_t blank = 0;
        while (blank < n && strchr(" \t\r^", text[at + blank]) != NULL) {
            blank++;
        }
        if (blank < n) {
            n = n < 255 ? n : 255;
            memcpy(line, text + at, n);
            line[n] = '\0';
            return;
        }
        at += n + 1;
    }
    (void)strcpy(line, "failed without a word");
}

semcal_status sc_report_gnuplot(bool *absent, char complaint[256], const char *gnuplot, const char *folder,
                                const char *script, semcal_error *error)
{
    int out[2] = {-1, -1}, failed[2] = {-1, -1}, reason = 0, code = 0;
    char said[2048];
    semcal_status status = SEMCAL_OK;
    *absent = false;
    complaint[0] = '\0';
    if (pipe(out) != 0 || pipe(failed) != 0 || fcntl(out[0], F_SETFD, FD_CLOEXEC) != 0 ||
        fcntl(out[1], F_SETFD, FD_CLOEXEC) != 0 || fcntl(failed[0], F_SETFD, FD_CLOEXEC) != 0 ||
        fcntl(failed[1], F_SETFD, FD_CLOEXEC) != 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: no pipe: %s", gnuplot, strerror(errno));
        goto done;
    }
    pid_t pid = fork();
    if (pid < 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: cannot start: %s", gnuplot, strerror(errno));
        goto done;
    }
    if (pid == 0) {
        child(gnuplot, folder, script, out[1], failed[1]);
    }
    (void)close(out[1]);
    (void)close(failed[1]);
    out[1] = failed[1] = -1;
    size_t n = read_all(out[0], said, sizeof said);
    *absent = read_all(failed[0], (char *)&reason, sizeof reason) > 0;
    while (waitpid(pid, &code, 0) < 0 && errno == EINTR) {
    }
    if (!*absent && (!WIFEXITED(code) || WEXITSTATUS(code) != 0)) {
        first_line(complaint, said, n);
    }
done:
    for (int i = 0; i < 2; i++) {
        if (out[i] >= 0) {
            (void)close(out[i]);
        }
        if (failed[i] >= 0) {
            (void)close(failed[i]);
        }
    }
    return status;
}

/* ---- pictures ---- */

static void put_bytes(sc_report_text *out, const char *bytes, size_t length)
{
    if (out->status == SEMCAL_OK) {
        out->status = sc_text_append(&out->text, bytes, length, out->error);
    }
}

/* "rgb(  0, 114, 178)" -> "#0072b2". Returns the bytes taken, 0 when it is none. */
static size_t colour(sc_report_text *out, const char *at)
{
    if (strncmp(at, "rgb(", 4) != 0) {
        return 0;
    }
    const char *p = at + 4;
    long parts[3];
    for (int i = 0; i < 3; i++) {
        char *end;
        parts[i] = strtol(p, &end, 10);
        if (end == p || parts[i] < 0 || parts[i] > 255 || *end != (i < 2 ? ',' : ')')) {
            return 0;
        }
        p = end + 1;
    }
    sc_report_put(out, "#%02lx%02lx%02lx", parts[0], parts[1], parts[2]);
    return (size_t)(p - at);
}

/* Colours in one spelling; names of parts carry the figure's number, as many figures stand on one page; gnuplot's own
 * titles would pop up as tooltips. */
static void normalise(sc_report_text *out, const char *raw, size_t number)
{
    static const char *const names[] = {"id='", "id=\"", "href='#", "href=\"#", "url(#", "url('#", "url(\"#"};
    for (const char *at = raw; *at != '\0';) {
        static const char bold[] = ":Bold\"";
        size_t step = colour(out, at);
        if (step == 0 && strncmp(at, bold, sizeof bold - 1) == 0) {
            sc_report_put(out, "\" font-weight=\"bold\"");
            step = sizeof bold - 1;
        }
        if (step == 0 && strncmp(at, "<title>", 7) == 0) {
            const char *end = strstr(at, "</title>");
            step = end != NULL ? (size_t)(end - at) + 8 : 0;
        }
        if (step == 0 && strncmp(at, "<desc>", 6) == 0) {
            const char *end = strstr(at, "</desc>");
            step = end != NULL ? (size_t)(end - at) + 7 : 0;
        }
        for (size_t i = 0; i < sizeof names / sizeof *names && step == 0; i++) {
            size_t n = strlen(names[i]);
            if (strncmp(at, names[i], n) == 0) {
                put_bytes(out, at, n);
                sc_report_put(out, "f%zu-", number);
                step = n;
            }
        }
        if (step == 0) {
            put_bytes(out, at, 1);
            step = 1;
        }
        at += step;
    }
}

void sc_report_svg_style(sc_report_text *out, const char *scope)
{
    static const char *const properties[] = {"fill", "stroke", "color"};
    for (size_t i = 0; i < sc_report_n_colours; i++) {
        const sc_report_colour *c = &sc_report_palette[i];
        for (size_t p = 0; p < 3; p++) {
            sc_report_put(out, "%s [%s=\"%s\"]{%s:%s}", scope, properties[p], c->light, properties[p], c->dark);
        }
    }
}

semcal_status sc_report_svg(sc_report_text *standalone, char **inside, const char *raw, const sc_report_figure *figure,
                            size_t number, semcal_error *error)
{
    sc_report_text clean, page;
    sc_report_text_init(&clean, error);
    sc_report_text_init(&page, error);
    normalise(&clean, raw, number);
    const char *svg = clean.text.data != NULL ? strstr(clean.text.data, "<svg") : NULL;
    const char *body = svg != NULL ? strchr(svg, '>') : NULL;
    semcal_status status = clean.status;
    if (status == SEMCAL_OK && body == NULL) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s.svg: gnuplot wrote no picture", figure->name);
    }
    if (status == SEMCAL_OK) {
        put_bytes(standalone, clean.text.data, (size_t)(svg - clean.text.data));
        for (int which = 0; which < 2; which++) {
            sc_report_text *out = which == 0 ? standalone : &page;
            sc_report_put(out, "<svg role=\"img\"");
            put_bytes(out, svg + 4, (size_t)(body + 1 - svg) - 4);
            sc_report_put(out, "\n<title>");
            sc_report_put_html(out, figure->title, 0);
            sc_report_put(out, "</title>\n");
            if (which == 0) {
                sc_report_put(out, "<desc>");
                sc_report_put_html(out, figure->reading, 0);
                sc_report_put(out, "</desc>\n<style>@media (prefers-color-scheme: dark){");
                sc_report_svg_style(out, "svg");
                sc_report_put(out, "}</style>\n");
            }
            put_bytes(out, body + 1, strlen(body + 1));
        }
        status = standalone->status != SEMCAL_OK ? standalone->status : page.status;
    }
    if (status == SEMCAL_OK) {
        *inside = page.text.data;
        page.text = (sc_text){0};
    }
    sc_report_text_free(&clean);
    sc_report_text_free(&page);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <utf8proc.h>

struct sc_log {
    int fd; /* -1: no file */
    char *path;
    sc_log_sink sink;
    sc_log_level sink_level;
    void *payload;
    pthread_mutex_t lock;
    bool torn; /* the file does not end in a newline */
    semcal_error error;
};

const char *sc_log_level_name(sc_log_level level)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    return names[level];
}

/* A file whose last line was cut by a crash gets its newline before anything is added. */
static bool ends_torn(int fd)
{
    off_t end = lseek(fd, 0, SEEK_END);
    char last = '\n';
    return end > 0 && pread(fd, &last, 1, end - 1) == 1 && last != '\n';
}

semcal_status sc_log_open(sc_log **log, const char *path, sc_log_sink sink, sc_log_level sink_level, void *payload,
                          semcal_error *error)
{
    *log = NULL;
    sc_log *made = sc_memory_alloc(1, sizeof *made, error);
    if (made == NULL) {
        return SEMCAL_E_MEMORY;
    }
    made->fd = -1;
    made->sink = sink;
    made->sink_level = sink_level;
    made->payload = payload;
    (void)pthread_mutex_init(&made->lock, NULL);
    semcal_status status = SEMCAL_OK;
    if (path != NULL) {
        made->path = sc_memory_strdup(path, error);
        if (made->path == NULL) {
            status = SEMCAL_E_MEMORY;
            goto done;
        }
        made->fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
        if (made->fd < 0) {
            status = sc_error_set(error, SEMCAL_E_DATA, "%s: cannot open the log: %s", path, strerror(errno));
            goto done;
        }
        made->torn = ends_torn(made->fd);
    }
    *log = made;
    made = NULL;
done:
    (void)sc_log_close(made, NULL);
    return status;
}

static void append_string(sc_text *line, const char *text)
{
    (void)sc_text_append(line, "\"", 1, NULL);
    const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text;
    utf8proc_ssize_t left = (utf8proc_ssize_t)strlen(text);
    while (left > 0) {
        utf8proc_int32_t code;
        utf8proc_ssize_t n = utf8proc_iterate(at, left, &code);
        if (n < 1) {
            (void)sc_text_append(line, "\xEF\xBF\xBD", 3, NULL);
            n = 1;
        } else if (code == '"' || code == '\\') {
            (void)sc_text_printf(line, NULL, "\\%c", (char)code);
        } else if (code == '\n') {
            (void)sc_text_append(line, "\\n", 2, NULL);
        } else if (code < 0x20 || (code >= 0x7f && code < 0xa0)) {
            (void)sc_text_printf(line, NULL, "\\u%04x", (unsigned)code);
        } else {
            (void)sc_text_append(line, (const char *)at, (size_t)n, NULL);
        }
        at += n;
        left -= n;
    }
    (void)sc_text_append(line, "\"", 1, NULL);
}

static void append_field(sc_text *line, const sc_log_field *field)
{
    (void)sc_text_append(line, ", ", 2, NULL);
    append_string(line, field->name);
    (void)sc_text_append(line, ": ", 2, NULL);
    switch (field->kind) {
    case SC_LOG_TEXT:
        if (field->text != NULL) {
            append_string(line, field->text);
        } else {
            (void)sc_text_append(line, "null", 4, NULL);
        }
        break;
    case SC_LOG_INT:
        (void)sc_text_printf(line, NULL, "%lld", (long long)field->integer);
        break;
    case SC_LOG_REAL:
        if (isfinite(field->real)) {
            (void)sc_text_printf(line, NULL, "%.17g", field->real);
        } else {
            append_string(line, isnan(field->real) ? "nan" : field->real > 0 ? "inf" : "-inf");
        }
        break;
    case SC_LOG_BOOL:
        (void)sc_text_printf(line, NULL, "%s", field->integer != 0 ? "true" : "false");
        break;
    }
}

static void append_time(sc_text *line)
{
    struct timespec now = {0, 0};
    struct tm parts;
    char stamp[32] = "";
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &parts) != NULL) {
        (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &parts);
    }
    (void)sc_text_printf(line, NULL, "{\"time\": \"%s.%03dZ\"", stamp, (int)(now.tv_nsec / 1000000));
}

/* Under the lock. One write per line: O_APPEND keeps lines of several writers apart. */
static void write_line(sc_log *log, const sc_text *line)
{
    if (log->torn && write(log->fd, "\n", 1) != 1) {
        return;
    }
    log->torn = false;
    ssize_t n = write(log->fd, line->data, line->length);
    if (n < 0 || (size_t)n < line->length) {
        sc_error_set(&log->error, SEMCAL_E_DATA, "%s: cannot write the log: %s", log->path,
                     n < 0 ? strerror(errno) : "the disk is full");
        log->torn = n > 0;
    }
}

void sc_log_write(sc_log *log, sc_log_level level, const char *event, const char *message, const sc_log_field *fields,
                  size_t n_fields)
{
    if (log == NULL) {
        return;
    }
    sc_text line = {0};
    append_time(&line);
    (void)sc_text_printf(&line, NULL, ", \"level\": \"%s\", \"event\": ", sc_log_level_name(level));
    append_string(&line, event);
    if (message != NULL) {
        (void)sc_text_append(&line, ", \"message\": ", 13, NULL);
        append_string(&line, message);
    }
    for (size_t i = 0; i < n_fields; i++) {
        append_field(&line, &fields[i]);
    }
    bool whole = sc_text_append(&line, "}\n", 2, NULL) == SEMCAL_OK;
    (void)pthread_mutex_lock(&log->lock);
    if (!whole) {
        sc_error_set(&log->error, SEMCAL_E_MEMORY, "out of memory while logging '%s'", event);
    } else if (log->fd >= 0) {
        write_line(log, &line);
    }
    if (message != NULL && log->sink != NULL && level >= log->sink_level) {
        log->sink(level, message, log->payload);
    }
    (void)pthread_mutex_unlock(&log->lock);
    sc_text_free(&line);
}

semcal_status sc_log_close(sc_log *log, semcal_error *error)
{
    if (log == NULL) {
        return SEMCAL_OK;
    }
    if (log->fd >= 0) {
        /* Pipes and the like cannot be fsynced: that is no loss. */
        if (fsync(log->fd) != 0 && errno != EINVAL && errno != EROFS) {
            sc_error_set(&log->error, SEMCAL_E_DATA, "%s: cannot fsync the log: %s", log->path, strerror(errno));
        }
        (void)close(log->fd);
    }
    semcal_status status = log->error.status;
    if (status != SEMCAL_OK) {
        sc_error_set(error, status, "%s", log->error.message);
    }
    (void)pthread_mutex_destroy(&log->lock);
    free(log->path);
    free(log);
    return status;
}

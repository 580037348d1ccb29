/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a run: one JSON object per line in a file, and lines for people through a callback.
 *
 * A line is written by one append, so that several threads or processes can share a file and a crash cuts at most the
 * last line. Logging never fails the work it tells about: what went wrong while writing is told by sc_log_close.
 */
#ifndef SC_BASE_LOG_H
#define SC_BASE_LOG_H

#include "base/error.h"

#include <stdbool.h>

typedef enum sc_log_level { SC_LOG_DEBUG, SC_LOG_INFO, SC_LOG_WARNING, SC_LOG_ERROR } sc_log_level;

/* One named value of a line. Make them with the functions below. */
typedef struct sc_log_field {
    const char *name;
    enum { SC_LOG_TEXT, SC_LOG_INT, SC_LOG_REAL, SC_LOG_BOOL } kind;
    const char *text;
    int64_t integer; /* also the value of a BOOL */
    double real;
} sc_log_field;

static inline sc_log_field sc_log_text(const char *name, const char *value)
{
    return (sc_log_field){name, SC_LOG_TEXT, value, 0, 0};
}
static inline sc_log_field sc_log_int(const char *name, int64_t value)
{
    return (sc_log_field){name, SC_LOG_INT, NULL, value, 0};
}
static inline sc_log_field sc_log_real(const char *name, double value)
{
    return (sc_log_field){name, SC_LOG_REAL, NULL, 0, value};
}
static inline sc_log_field sc_log_bool(const char *name, bool value)
{
    return (sc_log_field){name, SC_LOG_BOOL, NULL, value, 0};
}

/* Receives the lines for people: `line` has no newline and lives during the call. Called under the log's lock. */
typedef void (*sc_log_sink)(sc_log_level level, const char *line, void *payload);

typedef struct sc_log sc_log;

/* Opens `path` for appending (NULL: no file). `sink` (may be NULL) gets the message of every line of at least
 * `sink_level`. SEMCAL_E_DATA when the file cannot be opened. */
semcal_status sc_log_open(sc_log **log, const char *path, sc_log_sink sink, sc_log_level sink_level, void *payload,
                          semcal_error *error);

/* Appends {"time": "2025-01-31T12:00:00.123Z", "level": "info", "event": ..., "message": ..., fields...}. `event` is a
 * short stable name ("cell_done"); `message` is for people, NULL: a line for the file only. A NaN or infinite real is
 * written as the text "nan", "inf" or "-inf", text that is not UTF-8 with U+FFFD in place of its bad bytes. Any thread
 * may call; `log` may be NULL. */
void sc_log_write(sc_log *log, sc_log_level level, const char *event, const char *message, const sc_log_field *fields,
                  size_t n_fields);

/* sc_log_write with the fields as arguments: sc_log_event(log, SC_LOG_INFO, "cell_done", NULL, sc_log_int("n", 3)). */
#define sc_log_event(log, level, event, message, ...)                                                                  \
    sc_log_write((log), (level), (event), (message), (const sc_log_field[]){__VA_ARGS__},                              \
                 sizeof((const sc_log_field[]){__VA_ARGS__}) / sizeof(sc_log_field))

/* fsyncs and closes; tells the first write that failed. `log` may be NULL. */
semcal_status sc_log_close(sc_log *log, semcal_error *error);

/* "debug", "info", "warning", "error". */
const char *sc_log_level_name(sc_log_level level);

#endif

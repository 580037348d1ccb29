/* SPDX-License-Identifier: Apache-2.0 */
/* RUN/judge: what a judge said, a line of JSON per response, added as it is said. */
#define _XOPEN_SOURCE 700 /* getline */
#include "experiment/judge_internal.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "formats/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Over all that makes the line what it is. */
static semcal_status check_of(char check[65], const sc_judged *j, const char *key, const char *text, bool cut,
                              semcal_error *error)
{
    sc_text all = {0};
    semcal_status status = sc_text_printf(&all, error, "%s %s %d %s", j->sha256, key, (int)cut, text);
    if (status == SEMCAL_OK) {
        sc_sha256_hex(check, all.data, all.length);
        check[16] = '\0';
    }
    sc_text_free(&all);
    return status;
}

/* A line that is torn, or not what was written, is passed over: its response will be judged again. */
static semcal_status take_line(sc_judged *j, const char *line, size_t length, semcal_error *error)
{
    json_t *row = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
    const char *key = json_string_value(json_object_get(row, "key"));
    const char *text = json_string_value(json_object_get(row, "short_answer"));
    const char *stored = json_string_value(json_object_get(row, "check"));
    const json_t *cut = json_object_get(row, "cut");
    sc_judged_entry *entry = key != NULL && strlen(key) == 64 ? sc_judged_find(j, key) : NULL;
    semcal_status status = SEMCAL_OK;
    if (entry != NULL && entry->text == NULL && text != NULL && stored != NULL && json_is_boolean(cut)) {
        char check[65];
        status = check_of(check, j, key, text, json_is_true(cut), error);
        if (status == SEMCAL_OK && strcmp(check, stored) == 0) {
            status = sc_judged_set(entry, text, strlen(text), json_is_true(cut), error);
        }
        if (entry->text != NULL) {
            sc_judged_settle(entry);
        }
    }
    json_decref(row);
    return status;
}

/* `*torn` tells that the file ends within a line. */
static semcal_status read_replies(bool *torn, sc_judged *j, const char *path, semcal_error *error)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    semcal_status status = SEMCAL_OK;
    *torn = false;
    if (file == NULL) {
        return errno == ENOENT ? SEMCAL_OK
                               : sc_error_set(error, SEMCAL_E_DATA, "%s: cannot open: %s", path, strerror(errno));
    }
    while (status == SEMCAL_OK && (length = getline(&line, &capacity, file)) > 0) {
        *torn = line[length - 1] != '\n';
        status = take_line(j, line, (size_t)length, error);
    }
    if (status == SEMCAL_OK && ferror(file)) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: cannot read: %s", path, strerror(errno));
    }
    free(line);
    (void)fclose(file);
    return status;
}

static semcal_status put_json(sc_text *out, json_t *row, semcal_error *error)
{
    semcal_status status =
        row == NULL ? sc_error_set(error, SEMCAL_E_MEMORY, "out of memory") : sc_json_append(out, row, false, error);
    json_decref(row);
    return status == SEMCAL_OK ? sc_text_append(out, "\n", 1, error) : status;
}

/* The first line says who judged. */
static semcal_status put_head(sc_text *out, const sc_judged *j, semcal_error *error)
{
    json_t *row = json_object();
    for (size_t i = 0; i < j->n_attributes; i++) {
        (void)json_object_set_new(row, j->attributes[i].name, json_string(j->attributes[i].text));
    }
    return put_json(out, row, error);
}

static semcal_status write_waiting(sc_judge_file *file, semcal_error *error)
{
    size_t done = 0;
    while (done < file->waiting.length) {
        const ssize_t n = write(file->fd, file->waiting.data + done, file->waiting.length - done);
        if (n < 0 && errno != EINTR) {
            return sc_error_set(error, SEMCAL_E_DATA, "%s: cannot write: %s", file->path, strerror(errno));
        }
        done += n > 0 ? (size_t)n : 0;
    }
    sc_text_clear(&file->waiting);
    file->written_s = sc_clock_now_s();
    return fsync(file->fd) == 0
               ? SEMCAL_OK
               : sc_error_set(error, SEMCAL_E_DATA, "%s: cannot write: %s", file->path, strerror(errno));
}

semcal_status sc_judge_file_open(sc_judge_file *file, sc_judged *j, semcal_error *error)
{
    *file = (sc_judge_file){.fd = -1, .written_s = sc_clock_now_s()};
    if (j->options.folder == NULL) {
        return SEMCAL_OK;
    }
    char name[32];
    bool torn = false;
    (void)snprintf(name, sizeof name, "%.16s.jsonl", j->sha256);
    char *folder = sc_file_join(j->options.folder, "judge", error);
    semcal_status status = folder == NULL ? SEMCAL_E_MEMORY : sc_file_make_folder(folder, error);
    if (status == SEMCAL_OK) {
        file->path = sc_file_join(folder, name, error);
        status = file->path == NULL ? SEMCAL_E_MEMORY : read_replies(&torn, j, file->path, error);
    }
    if (status == SEMCAL_OK) {
        const bool fresh = !sc_file_exists(file->path);
        file->fd = open(file->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (file->fd < 0) {
            status = sc_error_set(error, SEMCAL_E_DATA, "%s: cannot open: %s", file->path, strerror(errno));
        } else if (fresh) {
            status = put_head(&file->waiting, j, error);
        } else if (torn) {
            status = sc_text_append(&file->waiting, "\n", 1, error);
        }
    }
    free(folder);
    return status;
}

semcal_status sc_judge_file_add(sc_judge_file *file, const sc_judged *j, const sc_judged_entry *entry,
                                semcal_error *error)
{
    if (file->fd < 0) {
        return SEMCAL_OK;
    }
    char check[65];
    semcal_status status = check_of(check, j, entry->key, entry->text, entry->cut, error);
    if (status == SEMCAL_OK) {
        status =
            put_json(&file->waiting,
                     json_pack("{s:s, s:s, s:s, s:s, s:b, s:s}", "key", entry->key, "id", entry->id, "response",
                               entry->response, "short_answer", entry->text, "cut", (int)entry->cut, "check", check),
                     error);
    }
    if (status == SEMCAL_OK && sc_clock_now_s() - file->written_s >= j->options.commit_seconds) {
        status = write_waiting(file, error);
    }
    return status;
}

semcal_status sc_judge_file_close(sc_judge_file *file, semcal_error *error)
{
    semcal_status status = file->fd >= 0 && file->waiting.length > 0 ? write_waiting(file, error) : SEMCAL_OK;
    if (file->fd >= 0) {
        (void)close(file->fd);
    }
    sc_text_free(&file->waiting);
    free(file->path);
    *file = (sc_judge_file){.fd = -1};
    return status;
}

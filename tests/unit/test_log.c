/* SPDX-License-Identifier: Apache-2.0 */
/* The log: every line is a JSON object, whatever the texts, the threads and a crash before. */
#include "base/file.h"
#include "base/log.h"
#include "base/parallel.h"
#include "check.h"

#include <jansson.h>
#include <unistd.h>

static char folder[] = "/tmp/semcal-log-XXXXXX";
static char path[64];

static int setup(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/log.jsonl", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

/* Line `i` of the file, parsed; NULL when it is no JSON object. */
static json_t *read_line(size_t i, size_t *n_lines)
{
    char *data;
    size_t length;
    semcal_error error = SEMCAL_ERROR_INIT;
    check_ok(sc_file_read(&data, &length, path, &error), error);
    json_t *found = NULL;
    *n_lines = 0;
    char *rest = NULL;
    for (char *line = strtok_r(data, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        if ((*n_lines)++ == i) {
            found = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        }
    }
    free(data);
    return found;
}

static void count_messages(sc_log_level level, const char *line, void *payload)
{
    assert_true(level >= SC_LOG_WARNING);
    assert_string_equal(line, "disk is \"nearly\" full");
    ++*(int *)payload;
}

static void lines_are_json(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_log *log;
    int n_messages = 0;
    check_ok(sc_log_open(&log, path, count_messages, SC_LOG_WARNING, &n_messages, &error), error);
    sc_log_event(log, SC_LOG_INFO, "cell_done", "quiet", sc_log_text("cell", "base.\"x\"\n\t\x01\xff\xc3\xa9"),
                 sc_log_int("questions", -7), sc_log_real("wall_s", 0.1), sc_log_real("bad", NAN),
                 sc_log_real("worse", -INFINITY), sc_log_bool("resumed", true), sc_log_text("none", NULL));
    sc_log_write(log, SC_LOG_WARNING, "disk", "disk is \"nearly\" full", NULL, 0);
    check_ok(sc_log_close(log, &error), error);
    assert_int_equal(n_messages, 1);
    size_t n;
    json_t *line = read_line(0, &n);
    assert_int_equal(n, 2);
    assert_non_null(line);
    assert_string_equal(json_string_value(json_object_get(line, "cell")), "base.\"x\"\n\t\x01\xef\xbf\xbd\xc3\xa9");
    assert_string_equal(json_string_value(json_object_get(line, "level")), "info");
    assert_string_equal(json_string_value(json_object_get(line, "event")), "cell_done");
    assert_int_equal(json_integer_value(json_object_get(line, "questions")), -7);
    assert_true(json_real_value(json_object_get(line, "wall_s")) == 0.1);
    assert_string_equal(json_string_value(json_object_get(line, "bad")), "nan");
    assert_string_equal(json_string_value(json_object_get(line, "worse")), "-inf");
    assert_true(json_is_true(json_object_get(line, "resumed")));
    assert_true(json_is_null(json_object_get(line, "none")));
    const char *time = json_string_value(json_object_get(line, "time"));
    assert_int_equal(strlen(time), 24);
    assert_int_equal(time[10], 'T');
    assert_int_equal(time[23], 'Z');
    json_decref(line);
}

/* A line cut by a crash stays alone: the next log begins on a line of its own. */
static void torn_lines_are_ended(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    check_ok(sc_file_write_atomic(path, "{\"event\": \"cu", 13, &error), error);
    sc_log *log;
    check_ok(sc_log_open(&log, path, NULL, SC_LOG_INFO, NULL, &error), error);
    sc_log_write(log, SC_LOG_INFO, "start", NULL, NULL, 0);
    check_ok(sc_log_close(log, &error), error);
    size_t n;
    json_t *line = read_line(1, &n);
    assert_int_equal(n, 2);
    assert_non_null(line);
    json_decref(line);
}

static semcal_status write_some(size_t i, unsigned thread, void *payload, semcal_error *error)
{
    (void)thread;
    (void)error;
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    sc_log_event(payload, SC_LOG_INFO, "item", NULL, sc_log_int("i", (int64_t)i), sc_log_text("text", text));
    return SEMCAL_OK;
}

static void threads_do_not_mix_lines(void **state)
{
    (void)state;
    (void)unlink(path);
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_log *log;
    check_ok(sc_log_open(&log, path, NULL, SC_LOG_INFO, NULL, &error), error);
    check_ok(sc_parallel_for(500, 4, write_some, log, &error), error);
    check_ok(sc_log_close(log, &error), error);
    size_t n = 1;
    bool seen[500] = {false};
    for (size_t i = 0; i < n; i += 7) {
        json_t *line = read_line(i, &n);
        assert_non_null(line);
        seen[json_integer_value(json_object_get(line, "i"))] = true;
        json_decref(line);
    }
    assert_int_equal(n, 500);
    size_t n_seen = 0;
    for (size_t i = 0; i < 500; i++) {
        n_seen += seen[i];
    }
    assert_int_equal(n_seen, 72);
}

static void failures_are_told_at_the_end(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_log *log;
    check_error(sc_log_open(&log, folder, NULL, SC_LOG_INFO, NULL, &error), error, SEMCAL_E_DATA, folder);
    assert_null(log);
    sc_log_write(NULL, SC_LOG_INFO, "nothing", NULL, NULL, 0);
    check_ok(sc_log_close(NULL, &error), error);
    if (access("/dev/full", W_OK) == 0) {
        check_ok(sc_log_open(&log, "/dev/full", NULL, SC_LOG_INFO, NULL, &error), error);
        sc_log_write(log, SC_LOG_INFO, "lost", NULL, NULL, 0);
        check_error(sc_log_close(log, &error), error, SEMCAL_E_DATA, "/dev/full: cannot write the log: No space left");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_json),
        cmocka_unit_test(torn_lines_are_ended),
        cmocka_unit_test(threads_do_not_mix_lines),
        cmocka_unit_test(failures_are_told_at_the_end),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The store of a run when files are damaged, writers are killed, a second one comes, the disk is full. */
#include "store_run.h"

#include "base/file.h"
#include "experiment/store_internal.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static void change_file(const char *path, long at, int cut)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    char *bytes;
    size_t length;
    check_ok(sc_file_read(&bytes, &length, path, &error), error);
    size_t where = at >= 0 ? (size_t)at : length - (size_t)-at;
    bytes[where] = (char)(bytes[where] ^ 0x20);
    check_ok(sc_file_write_atomic(path, bytes, cut ? length / 2 : length, &error), error);
    free(bytes);
}

/* Byte position of a text in a file. */
static long find_bytes(const char *path, const char *text)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    char *bytes;
    size_t length, n = strlen(text);
    long found = -1;
    check_ok(sc_file_read(&bytes, &length, path, &error), error);
    for (size_t i = 0; i + n <= length && found < 0; i++) {
        found = memcmp(bytes + i, text, n) == 0 ? (long)i : -1;
    }
    free(bytes);
    assert_true(found >= 0);
    return found;
}

static void damaged_segments_are_done_again(void **state)
{
    (void)state;
    char wanted[65], hex[65], path[200];
    expected_digest(wanted);
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_store_options options = options_of(1000);
    options.log = keep_log;
    n_logged = 0;
    sc_store *store;
    for (unsigned part = 0; part < 4; part++) {
        check_ok(sc_store_open(&store, run, "c", &options, &error), error);
        for (unsigned i = 10 * part; i < 10 * part + 10; i++) {
            check_ok(append(store, i, 0, &error), error);
        }
        check_ok(sc_store_close(&store, &error), error);
    }
    /* A changed text (no checksum of HDF5 covers texts), a cut file, an empty one, a half-written temporary one. */
    (void)snprintf(path, sizeof path, "%s/cells/c.segments/000001.h5", run);
    change_file(path, find_bytes(path, "What is 3?"), 0);
    (void)snprintf(path, sizeof path, "%s/cells/c.segments/000002.h5", run);
    change_file(path, 3000, 1);
    (void)snprintf(path, sizeof path, "%s/cells/c.segments/000003.h5", run);
    check_ok(sc_file_write_atomic(path, "", 0, &error), error);
    (void)snprintf(path, sizeof path, "%s/cells/c.segments/000005.h5.tmp", run);
    check_ok(sc_file_write_atomic(path, "half", 4, &error), error);
    check_ok(sc_store_open(&store, run, "c", &options, &error), error);
    assert_int_equal(n_logged, 3);
    assert_non_null(strstr(last_log, "discarded a damaged segment"));
    assert_int_equal(sc_store_n_committed(store), 10);
    assert_false(sc_file_exists(path));
    assert_true(sc_store_wants(store, 3) && !sc_store_wants(store, 33));
    append_all(store, 1, 1);
    check_ok(sc_store_finish(store, NULL, 0, &error), error);
    check_ok(sc_store_close(&store, &error), error);
    read_digest(hex, cell_path);
    assert_string_equal(hex, wanted);
}

/* A file that was changed on purpose and sealed again. */
static void seal_again(const char *path)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    char *bytes;
    size_t length, seal = strlen("\nsemcal sha256 ") + 65;
    check_ok(sc_file_read(&bytes, &length, path, &error), error);
    check_ok(sc_file_write_atomic(path, bytes, length - seal, &error), error);
    check_ok(sc_store_seal(path, &error), error);
    free(bytes);
}

static void verify_finds_damage(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_store_options options = options_of(1000);
    findings f = {0};
    check_error(sc_store_verify(run, keep_finding, &f, &error), error, SEMCAL_E_DATA, "cells: cannot list");
    sc_store *store;
    check_ok(sc_store_open(&store, run, "c", &options, &error), error);
    check_ok(append(store, 1, 0, &error), error);
    check_ok(sc_store_close(&store, &error), error);
    check_error(sc_store_verify(run, keep_finding, &f, &error), error, SEMCAL_E_DATA, "1 problem");
    assert_non_null(strstr(f.last_bad, "not finished, 1 of 60 questions"));
    finish_run(&options, 1, 0);
    f = (findings){0};
    check_ok(sc_store_verify(run, keep_finding, &f, &error), error);
    assert_int_equal(f.n_good, 2); /* the cell; everything */
    char *bytes;
    size_t length;
    check_ok(sc_file_read(&bytes, &length, cell_path, &error), error);
    /* Wherever a bit flips. HDF5 itself crashes on some of these files, so it must not see them. */
    sc_random_stream random;
    sc_random_stream_init(&random, 5, 5);
    for (unsigned i = 0; i < 300; i++) {
        size_t at = sc_random_below(&random, (uint32_t)length);
        int bit = 1 << sc_random_below(&random, 8);
        bytes[at] = (char)(bytes[at] ^ bit);
        check_ok(sc_file_write_atomic(cell_path, bytes, length, &error), error);
        f = (findings){0};
        check_error(sc_store_verify(run, keep_finding, &f, &error), error, SEMCAL_E_DATA, "1 problem");
        bytes[at] = (char)(bytes[at] ^ bit);
    }
    check_ok(sc_file_write_atomic(cell_path, bytes, length / 2, &error), error);
    check_error(sc_store_verify(run, NULL, NULL, &error), error, SEMCAL_E_DATA, "1 problem");
    check_ok(sc_file_write_atomic(cell_path, bytes, length, &error), error);
    check_ok(sc_store_verify(run, NULL, NULL, &error), error);
    free(bytes);
}

static void verify_recomputes_digests(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_store_options options = options_of(1000);
    findings f = {0};
    finish_run(&options, 1, 0);
    change_file(cell_path, find_bytes(cell_path, "What is 41?"), 0);
    seal_again(cell_path);
    check_error(sc_store_verify(run, keep_finding, &f, &error), error, SEMCAL_E_DATA, "1 problem");
    assert_non_null(strstr(f.last_bad, "question 41 (q41) does not match its digest"));
}

/* A child appends slowly and tells each commit; it is killed at a random moment. Nothing it told may be lost. */
static void killed_writers_lose_nothing_committed(void **state)
{
    (void)state;
    char wanted[65], hex[65];
    expected_digest(wanted);
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_store_options options = options_of(2);
    options.log = keep_log;
    sc_random_stream random;
    sc_random_stream_init(&random, (uint64_t)time(NULL), 1);
    unsigned n_kills = 0;
    for (bool finished = false; !finished && n_kills < 40; n_kills++) {
        int channel[2];
        assert_int_equal(pipe(channel), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            sc_store *store;
            if (sc_store_open(&store, run, "c", &options, &error) != SEMCAL_OK) {
                _exit(2);
            }
            for (unsigned i = 0; i < N_QUESTIONS; i++) {
                if (!sc_store_wants(store, i)) {
                    continue;
                }
                uint64_t told;
                if (append(store, i, n_kills, &error) != SEMCAL_OK ||
                    (i % 3 == 0 && sc_store_commit(store, &error) != SEMCAL_OK)) {
                    _exit(2);
                }
                told = sc_store_n_committed(store);
                if (write(channel[1], &told, sizeof told) != sizeof told) {
                    _exit(2);
                }
            }
            _exit(sc_store_finish(store, NULL, 0, &error) == SEMCAL_OK ? 0 : 2);
        }
        (void)close(channel[1]);
        const struct timespec nap = {0, (long)(20000000 + sc_random_below(&random, 180000000))};
        (void)nanosleep(&nap, NULL);
        (void)kill(child, SIGKILL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
        uint64_t told = 0, next;
        while (read(channel[0], &next, sizeof next) == sizeof next) {
            told = next;
        }
        (void)close(channel[0]);
        sc_store *store;
        n_logged = 0;
        check_ok(sc_store_open(&store, run, "c", &options, &error), error);
        assert_int_equal(n_logged, 0);
        assert_true(sc_store_n_committed(store) >= told);
        finished = sc_store_is_finished(store);
        check_ok(sc_store_close(&store, &error), error);
    }
    print_message("%u rounds\n", n_kills);
    finish_run(&options, 1, 0);
    read_digest(hex, cell_path);
    assert_string_equal(hex, wanted);
}

static void two_writers_are_refused(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_store_options options = options_of(2);
    sc_store *store;
    check_ok(sc_store_open(&store, run, "c", &options, &error), error);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        sc_store *other;
        semcal_status status = sc_store_open(&other, run, "c", &options, &error);
        _exit(status == SEMCAL_E_CONFIG && strstr(error.message, "another process") != NULL ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    check_ok(sc_store_close(&store, &error), error);
}

/* HDF5 leaks what it could not write; a leak checker must not see that, exit handlers are to run otherwise. */
static void end_child(int code)
{
#if defined(__SANITIZE_ADDRESS__)
    _exit(code);
#else
    exit(code);
#endif
}

/* The limit on the size of a file stands for a full disk: writing fails in the middle. */
static void full_disk_loses_nothing_committed(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_store_options options = options_of(1000);
    sc_store *store;
    check_ok(sc_store_open(&store, run, "c", &options, &error), error);
    check_ok(append(store, 0, 0, &error), error);
    check_ok(sc_store_close(&store, &error), error);
    for (int at_finish = 0; at_finish < 2; at_finish++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)signal(SIGXFSZ, SIG_IGN);
            semcal_status status = sc_store_open(&store, run, "c", &options, &error);
            for (unsigned i = 1; i < N_QUESTIONS && status == SEMCAL_OK; i++) {
                status = sc_store_wants(store, i) ? append(store, i, 0, &error) : SEMCAL_OK;
            }
            if (status == SEMCAL_OK && at_finish) {
                status = sc_store_commit(store, &error);
            }
            const struct rlimit limit = {30000, 30000};
            (void)setrlimit(RLIMIT_FSIZE, &limit);
            bool good = status == SEMCAL_OK;
            status = at_finish ? sc_store_finish(store, NULL, 0, &error) : sc_store_commit(store, &error);
            good = good && status == SEMCAL_E_DATA && strstr(error.message, "File too large") != NULL &&
                   strstr(error.message, run) == error.message && strchr(error.message, '\n') == NULL;
            if (!good) {
                fprintf(stderr, "%d %s\n", (int)status, error.message);
            }
            (void)sc_store_close(&store, NULL);
            end_child(good ? 0 : 1);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        check_ok(sc_store_open(&store, run, "c", &options, &error), error);
        assert_int_equal(sc_store_n_committed(store), at_finish ? N_QUESTIONS : 1);
        check_ok(sc_store_close(&store, &error), error);
    }
    finish_run(&options, 1, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(damaged_segments_are_done_again, new_run),
        cmocka_unit_test_setup(verify_finds_damage, new_run),
        cmocka_unit_test_setup(verify_recomputes_digests, new_run),
        cmocka_unit_test_setup(killed_writers_lose_nothing_committed, new_run),
        cmocka_unit_test_setup(two_writers_are_refused, new_run),
        cmocka_unit_test_setup(full_disk_loses_nothing_committed, new_run),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

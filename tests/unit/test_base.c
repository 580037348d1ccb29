/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/nearest.h"
#include "base/numeric.h"
#include "base/parallel.h"
#include "base/random.h"
#include "check.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Known-answer vectors of the Random123 distribution (kat_vectors, philox4x32 10). */
static void philox_known_answers(void **state)
{
    (void)state;
    uint32_t out[4];
    const uint32_t zero[4] = {0, 0, 0, 0}, key0[2] = {0, 0};
    sc_philox(out, zero, key0);
    const uint32_t want0[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    assert_memory_equal(out, want0, sizeof out);
    const uint32_t ones[4] = {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, key1[2] = {0xffffffff, 0xffffffff};
    sc_philox(out, ones, key1);
    const uint32_t want1[4] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
    assert_memory_equal(out, want1, sizeof out);
    const uint32_t pi[4] = {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, key2[2] = {0xa4093822, 0x299f31d0};
    sc_philox(out, pi, key2);
    const uint32_t want2[4] = {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1};
    assert_memory_equal(out, want2, sizeof out);
}

static void error_keeps_the_first(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    assert_int_equal(sc_error_where(&error, "nothing"), SEMCAL_OK);
    assert_int_equal(sc_error_set(&error, SEMCAL_E_DATA, "bad %d", 7), SEMCAL_E_DATA);
    sc_error_set(&error, SEMCAL_E_DEVICE, "later");
    sc_error_where(&error, "file.yaml:%d", 3);
    assert_string_equal(error.message, "file.yaml:3: bad 7");
    assert_int_equal(error.status, SEMCAL_E_DATA);
    sc_error_clear(&error);
    sc_error_set(&error, SEMCAL_E_DATA, "key 'a\nb\x1b[31m'");
    sc_error_where(&error, "odd\tname");
    assert_string_equal(error.message, "odd name: key 'a b [31m'");
    char huge[3 * SEMCAL_ERROR_SIZE];
    memset(huge, 'x', sizeof huge);
    huge[sizeof huge - 1] = '\0';
    sc_error_clear(&error);
    sc_error_set(&error, SEMCAL_E_DATA, "%s", huge);
    sc_error_where(&error, "where");
    assert_memory_equal(error.message, "where: xxx", 10);
    assert_int_equal(strlen(error.message), SEMCAL_ERROR_SIZE - 1);
}

static void nearest_names(void **state)
{
    (void)state;
    const char *const names[] = {"draws", "temperature", "estimator"};
    assert_string_equal(sc_nearest_name("temprature", names, 3), "temperature");
    assert_string_equal(sc_nearest_name("darws", names, 3), "draws");
    assert_null(sc_nearest_name("zzzzzz", names, 3));
    assert_int_equal(sc_nearest_distance("abcd", "acbd"), 1);
}

static void numeric_helpers(void **state)
{
    (void)state;
    const double x[3] = {1000, 1000, -INFINITY};
    check_close(sc_log_sum_exp(x, 3), 1000 + log(2), 1e-12);
    check_close(sc_log_sum_exp(x + 2, 1), -INFINITY, 0);
    check_close(sc_log_add_exp(-INFINITY, 3), 3, 0);
    check_close(sc_log1m_exp(-1e-10), log(1e-10), 1e-9);
    check_close(sc_sigmoid(sc_logit(.3)), .3, 1e-15);
    check_close(sc_sigmoid(-1000), 0, 0);
    sc_sum sum = {0, 0};
    sc_sum_add(&sum, 1);
    sc_sum_add(&sum, 1e100);
    sc_sum_add(&sum, 1);
    sc_sum_add(&sum, -1e100);
    check_close(sc_sum_value(&sum), 2, 0);
    const double sorted[4] = {0, 1, 2, 3};
    check_close(sc_quantile_sorted(sorted, 4, .5), 1.5, 0);
    check_close(sc_quantile_sorted(sorted, 4, 1), 3, 0);
}

static semcal_status square(size_t i, unsigned thread, void *payload, semcal_error *error)
{
    (void)thread;
    if (i == 77777) {
        return sc_error_set(error, SEMCAL_E_NUMERIC, "item %zu", i);
    }
    ((double *)payload)[i] = (double)i * (double)i;
    return SEMCAL_OK;
}

static void parallel_loops(void **state)
{
    (void)state;
    static double out[100000];
    semcal_error error = SEMCAL_ERROR_INIT;
    check_ok(sc_parallel_for(50000, 4, square, out, &error), error);
    for (size_t i = 0; i < 50000; i++) {
        assert_true(out[i] == (double)i * (double)i);
    }
    check_ok(sc_parallel_for(0, 0, square, out, &error), error);
    check_error(sc_parallel_for(100000, 3, square, out, &error), error, SEMCAL_E_NUMERIC, "item 77777");
}

static void files_are_replaced_whole(void **state)
{
    (void)state;
    char folder[] = "/tmp/semcal-base-XXXXXX";
    assert_non_null(mkdtemp(folder));
    semcal_error error = SEMCAL_ERROR_INIT;
    char *deep = sc_file_join(folder, "a/b", &error), *path = sc_file_join(deep, "x.txt", &error);
    check_ok(sc_file_make_folder(deep, &error), error);
    check_ok(sc_file_write_atomic(path, "abc", 3, &error), error);
    char *data;
    size_t length;
    check_ok(sc_file_read(&data, &length, path, &error), error);
    assert_string_equal(data, "abc");
    free(data);
    char hex[65], again[65];
    check_ok(sc_file_sha256(hex, path, &error), error);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sc_sha256_hex(again, "abc", 3);
    assert_string_equal(hex, again);
    check_error(sc_file_read(&data, &length, folder, &error), error, SEMCAL_E_DATA, "directory");
    check_error(sc_file_make_folder(path, &error), error, SEMCAL_E_DATA, path);
    char **names;
    size_t n;
    check_ok(sc_file_list(&names, &n, deep, ".txt", &error), error);
    assert_int_equal(n, 1);
    sc_file_list_free(names, n);
    (void)unlink(path);
    (void)rmdir(deep);
    free(path);
    free(deep);
}

static void streams_are_uniform(void **state)
{
    (void)state;
    sc_random_stream stream;
    sc_random_stream_init(&stream, sc_random_key(1, "test", ""), 5);
    double sum = 0;
    int counts[3] = {0, 0, 0};
    for (int i = 0; i < 300000; i++) {
        sum += sc_random_unit(&stream);
        counts[sc_random_below(&stream, 3)]++;
    }
    check_close(sum / 300000, .5, .003);
    for (int i = 0; i < 3; i++) {
        check_close(counts[i] / 300000.0, 1.0 / 3, .005);
    }
    assert_true(sc_random_key(1, "a", "bc") != sc_random_key(1, "ab", "c"));
    assert_true(sc_random_uniform(1, 2, 3, 4) != sc_random_uniform(1, 2, 4, 3));
}

/* A process of its own, whose age its parent knows. */
static void processes_know_their_age(void **state)
{
    (void)state;
    if (isnan(sc_clock_process_s())) {
        skip(); /* no /proc */
    }
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const double began = sc_clock_now_s();
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
        const double age_s = sc_clock_process_s();
        _exit(write(ends[1], &age_s, sizeof age_s) != (ssize_t)sizeof age_s);
    }
    double age_s;
    assert_int_equal(read(ends[0], &age_s, sizeof age_s), sizeof age_s);
    assert_true(age_s > .2 - .02 && age_s < sc_clock_now_s() - began + .02);
    int code;
    assert_true(waitpid(child, &code, 0) == child && code == 0);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* A heap that was given 24 MB back keeps requests of that size to itself, and hands out the pages it has. */
static void large_memory_comes_from_the_system(void **state)
{
    (void)state;
    char *before = malloc(24u << 20);
    assert_non_null(before);
    memset(before, 1, 24u << 20);
    free(before);
    const size_t sizes[] = {1, 5000, 1u << 20, (2u << 20) + 1, 10u << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const bool large = sizes[i] >= 1u << 20;
        char *data = sc_memory_large(sizes[i], NULL);
        assert_non_null(data);
        assert_int_equal((uintptr_t)data % (large ? 2u << 20 : 4096u), 0);
        assert_true(!large || (data[0] == 0 && data[sizes[i] - 1] == 0));
        memset(data, 3, sizes[i]);
        const uintptr_t page = (uintptr_t)data;
        sc_memory_large_free(data, sizes[i]);
        assert_true(!large || (msync((void *)page, 4096, MS_ASYNC) != 0 && errno == ENOMEM)); /* nothing is there */
    }
    sc_memory_large_free(NULL, 10u << 20);
    const size_t impossible[] = {SIZE_MAX / 2, SIZE_MAX - 1};
    for (size_t i = 0; i < 2; i++) {
        semcal_error error = SEMCAL_ERROR_INIT;
        assert_null(sc_memory_large(impossible[i], &error));
        check_error(error.status, error, SEMCAL_E_MEMORY, "out of memory");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_known_answers),
        cmocka_unit_test(error_keeps_the_first),
        cmocka_unit_test(nearest_names),
        cmocka_unit_test(numeric_helpers),
        cmocka_unit_test(parallel_loops),
        cmocka_unit_test(files_are_replaced_whole),
        cmocka_unit_test(streams_are_uniform),
        cmocka_unit_test(processes_know_their_age),
        cmocka_unit_test(large_memory_comes_from_the_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

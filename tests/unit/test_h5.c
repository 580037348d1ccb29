/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "base/parallel.h"
#include "check.h"
#include "formats/h5.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/semcal-h5-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/x.h5", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void numbers_and_texts_round_trip(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_h5 *file;
    check_ok(sc_h5_create(&file, path, &error), error);
    check_ok(sc_h5_make_dimension(file, "question", 3, false, &error), error);
    check_ok(sc_h5_make_dimension(file, "draw", 2, false, &error), error);
    const sc_h5_spec specs[] = {
        {"x", SC_H5_F64, 2, {"question", "draw"}, 1, "a number", "nat"},
        {"n", SC_H5_I32, 1, {"question"}, 0, "a count", "1"},
        {"text", SC_H5_TEXT, 1, {"question"}, 1, "a text", ""},
    };
    for (size_t i = 0; i < 3; i++) {
        check_ok(sc_h5_make_dataset(file, &specs[i], &error), error);
    }
    const double x[6] = {1, 2.5, -INFINITY, (double)NAN, 5, 6};
    const int32_t n[3] = {-1, 0, INT32_MAX};
    const char *const texts[3] = {"h\xc3\xa9", NULL, "last"};
    check_ok(sc_h5_write(file, "x", SC_H5_F64, NULL, NULL, x, &error), error);
    check_ok(sc_h5_write(file, "n", SC_H5_I32, NULL, NULL, n, &error), error);
    check_ok(sc_h5_write(file, "text", SC_H5_TEXT, NULL, NULL, texts, &error), error);
    check_error(sc_h5_write(file, "x", SC_H5_F64, (uint64_t[]){2, 0}, (uint64_t[]){2, 2}, x, &error), error,
                SEMCAL_E_DATA, "'x': rows 2 to 4 of dimension 0 asked for, has 3");
    check_error(sc_h5_make_dataset(file, &(sc_h5_spec){"y", SC_H5_F64, 1, {"nowhere"}, 0, "", ""}, &error), error,
                SEMCAL_E_DATA, "no dimension 'nowhere'");
    check_ok(sc_h5_close(&file, &error), error);
    assert_null(file);

    check_ok(sc_h5_open(&file, path, false, &error), error);
    double y[6];
    check_ok(sc_h5_read(file, "x", SC_H5_F64, NULL, NULL, y, &error), error);
    assert_memory_equal(x, y, sizeof x);
    check_ok(sc_h5_read(file, "x", SC_H5_F64, (uint64_t[]){1, 1}, (uint64_t[]){2, 1}, y, &error), error);
    assert_true(isnan(y[0]) && y[1] == 6);
    int64_t wide[3];
    check_ok(sc_h5_read(file, "n", SC_H5_I64, NULL, NULL, wide, &error), error);
    assert_true(wide[0] == -1 && wide[2] == INT32_MAX);
    char *read[3];
    check_ok(sc_h5_read(file, "text", SC_H5_TEXT, NULL, NULL, read, &error), error);
    assert_string_equal(read[0], texts[0]);
    assert_string_equal(read[1], "");
    assert_string_equal(read[2], "last");
    for (size_t i = 0; i < 3; i++) {
        free(read[i]);
    }
    sc_h5_shape shape;
    check_ok(sc_h5_get_shape(&shape, file, "x", &error), error);
    assert_int_equal(shape.n_dims, 2);
    assert_string_equal(shape.dims[1], "draw");
    assert_string_equal(shape.storage, "float64");
    check_error(sc_h5_get_shape(&shape, file, "nothing", &error), error, SEMCAL_E_DATA, "no dataset 'nothing'");
    check_error(sc_h5_read(file, "n", SC_H5_TEXT, NULL, NULL, read, &error), error, SEMCAL_E_DATA,
                "'n' does not hold texts");
    char **names;
    bool *groups;
    size_t count;
    check_ok(sc_h5_list(&names, &groups, &count, file, "", &error), error);
    assert_int_equal(count, 5);
    assert_string_equal(names[0], "question");
    assert_string_equal(names[4], "text");
    assert_false(groups[0]);
    sc_file_list_free(names, count);
    free(groups);
    check_ok(sc_h5_close(&file, &error), error);
}

static void attributes_round_trip(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_h5 *file;
    check_ok(sc_h5_create(&file, path, &error), error);
    char *longest = malloc(200001);
    assert_non_null(longest);
    memset(longest, 'x', 200000);
    longest[200000] = '\0';
    check_ok(sc_h5_make_group(file, "a/b", &error), error);
    check_ok(sc_h5_set_text(file, "", "long", longest, &error), error);
    check_ok(sc_h5_set_text(file, "a/b", "t", "old", &error), error);
    check_ok(sc_h5_set_text(file, "a/b", "t", "", &error), error);
    check_ok(sc_h5_set_int(file, "", "n", -7, &error), error);
    check_ok(sc_h5_set_real(file, "", "x", .1, &error), error);
    const char *const list[] = {"one", "two"};
    check_ok(sc_h5_set_texts(file, "", "list", list, 2, &error), error);
    check_ok(sc_h5_set_texts(file, "", "none", list, 0, &error), error);
    check_ok(sc_h5_close(&file, &error), error);
    check_ok(sc_h5_open(&file, path, false, &error), error);
    char *text, **texts;
    size_t n;
    int64_t integer;
    double real;
    check_ok(sc_h5_get_text(&text, file, "", "long", &error), error);
    assert_string_equal(text, longest);
    free(text);
    check_ok(sc_h5_get_text(&text, file, "a/b", "t", &error), error);
    assert_string_equal(text, "");
    free(text);
    check_ok(sc_h5_get_int(&integer, file, "", "n", &error), error);
    assert_true(integer == -7);
    check_ok(sc_h5_get_real(&real, file, "", "x", &error), error);
    check_close(real, .1, 0);
    check_ok(sc_h5_get_texts(&texts, &n, file, "", "list", &error), error);
    assert_int_equal(n, 2);
    assert_string_equal(texts[1], "two");
    sc_file_list_free(texts, n);
    check_ok(sc_h5_get_texts(&texts, &n, file, "", "none", &error), error);
    assert_int_equal(n, 0);
    sc_file_list_free(texts, n);
    assert_true(sc_h5_has(file, "", "n") && !sc_h5_has(file, "", "m") && !sc_h5_has(file, "zz", "m"));
    check_error(sc_h5_get_text(&text, file, "", "absent", &error), error, SEMCAL_E_DATA, "no attribute 'absent'");
    check_error(sc_h5_get_text(&text, file, "", "list", &error), error, SEMCAL_E_DATA, "holds 2 texts");
    check_error(sc_h5_get_int(&integer, file, "", "absent", &error), error, SEMCAL_E_DATA, "'absent'");
    check_error(sc_h5_set_int(file, "", "n", 1, &error), error, SEMCAL_E_DATA, "cannot write attribute 'n'");
    char **names, **values;
    check_ok(sc_h5_list_attributes(&names, &values, &n, file, "", &error), error);
    assert_int_equal(n, 5);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], "list") == 0) {
            assert_string_equal(values[i], "one, two");
        }
    }
    sc_file_list_free(names, n);
    sc_file_list_free(values, n);
    check_ok(sc_h5_close(&file, &error), error);
    free(longest);
}

static void dimensions_grow(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_h5 *file;
    check_ok(sc_h5_create(&file, path, &error), error);
    check_ok(sc_h5_make_dimension(file, "row", 0, true, &error), error);
    check_ok(sc_h5_make_dimension(file, "top", 3, false, &error), error);
    const sc_h5_spec spec = {"x", SC_H5_F32, 2, {"row", "top"}, 4, "x", "1"};
    check_ok(sc_h5_make_dataset(file, &spec, &error), error);
    for (int i = 0; i < 100; i++) {
        const float rows[6] = {(float)i, 1, 2, (float)i + .5f, 4, 5};
        check_ok(sc_h5_append(file, "x", SC_H5_F32, 2, rows, &error), error);
    }
    check_ok(sc_h5_close(&file, &error), error);
    check_ok(sc_h5_open(&file, path, false, &error), error);
    sc_h5_shape shape;
    check_ok(sc_h5_get_shape(&shape, file, "row", &error), error);
    assert_int_equal(shape.length[0], 200);
    float row[3];
    check_ok(sc_h5_read(file, "x", SC_H5_F32, (uint64_t[]){199, 0}, (uint64_t[]){1, 3}, row, &error), error);
    check_close(row[0], 99.5, 0);
    check_ok(sc_h5_close(&file, &error), error);
}

static void deleted_datasets_can_be_made_again(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_h5 *file;
    check_ok(sc_h5_create(&file, path, &error), error);
    check_ok(sc_h5_make_dimension(file, "question", 4, false, &error), error);
    for (uint64_t round = 1; round < 4; round++) {
        if (round > 1) {
            check_ok(sc_h5_open(&file, path, true, &error), error);
            check_ok(sc_h5_delete(file, "c", &error), error);
            check_ok(sc_h5_delete(file, "q", &error), error);
            check_error(sc_h5_delete(file, "class", &error), error, SEMCAL_E_DATA, "still has datasets on it");
            check_ok(sc_h5_delete(file, "group", &error), error);
            check_ok(sc_h5_delete(file, "class", &error), error);
        }
        check_ok(sc_h5_make_dimension(file, "class", round, false, &error), error);
        check_ok(sc_h5_make_group(file, "group", &error), error);
        const sc_h5_spec specs[] = {
            {"c", SC_H5_F64, 1, {"class"}, 1, "c", "1"},
            {"q", SC_H5_F64, 1, {"question"}, 1, "q", "1"},
            {"group/q", SC_H5_F64, 2, {"question", "class"}, 1, "q", "1"},
        };
        for (size_t i = 0; i < 3; i++) {
            check_ok(sc_h5_make_dataset(file, &specs[i], &error), error);
        }
        check_ok(sc_h5_close(&file, &error), error);
    }
    check_ok(sc_h5_open(&file, path, false, &error), error);
    sc_h5_shape shape;
    check_ok(sc_h5_get_shape(&shape, file, "group/q", &error), error);
    assert_int_equal(shape.length[1], 3);
    assert_string_equal(shape.dims[0], "question");
    assert_string_equal(shape.dims[1], "class");
    check_error(sc_h5_delete(file, "absent", &error), error, SEMCAL_E_DATA, "cannot delete 'absent'");
    check_ok(sc_h5_close(&file, &error), error);
}

static void write_one(const char *name, size_t n, semcal_error *error)
{
    sc_h5 *file;
    double *x = malloc(n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) {
        x[i] = sin((double)i);
    }
    semcal_status status = sc_h5_create(&file, name, error);
    if (status == SEMCAL_OK) {
        const sc_h5_spec spec = {"x", SC_H5_F64, 1, {"row"}, 1, "x", "1"};
        (void)sc_h5_make_dimension(file, "row", n, false, error);
        (void)sc_h5_make_dataset(file, &spec, error);
        (void)sc_h5_write(file, "x", SC_H5_F64, NULL, NULL, x, error);
        (void)sc_h5_close(&file, error);
    }
    free(x);
}

static void damage_is_noticed(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_h5 *file;
    check_error(sc_h5_open(&file, "/nonexistent/x.h5", false, &error), error, SEMCAL_E_DATA,
                "/nonexistent/x.h5: cannot open as HDF5: No such file or directory");
    check_error(sc_h5_create(&file, "/nonexistent/x.h5", &error), error, SEMCAL_E_DATA, "cannot create");
    check_ok(sc_file_write_atomic(path, "no HDF5", 7, &error), error);
    check_error(sc_h5_open(&file, path, false, &error), error, SEMCAL_E_DATA, "cannot open as HDF5");
    write_one(path, 50000, &error);
    assert_int_equal(error.status, SEMCAL_OK);
    char *bytes;
    size_t length;
    check_ok(sc_file_read(&bytes, &length, path, &error), error);
    check_ok(sc_file_write_atomic(path, bytes, length / 2, &error), error);
    check_error(sc_h5_open(&file, path, false, &error), error, SEMCAL_E_DATA, "truncated");
    bytes[length / 2] = (char)(bytes[length / 2] ^ 4);
    check_ok(sc_file_write_atomic(path, bytes, length, &error), error);
    free(bytes);
    check_ok(sc_h5_open(&file, path, false, &error), error);
    double *x = malloc(50000 * sizeof *x);
    assert_non_null(x);
    check_error(sc_h5_read(file, "x", SC_H5_F64, NULL, NULL, x, &error), error, SEMCAL_E_DATA, "cannot read 'x'");
    free(x);
    check_ok(sc_h5_close(&file, &error), error);
}

/* Files may not grow beyond `bytes` from now on; the limit before. */
static struct rlimit limit_files(rlim_t bytes)
{
    struct rlimit limit;
    (void)getrlimit(RLIMIT_FSIZE, &limit);
    const struct rlimit tight = {bytes, limit.rlim_max};
    (void)setrlimit(RLIMIT_FSIZE, &tight);
    return limit;
}

/* Runs `body` in a child process, where a limit on the size of files does no harm to others; it must return true. */
static void check_in_child(bool (*body)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)signal(SIGXFSZ, SIG_IGN);
        exit(body() ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static bool write_on_full_disk(void)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    const struct rlimit limit = limit_files(100000);
    write_one(path, 200000, &error);
    bool good = error.status == SEMCAL_E_DATA && strstr(error.message, path) == error.message &&
                strstr(error.message, "File too large") != NULL && strchr(error.message, '\n') == NULL;
    if (!good) {
        fprintf(stderr, "%d %s\n", (int)error.status, error.message);
    }
    /* Life goes on: other files can be written, and the program ends in order. */
    char other[80];
    (void)snprintf(other, sizeof other, "%s/other.h5", folder);
    error = (semcal_error)SEMCAL_ERROR_INIT;
    (void)setrlimit(RLIMIT_FSIZE, &limit);
    write_one(other, 200000, &error);
    return good && error.status == SEMCAL_OK;
}

static void full_disk_is_one_clear_line(void **state)
{
    (void)state;
    check_in_child(write_on_full_disk);
}

/* What HDF5 keeps until a dataset is closed is lost when there is no room then: the write must tell, as room may be
 * there again when the file is closed. */
static bool write_into_cache(void)
{
    const sc_h5_spec spec = {"x", SC_H5_F64, 1, {"row"}, 0, "", "1"};
    static double x[4000];
    semcal_error error = SEMCAL_ERROR_INIT, closing = SEMCAL_ERROR_INIT;
    sc_h5 *file = NULL;
    bool good = sc_h5_create(&file, path, &error) == SEMCAL_OK &&
                sc_h5_make_dimension(file, "row", 4000, false, &error) == SEMCAL_OK &&
                sc_h5_make_dataset(file, &spec, &error) == SEMCAL_OK;
    const struct rlimit limit = limit_files(8000);
    good = good && sc_h5_write(file, "x", SC_H5_F64, NULL, NULL, x, &error) == SEMCAL_E_DATA &&
           strstr(error.message, "cannot write 'x': File too large") != NULL;
    (void)setrlimit(RLIMIT_FSIZE, &limit);
    (void)sc_h5_close(&file, &closing);
    if (!good) {
        fprintf(stderr, "%d %s; closing: %d\n", (int)error.status, error.message, (int)closing.status);
    }
    return good;
}

static void cached_writes_do_not_get_lost(void **state)
{
    (void)state;
    check_in_child(write_into_cache);
}

static semcal_status write_in_thread(size_t i, unsigned thread, void *payload, semcal_error *error)
{
    (void)thread;
    (void)payload;
    char name[80];
    (void)snprintf(name, sizeof name, "%s/%zu.h5", folder, i);
    semcal_error own = SEMCAL_ERROR_INIT, other = SEMCAL_ERROR_INIT;
    write_one(name, 1000 + i, &own);
    sc_h5 *file;
    /* An expected failure in one thread must not print or disturb the others. */
    if (own.status != SEMCAL_OK || sc_h5_open(&file, "/nonexistent/x.h5", false, &other) != SEMCAL_E_DATA) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s", own.message);
    }
    return SEMCAL_OK;
}

static void threads_take_turns(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    check_ok(sc_parallel_for(64, 8, write_in_thread, NULL, &error), error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_and_texts_round_trip),
        cmocka_unit_test(attributes_round_trip),
        cmocka_unit_test(dimensions_grow),
        cmocka_unit_test(deleted_datasets_can_be_made_again),
        cmocka_unit_test(damage_is_noticed),
        cmocka_unit_test(full_disk_is_one_clear_line),
        cmocka_unit_test(cached_writes_do_not_get_lost),
        cmocka_unit_test(threads_take_turns),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that wait on disk: what comes back, places used again, a disk that is full. */
#include "base/file.h"
#include "base/spill.h"
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

enum { ROW = 1000, N_ROWS = 50 };

static char folder[] = "/tmp/semcal-spill-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder); /* fails when a file was left */
}

static void fill(unsigned char *row, size_t i)
{
    for (size_t k = 0; k < ROW; k++) {
        row[k] = (unsigned char)(i * 31 + k);
    }
}

static void check_row(sc_spill *spill, int64_t place, size_t i)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    unsigned char want[ROW], row[ROW];
    fill(want, i);
    check_ok(sc_spill_get(spill, row, place, &error), error);
    assert_memory_equal(row, want, ROW);
}

static int64_t put(sc_spill *spill, size_t i)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    unsigned char row[ROW];
    int64_t place;
    fill(row, i);
    check_ok(sc_spill_put(spill, &place, row, &error), error);
    assert_true(place >= 0);
    return place;
}

static void keeps_rows_and_uses_places_again(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_spill *spill;
    int64_t places[N_ROWS];
    check_ok(sc_spill_create(&spill, folder, ROW, &error), error);
    assert_int_equal(sc_spill_row_bytes(spill), ROW);
    for (size_t i = 0; i < N_ROWS; i++) {
        places[i] = put(spill, i);
    }
    assert_int_equal(sc_spill_n_held(spill), N_ROWS);
    sc_spill_drop(spill, -1);
    sc_spill_hold(spill, -1);
    sc_spill_hold(spill, places[7]);
    for (size_t i = 0; i < N_ROWS; i += 7) {
        sc_spill_drop(spill, places[i]);
    }
    check_row(spill, places[7], 7); /* it has a second holder */
    for (size_t i = 0; i < N_ROWS; i += 7) {
        if (i != 7) {
            places[i] = put(spill, 100 + i);
            assert_true(places[i] < N_ROWS);
        }
    }
    for (size_t i = 0; i < N_ROWS; i++) {
        check_row(spill, places[i], i % 7 == 0 && i != 7 ? 100 + i : i);
        sc_spill_drop(spill, places[i]);
    }
    assert_int_equal(sc_spill_n_held(spill), 0);
    places[0] = put(spill, 3);
    assert_int_equal(places[0], 0); /* the file began anew */
    check_row(spill, places[0], 3);
    sc_spill_free(spill);
    check_error(sc_spill_create(&spill, "/nonexistent", ROW, &error), error, SEMCAL_E_DATA, "/nonexistent");
    assert_null(spill);
}

typedef struct passing {
    sc_spill *spill;
    size_t from;
    int64_t places[200];
} passing;

static void *put_many(void *payload)
{
    passing *p = payload;
    for (size_t i = 0; i < 200; i++) {
        p->places[i] = put(p->spill, p->from + i);
        if (i % 3 == 0) {
            sc_spill_drop(p->spill, p->places[i]);
        }
    }
    return NULL;
}

static void threads_do_not_mix_rows(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    static passing parts[3];
    pthread_t threads[3];
    sc_spill *spill;
    check_ok(sc_spill_create(&spill, folder, ROW, &error), error);
    for (size_t t = 0; t < 3; t++) {
        parts[t] = (passing){.spill = spill, .from = 1000 * t};
        assert_int_equal(pthread_create(&threads[t], NULL, put_many, &parts[t]), 0);
    }
    for (size_t t = 0; t < 3; t++) {
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    }
    for (size_t t = 0; t < 3; t++) {
        for (size_t i = 0; i < 200; i++) {
            if (i % 3 != 0) {
                check_row(spill, parts[t].places[i], 1000 * t + i);
            }
        }
    }
    sc_spill_free(spill);
}

/* The limit on the size of a file stands for a full disk. */
static void a_full_disk_is_told(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_spill *spill;
    check_ok(sc_spill_create(&spill, folder, ROW, &error), error);
    struct rlimit old, small = {.rlim_cur = 10 * ROW + ROW / 2};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (size_t i = 0; i < 10; i++) {
        (void)put(spill, i);
    }
    unsigned char row[ROW];
    int64_t place = 5;
    fill(row, 10);
    semcal_status status = sc_spill_put(spill, &place, row, &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    check_error(status, error, SEMCAL_E_DATA, "cannot write");
    assert_int_equal(place, -1);
    assert_int_equal(sc_spill_n_held(spill), 10);
    check_row(spill, 4, 4);
    assert_int_equal(put(spill, 10), 10);
    check_row(spill, 10, 10);
    sc_spill_free(spill);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(keeps_rows_and_uses_places_again),
                                       cmocka_unit_test(threads_do_not_mix_rows),
                                       cmocka_unit_test(a_full_disk_is_told)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

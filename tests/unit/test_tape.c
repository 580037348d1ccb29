/* SPDX-License-Identifier: Apache-2.0 */
/* Tapes: what was put comes back, in any order of reading, from memory and from the file. */
#include "base/tape.h"
#include "check.h"

#include <stdlib.h>
#include <unistd.h>

enum { LENGTH = 5 * SC_TAPE_BLOCK + 1234 };

static unsigned char byte_at(size_t i)
{
    return (unsigned char)((i * 2654435761U) >> 13);
}

static sc_spill *make_spill(void)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_spill *spill = NULL;
    check_ok(sc_spill_create(&spill, "/tmp", SC_TAPE_BLOCK, &error), error);
    return spill;
}

/* Pieces of all sizes, some longer than a block. */
static void fill(sc_tape *tape)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    unsigned char *bytes = malloc(LENGTH);
    assert_non_null(bytes);
    for (size_t i = 0; i < LENGTH; i++) {
        bytes[i] = byte_at(i);
    }
    for (size_t at = 0, k = 0; at < LENGTH; k++) {
        size_t n = k % 7 == 6 ? (size_t)SC_TAPE_BLOCK + k : 1 + 997 * k % 5000;
        n = n < LENGTH - at ? n : LENGTH - at;
        check_ok(sc_tape_put(tape, bytes + at, n, &error), error);
        at += n;
    }
    free(bytes);
}

static void check_part(sc_tape *tape, size_t from, size_t n)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    unsigned char *bytes = malloc(n + 1);
    assert_non_null(bytes);
    bytes[n] = 77;
    check_ok(sc_tape_get(tape, bytes, from, n, &error), error);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(bytes[i], byte_at(from + i));
    }
    assert_int_equal(bytes[n], 77);
    free(bytes);
}

static void everything_comes_back(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_spill *spill = make_spill();
    sc_tape tape, other;
    sc_tape_init(&tape, spill);
    sc_tape_init(&other, spill);
    check_part(&tape, 0, 0);
    fill(&tape);
    check_ok(sc_tape_put(&other, "abc", 3, &error), error);
    fill(&other);
    assert_int_equal(tape.length, LENGTH);
    check_part(&tape, 0, LENGTH);
    check_part(&tape, LENGTH, 0);
    check_part(&tape, SC_TAPE_BLOCK, SC_TAPE_BLOCK);
    for (size_t k = 0; k < 300; k++) {
        const size_t from = k * 7919 * 31 % LENGTH, n = k * 104729 % 70000;
        check_part(&tape, from, n < LENGTH - from ? n : LENGTH - from);
    }
    char text[4] = "";
    check_ok(sc_tape_get(&other, text, 0, 3, &error), error);
    assert_string_equal(text, "abc");
    assert_int_equal(sc_spill_n_held(spill), 10); /* full blocks only: the last one is in memory */
    check_error(sc_tape_get(&tape, text, LENGTH - 1, 2, &error), error, SEMCAL_E_DATA, "2 bytes asked for");
    sc_tape_free(&other);
    assert_int_equal(sc_spill_n_held(spill), 5);
    sc_tape_free(&tape);
    assert_int_equal(sc_spill_n_held(spill), 0);
    sc_spill_free(spill);
}

/* What is written after reading began is read, too. */
static void writing_goes_on(void **state)
{
    (void)state;
    sc_spill *spill = make_spill();
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_tape tape;
    sc_tape_init(&tape, spill);
    for (size_t i = 0; i < 3 * SC_TAPE_BLOCK; i++) {
        const unsigned char byte = byte_at(i);
        check_ok(sc_tape_put(&tape, &byte, 1, &error), error);
        if (i % 4099 == 0) {
            check_part(&tape, i / 2, i - i / 2 + 1);
        }
    }
    sc_tape_free(&tape);
    sc_spill_free(spill);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_comes_back),
        cmocka_unit_test(writing_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

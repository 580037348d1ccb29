/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/estimators.h"

#include "base/numeric.h"
#include "base/random.h"
#include "check.h"

/* Six draws of four responses: A1 A1 A2 | B1 B1 | C1, hand-computed. */
static void every_estimator_by_hand(void **state)
{
    (void)state;
    const int32_t class_of[6] = {1, 0, 0, 1, 0, 2};
    const int64_t string[6] = {70, -5, -5, 70, 12, 9000000000};
    const double logp[6] = {log(.2), log(.3), log(.3), log(.2), log(.05), log(.1)};
    const bool correct[4] = {true, false, false, true};
    sc_draws draws = {6, 4, class_of, logp, string, correct};
    sc_estimates e;
    semcal_error error = SEMCAL_ERROR_INIT;
    uint32_t count[4];
    double mass[4];
    check_ok(sc_estimators_compute(&e, count, mass, &draws, &error), error);
    assert_int_equal(e.mode, 0);
    check_close(e.confidence_frequency, .5, 1e-15);
    check_close(e.correct, 1, 0);
    assert_int_equal(e.n_distinct, 4);
    check_close(e.mass_found, .65, 1e-15);
    check_close(e.mass_lower, .35, 1e-15);
    check_close(e.mass_upper, .7, 1e-15);
    check_close(e.confidence_mass, .35 / .65, 1e-15);
    assert_int_equal(e.mode_mass, 0);
    assert_false(e.mode_certain);
    check_close(e.semantic_entropy, -(.35 * log(.35 / .65) + .2 * log(.2 / .65) + .1 * log(.1 / .65)) / .65, 1e-14);
    check_close(e.semantic_entropy_counts, -(.5 * log(.5) + log(1. / 3) / 3 + log(1. / 6) / 6), 1e-14);
    const uint32_t want_count[4] = {3, 2, 1, 0};
    const double want_mass[4] = {.35, .2, .1, 0};
    for (int k = 0; k < 4; k++) {
        assert_int_equal(count[k], want_count[k]);
        check_close(mass[k], want_mass[k], 1e-15);
    }
}

static void ties_go_to_mass_then_to_the_first(void **state)
{
    (void)state;
    const uint32_t count[3] = {2, 2, 1}, first[3] = {1, 0, 4};
    const double heavy_first[3] = {.3, .2, .9}, equal[3] = {.2, .2, .2};
    assert_int_equal(sc_estimators_mode(count, heavy_first, first, 3), 0);
    assert_int_equal(sc_estimators_mode(count, equal, first, 3), 1);
    assert_int_equal(sc_estimators_mode(count, NULL, first, 3), 1);
    const uint32_t none[2] = {0, 0};
    assert_int_equal(sc_estimators_mode(none, NULL, first, 2), -1);
    /* A response drawn twice counts its probability once: class 0 has .3, class 1 has .2 + .15. */
    const int32_t class_of[4] = {0, 0, 1, 1};
    const int64_t string[4] = {1, 1, 2, 3};
    const double logp[4] = {log(.3), log(.3), log(.2), log(.15)};
    const bool correct[2] = {false, true};
    sc_draws draws = {4, 2, class_of, logp, string, correct};
    sc_estimates e;
    semcal_error error = SEMCAL_ERROR_INIT;
    check_ok(sc_estimators_compute(&e, NULL, NULL, &draws, &error), error);
    assert_int_equal(e.mode, 1);
    check_close(e.correct, 1, 0);
}

static void long_responses_do_not_underflow(void **state)
{
    (void)state;
    const int32_t class_of[3] = {0, 1, 1};
    const int64_t string[3] = {0, 1, 2};
    const double logp[3] = {-2000, -2000, -2000};
    const bool correct[2] = {true, false};
    sc_draws draws = {3, 2, class_of, logp, string, correct};
    sc_estimates e;
    semcal_error error = SEMCAL_ERROR_INIT;
    check_ok(sc_estimators_compute(&e, NULL, NULL, &draws, &error), error);
    check_close(e.confidence_mass, 2. / 3, 1e-12);
    check_close(e.semantic_entropy, -(2. / 3 * log(2. / 3) + log(1. / 3) / 3), 1e-12);
    check_close(e.mass_found, 0, 0);
    check_close(e.mass_upper, 1, 0);
}

static void splits_halve_and_are_fixed(void **state)
{
    (void)state;
    bool chooses[51], again[51];
    uint32_t scratch[51];
    size_t hits[51] = {0};
    for (unsigned split = 0; split < SC_ESTIMATORS_SPLITS; split++) {
        sc_estimators_split(chooses, scratch, 51, split);
        sc_estimators_split(again, scratch, 51, split);
        assert_memory_equal(chooses, again, sizeof chooses);
        size_t n = 0;
        for (size_t i = 0; i < 51; i++) {
            n += chooses[i];
            hits[i] += chooses[i];
        }
        assert_int_equal(n, 25);
    }
    size_t lonely = 0;
    for (size_t i = 0; i < 51; i++) {
        lonely += hits[i] == 0 || hits[i] == SC_ESTIMATORS_SPLITS;
    }
    assert_true(lonely <= 3);
}

/* Split by its definition, written a second time: mode of the choosing half, read on the other. */
static void split_matches_its_definition(void **state)
{
    (void)state;
    sc_random_stream stream;
    sc_random_stream_init(&stream, 5, 5);
    for (int trial = 0; trial < 200; trial++) {
        enum { M = 9, K = 3 };
        int32_t class_of[M];
        for (int i = 0; i < M; i++) {
            class_of[i] = (int32_t)sc_random_below(&stream, K);
        }
        const bool correct[K] = {false, true, false};
        sc_draws draws = {M, K, class_of, NULL, NULL, correct};
        double confidence = 0, right = 0;
        for (unsigned split = 0; split < SC_ESTIMATORS_SPLITS; split++) {
            bool chooses[M];
            uint32_t scratch[M];
            sc_estimators_split(chooses, scratch, M, split);
            int best = -1, best_count = 0, count[K] = {0}, other[K] = {0};
            for (int i = 0; i < M; i++) {
                count[class_of[i]] += chooses[i];
                other[class_of[i]] += !chooses[i];
            }
            for (int i = 0; i < M; i++) {
                if (chooses[i] && count[class_of[i]] > best_count) {
                    best = class_of[i];
                    best_count = count[best];
                }
            }
            confidence += other[best] / 5.0 / SC_ESTIMATORS_SPLITS;
            right += correct[best] ? 1.0 / SC_ESTIMATORS_SPLITS : 0;
        }
        sc_estimates e;
        semcal_error error = SEMCAL_ERROR_INIT;
        check_ok(sc_estimators_compute(&e, NULL, NULL, &draws, &error), error);
        check_close(e.confidence_split, confidence, 1e-14);
        check_close(e.correct_split, right, 1e-14);
        assert_true(isnan(e.confidence_mass) && isnan(e.mass_found) && e.mode_mass == -1);
    }
}

static void bad_draws_are_errors(void **state)
{
    (void)state;
    int32_t class_of[2] = {0, 1};
    int64_t string[2] = {4, 5};
    double logp[2] = {-1, -2};
    const bool correct[2] = {true, false};
    sc_draws draws = {2, 2, class_of, logp, string, correct};
    sc_estimates e;
    semcal_error error = SEMCAL_ERROR_INIT;
    check_ok(sc_estimators_compute(&e, NULL, NULL, &draws, &error), error);
    string[1] = 4;
    check_error(sc_estimators_compute(&e, NULL, NULL, &draws, &error), error, SEMCAL_E_DATA, "same response");
    string[1] = 5;
    class_of[1] = 2;
    check_error(sc_estimators_compute(&e, NULL, NULL, &draws, &error), error, SEMCAL_E_DATA, "draw 1: class 2");
    class_of[1] = 1;
    logp[0] = NAN;
    check_error(sc_estimators_compute(&e, NULL, NULL, &draws, &error), error, SEMCAL_E_NUMERIC, "draw 0");
    logp[0] = .5;
    check_error(sc_estimators_compute(&e, NULL, NULL, &draws, &error), error, SEMCAL_E_NUMERIC, "draw 0");
    logp[0] = logp[1] = -.1;
    check_error(sc_estimators_compute(&e, NULL, NULL, &draws, &error), error, SEMCAL_E_NUMERIC, "more than 1");
    draws.n_draws = 0;
    check_error(sc_estimators_compute(&e, NULL, NULL, &draws, &error), error, SEMCAL_E_DATA, "without draws");
    draws = (sc_draws){1, 2, class_of, NULL, NULL, correct};
    check_ok(sc_estimators_compute(&e, NULL, NULL, &draws, &error), error);
    assert_true(isnan(e.confidence_split) && isnan(e.correct_split));
    check_close(e.confidence_frequency, 1, 0);
}

/* With one split the estimate is the frequency of that split's mode in its other half; the standard number is the mean
 * of that over its splits. */
static void as_many_splits_as_wanted(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    enum { DRAWS = 10 };
    const int32_t class_of[DRAWS] = {0, 1, 0, 2, 1, 0, 0, 1, 2, 0};
    const bool correct[3] = {true, false, false};
    const sc_draws draws = {DRAWS, 3, class_of, NULL, NULL, correct};
    double sum = 0, sum_correct = 0;
    for (unsigned split = 0; split < SC_ESTIMATORS_SPLITS + 5; split++) {
        bool chooses[DRAWS];
        uint32_t scratch[DRAWS], count[3] = {0}, first[3] = {0}, hits = 0;
        sc_estimators_split(chooses, scratch, DRAWS, split);
        for (uint32_t i = 0; i < DRAWS; i++) {
            if (chooses[i] && count[class_of[i]]++ == 0) {
                first[class_of[i]] = i;
            }
        }
        const int32_t mode = sc_estimators_mode(count, NULL, first, 3);
        for (uint32_t i = 0; i < DRAWS; i++) {
            hits += !chooses[i] && class_of[i] == mode;
        }
        sum += hits / (DRAWS / 2.0);
        sum_correct += correct[mode];
        sc_estimates estimates;
        check_ok(sc_estimators_compute_splits(&estimates, NULL, NULL, &draws, split + 1, &error), error);
        check_close(estimates.confidence_split, sum / (split + 1), 1e-14);
        check_close(estimates.correct_split, sum_correct / (split + 1), 1e-14);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_estimator_by_hand),         cmocka_unit_test(ties_go_to_mass_then_to_the_first),
        cmocka_unit_test(long_responses_do_not_underflow), cmocka_unit_test(splits_halve_and_are_fixed),
        cmocka_unit_test(split_matches_its_definition),    cmocka_unit_test(bad_draws_are_errors),
        cmocka_unit_test(as_many_splits_as_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

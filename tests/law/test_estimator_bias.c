/* SPDX-License-Identifier: Apache-2.0 */
/* The known biases of the estimators of confidence, and the known height of the floors, on models that are perfectly
 * calibrated by construction. */
#include "statistics/estimators.h"
#include "statistics/floors.h"

#include "base/random.h"
#include "check.h"

/* Two classes, the first with probability p. The answer is drawn from the same law, so the expectation of `correct`
 * given the mode is the mode's probability: used in place of a drawn answer, it removes most of the noise. */
static void biases(double p, size_t m, double *frequency, double *split)
{
    enum { QUESTIONS = 20000 };
    int32_t draw[100];
    const bool correct[2] = {true, false};
    sc_random_stream stream;
    sc_random_stream_init(&stream, sc_random_key(4, "bias", ""), m);
    *frequency = *split = 0;
    semcal_error error = SEMCAL_ERROR_INIT;
    for (int q = 0; q < QUESTIONS; q++) {
        for (size_t j = 0; j < m; j++) {
            draw[j] = sc_random_unit(&stream) < p ? 0 : 1;
        }
        sc_draws draws = {m, 2, draw, NULL, NULL, correct};
        sc_estimates e;
        check_ok(sc_estimators_compute(&e, NULL, NULL, &draws, &error), error);
        *frequency += e.confidence_frequency - (e.mode == 0 ? p : 1 - p);
        *split += e.confidence_split - (e.correct_split * p + (1 - e.correct_split) * (1 - p));
    }
    *frequency /= QUESTIONS;
    *split /= QUESTIONS;
}

static void frequency_is_biased_by_the_known_amount_and_split_is_not(void **state)
{
    (void)state;
    static const struct {
        size_t m;
        double at_half, at_seven;
    } known[] = {{5, .188, .111}, {10, .123, .052}, {50, .056, .001}, {100, .040, 0}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        double frequency, split;
        biases(.5, known[i].m, &frequency, &split);
        check_close(frequency, known[i].at_half, .003);
        check_close(split, 0, .004);
        biases(.7, known[i].m, &frequency, &split);
        check_close(frequency, known[i].at_seven, .005);
        check_close(split, 0, .006);
    }
}

/* Pairing split's confidence with the mode of all draws would look underconfident by .026 at c = .7, M = 10. */
static void split_needs_its_own_modes(void **state)
{
    (void)state;
    enum { QUESTIONS = 20000, M = 10 };
    int32_t draw[M];
    const bool correct[2] = {true, false};
    sc_random_stream stream;
    sc_random_stream_init(&stream, 4, 77);
    double own = 0, full = 0;
    semcal_error error = SEMCAL_ERROR_INIT;
    for (int q = 0; q < QUESTIONS; q++) {
        for (size_t j = 0; j < M; j++) {
            draw[j] = sc_random_unit(&stream) < .7 ? 0 : 1;
        }
        sc_draws draws = {M, 2, draw, NULL, NULL, correct};
        sc_estimates e;
        check_ok(sc_estimators_compute(&e, NULL, NULL, &draws, &error), error);
        own += e.confidence_split - (.3 + .4 * e.correct_split);
        full += e.confidence_split - (.3 + .4 * e.correct);
    }
    check_close(own / QUESTIONS, 0, .004);
    check_close(full / QUESTIONS, -.026, .005);
}

static void noise_floor_has_the_known_height(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        double height;
    } known[] = {{500, .040}, {1000, .031}, {2000, .023}};
    static double c[2000];
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < known[i].n; j++) {
            c[j] = ((double)j + .5) / (double)known[i].n;
        }
        sc_floor floor;
        semcal_error error = SEMCAL_ERROR_INIT;
        sc_floor_options how = SC_FLOOR_OPTIONS_INIT;
        check_ok(sc_floors_noise(&floor, NULL, c, known[i].n, &how, &error), error);
        check_close(floor.mean, known[i].height, .0025);
        check_close(floor.overconfidence, 0, .004);
        assert_true(floor.point_95 > floor.mean && floor.point_95 < 1.6 * floor.mean);
    }
}

static void model_floor_carries_the_selection_bias(void **state)
{
    (void)state;
    enum { N = 1000 };
    static size_t first[N + 1];
    static double law[2 * N];
    for (size_t q = 0; q < N; q++) {
        first[q + 1] = 2 * (q + 1);
        law[2 * q] = law[2 * q + 1] = .5;
    }
    sc_class_laws laws = {N, first, law, NULL};
    sc_floor floor;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_floor_options how = {1, "", 40, 0, 0};
    static const struct {
        size_t m;
        double bias;
    } known[] = {{5, .1875}, {10, .123}, {50, .056}};
    for (size_t i = 0; i < 3; i++) {
        check_ok(sc_floors_model(&floor, NULL, &laws, known[i].m, SC_FLOOR_FREQUENCY, &how, &error), error);
        check_close(floor.overconfidence, known[i].bias, .01);
        assert_true(floor.mean > known[i].bias - .02);
        check_ok(sc_floors_model(&floor, NULL, &laws, known[i].m, SC_FLOOR_SPLIT, &how, &error), error);
        check_close(floor.overconfidence, 0, .01);
    }
    /* A class that is never correct: the model says it half the time and is right a quarter of the time. */
    static bool never[2 * N];
    for (size_t q = 0; q < N; q++) {
        never[2 * q] = true;
    }
    laws.never_correct = never;
    check_ok(sc_floors_model(&floor, NULL, &laws, 50, SC_FLOOR_FREQUENCY, &how, &error), error);
    check_close(floor.overconfidence, .5 + .056 - .25, .01);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frequency_is_biased_by_the_known_amount_and_split_is_not),
        cmocka_unit_test(split_needs_its_own_modes),
        cmocka_unit_test(noise_floor_has_the_known_height),
        cmocka_unit_test(model_floor_carries_the_selection_bias),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

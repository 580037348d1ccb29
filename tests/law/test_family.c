/* SPDX-License-Identifier: Apache-2.0 */
/* Tilts of all classes: closed forms, brute force, calibrated laws within their floor, miscalibrated ones above it. */
#include "statistics/family.h"
#include "statistics/gap.h"

#include "base/random.h"
#include "check.h"

enum { N = 400, K = 5 };

typedef struct sampled {
    size_t first[N + 1], n;
    double probability[N * K], c[N], a[N];
    int32_t reference[N];
    sc_family_laws laws;
} sampled;

/* Random laws of 1 to K classes. The answer comes from pi e^{tau}, normalised, where tau = shift on the mode and
 * `power` * log pi on all. */
static void draw(sampled *s, size_t n, uint64_t seed, double shift, double power)
{
    sc_random_stream stream;
    sc_random_stream_init(&stream, 17, seed);
    s->n = n;
    s->first[0] = 0;
    for (size_t q = 0; q < n; q++) {
        size_t k_q = 1 + sc_random_below(&stream, K), mode = 0;
        double *p = s->probability + s->first[q], total = 0, tilted[K], sum = 0;
        for (size_t k = 0; k < k_q; k++) {
            p[k] = 1 + sc_random_below(&stream, 40);
            total += p[k];
        }
        for (size_t k = 0; k < k_q; k++) {
            p[k] /= total;
            mode = p[k] > p[mode] ? k : mode;
        }
        for (size_t k = 0; k < k_q; k++) {
            sum += tilted[k] = p[k] * exp(power * log(p[k]) + (k == mode ? shift : 0));
        }
        double u = sc_random_unit(&stream) * sum;
        size_t answer = 0;
        for (; answer + 1 < k_q && u >= tilted[answer]; answer++) {
            u -= tilted[answer];
        }
        s->reference[q] = (int32_t)answer;
        s->first[q + 1] = s->first[q] + k_q;
        s->c[q] = p[mode];
        s->a[q] = answer == mode;
    }
    s->laws = (sc_family_laws){n, s->first, s->probability, s->reference, NULL};
}

static void gains_follow_the_formula(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    const size_t first[] = {0, 3, 5, 6};
    const double probability[] = {.2, .5, .3, .25, .25, 1};
    const int32_t reference[] = {2, -1, -1};
    const sc_family_laws laws = {3, first, probability, reference, NULL};
    const double theta[SC_FAMILY_FEATURES] = {.7, -.3, .4, .5};
    double t1 = .7 + .5 * log(.5), t2 = -.3 + .4 * log(2) + .5 * log(.3), t3 = .4 * log(3) + .5 * log(.2);
    /* Two classes as heavy: the first listed is the mode. Half of the law was not seen, and holds the answer. */
    double u1 = .7 + .5 * log(.25), u2 = -.3 + .4 * log(2) + .5 * log(.25), gain;
    double expected = t2 - log(.5 * exp(t1) + .3 * exp(t2) + .2 * exp(t3)) - log(.5 + .25 * exp(u1) + .25 * exp(u2)) -
                      .7 /* all mass on a wrong class */;
    check_ok(sc_family_gain(&gain, theta, &laws, NULL, &error), error);
    check_close(gain, expected / 3, 1e-14);

    /* A chosen mode changes the ranks; coefficients beyond 4 are cut off. */
    const int32_t mode[] = {2, 1, 0};
    const sc_family_laws chosen = {3, first, probability, reference, mode};
    const double steep[SC_FAMILY_FEATURES] = {9, 0, 0, 0};
    check_ok(sc_family_gain(&gain, steep, &chosen, NULL, &error), error);
    check_close(gain, (4 - log(.7 + .3 * exp(4)) - log(.75 + .25 * exp(4)) - 4) / 3, 1e-13);

    const double w[] = {0, 2, 0};
    check_ok(sc_family_gain(&gain, theta, &laws, w, &error), error);
    check_close(gain, -log(.5 + .25 * exp(u1) + .25 * exp(u2)), 1e-14);
}

/* Penalised, no point of a fine and a wide lattice in any plane of two coefficients through the optimum is better. */
static void the_fit_is_the_best(void **state)
{
    (void)state;
    static sampled s;
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_family_options options = {1, "", 0, 0, 1, 0};
    for (uint64_t seed = 0; seed < 6; seed++) {
        draw(&s, 60, seed, seed % 2 == 0 ? -.8 : .5, seed % 3 == 0 ? .4 : -.2);
        sc_family_gap out;
        check_ok(sc_family_compute(&out, &s.laws, &options, &error), error);
        double penalty = 0, gain;
        for (int i = 1; i < SC_FAMILY_FEATURES; i++) {
            penalty += out.theta[i] * out.theta[i] / (2 * 60);
        }
        check_ok(sc_family_gain(&gain, out.theta, &s.laws, NULL, &error), error);
        check_close(gain, out.gap, 1e-12);
        for (int i = 0; i < SC_FAMILY_FEATURES; i++) {
            for (int j = 0; j < i; j++) {
                for (int at = 0; at < 21 * 21; at++) {
                    double theta[SC_FAMILY_FEATURES], cost = 0, value;
                    memcpy(theta, out.theta, sizeof theta);
                    theta[i] += (at % 21 - 10) * (at % 2 == 0 ? .2 : .01);
                    theta[j] += (at / 21 - 10) * (at % 2 == 0 ? .2 : .01);
                    for (int k = 1; k < SC_FAMILY_FEATURES; k++) {
                        cost += theta[k] * theta[k] / (2 * 60);
                    }
                    check_ok(sc_family_gain(&value, theta, &s.laws, NULL, &error), error);
                    assert_true(value - cost <= gain - penalty + 1e-9);
                }
            }
        }
    }
}

/* One class each beside the mode of equal mass: only the mode's coefficient matters, and the best is known. */
static void one_coefficient_is_known(void **state)
{
    (void)state;
    enum { n = 10 };
    semcal_error error = SEMCAL_ERROR_INIT;
    size_t first[n + 1] = {0};
    double probability[n];
    int32_t reference[n];
    for (size_t q = 0; q < n; q++) {
        first[q + 1] = q + 1;
        probability[q] = .5; /* log rank and the second class never occur; log pi is the same for all */
        reference[q] = q < 8 ? 0 : -1;
    }
    const sc_family_laws laws = {n, first, probability, reference, NULL};
    const sc_family_options options = {1, "", 0, 0, 1, 0};
    sc_family_gap out;
    check_ok(sc_family_compute(&out, &laws, &options, &error), error);
    check_close(out.gap, .8 * log(.8 / .5) + .2 * log(.2 / .5), 1e-9);
    assert_int_equal(out.n_unseen, 2);
    check_close(sc_family_tilt(out.theta, (const double[]){1, 0, 0, log(.5)}), log(.8 / .2), 1e-4);
}

static void at_least_the_shift(void **state)
{
    (void)state;
    static sampled s;
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_family_options options = {1, "", 0, 0, 1, 0};
    for (uint64_t seed = 100; seed < 300; seed++) {
        draw(&s, 5 + seed % 100, seed, (double)(seed % 9) - 4, (double)(seed % 5) * .3 - .6);
        for (size_t q = 0; q < s.n && seed % 4 == 0; q += 3) {
            s.reference[q] = -1;
            s.a[q] = 0;
        }
        sc_family_gap out;
        double gap[SC_GAP_FAMILIES];
        check_ok(sc_family_compute(&out, &s.laws, &options, &error), error);
        check_ok(sc_gap_in_sample(gap, NULL, s.c, s.a, NULL, s.n, &error), error);
        assert_true(out.gap >= gap[SC_GAP_SHIFT] - 1e-12);
    }
}

static void both_sides(void **state)
{
    (void)state;
    static sampled s;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_family_options options = SC_FAMILY_OPTIONS_INIT;
    options.n_replicates = 100;
    size_t beyond = 0, covered = 0;
    double mean = 0, floor = 0, crossfit = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        sc_family_gap out;
        draw(&s, N, 1000 + seed, 0, 0);
        check_ok(sc_family_compute(&out, &s.laws, &options, &error), error);
        beyond += out.gap > out.floor_95;
        covered += out.interval[0] == 0;
        mean += out.gap / 40;
        floor += out.floor / 40;
        crossfit += out.crossfit / 40;
    }
    /* 5 % of calibrated samples lie beyond the 95 % point: more than 8 of 40 in 1 of 2000 such tests. */
    assert_true(beyond <= 8);
    assert_true(covered >= 30);
    check_close(mean, floor, .002);
    assert_true(crossfit < 0 && crossfit > -.03);

    /* Laws too flat: answers follow pi^2.5. Most of the gain has nothing to do with the mode alone. */
    sc_family_gap out;
    draw(&s, N, 2000, 0, 1.5);
    check_ok(sc_family_compute(&out, &s.laws, &options, &error), error);
    assert_true(out.gap > 2 * out.floor_95 && out.crossfit > out.floor_95 && out.interval[0] > 0);
    assert_true(out.interval[0] < out.gap && out.gap < out.interval[1]);
    double known;
    const double truth[SC_FAMILY_FEATURES] = {0, 0, 0, 1.5};
    check_ok(sc_family_gain(&known, truth, &s.laws, NULL, &error), error);
    assert_true(out.gap > known - 1e-3 && out.crossfit > known - .02);

    sc_family_gap again;
    options.n_threads = 3;
    check_ok(sc_family_compute(&again, &s.laws, &options, &error), error);
    check_close(again.interval[0], out.interval[0], 0);
    check_close(again.floor_95, out.floor_95, 0);
}

/* Wide laws, a few draws of each: the answer often lies in no class drawn, and a calibrated model has no gap yet. */
static void missed_classes_are_no_gap(void **state)
{
    (void)state;
    enum { M = 50, CLASSES = 400, QUESTIONS = 300 };
    static size_t first[QUESTIONS + 1];
    static double smooth[QUESTIONS * M], raw[QUESTIONS * M];
    static int32_t reference[QUESTIONS];
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_random_stream stream;
    sc_random_stream_init(&stream, 17, 77);
    double seen_mass = 0, seen = 0;
    for (size_t q = 0; q < QUESTIONS; q++) {
        /* Zipf's law of some steepness, answer and draws alike. */
        double cumulative[CLASSES], steep = .8 + .8 * sc_random_unit(&stream);
        uint32_t count[M] = {0};
        int found[M], n_found = 0, answer = -1;
        for (int k = 0; k < CLASSES; k++) {
            cumulative[k] = (k > 0 ? cumulative[k - 1] : 0) + pow(k + 1, -steep);
        }
        for (int j = 0; j <= M; j++) {
            double u = sc_random_unit(&stream) * cumulative[CLASSES - 1];
            int k = 0, slot = 0;
            while (k + 1 < CLASSES && u >= cumulative[k]) {
                k++;
            }
            while (slot < n_found && found[slot] != k) {
                slot++;
            }
            if (j == M) {
                answer = slot < n_found ? slot : -1;
            } else {
                n_found += slot == n_found;
                found[slot] = k;
                count[slot]++;
            }
        }
        reference[q] = answer;
        first[q + 1] = first[q] + (size_t)n_found;
        sc_family_smooth(smooth + first[q], count, (size_t)n_found, M);
        for (int slot = 0; slot < n_found; slot++) {
            raw[first[q] + (size_t)slot] = count[slot] / (double)M;
            seen_mass += smooth[first[q] + (size_t)slot] / QUESTIONS;
        }
        seen += answer >= 0 ? 1.0 / QUESTIONS : 0;
    }
    assert_true(seen < .8);
    check_close(seen_mass, seen, .06); /* two standard deviations */
    const sc_family_laws laws = {QUESTIONS, first, smooth, reference, NULL};
    const sc_family_laws claims = {QUESTIONS, first, raw, reference, NULL};
    sc_family_options options = SC_FAMILY_OPTIONS_INIT;
    sc_family_gap out, claimed;
    options.n_draws = M;
    check_ok(sc_family_compute(&out, &laws, &options, &error), error);
    options.n_replicates = 0;
    check_ok(sc_family_compute(&claimed, &claims, &options, &error), error);
    assert_true(out.gap < out.floor_95 && out.interval[0] == 0);
    assert_true(claimed.gap > .5);

    const uint32_t count[] = {5, 2, 1, 0, 2};
    double p[5];
    sc_family_smooth(p, count, 5, 10);
    check_close(p[0], (5 - 1.5 / 6) / 10, 1e-15);
    check_close(p[2], (1 - 1.5 / 6) / 10, 1e-15);
    check_close(p[3], 0, 0);
    sc_family_smooth(p, (const uint32_t[]){50}, 1, 50);
    check_close(p[0], .99, 1e-15);
}

static void bad_laws_are_named(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_family_options options = {1, "", 0, 0, 1, 0};
    const size_t first[] = {0, 1, 3};
    double probability[] = {1, .5, .6};
    int32_t reference[] = {0, 0}, mode[] = {0, 0};
    sc_family_laws laws = {2, first, probability, reference, mode};
    sc_family_gap out;
    check_error(sc_family_compute(&out, &laws, &options, &error), error, SEMCAL_E_NUMERIC, "question 1");
    probability[2] = (double)NAN;
    check_error(sc_family_compute(&out, &laws, &options, &error), error, SEMCAL_E_NUMERIC, "class 1");
    probability[2] = .5;
    reference[1] = 2;
    check_error(sc_family_compute(&out, &laws, &options, &error), error, SEMCAL_E_DATA, "answer is in class 2 of 2");
    reference[1] = 1;
    mode[0] = -1;
    check_error(sc_family_compute(&out, &laws, &options, &error), error, SEMCAL_E_DATA, "question 0");
    mode[0] = 0;
    check_ok(sc_family_compute(&out, &laws, &options, &error), error);
    assert_true(isnan(out.crossfit) && isnan(out.floor));
    laws.n_questions = 0;
    check_error(sc_family_compute(&out, &laws, &options, &error), error, SEMCAL_E_DATA, "0 questions");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gains_follow_the_formula),
        cmocka_unit_test(the_fit_is_the_best),
        cmocka_unit_test(one_coefficient_is_known),
        cmocka_unit_test(at_least_the_shift),
        cmocka_unit_test(both_sides),
        cmocka_unit_test(missed_classes_are_no_gap),
        cmocka_unit_test(bad_laws_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

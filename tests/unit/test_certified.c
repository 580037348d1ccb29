/* SPDX-License-Identifier: Apache-2.0 */
/* Certified bounds on smECE at a fixed width hold for every confidence in the intervals, and for every outcome of
 * questions that are not resolved; they are useful when intervals are narrow. */
#include "base/random.h"
#include "check.h"
#include "statistics/certified.h"
#include "statistics/smece.h"

#define WIDTH .05

static double unit(sc_random_stream *stream)
{
    return sc_random_unit(stream);
}

static double at_width(const double *c, const double *a, size_t n)
{
    double value;
    semcal_error error = SEMCAL_ERROR_INIT;
    check_ok(sc_smece_at(&value, WIDTH, c, a, NULL, n, &error), error);
    return value;
}

/* A sample with intervals of width up to `most`; a share `unresolved` of the outcomes is not known. */
static void make(sc_random_stream *stream, double *lower, double *upper, double *a, size_t n, double most,
                 double unresolved)
{
    for (size_t i = 0; i < n; i++) {
        double width = most * unit(stream);
        lower[i] = unit(stream) < .2 ? (unit(stream) < .5 ? 0 : 1 - width) : unit(stream) * (1 - width);
        upper[i] = lower[i] + width > 1 ? 1 : lower[i] + width;
        a[i] = unit(stream) < unresolved ? NAN : unit(stream) < .6;
    }
}

static void hold_for_every_law_inside(void **state)
{
    (void)state;
    enum { N = 40 };
    sc_random_stream stream;
    sc_random_stream_init(&stream, sc_random_key(3, "test", "certified"), 0);
    double lower[N], upper[N], a[N], c[N], outcome[N], bounds[2];
    semcal_error error = SEMCAL_ERROR_INIT;
    const double most[] = {0, .001, .02, .3, 1};
    for (size_t trial = 0; trial < 60; trial++) {
        size_t n = trial % 3 == 0 ? 1 : trial % 3 == 1 ? 7 : N;
        make(&stream, lower, upper, a, n, most[trial % 5], trial % 2 == 0 ? 0 : .2);
        check_ok(sc_certified_smece(bounds, WIDTH, lower, upper, a, n, &error), error);
        assert_true(bounds[0] >= 0 && bounds[0] <= bounds[1] && bounds[1] <= 1);
        for (size_t k = 0; k < 60; k++) {
            /* ends of the intervals, which pull the value furthest, and points inside */
            for (size_t i = 0; i < n; i++) {
                double u = unit(&stream);
                bool outward = k % 3 == 0, inward = k % 3 == 1;
                outcome[i] = isnan(a[i]) ? (double)(unit(&stream) < .5) : a[i];
                double away = outcome[i] > .5 ? lower[i] : upper[i], toward = outcome[i] > .5 ? upper[i] : lower[i];
                c[i] = outward ? away : inward ? toward : lower[i] + u * (upper[i] - lower[i]);
            }
            double value = fmin(1, at_width(c, outcome, n));
            assert_true(value >= bounds[0] && value <= bounds[1]);
        }
    }
}

/* The derivative in one confidence is what the Lipschitz constant says it may be, and comes near it. */
static void constant_is_met(void **state)
{
    (void)state;
    double worst = 0;
    for (double c = .2; c <= .8; c += .05) {
        for (double a = 0; a <= 1; a += 1) {
            /* with a second question that cancels, the whole change of F is seen */
            double pair[2] = {c, c}, moved[2] = {c, c + 1e-3}, outcome[2] = {a, 2 * c - a};
            if (outcome[1] < 0 || outcome[1] > 1) {
                continue;
            }
            double slope = 2 * fabs(at_width(moved, outcome, 2) - at_width(pair, outcome, 2)) / 1e-3;
            double constant = 1 + fabs(outcome[1] - c) * sqrt(2 / 3.14159265358979323846) / WIDTH;
            assert_true(slope <= constant * (1 + 1e-2));
            worst = fmax(worst, slope / constant);
        }
    }
    assert_true(worst > .85); /* the two parts of the change have different shapes, so the sum is not quite met */
}

static void narrow_intervals_are_useful(void **state)
{
    (void)state;
    enum { N = 200 };
    sc_random_stream stream;
    sc_random_stream_init(&stream, sc_random_key(3, "test", "narrow"), 0);
    double lower[N], upper[N], a[N], bounds[2];
    semcal_error error = SEMCAL_ERROR_INIT;
    make(&stream, lower, upper, a, N, 0, 0);
    check_ok(sc_certified_smece(bounds, WIDTH, lower, upper, a, N, &error), error);
    double value = at_width(lower, a, N);
    check_close(bounds[0], value, 1.1e-5);
    check_close(bounds[1], value, 1.1e-5);
    make(&stream, lower, upper, a, N, .001, 0);
    check_ok(sc_certified_smece(bounds, WIDTH, lower, upper, a, N, &error), error);
    assert_true(bounds[1] - bounds[0] < .01);
    /* nothing known about a question costs at most 1/n on either side */
    make(&stream, lower, upper, a, N, 0, 0);
    double known = at_width(lower, a, N);
    lower[0] = 0, upper[0] = 1, a[0] = NAN;
    check_ok(sc_certified_smece(bounds, WIDTH, lower, upper, a, N, &error), error);
    assert_true(bounds[0] <= known && known <= bounds[1] && bounds[1] - bounds[0] < 2.1 / N);
}

static void bad_bounds_are_told(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    double bounds[2], low[] = {.1, .7}, high[] = {.2, .6}, a[] = {0, 1};
    check_error(sc_certified_smece(bounds, WIDTH, low, high, a, 2, &error), error, SEMCAL_E_NUMERIC, "question 1");
    high[1] = NAN;
    check_error(sc_certified_smece(bounds, WIDTH, low, high, a, 2, &error), error, SEMCAL_E_NUMERIC, "question 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hold_for_every_law_inside),
        cmocka_unit_test(constant_is_met),
        cmocka_unit_test(narrow_intervals_are_useful),
        cmocka_unit_test(bad_bounds_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

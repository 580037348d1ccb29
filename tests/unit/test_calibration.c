/* SPDX-License-Identifier: Apache-2.0 */
/* Scores by hand, resampling by its moments, and the whole of sc_calibration. */
#include "statistics/binned.h"
#include "statistics/binomial.h"
#include "statistics/bootstrap.h"
#include "statistics/calibration.h"
#include "statistics/classwise.h"
#include "statistics/floors.h"
#include "statistics/group.h"
#include "statistics/smece.h"

#include "base/random.h"
#include "check.h"

static void scores_by_hand(void **state)
{
    (void)state;
    const double c[5] = {1, .8, .8, .3, 0}, a[5] = {1, 1, 0, 0, 0};
    semcal_error error = SEMCAL_ERROR_INIT;
    size_t infinite;
    double auroc;
    check_close(sc_binned_overconfidence(c, a, 5), .18, 1e-15);
    check_close(sc_binned_ece(c, a, 5, 10), (0 + .6 + .3 + 0) / 5, 1e-15);
    check_close(sc_binned_brier(c, a, 5), (0 + .04 + .64 + .09 + 0) / 5, 1e-15);
    check_close(sc_binned_log_loss(&infinite, c, a, 5), -(log(.8) + log(.2) + log(.7)) / 5, 1e-15);
    assert_int_equal(infinite, 0);
    check_close(sc_binned_log_loss_smoothed(c, a, 5, 10),
                -(2 * log(10.5 / 11) + log(8.5 / 11) + log(2.5 / 11) + log(7.5 / 11)) / 5, 1e-14);
    check_ok(sc_binned_auroc(&auroc, c, a, 5, &error), error);
    check_close(auroc, (3 + 2.5) / 6, 1e-15);
    const double wrong[5] = {0, 1, 0, 0, 1}, none[5] = {0};
    check_close(sc_binned_log_loss(&infinite, c, wrong, 5), INFINITY, 0);
    assert_int_equal(infinite, 2);
    check_ok(sc_binned_auroc(&auroc, c, none, 5, &error), error);
    assert_true(isnan(auroc));
    /* A known probability scores as the average over its outcomes. */
    const double half[1] = {.25}, point[1] = {.6}, yes[1] = {1}, no[1] = {0};
    check_close(sc_binned_brier(point, half, 1),
                .25 * sc_binned_brier(point, yes, 1) + .75 * sc_binned_brier(point, no, 1), 1e-15);
    check_close(sc_binned_log_loss(NULL, point, half, 1),
                .25 * sc_binned_log_loss(NULL, point, yes, 1) + .75 * sc_binned_log_loss(NULL, point, no, 1), 1e-15);
}

/* Chi-square against the binomial law, over both samplers and both sides of 1/2. */
static void binomials_follow_their_law(void **state)
{
    (void)state;
    static const struct {
        uint64_t n;
        double p;
    } laws[] = {{1, .3}, {7, .5}, {20, .05}, {20, .95}, {25, .41}, {60, .5}, {400, .03}, {1000, .7}, {1000000, 3e-5}};
    sc_random_stream stream;
    sc_random_stream_init(&stream, 11, 0);
    for (size_t l = 0; l < sizeof laws / sizeof *laws; l++) {
        enum { DRAWS = 200000 };
        double n = (double)laws[l].n, p = laws[l].p, chi2 = 0, cells = 0, rest = DRAWS, rest_seen = DRAWS;
        static uint32_t seen[1001];
        memset(seen, 0, sizeof seen);
        for (int i = 0; i < DRAWS; i++) {
            uint64_t k = sc_binomial_draw(&stream, laws[l].n, p);
            assert_true(k <= laws[l].n);
            seen[k < 1000 ? k : 1000]++;
        }
        for (int k = 0; k <= 1000 && (double)k <= n; k++) {
            double expected =
                DRAWS * exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(p) + (n - k) * log1p(-p));
            if (expected >= 10) {
                chi2 += (seen[k] - expected) * (seen[k] - expected) / expected;
                cells++;
                rest -= expected;
                rest_seen -= seen[k];
            }
        }
        chi2 += rest > 1 ? (rest_seen - rest) * (rest_seen - rest) / rest : 0;
        assert_true(cells >= 2);
        /* Six standard deviations of the chi-square. */
        assert_true(chi2 < cells + 6 * sqrt(2 * cells) + 10);
    }
    assert_int_equal(sc_binomial_draw(&stream, 9, 0), 0);
    assert_int_equal(sc_binomial_draw(&stream, 9, 1), 9);
    assert_int_equal(sc_binomial_draw(&stream, 0, .5), 0);
}

typedef struct tally {
    const double *x;
    size_t n;
    double total;
} tally;

static semcal_status weighted_mean(double *values, const double *times, unsigned thread, void *payload,
                                   semcal_error *error)
{
    (void)thread;
    const tally *t = payload;
    double sum = 0, count = 0;
    for (size_t i = 0; i < t->n; i++) {
        sum += times[i] * t->x[i];
        count += times[i];
    }
    if (count != t->total) {
        return sc_error_set(error, SEMCAL_E_NUMERIC, "%g questions drawn", count);
    }
    values[0] = sum / count;
    values[1] = 2 * values[0];
    return SEMCAL_OK;
}

static void bootstrap_has_the_right_spread(void **state)
{
    (void)state;
    enum { R = 4000 };
    static double one[2 * R], two[2 * R], grouped[2 * R];
    semcal_error error = SEMCAL_ERROR_INIT;
    double x[100];
    for (int i = 0; i < 100; i++) {
        x[i] = i < 70 ? 1 : 0;
    }
    sc_bootstrap_options how = {7, "cell", R, 1};
    tally each = {x, 100, 100};
    check_ok(sc_bootstrap_run(one, 2, NULL, 100, &how, weighted_mean, &each, &error), error);
    how.n_threads = 3;
    check_ok(sc_bootstrap_run(two, 2, NULL, 100, &how, weighted_mean, &each, &error), error);
    assert_memory_equal(one, two, sizeof one);
    how.n_replicates = 10;
    check_ok(sc_bootstrap_run(two, 2, NULL, 100, &how, weighted_mean, &each, &error), error);
    assert_memory_equal(one, two, 10 * sizeof *one);
    how.n_replicates = R;
    how.name = "other";
    check_ok(sc_bootstrap_run(two, 2, NULL, 100, &how, weighted_mean, &each, &error), error);
    assert_memory_not_equal(one, two, sizeof one);
    const double points[2] = {1, 0}, count[2] = {70, 30};
    tally pooled = {points, 2, 100};
    check_ok(sc_bootstrap_run(grouped, 2, count, 2, &how, weighted_mean, &pooled, &error), error);
    const double *const runs[2] = {one, grouped};
    for (int run = 0; run < 2; run++) {
        double mean = 0, square = 0;
        for (int b = 0; b < R; b++) {
            mean += runs[run][b] / R;
            square += (runs[run][b] - .7) * (runs[run][b] - .7) / R;
            check_close(runs[run][R + b], 2 * runs[run][b], 1e-15);
        }
        check_close(mean, .7, .003);
        check_close(sqrt(square), sqrt(.21 / 100), .0025);
    }
    double interval[2], replicates[5] = {.5, .3, .1, .4, .2};
    sc_bootstrap_basic(interval, .3, replicates, 5, 0, 1);
    check_close(interval[0], .6 - .49, 1e-15);
    check_close(interval[1], .6 - .11, 1e-15);
    sc_bootstrap_basic(interval, .05, replicates, 5, 0, 1);
    check_close(interval[0], 0, 0);
    check_close(interval[1], 0, 0);
    replicates[2] = NAN;
    sc_bootstrap_basic(interval, .3, replicates, 5, 0, 1);
    assert_true(isnan(interval[0]) && isnan(interval[1]));
}

static void groups_keep_the_sample(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    const double c[6] = {.5, .2, .5, .5, 1, .2}, a[6] = {1, 0, 0, 1, 1, 0};
    sc_groups groups;
    check_ok(sc_group_pairs(&groups, c, a, 6, &error), error);
    const double want_c[4] = {.2, .5, .5, 1}, want_a[4] = {0, 0, 1, 1}, want_count[4] = {2, 1, 2, 1};
    assert_int_equal(groups.n, 4);
    for (int g = 0; g < 4; g++) {
        check_close(groups.c[g], want_c[g], 0);
        check_close(groups.a[g], want_a[g], 0);
        check_close(groups.count[g], want_count[g], 0);
    }
    sc_group_free(&groups);
    /* Many different confidences are merged; SmoothECE does not notice. */
    enum { N = 60000 };
    static double many[N], outcome[N], mass[N];
    sc_random_stream stream;
    sc_random_stream_init(&stream, 1, 1);
    for (int i = 0; i < N; i++) {
        many[i] = sc_random_unit(&stream);
        outcome[i] = sc_random_unit(&stream) < many[i] ? 1 : 0;
    }
    check_ok(sc_group_pairs(&groups, many, outcome, N, &error), error);
    assert_true(groups.n <= 2 * ((size_t)(1 / SC_GROUP_WIDTH) + 1));
    double exact, merged, total = 0;
    for (size_t g = 0; g < groups.n; g++) {
        total += groups.count[g];
        mass[g] = groups.count[g] * (groups.a[g] - groups.c[g]) / N;
    }
    check_close(total, N, 0);
    check_ok(sc_smece_exact(&exact, many, outcome, NULL, N, &error), error);
    sc_smece_work *work = sc_smece_work_new(&error);
    check_ok(sc_smece_of_masses(&merged, work, groups.c, mass, groups.n, 1e-9, &error), error);
    check_close(merged, exact, 1e-6);
    sc_smece_work_free(work);
    sc_group_free(&groups);
}

static void floors_do_not_depend_on_threads(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    double c[200], one[50], two[50];
    for (int i = 0; i < 200; i++) {
        c[i] = i / 199.0;
    }
    sc_floor floor, again;
    sc_floor_options how = {3, "cell", 50, 1, 0};
    check_ok(sc_floors_noise(&floor, one, c, 200, &how, &error), error);
    how.n_threads = 3;
    check_ok(sc_floors_noise(&again, two, c, 200, &how, &error), error);
    assert_memory_equal(one, two, sizeof one);
    assert_true(floor.mean == again.mean && floor.point_95 == again.point_95 && floor.mean < floor.point_95);
    const size_t first[3] = {0, 2, 5};
    double law[5] = {.7, .3, 2, 1, 1};
    sc_class_laws laws = {2, first, law, NULL};
    check_ok(sc_floors_model(&floor, one, &laws, 5, SC_FLOOR_SPLIT, &how, &error), error);
    law[0] = law[1] = 0;
    check_error(sc_floors_model(&floor, one, &laws, 5, SC_FLOOR_SPLIT, &how, &error), error, SEMCAL_E_NUMERIC,
                "question 0");
    law[0] = NAN;
    check_error(sc_floors_model(&floor, one, &laws, 5, SC_FLOOR_SPLIT, &how, &error), error, SEMCAL_E_NUMERIC,
                "question 0");
    check_error(sc_floors_model(&floor, one, &laws, 1, SC_FLOOR_SPLIT, &how, &error), error, SEMCAL_E_CONFIG,
                "too few");
    how.n_redraws = 0;
    check_error(sc_floors_noise(&floor, one, c, 200, &how, &error), error, SEMCAL_E_CONFIG, "at least one redraw");
}

static void classwise_pools_with_weights(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    const size_t first[3] = {0, 2, 5};
    const double law[5] = {.7, .3, .5, .25, .25};
    const int32_t reference[2] = {0, -1};
    const double c[5] = {.7, .3, .5, .25, .25}, a[5] = {1, 0, 0, 0, 0};
    double pooled, want;
    check_ok(sc_classwise_smece(&pooled, 2, first, law, reference, &error), error);
    check_ok(sc_smece_exact(&want, c, a, law, 5, &error), error);
    check_close(pooled, want, 0);
    const double heavy[5] = {.7, .4, .5, .25, .25};
    check_error(sc_classwise_smece(&pooled, 2, first, heavy, reference, &error), error, SEMCAL_E_NUMERIC, "question 0");
}

static void everything_at_once(void **state)
{
    (void)state;
    enum { N = 500 };
    double c[N], a[N];
    sc_random_stream stream;
    sc_random_stream_init(&stream, 21, 0);
    for (int i = 0; i < N; i++) {
        c[i] = .02 * (1 + sc_random_below(&stream, 50));
        a[i] = sc_random_unit(&stream) < .8 * c[i] ? 1 : 0;
    }
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_calibration r, again;
    sc_calibration_options how = SC_CALIBRATION_OPTIONS_INIT;
    how.n_bootstrap = 300;
    how.n_floor = 100;
    how.n_draws = 50;
    check_ok(sc_calibration_compute(&r, c, a, N, &how, &error), error);
    check_close(r.mean_confidence - r.accuracy, r.overconfidence, 1e-12);
    check_close(r.smece, r.smece_sigma, 0);
    assert_true(r.smece_ci[0] < r.smece && r.smece < r.smece_ci[1] + .02 && r.smece_ci[0] > 0);
    assert_true(r.accuracy_ci[0] < r.accuracy && r.accuracy < r.accuracy_ci[1]);
    assert_true(r.smece_floor > .02 && r.smece_floor < r.smece && r.smece_floor < r.smece_floor_95);
    assert_true(r.log_loss_infinite > 0 && isinf(r.log_loss) && isfinite(r.log_loss_smoothed));
    how.n_threads = 3;
    check_ok(sc_calibration_compute(&again, c, a, N, &how, &error), error);
    assert_true(again.smece_ci[0] == r.smece_ci[0] && again.smece_floor == r.smece_floor);
    how.n_bootstrap = how.n_floor = how.n_draws = 0;
    how.relplot = true;
    check_ok(sc_calibration_compute(&again, c, a, N, &how, &error), error);
    assert_true(isnan(again.smece_ci[0]) && isnan(again.smece_floor) && isnan(again.log_loss_smoothed));
    assert_true(again.smece == r.smece_relplot && again.smece_sigma == r.smece_relplot_sigma);
    a[17] = NAN;
    check_error(sc_calibration_compute(&r, c, a, N, &how, &error), error, SEMCAL_E_NUMERIC, "pair 17");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_by_hand),
        cmocka_unit_test(binomials_follow_their_law),
        cmocka_unit_test(bootstrap_has_the_right_spread),
        cmocka_unit_test(groups_keep_the_sample),
        cmocka_unit_test(floors_do_not_depend_on_threads),
        cmocka_unit_test(classwise_pools_with_weights),
        cmocka_unit_test(everything_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

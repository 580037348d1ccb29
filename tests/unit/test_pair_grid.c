/* SPDX-License-Identifier: Apache-2.0 */
/* Pairs on a grid against the pairs themselves: what is kept exactly, and the promised bound on smECE. */
#include "base/random.h"
#include "check.h"
#include "statistics/floors.h"
#include "statistics/pair_grid.h"
#include "statistics/smece.h"

enum { N = 20000 };
static double c[N], a[N], w[N];
static double sums[3 * SC_PAIR_GRID];
static const sc_pair_grid grid = {sums, sums + SC_PAIR_GRID, sums + 2 * SC_PAIR_GRID};
static semcal_error error = SEMCAL_ERROR_INIT;

/* Confidences of shape u^power, right with probability c + shift(c). */
static void sample(uint64_t seed, double power, double shift, size_t n, bool weighted)
{
    sc_random_stream stream;
    sc_random_stream_init(&stream, sc_random_key(seed, "test", "pairs"), 0);
    memset(sums, 0, sizeof sums);
    for (size_t i = 0; i < n; i++) {
        c[i] = pow(sc_random_unit(&stream), power);
        c[i] = i % 17 == 0 ? 1 : i % 19 == 0 ? 0 : c[i];
        a[i] = sc_random_unit(&stream) < c[i] + shift * c[i] * (1 - c[i]) * 4;
        w[i] = weighted ? c[i] : 1;
        sc_pair_grid_add(&grid, c[i], a[i], w[i]);
    }
}

static void sums_are_kept(void **state)
{
    (void)state;
    sample(1, 1, .1, N, true);
    double weight = 0, right = 0, confidence = 0, placed = 0, got[4] = {0};
    for (size_t i = 0; i < N; i++) {
        weight += w[i];
        right += w[i] * a[i];
        confidence += w[i] * c[i];
    }
    for (size_t i = 0; i < SC_PAIR_GRID; i++) {
        got[0] += grid.weight[i];
        got[1] += grid.right[i];
        got[2] += grid.confidence[i];
        placed += grid.weight[i] * (double)i / (SC_PAIR_GRID - 1);
    }
    check_close(got[0], weight, 1e-8);
    check_close(got[1], right, 1e-8);
    check_close(got[2], confidence, 1e-8);
    check_close(placed, confidence, 1e-8);
    sc_pair_grid_facts facts;
    check_ok(sc_pair_grid_describe(&facts, &grid, &error), error);
    check_close(facts.accuracy, right / weight, 1e-12);
    check_close(facts.mean_confidence, confidence / weight, 1e-12);
}

static void smece_is_within_its_bound(void **state)
{
    (void)state;
    const double shifts[] = {0, .05, .3, -.2}, powers[] = {1, .2, 3};
    double worst = 0;
    for (uint64_t k = 0; k < 12; k++) {
        const size_t n = k % 2 == 0 ? N : 200;
        sample(10 + k, powers[k % 3], shifts[k % 4], n, k % 5 == 0);
        sc_pair_grid_facts facts;
        double exact, exact_005, residual = 0, weight = 0;
        check_ok(sc_pair_grid_describe(&facts, &grid, &error), error);
        check_ok(sc_smece_exact(&exact, c, a, w, n, &error), error);
        check_ok(sc_smece_at(&exact_005, .05, c, a, w, n, &error), error);
        for (size_t i = 0; i < n; i++) {
            residual += w[i] * fabs(a[i] - c[i]);
            weight += w[i];
        }
        const double h = 1.0 / (SC_PAIR_GRID - 1), s = fmin(exact, facts.smece);
        const double bound = .121 * (h / s) * (h / s) * residual / weight + 2e-5; /* and smece.h's own error twice */
        check_close(facts.smece, exact, bound);
        check_close(facts.smece_005, exact_005, 3e-5);
        worst = fmax(worst, fabs(facts.smece - exact));
    }
    print_message("largest difference of smECE %.1e\n", worst);
}

static void floor_is_that_of_the_pairs(void **state)
{
    (void)state;
    sample(5, 1, 0, 4000, false);
    sc_floor_options options = SC_FLOOR_OPTIONS_INIT;
    sc_floor floor;
    double mean, point_95;
    check_ok(sc_floors_noise(&floor, NULL, c, 4000, &options, &error), error);
    check_ok(sc_pair_grid_floor(&mean, &point_95, &grid, 400, 1, "x", &error), error);
    check_close(mean, floor.mean, .03 * floor.mean);
    check_close(point_95, floor.point_95, .06 * floor.point_95);
    check_ok(sc_pair_grid_floor(&mean, &point_95, &grid, 0, 1, "x", &error), error);
    assert_true(isnan(mean));
}

static void nothing_is_no_sample(void **state)
{
    (void)state;
    memset(sums, 0, sizeof sums);
    sc_pair_grid_facts facts;
    semcal_error slip = SEMCAL_ERROR_INIT;
    check_error(sc_pair_grid_describe(&facts, &grid, &slip), slip, SEMCAL_E_NUMERIC, "no pairs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_kept),
        cmocka_unit_test(smece_is_within_its_bound),
        cmocka_unit_test(floor_is_that_of_the_pairs),
        cmocka_unit_test(nothing_is_no_sample),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Both sides of the theorem on samples: smooth calibration errors and loss gaps against brute force on lattices where
 * that is exact, and the inequalities between them on thousands of random and adversarial samples. */
#include "statistics/gap.h"
#include "statistics/gap_resample.h"
#include "statistics/smce.h"

#include "base/numeric.h"
#include "base/random.h"
#include "check.h"

#include <stdbool.h>

/* ---- smooth calibration error ---- */

/* sup of sum r_j h_j by dynamic programming over h in {-1, .., 1} in steps of 1/S, neighbours at most reach[j] steps
 * apart. Difference constraints with whole bounds have a whole solution, so this is the exact optimum. */
static double lattice_sup(const double *r, const int *reach, size_t n, int s)
{
    enum { MOST = 129 };
    double best[MOST], next[MOST];
    int states = 2 * s + 1;
    for (int i = 0; i < states; i++) {
        best[i] = r[0] * (i - s) / s;
    }
    for (size_t j = 1; j < n; j++) {
        for (int i = 0; i < states; i++) {
            double top = -INFINITY;
            for (int k = i - reach[j - 1] < 0 ? 0 : i - reach[j - 1]; k < states && k <= i + reach[j - 1]; k++) {
                top = fmax(top, best[k]);
            }
            next[i] = top + r[j] * (i - s) / s;
        }
        memcpy(best, next, sizeof best);
    }
    double top = -INFINITY;
    for (int i = 0; i < states; i++) {
        top = fmax(top, best[i]);
    }
    return top;
}

static void smooth_errors_match_the_lattice(void **state)
{
    (void)state;
    sc_random_stream stream;
    sc_random_stream_init(&stream, 8, 1);
    semcal_error error = SEMCAL_ERROR_INIT;
    for (int trial = 0; trial < 2000; trial++) {
        enum { S = 64, N = 40 };
        int place[N], reach[N];
        double c[N], logit_c[N], a[N], w[N], r[N], logit_r[N], total = 0, value;
        size_t n = 1 + sc_random_below(&stream, N);
        place[0] = (int)sc_random_below(&stream, 8);
        for (size_t j = 0; j < n; j++) {
            place[j] = j == 0 ? place[0] : place[j - 1] + (int)sc_random_below(&stream, trial % 3 == 0 ? 2 : 4);
            place[j] = place[j] > S ? S : place[j];
            reach[j] = 0;
            if (j > 0) {
                reach[j - 1] = place[j] - place[j - 1];
            }
            c[j] = place[j] / (double)S;
            /* In log-odds, a step of 4 / S moves h by 1 / S. */
            logit_c[j] = sc_sigmoid((place[j] - S / 2) * 4.0 / S);
            a[j] = sc_random_unit(&stream) < (trial % 2 == 0 ? .5 : c[j]) ? 1 : 0;
            w[j] = trial % 5 == 0 ? sc_random_unit(&stream) : 1;
            total += w[j];
        }
        for (size_t j = 0; j < n; j++) {
            r[j] = w[j] / total * (a[j] - c[j]);
            logit_r[j] = w[j] / total * (a[j] - logit_c[j]);
        }
        check_ok(sc_smce_exact(&value, c, a, w, n, &error), error);
        check_close(value, lattice_sup(r, reach, n, S), 1e-12);
        check_ok(sc_smce_logit(&value, logit_c, a, w, n, &error), error);
        check_close(value, lattice_sup(logit_r, reach, n, S), 1e-11);
    }
}

static void smooth_errors_by_hand(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    double value;
    const double ends[4] = {0, 0, 1, 1}, crossed[4] = {1, 0, 0, 1};
    check_ok(sc_smce_exact(&value, ends, crossed, NULL, 4, &error), error);
    check_close(value, .25, 1e-15); /* h falls from 1/2 to -1/2 */
    check_ok(sc_smce_logit(&value, ends, crossed, NULL, 4, &error), error);
    check_close(value, .5, 1e-15); /* atoms are free */
    const double one[1] = {.3}, right[1] = {1};
    check_ok(sc_smce_exact(&value, one, right, NULL, 1, &error), error);
    check_close(value, .7, 1e-15);
    const double bad[1] = {NAN};
    check_error(sc_smce_exact(&value, bad, right, NULL, 1, &error), error, SEMCAL_E_NUMERIC, "pair 0");
    check_error(sc_smce_logit(&value, one, bad, NULL, 1, &error), error, SEMCAL_E_NUMERIC, "pair 0");
}

/* Many steps that cross many tiny slope changes: quadratic work would take minutes. */
static void smooth_errors_stay_fast(void **state)
{
    (void)state;
    enum { N = 60000 };
    static double c[N], a[N];
    sc_random_stream stream;
    sc_random_stream_init(&stream, 8, 2);
    for (int i = 0; i < N; i++) {
        c[i] = i < N / 2 ? 1e-6 * sc_random_unit(&stream) : .5 + 1e-3 * sc_random_unit(&stream);
        a[i] = i < N / 2 ? 0 : i % 2;
    }
    semcal_error error = SEMCAL_ERROR_INIT;
    double smce, dsmce;
    check_ok(sc_smce_exact(&smce, c, a, NULL, N, &error), error);
    check_ok(sc_smce_logit(&dsmce, c, a, NULL, N, &error), error);
    assert_true(smce > 0 && smce <= dsmce && dsmce < .01);
}

/* ---- loss gaps ---- */

/* The closed form of the loss change, from the tilted law of a toy of six responses written out. */
static void a_tilt_changes_the_loss_as_the_formula_says(void **state)
{
    (void)state;
    const double p[6] = {.1, .25, .05, .3, .2, .1};
    const int mode_class[6] = {1, 1, 0, 1, 0, 0};
    for (double tau = -4; tau <= 4; tau += .37) {
        double c = 0, normalizer = 0, tilted_c = 0;
        for (int z = 0; z < 6; z++) {
            c += mode_class[z] ? p[z] : 0;
            normalizer += p[z] * (mode_class[z] ? exp(tau) : 1);
        }
        for (int z = 0; z < 6; z++) {
            double q = p[z] * (mode_class[z] ? exp(tau) : 1) / normalizer;
            tilted_c += mode_class[z] ? q : 0;
            check_close(sc_gap_gain(SC_GAP_SHIFT, c, mode_class[z], tau), log(q) - log(p[z]), 1e-14);
        }
        check_close(sc_sigmoid(sc_logit(c) + tau), tilted_c, 1e-15);
    }
    check_close(sc_gap_gain(SC_GAP_SHIFT, 1, 0, -4), 4, 1e-14);
    check_close(sc_gap_gain(SC_GAP_SHIFT, 0, 1, 4), 4, 0);
    check_close(sc_gap_gain(SC_GAP_SQUARE, .3, 1, .2), .49 - .25, 1e-15);
}

/* Best sum of gains with x on a grid of step `step` over [-4, 4] (or [0, 1] - c), neighbours at most reach[j] steps
 * apart (reach NULL: t + x never falls, with t in whole steps lift[j]). Concave sums lose at most their curvature. */
static double grid_best(sc_gap_family family, const double *c, const double *a, const int *lift, size_t n, double step)
{
    enum { MOST = 4097 };
    static double best[MOST], next[MOST];
    int states = (int)lround(family == SC_GAP_SQUARE ? 1 / step : 8 / step) + 1;
    for (size_t j = 0; j < n; j++) {
        int reach = j > 0 ? lift[j] - lift[j - 1] : states;
        for (int i = 0; i < states; i++) {
            /* State i is x itself for the gaps in nats and c + x for the squared one. */
            double x = family == SC_GAP_SQUARE ? i * step - c[j] : -4 + i * step;
            int from, to;
            if (family == SC_GAP_ISOTONIC) {
                from = 0;
                to = i + reach;
            } else if (family == SC_GAP_SQUARE) {
                from = i - 2 * reach;
                to = i;
            } else {
                from = i - reach;
                to = i + reach;
            }
            double top = j == 0 ? 0 : -INFINITY;
            for (int k = from < 0 ? 0 : from; j > 0 && k < states && k <= to; k++) {
                top = fmax(top, best[k]);
            }
            next[i] = top + sc_gap_gain(family, c[j], a[j], x) / (double)n;
        }
        memcpy(best, next, sizeof best);
    }
    double top = 0;
    for (int i = 0; i < states; i++) {
        top = fmax(top, best[i]);
    }
    return top;
}

static void gaps_match_a_fine_grid(void **state)
{
    (void)state;
    sc_random_stream stream;
    sc_random_stream_init(&stream, 8, 3);
    semcal_error error = SEMCAL_ERROR_INIT;
    for (int trial = 0; trial < 24; trial++) {
        enum { N = 14 };
        double c[N], squared_c[N], a[N], gap[SC_GAP_FAMILIES], slack[SC_GAP_FAMILIES], step = 1.0 / 64;
        int lift[N], squared_lift[N];
        size_t n = 2 + sc_random_below(&stream, N - 1);
        for (size_t j = 0; j < n; j++) {
            lift[j] = (j > 0 ? lift[j - 1] : -192) + 1 + (int)sc_random_below(&stream, trial % 2 == 0 ? 64 : 12);
            squared_lift[j] = (j > 0 ? squared_lift[j - 1] : 0) + (int)sc_random_below(&stream, 30);
            c[j] = sc_sigmoid(lift[j] * step);
            squared_c[j] = squared_lift[j] / 512.0;
            a[j] = sc_random_below(&stream, 2);
        }
        check_ok(sc_gap_in_sample(gap, slack, c, a, NULL, n, &error), error);
        double grid = grid_best(SC_GAP_LIPSCHITZ, c, a, lift, n, step);
        assert_true(gap[SC_GAP_LIPSCHITZ] >= grid - 1e-8 && gap[SC_GAP_LIPSCHITZ] <= grid + step * step / 32 + 1e-8);
        grid = grid_best(SC_GAP_ISOTONIC, c, a, lift, n, step);
        assert_true(gap[SC_GAP_ISOTONIC] >= grid - 1e-12 && gap[SC_GAP_ISOTONIC] <= grid + step * step / 32 + 1e-12);
        assert_true(slack[SC_GAP_LIPSCHITZ] <= 1e-8 && slack[SC_GAP_SQUARE] <= 1e-8);
        double shift = 0, affine = 0;
        for (double alpha = 0; alpha <= 2.0001; alpha += 1.0 / 128) {
            for (double beta = -10; beta <= 10; beta += 1.0 / 64) {
                double sum = 0;
                for (size_t j = 0; j < n; j++) {
                    double tau = fmin(4, fmax(-4, (alpha - 1) * lift[j] * step + beta));
                    sum += sc_gap_gain(SC_GAP_AFFINE, c[j], a[j], tau) / (double)n;
                }
                affine = fmax(affine, sum);
                shift = alpha == 1 ? fmax(shift, sum) : shift;
            }
        }
        assert_true(gap[SC_GAP_SHIFT] >= shift - 1e-12 && gap[SC_GAP_SHIFT] <= shift + 1e-4);
        assert_true(gap[SC_GAP_AFFINE] >= affine - 1e-9 && gap[SC_GAP_AFFINE] <= affine + 1e-3);
        check_ok(sc_gap_in_sample(gap, slack, squared_c, a, NULL, n, &error), error);
        grid = grid_best(SC_GAP_SQUARE, squared_c, a, squared_lift, n, 1.0 / 512);
        assert_true(gap[SC_GAP_SQUARE] >= grid - 1e-8 && gap[SC_GAP_SQUARE] <= grid + 1e-5);
    }
}

/* The best line by brute force that knows of the kinks: a grid over both numbers, and along every line on which some
 * point meets the clip, each refined around its best place. */
static double line_gain(const double *c, const double *a, size_t n, double slope, double offset)
{
    double sum = 0;
    for (size_t j = 0; j < n; j++) {
        double t = sc_logit(c[j]);
        sum += sc_gap_gain(SC_GAP_AFFINE, c[j], a[j], fmin(4, fmax(-4, slope * t + offset))) / (double)n;
    }
    return sum;
}

static double best_on_kinks(const double *c, const double *a, size_t n)
{
    double best = 0;
    for (size_t j = 0; j < n; j++) {
        for (int wall = -4; wall <= 4; wall += 8) {
            double from = -1, to = 1;
            for (int zoom = 0; zoom < 8; zoom++) {
                double top = -INFINITY, at = 0, step = (to - from) / 400;
                for (int i = 0; i <= 400; i++) {
                    double slope = from + step * i, value = line_gain(c, a, n, slope, wall - slope * sc_logit(c[j]));
                    if (value > top) {
                        top = value;
                        at = slope;
                    }
                }
                best = fmax(best, top);
                from = fmax(-1, at - 2 * step);
                to = fmin(1, at + 2 * step);
            }
        }
    }
    return best;
}

/* Log-odds that spread over tens of units meet the clip, and the best line often touches it at some point. */
static void the_affine_search_climbs_along_kinks(void **state)
{
    (void)state;
    sc_random_stream stream;
    sc_random_stream_init(&stream, 8, 77);
    semcal_error error = SEMCAL_ERROR_INIT;
    int on_kinks = 0;
    for (int trial = 0; trial < 120; trial++) {
        enum { N = 24 };
        double c[N], a[N], gap[SC_GAP_FAMILIES];
        size_t n = 2 + sc_random_below(&stream, N - 1);
        double width = 1 + 14 * sc_random_unit(&stream);
        for (size_t j = 0; j < n; j++) {
            double g = 0;
            for (int k = 0; k < 12; k++) {
                g += sc_random_unit(&stream) - .5;
            }
            c[j] = sc_sigmoid(width * g);
            a[j] = sc_random_below(&stream, 2);
        }
        check_ok(sc_gap_in_sample(gap, NULL, c, a, NULL, n, &error), error);
        double brute = best_on_kinks(c, a, n);
        assert_true(gap[SC_GAP_AFFINE] >= brute - 1e-9);
        on_kinks += gap[SC_GAP_AFFINE] <= brute + 1e-9;
    }
    print_message("the best line touches the clip in %d of 120 samples\n", on_kinks);
    assert_true(on_kinks > 10);
}

/* Confidences of many kinds: spread out, few atoms, tiny, atoms at both ends, within 1e-8 of each other, near 1. */
static double confidence(sc_random_stream *stream, int kind)
{
    double u = sc_random_unit(stream);
    switch (kind) {
    case 0:
        return u;
    case 1:
        return sc_random_below(stream, 6) / 5.0;
    case 2:
        return pow(u, 20);
    case 3:
        return sc_random_below(stream, 3) > 0 ? u : sc_random_below(stream, 2);
    case 4:
        return .5 + 1e-8 * u;
    case 5:
        return 1 - pow(u, 30);
    default:
        return sc_random_below(stream, 51) / 50.0;
    }
}

static void inequalities_hold(void **state)
{
    (void)state;
    sc_random_stream stream;
    sc_random_stream_init(&stream, 8, 4);
    semcal_error error = SEMCAL_ERROR_INIT;
    /* What the chain programs may miss, by their own certificate. */
    double e = 2e-8;
    for (int trial = 0; trial < 3000; trial++) {
        double c[300], a[300], w[300], gap[SC_GAP_FAMILIES], slack[SC_GAP_FAMILIES], smce, dsmce;
        size_t n = 1 + sc_random_below(&stream, trial % 20 == 0 ? 300 : 25);
        for (size_t i = 0; i < n; i++) {
            c[i] = confidence(&stream, trial % 7);
            double p = trial / 7 % 3 == 0 ? .5 : trial / 7 % 3 == 1 ? c[i] : 1 - c[i];
            a[i] = sc_random_unit(&stream) < p ? 1 : 0;
            w[i] = trial % 4 == 0 ? .01 + sc_random_unit(&stream) : 1;
        }
        check_ok(sc_gap_in_sample(gap, slack, c, a, w, n, &error), error);
        check_ok(sc_smce_exact(&smce, c, a, w, n, &error), error);
        check_ok(sc_smce_logit(&dsmce, c, a, w, n, &error), error);
        bool holds = smce <= dsmce + 1e-12 && smce * smce <= gap[SC_GAP_SQUARE] + e &&
                     gap[SC_GAP_SQUARE] <= 2 * smce + e && 2 * dsmce * dsmce <= gap[SC_GAP_LIPSCHITZ] + e &&
                     gap[SC_GAP_LIPSCHITZ] <= 4 * dsmce + e && gap[SC_GAP_SHIFT] <= gap[SC_GAP_AFFINE] + e &&
                     gap[SC_GAP_AFFINE] <= gap[SC_GAP_LIPSCHITZ] + e &&
                     gap[SC_GAP_LIPSCHITZ] <= gap[SC_GAP_ISOTONIC] + e && slack[SC_GAP_LIPSCHITZ] <= 1e-8 &&
                     slack[SC_GAP_SQUARE] <= 1e-8 && gap[SC_GAP_SHIFT] >= 0;
        if (!holds) {
            print_error("trial %d, n = %zu: smce %.9f dsmce %.9f gaps %.9f %.9f %.9f %.9f %.9f\n", trial, n, smce,
                        dsmce, gap[0], gap[1], gap[2], gap[3], gap[4]);
        }
        assert_true(holds);
    }
}

/* More distinct confidences than are solved one by one: still certified, still ordered. */
static void large_samples_keep_their_certificate(void **state)
{
    (void)state;
    enum { N = 70000 };
    static double c[N], a[N];
    sc_random_stream stream;
    sc_random_stream_init(&stream, 8, 5);
    for (int i = 0; i < N; i++) {
        c[i] = sc_random_unit(&stream);
        a[i] = sc_random_unit(&stream) < c[i] * c[i] ? 1 : 0;
    }
    semcal_error error = SEMCAL_ERROR_INIT;
    double gap[SC_GAP_FAMILIES], slack[SC_GAP_FAMILIES], dsmce;
    check_ok(sc_gap_in_sample(gap, slack, c, a, NULL, N, &error), error);
    check_ok(sc_smce_logit(&dsmce, c, a, NULL, N, &error), error);
    assert_true(slack[SC_GAP_LIPSCHITZ] >= 0 && slack[SC_GAP_LIPSCHITZ] < 1e-5);
    assert_true(slack[SC_GAP_SQUARE] >= 0 && slack[SC_GAP_SQUARE] < 1e-5);
    assert_true(2 * dsmce * dsmce <= gap[SC_GAP_LIPSCHITZ] + slack[SC_GAP_LIPSCHITZ]);
    assert_true(gap[SC_GAP_AFFINE] <= gap[SC_GAP_LIPSCHITZ] && gap[SC_GAP_LIPSCHITZ] <= gap[SC_GAP_ISOTONIC] + 1e-8);
    /* The population's best: E KL(Ber(c^2) || Ber(c)) = 0.0916 by quadrature (clipping at 4 is not reached). */
    double best = 0;
    for (int i = 0; i < 100000; i++) {
        double v = (i + .5) / 100000, q = v * v;
        best += (q * log(q / v) + (1 - q) * (log1p(-q) - log1p(-v))) / 100000;
    }
    check_close(gap[SC_GAP_LIPSCHITZ], best, .003);
}

/* A calibrated law has nothing to gain: in sample it stays within the floor, cross-fitted it does not rise above 0.
 * A miscalibrated one is found by both. */
static void calibrated_laws_stay_within_the_floor(void **state)
{
    (void)state;
    enum { N = 1000, LAWS = 12 };
    double c[N], a[N], gap[SC_GAP_FAMILIES], fitted[SC_GAP_FAMILIES], mean[SC_GAP_FAMILIES] = {0};
    sc_random_stream stream;
    sc_random_stream_init(&stream, 8, 6);
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_gap_spread spread;
    sc_bootstrap_options how = {1, "", 60, 0};
    int above[SC_GAP_FAMILIES] = {0}, smooth_above[SC_GAP_SMOOTH] = {0};
    double smooth[SC_GAP_SMOOTH];
    for (int law = 0; law < LAWS; law++) {
        for (int i = 0; i < N; i++) {
            c[i] = (1 + sc_random_below(&stream, 49)) / 50.0;
            a[i] = sc_random_unit(&stream) < c[i] ? 1 : 0;
        }
        check_ok(sc_gap_in_sample(gap, NULL, c, a, NULL, N, &error), error);
        check_ok(sc_gap_crossfit(fitted, c, a, N, 5, 1, "", &error), error);
        check_ok(sc_smce_exact(&smooth[SC_GAP_SMCE], c, a, NULL, N, &error), error);
        check_ok(sc_smce_logit(&smooth[SC_GAP_DSMCE], c, a, NULL, N, &error), error);
        if (law == 0) {
            check_ok(sc_gap_resample(&spread, gap, smooth, c, a, N, &how, &error), error);
        }
        for (int k = 0; k < SC_GAP_SMOOTH; k++) {
            smooth_above[k] += smooth[k] > spread.smooth_floor_95[k];
            assert_true(smooth[k] > .1 * spread.smooth_floor[k] && spread.smooth_interval[k][0] < .01);
        }
        for (int family = 0; family < SC_GAP_FAMILIES; family++) {
            mean[family] += gap[family] / LAWS;
            above[family] += gap[family] > spread.floor_95[family];
            assert_true(fitted[family] < gap[family]);
            assert_true(fitted[family] < .004);
        }
    }
    assert_true(smooth_above[SC_GAP_SMCE] <= 4 && smooth_above[SC_GAP_DSMCE] <= 4);
    for (int family = 0; family < SC_GAP_FAMILIES; family++) {
        assert_true(above[family] <= 4);
        assert_true(mean[family] > .4 * spread.floor[family] && mean[family] < 2 * spread.floor[family]);
    }
    for (int i = 0; i < N; i++) {
        a[i] = sc_random_unit(&stream) < sc_sigmoid(sc_logit(c[i]) - 1) ? 1 : 0;
    }
    check_ok(sc_gap_in_sample(gap, NULL, c, a, NULL, N, &error), error);
    check_ok(sc_gap_crossfit(fitted, c, a, N, 5, 1, "", &error), error);
    check_ok(sc_smce_exact(&smooth[SC_GAP_SMCE], c, a, NULL, N, &error), error);
    check_ok(sc_smce_logit(&smooth[SC_GAP_DSMCE], c, a, NULL, N, &error), error);
    check_ok(sc_gap_resample(&spread, gap, smooth, c, a, N, &how, &error), error);
    for (int k = 0; k < SC_GAP_SMOOTH; k++) {
        assert_true(spread.smooth_interval[k][0] > spread.smooth_floor_95[k]);
        assert_true(spread.smooth_interval[k][0] < smooth[k] && smooth[k] < spread.smooth_interval[k][1]);
    }
    for (int family = 0; family < SC_GAP_FAMILIES; family++) {
        assert_true(fitted[family] > spread.floor_95[family]);
        assert_true(spread.interval[family][0] > 0 && spread.interval[family][0] < spread.interval[family][1]);
    }
    sc_pool pool;
    sc_gap_tilt tilt;
    check_ok(sc_pool_make(&pool, c, a, NULL, N, &error), error);
    check_ok(sc_gap_fit(&tilt, &gap[0], NULL, SC_GAP_SHIFT, &pool, &error), error);
    check_close(sc_gap_tilt_at(&tilt, .37), -1, .25);
    sc_gap_free(&tilt);
    sc_pool_free(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smooth_errors_match_the_lattice),
        cmocka_unit_test(the_affine_search_climbs_along_kinks),
        cmocka_unit_test(smooth_errors_by_hand),
        cmocka_unit_test(smooth_errors_stay_fast),
        cmocka_unit_test(a_tilt_changes_the_loss_as_the_formula_says),
        cmocka_unit_test(gaps_match_a_fine_grid),
        cmocka_unit_test(inequalities_hold),
        cmocka_unit_test(large_samples_keep_their_certificate),
        cmocka_unit_test(calibrated_laws_stay_within_the_floor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

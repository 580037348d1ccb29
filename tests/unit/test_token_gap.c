/* SPDX-License-Identifier: Apache-2.0 */
/* Temperatures and biases on laws whose best perturbation is known. */
#include "base/random.h"
#include "check.h"
#include "statistics/token_gap.h"

static semcal_error error = SEMCAL_ERROR_INIT;

/* Expected loss of softmax(l / T) when tokens follow softmax(l / truth). */
static double expected_loss(const double *logits, size_t V, double truth, double T)
{
    double p = 0, q = 0, loss = 0;
    for (size_t v = 0; v < V; v++) {
        p += exp(logits[v] / truth);
        q += exp(logits[v] / T);
    }
    for (size_t v = 0; v < V; v++) {
        loss += exp(logits[v] / truth) / p * (log(q) - logits[v] / T);
    }
    return loss;
}

static void temperature_is_found_between_the_places(void **state)
{
    (void)state;
    const double logits[] = {3, 1, .5, 0, -1, -2, 2.5, .1};
    const double truths[] = {1, 1.07, .83, 1.5, .55, 1.9};
    for (size_t k = 0; k < sizeof truths / sizeof *truths; k++) {
        double loss[SC_TEMPERATURES], weight[SC_TEMPERATURES], best, least = 0;
        for (size_t p = 0; p < SC_TEMPERATURES; p++) {
            loss[p] = expected_loss(logits, 8, truths[k], sc_token_gap_multiplier(p));
        }
        sc_token_gap_temperature(&best, weight, loss);
        for (size_t p = 0; p < SC_TEMPERATURES; p++) {
            least += weight[p] * loss[p];
        }
        check_close(best, truths[k], 2e-3);
        check_close(least, expected_loss(logits, 8, truths[k], truths[k]), 2e-6);
    }
    check_close(sc_token_gap_multiplier(SC_TEMPERATURE_ONE), 1, 0);
}

static void temperature_stops_at_the_ends(void **state)
{
    (void)state;
    double loss[SC_TEMPERATURES], weight[SC_TEMPERATURES], best;
    for (size_t p = 0; p < SC_TEMPERATURES; p++) {
        loss[p] = -(double)p;
    }
    sc_token_gap_temperature(&best, weight, loss);
    check_close(best, 2, 1e-9);
    check_close(weight[SC_TEMPERATURES - 1], 1, 1e-9);
    for (size_t p = 0; p < SC_TEMPERATURES; p++) {
        loss[p] = 1;
    }
    sc_token_gap_temperature(&best, weight, loss);
    assert_true(best >= .5 && best <= 2);
}

enum { N = 20000, K = 5 };
static double mass[N * K];
static int32_t class_of[N];

/* Rows of masses; classes drawn from them tilted by `truth`. */
static void draw(const double *truth)
{
    sc_random_stream stream;
    sc_random_stream_init(&stream, sc_random_key(3, "test", "bias"), 0);
    for (size_t i = 0; i < N; i++) {
        double total = 0, tilted = 0;
        for (size_t k = 0; k < K; k++) {
            mass[i * K + k] = exp(4 * sc_random_unit(&stream));
            total += mass[i * K + k];
        }
        for (size_t k = 0; k < K; k++) {
            mass[i * K + k] /= total;
            tilted += mass[i * K + k] * exp(truth[k]);
        }
        double u = sc_random_unit(&stream) * tilted;
        size_t k = 0;
        while (k + 1 < K && u >= mass[i * K + k] * exp(truth[k])) {
            u -= mass[i * K + k] * exp(truth[k]);
            k++;
        }
        class_of[i] = (int32_t)k;
    }
}

static void bias_is_the_one_drawn_with(void **state)
{
    (void)state;
    const double truth[K] = {.5, -1, 0, .25, 1.5};
    double bias[K];
    draw(truth);
    check_ok(sc_token_gap_bias(bias, mass, class_of, NULL, N, K, &error), error);
    for (size_t k = 1; k < K; k++) {
        check_close(bias[k] - bias[0], truth[k] - truth[0], .08); /* four standard errors */
    }
    /* stationary: every class's mean mass after the bias is its share */
    double share[K] = {0}, after[K] = {0}, gain = 0, beside = 0;
    for (size_t i = 0; i < N; i++) {
        double total = 0;
        for (size_t k = 0; k < K; k++) {
            total += mass[i * K + k] * exp(bias[k]);
        }
        for (size_t k = 0; k < K; k++) {
            after[k] += mass[i * K + k] * exp(bias[k]) / total / N;
        }
        share[class_of[i]] += 1.0 / N;
        gain += sc_token_gap_bias_gain(bias, mass + i * K, class_of[i], K) / N;
        beside += sc_token_gap_bias_gain(truth, mass + i * K, class_of[i], K) / N;
    }
    for (size_t k = 0; k < K; k++) {
        check_close(after[k], share[k], 2.0 / N + 1e-6);
    }
    assert_true(gain >= beside - 1e-6 && gain > .1);
}

static void rows_left_out_do_not_count(void **state)
{
    (void)state;
    const double truth[K] = {0};
    static uint8_t use[N];
    double bias[K], part[K];
    draw(truth);
    for (size_t i = 0; i < N; i++) {
        use[i] = i < N / 2;
        class_of[i] = i < N / 2 ? class_of[i] : 0;
    }
    check_ok(sc_token_gap_bias(part, mass, class_of, use, N, K, &error), error);
    check_ok(sc_token_gap_bias(bias, mass, class_of, NULL, N / 2, K, &error), error);
    for (size_t k = 0; k < K; k++) {
        check_close(part[k], bias[k], 1e-9);
    }
    memset(use, 0, sizeof use);
    check_ok(sc_token_gap_bias(part, mass, class_of, use, N, K, &error), error);
    check_close(part[0], 0, 0);
}

static void class_that_never_comes_stays_finite(void **state)
{
    (void)state;
    double bias[2];
    static double two[200];
    static int32_t first[100];
    for (size_t i = 0; i < 100; i++) {
        two[2 * i] = i % 2 == 0 ? 1 : .7;
        two[2 * i + 1] = 1 - two[2 * i];
    }
    check_ok(sc_token_gap_bias(bias, two, first, NULL, 100, 2, &error), error);
    assert_true(isfinite(bias[0]) && isfinite(bias[1]) && bias[0] > bias[1] + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(temperature_is_found_between_the_places),
        cmocka_unit_test(temperature_stops_at_the_ends),
        cmocka_unit_test(bias_is_the_one_drawn_with),
        cmocka_unit_test(rows_left_out_do_not_count),
        cmocka_unit_test(class_that_never_comes_stays_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

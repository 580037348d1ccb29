/* SPDX-License-Identifier: Apache-2.0 */
/* Both sides of the theorem on toy laws, in expectation and not by sampling: where answers follow the model's own law,
 * no tilt of its responses lowers the loss; where they do not, the best tilt saves exactly the divergence from
 * calibration. Losses are those of whole responses, all of them enumerated. */
#include "base/numeric.h"
#include "check.h"
#include "sampling/enumerate.h"
#include "source/toy.h"
#include "statistics/family.h"
#include "statistics/gap.h"
#include "statistics/smce.h"

enum { QUESTIONS = 8, K = 3 };

/* The last two have one confidence. */
static const char *const laws[QUESTIONS] = {"law: alfa=.96 bravo=.03 charlie=.01 fillers=2 decide=last",
                                            "law: alfa=.85 bravo=.1 charlie=.05 fillers=1",
                                            "law: alfa=.2 bravo=.7 charlie=.1 fillers=3 decide=first",
                                            "law: alfa=.25 bravo=.2 charlie=.55 fillers=2",
                                            "law: alfa=.45 bravo=.3 charlie=.25 fillers=0",
                                            "law: alfa=.3 bravo=.4 charlie=.3 fillers=1",
                                            "law: alfa=.625 bravo=.25 charlie=.125 fillers=1",
                                            "law: alfa=.25 bravo=.125 charlie=.625 fillers=2"};

typedef struct question {
    sc_enumeration all;
    int *class_of; /* of each response */
    double pi[K], c;
    int mode;
    double truth[K]; /* law of the answer's class */
} question;

static void open_questions(question *questions)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_source *source;
    check_ok(sc_source_toy_open(&source, &error), error);
    for (size_t q = 0; q < QUESTIONS; q++) {
        question *x = &questions[q];
        *x = (question){.mode = 0};
        int32_t *prompt;
        size_t n_prompt;
        check_ok(source->functions->encode(source, &prompt, &n_prompt, laws[q], strlen(laws[q]), true, &error), error);
        sc_enumerate_options options = SC_ENUMERATE_OPTIONS_INIT;
        options.epsilon = 1e-14;
        check_ok(sc_enumerate(&x->all, source, &options, prompt, n_prompt, 0, &error), error);
        free(prompt);
        x->class_of = calloc(x->all.n_responses, sizeof *x->class_of);
        sc_sum mass[K] = {{0, 0}};
        for (size_t i = 0; i < x->all.n_responses; i++) {
            while (strstr(x->all.responses[i].text, sc_toy_class_word(x->class_of[i])) == NULL) {
                assert_true(++x->class_of[i] < K);
            }
            sc_sum_add(&mass[x->class_of[i]], exp(x->all.responses[i].logprob));
        }
        for (int k = 0; k < K; k++) {
            x->truth[k] = x->pi[k] = sc_sum_value(&mass[k]);
            x->mode = x->pi[k] > x->pi[x->mode] ? k : x->mode;
        }
        check_close(x->pi[0] + x->pi[1] + x->pi[2], 1, 1e-13);
        x->c = x->pi[x->mode];
    }
    source->functions->close(source);
}

static void close_questions(question *questions)
{
    for (size_t q = 0; q < QUESTIONS; q++) {
        sc_enumeration_free(&questions[q].all);
        free(questions[q].class_of);
    }
}

/* Expected change of the loss of a reference response, when tau[k] tilts the responses of class k. The reference is
 * drawn by its class from the truth and within the class as the model does. */
static double loss_change(const question *x, const double tau[K])
{
    sc_sum normaliser = {0, 0}, change = {0, 0};
    for (size_t i = 0; i < x->all.n_responses; i++) {
        sc_sum_add(&normaliser, exp(x->all.responses[i].logprob + tau[x->class_of[i]]));
    }
    for (size_t i = 0; i < x->all.n_responses; i++) {
        int k = x->class_of[i];
        double before = x->all.responses[i].logprob, after = before + tau[k] - log(sc_sum_value(&normaliser));
        sc_sum_add(&change, x->truth[k] * exp(before) / x->pi[k] * (before - after));
    }
    return sc_sum_value(&change);
}

static double mode_change(const question *x, double tau)
{
    double tilt[K] = {0};
    tilt[x->mode] = tau;
    return loss_change(x, tilt);
}

static double bernoulli_divergence(double a, double c)
{
    return (a > 0 ? a * log(a / c) : 0) + (a < 1 ? (1 - a) * log((1 - a) / (1 - c)) : 0);
}

/* Confidences, and the probability that the mode is right, of all questions. */
static void pairs_of(double *c, double *a, const question *questions)
{
    for (size_t q = 0; q < QUESTIONS; q++) {
        c[q] = questions[q].c;
        a[q] = questions[q].truth[questions[q].mode];
    }
}

static void calibrated_laws_cannot_be_improved(void **state)
{
    (void)state;
    static question questions[QUESTIONS];
    semcal_error error = SEMCAL_ERROR_INIT;
    open_questions(questions);
    size_t tried = 0;
    for (size_t q = 0; q < QUESTIONS; q++) {
        for (int i = 0; i <= 40; i++) {
            double tau = -4 + .2 * i, change = mode_change(&questions[q], tau);
            /* Zero is the best, and the only one without loss. */
            assert_true(change >= -1e-14);
            assert_true(fabs(tau) < .1 || change > 1e-5);
            check_close(change, log1p(questions[q].c * expm1(tau)) - tau * questions[q].c, 1e-13);
        }
        for (int i = 0; i < 9 * 9 * 9; i++, tried++) {
            const double tau[K] = {i % 9 - 4, i / 9 % 9 - 4, i / 81 - 4};
            double change = loss_change(&questions[q], tau);
            bool one_for_all = tau[0] == tau[1] && tau[1] == tau[2];
            assert_true(one_for_all ? fabs(change) < 1e-13 : change > 1e-4);
        }
    }
    assert_int_equal(tried, 729 * QUESTIONS);
    double c[QUESTIONS], a[QUESTIONS], gap[SC_GAP_FAMILIES], smce, dsmce;
    pairs_of(c, a, questions);
    check_ok(sc_gap_in_sample(gap, NULL, c, a, NULL, QUESTIONS, &error), error);
    check_ok(sc_smce_exact(&smce, c, a, NULL, QUESTIONS, &error), error);
    check_ok(sc_smce_logit(&dsmce, c, a, NULL, QUESTIONS, &error), error);
    for (int family = 0; family < SC_GAP_FAMILIES; family++) {
        check_close(gap[family], 0, 1e-12);
    }
    check_close(smce, 0, 1e-13);
    check_close(dsmce, 0, 1e-13);
    close_questions(questions);
}

/* The truth's odds of the mode are e^{by[q]} times the model's, the other classes stay in proportion. */
static void miscalibrate(question *questions, const double by[QUESTIONS])
{
    for (size_t q = 0; q < QUESTIONS; q++) {
        question *x = &questions[q];
        double a = sc_sigmoid(sc_logit(x->c) + by[q]);
        for (int k = 0; k < K; k++) {
            x->truth[k] = k == x->mode ? a : x->pi[k] * (1 - a) / (1 - x->c);
        }
    }
}

static void the_best_tilt_saves_the_divergence(void **state)
{
    (void)state;
    static question questions[QUESTIONS];
    semcal_error error = SEMCAL_ERROR_INIT;
    open_questions(questions);
    double c[QUESTIONS], a[QUESTIONS], gap[SC_GAP_FAMILIES], slack[SC_GAP_FAMILIES];

    /* One shift for all: every family holds it, and the shift is exact. */
    double by[QUESTIONS] = {-.7, -.7, -.7, -.7, -.7, -.7, -.7, -.7}, divergence = 0, saved = 0;
    miscalibrate(questions, by);
    pairs_of(c, a, questions);
    for (size_t q = 0; q < QUESTIONS; q++) {
        divergence += bernoulli_divergence(a[q], c[q]) / QUESTIONS;
        saved -= mode_change(&questions[q], -.7) / QUESTIONS;
        for (int i = 0; i <= 80; i++) {
            assert_true(-mode_change(&questions[q], -4 + .1 * i) <= bernoulli_divergence(a[q], c[q]) + 1e-13);
        }
    }
    check_close(saved, divergence, 1e-13);
    check_ok(sc_gap_in_sample(gap, slack, c, a, NULL, QUESTIONS, &error), error);
    check_close(gap[SC_GAP_SHIFT], divergence, 1e-13);
    check_close(gap[SC_GAP_AFFINE], divergence, 1e-9);
    check_close(gap[SC_GAP_LIPSCHITZ], divergence, 1e-8);
    check_close(gap[SC_GAP_ISOTONIC], divergence, 1e-13);

    /* A curve that is 1-Lipschitz in the logit, and two questions of one confidence whose truths differ: what counts
     * is their mean. The two are the last, of confidence .625. */
    for (size_t q = 0; q < QUESTIONS; q++) {
        by[q] = .8 * sin(sc_logit(questions[q].c)) - .3 + (q == QUESTIONS - 1 ? .5 : q == QUESTIONS - 2 ? -.5 : 0);
    }
    miscalibrate(questions, by);
    pairs_of(c, a, questions);
    check_close(c[QUESTIONS - 1], c[QUESTIONS - 2], 1e-13);
    c[QUESTIONS - 1] = c[QUESTIONS - 2];
    double given[QUESTIONS], mean = (a[QUESTIONS - 2] + a[QUESTIONS - 1]) / 2;
    divergence = saved = 0;
    for (size_t q = 0; q < QUESTIONS; q++) {
        given[q] = q >= QUESTIONS - 2 ? mean : a[q];
        divergence += bernoulli_divergence(given[q], c[q]) / QUESTIONS;
        saved -= mode_change(&questions[q], sc_logit(given[q]) - sc_logit(c[q])) / QUESTIONS;
    }
    assert_true(fabs(a[QUESTIONS - 1] - mean) > .05 && divergence > .005);
    check_close(saved, divergence, 1e-13);
    check_ok(sc_gap_in_sample(gap, slack, c, a, NULL, QUESTIONS, &error), error);
    check_close(gap[SC_GAP_LIPSCHITZ], divergence, 1e-8 + slack[SC_GAP_LIPSCHITZ]);
    check_close(gap[SC_GAP_ISOTONIC], divergence, 1e-13);
    assert_true(gap[SC_GAP_SHIFT] < divergence - 1e-3);
    close_questions(questions);
}

/* Every (question, class) as a question of its own, weighted by the truth: expectations by the sampled interface. */
static double expected_gain(const question *questions, const double theta[SC_FAMILY_FEATURES])
{
    semcal_error error = SEMCAL_ERROR_INIT;
    size_t first[QUESTIONS * K + 1] = {0};
    double probability[QUESTIONS * K * K], w[QUESTIONS * K], gain;
    int32_t reference[QUESTIONS * K];
    for (size_t i = 0; i < (size_t)QUESTIONS * K; i++) {
        memcpy(probability + i * K, questions[i / K].pi, sizeof questions[i / K].pi);
        first[i + 1] = first[i] + K;
        reference[i] = (int32_t)(i % K);
        w[i] = questions[i / K].truth[i % K];
    }
    const sc_family_laws all = {(size_t)QUESTIONS * K, first, probability, reference, NULL};
    check_ok(sc_family_gain(&gain, theta, &all, w, &error), error);
    return gain;
}

static void tilts_of_all_classes(void **state)
{
    (void)state;
    static question questions[QUESTIONS];
    open_questions(questions);
    for (int i = 0; i < 5 * 5 * 5 * 5; i++) {
        const double theta[SC_FAMILY_FEATURES] = {i % 5 - 2, i / 5 % 5 - 2, i / 25 % 5 - 2, i / 125 - 2};
        double gain = expected_gain(questions, theta);
        assert_true(gain <= 1e-14);
        assert_true(i == 312 || gain < -1e-4); /* 312 is no tilt */
    }
    /* The truth is the model's law, tilted: undoing it saves the divergence of all classes, nothing saves more. */
    const double true_theta[SC_FAMILY_FEATURES] = {-.5, .3, .2, .4};
    double divergence = 0;
    for (size_t q = 0; q < QUESTIONS; q++) {
        question *x = &questions[q];
        double total = 0;
        for (int k = 0; k < K; k++) {
            size_t rank = 1;
            for (int j = 0; j < K; j++) {
                rank += x->pi[j] > x->pi[k] || (x->pi[j] == x->pi[k] && j < k);
            }
            double feature[SC_FAMILY_FEATURES];
            sc_family_features(feature, rank, x->pi[k]);
            total += x->truth[k] = x->pi[k] * exp(sc_family_tilt(true_theta, feature));
        }
        for (int k = 0; k < K; k++) {
            x->truth[k] /= total;
            divergence += x->truth[k] * log(x->truth[k] / x->pi[k]) / QUESTIONS;
        }
    }
    check_close(expected_gain(questions, true_theta), divergence, 1e-13);
    for (int i = 0; i < 5 * 5 * 5 * 5; i++) {
        const double theta[SC_FAMILY_FEATURES] = {i % 5 - 2, i / 5 % 5 - 2, i / 25 % 5 - 2, i / 125 - 2};
        assert_true(expected_gain(questions, theta) < divergence);
    }
    close_questions(questions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calibrated_laws_cannot_be_improved),
        cmocka_unit_test(the_best_tilt_saves_the_divergence),
        cmocka_unit_test(tilts_of_all_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

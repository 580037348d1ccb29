/* SPDX-License-Identifier: Apache-2.0 */
/* On laws that are calibrated by construction every estimator lands where theory says, the biased one by its bias. */
#include "base/random.h"
#include "check.h"
#include "sampling/generate.h"
#include "source/toy.h"
#include "statistics/estimators.h"

/* Sums over questions of confidence minus correctness, and of its square, per estimator. */
typedef struct gap {
    double sum, square;
} gap;

typedef struct world {
    sc_source *source;
    int32_t *prompt;
    size_t n_prompt;
    double pi[3];
    uint64_t next, n;
    uint64_t reference_key;
    gap frequency, frequency_known, split, mass;
    double mass_found, entropy, n_reliable;
} world;

static semcal_status next_question(sc_generate_question *question, bool *more, void *payload, semcal_error *error)
{
    (void)error;
    world *w = payload;
    *more = w->next < w->n;
    *question = (sc_generate_question){
        .item = 77 + w->next, .prompt = w->prompt, .n_prompt = w->n_prompt, .tag = (void *)(uintptr_t)w->next};
    w->next++;
    return SEMCAL_OK;
}

static void add(gap *g, double value)
{
    g->sum += value;
    g->square += value * value;
}

/* The class of a toy response: its last or first word, whichever is a class word. */
static int32_t class_of(const char *text)
{
    for (int k = 0; k < 3; k++) {
        if (strstr(text, sc_toy_class_word(k)) != NULL) {
            return k;
        }
    }
    fail_msg("no class in '%s'", text);
    return -1;
}

static semcal_status take(const sc_generate_question *question, sc_tree *tree, void *payload, semcal_error *error)
{
    world *w = payload;
    int32_t *class = calloc(tree->n_draws, sizeof *class);
    int64_t *string = calloc(tree->n_draws, sizeof *string);
    bool correct[3] = {false, false, false};
    /* the reference answer is one more draw from the same law: calibrated by construction */
    double u = (double)(sc_random_uniform(w->reference_key, question->item, 0, 0) >> 11) * 0x1p-53;
    correct[u < w->pi[0] ? 0 : u < w->pi[0] + w->pi[1] ? 1 : 2] = true;
    for (size_t j = 0; j < tree->n_draws; j++) {
        class[j] = class_of(tree->text[j]);
        string[j] = tree->leaf[j];
    }
    const sc_draws draws = {tree->n_draws, 3, class, tree->draw_logprob, string, correct};
    sc_estimates e;
    semcal_status status = sc_estimators_compute(&e, NULL, NULL, &draws, error);
    if (status == SEMCAL_OK) {
        add(&w->frequency, e.confidence_frequency - e.correct);
        add(&w->frequency_known, e.confidence_frequency - w->pi[e.mode]);
        add(&w->split, e.confidence_split - e.correct_split);
        if (e.mass_found >= SC_ESTIMATORS_MASS_RELIABLE) {
            add(&w->mass, e.confidence_mass - e.correct_mass);
            w->n_reliable++;
        }
        assert_true(e.mass_lower <= e.mass_upper + 1e-12);
        double top = fmax(w->pi[0], fmax(w->pi[1], w->pi[2]));
        assert_true(e.mass_lower <= top + 1e-9 && e.mass_upper >= top - 1e-9);
        w->mass_found += e.mass_found;
    }
    free(class);
    free(string);
    sc_tree_free(tree);
    return status;
}

static void run(world *w, const char *law, uint32_t n_draws, uint64_t n)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_toy_law parsed;
    *w = (world){.n = n, .reference_key = sc_random_key(5, "reference", law)};
    check_ok(sc_source_toy_open(&w->source, &error), error);
    check_ok(sc_toy_law_parse(&parsed, law, strlen(law), &error), error);
    memcpy(w->pi, parsed.pi, sizeof w->pi);
    check_ok(w->source->functions->encode(w->source, &w->prompt, &w->n_prompt, law, strlen(law), true, &error), error);
    sc_generate_options options = SC_GENERATE_OPTIONS_INIT;
    options.key = sc_random_key(5, "draw", law);
    options.n_draws = n_draws;
    const sc_generate_callbacks callbacks = {next_question, take, NULL};
    check_ok(sc_generate(w->source, &options, &callbacks, w, &error), error);
    free(w->prompt);
    w->source->functions->close(w->source);
}

static double mean(const gap *g, double n)
{
    return g->sum / n;
}

static double standard_error(const gap *g, double n)
{
    double m = g->sum / n;
    return sqrt((g->square / n - m * m) / n);
}

/* Bias of the frequency estimator for two classes, exactly: ties go to the heavier class, or to chance when both weigh
 * the same. */
static double bias_of_two(double p, uint32_t n_draws)
{
    double bias = 0, n = n_draws;
    for (uint32_t k = 0; k <= n_draws; k++) {
        double probability =
            exp(lgamma(n + 1) - lgamma(k + 1.0) - lgamma(n - k + 1) + k * log(p) + (n - k) * log(1 - p));
        bool first = 2 * k > n_draws || (2 * k == n_draws && p >= .5);
        double c = fmax(k, n - k) / n, a = first ? p : 1 - p;
        bias += probability * (c - a);
    }
    return bias;
}

static void frequency_is_biased_as_computed(void **state)
{
    (void)state;
    const uint32_t draws[] = {5, 10, 50, 100};
    const double published[] = {.188, .123, .056, .040};
    for (size_t i = 0; i < 4; i++) {
        world w;
        const double n = 4000;
        run(&w, "law: alfa=.5 bravo=.5 fillers=0", draws[i], (uint64_t)n);
        check_close(bias_of_two(.5, draws[i]), published[i], 5.1e-4);
        check_close(mean(&w.frequency_known, n), bias_of_two(.5, draws[i]),
                    4.5 * standard_error(&w.frequency_known, n) + 1e-12);
        check_close(mean(&w.frequency, n), bias_of_two(.5, draws[i]), 4.5 * standard_error(&w.frequency, n));
        /* the bias is far from nothing: the check could fail */
        assert_true(mean(&w.frequency, n) > 1.5 * standard_error(&w.frequency, n));
        check_close(mean(&w.split, n), 0, 4.5 * standard_error(&w.split, n));
        check_close(mean(&w.mass, w.n_reliable), 0, 4.5 * standard_error(&w.mass, w.n_reliable));
    }
}

static void uneven_laws(void **state)
{
    (void)state;
    world w;
    const double n = 6000;
    run(&w, "law: alfa=.7 bravo=.3 fillers=0", 10, (uint64_t)n);
    check_close(mean(&w.frequency, n), bias_of_two(.7, 10), 4.5 * standard_error(&w.frequency, n));
    check_close(mean(&w.split, n), 0, 4.5 * standard_error(&w.split, n));
    run(&w, "law: alfa=.5 bravo=.3 charlie=.2 fillers=1 decide=last", 20, (uint64_t)n);
    check_close(mean(&w.split, n), 0, 4.5 * standard_error(&w.split, n));
    assert_true(mean(&w.frequency, n) > 3 * standard_error(&w.frequency, n));
}

static void mass_found_is_small_when_strings_are_many(void **state)
{
    (void)state;
    world w;
    run(&w, "law: alfa=.53 bravo=.47 fillers=8 decide=last", 50, 200);
    assert_true(w.mass_found / 200 < .5);
    assert_true(w.n_reliable == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frequency_is_biased_as_computed),
        cmocka_unit_test(uneven_laws),
        cmocka_unit_test(mass_found_is_small_when_strings_are_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

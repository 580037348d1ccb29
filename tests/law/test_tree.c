/* SPDX-License-Identifier: Apache-2.0 */
/* The law of the prefix tree: it returns, draw for draw, what M independent chains with the same uniforms return. */
#include "base/random.h"
#include "check.h"
#include "sampling/generate.h"
#include "source/host_law.h"
#include "source/toy.h"
#include "trees.h"

enum { N_QUESTIONS = 23, N_DRAWS = 40 };

static const char *const questions[] = {
    "law: alfa=0.6 bravo=0.3 charlie=0.1 decide=last fillers=3",
    "law: alfa=1 decide=first fillers=2",
    "law: alfa=0.5 zulu=0.5 decide=first fillers=0",
    "law: mike=3 lima=2 kilo=5 golf=1 decide=last fillers=6",
    "law: oscar=0.000000001 papa=1 decide=last fillers=1",
};

typedef struct suite {
    sc_source *source;
    size_t next, n;
    bool backwards;
    int32_t *prompts[N_QUESTIONS];
    size_t lengths[N_QUESTIONS];
    int32_t reference[2];
    sc_tree trees[N_QUESTIONS];
    int n_finished, stop_after;
} suite;

static semcal_status next_question(sc_generate_question *question, bool *more, void *payload, semcal_error *error)
{
    (void)error;
    suite *s = payload;
    if (s->next == s->n) {
        *more = false;
        return SEMCAL_OK;
    }
    size_t i = s->backwards ? s->n - 1 - s->next : s->next;
    s->next++;
    *question = (sc_generate_question){.item = 1000 + i,
                                       .prompt = s->prompts[i],
                                       .n_prompt = s->lengths[i],
                                       .reference = s->reference,
                                       .n_reference = 2,
                                       .tag = (void *)(uintptr_t)i};
    return SEMCAL_OK;
}

static semcal_status keep_tree(const sc_generate_question *question, sc_tree *tree, void *payload, semcal_error *error)
{
    (void)error;
    suite *s = payload;
    s->trees[(uintptr_t)question->tag] = *tree;
    s->n_finished++;
    return SEMCAL_OK;
}

static bool maybe_stop(const sc_generate_counters *counters, void *payload)
{
    (void)counters;
    suite *s = payload;
    return s->stop_after > 0 && s->n_finished >= s->stop_after;
}

static const sc_generate_callbacks callbacks = {next_question, keep_tree, maybe_stop};

static void suite_begin(suite *s)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    *s = (suite){.n = N_QUESTIONS, .reference = {SC_TOY_FILLER, SC_TOY_FILLER + 1}};
    check_ok(sc_source_toy_open(&s->source, &error), error);
    for (size_t i = 0; i < N_QUESTIONS; i++) {
        const char *text = questions[i % 5];
        check_ok(
            s->source->functions->encode(s->source, &s->prompts[i], &s->lengths[i], text, strlen(text), true, &error),
            error);
    }
}

static void suite_end(suite *s)
{
    for (size_t i = 0; i < N_QUESTIONS; i++) {
        sc_tree_free(&s->trees[i]);
        free(s->prompts[i]);
    }
    s->source->functions->close(s->source);
}

static sc_generate_options base_options(void)
{
    return (sc_generate_options){.key = sc_random_key(7, "draw", "toy"),
                                 .n_draws = N_DRAWS,
                                 .ending = {.max_tokens = 7},
                                 .temperature = 1.0,
                                 .n_top = 3};
}

static void generate(suite *s, const sc_generate_options *options)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    suite_begin(s);
    check_ok(sc_generate(s->source, options, &callbacks, s, &error), error);
    assert_int_equal(s->n_finished, N_QUESTIONS);
}

static void tree_equals_chains_and_any_schedule(void **state)
{
    (void)state;
    const double temperatures[] = {1.0, 0.5};
    for (size_t t = 0; t < 2; t++) {
        sc_generate_options options = base_options();
        options.temperature = temperatures[t];
        suite reference;
        generate(&reference, &options);
        const size_t batches[] = {1, 2, 13, 14, 50, 507}, lives[] = {1, 2, 5, 41, 100};
        for (size_t i = 0; i < 11; i++) {
            sc_generate_options other = options;
            other.batch_nodes = i < 6 ? batches[i] : 16;
            other.live_nodes = i < 6 ? 0 : lives[i - 6];
            suite s;
            generate(&s, &other);
            for (size_t q = 0; q < N_QUESTIONS; q++) {
                check_same_tree(&reference.trees[q], &s.trees[q]);
            }
            suite_end(&s);
        }
        sc_generate_options chain = options;
        chain.chain = true;
        suite s;
        generate(&s, &chain);
        for (size_t q = 0; q < N_QUESTIONS; q++) {
            assert_int_equal(s.trees[q].n_mismatches, 0);
            assert_true(s.trees[q].n_laws == s.trees[q].n_draw_tokens);
            assert_true(reference.trees[q].n_laws < s.trees[q].n_laws);
            check_same_tree(&reference.trees[q], &s.trees[q]);
        }
        suite_end(&s);
        suite_end(&reference);
    }
}

/* Walks one draw by hand from the published law. */
static void draws_are_those_of_the_law(void **state)
{
    (void)state;
    sc_generate_options options = base_options();
    suite s;
    generate(&s, &options);
    const double filler[4] = {.4, .3, .2, .1};
    for (size_t q = 0; q < N_QUESTIONS; q++) {
        semcal_error error = SEMCAL_ERROR_INIT;
        sc_toy_law law;
        check_ok(sc_toy_law_parse(&law, questions[q % 5], strlen(questions[q % 5]), &error), error);
        for (uint32_t j = 0; j < N_DRAWS; j++) {
            int32_t tokens[8], n = 0;
            double logprob = 0;
            for (uint32_t t = 0; t < 7; t++) {
                double p[SC_TOY_VOCABULARY] = {0};
                int place = law.decides_first ? 0 : law.n_fillers;
                if ((int)t == place) {
                    memcpy(p + SC_TOY_CLASS, law.pi, sizeof law.pi);
                } else if ((int)t <= law.n_fillers) {
                    memcpy(p + SC_TOY_FILLER, filler, sizeof filler);
                } else {
                    p[SC_TOY_END] = 1;
                }
                /* the test's own inverse CDF, in long double */
                long double u = (long double)sc_random_uniform(options.key, 1000 + q, j, t) * 0x1p-64L, sum = 0;
                int32_t token = 0;
                for (int32_t i = 0; i < SC_TOY_VOCABULARY; i++) {
                    sum += p[i];
                    if (sum > u) {
                        token = i;
                        break;
                    }
                }
                tokens[n++] = token;
                logprob += log(p[token]);
                if (token == SC_TOY_END) {
                    break;
                }
            }
            const sc_tree *tree = &s.trees[q];
            assert_int_equal(tree->n_tokens[j], n);
            int32_t at = tree->leaf[j];
            for (int32_t i = n; i-- > 0; at = tree->parent[at]) {
                assert_int_equal(tree->token[at], tokens[i]);
            }
            assert_int_equal(at, 0);
            check_close(tree->draw_logprob[j], logprob, 1e-12);
            assert_int_equal(tree->finish[j], tokens[n - 1] == SC_TOY_END ? SC_FINISH_END : SC_FINISH_LENGTH);
        }
    }
    suite_end(&s);
}

static void reference_is_scored(void **state)
{
    (void)state;
    sc_generate_options options = base_options();
    suite s;
    generate(&s, &options);
    /* "well so": possible only where two fillers come first */
    check_close(s.trees[0].logprob_reference, log(.4) + log(.3), 1e-14);
    check_close(s.trees[3].logprob_reference, log(.4) + log(.3), 1e-14);
    check_close(s.trees[1].logprob_reference, -INFINITY, 0);
    check_close(s.trees[4].logprob_reference, -INFINITY, 0);
    suite_end(&s);
}

static void raising_the_draws_keeps_the_earlier_ones(void **state)
{
    (void)state;
    sc_generate_options options = base_options();
    suite few, many;
    generate(&few, &options);
    options.n_draws = 3 * N_DRAWS;
    generate(&many, &options);
    for (size_t q = 0; q < N_QUESTIONS; q++) {
        for (size_t j = 0; j < N_DRAWS; j++) {
            assert_string_equal(few.trees[q].text[j], many.trees[q].text[j]);
        }
        /* canonical order: the first nodes are the same ones */
        check_array(few.trees[q].token, many.trees[q].token, few.trees[q].n_nodes);
        check_array(few.trees[q].parent, many.trees[q].parent, few.trees[q].n_nodes);
    }
    suite_end(&few);
    suite_end(&many);
}

static void order_of_questions_does_not_matter(void **state)
{
    (void)state;
    sc_generate_options options = base_options();
    suite forward, backward;
    generate(&forward, &options);
    suite_begin(&backward);
    backward.backwards = true;
    semcal_error error = SEMCAL_ERROR_INIT;
    check_ok(sc_generate(backward.source, &options, &callbacks, &backward, &error), error);
    for (size_t q = 0; q < N_QUESTIONS; q++) {
        check_same_tree(&forward.trees[q], &backward.trees[q]);
    }
    suite_end(&forward);
    suite_end(&backward);
}

/* Bytes of `text` before `stop`; all of them where it does not occur. */
static size_t text_before(const char *text, const char *stop)
{
    const char *at = strstr(text, stop);
    return at == NULL ? strlen(text) : (size_t)(at - text);
}

static void stop_strings_span_tokens(void **state)
{
    (void)state;
    /* "well so" as a stop appears in draws that say these two fillers in a row. */
    const char *const stops[] = {"ll s", "zzz"};
    sc_generate_options options = base_options();
    options.ending.stops = stops;
    options.ending.n_stops = 2;
    suite s, unstopped;
    generate(&s, &options);
    int n_stopped = 0;
    for (size_t q = 0; q < N_QUESTIONS; q++) {
        const sc_tree *tree = &s.trees[q];
        for (size_t j = 0; j < N_DRAWS; j++) {
            assert_null(strstr(tree->text[j], "ll s"));
            if (tree->finish[j] == SC_FINISH_STOP) {
                n_stopped++;
                assert_int_equal(tree->token[tree->leaf[j]], SC_TOY_FILLER + 1);
                assert_string_equal(tree->text[j] + strlen(tree->text[j]) - 3, " we");
            }
        }
    }
    assert_true(n_stopped > 20);
    suite_end(&s);
    /* Stops of one byte and two: what is drawn up to the stop is what is drawn without, cut there. */
    const char *const short_stops[] = {"so", "v"};
    options.ending.n_stops = 0;
    generate(&unstopped, &options);
    options.ending = (sc_ending){options.ending.max_tokens, short_stops, 2};
    generate(&s, &options);
    n_stopped = 0;
    for (size_t q = 0; q < N_QUESTIONS; q++) {
        for (size_t j = 0; j < N_DRAWS; j++) {
            char *whole = unstopped.trees[q].text[j];
            const size_t at[] = {text_before(whole, "so"), text_before(whole, "v")};
            const size_t cut = at[0] < at[1] ? at[0] : at[1];
            n_stopped += whole[cut] != '\0';
            assert_int_equal(s.trees[q].finish[j] == SC_FINISH_STOP, whole[cut] != '\0');
            whole[cut] = '\0';
            assert_string_equal(s.trees[q].text[j], whole);
            assert_int_equal(s.trees[q].text_length[j], cut);
        }
    }
    assert_true(n_stopped > 20);
    suite_end(&unstopped);
    suite_end(&s);
}

static void interruption_loses_nothing_finished(void **state)
{
    (void)state;
    sc_generate_options options = base_options();
    options.batch_nodes = 4;
    suite s;
    suite_begin(&s);
    s.stop_after = 5;
    semcal_error error = SEMCAL_ERROR_INIT;
    assert_int_equal(sc_generate(s.source, &options, &callbacks, &s, &error), SEMCAL_INTERRUPTED);
    assert_true(s.n_finished >= 5 && s.n_finished < N_QUESTIONS);
    suite_end(&s);
}

static void inverse_cdf_is_exact_at_its_boundaries(void **state)
{
    (void)state;
    /* dyadic probabilities: boundaries of the CDF are exact in 64-bit integers */
    const double p[6] = {0.25, 0, 0.5, 0x1p-40, 0.125, 0.125 - 0x1p-40};
    const uint64_t edge[5] = {1ull << 62, 1ull << 62, 3ull << 62, (3ull << 62) + (1ull << 24),
                              (7ull << 61) + (1ull << 24)};
    assert_int_equal(sc_host_law_draw(p, 6, 0), 0);
    assert_int_equal(sc_host_law_draw(p, 6, edge[0] - 1), 0);
    assert_int_equal(sc_host_law_draw(p, 6, edge[0]), 2);
    assert_int_equal(sc_host_law_draw(p, 6, edge[2] - 1), 2);
    assert_int_equal(sc_host_law_draw(p, 6, edge[2]), 3);
    assert_int_equal(sc_host_law_draw(p, 6, edge[3] - 1), 3);
    assert_int_equal(sc_host_law_draw(p, 6, edge[3]), 4);
    assert_int_equal(sc_host_law_draw(p, 6, edge[4] - 1), 4);
    assert_int_equal(sc_host_law_draw(p, 6, edge[4]), 5);
    assert_int_equal(sc_host_law_draw(p, 6, UINT64_MAX), 5);
}

static void toy_laws_are_checked(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_toy_law law;
#define parse(text) sc_toy_law_parse(&law, text, strlen(text), &error)
    check_error(parse("what?"), error, SEMCAL_E_DATA, "law:");
    check_error(parse("law: alfa"), error, SEMCAL_E_DATA, "not name=value");
    check_error(parse("law: alpha=1"), error, SEMCAL_E_DATA, "unknown word 'alpha'");
    check_error(parse("law: alfa=-1"), error, SEMCAL_E_DATA, ">= 0");
    check_error(parse("law: alfa=nan"), error, SEMCAL_E_DATA, ">= 0");
    check_error(parse("law: decide=last"), error, SEMCAL_E_DATA, "no word has weight");
    check_error(parse("law: alfa=1 decide=never"), error, SEMCAL_E_DATA, "'first' or 'last'");
    check_error(parse("law: alfa=1 fillers=1.5"), error, SEMCAL_E_DATA, "integer");
    check_ok(parse("law: alfa=1\nand law: bravo=3 charlie=1 fillers=2\nAnswer:"), error);
    check_close(law.pi[1], .75, 0);
    check_close(law.pi[0], 0, 0);
    assert_int_equal(law.n_fillers, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tree_equals_chains_and_any_schedule),
        cmocka_unit_test(draws_are_those_of_the_law),
        cmocka_unit_test(reference_is_scored),
        cmocka_unit_test(raising_the_draws_keeps_the_earlier_ones),
        cmocka_unit_test(order_of_questions_does_not_matter),
        cmocka_unit_test(stop_strings_span_tokens),
        cmocka_unit_test(interruption_loses_nothing_finished),
        cmocka_unit_test(inverse_cdf_is_exact_at_its_boundaries),
        cmocka_unit_test(toy_laws_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

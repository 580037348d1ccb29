/* SPDX-License-Identifier: Apache-2.0 */
/* Exact enumeration finds the written law, and its bounds hold at every budget. */
#include "check.h"
#include "sampling/enumerate.h"
#include "source/toy.h"

static sc_source *open_toy(void)
{
    sc_source *source;
    semcal_error error = SEMCAL_ERROR_INIT;
    check_ok(sc_source_toy_open(&source, &error), error);
    return source;
}

static sc_enumeration enumerate(sc_source *source, const char *text, const sc_enumerate_options *options)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    int32_t *prompt;
    size_t n;
    check_ok(source->functions->encode(source, &prompt, &n, text, strlen(text), true, &error), error);
    sc_enumeration out;
    check_ok(sc_enumerate(&out, source, options, prompt, n, 0, &error), error);
    free(prompt);
    return out;
}

/* Mass found whose text contains `word`. */
static double mass_of(const sc_enumeration *e, const char *word)
{
    double mass = 0;
    for (size_t i = 0; i < e->n_responses; i++) {
        mass += strstr(e->responses[i].text, word) != NULL ? exp(e->responses[i].logprob) : 0;
    }
    return mass;
}

static void finds_the_whole_law(void **state)
{
    (void)state;
    sc_source *source = open_toy();
    sc_enumerate_options options = SC_ENUMERATE_OPTIONS_INIT;
    options.epsilon = 1e-12;
    sc_enumeration e = enumerate(source, "law: alfa=.6 bravo=.3 charlie=.1 fillers=3 decide=last", &options);
    assert_int_equal(e.n_responses, 3 * 64);
    assert_true(e.finished);
    check_close(e.mass_found, 1, 1e-13);
    check_close(mass_of(&e, "alfa"), .6, 1e-13);
    check_close(mass_of(&e, "charlie"), .1, 1e-13);
    check_close(e.responses[0].logprob, log(.6 * .4 * .4 * .4), 1e-13);
    for (size_t i = 1; i < e.n_responses; i++) {
        assert_true(e.responses[i].logprob <= e.responses[i - 1].logprob);
    }
    sc_enumeration_free(&e);
    source->functions->close(source);
}

static void bounds_hold_at_every_budget(void **state)
{
    (void)state;
    sc_source *source = open_toy();
    double before = 0;
    for (uint64_t budget = 1; budget < 400; budget = budget * 3 / 2 + 1) {
        const size_t lives[] = {0, 1, 7};
        sc_enumeration first = {0};
        for (size_t i = 0; i < 3; i++) {
            sc_enumerate_options options = SC_ENUMERATE_OPTIONS_INIT;
            options.epsilon = 0;
            options.max_laws = budget;
            options.batch_nodes = 1;
            options.live_nodes = lives[i];
            sc_enumeration e = enumerate(source, "law: alfa=.5 bravo=.3 echo=.2 fillers=4 decide=first", &options);
            assert_true(e.n_laws <= budget);
            double lower = mass_of(&e, "alfa");
            assert_true(lower <= .5 + 1e-12 && lower + e.unexplored >= .5 - 1e-12);
            if (i == 0) {
                assert_true(e.mass_found >= before - 1e-12);
                before = e.mass_found;
                first = e;
                continue;
            }
            /* memory for handles never changes what is found */
            assert_int_equal(e.n_responses, first.n_responses);
            check_close(e.mass_found, first.mass_found, 0);
            sc_enumeration_free(&e);
        }
        sc_enumeration_free(&first);
    }
    source->functions->close(source);
}

static void temperature_and_narrow_tops(void **state)
{
    (void)state;
    sc_source *source = open_toy();
    sc_enumerate_options options = SC_ENUMERATE_OPTIONS_INIT;
    options.epsilon = 1e-12;
    options.temperature = .5;
    sc_enumeration e = enumerate(source, "law: alfa=.6 bravo=.4 fillers=1 decide=last", &options);
    check_close(mass_of(&e, "alfa"), .36 / (.36 + .16), 1e-13);
    sc_enumeration_free(&e);
    options.temperature = 1;
    options.n_top = 1;
    e = enumerate(source, "law: alfa=.6 bravo=.4 fillers=0", &options);
    assert_int_equal(e.n_responses, 1);
    assert_false(e.finished);
    check_close(e.unexplored, .4, 1e-13);
    sc_enumeration_free(&e);
    options.n_top = 0;
    semcal_error error = SEMCAL_ERROR_INIT;
    check_error(sc_enumerate(&e, source, &options, NULL, 0, 0, &error), error, SEMCAL_E_CONFIG, "n_top");
    source->functions->close(source);
}

static void cut_responses_count_as_found(void **state)
{
    (void)state;
    sc_source *source = open_toy();
    sc_enumerate_options options = SC_ENUMERATE_OPTIONS_INIT;
    options.epsilon = 1e-12;
    options.ending.max_tokens = 2;
    sc_enumeration e = enumerate(source, "law: alfa=1 fillers=5", &options);
    assert_int_equal(e.n_responses, 16);
    check_close(e.mass_found, 1, 1e-13);
    assert_int_equal(e.responses[0].finish, SC_FINISH_LENGTH);
    sc_enumeration_free(&e);
    source->functions->close(source);
}

/* A toy source that counts its calls. */
typedef struct counted {
    size_t n_taken;
    sc_enumeration taken[40];
} counted;

static size_t n_calls;
static semcal_status (*inner_laws)(sc_source *, const sc_law_request *, sc_law_result *, semcal_error *);

static semcal_status count_laws(sc_source *source, const sc_law_request *request, sc_law_result *result,
                                semcal_error *error)
{
    n_calls++;
    return inner_laws(source, request, result, error);
}

static semcal_status take(size_t number, sc_enumeration *enumeration, void *payload, semcal_error *error)
{
    (void)error;
    counted *c = payload;
    assert_int_equal(c->taken[number].n_prefixes, 0);
    c->taken[number] = *enumeration;
    c->n_taken++;
    return SEMCAL_OK;
}

static void check_same(const sc_enumeration *a, const sc_enumeration *b)
{
    assert_int_equal(a->n_responses, b->n_responses);
    assert_int_equal(a->n_prefixes, b->n_prefixes);
    assert_int_equal(a->n_laws, b->n_laws);
    assert_int_equal(a->finished, b->finished);
    assert_memory_equal(&a->mass_found, &b->mass_found, sizeof(double));
    assert_memory_equal(&a->unexplored, &b->unexplored, sizeof(double));
    assert_memory_equal(a->entropy, b->entropy, a->n_laws * sizeof(double));
    assert_memory_equal(a->top_token, b->top_token, a->n_laws * a->keep_top * sizeof(int32_t));
    assert_memory_equal(a->top_logprob, b->top_logprob, a->n_laws * a->keep_top * sizeof(double));
    for (size_t i = 0; i < a->n_responses; i++) {
        assert_string_equal(a->responses[i].text, b->responses[i].text);
        assert_memory_equal(&a->responses[i].logprob, &b->responses[i].logprob, sizeof(double));
        assert_memory_equal(&a->responses[i].logprob_raw, &b->responses[i].logprob_raw, sizeof(double));
    }
    for (size_t i = 0; i < a->n_prefixes; i++) {
        assert_int_equal(a->prefixes[i].token, b->prefixes[i].token);
        assert_int_equal(a->prefixes[i].law, b->prefixes[i].law);
    }
}

/* Searches beside each other, some ended by the budget, give what each gives alone, in fewer calls. */
static void many_are_each_alone(void **state)
{
    (void)state;
    enum { N = 40 };
    static counted c;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_source *source = open_toy();
    sc_source_functions functions = *source->functions;
    inner_laws = functions.laws;
    functions.laws = count_laws;
    source->functions = &functions;
    sc_enumerate_options options = SC_ENUMERATE_OPTIONS_INIT;
    options.batch_nodes = 4;
    options.max_laws = 60;
    options.keep_top = 3;
    options.temperature = .8;
    sc_enumerate_prompt prompts[N];
    for (size_t i = 0; i < N; i++) {
        char text[128];
        const int length = snprintf(text, sizeof text, "law: alfa=%zu bravo=3 charlie=1 fillers=%zu decide=%s", i + 1,
                                    i % 5, i % 2 == 0 ? "last" : "first");
        int32_t *tokens;
        check_ok(functions.encode(source, &tokens, &prompts[i].n_tokens, text, (size_t)length, true, &error), error);
        prompts[i].tokens = tokens;
        prompts[i].n_given = 0;
    }
    static const sc_enumerate_callbacks callbacks = {take, NULL};
    check_ok(sc_enumerate_many(source, &options, prompts, N, &callbacks, &c, &error), error);
    assert_int_equal(c.n_taken, N);
    const size_t n_together = n_calls;
    n_calls = 0;
    size_t n_finished = 0;
    for (size_t i = 0; i < N; i++) {
        sc_enumeration alone;
        check_ok(sc_enumerate(&alone, source, &options, prompts[i].tokens, prompts[i].n_tokens, 0, &error), error);
        check_same(&c.taken[i], &alone);
        n_finished += alone.finished;
        sc_enumeration_free(&alone);
        sc_enumeration_free(&c.taken[i]);
        free((void *)(uintptr_t)prompts[i].tokens);
    }
    assert_true(n_finished > 0 && n_finished < N);
    assert_true(n_together * 8 < n_calls);
    source->functions->close(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_whole_law),         cmocka_unit_test(bounds_hold_at_every_budget),
        cmocka_unit_test(temperature_and_narrow_tops), cmocka_unit_test(cut_responses_count_as_found),
        cmocka_unit_test(many_are_each_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

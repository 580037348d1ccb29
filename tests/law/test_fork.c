/* SPDX-License-Identifier: Apache-2.0 */
/* Intermediate confidences: exact where enumeration finishes, unbiased by forks; the toy that decides at its last token
 * has resolved nothing until then, the one that decides first everything at once; g is a martingale. */
#include "base/random.h"
#include "check.h"
#include "sampling/fork.h"
#include "sampling/generate.h"
#include "source/toy.h"
#include "statistics/resolved.h"

enum { DRAWS = 4, QUESTIONS = 60, LONGEST = 8 };

typedef struct world {
    sc_source *source;
    sc_toy_law law;
    int32_t *prompt;
    size_t n_prompt;
    uint64_t next;
    /* prefixes of all draws by position, their questions' numbers */
    int32_t *tokens[QUESTIONS][DRAWS];
    size_t n_tokens[QUESTIONS][DRAWS];
} world;

static semcal_status next_question(sc_generate_question *question, bool *more, void *payload, semcal_error *error)
{
    (void)error;
    world *w = payload;
    *more = w->next < QUESTIONS;
    *question = (sc_generate_question){
        .item = 500 + w->next, .prompt = w->prompt, .n_prompt = w->n_prompt, .tag = (void *)(uintptr_t)w->next};
    w->next++;
    return SEMCAL_OK;
}

static semcal_status take(const sc_generate_question *question, sc_tree *tree, void *payload, semcal_error *error)
{
    (void)error;
    world *w = payload;
    size_t q = (uintptr_t)question->tag;
    for (size_t j = 0; j < DRAWS; j++) {
        size_t n = (size_t)tree->n_tokens[j];
        w->n_tokens[q][j] = n;
        w->tokens[q][j] = calloc(w->n_prompt + n, sizeof(int32_t));
        memcpy(w->tokens[q][j], w->prompt, w->n_prompt * sizeof(int32_t));
        int32_t at = tree->leaf[j];
        for (size_t i = n; i-- > 0; at = tree->parent[at]) {
            w->tokens[q][j][w->n_prompt + i] = tree->token[at];
        }
    }
    sc_tree_free(tree);
    return SEMCAL_OK;
}

static void open_world(world *w, const char *law)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    *w = (world){0};
    check_ok(sc_source_toy_open(&w->source, &error), error);
    check_ok(sc_toy_law_parse(&w->law, law, strlen(law), &error), error);
    check_ok(w->source->functions->encode(w->source, &w->prompt, &w->n_prompt, law, strlen(law), true, &error), error);
    sc_generate_options options = SC_GENERATE_OPTIONS_INIT;
    options.key = sc_random_key(1, "draw", law);
    options.n_draws = DRAWS;
    const sc_generate_callbacks callbacks = {next_question, take, NULL};
    check_ok(sc_generate(w->source, &options, &callbacks, w, &error), error);
}

static void close_world(world *w)
{
    for (size_t q = 0; q < QUESTIONS; q++) {
        for (size_t j = 0; j < DRAWS; j++) {
            free(w->tokens[q][j]);
        }
    }
    free(w->prompt);
    w->source->functions->close(w->source);
}

/* g and g (1 - g) for the class alfa of the prefix of i tokens of every draw. */
static void confidences(const world *w, size_t i, uint64_t max_laws, uint32_t n_forks, double *g, double *spread)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_fork_point points[QUESTIONS * DRAWS];
    sc_fork_law laws[QUESTIONS * DRAWS];
    size_t n = 0;
    for (size_t q = 0; q < QUESTIONS; q++) {
        for (size_t j = 0; j < DRAWS; j++) {
            /* draws of a question get forks of their own here, so that all are independent */
            points[n++] = (sc_fork_point){q * 1000 + j, w->tokens[q][j], w->n_prompt + i, i};
        }
    }
    sc_fork_options options = SC_FORK_OPTIONS_INIT;
    options.key = sc_random_key(1, "fork", "test");
    options.n_forks = n_forks;
    options.max_laws = max_laws;
    check_ok(sc_fork_many(laws, w->source, &options, points, n, &error), error);
    for (size_t k = 0; k < n; k++) {
        double inside = 0, total = 0;
        for (size_t r = 0; r < laws[k].n_responses; r++) {
            total += laws[k].responses[r].weight;
            inside += strstr(laws[k].responses[r].text, sc_toy_class_word(0)) != NULL ? laws[k].responses[r].weight : 0;
        }
        check_close(total + laws[k].unexplored, 1, 1e-12);
        assert_int_equal(laws[k].exact, max_laws > 0);
        sc_fork_confidence(&g[k], &spread[k], &laws[k], inside, n_forks);
        sc_fork_law_free(&laws[k]);
    }
}

static double resolved_at(const world *w, size_t i, uint64_t max_laws, uint32_t n_forks, double interval[2])
{
    double g[QUESTIONS * DRAWS], spread[QUESTIONS * DRAWS], start_g[QUESTIONS * DRAWS], start[QUESTIONS * DRAWS];
    double by_question[QUESTIONS] = {0}, start_by_question[QUESTIONS] = {0}, value;
    confidences(w, 0, max_laws, n_forks, start_g, start);
    confidences(w, i, max_laws, n_forks, g, spread);
    for (size_t k = 0; k < QUESTIONS * DRAWS; k++) {
        by_question[k / DRAWS] += spread[k] / DRAWS;
        start_by_question[k / DRAWS] += start[k] / DRAWS;
    }
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_resolved_options options = {1, "test", 200};
    check_ok(sc_resolved_compute(&value, interval, by_question, start_by_question, QUESTIONS, &options, &error), error);
    return value;
}

static void deciding_last_resolves_nothing_until_then(void **state)
{
    (void)state;
    world w;
    open_world(&w, "law: alfa=.6 bravo=.3 charlie=.1 fillers=3 decide=last");
    double interval[2];
    for (size_t i = 0; i <= 3; i++) {
        check_close(resolved_at(&w, i, 1000, 32, interval), 0, 1e-4);
        /* the same by forks: 0 within its interval, which is not wide */
        double value = resolved_at(&w, i, 0, 32, interval);
        assert_true(interval[1] - interval[0] < .07);
        check_close(value, 0, interval[1] - interval[0] + 1e-12);
    }
    check_close(resolved_at(&w, 4, 1000, 32, interval), 1, 1e-4);
    check_close(resolved_at(&w, 4, 0, 32, interval), 1, 0);
    close_world(&w);
}

static void deciding_first_resolves_all_at_once(void **state)
{
    (void)state;
    world w;
    open_world(&w, "law: alfa=.6 bravo=.3 charlie=.1 fillers=3 decide=first");
    double interval[2];
    for (size_t i = 1; i <= 4; i += 3) {
        check_close(resolved_at(&w, i, 1000, 32, interval), 1, 1e-3);
        check_close(resolved_at(&w, i, 0, 32, interval), 1, 0);
    }
    close_world(&w);
}

/* E g_i = c at every position, and the estimates of g (1 - g) are unbiased for c (1 - c) where nothing is decided. */
static void martingale(void **state)
{
    (void)state;
    const char *laws[] = {"law: alfa=.6 bravo=.3 charlie=.1 fillers=3 decide=last",
                          "law: alfa=.6 bravo=.3 charlie=.1 fillers=3 decide=first"};
    enum { N = QUESTIONS * DRAWS };
    for (size_t l = 0; l < 2; l++) {
        world w;
        open_world(&w, laws[l]);
        for (size_t i = 0; i <= 4; i += 2) {
            double g[N], spread[N], mean = 0, square = 0, spread_mean = 0, spread_square = 0;
            confidences(&w, i, 0, 8, g, spread);
            for (size_t k = 0; k < N; k++) {
                mean += g[k] / N;
                square += g[k] * g[k] / N;
                spread_mean += spread[k] / N;
                spread_square += spread[k] * spread[k] / N;
            }
            check_close(mean, .6, 4.5 * sqrt((square - mean * mean) / N));
            if (l == 0 && i < 4) {
                /* eight forks: without R / (R - 1) it would be an eighth too small, which this sees */
                double error = sqrt((spread_square - spread_mean * spread_mean) / N);
                check_close(spread_mean, .24, 4.5 * error);
                assert_true(.24 / 8 > 4.5 * error);
            }
        }
        close_world(&w);
    }
}

static void forks_are_named(void **state)
{
    (void)state;
    world w;
    open_world(&w, "law: alfa=.6 bravo=.3 charlie=.1 fillers=3 decide=last");
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_fork_options options = SC_FORK_OPTIONS_INIT;
    options.key = 7;
    options.max_laws = 0;
    sc_fork_point points[3] = {{1, w.tokens[0][0], w.n_prompt + 1, 1},
                               {1, w.tokens[0][0], w.n_prompt + 2, 2},
                               {2, w.tokens[0][0], w.n_prompt + 1, 1}};
    sc_fork_point swapped[2] = {points[1], points[0]};
    sc_fork_law laws[3], again[2];
    check_ok(sc_fork_many(laws, w.source, &options, points, 3, &error), error);
    options.batch_nodes = 1;
    check_ok(sc_fork_many(again, w.source, &options, swapped, 2, &error), error);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(laws[i].n_responses, again[1 - i].n_responses);
        for (size_t k = 0; k < laws[i].n_responses; k++) {
            assert_string_equal(laws[i].responses[k].text, again[1 - i].responses[k].text);
            check_close(laws[i].responses[k].weight, again[1 - i].responses[k].weight, 0);
        }
    }
    /* another question has other numbers */
    size_t same = laws[0].n_responses == laws[2].n_responses;
    for (size_t k = 0; same && k < laws[0].n_responses; k++) {
        same = strcmp(laws[0].responses[k].text, laws[2].responses[k].text) == 0;
    }
    assert_false(same);
    sc_fork_law_free(&again[0]);
    sc_fork_law_free(&again[1]);
    options.n_forks = 1;
    check_error(sc_fork_many(again, w.source, &options, swapped, 2, &error), error, SEMCAL_E_CONFIG, "at least 2");
    for (size_t i = 0; i < 3; i++) {
        sc_fork_law_free(&laws[i]);
    }
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deciding_last_resolves_nothing_until_then),
        cmocka_unit_test(deciding_first_resolves_all_at_once),
        cmocka_unit_test(martingale),
        cmocka_unit_test(forks_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

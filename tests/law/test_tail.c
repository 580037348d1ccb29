/* SPDX-License-Identifier: Apache-2.0 */
/* Draws behind an enumeration come from the conditional law; head plus tail is unbiased with the variance that theory
 * says, far below that of plain draws at as many laws. */
#include "base/random.h"
#include "check.h"
#include "sampling/generate.h"
#include "sampling/graft.h"
#include "sampling/tail.h"
#include "source/toy.h"

typedef struct world {
    sc_source *source;
    sc_toy_law law;
    int32_t *prompt;
    size_t n_prompt;
    sc_enumerate_options options;
    sc_enumeration head;
    double head_mass[SC_TOY_N_CLASSES];
} world;

static int class_of(const char *text)
{
    int found = -1;
    for (int k = 0; k < SC_TOY_N_CLASSES; k++) {
        found = strstr(text, sc_toy_class_word(k)) != NULL ? k : found;
    }
    return found;
}

static void open_world(world *w, const char *law, uint64_t max_laws, size_t n_top)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    *w = (world){.options = SC_ENUMERATE_OPTIONS_INIT};
    check_ok(sc_source_toy_open(&w->source, &error), error);
    check_ok(sc_toy_law_parse(&w->law, law, strlen(law), &error), error);
    check_ok(w->source->functions->encode(w->source, &w->prompt, &w->n_prompt, law, strlen(law), true, &error), error);
    w->options.epsilon = 1e-9;
    w->options.max_laws = max_laws;
    w->options.n_top = n_top;
    w->options.batch_nodes = 1;
    w->options.keep_top = n_top < 3 ? n_top : 3;
    check_ok(sc_enumerate(&w->head, w->source, &w->options, w->prompt, w->n_prompt, 0, &error), error);
    for (size_t i = 0; i < w->head.n_responses; i++) {
        w->head_mass[class_of(w->head.responses[i].text)] += exp(w->head.responses[i].logprob);
    }
}

static void close_world(world *w)
{
    sc_enumeration_free(&w->head);
    free(w->prompt);
    w->source->functions->close(w->source);
}

static sc_tail draw(const world *w, uint64_t item, uint32_t n_draws)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_tail_options options = {
        .key = sc_random_key(1, "tail", "test"), .item = item, .n_draws = n_draws, .keep_top = w->options.keep_top};
    sc_tail tail;
    check_ok(sc_tail_sample(&tail, w->source, &w->head, &w->options, &options, w->prompt, w->n_prompt, &error), error);
    return tail;
}

static bool in_head(const world *w, const char *text)
{
    bool found = false;
    for (size_t i = 0; i < w->head.n_responses; i++) {
        found = found || strcmp(w->head.responses[i].text, text) == 0;
    }
    return found;
}

/* Probability of a toy response: its class and its fillers. */
static double probability_of(const world *w, const char *text)
{
    const char *words[] = {"well", "so", "hm", "er"};
    const double p[] = {.4, .3, .2, .1};
    double product = w->law.pi[class_of(text)];
    for (int k = 0; k < 4; k++) {
        char padded[16];
        (void)snprintf(padded, sizeof padded, " %s", words[k]);
        for (const char *at = strstr(text, padded); at != NULL; at = strstr(at + 1, padded)) {
            product *= p[k];
        }
    }
    return product;
}

/* Checks the mean and variance of head + tail * share over many questions. */
static void check_estimates(const char *law, uint64_t max_laws, size_t n_top, uint64_t n_questions, uint32_t n_draws)
{
    world w;
    open_world(&w, law, max_laws, n_top);
    double tail_mass = w.head.unexplored, sum[4] = {0}, square[4] = {0};
    assert_true(tail_mass > .01 && tail_mass < .9);
    for (uint64_t q = 0; q < n_questions; q++) {
        sc_tail tail = draw(&w, 1000 + q, n_draws);
        double share[4] = {0};
        assert_int_equal(tail.n_draws, n_draws);
        check_close(tail.mass + tail.neglected, tail_mass, 1e-12);
        for (size_t r = 0; r < n_draws; r++) {
            const sc_tail_draw *d = &tail.draws[r];
            assert_false(in_head(&w, d->text));
            check_close(d->logprob, log(probability_of(&w, d->text)), 1e-12);
            share[class_of(d->text)] += 1. / n_draws;
        }
        for (int k = 0; k < 4; k++) {
            double estimate = w.head_mass[k] + tail_mass * share[k];
            sum[k] += estimate;
            square[k] += estimate * estimate;
        }
        sc_tail_free(&tail);
    }
    double n = (double)n_questions;
    for (int k = 0; k < 4; k++) {
        double mean = sum[k] / n, variance = square[k] / n - mean * mean;
        double s = (w.law.pi[k] - w.head_mass[k]) / tail_mass;
        double expected = tail_mass * tail_mass * s * (1 - s) / n_draws;
        check_close(mean, w.law.pi[k], 4.5 * sqrt(expected / n));
        /* the relative error of a variance over n questions is about sqrt(2/n), a little more for few draws */
        check_close(variance, expected, expected * 4.5 * sqrt(3 / n));
    }
    close_world(&w);
}

static void open_prefixes(void **state)
{
    (void)state;
    check_estimates("law: alfa=.5 bravo=.3 charlie=.15 delta=.05 fillers=2 decide=last", 60, 64, 800, 8);
    check_estimates("law: alfa=.5 bravo=.3 charlie=.15 delta=.05 fillers=3 decide=first", 150, 64, 800, 8);
}

/* Only two tokens of each law are followed: the tail lies in rests only. */
static void rests(void **state)
{
    (void)state;
    check_estimates("law: alfa=.5 bravo=.3 charlie=.15 delta=.05 fillers=1 decide=last", 0, 2, 800, 8);
    check_estimates("law: alfa=.55 bravo=.3 charlie=.149 delta=.001 fillers=1 decide=first", 0, 3, 500, 8);
}

/* Draws are named: more of them keep the earlier ones, other questions have others. */
static void draws_are_named(void **state)
{
    (void)state;
    world w;
    open_world(&w, "law: alfa=.5 bravo=.3 charlie=.15 delta=.05 fillers=2", 8, 2);
    sc_tail few = draw(&w, 5, 10), many = draw(&w, 5, 40), other = draw(&w, 6, 40);
    size_t same = 0;
    for (size_t r = 0; r < 40; r++) {
        assert_true(r >= 10 || strcmp(few.draws[r].text, many.draws[r].text) == 0);
        same += strcmp(other.draws[r].text, many.draws[r].text) == 0;
    }
    assert_true(same < 30);
    sc_tail_free(&few);
    sc_tail_free(&many);
    sc_tail_free(&other);
    close_world(&w);
    /* nothing is left: nothing is drawn */
    open_world(&w, "law: alfa=.5 bravo=.5 fillers=1", 0, 64);
    sc_tail none = draw(&w, 5, 10);
    assert_int_equal(none.n_draws, 0);
    sc_tail_free(&none);
    close_world(&w);
}

typedef struct one_tree {
    const world *w;
    bool given;
    sc_tree tree;
} one_tree;

static semcal_status give(sc_generate_question *question, bool *more, void *payload, semcal_error *error)
{
    (void)error;
    one_tree *t = payload;
    *more = !t->given;
    *question = (sc_generate_question){.item = 9, .prompt = t->w->prompt, .n_prompt = t->w->n_prompt};
    t->given = true;
    return SEMCAL_OK;
}

static semcal_status take(const sc_generate_question *question, sc_tree *tree, void *payload, semcal_error *error)
{
    (void)question;
    (void)error;
    ((one_tree *)payload)->tree = *tree;
    return SEMCAL_OK;
}

static double path_logprob(const sc_tree *tree, int32_t leaf, double *raw)
{
    double sum = 0;
    *raw = 0;
    for (int32_t at = leaf; at > 0; at = tree->parent[at]) {
        assert_true(tree->parent[at] < at);
        sum += tree->logprob[at];
        *raw += tree->logprob_raw[at];
    }
    return sum;
}

static void check_laws(const sc_tree *tree, size_t first)
{
    for (size_t i = first; i < tree->n_nodes; i++) {
        for (size_t j = i + 1; j < tree->n_nodes; j++) {
            assert_false(tree->parent[i] == tree->parent[j] && tree->token[i] == tree->token[j]);
            if (tree->parent[j] == (int32_t)i) {
                assert_true(tree->entropy[i] >= 0); /* what goes on has a law */
                assert_true(tree->top_token[i * tree->n_top + 0] >= 0);
            }
        }
    }
}

static void grafts(void **state)
{
    (void)state;
    const double temperatures[] = {1, .7};
    for (size_t i = 0; i < 2; i++) {
        world w;
        semcal_error error = SEMCAL_ERROR_INIT;
        open_world(&w, "law: alfa=.5 bravo=.3 charlie=.15 delta=.05 fillers=2", 8, 3);
        sc_enumeration_free(&w.head);
        w.options.temperature = temperatures[i];
        check_ok(sc_enumerate(&w.head, w.source, &w.options, w.prompt, w.n_prompt, 0, &error), error);
        one_tree t = {.w = &w};
        sc_generate_options options = SC_GENERATE_OPTIONS_INIT;
        options.key = 3;
        options.n_draws = 20;
        options.n_top = 3;
        options.temperature = temperatures[i];
        const sc_generate_callbacks callbacks = {give, take, NULL};
        check_ok(sc_generate(w.source, &options, &callbacks, &t, &error), error);
        size_t n = t.tree.n_nodes;
        int32_t *parent = calloc(n, sizeof *parent), *token = calloc(n, sizeof *token);
        memcpy(parent, t.tree.parent, n * sizeof *parent);
        memcpy(token, t.tree.token, n * sizeof *token);
        int32_t *leaf = calloc((size_t)w.head.n_responses, sizeof *leaf), tail_leaf[30];
        check_ok(sc_graft_enumeration(&t.tree, leaf, &w.head, &error), error);
        sc_tail tail = draw(&w, 4, 30);
        check_ok(sc_graft_tail(&t.tree, tail_leaf, &w.head, &tail, &error), error);
        assert_memory_equal(parent, t.tree.parent, n * sizeof *parent);
        assert_memory_equal(token, t.tree.token, n * sizeof *token);
        assert_true(t.tree.n_nodes > n);
        for (size_t k = n; k < t.tree.n_nodes; k++) {
            assert_true(t.tree.count[k] == 0);
        }
        double raw;
        for (size_t k = 0; k < w.head.n_responses; k++) {
            check_close(path_logprob(&t.tree, leaf[k], &raw), w.head.responses[k].logprob, 1e-12);
            check_close(raw, log(probability_of(&w, w.head.responses[k].text)), 1e-12);
            assert_true(t.tree.token[leaf[k]] == SC_TOY_END);
        }
        for (size_t k = 0; k < tail.n_draws; k++) {
            check_close(path_logprob(&t.tree, tail_leaf[k], &raw), tail.draws[k].logprob, 1e-12);
            check_close(raw, log(probability_of(&w, tail.draws[k].text)), 1e-12);
        }
        check_laws(&t.tree, 0);
        sc_tail_free(&tail);
        sc_tree_free(&t.tree);
        free(parent);
        free(token);
        free(leaf);
        close_world(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_prefixes),
        cmocka_unit_test(rests),
        cmocka_unit_test(draws_are_named),
        cmocka_unit_test(grafts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The estimators of semantic confidence side by side at equal cost: error against the true confidence, and interval
 * width, for a budget of forward tokens per question (the prompt's own are the same for all and not counted).
 *
 *   frequency, split, mass   as many draws of the prefix tree as the budget pays
 *   exact                    the budget spent on enumeration
 *   hybrid                   half of it on enumeration, half on draws of the tail
 *
 * As a test it checks the order of the errors on the toy. scripts/estimator_table.sh prints the table of the docs with
 * it: SEMCAL_TABLE names a configuration whose first cell is used in place of the toy, SEMCAL_TABLE_QUESTIONS how many
 * questions.
 */
#include "base/random.h"
#include "check.h"
#include "experiment/plan.h"
#include "experiment/questions.h"
#include "experiment/sources.h"
#include "meaning/collapse.h"
#include "sampling/generate.h"
#include "sampling/tail.h"
#include "statistics/estimators.h"
#include "statistics/exact.h"

#include <unistd.h>

enum { FREQUENCY, SPLIT, MASS, EXACT, HYBRID, N_ESTIMATORS };
static const char *const names[N_ESTIMATORS] = {"frequency", "split", "mass", "exact", "hybrid"};
enum { N_BUDGETS = 4, MOST_DRAWS = 1500, LABELS = 256 };
static const uint64_t budgets[N_BUDGETS] = {16, 64, 256, 1400};

/* Sums over questions. */
typedef struct tally {
    double n, tokens, error, square, width, mode_right;
} tally;

typedef struct bench {
    sc_config *config;
    sc_plan plan;
    const sc_cell *cell;
    sc_dataset dataset;
    sc_sources sources;
    sc_source *source;
    sc_questions questions;
    tally tallies[N_BUDGETS][N_ESTIMATORS];
    size_t n_questions;
    double truth_unexplored;
    /* the question at hand */
    size_t at;
    sc_tree tree;
    bool given;
    sc_collapse_question *collapse;
    char *labels[LABELS];
    bool correct[LABELS];
    size_t n_labels;
    double truth[LABELS];
    int32_t mode;
} bench;

static int32_t class_of(bench *b, const char *text, int finish)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_collapse_class class = {0};
    if (finish == SC_FINISH_LENGTH) {
        class.label = strdup(SC_COLLAPSE_UNPARSED);
    } else {
        check_ok(sc_collapse_classify(&class, b->collapse, text, &error), error);
    }
    for (size_t k = 0; k < b->n_labels; k++) {
        if (strcmp(b->labels[k], class.label) == 0) {
            free(class.label);
            return (int32_t)k;
        }
    }
    assert_true(b->n_labels < LABELS);
    b->labels[b->n_labels] = class.label;
    return (int32_t)b->n_labels++;
}

static sc_enumerate_options enumerate_options(const bench *b, double epsilon, uint64_t max_laws)
{
    sc_enumerate_options options = SC_ENUMERATE_OPTIONS_INIT;
    options.ending = (sc_ending){.max_tokens = (uint32_t)b->cell->max_tokens,
                                 .stops = (const char *const *)b->cell->style->stop.at,
                                 .n_stops = b->cell->style->stop.n};
    options.epsilon = epsilon;
    options.max_laws = max_laws;
    return options;
}

static sc_enumeration enumerate(const bench *b, const sc_enumerate_options *options)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_question *q = &b->questions.at[b->at];
    sc_enumeration e;
    check_ok(sc_enumerate(&e, b->source, options, q->tokens, q->n_tokens, 0, &error), error);
    return e;
}

/* ---- draws ---- */

static semcal_status give(sc_generate_question *question, bool *more, void *payload, semcal_error *error)
{
    (void)error;
    bench *b = payload;
    const sc_question *q = &b->questions.at[b->at];
    *more = !b->given;
    *question = (sc_generate_question){.item = q->item, .prompt = q->tokens, .n_prompt = q->n_tokens};
    b->given = true;
    return SEMCAL_OK;
}

static semcal_status take(const sc_generate_question *question, sc_tree *tree, void *payload, semcal_error *error)
{
    (void)question;
    (void)error;
    ((bench *)payload)->tree = *tree;
    return SEMCAL_OK;
}

static void draw(bench *b)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_generate_options options = SC_GENERATE_OPTIONS_INIT;
    options.key = sc_random_key(1, "draw", "estimator table");
    options.n_draws = MOST_DRAWS;
    options.ending = enumerate_options(b, 0, 0).ending;
    const sc_generate_callbacks callbacks = {give, take, NULL};
    b->given = false;
    check_ok(sc_generate(b->source, &options, &callbacks, b, &error), error);
}

/* How many of the first draws a budget pays for, and what they cost: prefixes that something follows, each once. */
static size_t draws_within(const bench *b, uint64_t budget, uint64_t *cost)
{
    bool *paid = calloc(b->tree.n_nodes, sizeof *paid);
    size_t n = 0;
    *cost = 0;
    for (; n < b->tree.n_draws; n++) {
        uint64_t more = 0;
        for (int32_t at = b->tree.parent[b->tree.leaf[n]]; at >= 0; at = b->tree.parent[at]) {
            more += !paid[at];
        }
        if (*cost + more > budget) {
            break;
        }
        *cost += more;
        for (int32_t at = b->tree.parent[b->tree.leaf[n]]; at >= 0; at = b->tree.parent[at]) {
            paid[at] = true;
        }
    }
    free(paid);
    return n;
}

static void add(bench *b, size_t budget, int estimator, double tokens, int32_t mode, double confidence, double width)
{
    if (isnan(confidence)) {
        return;
    }
    tally *t = &b->tallies[budget][estimator];
    double error = confidence - b->truth[b->mode];
    t->n++;
    t->tokens += tokens;
    t->error += error;
    t->square += error * error;
    t->width += width;
    t->mode_right += mode == b->mode;
}

/* Width of Wilson's 95 % interval of a share. */
static double wilson(double p, double n)
{
    const double z = 1.959964;
    return n < 1 ? 1 : 2 * z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
}

static void try_draws(bench *b, size_t budget)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    uint64_t cost;
    size_t n = draws_within(b, budgets[budget], &cost);
    if (n == 0) {
        return;
    }
    int32_t *class = calloc(n, sizeof *class);
    int64_t *string = calloc(n, sizeof *string);
    for (size_t j = 0; j < n; j++) {
        class[j] = class_of(b, b->tree.text[j], b->tree.finish[j]);
        string[j] = b->tree.leaf[j];
    }
    const sc_draws draws = {n, b->n_labels, class, b->tree.draw_logprob, string, b->correct};
    sc_estimates e;
    check_ok(sc_estimators_compute(&e, NULL, NULL, &draws, &error), error);
    double m = (double)n, tokens = (double)cost;
    add(b, budget, FREQUENCY, tokens, e.mode, e.confidence_frequency, wilson(e.confidence_frequency, m));
    add(b, budget, SPLIT, tokens, e.mode, e.confidence_split, wilson(e.confidence_split, m - floor(m / 2)));
    if (e.mass_found >= SC_ESTIMATORS_MASS_RELIABLE) {
        add(b, budget, MASS, tokens, e.mode_mass, e.confidence_mass, e.mass_upper - e.mass_lower);
    }
    free(class);
    free(string);
}

/* ---- enumeration ---- */

static void try_enumeration(bench *b, size_t budget, bool with_tail)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_question *q = &b->questions.at[b->at];
    const sc_enumerate_options options = enumerate_options(b, 0, with_tail ? budgets[budget] / 2 : budgets[budget]);
    sc_enumeration e = enumerate(b, &options);
    sc_tail tail = {0};
    size_t n = 0;
    uint64_t cost = e.n_laws;
    if (with_tail) {
        const sc_tail_options behind = {.key = sc_random_key(1, "tail", "estimator table"),
                                        .item = q->item,
                                        .n_draws = budgets[budget] < 400 ? (uint32_t)budgets[budget] : 400};
        check_ok(sc_tail_sample(&tail, b->source, &e, &options, &behind, q->tokens, q->n_tokens, &error), error);
        for (; n < tail.n_draws && cost + tail.draws[n].n_laws <= budgets[budget]; n++) {
            cost += tail.draws[n].n_laws;
        }
    }
    int32_t *class = calloc(e.n_responses + 1, sizeof *class), *tail_class = calloc(n + 1, sizeof *tail_class);
    double *logp = calloc(e.n_responses + 1, sizeof *logp), lower[LABELS];
    bool *head = calloc(e.n_responses + 1, sizeof *head);
    for (size_t i = 0; i < e.n_responses; i++) {
        class[i] = class_of(b, e.responses[i].text, e.responses[i].finish);
        logp[i] = e.responses[i].logprob;
        head[i] = true;
    }
    for (size_t i = 0; i < n; i++) {
        tail_class[i] = class_of(b, tail.draws[i].text, tail.draws[i].finish);
    }
    const sc_exact_found found = {e.n_responses, n, b->n_labels, class, logp, head, tail_class, b->correct};
    sc_exact_estimates x;
    check_ok(sc_exact_compute(&x, lower, &found, &error), error);
    if (with_tail) {
        double share =
            x.tail > 0 ? (x.confidence_hybrid - (x.mode_hybrid >= 0 ? lower[x.mode_hybrid] : 0)) / x.tail : 0;
        add(b, budget, HYBRID, (double)cost, x.mode_hybrid, x.confidence_hybrid,
            x.tail > 1e-9 ? x.tail * wilson(fmin(1, fmax(0, share)), (double)n) : 0);
    } else {
        add(b, budget, EXACT, (double)cost, x.mode, x.confidence, x.upper - x.lower);
    }
    sc_tail_free(&tail);
    sc_enumeration_free(&e);
    free(class);
    free(tail_class);
    free(logp);
    free(head);
}

static void find_truth(bench *b)
{
    const sc_enumerate_options options = enumerate_options(b, 2e-4, 6000);
    sc_enumeration e = enumerate(b, &options);
    memset(b->truth, 0, sizeof b->truth);
    for (size_t i = 0; i < e.n_responses; i++) {
        b->truth[class_of(b, e.responses[i].text, e.responses[i].finish)] += exp(e.responses[i].logprob);
    }
    b->mode = 0;
    for (size_t k = 1; k < b->n_labels; k++) {
        b->mode = b->truth[k] > b->truth[b->mode] ? (int32_t)k : b->mode;
    }
    b->truth_unexplored = fmax(b->truth_unexplored, e.unexplored);
    sc_enumeration_free(&e);
}

static void do_question(bench *b)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_collapse_kind *kind;
    sc_collapse_context context = sc_dataset_context(&b->dataset, b->at);
    check_ok(sc_collapse_find(&kind, b->cell->dataset->collapse.at[0].kind, &error), error);
    check_ok(sc_collapse_question_make(&b->collapse, kind, &context, &error), error);
    find_truth(b);
    draw(b);
    for (size_t budget = 0; budget < N_BUDGETS; budget++) {
        try_draws(b, budget);
        try_enumeration(b, budget, false);
        try_enumeration(b, budget, true);
    }
    sc_tree_free(&b->tree);
    sc_collapse_question_free(b->collapse);
    while (b->n_labels > 0) {
        free(b->labels[--b->n_labels]);
    }
}

static void open_bench(bench *b, const char *toy_config, size_t n_questions)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    const char *path = getenv("SEMCAL_TABLE");
    if (path != NULL) {
        check_ok(sc_config_load(&b->config, path, NULL, 0, &error), error);
    } else {
        check_ok(sc_config_parse(&b->config, toy_config, strlen(toy_config), "toy", ".", NULL, 0, &error), error);
    }
    check_ok(sc_plan_make(&b->plan, b->config, &error), error);
    b->cell = &b->plan.cells[0];
    check_ok(sc_dataset_open_config(&b->dataset, b->cell->dataset, NULL, &error), error);
    check_ok(sc_sources_init(&b->sources, getenv("SEMCAL_DEVICE"), false, NULL, &error), error);
    check_ok(sc_sources_get(&b->source, &b->sources, b->cell->model, &error), error);
    check_ok(sc_questions_make(&b->questions, b->cell, &b->dataset, b->source, &error), error);
    b->n_questions = n_questions < b->questions.n ? n_questions : b->questions.n;
}

static void close_bench(bench *b)
{
    sc_questions_free(&b->questions);
    sc_sources_free(&b->sources);
    sc_dataset_free(&b->dataset);
    sc_plan_free(&b->plan);
    sc_config_free(b->config);
}

/* Questions with their laws written in them, in a file of their own. */
static void write_toy(const char *path, size_t n)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    sc_random_stream stream;
    sc_random_stream_init(&stream, sc_random_key(1, "toy", "estimator table"), 0);
    for (size_t i = 0; i < n; i++) {
        (void)fprintf(file, "{\"id\": \"t%zu\", \"question\": \"law:", i);
        for (int k = 0; k < 4; k++) {
            double u = sc_random_unit(&stream);
            (void)fprintf(file, " %s=%.6f", (const char *[]){"alfa", "bravo", "charlie", "delta"}[k], u * u * u + .01);
        }
        (void)fprintf(file, " fillers=4 decide=%s\", \"answers\": [\"alfa\"]}\n", i % 2 == 0 ? "first" : "last");
    }
    assert_int_equal(fclose(file), 0);
}

static double rms(const bench *b, size_t budget, int estimator)
{
    const tally *t = &b->tallies[budget][estimator];
    return sqrt(t->square / t->n);
}

static void table(void **state)
{
    (void)state;
    char path[] = "/tmp/semcal-table-XXXXXX", config[1024];
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    assert_int_equal(close(descriptor), 0);
    const char *wanted = getenv("SEMCAL_TABLE_QUESTIONS");
    size_t n = wanted != NULL ? strtoul(wanted, NULL, 10) : 40;
    write_toy(path, n);
    (void)snprintf(config, sizeof config,
                   "name: toy\nmodels: [{name: t, source: toy}]\n"
                   "datasets:\n  - {name: d, path: %s, format: jsonl, id: id, collapse: choice, "
                   "choices: [alfa, bravo, charlie, delta]}\n"
                   "styles: [plain]\nstyle: {plain: {prompt: \"{question}\\n\", max_tokens: 12, stop: [\"\\n\"]}}\n",
                   path);
    static bench b;
    open_bench(&b, config, n);
    for (b.at = 0; b.at < b.n_questions; b.at++) {
        do_question(&b);
    }
    print_message("source,budget,estimator,questions,answered,tokens,bias,rms_error,width,mode_right\n");
    for (size_t i = 0; i < N_BUDGETS; i++) {
        for (int e = 0; e < N_ESTIMATORS; e++) {
            const tally *t = &b.tallies[i][e];
            print_message("%s,%llu,%s,%zu,%.0f", b.source->facts.kind, (unsigned long long)budgets[i], names[e],
                          b.n_questions, t->n);
            if (t->n > 0) {
                print_message(",%.0f,%.4f,%.4f,%.4f,%.3f\n", t->tokens / t->n, t->error / t->n, sqrt(t->square / t->n),
                              t->width / t->n, t->mode_right / t->n);
            } else {
                print_message(",,,,,\n");
            }
        }
    }
    print_message("truth known to %.5f\n", b.truth_unexplored);
    if (getenv("SEMCAL_TABLE") == NULL) {
        size_t last = N_BUDGETS - 1;
        assert_true(b.truth_unexplored <= 2e-4);
        /* enumeration is through: the truth, without an interval */
        assert_true(b.tallies[last][EXACT].n == (double)b.n_questions && rms(&b, last, EXACT) < 2e-4);
        assert_true(rms(&b, last, HYBRID) < rms(&b, last, FREQUENCY) / 2);
        /* before everything is found the tail still has an interval */
        assert_true(b.tallies[last - 1][HYBRID].width > 0);
        /* certain bounds are bounds */
        for (size_t i = 0; i < N_BUDGETS; i++) {
            const tally *t = &b.tallies[i][EXACT];
            assert_true(t->n == 0 || fabs(t->error) <= t->width + t->n * 2e-4);
        }
    }
    close_bench(&b);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

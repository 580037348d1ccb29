/* SPDX-License-Identifier: Apache-2.0 */
/* Cells and their names: stable under everything that must not touch the random numbers; cost; progress. */
#include "base/file.h"
#include "check.h"
#include "experiment/cost.h"
#include "experiment/plan.h"
#include "experiment/progress.h"

#define TEXT                                                                                                           \
    "name: x\n"                                                                                                        \
    "models: [{name: base, path: m}, {name: tuned, path: n}]\n"                                                        \
    "datasets: [{name: world, path: d.jsonl}, {name: sums, path: e.jsonl, styles: [cot], models: [base],"              \
    " shots: {path: s.jsonl, n: 4}}]\n"                                                                                \
    "styles: [concise, cot]\n"

static sc_config *load(const char *text, const char *const *set, size_t n_set)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_config *config = NULL;
    check_ok(sc_config_parse(&config, text, strlen(text), "c.yaml", "/f", set, n_set, &error), error);
    return config;
}

/* The names of the plan, one per line. */
static void names_are(const char *text, const char *const *set, size_t n_set, const char *expected)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_config *config = load(text, set, n_set);
    sc_plan plan;
    sc_text names = {0};
    check_ok(sc_plan_make(&plan, config, &error), error);
    for (size_t i = 0; i < plan.n_cells; i++) {
        check_ok(sc_text_printf(&names, &error, "%s\n", plan.cells[i].name), error);
        assert_ptr_equal(sc_plan_find(&plan, plan.cells[i].name), &plan.cells[i]);
    }
    assert_string_equal(names.data, expected);
    assert_null(sc_plan_find(&plan, "nope"));
    sc_text_free(&names);
    sc_plan_free(&plan);
    sc_config_free(config);
}

static void cells_are_the_product(void **state)
{
    (void)state;
    names_are(TEXT, NULL, 0,
              "base.world.concise.T1\nbase.world.cot.T1\nbase.sums.cot.T1\n"
              "tuned.world.concise.T1\ntuned.world.cot.T1\n");
    const char *const set[] = {"sampling.temperature=[1.0, 0.5, 1e-5]", "datasets.world.styles=cot",
                               "models=[{name: base, path: m}]"};
    names_are(TEXT, set, 3,
              "base.world.cot.T1\nbase.world.cot.T0.5\nbase.world.cot.T1e-05\n"
              "base.sums.cot.T1\nbase.sums.cot.T0.5\nbase.sums.cot.T1e-05\n");
}

/* A text makes one cell per model and temperature, whatever styles and sweeps there are. */
static void texts_have_no_styles(void **state)
{
    (void)state;
    const char *const set[] = {"datasets.world.format=text", "datasets.sums.format=text-jsonl",
                               "sampling.temperature=[1, 0.5]", "sampling.draws=[10, 20]"};
    names_are(TEXT, set, 4,
              "base.world.tokens.T1\nbase.world.tokens.T0.5\nbase.sums.tokens.T1\nbase.sums.tokens.T0.5\n"
              "tuned.world.tokens.T1\ntuned.world.tokens.T0.5\n");
}

static void sweeps_add_suffixes(void **state)
{
    (void)state;
    const char *const set[] = {"sampling.draws=[10, 20]",     "sampling.estimator=[tree, chain]",
                               "style.cot.shots=[0, 4]",      "style.cot.max_tokens=[5, 6]",
                               "datasets.world.models=tuned", "datasets.world.styles=concise"};
    names_are(TEXT, set, 6,
              "base.sums.cot.T1.M10.tree.L5.S0\nbase.sums.cot.T1.M10.tree.L5.S4\n"
              "base.sums.cot.T1.M10.tree.L6.S0\nbase.sums.cot.T1.M10.tree.L6.S4\n"
              "base.sums.cot.T1.M20.tree.L5.S0\nbase.sums.cot.T1.M20.tree.L5.S4\n"
              "base.sums.cot.T1.M20.tree.L6.S0\nbase.sums.cot.T1.M20.tree.L6.S4\n"
              "base.sums.cot.T1.M10.chain.L5.S0\nbase.sums.cot.T1.M10.chain.L5.S4\n"
              "base.sums.cot.T1.M10.chain.L6.S0\nbase.sums.cot.T1.M10.chain.L6.S4\n"
              "base.sums.cot.T1.M20.chain.L5.S0\nbase.sums.cot.T1.M20.chain.L5.S4\n"
              "base.sums.cot.T1.M20.chain.L6.S0\nbase.sums.cot.T1.M20.chain.L6.S4\n"
              "tuned.world.concise.T1.M10.tree\ntuned.world.concise.T1.M20.tree\n"
              "tuned.world.concise.T1.M10.chain\ntuned.world.concise.T1.M20.chain\n");
}

/* The name that keys the random numbers: the same whatever else is swept, added or raised. */
static void random_names_are_stable(void **state)
{
    (void)state;
    const char *const sets[][2] = {{"seed=1", "seed=1"},
                                   {"sampling.draws=500", "seed=1"},
                                   {"sampling.draws=[50, 500]", "sampling.temperature=[0.5, 1]"},
                                   {"style.cot.max_tokens=[3, 4]", "sampling.estimator=[chain, tree]"},
                                   {"models=[{name: other, path: o}, {name: base, path: m}]", "styles=cot"},
                                   {"extra=[{model: base, dataset: world, style: cot, draws: 9}]", "seed=1"}};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        semcal_error error = SEMCAL_ERROR_INIT;
        sc_config *config = load(TEXT, sets[i], 2);
        sc_plan plan;
        check_ok(sc_plan_make(&plan, config, &error), error);
        size_t found = 0;
        for (size_t j = 0; j < plan.n_cells; j++) {
            const sc_cell *cell = &plan.cells[j];
            bool here = cell->model == sc_config_find_model(config, "base") &&
                        cell->dataset == sc_config_find_dataset(config, "world") &&
                        strcmp(cell->style->name, "cot") == 0 && cell->temperature == 1;
            assert_true(here == (strcmp(cell->rng_name, "base.world.cot.T1") == 0));
            found += here;
        }
        assert_true(found > 0);
        sc_plan_free(&plan);
        sc_config_free(config);
    }
}

static void extra_cells(void **state)
{
    (void)state;
    const char *set[] = {
        "models=[{name: base, path: m}]", "styles=cot", "datasets.sums.styles=cot",
        ("extra=[{model: base, dataset: world, style: concise, temperature: [0.5, 2]},"
         " {model: base, dataset: sums, style: cot, draws: 7, shots: 1, max_tokens: 9, estimator: exact}]")};
    names_are(TEXT, set, 4,
              "base.world.cot.T1\nbase.sums.cot.T1\nbase.world.concise.T0.5\nbase.world.concise.T2\n"
              "base.sums.cot.T1.M7.exact.L9.S1\n");
    semcal_error error = SEMCAL_ERROR_INIT;
    set[3] = "extra=[{model: base, dataset: sums, style: cot}]";
    sc_config *config = load(TEXT, set, 4);
    sc_plan plan;
    check_error(sc_plan_make(&plan, config, &error), error, SEMCAL_E_CONFIG,
                "extra[0]: two cells are called 'base.sums.cot.T1': extra repeats a cell that is already planned");
    assert_int_equal(plan.n_cells, 0);
    sc_config_free(config);
}

static void names_that_collide_or_are_too_many(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_plan plan;
    sc_config *config = load("name: x\nmodels: [{name: a.b, path: m}, {name: a, path: m}]\n"
                             "datasets: [{name: c, path: c.csv}, {name: b.c, path: c.csv}]\nstyles: cot\n",
                             NULL, 0);
    check_error(sc_plan_make(&plan, config, &error), error, SEMCAL_E_CONFIG,
                "two cells are called 'a.b.c.cot.T1': names with dots in them collide");
    sc_config_free(config);
    sc_text text = {0};
    check_ok(sc_text_printf(&text, &error, TEXT "style: {cot: {max_tokens: [1"), error);
    for (int i = 2; i <= 5001; i++) {
        check_ok(sc_text_printf(&text, &error, ", %d", i), error);
    }
    check_ok(sc_text_printf(&text, &error, "]}}\n"), error);
    config = load(text.data, NULL, 0);
    check_error(sc_plan_make(&plan, config, &error), error, SEMCAL_E_CONFIG, "more than 10000 cells: sweep less");
    sc_config_free(config);
    sc_text_free(&text);
}

/* Shots: none without a file, the style's number where it says one, else all. */
static void shots_of_cells(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    const char *const set[] = {"style.cot.shots=2"};
    for (size_t n_set = 0; n_set < 2; n_set++) {
        sc_config *config = load(TEXT, set, n_set);
        sc_plan plan;
        check_ok(sc_plan_make(&plan, config, &error), error);
        assert_int_equal(sc_plan_find(&plan, "base.world.cot.T1")->shots, 0);
        assert_int_equal(sc_plan_find(&plan, "base.sums.cot.T1")->shots, n_set == 0 ? 4 : 2);
        sc_plan_free(&plan);
        sc_config_free(config);
    }
}

/* Worked by hand from the assumptions: V = 2^20 gives 5.4 bytes per token. */
static void cost_of_a_cell(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    const char *const set[] = {"sampling.draws=10", "style.cot.max_tokens=20", "sampling.estimator=[tree, chain]",
                               "store={top_k: 0, compression: 0}", "style.cot.prompt='{question}..'"};
    sc_config *config =
        load("name: x\nmodels: [{name: base, path: m}]\ndatasets: [{name: d, path: d.csv}]\nstyles: cot\n", set, 5);
    sc_plan plan;
    check_ok(sc_plan_make(&plan, config, &error), error);
    sc_cost_dataset data = {.n_questions = 100, .question_bytes = 42};
    sc_cost_model model = {.n_parameters = 1000000,
                           .weight_bytes = 2000000,
                           .kv_bytes_per_token = 100,
                           .n_vocabulary = 1 << 20,
                           .n_context = 29};
    sc_cost_cell cells[2];
    sc_cost cost = {.datasets = &data, .models = &model, .cells = cells, .n_threads = 2};
    sc_cost_cells(&cost, config, &plan);
    assert_string_equal(plan.cells[1].name, "base.d.cot.T1.chain");
    /* 42 + 12 bytes of template / 5.4 = 10 tokens */
    check_close(cells[1].prompt_tokens, 10, 0);
    check_close(cells[1].forward_tokens, 100 * (10 + 10 * 10), 1e-9);
    check_close(cells[0].forward_tokens, 100 * (10 + .33 * 100), 1e-9);
    check_close(cells[1].forward_tokens_most, 100 * (10 + 10 * 20), 1e-9);
    check_close(cells[0].device_bytes, 2000000 + 100 * 210, 1e-9);
    check_close(cells[1].time_s, 11000 * (2e6 / 2e10 + 2e-6), 1e-9);
    check_close(cells[1].disk_bytes, 100 * (100 * 48 + 10 * (64 + 40)), 1e-9);
    assert_true(cells[0].too_long);
    assert_int_equal(cost.total.n_questions, 200);
    check_close(cost.total.forward_tokens, cells[0].forward_tokens + cells[1].forward_tokens, 1e-9);
    check_close(cost.total.device_bytes, cells[0].device_bytes, 0);
    model.n_context = 30;
    sc_cost_cells(&cost, config, &plan);
    assert_false(cost.total.too_long);
    sc_plan_free(&plan);
    sc_config_free(config);
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        double seconds;
        const char *text;
    } cases[] = {{0, "0:00"},          {59.4, "0:59"}, {59.6, "1:00"}, {725, "12:05"}, {11229, "3:07:09"},
                 {183600, "2d 03:00"}, {-1, "?"},      {NAN, "?"},     {INFINITY, "?"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[32];
        sc_progress_duration(text, cases[i].seconds);
        assert_string_equal(text, cases[i].text);
    }
}

static void progress_in_a_file(void **state)
{
    (void)state;
    sc_progress progress;
    char line[SC_PROGRESS_LINE];
    sc_progress_init(&progress, &(sc_progress_options){.terminal = false});
    /* 20 of 120 questions were there when the run was resumed: they count as done, not as speed */
    sc_progress_counters at = {.cell = "base.world.cot.T1",
                               .cell_number = 2,
                               .n_cells = 6,
                               .cell_done = 0,
                               .cell_questions = 100,
                               .done = 20,
                               .questions = 120};
    assert_false(sc_progress_line(&progress, line, &at, 100, false));
    at.done = 30;
    at.cell_done = 10;
    at.draw_tokens = 500;
    at.forward_tokens = 125;
    assert_false(sc_progress_line(&progress, line, &at, 109.9, false));
    assert_true(sc_progress_line(&progress, line, &at, 110, false));
    assert_string_equal(line, " 25%  1.0 questions/s  ETA 1:30  4.0 draws/forward  [2/6] base.world.cot.T1 10/100\n");
    assert_false(sc_progress_line(&progress, line, &at, 119, false));
    at.done = 120;
    at.cell_done = 100;
    assert_true(sc_progress_line(&progress, line, &at, 119, true));
    assert_non_null(strstr(line, "100%"));
    assert_non_null(strstr(line, "ETA 0:00"));
}

/* With work given, the rest is measured in work: the cells still to come may be dearer. */
static void progress_by_work(void **state)
{
    (void)state;
    sc_progress progress;
    char line[SC_PROGRESS_LINE];
    sc_progress_init(&progress, &(sc_progress_options){.terminal = false});
    sc_progress_counters at = {
        .cell = "c", .cell_number = 1, .n_cells = 1, .questions = 100, .cell_questions = 100, .work = 1000};
    assert_false(sc_progress_line(&progress, line, &at, 0, false));
    at.done = at.cell_done = 50;
    at.work_done = 100;
    assert_true(sc_progress_line(&progress, line, &at, 100, false));
    assert_non_null(strstr(line, " 50%  2.0 s/question  ETA 15:00  [1/1] c 50/100"));
    /* stalled: the rate falls */
    assert_true(sc_progress_line(&progress, line, &at, 200, false));
    assert_null(strstr(line, "ETA 15:00"));
}

static void progress_on_a_terminal(void **state)
{
    (void)state;
    sc_progress progress;
    char line[SC_PROGRESS_LINE];
    sc_progress_init(&progress, &(sc_progress_options){.terminal = true, .columns = 30});
    sc_progress_counters at = {.cell = "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9",
                               .cell_number = 1,
                               .n_cells = 1,
                               .questions = 10,
                               .cell_questions = 10};
    assert_true(sc_progress_line(&progress, line, &at, 0, false));
    assert_string_equal(line, "\r  0%  ? questions/s  ETA ?  [\x1b[K");
    assert_false(sc_progress_line(&progress, line, &at, 0.1, false));
    at.done = 10;
    assert_true(sc_progress_line(&progress, line, &at, 0.2, true));
    assert_int_equal(line[strlen(line) - 1], '\n');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_are_the_product),
        cmocka_unit_test(texts_have_no_styles),
        cmocka_unit_test(sweeps_add_suffixes),
        cmocka_unit_test(random_names_are_stable),
        cmocka_unit_test(extra_cells),
        cmocka_unit_test(names_that_collide_or_are_too_many),
        cmocka_unit_test(shots_of_cells),
        cmocka_unit_test(cost_of_a_cell),
        cmocka_unit_test(durations),
        cmocka_unit_test(progress_in_a_file),
        cmocka_unit_test(progress_by_work),
        cmocka_unit_test(progress_on_a_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: every class of error with its exact line, overrides, defaults, the resolved file. */
#include "base/file.h"
#include "check.h"
#include "experiment/config.h"
#include "experiment/config_table.h"
#include "meaning/collapse.h"

#include <unistd.h>

/* Lines 1 to 3 of most texts below; what follows begins on line 4. */
#define HEAD                                                                                                           \
    "name: x\n"                                                                                                        \
    "models: [{name: base, path: m}]\n"                                                                                \
    "datasets: [{name: world, path: d.jsonl}]\n"

static sc_config *parse(const char *text, const char *const *set, size_t n_set, semcal_error *error)
{
    sc_config *config = NULL;
    semcal_status status = sc_config_parse(&config, text, strlen(text), "c.yaml", "/folder", set, n_set, error);
    assert_true((status == SEMCAL_OK) == (config != NULL));
    assert_int_equal(status, error->status);
    return config;
}

/* The text is refused with exactly this message. */
static void refused(const char *text, const char *message)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_config *config = parse(text, NULL, 0, &error);
    if (config != NULL || error.status != SEMCAL_E_CONFIG || strcmp(error.message, message) != 0) {
        print_error("got      %d %s\nexpected %d %s\n", (int)error.status, error.message, SEMCAL_E_CONFIG, message);
        fail();
    }
}

static void refused_set(const char *assignment, const char *message)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_config *config = parse(HEAD, &assignment, 1, &error);
    if (config != NULL || error.status != SEMCAL_E_CONFIG || strcmp(error.message, message) != 0) {
        print_error("got      %d %s\nexpected %d %s\n", (int)error.status, error.message, SEMCAL_E_CONFIG, message);
        fail();
    }
}

static void unknown_keys_name_the_nearest(void **state)
{
    (void)state;
    refused(HEAD "sampling:\n  temprature: 1\n",
            "c.yaml:5:3: sampling.temprature: unknown key, did you mean 'temperature'?");
    refused(HEAD "samplign: {}\n", "c.yaml:4:1: samplign: unknown key, did you mean 'sampling'?");
    refused(HEAD "zzzzzzzzzz: 1\n", "c.yaml:4:1: zzzzzzzzzz: unknown key; 'semcal show config' lists them");
    refused("name: x\nmodels:\n  - name: a\n    paht: b\n",
            "c.yaml:4:5: models[0].paht: unknown key, did you mean 'path'?");
    refused(HEAD "style: {cot: {max_token: 3}}\n",
            "c.yaml:4:15: style.cot.max_token: unknown key, did you mean 'max_tokens'?");
    refused(HEAD "datasets2: 1\n", "c.yaml:4:1: datasets2: unknown key, did you mean 'datasets'?");
}

static void duplicate_keys_are_refused(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    assert_null(parse(HEAD "seed: 1\nseed: 2\n", NULL, 0, &error));
    assert_int_equal(error.status, SEMCAL_E_CONFIG);
    assert_memory_equal(error.message, "c.yaml:5:1: ", 12);
    assert_non_null(strstr(error.message, "seed"));
}

static void ranges_and_types(void **state)
{
    (void)state;
    refused(HEAD "sampling:\n  temperature: -1\n", "c.yaml:5:3: sampling.temperature: must be > 0, got -1");
    refused(HEAD "sampling: {temperature: [1, 0]}\n", "c.yaml:4:29: sampling.temperature[1]: must be > 0, got 0");
    refused(HEAD "sampling: {draws: 0}\n", "c.yaml:4:12: sampling.draws: must be >= 1, got 0");
    refused(HEAD "sampling: {draws: 1e3}\n", "c.yaml:4:12: sampling.draws: must be an integer, got 1e3");
    refused(HEAD "sampling: {draws: \"50\"}\n", "c.yaml:4:12: sampling.draws: must be an integer, got \"50\"");
    refused(HEAD "sampling: {draws: }\n", "c.yaml:4:12: sampling.draws: must be an integer, got nothing");
    refused(HEAD "sampling: {draws: {}}\n", "c.yaml:4:12: sampling.draws: must be an integer, got a map");
    refused(HEAD "sampling: {draws: 99999999999999999999}\n",
            "c.yaml:4:12: sampling.draws: must be an integer, got 99999999999999999999");
    refused(HEAD "sampling: {temperature: .nan}\n", "c.yaml:4:12: sampling.temperature: must be a number, got .nan");
    refused(HEAD "sampling: {temperature: .inf}\n", "c.yaml:4:12: sampling.temperature: must be a number, got .inf");
    refused(HEAD "sampling: {draws: []}\n", "c.yaml:4:12: sampling.draws: must not be an empty list");
    refused(HEAD "sampling: {draws: [5, 10, 5]}\n", "c.yaml:4:27: sampling.draws[2]: 5 is listed twice");
    refused(HEAD "sampling: {epsilon: 2}\n", "c.yaml:4:12: sampling.epsilon: must be in [0, 1], got 2");
    refused(HEAD "sampling: {epsilon: [.1, .2]}\n", "c.yaml:4:12: sampling.epsilon: must be a number, got a list");
    refused(HEAD "sampling: {estimator: tere}\n", "c.yaml:4:12: sampling.estimator: must be one of tree, chain, exact, "
                                                  "hybrid; got tere, did you mean 'tree'?");
    refused(HEAD "sampling: {estimator: [tree, 7]}\n",
            "c.yaml:4:30: sampling.estimator[1]: must be one of tree, chain, exact, hybrid; got 7");
    refused(HEAD "store: {full_logits: yes}\n", "c.yaml:4:9: store.full_logits: must be true or false, got yes");
    refused(HEAD "store: {commit_seconds: 31}\n", "c.yaml:4:9: store.commit_seconds: must be in (0, 30], got 31");
    refused(HEAD "store: 3\n", "c.yaml:4:1: store: must be a map of keys, is a text");
    refused(HEAD "style: [cot]\n", "c.yaml:4:1: style: must be a map from names to maps of keys");
    refused(HEAD "extra: {model: base}\n", "c.yaml:4:1: extra: must be a list of maps");
    refused("- a\n", "c.yaml:1:1: must be a map of keys, is a list");
    refused("name: x\nmodels: [{name: a, path: b, kv_memory: 4 GB}]\ndatasets: []\n",
            "c.yaml:2:29: models[0].kv_memory: must be a number of bytes like 1000000, 512M or 4GiB, got 4 GB");
    refused(HEAD "seed: -1\n", "c.yaml:4:1: seed: must be >= 0, got -1");
    refused("name: a/b\n",
            "c.yaml:1:1: name: not a name (letters, digits, '_', '-', '+' and '.', not first '.', '-' or "
            "'+', at most 64): a/b");
    refused(HEAD "style: {../x: {}}\n", "c.yaml:4:9: style.../x: not a name: letters, digits, '_', '-', '+' and '.', "
                                        "not first '.', '-' or '+', at most 64");
    refused("name: \"a\\0b\"\n", "c.yaml:1:1: name: holds a NUL character");
}

static void missing_keys(void **state)
{
    (void)state;
    refused("", "c.yaml:1:1: key 'name' is missing: name of the experiment; the run folder is called after it");
    refused("name: x\n", "c.yaml:1:1: key 'models' is missing: the models under test");
    refused("name: x\nmodels: []\n", "c.yaml:2:1: models: must not be empty");
    refused("name: x\nmodels:\n  - {path: b}\n",
            "c.yaml:3:5: models[0]: key 'name' is missing: short name; part of the cell's name");
    refused("name: x\nmodels: [{name: a}]\ndatasets: [{name: d, path: d.csv}]\n",
            "c.yaml:2:10: models[0]: key 'path' is missing: the model's folder");
    refused("name: x\nmodels: [{name: a, source: recorded}]\ndatasets: [{name: d, path: d.csv}]\n",
            "c.yaml:2:10: models[0]: key 'logits' is missing: source recorded replays a file");
    refused(HEAD "extra:\n  - {model: base, style: cot}\n",
            "c.yaml:5:5: extra[0]: key 'dataset' is missing: name of a dataset");
}

static void references_between_keys(void **state)
{
    (void)state;
    refused(HEAD "styles: [concise, sentense]\n",
            "c.yaml:4:19: styles[1]: no style is called 'sentense', did you mean 'sentence'?");
    refused(HEAD "styles: []\n", "c.yaml:4:1: styles: must not be an empty list");
    refused(HEAD "styles: [cot, cot]\n", "c.yaml:4:15: styles[1]: cot is listed twice");
    refused(HEAD "extra: [{model: bsae, dataset: world, style: cot}]\n",
            "c.yaml:4:10: extra[0].model: no model is called 'bsae', did you mean 'base'?");
    refused(HEAD "extra: [{model: base, dataset: qqqqqqq, style: cot}]\n",
            "c.yaml:4:23: extra[0].dataset: no dataset is called 'qqqqqqq'");
    refused(HEAD "extra: [{model: base, dataset: world, style: kot}]\n",
            "c.yaml:4:39: extra[0].style: no style is called 'kot', did you mean 'cot'?");
    refused("name: x\nmodels: [{name: a, path: b}, {name: a, path: c}]\ndatasets: [{name: d, path: d.csv}]\n",
            "c.yaml:2:31: models[1].name: two models are called 'a'");
    refused("name: x\nmodels: [{name: a, path: b}]\ndatasets:\n- {name: d, path: d.csv}\n- {name: d, path: e.csv}\n",
            "c.yaml:5:4: datasets[1].name: two datasets are called 'd'");
    refused("name: x\nmodels: [{name: a, path: b}]\ndatasets:\n- {name: d, path: d.csv, models: [b]}\n",
            "c.yaml:4:35: datasets[0].models[0]: no model is called 'b', did you mean 'a'?");
    refused(
        "name: x\nmodels: [{name: a, path: b}]\nstyles: [cot]\ndatasets:\n- {name: d, path: d.csv, styles: concise}\n",
        "c.yaml:5:26: datasets[0].styles[0]: no style in the list 'styles' is called 'concise'");
    refused(
        "name: x\nmodels: [{name: a, path: b}]\ndatasets:\n- {name: d, path: d.txt}\n",
        "c.yaml:4:3: datasets[0].format: the ending of '/folder/d.txt' does not tell the format: set it to jsonl or "
        "csv");
    refused("name: x\nmodels: [{name: a, path: b}]\ndatasets:\n- {name: d, path: d.csv, collapse: choice}\n",
            "c.yaml:4:26: datasets[0].collapse: choice needs the closed list of answers: set choices or choices_file");
#define JUDGED(keys) "name: x\nmodels: [{name: a, path: b}]\ndatasets:\n- {name: d, path: d.csv, collapse: " keys "}\n"
    refused(JUDGED("[exact, exact]"), "c.yaml:4:44: datasets[0].collapse[1]: exact is listed twice");
    refused(JUDGED("[]"), "c.yaml:4:26: datasets[0].collapse: must not be an empty list");
    refused(JUDGED("modell"), "c.yaml:4:26: datasets[0].collapse: must be one of exact, numeric, math, alias, choice, "
                              "model; got modell, did you mean 'model'?");
    refused(JUDGED("{path: x}"), "c.yaml:4:26: datasets[0].collapse: key 'kind' is missing: name of the kind; the "
                                 "keys below are of the kind model, the only one that has keys");
    refused(JUDGED("{kind: exact, path: x}"),
            "c.yaml:4:50: datasets[0].collapse.path: 'exact' has no further keys, 'model' has");
    refused(JUDGED("[{kind: model, promt: x}]"),
            "c.yaml:4:51: datasets[0].collapse[0].promt: unknown key, did you mean 'prompt'?");
    refused(JUDGED("{kind: model, prompt: no}"), "c.yaml:4:50: datasets[0].collapse.prompt: must contain {question}");
    refused(JUDGED("[exact, {kind: model, prompt: '{question}'}]"),
            "c.yaml:4:58: datasets[0].collapse[1].prompt: must contain {response}");
    refused(JUDGED("{kind: model, stop: ['']}"),
            "c.yaml:4:50: datasets[0].collapse.stop: an empty text stops everything");
    refused(JUDGED("{kind: model, max_tokens: 0}"),
            "c.yaml:4:50: datasets[0].collapse.max_tokens: must be >= 1, got 0");
    refused(JUDGED("{kind: model, gemm: own}"),
            "c.yaml:4:50: datasets[0].collapse.gemm: is of a judge with a path; without one "
            "it is as in models");
    refused(JUDGED("{kind: model, then: choice}"), "c.yaml:4:26: datasets[0].collapse: choice needs the closed list of "
                                                   "answers: set choices or choices_file");
    refused(
        "name: x\nmodels: [{name: a, source: recorded, logits: b}]\ndatasets:\n- {name: d, path: d.csv, collapse: "
        "model}\n",
        "c.yaml:4:26: datasets[0].collapse.path: model 'a' is a file of logits and cannot judge: name a judge by its "
        "path");
    refused(
        "name: x\nmodels: [{name: a, path: b}]\ndatasets:\n- {name: d, path: d.csv, choices: [a], choices_file: f}\n",
        "c.yaml:4:40: datasets[0].choices_file: give either choices or choices_file");
    refused("name: x\nmodels: [{name: a, path: b}]\ndatasets:\n- {name: d, path: d.csv, choices: [a, [b, c], a]}\n",
            "c.yaml:4:47: datasets[0].choices[2]: the class 'a' is listed twice");
    refused("name: x\nmodels: [{name: a, path: b}]\ndatasets:\n- {name: d, path: d.csv, shots: {path: s.csv, n: 2}}\n"
            "style: {cot: {shots: [1, 3]}}\n",
            "c.yaml:5:15: style.cot.shots: 3 examples, but datasets[0].shots.n is 2");
    refused("name: x\nmodels: [{name: a, path: b}]\ndatasets:\n"
            "- {name: d, path: d.csv, shots: {path: s.csv, responses: {cto: x}}}\n",
            "c.yaml:4:59: datasets[0].shots.responses.cto: no style of this configuration is called 'cto', did you "
            "mean 'cot'?");
}

static void templates(void **state)
{
    (void)state;
    refused(HEAD "style: {cot: {prompt: 'Q: {qestion}'}}\n",
            "c.yaml:4:15: style.cot.prompt: '{qestion}' stands for nothing, did you mean '{question}'?");
    refused(HEAD "style: {cot: {prompt: 'Q:'}}\n", "c.yaml:4:15: style.cot.prompt: must contain {question}");
    refused(HEAD "style: {cot: {shot: 'Q: {question}'}}\n", "c.yaml:4:15: style.cot.shot: must contain {answer}");
    refused(HEAD "style: {cot: {prompt: '{question} {answer}'}}\n",
            "c.yaml:4:15: style.cot.prompt: '{answer}' stands for nothing here, there are {question} and {shots}");
    refused(HEAD "style: {cot: {stop: ['']}}\n", "c.yaml:4:15: style.cot.stop: an empty text stops everything");
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_config *config = parse(HEAD "style: {cot: {prompt: '{shots}In \\boxed{{}}: {question}'}}\n", NULL, 0, &error);
    assert_string_equal(error.message, "");
    const sc_config_style *style = sc_config_find_style(config, "cot");
    assert_string_equal(style->shot, "In \\boxed{{}}: {question} {answer}");
    sc_config_free(config);
}

static void overrides(void **state)
{
    (void)state;
    const char *const set[] = {
        "sampling.draws=[10, 20]",
        "models.base.gemm=own",
        "models[0].kv_memory=2GiB",
        "style.mine.max_tokens=7",
        "styles=[mine, cot]",
        "datasets.world.limit=12",
        "store={top_k: 3}",
        "datasets.world.shots.path=/abs/s.csv",
        "datasets.world.collapse=numeric",
        "sampling.draws=30",
    };
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_config *config = parse(HEAD, set, sizeof set / sizeof *set, &error);
    assert_string_equal(error.message, "");
    assert_int_equal(config->sampling.draws.n, 1);
    assert_int_equal(config->sampling.draws.at[0], 30);
    assert_int_equal(config->models.at[0].gemm, SC_CONFIG_GEMM_OWN);
    assert_int_equal(config->models.at[0].kv_memory, INT64_C(2) << 30);
    assert_int_equal(config->datasets.at[0].limit, 12);
    assert_int_equal(config->store.top_k, 3);
    assert_int_equal(config->store.compression, 1);
    assert_string_equal(config->datasets.at[0].shots.path, "/abs/s.csv");
    assert_int_equal(sc_config_find_style(config, "mine")->max_tokens.at[0], 7);
    sc_config_free(config);

    refused_set("sampling.draws=0", "--set sampling.draws: must be >= 1, got 0");
    refused_set("sampling={draws: 0}", "--set sampling: sampling.draws: must be >= 1, got 0");
    refused_set("sampling.drws=1", "--set sampling.drws: unknown key, did you mean 'draws'?");
    refused_set("sampling.draws", "--set sampling.draws: expected key=value");
    refused_set("=1", "--set =1: expected key=value");
    refused_set("seed.x=1", "--set seed.x: 'seed' holds no further keys");
    refused_set("datasets.wrld.limit=1",
                "--set datasets.wrld.limit: no entry of datasets is called 'wrld', did you mean 'world'?");
    refused_set("datasets[1].limit=1", "--set datasets[1].limit: datasets has 1 entries, from [0] on");
    refused_set("datasets[0]limit=1", "--set datasets[0]limit: expected '.' before 'limit'");
    refused_set("style.a/b.shots=1", "--set style.a/b.shots: not a name: letters, digits, '_', '-', '+' and '.', not "
                                     "first '.', '-' or '+', at most 64");
    refused_set("styles=[nope]", "--set styles: styles[0]: no style is called 'nope'");
    refused_set("extra=[{model: base, dataset: world, style: zzzzzzzz}]",
                "--set extra: extra[0].style: no style is called 'zzzzzzzz'");
    semcal_error yaml = SEMCAL_ERROR_INIT;
    const char *broken = "sampling.draws=[1";
    assert_null(parse(HEAD, &broken, 1, &yaml));
    assert_int_equal(yaml.status, SEMCAL_E_CONFIG);
    assert_memory_equal(yaml.message, "--set sampling.draws:", 21);
}

/* An override of a list forgets the places of what it replaces. */
static void replaced_lists_forget_places(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    const char *set = "models=[{name: new}]";
    assert_null(parse(HEAD, &set, 1, &error));
    assert_string_equal(error.message, "--set models: models[0]: key 'path' is missing: the model's folder");
}

static void defaults(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_config *config = parse(HEAD, NULL, 0, &error);
    assert_string_equal(error.message, "");
    assert_int_equal(config->seed, 1);
    assert_int_equal(config->styles.n, 3);
    assert_int_equal(config->style.n, 3);
    assert_int_equal(config->sampling.draws.at[0], 50);
    check_close(config->sampling.temperature.at[0], 1, 0);
    assert_int_equal(config->sampling.estimator.at[0], SC_CONFIG_TREE);
    assert_int_equal(config->sampling.batch, SC_CONFIG_UNSET);
    assert_string_equal(config->models.at[0].path, "/folder/m");
    assert_string_equal(config->models.at[0].kind, "base");
    const sc_config_dataset *dataset = sc_config_find_dataset(config, "world");
    assert_string_equal(dataset->path, "/folder/d.jsonl");
    assert_int_equal(dataset->format, SC_CONFIG_JSONL);
    assert_string_equal(dataset->shots.question, "question");
    assert_null(dataset->shots.path);
    assert_null(dataset->id);
    assert_int_equal(dataset->limit, SC_CONFIG_UNSET);
    assert_string_equal(dataset->collapse.at[0].kind, "exact");
    const sc_config_style *cot = sc_config_find_style(config, "cot");
    assert_int_equal(cot->max_tokens.at[0], 320);
    assert_int_equal(cot->shots.n, 0);
    assert_string_equal(cot->stop.at[0], "\n\n");
    assert_string_equal(sc_config_find_style(config, "concise")->stop.at[0], "\n");
    assert_null(sc_config_find_style(config, "other"));
    assert_null(sc_config_find_model(config, "other"));
    sc_config_free(config);
}

static const char everything[] =
    "name: all.of_it\nseed: 9000000000000000000\n"
    "models:\n"
    "  - {name: \"null\", path: ./m 1/é, kind: instruct, chat: chatml, gemm: clblast, kv_memory: 512M}\n"
    "  - {name: 1.5, source: toy}\n"
    "  - {name: r, source: recorded, logits: l.npy}\n"
    "datasets:\n"
    "  - {name: d, path: /abs/d.CSV, answers: Correct Answers, answers_separator: \"; \", id: i, law: law,\n"
    "     choices: [a, [b, \"true\", '~'], \"\\\"\\n\\t\\u2028\\x7f\\ufeff\"], limit: 3, collapse: [choice, exact],\n"
    "     shots: {path: s.jsonl, n: 2, format: jsonl, question: q, answers: a, responses: {cot: why, mine: 'null'}},\n"
    "     styles: [cot, mine], models: [r, 'null']}\n"
    "  - {name: e, path: e.jsonl, choices: options}\n"
    "  - {name: f, path: f.jsonl, choices_file: classes.txt, collapse: [alias, {kind: model, path: ./j 1, chat: auto,\n"
    "     gemm: bf16, kv_memory: 1G, prompt: \"{{}} {response}\\n{question}: # 'x'\", max_tokens: 3, stop: [], "
    "unknown: [],\n"
    "     then: numeric}]}\n"
    "styles: [cot, mine]\n"
    "sampling: {draws: [1, 100000], temperature: [0.1, 1e-3, 0.30000000000000004], estimator: [hybrid, exact],\n"
    "           epsilon: 0, max_forward_tokens: 7, batch: 2}\n"
    "style:\n"
    "  mine: {max_tokens: [1, 2], stop: [], shots: [0, 2], system: \"\", prompt: \"{question}: x # y\", separator: ' "
    "'}\n"
    "  spare: {stop: ['- a', \"#\"]}\n"
    "store: {top_k: 0, full_logits: true, commit_seconds: 0.5, compression: 0}\n"
    "analyze: {bootstrap: 0, level: .5, floor_redraws: 1, splits: 2, folds: 3, flag_share: 0, reliable_mass: 1}\n"
    "extra:\n"
    "  - {model: r, dataset: d, style: sentence, temperature: [.5, 2], draws: 7, estimator: [chain], max_tokens: 3,\n"
    "     shots: 1}\n";

/* Resolving is idempotent, and no key is lost on the way: the resolved text names every value again. */
static void resolved_reads_back(void **state)
{
    (void)state;
    const char *const texts[] = {everything, HEAD};
    for (size_t i = 0; i < 2; i++) {
        semcal_error error = SEMCAL_ERROR_INIT;
        sc_config *config = parse(texts[i], NULL, 0, &error);
        assert_string_equal(error.message, "");
        sc_text once = {0}, twice = {0};
        check_ok(sc_config_resolved(&once, config, &error), error);
        sc_config *again;
        check_ok(sc_config_parse(&again, once.data, once.length, "resolved.yaml", "/elsewhere", NULL, 0, &error),
                 error);
        check_ok(sc_config_resolved(&twice, again, &error), error);
        assert_string_equal(once.data, twice.data);
        if (i == 0) {
            assert_string_equal(again->models.at[0].name, "null");
            assert_string_equal(again->models.at[0].path, "/folder/m 1/é");
            assert_int_equal(again->seed, INT64_C(9000000000000000000));
            assert_true(again->sampling.temperature.at[2] == 0.30000000000000004);
            const sc_config_choices *choices = &again->datasets.at[0].choices;
            assert_int_equal(choices->n_groups, 3);
            assert_string_equal(choices->groups[1].at[1], "true");
            assert_string_equal(choices->groups[1].at[2], "~");
            assert_string_equal(choices->groups[2].at[0], "\"\n\t\u2028\x7f\ufeff");
            assert_string_equal(again->datasets.at[0].shots.responses.values[1], "null");
            assert_string_equal(again->datasets.at[1].choices.field, "options");
            assert_int_equal(sc_config_find_style(again, "mine")->stop.n, 0);
            assert_string_equal(sc_config_find_style(again, "mine")->system, "");
            assert_int_equal(again->extra.at[0].temperature.n, 2);
        }
        sc_text_free(&once);
        sc_text_free(&twice);
        sc_config_free(config);
        sc_config_free(again);
    }
}

/* The table names exactly the kinds of collapse there are. */
static void collapse_words_are_the_kinds(void **state)
{
    (void)state;
    size_t n = 0;
    for (; sc_config_collapse_words[n] != NULL; n++) {
        assert_true(n < sc_collapse_n_kinds);
        assert_string_equal(sc_config_collapse_words[n], sc_collapse_kinds[n]->name);
    }
    assert_int_equal(n, sc_collapse_n_kinds);
}

static void files(void **state)
{
    (void)state;
    char folder[] = "/tmp/semcal-config-XXXXXX", path[128], want[128];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/c.yaml", folder);
    (void)snprintf(want, sizeof want, "%s/d.jsonl", folder);
    semcal_error error = SEMCAL_ERROR_INIT;
    check_ok(sc_file_write_atomic(path, HEAD, strlen(HEAD), &error), error);
    sc_config *config;
    check_ok(sc_config_load(&config, path, NULL, 0, &error), error);
    assert_string_equal(config->datasets.at[0].path, want);
    sc_config_free(config);
    (void)unlink(path);
    check_error(sc_config_load(&config, path, NULL, 0, &error), error, SEMCAL_E_DATA, path);
    assert_null(config);
    check_error(sc_config_load(&config, folder, NULL, 0, &error), error, SEMCAL_E_DATA, folder);
    (void)rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_keys_name_the_nearest),
        cmocka_unit_test(duplicate_keys_are_refused),
        cmocka_unit_test(ranges_and_types),
        cmocka_unit_test(missing_keys),
        cmocka_unit_test(references_between_keys),
        cmocka_unit_test(templates),
        cmocka_unit_test(overrides),
        cmocka_unit_test(replaced_lists_forget_places),
        cmocka_unit_test(defaults),
        cmocka_unit_test(resolved_reads_back),
        cmocka_unit_test(collapse_words_are_the_kinds),
        cmocka_unit_test(files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

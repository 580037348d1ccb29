/* SPDX-License-Identifier: Apache-2.0 */
/* The public header alone: what it promises, through its functions only. */
#include "check.h"

static void calibration(void **state)
{
    (void)state;
    /* 100 pairs at c = 1 and 100 at c = .5, half of each right: by definition smECE is .25, relplot prints .168 */
    double c[200], a[200];
    for (size_t i = 0; i < 200; i++) {
        c[i] = i < 100 ? 1 : .5;
        a[i] = (double)(i % 2);
    }
    semcal_error error = SEMCAL_ERROR_INIT;
    semcal_calibration r;
    check_ok(semcal_calibration_compute(&r, c, a, 200, NULL, &error), error);
    assert_int_equal(r.n, 200);
    check_close(r.accuracy, .5, 1e-12);
    check_close(r.mean_confidence, .75, 1e-12);
    check_close(r.overconfidence, .25, 1e-12);
    check_close(r.smece, .25, 1e-4);
    check_close(r.smece_relplot, .168, 5e-4);
    check_close(r.brier, .375, 1e-12);
    assert_int_equal(r.log_loss_infinite, 50);
    assert_true(isinf(r.log_loss) && isnan(r.log_loss_smoothed));
    assert_true(r.smece_ci[0] <= r.smece && r.smece <= r.smece_ci[1] + 1e-9);
    assert_true(0 < r.smece_floor && r.smece_floor < r.smece_floor_95 && r.smece_floor_95 < .25);

    /* 1-Lipschitz h is free to be -1 at both atoms: smCE = |mean (a - c)| = .25. One tilt tau of -4 at c = 1 saves 2.
     */
    check_close(r.smce, .25, 1e-12);
    assert_true(r.smce <= r.dsmce + 1e-12);
    assert_true(r.pgap_shift <= r.pgap_affine + 1e-9 && r.pgap_affine <= r.pgap_lipschitz + 1e-9 &&
                r.pgap_lipschitz <= r.pgap_isotonic + 1e-9);
    check_close(r.pgap_isotonic, 1, 1e-9);
    assert_true(r.pgap_sq >= r.smce * r.smce - 1e-9 && r.pgap_sq <= 2 * r.smce + 1e-9);
    assert_true(r.pgap_shift_crossfit <= r.pgap_isotonic + 1e-9 && isfinite(r.pgap_sq_crossfit));

    semcal_calibration_options quick = SEMCAL_CALIBRATION_OPTIONS_INIT;
    quick.n_bootstrap = quick.n_floor = 0;
    quick.n_draws = 50;
    check_ok(semcal_calibration_compute(&r, c, a, 200, &quick, &error), error);
    assert_true(isnan(r.smece_ci[0]) && isnan(r.smece_floor));
    assert_true(r.log_loss_smoothed > 1 && r.log_loss_smoothed < 3);

    double smece, width;
    check_ok(semcal_smece_exact(&smece, c, a, 200, &error), error);
    check_close(smece, r.smece, 1e-12);
    check_ok(semcal_smece_at(&smece, .05, c, a, 200, &error), error);
    check_close(smece, r.smece_005, 1e-12);
    check_ok(semcal_smece_relplot(&smece, &width, c, a, 200, &error), error);
    check_close(smece, r.smece_relplot, 1e-12);
    check_error(semcal_smece_at(&smece, 0, c, a, 200, &error), error, SEMCAL_E_CONFIG, "width");
    c[3] = NAN;
    check_error(semcal_calibration_compute(&r, c, a, 200, &quick, &error), error, SEMCAL_E_NUMERIC, "3");
    assert_int_equal(semcal_smece_exact(&smece, c, a, 200, NULL), SEMCAL_E_NUMERIC);
}

static void collapse(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    semcal_class class;
    const char *answers[] = {"#### 1,200"};
    semcal_collapse_context context = SEMCAL_COLLAPSE_CONTEXT_INIT;
    context.answers = answers;
    context.n_answers = 1;
    check_ok(semcal_collapse_classify(&class, "numeric", &context, "So the answer is 1200.", &error), error);
    assert_true(class.parsed && class.correct);
    free(class.label);
    check_ok(semcal_collapse_classify(&class, "numeric", NULL, "no idea", &error), error);
    assert_true(!class.parsed && !class.correct);
    assert_string_equal(class.label, "");
    free(class.label);

    const char *choices[] = {"yes\tyeah\tyep", "no"}, *yes[] = {"yes"};
    context = (semcal_collapse_context){.answers = yes, .n_answers = 1, .choices = choices, .n_choices = 2};
    check_ok(semcal_collapse_classify(&class, "choice", &context, "Yep!", &error), error);
    assert_true(class.correct);
    free(class.label);
    check_error(semcal_collapse_classify(&class, "numric", &context, "1", &error), error, SEMCAL_E_CONFIG, "numeric");
    check_error(semcal_collapse_classify(&class, "choice", NULL, "1", &error), error, SEMCAL_E_DATA, "choice");
}

static void tokenizer(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    semcal_tokenizer *tokenizer;
    const char *folder = getenv("SEMCAL_SOURCE");
    if (folder == NULL) {
        skip();
    }
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/configs/quickstart/models/base", folder);
    check_ok(semcal_tokenizer_open(&tokenizer, path, &error), error);
    const char text[] = "The answer is 42.";
    int32_t *ids;
    size_t n_ids, length;
    char *back;
    check_ok(semcal_tokenizer_encode(&ids, &n_ids, tokenizer, text, strlen(text), false, &error), error);
    assert_true(n_ids > 0);
    check_ok(semcal_tokenizer_decode(&back, &length, tokenizer, ids, n_ids, true, &error), error);
    assert_string_equal(back, text);
    free(ids);
    free(back);
    check_error(semcal_tokenizer_encode(&ids, &n_ids, tokenizer, "a\xff", 2, false, &error), error, SEMCAL_E_DATA, "1");
    semcal_tokenizer_free(tokenizer);
    semcal_tokenizer_free(NULL);
    check_error(semcal_tokenizer_open(&tokenizer, "/nonexistent", &error), error, SEMCAL_E_DATA, "/nonexistent");
    assert_null(tokenizer);
}

static void model(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    semcal_model *model;
    check_error(semcal_model_open(&model, "/nonexistent", "no such device", &error), error, SEMCAL_E_DEVICE, "");
    assert_null(model);
    semcal_status status = semcal_model_open(&model, SEMCAL_FIXTURES "/models/llama_bf16_tied", NULL, &error);
    if (status == SEMCAL_E_DEVICE) {
        print_message("skipped: %s\n", error.message);
        skip();
    }
    check_ok(status, error);
    assert_true(semcal_model_vocabulary(model) > 5 && semcal_model_context(model) > 5);
    const int32_t tokens[] = {1, 5, 2, 4};
    double whole[3], part[1], sum = 0;
    check_ok(semcal_model_score(model, whole, tokens, 4, &error), error);
    check_ok(semcal_model_score(model, part, tokens, 2, &error), error);
    check_close(part[0], whole[0], 0);
    check_ok(semcal_model_score(model, whole, tokens, 1, &error), error);
    for (int32_t v = 0; v < (int32_t)semcal_model_vocabulary(model); v++) {
        const int32_t pair[] = {3, v};
        check_ok(semcal_model_score(model, part, pair, 2, &error), error);
        sum += exp(part[0]);
    }
    check_close(sum, 1, 1e-5);
    const int32_t bad[] = {1, (int32_t)semcal_model_vocabulary(model)};
    check_error(semcal_model_score(model, part, bad, 2, &error), error, SEMCAL_E_DATA, "token");
    check_error(semcal_model_score(model, part, bad, 0, &error), error, SEMCAL_E_DATA, "no tokens");
    semcal_model_free(model);
    semcal_model_free(NULL);
}

/* ---- whole experiments ---- */

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void count_line(const char *line, void *payload)
{
    assert_null(strchr(line, '\n'));
    ++*(size_t *)payload;
}

static bool at_once(void *payload)
{
    (void)payload;
    return true;
}

static void run(void **state)
{
    (void)state;
    char folder[] = "/tmp/semcal_public_XXXXXX", config[64], data[64], out[96], command[128];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(config, sizeof config, "%s/toy.yaml", folder);
    (void)snprintf(data, sizeof data, "%s/toy.jsonl", folder);
    (void)snprintf(out, sizeof out, "%s/run", folder);
    write_file(data, "{\"question\": \"law: alfa=0.9 bravo=0.1\", \"answers\": \"alfa\"}\n"
                     "{\"question\": \"law: alfa=0.2 bravo=0.8\", \"answers\": \"bravo\"}\n"
                     "{\"question\": \"law: alfa=0.4 bravo=0.6\", \"answers\": \"alfa\"}\n");
    write_file(config,
               "name: toy\nmodels: [{name: t, source: toy}]\n"
               "datasets: [{name: d, path: toy.jsonl, collapse: choice, choices: [alfa, bravo]}]\n"
               "styles: [plain]\nstyle: {plain: {prompt: \"{question}\\n\", max_tokens: 8, stop: [\"\\n\"]}}\n");
    semcal_error error = SEMCAL_ERROR_INIT;
    semcal_run_options options = SEMCAL_RUN_OPTIONS_INIT;
    semcal_run_summary summary;
    const char *set[] = {"sampling.draws=7"};
    size_t n_lines = 0;
    options.set = set;
    options.n_set = 1;
    options.log = count_line;
    options.payload = &n_lines;
    options.stopped = at_once;
    check_error(semcal_run_execute(&summary, config, out, &options, &error), error, SEMCAL_INTERRUPTED, "");
    options.stopped = NULL;
    check_ok(semcal_run_execute(&summary, config, out, &options, &error), error);
    assert_int_equal(summary.n_cells, 1);
    assert_int_equal(summary.n_finished, 1);
    assert_int_equal(summary.n_failed, 0);
    assert_int_equal(summary.n_questions, 3);
    assert_true(summary.draw_tokens >= 3 * 7);
    char *json = NULL;
    check_ok(semcal_run_analyze(&json, out, NULL, &error), error);
    assert_non_null(strstr(json, "\"smece\""));
    assert_non_null(strstr(json, "\"collapse\": \"choice\""));
    free(json);
    /* a cell that cannot run leaves the other, and is told */
    write_file(config,
               "name: two\nmodels: [{name: t, source: toy}, {name: m, path: nowhere}]\n"
               "datasets: [{name: d, path: toy.jsonl, collapse: choice, choices: [alfa, bravo]}]\n"
               "styles: [plain]\nstyle: {plain: {prompt: \"{question}\\n\", max_tokens: 8, stop: [\"\\n\"]}}\n");
    (void)snprintf(out + strlen(out), 5, "-two");
    check_error(semcal_run_execute(&summary, config, out, &options, &error), error, SEMCAL_PARTIAL, "1 of 2 cells");
    assert_true(summary.n_failed == 1 && summary.n_finished == 1 && n_lines > 0);
    check_ok(semcal_run_collapse(out, "exact", &error), error);
    check_ok(semcal_run_analyze(&json, out, NULL, &error), error);
    assert_non_null(strstr(json, "\"collapse\": \"exact\""));
    free(json);
    set[0] = "sampling.draws=8";
    check_error(semcal_run_execute(NULL, config, out, &options, &error), error, SEMCAL_E_CONFIG, "configuration");
    set[0] = "sampling.darws=8";
    check_error(semcal_run_execute(NULL, config, out, &options, &error), error, SEMCAL_E_CONFIG, "draws");
    options.shard = 3;
    check_error(semcal_run_execute(NULL, config, out, &options, &error), error, SEMCAL_E_CONFIG, "shard");
    check_error(semcal_run_analyze(&json, folder, NULL, &error), error, SEMCAL_E_DATA, "");
    assert_null(json);
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(calibration), cmocka_unit_test(collapse),
                                       cmocka_unit_test(tokenizer), cmocka_unit_test(model), cmocka_unit_test(run)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

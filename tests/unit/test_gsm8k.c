/* SPDX-License-Identifier: Apache-2.0 */
/* Collapse kind numeric on real model solutions to GSM8K, against the correctness recorded beside them. */
#include "check.h"
#include "formats/json.h"
#include "meaning/collapse.h"

static void recorded_correctness(void **state)
{
    (void)state;
    const char *path = shared_path("data/gsm8k/model_solutions.jsonl");
    if (path == NULL) {
        print_message("skipped: the reference data is not here\n");
        skip();
    }
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_collapse_kind *kind;
    sc_json_lines lines;
    size_t n = 0, n_agree = 0, n_correct = 0;
    check_ok(sc_collapse_find(&kind, "numeric", &error), error);
    check_ok(sc_json_lines_open(&lines, path, &error), error);
    for (;;) {
        json_t *row;
        check_ok(sc_json_lines_next(&row, &lines, &error), error);
        if (row == NULL) {
            break;
        }
        const char *truth = NULL, *solution = NULL;
        bool recorded = false;
        size_t length;
        check_ok(sc_json_get_text(&truth, &length, row, "ground_truth", true, path, &error), error);
        check_ok(sc_json_get_text(&solution, &length, row, "solution", true, path, &error), error);
        check_ok(sc_json_get_bool(&recorded, row, "is_correct", true, path, &error), error);
        const sc_collapse_context context = {.answers = &truth, .n_answers = 1};
        sc_collapse_question *question;
        sc_collapse_class class;
        check_ok(sc_collapse_question_make(&question, kind, &context, &error), error);
        assert_int_equal(sc_collapse_n_unparsed_references(question), 0);
        check_ok(sc_collapse_classify(&class, question, solution, &error), error);
        if (class.correct != recorded) {
            size_t n_references;
            print_message("row %zu: class '%s', reference '%s', recorded %s\n", n, class.label,
                          sc_collapse_references(question, &n_references)[0], recorded ? "correct" : "wrong");
        }
        n_agree += class.correct == recorded;
        n_correct += class.correct;
        n++;
        free(class.label);
        sc_collapse_question_free(question);
        json_decref(row);
    }
    sc_json_lines_close(&lines);
    print_message("%zu of %zu agree, %zu correct\n", n_agree, n, n_correct);
    assert_int_equal(n, 2400);
    assert_true((double)n_agree >= 0.995 * (double)n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(recorded_correctness)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

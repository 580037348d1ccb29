/* SPDX-License-Identifier: Apache-2.0 */
/* Prompts: placeholders, examples, which examples, and what they answer. */
#include "check.h"
#include "experiment/prompt.h"

static void check_prompt(const char *expected, sc_prompt_template parts, const char *question,
                         const sc_prompt_shot *shots, size_t n)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    char *prompt;
    check_ok(sc_prompt_build(&prompt, &parts, question, shots, n, &error), error);
    assert_string_equal(prompt, expected);
    free(prompt);
}

static void building(void **state)
{
    (void)state;
    const sc_prompt_template standard = SC_PROMPT_TEMPLATE_INIT;
    const sc_prompt_shot shots[] = {{"One?", "1"}, {"Two {answer}?", "{question}"}};
    check_prompt("Question: Why?\nAnswer:", standard, "Why?", NULL, 0);
    check_prompt(
        "Question: One?\nAnswer: 1\n\nQuestion: Two {answer}?\nAnswer: {question}\n\nQuestion: {shots}\nAnswer:",
        standard, "{shots}", shots, 2); /* texts are put in as they are */
    const sc_prompt_template placed = {"Examples:\n{shots}Now {{think}}: {question}{question}", "{answer}<{question}",
                                       "|"};
    check_prompt("Examples:\n1<One?|{question}<Two {answer}?|Now {think}: xx", placed, "x", shots, 2);
    check_prompt("Examples:\nNow {think}: xx", placed, "x", NULL, 0);
    const sc_prompt_template bare = {"{question}", "{question}{answer}", ""};
    check_prompt("One?1Why?", bare, "Why?", shots, 1);
    check_prompt("", bare, "", NULL, 0);
    const sc_prompt_template braces = {"{{{question}}}", "{question}{answer}", ""};
    check_prompt("{x}", braces, "x", NULL, 0);
}

static void wrong_templates(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_shot;
        const char *message;
    } cases[] = {
        {"Q: {qestion}", false, "'{qestion}' stands for nothing, did you mean '{question}'?"},
        {"Q: {zzzzzzzzzz}{question}", false, "'{zzzzzzzzzz}' stands for nothing here"},
        {"Q: {question} {answer}", false, "'{answer}' stands for nothing here"},
        {"Q: {question} {shots}{answer}", true, "'{shots}' stands for nothing here"},
        {"Q: {}{question}", false, "'{}' stands for nothing"},
        {"Q: ", false, "must contain {question}"},
        {"{question}", true, "must contain {answer}"},
        {"{answer}", true, "must contain {question}"},
        {"{question} {", false, "a single '{'"},
        {"{question} }", false, "a single '}'"},
        {"{question", false, "a single '{'"},
        {"{question}}", false, "a single '}'"},
        {"{\"a\": {question}}", false, "a single '{'"},
        {"", false, "must contain {question}"},
    };
    semcal_error error = SEMCAL_ERROR_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_error(sc_prompt_check(cases[i].text, cases[i].is_shot, &error), error, SEMCAL_E_CONFIG, cases[i].message);
    }
    const sc_prompt_template parts = {"{question}", "{questio}{answer}", ""};
    const sc_prompt_shot shot = {"a", "b"};
    char *prompt;
    check_error(sc_prompt_build(&prompt, &parts, "x", &shot, 1, &error), error, SEMCAL_E_CONFIG, "did you mean");
    assert_null(prompt);
}

static void choosing(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    size_t rows[20], more[20];
    check_ok(sc_prompt_choose(rows, 5, 20, NULL, &error), error);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(rows[i], i);
    }
    const uint64_t seed = 3, other = 4;
    check_ok(sc_prompt_choose(rows, 5, 20, &seed, &error), error);
    check_ok(sc_prompt_choose(more, 20, 20, &seed, &error), error);
    assert_memory_equal(rows, more, 5 * sizeof *rows);
    bool seen[20] = {false};
    for (size_t i = 0; i < 20; i++) {
        assert_true(more[i] < 20 && !seen[more[i]]);
        seen[more[i]] = true;
    }
    check_ok(sc_prompt_choose(more, 5, 20, &other, &error), error);
    assert_memory_not_equal(rows, more, 5 * sizeof *rows);
    check_ok(sc_prompt_choose(more, 0, 0, &seed, &error), error);
    check_error(sc_prompt_choose(more, 3, 2, NULL, &error), error, SEMCAL_E_CONFIG, "3 examples wanted, there are 2");
}

static void responses(void **state)
{
    (void)state;
    static const char solution[] = "16 - 3 = <<16-3=13>>13 eggs.\n#### 13\n";
    static const struct {
        const char *style, *answer, *response;
    } cases[] = {
        {"cot", solution, solution},
        {"concise", solution, "13"},
        {"sentence", solution, "The answer is 13."},
        {"concise", " Paris ", "Paris"},
        {"sentence", "Paris", "The answer is Paris."},
        {"sentence", "Washington D.C.", "The answer is Washington D.C."},
        {"terse", "#### 1,000", "1,000"},
        {"concise", "", ""},
    };
    semcal_error error = SEMCAL_ERROR_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *response;
        check_ok(sc_prompt_response(&response, cases[i].style, cases[i].answer, &error), error);
        assert_string_equal(response, cases[i].response);
        free(response);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(building), cmocka_unit_test(wrong_templates),
                                       cmocka_unit_test(choosing), cmocka_unit_test(responses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

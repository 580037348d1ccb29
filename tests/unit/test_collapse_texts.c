/* SPDX-License-Identifier: Apache-2.0 */
/* What holds for every kind of collapse whatever the text. */
#include "check.h"
#include "meaning/collapse.h"
#include "meaning/words.h"

/* A judge whose reply is the response. */
static semcal_status repeat(sc_collapse_reply *reply, const char *question, const char *response, void *payload,
                            semcal_error *error)
{
    (void)question, (void)payload, (void)error;
    *reply = (sc_collapse_reply){response, false};
    return SEMCAL_OK;
}

static const sc_collapse_judge echo = {.reply = repeat};

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* One label twice, valid UTF-8, and the label as a class again where labels are texts. */
static void check_label(const sc_collapse_kind *kind, sc_collapse_question *question, const char *text)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_collapse_class class, again;
    check_ok(sc_collapse_classify(&class, question, text, &error), error);
    check_ok(sc_collapse_classify(&again, question, text, &error), error);
    assert_string_equal(class.label, again.label);
    assert_int_equal(class.parsed, class.label[0] != '\0');
    free(again.label);
    char *valid;
    check_ok(sc_words_valid(&valid, class.label, &error), error);
    assert_string_equal(valid, class.label);
    free(valid);
    if (class.parsed && strcmp(kind->name, "numeric") == 0) {
        check_ok(sc_collapse_classify(&again, question, class.label, &error), error);
        assert_string_equal(again.label, class.label);
        free(again.label);
    }
    free(class.label);
}

/* A normal form is its own normal form. */
static void check_fixed(semcal_status (*normalize)(char **out, const char *text, semcal_error *error), const char *text)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    char *once, *twice;
    check_ok(normalize(&once, text, &error), error);
    check_ok(normalize(&twice, once, &error), error);
    assert_string_equal(once, twice);
    free(once);
    free(twice);
}

/* Random texts from nasty pieces. */
static void random_texts(void **state)
{
    (void)state;
    static const char *const pieces[] = {"18",
                                         "3/4",
                                         " ",
                                         "\n",
                                         "A:",
                                         "####",
                                         "\\boxed{",
                                         "}",
                                         "the",
                                         "The ",
                                         "answer is",
                                         ".",
                                         ",",
                                         "-",
                                         "=",
                                         "$",
                                         "%",
                                         "\\frac",
                                         "{",
                                         "\xC2\xBD",
                                         "\xFF",
                                         "\xE2\x85\x93",
                                         "\xCC\x81",
                                         "e",
                                         "B",
                                         "(B)",
                                         "Paris",
                                         "x",
                                         "10^",
                                         "5",
                                         "million",
                                         "\xC4\xB0",
                                         "\xEF\xAC\x83",
                                         "one",
                                         "and",
                                         "\\text{",
                                         "**",
                                         "'",
                                         "Q: ",
                                         "\xF0\x9F\x98",
                                         "\xC3\x9F",
                                         "<<",
                                         ">>",
                                         "\\",
                                         "_",
                                         "^",
                                         "(",
                                         ")",
                                         "/",
                                         "\xE1\xBE\xB3",
                                         "\xCD\x85",
                                         "1,000",
                                         "e5",
                                         "\t"};
    static const char *const answers[] = {"Paris", "18"};
    static const sc_choice choices[] = {{"A. Paris", NULL, 0}, {"B. 18", NULL, 0}};
    const sc_collapse_context context = {
        .answers = answers, .n_answers = 2, .choices = choices, .n_choices = 2, .judge = &echo};
    semcal_error error = SEMCAL_ERROR_INIT;
    uint64_t seed = 20240607;
    for (size_t k = 0; k < sc_collapse_n_kinds; k++) {
        sc_collapse_question *question;
        check_ok(sc_collapse_question_make(&question, sc_collapse_kinds[k], &context, &error), error);
        for (size_t trial = 0; trial < 3000; trial++) {
            char text[512] = "";
            size_t n = next_random(&seed) % 12, used = 0;
            for (size_t i = 0; i < n; i++) {
                const char *piece = pieces[next_random(&seed) % (sizeof pieces / sizeof *pieces)];
                used += (size_t)snprintf(text + used, sizeof text - used, "%s", piece);
            }
            check_label(sc_collapse_kinds[k], question, text);
            check_fixed(sc_words_plain, text);
            check_fixed(sc_words_exact, text);
        }
        sc_collapse_question_free(question);
    }
}

/* A stuck model: a fifth of a megabyte of one mark is read in time about linear in its length. */
static void stuck_texts(void **state)
{
    (void)state;
    static const char *const marks[] = {"\\boxed{", "the answer is ", "A: \n",   "#### ", "<<1",    "{",
                                        "(",        "\\frac",         "$",       "1,",    "Paris ", "3/",
                                        "-",        "one ",           "\\text{", "and "};
    static const char *const answers[] = {"Paris"};
    static const sc_choice choices[] = {{"A. Paris", NULL, 0}, {"B. 18", NULL, 0}};
    const sc_collapse_context context = {
        .answers = answers, .n_answers = 1, .choices = choices, .n_choices = 2, .judge = &echo};
    semcal_error error = SEMCAL_ERROR_INIT;
    const size_t length = 200000;
    char *text = malloc(length + 16);
    assert_non_null(text);
    for (size_t m = 0; m < sizeof marks / sizeof *marks; m++) {
        size_t n = strlen(marks[m]), used = 0;
        for (; used < length; used += n) {
            memcpy(text + used, marks[m], n + 1);
        }
        for (size_t k = 0; k < sc_collapse_n_kinds; k++) {
            sc_collapse_question *question;
            sc_collapse_class class;
            check_ok(sc_collapse_question_make(&question, sc_collapse_kinds[k], &context, &error), error);
            check_ok(sc_collapse_classify(&class, question, text, &error), error);
            free(class.label);
            sc_collapse_question_free(question);
        }
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_texts),
        cmocka_unit_test(stuck_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

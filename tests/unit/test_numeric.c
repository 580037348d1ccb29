/* SPDX-License-Identifier: Apache-2.0 */
/* Collapse kind numeric: hand-written cases, each expectation thought out from the rule, not read off the program. */
#include "check.h"
#include "meaning/collapse.h"

typedef struct item {
    const char *response;
    const char *label; /* NULL: unparsed */
} item;

static const item plain_numbers[] = {
    {"18", "18"},
    {" 18\n", "18"},
    {"18.", "18"},
    {"18!", "18"},
    {"0", "0"},
    {"-0", "0"},
    {"0.0", "0"},
    {"007", "7"},
    {"3.0", "3"},
    {"3.00", "3"},
    {"3.10", "3.1"},
    {".5", "0.5"},
    {"0.50", "0.5"},
    {"5.", "5"},
    {"-5", "-5"},
    {"- 5", "5"}, /* a bullet */
    {"+5", "5"},
    {"-.5", "-0.5"},
    {"\xE2\x88\x92"
     "5",
     "-5"}, /* U+2212 */
    {"(5)", "5"},
    {"(-5)", "-5"},
    {"[5]", "5"},
    {"...5", "5"},
    {"1,000", "1000"},
    {"1,000.", "1000"},
    {"1,000.50", "1000.5"},
    {"12,345,678", "12345678"},
    {"1,00,000", "100000"}, /* the Indian way */
    {"12,34,567", "1234567"},
    {"1'000", "1000"},
    {"1\xE2\x80\x99"
     "000",
     "1000"},
    {"1\xC2\xA0"
     "000",
     "1000"}, /* no-break space */
    {"1\xE2\x80\xAF"
     "000\xE2\x80\xAF"
     "000",
     "1000000"},
    {"1{,}000", "1000"},
    {"1\\,000", "1000"},
    {"1,\\!000", "1000"},
    {"0.1", "0.1"},
    {"0.30000000000000004", "0.30000000000000004"}, /* not 0.3: nothing passes through a double */
    {"0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"},
    {"9007199254740993", "9007199254740993"}, /* 2^53 + 1 */
    {"123456789012345678901234567890", "123456789012345678901234567890"},
    {"0.000001", "0.000001"},
    {"100", "100"},
    {"1000000", "1000000"},
    {"\xEF\xBC\x91\xEF\xBC\x98", "18"},         /* fullwidth */
    {"\xD9\xA1\xD9\xA8", "18"},                 /* Arabic-Indic */
    {"\xF0\x9D\x9F\x8F\xF0\x9D\x9F\x96", "18"}, /* mathematical bold */
};

static const item fractions[] = {
    {"3/4", "0.75"},
    {"1/2", "0.5"},
    {"2/4", "0.5"},
    {"1/3", "1/3"},
    {"2/6", "1/3"},
    {"10/5", "2"},
    {"-1/3", "-1/3"},
    {"3 / 4", "0.75"},
    {"1 3/4", "1.75"},
    {"1 and 3/4", "1.75"},
    {"-1 3/4", "-1.75"},
    {"2 1/3", "7/3"},
    {"0/5", "0"},
    {"5/0", NULL},
    {"\xC2\xBD", "0.5"},            /* vulgar half */
    {"1\xC2\xBD", "1.5"},           /* not 11/2 */
    {"2 \xE2\x85\x93 cups", "7/3"}, /* 2 1/3 */
    {"3\xE2\x81\x84"
     "4",
     "0.75"}, /* fraction slash */
    {"\\frac{3}{4}", "0.75"},
    {"\\dfrac{1}{3}", "1/3"},
    {"\\frac34", "0.75"},
    {"-\\frac{3}{4}", "-0.75"},
    {"\\frac{-3}{4}", "-0.75"},
    {"1\\frac{1}{2}", "1.5"},
    {"$\\frac{1,000}{3}$", "1000/3"},
    {"1/3 of the cake", "1/3"},
    {"1/2 million", "500000"},
    {"12/25/2020", NULL},
    {"0.333333", "0.333333"}, /* a rounded third is not a third */
    {"22/7", "22/7"},
    {"1/8", "0.125"},
    {"7/1024", "0.0068359375"},
};

static const item scientific[] = {
    {"1.5e3", "1500"},
    {"1.5E+3", "1500"},
    {"2e-3", "0.002"},
    {"1.5 x 10^3", "1500"},
    {"1.5 \xC3\x97 10^3", "1500"},
    {"1.5 \\times 10^{3}", "1500"},
    {"1.5 * 10^-2", "0.015"},
    {"1.5 \\cdot 10^{-2}", "0.015"},
    {"3 \xC3\x97 10\xE2\x81\xB5", "300000"}, /* superscript five */
    {"10^6", "1000000"},
    {"10^{6}", "1000000"},
    {"6.02e23", "602000000000000000000000"},
    {"1e1000000", NULL},
    {"2^5", NULL}, /* an expression */
    {"2 million", "2000000"},
    {"-1.8 billion", "-1800000000"},
    {"3 thousand", "3000"},
    {"5 hundred thousand", "500000"},
    {"1.25 trillion dollars", "1250000000000"},
    {"$5k", "5000"},
    {"$2.5M", "2500000"},
    {"$3bn", "3000000000"},
    {"5 km", "5"},
    {"5km", "5"},
    {"5 millionaires", "5"},
    {"5e", "5"},
};

static const item units[] = {
    {"$18", "18"},
    {"$18.00", "18"},
    {"$ 18", "18"},
    {"-$5", "-5"},
    {"$-5", "-5"},
    {"\xE2\x82\xAC"
     "1,234.56",
     "1234.56"}, /* euro */
    {"\xC2\xA3"
     "20",
     "20"}, /* pound */
    {"\xE2\x82\xB9"
     "20",
     "20"}, /* rupee */
    {"US$20", "20"},
    {"Rs. 500", "500"},
    {"Rs.500", "500"},
    {"USD 20", "20"},
    {"\\$18", "18"},
    {"18 dollars", "18"},
    {"18 eggs", "18"},
    {"18eggs", "18"},
    {"18 m\xC2\xB2", "18"}, /* square metres: the exponent is no number of its own */
    {"18 cm^2", "18"},
    {"18 cm^{3}", "18"},
    {"18 m2", "18"},
    {"45\xC2\xB0", "45"},
    {"45^\\circ", "45"},
    {"45^{\\circ}", "45"},
    {"50%", "50"}, /* the number the question asks for; a percent sign is a unit */
    {"50 %", "50"},
    {"50\\%", "50"},
    {"50 percent", "50"},
    {"12.5%", "12.5"},
    {"5 kg", "5"},
    {"60 miles/hour", "60"},
    {"5th", "5"},
    {"the 5th", "5"},
    {"on the 2nd day she has 7 eggs", "7"},
    {"she has 7 eggs on the 2nd day", "7"},
    {"5'", "5"},
};

static const item hashes[] = {
    {"#### 42", "42"},
    {"####42", "42"},
    {"16 - 3 = 13\n#### 13", "13"},
    {"#### 1,450,000", "1450000"},
    {"#### -3", "-3"},
    {"#### $18", "18"},
    {"#### 18 dollars", "18"},
    {"#### 3.0", "3"},
    {"She has <<16-3=13>>13 eggs, then 13*2 = $<<13*2=26>>26.\n#### 26", "26"},
    {"1 + 1 = 2\n#### none", NULL},
    {"#### ", NULL},
    {"####", NULL},
    {"5 apples\n####", NULL}, /* the answer was announced and never came */
    {"#### 1. First step\n2 + 2 = 4\n#### 2. Second step\nso 4 * 3 = 12", "12"}, /* Markdown headings */
    {"#### Step 1: add\n2 + 2 = 4\nThe answer is 4.", "4"},
    {"#### 5\n#### 6", "6"},
    {"#### 5 or 6", NULL},
    {"#### 5 and 6", NULL},
    {"#### 5-7", NULL},
    {"#### 5 * 12", NULL},
    {"#### 5 * 12 = 60", "60"},
    {"#### 3:30", NULL},
    {"#### 5, 6", NULL},
    {"#### 18 or 18.0", "18"}, /* one value twice */
    {"#### x = 18", "18"},
    {"##### 18", "18"}, /* five marks: no GSM8K mark, but the last number is it */
};

static const item answer_lines[] = {
    {"A: 18", "18"},
    {"A:18", "18"},
    {"2 + 3 = 5\nA: 5", "5"},
    {"2 + 3 = 5\nA: 5\n", "5"},
    {"A: 3.0", "3"},
    {"A: 90,000", "90000"},
    {"A: 10.833333333333332", "10.833333333333332"},
    {"A: -6.5", "-6.5"},
    {"A: - 6.5", "-6.5"},
    {"A: -1.8 billion", "-1800000000"},
    {"**A:** 18", "18"},
    {"A: 5\nA: 6", "6"},
    {"A: none of them", NULL},
    {"1 + 1 = 2\nA: cannot say", NULL},
    {"A: She has 18 eggs.", "18"},
    {"A: 3 + 4 = 7", "7"},
    {"A: 3+4=7 eggs", "7"},
    {"A: 3 + 4", NULL},
    {"A: Let us think.\n3 + 4 = 7\nSo she has 7 eggs.", "7"},
    {"USA: 5 people in 3 cars", "3"},                        /* not a line "A:" */
    {"A: 18\n\nQ: Tom has 3 apples. How many?\nA: 3", "18"}, /* the model goes on with a question of its own */
    {"18\nQuestion: what is 2+2?\nAnswer: 4", "18"},
};

static const item boxed[] = {
    {"\\boxed{18}", "18"},
    {"$\\boxed{18}$", "18"},
    {"so \\(\\boxed{18}\\).", "18"},
    {"\\boxed{\\frac{3}{4}}", "0.75"},
    {"\\boxed{-\\frac{1}{3}}", "-1/3"},
    {"\\boxed{1{,}000}", "1000"},
    {"\\boxed{\\$18}", "18"},
    {"\\boxed{18 \\text{ dollars}}", "18"},
    {"\\boxed{18\\text{ eggs in a box}}", "18"},
    {"\\boxed{\\text{18}}", "18"},
    {"\\boxed{50\\%}", "50"},
    {"\\boxed{x = 18}", "18"},
    {"\\boxed{x=-2}", "-2"},
    {"\\boxed{5, 6}", NULL},
    {"\\boxed{(5, 6)}", NULL},
    {"\\boxed{5 \\text{ or } 6}", NULL},
    {"\\boxed{5\\pi}", NULL},
    {"\\boxed{2\\sqrt{3}}", NULL},
    {"\\boxed{\\text{impossible}}", NULL},
    {"\\boxed{}", NULL},
    {"\\boxed{2^5}", NULL},
    {"\\boxed{2^5 = 32}", "32"},
    {"\\boxed{5", "5"}, /* cut off */
    {"\\boxed{4} is wrong, it is \\boxed{5}", "5"},
    {"Answer: \\boxed{18}", "18"},
    {"\\fbox{7}", "7"},
    {"\\boxed{18} (found in 3 steps)", "18"},
    {"The final answer is: $\\boxed{7}$. I hope it is correct.", "7"},
};

static const item phrases[] = {
    {"The answer is 18.", "18"},
    {"The answer is 18", "18"},
    {"the answer is: 18", "18"},
    {"The answer is $18.", "18"},
    {"The answer is **18**.", "18"},
    {"The final answer is 18 eggs in 2 baskets.", "18"},
    {"The answer is 1,234.5.", "1234.5"},
    {"The answer is 18. She sold them for 2 days.", "18"},
    {"The answer is that she has 18 eggs.", "18"},
    {"Answer: 18", "18"},
    {"**Answer:** 18", "18"},
    {"**Answer**: 18", "18"},
    {"Answer = 18", "18"},
    {"Final answer: 18 (2 x 9)", "18"},
    {"Answer:\n18", "18"},
    {"The answer is:\n\n$18$", "18"},
    {"The answer to the question is 18.", "18"},
    {"The answer to 3 + 4 is 7.", "7"},
    {"The answer is not 18. It is 19.", "19"},
    {"The answer is about 18.", "18"},
    {"The answer is approximately 3.14.", "3.14"},
    {"The answer is \xE2\x89\x88 18", "18"},
    {"The answer is x = 18.", "18"},
    {"The answer is 3 + 4 = 7.", "7"},
    {"The answer is 3 + 4.", NULL},
    {"The answer is 5 or 6.", NULL},
    {"The answer is between 5 and 6.", "6"}, /* no number at the head: the last one */
    {"The answer is -5.", "-5"},
    {"The answer is minus 5.", "-5"},
    {"The answer is negative 5.", "-5"},
    {"The answer is 3/4.", "0.75"},
    {"The answer is 3/4 of a cup.", "0.75"},
    {"The answer is Rs. 500.", "500"},
    {"The answer is 18. The answer is 20.", "20"},
    {"So 9 * 2 = 18, and the answer is clear.", "18"}, /* no number behind the mark: back to the last number */
    {"The answer is five.", "5"},
    {"The answer is twenty-three.", "23"},
    {"The answer is minus five.", "-5"},
    {"The answer would be 18.", "18"},
    {"The answers are 3 and 4", "4"}, /* not the phrase; last number */
    {"The answer is 7:30.", NULL},
    {"The answer is 18% of the total.", "18"},
    {"The answer is $18$ dollars", "18"},
};

static const item last_numbers[] = {
    {"She makes 18 dollars.", "18"},
    {"16 - 3 - 4 = 9, 9 * 2 = 18", "18"},
    {"In 2 days she makes 18", "18"},
    {"It is 5 * 1", NULL}, /* cut off in an expression */
    {"so 3 + 4 =", NULL},
    {"so 3 + 4 = ", NULL},
    {"so 3 + 4 = 7", "7"},
    {"x=7", "7"},
    {"x=-7", "-7"},
    {"10-3", NULL},
    {"10 - 3", NULL},
    {"10 - 3 is 7", "7"},
    {"5-7 days", NULL},
    {"5\xE2\x80\x93"
     "7 days",
     NULL}, /* en dash */
    {"vitamin B12", NULL},
    {"COVID-19", NULL},
    {"COVID-19 took 5 years", "5"},
    {"4 vitamins B12", "4"},
    {"x_2 = 8", "8"},
    {"at 3:30", NULL},
    {"1.2.3", NULL},
    {"1,5", NULL},
    {"1,00", NULL},
    {"5 x 3 = 15", "15"},
    {"5 x 3", NULL},
    {"3x5", NULL},
    {"* 5 apples", "5"},
    {"- 5 apples\n- 6 pears", "6"},
    {"cost: *18*", "18"},
    {"The price \xE2\x80\x94 18", "18"},
    {"=18", "18"},
    {"", NULL},
    {" \n\t", NULL},
    {"none", NULL},
    {"I do not know.", NULL},
    {"three", "3"},
    {"Three apples.", "3"},
    {"She has three apples.", "3"},
    {"one", "1"},
    {"one dozen", "1"},
    {"no one knows", NULL},
    {"twenty-one", "21"},
    {"two hundred and five", "205"},
    {"a hundred", "100"},
    {"three million two hundred thousand", "3200000"},
    {"minus five", "-5"},
    {"ninety nine thousand nine hundred ninety nine", "99999"},
    {"someone often", NULL}, /* no words inside words */
    {"\xFF\xFE 18", "18"},   /* not UTF-8 */
    {"18 \xF0\x9F\x98\x80", "18"},
    {"\xE5\x85\xB1"
     "18\xE4\xB8\xAA",
     "18"}, /* Chinese around */
    {"nan", NULL},
    {"infinity", NULL},
    {"<<41.472+8.", NULL},
};

static void check_items(const item *items, size_t n, const char *what)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_collapse_kind *kind;
    sc_collapse_question *question;
    const sc_collapse_context context = {0};
    size_t n_wrong = 0;
    check_ok(sc_collapse_find(&kind, "numeric", &error), error);
    check_ok(sc_collapse_question_make(&question, kind, &context, &error), error);
    for (size_t i = 0; i < n; i++) {
        sc_collapse_class class;
        check_ok(sc_collapse_classify(&class, question, items[i].response, &error), error);
        const char *expected = items[i].label == NULL ? SC_COLLAPSE_UNPARSED : items[i].label;
        if (strcmp(class.label, expected) != 0 || class.parsed != (items[i].label != NULL) || class.correct) {
            print_error("%s %zu: \"%s\" is '%s', expected '%s'\n", what, i, items[i].response, class.label, expected);
            n_wrong++;
        }
        free(class.label);
    }
    sc_collapse_question_free(question);
    assert_int_equal(n_wrong, 0);
}

#define TABLE_TEST(table)                                                                                              \
    static void numeric_##table(void **state)                                                                          \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        check_items(table, sizeof table / sizeof *table, #table);                                                      \
    }
TABLE_TEST(plain_numbers)
TABLE_TEST(fractions)
TABLE_TEST(scientific)
TABLE_TEST(units)
TABLE_TEST(hashes)
TABLE_TEST(answer_lines)
TABLE_TEST(boxed)
TABLE_TEST(phrases)
TABLE_TEST(last_numbers)

/* A stuck model: very long digit strings end quickly, without a class. */
static void numeric_long_digits(void **state)
{
    (void)state;
    static char text[200001];
    memset(text, '3', sizeof text - 1);
    text[0] = '0';
    text[1] = '.';
    const item items[] = {{text, NULL}, {text + 200000 - 900, NULL}};
    char many[901];
    memset(many, '3', 900);
    many[900] = '\0';
    check_items(items, 1, "long");
    const item short_enough[] = {{many, many}};
    check_items(short_enough, 1, "900 digits");
}

/* Every pair of spellings in a group is one class; different groups are different classes; and the reference's class
 * decides what is correct. */
static void numeric_correct(void **state)
{
    (void)state;
    static const char *const groups[][6] = {
        {"1/2", "0.5", ".50", "\\frac{1}{2}", "5e-1", "2/4"},
        {"1000", "1,000", "1000.0", "1e3", "one thousand", "$1,000.00"},
        {"-3", "-3.0",
         "\xE2\x88\x92"
         "3",
         "minus three", "-6/2", "-$3"},
        {"1/3", "2/6", "\\frac13", "10/30", "\xE2\x85\x93", "333/999"},
    };
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_collapse_kind *kind;
    check_ok(sc_collapse_find(&kind, "numeric", &error), error);
    for (size_t g = 0; g < 4; g++) {
        for (size_t r = 0; r < 6; r++) {
            sc_collapse_question *question;
            const sc_collapse_context context = {.answers = &groups[g][r], .n_answers = 1};
            check_ok(sc_collapse_question_make(&question, kind, &context, &error), error);
            size_t n_references;
            assert_non_null(sc_collapse_references(question, &n_references));
            assert_int_equal(n_references, 1);
            for (size_t h = 0; h < 4; h++) {
                for (size_t s = 0; s < 6; s++) {
                    sc_collapse_class class;
                    check_ok(sc_collapse_classify(&class, question, groups[h][s], &error), error);
                    assert_true(class.parsed);
                    assert_int_equal(class.correct, g == h);
                    assert_int_equal(sc_collapse_is_correct(question, class.label), g == h);
                    free(class.label);
                }
            }
            assert_false(sc_collapse_is_correct(question, SC_COLLAPSE_UNPARSED));
            sc_collapse_question_free(question);
        }
    }
}

static void numeric_references(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_collapse_kind *kind;
    check_ok(sc_collapse_find(&kind, "numeric", &error), error);
    const char *const answers[] = {"2 + 2 = <<2+2=4>>4\n#### 4", "four", "unknown", "5"};
    const sc_collapse_context context = {.answers = answers, .n_answers = 4};
    sc_collapse_question *question;
    check_ok(sc_collapse_question_make(&question, kind, &context, &error), error);
    size_t n;
    const char *const *references = sc_collapse_references(question, &n);
    assert_int_equal(n, 2);
    assert_string_equal(references[0], "4");
    assert_string_equal(references[1], "5");
    assert_int_equal(sc_collapse_n_unparsed_references(question), 1);
    sc_collapse_class class;
    check_ok(sc_collapse_classify(&class, question, "unknown", &error), error);
    assert_false(class.parsed || class.correct); /* unparsed equals no unparsed reference */
    free(class.label);
    sc_collapse_question_free(question);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numeric_plain_numbers), cmocka_unit_test(numeric_fractions),
        cmocka_unit_test(numeric_scientific),    cmocka_unit_test(numeric_units),
        cmocka_unit_test(numeric_hashes),        cmocka_unit_test(numeric_answer_lines),
        cmocka_unit_test(numeric_boxed),         cmocka_unit_test(numeric_phrases),
        cmocka_unit_test(numeric_last_numbers),  cmocka_unit_test(numeric_long_digits),
        cmocka_unit_test(numeric_correct),       cmocka_unit_test(numeric_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

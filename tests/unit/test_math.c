/* SPDX-License-Identifier: Apache-2.0 */
/* Collapse kind math: groups of spellings of one answer; every group is one class, no two groups are. */
#include "check.h"
#include "meaning/collapse.h"

enum { MOST = 12 };

static const char *const groups[][MOST] = {
    {"\\frac{1}{2}", "\\dfrac12", "\\tfrac{1}{2}", "1/2", "0.5", ".50", "$\\frac{1}{2}$", "\\boxed{\\frac{1}{2}}",
     "The answer is $0.5$.", "x = \\frac{1}{2}", "\\frac{2}{4}", "0.5 \\text{ cm}"},
    {"-\\frac{1}{2}", "\\frac{-1}{2}", "-0.5", "-1/2", "x=-\\frac12", "\\boxed{-\\dfrac{1}{2}}"},
    {"\\frac{1}{3}", "1/3", "\\frac{2}{6}", "\\boxed{\\frac13}"},
    {"0.333"},
    {"10,000", "10000", "10{,}000", "10\\,000", "\\$10,000", "$10000$", "10^4", "\\boxed{10,\\!000}", "#### 10,000"},
    {"5", "5 \\text{ cm}", "5\\text{ cm}^2", "5 apples", "5^\\circ", "5^{\\circ}", "5\\%", "5\xC2\xB0", "5 cm", "5cm",
     "5\\,\\text{m}^{2}", "{5}"},
    {"\\sqrt{3}", "\\sqrt3", "\\sqrt 3", "\\left(\\sqrt{3}\\right)",
     "\xE2\x88\x9A"
     "3",
     "x = \\sqrt{3}"},
    {"2\\sqrt{3}", "2 \\sqrt 3", "2\\cdot\\sqrt{3}", "2*\\sqrt{3}", "2\\times\\sqrt{3}"},
    {"\\sqrt{2}\\sqrt{3}"},
    {"\\frac{\\sqrt{3}}{2}", "\\sqrt{3}/2", "\\dfrac{\\sqrt3}2", "\\frac{\\sqrt{3}}{2} \\text{ units}"},
    {"-\\frac{\\sqrt{3}}{2}", "\\frac{-\\sqrt{3}}{2}"},
    {"5\\pi", "5 \\pi", "5\\cdot\\pi", "5\xCF\x80", "\\boxed{5\\pi \\text{ square inches}}"},
    {"\\frac{\\pi}{6}", "\\pi/6"},
    {"x^2", "x^{2}", "x^ 2", "f(x) = x^2", "x\xC2\xB2"},
    {"x^{10}"},
    {"x^10"},
    {"2^{10}", "2^{ 10 }"},
    {"x+1", "x + 1", "\\left( x+1 \\right)", "y = x+1"},
    {"1+x"},
    {"2x", "2 x", "2\\cdot x"},
    {"(1,2)", "(1, 2)", "\\left(1,2\\right)", "( 1 , 2.0 )", "(\\frac{2}{2},2)"},
    {"(2,1)"},
    {"[1,2]", "\\left[1, 2\\right]"},
    {"[1,2)", "x \\in [1,2)", "\\left[1,2\\right)"},
    {"\\{1,2\\}", "\\{2, 1\\}", "1,2", "2, 1", "1 \\text{ and } 2", "2 \\text{ or } 1", "\\left\\{1,2\\right\\}",
     "x = 1, 2"},
    {"\\{1,2,3\\}"},
    {"(-\\infty, 3]", "\\left(-\\infty,3\\right]", "(-\xE2\x88\x9E,3]"},
    {"\\text{Monday}", "Monday", "monday.", "\\boxed{\\text{Monday}}", "The answer is Monday."},
    {"\\text{(B)}", "B", "(B)", "\\boxed{\\textbf{(B)}}"},
    {"3+4i", "3 + 4i", "z = 3+4i"},
    {"12_{5}", "12_5"},
    {"\\sqrt[3]{2}"},
    {"\\frac{x+1}{2}", "(x+1)/2"},
    {"\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\begin{pmatrix}1\\\\2\\end{pmatrix}"},
    {"2*3"},
    {"23", "We get\n$x=5$ and then $y = 23$."},
};

static void spellings(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_collapse_kind *kind;
    size_t n_groups = sizeof groups / sizeof *groups, n_wrong = 0;
    sc_collapse_class *firsts = calloc(n_groups, sizeof *firsts);
    sc_collapse_question *question;
    const sc_collapse_context context = {0};
    assert_non_null(firsts);
    check_ok(sc_collapse_find(&kind, "math", &error), error);
    check_ok(sc_collapse_question_make(&question, kind, &context, &error), error);
    for (size_t g = 0; g < n_groups; g++) {
        check_ok(sc_collapse_classify(&firsts[g], question, groups[g][0], &error), error);
        for (size_t s = 0; s < MOST && groups[g][s] != NULL; s++) {
            sc_collapse_class class;
            check_ok(sc_collapse_classify(&class, question, groups[g][s], &error), error);
            if (!class.parsed || strcmp(class.label, firsts[g].label) != 0) {
                print_error("\"%s\" is '%s', \"%s\" is '%s'\n", groups[g][0], firsts[g].label, groups[g][s],
                            class.label);
                n_wrong++;
            }
            free(class.label);
        }
        for (size_t h = 0; h < g; h++) {
            if (strcmp(firsts[h].label, firsts[g].label) == 0) {
                print_error("\"%s\" and \"%s\" are both '%s'\n", groups[h][0], groups[g][0], firsts[g].label);
                n_wrong++;
            }
        }
    }
    for (size_t g = 0; g < n_groups; g++) {
        free(firsts[g].label);
    }
    free(firsts);
    sc_collapse_question_free(question);
    assert_int_equal(n_wrong, 0);
}

static void nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {"", " \n ", "\\boxed{}", "\\boxed{ }", "$$", ".", "no idea\nat all"};
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_collapse_kind *kind;
    sc_collapse_question *question;
    const sc_collapse_context context = {0};
    check_ok(sc_collapse_find(&kind, "math", &error), error);
    check_ok(sc_collapse_question_make(&question, kind, &context, &error), error);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        sc_collapse_class class;
        check_ok(sc_collapse_classify(&class, question, texts[i], &error), error);
        if (class.parsed) {
            print_error("\"%s\" is '%s'\n", texts[i], class.label);
        }
        assert_false(class.parsed);
        free(class.label);
    }
    sc_collapse_question_free(question);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(spellings), cmocka_unit_test(nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

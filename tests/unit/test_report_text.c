/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of reports: nothing that comes from a model changes a page, a terminal or a script. */
#include "check.h"

#include "experiment/report_figure.h"
#include "experiment/report_text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef void (*put)(sc_report_text *out, const char *text, size_t most);

static void check_put(put function, const char *text, size_t most, const char *expected)
{
    sc_report_text out;
    sc_report_text_init(&out, NULL);
    function(&out, text, most);
    assert_int_equal(out.status, SEMCAL_OK);
    assert_string_equal(out.text.data != NULL ? out.text.data : "", expected);
    sc_report_text_free(&out);
}

static void plain_texts_pass(void **state)
{
    (void)state;
    check_put(sc_report_put_visible, "", 0, "");
    check_put(sc_report_put_visible, "Z\xc3\xbcrich <42>", 0, "Z\xc3\xbcrich <42>");
    check_put(sc_report_put_html, "a < b & c > \"d\" 'e'", 0, "a &lt; b &amp; c &gt; &quot;d&quot; &#39;e&#39;");
}

static void controls_become_visible(void **state)
{
    (void)state;
    check_put(sc_report_put_visible, "\x1b[31mred\x07\n\t\x7f", 0,
              "\xe2\x90\x9b[31mred\xe2\x90\x87\xe2\x90\x8a\xe2\x90\x89\xe2\x90\xa1");
    check_put(sc_report_put_visible,
              "\xc2\x9b"
              "2J",
              0,
              "\xef\xbf\xbd"
              "2J"); /* C1 control */
    check_put(sc_report_put_visible,
              "\xe2\x80\xae"
              "abc\xe2\x81\xa6",
              0,
              "\xef\xbf\xbd"
              "abc\xef\xbf\xbd");
    check_put(sc_report_put_visible, "a\xff\xc0z", 0, "a\xef\xbf\xbd\xef\xbf\xbdz");          /* no UTF-8 */
    check_put(sc_report_put_html, "\xef\xbf\xbe\xef\xb7\x90", 0, "\xef\xbf\xbd\xef\xbf\xbd"); /* noncharacters */
}

static void long_texts_are_cut_between_characters(void **state)
{
    (void)state;
    check_put(sc_report_put_visible, "\xc3\xa4\xc3\xb6\xc3\xbc", 2, "\xc3\xa4\xc3\xb6\xe2\x80\xa6");
    check_put(sc_report_put_visible, "\xc3\xa4\xc3\xb6", 2, "\xc3\xa4\xc3\xb6");
    check_put(sc_report_put_html, "<<<", 1, "&lt;\xe2\x80\xa6");
}

static void put_gnuplot(sc_report_text *out, const char *text, size_t most)
{
    (void)most;
    sc_report_put_gnuplot(out, text);
}

static void gnuplot_strings_stay_strings(void **state)
{
    (void)state;
    check_put(put_gnuplot, "it's `date` \"x\" \\n @m", 0, "'it''s `date` \"x\" \\n @m'");
    check_put(put_gnuplot, "'\nsystem('x')", 0, "'''\xe2\x90\x8asystem(''x'')'");
}

static void long_formats_are_whole(void **state)
{
    (void)state;
    sc_report_text out;
    sc_report_text_init(&out, NULL);
    char *text = malloc(5001);
    memset(text, 'x', 5000);
    text[5000] = '\0';
    sc_report_put(&out, "<%s>", text);
    assert_int_equal(out.text.length, 5002);
    assert_int_equal(out.text.data[5001], '>');
    free(text);
    sc_report_text_free(&out);
}

static void shares(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {{.0314, ".031"},  {-.0455, "-.045"}, {1, "1.000"},          {0, ".000"},
                 {-.0001, ".000"}, {10, "10.000"},    {NAN, "\xe2\x80\x93"}, {INFINITY, "\xe2\x80\x93"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char t[16];
        assert_string_equal(sc_report_share(t, cases[i].value), cases[i].text);
    }
}

static void csv_fields(void **state)
{
    (void)state;
    sc_report_text out;
    sc_report_text_init(&out, NULL);
    sc_report_put_csv(&out, "a,\"b\"\nc", true);
    sc_report_put_csv(&out, "", false);
    sc_report_put_csv_real(&out, .1);
    sc_report_put_csv_real(&out, NAN);
    assert_string_equal(out.text.data, "\"a,\"\"b\"\"\nc\",,0.1,");
    sc_report_text_free(&out);
}

/* What gnuplot writes becomes one spelling of colours and names of the figure's own. */
static void pictures_are_dressed(void **state)
{
    (void)state;
    static const char raw[] =
        "<?xml version=\"1.0\"?>\n<svg width=\"1\">\n<title>Gnuplot</title><desc>Produced by x</desc>"
        "<g id=\"a\" fill='rgb(  0, 114, 178)'><use xlink:href='#a'/><path clip-path=\"url(#c)\" "
        "stroke=\"rgb(1,2,300)\"/>"
        "<g font-family=\"sans-serif:Bold\"/></g></svg>";
    const sc_report_figure figure = {.name = (char *)(uintptr_t) "f",
                                     .title = (char *)(uintptr_t) "A <title>",
                                     .reading = (char *)(uintptr_t) "read"};
    sc_report_text alone;
    char *inside = NULL;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_report_text_init(&alone, &error);
    assert_int_equal(sc_report_svg(&alone, &inside, raw, &figure, 7, &error), SEMCAL_OK);
    static const char *const parts[] = {"<title>A &lt;title&gt;</title>",
                                        "id=\"f7-a\"",
                                        "href='#f7-a'",
                                        "url(#f7-c)",
                                        "fill='#0072b2'",
                                        "rgb(1,2,300)",
                                        "font-family=\"sans-serif\" font-weight=\"bold\""};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        assert_non_null(strstr(inside, parts[i]));
        assert_non_null(strstr(alone.text.data, parts[i]));
    }
    assert_null(strstr(inside, "Gnuplot"));
    assert_null(strstr(inside, "Produced"));
    assert_null(strstr(inside, "<?xml"));
    assert_non_null(strstr(alone.text.data, "prefers-color-scheme"));
    free(inside);
    sc_report_text_free(&alone);

    sc_report_text_init(&alone, &error);
    check_error(sc_report_svg(&alone, &inside, "no picture", &figure, 1, &error), error, SEMCAL_E_DATA, "f.svg");
    sc_report_text_free(&alone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_texts_pass),
        cmocka_unit_test(controls_become_visible),
        cmocka_unit_test(long_texts_are_cut_between_characters),
        cmocka_unit_test(gnuplot_strings_stay_strings),
        cmocka_unit_test(long_formats_are_whole),
        cmocka_unit_test(shares),
        cmocka_unit_test(csv_fields),
        cmocka_unit_test(pictures_are_dressed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

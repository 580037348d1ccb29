/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "language/utf8.h"

static void finds_the_first_bad_byte(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t length, bad; /* bad == length: valid */
    } cases[] = {
        {"", 0, 0},
        {"abc", 3, 3},
        {"a\0b", 3, 3},
        {"\xC3\xA9", 2, 2},
        {"a\xFF", 2, 1},
        {"ab\x80", 3, 2},        /* continuation without a lead */
        {"\xC0\x80", 2, 0},      /* overlong NUL */
        {"\xE0\x9F\xBF", 3, 0},  /* overlong */
        {"x\xED\xA0\x80", 4, 1}, /* surrogate */
        {"\xED\x9F\xBF\xEE\x80\x80", 6, 6},
        {"\xF4\x8F\xBF\xBF", 4, 4}, /* U+10FFFF */
        {"\xF4\x90\x80\x80", 4, 0},
        {"\xF5\x80\x80\x80", 4, 0},
        {"\xF0\x8F\xBF\xBF", 4, 0},
        {"ok\xE2\x82", 4, 2}, /* cut short */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t bad = cases[i].length;
        assert_int_equal(sc_utf8_valid(&bad, cases[i].text, cases[i].length), cases[i].bad == cases[i].length);
        assert_int_equal(bad, cases[i].bad);
    }
    semcal_error error = SEMCAL_ERROR_INIT;
    check_error(sc_utf8_check("ab\xFE", 3, &error), error, SEMCAL_E_DATA, "byte 2 (0xFE)");
}

static void every_scalar_value_round_trips(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x110000; c++) {
        if (c >= 0xD800 && c < 0xE000) {
            continue;
        }
        char bytes[4];
        const size_t n = sc_utf8_encode(bytes, c);
        uint32_t back = 0;
        assert_int_equal(sc_utf8_decode(&back, bytes, n), n);
        assert_int_equal(back, c);
        assert_int_equal(sc_utf8_decode(&back, bytes, n - 1), 0);
    }
}

static void check_sanitize(const char *text, size_t length, sc_utf8_nul nul, const char *expected, size_t n)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_text out = {0};
    check_ok(sc_utf8_sanitize(&out, text, length, nul, &error), error);
    assert_int_equal(out.length, n);
    assert_memory_equal(out.data, expected, n);
    assert_true(sc_utf8_valid(NULL, out.data, out.length));
    sc_text_free(&out);
}

#define R "\xEF\xBF\xBD"

/* The example of the Unicode standard, table 3-11, and its neighbours. */
static void repairs_by_maximal_subparts(void **state)
{
    (void)state;
    check_sanitize("\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64", 13, SC_UTF8_KEEP_NUL,
                   "a" R R R "b" R "c" R R "d", 22);
    check_sanitize("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", 9, SC_UTF8_KEEP_NUL, R R R R R R R R "A", 25);
    check_sanitize("a\0b", 3, SC_UTF8_KEEP_NUL, "a\0b", 3);
    check_sanitize("a\0b", 3, SC_UTF8_REPLACE_NUL, "a" R "b", 5);
    check_sanitize("", 0, SC_UTF8_REPLACE_NUL, "", 0);
    check_sanitize("\xE6\x9D\xB1\xE4\xBA", 5, SC_UTF8_REPLACE_NUL, "\xE6\x9D\xB1" R, 6);
}

static void normal_forms_and_case(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    static const struct {
        sc_utf8_form form;
        const char *text, *expected;
    } cases[] = {
        {SC_UTF8_NFC, "e\xCC\x81", "\xC3\xA9"},
        {SC_UTF8_NFD, "\xC3\xA9", "e\xCC\x81"},
        {SC_UTF8_NFC, "\xE2\x84\xAB", "\xC3\x85"},                 /* Angstrom sign */
        {SC_UTF8_NFC, "\xE0\xA5\x98", "\xE0\xA4\x95\xE0\xA4\xBC"}, /* composition exclusion U+0958 */
        {SC_UTF8_NFKC, "\xEF\xAC\x81\xE2\x91\xA0", "fi1"},
        {SC_UTF8_NFKD, "\xC7\x84", "DZ\xCC\x8C"},
        {SC_UTF8_NFC, "plain", "plain"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sc_text out = {0};
        check_ok(sc_utf8_normalize(&out, cases[i].text, strlen(cases[i].text), cases[i].form, &error), error);
        assert_string_equal(out.data, cases[i].expected);
        sc_text_free(&out);
    }
    sc_text out = {0};
    check_ok(sc_utf8_lower(&out, "\xC4\xB0\xCE\x91\xCE\xA3 \xE1\xBA\x9E", 10, &error), error);
    assert_string_equal(out.data, "i\xCC\x87\xCE\xB1\xCF\x83 \xC3\x9F");
    check_error(sc_utf8_normalize(&out, "\xFF", 1, SC_UTF8_NFC, &error), error, SEMCAL_E_DATA, "byte 0");
    sc_text_free(&out);
}

static void character_classes(void **state)
{
    (void)state;
    assert_true(sc_utf8_is_space(0x3000) && sc_utf8_is_space(0x85) && !sc_utf8_is_space(0x180E) &&
                !sc_utf8_is_space(0x200B) && !sc_utf8_is_space(0x1C));
    assert_true(sc_utf8_is_word('_') && sc_utf8_is_word(0x24B6) && sc_utf8_is_word(0x301) && sc_utf8_is_word(0x200D) &&
                !sc_utf8_is_word(0xB2) && !sc_utf8_is_word('-'));
    assert_true(sc_utf8_is_number(0xBD) && sc_utf8_is_number(0x2160) && !sc_utf8_is_number('a'));
    assert_true(sc_utf8_is_punctuation('!') && !sc_utf8_is_punctuation('+') && sc_utf8_is_punctuation(0x3001));
    assert_true(sc_utf8_is_letter(0x1C5) && sc_utf8_is_mark(0x20E3) && !sc_utf8_is_letter(0x20E3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_first_bad_byte),    cmocka_unit_test(every_scalar_value_round_trips),
        cmocka_unit_test(repairs_by_maximal_subparts), cmocka_unit_test(normal_forms_and_case),
        cmocka_unit_test(character_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

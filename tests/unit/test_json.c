/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "formats/json.h"

#include <unistd.h>

static semcal_status parse(json_t **root, const char *text, semcal_error *error)
{
    return sc_json_parse(root, text, strlen(text), "t.json", error);
}

static void malformed_input(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    json_t *root;
    const struct {
        const char *text, *message;
    } cases[] = {
        {"", "t.json:1:1: "},
        {"{\"a\": 1,\n \"b\": }", "t.json:2:7: unexpected token near '}'"},
        {"{\"a\": 1, \"a\": 2}", "t.json:1:12: duplicate object key"},
        {"[1, 2", "t.json:1:"},
        {"[1] 2", "t.json:1:5: end of file expected"},
        {"[NaN]", "t.json:1:4: invalid token"},
        {"[\"\xff\"]", "t.json:1:"},
        {"[\"\\ud800\"]", "t.json:1:"},
        {"[01]", "t.json:1:"},
        {"[99999999999999999999]", "too big integer"},
        {"[1e999]", "real number overflow"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_error(parse(&root, cases[i].text, &error), error, SEMCAL_E_DATA, cases[i].message);
        assert_null(root);
    }
    check_error(sc_json_read(&root, "/nonexistent.json", &error), error, SEMCAL_E_DATA, "/nonexistent.json");
}

static void members(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    json_t *root;
    check_ok(
        parse(&root,
              "{\"n\": 7, \"x\": 0.5, \"yes\": true, \"t\": \"a\\u0000b\", \"s\": \"plain\", \"o\": {}, \"l\": [1],"
              " \"z\": null}",
              &error),
        error);
    int64_t n = -1;
    double x = -1;
    bool yes = false;
    const char *text = NULL;
    size_t length = 0;
    const json_t *value = NULL;
    check_ok(sc_json_get_int(&n, root, "n", true, "f", &error), error);
    assert_true(n == 7);
    check_ok(sc_json_get_int(&n, root, "absent", false, "f", &error), error);
    check_ok(sc_json_get_int(&n, root, "z", false, "f", &error), error);
    assert_true(n == 7);
    check_ok(sc_json_get_real(&x, root, "n", true, "f", &error), error);
    check_close(x, 7, 0);
    check_ok(sc_json_get_bool(&yes, root, "yes", true, "f", &error), error);
    assert_true(yes);
    check_ok(sc_json_get_text(&text, &length, root, "t", true, "f", &error), error);
    assert_int_equal(length, 3);
    assert_memory_equal(text, "a\0b", 4);
    check_ok(sc_json_get_text(&text, NULL, root, "s", true, "f", &error), error);
    assert_string_equal(text, "plain");
    check_ok(sc_json_get_object(&value, root, "o", true, "f", &error), error);
    check_ok(sc_json_get_array(&value, root, "l", true, "f", &error), error);
    assert_int_equal(json_array_size(value), 1);
    check_error(sc_json_get_int(&n, root, "x", true, "f", &error), error, SEMCAL_E_DATA,
                "f: x: must be an integer, is a number");
    check_error(sc_json_get_int(&n, root, "absent", true, "f", &error), error, SEMCAL_E_DATA,
                "f: absent: must be an integer, is missing");
    check_error(sc_json_get_real(&x, root, "s", true, "f", &error), error, SEMCAL_E_DATA, "a number, is a text");
    check_error(sc_json_get_bool(&yes, root, "n", true, "f", &error), error, SEMCAL_E_DATA, "true or false, is an int");
    check_error(sc_json_get_text(&text, NULL, root, "t", true, "f", &error), error, SEMCAL_E_DATA, "NUL");
    check_error(sc_json_get_text(&text, NULL, root, "l", true, "f", &error), error, SEMCAL_E_DATA, "is a list");
    check_error(sc_json_get_object(&value, root, "l", true, "f", &error), error, SEMCAL_E_DATA, "an object, is a list");
    check_error(sc_json_get_array(&value, root, "z", true, "f", &error), error, SEMCAL_E_DATA, "a list, is null");
    check_error(sc_json_get_int(&n, value, "n", true, "f", &error), error, SEMCAL_E_DATA, "f: must be an object");
    json_decref(root);
}

static void lines(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_true(fputs("{\"a\": 1}\r\n\n  \n[2]\n{\"a\": \n3", file) >= 0);
    rewind(file);
    sc_json_lines reader;
    json_t *value;
    check_ok(sc_json_lines_wrap(&reader, file, "t.jsonl", &error), error);
    check_ok(sc_json_lines_next(&value, &reader, &error), error);
    assert_int_equal(reader.line, 1);
    assert_string_equal(reader.buffer, "{\"a\": 1}");
    json_decref(value);
    check_ok(sc_json_lines_next(&value, &reader, &error), error);
    assert_int_equal(reader.line, 4);
    assert_true(json_is_array(value));
    json_decref(value);
    check_error(sc_json_lines_next(&value, &reader, &error), error, SEMCAL_E_DATA, "t.jsonl:5:6: ");
    check_ok(sc_json_lines_next(&value, &reader, &error), error);
    assert_true(json_is_integer(value));
    json_decref(value);
    check_ok(sc_json_lines_next(&value, &reader, &error), error);
    assert_null(value);
    sc_json_lines_close(&reader);
    (void)fclose(file);
    check_error(sc_json_lines_open(&reader, "/nonexistent.jsonl", &error), error, SEMCAL_E_DATA, "cannot open");
    check_ok(sc_json_lines_open(&reader, "/", &error), error);
    check_error(sc_json_lines_next(&value, &reader, &error), error, SEMCAL_E_DATA, "/: cannot read");
    sc_json_lines_close(&reader);
}

static void written_values_read_back(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    json_t *value = json_pack("{s:o, s:o, s:s%}", "x", sc_json_real_or_null(.1), "nan",
                              sc_json_real_or_null((double)NAN), "t", "a\0\xc3\xa9", (size_t)4);
    assert_non_null(value);
    sc_text out = {0};
    check_ok(sc_json_append(&out, value, false, &error), error);
    assert_non_null(strstr(out.data, "\"nan\":null"));
    json_t *again;
    check_ok(parse(&again, out.data, &error), error);
    assert_true(json_equal(value, again));
    sc_text_free(&out);
    json_decref(value);
    json_decref(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_input),
        cmocka_unit_test(members),
        cmocka_unit_test(lines),
        cmocka_unit_test(written_values_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

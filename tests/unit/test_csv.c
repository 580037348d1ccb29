/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "formats/csv.h"

static semcal_status parse(sc_csv *csv, const char *text, semcal_error *error)
{
    return sc_csv_parse(csv, text, strlen(text), "t.csv", error);
}

static void cell_is(const sc_csv *csv, size_t row, size_t column, const char *text)
{
    const sc_csv_cell *cell = sc_csv_at(csv, row, column);
    assert_string_equal(cell->text, text);
    assert_int_equal(cell->length, strlen(text));
}

static void quotes_and_breaks(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_csv csv;
    check_ok(parse(&csv, "\xEF\xBB\xBFid,\"te\"\"xt\"\r\n1,\"a, \"\"b\"\"\r\nc\"\r\n\r\n2,\n\"\",plain text \n3,\"\"",
                   &error),
             error);
    assert_int_equal(csv.n_columns, 2);
    assert_int_equal(csv.n_rows, 4);
    assert_string_equal(csv.header[0].text, "id");
    assert_string_equal(csv.header[1].text, "te\"xt");
    cell_is(&csv, 0, 0, "1");
    cell_is(&csv, 0, 1, "a, \"b\"\r\nc");
    cell_is(&csv, 1, 0, "2");
    cell_is(&csv, 1, 1, "");
    cell_is(&csv, 2, 0, "");
    cell_is(&csv, 2, 1, "plain text ");
    cell_is(&csv, 3, 1, "");
    const size_t lines[4] = {2, 5, 6, 7};
    assert_memory_equal(csv.line, lines, sizeof lines);
    sc_csv_free(&csv);
}

static void last_line_needs_no_break(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_csv csv;
    const char *const texts[] = {"a,b\n1,2", "a,b\n1,2\n", "a,b\r\n1,2\r\n", "\n\na,b\n\n1,2\n\n", "a,b\r\n1,\"2\"\r"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        check_ok(parse(&csv, texts[i], &error), error);
        assert_int_equal(csv.n_rows, 1);
        cell_is(&csv, 0, 1, "2");
        sc_csv_free(&csv);
    }
    check_ok(parse(&csv, "a\n", &error), error);
    assert_int_equal(csv.n_rows, 0);
    sc_csv_free(&csv);
    check_ok(parse(&csv, "a,b\n,", &error), error);
    cell_is(&csv, 0, 1, "");
    sc_csv_free(&csv);
}

static void malformed_input(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_csv csv;
    check_error(parse(&csv, "", &error), error, SEMCAL_E_DATA, "t.csv: empty");
    check_error(parse(&csv, "\n\r\n", &error), error, SEMCAL_E_DATA, "t.csv: empty");
    check_error(parse(&csv, "a,b\n1\n", &error), error, SEMCAL_E_DATA, "t.csv:2: 1 fields where the header has 2");
    check_error(parse(&csv, "a,b\n1,2\n1,2,3\n", &error), error, SEMCAL_E_DATA, "t.csv:3: 3 fields");
    check_error(parse(&csv, "a\n\"x\ny\n", &error), error, SEMCAL_E_DATA, "t.csv:2: a quoted field begins");
    check_error(parse(&csv, "a\n\"x\ny\"z\n", &error), error, SEMCAL_E_DATA, "t.csv:3: text after a closing quote");
    check_error(parse(&csv, "a,b\n1, \"x, y\"\n", &error), error, SEMCAL_E_DATA, "t.csv:2: a quote inside");
    check_error(parse(&csv, "a\n1\r2\n", &error), error, SEMCAL_E_DATA, "t.csv:2: a carriage return");
    check_error(parse(&csv, "a,b,a\n", &error), error, SEMCAL_E_DATA, "columns 1 and 3 are both named 'a'");
    check_error(sc_csv_parse(&csv, "a\n\0\n", 4, "t.csv", &error), error, SEMCAL_E_DATA, "t.csv:2: a NUL byte");
    check_error(sc_csv_read(&csv, "/nonexistent/x.csv", &error), error, SEMCAL_E_DATA, "/nonexistent/x.csv");
}

static void columns_and_numbers(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_csv csv;
    check_ok(parse(&csv, "confidence,correct\n.5,1\n 1e-3 ,0\nx,1\nnan,1\n,1\n1 2,1\n", &error), error);
    size_t column;
    check_ok(sc_csv_column(&column, &csv, "correct", &error), error);
    assert_int_equal(column, 1);
    check_error(sc_csv_column(&column, &csv, "confidense", &error), error, SEMCAL_E_DATA, "did you mean 'confidence'?");
    check_error(sc_csv_column(&column, &csv, "zzz", &error), error, SEMCAL_E_DATA, "confidence, correct");
    double value;
    check_ok(sc_csv_real(&value, &csv, 0, 0, &error), error);
    check_close(value, .5, 0);
    check_ok(sc_csv_real(&value, &csv, 1, 0, &error), error);
    check_close(value, 1e-3, 0);
    for (size_t row = 2; row < 6; row++) {
        char where[64];
        (void)snprintf(where, sizeof where, "t.csv:%zu: confidence: '", row + 2);
        check_error(sc_csv_real(&value, &csv, row, 0, &error), error, SEMCAL_E_DATA, where);
    }
    sc_csv_free(&csv);
}

static void written_fields_read_back(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    const char *const cells[] = {"", "x", "a,b", "say \"hi\"", "two\r\nlines", " blanks "};
    sc_text out = {0};
    check_ok(sc_text_append(&out, "a,b,c,d,e,f\n", 12, &error), error);
    for (size_t i = 0; i < 6; i++) {
        check_ok(sc_csv_append(&out, cells[i], strlen(cells[i]), i == 0, &error), error);
    }
    check_ok(sc_text_append(&out, "\n", 1, &error), error);
    sc_csv csv;
    check_ok(parse(&csv, out.data, &error), error);
    for (size_t i = 0; i < 6; i++) {
        cell_is(&csv, 0, i, cells[i]);
    }
    sc_csv_free(&csv);
    sc_text_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotes_and_breaks),        cmocka_unit_test(last_line_needs_no_break),
        cmocka_unit_test(malformed_input),          cmocka_unit_test(columns_and_numbers),
        cmocka_unit_test(written_fields_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

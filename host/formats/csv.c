/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/csv.h"

#include "base/file.h"
#include "base/nearest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The cursor unescapes in place: what is written never overtakes what is read. */
typedef struct csv_parser {
    sc_csv *csv;
    char *read, *end, *write;
    size_t line;
    size_t n_cells, cells_capacity, lines_capacity;
    semcal_error *error;
} csv_parser;

static semcal_status csv_fail(const csv_parser *parser, size_t line, const char *what)
{
    return sc_error_set(parser->error, SEMCAL_E_DATA, "%s:%zu: %s", parser->csv->path, line, what);
}

static semcal_status read_quoted(csv_parser *parser)
{
    size_t opened = parser->line;
    parser->read++;
    for (;;) {
        if (parser->read == parser->end) {
            return csv_fail(parser, opened, "a quoted field begins on this line and is never closed");
        }
        char c = *parser->read++;
        if (c == '"') {
            if (parser->read < parser->end && *parser->read == '"') {
                parser->read++;
            } else {
                break;
            }
        } else if (c == '\n') {
            parser->line++;
        }
        *parser->write++ = c;
    }
    if (parser->read < parser->end && *parser->read != ',' && *parser->read != '\n' && *parser->read != '\r') {
        return csv_fail(parser, parser->line, "text after a closing quote; a quote inside a field is written twice");
    }
    return SEMCAL_OK;
}

static semcal_status read_plain(csv_parser *parser)
{
    while (parser->read < parser->end && *parser->read != ',' && *parser->read != '\n' && *parser->read != '\r') {
        if (*parser->read == '"') {
            return csv_fail(parser, parser->line, "a quote inside an unquoted field; quote the whole field");
        }
        *parser->write++ = *parser->read++;
    }
    return SEMCAL_OK;
}

/* Reads one field and what follows it; *more tells whether the row goes on. */
static semcal_status read_field(csv_parser *parser, bool *more)
{
    semcal_status status = sc_memory_grow(&parser->csv->cells, &parser->cells_capacity, parser->n_cells + 1,
                                          sizeof *parser->csv->cells, parser->error);
    if (status != SEMCAL_OK) {
        return status;
    }
    char *begin = parser->write;
    bool quoted = parser->read < parser->end && *parser->read == '"';
    status = quoted ? read_quoted(parser) : read_plain(parser);
    if (status != SEMCAL_OK) {
        return status;
    }
    *more = false;
    if (parser->read < parser->end) {
        char c = *parser->read++;
        *more = c == ',';
        if (c == '\r') {
            if (parser->read < parser->end && *parser->read != '\n') {
                return csv_fail(parser, parser->line, "a carriage return that no line feed follows");
            }
            parser->read += parser->read < parser->end;
        }
        parser->line += c != ',';
    }
    parser->csv->cells[parser->n_cells++] = (sc_csv_cell){begin, (size_t)(parser->write - begin)};
    /* The separator (or the NUL behind the file) makes room for the terminator. */
    *parser->write++ = '\0';
    return SEMCAL_OK;
}

static bool skip_empty_line(csv_parser *parser)
{
    size_t n = 0;
    if (parser->read < parser->end && *parser->read == '\n') {
        n = 1;
    } else if (parser->read + 1 < parser->end && parser->read[0] == '\r' && parser->read[1] == '\n') {
        n = 2;
    }
    parser->read += n;
    parser->line += n > 0;
    return n > 0;
}

static semcal_status finish_row(csv_parser *parser, size_t begin, size_t line)
{
    sc_csv *csv = parser->csv;
    size_t n = parser->n_cells - begin;
    if (csv->n_columns == 0) {
        csv->n_columns = n;
        return SEMCAL_OK;
    }
    if (n != csv->n_columns) {
        return sc_error_set(parser->error, SEMCAL_E_DATA, "%s:%zu: %zu fields where the header has %zu", csv->path,
                            line, n, csv->n_columns);
    }
    semcal_status status =
        sc_memory_grow(&csv->line, &parser->lines_capacity, csv->n_rows + 1, sizeof *csv->line, parser->error);
    if (status == SEMCAL_OK) {
        csv->line[csv->n_rows++] = line;
    }
    return status;
}

static semcal_status split_header(csv_parser *parser)
{
    sc_csv *csv = parser->csv;
    if (csv->n_columns == 0) {
        return sc_error_set(parser->error, SEMCAL_E_DATA, "%s: empty, a header line is needed", csv->path);
    }
    csv->header = sc_memory_alloc(csv->n_columns, sizeof *csv->header, parser->error);
    if (csv->header == NULL) {
        return SEMCAL_E_MEMORY;
    }
    memcpy(csv->header, csv->cells, csv->n_columns * sizeof *csv->header);
    memmove(csv->cells, csv->cells + csv->n_columns, csv->n_rows * csv->n_columns * sizeof *csv->cells);
    for (size_t i = 0; i < csv->n_columns; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(csv->header[i].text, csv->header[j].text) == 0) {
                return sc_error_set(parser->error, SEMCAL_E_DATA, "%s:1: columns %zu and %zu are both named '%s'",
                                    csv->path, j + 1, i + 1, csv->header[i].text);
            }
        }
    }
    return SEMCAL_OK;
}

/* Takes over csv->data, which has a NUL behind its `length` bytes. */
static semcal_status parse_data(sc_csv *csv, size_t length, semcal_error *error)
{
    csv_parser parser = {
        .csv = csv, .read = csv->data, .end = csv->data + length, .write = csv->data, .line = 1, .error = error};
    if (length >= 3 && memcmp(csv->data, "\xEF\xBB\xBF", 3) == 0) {
        parser.read += 3;
    }
    const char *nul = memchr(csv->data, '\0', length);
    if (nul != NULL) {
        size_t line = 1;
        for (const char *c = csv->data; c < nul; c++) {
            line += *c == '\n';
        }
        return csv_fail(&parser, line, "a NUL byte; is this a text file?");
    }
    while (parser.read < parser.end) {
        if (skip_empty_line(&parser)) {
            continue;
        }
        size_t begin = parser.n_cells, line = parser.line;
        bool more = true;
        while (more) {
            semcal_status status = read_field(&parser, &more);
            if (status != SEMCAL_OK) {
                return status;
            }
        }
        semcal_status status = finish_row(&parser, begin, line);
        if (status != SEMCAL_OK) {
            return status;
        }
    }
    return split_header(&parser);
}

semcal_status sc_csv_parse(sc_csv *csv, const char *bytes, size_t length, const char *name, semcal_error *error)
{
    *csv = (sc_csv){0};
    csv->path = sc_memory_strdup(name, error);
    csv->data = sc_memory_strndup(bytes, length, error);
    semcal_status status = csv->path == NULL || csv->data == NULL ? SEMCAL_E_MEMORY : parse_data(csv, length, error);
    if (status != SEMCAL_OK) {
        sc_csv_free(csv);
    }
    return status;
}

semcal_status sc_csv_read(sc_csv *csv, const char *path, semcal_error *error)
{
    *csv = (sc_csv){0};
    size_t length = 0;
    semcal_status status = sc_file_read(&csv->data, &length, path, error);
    if (status == SEMCAL_OK) {
        csv->path = sc_memory_strdup(path, error);
        status = csv->path == NULL ? SEMCAL_E_MEMORY : parse_data(csv, length, error);
    }
    if (status != SEMCAL_OK) {
        sc_csv_free(csv);
    }
    return status;
}

void sc_csv_free(sc_csv *csv)
{
    free(csv->path);
    free(csv->header);
    free(csv->cells);
    free(csv->line);
    free(csv->data);
    *csv = (sc_csv){0};
}

semcal_status sc_csv_column(size_t *column, const sc_csv *csv, const char *name, semcal_error *error)
{
    sc_text all = {0};
    semcal_status status = SEMCAL_E_DATA;
    const char **names = sc_memory_alloc(csv->n_columns, sizeof *names, error);
    if (names == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < csv->n_columns; i++) {
        names[i] = csv->header[i].text;
        if (strcmp(names[i], name) == 0) {
            *column = i;
            status = SEMCAL_OK;
            goto done;
        }
        (void)sc_text_printf(&all, error, "%s%s", i > 0 ? ", " : "", names[i]);
    }
    const char *near = sc_nearest_name(name, names, csv->n_columns);
    if (near != NULL) {
        sc_error_set(error, status, "%s:1: no column '%s', did you mean '%s'?", csv->path, name, near);
    } else {
        sc_error_set(error, status, "%s:1: no column '%s'; the header has %s", csv->path, name, all.data);
    }
done:
    free(names);
    sc_text_free(&all);
    return status;
}

const sc_csv_cell *sc_csv_at(const sc_csv *csv, size_t row, size_t column)
{
    return &csv->cells[row * csv->n_columns + column];
}

semcal_status sc_csv_real(double *value, const sc_csv *csv, size_t row, size_t column, semcal_error *error)
{
    const char *text = sc_csv_at(csv, row, column)->text;
    char *end = NULL;
    *value = strtod(text, &end);
    if (end != text) {
        end += strspn(end, " \t");
    }
    if (end == text || *end != '\0' || !isfinite(*value)) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s:%zu: %s: '%s' is not a finite number", csv->path, csv->line[row],
                            csv->header[column].text, text);
    }
    return SEMCAL_OK;
}

semcal_status sc_csv_append(sc_text *out, const char *bytes, size_t length, bool first, semcal_error *error)
{
    semcal_status status = first ? SEMCAL_OK : sc_text_append(out, ",", 1, error);
    bool quote = length == 0 && first;
    for (size_t i = 0; i < length && !quote; i++) {
        quote = strchr("\",\r\n", bytes[i]) != NULL;
    }
    if (!quote) {
        return status == SEMCAL_OK ? sc_text_append(out, bytes, length, error) : status;
    }
    if (status == SEMCAL_OK) {
        status = sc_text_append(out, "\"", 1, error);
    }
    for (size_t i = 0; i < length && status == SEMCAL_OK; i++) {
        status = bytes[i] == '"' ? sc_text_append(out, "\"\"", 2, error) : sc_text_append(out, bytes + i, 1, error);
    }
    return status == SEMCAL_OK ? sc_text_append(out, "\"", 1, error) : status;
}

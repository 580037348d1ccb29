/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CSV as RFC 4180 has it: quoted fields, doubled quotes, line breaks inside quotes, CRLF or LF, a header line.
 *
 * The whole file is one table. Strict where leniency would hide a broken file: every row has as many fields as the
 * header, a quote inside an unquoted field or text after a closing quote is an error. Empty lines are skipped.
 */
#ifndef SC_FORMATS_CSV_H
#define SC_FORMATS_CSV_H

#include "base/error.h"
#include "base/memory.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct sc_csv_cell {
    const char *text; /* bytes followed by a NUL; the bytes themselves hold none */
    size_t length;
} sc_csv_cell;

/* A table of n_rows x n_columns cells below a header. Free with sc_csv_free. */
typedef struct sc_csv {
    char *path; /* for messages */
    size_t n_columns, n_rows;
    sc_csv_cell *header; /* [n_columns] */
    sc_csv_cell *cells;  /* [n_rows, n_columns] */
    size_t *line;        /* [n_rows] line of the file on which the row begins, from 1 */
    char *data;          /* what the cells point into */
} sc_csv;

/* Reads `path`. SEMCAL_E_DATA with "path:line: what" on malformed input, an empty file or a repeated column name. */
semcal_status sc_csv_read(sc_csv *csv, const char *path, semcal_error *error);

/* The same from memory (copied); `name` stands for the path in messages. */
semcal_status sc_csv_parse(sc_csv *csv, const char *bytes, size_t length, const char *name, semcal_error *error);
void sc_csv_free(sc_csv *csv);

/* Index of a column; SEMCAL_E_DATA naming the nearest one, or all of them, when it is not there. */
semcal_status sc_csv_column(size_t *column, const sc_csv *csv, const char *name, semcal_error *error);

const sc_csv_cell *sc_csv_at(const sc_csv *csv, size_t row, size_t column);

/* The cell as a finite number (blanks around it allowed); "path:line: column: 'x' is not a number" otherwise. */
semcal_status sc_csv_real(double *value, const sc_csv *csv, size_t row, size_t column, semcal_error *error);

/* Appends one field, quoted where needed, with a comma in front unless it is the row's first. End a row with "\n". */
semcal_status sc_csv_append(sc_text *out, const char *bytes, size_t length, bool first, semcal_error *error);

#endif

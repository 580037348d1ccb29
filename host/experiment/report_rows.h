/* SPDX-License-Identifier: Apache-2.0 */
/* Figures with a heading per dataset and a line per cell. */
#ifndef SC_EXPERIMENT_REPORT_ROWS_H
#define SC_EXPERIMENT_REPORT_ROWS_H

#include "experiment/report_data.h"
#include "experiment/report_figure.h"

typedef struct sc_report_rows {
    const sc_report_data *data;
    double top, step; /* pixels */
    double *y;        /* [n_cells] of the cell, NaN: not shown; the caller's to free */
    double label;     /* width of the longest name */
    double height;    /* of all rows */
} sc_report_rows;

/* Rows of the cells that `has` holds for. */
semcal_status sc_report_rows_make(sc_report_rows *rows, const sc_report_data *data, bool (*has)(const sc_report_cell *),
                                  semcal_error *error);

/* Puts headings and names, their right ends at x. */
void sc_report_rows_names(sc_report_figure *figure, const sc_report_rows *rows, double x);

/* "base, concise". */
void sc_report_row_name(char name[128], const sc_report_cell *cell);

/* A step of 1, 2 or 5 times a power of ten that gives at most `most` ticks. */
double sc_report_tick_step(double range, double most);

/* About the width of a text of 12 points, pixels. */
double sc_report_text_width(const char *text);

#endif

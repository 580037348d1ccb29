/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text under construction for reports: the first failure sticks, so that a page is written without a check per line.
 * Whatever comes from a model, a dataset or a file name goes through one of the escaping functions here.
 */
#ifndef SC_EXPERIMENT_REPORT_TEXT_H
#define SC_EXPERIMENT_REPORT_TEXT_H

#include "base/memory.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct sc_report_text {
    sc_text text;
    semcal_status status; /* of everything put so far */
    semcal_error *error;
} sc_report_text;

void sc_report_text_init(sc_report_text *out, semcal_error *error);
void sc_report_text_free(sc_report_text *out);

void sc_report_put(sc_report_text *out, const char *format, ...) SC_PRINTF(2, 3);

/* Text made harmless for a terminal or a page: control characters and line breaks become visible signs (U+2400...),
 * characters that turn the direction of writing, noncharacters and bytes that are no UTF-8 become U+FFFD. At most
 * `most` characters (0: all), then an ellipsis. */
void sc_report_put_visible(sc_report_text *out, const char *untrusted, size_t most);

/* The same, and & < > " ' as entities: fit for HTML and XML contents and quoted attributes. */
void sc_report_put_html(sc_report_text *out, const char *untrusted, size_t most);

/* A gnuplot string in single quotes, one line. */
void sc_report_put_gnuplot(sc_report_text *out, const char *untrusted);

/* CSV fields (RFC 4180); a number that is not finite is an empty field. `first` begins a row. */
void sc_report_put_csv(sc_report_text *out, const char *text, bool first);
void sc_report_put_csv_real(sc_report_text *out, double value);

/* ".031", "-.045", "1.00"; an en dash when not finite. Plain text, the same in HTML, figures and terminals. */
const char *sc_report_share(char text[16], double value);

#endif

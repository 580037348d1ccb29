/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the page: what its sections share, and those of the loss side and of text cells. */
#ifndef SC_EXPERIMENT_REPORT_HTML_PARTS_H
#define SC_EXPERIMENT_REPORT_HTML_PARTS_H

#include "experiment/report_data.h"
#include "experiment/report_text.h"

/* Anything that comes from outside, set apart from the direction of writing around it. */
void sc_report_html_name(sc_report_text *page, const char *text);
/* A table cell with a number, and one with its interval below. */
void sc_report_html_share(sc_report_text *page, double value);
void sc_report_html_interval(sc_report_text *page, double value, const double ci[2], const char *class);

/* Next-token calibration and classes of tokens; nothing without text cells. */
void sc_report_html_tokens(sc_report_text *page, const sc_report_data *data);
/* Loss gaps of every family, cells and text cells. */
void sc_report_html_gaps(sc_report_text *page, const sc_report_data *data);

#endif

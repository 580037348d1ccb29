/* SPDX-License-Identifier: Apache-2.0 */
/* The page of a report. */
#ifndef SC_EXPERIMENT_REPORT_HTML_H
#define SC_EXPERIMENT_REPORT_HTML_H

#include "experiment/report_compare.h"
#include "experiment/report_figure.h"

/* Appends the whole page. Nothing in it refers to anything but the files beside it. */
semcal_status sc_report_html(sc_report_text *page, const sc_report_data *data, const sc_report_comparisons *comparisons,
                             const sc_report_figures *figures);

#endif

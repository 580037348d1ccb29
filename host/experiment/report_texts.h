/* SPDX-License-Identifier: Apache-2.0 */
/* Next-token calibration in a report: the text cells of a run beside its questions. */
#ifndef SC_EXPERIMENT_REPORT_TEXTS_H
#define SC_EXPERIMENT_REPORT_TEXTS_H

#include "experiment/report_data.h"
#include "experiment/report_text.h"

/* A section with both tables; nothing when the run has no text cells. */
void sc_report_texts_html(sc_report_text *page, const sc_report_data *data);

/* Every number of every text cell as CSV. */
void sc_report_texts_csv(sc_report_text *table, const sc_report_data *data);

#endif

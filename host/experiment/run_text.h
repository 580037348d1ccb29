/* SPDX-License-Identifier: Apache-2.0 */
/* One text cell of a run: the model reads the text, sums are kept (experiment/text_store.h). */
#ifndef SC_EXPERIMENT_RUN_TEXT_H
#define SC_EXPERIMENT_RUN_TEXT_H

#include "experiment/run_cell.h"
#include "experiment/text_data.h"

/* A text cell that has been read. */
typedef struct sc_run_text sc_run_text;

/* Has the model read what is missing of the cell; run->dataset is not used. `data` is the cell's text where it was
 * opened before, and taken over; else empty. *text is NULL when nothing was left to do, as *already tells, and after a
 * failure. SEMCAL_INTERRUPTED after a commit. *run must outlive *text. */
semcal_status sc_run_text_read(sc_run_text **text, const sc_run_cell *run, sc_text_data *data, bool *already,
                               semcal_error *error);
/* Makes the cell's file of it. Uses neither source nor device. */
semcal_status sc_run_text_finish(sc_run_text *text, semcal_error *error);
void sc_run_text_free(sc_run_text **text);

#endif

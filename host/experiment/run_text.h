/* SPDX-License-Identifier: Apache-2.0 */
/* One text cell of a run: the model reads the text, sums are kept (experiment/text_store.h). */
#ifndef SC_EXPERIMENT_RUN_TEXT_H
#define SC_EXPERIMENT_RUN_TEXT_H

#include "experiment/run_cell.h"

/* Does what is missing of the cell and finishes its file; run->dataset is not used. *already tells that nothing was
 * left to do. SEMCAL_INTERRUPTED after a commit. */
semcal_status sc_run_text_do(const sc_run_cell *run, bool *already, semcal_error *error);

#endif

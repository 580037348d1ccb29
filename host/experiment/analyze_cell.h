/* SPDX-License-Identifier: Apache-2.0 */
/* The analysis of one cell of questions: what its stored products say of calibration and loss optimality. */
#ifndef SC_EXPERIMENT_ANALYZE_CELL_H
#define SC_EXPERIMENT_ANALYZE_CELL_H

#include "experiment/analyze.h"
#include "experiment/plan.h"

/* Of the finished cell file `path`, under `collapse` (NULL: the active one). `out` is zeroed before; free it with
 * sc_analysis_cell_free, also after a failure. Errors name the file. */
semcal_status sc_analysis_cell_make(sc_analysis_cell *out, const sc_config *config, const sc_cell *cell,
                                    const char *path, const char *collapse, semcal_error *error);
void sc_analysis_cell_free(sc_analysis_cell *cell);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The few numbers of an analysed run that fit a terminal, from RUN/analysis.h5. */
#ifndef SC_EXPERIMENT_RUN_GLANCE_H
#define SC_EXPERIMENT_RUN_GLANCE_H

#include "experiment/analyze.h"

typedef struct sc_glance_cell {
    char *name, *collapse;
    double n_questions, accuracy, mean_confidence, overconfidence; /* by frequency, as all that follows */
    double smece, smece_low, smece_high, floor, floor_95;          /* model floor, else the noise floor */
    double smece_split, truncated, unparsed, draws_per_forward, sigma;
    double curve[SC_ANALYSIS_CURVE], density[SC_ANALYSIS_CURVE];
} sc_glance_cell;

typedef struct sc_glance {
    sc_glance_cell *cells;
    size_t n_cells;
    bool analysed; /* there was no analysis younger than the cells, so one was made */
} sc_glance;

/* Reads RUN/analysis.h5, and analyses first when there is none or a cell, a collapse or the configuration is younger.
 * SEMCAL_E_DATA when its format is newer than this program's, with both versions. */
semcal_status sc_glance_read(sc_glance *glance, const char *run, semcal_error *error);
void sc_glance_free(sc_glance *glance);

/* SEMCAL_E_DATA when `path` is there and of a newer format. */
semcal_status sc_glance_check_format(const char *path, semcal_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report of a run: a folder that can be looked at, printed, quoted and restyled.
 *
 *     index.html      everything on one page, without any other file or network
 *     NAME.svg .png   each figure; NAME.gp and NAME.dat draw it again: `gnuplot NAME.gp` in that folder
 *     NAME.csv        each table
 *
 * The run is analysed first, unless RUN/analysis.h5 is of the files that are there. Figures need the program `gnuplot`;
 * without it everything else still comes and the page says so. The same run gives the same files, byte for byte, with
 * the same gnuplot.
 */
#ifndef SC_EXPERIMENT_REPORT_H
#define SC_EXPERIMENT_REPORT_H

#include "base/log.h"

typedef struct sc_report_options {
    const char *folder;  /* where to write; NULL: RUN/report */
    const char *gnuplot; /* the program; NULL: "gnuplot" from PATH */
    size_t n_bootstrap;  /* replicates of the bands of curves and of the intervals of differences */
    sc_log_sink sink;    /* told what is missing, one line each; may be NULL */
    void *payload;
} sc_report_options;

#define SC_REPORT_OPTIONS_INIT                                                                                         \
    {                                                                                                                  \
        .n_bootstrap = 200                                                                                             \
    }

typedef struct sc_report_summary {
    char *index; /* path of index.html */
    size_t n_cells, n_missing, n_failed, n_figures, n_tables;
} sc_report_summary;

/* A cell that is not finished (n_missing) or cannot be analysed (n_failed) is named on the page; the others stand.
 * SEMCAL_E_DATA when `run` is no run folder, has no finished cell, or holds a file of a newer format. */
semcal_status sc_report_make(sc_report_summary *summary, const char *run, const sc_report_options *options,
                             semcal_error *error);
void sc_report_summary_free(sc_report_summary *summary);

#endif

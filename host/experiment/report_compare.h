/* SPDX-License-Identifier: Apache-2.0 */
/* Cells that differ in one thing only, compared over the questions they share. */
#ifndef SC_EXPERIMENT_REPORT_COMPARE_H
#define SC_EXPERIMENT_REPORT_COMPARE_H

#include "experiment/report_data.h"

typedef struct sc_report_comparison {
    const sc_report_cell *a, *b;
    const char *axis; /* what they differ in: "model", "style", "temperature", ... */
    size_t n;         /* questions in both */
    /* b minus a over these questions, by frequency, with the 95 % basic interval of the paired bootstrap */
    double smece, smece_ci[2], overconfidence, overconfidence_ci[2], accuracy;
} sc_report_comparison;

typedef struct sc_report_comparisons {
    sc_report_comparison *at;
    size_t n;
    bool first_only; /* too many pairs: only those with the first value of their axis */
} sc_report_comparisons;

semcal_status sc_report_compare(sc_report_comparisons *out, const sc_report_data *data, size_t n_bootstrap,
                                semcal_error *error);
void sc_report_comparisons_free(sc_report_comparisons *comparisons);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of a report as CSV files: cells.csv, comparisons.csv, questions.csv; with text cells
 * texts.csv and text_classes.csv. */
#ifndef SC_EXPERIMENT_REPORT_TABLES_H
#define SC_EXPERIMENT_REPORT_TABLES_H

#include "experiment/report_compare.h"

semcal_status sc_report_tables(const char *folder, const sc_report_data *data, const sc_report_comparisons *comparisons,
                               semcal_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The figures of a report. Each function adds its figures, or none when the run has nothing for them. */
#ifndef SC_EXPERIMENT_REPORT_CHARTS_H
#define SC_EXPERIMENT_REPORT_CHARTS_H

#include "experiment/report_data.h"
#include "experiment/report_figure.h"

/* `reliability`, or `reliability_<dataset>` when one grid would be too wide; `next_token` of the text cells. */
semcal_status sc_report_reliability_grids(sc_report_figures *figures, const sc_report_data *data, semcal_error *error);
/* `cell_<name>` for every cell. */
semcal_status sc_report_reliability_cells(sc_report_figures *figures, const sc_report_data *data, semcal_error *error);

/* `smece`, `loss_gaps`, `overconfidence`, `smece_accuracy`, `draws_per_forward`. */
semcal_status sc_report_charts(sc_report_figures *figures, const sc_report_data *data, semcal_error *error);
/* Grids `risk_coverage`, `semantic_entropy`, `loss_gap`, `resolved`. */
semcal_status sc_report_panels(sc_report_figures *figures, const sc_report_data *data, semcal_error *error);
/* Grids `next_token_classes`, `next_token_temperature` of the text cells. */
semcal_status sc_report_tokens_panels(sc_report_figures *figures, const sc_report_data *data, semcal_error *error);
/* `loss_gaps`: what tilts would save, cells of both kinds. */
semcal_status sc_report_loss_gaps(sc_report_figures *figures, const sc_report_data *all, semcal_error *error);

#endif

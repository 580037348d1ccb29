/* SPDX-License-Identifier: Apache-2.0 */
/* Grids of small panels: styles of each dataset side by side, models below one another. */
#ifndef SC_EXPERIMENT_REPORT_GRID_H
#define SC_EXPERIMENT_REPORT_GRID_H

#include "experiment/report_data.h"
#include "experiment/report_figure.h"

typedef struct sc_report_place {
    double x, y, width, height; /* pixels */
    double range;               /* the largest that `range` says of the figure's cells */
} sc_report_place;

typedef struct sc_report_grid {
    const char *name, *title, *reading, *x_label, *y_label;
    double aspect;                               /* height of a panel over its width */
    double gap;                                  /* pixels between panels, 0: little; for axes of their own */
    double (*range)(const sc_report_cell *cell); /* what the cell needs of a common axis; NULL: nothing */
    bool (*has)(const sc_report_cell *cell);     /* whether the cell has something to show */
    void (*panel)(sc_report_figure *figure, const sc_report_cell *cell, const sc_report_place *place);
} sc_report_grid;

/* One figure for all datasets, or one per dataset (NAME_<dataset>) when it would be too wide. `panel` puts data blocks,
 * axes and the plot command; tick labels inside the grid are left out. */
semcal_status sc_report_grids(sc_report_figures *figures, const sc_report_data *data, const sc_report_grid *grid,
                              semcal_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/report_rows.h"

#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

double sc_report_tick_step(double range, double most)
{
    double step = pow(10, floor(log10(range / most)));
    static const double factors[] = {1, 2, 5, 10};
    for (size_t i = 0; i < 4; i++) {
        if (range / (step * factors[i]) <= most) {
            return step * factors[i];
        }
    }
    return step * 10;
}

double sc_report_text_width(const char *text)
{
    return 7.3 * (double)strlen(text);
}

void sc_report_row_name(char name[128], const sc_report_cell *cell)
{
    (void)snprintf(name, 128, "%s, %s", cell->variant, cell->numbers->style);
}

semcal_status sc_report_rows_make(sc_report_rows *r, const sc_report_data *data, bool (*has)(const sc_report_cell *),
                                  semcal_error *error)
{
    *r = (sc_report_rows){.data = data, .top = 34, .step = 24};
    r->y = sc_memory_alloc(data->n_cells, sizeof *r->y, error);
    if (r->y == NULL) {
        return SEMCAL_E_MEMORY;
    }
    double y = r->top;
    for (size_t d = 0; d < data->n_datasets; d++) {
        y += d > 0 ? 12 : 0;
        y += r->step;
        r->label = fmax(r->label, sc_report_text_width(data->datasets[d]));
        for (size_t i = 0; i < data->n_cells; i++) {
            char name[128];
            if (strcmp(data->cells[i].numbers->dataset, data->datasets[d]) != 0) {
                continue;
            }
            r->y[i] = has(&data->cells[i]) ? y : (double)NAN;
            y += has(&data->cells[i]) ? r->step : 0;
            sc_report_row_name(name, &data->cells[i]);
            r->label = fmax(r->label, sc_report_text_width(name));
        }
    }
    r->height = y - r->top;
    return SEMCAL_OK;
}

void sc_report_rows_names(sc_report_figure *figure, const sc_report_rows *r, double x)
{
    for (size_t d = 0; d < r->data->n_datasets; d++) {
        for (size_t i = 0; i < r->data->n_cells; i++) {
            if (strcmp(r->data->cells[i].numbers->dataset, r->data->datasets[d]) == 0 && isfinite(r->y[i])) {
                sc_report_label(figure, x, r->y[i] - r->step, "right", "ink", -12, r->data->datasets[d]);
                break;
            }
        }
    }
    for (size_t i = 0; i < r->data->n_cells; i++) {
        if (isfinite(r->y[i])) {
            char name[128];
            sc_report_row_name(name, &r->data->cells[i]);
            sc_report_label(figure, x, r->y[i], "right", "ink", 12, name);
        }
    }
}

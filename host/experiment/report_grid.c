/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/report_grid.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDEST = 8 }; /* columns of one figure */

typedef struct column {
    const char *dataset, *style;
} column;

typedef struct layout {
    const sc_report_grid *grid;
    const sc_report_data *data;
    column *columns;
    const char **rows;
    size_t n_columns, n_rows;
    double left, top, width, height, gap;
} layout;

static const sc_report_cell *at(const layout *l, size_t row, size_t c)
{
    if (row >= l->n_rows) {
        return NULL;
    }
    const sc_report_cell *cell = sc_report_data_find(l->data, l->columns[c].dataset, l->columns[c].style, l->rows[row]);
    return cell != NULL && l->grid->has(cell) ? cell : NULL;
}

/* Styles of a dataset that have something to show. */
static void add_columns(layout *l, const char *dataset)
{
    for (size_t s = 0; s < l->data->n_styles; s++) {
        for (size_t v = 0; v < l->data->n_variants; v++) {
            const sc_report_cell *cell =
                sc_report_data_find(l->data, dataset, l->data->styles[s], l->data->variants[v]);
            if (cell != NULL && l->grid->has(cell)) {
                l->columns[l->n_columns++] = (column){dataset, l->data->styles[s]};
                break;
            }
        }
    }
}

static void find_rows(layout *l)
{
    l->n_rows = 0;
    for (size_t v = 0; v < l->data->n_variants; v++) {
        l->rows[l->n_rows++] = l->data->variants[v];
        bool any = false;
        for (size_t c = 0; c < l->n_columns; c++) {
            any = any || at(l, l->n_rows - 1, c) != NULL;
        }
        l->n_rows -= !any;
    }
}

static void put_turned(sc_report_figure *figure, double x, double y, const char *colour, int size, const char *text)
{
    sc_report_text *s = &figure->script;
    sc_report_put(s, "set label ");
    sc_report_put_gnuplot(s, text);
    sc_report_put(s, " at screen %.5f,%.5f center rotate by 90 textcolor rgb %s font 'sans-serif,%d'\n",
                  x / figure->width, 1 - y / figure->height, colour, size);
}

/* Labels belong to the plot that follows: the first panel carries the headings. */
static void put_headings(sc_report_figure *figure, const layout *l)
{
    const char *dataset = NULL;
    for (size_t c = 0; c < l->n_columns; c++) {
        double x = l->left + (double)c * (l->width + l->gap);
        sc_report_label(figure, x + l->width / 2, l->top - 12, "center", "ink", 12, l->columns[c].style);
        if (dataset == NULL || strcmp(dataset, l->columns[c].dataset) != 0) {
            dataset = l->columns[c].dataset;
            sc_report_label(figure, x, l->top - 34, "left", "ink", -13, dataset);
        }
    }
    for (size_t r = 0; r < l->n_rows; r++) {
        double y = l->top + (double)r * (l->height + l->gap) + l->height / 2;
        put_turned(figure, 14, y, "ink", 12, l->rows[r]);
        put_turned(figure, 38, y, "mute", 11, l->grid->y_label);
    }
}

static void put_panels(sc_report_figure *figure, const layout *l)
{
    double range = 0;
    for (size_t i = 0; l->grid->range != NULL && i < l->n_rows * l->n_columns; i++) {
        const sc_report_cell *cell = at(l, i / l->n_columns, i % l->n_columns);
        range = cell != NULL ? fmax(range, l->grid->range(cell)) : range;
    }
    for (size_t r = 0; r < l->n_rows; r++) {
        for (size_t c = 0; c < l->n_columns; c++) {
            const sc_report_cell *cell = at(l, r, c);
            if (cell == NULL) {
                continue;
            }
            const sc_report_place place = {l->left + (double)c * (l->width + l->gap),
                                           l->top + (double)r * (l->height + l->gap), l->width, l->height, range};
            bool bottom = at(l, r + 1, c) == NULL, left = c == 0 || at(l, r, c - 1) == NULL;
            if (bottom) {
                sc_report_label(figure, place.x + l->width / 2, place.y + l->height + 36, "center", "mute", 11,
                                l->grid->x_label);
            }
            sc_report_panel(figure, place.x, place.y, place.width, place.height);
            sc_report_put(&figure->script, "set format x '%s'; set format y '%s'\n", bottom ? "%g" : "",
                          left ? "%g" : "");
            l->grid->panel(figure, cell, &place);
            sc_report_panel_end(figure);
        }
    }
}

static semcal_status draw(sc_report_figures *figures, layout *l, const char *name, const char *title,
                          semcal_error *error)
{
    find_rows(l);
    l->left = 84;
    l->top = 58;
    l->gap = l->grid->gap > 0 ? l->grid->gap : 14;
    l->width = l->n_columns > 4 ? 154 : 196;
    l->height = l->width * l->grid->aspect;
    int width = (int)(l->left + (double)l->n_columns * (l->width + l->gap) + 4);
    int height = (int)(l->top + (double)l->n_rows * (l->height + l->gap) + 38);
    sc_report_figure *figure = sc_report_figure_begin(figures, name, width, height, title, l->grid->reading, error);
    if (figure == NULL) {
        return SEMCAL_E_MEMORY;
    }
    put_headings(figure, l);
    put_panels(figure, l);
    return sc_report_figure_end(figures, error);
}

static semcal_status draw_dataset(sc_report_figures *figures, layout *l, const char *dataset, semcal_error *error)
{
    sc_text name = {0}, title = {0};
    semcal_status status = SEMCAL_OK;
    l->n_columns = 0;
    add_columns(l, dataset);
    if (l->n_columns > 0) {
        status = sc_text_printf(&name, error, "%s_%s", l->grid->name, dataset);
        if (status == SEMCAL_OK) {
            status = sc_text_printf(&title, error, "%s: %s", l->grid->title, dataset);
        }
        if (status == SEMCAL_OK) {
            status = draw(figures, l, name.data, title.data, error);
        }
    }
    sc_text_free(&name);
    sc_text_free(&title);
    return status;
}

semcal_status sc_report_grids(sc_report_figures *figures, const sc_report_data *data, const sc_report_grid *grid,
                              semcal_error *error)
{
    layout l = {.grid = grid, .data = data};
    l.columns = sc_memory_alloc(data->n_datasets * data->n_styles, sizeof *l.columns, error);
    l.rows = sc_memory_alloc(data->n_variants, sizeof *l.rows, error);
    semcal_status status = l.columns == NULL || l.rows == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t d = 0; d < data->n_datasets && status == SEMCAL_OK; d++) {
        add_columns(&l, data->datasets[d]);
    }
    if (status == SEMCAL_OK && l.n_columns > 0 && l.n_columns <= WIDEST) {
        status = draw(figures, &l, grid->name, grid->title, error);
    } else if (status == SEMCAL_OK && l.n_columns > WIDEST) {
        for (size_t d = 0; d < data->n_datasets && status == SEMCAL_OK; d++) {
            status = draw_dataset(figures, &l, data->datasets[d], error);
        }
    }
    free(l.columns);
    free(l.rows);
    return status;
}

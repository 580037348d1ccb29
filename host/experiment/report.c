/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/report.h"

#include "base/file.h"
#include "experiment/report_charts.h"
#include "experiment/report_html.h"
#include "experiment/report_tables.h"

#include <stdio.h>
#include <stdlib.h>

static void tell(const sc_report_options *options, const char *line)
{
    if (options->sink != NULL) {
        options->sink(SC_LOG_WARNING, line, options->payload);
    }
}

static semcal_status draw(sc_report_figures *figures, const sc_report_data *data, semcal_error *error)
{
    static semcal_status (*const charts[])(sc_report_figures *, const sc_report_data *, semcal_error *) = {
        sc_report_reliability_grids, sc_report_charts, sc_report_tokens_panels, sc_report_panels,
        sc_report_reliability_cells,
    };
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < sizeof charts / sizeof *charts && status == SEMCAL_OK; i++) {
        status = charts[i](figures, data, error);
    }
    return status;
}

static semcal_status write_report(sc_report_summary *summary, const sc_report_data *data,
                                  const sc_report_options *options, const char *folder, semcal_error *error)
{
    sc_report_figures figures = {.folder = folder, .gnuplot = options->gnuplot != NULL ? options->gnuplot : "gnuplot"};
    sc_report_comparisons comparisons = {0};
    sc_report_text page;
    sc_report_text_init(&page, error);
    semcal_status status = sc_report_compare(&comparisons, data, options->n_bootstrap, error);
    if (status == SEMCAL_OK) {
        status = sc_report_tables(folder, data, &comparisons, error);
    }
    if (status == SEMCAL_OK) {
        status = draw(&figures, data, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_report_html(&page, data, &comparisons, &figures);
    }
    if (status == SEMCAL_OK) {
        summary->index = sc_file_join(folder, "index.html", error);
        status = summary->index == NULL ? SEMCAL_E_MEMORY
                                        : sc_file_write_atomic(summary->index, page.text.data, page.text.length, error);
    }
    if (figures.absent) {
        tell(options, "gnuplot is not installed (Debian, Ubuntu: gnuplot-nox): the report has no figures");
    }
    if (figures.complaints.length > 0) {
        tell(options, figures.complaints.data);
    }
    summary->n_figures = figures.n_drawn;
    summary->n_tables = data->tokens != NULL ? 5 : 3;
    sc_report_text_free(&page);
    sc_report_comparisons_free(&comparisons);
    sc_report_figures_free(&figures);
    return status;
}

semcal_status sc_report_make(sc_report_summary *summary, const char *run, const sc_report_options *options,
                             semcal_error *error)
{
    *summary = (sc_report_summary){0};
    sc_report_data data;
    char *folder = NULL;
    semcal_status status = sc_report_data_read(&data, run, options, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    summary->n_cells = data.analysis.n_cells + data.analysis.n_texts;
    summary->n_missing = data.analysis.n_missing;
    summary->n_failed = data.analysis.n_failed;
    if (options->folder == NULL) {
        folder = sc_file_join(run, "report", error);
        status = folder == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    const char *to = options->folder != NULL ? options->folder : folder;
    if (status == SEMCAL_OK) {
        status = sc_file_make_folder(to, error);
    }
    if (status == SEMCAL_OK) {
        status = write_report(summary, &data, options, to, error);
    }
    free(folder);
    sc_report_data_free(&data);
    if (status != SEMCAL_OK) {
        sc_report_summary_free(summary);
    }
    return status;
}

void sc_report_summary_free(sc_report_summary *summary)
{
    free(summary->index);
    *summary = (sc_report_summary){0};
}

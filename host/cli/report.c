/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/report.h"
#include "cli/cli.h"
#include "cli/terminal.h"

#include <stdio.h>

semcal_status sc_cli_report(int argc, char **argv, semcal_error *error);

static void show_line(sc_log_level level, const char *line, void *payload)
{
    sc_terminal_line(payload, sc_log_level_name(level), line);
}

semcal_status sc_cli_report(int argc, char **argv, semcal_error *error)
{
    sc_report_options options = SC_REPORT_OPTIONS_INIT;
    long replicates = (long)options.n_bootstrap;
    static const sc_cli_usage usage = {
        "report",
        "RUN",
        "a page to read and print: index.html, every figure as SVG and PNG, every table as CSV",
        1,
        1,
        "Analyses the run first, unless RUN/analysis.h5 is of the files that are there. Figures are drawn by gnuplot;\n"
        "'gnuplot NAME.gp' in the folder draws one again."};
    const sc_cli_option table[] = {
        {"output", 'o', SC_CLI_TEXT, &options.folder, "DIR", "folder of the report (default: RUN/report)"},
        {"bootstrap", 0, SC_CLI_INT, &replicates, "N",
         "replicates of the bands and of the intervals of differences (default 200)"},
    };
    const char *operands[64];
    int n_operands;
    bool help;
    semcal_status status =
        sc_cli_parse(&n_operands, operands, &help, &usage, table, sizeof table / sizeof *table, argc, argv, error);
    if (status != SEMCAL_OK || help) {
        return status;
    }
    if (replicates < 0 || replicates > 100000) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "--bootstrap must be between 0 and 100000");
    }
    sc_terminal terminal;
    sc_terminal_init(&terminal);
    options.n_bootstrap = (size_t)replicates;
    options.sink = show_line;
    options.payload = &terminal;
    sc_report_summary summary;
    status = sc_report_make(&summary, operands[0], &options, error);
    if (status == SEMCAL_OK) {
        if (summary.n_missing > 0) {
            (void)fprintf(stderr, "semcal: %zu cells are not finished; the report says which\n", summary.n_missing);
        }
        printf("%s: %zu cells, %zu figures, %zu tables\n", summary.index, summary.n_cells, summary.n_figures,
               summary.n_tables);
        if (summary.n_failed > 0) {
            status = sc_error_set(error, SEMCAL_PARTIAL,
                                  "%zu cells could not be analysed; the report says which and why", summary.n_failed);
        }
    }
    sc_report_summary_free(&summary);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/analyze_text.h"
#include "cli/cli.h"
#include "cli/decimals.h"
#include "cli/terminal.h"

#include "base/memory.h"
#include "experiment/analyze.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

semcal_status sc_cli_analyze(int argc, char **argv, semcal_error *error);

/* Three digits are what a thousand questions can bear. */
static const char *share(char text[16], double value)
{
    return sc_cli_decimals(text, value, 3);
}

/* Four, for nats. */
static const char *small(char text[16], double value)
{
    return sc_cli_decimals(text, value, 4);
}

static void print_row(const sc_analysis_cell *cell, size_t width)
{
    const sc_analysis_row *f = &cell->rows[SC_ANALYSIS_FREQUENCY], *s = &cell->rows[SC_ANALYSIS_SPLIT];
    char t[14][16];
    bool has_split = s->calibration.n > 0;
    printf("%-*s %6zu %5s %5s %6s  %5s [%5s %5s] %5s %5s  %5s [%5s %5s] %5s", (int)width, cell->name, cell->n_questions,
           share(t[0], f->calibration.accuracy), share(t[1], f->calibration.mean_confidence),
           share(t[2], f->calibration.overconfidence), share(t[3], f->calibration.smece),
           share(t[4], f->calibration.smece_ci[0]), share(t[5], f->calibration.smece_ci[1]),
           share(t[6], f->calibration.smece_floor), share(t[7], f->model_floor.mean),
           has_split ? share(t[8], s->calibration.smece) : "-",
           has_split ? share(t[9], s->calibration.smece_ci[0]) : "-",
           has_split ? share(t[10], s->calibration.smece_ci[1]) : "-",
           has_split ? share(t[11], s->model_floor.mean) : "-");
    printf("  %5s", share(t[0], cell->smece_known));
    printf("  %5s %5s %6.2f%s\n", share(t[12], cell->truncated), share(t[13], cell->unparsed), cell->draws_per_forward,
           cell->flagged ? "  ! cut or unparsed" : "");
}

/* Both sides of the theorem: what miscalibration there is, and what removing it would save. */
static void print_gaps(const sc_analysis *analysis, size_t width)
{
    printf("\n%-*s  %6s %6s  %7s %7s  %-24s %7s %7s  %7s  %-24s %7s\n", (int)width, "loss gap, nats (frequency)",
           "smCE", "dsmCE", "shift", "affine", "Lipschitz [95 %]", "floor", "x-fit", "isoton.", "all classes [95 %]",
           "floor");
    for (size_t i = 0; i < analysis->n_cells; i++) {
        const sc_calibration *c = &analysis->cells[i].rows[SC_ANALYSIS_FREQUENCY].calibration;
        if (c->n == 0) {
            continue;
        }
        const sc_family_gap *full = &analysis->cells[i].full;
        char t[14][16];
        printf("%-*s  %6s %6s  %7s %7s  %7s [%6s %6s] %8s %7s  %7s  %7s [%6s %6s] %8s\n", (int)width,
               analysis->cells[i].name, share(t[0], c->smce), share(t[1], c->dsmce), small(t[2], c->pgap[SC_GAP_SHIFT]),
               small(t[3], c->pgap[SC_GAP_AFFINE]), small(t[4], c->pgap[SC_GAP_LIPSCHITZ]),
               small(t[5], c->pgap_spread.interval[SC_GAP_LIPSCHITZ][0]),
               small(t[6], c->pgap_spread.interval[SC_GAP_LIPSCHITZ][1]),
               small(t[7], c->pgap_spread.floor[SC_GAP_LIPSCHITZ]), small(t[8], c->pgap_crossfit[SC_GAP_LIPSCHITZ]),
               small(t[9], c->pgap[SC_GAP_ISOTONIC]), small(t[10], full->gap), small(t[11], full->interval[0]),
               small(t[12], full->interval[1]), small(t[13], full->floor));
    }
    printf(
        "\nThe log loss that the best tilt of each family by a function of the confidence would save. A calibrated\n"
        "model has none; in sample every fit finds some, as much as the floor. x-fit is scored on questions the fit\n"
        "has not seen and may be negative. All classes: tilts of every class by its rank and log-probability, not of\n"
        "the most drawn one alone.\n");
}

/* Cells whose responses were enumerated, and those whose responses were followed. */
static void print_exact(const sc_analysis *analysis, size_t width)
{
    bool begun = false;
    char t[8][16];
    for (size_t i = 0; i < analysis->n_cells; i++) {
        const sc_analysis_cell *cell = &analysis->cells[i];
        if (isnan(cell->mode_certain)) {
            continue;
        }
        const sc_calibration *exact = &cell->rows[SC_ANALYSIS_EXACT].calibration;
        const sc_calibration *hybrid = &cell->rows[SC_ANALYSIS_HYBRID].calibration;
        if (!begun) {
            printf(
                "\n%-*s  enumerated: modes certain, mass unexplored, mean confidence exact and hybrid, smECE at width "
                ".05 exact, hybrid, [certified]\n",
                (int)width, "");
            begun = true;
        }
        printf("%-*s  %5s %5s  %5s %5s  %5s %5s [%5s %5s]%s\n", (int)width, cell->name, share(t[0], cell->mode_certain),
               share(t[1], cell->exact_unexplored), exact->n > 0 ? share(t[2], exact->mean_confidence) : "-",
               hybrid->n > 0 ? share(t[3], hybrid->mean_confidence) : "-",
               exact->n > 0 ? share(t[4], exact->smece_005) : "-", hybrid->n > 0 ? share(t[5], hybrid->smece_005) : "-",
               share(t[6], cell->smece_certified[0]), share(t[7], cell->smece_certified[1]),
               cell->mode_certain < 1 ? "  ! budget too small for some questions" : "");
    }
    if (begun) {
        printf("\nexact: only questions whose mode is certain and whose responses found carry enough mass, hybrid: all "
               "of\n"
               "them where tails were drawn. certified: what smECE at width .05 lies between for sure, over all\n"
               "questions; those whose mode is open count as worst case.\n");
    }
}

static void print_mechanism(const sc_analysis *analysis, size_t width)
{
    bool begun = false;
    for (size_t i = 0; i < analysis->n_cells; i++) {
        const sc_analysis_mechanism *m = &analysis->cells[i].mechanism;
        if (m->n_places == 0) {
            continue;
        }
        if (!begun) {
            printf("\n%-*s  share of the uncertainty about the meaning that is gone (resolved) after this share of the "
                   "response\n",
                   (int)width, "");
            begun = true;
        }
        printf("%-*s ", (int)width, analysis->cells[i].name);
        for (size_t k = 0; k < m->n_places; k++) {
            char at[16], value[16];
            printf(" %s: %s", share(at, m->by_fraction[k].at), share(value, m->by_fraction[k].resolved));
        }
        printf("\n");
    }
}

static void print_table(const sc_analysis *analysis)
{
    size_t width = 4;
    for (size_t i = 0; i < analysis->n_cells; i++) {
        size_t n = strlen(analysis->cells[i].name);
        width = n > width ? n : width;
    }
    printf("%-*s %6s %5s %5s %6s  %-27s %5s  %-27s %5s\n", (int)width, "", "", "", "", "", "frequency (M draws)",
           "model", "split (no selection bias)", "model");
    printf("%-*s %6s %5s %5s %6s  %-19s %5s %5s  %-19s %5s  %5s  %5s %5s %6s\n", (int)width, "cell", "n", "acc", "conf",
           "over", "smECE [95 %]", "noise", "floor", "smECE [95 %]", "floor", "known", "cut", "unp", "dr/fwd");
    for (size_t i = 0; i < analysis->n_cells; i++) {
        print_row(&analysis->cells[i], width);
    }
    printf(
        "\nacc: accuracy of the most drawn meaning. conf: mean semantic confidence. over: conf - acc, above 0 is\n"
        "overconfident. noise, floor: smECE of a perfectly calibrated model with these confidences, without and with\n"
        "the bias of M draws; a value near its floor shows no miscalibration. known: smECE against the known\n"
        "probability of being right, where the data law is known. cut, unp: shares of draws cut at max_tokens and\n"
        "without an answer. dr/fwd: tokens drawn per forward pass.\n");
    print_gaps(analysis, width);
    print_exact(analysis, width);
    print_mechanism(analysis, width);
}

static void print_all(const sc_analysis *analysis)
{
    if (analysis->n_cells > 0) {
        print_table(analysis);
    }
    sc_cli_print_texts(analysis);
    for (size_t i = 0; i < analysis->n_missing; i++) {
        printf("not finished: %s\n", analysis->missing[i]);
    }
}

semcal_status sc_cli_analyze(int argc, char **argv, semcal_error *error)
{
    bool json = false;
    sc_analyze_options options = {.collapse = NULL};
    static const sc_cli_usage usage = {
        "analyze", "RUN", "calibration of every finished cell of a run: RUN/analysis.h5 and a table", 1, 1, NULL};
    const sc_cli_option table[] = {
        {"json", 0, SC_CLI_FLAG, &json, NULL, "print every number as JSON"},
        {"collapse", 0, SC_CLI_TEXT, &options.collapse, "KIND",
         "which of the stored collapses (default: the active one)"},
    };
    const char *operands[64];
    int n_operands;
    bool help;
    semcal_status status =
        sc_cli_parse(&n_operands, operands, &help, &usage, table, sizeof table / sizeof *table, argc, argv, error);
    if (status != SEMCAL_OK || help) {
        return status;
    }
    sc_analysis analysis;
    status = sc_analyze(&analysis, operands[0], &options, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    if (json) {
        sc_text text = {0};
        status = sc_analysis_json(&text, &analysis, error);
        (void)fputs(text.data != NULL ? text.data : "", stdout);
        sc_text_free(&text);
    } else {
        print_all(&analysis);
    }
    for (size_t i = 0; i < analysis.n_failed; i++) {
        (void)fputs("semcal analyze: ", stderr);
        sc_terminal_print(stderr, analysis.failed[i]);
        (void)fputc('\n', stderr);
    }
    if (status == SEMCAL_OK && analysis.n_failed > 0) {
        status =
            sc_error_set(error, SEMCAL_PARTIAL, "%zu cells could not be analysed; the others stand", analysis.n_failed);
    }
    sc_analysis_free(&analysis);
    return status;
}

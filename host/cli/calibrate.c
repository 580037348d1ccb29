/* SPDX-License-Identifier: Apache-2.0 */
/* semcal calibrate: every calibration number of a table of (confidence, correct) pairs. */
#include "cli/calibrate_curve.h"
#include "cli/cli.h"

#include "base/memory.h"
#include "formats/csv.h"
#include "formats/json.h"
#include "statistics/calibration.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

semcal_status sc_cli_calibrate(int argc, char **argv, semcal_error *error);

/* ---- the table ---- */

static semcal_status read_correct(double *value, const sc_csv *csv, size_t row, size_t column, semcal_error *error)
{
    const char *text = sc_csv_at(csv, row, column)->text;
    char *end = NULL;
    double number = strtod(text, &end);
    if (strcasecmp(text, "true") == 0 || strcasecmp(text, "false") == 0) {
        *value = strcasecmp(text, "true") == 0 ? 1 : 0;
    } else if (end != text && *end == '\0' && (number == 0 || number == 1)) {
        *value = number;
    } else {
        return sc_error_set(error, SEMCAL_E_DATA, "%s:%zu: correct: '%s' is none of 0, 1, true, false", csv->path,
                            csv->line[row], text);
    }
    return SEMCAL_OK;
}

static semcal_status read_pairs(double **c, double **a, size_t *n, const char *path, semcal_error *error)
{
    sc_csv csv;
    size_t confidence, correct;
    semcal_status status = sc_csv_read(&csv, path, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    status = sc_csv_column(&confidence, &csv, "confidence", error);
    if (status == SEMCAL_OK) {
        status = sc_csv_column(&correct, &csv, "correct", error);
    }
    if (status == SEMCAL_OK && csv.n_rows == 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: no pairs below the header", path);
    }
    if (status != SEMCAL_OK) {
        goto done;
    }
    *n = csv.n_rows;
    *c = sc_memory_alloc(*n, sizeof **c, error);
    *a = sc_memory_alloc(*n, sizeof **a, error);
    status = *c != NULL && *a != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
    for (size_t i = 0; status == SEMCAL_OK && i < *n; i++) {
        status = sc_csv_real(&(*c)[i], &csv, i, confidence, error);
        if (status == SEMCAL_OK && !((*c)[i] >= 0 && (*c)[i] <= 1)) {
            status = sc_error_set(error, SEMCAL_E_DATA, "%s:%zu: confidence: %s is not in [0, 1]", path, csv.line[i],
                                  sc_csv_at(&csv, i, confidence)->text);
        }
        if (status == SEMCAL_OK) {
            status = read_correct(&(*a)[i], &csv, i, correct, error);
        }
    }
done:
    sc_csv_free(&csv);
    return status;
}

/* ---- the numbers, one list for both outputs ---- */

typedef struct entry {
    const char *key;
    const double *value;    /* one number, or two for an interval */
    const double *interval; /* shown beside the value in the table; its own key in JSON is `interval_key` */
    const char *interval_key;
    const char *meaning;
} entry;

#define N_ENTRIES 20

static void list_entries(entry out[N_ENTRIES], const sc_calibration *r)
{
    const entry list[N_ENTRIES] = {
        {"accuracy", &r->accuracy, r->accuracy_ci, "accuracy_ci", "share of right answers"},
        {"mean_confidence", &r->mean_confidence, NULL, NULL, ""},
        {"overconfidence", &r->overconfidence, r->overconfidence_ci, "overconfidence_ci",
         "mean confidence - accuracy; above 0 is overconfident"},
        {"smece", &r->smece, r->smece_ci, "smece_ci", "SmoothECE; read it against the floor"},
        {"smece_floor", &r->smece_floor, NULL, NULL, "what label noise alone gives a calibrated model: mean"},
        {"smece_floor_95", &r->smece_floor_95, NULL, NULL, "and its 95 % point"},
        {"smece_sigma", &r->smece_sigma, NULL, NULL, "kernel width of smece"},
        {"smece_005", &r->smece_005, NULL, NULL, "at kernel width .05"},
        {"smece_relplot", &r->smece_relplot, NULL, NULL, "as relplot 1.0.3 prints it: atoms at 0 and 1 count half"},
        {"smece_relplot_sigma", &r->smece_relplot_sigma, NULL, NULL, ""},
        {"ece_10", &r->ece_10, NULL, NULL, "10 equal-width bins"},
        {"brier", &r->brier, NULL, NULL, ""},
        {"log_loss", &r->log_loss, NULL, NULL, "nats; none when an answer had confidence 0"},
        {"log_loss_smoothed", &r->log_loss_smoothed, NULL, NULL, "at (M c + 1/2) / (M + 1), needs --draws"},
        {"auroc", &r->auroc, NULL, NULL, "none when all answers are right or all wrong"},
        {"smce", &r->smce, r->pgap_spread.smooth_interval[SC_GAP_SMCE], "smce_ci", "smooth calibration error"},
        {"dsmce", &r->dsmce, r->pgap_spread.smooth_interval[SC_GAP_DSMCE], "dsmce_ci",
         "the same, Lipschitz in the log-odds"},
    };
    memcpy(out, list, sizeof list);
}

static json_t *interval_json(const double interval[2])
{
    return isfinite(interval[0]) && isfinite(interval[1]) ? json_pack("[ff]", interval[0], interval[1]) : json_null();
}

static const char *const gap_names[SC_GAP_FAMILIES] = {"pgap_shift", "pgap_affine", "pgap_lipschitz", "pgap_isotonic",
                                                       "pgap_sq"};

static int set_gap(json_t *root, const sc_calibration *r, int family)
{
    const sc_gap_spread *spread = &r->pgap_spread;
    const double numbers[4] = {r->pgap[family], r->pgap_crossfit[family], spread->floor[family],
                               spread->floor_95[family]};
    static const char *const endings[4] = {"", "_crossfit", "_floor", "_floor_95"};
    char key[64];
    int failed = 0;
    for (int i = 0; i < 4; i++) {
        (void)snprintf(key, sizeof key, "%s%s", gap_names[family], endings[i]);
        failed |= json_object_set_new(root, key, sc_json_real_or_null(numbers[i]));
    }
    (void)snprintf(key, sizeof key, "%s_ci", gap_names[family]);
    return failed | json_object_set_new(root, key, interval_json(spread->interval[family]));
}

static semcal_status print_json(const sc_calibration *r, const char *mode, semcal_error *error)
{
    entry entries[N_ENTRIES];
    list_entries(entries, r);
    json_t *root = json_object();
    int failed = json_object_set_new(root, "n", json_integer((json_int_t)r->n));
    failed |= json_object_set_new(root, "mode", json_string(mode));
    for (size_t i = 0; i < N_ENTRIES && entries[i].key != NULL; i++) {
        failed |= json_object_set_new(root, entries[i].key, sc_json_real_or_null(*entries[i].value));
        if (entries[i].interval != NULL) {
            failed |= json_object_set_new(root, entries[i].interval_key, interval_json(entries[i].interval));
        }
    }
    failed |= json_object_set_new(root, "log_loss_infinite", json_integer((json_int_t)r->log_loss_infinite));
    for (int family = 0; family < SC_GAP_FAMILIES; family++) {
        failed |= set_gap(root, r, family);
    }
    sc_text text = {0};
    semcal_status status =
        failed != 0 ? sc_error_set(error, SEMCAL_E_MEMORY, "out of memory") : sc_json_append(&text, root, true, error);
    if (status == SEMCAL_OK) {
        printf("%s\n", text.data);
    }
    sc_text_free(&text);
    json_decref(root);
    return status;
}

static void print_table(const sc_calibration *r)
{
    entry entries[N_ENTRIES];
    list_entries(entries, r);
    printf("%-20s %12zu\n", "n", r->n);
    for (size_t i = 0; i < N_ENTRIES && entries[i].key != NULL; i++) {
        char value[32] = "-", interval[48] = "";
        if (isfinite(*entries[i].value)) {
            (void)snprintf(value, sizeof value, "%.6f", *entries[i].value);
        }
        if (entries[i].interval != NULL && isfinite(entries[i].interval[0])) {
            (void)snprintf(interval, sizeof interval, "[%.4f, %.4f]", entries[i].interval[0], entries[i].interval[1]);
        }
        const char *meaning = entries[i].meaning;
        printf(meaning[0] != '\0' ? "%-20s %12s  %-18s  %s\n" : "%-20s %12s  %s%s\n", entries[i].key, value, interval,
               meaning);
    }
    if (r->log_loss_infinite > 0) {
        printf("%-20s %12zu  %-18s  %s\n", "log_loss_infinite", r->log_loss_infinite, "",
               "pairs whose outcome had confidence 0");
    }
}

static const char *number(char text[32], double value)
{
    (void)snprintf(text, 32, isfinite(value) ? "%.6f" : "-", value);
    return text;
}

static void print_gaps(const sc_calibration *r)
{
    const sc_gap_spread *spread = &r->pgap_spread;
    printf("\n%-20s %12s  %-18s %12s %12s %12s\n", "loss gap", "in sample", "95 % interval", "floor", "its 95 %",
           "cross-fitted");
    for (int family = 0; family < SC_GAP_FAMILIES; family++) {
        char value[32], floor[32], floor_95[32], crossfit[32], interval[48] = "-";
        const double *ends = spread->interval[family];
        if (isfinite(ends[0])) {
            (void)snprintf(interval, sizeof interval, "[%.4f, %.4f]", ends[0], ends[1]);
        }
        printf("%-20s %12s  %-18s %12s %12s %12s\n", gap_names[family], number(value, r->pgap[family]), interval,
               number(floor, spread->floor[family]), number(floor_95, spread->floor_95[family]),
               number(crossfit, r->pgap_crossfit[family]));
    }
    printf("(nats per question; pgap_sq in squared error. In-sample gaps overfit by about their floor.)\n");
}

/* ---- the command ---- */

static const char details[] =
    "PAIRS.csv has a header with the columns confidence (a number in [0, 1]) and correct (0, 1, true or false), in "
    "any\n"
    "order, among others. Intervals are basic bootstrap intervals over rows at 95 %. With --mode relplot, smece and\n"
    "smece_sigma are those of the Python package relplot; intervals and floors keep the exact definition.";

semcal_status sc_cli_calibrate(int argc, char **argv, semcal_error *error)
{
    bool json = false, help = false;
    const char *mode = "exact", *curve = NULL, *operands[64];
    int n_operands = 0;
    sc_calibration_options how = SC_CALIBRATION_OPTIONS_INIT;
    long bootstrap = (long)how.n_bootstrap, floor = (long)how.n_floor, gaps = (long)how.n_gap,
         folds = (long)how.n_folds, seed = 1, draws = 0;
    const sc_cli_option options[] = {
        {"json", 0, SC_CLI_FLAG, &json, NULL, "print one JSON object"},
        {"bootstrap", 0, SC_CLI_INT, &bootstrap, "N", "replicates of the intervals (1000; 0: none)"},
        {"floor", 0, SC_CLI_INT, &floor, "N", "redraws of the noise floor (400; 0: none)"},
        {"gaps", 0, SC_CLI_INT, &gaps, "N", "replicates and redraws of the loss gaps (200; 0: none)"},
        {"folds", 0, SC_CLI_INT, &folds, "K", "folds of the cross-fitted gaps (5)"},
        {"seed", 0, SC_CLI_INT, &seed, "S", "of every random number (1)"},
        {"draws", 0, SC_CLI_INT, &draws, "M", "draws behind each confidence, for log_loss_smoothed"},
        {"mode", 0, SC_CLI_TEXT, &mode, "exact|relplot", "which SmoothECE is printed as smece (exact)"},
        {"curve", 0, SC_CLI_TEXT, &curve, "FILE", "also write the smoothed accuracy and the best tilts tau(c) as CSV"},
    };
    static const sc_cli_usage usage = {"calibrate", "PAIRS.csv", "calibration of a table of (confidence, correct)",
                                       1,           1,           details};
    semcal_status status = sc_cli_parse(&n_operands, operands, &help, &usage, options, sizeof options / sizeof *options,
                                        argc, argv, error);
    if (status != SEMCAL_OK || help) {
        return status;
    }
    if (bootstrap < 0 || floor < 0 || gaps < 0 || seed < 0 || draws < 0) {
        return sc_error_set(error, SEMCAL_E_CONFIG,
                            "--bootstrap, --floor, --gaps, --seed and --draws must not be negative");
    }
    if (folds < 2) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "--folds must be at least 2, is %ld", folds);
    }
    if (strcmp(mode, "exact") != 0 && strcmp(mode, "relplot") != 0) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "--mode: '%s' is neither exact nor relplot", mode);
    }
    how.seed = (uint64_t)seed;
    how.n_bootstrap = (size_t)bootstrap;
    how.n_floor = (size_t)floor;
    how.n_draws = (size_t)draws;
    how.n_gap = (size_t)gaps;
    how.n_folds = (size_t)folds;
    how.relplot = strcmp(mode, "relplot") == 0;
    double *c = NULL, *a = NULL;
    size_t n = 0;
    sc_calibration result;
    status = read_pairs(&c, &a, &n, operands[0], error);
    if (status == SEMCAL_OK) {
        status = sc_calibration_compute(&result, c, a, n, &how, error);
    }
    if (status == SEMCAL_OK && curve != NULL) {
        status = sc_calibrate_write_curve(curve, c, a, n, result.smece_sigma, error);
    }
    if (status == SEMCAL_OK) {
        if (json) {
            status = print_json(&result, mode, error);
        } else {
            print_table(&result);
            print_gaps(&result);
        }
    }
    free(c);
    free(a);
    return status;
}

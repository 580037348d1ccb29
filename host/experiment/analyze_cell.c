/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/analyze_cell.h"

#include "base/memory.h"
#include "base/numeric.h"
#include "experiment/plan.h"
#include "experiment/store.h"
#include "statistics/binned.h"
#include "statistics/certified.h"
#include "statistics/classwise.h"
#include "statistics/smece.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Question-level columns an analysis reads. */
enum column {
    CONFIDENCE_FREQUENCY,
    CORRECT,
    CONFIDENCE_SPLIT,
    CORRECT_SPLIT,
    CONFIDENCE_MASS,
    CORRECT_MASS,
    MASS_FOUND,
    CORRECT_KNOWN,
    TRUNCATED,
    UNPARSED,
    ENTROPY,
    ENTROPY_COUNTS,
    TOKENS_DRAWN,
    CONFIDENCE_EXACT,
    CORRECT_EXACT,
    EXACT_LOWER,
    EXACT_UPPER,
    EXACT_UNEXPLORED,
    MODE_CERTAIN,
    CONFIDENCE_HYBRID,
    CORRECT_HYBRID,
    N_READ
};
static const char *const column_names[N_READ] = {"confidence_frequency",
                                                 "correct",
                                                 "confidence_split",
                                                 "correct_split",
                                                 "confidence_mass",
                                                 "correct_mass",
                                                 "mass_found",
                                                 "correct_known",
                                                 "truncated",
                                                 "unparsed",
                                                 "semantic_entropy",
                                                 "semantic_entropy_counts",
                                                 "tokens_drawn",
                                                 "confidence_exact",
                                                 "correct_exact",
                                                 "exact_lower",
                                                 "exact_upper",
                                                 "exact_unexplored",
                                                 "mode_certain",
                                                 "confidence_hybrid",
                                                 "correct_hybrid"};

typedef struct reading {
    const sc_config *config;
    const sc_cell *cell;
    sc_store_cell *file;
    sc_store_products products;
    unsigned n_splits; /* behind its split estimator */
    double *columns[N_READ];
    size_t n;
    double *c, *a; /* pairs of the estimator at hand */
    size_t n_pairs;
} reading;

const char *sc_analysis_estimator_name(int estimator)
{
    static const char *const names[SC_ANALYSIS_N_ESTIMATORS] = {"frequency", "split", "mass", "exact", "hybrid"};
    return names[estimator];
}

static double mean_of(const double *x, size_t n)
{
    sc_sum sum = {0, 0};
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (isfinite(x[i])) {
            sc_sum_add(&sum, x[i]);
            used++;
        }
    }
    return used > 0 ? sc_sum_value(&sum) / (double)used : NAN;
}

static double sd_of(const double *x, size_t n)
{
    double mean = mean_of(x, n);
    sc_sum sum = {0, 0};
    for (size_t i = 0; i < n; i++) {
        sc_sum_add(&sum, (x[i] - mean) * (x[i] - mean));
    }
    return n > 1 ? sqrt(sc_sum_value(&sum) / (double)(n - 1)) : NAN;
}

/* A column that a file lacks (another version, an optional one) is all NaN. */
static semcal_status read_column(reading *r, double **column, const char *name, semcal_error *error)
{
    for (size_t i = 0; i < r->products.n_columns; i++) {
        const sc_store_column *from = &r->products.columns[i];
        if (strcmp(from->name, name) == 0 && from->kind == SC_STORE_REAL) {
            *column = sc_memory_alloc(r->n, sizeof **column, error);
            if (*column == NULL) {
                return SEMCAL_E_MEMORY;
            }
            memcpy(*column, from->reals, r->n * sizeof **column);
            return SEMCAL_OK;
        }
    }
    return sc_error_set(error, SEMCAL_E_DATA, "the collapse '%s' has no '%s'; apply it again with 'semcal collapse'",
                        r->products.collapse, name);
}

/* Pairs of an estimator: those it has, and for mass and exact only where enough was found: the middle of wide bounds is
 * no confidence. */
static void choose_pairs(reading *r, int estimator)
{
    static const enum column confidence[] = {CONFIDENCE_FREQUENCY, CONFIDENCE_SPLIT, CONFIDENCE_MASS, CONFIDENCE_EXACT,
                                             CONFIDENCE_HYBRID};
    static const enum column correct[] = {CORRECT, CORRECT_SPLIT, CORRECT_MASS, CORRECT_EXACT, CORRECT_HYBRID};
    const double *c = r->columns[confidence[estimator]], *a = r->columns[correct[estimator]];
    r->n_pairs = 0;
    for (size_t i = 0; i < r->n; i++) {
        double found = estimator == SC_ANALYSIS_MASS    ? r->columns[MASS_FOUND][i]
                       : estimator == SC_ANALYSIS_EXACT ? 1 - r->columns[EXACT_UNEXPLORED][i]
                                                        : 1;
        bool reliable = found >= r->config->analyze.reliable_mass;
        if (reliable && isfinite(c[i]) && isfinite(a[i])) {
            r->c[r->n_pairs] = c[i] > 1 ? 1 : c[i];
            r->a[r->n_pairs++] = a[i];
        }
    }
}

/* Of the frequency and the split row, where they have questions. The others have next to no bias of their own: their
 * model floor is the noise floor. */
static semcal_status model_floors(sc_analysis_cell *out, const reading *r, semcal_error *error)
{
    const sc_store_products *p = &r->products;
    size_t n_classes = p->first_class[r->n];
    double *probability = sc_memory_alloc(n_classes, sizeof *probability, error);
    bool *never = sc_memory_alloc(n_classes, sizeof *never, error);
    semcal_status status = probability == NULL || never == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t k = 0; k < n_classes && status == SEMCAL_OK; k++) {
        probability[k] = (double)p->class_count[k] / (double)p->n_draws;
        never[k] = p->class_label[k][0] == '\0';
    }
    if (status == SEMCAL_OK) {
        const sc_class_laws laws = {r->n, p->first_class, probability, never};
        const sc_floor_options options = {.seed = (uint64_t)r->config->seed,
                                          .name = r->cell->name,
                                          .n_redraws = (size_t)r->config->analyze.floor_redraws,
                                          .n_splits = r->n_splits};
        sc_floor floors[2];
        status = sc_floors_model_both(floors, &laws, p->n_draws, &options, error);
        for (int k = 0; k < 2 && status == SEMCAL_OK; k++) {
            sc_analysis_row *row = &out->rows[k == SC_FLOOR_SPLIT ? SC_ANALYSIS_SPLIT : SC_ANALYSIS_FREQUENCY];
            row->model_floor = row->calibration.n > 0 ? floors[k] : row->model_floor;
        }
    }
    free(probability);
    free(never);
    return status;
}

static void row_unknown(sc_analysis_row *row)
{
    *row = (sc_analysis_row){.model_floor = {NAN, NAN, NAN}};
    for (size_t i = 0; i < SC_ANALYSIS_CURVE; i++) {
        row->curve[i] = row->density[i] = row->tilt_lipschitz[i] = row->tilt_isotonic[i] = NAN;
    }
}

/* The tilts that lower the log loss most, as curves over the confidence. */
static semcal_status best_tilts(sc_analysis_row *row, const reading *r, semcal_error *error)
{
    static const sc_gap_family families[] = {SC_GAP_LIPSCHITZ, SC_GAP_ISOTONIC};
    double *const curves[] = {row->tilt_lipschitz, row->tilt_isotonic};
    sc_pool pool = {0};
    semcal_status status = sc_pool_make(&pool, r->c, r->a, NULL, r->n_pairs, error);
    for (size_t k = 0; k < 2 && status == SEMCAL_OK; k++) {
        sc_gap_tilt tilt = {0};
        double gap;
        status = sc_gap_fit(&tilt, &gap, NULL, families[k], &pool, error);
        for (size_t i = 0; i < SC_ANALYSIS_CURVE && status == SEMCAL_OK; i++) {
            curves[k][i] = sc_gap_tilt_at(&tilt, (double)i / (SC_ANALYSIS_CURVE - 1));
        }
        sc_gap_free(&tilt);
    }
    sc_pool_free(&pool);
    return status;
}

static size_t gap_replicates(const sc_config_analyze *settings)
{
    return settings->bootstrap < 200 ? (size_t)settings->bootstrap : 200;
}

static semcal_status analyze_row(sc_analysis_row *row, reading *r, int estimator, semcal_error *error)
{
    row_unknown(row);
    choose_pairs(r, estimator);
    if (r->n_pairs == 0) {
        return SEMCAL_OK;
    }
    const sc_config_analyze *settings = &r->config->analyze;
    sc_calibration_options options = SC_CALIBRATION_OPTIONS_INIT;
    options.seed = (uint64_t)r->config->seed;
    options.name = r->cell->name;
    options.n_bootstrap = (size_t)settings->bootstrap;
    options.n_floor = (size_t)settings->floor_redraws;
    options.n_draws = r->products.n_draws;
    options.n_folds = (size_t)settings->folds;
    options.n_gap = gap_replicates(settings);
    semcal_status status = sc_calibration_compute(&row->calibration, r->c, r->a, r->n_pairs, &options, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    row->confidence_sd = sd_of(r->c, r->n_pairs);
    if (status == SEMCAL_OK) {
        double t[SC_ANALYSIS_CURVE], width = row->calibration.smece_sigma;
        for (size_t i = 0; i < SC_ANALYSIS_CURVE; i++) {
            t[i] = (double)i / (SC_ANALYSIS_CURVE - 1);
        }
        status = sc_smece_curve(row->curve, row->density, t, SC_ANALYSIS_CURVE, width > .01 ? width : .01, r->c, r->a,
                                NULL, r->n_pairs, error);
    }
    if (status == SEMCAL_OK) {
        status = best_tilts(row, r, error);
    }
    return status;
}

/* Against the known law: the label noise is gone, what remains is the model's. */
static semcal_status analyze_known(sc_analysis_cell *out, reading *r, semcal_error *error)
{
    const double *c = r->columns[CONFIDENCE_FREQUENCY], *known = r->columns[CORRECT_KNOWN];
    out->accuracy_known = out->smece_known = out->overconfidence_known = out->pgap_known_lipschitz = NAN;
    r->n_pairs = 0;
    for (size_t i = 0; i < r->n; i++) {
        if (isfinite(known[i])) {
            r->c[r->n_pairs] = c[i];
            r->a[r->n_pairs++] = known[i];
        }
    }
    if (r->n_pairs < r->n || r->n == 0) {
        return SEMCAL_OK;
    }
    out->accuracy_known = mean_of(r->a, r->n);
    out->overconfidence_known = mean_of(r->c, r->n) - out->accuracy_known;
    sc_pool pool = {0};
    semcal_status status = sc_smece_exact(&out->smece_known, r->c, r->a, NULL, r->n, error);
    if (status == SEMCAL_OK) {
        status = sc_pool_make(&pool, r->c, r->a, NULL, r->n, error);
    }
    if (status == SEMCAL_OK) {
        sc_gap_tilt tilt = {0};
        status = sc_gap_fit(&tilt, &out->pgap_known_lipschitz, NULL, SC_GAP_LIPSCHITZ, &pool, error);
        sc_gap_free(&tilt);
        sc_pool_free(&pool);
    }
    return status;
}

/* What the enumeration makes certain. */
static semcal_status analyze_certified(sc_analysis_cell *out, reading *r, semcal_error *error)
{
    const double *lower = r->columns[EXACT_LOWER], *upper = r->columns[EXACT_UPPER];
    out->mode_certain = mean_of(r->columns[MODE_CERTAIN], r->n);
    out->exact_unexplored = mean_of(r->columns[EXACT_UNEXPLORED], r->n);
    out->exact_width = mean_of(upper, r->n) - mean_of(lower, r->n);
    out->smece_certified[0] = out->smece_certified[1] = NAN;
    for (size_t i = 0; i < r->n; i++) {
        if (isnan(lower[i])) {
            return SEMCAL_OK;
        }
    }
    return sc_certified_smece(out->smece_certified, .05, lower, upper, r->columns[CORRECT_EXACT], r->n, error);
}

/* Laws by smoothed frequency. The answer's class is the mode where several classes are right and the mode is one of
 * them. */
static semcal_status analyze_full(sc_analysis_cell *out, const reading *r, double *probability, int32_t *reference,
                                  semcal_error *error)
{
    const sc_store_products *p = &r->products;
    for (size_t q = 0; q < r->n; q++) {
        int32_t mode = p->mode_class[q];
        bool right = mode >= 0 && p->class_correct[p->first_class[q] + (size_t)mode];
        reference[q] = right ? mode : reference[q];
        size_t first = p->first_class[q];
        sc_family_smooth(probability + first, (const uint32_t *)p->class_count + first, p->first_class[q + 1] - first,
                         p->n_draws);
    }
    const sc_config_analyze *settings = &r->config->analyze;
    const sc_family_laws laws = {r->n, p->first_class, probability, reference, p->mode_class};
    const sc_family_options options = {.seed = (uint64_t)r->config->seed,
                                       .name = r->cell->name,
                                       .n_replicates = gap_replicates(settings),
                                       .n_folds = (size_t)settings->folds,
                                       .n_draws = p->n_draws};
    return sc_family_compute(&out->full, &laws, &options, error);
}

static semcal_status analyze_classes(sc_analysis_cell *out, const reading *r, semcal_error *error)
{
    const sc_store_products *p = &r->products;
    size_t n_classes = p->first_class[r->n];
    double *probability = sc_memory_alloc(n_classes, sizeof *probability, error);
    int32_t *reference = sc_memory_alloc(r->n, sizeof *reference, error);
    semcal_status status = probability == NULL || reference == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t q = 0; q < r->n && status == SEMCAL_OK; q++) {
        reference[q] = -1;
        for (size_t k = p->first_class[q]; k < p->first_class[q + 1]; k++) {
            probability[k] = (double)p->class_count[k] / (double)p->n_draws;
            if (p->class_correct[k] && reference[q] < 0) {
                reference[q] = (int32_t)(k - p->first_class[q]);
            }
        }
    }
    if (status == SEMCAL_OK) {
        status = sc_classwise_smece(&out->smece_classwise, r->n, p->first_class, probability, reference, error);
    }
    if (status == SEMCAL_OK) {
        status = analyze_full(out, r, probability, reference, error);
    }
    free(probability);
    free(reference);
    return status;
}

static semcal_status sum_column(double *sum, sc_store_cell *file, const char *name, size_t n, semcal_error *error)
{
    double *values = NULL;
    *sum = NAN;
    semcal_status status = sc_store_cell_column(&values, file, name, error);
    if (status == SEMCAL_OK) {
        sc_sum total = {0, 0};
        for (size_t i = 0; i < n; i++) {
            sc_sum_add(&total, values[i]);
        }
        *sum = sc_sum_value(&total);
    }
    free(values);
    return status;
}

/* What the draws cost, and the reference's log-probability. */
static semcal_status analyze_cost(sc_analysis_cell *out, const reading *r, semcal_error *error)
{
    double *logprob = NULL;
    out->draw_tokens = mean_of(r->columns[TOKENS_DRAWN], r->n) * (double)r->n;
    semcal_status status = sum_column(&out->forward_tokens, r->file, "forward_tokens", r->n, error);
    if (status == SEMCAL_OK) {
        out->draws_per_forward = out->draw_tokens / out->forward_tokens;
        status = sc_store_cell_column(&logprob, r->file, "logprob_reference", error);
    }
    if (status == SEMCAL_OK) {
        out->logprob_reference = mean_of(logprob, r->n);
    }
    free(logprob);
    return status;
}

static semcal_status describe(sc_analysis_cell *out, const reading *r, semcal_error *error)
{
    const sc_cell *cell = r->cell;
    out->name = sc_memory_strdup(cell->name, error);
    out->model = sc_memory_strdup(cell->model->name, error);
    out->model_kind = sc_memory_strdup(cell->model->kind != NULL ? cell->model->kind : "", error);
    out->dataset = sc_memory_strdup(cell->dataset->name, error);
    out->style = sc_memory_strdup(cell->style->name, error);
    out->collapse = sc_memory_strdup(r->products.collapse, error);
    out->temperature = cell->temperature;
    out->draws = (int64_t)r->products.n_draws;
    out->n_questions = r->n;
    bool complete = out->name && out->model && out->model_kind && out->dataset && out->style && out->collapse;
    return complete ? SEMCAL_OK : SEMCAL_E_MEMORY;
}

static semcal_status analyze_numbers(sc_analysis_cell *out, reading *r, semcal_error *error)
{
    out->truncated = mean_of(r->columns[TRUNCATED], r->n);
    out->unparsed = mean_of(r->columns[UNPARSED], r->n);
    out->flagged = out->truncated > r->config->analyze.flag_share || out->unparsed > r->config->analyze.flag_share;
    out->semantic_entropy = mean_of(r->columns[ENTROPY], r->n);
    out->semantic_entropy_counts = mean_of(r->columns[ENTROPY_COUNTS], r->n);
    out->mass_found = mean_of(r->columns[MASS_FOUND], r->n);
    size_t reliable = 0;
    for (size_t i = 0; i < r->n; i++) {
        reliable += r->columns[MASS_FOUND][i] >= r->config->analyze.reliable_mass;
    }
    out->mass_reliable = r->n > 0 ? (double)reliable / (double)r->n : NAN;
    semcal_status status = analyze_cost(out, r, error);
    if (status == SEMCAL_OK) {
        status = analyze_classes(out, r, error);
    }
    if (status == SEMCAL_OK) {
        status = analyze_known(out, r, error);
    }
    if (status == SEMCAL_OK) {
        status = analyze_certified(out, r, error);
    }
    if (status == SEMCAL_OK) {
        /* AUROC needs a score in [0, 1] that rises with confidence: exp(-entropy). */
        for (size_t i = 0; i < r->n; i++) {
            r->c[i] = exp(-r->columns[ENTROPY_COUNTS][i]);
        }
        status = sc_binned_auroc(&out->auroc_entropy, r->c, r->columns[CORRECT], r->n, error);
    }
    for (int e = 0; e < SC_ANALYSIS_N_ESTIMATORS && status == SEMCAL_OK; e++) {
        status = analyze_row(&out->rows[e], r, e, error);
        if (status != SEMCAL_OK) {
            sc_error_where(error, "estimator %s", sc_analysis_estimator_name(e));
        }
    }
    bool floors = r->config->analyze.floor_redraws > 0 && r->products.n_draws > 1 && r->n > 0;
    if (status == SEMCAL_OK && floors) {
        status = model_floors(out, r, error);
    }
    return status;
}

semcal_status sc_analysis_cell_make(sc_analysis_cell *out, const sc_config *config, const sc_cell *cell,
                                    const char *path, const char *collapse, semcal_error *error)
{
    reading r = {.config = config, .cell = cell};
    semcal_status status = sc_store_cell_open(&r.file, path, error);
    if (status == SEMCAL_OK) {
        r.n = (size_t)sc_store_cell_facts(r.file)->n_questions;
        status = sc_store_read_products(&r.products, r.file, collapse, error);
    }
    const bool is_read = status == SEMCAL_OK;
    if (status == SEMCAL_OK) {
        status = sc_store_collapse_splits(&r.n_splits, r.file, r.products.collapse, error);
    }
    for (size_t i = 0; i < N_READ && status == SEMCAL_OK; i++) {
        status = read_column(&r, &r.columns[i], column_names[i], error);
    }
    if (status == SEMCAL_OK) {
        r.c = sc_memory_alloc(r.n, sizeof *r.c, error);
        r.a = sc_memory_alloc(r.n, sizeof *r.a, error);
        status = r.c == NULL || r.a == NULL ? SEMCAL_E_MEMORY : describe(out, &r, error);
    }
    if (status == SEMCAL_OK) {
        status = analyze_numbers(out, &r, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_analysis_mechanism_make(&out->mechanism, path, r.products.collapse, (uint64_t)config->seed,
                                            cell->name, (size_t)config->analyze.bootstrap, error);
    }
    if (status != SEMCAL_OK && is_read) { /* what reads the file names it already */
        sc_error_where(error, "%s", path);
    }
    for (size_t i = 0; i < N_READ; i++) {
        free(r.columns[i]);
    }
    free(r.c);
    free(r.a);
    sc_store_products_free(&r.products);
    sc_store_cell_close(&r.file);
    return status;
}

void sc_analysis_cell_free(sc_analysis_cell *cell)
{
    free(cell->name);
    free(cell->model);
    free(cell->model_kind);
    free(cell->dataset);
    free(cell->style);
    free(cell->collapse);
    sc_analysis_mechanism_free(&cell->mechanism);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers of an analysis by name: one row here is one column of tables, one JSON key, one HDF5 variable. A row
 * without questions has no numbers: NaN, null. */
#include "experiment/analyze.h"

#include "base/file.h"
#include "base/memory.h"
#include "formats/h5.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Puts a number back where it was taken from; a count that is not a number is 0. */
#define RESTORE(place, number)                                                                                         \
    ((place) = _Generic((place), double                                                                                \
                        : (number), bool                                                                               \
                        : (number) > 0, int64_t                                                                        \
                        : isfinite(number) ? (int64_t)(number) : 0, size_t                                             \
                        : isfinite(number) ? (size_t)(number) : 0))
/* Whether a member is counted in whole numbers. */
#define IS_COUNT(member) _Generic((member), double : 0, default : 1)
#define CELL_OF(name, member)                                                                                          \
    enum { cell_count_##name = IS_COUNT(((sc_analysis_cell *)0)->member) };                                            \
    static double cell_##name(const sc_analysis_cell *cell)                                                            \
    {                                                                                                                  \
        return (double)cell->member;                                                                                   \
    }                                                                                                                  \
    static void restore_cell_##name(sc_analysis_cell *cell, double number)                                             \
    {                                                                                                                  \
        RESTORE(cell->member, number);                                                                                 \
    }
#define CELL(member) CELL_OF(member, member)
#define PAIRS(name, expression)                                                                                        \
    enum { row_count_##name = IS_COUNT(((sc_analysis_row *)0)->expression) };                                          \
    static double row_##name(const sc_analysis_row *row)                                                               \
    {                                                                                                                  \
        return row->calibration.n == 0 ? (double)NAN : (double)(row->expression);                                      \
    }                                                                                                                  \
    static void restore_row_##name(sc_analysis_row *row, double number)                                                \
    {                                                                                                                  \
        RESTORE(row->expression, number);                                                                              \
    }

CELL(temperature)
CELL(draws)
CELL(n_questions)
CELL(truncated)
CELL(unparsed)
CELL(flagged)
CELL(draw_tokens)
CELL(forward_tokens)
CELL(draws_per_forward)
CELL(mass_found)
CELL(mass_reliable)
CELL(semantic_entropy)
CELL(semantic_entropy_counts)
CELL(auroc_entropy)
CELL(logprob_reference)
CELL(mode_certain)
CELL(exact_unexplored)
CELL(exact_width)
CELL_OF(smece_certified_lower, smece_certified[0])
CELL_OF(smece_certified_upper, smece_certified[1])
CELL(smece_classwise)
CELL(accuracy_known)
CELL(overconfidence_known)
CELL(smece_known)
CELL(pgap_known_lipschitz)
CELL_OF(pgap_full, full.gap)
CELL_OF(pgap_full_crossfit, full.crossfit)
CELL_OF(pgap_full_low, full.interval[0])
CELL_OF(pgap_full_high, full.interval[1])
CELL_OF(pgap_full_floor, full.floor)
CELL_OF(pgap_full_floor_95, full.floor_95)
CELL_OF(pgap_full_unseen, full.n_unseen)
enum { row_count_n = 1 };
static double row_n(const sc_analysis_row *row)
{
    return (double)row->calibration.n;
}
static void restore_row_n(sc_analysis_row *row, double number)
{
    RESTORE(row->calibration.n, number);
}
PAIRS(accuracy, calibration.accuracy)
PAIRS(accuracy_low, calibration.accuracy_ci[0])
PAIRS(accuracy_high, calibration.accuracy_ci[1])
PAIRS(mean_confidence, calibration.mean_confidence)
PAIRS(confidence_sd, confidence_sd)
PAIRS(overconfidence, calibration.overconfidence)
PAIRS(overconfidence_low, calibration.overconfidence_ci[0])
PAIRS(overconfidence_high, calibration.overconfidence_ci[1])
PAIRS(smece, calibration.smece)
PAIRS(smece_sigma, calibration.smece_sigma)
PAIRS(smece_005, calibration.smece_005)
PAIRS(smece_low, calibration.smece_ci[0])
PAIRS(smece_high, calibration.smece_ci[1])
PAIRS(smece_floor, calibration.smece_floor)
PAIRS(smece_floor_95, calibration.smece_floor_95)
PAIRS(smece_model_floor, model_floor.mean)
PAIRS(smece_model_floor_95, model_floor.point_95)
PAIRS(overconfidence_model_floor, model_floor.overconfidence)
PAIRS(smece_relplot, calibration.smece_relplot)
PAIRS(ece_10, calibration.ece_10)
PAIRS(brier, calibration.brier)
PAIRS(log_loss, calibration.log_loss)
PAIRS(log_loss_infinite, calibration.log_loss_infinite)
PAIRS(log_loss_smoothed, calibration.log_loss_smoothed)
PAIRS(auroc, calibration.auroc)
PAIRS(smce, calibration.smce)
PAIRS(smce_low, calibration.pgap_spread.smooth_interval[SC_GAP_SMCE][0])
PAIRS(smce_high, calibration.pgap_spread.smooth_interval[SC_GAP_SMCE][1])
PAIRS(smce_floor, calibration.pgap_spread.smooth_floor[SC_GAP_SMCE])
PAIRS(smce_floor_95, calibration.pgap_spread.smooth_floor_95[SC_GAP_SMCE])
PAIRS(dsmce, calibration.dsmce)
PAIRS(dsmce_low, calibration.pgap_spread.smooth_interval[SC_GAP_DSMCE][0])
PAIRS(dsmce_high, calibration.pgap_spread.smooth_interval[SC_GAP_DSMCE][1])
PAIRS(dsmce_floor, calibration.pgap_spread.smooth_floor[SC_GAP_DSMCE])
PAIRS(dsmce_floor_95, calibration.pgap_spread.smooth_floor_95[SC_GAP_DSMCE])
PAIRS(pgap_shift, calibration.pgap[SC_GAP_SHIFT])
PAIRS(pgap_shift_crossfit, calibration.pgap_crossfit[SC_GAP_SHIFT])
PAIRS(pgap_shift_low, calibration.pgap_spread.interval[SC_GAP_SHIFT][0])
PAIRS(pgap_shift_high, calibration.pgap_spread.interval[SC_GAP_SHIFT][1])
PAIRS(pgap_shift_floor, calibration.pgap_spread.floor[SC_GAP_SHIFT])
PAIRS(pgap_shift_floor_95, calibration.pgap_spread.floor_95[SC_GAP_SHIFT])
PAIRS(pgap_affine, calibration.pgap[SC_GAP_AFFINE])
PAIRS(pgap_affine_crossfit, calibration.pgap_crossfit[SC_GAP_AFFINE])
PAIRS(pgap_affine_low, calibration.pgap_spread.interval[SC_GAP_AFFINE][0])
PAIRS(pgap_affine_high, calibration.pgap_spread.interval[SC_GAP_AFFINE][1])
PAIRS(pgap_affine_floor, calibration.pgap_spread.floor[SC_GAP_AFFINE])
PAIRS(pgap_affine_floor_95, calibration.pgap_spread.floor_95[SC_GAP_AFFINE])
PAIRS(pgap_lipschitz, calibration.pgap[SC_GAP_LIPSCHITZ])
PAIRS(pgap_lipschitz_crossfit, calibration.pgap_crossfit[SC_GAP_LIPSCHITZ])
PAIRS(pgap_lipschitz_low, calibration.pgap_spread.interval[SC_GAP_LIPSCHITZ][0])
PAIRS(pgap_lipschitz_high, calibration.pgap_spread.interval[SC_GAP_LIPSCHITZ][1])
PAIRS(pgap_lipschitz_floor, calibration.pgap_spread.floor[SC_GAP_LIPSCHITZ])
PAIRS(pgap_lipschitz_floor_95, calibration.pgap_spread.floor_95[SC_GAP_LIPSCHITZ])
PAIRS(pgap_isotonic, calibration.pgap[SC_GAP_ISOTONIC])
PAIRS(pgap_isotonic_crossfit, calibration.pgap_crossfit[SC_GAP_ISOTONIC])
PAIRS(pgap_isotonic_low, calibration.pgap_spread.interval[SC_GAP_ISOTONIC][0])
PAIRS(pgap_isotonic_high, calibration.pgap_spread.interval[SC_GAP_ISOTONIC][1])
PAIRS(pgap_isotonic_floor, calibration.pgap_spread.floor[SC_GAP_ISOTONIC])
PAIRS(pgap_isotonic_floor_95, calibration.pgap_spread.floor_95[SC_GAP_ISOTONIC])
PAIRS(pgap_sq, calibration.pgap[SC_GAP_SQUARE])
PAIRS(pgap_sq_crossfit, calibration.pgap_crossfit[SC_GAP_SQUARE])
PAIRS(pgap_sq_low, calibration.pgap_spread.interval[SC_GAP_SQUARE][0])
PAIRS(pgap_sq_high, calibration.pgap_spread.interval[SC_GAP_SQUARE][1])
PAIRS(pgap_sq_floor, calibration.pgap_spread.floor[SC_GAP_SQUARE])
PAIRS(pgap_sq_floor_95, calibration.pgap_spread.floor_95[SC_GAP_SQUARE])

#define OF_CELL(name, text, unit)                                                                                      \
    {                                                                                                                  \
#name, text, unit, cell_##name, NULL, restore_cell_##name, NULL, cell_count_##name                             \
    }
/* Sums of counts, kept as double. */
#define OF_CELL_TOKENS(name, text, unit)                                                                               \
    {                                                                                                                  \
#name, text, unit, cell_##name, NULL, restore_cell_##name, NULL, true                                          \
    }
#define OF_ROW(name, text, unit)                                                                                       \
    {                                                                                                                  \
#name, text, unit, NULL, row_##name, NULL, restore_row_##name, row_count_##name                                \
    }

const sc_analysis_field sc_analysis_fields[] = {
    OF_CELL(temperature, "sampling temperature", "1"),
    OF_CELL(draws, "responses drawn per question, M", "1"),
    OF_CELL(n_questions, "questions", "1"),
    OF_CELL(truncated, "share of draws cut at max_tokens", "1"),
    OF_CELL(unparsed, "share of draws in which no answer was found, those cut included", "1"),
    OF_CELL(flagged, "1 when truncated or unparsed is too large for the row to be trusted", "1"),
    OF_CELL_TOKENS(draw_tokens, "tokens drawn", "1"),
    OF_CELL_TOKENS(forward_tokens, "next-token laws evaluated for them", "1"),
    OF_CELL(draws_per_forward, "tokens drawn per law evaluated", "1"),
    OF_CELL(mass_found, "mean probability of the distinct responses found", "1"),
    OF_CELL(mass_reliable, "share of questions whose mass found suffices for the mass estimator", "1"),
    OF_CELL(semantic_entropy, "mean entropy over classes, by probabilities", "nat"),
    OF_CELL(semantic_entropy_counts, "mean entropy over classes, by counts", "nat"),
    OF_CELL(auroc_entropy, "area under the ROC curve of low semantic entropy (counts) for being right", "1"),
    OF_CELL(logprob_reference, "mean teacher-forced log-probability of the reference answer", "nat"),
    OF_CELL(mode_certain, "share of questions whose mode an enumeration makes certain", "1"),
    OF_CELL(exact_unexplored, "mean probability outside all responses known", "1"),
    OF_CELL(exact_width, "mean width of the certain bounds on the confidence", "1"),
    OF_CELL(smece_certified_lower, "certified lower bound on SmoothECE at width .05, open modes as worst case", "1"),
    OF_CELL(smece_certified_upper, "certified upper bound on SmoothECE at width .05, open modes as worst case", "1"),
    OF_CELL(smece_classwise, "class-wise SmoothECE, pooled over classes with weight (full calibration)", "1"),
    OF_CELL(accuracy_known, "mean known probability that the mode is right", "1"),
    OF_CELL(overconfidence_known, "mean confidence minus mean known probability", "1"),
    OF_CELL(smece_known, "SmoothECE against the known probability of being right, frequency estimator", "1"),
    OF_CELL(pgap_known_lipschitz,
            "loss gap against the known probability of being right, 1-Lipschitz tilt, frequency estimator", "nat"),
    OF_CELL(pgap_full, "loss gap, in sample: tilt of every class by its rank and log-probability", "nat"),
    OF_CELL(pgap_full_crossfit, "loss gap, cross-fitted: tilt of every class by its rank and log-probability", "nat"),
    OF_CELL(pgap_full_low, "pgap_full, lower end of the 95 % basic bootstrap interval", "nat"),
    OF_CELL(pgap_full_high, "pgap_full, upper end of the 95 % basic bootstrap interval", "nat"),
    OF_CELL(pgap_full_floor, "pgap_full when draws and answers are redrawn from the smoothed frequencies, mean", "nat"),
    OF_CELL(pgap_full_floor_95, "the same, 95 % point", "nat"),
    OF_CELL(pgap_full_unseen, "questions whose reference answer is in no class drawn", "1"),
    OF_ROW(n, "questions the estimator has", "1"),
    OF_ROW(accuracy, "share of questions whose mode is right", "1"),
    OF_ROW(accuracy_low, "accuracy, lower end of the 95 % bootstrap interval", "1"),
    OF_ROW(accuracy_high, "accuracy, upper end of the 95 % bootstrap interval", "1"),
    OF_ROW(mean_confidence, "mean semantic confidence", "1"),
    OF_ROW(confidence_sd, "standard deviation of the semantic confidence", "1"),
    OF_ROW(overconfidence, "mean confidence minus accuracy", "1"),
    OF_ROW(overconfidence_low, "overconfidence, lower end of the 95 % bootstrap interval", "1"),
    OF_ROW(overconfidence_high, "overconfidence, upper end of the 95 % bootstrap interval", "1"),
    OF_ROW(smece, "SmoothECE", "1"),
    OF_ROW(smece_sigma, "SmoothECE, kernel width selected", "1"),
    OF_ROW(smece_005, "SmoothECE at width .05", "1"),
    OF_ROW(smece_low, "SmoothECE, lower end of the 95 % basic bootstrap interval", "1"),
    OF_ROW(smece_high, "SmoothECE, upper end of the 95 % basic bootstrap interval", "1"),
    OF_ROW(smece_floor, "SmoothECE of a calibrated model with these confidences, mean (noise floor)", "1"),
    OF_ROW(smece_floor_95, "the same, 95 % point", "1"),
    OF_ROW(smece_model_floor, "SmoothECE when draws and answers are redrawn from the estimated laws, mean", "1"),
    OF_ROW(smece_model_floor_95, "the same, 95 % point", "1"),
    OF_ROW(overconfidence_model_floor, "overconfidence of such redraws: the estimator's own bias", "1"),
    OF_ROW(smece_relplot, "SmoothECE as the relplot package prints it", "1"),
    OF_ROW(ece_10, "expected calibration error, 10 equal bins", "1"),
    OF_ROW(brier, "Brier score", "1"),
    OF_ROW(log_loss, "log loss", "nat"),
    OF_ROW(log_loss_infinite, "questions with infinite log loss", "1"),
    OF_ROW(log_loss_smoothed, "log loss at (M c + 1/2)/(M + 1)", "nat"),
    OF_ROW(auroc, "area under the ROC curve of confidence for being right", "1"),
    OF_ROW(smce, "smooth calibration error", "1"),
    OF_ROW(smce_low, "smce, lower end of the 95 % basic bootstrap interval", "1"),
    OF_ROW(smce_high, "smce, upper end of the 95 % basic bootstrap interval", "1"),
    OF_ROW(smce_floor, "smce of a calibrated model with these confidences, mean", "1"),
    OF_ROW(smce_floor_95, "the same, 95 % point", "1"),
    OF_ROW(dsmce, "smooth calibration error, dual: witness 1/4-Lipschitz in the logit", "1"),
    OF_ROW(dsmce_low, "dsmce, lower end of the 95 % basic bootstrap interval", "1"),
    OF_ROW(dsmce_high, "dsmce, upper end of the 95 % basic bootstrap interval", "1"),
    OF_ROW(dsmce_floor, "dsmce of a calibrated model with these confidences, mean", "1"),
    OF_ROW(dsmce_floor_95, "the same, 95 % point", "1"),
    OF_ROW(pgap_shift, "loss gap, in sample: tilt by one number", "nat"),
    OF_ROW(pgap_shift_crossfit, "loss gap, cross-fitted: tilt by one number", "nat"),
    OF_ROW(pgap_shift_low, "pgap_shift, lower end of the 95 % basic bootstrap interval", "nat"),
    OF_ROW(pgap_shift_high, "pgap_shift, upper end of the 95 % basic bootstrap interval", "nat"),
    OF_ROW(pgap_shift_floor, "pgap_shift of a calibrated model with these confidences, mean", "nat"),
    OF_ROW(pgap_shift_floor_95, "the same, 95 % point", "nat"),
    OF_ROW(pgap_affine, "loss gap, in sample: affine tilt of the logit", "nat"),
    OF_ROW(pgap_affine_crossfit, "loss gap, cross-fitted: affine tilt of the logit", "nat"),
    OF_ROW(pgap_affine_low, "pgap_affine, lower end of the 95 % basic bootstrap interval", "nat"),
    OF_ROW(pgap_affine_high, "pgap_affine, upper end of the 95 % basic bootstrap interval", "nat"),
    OF_ROW(pgap_affine_floor, "pgap_affine of a calibrated model with these confidences, mean", "nat"),
    OF_ROW(pgap_affine_floor_95, "the same, 95 % point", "nat"),
    OF_ROW(pgap_lipschitz, "loss gap, in sample: 1-Lipschitz tilt of the logit", "nat"),
    OF_ROW(pgap_lipschitz_crossfit, "loss gap, cross-fitted: 1-Lipschitz tilt of the logit", "nat"),
    OF_ROW(pgap_lipschitz_low, "pgap_lipschitz, lower end of the 95 % basic bootstrap interval", "nat"),
    OF_ROW(pgap_lipschitz_high, "pgap_lipschitz, upper end of the 95 % basic bootstrap interval", "nat"),
    OF_ROW(pgap_lipschitz_floor, "pgap_lipschitz of a calibrated model with these confidences, mean", "nat"),
    OF_ROW(pgap_lipschitz_floor_95, "the same, 95 % point", "nat"),
    OF_ROW(pgap_isotonic, "loss gap, in sample: monotone recalibration", "nat"),
    OF_ROW(pgap_isotonic_crossfit, "loss gap, cross-fitted: monotone recalibration", "nat"),
    OF_ROW(pgap_isotonic_low, "pgap_isotonic, lower end of the 95 % basic bootstrap interval", "nat"),
    OF_ROW(pgap_isotonic_high, "pgap_isotonic, upper end of the 95 % basic bootstrap interval", "nat"),
    OF_ROW(pgap_isotonic_floor, "pgap_isotonic of a calibrated model with these confidences, mean", "nat"),
    OF_ROW(pgap_isotonic_floor_95, "the same, 95 % point", "nat"),
    OF_ROW(pgap_sq, "loss gap, in sample: squared loss, 1-Lipschitz change of the confidence", "1"),
    OF_ROW(pgap_sq_crossfit, "loss gap, cross-fitted: squared loss, 1-Lipschitz change of the confidence", "1"),
    OF_ROW(pgap_sq_low, "pgap_sq, lower end of the 95 % basic bootstrap interval", "1"),
    OF_ROW(pgap_sq_high, "pgap_sq, upper end of the 95 % basic bootstrap interval", "1"),
    OF_ROW(pgap_sq_floor, "pgap_sq of a calibrated model with these confidences, mean", "1"),
    OF_ROW(pgap_sq_floor_95, "the same, 95 % point", "1"),
};
const size_t sc_analysis_n_fields = sizeof sc_analysis_fields / sizeof *sc_analysis_fields;

/* ---- HDF5 ---- */

const sc_analysis_part sc_analysis_texts[SC_ANALYSIS_TEXTS] = {
    {"cell_name", "name of the cell", "", offsetof(sc_analysis_cell, name), false},
    {"model", "name of the model", "", offsetof(sc_analysis_cell, model), false},
    {"model_kind", "kind of the model", "", offsetof(sc_analysis_cell, model_kind), false},
    {"dataset", "name of the dataset", "", offsetof(sc_analysis_cell, dataset), false},
    {"style", "style of the answers", "", offsetof(sc_analysis_cell, style), false},
    {"collapse", "collapse B", "", offsetof(sc_analysis_cell, collapse), false},
};

const sc_analysis_part sc_analysis_curves[SC_ANALYSIS_CURVES] = {
    {"curve", "smoothed share of right answers at this confidence", "1", offsetof(sc_analysis_row, curve), false},
    {"density", "smoothed density of confidences", "1", offsetof(sc_analysis_row, density), false},
    {"tilt_lipschitz", "best 1-Lipschitz tilt tau of the logit of the confidence", "1",
     offsetof(sc_analysis_row, tilt_lipschitz), false},
    {"tilt_isotonic", "best tilt tau that keeps the order of confidences", "1",
     offsetof(sc_analysis_row, tilt_isotonic), false},
};

const sc_analysis_part sc_analysis_places[SC_ANALYSIS_PLACES] = {
    {"resolved_fraction_at", "fraction of the response", "1", offsetof(sc_analysis_place, at), false},
    {"resolved_by_fraction", "share of the uncertainty about the meaning that is gone there", "1",
     offsetof(sc_analysis_place, resolved), false},
    {"resolved_by_fraction_low", "lower end of its 95 % bootstrap interval", "1", offsetof(sc_analysis_place, low),
     false},
    {"resolved_by_fraction_high", "upper end of its 95 % bootstrap interval", "1", offsetof(sc_analysis_place, high),
     false},
    {"resolved_token_at", "tokens of the response", "1", offsetof(sc_analysis_place, at), true},
    {"resolved_by_token", "share of the uncertainty about the meaning that is gone there", "1",
     offsetof(sc_analysis_place, resolved), true},
    {"resolved_by_token_low", "lower end of its 95 % bootstrap interval", "1", offsetof(sc_analysis_place, low), true},
    {"resolved_by_token_high", "upper end of its 95 % bootstrap interval", "1", offsetof(sc_analysis_place, high),
     true},
};

static const char *text_of(const sc_analysis_cell *cell, size_t offset)
{
    const char *text;
    memcpy(&text, (const char *)cell + offset, sizeof text);
    return text;
}

static semcal_status write_texts(sc_h5 *file, const sc_analysis *analysis, semcal_error *error)
{
    const char **column = sc_memory_alloc(analysis->n_cells, sizeof *column, error);
    semcal_status status = column == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t i = 0; i < SC_ANALYSIS_TEXTS && status == SEMCAL_OK; i++) {
        for (size_t k = 0; k < analysis->n_cells; k++) {
            column[k] = text_of(&analysis->cells[k], sc_analysis_texts[i].offset);
        }
        const sc_h5_spec spec = {.path = sc_analysis_texts[i].name,
                                 .type = SC_H5_TEXT,
                                 .n_dims = 1,
                                 .dims = {"cell"},
                                 .long_name = sc_analysis_texts[i].long_name,
                                 .units = ""};
        status = sc_h5_make_dataset(file, &spec, error);
        if (status == SEMCAL_OK) {
            status = sc_h5_write(file, spec.path, SC_H5_TEXT, NULL, NULL, column, error);
        }
    }
    free(column);
    return status;
}

static semcal_status write_doubles(sc_h5 *file, const char *name, const char *long_name, const char *units,
                                   const char *const *dims, size_t n_dims, const double *values, semcal_error *error)
{
    sc_h5_spec spec = {.path = name, .type = SC_H5_F64, .n_dims = n_dims, .long_name = long_name, .units = units};
    for (size_t i = 0; i < n_dims; i++) {
        spec.dims[i] = dims[i];
    }
    semcal_status status = sc_h5_make_dataset(file, &spec, error);
    return status == SEMCAL_OK ? sc_h5_write(file, name, SC_H5_F64, NULL, NULL, values, error) : status;
}

static semcal_status write_numbers(sc_h5 *file, const sc_analysis *analysis, semcal_error *error)
{
    const size_t n = analysis->n_cells, n_rows = SC_ANALYSIS_N_ESTIMATORS, n_points = SC_ANALYSIS_CURVE;
    const char *dims[3] = {"cell", "estimator", "curve_confidence"};
    double *values = sc_memory_alloc(n * n_rows * n_points, sizeof *values, error);
    semcal_status status = values == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t f = 0; f < sc_analysis_n_fields && status == SEMCAL_OK; f++) {
        const sc_analysis_field *field = &sc_analysis_fields[f];
        for (size_t k = 0; k < n; k++) {
            if (field->of_cell != NULL) {
                values[k] = field->of_cell(&analysis->cells[k]);
            }
            for (size_t e = 0; e < n_rows && field->of_row != NULL; e++) {
                values[k * n_rows + e] = field->of_row(&analysis->cells[k].rows[e]);
            }
        }
        status = write_doubles(file, field->name, field->long_name, field->units, dims, field->of_cell != NULL ? 1 : 2,
                               values, error);
    }
    for (size_t which = 0; which < SC_ANALYSIS_CURVES && status == SEMCAL_OK; which++) {
        const sc_analysis_part *part = &sc_analysis_curves[which];
        for (size_t k = 0; k < n; k++) {
            for (size_t e = 0; e < n_rows; e++) {
                const sc_analysis_row *row = &analysis->cells[k].rows[e];
                memcpy(values + (k * n_rows + e) * n_points, (const char *)row + part->offset,
                       n_points * sizeof *values);
            }
        }
        status = write_doubles(file, part->name, part->long_name, part->units, dims, 3, values, error);
    }
    free(values);
    return status;
}

/* The mechanism on (cell, mechanism_place), as long as the longest; only when some cell has one. */
static semcal_status write_mechanism(sc_h5 *file, const sc_analysis *analysis, semcal_error *error)
{
    const size_t n = analysis->n_cells;
    size_t width = 0;
    for (size_t k = 0; k < n; k++) {
        width = analysis->cells[k].mechanism.n_places > width ? analysis->cells[k].mechanism.n_places : width;
    }
    if (width == 0) {
        return SEMCAL_OK;
    }
    const char *dims[2] = {"cell", "mechanism_place"};
    double *values = sc_memory_alloc(n * width, sizeof *values, error);
    semcal_status status = values == NULL ? SEMCAL_E_MEMORY : sc_h5_make_dimension(file, dims[1], width, false, error);
    for (size_t v = 0; v < SC_ANALYSIS_PLACES && status == SEMCAL_OK; v++) {
        const sc_analysis_part *part = &sc_analysis_places[v];
        for (size_t i = 0; i < n * width; i++) {
            const sc_analysis_mechanism *m = &analysis->cells[i / width].mechanism;
            const sc_analysis_place *places = part->by_token ? m->by_token : m->by_fraction;
            values[i] = NAN;
            if (i % width < m->n_places) {
                memcpy(&values[i], (const char *)&places[i % width] + part->offset, sizeof *values);
            }
        }
        status = write_doubles(file, part->name, part->long_name, part->units, dims, 2, values, error);
    }
    static const char *const sizes[] = {"mechanism_questions", "mechanism_start", "mechanism_exact"};
    static const char *const long_names[] = {"questions whose mechanism was followed",
                                             "mean of c (1 - c), the uncertainty to be resolved",
                                             "share of prefixes whose law was enumerated, not forked"};
    for (size_t v = 0; v < 3 && status == SEMCAL_OK; v++) {
        for (size_t k = 0; k < n; k++) {
            const sc_analysis_mechanism *m = &analysis->cells[k].mechanism;
            values[k] = v == 0 ? (double)m->n_questions : m->n_places == 0 ? (double)NAN : v == 1 ? m->start : m->exact;
        }
        status = write_doubles(file, sizes[v], long_names[v], "1", dims, 1, values, error);
    }
    free(values);
    return status;
}

_Static_assert((int)SC_ANALYSIS_CURVE == (int)SC_TEXT_CURVE, "both kinds of cells share the curve's places");

static semcal_status write_curve_places(sc_h5 *file, semcal_error *error)
{
    static const char *const dims[1] = {"curve_confidence"};
    double places[SC_ANALYSIS_CURVE];
    for (size_t i = 0; i < SC_ANALYSIS_CURVE; i++) {
        places[i] = (double)i / (SC_ANALYSIS_CURVE - 1);
    }
    semcal_status status = sc_h5_make_dimension(file, dims[0], SC_ANALYSIS_CURVE, false, error);
    return status == SEMCAL_OK ? write_doubles(file, "curve_at", "confidence at which curve and density are taken", "1",
                                               dims, 1, places, error)
                               : status;
}

/* The semantic cells. */
static semcal_status write_cells(sc_h5 *file, const sc_analysis *analysis, semcal_error *error)
{
    const char *names[SC_ANALYSIS_N_ESTIMATORS];
    for (int e = 0; e < SC_ANALYSIS_N_ESTIMATORS; e++) {
        names[e] = sc_analysis_estimator_name(e);
    }
    semcal_status status = sc_h5_make_dimension(file, "cell", analysis->n_cells, false, error);
    if (status == SEMCAL_OK) {
        status = sc_h5_make_dimension(file, "estimator", SC_ANALYSIS_N_ESTIMATORS, false, error);
    }
    const sc_h5_spec spec = {.path = "estimator_name",
                             .type = SC_H5_TEXT,
                             .n_dims = 1,
                             .dims = {"estimator"},
                             .long_name = "estimator of semantic confidence",
                             .units = ""};
    if (status == SEMCAL_OK) {
        status = sc_h5_make_dataset(file, &spec, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_write(file, spec.path, SC_H5_TEXT, NULL, NULL, names, error);
    }
    if (status == SEMCAL_OK) {
        status = write_texts(file, analysis, error);
    }
    return status == SEMCAL_OK ? write_numbers(file, analysis, error) : status;
}

semcal_status sc_analysis_write(const char *path, const sc_analysis *analysis, semcal_error *error)
{
    sc_h5 *file = NULL;
    sc_text temporary = {0};
    semcal_status status = sc_text_printf(&temporary, error, "%s.tmp", path);
    if (status == SEMCAL_OK) {
        status = sc_h5_create(&file, temporary.data, error);
    }
    if (status != SEMCAL_OK) {
        sc_text_free(&temporary);
        return status;
    }
    status = sc_h5_set_text(file, "", "format", "semcal-analysis", error);
    if (status == SEMCAL_OK) {
        status = sc_h5_set_int(file, "", "format_version", 1, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_set_text(file, "", "semcal_version", semcal_version(), error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_set_text(file, "", "inputs_sha256", analysis->inputs, error);
    }
    if (status == SEMCAL_OK) {
        status =
            sc_h5_set_text(file, "", "collapse_wanted", analysis->collapse != NULL ? analysis->collapse : "", error);
    }
    if (status == SEMCAL_OK) {
        status = write_curve_places(file, error);
    }
    if (status == SEMCAL_OK && analysis->n_cells > 0) {
        status = write_cells(file, analysis, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_analysis_text_write(file, analysis->texts, analysis->n_texts, "curve_confidence", error);
    }
    if (status == SEMCAL_OK) {
        status = write_mechanism(file, analysis, error);
    }
    semcal_status closed = sc_h5_close(&file, status == SEMCAL_OK ? error : NULL);
    status = status == SEMCAL_OK ? closed : status;
    if (status == SEMCAL_OK) {
        status = sc_file_commit(temporary.data, path, error);
    }
    sc_text_free(&temporary);
    return status;
}

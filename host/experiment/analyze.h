/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the stored cells of a run say about calibration: every number of a cell's row, for each estimator of confidence.
 *
 * The first three estimators are those of statistics/estimators.h: `frequency` (the paper's), `split` (without
 * selection bias) and `mass` (only questions whose responses found carry enough probability). Where responses were
 * enumerated, `exact` (only questions whose mode is certain and whose responses carry enough) and `hybrid` of
 * statistics/exact.h stand beside them. Two floors stand beside every smECE: the noise floor, and the model floor,
 * which carries the estimator's own bias.
 */
#ifndef SC_EXPERIMENT_ANALYZE_H
#define SC_EXPERIMENT_ANALYZE_H

#include "base/log.h"
#include "experiment/analyze_mechanism.h"
#include "experiment/analyze_text.h"
#include "experiment/config.h"
#include "statistics/calibration.h"
#include "statistics/family.h"
#include "statistics/floors.h"

enum {
    SC_ANALYSIS_FREQUENCY,
    SC_ANALYSIS_SPLIT,
    SC_ANALYSIS_MASS,
    SC_ANALYSIS_EXACT,
    SC_ANALYSIS_HYBRID,
    SC_ANALYSIS_N_ESTIMATORS
};
enum { SC_ANALYSIS_CURVE = 201 }; /* points of the reliability curve, 0, .005, ..., 1 */

/* One estimator of one cell. calibration.n = 0: it could not be had, and no other number means anything. */
typedef struct sc_analysis_row {
    sc_calibration calibration;
    sc_floor model_floor;
    double confidence_sd; /* standard deviation of the confidences */
    double curve[SC_ANALYSIS_CURVE], density[SC_ANALYSIS_CURVE];
    double tilt_lipschitz[SC_ANALYSIS_CURVE], tilt_isotonic[SC_ANALYSIS_CURVE]; /* best tau at the same confidences */
} sc_analysis_row;

typedef struct sc_analysis_cell {
    char *name, *model, *model_kind, *dataset, *style, *collapse;
    double temperature;
    int64_t draws; /* M */
    size_t n_questions;
    double truncated, unparsed; /* shares of all draws */
    bool flagged;               /* one of them passes analyze.flag_share */
    double draw_tokens, forward_tokens, draws_per_forward;
    double mass_found;    /* mean over questions */
    double mass_reliable; /* share of questions whose mass found passes analyze.reliable_mass */
    double semantic_entropy_counts, semantic_entropy; /* means, nats */
    double auroc_entropy;     /* how well low semantic entropy (by counts) tells right answers from wrong */
    double logprob_reference; /* mean teacher-forced log-probability of the reference, nats; NaN: none */
    /* Where responses were enumerated (estimators exact and hybrid), else NaN. */
    double mode_certain;       /* share of questions whose mode is certain; the others have no exact confidence */
    double exact_unexplored;   /* mean probability outside all responses known */
    double exact_width;        /* mean width of the certain bounds on the confidence */
    double smece_certified[2]; /* certified bounds on SmoothECE at width .05 over all questions, those whose mode is not
                                  certain as worst case (statistics/certified.h) */
    double smece_classwise;    /* full calibration: all classes pooled, by frequency */
    /* With the known law of answers in place of one drawn answer (no label noise); NaN: unknown. */
    double accuracy_known, smece_known, overconfidence_known, pgap_known_lipschitz;
    sc_family_gap full;              /* loss gap of tilts of all classes, laws by smoothed frequency */
    sc_analysis_mechanism mechanism; /* how early responses decide, where the run followed it */
    sc_analysis_row rows[SC_ANALYSIS_N_ESTIMATORS];
} sc_analysis_cell;

typedef struct sc_analysis {
    sc_analysis_cell *cells;
    size_t n_cells;
    sc_analysis_text *texts; /* text cells: next-token calibration */
    size_t n_texts;
    char **missing; /* cells of the plan that are not finished */
    size_t n_missing;
    char **failed; /* "where: what" of the cells that could not be analysed; the others stand */
    size_t n_failed;
    char inputs[65]; /* digest of what it was made of, "" when some cell failed */
    char *collapse;  /* the collapse it was asked for, NULL: the active one of each cell */
} sc_analysis;

typedef struct sc_analyze_options {
    const char *collapse; /* which collapse of the cells; NULL: the active one */
    sc_log_sink sink;
    void *payload;
} sc_analyze_options;

/* Analyses every finished cell of the run folder and writes RUN/analysis.h5. SEMCAL_E_DATA when there is none. */
semcal_status sc_analyze(sc_analysis *analysis, const char *folder, const sc_analyze_options *options,
                         semcal_error *error);
void sc_analysis_free(sc_analysis *analysis);

/* ---- the stored analysis (analyze_read.c) ---- */

/* The analysis of a run: RUN/analysis.h5 when it was made of the files that are there, with this version of the
 * program, for options->collapse (or for any collapse when `any` is set); else made now, as sc_analyze does. */
semcal_status sc_analysis_get(sc_analysis *analysis, const char *folder, bool any, const sc_analyze_options *options,
                              semcal_error *error);

/* Reads an analysis file; what does not stand in it (missing, failed cells) is empty. */
semcal_status sc_analysis_read(sc_analysis *analysis, const char *path, semcal_error *error);

/* SEMCAL_E_DATA when `path` is there and is no analysis, or of a newer format. */
semcal_status sc_analysis_check_format(const char *path, semcal_error *error);

/* Digest of what an analysis is made of: the version of the program, the resolved configuration, and name, size and
 * time of every finished cell of the plan and of its mechanism. */
semcal_status sc_analysis_inputs(char hex[65], const char *folder, const sc_plan *plan, semcal_error *error);

const char *sc_analysis_estimator_name(int estimator);

/* ---- the numbers by name, for tables, JSON and HDF5 ---- */

typedef struct sc_analysis_field {
    const char *name, *long_name, *units;
    double (*of_cell)(const sc_analysis_cell *cell);             /* per cell, or NULL */
    double (*of_row)(const sc_analysis_row *row);                /* per cell and estimator */
    void (*restore_cell)(sc_analysis_cell *cell, double number); /* the way back, of the same kind */
    void (*restore_row)(sc_analysis_row *row, double number);
    bool is_count; /* a whole number */
} sc_analysis_field;

extern const sc_analysis_field sc_analysis_fields[];
extern const size_t sc_analysis_n_fields;

/* Texts of a cell by variable, curves of a row, places of a mechanism: where each lies in its struct. */
typedef struct sc_analysis_part {
    const char *name, *long_name, *units;
    size_t offset;
    bool by_token; /* places of a mechanism: by token, else by fraction */
} sc_analysis_part;
enum { SC_ANALYSIS_TEXTS = 6, SC_ANALYSIS_CURVES = 4, SC_ANALYSIS_PLACES = 8 };
extern const sc_analysis_part sc_analysis_texts[SC_ANALYSIS_TEXTS], sc_analysis_curves[SC_ANALYSIS_CURVES],
    sc_analysis_places[SC_ANALYSIS_PLACES];

/* Writes an analysis as HDF5 (dimensions cell, estimator, curve). */
semcal_status sc_analysis_write(const char *path, const sc_analysis *analysis, semcal_error *error);

/* The analysis as JSON text: {"cells": [{...}], "text_cells": [{...}], "missing": [...]}; numbers that are not finite
 * are null. */
semcal_status sc_analysis_json(sc_text *json, const sc_analysis *analysis, semcal_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Next-token calibration of the text cells of a run: the calibration base language models are known to have, beside
 * the semantic one.
 *
 * Everything follows from the sums over blocks in the cell file (experiment/text_store.h). Intervals resample blocks,
 * which are consecutive chunks, since neighbouring tokens are not independent. Cross-fitted gaps leave out every
 * folds-th block, fit on the others and score the blocks left out.
 */
#ifndef SC_EXPERIMENT_ANALYZE_TEXT_H
#define SC_EXPERIMENT_ANALYZE_TEXT_H

#include "experiment/plan.h"
#include "formats/h5.h"
#include "statistics/token_gap.h"

#include <jansson.h>

enum { SC_TEXT_CURVE = 201 }; /* points of the reliability curve, 0, .005, ..., 1 */

/* Families of perturbations: the temperature; a bias of each class of tokens; tilts of the most probable token by a
 * function of its probability (statistics/gap.h). */
typedef enum sc_text_family {
    SC_TEXT_TEMPERATURE_GAP,
    SC_TEXT_BIAS_GAP,
    SC_TEXT_SHIFT_GAP,
    SC_TEXT_AFFINE_GAP,
    SC_TEXT_LIPSCHITZ_GAP,
    SC_TEXT_ISOTONIC_GAP,
    SC_TEXT_FAMILIES
} sc_text_family;

/* Nats per token saved: in sample, by fits that have not seen the block, and that number's interval. NaN: unknown. */
typedef struct sc_text_gap {
    double in_sample, crossfit, ci[2];
} sc_text_gap;

typedef struct sc_analysis_text {
    char *name, *model, *model_kind, *dataset;
    double temperature;
    double n_tokens, n_documents, n_chunks, n_blocks;
    double accuracy, accuracy_ci[2], mean_confidence, overconfidence, overconfidence_ci[2];
    double smece, smece_ci[2], smece_005, smece_floor, smece_floor_95;
    double smece_classwise, smece_classwise_ci[2], smece_classwise_005;
    double log_loss, log_loss_ci[2], perplexity, entropy;
    double temperature_best; /* multiple of the cell's temperature with the least loss, in [1/2, 2] */
    double n_bias_tokens;    /* sampled tokens the biases are fitted on */
    sc_text_gap gap[SC_TEXT_FAMILIES];
    double loss[SC_TEMPERATURES]; /* mean log loss at each multiple of the temperature */
    size_t n_classes;
    char **labels;                                     /* [n_classes] */
    double *class_frequency, *class_mass, *class_bias; /* [n_classes] shares, and the best bias */
    double curve[SC_TEXT_CURVE], density[SC_TEXT_CURVE];
} sc_analysis_text;

/* Analyses a finished text cell. Free with sc_analysis_text_free, also after an error. */
semcal_status sc_analyze_text(sc_analysis_text *out, const sc_config *config, const sc_cell *cell, const char *path,
                              semcal_error *error);
void sc_analysis_text_free(sc_analysis_text *text);

/* "temperature", "bias", "shift", ... */
const char *sc_analysis_text_family(int family);

/* Numbers of a text cell by name. */
typedef struct sc_analysis_text_field {
    const char *name, *long_name, *units;
    double (*value)(const sc_analysis_text *text);
    double *(*place)(sc_analysis_text *text);
} sc_analysis_text_field;
extern const sc_analysis_text_field sc_analysis_text_fields[];
extern const size_t sc_analysis_text_n_fields;

/* Adds the text cells to an analysis file (dimensions text_cell, text_grid, text_class; `curve_dimension` has
 * SC_TEXT_CURVE points), and to an array of JSON objects. Nothing for n = 0. */
semcal_status sc_analysis_text_write(sc_h5 *file, const sc_analysis_text *texts, size_t n, const char *curve_dimension,
                                     semcal_error *error);
/* The text cells of an analysis file; free each, and the array, also after an error. */
semcal_status sc_analysis_text_read(sc_analysis_text **texts, size_t *n, sc_h5 *file, semcal_error *error);
json_t *sc_analysis_text_json(const sc_analysis_text *texts, size_t n);

#endif

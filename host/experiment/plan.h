/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan of an experiment: its cells, and what they will cost.
 *
 * Cells are the product model x dataset x style x temperature x whatever else is swept, plus `extra`. A cell has two
 * names. `rng_name`, always <model>.<dataset>.<style>.T<temperature>, keys the random numbers: it depends on nothing
 * else, so that adding cells or raising M keeps every earlier draw. `name` is unique in the run and names the file: the
 * same, and one suffix for each further key of which the configuration holds several values (or that an extra cell
 * names itself): .M<draws> .<estimator> .L<max_tokens> .S<shots>. A text makes one cell per model and temperature,
 * <model>.<dataset>.tokens.T<temperature>.
 */
#ifndef SC_EXPERIMENT_PLAN_H
#define SC_EXPERIMENT_PLAN_H

#include "experiment/config.h"

typedef struct sc_cell {
    char *name, *rng_name;
    const sc_config_model *model;
    const sc_config_dataset *dataset;
    const sc_config_style *style;
    double temperature;
    int64_t draws; /* M */
    sc_config_estimator estimator;
    int64_t max_tokens; /* of a response, the stop included */
    int64_t shots;      /* examples in front of each question; 0 when the dataset has none */
    bool extra;         /* from the list `extra` */
    bool text;          /* next-token calibration on plain text: draws, max_tokens and shots are 0 */
} sc_cell;

typedef struct sc_plan {
    sc_cell *cells; /* by model, dataset, style, the swept values; extra last. Run model by model, its texts last */
    size_t n_cells;
} sc_plan;

/* The style of cells of texts, which are not asked anything: its name alone means something. */
extern const sc_config_style sc_plan_text_style;

/* The cells of `config`, which must outlive the plan. SEMCAL_E_CONFIG when two cells would have one name. Opens no
 * file. Free with sc_plan_free. */
semcal_status sc_plan_make(sc_plan *plan, const sc_config *config, semcal_error *error);
void sc_plan_free(sc_plan *plan);

/* The cell of that name, or NULL. */
const sc_cell *sc_plan_find(const sc_plan *plan, const char *name);

#endif

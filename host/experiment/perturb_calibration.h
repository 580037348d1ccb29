/* SPDX-License-Identifier: Apache-2.0 */
/* Next-token calibration of a stream of rows in constant memory (statistics/pair_grid.h). */
#ifndef SC_EXPERIMENT_PERTURB_CALIBRATION_H
#define SC_EXPERIMENT_PERTURB_CALIBRATION_H

#include "experiment/perturb_stream.h"

typedef struct sc_perturb_pairs sc_perturb_pairs;

semcal_status sc_perturb_pairs_new(sc_perturb_pairs **pairs, semcal_error *error);
void sc_perturb_pairs_free(sc_perturb_pairs *pairs);
/* One row: log-probability of the most probable token, and whether it came. */
void sc_perturb_pairs_add(sc_perturb_pairs *pairs, double logprob, bool came);
/* The floor redraws outcomes with a fixed seed: the same rows give the same numbers. */
semcal_status sc_perturb_pairs_describe(sc_perturb_calibration *out, sc_perturb_pairs *pairs, semcal_error *error);

/* The numbers by name, for every table and file. */
typedef struct sc_perturb_fact {
    const char *name, *long_name, *units;
    size_t offset; /* of a double in sc_perturb_calibration */
} sc_perturb_fact;
extern const sc_perturb_fact sc_perturb_facts[];
extern const size_t sc_perturb_n_facts;
double sc_perturb_fact_value(const sc_perturb_calibration *of, size_t fact);

#endif

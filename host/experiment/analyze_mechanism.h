/* SPDX-License-Identifier: Apache-2.0 */
/* How early the responses of a cell decide what they mean: resolved(i) with intervals over questions. */
#ifndef SC_EXPERIMENT_ANALYZE_MECHANISM_H
#define SC_EXPERIMENT_ANALYZE_MECHANISM_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* resolved after one place; NaN when there was nothing to decide. */
typedef struct sc_analysis_place {
    double at; /* fraction of the response, or tokens */
    double resolved, low, high;
} sc_analysis_place;

typedef struct sc_analysis_mechanism {
    size_t n_questions, n_places;              /* 0: the cell has no mechanism */
    double start;                              /* mean estimate of c (1 - c) */
    double exact;                              /* share of the prefixes whose law was enumerated */
    sc_analysis_place *by_fraction, *by_token; /* [n_places] */
} sc_analysis_mechanism;

/* Of the finished cell file `cell_path`; `stream` names the bootstrap's random numbers. */
semcal_status sc_analysis_mechanism_make(sc_analysis_mechanism *mechanism, const char *cell_path, const char *collapse,
                                         uint64_t seed, const char *stream, size_t n_bootstrap, semcal_error *error);
void sc_analysis_mechanism_free(sc_analysis_mechanism *mechanism);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/analyze_mechanism.h"

#include "base/memory.h"
#include "experiment/mechanism.h"
#include "statistics/resolved.h"

#include <stdlib.h>

static semcal_status make_place(sc_analysis_place *place, double at, double *column, const double *spreads, size_t k,
                                const sc_mechanism_spreads *s, const sc_resolved_options *options, semcal_error *error)
{
    for (size_t q = 0; q < s->n_questions; q++) {
        column[q] = spreads[q * s->n_positions + k];
    }
    double interval[2];
    place->at = at;
    semcal_status status =
        sc_resolved_compute(&place->resolved, interval, column, s->start, s->n_questions, options, error);
    place->low = interval[0];
    place->high = interval[1];
    return status;
}

semcal_status sc_analysis_mechanism_make(sc_analysis_mechanism *m, const char *cell_path, const char *collapse,
                                         uint64_t seed, const char *stream, size_t n_bootstrap, semcal_error *error)
{
    *m = (sc_analysis_mechanism){0};
    sc_mechanism_spreads s;
    semcal_status status = sc_mechanism_read(&s, cell_path, collapse, error);
    if (status != SEMCAL_OK || s.n_questions == 0) {
        return status;
    }
    double *column = sc_memory_alloc(s.n_questions, sizeof *column, error);
    m->by_fraction = sc_memory_alloc(s.n_positions, sizeof *m->by_fraction, error);
    m->by_token = sc_memory_alloc(s.n_positions, sizeof *m->by_token, error);
    status = column == NULL || m->by_fraction == NULL || m->by_token == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    m->n_questions = s.n_questions;
    m->n_places = s.n_positions;
    m->exact = s.exact;
    for (size_t q = 0; q < s.n_questions; q++) {
        m->start += s.start[q] / (double)s.n_questions;
    }
    const sc_resolved_options options = {seed, stream, n_bootstrap};
    for (size_t k = 0; k < s.n_positions && status == SEMCAL_OK; k++) {
        double fraction = s.n_positions > 1 ? (double)k / (double)(s.n_positions - 1) : 0;
        status = make_place(&m->by_fraction[k], fraction, column, s.by_fraction, k, &s, &options, error);
        if (status == SEMCAL_OK) {
            status = make_place(&m->by_token[k], s.token[k], column, s.by_token, k, &s, &options, error);
        }
    }
    free(column);
    sc_mechanism_spreads_free(&s);
    if (status != SEMCAL_OK) {
        sc_analysis_mechanism_free(m);
    }
    return status;
}

void sc_analysis_mechanism_free(sc_analysis_mechanism *m)
{
    free(m->by_fraction);
    free(m->by_token);
    *m = (sc_analysis_mechanism){0};
}

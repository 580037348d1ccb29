/* SPDX-License-Identifier: Apache-2.0 */
/* What the estimators exact and hybrid add to the draws of one question. */
#ifndef SC_EXPERIMENT_RUN_EXACT_H
#define SC_EXPERIMENT_RUN_EXACT_H

#include "experiment/questions.h"
#include "experiment/run_cell.h"
#include "experiment/store.h"

/* True for the estimators exact and hybrid. */
bool sc_run_exact_wanted(const sc_cell *cell);

/* Enumerates the responses to question `q` until sampling.epsilon or the budget, for hybrid also draws behind what was
 * found, and puts both into the record, whose tree already holds the draws. */
semcal_status sc_run_exact_add(sc_store_record *record, const sc_run_cell *run, const sc_question *q,
                               semcal_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the cost: what is read from datasets, model headers and tokenizers. Only cost*.c include this. */
#ifndef SC_EXPERIMENT_COST_MEASURE_H
#define SC_EXPERIMENT_COST_MEASURE_H

#include "experiment/cost.h"

/* Fills datasets, models and prompt_tokens of `cost`, whose arrays are allocated. */
semcal_status sc_cost_measure(sc_cost *cost, const sc_config *config, const sc_plan *plan, semcal_error *error);

#endif

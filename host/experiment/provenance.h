/* SPDX-License-Identifier: Apache-2.0 */
/* Where a cell's numbers come from: the attributes of its file. */
#ifndef SC_EXPERIMENT_PROVENANCE_H
#define SC_EXPERIMENT_PROVENANCE_H

#include "experiment/dataset.h"
#include "experiment/plan.h"
#include "experiment/store.h"
#include "source/source.h"

typedef struct sc_provenance {
    sc_store_attribute *attributes;
    char **owned; /* the attributes' texts */
    size_t n_attributes, capacity, owned_capacity;
} sc_provenance;

/* Everything that decides the draws of a cell is marked as identity: it must agree when a run is resumed or shards are
 * merged (model, tokenizer and dataset by content, prompts, sampling, seed, device, kernels). The rest is told only. */
semcal_status sc_provenance_of_cell(sc_provenance *provenance, const sc_config *config, const sc_cell *cell,
                                    const sc_dataset *dataset, const sc_source *source, semcal_error *error);
void sc_provenance_free(sc_provenance *provenance);

#endif

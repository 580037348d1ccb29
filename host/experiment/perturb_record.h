/* SPDX-License-Identifier: Apache-2.0 */
/* A folder as scripts/record_logits.py writes it: which of its files `semcal perturb` reads. */
#ifndef SC_EXPERIMENT_PERTURB_RECORD_H
#define SC_EXPERIMENT_PERTURB_RECORD_H

#include "experiment/perturb_inputs.h"

typedef struct sc_perturb_record {
    char *rows, *head, *targets; /* paths; head NULL where logits were recorded alone */
    char *json;                  /* record.json */
    double parameters;           /* of the model */
    char *model;
} sc_perturb_record;

/* Whether `path` is such a folder. */
bool sc_perturb_record_is(const char *path);
/* SEMCAL_E_DATA when a file of it is missing. Free with sc_perturb_record_free, also after an error. */
semcal_status sc_perturb_record_open(sc_perturb_record *record, const char *path, semcal_error *error);
void sc_perturb_record_free(sc_perturb_record *record);

#endif

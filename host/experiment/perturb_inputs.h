/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of `semcal perturb`: rows to look at, and what to do to them.
 *
 * Layout: logits [N, V] (float32, float16, bfloat16; or hidden states [N, D] with a head [V, D]); targets [N] integers;
 * classes [V] or [N, V] integers from 0; tilts [P, K]; dense biases [P, V]; sparse biases a JSON list of
 * {"name"?: text, "tokens": [...], "values": [...]}. bfloat16 is in .safetensors, or in .npy as uint16 with --bf16.
 */
#ifndef SC_EXPERIMENT_PERTURB_INPUTS_H
#define SC_EXPERIMENT_PERTURB_INPUTS_H

#include "device/perturb.h"
#include "experiment/perturb_live.h"
#include "formats/table.h"

/* Names of files as given: PATH or PATH:NAME; NULL: not given. */
typedef struct sc_perturb_files {
    const char *logits, *head, *targets, *classes, *tilts, *biases;
    const double *temperature; /* [n_temperatures] */
    size_t n_temperatures;
    bool bf16;             /* uint16 is bfloat16 */
    sc_perturb_live *live; /* rows and targets come from here; NULL: from files. Borrowed */
} sc_perturb_files;

typedef struct sc_perturb_inputs {
    sc_perturb_live *live; /* or NULL */
    sc_table *logits, *head, *targets,
        *row_classes;                   /* read by rows; NULL: none. With a head, logits are hidden states */
    sc_rows_type type;                  /* of the logits, without a head */
    size_t n_rows, n_vocabulary, width; /* N, V, and what a row of `logits` has: V or D */
    sc_perturb_spec spec;
    char *classes_path, *tilts_path, *biases_path; /* NULL: none */
    char **sparse_name;                            /* [n_sparse], NULL where a bias has none */
    /* behind spec */
    double *tilt, *sparse_value;
    float *dense;
    int32_t *class_of, *sparse_token;
    size_t *sparse_first;
} sc_perturb_inputs;

/* Opens everything, reads what is not read by rows, and checks that the shapes agree. SEMCAL_E_DATA names the file. */
semcal_status sc_perturb_inputs_open(sc_perturb_inputs *inputs, const sc_perturb_files *files, semcal_error *error);
/* What the rows come from, for messages; whether there are targets. */
const char *sc_perturb_inputs_label(const sc_perturb_inputs *inputs);
bool sc_perturb_inputs_has_targets(const sc_perturb_inputs *inputs);
void sc_perturb_inputs_close(sc_perturb_inputs *inputs);

#endif

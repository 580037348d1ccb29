/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Perturbations over files of any size: one thread reads, the calling one computes, one writes, over a ring of batches,
 * so that memory stays bounded and the three overlap.
 */
#ifndef SC_EXPERIMENT_PERTURB_STREAM_H
#define SC_EXPERIMENT_PERTURB_STREAM_H

#include "experiment/perturb_inputs.h"

typedef struct sc_perturb_options {
    sc_device *device;
    const char *output;  /* HDF5 file; NULL: only the summary */
    size_t n_top;        /* 0..SC_ROWS_MAX_TOP */
    size_t rows_at_once; /* 0: chosen by size */
    bool no_masses;      /* leave the class masses [N, K] out of the file */
    const char *record;  /* what scripts/record_logits.py tells of the rows, for the file; NULL */
} sc_perturb_options;

/* Mean over rows and its standard error, rows taken as independent. */
typedef struct sc_perturb_mean {
    double mean, error;
} sc_perturb_mean;

/* The families of perturbations, in the order of every table. */
typedef enum sc_perturb_family {
    SC_PERTURB_TEMPERATURE,
    SC_PERTURB_TILT,
    SC_PERTURB_DENSE,
    SC_PERTURB_SPARSE,
    SC_PERTURB_FAMILIES
} sc_perturb_family;

/* Next-token calibration of the rows: pairs of the most probable token's probability and whether it came. The gaps are
 * what the best tilt of that token saves in sample (statistics/gap.h), nats per token. */
typedef struct sc_perturb_calibration {
    double accuracy, mean_confidence, smece, smece_005, smece_floor, smece_floor_95;
    double gap_shift, gap_affine, gap_lipschitz, gap_isotonic;
} sc_perturb_calibration;

typedef struct sc_perturb_summary {
    size_t n_rows, n_vocabulary, n_exact;
    double read_s, compute_s, write_s, wall_s; /* each thread at work (a live model: all computing); start to end */
    bool has_targets;
    sc_perturb_mean loss, entropy; /* of the law as it is, nats per token */
    sc_perturb_calibration top1;   /* where there are targets */
    size_t n[SC_PERTURB_FAMILIES];
    sc_perturb_mean *loss_of[SC_PERTURB_FAMILIES]; /* [n] nats per token */
    sc_perturb_mean *gap_of[SC_PERTURB_FAMILIES]; /* [n] loss of the law as it is minus this; above 0: an improvement */
    sc_perturb_family best_family;                /* of the largest gap, when n_total > 0 */
    size_t best, n_total;
} sc_perturb_summary;

/* Free with sc_perturb_summary_free. The output appears under its name when everything is in it. */
semcal_status sc_perturb_stream(sc_perturb_summary *summary, sc_perturb_inputs *inputs,
                                const sc_perturb_options *options, semcal_error *error);
void sc_perturb_summary_free(sc_perturb_summary *summary);

/* "temperature", "tilt", ... */
const char *sc_perturb_family_name(sc_perturb_family family);

#endif

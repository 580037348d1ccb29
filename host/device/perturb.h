/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token-level perturbations: what the law of a row and the log-loss of its target become after other temperatures,
 * tilts of token classes, and biases of single tokens or of the whole vocabulary (METHOD.md, section 8).
 *
 * A perturbation adds b to the logits and normalizes again; its loss is  log sum_v e^{l_v + b_v} - l_t - b_t.
 *   temperature T      softmax(logits / T)
 *   class tilt tau[K]  b_v = tau[class of v]: with the class masses pi_k of a row, loss - tau[class of target] +
 *                      log sum_k pi_k e^{tau_k}, so only K-sized work per tilt
 *   dense bias [V]     weights of a row are taken once, then multiplied by e^b like matrices
 *   sparse bias        pairs (token, value): the normalizer changes by a few terms
 * All of it, and everything of sc_rows beside it, comes from one reading of the logits: each block of SC_ROWS_BLOCK is
 * exponentiated while it lies in a cache. A row's numbers do not depend on the other rows of the batch.
 *
 * Losses, log-masses and normalizers are within 1e-5 max(1, |value|) of float64. What single precision on the device
 * cannot hold (a perturbation that favours what the row made 2^-60 as likely as its best) is found out and computed
 * again on the host in double, from the logits. Where sc_rows computes on the host, all of it is.
 */
#ifndef SC_DEVICE_PERTURB_H
#define SC_DEVICE_PERTURB_H

#include "device/rows.h"

#define SC_PERTURB_MAX_CLASSES 4096       /* K at most */
#define SC_PERTURB_MAX_PERTURBATIONS 1024 /* P at most: temperatures, tilts and biases together */

/* The perturbations, the same for every batch. The arrays must outlive what is made from them. */
typedef struct sc_perturb_spec {
    size_t n_vocabulary;
    size_t n_temperatures;
    const double *temperature; /* [n_temperatures] 1e-6 to 1e6 */
    size_t n_classes;          /* K; 0: no classes, no tilts */
    const int32_t *class_of;   /* [V] in 0..K-1; NULL with n_classes > 0: every batch brings [N, V] */
    size_t n_tilts;
    const double *tilt; /* [n_tilts, K] finite */
    size_t n_dense;
    const float *dense; /* [n_dense, V] finite */
    size_t n_sparse;
    const size_t *sparse_first;  /* [n_sparse + 1] bias p has the pairs sparse_first[p] .. sparse_first[p + 1] - 1 */
    const int32_t *sparse_token; /* tokens, each at most once in a bias */
    const double *sparse_value;  /* finite */
} sc_perturb_spec;
#define SC_PERTURB_SPEC_INIT                                                                                           \
    {                                                                                                                  \
        0, 0, NULL, 0, NULL, 0, NULL, 0, NULL, 0, NULL, NULL, NULL                                                     \
    }

/* One batch of rows. */
typedef struct sc_perturb_batch {
    sc_rows_input input;     /* logits on the device */
    const int32_t *target;   /* [N], every one a token; NULL: no targets, and then no losses */
    const int32_t *class_of; /* [N, V], where the specification leaves classes to the batch */
    size_t n_top;            /* 0..SC_ROWS_MAX_TOP */
    size_t first_row;        /* what messages call the first row */
} sc_perturb_batch;

/* Nats; arrays of the caller, NULL: not wanted. */
typedef struct sc_perturb_result {
    double *log_normalizer;   /* [N] */
    double *entropy;          /* [N] */
    double *loss;             /* [N] of the law as it is */
    int32_t *target_rank;     /* [N] */
    int32_t *top_token;       /* [N, n_top] */
    double *top_logprob;      /* [N, n_top] */
    double *class_logmass;    /* [N, K] log pi_k, -inf for a class without mass */
    double *loss_temperature; /* [N, n_temperatures] */
    double *loss_tilt;        /* [N, n_tilts] */
    double *loss_dense;       /* [N, n_dense] */
    double *loss_sparse;      /* [N, n_sparse] */
    size_t bad_row;           /* after SEMCAL_E_NUMERIC: in the batch */
    int32_t bad_token;        /* -1: the row as a whole */
    size_t n_exact;           /* rows that had to be computed again on the host */
} sc_perturb_result;

typedef struct sc_perturb sc_perturb; /* perturbations on one device */

/* Checks the specification and brings it to the device of `rows`, which must outlive it. SEMCAL_E_CONFIG for counts and
 * temperatures, SEMCAL_E_DATA for tables: the message names perturbation and position. */
semcal_status sc_perturb_create(sc_perturb **perturb, sc_rows *rows, const sc_perturb_spec *spec, semcal_error *error);
void sc_perturb_free(sc_perturb *perturb);

/* Enqueues and waits. NaN, +inf, a row of nothing but -inf and a target of -inf are SEMCAL_E_NUMERIC; targets and
 * classes out of range SEMCAL_E_DATA: row and token are named. */
semcal_status sc_perturb_evaluate(sc_perturb *perturb, const sc_perturb_batch *batch, sc_perturb_result *result,
                                  semcal_error *error);

/* sha256 of the kernel sources beside those of sc_rows, for provenance; "" before the first evaluation. */
const char *sc_perturb_kernels_sha256(const sc_perturb *perturb);

/* The same in plain C and double from logits in host memory (`batch->input.logits` is not used): the definition. */
semcal_status sc_perturb_reference(const void *logits, const sc_perturb_spec *spec, const sc_perturb_batch *batch,
                                   sc_perturb_result *result, semcal_error *error);

#endif

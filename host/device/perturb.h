/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token-level perturbations: the log-loss of the target after other temperatures and after tilts of token classes.
 *
 * A tilt multiplies the law by e^{tau[class of token]} and normalizes again, so with the class masses pi_k of a row its
 * loss is  loss - tau[class of target] + log sum_k pi_k e^{tau_k}: one pass for the masses, then K-sized work per tilt.
 * The loss at temperature T is that of sc_rows at T, one reading each.
 */
#ifndef SC_DEVICE_PERTURB_H
#define SC_DEVICE_PERTURB_H

#include "device/rows.h"

/* K = n_classes, P = n_temperatures or n_tilts. Arrays belong to the caller. */
typedef struct sc_perturb_request {
    const int32_t *target; /* [N], every one a token */
    size_t n_temperatures;
    const double *temperature; /* [n_temperatures] */
    size_t n_classes;          /* 0: no classes, no tilts */
    const int32_t *class_of;   /* [V] in 0..K-1 */
    size_t n_tilts;
    const double *tilt; /* [n_tilts, K] finite */
} sc_perturb_request;
#define SC_PERTURB_REQUEST_INIT                                                                                        \
    {                                                                                                                  \
        NULL, 0, NULL, 0, NULL, 0, NULL                                                                                \
    }

/* Nats. NULL: not wanted. */
typedef struct sc_perturb_result {
    double *loss;             /* [N] of the raw law */
    double *loss_temperature; /* [N, n_temperatures] */
    double *class_logmass;    /* [N, K] log pi_k, -inf for a class without mass */
    double *loss_tilt;        /* [N, n_tilts] */
    size_t bad_row;           /* after SEMCAL_E_NUMERIC */
    int32_t bad_token;
} sc_perturb_result;

/* Enqueues and waits. Errors as sc_rows_evaluate; a class outside 0..K-1 is SEMCAL_E_DATA. */
semcal_status sc_perturb_evaluate(sc_rows *rows, const sc_rows_input *input, const sc_perturb_request *request,
                                  sc_perturb_result *result, semcal_error *error);

/* Plain C, the same numbers bit for bit, from logits in host memory. */
semcal_status sc_perturb_reference(const void *logits, sc_rows_type type, size_t n_rows, size_t n_vocabulary,
                                   size_t stride, const sc_perturb_request *request, sc_perturb_result *result,
                                   semcal_error *error);

#endif

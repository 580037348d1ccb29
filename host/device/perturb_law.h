/* SPDX-License-Identifier: Apache-2.0 */
/* From class masses to losses: shared by the device path and the plain C reference. */
#ifndef SC_DEVICE_PERTURB_LAW_H
#define SC_DEVICE_PERTURB_LAW_H

#include "device/perturb.h"

/* SEMCAL_E_CONFIG or SEMCAL_E_DATA for a request that makes no sense. */
semcal_status sc_perturb_check(const sc_perturb_request *request, size_t n_rows, size_t n_vocabulary,
                               semcal_error *error);

/* Fills class_logmass and loss_tilt of row i from its integer class masses [K]; `loss` is the row's. */
void sc_perturb_finish_row(sc_perturb_result *result, size_t i, const sc_perturb_request *request, const uint64_t *mass,
                           double loss);

#endif

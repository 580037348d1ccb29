/* SPDX-License-Identifier: Apache-2.0 */
/* What the device path of the perturbations shares with the plain C reference. */
#ifndef SC_DEVICE_PERTURB_LAW_H
#define SC_DEVICE_PERTURB_LAW_H

#include "device/perturb.h"

/* SEMCAL_E_CONFIG or SEMCAL_E_DATA for perturbations that make no sense. */
semcal_status sc_perturb_check(const sc_perturb_spec *spec, semcal_error *error);
/* The same for a batch: targets, classes per row, and that nothing is wanted that needs targets when there are none. */
semcal_status sc_perturb_check_batch(const sc_perturb_spec *spec, const sc_perturb_batch *batch,
                                     const sc_perturb_result *result, semcal_error *error);

/* Classes of a row of the batch. */
const int32_t *sc_perturb_classes(const sc_perturb_spec *spec, const sc_perturb_batch *batch, size_t i);

/* One row in double, from its logits [V]: log sum_v e^{l_v / T + b_v}; `bias` may be NULL. */
double sc_perturb_normalizer(const double *logit, size_t n_vocabulary, double temperature, const double *bias);
/* b [V] of a tilt, a dense or a sparse bias. */
void sc_perturb_tilt_bias(double *bias, const sc_perturb_spec *spec, const int32_t *class_of, size_t p);
void sc_perturb_dense_bias(double *bias, const sc_perturb_spec *spec, size_t p);
void sc_perturb_sparse_bias(double *bias, const sc_perturb_spec *spec, size_t p);
/* Log-masses of all classes with `wanted[k]` (NULL: all), into logmass [K]. scratch [2 K]. */
void sc_perturb_logmasses(double *logmass, const double *logit, const sc_perturb_spec *spec, const int32_t *class_of,
                          const bool *wanted, double log_normalizer, double *scratch);

/* The batch row by row, read back from the device and given to sc_perturb_reference. */
semcal_status sc_perturb_on_host(const sc_perturb_spec *spec, const sc_perturb_batch *batch, sc_perturb_result *result,
                                 semcal_error *error);

#endif

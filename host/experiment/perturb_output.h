/* SPDX-License-Identifier: Apache-2.0 */
/* The HDF5 file of perturbed losses: variables on the dimensions row, top, class and one per family; sealed like a cell
 * file (sc_store_check_seal). */
#ifndef SC_EXPERIMENT_PERTURB_OUTPUT_H
#define SC_EXPERIMENT_PERTURB_OUTPUT_H

#include "experiment/perturb_stream.h"

typedef struct sc_perturb_output sc_perturb_output;

semcal_status sc_perturb_output_create(sc_perturb_output **output, const sc_perturb_inputs *inputs,
                                       const sc_perturb_options *options, semcal_error *error);
/* Appends `n` rows; arrays of the result that the file has no variable for are not looked at. */
semcal_status sc_perturb_output_append(sc_perturb_output *output, const sc_perturb_result *result,
                                       const int32_t *target, size_t n, semcal_error *error);
/* Writes the means and attributes and puts the file under its name. */
semcal_status sc_perturb_output_finish(sc_perturb_output *output, const sc_perturb_summary *summary,
                                       const char *kernels_sha256, const char *build_options, double wall_s,
                                       semcal_error *error);
/* Frees; a file that was not finished is removed. NULL is fine. */
void sc_perturb_output_free(sc_perturb_output *output);

#endif

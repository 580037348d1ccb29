/* SPDX-License-Identifier: Apache-2.0 */
/* Perturbations without kernels: for devices that lack double precision or whose row kernels fail their self-test. */
#include "device/perturb_law.h"

#include "base/memory.h"

#include <stdlib.h>

semcal_status sc_perturb_on_host(const sc_perturb_spec *spec, const sc_perturb_batch *batch, sc_perturb_result *result,
                                 semcal_error *error)
{
    const sc_rows_input *input = &batch->input;
    const size_t V = spec->n_vocabulary, element = sc_rows_element(input->type);
    void *row = sc_memory_alloc(V, element, error);
    semcal_status status = row == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t i = 0; i < input->n_rows && status == SEMCAL_OK; i++) {
#define FROM(pointer, width) ((pointer) == NULL ? NULL : (pointer) + i * (width))
        const sc_perturb_batch one = {.input = {NULL, input->type, 1, V, V, 0},
                                      .target = FROM(batch->target, 1),
                                      .class_of = FROM(batch->class_of, V),
                                      .n_top = batch->n_top,
                                      .first_row = batch->first_row + i};
        sc_perturb_result out = {.log_normalizer = FROM(result->log_normalizer, 1),
                                 .entropy = FROM(result->entropy, 1),
                                 .loss = FROM(result->loss, 1),
                                 .target_rank = FROM(result->target_rank, 1),
                                 .top_token = FROM(result->top_token, batch->n_top),
                                 .top_logprob = FROM(result->top_logprob, batch->n_top),
                                 .class_logmass = FROM(result->class_logmass, spec->n_classes),
                                 .loss_temperature = FROM(result->loss_temperature, spec->n_temperatures),
                                 .loss_tilt = FROM(result->loss_tilt, spec->n_tilts),
                                 .loss_dense = FROM(result->loss_dense, spec->n_dense),
                                 .loss_sparse = FROM(result->loss_sparse, spec->n_sparse)};
#undef FROM
        status = sc_buffer_read(input->logits, (input->offset + i * input->stride) * element, row, V * element, error);
        if (status == SEMCAL_OK) {
            status = sc_perturb_reference(row, spec, &one, &out, error);
        }
        if (status == SEMCAL_E_NUMERIC) {
            result->bad_row = i;
            result->bad_token = out.bad_token;
        }
    }
    result->n_exact = status == SEMCAL_OK ? input->n_rows : 0;
    free(row);
    return status;
}

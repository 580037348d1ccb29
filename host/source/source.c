/* SPDX-License-Identifier: Apache-2.0 */
#include "source/source.h"

semcal_status sc_source_keep_logits(const sc_law_request *request, sc_law_result *result, size_t i, const float *logits,
                                    sc_phases *phases, semcal_error *error)
{
    const sc_phase before = sc_phases_enter(phases, SC_PHASE_STORE);
    sc_spill_drop(request->spill, result->logits[i]); /* of a call that did not come to its end */
    semcal_status status = sc_spill_put(request->spill, &result->logits[i], logits, error);
    (void)sc_phases_enter(phases, before);
    return status;
}

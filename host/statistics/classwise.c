/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/classwise.h"

#include "base/memory.h"
#include "statistics/smece.h"

#include <math.h>
#include <stdlib.h>

semcal_status sc_classwise_smece(double *smece, size_t n_questions, const size_t *first, const double *probability,
                                 const int32_t *reference, semcal_error *error)
{
    size_t n = n_questions > 0 ? first[n_questions] : 0;
    double *p = sc_memory_alloc(n, sizeof *p, error), *hit = sc_memory_alloc(n, sizeof *hit, error);
    semcal_status status = p != NULL && hit != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
    for (size_t q = 0; status == SEMCAL_OK && q < n_questions; q++) {
        double total = 0;
        for (size_t k = first[q]; k < first[q + 1]; k++) {
            total += probability[k];
            p[k] = fmin(1, probability[k]);
            hit[k] = reference[q] >= 0 && k - first[q] == (size_t)reference[q] ? 1 : 0;
        }
        if (!(total <= 1 + 1e-9)) {
            status =
                sc_error_set(error, SEMCAL_E_NUMERIC, "question %zu: its class probabilities sum to %.12g", q, total);
        }
    }
    if (status == SEMCAL_OK) {
        status = sc_smece_exact(smece, p, hit, p, n, error);
    }
    free(p);
    free(hit);
    return status;
}

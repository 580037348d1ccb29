/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/certified.h"

#include "base/memory.h"
#include "base/numeric.h"
#include "statistics/smece.h"

#include <math.h>
#include <stdlib.h>

#define SMECE_ERROR 1e-5

semcal_status sc_certified_smece(double bounds[2], double s, const double *lower, const double *upper, const double *a,
                                 size_t n, semcal_error *error)
{
    bounds[0] = 0;
    bounds[1] = 1;
    double *middle = sc_memory_alloc(n, sizeof *middle, error), *outcome = sc_memory_alloc(n, sizeof *outcome, error);
    semcal_status status = middle == NULL || outcome == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    sc_sum moved = {0, 0};
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        if (!(lower[i] >= 0 && lower[i] <= upper[i] && upper[i] <= 1)) {
            status = sc_error_set(error, SEMCAL_E_NUMERIC, "question %zu: bounds [%g, %g] on a confidence", i, lower[i],
                                  upper[i]);
            break;
        }
        middle[i] = (lower[i] + upper[i]) / 2;
        if (isnan(a[i])) {
            /* A pair with a = c is F = 0: the question is left out and keeps its share of n. */
            outcome[i] = middle[i];
            sc_sum_add(&moved, fmax(upper[i], 1 - lower[i]));
        } else {
            double half = (upper[i] - lower[i]) / 2;
            outcome[i] = a[i];
            sc_sum_add(&moved, half + fabs(a[i] - middle[i]) * 2 * erf(half / (2 * sqrt(2) * s)));
        }
    }
    double value;
    if (status == SEMCAL_OK) {
        status = sc_smece_at(&value, s, middle, outcome, NULL, n, error);
    }
    if (status == SEMCAL_OK) {
        double slack = sc_sum_value(&moved) / (double)n + SMECE_ERROR;
        bounds[0] = fmax(0, value - slack);
        bounds[1] = fmin(1, value + slack);
    }
    free(middle);
    free(outcome);
    return status;
}

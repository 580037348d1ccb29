/* SPDX-License-Identifier: Apache-2.0 */
/* The plain C side of cl/perturb.cl, and the K-sized work both sides share. */
#include "device/perturb_law.h"

#include "base/memory.h"
#include "device/rows_law.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

semcal_status sc_perturb_check(const sc_perturb_request *request, size_t n_rows, size_t n_vocabulary,
                               semcal_error *error)
{
    for (size_t i = 0; i < n_rows; i++) {
        if (request->target == NULL || request->target[i] < 0 || request->target[i] >= (int32_t)n_vocabulary) {
            return sc_error_set(error, SEMCAL_E_DATA, "row %zu: target %d is outside the vocabulary of %zu", i,
                                request->target == NULL ? -1 : request->target[i], n_vocabulary);
        }
    }
    if (request->n_tilts > 0 && request->n_classes == 0) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "%zu tilts, but no classes", request->n_tilts);
    }
    for (size_t v = 0; request->n_classes > 0 && v < n_vocabulary; v++) {
        if (request->class_of[v] < 0 || (size_t)request->class_of[v] >= request->n_classes) {
            return sc_error_set(error, SEMCAL_E_DATA, "token %zu: class %d, there are %zu classes", v,
                                request->class_of[v], request->n_classes);
        }
    }
    for (size_t p = 0; p < request->n_tilts * request->n_classes; p++) {
        if (!isfinite(request->tilt[p])) {
            return sc_error_set(error, SEMCAL_E_CONFIG, "tilt %zu: class %zu: must be finite, got %g",
                                p / request->n_classes, p % request->n_classes, request->tilt[p]);
        }
    }
    return SEMCAL_OK;
}

void sc_perturb_finish_row(sc_perturb_result *result, size_t i, const sc_perturb_request *request, const uint64_t *mass,
                           double loss)
{
    size_t n = request->n_classes;
    double total = 0;
    for (size_t k = 0; k < n; k++) {
        total += (double)mass[k];
    }
    for (size_t k = 0; result->class_logmass != NULL && k < n; k++) {
        result->class_logmass[i * n + k] = mass[k] == 0 ? -(double)INFINITY : log((double)mass[k] / total);
    }
    size_t target_class = (size_t)request->class_of[request->target[i]];
    for (size_t p = 0; result->loss_tilt != NULL && p < request->n_tilts; p++) {
        const double *tau = request->tilt + p * n;
        double highest = -(double)INFINITY, sum = 0;
        for (size_t k = 0; k < n; k++) {
            highest = mass[k] > 0 && tau[k] > highest ? tau[k] : highest;
        }
        for (size_t k = 0; k < n; k++) {
            sum += mass[k] == 0 ? 0 : (double)mass[k] / total * exp(tau[k] - highest);
        }
        result->loss_tilt[i * request->n_tilts + p] = loss + (highest + log(sum)) - tau[target_class];
    }
}

static void class_masses(uint64_t *mass, const void *row, sc_rows_type type, size_t n_vocabulary,
                         const sc_perturb_request *request)
{
    float max = -INFINITY;
    for (size_t v = 0; v < n_vocabulary; v++) {
        float logit = sc_rows_load(row, type, v);
        max = logit > max ? logit : max;
    }
    memset(mass, 0, request->n_classes * sizeof *mass);
    for (size_t v = 0; v < n_vocabulary; v++) {
        mass[request->class_of[v]] += sc_rows_weight(sc_rows_load(row, type, v), max, 1);
    }
}

semcal_status sc_perturb_reference(const void *logits, sc_rows_type type, size_t n_rows, size_t n_vocabulary,
                                   size_t stride, const sc_perturb_request *request, sc_perturb_result *result,
                                   semcal_error *error)
{
    semcal_status status = sc_perturb_check(request, n_rows, n_vocabulary, error);
    double *logprob = sc_memory_alloc(n_rows, sizeof *logprob, error);
    double *loss = sc_memory_alloc(n_rows, sizeof *loss, error);
    uint64_t *mass = sc_memory_alloc(request->n_classes, sizeof *mass, error);
    if (status == SEMCAL_OK && (logprob == NULL || loss == NULL || mass == NULL)) {
        status = SEMCAL_E_MEMORY;
    }
    for (size_t p = 0; status == SEMCAL_OK && p <= request->n_temperatures; p++) {
        sc_rows_request rows = SC_ROWS_REQUEST_INIT;
        rows.temperature = p == 0 ? 1 : request->temperature[p - 1];
        rows.target = request->target;
        sc_rows_result out = {.target_logprob = logprob};
        status = sc_rows_reference(logits, type, n_rows, n_vocabulary, stride, &rows, &out, error);
        result->bad_row = out.bad_row;
        result->bad_token = out.bad_token;
        for (size_t i = 0; status == SEMCAL_OK && i < n_rows; i++) {
            if (p == 0) {
                loss[i] = -logprob[i];
                if (result->loss != NULL) {
                    result->loss[i] = loss[i];
                }
            } else if (result->loss_temperature != NULL) {
                result->loss_temperature[i * request->n_temperatures + p - 1] = -logprob[i];
            }
        }
    }
    size_t element = type == SC_ROWS_F32 ? 4 : 2;
    for (size_t i = 0; status == SEMCAL_OK && request->n_classes > 0 && i < n_rows; i++) {
        class_masses(mass, (const char *)logits + i * stride * element, type, n_vocabulary, request);
        sc_perturb_finish_row(result, i, request, mass, loss[i]);
    }
    free(logprob);
    free(loss);
    free(mass);
    return status;
}

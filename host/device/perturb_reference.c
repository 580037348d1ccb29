/* SPDX-License-Identifier: Apache-2.0 */
/* Perturbations in plain C and double: the definition, and what the device path falls back to. */
#include "device/perturb_law.h"

#include "base/memory.h"
#include "device/rows_law.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- checks ---- */

static semcal_status check_counts(const sc_perturb_spec *spec, semcal_error *error)
{
    if (spec->n_vocabulary < 1 || spec->n_vocabulary > SC_ROWS_MAX_VOCABULARY) {
        return sc_error_set(error, SEMCAL_E_DATA, "vocabulary of %zu tokens: 1 to %d are possible", spec->n_vocabulary,
                            SC_ROWS_MAX_VOCABULARY);
    }
    if (spec->n_classes > SC_PERTURB_MAX_CLASSES) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "%zu classes: at most %d", spec->n_classes, SC_PERTURB_MAX_CLASSES);
    }
    const size_t counts[] = {spec->n_temperatures, spec->n_tilts, spec->n_dense, spec->n_sparse};
    size_t n = 0;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        if (counts[i] > SC_PERTURB_MAX_PERTURBATIONS || (n += counts[i]) > SC_PERTURB_MAX_PERTURBATIONS) {
            return sc_error_set(error, SEMCAL_E_CONFIG, "%zu perturbations or more: at most %d",
                                n > counts[i] ? n : counts[i], SC_PERTURB_MAX_PERTURBATIONS);
        }
    }
    if (spec->n_tilts > 0 && spec->n_classes == 0) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "%zu tilts, but no classes", spec->n_tilts);
    }
    for (size_t p = 0; p < spec->n_temperatures; p++) {
        if (!(spec->temperature[p] >= 1e-6 && spec->temperature[p] <= 1e6)) {
            return sc_error_set(error, SEMCAL_E_CONFIG, "temperature %zu: must be between 1e-6 and 1e6, got %g", p,
                                spec->temperature[p]);
        }
    }
    return SEMCAL_OK;
}

static semcal_status check_sparse(const sc_perturb_spec *spec, semcal_error *error)
{
    size_t *seen = sc_memory_alloc(spec->n_sparse == 0 ? 0 : spec->n_vocabulary, sizeof *seen, error);
    semcal_status status = seen == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t p = 0; status == SEMCAL_OK && p < spec->n_sparse; p++) {
        for (size_t j = spec->sparse_first[p]; status == SEMCAL_OK && j < spec->sparse_first[p + 1]; j++) {
            int32_t token = spec->sparse_token[j];
            if (token < 0 || (size_t)token >= spec->n_vocabulary) {
                status =
                    sc_error_set(error, SEMCAL_E_DATA, "sparse bias %zu: token %d is outside the vocabulary of %zu", p,
                                 token, spec->n_vocabulary);
            } else if (!isfinite(spec->sparse_value[j])) {
                status = sc_error_set(error, SEMCAL_E_DATA, "sparse bias %zu: token %d: must be finite, got %g", p,
                                      token, spec->sparse_value[j]);
            } else if (seen[token] == p + 1) {
                status = sc_error_set(error, SEMCAL_E_DATA, "sparse bias %zu: token %d is named twice", p, token);
            } else {
                seen[token] = p + 1;
            }
        }
    }
    free(seen);
    return status;
}

semcal_status sc_perturb_check(const sc_perturb_spec *spec, semcal_error *error)
{
    semcal_status status = check_counts(spec, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    for (size_t v = 0; spec->n_classes > 0 && spec->class_of != NULL && v < spec->n_vocabulary; v++) {
        if (spec->class_of[v] < 0 || (size_t)spec->class_of[v] >= spec->n_classes) {
            return sc_error_set(error, SEMCAL_E_DATA, "token %zu: class %d, there are %zu classes", v,
                                spec->class_of[v], spec->n_classes);
        }
    }
    for (size_t j = 0; j < spec->n_tilts * spec->n_classes; j++) {
        if (!isfinite(spec->tilt[j])) {
            return sc_error_set(error, SEMCAL_E_DATA, "tilt %zu: class %zu: must be finite, got %g",
                                j / spec->n_classes, j % spec->n_classes, spec->tilt[j]);
        }
    }
    for (size_t j = 0; j < spec->n_dense * spec->n_vocabulary; j++) {
        if (!isfinite(spec->dense[j])) {
            return sc_error_set(error, SEMCAL_E_DATA, "dense bias %zu: token %zu: must be finite, got %g",
                                j / spec->n_vocabulary, j % spec->n_vocabulary, (double)spec->dense[j]);
        }
    }
    return check_sparse(spec, error);
}

semcal_status sc_perturb_check_batch(const sc_perturb_spec *spec, const sc_perturb_batch *batch,
                                     const sc_perturb_result *result, semcal_error *error)
{
    size_t n_rows = batch->input.n_rows, n = spec->n_vocabulary;
    if (batch->input.n_vocabulary != n) {
        return sc_error_set(error, SEMCAL_E_DATA, "rows of %zu logits, perturbations of %zu tokens",
                            batch->input.n_vocabulary, n);
    }
    if (batch->target == NULL &&
        (result->loss != NULL || result->target_rank != NULL || result->loss_temperature != NULL ||
         result->loss_tilt != NULL || result->loss_dense != NULL || result->loss_sparse != NULL)) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "losses and ranks need targets");
    }
    for (size_t i = 0; batch->target != NULL && i < n_rows; i++) {
        if (batch->target[i] < 0 || (size_t)batch->target[i] >= n) {
            return sc_error_set(error, SEMCAL_E_DATA, "row %zu: target %d is outside the vocabulary of %zu",
                                batch->first_row + i, batch->target[i], n);
        }
    }
    if (spec->n_classes > 0 && spec->class_of == NULL && batch->class_of == NULL && n_rows > 0) {
        return sc_error_set(error, SEMCAL_E_DATA, "%zu classes, but no class map", spec->n_classes);
    }
    for (size_t j = 0; spec->n_classes > 0 && spec->class_of == NULL && j < n_rows * n; j++) {
        if (batch->class_of[j] < 0 || (size_t)batch->class_of[j] >= spec->n_classes) {
            return sc_error_set(error, SEMCAL_E_DATA, "row %zu: token %zu: class %d, there are %zu classes",
                                batch->first_row + j / n, j % n, batch->class_of[j], spec->n_classes);
        }
    }
    return SEMCAL_OK;
}

/* ---- one row in double ---- */

const int32_t *sc_perturb_classes(const sc_perturb_spec *spec, const sc_perturb_batch *batch, size_t i)
{
    return spec->class_of != NULL ? spec->class_of : batch->class_of + i * spec->n_vocabulary;
}

double sc_perturb_normalizer(const double *logit, size_t n_vocabulary, double temperature, const double *bias)
{
    double highest = -(double)INFINITY, sum = 0;
    for (size_t v = 0; v < n_vocabulary; v++) {
        double x = logit[v] / temperature + (bias == NULL ? 0 : bias[v]);
        highest = x > highest ? x : highest;
    }
    for (size_t v = 0; v < n_vocabulary; v++) {
        sum += exp(logit[v] / temperature + (bias == NULL ? 0 : bias[v]) - highest);
    }
    return highest + log(sum);
}

void sc_perturb_tilt_bias(double *bias, const sc_perturb_spec *spec, const int32_t *class_of, size_t p)
{
    for (size_t v = 0; v < spec->n_vocabulary; v++) {
        bias[v] = spec->tilt[p * spec->n_classes + (size_t)class_of[v]];
    }
}

void sc_perturb_dense_bias(double *bias, const sc_perturb_spec *spec, size_t p)
{
    for (size_t v = 0; v < spec->n_vocabulary; v++) {
        bias[v] = (double)spec->dense[p * spec->n_vocabulary + v];
    }
}

void sc_perturb_sparse_bias(double *bias, const sc_perturb_spec *spec, size_t p)
{
    memset(bias, 0, spec->n_vocabulary * sizeof *bias);
    for (size_t j = spec->sparse_first[p]; j < spec->sparse_first[p + 1]; j++) {
        bias[spec->sparse_token[j]] = spec->sparse_value[j];
    }
}

void sc_perturb_logmasses(double *logmass, const double *logit, const sc_perturb_spec *spec, const int32_t *class_of,
                          const bool *wanted, double log_normalizer, double *scratch)
{
    double *highest = scratch, *sum = scratch + spec->n_classes;
    for (size_t k = 0; k < spec->n_classes; k++) {
        highest[k] = -(double)INFINITY;
        sum[k] = 0;
    }
    for (size_t v = 0; v < spec->n_vocabulary; v++) {
        size_t k = (size_t)class_of[v];
        highest[k] = logit[v] > highest[k] ? logit[v] : highest[k];
    }
    for (size_t v = 0; v < spec->n_vocabulary; v++) {
        size_t k = (size_t)class_of[v];
        if ((wanted == NULL || wanted[k]) && highest[k] > -(double)INFINITY) {
            sum[k] += exp(logit[v] - highest[k]);
        }
    }
    for (size_t k = 0; k < spec->n_classes; k++) {
        if (wanted == NULL || wanted[k]) {
            logmass[k] = sum[k] > 0 ? highest[k] - log_normalizer + log(sum[k]) : -(double)INFINITY;
        }
    }
}

/* ---- the reference ---- */

static void losses(const double *logit, double *bias, const sc_perturb_spec *spec, const sc_perturb_batch *batch,
                   sc_perturb_result *result, size_t i)
{
    size_t n = spec->n_vocabulary, t = (size_t)batch->target[i];
    for (size_t p = 0; result->loss_temperature != NULL && p < spec->n_temperatures; p++) {
        double temperature = spec->temperature[p];
        result->loss_temperature[i * spec->n_temperatures + p] =
            sc_perturb_normalizer(logit, n, temperature, NULL) - logit[t] / temperature;
    }
    const struct {
        double *loss;
        size_t n;
    } families[] = {
        {result->loss_tilt, spec->n_tilts}, {result->loss_dense, spec->n_dense}, {result->loss_sparse, spec->n_sparse}};
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        for (size_t p = 0; families[f].loss != NULL && p < families[f].n; p++) {
            if (f == 0) {
                sc_perturb_tilt_bias(bias, spec, sc_perturb_classes(spec, batch, i), p);
            } else if (f == 1) {
                sc_perturb_dense_bias(bias, spec, p);
            } else {
                sc_perturb_sparse_bias(bias, spec, p);
            }
            families[f].loss[i * families[f].n + p] = sc_perturb_normalizer(logit, n, 1, bias) - (logit[t] + bias[t]);
        }
    }
}

semcal_status sc_perturb_reference(const void *logits, const sc_perturb_spec *spec, const sc_perturb_batch *batch,
                                   sc_perturb_result *result, semcal_error *error)
{
    const sc_rows_input *input = &batch->input;
    size_t n = spec->n_vocabulary, element = sc_rows_element(input->type);
    semcal_status status = sc_perturb_check(spec, error);
    if (status == SEMCAL_OK) {
        status = sc_perturb_check_batch(spec, batch, result, error);
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    sc_rows_request request = SC_ROWS_REQUEST_INIT;
    request.target = batch->target;
    request.n_top = batch->n_top;
    sc_rows_result rows = {.entropy = result->entropy,
                           .target_rank = result->target_rank,
                           .top_token = result->top_token,
                           .top_logprob = result->top_logprob,
                           .first_row = batch->first_row};
    const char *first = (const char *)logits + input->offset * element;
    status = sc_rows_reference(first, input->type, input->n_rows, n, input->stride, &request, &rows, error);
    result->bad_row = rows.bad_row;
    result->bad_token = rows.bad_token;
    result->n_exact = 0;
    double *logit = sc_memory_alloc(2 * n + 2 * spec->n_classes, sizeof *logit, error);
    if (status == SEMCAL_OK && logit == NULL) {
        status = SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; status == SEMCAL_OK && i < input->n_rows; i++) {
        for (size_t v = 0; v < n; v++) {
            logit[v] = (double)sc_rows_load(first + i * input->stride * element, input->type, v);
        }
        double normalizer = sc_perturb_normalizer(logit, n, 1, NULL);
        if (result->log_normalizer != NULL) {
            result->log_normalizer[i] = normalizer;
        }
        if (result->loss != NULL) {
            result->loss[i] = normalizer - logit[batch->target[i]];
        }
        if (result->class_logmass != NULL && spec->n_classes > 0) {
            sc_perturb_logmasses(result->class_logmass + i * spec->n_classes, logit, spec,
                                 sc_perturb_classes(spec, batch, i), NULL, normalizer, logit + 2 * n);
        }
        if (batch->target != NULL) {
            losses(logit, logit + n, spec, batch, result, i);
        }
    }
    free(logit);
    return status;
}

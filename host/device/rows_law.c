/* SPDX-License-Identifier: Apache-2.0 */
#include "device/rows_law.h"

#include <math.h>
#include <string.h>

#define LN2 0.693147180559945309417232121458

size_t sc_rows_element(sc_rows_type type)
{
    return type == SC_ROWS_F32 ? 4 : 2;
}

float sc_rows_load(const void *logits, sc_rows_type type, size_t i)
{
    float value;
    uint16_t half;
    if (type == SC_ROWS_F32) {
        memcpy(&value, (const char *)logits + 4 * i, sizeof value);
        return value;
    }
    memcpy(&half, (const char *)logits + 2 * i, sizeof half);
    if (type == SC_ROWS_BF16) {
        uint32_t bits = (uint32_t)half << 16;
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    unsigned exponent = half >> 10 & 31, mantissa = half & 1023;
    float sign = half >> 15 ? -1.0f : 1.0f;
    if (exponent == 31) {
        return mantissa == 0 ? sign * INFINITY : NAN;
    }
    return sign * (exponent == 0 ? ldexpf((float)mantissa, -24) : ldexpf((float)(mantissa + 1024), (int)exponent - 25));
}

double sc_rows_log_weight(uint64_t weight)
{
    return log((double)weight) - SC_ROWS_BITS * LN2;
}

/* Log-probability of a token with this logit. */
static double logprob(float logit, float max, double temperature, double log_weight)
{
    return ((double)logit - (double)max) / temperature - log_weight;
}

void sc_rows_finish_row(sc_rows_result *result, size_t i, const sc_rows_request *request, const sc_rows_row *law,
                        const sc_rows_row *raw, const sc_rows_token *top, const sc_rows_token *draws)
{
    double temperature = request->temperature, log_weight = sc_rows_log_weight(law->weight);
    double log_weight_raw = raw == law ? log_weight : sc_rows_log_weight(raw->weight);
    float max = law->max; /* of the logits: the same at every temperature */
    if (result->log_normalizer != NULL) {
        result->log_normalizer[i] = (double)max + log_weight_raw;
    }
    if (result->entropy != NULL) {
        double weight = ldexp((double)law->weight, -SC_ROWS_BITS);
        double entropy = log_weight - law->moment / (temperature * weight);
        result->entropy[i] = entropy > 0 ? entropy : 0; /* rounding of a law on one token */
    }
    bool has_target = request->target != NULL && request->target[i] >= 0;
    if (result->target_logprob != NULL) {
        result->target_logprob[i] = has_target ? logprob(law->target, max, temperature, log_weight) : (double)NAN;
    }
    if (result->target_logprob_raw != NULL) {
        result->target_logprob_raw[i] = has_target ? logprob(law->target, max, 1, log_weight_raw) : (double)NAN;
    }
    if (result->target_rank != NULL) {
        result->target_rank[i] = has_target ? law->rank : -1;
    }
    for (size_t k = 0; k < request->n_top; k++) {
        const sc_rows_token *entry = &top[k];
        if (result->top_token != NULL) {
            result->top_token[i * request->n_top + k] = entry->token;
        }
        if (result->top_logprob != NULL) {
            result->top_logprob[i * request->n_top + k] =
                entry->token < 0 ? -(double)INFINITY : logprob(entry->logit, max, temperature, log_weight);
        }
    }
    if (request->first_draw == NULL) {
        return;
    }
    for (size_t j = request->first_draw[i]; j < request->first_draw[i + 1]; j++) {
        const sc_rows_token *draw = &draws[j - request->first_draw[i]];
        if (result->token != NULL) {
            result->token[j] = draw->token;
        }
        if (result->logprob != NULL) {
            result->logprob[j] = logprob(draw->logit, max, temperature, log_weight);
        }
        if (result->logprob_raw != NULL) {
            result->logprob_raw[j] = logprob(draw->logit, max, 1, log_weight_raw);
        }
    }
}

semcal_status sc_rows_check(const sc_rows_request *request, size_t n_rows, size_t n_vocabulary, size_t stride,
                            semcal_error *error)
{
    if (n_vocabulary < 1 || n_vocabulary > SC_ROWS_MAX_VOCABULARY || stride < n_vocabulary) {
        return sc_error_set(error, SEMCAL_E_DATA, "rows of %zu logits with stride %zu: 1 to %d logits, stride as long",
                            n_vocabulary, stride, SC_ROWS_MAX_VOCABULARY);
    }
    if (!(request->temperature >= 1e-6 && request->temperature <= 1e6)) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "temperature: must be between 1e-6 and 1e6, got %g",
                            request->temperature);
    }
    if (request->n_top > SC_ROWS_MAX_TOP) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "top_k: at most %d, got %zu", SC_ROWS_MAX_TOP, request->n_top);
    }
    for (size_t i = 0; i < n_rows; i++) {
        if (request->target != NULL && (request->target[i] < -1 || request->target[i] >= (int32_t)n_vocabulary)) {
            return sc_error_set(error, SEMCAL_E_DATA, "row %zu: target %d is outside the vocabulary of %zu", i,
                                request->target[i], n_vocabulary);
        }
        if (request->first_draw != NULL && (request->first_draw[i + 1] < request->first_draw[i] ||
                                            request->first_draw[i + 1] - request->first_draw[i] > INT32_MAX)) {
            return sc_error_set(error, SEMCAL_E_DATA, "row %zu: draws %zu to %zu", i, request->first_draw[i],
                                request->first_draw[i + 1]);
        }
    }
    return SEMCAL_OK;
}

/* What is wrong with the row, without saying which row. */
static semcal_status describe_bad(sc_rows_result *result, size_t i, const void *logits, sc_rows_type type,
                                  size_t n_vocabulary, const sc_rows_request *request, semcal_error *error)
{
    bool has_mass = false;
    for (size_t v = 0; v < n_vocabulary; v++) {
        float logit = sc_rows_load(logits, type, v);
        if (isnan(logit) || logit == INFINITY) {
            result->bad_token = (int32_t)v;
            return sc_error_set(error, SEMCAL_E_NUMERIC, "the logit of token %zu is %s", v,
                                isnan(logit) ? "NaN" : "+inf");
        }
        has_mass = has_mass || logit > -INFINITY;
    }
    if (!has_mass) {
        return sc_error_set(error, SEMCAL_E_NUMERIC, "every logit is -inf");
    }
    if (request->target != NULL && request->target[i] >= 0 &&
        sc_rows_load(logits, type, (size_t)request->target[i]) == -INFINITY) {
        result->bad_token = request->target[i];
        return sc_error_set(error, SEMCAL_E_NUMERIC, "the target, token %d, has logit -inf", request->target[i]);
    }
    return sc_error_set(error, SEMCAL_E_NUMERIC, "no law, though every logit is finite");
}

semcal_status sc_rows_name_bad(sc_rows_result *result, size_t i, const void *logits, sc_rows_type type,
                               size_t n_vocabulary, const sc_rows_request *request, semcal_error *error)
{
    result->bad_row = i;
    result->bad_token = -1;
    semcal_status status = describe_bad(result, i, logits, type, n_vocabulary, request, error);
    if (result->first_row != SC_ROWS_UNNAMED) {
        sc_error_where(error, "row %zu", result->first_row + i);
    }
    return status;
}

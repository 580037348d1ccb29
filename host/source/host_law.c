/* SPDX-License-Identifier: Apache-2.0 */
#include "source/host_law.h"

#include "base/numeric.h"

#include <math.h>

static uint64_t weight_of(double p)
{
    return (uint64_t)llrint(p * 0x1p52);
}

/* floor(a b / 2^64) without a 128-bit type. */
static uint64_t multiply_high(uint64_t a, uint64_t b)
{
    uint64_t a0 = a & 0xffffffffu, a1 = a >> 32, b0 = b & 0xffffffffu, b1 = b >> 32;
    uint64_t low = a0 * b0, mid = a1 * b0 + (low >> 32), mid2 = a0 * b1 + (mid & 0xffffffffu);
    return a1 * b1 + (mid >> 32) + (mid2 >> 32);
}

int32_t sc_host_law_draw(const double *p, size_t n, uint64_t u)
{
    uint64_t total = 0;
    for (size_t i = 0; i < n; i++) {
        total += weight_of(p[i]);
    }
    uint64_t target = multiply_high(u, total), cumulative = 0;
    size_t last = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t weight = weight_of(p[i]);
        cumulative += weight;
        if (weight > 0) {
            last = i;
        }
        if (cumulative > target) {
            return (int32_t)i;
        }
    }
    return (int32_t)last;
}

static void read_top(sc_law_result *result, const sc_law_request *request, size_t row, const double *tempered, size_t n)
{
    int32_t *tokens = result->top_token + row * request->n_top;
    double *values = result->top_logprob + row * request->n_top;
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        size_t at = found < request->n_top ? found : request->n_top;
        while (at > 0 && tempered[i] > values[at - 1]) {
            at--;
        }
        if (at >= request->n_top) {
            continue;
        }
        found += found < request->n_top;
        for (size_t k = found - 1; k > at; k--) {
            tokens[k] = tokens[k - 1];
            values[k] = values[k - 1];
        }
        tokens[at] = (int32_t)i;
        values[at] = tempered[i];
    }
    for (size_t k = found; k < request->n_top; k++) {
        tokens[k] = -1;
        values[k] = -INFINITY;
    }
}

semcal_status sc_host_law_read(sc_law_result *result, const sc_law_request *request, size_t row, const double *logprob,
                               size_t n, double *scratch, semcal_error *error)
{
    for (size_t i = 0; i < n; i++) {
        if (isnan(logprob[i]) || logprob[i] == INFINITY) {
            return sc_error_set(error, SEMCAL_E_NUMERIC, "token %zu: log-probability is %g", i, logprob[i]);
        }
        scratch[i] = logprob[i] / request->temperature;
    }
    double normalizer = request->temperature == 1.0 ? 0 : sc_log_sum_exp(scratch, n);
    if (sc_log_sum_exp(scratch, n) == -INFINITY) {
        return sc_error_set(error, SEMCAL_E_NUMERIC, "the law has no mass: every log-probability is -inf");
    }
    sc_sum entropy = {0, 0};
    for (size_t i = 0; i < n; i++) {
        scratch[i] -= normalizer;
        if (scratch[i] > -INFINITY) {
            sc_sum_add(&entropy, -exp(scratch[i]) * scratch[i]);
        }
    }
    result->log_normalizer[row] = 0;
    result->entropy[row] = sc_sum_value(&entropy);
    int32_t target = request->target == NULL ? -1 : request->target[row];
    if (target >= 0 && (size_t)target >= n) {
        return sc_error_set(error, SEMCAL_E_NUMERIC, "target token %d is outside the vocabulary of %zu", (int)target,
                            n);
    }
    if (result->target_logprob != NULL) {
        result->target_logprob[row] = target < 0 ? NAN : scratch[target];
    }
    if (result->target_logprob_raw != NULL) {
        result->target_logprob_raw[row] = target < 0 ? NAN : logprob[target];
    }
    if (request->n_top > 0) {
        read_top(result, request, row, scratch, n);
    }
    size_t first = request->first_draw[row], end = request->first_draw[row + 1];
    if (first == end) {
        return SEMCAL_OK;
    }
    /* Draws need probabilities; the tempered log-probabilities are read back from them below. */
    for (size_t i = 0; i < n; i++) {
        scratch[i] = exp(scratch[i]);
    }
    for (size_t j = first; j < end; j++) {
        int32_t token = sc_host_law_draw(scratch, n, request->uniform[j]);
        result->token[j] = token;
        result->logprob_raw[j] = logprob[token];
        result->logprob[j] = logprob[token] / request->temperature - normalizer;
    }
    return SEMCAL_OK;
}

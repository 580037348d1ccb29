/* SPDX-License-Identifier: Apache-2.0 */
/* The plain C side of cl/rows.cl: same definition, written for reading. rows.h says what is computed. */
#include "device/rows_law.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LOG2E 1.44269504088896340735992468100

__extension__ typedef unsigned __int128 wide;

/* One row at one temperature. */
typedef struct law {
    size_t n_blocks;
    float *max;           /* [n_blocks] */
    uint64_t *part;       /* [n_blocks, SC_ROWS_PARTS] sums of weights */
    uint64_t *cumulative; /* [n_blocks] inclusive sums of scaled block weights */
    double temperature;
    sc_rows_row row;
} law;

static float bits_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* exp2(d c) for d <= 0, at least 2^-100: nearest integer by a magic number, then a polynomial of degree 5 for
 * 2^r on [-1/2, 1/2] with p(0) = 1 exactly. */
static float weight(float logit, float max, float c, float lowest)
{
    const float magic = 0x1.8p23f;
    float d = logit - max;
    d = d < lowest ? lowest : d;
    float shifted = fmaf(d, c, magic);
    float n = shifted - magic;
    float r = fmaf(d, c, -n);
    float p = 0x1.5bba14p-10f;
    p = fmaf(p, r, 0x1.3cea88p-7f);
    p = fmaf(p, r, 0x1.c6b752p-5f);
    p = fmaf(p, r, 0x1.ebf9bcp-3f);
    p = fmaf(p, r, 0x1.62e42ap-1f);
    p = fmaf(p, r, 1.0f);
    return bits_float(float_bits(p) + (float_bits(shifted) << 23));
}

static uint64_t quantize(float w)
{
    return (uint64_t)llrint((double)w * 0x1p45);
}

uint64_t sc_rows_weight(float logit, float max, double temperature)
{
    float c = (float)(LOG2E / temperature);
    return quantize(weight(logit, max, c, (float)(-100.0 / (double)c)));
}

/* 2^x for -200 <= x <= 0 as a fraction of 2^62 and a shift: 2^x = fraction 2^-62 2^-shift. */
static uint64_t octaves(double x, unsigned *shift, double *value)
{
    static const double c[] = {1.0,
                               0x1.62e42fefa39efp-1,
                               0x1.ebfbdff82c58fp-3,
                               0x1.c6b08d704a0c0p-5,
                               0x1.3b2ab6fba4e77p-7,
                               0x1.5d87fe78a6731p-10,
                               0x1.430912f86c787p-13,
                               0x1.ffcbfc588b0c7p-17,
                               0x1.62c0223a5c824p-20,
                               0x1.b5253d395e7c4p-24,
                               0x1.e4cf5158b8ecap-28,
                               0x1.e8cac7351bb25p-32,
                               0x1.c3bd650fc2986p-36};
    double n = rint(x), r = x - n, p = c[12];
    for (int i = 11; i >= 0; i--) {
        p = fma(p, r, c[i]);
    }
    *shift = (unsigned)-n;
    *value = ldexp(p, (int)n);
    return (uint64_t)(p * 0x1p62);
}

/* Maximum, sums of weights and the moment of one block. Padding to whole lanes counts as logits of -inf, as on the
 * device. */
static float evaluate_block(law *out, size_t b, const float *logits, size_t n, size_t n_lanes)
{
    float c = (float)(LOG2E / out->temperature), lowest = (float)(-100.0 / (double)c);
    float max = -INFINITY, lane[SC_ROWS_BLOCK] = {0};
    for (size_t i = 0; i < n; i++) {
        max = logits[i] > max ? logits[i] : max;
    }
    out->max[b] = max;
    float reference = max == -INFINITY ? 0 : max;
    size_t padded = (n + n_lanes - 1) / n_lanes * n_lanes;
    for (size_t i = 0; i < padded; i++) {
        float logit = i < n ? logits[i] : -INFINITY;
        float w = weight(logit, reference, c, lowest);
        float d = logit - reference;
        d = d < lowest ? lowest : d;
        lane[i % n_lanes] = fmaf(w, d, lane[i % n_lanes]);
        out->part[b * SC_ROWS_PARTS + i / SC_ROWS_PART] += quantize(w);
    }
    for (size_t half = n_lanes / 2; half >= 1; half /= 2) {
        for (size_t j = 0; j < half; j++) {
            lane[j] += lane[j + half];
        }
    }
    return lane[0];
}

static uint64_t block_weight(const law *l, size_t b)
{
    uint64_t sum = 0;
    for (size_t p = 0; p < SC_ROWS_PARTS; p++) {
        sum += l->part[b * SC_ROWS_PARTS + p];
    }
    return sum;
}

static void evaluate_law(law *out, const float *logits, size_t n_vocabulary, size_t n_lanes)
{
    double lanes[SC_ROWS_LANES] = {0}, scale = LOG2E / out->temperature;
    memset(out->part, 0, out->n_blocks * SC_ROWS_PARTS * sizeof *out->part);
    float max = -INFINITY;
    for (size_t i = 0; i < n_vocabulary; i++) {
        max = logits[i] > max ? logits[i] : max;
    }
    out->row.max = max;
    uint64_t total = 0;
    for (size_t b = 0; b < out->n_blocks; b++) {
        size_t first = b * SC_ROWS_BLOCK;
        size_t n = n_vocabulary - first < SC_ROWS_BLOCK ? n_vocabulary - first : SC_ROWS_BLOCK;
        float moment = evaluate_block(out, b, logits + first, n, n_lanes);
        double below = (double)out->max[b] - (double)max, x = below * scale;
        if (x >= SC_ROWS_CUT) {
            unsigned shift;
            double factor;
            uint64_t sum = block_weight(out, b), fraction = octaves(x, &shift, &factor);
            uint64_t scaled = (uint64_t)((wide)sum * fraction >> 62);
            total += shift < 64 ? scaled >> shift : 0;
            double inside = fma((double)sum * 0x1p-45, below, (double)moment);
            lanes[b % SC_ROWS_LANES] = fma(factor, inside, lanes[b % SC_ROWS_LANES]);
        }
        out->cumulative[b] = total;
    }
    for (size_t half = SC_ROWS_LANES / 2; half >= 1; half /= 2) {
        for (size_t j = 0; j < half; j++) {
            lanes[j] += lanes[j + half];
        }
    }
    out->row.weight = total;
    out->row.moment = lanes[0];
}

/* The token where a uniform falls. */
static sc_rows_token draw(const law *l, const float *logits, uint64_t uniform)
{
    wide product = (wide)uniform * l->row.weight;
    uint64_t at = (uint64_t)(product >> 64), before = 0;
    size_t b = 0;
    while (l->cumulative[b] <= at) {
        before = l->cumulative[b++];
    }
    /* Where inside the block, as a 64-bit fraction; then in units of the block's own weights. */
    wide inside = (wide)(at - before) << 64 | (uint64_t)product;
    uint64_t fraction = (uint64_t)(inside / (l->cumulative[b] - before));
    uint64_t rest = (uint64_t)((wide)fraction * block_weight(l, b) >> 64);
    float c = (float)(LOG2E / l->temperature), lowest = (float)(-100.0 / (double)c);
    size_t i = b * SC_ROWS_BLOCK;
    for (const uint64_t *part = l->part + b * SC_ROWS_PARTS; rest >= *part; part++) {
        rest -= *part;
        i += SC_ROWS_PART;
    }
    for (;; i++) {
        uint64_t q = quantize(weight(logits[i], l->max[b], c, lowest));
        if (rest < q) {
            return (sc_rows_token){(abi_i32)i, logits[i]};
        }
        rest -= q;
    }
}

static void top(sc_rows_token *entries, size_t n_top, const float *logits, size_t n_vocabulary)
{
    size_t n = 0;
    for (size_t v = 0; v < n_vocabulary; v++) {
        if (n == n_top && (n == 0 || !(logits[v] > entries[n - 1].logit))) {
            continue;
        }
        size_t k = n < n_top ? n++ : n - 1;
        for (; k > 0 && logits[v] > entries[k - 1].logit; k--) {
            entries[k] = entries[k - 1];
        }
        entries[k] = (sc_rows_token){(abi_i32)v, logits[v]};
    }
    for (; n < n_top; n++) {
        entries[n] = (sc_rows_token){-1, 0};
    }
}

/* Scratch memory of one call. */
typedef struct workplace {
    float *logits;
    law tempered, raw;
    sc_rows_token *top, *draws;
} workplace;

static semcal_status make_law(law *out, size_t n_vocabulary, double temperature, semcal_error *error)
{
    out->n_blocks = (n_vocabulary + SC_ROWS_BLOCK - 1) / SC_ROWS_BLOCK;
    out->temperature = temperature;
    out->max = sc_memory_alloc(out->n_blocks, sizeof *out->max, error);
    out->part = sc_memory_alloc(out->n_blocks * SC_ROWS_PARTS, sizeof *out->part, error);
    out->cumulative = sc_memory_alloc(out->n_blocks, sizeof *out->cumulative, error);
    return out->max == NULL || out->part == NULL || out->cumulative == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
}

static void free_law(law *l)
{
    free(l->max);
    free(l->part);
    free(l->cumulative);
}

static semcal_status evaluate_row(workplace *w, size_t i, const void *logits, sc_rows_type type, size_t n_vocabulary,
                                  const sc_rows_request *request, sc_rows_result *result, size_t n_lanes,
                                  semcal_error *error)
{
    bool bad = false, has_mass = false;
    for (size_t v = 0; v < n_vocabulary; v++) {
        w->logits[v] = sc_rows_load(logits, type, v);
        bad = bad || isnan(w->logits[v]) || w->logits[v] == INFINITY;
        has_mass = has_mass || w->logits[v] > -INFINITY;
    }
    int32_t target = request->target == NULL ? -1 : request->target[i];
    if (bad || !has_mass || (target >= 0 && w->logits[target] == -INFINITY)) {
        return sc_rows_name_bad(result, i, logits, type, n_vocabulary, request, error);
    }
    evaluate_law(&w->tempered, w->logits, n_vocabulary, n_lanes);
    law *raw = &w->tempered;
    if (request->temperature != 1) {
        raw = &w->raw;
        evaluate_law(raw, w->logits, n_vocabulary, n_lanes);
    }
    if (target >= 0) {
        float logit = w->logits[target];
        abi_i32 rank = 0;
        for (size_t v = 0; v < n_vocabulary; v++) {
            rank += w->logits[v] > logit || (w->logits[v] == logit && v < (size_t)target);
        }
        w->tempered.row.target = logit;
        w->tempered.row.rank = rank;
    }
    top(w->top, request->n_top, w->logits, n_vocabulary);
    if (request->first_draw != NULL) {
        for (size_t j = request->first_draw[i]; j < request->first_draw[i + 1]; j++) {
            w->draws[j - request->first_draw[i]] = draw(&w->tempered, w->logits, request->uniform[j]);
        }
    }
    sc_rows_finish_row(result, i, request, &w->tempered.row, &raw->row, w->top, w->draws);
    return SEMCAL_OK;
}

semcal_status sc_rows_reference_lanes(const void *logits, sc_rows_type type, size_t n_rows, size_t n_vocabulary,
                                      size_t stride, const sc_rows_request *request, sc_rows_result *result,
                                      size_t n_lanes, semcal_error *error)
{
    workplace w = {0};
    semcal_status status = sc_rows_check(request, n_rows, n_vocabulary, stride, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    size_t most_draws = 0, element = sc_rows_element(type);
    for (size_t i = 0; request->first_draw != NULL && i < n_rows; i++) {
        size_t n = request->first_draw[i + 1] - request->first_draw[i];
        most_draws = n > most_draws ? n : most_draws;
    }
    w.logits = sc_memory_alloc(n_vocabulary, sizeof *w.logits, error);
    w.top = sc_memory_alloc(request->n_top, sizeof *w.top, error);
    w.draws = sc_memory_alloc(most_draws, sizeof *w.draws, error);
    status = w.logits == NULL || w.top == NULL || w.draws == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK) {
        status = make_law(&w.tempered, n_vocabulary, request->temperature, error);
    }
    if (status == SEMCAL_OK && request->temperature != 1) {
        status = make_law(&w.raw, n_vocabulary, 1, error);
    }
    for (size_t i = 0; status == SEMCAL_OK && i < n_rows; i++) {
        const char *row = (const char *)logits + i * stride * element;
        status = evaluate_row(&w, i, row, type, n_vocabulary, request, result, n_lanes, error);
    }
    free_law(&w.tempered);
    free_law(&w.raw);
    free(w.logits);
    free(w.top);
    free(w.draws);
    return status;
}

semcal_status sc_rows_reference(const void *logits, sc_rows_type type, size_t n_rows, size_t n_vocabulary,
                                size_t stride, const sc_rows_request *request, sc_rows_result *result,
                                semcal_error *error)
{
    return sc_rows_reference_lanes(logits, type, n_rows, n_vocabulary, stride, request, result, 16, error);
}

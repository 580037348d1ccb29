/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token-level stage over rows of logits [N, V]: log-normalizer, entropy, top-k, target log-probability and rank,
 * and draws by inverse CDF, from one reading of the logits (one more at a temperature other than 1).
 *
 * The law of a row, exactly (the same bits on every path, whatever N, the split over work-groups or the device's
 * vector width; sc_rows_reference computes the same ones):
 *   - Tokens lie in blocks of SC_ROWS_BLOCK in index order. Block b has the maximum m_b; token i of it the weight
 *     q_i = round(2^45 exp2((l_i - m_b) log2(e)/T)), an integer, exp2 being a fixed fp32 polynomial (relative error
 * below 2e-7 at T = 1). Block sums S_b are integers: exact, so their order does not matter.
 *   - The row has the maximum m and W = sum over b of floor(S_b 2^x_b), x_b = (m_b - m) log2(e)/T (double). Hence
 *     log-normalizer = m/T + log(W 2^-45), and log p_i = (l_i - m)/T - log(W 2^-45), both in double from exact logits.
 *   - A draw with the 64-bit uniform u falls at u W / 2^64, which picks the block; the remaining bits of u pick the
 *     token of the block by its integer CDF. Probabilities down to 2^-45 of the block's largest are drawable; a logit
 *     of -inf never is.
 * NaN, +inf, a row of nothing but -inf and a target of -inf are SEMCAL_E_NUMERIC, naming row and token.
 */
#ifndef SC_DEVICE_ROWS_H
#define SC_DEVICE_ROWS_H

#include "device/device.h"

#define SC_ROWS_MAX_VOCABULARY 524288 /* V at most: sums stay below 2^64 */
#define SC_ROWS_MAX_TOP 256           /* SC_ROWS_TOP of abi.h */

typedef enum sc_rows_type { SC_ROWS_F32, SC_ROWS_F16, SC_ROWS_BF16 } sc_rows_type;
size_t sc_rows_element(sc_rows_type type); /* bytes of a logit */

/* What to read off the rows; arrays belong to the caller and must stay until the results are collected.
 * M = first_draw[N] draws in all. Mirrors sc_law_request. */
typedef struct sc_rows_request {
    double temperature;       /* > 0; the law is softmax(logits / temperature) */
    const size_t *first_draw; /* [N+1] row i owns draws first_draw[i] .. first_draw[i+1]-1; NULL: no draws */
    const uint64_t *uniform;  /* [M] */
    const int32_t *target;    /* [N] token, -1 for none; NULL: no targets */
    size_t n_top;             /* 0..SC_ROWS_MAX_TOP most probable tokens */
} sc_rows_request;
#define SC_ROWS_REQUEST_INIT                                                                                           \
    {                                                                                                                  \
        1.0, NULL, NULL, NULL, 0                                                                                       \
    }

/* What comes back, in the caller's arrays; NULL: not wanted (without entropy and rank the pass is cheaper). Natural
 * logarithms; of the tempered law unless named raw. Mirrors sc_law_result. */
typedef struct sc_rows_result {
    double *log_normalizer;     /* [N] log sum exp of the raw logits (temperature 1) */
    double *entropy;            /* [N] nats */
    double *target_logprob;     /* [N] NaN where there is no target */
    double *target_logprob_raw; /* [N] at temperature 1 */
    int32_t *target_rank;       /* [N] tokens that come before the target by falling logit, then index; -1: no target */
    int32_t *top_token;         /* [N, n_top] by falling probability, ties by index; -1 past the vocabulary */
    double *top_logprob;        /* [N, n_top] (-inf past the vocabulary) */
    int32_t *token;             /* [M] drawn tokens */
    double *logprob;            /* [M] */
    double *logprob_raw;        /* [M] at temperature 1 */
    size_t bad_row;             /* after SEMCAL_E_NUMERIC: which row */
    int32_t bad_token;          /* and which token; -1: the row as a whole */
    size_t first_row; /* given by the caller: what messages about logits call row 0; SC_ROWS_UNNAMED: nothing */
} sc_rows_result;

/* Messages do not say which row: the caller has a better name for it. */
#define SC_ROWS_UNNAMED SIZE_MAX

/* ---- on the device ---- */

typedef struct sc_rows sc_rows; /* kernels and scratch memory of one device */

typedef struct sc_rows_options {
    const char *build_options; /* overrides for tests: "-DLSZ=64 -DVW=4"; NULL */
    size_t rows_per_pass;      /* rows whose scratch exists at once; 0: chosen */
    size_t items_per_row;      /* work split of a row; 0: chosen by N (never changes a result) */
} sc_rows_options;
#define SC_ROWS_OPTIONS_INIT                                                                                           \
    {                                                                                                                  \
        NULL, 0, 0                                                                                                     \
    }

/* A device without double precision, or whose row kernels fail their self-test (device/selftest.h), has a note, and the
 * host reads the laws off the logits: slow, the same numbers. */
semcal_status sc_rows_create(sc_rows **rows, sc_device *device, const sc_rows_options *options, semcal_error *error);
void sc_rows_free(sc_rows *rows);

/* Logits on the device: row i begins at element offset + i*stride of the buffer; stride >= V. */
typedef struct sc_rows_input {
    sc_buffer *logits;
    sc_rows_type type;
    size_t n_rows, n_vocabulary, stride, offset;
} sc_rows_input;

/* Enqueues everything, waits for nothing: a model enqueues its forward pass, then this, then collects. One enqueue per
 * sc_rows may be outstanding; `logits`, request and result arrays must stay until it is collected. */
semcal_status sc_rows_enqueue(sc_rows *rows, const sc_rows_input *input, const sc_rows_request *request,
                              const sc_rows_result *result, semcal_error *error);
/* Waits (the one wait of the step) and fills the result given to sc_rows_enqueue. After an error nothing is
 * outstanding. */
semcal_status sc_rows_collect(sc_rows *rows, sc_rows_result *result, semcal_error *error);
/* Both. */
semcal_status sc_rows_evaluate(sc_rows *rows, const sc_rows_input *input, const sc_rows_request *request,
                               sc_rows_result *result, semcal_error *error);

/* sha256 of the kernel sources and the build options, for provenance. */
const char *sc_rows_kernels_sha256(const sc_rows *rows);
const char *sc_rows_build_options(const sc_rows *rows);

/* ---- plain C reference: the same numbers, bit for bit, from logits in host memory ---- */

/* `logits` holds `type` elements, row i at element i*stride. The entropy's last bits depend on the device's lanes
 * (LSZ times VW): sc_rows_reference uses those of CPU devices (16). */
semcal_status sc_rows_reference(const void *logits, sc_rows_type type, size_t n_rows, size_t n_vocabulary,
                                size_t stride, const sc_rows_request *request, sc_rows_result *result,
                                semcal_error *error);
semcal_status sc_rows_reference_lanes(const void *logits, sc_rows_type type, size_t n_rows, size_t n_vocabulary,
                                      size_t stride, const sc_rows_request *request, sc_rows_result *result,
                                      size_t n_lanes, semcal_error *error);

/* One logit as float; exact for every type. */
float sc_rows_load(const void *logits, sc_rows_type type, size_t i);

#endif

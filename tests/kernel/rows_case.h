/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the row stage share: a device, results with room, logits with character. */
#ifndef SEMCAL_TESTS_ROWS_CASE_H
#define SEMCAL_TESTS_ROWS_CASE_H

#include "base/random.h"
#include "device/rows.h"

#include "check.h"

/* Arrays of a result for N rows, M draws, n_top. */
typedef struct rows_arrays {
    size_t n, m, n_top;
    sc_rows_result result;
    double *doubles;
    int32_t *integers;
} rows_arrays;

static inline rows_arrays make_arrays(size_t n, size_t m, size_t n_top)
{
    rows_arrays a = {.n = n, .m = m, .n_top = n_top};
    a.doubles = calloc(4 * n + n * n_top + 2 * m + 1, sizeof *a.doubles);
    a.integers = calloc(n + n * n_top + m + 1, sizeof *a.integers);
    assert_true(a.doubles != NULL && a.integers != NULL);
    double *d = a.doubles;
    int32_t *i = a.integers;
    a.result = (sc_rows_result){.log_normalizer = d,
                                .entropy = d + n,
                                .target_logprob = d + 2 * n,
                                .target_logprob_raw = d + 3 * n,
                                .target_rank = i,
                                .top_token = i + n,
                                .top_logprob = d + 4 * n,
                                .token = i + n + n * n_top,
                                .logprob = d + 4 * n + n * n_top,
                                .logprob_raw = d + 4 * n + n * n_top + m};
    return a;
}

static inline void free_arrays(rows_arrays *a)
{
    free(a->doubles);
    free(a->integers);
}

/* Every bit of two results is the same. */
static inline bool same_arrays(const rows_arrays *a, const rows_arrays *b)
{
    return memcmp(a->doubles, b->doubles, (4 * a->n + a->n * a->n_top + 2 * a->m) * sizeof *a->doubles) == 0 &&
           memcmp(a->integers, b->integers, (a->n + a->n * a->n_top + a->m) * sizeof *a->integers) == 0;
}

/* About normal, standard deviation 1. */
static inline double bell(sc_random_stream *stream)
{
    double sum = -6;
    for (int i = 0; i < 12; i++) {
        sum += sc_random_unit(stream);
    }
    return sum;
}

static inline sc_buffer *buffer_of(sc_device *device, const void *data, size_t bytes)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_buffer *buffer;
    check_ok(sc_buffer_create(&buffer, device, bytes, SC_BUFFER_DEVICE, "logits", &error), error);
    check_ok(sc_buffer_write(buffer, 0, data, bytes, &error), error);
    return buffer;
}

#endif

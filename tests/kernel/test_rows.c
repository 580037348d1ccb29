/* SPDX-License-Identifier: Apache-2.0 */
/* The row stage on the device: every bit against the plain C reference, values against float64, the same bits for any
 * number of rows and any split, and errors that name row and token. */
#include "rows_case.h"

static sc_device *device;

static int open_device(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    if (sc_device_open(&device, NULL, &error) != SEMCAL_OK) {
        print_error("%s\n", error.message);
        return -1;
    }
    return 0;
}

static int close_device(void **state)
{
    (void)state;
    sc_device_close(device);
    return 0;
}

/* ---- logits with character ---- */

enum { PLAIN, PEAKED, EQUAL, HUGE_SPREAD, LARGEST, TINY, MASKED, ONE_LEFT, DESCENDING, N_KINDS };
static const char *const kinds[] = {"plain", "peaked", "equal", "1e4", "3e38", "tiny", "masked", "one left", "falling"};

static float logit_of(int kind, size_t v, size_t n_vocabulary, sc_random_stream *stream)
{
    switch (kind) {
    case PLAIN:
        return (float)(3 * bell(stream));
    case PEAKED:
        return v == n_vocabulary / 3 ? 25.0f : (float)(4 * bell(stream));
    case EQUAL:
        return -7.25f;
    case HUGE_SPREAD:
        return (float)(1e4 * (2 * sc_random_unit(stream) - 1));
    case LARGEST:
        return v % 3 == 0 ? 3e38f : v % 3 == 1 ? -3e38f : 2.9999e38f;
    case TINY:
        return (float)(1e-40 * bell(stream));
    case MASKED:
        return sc_random_unit(stream) < 0.9 && v != 0 ? -INFINITY : (float)(2 * bell(stream));
    case ONE_LEFT:
        return v == n_vocabulary - 1 ? -3.0f : -INFINITY;
    default:
        return -(float)v / 64;
    }
}

static uint16_t to_half(float x, sc_rows_type type)
{
    /* Truncation will do: the test reads the halves back exactly. */
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (type == SC_ROWS_BF16) {
        return (uint16_t)(bits >> 16);
    }
    uint32_t sign = bits >> 16 & 0x8000;
    float size = fabsf(x);
    if (size >= 65504.0f) {
        return (uint16_t)(sign | (isinf(x) ? 0x7c00 : 0x7bff));
    }
    if (size < 0x1p-14f) {
        return (uint16_t)(sign | (uint32_t)ldexpf(size, 24));
    }
    int exponent;
    float mantissa = frexpf(size, &exponent);
    return (uint16_t)(sign | (uint32_t)(exponent + 14) << 10 | ((uint32_t)ldexpf(mantissa, 11) & 1023));
}

/* ---- against the reference and float64 ---- */

typedef struct test_case {
    size_t n, n_vocabulary, stride;
    sc_rows_type type;
    int kind;
    double temperature;
} test_case;

static const size_t n_top = 5, n_draws = 6;

static void *make_logits(const test_case *c)
{
    sc_random_stream stream;
    sc_random_stream_init(&stream, (uint64_t)c->kind, c->n_vocabulary);
    size_t element = c->type == SC_ROWS_F32 ? 4 : 2;
    char *data = calloc(c->n * c->stride, element);
    assert_non_null(data);
    for (size_t i = 0; i < c->n * c->stride; i++) {
        /* What lies between the rows must not be read: NaN. */
        float x = i % c->stride < c->n_vocabulary ? logit_of(c->kind, i % c->stride, c->n_vocabulary, &stream) : NAN;
        uint16_t half = to_half(x, c->type);
        memcpy(data + i * element, c->type == SC_ROWS_F32 ? (const void *)&x : (const void *)&half, element);
    }
    return data;
}

/* Values of one row against sums in double over the same logits. */
static void check_float64(const test_case *c, const void *logits, size_t row, const rows_arrays *a,
                          const int32_t *target, double *worst)
{
    const double t = c->temperature;
    double max = -INFINITY, sum = 0, sum_raw = 0, moment = 0;
    size_t at = row * c->stride;
    for (size_t v = 0; v < c->n_vocabulary; v++) {
        max = fmax(max, (double)sc_rows_load(logits, c->type, at + v));
    }
    for (size_t v = 0; v < c->n_vocabulary; v++) {
        double d = (double)sc_rows_load(logits, c->type, at + v) - max;
        sum_raw += exp(d);
        sum += exp(d / t);
        moment += d / t < -700 ? 0 : exp(d / t) * d / t;
    }
    double normalizer = max + log(sum_raw), entropy = log(sum) - moment / sum;
    check_close(a->result.log_normalizer[row], normalizer, 1e-6 * fmax(1, fabs(normalizer)));
    check_close(a->result.entropy[row], entropy, 2e-6 * fmax(1, entropy));
    worst[0] = fmax(worst[0], fabs(a->result.log_normalizer[row] - normalizer) / fmax(1, fabs(normalizer)));
    worst[1] = fmax(worst[1], fabs(a->result.entropy[row] - entropy) / fmax(1, entropy));
    double logit = (double)sc_rows_load(logits, c->type, at + (size_t)target[row]);
    double want = (logit - max) / t - log(sum), want_raw = logit - max - log(sum_raw);
    check_close(a->result.target_logprob[row], want, 1e-6 * fmax(1, fabs(want)));
    check_close(a->result.target_logprob_raw[row], want_raw, 1e-6 * fmax(1, fabs(want_raw)));
    for (size_t j = row * n_draws; j < (row + 1) * n_draws; j++) {
        logit = (double)sc_rows_load(logits, c->type, at + (size_t)a->result.token[j]);
        assert_true(logit > -INFINITY);
        check_close(a->result.logprob[j], (logit - max) / t - log(sum), 1e-6 * fmax(1, fabs(a->result.logprob[j])));
    }
}

static void run_case(sc_rows *rows, const test_case *c, size_t n_lanes, double *worst)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    void *logits = make_logits(c);
    size_t element = c->type == SC_ROWS_F32 ? 4 : 2;
    sc_buffer *buffer = buffer_of(device, logits, c->n * c->stride * element);
    size_t first_draw[8];
    uint64_t uniform[64];
    int32_t target[8];
    sc_random_stream stream;
    sc_random_stream_init(&stream, 5, c->n_vocabulary);
    for (size_t i = 0; i <= c->n; i++) {
        first_draw[i] = i * n_draws;
    }
    for (size_t i = 0; i < c->n; i++) {
        target[i] = (int32_t)sc_random_below(&stream, (uint32_t)c->n_vocabulary);
        while (sc_rows_load(logits, c->type, i * c->stride + (size_t)target[i]) == -INFINITY) {
            target[i] = (target[i] + 1) % (int32_t)c->n_vocabulary;
        }
    }
    for (size_t j = 0; j < c->n * n_draws; j++) {
        uniform[j] = j % n_draws == 0 ? 0 : j % n_draws == 1 ? UINT64_MAX : sc_random_u64(&stream);
    }
    const sc_rows_request request = {c->temperature, first_draw, uniform, target, n_top};
    const sc_rows_input input = {buffer, c->type, c->n, c->n_vocabulary, c->stride, 0};
    rows_arrays got = make_arrays(c->n, c->n * n_draws, n_top), want = make_arrays(c->n, c->n * n_draws, n_top);
    check_ok(sc_rows_reference_lanes(logits, c->type, c->n, c->n_vocabulary, c->stride, &request, &want.result, n_lanes,
                                     &error),
             error);
    check_ok(sc_rows_evaluate(rows, &input, &request, &got.result, &error), error);
    if (!same_arrays(&got, &want)) {
        print_error("%s logits, V=%zu, type %d, T=%g: device and reference differ\n", kinds[c->kind], c->n_vocabulary,
                    (int)c->type, c->temperature);
        fail();
    }
    for (size_t i = 0; i < c->n; i++) {
        check_float64(c, logits, i, &got, target, worst);
    }
    free_arrays(&got);
    free_arrays(&want);
    sc_buffer_free(buffer);
    free(logits);
}

/* `n_large` kinds of logits at the large widths; `n_types` types (compiling each takes a CPU driver seconds). */
static void equals_reference(const char *build_options, size_t n_lanes, int n_large, int n_types)
{
    static const size_t widths[] = {1, 2, 31, 32, 33, 255, 257, 1023, 1024, 1025, 5000, 50257, 151936};
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_rows_options options = SC_ROWS_OPTIONS_INIT;
    options.build_options = build_options;
    sc_rows *rows;
    check_ok(sc_rows_create(&rows, device, &options, &error), error);
    double worst[2] = {0, 0};
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        bool large = widths[w] > 10000;
        for (int kind = 0; kind < N_KINDS; kind++) {
            if (large && kind != MASKED && kind >= n_large) {
                continue;
            }
            for (int type = 0; type < n_types; type++) {
                if ((large && type != kind % n_types) || (type == SC_ROWS_F16 && kind == LARGEST)) {
                    continue;
                }
                test_case c = {large ? 1 : 3, widths[w], widths[w] + (size_t)type * 3, (sc_rows_type)type, kind, 1};
                run_case(rows, &c, n_lanes, worst);
                c.temperature = kind % 2 == 0 ? 0.7 : 2.5;
                run_case(rows, &c, n_lanes, worst);
            }
        }
    }
    print_message("  largest deviation from float64: log-normalizer %.2g, entropy %.2g (relative above 1)\n", worst[0],
                  worst[1]);
    sc_rows_free(rows);
}

static void vector_path(void **state)
{
    (void)state;
    equals_reference("-DLSZ=1 -DVW=16", 16, 3, 3);
}

static void narrow_vector_path(void **state)
{
    (void)state;
    equals_reference("-DLSZ=1 -DVW=8", 8, 0, 1);
}

static void group_path(void **state)
{
    (void)state;
    equals_reference("-DLSZ=256 -DVW=4", 1024, 1, 3);
}

static void small_group_path(void **state)
{
    (void)state;
    equals_reference("-DLSZ=64 -DVW=4", 256, 0, 1);
}

/* ---- invariance ---- */

static void any_number_of_rows(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    enum { MOST = 507, V = 9001, DRAWS = 3, TOP = 4 };
    static const size_t counts[] = {1, 2, 13, 14, 50, MOST};
    float *logits = calloc((size_t)MOST * V, sizeof *logits);
    uint64_t *uniform = calloc((size_t)MOST * DRAWS, sizeof *uniform);
    size_t *first_draw = calloc(MOST + 1, sizeof *first_draw);
    int32_t *target = calloc(MOST, sizeof *target);
    assert_true(logits != NULL && uniform != NULL && first_draw != NULL && target != NULL);
    sc_random_stream stream;
    sc_random_stream_init(&stream, 11, 0);
    for (size_t i = 0; i < (size_t)MOST * V; i++) {
        logits[i] = (float)(6 * (sc_random_unit(&stream) + sc_random_unit(&stream)));
    }
    for (size_t i = 0; i < (size_t)MOST * DRAWS; i++) {
        uniform[i] = sc_random_u64(&stream);
    }
    for (size_t i = 0; i < MOST; i++) {
        first_draw[i + 1] = (i + 1) * DRAWS;
        target[i] = (int32_t)sc_random_below(&stream, V);
    }
    sc_buffer *buffer = buffer_of(device, logits, (size_t)MOST * V * 4);
    rows_arrays all = make_arrays(MOST, (size_t)MOST * DRAWS, TOP);
    static const sc_rows_options splits[] = {{NULL, 0, 0}, {NULL, 5, 1}, {NULL, 507, 3}, {NULL, 64, 9}};
    for (int temperature = 0; temperature < 2; temperature++) {
        for (size_t s = 0; s < sizeof splits / sizeof *splits; s++) {
            sc_rows *rows;
            check_ok(sc_rows_create(&rows, device, &splits[s], &error), error);
            for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
                /* The last rows of the buffer, so that a row's place in the call differs too. */
                size_t n = counts[sizeof counts / sizeof *counts - 1 - k], first = MOST - n;
                const sc_rows_request request = {temperature ? 0.8 : 1, first_draw, uniform + first * DRAWS,
                                                 target + first, TOP};
                const sc_rows_input input = {buffer, SC_ROWS_F32, n, V, V, first * V};
                rows_arrays some = make_arrays(n, n * DRAWS, TOP);
                rows_arrays *out = k == 0 && s == 0 ? &all : &some;
                check_ok(sc_rows_evaluate(rows, &input, &request, &out->result, &error), error);
                const sc_rows_result *a = &all.result, *b = &out->result;
                assert_memory_equal(a->log_normalizer + first, b->log_normalizer, n * 8);
                assert_memory_equal(a->entropy + first, b->entropy, n * 8);
                assert_memory_equal(a->target_logprob + first, b->target_logprob, n * 8);
                assert_memory_equal(a->target_rank + first, b->target_rank, n * 4);
                assert_memory_equal(a->top_token + first * TOP, b->top_token, n * TOP * 4);
                assert_memory_equal(a->top_logprob + first * TOP, b->top_logprob, n * TOP * 8);
                assert_memory_equal(a->token + first * DRAWS, b->token, n * DRAWS * 4);
                assert_memory_equal(a->logprob_raw + first * DRAWS, b->logprob_raw, n * DRAWS * 8);
                free_arrays(&some);
            }
            sc_rows_free(rows);
        }
    }
    free_arrays(&all);
    sc_buffer_free(buffer);
    free(logits);
    free(uniform);
    free(first_draw);
    free(target);
}

/* Rows with many draws, which go through the device sorted, beside rows with few and none; flat, peaked and ragged. */
static void many_draws(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    enum { N = 5, V = 5003, MANY = 700, ALL = 2 * MANY + 130 + 7 };
    static const size_t first_draw[N + 1] = {0, MANY, MANY + 7, MANY + 7, 2 * MANY + 7, ALL};
    float *logits = calloc((size_t)N * V, sizeof *logits);
    uint64_t *uniform = calloc(ALL, sizeof *uniform);
    assert_true(logits != NULL && uniform != NULL);
    sc_random_stream stream;
    sc_random_stream_init(&stream, 13, 0);
    for (size_t i = 0; i < (size_t)N * V; i++) {
        logits[i] = (float)(bell(&stream) * (i < V ? 0.01 : i < (size_t)3 * V ? 2 : 9));
    }
    for (size_t j = 0; j < ALL; j++) { /* some equal, some at the ends, the rest in no order */
        uniform[j] = j % 50 == 0 ? UINT64_MAX : j % 50 == 1 ? 0 : j % 50 == 2 ? uniform[j - 1] : sc_random_u64(&stream);
    }
    sc_buffer *buffer = buffer_of(device, logits, (size_t)N * V * sizeof *logits);
    const sc_rows_input input = {buffer, SC_ROWS_F32, N, V, V, 0};
    static const char *const builds[] = {NULL, "-DLSZ=64 -DVW=4"};
    for (size_t b = 0; b < sizeof builds / sizeof *builds; b++) {
        sc_rows_options options = SC_ROWS_OPTIONS_INIT;
        options.build_options = builds[b];
        sc_rows *rows;
        check_ok(sc_rows_create(&rows, device, &options, &error), error);
        for (int again = 0; again < 2; again++) { /* a request with few draws in between must not see the sorted ones */
            rows_arrays got = make_arrays(N, ALL, 0), want = make_arrays(N, ALL, 0);
            const size_t few[N + 1] = {0, 3, 3, 4, 5, 9};
            const sc_rows_request request = {1, again ? few : first_draw, uniform, NULL, 0};
            check_ok(sc_rows_evaluate(rows, &input, &request, &got.result, &error), error);
            check_ok(sc_rows_reference(logits, SC_ROWS_F32, N, V, V, &request, &want.result, &error), error);
            const size_t n = again ? 9 : ALL;
            assert_memory_equal(got.result.token, want.result.token, n * sizeof *got.result.token);
            assert_memory_equal(got.result.logprob, want.result.logprob, n * sizeof *got.result.logprob);
            free_arrays(&got);
            free_arrays(&want);
        }
        sc_rows_free(rows);
    }
    sc_buffer_free(buffer);
    free(uniform);
    free(logits);
}

/* What is asked beside them does not change draws and log-probabilities; rows may have different numbers of draws. */
static void any_request(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    enum { N = 4, V = 3000 };
    float logits[N * V];
    sc_random_stream stream;
    sc_random_stream_init(&stream, 12, 0);
    for (size_t i = 0; i < (size_t)N * V; i++) {
        logits[i] = (float)(2 * bell(&stream));
    }
    sc_buffer *buffer = buffer_of(device, logits, sizeof logits);
    const size_t first_draw[N + 1] = {0, 5, 5, 6, 9};
    uint64_t uniform[9];
    for (size_t i = 0; i < 9; i++) {
        uniform[i] = sc_random_u64(&stream);
    }
    const int32_t target[N] = {5, -1, 0, 2999};
    sc_rows *rows;
    check_ok(sc_rows_create(&rows, device, NULL, &error), error);
    const sc_rows_input input = {buffer, SC_ROWS_F32, N, V, V, 0};
    rows_arrays full = make_arrays(N, 9, 3), want = make_arrays(N, 9, 3);
    const sc_rows_request request = {1, first_draw, uniform, target, 3};
    check_ok(sc_rows_evaluate(rows, &input, &request, &full.result, &error), error);
    check_ok(sc_rows_reference(logits, SC_ROWS_F32, N, V, V, &request, &want.result, &error), error);
    assert_true(isnan(full.result.target_logprob[1]) && isnan(want.result.target_logprob[1]));
    full.result.target_logprob[1] = want.result.target_logprob[1] = 0; /* NaNs differ in their bits */
    full.result.target_logprob_raw[1] = want.result.target_logprob_raw[1] = 0;
    assert_int_equal(full.result.target_rank[1], -1);
    assert_true(same_arrays(&full, &want));
    int32_t token[9];
    double logprob[9], normalizer[N], target_logprob[N];
    sc_rows_result few = {.token = token, .logprob = logprob};
    const sc_rows_request draws_only = {1, first_draw, uniform, NULL, 0};
    check_ok(sc_rows_evaluate(rows, &input, &draws_only, &few, &error), error);
    assert_memory_equal(token, full.result.token, sizeof token);
    assert_memory_equal(logprob, full.result.logprob, sizeof logprob);
    sc_rows_result loss = {.log_normalizer = normalizer, .target_logprob = target_logprob};
    const sc_rows_request loss_only = {1, NULL, NULL, target, 0};
    check_ok(sc_rows_evaluate(rows, &input, &loss_only, &loss, &error), error);
    assert_memory_equal(normalizer, full.result.log_normalizer, sizeof normalizer);
    check_close(target_logprob[3], full.result.target_logprob[3], 0);
    const sc_rows_input none = {buffer, SC_ROWS_F32, 0, V, V, 0};
    const size_t no_draws[1] = {0};
    const sc_rows_request empty = {1, no_draws, uniform, NULL, 3};
    check_ok(sc_rows_evaluate(rows, &none, &empty, &few, &error), error);
    free_arrays(&full);
    free_arrays(&want);
    sc_rows_free(rows);
    sc_buffer_free(buffer);
}

/* ---- errors ---- */

static void bad_row(const char *build_options, float value, size_t row, size_t token, bool whole_row, int32_t target,
                    const char *message)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    enum { N = 9, V = 2100 };
    float *logits = calloc(N * V, sizeof *logits);
    int32_t targets[N] = {0};
    assert_non_null(logits);
    for (size_t i = 0; i < V; i++) {
        if (whole_row || i == token) {
            logits[row * V + i] = value;
        }
    }
    targets[row] = target;
    for (double temperature = 1; temperature < 2; temperature += 0.5) {
        sc_buffer *buffer = buffer_of(device, logits, N * V * 4);
        sc_rows_options options = {build_options, 4, 0};
        sc_rows *rows;
        check_ok(sc_rows_create(&rows, device, &options, &error), error);
        double entropy[N];
        for (int with_entropy = 0; with_entropy < 2; with_entropy++) {
            const sc_rows_request request = {temperature, NULL, NULL, targets, 2};
            const sc_rows_input input = {buffer, SC_ROWS_F32, N, V, V, 0};
            sc_rows_result result = {.entropy = with_entropy ? entropy : NULL};
            check_error(sc_rows_evaluate(rows, &input, &request, &result, &error), error, SEMCAL_E_NUMERIC, message);
            assert_int_equal(result.bad_row, row);
            assert_int_equal(result.bad_token, whole_row && value == -INFINITY ? -1 : (int)token);
            sc_rows_result reference = {.entropy = NULL};
            check_error(sc_rows_reference(logits, SC_ROWS_F32, N, V, V, &request, &reference, &error), error,
                        SEMCAL_E_NUMERIC, message);
            assert_int_equal(reference.bad_row, row);
        }
        sc_rows_free(rows);
        sc_buffer_free(buffer);
    }
    free(logits);
}

static void errors_name_the_place(void **state)
{
    (void)state;
    static const char *const paths[] = {"-DLSZ=1 -DVW=16", "-DLSZ=64 -DVW=4"};
    for (size_t p = 0; p < 2; p++) {
        bad_row(paths[p], NAN, 3, 17, false, 0, "row 3: the logit of token 17 is NaN");
        bad_row(paths[p], -NAN, 8, 2099, false, 0, "row 8: the logit of token 2099 is NaN");
        bad_row(paths[p], NAN, 0, 1023, false, -1, "row 0: the logit of token 1023 is NaN");
        bad_row(paths[p], INFINITY, 5, 0, false, 3, "row 5: the logit of token 0 is +inf");
        bad_row(paths[p], INFINITY, 5, 2048, 0, 3, "row 5: the logit of token 2048 is +inf");
        bad_row(paths[p], NAN, 2, 0, true, -1, "row 2: the logit of token 0 is NaN");
        bad_row(paths[p], -INFINITY, 4, 0, true, -1, "row 4: every logit is -inf");
        bad_row(paths[p], -INFINITY, 6, 1500, false, 1500, "row 6: the target, token 1500, has logit -inf");
    }
}

static void misuse(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    float logits[64] = {0};
    sc_buffer *buffer = buffer_of(device, logits, sizeof logits);
    sc_rows *rows;
    check_ok(sc_rows_create(&rows, device, NULL, &error), error);
    double normalizer[8];
    sc_rows_result result = {.log_normalizer = normalizer};
    sc_rows_request request = SC_ROWS_REQUEST_INIT;
    sc_rows_input input = {buffer, SC_ROWS_F32, 2, 32, 32, 0};
    check_ok(sc_rows_enqueue(rows, &input, &request, &result, &error), error);
    check_error(sc_rows_enqueue(rows, &input, &request, &result, &error), error, SEMCAL_E_DEVICE, "not collected");
    check_ok(sc_rows_collect(rows, &result, &error), error);
    check_close(normalizer[1], log(32), 1e-7);
    check_error(sc_rows_collect(rows, &result, &error), error, SEMCAL_E_DEVICE, "nothing to collect");
    input.n_rows = 3;
    check_error(sc_rows_evaluate(rows, &input, &request, &result, &error), error, SEMCAL_E_DATA,
                "the buffer has 64 of the 96 needed");
    input = (sc_rows_input){buffer, SC_ROWS_F32, 2, 32, 31, 0};
    check_error(sc_rows_evaluate(rows, &input, &request, &result, &error), error, SEMCAL_E_DATA, "stride 31");
    input.stride = 32;
    request.temperature = 0;
    check_error(sc_rows_evaluate(rows, &input, &request, &result, &error), error, SEMCAL_E_CONFIG, "temperature");
    request.temperature = NAN;
    check_error(sc_rows_evaluate(rows, &input, &request, &result, &error), error, SEMCAL_E_CONFIG, "temperature");
    request.temperature = 1;
    request.n_top = 1000;
    check_error(sc_rows_evaluate(rows, &input, &request, &result, &error), error, SEMCAL_E_CONFIG, "top_k");
    request.n_top = 0;
    const int32_t target[2] = {31, 32};
    request.target = target;
    check_error(sc_rows_evaluate(rows, &input, &request, &result, &error), error, SEMCAL_E_DATA, "row 1: target 32");
    sc_rows_free(rows);
    sc_buffer_free(buffer);
    /* Out of memory: the scratch is what does not fit. */
    sc_device_options small = SC_DEVICE_OPTIONS_INIT;
    small.memory_limit = 1000;
    sc_device *tight;
    check_ok(sc_device_open(&tight, &small, &error), error);
    buffer = buffer_of(tight, logits, sizeof logits);
    check_ok(sc_rows_create(&rows, tight, NULL, &error), error);
    request = (sc_rows_request)SC_ROWS_REQUEST_INIT;
    input = (sc_rows_input){buffer, SC_ROWS_F32, 2, 32, 32, 0};
    check_error(sc_rows_evaluate(rows, &input, &request, &result, &error), error, SEMCAL_E_DEVICE,
                "out of device memory for");
    sc_rows_free(rows);
    sc_buffer_free(buffer);
    sc_device_close(tight);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vector_path),      cmocka_unit_test(narrow_vector_path),    cmocka_unit_test(group_path),
        cmocka_unit_test(small_group_path), cmocka_unit_test(any_number_of_rows),    cmocka_unit_test(many_draws),
        cmocka_unit_test(any_request),      cmocka_unit_test(errors_name_the_place), cmocka_unit_test(misuse),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}

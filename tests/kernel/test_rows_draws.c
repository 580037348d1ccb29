/* SPDX-License-Identifier: Apache-2.0 */
/* Draws follow the law: boundaries of the CDF, rare tokens, chi-square. $SEMCAL_RARE_DRAWS sets how many draws the rare
 * test makes (default 10^7; the slow suite runs 10^8). */
#include "rows_case.h"

static sc_device *device;
static sc_rows *rows;

static int open_rows(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    if (sc_device_open(&device, NULL, &error) != SEMCAL_OK ||
        sc_rows_create(&rows, device, NULL, &error) != SEMCAL_OK) {
        print_error("%s\n", error.message);
        return -1;
    }
    return 0;
}

static int close_rows(void **state)
{
    (void)state;
    sc_rows_free(rows);
    sc_device_close(device);
    return 0;
}

/* Tokens of one row for many uniforms, on the device. */
static void draw(int32_t *token, sc_buffer *logits, size_t n_vocabulary, double temperature, const uint64_t *uniform,
                 size_t n)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    const size_t first_draw[2] = {0, n};
    const sc_rows_request request = {temperature, first_draw, uniform, NULL, 0};
    const sc_rows_input input = {logits, SC_ROWS_F32, 1, n_vocabulary, n_vocabulary, 0};
    sc_rows_result result = {.token = token};
    check_ok(sc_rows_evaluate(rows, &input, &request, &result, &error), error);
}

/* ---- boundaries ---- */

/* The first uniform that gives token i or a later one, for every i, by bisection on the device. */
static void find_boundaries(uint64_t *boundary, sc_buffer *logits, size_t n, double temperature)
{
    uint64_t *low = calloc(n, sizeof *low), *high = calloc(n, sizeof *high), *middle = calloc(n, sizeof *middle);
    int32_t *token = calloc(n, sizeof *token);
    assert_true(low != NULL && high != NULL && middle != NULL && token != NULL);
    for (size_t i = 0; i < n; i++) {
        high[i] = UINT64_MAX; /* stands for "none" when nothing comes at or after i */
    }
    for (int step = 0; step < 64; step++) {
        for (size_t i = 0; i < n; i++) {
            middle[i] = low[i] + (high[i] - low[i]) / 2;
        }
        draw(token, logits, n, temperature, middle, n);
        for (size_t i = 0; i < n; i++) {
            if ((size_t)token[i] >= i) {
                high[i] = middle[i];
            } else {
                low[i] = middle[i] + 1;
            }
        }
    }
    memcpy(boundary, high, n * sizeof *high);
    free(low);
    free(high);
    free(middle);
    free(token);
}

/* A law with heavy, middling, rare (1e-6 .. 1e-9) and forbidden tokens in several blocks. */
static void mixed_logits(float *logits, size_t n)
{
    sc_random_stream stream;
    sc_random_stream_init(&stream, 21, 0);
    for (size_t i = 0; i < n; i++) {
        uint32_t kind = sc_random_below(&stream, 10);
        logits[i] = kind < 4   ? (float)(-14 - 7 * sc_random_unit(&stream))
                    : kind < 6 ? -INFINITY
                               : (float)(-8 + bell(&stream));
    }
    logits[n / 2] = -0.5f;
    logits[n - 1] = -13.0f;
}

static void boundaries_at(double temperature)
{
    enum { V = 2500 };
    float logits[V];
    double cdf[V + 1], probability[V], sum = 0;
    uint64_t boundary[V], uniform[2 * V];
    int32_t token[2 * V];
    mixed_logits(logits, V);
    for (size_t i = 0; i < V; i++) {
        probability[i] = exp((double)logits[i] / temperature);
        sum += probability[i];
    }
    cdf[0] = 0;
    for (size_t i = 0; i < V; i++) {
        probability[i] /= sum;
        cdf[i + 1] = cdf[i] + probability[i];
    }
    sc_buffer *buffer = buffer_of(device, logits, sizeof logits);
    find_boundaries(boundary, buffer, V, temperature);
    /* Against the float64 CDF: every boundary within 3e-8, every width within 2e-6 of itself and 1e-13. */
    double worst = 0, worst_width = 0;
    for (size_t i = 0; i < V; i++) {
        double begin = (double)boundary[i] * 0x1p-64;
        double end = i + 1 < V ? (double)boundary[i + 1] * 0x1p-64 : 1;
        uint64_t width = (i + 1 < V ? boundary[i + 1] : 0) - boundary[i]; /* exact, modulo 2^64 */
        check_close(begin, cdf[i], 3e-8);
        check_close((double)width * 0x1p-64, probability[i], 2e-6 * probability[i] + 1e-13);
        worst = fmax(worst, fabs(begin - cdf[i]));
        if (probability[i] > 1e-9) {
            worst_width = fmax(worst_width, fabs((double)width * 0x1p-64 / probability[i] - 1));
        }
        assert_true(end >= begin);
        if (logits[i] == -INFINITY) {
            assert_int_equal(width, 0); /* can never be drawn */
        }
        uniform[2 * i] = boundary[i] == 0 ? 0 : boundary[i] - 1;
        uniform[2 * i + 1] = boundary[i];
    }
    print_message("  T=%g: largest distance from the float64 CDF %.2g, relative error of a width %.2g\n", temperature,
                  worst, worst_width);
    /* Just outside and just inside, on the device and in the reference. */
    draw(token, buffer, V, temperature, uniform, 2 * V);
    for (size_t i = 0; i < V; i++) {
        if (i > 0 && boundary[i] > 0) {
            assert_true((size_t)token[2 * i] < i);
        }
        assert_true((size_t)token[2 * i + 1] >= i);
        if (logits[i] > -INFINITY) {
            assert_int_equal(token[2 * i + 1], i);
        }
    }
    int32_t reference[2 * V];
    const size_t first_draw[2] = {0, 2 * V};
    const sc_rows_request request = {temperature, first_draw, uniform, NULL, 0};
    sc_rows_result result = {.token = reference};
    semcal_error error = SEMCAL_ERROR_INIT;
    check_ok(sc_rows_reference(logits, SC_ROWS_F32, 1, V, V, &request, &result, &error), error);
    assert_memory_equal(reference, token, sizeof token);
    /* Uniforms near a float64 boundary, outside the stated distance, fall on the right side. */
    for (size_t i = 0; i < V; i++) {
        double inside = cdf[i] + 3e-8, outside = cdf[i] - 3e-8;
        uniform[2 * i] = outside <= 0 ? 0 : (uint64_t)(outside * 0x1p64);
        uniform[2 * i + 1] = inside >= 1 ? UINT64_MAX : (uint64_t)(inside * 0x1p64);
    }
    draw(token, buffer, V, temperature, uniform, 2 * V);
    for (size_t i = 0; i < V; i++) {
        assert_true(i == 0 || cdf[i] <= 3e-8 || (size_t)token[2 * i] < i);
        assert_true((size_t)token[2 * i + 1] >= i || cdf[i] + 3e-8 >= 1);
    }
    sc_buffer_free(buffer);
}

static void boundaries(void **state)
{
    (void)state;
    boundaries_at(1);
    boundaries_at(1.7);
}

static void ends_of_the_uniform(void **state)
{
    (void)state;
    /* The first and the last uniform give the first and the last token that has mass. */
    float logits[3000];
    for (size_t i = 0; i < 3000; i++) {
        logits[i] = i < 7 || i > 2990 ? -INFINITY : 0.0f;
    }
    sc_buffer *buffer = buffer_of(device, logits, sizeof logits);
    const uint64_t uniform[2] = {0, UINT64_MAX};
    int32_t token[2];
    draw(token, buffer, 3000, 1, uniform, 2);
    assert_int_equal(token[0], 7);
    assert_int_equal(token[1], 2990);
    sc_buffer_free(buffer);
}

/* ---- frequencies ---- */

static uint64_t uniform_at(uint64_t i)
{
    return sc_random_uniform(0x123456789abcdefULL, i >> 20, (uint32_t)(i & 0xfffff), 1);
}

static void rare_tokens(void **state)
{
    (void)state;
    enum { RARE = 100000, V = RARE + 1, HEAVY = 40000, BATCH = 1000000, GROUPS = 10 };
    const char *asked = getenv("SEMCAL_RARE_DRAWS");
    uint64_t n = asked == NULL ? 10000000 : strtoull(asked, NULL, 10), n_rare = 0, group[GROUPS] = {0};
    float *logits = calloc(V, sizeof *logits);
    uint64_t *uniform = calloc(BATCH, sizeof *uniform);
    int32_t *token = calloc(BATCH, sizeof *token);
    assert_true(logits != NULL && uniform != NULL && token != NULL);
    double heavy = 1 - RARE * 1e-9;
    for (size_t i = 0; i < V; i++) {
        logits[i] = i == HEAVY ? 0.0f : (float)log(1e-9 / heavy);
    }
    double rare_mass = RARE * exp((double)logits[0]) / (1 + RARE * exp((double)logits[0]));
    sc_buffer *buffer = buffer_of(device, logits, V * sizeof *logits);
    for (uint64_t done = 0; done < n; done += BATCH) {
        for (uint64_t j = 0; j < BATCH; j++) {
            uniform[j] = uniform_at(done + j);
        }
        draw(token, buffer, V, 1, uniform, BATCH);
        for (size_t j = 0; j < BATCH; j++) {
            if (token[j] != HEAVY) {
                n_rare++;
                group[(size_t)(token[j] - (token[j] > HEAVY)) * GROUPS / RARE]++;
            }
        }
    }
    /* 1000 of them are expected in 10^7 draws; the spread over ten groups of 10^4 tokens is a chi-square. */
    double expected = rare_mass * (double)n, chi = 0;
    print_message("  %llu draws: %llu rare ones, %.1f expected\n", (unsigned long long)n, (unsigned long long)n_rare,
                  expected);
    check_close((double)n_rare, expected, 4.5 * sqrt(expected));
    for (size_t g = 0; g < GROUPS; g++) {
        double want = expected / GROUPS;
        chi += ((double)group[g] - want) * ((double)group[g] - want) / want;
    }
    assert_true(chi < 10 + 5 * sqrt(20.0));
    free(logits);
    free(uniform);
    free(token);
    sc_buffer_free(buffer);
}

static void chi_square(void **state)
{
    (void)state;
    enum { V = 5000, N = 1000000 };
    float logits[V];
    double probability[V], sum = 0;
    uint64_t *uniform = calloc(N, sizeof *uniform);
    int32_t *token = calloc(N, sizeof *token);
    assert_true(uniform != NULL && token != NULL);
    sc_random_stream stream;
    sc_random_stream_init(&stream, 31, 0);
    for (size_t i = 0; i < V; i++) {
        logits[i] = (float)(2.2 * bell(&stream));
    }
    for (size_t j = 0; j < N; j++) {
        uniform[j] = uniform_at(j);
    }
    sc_buffer *buffer = buffer_of(device, logits, sizeof logits);
    for (double temperature = 0.7; temperature < 1.5; temperature += 0.3) {
        size_t count[V] = {0};
        sum = 0;
        for (size_t i = 0; i < V; i++) {
            probability[i] = exp((double)logits[i] / temperature);
            sum += probability[i];
        }
        draw(token, buffer, V, temperature, uniform, N);
        for (size_t j = 0; j < N; j++) {
            count[token[j]]++;
        }
        /* Tokens with fewer than 5 expected draws are one cell. */
        double chi = 0, rest_want = 0, rest = 0;
        int df = -1;
        for (size_t i = 0; i < V; i++) {
            double want = probability[i] / sum * N;
            if (want < 5) {
                rest_want += want;
                rest += (double)count[i];
                continue;
            }
            chi += ((double)count[i] - want) * ((double)count[i] - want) / want;
            df++;
        }
        if (rest_want > 0) {
            chi += (rest - rest_want) * (rest - rest_want) / rest_want;
            df++;
        }
        print_message("  T=%.1f: chi-square %.1f at %d degrees of freedom\n", temperature, chi, df);
        check_close(chi, df, 4.5 * sqrt(2.0 * df));
    }
    free(uniform);
    free(token);
    sc_buffer_free(buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boundaries),
        cmocka_unit_test(ends_of_the_uniform),
        cmocka_unit_test(rare_tokens),
        cmocka_unit_test(chi_square),
    };
    return cmocka_run_group_tests(tests, open_rows, close_rows);
}

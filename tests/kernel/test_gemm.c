/* SPDX-License-Identifier: Apache-2.0 */
/* Every method against the C reference (own methods bit for bit), over shapes around each tile. */
#include "check.h"
#include "device/gemm.h"
#include "test_device.h"

static sc_device *device;
static semcal_error error = SEMCAL_ERROR_INIT;

struct source {
    const float *w;
    size_t k;
};

static void row_of(float *row, size_t i, void *payload)
{
    const struct source *source = payload;
    memcpy(row, source->w + i * source->k, source->k * sizeof *row);
}

/* Values with few bits, exact in bf16 and irregular. */
static float value(uint32_t i, uint32_t salt)
{
    uint32_t x = (i + 1) * 2654435761u + salt * 40503u;
    x ^= x >> 15;
    x *= 2246822519u;
    x ^= x >> 13;
    return (float)((int32_t)(x % 255u) - 127) / 64.0f;
}

struct shape {
    size_t m, n, k;
};

/* What the methods gave, against the reference: `exact` bit for bit. */
static void compare(const float *got, const float *want, const struct shape *s, size_t columns, size_t stride,
                    bool exact, const char *what)
{
    for (size_t r = 0; r < s->m; r++) {
        for (size_t j = 0; j < columns; j++) {
            const float a = got[r * stride + j], b = want[r * columns + j];
            if (exact ? memcmp(&a, &b, sizeof a) != 0 : !(fabsf(a - b) <= 1e-5f * (float)s->k)) {
                print_error("%s [%zu, %zu, %zu] at (%zu, %zu): %.9g, expected %.9g\n", what, s->m, s->n, s->k, r, j,
                            (double)a, (double)b);
                fail();
            }
        }
    }
}

/* Whether this machine has the instructions of gemm_bf16.cl. */
static bool has_unit(void)
{
#if defined(__x86_64__)
    return sc_device_facts(device)->is_cpu && __builtin_cpu_supports("avx512bf16");
#else
    return false;
#endif
}

static bool rounds_rows(sc_gemm_method method)
{
    return method == SC_GEMM_METHOD_BF16 || method == SC_GEMM_METHOD_BF16_PLAIN || method == SC_GEMM_METHOD_MMA;
}

/* The choice under which a method runs. */
static sc_gemm_choice choice_for(sc_gemm_method method)
{
    return method == SC_GEMM_METHOD_CLBLAST ? SC_GEMM_CLBLAST : rounds_rows(method) ? SC_GEMM_BF16 : SC_GEMM_OWN;
}

static void run_shape(sc_gemm *gemm, sc_gemm_method method, const struct shape *s, bool bf16, bool with_bias)
{
    const size_t stride = s->n + 5;
    float *a = malloc(s->m * s->k * sizeof(float)), *w = malloc(s->n * s->k * sizeof(float));
    float *bias = malloc(s->n * sizeof(float)), *want = malloc(s->m * s->n * sizeof(float));
    float *c = malloc(s->m * stride * sizeof(float)), *before = malloc(s->m * stride * sizeof(float));
    assert_true(a != NULL && w != NULL && bias != NULL && want != NULL && c != NULL && before != NULL);
    for (size_t i = 0; i < s->m * s->k; i++) {
        a[i] = value((uint32_t)i, 1) * 1.0009765f;
    }
    for (size_t i = 0; i < s->n * s->k; i++) {
        w[i] = value((uint32_t)i, 2);
    }
    for (size_t i = 0; i < s->n; i++) {
        bias[i] = value((uint32_t)i, 3);
    }
    for (size_t i = 0; i < s->m * stride; i++) {
        before[i] = value((uint32_t)i, 4);
    }
    struct source source = {w, s->k};
    sc_matrix *matrix;
    sc_buffer *ba, *bc;
    check_ok(
        sc_matrix_pack(&matrix, gemm, s->n, s->k, bf16, false, row_of, with_bias ? bias : NULL, "w", &source, &error),
        error);
    check_ok(sc_buffer_create(&ba, device, s->m * s->k * sizeof(float), SC_BUFFER_DEVICE, "a", &error), error);
    check_ok(sc_buffer_create(&bc, device, s->m * stride * sizeof(float), SC_BUFFER_DEVICE, "c", &error), error);
    check_ok(sc_buffer_write(ba, 0, a, s->m * s->k * sizeof(float), &error), error);
    (rounds_rows(method) ? sc_gemm_bf16_reference : sc_gemm_reference)(want, a, w, with_bias ? bias : NULL, s->m, s->n,
                                                                       s->k);
    const bool exact = method != SC_GEMM_METHOD_CLBLAST;
    for (int mode = SC_MODE_STORE; mode <= SC_MODE_ADD; mode++) {
        check_ok(sc_buffer_write(bc, 0, before, s->m * stride * sizeof(float), &error), error);
        check_ok(sc_gemm_run_method(gemm, method, bc, stride, (sc_gemm_mode)mode, ba, matrix, s->m, &error), error);
        check_ok(sc_buffer_read(bc, 0, c, s->m * stride * sizeof(float), &error), error);
        for (size_t r = 0; r < s->m && mode == SC_MODE_ADD; r++) {
            for (size_t j = 0; j < s->n; j++) {
                want[r * s->n + j] = before[r * stride + j] + want[r * s->n + j];
            }
        }
        compare(c, want, s, s->n, stride, exact, sc_gemm_method_name(method));
        for (size_t r = 0; r < s->m; r++) { /* what lies between the rows stays untouched */
            assert_memory_equal(c + r * stride + s->n, before + r * stride + s->n, 5 * sizeof(float));
        }
    }
    sc_buffer_free(ba);
    sc_buffer_free(bc);
    sc_matrix_free(matrix);
    free(a);
    free(w);
    free(bias);
    free(want);
    free(c);
    free(before);
}

static const size_t row_counts[] = {1, 2, 3, 12, 13, 14, 15, 50, 51, 507};
static const size_t widths[][2] = {{33, 1}, {1, 7}, {32, 256}, {93, 257}, {160, 128}, {40, 515}};

static void sweep(sc_gemm_method method)
{
    sc_gemm *gemm;
    check_ok(sc_gemm_open(&gemm, device, choice_for(method), &error), error);
    check_ok(sc_gemm_load(gemm, method, &error), error);
    for (size_t i = 0; i < sizeof row_counts / sizeof *row_counts; i++) {
        for (size_t j = 0; j < sizeof widths / sizeof *widths; j++) {
            const struct shape shape = {row_counts[i], widths[j][0], widths[j][1]};
            if (!rounds_rows(method)) {
                run_shape(gemm, method, &shape, false, j % 2 == 0);
            }
            run_shape(gemm, method, &shape, true, j % 2 == 1);
        }
    }
    sc_gemm_close(gemm);
}

static void packed(void **state)
{
    (void)state;
    sweep(SC_GEMM_METHOD_PACKED);
}

static void tiled(void **state)
{
    (void)state;
    sweep(SC_GEMM_METHOD_TILED);
}

static void skinny(void **state)
{
    (void)state;
    sweep(SC_GEMM_METHOD_SKINNY);
}

static void clblast(void **state)
{
    (void)state;
    sweep(SC_GEMM_METHOD_CLBLAST);
}

static void bf16_rows(void **state)
{
    (void)state;
    if (has_unit()) {
        sweep(SC_GEMM_METHOD_BF16);
    } else {
        print_message("gemm_bf16 is left out: it needs a CPU with AVX-512 bf16\n");
    }
}

static void bf16_rows_plain(void **state)
{
    (void)state;
    sweep(SC_GEMM_METHOD_BF16_PLAIN);
}

/* silu(gate) * up from one product, by every method, with a width that fills no panel. */
static void swiglu(void **state)
{
    (void)state;
    enum { M = 15, F = 43, K = 70 };
    static float a[M * K], w[2 * F * K], bias[2 * F], products[M * 2 * F], want[M * F], got[M * F];
    for (uint32_t i = 0; i < M * K; i++) {
        a[i] = value(i, 1) / 8;
    }
    for (uint32_t i = 0; i < 2 * F * K; i++) {
        w[i] = value(i, 2) / 4;
    }
    for (uint32_t i = 0; i < 2 * F; i++) {
        bias[i] = value(i, 3);
    }
    for (int method = 0; method < SC_GEMM_N_METHODS; method++) {
        if (method == SC_GEMM_METHOD_COMPACT ||
            (method == SC_GEMM_METHOD_BF16 && !has_unit())) { /* test_gemm_compact.c */
            continue;
        }
        (rounds_rows((sc_gemm_method)method) ? sc_gemm_bf16_reference : sc_gemm_reference)(products, a, w, bias, M,
                                                                                           2 * F, K);
        for (size_t r = 0; r < M; r++) {
            for (size_t j = 0; j < F; j++) {
                const double gate = products[r * 2 * F + j], up = products[r * 2 * F + F + j];
                want[r * F + j] = (float)(gate / (1 + exp(-gate)) * up);
            }
        }
        struct source source = {w, K};
        sc_gemm *gemm;
        sc_matrix *matrix;
        sc_buffer *ba, *bc;
        check_ok(sc_gemm_open(&gemm, device, choice_for((sc_gemm_method)method), &error), error);
        check_ok(sc_gemm_load(gemm, (sc_gemm_method)method, &error), error);
        check_ok(sc_matrix_pack(&matrix, gemm, 2 * F, K, true, true, row_of, bias, "w", &source, &error), error);
        check_ok(sc_buffer_create(&ba, device, sizeof a, SC_BUFFER_DEVICE, "a", &error), error);
        check_ok(sc_buffer_create(&bc, device, sizeof got, SC_BUFFER_DEVICE, "c", &error), error);
        check_ok(sc_buffer_write(ba, 0, a, sizeof a, &error), error);
        check_ok(sc_gemm_run_method(gemm, (sc_gemm_method)method, bc, F, SC_MODE_SWIGLU, ba, matrix, M, &error), error);
        check_ok(sc_buffer_read(bc, 0, got, sizeof got, &error), error);
        for (size_t i = 0; i < M * F; i++) {
            check_close(got[i], want[i],
                        2e-6 * fmax(1, fabs((double)want[i])) + 1e-5 * (method == SC_GEMM_METHOD_CLBLAST));
        }
        check_error(sc_gemm_run_method(gemm, (sc_gemm_method)method, bc, F, SC_MODE_STORE, ba, matrix, M, &error),
                    error, SEMCAL_E_CONFIG, "paired");
        sc_buffer_free(ba);
        sc_buffer_free(bc);
        sc_matrix_free(matrix);
        sc_gemm_close(gemm);
    }
}

int main(void)
{
    if (!open_test_device(&device)) {
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed),  cmocka_unit_test(tiled),     cmocka_unit_test(skinny),
        cmocka_unit_test(clblast), cmocka_unit_test(bf16_rows), cmocka_unit_test(bf16_rows_plain),
        cmocka_unit_test(swiglu),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sc_device_close(device);
    return failed;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Products of rows rounded to bf16: the numbers themselves against float64 sums of the rounded operands, the order and
 * the treatment of tiny and infinite numbers bit by bit, and no row that depends on another one. */
#include "abi.h"
#include "check.h"
#include "device/gemm.h"

static sc_device *device;
static semcal_error error = SEMCAL_ERROR_INIT;

enum { METHODS = 2 };
static const sc_gemm_method methods[METHODS] = {SC_GEMM_METHOD_BF16, SC_GEMM_METHOD_BF16_PLAIN};

/* Whether this machine has the instructions of gemm_bf16.cl. */
static bool has_unit(void)
{
#if defined(__x86_64__)
    return sc_device_facts(device)->is_cpu && __builtin_cpu_supports("avx512bf16");
#else
    return false;
#endif
}

static uint32_t next(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

static float of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* A sign and 23 bits at exponents first .. first + n - 1. */
static float any(uint32_t first, uint32_t n)
{
    return of_bits((next() & 0x807fffffu) | (first + next() % n) << 23);
}

/* The definition of rounding, written another way: in float64, by distance. */
static double nearest_bf16(float x)
{
    const double down = (double)of_bits(bits_of(x) & 0xffff0000u),
                 up = (double)of_bits((bits_of(x) & 0xffff0000u) + 0x10000u);
    const double to_down = fabs((double)x - down), to_up = fabs(up - (double)x);
    const bool even = (bits_of(x) >> 16 & 1) == 0;
    return to_down < to_up || (to_down == to_up && even) ? down : up;
}

struct source {
    const float *w;
    size_t k;
};

static void row_of(float *row, size_t i, void *payload)
{
    const struct source *source = payload;
    memcpy(row, source->w + i * source->k, source->k * sizeof *row);
}

typedef struct product {
    size_t m, n, k;
    sc_gemm_mode mode;
    const float *a, *w, *bias;
    float *c; /* [m, n]; SwiGLU: [m, n / 2] */
} product;

static void multiply(const product *p, sc_gemm_method method)
{
    sc_gemm *gemm;
    sc_matrix *matrix;
    sc_buffer *a, *c;
    struct source source = {p->w, p->k};
    const size_t columns = p->mode == SC_MODE_SWIGLU ? p->n / 2 : p->n;
    check_ok(sc_gemm_open(&gemm, device, SC_GEMM_BF16, &error), error);
    check_ok(sc_gemm_load(gemm, method, &error), error);
    assert_true(sc_gemm_is_invariant(gemm));
    check_ok(sc_matrix_pack(&matrix, gemm, p->n, p->k, true, p->mode == SC_MODE_SWIGLU, row_of, p->bias, "w", &source,
                            &error),
             error);
    check_ok(sc_buffer_create(&a, device, p->m * p->k * sizeof(float), SC_BUFFER_DEVICE, "a", &error), error);
    check_ok(sc_buffer_create(&c, device, p->m * columns * sizeof(float), SC_BUFFER_DEVICE, "c", &error), error);
    check_ok(sc_buffer_write(a, 0, p->a, p->m * p->k * sizeof(float), &error), error);
    check_ok(sc_buffer_write(c, 0, p->c, p->m * columns * sizeof(float), &error), error);
    check_ok(sc_gemm_run_method(gemm, method, c, columns, p->mode, a, matrix, p->m, &error), error);
    check_ok(sc_buffer_read(c, 0, p->c, p->m * columns * sizeof(float), &error), error);
    sc_buffer_free(a);
    sc_buffer_free(c);
    sc_matrix_free(matrix);
    sc_gemm_close(gemm);
}

/* Runs a body for each method there is. */
static void for_methods(void (*body)(sc_gemm_method method))
{
    for (size_t i = 0; i < METHODS; i++) {
        if (methods[i] == SC_GEMM_METHOD_BF16 && !has_unit()) {
            print_message("gemm_bf16 is left out: it needs a CPU with AVX-512 bf16\n");
            continue;
        }
        body(methods[i]);
    }
}

/* Every size of a tile, k odd, columns that fill no panel: rounding of A is all that happens before fp32. */
static void against_float64(sc_gemm_method method)
{
    enum { M = 30, N = 77, K = 531 };
    static float a[M * K], w[N * K], bias[N], c[M * N];
    for (size_t i = 0; i < M * K; i++) {
        a[i] = any(120, 8);
    }
    for (size_t i = 0; i < 64; i++) { /* ties: the bits that go are exactly one half */
        a[i] = of_bits((bits_of(a[i]) & 0xffff0000u) | 0x8000u);
    }
    for (size_t i = 0; i < N * K; i++) {
        w[i] = of_bits(bits_of(any(120, 8)) & 0xffff0000u);
    }
    for (size_t i = 0; i < N; i++) {
        bias[i] = any(125, 3);
    }
    for (size_t m = 1; m <= M; m++) {
        const product p = {m, N, K, SC_MODE_STORE, a, w, bias, c};
        multiply(&p, method);
        for (size_t r = 0; r < m; r++) {
            for (size_t j = 0; j < N; j++) {
                double sum = (double)bias[j], size = fabs(sum), unrounded = sum;
                for (size_t i = 0; i < K; i++) {
                    const double x = nearest_bf16(a[r * K + i]), y = (double)w[j * K + i];
                    sum += x * y;
                    size += fabs(x * y);
                    unrounded += (double)a[r * K + i] * y;
                }
                check_close((double)c[r * N + j], sum, 1e-6 * size);
                if (r == 0 && j == 0) { /* and this is not the product of the rows as they were */
                    assert_true(fabs((double)c[0] - unrounded) > 1e-5 * size);
                }
            }
        }
    }
}

static void float64(void **state)
{
    (void)state;
    for_methods(against_float64);
}

/* Numbers of every kind: bits of the reference wherever it is a number, NaN where it is none. */
static void against_reference(sc_gemm_method method)
{
    enum { M = 17, N = 40, K = 37, KINDS = 6 };
    static float a[M * K], w[N * K], c[M * N], want[M * N];
    static const uint32_t from[KINDS][4] = {
        {100, 50, 100, 50}, /* wide: sums that cancel and that are absorbed */
        {60, 8, 60, 8},     /* products about the smallest normal number */
        {0, 3, 110, 40},    /* rows below and about it */
        {110, 40, 0, 3},    /* weights below and about it */
        {0, 255, 0, 255},   /* all finite numbers; overflow on the way */
        {240, 16, 120, 16}, /* infinities and NaN in rows */
    };
    for (size_t kind = 0; kind < KINDS; kind++) {
        for (int round = 0; round < 20; round++) {
            for (size_t i = 0; i < M * K; i++) {
                a[i] = any(from[kind][0], from[kind][1]);
            }
            for (size_t i = 0; i < N * K; i++) {
                w[i] = of_bits(bits_of(any(from[kind][2], from[kind][3])) & 0xffff0000u);
            }
            for (size_t i = 1; i < K && kind == 0; i += 2) { /* the next pair takes back what the last one gave */
                a[i] = -a[i - 1];
                w[i] = w[i - 1];
            }
            sc_gemm_bf16_reference(want, a, w, NULL, M, N, K);
            const product p = {M, N, K, SC_MODE_STORE, a, w, NULL, c};
            multiply(&p, method);
            for (size_t i = 0; i < M * N; i++) {
                if (isnan(want[i]) ? !isnan(c[i]) : bits_of(want[i]) != bits_of(c[i])) {
                    fail_msg("kind %zu at %zu: %a, expected %a", kind, i, (double)c[i], (double)want[i]);
                }
            }
        }
    }
}

static void every_number(void **state)
{
    (void)state;
    for_methods(against_reference);
}

/* The reference itself, on a case whose steps are worked out here: high halves first, nothing below the normal numbers.
 */
static void reference(void **state)
{
    (void)state;
    const float tiny = 0x1p-126f, big = 0x1p120f;
    struct {
        float a[2], w[2], want;
    } const cases[] = {
        {{1, 1}, {tiny, -tiny}, 0},
        {{0x1p-3f, 1}, {tiny, tiny}, 0x1.2p-126f}, /* 2^-129 on its own is 0; added to 2^-126 it is exact */
        {{1, 0x1p-3f}, {tiny, tiny}, tiny},        /* odd first: 2^-129 is set to 0 before the even value comes */
        {{-1, 1}, {tiny, 0x1.8p-126f}, 0},         /* the sum 2^-127 is set to 0 */
        {{big, -big}, {big, big}, -INFINITY},      /* odd overflows; one rounding: 2^240 - inf */
        {{1.00390625f, 0}, {1, 0}, 1},             /* tie to even: 1 + 2^-8 is 1 */
        {{1.01171875f, 0}, {1, 0}, 1.015625f},     /* 1 + 3 2^-8 is 1 + 2^-6 */
        {{0x1.fffffep127f, 0}, {1, 0}, INFINITY},  /* rounded up beyond the largest */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float got;
        sc_gemm_bf16_reference(&got, cases[i].a, cases[i].w, NULL, 1, 1, 2);
        if (isnan(cases[i].want) ? !isnan(got) : got != cases[i].want) {
            fail_msg("case %zu: %a, expected %a", i, (double)got, (double)cases[i].want);
        }
    }
}

/* A row has the bits it has alone, among any others, in any order, in every mode. */
static void alone_and_together(sc_gemm_method method)
{
    enum { M = 61, N = 96, K = 300 };
    static float a[M * K], turned[M * K], w[N * K], bias[N], all[M * N], other[M * N], one[N];
    for (size_t i = 0; i < M * K; i++) {
        a[i] = any(118, 10);
    }
    for (size_t r = 0; r < M; r++) {
        memcpy(turned + r * 7 % M * K, a + r * K, K * sizeof *a);
    }
    for (size_t i = 0; i < N * K; i++) {
        w[i] = of_bits(bits_of(any(118, 10)) & 0xffff0000u);
    }
    for (size_t i = 0; i < N; i++) {
        bias[i] = any(120, 8);
    }
    for (int mode = SC_MODE_STORE; mode <= SC_MODE_SWIGLU; mode++) {
        const size_t columns = mode == SC_MODE_SWIGLU ? N / 2 : N;
        for (size_t i = 0; i < M * N; i++) {
            all[i] = other[i] = 1.5f;
        }
        const product together = {M, N, K, (sc_gemm_mode)mode, a, w, bias, all};
        const product shuffled = {M, N, K, (sc_gemm_mode)mode, turned, w, bias, other};
        multiply(&together, method);
        multiply(&shuffled, method);
        for (size_t r = 0; r < M; r++) {
            assert_memory_equal(other + r * 7 % M * columns, all + r * columns, columns * sizeof *all);
        }
        for (size_t r = 0; r < M; r += 12) {
            for (size_t i = 0; i < N; i++) {
                one[i] = 1.5f;
            }
            const product alone = {1, N, K, (sc_gemm_mode)mode, a + r * K, w, bias, one};
            multiply(&alone, method);
            assert_memory_equal(one, all + r * columns, columns * sizeof *all);
        }
    }
}

static void invariance(void **state)
{
    (void)state;
    for_methods(alone_and_together);
}

/* Rows that come rounded, rows that are left rounded: the bits that rounding before and after would give, with widths
 * that fill half a word. */
static void rounded_before_and_after(sc_gemm_method method)
{
    enum { M = 19, F = 53, K = 77, WORDS = (F + 1) / 2 };
    static float a[M * K], w[2 * F * K], plain[M * F];
    static uint32_t rows[M * ((K + 1) / 2)], got[M * WORDS], want[M * WORDS];
    setenv("SEMCAL_SELFTEST_FAIL", method == SC_GEMM_METHOD_BF16_PLAIN ? "gemm_bf16" : "", 1);
    for (size_t i = 0; i < M * K; i++) {
        a[i] = any(118, 10);
    }
    for (size_t i = 0; i < 2 * F * K; i++) {
        w[i] = of_bits(bits_of(any(118, 10)) & 0xffff0000u);
    }
    const product p = {M, 2 * F, K, SC_MODE_SWIGLU, a, w, NULL, plain};
    multiply(&p, method);
    for (size_t r = 0; r < M; r++) {
        for (size_t i = 0; i < F; i++) {
            want[r * WORDS + i / 2] |= bits_of((float)nearest_bf16(plain[r * F + i])) >> 16 << i % 2 * 16;
        }
        for (size_t i = 0; i < K; i++) {
            rows[r * ((K + 1) / 2) + i / 2] |= bits_of((float)nearest_bf16(a[r * K + i])) >> 16 << i % 2 * 16;
        }
    }
    sc_gemm *gemm;
    sc_matrix *matrix;
    sc_buffer *ba, *bc;
    struct source source = {w, K};
    memset(got, 255, sizeof got);
    check_ok(sc_gemm_open(&gemm, device, SC_GEMM_BF16, &error), error);
    check_ok(sc_matrix_pack(&matrix, gemm, 2 * F, K, true, true, row_of, NULL, "w", &source, &error), error);
    assert_true(sc_gemm_takes_rounded(gemm, matrix));
    check_ok(sc_buffer_create(&ba, device, sizeof rows, SC_BUFFER_DEVICE, "a", &error), error);
    check_ok(sc_buffer_create(&bc, device, sizeof got, SC_BUFFER_DEVICE, "c", &error), error);
    check_ok(sc_buffer_write(ba, 0, rows, sizeof rows, &error), error);
    check_ok(sc_buffer_write(bc, 0, got, sizeof got, &error), error);
    check_ok(sc_gemm_run_rounded(gemm, bc, WORDS, SC_MODE_SWIGLU_ROUNDED, ba, matrix, M, &error), error);
    check_ok(sc_buffer_read(bc, 0, got, sizeof got, &error), error);
    assert_memory_equal(got, want, sizeof want);
    memset(want, 0, sizeof want);
    memset(rows, 0, sizeof rows);
    sc_buffer_free(ba);
    sc_buffer_free(bc);
    sc_matrix_free(matrix);
    sc_gemm_close(gemm);
    unsetenv("SEMCAL_SELFTEST_FAIL");
}

static void rounded_rows(void **state)
{
    (void)state;
    for_methods(rounded_before_and_after);
}

/* fp32 weights keep the products of the default choice; methods for pairs do not take them, nor others pairs. */
static void fp32_weights(void **state)
{
    (void)state;
    enum { M = 5, N = 33, K = 70 };
    static float a[M * K], w[N * K], want[M * N], got[M * N];
    for (size_t i = 0; i < M * K; i++) {
        a[i] = any(120, 8);
    }
    for (size_t i = 0; i < N * K; i++) {
        w[i] = any(120, 8);
    }
    sc_gemm *gemm;
    sc_matrix *matrix, *pairs;
    sc_buffer *ba, *bc;
    struct source source = {w, K};
    check_ok(sc_gemm_open(&gemm, device, SC_GEMM_BF16, &error), error);
    assert_int_equal(sc_gemm_choice_of(gemm), SC_GEMM_BF16);
    assert_string_equal(sc_gemm_definition(gemm), "bf16");
    check_ok(sc_matrix_pack(&matrix, gemm, N, K, false, false, row_of, NULL, "w", &source, &error), error);
    check_ok(sc_matrix_pack(&pairs, gemm, N, K, true, false, row_of, NULL, "w", &source, &error), error);
    assert_int_equal(sc_matrix_form(matrix), SC_PANELS_FP32);
    assert_int_equal(sc_matrix_form(pairs), SC_PANELS_PAIRS);
    check_ok(sc_buffer_create(&ba, device, sizeof a, SC_BUFFER_DEVICE, "a", &error), error);
    check_ok(sc_buffer_create(&bc, device, sizeof got, SC_BUFFER_DEVICE, "c", &error), error);
    check_ok(sc_buffer_write(ba, 0, a, sizeof a, &error), error);
    check_ok(sc_gemm_run(gemm, bc, N, SC_MODE_STORE, ba, matrix, M, &error), error);
    check_ok(sc_buffer_read(bc, 0, got, sizeof got, &error), error);
    sc_gemm_reference(want, a, w, NULL, M, N, K);
    assert_memory_equal(got, want, sizeof want);
    check_ok(sc_gemm_load(gemm, SC_GEMM_METHOD_BF16_PLAIN, &error), error);
    assert_false(sc_gemm_supports(gemm, SC_GEMM_METHOD_BF16_PLAIN, matrix));
    assert_true(sc_gemm_supports(gemm, SC_GEMM_METHOD_BF16_PLAIN, pairs));
    check_ok(sc_gemm_load(gemm, SC_GEMM_METHOD_PLAIN, &error), error);
    assert_false(sc_gemm_supports(gemm, SC_GEMM_METHOD_PLAIN, pairs));
    check_error(sc_gemm_run_method(gemm, SC_GEMM_METHOD_PLAIN, bc, N, SC_MODE_STORE, ba, pairs, M, &error), error,
                SEMCAL_E_CONFIG, "not ready");
    sc_buffer_free(ba);
    sc_buffer_free(bc);
    sc_matrix_free(matrix);
    sc_matrix_free(pairs);
    sc_gemm_close(gemm);
}

int main(void)
{
    if (sc_device_open(&device, NULL, &error) != SEMCAL_OK) {
        print_message("skipped: %s\n", error.message);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(float64),    cmocka_unit_test(every_number), cmocka_unit_test(reference),
        cmocka_unit_test(invariance), cmocka_unit_test(rounded_rows), cmocka_unit_test(fp32_weights),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sc_device_close(device);
    return failed;
}

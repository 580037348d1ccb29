/* SPDX-License-Identifier: Apache-2.0 */
/* The tensor-core kernels with the instruction emulated (SC_MMA_EMULATE): indices, masks, staging, epilogue and the
 * order of every sum, against plain C. What a tensor core itself gives is the self-test's business, on the GPU. */
#include "abi.h"
#include "check.h"
#include "device/gemm.h"
#include "test_device.h"

static sc_device *device;
static semcal_error error = SEMCAL_ERROR_INIT;

enum { LARGE, SMALL, SKINNY, N_FORMS };
static const struct {
    const char *name, *kernel, *options;
    size_t group, rows, panels; /* items, rows and panels of a work-group */
} forms[N_FORMS] = {
    {"large tiles", "gemm_mma", "-DSC_MMA_EMULATE -DMMA_PANELS=2 -DMMA_ROW_WARPS=4", 256, 128, 4},
    {"small tiles", "gemm_mma", "-DSC_MMA_EMULATE -DMMA_PANELS=1 -DMMA_ROW_WARPS=2", 128, 64, 2},
    {"few rows", "gemm_mma_skinny", "-DSC_MMA_EMULATE -DMMA_PANELS=1 -DMMA_ROW_WARPS=2", 128, SC_MMA_SKINNY_ROWS, 1},
};

static uint32_t hash(uint32_t i, uint32_t salt)
{
    uint32_t x = (i + 1) * 2654435761u + salt * 40503u;
    x ^= x >> 15;
    x *= 2246822519u;
    return x ^ x >> 13;
}

/* Multiples of 2^-6 below 2: exact in bf16, and with their products' sums over some hundred k exact in fp32 in any
 * order. */
static float short_value(uint32_t i, uint32_t salt)
{
    return (float)((int32_t)(hash(i, salt) % 255u) - 127) / 64.0f;
}

/* All bits of fp32, sizes from 2^-4 to 2^3. */
static float long_value(uint32_t i, uint32_t salt)
{
    const uint32_t x = hash(i, salt);
    return ldexpf((float)((int32_t)(x >> 8) - (1 << 23)) / 0x1p23f, (int)(x % 8u) - 4);
}

static uint32_t bf16_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (isnan(x)) {
        return bits >> 16 | 0x40;
    }
    const uint32_t rest = bits & 0xffff, up = rest > 0x8000 || (rest == 0x8000 && (bits >> 16 & 1));
    return (bits >> 16) + up;
}

static float rounded(float x)
{
    const uint32_t bits = bf16_bits(x) << 16;
    memcpy(&x, &bits, sizeof x);
    return x;
}

typedef struct product {
    size_t m, n, k, stride, first_panel, out; /* out: columns of C */
    int mode;
    float *a, *w, *bias, *before, *got;
} product;

static void *take(size_t n, size_t size)
{
    void *p = calloc(n, size);
    assert_non_null(p);
    return p;
}

static product make(size_t m, size_t n, size_t k, size_t gap, int mode, float (*value)(uint32_t, uint32_t))
{
    product p = {.m = m, .n = n, .k = k, .mode = mode, .out = mode == SC_GEMM_SWIGLU ? n / 2 : n};
    p.stride = p.out + gap;
    p.a = take(m * k, sizeof(float));
    p.w = take(n * k, sizeof(float));
    p.bias = take(n, sizeof(float));
    p.before = take(m * p.stride, sizeof(float));
    p.got = take(m * p.stride, sizeof(float));
    for (size_t i = 0; i < m * k; i++) {
        p.a[i] = value((uint32_t)i, 1);
    }
    for (size_t i = 0; i < n * k; i++) {
        p.w[i] = rounded(value((uint32_t)i, 2));
    }
    for (size_t i = 0; i < n; i++) {
        p.bias[i] = value((uint32_t)i, 3);
    }
    for (size_t i = 0; i < m * p.stride; i++) {
        p.before[i] = value((uint32_t)i, 4);
    }
    return p;
}

static void drop(product *p)
{
    free(p->a);
    free(p->w);
    free(p->bias);
    free(p->before);
    free(p->got);
}

/* Row of W at a column of the panels, or n. */
static size_t row_at(const product *p, size_t column)
{
    if (p->mode != SC_GEMM_SWIGLU) {
        return column < p->n ? column : p->n;
    }
    const size_t place = column % 32, i = column / 32 * 16 + place % 16;
    return i >= p->n / 2 ? p->n : place < 16 ? i : p->n / 2 + i;
}

/* The product by the kernels; panels from `first` on come from a buffer of their own, as split matrices do. */
static void run(product *p, int form, bool with_bias, const float *a, size_t m, float *c)
{
    const size_t pairs = (p->k + 1) / 2, words = (pairs + 3) / 4 * 4;
    const size_t n_panels = p->mode == SC_GEMM_SWIGLU ? (p->n / 2 + 15) / 16 : (p->n + 31) / 32;
    const size_t split = n_panels > 2 ? n_panels - 2 : n_panels; /* the last two panels stand apart */
    uint32_t *packed = take(n_panels * pairs * 32, 4);
    float *bias = take(n_panels * 32, sizeof(float));
    for (size_t column = 0; column < n_panels * 32; column++) {
        const size_t row = row_at(p, column);
        bias[column] = row < p->n ? p->bias[row] : 0;
        for (size_t i = 0; i < p->k && row < p->n; i++) {
            packed[(column / 32 * pairs + i / 2) * 32 + column % 32] |= bf16_bits(p->w[row * p->k + i]) << (i % 2 * 16);
        }
    }
    sc_program *program;
    sc_kernel *round, *kernel;
    sc_buffer *ba, *br, *bb, *bc, *bw[2];
    check_ok(sc_program_get(&program, device, "gemm_mma.cl", forms[form].options, &error), error);
    check_ok(sc_kernel_get(&round, program, "gemm_mma_round", &error), error);
    check_ok(sc_kernel_get(&kernel, program, forms[form].kernel, &error), error);
    check_ok(sc_buffer_create(&ba, device, m * p->k * 4, SC_BUFFER_DEVICE, "a", &error), error);
    check_ok(sc_buffer_create(&br, device, m * words * 4, SC_BUFFER_DEVICE, "rounded", &error), error);
    check_ok(sc_buffer_create(&bb, device, n_panels * 32 * 4, SC_BUFFER_DEVICE, "bias", &error), error);
    check_ok(sc_buffer_create(&bc, device, m * p->stride * 4, SC_BUFFER_DEVICE, "c", &error), error);
    check_ok(sc_buffer_write(ba, 0, a, m * p->k * 4, &error), error);
    check_ok(sc_buffer_write(bb, 0, bias, n_panels * 32 * 4, &error), error);
    check_ok(sc_buffer_write(bc, 0, p->before, m * p->stride * 4, &error), error);
    const sc_work rounding = {.n_dims = 2, .global = {words, m, 1}};
    check_ok(sc_launch(round, &rounding,
                       SC_ARGS(SC_BUFFER_ARG(ba), SC_BUFFER_ARG(br), SC_U32((uint32_t)p->k), SC_U32((uint32_t)words)),
                       &error),
             error);
    for (size_t part = 0; part < 2; part++) {
        const size_t first = part == 0 ? 0 : split, here = part == 0 ? split : n_panels - split;
        check_ok(sc_buffer_create(&bw[part], device, (here + 1) * pairs * 128, SC_BUFFER_DEVICE, "w", &error), error);
        if (here == 0) {
            continue;
        }
        check_ok(sc_buffer_write(bw[part], 0, packed + first * pairs * 32, here * pairs * 128, &error), error);
        const sc_work work = {.n_dims = 2,
                              .global = {(m + forms[form].rows - 1) / forms[form].rows * forms[form].group,
                                         (here + forms[form].panels - 1) / forms[form].panels, 1},
                              .local = {forms[form].group, 1, 1}};
        if (form == SKINNY) {
            check_ok(sc_launch(kernel, &work,
                               SC_ARGS(SC_BUFFER_ARG(ba), SC_BUFFER_ARG(bw[part]), SC_BUFFER_ARG(with_bias ? bb : NULL),
                                       SC_BUFFER_ARG(bc), SC_U32((uint32_t)m), SC_U32((uint32_t)p->n),
                                       SC_U32((uint32_t)p->k), SC_U32((uint32_t)p->stride), SC_U32((uint32_t)p->mode),
                                       SC_U32((uint32_t)first)),
                               &error),
                     error);
        } else {
            check_ok(sc_launch(kernel, &work,
                               SC_ARGS(SC_BUFFER_ARG(br), SC_BUFFER_ARG(bw[part]), SC_BUFFER_ARG(with_bias ? bb : NULL),
                                       SC_BUFFER_ARG(bc), SC_U32((uint32_t)m), SC_U32((uint32_t)p->n),
                                       SC_U32((uint32_t)p->k), SC_U32((uint32_t)words), SC_U32((uint32_t)p->stride),
                                       SC_U32((uint32_t)p->mode), SC_U32((uint32_t)first), SC_U32((uint32_t)here)),
                               &error),
                     error);
        }
    }
    check_ok(sc_buffer_read(bc, 0, c, m * p->stride * 4, &error), error);
    sc_buffer_free(ba);
    sc_buffer_free(br);
    sc_buffer_free(bb);
    sc_buffer_free(bc);
    sc_buffer_free(bw[0]);
    sc_buffer_free(bw[1]);
    free(packed);
    free(bias);
}

/* The sums as the kernels define them: chunks of SC_CHUNK in order, in a chunk 32 values of k at a time, 16 to each of
 * two instructions; the emulated instruction adds by its own k. */
static float in_order(const product *p, size_t row, size_t column)
{
    float total = 0;
    for (size_t first = 0; first < p->k; first += SC_CHUNK) {
        float chain = 0;
        for (size_t at = first; at < first + SC_CHUNK; at += 16) {
            for (size_t i = 0; i < 16; i++) {
                const size_t pair = i % 8 / 2 * 4 + at / 16 % 2 * 2 + i / 8, k = at / 32 * 32 + pair * 2 + i % 2;
                const bool there = k < p->k;
                chain = fmaf(there ? p->w[column * p->k + k] : 0, there ? rounded(p->a[row * p->k + k]) : 0, chain);
            }
        }
        total = first == 0 ? chain : total + chain;
    }
    return total;
}

static void compare(const product *p, int form, const float *want)
{
    for (size_t row = 0; row < p->m; row++) {
        for (size_t j = 0; j < p->stride; j++) {
            const float x = p->got[row * p->stride + j];
            const float y = j < p->out ? want[row * p->out + j] : p->before[row * p->stride + j];
            if (memcmp(&x, &y, sizeof x) != 0) {
                print_error("%s [%zu, %zu, %zu] mode %d at (%zu, %zu): %.9g, expected %.9g\n", forms[form].name, p->m,
                            p->n, p->k, p->mode, row, j, (double)x, (double)y);
                fail();
            }
        }
    }
}

/* Sums without rounding: the reference's, whatever the order. */
static void exact_sums(void **state)
{
    (void)state;
    static const size_t rows[] = {1, 7, 8, 33, 64, 130};
    static const size_t shapes[][3] = {{33, 1, 3},    {1, 7, 3},    {32, 32, 0}, {93, 257, 1},
                                       {160, 130, 4}, {40, 515, 5}, {96, 258, 2}};
    for (int form = 0; form < N_FORMS; form++) {
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            for (size_t j = 0; j < sizeof shapes / sizeof *shapes; j++) {
                const int mode = (i + j) % 2 == 0 ? SC_GEMM_STORE : SC_GEMM_ADD;
                const bool with_bias = (i + j) % 4 < 2;
                product p = make(rows[i], shapes[j][0], shapes[j][1], shapes[j][2], mode, short_value);
                float *want = take(p.m * p.n, sizeof(float));
                sc_gemm_reference(want, p.a, p.w, with_bias ? p.bias : NULL, p.m, p.n, p.k);
                for (size_t r = 0; r < p.m && mode == SC_GEMM_ADD; r++) {
                    for (size_t c = 0; c < p.n; c++) {
                        want[r * p.n + c] += p.before[r * p.stride + c];
                    }
                }
                run(&p, form, with_bias, p.a, p.m, p.got);
                compare(&p, form, want);
                free(want);
                drop(&p);
            }
        }
    }
}

/* Sums with rounding: the same order in every form, and rows alone as among others. */
static void same_bits(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {{67, 70, 700}, {131, 40, 515}, {5, 130, 1100}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        product p = make(shapes[i][0], shapes[i][1], shapes[i][2], 2, SC_GEMM_STORE, long_value);
        float *want = take(p.m * p.n, sizeof(float)), *alone = take(p.stride, sizeof(float));
        for (size_t r = 0; r < p.m; r++) {
            for (size_t j = 0; j < p.n; j++) {
                want[r * p.n + j] = in_order(&p, r, j) + p.bias[j];
            }
        }
        for (int form = 0; form < N_FORMS; form++) {
            run(&p, form, true, p.a, p.m, p.got);
            compare(&p, form, want);
            for (size_t r = 0; r < p.m; r += 33) {
                run(&p, form, true, p.a + r * p.k, 1, alone);
                assert_memory_equal(alone, want + r * p.n, p.n * sizeof(float));
            }
        }
        free(want);
        free(alone);
        drop(&p);
    }
}

static void swiglu(void **state)
{
    (void)state;
    static const size_t rows[] = {3, 15, 70, 129}, halves[] = {43, 80, 128};
    for (int form = 0; form < N_FORMS; form++) {
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            product p = make(rows[i], 2 * halves[i % 3], 70, i % 2 * 4 + i / 3, SC_GEMM_SWIGLU, short_value);
            for (int with_bias = 0; with_bias < 2; with_bias++) {
                float *products = take(p.m * p.n, sizeof(float));
                sc_gemm_reference(products, p.a, p.w, with_bias ? p.bias : NULL, p.m, p.n, p.k);
                run(&p, form, with_bias, p.a, p.m, p.got);
                for (size_t r = 0; r < p.m; r++) {
                    for (size_t j = 0; j < p.stride; j++) {
                        if (j < p.out) {
                            const double gate = products[r * p.n + j], up = products[r * p.n + p.out + j];
                            const double want = gate / (1 + exp(-gate)) * up;
                            check_close(p.got[r * p.stride + j], want, 2e-6 * fmax(1, fabs(want)));
                        } else {
                            assert_memory_equal(p.got + r * p.stride + j, p.before + r * p.stride + j, sizeof(float));
                        }
                    }
                }
                free(products);
            }
            drop(&p);
        }
    }
}

/* Halves go to the even neighbour, into the next binade too; infinities and NaN stay what they are. */
static void rounding(void **state)
{
    (void)state;
    const float a[9] = {1.0f,      1.00390625f, 1.01171875f, 1.99609375f, 1.003906369f,
                        -INFINITY, NAN,         0x1.ffp127f, -0x1p-140f};
    const uint32_t expected[8] = {0x3f803f80, 0x40003f82, 0xff803f81, 0x7f807fc0, 0x000080ff & 0xffff, 0, 0, 0};
    uint32_t got[8];
    sc_program *program;
    sc_kernel *kernel;
    sc_buffer *from, *to;
    check_ok(sc_program_get(&program, device, "gemm_mma.cl", forms[0].options, &error), error);
    check_ok(sc_kernel_get(&kernel, program, "gemm_mma_round", &error), error);
    check_ok(sc_buffer_create(&from, device, sizeof a, SC_BUFFER_DEVICE, "a", &error), error);
    check_ok(sc_buffer_create(&to, device, sizeof got, SC_BUFFER_DEVICE, "rounded", &error), error);
    check_ok(sc_buffer_write(from, 0, a, sizeof a, &error), error);
    const sc_work work = {.n_dims = 2, .global = {8, 1, 1}};
    check_ok(sc_launch(kernel, &work, SC_ARGS(SC_BUFFER_ARG(from), SC_BUFFER_ARG(to), SC_U32(9), SC_U32(8)), &error),
             error);
    check_ok(sc_buffer_read(to, 0, got, sizeof got, &error), error);
    for (size_t i = 0; i < 8; i++) {
        if (i == 4) {
            assert_int_equal(got[i] & 0xffff, bf16_bits(a[8]));
            assert_int_equal(got[i] >> 16, 0);
        } else if (i == 3) {
            assert_int_equal(got[i] >> 16, 0x7f80); /* the largest rounds to infinity */
            assert_int_equal(got[i] & 0x7fff, 0x7fc0);
        } else {
            assert_int_equal(got[i], expected[i]);
        }
    }
    sc_buffer_free(from);
    sc_buffer_free(to);
}

int main(void)
{
    if (!open_test_device(&device)) {
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_sums),
        cmocka_unit_test(same_bits),
        cmocka_unit_test(swiglu),
        cmocka_unit_test(rounding),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sc_device_close(device);
    return failed;
}

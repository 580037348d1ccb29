/* SPDX-License-Identifier: Apache-2.0 */
/* Attention with keys, values, queries and weights in bf16: against float64 over the rounded operands, exactly where
 * weights are powers of 2, the same bits with and without the processor's own products, whatever was in the pages. */
#include "abi.h"
#include "check.h"
#include "model/model.h"

static sc_device *device;
static semcal_error error = SEMCAL_ERROR_INIT;

enum { T = 151, PAGES = (T + SC_PAGE - 1) / SC_PAGE, MOST = 14 * 64 + 2 * 3 * 64 };

typedef struct shape {
    size_t n_heads, n_kv_heads, head_size;
} shape;

static const shape shapes[] = {{14, 2, 24}, {3, 3, 10}, {4, 2, 32}, {16, 2, 40}, {20, 1, 8}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static bool has_unit(void)
{
#if defined(__x86_64__)
    return sc_device_facts(device)->is_cpu && __builtin_cpu_supports("avx512bf16");
#else
    return false;
#endif
}

static float of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* To the nearest bf16, by distance. */
static double nearest(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const double down = (double)of_bits(bits & 0xffff0000u), up = (double)of_bits((bits & 0xffff0000u) + 0x10000u);
    const double to_down = fabs((double)x - down), to_up = fabs(up - (double)x);
    return to_down < to_up || (to_down == to_up && (bits >> 16 & 1) == 0) ? down : up;
}

static size_t width_of(const shape *s)
{
    return (s->n_heads + 2 * s->n_kv_heads) * s->head_size;
}

static sc_buffer *filled(const void *data, uint64_t bytes)
{
    sc_buffer *buffer;
    check_ok(sc_buffer_create(&buffer, device, bytes, SC_BUFFER_DEVICE, "test", &error), error);
    check_ok(sc_buffer_write(buffer, 0, data, bytes, &error), error);
    return buffer;
}

/* out [T, heads, head size] of T positions of one sequence, none of them turned, in pages full of NaN. */
static void attend(float *out, const float *qkv, const shape *s, float scale, int form, uint32_t local)
{
    char options[160];
    (void)snprintf(options, sizeof options, "-DHEADS=%zu -DKV_HEADS=%zu -DHEAD=%zu -DLSZ=%u -DKV_BF16=%d", s->n_heads,
                   s->n_kv_heads, s->head_size, local, form);
    sc_program *program;
    sc_kernel *store, *kernel;
    check_ok(sc_program_get(&program, device, "transformer.cl", options, &error), error);
    check_ok(sc_kernel_get(&store, program, "rope_store", &error), error);
    check_ok(sc_kernel_get(&kernel, program, "attention", &error), error);
    static float angle[T * 64 * 2];
    static uint32_t nan[PAGES * 3 * 64 * SC_PAGE];
    int32_t position[T], table[T], pages[PAGES];
    for (size_t i = 0; i < T * s->head_size / 2; i++) {
        angle[2 * i] = 1;
        angle[2 * i + 1] = 0;
    }
    memset(nan, 0xff, sizeof nan);
    for (int32_t t = 0; t < T; t++) {
        position[t] = t;
        table[t] = 0;
    }
    for (int32_t p = 0; p < PAGES; p++) {
        pages[p] = PAGES - 1 - p;
    }
    const size_t out_bytes = T * s->n_heads * s->head_size * sizeof(float), n_kv = s->n_kv_heads;
    sc_buffer *all = filled(qkv, T * width_of(s) * sizeof(float)), *keys = filled(nan, sizeof nan),
              *values = filled(nan, sizeof nan), *at = filled(position, sizeof position),
              *lists = filled(table, sizeof table), *list = filled(pages, sizeof pages),
              *turns = filled(angle, sizeof angle), *result = filled(qkv, out_bytes);
    const size_t n_tiles = local > 1 ? T : 11;
    const sc_work rows = SC_WORK_1D(T, local), items = SC_WORK_1D(n_tiles * n_kv, local);
    check_ok(sc_launch(store, &rows,
                       SC_ARGS(SC_BUFFER_ARG(all), SC_BUFFER_ARG(keys), SC_BUFFER_ARG(values), SC_BUFFER_ARG(at),
                               SC_BUFFER_ARG(lists), SC_BUFFER_ARG(list), SC_BUFFER_ARG(turns)),
                       &error),
             error);
    check_ok(sc_launch(kernel, &items,
                       SC_ARGS(SC_BUFFER_ARG(result), SC_BUFFER_ARG(all), SC_BUFFER_ARG(keys), SC_BUFFER_ARG(values),
                               SC_BUFFER_ARG(at), SC_BUFFER_ARG(lists), SC_BUFFER_ARG(list), SC_F32(scale),
                               SC_U32((uint32_t)T), SC_U32((uint32_t)n_tiles)),
                       &error),
             error);
    check_ok(sc_buffer_read(result, 0, out, out_bytes, &error), error);
    sc_buffer *const used[] = {all, keys, values, at, lists, list, turns, result};
    for (size_t i = 0; i < sizeof used / sizeof *used; i++) {
        sc_buffer_free(used[i]);
    }
}

/* Calls `check` for every form there is. */
static void for_all_forms(void (*check)(int form, uint32_t local))
{
    check(1, 1);
    check(1, 32);
    if (has_unit()) {
        check(2, 1);
    }
}

static void random_rows(float *qkv, size_t n)
{
    uint32_t seed = 7;
    for (size_t i = 0; i < n; i++) {
        float sum = 0;
        for (int k = 0; k < 4; k++) {
            seed = seed * 1664525u + 1013904223u;
            sum += (float)(seed >> 8) * 0x1p-24f - 0.5f;
        }
        qkv[i] = 2 * sum;
    }
}

static float qkv[T * MOST], got[T * MOST], other[T * MOST];

/* Rounding a weight moves it by at most 2^-8 of itself (it has 8 bits), its polynomial by 1.1e-4, the sums by less than
 * 1e-4; an average of values then moves by no more than that part of their mean distance from it. */
static void check_random(int form, uint32_t local)
{
    const double off = 0x1p-8 + 1.1e-4 + 1e-4;
    for (size_t k = 0; k < SHAPES; k++) {
        const shape *s = &shapes[k];
        const size_t d = s->head_size, width = width_of(s), group = s->n_heads / s->n_kv_heads;
        const float scale = (float)(1.4426950408889634 / sqrt((double)d));
        random_rows(qkv, T * width);
        attend(got, qkv, s, scale, form, local);
        for (size_t t = 0; t < T; t++) {
            for (size_t h = 0; h < s->n_heads; h++) {
                const size_t key = (s->n_heads + h / group) * d, value = key + s->n_kv_heads * d;
                double weight[T], mass = 0;
                for (size_t p = 0; p <= t; p++) {
                    double score = 0;
                    for (size_t i = 0; i < d; i++) {
                        score += nearest(qkv[t * width + h * d + i] * scale) * nearest(qkv[p * width + key + i]);
                    }
                    mass += weight[p] = exp2(score);
                }
                for (size_t i = 0; i < d; i++) {
                    double mean = 0, distance = 0;
                    for (size_t p = 0; p <= t; p++) {
                        mean += weight[p] / mass * nearest(qkv[p * width + value + i]);
                    }
                    for (size_t p = 0; p <= t; p++) {
                        distance += weight[p] / mass * fabs(nearest(qkv[p * width + value + i]) - mean);
                    }
                    check_close((double)got[(t * s->n_heads + h) * d + i], mean, 1e-6 + off / (1 - off) * distance);
                }
            }
        }
    }
}

/* Scores are whole numbers once rounded, and only then: weights are powers of 2, sums exact to fp32. */
static void check_powers(int form, uint32_t local)
{
    const shape *s = &shapes[0];
    const size_t d = s->head_size, width = width_of(s), group = s->n_heads / s->n_kv_heads;
    random_rows(qkv, T * width);
    for (size_t t = 0; t < T; t++) {
        for (size_t h = 0; h < s->n_heads + s->n_kv_heads; h++) {
            for (size_t i = 0; i < d; i++) {
                const bool is_key = h >= s->n_heads;
                /* 3 and 1 to 6 with a bit that rounding takes away; the other places 0 */
                const float whole = is_key ? (float)(1 + (t * 5 + h) % 6) : 3;
                qkv[t * width + h * d + i] = i == h % 2 ? 0 : i == 1 - h % 2 ? 0 : i == 3 ? whole * (1 + 0x1p-9f) : 0;
            }
        }
    }
    attend(got, qkv, s, 1, form, local);
    for (size_t t = 0; t < T; t++) {
        for (size_t h = 0; h < s->n_heads; h++) {
            const size_t key_head = s->n_heads + h / group, value = (key_head + s->n_kv_heads) * d;
            for (size_t i = 0; i < d; i++) {
                double sum = 0, mass = 0, size = 0;
                for (size_t p = 0; p <= t; p++) {
                    const double weight = ldexp(1, 3 * (int)(1 + (p * 5 + key_head) % 6)),
                                 v = nearest(qkv[p * width + value + i]);
                    mass += weight;
                    sum += weight * v;
                    size += weight * fabs(v);
                }
                check_close((double)got[(t * s->n_heads + h) * d + i], sum / mass, 4e-6 * size / mass);
            }
        }
    }
}

static void against_float64(void **state)
{
    (void)state;
    for_all_forms(check_random);
}

static void powers_of_two(void **state)
{
    (void)state;
    for_all_forms(check_powers);
}

static void same_bits_without_the_unit(void **state)
{
    (void)state;
    if (!has_unit()) {
        print_message("left out: it needs a CPU with AVX-512 bf16\n");
        return;
    }
    for (size_t k = 0; k < SHAPES; k++) {
        const shape *s = &shapes[k];
        for (int huge = 0; huge < 2; huge++) {
            random_rows(qkv, T * width_of(s));
            for (size_t i = 0; huge && i < T * width_of(s); i++) {
                qkv[i] *= i % 7 == 0 ? 300.0f : i % 5 == 0 ? 1e-38f : 1;
            }
            attend(got, qkv, s, 0.5f, 2, 1);
            attend(other, qkv, s, 0.5f, 1, 1);
            assert_memory_equal(got, other, T * s->n_heads * s->head_size * sizeof *got);
        }
    }
}

/* Half the bytes of a page: twice the pages in the same memory. */
static void half_the_memory(void **state)
{
    (void)state;
    const sc_model_config config = {.architecture = "LlamaForCausalLM",
                                    .width = 48,
                                    .mlp_width = 64,
                                    .n_layers = 2,
                                    .n_heads = 4,
                                    .n_kv_heads = 2,
                                    .head_size = 24,
                                    .n_vocabulary = 96,
                                    .n_context = 64,
                                    .norm_epsilon = 1e-6,
                                    .rope = {.kind = SC_ROPE_DEFAULT, .theta = 1e4}};
    uint64_t bytes[2], n[2];
    for (int rounded = 0; rounded < 2; rounded++) {
        sc_model_options options = SC_MODEL_OPTIONS_INIT;
        options.gemm = rounded ? SC_GEMM_BF16 : SC_GEMM_OWN;
        options.kv_bytes = 1 << 20;
        sc_model *model;
        check_ok(sc_model_open_random(&model, &config, true, device, &options, &error), error);
        bytes[rounded] = sc_model_page_bytes(model);
        n[rounded] = sc_model_n_pages(model);
        sc_model_close(model);
    }
    assert_int_equal(bytes[0], 2 * 2 * (24 + 32) * SC_PAGE * 4);
    assert_int_equal(bytes[1] * 2, bytes[0]);
    assert_int_equal(n[0], (1 << 20) / bytes[0]);
    assert_int_equal(n[1], (1 << 20) / bytes[1]);
}

int main(void)
{
    if (sc_device_open(&device, NULL, &error) != SEMCAL_OK) {
        print_message("skipped: %s\n", error.message);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_float64),
        cmocka_unit_test(powers_of_two),
        cmocka_unit_test(same_bits_without_the_unit),
        cmocka_unit_test(half_the_memory),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sc_device_close(device);
    return failed;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Attention with keys, values, queries and weights in bf16: against float64 over the rounded operands, exactly where
 * weights are powers of 2, the same bits with and without the processor's own products, whatever was in the pages. */
#include "attention_rows.h"
#include "model/model.h"

static sc_device *device;
static semcal_error error = SEMCAL_ERROR_INIT;

enum { T = 283 }; /* more than a chunk */

/* Calls `check` for every form there is. */
static void for_all_forms(void (*check)(int form, uint32_t local))
{
    check(FORM_BF16, 1);
    check(FORM_BF16, 32);
    if (has_bf16_unit(device)) {
        check(FORM_BF16_UNIT, 1);
    }
}

static float qkv[T * MOST_WIDTH], got[T * MOST_WIDTH], other[T * MOST_WIDTH];

/* Rounding a weight moves it by at most 2^-8 of itself (it has 8 bits), its polynomial by 1.2e-4, the sums by less than
 * 1e-4; an average of values then moves by no more than that part of their mean distance from it. */
static void check_random(int form, uint32_t local)
{
    const double off = 0x1p-8 + 1.2e-4 + 1e-4;
    double mean[128], distance[128], size[128];
    for (size_t k = 0; k < ATTENTION_SHAPES; k++) {
        const attention_shape *s = &attention_shapes[k];
        const float scale = (float)(1.4426950408889634 / sqrt((double)s->head_size));
        random_rows(qkv, T * attention_width(s));
        attend(got, device, qkv, s, T, scale, form, local, false);
        for (size_t t = 0; t < T; t++) {
            for (size_t h = 0; h < s->n_heads; h++) {
                exact_row(mean, distance, size, qkv, s, t, h, scale, true);
                for (size_t i = 0; i < s->head_size; i++) {
                    check_close((double)got[(t * s->n_heads + h) * s->head_size + i], mean[i],
                                1e-6 + off / (1 - off) * distance[i]);
                }
            }
        }
    }
}

/* Scores are whole numbers once rounded, and only then: weights are powers of 2, sums exact to fp32. */
static void check_powers(int form, uint32_t local)
{
    const attention_shape *s = &attention_shapes[0];
    const size_t d = s->head_size, width = attention_width(s), group = s->n_heads / s->n_kv_heads;
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
    attend(got, device, qkv, s, T, 1, form, local, false);
    for (size_t t = 0; t < T; t++) {
        for (size_t h = 0; h < s->n_heads; h++) {
            const size_t key_head = s->n_heads + h / group, value = (key_head + s->n_kv_heads) * d;
            for (size_t i = 0; i < d; i++) {
                double sum = 0, mass = 0, size = 0;
                for (size_t p = 0; p <= t; p++) {
                    const double weight = ldexp(1, 3 * (int)(1 + (p * 5 + key_head) % 6)),
                                 v = nearest_bf16(qkv[p * width + value + i]);
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
    if (!has_bf16_unit(device)) {
        print_message("left out: it needs a CPU with AVX-512 bf16\n");
        return;
    }
    for (size_t k = 0; k < ATTENTION_SHAPES; k++) {
        const attention_shape *s = &attention_shapes[k];
        for (int huge = 0; huge < 2; huge++) {
            random_rows(qkv, T * attention_width(s));
            for (size_t i = 0; huge && i < T * attention_width(s); i++) {
                qkv[i] *= i % 7 == 0 ? 300.0f : i % 5 == 0 ? 1e-38f : 1;
            }
            attend(got, device, qkv, s, T, 0.5f, FORM_BF16_UNIT, 1, false);
            attend(other, device, qkv, s, T, 0.5f, FORM_BF16, 1, false);
            assert_memory_equal(got, other, T * s->n_heads * s->head_size * sizeof *got);
        }
    }
}

/* Rows for products that take them rounded: the same rows, to the nearest. */
static void check_rounded(int form, uint32_t local)
{
    for (size_t k = 0; k < ATTENTION_SHAPES; k++) {
        const attention_shape *s = &attention_shapes[k];
        const uint16_t *halves = (const uint16_t *)other;
        random_rows(qkv, T * attention_width(s));
        attend(got, device, qkv, s, T, 0.5f, form, local, false);
        attend(other, device, qkv, s, T, 0.5f, form, local, true);
        for (size_t i = 0; i < T * s->n_heads * s->head_size; i++) {
            assert_true((double)float_of_bits((uint32_t)halves[i] << 16) == nearest_bf16(got[i]));
        }
    }
}

static void rounded_rows(void **state)
{
    (void)state;
    for_all_forms(check_rounded);
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
        cmocka_unit_test(rounded_rows),
        cmocka_unit_test(half_the_memory),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sc_device_close(device);
    return failed;
}

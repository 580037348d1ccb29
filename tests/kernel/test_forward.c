/* SPDX-License-Identifier: Apache-2.0 */
/* The forward pass on the device against Transformers' laws, and its bits over every way to cut the work. */
#include "abi.h"
#include "model/model.h"
#include "model/reference.h"
#include "models.h"
#include "test_device.h"

static sc_device *device;
static semcal_error error = SEMCAL_ERROR_INIT;

/* Log-softmax in double of `n` logits, in place into `out`. */
static void log_softmax(double *out, const float *logits, size_t n)
{
    double top = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) {
        top = fmax(top, (double)logits[i]);
    }
    for (size_t i = 0; i < n; i++) {
        sum += exp((double)logits[i] - top);
    }
    for (size_t i = 0; i < n; i++) {
        out[i] = (double)logits[i] - top - log(sum);
    }
}

/* Logits [T, V] of one sequence, run in calls of `step` rows over pages that begin at `first_page` and lie backwards.
 */
static void run_sequence(float *logits, sc_model *model, const int32_t *ids, size_t T, size_t step, int32_t first_page)
{
    const size_t V = sc_model_shape(model)->n_vocabulary;
    int32_t pages[8], table[64] = {0}, position[64], output[64];
    for (int32_t i = 0; i < 8; i++) {
        pages[i] = first_page + 7 - i;
    }
    for (size_t first = 0; first < T; first += step) {
        const size_t n = T - first < step ? T - first : step;
        for (size_t i = 0; i < n; i++) {
            position[i] = (int32_t)(first + i);
            output[i] = (int32_t)i;
        }
        const sc_forward forward = {n, ids + first, position, table, pages, 8, output, n, NULL, 0};
        check_ok(sc_model_forward(model, &forward, &error), error);
        check_ok(sc_buffer_read(sc_model_logits(model), 0, logits + first * V, n * V * sizeof *logits, &error), error);
    }
}

static double worst_gap(const char *name, size_t group_size)
{
    sc_model *model;
    sc_model_options options = SC_MODEL_OPTIONS_INIT;
    options.kv_bytes = (uint64_t)4 << 20;
    options.group_size = group_size;
    check_ok(sc_model_open(&model, fixture_folder(name), device, &options, &error), error);
    double worst = 0;
    for (int i = 0; i < N_FIXTURE_SEQUENCES; i++) {
        int32_t *ids;
        double *expected;
        size_t T, V;
        fixture_sequence(name, i, &ids, &expected, &T, &V);
        float *logits = malloc(T * V * sizeof(float));
        double *law = malloc(V * sizeof(double));
        assert_true(logits != NULL && law != NULL);
        run_sequence(logits, model, ids, T, T, 3);
        for (size_t t = 0; t < T; t++) {
            log_softmax(law, logits + t * V, V);
            for (size_t j = 0; j < V; j++) {
                if (isnan(law[j])) {
                    fail_msg("%s: NaN at %zu, %zu", name, t, j);
                }
                worst = fmax(worst, fabs(law[j] - expected[t * V + j]));
            }
        }
        free(logits);
        free(law);
        free(ids);
        free(expected);
    }
    sc_model_close(model);
    return worst;
}

/* fp32 activations on exact weights: Transformers itself is up to 2.2e-5 away in fp32 (make_model_fixtures.py). */
static void agrees_with_transformers(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_MODEL_FIXTURES; i++) {
        const double gap = worst_gap(model_fixtures[i], 0);
        print_message("%s: %.1e\n", model_fixtures[i], gap);
        check_close(gap, 0, 4e-5);
    }
}

/* The kernels for work-groups, as GPUs run them. */
static void agrees_in_work_groups(void **state)
{
    (void)state;
    static const char *const names[] = {"llama_bf16_tied", "qwen2_fp32_tied", "qwen2_bf16"};
    for (size_t i = 0; i < 3; i++) {
        check_close(worst_gap(names[i], i == 0 ? 8 : 32), 0, 4e-5);
    }
}

/* Heads of 32, which rope_store takes in whole vectors on CPUs (Transformers' fixtures have smaller ones): the
 * quickstart's base model against the float64 reference. */
static void whole_vectors_agree_with_the_reference(void **state)
{
    (void)state;
    static const char folder[] = SEMCAL_FIXTURES "/../../configs/quickstart/models/base";
    enum { T = 40 };
    sc_model_config config;
    sc_model_weights weights;
    check_ok(sc_model_config_read(&config, folder, &error), error);
    check_ok(sc_model_weights_open(&weights, &config, folder, &error), error);
    assert_int_equal(config.head_size % 32, 0);
    const size_t V = config.n_vocabulary;
    int32_t ids[T];
    for (int32_t t = 0; t < T; t++) {
        ids[t] = (t * 37 + 5) % (int32_t)V;
    }
    double *expected = malloc(T * V * sizeof *expected), *law = malloc(V * sizeof *law);
    float *logits = malloc(T * V * sizeof *logits);
    assert_true(expected != NULL && law != NULL && logits != NULL);
    check_ok(sc_reference_logits(expected, &config, &weights, ids, T, NULL, &error), error);
    sc_reference_log_softmax(expected, T, V);
    for (size_t group_size = 0; group_size < 40; group_size += 32) {
        sc_model *model;
        sc_model_options options = SC_MODEL_OPTIONS_INIT;
        options.kv_bytes = (uint64_t)4 << 20;
        options.group_size = group_size;
        check_ok(sc_model_open(&model, folder, device, &options, &error), error);
        run_sequence(logits, model, ids, T, 7, 3);
        double worst = 0;
        for (size_t t = 0; t < T; t++) {
            log_softmax(law, logits + t * V, V);
            for (size_t j = 0; j < V; j++) {
                assert_true(!isnan(law[j]));
                worst = fmax(worst, fabs(law[j] - expected[t * V + j]));
            }
        }
        print_message("heads of 32, groups of %zu: %.1e\n", group_size, worst);
        check_close(worst, 0, 4e-5);
        sc_model_close(model);
    }
    free(expected);
    free(law);
    free(logits);
    sc_model_weights_close(&weights);
}

/* One row of interest among 0 .. 506 others, in any order of calls: always the same bits. */
static void bits_do_not_depend_on_the_batch(void **state)
{
    (void)state;
    static const char *const names[] = {"llama_bf16_tied", "qwen2_fp32_tied", "llama_bf16_sharded"};
    static const size_t counts[] = {1, 2, 13, 14, 50, 507};
    for (size_t f = 0; f < 3; f++) {
        for (size_t group_size = 0; group_size < 40; group_size += 32) {
            sc_model *model;
            sc_model_options options = SC_MODEL_OPTIONS_INIT;
            options.kv_bytes = (uint64_t)16 << 20;
            options.group_size = group_size;
            check_ok(sc_model_open(&model, fixture_folder(names[f]), device, &options, &error), error);
            int32_t *ids;
            double *expected;
            size_t T, V;
            fixture_sequence(names[f], 0, &ids, &expected, &T, &V);
            float *whole = malloc(T * V * sizeof(float)), *again = malloc(507 * V * sizeof(float));
            assert_true(whole != NULL && again != NULL);
            run_sequence(whole, model, ids, T, T, 0); /* one prefill */
            for (size_t step = 1; step < T; step += 1 + step * 2) {
                run_sequence(again, model, ids, T, step, 16); /* decode, and prefill in parts */
                assert_memory_equal(whole, again, T * V * sizeof(float));
            }
            /* The last position again, alone and among rows of other sequences that share its full pages. */
            for (size_t c = 0; c < sizeof counts / sizeof *counts && group_size == 0; c++) {
                const size_t n = counts[c];
                int32_t token[507], position[507], table[507], output[507], pages[507 * 3];
                for (size_t r = 0; r < n; r++) {
                    const bool mine = r == n / 2;
                    token[r] = mine ? ids[T - 1] : (int32_t)(r * 7 % V);
                    position[r] = mine ? (int32_t)(T - 1) : (int32_t)(r % T);
                    table[r] = (int32_t)(3 * r);
                    output[r] = (int32_t)r;
                    for (size_t p = 0; p < 3; p++) {
                        const bool own = !mine && p == (size_t)position[r] / SC_PAGE;
                        pages[3 * r + p] = own ? (int32_t)(100 + r) : 7 - (int32_t)p;
                    }
                }
                const sc_forward forward = {n, token, position, table, pages, 3 * n, output, n, NULL, 0};
                check_ok(sc_model_forward(model, &forward, &error), error);
                check_ok(sc_buffer_read(sc_model_logits(model), 0, again, n * V * sizeof(float), &error), error);
                assert_memory_equal(again + n / 2 * V, whole + (T - 1) * V, V * sizeof(float));
            }
            free(whole);
            free(again);
            free(ids);
            free(expected);
            sc_model_close(model);
        }
    }
}

int main(void)
{
    if (!open_test_device(&device)) {
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_transformers),
        cmocka_unit_test(agrees_in_work_groups),
        cmocka_unit_test(whole_vectors_agree_with_the_reference),
        cmocka_unit_test(bits_do_not_depend_on_the_batch),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sc_device_close(device);
    return failed;
}

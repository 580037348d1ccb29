/* SPDX-License-Identifier: Apache-2.0 */
/* The float64 reference forward against Transformers, and what each classic mistake would have moved. */
#include "model/reference.h"
#include "models.h"

static double worst_gap(const char *name, const sc_reference_mutation *mutation)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_model_config config;
    sc_model_weights weights;
    check_ok(sc_model_config_read(&config, fixture_folder(name), &error), error);
    check_ok(sc_model_weights_open(&weights, &config, fixture_folder(name), &error), error);
    double worst = 0;
    for (int i = 0; i < N_FIXTURE_SEQUENCES; i++) {
        int32_t *ids;
        double *expected;
        size_t T, V;
        fixture_sequence(name, i, &ids, &expected, &T, &V);
        double *logits = malloc(T * V * sizeof(double));
        assert_non_null(logits);
        check_ok(sc_reference_logits(logits, &config, &weights, ids, T, mutation, &error), error);
        sc_reference_log_softmax(logits, T, V);
        for (size_t j = 0; j < T * V; j++) {
            if (isnan(logits[j])) {
                fail();
            }
            worst = fmax(worst, fabs(logits[j] - expected[j]));
        }
        free(logits);
        free(ids);
        free(expected);
    }
    sc_model_weights_close(&weights);
    return worst;
}

static void agrees_with_transformers(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_MODEL_FIXTURES; i++) {
        print_message("%s: %.1e\n", model_fixtures[i], worst_gap(model_fixtures[i], NULL));
        check_close(worst_gap(model_fixtures[i], NULL), 0, 1e-10);
    }
}

static void notices_mistakes(void **state)
{
    (void)state;
    const sc_reference_mutation no_bias = {.no_qkv_bias = true}, no_norms = {.no_head_norms = true},
                                interleaved = {.interleaved_rope = true}, epsilon = {.epsilon = 1e-6};
    for (size_t i = 0; i < N_MODEL_FIXTURES; i++) {
        const char *name = model_fixtures[i];
        if (strstr(name, "qwen2") != NULL || strstr(name, "sharded") != NULL) {
            assert_true(worst_gap(name, &no_bias) > 1e-2);
        }
        if (strstr(name, "qwen3") != NULL) {
            assert_true(worst_gap(name, &no_norms) > 1e-2);
        }
        assert_true(worst_gap(name, &interleaved) > 1e-2);
        assert_true(worst_gap(name, &epsilon) > 1e-4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_transformers), cmocka_unit_test(notices_mistakes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

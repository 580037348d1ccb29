/* SPDX-License-Identifier: Apache-2.0 */
/* Losses after temperatures and class tilts: every bit against the plain C reference, values against float64. */
#include "device/perturb.h"

#include "rows_case.h"

enum { N = 5, TEMPERATURES = 3, CLASSES = 7, TILTS = 4 };

typedef struct outputs {
    double loss[N], temperature[N * TEMPERATURES], logmass[N * CLASSES], tilt[N * TILTS];
} outputs;

static sc_perturb_result result_of(outputs *out)
{
    return (sc_perturb_result){
        .loss = out->loss, .loss_temperature = out->temperature, .class_logmass = out->logmass, .loss_tilt = out->tilt};
}

static void check_float64(const float *logits, size_t n, const sc_perturb_request *request, const outputs *out)
{
    for (size_t i = 0; i < N; i++) {
        const float *l = logits + i * n;
        double target = (double)l[request->target[i]], max = -INFINITY;
        for (size_t v = 0; v < n; v++) {
            max = fmax(max, (double)l[v]);
        }
        for (size_t p = 0; p <= TEMPERATURES; p++) {
            double t = p == 0 ? 1 : request->temperature[p - 1], sum = 0;
            for (size_t v = 0; v < n; v++) {
                sum += exp(((double)l[v] - max) / t);
            }
            double want = log(sum) - (target - max) / t;
            check_close(p == 0 ? out->loss[i] : out->temperature[i * TEMPERATURES + p - 1], want,
                        1e-6 * fmax(1, fabs(want)));
        }
        double mass[CLASSES] = {0}, total = 0;
        for (size_t v = 0; v < n; v++) {
            mass[request->class_of[v]] += exp((double)l[v] - max);
            total += exp((double)l[v] - max);
        }
        for (size_t k = 0; k < CLASSES; k++) {
            check_close(out->logmass[i * CLASSES + k], log(mass[k] / total),
                        1e-6 * fmax(1, fabs(log(mass[k] / total))));
        }
        for (size_t p = 0; p < TILTS; p++) {
            double sum = 0;
            for (size_t v = 0; v < n; v++) {
                sum += exp((double)l[v] - max + request->tilt[p * CLASSES + (size_t)request->class_of[v]]);
            }
            double want =
                log(sum) + max - target - request->tilt[p * CLASSES + (size_t)request->class_of[request->target[i]]];
            check_close(out->tilt[i * TILTS + p], want, 1e-6 * fmax(1, fabs(want)));
        }
    }
}

static void run(const char *build_options, size_t n)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_device *device;
    sc_rows *rows;
    sc_rows_options options = SC_ROWS_OPTIONS_INIT;
    options.build_options = build_options;
    check_ok(sc_device_open(&device, NULL, &error), error);
    check_ok(sc_rows_create(&rows, device, &options, &error), error);
    float *logits = calloc(N * n, sizeof *logits);
    int32_t *class_of = calloc(n, sizeof *class_of), target[N];
    assert_true(logits != NULL && class_of != NULL);
    sc_random_stream stream;
    sc_random_stream_init(&stream, 41, n);
    for (size_t i = 0; i < N * n; i++) {
        logits[i] = i % n > 7 && sc_random_below(&stream, 5) == 0 ? -INFINITY : (float)(3 * bell(&stream));
    }
    for (size_t v = 0; v < n; v++) {
        /* One class takes most tokens; one has none when the vocabulary is small. */
        class_of[v] = v % 5 != 0 ? 2 : (int32_t)sc_random_below(&stream, CLASSES);
    }
    for (size_t i = 0; i < N; i++) {
        target[i] = (int32_t)(i % (n < 8 ? n : 8));
    }
    const double temperature[TEMPERATURES] = {0.5, 1, 2};
    double tilt[TILTS * CLASSES];
    for (size_t p = 0; p < TILTS * CLASSES; p++) {
        tilt[p] = p < CLASSES ? 0 : 4 * (2 * sc_random_unit(&stream) - 1);
    }
    const sc_perturb_request request = {target, TEMPERATURES, temperature, CLASSES, class_of, TILTS, tilt};
    sc_buffer *buffer = buffer_of(device, logits, N * n * sizeof *logits);
    const sc_rows_input input = {buffer, SC_ROWS_F32, N, n, n, 0};
    outputs got, want;
    memset(&got, 0, sizeof got);
    memset(&want, 0, sizeof want);
    sc_perturb_result result = result_of(&got), reference = result_of(&want);
    check_ok(sc_perturb_evaluate(rows, &input, &request, &result, &error), error);
    check_ok(sc_perturb_reference(logits, SC_ROWS_F32, N, n, n, &request, &reference, &error), error);
    assert_memory_equal(&got, &want, sizeof got);
    check_float64(logits, n, &request, &got);
    for (size_t i = 0; i < N; i++) {
        check_close(got.tilt[i * TILTS], got.loss[i], 1e-12);               /* no tilt */
        check_close(got.temperature[i * TEMPERATURES + 1], got.loss[i], 0); /* T = 1 */
    }
    sc_rows_free(rows);
    sc_buffer_free(buffer);
    sc_device_close(device);
    free(logits);
    free(class_of);
}

static void vectors(void **state)
{
    (void)state;
    static const size_t widths[] = {1, 2, 31, 32, 33, 255, 257, 50257};
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        run("-DLSZ=1 -DVW=16", widths[w]);
    }
}

static void groups(void **state)
{
    (void)state;
    static const size_t widths[] = {1, 33, 1030, 5000};
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        run("-DLSZ=64 -DVW=4", widths[w]);
    }
}

static void errors(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_device *device;
    sc_rows *rows;
    check_ok(sc_device_open(&device, NULL, &error), error);
    check_ok(sc_rows_create(&rows, device, NULL, &error), error);
    float logits[12] = {0};
    int32_t class_of[6] = {0, 1, 0, 1, 0, 2}, target[2] = {5, 1};
    double tilt[2] = {0, (double)NAN}, temperature = -1;
    sc_buffer *buffer = buffer_of(device, logits, sizeof logits);
    sc_rows_input input = {buffer, SC_ROWS_F32, 2, 6, 6, 0};
    sc_perturb_request request = {target, 0, NULL, 2, class_of, 0, NULL};
    sc_perturb_result result = {.loss = NULL};
    check_error(sc_perturb_evaluate(rows, &input, &request, &result, &error), error, SEMCAL_E_DATA,
                "token 5: class 2, there are 2 classes");
    class_of[5] = 1;
    request.n_tilts = 1;
    request.tilt = tilt;
    check_error(sc_perturb_evaluate(rows, &input, &request, &result, &error), error, SEMCAL_E_CONFIG,
                "tilt 0: class 1: must be finite");
    request.n_tilts = 0;
    request.n_temperatures = 1;
    request.temperature = &temperature;
    check_error(sc_perturb_evaluate(rows, &input, &request, &result, &error), error, SEMCAL_E_CONFIG, "temperature");
    temperature = 2;
    target[1] = -1;
    check_error(sc_perturb_evaluate(rows, &input, &request, &result, &error), error, SEMCAL_E_DATA, "row 1: target -1");
    target[1] = 1;
    logits[8] = NAN;
    check_ok(sc_buffer_write(buffer, 0, logits, sizeof logits, &error), error);
    check_error(sc_perturb_evaluate(rows, &input, &request, &result, &error), error, SEMCAL_E_NUMERIC,
                "row 1: the logit of token 2 is NaN");
    assert_int_equal(result.bad_row, 1);
    assert_int_equal(result.bad_token, 2);
    sc_rows_free(rows);
    sc_buffer_free(buffer);
    sc_device_close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(vectors), cmocka_unit_test(groups), cmocka_unit_test(errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

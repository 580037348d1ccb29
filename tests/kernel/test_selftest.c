/* SPDX-License-Identifier: Apache-2.0 */
/* Fast paths that fail their self-test: named, replaced, the same numbers. */
#include "device/gemm.h"
#include "device/opencl.h"
#include "device/perturb.h"
#include "device/rows.h"
#include "model/model.h"

#include "check.h"

#include <sys/stat.h>
#include <unistd.h>

static char cache[64];
static semcal_error error = SEMCAL_ERROR_INIT;

static sc_device *open_device(void)
{
    sc_device *device = NULL;
    check_ok(sc_device_open(&device, NULL, &error), error);
    return device;
}

static float value(uint32_t i, uint32_t salt)
{
    i = i * 2654435761u + salt * 40503u;
    return (float)((int32_t)(i >> 24) - 128) / 64.0f;
}

enum { M = 31, W = 70, K = 513 };
static float a[M * K], w[W * K], want[M * W], got[M * W];

static void row_of(float *row, size_t i, void *payload)
{
    (void)payload;
    memcpy(row, w + i * K, K * sizeof *row);
}

/* One product by whatever sc_gemm_open chose; bits of the reference. */
static void product(sc_device *device, sc_gemm_choice choice, bool bf16)
{
    sc_gemm *gemm;
    sc_matrix *matrix;
    sc_buffer *ba, *bc;
    check_ok(sc_gemm_open(&gemm, device, choice, &error), error);
    check_ok(sc_matrix_pack(&matrix, gemm, W, K, bf16, false, row_of, NULL, "w", NULL, &error), error);
    check_ok(sc_buffer_create(&ba, device, sizeof a, SC_BUFFER_DEVICE, "a", &error), error);
    check_ok(sc_buffer_create(&bc, device, sizeof got, SC_BUFFER_DEVICE, "c", &error), error);
    check_ok(sc_buffer_write(ba, 0, a, sizeof a, &error), error);
    check_ok(sc_gemm_run(gemm, bc, W, SC_MODE_STORE, ba, matrix, M, &error), error);
    check_ok(sc_buffer_read(bc, 0, got, sizeof got, &error), error);
    assert_memory_equal(got, want, sizeof want);
    sc_buffer_free(ba);
    sc_buffer_free(bc);
    sc_matrix_free(matrix);
    sc_gemm_close(gemm);
}

static void check_note(const sc_device *device, size_t n, const char *text)
{
    assert_int_equal(sc_device_n_notes(device), n);
    if (n > 0 && strstr(sc_device_note_at(device, n - 1), text) == NULL) {
        fail_msg("note '%s' lacks '%s'", sc_device_note_at(device, n - 1), text);
    }
}

static void products(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < M * K; i++) {
        a[i] = value(i, 1) / 3;
    }
    for (uint32_t i = 0; i < W * K; i++) {
        w[i] = value(i, 2);
    }
    sc_gemm_reference(want, a, w, NULL, M, W, K);
    sc_device *device = open_device();
    const bool cpu = sc_device_facts(device)->is_cpu;
    product(device, SC_GEMM_AUTO, true);
    product(device, SC_GEMM_AUTO, false);
    check_note(device, 0, "");
    sc_device_close(device);
    /* the verdict is remembered, one that is damaged is found again */
    device = open_device();
    product(device, SC_GEMM_AUTO, true);
    check_note(device, 0, "");
    sc_device_close(device);
    setenv("SEMCAL_SELFTEST_FAIL", "other,gemm_packed,gemm_tiled", 1);
    device = open_device();
    product(device, SC_GEMM_AUTO, true);
    product(device, SC_GEMM_AUTO, false);
    check_note(device, 1,
               cpu ? "the self-test of gemm_packed failed (SEMCAL_SELFTEST_FAIL names it); gemm_plain is used"
                   : "the self-test of gemm_tiled failed");
    sc_device_close(device);
    unsetenv("SEMCAL_SELFTEST_FAIL");
    device = open_device();
    product(device, SC_GEMM_AUTO, true);
    check_note(device, 0, ""); /* a forced failure is not remembered */
    sc_device_close(device);
}

/* Rows rounded to bf16: with the device's instruction, without it, the same bits. */
static void rounded_products(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < M * K; i++) {
        a[i] = value(i, 1) / 3;
    }
    sc_gemm_bf16_reference(want, a, w, NULL, M, W, K);
    sc_device *device = open_device();
    product(device, SC_GEMM_BF16, true);
    const bool has_unit = sc_device_n_notes(device) == 0;
    if (!has_unit) {
        check_note(device, 1, "gemm_bf16_plain is used instead");
    }
    sc_device_close(device);
    setenv("SEMCAL_SELFTEST_FAIL", "gemm_bf16", 1);
    device = open_device();
    product(device, SC_GEMM_BF16, true);
    check_note(device, 1,
               has_unit ? "the self-test of gemm_bf16 failed (SEMCAL_SELFTEST_FAIL names it); gemm_bf16_plain is used"
                        : "gemm_bf16_plain is used");
    sc_device_close(device);
    unsetenv("SEMCAL_SELFTEST_FAIL");
}

/* The same rows without their last column. */
static void even_row_of(float *row, size_t i, void *payload)
{
    (void)payload;
    memcpy(row, w + i * K, (K - 1) * sizeof *row);
}

/* Compact weights need their kernel to work; without it there are none, and products are as before. */
static void compact_weights(void **state)
{
    (void)state;
    static const sc_gemm_choice choices[] = {SC_GEMM_OWN, SC_GEMM_BF16};
    for (size_t i = 0; i < 2; i++) {
        sc_device *device = open_device();
        sc_gemm *gemm;
        sc_matrix *matrix;
        check_ok(sc_gemm_open(&gemm, device, choices[i], &error), error);
        check_ok(sc_matrix_pack(&matrix, gemm, W, K - 1, true, false, even_row_of, NULL, "w", NULL, &error), error);
        const uint64_t bytes = sc_matrix_compact_bytes(matrix, gemm);
        const size_t n_notes = sc_device_n_notes(device);
        sc_matrix_free(matrix);
        sc_gemm_close(gemm);
        sc_device_close(device);
        if (bytes == 0) {
            print_message("gemm_compact is not used on this device\n");
            return;
        }
        setenv("SEMCAL_SELFTEST_FAIL", "gemm_compact", 1);
        device = open_device();
        check_ok(sc_gemm_open(&gemm, device, choices[i], &error), error);
        check_ok(sc_matrix_pack(&matrix, gemm, W, K - 1, true, false, even_row_of, NULL, "w", NULL, &error), error);
        for (int again = 0; again < 2; again++) {
            check_ok(sc_matrix_compact(matrix, gemm, &error), error);
            check_note(device, n_notes + 1,
                       choices[i] == SC_GEMM_OWN
                           ? "the self-test of gemm_compact failed (SEMCAL_SELFTEST_FAIL names it); gemm_packed is used"
                           : "gemm_bf16 is used instead");
            assert_false(sc_gemm_supports(gemm, SC_GEMM_METHOD_COMPACT, matrix));
        }
        assert_int_equal(sc_matrix_compact_bytes(matrix, gemm), 0);
        sc_matrix_free(matrix);
        sc_gemm_close(gemm);
        sc_device_close(device);
        unsetenv("SEMCAL_SELFTEST_FAIL");
    }
}

/* A compiler that refuses the instruction (here: a source that is broken) costs speed, not the run. */
static void refused_instruction(void **state)
{
    (void)state;
    char folder[128], file[160];
    (void)snprintf(folder, sizeof folder, "%s/cl", cache);
    (void)snprintf(file, sizeof file, "%s/gemm_bf16.cl", folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    FILE *stream = fopen(file, "w");
    assert_non_null(stream);
    fputs("__kernel void gemm_bf16(__global float *x) { x[0] = __builtin_of_no_processor(x[0]); }\n", stream);
    assert_int_equal(fclose(stream), 0);
    setenv("SEMCAL_CL_DIR", folder, 1);
    sc_device *device = open_device();
    product(device, SC_GEMM_BF16, true);
    check_note(device, 1, "gemm_bf16_plain is used instead");
    sc_device_close(device);
    unsetenv("SEMCAL_CL_DIR");
}

/* $SEMCAL_CL_DIR with one file of cl/: `before` it, and `from` replaced by `to`. */
static void change_kernel(const char *name, const char *file, const char *before, const char *from, const char *to)
{
    char path[4096];
    const char *source = getenv("SEMCAL_SOURCE");
    assert_non_null(source);
    (void)snprintf(path, sizeof path, "%s/cl/%s", source, file);
    FILE *stream = fopen(path, "r");
    assert_non_null(stream);
    static char text[1 << 16];
    const size_t n = fread(text, 1, sizeof text - 1, stream);
    assert_true(n > 0 && n < sizeof text - 1);
    text[n] = '\0';
    (void)fclose(stream);
    const char *at = strstr(text, from);
    assert_non_null(at);
    (void)snprintf(path, sizeof path, "%s/%s", cache, name);
    assert_int_equal(mkdir(path, 0700), 0);
    setenv("SEMCAL_CL_DIR", path, 1);
    (void)snprintf(path, sizeof path, "%s/%s/%s", cache, name, file);
    stream = fopen(path, "w");
    assert_non_null(stream);
    (void)fprintf(stream, "%s%.*s%s%s", before, (int)(at - text), text, to, at + strlen(from));
    assert_int_equal(fclose(stream), 0);
}

static void emulate_tensor_cores(const char *name, const char *from, const char *to)
{
    change_kernel(name, "gemm_mma.cl", "#define SC_MMA_EMULATE 1\n", from, to);
}

/* A device that says of itself what NVIDIA's do. */
static sc_device *open_with_tensor_cores(void)
{
    sc_device *device = open_device();
    device->info.compute_capability = 90;
    assert_true(device->info.max_group >= 256 && device->info.local_memory >= 49152);
    return device;
}

static void check_definition(sc_device *device, const char *definition)
{
    sc_gemm *gemm;
    check_ok(sc_gemm_open(&gemm, device, SC_GEMM_BF16, &error), error);
    assert_string_equal(sc_gemm_definition(gemm), definition);
    assert_true(sc_gemm_is_invariant(gemm));
    sc_gemm_close(gemm);
}

/* The choice of tensor cores, with the instruction emulated: taken when it gives the products, and passed over with a
 * note when told to or when an instruction is off by a hundred-thousandth. */
static void tensor_cores(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < M * K; i++) {
        a[i] = value(i, 1); /* sums without rounding: the same in any order */
    }
    for (uint32_t i = 0; i < W * K; i++) {
        w[i] = value(i, 2);
    }
    sc_gemm_bf16_reference(want, a, w, NULL, M, W, K);
    emulate_tensor_cores("right", "c[e] = fma(as_float(x << 16)", "c[e] = fma(as_float(x << 16)");
    sc_device *device = open_with_tensor_cores();
    product(device, SC_GEMM_BF16, true);
    check_definition(device, "bf16-mma");
    check_note(device, 0, "");
    sc_device_close(device);
    setenv("SEMCAL_SELFTEST_FAIL", "gemm_mma", 1);
    device = open_with_tensor_cores();
    product(device, SC_GEMM_BF16, true);
    check_definition(device, "bf16");
    check_note(device, 1, "the self-test of gemm_mma failed (SEMCAL_SELFTEST_FAIL names it); gemm_bf16_plain is used");
    sc_device_close(device);
    unsetenv("SEMCAL_SELFTEST_FAIL");
    emulate_tensor_cores("wrong", "c[e] = fma(as_float(x << 16)", "c[e] = 0.99999f * fma(as_float(x << 16)");
    device = open_with_tensor_cores();
    product(device, SC_GEMM_BF16, true);
    check_definition(device, "bf16");
    check_note(device, 1,
               "the self-test of gemm_mma failed (other numbers than the reference); gemm_bf16_plain is used");
    sc_device_close(device);
    unsetenv("SEMCAL_CL_DIR");
}

/* Weights of two pages that change places, in whole chunks of attention only: found when a model is opened. */
static void damaged_chunks(void **state)
{
    (void)state;
    const sc_model_config config = {.architecture = "LlamaForCausalLM",
                                    .width = 48,
                                    .mlp_width = 64,
                                    .n_layers = 1,
                                    .n_heads = 14,
                                    .n_kv_heads = 2,
                                    .head_size = 64,
                                    .n_vocabulary = 96,
                                    .n_context = 64,
                                    .norm_epsilon = 1e-6,
                                    .rope = {.kind = SC_ROPE_DEFAULT, .theta = 1e4}};
    sc_model_options options = SC_MODEL_OPTIONS_INIT;
    options.gemm = SC_GEMM_BF16;
    sc_model *model;
    sc_device *device = open_device();
    check_ok(sc_model_open_random(&model, &config, true, device, &options, &error), error);
    const bool has_unit = sc_device_n_notes(device) == 0;
    sc_model_close(model);
    sc_device_close(device);
    if (!has_unit) {
        print_message("left out: it needs a CPU with AVX-512 bf16\n");
        return;
    }
    change_kernel("pages", "attention_chunk.h", "", "SOFTEN_3((p) + (i) % 2, (i) / 2)",
                  "SOFTEN_3((p) + 1 - (i) % 2, (i) / 2)");
    device = open_device();
    check_ok(sc_model_open_random(&model, &config, true, device, &options, &error), error);
    check_note(device, 1,
               "the self-test of attention_bf16 failed (other numbers than the reference); attention is used");
    sc_model_close(model);
    sc_device_close(device);
    unsetenv("SEMCAL_CL_DIR");
}

enum { N = 5, V = 3001, DRAWS = 7, TOP = 4 };

struct answers {
    double log_normalizer[N], target_logprob[N], target_logprob_raw[N], top_logprob[N * TOP], logprob[N * DRAWS];
    int32_t top_token[N * TOP], token[N * DRAWS], target_rank[N];
};

static void fill_logits(float *logits)
{
    for (uint32_t i = 0; i < N * V; i++) {
        logits[i] = 3 * value(i, 4);
    }
}

static semcal_status laws(struct answers *answers, double *entropy, sc_device *device, const float *logits,
                          sc_rows_result *result)
{
    static size_t first_draw[N + 1];
    static uint64_t uniform[N * DRAWS];
    const int32_t target[N] = {3, -1, V - 1, 0, 1024};
    for (size_t i = 0; i <= N; i++) {
        first_draw[i] = i * DRAWS;
    }
    for (size_t i = 0; i < N * DRAWS; i++) {
        uniform[i] = (uint64_t)i * UINT64_C(0x7351a9bd53e0f1c5);
    }
    sc_rows *rows;
    sc_buffer *buffer;
    check_ok(sc_rows_create(&rows, device, NULL, &error), error);
    check_ok(sc_buffer_create(&buffer, device, N * V * sizeof(float), SC_BUFFER_DEVICE, "logits", &error), error);
    check_ok(sc_buffer_write(buffer, 0, logits, N * V * sizeof(float), &error), error);
    const sc_rows_input input = {buffer, SC_ROWS_F32, N, V, V, 0};
    const sc_rows_request request = {0.8, first_draw, uniform, target, TOP};
    *result = (sc_rows_result){.log_normalizer = answers->log_normalizer,
                               .entropy = entropy,
                               .target_logprob = answers->target_logprob,
                               .target_logprob_raw = answers->target_logprob_raw,
                               .target_rank = answers->target_rank,
                               .top_token = answers->top_token,
                               .top_logprob = answers->top_logprob,
                               .token = answers->token,
                               .logprob = answers->logprob};
    semcal_status status = sc_rows_evaluate(rows, &input, &request, result, &error);
    sc_buffer_free(buffer);
    sc_rows_free(rows);
    return status;
}

static void rows(void **state)
{
    (void)state;
    static float logits[N * V];
    static struct answers fast, slow;
    double entropy[2][N];
    sc_rows_result result;
    fill_logits(logits);
    sc_device *device = open_device();
    check_ok(laws(&fast, entropy[0], device, logits, &result), error);
    check_note(device, 0, "");
    sc_device_close(device);
    setenv("SEMCAL_SELFTEST_FAIL", "rows", 1);
    device = open_device();
    check_ok(laws(&slow, entropy[1], device, logits, &result), error);
    check_note(device, 1,
               "the self-test of rows failed (SEMCAL_SELFTEST_FAIL names it); the reference on the host is used");
    assert_memory_equal(&fast, &slow, sizeof fast);
    for (size_t i = 0; i < N; i++) {
        check_close(entropy[0][i], entropy[1][i], 1e-6);
    }
    logits[3 * V + 17] = NAN;
    check_error(laws(&slow, entropy[1], device, logits, &result), error, SEMCAL_E_NUMERIC, "");
    assert_int_equal(result.bad_row, 3);
    assert_int_equal(result.bad_token, 17);
    sc_device_close(device);
    unsetenv("SEMCAL_SELFTEST_FAIL");
    /* and on a device that says it computes in single precision only */
    fill_logits(logits);
    memset(&slow, 0, sizeof slow);
    device = open_device();
    device->info.fp64 = false;
    check_ok(laws(&slow, entropy[1], device, logits, &result), error);
    check_note(device, 1, "no double precision (cl_khr_fp64) for the row kernels; the host computes the laws");
    assert_memory_equal(&fast, &slow, sizeof fast);
    sc_device_close(device);
}

enum { CLASSES = 3 };

struct losses {
    double log_normalizer[N], loss[N], class_logmass[N * CLASSES], temperature[N * 2], tilt[N], dense[N], sparse[N];
};

/* Some of every kind of perturbation, on the device or (NULL) by definition. */
static semcal_status perturb(struct losses *to, sc_device *device, const float *logits, sc_perturb_result *result)
{
    static float dense[V];
    static int32_t class_of[V];
    const double temperature[] = {0.5, 1.7}, tilt[CLASSES] = {0.3, -0.2, 0.1}, bias[] = {1.5, -2};
    const size_t first[] = {0, 2};
    const int32_t tokens[] = {7, V - 2}, target[N] = {3, 5, V - 1, 0, 1024};
    for (uint32_t v = 0; v < V; v++) {
        dense[v] = value(v, 9);
        class_of[v] = (int32_t)(v % CLASSES);
    }
    const sc_perturb_spec spec = {.n_vocabulary = V,
                                  .n_temperatures = 2,
                                  .temperature = temperature,
                                  .n_classes = CLASSES,
                                  .class_of = class_of,
                                  .n_tilts = 1,
                                  .tilt = tilt,
                                  .n_dense = 1,
                                  .dense = dense,
                                  .n_sparse = 1,
                                  .sparse_first = first,
                                  .sparse_token = tokens,
                                  .sparse_value = bias};
    *result = (sc_perturb_result){.log_normalizer = to->log_normalizer,
                                  .loss = to->loss,
                                  .class_logmass = to->class_logmass,
                                  .loss_temperature = to->temperature,
                                  .loss_tilt = to->tilt,
                                  .loss_dense = to->dense,
                                  .loss_sparse = to->sparse};
    sc_perturb_batch batch = {.input = {NULL, SC_ROWS_F32, N, V, V, 0}, .target = target};
    if (device == NULL) {
        return sc_perturb_reference(logits, &spec, &batch, result, &error);
    }
    sc_rows *kernels;
    sc_perturb *p;
    check_ok(sc_rows_create(&kernels, device, NULL, &error), error);
    check_ok(sc_perturb_create(&p, kernels, &spec, &error), error);
    check_ok(sc_buffer_create(&batch.input.logits, device, N * V * sizeof(float), SC_BUFFER_DEVICE, "logits", &error),
             error);
    check_ok(sc_buffer_write(batch.input.logits, 0, logits, N * V * sizeof(float), &error), error);
    const semcal_status status = sc_perturb_evaluate(p, &batch, result, &error);
    sc_buffer_free(batch.input.logits);
    sc_perturb_free(p);
    sc_rows_free(kernels);
    return status;
}

/* Without kernels perturbations are what their definition says, to the bit, and bad rows are named. */
static void perturbations(void **state)
{
    (void)state;
    static float logits[N * V];
    static struct losses fast, slow, exact;
    const double *const of_kernels = (const double *)(const void *)&fast;
    const double *const by_definition = (const double *)(const void *)&exact;
    sc_perturb_result result;
    fill_logits(logits);
    check_ok(perturb(&exact, NULL, logits, &result), error);
    sc_device *device = open_device();
    check_ok(perturb(&fast, device, logits, &result), error);
    assert_int_equal(result.n_exact, 0);
    check_note(device, 0, "");
    sc_device_close(device);
    for (size_t i = 0; i < sizeof exact / sizeof(double); i++) {
        check_close(of_kernels[i], by_definition[i], 1e-5 * fmax(1, fabs(by_definition[i])));
    }
    for (int why = 0; why < 2; why++) {
        if (why == 1) {
            setenv("SEMCAL_SELFTEST_FAIL", "rows", 1);
        }
        device = open_device();
        device->info.fp64 = why == 1;
        check_ok(perturb(&slow, device, logits, &result), error);
        assert_int_equal(result.n_exact, N);
        check_note(device, 1, why == 0 ? "no double precision" : "the self-test of rows failed");
        assert_memory_equal(&slow, &exact, sizeof exact);
        logits[3 * V + 17] = NAN;
        check_error(perturb(&slow, device, logits, &result), error, SEMCAL_E_NUMERIC, "row 3");
        assert_int_equal(result.bad_row, 3);
        assert_int_equal(result.bad_token, 17);
        logits[3 * V + 17] = 3 * value(3 * V + 17, 4);
        sc_device_close(device);
    }
    unsetenv("SEMCAL_SELFTEST_FAIL");
}

/* A GPU whose work-groups are too small for tiles in local memory. */
static void small_groups(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < M * K; i++) {
        a[i] = value(i, 1) / 3;
    }
    for (uint32_t i = 0; i < W * K; i++) {
        w[i] = value(i, 2);
    }
    sc_gemm_reference(want, a, w, NULL, M, W, K);
    sc_device *device = open_device();
    device->info.is_cpu = false;
    device->info.max_group = 64;
    product(device, SC_GEMM_OWN, true);
    check_note(device, 1, "work-groups of 64 items");
    assert_non_null(strstr(sc_device_note_at(device, 0), "too small for gemm_tiled; gemm_plain is used instead"));
    sc_device_close(device);
}

int main(void)
{
    sc_device *device;
    strcpy(cache, "/tmp/semcal-selftest-XXXXXX");
    assert_non_null(mkdtemp(cache));
    setenv("SEMCAL_CACHE_DIR", cache, 1);
    unsetenv("SEMCAL_SELFTEST_FAIL");
    if (sc_device_open(&device, NULL, &error) != SEMCAL_OK) {
        print_message("skipped: %s\n", error.message);
        return 77;
    }
    sc_device_close(device);
    const struct CMUnitTest tests[] = {cmocka_unit_test(products),
                                       cmocka_unit_test(rounded_products),
                                       cmocka_unit_test(compact_weights),
                                       cmocka_unit_test(refused_instruction),
                                       cmocka_unit_test(tensor_cores),
                                       cmocka_unit_test(damaged_chunks),
                                       cmocka_unit_test(rows),
                                       cmocka_unit_test(perturbations),
                                       cmocka_unit_test(small_groups)};
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", cache);
    return system(command) == 0 ? failed : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Perturbed losses and class masses against the definition in double, over adversarial widths and logits. */
#include "device/perturb.h"

#include "rows_case.h"

#include <math.h>

enum { N = 19, TEMPERATURES = 9, CLASSES = 7, TILTS = 11, DENSE = 5, SPARSE = 4, TOP = 3, PAIRS = 64 };

typedef struct outputs {
    double log_normalizer[N], entropy[N], loss[N], top[N * TOP], logmass[N * 4096], temperature[N * TEMPERATURES];
    double tilt[N * TILTS], dense[N * DENSE], sparse[N * SPARSE];
    int32_t rank[N], token[N * TOP];
} outputs;

static sc_perturb_result result_of(outputs *out)
{
    return (sc_perturb_result){.log_normalizer = out->log_normalizer,
                               .entropy = out->entropy,
                               .loss = out->loss,
                               .target_rank = out->rank,
                               .top_token = out->token,
                               .top_logprob = out->top,
                               .class_logmass = out->logmass,
                               .loss_temperature = out->temperature,
                               .loss_tilt = out->tilt,
                               .loss_dense = out->dense,
                               .loss_sparse = out->sparse};
}

/* Which logits a case is made of. */
typedef enum kind { BELL, MASKED, EQUAL, HUGE_RANGE, TINY, STEEP, LATE, N_KINDS } kind;

static float logit_of(kind which, size_t row, size_t v, size_t n, sc_random_stream *stream)
{
    double x = bell(stream);
    switch (which) {
    case MASKED:
        return v > 7 && (row + v) % 3 == 0 ? -INFINITY : (float)(3 * x);
    case EQUAL:
        return 5.25f;
    case HUGE_RANGE:
        return v == n / 2 ? 3e38f : v % 7 == 0 ? -3e38f : (float)(1e4 * x);
    case TINY:
        return (float)(1e-30 * x);
    case STEEP:
        return (float)(200 * x); /* most of the row lies below 2^-100 */
    case LATE:
        return (float)((double)(v / 1024) * 400 + 3 * x); /* every block above all before it */
    default:
        return (float)(3 * x);
    }
}

/* One request with everything in it. */
typedef struct problem {
    size_t n;
    sc_perturb_spec spec;
    int32_t *class_of, target[N], token[PAIRS];
    float *dense, *logits;
    double temperature[TEMPERATURES], *tilt, value[PAIRS];
    size_t first[SPARSE + 1];
} problem;

static void make_problem(problem *q, size_t n, kind which, size_t n_classes, double strength)
{
    memset(q, 0, sizeof *q);
    q->n = n;
    q->class_of = calloc(N * n, sizeof *q->class_of);
    q->dense = calloc(DENSE * n, sizeof *q->dense);
    q->logits = calloc(N * n, sizeof *q->logits);
    q->tilt = calloc(TILTS * n_classes, sizeof *q->tilt);
    assert_true(q->class_of != NULL && q->dense != NULL && q->logits != NULL && q->tilt != NULL);
    sc_random_stream stream;
    sc_random_stream_init(&stream, 41, n + 1000003 * (size_t)which);
    for (size_t i = 0; i < N * n; i++) {
        q->logits[i] = logit_of(which, i / n, i % n, n, &stream);
        /* One class takes most tokens; one has none when the vocabulary is small. */
        q->class_of[i] = i % 5 != 0 ? 2 : (int32_t)sc_random_below(&stream, (uint32_t)n_classes);
    }
    for (size_t i = 0; i < DENSE * n; i++) {
        q->dense[i] = i < n ? 0 : (float)(strength * bell(&stream));
    }
    for (size_t i = 0; i < TILTS * n_classes; i++) {
        q->tilt[i] = i < n_classes ? 0 : strength * bell(&stream);
    }
    for (size_t i = 0; i < N; i++) {
        q->target[i] = (int32_t)(i % (n < 8 ? n : 8));
    }
    static const double temperature[TEMPERATURES] = {0.5, 1, 2, 1e-3, 1e3, 0.9, 0.8, 0.7, 1.1};
    memcpy(q->temperature, temperature, sizeof temperature);
    for (size_t p = 0; p < SPARSE; p++) {
        size_t pairs = p == 0 ? 0 : n < 12 ? (n + 1) / 2 : 12, j = q->first[p];
        for (size_t k = 0; k < pairs; k++, j++) {
            q->token[j] = (int32_t)(k * (n / pairs));
            q->value[j] = strength * (p == 1 ? -20 : bell(&stream)); /* bias 1 bans */
        }
        q->first[p + 1] = j;
    }
    q->spec = (sc_perturb_spec){.n_vocabulary = n,
                                .n_temperatures = TEMPERATURES,
                                .temperature = q->temperature,
                                .n_classes = n_classes,
                                .class_of = q->class_of,
                                .n_tilts = TILTS,
                                .tilt = q->tilt,
                                .n_dense = DENSE,
                                .dense = q->dense,
                                .n_sparse = SPARSE,
                                .sparse_first = q->first,
                                .sparse_token = q->token,
                                .sparse_value = q->value};
}

static void free_problem(problem *q)
{
    free(q->class_of);
    free(q->dense);
    free(q->logits);
    free(q->tilt);
}

static void check_all(const double *got, const double *want, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++) {
        if (isinf(want[i]) && got[i] == want[i]) {
            continue;
        }
        if (!(fabs(got[i] - want[i]) <= 1e-5 * fmax(1, fabs(want[i])))) {
            print_message("%s %zu: %.12g instead of %.12g\n", what, i, got[i], want[i]);
        }
        check_close(got[i], want[i], 1e-5 * fmax(1, fabs(want[i])));
    }
}

static void compare(const outputs *got, const outputs *want, size_t n_rows, const sc_perturb_spec *spec)
{
    check_all(got->log_normalizer, want->log_normalizer, n_rows, "log-normalizer");
    check_all(got->entropy, want->entropy, n_rows, "entropy");
    check_all(got->loss, want->loss, n_rows, "loss");
    check_all(got->top, want->top, n_rows * TOP, "top");
    check_all(got->temperature, want->temperature, n_rows * TEMPERATURES, "temperature");
    check_all(got->logmass, want->logmass, n_rows * spec->n_classes, "log-mass");
    check_all(got->tilt, want->tilt, n_rows * TILTS, "tilt");
    check_all(got->dense, want->dense, n_rows * DENSE, "dense bias");
    check_all(got->sparse, want->sparse, n_rows * SPARSE, "sparse bias");
    assert_memory_equal(got->rank, want->rank, n_rows * sizeof *got->rank);
    assert_memory_equal(got->token, want->token, n_rows * TOP * sizeof *got->token);
}

/* The device opened once for a test; `build_options` as for sc_rows. */
typedef struct bench {
    sc_device *device;
    sc_rows *rows;
} bench;

static bench open_bench(const char *build_options, size_t rows_per_pass)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    bench b;
    sc_rows_options options = SC_ROWS_OPTIONS_INIT;
    options.build_options = build_options;
    options.rows_per_pass = rows_per_pass;
    check_ok(sc_device_open(&b.device, NULL, &error), error);
    check_ok(sc_rows_create(&b.rows, b.device, &options, &error), error);
    return b;
}

static void close_bench(bench *b)
{
    sc_rows_free(b->rows);
    sc_device_close(b->device);
}

static size_t evaluate(outputs *out, bench *b, const problem *q, size_t first, size_t n_rows, bool per_row)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_perturb *perturb;
    sc_buffer *buffer = buffer_of(b->device, q->logits, N * q->n * sizeof *q->logits);
    sc_perturb_spec spec = q->spec;
    spec.class_of = per_row ? NULL : spec.class_of;
    memset(out, 0, sizeof *out);
    sc_perturb_result result = result_of(out);
    const sc_perturb_batch batch = {{buffer, SC_ROWS_F32, n_rows, q->n, q->n, first * q->n},
                                    q->target + first,
                                    per_row ? q->class_of + first * q->n : NULL,
                                    TOP,
                                    first};
    check_ok(sc_perturb_create(&perturb, b->rows, &spec, &error), error);
    check_ok(sc_perturb_evaluate(perturb, &batch, &result, &error), error);
    sc_perturb_free(perturb);
    sc_buffer_free(buffer);
    return result.n_exact;
}

static void reference(outputs *out, const problem *q, bool per_row)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_perturb_spec spec = q->spec;
    spec.class_of = per_row ? NULL : spec.class_of;
    memset(out, 0, sizeof *out);
    sc_perturb_result result = result_of(out);
    const sc_perturb_batch batch = {{NULL, SC_ROWS_F32, N, q->n, q->n, 0}, q->target, q->class_of, TOP, 0};
    check_ok(sc_perturb_reference(q->logits, &spec, &batch, &result, &error), error);
}

static outputs got, want, other; /* too large for a stack */

static void run(bench *b, size_t n, kind which, size_t n_classes, double strength)
{
    problem q;
    make_problem(&q, n, which, n_classes, strength);
    for (int per_row = 0; per_row < (n < 3000 ? 2 : 1); per_row++) {
        (void)evaluate(&got, b, &q, 0, N, per_row);
        reference(&want, &q, per_row);
        compare(&got, &want, N, &q.spec);
        for (size_t i = 0; i < N; i++) {
            check_close(got.tilt[i * TILTS], got.loss[i], 1e-6 * fmax(1, fabs(got.loss[i])));  /* no tilt */
            check_close(got.dense[i * DENSE], got.loss[i], 1e-6 * fmax(1, fabs(got.loss[i]))); /* no bias */
            check_close(got.sparse[i * SPARSE], got.loss[i], 1e-12 * fmax(1, fabs(got.loss[i])));
            check_close(got.temperature[i * TEMPERATURES + 1], got.loss[i], 0); /* T = 1 */
        }
    }
    free_problem(&q);
}

static void vectors(void **state)
{
    (void)state;
    static const size_t widths[] = {1, 2, 31, 32, 33, 255, 257, 3000};
    bench b = open_bench("-DLSZ=1 -DVW=16", 0);
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        for (int which = 0; which < N_KINDS; which++) {
            run(&b, widths[w], (kind)which, CLASSES, 3);
        }
    }
    run(&b, 50257, BELL, CLASSES, 3);
    run(&b, 50257, LATE, 4096, 3);
    run(&b, 151936, MASKED, 64, 3);
    close_bench(&b);
}

static void groups(void **state)
{
    (void)state;
    static const size_t widths[] = {1, 33, 1030, 5000};
    bench b = open_bench("-DLSZ=64 -DVW=4", 0);
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        for (int which = 0; which < N_KINDS; which++) {
            run(&b, widths[w], (kind)which, CLASSES, 3);
        }
    }
    close_bench(&b);
}

/* Perturbations that turn a row over: what has no weight becomes likely, what had all of it is banned. */
static void overturned(void **state)
{
    (void)state;
    static const char *const options[] = {"-DLSZ=1 -DVW=16", "-DLSZ=64 -DVW=4"};
    for (size_t o = 0; o < 2; o++) {
        bench b = open_bench(options[o], 0);
        for (int which = 0; which < N_KINDS; which++) {
            run(&b, 1500, (kind)which, CLASSES, 150);
        }
        close_bench(&b);
    }
}

/* A row's numbers are the same in any company, and however the batch is cut. */
static void invariant(void **state)
{
    (void)state;
    static const char *const options[] = {"-DLSZ=1 -DVW=16", "-DLSZ=64 -DVW=4"};
    for (size_t o = 0; o < 2; o++) {
        problem q;
        make_problem(&q, 40000, BELL, CLASSES, 3);
        bench all = open_bench(options[o], 0), few = open_bench(options[o], 3);
        assert_int_equal(evaluate(&got, &all, &q, 0, N, false), 0); /* nothing ordinary needs the host */
        (void)evaluate(&other, &few, &q, 0, N, false);
        assert_memory_equal(&got, &other, sizeof got);
        (void)evaluate(&other, &all, &q, 13, 1, false);
        assert_memory_equal(other.temperature, got.temperature + 13 * TEMPERATURES, sizeof(double) * TEMPERATURES);
        assert_memory_equal(other.tilt, got.tilt + 13 * TILTS, sizeof(double) * TILTS);
        assert_memory_equal(other.dense, got.dense + 13 * DENSE, sizeof(double) * DENSE);
        assert_memory_equal(other.sparse, got.sparse + 13 * SPARSE, sizeof(double) * SPARSE);
        assert_memory_equal(other.logmass, got.logmass + 13 * CLASSES, sizeof(double) * CLASSES);
        free_problem(&q);
        close_bench(&all);
        close_bench(&few);
    }
}

/* What follows from the law's integers has the same bits on the way of a CPU and that of a GPU. */
static void forms(void **state)
{
    (void)state;
    bench vector = open_bench("-DLSZ=1 -DVW=16", 0), group = open_bench("-DLSZ=64 -DVW=4", 0);
    for (int which = 0; which < N_KINDS; which++) {
        problem q;
        make_problem(&q, 2500, (kind)which, CLASSES, 3);
        (void)evaluate(&got, &vector, &q, 0, N, false);
        (void)evaluate(&other, &group, &q, 0, N, false);
        assert_memory_equal(got.log_normalizer, other.log_normalizer, sizeof got.log_normalizer);
        assert_memory_equal(got.loss, other.loss, sizeof got.loss);
        assert_memory_equal(got.rank, other.rank, sizeof got.rank);
        assert_memory_equal(got.token, other.token, sizeof got.token);
        assert_memory_equal(got.top, other.top, sizeof got.top);
        free_problem(&q);
    }
    close_bench(&vector);
    close_bench(&group);
}

/* As many perturbations as are allowed, of as many classes. */
static void limits(void **state)
{
    (void)state;
    enum { ROWS = 3, MANY = SC_PERTURB_MAX_PERTURBATIONS, K = SC_PERTURB_MAX_CLASSES };
    static double many[2][ROWS * MANY];
    semcal_error error = SEMCAL_ERROR_INIT;
    bench b = open_bench("", 0);
    problem q;
    make_problem(&q, 5000, BELL, K, 1);
    double *tilt = calloc((size_t)MANY * K, sizeof *tilt);
    assert_non_null(tilt);
    sc_random_stream stream;
    sc_random_stream_init(&stream, 7, 0);
    for (size_t i = 0; i < (size_t)MANY * K; i++) {
        tilt[i] = sc_random_unit(&stream) - 0.5;
    }
    const sc_perturb_spec spec = {
        .n_vocabulary = q.n, .n_classes = K, .class_of = q.class_of, .n_tilts = MANY, .tilt = tilt};
    sc_buffer *buffer = buffer_of(b.device, q.logits, N * q.n * sizeof *q.logits);
    const sc_perturb_batch batch = {{buffer, SC_ROWS_F32, ROWS, q.n, q.n, 0}, q.target, NULL, 0, 0};
    sc_perturb_result on_device = {.loss_tilt = many[0]}, by_definition = {.loss_tilt = many[1]};
    sc_perturb *perturb;
    check_ok(sc_perturb_create(&perturb, b.rows, &spec, &error), error);
    check_ok(sc_perturb_evaluate(perturb, &batch, &on_device, &error), error);
    check_ok(sc_perturb_reference(q.logits, &spec, &batch, &by_definition, &error), error);
    check_all(many[0], many[1], ROWS * MANY, "tilt");
    sc_perturb_free(perturb);
    sc_buffer_free(buffer);
    free(tilt);
    free_problem(&q);
    close_bench(&b);
}

/* fp16 and bf16 hold the same numbers as the floats they stand for. */
static void types(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    bench b = open_bench("", 0);
    problem q;
    make_problem(&q, 2500, BELL, CLASSES, 3);
    uint16_t *half = calloc(N * q.n, sizeof *half);
    assert_non_null(half);
    for (int type = SC_ROWS_F16; type <= SC_ROWS_BF16; type++) {
        for (size_t i = 0; i < N * q.n; i++) {
            half[i] = (uint16_t)((type == SC_ROWS_F16 ? 0x3000 : 0x3e00) + i * 7919 % 0x1000 + (i % 2) * 0x8000);
            q.logits[i] = sc_rows_load(half, (sc_rows_type)type, i);
        }
        reference(&want, &q, false);
        sc_buffer *buffer = buffer_of(b.device, half, N * q.n * sizeof *half);
        sc_perturb *perturb;
        memset(&got, 0, sizeof got);
        sc_perturb_result result = result_of(&got);
        const sc_perturb_batch batch = {{buffer, (sc_rows_type)type, N, q.n, q.n, 0}, q.target, NULL, TOP, 0};
        check_ok(sc_perturb_create(&perturb, b.rows, &q.spec, &error), error);
        check_ok(sc_perturb_evaluate(perturb, &batch, &result, &error), error);
        compare(&got, &want, N, &q.spec);
        sc_perturb_free(perturb);
        sc_buffer_free(buffer);
    }
    free(half);
    free_problem(&q);
    close_bench(&b);
}

static void refuse(bench *b, const sc_perturb_spec *spec, semcal_status status, const char *message)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_perturb *perturb;
    check_error(sc_perturb_create(&perturb, b->rows, spec, &error), error, status, message);
    assert_null(perturb);
}

static void bad_specifications(void **state)
{
    (void)state;
    bench b = open_bench("", 0);
    problem q;
    make_problem(&q, 40, BELL, CLASSES, 1);
    sc_perturb_spec spec = q.spec;
    q.class_of[5] = 7;
    refuse(&b, &spec, SEMCAL_E_DATA, "token 5: class 7, there are 7 classes");
    q.class_of[5] = -1;
    refuse(&b, &spec, SEMCAL_E_DATA, "token 5: class -1");
    q.class_of[5] = 1;
    q.tilt[CLASSES + 3] = (double)NAN;
    refuse(&b, &spec, SEMCAL_E_DATA, "tilt 1: class 3: must be finite, got nan");
    q.tilt[CLASSES + 3] = 0;
    q.dense[2 * 40 + 7] = INFINITY;
    refuse(&b, &spec, SEMCAL_E_DATA, "dense bias 2: token 7: must be finite, got inf");
    q.dense[2 * 40 + 7] = 0;
    q.value[0] = -(double)INFINITY;
    refuse(&b, &spec, SEMCAL_E_DATA, "sparse bias 1: token 0: must be finite, got -inf");
    q.value[0] = 0;
    q.token[1] = 40;
    refuse(&b, &spec, SEMCAL_E_DATA, "sparse bias 1: token 40 is outside the vocabulary of 40");
    q.token[1] = q.token[0];
    refuse(&b, &spec, SEMCAL_E_DATA, "sparse bias 1: token 0 is named twice");
    q.token[1] = 39;
    q.temperature[2] = 0;
    refuse(&b, &spec, SEMCAL_E_CONFIG, "temperature 2: must be between 1e-6 and 1e6, got 0");
    q.temperature[2] = 2;
    spec.n_classes = 4097;
    refuse(&b, &spec, SEMCAL_E_CONFIG, "4097 classes: at most 4096");
    spec.n_classes = 0;
    refuse(&b, &spec, SEMCAL_E_CONFIG, "11 tilts, but no classes");
    spec = q.spec;
    spec.n_dense = 1020;
    refuse(&b, &spec, SEMCAL_E_CONFIG, "perturbations or more: at most 1024");
    spec = q.spec;
    spec.n_vocabulary = 0;
    refuse(&b, &spec, SEMCAL_E_DATA, "vocabulary of 0 tokens");
    free_problem(&q);
    close_bench(&b);
}

static void bad_rows(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    bench b = open_bench("", 0);
    problem q;
    make_problem(&q, 40, BELL, CLASSES, 1);
    static const struct {
        size_t at;
        float value;
        const char *message;
        int32_t token;
    } bad[] = {{3 * 40 + 22, NAN, "row 1003: the logit of token 22 is NaN", 22},
               {0, INFINITY, "row 1000: the logit of token 0 is +inf", 0},
               {18 * 40 + 2, -INFINITY, "row 1018: the target, token 2, has logit -inf", 2}};
    sc_perturb *perturb;
    sc_perturb_result result = result_of(&got);
    sc_perturb_spec spec = q.spec;
    check_ok(sc_perturb_create(&perturb, b.rows, &spec, &error), error);
    sc_buffer *buffer = buffer_of(b.device, q.logits, N * 40 * sizeof(float));
    sc_perturb_batch batch = {{buffer, SC_ROWS_F32, N, 40, 40, 0}, q.target, NULL, TOP, 1000};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        check_ok(sc_buffer_write(buffer, 4 * bad[k].at, &bad[k].value, 4, &error), error);
        check_error(sc_perturb_evaluate(perturb, &batch, &result, &error), error, SEMCAL_E_NUMERIC, bad[k].message);
        assert_int_equal(result.bad_row, bad[k].at / 40);
        assert_int_equal(result.bad_token, bad[k].token);
        check_ok(sc_buffer_write(buffer, 4 * bad[k].at, &q.logits[bad[k].at], 4, &error), error);
    }
    float nothing[40];
    for (size_t v = 0; v < 40; v++) {
        nothing[v] = -INFINITY;
    }
    check_ok(sc_buffer_write(buffer, 4 * 40 * 2, nothing, sizeof nothing, &error), error);
    check_error(sc_perturb_evaluate(perturb, &batch, &result, &error), error, SEMCAL_E_NUMERIC,
                "row 1002: every logit is -inf");
    assert_int_equal(result.bad_token, -1);
    q.target[4] = 40;
    check_error(sc_perturb_evaluate(perturb, &batch, &result, &error), error, SEMCAL_E_DATA,
                "row 1004: target 40 is outside the vocabulary of 40");
    q.target[4] = 0;
    batch.target = NULL;
    check_error(sc_perturb_evaluate(perturb, &batch, &result, &error), error, SEMCAL_E_CONFIG, "need targets");
    batch.target = q.target;
    batch.input.n_vocabulary = 39;
    check_error(sc_perturb_evaluate(perturb, &batch, &result, &error), error, SEMCAL_E_DATA,
                "rows of 39 logits, perturbations of 40 tokens");
    batch.input.n_vocabulary = 40;
    sc_perturb_free(perturb);
    spec.class_of = NULL;
    q.class_of[2 * 40 + 9] = 7;
    batch.class_of = q.class_of;
    check_ok(sc_perturb_create(&perturb, b.rows, &spec, &error), error);
    check_error(sc_perturb_evaluate(perturb, &batch, &result, &error), error, SEMCAL_E_DATA,
                "row 1002: token 9: class 7, there are 7 classes");
    batch.class_of = NULL;
    check_error(sc_perturb_evaluate(perturb, &batch, &result, &error), error, SEMCAL_E_DATA,
                "7 classes, but no class map");
    sc_perturb_free(perturb);
    sc_buffer_free(buffer);
    free_problem(&q);
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(vectors),
                                       cmocka_unit_test(groups),
                                       cmocka_unit_test(overturned),
                                       cmocka_unit_test(invariant),
                                       cmocka_unit_test(types),
                                       cmocka_unit_test(bad_rows),
                                       cmocka_unit_test(bad_specifications),
                                       cmocka_unit_test(forms),
                                       cmocka_unit_test(limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

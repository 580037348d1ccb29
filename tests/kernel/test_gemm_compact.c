/* SPDX-License-Identifier: Apache-2.0 */
/* bf16 weights in twelve bits: what units hold, read back number by number; products of few rows, the bits of the
 * methods that read panels; when they are made, and what happens without room. */
#include "device/gemm_internal.h"

#include "abi.h"
#include "check.h"
#include "model/model.h"

enum { NUMBERS = SC_COMPACT_LINES * 32 };

static sc_device *device;
static semcal_error error = SEMCAL_ERROR_INIT;

static uint32_t next(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

/* ---- units ---- */

/* Number `i` of a unit by the layout that cl/gemm_compact.cl tells of: four lines are three, two by two interleaved. */
static uint16_t number_of(const uint8_t *unit, const uint8_t *table, size_t i)
{
    const size_t line = i / 32, at = i % 32, pair = line / 2;
    const size_t byte = at / 8 * 16 + line % 2 * 8 + at % 8;
    const uint8_t *group = unit + pair / 2 * 192, *places = group + 128 + pair % 2 * 32;
    const unsigned place = places[byte / 2] >> (byte % 2 * 4) & 15u;
    return (uint16_t)(group[pair % 2 * 64 + byte] | table[place] << 8);
}

static void check_unit(const uint16_t *numbers, bool fits)
{
    uint8_t unit[SC_COMPACT_BYTES], table[SC_COMPACT_TABLE];
    memset(unit, 0xa5, sizeof unit);
    sc_compact_unit(unit, table, numbers);
    assert_int_equal(table[0] != table[1], fits);
    for (size_t i = 0; fits && i < NUMBERS; i++) {
        assert_int_equal(number_of(unit, table, i), numbers[i]);
    }
}

static void units(void **state)
{
    (void)state;
    uint16_t numbers[NUMBERS] = {0};
    check_unit(numbers, true); /* one high byte: zero */
    for (size_t i = 0; i < NUMBERS; i++) {
        numbers[i] = 0xffff;
    }
    check_unit(numbers, true);
    for (unsigned kinds = 1; kinds <= 40; kinds++) { /* any bits at all, NaN, infinities and tiny numbers among them */
        uint8_t high[40];
        for (unsigned i = 0; i < kinds; i++) {
            high[i] = (uint8_t)(i * 37 + kinds); /* all different */
        }
        for (size_t i = 0; i < NUMBERS; i++) {
            numbers[i] = (uint16_t)((unsigned)high[i < kinds ? i : next() % kinds] << 8 | (next() & 255u));
        }
        check_unit(numbers, kinds <= SC_COMPACT_TABLE);
    }
}

/* ---- products ---- */

struct source {
    const float *w;
    size_t k;
};

static void row_of(float *row, size_t i, void *payload)
{
    const struct source *source = payload;
    memcpy(row, source->w + i * source->k, source->k * sizeof *row);
}

/* Exact in bf16. Tame: like a trained matrix, within seven octaves; wild: over sixty, beyond any table. */
static float weight(bool wild)
{
    const float mantissa = (float)((int32_t)(next() % 255u) - 127) / 128.0f;
    return ldexpf(mantissa, wild ? -(int)(next() % 60u) : -2 - (int)(next() % 3u));
}

static sc_gemm_method whole(sc_gemm_choice choice)
{
    return choice == SC_GEMM_BF16 ? SC_GEMM_METHOD_BF16 : SC_GEMM_METHOD_PACKED;
}

static sc_buffer *buffer_of(const void *data, uint64_t bytes)
{
    sc_buffer *buffer;
    check_ok(sc_buffer_create(&buffer, device, bytes, SC_BUFFER_DEVICE, "test", &error), error);
    check_ok(sc_buffer_write(buffer, 0, data, bytes, &error), error);
    return buffer;
}

/* One product of m rows both ways; all bits of C, with what lies between its rows. */
static void compare(sc_gemm *gemm, const sc_matrix *matrix, sc_gemm_mode mode, sc_buffer *a, size_t m, size_t n)
{
    enum { GAP = 3 };
    const size_t stride = n + GAP, bytes = m * stride * sizeof(float);
    float *before = malloc(bytes), *want = malloc(bytes), *got = malloc(bytes);
    assert_true(before != NULL && want != NULL && got != NULL);
    for (size_t i = 0; i < m * stride; i++) {
        before[i] = weight(false);
    }
    sc_buffer *c = buffer_of(before, bytes);
    const sc_gemm_choice choice = sc_gemm_choice_of(gemm);
    check_ok(sc_gemm_run_method(gemm, whole(choice), c, stride, mode, a, matrix, m, &error), error);
    check_ok(sc_buffer_read(c, 0, want, bytes, &error), error);
    check_ok(sc_buffer_write(c, 0, before, bytes, &error), error);
    check_ok(sc_gemm_run_method(gemm, SC_GEMM_METHOD_COMPACT, c, stride, mode, a, matrix, m, &error), error);
    check_ok(sc_buffer_read(c, 0, got, bytes, &error), error);
    assert_memory_not_equal(got, before, bytes);
    assert_memory_equal(got, want, bytes);
    sc_buffer_free(c);
    free(before);
    free(want);
    free(got);
}

/* Every `wild`-th unit of each panel is; 0: none. */
static bool is_wild(size_t unit, unsigned wild)
{
    return wild != 0 && unit % wild == wild - 1;
}

/* The first panel: tame units have tables, wild ones have none. */
static void check_tables(const sc_matrix *matrix, size_t k, unsigned wild)
{
    uint8_t tables[40][SC_COMPACT_TABLE];
    const size_t n = k / SC_COMPACT_LINES;
    assert_in_range(n, 1, 40);
    check_ok(sc_buffer_read(matrix->parts[0].tables, 0, tables, n * sizeof *tables, &error), error);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(tables[i][0] == tables[i][1], is_wild(i, wild));
    }
}

static void try_shape(sc_gemm *gemm, size_t n, size_t k, bool paired, unsigned wild)
{
    float *w = malloc(n * k * sizeof *w), *a = malloc(SC_COMPACT_ROWS * k * sizeof *a),
          *bias = malloc(n * sizeof *bias);
    assert_true(w != NULL && a != NULL && bias != NULL);
    for (size_t i = 0; i < n * k; i++) {
        w[i] = weight(is_wild(i % k / SC_COMPACT_LINES, wild)); /* lines of a panel are its values of k */
    }
    for (size_t i = 0; i < SC_COMPACT_ROWS * k; i++) {
        a[i] = (float)(int32_t)next() / 0x1p31f;
    }
    for (size_t i = 0; i < n; i++) {
        bias[i] = weight(false);
    }
    struct source source = {w, k};
    sc_matrix *matrix;
    check_ok(sc_matrix_pack(&matrix, gemm, n, k, true, paired, row_of, n % 2 == 0 ? bias : NULL, "w", &source, &error),
             error);
    check_ok(sc_matrix_compact(matrix, gemm, &error), error);
    sc_buffer *rows = buffer_of(a, SC_COMPACT_ROWS * k * sizeof *a);
    assert_int_equal(sc_gemm_supports(gemm, SC_GEMM_METHOD_COMPACT, matrix), k >= SC_COMPACT_LINES); /* a whole unit */
    if (k >= SC_COMPACT_LINES && n >= SC_PANEL) {
        check_tables(matrix, k, wild);
    }
    const bool rounds = sc_gemm_choice_of(gemm) == SC_GEMM_BF16;
    for (size_t m = 1; m <= SC_COMPACT_ROWS && k >= SC_COMPACT_LINES; m++) {
        if (!paired) {
            compare(gemm, matrix, SC_MODE_STORE, rows, m, n);
            compare(gemm, matrix, SC_MODE_ADD, rows, m, n);
        } else {
            compare(gemm, matrix, SC_MODE_SWIGLU, rows, m, n / 2);
            if (rounds) {
                compare(gemm, matrix, SC_MODE_SWIGLU_ROUNDED, rows, m, n / 2);
            }
        }
    }
    sc_buffer_free(rows);
    sc_matrix_free(matrix);
    free(w);
    free(a);
    free(bias);
}

static sc_gemm *open_gemm(sc_gemm_choice choice)
{
    sc_gemm *gemm;
    check_ok(sc_gemm_open(&gemm, device, choice, &error), error);
    bool usable;
    check_ok(sc_gemm_ready_compact(&usable, gemm, &error), error);
    if (!usable) {
        print_message("gemm_compact is not used on this device\n");
        sc_gemm_close(gemm);
        skip();
    }
    return gemm;
}

static void products(sc_gemm_choice choice)
{
    /* no whole unit, one, several; rests of units and of chunks of SC_CHUNK */
    static const size_t shapes[][2] = {{33, 2},  {31, 30},  {40, 32},  {64, 64},
                                       {1, 256}, {70, 258}, {32, 896}, {45, 1030}};
    sc_gemm *gemm = open_gemm(choice);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        for (unsigned wild = 0; wild <= 3; wild++) { /* none, all, some */
            try_shape(gemm, shapes[i][0], shapes[i][1], false, wild);
            try_shape(gemm, 2 * shapes[i][0], shapes[i][1], true, wild);
        }
    }
    sc_gemm_close(gemm);
}

static void products_fp32(void **state)
{
    (void)state;
    products(SC_GEMM_OWN);
}

static void products_bf16(void **state)
{
    (void)state;
    products(SC_GEMM_BF16);
}

/* What has no compact form stays as it is; more rows than the method takes are refused. */
static void limits(void **state)
{
    (void)state;
    sc_gemm *gemm = open_gemm(SC_GEMM_OWN);
    static float w[40 * 67], a[5 * 67];
    struct source of_odd = {w, 67}, of_even = {w, 64};
    sc_matrix *odd, *fp32, *even;
    check_ok(sc_matrix_pack(&odd, gemm, 40, 67, true, false, row_of, NULL, "w", &of_odd, &error), error);
    check_ok(sc_matrix_pack(&fp32, gemm, 40, 64, false, false, row_of, NULL, "w", &of_even, &error), error);
    check_ok(sc_matrix_pack(&even, gemm, 40, 64, true, false, row_of, NULL, "w", &of_even, &error), error);
    assert_int_equal(sc_matrix_compact_bytes(odd, gemm), 0);
    assert_int_equal(sc_matrix_compact_bytes(fp32, gemm), 0);
    assert_int_equal(sc_matrix_compact_bytes(even, gemm), 2 * 2 * (SC_COMPACT_BYTES + SC_COMPACT_TABLE));
    sc_matrix *const none[] = {odd, fp32};
    for (size_t i = 0; i < 2; i++) {
        check_ok(sc_matrix_compact(none[i], gemm, &error), error);
        assert_false(sc_gemm_supports(gemm, SC_GEMM_METHOD_COMPACT, none[i]));
    }
    const uint64_t used = sc_device_memory_used(device);
    assert_false(sc_gemm_supports(gemm, SC_GEMM_METHOD_COMPACT, even));
    check_ok(sc_matrix_compact(even, gemm, &error), error);
    check_ok(sc_matrix_compact(even, gemm, &error), error); /* again: nothing */
    assert_true(sc_gemm_supports(gemm, SC_GEMM_METHOD_COMPACT, even));
    assert_int_equal(sc_device_memory_used(device) - used, sc_matrix_compact_bytes(even, gemm));
    sc_buffer *rows = buffer_of(a, sizeof a), *c = buffer_of(a, sizeof a);
    check_error(sc_gemm_run_method(gemm, SC_GEMM_METHOD_COMPACT, c, 40, SC_MODE_STORE, rows, even, 5, &error), error,
                SEMCAL_E_CONFIG, "'compact' takes 4 rows, got 5");
    check_error(sc_gemm_run_method(gemm, SC_GEMM_METHOD_COMPACT, c, 40, SC_MODE_STORE, rows, odd, 1, &error), error,
                SEMCAL_E_CONFIG, "not ready");
    sc_matrix_forget_compact(even);
    assert_int_equal(sc_device_memory_used(device) - used, sizeof a * 2);
    sc_buffer_free(rows);
    sc_buffer_free(c);
    sc_matrix_free(odd);
    sc_matrix_free(fp32);
    sc_matrix_free(even);
    sc_gemm_close(gemm);
}

/* Another choice of methods must not take units for its own; one that has not made them does without. */
static void other_choice(void **state)
{
    (void)state;
    static float w[40 * 64], a[4 * 64], want[4 * 40], got[4 * 40];
    for (size_t i = 0; i < sizeof w / sizeof *w; i++) {
        w[i] = weight(false);
    }
    for (size_t i = 0; i < sizeof a / sizeof *a; i++) {
        a[i] = weight(false);
    }
    struct source source = {w, 64};
    sc_gemm *const gemm = open_gemm(SC_GEMM_OWN);
    sc_gemm *twin, *rounding;
    sc_matrix *matrix;
    check_ok(sc_gemm_open(&twin, device, SC_GEMM_OWN, &error), error);
    check_ok(sc_gemm_open(&rounding, device, SC_GEMM_BF16, &error), error);
    bool usable;
    check_ok(sc_gemm_ready_compact(&usable, rounding, &error), error);
    check_ok(sc_matrix_pack(&matrix, gemm, 40, 64, true, false, row_of, NULL, "w", &source, &error), error);
    sc_buffer *rows = buffer_of(a, sizeof a), *c = buffer_of(got, sizeof got);
    check_ok(sc_gemm_run(gemm, c, 40, SC_MODE_STORE, rows, matrix, 1, &error), error);
    check_ok(sc_buffer_read(c, 0, want, sizeof want, &error), error);
    check_ok(sc_matrix_compact(matrix, gemm, &error), error);
    assert_true(sc_gemm_supports(gemm, SC_GEMM_METHOD_COMPACT, matrix));
    sc_gemm *const same[] = {gemm, twin};
    for (size_t i = 0; i < 2; i++) {
        check_ok(sc_buffer_write(c, 0, got, sizeof got, &error), error);
        check_ok(sc_gemm_run(same[i], c, 40, SC_MODE_STORE, rows, matrix, 1, &error), error);
        check_ok(sc_buffer_read(c, 0, got, sizeof got, &error), error);
        assert_memory_equal(got, want, 40 * sizeof *got);
        memset(got, 0, sizeof got);
    }
    assert_false(sc_gemm_supports(rounding, SC_GEMM_METHOD_COMPACT, matrix));
    check_error(sc_gemm_run(rounding, c, 40, SC_MODE_STORE, rows, matrix, 1, &error), error, SEMCAL_E_CONFIG,
                "not ready");
    sc_buffer_free(rows);
    sc_buffer_free(c);
    sc_matrix_free(matrix);
    sc_gemm_close(gemm);
    sc_gemm_close(twin);
    sc_gemm_close(rounding);
}

/* Room for the units, none for their tables: as before, to the last byte. */
static void no_room(void **state)
{
    (void)state;
    enum { N = 3200, K = 64, LIMIT = 8 << 20 };
    sc_gemm_close(open_gemm(SC_GEMM_OWN)); /* or skip */
    static float w[N * K], a[K];
    struct source source = {w, K};
    sc_device_options options = SC_DEVICE_OPTIONS_INIT;
    options.memory_limit = LIMIT;
    sc_device *on;
    sc_gemm *gemm;
    sc_matrix *matrix;
    sc_buffer *c, *rows, *others;
    bool usable;
    check_ok(sc_device_open(&on, &options, &error), error);
    check_ok(sc_gemm_open(&gemm, on, SC_GEMM_OWN, &error), error);
    check_ok(sc_gemm_ready_compact(&usable, gemm, &error), error);
    check_ok(sc_matrix_pack(&matrix, gemm, N, K, true, false, row_of, NULL, "w", &source, &error), error);
    check_ok(sc_buffer_create(&rows, on, sizeof a, SC_BUFFER_DEVICE, "rows", &error), error);
    check_ok(sc_buffer_create(&c, on, N * sizeof *a, SC_BUFFER_DEVICE, "c", &error), error);
    check_ok(sc_buffer_write(rows, 0, a, sizeof a, &error), error);
    const uint64_t units = (uint64_t)(N / SC_PANEL) * (K / SC_COMPACT_LINES) * SC_COMPACT_BYTES;
    check_ok(sc_buffer_create(&others, on, LIMIT - sc_device_memory_used(on) - units, SC_BUFFER_DEVICE, "other things",
                              &error),
             error);
    check_error(sc_matrix_compact(matrix, gemm, &error), error, SEMCAL_E_DEVICE, "memory for compact weights");
    assert_true(sc_device_ran_out(on));
    assert_int_equal(sc_device_memory_used(on), LIMIT - units);
    assert_false(sc_gemm_supports(gemm, SC_GEMM_METHOD_COMPACT, matrix));
    check_ok(sc_gemm_run(gemm, c, N, SC_MODE_STORE, rows, matrix, 1, &error), error);
    check_ok(sc_device_finish(on, &error), error);
    sc_buffer_free(others);
    check_ok(sc_matrix_compact(matrix, gemm, &error), error); /* now there is */
    assert_true(sc_gemm_supports(gemm, SC_GEMM_METHOD_COMPACT, matrix));
    sc_buffer_free(rows);
    sc_buffer_free(c);
    sc_matrix_free(matrix);
    sc_gemm_close(gemm);
    sc_device_close(on);
}

/* ---- models ---- */

static uint64_t launches_of(sc_device *on, const char *kernel)
{
    sc_profile_row *rows;
    size_t n;
    uint64_t launches = 0;
    check_ok(sc_device_finish(on, &error), error);
    check_ok(sc_device_profile(&rows, &n, on, &error), error);
    for (size_t i = 0; i < n; i++) {
        launches += strcmp(rows[i].kernel, kernel) == 0 ? rows[i].n_launches : 0;
    }
    free(rows);
    return launches;
}

enum { V = 150000 };

/* 96 MB of weights, most of them the head's. */
static sc_model *open_large(sc_device *on, sc_gemm_choice choice)
{
    const sc_model_config config = {.architecture = "LlamaForCausalLM",
                                    .width = 320,
                                    .mlp_width = 512,
                                    .n_layers = 1,
                                    .n_heads = 5,
                                    .n_kv_heads = 1,
                                    .head_size = 64,
                                    .n_vocabulary = V,
                                    .tied = true,
                                    .n_context = 256,
                                    .norm_epsilon = 1e-6,
                                    .rope = {.kind = SC_ROPE_DEFAULT, .theta = 1e4}};
    sc_model_options options = SC_MODEL_OPTIONS_INIT;
    options.gemm = choice;
    options.kv_bytes = 1 << 20;
    options.max_rows = 64;
    options.max_outputs = 8;
    sc_model *model;
    check_ok(sc_model_open_random(&model, &config, true, on, &options, &error), error);
    return model;
}

/* Logits of `n` tokens at positions 0 .. n - 1. */
static void forward(float *logits, sc_model *model, size_t n)
{
    const int32_t token[] = {3, 1, 4, 1, 5}, position[] = {0, 1, 2, 3, 4}, table[5] = {0}, pages[] = {0},
                  output[] = {0, 1, 2, 3, 4};
    const sc_forward f = {n, token, position, table, pages, 1, output, n, NULL, 0};
    check_ok(sc_model_forward(model, &f, &error), error);
    check_ok(sc_buffer_read(sc_model_logits(model), 0, logits, n * V * sizeof *logits, &error), error);
}

/* Steps of one row keep coming: from some point on they read compact weights and give the same bits. `room`: there is
 * memory for these. */
static void steps(sc_gemm_choice choice, bool room)
{
    sc_gemm_close(open_gemm(choice)); /* or skip */
    sc_device_options options = SC_DEVICE_OPTIONS_INIT;
    options.profile = true;
    options.memory_limit = room ? 0 : (uint64_t)200 << 20;
    sc_device *on;
    check_ok(sc_device_open(&on, &options, &error), error);
    sc_model *model = open_large(on, choice);
    float *first = malloc(5 * V * sizeof *first), *later = malloc(5 * V * sizeof *later);
    assert_true(first != NULL && later != NULL);
    assert_in_range(sc_model_compact_bytes(model), 65 << 20, 100 << 20);
    forward(first, model, 1);
    for (int i = 0; i < 300; i++) { /* many rows say nothing about few */
        forward(later, model, 5);
    }
    assert_int_equal(launches_of(on, "gemm_compact"), 0);
    const uint64_t used = sc_device_memory_used(on);
    for (int i = 0; i < 270; i++) {
        forward(later, model, 1);
        assert_memory_equal(later, first, V * sizeof *first);
    }
    assert_int_equal(sc_device_memory_used(on) - used, room ? sc_model_compact_bytes(model) : 0);
    assert_int_equal(launches_of(on, "gemm_compact") != 0, room);
    const uint64_t before = launches_of(on, "gemm_compact");
    forward(later, model, 5);
    assert_memory_equal(later, first, V * sizeof *first); /* the first row */
    assert_int_equal(launches_of(on, "gemm_compact"), before);
    assert_int_equal(sc_device_n_notes(on), 0);
    free(first);
    free(later);
    sc_model_close(model);
    sc_device_close(on);
}

static void steps_fp32(void **state)
{
    (void)state;
    steps(SC_GEMM_OWN, true);
}

static void steps_bf16(void **state)
{
    (void)state;
    steps(SC_GEMM_BF16, true);
}

static void steps_without_room(void **state)
{
    (void)state;
    steps(SC_GEMM_OWN, false);
}

int main(void)
{
    setenv("SEMCAL_TUNE", "", 1); /* the defaults */
    if (sc_device_open(&device, NULL, &error) != SEMCAL_OK) {
        print_message("skipped: %s\n", error.message);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units),      cmocka_unit_test(products_fp32), cmocka_unit_test(products_bf16),
        cmocka_unit_test(limits),     cmocka_unit_test(other_choice),  cmocka_unit_test(no_room),
        cmocka_unit_test(steps_fp32), cmocka_unit_test(steps_bf16),    cmocka_unit_test(steps_without_room),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sc_device_close(device);
    return failed;
}

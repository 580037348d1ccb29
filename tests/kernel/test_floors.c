/* SPDX-License-Identifier: Apache-2.0 */
/* What launches tell of the bytes they must move and the operations they must do, counted element by element. */
#include "abi.h"
#include "check.h"
#include "device/perturb.h"
#include "model/model.h"

static sc_device *device;
static semcal_error error = SEMCAL_ERROR_INIT;

/* Self-tests of what was opened have told theirs. */
static void start_over(void)
{
    check_ok(sc_device_finish(device, &error), error);
    sc_device_profile_reset(device);
}

/* What one kernel told since the last time. */
static sc_profile_row told(const char *kernel, uint64_t launches)
{
    sc_profile_row *rows = NULL, found = {.kernel = NULL};
    size_t n = 0;
    check_ok(sc_device_finish(device, &error), error);
    check_ok(sc_device_profile(&rows, &n, device, &error), error);
    for (size_t i = 0; i < n; i++) {
        found = strcmp(rows[i].kernel, kernel) == 0 ? rows[i] : found;
    }
    free(rows);
    assert_int_equal(found.n_launches, launches);
    return found;
}

static void check_told(const char *kernel, uint64_t launches, double bytes, double flops)
{
    const sc_profile_row row = told(kernel, launches);
    if (row.bytes != bytes || row.flops != flops) {
        fail_msg("%s: %.0f bytes and %.0f operations are told, %.0f and %.0f are needed", kernel, row.bytes, row.flops,
                 bytes, flops);
    }
    assert_true(row.floor_s > 0 && row.floor_s < 1);
}

/* ---- a forward pass ---- */

enum { V = 96, LAYERS = 2, HEADS = 6, KV_HEADS = 2, HEAD = 24, WIDTH = 40, PAGES = 200, LISTS = 9, PER_LIST = 12 };

static sc_model *open_shape(sc_gemm_choice gemm, bool bf16)
{
    const sc_model_config config = {.architecture = "LlamaForCausalLM",
                                    .width = WIDTH,
                                    .mlp_width = 64,
                                    .n_layers = LAYERS,
                                    .n_heads = HEADS,
                                    .n_kv_heads = KV_HEADS,
                                    .head_size = HEAD,
                                    .n_vocabulary = V,
                                    .n_context = PER_LIST * SC_PAGE,
                                    .norm_epsilon = 1e-6,
                                    .rope = {.kind = SC_ROPE_DEFAULT, .theta = 1e4}};
    sc_model_options options = SC_MODEL_OPTIONS_INIT;
    options.gemm = gemm;
    options.kv_bytes = (uint64_t)PAGES * LAYERS * 2 * KV_HEADS * 32 * SC_PAGE * 4;
    sc_model *model;
    check_ok(sc_model_open_random(&model, &config, bf16, device, &options, &error), error);
    assert_true(sc_model_n_pages(model) >= PAGES);
    return model;
}

typedef struct batch {
    int32_t token[512], position[512], table[512], output[512], pages[LISTS * PER_LIST];
    size_t n, n_outputs;
} batch;

static void add(batch *b, size_t list, size_t position, bool wanted)
{
    b->token[b->n] = (int32_t)((list * 31 + position * 7) % V);
    b->position[b->n] = (int32_t)position;
    b->table[b->n] = (int32_t)(list * PER_LIST);
    if (wanted) {
        b->output[b->n_outputs++] = (int32_t)b->n;
    }
    b->n++;
}

/* Numbers of keys and values that attention of a layer reads, each once, and its multiply-adds. */
static void count_layer(double *numbers, double *fmas, const batch *b, bool last)
{
    static bool key[PAGES][SC_PAGE][KV_HEADS];
    const size_t n = last ? b->n_outputs : b->n;
    memset(key, 0, sizeof key);
    *numbers = *fmas = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t r = last ? (size_t)b->output[i] : i;
        for (int32_t at = 0; at <= b->position[r]; at++) {
            for (size_t h = 0; h < HEADS; h++) {
                bool *here = &key[b->pages[b->table[r] + at / SC_PAGE]][at % SC_PAGE][h / (HEADS / KV_HEADS)];
                *numbers += *here ? 0 : 2 * HEAD;
                *fmas += 2 * HEAD;
                *here = true;
            }
        }
    }
}

/* How a model keeps numbers: bytes of a key; mixed values rounded for the next product; tokens of which the embedding's
 * numbers are in one line of 64 bytes, and such lines of a token. */
typedef struct form {
    sc_gemm_choice gemm;
    bool bf16;
    double key_bytes, mixed_bytes;
    size_t tokens_of_line, lines;
} form;

static const form fp32 = {SC_GEMM_OWN, false, 4, 4, 16, WIDTH}, bf16 = {SC_GEMM_OWN, true, 4, 4, 32, WIDTH},
                  rounded = {SC_GEMM_BF16, true, 2, 2, 16, WIDTH / 2};

static void check_forward(sc_model *model, batch *b, const form *f)
{
    const sc_forward forward = {b->n,      b->token,     b->position, b->table, b->pages, LISTS * PER_LIST,
                                b->output, b->n_outputs, NULL,        0};
    double bytes = 0, flops = 0;
    start_over();
    check_ok(sc_model_forward(model, &forward, &error), error);
    const int n_layers = b->n_outputs > 0 ? LAYERS : LAYERS - 1;
    for (int i = 0; i < n_layers; i++) {
        const bool last = i + 1 == LAYERS;
        double numbers, fmas;
        count_layer(&numbers, &fmas, b, last);
        bytes += numbers * f->key_bytes + (double)(last ? b->n_outputs : b->n) * HEADS * HEAD * (4 + f->mixed_bytes);
        flops += 2 * fmas;
    }
    check_told("attention", (uint64_t)n_layers, bytes, flops);
    /* queries, keys and values read, queries written turned, keys and values into pages */
    const double stored = (2 * HEADS + 2 * KV_HEADS) * HEAD * 4 + 2 * KV_HEADS * HEAD * f->key_bytes;
    check_told("rope_store", LAYERS, LAYERS * (double)b->n * stored, 0);
    bool seen[V] = {false};
    double lines = 0;
    for (size_t i = 0; i < b->n; i++) {
        bool *here = &seen[(size_t)b->token[i] / f->tokens_of_line];
        lines += *here ? 0 : (double)f->lines;
        *here = true;
    }
    check_told("embed", 1, 64 * lines + (double)b->n * 4 * WIDTH, 0);
    b->n = b->n_outputs = 0;
}

/* Lists with the first `shared` pages in common, pages numbered from the end. */
static void list_pages(batch *b, size_t shared)
{
    for (size_t i = 0; i < LISTS; i++) {
        for (size_t k = 0; k < PER_LIST; k++) {
            b->pages[i * PER_LIST + k] = (int32_t)(PAGES - 1 - (k < shared ? k : i * PER_LIST + k));
        }
    }
    b->n = b->n_outputs = 0;
}

static void check_passes(const form *f)
{
    static batch b;
    sc_model *model = open_shape(f->gemm, f->bf16);
    for (size_t shared = 0; shared <= 6; shared += 3) {
        list_pages(&b, shared);
        for (size_t i = 0; i < LISTS; i++) { /* prompts, packed: what is shared by the first one only */
            for (size_t t = i == 0 ? 0 : shared * SC_PAGE; t < 6 * SC_PAGE + i; t += i % 2 == 0 ? 1 : 7) {
                if (b.n < 512) {
                    add(&b, i, t, t % 50 == 13);
                }
            }
        }
        check_forward(model, &b, f);
        for (size_t i = 0; i < LISTS;
             i++) { /* a step of a tree, of which some nodes are wanted, and in another order */
            add(&b, i * 4 % LISTS, 7 * SC_PAGE + i * 9, i % 3 != 0);
        }
        check_forward(model, &b, f);
        for (size_t i = 0; i < LISTS; i++) { /* all are */
            add(&b, i, 7 * SC_PAGE + i * 9, true);
        }
        check_forward(model, &b, f);
        for (size_t t = 0; t < 40; t++) { /* none is: the last layer has no attention */
            add(&b, 2, t, false);
        }
        check_forward(model, &b, f);
    }
    sc_model_close(model);
}

static void forward_passes(void **state)
{
    (void)state;
    check_passes(&fp32);
    check_passes(&bf16);
    check_passes(&rounded);
}

/* ---- a library's products ---- */

static void some_row(float *row, size_t i, void *payload)
{
    for (size_t k = 0; k < *(const size_t *)payload; k++) {
        row[k] = (float)(i + k) / 64;
    }
}

/* Kernels that nobody here launches count as time of the device, too. */
static void library(void **state)
{
    (void)state;
    size_t m = 9, n = 40, k = 56;
    const float half = 0.5f;
    sc_gemm *gemm;
    sc_matrix *matrix;
    sc_buffer *a, *c;
    check_ok(sc_gemm_open(&gemm, device, SC_GEMM_CLBLAST, &error), error);
    check_ok(sc_matrix_pack(&matrix, gemm, n, k, false, false, some_row, NULL, "weights", &k, &error), error);
    check_ok(sc_buffer_create(&a, device, 4 * m * k, SC_BUFFER_DEVICE, "rows", &error), error);
    check_ok(sc_buffer_create(&c, device, 4 * m * n, SC_BUFFER_DEVICE, "products", &error), error);
    check_ok(sc_buffer_fill(a, 0, 4 * m * k, &half, sizeof half, &error), error);
    start_over();
    const double before_s = sc_device_busy_s(device);
    for (int i = 0; i < 3; i++) {
        check_ok(sc_gemm_run(gemm, c, n, SC_MODE_STORE, a, matrix, m, &error), error);
    }
    check_told("clblast", 3, 3 * 4.0 * (double)(n * k + m * k + m * n), 3 * 2.0 * (double)(m * n * k));
    const double both_s = told("clblast", 3).seconds + told("gemm_finish", 3).seconds;
    check_close(sc_device_busy_s(device) - before_s, both_s, 1e-9);
    assert_true(told("clblast", 3).seconds > 0);
    sc_buffer_free(a);
    sc_buffer_free(c);
    sc_matrix_free(matrix);
    sc_gemm_close(gemm);
}

/* ---- perturbations ---- */

enum { N = 21, K = 11, TEMPERATURES = 5, TILTS = 9, DENSE = 3, PAIRS = 4, TOKENS = 70001 };

static void perturbations(void **state)
{
    (void)state;
    const bool is_cpu = sc_device_facts(device)->is_cpu;
    const double temperature[TEMPERATURES] = {0.5, 1, 2, 0.7, 3}; /* at 1 there is nothing to do */
    const size_t first[2] = {0, PAIRS};
    const int32_t token[PAIRS] = {5, 1024, 33000, TOKENS - 1};
    const double value[PAIRS] = {1, -1, 2, 0.5};
    static double tilt[TILTS * K], loss[N], tempered[N * TEMPERATURES], tilted[N * TILTS], biased[N * DENSE], sparse[N];
    static int32_t class_of[TOKENS], target[N];
    float *numbers = calloc((size_t)(N + DENSE) * TOKENS, sizeof *numbers);
    assert_non_null(numbers);
    for (size_t i = 0; i < TOKENS; i++) {
        class_of[i] = (int32_t)(i % K);
    }
    for (size_t i = 0; i < TILTS * K; i++) {
        tilt[i] = (double)(i % 7) / 7;
    }
    const sc_perturb_spec spec = {
        TOKENS, TEMPERATURES, temperature, K,    class_of, TILTS, tilt, DENSE, numbers + (size_t)N * TOKENS,
        1,      first,        token,       value};
    sc_rows *rows;
    sc_perturb *perturb;
    sc_buffer *logits;
    check_ok(sc_rows_create(&rows, device, NULL, &error), error);
    check_ok(sc_perturb_create(&perturb, rows, &spec, &error), error);
    check_ok(sc_buffer_create(&logits, device, (uint64_t)N * TOKENS * 4, SC_BUFFER_DEVICE, "logits", &error), error);
    check_ok(sc_buffer_write(logits, 0, numbers, (uint64_t)N * TOKENS * 4, &error), error);
    sc_perturb_batch rows_batch = {.input = {logits, SC_ROWS_F32, N, TOKENS, TOKENS, 0}, .target = target};
    sc_perturb_result result = {
        .loss = loss, .loss_temperature = tempered, .loss_tilt = tilted, .loss_dense = biased, .loss_sparse = sparse};
    start_over();
    check_ok(sc_perturb_evaluate(perturb, &rows_batch, &result, &error), error);
    /* element by element, as the kernels' sources describe their arrays */
    double merge = 0, merge_fmas = 0, masses = 0, mass_fmas = 0, blocks = 0, tilting = 0, gather = 0;
    const size_t mass = is_cpu ? 8 : 16; /* a sum in double, two in integers */
    for (size_t r = 0; r < N; r++) {
        for (size_t b = 0; b < TOKENS; b += SC_ROWS_BLOCK) {
            merge += 4 + 4 * (TEMPERATURES - 1 + DENSE); /* maximum, sums */
            merge_fmas += TEMPERATURES - 1 + DENSE;
            masses += 4;
            blocks += 4 * (TEMPERATURES - 1 + DENSE);
        }
        for (size_t b = 0; b < TOKENS; b += SC_ROWS_BLOCK * SC_PERTURB_CHUNK) {
            masses += (double)(4 + 4 + K * mass); /* reference: logit and octaves */
            mass_fmas += K;
            blocks += (double)(4 + 4 + K * mass);
        }
        merge += 8 * (TEMPERATURES - 1 + DENSE);
        masses += 8 * K;
        tilting += 8 * K + 8 * (TILTS + 1); /* a row's total beside the tilts */
        blocks += 4.0 * TOKENS;
        gather += PAIRS * (4 + 8);
    }
    check_told("perturb_merge", 1, merge, 2 * merge_fmas);
    check_told("perturb_masses", 1, masses, 2 * mass_fmas);
    check_told("perturb_tilt", 1, tilting + 8 * K * (TILTS + 1), 2.0 * N * K * (TILTS + 1));
    check_told("perturb_gather", 1, gather + 4 * PAIRS, 0);
    check_told("perturb_blocks", 1, blocks + 4.0 * TOKENS * DENSE + 2.0 * TOKENS, 2.0 * N * TOKENS * DENSE);
    sc_perturb_free(perturb);
    sc_rows_free(rows);
    sc_buffer_free(logits);
    free(numbers);
}

int main(void)
{
    sc_device_options options = SC_DEVICE_OPTIONS_INIT;
    options.profile = true;
    if (sc_device_open(&device, &options, &error) != SEMCAL_OK) {
        print_message("skipped: %s\n", error.message);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_passes),
        cmocka_unit_test(library),
        cmocka_unit_test(perturbations),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sc_device_close(device);
    return failed;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Attention over pages that many rows share: the bits of every row are those it has alone, whatever runs beside it, for
 * groups of 1, 7 and 8 heads, head sizes that fill no vector, suffixes longer than a page and than a chunk. */
#include "abi.h"
#include "check.h"
#include "model/model.h"

static sc_device *device;
static semcal_error error = SEMCAL_ERROR_INIT;

enum { V = 96, NODES = 37, SHARED = 30, OWN = 4, CONTEXT = (SHARED + OWN) * SC_PAGE, PER_NODE = SHARED + OWN };

static sc_model *open_shape(size_t n_heads, size_t n_kv_heads, size_t head_size, size_t group_size, sc_gemm_choice gemm)
{
    const sc_model_config config = {.architecture = "LlamaForCausalLM",
                                    .width = 48,
                                    .mlp_width = 64,
                                    .n_layers = 2,
                                    .n_heads = n_heads,
                                    .n_kv_heads = n_kv_heads,
                                    .head_size = head_size,
                                    .n_vocabulary = V,
                                    .n_context = CONTEXT,
                                    .norm_epsilon = 1e-6,
                                    .rope = {.kind = SC_ROPE_DEFAULT, .theta = 1e4}};
    sc_model_options options = SC_MODEL_OPTIONS_INIT;
    options.gemm = gemm;
    options.group_size = group_size;
    options.kv_bytes =
        (uint64_t)(SHARED + 2 * NODES * OWN) * 2 * 2 * n_kv_heads * ((head_size + 15) / 16 * 16) * SC_PAGE * 4;
    sc_model *model;
    check_ok(sc_model_open_random(&model, &config, true, device, &options, &error), error);
    return model;
}

static int32_t token_at(size_t node, size_t t)
{
    return (int32_t)((t < SHARED * SC_PAGE ? t * 31 + 7 : t * 17 + node * 29) % V);
}

/* Tokens of node i after the shared ones: 1 .. all that fit; the edges of pages and chunks are among the ends. */
static size_t suffix_of(size_t node)
{
    const size_t lengths[] = {1, 15, 16, 17, 31, 32, 33, 63, 64, 2};
    return node < 10 ? lengths[node] : 1 + node * 7 % (OWN * SC_PAGE);
}

/* Rows of some nodes, gathered in any order and run together. */
typedef struct batch {
    int32_t token[1024], position[1024], table[1024], output[1024], pages[NODES * PER_NODE];
    size_t n, n_outputs;
} batch;

/* Page lists of all nodes: shared pages first, then those of the node's own, in set 0 or 1. */
static void list_pages(batch *b, size_t set)
{
    for (size_t i = 0; i < NODES; i++) {
        for (size_t p = 0; p < PER_NODE; p++) {
            b->pages[i * PER_NODE + p] =
                (int32_t)(p < SHARED ? SHARED - 1 - p : SHARED + (set * NODES + i) * OWN + p - SHARED);
        }
    }
    b->n = b->n_outputs = 0;
}

static void add_row(batch *b, size_t node, size_t t, bool wanted)
{
    b->token[b->n] = token_at(node, t);
    b->position[b->n] = (int32_t)t;
    b->table[b->n] = (int32_t)(node * PER_NODE);
    if (wanted) {
        b->output[b->n_outputs++] = (int32_t)b->n;
    }
    b->n++;
}

static void run(batch *b, sc_model *model, float *logits)
{
    const sc_forward forward = {b->n,      b->token,     b->position, b->table, b->pages, NODES * PER_NODE,
                                b->output, b->n_outputs, NULL,        0};
    check_ok(sc_model_forward(model, &forward, &error), error);
    if (b->n_outputs > 0) {
        check_ok(sc_buffer_read(sc_model_logits(model), 0, logits, b->n_outputs * V * sizeof *logits, &error), error);
    }
    b->n = b->n_outputs = 0;
}

/* want [NODES, V]: laws at the ends of all nodes, every token of the shared part and of the suffixes alone in its call.
 */
static void one_at_a_time(float *want, sc_model *model, batch *b)
{
    list_pages(b, 0);
    for (size_t t = 0; t < SHARED * SC_PAGE; t++) {
        add_row(b, 0, t, false);
        run(b, model, NULL);
    }
    for (size_t i = 0; i < NODES; i++) {
        const size_t length = SHARED * SC_PAGE + suffix_of(i);
        for (size_t t = SHARED * SC_PAGE; t < length; t++) {
            add_row(b, i, t, t + 1 == length);
            run(b, model, want + i * V);
        }
    }
}

static void check_laws(const float *got, const float *want, const char *what)
{
    for (size_t i = 0; i < NODES; i++) {
        for (size_t j = 0; j < V; j++) {
            assert_true(isfinite(want[i * V + j]));
        }
        if (memcmp(got + i * V, want + i * V, V * sizeof *got) != 0) {
            fail_msg("%s: node %zu with %zu tokens of its own differs", what, i, suffix_of(i));
        }
    }
}

static void check_shape(size_t n_heads, size_t n_kv_heads, size_t head_size, size_t group_size, sc_gemm_choice gemm)
{
    static batch b;
    static float want[NODES * V], got[NODES * V];
    sc_model *model = open_shape(n_heads, n_kv_heads, head_size, group_size, gemm);
    assert_true(sc_model_n_pages(model) >= SHARED + 2 * NODES * OWN);
    one_at_a_time(want, model, &b);
    /* the last tokens of all nodes in one call: a step of a tree */
    for (size_t i = 0; i < NODES; i++) {
        add_row(&b, i, SHARED * SC_PAGE + suffix_of(i) - 1, true);
    }
    run(&b, model, got);
    check_laws(got, want, "step");
    /* prompt and suffixes as one prefill each, suffixes of several nodes packed into calls that fit */
    list_pages(&b, 1);
    for (size_t t = 0; t < SHARED * SC_PAGE; t++) {
        add_row(&b, 0, t, false);
    }
    run(&b, model, NULL);
    size_t done = 0;
    for (size_t i = 0; i < NODES; i++) {
        if (b.n + suffix_of(i) > sc_model_max_rows(model)) {
            const size_t n = b.n_outputs;
            run(&b, model, got + done * V);
            done += n;
        }
        for (size_t s = 0; s < suffix_of(i); s++) {
            add_row(&b, i, SHARED * SC_PAGE + s, s + 1 == suffix_of(i));
        }
    }
    run(&b, model, got + done * V);
    check_laws(got, want, "packed prefill");
    /* the ends of all nodes among rows of the prompt and in another order */
    for (size_t i = 0; i < NODES; i++) {
        const size_t node = i * 5 % NODES;
        add_row(&b, node, i % (SHARED * SC_PAGE), false);
        add_row(&b, node, SHARED * SC_PAGE + suffix_of(node) - 1, true);
    }
    float *shuffled = malloc(sizeof got);
    assert_non_null(shuffled);
    run(&b, model, shuffled);
    for (size_t i = 0; i < NODES; i++) {
        memcpy(got + i * 5 % NODES * V, shuffled + i * V, V * sizeof *got);
    }
    free(shuffled);
    check_laws(got, want, "another order");
    sc_model_close(model);
}

static void one_head_each(void **state)
{
    (void)state;
    check_shape(3, 3, 10, 0, SC_GEMM_OWN);
}

static void groups_of_seven(void **state)
{
    (void)state;
    check_shape(14, 2, 24, 0, SC_GEMM_OWN);
}

static void groups_of_eight(void **state)
{
    (void)state;
    check_shape(16, 2, 40, 0, SC_GEMM_OWN);
}

static void many_heads_on_one(void **state)
{
    (void)state;
    check_shape(20, 1, 8, 0, SC_GEMM_OWN);
}

/* Heads of whole vectors, which rope_store takes sixteen numbers at a time. */
static void heads_of_whole_vectors(void **state)
{
    (void)state;
    check_shape(14, 2, 64, 0, SC_GEMM_OWN);
    check_shape(4, 2, 32, 0, SC_GEMM_BF16);
}

/* Suffixes end before, at and after the end of the second chunk: some rows have a whole one. */
static void whole_chunks(void **state)
{
    (void)state;
    check_shape(14, 2, 64, 0, SC_GEMM_BF16);
    check_shape(16, 2, 40, 0, SC_GEMM_BF16);
    check_shape(6, 1, 128, 0, SC_GEMM_BF16);
}

static void work_groups(void **state)
{
    (void)state;
    check_shape(14, 2, 24, 32, SC_GEMM_OWN);
}

/* The same with rows rounded to bf16 before the products. */
static void rounded_rows(void **state)
{
    (void)state;
    check_shape(14, 2, 24, 0, SC_GEMM_BF16);
    check_shape(3, 3, 10, 0, SC_GEMM_BF16);
}

static void rounded_rows_in_groups(void **state)
{
    (void)state;
    check_shape(14, 2, 24, 32, SC_GEMM_BF16);
}

/* Bytes told for the norms and operations told for attention since the last time. */
static void counted(double *norm_rows, double *attended, sc_device *counting, size_t width, size_t places)
{
    sc_profile_row *rows = NULL;
    size_t n = 0;
    *norm_rows = *attended = 0;
    check_ok(sc_device_finish(counting, &error), error);
    check_ok(sc_device_profile(&rows, &n, counting, &error), error);
    for (size_t i = 0; i < n; i++) {
        *norm_rows += strcmp(rows[i].kernel, "norm") == 0 ? rows[i].bytes / 8 / (double)width : 0;
        *attended += strcmp(rows[i].kernel, "attention") == 0 ? rows[i].flops / 4 / (double)places : 0;
    }
    free(rows);
    sc_device_profile_reset(counting);
}

/* Of the last layer only rows with logits go on behind keys and values. */
static void last_layer_runs_wanted_rows(void **state)
{
    (void)state;
    static batch b;
    static float logits[NODES * V];
    sc_device *const usual = device;
    sc_device_options options = SC_DEVICE_OPTIONS_INIT;
    options.profile = true;
    check_ok(sc_device_open(&device, &options, &error), error);
    sc_model *model = open_shape(4, 2, 16, 0, SC_GEMM_OWN);
    const size_t width = sc_model_shape(model)->width, places = 4 * 16, n = 40;
    const double pairs = (double)n * (double)(n + 1) / 2; /* of a position and one it attends to */
    double norm_rows, attended;
    list_pages(&b, 0);
    for (size_t t = 0; t < n; t++) {
        add_row(&b, 0, t, t == 9 || t == 30 || t + 1 == n);
    }
    run(&b, model, logits);
    counted(&norm_rows, &attended, device, width, places);
    assert_true(norm_rows == 3 * (double)n + 3 + 3); /* two of layer 0, one of layer 1; its other one, the final one */
    assert_true(attended == pairs + 10 + 31 + (double)n);
    for (size_t t = 0; t < n; t++) {
        add_row(&b, 0, t, false);
    }
    run(&b, model, NULL);
    counted(&norm_rows, &attended, device, width, places);
    assert_true(norm_rows == 3 * (double)n);
    assert_true(attended == pairs);
    for (size_t t = 0; t < 20; t++) {
        add_row(&b, 0, t, true);
    }
    run(&b, model, logits);
    counted(&norm_rows, &attended, device, width, places);
    assert_true(norm_rows == 5 * 20);
    assert_true(attended == 2 * 210);
    sc_model_close(model);
    sc_device_close(device);
    device = usual;
}

int main(void)
{
    if (sc_device_open(&device, NULL, &error) != SEMCAL_OK) {
        print_message("skipped: %s\n", error.message);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_head_each),
        cmocka_unit_test(groups_of_seven),
        cmocka_unit_test(groups_of_eight),
        cmocka_unit_test(many_heads_on_one),
        cmocka_unit_test(heads_of_whole_vectors),
        cmocka_unit_test(whole_chunks),
        cmocka_unit_test(work_groups),
        cmocka_unit_test(rounded_rows),
        cmocka_unit_test(rounded_rows_in_groups),
        cmocka_unit_test(last_layer_runs_wanted_rows),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sc_device_close(device);
    return failed;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Laws kept as a whole: log-softmax of what is kept, in double precision, is what the tree says, on the toy and on
 * transformers; the rows are the same bits in tree and chain, for any batch and memory limit; none is left behind. */
#include "base/memory.h"
#include "base/numeric.h"
#include "check.h"
#include "device/device.h"
#include "sampling/enumerate.h"
#include "sampling/generate.h"
#include "sampling/graft.h"
#include "sampling/tail.h"
#include "source/model.h"
#include "source/toy.h"

#include <unistd.h>

enum { N_QUESTIONS = 6, N_DRAWS = 15, MAX_PROMPT = 128 };

typedef struct suite {
    size_t next;
    int32_t prompts[N_QUESTIONS][MAX_PROMPT];
    size_t lengths[N_QUESTIONS];
    int32_t reference[3];
    sc_tree trees[N_QUESTIONS];
} suite;

static char folder[] = "/tmp/semcal-full-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder); /* fails when a file was left */
}

static semcal_status next_question(sc_generate_question *question, bool *more, void *payload, semcal_error *error)
{
    (void)error;
    suite *s = payload;
    size_t i = s->next;
    *more = i < N_QUESTIONS;
    if (*more) {
        s->next++;
        *question = (sc_generate_question){.item = i + 5,
                                           .prompt = s->prompts[i],
                                           .n_prompt = s->lengths[i],
                                           .reference = s->reference,
                                           .n_reference = 3,
                                           .tag = (void *)(uintptr_t)i};
    }
    return SEMCAL_OK;
}

static semcal_status keep_tree(const sc_generate_question *question, sc_tree *tree, void *payload, semcal_error *error)
{
    (void)error;
    ((suite *)payload)->trees[(uintptr_t)question->tag] = *tree;
    return SEMCAL_OK;
}

static void make_prompts(suite *s, sc_source *source, bool toy)
{
    *s = (suite){.reference = {1, 2, 3}};
    for (size_t i = 0; i < N_QUESTIONS; i++) {
        char text[MAX_PROMPT];
        (void)snprintf(text, sizeof text, "law: alfa=%zu bravo=2 charlie=1 decide=%s fillers=2", i + 1,
                       i % 2 ? "first" : "last");
        s->lengths[i] = toy ? strlen(text) : 1 + (i * 7) % 37;
        for (size_t k = 0; k < s->lengths[i]; k++) {
            s->prompts[i][k] =
                toy ? SC_TOY_BYTE + (unsigned char)text[k]
                    : (int32_t)((k < 20 ? k * 13 + i / 3 : k * 31 + i * 7) % (size_t)source->facts.n_vocabulary);
        }
    }
}

static void release(suite *s)
{
    for (size_t i = 0; i < N_QUESTIONS; i++) {
        sc_tree_free(&s->trees[i]);
    }
}

/* What the rows say, against what the tree says. */
static void check_rows(const sc_tree *t, size_t V, double temperature, double tolerance)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    float *row = malloc(V * sizeof *row);
    double *raw = malloc(2 * V * sizeof *raw), *tempered = raw + V;
    assert_true(row != NULL && raw != NULL && t->logits != NULL);
    size_t n_laws = 0, n_children = 0;
    for (size_t i = 0; i < t->n_nodes; i++) {
        assert_int_equal(t->logits[i] >= 0, !isnan(t->entropy[i]));
        if (t->logits[i] < 0) {
            continue;
        }
        n_laws++;
        check_ok(sc_spill_get(t->spill, row, t->logits[i], &error), error);
        for (size_t v = 0; v < V; v++) {
            raw[v] = row[v];
            tempered[v] = raw[v] / temperature;
        }
        const double z = sc_log_sum_exp(raw, V), z_tempered = sc_log_sum_exp(tempered, V);
        check_close(t->log_normalizer[i], z, tolerance);
        for (size_t j = i + 1; j < t->n_nodes; j++) {
            if (t->parent[j] == (int32_t)i) {
                n_children++;
                check_close(t->logprob_raw[j], raw[t->token[j]] - z, tolerance);
                check_close(t->logprob[j], tempered[t->token[j]] - z_tempered, tolerance / fmin(1, temperature));
            }
        }
    }
    assert_true(n_laws > 0 && n_children == t->n_nodes - 1);
    free(row);
    free(raw);
}

static void check_same_rows(const sc_tree *a, const sc_tree *b, size_t V)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    float *x = malloc(V * sizeof *x), *y = malloc(V * sizeof *y);
    assert_true(x != NULL && y != NULL);
    assert_int_equal(a->n_nodes, b->n_nodes);
    for (size_t i = 0; i < a->n_nodes; i++) {
        assert_int_equal(a->token[i], b->token[i]);
        assert_int_equal(a->logits[i] >= 0, b->logits[i] >= 0);
        if (a->logits[i] >= 0) {
            check_ok(sc_spill_get(a->spill, x, a->logits[i], &error), error);
            check_ok(sc_spill_get(b->spill, y, b->logits[i], &error), error);
            assert_memory_equal(x, y, V * sizeof *x);
        }
    }
    free(x);
    free(y);
}

static uint64_t held(const suite *s)
{
    uint64_t n = 0;
    for (size_t i = 0; i < N_QUESTIONS; i++) {
        for (size_t k = 0; k < s->trees[i].n_nodes; k++) {
            n += s->trees[i].logits[k] >= 0;
        }
    }
    return n;
}

static void check_source(sc_source *source, bool toy, double temperature, double tolerance)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    const size_t V = (size_t)source->facts.n_vocabulary;
    const sc_generate_callbacks callbacks = {next_question, keep_tree, NULL};
    sc_spill *spill;
    check_ok(sc_spill_create(&spill, folder, V * sizeof(float), &error), error);
    const sc_generate_options base = {.key = 3,
                                      .n_draws = N_DRAWS,
                                      .ending = {.max_tokens = 5},
                                      .temperature = temperature,
                                      .n_top = 3,
                                      .max_prompt = MAX_PROMPT,
                                      .spill = spill};
    suite tree, other;
    make_prompts(&tree, source, toy);
    check_ok(sc_generate(source, &base, &callbacks, &tree, &error), error);
    for (size_t i = 0; i < N_QUESTIONS; i++) {
        check_rows(&tree.trees[i], V, temperature, tolerance);
    }
    /* those of the trees and no others: the reference's own laws, and equal ones of chains, are dropped */
    assert_int_equal(sc_spill_n_held(spill), held(&tree));
    const uint64_t kept = held(&tree);
    for (int way = 0; way < 4; way++) {
        sc_generate_options options = base;
        options.chain = way == 0;
        options.batch_nodes = way == 1 ? 1 : way == 2 ? 13 : 0;
        options.live_nodes = way == 2 ? 5 : way == 3 ? 1 : 0;
        make_prompts(&other, source, toy);
        check_ok(sc_generate(source, &options, &callbacks, &other, &error), error);
        for (size_t i = 0; i < N_QUESTIONS; i++) {
            check_same_rows(&tree.trees[i], &other.trees[i], V);
        }
        release(&other);
        assert_int_equal(sc_spill_n_held(spill), kept);
    }
    /* enumerated responses and draws of their tail bring their laws along */
    const sc_enumerate_options head = {.ending = base.ending,
                                       .temperature = temperature,
                                       .epsilon = .2,
                                       .max_laws = 30,
                                       .n_top = 4,
                                       .keep_top = 3,
                                       .batch_nodes = 8,
                                       .spill = spill};
    const sc_tail_options behind = {.key = 8, .item = 2, .n_draws = 6, .keep_top = 3};
    for (size_t i = 0; i < N_QUESTIONS; i++) {
        sc_enumeration e;
        sc_tail tail;
        const size_t before = tree.trees[i].n_nodes;
        check_ok(sc_enumerate(&e, source, &head, tree.prompts[i], tree.lengths[i], 0, &error), error);
        check_ok(sc_tail_sample(&tail, source, &e, &head, &behind, tree.prompts[i], tree.lengths[i], &error), error);
        int32_t *leaf = malloc((e.n_responses + tail.n_draws + 1) * sizeof *leaf);
        assert_non_null(leaf);
        check_ok(sc_graft_enumeration(&tree.trees[i], leaf, &e, &error), error);
        check_ok(sc_graft_tail(&tree.trees[i], leaf + e.n_responses, &e, &tail, &error), error);
        assert_true(e.n_logits == e.n_laws && (toy || tree.trees[i].n_nodes > before));
        sc_tail_free(&tail);
        sc_enumeration_free(&e);
        free(leaf);
        check_rows(&tree.trees[i], V, temperature, toy ? tolerance : 4 * tolerance);
    }
    assert_int_equal(sc_spill_n_held(spill), held(&tree));
    release(&tree);
    assert_int_equal(sc_spill_n_held(spill), 0);
    sc_spill_free(spill);
}

static void toy_laws(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_source *source;
    check_ok(sc_source_toy_open(&source, &error), error);
    /* log-probabilities down to -3 in single precision */
    check_source(source, true, 1.0, 3e-7);
    check_source(source, true, 0.6, 3e-7);
    source->functions->close(source);
}

/* `kv_memory`: 0 all there is, else so few pages that calls run out of them. */
static void check_model(const char *name, double temperature, size_t kv_memory)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_device *device;
    sc_source *source;
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/models/%s", SEMCAL_FIXTURES, name);
    check_ok(sc_device_open(&device, NULL, &error), error);
    sc_source_model_options options = SC_SOURCE_MODEL_OPTIONS_INIT;
    options.no_tokenizer = true;
    options.model.kv_bytes = kv_memory;
    check_ok(sc_source_model_open(&source, path, device, &options, &error), error);
    check_source(source, false, temperature, 3e-7);
    source->functions->close(source);
    sc_device_close(device);
}

static void transformer_laws(void **state)
{
    (void)state;
    check_model("qwen2_bf16", 1.0, 0);
    check_model("llama_fp32", 0.7, 0);
}

static void transformer_laws_in_little_memory(void **state)
{
    (void)state;
    check_model("qwen2_bf16", 1.0, 60000);
}

/* Stops in the middle: what unfinished questions kept is dropped. */
static bool stop_soon(const sc_generate_counters *counters, void *payload)
{
    (void)payload;
    return counters->n_calls >= 3;
}

static void stopping_leaves_nothing(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_source *source;
    sc_spill *spill;
    suite s;
    check_ok(sc_source_toy_open(&source, &error), error);
    check_ok(sc_spill_create(&spill, folder, SC_TOY_VOCABULARY * sizeof(float), &error), error);
    const sc_generate_options options = {
        .key = 3, .n_draws = N_DRAWS, .ending = {.max_tokens = 5}, .temperature = 1, .spill = spill, .batch_nodes = 4};
    const sc_generate_callbacks callbacks = {next_question, keep_tree, stop_soon};
    make_prompts(&s, source, true);
    assert_int_equal(sc_generate(source, &options, &callbacks, &s, &error), SEMCAL_INTERRUPTED);
    release(&s);
    assert_int_equal(sc_spill_n_held(spill), 0);
    sc_spill_free(spill);
    source->functions->close(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(toy_laws), cmocka_unit_test(transformer_laws),
                                       cmocka_unit_test(transformer_laws_in_little_memory),
                                       cmocka_unit_test(stopping_leaves_nothing)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

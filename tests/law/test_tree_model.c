/* SPDX-License-Identifier: Apache-2.0 */
/* On real transformers in bf16 and fp32: the tree's draws are those of independent chains, bit for bit, under any batch
 * size, memory limit and order of questions. */
#include "check.h"
#include "device/device.h"
#include "sampling/generate.h"
#include "source/model.h"
#include "trees.h"

enum { N_QUESTIONS = 9, N_DRAWS = 12 };

typedef struct suite {
    sc_source *source;
    size_t next;
    bool backwards;
    int32_t prompts[N_QUESTIONS][40];
    size_t lengths[N_QUESTIONS];
    int32_t reference[3];
    sc_tree trees[N_QUESTIONS];
} suite;

static semcal_status next_question(sc_generate_question *question, bool *more, void *payload, semcal_error *error)
{
    (void)error;
    suite *s = payload;
    *more = s->next < N_QUESTIONS;
    if (*more) {
        size_t i = s->backwards ? N_QUESTIONS - 1 - s->next : s->next;
        s->next++;
        *question = (sc_generate_question){.item = i * i + 5,
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

static const sc_generate_callbacks callbacks = {next_question, keep_tree, NULL};

static void generate(suite *s, sc_source *source, const sc_generate_options *options, bool backwards)
{
    *s = (suite){.source = source, .backwards = backwards, .reference = {5, 6, 7}};
    int32_t n_vocabulary = source->facts.n_vocabulary;
    for (size_t i = 0; i < N_QUESTIONS; i++) {
        /* lengths around the page size and beyond, the first tokens common to several questions */
        s->lengths[i] = 1 + (i * 7) % 37;
        for (size_t k = 0; k < s->lengths[i]; k++) {
            s->prompts[i][k] = (int32_t)((k < 20 ? k * 13 + i / 3 : k * 31 + i * 7) % (size_t)n_vocabulary);
        }
    }
    semcal_error error = SEMCAL_ERROR_INIT;
    check_ok(sc_generate(source, options, &callbacks, s, &error), error);
}

static void release(suite *s)
{
    for (size_t i = 0; i < N_QUESTIONS; i++) {
        sc_tree_free(&s->trees[i]);
    }
}

static void check_same(const suite *x, const suite *y)
{
    for (size_t i = 0; i < N_QUESTIONS; i++) {
        check_same_tree(&x->trees[i], &y->trees[i]);
        assert_int_equal(y->trees[i].n_mismatches, 0);
    }
}

static void check_model(const char *name, double temperature, sc_gemm_choice gemm)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_device *device;
    sc_source *source;
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/models/%s", SEMCAL_FIXTURES, name);
    check_ok(sc_device_open(&device, NULL, &error), error);
    sc_source_model_options model_options = SC_SOURCE_MODEL_OPTIONS_INIT;
    model_options.no_tokenizer = true;
    model_options.model.gemm = gemm;
    check_ok(sc_source_model_open(&source, path, device, &model_options, &error), error);
    const sc_generate_options base = {.key = 3,
                                      .n_draws = N_DRAWS,
                                      .ending = {.max_tokens = 5},
                                      .temperature = temperature,
                                      .n_top = 3,
                                      .max_prompt = 40};
    suite tree, other;
    generate(&tree, source, &base, false);
    uint64_t laws = 0, drawn = 0;
    for (size_t i = 0; i < N_QUESTIONS; i++) {
        laws += tree.trees[i].n_laws;
        drawn += tree.trees[i].n_draw_tokens;
        assert_true(isfinite(tree.trees[i].logprob_reference));
    }
    assert_true(laws < drawn);
    const size_t batches[] = {1, 13, 64}, lives[] = {1, 5, 17};
    for (size_t i = 0; i < 6; i++) {
        sc_generate_options options = base;
        options.batch_nodes = i < 3 ? batches[i] : 8;
        options.live_nodes = i < 3 ? 0 : lives[i - 3];
        generate(&other, source, &options, i % 2 == 1);
        check_same(&tree, &other);
        release(&other);
    }
    sc_generate_options chain = base;
    chain.chain = true;
    generate(&other, source, &chain, false);
    check_same(&tree, &other);
    release(&other);
    source->functions->close(source);
    /* without sharing the beginnings of prompts */
    model_options.no_prefix_sharing = true;
    check_ok(sc_source_model_open(&source, path, device, &model_options, &error), error);
    generate(&other, source, &base, true);
    check_same(&tree, &other);
    release(&other);
    release(&tree);
    source->functions->close(source);
    sc_device_close(device);
}

static void llama_bf16(void **state)
{
    (void)state;
    check_model("llama_bf16_tied", 1.0, SC_GEMM_AUTO);
}

static void llama_fp32(void **state)
{
    (void)state;
    check_model("llama_fp32", 1.0, SC_GEMM_AUTO);
}

static void qwen2_bf16_tempered(void **state)
{
    (void)state;
    check_model("qwen2_bf16", 0.7, SC_GEMM_AUTO);
}

static void rows_in_bf16(void **state)
{
    (void)state;
    check_model("llama_bf16_tied", 1.0, SC_GEMM_BF16);
    check_model("qwen2_bf16", 0.7, SC_GEMM_BF16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llama_bf16),
        cmocka_unit_test(llama_fp32),
        cmocka_unit_test(qwen2_bf16_tempered),
        cmocka_unit_test(rows_in_bf16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

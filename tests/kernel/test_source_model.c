/* SPDX-License-Identifier: Apache-2.0 */
/* The model as a source of laws: Transformers' numbers, and the same bits however prefixes are shared and batched. */
#include "models.h"
#include "source/model.h"
#include "test_device.h"

static sc_device *device;
static semcal_error error = SEMCAL_ERROR_INIT;

enum { DRAWS = 5, TOP = 3, MOST = 64 };

/* What one node's law says. */
struct law {
    double log_normalizer, entropy, target, target_raw, top[TOP], draw[DRAWS];
    int32_t top_token[TOP], token[DRAWS];
};

static sc_source *open_source(const char *name, size_t max_rows, uint64_t kv_bytes, bool share)
{
    sc_source *source;
    sc_source_model_options options = SC_SOURCE_MODEL_OPTIONS_INIT;
    options.no_tokenizer = true;
    options.no_prefix_sharing = !share;
    options.model.kv_bytes = kv_bytes;
    options.model.max_rows = max_rows;
    check_ok(sc_source_model_open(&source, fixture_folder(name), device, &options, &error), error);
    return source;
}

static semcal_status ask(struct law *laws, sc_source *source, const sc_node *nodes, const int32_t *targets, size_t n)
{
    static size_t first[4 * MOST + 1];
    static uint64_t uniform[4 * MOST * DRAWS];
    static double log_normalizer[4 * MOST], entropy[4 * MOST], target[4 * MOST], raw[4 * MOST], top[4 * MOST * TOP];
    static double logprob[4 * MOST * DRAWS], logprob_raw[4 * MOST * DRAWS];
    static int32_t top_token[4 * MOST * TOP], token[4 * MOST * DRAWS];
    assert_true(n <= 4 * MOST);
    for (size_t i = 0; i <= n; i++) {
        first[i] = i * DRAWS;
    }
    for (size_t i = 0; i < n * DRAWS; i++) {
        uniform[i] = (i % DRAWS) * UINT64_C(0x3333333333333333) + 12345;
    }
    const sc_law_request request = {n, nodes, first, uniform, targets, 0.8, TOP, NULL};
    sc_law_result result = {log_normalizer, entropy, target, raw, top_token, top, token, logprob, logprob_raw, NULL};
    const semcal_status status = source->functions->laws(source, &request, &result, &error);
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        memset(&laws[i], 0, sizeof laws[i]);
        laws[i].log_normalizer = log_normalizer[i];
        laws[i].entropy = entropy[i];
        laws[i].target = target[i];
        laws[i].target_raw = raw[i];
        memcpy(laws[i].top, top + i * TOP, sizeof laws[i].top);
        memcpy(laws[i].top_token, top_token + i * TOP, sizeof laws[i].top_token);
        memcpy(laws[i].draw, logprob + i * DRAWS, sizeof laws[i].draw);
        memcpy(laws[i].token, token + i * DRAWS, sizeof laws[i].token);
    }
    return status;
}

static sc_node open_prompt(sc_source *source, const int32_t *ids, size_t n)
{
    const size_t first[2] = {0, n};
    sc_node root;
    check_ok(source->functions->open(source, &root, 1, first, ids, &error), error);
    return root;
}

static sc_node child_of(sc_source *source, sc_node parent, int32_t token)
{
    sc_node child;
    check_ok(source->functions->extend(source, &child, 1, &parent, &token, &error), error);
    return child;
}

/* Laws after ids[0..prompt-1], .., ids[0..T-2], walked one call per token. */
static void walk(struct law *laws, sc_source *source, const int32_t *ids, size_t prompt, size_t T)
{
    sc_node node = open_prompt(source, ids, prompt);
    for (size_t t = prompt; t < T; t++) {
        check_ok(ask(&laws[t - prompt], source, &node, &ids[t], 1), error);
        const sc_node next = child_of(source, node, ids[t]);
        source->functions->release(source, 1, &node);
        node = next;
    }
    source->functions->release(source, 1, &node);
}

static void gives_the_laws_of_transformers(void **state)
{
    (void)state;
    for (size_t f = 0; f < N_MODEL_FIXTURES; f++) {
        int32_t *ids;
        double *expected;
        size_t T, V;
        fixture_sequence(model_fixtures[f], 0, &ids, &expected, &T, &V);
        sc_source *source = open_source(model_fixtures[f], 0, (uint64_t)4 << 20, true);
        assert_int_equal(source->facts.n_vocabulary, V);
        assert_true(source->facts.deterministic);
        assert_int_equal(strlen(source->facts.model_sha256), 64);
        struct law laws[MOST];
        walk(laws, source, ids, 5, T);
        for (size_t t = 5; t < T; t++) {
            check_close(laws[t - 5].target_raw, expected[(t - 1) * V + (size_t)ids[t]], 4e-5);
            assert_true(laws[t - 5].target > -1e300);
            for (size_t k = 0; k < DRAWS; k++) {
                assert_in_range(laws[t - 5].token[k], 0, V - 1);
            }
        }
        source->functions->close(source);
        free(ids);
        free(expected);
    }
}

/* Every prefix of the sequence at once, as a comb of prompts and forks, against the walk. */
static void same_bits_however_asked(void **state)
{
    (void)state;
    static const char *const names[] = {"qwen2_fp32_tied", "llama_bf16_tied"};
    for (size_t f = 0; f < 2; f++) {
        int32_t *ids;
        double *expected;
        size_t T, V;
        fixture_sequence(names[f], 0, &ids, &expected, &T, &V);
        struct law want[MOST], got[4 * MOST];
        sc_source *source = open_source(names[f], 0, (uint64_t)4 << 20, true);
        walk(want, source, ids, 1, T);
        source->functions->close(source);
        for (int variant = 0; variant < 4; variant++) {
            source = open_source(names[f], variant == 1 ? 7 : 0, (uint64_t)16 << 20, variant != 2);
            sc_node nodes[4 * MOST];
            int32_t targets[4 * MOST];
            size_t n = 0;
            /* a chain never asked for on the way, with a stranger forked off each of its nodes first */
            sc_node node = open_prompt(source, ids, 1);
            for (size_t t = 1; t < T; t++) {
                nodes[n] = node;
                targets[n++] = ids[t];
                const sc_node stranger = child_of(source, node, (ids[t] + 1) % (int32_t)V);
                node = child_of(source, node, ids[t]);
                if (variant == 3) {
                    check_ok(ask(&got[0], source, &stranger, &ids[t], 1), error);
                }
                source->functions->release(source, 1, &stranger);
            }
            /* the same prefixes as prompts of their own, which share pages in variants 0, 1, 3 */
            for (size_t t = 1; t < T; t++) {
                nodes[n] = open_prompt(source, ids, t);
                targets[n++] = ids[t];
            }
            for (size_t i = 0; i < n / 2; i += 2) { /* some of them twice in one call */
                nodes[n + i / 2] = nodes[i];
                targets[n + i / 2] = targets[i];
            }
            check_ok(ask(got, source, nodes, targets, n + n / 4), error);
            for (size_t i = 0; i < n; i++) {
                assert_memory_equal(&got[i], &want[i % (T - 1)], sizeof *got);
            }
            check_ok(ask(got, source, nodes, targets, n), error); /* and once more, all of them known now */
            for (size_t i = 0; i < n; i++) {
                assert_memory_equal(&got[i], &want[i % (T - 1)], sizeof *got);
            }
            source->functions->release(source, n, nodes);
            source->functions->release(source, 1, &node);
            source->functions->close(source);
        }
        free(ids);
        free(expected);
    }
}

/* Prompts with a known beginning cost only their rest. */
static void beginnings_are_computed_once(void **state)
{
    (void)state;
    int32_t ids[48];
    for (int32_t i = 0; i < 48; i++) {
        ids[i] = i;
    }
    sc_source *source = open_source("llama_bf16_tied", 0, (uint64_t)4 << 20, true);
    struct law law[2];
    const int32_t none[2] = {-1, -1};
    sc_node nodes[2] = {open_prompt(source, ids, 48), open_prompt(source, ids, 40)};
    check_ok(ask(law, source, nodes, none, 2), error);
    assert_int_equal(source->facts.n_forward_tokens, 48 + 8);
    source->functions->release(source, 2, nodes);
    nodes[0] = open_prompt(source, ids, 33);
    check_ok(ask(law, source, nodes, none, 1), error);
    assert_int_equal(source->facts.n_forward_tokens, 48 + 8 + 1);
    source->functions->release(source, 1, nodes);
    source->functions->close(source);
}

/* The preamble of a dataset is computed once, although the questions after it keep asking for room; the laws are those
 * of prompts computed in full. */
static void preamble_is_computed_once(void **state)
{
    (void)state;
    enum { PREAMBLE = 32, TAIL = 20, QUESTIONS = 30, TOGETHER = 2 };
    struct law want[QUESTIONS], got[TOGETHER];
    for (int share = 0; share < 2; share++) {
        sc_source *source = open_source("llama_bf16_tied", 0, 10 * 2 * 2 * 26 * 16 * 4, share > 0);
        for (int32_t k = 0; k < QUESTIONS; k += TOGETHER) {
            const int32_t none[TOGETHER] = {-1, -1};
            sc_node nodes[TOGETHER];
            for (int32_t j = 0; j < TOGETHER; j++) {
                int32_t ids[PREAMBLE + TAIL];
                for (int32_t t = 0; t < PREAMBLE + TAIL; t++) {
                    ids[t] = (t < PREAMBLE ? t : t * 3 + k + j) % 93;
                }
                nodes[j] = open_prompt(source, ids, PREAMBLE + TAIL);
            }
            check_ok(ask(got, source, nodes, none, TOGETHER), error);
            source->functions->release(source, TOGETHER, nodes);
            for (int32_t j = 0; j < TOGETHER; j++) {
                got[j].target = got[j].target_raw = 0; /* NaN: nothing was asked about */
                if (share == 0) {
                    want[k + j] = got[j];
                }
                assert_memory_equal(&got[j], &want[k + j], sizeof *got);
            }
        }
        assert_int_equal(source->facts.n_forward_tokens,
                         share > 0 ? PREAMBLE + QUESTIONS * TAIL : QUESTIONS * (PREAMBLE + TAIL));
        source->functions->close(source);
    }
}

/* Many prompts through few pages: known beginnings come and go, the laws stay. */
static void laws_survive_eviction(void **state)
{
    (void)state;
    struct law want[12], got;
    for (int round = 0; round < 3; round++) {
        /* round 0: everything computed in full; then eight pages for twelve prompts of three, twice over */
        sc_source *source =
            open_source("llama_bf16_tied", 0, round == 0 ? (uint64_t)4 << 20 : 8 * 2 * 2 * 26 * 16 * 4, round > 0);
        for (int32_t k = 0; k < 24; k++) {
            int32_t ids[40];
            for (int32_t t = 0; t < 40; t++) {
                ids[t] = t < 16 ? t + k % 2 : (t * 3 + k % 12) % 93; /* two beginnings, twelve continuations */
            }
            const int32_t none = -1;
            const sc_node node = open_prompt(source, ids, 40);
            check_ok(ask(&got, source, &node, &none, 1), error);
            source->functions->release(source, 1, &node);
            if (round == 0) {
                want[k % 12] = got;
            }
            /* targets are NaN here; the rest must be the same to the bit */
            got.target = got.target_raw = want[k % 12].target = want[k % 12].target_raw = 0;
            assert_memory_equal(&got, &want[k % 12], sizeof got);
        }
        if (round == 0) {
            assert_int_equal(source->facts.n_forward_tokens, 24 * 40);
        } else {
            assert_true(source->facts.n_forward_tokens < 24 * 40);
        }
        source->functions->close(source);
    }
}

static void refusals(void **state)
{
    (void)state;
    /* a page of this model takes 2 layers * 2 heads * (10 + 16) * 16 * 4 bytes: 8 pages */
    sc_source *source = open_source("llama_bf16_tied", 0, 8 * 2 * 2 * 26 * 16 * 4, true);
    int32_t ids[65] = {0};
    const size_t first[2] = {0, 65};
    sc_node root, nodes[9], more;
    check_error(source->functions->open(source, &root, 1, first, ids, &error), error, SEMCAL_E_DATA,
                "65 tokens are longer than the model's context of 64");
    const size_t empty[2] = {0, 0};
    check_error(source->functions->open(source, &root, 1, empty, ids, &error), error, SEMCAL_E_DATA, "at least one");
    ids[3] = 93;
    check_error(source->functions->open(source, &root, 1, (const size_t[]){0, 9}, ids, &error), error, SEMCAL_E_DATA,
                "token 93 is outside");
    size_t live, batch;
    /* prompts of at most 16 tokens have no full page before their last token */
    source->functions->limits(source, &(sc_limits_plan){16, 17, 2}, &live, &batch);
    assert_int_equal(live, 2); /* one question whose two nodes take 3 + 1 pages each */
    /* of 33, the first two pages are common: the others own at most 2 and 1 */
    source->functions->limits(source, &(sc_limits_plan){33, 16, 2}, &live, &batch);
    assert_int_equal(live, 2);
    source->functions->limits(source, &(sc_limits_plan){33, 16, 0}, &live, &batch);
    assert_int_equal(live, (8 - 2) / (2 + 1));
    struct law laws[9];
    int32_t none[9];
    for (int32_t i = 0; i < 9; i++) {
        none[i] = -1;
        nodes[i] = open_prompt(source, &i, 1);
    }
    check_error(ask(laws, source, nodes, none, 9), error, SEMCAL_E_DEVICE, "all 8 pages of keys and values are in use");
    /* nothing is lost: eight of them fit, and the ninth when one has gone */
    struct law again[9];
    check_ok(ask(laws, source, nodes, none, 8), error);
    source->functions->release(source, 1, &nodes[0]);
    check_ok(ask(again, source, nodes + 1, none, 8), error);
    assert_memory_equal(again, laws + 1, 7 * sizeof *laws);
    root = open_prompt(source, (const int32_t[]){8}, 1);
    source->functions->release(source, 8, nodes + 1);
    check_ok(ask(laws, source, &root, none, 1), error);
    assert_memory_equal(&again[7], laws, sizeof *laws);
    more = child_of(source, root, 5);
    source->functions->release(source, 1, &root);
    check_ok(ask(laws, source, &more, none, 1), error);
    char *text;
    size_t length;
    int32_t *encoded;
    check_error(source->functions->encode(source, &encoded, &length, "a", 1, true, &error), error, SEMCAL_E_CONFIG,
                "without a tokenizer");
    check_ok(source->functions->decode(source, &text, &length, ids, 4, &error), error);
    assert_string_equal(text, "0 0 0 93");
    free(text);
    assert_true(source->functions->is_end(source, 2));
    assert_false(source->functions->is_end(source, 3));
    source->functions->close(source);
}

int main(void)
{
    if (!open_test_device(&device)) {
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_laws_of_transformers), cmocka_unit_test(same_bits_however_asked),
        cmocka_unit_test(beginnings_are_computed_once),   cmocka_unit_test(preamble_is_computed_once),
        cmocka_unit_test(laws_survive_eviction),          cmocka_unit_test(refusals),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sc_device_close(device);
    return failed;
}

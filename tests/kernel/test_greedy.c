/* SPDX-License-Identifier: Apache-2.0 */
/* Greedy continuations: those of Transformers, whatever the batch, the order, the memory, and what prompts share. */
#include "models.h"
#include "sampling/greedy.h"
#include "source/model.h"
#include "source/toy.h"
#include "test_device.h"

static sc_device *device;
static semcal_error error = SEMCAL_ERROR_INIT;

enum { N_PROMPTS = 8, MOST = 64 };

typedef struct suite {
    int32_t prompt[N_PROMPTS][MOST], reply[N_PROMPTS][MOST];
    size_t n_prompt[N_PROMPTS], n_reply[N_PROMPTS];
    size_t next;
    bool backwards;
    size_t n_finished, n_calls, stop_after; /* stop_after 0: never */
    int32_t got[N_PROMPTS][MOST];
    size_t n_got[N_PROMPTS];
    sc_finish finish[N_PROMPTS];
} suite;

static void read_tokens(int32_t *tokens, size_t *n, const sc_tensor_set *set, const char *what, const char *model,
                        size_t i)
{
    char name[64];
    double values[MOST];
    (void)snprintf(name, sizeof name, "%s.%s.%zu", what, model, i);
    const sc_tensor *tensor = sc_tensor_set_find(set, name);
    assert_non_null(tensor);
    *n = tensor->shape[0];
    assert_true(*n <= MOST);
    sc_tensor_get_doubles(values, tensor, 0, *n);
    for (size_t t = 0; t < *n; t++) {
        tokens[t] = (int32_t)values[t];
    }
}

static semcal_status next_prompt(sc_greedy_prompt *prompt, bool *more, void *payload, semcal_error *why)
{
    (void)why;
    suite *s = payload;
    *more = s->next < N_PROMPTS;
    if (*more) {
        const size_t i = s->backwards ? N_PROMPTS - 1 - s->next : s->next;
        s->next++;
        prompt->tokens = malloc(s->n_prompt[i] * sizeof *prompt->tokens);
        assert_non_null(prompt->tokens);
        memcpy(prompt->tokens, s->prompt[i], s->n_prompt[i] * sizeof *prompt->tokens);
        prompt->n_tokens = s->n_prompt[i];
        prompt->tag = (void *)(uintptr_t)i;
        prompt->name = "some";
    }
    return SEMCAL_OK;
}

static semcal_status take_reply(void *tag, const sc_greedy_reply *reply, void *payload, semcal_error *why)
{
    (void)why;
    suite *s = payload;
    const size_t i = (uintptr_t)tag;
    assert_int_equal(s->n_got[i], 0);
    assert_true(reply->n_tokens > 0 && reply->n_tokens <= MOST);
    memcpy(s->got[i], reply->tokens, reply->n_tokens * sizeof *reply->tokens);
    s->n_got[i] = reply->n_tokens;
    s->finish[i] = reply->finish;
    s->n_finished++;
    return SEMCAL_OK;
}

static bool is_stopped(void *payload)
{
    suite *s = payload;
    return ++s->n_calls == s->stop_after;
}

static const sc_greedy_callbacks callbacks = {next_prompt, take_reply, is_stopped};

static void check_replies(suite *s, sc_source *source, size_t batch, bool backwards)
{
    const sc_greedy_options options = {.ending = {.max_tokens = 12}, .batch_prompts = batch, .max_prompt = 45};
    s->next = s->n_finished = s->n_calls = 0;
    s->backwards = backwards;
    memset(s->n_got, 0, sizeof s->n_got);
    check_ok(sc_greedy(source, &options, &callbacks, s, &error), error);
    assert_int_equal(s->n_finished, N_PROMPTS);
    for (size_t i = 0; i < N_PROMPTS; i++) {
        assert_int_equal(s->n_got[i], s->n_reply[i]);
        assert_memory_equal(s->got[i], s->reply[i], s->n_reply[i] * sizeof **s->reply);
        assert_int_equal(s->finish[i], s->n_reply[i] < 12 ? SC_FINISH_END : SC_FINISH_LENGTH);
    }
}

static sc_source *open_model(const char *name, uint64_t kv_bytes, bool share)
{
    sc_source *source;
    sc_source_model_options options = SC_SOURCE_MODEL_OPTIONS_INIT;
    options.no_tokenizer = true;
    options.no_prefix_sharing = !share;
    options.model.kv_bytes = kv_bytes;
    check_ok(sc_source_model_open(&source, fixture_folder(name), device, &options, &error), error);
    return source;
}

static void continuations_of_transformers(void **state)
{
    (void)state;
    static const char *const names[] = {"llama_fp32", "llama_bf16_tied", "qwen2_bf16", "qwen3_bf16"};
    static suite s;
    sc_tensor_set *set;
    check_ok(sc_tensor_set_open(&set, SEMCAL_FIXTURES "/judge/greedy.safetensors", &error), error);
    for (size_t m = 0; m < sizeof names / sizeof *names; m++) {
        for (size_t i = 0; i < N_PROMPTS; i++) {
            read_tokens(s.prompt[i], &s.n_prompt[i], set, "prompt", names[m], i);
            read_tokens(s.reply[i], &s.n_reply[i], set, "reply", names[m], i);
        }
        for (int share = 0; share < 2; share++) {
            sc_source *source = open_model(names[m], 0, share);
            check_replies(&s, source, 0, false);
            check_replies(&s, source, 0, true); /* the beginnings are known now */
            check_replies(&s, source, 1, false);
            check_replies(&s, source, 3, true);
            source->functions->close(source);
        }
        /* room for two or three prefixes only */
        sc_source *source = open_model(names[m], 100000, true);
        check_replies(&s, source, 0, false);
        source->functions->close(source);
        source = open_model(names[m], 60000, true);
        check_replies(&s, source, 0, true);
        source->functions->close(source);
    }
    sc_tensor_set_close(set);
}

/* Stopping, and what was asked for is impossible: one clear error, nothing left behind (sanitizers look). */
static void ends_early(void **state)
{
    (void)state;
    static suite s;
    sc_source *source = open_model("llama_fp32", 0, true);
    for (size_t i = 0; i < N_PROMPTS; i++) {
        s.n_prompt[i] = 3 + i;
        for (size_t t = 0; t < s.n_prompt[i]; t++) {
            s.prompt[i][t] = (int32_t)(3 + t * 7 + i);
        }
    }
    s.stop_after = 2;
    sc_greedy_options options = {.ending = {.max_tokens = 12}};
    assert_int_equal(sc_greedy(source, &options, &callbacks, &s, &error), SEMCAL_INTERRUPTED);
    assert_int_equal(s.n_finished, 0);
    s.stop_after = s.next = 0;
    options.ending.max_tokens = 60; /* of a context of 64 */
    check_error(sc_greedy(source, &options, &callbacks, &s, &error), error, SEMCAL_E_DATA, "context of 64");
    options.ending.max_tokens = 0;
    check_error(sc_greedy(source, &options, &callbacks, &s, &error), error, SEMCAL_E_CONFIG, "max_tokens");
    s.next = 0;
    s.prompt[4][1] = 93;
    options.ending.max_tokens = 2;
    check_error(sc_greedy(source, &options, &callbacks, &s, &error), error, SEMCAL_E_DATA, "question 'some'");
    source->functions->close(source);
}

static semcal_status one_text(sc_greedy_prompt *prompt, bool *more, void *payload, semcal_error *why)
{
    suite *s = payload;
    static const char *const laws[] = {"law: bravo=.5 alfa=.5", "law: charlie=.3 bravo=.3 delta=.4",
                                       "law: delta=.25 charlie=.25 bravo=.25 echo=.25"};
    sc_source *source;
    *more = s->next < 3;
    if (!*more) {
        return SEMCAL_OK;
    }
    prompt->tag = (void *)(uintptr_t)s->next;
    check_ok(sc_source_toy_open(&source, &error), error);
    const char *law = laws[s->next++];
    semcal_status status =
        source->functions->encode(source, &prompt->tokens, &prompt->n_tokens, law, strlen(law), true, why);
    source->functions->close(source);
    return status;
}

static semcal_status check_text(void *tag, const sc_greedy_reply *reply, void *payload, semcal_error *why)
{
    (void)payload;
    (void)why;
    static const char *const words[] = {"alfa", "delta", "bravo"};
    const char *text = reply->text + strspn(reply->text, " ");
    assert_string_equal(text, words[(uintptr_t)tag]);
    assert_int_equal(reply->finish, SC_FINISH_END);
    assert_int_equal(reply->n_tokens, 2);
    return SEMCAL_OK;
}

/* Ties go to the lowest index; the text is without the end token. */
static void ties(void **state)
{
    (void)state;
    suite s = {.next = 0};
    sc_source *source;
    check_ok(sc_source_toy_open(&source, &error), error);
    const sc_greedy_options options = {.ending = {.max_tokens = 12}};
    static const sc_greedy_callbacks toy = {one_text, check_text, NULL};
    check_ok(sc_greedy(source, &options, &toy, &s, &error), error);
    assert_int_equal(s.next, 3);
    source->functions->close(source);
}

int main(void)
{
    if (!open_test_device(&device)) {
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(continuations_of_transformers),
        cmocka_unit_test(ends_early),
        cmocka_unit_test(ties),
    };
    const int failures = cmocka_run_group_tests(tests, NULL, NULL);
    sc_device_close(device);
    return failures;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "language/chat.h"

#include <jansson.h>

/* Every case made by Transformers' apply_chat_template (scripts/fixtures/make_chat_fixtures.py). */
static void agrees_with_transformers(void **state)
{
    (void)state;
    json_t *cases = json_load_file(SEMCAL_FIXTURES "/chat.json", 0, NULL);
    assert_true(json_array_size(cases) > 50);
    semcal_error error = SEMCAL_ERROR_INIT;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *item = json_array_get(cases, i), *list = json_object_get(item, "messages");
        const char *name = json_string_value(json_object_get(item, "name"));
        sc_chat chat;
        check_ok(sc_chat_init_text(&chat, name == NULL ? json_string_value(json_object_get(item, "template")) : NULL,
                                   json_string_value(json_object_get(item, "bos")),
                                   json_string_value(json_object_get(item, "eos")), name, &error),
                 error);
        sc_chat_message messages[8];
        const size_t n = json_array_size(list);
        assert_true(n <= 8);
        for (size_t k = 0; k < n; k++) {
            messages[k].role = json_string_value(json_object_get(json_array_get(list, k), "role"));
            messages[k].content = json_string_value(json_object_get(json_array_get(list, k), "content"));
        }
        sc_text text = {0};
        check_ok(sc_chat_render(&text, &chat, messages, n, json_is_true(json_object_get(item, "answer")), &error),
                 error);
        assert_string_equal(text.data, json_string_value(json_object_get(item, "text")));
        sc_text_free(&text);
        sc_chat_free(&chat);
    }
    json_decref(cases);
}

static void says_what_it_does_not_know(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_chat chat;
    check_error(sc_chat_init_text(&chat, NULL, NULL, NULL, NULL, &error), error, SEMCAL_E_CONFIG, "no chat template");
    check_error(sc_chat_init_text(&chat, NULL, NULL, NULL, "chatlm", &error), error, SEMCAL_E_CONFIG, "'chatml'?");
    check_error(sc_chat_init_text(&chat, "{{ bos_token + 'Human: ' }}", NULL, NULL, NULL, &error), error,
                SEMCAL_E_CONFIG, "write the prompt template in the config");
    /* relatives that render differently are not mistaken for the family */
    check_error(
        sc_chat_init_text(&chat, "{{ bos_token }}[INST] {{ m['content'].strip() }}[/INST]", NULL, NULL, NULL, &error),
        error, SEMCAL_E_CONFIG, "none this program knows");
    check_error(sc_chat_init_text(&chat, "<|start_header_id|> trim <|eot_id|> bos_token Cutting Knowledge Date: x",
                                  NULL, NULL, NULL, &error),
                error, SEMCAL_E_CONFIG, "none this program knows");
    check_error(sc_chat_init_text(&chat, "<|im_start|><|im_end|> enable_thinking", NULL, NULL, NULL, &error), error,
                SEMCAL_E_CONFIG, "none this program knows");
    check_ok(sc_chat_init_text(&chat, NULL, "<s>", "</s>", "llama2", &error), error);
    const sc_chat_message twice[] = {{"user", "a"}, {"user", "b"}}, late[] = {{"user", "a"}, {"system", "b"}};
    sc_text text = {0};
    check_error(sc_chat_render(&text, &chat, twice, 2, true, &error), error, SEMCAL_E_CONFIG, "message 2");
    check_error(sc_chat_render(&text, &chat, late, 2, true, &error), error, SEMCAL_E_CONFIG, "system only first");
    sc_text_free(&text);
    sc_chat_free(&chat);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_transformers),
        cmocka_unit_test(says_what_it_does_not_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

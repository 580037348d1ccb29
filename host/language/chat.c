/* SPDX-License-Identifier: Apache-2.0 */
#include "language/chat.h"

#include "base/nearest.h"
#include "language/utf8.h"

#include <stdlib.h>
#include <string.h>

#define ADVICE "write the prompt template in the config, or name one of chatml, llama2, llama3"

static bool has(const char *text, const char *marker)
{
    return strstr(text, marker) != NULL;
}

/* Markers of later templates that add to these families (dates, tools in the system message, thinking blocks) make a
 * template unrecognised. */
static semcal_status recognise(sc_chat_family *family, const char *text, semcal_error *error)
{
    const bool chatml = has(text, "<|im_start|>") && has(text, "<|im_end|>");
    const bool llama2 = has(text, "[INST]") && has(text, "<<SYS>>") && has(text, "strip()");
    const bool llama3 = has(text, "<|start_header_id|>") && has(text, "<|eot_id|>") && has(text, "trim");
    if (chatml && !llama2 && !llama3 && !has(text, "think") && !has(text, "trim") && !has(text, "strip(")) {
        *family = SC_CHAT_CHATML;
    } else if (llama2 && !chatml && !llama3 && has(text, "bos_token")) {
        *family = SC_CHAT_LLAMA2;
    } else if (llama3 && !chatml && !llama2 && has(text, "bos_token") && !has(text, "Knowledge Date") &&
               !has(text, "strftime")) {
        *family = SC_CHAT_LLAMA3;
    } else {
        return sc_error_set(error, SEMCAL_E_CONFIG, "the model's chat template is none this program knows; " ADVICE);
    }
    return SEMCAL_OK;
}

/* A system message written out in a ChatML template: '<|im_start|>system\nTEXT<|im_end|>', all in one string literal
 * (an expression in between would show a quote). */
static semcal_status find_default_system(char **out, const char *text, semcal_error *error)
{
    static const char open[] = "<|im_start|>system", close[] = "<|im_end|>";
    for (const char *at = strstr(text, open); at != NULL; at = strstr(at, open)) {
        at += sizeof open - 1;
        const char *begin = strncmp(at, "\\n", 2) == 0 ? at + 2 : *at == '\n' ? at + 1 : NULL;
        const char *end = begin != NULL ? strstr(begin, close) : NULL;
        if (end == NULL || memchr(begin, '\'', (size_t)(end - begin)) != NULL ||
            memchr(begin, '"', (size_t)(end - begin)) != NULL || memchr(begin, '{', (size_t)(end - begin)) != NULL ||
            memchr(begin, '\\', (size_t)(end - begin)) != NULL) {
            continue;
        }
        *out = sc_memory_strndup(begin, (size_t)(end - begin), error);
        return *out != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
    }
    return SEMCAL_OK;
}

static semcal_status find_name(sc_chat_family *family, const char *name, semcal_error *error)
{
    static const char *const names[] = {
        [SC_CHAT_CHATML] = "chatml", [SC_CHAT_LLAMA2] = "llama2", [SC_CHAT_LLAMA3] = "llama3"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], name) == 0) {
            *family = (sc_chat_family)i;
            return SEMCAL_OK;
        }
    }
    const char *near = sc_nearest_name(name, names, sizeof names / sizeof *names);
    return near != NULL
               ? sc_error_set(error, SEMCAL_E_CONFIG, "chat template '%.40s': unknown, did you mean '%s'?", name, near)
               : sc_error_set(error, SEMCAL_E_CONFIG, "chat template '%.40s': unknown; " ADVICE, name);
}

semcal_status sc_chat_init_text(sc_chat *chat, const char *chat_template, const char *bos, const char *eos,
                                const char *name, semcal_error *error)
{
    *chat = (sc_chat){0};
    semcal_status status;
    if (name != NULL) {
        status = find_name(&chat->family, name, error);
    } else if (chat_template == NULL) {
        status = sc_error_set(error, SEMCAL_E_CONFIG, "the model has no chat template; " ADVICE);
    } else {
        status = recognise(&chat->family, chat_template, error);
        if (status == SEMCAL_OK && chat->family == SC_CHAT_CHATML) {
            status = find_default_system(&chat->default_system, chat_template, error);
        }
    }
    if (status == SEMCAL_OK) {
        chat->bos = sc_memory_strdup(bos != NULL ? bos : "", error);
        chat->eos = sc_memory_strdup(eos != NULL ? eos : "", error);
        status = chat->bos != NULL && chat->eos != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
    }
    if (status != SEMCAL_OK) {
        sc_chat_free(chat);
    }
    return status;
}

semcal_status sc_chat_init(sc_chat *chat, const sc_tokenizer *tokenizer, const char *name, semcal_error *error)
{
    return sc_chat_init_text(chat, sc_tokenizer_chat_template(tokenizer),
                             sc_tokenizer_token(tokenizer, sc_tokenizer_bos(tokenizer)),
                             sc_tokenizer_token(tokenizer, sc_tokenizer_eos(tokenizer)), name, error);
}

void sc_chat_free(sc_chat *chat)
{
    free(chat->default_system);
    free(chat->bos);
    free(chat->eos);
    *chat = (sc_chat){0};
}

/* White space as Python's str.strip has it: White_Space and the four separators U+001C to U+001F. */
static bool strips(uint32_t codepoint)
{
    return sc_utf8_is_space(codepoint) || (codepoint >= 0x1C && codepoint <= 0x1F);
}

static semcal_status append_trimmed(sc_text *out, const char *text, size_t length, semcal_error *error)
{
    size_t begin = length, end = length;
    for (size_t at = 0; at < length;) {
        uint32_t codepoint = 0;
        size_t step = sc_utf8_decode(&codepoint, text + at, length - at);
        step = step > 0 ? step : 1;
        if (!strips(codepoint)) {
            begin = begin == length ? at : begin;
            end = at + step;
        }
        at += step;
    }
    return sc_text_append(out, text + begin, end - begin, error);
}

/* Appends the strings up to NULL. */
static semcal_status append_all(sc_text *out, const char *const *parts, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (; *parts != NULL && status == SEMCAL_OK; parts++) {
        status = sc_text_append(out, *parts, strlen(*parts), error);
    }
    return status;
}

#define APPEND(...) append_all(out, (const char *const[]){__VA_ARGS__, NULL}, error)

static semcal_status render_chatml(sc_text *out, const sc_chat *chat, const sc_chat_message *messages, size_t n,
                                   bool answer, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    if (n > 0 && chat->default_system != NULL && strcmp(messages[0].role, "system") != 0) {
        status = APPEND("<|im_start|>system\n", chat->default_system, "<|im_end|>\n");
    }
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        status = APPEND("<|im_start|>", messages[i].role, "\n", messages[i].content, "<|im_end|>\n");
    }
    return status == SEMCAL_OK && answer ? APPEND("<|im_start|>assistant\n") : status;
}

static semcal_status render_llama3(sc_text *out, const sc_chat *chat, const sc_chat_message *messages, size_t n,
                                   bool answer, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        status = APPEND(i == 0 ? chat->bos : "", "<|start_header_id|>", messages[i].role, "<|end_header_id|>\n\n");
        if (status == SEMCAL_OK) {
            status = append_trimmed(out, messages[i].content, strlen(messages[i].content), error);
        }
        if (status == SEMCAL_OK) {
            status = APPEND("<|eot_id|>");
        }
    }
    return status == SEMCAL_OK && answer ? APPEND("<|start_header_id|>assistant<|end_header_id|>\n\n") : status;
}

/* The system message goes into the first user message; user and assistant must alternate. */
static semcal_status render_llama2(sc_text *out, const sc_chat *chat, const sc_chat_message *messages, size_t n,
                                   semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    sc_text text = {0};
    const size_t first = n > 0 && strcmp(messages[0].role, "system") == 0 ? 1 : 0;
    for (size_t i = first; i < n && status == SEMCAL_OK; i++) {
        const bool user = (i - first) % 2 == 0;
        if (strcmp(messages[i].role, user ? "user" : "assistant") != 0) {
            status = sc_error_set(error, SEMCAL_E_CONFIG,
                                  "chat message %zu: role '%.20s': llama2 wants user and assistant in turn", i + 1,
                                  messages[i].role);
            break;
        }
        sc_text_clear(&text);
        const bool with_system = i == first && first == 1;
        status = with_system ? append_all(&text,
                                          (const char *const[]){"<<SYS>>\n", messages[0].content, "\n<</SYS>>\n\n",
                                                                messages[i].content, NULL},
                                          error)
                             : append_all(&text, (const char *const[]){messages[i].content, "", NULL}, error);
        if (status == SEMCAL_OK) {
            status = user ? APPEND(chat->bos, "[INST] ") : APPEND(" ");
        }
        if (status == SEMCAL_OK) {
            status = append_trimmed(out, text.data, text.length, error);
        }
        if (status == SEMCAL_OK) {
            status = user ? APPEND(" [/INST]") : APPEND(" ", chat->eos);
        }
    }
    sc_text_free(&text);
    return status;
}

semcal_status sc_chat_render(sc_text *out, const sc_chat *chat, const sc_chat_message *messages, size_t n_messages,
                             bool answer, semcal_error *error)
{
    for (size_t i = 0; i < n_messages; i++) {
        const char *role = messages[i].role;
        const bool system = strcmp(role, "system") == 0;
        if ((system && i > 0) || (!system && strcmp(role, "user") != 0 && strcmp(role, "assistant") != 0)) {
            return sc_error_set(error, SEMCAL_E_CONFIG,
                                "chat message %zu: role '%.20s': must be user or assistant (system only first)", i + 1,
                                role);
        }
    }
    switch (chat->family) {
    case SC_CHAT_CHATML:
        return render_chatml(out, chat, messages, n_messages, answer, error);
    case SC_CHAT_LLAMA2:
        return render_llama2(out, chat, messages, n_messages, error);
    case SC_CHAT_LLAMA3:
        return render_llama3(out, chat, messages, n_messages, answer, error);
    }
    return SEMCAL_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat templates of a few closed families, rendered without a template engine.
 *
 * The family is named by the caller or recognised by its markers in the tokenizer's own chat_template; what is not
 * recognised for certain is an error, because a wrong prompt format looks like a bad model.
 *
 *   chatml   <|im_start|>ROLE\nTEXT<|im_end|>\n ...                       (Qwen2, Qwen2.5; a default system message is
 *                                                                          read from the template)
 *   llama2   BOS [INST] <<SYS>>\nSYSTEM\n<</SYS>>\n\nTEXT [/INST] TEXT EOS ...   (texts trimmed)
 *   llama3   BOS <|start_header_id|>ROLE<|end_header_id|>\n\nTEXT<|eot_id|> ...  (texts trimmed)
 */
#ifndef SC_LANGUAGE_CHAT_H
#define SC_LANGUAGE_CHAT_H

#include "base/memory.h"
#include "language/tokenizer.h"

typedef enum sc_chat_family { SC_CHAT_CHATML, SC_CHAT_LLAMA2, SC_CHAT_LLAMA3 } sc_chat_family;

typedef struct sc_chat {
    sc_chat_family family;
    char *default_system; /* what stands in front when no system message is given; NULL for nothing */
    char *bos, *eos;      /* the tokens as text, "" when the tokenizer has none */
} sc_chat;

typedef struct sc_chat_message {
    const char *role;    /* "system" (first only), "user", "assistant" */
    const char *content; /* UTF-8 */
} sc_chat_message;

/* Sets up from a family `name`, or, when it is NULL, from the chat template of `tokenizer`. SEMCAL_E_CONFIG when the
 * name is unknown or the template is absent or not recognised. Free with sc_chat_free. */
semcal_status sc_chat_init(sc_chat *chat, const sc_tokenizer *tokenizer, const char *name, semcal_error *error);

/* The same from the texts themselves: `chat_template` may be NULL when `name` is given. */
semcal_status sc_chat_init_text(sc_chat *chat, const char *chat_template, const char *bos, const char *eos,
                                const char *name, semcal_error *error);
void sc_chat_free(sc_chat *chat);

/* Appends the conversation to `out`; `answer` also opens the assistant's next message. The special tokens are written
 * out, so encode the result with special = false. SEMCAL_E_CONFIG when the roles do not fit the family. */
semcal_status sc_chat_render(sc_text *out, const sc_chat *chat, const sc_chat_message *messages, size_t n_messages,
                             bool answer, semcal_error *error);

#endif

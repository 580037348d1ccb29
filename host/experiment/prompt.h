/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prompts: templates with a question, and worked examples in front of it.
 *
 * A template is plain text with placeholders: {question}, in an example also {answer}, in a prompt {shots}. "{{" and
 * "}}" stand for braces; any other brace is an error, so that {qestion} is not sent to a model as it stands.
 *
 * The prompt is every example (`shot` and behind it `separator`), then `prompt`; a prompt that contains {shots} has the
 * examples there instead. Without examples the {shots} are empty. Texts are put in as they are: braces in a question
 * mean nothing. The standard templates of the styles are in the table of configuration keys (`semcal show config`):
 *
 *     concise    Question: {question}\nShort answer:
 *     sentence   Question: {question}\nAnswer in one sentence:
 *     cot        Question: {question}\nAnswer, step by step:
 *
 * with the prompt, a space and {answer} as the example, and a blank line between examples. Prompts end without a space:
 * tokenizers glue it to the first word of the answer, and so does the data that base models were trained on.
 */
#ifndef SC_EXPERIMENT_PROMPT_H
#define SC_EXPERIMENT_PROMPT_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All three may not be NULL; `shot` and `separator` serve only where there are examples. */
typedef struct sc_prompt_template {
    const char *prompt, *shot, *separator;
} sc_prompt_template;

#define SC_PROMPT_TEMPLATE_INIT                                                                                        \
    {                                                                                                                  \
        "Question: {question}\nAnswer:", "Question: {question}\nAnswer: {answer}", "\n\n"                              \
    }

/* A worked example; the answer is the whole response, as the style wants it. */
typedef struct sc_prompt_shot {
    const char *question, *answer;
} sc_prompt_shot;

/* Whether a template is well formed and has what it needs: a prompt {question}, an example {question} and {answer}.
 * SEMCAL_E_CONFIG naming the slip and the nearest placeholder. */
semcal_status sc_prompt_check(const char *text, bool is_shot, semcal_error *error);

/* Builds a prompt, malloc'ed. Same arguments, same bytes. SEMCAL_E_CONFIG as sc_prompt_check. */
semcal_status sc_prompt_build(char **prompt, const sc_prompt_template *parts, const char *question,
                              const sc_prompt_shot *shots, size_t n_shots, semcal_error *error);

/* The same for what a judge of responses reads: {question} and {response} are its placeholders, both are needed. */
semcal_status sc_prompt_check_judge(const char *text, semcal_error *error);
semcal_status sc_prompt_judge(char **prompt, const char *text, const char *question, const char *response,
                              semcal_error *error);

/* Which `n` of `n_rows` examples serve, the same for every question of a run: the first ones, or with `seed` a choice
 * without repetition keyed by it, in the order drawn (raising n keeps the earlier ones). SEMCAL_E_CONFIG when n exceeds
 * n_rows. */
semcal_status sc_prompt_choose(size_t *rows, size_t n, size_t n_rows, const uint64_t *seed, semcal_error *error);

/* The response an example shows in `style`, malloc'ed, made from the example's accepted answer where the data has no
 * text of its own for the style:
 *   cot        the answer as it stands (for GSM8K, the worked solution with its last line "#### 18");
 *   sentence   "The answer is X.", X as below;
 *   others     X: what stands behind the last "####", else the answer, without blanks around it. */
semcal_status sc_prompt_response(char **response, const char *style, const char *answer, semcal_error *error);

#endif

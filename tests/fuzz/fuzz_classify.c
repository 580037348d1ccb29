/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer harness: a response, an accepted answer and a question, separated by NUL, through every collapse kind. What
 * the header promises is asserted. */
#include "language/utf8.h"
#include "meaning/choices.h"
#include "meaning/collapse.h"
#include "meaning/words.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A judge that finds every response short enough. */
static semcal_status say(sc_collapse_reply *reply, const char *question, const char *response, void *payload,
                         semcal_error *error)
{
    (void)question;
    (void)payload;
    (void)error;
    *reply = (sc_collapse_reply){response, false};
    return SEMCAL_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition) {
        abort();
    }
}

static void check_idempotent(semcal_status (*normalise)(char **, const char *, semcal_error *), const char *text)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    char *once, *twice;
    require(normalise(&once, text, &error) == SEMCAL_OK);
    require(normalise(&twice, once, &error) == SEMCAL_OK);
    require(strcmp(once, twice) == 0 && sc_utf8_valid(NULL, once, strlen(once)));
    free(once);
    free(twice);
}

static void check_kind(const sc_collapse_kind *kind, const sc_collapse_context *context, const char *response)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_collapse_question *question;
    sc_collapse_class class, again;
    if (sc_collapse_question_make(&question, kind, context, &error) != SEMCAL_OK) {
        require(error.status == SEMCAL_E_DATA && error.message[0] != '\0' && question == NULL);
        return;
    }
    size_t n;
    (void)sc_collapse_references(question, &n);
    require(n + sc_collapse_n_unparsed_references(question) <= context->n_answers);
    require(sc_collapse_classify(&class, question, response, &error) == SEMCAL_OK);
    require(sc_collapse_classify(&again, question, response, &error) == SEMCAL_OK);
    require(strcmp(class.label, again.label) == 0 && class.parsed == (class.label[0] != '\0'));
    require(class.correct == sc_collapse_is_correct(question, class.label) && (class.parsed || !class.correct));
    require(sc_utf8_valid(NULL, class.label, strlen(class.label)));
    free(again.label);
    if (class.parsed && strcmp(kind->name, "numeric") == 0) { /* a label is a spelling of its own class */
        require(sc_collapse_classify(&again, question, class.label, &error) == SEMCAL_OK);
        require(strcmp(class.label, again.label) == 0);
        free(again.label);
    }
    free(class.label);
    sc_collapse_question_free(question);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 3);
    require(text != NULL);
    if (size > 0) {
        memcpy(text, data, size);
    }
    memset(text + size, 0, 3);
    const char *answer = text + strlen(text) + 1;
    answer = answer > text + size ? text + size : answer;
    const char *question = answer + strlen(answer) + 1;
    question = question > text + size ? text + size : question;
    static const char *const aliases[] = {"nope", "the no"};
    const sc_choice choices[] = {{"A. yes", NULL, 0}, {"B. no", aliases, 2}, {answer, NULL, 0}};
    static const char *const unknown[] = {"no answer", "?"};
    const sc_collapse_judge judge = {.reply = say, .unknown = unknown, .n_unknown = 2};
    sc_collapse_context context = {.question = question, .answers = &answer, .n_answers = 1, .judge = &judge};
    for (size_t i = 0; i < sc_collapse_n_kinds; i++) {
        context.n_choices = 0;
        check_kind(sc_collapse_kinds[i], &context, text);
        context.choices = choices;
        context.n_choices = 2;
        check_kind(sc_collapse_kinds[i], &context, text);
        context.n_choices = 3;
        check_kind(sc_collapse_kinds[i], &context, text);
    }
    check_idempotent(sc_words_plain, text);
    check_idempotent(sc_words_exact, text);
    free(text);
    return 0;
}

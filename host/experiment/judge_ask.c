/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the judge: prompts of the responses of a cell, continued greedily. */
#include "base/memory.h"
#include "experiment/judge_internal.h"
#include "experiment/mechanism.h"
#include "experiment/mechanism_file.h"
#include "experiment/prompt.h"
#include "language/chat.h"
#include "sampling/greedy.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

typedef struct asking {
    sc_judged *judged;
    sc_judge_file file;
    bool has_chat;
    sc_chat chat;
    size_t next;
} asking;

static semcal_status open_chat(asking *a, semcal_error *error)
{
    const sc_config_model *model = a->judged->options.model;
    sc_tokenizer *tokenizer = NULL;
    if (model->source != SC_CONFIG_MODEL || model->chat == NULL || strcmp(model->chat, "none") == 0) {
        return SEMCAL_OK;
    }
    semcal_status status = sc_tokenizer_open(&tokenizer, model->path, error);
    if (status == SEMCAL_OK) {
        status = sc_chat_init(&a->chat, tokenizer, strcmp(model->chat, "auto") == 0 ? NULL : model->chat, error);
        a->has_chat = status == SEMCAL_OK;
    }
    sc_tokenizer_free(tokenizer);
    return status;
}

/* The prompt as the user's message, the reply opened. */
static semcal_status wrap_chat(char **prompt, const asking *a, semcal_error *error)
{
    const sc_chat_message message = {"user", *prompt};
    sc_text text = {0};
    semcal_status status = sc_chat_render(&text, &a->chat, &message, 1, true, error);
    if (status == SEMCAL_OK) {
        free(*prompt);
        *prompt = text.data;
    } else {
        sc_text_free(&text);
    }
    return status;
}

static semcal_status make_prompt(sc_greedy_prompt *out, const asking *a, const sc_judged_entry *entry,
                                 semcal_error *error)
{
    const sc_config_collapse *config = a->judged->options.config;
    sc_source *source = a->judged->options.source;
    char *prompt = NULL;
    const sc_phase before = sc_phases_enter(source->phases, SC_PHASE_TEXT);
    semcal_status status = sc_prompt_judge(&prompt, config->prompt, entry->question, entry->response, error);
    if (status == SEMCAL_OK && a->has_chat) {
        status = wrap_chat(&prompt, a, error);
    }
    if (status == SEMCAL_OK) { /* a rendered chat has its special tokens written out */
        status = source->functions->encode(source, &out->tokens, &out->n_tokens, prompt, strlen(prompt), !a->has_chat,
                                           error);
    }
    (void)sc_phases_enter(source->phases, before);
    free(prompt);
    const size_t context = (size_t)source->facts.n_context;
    if (status == SEMCAL_OK && context > 0 && out->n_tokens + (size_t)config->max_tokens > context) {
        status = sc_error_set(error, SEMCAL_E_DATA,
                              "the judge's prompt with a response has %zu tokens and max_tokens is %lld, together more "
                              "than its context of %zu; a shorter prompt or another judge may do",
                              out->n_tokens, (long long)config->max_tokens, context);
    }
    if (status != SEMCAL_OK) {
        sc_error_where(error, "question '%s'", entry->id);
        free(out->tokens);
        out->tokens = NULL;
    }
    return status;
}

static semcal_status next_prompt(sc_greedy_prompt *prompt, bool *more, void *payload, semcal_error *error)
{
    asking *a = payload;
    const sc_judged *j = a->judged;
    while (a->next < j->n_entries && j->entries[a->next].text != NULL) {
        a->next++;
    }
    *more = a->next < j->n_entries;
    if (!*more) {
        return SEMCAL_OK;
    }
    const sc_judged_entry *entry = &j->entries[a->next];
    prompt->name = entry->id;
    prompt->tag = (void *)(uintptr_t)a->next++;
    return make_prompt(prompt, a, entry, error);
}

static semcal_status take_reply(void *tag, const sc_greedy_reply *reply, void *payload, semcal_error *error)
{
    asking *a = payload;
    sc_judged *j = a->judged;
    sc_judged_entry *entry = &j->entries[(uintptr_t)tag];
    semcal_status status =
        sc_judged_set(entry, reply->text, reply->text_length, reply->finish == SC_FINISH_LENGTH, error);
    j->n_asked++;
    if (status == SEMCAL_OK) {
        status = sc_judge_file_add(&a->file, j, entry, error);
        sc_judged_settle(entry);
    }
    return status;
}

static bool is_stopped(void *payload)
{
    const asking *a = payload;
    const sc_judge_options *options = &a->judged->options;
    return options->stopped != NULL && options->stopped(options->payload);
}

/* Entries come at the end and are answered about in order: what is behind is never looked at again. */
static bool all_there(sc_judged *j)
{
    while (j->n_answered < j->n_entries && j->entries[j->n_answered].text != NULL) {
        j->n_answered++;
    }
    return j->n_answered == j->n_entries;
}

semcal_status sc_judged_run(sc_judged *j, semcal_error *error)
{
    asking a = {.judged = j, .file = {.fd = -1}};
    const sc_config_collapse *config = j->options.config;
    sc_greedy_options options = {.batch_prompts = j->options.batch};
    options.ending = (sc_ending){.max_tokens = (uint32_t)config->max_tokens,
                                 .stops = (const char *const *)config->stop.at,
                                 .n_stops = config->stop.n};
    static const sc_greedy_callbacks callbacks = {next_prompt, take_reply, is_stopped};
    semcal_status status = sc_judge_file_open(&a.file, j, error);
    if (status == SEMCAL_OK && !all_there(j)) {
        status = open_chat(&a, error);
        a.next = j->n_answered;
        /* lengths first: nothing fails midway */
        for (size_t i = a.next; i < j->n_entries && status == SEMCAL_OK; i++) {
            sc_greedy_prompt prompt = {0};
            if (j->entries[i].text == NULL) {
                status = make_prompt(&prompt, &a, &j->entries[i], error);
                options.max_prompt = prompt.n_tokens > options.max_prompt ? prompt.n_tokens : options.max_prompt;
                free(prompt.tokens);
            }
        }
        if (status == SEMCAL_OK) {
            status = sc_greedy(j->options.source, &options, &callbacks, &a, error);
        }
    }
    /* What was said is kept also after an error or Ctrl-C; the first error is the one to tell. */
    semcal_error closing = SEMCAL_ERROR_INIT;
    const semcal_status closed = sc_judge_file_close(&a.file, &closing);
    if (status == SEMCAL_OK && closed != SEMCAL_OK) {
        status = sc_error_set(error, closed, "%s", closing.message);
    }
    if (a.has_chat) {
        sc_chat_free(&a.chat);
    }
    return status == SEMCAL_OK || status == SEMCAL_INTERRUPTED ? status : (sc_error_where(error, "judge"), status);
}

/* ---- the responses of a cell ---- */

static semcal_status want_record(sc_judged *j, const sc_store_record *record, semcal_error *error)
{
    const sc_tree *tree = &record->tree;
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < tree->n_draws && status == SEMCAL_OK; i++) {
        if (tree->finish[i] != SC_FINISH_LENGTH) { /* a response that was cut is unparsed in any case */
            status = sc_judged_want(j, record->id, record->question, tree->text[i], error);
        }
    }
    for (size_t i = 0; i < record->n_found && status == SEMCAL_OK; i++) {
        if (record->found_finish[i] != SC_FINISH_LENGTH) {
            status = sc_judged_want(j, record->id, record->question, record->found_text[i], error);
        }
    }
    return status;
}

/* Responses that the mechanism has of one question of the cell, in row `row`. */
static semcal_status want_forks(sc_judged *j, size_t *at, const sc_mechanism_file *mechanism,
                                const sc_store_record *record, uint64_t row, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (; *at < mechanism->n_responses && status == SEMCAL_OK; (*at)++) {
        const struct sc_mechanism_response *response = &mechanism->responses[*at];
        if ((uint64_t)mechanism->points[response->point].question != row) {
            break;
        }
        if (response->finish != SC_FINISH_LENGTH) {
            status = sc_judged_want(j, record->id, record->question, response->text, error);
        }
    }
    return status;
}

static semcal_status want_cell(sc_judged *j, const char *path, semcal_error *error)
{
    sc_store_cell *cell = NULL;
    sc_mechanism_file mechanism = {0};
    size_t at = 0;
    semcal_status status = sc_store_cell_open(&cell, path, error);
    char *forks = status == SEMCAL_OK ? sc_mechanism_path(path, ".h5", error) : NULL;
    if (status == SEMCAL_OK) {
        status = forks == NULL           ? SEMCAL_E_MEMORY
                 : sc_file_exists(forks) ? sc_mechanism_file_read(&mechanism, forks, error)
                                         : SEMCAL_OK;
    }
    const uint64_t n = status == SEMCAL_OK ? sc_store_cell_facts(cell)->n_questions : 0;
    for (uint64_t q = 0; q < n && status == SEMCAL_OK; q++) {
        sc_store_record record = SC_STORE_RECORD_INIT;
        status = sc_store_cell_read(&record, cell, q, 0, error);
        if (status == SEMCAL_OK) {
            status = want_record(j, &record, error);
        }
        if (status == SEMCAL_OK) {
            status = want_forks(j, &at, &mechanism, &record, q, error);
        }
        sc_store_record_free(&record);
    }
    sc_mechanism_file_free(&mechanism);
    sc_store_cell_close(&cell);
    free(forks);
    return status;
}

semcal_status sc_judge_cell(sc_judged **judged, const char *cell_path, const sc_judge_options *options,
                            semcal_error *error)
{
    semcal_status status = sc_judged_make(judged, options, error);
    if (status == SEMCAL_OK) {
        status = want_cell(*judged, cell_path, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_judged_run(*judged, error);
    }
    if (status != SEMCAL_OK) {
        sc_judged_free(*judged);
        *judged = NULL;
    }
    return status;
}

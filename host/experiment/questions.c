/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/questions.h"

#include "base/memory.h"
#include "base/random.h"
#include "experiment/dataset_tape.h"
#include "experiment/prompt.h"
#include "language/chat.h"

#include <stdlib.h>
#include <string.h>

/* What all prompts of a cell share. */
typedef struct frame {
    const sc_cell *cell;
    sc_source *source;
    sc_prompt_template parts;
    sc_dataset shots;
    sc_prompt_shot *examples;
    char **responses; /* texts of the examples' answers */
    size_t n_examples;
    bool has_chat; /* the prompt becomes a user message */
    sc_chat chat;
} frame;

/* The text field a shots file has for the style, or -1. */
static int response_field(const sc_cell *cell)
{
    const sc_config_pairs *pairs = &cell->dataset->shots.responses;
    for (size_t i = 0; i < pairs->n; i++) {
        if (strcmp(pairs->names[i], cell->style->name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static semcal_status open_chat(frame *f, const sc_config_model *model, semcal_error *error)
{
    if (model->source != SC_CONFIG_MODEL || model->chat == NULL || strcmp(model->chat, "none") == 0) {
        return SEMCAL_OK;
    }
    sc_tokenizer *tokenizer = NULL;
    semcal_status status = sc_tokenizer_open(&tokenizer, model->path, error);
    if (status == SEMCAL_OK) {
        status = sc_chat_init(&f->chat, tokenizer, strcmp(model->chat, "auto") == 0 ? NULL : model->chat, error);
        f->has_chat = status == SEMCAL_OK;
    }
    sc_tokenizer_free(tokenizer);
    return status;
}

/* Wraps a prompt as a chat: the style's system message, the prompt as the user's, the answer opened. */
static semcal_status wrap_chat(char **prompt, const frame *f, semcal_error *error)
{
    const sc_chat_message messages[2] = {{"system", f->cell->style->system}, {"user", *prompt}};
    bool has_system = f->cell->style->system != NULL;
    sc_text text = {0};
    semcal_status status =
        sc_chat_render(&text, &f->chat, messages + (has_system ? 0 : 1), has_system ? 2 : 1, true, error);
    if (status == SEMCAL_OK) {
        free(*prompt);
        *prompt = text.data;
    } else {
        sc_text_free(&text);
    }
    return status;
}

static semcal_status make_frame(frame *f, const sc_cell *cell, sc_source *source, semcal_error *error)
{
    *f = (frame){.cell = cell, .source = source};
    f->parts = (sc_prompt_template){cell->style->prompt, cell->style->shot, cell->style->separator};
    size_t n = (size_t)cell->shots;
    semcal_status status = open_chat(f, cell->model, error);
    if (n == 0 || status != SEMCAL_OK) {
        return status;
    }
    status = sc_dataset_open_shots(&f->shots, cell->dataset, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    if (f->shots.n_rows < n) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "style '%s' asks for %zu shots, the dataset '%s' offers %zu",
                            cell->style->name, n, cell->dataset->name, f->shots.n_rows);
    }
    f->examples = sc_memory_alloc(n, sizeof *f->examples, error);
    f->responses = sc_memory_alloc(n, sizeof *f->responses, error);
    if (f->examples == NULL || f->responses == NULL) {
        return SEMCAL_E_MEMORY;
    }
    int field = response_field(cell);
    for (; f->n_examples < n && status == SEMCAL_OK; f->n_examples++) {
        size_t i = f->n_examples;
        const sc_dataset_row *row = &f->shots.rows[i];
        if (field >= 0) {
            f->responses[i] = sc_memory_strdup(row->extra.at[field], error);
            status = f->responses[i] == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
        } else {
            status = sc_prompt_response(&f->responses[i], cell->style->name, row->answers.at[0], error);
        }
        f->examples[i] = (sc_prompt_shot){row->question, f->responses[i]};
    }
    return status;
}

static void free_frame(frame *f)
{
    for (size_t i = 0; i < f->n_examples; i++) {
        free(f->responses[i]);
    }
    free(f->responses);
    free(f->examples);
    sc_dataset_free(&f->shots);
    if (f->has_chat) {
        sc_chat_free(&f->chat);
    }
}

/* The reference as it follows the prompt: a space between them unless the prompt ends in white space. */
static semcal_status add_reference(sc_question *q, const frame *f, const char *answer, semcal_error *error)
{
    size_t n = strlen(q->prompt);
    bool spaced = n > 0 && (q->prompt[n - 1] == ' ' || q->prompt[n - 1] == '\n');
    char *response = NULL;
    sc_text text = {0};
    semcal_status status = sc_prompt_response(&response, f->cell->style->name, answer, error);
    if (status == SEMCAL_OK) {
        status = sc_text_printf(&text, error, "%s%s", spaced ? "" : " ", response);
    }
    free(response);
    if (status != SEMCAL_OK) {
        sc_text_free(&text);
        return status;
    }
    q->reference = text.data;
    semcal_error encoding = SEMCAL_ERROR_INIT;
    status = f->source->functions->encode(f->source, &q->reference_tokens, &q->n_reference_tokens, text.data,
                                          text.length, false, &encoding);
    if (status == SEMCAL_E_DATA) {
        /* An answer that this source cannot spell (toy, recorded) has no log-probability; that is no error. */
        q->n_reference_tokens = 0;
        return SEMCAL_OK;
    }
    return status == SEMCAL_OK ? status : sc_error_set(error, status, "%s", encoding.message);
}

static semcal_status make_question(sc_question *q, const frame *f, const sc_dataset_row *row, semcal_error *error)
{
    q->row = row;
    q->item = sc_hash64(row->id, strlen(row->id));
    semcal_status status = sc_prompt_build(&q->prompt, &f->parts, row->question, f->examples, f->n_examples, error);
    if (status == SEMCAL_OK) {
        status = f->has_chat ? wrap_chat(&q->prompt, f, error) : SEMCAL_OK;
    }
    if (status == SEMCAL_OK) {
        /* A rendered chat has its special tokens written out. */
        status = f->source->functions->encode(f->source, &q->tokens, &q->n_tokens, q->prompt, strlen(q->prompt),
                                              !f->has_chat, error);
    }
    if (status == SEMCAL_OK && q->n_tokens == 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "the prompt has no tokens; write something around {question}");
    }
    size_t context = (size_t)f->source->facts.n_context;
    if (status == SEMCAL_OK && context > 0 && q->n_tokens + (size_t)f->cell->max_tokens > context) {
        status =
            sc_error_set(error, SEMCAL_E_DATA,
                         "the prompt has %zu tokens and max_tokens is %lld, together more than the model's context "
                         "of %zu; use fewer shots or shorter answers, or leave the question out",
                         q->n_tokens, (long long)f->cell->max_tokens, context);
    }
    if (status == SEMCAL_OK && row->answers.n > 0) {
        status = add_reference(q, f, row->answers.at[0], error);
        if (context > 0 && q->n_tokens + q->n_reference_tokens > context) {
            q->n_reference_tokens = 0;
        }
    }
    return status;
}

/* ---- questions that wait in a file ---- */

struct sc_questions_tape {
    sc_tape tape;
    uint64_t *places; /* [n + 1] */
    sc_text packed;   /* of one question */
};

static void free_tape(struct sc_questions_tape *tape)
{
    if (tape != NULL) {
        sc_tape_free(&tape->tape);
        free(tape->places);
        sc_text_free(&tape->packed);
        free(tape);
    }
}

static semcal_status open_tape(struct sc_questions_tape **out, const sc_dataset *dataset, semcal_error *error)
{
    struct sc_questions_tape *tape = sc_memory_alloc(1, sizeof *tape, error);
    *out = tape;
    if (tape == NULL) {
        return SEMCAL_E_MEMORY;
    }
    sc_tape_init(&tape->tape, sc_dataset_tape_spill(dataset->tape));
    tape->places = sc_memory_alloc(dataset->n_rows + 1, sizeof *tape->places, error);
    return tape->places != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
}

static semcal_status put_question(struct sc_questions_tape *tape, size_t i, const sc_question *q, semcal_error *error)
{
    sc_text *out = &tape->packed;
    sc_text_clear(out);
    semcal_status status = sc_packed_number(out, q->item, error);
    status = status == SEMCAL_OK ? sc_packed_text(out, q->prompt, error) : status;
    status = status == SEMCAL_OK ? sc_packed_array(out, q->tokens, q->n_tokens, sizeof *q->tokens, error) : status;
    status = status == SEMCAL_OK ? sc_packed_text(out, q->reference, error) : status;
    status = status == SEMCAL_OK
                 ? sc_packed_array(out, q->reference_tokens, q->n_reference_tokens, sizeof *q->tokens, error)
                 : status;
    status = status == SEMCAL_OK ? sc_dataset_row_pack(out, q->row, false, error) : status;
    status = status == SEMCAL_OK ? sc_tape_put(&tape->tape, out->data, out->length, error) : status;
    tape->places[i + 1] = tape->tape.length;
    return status;
}

semcal_status sc_questions_read(sc_question *q, const sc_questions *questions, size_t i, semcal_error *error)
{
    struct sc_questions_tape *tape = questions->tape;
    const size_t n = (size_t)(tape->places[i + 1] - tape->places[i]);
    *q = (sc_question){0};
    sc_dataset_row *row = sc_memory_alloc(1, sizeof *row, error);
    semcal_status status =
        row != NULL ? sc_memory_grow(&tape->packed.data, &tape->packed.capacity, n, 1, error) : SEMCAL_E_MEMORY;
    q->row = row;
    if (status == SEMCAL_OK) {
        status = sc_tape_get(&tape->tape, tape->packed.data, tape->places[i], n, error);
    }
    sc_unpacker from = {tape->packed.data, tape->packed.data + n, error};
    status = status == SEMCAL_OK ? sc_unpack_number(&q->item, &from) : status;
    status = status == SEMCAL_OK ? sc_unpack_text(&q->prompt, &from) : status;
    status = status == SEMCAL_OK ? sc_unpack_array(&q->tokens, &q->n_tokens, sizeof *q->tokens, &from) : status;
    status = status == SEMCAL_OK ? sc_unpack_text(&q->reference, &from) : status;
    status = status == SEMCAL_OK
                 ? sc_unpack_array(&q->reference_tokens, &q->n_reference_tokens, sizeof *q->tokens, &from)
                 : status;
    status = status == SEMCAL_OK ? sc_dataset_row_unpack(row, &from) : status;
    if (status != SEMCAL_OK) {
        sc_question_free(q);
    }
    return status;
}

/* All but the row, which may be the dataset's. */
static void free_own(sc_question *q)
{
    free(q->prompt);
    free(q->tokens);
    free(q->reference);
    free(q->reference_tokens);
}

void sc_question_free(sc_question *q)
{
    sc_dataset_row *row = (sc_dataset_row *)(uintptr_t)q->row;
    if (row != NULL) {
        sc_dataset_row_free(row);
        free(row);
    }
    free_own(q);
    *q = (sc_question){0};
}

/* ---- all of them ---- */

/* Makes question i; where it waits in a file, its row does, too. */
static semcal_status make_one(sc_questions *questions, const frame *f, size_t i, semcal_error *error)
{
    const sc_dataset *dataset = questions->dataset;
    sc_dataset_row own = {0};
    sc_question made = {0}, *q = questions->tape != NULL ? &made : &questions->at[i];
    const sc_dataset_row *row = questions->tape != NULL ? &own : &dataset->rows[i];
    semcal_status status = questions->tape != NULL ? sc_dataset_read(&own, dataset, i, error) : SEMCAL_OK;
    if (status == SEMCAL_OK && (status = make_question(q, f, row, error)) != SEMCAL_OK) {
        sc_error_where(error, "%s:%zu: question '%s'", dataset->path, row->line, row->id);
    }
    questions->max_tokens = q->n_tokens > questions->max_tokens ? q->n_tokens : questions->max_tokens;
    if (questions->tape != NULL) {
        status = status == SEMCAL_OK ? put_question(questions->tape, i, q, error) : status;
        free_own(&made);
        sc_dataset_row_free(&own);
    }
    return status;
}

semcal_status sc_questions_make(sc_questions *questions, const sc_cell *cell, const sc_dataset *dataset,
                                sc_source *source, semcal_error *error)
{
    *questions = (sc_questions){.n = dataset->n_rows, .dataset = dataset};
    frame f;
    semcal_status status = make_frame(&f, cell, source, error);
    if (status == SEMCAL_OK && dataset->tape != NULL) {
        status = open_tape(&questions->tape, dataset, error);
    } else if (status == SEMCAL_OK) {
        questions->at = sc_memory_alloc(dataset->n_rows, sizeof *questions->at, error);
        status = questions->at == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    for (size_t i = 0; i < dataset->n_rows && status == SEMCAL_OK; i++) {
        status = make_one(questions, &f, i, error);
    }
    free_frame(&f);
    if (status != SEMCAL_OK) {
        sc_questions_free(questions);
    }
    return status;
}

void sc_questions_free(sc_questions *questions)
{
    for (size_t i = 0; questions->at != NULL && i < questions->n; i++) {
        free_own(&questions->at[i]);
    }
    free_tape(questions->tape);
    free(questions->at);
    *questions = (sc_questions){0};
}

/* SPDX-License-Identifier: Apache-2.0 */
/* semcal score: teacher-forced log-probabilities of given texts. */
#include "cli/cli.h"
#include "cli/notes.h"

#include "base/memory.h"
#include "experiment/score.h"
#include "formats/json.h"
#include "source/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char details[] =
    "Each line of the input (- is standard input) is {\"prompt\": \"...\", \"completion\": \"...\"} or {\"tokens\": "
    "[...]};\n"
    "each line of the output is {\"tokens\": [...], \"logprobs\": [...]}: natural log-probabilities of every token "
    "but\n"
    "the first, the completion's last included, at temperature 1. The prompt is encoded with the tokenizer's own\n"
    "special tokens, the completion after it without any. Output is always JSON lines; --json is accepted for\n"
    "uniformity. The log-probabilities of a line do not depend on the other lines.";

/* Positions evaluated in one call; lines are gathered until they reach this. */
#define GATHER 4096

struct scorer {
    sc_source *source;
    const char *name; /* of the input */
    int32_t *tokens;  /* of the gathered lines, one after the other */
    size_t n_tokens, tokens_capacity;
    size_t *first; /* [n_lines + 1] */
    size_t n_lines, first_capacity;
};

static semcal_status add_tokens(struct scorer *s, const int32_t *tokens, size_t n, semcal_error *error)
{
    semcal_status status = sc_memory_grow(&s->tokens, &s->tokens_capacity, s->n_tokens + n, sizeof *s->tokens, error);
    if (status == SEMCAL_OK && n > 0) {
        memcpy(s->tokens + s->n_tokens, tokens, n * sizeof *tokens);
        s->n_tokens += n;
    }
    return status;
}

static semcal_status add_text(struct scorer *s, const json_t *line, const char *key, bool special, const char *where,
                              semcal_error *error)
{
    const char *text = NULL;
    size_t length = 0, n = 0;
    int32_t *ids = NULL;
    semcal_status status = sc_json_get_text(&text, &length, line, key, true, where, error);
    if (status == SEMCAL_OK) {
        status = s->source->functions->encode(s->source, &ids, &n, text, length, special, error);
        if (status != SEMCAL_OK) {
            sc_error_where(error, "%s: %s", where, key);
        }
    }
    if (status == SEMCAL_OK) {
        status = add_tokens(s, ids, n, error);
    }
    free(ids);
    return status;
}

static semcal_status add_ids(struct scorer *s, const json_t *list, const char *where, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < json_array_size(list) && status == SEMCAL_OK; i++) {
        const json_t *item = json_array_get(list, i);
        const json_int_t value = json_is_integer(item) ? json_integer_value(item) : -1;
        if (value < 0 || value >= s->source->facts.n_vocabulary) {
            return sc_error_set(error, SEMCAL_E_DATA, "%s: tokens: element %zu is no token id below %d", where, i,
                                (int)s->source->facts.n_vocabulary);
        }
        const int32_t token = (int32_t)value;
        status = add_tokens(s, &token, 1, error);
    }
    return status;
}

static semcal_status add_line(struct scorer *s, const json_t *line, const char *where, semcal_error *error)
{
    const json_t *list = NULL;
    semcal_status status = sc_memory_grow(&s->first, &s->first_capacity, s->n_lines + 2, sizeof *s->first, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    s->first[0] = 0;
    if (!json_is_object(line)) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: must be an object with prompt and completion, or tokens", where);
    }
    status = sc_json_get_array(&list, line, "tokens", false, where, error);
    if (status == SEMCAL_OK && list != NULL &&
        (json_object_get(line, "prompt") != NULL || json_object_get(line, "completion") != NULL)) {
        return sc_error_set(error, SEMCAL_E_DATA,
                            "%s: has tokens and a text; give either tokens or prompt and completion", where);
    }
    if (status == SEMCAL_OK && list != NULL) {
        status = add_ids(s, list, where, error);
    } else if (status == SEMCAL_OK) {
        status = add_text(s, line, "prompt", true, where, error);
        if (status == SEMCAL_OK) {
            status = add_text(s, line, "completion", false, where, error);
        }
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    const size_t length = s->n_tokens - s->first[s->n_lines];
    if (length == 0) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: no tokens to score", where);
    }
    if (s->source->facts.n_context > 0 && length > (size_t)s->source->facts.n_context) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: %zu tokens are longer than the model's context of %d", where,
                            length, (int)s->source->facts.n_context);
    }
    s->first[++s->n_lines] = s->n_tokens;
    return SEMCAL_OK;
}

static semcal_status print_line(const int32_t *tokens, const double *logprobs, size_t n, semcal_error *error)
{
    json_t *ids = json_array(), *values = json_array();
    for (size_t i = 0; i < n; i++) {
        (void)json_array_append_new(ids, json_integer(tokens[i]));
        if (i > 0) {
            (void)json_array_append_new(values, json_real(logprobs[i]));
        }
    }
    json_t *object = json_pack("{s:o, s:o}", "tokens", ids, "logprobs", values);
    char *text = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (text == NULL) {
        return sc_error_set(error, SEMCAL_E_MEMORY, "out of memory: JSON");
    }
    (void)puts(text);
    free(text);
    return SEMCAL_OK;
}

/* Scores and prints the gathered lines. */
static semcal_status score_gathered(struct scorer *s, semcal_error *error)
{
    double *logprobs = sc_memory_alloc(s->n_tokens, sizeof *logprobs, error);
    semcal_status status = logprobs == NULL
                               ? SEMCAL_E_MEMORY
                               : sc_score_tokens(logprobs, s->source, s->tokens, s->first, s->n_lines, error);
    for (size_t i = 0; i < s->n_lines && status == SEMCAL_OK; i++) {
        status = print_line(s->tokens + s->first[i], logprobs + s->first[i], s->first[i + 1] - s->first[i], error);
    }
    free(logprobs);
    s->n_tokens = s->n_lines = 0;
    return status;
}

static semcal_status score_lines(struct scorer *s, sc_json_lines *lines, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    while (status == SEMCAL_OK) {
        json_t *line;
        char where[4096];
        status = sc_json_lines_next(&line, lines, error);
        if (status != SEMCAL_OK || line == NULL) {
            break;
        }
        (void)snprintf(where, sizeof where, "%s:%zu", s->name, lines->line);
        status = add_line(s, line, where, error);
        json_decref(line);
        if (status == SEMCAL_OK && s->n_tokens >= GATHER) {
            status = score_gathered(s, error);
        }
    }
    return status == SEMCAL_OK && s->n_lines > 0 ? score_gathered(s, error) : status;
}

semcal_status sc_cli_score(int argc, char **argv, semcal_error *error);

semcal_status sc_cli_score(int argc, char **argv, semcal_error *error)
{
    static const sc_cli_usage usage = {"score", "MODEL_DIR", "log-probabilities of given texts under a model",
                                       1,       1,           details};
    const char *input = NULL, *gemm = "auto";
    bool json = false, help;
    sc_device_options device_options = SC_DEVICE_OPTIONS_INIT;
    const sc_cli_option options[] = {
        {"input", 'i', SC_CLI_TEXT, &input, "JSONL", "texts or tokens to score, - for standard input"},
        {"json", 0, SC_CLI_FLAG, &json, NULL, "JSON lines (always so)"},
        {"device", 'd', SC_CLI_TEXT, &device_options.selector, "P:D|NAME", "OpenCL device; default: the best one"},
        {"gemm", 0, SC_CLI_TEXT, &gemm, "HOW", "matrix products: auto, own, clblast or bf16"},
    };
    const char *operands[64];
    int n_operands;
    semcal_status status = sc_cli_parse(&n_operands, operands, &help, &usage, options, sizeof options / sizeof *options,
                                        argc, argv, error);
    if (status != SEMCAL_OK || help) {
        return status;
    }
    if (input == NULL) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "--input is missing (- for standard input)");
    }
    sc_source_model_options model_options = SC_SOURCE_MODEL_OPTIONS_INIT;
    sc_device *device = NULL;
    sc_json_lines lines = {0};
    struct scorer s = {.name = strcmp(input, "-") == 0 ? "standard input" : input};
    if ((status = sc_gemm_choice_find(&model_options.model.gemm, gemm, error)) != SEMCAL_OK) {
        return status;
    }
    status = strcmp(input, "-") == 0 ? sc_json_lines_wrap(&lines, stdin, s.name, error)
                                     : sc_json_lines_open(&lines, input, error);
    if (status == SEMCAL_OK && (status = sc_device_open(&device, &device_options, error)) == SEMCAL_OK &&
        (status = sc_source_model_open(&s.source, operands[0], device, &model_options, error)) == SEMCAL_OK) {
        status = score_lines(&s, &lines, error);
    }
    if (s.source != NULL) {
        s.source->functions->close(s.source);
    }
    sc_cli_notes(device);
    sc_device_close(device);
    sc_json_lines_close(&lines);
    free(s.tokens);
    free(s.first);
    return status;
}

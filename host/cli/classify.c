/* SPDX-License-Identifier: Apache-2.0 */
/* semcal classify: responses on standard input to classes on standard output, line by line. */
#include "cli/cli.h"

#include "base/file.h"
#include "base/memory.h"
#include "cli/judge.h"
#include "experiment/row.h"
#include "formats/json.h"
#include "meaning/choices.h"
#include "meaning/collapse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

semcal_status sc_cli_classify(int argc, char **argv, semcal_error *error);

/* The members of one line. */
typedef struct line_parts {
    char *response, *question;
    sc_row_texts answers;
    sc_choices choices;
    bool has_answers;
} line_parts;

static void free_parts(line_parts *parts)
{
    free(parts->response);
    free(parts->question);
    sc_row_texts_free(&parts->answers);
    sc_choices_free(&parts->choices);
}

/* A text in which NUL characters are U+FFFD: models can write anything. */
static semcal_status response_text(char **text, const json_t *value, const char *where, semcal_error *error)
{
    if (!json_is_string(value)) {
        return sc_row_text(text, value, "response", where, error);
    }
    const char *bytes = json_string_value(value);
    sc_text out = {0};
    semcal_status status = sc_text_append(&out, "", 0, error);
    for (size_t i = 0, n = json_string_length(value); i < n && status == SEMCAL_OK;) {
        size_t run = strnlen(bytes + i, n - i);
        status = sc_text_append(&out, bytes + i, run, error);
        i += run;
        if (i < n && status == SEMCAL_OK) {
            status = sc_text_append(&out, "\xEF\xBF\xBD", 3, error);
            i++;
        }
    }
    *text = out.data;
    if (status == SEMCAL_OK && *text == NULL) {
        *text = sc_memory_strdup("", error);
        status = *text == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    return status;
}

static semcal_status read_parts(line_parts *parts, const json_t *row, const char *where, semcal_error *error)
{
    const json_t *value;
    *parts = (line_parts){0};
    semcal_status status = sc_row_member(&value, row, "response", where, error);
    if (status == SEMCAL_OK) {
        status = response_text(&parts->response, value, where, error);
    }
    value = json_object_get(row, "question");
    if (status == SEMCAL_OK && value != NULL && !json_is_null(value)) {
        status = sc_row_text(&parts->question, value, "question", where, error);
    }
    value = json_object_get(row, "answers");
    if (status == SEMCAL_OK && value != NULL) {
        status = sc_row_answers(&parts->answers, value, NULL, "answers", where, error);
        parts->has_answers = parts->answers.n > 0;
    }
    value = json_object_get(row, "choices");
    if (status == SEMCAL_OK && value != NULL && !json_is_null(value)) {
        status = sc_choices_add_json(&parts->choices, value, where, error);
    }
    return status;
}

static semcal_status print_json(const sc_collapse_class *class, bool has_answers, bool judged, const char *reply,
                                semcal_error *error)
{
    sc_text out = {0};
    json_t *row =
        json_pack("{s:s, s:b, s:o}", "class", class->parsed ? class->label : SC_COLLAPSE_UNPARSED_NAME, "parsed",
                  (int)class->parsed, "correct", has_answers ? json_boolean(class->correct) : json_null());
    if (judged && row != NULL) {
        (void)json_object_set_new(row, "short_answer", reply != NULL ? json_string(reply) : json_null());
    }
    semcal_status status = row == NULL ? sc_error_set(error, SEMCAL_E_MEMORY, "out of memory for a line of output")
                                       : sc_json_append(&out, row, false, error);
    if (status == SEMCAL_OK && (fputs(out.data, stdout) == EOF || putchar('\n') == EOF)) {
        status = sc_error_set(error, SEMCAL_E_DATA, "standard output: cannot write");
    }
    json_decref(row);
    sc_text_free(&out);
    return status;
}

/* `judge` NULL: the kind needs none. */
static semcal_status classify_parts(const line_parts *parts, const sc_collapse_kind *kind, const sc_choices *choices,
                                    const sc_collapse_judge *judge, const char *where, semcal_error *error)
{
    sc_collapse_question *question = NULL;
    sc_collapse_class class = {0};
    sc_collapse_reply reply = {NULL, false};
    semcal_status status = SEMCAL_OK;
    if (judge != NULL) {
        status = judge->reply(&reply, parts->question != NULL ? parts->question : "", parts->response, judge->payload,
                              error);
    }
    if (status == SEMCAL_OK) {
        const sc_choices *list = parts->choices.n > 0 ? &parts->choices : choices;
        const sc_collapse_context context = {.question = parts->question,
                                             .answers = (const char *const *)parts->answers.at,
                                             .n_answers = parts->answers.n,
                                             .choices = list->items,
                                             .n_choices = list->n,
                                             .judge = judge};
        status = sc_collapse_question_make(&question, kind, &context, error);
        if (status != SEMCAL_OK) {
            sc_error_where(error, "%s", where);
        }
    }
    if (status == SEMCAL_OK) {
        status = sc_collapse_classify(&class, question, parts->response, error);
    }
    if (status == SEMCAL_OK) {
        status = print_json(&class, parts->has_answers, judge != NULL, reply.text, error);
    }
    free(class.label);
    sc_collapse_question_free(question);
    return status;
}

static semcal_status classify_line(const json_t *row, const sc_collapse_kind *kind, const sc_choices *choices,
                                   const char *where, semcal_error *error)
{
    line_parts parts;
    semcal_status status = read_parts(&parts, row, where, error);
    if (status == SEMCAL_OK) {
        status = classify_parts(&parts, kind, choices, NULL, where, error);
    }
    free_parts(&parts);
    return status;
}

static semcal_status classify_stream(const sc_collapse_kind *kind, const sc_choices *choices, semcal_error *error)
{
    sc_json_lines lines;
    sc_text where = {0};
    semcal_status status = sc_json_lines_wrap(&lines, stdin, "standard input", error);
    while (status == SEMCAL_OK) {
        json_t *row = NULL;
        status = sc_json_lines_next(&row, &lines, error);
        if (status != SEMCAL_OK || row == NULL) {
            break;
        }
        sc_text_clear(&where);
        status = sc_text_printf(&where, error, "standard input:%zu", lines.line);
        if (status == SEMCAL_OK) {
            status = classify_line(row, kind, choices, where.data, error);
        }
        json_decref(row);
    }
    sc_text_free(&where);
    sc_json_lines_close(&lines);
    return status;
}

enum { BLOCK = 256 };

/* Lines that are judged together. */
typedef struct block {
    line_parts parts[BLOCK];
    size_t line[BLOCK], n;
} block;

static semcal_status classify_block(block *b, const sc_collapse_kind *kind, const sc_choices *choices,
                                    sc_judged *judged, semcal_error *error)
{
    char where[64];
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < b->n && status == SEMCAL_OK; i++) {
        const char *question = b->parts[i].question != NULL ? b->parts[i].question : "";
        (void)snprintf(where, sizeof where, "line %zu", b->line[i]);
        status = sc_judged_want(judged, where, question, b->parts[i].response, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_judged_run(judged, error);
    }
    for (size_t i = 0; i < b->n; i++) {
        if (status == SEMCAL_OK) {
            (void)snprintf(where, sizeof where, "standard input:%zu", b->line[i]);
            status = classify_parts(&b->parts[i], kind, choices, sc_judged_judge(judged), where, error);
        }
        free_parts(&b->parts[i]);
    }
    b->n = 0;
    return status;
}

static semcal_status classify_judged(const sc_collapse_kind *kind, const sc_choices *choices, sc_judged *judged,
                                     semcal_error *error)
{
    sc_json_lines lines;
    block *b = sc_memory_alloc(1, sizeof *b, error);
    json_t *row = NULL;
    semcal_status status = b == NULL ? SEMCAL_E_MEMORY : sc_json_lines_wrap(&lines, stdin, "standard input", error);
    if (status != SEMCAL_OK) {
        free(b);
        return status;
    }
    do {
        char where[64];
        status = sc_json_lines_next(&row, &lines, error);
        if (status == SEMCAL_OK && row != NULL) {
            (void)snprintf(where, sizeof where, "standard input:%zu", lines.line);
            status = read_parts(&b->parts[b->n], row, where, error);
            b->line[b->n++] = lines.line;
        }
        const bool at_end = row == NULL;
        json_decref(row);
        if (status == SEMCAL_OK && b->n > 0 && (b->n == BLOCK || at_end)) {
            status = classify_block(b, kind, choices, judged, error);
        }
    } while (status == SEMCAL_OK && row != NULL);
    for (size_t i = 0; i < b->n; i++) {
        free_parts(&b->parts[i]);
    }
    sc_json_lines_close(&lines);
    free(b);
    return status;
}

static const char format_help[] =
    "Each line of standard input is an object {\"response\"} with optional \"question\", \"answers\" (a text or a\n"
    "list) and \"choices\" (a list of texts or of lists [name, alias, ...]); each line of output is\n"
    "{\"class\", \"parsed\", \"correct\"}, null for correct where the line has no answers. Output is always JSON. With "
    "kind\n"
    "model the lines are shown to a judge, and \"short_answer\" says what it named, null where it was not asked.\n\n"
    "kinds:";

static semcal_status describe(sc_text *details, semcal_error *error)
{
    semcal_status status = sc_text_printf(details, error, "%s", format_help);
    for (size_t i = 0; i < sc_collapse_n_kinds && status == SEMCAL_OK; i++) {
        status = sc_text_printf(details, error, "\n  %-8s %s", sc_collapse_kinds[i]->name,
                                sc_collapse_kinds[i]->description);
    }
    return status;
}

/* What the options say. */
typedef struct request {
    const char *kind, *choices, *judge, *device;
    sc_cli_list set;
} request;

static semcal_status check_judge(const request *r, const sc_collapse_kind *kind, semcal_error *error)
{
    if (kind->needs_judge && r->judge == NULL) {
        return sc_error_set(error, SEMCAL_E_CONFIG,
                            "--judge MODEL_DIR is needed: with kind %s a language model names the short answers",
                            kind->name);
    }
    if (!kind->needs_judge && (r->judge != NULL || r->set.n > 0)) {
        return sc_error_set(error, SEMCAL_E_CONFIG,
                            "--judge and --set are for the kind " SC_JUDGE_KIND ", which alone asks a judge");
    }
    return SEMCAL_OK;
}

static semcal_status ask_judge(const request *r, const sc_collapse_kind *kind, const sc_choices *choices,
                               semcal_error *error)
{
    sc_cli_judge judge;
    semcal_status status = sc_cli_judge_open(&judge, r->judge, &r->set, r->device, error);
    if (status == SEMCAL_OK) {
        status = classify_judged(kind, choices, judge.judged, error);
    }
    sc_cli_judge_close(&judge);
    return status;
}

static semcal_status run(const request *r, semcal_error *error)
{
    const sc_collapse_kind *kind;
    const char *list = r->choices;
    sc_choices choices = {0};
    if (r->kind == NULL) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "--kind KIND is needed; --help lists the kinds");
    }
    semcal_status status = sc_collapse_find(&kind, r->kind, error);
    if (status == SEMCAL_OK) {
        status = check_judge(r, kind, error);
    }
    if (status == SEMCAL_OK && list != NULL && !sc_file_exists(list) && strpbrk(list, "|,") == NULL) {
        status = sc_error_set(error, SEMCAL_E_CONFIG, "--choices: '%s' is no file, and no list of choices a|b,c", list);
    }
    if (status == SEMCAL_OK && list != NULL) {
        status = sc_file_exists(list) ? sc_choices_add_file(&choices, list, error)
                                      : sc_choices_add_text(&choices, list, error);
        if (status == SEMCAL_E_DATA) {
            sc_error_where(error, "--choices");
        }
    }
    if (status == SEMCAL_OK) {
        status = kind->needs_judge ? ask_judge(r, kind, &choices, error) : classify_stream(kind, &choices, error);
    }
    sc_choices_free(&choices);
    return status;
}

semcal_status sc_cli_classify(int argc, char **argv, semcal_error *error)
{
    request r = {.set = {.n = 0}};
    const char **operands = sc_memory_alloc((size_t)argc, sizeof *operands, error);
    int n_operands;
    bool help, json = false;
    sc_text details = {0};
    const sc_cli_option options[] = {
        {"kind", 'k', SC_CLI_TEXT, &r.kind, "KIND", "how responses become classes; see above"},
        {"choices", 0, SC_CLI_TEXT, &r.choices, "LIST",
         "the closed list: a file (one per line, aliases after tabs) or a|b,c"},
        {"judge", 0, SC_CLI_TEXT, &r.judge, "MODEL_DIR", "model: who names the short answers"},
        {"set", 0, SC_CLI_LIST, &r.set, "KEY=VALUE",
         "model: a key of the collapse (prompt, max_tokens, ...; semcal-config(5)); may be repeated"},
        {"device", 0, SC_CLI_TEXT, &r.device, "P:D|NAME", "model: OpenCL device (see 'semcal show devices')"},
        {"json", 0, SC_CLI_FLAG, &json, NULL, "accepted for uniformity: the output is JSON lines"},
    };
    semcal_status status = operands == NULL ? SEMCAL_E_MEMORY : describe(&details, error);
    if (status == SEMCAL_OK) {
        const sc_cli_usage usage = {"classify", "", "classes of responses read from standard input",
                                    0,          0,  details.data};
        status = sc_cli_parse(&n_operands, operands, &help, &usage, options, sizeof options / sizeof *options, argc,
                              argv, error);
    }
    if (status == SEMCAL_OK && !help) {
        status = run(&r, error);
    }
    sc_text_free(&details);
    free(operands);
    return status;
}

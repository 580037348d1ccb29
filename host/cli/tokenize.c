/* SPDX-License-Identifier: Apache-2.0 */
/* semcal tokenize: texts on standard input to token ids on standard output, and back. */
#include "cli/cli.h"

#include "base/memory.h"
#include "language/tokenizer.h"
#include "language/utf8.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

static const char details[] =
    "Reads one text per line and writes its token ids, separated by spaces; a text cannot hold a newline this way.\n"
    "With --json each line is {\"text\": \"...\"} and the answer {\"ids\": [...]}.\n"
    "With --decode it is the other way round: ids separated by white space (or {\"ids\": [...]}) to the text (or\n"
    "{\"text\": \"...\"}). Decoded bytes that are not UTF-8 become U+FFFD.\n"
    "No special tokens are added unless --special, which puts the tokenizer's own around the text; with --decode,\n"
    "--special writes special tokens out instead of leaving them away. A text must be valid UTF-8.";

typedef struct options {
    bool decode, special, json;
} options;

static semcal_status print_json(const char *key, json_t *value, semcal_error *error)
{
    json_t *object = json_pack("{s:o}", key, value);
    char *text = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (text == NULL) {
        return sc_error_set(error, SEMCAL_E_MEMORY, "out of memory: JSON");
    }
    (void)puts(text);
    free(text);
    return SEMCAL_OK;
}

static semcal_status encode_line(const sc_tokenizer *tokenizer, const options *o, const char *text, size_t length,
                                 semcal_error *error)
{
    int32_t *ids = NULL;
    size_t n;
    semcal_status status = sc_tokenizer_encode(&ids, &n, tokenizer, text, length, o->special, error);
    if (status == SEMCAL_OK && o->json) {
        json_t *list = json_array();
        for (size_t i = 0; i < n; i++) {
            (void)json_array_append_new(list, json_integer(ids[i]));
        }
        status = print_json("ids", list, error);
    } else if (status == SEMCAL_OK) {
        for (size_t i = 0; i < n; i++) {
            printf(i > 0 ? " %ld" : "%ld", (long)ids[i]);
        }
        (void)putchar('\n');
    }
    free(ids);
    return status;
}

static semcal_status decode_ids(const sc_tokenizer *tokenizer, const options *o, const int32_t *ids, size_t n,
                                semcal_error *error)
{
    for (size_t i = 0; i < n; i++) {
        if (sc_tokenizer_token(tokenizer, ids[i]) == NULL) {
            return sc_error_set(error, SEMCAL_E_DATA, "id %ld: the tokenizer has no such token", (long)ids[i]);
        }
    }
    char *text = NULL;
    size_t length;
    semcal_status status = sc_tokenizer_decode_text(&text, &length, tokenizer, ids, n, !o->special, error);
    if (status == SEMCAL_OK && o->json) {
        status = print_json("text", json_stringn(text, length), error);
    } else if (status == SEMCAL_OK) {
        (void)fwrite(text, 1, length, stdout);
        (void)putchar('\n');
    }
    free(text);
    return status;
}

/* A growing list of ids; `value` must fit a token id. */
static semcal_status add_id(int32_t **ids, size_t *n, size_t *capacity, long long value, semcal_error *error)
{
    if (value < 0 || value > INT32_MAX) {
        return sc_error_set(error, SEMCAL_E_DATA, "id %lld: must be in [0, %d]", value, INT32_MAX);
    }
    const semcal_status status = sc_memory_grow(ids, capacity, *n + 1, sizeof **ids, error);
    if (status == SEMCAL_OK) {
        (*ids)[(*n)++] = (int32_t)value;
    }
    return status;
}

static semcal_status parse_ids(int32_t **ids, size_t *n, size_t *capacity, const char *line, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (const char *at = line + strspn(line, " \t\r"); *at != '\0' && status == SEMCAL_OK;) {
        char *end;
        const long long value = strtoll(at, &end, 10);
        if (end == at || (*end != '\0' && strchr(" \t\r", *end) == NULL)) {
            return sc_error_set(error, SEMCAL_E_DATA, "\"%.20s\": must be a token id", at);
        }
        status = add_id(ids, n, capacity, value, error);
        at = end + strspn(end, " \t\r");
    }
    return status;
}

static semcal_status decode_line(const sc_tokenizer *tokenizer, const options *o, const char *line, const json_t *json,
                                 semcal_error *error)
{
    int32_t *ids = NULL;
    size_t n = 0, capacity = 0;
    semcal_status status = SEMCAL_OK;
    if (json != NULL) {
        const json_t *list = json_object_get(json, "ids");
        if (!json_is_array(list)) {
            return sc_error_set(error, SEMCAL_E_DATA, "ids: must be a list of token ids");
        }
        for (size_t i = 0; i < json_array_size(list) && status == SEMCAL_OK; i++) {
            const json_t *id = json_array_get(list, i);
            status = json_is_integer(id) ? add_id(&ids, &n, &capacity, json_integer_value(id), error)
                                         : sc_error_set(error, SEMCAL_E_DATA, "ids[%zu]: must be a token id", i);
        }
    } else {
        status = parse_ids(&ids, &n, &capacity, line, error);
    }
    if (status == SEMCAL_OK) {
        status = decode_ids(tokenizer, o, ids, n, error);
    }
    free(ids);
    return status;
}

static semcal_status one_line(const sc_tokenizer *tokenizer, const options *o, const char *line, size_t length,
                              semcal_error *error)
{
    semcal_status status = sc_utf8_check(line, length, error);
    if (status != SEMCAL_OK || !o->json) {
        if (status != SEMCAL_OK) {
            return status;
        }
        return o->decode ? decode_line(tokenizer, o, line, NULL, error)
                         : encode_line(tokenizer, o, line, length, error);
    }
    json_error_t where;
    json_t *json = json_loadb(line, length, JSON_ALLOW_NUL, &where);
    if (json == NULL) {
        return sc_error_set(error, SEMCAL_E_DATA, "column %d: %s", where.column, where.text);
    }
    if (o->decode) {
        status = decode_line(tokenizer, o, line, json, error);
    } else {
        const json_t *text = json_object_get(json, "text");
        status = json_is_string(text)
                     ? encode_line(tokenizer, o, json_string_value(text), json_string_length(text), error)
                     : sc_error_set(error, SEMCAL_E_DATA, "text: must be a string");
    }
    json_decref(json);
    return status;
}

static semcal_status all_lines(const sc_tokenizer *tokenizer, const options *o, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    char *line = NULL;
    size_t capacity = 0, number = 0;
    ssize_t got;
    while (status == SEMCAL_OK && (got = getline(&line, &capacity, stdin)) >= 0) {
        size_t length = (size_t)got;
        number++;
        if (length > 0 && line[length - 1] == '\n') {
            line[--length] = '\0';
        }
        if (o->json && strspn(line, " \t\r") == length) {
            continue; /* an empty line between JSON values */
        }
        status = one_line(tokenizer, o, line, length, error);
        if (status != SEMCAL_OK) {
            sc_error_where(error, "standard input:%zu", number);
        }
    }
    if (status == SEMCAL_OK && ferror(stdin)) {
        status = sc_error_set(error, SEMCAL_E_DATA, "standard input: cannot read");
    }
    free(line);
    return status;
}

semcal_status sc_cli_tokenize(int argc, char **argv, semcal_error *error);

semcal_status sc_cli_tokenize(int argc, char **argv, semcal_error *error)
{
    static const sc_cli_usage usage = {"tokenize", "MODEL_DIR", "token ids of texts, and texts of token ids",
                                       1,          1,           details};
    options o = {0};
    const sc_cli_option table[] = {
        {"decode", 'd', SC_CLI_FLAG, &o.decode, NULL, "ids to text"},
        {"special", 's', SC_CLI_FLAG, &o.special, NULL, "add (or show) the tokenizer's special tokens"},
        {"json", 'j', SC_CLI_FLAG, &o.json, NULL, "JSON lines in and out"},
    };
    const char *operands[64];
    int n_operands;
    bool help;
    if (argc > 64) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "too many arguments; usage: semcal tokenize MODEL_DIR");
    }
    semcal_status status =
        sc_cli_parse(&n_operands, operands, &help, &usage, table, sizeof table / sizeof *table, argc, argv, error);
    if (status != SEMCAL_OK || help) {
        return status;
    }
    sc_tokenizer *tokenizer = NULL;
    status = sc_tokenizer_open(&tokenizer, operands[0], error);
    if (status == SEMCAL_OK) {
        status = all_lines(tokenizer, &o, error);
    }
    sc_tokenizer_free(tokenizer);
    return status;
}

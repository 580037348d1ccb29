/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/prompt.h"

#include "base/memory.h"
#include "base/nearest.h"
#include "base/random.h"

#include <stdlib.h>
#include <string.h>

typedef enum piece { PIECE_TEXT, PIECE_QUESTION, PIECE_ANSWER, PIECE_SHOTS, PIECE_RESPONSE, N_PIECES } piece;

static const char *const piece_names[N_PIECES] = {"", "question", "answer", "shots", "response"};

/* What a template is of; each has {question} and one piece more. */
typedef enum template_use { USE_PROMPT, USE_SHOT, USE_JUDGE } template_use;

static const piece second_piece[] = {
    [USE_PROMPT] = PIECE_SHOTS, [USE_SHOT] = PIECE_ANSWER, [USE_JUDGE] = PIECE_RESPONSE};

/* Reads the piece at *at and moves behind it. For text, [begin, begin + length) is what it stands for. */
static semcal_status next_piece(piece *what, const char **begin, size_t *length, const char **at, template_use use,
                                semcal_error *error)
{
    const char *open = *at;
    *what = PIECE_TEXT;
    *begin = open;
    *length = strcspn(open, "{}");
    if (*length > 0) {
        *at = open + *length;
        return SEMCAL_OK;
    }
    *length = 1;
    if (open[1] == open[0]) { /* {{ or }} */
        *at = open + 2;
        return SEMCAL_OK;
    }
    size_t n = strcspn(open + 1, "{}\n");
    if (open[0] == '}' || open[1 + n] != '}') {
        return sc_error_set(error, SEMCAL_E_CONFIG, "a single '%c' in a template; write '%c%c' for the character",
                            open[0], open[0], open[0]);
    }
    *at = open + n + 2;
    for (piece p = PIECE_QUESTION; p < N_PIECES; p++) {
        bool fits = p == PIECE_QUESTION || p == second_piece[use];
        if (fits && strlen(piece_names[p]) == n && memcmp(piece_names[p], open + 1, n) == 0) {
            *what = p;
            return SEMCAL_OK;
        }
    }
    const char *const names[] = {"question", piece_names[second_piece[use]]};
    char name[64];
    size_t shown = n < sizeof name ? n : sizeof name - 1;
    memcpy(name, open + 1, shown);
    name[shown] = '\0';
    const char *near = sc_nearest_name(name, names, 2);
    if (near != NULL && strcmp(near, name) != 0) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "'{%s}' stands for nothing, did you mean '{%s}'?", name, near);
    }
    return sc_error_set(error, SEMCAL_E_CONFIG, "'{%s}' stands for nothing here, there are {%s} and {%s}", name,
                        names[0], names[1]);
}

static semcal_status check(const char *text, template_use use, semcal_error *error)
{
    bool seen[N_PIECES] = {false};
    for (const char *at = text; *at != '\0';) {
        piece what;
        const char *begin;
        size_t length;
        semcal_status status = next_piece(&what, &begin, &length, &at, use, error);
        if (status != SEMCAL_OK) {
            return status;
        }
        seen[what] = true;
    }
    if (!seen[PIECE_QUESTION]) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "must contain {question}");
    }
    if (use != USE_PROMPT && !seen[second_piece[use]]) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "must contain {%s}", piece_names[second_piece[use]]);
    }
    return SEMCAL_OK;
}

semcal_status sc_prompt_check(const char *text, bool is_shot, semcal_error *error)
{
    return check(text, is_shot ? USE_SHOT : USE_PROMPT, error);
}

semcal_status sc_prompt_check_judge(const char *text, semcal_error *error)
{
    return check(text, USE_JUDGE, error);
}

static semcal_status append(sc_text *out, const char *text, semcal_error *error)
{
    return sc_text_append(out, text, strlen(text), error);
}

/* Appends a filled template. `texts` by piece; *has_shots tells whether {shots} was there. */
static semcal_status fill(sc_text *out, const char *text, template_use use, const char *const texts[N_PIECES],
                          bool *has_shots, semcal_error *error)
{
    semcal_status status = check(text, use, error);
    for (const char *at = text; *at != '\0' && status == SEMCAL_OK;) {
        piece what;
        const char *begin;
        size_t length;
        status = next_piece(&what, &begin, &length, &at, use, error);
        if (status != SEMCAL_OK) {
            break;
        }
        *has_shots = *has_shots || what == PIECE_SHOTS;
        status = what == PIECE_TEXT ? sc_text_append(out, begin, length, error) : append(out, texts[what], error);
    }
    return status;
}

semcal_status sc_prompt_build(char **prompt, const sc_prompt_template *parts, const char *question,
                              const sc_prompt_shot *shots, size_t n_shots, semcal_error *error)
{
    sc_text examples = {0}, tail = {0};
    bool placed = false, unused = false;
    *prompt = NULL;
    semcal_status status = append(&examples, "", error);
    for (size_t i = 0; i < n_shots && status == SEMCAL_OK; i++) {
        const char *const texts[N_PIECES] = {"", shots[i].question, shots[i].answer, "", ""};
        status = fill(&examples, parts->shot, USE_SHOT, texts, &unused, error);
        if (status == SEMCAL_OK) {
            status = append(&examples, parts->separator, error);
        }
    }
    if (status == SEMCAL_OK) {
        const char *const texts[N_PIECES] = {"", question, "", examples.data == NULL ? "" : examples.data, ""};
        status = fill(&tail, parts->prompt, USE_PROMPT, texts, &placed, error);
    }
    if (status == SEMCAL_OK && !placed) {
        status = sc_text_append(&examples, tail.data, tail.length, error);
        if (status == SEMCAL_OK) {
            *prompt = examples.data;
            examples = (sc_text){0};
        }
    } else if (status == SEMCAL_OK) {
        *prompt = tail.data;
        tail = (sc_text){0};
    }
    sc_text_free(&examples);
    sc_text_free(&tail);
    return status;
}

semcal_status sc_prompt_judge(char **prompt, const char *text, const char *question, const char *response,
                              semcal_error *error)
{
    sc_text out = {0};
    bool unused = false;
    const char *const texts[N_PIECES] = {[PIECE_QUESTION] = question, [PIECE_RESPONSE] = response};
    semcal_status status = fill(&out, text, USE_JUDGE, texts, &unused, error);
    if (status != SEMCAL_OK) {
        sc_text_free(&out);
    }
    *prompt = out.data;
    return status;
}

semcal_status sc_prompt_choose(size_t *rows, size_t n, size_t n_rows, const uint64_t *seed, semcal_error *error)
{
    if (n > n_rows) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "%zu examples wanted, there are %zu", n, n_rows);
    }
    if (n_rows > UINT32_MAX) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "%zu examples to choose from are too many", n_rows);
    }
    size_t *order = sc_memory_alloc(n_rows, sizeof *order, error);
    if (order == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < n_rows; i++) {
        order[i] = i;
    }
    sc_random_stream stream;
    sc_random_stream_init(&stream, sc_random_key(seed == NULL ? 0 : *seed, "shots", ""), 0);
    for (size_t i = 0; i < n; i++) { /* the first n steps of a Fisher-Yates shuffle */
        if (seed != NULL) {
            size_t other = i + sc_random_below(&stream, (uint32_t)(n_rows - i)), kept = order[i];
            order[i] = order[other];
            order[other] = kept;
        }
        rows[i] = order[i];
    }
    free(order);
    return SEMCAL_OK;
}

semcal_status sc_prompt_response(char **response, const char *style, const char *answer, semcal_error *error)
{
    *response = NULL;
    if (strcmp(style, "cot") == 0) {
        *response = sc_memory_strdup(answer, error);
        return *response == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    const char *begin = answer;
    for (const char *mark = strstr(answer, "####"); mark != NULL; mark = strstr(mark + 4, "####")) {
        begin = mark + 4;
    }
    begin += strspn(begin, " \t\r\n");
    size_t n = strlen(begin);
    while (n > 0 && strchr(" \t\r\n", begin[n - 1]) != NULL) {
        n--;
    }
    sc_text out = {0};
    bool sentence = strcmp(style, "sentence") == 0;
    bool stopped = n > 0 && strchr(".!?", begin[n - 1]) != NULL;
    semcal_status status = sentence ? append(&out, "The answer is ", error) : append(&out, "", error);
    if (status == SEMCAL_OK) {
        status = sc_text_append(&out, begin, n, error);
    }
    if (status == SEMCAL_OK && sentence && !stopped) {
        status = append(&out, ".", error);
    }
    if (status != SEMCAL_OK) {
        sc_text_free(&out);
        return status;
    }
    *response = out.data;
    return SEMCAL_OK;
}

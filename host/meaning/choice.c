/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collapse kind `choice`: a closed list. Each choice is found by its name or aliases as whole words, and by its letter
 * when the options are lettered: all names are single letters, or carry one ("B. London", "(B) London"), or the
 * question shows them with one. Without a list, the choices are the lettered options of the question. A response that
 * names none, or two different ones, is unparsed.
 */
#include "meaning/choices.h"
#include "meaning/kinds.h"
#include "meaning/list.h"
#include "meaning/words.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct options {
    sc_list *list;
    size_t class_of[26]; /* letter -> class */
    size_t n_letters;    /* 0: not lettered */
    bool bare;           /* the letters are the names: texts are not searched */
} options;

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_word(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80;
}

/* The text behind "B. ", "B) ", "(B) ", "B: "; NULL when `text` does not begin so. */
static const char *behind_letter(const char *text, char letter)
{
    text += *text == '(';
    if (*text != letter || text[1] == '\0' || strchr(").:", text[1]) == NULL || text[2] != ' ') {
        return NULL;
    }
    text += 2 + strspn(text + 2, " ");
    return *text != '\0' ? text : NULL;
}

/* True when the question lists "B. name" (or with another mark) for choice `letter`. */
static bool question_letters(const char *question, char letter, const char *choice)
{
    for (const char *at = strchr(question, letter); at != NULL; at = strchr(at + 1, letter)) {
        if (at > question && is_word(at[-1])) {
            continue;
        }
        const char *text = behind_letter(at, letter);
        if (text != NULL && strncasecmp(text, choice, strlen(choice)) == 0 && !is_word(text[strlen(choice)])) {
            return true;
        }
    }
    return false;
}

static void find_letters(options *made, const sc_collapse_context *context, bool *in_names)
{
    size_t n = context->n_choices, n_bare = 0, n_named = 0, n_asked = 0;
    *in_names = false;
    if (n > 26) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const char *text = context->choices[i].name;
        char letter = (char)('A' + i);
        n_bare += strlen(text) == 1 && (text[0] == letter || text[0] == letter + 32);
        n_named += behind_letter(text, letter) != NULL;
        n_asked += context->question != NULL && question_letters(context->question, letter, text);
    }
    made->bare = n_bare == n;
    *in_names = n_named == n;
    made->n_letters = made->bare || *in_names || n_asked == n ? n : 0;
}

static void choice_release(void *data)
{
    options *made = data;
    if (made != NULL) {
        sc_list_free(made->list);
        free(made);
    }
}

static semcal_status add_choice(options *made, const sc_choice *choice, size_t i, bool in_names, semcal_error *error)
{
    const char *text = in_names ? behind_letter(choice->name, (char)('A' + i)) : choice->name;
    size_t class, n_before = sc_list_n_classes(made->list);
    semcal_status status = sc_list_add_class(&class, made->list, text, error);
    if (status == SEMCAL_OK && class < n_before) {
        return sc_error_set(error, SEMCAL_E_DATA, "choice '%s' reads the same as choice '%s'", choice->name,
                            sc_list_label(made->list, class));
    }
    for (size_t j = 0; j < choice->n_aliases && status == SEMCAL_OK; j++) {
        status = sc_list_add_name(made->list, class, choice->aliases[j], error);
    }
    if (status == SEMCAL_OK && i < 26) {
        made->class_of[i] = class;
    }
    return status;
}

/* Where option `letter` ("B. ", "B) ", "(B) ", "B: ") begins in `text`, or NULL. */
static const char *find_option(const char *text, const char *question, char letter)
{
    for (const char *at = strchr(text, letter); at != NULL; at = strchr(at + 1, letter)) {
        bool open = at > question && at[-1] == '(';
        if ((open || at == question || !is_word(at[-1])) && behind_letter(at, letter) != NULL) {
            return open ? at - 1 : at;
        }
    }
    return NULL;
}

/* Adds the options a question lists: from A on, each to the next one or to the end of its line. */
static semcal_status add_question_options(sc_choices *choices, const char *question, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    const char *at = question == NULL ? NULL : find_option(question, question, 'A');
    for (char letter = 'A'; at != NULL && letter <= 'Z' && status == SEMCAL_OK; letter++) {
        const char *next = letter < 'Z' ? find_option(at + 2, question, (char)(letter + 1)) : NULL;
        const char *text = behind_letter(at, letter), *end = text + strcspn(text, "\n");
        end = next != NULL && next < end ? next : end;
        while (end > text && strchr(" \t\r,;", end[-1]) != NULL) {
            end--;
        }
        sc_text name = {0};
        status = sc_text_printf(&name, error, "%c. %.*s", letter, (int)(end - text), text);
        if (status == SEMCAL_OK) {
            const char *const names[] = {name.data};
            status = sc_choices_add(choices, names, 1, error);
        }
        sc_text_free(&name);
        at = next;
    }
    return status;
}

static semcal_status prepare_list(void **data, const sc_collapse_context *context, semcal_error *error)
{
    options *made = sc_memory_alloc(1, sizeof *made, error);
    if (made == NULL) {
        return SEMCAL_E_MEMORY;
    }
    bool in_names;
    semcal_status status = sc_list_make(&made->list, error);
    find_letters(made, context, &in_names);
    for (size_t i = 0; i < context->n_choices && status == SEMCAL_OK; i++) {
        status = add_choice(made, &context->choices[i], i, in_names, error);
    }
    if (status != SEMCAL_OK) {
        choice_release(made);
        return status;
    }
    *data = made;
    return SEMCAL_OK;
}

static semcal_status choice_prepare(void **data, const sc_collapse_context *context, semcal_error *error)
{
    if (context->n_choices > 0) {
        return prepare_list(data, context, error);
    }
    sc_choices found = {0};
    semcal_status status = add_question_options(&found, context->question, error);
    if (status == SEMCAL_OK && found.n < 2) {
        status =
            sc_error_set(error, SEMCAL_E_DATA,
                         "collapse kind 'choice' needs a list of choices: there is none, and the question shows no "
                         "options (A) and (B)");
    }
    if (status == SEMCAL_OK) {
        sc_collapse_context with = *context;
        with.choices = found.items;
        with.n_choices = found.n;
        status = prepare_list(data, &with, error);
    }
    sc_choices_free(&found);
    return status;
}

/* The option that `c` is the letter of; n_letters when it is none. */
static size_t option_of(const options *made, char c)
{
    size_t i = c >= 'a' ? (size_t)(c - 'a') : (size_t)(c - 'A');
    return is_letter(c) && i < made->n_letters ? i : made->n_letters;
}

static bool mark_letter(bool *hit, const options *made, char c)
{
    size_t i = option_of(made, c);
    if (i < made->n_letters) {
        hit[made->class_of[i]] = true;
    }
    return i < made->n_letters;
}

/* Past blanks, Markdown marks and LaTeX's text commands. */
static const char *skip_marks(const char *at)
{
    static const char *const commands[] = {"\\text{", "\\textbf{", "\\mathrm{", "\\mathbf{"};
    for (;;) {
        const char *before = at;
        at += strspn(at, " \t\r\n*_`\"'");
        for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
            if (strncmp(at, commands[i], strlen(commands[i])) == 0) {
                at += strlen(commands[i]);
            }
        }
        if (at == before) {
            return at;
        }
    }
}

/* "A" and "I" followed by a word in small letters are words themselves, unless that word joins or explains. */
static bool is_pronoun(const char *at)
{
    static const char *const after[] = {"or ", "and ", "because ", "since ", "as ", "is "};
    if ((at[0] != 'A' && at[0] != 'I') || at[1] != ' ' || at[2] < 'a' || at[2] > 'z') {
        return false;
    }
    for (size_t i = 0; i < sizeof after / sizeof *after; i++) {
        if (strncmp(at + 2, after[i], strlen(after[i])) == 0) {
            return false;
        }
    }
    return true;
}

/* The letter a statement begins with: alone, or "B.", "B)", "(B)", "B because". */
static void leading_letter(bool *hit, const options *made, const char *statement)
{
    const char *at = skip_marks(statement);
    bool open = *at == '(' || *at == '[';
    at += open;
    if (!is_letter(*at) || is_word(at[1])) {
        return;
    }
    bool alone = at[1 + strspn(at + 1, " \t\r\n*_`\"'.:,;!)]}$\\")] == '\0';
    bool big = *at < 'a';
    if (alone || open || at[1] == ')' || (big && !is_pronoun(at) && at[1] != '\'')) {
        (void)mark_letter(hit, made, *at);
    }
}

/* "(B)" anywhere, and the letter behind "option", "choice", "letter" or, after another one, "or" and "and". */
static void inner_letters(bool *hit, const options *made, const char *statement)
{
    static const char *const words[] = {"option ", "choice ", "letter ", "or ", "and "};
    for (const char *at = statement; *at != '\0'; at++) {
        if (*at == '(' && is_letter(at[1]) && at[2] == ')') {
            (void)mark_letter(hit, made, at[1]);
        }
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
            size_t n = strlen(words[i]);
            if (strncasecmp(at, words[i], n) == 0 && (at == statement || !is_word(at[-1]))) {
                const char *letter = skip_marks(at + n);
                letter += *letter == '(';
                if (*letter >= 'A' && *letter <= 'Z' && !is_word(letter[1]) && !is_pronoun(letter)) {
                    (void)mark_letter(hit, made, *letter);
                }
            }
        }
    }
}

/* Capital letters that stand alone somewhere: the last resort ("I would say B"). */
static void lone_letters(bool *hit, const options *made, const char *statement)
{
    for (const char *at = statement; *at != '\0'; at++) {
        if (*at >= 'A' && *at <= 'Z' && *at != 'I' && (at == statement || !is_word(at[-1])) && !is_word(at[1]) &&
            at[1] != '\'' && !is_pronoun(at)) {
            (void)mark_letter(hit, made, *at);
        }
    }
}

static size_t count_hits(size_t *class, const bool *hit, size_t n)
{
    size_t n_hits = 0;
    for (size_t i = 0; i < n; i++) {
        n_hits += hit[i];
        *class = hit[i] ? i : *class;
    }
    return n_hits;
}

static semcal_status choice_label(char **label, const void *data, const char *response, semcal_error *error)
{
    const options *made = data;
    size_t n_classes = sc_list_n_classes(made->list), class = 0;
    char *statement = NULL, *plain = NULL;
    bool marked, *hit = NULL;
    *label = NULL;
    semcal_status status = sc_list_statement(&statement, &marked, response, error);
    if (status == SEMCAL_OK) {
        status = sc_words_plain(&plain, statement, error);
    }
    if (status != SEMCAL_OK) {
        goto done;
    }
    hit = sc_memory_alloc(n_classes, sizeof *hit, error);
    if (hit == NULL) {
        status = SEMCAL_E_MEMORY;
        goto done;
    }
    if (!made->bare) {
        status = sc_list_search(hit, made->list, plain, error);
    }
    if (made->n_letters > 0) {
        leading_letter(hit, made, statement);
        inner_letters(hit, made, statement);
        if (count_hits(&class, hit, n_classes) == 0) {
            lone_letters(hit, made, statement);
        }
    }
    if (status == SEMCAL_OK && count_hits(&class, hit, n_classes) == 1) {
        *label = sc_memory_strdup(sc_list_label(made->list, class), error);
        status = *label == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
done:
    free(statement);
    free(plain);
    free(hit);
    return status;
}

const sc_collapse_kind sc_collapse_choice = {
    .name = "choice",
    .description = "one of a closed list, by name, alias or letter",
    .needs_choices = true,
    .prepare = choice_prepare,
    .release = choice_release,
    .label = choice_label,
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collapse B: from the text of a response to the class of its meaning.
 *
 * A *kind* is a way to do it. A *question* holds what a kind knows beside the response: the question's text, the
 * accepted answers and, for closed lists, the choices. Classes are named by labels: two responses to one question have
 * one class exactly when their labels are equal byte for byte. A response in which nothing is found has the reserved
 * label SC_COLLAPSE_UNPARSED; it is a class with mass like any other, and never correct.
 *
 * All functions are pure: same texts, same label, on any thread; a question may be shared between threads once made.
 * Texts are NUL-terminated; bytes that are not UTF-8 count as U+FFFD.
 */
#ifndef SC_MEANING_COLLAPSE_H
#define SC_MEANING_COLLAPSE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

/* The label of the class `unparsed`; no parsed response has it. */
#define SC_COLLAPSE_UNPARSED ""

/* What tables and people call that class. */
#define SC_COLLAPSE_UNPARSED_NAME "unparsed"

/* One entry of a closed list; `aliases` may be NULL. */
typedef struct sc_choice {
    const char *name;
    const char *const *aliases;
    size_t n_aliases;
} sc_choice;

typedef struct sc_collapse_kind sc_collapse_kind;
typedef struct sc_collapse_question sc_collapse_question;

/* What a language model said when it was shown a response. */
typedef struct sc_collapse_reply {
    const char *text; /* blanks around it dropped; NULL: it was not asked, as the response is blank */
    bool cut;         /* it did not come to an end */
} sc_collapse_reply;

/* Where the kind `model` finds those replies, and what it makes of them. Must outlive the questions. */
typedef struct sc_collapse_judge {
    /* The reply to `response` to `question`, borrowed while the judge lives. Same texts, same reply, on any thread. */
    semcal_status (*reply)(sc_collapse_reply *reply, const char *question, const char *response, void *payload,
                           semcal_error *error);
    void *payload;
    const sc_collapse_kind *then; /* makes classes of short answers; NULL: alias where a question has several accepted
                                     answers or choices, else exact */
    const char *const *unknown;   /* [n_unknown] replies that name no answer */
    size_t n_unknown;
} sc_collapse_judge;

/* What a question knows; the texts need not outlive sc_collapse_question_make. Initialise with {0}. */
typedef struct sc_collapse_context {
    const char *question;       /* may be NULL */
    const char *const *answers; /* accepted answers, or texts that hold them (a worked solution) */
    size_t n_answers;           /* may be 0: then nothing is correct */
    const sc_choice *choices;   /* for choice, and for alias the other answers a response can name */
    size_t n_choices;
    const sc_collapse_judge *judge; /* for model */
} sc_collapse_context;

/* One row of the table of kinds. `prepare` and `label` see prepared data that only the kind understands. */
struct sc_collapse_kind {
    const char *name;
    const char *description; /* one line for tables */
    bool open_text;          /* a wrong answer may be any text: in sentence style, classes are strings, not meanings,
                                which splits one meaning into many classes and looks like underconfidence */
    bool needs_choices;      /* fails without choices, unless the question lists them with letters */
    bool needs_judge;        /* fails without a judge, which has seen all responses before */
    semcal_status (*prepare)(void **data, const sc_collapse_context *context, semcal_error *error); /* may be NULL */
    void (*release)(void *data);                                                                    /* may be NULL */
    /* `*label` is malloc'ed, or NULL when nothing is found. */
    semcal_status (*label)(char **label, const void *data, const char *response, semcal_error *error);
    /* The same for an accepted answer; NULL: as a response. */
    semcal_status (*reference)(char **label, const void *data, const char *answer, semcal_error *error);
};

/* The table, in the order of the manual. */
extern const sc_collapse_kind *const sc_collapse_kinds[];
extern const size_t sc_collapse_n_kinds;

/* The kind called `name`. SEMCAL_E_CONFIG with the nearest name when there is none. */
semcal_status sc_collapse_find(const sc_collapse_kind **kind, const char *name, semcal_error *error);

/* Prepares `kind` for one question: normalises lists once, and finds the classes of the accepted answers.
 * SEMCAL_E_DATA when choices are missing, empty, or two of them read the same. Free with sc_collapse_question_free. */
semcal_status sc_collapse_question_make(sc_collapse_question **question, const sc_collapse_kind *kind,
                                        const sc_collapse_context *context, semcal_error *error);
void sc_collapse_question_free(sc_collapse_question *question);

/* What a response means. */
typedef struct sc_collapse_class {
    char *label;  /* malloc'ed; SC_COLLAPSE_UNPARSED when nothing was found */
    bool parsed;  /* something was found */
    bool correct; /* its class is the class of an accepted answer */
} sc_collapse_class;

/* The class of one response. Free `class->label` with free(). Fails only when memory is exhausted. */
semcal_status sc_collapse_classify(sc_collapse_class *class, const sc_collapse_question *question, const char *response,
                                   semcal_error *error);

/* The same for an answer that is no response: one of a known law, which no judge has to be asked about. */
semcal_status sc_collapse_classify_answer(sc_collapse_class *class, const sc_collapse_question *question,
                                          const char *answer, semcal_error *error);

/* True when `label` is the class of an accepted answer; false for SC_COLLAPSE_UNPARSED. */
bool sc_collapse_is_correct(const sc_collapse_question *question, const char *label);

/* The classes of the accepted answers, each once, in the order of the answers. */
const char *const *sc_collapse_references(const sc_collapse_question *question, size_t *n_references);

/* How many accepted answers have no class (a reference without a number under `numeric`). When all of them have none,
 * no response can be correct and the data or the kind is wrong: callers should say so. */
size_t sc_collapse_n_unparsed_references(const sc_collapse_question *question);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Where a response states its answer: the marks people and models put in front of it. */
#ifndef SC_MEANING_ANSWER_H
#define SC_MEANING_ANSWER_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum sc_answer_mark {
    SC_ANSWER_HASHES, /* "#### 18", to the end of the line (GSM8K) */
    SC_ANSWER_LINE,   /* a line that begins with "A:" */
    SC_ANSWER_BOXED,  /* \boxed{18} or \fbox{18}: what is between the braces */
    SC_ANSWER_PHRASE  /* "the answer is 18", "Answer: 18", "the final answer to this = 18", to the end of the line;
                         when nothing follows on the line, the next line that is not blank. Not "answer is not". */
} sc_answer_mark;

/* The statement behind a mark, a part of the text searched, without the blanks around it. */
typedef struct sc_answer_span {
    sc_answer_mark mark;
    const char *begin, *end;
    bool last_line; /* nothing but blanks follows the line where the statement ends */
} sc_answer_span;

/* All statements in [text, end), of which the last 16 KiB are searched, ordered by where they begin. `*spans` is
 * malloc'ed. */
semcal_status sc_answer_find(sc_answer_span **spans, size_t *n_spans, const char *text, const char *end,
                             semcal_error *error);

/* The end of the response proper: models that are not stopped go on with a question of their own, and what follows a
 * line that begins with "Q:" or "Question:" (not the first line) is no part of the answer. */
const char *sc_answer_end(const char *text);

/* The end of the sentence that starts at `begin`: after its `.`, `!` or `?` that a blank follows, else `end`. */
const char *sc_answer_sentence_end(const char *begin, const char *end);

#endif

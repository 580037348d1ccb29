/* SPDX-License-Identifier: Apache-2.0 */
/* Pre-tokenizers: each cuts (and may rewrite) the pieces of the one before. */
#include "language/tokenizer_internal.h"
#include "language/utf8.h"

#include <stdlib.h>
#include <string.h>

/* A part of a piece: a match of what is looked for, or what lies between two matches. */
typedef struct part {
    size_t begin, end;
    bool match;
} part;

typedef struct parts {
    part *items;
    size_t n, capacity;
} parts;

static semcal_status add_part(parts *list, size_t begin, size_t end, bool match, semcal_error *error)
{
    const semcal_status status = sc_memory_grow(&list->items, &list->capacity, list->n + 1, sizeof *list->items, error);
    if (status == SEMCAL_OK) {
        list->items[list->n++] = (part){begin, end, match};
    }
    return status;
}

/* Cuts at the matches of a pattern. */
static semcal_status cut_pattern(parts *list, sc_search *search, const char *text, size_t length, semcal_error *error)
{
    sc_search_begin(search, text, length);
    size_t done = 0;
    for (;;) {
        sc_match match;
        bool found;
        semcal_status status = sc_search_next(&match, &found, search, error);
        if (status == SEMCAL_OK && !found) {
            return done < length ? add_part(list, done, length, false, error) : SEMCAL_OK;
        }
        if (status == SEMCAL_OK && match.begin > done) {
            status = add_part(list, done, match.begin, false, error);
        }
        if (status == SEMCAL_OK) {
            status = add_part(list, match.begin, match.end, true, error);
        }
        if (status != SEMCAL_OK) {
            return status;
        }
        done = match.end;
    }
}

/* Cuts by character class; `run` keeps neighbours of one class together. Class 0 lies between the matches. */
static semcal_status cut_classes(parts *list, int (*class_of)(uint32_t), bool run, const char *text, size_t length,
                                 semcal_error *error)
{
    int current = -1;
    for (size_t at = 0; at < length;) {
        uint32_t codepoint = 0;
        size_t step = sc_utf8_decode(&codepoint, text + at, length - at);
        step = step > 0 ? step : 1;
        const int class = class_of(codepoint);
        if (class == current && (run || class == 0)) {
            list->items[list->n - 1].end = at + step;
        } else {
            const semcal_status status = add_part(list, at, at + step, class != 0, error);
            if (status != SEMCAL_OK) {
                return status;
            }
        }
        current = class;
        at += step;
    }
    return SEMCAL_OK;
}

static int number_class(uint32_t c)
{
    return sc_utf8_is_number(c);
}

static int punctuation_class(uint32_t c)
{
    return sc_table_is_punctuation(c);
}

static int space_class(uint32_t c)
{
    return sc_utf8_is_space(c);
}

static int visible_class(uint32_t c)
{
    return sc_utf8_is_space(c) ? 0 : sc_utf8_is_word(c) ? 1 : 2;
}

/* What becomes of the matches. The rules are written on the parts in place. */
static void behave(parts *list, sc_split_behavior behavior)
{
    size_t n = 0;
    bool before = false;
    part *p = list->items;
    switch (behavior) {
    case SC_SPLIT_ISOLATED:
        return;
    case SC_SPLIT_REMOVED:
        for (size_t i = 0; i < list->n; i++) {
            if (!p[i].match) {
                p[n++] = p[i];
            }
        }
        break;
    case SC_SPLIT_CONTIGUOUS:
    case SC_SPLIT_MERGED_WITH_PREVIOUS:
        for (size_t i = 0; i < list->n; i++) {
            const part now = p[i];
            const bool join = behavior == SC_SPLIT_CONTIGUOUS ? now.match == before : now.match && !before;
            if (join && n > 0) {
                p[n - 1].end = now.end;
            } else {
                p[n++] = now;
            }
            before = now.match;
        }
        break;
    case SC_SPLIT_MERGED_WITH_NEXT: /* from the right; `n` counts what is kept at the end of the list */
        for (size_t i = list->n; i-- > 0;) {
            const part now = p[i];
            if (now.match && !before && n > 0) {
                p[list->n - n].begin = now.begin;
            } else {
                n++;
                p[list->n - n] = now;
            }
            before = now.match;
        }
        memmove(p, p + (list->n - n), n * sizeof *p);
        break;
    }
    list->n = n;
}

static semcal_status add_parts(sc_pieces *out, const parts *list, const char *text, bool at_start, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < list->n && status == SEMCAL_OK; i++) {
        const part *p = &list->items[i];
        status = sc_pieces_add(out, text + p->begin, p->end - p->begin, -1, at_start && p->begin == 0, error);
    }
    return status;
}

/* What a step needs while it runs over its pieces. */
typedef struct work {
    parts list;
    sc_search search;
    sc_text text, mapped;
} work;

static semcal_status split_byte_level(const sc_splitter *s, work *w, sc_pieces *out, bool at_start, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    if (s->add_prefix_space && w->text.data[0] != ' ') {
        status = sc_text_append(&w->text, " ", 1, error);
        if (status != SEMCAL_OK) {
            return status;
        }
        memmove(w->text.data + 1, w->text.data, w->text.length - 1);
        w->text.data[0] = ' ';
    }
    status = s->pattern != NULL ? cut_pattern(&w->list, &w->search, w->text.data, w->text.length, error)
                                : add_part(&w->list, 0, w->text.length, true, error);
    for (size_t i = 0; i < w->list.n && status == SEMCAL_OK; i++) {
        const part *p = &w->list.items[i];
        w->mapped.length = 0;
        status = sc_byte_level_encode(&w->mapped, w->text.data + p->begin, p->end - p->begin, error);
        if (status == SEMCAL_OK) {
            status = sc_pieces_add(out, w->mapped.data, w->mapped.length, -1, at_start && p->begin == 0, error);
        }
    }
    return status;
}

static semcal_status split_metaspace(const sc_splitter *s, work *w, sc_pieces *out, bool at_start, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    w->mapped.length = 0;
    const bool there = w->text.data[0] == ' ' || (w->text.length >= s->replacement_length &&
                                                  memcmp(w->text.data, s->replacement, s->replacement_length) == 0);
    if (!there && (s->prepend == SC_PREPEND_ALWAYS || (s->prepend == SC_PREPEND_FIRST && at_start))) {
        status = sc_text_append(&w->mapped, s->replacement, s->replacement_length, error);
    }
    for (size_t i = 0; i < w->text.length && status == SEMCAL_OK; i++) {
        status = w->text.data[i] == ' ' ? sc_text_append(&w->mapped, s->replacement, s->replacement_length, error)
                                        : sc_text_append(&w->mapped, w->text.data + i, 1, error);
    }
    if (status != SEMCAL_OK || !s->split) {
        return status == SEMCAL_OK ? sc_pieces_add(out, w->mapped.data, w->mapped.length, -1, at_start, error) : status;
    }
    status = cut_pattern(&w->list, &w->search, w->mapped.data, w->mapped.length, error);
    behave(&w->list, SC_SPLIT_MERGED_WITH_NEXT);
    return status == SEMCAL_OK ? add_parts(out, &w->list, w->mapped.data, at_start, error) : status;
}

static semcal_status split_piece(const sc_splitter *s, work *w, sc_pieces *out, bool at_start, semcal_error *error)
{
    const char *text = w->text.data;
    const size_t length = w->text.length;
    sc_split_behavior behavior = s->behavior;
    semcal_status status = SEMCAL_OK;
    w->list.n = 0;
    switch (s->kind) {
    case SC_SPLITTER_BYTE_LEVEL:
        return split_byte_level(s, w, out, at_start, error);
    case SC_SPLITTER_METASPACE:
        return split_metaspace(s, w, out, at_start, error);
    case SC_SPLITTER_PATTERN:
        status = cut_pattern(&w->list, &w->search, text, length, error);
        for (size_t i = 0; i < w->list.n && s->invert; i++) {
            w->list.items[i].match = !w->list.items[i].match;
        }
        break;
    case SC_SPLITTER_DIGITS:
        status = cut_classes(&w->list, number_class, false, text, length, error);
        break;
    case SC_SPLITTER_PUNCTUATION:
        status = cut_classes(&w->list, punctuation_class, false, text, length, error);
        break;
    case SC_SPLITTER_WHITESPACE_SPLIT:
        status = cut_classes(&w->list, space_class, false, text, length, error);
        behavior = SC_SPLIT_REMOVED;
        break;
    case SC_SPLITTER_WHITESPACE:
        status = cut_classes(&w->list, visible_class, true, text, length, error);
        for (size_t i = 0; i < w->list.n; i++) {
            w->list.items[i].match = !w->list.items[i].match;
        }
        behavior = SC_SPLIT_REMOVED;
        break;
    }
    behave(&w->list, behavior);
    return status == SEMCAL_OK ? add_parts(out, &w->list, text, at_start, error) : status;
}

semcal_status sc_splitter_apply(const sc_splitter *splitter, const sc_pieces *in, sc_pieces *out, semcal_error *error)
{
    work w = {0};
    semcal_status status = splitter->pattern != NULL ? sc_search_open(&w.search, splitter->pattern, error) : SEMCAL_OK;
    for (size_t i = 0; i < in->n && status == SEMCAL_OK; i++) {
        const sc_piece *piece = &in->items[i];
        const char *text = in->text.data + piece->begin;
        const size_t length = piece->end - piece->begin;
        if (piece->id >= 0) {
            status = sc_pieces_add(out, text, length, piece->id, piece->at_start, error);
            continue;
        }
        w.text.length = 0;
        status = sc_text_append(&w.text, text, length, error);
        if (status == SEMCAL_OK) {
            w.list.n = 0;
            status = split_piece(splitter, &w, out, piece->at_start, error);
        }
    }
    sc_search_close(&w.search);
    free(w.list.items);
    sc_text_free(&w.text);
    sc_text_free(&w.mapped);
    return status;
}

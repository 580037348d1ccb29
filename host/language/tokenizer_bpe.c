/* SPDX-License-Identifier: Apache-2.0 */
/* Byte pair encoding of one piece: split into characters, then merge the adjacent pair of lowest rank (the leftmost of
 * equals) until no pair of the table is left. A heap of candidates over a linked list: n log n in the piece. */
#include "language/tokenizer_internal.h"
#include "language/utf8.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

typedef struct sc_symbol {
    int32_t id; /* -1 once merged into the one before */
    uint32_t previous, next;
} sc_symbol;

typedef struct sc_candidate {
    uint32_t rank, at; /* the pair that begins at symbol `at` */
    int32_t id;        /* what it would become */
} sc_candidate;

static const sc_merge *find_merge(const sc_bpe *bpe, int32_t left, int32_t right)
{
    const uint64_t pair = (uint64_t)left << 32 | (uint64_t)right;
    size_t s = (size_t)((pair * 0x9E3779B97F4A7C15u) >> 32) & (bpe->n_merge_slots - 1);
    while (bpe->merges[s].pair != pair) {
        if (bpe->merges[s].pair == SC_NO_PAIR) {
            return NULL;
        }
        s = (s + 1) & (bpe->n_merge_slots - 1);
    }
    return &bpe->merges[s];
}

static bool comes_first(const sc_candidate *a, const sc_candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static semcal_status heap_push(sc_bpe_scratch *scratch, const sc_merge *merge, uint32_t at, semcal_error *error)
{
    const semcal_status status =
        sc_memory_grow(&scratch->heap, &scratch->heap_capacity, scratch->n_heap + 1, sizeof *scratch->heap, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    const sc_candidate made = {merge->rank, at, merge->id};
    size_t i = scratch->n_heap++;
    while (i > 0 && comes_first(&made, &scratch->heap[(i - 1) / 2])) {
        scratch->heap[i] = scratch->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    scratch->heap[i] = made;
    return SEMCAL_OK;
}

static sc_candidate heap_pop(sc_bpe_scratch *scratch)
{
    const sc_candidate top = scratch->heap[0], last = scratch->heap[--scratch->n_heap];
    size_t i = 0;
    for (size_t child = 1; child < scratch->n_heap; child = 2 * i + 1) {
        if (child + 1 < scratch->n_heap && comes_first(&scratch->heap[child + 1], &scratch->heap[child])) {
            child++;
        }
        if (!comes_first(&scratch->heap[child], &last)) {
            break;
        }
        scratch->heap[i] = scratch->heap[child];
        i = child;
    }
    scratch->heap[i] = last;
    return top;
}

static semcal_status add_symbol(sc_bpe_scratch *scratch, size_t *n, int32_t id, semcal_error *error)
{
    if (*n >= NONE - 1) {
        return sc_error_set(error, SEMCAL_E_DATA, "text: a word of more than %zu characters", *n);
    }
    const semcal_status status =
        sc_memory_grow(&scratch->symbols, &scratch->symbol_capacity, *n + 1, sizeof *scratch->symbols, error);
    if (status == SEMCAL_OK) {
        scratch->symbols[*n] = (sc_symbol){id, *n == 0 ? NONE : (uint32_t)(*n - 1), (uint32_t)(*n + 1)};
        (*n)++;
    }
    return status;
}

/* The id of one character with the model's affixes; `*spelled` is what was looked up, for byte fallback. */
static semcal_status find_character(int32_t *id, const char **spelled, size_t *n_spelled, const sc_bpe *bpe,
                                    sc_bpe_scratch *scratch, const char *text, size_t length, bool first, bool last,
                                    semcal_error *error)
{
    *spelled = text;
    *n_spelled = length;
    const char *prefix = first || bpe->prefix == NULL ? "" : bpe->prefix;
    const char *suffix = !last || bpe->suffix == NULL ? "" : bpe->suffix;
    if (prefix[0] != '\0' || suffix[0] != '\0') {
        const size_t n_prefix = strlen(prefix), n_suffix = strlen(suffix);
        *n_spelled = n_prefix + length + n_suffix;
        const semcal_status status = sc_memory_grow(&scratch->word, &scratch->word_capacity, *n_spelled, 1, error);
        if (status != SEMCAL_OK) {
            return status;
        }
        memcpy(scratch->word, prefix, n_prefix);
        memcpy(scratch->word + n_prefix, text, length);
        memcpy(scratch->word + n_prefix + length, suffix, n_suffix);
        *spelled = scratch->word;
    }
    *id = sc_bpe_find(bpe, *spelled, *n_spelled);
    return SEMCAL_OK;
}

/* True when every byte has its token. */
static bool has_bytes(const sc_bpe *bpe, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (bpe->byte_id[(unsigned char)text[i]] < 0) {
            return false;
        }
    }
    return true;
}

/* Characters to symbols. A run of unknown characters is held back and written before the next known one, which is
 * what Hugging Face does; byte tokens in between do not count as known there. */
static semcal_status split_characters(size_t *n, const sc_bpe *bpe, sc_bpe_scratch *scratch, const char *text,
                                      size_t length, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    bool unknown = false;
    *n = 0;
    for (size_t at = 0; at < length && status == SEMCAL_OK;) {
        uint32_t codepoint;
        const size_t step = sc_utf8_decode(&codepoint, text + at, length - at);
        if (step == 0) {
            return sc_error_set(error, SEMCAL_E_DATA, "text: not valid UTF-8");
        }
        int32_t id;
        const char *spelled;
        size_t n_spelled;
        status = find_character(&id, &spelled, &n_spelled, bpe, scratch, text + at, step, at == 0, at + step == length,
                                error);
        at += step;
        if (status != SEMCAL_OK) {
            break;
        }
        if (id >= 0) {
            if (unknown) {
                status = add_symbol(scratch, n, bpe->unknown_id, error);
                unknown = false;
            }
            if (status == SEMCAL_OK) {
                status = add_symbol(scratch, n, id, error);
            }
        } else if (bpe->byte_fallback && has_bytes(bpe, spelled, n_spelled)) {
            for (size_t i = 0; i < n_spelled && status == SEMCAL_OK; i++) {
                status = add_symbol(scratch, n, bpe->byte_id[(unsigned char)spelled[i]], error);
            }
        } else if (bpe->unknown != NULL) {
            if (bpe->unknown_id < 0) {
                return sc_error_set(error, SEMCAL_E_DATA,
                                    "text: unknown character U+%04X, and unk_token \"%.40s\" is "
                                    "not in the vocabulary",
                                    codepoint, bpe->unknown);
            }
            if (unknown && !bpe->fuse_unknown) {
                status = add_symbol(scratch, n, bpe->unknown_id, error);
            }
            unknown = true;
        } /* without an unk_token, an unknown character is dropped */
    }
    return status == SEMCAL_OK && unknown ? add_symbol(scratch, n, bpe->unknown_id, error) : status;
}

static semcal_status consider(sc_bpe_scratch *scratch, const sc_bpe *bpe, uint32_t left, size_t n, semcal_error *error)
{
    const uint32_t right = left == NONE ? NONE : scratch->symbols[left].next;
    if (left == NONE || right >= n) {
        return SEMCAL_OK;
    }
    const sc_merge *merge = find_merge(bpe, scratch->symbols[left].id, scratch->symbols[right].id);
    return merge != NULL ? heap_push(scratch, merge, left, error) : SEMCAL_OK;
}

static semcal_status merge_all(const sc_bpe *bpe, sc_bpe_scratch *scratch, size_t n, semcal_error *error)
{
    sc_symbol *const symbols = scratch->symbols;
    semcal_status status = SEMCAL_OK;
    scratch->n_heap = 0;
    for (uint32_t i = 0; i < n && status == SEMCAL_OK; i++) {
        status = consider(scratch, bpe, i, n, error);
    }
    while (status == SEMCAL_OK && scratch->n_heap > 0) {
        const sc_candidate top = heap_pop(scratch);
        sc_symbol *left = &symbols[top.at];
        if (left->id < 0 || left->next >= n) {
            continue;
        }
        /* An entry is stale when its pair has changed since and no longer makes the same token. */
        sc_symbol *right = &symbols[left->next];
        const sc_merge *merge = find_merge(bpe, left->id, right->id);
        if (merge == NULL || merge->id != top.id) {
            continue;
        }
        left->id = top.id;
        left->next = right->next;
        right->id = -1;
        if (left->next < n) {
            symbols[left->next].previous = top.at;
        }
        status = consider(scratch, bpe, left->previous, n, error);
        if (status == SEMCAL_OK) {
            status = consider(scratch, bpe, top.at, n, error);
        }
    }
    return status;
}

semcal_status sc_bpe_encode(sc_ids *ids, const sc_bpe *bpe, sc_bpe_scratch *scratch, const char *text, size_t length,
                            semcal_error *error)
{
    if (bpe->ignore_merges) {
        const int32_t whole = sc_bpe_find(bpe, text, length);
        if (whole >= 0) {
            return sc_ids_add(ids, whole, error);
        }
    }
    size_t n;
    semcal_status status = split_characters(&n, bpe, scratch, text, length, error);
    if (status == SEMCAL_OK) {
        status = merge_all(bpe, scratch, n, error);
    }
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        if (scratch->symbols[i].id >= 0) {
            status = sc_ids_add(ids, scratch->symbols[i].id, error);
        }
    }
    return status;
}

void sc_bpe_scratch_free(sc_bpe_scratch *scratch)
{
    free(scratch->symbols);
    free(scratch->heap);
    free(scratch->word);
    *scratch = (sc_bpe_scratch){0};
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer as a whole: encoding, decoding and the questions asked of it. */
#include "language/tokenizer.h"

#include "language/tokenizer_internal.h"
#include "language/utf8.h"

#include <stdlib.h>
#include <string.h>

void sc_tokenizer_free(sc_tokenizer *tokenizer)
{
    if (tokenizer == NULL) {
        return;
    }
    sc_bpe_free(&tokenizer->bpe);
    sc_normalizers_free(&tokenizer->normalizers);
    sc_splitters_free(&tokenizer->splitters);
    sc_added_free(&tokenizer->added);
    sc_decoders_free(&tokenizer->decoders);
    free(tokenizer->before.data);
    free(tokenizer->after.data);
    free(tokenizer->tokens);
    sc_text_free(&tokenizer->token_bytes);
    free(tokenizer->chat_template);
    free(tokenizer);
}

/* ---- encoding ---- */

typedef struct encoder {
    const sc_tokenizer *tokenizer;
    sc_pieces pieces, spare;
    sc_text text, spare_text;
    sc_bpe_scratch scratch;
    sc_ids ids;
} encoder;

static void swap_pieces(encoder *e)
{
    const sc_pieces swap = e->pieces;
    e->pieces = e->spare;
    e->spare = swap;
}

/* Normalizes the plain pieces and cuts the normalized added tokens out of them. */
static semcal_status normalize_pieces(encoder *e, semcal_error *error)
{
    const sc_tokenizer *t = e->tokenizer;
    semcal_status status = SEMCAL_OK;
    sc_pieces_clear(&e->spare);
    for (size_t i = 0; i < e->pieces.n && status == SEMCAL_OK; i++) {
        const sc_piece piece = e->pieces.items[i];
        const char *text = e->pieces.text.data + piece.begin;
        const size_t length = piece.end - piece.begin;
        if (piece.id >= 0) {
            status = sc_pieces_add(&e->spare, text, length, piece.id, piece.at_start, error);
            continue;
        }
        bool at_start = piece.at_start;
        e->text.length = 0;
        status = sc_text_append(&e->text, text, length, error);
        if (status == SEMCAL_OK) {
            status = sc_normalizers_apply(&t->normalizers, &e->text, &e->spare_text, &at_start, error);
        }
        if (status == SEMCAL_OK) {
            status = sc_added_split(&t->added, &t->added.normalized, &e->spare, e->text.data, e->text.length, at_start,
                                    error);
        }
    }
    swap_pieces(e);
    return status;
}

static semcal_status encode(encoder *e, const char *text, size_t length, semcal_error *error)
{
    const sc_tokenizer *t = e->tokenizer;
    semcal_status status = sc_added_split(&t->added, &t->added.raw, &e->pieces, text, length, true, error);
    if (status == SEMCAL_OK) {
        status = normalize_pieces(e, error);
    }
    for (size_t i = 0; i < t->splitters.n && status == SEMCAL_OK; i++) {
        sc_pieces_clear(&e->spare);
        status = sc_splitter_apply(&t->splitters.items[i], &e->pieces, &e->spare, error);
        swap_pieces(e);
    }
    for (size_t i = 0; i < e->pieces.n && status == SEMCAL_OK; i++) {
        const sc_piece *piece = &e->pieces.items[i];
        status = piece->id >= 0 ? sc_ids_add(&e->ids, piece->id, error)
                                : sc_bpe_encode(&e->ids, &t->bpe, &e->scratch, e->pieces.text.data + piece->begin,
                                                piece->end - piece->begin, error);
    }
    return status;
}

static semcal_status add_all(sc_ids *ids, const sc_ids *more, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < more->n && status == SEMCAL_OK; i++) {
        status = sc_ids_add(ids, more->data[i], error);
    }
    return status;
}

semcal_status sc_tokenizer_encode(int32_t **ids, size_t *n_ids, const sc_tokenizer *tokenizer, const char *text,
                                  size_t length, bool special, semcal_error *error)
{
    *ids = NULL;
    *n_ids = 0;
    encoder e = {.tokenizer = tokenizer};
    semcal_status status = sc_utf8_check(text, length, error);
    if (status == SEMCAL_OK) { /* room from the start: an empty list is a valid pointer too */
        status = sc_memory_grow(&e.ids.data, &e.ids.capacity, 16, sizeof *e.ids.data, error);
    }
    if (status == SEMCAL_OK && special) {
        status = add_all(&e.ids, &tokenizer->before, error);
    }
    if (status == SEMCAL_OK) {
        status = encode(&e, text, length, error);
    }
    if (status == SEMCAL_OK && special) {
        status = add_all(&e.ids, &tokenizer->after, error);
    }
    if (status == SEMCAL_OK) {
        *ids = e.ids.data;
        *n_ids = e.ids.n;
        e.ids.data = NULL;
    }
    free(e.ids.data);
    sc_pieces_free(&e.pieces);
    sc_pieces_free(&e.spare);
    sc_text_free(&e.text);
    sc_text_free(&e.spare_text);
    sc_bpe_scratch_free(&e.scratch);
    return status;
}

/* ---- decoding ---- */

/* Where a token's bytes are the same wherever it stands, its text is these, one after the other. */
static semcal_status join_bytes(char **bytes, size_t *length, const sc_tokenizer *tokenizer, const int32_t *ids,
                                size_t n_ids, semcal_error *error)
{
    size_t n = 0, n_token;
    for (size_t i = 0; i < n_ids; i++) {
        (void)sc_tokenizer_token_bytes(&n_token, tokenizer, ids[i]);
        n += n_token;
    }
    char *out = sc_memory_alloc(n + 1, 1, error);
    *bytes = out;
    *length = 0;
    if (out == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < n_ids; i++) {
        const char *token = sc_tokenizer_token_bytes(&n_token, tokenizer, ids[i]);
        memcpy(out + *length, token, n_token);
        *length += n_token;
    }
    out[*length] = '\0';
    return SEMCAL_OK;
}

static semcal_status decode(char **text, size_t *length, const sc_tokenizer *tokenizer, const int32_t *ids,
                            size_t n_ids, bool skip_special, bool raw, semcal_error *error)
{
    *text = NULL;
    *length = 0;
    sc_pieces pieces = {0}, spare = {0};
    sc_text out = {0};
    semcal_status status = sc_text_append(&out, "", 0, error);
    for (size_t i = 0; i < n_ids && status == SEMCAL_OK; i++) {
        const sc_token *token = sc_tokenizer_token(tokenizer, ids[i]) != NULL ? &tokenizer->tokens[ids[i]] : NULL;
        if (token != NULL && !(skip_special && token->special)) {
            status = sc_pieces_add(&pieces, token->decoded, token->decoded_length, 0, false, error);
        }
    }
    if (status == SEMCAL_OK && pieces.n > 0) {
        status = sc_decoders_apply(&tokenizer->decoders, &pieces, &spare, raw, error);
    }
    for (size_t i = 0; i < pieces.n && status == SEMCAL_OK; i++) {
        if (i > 0 && !tokenizer->decoders.present) {
            status = sc_text_append(&out, " ", 1, error);
        }
        if (status == SEMCAL_OK) {
            status = sc_text_append(&out, pieces.text.data + pieces.items[i].begin,
                                    pieces.items[i].end - pieces.items[i].begin, error);
        }
    }
    if (status == SEMCAL_OK) {
        *text = out.data;
        *length = out.length;
        out.data = NULL;
    }
    sc_text_free(&out);
    sc_pieces_free(&pieces);
    sc_pieces_free(&spare);
    return status;
}

semcal_status sc_tokenizer_decode(char **bytes, size_t *length, const sc_tokenizer *tokenizer, const int32_t *ids,
                                  size_t n_ids, bool skip_special, semcal_error *error)
{
    return skip_special && sc_decoders_join(&tokenizer->decoders)
               ? join_bytes(bytes, length, tokenizer, ids, n_ids, error)
               : decode(bytes, length, tokenizer, ids, n_ids, skip_special, true, error);
}

semcal_status sc_tokenizer_decode_text(char **text, size_t *length, const sc_tokenizer *tokenizer, const int32_t *ids,
                                       size_t n_ids, bool skip_special, semcal_error *error)
{
    return decode(text, length, tokenizer, ids, n_ids, skip_special, false, error);
}

/* ---- questions ---- */

size_t sc_tokenizer_n_vocabulary(const sc_tokenizer *tokenizer)
{
    return tokenizer->n_tokens;
}

const char *sc_tokenizer_token(const sc_tokenizer *tokenizer, int32_t id)
{
    return id >= 0 && (size_t)id < tokenizer->n_tokens ? tokenizer->tokens[id].text : NULL;
}

bool sc_tokenizer_is_special(const sc_tokenizer *tokenizer, int32_t id)
{
    return id >= 0 && (size_t)id < tokenizer->n_tokens && tokenizer->tokens[id].special;
}

const char *sc_tokenizer_token_bytes(size_t *length, const sc_tokenizer *tokenizer, int32_t id)
{
    *length = 0;
    if (sc_tokenizer_token(tokenizer, id) == NULL || tokenizer->tokens[id].special) {
        return "";
    }
    *length = tokenizer->tokens[id].n_bytes;
    return tokenizer->token_bytes.data + tokenizer->tokens[id].bytes;
}

int32_t sc_tokenizer_find(const sc_tokenizer *tokenizer, const char *token)
{
    const size_t length = strlen(token);
    for (size_t i = 0; i < tokenizer->added.n; i++) {
        const sc_added_token *added = &tokenizer->added.items[i];
        if (added->length == length && memcmp(added->content, token, length) == 0) {
            return added->id;
        }
    }
    return sc_bpe_find(&tokenizer->bpe, token, length);
}

int32_t sc_tokenizer_bos(const sc_tokenizer *tokenizer)
{
    return tokenizer->bos;
}

int32_t sc_tokenizer_eos(const sc_tokenizer *tokenizer)
{
    return tokenizer->eos;
}

const char *sc_tokenizer_chat_template(const sc_tokenizer *tokenizer)
{
    return tokenizer->chat_template;
}

const char *sc_tokenizer_sha256(const sc_tokenizer *tokenizer)
{
    return tokenizer->sha256;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Decoders: each rewrites the list of tokens; what is left at the end is joined. */
#include "language/tokenizer_internal.h"
#include "language/utf8.h"

#include <stdlib.h>
#include <string.h>

static semcal_status load_replace(sc_decoder *d, const json_t *json, semcal_error *error)
{
    const semcal_status status = sc_json_pattern(&d->pattern, json, error);
    return status == SEMCAL_OK ? sc_json_string_copy(&d->content, &d->content_length, json, "content", error) : status;
}

static semcal_status load_strip(sc_decoder *d, const json_t *json, semcal_error *error)
{
    semcal_status status = sc_json_string_copy(&d->content, &d->content_length, json, "content", error);
    if (status == SEMCAL_OK && d->content_length == 0) {
        return sc_error_set(error, SEMCAL_E_DATA, "content: must be one character");
    }
    if (status == SEMCAL_OK) {
        status = sc_json_size(&d->start, json, "start", error);
    }
    return status == SEMCAL_OK ? sc_json_size(&d->stop, json, "stop", error) : status;
}

static semcal_status load_metaspace(sc_decoder *d, const json_t *json, semcal_error *error)
{
    const char *scheme = "always";
    size_t length;
    bool add_prefix_space = true;
    semcal_status status = sc_json_string_copy(&d->content, &d->content_length, json, "replacement", error);
    if (status == SEMCAL_OK && d->content_length == 0) {
        return sc_error_set(error, SEMCAL_E_DATA, "replacement: must be one character");
    }
    if (status == SEMCAL_OK) {
        status = sc_json_string(&scheme, &length, json, "prepend_scheme", false, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_json_bool(&add_prefix_space, json, "add_prefix_space", error);
    }
    d->drop_first = add_prefix_space && strcmp(scheme, "never") != 0;
    return status;
}

static semcal_status load_bpe(sc_decoder *d, const json_t *json, semcal_error *error)
{
    return sc_json_string_copy(&d->content, &d->content_length, json, "suffix", error);
}

static semcal_status load_nothing(sc_decoder *d, const json_t *json, semcal_error *error)
{
    (void)d;
    (void)json;
    (void)error;
    return SEMCAL_OK;
}

static const struct {
    const char *type;
    sc_decoder_kind kind;
    semcal_status (*load)(sc_decoder *d, const json_t *json, semcal_error *error);
} kinds[] = {
    {"ByteLevel", SC_DECODER_BYTE_LEVEL, load_nothing},
    {"Metaspace", SC_DECODER_METASPACE, load_metaspace},
    {"Replace", SC_DECODER_REPLACE, load_replace},
    {"ByteFallback", SC_DECODER_BYTE_FALLBACK, load_nothing},
    {"Fuse", SC_DECODER_FUSE, load_nothing},
    {"Strip", SC_DECODER_STRIP, load_strip},
    {"BPEDecoder", SC_DECODER_BPE, load_bpe},
};

semcal_status sc_decoders_load(sc_decoders *decoders, const json_t *json, semcal_error *error)
{
    if (json == NULL || json_is_null(json)) {
        return SEMCAL_OK;
    }
    decoders->present = true;
    const char *type;
    size_t length;
    semcal_status status = sc_json_string(&type, &length, json, "type", true, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    if (strcmp(type, "Sequence") == 0) {
        const json_t *list = json_object_get(json, "decoders");
        if (!json_is_array(list)) {
            return sc_error_set(error, SEMCAL_E_DATA, "decoders: must be a list");
        }
        for (size_t i = 0; i < json_array_size(list) && status == SEMCAL_OK; i++) {
            status = sc_decoders_load(decoders, json_array_get(list, i), error);
            if (status != SEMCAL_OK) {
                sc_error_where(error, "decoders[%zu]", i);
            }
        }
        return status;
    }
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        if (strcmp(kinds[k].type, type) == 0) {
            status = sc_array_push(&decoders->items, &decoders->n, &decoders->capacity, sizeof *decoders->items, error);
            if (status != SEMCAL_OK) {
                return status;
            }
            decoders->items[decoders->n - 1].kind = kinds[k].kind;
            return kinds[k].load(&decoders->items[decoders->n - 1], json, error);
        }
    }
    return sc_error_set(error, SEMCAL_E_DATA, "type \"%.40s\": not supported", type);
}

void sc_decoders_free(sc_decoders *decoders)
{
    for (size_t i = 0; i < decoders->n; i++) {
        sc_pattern_free(decoders->items[i].pattern);
        free(decoders->items[i].content);
    }
    free(decoders->items);
    *decoders = (sc_decoders){0};
}

/* The parts of a token list are kept even when empty: id 0 says so. */
static semcal_status keep(sc_pieces *out, const char *bytes, size_t length, semcal_error *error)
{
    return sc_pieces_add(out, bytes, length, 0, false, error);
}

/* Appends to the last token of `out`. */
static semcal_status extend(sc_pieces *out, const char *bytes, size_t length, semcal_error *error)
{
    const semcal_status status = sc_text_append(&out->text, bytes, length, error);
    out->items[out->n - 1].end = out->text.length;
    return status;
}

/* One token's characters to bytes, when all of them stand for bytes; otherwise the token as it is. */
static semcal_status byte_level_token(sc_text *out, const char *text, size_t length, semcal_error *error)
{
    const size_t before = out->length;
    for (size_t at = 0; at < length;) {
        uint32_t codepoint = 0;
        const size_t step = sc_utf8_decode(&codepoint, text + at, length - at);
        const int byte = step > 0 ? sc_byte_level_byte(codepoint) : -1;
        if (byte < 0) {
            out->length = before;
            return sc_text_append(out, text, length, error);
        }
        const char one = (char)byte;
        const semcal_status status = sc_text_append(out, &one, 1, error);
        if (status != SEMCAL_OK) {
            return status;
        }
        at += step;
    }
    return SEMCAL_OK;
}

static semcal_status byte_level(sc_pieces *out, const sc_pieces *in, bool raw, semcal_error *error)
{
    sc_text bytes = {0};
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < in->n && status == SEMCAL_OK; i++) {
        status =
            byte_level_token(&bytes, in->text.data + in->items[i].begin, in->items[i].end - in->items[i].begin, error);
    }
    if (status == SEMCAL_OK && raw) {
        status = keep(out, bytes.data, bytes.length, error);
    } else if (status == SEMCAL_OK) {
        status = keep(out, "", 0, error);
        if (status == SEMCAL_OK) {
            status = sc_utf8_sanitize(&out->text, bytes.data, bytes.length, SC_UTF8_KEEP_NUL, error);
            out->items[out->n - 1].end = out->text.length;
        }
    }
    sc_text_free(&bytes);
    return status;
}

/* The byte of a token like <0x0A>, or -1. */
static int byte_token(const char *text, size_t length)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    if (length != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>' || text[3] == '\0' || text[4] == '\0') {
        return -1;
    }
    const char *high = strchr(digits, text[3]), *low = strchr(digits, text[4]);
    return high == NULL || low == NULL ? -1 : (int)((high - digits) % 16 * 16 + (low - digits) % 16);
}

/* Closes a run of byte tokens that begins at piece `run` of `out`: as text it is one token when it is valid UTF-8 as a
 * whole, else a replacement character for each byte. */
static semcal_status close_run(sc_pieces *out, size_t run, semcal_error *error)
{
    if (run >= out->n) {
        return SEMCAL_OK;
    }
    const size_t begin = out->items[run].begin, n = out->n - run;
    if (sc_utf8_valid(NULL, out->text.data + begin, out->text.length - begin)) {
        out->items[run].end = out->text.length;
        out->n = run + 1;
        return SEMCAL_OK;
    }
    semcal_status status = SEMCAL_OK;
    out->n = run;
    out->text.length = begin;
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        status = keep(out, "\xEF\xBF\xBD", 3, error);
    }
    return status;
}

static semcal_status byte_fallback(sc_pieces *out, const sc_pieces *in, bool raw, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    size_t run = 0; /* first piece of the current run of byte tokens */
    for (size_t i = 0; i < in->n && status == SEMCAL_OK; i++) {
        const char *text = in->text.data + in->items[i].begin;
        const size_t length = in->items[i].end - in->items[i].begin;
        const int byte = byte_token(text, length);
        if (byte >= 0) {
            const char one = (char)byte;
            status = keep(out, &one, 1, error);
            continue;
        }
        status = raw ? SEMCAL_OK : close_run(out, run, error);
        if (status == SEMCAL_OK) {
            status = keep(out, text, length, error);
        }
        run = out->n;
    }
    return status == SEMCAL_OK && !raw ? close_run(out, run, error) : status;
}

/* Appends `text` to the last token of `out` with every match of the decoder's pattern replaced. */
static semcal_status replace(sc_pieces *out, sc_search *search, const sc_decoder *d, const char *text, size_t length,
                             semcal_error *error)
{
    size_t done = 0;
    sc_search_begin(search, text, length);
    for (;;) {
        sc_match match;
        bool found;
        semcal_status status = sc_search_next(&match, &found, search, error);
        if (status == SEMCAL_OK && !found) {
            return extend(out, text + done, length - done, error);
        }
        if (status == SEMCAL_OK) {
            status = extend(out, text + done, match.begin - done, error);
        }
        if (status == SEMCAL_OK) {
            status = extend(out, d->content, d->content_length, error);
        }
        if (status != SEMCAL_OK) {
            return status;
        }
        done = match.end;
    }
}

static semcal_status replace_all(sc_pieces *out, const sc_pieces *in, const sc_decoder *d, semcal_error *error)
{
    sc_search search;
    semcal_status status = sc_search_open(&search, d->pattern, error);
    for (size_t i = 0; i < in->n && status == SEMCAL_OK; i++) {
        const char *text = in->text.data + in->items[i].begin;
        const size_t length = in->items[i].end - in->items[i].begin;
        status = keep(out, "", 0, error);
        if (status == SEMCAL_OK && !sc_pattern_is_literal(d->pattern) && !sc_utf8_valid(NULL, text, length)) {
            status = extend(out, text, length, error); /* a cut character: expressions need whole ones */
        } else if (status == SEMCAL_OK) {
            status = replace(out, &search, d, text, length, error);
        }
    }
    sc_search_close(&search);
    return status;
}

/* Metaspace: a space for each replacement character, or nothing in the first token. BPE: a space for each end-of-word
 * suffix, or nothing in the last token. */
static semcal_status substitute(sc_pieces *out, const sc_pieces *in, const sc_decoder *d, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < in->n && status == SEMCAL_OK; i++) {
        const bool drop = d->kind == SC_DECODER_METASPACE ? i == 0 && d->drop_first : i + 1 == in->n;
        const size_t end = in->items[i].end;
        status = keep(out, "", 0, error);
        for (size_t at = in->items[i].begin; at < end && status == SEMCAL_OK;) {
            if (d->content_length > 0 && end - at >= d->content_length &&
                memcmp(in->text.data + at, d->content, d->content_length) == 0) {
                status = drop ? SEMCAL_OK : extend(out, " ", 1, error);
                at += d->content_length;
            } else {
                status = extend(out, in->text.data + at, 1, error);
                at++;
            }
        }
    }
    return status;
}

static semcal_status strip(sc_pieces *out, const sc_pieces *in, const sc_decoder *d, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    const size_t n = d->content_length;
    for (size_t i = 0; i < in->n && status == SEMCAL_OK; i++) {
        size_t begin = in->items[i].begin, end = in->items[i].end;
        const char *text = in->text.data;
        for (size_t k = 0; k < d->start && end - begin >= n && memcmp(text + begin, d->content, n) == 0; k++) {
            begin += n;
        }
        for (size_t k = 0; k < d->stop && end - begin >= n && memcmp(text + end - n, d->content, n) == 0; k++) {
            end -= n;
        }
        status = keep(out, text + begin, end - begin, error);
    }
    return status;
}

static semcal_status fuse(sc_pieces *out, const sc_pieces *in, semcal_error *error)
{
    semcal_status status = keep(out, "", 0, error);
    for (size_t i = 0; i < in->n && status == SEMCAL_OK; i++) {
        status = extend(out, in->text.data + in->items[i].begin, in->items[i].end - in->items[i].begin, error);
    }
    return status;
}

bool sc_decoders_join(const sc_decoders *decoders)
{
    return decoders->n == 1 && decoders->items[0].kind == SC_DECODER_BYTE_LEVEL;
}

semcal_status sc_decoders_apply(const sc_decoders *decoders, sc_pieces *pieces, sc_pieces *spare, bool raw,
                                semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t k = 0; k < decoders->n && status == SEMCAL_OK; k++) {
        const sc_decoder *d = &decoders->items[k];
        sc_pieces_clear(spare);
        switch (d->kind) {
        case SC_DECODER_BYTE_LEVEL:
            status = byte_level(spare, pieces, raw, error);
            break;
        case SC_DECODER_BYTE_FALLBACK:
            status = byte_fallback(spare, pieces, raw, error);
            break;
        case SC_DECODER_REPLACE:
            status = replace_all(spare, pieces, d, error);
            break;
        case SC_DECODER_METASPACE:
        case SC_DECODER_BPE:
            status = substitute(spare, pieces, d, error);
            break;
        case SC_DECODER_STRIP:
            status = strip(spare, pieces, d, error);
            break;
        case SC_DECODER_FUSE:
            status = fuse(spare, pieces, error);
            break;
        }
        const sc_pieces swap = *pieces;
        *pieces = *spare;
        *spare = swap;
    }
    return status;
}

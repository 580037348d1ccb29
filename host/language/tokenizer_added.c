/* SPDX-License-Identifier: Apache-2.0 */
/* Added tokens: strings that become one id wherever they are written, found before the model sees the text. Those not
 * "normalized" are looked for in the text as it came, the others in its normalized form. */
#include "language/tokenizer_internal.h"
#include "language/utf8.h"

#include <stdlib.h>
#include <string.h>

semcal_status sc_added_read(sc_added *added, const json_t *json, int32_t id, const sc_bpe *bpe, semcal_error *error)
{
    const char *content = NULL;
    size_t length = 0;
    semcal_status status = sc_json_string(&content, &length, json, "content", true, error);
    if (status == SEMCAL_OK && id < 0) {
        const json_t *value = json_object_get(json, "id");
        if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) >= SC_MAX_TOKENS) {
            return sc_error_set(error, SEMCAL_E_DATA, "id: must be an integer in [0, %d)", SC_MAX_TOKENS);
        }
        id = (int32_t)json_integer_value(value);
    }
    if (status != SEMCAL_OK || length == 0) {
        return status;
    }
    for (size_t i = 0; i < added->n; i++) {
        if (added->items[i].length == length && memcmp(added->items[i].content, content, length) == 0) {
            return SEMCAL_OK; /* of two entries for one string the first counts */
        }
    }
    const int32_t known = sc_bpe_find(bpe, content, length);
    if (known >= 0 && known != id) {
        return sc_error_set(error, SEMCAL_E_DATA, "id %d of \"%.40s\": the vocabulary says %d", id, content, known);
    }
    status = sc_array_push(&added->items, &added->n, &added->capacity, sizeof *added->items, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    sc_added_token *token = &added->items[added->n - 1];
    token->id = id;
    token->length = length;
    token->normalized = true;
    token->content = sc_memory_strndup(content, length, error);
    if (token->content == NULL) {
        return SEMCAL_E_MEMORY;
    }
    const struct {
        const char *key;
        bool *target;
    } flags[] = {
        {"single_word", &token->single_word}, {"lstrip", &token->lstrip},         {"rstrip", &token->rstrip},
        {"special", &token->special},         {"normalized", &token->normalized},
    };
    for (size_t i = 0; i < sizeof flags / sizeof *flags && status == SEMCAL_OK; i++) {
        status = sc_json_bool(flags[i].target, json, flags[i].key, error);
    }
    return status;
}

static semcal_status trie_add(sc_trie *trie, const char *bytes, size_t length, uint32_t token, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    if (trie->n == 0) {
        status = sc_array_push(&trie->nodes, &trie->n, &trie->capacity, sizeof *trie->nodes, error);
    }
    uint32_t node = 0;
    for (size_t i = 0; i < length && status == SEMCAL_OK; i++) {
        const unsigned char byte = (unsigned char)bytes[i];
        uint32_t child = node == 0 ? trie->first[byte] : trie->nodes[node].child;
        while (child != 0 && trie->nodes[child].byte != byte) {
            child = trie->nodes[child].sibling;
        }
        if (child == 0) {
            status = sc_array_push(&trie->nodes, &trie->n, &trie->capacity, sizeof *trie->nodes, error);
            if (status != SEMCAL_OK) {
                return status;
            }
            child = (uint32_t)(trie->n - 1);
            trie->nodes[child].byte = byte;
            if (node == 0) {
                trie->first[byte] = child;
            } else {
                trie->nodes[child].sibling = trie->nodes[node].child;
                trie->nodes[node].child = child;
            }
        }
        node = child;
    }
    if (status == SEMCAL_OK && node != 0 && trie->nodes[node].token == 0) {
        trie->nodes[node].token = token + 1; /* of two tokens that look alike the first counts */
    }
    return status;
}

semcal_status sc_added_finish(sc_added *added, const sc_normalizers *normalizers, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    sc_text text = {0}, spare = {0};
    /* Special tokens go first, so that they win over others that look alike. */
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < added->n && status == SEMCAL_OK; i++) {
            const sc_added_token *token = &added->items[i];
            if (token->special != (pass == 0)) {
                continue;
            }
            text.length = 0;
            status = sc_text_append(&text, token->content, token->length, error);
            bool at_start = true;
            if (status == SEMCAL_OK && token->normalized) {
                status = sc_normalizers_apply(normalizers, &text, &spare, &at_start, error);
            }
            if (status == SEMCAL_OK) {
                added->items[i].decoded = sc_memory_strndup(text.data, text.length, error);
                added->items[i].decoded_length = text.length;
                status = added->items[i].decoded != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
            }
            if (status == SEMCAL_OK) {
                status = trie_add(token->normalized ? &added->normalized : &added->raw, text.data, text.length,
                                  (uint32_t)i, error);
            }
        }
    }
    sc_text_free(&text);
    sc_text_free(&spare);
    return status;
}

void sc_added_free(sc_added *added)
{
    for (size_t i = 0; i < added->n; i++) {
        free(added->items[i].content);
        free(added->items[i].decoded);
    }
    free(added->items);
    free(added->raw.nodes);
    free(added->normalized.nodes);
    *added = (sc_added){0};
}

/* Length of the longest token at `text`, 0 when there is none. */
static size_t longest(uint32_t *token, const sc_trie *trie, const char *text, size_t length)
{
    size_t best = 0;
    uint32_t node = length > 0 ? trie->first[(unsigned char)text[0]] : 0;
    for (size_t n = 1; node != 0; n++) {
        if (trie->nodes[node].token != 0) {
            *token = trie->nodes[node].token - 1;
            best = n;
        }
        if (n >= length) {
            break;
        }
        node = trie->nodes[node].child;
        while (node != 0 && trie->nodes[node].byte != (unsigned char)text[n]) {
            node = trie->nodes[node].sibling;
        }
    }
    return best;
}

/* Start of the character that ends at `end` > 0. */
static size_t character_before(uint32_t *codepoint, const char *text, size_t end)
{
    size_t begin = end - 1;
    while (begin > 0 && ((unsigned char)text[begin] & 0xC0) == 0x80) {
        begin--;
    }
    *codepoint = 0;
    (void)sc_utf8_decode(codepoint, text + begin, end - begin);
    return begin;
}

static bool stands_alone(const char *text, size_t length, size_t begin, size_t end)
{
    uint32_t codepoint = 0;
    if (begin > 0) {
        (void)character_before(&codepoint, text, begin);
        if (sc_utf8_is_word(codepoint)) {
            return false;
        }
    }
    codepoint = 0;
    return end == length || !(sc_utf8_decode(&codepoint, text + end, length - end) > 0 && sc_utf8_is_word(codepoint));
}

/* Widens a match over the white space a token takes with it, but not to the left of `done`. */
static void widen(size_t *begin, size_t *end, const sc_added_token *token, const char *text, size_t length, size_t done)
{
    uint32_t codepoint;
    while (token->lstrip && *begin > done) {
        const size_t before = character_before(&codepoint, text, *begin);
        if (!sc_utf8_is_space(codepoint) || before < done) {
            break;
        }
        *begin = before;
    }
    while (token->rstrip && *end < length) {
        const size_t step = sc_utf8_decode(&codepoint, text + *end, length - *end);
        if (step == 0 || !sc_utf8_is_space(codepoint)) {
            break;
        }
        *end += step;
    }
}

semcal_status sc_added_split(const sc_added *added, const sc_trie *trie, sc_pieces *out, const char *text,
                             size_t length, bool at_start, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    size_t done = 0;
    for (size_t at = 0; at < length && status == SEMCAL_OK && trie->n > 0;) {
        uint32_t index = 0;
        const size_t n = longest(&index, trie, text + at, length - at);
        if (n == 0) {
            at++;
            continue;
        }
        const sc_added_token *token = &added->items[index];
        size_t begin = at, end = at + n;
        at = end; /* the search goes on behind the token itself, whatever the match becomes */
        if (token->single_word && !stands_alone(text, length, begin, end)) {
            continue;
        }
        widen(&begin, &end, token, text, length, done);
        if (done < begin) {
            status = sc_pieces_add(out, text + done, begin - done, -1, at_start && done == 0, error);
        }
        if (status == SEMCAL_OK) {
            status = sc_pieces_add(out, text + begin, end - begin, token->id, at_start && begin == 0, error);
        }
        done = end;
    }
    return status == SEMCAL_OK && done < length
               ? sc_pieces_add(out, text + done, length - done, -1, at_start && done == 0, error)
               : status;
}

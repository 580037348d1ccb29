/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer harness: a tokenizer.json, then (after a NUL) a text; loads, encodes, decodes. What a successful call
 * promises is asserted. */
#include "language/tokenizer.h"
#include "language/utf8.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition) {
        abort();
    }
}

static void encode_and_back(const sc_tokenizer *tokenizer, const char *text, size_t length)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    int32_t *ids;
    size_t n;
    if (sc_tokenizer_encode(&ids, &n, tokenizer, text, length, true, &error) != SEMCAL_OK) {
        require(error.status != SEMCAL_OK && error.message[0] != '\0' && ids == NULL);
        return;
    }
    char *bytes;
    if (sc_tokenizer_decode(&bytes, &length, tokenizer, ids, n, false, &error) == SEMCAL_OK) {
        free(bytes);
    }
    if (sc_tokenizer_decode_text(&bytes, &length, tokenizer, ids, n, true, &error) == SEMCAL_OK) {
        require(sc_utf8_valid(NULL, bytes, length));
        free(bytes);
    }
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char usual[] = "Hello  world, it's 12345!\n<s> \xE2\x96\x81\xF0\x9F\x98\x80 e\xCC\x81";
    const char *json = (const char *)data;
    const char *end = size > 0 ? memchr(json, '\0', size) : NULL;
    const size_t n_json = end != NULL ? (size_t)(end - json) : size;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_tokenizer *tokenizer;
    if (sc_tokenizer_open_text(&tokenizer, "fuzz", json, n_json, &error) != SEMCAL_OK) {
        require(tokenizer == NULL && error.status != SEMCAL_OK && strncmp(error.message, "fuzz", 4) == 0);
        return 0;
    }
    for (size_t id = 0; id < sc_tokenizer_n_vocabulary(tokenizer); id++) {
        size_t length;
        require(sc_tokenizer_token_bytes(&length, tokenizer, (int32_t)id) != NULL);
    }
    encode_and_back(tokenizer, usual, sizeof usual - 1);
    if (end != NULL) {
        encode_and_back(tokenizer, end + 1, size - n_json - 1);
    }
    sc_tokenizer_free(tokenizer);
    return 0;
}

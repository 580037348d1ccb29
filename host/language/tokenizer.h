/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text to token ids and back, as a Hugging Face `tokenizer.json` says.
 *
 * Byte-level BPE (GPT-2, Llama 3, Qwen2) and SentencePiece-style BPE with byte fallback (Llama 2): normalizers,
 * pre-tokenizers, merges, added tokens, the post-processor's special tokens and decoders are read from the file;
 * nothing about a model family is built in. A component this program does not know is an error that names it.
 *
 * A tokenizer never changes after sc_tokenizer_open: any number of threads may encode and decode with it at once.
 */
#ifndef SC_LANGUAGE_TOKENIZER_H
#define SC_LANGUAGE_TOKENIZER_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct sc_tokenizer sc_tokenizer;

/* Opens `path`: a model folder holding tokenizer.json (and tokenizer_config.json, if there is one, for the names of the
 * beginning and end tokens), or a tokenizer.json itself. SEMCAL_E_DATA when a file is missing or malformed or asks for
 * something not supported; the message begins with the file and the place in it (`$.pre_tokenizer.type`). */
semcal_status sc_tokenizer_open(sc_tokenizer **out, const char *path, semcal_error *error);
/* The same from the text of a tokenizer.json; `name` stands in messages. No tokenizer_config.json is read. */
semcal_status sc_tokenizer_open_text(sc_tokenizer **out, const char *name, const char *json, size_t length,
                                     semcal_error *error);
void sc_tokenizer_free(sc_tokenizer *tokenizer);

/* Encodes `length` bytes of valid UTF-8 (else SEMCAL_E_DATA with the byte offset). Added tokens written out in the
 * text, such as "<|endoftext|>", become their ids; `special` also puts the post-processor's tokens (for example a
 * beginning-of-text token) around the text. `*ids` has `*n_ids` elements (0 is possible); free it with free(). */
semcal_status sc_tokenizer_encode(int32_t **ids, size_t *n_ids, const sc_tokenizer *tokenizer, const char *text,
                                  size_t length, bool special, semcal_error *error);

/* Decodes to raw bytes, malloc'ed, one NUL more than `*length`. Ids without a token give nothing; `skip_special` leaves
 * special tokens out. The bytes of a prefix of `ids` are a prefix of the bytes of `ids` (so text can be shown as it
 * appears), hence a character may be cut and the result need not be valid UTF-8. */
semcal_status sc_tokenizer_decode(char **bytes, size_t *length, const sc_tokenizer *tokenizer, const int32_t *ids,
                                  size_t n_ids, bool skip_special, semcal_error *error);

/* Decodes to valid UTF-8, exactly as the Hugging Face decoders do: ill-formed parts become U+FFFD (with byte fallback
 * one for each byte of a run of byte tokens that is not UTF-8 as a whole). NULs stay. */
semcal_status sc_tokenizer_decode_text(char **text, size_t *length, const sc_tokenizer *tokenizer, const int32_t *ids,
                                       size_t n_ids, bool skip_special, semcal_error *error);

/* One more than the largest id. Models may have more rows than that in their output layer. */
size_t sc_tokenizer_n_vocabulary(const sc_tokenizer *tokenizer);

/* The bytes a token adds in the middle of a text, for finding stop strings as they appear; owned by the tokenizer.
 * "" with `*length` 0 for special tokens and for ids without a token. */
const char *sc_tokenizer_token_bytes(size_t *length, const sc_tokenizer *tokenizer, int32_t id);

/* The token as the file spells it (NUL-terminated), or NULL for an id without a token. */
const char *sc_tokenizer_token(const sc_tokenizer *tokenizer, int32_t id);

/* The id of a token as the file spells it, -1 when there is none. */
int32_t sc_tokenizer_find(const sc_tokenizer *tokenizer, const char *token);

bool sc_tokenizer_is_special(const sc_tokenizer *tokenizer, int32_t id);

/* Ids of the beginning-of-text and end-of-text tokens named in tokenizer_config.json, -1 when it names none. */
int32_t sc_tokenizer_bos(const sc_tokenizer *tokenizer);
int32_t sc_tokenizer_eos(const sc_tokenizer *tokenizer);

/* The chat template of tokenizer_config.json (its "default" one when there are several; or chat_template.jinja beside
 * it), NULL when there is none. */
const char *sc_tokenizer_chat_template(const sc_tokenizer *tokenizer);

/* Lower-case hexadecimal SHA-256 of tokenizer.json. */
const char *sc_tokenizer_sha256(const sc_tokenizer *tokenizer);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Normalised text: what makes two spellings of one answer the same string. */
#ifndef SC_MEANING_WORDS_H
#define SC_MEANING_WORDS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

/* `text` as valid UTF-8: every byte that belongs to no well-formed character becomes U+FFFD. Free with free(). */
semcal_status sc_words_valid(char **valid, const char *text, semcal_error *error);

/* NFKC case folding (Unicode's toNFKC_Casefold: full folding, compatibility forms, ignorable characters dropped), white
 * space runs to one space, and no punctuation, quotes or Markdown marks around the whole: leading ones of
 * `"'*_` and their curly forms, trailing ones of those and of .,;:!? . Idempotent. May be empty. */
semcal_status sc_words_exact(char **normal, const char *text, semcal_error *error);

/* TriviaQA's normalisation (Joshi et al. 2017, evaluation script), extended from ASCII to Unicode: NFKC case folding,
 * accents dropped from Latin letters, every punctuation mark and symbol to a space, the articles a, an and the
 * dropped, words joined by single spaces. Where that leaves nothing, what is dropped last stays: the articles ("The
 * The"), then the symbols without the punctuation that ends them ("!!!", "---"). Idempotent. Empty only for blank text.
 */
semcal_status sc_words_plain(char **normal, const char *text, semcal_error *error);

/* True when every word of a plain text is a function word (who, it, is, of, ...), which a search would find in any
 * sentence. */
bool sc_words_is_function(const char *plain);

/* The first place at or after `from` where `needle` stands as whole words in `plain`, or NULL. Both are plain texts. */
const char *sc_words_find(const char *plain, const char *from, const char *needle);

#endif

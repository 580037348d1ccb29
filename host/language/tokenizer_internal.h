/* SPDX-License-Identifier: Apache-2.0 */
/* What the tokenizer's files share. Text flows through lists of pieces, one list per step:
 * whole text -> added tokens -> normalizers -> normalized added tokens -> pre-tokenizers -> merges. */
#ifndef SC_LANGUAGE_TOKENIZER_INTERNAL_H
#define SC_LANGUAGE_TOKENIZER_INTERNAL_H

#include "base/memory.h"
#include "language/tokenizer.h"
#include "language/tokenizer_pattern.h"

#include <jansson.h>

/* Ids must be below this, far above any vocabulary; keeps a damaged file from asking for gigabytes. */
#define SC_MAX_TOKENS (1 << 21)

/* ---- pieces ---- */

typedef struct sc_piece {
    size_t begin, end; /* bytes of the list's text */
    int32_t id;        /* an added token, or -1: text still to be encoded */
    bool at_start;     /* begins at the first byte of the original text */
} sc_piece;

typedef struct sc_pieces {
    sc_text text;
    sc_piece *items;
    size_t n, capacity;
} sc_pieces;

void sc_pieces_clear(sc_pieces *pieces);
void sc_pieces_free(sc_pieces *pieces);
/* Appends a piece; an empty one without an id is dropped. */
semcal_status sc_pieces_add(sc_pieces *pieces, const char *bytes, size_t length, int32_t id, bool at_start,
                            semcal_error *error);

/* ---- vocabulary and merges (tokenizer_bpe.c) ---- */

typedef struct sc_vocabulary_entry {
    char *bytes; /* NUL-terminated */
    uint32_t length;
    int32_t id;
} sc_vocabulary_entry;

typedef struct sc_merge {
    uint64_t pair; /* left id << 32 | right id; SC_NO_PAIR for a free slot */
    uint32_t rank;
    int32_t id; /* what the pair becomes */
} sc_merge;

#define SC_NO_PAIR UINT64_MAX

typedef struct sc_bpe {
    sc_vocabulary_entry *entries; /* in file order */
    size_t n_entries, entry_capacity;
    uint32_t *slots; /* hash table over entries: index + 1, 0 for a free slot; a power of two */
    size_t n_slots;
    sc_merge *merges; /* hash table by pair; a power of two */
    size_t n_merge_slots;
    char *prefix, *suffix; /* continuing_subword_prefix, end_of_word_suffix; NULL when absent or empty */
    char *unknown;         /* unk_token or NULL */
    int32_t unknown_id;    /* -1: unk_token is not in the vocabulary */
    int32_t byte_id[256];  /* <0x00> ... <0xFF>, -1 when absent */
    bool fuse_unknown, byte_fallback, ignore_merges;
} sc_bpe;

/* Scratch space of one encode call. */
typedef struct sc_bpe_scratch {
    struct sc_symbol *symbols;
    size_t symbol_capacity;
    struct sc_candidate *heap;
    size_t n_heap, heap_capacity;
    char *word;
    size_t word_capacity;
} sc_bpe_scratch;

typedef struct sc_ids {
    int32_t *data;
    size_t n, capacity;
} sc_ids;

semcal_status sc_ids_add(sc_ids *ids, int32_t id, semcal_error *error);

semcal_status sc_bpe_load(sc_bpe *bpe, const json_t *model, semcal_error *error);
void sc_bpe_free(sc_bpe *bpe);
/* The id of a token of the model's vocabulary, -1 when it is not there. */
int32_t sc_bpe_find(const sc_bpe *bpe, const char *token, size_t length);
/* Appends the ids of one pre-tokenized piece of valid UTF-8. */
semcal_status sc_bpe_encode(sc_ids *ids, const sc_bpe *bpe, sc_bpe_scratch *scratch, const char *text, size_t length,
                            semcal_error *error);
void sc_bpe_scratch_free(sc_bpe_scratch *scratch);

/* ---- normalizers (tokenizer_normalize.c) ---- */

typedef enum sc_normalizer_kind {
    SC_NORMALIZER_NFC,
    SC_NORMALIZER_NFD,
    SC_NORMALIZER_NFKC,
    SC_NORMALIZER_NFKD,
    SC_NORMALIZER_LOWERCASE,
    SC_NORMALIZER_STRIP,
    SC_NORMALIZER_STRIP_ACCENTS,
    SC_NORMALIZER_PREPEND,
    SC_NORMALIZER_REPLACE,
    SC_NORMALIZER_BYTE_LEVEL
} sc_normalizer_kind;

typedef struct sc_normalizer {
    sc_normalizer_kind kind;
    sc_pattern *pattern; /* replace */
    char *content;       /* prepend, replace */
    size_t content_length;
    bool left, right; /* strip */
} sc_normalizer;

typedef struct sc_normalizers {
    sc_normalizer *items; /* sequences are written out flat */
    size_t n, capacity;
} sc_normalizers;

semcal_status sc_normalizers_load(sc_normalizers *normalizers, const json_t *json, semcal_error *error);
void sc_normalizers_free(sc_normalizers *normalizers);
/* Normalizes `text` in place (`spare` is scratch). `*at_start` becomes false when text was stripped on the left. */
semcal_status sc_normalizers_apply(const sc_normalizers *normalizers, sc_text *text, sc_text *spare, bool *at_start,
                                   semcal_error *error);

/* ---- pre-tokenizers (tokenizer_split.c) ---- */

typedef enum sc_splitter_kind {
    SC_SPLITTER_BYTE_LEVEL,
    SC_SPLITTER_PATTERN, /* Split, CharDelimiterSplit */
    SC_SPLITTER_METASPACE,
    SC_SPLITTER_DIGITS,
    SC_SPLITTER_PUNCTUATION,
    SC_SPLITTER_WHITESPACE, /* runs of word characters, runs of other visible ones */
    SC_SPLITTER_WHITESPACE_SPLIT
} sc_splitter_kind;

typedef enum sc_split_behavior {
    SC_SPLIT_REMOVED,
    SC_SPLIT_ISOLATED,
    SC_SPLIT_MERGED_WITH_PREVIOUS,
    SC_SPLIT_MERGED_WITH_NEXT,
    SC_SPLIT_CONTIGUOUS
} sc_split_behavior;

typedef enum sc_prepend_scheme { SC_PREPEND_ALWAYS, SC_PREPEND_FIRST, SC_PREPEND_NEVER } sc_prepend_scheme;

typedef struct sc_splitter {
    sc_splitter_kind kind;
    sc_pattern *pattern;        /* pattern; byte level with use_regex */
    sc_split_behavior behavior; /* pattern, digits, punctuation */
    bool invert;                /* pattern */
    bool add_prefix_space;      /* byte level */
    char replacement[4];        /* metaspace */
    size_t replacement_length;
    sc_prepend_scheme prepend;
    bool split;
} sc_splitter;

typedef struct sc_splitters {
    sc_splitter *items;
    size_t n, capacity;
} sc_splitters;

semcal_status sc_splitters_load(sc_splitters *splitters, const json_t *json, semcal_error *error);
void sc_splitters_free(sc_splitters *splitters);
/* Runs one pre-tokenizer over all pieces of `in` into the cleared list `out`. */
semcal_status sc_splitter_apply(const sc_splitter *splitter, const sc_pieces *in, sc_pieces *out, semcal_error *error);

/* ---- added tokens (tokenizer_added.c) ---- */

typedef struct sc_added_token {
    char *content;
    size_t length;
    char *decoded; /* what decoders see: the normalized content of a normalized token, else the content */
    size_t decoded_length;
    int32_t id;
    bool single_word, lstrip, rstrip, normalized, special;
} sc_added_token;

typedef struct sc_trie_node {
    uint32_t child, sibling; /* 0: none */
    uint32_t token;          /* index + 1 of the token that ends here, 0: none */
    unsigned char byte;
} sc_trie_node;

typedef struct sc_trie {
    sc_trie_node *nodes; /* node 0 is the root */
    size_t n, capacity;
    uint32_t first[256]; /* children of the root, by byte */
} sc_trie;

typedef struct sc_added {
    sc_added_token *items;
    size_t n, capacity;
    sc_trie raw, normalized; /* what is looked for before and after normalization */
} sc_added;

/* Reads one entry of added_tokens (or of added_tokens_decoder, whose id is its key: `id` >= 0). */
semcal_status sc_added_read(sc_added *added, const json_t *json, int32_t id, const sc_bpe *bpe, semcal_error *error);
/* Builds the tries once all entries are read. */
semcal_status sc_added_finish(sc_added *added, const sc_normalizers *normalizers, semcal_error *error);
void sc_added_free(sc_added *added);
/* Splits the plain text `text` around the tokens of `trie`, appending to `out`. */
semcal_status sc_added_split(const sc_added *added, const sc_trie *trie, sc_pieces *out, const char *text,
                             size_t length, bool at_start, semcal_error *error);

/* ---- decoders (tokenizer_decode.c) ---- */

typedef enum sc_decoder_kind {
    SC_DECODER_BYTE_LEVEL,
    SC_DECODER_METASPACE,
    SC_DECODER_REPLACE,
    SC_DECODER_BYTE_FALLBACK,
    SC_DECODER_FUSE,
    SC_DECODER_STRIP,
    SC_DECODER_BPE
} sc_decoder_kind;

typedef struct sc_decoder {
    sc_decoder_kind kind;
    sc_pattern *pattern; /* replace */
    char *content;       /* replace, strip: the character; BPE: the suffix; metaspace: the replacement */
    size_t content_length;
    size_t start, stop; /* strip: at most so many characters */
    bool drop_first;    /* metaspace: nothing for the replacement in the first token */
} sc_decoder;

typedef struct sc_decoders {
    sc_decoder *items;
    size_t n, capacity;
    bool present; /* without a decoder, tokens are joined by spaces */
} sc_decoders;

semcal_status sc_decoders_load(sc_decoders *decoders, const json_t *json, semcal_error *error);
void sc_decoders_free(sc_decoders *decoders);
/* Whether raw text is what its tokens decode to each by itself, one after the other. */
bool sc_decoders_join(const sc_decoders *decoders);
/* Decodes the tokens of `pieces` in place. `raw`: bytes stay as they are; otherwise the text becomes valid UTF-8. */
semcal_status sc_decoders_apply(const sc_decoders *decoders, sc_pieces *pieces, sc_pieces *spare, bool raw,
                                semcal_error *error);

/* ---- older Unicode tables (tokenizer_tables.c) ---- */

/* Normal forms leave the character alone, and it stops reordering and composition. */
bool sc_table_is_inert(uint32_t codepoint);
bool sc_table_is_mark(uint32_t codepoint);
bool sc_table_is_punctuation(uint32_t codepoint);

/* ---- the byte-level alphabet (tokenizer_bytes.c) ---- */

/* The visible character that stands for `byte`. */
uint32_t sc_byte_level_character(unsigned char byte);
/* The byte a character stands for, or -1. */
int sc_byte_level_byte(uint32_t codepoint);
/* Appends `text` with each byte replaced by its character. */
semcal_status sc_byte_level_encode(sc_text *out, const char *text, size_t length, semcal_error *error);

/* ---- JSON (tokenizer_json.c) ---- */

/* Each reads the member `key` of an object. A missing (or null) member leaves the target alone unless required; one of
 * another type is SEMCAL_E_DATA, "key: must be a string". */
semcal_status sc_json_bool(bool *out, const json_t *object, const char *key, semcal_error *error);
semcal_status sc_json_size(size_t *out, const json_t *object, const char *key, semcal_error *error);
semcal_status sc_json_string(const char **out, size_t *length, const json_t *object, const char *key, bool required,
                             semcal_error *error);
/* A copy, to be freed. */
semcal_status sc_json_string_copy(char **out, size_t *length, const json_t *object, const char *key,
                                  semcal_error *error);
/* The member `pattern`, {"String": ...} or {"Regex": ...}. */
semcal_status sc_json_pattern(sc_pattern **out, const json_t *object, semcal_error *error);
/* A growing array of zeroed structs: `*item` becomes the address of a new last element. */
semcal_status sc_array_push(void *array, size_t *n, size_t *capacity, size_t size, semcal_error *error);

/* ---- the whole ---- */

typedef struct sc_token {
    const char *text;    /* as the file spells it, NULL for a hole; owned by the model or the added tokens */
    const char *decoded; /* what decoders see; the same but for normalized added tokens */
    uint32_t length, decoded_length;
    uint32_t n_bytes;
    size_t bytes; /* offset in token_bytes */
    bool special;
} sc_token;

struct sc_tokenizer {
    sc_bpe bpe;
    sc_normalizers normalizers;
    sc_splitters splitters;
    sc_added added;
    sc_decoders decoders;
    sc_ids before, after; /* special tokens around a text */
    sc_token *tokens;     /* by id */
    size_t n_tokens;
    sc_text token_bytes;
    int32_t bos, eos;
    char *chat_template;
    char sha256[65];
};

#endif

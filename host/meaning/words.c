/* SPDX-License-Identifier: Apache-2.0 */
#include "meaning/words.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* One code point at `at` (length in *n_bytes); malformed bytes count one each as U+FFFD. */
static int32_t next_point(const char *at, size_t *n_bytes)
{
    utf8proc_int32_t point;
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)at, (utf8proc_ssize_t)strnlen(at, 4), &point);
    if (n <= 0 || point < 0) {
        *n_bytes = 1;
        return 0xFFFD;
    }
    *n_bytes = (size_t)n;
    return point;
}

static semcal_status append_point(sc_text *text, int32_t point, semcal_error *error)
{
    utf8proc_uint8_t bytes[4];
    utf8proc_ssize_t n = utf8proc_encode_char(point, bytes);
    return sc_text_append(text, (const char *)bytes, (size_t)n, error);
}

/* Hands the bytes of `text` over as a string of their own; an empty text gives "". */
static semcal_status take(char **string, sc_text *text, semcal_error *error)
{
    if (text->data == NULL) {
        *string = sc_memory_strdup("", error);
        return *string == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    *string = text->data;
    *text = (sc_text){0};
    return SEMCAL_OK;
}

semcal_status sc_words_valid(char **valid, const char *text, semcal_error *error)
{
    *valid = NULL;
    sc_text out = {0};
    semcal_status status = SEMCAL_OK;
    for (size_t n = 0; status == SEMCAL_OK && *text != '\0'; text += n) {
        int32_t point = next_point(text, &n);
        status = append_point(&out, point, error);
    }
    if (status == SEMCAL_OK) {
        status = take(valid, &out, error);
    }
    sc_text_free(&out);
    return status;
}

/* toNFKC_Casefold of any bytes. */
static semcal_status fold(char **folded, const char *text, semcal_error *error)
{
    char *valid = NULL;
    *folded = NULL;
    semcal_status status = sc_words_valid(&valid, text, error);
    if (status == SEMCAL_OK) {
        *folded = (char *)utf8proc_NFKC_Casefold((const utf8proc_uint8_t *)valid);
        if (*folded == NULL) {
            status =
                sc_error_set(error, SEMCAL_E_MEMORY, "out of memory while folding a text of %zu bytes", strlen(valid));
        }
    }
    free(valid);
    return status;
}

static bool is_space(int32_t point)
{
    if (point == '\t' || point == '\n' || point == '\v' || point == '\f' || point == '\r' || point == 0x85) {
        return true;
    }
    utf8proc_category_t category = utf8proc_category(point);
    return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
}

/* What becomes of a character: it stays, or it parts words. */
typedef enum fate { KEEP, BREAK } fate;
typedef fate (*fate_of)(int32_t point, bool first); /* first: no word is open */

/* Rewrites `text`, breaks becoming single spaces and none at the ends. */
static semcal_status rewrite(char **out, const char *text, fate_of decide, semcal_error *error)
{
    sc_text made = {0};
    semcal_status status = SEMCAL_OK;
    bool pending = false;
    *out = NULL;
    for (size_t n = 0; status == SEMCAL_OK && *text != '\0'; text += n) {
        int32_t point = next_point(text, &n);
        if (decide(point, pending || made.length == 0) == BREAK) {
            pending = made.length > 0;
            continue;
        }
        if (pending) {
            status = sc_text_append(&made, " ", 1, error);
            pending = false;
        }
        if (status == SEMCAL_OK) {
            status = sc_text_append(&made, text, n, error);
        }
    }
    if (status == SEMCAL_OK) {
        status = take(out, &made, error);
    }
    sc_text_free(&made);
    return status;
}

static fate space_fate(int32_t point, bool first)
{
    (void)first;
    return is_space(point) ? BREAK : KEEP;
}

static bool is_outer(int32_t point, bool trailing)
{
    switch (point) {
    case '"':
    case '\'':
    case '*':
    case '_':
    case '`':
    case 0x2018:
    case 0x2019:
    case 0x201C:
    case 0x201D:
    case ' ':
        return true;
    case '.':
    case ',':
    case ';':
    case ':':
    case '!':
    case '?':
        return trailing;
    default:
        return false;
    }
}

semcal_status sc_words_exact(char **normal, const char *text, semcal_error *error)
{
    char *folded = NULL, *spaced = NULL;
    *normal = NULL;
    semcal_status status = fold(&folded, text, error);
    if (status == SEMCAL_OK) {
        status = rewrite(&spaced, folded, space_fate, error);
    }
    if (status == SEMCAL_OK) {
        const char *begin = spaced, *end;
        size_t n = 0;
        while (*begin != '\0' && is_outer(next_point(begin, &n), false)) {
            begin += n;
        }
        end = begin;
        for (const char *at = begin; *at != '\0'; at += n) {
            if (!is_outer(next_point(at, &n), true)) {
                end = at + n;
            }
        }
        *normal = sc_memory_strndup(begin, (size_t)(end - begin), error);
        status = *normal == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    free(folded);
    free(spaced);
    return status;
}

static bool is_mark_of_latin(int32_t point, int32_t before)
{
    return point >= 0x0300 && point <= 0x036F && before < 0x0250;
}

/* Letters, their marks and numbers make words; all else parts them. */
static fate word_fate(int32_t point, bool first)
{
    switch (utf8proc_category(point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return KEEP;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
        return first ? BREAK : KEEP;
    default:
        return BREAK;
    }
}

/* Drops accents of Latin letters: decompose, drop, compose. */
static semcal_status drop_accents(char **plain, const char *folded, semcal_error *error)
{
    char *decomposed = (char *)utf8proc_NFD((const utf8proc_uint8_t *)folded), *bare = NULL;
    *plain = NULL;
    if (decomposed == NULL) {
        return sc_error_set(error, SEMCAL_E_MEMORY, "out of memory while decomposing a text");
    }
    sc_text made = {0};
    semcal_status status = SEMCAL_OK;
    int32_t before = 0;
    size_t n = 0;
    for (const char *at = decomposed; status == SEMCAL_OK && *at != '\0'; at += n) {
        int32_t point = next_point(at, &n);
        if (!is_mark_of_latin(point, before)) {
            before = point;
            status = sc_text_append(&made, at, n, error);
        }
    }
    if (status == SEMCAL_OK) {
        status = take(&bare, &made, error);
    }
    if (status == SEMCAL_OK) {
        *plain = (char *)utf8proc_NFC((const utf8proc_uint8_t *)bare);
        if (*plain == NULL) {
            status = sc_error_set(error, SEMCAL_E_MEMORY, "out of memory while composing a text");
        }
    }
    sc_text_free(&made);
    free(decomposed);
    free(bare);
    return status;
}

static bool is_word_of(const char *word, size_t length, const char *const *list, size_t n_list)
{
    for (size_t i = 0; i < n_list; i++) {
        if (strlen(list[i]) == length && memcmp(list[i], word, length) == 0) {
            return true;
        }
    }
    return false;
}

/* Removes the words a, an, the in place; leaves the text alone when nothing else is in it. */
static void drop_articles(char *words)
{
    static const char *const articles[] = {"a", "an", "the"};
    bool other = false;
    for (const char *at = words; *at != '\0' && !other;) {
        size_t n = strcspn(at, " ");
        other = !is_word_of(at, n, articles, 3);
        at += n + (at[n] == ' ');
    }
    if (!other) {
        return;
    }
    char *to = words;
    for (const char *at = words; *at != '\0';) {
        size_t n = strcspn(at, " ");
        const char *next = at + n + (at[n] == ' ');
        if (!is_word_of(at, n, articles, 3)) {
            if (to != words) {
                *to++ = ' ';
            }
            memmove(to, at, n);
            to += n;
        }
        at = next;
    }
    *to = '\0';
}

/* Cuts the punctuation that ends a text of symbols ("---."), unless there is nothing else. */
static void drop_stops(char *text)
{
    const char *end = text;
    size_t n = 0;
    for (const char *at = text; *at != '\0'; at += n) {
        if (!is_outer(next_point(at, &n), true)) {
            end = at + n;
        }
    }
    if (end > text) {
        text[end - text] = '\0';
    }
}

semcal_status sc_words_plain(char **normal, const char *text, semcal_error *error)
{
    char *folded = NULL, *bare = NULL, *words = NULL;
    *normal = NULL;
    semcal_status status = fold(&folded, text, error);
    if (status == SEMCAL_OK) {
        status = drop_accents(&bare, folded, error);
    }
    if (status == SEMCAL_OK) {
        status = rewrite(&words, bare, word_fate, error);
    }
    if (status == SEMCAL_OK && words[0] == '\0') {
        free(words);
        status = rewrite(&words, bare, space_fate, error);
        if (status == SEMCAL_OK) {
            drop_stops(words);
        }
    }
    if (status == SEMCAL_OK) {
        drop_articles(words);
        *normal = words;
        words = NULL;
    }
    free(folded);
    free(bare);
    free(words);
    return status;
}

bool sc_words_is_function(const char *plain)
{
    static const char *const list[] = {
        "a",    "am",   "an",   "and",   "are",  "as",   "at",   "be",   "but",   "by",  "did",  "do",
        "does", "for",  "from", "had",   "has",  "have", "he",   "her",  "him",   "his", "how",  "i",
        "if",   "in",   "is",   "it",    "its",  "me",   "my",   "not",  "of",    "on",  "or",   "our",
        "she",  "so",   "that", "the",   "them", "then", "they", "this", "to",    "us",  "was",  "we",
        "were", "what", "when", "where", "who",  "why",  "will", "with", "would", "you", "your",
    };
    for (const char *at = plain; *at != '\0';) {
        size_t n = strcspn(at, " ");
        if (!is_word_of(at, n, list, sizeof list / sizeof *list)) {
            return false;
        }
        at += n + (at[n] == ' ');
    }
    return true;
}

const char *sc_words_find(const char *plain, const char *from, const char *needle)
{
    size_t n = strlen(needle);
    if (n == 0) {
        return NULL;
    }
    for (const char *at = strstr(from, needle); at != NULL; at = strstr(at + 1, needle)) {
        if ((at == plain || at[-1] == ' ') && (at[n] == '\0' || at[n] == ' ')) {
            return at;
        }
    }
    return NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizers against Hugging Face `tokenizers`: fixtures of scripts/fixtures/make_tokenizer_fixtures.py. */
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "check.h"
#include "language/tokenizer.h"
#include "language/tokenizer_pattern.h"
#include "language/utf8.h"

#include <jansson.h>
#include <unistd.h>

#define FOLDER SEMCAL_FIXTURES "/tokenizers/"

static semcal_error error = SEMCAL_ERROR_INIT;

static json_t *load(const char *path)
{
    json_error_t where;
    json_t *data = json_load_file(path, JSON_ALLOW_NUL, &where);
    if (data == NULL) {
        print_error("%s: %s\n", path, where.text);
        fail();
    }
    return data;
}

/* "1 2 3" */
static size_t read_ids(int32_t **ids, const char *text)
{
    size_t n = 0;
    *ids = calloc(strlen(text) + 1, sizeof **ids);
    assert_non_null(*ids);
    for (char *end; *text != '\0'; text = end) {
        (*ids)[n++] = (int32_t)strtol(text, &end, 10);
    }
    return n;
}

static void check_ids(const sc_tokenizer *t, const json_t *text, bool special, const json_t *expected, const char *name)
{
    int32_t *ids, *wanted;
    size_t n;
    check_ok(sc_tokenizer_encode(&ids, &n, t, json_string_value(text), json_string_length(text), special, &error),
             error);
    const size_t n_wanted = read_ids(&wanted, json_string_value(expected));
    if (n != n_wanted || memcmp(ids, wanted, n * sizeof *ids) != 0) {
        print_error("%s: \"%s\": %zu ids, expected %zu: %s\n", name, json_string_value(text), n, n_wanted,
                    json_string_value(expected));
        fail();
    }
    free(ids);
    free(wanted);
}

static void check_text(const sc_tokenizer *t, const json_t *ids_text, bool skip, const json_t *expected,
                       const char *name)
{
    int32_t *ids;
    const size_t n = read_ids(&ids, json_string_value(ids_text));
    char *text;
    size_t length;
    check_ok(sc_tokenizer_decode_text(&text, &length, t, ids, n, skip, &error), error);
    if (length != json_string_length(expected) || memcmp(text, json_string_value(expected), length) != 0) {
        print_error("%s: ids %s: \"%s\", expected \"%s\"\n", name, json_string_value(ids_text), text,
                    json_string_value(expected));
        fail();
    }
    /* Raw bytes are the same text wherever they are one. */
    char *raw;
    size_t n_raw;
    check_ok(sc_tokenizer_decode(&raw, &n_raw, t, ids, n, skip, &error), error);
    assert_int_equal(raw[n_raw], '\0');
    if (sc_utf8_valid(NULL, raw, n_raw) && (n_raw != length || memcmp(raw, text, length) != 0)) {
        print_error("%s: ids %s: raw \"%s\", text \"%s\"\n", name, json_string_value(ids_text), raw, text);
        fail();
    }
    free(raw);
    free(text);
    free(ids);
}

/* Raw bytes of every prefix are a prefix of the whole, and grow by exactly the token's own bytes. */
static void check_prefixes(const sc_tokenizer *t, const json_t *ids_text, bool grows)
{
    int32_t *ids;
    const size_t n = read_ids(&ids, json_string_value(ids_text));
    char *whole;
    size_t length, before = 0;
    check_ok(sc_tokenizer_decode(&whole, &length, t, ids, n, true, &error), error);
    bool started = false;
    for (size_t i = 1; i <= n && n <= 48; i++) {
        char *part;
        size_t n_part, n_token;
        check_ok(sc_tokenizer_decode(&part, &n_part, t, ids, i, true, &error), error);
        assert_true(n_part <= length && memcmp(part, whole, n_part) == 0);
        const char *bytes = sc_tokenizer_token_bytes(&n_token, t, ids[i - 1]);
        if (started && grows) {
            assert_int_equal(n_part - before, n_token);
            assert_memory_equal(part + before, bytes, n_token);
        }
        started = started || n_part > 0;
        before = n_part;
        free(part);
    }
    free(whole);
    free(ids);
}

static void check_tokenizer(const char *name, const char *path, const char *expected_path, bool prefixes, bool grows)
{
    json_t *texts = load(FOLDER "strings.json"), *expected = load(expected_path);
    sc_tokenizer *t;
    check_ok(sc_tokenizer_open(&t, path, &error), error);
    assert_int_equal(sc_tokenizer_n_vocabulary(t), json_integer_value(json_object_get(expected, "n_vocabulary")));
    const json_t *ids = json_object_get(expected, "ids"), *decoded = json_object_get(expected, "decoded");
    const json_t *special = json_object_get(expected, "special"), *decode = json_object_get(expected, "decode");
    assert_true(json_array_size(texts) > 300);
    assert_int_equal(json_array_size(texts), json_array_size(ids));
    for (size_t i = 0; i < json_array_size(texts); i++) {
        const json_t *text = json_array_get(texts, i), *want = json_array_get(ids, i);
        check_ids(t, text, false, want, name);
        if (i < json_array_size(special)) {
            check_ids(t, text, true, json_array_get(special, i), name);
        }
        char key[32];
        (void)snprintf(key, sizeof key, "%zu", i);
        const json_t *other = json_object_get(decoded, key);
        check_text(t, want, false, other != NULL ? other : text, name);
        if (prefixes) {
            check_prefixes(t, want, grows);
        }
    }
    for (size_t i = 0; i < json_array_size(decode); i++) {
        const json_t *item = json_array_get(decode, i);
        check_text(t, json_object_get(item, "ids"), true, json_object_get(item, "text"), name);
        check_text(t, json_object_get(item, "ids"), false, json_object_get(item, "all"), name);
        if (prefixes) {
            check_prefixes(t, json_object_get(item, "ids"), grows);
        }
    }
    sc_tokenizer_free(t);
    json_decref(texts);
    json_decref(expected);
}

static void agrees_with_hugging_face(void **state)
{
    (void)state;
    /* `prefixes`: decoding is stable under appending (all decoders real models use). `grows`: by the token's bytes;
     * not so where the last token of a text is treated in its own way. */
    static const struct {
        const char *name;
        bool prefixes, grows;
    } all[] = {
        {"gpt2", true, true},
        {"added", true, true},
        {"llama3", true, true},
        {"qwen2", true, true},
        {"cl100k", true, true},
        {"o200k", true, true},
        {"deepseek", true, true},
        {"starcoder", true, true},
        {"byte_normalizer", true, true},
        {"llama2", true, true},
        {"metaspace_first", true, true},
        {"metaspace_always", true, true},
        {"metaspace_never", true, true},
        {"unknown_holes", false, false},
        {"clip", true, false},
        {"prefix", true, true},
        {"behaviours", true, true},
        {"oniguruma", true, true},
        {"nothing", true, true},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char path[512], expected[512];
        (void)snprintf(path, sizeof path, FOLDER "%s", all[i].name);
        (void)snprintf(expected, sizeof expected, FOLDER "%s/expected.json", all[i].name);
        check_tokenizer(all[i].name, path, expected, all[i].prefixes, all[i].grows);
    }
}

static void agrees_on_shared_tokenizers(void **state)
{
    (void)state;
    static const char *const where[][2] = {{"data/tokenizers/gpt2", FOLDER "shared/gpt2.json"},
                                           {"data/models/stories260K", FOLDER "shared/stories260K.json"}};
    for (size_t i = 0; i < 2; i++) {
        if (shared_path(where[i][0]) == NULL) {
            print_message("skipped: %s is not there\n", where[i][0]);
            skip();
        }
        check_tokenizer(where[i][0], shared_path(where[i][0]), where[i][1], true, true);
    }
}

/* The cases that come with the shared data, made by other programs. */
static void agrees_with_shared_cases(void **state)
{
    (void)state;
    if (shared_path("data/tokenizers/gpt2/cases.jsonl") == NULL) {
        print_message("skipped: the shared tokenizers are not there\n");
        skip();
    }
    FILE *file = fopen(shared_path("data/tokenizers/gpt2/cases.jsonl"), "rb");
    assert_non_null(file);
    sc_tokenizer *t;
    check_ok(sc_tokenizer_open(&t, shared_path("data/tokenizers/gpt2"), &error), error);
    json_t *item;
    size_t n_cases = 0;
    while ((item = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL)) != NULL) {
        const json_t *text = json_object_get(item, "text"), *wanted = json_object_get(item, "ids");
        int32_t *ids;
        size_t n;
        check_ok(sc_tokenizer_encode(&ids, &n, t, json_string_value(text), json_string_length(text), false, &error),
                 error);
        assert_int_equal(n, json_array_size(wanted));
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(ids[i], json_integer_value(json_array_get(wanted, i)));
        }
        free(ids);
        json_decref(item);
        n_cases++;
    }
    assert_int_equal(n_cases, 30);
    (void)fclose(file);
    sc_tokenizer_free(t);
    check_ok(sc_tokenizer_open(&t, shared_path("data/models/stories260K"), &error), error);
    assert_int_equal(sc_tokenizer_bos(t), 1);
    assert_int_equal(sc_tokenizer_eos(t), 2);
    json_t *reference = load(shared_path("data/models/stories260K/reference.json"));
    const json_t *cases = json_object_get(reference, "cases");
    for (size_t k = 0; k < json_array_size(cases); k++) {
        const json_t *text = json_object_get(json_array_get(cases, k), "text");
        const json_t *wanted = json_object_get(json_array_get(cases, k), "prompt_ids");
        if (!json_is_string(text)) {
            continue;
        }
        int32_t *ids;
        size_t n;
        check_ok(sc_tokenizer_encode(&ids, &n, t, json_string_value(text), json_string_length(text), true, &error),
                 error);
        assert_int_equal(n, json_array_size(wanted));
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(ids[i], json_integer_value(json_array_get(wanted, i)));
        }
        free(ids);
    }
    json_decref(reference);
    sc_tokenizer_free(t);
}

/* ---- one tokenizer, many threads ---- */

typedef struct shared_work {
    const sc_tokenizer *tokenizer;
    const json_t *texts, *ids;
} shared_work;

static semcal_status encode_one(size_t i, unsigned thread, void *payload, semcal_error *e)
{
    (void)thread;
    const shared_work *work = payload;
    const json_t *text = json_array_get(work->texts, i % json_array_size(work->texts));
    int32_t *ids, *wanted;
    size_t n;
    semcal_status status =
        sc_tokenizer_encode(&ids, &n, work->tokenizer, json_string_value(text), json_string_length(text), false, e);
    if (status == SEMCAL_OK) {
        const size_t n_wanted =
            read_ids(&wanted, json_string_value(json_array_get(work->ids, i % json_array_size(work->texts))));
        if (n != n_wanted || memcmp(ids, wanted, n * sizeof *ids) != 0) {
            status = sc_error_set(e, SEMCAL_E_NUMERIC, "text %zu differs", i);
        }
        free(wanted);
    }
    free(ids);
    return status;
}

static void threads_share_a_tokenizer(void **state)
{
    (void)state;
    json_t *texts = load(FOLDER "strings.json"), *expected = load(FOLDER "llama3/expected.json");
    sc_tokenizer *t;
    check_ok(sc_tokenizer_open(&t, FOLDER "llama3", &error), error);
    shared_work work = {t, texts, json_object_get(expected, "ids")};
    check_ok(sc_parallel_for(4 * json_array_size(texts), 4, encode_one, &work, &error), error);
    sc_tokenizer_free(t);
    json_decref(texts);
    json_decref(expected);
}

/* ---- long inputs ---- */

/* One word, or one run of white space, of 200,000 bytes: a quadratic step would take minutes. */
static void long_inputs_are_not_quadratic(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt2", "llama3", "o200k", "llama2", "metaspace_first", "clip", "nothing"};
    static const char *const units[] = {"a", " ", "ab", "\n", "1", "!", " \n", "<|endoftext|"};
    const double start = sc_clock_now_s();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512];
        (void)snprintf(path, sizeof path, FOLDER "%s", names[i]);
        sc_tokenizer *t;
        check_ok(sc_tokenizer_open(&t, path, &error), error);
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            sc_text text = {0};
            while (text.length < 200000) {
                check_ok(sc_text_append(&text, units[u], strlen(units[u]), &error), error);
            }
            int32_t *ids;
            size_t n;
            check_ok(sc_tokenizer_encode(&ids, &n, t, text.data, text.length, false, &error), error);
            assert_true(n <= text.length + 16);
            free(ids);
            sc_text_free(&text);
        }
        sc_tokenizer_free(t);
    }
    assert_true(sc_clock_now_s() - start < 60);
}

/* ---- bad input ---- */

static void check_bad(const char *json, const char *message)
{
    char path[] = "/tmp/semcal-tokenizer-XXXXXX";
    const int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    FILE *file = fdopen(descriptor, "wb");
    assert_non_null(file);
    (void)fputs(json, file);
    (void)fclose(file);
    sc_tokenizer *t = NULL;
    const semcal_status status = sc_tokenizer_open(&t, path, &error);
    if (status == SEMCAL_OK) {
        print_error("%s opened, expected \"%s\"\n", json, message);
    }
    check_error(status, error, SEMCAL_E_DATA, message);
    assert_null(t);
    (void)remove(path);
}

#define MODEL "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}"

static void bad_files_are_named(void **state)
{
    (void)state;
    sc_tokenizer *t;
    check_error(sc_tokenizer_open(&t, "/nowhere", &error), error, SEMCAL_E_DATA, "/nowhere");
    check_bad("{", ":1:");
    check_bad("[]", "must be a JSON object");
    check_bad("{}", "$.model: must be an object");
    check_bad("{\"model\":{\"type\":\"Unigram\"}}", "$.model: type \"Unigram\": not supported");
    check_bad("{\"model\":{\"vocab\":{},\"merges\":[],\"dropout\":0.1}}", "dropout");
    check_bad("{\"model\":{\"vocab\":{\"a\":-1},\"merges\":[]}}", "id of \"a\"");
    check_bad("{\"model\":{\"vocab\":{\"a\":999999999},\"merges\":[]}}", "id of \"a\"");
    check_bad("{\"model\":{\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}", "id 0: both \"a\" and \"b\"");
    check_bad("{\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"a b\"]}}", "merges[0]: token \"b\" is not in vocab");
    check_bad("{\"model\":{\"vocab\":{\"a\":0,\"b\":1},\"merges\":[[\"a\",\"b\"]]}}", "token \"ab\" is not in vocab");
    check_bad("{\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"a  a\"]}}", "merges[0]: must be");
    check_bad("{\"model\":{\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}}", "merges[0]: must be");
    check_bad("{" MODEL ",\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}}",
              "$.pre_tokenizer: type \"UnicodeScripts\": not supported");
    check_bad("{" MODEL ",\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\"},{}]}}",
              "$.pre_tokenizer: pretokenizers[1]: type: must be a string");
    check_bad("{" MODEL ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a\"}}}",
              "regular expression");
    check_bad("{" MODEL ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[a&&b]\"}}}", "&&");
    check_bad("{" MODEL ",\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"ab\"}}", "one character");
    check_bad("{" MODEL ",\"normalizer\":{\"type\":\"Precompiled\"}}", "$.normalizer: type \"Precompiled\"");
    check_bad("{" MODEL ",\"decoder\":{\"type\":\"CTC\"}}", "$.decoder: type \"CTC\"");
    check_bad("{" MODEL ",\"post_processor\":{\"type\":\"X\"}}", "$.post_processor: type \"X\"");
    check_bad("{" MODEL ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[]}}", "leaves the text out");
    check_bad("{" MODEL ",\"added_tokens\":[{\"id\":7,\"content\":\"a\"}]}", "the vocabulary says 0");
    check_bad("{" MODEL ",\"added_tokens\":[{\"id\":0,\"content\":\"z\"}]}", "id 0: both \"a\" and \"z\"");
    check_bad("{" MODEL ",\"added_tokens\":[{\"content\":\"z\"}]}", "$.added_tokens: [0]: id");
}

static void bad_text_is_an_error(void **state)
{
    (void)state;
    sc_tokenizer *t;
    int32_t *ids;
    size_t n;
    check_ok(sc_tokenizer_open(&t, FOLDER "gpt2", &error), error);
    check_error(sc_tokenizer_encode(&ids, &n, t, "ab\xC3(", 4, false, &error), error, SEMCAL_E_DATA, "byte 2 (0xC3)");
    assert_null(ids);
    check_ok(sc_tokenizer_encode(&ids, &n, t, "", 0, true, &error), error);
    assert_non_null(ids);
    assert_int_equal(n, 0);
    free(ids);
    /* ids of a padded output layer decode to nothing */
    char *text;
    size_t length;
    const int32_t strange[] = {-1, 100000, 65 - 32};
    check_ok(sc_tokenizer_decode(&text, &length, t, strange, 2, true, &error), error);
    assert_string_equal(text, "");
    free(text);
    assert_null(sc_tokenizer_token(t, -1));
    assert_int_equal(sc_tokenizer_find(t, "<|endoftext|>"), 0);
    assert_true(sc_tokenizer_is_special(t, 0));
    assert_int_equal(sc_tokenizer_find(t, "no such token"), -1);
    assert_int_equal(strlen(sc_tokenizer_sha256(t)), 64);
    sc_tokenizer_free(t);
}

/* ---- tokenizer_config.json ---- */

static void write_file(const char *folder, const char *name, const char *content)
{
    char *path = sc_file_join(folder, name, &error);
    check_ok(sc_file_write_atomic(path, content, strlen(content), &error), error);
    free(path);
}

static void config_names_tokens_and_template(void **state)
{
    (void)state;
    char folder[] = "/tmp/semcal-tokenizer-XXXXXX";
    assert_non_null(mkdtemp(folder));
    write_file(folder, "tokenizer.json",
               "{" MODEL ",\"added_tokens\":[{\"id\":3,\"content\":\"<s>\",\"special\":true}]}");
    write_file(
        folder, "tokenizer_config.json",
        "{\"bos_token\":\"<s>\",\"eos_token\":{\"content\":\"</s>\"},\"added_tokens_decoder\":{"
        "\"3\":{\"content\":\"<s>\",\"special\":true},\"5\":{\"content\":\"</s>\",\"special\":true}},"
        "\"chat_template\":[{\"name\":\"tools\",\"template\":\"t\"},{\"name\":\"default\",\"template\":\"d\"}]}");
    sc_tokenizer *t;
    check_ok(sc_tokenizer_open(&t, folder, &error), error);
    assert_int_equal(sc_tokenizer_bos(t), 3);
    assert_int_equal(sc_tokenizer_eos(t), 5);
    assert_int_equal(sc_tokenizer_n_vocabulary(t), 6);
    assert_null(sc_tokenizer_token(t, 4));
    assert_string_equal(sc_tokenizer_chat_template(t), "d");
    int32_t *ids;
    size_t n;
    check_ok(sc_tokenizer_encode(&ids, &n, t, "ab</s>a", 7, true, &error), error);
    assert_int_equal(n, 3);
    assert_int_equal(ids[1], 5);
    free(ids);
    sc_tokenizer_free(t);
    write_file(folder, "tokenizer_config.json", "{}");
    write_file(folder, "chat_template.jinja", "{{ j }}");
    check_ok(sc_tokenizer_open(&t, folder, &error), error);
    assert_int_equal(sc_tokenizer_eos(t), -1);
    assert_string_equal(sc_tokenizer_chat_template(t), "{{ j }}");
    sc_tokenizer_free(t);
    write_file(folder, "tokenizer_config.json", "{\"added_tokens_decoder\":{\"x\":{\"content\":\"y\"}}}");
    check_error(sc_tokenizer_open(&t, folder, &error), error, SEMCAL_E_DATA,
                "tokenizer_config.json: $.added_tokens_decoder");
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"};
    for (size_t i = 0; i < 3; i++) {
        char *path = sc_file_join(folder, names[i], &error);
        (void)remove(path);
        free(path);
    }
    (void)rmdir(folder);
}

/* ---- the pattern translation, by itself ---- */

static size_t count_matches(const char *pattern, const char *text)
{
    sc_pattern *p;
    sc_search search;
    check_ok(sc_pattern_open(&p, pattern, strlen(pattern), false, &error), error);
    check_ok(sc_search_open(&search, p, &error), error);
    sc_search_begin(&search, text, strlen(text));
    size_t n = 0;
    for (;;) {
        sc_match match;
        bool found;
        check_ok(sc_search_next(&match, &found, &search, &error), error);
        if (!found) {
            break;
        }
        n++;
    }
    sc_search_close(&search);
    sc_pattern_free(p);
    return n;
}

static void patterns_mean_what_oniguruma_means(void **state)
{
    (void)state;
    assert_int_equal(count_matches("\\d{1,3}+", "1234567"), 1); /* greedy of greedy, not possessive */
    assert_int_equal(count_matches("\\d{1,3}", "1234567"), 3);
    assert_int_equal(count_matches("a{2}?", "aaab"), 3); /* (?:a{2})?: aa, then nothing before b and at the end */
    assert_int_equal(count_matches("xa{,2}", "xaaa"), 1);
    assert_int_equal(count_matches("\\h", "aG9\t"), 2);
    assert_int_equal(count_matches("\\s", "\xE1\xA0\x8E \xC2\x85"), 2); /* U+180E is no space, U+0085 is */
    assert_int_equal(count_matches("\\w", "\xC2\xB2\xCC\x81_"), 3);     /* superscript two is a word character */
    assert_int_equal(count_matches("\\bfoo\\b", "foo \xC2\xB2"
                                                "foo foo"),
                     2);
    assert_int_equal(count_matches("^a", "a\na\n"), 2);
    assert_int_equal(count_matches("(?m:a.b)", "a\nb"), 1);
    assert_int_equal(count_matches("a.b", "a\nb"), 0);
    assert_int_equal(count_matches("a*", "baac"), 3); /* at 0, 1-3 and at the end; not again at 3 */
    assert_int_equal(count_matches("[[:punct:]]", "+!a$"), 3);
    assert_int_equal(count_matches("{", "{a}"), 1);
    assert_int_equal(count_matches("(?i:'s)", "'S '\xC5\xBF"), 2); /* long s folds to s */
    sc_pattern *p;
    static const char *const bad[] = {"(", "[a[b]]", "[\\W]", "a\\", "(*UTF)", "\\p{Nope}", "\\u12", "*a", "[b-a]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        check_error(sc_pattern_open(&p, bad[i], strlen(bad[i]), false, &error), error, SEMCAL_E_DATA,
                    "regular expression");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_mean_what_oniguruma_means),
        cmocka_unit_test(agrees_with_hugging_face),
        cmocka_unit_test(agrees_on_shared_tokenizers),
        cmocka_unit_test(agrees_with_shared_cases),
        cmocka_unit_test(threads_share_a_tokenizer),
        cmocka_unit_test(long_inputs_are_not_quadratic),
        cmocka_unit_test(bad_files_are_named),
        cmocka_unit_test(config_names_tokens_and_template),
        cmocka_unit_test(bad_text_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

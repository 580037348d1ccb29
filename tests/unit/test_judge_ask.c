/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the judge again and again: nobody is left out, nothing is asked twice, what was asked is let go. The judge is
 * a toy that says the word of the response, after as many fillers as the response wants: replies end out of order. */
#include "check.h"
#include "experiment/judge_internal.h"
#include "source/toy.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

enum { MOST = 400, BATCH = 5 };

static semcal_error error = SEMCAL_ERROR_INIT;
static char prompt[] = "{question}\nlaw: {response}=3 echo=1", kind[] = "model", then[] = "exact", name[] = "t";
static const sc_config_collapse config = {.kind = kind, .prompt = prompt, .max_tokens = 12, .then = then};
static const sc_config_model model = {.name = name, .source = SC_CONFIG_TOY};

static sc_source *source;
static size_t n_looks, last_look; /* how often the judge may still look up; 0: for ever */

static bool is_enough(void *payload)
{
    (void)payload;
    return last_look > 0 && ++n_looks >= last_look;
}

static sc_judged *make(const char *folder)
{
    const sc_judge_options options = {.config = &config,
                                      .model = &model,
                                      .source = source,
                                      .folder = folder,
                                      .commit_seconds = 1e9,
                                      .batch = BATCH,
                                      .stopped = is_enough};
    sc_judged *judged;
    check_ok(sc_judged_make(&judged, &options, &error), error);
    return judged;
}

/* Texts of question i; three questions share each response, and the same question has several. */
static const char *question_of(size_t i)
{
    static char text[32];
    (void)snprintf(text, sizeof text, "question %zu", i % 7 + i / 21 * 7);
    return text;
}

static const char *response_of(size_t i)
{
    static char text[64];
    (void)snprintf(text, sizeof text, "fillers=%zu %s", i * 5 % 8, sc_toy_class_word((int)(i / 7 % 3 * 8 + i % 4)));
    return text;
}

static void want(sc_judged *j, size_t first, size_t n)
{
    for (size_t i = first; i < first + n; i++) {
        check_ok(sc_judged_want(j, "id", question_of(i), response_of(i), &error), error);
    }
}

/* Every one of the first n has its reply and nothing else; the counts; room for nothing but replies. */
static void check_all_there(sc_judged *j, size_t n, uint64_t n_asked)
{
    uint64_t wanted, asked;
    sc_judged_counts(j, &wanted, &asked);
    assert_int_equal(wanted, n);
    assert_int_equal(asked, n_asked);
    assert_int_equal(j->n_entries, n);
    for (size_t i = 0; i < n; i++) {
        const sc_collapse_judge *judge = sc_judged_judge(j);
        const char *response = response_of(i), *word = strrchr(response, ' ') + 1;
        const size_t n_fillers = (size_t)(response[8] - '0');
        sc_collapse_reply reply;
        char expected[128];
        size_t at = 0;
        for (size_t k = 0; k < n_fillers; k++) {
            at += (size_t)snprintf(expected + at, sizeof expected - at, "well ");
        }
        (void)snprintf(expected + at, sizeof expected - at, "%s", word);
        check_ok(judge->reply(&reply, question_of(i), response, judge->payload, &error), error);
        assert_non_null(reply.text);
        assert_string_equal(reply.text, expected);
        assert_false(reply.cut);
        assert_null(j->entries[i].id);
        assert_null(j->entries[i].question);
        assert_null(j->entries[i].response);
    }
}

/* A stream of blocks, each with some of what came before. */
static void blocks(void **state)
{
    (void)state;
    last_look = 0;
    sc_judged *j = make(NULL);
    size_t n = 0;
    for (size_t block = 0; n < MOST; block++) {
        const size_t fresh = block % 4 == 3 ? 0 : 1 + block % 9, here = n + fresh <= MOST ? fresh : MOST - n;
        want(j, n, here);
        n += here;
        want(j, n / 2, n > 6 ? 3 : 0);
        check_ok(sc_judged_run(j, &error), error);
        check_all_there(j, n, n);
    }
    check_ok(sc_judged_run(j, &error), error); /* nothing new */
    check_all_there(j, n, n);
    assert_int_equal(j->n_answered, n); /* and nothing looked at from the start */
    sc_judged_free(j);
}

/* Stopped wherever it may be, with gaps before replies that are there; then more is asked. */
static void gaps(void **state)
{
    (void)state;
    size_t with_gap = 0;
    for (last_look = 1; last_look < 60; last_look++) {
        const size_t usual = last_look;
        sc_judged *j = make(NULL);
        want(j, 0, 30);
        n_looks = 0;
        const semcal_status status = sc_judged_run(j, &error);
        assert_true(status == SEMCAL_INTERRUPTED || status == SEMCAL_OK);
        size_t there = 0, gap = 0;
        for (size_t i = 0; i < j->n_entries; i++) {
            there += j->entries[i].text != NULL;
            gap += j->entries[i].text == NULL && i + 1 < j->n_entries && j->entries[i + 1].text != NULL;
            assert_true((j->entries[i].text == NULL) == (j->entries[i].question != NULL));
        }
        with_gap += gap > 0;
        assert_true(there <= 30 && (status == SEMCAL_INTERRUPTED || there == 30));
        want(j, 20, 20);
        last_look = 0;
        check_ok(sc_judged_run(j, &error), error);
        check_all_there(j, 40, 40);
        sc_judged_free(j);
        last_look = usual;
    }
    assert_true(with_gap > 10);
    last_look = 0;
}

/* The file of replies, of which some lines are lost: those are asked about, and no other. */
static void kept(void **state)
{
    (void)state;
    last_look = 0;
    char folder[] = "/tmp/semcal-judge-XXXXXX", path[512] = "", inner[64];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(inner, sizeof inner, "%s/judge", folder);
    sc_judged *j = make(folder);
    want(j, 0, 50);
    check_ok(sc_judged_run(j, &error), error);
    check_all_there(j, 50, 50);
    sc_judged_free(j);

    DIR *list = opendir(inner);
    assert_non_null(list);
    for (const struct dirent *entry; (entry = readdir(list)) != NULL;) {
        if (strstr(entry->d_name, ".jsonl") != NULL) {
            (void)snprintf(path, sizeof path, "%s/%s", inner, entry->d_name);
        }
    }
    (void)closedir(list);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    static char lines[60][1024];
    size_t n = 0;
    while (n < 60 && fgets(lines[n], sizeof lines[n], file) != NULL) {
        n++;
    }
    (void)fclose(file);
    assert_int_equal(n, 51);
    file = fopen(path, "w");
    assert_non_null(file);
    for (size_t i = 0; i < n; i++) {
        if (i != 1 && i != 17 && i != 18 && i != 50) {
            (void)fputs(lines[i], file);
        }
    }
    (void)fclose(file);

    j = make(folder);
    want(j, 0, 50);
    check_ok(sc_judged_run(j, &error), error);
    check_all_there(j, 50, 4);
    want(j, 50, 9);
    check_ok(sc_judged_run(j, &error), error);
    check_all_there(j, 59, 13);
    sc_judged_free(j);
    j = make(folder);
    want(j, 0, 59);
    check_ok(sc_judged_run(j, &error), error);
    check_all_there(j, 59, 0);
    sc_judged_free(j);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(inner), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    if (sc_source_toy_open(&source, &error) != SEMCAL_OK) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks),
        cmocka_unit_test(gaps),
        cmocka_unit_test(kept),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    source->functions->close(source);
    return failed;
}

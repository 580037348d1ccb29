/* SPDX-License-Identifier: Apache-2.0 */
#include "store_records.h"

#include "base/file.h"
#include "experiment/store_internal.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { N_QUESTIONS = 60, N_DRAWS = 7, N_TOP = 3 };

static char folder[] = "/tmp/semcal-store-XXXXXX";
static char run[80], cell_path[160];
static unsigned n_runs;

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static int new_run(void **state)
{
    (void)state;
    (void)snprintf(run, sizeof run, "%s/%u", folder, n_runs++);
    (void)snprintf(cell_path, sizeof cell_path, "%s/cells/c.h5", run);
    return 0;
}

static const sc_store_attribute attributes[] = {{"config_sha256", "abc", true}, {"device", "here", false}};

static sc_store_options options_of(size_t commit_questions)
{
    sc_store_options options = SC_STORE_OPTIONS_INIT;
    options.n_questions = N_QUESTIONS;
    options.n_draws = N_DRAWS;
    options.n_top = N_TOP;
    options.commit_questions = commit_questions;
    options.attributes = attributes;
    options.n_attributes = 2;
    return options;
}

static size_t n_logged;
static char last_log[SEMCAL_ERROR_SIZE];

static void keep_log(const char *line, void *payload)
{
    (void)payload;
    n_logged++;
    (void)snprintf(last_log, sizeof last_log, "%s", line);
}

static semcal_status append(sc_store *store, unsigned index, unsigned variant, semcal_error *error)
{
    sc_store_record record = test_record(index, N_DRAWS, N_TOP, false, variant);
    return sc_store_append(store, &record, error);
}

/* Question order: a permutation that depends on `step`, which must have no factor in common with N_QUESTIONS. */
static void append_all(sc_store *store, unsigned step, unsigned variant)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    for (unsigned i = 0; i < N_QUESTIONS; i++) {
        unsigned index = i * step % N_QUESTIONS;
        if (sc_store_wants(store, index)) {
            check_ok(append(store, index, variant, &error), error);
        }
    }
}

static void finish_run(const sc_store_options *options, unsigned step, unsigned variant)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_store *store;
    check_ok(sc_store_open(&store, run, "c", options, &error), error);
    append_all(store, step, variant);
    const sc_store_attribute extra[] = {{"wall_s", variant == 0 ? "1" : "2", false}};
    check_ok(sc_store_finish(store, extra, 1, &error), error);
    assert_true(sc_store_is_finished(store));
    check_ok(sc_store_close(&store, &error), error);
}

static void read_digest(char hex[65], const char *path)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_store_cell *cell;
    check_ok(sc_store_cell_open(&cell, path, &error), error);
    assert_int_equal(strlen(sc_store_cell_facts(cell)->content_sha256), 64);
    memcpy(hex, sc_store_cell_facts(cell)->content_sha256, 65);
    sc_store_cell_close(&cell);
}

static void expected_digest(char hex[65])
{
    char kept_run[80], kept_cell[160];
    memcpy(kept_run, run, sizeof run);
    memcpy(kept_cell, cell_path, sizeof cell_path);
    (void)new_run(NULL);
    const sc_store_options options = options_of(1000);
    finish_run(&options, 1, 0);
    read_digest(hex, cell_path);
    memcpy(run, kept_run, sizeof run);
    memcpy(cell_path, kept_cell, sizeof cell_path);
}

static void same_doubles(const double *a, const double *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_true((isnan(a[i]) && isnan(b[i])) || a[i] == b[i]);
    }
}

static void same_record(const sc_store_record *a, const sc_store_record *b, bool raw)
{
    assert_true(a->index == b->index && a->n_forward_tokens == b->n_forward_tokens);
    assert_string_equal(a->id, b->id);
    assert_string_equal(a->question, b->question);
    assert_string_equal(a->prompt, b->prompt);
    assert_string_equal(a->reference, b->reference != NULL ? b->reference : "");
    assert_int_equal(a->n_prompt_tokens, b->n_prompt_tokens);
    assert_int_equal(a->n_answers, b->n_answers);
    for (size_t i = 0; i < a->n_answers; i++) {
        assert_string_equal(a->answers[i], b->answers[i]);
    }
    assert_int_equal(a->n_law, b->n_law);
    for (size_t i = 0; i < a->n_law; i++) {
        assert_string_equal(a->law_label[i], b->law_label[i]);
    }
    same_doubles(a->law_probability, b->law_probability, a->n_law);
    const sc_tree *s = &a->tree, *t = &b->tree;
    assert_true(s->n_nodes == t->n_nodes && s->n_draws == t->n_draws && s->n_top == t->n_top);
    assert_true(s->n_laws == t->n_laws && s->n_draw_tokens == t->n_draw_tokens);
    size_t n = s->n_nodes, m = s->n_draws, k = s->n_top;
    assert_memory_equal(s->parent, t->parent, n * sizeof *s->parent);
    assert_memory_equal(s->token, t->token, n * sizeof *s->token);
    assert_memory_equal(s->count, t->count, n * sizeof *s->count);
    same_doubles(s->logprob, t->logprob, n);
    same_doubles(s->logprob_raw, raw ? t->logprob_raw : t->logprob, n);
    same_doubles(s->entropy, t->entropy, n);
    same_doubles(s->log_normalizer, t->log_normalizer, n);
    same_doubles(s->rest_mass, t->rest_mass, n);
    assert_memory_equal(s->top_token, t->top_token, n * k * sizeof *s->top_token);
    for (size_t i = 0; i < n * k; i++) {
        const double stored = (double)(float)t->top_logprob[i];
        same_doubles(&s->top_logprob[i], &stored, 1);
    }
    assert_memory_equal(s->leaf, t->leaf, m * sizeof *s->leaf);
    assert_memory_equal(s->n_tokens, t->n_tokens, m * sizeof *s->n_tokens);
    assert_memory_equal(s->finish, t->finish, m);
    same_doubles(s->draw_logprob, t->draw_logprob, m);
    same_doubles(s->draw_logprob_raw, raw ? t->draw_logprob_raw : t->draw_logprob, m);
    for (size_t j = 0; j < m; j++) {
        assert_string_equal(s->text[j], t->text[j]);
    }
    same_doubles(&s->logprob_reference, &t->logprob_reference, 1);
    same_doubles(&a->unexplored_mass, &b->unexplored_mass, 1);
    assert_int_equal(a->n_found, b->n_found);
    assert_memory_equal(a->found_leaf, b->found_leaf, a->n_found * sizeof *a->found_leaf);
    same_doubles(a->found_logprob, b->found_logprob, a->n_found);
    assert_memory_equal(a->found_tail, b->found_tail, a->n_found);
    for (size_t i = 0; i < a->n_found; i++) {
        assert_string_equal(a->found_text[i], b->found_text[i]);
    }
}

static void round_trip(bool raw, bool enumerated, size_t n_draws, size_t n_top)
{
    (void)new_run(NULL);
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_store_options options = options_of(8);
    options.raw = raw;
    options.n_draws = n_draws;
    options.n_top = n_top;
    sc_store *store;
    check_ok(sc_store_open(&store, run, "c", &options, &error), error);
    for (unsigned i = 0; i < N_QUESTIONS; i++) {
        sc_store_record record = test_record(i * 7 % N_QUESTIONS, n_draws, n_top, enumerated, 0);
        check_ok(sc_store_append(store, &record, &error), error);
        assert_null(record.id);
    }
    check_ok(sc_store_finish(store, NULL, 0, &error), error);
    check_ok(sc_store_close(&store, &error), error);
    sc_store_cell *cell;
    check_ok(sc_store_cell_open(&cell, cell_path, &error), error);
    const sc_store_facts *facts = sc_store_cell_facts(cell);
    assert_true(facts->n_questions == N_QUESTIONS && facts->raw == raw && facts->n_draws == n_draws);
    assert_string_equal(facts->cell, "c");
    assert_null(facts->collapse);
    assert_string_equal(sc_store_cell_attribute(cell, "config_sha256"), "abc");
    assert_null(sc_store_cell_attribute(cell, "absent"));
    /* Forwards, then jumping about. */
    for (unsigned i = 0; i < 2 * N_QUESTIONS; i++) {
        unsigned index = i < N_QUESTIONS ? i : i * 17 % N_QUESTIONS;
        sc_store_record read, made = test_record(index, n_draws, n_top, enumerated, 0);
        check_ok(sc_store_cell_read(&read, cell, index, SC_STORE_NODES, &error), error);
        same_record(&read, &made, raw);
        sc_store_record_free(&read);
        sc_store_record_free(&made);
    }
    sc_store_record read;
    check_ok(sc_store_cell_read(&read, cell, 3, 0, &error), error);
    assert_true(read.tree.n_nodes == 0 && read.tree.parent == NULL && read.tree.n_draws == n_draws);
    sc_store_record_free(&read);
    check_error(sc_store_cell_read(&read, cell, N_QUESTIONS, 0, &error), error, SEMCAL_E_DATA, "asked for");
    double *column;
    check_ok(sc_store_cell_column(&column, cell, "prompt_tokens", &error), error);
    check_close(column[1], 6, 0);
    free(column);
    check_error(sc_store_cell_column(&column, cell, "absent", &error), error, SEMCAL_E_DATA, "no dataset 'absent'");
    check_error(sc_store_cell_column(&column, cell, "question_id", &error), error, SEMCAL_E_DATA, "no number");
    sc_store_cell_close(&cell);
}

static void records_round_trip(void **state)
{
    (void)state;
    round_trip(false, false, N_DRAWS, N_TOP);
    round_trip(true, false, N_DRAWS, N_TOP);
    round_trip(true, true, 1, 0);
    round_trip(false, true, 0, 1);
}

static void digest_depends_on_content_alone(void **state)
{
    (void)state;
    char wanted[65], hex[65];
    expected_digest(wanted);
    const unsigned steps[] = {1, 7, 59};
    const size_t commits[] = {1, 7, 1000};
    for (size_t i = 0; i < 3; i++) {
        (void)new_run(NULL);
        const sc_store_options options = options_of(commits[i]);
        finish_run(&options, steps[i], (unsigned)i);
        read_digest(hex, cell_path);
        assert_string_equal(hex, wanted);
    }
    /* ... and on all of it: another token, another text. */
    for (unsigned change = 0; change < 2; change++) {
        (void)new_run(NULL);
        semcal_error error = SEMCAL_ERROR_INIT;
        const sc_store_options options = options_of(1000);
        sc_store *store;
        check_ok(sc_store_open(&store, run, "c", &options, &error), error);
        sc_store_record record = test_record(9, N_DRAWS, N_TOP, false, 0);
        record.tree.token[0] += change == 0;
        record.tree.text[3][0] = change == 1 && record.tree.text_length[3] > 0 ? 'x' : record.tree.text[3][0];
        record.question[0] = change == 1 ? 'w' : 'W';
        check_ok(sc_store_append(store, &record, &error), error);
        append_all(store, 1, 0);
        check_ok(sc_store_finish(store, NULL, 0, &error), error);
        check_ok(sc_store_close(&store, &error), error);
        read_digest(hex, cell_path);
        assert_string_not_equal(hex, wanted);
    }
}

static void a_run_resumes(void **state)
{
    (void)state;
    char wanted[65], hex[65];
    expected_digest(wanted);
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_store_options options = options_of(4);
    sc_store *store;
    for (unsigned part = 0; part < 4; part++) {
        check_ok(sc_store_open(&store, run, "c", &options, &error), error);
        assert_int_equal(sc_store_n_committed(store), 10 * part);
        assert_int_equal(sc_store_n_wanted(store), N_QUESTIONS);
        for (unsigned i = 10 * part; i < 10 * part + 10; i++) {
            assert_true(sc_store_wants(store, i));
            check_ok(append(store, i, part, &error), error);
            assert_false(sc_store_wants(store, i));
        }
        if (part == 1) {
            check_ok(sc_store_commit(store, &error), error);
            assert_int_equal(sc_store_n_committed(store), 20);
            check_error(sc_store_finish(store, NULL, 0, &error), error, SEMCAL_E_DATA,
                        "40 of 60 questions are missing");
        }
        check_ok(sc_store_close(&store, &error), error);
        assert_null(store);
    }
    finish_run(&options, 7, 9);
    read_digest(hex, cell_path);
    assert_string_equal(hex, wanted);
    char segments[200];
    (void)snprintf(segments, sizeof segments, "%s/cells/c.segments", run);
    assert_false(sc_file_exists(segments));
    check_ok(sc_store_open(&store, run, "c", &options, &error), error);
    assert_true(sc_store_is_finished(store));
    assert_false(sc_store_wants(store, 5));
    check_ok(sc_store_finish(store, NULL, 0, &error), error);
    check_error(append(store, 5, 0, &error), error, SEMCAL_E_DATA, "not wanted");
    check_ok(sc_store_close(&store, &error), error);
}

static void another_configuration_is_refused(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_store *store;
    sc_store_options options = options_of(4);
    for (unsigned round = 0; round < 2; round++) {
        options = options_of(4);
        check_ok(sc_store_open(&store, run, "c", &options, &error), error);
        if (round == 0) {
            check_ok(append(store, 1, 0, &error), error);
        } else {
            append_all(store, 1, 0);
            check_ok(sc_store_finish(store, NULL, 0, &error), error);
        }
        check_ok(sc_store_close(&store, &error), error);
        const sc_store_attribute other[] = {{"config_sha256", "xyz", true}, {"device", "there", false}};
        options.attributes = other;
        check_error(sc_store_open(&store, run, "c", &options, &error), error, SEMCAL_E_CONFIG,
                    "made with another config_sha256 (abc, now xyz)");
        options = options_of(4);
        options.n_draws = 8;
        check_error(sc_store_open(&store, run, "c", &options, &error), error, SEMCAL_E_CONFIG,
                    "another number of draws (7, now 8)");
        options = options_of(4);
        options.n_questions = 61;
        check_error(sc_store_open(&store, run, "c", &options, &error), error, SEMCAL_E_CONFIG, "number of questions");
    }
    options.fresh = true;
    check_ok(sc_store_open(&store, run, "c", &options, &error), error);
    assert_false(sc_store_is_finished(store));
    assert_int_equal(sc_store_n_committed(store), 0);
    check_ok(sc_store_close(&store, &error), error);
    check_error(sc_store_open(&store, run, "a/b", &options, &error), error, SEMCAL_E_CONFIG, "cannot be the name");
    options.shard = 3;
    check_error(sc_store_open(&store, run, "c", &options, &error), error, SEMCAL_E_CONFIG, "shard 3 of 1");
}

static void bad_records_are_refused(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_store_options options = options_of(4);
    sc_store *store;
    check_ok(sc_store_open(&store, run, "c", &options, &error), error);
    for (int what = 0; what < 8; what++) {
        sc_store_record r = test_record(2, what == 0 ? N_DRAWS + 1 : N_DRAWS, what == 1 ? N_TOP + 1 : N_TOP, false, 0);
        semcal_status wanted = SEMCAL_E_DATA;
        const char *message = "c: question 2 (q2): ";
        size_t last = r.tree.n_nodes - 1;
        switch (what) {
        case 2:
            r.tree.logprob[last] = (double)NAN;
            wanted = SEMCAL_E_NUMERIC;
            break;
        case 3:
            r.tree.draw_logprob[1] = -INFINITY;
            wanted = SEMCAL_E_NUMERIC;
            break;
        case 4:
            r.tree.leaf[0] = (int32_t)r.tree.n_nodes;
            break;
        case 5:
            r.tree.parent[last] = (int32_t)last;
            break;
        case 6:
            free(r.tree.finish);
            r.tree.finish = NULL;
            message = "draw_finish is missing";
            break;
        case 7:
            r.index = N_QUESTIONS;
            message = "not wanted";
            break;
        default:
            break;
        }
        check_error(sc_store_append(store, &r, &error), error, wanted, message);
    }
    assert_true(sc_store_wants(store, 2));
    check_ok(append(store, 2, 0, &error), error);
    check_error(append(store, 2, 0, &error), error, SEMCAL_E_DATA, "there already");
    check_ok(sc_store_close(&store, &error), error);
}

static void texts_become_valid(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    const struct {
        const char *bytes;
        size_t n;
        const char *text;
    } cases[] = {
        {"plain", 5, "plain"},
        {"", 0, ""},
        {"a\0b", 3,
         "a\xEF\xBF\xBD"
         "b"},
        {"\xff\xc3\xa9", 3, "\xEF\xBF\xBD\xc3\xa9"},
        {"cut \xe2\x82", 6, "cut \xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xed\xa0\x80", 3, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xc0\x80", 2, "\xEF\xBF\xBD\xEF\xBF\xBD"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = sc_store_text(cases[i].bytes, cases[i].n, &error);
        assert_non_null(text);
        assert_string_equal(text, cases[i].text);
        free(text);
    }
    const sc_store_options options = options_of(1);
    sc_store *store;
    check_ok(sc_store_open(&store, run, "c", &options, &error), error);
    sc_store_record r = test_record(0, N_DRAWS, N_TOP, false, 0);
    free(r.tree.text[0]);
    r.tree.text[0] = malloc(4);
    assert_non_null(r.tree.text[0]);
    memcpy(r.tree.text[0], "a\0\xff", 4);
    r.tree.text_length[0] = 3;
    free(r.tree.text[1]);
    r.tree.text[1] = NULL;
    r.tree.text_length[1] = 0;
    check_ok(sc_store_append(store, &r, &error), error);
    check_ok(sc_store_close(&store, &error), error);
    char path[200];
    (void)snprintf(path, sizeof path, "%s/cells/c.segments/000001.h5", run);
    sc_store_cell *cell;
    check_ok(sc_store_cell_open(&cell, path, &error), error);
    check_ok(sc_store_cell_read(&r, cell, 0, SC_STORE_NODES, &error), error);
    assert_string_equal(r.tree.text[0], "a\xEF\xBF\xBD\xEF\xBF\xBD");
    assert_string_equal(r.tree.text[1], "");
    sc_store_record_free(&r);
    sc_store_cell_close(&cell);
}

/* ---- damage ---- */

static void change_file(const char *path, long at, int cut)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    char *bytes;
    size_t length;
    check_ok(sc_file_read(&bytes, &length, path, &error), error);
    size_t where = at >= 0 ? (size_t)at : length - (size_t)-at;
    bytes[where] = (char)(bytes[where] ^ 0x20);
    check_ok(sc_file_write_atomic(path, bytes, cut ? length / 2 : length, &error), error);
    free(bytes);
}

/* Byte position of a text in a file. */
static long find_bytes(const char *path, const char *text)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    char *bytes;
    size_t length, n = strlen(text);
    long found = -1;
    check_ok(sc_file_read(&bytes, &length, path, &error), error);
    for (size_t i = 0; i + n <= length && found < 0; i++) {
        found = memcmp(bytes + i, text, n) == 0 ? (long)i : -1;
    }
    free(bytes);
    assert_true(found >= 0);
    return found;
}

static void damaged_segments_are_done_again(void **state)
{
    (void)state;
    char wanted[65], hex[65], path[200];
    expected_digest(wanted);
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_store_options options = options_of(1000);
    options.log = keep_log;
    n_logged = 0;
    sc_store *store;
    for (unsigned part = 0; part < 4; part++) {
        check_ok(sc_store_open(&store, run, "c", &options, &error), error);
        for (unsigned i = 10 * part; i < 10 * part + 10; i++) {
            check_ok(append(store, i, 0, &error), error);
        }
        check_ok(sc_store_close(&store, &error), error);
    }
    /* A changed text (no checksum of HDF5 covers texts), a cut file, an empty one, a half-written temporary one. */
    (void)snprintf(path, sizeof path, "%s/cells/c.segments/000001.h5", run);
    change_file(path, find_bytes(path, "What is 3?"), 0);
    (void)snprintf(path, sizeof path, "%s/cells/c.segments/000002.h5", run);
    change_file(path, 3000, 1);
    (void)snprintf(path, sizeof path, "%s/cells/c.segments/000003.h5", run);
    check_ok(sc_file_write_atomic(path, "", 0, &error), error);
    (void)snprintf(path, sizeof path, "%s/cells/c.segments/000005.h5.tmp", run);
    check_ok(sc_file_write_atomic(path, "half", 4, &error), error);
    check_ok(sc_store_open(&store, run, "c", &options, &error), error);
    assert_int_equal(n_logged, 3);
    assert_non_null(strstr(last_log, "discarded a damaged segment"));
    assert_int_equal(sc_store_n_committed(store), 10);
    assert_false(sc_file_exists(path));
    assert_true(sc_store_wants(store, 3) && !sc_store_wants(store, 33));
    append_all(store, 1, 1);
    check_ok(sc_store_finish(store, NULL, 0, &error), error);
    check_ok(sc_store_close(&store, &error), error);
    read_digest(hex, cell_path);
    assert_string_equal(hex, wanted);
}

/* A file that was changed on purpose and sealed again. */
static void seal_again(const char *path)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    char *bytes;
    size_t length, seal = strlen("\nsemcal sha256 ") + 65;
    check_ok(sc_file_read(&bytes, &length, path, &error), error);
    check_ok(sc_file_write_atomic(path, bytes, length - seal, &error), error);
    check_ok(sc_store_seal(path, &error), error);
    free(bytes);
}

typedef struct findings {
    unsigned n_good, n_bad;
    char last_bad[SEMCAL_ERROR_SIZE];
} findings;

static void keep_finding(const char *line, bool bad, void *payload)
{
    findings *f = payload;
    f->n_good += !bad;
    f->n_bad += bad;
    if (bad) {
        (void)snprintf(f->last_bad, sizeof f->last_bad, "%s", line);
    }
}

static void verify_finds_damage(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_store_options options = options_of(1000);
    findings f = {0};
    check_error(sc_store_verify(run, keep_finding, &f, &error), error, SEMCAL_E_DATA, "cells: cannot list");
    sc_store *store;
    check_ok(sc_store_open(&store, run, "c", &options, &error), error);
    check_ok(append(store, 1, 0, &error), error);
    check_ok(sc_store_close(&store, &error), error);
    check_error(sc_store_verify(run, keep_finding, &f, &error), error, SEMCAL_E_DATA, "1 problem");
    assert_non_null(strstr(f.last_bad, "not finished, 1 of 60 questions"));
    finish_run(&options, 1, 0);
    f = (findings){0};
    check_ok(sc_store_verify(run, keep_finding, &f, &error), error);
    assert_int_equal(f.n_good, 2); /* the cell; everything */
    char *bytes;
    size_t length;
    check_ok(sc_file_read(&bytes, &length, cell_path, &error), error);
    /* Wherever a bit flips. HDF5 itself crashes on some of these files, so it must not see them. */
    sc_random_stream random;
    sc_random_stream_init(&random, 5, 5);
    for (unsigned i = 0; i < 300; i++) {
        size_t at = sc_random_below(&random, (uint32_t)length);
        int bit = 1 << sc_random_below(&random, 8);
        bytes[at] = (char)(bytes[at] ^ bit);
        check_ok(sc_file_write_atomic(cell_path, bytes, length, &error), error);
        f = (findings){0};
        check_error(sc_store_verify(run, keep_finding, &f, &error), error, SEMCAL_E_DATA, "1 problem");
        bytes[at] = (char)(bytes[at] ^ bit);
    }
    check_ok(sc_file_write_atomic(cell_path, bytes, length / 2, &error), error);
    check_error(sc_store_verify(run, NULL, NULL, &error), error, SEMCAL_E_DATA, "1 problem");
    check_ok(sc_file_write_atomic(cell_path, bytes, length, &error), error);
    check_ok(sc_store_verify(run, NULL, NULL, &error), error);
    free(bytes);
}

static void verify_recomputes_digests(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_store_options options = options_of(1000);
    findings f = {0};
    finish_run(&options, 1, 0);
    change_file(cell_path, find_bytes(cell_path, "What is 41?"), 0);
    seal_again(cell_path);
    check_error(sc_store_verify(run, keep_finding, &f, &error), error, SEMCAL_E_DATA, "1 problem");
    assert_non_null(strstr(f.last_bad, "question 41 (q41) does not match its digest"));
}

/* A child appends slowly and tells each commit; it is killed at a random moment. Nothing it told may be lost. */
static void killed_writers_lose_nothing_committed(void **state)
{
    (void)state;
    char wanted[65], hex[65];
    expected_digest(wanted);
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_store_options options = options_of(2);
    options.log = keep_log;
    sc_random_stream random;
    sc_random_stream_init(&random, (uint64_t)time(NULL), 1);
    unsigned n_kills = 0;
    for (bool finished = false; !finished && n_kills < 40; n_kills++) {
        int channel[2];
        assert_int_equal(pipe(channel), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            sc_store *store;
            if (sc_store_open(&store, run, "c", &options, &error) != SEMCAL_OK) {
                _exit(2);
            }
            for (unsigned i = 0; i < N_QUESTIONS; i++) {
                if (!sc_store_wants(store, i)) {
                    continue;
                }
                uint64_t told;
                if (append(store, i, n_kills, &error) != SEMCAL_OK ||
                    (i % 3 == 0 && sc_store_commit(store, &error) != SEMCAL_OK)) {
                    _exit(2);
                }
                told = sc_store_n_committed(store);
                if (write(channel[1], &told, sizeof told) != sizeof told) {
                    _exit(2);
                }
            }
            _exit(sc_store_finish(store, NULL, 0, &error) == SEMCAL_OK ? 0 : 2);
        }
        (void)close(channel[1]);
        const struct timespec nap = {0, (long)(20000000 + sc_random_below(&random, 180000000))};
        (void)nanosleep(&nap, NULL);
        (void)kill(child, SIGKILL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
        uint64_t told = 0, next;
        while (read(channel[0], &next, sizeof next) == sizeof next) {
            told = next;
        }
        (void)close(channel[0]);
        sc_store *store;
        n_logged = 0;
        check_ok(sc_store_open(&store, run, "c", &options, &error), error);
        assert_int_equal(n_logged, 0);
        assert_true(sc_store_n_committed(store) >= told);
        finished = sc_store_is_finished(store);
        check_ok(sc_store_close(&store, &error), error);
    }
    print_message("%u rounds\n", n_kills);
    finish_run(&options, 1, 0);
    read_digest(hex, cell_path);
    assert_string_equal(hex, wanted);
}

static void two_writers_are_refused(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_store_options options = options_of(2);
    sc_store *store;
    check_ok(sc_store_open(&store, run, "c", &options, &error), error);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        sc_store *other;
        semcal_status status = sc_store_open(&other, run, "c", &options, &error);
        _exit(status == SEMCAL_E_CONFIG && strstr(error.message, "another process") != NULL ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    check_ok(sc_store_close(&store, &error), error);
}

/* HDF5 leaks what it could not write; a leak checker must not see that, exit handlers are to run otherwise. */
static void end_child(int code)
{
#if defined(__SANITIZE_ADDRESS__)
    _exit(code);
#else
    exit(code);
#endif
}

/* The limit on the size of a file stands for a full disk: writing fails in the middle. */
static void full_disk_loses_nothing_committed(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_store_options options = options_of(1000);
    sc_store *store;
    check_ok(sc_store_open(&store, run, "c", &options, &error), error);
    check_ok(append(store, 0, 0, &error), error);
    check_ok(sc_store_close(&store, &error), error);
    for (int at_finish = 0; at_finish < 2; at_finish++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)signal(SIGXFSZ, SIG_IGN);
            semcal_status status = sc_store_open(&store, run, "c", &options, &error);
            for (unsigned i = 1; i < N_QUESTIONS && status == SEMCAL_OK; i++) {
                status = sc_store_wants(store, i) ? append(store, i, 0, &error) : SEMCAL_OK;
            }
            if (status == SEMCAL_OK && at_finish) {
                status = sc_store_commit(store, &error);
            }
            const struct rlimit limit = {30000, 30000};
            (void)setrlimit(RLIMIT_FSIZE, &limit);
            bool good = status == SEMCAL_OK;
            status = at_finish ? sc_store_finish(store, NULL, 0, &error) : sc_store_commit(store, &error);
            good = good && status == SEMCAL_E_DATA && strstr(error.message, "File too large") != NULL &&
                   strstr(error.message, run) == error.message && strchr(error.message, '\n') == NULL;
            if (!good) {
                fprintf(stderr, "%d %s\n", (int)status, error.message);
            }
            (void)sc_store_close(&store, NULL);
            end_child(good ? 0 : 1);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        check_ok(sc_store_open(&store, run, "c", &options, &error), error);
        assert_int_equal(sc_store_n_committed(store), at_finish ? N_QUESTIONS : 1);
        check_ok(sc_store_close(&store, &error), error);
    }
    finish_run(&options, 1, 0);
}

/* ---- shards ---- */

static void shards_merge_into_the_same_data(void **state)
{
    (void)state;
    char wanted[65], hex[65];
    expected_digest(wanted);
    semcal_error error = SEMCAL_ERROR_INIT;
    findings f = {0};
    sc_store_options options = options_of(5);
    options.n_shards = 3;
    for (unsigned shard = 1; shard <= 3; shard++) {
        options.shard = shard;
        const sc_store_attribute own[] = {{"config_sha256", "abc", true},
                                          {"device", shard == 2 ? "two" : "one", false}};
        options.attributes = own;
        finish_run(&options, 7, shard);
        options.attributes = attributes;
        if (shard < 3) {
            check_error(sc_store_merge(run, keep_finding, &f, &error), error, SEMCAL_E_DATA, "is not there");
        }
    }
    check_ok(sc_store_verify(run, keep_finding, &f, &error), error);
    assert_int_equal(f.n_good, 4);
    check_ok(sc_store_merge(run, keep_finding, &f, &error), error);
    read_digest(hex, cell_path);
    assert_string_equal(hex, wanted);
    sc_store_cell *cell;
    check_ok(sc_store_cell_open(&cell, cell_path, &error), error);
    assert_string_equal(sc_store_cell_attribute(cell, "device"), "one; two");
    sc_store_cell_close(&cell);
    f = (findings){0};
    check_ok(sc_store_verify(run, keep_finding, &f, &error), error);
    assert_int_equal(f.n_good, 2);
    check_ok(sc_store_merge(run, keep_finding, &f, &error), error);
    sc_store *store;
    check_ok(sc_store_open(&store, run, "c", &options, &error), error);
    assert_true(sc_store_is_finished(store));
    check_ok(sc_store_close(&store, &error), error);
}

static void shards_of_different_runs_do_not_merge(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_store_options options = options_of(5);
    options.n_shards = 2;
    for (unsigned shard = 1; shard <= 2; shard++) {
        options.shard = shard;
        const sc_store_attribute own[] = {{"config_sha256", shard == 1 ? "abc" : "abd", true}, {"device", "x", false}};
        options.attributes = own;
        finish_run(&options, 1, 0);
    }
    check_error(sc_store_merge(run, NULL, NULL, &error), error, SEMCAL_E_CONFIG, "another config_sha256");
    assert_false(sc_file_exists(cell_path));
    (void)new_run(NULL);
    /* More shards than questions: empty ones are fine. */
    options = options_of(5);
    options.n_questions = 2;
    options.n_shards = 3;
    for (unsigned shard = 1; shard <= 3; shard++) {
        options.shard = shard;
        sc_store *store;
        check_ok(sc_store_open(&store, run, "c", &options, &error), error);
        for (unsigned i = 0; i < 2; i++) {
            if (sc_store_wants(store, i)) {
                check_ok(append(store, i, 0, &error), error);
            }
        }
        check_ok(sc_store_finish(store, NULL, 0, &error), error);
        check_ok(sc_store_close(&store, &error), error);
    }
    check_ok(sc_store_merge(run, NULL, NULL, &error), error);
    check_ok(sc_store_verify(run, NULL, NULL, &error), error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(records_round_trip, new_run),
        cmocka_unit_test_setup(digest_depends_on_content_alone, new_run),
        cmocka_unit_test_setup(a_run_resumes, new_run),
        cmocka_unit_test_setup(another_configuration_is_refused, new_run),
        cmocka_unit_test_setup(bad_records_are_refused, new_run),
        cmocka_unit_test_setup(texts_become_valid, new_run),
        cmocka_unit_test_setup(damaged_segments_are_done_again, new_run),
        cmocka_unit_test_setup(verify_finds_damage, new_run),
        cmocka_unit_test_setup(verify_recomputes_digests, new_run),
        cmocka_unit_test_setup(killed_writers_lose_nothing_committed, new_run),
        cmocka_unit_test_setup(two_writers_are_refused, new_run),
        cmocka_unit_test_setup(full_disk_loses_nothing_committed, new_run),
        cmocka_unit_test_setup(shards_merge_into_the_same_data, new_run),
        cmocka_unit_test_setup(shards_of_different_runs_do_not_merge, new_run),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

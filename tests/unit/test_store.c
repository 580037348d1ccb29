/* SPDX-License-Identifier: Apache-2.0 */
/* The store of a run: what goes in comes out, in any order, in pieces, in shards. */
#include "store_run.h"

#include "base/clock.h"
#include "base/file.h"
#include "experiment/store_internal.h"

#include <time.h>

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

/* Waits for the writer, at most half a minute. */
static uint64_t committed_soon(sc_store *store, uint64_t wanted)
{
    const double began = sc_clock_now_s();
    while (sc_store_n_committed(store) < wanted && sc_clock_now_s() - began < 30) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return sc_store_n_committed(store);
}

static void writer_commits_by_number_and_by_clock(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_store_options options = options_of(4);
    options.commit_seconds = 1e9;
    sc_store *store;
    check_ok(sc_store_open(&store, run, "c", &options, &error), error);
    for (unsigned i = 0; i < 12; i++) { /* nobody asks for it, and the clock is far away */
        check_ok(append(store, i, 0, &error), error);
        if (i % 4 == 3) {
            assert_int_equal(committed_soon(store, i + 1), i + 1);
        } else { /* time to wait for its clock with this one alone */
            (void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        }
    }
    check_ok(sc_store_close(&store, &error), error);
    options = options_of(1000);
    options.commit_seconds = .02;
    check_ok(sc_store_open(&store, run, "c", &options, &error), error);
    for (unsigned i = 12; i < 20; i++) {
        check_ok(append(store, i, 0, &error), error);
        if (i != 15) { /* two at once, too */
            assert_int_equal(committed_soon(store, i + 1), i + 1);
        }
    }
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

#define LONG_TEXT "twenty-four bytes are so"
static const unsigned char odd_bytes[N_DRAWS] = {0, 0x80, 0xff, 0xc3, 1, 0x7f, 0xf0};

static char *odd_text(unsigned question, size_t draw)
{
    char *text = strdup(&LONG_TEXT[question % 3]);
    assert_non_null(text);
    memcpy(text + (question * 7 + draw * 3) % strlen(text), &odd_bytes[draw], 1);
    return text;
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
    const sc_store_options options = options_of(N_QUESTIONS);
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
    for (unsigned q = 1; q < 8; q++) { /* one byte after the other, wherever it stands in a text */
        r = test_record(q, N_DRAWS, N_TOP, false, 0);
        for (size_t j = 0; j < N_DRAWS; j++) {
            free(r.tree.text[j]);
            r.tree.text[j] = odd_text(q, j);
            r.tree.text_length[j] = strlen(LONG_TEXT) - q % 3;
        }
        check_ok(sc_store_append(store, &r, &error), error);
    }
    check_ok(sc_store_close(&store, &error), error);
    char path[200];
    (void)snprintf(path, sizeof path, "%s/cells/c.segments/000001.h5", run);
    sc_store_cell *cell;
    check_ok(sc_store_cell_open(&cell, path, &error), error);
    check_ok(sc_store_cell_read(&r, cell, 0, SC_STORE_NODES, &error), error);
    assert_string_equal(r.tree.text[0], "a\xEF\xBF\xBD\xEF\xBF\xBD");
    assert_string_equal(r.tree.text[1], "");
    sc_store_record_free(&r);
    for (unsigned q = 1; q < 8; q++) {
        check_ok(sc_store_cell_read(&r, cell, q, SC_STORE_NODES, &error), error);
        assert_int_equal(r.index, q);
        for (size_t j = 0; j < N_DRAWS; j++) {
            char *odd = odd_text(q, j), *text = sc_store_text(odd, strlen(LONG_TEXT) - q % 3, &error);
            assert_non_null(text);
            assert_string_equal(r.tree.text[j], text);
            free(odd);
            free(text);
        }
        sc_store_record_free(&r);
    }
    sc_store_cell_close(&cell);
}

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
        cmocka_unit_test_setup(writer_commits_by_number_and_by_clock, new_run),
        cmocka_unit_test_setup(shards_merge_into_the_same_data, new_run),
        cmocka_unit_test_setup(shards_of_different_runs_do_not_merge, new_run),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

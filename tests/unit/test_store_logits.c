/* SPDX-License-Identifier: Apache-2.0 */
/* Whole laws in the store: the same file content for any order, segmenting, sharding and resume; rows come back bit for
 * bit; damage is found; memory does not grow with their number. */
#include "base/file.h"
#include "check.h"
#include "experiment/store_internal.h"
#include "store_run.h"

#include <sys/resource.h>
#include <unistd.h>

/* Logit v of the law after node i of question q. */
static float logit(unsigned q, size_t i, size_t v)
{
    return v % 11 == 3 ? -INFINITY : (float)((int)((q * 131 + i * 17 + v * 7) % 1000) - 500) * 0.0625f;
}

static void make_row(float *row, unsigned q, size_t i, size_t V)
{
    for (size_t v = 0; v < V; v++) {
        row[v] = logit(q, i, v);
    }
}

static sc_store_record record_of(unsigned index, sc_spill *spill, unsigned variant)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_store_record record = test_record(index, N_DRAWS, N_TOP, false, variant);
    sc_tree *tree = &record.tree;
    const size_t V = sc_spill_row_bytes(spill) / sizeof(float);
    float *row = malloc(V * sizeof *row);
    assert_non_null(row);
    tree->spill = spill;
    tree->logits = TEST_ARRAY(tree->n_nodes, int64_t);
    for (size_t k = 0; k < tree->n_nodes; k++) {
        /* in another order every time: places in the spill are nobody's business */
        const size_t i = variant % 2 ? tree->n_nodes - 1 - k : k;
        tree->logits[i] = -1;
        if (!isnan(tree->entropy[i])) {
            make_row(row, index, i, V);
            check_ok(sc_spill_put(spill, &tree->logits[i], row, &error), error);
        }
    }
    free(row);
    return record;
}

static sc_store_options with_logits(size_t commit_questions, size_t V)
{
    sc_store_options options = options_of(commit_questions);
    options.n_vocabulary = V;
    return options;
}

static void append_some(sc_store *store, unsigned step, unsigned variant, unsigned most)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    for (unsigned i = 0; i < N_QUESTIONS && most > 0; i++) {
        const unsigned index = i * step % N_QUESTIONS;
        if (sc_store_wants(store, index)) {
            sc_store_record record = record_of(index, sc_store_spill(store), variant);
            check_ok(sc_store_append(store, &record, &error), error);
            most--;
        }
    }
}

static void finish_with(const sc_store_options *options, unsigned step, unsigned variant)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_store *store;
    check_ok(sc_store_open(&store, run, "c", options, &error), error);
    assert_non_null(sc_store_spill(store));
    append_some(store, step, variant, N_QUESTIONS);
    check_ok(sc_store_commit(store, &error), error);
    assert_int_equal(sc_spill_n_held(sc_store_spill(store)), 0);
    check_ok(sc_store_finish(store, NULL, 0, &error), error);
    check_ok(sc_store_close(&store, &error), error);
}

/* Every row of the file, against what was put in. */
static void check_rows(const char *path, size_t V)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_store_cell *cell;
    check_ok(sc_store_cell_open(&cell, path, &error), error);
    assert_int_equal(sc_store_cell_facts(cell)->n_vocabulary, V);
    float *want = malloc(V * sizeof *want), *row = malloc(V * sizeof *row);
    assert_true(want != NULL && row != NULL);
    for (unsigned q = 0; q < N_QUESTIONS; q++) {
        sc_store_record record;
        size_t k = 0;
        check_ok(sc_store_cell_read(&record, cell, q, SC_STORE_NODES, &error), error);
        for (size_t i = 0; i < record.tree.n_nodes; i++) {
            if (isnan(record.tree.entropy[i])) {
                continue;
            }
            assert_int_equal(record.logits_node[k], i);
            int32_t target = -1; /* of the child with the smallest number */
            for (size_t j = record.tree.n_nodes; j-- > i + 1;) {
                target = record.tree.parent[j] == (int32_t)i ? record.tree.token[j] : target;
            }
            assert_int_equal(record.logits_target[k], target);
            check_ok(sc_store_cell_read_logits(row, cell, q, k, 1, &error), error);
            make_row(want, q, i, V);
            assert_memory_equal(row, want, V * sizeof *row);
            k++;
        }
        assert_int_equal(record.n_logits, k);
        check_error(sc_store_cell_read_logits(row, cell, q, k, 1, &error), error, SEMCAL_E_DATA, "no whole laws");
        sc_store_record_free(&record);
    }
    sc_store_cell_close(&cell);
    free(want);
    free(row);
}

static void any_order_segments_and_resume(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    /* many rows to a chunk, and several chunks to a row's block */
    const size_t widths[] = {37, 70001};
    for (size_t w = 0; w < 2; w++) {
        char want[65], got[65];
        const size_t V = widths[w];
        sc_store_options options = with_logits(1000, V);
        options.deflate = w == 0 ? 4 : 0;
        (void)new_run(NULL);
        finish_with(&options, 1, 0);
        read_digest(want, cell_path);
        for (unsigned way = w == 0 ? 0 : 2; way < 3; way++) {
            (void)new_run(NULL);
            options.commit_questions = way == 0 ? 1 : 7;
            if (way == 2) { /* stopped twice, the second time with a segment half written */
                sc_store *store;
                check_ok(sc_store_open(&store, run, "c", &options, &error), error);
                append_some(store, 7, 1, 13);
                check_ok(sc_store_close(&store, &error), error);
                char left[200];
                (void)snprintf(left, sizeof left, "%s/cells/c.segments/000009.h5.tmp", run);
                check_ok(sc_file_write_atomic(left, "x", 1, &error), error);
                check_ok(sc_store_open(&store, run, "c", &options, &error), error);
                append_some(store, 11, 0, 20);
                check_ok(sc_store_close(&store, &error), error);
            }
            finish_with(&options, way == 0 ? 7 : 11, way);
            read_digest(got, cell_path);
            assert_string_equal(got, want);
            if (way != 0) {
                check_rows(cell_path, V);
            }
        }
        findings f = {0};
        check_ok(sc_store_verify(run, keep_finding, &f, &error), error);
        assert_int_equal(f.n_bad, 0);
    }
}

static void shards_merge(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    char want[65], got[65];
    sc_store_options options = with_logits(5, 300);
    (void)new_run(NULL);
    finish_with(&options, 1, 0);
    read_digest(want, cell_path);
    (void)new_run(NULL);
    options.n_shards = 3;
    for (options.shard = 1; options.shard <= 3; options.shard++) {
        finish_with(&options, 7, options.shard);
    }
    findings f = {0};
    check_ok(sc_store_merge(run, keep_finding, &f, &error), error);
    read_digest(got, cell_path);
    assert_string_equal(got, want);
    check_rows(cell_path, 300);
    check_ok(sc_store_verify(run, keep_finding, &f, &error), error);
    assert_int_equal(f.n_bad, 0);
}

static void other_content_other_digest(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    char without[65], with[65], wider[65];
    sc_store_options options = options_of(9);
    (void)new_run(NULL);
    finish_run(&options, 1, 0);
    read_digest(without, cell_path);
    sc_store_cell *cell;
    check_ok(sc_store_cell_open(&cell, cell_path, &error), error);
    assert_int_equal(sc_store_cell_facts(cell)->n_vocabulary, 0);
    float row[40];
    check_error(sc_store_cell_read_logits(row, cell, 0, 0, 1, &error), error, SEMCAL_E_DATA, "no whole laws");
    sc_store_cell_close(&cell);
    /* a run does not go on with another choice */
    sc_store *store;
    options = with_logits(9, 37);
    check_error(sc_store_open(&store, run, "c", &options, &error), error, SEMCAL_E_CONFIG, "full_logits");
    (void)new_run(NULL);
    finish_with(&options, 1, 0);
    read_digest(with, cell_path);
    (void)new_run(NULL);
    options.n_vocabulary = 38;
    finish_with(&options, 1, 0);
    read_digest(wider, cell_path);
    assert_string_not_equal(with, without);
    assert_string_not_equal(with, wider);
    /* a tree without its laws is no record of such a cell */
    (void)new_run(NULL);
    check_ok(sc_store_open(&store, run, "c", &options, &error), error);
    check_error(append(store, 0, 0, &error), error, SEMCAL_E_DATA, "whole laws");
    sc_store_record record = record_of(1, sc_store_spill(store), 0);
    sc_spill_drop(record.tree.spill, record.tree.logits[0]);
    record.tree.logits[0] = -1;
    check_error(sc_store_append(store, &record, &error), error, SEMCAL_E_DATA, "node 0");
    check_ok(sc_store_close(&store, &error), error);
}

/* One logit changed behind the program's back, with a new seal: only the digest of the rows can tell. */
static void damage_is_found(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    (void)new_run(NULL);
    const sc_store_options options = with_logits(9, 37);
    finish_with(&options, 1, 0);
    uint64_t content = 0;
    check_ok(sc_store_check_seal(&content, cell_path, &error), error);
    assert_int_equal(truncate(cell_path, (off_t)content), 0);
    sc_h5 *file;
    const uint64_t start[SC_H5_MAX_DIMS] = {20, 5}, count[SC_H5_MAX_DIMS] = {1, 1};
    float value = 0;
    check_ok(sc_h5_open(&file, cell_path, true, &error), error);
    check_ok(sc_h5_read(file, "logits", SC_H5_F32, start, count, &value, &error), error);
    value += 0.0625f;
    check_ok(sc_h5_write(file, "logits", SC_H5_F32, start, count, &value, &error), error);
    check_ok(sc_h5_close(&file, &error), error);
    check_ok(sc_store_seal(cell_path, &error), error);
    findings f = {0};
    check_error(sc_store_verify(run, keep_finding, &f, &error), error, SEMCAL_E_DATA, "1 problem");
    assert_non_null(strstr(f.last_bad, "logits of question"));
}

/* 1600 rows of 160 kB: a quarter of a gigabyte passes through, a fraction of it stays in memory. */
static void memory_stays_small(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* it keeps what was freed */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    skip();
#endif
#endif
    struct rusage before, after;
    (void)new_run(NULL);
    sc_store_options options = with_logits(1000, 40000);
    options.deflate = 0;
    assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
    finish_with(&options, 1, 0);
    assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
    sc_store_cell *cell;
    semcal_error error = SEMCAL_ERROR_INIT;
    check_ok(sc_store_cell_open(&cell, cell_path, &error), error);
    check_ok(sc_store_cell_check(cell, &error), error);
    const double stored_mb =
        (double)cell->sizes.total[SC_ROWS_LOGITS] * (double)cell->sizes.n_vocabulary * sizeof(float) / 1e6;
    sc_store_cell_close(&cell);
    const double grown_mb = (double)(after.ru_maxrss - before.ru_maxrss) * 1024 / 1e6;
    print_message("%.0f MB of logits, memory grew by %.0f MB\n", stored_mb, grown_mb);
    assert_true(stored_mb > 100);
    assert_true(grown_mb < 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(memory_stays_small),
                                       cmocka_unit_test(any_order_segments_and_resume), cmocka_unit_test(shards_merge),
                                       cmocka_unit_test(other_content_other_digest), cmocka_unit_test(damage_is_found)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

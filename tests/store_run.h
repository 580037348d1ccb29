/* SPDX-License-Identifier: Apache-2.0 */
/* A store in a folder of its own, for tests: N_QUESTIONS made-up questions appended in any order. */
#ifndef SC_TESTS_STORE_RUN_H
#define SC_TESTS_STORE_RUN_H

#include "store_records.h"

#include <unistd.h>

enum { N_QUESTIONS = 60, N_DRAWS = 7, N_TOP = 3 };

static char folder[] = "/tmp/semcal-store-XXXXXX";
static char run[80], cell_path[160];
static unsigned n_runs;

static inline int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static inline int remove_folder(void **state)
{
    (void)state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static inline int new_run(void **state)
{
    (void)state;
    (void)snprintf(run, sizeof run, "%s/%u", folder, n_runs++);
    (void)snprintf(cell_path, sizeof cell_path, "%s/cells/c.h5", run);
    return 0;
}

static const sc_store_attribute attributes[] = {{"config_sha256", "abc", true}, {"device", "here", false}};

static inline sc_store_options options_of(size_t commit_questions)
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

static inline void keep_log(const char *line, void *payload)
{
    (void)payload;
    n_logged++;
    (void)snprintf(last_log, sizeof last_log, "%s", line);
}

static inline semcal_status append(sc_store *store, unsigned index, unsigned variant, semcal_error *error)
{
    sc_store_record record = test_record(index, N_DRAWS, N_TOP, false, variant);
    return sc_store_append(store, &record, error);
}

/* Question order: a permutation that depends on `step`, which must have no factor in common with N_QUESTIONS. */
static inline void append_all(sc_store *store, unsigned step, unsigned variant)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    for (unsigned i = 0; i < N_QUESTIONS; i++) {
        unsigned index = i * step % N_QUESTIONS;
        if (sc_store_wants(store, index)) {
            check_ok(append(store, index, variant, &error), error);
        }
    }
}

static inline void finish_run(const sc_store_options *options, unsigned step, unsigned variant)
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

static inline void read_digest(char hex[65], const char *path)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_store_cell *cell;
    check_ok(sc_store_cell_open(&cell, path, &error), error);
    assert_int_equal(strlen(sc_store_cell_facts(cell)->content_sha256), 64);
    memcpy(hex, sc_store_cell_facts(cell)->content_sha256, 65);
    sc_store_cell_close(&cell);
}

static inline void expected_digest(char hex[65])
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

typedef struct findings {
    unsigned n_good, n_bad;
    char last_bad[SEMCAL_ERROR_SIZE];
} findings;

static inline void keep_finding(const char *line, bool bad, void *payload)
{
    findings *f = payload;
    f->n_good += !bad;
    f->n_bad += bad;
    if (bad) {
        (void)snprintf(f->last_bad, sizeof f->last_bad, "%s", line);
    }
}

#endif

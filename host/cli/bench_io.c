/* SPDX-License-Identifier: Apache-2.0 */
/* The store: records a second and bytes a second through the writer thread, against a plain write and fsync. */
#include "cli/bench.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "experiment/store.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_QUESTIONS = 400, N_DRAWS = 50, N_TOP = 20, DEPTH = 6 };

typedef struct io {
    char folder[64];
    double bytes; /* of the numbers and texts of all records */
    unsigned deflate;
    char *plain; /* as many bytes for the plain write */
} io;

/* A question whose draws part at the root: a heavy case, DEPTH nodes for each draw. */
static semcal_status make_record(sc_store_record *record, size_t index, sc_random_stream *random, semcal_error *error)
{
    const size_t n = 1 + (size_t)N_DRAWS * DEPTH;
    sc_tree_raw raw = {.n_top = N_TOP};
    int32_t leaf[N_DRAWS], at = 0, tokens[N_TOP];
    double logprobs[N_TOP];
    semcal_status status = sc_tree_raw_add(&raw, &at, -1, -1, 0, 0, error);
    for (size_t i = 1; i < n && status == SEMCAL_OK; i++) {
        size_t depth = (i - 1) % DEPTH;
        double logprob = -5 * sc_random_unit(random);
        status =
            sc_tree_raw_add(&raw, &at, depth == 0 ? 0 : (int32_t)i - 1,
                            (int32_t)(depth == 0 ? 1000 + i : sc_random_below(random, 50000)), logprob, logprob, error);
        leaf[(i - 1) / DEPTH] = at;
    }
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        for (size_t k = 0; k < N_TOP; k++) {
            tokens[k] = (int32_t)sc_random_below(random, 50000);
            logprobs[k] = -(double)(k + 2) - sc_random_unit(random);
        }
        if (i == 0 || (i - 1) % DEPTH != DEPTH - 1) {
            status = sc_tree_raw_set_law(&raw, (int32_t)i, 1.5, 12.5, tokens, logprobs, -1, error);
        }
    }
    if (status == SEMCAL_OK) {
        status = sc_tree_build(&record->tree, &raw, leaf, N_DRAWS, error);
    }
    sc_tree_raw_free(&raw);
    for (size_t j = 0; j < N_DRAWS && status == SEMCAL_OK; j++) {
        char text[32];
        int length = snprintf(text, sizeof text, " answer %zu", j);
        record->tree.text[j] = sc_memory_strdup(text, error);
        record->tree.text_length[j] = (size_t)length;
        status = record->tree.text[j] == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    char id[32];
    (void)snprintf(id, sizeof id, "q%zu", index);
    record->index = index;
    record->id = sc_memory_strdup(id, error);
    record->question = sc_memory_strdup("What is it?", error);
    record->prompt = sc_memory_strdup("Question: What is it?\nAnswer:", error);
    return status == SEMCAL_OK && record->id && record->question && record->prompt ? SEMCAL_OK : SEMCAL_E_MEMORY;
}

static semcal_status write_cell(void *payload, semcal_error *error)
{
    io *self = payload;
    sc_store *store = NULL;
    sc_store_options options = SC_STORE_OPTIONS_INIT;
    options.n_questions = N_QUESTIONS;
    options.n_draws = N_DRAWS;
    options.n_top = N_TOP;
    options.deflate = self->deflate;
    options.fresh = true;
    semcal_status status = sc_store_open(&store, self->folder, "bench", &options, error);
    sc_random_stream random;
    sc_random_stream_init(&random, sc_random_key(1, "bench", "io"), 0);
    for (size_t i = 0; i < N_QUESTIONS && status == SEMCAL_OK; i++) {
        sc_store_record record = SC_STORE_RECORD_INIT;
        status = make_record(&record, i, &random, error);
        if (status == SEMCAL_OK) {
            status = sc_store_append(store, &record, error);
        }
        sc_store_record_free(&record);
    }
    if (status == SEMCAL_OK) {
        status = sc_store_finish(store, NULL, 0, error);
    }
    if (store != NULL) {
        semcal_status closed = sc_store_close(&store, status == SEMCAL_OK ? error : NULL);
        status = status == SEMCAL_OK ? closed : status;
    }
    return status;
}

static semcal_status write_plain(void *payload, semcal_error *error)
{
    io *self = payload;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/plain", self->folder);
    return sc_file_write_atomic(path, self->plain, (size_t)self->bytes, error);
}

static void remove_folder(const char *folder)
{
    const char *const names[] = {"cells/bench.h5", "cells/bench.segments", "cells", "plain", ""};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        if (unlink(path) != 0) {
            (void)rmdir(path);
        }
    }
}

semcal_status sc_bench_io(sc_bench *bench, semcal_error *error)
{
    io raw = {.deflate = 0}, packed = {.deflate = 1};
    const char *root = getenv("TMPDIR");
    (void)snprintf(raw.folder, sizeof raw.folder, "%.40s/semcal-io-XXXXXX", root != NULL ? root : "/tmp");
    if (mkdtemp(raw.folder) == NULL) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: cannot make a folder for the benchmark", raw.folder);
    }
    memcpy(packed.folder, raw.folder, sizeof packed.folder);
    const double n_nodes = 1 + (double)N_DRAWS * DEPTH;
    raw.bytes = packed.bytes = N_QUESTIONS * (n_nodes * (6 * 4 + 3 * 8 + N_TOP * 12) + N_DRAWS * (16 + 8 + 16));
    raw.plain = packed.plain = sc_memory_alloc((size_t)raw.bytes, 1, error);
    semcal_status status = raw.plain == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    const sc_bench_case cases[] = {
        {"plain write and fsync", write_plain, &raw, raw.bytes, "GB/s", -1, -1, -1},
        {"store, not compressed", write_cell, &raw, raw.bytes, "GB/s", 0, -1, -1},
        {"store, deflate 1", write_cell, &packed, packed.bytes, "GB/s", 0, -1, -1},
    };
    if (status == SEMCAL_OK) {
        status = sc_bench_measure(bench, cases, sizeof cases / sizeof *cases, error);
    }
    remove_folder(raw.folder);
    free(raw.plain);
    return status;
}

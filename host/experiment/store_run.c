/* SPDX-License-Identifier: Apache-2.0 */
/* Whole run folders: verify and merge. */
#include "base/file.h"
#include "experiment/mechanism.h"
#include "experiment/store_internal.h"
#include "experiment/text_store.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct reporter {
    sc_store_report report;
    void *payload;
    size_t n_bad;
    sc_text digests; /* "<folder>/<name> <sha256>" of every finished file that was generated, in the order of names */
} reporter;

static void say(reporter *to, bool bad, const char *format, ...) SC_PRINTF(3, 4);

static void say(reporter *to, bool bad, const char *format, ...)
{
    char line[SEMCAL_ERROR_SIZE + 256];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    to->n_bad += bad;
    if (to->report != NULL) {
        to->report(line, bad, to->payload);
    }
}

static void keep_digest(reporter *to, const char *folder, const char *name, const char *sha256)
{
    if (sc_text_printf(&to->digests, NULL, "%s/%s %s\n", folder, name, sha256) != SEMCAL_OK) {
        say(to, true, "not enough memory for the digest of the run");
    }
}

/* <cell>.shard-<i>-of-<n>.h5; false for every other name. `*length` is that of <cell>. */
static bool parse_shard(size_t *length, unsigned *shard, unsigned *n_shards, const char *name)
{
    const char *at = NULL;
    for (const char *next = strstr(name, ".shard-"); next != NULL; next = strstr(next + 1, ".shard-")) {
        at = next;
    }
    int end = 0;
    if (at == NULL || sscanf(at, ".shard-%u-of-%u.h5%n", shard, n_shards, &end) != 2 || end == 0 || at[end] != '\0') {
        return false;
    }
    *length = (size_t)(at - name);
    return *shard >= 1 && *shard <= *n_shards;
}

/* ---- verify ---- */

static uint64_t questions_of_shard(const sc_store_facts *facts)
{
    uint64_t n = facts->n_cell_questions, k = facts->n_shards;
    return n / k + (n % k >= facts->shard);
}

static semcal_status verify_collapses(sc_store_cell *cell, reporter *to, semcal_error *error)
{
    char **names;
    size_t n;
    sc_store_products products;
    semcal_error problem = SEMCAL_ERROR_INIT;
    semcal_status status = sc_store_collapses(&names, &n, cell, &problem);
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        status = sc_store_read_products(&products, cell, names[i], &problem);
        sc_store_products_free(&products);
    }
    if (status == SEMCAL_OK && cell->collapse != NULL) {
        status = sc_store_read_products_at(&products, cell, "", cell->collapse, &problem);
        sc_store_products_free(&products);
    }
    if (status == SEMCAL_OK) {
        say(to, false, "%s: ok, %" PRIu64 " questions, %" PRIu64 " nodes, %zu collapses, %s", cell->path,
            cell->facts.n_questions, cell->facts.n_nodes, n, cell->content_sha256);
    }
    sc_file_list_free(names, n);
    return status == SEMCAL_OK ? status : sc_error_set(error, status, "%s", problem.message);
}

/* A finished text cell. */
static void verify_text(const char *path, const char *name, reporter *to)
{
    sc_text_file file;
    semcal_error error = SEMCAL_ERROR_INIT;
    semcal_status status = sc_text_file_open(&file, path, &error);
    size_t length = strlen(name) - strlen(".h5");
    unsigned shard, n_shards;
    const bool sharded = parse_shard(&length, &shard, &n_shards, name);
    if (status == SEMCAL_OK && (strlen(file.cell) != length || strncmp(file.cell, name, length) != 0)) {
        status = sc_error_set(&error, SEMCAL_E_DATA, "%s: holds the cell '%s'", path, file.cell);
    }
    int64_t n_tokens = 0;
    for (size_t b = 0; status == SEMCAL_OK && b < file.sizes.n[SC_TEXT_BLOCK]; b++) {
        n_tokens += file.sums.tokens[b];
        if (file.sums.block_done[b] != file.sums.block_chunks[b]) {
            status = sc_error_set(&error, SEMCAL_E_DATA, "%s: block %zu is not complete", path, b);
        }
    }
    if (status == SEMCAL_OK && !sharded && file.sizes.n[SC_TEXT_CHUNK] != file.n_cell_chunks) {
        status = sc_error_set(&error, SEMCAL_E_DATA, "%s: %zu chunks where %zu belong", path,
                              file.sizes.n[SC_TEXT_CHUNK], file.n_cell_chunks);
    }
    if (status == SEMCAL_OK) {
        say(to, false, "%s: ok, text of %lld tokens in %zu chunks, %s", path, (long long)n_tokens,
            file.sizes.n[SC_TEXT_CHUNK], file.digest);
        keep_digest(to, "cells", name, file.digest);
    } else {
        say(to, true, "%s", error.message);
    }
    sc_text_file_free(&file);
}

/* Committed blocks of a text cell that is not finished. */
static void verify_text_segments(const char *folder, char *const *names, size_t n, reporter *to)
{
    int64_t n_chunks = 0;
    for (size_t i = 0; i < n; i++) {
        char *path = sc_file_join(folder, names[i], NULL);
        sc_text_file file = {.cell = NULL};
        semcal_error error = SEMCAL_ERROR_INIT;
        if (path == NULL || sc_text_file_open(&file, path, &error) != SEMCAL_OK) {
            say(to, true, "%s", error.message);
        }
        for (size_t b = 0; b < file.sizes.n[SC_TEXT_BLOCK]; b++) {
            n_chunks += file.sums.block_done[b];
        }
        sc_text_file_free(&file);
        free(path);
    }
    say(to, true, "%s: not finished, %lld chunks are committed; semcal run resumes", folder, (long long)n_chunks);
}

static void verify_file(const char *path, const char *name, reporter *to)
{
    if (sc_text_file_is(path)) {
        verify_text(path, name, to);
        return;
    }
    sc_store_cell *cell = NULL;
    semcal_error error = SEMCAL_ERROR_INIT;
    semcal_status status = sc_store_cell_open(&cell, path, &error);
    if (status == SEMCAL_OK) {
        status = sc_store_cell_check(cell, &error);
    }
    if (status == SEMCAL_OK && questions_of_shard(&cell->facts) != cell->facts.n_questions) {
        status = sc_error_set(&error, SEMCAL_E_DATA, "%s: %" PRIu64 " questions where %" PRIu64 " belong", path,
                              cell->facts.n_questions, questions_of_shard(&cell->facts));
    }
    size_t length = strlen(name) - strlen(".h5");
    unsigned shard, n_shards;
    (void)parse_shard(&length, &shard, &n_shards, name);
    if (status == SEMCAL_OK && (strlen(cell->cell_name) != length || strncmp(cell->cell_name, name, length) != 0)) {
        status = sc_error_set(&error, SEMCAL_E_DATA, "%s: holds the cell '%s'", path, cell->cell_name);
    }
    if (status == SEMCAL_OK) {
        status = verify_collapses(cell, to, &error);
    }
    if (status == SEMCAL_OK) {
        keep_digest(to, "cells", name, cell->facts.content_sha256);
    } else {
        say(to, true, "%s", error.message);
    }
    sc_store_cell_close(&cell);
}

/* Committed segments of a cell that is not finished. */
static void verify_segments(const char *folder, reporter *to)
{
    char **names;
    size_t n;
    semcal_error error = SEMCAL_ERROR_INIT;
    uint64_t n_questions = 0, n_all = 0;
    if (sc_file_list(&names, &n, folder, ".h5", &error) != SEMCAL_OK) {
        say(to, true, "%s", error.message);
        return;
    }
    if (n > 0) {
        char *first = sc_file_join(folder, names[0], NULL);
        const bool text = first != NULL && sc_text_file_is(first);
        free(first);
        if (text) {
            verify_text_segments(folder, names, n, to);
            sc_file_list_free(names, n);
            return;
        }
    }
    for (size_t i = 0; i < n; i++) {
        char *path = sc_file_join(folder, names[i], NULL);
        sc_store_cell *cell = NULL;
        error = (semcal_error)SEMCAL_ERROR_INIT;
        semcal_status status = path != NULL ? sc_store_cell_open(&cell, path, &error) : SEMCAL_E_MEMORY;
        if (status == SEMCAL_OK) {
            n_questions += cell->facts.n_questions;
            n_all = questions_of_shard(&cell->facts);
            status = sc_store_cell_check(cell, &error);
        }
        if (status != SEMCAL_OK) {
            say(to, true, "%s", error.message);
        }
        sc_store_cell_close(&cell);
        free(path);
    }
    sc_file_list_free(names, n);
    say(to, true, "%s: not finished, %" PRIu64 " of %" PRIu64 " questions are committed; semcal run resumes", folder,
        n_questions, n_all);
}

static void tell_mechanism(const char *line, bool bad, void *payload)
{
    say(payload, bad, "%s", line);
}

static void keep_mechanism_digest(const char *name, const char *sha256, void *payload)
{
    keep_digest(payload, "mechanism", name, sha256);
}

semcal_status sc_store_verify(const char *run_folder, sc_store_report report, void *payload, semcal_error *error)
{
    reporter to = {.report = report, .payload = payload};
    char **names = NULL;
    size_t n = 0, n_cells = 0;
    char *cells = sc_file_join(run_folder, "cells", error);
    semcal_status status = cells != NULL ? sc_file_list(&names, &n, cells, "", error) : SEMCAL_E_MEMORY;
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        char *path = sc_file_join(cells, names[i], error);
        size_t length = strlen(names[i]);
        if (path == NULL) {
            status = SEMCAL_E_MEMORY;
        } else if (sc_file_is_folder(path)) {
            verify_segments(path, &to);
            n_cells++;
        } else if (length > 3 && strcmp(names[i] + length - 3, ".h5") == 0) {
            verify_file(path, names[i], &to);
            n_cells++;
        }
        free(path);
    }
    sc_file_list_free(names, n);
    if (status == SEMCAL_OK && n_cells == 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: no cells", cells);
    }
    if (status == SEMCAL_OK) {
        const sc_mechanism_findings findings = {tell_mechanism, keep_mechanism_digest, &to};
        status = sc_mechanism_verify(run_folder, &findings, error);
    }
    if (status == SEMCAL_OK && to.n_bad == 0) {
        char hex[65];
        sc_sha256_hex(hex, to.digests.data, to.digests.length);
        say(&to, false, "%s: everything generated, %s", run_folder, hex);
    }
    sc_text_free(&to.digests);
    if (status == SEMCAL_OK && to.n_bad > 0) {
        status =
            sc_error_set(error, SEMCAL_E_DATA, "%s: %zu problem%s", run_folder, to.n_bad, to.n_bad == 1 ? "" : "s");
    }
    free(cells);
    return status;
}

/* ---- merge ---- */

typedef struct shard_set {
    sc_store_cell **cells; /* [n] opened shards */
    char **paths;
    unsigned n;
} shard_set;

static void close_shards(shard_set *set)
{
    for (unsigned i = 0; i < set->n; i++) {
        sc_store_cell_close(&set->cells[i]);
        free(set->paths[i]);
    }
    free(set->cells);
    free(set->paths);
    *set = (shard_set){0};
}

static semcal_status open_shards(shard_set *set, const char *run_folder, const char *cell, unsigned n_shards,
                                 semcal_error *error)
{
    *set = (shard_set){0};
    set->cells = sc_memory_alloc(n_shards, sizeof(sc_store_cell *), error);
    set->paths = sc_memory_alloc(n_shards, sizeof(char *), error);
    if (set->cells == NULL || set->paths == NULL) {
        return SEMCAL_E_MEMORY;
    }
    semcal_status status = SEMCAL_OK;
    for (unsigned i = 0; i < n_shards && status == SEMCAL_OK; i++) {
        set->n++;
        set->paths[i] = sc_store_path(run_folder, cell, i + 1, n_shards, ".h5", error);
        if (set->paths[i] == NULL) {
            status = SEMCAL_E_MEMORY;
        } else if (!sc_file_exists(set->paths[i])) {
            status =
                sc_error_set(error, SEMCAL_E_DATA, "%s: shard %u of %u is not there", set->paths[i], i + 1, n_shards);
        } else {
            status = sc_store_cell_open(&set->cells[i], set->paths[i], error);
        }
        if (status == SEMCAL_OK) {
            status = sc_store_cell_check(set->cells[i], error);
        }
    }
    return status;
}

/* Identity attributes must agree; of the others, different values are listed. */
static semcal_status join_attributes(sc_store_attribute **attributes, size_t *n, const shard_set *set,
                                     semcal_error *error)
{
    sc_store_cell *first = set->cells[0];
    char **names = NULL, **identity = NULL;
    size_t n_identity = 0;
    *attributes = NULL;
    semcal_status status = sc_h5_get_texts(&names, n, first->file, "", "provenance_attributes", error);
    if (status == SEMCAL_OK) {
        status = sc_h5_get_texts(&identity, &n_identity, first->file, "", "identity_attributes", error);
    }
    if (status == SEMCAL_OK) {
        *attributes = sc_memory_alloc(*n, sizeof **attributes, error);
        status = *attributes != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < *n && status == SEMCAL_OK; i++) {
        const char *text = sc_store_cell_attribute(first, names[i]);
        sc_text joined = {0};
        status = sc_text_printf(&joined, error, "%s", text != NULL ? text : "");
        sc_store_attribute made = {names[i], NULL, false};
        for (size_t j = 0; j < n_identity; j++) {
            made.identity = made.identity || strcmp(identity[j], names[i]) == 0;
        }
        for (unsigned k = 1; k < set->n && status == SEMCAL_OK && !made.identity; k++) {
            const char *other = sc_store_cell_attribute(set->cells[k], names[i]);
            if (other != NULL && strstr(joined.data, other) == NULL) {
                status = sc_text_printf(&joined, error, "; %s", other);
            }
        }
        made.text = joined.data;
        (*attributes)[i] = made;
        names[i] = NULL;
    }
    for (unsigned k = 1; k < set->n && status == SEMCAL_OK; k++) {
        status = sc_store_same_identity(set->cells[k], *attributes, *n, error);
    }
    sc_file_list_free(names, *n);
    sc_file_list_free(identity, n_identity);
    return status;
}

static semcal_status merge_opened(char hex[65], const shard_set *set, const char *run_folder, const char *cell,
                                  semcal_error *error)
{
    const sc_store_cell *first = set->cells[0];
    sc_store_attribute *attributes = NULL;
    size_t n = 0;
    int64_t deflate = 1;
    sc_store_sources sources;
    char *path = sc_store_path(run_folder, cell, 1, 1, ".h5", error);
    semcal_status status = sc_store_sources_init(&sources, first->facts.n_cell_questions, error);
    if (status == SEMCAL_OK) {
        status = path != NULL ? join_attributes(&attributes, &n, set, error) : SEMCAL_E_MEMORY;
    }
    for (unsigned i = 0; i < set->n && status == SEMCAL_OK; i++) {
        const sc_store_cell *other = set->cells[i];
        if (other->facts.n_cell_questions != first->facts.n_cell_questions ||
            other->sizes.n_draws != first->sizes.n_draws || other->sizes.n_top != first->sizes.n_top ||
            other->sizes.raw != first->sizes.raw || other->sizes.n_vocabulary != first->sizes.n_vocabulary) {
            status = sc_error_set(error, SEMCAL_E_CONFIG, "%s: has other sizes than %s", set->paths[i], set->paths[0]);
        } else {
            status = sc_store_sources_add(&sources, other, error);
        }
    }
    if (status == SEMCAL_OK && sources.n_found != sources.n_cell_questions) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: %" PRIu64 " of %" PRIu64 " questions are in no shard", cell,
                              sources.n_cell_questions - sources.n_found, sources.n_cell_questions);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_get_int(&deflate, first->file, "", "deflate", error);
    }
    if (status == SEMCAL_OK) {
        const sc_store_label label = {cell, sources.n_cell_questions, 1, 1, (unsigned)deflate};
        status = sc_store_join(hex, path, &sources, &label, attributes, n, error);
    }
    for (size_t i = 0; attributes != NULL && i < n; i++) {
        free((void *)(uintptr_t)attributes[i].name);
        free((void *)(uintptr_t)attributes[i].text);
    }
    free(attributes);
    sc_store_sources_free(&sources);
    free(path);
    return status;
}

static semcal_status merge_cell(const char *run_folder, const char *cell, unsigned n_shards, reporter *to,
                                semcal_error *error)
{
    shard_set set;
    char hex[65];
    semcal_status status = open_shards(&set, run_folder, cell, n_shards, error);
    if (status == SEMCAL_OK) {
        status = merge_opened(hex, &set, run_folder, cell, error);
    }
    bool collapsed = false, mechanism = false;
    if (status == SEMCAL_OK) {
        const char **digests = sc_memory_alloc(n_shards, sizeof *digests, error);
        for (unsigned i = 0; digests != NULL && i < n_shards; i++) {
            digests[i] = set.cells[i]->facts.content_sha256;
        }
        status = digests == NULL ? SEMCAL_E_MEMORY
                                 : sc_mechanism_merge(&mechanism, run_folder, cell, n_shards, digests, hex, error);
        free(digests);
    }
    for (unsigned i = 0; i < set.n; i++) {
        collapsed = collapsed || (set.cells[i] != NULL && set.cells[i]->collapse != NULL);
        sc_store_cell_close(&set.cells[i]);
        if (status == SEMCAL_OK) {
            (void)unlink(set.paths[i]);
        }
    }
    if (status == SEMCAL_OK) {
        sc_mechanism_remove_shards(run_folder, cell, n_shards);
        say(to, false, "%s: %u shards merged%s%s, %s", cell, n_shards, mechanism ? " with their mechanism" : "",
            collapsed ? ", to be collapsed again" : "", hex);
    }
    close_shards(&set);
    return status;
}

static semcal_status merge_text(const char *run_folder, const char *cell, unsigned n_shards, reporter *to,
                                semcal_error *error)
{
    char hex[65];
    semcal_status status = sc_text_merge(hex, run_folder, cell, n_shards, error);
    for (unsigned i = 0; i < n_shards && status == SEMCAL_OK; i++) {
        char *path = sc_store_path(run_folder, cell, i + 1, n_shards, ".h5", error);
        if (path != NULL) {
            (void)unlink(path);
        }
        free(path);
    }
    if (status == SEMCAL_OK) {
        say(to, false, "%s: %u shards merged, %s", cell, n_shards, hex);
    }
    return status;
}

semcal_status sc_store_merge(const char *run_folder, sc_store_report report, void *payload, semcal_error *error)
{
    reporter to = {.report = report, .payload = payload};
    char **names = NULL;
    size_t n = 0, n_merged = 0;
    char *cells = sc_file_join(run_folder, "cells", error);
    semcal_status status = cells != NULL ? sc_file_list(&names, &n, cells, ".h5", error) : SEMCAL_E_MEMORY;
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        size_t length;
        unsigned shard, n_shards;
        char *path = parse_shard(&length, &shard, &n_shards, names[i]) ? sc_file_join(cells, names[i], error) : NULL;
        /* The first shard seen takes the others of its cell along. */
        if (path != NULL && sc_file_exists(path)) {
            names[i][length] = '\0';
            status = (sc_text_file_is(path) ? merge_text : merge_cell)(run_folder, names[i], n_shards, &to, error);
            n_merged++;
        }
        free(path);
    }
    sc_file_list_free(names, n);
    if (status == SEMCAL_OK && n_merged == 0) {
        say(&to, false, "%s: no shards to merge", cells);
    }
    free(cells);
    return status;
}

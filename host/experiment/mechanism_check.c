/* SPDX-License-Identifier: Apache-2.0 */
/* The mechanisms of a whole run: verify and merge. */
#include "base/file.h"
#include "experiment/mechanism.h"
#include "experiment/mechanism_file.h"
#include "experiment/store_products.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool ends_with(const char *name, const char *suffix)
{
    const size_t n = strlen(name), m = strlen(suffix);
    return n > m && strcmp(name + n - m, suffix) == 0;
}

static void say(const sc_mechanism_findings *to, bool bad, const char *format, ...) SC_PRINTF(3, 4);

static void say(const sc_mechanism_findings *to, bool bad, const char *format, ...)
{
    char line[SEMCAL_ERROR_SIZE + 256];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    to->report(line, bad, to->payload);
}

/* ---- verify ---- */

/* The file is named after its cell, and its shard. */
static semcal_status check_name(const sc_mechanism_file *f, const char *name, const char *path, semcal_error *error)
{
    sc_text expected = {0};
    semcal_status status = f->n_shards > 1 ? sc_text_printf(&expected, error, "%s.shard-%lld-of-%lld.h5", f->cell,
                                                            (long long)f->shard, (long long)f->n_shards)
                                           : sc_text_printf(&expected, error, "%s.h5", f->cell);
    if (status == SEMCAL_OK && strcmp(expected.data, name) != 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: holds the mechanism of '%s'", path, f->cell);
    }
    sc_text_free(&expected);
    return status;
}

static semcal_status check_complete(const sc_mechanism_file *f, const char *path, semcal_error *error)
{
    size_t n = 0;
    for (int64_t question = f->shard - 1; question < f->n_cell_questions; question += f->n_shards, n++) {
        if (n >= f->n_questions || f->questions[n] != question) {
            return sc_error_set(error, SEMCAL_E_DATA, "%s: question %lld is missing", path, (long long)question);
        }
    }
    return n == f->n_questions
               ? SEMCAL_OK
               : sc_error_set(error, SEMCAL_E_DATA, "%s: %zu questions where %zu belong", path, f->n_questions, n);
}

/* The file RUN/cells/<name> has the draws that were visited. */
static semcal_status check_cell(const sc_mechanism_file *f, const char *run_folder, const char *name, const char *path,
                                semcal_error *error)
{
    sc_store_cell *cell = NULL;
    sc_text cell_path = {0};
    semcal_status status = sc_text_printf(&cell_path, error, "%s/cells/%s", run_folder, name);
    if (status == SEMCAL_OK && !sc_file_exists(cell_path.data)) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: its cell %s is not there", path, cell_path.data);
    }
    if (status == SEMCAL_OK) {
        status = sc_store_cell_open_trusted(&cell, cell_path.data, error);
    }
    if (status == SEMCAL_OK && strcmp(sc_store_cell_facts(cell)->content_sha256, f->cell_sha256) != 0) {
        status = sc_error_set(error, SEMCAL_E_DATA,
                              "%s: belongs to other draws than those of its cell; semcal run "
                              "makes it again",
                              path);
    }
    sc_store_cell_close(&cell);
    sc_text_free(&cell_path);
    return status;
}

static void verify_mechanism(const char *run_folder, const char *name, const char *path,
                             const sc_mechanism_findings *to)
{
    sc_mechanism_file f;
    semcal_error error = SEMCAL_ERROR_INIT;
    semcal_status status = sc_mechanism_file_read(&f, path, &error);
    if (status == SEMCAL_OK) {
        status = check_name(&f, name, path, &error);
    }
    if (status == SEMCAL_OK) {
        status = check_complete(&f, path, &error);
    }
    if (status == SEMCAL_OK) {
        status = check_cell(&f, run_folder, name, path, &error);
    }
    if (status == SEMCAL_OK) {
        say(to, false, "%s: ok, %zu questions, %zu prefixes, %s", path, f.n_questions, f.n_points, f.content_sha256);
        to->digest(name, f.content_sha256, to->payload);
    } else {
        say(to, true, "%s", error.message);
    }
    sc_mechanism_file_free(&f);
}

/* What a collapse made of a mechanism: both must be the ones that are there. */
static semcal_status check_origin(const sc_mechanism_origin *origin, const char *run_folder, const char *name,
                                  const char *path, semcal_error *error)
{
    sc_mechanism_file f = {0};
    sc_store_cell *cell = NULL;
    sc_text expected = {0}, mechanism = {0}, cell_path = {0};
    char *collapse_sha256 = NULL;
    semcal_status status = sc_text_printf(&expected, error, "%s.%s.h5", origin->cell, origin->collapse);
    if (status == SEMCAL_OK && strcmp(expected.data, name) != 0) {
        status =
            sc_error_set(error, SEMCAL_E_DATA, "%s: holds '%s' of the cell '%s'", path, origin->collapse, origin->cell);
    }
    if (status == SEMCAL_OK) {
        status = sc_text_printf(&mechanism, error, "%s/mechanism/%s.h5", run_folder, origin->cell);
    }
    if (status == SEMCAL_OK) {
        status = sc_text_printf(&cell_path, error, "%s/cells/%s.h5", run_folder, origin->cell);
    }
    if (status == SEMCAL_OK) {
        status = sc_mechanism_file_read(&f, mechanism.data, error);
    }
    if (status == SEMCAL_OK && strcmp(f.content_sha256, origin->mechanism_sha256) != 0) {
        status = sc_error_set(error, SEMCAL_E_DATA,
                              "%s: was made from another mechanism than %s; semcal run makes it "
                              "again",
                              path, mechanism.data);
    }
    if (status == SEMCAL_OK) {
        status = sc_store_cell_open_trusted(&cell, cell_path.data, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_store_products_sha256(&collapse_sha256, cell, origin->collapse, error);
    }
    if (status == SEMCAL_OK && strcmp(collapse_sha256, origin->collapse_sha256) != 0) {
        status = sc_error_set(error, SEMCAL_E_DATA,
                              "%s: was made with other classes than the cell's; semcal collapse "
                              "--with %s makes it again",
                              path, origin->collapse);
    }
    sc_mechanism_file_free(&f);
    sc_store_cell_close(&cell);
    free(collapse_sha256);
    sc_text_free(&expected);
    sc_text_free(&mechanism);
    sc_text_free(&cell_path);
    return status;
}

static void verify_collapsed(const char *run_folder, const char *name, const char *path,
                             const sc_mechanism_findings *to)
{
    sc_mechanism_spreads spreads;
    sc_mechanism_origin origin;
    semcal_error error = SEMCAL_ERROR_INIT;
    semcal_status status = sc_mechanism_collapsed_read(&spreads, &origin, path, &error);
    if (status == SEMCAL_OK) {
        status = check_origin(&origin, run_folder, name, path, &error);
        if (status == SEMCAL_OK) {
            say(to, false, "%s: ok, %zu questions under '%s'", path, spreads.n_questions, origin.collapse);
        }
        sc_mechanism_origin_free(&origin);
        sc_mechanism_spreads_free(&spreads);
    }
    if (status != SEMCAL_OK) {
        say(to, true, "%s", error.message);
    }
}

/* The format a sealed file says it has; false for anything unreadable. */
static bool is_mechanism(const char *path)
{
    sc_h5 *h5 = NULL;
    semcal_error ignored = SEMCAL_ERROR_INIT;
    const bool is =
        sc_store_open_sealed(&h5, path, SC_MECHANISM_FORMAT, SC_MECHANISM_FORMAT_VERSION, &ignored) == SEMCAL_OK;
    (void)sc_h5_close(&h5, NULL);
    return is;
}

/* Committed questions of a mechanism that is not finished. */
static void verify_parts(const char *folder, const sc_mechanism_findings *to)
{
    char **names = NULL;
    size_t n = 0, n_good = 0;
    semcal_error error = SEMCAL_ERROR_INIT;
    if (sc_file_list(&names, &n, folder, ".h5", &error) != SEMCAL_OK) {
        say(to, true, "%s", error.message);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        sc_mechanism_file part = {0};
        char *path = sc_file_join(folder, names[i], NULL);
        error = (semcal_error)SEMCAL_ERROR_INIT;
        if (path == NULL || sc_mechanism_file_read(&part, path, &error) != SEMCAL_OK) {
            say(to, true, "%s", error.message);
        } else {
            n_good += part.n_questions;
        }
        sc_mechanism_file_free(&part);
        free(path);
    }
    sc_file_list_free(names, n);
    say(to, true, "%s: not finished, %zu questions are committed; semcal run resumes", folder, n_good);
}

semcal_status sc_mechanism_verify(const char *run_folder, const sc_mechanism_findings *findings, semcal_error *error)
{
    char **names = NULL;
    size_t n = 0;
    char *folder = sc_file_join(run_folder, "mechanism", error);
    semcal_status status = folder == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK && sc_file_is_folder(folder)) {
        status = sc_file_list(&names, &n, folder, "", error);
    }
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        char *path = sc_file_join(folder, names[i], error);
        if (path == NULL) {
            status = SEMCAL_E_MEMORY;
        } else if (sc_file_is_folder(path)) {
            verify_parts(path, findings);
        } else if (ends_with(names[i], ".h5")) {
            sc_text cell = {0};
            /* What is named as a cell's is one; a damaged file is told by the reader it would have. */
            const bool named = sc_text_printf(&cell, NULL, "%s/cells/%s", run_folder, names[i]) == SEMCAL_OK &&
                               sc_file_exists(cell.data);
            if (named || is_mechanism(path)) {
                verify_mechanism(run_folder, names[i], path, findings);
            } else {
                verify_collapsed(run_folder, names[i], path, findings);
            }
            sc_text_free(&cell);
        }
        free(path);
    }
    sc_file_list_free(names, n);
    free(folder);
    return status;
}

void sc_mechanism_forget_collapsed(const char *path, const char *cell)
{
    const size_t length = strlen(path) - strlen(".h5");
    char **names = NULL;
    size_t n = 0;
    const char *slash = strrchr(path, '/');
    char *folder = slash != NULL ? sc_memory_strndup(path, (size_t)(slash - path), NULL) : NULL;
    if (folder == NULL || sc_file_list(&names, &n, folder, ".h5", NULL) != SEMCAL_OK) {
        free(folder);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        char *other = sc_file_join(folder, names[i], NULL);
        sc_mechanism_spreads spreads;
        sc_mechanism_origin origin;
        semcal_error ignored = SEMCAL_ERROR_INIT;
        if (other != NULL && strncmp(other, path, length) == 0 && other[length] == '.' && strcmp(other, path) != 0 &&
            sc_mechanism_collapsed_read(&spreads, &origin, other, &ignored) == SEMCAL_OK) {
            if (strcmp(origin.cell, cell) == 0) {
                (void)unlink(other);
            }
            sc_mechanism_origin_free(&origin);
            sc_mechanism_spreads_free(&spreads);
        }
        free(other);
    }
    sc_file_list_free(names, n);
    free(folder);
}

/* ---- merge ---- */

static char *shard_path(const char *run_folder, const char *cell, unsigned shard, unsigned n_shards,
                        semcal_error *error)
{
    sc_text path = {0};
    if (sc_text_printf(&path, error, "%s/mechanism/%s.shard-%u-of-%u.h5", run_folder, cell, shard, n_shards) !=
        SEMCAL_OK) {
        sc_text_free(&path);
    }
    return path.data;
}

static semcal_status read_shard(sc_mechanism_file *f, const char *run_folder, const char *cell, unsigned shard,
                                unsigned n_shards, const char *shard_sha256, semcal_error *error)
{
    char *path = shard_path(run_folder, cell, shard, n_shards, error);
    semcal_status status = path == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK && !sc_file_exists(path)) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: other shards have a mechanism, this one has none", path);
    }
    if (status == SEMCAL_OK) {
        status = sc_mechanism_file_read(f, path, error);
    }
    if (status == SEMCAL_OK && (f->shard != shard || f->n_shards != n_shards || strcmp(f->cell, cell) != 0)) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: holds shard %lld of %lld of '%s'", path, (long long)f->shard,
                              (long long)f->n_shards, f->cell);
    }
    if (status == SEMCAL_OK) {
        status = check_complete(f, path, error);
    }
    if (status == SEMCAL_OK && strcmp(f->cell_sha256, shard_sha256) != 0) {
        status = sc_error_set(error, SEMCAL_E_DATA,
                              "%s: belongs to other draws than those of its shard; semcal run --shard %u/%u makes it "
                              "again",
                              path, shard, n_shards);
    }
    free(path);
    return status;
}

/* Questions in the order of the dataset; question q is in shard q % n_shards. */
static semcal_status join(sc_mechanism_file *all, sc_mechanism_file *shards, unsigned n_shards, const char *cell_sha256,
                          semcal_error *error)
{
    *all = (sc_mechanism_file){.settings = sc_memory_strdup(shards[0].settings, error),
                               .cell = sc_memory_strdup(shards[0].cell, error),
                               .cell_sha256 = sc_memory_strdup(cell_sha256, error),
                               .n_positions = shards[0].n_positions,
                               .n_forks = shards[0].n_forks,
                               .max_tokens = shards[0].max_tokens,
                               .n_cell_questions = shards[0].n_cell_questions,
                               .shard = 1,
                               .n_shards = 1};
    semcal_status status = all->settings && all->cell && all->cell_sha256 ? SEMCAL_OK : SEMCAL_E_MEMORY;
    for (int64_t q = 0; q < all->n_cell_questions && status == SEMCAL_OK; q++) {
        sc_mechanism_file *from = &shards[q % n_shards];
        const size_t i = (size_t)(q / n_shards);
        status = i < from->n_questions ? sc_mechanism_file_take(all, from, i, error)
                                       : sc_error_set(error, SEMCAL_E_DATA, "question %lld is missing", (long long)q);
    }
    return status;
}

semcal_status sc_mechanism_merge(bool *merged, const char *run_folder, const char *cell, unsigned n_shards,
                                 const char *const *shard_sha256, const char *cell_sha256, semcal_error *error)
{
    *merged = false;
    for (unsigned i = 0; i < n_shards && !*merged; i++) {
        char *path = shard_path(run_folder, cell, i + 1, n_shards, error);
        if (path == NULL) {
            return SEMCAL_E_MEMORY;
        }
        *merged = sc_file_exists(path);
        free(path);
    }
    if (!*merged) {
        return SEMCAL_OK;
    }
    sc_mechanism_file all = {0};
    sc_text path = {0};
    sc_mechanism_file *shards = sc_memory_alloc(n_shards, sizeof *shards, error);
    semcal_status status = shards == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (unsigned i = 0; i < n_shards && status == SEMCAL_OK; i++) {
        status = read_shard(&shards[i], run_folder, cell, i + 1, n_shards, shard_sha256[i], error);
    }
    if (status == SEMCAL_OK) {
        status = join(&all, shards, n_shards, cell_sha256, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_text_printf(&path, error, "%s/mechanism/%s.h5", run_folder, cell);
    }
    if (status == SEMCAL_OK) {
        sc_mechanism_forget_collapsed(path.data, cell);
        status = sc_mechanism_file_write(path.data, &all, error);
    }
    if (status != SEMCAL_OK) {
        sc_error_where(error, "mechanism of %s", cell);
    }
    sc_text_free(&path);
    sc_mechanism_file_free(&all);
    for (unsigned i = 0; shards != NULL && i < n_shards; i++) {
        sc_mechanism_file_free(&shards[i]);
    }
    free(shards);
    return status;
}

void sc_mechanism_remove_shards(const char *run_folder, const char *cell, unsigned n_shards)
{
    for (unsigned i = 0; i < n_shards; i++) {
        char *path = shard_path(run_folder, cell, i + 1, n_shards, NULL);
        if (path != NULL) {
            (void)unlink(path);
        }
        free(path);
    }
}

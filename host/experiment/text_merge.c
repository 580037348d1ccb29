/* SPDX-License-Identifier: Apache-2.0 */
/* The shards of a text cell into one: blocks stand by themselves, so joining them is putting them side by side. */
#include "base/file.h"
#include "experiment/store_internal.h"
#include "experiment/text_store.h"

#include <stdlib.h>
#include <string.h>

/* Other names are made with another configuration; what is told only may differ. */
static semcal_status same_origin(const sc_text_file *a, const sc_text_file *b, const char *path, semcal_error *error)
{
    bool same = a->n_attributes == b->n_attributes && a->sizes.n[SC_TEXT_CLASS] == b->sizes.n[SC_TEXT_CLASS] &&
                a->n_cell_chunks == b->n_cell_chunks && strcmp(a->cell, b->cell) == 0;
    for (size_t i = 0; same && i < a->n_attributes; i++) {
        const sc_store_attribute *x = &a->attributes[i], *y = &b->attributes[i];
        if (x->identity && (strcmp(x->name, y->name) != 0 || strcmp(x->text, y->text) != 0)) {
            return sc_error_set(error, SEMCAL_E_CONFIG, "%s: made with another %s than the other shards", path,
                                x->name);
        }
    }
    for (size_t k = 0; same && k < a->sizes.n[SC_TEXT_CLASS]; k++) {
        same = strcmp(a->labels[k], b->labels[k]) == 0;
    }
    return same ? SEMCAL_OK
                : sc_error_set(error, SEMCAL_E_CONFIG, "%s: has other sizes or classes than the other shards", path);
}

/* Opens the shards that are there; one with no block was never written. Their blocks follow each other. */
static semcal_status open_shards(sc_text_file *files, size_t *n, const char *run_folder, const char *cell,
                                 unsigned n_shards, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    size_t chunks = 0;
    *n = 0;
    for (unsigned i = 0; i < n_shards && status == SEMCAL_OK; i++) {
        char *path = sc_store_path(run_folder, cell, i + 1, n_shards, ".h5", error);
        status = path == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
        if (status == SEMCAL_OK && sc_file_exists(path)) {
            sc_text_file *file = &files[*n];
            status = sc_text_file_open(file, path, error);
            *n += status == SEMCAL_OK;
            if (status == SEMCAL_OK) {
                status = same_origin(&files[0], file, path, error);
            }
            if (status == SEMCAL_OK && (size_t)file->sums.block_first_chunk[0] != chunks) {
                status = sc_error_set(error, SEMCAL_E_DATA,
                                      "%s: begins with chunk %lld, the shards before it end at %zu; one is not there",
                                      path, (long long)file->sums.block_first_chunk[0], chunks);
            }
            for (size_t b = 0; status == SEMCAL_OK && b < file->sizes.n[SC_TEXT_BLOCK]; b++) {
                if (file->sums.block_done[b] != file->sums.block_chunks[b]) {
                    status = sc_error_set(error, SEMCAL_E_DATA, "%s: block %zu is not complete", path, b);
                }
            }
            chunks += status == SEMCAL_OK ? file->sizes.n[SC_TEXT_CHUNK] : 0;
        }
        free(path);
    }
    if (status == SEMCAL_OK && (*n == 0 || chunks != files[0].n_cell_chunks)) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: a shard of %u is not there: %zu of %zu chunks are", cell,
                              n_shards, chunks, *n > 0 ? files[0].n_cell_chunks : 0);
    }
    return status;
}

static semcal_status join(char digest[65], const char *path, const sc_text_file *files, size_t n, semcal_error *error)
{
    sc_text_sizes sizes = files[0].sizes;
    sc_text_sums sums;
    size_t first[SC_TEXT_DIMS] = {0};
    static const sc_text_dim growing[] = {SC_TEXT_BLOCK, SC_TEXT_CHUNK, SC_TEXT_SAMPLE};
    for (size_t i = 1; i < n; i++) {
        for (size_t d = 0; d < 3; d++) {
            sizes.n[growing[d]] += files[i].sizes.n[growing[d]];
        }
    }
    semcal_status status = sc_text_sums_alloc(&sums, &sizes, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    for (size_t i = 0; i < n; i++) {
        sc_text_sums_put(&sums, first, &files[i].sums, &files[i].sizes);
        for (size_t d = 0; d < 3; d++) {
            first[growing[d]] += files[i].sizes.n[growing[d]];
        }
    }
    sc_text_range range = {.n_cell_chunks = files[0].n_cell_chunks};
    memcpy(range.count, sizes.n, sizeof range.count);
    status = sc_text_store_write(digest, path, files[0].cell, &sums, &range, files[0].labels, files[0].attributes,
                                 files[0].n_attributes, 4, error);
    sc_text_sums_free(&sums);
    return status;
}

semcal_status sc_text_merge(char digest[65], const char *run_folder, const char *cell, unsigned n_shards,
                            semcal_error *error)
{
    size_t n = 0;
    sc_text_file *files = sc_memory_alloc(n_shards, sizeof *files, error);
    char *path = sc_store_path(run_folder, cell, 1, 1, ".h5", error);
    semcal_status status = files == NULL || path == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK) {
        status = open_shards(files, &n, run_folder, cell, n_shards, error);
    }
    if (status == SEMCAL_OK) {
        status = join(digest, path, files, n, error);
    }
    for (size_t i = 0; i < n; i++) {
        sc_text_file_free(&files[i]);
    }
    free(files);
    free(path);
    return status;
}

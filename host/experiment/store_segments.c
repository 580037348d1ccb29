/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/store_segments.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

semcal_status sc_store_expect_check(const sc_store_cell *cell, const sc_store_expect *expect, semcal_error *error)
{
    const struct {
        const char *name;
        uint64_t stored, now;
    } sizes[] = {
        {"number of questions", cell->facts.n_cell_questions, expect->label.n_cell_questions},
        {"number of draws", cell->sizes.n_draws, expect->sizes.n_draws},
        {"top_k", cell->sizes.n_top, expect->sizes.n_top},
        {"temperature (1 or not)", cell->sizes.raw, expect->sizes.raw},
        {"full_logits (their vocabulary)", cell->sizes.n_vocabulary, expect->sizes.n_vocabulary},
    };
    /* What the caller names says more than a size, so it goes first. */
    semcal_status status = sc_store_same_identity(cell, expect->attributes, expect->n_attributes, error);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && status == SEMCAL_OK; i++) {
        if (sizes[i].stored != sizes[i].now) {
            status = sc_error_set(error, SEMCAL_E_CONFIG,
                                  "%s: made with another %s (%" PRIu64 ", now %" PRIu64
                                  "); use another run folder or --fresh",
                                  cell->path, sizes[i].name, sizes[i].stored, sizes[i].now);
        }
    }
    return status;
}

/* A lock that the system drops when the process dies. */
static semcal_status take_lock(sc_store_segments *segments, semcal_error *error)
{
    char *path = sc_file_join(segments->folder, "lock", error);
    if (path == NULL) {
        return SEMCAL_E_MEMORY;
    }
    semcal_status status = SEMCAL_OK;
    segments->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (segments->lock < 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: cannot create: %s", path, strerror(errno));
    } else if (fcntl(segments->lock, F_SETLK, &whole) != 0 && (errno == EACCES || errno == EAGAIN)) {
        /* File systems without locks are no reason to stop. */
        status = sc_error_set(error, SEMCAL_E_CONFIG, "%s: another process is writing this cell", segments->folder);
    }
    free(path);
    return status;
}

static void tell(const sc_store_expect *expect, const char *what, const semcal_error *why)
{
    if (expect->log != NULL) {
        char line[SEMCAL_ERROR_SIZE + 64];
        (void)snprintf(line, sizeof line, "%s: %s", what, why->message);
        expect->log(line, expect->payload);
    }
}

/* Reads one segment to its end and adds it; deletes it when it is damaged. */
static semcal_status take_segment(sc_store_segments *segments, const char *path, const sc_store_expect *expect,
                                  semcal_error *error)
{
    sc_store_cell *cell = NULL;
    semcal_error damage = SEMCAL_ERROR_INIT;
    semcal_status status = sc_store_cell_open(&cell, path, &damage);
    if (status == SEMCAL_OK) {
        status = sc_store_expect_check(cell, expect, error);
        if (status != SEMCAL_OK) {
            sc_store_cell_close(&cell);
            return status;
        }
        status = sc_store_cell_check(cell, &damage);
    }
    if (status == SEMCAL_OK) {
        status = sc_store_sources_add(&segments->sources, cell, &damage);
    }
    sc_store_cell_close(&cell);
    if (status == SEMCAL_E_MEMORY) {
        return sc_error_set(error, status, "%s", damage.message);
    }
    if (status != SEMCAL_OK) {
        tell(expect, "discarded a damaged segment, its questions are done again", &damage);
        if (unlink(path) != 0) {
            return sc_error_set(error, SEMCAL_E_DATA, "%s: cannot delete: %s", path, strerror(errno));
        }
    }
    return SEMCAL_OK;
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n >= m && strcmp(name + n - m, suffix) == 0;
}

static semcal_status take_folder(sc_store_segments *segments, const sc_store_expect *expect, semcal_error *error)
{
    char **names;
    size_t n;
    semcal_status status = sc_file_list(&names, &n, segments->folder, "", error);
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        char *path = sc_file_join(segments->folder, names[i], error);
        if (path == NULL) {
            status = SEMCAL_E_MEMORY;
        } else if (ends_with(names[i], ".tmp")) {
            (void)unlink(path);
        } else if (ends_with(names[i], ".h5")) {
            unsigned long number = strtoul(names[i], NULL, 10);
            segments->next = number >= segments->next ? (unsigned)number + 1 : segments->next;
            status = take_segment(segments, path, expect, error);
        }
        free(path);
    }
    sc_file_list_free(names, n);
    return status;
}

semcal_status sc_store_segments_open(sc_store_segments *segments, const char *folder, const sc_store_expect *expect,
                                     semcal_error *error)
{
    *segments = (sc_store_segments){.lock = -1, .next = 1};
    segments->folder = sc_memory_strdup(folder, error);
    semcal_status status = segments->folder != NULL ? sc_file_make_folder(folder, error) : SEMCAL_E_MEMORY;
    if (status == SEMCAL_OK) {
        status = take_lock(segments, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_store_sources_init(&segments->sources, expect->label.n_cell_questions, error);
    }
    if (status == SEMCAL_OK) {
        status = take_folder(segments, expect, error);
    }
    if (status != SEMCAL_OK) {
        sc_store_segments_close(segments);
    }
    return status;
}

static int compare_records(const void *a, const void *b)
{
    uint64_t x = ((const sc_store_record *)a)->index, y = ((const sc_store_record *)b)->index;
    return (x > y) - (x < y);
}

/* Segments are read once, soon after, and deflating is most of the work of writing: the first of a cell, up to this
 * many nodes (some hundred bytes each), stay as they are. */
enum { PLAIN_NODES = 1 << 20 };

semcal_status sc_store_segments_write(sc_store_segments *segments, sc_store_record *records, size_t n,
                                      const sc_store_expect *expect, semcal_error *error)
{
    qsort(records, n, sizeof *records, compare_records);
    sc_store_sizes sizes = {.n_draws = expect->sizes.n_draws,
                            .n_top = expect->sizes.n_top,
                            .raw = expect->sizes.raw,
                            .n_vocabulary = expect->sizes.n_vocabulary};
    for (size_t i = 0; i < n; i++) {
        sc_store_add_rows(&sizes, &records[i]);
    }
    char hex[65];
    sc_text path = {0};
    sc_store_writer writer;
    sc_store_label label = expect->label;
    const uint64_t *before = segments->sources.sizes.total;
    if (before[SC_ROWS_NODE] + sizes.total[SC_ROWS_NODE] +
            sc_store_logits_weight(before[SC_ROWS_LOGITS] + sizes.total[SC_ROWS_LOGITS], &sizes) <=
        PLAIN_NODES) {
        label.deflate = 0;
    }
    sc_store_cell *cell = NULL;
    semcal_status status = sc_text_printf(&path, error, "%s/%06u.h5", segments->folder, segments->next);
    if (status == SEMCAL_OK) {
        status = sc_store_writer_open(&writer, path.data, &sizes, &label, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_store_writer_write(&writer, records, n, error);
        if (status == SEMCAL_OK) {
            status = sc_store_writer_finish(hex, &writer, expect->attributes, expect->n_attributes, error);
        } else {
            sc_store_writer_discard(&writer);
        }
    }
    if (status == SEMCAL_OK) {
        segments->next++;
        status = sc_store_cell_open_trusted(&cell, path.data, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_store_sources_add(&segments->sources, cell, error);
    }
    sc_store_cell_close(&cell);
    sc_text_free(&path);
    return status;
}

void sc_store_segments_remove(sc_store_segments *segments)
{
    sc_store_remove_folder(segments->folder);
}

void sc_store_segments_close(sc_store_segments *segments)
{
    if (segments->lock >= 0) {
        (void)close(segments->lock);
    }
    sc_store_sources_free(&segments->sources);
    free(segments->folder);
    *segments = (sc_store_segments){.lock = -1};
}

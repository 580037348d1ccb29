/* SPDX-License-Identifier: Apache-2.0 */
/* Several files of records into one, in dataset order: segments into a cell, shards into a cell. */
#include "base/file.h"
#include "experiment/store_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Questions handled at once, a few megabytes: chunks that windows share stay in memory from one to the next. */
enum { JOIN_QUESTIONS = 256, JOIN_NODES = 1 << 15, JOIN_DRAWS = 1 << 14 };

/* Files that are open at once. Questions lie in segments almost in their order, so that few are; shards are all read
 * side by side, and beyond these have to be opened for every window. */
enum { JOIN_FILES = 16 };

/* The files that are being joined. */
typedef struct reader {
    const sc_store_sources *sources;
    sc_store_cell *open[JOIN_FILES];
    int32_t source[JOIN_FILES];
    uint64_t used[JOIN_FILES]; /* by which window */
    uint64_t *n_left;          /* [sources->n] questions not read yet */
    uint64_t window;
    sc_store_record *run; /* [most] rows of one stretch */
    size_t *members;      /* [most] */
} reader;

semcal_status sc_store_sources_init(sc_store_sources *sources, uint64_t n_cell_questions, semcal_error *error)
{
    *sources = (sc_store_sources){.n_cell_questions = n_cell_questions};
    sources->places = sc_memory_alloc(n_cell_questions, sizeof *sources->places, error);
    for (uint64_t i = 0; sources->places != NULL && i < n_cell_questions; i++) {
        sources->places[i].source = -1;
    }
    return sources->places != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
}

void sc_store_sources_free(sc_store_sources *sources)
{
    sc_file_list_free(sources->paths, sources->n);
    free(sources->places);
    *sources = (sc_store_sources){0};
}

semcal_status sc_store_sources_add(sc_store_sources *sources, const sc_store_cell *cell, semcal_error *error)
{
    semcal_status status =
        sc_memory_grow(&sources->paths, &sources->capacity, sources->n + 1, sizeof *sources->paths, error);
    for (uint64_t row = 0; row < cell->facts.n_questions && status == SEMCAL_OK; row++) {
        uint64_t index = cell->index[row];
        if (index >= sources->n_cell_questions) {
            status = sc_error_set(error, SEMCAL_E_DATA, "%s: question %" PRIu64 " of %" PRIu64, cell->path, index,
                                  sources->n_cell_questions);
        } else if (sources->places[index].source >= 0) {
            status = sc_error_set(error, SEMCAL_E_DATA, "%s: question %" PRIu64 " is already in %s", cell->path, index,
                                  sources->paths[sources->places[index].source]);
        }
    }
    char *path = status == SEMCAL_OK ? sc_memory_strdup(cell->path, error) : NULL;
    if (path == NULL) {
        return status != SEMCAL_OK ? status : SEMCAL_E_MEMORY;
    }
    const uint64_t *nodes = cell->first[SC_ROWS_NODE];
    for (uint64_t row = 0; row < cell->facts.n_questions; row++) {
        sources->places[cell->index[row]] = (struct sc_store_place){
            .source = (int32_t)sources->n, .n_nodes = (uint32_t)(nodes[row + 1] - nodes[row]), .row = row};
    }
    sources->paths[sources->n++] = path;
    sources->n_found += cell->facts.n_questions;
    sources->sizes.n_draws = cell->sizes.n_draws;
    sources->sizes.n_top = cell->sizes.n_top;
    sources->sizes.raw = cell->sizes.raw;
    sources->sizes.n_vocabulary = cell->sizes.n_vocabulary;
    for (int rows = 0; rows < SC_ROWS_KINDS; rows++) {
        sources->sizes.total[rows] += cell->sizes.total[rows];
    }
    return SEMCAL_OK;
}

static semcal_status open_reader(reader *r, const sc_store_sources *sources, size_t most, semcal_error *error)
{
    *r = (reader){.sources = sources};
    r->n_left = sc_memory_alloc(sources->n, sizeof *r->n_left, error);
    r->run = sc_memory_alloc(most, sizeof *r->run, error);
    r->members = sc_memory_alloc(most, sizeof *r->members, error);
    for (uint64_t i = 0; r->n_left != NULL && i < sources->n_cell_questions; i++) {
        if (sources->places[i].source >= 0) {
            r->n_left[sources->places[i].source]++;
        }
    }
    return r->n_left != NULL && r->run != NULL && r->members != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
}

static void close_reader(reader *r)
{
    for (size_t i = 0; i < JOIN_FILES; i++) {
        sc_store_cell_close(&r->open[i]);
    }
    free(r->n_left);
    free(r->run);
    free(r->members);
}

/* Place of the source among the open files; the one not used for the longest time makes room. */
static semcal_status open_source(size_t *place, reader *r, int32_t source, semcal_error *error)
{
    *place = 0;
    for (size_t i = 0; i < JOIN_FILES; i++) {
        if (r->open[i] != NULL && r->source[i] == source) {
            *place = i;
            r->used[i] = r->window;
            return SEMCAL_OK;
        }
        if (r->open[*place] != NULL && (r->open[i] == NULL || r->used[i] < r->used[*place])) {
            *place = i;
        }
    }
    sc_store_cell_close(&r->open[*place]);
    r->source[*place] = source;
    r->used[*place] = r->window;
    const semcal_status status = sc_store_cell_open_trusted(&r->open[*place], r->sources->paths[source], error);
    if (status == SEMCAL_OK) {
        sc_h5_keep_open(r->open[*place]->file);
    }
    return status;
}

/* Fills records[i] for the i-th of the listed questions that lies in `source`. Its rows are read in one stretch per run
 * of neighbours. */
static semcal_status read_source(sc_store_record *records, reader *r, const uint64_t *questions, size_t n,
                                 int32_t source, semcal_error *error)
{
    const sc_store_sources *sources = r->sources;
    size_t at = 0;
    semcal_status status = open_source(&at, r, source, error);
    sc_store_cell *cell = r->open[at];
    for (size_t i = 0; i < n && status == SEMCAL_OK;) {
        const struct sc_store_place *place = &sources->places[questions[i]];
        if (place->source != source) {
            i++;
            continue;
        }
        size_t length = 0;
        for (size_t j = i; j < n; j++) {
            const struct sc_store_place *other = &sources->places[questions[j]];
            if (other->source == source && other->row == place->row + length) {
                r->members[length++] = j;
            } else if (other->source == source) {
                break;
            }
        }
        status = sc_store_cell_read_rows(r->run, cell, place->row, length, SC_STORE_NODES, error);
        for (size_t j = 0; j < length && status == SEMCAL_OK; j++) {
            sc_store_record *record = &records[r->members[j]];
            *record = r->run[j];
            record->logits_file = sources->paths[source];
            record->logits_first =
                cell->first[SC_ROWS_LOGITS] != NULL ? cell->first[SC_ROWS_LOGITS][place->row + j] : 0;
        }
        r->n_left[source] -= length;
        i = r->members[length - 1] + 1;
    }
    if (r->n_left[source] == 0) {
        sc_store_cell_close(&r->open[at]);
    }
    return status;
}

static semcal_status join_window(sc_store_writer *writer, reader *r, const uint64_t *questions, size_t n,
                                 semcal_error *error)
{
    sc_store_record *records = sc_memory_alloc(n, sizeof *records, error);
    semcal_status status = records != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        records[i] = (sc_store_record)SC_STORE_RECORD_INIT;
    }
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        if (records[i].id == NULL) {
            status = read_source(records, r, questions, n, r->sources->places[questions[i]].source, error);
        }
    }
    if (status == SEMCAL_OK) {
        status = sc_store_writer_write(writer, records, n, error);
    }
    r->window++;
    for (size_t i = 0; records != NULL && i < n; i++) {
        sc_store_record_free(&records[i]);
    }
    free(records);
    return status;
}

semcal_status sc_store_join(char hex[65], const char *path, const sc_store_sources *sources,
                            const sc_store_label *label, const sc_store_attribute *attributes, size_t n_attributes,
                            semcal_error *error)
{
    sc_store_writer writer;
    semcal_status status = sc_store_writer_open(&writer, path, &sources->sizes, label, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    sc_h5_keep_open(writer.file);
    const size_t n_draws = sources->sizes.n_draws, by_draws = JOIN_DRAWS / (n_draws > 0 ? n_draws : 1);
    const size_t most = by_draws > JOIN_QUESTIONS ? JOIN_QUESTIONS : by_draws > 0 ? by_draws : 1;
    uint64_t next = 0, *questions = sc_memory_alloc(most, sizeof *questions, error);
    reader r = {.sources = sources};
    status = questions != NULL ? open_reader(&r, sources, most, error) : SEMCAL_E_MEMORY;
    while (status == SEMCAL_OK && next < sources->n_cell_questions) {
        size_t n = 0;
        uint64_t n_nodes = 0;
        for (; next < sources->n_cell_questions && n < most; next++) {
            if (sources->places[next].source < 0) {
                continue;
            }
            n_nodes += sources->places[next].n_nodes;
            if (n > 0 && n_nodes > JOIN_NODES) {
                break;
            }
            questions[n++] = next;
        }
        if (n > 0) {
            status = join_window(&writer, &r, questions, n, error);
        }
    }
    close_reader(&r);
    free(questions);
    if (status != SEMCAL_OK) {
        sc_store_writer_discard(&writer);
        return status;
    }
    return sc_store_writer_finish(hex, &writer, attributes, n_attributes, error);
}

semcal_status sc_store_same_identity(const sc_store_cell *cell, const sc_store_attribute *attributes, size_t n,
                                     semcal_error *error)
{
    for (size_t i = 0; i < n; i++) {
        if (!attributes[i].identity) {
            continue;
        }
        const char *stored = sc_store_cell_attribute(cell, attributes[i].name);
        if (stored == NULL || strcmp(stored, attributes[i].text) != 0) {
            bool is_short = stored != NULL && strlen(stored) <= 80 && strlen(attributes[i].text) <= 80;
            return sc_error_set(error, SEMCAL_E_CONFIG,
                                "%s: made with another %s%s%s%s%s%s; use another run folder or --fresh", cell->path,
                                attributes[i].name, is_short ? " (" : "", is_short ? stored : "",
                                is_short ? ", now " : "", is_short ? attributes[i].text : "", is_short ? ")" : "");
        }
    }
    return SEMCAL_OK;
}

char *sc_store_path(const char *run_folder, const char *cell, unsigned shard, unsigned n_shards, const char *suffix,
                    semcal_error *error)
{
    sc_text text = {0};
    semcal_status status = sc_text_printf(&text, error, "%s/cells/%s", run_folder, cell);
    if (status == SEMCAL_OK && n_shards > 1) {
        status = sc_text_printf(&text, error, ".shard-%u-of-%u", shard, n_shards);
    }
    if (status == SEMCAL_OK) {
        status = sc_text_printf(&text, error, "%s", suffix);
    }
    if (status != SEMCAL_OK) {
        sc_text_free(&text);
    }
    return text.data;
}

void sc_store_remove_folder(const char *path)
{
    char **names;
    size_t n;
    if (sc_file_list(&names, &n, path, "", NULL) != SEMCAL_OK) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        char *file = sc_file_join(path, names[i], NULL);
        if (file != NULL) {
            (void)unlink(file);
        }
        free(file);
    }
    sc_file_list_free(names, n);
    (void)rmdir(path);
}

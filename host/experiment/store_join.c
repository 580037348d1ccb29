/* SPDX-License-Identifier: Apache-2.0 */
/* Several files of records into one, in dataset order: segments into a cell, shards into a cell. */
#include "base/file.h"
#include "experiment/store_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Questions handled at once: few enough to stay small in memory, but so many that a window fills several chunks of a
 * variable. A chunk that two windows share is deflated for the first, read again and deflated again for the second. */
enum { JOIN_QUESTIONS = 4096, JOIN_NODES = 1 << 18, JOIN_DRAWS = 1 << 17 };

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

/* Fills records[i] for the i-th of the listed questions that lies in `source`. Its rows are read in one stretch per run
 * of neighbours. */
static semcal_status read_source(sc_store_record *records, const sc_store_sources *sources, const uint64_t *questions,
                                 size_t n, int32_t source, semcal_error *error)
{
    sc_store_cell *cell;
    semcal_status status = sc_store_cell_open_trusted(&cell, sources->paths[source], error);
    sc_store_record *run = sc_memory_alloc(n, sizeof *run, error);
    size_t *members = sc_memory_alloc(n, sizeof *members, error);
    if (run == NULL || members == NULL) {
        status = SEMCAL_E_MEMORY;
    }
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
                members[length++] = j;
            } else if (other->source == source) {
                break;
            }
        }
        status = sc_store_cell_read_rows(run, cell, place->row, length, SC_STORE_NODES, error);
        for (size_t j = 0; j < length && status == SEMCAL_OK; j++) {
            records[members[j]] = run[j];
            records[members[j]].logits_file = sources->paths[source];
            records[members[j]].logits_first =
                cell->first[SC_ROWS_LOGITS] != NULL ? cell->first[SC_ROWS_LOGITS][place->row + j] : 0;
        }
        i = members[length - 1] + 1;
    }
    free(run);
    free(members);
    sc_store_cell_close(&cell);
    return status;
}

static semcal_status join_window(sc_store_writer *writer, const sc_store_sources *sources, const uint64_t *questions,
                                 size_t n, semcal_error *error)
{
    sc_store_record *records = sc_memory_alloc(n, sizeof *records, error);
    semcal_status status = records != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        records[i] = (sc_store_record)SC_STORE_RECORD_INIT;
    }
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        if (records[i].id == NULL) {
            status = read_source(records, sources, questions, n, sources->places[questions[i]].source, error);
        }
    }
    if (status == SEMCAL_OK) {
        status = sc_store_writer_write(writer, records, n, error);
    }
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
    const size_t n_draws = sources->sizes.n_draws, by_draws = JOIN_DRAWS / (n_draws > 0 ? n_draws : 1);
    const size_t most = by_draws > JOIN_QUESTIONS ? JOIN_QUESTIONS : by_draws > 0 ? by_draws : 1;
    uint64_t next = 0, *questions = sc_memory_alloc(most, sizeof *questions, error);
    status = questions != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
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
            status = join_window(&writer, sources, questions, n, error);
        }
    }
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

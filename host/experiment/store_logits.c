/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole laws (store.full_logits). They never stand in a record: from the spill of the generator, or from the segments
 * and shards that are joined, they go block by block into the file being written, and are hashed on the way.
 */
#include "base/file.h"
#include "experiment/store_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A block is about this large; a node with its top-k counts for so many bytes. */
enum { BLOCK_BYTES = 4 << 20, NODE_BYTES = 512 };

struct sc_store_logits {
    float *block;     /* [n_block, V] */
    size_t n_block;   /* rows; full blocks are whole chunks of the file */
    size_t n_waiting; /* rows in the block, not yet written */
    uint64_t n_written;
    char *bytes; /* [V * 4] scratch of a row to hash */
    sc_h5 *from; /* the file read last; NULL: none */
    char *from_path;
};

uint64_t sc_store_logits_weight(uint64_t n, const sc_store_sizes *sizes)
{
    return n * sizes->n_vocabulary * sizeof(float) / NODE_BYTES;
}

/* ---- which laws ---- */

semcal_status sc_store_logits_list(sc_store_record *record, semcal_error *error)
{
    const sc_tree *tree = &record->tree;
    if (tree->logits == NULL) {
        return sc_error_set(error, SEMCAL_E_DATA, "the tree has no whole laws, but the cell keeps them");
    }
    size_t n = 0;
    for (size_t i = 0; i < tree->n_nodes; i++) {
        n += tree->logits[i] >= 0;
        if ((tree->logits[i] >= 0) == isnan(tree->entropy[i])) {
            return sc_error_set(error, SEMCAL_E_DATA, "node %zu: its law is not kept as a whole", i);
        }
    }
    free(record->logits_node);
    free(record->logits_target);
    record->logits_node = sc_memory_alloc(n, sizeof *record->logits_node, error);
    record->logits_target = sc_memory_alloc(n, sizeof *record->logits_target, error);
    int32_t *place = sc_memory_alloc(tree->n_nodes, sizeof *place, error);
    if (record->logits_node == NULL || record->logits_target == NULL || place == NULL) {
        free(place);
        return SEMCAL_E_MEMORY;
    }
    record->n_logits = 0;
    for (size_t i = 0; i < tree->n_nodes; i++) {
        place[i] = tree->logits[i] >= 0 ? (int32_t)record->n_logits : -1;
        if (tree->logits[i] >= 0) {
            record->logits_target[record->n_logits] = -1;
            record->logits_node[record->n_logits++] = (int32_t)i;
        }
        /* Nodes are in the order of the draws that made them: the first child is what the first draw took. */
        const int32_t law = i > 0 && tree->parent[i] >= 0 && (size_t)tree->parent[i] < i ? place[tree->parent[i]] : -1;
        if (law >= 0 && record->logits_target[law] < 0) {
            record->logits_target[law] = tree->token[i];
        }
    }
    free(place);
    return SEMCAL_OK;
}

/* ---- digests ---- */

static void hash_row(sc_sha256 *sum, char *bytes, const float *row, size_t n)
{
    for (size_t v = 0; v < n; v++) {
        uint32_t bits;
        memcpy(&bits, &row[v], sizeof bits);
        bytes[4 * v] = (char)(unsigned char)(bits & 255);
        bytes[4 * v + 1] = (char)(unsigned char)(bits >> 8 & 255);
        bytes[4 * v + 2] = (char)(unsigned char)(bits >> 16 & 255);
        bytes[4 * v + 3] = (char)(unsigned char)(bits >> 24);
    }
    sc_sha256_add(sum, bytes, 4 * n);
}

static semcal_status wrong_digest(const sc_store_record *record, const char *path, semcal_error *error)
{
    return sc_error_set(error, SEMCAL_E_DATA, "%s: the logits of question %" PRIu64 " (%s) do not match their digest",
                        path, record->index, record->id);
}

/* ---- writing ---- */

static size_t block_rows(size_t n_vocabulary)
{
    const size_t row = n_vocabulary * sizeof(float);
    const size_t chunk = row < SC_H5_CHUNK_BYTES ? SC_H5_CHUNK_BYTES / row : 1;
    return chunk * (row * chunk < BLOCK_BYTES ? BLOCK_BYTES / (row * chunk) : 1);
}

static semcal_status begin(sc_store_writer *writer, semcal_error *error)
{
    const size_t V = writer->sizes.n_vocabulary;
    struct sc_store_logits *l = writer->logits = sc_memory_alloc(1, sizeof *l, error);
    if (l == NULL) {
        return SEMCAL_E_MEMORY;
    }
    l->n_block = block_rows(V);
    l->block = sc_memory_alloc(l->n_block * V, sizeof *l->block, error);
    l->bytes = sc_memory_alloc(V, 4, error);
    return l->block == NULL || l->bytes == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
}

static semcal_status flush(sc_store_writer *writer, semcal_error *error)
{
    struct sc_store_logits *l = writer->logits;
    const uint64_t start[SC_H5_MAX_DIMS] = {l->n_written},
                   count[SC_H5_MAX_DIMS] = {l->n_waiting, writer->sizes.n_vocabulary};
    semcal_status status =
        l->n_waiting > 0 ? sc_h5_write(writer->file, "logits", SC_H5_F32, start, count, l->block, error) : SEMCAL_OK;
    l->n_written += l->n_waiting;
    l->n_waiting = 0;
    return status;
}

/* The file of joined records; one stays open, as neighbours mostly come from one file. */
static semcal_status open_from(struct sc_store_logits *l, const char *path, semcal_error *error)
{
    if (l->from != NULL && strcmp(l->from_path, path) == 0) {
        return SEMCAL_OK;
    }
    (void)sc_h5_close(&l->from, NULL);
    free(l->from_path);
    l->from_path = sc_memory_strdup(path, error);
    return l->from_path == NULL ? SEMCAL_E_MEMORY : sc_h5_open(&l->from, path, false, error);
}

/* Laws k .. k + n - 1 of a record into `rows`. */
static semcal_status fetch(float *rows, struct sc_store_logits *l, const sc_store_record *record, size_t k, size_t n,
                           size_t V, semcal_error *error)
{
    if (record->logits_file != NULL) {
        const uint64_t start[SC_H5_MAX_DIMS] = {record->logits_first + k}, count[SC_H5_MAX_DIMS] = {n, V};
        semcal_status status = open_from(l, record->logits_file, error);
        return status == SEMCAL_OK ? sc_h5_read(l->from, "logits", SC_H5_F32, start, count, rows, error) : status;
    }
    const sc_tree *tree = &record->tree;
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        status = sc_spill_get(tree->spill, rows + i * V, tree->logits[record->logits_node[k + i]], error);
    }
    return status;
}

static semcal_status copy_one(sc_store_writer *writer, sc_store_record *record, semcal_error *error)
{
    struct sc_store_logits *l = writer->logits;
    const size_t V = writer->sizes.n_vocabulary;
    sc_sha256 *sum = sc_sha256_begin(error);
    semcal_status status = sum == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t k = 0; k < record->n_logits && status == SEMCAL_OK;) {
        const size_t room = l->n_block - l->n_waiting, left = record->n_logits - k, n = left < room ? left : room;
        float *rows = l->block + l->n_waiting * V;
        status = fetch(rows, l, record, k, n, V, error);
        for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
            hash_row(sum, l->bytes, rows + i * V, V);
        }
        k += n;
        l->n_waiting += status == SEMCAL_OK ? n : 0;
        if (status == SEMCAL_OK && l->n_waiting == l->n_block) {
            status = flush(writer, error);
        }
    }
    char hex[65] = "";
    sc_sha256_end(hex, sum);
    if (status == SEMCAL_OK && record->logits_sha256 != NULL && strcmp(hex, record->logits_sha256) != 0) {
        status = wrong_digest(record, writer->path, error);
    } else if (status == SEMCAL_OK && record->logits_sha256 == NULL) {
        record->logits_sha256 = sc_memory_strdup(hex, error);
        status = record->logits_sha256 == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    return status;
}

semcal_status sc_store_logits_copy(sc_store_writer *writer, sc_store_record *records, size_t n, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    if (writer->sizes.n_vocabulary > 0 && writer->logits == NULL) {
        status = begin(writer, error);
    }
    for (size_t i = 0; i < n && status == SEMCAL_OK && writer->logits != NULL; i++) {
        status = copy_one(writer, &records[i], error);
    }
    return status;
}

semcal_status sc_store_logits_end(sc_store_writer *writer, semcal_error *error)
{
    return writer->logits != NULL ? flush(writer, error) : SEMCAL_OK;
}

void sc_store_logits_free(struct sc_store_logits *l)
{
    if (l != NULL) {
        (void)sc_h5_close(&l->from, NULL);
        free(l->from_path);
        free(l->block);
        free(l->bytes);
        free(l);
    }
}

/* ---- reading ---- */

semcal_status sc_store_cell_read_logits(float *logits, sc_store_cell *cell, uint64_t i, uint64_t first, uint64_t n,
                                        semcal_error *error)
{
    const uint64_t *rows = cell->first[SC_ROWS_LOGITS];
    if (rows == NULL || i >= cell->facts.n_questions || first > rows[i + 1] - rows[i] ||
        n > rows[i + 1] - rows[i] - first) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: question %" PRIu64 " has no whole laws %" PRIu64 " to %" PRIu64,
                            cell->path, i, first, first + n);
    }
    const uint64_t start[SC_H5_MAX_DIMS] = {rows[i] + first}, count[SC_H5_MAX_DIMS] = {n, cell->sizes.n_vocabulary};
    return n > 0 ? sc_h5_read(cell->file, "logits", SC_H5_F32, start, count, logits, error) : SEMCAL_OK;
}

semcal_status sc_store_logits_check(sc_store_cell *cell, uint64_t i, const sc_store_record *record, semcal_error *error)
{
    const size_t V = cell->sizes.n_vocabulary, n_block = block_rows(V);
    float *block = sc_memory_alloc(n_block * V, sizeof *block, error);
    char *bytes = sc_memory_alloc(V, 4, error);
    sc_sha256 *sum = sc_sha256_begin(error);
    semcal_status status = block == NULL || bytes == NULL || sum == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t k = 0; k < record->n_logits && status == SEMCAL_OK; k += n_block) {
        const size_t n = record->n_logits - k < n_block ? record->n_logits - k : n_block;
        status = sc_store_cell_read_logits(block, cell, i, k, n, error);
        for (size_t j = 0; j < n && status == SEMCAL_OK; j++) {
            hash_row(sum, bytes, block + j * V, V);
        }
    }
    char hex[65] = "";
    sc_sha256_end(hex, sum);
    if (status == SEMCAL_OK && strcmp(hex, record->logits_sha256) != 0) {
        status = wrong_digest(record, cell->path, error);
    }
    free(block);
    free(bytes);
    return status;
}

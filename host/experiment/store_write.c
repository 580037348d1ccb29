/* SPDX-License-Identifier: Apache-2.0 */
/* One file of records: a segment, a shard or a finished cell; all have the same form. */
#include "base/file.h"
#include "experiment/store_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- structure ---- */

static semcal_status make_variables(sc_store_writer *writer, unsigned deflate, semcal_error *error)
{
    const sc_store_sizes *sizes = &writer->sizes;
    semcal_status status = SEMCAL_OK;
    for (int rows = 0; rows < SC_ROWS_KINDS && status == SEMCAL_OK; rows++) {
        uint64_t length = rows == SC_ROWS_DRAW ? sizes->n_draws : sizes->total[rows];
        if (length > 0 && sizes->total[rows] > 0) {
            status = sc_h5_make_dimension(writer->file, sc_store_dimensions[rows], length, false, error);
        }
    }
    if (status == SEMCAL_OK && sizes->n_top > 0 && sizes->total[SC_ROWS_NODE] > 0) {
        status = sc_h5_make_dimension(writer->file, "top", sizes->n_top, false, error);
    }
    if (status == SEMCAL_OK && sizes->total[SC_ROWS_LOGITS] > 0) {
        status = sc_h5_make_dimension(writer->file, "vocabulary", sizes->n_vocabulary, false, error);
    }
    for (size_t i = 0; i < sc_store_n_variables && status == SEMCAL_OK; i++) {
        const sc_store_variable *v = &sc_store_variables[i];
        if (!sc_store_has_variable(v, sizes)) {
            continue;
        }
        sc_h5_spec spec = {.path = v->name,
                           .type = v->stored,
                           .n_dims = 1,
                           .deflate = deflate,
                           .long_name = v->long_name,
                           .units = v->units};
        spec.dims[0] = sc_store_dimensions[v->rows];
        if (v->rows == SC_ROWS_DRAW) {
            spec.dims[0] = sc_store_dimensions[SC_ROWS_QUESTION];
            spec.dims[spec.n_dims++] = sc_store_dimensions[SC_ROWS_DRAW];
        }
        if (v->top) {
            spec.dims[spec.n_dims++] = "top";
        }
        if (v->role == SC_ROLE_LOGITS) {
            spec.dims[spec.n_dims++] = "vocabulary";
        }
        status = sc_h5_make_dataset(writer->file, &spec, error);
    }
    return status;
}

static semcal_status write_label(sc_store_writer *writer, const sc_store_label *label, semcal_error *error)
{
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"format_version", SC_STORE_FORMAT_VERSION},
        {"n_questions", (int64_t)writer->sizes.total[SC_ROWS_QUESTION]},
        {"n_cell_questions", (int64_t)label->n_cell_questions},
        {"n_draws", (int64_t)writer->sizes.n_draws},
        {"n_top", (int64_t)writer->sizes.n_top},
        {"raw", writer->sizes.raw},
        {"shard", (int64_t)label->shard},
        {"n_shards", (int64_t)label->n_shards},
        {"deflate", (int64_t)label->deflate},
    };
    semcal_status status = sc_h5_set_text(writer->file, "", "format", SC_STORE_FORMAT, error);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && status == SEMCAL_OK; i++) {
        status = sc_h5_set_int(writer->file, "", numbers[i].name, numbers[i].value, error);
    }
    if (status == SEMCAL_OK && writer->sizes.n_vocabulary > 0) {
        status = sc_h5_set_int(writer->file, "", "n_vocabulary", (int64_t)writer->sizes.n_vocabulary, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_set_text(writer->file, "", "semcal_version", semcal_version(), error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_set_text(writer->file, "", "semcal_commit", semcal_commit(), error);
    }
    return status == SEMCAL_OK ? sc_h5_set_text(writer->file, "", "cell", label->cell, error) : status;
}

semcal_status sc_store_writer_open(sc_store_writer *writer, const char *path, const sc_store_sizes *sizes,
                                   const sc_store_label *label, semcal_error *error)
{
    *writer = (sc_store_writer){.sizes = *sizes};
    sc_text temporary = {0};
    semcal_status status = sc_text_printf(&temporary, error, "%s.tmp", path);
    writer->temporary = temporary.data;
    writer->path = sc_memory_strdup(path, error);
    if (status == SEMCAL_OK) {
        status = writer->path != NULL
                     ? sc_store_digest_file_begin(&writer->sum, sizes->total[SC_ROWS_QUESTION], sizes, error)
                     : SEMCAL_E_MEMORY;
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_create(&writer->file, writer->temporary, error);
    }
    if (status == SEMCAL_OK) {
        status = write_label(writer, label, error);
    }
    if (status == SEMCAL_OK) {
        status = make_variables(writer, label->deflate, error);
    }
    if (status != SEMCAL_OK) {
        sc_store_writer_discard(writer);
    }
    return status;
}

/* ---- contents ---- */

/* Fills `buffer` with a variable's values of several records: the type is the memory type, int64_t for indices. */
static void gather(void *buffer, const sc_store_writer *writer, const sc_store_variable *v,
                   const sc_store_record *records, size_t n)
{
    size_t size = sc_store_element_size(v->memory), width = sc_store_width(v, &writer->sizes);
    int64_t *indices = buffer;
    char *bytes = buffer;
    int64_t question = (int64_t)writer->at[SC_ROWS_QUESTION], node = (int64_t)writer->at[SC_ROWS_NODE];
    for (size_t i = 0; i < n; i++) {
        size_t rows = sc_store_rows_of(&records[i], v->rows);
        const void *values = NULL;
        switch (v->role) {
        case SC_ROLE_OWNER:
            for (size_t j = 0; j < rows; j++) {
                *indices++ = question + (int64_t)i;
            }
            break;
        case SC_ROLE_COUNT:
            *indices++ = (int64_t)sc_store_rows_of(&records[i], v->counts);
            break;
        case SC_ROLE_NODE:
            values = sc_store_values(&records[i], v);
            for (size_t j = 0; j < rows; j++) {
                int32_t within = ((const int32_t *)values)[j];
                *indices++ = within < 0 ? -1 : node + within;
            }
            break;
        case SC_ROLE_DIGEST:
            values = writer->digests[i];
            memcpy(bytes, &values, sizeof values);
            bytes += sizeof values;
            break;
        default:
            values = sc_store_values(&records[i], v);
            if (rows > 0) {
                memcpy(bytes, values, rows * width * size);
                bytes += rows * width * size;
            }
        }
        node += (int64_t)records[i].tree.n_nodes;
    }
}

static semcal_status write_variable(sc_store_writer *writer, const sc_store_variable *v, const sc_store_record *records,
                                    size_t n, uint64_t rows, semcal_error *error)
{
    const sc_store_sizes *sizes = &writer->sizes;
    bool is_index = v->role == SC_ROLE_NODE || v->role == SC_ROLE_OWNER || v->role == SC_ROLE_COUNT;
    sc_h5_type type = is_index ? SC_H5_I64 : v->memory;
    uint64_t start[SC_H5_MAX_DIMS] = {0}, count[SC_H5_MAX_DIMS] = {0};
    start[0] = writer->at[v->rows];
    count[0] = rows;
    count[1] = sc_store_width(v, sizes);
    if (v->rows == SC_ROWS_DRAW) {
        start[0] = writer->at[SC_ROWS_QUESTION];
        count[0] = n;
        count[1] = sizes->n_draws;
    }
    void *buffer = sc_memory_alloc(rows * sc_store_width(v, sizes), sc_store_element_size(type), error);
    if (buffer == NULL) {
        return SEMCAL_E_MEMORY;
    }
    gather(buffer, writer, v, records, n);
    semcal_status status = sc_h5_write(writer->file, v->name, type, start, count, buffer, error);
    free(buffer);
    return status;
}

semcal_status sc_store_writer_write(sc_store_writer *writer, sc_store_record *records, size_t n, semcal_error *error)
{
    sc_store_sizes part = {0};
    semcal_status status = sc_store_logits_copy(writer, records, n, error);
    if (status == SEMCAL_OK) {
        status = sc_memory_grow(&writer->digests, &writer->digests_capacity, n, sizeof *writer->digests, error);
    }
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        sc_store_add_rows(&part, &records[i]);
        status = sc_store_digest_record(writer->digests[i], &records[i], &writer->sizes, error);
        if (status == SEMCAL_OK) {
            sc_store_digest_file_add(writer->sum, writer->digests[i]);
        }
    }
    for (size_t i = 0; i < sc_store_n_variables && status == SEMCAL_OK; i++) {
        const sc_store_variable *v = &sc_store_variables[i];
        if (v->role != SC_ROLE_LOGITS && sc_store_has_variable(v, &writer->sizes) && part.total[v->rows] > 0) {
            status = write_variable(writer, v, records, n, part.total[v->rows], error);
        }
    }
    for (int rows = 0; rows < SC_ROWS_KINDS; rows++) {
        writer->at[rows] += part.total[rows];
    }
    return status;
}

/* ---- end ---- */

static semcal_status write_attributes(sc_store_writer *writer, const sc_store_attribute *attributes, size_t n,
                                      semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    const char **identity = sc_memory_alloc(2 * n, sizeof *identity, error);
    if (identity == NULL) {
        return SEMCAL_E_MEMORY;
    }
    const char **all = identity + n;
    size_t n_identity = 0;
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        char *text = sc_store_text(attributes[i].text, strlen(attributes[i].text), error);
        status = text != NULL ? sc_h5_set_text(writer->file, "", attributes[i].name, text, error) : SEMCAL_E_MEMORY;
        free(text);
        all[i] = attributes[i].name;
        if (attributes[i].identity) {
            identity[n_identity++] = attributes[i].name;
        }
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_set_texts(writer->file, "", "identity_attributes", identity, n_identity, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_set_texts(writer->file, "", "provenance_attributes", all, n, error);
    }
    free(identity);
    return status;
}

static void free_writer(sc_store_writer *writer)
{
    if (writer->sum != NULL) {
        sc_sha256_end(NULL, writer->sum);
    }
    free(writer->digests);
    sc_store_logits_free(writer->logits);
    free(writer->temporary);
    free(writer->path);
    *writer = (sc_store_writer){0};
}

semcal_status sc_store_writer_finish(char hex[65], sc_store_writer *writer, const sc_store_attribute *attributes,
                                     size_t n_attributes, semcal_error *error)
{
    semcal_status status = sc_store_logits_end(writer, error);
    for (int rows = 0; rows < SC_ROWS_KINDS && status == SEMCAL_OK; rows++) {
        if (writer->at[rows] != writer->sizes.total[rows]) {
            status = sc_error_set(error, SEMCAL_E_DATA, "%s: %llu rows of %s written, %llu expected", writer->path,
                                  (unsigned long long)writer->at[rows], sc_store_dimensions[rows],
                                  (unsigned long long)writer->sizes.total[rows]);
        }
    }
    if (status == SEMCAL_OK) {
        sc_sha256_end(hex, writer->sum);
        writer->sum = NULL;
        status = sc_h5_set_text(writer->file, "", "content_sha256", hex, error);
    }
    if (status == SEMCAL_OK) {
        status = write_attributes(writer, attributes, n_attributes, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_close(&writer->file, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_store_seal(writer->temporary, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_file_commit(writer->temporary, writer->path, error);
    }
    if (status != SEMCAL_OK) {
        sc_store_writer_discard(writer);
    }
    free_writer(writer);
    return status;
}

void sc_store_writer_discard(sc_store_writer *writer)
{
    (void)sc_h5_close(&writer->file, NULL);
    if (writer->temporary != NULL) {
        (void)unlink(writer->temporary);
    }
    free_writer(writer);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/text_store.h"

#include "base/file.h"
#include "experiment/store_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the table of variables ---- */

typedef struct text_variable {
    const char *name, *long_name, *units;
    sc_h5_type type;
    size_t n_dims;
    sc_text_dim dims[2];
    size_t offset; /* of the pointer in sc_text_sums */
} text_variable;

#define B_(member, type, text, unit)                                                                                   \
    {                                                                                                                  \
#member, text, unit, type, 1, {SC_TEXT_BLOCK }, offsetof(sc_text_sums, member)                                 \
    }
#define BY(member, dim, text, unit)                                                                                    \
    {                                                                                                                  \
#member, text, unit, SC_H5_F64, 2, {SC_TEXT_BLOCK, dim }, offsetof(sc_text_sums, member)                       \
    }
#define C_(member, type, text, unit)                                                                                   \
    {                                                                                                                  \
#member, text, unit, type, 1, {SC_TEXT_CHUNK }, offsetof(sc_text_sums, member)                                 \
    }

static const text_variable variables[] = {
    B_(block_first_chunk, SC_H5_I64, "first chunk of the block", "1"),
    B_(block_chunks, SC_H5_I64, "chunks of the block", "1"),
    B_(block_done, SC_H5_I64, "chunks of the block that are in its sums", "1"),
    B_(tokens, SC_H5_I64, "tokens scored", "1"),
    B_(correct, SC_H5_F64, "tokens that were the most probable one", "1"),
    B_(confidence, SC_H5_F64, "sum of the probabilities of the most probable tokens", "1"),
    B_(entropy, SC_H5_F64, "sum of the entropies of the next-token laws", "nat"),
    BY(loss, SC_TEXT_TEMPERATURE, "sum of -log p(token) at this multiple of the temperature", "nat"),
    BY(class_count, SC_TEXT_CLASS, "tokens of the class", "1"),
    BY(class_mass, SC_TEXT_CLASS, "sum of the class's probabilities", "1"),
    BY(top_weight, SC_TEXT_PLACE, "most probable token: pairs at this confidence", "1"),
    BY(top_right, SC_TEXT_PLACE, "most probable token: right ones among them", "1"),
    BY(top_confidence, SC_TEXT_PLACE, "most probable token: sum of their confidences", "1"),
    BY(classwise_weight, SC_TEXT_PLACE, "all classes: weight (probability) of pairs at this probability", "1"),
    BY(classwise_right, SC_TEXT_PLACE, "all classes: weight of those whose class came", "1"),
    BY(classwise_confidence, SC_TEXT_PLACE, "all classes: weighted sum of their probabilities", "1"),
    C_(chunk_document, SC_H5_I32, "document of the chunk, from 0", "1"),
    C_(chunk_start, SC_H5_I64, "first token of the chunk in its document", "1"),
    C_(chunk_tokens, SC_H5_I32, "tokens scored in the chunk", "1"),
    C_(chunk_correct, SC_H5_F64, "tokens that were the most probable one", "1"),
    C_(chunk_confidence, SC_H5_F64, "sum of the probabilities of the most probable tokens", "1"),
    C_(chunk_loss, SC_H5_F64, "sum of -log p(token)", "nat"),
    {"sample_block",
     "block of the sampled token",
     "1",
     SC_H5_I32,
     1,
     {SC_TEXT_SAMPLE},
     offsetof(sc_text_sums, sample_block)},
    {"sample_class",
     "class of the sampled token",
     "1",
     SC_H5_I32,
     1,
     {SC_TEXT_SAMPLE},
     offsetof(sc_text_sums, sample_class)},
    {"sample_logmass",
     "log-probability of the class in the sampled token's law",
     "nat",
     SC_H5_F32,
     2,
     {SC_TEXT_SAMPLE, SC_TEXT_CLASS},
     offsetof(sc_text_sums, sample_logmass)},
};
enum { N_VARIABLES = sizeof variables / sizeof *variables };

static const char *const dim_names[SC_TEXT_DIMS] = {"block", "chunk", "sample", "class", "temperature", "place"};

static char *rows_of(const sc_text_sums *sums, const text_variable *v)
{
    char *at;
    memcpy(&at, (const char *)sums + v->offset, sizeof at);
    return at;
}

/* Bytes of one row of the first dimension. */
static size_t row_size(const text_variable *v, const size_t n[SC_TEXT_DIMS])
{
    return sc_store_element_size(v->type) * (v->n_dims > 1 ? n[v->dims[1]] : 1);
}

semcal_status sc_text_sums_alloc(sc_text_sums *sums, const sc_text_sizes *sizes, semcal_error *error)
{
    *sums = (sc_text_sums){0};
    for (size_t i = 0; i < N_VARIABLES; i++) {
        void *rows = sc_memory_alloc(sizes->n[variables[i].dims[0]], row_size(&variables[i], sizes->n), error);
        if (rows == NULL) {
            sc_text_sums_free(sums);
            return SEMCAL_E_MEMORY;
        }
        memcpy((char *)sums + variables[i].offset, &rows, sizeof rows);
    }
    return SEMCAL_OK;
}

void sc_text_sums_free(sc_text_sums *sums)
{
    for (size_t i = 0; i < N_VARIABLES; i++) {
        free(rows_of(sums, &variables[i]));
    }
    *sums = (sc_text_sums){0};
}

void sc_text_sums_put(const sc_text_sums *to, const size_t first[SC_TEXT_DIMS], const sc_text_sums *from,
                      const sc_text_sizes *sizes)
{
    for (size_t i = 0; i < N_VARIABLES; i++) {
        const text_variable *v = &variables[i];
        const size_t size = row_size(v, sizes->n);
        memcpy(rows_of(to, v) + first[v->dims[0]] * size, rows_of(from, v), sizes->n[v->dims[0]] * size);
    }
}

/* ---- digest ---- */

static semcal_status digest_of(char digest[65], const sc_text_sums *sums, const sc_text_range *range,
                               char *const *labels, semcal_error *error)
{
    sc_text all = {0}, one = {0};
    semcal_status status =
        sc_text_printf(&all, error, "%s %d blocks %zu chunks %zu\n", SC_TEXT_FORMAT, SC_TEXT_FORMAT_VERSION,
                       range->count[SC_TEXT_BLOCK], range->count[SC_TEXT_CHUNK]);
    for (size_t k = 0; k < range->count[SC_TEXT_CLASS] && status == SEMCAL_OK; k++) {
        status = sc_text_printf(&all, error, "%s\n", labels[k]);
    }
    for (size_t i = 0; i < N_VARIABLES && status == SEMCAL_OK; i++) {
        const text_variable *v = &variables[i];
        const size_t size = row_size(v, range->count), n = range->count[v->dims[0]];
        char hex[65];
        sc_text_clear(&one);
        status =
            sc_store_digest_put(&one, v->name, v->type, v->type, rows_of(sums, v) + range->first[v->dims[0]] * size,
                                n * size / sc_store_element_size(v->type), error);
        if (status == SEMCAL_OK) {
            sc_sha256_hex(hex, one.data, one.length);
            status = sc_text_printf(&all, error, "%s\n", hex);
        }
    }
    if (status == SEMCAL_OK) {
        sc_sha256_hex(digest, all.data, all.length);
    }
    sc_text_free(&all);
    sc_text_free(&one);
    return status;
}

/* ---- writing ---- */

static semcal_status write_coordinates(sc_h5 *file, char *const *labels, semcal_error *error)
{
    double values[SC_PAIR_GRID];
    const sc_h5_spec label = {.path = "class_label",
                              .type = SC_H5_TEXT,
                              .n_dims = 1,
                              .dims = {"class"},
                              .long_name = "class of tokens",
                              .units = ""};
    const sc_h5_spec multiplier = {.path = "temperature_multiplier",
                                   .type = SC_H5_F64,
                                   .n_dims = 1,
                                   .dims = {"temperature"},
                                   .long_name = "multiple of the cell's temperature",
                                   .units = "1"};
    const sc_h5_spec place = {.path = "place_confidence",
                              .type = SC_H5_F64,
                              .n_dims = 1,
                              .dims = {"place"},
                              .deflate = 4,
                              .long_name = "confidence that pairs are split onto",
                              .units = "1"};
    semcal_status status = sc_h5_make_dataset(file, &label, error);
    if (status == SEMCAL_OK) {
        status = sc_h5_write(file, label.path, SC_H5_TEXT, NULL, NULL, labels, error);
    }
    for (size_t i = 0; i < SC_TEMPERATURES; i++) {
        values[i] = sc_token_gap_multiplier(i);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_make_dataset(file, &multiplier, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_write(file, multiplier.path, SC_H5_F64, NULL, NULL, values, error);
    }
    for (size_t i = 0; i < SC_PAIR_GRID; i++) {
        values[i] = (double)i / (SC_PAIR_GRID - 1);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_make_dataset(file, &place, error);
    }
    return status == SEMCAL_OK ? sc_h5_write(file, place.path, SC_H5_F64, NULL, NULL, values, error) : status;
}

static semcal_status write_variables(sc_h5 *file, const sc_text_sums *sums, const sc_text_range *range,
                                     unsigned deflate, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < SC_TEXT_DIMS && status == SEMCAL_OK; i++) {
        if (range->count[i] > 0) {
            status = sc_h5_make_dimension(file, dim_names[i], range->count[i], false, error);
        }
    }
    for (size_t i = 0; i < N_VARIABLES && status == SEMCAL_OK; i++) {
        const text_variable *v = &variables[i];
        if (range->count[v->dims[0]] == 0) {
            continue; /* a block without a sampled token */
        }
        const sc_h5_spec spec = {.path = v->name,
                                 .type = v->type,
                                 .n_dims = v->n_dims,
                                 .dims = {dim_names[v->dims[0]], dim_names[v->dims[1]]},
                                 .deflate = deflate,
                                 .long_name = v->long_name,
                                 .units = v->units};
        status = sc_h5_make_dataset(file, &spec, error);
        if (status == SEMCAL_OK) {
            const char *rows = rows_of(sums, v) + range->first[v->dims[0]] * row_size(v, range->count);
            status = sc_h5_write(file, v->name, v->type, NULL, NULL, rows, error);
        }
    }
    return status;
}

/* Chunks done and to do, under the names that cells of questions have: who counts progress reads both. */
static semcal_status write_progress(sc_h5 *file, const sc_text_sums *sums, const sc_text_range *range,
                                    semcal_error *error)
{
    int64_t done = 0;
    for (size_t b = 0; b < range->count[SC_TEXT_BLOCK]; b++) {
        done += sums->block_done[range->first[SC_TEXT_BLOCK] + b];
    }
    semcal_status status = sc_h5_set_int(file, "", "n_questions", done, error);
    return status == SEMCAL_OK ? sc_h5_set_int(file, "", "n_cell_questions", (int64_t)range->n_cell_chunks, error)
                               : status;
}

static semcal_status write_attributes(sc_h5 *file, const char *cell, const char *digest,
                                      const sc_store_attribute *attributes, size_t n, semcal_error *error)
{
    const char **identity = sc_memory_alloc(n, sizeof *identity, error);
    const char **names = sc_memory_alloc(n, sizeof *names, error);
    size_t n_identity = 0;
    semcal_status status = identity == NULL || names == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK) {
        status = sc_h5_set_text(file, "", "format", SC_TEXT_FORMAT, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_set_int(file, "", "format_version", SC_TEXT_FORMAT_VERSION, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_set_text(file, "", "cell", cell, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_set_text(file, "", "content_sha256", digest, error);
    }
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        char *text = sc_store_text(attributes[i].text, strlen(attributes[i].text), error);
        status = text != NULL ? sc_h5_set_text(file, "", attributes[i].name, text, error) : SEMCAL_E_MEMORY;
        free(text);
        names[i] = attributes[i].name;
        if (attributes[i].identity) {
            identity[n_identity++] = attributes[i].name;
        }
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_set_texts(file, "", "provenance_attributes", names, n, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_set_texts(file, "", "identity_attributes", identity, n_identity, error);
    }
    free(names);
    free(identity);
    return status;
}

/* What a file is made of. */
typedef struct contents {
    const char *cell, *digest;
    const sc_text_sums *sums;
    const sc_text_range *range;
    char *const *labels;
    const sc_store_attribute *attributes;
    size_t n_attributes;
    unsigned deflate;
} contents;

static semcal_status write_all(sc_h5 *file, const void *payload, semcal_error *error)
{
    const contents *c = payload;
    semcal_status status = write_attributes(file, c->cell, c->digest, c->attributes, c->n_attributes, error);
    if (status == SEMCAL_OK) {
        status = write_progress(file, c->sums, c->range, error);
    }
    if (status == SEMCAL_OK) {
        status = write_variables(file, c->sums, c->range, c->deflate, error);
    }
    return status == SEMCAL_OK ? write_coordinates(file, c->labels, error) : status;
}

semcal_status sc_text_store_write(char digest[65], const char *path, const char *cell, const sc_text_sums *sums,
                                  const sc_text_range *range, char *const *labels, const sc_store_attribute *attributes,
                                  size_t n_attributes, unsigned deflate, semcal_error *error)
{
    const contents c = {cell, digest, sums, range, labels, attributes, n_attributes, deflate};
    semcal_status status = digest_of(digest, sums, range, labels, error);
    return status == SEMCAL_OK ? sc_store_write_sealed(path, write_all, &c, error) : status;
}

/* ---- reading ---- */

static semcal_status same_identity(sc_h5 *file, const char *path, const sc_store_attribute *attributes, size_t n,
                                   semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        char *text = NULL;
        if (!attributes[i].identity) {
            continue;
        }
        semcal_error missing = SEMCAL_ERROR_INIT;
        if (sc_h5_get_text(&text, file, "", attributes[i].name, &missing) != SEMCAL_OK ||
            strcmp(text, attributes[i].text) != 0) {
            status =
                sc_error_set(error, SEMCAL_E_CONFIG,
                             "%s is of another configuration: %s was '%.200s', now '%.200s'; choose another folder "
                             "with -o, or start again with --fresh",
                             path, attributes[i].name, text != NULL ? text : "", attributes[i].text);
        }
        free(text);
    }
    return status;
}

/* Reads the variables into the rows of `range`, whose counts must be the file's. */
static semcal_status read_variables(const sc_text_sums *sums, sc_h5 *file, const sc_text_range *range,
                                    semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < N_VARIABLES && status == SEMCAL_OK; i++) {
        const text_variable *v = &variables[i];
        sc_h5_shape shape;
        if (range->count[v->dims[0]] == 0) {
            continue;
        }
        status = sc_h5_get_shape(&shape, file, v->name, error);
        bool fits = status == SEMCAL_OK && shape.n_dims == v->n_dims;
        for (size_t d = 0; d < v->n_dims && fits; d++) {
            fits = shape.length[d] == range->count[v->dims[d]];
        }
        if (status == SEMCAL_OK && !fits) {
            status = sc_error_set(error, SEMCAL_E_DATA, "%s: '%s' has another shape than it should", sc_h5_path(file),
                                  v->name);
        }
        if (status == SEMCAL_OK) {
            char *rows = rows_of(sums, v) + range->first[v->dims[0]] * row_size(v, range->count);
            status = sc_h5_read(file, v->name, v->type, NULL, NULL, rows, error);
        }
    }
    return status;
}

static semcal_status read_labels(char ***labels, size_t K, sc_h5 *file, semcal_error *error)
{
    *labels = sc_memory_alloc(K, sizeof **labels, error);
    return *labels == NULL ? SEMCAL_E_MEMORY : sc_h5_read(file, "class_label", SC_H5_TEXT, NULL, NULL, *labels, error);
}

/* Everything after the seal: contents, and the digest they must have. */
static semcal_status read_checked(char digest[65], char ***labels, const sc_text_sums *sums, sc_h5 *file,
                                  const sc_text_range *range, semcal_error *error)
{
    char *stored = NULL;
    semcal_status status = read_variables(sums, file, range, error);
    if (status == SEMCAL_OK) {
        status = read_labels(labels, range->count[SC_TEXT_CLASS], file, error);
    }
    if (status == SEMCAL_OK) {
        status = digest_of(digest, sums, range, *labels, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_get_text(&stored, file, "", "content_sha256", error);
    }
    if (status == SEMCAL_OK && strcmp(stored, digest) != 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: its contents do not match their digest", sc_h5_path(file));
    }
    free(stored);
    return status;
}

static void free_labels(char **labels, size_t K)
{
    for (size_t k = 0; labels != NULL && k < K; k++) {
        free(labels[k]);
    }
    free(labels);
}

semcal_status sc_text_store_read(const sc_text_sums *sums, const char *path, const sc_text_range *range,
                                 const sc_store_attribute *attributes, size_t n_attributes, semcal_error *error)
{
    sc_h5 *file = NULL;
    char digest[65], **labels = NULL;
    semcal_status status = sc_store_open_sealed(&file, path, SC_TEXT_FORMAT, SC_TEXT_FORMAT_VERSION, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    status = same_identity(file, path, attributes, n_attributes, error);
    if (status == SEMCAL_OK) {
        status = read_checked(digest, &labels, sums, file, range, error);
    }
    free_labels(labels, range->count[SC_TEXT_CLASS]);
    (void)sc_h5_close(&file, NULL);
    return status;
}

/* Lengths of the dimensions, off the variables. */
static semcal_status read_sizes(sc_text_sizes *sizes, sc_h5 *file, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    *sizes = (sc_text_sizes){{0}};
    for (size_t i = 0; i < N_VARIABLES && status == SEMCAL_OK; i++) {
        sc_h5_shape shape;
        if (!sc_h5_exists(file, variables[i].name)) {
            continue;
        }
        status = sc_h5_get_shape(&shape, file, variables[i].name, error);
        for (size_t d = 0; status == SEMCAL_OK && d < variables[i].n_dims && d < shape.n_dims; d++) {
            sizes->n[variables[i].dims[d]] = (size_t)shape.length[d];
        }
    }
    if (status == SEMCAL_OK && (sizes->n[SC_TEXT_TEMPERATURE] != SC_TEMPERATURES ||
                                sizes->n[SC_TEXT_PLACE] != SC_PAIR_GRID || sizes->n[SC_TEXT_BLOCK] == 0)) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: not as this program writes text cells", sc_h5_path(file));
    }
    return status;
}

/* What the file says of its making, and of the cell it belongs to. */
static semcal_status read_provenance(sc_text_file *file, sc_h5 *h5, semcal_error *error)
{
    char **names = NULL, **identity = NULL;
    size_t n = 0, n_identity = 0;
    int64_t chunks = 0;
    semcal_status status = sc_h5_get_text(&file->cell, h5, "", "cell", error);
    if (status == SEMCAL_OK) {
        status = sc_h5_get_int(&chunks, h5, "", "n_cell_questions", error);
        file->n_cell_chunks = (size_t)chunks;
    }
    if (status == SEMCAL_OK && !sc_h5_has(h5, "", "provenance_attributes")) {
        return SEMCAL_OK; /* a file from before texts could be cut into shards; never a part of one */
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_get_texts(&names, &n, h5, "", "provenance_attributes", error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_get_texts(&identity, &n_identity, h5, "", "identity_attributes", error);
    }
    if (status == SEMCAL_OK) {
        file->attributes = sc_memory_alloc(n, sizeof *file->attributes, error);
        status = file->attributes == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        char *text = NULL;
        status = sc_h5_get_text(&text, h5, "", names[i], error);
        if (status == SEMCAL_OK) {
            sc_store_attribute *to = &file->attributes[file->n_attributes++];
            *to = (sc_store_attribute){names[i], text, false};
            names[i] = NULL; /* taken over */
            for (size_t k = 0; k < n_identity; k++) {
                to->identity = to->identity || strcmp(identity[k], to->name) == 0;
            }
        }
    }
    sc_file_list_free(names, n);
    sc_file_list_free(identity, n_identity);
    return status;
}

semcal_status sc_text_file_open(sc_text_file *file, const char *path, semcal_error *error)
{
    sc_h5 *h5 = NULL;
    *file = (sc_text_file){.cell = NULL};
    semcal_status status = sc_store_open_sealed(&h5, path, SC_TEXT_FORMAT, SC_TEXT_FORMAT_VERSION, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    sc_text_range range = {.n_cell_chunks = 0};
    status = read_sizes(&file->sizes, h5, error);
    memcpy(range.count, file->sizes.n, sizeof range.count);
    if (status == SEMCAL_OK) {
        status = sc_text_sums_alloc(&file->sums, &file->sizes, error);
    }
    if (status == SEMCAL_OK) {
        status = read_checked(file->digest, &file->labels, &file->sums, h5, &range, error);
    }
    if (status == SEMCAL_OK) {
        status = read_provenance(file, h5, error);
    }
    (void)sc_h5_close(&h5, NULL);
    if (status != SEMCAL_OK) {
        sc_text_file_free(file);
    }
    return status;
}

void sc_text_file_free(sc_text_file *file)
{
    free_labels(file->labels, file->sizes.n[SC_TEXT_CLASS]);
    free(file->cell);
    for (size_t i = 0; i < file->n_attributes; i++) {
        free((void *)(uintptr_t)file->attributes[i].name);
        free((void *)(uintptr_t)file->attributes[i].text);
    }
    free(file->attributes);
    sc_text_sums_free(&file->sums);
    *file = (sc_text_file){.cell = NULL};
}

bool sc_text_file_is(const char *path)
{
    sc_h5 *file = NULL;
    char *format = NULL;
    uint64_t content;
    semcal_error ignored = SEMCAL_ERROR_INIT;
    bool is = sc_store_check_seal(&content, path, &ignored) == SEMCAL_OK &&
              sc_h5_open(&file, path, false, &ignored) == SEMCAL_OK &&
              sc_h5_get_text(&format, file, "", "format", &ignored) == SEMCAL_OK && strcmp(format, SC_TEXT_FORMAT) == 0;
    free(format);
    (void)sc_h5_close(&file, NULL);
    return is;
}

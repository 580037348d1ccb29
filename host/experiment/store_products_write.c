/* SPDX-License-Identifier: Apache-2.0 */
/* Putting the products of a collapse into a cell file. */
#include "base/file.h"
#include "experiment/store_products.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct placer {
    sc_h5 *file;
    const sc_store_cell *cell;
    const sc_store_products *products;
    const char *folder; /* "" or "collapse/<name>/" */
    char class_path[512];
    unsigned deflate;
} placer;

static semcal_status put(const placer *to, const char *name, const char *long_name, const char *units, sc_h5_type type,
                         sc_products_rows rows, const void *values, semcal_error *error)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s%s", to->folder, name);
    sc_h5_spec spec = {
        .path = path, .type = type, .n_dims = 1, .deflate = to->deflate, .long_name = long_name, .units = units};
    spec.dims[0] = rows == ON_CLASS ? to->class_path : rows == ON_RESPONSE ? "response" : "question";
    if (rows == ON_DRAW) {
        spec.dims[spec.n_dims++] = "draw";
    }
    semcal_status status = sc_h5_make_dataset(to->file, &spec, error);
    return status == SEMCAL_OK ? sc_h5_write(to->file, path, type, NULL, NULL, values, error) : status;
}

static semcal_status put_class_question(const placer *to, semcal_error *error)
{
    const sc_store_products *p = to->products;
    size_t k = sc_products_n_rows(p, to->cell, ON_CLASS);
    int64_t *owner = sc_memory_alloc(k, sizeof *owner, error);
    if (owner == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t q = 0; q < p->n_questions; q++) {
        for (size_t i = p->first_class[q]; i < p->first_class[q + 1]; i++) {
            owner[i] = (int64_t)q;
        }
    }
    semcal_status status =
        put(to, SC_PRODUCTS_OWNER, "row of question the class belongs to", "", SC_H5_I64, ON_CLASS, owner, error);
    free(owner);
    return status;
}

static semcal_status put_fixed(const placer *to, const sc_products_variable *v, semcal_error *error)
{
    const void *values = sc_products_values(to->products, v);
    size_t n = sc_products_n_rows(to->products, to->cell, v->rows);
    if (n == 0) {
        return SEMCAL_OK;
    }
    if (values == NULL) {
        return v->optional ? SEMCAL_OK
                           : sc_error_set(error, SEMCAL_E_DATA, "%s: %s is missing", to->cell->path, v->name);
    }
    int32_t *shifted = NULL;
    semcal_status status = SEMCAL_OK;
    if (v->shifted) {
        shifted = sc_memory_alloc(n, sizeof *shifted, error);
        status =
            shifted != NULL ? sc_products_shift(shifted, values, to->products, to->cell, v, 1, error) : SEMCAL_E_MEMORY;
        values = shifted;
    }
    if (status == SEMCAL_OK) {
        status = put(to, v->name, v->long_name, v->units, v->type, v->rows, values, error);
    }
    free(shifted);
    return status;
}

/* Everything at one place: root level or the collapse's own group. */
static semcal_status put_products(const placer *to, const char *hex, semcal_error *error)
{
    const sc_store_products *p = to->products;
    char group[512];
    (void)snprintf(group, sizeof group, "%.*s", (int)(strlen(to->folder) > 0 ? strlen(to->folder) - 1 : 0), to->folder);
    size_t k = sc_products_n_rows(p, to->cell, ON_CLASS);
    semcal_status status = SEMCAL_OK;
    if (k > 0) {
        status = sc_h5_make_dimension(to->file, to->class_path, k, false, error);
        if (status == SEMCAL_OK) {
            status = put_class_question(to, error);
        }
    }
    for (size_t i = 0; i < sc_products_n_variables && status == SEMCAL_OK; i++) {
        status = put_fixed(to, &sc_products_variables[i], error);
    }
    const char **names = sc_memory_alloc(p->n_columns, sizeof *names, error);
    if (names == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < p->n_columns && status == SEMCAL_OK; i++) {
        const sc_store_column *c = &p->columns[i];
        names[i] = c->name;
        if (p->n_questions > 0) {
            status = put(to, c->name, c->long_name, c->units, sc_products_column_type(c->kind), ON_QUESTION,
                         sc_products_column_values(c), error);
        }
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_set_texts(to->file, group, "collapse_columns", names, p->n_columns, error);
    }
    free(names);
    if (status == SEMCAL_OK) {
        status = sc_h5_set_text(to->file, group, "collapse", p->collapse, error);
    }
    return status == SEMCAL_OK ? sc_h5_set_text(to->file, group, "collapse_sha256", hex, error) : status;
}

/* The attributes live in the group only. */
static semcal_status put_options(sc_h5 *file, const char *group, const sc_store_products *p, semcal_error *error)
{
    const char **names = sc_memory_alloc(p->n_attributes, sizeof *names, error);
    semcal_status status = names != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
    for (size_t i = 0; i < p->n_attributes && status == SEMCAL_OK; i++) {
        names[i] = p->attributes[i].name;
        status = sc_h5_set_text(file, group, p->attributes[i].name, p->attributes[i].text, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_set_texts(file, group, "provenance_attributes", names, p->n_attributes, error);
    }
    free(names);
    return status;
}

static semcal_status delete_if_there(sc_h5 *file, const char *path, semcal_error *error)
{
    return sc_h5_exists(file, path) ? sc_h5_delete(file, path, error) : SEMCAL_OK;
}

/* Clears root level of the active collapse. */
static semcal_status clear_root(sc_h5 *file, semcal_error *error)
{
    if (!sc_h5_has(file, "", "collapse")) {
        return SEMCAL_OK;
    }
    char **columns;
    size_t n;
    semcal_status status = sc_h5_get_texts(&columns, &n, file, "", "collapse_columns", error);
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        status = delete_if_there(file, columns[i], error);
    }
    sc_file_list_free(columns, n);
    for (size_t i = 0; i < sc_products_n_variables && status == SEMCAL_OK; i++) {
        status = delete_if_there(file, sc_products_variables[i].name, error);
    }
    if (status == SEMCAL_OK) {
        status = delete_if_there(file, SC_PRODUCTS_OWNER, error);
    }
    return status == SEMCAL_OK ? delete_if_there(file, "class", error) : status;
}

static semcal_status change_copy(const char *copy, const sc_store_cell *cell, const sc_store_products *p,
                                 semcal_error *error)
{
    char hex[65], group[256], folder[260];
    int64_t deflate = 1;
    (void)snprintf(group, sizeof group, "collapse/%.200s", p->collapse);
    (void)snprintf(folder, sizeof folder, "%s/", group);
    sc_h5 *file = NULL;
    semcal_status status = sc_products_digest(hex, p, cell, error);
    if (status == SEMCAL_OK) {
        status = sc_h5_open(&file, copy, true, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_get_int(&deflate, file, "", "deflate", error);
    }
    if (status == SEMCAL_OK) {
        status = clear_root(file, error);
    }
    if (status == SEMCAL_OK) {
        status = delete_if_there(file, group, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_make_group(file, group, error);
    }
    placer to = {.file = file, .cell = cell, .products = p, .folder = folder, .deflate = (unsigned)deflate};
    (void)snprintf(to.class_path, sizeof to.class_path, "%sclass", folder);
    if (status == SEMCAL_OK) {
        status = put_products(&to, hex, error);
    }
    if (status == SEMCAL_OK) {
        status = put_options(file, group, p, error);
    }
    to.folder = "";
    (void)snprintf(to.class_path, sizeof to.class_path, "class");
    if (status == SEMCAL_OK) {
        status = put_products(&to, hex, error);
    }
    if (status != SEMCAL_OK) {
        (void)sc_h5_close(&file, NULL);
        return status;
    }
    return sc_h5_close(&file, error);
}

/* The first `length` bytes: what stands behind them is the seal. */
static semcal_status copy_file(const char *from, const char *to, uint64_t length, semcal_error *error)
{
    enum { PIECE = 1 << 20 };
    semcal_status status = SEMCAL_OK;
    char *buffer = sc_memory_alloc(PIECE, 1, error);
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (buffer == NULL) {
        status = SEMCAL_E_MEMORY;
    } else if (in < 0 || out < 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: cannot open: %s", in < 0 ? from : to, strerror(errno));
    }
    while (status == SEMCAL_OK && length > 0) {
        ssize_t n = read(in, buffer, length < PIECE ? (size_t)length : PIECE);
        if (n == 0) {
            break;
        }
        length -= n > 0 ? (uint64_t)n : 0;
        if (n < 0) {
            status = sc_error_set(error, SEMCAL_E_DATA, "%s: cannot read: %s", from, strerror(errno));
        }
        for (ssize_t done = 0; done < n && status == SEMCAL_OK;) {
            ssize_t written = write(out, buffer + done, (size_t)(n - done));
            if (written < 0) {
                status = sc_error_set(error, SEMCAL_E_DATA, "%s: cannot write: %s", to, strerror(errno));
            }
            done += written;
        }
    }
    if (in >= 0) {
        (void)close(in);
    }
    if (out >= 0) {
        (void)close(out);
    }
    free(buffer);
    return status;
}

static semcal_status check_products(const sc_store_products *p, const sc_store_cell *cell, semcal_error *error)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    if (p->collapse == NULL || p->collapse[0] == '\0' || p->collapse[strspn(p->collapse, allowed)] != '\0' ||
        strlen(p->collapse) > 200) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "'%s' cannot be the name of a collapse",
                            p->collapse != NULL ? p->collapse : "");
    }
    if (p->n_questions != cell->facts.n_questions || p->n_draws != cell->sizes.n_draws) {
        return sc_error_set(
            error, SEMCAL_E_DATA, "%s: products of %zu questions with %zu draws, the file has %llu with %zu",
            cell->path, p->n_questions, p->n_draws, (unsigned long long)cell->facts.n_questions, cell->sizes.n_draws);
    }
    return SEMCAL_OK;
}

semcal_status sc_store_write_products(const char *path, const sc_store_products *products, semcal_error *error)
{
    sc_store_cell *cell = NULL;
    sc_text copy = {0};
    uint64_t content = 0;
    semcal_status status = sc_store_check_seal(&content, path, error);
    if (status == SEMCAL_OK) {
        status = sc_store_cell_open_trusted(&cell, path, error);
    }
    if (status == SEMCAL_OK) {
        status = check_products(products, cell, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_text_printf(&copy, error, "%s.tmp", path);
    }
    if (status == SEMCAL_OK) {
        status = copy_file(path, copy.data, content, error);
        if (status == SEMCAL_OK) {
            status = change_copy(copy.data, cell, products, error);
        }
        if (status == SEMCAL_OK) {
            status = sc_store_seal(copy.data, error);
        }
        if (status == SEMCAL_OK) {
            status = sc_file_commit(copy.data, path, error);
        }
        if (status != SEMCAL_OK) {
            (void)unlink(copy.data);
        }
    }
    sc_text_free(&copy);
    sc_store_cell_close(&cell);
    return status;
}

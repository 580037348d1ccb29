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

/* Rows of a variable that are in memory at once, as far as the questions' own numbers allow. */
enum { WINDOW_ROWS = 1 << 13 };

/* Root level and the collapse's own group. */
enum { PLACES = 2 };

typedef struct placer {
    sc_h5 *file;
    const sc_store_cell *cell;
    const sc_products_source *source;
    const sc_store_products *products; /* the source's */
    struct {
        const char *folder; /* "" or "collapse/<name>/" */
        char group[256];    /* the same without the slash */
        char class_path[512];
    } at[PLACES];
    unsigned deflate;
    sc_products_digest digest;
} placer;

/* A variable as it is written. */
typedef struct variable {
    const char *name, *long_name, *units;
    sc_h5_type type;
    sc_products_rows rows;
    size_t number;                   /* of the source; none for the owners of classes */
    const sc_products_variable *row; /* of the table, or NULL */
} variable;

static semcal_status make(const placer *to, const variable *v, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < PLACES && status == SEMCAL_OK; i++) {
        char path[512];
        (void)snprintf(path, sizeof path, "%s%s", to->at[i].folder, v->name);
        sc_h5_spec spec = {.path = path,
                           .type = v->type,
                           .n_dims = 1,
                           .deflate = to->deflate,
                           .long_name = v->long_name,
                           .units = v->units};
        spec.dims[0] = v->rows == ON_CLASS ? to->at[i].class_path : v->rows == ON_RESPONSE ? "response" : "question";
        if (v->rows == ON_DRAW) {
            spec.dims[spec.n_dims++] = "draw";
        }
        status = sc_h5_make_dataset(to->file, &spec, error);
    }
    return status;
}

static semcal_status write_window(const placer *to, const variable *v, const sc_products_window *window, size_t n,
                                  const void *values, semcal_error *error)
{
    uint64_t start[2] = {window->row, 0}, count[2] = {n, 0};
    semcal_status status = SEMCAL_OK;
    if (v->rows == ON_DRAW) {
        start[0] = window->first;
        count[0] = window->n;
        count[1] = to->products->n_draws;
    }
    for (size_t i = 0; i < PLACES && status == SEMCAL_OK; i++) {
        char path[512];
        (void)snprintf(path, sizeof path, "%s%s", to->at[i].folder, v->name);
        status = sc_h5_write(to->file, path, v->type, start, count, values, error);
    }
    return status;
}

/* The questions from `first` on whose rows are handled at once. */
static sc_products_window next_window(const placer *to, sc_products_rows rows, size_t first)
{
    const sc_store_products *p = to->products;
    sc_products_window window = {first, 1, sc_products_first_row(p, to->cell, rows, first)};
    while (first + window.n < p->n_questions &&
           sc_products_first_row(p, to->cell, rows, first + window.n + 1) - window.row <= WINDOW_ROWS) {
        window.n++;
    }
    return window;
}

/* Values of a window as they are in the file; *shifted is the caller's to free. */
static semcal_status values_of(const void **values, int32_t **shifted, placer *to, const variable *v,
                               const sc_products_window *window, size_t n, semcal_error *error)
{
    *shifted = NULL;
    semcal_status status = to->source->read(values, v->number, window->row, n, to->source->payload, error);
    if (status == SEMCAL_OK) {
        status = sc_products_digest_add(&to->digest, v->type, *values, n, error);
    }
    if (status == SEMCAL_OK && v->row != NULL && v->row->shifted) {
        *shifted = sc_memory_alloc(n, sizeof **shifted, error);
        status = *shifted != NULL
                     ? sc_products_shift(*shifted, *values, to->products, to->cell, v->row, window, 1, error)
                     : SEMCAL_E_MEMORY;
        *values = *shifted;
    }
    return status;
}

static semcal_status put(placer *to, const variable *v, semcal_error *error)
{
    const sc_store_products *p = to->products;
    semcal_status status =
        sc_products_digest_name(&to->digest, v->name, sc_products_n_rows(p, to->cell, v->rows), error);
    if (status == SEMCAL_OK && p->n_questions > 0) {
        status = make(to, v, error);
    }
    for (size_t q = 0; q < p->n_questions && status == SEMCAL_OK;) {
        const sc_products_window window = next_window(to, v->rows, q);
        const size_t n = sc_products_first_row(p, to->cell, v->rows, q + window.n) - window.row;
        const void *values = NULL;
        int32_t *shifted = NULL;
        if (n > 0) {
            status = values_of(&values, &shifted, to, v, &window, n, error);
            status = status == SEMCAL_OK ? write_window(to, v, &window, n, values, error) : status;
        }
        free(shifted);
        q += window.n;
    }
    return status == SEMCAL_OK ? sc_h5_let_go(to->file, error) : status;
}

static semcal_status put_class_question(const placer *to, semcal_error *error)
{
    const sc_store_products *p = to->products;
    const variable v = {.name = SC_PRODUCTS_OWNER,
                        .long_name = "row of question the class belongs to",
                        .units = "",
                        .type = SC_H5_I64,
                        .rows = ON_CLASS};
    semcal_status status = make(to, &v, error);
    for (size_t q = 0; q < p->n_questions && status == SEMCAL_OK;) {
        const sc_products_window window = next_window(to, ON_CLASS, q);
        const size_t n = p->first_class[q + window.n] - window.row;
        int64_t *owner = sc_memory_alloc(n, sizeof *owner, error);
        status = owner != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
        for (; q < window.first + window.n && status == SEMCAL_OK; q++) {
            for (size_t i = p->first_class[q]; i < p->first_class[q + 1]; i++) {
                owner[i - window.row] = (int64_t)q;
            }
        }
        if (status == SEMCAL_OK && n > 0) {
            status = write_window(to, &v, &window, n, owner, error);
        }
        free(owner);
    }
    return status == SEMCAL_OK ? sc_h5_let_go(to->file, error) : status;
}

static semcal_status put_fixed(placer *to, size_t number, semcal_error *error)
{
    const sc_products_variable *v = &sc_products_variables[number];
    if (sc_products_n_rows(to->products, to->cell, v->rows) == 0) {
        return SEMCAL_OK;
    }
    if (!to->source->has(number, to->source->payload)) {
        return v->optional ? SEMCAL_OK
                           : sc_error_set(error, SEMCAL_E_DATA, "%s: %s is missing", to->cell->path, v->name);
    }
    const variable it = {v->name, v->long_name, v->units, v->type, v->rows, number, v};
    return put(to, &it, error);
}

static semcal_status put_columns(placer *to, const char **names, semcal_error *error)
{
    const sc_store_products *p = to->products;
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < p->n_columns && status == SEMCAL_OK; i++) {
        const sc_store_column *c = &p->columns[i];
        const variable v = {.name = c->name,
                            .long_name = c->long_name,
                            .units = c->units,
                            .type = sc_products_column_type(c->kind),
                            .rows = ON_QUESTION,
                            .number = sc_products_n_variables + i};
        names[i] = c->name;
        status = put(to, &v, error);
    }
    return status;
}

/* Everything, at both places. */
static semcal_status put_products(placer *to, semcal_error *error)
{
    const sc_store_products *p = to->products;
    const size_t k = sc_products_n_rows(p, to->cell, ON_CLASS);
    char hex[65] = "";
    const char **names = sc_memory_alloc(p->n_columns, sizeof *names, error);
    semcal_status status = names != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
    for (size_t i = 0; i < PLACES && k > 0 && status == SEMCAL_OK; i++) {
        status = sc_h5_make_dimension(to->file, to->at[i].class_path, k, false, error);
    }
    if (status == SEMCAL_OK && k > 0) {
        status = put_class_question(to, error);
    }
    const semcal_status begun = sc_products_digest_begin(&to->digest, p, error);
    status = status == SEMCAL_OK ? begun : status;
    for (size_t i = 0; i < sc_products_n_variables && status == SEMCAL_OK; i++) {
        status = put_fixed(to, i, error);
    }
    if (status == SEMCAL_OK) {
        status = put_columns(to, names, error);
    }
    sc_products_digest_end(hex, &to->digest);
    for (size_t i = 0; i < PLACES && status == SEMCAL_OK; i++) {
        status = sc_h5_set_texts(to->file, to->at[i].group, "collapse_columns", names, p->n_columns, error);
        if (status == SEMCAL_OK) {
            status = sc_h5_set_text(to->file, to->at[i].group, "collapse", p->collapse, error);
        }
        if (status == SEMCAL_OK) {
            status = sc_h5_set_text(to->file, to->at[i].group, "collapse_sha256", hex, error);
        }
    }
    free(names);
    return status;
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

static semcal_status change_copy(const char *copy, const sc_store_cell *cell, const sc_products_source *source,
                                 semcal_error *error)
{
    const sc_store_products *p = source->products;
    char folder[260];
    int64_t deflate = 1;
    placer to = {.cell = cell, .source = source, .products = p, .at = {{.folder = folder}, {.folder = ""}}};
    (void)snprintf(to.at[0].group, sizeof to.at[0].group, "collapse/%.200s", p->collapse);
    (void)snprintf(folder, sizeof folder, "%s/", to.at[0].group);
    semcal_status status = sc_h5_open(&to.file, copy, true, error);
    if (status == SEMCAL_OK) {
        status = sc_h5_get_int(&deflate, to.file, "", "deflate", error);
    }
    if (status == SEMCAL_OK) {
        status = clear_root(to.file, error);
    }
    if (status == SEMCAL_OK) {
        status = delete_if_there(to.file, to.at[0].group, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_make_group(to.file, to.at[0].group, error);
    }
    to.deflate = (unsigned)deflate;
    for (size_t i = 0; i < PLACES; i++) {
        (void)snprintf(to.at[i].class_path, sizeof to.at[i].class_path, "%sclass", to.at[i].folder);
    }
    if (status == SEMCAL_OK) {
        sc_h5_keep_open(to.file);
        status = put_products(&to, error);
    }
    if (status == SEMCAL_OK) {
        status = put_options(to.file, to.at[0].group, p, error);
    }
    if (status != SEMCAL_OK) {
        (void)sc_h5_close(&to.file, NULL);
        return status;
    }
    return sc_h5_close(&to.file, error);
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

/* ---- products that are in memory ---- */

static bool has_in_memory(size_t number, void *payload)
{
    return number >= sc_products_n_variables || sc_products_values(payload, &sc_products_variables[number]) != NULL;
}

static semcal_status read_in_memory(const void **values, size_t number, size_t first, size_t n, void *payload,
                                    semcal_error *error)
{
    (void)n;
    (void)error;
    const sc_store_products *p = payload;
    const bool fixed = number < sc_products_n_variables;
    const sc_store_column *column = fixed ? NULL : &p->columns[number - sc_products_n_variables];
    const char *all = fixed ? sc_products_values(p, &sc_products_variables[number]) : sc_products_column_values(column);
    const sc_h5_type type = fixed ? sc_products_variables[number].type : sc_products_column_type(column->kind);
    *values = all + first * sc_store_element_size(type);
    return SEMCAL_OK;
}

semcal_status sc_store_write_products(const char *path, const sc_store_products *products, semcal_error *error)
{
    const sc_products_source source = {products, has_in_memory, read_in_memory, (void *)(uintptr_t)products};
    return sc_products_write(path, &source, error);
}

semcal_status sc_products_write(const char *path, const sc_products_source *source, semcal_error *error)
{
    sc_store_cell *cell = NULL;
    sc_text copy = {0};
    uint64_t content = 0;
    semcal_status status = sc_store_check_seal(&content, path, error);
    if (status == SEMCAL_OK) {
        status = sc_store_cell_open_trusted(&cell, path, error);
    }
    if (status == SEMCAL_OK) {
        status = check_products(source->products, cell, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_text_printf(&copy, error, "%s.tmp", path);
    }
    if (status == SEMCAL_OK) {
        status = copy_file(path, copy.data, content, error);
        if (status == SEMCAL_OK) {
            status = change_copy(copy.data, cell, source, error);
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

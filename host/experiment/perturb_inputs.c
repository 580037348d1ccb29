/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/perturb_inputs.h"

#include "base/memory.h"
#include "formats/json.h"

#include <stdlib.h>
#include <string.h>

#define NAMES(...) (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)

static semcal_status shape_error(const sc_table *table, const char *wanted, semcal_error *error)
{
    const sc_table_shape *shape = sc_table_get_shape(table);
    char text[160];
    sc_tensor_shape_text(text, sizeof text, shape->length, shape->n_dims);
    return sc_error_set(error, SEMCAL_E_DATA, "%s: must have %s, has shape %s", sc_table_label(table), wanted, text);
}

/* The file of a table, for provenance. */
static semcal_status keep_path(char **path, const sc_table *table, semcal_error *error)
{
    *path = sc_memory_strdup(sc_table_path(table), error);
    return *path == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
}

static bool is_float(sc_dtype type)
{
    return type == SC_DTYPE_F64 || type == SC_DTYPE_F32 || type == SC_DTYPE_F16 || type == SC_DTYPE_BF16;
}

static semcal_status open_rows(sc_perturb_inputs *in, const sc_perturb_files *files, semcal_error *error)
{
    semcal_status status = files->head == NULL
                               ? sc_table_open(&in->logits, files->logits, NAMES("logits"), error)
                               : sc_table_open(&in->logits, files->logits, NAMES("hidden", "hidden_states"), error);
    if (status != SEMCAL_OK) {
        return status;
    }
    const sc_table_shape *shape = sc_table_get_shape(in->logits);
    if (shape->n_dims != 2 || shape->length[1] == 0) {
        return shape_error(
            in->logits, files->head == NULL ? "two dimensions, rows and vocabulary" : "two dimensions, rows and width",
            error);
    }
    in->n_rows = (size_t)shape->length[0];
    in->n_vocabulary = in->width = (size_t)shape->length[1];
    switch (shape->type) {
    case SC_DTYPE_F32:
        in->type = SC_ROWS_F32;
        break;
    case SC_DTYPE_F16:
        in->type = SC_ROWS_F16;
        break;
    case SC_DTYPE_BF16:
        in->type = SC_ROWS_BF16;
        break;
    case SC_DTYPE_U16:
        if (files->bf16) {
            in->type = SC_ROWS_BF16;
            break;
        }
        return sc_error_set(error, SEMCAL_E_DATA, "%s: has uint16; --bf16 reads that as bfloat16",
                            sc_table_label(in->logits));
    default:
        return sc_error_set(error, SEMCAL_E_DATA, "%s: must be float32, float16 or bfloat16, is %s",
                            sc_table_label(in->logits), sc_dtype_name(shape->type));
    }
    if (files->head == NULL) {
        return SEMCAL_OK;
    }
    status = sc_table_open(&in->head, files->head, NAMES("head", "lm_head.weight", "model.embed_tokens.weight"), error);
    if (status != SEMCAL_OK) {
        return status;
    }
    const sc_table_shape *head = sc_table_get_shape(in->head);
    if (head->n_dims != 2 || head->length[1] != in->width || head->length[0] == 0) {
        char wanted[96];
        (void)snprintf(wanted, sizeof wanted, "[vocabulary, %zu], the width of the hidden states", in->width);
        return shape_error(in->head, wanted, error);
    }
    if (!is_float(head->type) && !(files->bf16 && head->type == SC_DTYPE_U16)) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: must hold floats, has %s", sc_table_label(in->head),
                            sc_dtype_name(head->type));
    }
    in->n_vocabulary = (size_t)head->length[0];
    return SEMCAL_OK;
}

static semcal_status open_targets(sc_perturb_inputs *in, const char *where, semcal_error *error)
{
    semcal_status status = sc_table_open(&in->targets, where, NAMES("target", "targets", "logits_target"), error);
    if (status != SEMCAL_OK) {
        return status;
    }
    const sc_table_shape *shape = sc_table_get_shape(in->targets);
    if (shape->n_dims != 1 || shape->length[0] != in->n_rows) {
        char wanted[96];
        (void)snprintf(wanted, sizeof wanted, "one target for each of the %zu rows", in->n_rows);
        return shape_error(in->targets, wanted, error);
    }
    return SEMCAL_OK;
}

/* Integers of one row of classes into 32 bits; what is out of range stays out of range. */
static semcal_status shared_classes(sc_perturb_inputs *in, sc_table *table, semcal_error *error)
{
    size_t n = in->n_vocabulary;
    int64_t *wide = sc_memory_alloc(n, sizeof *wide, error);
    in->class_of = sc_memory_alloc(n, sizeof *in->class_of, error);
    semcal_status status = wide == NULL || in->class_of == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK) {
        status = sc_table_read_ints(wide, table, 0, n, error);
    }
    int64_t most = -1;
    for (size_t v = 0; status == SEMCAL_OK && v < n; v++) {
        if (wide[v] < 0 || wide[v] >= SC_PERTURB_MAX_CLASSES) {
            status = sc_error_set(error, SEMCAL_E_DATA, "%s: token %zu: class %lld, classes go from 0 to %d",
                                  sc_table_label(table), v, (long long)wide[v], SC_PERTURB_MAX_CLASSES - 1);
            break;
        }
        in->class_of[v] = (int32_t)wide[v];
        most = wide[v] > most ? wide[v] : most;
    }
    if (status == SEMCAL_OK && in->spec.n_classes == 0) {
        in->spec.n_classes = (size_t)(most + 1);
    }
    in->spec.class_of = in->class_of;
    free(wide);
    return status;
}

static semcal_status open_classes(sc_perturb_inputs *in, const sc_perturb_files *files, semcal_error *error)
{
    sc_table *table;
    semcal_status status = sc_table_open(&table, files->classes, NAMES("class", "classes"), error);
    if (status != SEMCAL_OK) {
        return status;
    }
    status = keep_path(&in->classes_path, table, error);
    const sc_table_shape *shape = sc_table_get_shape(table);
    if (status != SEMCAL_OK) {
        sc_table_close(table);
        return status;
    }
    if (shape->n_dims == 1 && shape->length[0] == in->n_vocabulary) {
        status = shared_classes(in, table, error);
    } else if (in->live == NULL && shape->n_dims == 2 && shape->length[0] == in->n_rows &&
               shape->length[1] == in->n_vocabulary) {
        in->row_classes = table;
        table = NULL;
        if (in->spec.n_classes == 0) {
            status = sc_error_set(error, SEMCAL_E_CONFIG,
                                  "classes of their own for every row need --tilts, which says how many there are");
        }
    } else {
        char wanted[128];
        (void)snprintf(wanted, sizeof wanted, "a class for each of the %zu tokens, or for each row and token",
                       in->n_vocabulary);
        status = shape_error(table, wanted, error);
    }
    sc_table_close(table);
    return status;
}

static semcal_status read_tilts(sc_perturb_inputs *in, const char *where, semcal_error *error)
{
    sc_table *table;
    semcal_status status = sc_table_open(&table, where, NAMES("tilt", "tilts"), error);
    if (status != SEMCAL_OK) {
        return status;
    }
    const sc_table_shape *shape = sc_table_get_shape(table);
    if (shape->n_dims != 2 || shape->length[0] == 0 || shape->length[1] == 0 || !is_float(shape->type)) {
        status = shape_error(table, "two dimensions, tilts and classes, of floats", error);
    } else if (shape->length[0] > SC_PERTURB_MAX_PERTURBATIONS || shape->length[1] > SC_PERTURB_MAX_CLASSES) {
        status = sc_error_set(error, SEMCAL_E_CONFIG, "%s: %llu tilts of %llu classes: at most %d of %d", where,
                              (unsigned long long)shape->length[0], (unsigned long long)shape->length[1],
                              SC_PERTURB_MAX_PERTURBATIONS, SC_PERTURB_MAX_CLASSES);
    } else {
        in->spec.n_tilts = (size_t)shape->length[0];
        in->spec.n_classes = (size_t)shape->length[1];
        in->tilt = sc_memory_alloc(in->spec.n_tilts * in->spec.n_classes, sizeof *in->tilt, error);
        status =
            in->tilt == NULL ? SEMCAL_E_MEMORY : sc_table_read_doubles(in->tilt, table, 0, shape->length[0], error);
        in->spec.tilt = in->tilt;
    }
    if (status == SEMCAL_OK) {
        status = keep_path(&in->tilts_path, table, error);
    }
    sc_table_close(table);
    return status;
}

static semcal_status read_dense(sc_perturb_inputs *in, const char *where, semcal_error *error)
{
    sc_table *table;
    semcal_status status = sc_table_open(&table, where, NAMES("bias", "biases"), error);
    if (status != SEMCAL_OK) {
        return status;
    }
    const sc_table_shape *shape = sc_table_get_shape(table);
    if (shape->n_dims != 2 || shape->length[1] != in->n_vocabulary || !is_float(shape->type)) {
        char wanted[96];
        (void)snprintf(wanted, sizeof wanted, "two dimensions, biases and the %zu tokens, of floats", in->n_vocabulary);
        status = shape_error(table, wanted, error);
    } else if (shape->length[0] > SC_PERTURB_MAX_PERTURBATIONS) {
        status = sc_error_set(error, SEMCAL_E_CONFIG, "%s: %llu biases: at most %d", where,
                              (unsigned long long)shape->length[0], SC_PERTURB_MAX_PERTURBATIONS);
    } else {
        in->spec.n_dense = (size_t)shape->length[0];
        in->dense = sc_memory_alloc(in->spec.n_dense * in->n_vocabulary, sizeof *in->dense, error);
        status =
            in->dense == NULL ? SEMCAL_E_MEMORY : sc_table_read_floats(in->dense, table, 0, shape->length[0], error);
        in->spec.dense = in->dense;
    }
    if (status == SEMCAL_OK) {
        status = keep_path(&in->biases_path, table, error);
    }
    sc_table_close(table);
    return status;
}

/* One sparse bias; pairs are appended. */
static semcal_status read_pairs(sc_perturb_inputs *in, size_t *capacity, size_t p, const json_t *object,
                                const char *where, semcal_error *error)
{
    const json_t *tokens = NULL, *values = NULL;
    const char *name = NULL;
    char place[300];
    (void)snprintf(place, sizeof place, "%s: bias %zu", where, p);
    if (!json_is_object(object)) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: must be an object with tokens and values", place);
    }
    semcal_status status = sc_json_get_array(&tokens, object, "tokens", true, place, error);
    if (status == SEMCAL_OK) {
        status = sc_json_get_array(&values, object, "values", true, place, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_json_get_text(&name, NULL, object, "name", false, place, error);
    }
    if (status == SEMCAL_OK && json_array_size(tokens) != json_array_size(values)) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: %zu tokens, but %zu values", place, json_array_size(tokens),
                              json_array_size(values));
    }
    size_t first = in->sparse_first[p], n = status == SEMCAL_OK ? json_array_size(tokens) : 0;
    size_t room = *capacity;
    if (status == SEMCAL_OK) {
        status = sc_memory_grow(&in->sparse_token, &room, first + n, sizeof *in->sparse_token, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_memory_grow(&in->sparse_value, capacity, first + n, sizeof *in->sparse_value, error);
    }
    for (size_t j = 0; status == SEMCAL_OK && j < n; j++) {
        const json_t *token = json_array_get(tokens, j), *value = json_array_get(values, j);
        if (!json_is_integer(token) || json_integer_value(token) < 0 ||
            json_integer_value(token) >= (json_int_t)in->n_vocabulary || !json_is_number(value)) {
            return sc_error_set(error, SEMCAL_E_DATA, "%s: pair %zu: must be a token id below %zu and a number", place,
                                j, in->n_vocabulary);
        }
        in->sparse_token[first + j] = (int32_t)json_integer_value(token);
        in->sparse_value[first + j] = json_number_value(value);
    }
    in->sparse_first[p + 1] = first + n;
    if (status == SEMCAL_OK && name != NULL) {
        in->sparse_name[p] = sc_memory_strdup(name, error);
        status = in->sparse_name[p] == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    return status;
}

static semcal_status read_sparse(sc_perturb_inputs *in, const char *where, semcal_error *error)
{
    json_t *root = NULL;
    size_t capacity = 0;
    semcal_status status = sc_json_read(&root, where, error);
    if (status == SEMCAL_OK && !json_is_array(root)) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: must be a list of biases", where);
    }
    size_t n = status == SEMCAL_OK ? json_array_size(root) : 0;
    if (n > SC_PERTURB_MAX_PERTURBATIONS) {
        status =
            sc_error_set(error, SEMCAL_E_CONFIG, "%s: %zu biases: at most %d", where, n, SC_PERTURB_MAX_PERTURBATIONS);
    }
    in->sparse_first = status == SEMCAL_OK ? sc_memory_alloc(n + 1, sizeof *in->sparse_first, error) : NULL;
    in->sparse_name = status == SEMCAL_OK ? sc_memory_alloc(n, sizeof *in->sparse_name, error) : NULL;
    if (status == SEMCAL_OK && (in->sparse_first == NULL || in->sparse_name == NULL)) {
        status = SEMCAL_E_MEMORY;
    }
    in->spec.n_sparse = status == SEMCAL_OK ? n : 0;
    for (size_t p = 0; status == SEMCAL_OK && p < n; p++) {
        status = read_pairs(in, &capacity, p, json_array_get(root, p), where, error);
    }
    in->spec.sparse_first = in->sparse_first;
    in->spec.sparse_token = in->sparse_token;
    in->spec.sparse_value = in->sparse_value;
    json_decref(root);
    if (status == SEMCAL_OK) {
        in->biases_path = sc_memory_strdup(where, error);
        status = in->biases_path == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    return status;
}

semcal_status sc_perturb_inputs_open(sc_perturb_inputs *in, const sc_perturb_files *files, semcal_error *error)
{
    memset(in, 0, sizeof *in);
    size_t n = files->biases == NULL ? 0 : strlen(files->biases);
    bool sparse = n > 5 && strcmp(files->biases + n - 5, ".json") == 0;
    if (files->tilts != NULL && files->classes == NULL) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "--tilts needs --classes");
    }
    if (files->targets == NULL && files->live == NULL &&
        (files->tilts != NULL || files->biases != NULL || files->n_temperatures > 0)) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "--temperatures, --tilts and --biases need --targets");
    }
    semcal_status status = SEMCAL_OK;
    if (files->live != NULL) {
        in->live = files->live;
        in->type = SC_ROWS_F32;
        in->n_rows = sc_perturb_live_n_rows(in->live);
        in->n_vocabulary = in->width = sc_perturb_live_n_vocabulary(in->live);
    } else {
        status = open_rows(in, files, error);
    }
    if (status == SEMCAL_OK && files->targets != NULL) {
        status = open_targets(in, files->targets, error);
    }
    if (status == SEMCAL_OK && files->tilts != NULL) {
        status = read_tilts(in, files->tilts, error);
    }
    if (status == SEMCAL_OK && files->classes != NULL) {
        status = open_classes(in, files, error);
    }
    if (status == SEMCAL_OK && files->biases != NULL) {
        status = sparse ? read_sparse(in, files->biases, error) : read_dense(in, files->biases, error);
    }
    in->spec.n_vocabulary = in->n_vocabulary;
    in->spec.n_temperatures = files->n_temperatures;
    in->spec.temperature = files->temperature;
    if (status != SEMCAL_OK) {
        sc_perturb_inputs_close(in);
    }
    return status;
}

const char *sc_perturb_inputs_label(const sc_perturb_inputs *in)
{
    return in->live != NULL ? sc_perturb_live_label(in->live) : sc_table_label(in->logits);
}

bool sc_perturb_inputs_has_targets(const sc_perturb_inputs *in)
{
    return in->live != NULL || in->targets != NULL;
}

void sc_perturb_inputs_close(sc_perturb_inputs *in)
{
    sc_table_close(in->logits);
    sc_table_close(in->head);
    sc_table_close(in->targets);
    sc_table_close(in->row_classes);
    for (size_t p = 0; in->sparse_name != NULL && p < in->spec.n_sparse; p++) {
        free(in->sparse_name[p]);
    }
    free(in->sparse_name);
    free(in->classes_path);
    free(in->tilts_path);
    free(in->biases_path);
    free(in->tilt);
    free(in->dense);
    free(in->class_of);
    free(in->sparse_token);
    free(in->sparse_value);
    free(in->sparse_first);
    memset(in, 0, sizeof *in);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What is in a file: built as JSON, printed as JSON or as text. */
#include "base/file.h"
#include "base/memory.h"
#include "cli/show.h"
#include "cli/terminal.h"
#include "experiment/store.h"
#include "formats/h5.h"
#include "formats/json.h"
#include "formats/npy.h"
#include "formats/safetensors.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *shape_of(const uint64_t *lengths, size_t n)
{
    json_t *shape = json_array();
    for (size_t i = 0; i < n; i++) {
        (void)json_array_append_new(shape, json_integer((json_int_t)lengths[i]));
    }
    return shape;
}

/* ---- HDF5 ---- */

static semcal_status attributes_of(json_t **out, sc_h5 *file, const char *path, semcal_error *error)
{
    char **names, **values;
    size_t n;
    *out = json_object();
    semcal_status status = sc_h5_list_attributes(&names, &values, &n, file, path, error);
    for (size_t i = 0; i < n; i++) {
        char *name = sc_store_text(names[i], strlen(names[i]), error);
        char *value = sc_store_text(values[i], strlen(values[i]), error);
        if (name != NULL && value != NULL) {
            (void)json_object_set_new(*out, name, json_string(value));
        } else {
            status = SEMCAL_E_MEMORY;
        }
        free(name);
        free(value);
    }
    sc_file_list_free(names, n);
    sc_file_list_free(values, n);
    return status;
}

static semcal_status describe_dataset(json_t *group, sc_h5 *file, const char *path, const char *name,
                                      semcal_error *error)
{
    sc_h5_shape shape;
    semcal_error unsupported = SEMCAL_ERROR_INIT;
    if (sc_h5_get_shape(&shape, file, path, &unsupported) != SEMCAL_OK) {
        json_t *made = json_pack("{s:s, s:s}", "name", name, "type", "unsupported");
        (void)json_array_append_new(json_object_get(group, "variables"), made);
        return SEMCAL_OK;
    }
    json_t *attributes;
    semcal_status status = attributes_of(&attributes, file, path, error);
    if (shape.is_dimension) {
        (void)json_object_set_new(json_object_get(group, "dimensions"), name,
                                  json_integer((json_int_t)shape.length[0]));
        json_decref(attributes);
        return status;
    }
    json_t *dims = json_array();
    for (size_t i = 0; i < shape.n_dims; i++) {
        (void)json_array_append_new(dims, json_string(shape.dims[i]));
    }
    json_t *made = json_pack("{s:s, s:s, s:o, s:o, s:o}", "name", name, "type", shape.storage, "dims", dims, "shape",
                             shape_of(shape.length, shape.n_dims), "attributes", attributes);
    (void)json_array_append_new(json_object_get(group, "variables"), made);
    return status;
}

static semcal_status describe_group(json_t **out, sc_h5 *file, const char *path, unsigned depth, semcal_error *error)
{
    char **names;
    bool *is_group;
    size_t n;
    json_t *attributes;
    *out = NULL;
    semcal_status status = sc_h5_list(&names, &is_group, &n, file, path, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    status = attributes_of(&attributes, file, path, error);
    *out = json_pack("{s:o, s:{}, s:[], s:{}}", "attributes", attributes, "dimensions", "variables", "groups");
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        sc_text below = {0};
        status = sc_text_printf(&below, error, "%s%s%s", path, path[0] != '\0' ? "/" : "", names[i]);
        if (status == SEMCAL_OK && is_group[i] && depth < 8) {
            json_t *group;
            status = describe_group(&group, file, below.data, depth + 1, error);
            (void)json_object_set_new(json_object_get(*out, "groups"), names[i], group);
        } else if (status == SEMCAL_OK && !is_group[i]) {
            status = describe_dataset(*out, file, below.data, names[i], error);
        }
        sc_text_free(&below);
    }
    sc_file_list_free(names, n);
    free(is_group);
    return status;
}

static semcal_status describe_h5(json_t **out, const char *path, semcal_error *error)
{
    sc_h5 *file = NULL;
    bool sealed = false;
    *out = NULL;
    /* HDF5 can crash on a damaged file; those that carry a seal are checked first. */
    semcal_status status = sc_store_look_at_seal(&sealed, path, error);
    if (status == SEMCAL_OK) {
        status = sc_h5_open(&file, path, false, error);
    }
    if (status == SEMCAL_OK) {
        status = describe_group(out, file, "", 0, error);
    }
    (void)sc_h5_close(&file, NULL);
    if (status == SEMCAL_OK) {
        (void)json_object_set_new(*out, "kind", json_string("HDF5"));
        (void)json_object_set_new(*out, "sealed", json_boolean(sealed));
    }
    return status;
}

/* Formats and shows: names and texts of a file are anyone's. */
static void show(const char *format, ...) SC_PRINTF(1, 2);

static void show(const char *format, ...)
{
    char short_line[1024], *line = short_line;
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    const int n = vsnprintf(short_line, sizeof short_line, format, arguments);
    va_end(arguments);
    if (n >= (int)sizeof short_line) {
        line = sc_memory_alloc((size_t)n + 1, 1, NULL);
        if (line != NULL) {
            (void)vsnprintf(line, (size_t)n + 1, format, again);
        }
    }
    va_end(again);
    sc_terminal_print(stdout, line != NULL ? line : short_line);
    if (line != short_line) {
        free(line);
    }
}

static void print_attributes(const json_t *attributes, const char *indent)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)attributes, name, value)
    {
        const char *text = json_string_value(value);
        size_t line = strcspn(text, "\n"), all = strlen(text);
        if (line == all && all <= 100) {
            show("%s%s: %s\n", indent, name, text);
        } else {
            show("%s%s: %.*s... (%zu bytes)\n", indent, name, (int)(line < 60 ? line : 60), text, all);
        }
    }
}

static void print_variable(const json_t *variable)
{
    const json_t *attributes = json_object_get(variable, "attributes"), *dims = json_object_get(variable, "dims");
    const json_t *shape = json_object_get(variable, "shape");
    const char *long_name = json_string_value(json_object_get(attributes, "long_name"));
    const char *units = json_string_value(json_object_get(attributes, "units"));
    char place[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < json_array_size(shape) && used < sizeof place - 1; i++) {
        const char *dim = json_string_value(json_array_get(dims, i));
        int n = dim != NULL && dim[0] != '\0'
                    ? snprintf(place + used, sizeof place - used, "%s%s", i > 0 ? ", " : "", dim)
                    : snprintf(place + used, sizeof place - used, "%s%" JSON_INTEGER_FORMAT, i > 0 ? ", " : "",
                               json_integer_value(json_array_get(shape, i)));
        used += n > 0 ? (size_t)n : 0;
    }
    show("  %-24s %-8s (%s)%s%s%s%s%s\n", json_string_value(json_object_get(variable, "name")),
         json_string_value(json_object_get(variable, "type")), place, long_name != NULL ? "  " : "",
         long_name != NULL ? long_name : "", units != NULL && units[0] != '\0' ? " [" : "", units != NULL ? units : "",
         units != NULL && units[0] != '\0' ? "]" : "");
}

static void print_group(const json_t *group, const char *path)
{
    const char *name;
    json_t *value;
    size_t i;
    show("%s%s\n", path[0] != '\0' ? "group " : "", path[0] != '\0' ? path : "dimensions:");
    json_object_foreach(json_object_get(group, "dimensions"), name, value)
    {
        show("  %s: %" JSON_INTEGER_FORMAT "\n", name, json_integer_value(value));
    }
    if (path[0] == '\0') {
        show("variables:\n");
    }
    json_array_foreach(json_object_get(group, "variables"), i, value)
    {
        print_variable(value);
    }
    if (path[0] == '\0') {
        show("attributes:\n");
    }
    print_attributes(json_object_get(group, "attributes"), "  ");
    json_object_foreach(json_object_get(group, "groups"), name, value)
    {
        char below[512];
        (void)snprintf(below, sizeof below, "%.250s%s%.250s", path, path[0] != '\0' ? "/" : "", name);
        print_group(value, below);
    }
}

/* ---- arrays and tensors ---- */

static semcal_status describe_npy(json_t **out, const char *path, semcal_error *error)
{
    sc_npy *npy;
    static const char *const types[] = {"float16", "float32", "float64", "int8",   "int16",  "int32",
                                        "int64",   "uint8",   "uint16",  "uint32", "uint64", "bool"};
    *out = NULL;
    semcal_status status = sc_npy_open(&npy, path, error);
    if (status == SEMCAL_OK) {
        const sc_npy_shape *shape = sc_npy_get_shape(npy);
        *out = json_pack("{s:s, s:s, s:o}", "kind", "npy", "type", types[shape->type], "shape",
                         shape_of(shape->length, shape->n_dims));
    }
    (void)sc_npy_close(&npy, NULL);
    return status;
}

static semcal_status describe_tensors(json_t **out, const char *path, semcal_error *error)
{
    sc_tensor_set *set = NULL;
    *out = NULL;
    semcal_status status = sc_tensor_set_open(&set, path, error);
    if (status == SEMCAL_OK) {
        size_t n;
        uint64_t n_elements = 0, n_bytes = 0;
        const sc_tensor *tensors = sc_tensor_set_all(set, &n);
        json_t *list = json_array();
        for (size_t i = 0; i < n; i++) {
            n_elements += tensors[i].n_elements;
            n_bytes += tensors[i].n_bytes;
            (void)json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "name", tensors[i].name, "type",
                                                        sc_dtype_name(tensors[i].dtype), "shape",
                                                        shape_of(tensors[i].shape, tensors[i].n_dims)));
        }
        *out = json_pack("{s:s, s:I, s:I, s:o}", "kind", "safetensors", "n_elements", (json_int_t)n_elements, "n_bytes",
                         (json_int_t)n_bytes, "tensors", list);
    }
    sc_tensor_set_close(set);
    return status;
}

static void print_shape(const json_t *shape)
{
    show("[");
    for (size_t i = 0; i < json_array_size(shape); i++) {
        show("%s%" JSON_INTEGER_FORMAT, i > 0 ? ", " : "", json_integer_value(json_array_get(shape, i)));
    }
    show("]\n");
}

static void print_text(const json_t *found, const char *path)
{
    const char *kind = json_string_value(json_object_get(found, "kind"));
    show("%s: %s%s\n", path, kind, json_is_true(json_object_get(found, "sealed")) ? ", seal intact" : "");
    if (strcmp(kind, "HDF5") == 0) {
        print_group(found, "");
    } else if (strcmp(kind, "npy") == 0) {
        show("%s ", json_string_value(json_object_get(found, "type")));
        print_shape(json_object_get(found, "shape"));
    } else {
        size_t i;
        json_t *tensor;
        json_array_foreach(json_object_get(found, "tensors"), i, tensor)
        {
            show("  %-48s %-5s ", json_string_value(json_object_get(tensor, "name")),
                 json_string_value(json_object_get(tensor, "type")));
            print_shape(json_object_get(tensor, "shape"));
        }
        show("%zu tensors, %" JSON_INTEGER_FORMAT " numbers, %" JSON_INTEGER_FORMAT " bytes\n", i,
             json_integer_value(json_object_get(found, "n_elements")),
             json_integer_value(json_object_get(found, "n_bytes")));
    }
}

static bool ends_with(const char *path, const char *suffix)
{
    size_t n = strlen(path), m = strlen(suffix);
    return n >= m && strcmp(path + n - m, suffix) == 0;
}

/* Whether a folder holds weights. */
static bool is_model(const char *folder)
{
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json"};
    bool is = false;
    for (size_t i = 0; i < sizeof names / sizeof *names && !is; i++) {
        char *path = sc_file_join(folder, names[i], NULL);
        is = path != NULL && sc_file_exists(path);
        free(path);
    }
    return is;
}

semcal_status sc_cli_show_file(const char *path, bool json, semcal_error *error)
{
    json_t *found = NULL;
    sc_text text = {0};
    semcal_status status;
    if (!sc_file_exists(path)) {
        return sc_error_set(error, SEMCAL_E_DATA,
                            "%s: no such file; 'semcal show config' and 'semcal show devices' show "
                            "other things",
                            path);
    }
    if (sc_file_is_folder(path) && !is_model(path)) {
        return sc_error_set(error, SEMCAL_E_DATA,
                            "%s: neither a run (there is no resolved.yaml in it) nor a model (no model.safetensors and "
                            "no model.safetensors.index.json)",
                            path);
    }
    if (sc_file_is_folder(path) || ends_with(path, ".safetensors")) {
        status = describe_tensors(&found, path, error);
    } else if (ends_with(path, ".npy")) {
        status = describe_npy(&found, path, error);
    } else {
        status = describe_h5(&found, path, error);
    }
    if (status == SEMCAL_OK && json) {
        (void)json_object_set_new(found, "file", json_string(path));
        status = sc_json_append(&text, found, true, error);
        if (status == SEMCAL_OK) {
            printf("%s\n", text.data);
        }
    } else if (status == SEMCAL_OK) {
        print_text(found, path);
    }
    sc_text_free(&text);
    json_decref(found);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel sources: embedded or from $SEMCAL_CL_DIR, with `#include "x"` resolved here, so that compiled programs depend
 * on no folder of the machine and the cache key covers everything that was compiled. */
#include "device/embedded.h"
#include "device/opencl.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/nearest.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_FILES = 32 };

typedef struct expansion {
    sc_text text;
    const char *folder;        /* of overriding sources, or NULL */
    char *included[MAX_FILES]; /* each file goes in once */
    size_t n_included;
} expansion;

static semcal_status load(char **data, const char *folder, const char *file, semcal_error *error)
{
    *data = NULL;
    if (folder != NULL) {
        size_t length;
        char *path = sc_file_join(folder, file, error);
        if (path == NULL) {
            return SEMCAL_E_MEMORY;
        }
        semcal_status status = SEMCAL_OK;
        bool exists = sc_file_exists(path);
        if (exists) {
            status = sc_file_read(data, &length, path, error);
        }
        free(path);
        if (exists) {
            return status;
        }
    }
    const char *names[64];
    size_t n = 0;
    for (size_t i = 0; i < sc_embedded_n_files; i++) {
        if (strcmp(sc_embedded_files[i].name, file) == 0) {
            *data = sc_memory_strndup(sc_embedded_files[i].data, sc_embedded_files[i].length, error);
            return *data == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
        }
        if (n < 64) {
            names[n++] = sc_embedded_files[i].name;
        }
    }
    const char *near = sc_nearest_name(file, names, n);
    return sc_error_set(error, SEMCAL_E_DEVICE, "no kernel source '%s'%s%s%s", file,
                        near == NULL ? "" : "; the nearest is '", near == NULL ? "" : near, near == NULL ? "" : "'");
}

/* The name in `#include "name"`, or NULL when the line is something else. Not terminated. */
static const char *included_name(size_t *length, const char *line, const char *end)
{
    while (line < end && (*line == ' ' || *line == '\t')) {
        line++;
    }
    static const char word[] = "#include \"";
    if ((size_t)(end - line) < sizeof word - 1 || memcmp(line, word, sizeof word - 1) != 0) {
        return NULL;
    }
    line += sizeof word - 1;
    const char *quote = memchr(line, '"', (size_t)(end - line));
    if (quote == NULL) {
        return NULL;
    }
    *length = (size_t)(quote - line);
    return line;
}

static semcal_status expand(expansion *out, const char *file, semcal_error *error)
{
    for (size_t i = 0; i < out->n_included; i++) {
        if (strcmp(out->included[i], file) == 0) {
            return SEMCAL_OK;
        }
    }
    if (out->n_included == MAX_FILES) {
        return sc_error_set(error, SEMCAL_E_DEVICE, "%s: more than %d files in one program", file, MAX_FILES);
    }
    char *data = NULL;
    semcal_status status = load(&data, out->folder, file, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    out->included[out->n_included] = sc_memory_strdup(file, error);
    if (out->included[out->n_included] == NULL) {
        free(data);
        return SEMCAL_E_MEMORY;
    }
    out->n_included++;
    status = sc_text_printf(&out->text, error, "#line 1 \"%s\"\n", file);
    int number = 1;
    for (const char *line = data; status == SEMCAL_OK && *line != '\0'; number++) {
        const char *end = strchr(line, '\n');
        const char *next = end == NULL ? line + strlen(line) : end + 1;
        size_t length;
        const char *name = included_name(&length, line, next);
        if (name == NULL) {
            status = sc_text_append(&out->text, line, (size_t)(next - line), error);
        } else {
            char *inner = sc_memory_strndup(name, length, error);
            status = inner == NULL ? SEMCAL_E_MEMORY : expand(out, inner, error);
            free(inner);
            if (status != SEMCAL_OK) {
                sc_error_where(error, "%s:%d", file, number);
                break;
            }
            status = sc_text_printf(&out->text, error, "#line %d \"%s\"\n", number + 1, file);
        }
        line = next;
    }
    if (status == SEMCAL_OK) {
        status = sc_text_append(&out->text, "\n", 1, error);
    }
    free(data);
    return status;
}

semcal_status sc_source_expand(char **source, const char *file, semcal_error *error)
{
    expansion out = {.folder = getenv("SEMCAL_CL_DIR")};
    if (out.folder != NULL && out.folder[0] == '\0') {
        out.folder = NULL;
    }
    *source = NULL;
    semcal_status status = SEMCAL_OK;
    if (out.folder != NULL && !sc_file_is_folder(out.folder)) {
        status = sc_error_set(error, SEMCAL_E_DEVICE, "SEMCAL_CL_DIR: %s is not a folder", out.folder);
    } else {
        status = expand(&out, file, error);
    }
    for (size_t i = 0; i < out.n_included; i++) {
        free(out.included[i]);
    }
    if (status == SEMCAL_OK) {
        *source = out.text.data;
    } else {
        sc_text_free(&out.text);
    }
    return status;
}

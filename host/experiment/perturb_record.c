/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/perturb_record.h"

#include "base/file.h"
#include "base/memory.h"
#include "formats/json.h"

#include <stdlib.h>
#include <string.h>

bool sc_perturb_record_is(const char *path)
{
    char *json = sc_file_is_folder(path) ? sc_file_join(path, "record.json", NULL) : NULL;
    bool is = json != NULL && sc_file_exists(json);
    free(json);
    return is;
}

static semcal_status read_facts(sc_perturb_record *record, const char *path, semcal_error *error)
{
    json_t *root = NULL;
    const char *model = NULL, *format = NULL;
    int64_t parameters = 0;
    size_t length;
    semcal_status status = sc_file_read(&record->json, &length, path, error);
    if (status == SEMCAL_OK) {
        status = sc_json_parse(&root, record->json, length, path, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_json_get_text(&format, NULL, root, "format", true, path, error);
    }
    if (status == SEMCAL_OK && strcmp(format, "semcal-record") != 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: format '%s' is not semcal-record", path, format);
    }
    if (status == SEMCAL_OK) {
        status = sc_json_get_text(&model, NULL, root, "model", true, path, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_json_get_int(&parameters, root, "parameters", true, path, error);
    }
    if (status == SEMCAL_OK) {
        record->parameters = (double)parameters;
        record->model = sc_memory_strdup(model, error);
        status = record->model == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    json_decref(root);
    return status;
}

/* One file of the folder; NULL when it is not there and need not be. */
static semcal_status find(char **out, const char *folder, const char *name, bool needed, semcal_error *error)
{
    *out = sc_file_join(folder, name, error);
    if (*out == NULL) {
        return SEMCAL_E_MEMORY;
    }
    if (sc_file_exists(*out)) {
        return SEMCAL_OK;
    }
    semcal_status status =
        needed ? sc_error_set(error, SEMCAL_E_DATA, "%s: no such file: the record is not complete", *out) : SEMCAL_OK;
    free(*out);
    *out = NULL;
    return status;
}

semcal_status sc_perturb_record_open(sc_perturb_record *record, const char *path, semcal_error *error)
{
    memset(record, 0, sizeof *record);
    char *json = sc_file_join(path, "record.json", error);
    semcal_status status = json == NULL ? SEMCAL_E_MEMORY : read_facts(record, json, error);
    free(json);
    if (status == SEMCAL_OK) {
        status = find(&record->rows, path, "hidden.safetensors", false, error);
    }
    bool hidden = record->rows != NULL;
    if (status == SEMCAL_OK) {
        status = hidden ? find(&record->head, path, "head.safetensors", true, error)
                        : find(&record->rows, path, "logits.safetensors", true, error);
    }
    return status == SEMCAL_OK ? find(&record->targets, path, "target.safetensors", true, error) : status;
}

void sc_perturb_record_free(sc_perturb_record *record)
{
    free(record->rows);
    free(record->head);
    free(record->targets);
    free(record->json);
    free(record->model);
    memset(record, 0, sizeof *record);
}

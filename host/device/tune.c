/* SPDX-License-Identifier: Apache-2.0 */
#include "device/tune.h"

#include "abi.h"
#include "base/file.h"
#include "base/memory.h"
#include "device/cache.h"
#include "device/opencl.h"
#include "formats/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT = 1, NEVER = 1 << 30 };

#define PARAMETER(name, least, most)                                                                                   \
    {                                                                                                                  \
#name, offsetof(sc_tune, name), least, most                                                                    \
    }
const sc_tune_parameter sc_tune_parameters[] = {
    PARAMETER(gemm_block_tiles, 1, 256),
    PARAMETER(gemm_items_per_unit, 1, 4096),
    PARAMETER(gemm_skinny_rows, -1, 4096),
    PARAMETER(gemm_clblast_rows, 1, NEVER),
    PARAMETER(gemm_compact_rows, 0, SC_COMPACT_ROWS),
    PARAMETER(gemm_compact_bf16_rows, 0, SC_COMPACT_ROWS),
    PARAMETER(gemm_compact_mb, 0, 1 << 20),
    PARAMETER(rows_items_per_unit, 1, 65536),
    PARAMETER(rows_pass_mb, 1, 65536),
};
const size_t sc_tune_n_parameters = sizeof sc_tune_parameters / sizeof *sc_tune_parameters;

const sc_tune *sc_device_tune(const sc_device *device)
{
    return &device->tune;
}

void sc_device_set_tune(sc_device *device, const sc_tune *tune)
{
    device->tune = *tune;
}

sc_tune sc_tune_defaults(const sc_device_info *info)
{
    return (sc_tune){.gemm_block_tiles = 9,
                     .gemm_items_per_unit = 8,
                     .gemm_skinny_rows = -1,
                     .gemm_clblast_rows = 1,
                     .gemm_compact_rows = 2,
                     .gemm_compact_bf16_rows = 4,
                     .gemm_compact_mb = 64,
                     .rows_items_per_unit = info->is_cpu ? 256 : 32,
                     .rows_pass_mb = 40};
}

char *sc_tune_path(const sc_device *device)
{
    const char *given = getenv("SEMCAL_TUNE");
    if (given != NULL) {
        return given[0] == '\0' ? NULL : sc_memory_strdup(given, NULL);
    }
    const sc_device_info *info = &device->info;
    char *folder = sc_cache_folder(), key[65];
    sc_text what = {0}, path = {0};
    if (folder != NULL && sc_text_printf(&what, NULL, "%s\n%s\n%s\n%s\n", info->name, info->driver, info->version,
                                         info->platform_version) == SEMCAL_OK) {
        sc_sha256_hex(key, what.data, what.length);
        if (sc_text_printf(&path, NULL, "%s/tune-%.16s.json", folder, key) != SEMCAL_OK) {
            sc_text_free(&path);
        }
    }
    sc_text_free(&what);
    free(folder);
    return path.data;
}

static semcal_status check_device(const json_t *root, const sc_device_info *info, const char *path, semcal_error *error)
{
    const char *device = NULL, *driver = NULL;
    int64_t format = 0;
    semcal_status status = sc_json_get_int(&format, root, "format", true, path, error);
    if (status == SEMCAL_OK && format != FORMAT) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: format %" PRId64 " is not known", path, format);
    }
    if (status != SEMCAL_OK ||
        (status = sc_json_get_text(&device, NULL, root, "device", true, path, error)) != SEMCAL_OK ||
        (status = sc_json_get_text(&driver, NULL, root, "driver", true, path, error)) != SEMCAL_OK) {
        return status;
    }
    if (strcmp(device, info->name) != 0 || strcmp(driver, info->driver) != 0) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: is of %s with driver %s", path, device, driver);
    }
    return SEMCAL_OK;
}

static semcal_status read_parameters(sc_tune *tune, const json_t *root, const char *path, semcal_error *error)
{
    const json_t *parameters = NULL;
    semcal_status status = sc_json_get_object(&parameters, root, "parameters", true, path, error);
    size_t found = 0;
    for (size_t i = 0; i < sc_tune_n_parameters && status == SEMCAL_OK; i++) {
        const sc_tune_parameter *p = &sc_tune_parameters[i];
        int64_t value = INT64_MIN;
        status = sc_json_get_int(&value, parameters, p->name, false, path, error);
        if (status != SEMCAL_OK || json_object_get(parameters, p->name) == NULL) {
            continue;
        }
        found++;
        if (value < p->least || value > p->most) {
            return sc_error_set(error, SEMCAL_E_DATA, "%s: %s must be from %d to %d", path, p->name, (int)p->least,
                                (int)p->most);
        }
        const int32_t small = (int32_t)value;
        memcpy((char *)tune + p->offset, &small, sizeof small);
    }
    if (status == SEMCAL_OK && found != json_object_size(parameters)) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: holds a parameter this version does not know", path);
    }
    return status;
}

void sc_tune_load(sc_device *device)
{
    device->tune = sc_tune_defaults(&device->info);
    char *path = sc_tune_path(device);
    if (path != NULL && (getenv("SEMCAL_TUNE") != NULL || sc_file_exists(path))) {
        semcal_error error = SEMCAL_ERROR_INIT;
        json_t *root = NULL;
        sc_tune tune = device->tune;
        semcal_status status = sc_json_read(&root, path, &error);
        if (status == SEMCAL_OK) {
            status = check_device(root, &device->info, path, &error);
        }
        if (status == SEMCAL_OK) {
            status = read_parameters(&tune, root, path, &error);
        }
        if (status == SEMCAL_OK) {
            device->tune = tune;
        } else {
            sc_device_note(device, "tuned parameters are not used: %s; 'semcal bench tune' makes them anew",
                           error.message);
        }
        json_decref(root);
    }
    free(path);
}

semcal_status sc_tune_save(const sc_device *device, const char *path, semcal_error *error)
{
    json_t *parameters = json_object();
    for (size_t i = 0; i < sc_tune_n_parameters; i++) {
        int32_t value;
        memcpy(&value, (const char *)&device->tune + sc_tune_parameters[i].offset, sizeof value);
        (void)json_object_set_new(parameters, sc_tune_parameters[i].name, json_integer(value));
    }
    json_t *root = json_pack("{s:i, s:s, s:s, s:s, s:o}", "format", FORMAT, "device", device->info.name, "driver",
                             device->info.driver, "semcal_version", semcal_version(), "parameters", parameters);
    sc_text text = {0};
    semcal_status status = root == NULL ? sc_error_set(error, SEMCAL_E_MEMORY, "out of memory: JSON")
                                        : sc_json_append(&text, root, true, error);
    if (status == SEMCAL_OK) {
        status = sc_text_append(&text, "\n", 1, error);
    }
    const char *name = strrchr(path, '/');
    if (status == SEMCAL_OK && name != NULL && name > path) {
        sc_text folder = {0};
        status = sc_text_append(&folder, path, (size_t)(name - path), error);
        status = status == SEMCAL_OK ? sc_file_make_folder(folder.data, error) : status;
        sc_text_free(&folder);
    }
    if (status == SEMCAL_OK) {
        status = sc_file_write_atomic(path, text.data, text.length, error);
    }
    sc_text_free(&text);
    json_decref(root);
    return status;
}

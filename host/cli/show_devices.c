/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/show.h"

#include "device/device.h"

#include <inttypes.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

/* One table, printed as text or as JSON. */
typedef enum kind { TEXT, BYTES, COUNT32, COUNTSZ, YES_NO } kind;

static const struct {
    const char *key, *label;
    kind kind;
    size_t offset;
} properties[] = {
    {"name", "name", TEXT, offsetof(sc_device_info, name)},
    {"vendor", "vendor", TEXT, offsetof(sc_device_info, vendor)},
    {"driver", "driver", TEXT, offsetof(sc_device_info, driver)},
    {"version", "version", TEXT, offsetof(sc_device_info, version)},
    {"platform_name", "platform", TEXT, offsetof(sc_device_info, platform_name)},
    {"platform_version", "platform version", TEXT, offsetof(sc_device_info, platform_version)},
    {"global_memory", "memory", BYTES, offsetof(sc_device_info, global_memory)},
    {"max_allocation", "largest buffer", BYTES, offsetof(sc_device_info, max_allocation)},
    {"local_memory", "memory of a work-group", BYTES, offsetof(sc_device_info, local_memory)},
    {"compute_units", "compute units", COUNT32, offsetof(sc_device_info, compute_units)},
    {"clock_mhz", "clock (MHz)", COUNT32, offsetof(sc_device_info, clock_mhz)},
    {"max_group", "largest work-group", COUNTSZ, offsetof(sc_device_info, max_group)},
    {"fp64", "double precision", YES_NO, offsetof(sc_device_info, fp64)},
    {"fp16", "half precision", YES_NO, offsetof(sc_device_info, fp16)},
    {"host_memory", "shares host memory", YES_NO, offsetof(sc_device_info, host_memory)},
    {"available", "usable", YES_NO, offsetof(sc_device_info, available)},
};

static const char *type_of(const sc_device_info *info)
{
    return info->is_gpu ? "gpu" : info->is_cpu ? "cpu" : "other";
}

/* The device that is taken when none is asked for; n when there is none. */
static size_t default_device(const sc_device_info *list, size_t n)
{
    sc_device *device;
    size_t best = n;
    if (sc_device_open(&device, NULL, NULL) != SEMCAL_OK) {
        return n;
    }
    const sc_device_info *facts = sc_device_facts(device);
    for (size_t i = 0; i < n; i++) {
        if (list[i].platform == facts->platform && list[i].index == facts->index) {
            best = i;
        }
    }
    sc_device_close(device);
    return best;
}

static void print_device(const sc_device_info *info, bool is_default)
{
    printf("%u:%u  %s%s\n", info->platform, info->index, type_of(info), is_default ? ", default" : "");
    for (size_t p = 0; p < sizeof properties / sizeof *properties; p++) {
        const void *field = (const char *)info + properties[p].offset;
        printf("    %-24s", properties[p].label);
        switch (properties[p].kind) {
        case TEXT:
            printf("%s\n", (const char *)field);
            break;
        case BYTES:
            printf("%.3f GB\n", (double)*(const uint64_t *)field / 1e9);
            break;
        case COUNT32:
            printf("%" PRIu32 "\n", *(const uint32_t *)field);
            break;
        case COUNTSZ:
            printf("%zu\n", *(const size_t *)field);
            break;
        case YES_NO:
            printf("%s\n", *(const bool *)field ? "yes" : "no");
            break;
        }
    }
}

static json_t *describe(const sc_device_info *info, bool is_default)
{
    char selector[32];
    (void)snprintf(selector, sizeof selector, "%u:%u", info->platform, info->index);
    json_t *object = json_object();
    (void)json_object_set_new(object, "selector", json_string(selector));
    (void)json_object_set_new(object, "type", json_string(type_of(info)));
    (void)json_object_set_new(object, "default", json_boolean(is_default));
    for (size_t p = 0; p < sizeof properties / sizeof *properties; p++) {
        const void *field = (const char *)info + properties[p].offset;
        json_t *value = NULL;
        switch (properties[p].kind) {
        case TEXT:
            value = json_string(field);
            value = value == NULL ? json_string("") : value; /* a driver's name that is not UTF-8 */
            break;
        case BYTES:
            value = json_integer((json_int_t) * (const uint64_t *)field);
            break;
        case COUNT32:
            value = json_integer((json_int_t) * (const uint32_t *)field);
            break;
        case COUNTSZ:
            value = json_integer((json_int_t) * (const size_t *)field);
            break;
        case YES_NO:
            value = json_boolean(*(const bool *)field);
            break;
        }
        (void)json_object_set_new(object, properties[p].key, value);
    }
    return object;
}

semcal_status sc_cli_show_devices(bool json, semcal_error *error)
{
    sc_device_info *list = NULL;
    size_t n = 0;
    semcal_status status = sc_device_list(&list, &n, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    size_t best = default_device(list, n);
    if (json) {
        json_t *root = json_array();
        for (size_t i = 0; i < n; i++) {
            (void)json_array_append_new(root, describe(&list[i], i == best));
        }
        char *text = json_dumps(root, JSON_INDENT(2));
        if (text == NULL) {
            status = sc_error_set(error, SEMCAL_E_MEMORY, "out of memory");
        } else {
            puts(text);
        }
        free(text);
        json_decref(root);
    } else {
        for (size_t i = 0; i < n; i++) {
            print_device(&list[i], i == best);
        }
        if (n == 0) {
            fprintf(stderr, "no OpenCL device; install a driver, or pocl-opencl-icd for the CPU\n");
        }
    }
    free(list);
    return status;
}

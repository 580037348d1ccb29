/* SPDX-License-Identifier: Apache-2.0 */
#include "device/opencl.h"

#include "base/memory.h"

#include <CL/cl_ext.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CL_PLATFORM_NOT_FOUND (-1001) /* cl_khr_icd: no driver is installed */

/* ---- errors in words ---- */

sc_cl_words sc_opencl_words(cl_int code)
{
    static const struct {
        cl_int code;
        const char *words;
    } table[] = {
        {CL_DEVICE_NOT_FOUND, "device not found"},
        {CL_DEVICE_NOT_AVAILABLE, "device not available"},
        {CL_COMPILER_NOT_AVAILABLE, "the driver has no compiler"},
        {CL_MEM_OBJECT_ALLOCATION_FAILURE, "out of device memory"},
        {CL_OUT_OF_RESOURCES, "out of device resources"},
        {CL_OUT_OF_HOST_MEMORY, "out of host memory"},
        {CL_PROFILING_INFO_NOT_AVAILABLE, "no profiling information"},
        {CL_MEM_COPY_OVERLAP, "copy overlaps itself"},
        {CL_BUILD_PROGRAM_FAILURE, "the compiler refused the program"},
        {CL_MAP_FAILURE, "cannot map the buffer"},
        {CL_MISALIGNED_SUB_BUFFER_OFFSET, "misaligned part of a buffer"},
        {CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, "an earlier command failed"},
        {CL_INVALID_VALUE, "invalid value"},
        {CL_INVALID_DEVICE, "invalid device"},
        {CL_INVALID_CONTEXT, "invalid context"},
        {CL_INVALID_COMMAND_QUEUE, "invalid queue"},
        {CL_INVALID_HOST_PTR, "invalid host pointer"},
        {CL_INVALID_MEM_OBJECT, "invalid buffer"},
        {CL_INVALID_BINARY, "invalid program binary"},
        {CL_INVALID_BUILD_OPTIONS, "invalid build options"},
        {CL_INVALID_PROGRAM_EXECUTABLE, "program not built for this device"},
        {CL_INVALID_KERNEL_NAME, "no kernel of that name"},
        {CL_INVALID_KERNEL_ARGS, "a kernel argument is not set"},
        {CL_INVALID_ARG_INDEX, "no argument of that index"},
        {CL_INVALID_ARG_VALUE, "invalid argument"},
        {CL_INVALID_ARG_SIZE, "argument of the wrong size"},
        {CL_INVALID_WORK_DIMENSION, "invalid number of dimensions"},
        {CL_INVALID_WORK_GROUP_SIZE, "invalid work-group size"},
        {CL_INVALID_WORK_ITEM_SIZE, "work-group too large"},
        {CL_INVALID_BUFFER_SIZE, "invalid buffer size"},
        {CL_INVALID_GLOBAL_WORK_SIZE, "invalid index space"},
        {CL_PLATFORM_NOT_FOUND, "no OpenCL driver is installed"},
    };
    sc_cl_words words;
    const char *text = "OpenCL error";
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].code == code) {
            text = table[i].words;
        }
    }
    (void)snprintf(words.text, sizeof words.text, "%s (%d)", text, (int)code);
    return words;
}

SC_PRINTF(3, 0)
static semcal_status fail(cl_int code, semcal_error *error, const char *format, va_list arguments)
{
    char what[256];
    (void)vsnprintf(what, sizeof what, format, arguments);
    return sc_error_set(error, code == CL_OUT_OF_HOST_MEMORY ? SEMCAL_E_MEMORY : SEMCAL_E_DEVICE, "%s: %s", what,
                        sc_opencl_words(code).text);
}

semcal_status sc_opencl_check(cl_int code, semcal_error *error, const char *format, ...)
{
    if (code == CL_SUCCESS) {
        return SEMCAL_OK;
    }
    va_list arguments;
    va_start(arguments, format);
    const semcal_status status = fail(code, error, format, arguments);
    va_end(arguments);
    return status;
}

semcal_status sc_opencl_check_memory(cl_int code, sc_device *device, semcal_error *error, const char *format, ...)
{
    if (code == CL_SUCCESS) {
        return SEMCAL_OK;
    }
    device->ran_out = device->ran_out || code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_RESOURCES;
    va_list arguments;
    va_start(arguments, format);
    const semcal_status status = fail(code, error, format, arguments);
    va_end(arguments);
    return status;
}

/* ---- notes ---- */

void sc_device_note(sc_device *device, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    for (size_t i = 0; i < device->n_notes; i++) {
        if (strcmp(device->notes[i], line) == 0) {
            return;
        }
    }
    char *copy = sc_memory_strdup(line, NULL);
    if (copy == NULL || sc_memory_grow(&device->notes, &device->notes_capacity, device->n_notes + 1,
                                       sizeof *device->notes, NULL) != SEMCAL_OK) {
        free(copy); /* a lost note is no reason to stop */
        return;
    }
    device->notes[device->n_notes++] = copy;
}

size_t sc_device_n_notes(const sc_device *device)
{
    return device->n_notes;
}

const char *sc_device_note_at(const sc_device *device, size_t i)
{
    return device->notes[i];
}

/* ---- the list ---- */

/* Leading and trailing blanks are trimmed: several drivers pad their names. */
static void trim(char *text)
{
    size_t n = strlen(text), start = 0;
    while (n > 0 && isspace((unsigned char)text[n - 1])) {
        text[--n] = '\0';
    }
    while (isspace((unsigned char)text[start])) {
        start++;
    }
    memmove(text, text + start, n - start + 1);
}

/* Texts longer than the field are cut; what a driver does not tell is empty or 0. */
static void device_text(char *field, size_t size, cl_device_id id, cl_device_info what)
{
    char text[1024] = "";
    if (clGetDeviceInfo(id, what, sizeof text, text, NULL) != CL_SUCCESS) {
        text[0] = '\0';
    }
    text[sizeof text - 1] = '\0';
    trim(text);
    (void)snprintf(field, size, "%.*s", (int)size - 1, text);
}

static void platform_text(char *field, size_t size, cl_platform_id id, cl_platform_info what)
{
    char text[1024] = "";
    if (clGetPlatformInfo(id, what, sizeof text, text, NULL) != CL_SUCCESS) {
        text[0] = '\0';
    }
    text[sizeof text - 1] = '\0';
    trim(text);
    (void)snprintf(field, size, "%.*s", (int)size - 1, text);
}

static uint64_t device_number(cl_device_id id, cl_device_info what, size_t bytes)
{
    uint64_t value = 0;
    uint32_t small = 0;
    if (bytes == 4) {
        return clGetDeviceInfo(id, what, 4, &small, NULL) == CL_SUCCESS ? small : 0;
    }
    return clGetDeviceInfo(id, what, 8, &value, NULL) == CL_SUCCESS ? value : 0;
}

static bool has_extension(cl_device_id id, const char *name)
{
    size_t bytes = 0;
    if (clGetDeviceInfo(id, CL_DEVICE_EXTENSIONS, 0, NULL, &bytes) != CL_SUCCESS || bytes == 0) {
        return false;
    }
    char *text = sc_memory_alloc(bytes + 1, 1, NULL);
    bool found = text != NULL && clGetDeviceInfo(id, CL_DEVICE_EXTENSIONS, bytes, text, NULL) == CL_SUCCESS &&
                 strstr(text, name) != NULL;
    free(text);
    return found;
}

static void read_info(sc_device_info *info, unsigned p, cl_platform_id platform, unsigned d, cl_device_id id)
{
    memset(info, 0, sizeof *info);
    info->platform = p;
    info->index = d;
    platform_text(info->platform_name, sizeof info->platform_name, platform, CL_PLATFORM_NAME);
    platform_text(info->platform_version, sizeof info->platform_version, platform, CL_PLATFORM_VERSION);
    device_text(info->name, sizeof info->name, id, CL_DEVICE_NAME);
    device_text(info->vendor, sizeof info->vendor, id, CL_DEVICE_VENDOR);
    device_text(info->driver, sizeof info->driver, id, CL_DRIVER_VERSION);
    device_text(info->version, sizeof info->version, id, CL_DEVICE_VERSION);
    cl_device_type type = (cl_device_type)device_number(id, CL_DEVICE_TYPE, sizeof(cl_device_type));
    info->is_cpu = (type & CL_DEVICE_TYPE_CPU) != 0;
    info->is_gpu = (type & CL_DEVICE_TYPE_GPU) != 0;
    info->global_memory = device_number(id, CL_DEVICE_GLOBAL_MEM_SIZE, 8);
    info->max_allocation = device_number(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, 8);
    info->local_memory = device_number(id, CL_DEVICE_LOCAL_MEM_SIZE, 8);
    info->compute_units = (uint32_t)device_number(id, CL_DEVICE_MAX_COMPUTE_UNITS, 4);
    info->clock_mhz = (uint32_t)device_number(id, CL_DEVICE_MAX_CLOCK_FREQUENCY, 4);
    info->max_group = (size_t)device_number(id, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof(size_t));
    if (strstr(info->vendor, "NVIDIA") != NULL && has_extension(id, "cl_nv_device_attribute_query")) {
        info->compute_capability = (uint32_t)(10 * device_number(id, CL_DEVICE_COMPUTE_CAPABILITY_MAJOR_NV, 4) +
                                              device_number(id, CL_DEVICE_COMPUTE_CAPABILITY_MINOR_NV, 4));
    }
    info->fp64 = has_extension(id, "cl_khr_fp64");
    info->fp16 = has_extension(id, "cl_khr_fp16");
    info->host_memory = device_number(id, CL_DEVICE_HOST_UNIFIED_MEMORY, 4) != 0;
    info->available =
        device_number(id, CL_DEVICE_AVAILABLE, 4) != 0 && device_number(id, CL_DEVICE_COMPILER_AVAILABLE, 4) != 0;
}

/* Both lists have the same order. */
static semcal_status list_devices(sc_device_info **list, cl_device_id **ids, cl_platform_id **platforms, size_t *n,
                                  semcal_error *error)
{
    enum { MAX = 64 };
    cl_platform_id found_platforms[MAX];
    cl_uint n_platforms = 0;
    *list = sc_memory_alloc(MAX, sizeof **list, error);
    *ids = sc_memory_alloc(MAX, sizeof **ids, error);
    *platforms = sc_memory_alloc(MAX, sizeof **platforms, error);
    *n = 0;
    if (*list == NULL || *ids == NULL || *platforms == NULL) {
        return SEMCAL_E_MEMORY;
    }
    cl_int code = clGetPlatformIDs(MAX, found_platforms, &n_platforms);
    if (code == CL_PLATFORM_NOT_FOUND) {
        return SEMCAL_OK;
    }
    semcal_status status = sc_opencl_check(code, error, "OpenCL platforms");
    for (cl_uint p = 0; status == SEMCAL_OK && p < n_platforms && p < MAX; p++) {
        cl_device_id found[MAX];
        cl_uint n_found = 0;
        /* A platform without devices says "not found"; a broken one must not hide the others. */
        if (clGetDeviceIDs(found_platforms[p], CL_DEVICE_TYPE_ALL, MAX, found, &n_found) != CL_SUCCESS) {
            continue;
        }
        for (cl_uint d = 0; d < n_found && d < MAX && *n < MAX; d++) {
            read_info(&(*list)[*n], p, found_platforms[p], d, found[d]);
            (*ids)[*n] = found[d];
            (*platforms)[*n] = found_platforms[p];
            ++*n;
        }
    }
    return status;
}

semcal_status sc_device_list(sc_device_info **list, size_t *n, semcal_error *error)
{
    cl_device_id *ids = NULL;
    cl_platform_id *platforms = NULL;
    semcal_status status = list_devices(list, &ids, &platforms, n, error);
    if (status != SEMCAL_OK) {
        free(*list);
        *list = NULL;
        *n = 0;
    }
    free(ids);
    free(platforms);
    return status;
}

/* ---- choosing ---- */

static bool contains(const char *text, const char *part)
{
    size_t n = strlen(part);
    for (; *text != '\0'; text++) {
        size_t i = 0;
        while (i < n && text[i] != '\0' && tolower((unsigned char)text[i]) == tolower((unsigned char)part[i])) {
            i++;
        }
        if (i == n) {
            return true;
        }
    }
    return n == 0;
}

/* Higher is better; 0: does not fit. */
static int rank_device(const sc_device_info *info, const char *selector)
{
    unsigned p, d;
    char rest;
    if (selector != NULL && sscanf(selector, "%u:%u%c", &p, &d, &rest) == 2) {
        return info->platform == p && info->index == d;
    }
    if (selector != NULL && !contains(info->name, selector) && !contains(info->platform_name, selector)) {
        return 0;
    }
    int rank = info->is_gpu ? 3 : info->is_cpu ? 2 : 1;
    return info->available ? rank + 3 : rank;
}

static semcal_status nothing_fits(const sc_device_info *list, size_t n, const char *selector, semcal_error *error)
{
    if (n == 0) {
        return sc_error_set(error, SEMCAL_E_DEVICE,
                            "no OpenCL device on this machine; install a driver, or pocl-opencl-icd for the CPU");
    }
    sc_text text = {0};
    for (size_t i = 0; i < n; i++) {
        (void)sc_text_printf(&text, NULL, "%s%u:%u %s", i == 0 ? "" : ", ", list[i].platform, list[i].index,
                             list[i].name);
    }
    semcal_status status = sc_error_set(error, SEMCAL_E_DEVICE, "no OpenCL device '%s'; there is %s", selector,
                                        text.data == NULL ? "another" : text.data);
    sc_text_free(&text);
    return status;
}

/* ---- opening and closing ---- */

/* "8589934592", "8G": bytes. */
static semcal_status parse_limit(uint64_t *bytes, const char *text, semcal_error *error)
{
    char *end;
    double value = strtod(text, &end);
    double scale = *end == 'K' ? 0x1p10 : *end == 'M' ? 0x1p20 : *end == 'G' ? 0x1p30 : 1;
    end += scale > 1;
    if (end == text || *end != '\0' || !(value > 0) || value * scale > 0x1p62) {
        return sc_error_set(error, SEMCAL_E_CONFIG,
                            "SEMCAL_DEVICE_MEMORY: '%s' is not a size in bytes; write it like 6000000000 or 6G", text);
    }
    *bytes = (uint64_t)(value * scale);
    return SEMCAL_OK;
}

static semcal_status set_budget(sc_device *device, const sc_device_options *options, semcal_error *error)
{
    const char *limit = getenv("SEMCAL_DEVICE_MEMORY");
    device->budget = device->info.global_memory;
    uint64_t asked = options->memory_limit;
    if (asked == 0 && limit != NULL && limit[0] != '\0') {
        semcal_status status = parse_limit(&asked, limit, error);
        if (status != SEMCAL_OK) {
            return status;
        }
    }
    if (asked != 0 && asked < device->budget) {
        device->budget = asked;
    }
    return SEMCAL_OK;
}

semcal_status sc_device_open(sc_device **out, const sc_device_options *options, semcal_error *error)
{
    static const sc_device_options defaults = SC_DEVICE_OPTIONS_INIT;
    options = options == NULL ? &defaults : options;
    *out = NULL;
    sc_device_info *list = NULL;
    cl_device_id *ids = NULL;
    cl_platform_id *platforms = NULL;
    size_t n = 0, best = 0;
    int best_rank = 0;
    sc_device *device = NULL;
    semcal_status status = list_devices(&list, &ids, &platforms, &n, error);
    if (status != SEMCAL_OK) {
        goto done;
    }
    for (size_t i = 0; i < n; i++) {
        int rank = rank_device(&list[i], options->selector);
        if (rank > best_rank) {
            best_rank = rank;
            best = i;
        }
    }
    if (best_rank == 0) {
        status = nothing_fits(list, n, options->selector, error);
        goto done;
    }
    device = sc_memory_alloc(1, sizeof *device, error);
    if (device == NULL) {
        status = SEMCAL_E_MEMORY;
        goto done;
    }
    device->info = list[best];
    device->id = ids[best];
    device->profile = options->profile;
    device->phases = options->phases;
    device->no_cache = options->no_cache;
    /* PoCL makes an event per command anyway; on GPUs time stamps hold the queue up. */
    device->clocked = options->profile || device->info.is_cpu;
    device->alignment = device_number(device->id, CL_DEVICE_MEM_BASE_ADDR_ALIGN, 4) / 8;
    device->alignment = device->alignment == 0 ? 1 : device->alignment;
    status = set_budget(device, options, error);
    if (status != SEMCAL_OK) {
        goto done;
    }
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)platforms[best], 0};
    cl_int code;
    device->context = clCreateContext(properties, 1, &device->id, NULL, NULL, &code);
    status = sc_opencl_check(code, error, "%s: cannot open the device", device->info.name);
    if (status != SEMCAL_OK) {
        goto done;
    }
    device->queue =
        clCreateCommandQueue(device->context, device->id, device->clocked ? CL_QUEUE_PROFILING_ENABLE : 0, &code);
    status = sc_opencl_check(code, error, "%s: cannot make a queue", device->info.name);
    if (status == SEMCAL_OK) {
        sc_tune_load(device);
    }
    if (status == SEMCAL_OK && options->profile) {
        sc_ceilings ceilings;
        status = sc_device_ceilings(&ceilings, device, error);
        sc_device_profile_reset(device);
        device->busy_s = 0;
    }
    if (status == SEMCAL_OK) {
        *out = device;
        device = NULL;
    }
done:
    sc_device_close(device);
    free(list);
    free(ids);
    free(platforms);
    return status;
}

void sc_device_close(sc_device *device)
{
    if (device == NULL) {
        return;
    }
    if (device->queue != NULL) {
        (void)clFinish(device->queue);
    }
    sc_profile_free(device);
    for (size_t i = 0; i < device->n_notes; i++) {
        free(device->notes[i]);
    }
    free(device->notes);
    sc_program_free_all(device);
    if (device->queue != NULL) {
        (void)clReleaseCommandQueue(device->queue);
    }
    if (device->context != NULL) {
        (void)clReleaseContext(device->context);
    }
    free(device);
}

const sc_device_info *sc_device_facts(const sc_device *device)
{
    return &device->info;
}

uint64_t sc_device_memory_used(const sc_device *device)
{
    return device->used;
}

uint64_t sc_device_memory_budget(const sc_device *device)
{
    return device->budget;
}

bool sc_device_ran_out(sc_device *device)
{
    const bool ran_out = device->ran_out;
    device->ran_out = false;
    return ran_out;
}

uint64_t sc_device_alignment(const sc_device *device)
{
    return device->alignment;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "device/cache.h"
#include "device/opencl.h"

#include "base/file.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- options and key ---- */

static semcal_status compiler_options(sc_text *out, const sc_device *device, const char *options, semcal_error *error)
{
    bool cpu = device->info.is_cpu;
    size_t local = device->info.max_group < 256 ? device->info.max_group : 256;
    semcal_status status = sc_text_printf(out, error, "-cl-std=CL1.2 -cl-kernel-arg-info -DSC_%s=1%s",
                                          cpu ? "CPU" : "GPU", device->info.fp64 ? " -DSC_FP64=1" : "");
    if (status == SEMCAL_OK && strstr(options, "-DLSZ=") == NULL) {
        status = sc_text_printf(out, error, " -DLSZ=%zu", cpu ? (size_t)1 : local);
    }
    if (status == SEMCAL_OK && strstr(options, "-DVW=") == NULL) {
        status = sc_text_printf(out, error, " -DVW=%d", cpu ? 16 : 4);
    }
    if (status == SEMCAL_OK && strstr(options, "-DTI=") == NULL) {
        status = sc_text_printf(out, error, " -DTI=%d", cpu ? 64 : 8);
    }
    if (status == SEMCAL_OK && options[0] != '\0') {
        status = sc_text_printf(out, error, " %s", options);
    }
    return status;
}

/* Everything the compiled result depends on, in one hash. */
static semcal_status cache_key(char key[65], const sc_program *program, semcal_error *error)
{
    const sc_device_info *info = &program->device->info;
    sc_text text = {0};
    semcal_status status =
        sc_text_printf(&text, error, "%s\n%s\n%s\n%s\n%s\n%s\n%s\n", program->file, program->sha256,
                       program->compiler_options, info->name, info->driver, info->version, info->platform_version);
    if (status == SEMCAL_OK) {
        sc_sha256_hex(key, text.data, text.length);
    }
    sc_text_free(&text);
    return status;
}

/* ---- building ---- */

/* Message: the first lines of the log and where all of it is. */
static semcal_status build_failed(const sc_program *program, const char *key, cl_int code, semcal_error *error)
{
    size_t bytes = 0;
    char *log = NULL;
    if (clGetProgramBuildInfo(program->handle, program->device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &bytes) ==
        CL_SUCCESS) {
        log = sc_memory_alloc(bytes + 1, 1, NULL);
        if (log != NULL && clGetProgramBuildInfo(program->handle, program->device->id, CL_PROGRAM_BUILD_LOG, bytes, log,
                                                 NULL) != CL_SUCCESS) {
            log[0] = '\0';
        }
    }
    const char *text = log == NULL || log[0] == '\0' ? "(the driver gave no build log)" : log;
    char *path = sc_cache_write_log(key, text);
    char head[601];
    size_t n = strlen(text) < sizeof head - 1 ? strlen(text) : sizeof head - 1;
    memcpy(head, text, n);
    while (n > 0 && (head[n - 1] == '\n' || head[n - 1] == ' ')) {
        n--;
    }
    head[n] = '\0';
    for (char *c = head; *c != '\0'; c++) {
        *c = *c == '\n' || *c == '\r' || *c == '\t' ? ' ' : *c; /* messages are one line */
    }
    semcal_status status =
        sc_error_set(error, SEMCAL_E_DEVICE, "%s: %s: build log in %s: %s", program->file, sc_opencl_words(code).text,
                     path == NULL ? "(could not be written)" : path, head);
    free(path);
    free(log);
    return status;
}

static void release_handle(sc_program *program)
{
    if (program->handle != NULL) {
        (void)clReleaseProgram(program->handle);
        program->handle = NULL;
    }
}

/* True when a usable program came out of the cache. */
static bool build_from_cache(sc_program *program, const char *key)
{
    size_t length;
    unsigned char *binary = sc_cache_load(&length, key);
    if (binary == NULL) {
        return false;
    }
    const unsigned char *binaries[] = {binary};
    cl_int code, loaded = CL_SUCCESS;
    program->handle =
        clCreateProgramWithBinary(program->device->context, 1, &program->device->id, &length, binaries, &loaded, &code);
    free(binary);
    if (code == CL_SUCCESS && loaded == CL_SUCCESS) {
        code = clBuildProgram(program->handle, 1, &program->device->id, program->compiler_options, NULL, NULL);
        if (code == CL_SUCCESS) {
            return true;
        }
    }
    release_handle(program);
    sc_cache_remove(key);
    return false;
}

static void store_in_cache(const sc_program *program, const char *key)
{
    size_t length = 0;
    if (clGetProgramInfo(program->handle, CL_PROGRAM_BINARY_SIZES, sizeof length, &length, NULL) != CL_SUCCESS ||
        length == 0) {
        return;
    }
    unsigned char *binary = sc_memory_alloc(length, 1, NULL);
    if (binary != NULL &&
        clGetProgramInfo(program->handle, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL) == CL_SUCCESS) {
        sc_cache_store(key, binary, length);
    }
    free(binary);
}

static semcal_status build(sc_program *program, const char *source, semcal_error *error)
{
    char key[65];
    semcal_status status = cache_key(key, program, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    sc_device *device = program->device;
    if (!device->no_cache && build_from_cache(program, key)) {
        return SEMCAL_OK;
    }
    cl_int code;
    program->handle = clCreateProgramWithSource(device->context, 1, &source, NULL, &code);
    status = sc_opencl_check(code, error, "%s", program->file);
    if (status != SEMCAL_OK) {
        return status;
    }
    code = clBuildProgram(program->handle, 1, &device->id, program->compiler_options, NULL, NULL);
    if (code != CL_SUCCESS) {
        return build_failed(program, key, code, error);
    }
    program->was_built = true;
    if (!device->no_cache) {
        store_in_cache(program, key);
    }
    return SEMCAL_OK;
}

static void free_kernel(sc_kernel *kernel)
{
    if (kernel->handle != NULL) {
        (void)clReleaseKernel(kernel->handle);
    }
    free(kernel->args);
    free(kernel->name);
    free(kernel);
}

static void free_program(sc_program *program)
{
    while (program->kernels != NULL) {
        sc_kernel *next = program->kernels->next;
        free_kernel(program->kernels);
        program->kernels = next;
    }
    release_handle(program);
    free(program->file);
    free(program->options);
    free(program->compiler_options);
    free(program);
}

void sc_program_free_all(sc_device *device)
{
    while (device->programs != NULL) {
        sc_program *next = device->programs->next;
        free_program(device->programs);
        device->programs = next;
    }
}

semcal_status sc_program_get(sc_program **out, sc_device *device, const char *file, const char *options,
                             semcal_error *error)
{
    *out = NULL;
    options = options == NULL ? "" : options;
    for (sc_program *program = device->programs; program != NULL; program = program->next) {
        if (strcmp(program->file, file) == 0 && strcmp(program->options, options) == 0) {
            *out = program;
            return SEMCAL_OK;
        }
    }
    char *source = NULL;
    sc_text compiler = {0};
    sc_program *program = sc_memory_alloc(1, sizeof *program, error);
    if (program == NULL) {
        return SEMCAL_E_MEMORY;
    }
    program->device = device;
    semcal_status status = sc_source_expand(&source, file, error);
    if (status == SEMCAL_OK) {
        status = compiler_options(&compiler, device, options, error);
    }
    program->compiler_options = compiler.data;
    if (status != SEMCAL_OK) {
        goto done;
    }
    sc_sha256_hex(program->sha256, source, strlen(source));
    program->file = sc_memory_strdup(file, error);
    program->options = sc_memory_strdup(options, error);
    status = program->file == NULL || program->options == NULL ? SEMCAL_E_MEMORY : build(program, source, error);
    if (status == SEMCAL_OK) {
        program->next = device->programs;
        device->programs = program;
        *out = program;
        program = NULL;
    }
done:
    if (program != NULL) {
        free_program(program);
    }
    free(source);
    return status;
}

const char *sc_program_sha256(const sc_program *program)
{
    return program->sha256;
}

const char *sc_program_options(const sc_program *program)
{
    return program->compiler_options;
}

bool sc_program_was_built(const sc_program *program)
{
    return program->was_built;
}

/* ---- kernels ---- */

/* Bytes of the scalar types kernels take by value; 0 for others (structs): the driver checks those. */
static size_t scalar_bytes(const char *type)
{
    static const struct {
        const char *name;
        size_t bytes;
    } table[] = {{"uint", 4},    {"int", 4},     {"float", 4},   {"ulong", 8}, {"long", 8},  {"double", 8},
                 {"abi_u32", 4}, {"abi_i32", 4}, {"abi_u64", 8}, {"uchar", 1}, {"ushort", 2}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(table[i].name, type) == 0) {
            return table[i].bytes;
        }
    }
    return 0;
}

/* Argument kinds and names; a driver that does not keep them is no error, checks are then left to it. */
static semcal_status read_arg_info(sc_kernel *kernel, semcal_error *error)
{
    kernel->args = sc_memory_alloc(kernel->n_args, sizeof *kernel->args, error);
    if (kernel->args == NULL) {
        return SEMCAL_E_MEMORY;
    }
    kernel->has_arg_info = true;
    for (cl_uint i = 0; i < kernel->n_args; i++) {
        char type[256] = "", name[256] = "";
        cl_int code = clGetKernelArgInfo(kernel->handle, i, CL_KERNEL_ARG_ADDRESS_QUALIFIER,
                                         sizeof kernel->args[i].space, &kernel->args[i].space, NULL);
        if (code == CL_SUCCESS) {
            code = clGetKernelArgInfo(kernel->handle, i, CL_KERNEL_ARG_TYPE_NAME, sizeof type, type, NULL);
        }
        if (code != CL_SUCCESS) {
            kernel->has_arg_info = false;
            return SEMCAL_OK;
        }
        (void)clGetKernelArgInfo(kernel->handle, i, CL_KERNEL_ARG_NAME, sizeof name, name, NULL);
        kernel->args[i].bytes = scalar_bytes(type);
        (void)snprintf(kernel->args[i].name, sizeof kernel->args[i].name, "%.31s", name);
    }
    return SEMCAL_OK;
}

semcal_status sc_kernel_get(sc_kernel **out, sc_program *program, const char *name, semcal_error *error)
{
    *out = NULL;
    for (sc_kernel *kernel = program->kernels; kernel != NULL; kernel = kernel->next) {
        if (strcmp(kernel->name, name) == 0) {
            *out = kernel;
            return SEMCAL_OK;
        }
    }
    sc_kernel *kernel = sc_memory_alloc(1, sizeof *kernel, error);
    if (kernel == NULL) {
        return SEMCAL_E_MEMORY;
    }
    kernel->program = program;
    cl_int code;
    kernel->handle = clCreateKernel(program->handle, name, &code);
    semcal_status status = sc_opencl_check(code, error, "%s: kernel %s", program->file, name);
    if (status == SEMCAL_OK) {
        code = clGetKernelInfo(kernel->handle, CL_KERNEL_NUM_ARGS, sizeof kernel->n_args, &kernel->n_args, NULL);
        status = sc_opencl_check(code, error, "%s: kernel %s", program->file, name);
    }
    if (status == SEMCAL_OK) {
        kernel->name = sc_memory_strdup(name, error);
        status = kernel->name == NULL ? SEMCAL_E_MEMORY : read_arg_info(kernel, error);
    }
    if (status != SEMCAL_OK) {
        free_kernel(kernel);
        return status;
    }
    kernel->next = program->kernels;
    program->kernels = kernel;
    *out = kernel;
    return SEMCAL_OK;
}

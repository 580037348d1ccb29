/* SPDX-License-Identifier: Apache-2.0 */
#include "device/opencl.h"

#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static semcal_status make(sc_buffer **out, sc_device *device, uint64_t bytes, const char *what, semcal_error *error)
{
    *out = NULL;
    sc_buffer *buffer = sc_memory_alloc(1, sizeof *buffer, error);
    if (buffer == NULL) {
        return SEMCAL_E_MEMORY;
    }
    buffer->device = device;
    buffer->bytes = bytes;
    (void)snprintf(buffer->what, sizeof buffer->what, "%s", what);
    *out = buffer;
    return SEMCAL_OK;
}

static semcal_status check_room(sc_device *device, uint64_t bytes, const char *what, semcal_error *error)
{
    uint64_t available = device->used < device->budget ? device->budget - device->used : 0;
    if (bytes > available) {
        device->ran_out = true;
        return sc_error_set(
            error, SEMCAL_E_DEVICE, "%s: out of device memory for %s: %.3f MB wanted, %.3f MB of %.3f MB available",
            device->info.name, what, (double)bytes / 1e6, (double)available / 1e6, (double)device->budget / 1e6);
    }
    if (bytes > device->info.max_allocation) {
        return sc_error_set(error, SEMCAL_E_DEVICE,
                            "%s: %s is %.3f MB, one buffer on this device is at most %.3f MB; split it",
                            device->info.name, what, (double)bytes / 1e6, (double)device->info.max_allocation / 1e6);
    }
    return SEMCAL_OK;
}

struct own_memory {
    void *data;
    size_t bytes;
};

static void CL_CALLBACK free_memory(cl_mem handle, void *payload)
{
    (void)handle;
    struct own_memory *own = payload;
    sc_memory_large_free(own->data, own->bytes);
    free(own);
}

/* CPUs: memory of our own choice, given back when the driver has no more use for it. */
static cl_mem create_in_memory(const sc_device *device, uint64_t bytes, cl_int *code)
{
    *code = CL_MEM_OBJECT_ALLOCATION_FAILURE; /* the host's memory is the device's: less of it may do */
    struct own_memory *own = sc_memory_alloc(1, sizeof *own, NULL);
    if (own == NULL) {
        return NULL;
    }
    *own = (struct own_memory){.data = sc_memory_large((size_t)bytes, NULL), .bytes = (size_t)bytes};
    if (own->data != NULL) {
        const cl_mem_flags flags = CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR;
        cl_mem handle = clCreateBuffer(device->context, flags, own->bytes, own->data, code);
        if (*code == CL_SUCCESS) {
            *code = clSetMemObjectDestructorCallback(handle, free_memory, own);
            if (*code == CL_SUCCESS) {
                return handle;
            }
            (void)clReleaseMemObject(handle);
        }
        sc_memory_large_free(own->data, own->bytes);
    }
    free(own);
    return NULL;
}

semcal_status sc_buffer_create(sc_buffer **out, sc_device *device, uint64_t bytes, sc_buffer_use use, const char *what,
                               semcal_error *error)
{
    *out = NULL;
    bytes = bytes == 0 ? 1 : bytes;
    sc_buffer *buffer = NULL;
    semcal_status status = check_room(device, bytes, what, error);
    if (status == SEMCAL_OK) {
        status = make(&buffer, device, bytes, what, error);
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    cl_int code;
    cl_mem_flags flags = CL_MEM_READ_WRITE | (use == SC_BUFFER_STAGING ? CL_MEM_ALLOC_HOST_PTR : 0);
    buffer->handle = device->info.is_cpu ? create_in_memory(device, bytes, &code)
                                         : clCreateBuffer(device->context, flags, (size_t)bytes, NULL, &code);
    if (code == CL_SUCCESS && !device->info.host_memory) {
        /* Drivers allocate on first use; asking now makes "out of memory" appear here, where it has a name. */
        code = clEnqueueMigrateMemObjects(device->queue, 1, &buffer->handle, CL_MIGRATE_MEM_OBJECT_CONTENT_UNDEFINED, 0,
                                          NULL, NULL);
        if (code != CL_SUCCESS) {
            (void)clReleaseMemObject(buffer->handle);
        }
    }
    if (code != CL_SUCCESS) {
        free(buffer);
        return sc_opencl_check_memory(code, device, error, "%s: %s: %.3f MB wanted, %.3f MB in use of %.3f MB",
                                      device->info.name, what, (double)bytes / 1e6, (double)device->used / 1e6,
                                      (double)device->budget / 1e6);
    }
    buffer->accounted = bytes;
    device->used += bytes;
    *out = buffer;
    return SEMCAL_OK;
}

semcal_status sc_buffer_wrap(sc_buffer **out, sc_device *device, void *data, uint64_t bytes, const char *what,
                             semcal_error *error)
{
    *out = NULL;
    sc_buffer *buffer = NULL;
    bool copied = !device->info.host_memory;
    semcal_status status = SEMCAL_OK;
    if (bytes == 0 || bytes > device->info.max_allocation || copied) {
        status = bytes == 0 ? sc_error_set(error, SEMCAL_E_DEVICE, "%s: nothing to wrap", what)
                            : check_room(device, bytes, what, error);
    }
    if (status == SEMCAL_OK) {
        status = make(&buffer, device, bytes, what, error);
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    cl_int code;
    buffer->handle =
        clCreateBuffer(device->context, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, (size_t)bytes, data, &code);
    if (code != CL_SUCCESS) {
        free(buffer);
        return sc_opencl_check(code, error, "%s: %s", device->info.name, what);
    }
    buffer->accounted = copied ? bytes : 0;
    device->used += buffer->accounted;
    *out = buffer;
    return SEMCAL_OK;
}

static semcal_status check_range(const sc_buffer *buffer, uint64_t offset, uint64_t bytes, const char *verb,
                                 semcal_error *error)
{
    if (offset > buffer->bytes || bytes > buffer->bytes - offset) {
        return sc_error_set(error, SEMCAL_E_DEVICE,
                            "%s: %s of bytes %" PRIu64 "..%" PRIu64 " is outside the buffer of %" PRIu64 " bytes",
                            buffer->what, verb, offset, offset + bytes, buffer->bytes);
    }
    return SEMCAL_OK;
}

semcal_status sc_buffer_slice(sc_buffer **out, sc_buffer *parent, uint64_t offset, uint64_t bytes, semcal_error *error)
{
    *out = NULL;
    sc_buffer *buffer = NULL;
    semcal_status status = check_range(parent, offset, bytes, "a part", error);
    if (status == SEMCAL_OK && (bytes == 0 || offset % parent->device->alignment != 0)) {
        status = sc_error_set(error, SEMCAL_E_DEVICE,
                              "%s: a part of %" PRIu64 " bytes at %" PRIu64 "; it must not be empty and must begin at "
                              "a multiple of %" PRIu64 " bytes",
                              parent->what, bytes, offset, parent->device->alignment);
    }
    if (status == SEMCAL_OK) {
        status = make(&buffer, parent->device, bytes, parent->what, error);
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    cl_int code;
    const cl_buffer_region region = {(size_t)offset, (size_t)bytes};
    buffer->handle = clCreateSubBuffer(parent->handle, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &code);
    if (code != CL_SUCCESS) {
        free(buffer);
        return sc_opencl_check(code, error, "%s: a part of the buffer", parent->what);
    }
    *out = buffer;
    return SEMCAL_OK;
}

void sc_buffer_free(sc_buffer *buffer)
{
    if (buffer == NULL) {
        return;
    }
    (void)clReleaseMemObject(buffer->handle);
    buffer->device->used -= buffer->accounted;
    free(buffer);
}

uint64_t sc_buffer_bytes(const sc_buffer *buffer)
{
    return buffer->bytes;
}

sc_device *sc_buffer_device(const sc_buffer *buffer)
{
    return buffer->device;
}

/* ---- copies ---- */

static semcal_status do_write(sc_buffer *buffer, uint64_t offset, const void *data, uint64_t bytes, cl_bool blocking,
                              semcal_error *error)
{
    semcal_status status = check_range(buffer, offset, bytes, "write", error);
    if (status != SEMCAL_OK || bytes == 0) {
        return status;
    }
    cl_int code = clEnqueueWriteBuffer(buffer->device->queue, buffer->handle, blocking, (size_t)offset, (size_t)bytes,
                                       data, 0, NULL, NULL);
    return sc_opencl_check(code, error, "%s: write", buffer->what);
}

static semcal_status do_read(sc_buffer *buffer, uint64_t offset, void *data, uint64_t bytes, cl_bool blocking,
                             semcal_error *error)
{
    semcal_status status = check_range(buffer, offset, bytes, "read", error);
    if (status != SEMCAL_OK || bytes == 0) {
        return status;
    }
    cl_int code = clEnqueueReadBuffer(buffer->device->queue, buffer->handle, blocking, (size_t)offset, (size_t)bytes,
                                      data, 0, NULL, NULL);
    return sc_opencl_check(code, error, "%s: read", buffer->what);
}

/* A blocking operation that worked leaves an empty queue: for the accounting of devices without events. */
static semcal_status waited(const sc_buffer *buffer, semcal_status status, semcal_error *error)
{
    return status == SEMCAL_OK && !buffer->device->clocked ? sc_profile_collect(buffer->device, error) : status;
}

semcal_status sc_buffer_write(sc_buffer *buffer, uint64_t offset, const void *data, uint64_t bytes, semcal_error *error)
{
    const sc_phase before = sc_phases_enter(buffer->device->phases, SC_PHASE_WAIT);
    semcal_status status = waited(buffer, do_write(buffer, offset, data, bytes, CL_TRUE, error), error);
    (void)sc_phases_enter(buffer->device->phases, before);
    return status;
}

semcal_status sc_buffer_read(sc_buffer *buffer, uint64_t offset, void *data, uint64_t bytes, semcal_error *error)
{
    const sc_phase before = sc_phases_enter(buffer->device->phases, SC_PHASE_WAIT);
    semcal_status status = waited(buffer, do_read(buffer, offset, data, bytes, CL_TRUE, error), error);
    (void)sc_phases_enter(buffer->device->phases, before);
    return status;
}

semcal_status sc_buffer_enqueue_write(sc_buffer *buffer, uint64_t offset, const void *data, uint64_t bytes,
                                      semcal_error *error)
{
    return do_write(buffer, offset, data, bytes, CL_FALSE, error);
}

semcal_status sc_buffer_enqueue_read(sc_buffer *buffer, uint64_t offset, void *data, uint64_t bytes,
                                     semcal_error *error)
{
    return do_read(buffer, offset, data, bytes, CL_FALSE, error);
}

semcal_status sc_buffer_fill(sc_buffer *buffer, uint64_t offset, uint64_t bytes, const void *pattern,
                             size_t pattern_bytes, semcal_error *error)
{
    semcal_status status = check_range(buffer, offset, bytes, "fill", error);
    if (status != SEMCAL_OK || bytes == 0) {
        return status;
    }
    cl_int code = clEnqueueFillBuffer(buffer->device->queue, buffer->handle, pattern, pattern_bytes, (size_t)offset,
                                      (size_t)bytes, 0, NULL, NULL);
    return sc_opencl_check(code, error, "%s: fill", buffer->what);
}

semcal_status sc_buffer_copy(sc_buffer *to, uint64_t to_offset, sc_buffer *from, uint64_t from_offset, uint64_t bytes,
                             semcal_error *error)
{
    semcal_status status = check_range(to, to_offset, bytes, "copy into", error);
    if (status == SEMCAL_OK) {
        status = check_range(from, from_offset, bytes, "copy out", error);
    }
    if (status != SEMCAL_OK || bytes == 0) {
        return status;
    }
    cl_int code = clEnqueueCopyBuffer(to->device->queue, from->handle, to->handle, (size_t)from_offset,
                                      (size_t)to_offset, (size_t)bytes, 0, NULL, NULL);
    return sc_opencl_check(code, error, "%s: copy into %s", from->what, to->what);
}

semcal_status sc_buffer_map(void **data, sc_buffer *buffer, uint64_t offset, uint64_t bytes, bool write,
                            semcal_error *error)
{
    *data = NULL;
    semcal_status status = check_range(buffer, offset, bytes, "map", error);
    if (status != SEMCAL_OK) {
        return status;
    }
    cl_int code;
    cl_map_flags flags = CL_MAP_READ | (write ? CL_MAP_WRITE : 0);
    const sc_phase before = sc_phases_enter(buffer->device->phases, SC_PHASE_WAIT);
    *data = clEnqueueMapBuffer(buffer->device->queue, buffer->handle, CL_TRUE, flags, (size_t)offset, (size_t)bytes, 0,
                               NULL, NULL, &code);
    (void)sc_phases_enter(buffer->device->phases, before);
    return sc_opencl_check(code, error, "%s: map", buffer->what);
}

semcal_status sc_buffer_unmap(sc_buffer *buffer, void *data, semcal_error *error)
{
    cl_int code = clEnqueueUnmapMemObject(buffer->device->queue, buffer->handle, data, 0, NULL, NULL);
    return sc_opencl_check(code, error, "%s: unmap", buffer->what);
}

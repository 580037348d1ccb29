/* SPDX-License-Identifier: Apache-2.0 */
/* Where the device's time goes: events of launches, sums per kernel, measured ceilings. */
#include "device/opencl.h"

#include "base/clock.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PENDING = 1 << 14 };

/* ---- accounting ---- */

semcal_status sc_profile_before(cl_event **slot, sc_device *device, semcal_error *error)
{
    *slot = NULL;
    if (!device->clocked) {
        if (device->window_s == 0) {
            device->window_s = sc_clock_now_s();
        }
        return SEMCAL_OK;
    }
    semcal_status status = SEMCAL_OK;
    if (device->n_pending == MOST_PENDING) {
        status = sc_device_finish(device, error); /* a caller that never waits must not fill the memory with events */
    }
    if (status == SEMCAL_OK) {
        status = sc_memory_grow(&device->pending, &device->pending_capacity, device->n_pending + 1,
                                sizeof *device->pending, error);
    }
    if (status == SEMCAL_OK) {
        *slot = &device->pending[device->n_pending].event;
    }
    return status;
}

void sc_profile_after(sc_device *device, sc_kernel *kernel, const sc_work *work)
{
    if (device->clocked) {
        sc_pending *pending = &device->pending[device->n_pending++];
        pending->kernel = kernel;
        pending->before = NULL;
        pending->bytes = work->bytes;
        pending->flops = work->flops;
        pending->pace = work->pace > 0 ? work->pace : 1;
    }
}

/* A library's own kernels are one row of the profile: CLBlast is the only one. */
static semcal_status library_of(sc_device *device, semcal_error *error)
{
    if (device->library == NULL) {
        sc_kernel *made = sc_memory_alloc(1, sizeof *made, error);
        if (made == NULL) {
            return SEMCAL_E_MEMORY;
        }
        device->library = made;
        made->name = sc_memory_strdup("clblast", error);
    }
    return device->library->name == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
}

semcal_status sc_profile_enter(sc_profile_call *call, sc_device *device, semcal_error *error)
{
    *call = (sc_profile_call){.before = NULL};
    semcal_status status = sc_profile_before(&call->last, device, error);
    if (status == SEMCAL_OK && call->last != NULL) {
        status = library_of(device, error);
    }
    if (status == SEMCAL_OK && call->last != NULL) {
        status = sc_opencl_check(clEnqueueMarkerWithWaitList(device->queue, 0, NULL, &call->before), error,
                                 "%s: marker", device->info.name);
    }
    call->began_s = sc_clock_now_s();
    return status;
}

void sc_profile_leave(sc_device *device, const sc_profile_call *call, bool succeeded, const sc_work *work)
{
    /* While it compiles kernels the queue may be empty: then the last kernel stands for all. */
    const bool compiled = sc_clock_now_s() - call->began_s > 5e-3;
    if (!device->clocked) {
        return;
    }
    if (succeeded) {
        sc_profile_after(device, device->library, work);
    }
    if (succeeded && !compiled) {
        device->pending[device->n_pending - 1].before = call->before;
    } else {
        (void)clReleaseEvent(call->before);
    }
}

/* Adds one finished launch to its kernel. */
static void add(sc_device *device, const sc_pending *pending, double seconds)
{
    sc_kernel *kernel = pending->kernel;
    const sc_ceilings *most = &device->ceilings;
    device->busy_s += seconds;
    kernel->n_launches++;
    kernel->seconds += seconds;
    kernel->bytes += pending->bytes;
    kernel->flops += pending->flops;
    if (most->bytes_per_s > 0 && most->flops_per_s > 0) {
        kernel->floor_s +=
            fmax(pending->bytes / most->bytes_per_s, pending->flops / (pending->pace * most->flops_per_s));
    }
}

static void release(const sc_pending *pending)
{
    (void)clReleaseEvent(pending->event);
    if (pending->before != NULL) {
        (void)clReleaseEvent(pending->before);
    }
}

semcal_status sc_profile_collect(sc_device *device, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    if (device->window_s != 0) {
        device->busy_s += sc_clock_now_s() - device->window_s;
        device->window_s = 0;
    }
    for (size_t i = 0; i < device->n_pending; i++) {
        sc_pending *pending = &device->pending[i];
        cl_ulong start = 0, end = 0;
        const bool whole = pending->before == NULL;
        cl_int code = clGetEventProfilingInfo(whole ? pending->event : pending->before,
                                              whole ? CL_PROFILING_COMMAND_START : CL_PROFILING_COMMAND_END,
                                              sizeof start, &start, NULL);
        if (code == CL_SUCCESS) {
            code = clGetEventProfilingInfo(pending->event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL);
        }
        if (code == CL_SUCCESS) {
            add(device, pending, (double)(end - start) * 1e-9);
        } else if (status == SEMCAL_OK) {
            status = sc_opencl_check(code, error, "kernel %s: profile", pending->kernel->name);
        }
        release(pending);
    }
    device->n_pending = 0;
    return status;
}

void sc_profile_free(sc_device *device)
{
    for (size_t i = 0; i < device->n_pending; i++) {
        release(&device->pending[i]);
    }
    free(device->pending);
    if (device->library != NULL) {
        free(device->library->name);
        free(device->library);
    }
}

double sc_device_busy_s(const sc_device *device)
{
    return device->busy_s;
}

/* ---- rows ---- */

static int slowest_first(const void *a, const void *b)
{
    const sc_profile_row *x = a, *y = b;
    return x->seconds < y->seconds ? 1 : x->seconds > y->seconds ? -1 : strcmp(x->kernel, y->kernel);
}

static semcal_status row_of(sc_profile_row **row, sc_profile_row **rows, size_t *n, size_t *capacity, const char *name,
                            semcal_error *error)
{
    for (size_t i = 0; i < *n; i++) {
        if (strcmp((*rows)[i].kernel, name) == 0) {
            *row = &(*rows)[i];
            return SEMCAL_OK;
        }
    }
    semcal_status status = sc_memory_grow(rows, capacity, *n + 1, sizeof **rows, error);
    if (status == SEMCAL_OK) {
        *row = &(*rows)[(*n)++];
        **row = (sc_profile_row){.kernel = name};
    }
    return status;
}

static semcal_status add_to_row(sc_profile_row **rows, size_t *n, size_t *capacity, const sc_kernel *kernel,
                                semcal_error *error)
{
    sc_profile_row *row = NULL;
    semcal_status status = kernel->n_launches == 0 ? SEMCAL_OK : row_of(&row, rows, n, capacity, kernel->name, error);
    if (row != NULL) {
        row->n_launches += kernel->n_launches;
        row->seconds += kernel->seconds;
        row->bytes += kernel->bytes;
        row->flops += kernel->flops;
        row->floor_s += kernel->floor_s;
    }
    return status;
}

semcal_status sc_device_profile(sc_profile_row **rows, size_t *n, sc_device *device, semcal_error *error)
{
    *rows = NULL;
    *n = 0;
    if (!device->profile) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "%s: was opened without profiling", device->info.name);
    }
    size_t capacity = 0;
    semcal_status status = SEMCAL_OK;
    for (sc_program *program = device->programs; program != NULL && status == SEMCAL_OK; program = program->next) {
        for (const sc_kernel *kernel = program->kernels; kernel != NULL && status == SEMCAL_OK; kernel = kernel->next) {
            status = add_to_row(rows, n, &capacity, kernel, error);
        }
    }
    if (status == SEMCAL_OK && device->library != NULL) {
        status = add_to_row(rows, n, &capacity, device->library, error);
    }
    if (status != SEMCAL_OK) {
        free(*rows);
        *rows = NULL;
        *n = 0;
        return status;
    }
    for (size_t i = 0; i < *n; i++) {
        (*rows)[i].floor_s = (*rows)[i].floor_s > 0 ? (*rows)[i].floor_s : (double)NAN;
    }
    if (*n > 1) {
        qsort(*rows, *n, sizeof **rows, slowest_first);
    }
    return SEMCAL_OK;
}

bool sc_device_is_profiled(const sc_device *device)
{
    return device->profile;
}

static void forget(sc_kernel *kernel)
{
    kernel->n_launches = 0;
    kernel->seconds = kernel->bytes = kernel->flops = kernel->floor_s = 0;
}

void sc_device_profile_reset(sc_device *device)
{
    for (sc_program *program = device->programs; program != NULL; program = program->next) {
        for (sc_kernel *kernel = program->kernels; kernel != NULL; kernel = kernel->next) {
            forget(kernel);
        }
    }
    if (device->library != NULL) {
        forget(device->library);
    }
}

/* ---- ceilings ---- */

enum { CHUNK = 1 << 14, FMA_STEPS = 1 << 12, FMA_CHAINS = 16, ROUNDS = 5 };

/* Best time of a launch, waited for. */
static semcal_status time_launch(double *best, sc_device *device, sc_kernel *kernel, const sc_work *work,
                                 const sc_arg *args, size_t n_args, semcal_error *error)
{
    *best = INFINITY;
    for (int i = 0; i <= ROUNDS; i++) {
        const double start = sc_clock_now_s();
        semcal_status status = sc_launch(kernel, work, args, n_args, error);
        if (status == SEMCAL_OK) {
            status = sc_device_finish(device, error);
        }
        if (status != SEMCAL_OK) {
            return status;
        }
        *best = i > 0 ? fmin(*best, sc_clock_now_s() - start) : *best;
    }
    return SEMCAL_OK;
}

semcal_status sc_device_ceilings(sc_ceilings *ceilings, sc_device *device, semcal_error *error)
{
    *ceilings = device->ceilings;
    if (ceilings->flops_per_s > 0) {
        return SEMCAL_OK;
    }
    const sc_device_info *info = &device->info;
    const size_t local = info->is_cpu ? 1 : info->max_group < 256 ? info->max_group : 256;
    const size_t width = info->is_cpu ? 16 : 4;
    uint64_t bytes = (uint64_t)(info->is_cpu ? 192 : 1024) << 20, free_bytes = device->budget - device->used;
    bytes = bytes > free_bytes / 4 ? free_bytes / 4 : bytes;
    bytes = bytes > info->max_allocation ? info->max_allocation : bytes;
    bytes = (bytes / (4 * CHUNK) + 1) * (4 * CHUNK);
    const size_t n_chunks = (size_t)(bytes / (4 * CHUNK)), n_items = 64 * (size_t)info->compute_units * local;
    sc_buffer *x = NULL, *out = NULL;
    sc_program *program;
    sc_kernel *sum, *fma_chains;
    const float one = 1;
    double read_s = 0, fma_s = 0;
    semcal_status status = sc_program_get(&program, device, "bench.cl", NULL, error);
    if (status != SEMCAL_OK || (status = sc_kernel_get(&sum, program, "bench_sum", error)) != SEMCAL_OK ||
        (status = sc_kernel_get(&fma_chains, program, "bench_fma", error)) != SEMCAL_OK ||
        (status = sc_buffer_create(&x, device, bytes, SC_BUFFER_DEVICE, "ceiling", error)) != SEMCAL_OK ||
        (status = sc_buffer_create(&out, device, (n_chunks * local + n_items) * sizeof(float), SC_BUFFER_DEVICE,
                                   "ceiling", error)) != SEMCAL_OK ||
        (status = sc_buffer_fill(x, 0, bytes, &one, sizeof one, error)) != SEMCAL_OK) {
        goto done;
    }
    const sc_work reading = SC_WORK_1D(n_chunks, local), counting = SC_WORK_1D(n_items / local, local);
    status = time_launch(&read_s, device, sum, &reading, SC_ARGS(SC_BUFFER_ARG(x), SC_U64(CHUNK), SC_BUFFER_ARG(out)),
                         error);
    if (status == SEMCAL_OK) {
        status = time_launch(&fma_s, device, fma_chains, &counting,
                             SC_ARGS(SC_BUFFER_ARG(out), SC_U32(FMA_STEPS), SC_F32(0.5f)), error);
    }
    if (status == SEMCAL_OK) {
        const double flops = 2.0 * FMA_CHAINS * FMA_STEPS * (double)width * (double)n_items;
        *ceilings = (sc_ceilings){(double)bytes / read_s, flops / fma_s};
        device->ceilings = *ceilings;
    }
done:
    sc_buffer_free(x);
    sc_buffer_free(out);
    return status;
}

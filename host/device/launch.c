/* SPDX-License-Identifier: Apache-2.0 */
#include "device/opencl.h"

static semcal_status check_arg(const sc_kernel *kernel, cl_uint i, const sc_arg *arg, semcal_error *error)
{
    if (!kernel->has_arg_info) {
        return SEMCAL_OK; /* clSetKernelArg still checks sizes */
    }
    cl_kernel_arg_address_qualifier space = kernel->args[i].space;
    bool buffer = space == CL_KERNEL_ARG_ADDRESS_GLOBAL || space == CL_KERNEL_ARG_ADDRESS_CONSTANT;
    sc_arg_kind wanted = buffer                                 ? SC_ARG_KIND_BUFFER
                         : space == CL_KERNEL_ARG_ADDRESS_LOCAL ? SC_ARG_KIND_LOCAL
                                                                : SC_ARG_KIND_VALUE;
    static const char *const words[] = {"a buffer", "a value", "local memory"};
    if (arg->kind != wanted) {
        return sc_error_set(error, SEMCAL_E_DEVICE, "kernel %s: argument %u (%s) wants %s, got %s", kernel->name, i,
                            kernel->args[i].name, words[wanted], words[arg->kind]);
    }
    if (wanted == SC_ARG_KIND_VALUE && kernel->args[i].bytes != 0 && kernel->args[i].bytes != arg->bytes) {
        return sc_error_set(error, SEMCAL_E_DEVICE, "kernel %s: argument %u (%s) has %zu bytes, got %zu", kernel->name,
                            i, kernel->args[i].name, kernel->args[i].bytes, arg->bytes);
    }
    return SEMCAL_OK;
}

static semcal_status set_args(sc_kernel *kernel, const sc_arg *args, size_t n_args, semcal_error *error)
{
    if (n_args != kernel->n_args) {
        return sc_error_set(error, SEMCAL_E_DEVICE, "kernel %s: takes %u arguments, got %zu", kernel->name,
                            kernel->n_args, n_args);
    }
    for (cl_uint i = 0; i < kernel->n_args; i++) {
        const sc_arg *arg = &args[i];
        semcal_status status = check_arg(kernel, i, arg, error);
        if (status != SEMCAL_OK) {
            return status;
        }
        cl_int code;
        if (arg->kind == SC_ARG_KIND_BUFFER) {
            const cl_mem handle = arg->buffer == NULL ? NULL : arg->buffer->handle;
            code = clSetKernelArg(kernel->handle, i, sizeof handle, arg->buffer == NULL ? NULL : &handle);
        } else if (arg->kind == SC_ARG_KIND_LOCAL) {
            code = clSetKernelArg(kernel->handle, i, arg->bytes, NULL);
        } else {
            code = clSetKernelArg(kernel->handle, i, arg->bytes, arg->data != NULL ? arg->data : &arg->value);
        }
        if (code != CL_SUCCESS) {
            return sc_opencl_check(code, error, "kernel %s: argument %u", kernel->name, i);
        }
    }
    return SEMCAL_OK;
}

static semcal_status launch(sc_kernel *kernel, const sc_work *work, const sc_arg *args, size_t n_args,
                            semcal_error *error)
{
    sc_device *device = kernel->program->device;
    for (unsigned d = 0; d < work->n_dims; d++) {
        if (work->global[d] == 0) {
            return SEMCAL_OK;
        }
    }
    semcal_status status = set_args(kernel, args, n_args, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    cl_event *event = NULL;
    status = sc_profile_before(&event, device, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    cl_int code = clEnqueueNDRangeKernel(device->queue, kernel->handle, work->n_dims, NULL, work->global,
                                         work->local[0] == 0 ? NULL : work->local, 0, NULL, event);
    if (code != CL_SUCCESS) {
        return sc_opencl_check_memory(code, device, error, "kernel %s: %zu items in groups of %zu", kernel->name,
                                      work->global[0], work->local[0]);
    }
    sc_profile_after(device, kernel, work);
    return SEMCAL_OK;
}

semcal_status sc_launch(sc_kernel *kernel, const sc_work *work, const sc_arg *args, size_t n_args, semcal_error *error)
{
    sc_phases *phases = kernel->program->device->phases;
    const sc_phase before = sc_phases_enter(phases, SC_PHASE_LAUNCH);
    semcal_status status = launch(kernel, work, args, n_args, error);
    (void)sc_phases_enter(phases, before);
    return status;
}

semcal_status sc_device_flush(sc_device *device, semcal_error *error)
{
    return sc_opencl_check(clFlush(device->queue), error, "%s: flush", device->info.name);
}

semcal_status sc_device_finish(sc_device *device, semcal_error *error)
{
    const sc_phase before = sc_phases_enter(device->phases, SC_PHASE_WAIT);
    semcal_status status =
        sc_opencl_check_memory(clFinish(device->queue), device, error, "%s: wait", device->info.name);
    semcal_status collected = sc_profile_collect(device, error);
    (void)sc_phases_enter(device->phases, before);
    return status != SEMCAL_OK ? status : collected;
}

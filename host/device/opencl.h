/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share about OpenCL; nobody outside includes it. */
#ifndef SC_DEVICE_OPENCL_H
#define SC_DEVICE_OPENCL_H

#include "device/device.h"
#include "device/tune.h"

#include <CL/cl.h>

/* A launch whose time is not read yet. */
typedef struct sc_pending {
    sc_kernel *kernel;
    cl_event before; /* where it begins; NULL: with the event itself */
    cl_event event;
    double bytes, flops, pace;
} sc_pending;

struct sc_device {
    sc_device_info info;
    cl_device_id id;
    cl_context context;
    cl_command_queue queue;
    uint64_t alignment;    /* of sub-buffers, bytes */
    uint64_t used, budget; /* bytes of buffers */
    bool profile, no_cache, ran_out;
    sc_phases *phases; /* of the host's time; may be NULL */
    sc_tune tune;
    char **notes;
    size_t n_notes, notes_capacity;
    sc_program *programs; /* linked list */
    /* accounting (profile.c) */
    bool clocked; /* every launch leaves an event */
    sc_pending *pending;
    size_t n_pending, pending_capacity;
    double busy_s, window_s; /* window_s: when the queue stopped being empty, 0: it is empty (not clocked) */
    sc_ceilings ceilings;    /* 0: not measured yet */
    sc_kernel *library;      /* what a library launched, as one kernel; NULL: nothing */
};

struct sc_kernel {
    sc_kernel *next;
    sc_program *program;
    cl_kernel handle;
    char *name;
    cl_uint n_args;
    bool has_arg_info;
    struct {
        cl_kernel_arg_address_qualifier space;
        size_t bytes; /* of a scalar of a known type; 0: not known */
        char name[32];
    } * args; /* [n_args] when has_arg_info */
    uint64_t n_launches;
    double seconds, bytes, flops, floor_s;
};

struct sc_program {
    sc_program *next;
    sc_device *device;
    char *file, *options;   /* as asked for */
    char *compiler_options; /* as given to the compiler */
    char sha256[65];
    bool was_built;
    cl_program handle;
    sc_kernel *kernels;
};

struct sc_buffer {
    sc_device *device;
    cl_mem handle;
    uint64_t bytes, accounted;
    char what[48];
};

/* "out of resources (-5)" in a small buffer inside the struct. */
typedef struct sc_cl_words {
    char text[96];
} sc_cl_words;
sc_cl_words sc_opencl_words(cl_int code);

/* SEMCAL_E_DEVICE "<what>: <OpenCL error in words>" unless code is CL_SUCCESS. */
semcal_status sc_opencl_check(cl_int code, semcal_error *error, const char *format, ...) SC_PRINTF(3, 4);

/* The same for what a device was asked to do; notes when it was for lack of memory (sc_device_ran_out). */
semcal_status sc_opencl_check_memory(cl_int code, sc_device *device, semcal_error *error, const char *format, ...)
    SC_PRINTF(4, 5);

/* The program's sources with includes resolved and #line marks; to be freed. */
semcal_status sc_source_expand(char **source, const char *file, semcal_error *error);

/* Accounting: before and after a launch, and when the queue is known to be empty. `*slot` is where the launch's event
 * goes, NULL when none is wanted. */
semcal_status sc_profile_before(cl_event **slot, sc_device *device, semcal_error *error);
void sc_profile_after(sc_device *device, sc_kernel *kernel, const sc_work *work);
/* The same around a call of a library that launches kernels of its own; `last` is to become the last one's event.
 * Nothing but waiting may come in between. */
typedef struct sc_profile_call {
    cl_event before, *last;
    double began_s;
} sc_profile_call;
semcal_status sc_profile_enter(sc_profile_call *call, sc_device *device, semcal_error *error);
void sc_profile_leave(sc_device *device, const sc_profile_call *call, bool succeeded, const sc_work *work);
semcal_status sc_profile_collect(sc_device *device, semcal_error *error);
/* Gives events back unread. */
void sc_profile_free(sc_device *device);

/* Frees a device's programs and kernels. */
void sc_program_free_all(sc_device *device);

#endif

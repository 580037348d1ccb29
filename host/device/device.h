/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenCL devices as the rest of the program sees them. This folder is the only one that includes CL/cl.h; everyone
 * else holds the opaque types below.
 *
 * One sc_device is one context with one in-order queue. A step (a forward pass and what is read off its logits) is
 * enqueued whole, then waited for once with sc_device_finish. Nothing here is thread-safe per device: one thread at a
 * time uses an sc_device and what was made from it.
 *
 * Errors are SEMCAL_E_DEVICE with the kernel or buffer named and the OpenCL error in words.
 */
#ifndef SC_DEVICE_DEVICE_H
#define SC_DEVICE_DEVICE_H

#include "base/error.h"
#include "base/phases.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sc_device sc_device;   /* context and queue */
typedef struct sc_program sc_program; /* a compiled .cl file; belongs to its device */
typedef struct sc_kernel sc_kernel;   /* belongs to its device */
typedef struct sc_buffer sc_buffer;   /* device memory; released by its maker before the device closes */

/* ---- which devices there are ---- */

/* Facts about one OpenCL device; strings live in the struct. Sizes in bytes. */
typedef struct sc_device_info {
    unsigned platform, index; /* the selector "P:D" */
    char platform_name[128], platform_version[128];
    char name[128], vendor[128], driver[128], version[128];
    bool is_cpu, is_gpu;
    uint64_t global_memory;  /* CL_DEVICE_GLOBAL_MEM_SIZE */
    uint64_t max_allocation; /* largest single buffer, CL_DEVICE_MAX_MEM_ALLOC_SIZE */
    uint64_t local_memory;   /* per work-group */
    uint32_t compute_units, clock_mhz;
    size_t max_group;            /* largest work-group */
    uint32_t compute_capability; /* NVIDIA: 80 for 8.0; 0: another vendor, or not told */
    bool fp64, fp16;             /* arithmetic in these types */
    bool host_memory;            /* memory shared with the host: mapping copies nothing */
    bool available;              /* false: listed by its driver but not usable */
} sc_device_info;

/* Every OpenCL device of every platform, in the drivers' order. `*list` is malloc'ed; none at all is not an error. */
semcal_status sc_device_list(sc_device_info **list, size_t *n, semcal_error *error);

/* ---- opening ---- */

typedef struct sc_device_options {
    const char *selector;  /* "P:D", or a (part of a) device or platform name, any case; NULL: best (GPU, then CPU) */
    uint64_t memory_limit; /* bytes of buffers this device may hold at once; 0: $SEMCAL_DEVICE_MEMORY (bytes, or with
                            * K, M, G behind), else what the device has */
    bool profile;          /* measure every kernel and the device's ceilings (sc_device_profile) */
    bool no_cache;         /* neither read nor write the program cache */
    sc_phases *phases;     /* told when the host launches and waits; borrowed; NULL: nobody */
} sc_device_options;
#define SC_DEVICE_OPTIONS_INIT                                                                                         \
    {                                                                                                                  \
        NULL, 0, false, false, NULL                                                                                    \
    }

/* Opens a device. SEMCAL_E_DEVICE lists what exists when the selector fits none. `options` may be NULL. */
semcal_status sc_device_open(sc_device **device, const sc_device_options *options, semcal_error *error);
/* Frees the device with its programs and kernels; buffers must be gone. NULL is fine. */
void sc_device_close(sc_device *device);

const sc_device_info *sc_device_facts(const sc_device *device);
/* Bytes of buffers alive now, and the budget they must stay below. */
uint64_t sc_device_memory_used(const sc_device *device);
uint64_t sc_device_memory_budget(const sc_device *device);
/* Whether a call failed for lack of device memory since this was last asked. */
bool sc_device_ran_out(sc_device *device);

/* Lines for people about what is not as it could be: a path not taken, a file not understood. Kept once each, in order,
 * until the device closes; who opened the device shows them. */
void sc_device_note(sc_device *device, const char *format, ...) SC_PRINTF(2, 3);
size_t sc_device_n_notes(const sc_device *device);
const char *sc_device_note_at(const sc_device *device, size_t i);

/* ---- programs: cl/ files, embedded; $SEMCAL_CL_DIR overrides them with files of the same name ---- */

/* Compiles `file` ("rows.cl") with `options` ("-DV=..."), or takes it from memory or from the disk cache
 * ($SEMCAL_CACHE_DIR, $XDG_CACHE_HOME/semcal, ~/.cache/semcal). The same arguments give the same program.
 * Always defined for the kernel: SC_CPU or SC_GPU; LSZ (local size, 1 or 256), VW (vector width, 16 or 4) and TI (tile,
 * 64 or 8) unless `options` defines them; -cl-std=CL1.2; never a fast-math flag. `#include "x"` is resolved among the
 * same files. A failed build is SEMCAL_E_DEVICE: the message has the first lines of the log and the path of a file with
 * all of it. */
semcal_status sc_program_get(sc_program **program, sc_device *device, const char *file, const char *options,
                             semcal_error *error);
/* sha256 over all sources a program is made of (hex), and the options as given to the compiler: for provenance. */
const char *sc_program_sha256(const sc_program *program);
const char *sc_program_options(const sc_program *program);
/* Whether the program was compiled now (false: it came from the disk cache). */
bool sc_program_was_built(const sc_program *program);

/* The kernel of that name. The same arguments give the same handle. */
semcal_status sc_kernel_get(sc_kernel **kernel, sc_program *program, const char *name, semcal_error *error);

/* ---- buffers ---- */

typedef enum sc_buffer_use {
    SC_BUFFER_DEVICE, /* read and written by kernels */
    SC_BUFFER_STAGING /* memory the host maps often: pinned where the driver can */
} sc_buffer_use;

/* `bytes` of device memory (0 gives one byte), contents undefined; `what` names it in errors ("logits"). Larger than
 * one allocation may be, or than what is left of the budget: SEMCAL_E_DEVICE saying wanted and available. */
semcal_status sc_buffer_create(sc_buffer **buffer, sc_device *device, uint64_t bytes, sc_buffer_use use,
                               const char *what, semcal_error *error);
/* Host memory as a buffer, without a copy where the device shares the host's memory. `data` must outlive the buffer
 * and stay untouched while kernels use it. */
semcal_status sc_buffer_wrap(sc_buffer **buffer, sc_device *device, void *data, uint64_t bytes, const char *what,
                             semcal_error *error);
/* A part of a buffer as a buffer of its own; `offset` is a multiple of sc_device_alignment. It must be freed, before or
 * after its parent. */
semcal_status sc_buffer_slice(sc_buffer **buffer, sc_buffer *parent, uint64_t offset, uint64_t bytes,
                              semcal_error *error);
/* NULL is fine. Enqueued work that uses the buffer still finishes. */
void sc_buffer_free(sc_buffer *buffer);
uint64_t sc_buffer_bytes(const sc_buffer *buffer);
sc_device *sc_buffer_device(const sc_buffer *buffer);
uint64_t sc_device_alignment(const sc_device *device);

/* Copies that are done when they return. */
semcal_status sc_buffer_write(sc_buffer *buffer, uint64_t offset, const void *data, uint64_t bytes,
                              semcal_error *error);
semcal_status sc_buffer_read(sc_buffer *buffer, uint64_t offset, void *data, uint64_t bytes, semcal_error *error);
/* The same, enqueued: `data` must stay valid (and, for a write, unchanged) until sc_device_finish. */
semcal_status sc_buffer_enqueue_write(sc_buffer *buffer, uint64_t offset, const void *data, uint64_t bytes,
                                      semcal_error *error);
semcal_status sc_buffer_enqueue_read(sc_buffer *buffer, uint64_t offset, void *data, uint64_t bytes,
                                     semcal_error *error);
/* Enqueued: repeats the `pattern_bytes` (1, 2, 4, 8, 16) over a range. */
semcal_status sc_buffer_fill(sc_buffer *buffer, uint64_t offset, uint64_t bytes, const void *pattern,
                             size_t pattern_bytes, semcal_error *error);
/* Enqueued device-to-device copy. */
semcal_status sc_buffer_copy(sc_buffer *to, uint64_t to_offset, sc_buffer *from, uint64_t from_offset, uint64_t bytes,
                             semcal_error *error);
/* Host pointer to a range; waits for what is enqueued. `write`: the host will change it. Unmap before kernels run. */
semcal_status sc_buffer_map(void **data, sc_buffer *buffer, uint64_t offset, uint64_t bytes, bool write,
                            semcal_error *error);
semcal_status sc_buffer_unmap(sc_buffer *buffer, void *data, semcal_error *error);

/* ---- launching ---- */

typedef enum sc_arg_kind { SC_ARG_KIND_BUFFER, SC_ARG_KIND_VALUE, SC_ARG_KIND_LOCAL } sc_arg_kind;

/* One kernel argument; make them with the macros below. Number, kind and size are checked against the kernel. */
typedef struct sc_arg {
    sc_arg_kind kind;
    const sc_buffer *buffer; /* NULL passes a null pointer */
    size_t bytes;            /* of the value, or of local memory */
    union {
        uint32_t u32;
        int32_t i32;
        uint64_t u64;
        int64_t i64;
        float f32;
        double f64;
    } value;
    const void *data; /* a struct by value; NULL: `value` */
} sc_arg;

#define SC_BUFFER_ARG(b) ((sc_arg){.kind = SC_ARG_KIND_BUFFER, .buffer = (b)})
#define SC_U32(v) ((sc_arg){.kind = SC_ARG_KIND_VALUE, .bytes = 4, .value.u32 = (v)})
#define SC_I32(v) ((sc_arg){.kind = SC_ARG_KIND_VALUE, .bytes = 4, .value.i32 = (v)})
#define SC_U64(v) ((sc_arg){.kind = SC_ARG_KIND_VALUE, .bytes = 8, .value.u64 = (v)})
#define SC_F32(v) ((sc_arg){.kind = SC_ARG_KIND_VALUE, .bytes = 4, .value.f32 = (v)})
#define SC_STRUCT(pointer) ((sc_arg){.kind = SC_ARG_KIND_VALUE, .bytes = sizeof *(pointer), .data = (pointer)})
#define SC_LOCAL(n_bytes) ((sc_arg){.kind = SC_ARG_KIND_LOCAL, .bytes = (n_bytes)})
/* The arguments of sc_launch after the range: sc_launch(kernel, &work, SC_ARGS(SC_BUFFER_ARG(x), SC_U32(n)), error). */
#define SC_ARGS(...) (const sc_arg[]){__VA_ARGS__}, sizeof((const sc_arg[]){__VA_ARGS__}) / sizeof(sc_arg)

/* The index space. `local` 0 in the first place: the driver chooses. `global` is a multiple of `local`. */
typedef struct sc_work {
    unsigned n_dims; /* 1..3 */
    size_t global[3], local[3];
    /* The floor, for profiles: memory that must be moved and arithmetic (a multiply-add counts 2) that must be done
     * however the kernel works; 0: not told. */
    double bytes, flops;
    double pace; /* how many of its operations the device can do in the time of one in fp32; 0: 1 */
} sc_work;

/* A one-dimensional range of `groups` work-groups of `local` items. */
#define SC_WORK_1D(groups, group_size)                                                                                 \
    ((sc_work){.n_dims = 1, .global = {(size_t)(groups) * (group_size), 1, 1}, .local = {(group_size), 1, 1}})

/* Enqueues the kernel; returns at once. An index space of size 0 does nothing. */
semcal_status sc_launch(sc_kernel *kernel, const sc_work *work, const sc_arg *args, size_t n_args, semcal_error *error);
/* Hands what is enqueued to the device without waiting. */
semcal_status sc_device_flush(sc_device *device, semcal_error *error);
/* Waits until everything enqueued is done: once per step. */
semcal_status sc_device_finish(sc_device *device, semcal_error *error);

/* ---- where the device's time goes ---- */

/* Time in which kernels ran since the device was opened, up to the last sc_device_finish. On CPU devices it is the sum
 * over kernels, by OpenCL events; elsewhere, where events would slow the queue down and unless `profile` is set, the
 * time from the first launch on an empty queue to the wait that found it empty again. */
double sc_device_busy_s(const sc_device *device);

/* What the device can do at most, measured on it: reading memory by a kernel that does nothing else, and fp32
 * multiply-adds in registers. */
typedef struct sc_ceilings {
    double bytes_per_s, flops_per_s;
} sc_ceilings;

typedef struct sc_profile_row {
    const char *kernel;
    uint64_t n_launches;
    double seconds, bytes, flops;
    double floor_s; /* sum over launches of max(bytes / bytes_per_s, flops / flops_per_s); NaN: not told */
} sc_profile_row;

/* Device time per kernel since the last reset, up to the last sc_device_finish, slowest first; kernels of one name are
 * one row. `*rows` is malloc'ed, names live as long as the device. Needs the option `profile`: SEMCAL_E_CONFIG. */
semcal_status sc_device_profile(sc_profile_row **rows, size_t *n, sc_device *device, semcal_error *error);
void sc_device_profile_reset(sc_device *device);
/* Opened with the option `profile`: whoever has to count for a floor does it for somebody. */
bool sc_device_is_profiled(const sc_device *device);
/* The ceilings behind the rows, measured when first asked for (some tenths of a second). */
semcal_status sc_device_ceilings(sc_ceilings *ceilings, sc_device *device, semcal_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What rows.c and rows_enqueue.c share: the state of a device's row kernels and of the request on its way. */
#ifndef SC_DEVICE_ROWS_INTERNAL_H
#define SC_DEVICE_ROWS_INTERNAL_H

#include "device/rows_law.h"
#include "device/rows_sort.h"

enum { SC_ROWS_N_TYPES = 3 };

/* The kernels for one type of logits. */
typedef struct sc_rows_kernels {
    sc_program *program, *pick;
    sc_kernel *law, *loss, *law_rank, *merge, *top, *draw;
} sc_rows_kernels;

/* A device buffer that grows. */
typedef struct sc_rows_room {
    sc_buffer *buffer;
    uint64_t bytes;
} sc_rows_room;

/* What lies on the device, in the order of sc_rows.rooms. */
enum {
    /* scratch of one pass, per row and block */
    ROOM_MAX,
    ROOM_PART,
    ROOM_MOMENT,
    ROOM_RANK,
    ROOM_CUMULATIVE,
    /* whole request */
    ROOM_TARGET,
    ROOM_DRAW_ROW,
    ROOM_UNIFORM,
    ROOM_LAW,
    ROOM_RAW,
    ROOM_TOP,
    ROOM_DRAWS,
    N_ROOMS
};

struct sc_rows {
    sc_device *device;
    sc_rows_options options;
    char *build_options;
    size_t group; /* LSZ */
    sc_rows_kernels kernels[SC_ROWS_N_TYPES];
    bool on_host[SC_ROWS_N_TYPES]; /* these kernels are not to be used */
    bool trusted;                  /* they need no self-test */
    sc_rows_room rooms[N_ROOMS];
    /* the outstanding request */
    bool outstanding;
    sc_rows_input input;
    sc_rows_request request;
    sc_rows_result result;
    const sc_rows_hook *hook; /* NULL: none */
    /* host side of what is read back or sent */
    sc_rows_row *law, *raw;
    sc_rows_token *top, *draws;
    uint32_t *draw_row;
    size_t law_capacity, raw_capacity, top_capacity, draws_capacity, draw_row_capacity;
    sc_rows_sort sort; /* draws of rows with many */
};

/* Sizes the rooms for the request in `rows`, uploads what it needs, and enqueues its passes and the reads of what they
 * leave. */
semcal_status sc_rows_enqueue_passes(sc_rows *rows, const sc_rows_kernels *kernels, semcal_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The device path of the perturbations: what perturb.c (device) and perturb_finish.c (rows from sums) share. */
#ifndef SC_DEVICE_PERTURB_INTERNAL_H
#define SC_DEVICE_PERTURB_INTERNAL_H

#include "device/perturb_law.h"

#include "abi.h"

/* Device memory, in the order of sc_perturb.rooms. */
enum {
    /* the perturbations */
    ROOM_TEMPERATURE,
    ROOM_SCALE,
    ROOM_BIAS,
    ROOM_TILT,
    ROOM_CLASS,
    ROOM_TOKEN,
    /* scratch of one pass */
    ROOM_TEMPERED,
    ROOM_BIASED,
    ROOM_TABLES,
    ROOM_ANCHOR,
    ROOM_OCTAVES,
    ROOM_MASS,
    /* whole batch */
    ROOM_SUMS,
    ROOM_TILTED,
    ROOM_GATHERED,
    N_ROOMS
};

struct sc_perturb {
    sc_rows *rows;
    sc_perturb_spec spec;
    sc_perturb_shape shape;
    size_t group;                 /* LSZ */
    size_t stride;                /* V in whole blocks */
    size_t n_tempered, *tempered; /* temperatures other than 1 */
    double *dense_max, *tilt_max; /* largest value of each */
    sc_buffer *rooms[N_ROOMS];
    sc_program *program;
    sc_kernel *blocks, *merge, *masses, *tilt, *gather;
    /* of the batch being evaluated */
    const sc_rows_input *input;
    bool want_mass;
    double *sums, *tilted, *mass; /* [N, n_temperatures + n_biases], [N, n_tilts], [N, n_classes], padded */
    float *gathered;              /* [N, n_entries, 2] logit and maximum of its block */
    size_t sums_capacity, tilted_capacity, mass_capacity, gathered_capacity;
};

/* Everything of the result that sc_rows does not give, from what the device left. */
semcal_status sc_perturb_finish(sc_perturb *perturb, const sc_perturb_batch *batch, sc_perturb_result *result,
                                semcal_error *error);

#endif

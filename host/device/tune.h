/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `semcal bench tune` finds out about a device: how work is cut, never what is computed. No parameter changes a
 * bit of any result (laws under `gemm: clblast`, which promise nothing, excepted), so a file may come and go at any
 * time.
 *
 * One file per device, driver version and platform: tune-<key>.json in the cache folder, or $SEMCAL_TUNE (a path;
 * empty: no file). It is read when the device is opened. One that is damaged or belongs to another device leaves a
 * note, and the defaults are used.
 */
#ifndef SC_DEVICE_TUNE_H
#define SC_DEVICE_TUNE_H

#include "device/device.h"

typedef struct sc_tune {
    int32_t gemm_block_tiles;       /* gemm_packed: most tiles of SC_TILE_ROWS rows that one work-item takes */
    int32_t gemm_items_per_unit;    /* gemm_packed: work-items per compute unit that are worth smaller blocks */
    int32_t gemm_skinny_rows;       /* up to this many rows gemm_skinny instead of gemm_tiled; -1: measured at start */
    int32_t gemm_clblast_rows;      /* under gemm: clblast, from this many rows on CLBlast instead of an own method */
    int32_t gemm_compact_rows;      /* up to this many rows gemm_compact, where weights have its form; 0: never */
    int32_t gemm_compact_bf16_rows; /* the same under gemm: bf16 */
    int32_t gemm_compact_mb;        /* weights of so many MiB and more get that form: what caches do not hold */
    int32_t rows_items_per_unit;    /* row kernels: work-items (or groups) per compute unit */
    int32_t rows_pass_mb;           /* row kernels on CPUs: logits of one pass, MiB */
} sc_tune;

/* One parameter, for files and tables. */
typedef struct sc_tune_parameter {
    const char *name;
    size_t offset; /* of the int32_t in sc_tune */
    int32_t least, most;
} sc_tune_parameter;
extern const sc_tune_parameter sc_tune_parameters[];
extern const size_t sc_tune_n_parameters;

const sc_tune *sc_device_tune(const sc_device *device);
/* Takes effect with the next launch. */
void sc_device_set_tune(sc_device *device, const sc_tune *tune);
/* The defaults that are compiled in. */
sc_tune sc_tune_defaults(const sc_device_info *info);

/* Where the device's file is or would be; malloc'ed, NULL when there is no such place. */
char *sc_tune_path(const sc_device *device);
/* Reads the file, if there is one; never fails, at worst leaves a note and the defaults. */
void sc_tune_load(sc_device *device);
/* Writes the device's present parameters to `path`. */
semcal_status sc_tune_save(const sc_device *device, const char *path, semcal_error *error);

#endif

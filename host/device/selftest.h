/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fast paths prove themselves before they are used: each is compared with its reference on a tiny case, once per
 * device, driver and compiled program. The verdict is kept in the cache folder, so that a start does not pay for it
 * again. A path that fails is not used; a note names it and what runs instead.
 *
 *   gemm_packed, gemm_tiled, gemm_skinny   sc_gemm_reference, bit by bit     instead: gemm_plain
 *   gemm_bf16                              sc_gemm_bf16_reference, bit by bit   instead: gemm_bf16_plain
 *   gemm_compact                           as gemm_packed or gemm_bf16       instead: these
 *   gemm_mma                               exact sums, within a tolerance    instead: gemm_bf16_plain
 *   attention_bf16, attention (model.c)    float64, within a tolerance       instead: attention, attention_plain
 *   rows                                   sc_rows_reference, bit by bit     instead: the same laws on the host
 */
#ifndef SC_DEVICE_SELFTEST_H
#define SC_DEVICE_SELFTEST_H

#include "device/device.h"

/* Runs the path; *same tells whether it gave what the reference gives. An error counts as a failure. */
typedef semcal_status (*sc_selftest_body)(bool *same, void *payload, semcal_error *error);

/* Whether the fast path `name`, compiled as `program`, may be used; if not, a note says that `instead` runs.
 * $SEMCAL_SELFTEST_FAIL, names with commas between them, makes these fail (nothing is remembered then). */
bool sc_selftest(sc_device *device, const char *name, const char *instead, const sc_program *program,
                 sc_selftest_body body, void *payload);

#endif

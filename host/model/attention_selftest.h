/* SPDX-License-Identifier: Apache-2.0 */
/* Attention proves itself on a small case of the model's shape before it is used. */
#ifndef SC_MODEL_ATTENTION_SELFTEST_H
#define SC_MODEL_ATTENTION_SELFTEST_H

#include "device/device.h"
#include "model/model.h"

/* Whether transformer.cl, compiled with `options`, gives the attention that float64 gives, for rows that look back on 1
 * to 514 positions: 4e-6 of the mean size of the values apart in fp32, and with keys and values in bf16 (`rounded`)
 * what rounding weights may move. A program that the compiler refuses fails, too. `name` and `instead`: see
 * sc_selftest. */
bool sc_attention_selftest(sc_device *device, const sc_model_config *config, const char *options, bool rounded,
                           const char *name, const char *instead);

#endif

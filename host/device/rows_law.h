/* SPDX-License-Identifier: Apache-2.0 */
/* From a row's integers to log-probabilities: shared by the device path and the plain C reference. */
#ifndef SC_DEVICE_ROWS_LAW_H
#define SC_DEVICE_ROWS_LAW_H

#include "device/rows.h"

#include "abi.h"

/* log(W 2^-45) */
double sc_rows_log_weight(uint64_t weight);

/* Fills the parts of `result` that belong to row i; `raw` is the same row at temperature 1 (may be `law` itself). */
void sc_rows_finish_row(sc_rows_result *result, size_t i, const sc_rows_request *request, const sc_rows_row *law,
                        const sc_rows_row *raw, const sc_rows_token *top, const sc_rows_token *draws);

/* SEMCAL_E_CONFIG or SEMCAL_E_DATA for a request that makes no sense for these shapes. */
semcal_status sc_rows_check(const sc_rows_request *request, size_t n_rows, size_t n_vocabulary, size_t stride,
                            semcal_error *error);

/* Looks through a row that is known to be bad, sets bad_row and bad_token and the error. `logits` points to the row. */
semcal_status sc_rows_name_bad(sc_rows_result *result, size_t i, const void *logits, sc_rows_type type,
                               size_t n_vocabulary, const sc_rows_request *request, semcal_error *error);

#endif

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

/* The weight of a logit below a maximum, relative to the maximum's: 2^-45 times the integer returned. */
uint64_t sc_rows_weight(float logit, float max, double temperature);

/* For further kernels over the same rows. */
sc_device *sc_rows_device(const sc_rows *rows);
size_t sc_rows_group(const sc_rows *rows);
sc_rows_shape sc_rows_make_shape(const sc_rows_input *input, double temperature, size_t n_top);
/* Whether laws of this type are computed on the host, for want of double precision or of working kernels. */
semcal_status sc_rows_uses_host(bool *on_host, sc_rows *rows, sc_rows_type type, semcal_error *error);
semcal_status sc_rows_program(sc_program **program, sc_rows *rows, const char *file, sc_rows_type type,
                              semcal_error *error);

/* Rows first .. first + n - 1 of a request on their way through the device, and the scratch rows_law fills for them. */
typedef struct sc_rows_pass {
    size_t first, n;
    sc_rows_shape shape;
    bool with_moment, with_rank;
    sc_buffer *target, *max, *part, *moment, *rank;
} sc_rows_pass;

/* Another kernel in place of rows_law and its kin, which leaves the same and takes more from the same reading. */
typedef struct sc_rows_hook {
    semcal_status (*launch)(void *payload, const sc_rows_pass *pass, semcal_error *error);
    size_t rows_per_pass; /* at most; 0: no limit of its own */
    size_t step;          /* passes are multiples of this many rows, at least 1 */
    void *payload;
} sc_rows_hook;

/* sc_rows_evaluate at temperature 1 with a hook; where sc_rows_uses_host() there is nothing to hook into. */
semcal_status sc_rows_evaluate_with(sc_rows *rows, const sc_rows_input *input, const sc_rows_request *request,
                                    sc_rows_result *result, const sc_rows_hook *hook, semcal_error *error);
/* Integers of the rows evaluated last [N]. */
const sc_rows_row *sc_rows_laws(const sc_rows *rows);

/* The request answered by the host from logits on the device: the same laws, bit for bit, on CPU devices. */
semcal_status sc_rows_on_host(const sc_rows_input *input, const sc_rows_request *request, sc_rows_result *result,
                              semcal_error *error);

/* The self-test (device/selftest.h) of the row kernels for one type; `rows` is trusted: evaluated without it. */
typedef struct sc_rows_trial {
    sc_rows *rows;
    sc_rows_type type;
} sc_rows_trial;
void sc_rows_trust(sc_rows *rows);
semcal_status sc_rows_selftest(bool *same, void *payload, semcal_error *error);

#endif

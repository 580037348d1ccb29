/* SPDX-License-Identifier: Apache-2.0 */
/* Status and error text: the first error wins, callers put *where* in front. */
#ifndef SC_BASE_ERROR_H
#define SC_BASE_ERROR_H

#include <semcal.h>

#if defined(__GNUC__)
#define SC_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#else
#define SC_PRINTF(fmt, first)
#endif

/* Records `status` and the formatted message unless an error is already there. Returns `status`, so that
 * `return sc_error_set(error, SEMCAL_E_DATA, "...")` works. `error` may be NULL. */
semcal_status sc_error_set(semcal_error *error, semcal_status status, const char *format, ...) SC_PRINTF(3, 4);

/* Puts "<formatted>: " in front of the recorded message. No effect when nothing is recorded. Returns the status. */
semcal_status sc_error_where(semcal_error *error, const char *format, ...) SC_PRINTF(2, 3);

/* Forgets a recorded error, for callers that handled it. */
void sc_error_clear(semcal_error *error);

#endif

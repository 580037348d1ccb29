/* SPDX-License-Identifier: Apache-2.0 */
/*
 * semcal: semantic calibration and loss optimality of language models.
 *
 * This is the only public header. Conventions that hold for every function here:
 *   - 0 (SEMCAL_OK) is success; everything else is a semcal_status.
 *   - out-parameters come first, option structs have an initializer, `semcal_error *` comes last and may be NULL.
 *   - logarithms are natural, losses and log-probabilities are in nats.
 *   - the library never prints, never exits and keeps no global state.
 */
#ifndef SEMCAL_H
#define SEMCAL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- status and errors ------------------------------------------------------------------------------------- */

/* What a call came to. The values below SEMCAL_E_MEMORY are also the exit codes of the program. */
typedef enum semcal_status {
    SEMCAL_OK = 0,           /* done */
    SEMCAL_PARTIAL = 1,      /* finished, but some cells failed; they are listed */
    SEMCAL_E_CONFIG = 2,     /* usage or configuration */
    SEMCAL_E_DATA = 3,       /* a file or its contents */
    SEMCAL_E_DEVICE = 4,     /* OpenCL: no such device, build failure, out of device memory */
    SEMCAL_E_NUMERIC = 5,    /* NaN, +inf, a law without mass */
    SEMCAL_E_MEMORY = 6,     /* out of host memory (exit code 4) */
    SEMCAL_INTERRUPTED = 130 /* stopped cleanly, everything finished so far is committed */
} semcal_status;

#define SEMCAL_ERROR_SIZE 2048

/* Receives the first error of a call. `message` reads "where: what, what to do", one line, UTF-8. */
typedef struct semcal_error {
    semcal_status status;
    char message[SEMCAL_ERROR_SIZE];
} semcal_error;

#define SEMCAL_ERROR_INIT                                                                                              \
    {                                                                                                                  \
        SEMCAL_OK, ""                                                                                                  \
    }

/* The process exit code documented for a status. */
int semcal_status_exit_code(semcal_status status);

/* "0.1.0" */
const char *semcal_version(void);

/* The git commit this library was built from, or "unknown". */
const char *semcal_commit(void);

#ifdef __cplusplus
}
#endif
#endif

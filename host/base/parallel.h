/* SPDX-License-Identifier: Apache-2.0 */
/* A parallel loop whose result does not depend on the number of threads: item i is handled once, by any thread. */
#ifndef SC_BASE_PARALLEL_H
#define SC_BASE_PARALLEL_H

#include "base/error.h"

/* Handles item `i`; must only write what belongs to item i. `thread` is in [0, n_threads), for scratch space. */
typedef semcal_status (*sc_parallel_body)(size_t i, unsigned thread, void *payload, semcal_error *error);

/* Number of threads worth using on this machine (at least 1). */
unsigned sc_parallel_default_threads(void);

/* Runs `body` for i in [0, n) on `n_threads` threads (0: the default). Returns the error of the smallest failing item
 * that was reached. */
semcal_status sc_parallel_for(size_t n, unsigned n_threads, sc_parallel_body body, void *payload, semcal_error *error);

#endif

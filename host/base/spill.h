/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of fixed size that wait on disk until somebody takes them: what is too large for memory and soon needed. The
 * file has no name (it is gone with the process, however that ends), and its places are used again, so that it is as
 * long as what waits at once. Any thread may call; a row is put by one and got by another.
 */
#ifndef SC_BASE_SPILL_H
#define SC_BASE_SPILL_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

typedef struct sc_spill sc_spill;

/* Makes the file in `folder`. SEMCAL_E_DATA when that cannot be. */
semcal_status sc_spill_create(sc_spill **spill, const char *folder, size_t row_bytes, semcal_error *error);
void sc_spill_free(sc_spill *spill);

size_t sc_spill_row_bytes(const sc_spill *spill);
/* Rows that have a holder. */
uint64_t sc_spill_n_held(sc_spill *spill);

/* Keeps row_bytes bytes; *row (0 or more) has one holder. SEMCAL_E_DATA when the disk is full. */
semcal_status sc_spill_put(sc_spill *spill, int64_t *row, const void *bytes, semcal_error *error);
semcal_status sc_spill_get(sc_spill *spill, void *bytes, int64_t row, semcal_error *error);

/* One holder more, one less; a row without holders is forgotten. Row -1 is no row: nothing happens. */
void sc_spill_hold(sc_spill *spill, int64_t row);
void sc_spill_drop(sc_spill *spill, int64_t row);

#endif

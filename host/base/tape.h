/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that are written from front to back and read again later, as many as there are: full blocks wait in a file
 * (base/spill.h), two blocks are in memory. One thread at a time.
 */
#ifndef SC_BASE_TAPE_H
#define SC_BASE_TAPE_H

#include "base/spill.h"

/* Bytes of a block: the row_bytes of the spill. */
enum { SC_TAPE_BLOCK = 1 << 15 };

typedef struct sc_tape {
    sc_spill *spill;     /* borrowed; many tapes may share it */
    char *tail, *block;  /* [SC_TAPE_BLOCK] the last block; the one read last, NULL: none yet */
    uint64_t length, at; /* bytes written; number of `block` */
    int64_t *rows;       /* [n_rows] of the spill: the full blocks */
    size_t n_rows, capacity;
} sc_tape;

/* An empty tape. */
void sc_tape_init(sc_tape *tape, sc_spill *spill);
void sc_tape_free(sc_tape *tape);

/* Appends. SEMCAL_E_DATA when the disk is full. */
semcal_status sc_tape_put(sc_tape *tape, const void *bytes, size_t n, semcal_error *error);

/* Bytes from .. from + n - 1; SEMCAL_E_DATA when there are fewer. Going through them in order is fast. */
semcal_status sc_tape_get(sc_tape *tape, void *bytes, uint64_t from, size_t n, semcal_error *error);

#endif

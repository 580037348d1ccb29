/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tape.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

void sc_tape_init(sc_tape *tape, sc_spill *spill)
{
    *tape = (sc_tape){.spill = spill};
}

void sc_tape_free(sc_tape *tape)
{
    for (size_t i = 0; i < tape->n_rows; i++) {
        sc_spill_drop(tape->spill, tape->rows[i]);
    }
    free(tape->rows);
    free(tape->tail);
    free(tape->block);
    *tape = (sc_tape){0};
}

/* Room for a block, made when it is first wanted. */
static semcal_status make_block(char **block, semcal_error *error)
{
    if (*block == NULL) {
        *block = malloc(SC_TAPE_BLOCK); /* not zeroed: of short tapes only what is written takes memory */
        if (*block == NULL) {
            return sc_error_set(error, SEMCAL_E_MEMORY, "out of memory: %d bytes", SC_TAPE_BLOCK);
        }
    }
    return SEMCAL_OK;
}

static semcal_status spill_tail(sc_tape *tape, semcal_error *error)
{
    semcal_status status = sc_memory_grow(&tape->rows, &tape->capacity, tape->n_rows + 1, sizeof *tape->rows, error);
    if (status == SEMCAL_OK) {
        status = sc_spill_put(tape->spill, &tape->rows[tape->n_rows], tape->tail, error);
    }
    tape->n_rows += status == SEMCAL_OK;
    return status;
}

semcal_status sc_tape_put(sc_tape *tape, const void *bytes, size_t n, semcal_error *error)
{
    const char *from = bytes;
    semcal_status status = make_block(&tape->tail, error);
    while (n > 0 && status == SEMCAL_OK) {
        const size_t used = (size_t)(tape->length - tape->n_rows * (uint64_t)SC_TAPE_BLOCK);
        const size_t part = n < SC_TAPE_BLOCK - used ? n : SC_TAPE_BLOCK - used;
        memcpy(tape->tail + used, from, part);
        if (used + part == SC_TAPE_BLOCK) {
            status = spill_tail(tape, error);
        }
        tape->length += status == SEMCAL_OK ? part : 0;
        from += part;
        n -= part;
    }
    return status;
}

semcal_status sc_tape_get(sc_tape *tape, void *bytes, uint64_t from, size_t n, semcal_error *error)
{
    if (from > tape->length || n > tape->length - from) {
        return sc_error_set(error, SEMCAL_E_DATA, "%zu bytes asked for behind %llu of %llu", n,
                            (unsigned long long)from, (unsigned long long)tape->length);
    }
    char *to = bytes;
    while (n > 0) {
        const uint64_t number = from / SC_TAPE_BLOCK;
        const size_t within = (size_t)(from % SC_TAPE_BLOCK);
        const size_t part = n < SC_TAPE_BLOCK - within ? n : SC_TAPE_BLOCK - within;
        if (number < tape->n_rows && (tape->block == NULL || tape->at != number)) {
            semcal_status status = make_block(&tape->block, error);
            if (status == SEMCAL_OK) {
                tape->at = UINT64_MAX;
                status = sc_spill_get(tape->spill, tape->block, tape->rows[number], error);
            }
            if (status != SEMCAL_OK) {
                return status;
            }
            tape->at = number;
        }
        memcpy(to, (number < tape->n_rows ? tape->block : tape->tail) + within, part);
        to += part;
        from += part;
        n -= part;
    }
    return SEMCAL_OK;
}

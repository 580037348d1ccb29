/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of a dataset that wait in a temporary file, so that a dataset of any length takes little memory: 16 bytes a row,
 * 20 where ids are made from the questions and some of these are the same. Rows are added by one thread, then read by
 * any.
 */
#ifndef SC_EXPERIMENT_DATASET_TAPE_H
#define SC_EXPERIMENT_DATASET_TAPE_H

#include "base/packed.h"
#include "base/tape.h"
#include "experiment/dataset.h"

typedef struct sc_dataset_tape sc_dataset_tape;

/* Makes the temporary file in `folder`. */
semcal_status sc_dataset_tape_open(sc_dataset_tape **tape, const char *folder, semcal_error *error);
void sc_dataset_tape_free(sc_dataset_tape *tape);

semcal_status sc_dataset_tape_add(sc_dataset_tape *tape, const sc_dataset_row *row, semcal_error *error);

/* To be called once all rows are there. Gives ids to rows without one (`has_ids` false), or makes sure that no two rows
 * share one: SEMCAL_E_DATA naming `path` and the lines. */
semcal_status sc_dataset_tape_settle(sc_dataset_tape *tape, bool has_ids, const char *path, semcal_error *error);

/* A copy of row i, the caller's to free with sc_dataset_row_free. */
semcal_status sc_dataset_tape_read(sc_dataset_row *row, sc_dataset_tape *tape, size_t i, semcal_error *error);
/* sc_hash64 of its id. */
uint64_t sc_dataset_tape_item(const sc_dataset_tape *tape, size_t i);
bool sc_dataset_tape_has_choices(const sc_dataset_tape *tape);
/* The file, for whoever wants to put more into it. */
sc_spill *sc_dataset_tape_spill(sc_dataset_tape *tape);

/* A row in packed form, without its choices where nobody will ask for them. */
semcal_status sc_dataset_row_pack(sc_text *out, const sc_dataset_row *row, bool with_choices, semcal_error *error);
semcal_status sc_dataset_row_unpack(sc_dataset_row *row, sc_unpacker *from);

#endif

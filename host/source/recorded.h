/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source that replays recorded logits [N, V] as N single-token questions: the law of question i is softmax of row i,
 * every token ends the response, and the text of a response is the token's number.
 *
 * A question says its row: the last integer of the prompt ("17", or "Question: 17\nAnswer:"). Laws are evaluated on the
 * host by the reference of the row kernels, bit for bit what the device gives for the same logits.
 */
#ifndef SC_SOURCE_RECORDED_H
#define SC_SOURCE_RECORDED_H

#include "source/source.h"

/* Opens `path`, or `path`:NAME for one tensor or dataset of the file: .npy, a tensor ("logits") of .safetensors, a
 * dataset
 * ("logits") of HDF5, as cell files with store.full_logits have it; [N, V] in float32, float16 or bfloat16.
 * SEMCAL_E_DATA when the file is anything else. Rows are read when they are asked for. */
semcal_status sc_source_recorded_open(sc_source **source, const char *path, semcal_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adds responses that were not drawn to the prefix tree of the draws: those an enumeration found, those of its tail.
 * Their new nodes follow the draws' nodes, whose order and numbers stay as they are; a new node's count is 0, since no
 * draw passed it. Parents still come before children.
 */
#ifndef SC_SAMPLING_GRAFT_H
#define SC_SAMPLING_GRAFT_H

#include "sampling/enumerate.h"
#include "sampling/tail.h"
#include "sampling/tree.h"

/* leaf[i] (caller's, [n_responses]) receives the node where enumerated response i ends. Laws of the new nodes come from
 * the enumeration; its keep_top must be at least tree->n_top. On failure the tree is still whole. */
semcal_status sc_graft_enumeration(sc_tree *tree, int32_t *leaf, const sc_enumeration *enumeration,
                                   semcal_error *error);

/* The same for the draws of the tail behind it: leaf[tail->n_draws]. */
semcal_status sc_graft_tail(sc_tree *tree, int32_t *leaf, const sc_enumeration *enumeration, const sc_tail *tail,
                            semcal_error *error);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What attention over rows of a forward pass cannot do without, counted from their page lists: for profiles. */
#ifndef SC_MODEL_ATTENDED_H
#define SC_MODEL_ATTENDED_H

#include "model/model.h"

typedef struct sc_attended {
    double pairs;     /* of a row and a position it attends to */
    double positions; /* attended to by any row; one that several rows share through a page counts once */
} sc_attended;

/* Rows row[0 .. n - 1] of the pass (NULL: its first n). `seen` [n_pages] is room for counting, whatever it holds; pages
 * are numbered below n_pages. O(rows x pages of a row), where neighbours of one list count as one. */
void sc_attended_count(sc_attended *attended, unsigned char *seen, size_t n_pages, const sc_forward *forward,
                       const int32_t *row, size_t n);

#endif

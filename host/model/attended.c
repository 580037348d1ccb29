/* SPDX-License-Identifier: Apache-2.0 */
#include "model/attended.h"

#include "abi.h"

#include <string.h>

_Static_assert(SC_PAGE <= 255, "positions of a page are counted in bytes");

/* Marks the first `n` positions of a page list; what is new is added to `positions`. */
static void see(double *positions, unsigned char *seen, size_t n_pages, const int32_t *list, size_t n)
{
    for (; n > 0; list++) {
        const size_t here = n < SC_PAGE ? n : SC_PAGE;
        if (*list >= 0 && (size_t)*list < n_pages && seen[*list] < here) {
            *positions += (double)(here - seen[*list]);
            seen[*list] = (unsigned char)here;
        }
        n -= here;
    }
}

void sc_attended_count(sc_attended *attended, unsigned char *seen, size_t n_pages, const sc_forward *forward,
                       const int32_t *row, size_t n)
{
    *attended = (sc_attended){0, 0};
    memset(seen, 0, n_pages);
    for (size_t i = 0; i < n;) {
        const int32_t table = forward->table[row != NULL ? row[i] : (int32_t)i];
        size_t furthest = 0;
        for (; i < n && forward->table[row != NULL ? row[i] : (int32_t)i] == table; i++) {
            const size_t reach = (size_t)forward->position[row != NULL ? row[i] : (int32_t)i] + 1;
            attended->pairs += (double)reach;
            furthest = reach > furthest ? reach : furthest;
        }
        see(&attended->positions, seen, n_pages, forward->pages + table, furthest);
    }
}

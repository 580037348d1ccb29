/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of committed segments of a cell that is running. */
#ifndef SC_EXPERIMENT_STORE_SEGMENTS_H
#define SC_EXPERIMENT_STORE_SEGMENTS_H

#include "experiment/store_internal.h"

typedef struct sc_store_segments {
    char *folder;
    int lock;                 /* file descriptor of the lock, -1: none */
    unsigned next;            /* number of the next segment */
    sc_store_sources sources; /* what is committed */
} sc_store_segments;

/* What must agree between the segments and this run, and who is told. Borrowed. */
typedef struct sc_store_expect {
    sc_store_sizes sizes; /* totals not used */
    sc_store_label label;
    const sc_store_attribute *attributes;
    size_t n_attributes;
    void (*log)(const char *line, void *payload);
    void *payload;
} sc_store_expect;

/* Makes the folder, takes its lock, removes what was half written, reads and verifies what was committed. Damaged
 * segments are deleted with a log line. SEMCAL_E_CONFIG when they are of another configuration or another process
 * writes here. */
semcal_status sc_store_segments_open(sc_store_segments *segments, const char *folder, const sc_store_expect *expect,
                                     semcal_error *error);

/* Writes checked records as one more segment, durable when this returns. Sorts them by question. */
semcal_status sc_store_segments_write(sc_store_segments *segments, sc_store_record *records, size_t n,
                                      const sc_store_expect *expect, semcal_error *error);

/* Deletes the folder (after the finished file is in place). */
void sc_store_segments_remove(sc_store_segments *segments);
void sc_store_segments_close(sc_store_segments *segments);

/* SEMCAL_E_CONFIG naming the first size or identity attribute of the file that is not as expected. */
semcal_status sc_store_expect_check(const sc_store_cell *cell, const sc_store_expect *expect, semcal_error *error);

#endif

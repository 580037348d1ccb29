/* SPDX-License-Identifier: Apache-2.0 */
#include "base/spill.h"

#include "base/memory.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sc_spill {
    char *path; /* for messages; the name is gone */
    int file;
    size_t row_bytes;
    pthread_mutex_t lock;
    /* under the lock */
    uint32_t *holders; /* [n_rows] */
    int64_t *unused;   /* [n_unused] rows to use again */
    size_t n_rows, holders_capacity, n_unused, unused_capacity;
};

semcal_status sc_spill_create(sc_spill **out, const char *folder, size_t row_bytes, semcal_error *error)
{
    *out = NULL;
    sc_text path = {0};
    semcal_status status = sc_text_printf(&path, error, "%s/spill-XXXXXX", folder);
    sc_spill *spill = status == SEMCAL_OK ? sc_memory_alloc(1, sizeof *spill, error) : NULL;
    if (spill == NULL) {
        sc_text_free(&path);
        return SEMCAL_E_MEMORY;
    }
    spill->path = path.data;
    spill->row_bytes = row_bytes;
    (void)pthread_mutex_init(&spill->lock, NULL);
    spill->file = mkstemp(spill->path);
    if (spill->file < 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: cannot make a temporary file: %s", folder, strerror(errno));
        sc_spill_free(spill);
        return status;
    }
    (void)unlink(spill->path);
    *out = spill;
    return SEMCAL_OK;
}

void sc_spill_free(sc_spill *spill)
{
    if (spill == NULL) {
        return;
    }
    if (spill->file >= 0) {
        (void)close(spill->file);
    }
    (void)pthread_mutex_destroy(&spill->lock);
    free(spill->holders);
    free(spill->unused);
    free(spill->path);
    free(spill);
}

size_t sc_spill_row_bytes(const sc_spill *spill)
{
    return spill->row_bytes;
}

uint64_t sc_spill_n_held(sc_spill *spill)
{
    (void)pthread_mutex_lock(&spill->lock);
    const uint64_t n = spill->n_rows - spill->n_unused;
    (void)pthread_mutex_unlock(&spill->lock);
    return n;
}

/* A place with one holder; there is room to give it back. */
static semcal_status take_place(sc_spill *spill, int64_t *row, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    (void)pthread_mutex_lock(&spill->lock);
    if (spill->n_unused > 0) {
        *row = spill->unused[--spill->n_unused];
    } else {
        status =
            sc_memory_grow(&spill->holders, &spill->holders_capacity, spill->n_rows + 1, sizeof *spill->holders, error);
        if (status == SEMCAL_OK) {
            status = sc_memory_grow(&spill->unused, &spill->unused_capacity, spill->n_rows + 1, sizeof *spill->unused,
                                    error);
        }
        if (status == SEMCAL_OK) {
            *row = (int64_t)spill->n_rows++;
        }
    }
    if (status == SEMCAL_OK) {
        spill->holders[*row] = 1;
    }
    (void)pthread_mutex_unlock(&spill->lock);
    return status;
}

semcal_status sc_spill_put(sc_spill *spill, int64_t *row, const void *bytes, semcal_error *error)
{
    *row = -1;
    int64_t place = -1;
    semcal_status status = take_place(spill, &place, error);
    const char *from = bytes;
    for (size_t done = 0; done < spill->row_bytes && status == SEMCAL_OK;) {
        const ssize_t n = pwrite(spill->file, from + done, spill->row_bytes - done,
                                 (off_t)place * (off_t)spill->row_bytes + (off_t)done);
        if (n < 0 && errno != EINTR) {
            status = sc_error_set(error, SEMCAL_E_DATA, "%s: cannot write: %s", spill->path, strerror(errno));
        }
        done += n > 0 ? (size_t)n : 0;
    }
    if (status == SEMCAL_OK) {
        *row = place;
    } else {
        sc_spill_drop(spill, place);
    }
    return status;
}

semcal_status sc_spill_get(sc_spill *spill, void *bytes, int64_t row, semcal_error *error)
{
    char *to = bytes;
    for (size_t done = 0; done < spill->row_bytes;) {
        const ssize_t n =
            pread(spill->file, to + done, spill->row_bytes - done, (off_t)row * (off_t)spill->row_bytes + (off_t)done);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            return sc_error_set(error, SEMCAL_E_DATA, "%s: cannot read: %s", spill->path,
                                n == 0 ? "it ends early" : strerror(errno));
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return SEMCAL_OK;
}

void sc_spill_hold(sc_spill *spill, int64_t row)
{
    if (row >= 0) {
        (void)pthread_mutex_lock(&spill->lock);
        spill->holders[row]++;
        (void)pthread_mutex_unlock(&spill->lock);
    }
}

void sc_spill_drop(sc_spill *spill, int64_t row)
{
    if (row < 0) {
        return;
    }
    (void)pthread_mutex_lock(&spill->lock);
    if (--spill->holders[row] == 0) {
        spill->unused[spill->n_unused++] = row; /* room was made when the row was */
    }
    if (spill->n_unused == spill->n_rows) { /* nothing waits: the disk is given back */
        spill->n_rows = spill->n_unused = 0;
        (void)!ftruncate(spill->file, 0);
    }
    (void)pthread_mutex_unlock(&spill->lock);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who holds which page of keys and values: counts, the free list, and an index of full prompt pages by what they hold.
 *
 * A page that is full never changes. The last page of a prefix may be shared while it is partly filled: its next slot
 * belongs to whoever takes it first (sc_pages_claim), later takers copy the page. The index keeps full pages of prompts
 * after their question is done, until room is needed; a hit means the same tokens before and in the page, hence the
 * same bits. Only bookkeeping: no device here.
 */
#ifndef SC_MODEL_PAGES_H
#define SC_MODEL_PAGES_H

#include "abi.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sc_pages sc_pages;

semcal_status sc_pages_create(sc_pages **pages, size_t n_pages, semcal_error *error);
void sc_pages_free(sc_pages *pages);

/* A page with one holder and no slot claimed; takes pages that only the index holds when none is free. SEMCAL_E_DEVICE
 * when all are held. */
semcal_status sc_pages_take(sc_pages *pages, int32_t *page, semcal_error *error);
/* One holder more or less. */
void sc_pages_hold(sc_pages *pages, int32_t page);
void sc_pages_drop(sc_pages *pages, int32_t page);

/* True when `slot` is the page's next one, which now belongs to the caller. */
bool sc_pages_claim(sc_pages *pages, int32_t page, uint32_t slot);
/* A fresh copy begins with `n` claimed slots. */
void sc_pages_set_claimed(sc_pages *pages, int32_t page, uint32_t n);

/* The indexed page that follows `before` (-1: the first page of a prompt) and holds these SC_PAGE tokens, with one
 * holder more; -1 when there is none. */
int32_t sc_pages_find(sc_pages *pages, int32_t before, const int32_t tokens[SC_PAGE]);
/* Puts a full page in the index. */
void sc_pages_index(sc_pages *pages, int32_t page, int32_t before, const int32_t tokens[SC_PAGE]);

/* Takes a page out of the index, for one whose computation failed. */
void sc_pages_forget(sc_pages *pages, int32_t page);

/* Pages that are free or held by the index alone. */
size_t sc_pages_available(const sc_pages *pages);
size_t sc_pages_total(const sc_pages *pages);

#endif

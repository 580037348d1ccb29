/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pages.h"

#include "base/memory.h"
#include "base/random.h"

#include <stdlib.h>
#include <string.h>

struct page {
    uint32_t holders, claimed;
    uint64_t name;   /* new at every sc_pages_take: a name is never used for two contents */
    bool indexed;    /* then the index is one of the holders */
    uint64_t before; /* name of the page before it, 0: none */
    uint64_t last_use;
    int32_t tokens[SC_PAGE];
    int32_t next_in_bucket;
};

struct sc_pages {
    struct page *page;
    size_t n, n_free, n_idle; /* idle: held by the index alone */
    int32_t *free;            /* stack */
    int32_t *bucket;          /* [n_buckets] first page, -1: none */
    size_t n_buckets;
    uint64_t names, clock;
};

semcal_status sc_pages_create(sc_pages **pages, size_t n_pages, semcal_error *error)
{
    *pages = NULL;
    sc_pages *made = sc_memory_alloc(1, sizeof *made, error);
    if (made == NULL) {
        return SEMCAL_E_MEMORY;
    }
    made->n = made->n_free = made->n_buckets = n_pages;
    made->page = sc_memory_alloc(n_pages, sizeof *made->page, error);
    made->free = sc_memory_alloc(n_pages, sizeof *made->free, error);
    made->bucket = sc_memory_alloc(n_pages, sizeof *made->bucket, error);
    if (made->page == NULL || made->free == NULL || made->bucket == NULL) {
        sc_pages_free(made);
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < n_pages; i++) {
        made->free[i] = (int32_t)(n_pages - 1 - i);
        made->bucket[i] = -1;
    }
    *pages = made;
    return SEMCAL_OK;
}

void sc_pages_free(sc_pages *pages)
{
    if (pages != NULL) {
        free(pages->page);
        free(pages->free);
        free(pages->bucket);
        free(pages);
    }
}

static int32_t *bucket_of(sc_pages *pages, uint64_t before, const int32_t tokens[SC_PAGE])
{
    uint64_t hash = before * UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < SC_PAGE; i++) {
        hash = (hash ^ (uint32_t)tokens[i]) * UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 32;
    }
    return &pages->bucket[hash % pages->n_buckets];
}

static void unindex(sc_pages *pages, int32_t id)
{
    struct page *page = &pages->page[id];
    int32_t *at = bucket_of(pages, page->before, page->tokens);
    while (*at != id) {
        at = &pages->page[*at].next_in_bucket;
    }
    *at = page->next_in_bucket;
    page->indexed = false;
    sc_pages_drop(pages, id);
}

/* Frees idle pages: those of the older half of the span of last uses. A page whose predecessor is gone can no longer be
 * found, as names are never used again; it ages out. */
static void evict(sc_pages *pages)
{
    uint64_t oldest = UINT64_MAX, newest = 0;
    for (size_t i = 0; i < pages->n; i++) {
        const struct page *page = &pages->page[i];
        if (page->indexed && page->holders == 1) {
            oldest = page->last_use < oldest ? page->last_use : oldest;
            newest = page->last_use > newest ? page->last_use : newest;
        }
    }
    for (size_t i = 0; i < pages->n && oldest != UINT64_MAX; i++) {
        const struct page *page = &pages->page[i];
        if (page->indexed && page->holders == 1 && page->last_use <= oldest + (newest - oldest) / 2) {
            pages->n_idle--;
            unindex(pages, (int32_t)i);
        }
    }
}

semcal_status sc_pages_take(sc_pages *pages, int32_t *page, semcal_error *error)
{
    if (pages->n_free == 0) {
        evict(pages);
    }
    if (pages->n_free == 0) {
        return sc_error_set(error, SEMCAL_E_DEVICE,
                            "all %zu pages of keys and values are in use: raise kv_memory or lower the batch",
                            pages->n);
    }
    *page = pages->free[--pages->n_free];
    pages->page[*page] = (struct page){.holders = 1, .name = ++pages->names};
    return SEMCAL_OK;
}

void sc_pages_hold(sc_pages *pages, int32_t page)
{
    if (pages->page[page].indexed && pages->page[page].holders == 1) {
        pages->n_idle--;
    }
    pages->page[page].holders++;
}

void sc_pages_drop(sc_pages *pages, int32_t page)
{
    const uint32_t left = --pages->page[page].holders;
    if (left == 0) {
        pages->free[pages->n_free++] = page;
    } else if (left == 1 && pages->page[page].indexed) {
        pages->n_idle++;
    }
}

bool sc_pages_claim(sc_pages *pages, int32_t page, uint32_t slot)
{
    if (pages->page[page].claimed != slot) {
        return false;
    }
    pages->page[page].claimed++;
    return true;
}

void sc_pages_set_claimed(sc_pages *pages, int32_t page, uint32_t n)
{
    pages->page[page].claimed = n;
}

int32_t sc_pages_find(sc_pages *pages, int32_t before, const int32_t tokens[SC_PAGE])
{
    const uint64_t name = before < 0 ? 0 : pages->page[before].name;
    for (int32_t id = *bucket_of(pages, name, tokens); id >= 0; id = pages->page[id].next_in_bucket) {
        struct page *page = &pages->page[id];
        if (page->before == name && memcmp(page->tokens, tokens, sizeof page->tokens) == 0) {
            page->last_use = ++pages->clock;
            sc_pages_hold(pages, id);
            return id;
        }
    }
    return -1;
}

void sc_pages_index(sc_pages *pages, int32_t id, int32_t before, const int32_t tokens[SC_PAGE])
{
    struct page *page = &pages->page[id];
    if (page->indexed) {
        return;
    }
    page->before = before < 0 ? 0 : pages->page[before].name;
    memcpy(page->tokens, tokens, sizeof page->tokens);
    int32_t *bucket = bucket_of(pages, page->before, tokens);
    page->next_in_bucket = *bucket;
    *bucket = id;
    page->last_use = ++pages->clock;
    sc_pages_hold(pages, id);
    page->indexed = true;
}

void sc_pages_forget(sc_pages *pages, int32_t page)
{
    if (pages->page[page].indexed) {
        pages->n_idle -= pages->page[page].holders == 1;
        unindex(pages, page);
    }
}

size_t sc_pages_available(const sc_pages *pages)
{
    return pages->n_free + pages->n_idle;
}

size_t sc_pages_total(const sc_pages *pages)
{
    return pages->n;
}

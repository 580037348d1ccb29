/* SPDX-License-Identifier: Apache-2.0 */
/* What a profile says attention must read: against a table of every position of every page. */
#include "model/attended.h"

#include "abi.h"
#include "check.h"

enum { PAGES = 60, ROWS = 400, LISTS = 12, PER_LIST = 9 };

typedef struct pass {
    int32_t position[ROWS], table[ROWS], pages[LISTS * PER_LIST], chosen[ROWS];
    size_t n, n_chosen;
} pass;

static uint32_t seed = 7;

static size_t below(size_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (size_t)((uint64_t)(seed >> 8) * n >> 24);
}

static void check_counts(const pass *p, const int32_t *row, size_t n, double positions, double pairs)
{
    static bool read[PAGES][SC_PAGE];
    unsigned char seen[PAGES];
    memset(read, 0, sizeof read);
    memset(seen, 0xff, sizeof seen); /* room that holds anything */
    double n_pairs = 0, n_read = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t r = row != NULL ? (size_t)row[i] : i;
        for (int32_t at = 0; at <= p->position[r]; at++) {
            bool *place = &read[p->pages[p->table[r] + at / SC_PAGE]][at % SC_PAGE];
            n_read += !*place;
            *place = true;
            n_pairs++;
        }
    }
    const sc_forward forward = {.n_rows = p->n, .position = p->position, .table = p->table, .pages = p->pages};
    sc_attended counted;
    sc_attended_count(&counted, seen, PAGES, &forward, row, n);
    assert_true(counted.positions == n_read && counted.pairs == n_pairs);
    assert_true((positions < 0 || positions == n_read) && (pairs < 0 || pairs == n_pairs));
}

static void add(pass *p, size_t list, size_t position)
{
    p->position[p->n] = (int32_t)position;
    p->table[p->n++] = (int32_t)(list * PER_LIST);
}

/* A prompt of 3 pages, the fourth shared half full, a page of its own for every list. */
static void shared_prompt(void **state)
{
    (void)state;
    static pass p;
    for (size_t i = 0; i < LISTS; i++) {
        for (size_t k = 0; k < PER_LIST; k++) {
            p.pages[i * PER_LIST + k] = (int32_t)(k < 4 ? 9 - k : 10 + i);
        }
    }
    for (size_t i = 0; i < LISTS; i++) {
        add(&p, i, 4 * SC_PAGE + i);
    }
    check_counts(&p, NULL, p.n, 4 * SC_PAGE + 78, 12 * 4 * SC_PAGE + 78); /* 1 + 2 + .. + 12 */
    add(&p, 3, 4 * SC_PAGE + 9);                                          /* further in a page that was counted */
    check_counts(&p, NULL, p.n, 4 * SC_PAGE + 78 + 6, 13 * 4 * SC_PAGE + 78 + 10);
    const int32_t two[] = {11, 2};
    check_counts(&p, two, 2, 4 * SC_PAGE + 15, 2 * 4 * SC_PAGE + 15);
    check_counts(&p, two, 0, 0, 0);
}

static void nothing_shared(void **state)
{
    (void)state;
    static pass p;
    for (size_t i = 0; i < LISTS * 3; i++) {
        p.pages[i / 3 * PER_LIST + i % 3] = (int32_t)(PAGES - 1 - i);
    }
    for (size_t i = 0; i < LISTS; i++) {
        add(&p, i, 2 * SC_PAGE + i);
    }
    check_counts(&p, NULL, p.n, 12 * 2 * SC_PAGE + 78, 12 * 2 * SC_PAGE + 78);
}

/* Prompts of several questions one after the other, every token a row, two of them with a preamble in common. */
static void packed_prompts(void **state)
{
    (void)state;
    static pass p;
    const size_t length[] = {40, 7, 100, 16};
    const int32_t first_page[] = {0, 10, 20, 30};
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < PER_LIST; k++) {
            p.pages[i * PER_LIST + k] = i == 2 && k < 2 ? (int32_t)k : first_page[i] + (int32_t)k;
        }
        for (size_t t = i == 2 ? 2 * SC_PAGE : 0; t < length[i]; t++) {
            add(&p, i, t);
        }
    }
    check_counts(&p, NULL, p.n, 40 + 7 + 68 + 16, 40 * 41 / 2 + 7 * 8 / 2 + 100 * 101 / 2 - 32 * 33 / 2 + 16 * 17 / 2);
}

/* Trees of any form, rows in any order; page k of a list stands at place k of every list that has it. */
static void anything(void **state)
{
    (void)state;
    static pass p;
    for (size_t trial = 0; trial < 300; trial++) {
        p.n = p.n_chosen = 0;
        for (size_t i = 0; i < LISTS; i++) {
            const size_t parent = i > 0 ? below(i) : 0, kept = i > 0 ? below(PER_LIST + 1) : 0;
            for (size_t k = 0; k < PER_LIST; k++) {
                const size_t own = k * (PAGES / PER_LIST) + below(PAGES / PER_LIST);
                p.pages[i * PER_LIST + k] = k < kept ? p.pages[parent * PER_LIST + k] : (int32_t)own;
            }
        }
        const size_t n = 1 + below(ROWS - 1);
        while (p.n < n) {
            add(&p, below(LISTS), below(PER_LIST * SC_PAGE));
            if (below(3) == 0) {
                p.chosen[p.n_chosen++] = (int32_t)below(p.n);
            }
        }
        check_counts(&p, NULL, p.n, -1, -1);
        check_counts(&p, p.chosen, p.n_chosen, -1, -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_prompt),
        cmocka_unit_test(nothing_shared),
        cmocka_unit_test(packed_prompts),
        cmocka_unit_test(anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

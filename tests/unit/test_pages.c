/* SPDX-License-Identifier: Apache-2.0 */
/* Bookkeeping of pages: holders, slots, the index and what it gives up when room is needed. */
#include "check.h"
#include "model/pages.h"

static semcal_error error = SEMCAL_ERROR_INIT;

static int32_t take(sc_pages *pages)
{
    int32_t page;
    check_ok(sc_pages_take(pages, &page, &error), error);
    return page;
}

static void tokens_of(int32_t tokens[SC_PAGE], int32_t seed)
{
    for (int32_t i = 0; i < SC_PAGE; i++) {
        tokens[i] = seed * 100 + i;
    }
}

static void holders_and_slots(void **state)
{
    (void)state;
    sc_pages *pages;
    check_ok(sc_pages_create(&pages, 3, &error), error);
    const int32_t a = take(pages), b = take(pages), c = take(pages);
    assert_true(a != b && b != c && a != c);
    int32_t none;
    check_error(sc_pages_take(pages, &none, &error), error, SEMCAL_E_DEVICE, "all 3 pages");
    assert_true(sc_pages_claim(pages, a, 0));
    assert_false(sc_pages_claim(pages, a, 0)); /* somebody has it */
    assert_true(sc_pages_claim(pages, a, 1));
    sc_pages_set_claimed(pages, b, 9);
    assert_true(sc_pages_claim(pages, b, 9));
    sc_pages_hold(pages, a);
    sc_pages_drop(pages, a);
    assert_int_equal(sc_pages_available(pages), 0);
    sc_pages_drop(pages, a);
    assert_int_equal(sc_pages_available(pages), 1);
    assert_int_equal(take(pages), a);
    assert_true(sc_pages_claim(pages, a, 0)); /* a fresh page has no slots taken */
    sc_pages_free(pages);
}

static void index_finds_exact_prefixes(void **state)
{
    (void)state;
    sc_pages *pages;
    check_ok(sc_pages_create(&pages, 8, &error), error);
    int32_t x[SC_PAGE], y[SC_PAGE];
    tokens_of(x, 1);
    tokens_of(y, 2);
    const int32_t first = take(pages), second = take(pages), other = take(pages);
    sc_pages_index(pages, first, -1, x);
    sc_pages_index(pages, second, first, y);
    sc_pages_index(pages, other, -1, y);
    assert_int_equal(sc_pages_find(pages, -1, x), first);
    assert_int_equal(sc_pages_find(pages, first, y), second);
    assert_int_equal(sc_pages_find(pages, -1, y), other); /* the same tokens elsewhere are another page */
    assert_int_equal(sc_pages_find(pages, other, y), -1);
    y[SC_PAGE - 1]++;
    assert_int_equal(sc_pages_find(pages, first, y), -1);
    sc_pages_free(pages);
}

static void index_gives_way(void **state)
{
    (void)state;
    enum { N = 6 };
    sc_pages *pages;
    check_ok(sc_pages_create(&pages, N, &error), error);
    int32_t tokens[SC_PAGE], page[N];
    for (int32_t i = 0; i < N; i++) {
        tokens_of(tokens, i);
        page[i] = take(pages);
        sc_pages_index(pages, page[i], -1, tokens);
        if (i != 2) {
            sc_pages_drop(pages, page[i]); /* all but one are held by the index alone */
        }
    }
    assert_int_equal(sc_pages_available(pages), N - 1);
    tokens_of(tokens, 0);
    assert_int_equal(sc_pages_find(pages, -1, tokens), page[0]); /* used again: now the youngest */
    sc_pages_drop(pages, page[0]);
    const int32_t fresh = take(pages);
    assert_true(fresh != page[2] && fresh != page[0]);
    tokens_of(tokens, 0);
    assert_int_equal(sc_pages_find(pages, -1, tokens), page[0]);
    tokens_of(tokens, 1);
    assert_int_equal(sc_pages_find(pages, -1, tokens), -1); /* the oldest is gone */
    tokens_of(tokens, 2);
    assert_int_equal(sc_pages_find(pages, -1, tokens), page[2]); /* what is held never goes */
    /* page[0], page[2] and fresh are held now; the other three can be had, no more */
    assert_int_equal(sc_pages_available(pages), 3);
    for (int i = 0; i < 3; i++) {
        (void)take(pages);
    }
    int32_t none;
    check_error(sc_pages_take(pages, &none, &error), error, SEMCAL_E_DEVICE, "all 6 pages");
    sc_pages_forget(pages, page[2]);
    sc_pages_drop(pages, page[2]);
    sc_pages_drop(pages, page[2]);
    assert_int_equal(take(pages), page[2]);
    sc_pages_free(pages);
}

/* A successor of a page that went can never be found under what takes its place. */
static void names_are_never_reused(void **state)
{
    (void)state;
    sc_pages *pages;
    check_ok(sc_pages_create(&pages, 3, &error), error);
    int32_t x[SC_PAGE], y[SC_PAGE], z[SC_PAGE];
    tokens_of(x, 1);
    tokens_of(y, 2);
    tokens_of(z, 3);
    const int32_t first = take(pages), second = take(pages);
    sc_pages_index(pages, first, -1, x);
    sc_pages_index(pages, second, first, y);
    sc_pages_forget(pages, first);
    sc_pages_drop(pages, first);
    const int32_t again = take(pages);
    assert_int_equal(again, first);
    sc_pages_index(pages, again, -1, z);
    assert_int_equal(sc_pages_find(pages, again, y), -1);
    sc_pages_free(pages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holders_and_slots),
        cmocka_unit_test(index_finds_exact_prefixes),
        cmocka_unit_test(index_gives_way),
        cmocka_unit_test(names_are_never_reused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/room.h"

#include "check.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/semcal-room-XXXXXX";

/* root/name with that text; a folder without one. */
static const char *put(const char *name, const char *text)
{
    static char paths[16][128];
    static size_t n;
    char *path = paths[n++ % 16];
    (void)snprintf(path, sizeof paths[0], "%s/%s", root, name);
    if (text == NULL) {
        assert_int_equal(mkdir(path, 0700), 0);
        return path;
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
    return path;
}

static void files(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(root));
    const char *meminfo =
        put("meminfo", "MemTotal:  1000 kB\nMemFree:  10 kB\nMemAvailable:   600 kB\nBuffers: 1 kB\n");
    const char *member = put("member", "12:cpu:/elsewhere\n0::/a/b\n"), *nowhere = "/nowhere/at/all";
    assert_int_equal(sc_room_of(meminfo, nowhere, nowhere), 614400);
    assert_int_equal(sc_room_of(meminfo, member, nowhere), 614400);
    assert_true(sc_room_of(nowhere, nowhere, nowhere) == UINT64_MAX);
    (void)put("a", NULL);
    (void)put("a/b", NULL);
    (void)put("a/b/memory.max", "max\n");
    (void)put("a/b/memory.current", "100000\n");
    assert_int_equal(sc_room_of(meminfo, member, root), 614400);
    (void)put("a/memory.max", "600000\n"); /* of a group above */
    (void)put("a/memory.current", "150000\n");
    assert_int_equal(sc_room_of(meminfo, member, root), 450000);
    (void)put("a/b/memory.max", "500000\n");
    assert_int_equal(sc_room_of(meminfo, member, root), 400000);
    (void)put("memory.max", "300000\n"); /* of all */
    (void)put("memory.current", "1\n");
    assert_int_equal(sc_room_of(meminfo, member, root), 299999);
    assert_int_equal(sc_room_of(nowhere, nowhere, root), 299999);
    (void)put("a/b/memory.current", "500001\n");
    assert_int_equal(sc_room_of(meminfo, member, root), 0);
    const char *const names[] = {"meminfo",
                                 "member",
                                 "a/b/memory.max",
                                 "a/b/memory.current",
                                 "a/memory.max",
                                 "a/memory.current",
                                 "memory.max",
                                 "memory.current",
                                 "a/b",
                                 "a",
                                 ""};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", root, names[i]);
        assert_int_equal(remove(path), 0);
    }
}

static void here(void **state)
{
    (void)state;
    const uint64_t room = sc_room();
    const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    assert_true(room > 1 << 20);
    assert_true(room == UINT64_MAX || room <= (uint64_t)pages * (uint64_t)size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(files), cmocka_unit_test(here)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/room.h"

#include "check.h"

#include <stdio.h>
#include <unistd.h>

static char folder[] = "/tmp/semcal-room-XXXXXX";

static const char *file_of(const char *name, const char *text)
{
    static char paths[8][128];
    static size_t n;
    char *path = paths[n++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
    return path;
}

static void files(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    const char *meminfo =
        file_of("meminfo", "MemTotal:  1000 kB\nMemFree:  10 kB\nMemAvailable:   600 kB\nBuffers: 1 kB\n");
    const char *none = "/nowhere/at/all", *open = file_of("open", "max\n"), *most = file_of("most", "500000\n");
    const char *used = file_of("used", "100000\n"), *over = file_of("over", "700000\n");
    assert_int_equal(sc_room_of(meminfo, none, none), 614400);
    assert_int_equal(sc_room_of(meminfo, open, used), 614400);
    assert_int_equal(sc_room_of(meminfo, most, used), 400000);
    assert_int_equal(sc_room_of(meminfo, over, used), 600000);
    assert_int_equal(sc_room_of(meminfo, most, over), 0);
    assert_true(sc_room_of(none, none, none) == UINT64_MAX);
    assert_int_equal(sc_room_of(none, most, used), 400000);
    assert_true(sc_room_of(file_of("old", "MemTotal:  1000 kB\n"), none, none) == UINT64_MAX);
    const char *const names[] = {"meminfo", "open", "most", "used", "over", "old"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(folder), 0);
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

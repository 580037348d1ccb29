/* SPDX-License-Identifier: Apache-2.0 */
#include "base/room.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

static bool read_number(uint64_t *number, const char *path)
{
    FILE *file = fopen(path, "r");
    const bool found = file != NULL && fscanf(file, "%" SCNu64, number) == 1; /* "max": none */
    if (file != NULL) {
        (void)fclose(file);
    }
    return found;
}

static uint64_t available(const char *path)
{
    FILE *file = fopen(path, "r");
    char line[256];
    uint64_t kilobytes = 0;
    bool found = false;
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        found = sscanf(line, "MemAvailable: %" SCNu64 " kB", &kilobytes) == 1;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return found && kilobytes <= UINT64_MAX / 1024 ? kilobytes * 1024 : UINT64_MAX;
}

uint64_t sc_room_of(const char *meminfo, const char *most, const char *current)
{
    const uint64_t room = available(meminfo);
    uint64_t limit, used;
    if (!read_number(&limit, most) || !read_number(&used, current)) {
        return room;
    }
    const uint64_t left = limit > used ? limit - used : 0;
    return left < room ? left : room;
}

uint64_t sc_room(void)
{
    return sc_room_of("/proc/meminfo", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current");
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/room.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 4096 };

static bool read_number(uint64_t *number, const char *folder, const char *name)
{
    char path[2 * PATH_BYTES + 32];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    const bool found = file != NULL && fscanf(file, "%" SCNu64, number) == 1; /* "max": none */
    if (file != NULL) {
        (void)fclose(file);
    }
    return found;
}

/* The group's path below the root of all groups: what stands behind "0::". */
static bool read_membership(char *group, size_t size, const char *path)
{
    FILE *file = fopen(path, "r");
    char line[PATH_BYTES];
    bool found = false;
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        found = strncmp(line, "0::/", 4) == 0;
        if (found) {
            (void)snprintf(group, size, "%s", line + 3);
        }
    }
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

uint64_t sc_room_of(const char *meminfo, const char *membership, const char *groups)
{
    uint64_t room = available(meminfo);
    char group[PATH_BYTES] = "", folder[2 * PATH_BYTES];
    (void)read_membership(group, sizeof group, membership);
    for (;;) { /* from the process's group up to the root */
        uint64_t limit, used;
        const int length = snprintf(folder, sizeof folder, "%s%s", groups, group);
        if (length > 0 && read_number(&limit, folder, "memory.max") &&
            read_number(&used, folder, "memory.current")) {
            const uint64_t left = limit > used ? limit - used : 0;
            room = left < room ? left : room;
        }
        char *end = strrchr(group, '/');
        if (end == NULL) {
            return room;
        }
        *end = '\0';
    }
}

uint64_t sc_room(void)
{
    return sc_room_of("/proc/meminfo", "/proc/self/cgroup", "/sys/fs/cgroup");
}

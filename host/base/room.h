/* SPDX-License-Identifier: Apache-2.0 */
/* How much memory the system would still give. */
#ifndef SC_BASE_ROOM_H
#define SC_BASE_ROOM_H

#include <stdint.h>

/* Bytes that can be allocated without anybody being swapped out or ended: what Linux calls available, less where a
 * control group (version 2: this process's and those above it) allows less. UINT64_MAX where the system does not tell.
 */
uint64_t sc_room(void);

/* The same from files: `meminfo` as /proc/meminfo, `membership` as /proc/self/cgroup, `groups` as /sys/fs/cgroup. */
uint64_t sc_room_of(const char *meminfo, const char *membership, const char *groups);

#endif

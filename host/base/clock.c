/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

double sc_clock_now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Field 22 of /proc/self/stat: when the process started, in ticks since the system did; NaN: not there. */
static double started_s(void)
{
    enum { BEHIND_NAME = 20 };
    char line[1024];
    FILE *file = fopen("/proc/self/stat", "r");
    const size_t n = file != NULL ? fread(line, 1, sizeof line - 1, file) : 0;
    if (file != NULL) {
        (void)fclose(file);
    }
    line[n] = '\0';
    const char *at = strrchr(line, ')'); /* the second field, the name, may hold anything */
    for (int i = 0; i < BEHIND_NAME && at != NULL; i++) {
        at = strchr(at + 1, ' ');
    }
    const long ticks_per_s = sysconf(_SC_CLK_TCK);
    return at == NULL || ticks_per_s <= 0 ? NAN : strtod(at, NULL) / (double)ticks_per_s;
}

double sc_clock_process_s(void)
{
#ifdef CLOCK_BOOTTIME
    struct timespec t;
    if (clock_gettime(CLOCK_BOOTTIME, &t) == 0) {
        const double since_s = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec - started_s();
        return since_s >= 0 ? since_s : NAN;
    }
#endif
    return NAN;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/phases.h"

#include "base/clock.h"

#include <stddef.h>

void sc_phases_start(sc_phases *phases)
{
    *phases = (sc_phases){.since = sc_clock_now_s()};
}

sc_phase sc_phases_enter(sc_phases *phases, sc_phase phase)
{
    if (phases == NULL) {
        return SC_PHASE_REST;
    }
    const sc_phase left = phases->now;
    const double now = sc_clock_now_s();
    phases->seconds[left] += now - phases->since;
    phases->since = now;
    phases->now = phase;
    return left;
}

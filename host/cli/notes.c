/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/notes.h"

#include <stdio.h>

void sc_cli_notes(const sc_device *device)
{
    for (size_t i = 0; device != NULL && i < sc_device_n_notes(device); i++) {
        fprintf(stderr, "semcal: warning: %s\n", sc_device_note_at(device, i));
    }
}

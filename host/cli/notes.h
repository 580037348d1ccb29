/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SC_CLI_NOTES_H
#define SC_CLI_NOTES_H

#include "device/device.h"

/* Shows on stderr what the device has noted (sc_device_note) when a command is done with it. NULL is fine. */
void sc_cli_notes(const sc_device *device);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Where a device's time went, kernel by kernel, as a table or JSON. */
#ifndef SC_CLI_PROFILE_H
#define SC_CLI_PROFILE_H

#include "device/device.h"

#include <jansson.h>

/* The device was opened with `profile`; `wall_s` is the time all of it took. Both print what has happened up to the
 * last wait for the device. */
semcal_status sc_cli_profile_print(sc_device *device, double wall_s, semcal_error *error);
/* A new object: device, wall_s, idle, ceilings and a list of kernels. */
semcal_status sc_cli_profile_json(json_t **object, sc_device *device, double wall_s, semcal_error *error);

#endif

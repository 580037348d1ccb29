/* SPDX-License-Identifier: Apache-2.0 */
/* Where a device's time went, kernel by kernel, as a table or JSON. */
#ifndef SC_CLI_PROFILE_H
#define SC_CLI_PROFILE_H

#include "base/phases.h"
#include "device/device.h"

#include <jansson.h>

/* The host's side of it. */
typedef struct sc_cli_host_profile {
    const sc_phases *phases; /* of the thread that used the device */
    const sc_phases *behind; /* of the one that joins and collapses what is drawn, beside it */
    double writer_s;         /* worked by the stores' writer threads, beside both */
    double first_token_s;    /* from the start of the process to the first token of the run; NaN: none, or unknown */
} sc_cli_host_profile;

/* The device was opened with `profile`; `wall_s` is the time all of it took. Both print what has happened up to the
 * last wait for the device. `host` may be NULL. */
semcal_status sc_cli_profile_print(sc_device *device, double wall_s, const sc_cli_host_profile *host,
                                   semcal_error *error);
/* A new object: device, wall_s, idle, ceilings, a list of kernels, "host" with seconds by phase, first_token_s. */
semcal_status sc_cli_profile_json(json_t **object, sc_device *device, double wall_s, const sc_cli_host_profile *host,
                                  semcal_error *error);

#endif

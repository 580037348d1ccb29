/* SPDX-License-Identifier: Apache-2.0 */
/* The device of a kernel test: a machine without any OpenCL device skips it, a device that does not open is a fault. */
#ifndef SC_TESTS_TEST_DEVICE_H
#define SC_TESTS_TEST_DEVICE_H

#include "check.h"
#include "device/device.h"

#include <stdlib.h>

static inline bool open_test_device(sc_device **device)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_device_info *list = NULL;
    size_t n = 0;
    if (sc_device_list(&list, &n, &error) != SEMCAL_OK ||
        (n > 0 && sc_device_open(device, NULL, &error) != SEMCAL_OK)) {
        print_message("FAILED: %s\n", error.message);
        exit(1);
    }
    free(list);
    if (n == 0) {
        print_message("skipped: this machine has no OpenCL device\n");
    }
    return n > 0;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Every kernel file in its GPU forms through the compiler of the device that is there. */
#include "device/device.h"

#include "check.h"

#include <glob.h>

static sc_device *device;

static void gpu_forms(void **state)
{
    (void)state;
    const char *source = getenv("SEMCAL_SOURCE");
    if (source == NULL) {
        print_message("skipped: SEMCAL_SOURCE is not set\n");
        skip();
    }
    char pattern[4096];
    (void)snprintf(pattern, sizeof pattern, "%s/cl/*.cl", source);
    glob_t files;
    assert_int_equal(glob(pattern, 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        const char *name = strrchr(files.gl_pathv[i], '/') + 1;
        if (strcmp(name, "gemm.cl") == 0) {
            continue; /* CPUs only */
        }
        /* types, weights and the other work-group size: clang's front end in tests/cli/test_cl_compile.sh */
        static const char options[] = "-DLSZ=256 -DVW=4 -DTI=8 -DROWS_TYPE=0 -DHEADS=14 -DKV_HEADS=2 -DHEAD=64";
        semcal_error error = SEMCAL_ERROR_INIT;
        sc_program *program;
        check_ok(sc_program_get(&program, device, name, options, &error), error);
    }
    globfree(&files);
}

int main(void)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    if (sc_device_open(&device, NULL, &error) != SEMCAL_OK) {
        print_message("skipped: %s\n", error.message);
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(gpu_forms)};
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sc_device_close(device);
    return failed;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "device/selftest.h"

#include "base/file.h"
#include "base/memory.h"
#include "device/cache.h"
#include "device/opencl.h"

#include <stdlib.h>
#include <string.h>

static const char passed[] = "passed", failed[] = "failed";

/* Whether `name` stands in a list with commas. */
static bool is_listed(const char *list, const char *name)
{
    const size_t n = strlen(name);
    while (list != NULL && *list != '\0') {
        const char *end = strchr(list, ',');
        const size_t length = end != NULL ? (size_t)(end - list) : strlen(list);
        if (length == n && memcmp(list, name, n) == 0) {
            return true;
        }
        list = end != NULL ? end + 1 : NULL;
    }
    return false;
}

static bool make_key(char key[65], const sc_device *device, const char *name, const sc_program *program)
{
    const sc_device_info *info = &device->info;
    sc_text text = {0};
    const bool made = sc_text_printf(&text, NULL, "selftest\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n", name,
                                     sc_program_sha256(program), sc_program_options(program), info->name, info->driver,
                                     info->version, info->platform_version) == SEMCAL_OK;
    if (made) {
        sc_sha256_hex(key, text.data, text.length);
    }
    sc_text_free(&text);
    return made;
}

static bool run(sc_selftest_body body, void *payload, semcal_error *why)
{
    bool same = false;
    return body(&same, payload, why) == SEMCAL_OK && same;
}

bool sc_selftest(sc_device *device, const char *name, const char *instead, const sc_program *program,
                 sc_selftest_body body, void *payload)
{
    char key[65];
    semcal_error why = SEMCAL_ERROR_INIT;
    bool usable = false;
    if (is_listed(getenv("SEMCAL_SELFTEST_FAIL"), name)) {
        (void)sc_error_set(&why, SEMCAL_E_DEVICE, "SEMCAL_SELFTEST_FAIL names it");
    } else if (device->no_cache || !make_key(key, device, name, program)) {
        usable = run(body, payload, &why);
    } else {
        size_t length = 0;
        char *verdict = sc_cache_load(&length, key);
        usable = verdict != NULL && length == strlen(passed) && memcmp(verdict, passed, length) == 0;
        if (verdict == NULL) {
            usable = run(body, payload, &why);
            if (usable || why.status == SEMCAL_OK) { /* an error may be gone the next time */
                sc_cache_store(key, usable ? passed : failed, strlen(usable ? passed : failed));
            }
        }
        free(verdict);
    }
    if (!usable) {
        sc_device_note(device, "%s: the self-test of %s failed (%s); %s is used instead", device->info.name, name,
                       why.status != SEMCAL_OK ? why.message : "other numbers than the reference", instead);
    }
    return usable;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The corpus and every finding of the configuration's fuzz target, replayed. */
#include "../fuzz/fuzz_config.c"

#include "base/file.h"
#include "check.h"

static void replay(void **state)
{
    (void)state;
    static const char folder[] = SEMCAL_FIXTURES "/../fuzz/corpus/config";
    semcal_error error = SEMCAL_ERROR_INIT;
    char **names;
    size_t n;
    check_ok(sc_file_list(&names, &n, folder, "", &error), error);
    assert_true(n >= 3);
    for (size_t i = 0; i < n; i++) {
        char *path = sc_file_join(folder, names[i], &error), *data;
        size_t length;
        check_ok(sc_file_read(&data, &length, path, &error), error);
        assert_int_equal(LLVMFuzzerTestOneInput((const uint8_t *)data, length), 0);
        free(data);
        free(path);
    }
    sc_file_list_free(names, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(replay)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

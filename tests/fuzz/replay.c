/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz harness over every file of a folder: seeds and past findings, as part of the normal tests. */
#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    char **names = NULL;
    size_t n = 0;
    if (argc != 2 || sc_file_list(&names, &n, argv[1], "", &error) != SEMCAL_OK || n == 0) {
        fprintf(stderr, "usage: %s FOLDER (with files): %s\n", argv[0], error.message);
        return 1;
    }
    for (size_t i = 0; i < n; i++) {
        char *path = sc_file_join(argv[1], names[i], &error), *data;
        size_t length;
        if (path == NULL || sc_file_read(&data, &length, path, &error) != SEMCAL_OK) {
            fprintf(stderr, "%s\n", error.message);
            return 1;
        }
        printf("%s\n", names[i]);
        (void)fflush(stdout);
        (void)LLVMFuzzerTestOneInput((const uint8_t *)data, length);
        free(data);
        free(path);
    }
    sc_file_list_free(names, n);
    return 0;
}

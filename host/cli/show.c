/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/show.h"
#include "base/file.h"
#include "base/nearest.h"
#include "cli/cli.h"
#include "experiment/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

semcal_status sc_cli_show(int argc, char **argv, semcal_error *error);

static const sc_cli_usage usage = {
    "show",
    "config|devices|RUN|FILE",
    "every key of a configuration; every OpenCL device; a run; what is in a file or model",
    1,
    1,
    "config   every key with type, default and meaning\n"
    "devices  every OpenCL device\n"
    "RUN      the cells of a run folder with a reliability diagram of each; analysed first when need be;\n"
    "         in plain ASCII where LC_ALL, LC_CTYPE or LANG names another encoding than UTF-8\n"
    "FILE     sizes, variables with units and attributes of an HDF5 file; shape of a .npy file;\n"
    "         tensors of a .safetensors file or a model folder"};

static semcal_status show_config(bool json, semcal_error *error)
{
    sc_text text = {0};
    semcal_status status = sc_config_describe(&text, json, error);
    if (status == SEMCAL_OK) {
        fputs(text.data, stdout);
    }
    sc_text_free(&text);
    return status;
}

static bool is_run(const char *path)
{
    char *resolved = sc_file_join(path, "resolved.yaml", NULL);
    bool is = resolved != NULL && sc_file_is_folder(path) && sc_file_exists(resolved);
    free(resolved);
    return is;
}

semcal_status sc_cli_show(int argc, char **argv, semcal_error *error)
{
    bool json = false, help;
    const sc_cli_option options[] = {{"json", 0, SC_CLI_FLAG, &json, NULL, "print JSON"}};
    const char **operands = sc_memory_alloc((size_t)argc, sizeof *operands, error);
    if (operands == NULL) {
        return SEMCAL_E_MEMORY;
    }
    int n_operands;
    semcal_status status = sc_cli_parse(&n_operands, operands, &help, &usage, options, sizeof options / sizeof *options,
                                        argc, argv, error);
    if (status == SEMCAL_OK && !help && !sc_file_exists(operands[0])) {
        static const char *const words[] = {"config", "devices"};
        const char *near = sc_nearest_name(operands[0], words, 2);
        if (near != NULL && strcmp(near, operands[0]) != 0) {
            status = sc_error_set(error, SEMCAL_E_CONFIG, "'%s' is no file, did you mean '%s'?", operands[0], near);
        }
    }
    if (status == SEMCAL_OK && !help) {
        status = strcmp(operands[0], "config") == 0    ? show_config(json, error)
                 : strcmp(operands[0], "devices") == 0 ? sc_cli_show_devices(json, error)
                 : is_run(operands[0])                 ? sc_cli_show_run(operands[0], json, error)
                                                       : sc_cli_show_file(operands[0], json, error);
    }
    free(operands);
    return status;
}

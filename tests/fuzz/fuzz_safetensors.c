/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: a safetensors file. Whatever comes, there is one line of error or tensors that lie inside the file. */
#include "formats/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds, const char *what, const semcal_error *error)
{
    if (!holds) {
        fprintf(stderr, "broken: %s (%d: %s)\n", what, (int)error->status, error->message);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_tensor_set *set;
    if (sc_tensor_set_parse(&set, data, size, "input", &error) != SEMCAL_OK) {
        require(error.status == SEMCAL_E_DATA, "a bad file is an error of data", &error);
        require(strncmp(error.message, "input", 5) == 0, "the message names the file", &error);
        return 0;
    }
    size_t n;
    const sc_tensor *all = sc_tensor_set_all(set, &n);
    for (size_t i = 0; i < n; i++) {
        const sc_tensor *tensor = &all[i];
        require(sc_tensor_set_find(set, tensor->name) == tensor, "a tensor is found by its name", &error);
        require(tensor->data >= data && tensor->n_bytes <= size - (size_t)(tensor->data - data), "data lie in the file",
                &error);
        require(tensor->n_bytes == tensor->n_elements * sc_dtype_size(tensor->dtype), "bytes fit the shape", &error);
        if (tensor->n_elements > 0) {
            double first, last;
            sc_tensor_get_doubles(&first, tensor, 0, 1);
            sc_tensor_get_doubles(&last, tensor, tensor->n_elements - 1, 1);
        }
    }
    sc_tensor_set_close(set);
    return 0;
}

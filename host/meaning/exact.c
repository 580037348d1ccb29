/* SPDX-License-Identifier: Apache-2.0 */
/* Collapse kind `exact`: the whole response as a normalised string. */
#include "meaning/kinds.h"
#include "meaning/words.h"

#include <stdlib.h>

static semcal_status exact_label(char **label, const void *data, const char *response, semcal_error *error)
{
    (void)data;
    semcal_status status = sc_words_exact(label, response, error);
    if (status == SEMCAL_OK && (*label)[0] == '\0') {
        free(*label);
        *label = NULL;
    }
    return status;
}

const sc_collapse_kind sc_collapse_exact = {
    .name = "exact",
    .description = "the whole response, case, white space and surrounding punctuation aside",
    .open_text = true,
    .label = exact_label,
};

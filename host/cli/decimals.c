/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/decimals.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *sc_cli_decimals(char text[16], double value, int decimals)
{
    if (!isfinite(value)) {
        return "-";
    }
    (void)snprintf(text, 16, "%.*f", decimals, value);
    char *zero = strchr(text, '0');
    if (zero != NULL && zero[1] == '.' && (zero == text || (zero == text + 1 && text[0] == '-'))) {
        memmove(zero, zero + 1, strlen(zero));
    }
    return text;
}

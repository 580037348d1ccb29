/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Texts of files end up in messages: one line, and no terminal escapes, whatever they hold. */
static void keep_one_line(char *message)
{
    for (char *c = message; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = ' ';
        }
    }
}

semcal_status sc_error_set(semcal_error *error, semcal_status status, const char *format, ...)
{
    if (error == NULL || error->status != SEMCAL_OK) {
        return status;
    }
    error->status = status;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    keep_one_line(error->message);
    return status;
}

semcal_status sc_error_where(semcal_error *error, const char *format, ...)
{
    if (error == NULL) {
        return SEMCAL_OK;
    }
    if (error->status == SEMCAL_OK) {
        return SEMCAL_OK;
    }
    char old[SEMCAL_ERROR_SIZE];
    memcpy(old, error->message, sizeof old);
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    if (n < 0) {
        memcpy(error->message, old, sizeof old);
        return error->status;
    }
    size_t used = (size_t)n < sizeof error->message ? (size_t)n : sizeof error->message - 1;
    size_t room = sizeof error->message - used;
    /* A message too long for the buffer loses its end, never its beginning. */
    (void)snprintf(error->message + used, room, ": %.*s", (int)(room > 3 ? room - 3 : 0), old);
    keep_one_line(error->message);
    return error->status;
}

void sc_error_clear(semcal_error *error)
{
    if (error != NULL) {
        error->status = SEMCAL_OK;
        error->message[0] = '\0';
    }
}

int semcal_status_exit_code(semcal_status status)
{
    return status == SEMCAL_E_MEMORY ? SEMCAL_E_DEVICE : (int)status;
}

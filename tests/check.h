/* SPDX-License-Identifier: Apache-2.0 */
/* What tests share: cmocka, and comparisons in which a NaN never passes. */
#ifndef SEMCAL_TESTS_CHECK_H
#define SEMCAL_TESTS_CHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <semcal.h>

/* |actual - expected| <= tolerance; equal infinities pass, a NaN on any side fails. */
#define check_close(actual, expected, tolerance)                                                                       \
    check_close_at((double)(actual), (double)(expected), (double)(tolerance), #actual, __FILE__, __LINE__)

static inline void check_close_at(double actual, double expected, double tolerance, const char *what, const char *file,
                                  int line)
{
    if (actual == expected || fabs(actual - expected) <= tolerance) {
        return;
    }
    print_error("%s:%d: %s is %.17g, expected %.17g within %g\n", file, line, what, actual, expected, tolerance);
    fail();
}

/* The call succeeded; otherwise its error text is shown. */
#define check_ok(call, error) check_ok_at((call), &(error), #call, __FILE__, __LINE__)

static inline void check_ok_at(semcal_status status, const semcal_error *error, const char *what, const char *file,
                               int line)
{
    if (status != SEMCAL_OK) {
        print_error("%s:%d: %s gave %d: %s\n", file, line, what, (int)status, error->message);
        fail();
    }
}

/* The call failed with `expected` and its message contains `text`. The error is cleared for the next check. */
#define check_error(call, error, expected, text)                                                                       \
    check_error_at((call), &(error), (expected), (text), #call, __FILE__, __LINE__)

static inline void check_error_at(semcal_status status, semcal_error *error, semcal_status expected, const char *text,
                                  const char *what, const char *file, int line)
{
    if (status != expected || error->status != expected || strstr(error->message, text) == NULL) {
        print_error("%s:%d: %s gave %d \"%s\", expected %d with \"%s\"\n", file, line, what, (int)status,
                    error->message, (int)expected, text);
        fail();
    }
    *error = (semcal_error)SEMCAL_ERROR_INIT;
}

/* Path below the reference folder that may lie beside the project, or NULL when it is absent. */
static inline const char *shared_path(const char *name)
{
    static char path[4096];
    const char *root = getenv("SEMCAL_SHARED");
    if (root == NULL) {
        return NULL;
    }
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return NULL;
    }
    (void)fclose(file);
    return path;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/report_text.h"

#include "formats/csv.h"
#include "language/utf8.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sc_report_text_init(sc_report_text *out, semcal_error *error)
{
    *out = (sc_report_text){.error = error};
}

void sc_report_text_free(sc_report_text *out)
{
    sc_text_free(&out->text);
}

static void append(sc_report_text *out, const char *bytes, size_t length)
{
    if (out->status == SEMCAL_OK) {
        out->status = sc_text_append(&out->text, bytes, length, out->error);
    }
}

void sc_report_put(sc_report_text *out, const char *format, ...)
{
    char line[1024];
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int n = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (n >= 0 && (size_t)n < sizeof line) {
        append(out, line, (size_t)n);
    } else if (n >= 0 && out->status == SEMCAL_OK) {
        char *longer = sc_memory_alloc((size_t)n + 1, 1, out->error);
        if (longer == NULL) {
            out->status = SEMCAL_E_MEMORY;
        } else {
            (void)vsnprintf(longer, (size_t)n + 1, format, again);
            append(out, longer, (size_t)n);
        }
        free(longer);
    }
    va_end(again);
}

/* What stands for a character that a reader must not be exposed to; the character itself when it is harmless. */
static uint32_t visible(uint32_t code)
{
    if (code < 0x20) {
        return 0x2400 + code;
    }
    bool turns = code == 0x200e || code == 0x200f || code == 0x061c || (code >= 0x202a && code <= 0x202e) ||
                 (code >= 0x2066 && code <= 0x2069);
    bool breaks = code == 0x2028 || code == 0x2029;
    bool none = (code & 0xfffe) == 0xfffe || (code >= 0xfdd0 && code <= 0xfdef);
    bool control = code >= 0x80 && code < 0xa0;
    return code == 0x7f ? 0x2421 : turns || breaks || none || control ? 0xfffd : code;
}

static void put_characters(sc_report_text *out, const char *untrusted, size_t most, bool html)
{
    size_t left = strlen(untrusted), n = 0;
    for (const char *at = untrusted; left > 0; n++) {
        uint32_t code;
        size_t step = sc_utf8_decode(&code, at, left);
        if (most > 0 && n == most) {
            append(out, "\xe2\x80\xa6", 3);
            return;
        }
        code = step == 0 ? 0xfffd : visible(code);
        step = step == 0 ? 1 : step;
        const char *entity = !html          ? NULL
                             : code == '&'  ? "&amp;"
                             : code == '<'  ? "&lt;"
                             : code == '>'  ? "&gt;"
                             : code == '"'  ? "&quot;"
                             : code == '\'' ? "&#39;"
                                            : NULL;
        char bytes[4];
        size_t length = sc_utf8_encode(bytes, code);
        append(out, entity != NULL ? entity : bytes, entity != NULL ? strlen(entity) : length);
        at += step;
        left -= step;
    }
}

void sc_report_put_visible(sc_report_text *out, const char *untrusted, size_t most)
{
    put_characters(out, untrusted, most, false);
}

void sc_report_put_html(sc_report_text *out, const char *untrusted, size_t most)
{
    put_characters(out, untrusted, most, true);
}

void sc_report_put_gnuplot(sc_report_text *out, const char *untrusted)
{
    sc_report_text plain;
    sc_report_text_init(&plain, out->error);
    put_characters(&plain, untrusted, 0, false);
    append(out, "'", 1);
    for (const char *at = plain.text.data; at != NULL && *at != '\0'; at++) {
        append(out, "''", *at == '\'' ? 2 : 0);
        append(out, at, *at != '\'');
    }
    append(out, "'", 1);
    sc_report_text_free(&plain);
}

void sc_report_put_csv(sc_report_text *out, const char *text, bool first)
{
    if (out->status == SEMCAL_OK) {
        out->status = sc_csv_append(&out->text, text, strlen(text), first, out->error);
    }
}

void sc_report_put_csv_real(sc_report_text *out, double value)
{
    if (isfinite(value)) {
        sc_report_put(out, ",%.10g", value);
    } else {
        sc_report_put(out, ",");
    }
}

const char *sc_report_share(char text[16], double value)
{
    if (!isfinite(value)) {
        return "\xe2\x80\x93";
    }
    (void)snprintf(text, 16, "%.3f", value);
    if (strcmp(text, "-0.000") == 0) {
        return ".000";
    }
    char *zero = strchr(text, '0');
    if (zero != NULL && zero[1] == '.' && (zero == text || (zero == text + 1 && text[0] == '-'))) {
        memmove(zero, zero + 1, strlen(zero));
    }
    return text;
}

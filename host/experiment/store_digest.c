/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content digests. Canonical bytes: for each variable of the table that is content, its name, the number of values and
 * the values, little-endian, in the precision stored; texts with their lengths; node indices within the question; every
 * NaN the same; of whole laws, their own digest. What scheduling decides is left out, so the digest is that of the data
 * alone.
 */
#include "base/file.h"
#include "experiment/store_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void write_number(char *at, uint64_t bits, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        at[i] = (char)(unsigned char)(bits >> (8 * i) & 255);
    }
}

static semcal_status put_number(sc_text *out, uint64_t bits, size_t size, semcal_error *error)
{
    char bytes[8];
    write_number(bytes, bits, size);
    return sc_text_append(out, bytes, size, error);
}

static uint64_t bits_of_double(double value)
{
    uint64_t bits;
    value = isnan(value) ? (double)NAN : value;
    memcpy(&bits, &value, sizeof bits);
    return isnan(value) ? UINT64_C(0x7ff8000000000000) : bits;
}

static uint64_t bits_of_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return isnan(value) ? UINT32_C(0x7fc00000) : bits;
}

/* One loop per type: there are millions of numbers. */
static void write_numbers(char *at, sc_h5_type memory, sc_h5_type stored, const void *values, size_t n)
{
    switch (memory) {
    case SC_H5_F64:
        for (size_t i = 0; stored == SC_H5_F32 && i < n; i++) {
            write_number(at + 4 * i, bits_of_float((float)((const double *)values)[i]), 4);
        }
        for (size_t i = 0; stored != SC_H5_F32 && i < n; i++) {
            write_number(at + 8 * i, bits_of_double(((const double *)values)[i]), 8);
        }
        break;
    case SC_H5_F32:
        for (size_t i = 0; i < n; i++) {
            write_number(at + 4 * i, bits_of_float(((const float *)values)[i]), 4);
        }
        break;
    case SC_H5_I64:
        for (size_t i = 0; i < n; i++) {
            write_number(at + 8 * i, ((const uint64_t *)values)[i], 8);
        }
        break;
    case SC_H5_I32:
        for (size_t i = 0; i < n; i++) {
            write_number(at + 4 * i, ((const uint32_t *)values)[i], 4);
        }
        break;
    case SC_H5_U8:
        memcpy(at, values, n);
        break;
    case SC_H5_TEXT:
        break;
    }
}

static semcal_status put_text(sc_text *out, const char *text, semcal_error *error)
{
    text = text != NULL ? text : "";
    size_t length = strlen(text);
    semcal_status status = put_number(out, length, 8, error);
    return status == SEMCAL_OK ? sc_text_append(out, text, length, error) : status;
}

semcal_status sc_store_digest_name(sc_text *out, const char *name, size_t n, semcal_error *error)
{
    semcal_status status = sc_text_append(out, name, strlen(name) + 1, error);
    return status == SEMCAL_OK ? put_number(out, n, 8, error) : status;
}

semcal_status sc_store_digest_put(sc_text *out, const char *name, sc_h5_type memory, sc_h5_type stored,
                                  const void *values, size_t n, semcal_error *error)
{
    semcal_status status = sc_store_digest_name(out, name, n, error);
    return status == SEMCAL_OK ? sc_store_digest_values(out, memory, stored, values, n, error) : status;
}

semcal_status sc_store_digest_values(sc_text *out, sc_h5_type memory, sc_h5_type stored, const void *values, size_t n,
                                     semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; memory == SC_H5_TEXT && i < n && status == SEMCAL_OK; i++) {
        status = put_text(out, ((char *const *)values)[i], error);
    }
    if (memory == SC_H5_TEXT || status != SEMCAL_OK) {
        return status;
    }
    size_t size = memory == SC_H5_F64 && stored == SC_H5_F32 ? 4 : sc_store_element_size(memory);
    status = sc_memory_grow(&out->data, &out->capacity, out->length + n * size + 1, 1, error);
    if (status == SEMCAL_OK && n > 0) {
        write_numbers(out->data + out->length, memory, stored, values, n);
        out->length += n * size;
    }
    return status;
}

static bool is_content(const sc_store_variable *v, const sc_store_sizes *sizes)
{
    return sc_store_is_kept(v, sizes) &&
           (v->role == SC_ROLE_PLAIN || v->role == SC_ROLE_RAW || v->role == SC_ROLE_NODE);
}

semcal_status sc_store_digest_record(char hex[65], const sc_store_record *record, const sc_store_sizes *sizes,
                                     semcal_error *error)
{
    sc_text bytes = {0};
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < sc_store_n_variables && status == SEMCAL_OK; i++) {
        const sc_store_variable *v = &sc_store_variables[i];
        if (!is_content(v, sizes)) {
            continue;
        }
        size_t n = sc_store_rows_of(record, v->rows) * sc_store_width(v, sizes);
        status = sc_store_digest_put(&bytes, v->name, v->memory, v->stored, sc_store_values(record, v), n, error);
    }
    if (status == SEMCAL_OK) {
        sc_sha256_hex(hex, bytes.data, bytes.length);
    }
    sc_text_free(&bytes);
    return status;
}

semcal_status sc_store_digest_file_begin(sc_sha256 **sum, size_t n, const sc_store_sizes *sizes, semcal_error *error)
{
    sc_text bytes = {0};
    *sum = sc_sha256_begin(error);
    semcal_status status =
        *sum == NULL ? SEMCAL_E_MEMORY
                     : sc_text_printf(&bytes, error, "%s %d questions %zu draws %zu top %zu raw %d\n", SC_STORE_FORMAT,
                                      SC_STORE_FORMAT_VERSION, n, sizes->n_draws, sizes->n_top, (int)sizes->raw);
    if (status == SEMCAL_OK && sizes->n_vocabulary > 0) {
        status = sc_text_printf(&bytes, error, "logits %zu\n", sizes->n_vocabulary);
    }
    if (status == SEMCAL_OK) {
        sc_sha256_add(*sum, bytes.data, bytes.length);
    }
    sc_text_free(&bytes);
    return status;
}

void sc_store_digest_file_add(sc_sha256 *sum, const char *question)
{
    sc_sha256_add(sum, question, strlen(question));
    sc_sha256_add(sum, "\n", 1);
}

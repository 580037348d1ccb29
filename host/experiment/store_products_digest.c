/* SPDX-License-Identifier: Apache-2.0 */
/* The digest of a collapse's products, from values that come a part at a time. */
#include "base/file.h"
#include "experiment/store_products.h"

/* Bytes gathered before they are summed. */
enum { PART = 1 << 16 };

static semcal_status pass_on(sc_products_digest *digest, size_t most, semcal_status status)
{
    if (status == SEMCAL_OK && digest->bytes.length > most) {
        sc_sha256_add(digest->sum, digest->bytes.data, digest->bytes.length);
        sc_text_clear(&digest->bytes);
    }
    return status;
}

semcal_status sc_products_digest_begin(sc_products_digest *digest, const sc_store_products *p, semcal_error *error)
{
    *digest = (sc_products_digest){.sum = sc_sha256_begin(error)};
    semcal_status status = digest->sum == NULL
                               ? SEMCAL_E_MEMORY
                               : sc_text_printf(&digest->bytes, error, "collapse %s questions %zu draws %zu\n",
                                                p->collapse, p->n_questions, p->n_draws);
    for (size_t q = 0; q <= p->n_questions && status == SEMCAL_OK; q++) {
        status = pass_on(digest, PART, sc_text_printf(&digest->bytes, error, "%zu\n", p->first_class[q]));
    }
    return status;
}

semcal_status sc_products_digest_name(sc_products_digest *digest, const char *name, size_t n, semcal_error *error)
{
    return pass_on(digest, PART, sc_store_digest_name(&digest->bytes, name, n, error));
}

semcal_status sc_products_digest_add(sc_products_digest *digest, sc_h5_type type, const void *values, size_t n,
                                     semcal_error *error)
{
    enum { ELEMENTS = PART / 8 };
    const char *at = values;
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < n && status == SEMCAL_OK; i += ELEMENTS) {
        const size_t part = n - i < ELEMENTS ? n - i : ELEMENTS;
        status = pass_on(
            digest, PART,
            sc_store_digest_values(&digest->bytes, type, type, at + i * sc_store_element_size(type), part, error));
    }
    return status;
}

void sc_products_digest_end(char hex[65], sc_products_digest *digest)
{
    (void)pass_on(digest, 0, SEMCAL_OK);
    if (digest->sum != NULL) {
        sc_sha256_end(hex, digest->sum);
    }
    sc_text_free(&digest->bytes);
    *digest = (sc_products_digest){0};
}

semcal_status sc_products_digest_all(char hex[65], const sc_store_products *p, const sc_store_cell *cell,
                                     semcal_error *error)
{
    sc_products_digest digest;
    semcal_status status = sc_products_digest_begin(&digest, p, error);
    for (size_t i = 0; i < sc_products_n_variables && status == SEMCAL_OK; i++) {
        const sc_products_variable *v = &sc_products_variables[i];
        const size_t n = sc_products_n_rows(p, cell, v->rows);
        if (sc_products_values(p, v) == NULL || n == 0) {
            continue;
        }
        status = sc_products_digest_name(&digest, v->name, n, error);
        if (status == SEMCAL_OK) {
            status = sc_products_digest_add(&digest, v->type, sc_products_values(p, v), n, error);
        }
    }
    for (size_t i = 0; i < p->n_columns && status == SEMCAL_OK; i++) {
        const sc_h5_type type = sc_products_column_type(p->columns[i].kind);
        status = sc_products_digest_name(&digest, p->columns[i].name, p->n_questions, error);
        if (status == SEMCAL_OK) {
            status =
                sc_products_digest_add(&digest, type, sc_products_column_values(&p->columns[i]), p->n_questions, error);
        }
    }
    sc_products_digest_end(hex, &digest);
    return status;
}

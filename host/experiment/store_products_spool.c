/* SPDX-License-Identifier: Apache-2.0 */
/* Products that are made question by question, written variable by variable, and never all in memory. */
#include "base/tape.h"
#include "experiment/store_products.h"

#include <stdlib.h>
#include <string.h>

/* One variable. Texts are on the tape as their length and their bytes, and can only be read in order. */
struct sc_products_reel {
    sc_h5_type type;
    bool there; /* some question had it */
    sc_tape tape;
    uint64_t next; /* text to be read: its row, its place on the tape */
    uint64_t next_at;
    void *values; /* [capacity] read last */
    size_t capacity;
    sc_text bytes; /* of texts read last */
};

static semcal_status make_spill(sc_spill **spill, const char *path, semcal_error *error)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? sc_memory_strdup(".", error)
                                 : sc_memory_strndup(path, (size_t)(slash - path) + (slash == path), error);
    const semcal_status status =
        folder != NULL ? sc_spill_create(spill, folder, SC_TAPE_BLOCK, error) : SEMCAL_E_MEMORY;
    free(folder);
    return status;
}

semcal_status sc_products_spool_open(sc_products_spool *spool, const char *path, size_t n_questions, size_t n_draws,
                                     sc_store_column *columns, size_t n_columns, semcal_error *error)
{
    *spool = (sc_products_spool){
        .all = {.n_questions = n_questions, .n_draws = n_draws, .columns = columns, .n_columns = n_columns}};
    spool->all.first_class = sc_memory_alloc(n_questions + 1, sizeof *spool->all.first_class, error);
    spool->reels = sc_memory_alloc(sc_products_n_variables + n_columns, sizeof *spool->reels, error);
    semcal_status status = spool->all.first_class != NULL && spool->reels != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
    if (status == SEMCAL_OK) {
        status = make_spill(&spool->spill, path, error);
    }
    spool->n_reels = status == SEMCAL_OK ? sc_products_n_variables + n_columns : 0;
    for (size_t i = 0; i < spool->n_reels; i++) {
        const bool fixed = i < sc_products_n_variables;
        spool->reels[i].type =
            fixed ? sc_products_variables[i].type : sc_products_column_type(columns[i - sc_products_n_variables].kind);
        sc_tape_init(&spool->reels[i].tape, spool->spill);
    }
    return status;
}

void sc_products_spool_free(sc_products_spool *spool)
{
    for (size_t i = 0; i < spool->n_reels; i++) {
        sc_tape_free(&spool->reels[i].tape);
        free(spool->reels[i].values);
        sc_text_free(&spool->reels[i].bytes);
    }
    free(spool->reels);
    free(spool->all.first_class);
    sc_spill_free(spool->spill);
    *spool = (sc_products_spool){0};
}

static semcal_status put_rows(struct sc_products_reel *reel, const void *values, size_t n, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    reel->there = true;
    if (reel->type != SC_H5_TEXT) {
        return sc_tape_put(&reel->tape, values, n * sc_store_element_size(reel->type), error);
    }
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        const char *text = ((char *const *)values)[i];
        const size_t length = text != NULL ? strlen(text) : 0;
        status = sc_tape_put(&reel->tape, &length, sizeof length, error);
        if (status == SEMCAL_OK && length > 0) {
            status = sc_tape_put(&reel->tape, text, length, error);
        }
    }
    return status;
}

static size_t rows_of(const sc_store_products *one, sc_products_rows rows)
{
    switch (rows) {
    case ON_QUESTION:
        return 1;
    case ON_DRAW:
        return one->n_draws;
    case ON_CLASS:
        return one->first_class[1];
    case ON_RESPONSE:
        return one->n_responses;
    }
    return 0;
}

semcal_status sc_products_spool_put(sc_products_spool *spool, const sc_store_products *one, semcal_error *error)
{
    const size_t q = spool->n_done++;
    semcal_status status = SEMCAL_OK;
    spool->all.first_class[q + 1] = spool->all.first_class[q] + one->first_class[1];
    for (size_t i = 0; i < spool->n_reels && status == SEMCAL_OK; i++) {
        const bool fixed = i < sc_products_n_variables;
        const void *values = fixed ? sc_products_values(one, &sc_products_variables[i])
                                   : sc_products_column_values(&one->columns[i - sc_products_n_variables]);
        if (values != NULL) {
            status = put_rows(&spool->reels[i], values, fixed ? rows_of(one, sc_products_variables[i].rows) : 1, error);
        }
    }
    return status;
}

/* ---- the source ---- */

static bool has(size_t number, void *payload)
{
    return ((const sc_products_spool *)payload)->reels[number].there;
}

/* The next n texts: their bytes first, as these may move while they grow. */
static semcal_status read_texts(struct sc_products_reel *reel, size_t first, size_t n, semcal_error *error)
{
    size_t *places = reel->values;
    semcal_status status = SEMCAL_OK;
    if (first == 0) {
        reel->next = reel->next_at = 0;
    }
    if (first != reel->next) {
        return sc_error_set(error, SEMCAL_E_DATA, "text %zu asked for, %llu is next", first,
                            (unsigned long long)reel->next);
    }
    sc_text_clear(&reel->bytes);
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        char part[256];
        size_t length = 0;
        places[i] = reel->bytes.length;
        status = sc_tape_get(&reel->tape, &length, reel->next_at, sizeof length, error);
        reel->next_at += sizeof length;
        while (length > 0 && status == SEMCAL_OK) {
            const size_t now = length < sizeof part ? length : sizeof part;
            status = sc_tape_get(&reel->tape, part, reel->next_at, now, error);
            status = status == SEMCAL_OK ? sc_text_append(&reel->bytes, part, now, error) : status;
            reel->next_at += now;
            length -= now;
        }
        status = status == SEMCAL_OK ? sc_text_append(&reel->bytes, "", 1, error) : status;
    }
    reel->next += n;
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        const char *text = reel->bytes.data + places[i];
        memcpy((char *)reel->values + i * sizeof text, &text, sizeof text);
    }
    return status;
}

static semcal_status read_rows(const void **values, size_t number, size_t first, size_t n, void *payload,
                               semcal_error *error)
{
    struct sc_products_reel *reel = &((sc_products_spool *)payload)->reels[number];
    const size_t size = sc_store_element_size(reel->type);
    _Static_assert(sizeof(size_t) == sizeof(char *), "places of texts become the texts");
    semcal_status status = sc_memory_grow(&reel->values, &reel->capacity, n, size, error);
    if (status == SEMCAL_OK) {
        status = reel->type == SC_H5_TEXT
                     ? read_texts(reel, first, n, error)
                     : sc_tape_get(&reel->tape, reel->values, (uint64_t)first * size, n * size, error);
    }
    *values = reel->values;
    return status;
}

sc_products_source sc_products_spool_source(sc_products_spool *spool)
{
    return (sc_products_source){&spool->all, has, read_rows, spool};
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/dataset_tape.h"

#include "base/random.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct sc_dataset_tape {
    sc_spill *spill;
    sc_tape tape;
    pthread_mutex_t lock; /* of reading */
    uint64_t *places;     /* [n + 1] of the rows on the tape */
    uint64_t *items;      /* [n] hash of the id; until settled, that of the question where there is no id */
    uint32_t *ordinals;   /* [n] of rows whose questions are the same, from 1; NULL: all are 1 */
    size_t n, places_room, items_room;
    bool has_choices;
    sc_text packed; /* of one row */
};

/* ---- one row ---- */

static semcal_status pack_texts(sc_text *out, const sc_row_texts *texts, semcal_error *error)
{
    semcal_status status = sc_packed_number(out, texts->n, error);
    for (size_t i = 0; i < texts->n && status == SEMCAL_OK; i++) {
        status = sc_packed_text(out, texts->at[i], error);
    }
    return status;
}

static semcal_status pack_choices(sc_text *out, const sc_choices *choices, semcal_error *error)
{
    semcal_status status = sc_packed_number(out, choices->n, error);
    for (size_t i = 0; i < choices->n && status == SEMCAL_OK; i++) {
        const sc_choice *choice = &choices->items[i];
        status = sc_packed_number(out, choice->n_aliases + 1, error);
        status = status == SEMCAL_OK ? sc_packed_text(out, choice->name, error) : status;
        for (size_t k = 0; k < choice->n_aliases && status == SEMCAL_OK; k++) {
            status = sc_packed_text(out, choice->aliases[k], error);
        }
    }
    return status;
}

semcal_status sc_dataset_row_pack(sc_text *out, const sc_dataset_row *row, bool with_choices, semcal_error *error)
{
    static const sc_choices none = {0};
    const sc_row_texts *lists[] = {&row->answers, &row->law, &row->extra};
    semcal_status status = sc_packed_number(out, row->line, error);
    status = status == SEMCAL_OK ? sc_packed_text(out, row->id, error) : status;
    status = status == SEMCAL_OK ? sc_packed_text(out, row->question, error) : status;
    for (size_t i = 0; i < sizeof lists / sizeof *lists && status == SEMCAL_OK; i++) {
        status = pack_texts(out, lists[i], error);
    }
    if (status == SEMCAL_OK) {
        status = sc_packed_array(out, row->law_p, row->law.n, sizeof *row->law_p, error);
    }
    return status == SEMCAL_OK ? pack_choices(out, with_choices ? &row->choices : &none, error) : status;
}

static semcal_status unpack_texts(sc_row_texts *texts, sc_unpacker *from)
{
    uint64_t n;
    semcal_status status = sc_unpack_number(&n, from);
    if (status != SEMCAL_OK || n == 0) {
        return status;
    }
    texts->at = sc_memory_alloc((size_t)n, sizeof *texts->at, from->error);
    if (texts->at == NULL) {
        return SEMCAL_E_MEMORY;
    }
    texts->capacity = (size_t)n;
    for (; texts->n < n && status == SEMCAL_OK; texts->n += status == SEMCAL_OK) {
        status = sc_unpack_text(&texts->at[texts->n], from);
    }
    return status;
}

static semcal_status unpack_choices(sc_choices *choices, sc_unpacker *from)
{
    uint64_t n;
    semcal_status status = sc_unpack_number(&n, from);
    for (uint64_t i = 0; i < n && status == SEMCAL_OK; i++) {
        sc_row_texts names = {0};
        status = unpack_texts(&names, from);
        if (status == SEMCAL_OK) {
            status = sc_choices_add(choices, (const char *const *)names.at, names.n, from->error);
        }
        sc_row_texts_free(&names);
    }
    return status;
}

semcal_status sc_dataset_row_unpack(sc_dataset_row *row, sc_unpacker *from)
{
    uint64_t line = 0;
    size_t n_law = 0;
    *row = (sc_dataset_row){0};
    sc_row_texts *lists[] = {&row->answers, &row->law, &row->extra};
    semcal_status status = sc_unpack_number(&line, from);
    row->line = (size_t)line;
    status = status == SEMCAL_OK ? sc_unpack_text(&row->id, from) : status;
    status = status == SEMCAL_OK ? sc_unpack_text(&row->question, from) : status;
    for (size_t i = 0; i < sizeof lists / sizeof *lists && status == SEMCAL_OK; i++) {
        status = unpack_texts(lists[i], from);
    }
    if (status == SEMCAL_OK) {
        status = sc_unpack_array(&row->law_p, &n_law, sizeof *row->law_p, from);
    }
    if (status == SEMCAL_OK) {
        status = unpack_choices(&row->choices, from);
    }
    if (status != SEMCAL_OK) {
        sc_dataset_row_free(row);
    }
    return status;
}

/* ---- the tape ---- */

semcal_status sc_dataset_tape_open(sc_dataset_tape **out, const char *folder, semcal_error *error)
{
    sc_dataset_tape *tape = sc_memory_alloc(1, sizeof *tape, error);
    *out = NULL;
    if (tape == NULL) {
        return SEMCAL_E_MEMORY;
    }
    const semcal_status status = sc_spill_create(&tape->spill, folder, SC_TAPE_BLOCK, error);
    if (status != SEMCAL_OK) {
        free(tape);
        return status;
    }
    sc_tape_init(&tape->tape, tape->spill);
    (void)pthread_mutex_init(&tape->lock, NULL);
    *out = tape;
    return SEMCAL_OK;
}

void sc_dataset_tape_free(sc_dataset_tape *tape)
{
    if (tape == NULL) {
        return;
    }
    sc_tape_free(&tape->tape);
    sc_spill_free(tape->spill);
    (void)pthread_mutex_destroy(&tape->lock);
    free(tape->places);
    free(tape->items);
    free(tape->ordinals);
    sc_text_free(&tape->packed);
    free(tape);
}

semcal_status sc_dataset_tape_add(sc_dataset_tape *tape, const sc_dataset_row *row, semcal_error *error)
{
    sc_text_clear(&tape->packed);
    semcal_status status = sc_dataset_row_pack(&tape->packed, row, true, error);
    status = status == SEMCAL_OK
                 ? sc_memory_grow(&tape->places, &tape->places_room, tape->n + 2, sizeof *tape->places, error)
                 : status;
    status = status == SEMCAL_OK
                 ? sc_memory_grow(&tape->items, &tape->items_room, tape->n + 1, sizeof *tape->items, error)
                 : status;
    if (status == SEMCAL_OK) {
        status = sc_tape_put(&tape->tape, tape->packed.data, tape->packed.length, error);
    }
    if (status == SEMCAL_OK) {
        const char *name = row->id != NULL ? row->id : row->question;
        tape->places[0] = 0;
        tape->places[tape->n + 1] = tape->tape.length;
        tape->items[tape->n++] = sc_hash64(name, strlen(name));
        tape->has_choices = tape->has_choices || row->choices.n > 0;
    }
    return status;
}

/* Called with the lock held, or before others know the tape. */
static semcal_status read_packed(sc_dataset_row *row, sc_dataset_tape *tape, size_t i, semcal_error *error)
{
    const size_t n = (size_t)(tape->places[i + 1] - tape->places[i]);
    *row = (sc_dataset_row){0};
    semcal_status status =
        sc_memory_grow(&tape->packed.data, &tape->packed.capacity, n, sizeof *tape->packed.data, error);
    if (status == SEMCAL_OK) {
        status = sc_tape_get(&tape->tape, tape->packed.data, tape->places[i], n, error);
    }
    sc_unpacker from = {tape->packed.data, tape->packed.data + n, error};
    return status == SEMCAL_OK ? sc_dataset_row_unpack(row, &from) : status;
}

semcal_status sc_dataset_tape_read(sc_dataset_row *row, sc_dataset_tape *tape, size_t i, semcal_error *error)
{
    (void)pthread_mutex_lock(&tape->lock);
    semcal_status status = read_packed(row, tape, i, error);
    (void)pthread_mutex_unlock(&tape->lock);
    if (status == SEMCAL_OK && row->id == NULL) {
        status = sc_dataset_default_id(row, tape->ordinals != NULL ? tape->ordinals[i] : 1, error);
        if (status != SEMCAL_OK) {
            sc_dataset_row_free(row);
        }
    }
    return status;
}

uint64_t sc_dataset_tape_item(const sc_dataset_tape *tape, size_t i)
{
    return tape->items[i];
}

bool sc_dataset_tape_has_choices(const sc_dataset_tape *tape)
{
    return tape->has_choices;
}

sc_spill *sc_dataset_tape_spill(sc_dataset_tape *tape)
{
    return tape->spill;
}

/* ---- ids ---- */

struct hashed {
    uint64_t hash;
    size_t row;
};

static int compare_hashed(const void *a, const void *b)
{
    const struct hashed *x = a, *y = b;
    return x->hash != y->hash ? (x->hash > y->hash) - (x->hash < y->hash) : (x->row > y->row) - (x->row < y->row);
}

/* Rows with one hash: the same id, or (once in 2^64 pairs) not. */
static semcal_status check_pair(sc_dataset_tape *tape, size_t first, size_t second, const char *path,
                                semcal_error *error)
{
    sc_dataset_row a = {0}, b = {0};
    semcal_status status = read_packed(&a, tape, first, error);
    if (status == SEMCAL_OK) {
        status = read_packed(&b, tape, second, error);
    }
    if (status == SEMCAL_OK && strcmp(a.id, b.id) == 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s:%zu: id '%s' is already that of line %zu", path, b.line, b.id,
                              a.line);
    }
    sc_dataset_row_free(&a);
    sc_dataset_row_free(&b);
    return status;
}

/* Default ids come from the question's hash, and from its ordinal among the same. */
static semcal_status number_rows(sc_dataset_tape *tape, const struct hashed *sorted, semcal_error *error)
{
    size_t first = 0;
    for (size_t i = 1; i < tape->n; i++) {
        first = sorted[i].hash == sorted[first].hash ? first : i;
        if (first < i && tape->ordinals == NULL) {
            tape->ordinals = sc_memory_alloc(tape->n, sizeof *tape->ordinals, error);
            if (tape->ordinals == NULL) {
                return SEMCAL_E_MEMORY;
            }
            for (size_t k = 0; k < tape->n; k++) {
                tape->ordinals[k] = 1;
            }
        }
        if (first < i) {
            tape->ordinals[sorted[i].row] = (uint32_t)(i - first + 1);
        }
    }
    for (size_t i = 0; i < tape->n; i++) {
        sc_text id = {0};
        const semcal_status status =
            sc_dataset_put_default_id(&id, tape->items[i], tape->ordinals != NULL ? tape->ordinals[i] : 1, error);
        if (status == SEMCAL_OK) {
            tape->items[i] = sc_hash64(id.data, id.length);
        }
        sc_text_free(&id);
        if (status != SEMCAL_OK) {
            return status;
        }
    }
    return SEMCAL_OK;
}

semcal_status sc_dataset_tape_settle(sc_dataset_tape *tape, bool has_ids, const char *path, semcal_error *error)
{
    struct hashed *sorted = sc_memory_alloc(tape->n, sizeof *sorted, error);
    if (sorted == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < tape->n; i++) {
        sorted[i] = (struct hashed){tape->items[i], i};
    }
    qsort(sorted, tape->n, sizeof *sorted, compare_hashed);
    semcal_status status = SEMCAL_OK;
    if (!has_ids) {
        status = number_rows(tape, sorted, error);
    }
    for (size_t i = 1; i < tape->n && has_ids && status == SEMCAL_OK; i++) {
        if (sorted[i].hash == sorted[i - 1].hash) {
            status = check_pair(tape, sorted[i - 1].row, sorted[i].row, path, error);
        }
    }
    free(sorted);
    return status;
}

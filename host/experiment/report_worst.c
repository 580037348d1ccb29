/* SPDX-License-Identifier: Apache-2.0 */
/* The most overconfident questions of a cell, with their classes and a response of each. */
#include "base/memory.h"
#include "experiment/report_data.h"
#include "experiment/store.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Confidence that is not deserved: against the known probability where there is one, else against the outcome. */
static double excess(const sc_report_cell *cell, size_t q)
{
    return cell->confidence[q] - (isfinite(cell->known[q]) ? cell->known[q] : cell->correct[q]);
}

/* Rows of the SC_REPORT_WORST largest excesses above 0, the largest first; ties by the order of the dataset. */
static size_t choose(size_t rows[SC_REPORT_WORST], const sc_report_cell *cell)
{
    size_t n = 0;
    for (size_t q = 0; q < cell->n; q++) {
        double e = excess(cell, q);
        size_t at = n;
        while (at > 0 && e > excess(cell, rows[at - 1])) {
            at--;
        }
        if (!(e > 0) || at == SC_REPORT_WORST) {
            continue;
        }
        n += n < SC_REPORT_WORST;
        memmove(rows + at + 1, rows + at, (n - at - 1) * sizeof *rows);
        rows[at] = q;
    }
    return n;
}

static semcal_status join_answers(char **joined, const sc_store_record *record, semcal_error *error)
{
    sc_text text = {0};
    semcal_status status = sc_text_append(&text, "", 0, error);
    for (size_t i = 0; i < record->n_answers && status == SEMCAL_OK; i++) {
        status = sc_text_printf(&text, error, "%s%s", i > 0 ? " | " : "", record->answers[i]);
    }
    *joined = text.data;
    return status;
}

static int by_count(const void *a, const void *b)
{
    const sc_report_class *x = a, *y = b;
    return (x->count < y->count) - (x->count > y->count);
}

static semcal_status take_classes(sc_report_question *to, const sc_store_products *p, const sc_store_record *record,
                                  size_t q, semcal_error *error)
{
    size_t first = p->first_class[q], n = p->first_class[q + 1] - first;
    to->classes = sc_memory_alloc(n, sizeof *to->classes, error);
    if (to->classes == NULL) {
        return SEMCAL_E_MEMORY;
    }
    to->n_classes = n;
    for (size_t k = 0; k < n; k++) {
        sc_report_class *class = &to->classes[k];
        *class = (sc_report_class){.count = p->class_count[first + k],
                                   .mass = p->class_mass[first + k],
                                   .correct = p->class_correct[first + k] != 0};
        const char *sample = "";
        for (size_t j = p->n_draws; j-- > 0;) {
            sample = (size_t)p->draw_class[q * p->n_draws + j] == k ? record->tree.text[j] : sample;
        }
        class->label = sc_memory_strdup(p->class_label[first + k], error);
        class->sample = sc_memory_strdup(sample, error);
        if (class->label == NULL || class->sample == NULL) {
            return SEMCAL_E_MEMORY;
        }
    }
    /* insertion keeps the order of equal counts */
    for (size_t i = 1; i < n; i++) {
        for (size_t k = i; k > 0 && by_count(&to->classes[k - 1], &to->classes[k]) > 0; k--) {
            sc_report_class swap = to->classes[k];
            to->classes[k] = to->classes[k - 1];
            to->classes[k - 1] = swap;
        }
    }
    return SEMCAL_OK;
}

static semcal_status take_question(sc_report_cell *cell, sc_store_cell *file, const sc_store_products *p, size_t q,
                                   semcal_error *error)
{
    sc_store_record record;
    semcal_status status = sc_store_cell_read(&record, file, q, 0, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    sc_report_question *to = &cell->worst[cell->n_worst++];
    *to = (sc_report_question){.index = record.index,
                               .id = sc_memory_strdup(record.id, error),
                               .question = sc_memory_strdup(record.question, error),
                               .confidence = cell->confidence[q],
                               .deserved = cell->confidence[q] - excess(cell, q)};
    status = to->id == NULL || to->question == NULL ? SEMCAL_E_MEMORY : join_answers(&to->references, &record, error);
    if (status == SEMCAL_OK) {
        status = take_classes(to, p, &record, q, error);
    }
    sc_store_record_free(&record);
    return status;
}

semcal_status sc_report_worst(sc_report_cell *cell, const char *path, const char *collapse, semcal_error *error)
{
    size_t rows[SC_REPORT_WORST + 1], n = choose(rows, cell);
    sc_store_cell *file = NULL;
    sc_store_products products = {0};
    semcal_status status = sc_store_cell_open(&file, path, error);
    if (status == SEMCAL_OK) {
        status = sc_store_read_products(&products, file, collapse, error);
    }
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        status = take_question(cell, file, &products, rows[i], error);
    }
    sc_store_products_free(&products);
    sc_store_cell_close(&file);
    return status;
}

void sc_report_worst_free(sc_report_cell *cell)
{
    for (size_t i = 0; i < cell->n_worst; i++) {
        sc_report_question *q = &cell->worst[i];
        for (size_t k = 0; q->classes != NULL && k < q->n_classes; k++) {
            free(q->classes[k].label);
            free(q->classes[k].sample);
        }
        free(q->classes);
        free(q->id);
        free(q->question);
        free(q->references);
    }
    cell->n_worst = 0;
}

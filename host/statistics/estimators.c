/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/estimators.h"

#include "base/memory.h"
#include "base/numeric.h"
#include "base/random.h"

#include <math.h>
#include <stdlib.h>

int32_t sc_estimators_mode(const uint32_t *count, const double *mass, const uint32_t *first_draw, size_t n_classes)
{
    int32_t best = -1;
    for (size_t k = 0; k < n_classes; k++) {
        if (count[k] == 0) {
            continue;
        }
        if (best >= 0) {
            size_t b = (size_t)best;
            bool lighter = mass != NULL && mass[k] < mass[b];
            bool as_heavy = mass == NULL || !(mass[k] > mass[b] || lighter);
            if (count[k] < count[b] || (count[k] == count[b] && lighter) ||
                (count[k] == count[b] && as_heavy && first_draw[k] > first_draw[b])) {
                continue;
            }
        }
        best = (int32_t)k;
    }
    return best;
}

void sc_estimators_split(bool *chooses, uint32_t *scratch, size_t n_draws, unsigned split)
{
    sc_random_stream stream;
    sc_random_stream_init(&stream, sc_random_key(0, "split", ""), split);
    for (size_t i = 0; i < n_draws; i++) {
        scratch[i] = (uint32_t)i;
        chooses[i] = false;
    }
    for (size_t i = 0; i < n_draws / 2; i++) {
        size_t j = i + sc_random_below(&stream, (uint32_t)(n_draws - i));
        uint32_t chosen = scratch[j];
        scratch[j] = scratch[i];
        scratch[i] = chosen;
        chooses[chosen] = true;
    }
}

/* Everything one question needs, in one allocation each. */
typedef struct work {
    uint32_t *string_of;   /* [M] 0 .. S-1 in order of first draw of the response */
    uint32_t *string_draw; /* [M] first draw of response s */
    size_t n_strings;      /* S; 0 when responses are unknown */
    uint32_t *count;       /* [K] */
    uint32_t *first_draw;  /* [K] */
    double *mass;          /* [K] */
    double *log_mass;      /* [K] */
    bool *chooses;         /* [M] */
    bool *seen;            /* [M] responses met so far */
    uint32_t *scratch;     /* [M] */
} work;

static void work_free(work *w)
{
    free(w->string_of);
    free(w->string_draw);
    free(w->count);
    free(w->first_draw);
    free(w->mass);
    free(w->log_mass);
    free(w->chooses);
    free(w->seen);
    free(w->scratch);
}

static semcal_status work_alloc(work *w, size_t m, size_t k, semcal_error *error)
{
    w->string_of = sc_memory_alloc(m, sizeof *w->string_of, error);
    w->string_draw = sc_memory_alloc(m, sizeof *w->string_draw, error);
    w->count = sc_memory_alloc(k, sizeof *w->count, error);
    w->first_draw = sc_memory_alloc(k, sizeof *w->first_draw, error);
    w->mass = sc_memory_alloc(k, sizeof *w->mass, error);
    w->log_mass = sc_memory_alloc(k, sizeof *w->log_mass, error);
    w->chooses = sc_memory_alloc(m, sizeof *w->chooses, error);
    w->seen = sc_memory_alloc(m, sizeof *w->seen, error);
    w->scratch = sc_memory_alloc(m, sizeof *w->scratch, error);
    bool whole = w->string_of != NULL && w->string_draw != NULL && w->count != NULL && w->first_draw != NULL &&
                 w->mass != NULL && w->log_mass != NULL && w->chooses != NULL && w->seen != NULL && w->scratch != NULL;
    return whole ? SEMCAL_OK : SEMCAL_E_MEMORY;
}

static semcal_status check_draws(const sc_draws *draws, semcal_error *error)
{
    if (draws->n_draws == 0 || draws->n_classes == 0) {
        return sc_error_set(error, SEMCAL_E_DATA, "a question without draws or classes");
    }
    if ((draws->draw_logp == NULL) != (draws->draw_string == NULL)) {
        return sc_error_set(error, SEMCAL_E_DATA, "log-probabilities and responses must be given together");
    }
    for (size_t i = 0; i < draws->n_draws; i++) {
        if (draws->draw_class[i] < 0 || (size_t)draws->draw_class[i] >= draws->n_classes) {
            return sc_error_set(error, SEMCAL_E_DATA, "draw %zu: class %d is not in 0..%zu", i, draws->draw_class[i],
                                draws->n_classes - 1);
        }
        if (draws->draw_logp != NULL && !(draws->draw_logp[i] <= 1e-6)) {
            return sc_error_set(error, SEMCAL_E_NUMERIC, "draw %zu: log-probability %g is not <= 0", i,
                                draws->draw_logp[i]);
        }
    }
    return SEMCAL_OK;
}

typedef struct keyed {
    int64_t key;
    uint32_t draw;
} keyed;

static int compare_keyed(const void *a, const void *b)
{
    const keyed *x = a, *y = b;
    if (x->key != y->key) {
        return x->key < y->key ? -1 : 1;
    }
    return x->draw < y->draw ? -1 : x->draw > y->draw;
}

/* Numbers the distinct responses in order of their first draw. */
static semcal_status number_strings(work *w, const sc_draws *draws, semcal_error *error)
{
    size_t m = draws->n_draws;
    keyed *order = sc_memory_alloc(m, sizeof *order, error);
    if (order == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < m; i++) {
        order[i] = (keyed){draws->draw_string[i], (uint32_t)i};
    }
    qsort(order, m, sizeof *order, compare_keyed);
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0, first = 0; i < m; i++) {
        if (order[i].key != order[first].key) {
            first = i;
        }
        uint32_t draw = order[i].draw, twin = order[first].draw;
        if (draws->draw_class[draw] != draws->draw_class[twin]) {
            status = sc_error_set(error, SEMCAL_E_DATA, "draws %u and %u are the same response in classes %d and %d",
                                  twin, draw, draws->draw_class[twin], draws->draw_class[draw]);
            break;
        }
        w->scratch[draw] = twin;
    }
    free(order);
    w->n_strings = 0;
    for (size_t i = 0; status == SEMCAL_OK && i < m; i++) {
        if (w->scratch[i] == i) {
            w->string_draw[w->n_strings] = (uint32_t)i;
            w->string_of[i] = (uint32_t)w->n_strings++;
        } else {
            w->string_of[i] = w->string_of[w->scratch[i]];
        }
    }
    return status;
}

/* Counts, first draws and masses of the draws with chooses[i] == wanted (all of them when `chooses` is NULL). */
static void tally(work *w, const sc_draws *draws, const bool *chooses)
{
    for (size_t k = 0; k < draws->n_classes; k++) {
        w->count[k] = 0;
        w->mass[k] = 0;
    }
    for (size_t s = 0; s < w->n_strings; s++) {
        w->seen[s] = false;
    }
    for (size_t i = 0; i < draws->n_draws; i++) {
        if (chooses != NULL && !chooses[i]) {
            continue;
        }
        size_t k = (size_t)draws->draw_class[i];
        if (w->count[k]++ == 0) {
            w->first_draw[k] = (uint32_t)i;
        }
        if (w->n_strings > 0 && !w->seen[w->string_of[i]]) {
            w->seen[w->string_of[i]] = true;
            w->mass[k] += exp(draws->draw_logp[w->string_draw[w->string_of[i]]]);
        }
    }
}

static void estimate_split(sc_estimates *out, work *w, const sc_draws *draws, unsigned n_splits)
{
    size_t m = draws->n_draws, n_reading = m - m / 2;
    if (m < 2) {
        return;
    }
    double confidence = 0, correct = 0;
    for (unsigned split = 0; split < n_splits; split++) {
        sc_estimators_split(w->chooses, w->scratch, m, split);
        tally(w, draws, w->chooses);
        int32_t mode = sc_estimators_mode(w->count, w->mass, w->first_draw, draws->n_classes);
        size_t hits = 0;
        for (size_t i = 0; i < m; i++) {
            hits += !w->chooses[i] && draws->draw_class[i] == mode;
        }
        confidence += (double)hits / (double)n_reading;
        correct += draws->class_correct[mode];
    }
    out->confidence_split = confidence / n_splits;
    out->correct_split = correct / n_splits;
}

/* Masses in logarithms, so that long responses (p(z) below the smallest double) still normalise. */
static semcal_status estimate_mass(sc_estimates *out, work *w, const sc_draws *draws, semcal_error *error)
{
    size_t n_classes = draws->n_classes;
    for (size_t k = 0; k < n_classes; k++) {
        w->log_mass[k] = -INFINITY;
    }
    for (size_t s = 0; s < w->n_strings; s++) {
        size_t i = w->string_draw[s], k = (size_t)draws->draw_class[i];
        w->log_mass[k] = sc_log_add_exp(w->log_mass[k], draws->draw_logp[i]);
    }
    double log_found = sc_log_sum_exp(w->log_mass, n_classes), second = 0, entropy = 0;
    if (!(log_found <= 1e-3)) {
        return sc_error_set(error, SEMCAL_E_NUMERIC, "the distinct responses have mass %.6g, more than 1",
                            exp(log_found));
    }
    int32_t best = 0;
    for (size_t k = 1; k < n_classes; k++) {
        best = w->log_mass[k] > w->log_mass[best] ? (int32_t)k : best;
    }
    for (size_t k = 0; k < n_classes; k++) {
        double log_p = w->log_mass[k] - log_found;
        entropy -= log_p > -700 ? exp(log_p) * log_p : 0;
        second = (int32_t)k != best ? fmax(second, exp(w->log_mass[k])) : second;
    }
    out->n_distinct = w->n_strings;
    out->mass_found = fmin(1, exp(log_found));
    double rest = 1 - out->mass_found;
    out->mode_mass = isfinite(log_found) ? best : -1;
    if (out->mode_mass >= 0) {
        out->mass_lower = fmin(1, exp(w->log_mass[best]));
        out->mass_upper = fmin(1, out->mass_lower + rest);
        out->confidence_mass = fmin(1, exp(w->log_mass[best] - log_found));
        out->correct_mass = draws->class_correct[best];
        out->mode_certain = out->mass_lower >= second + rest;
        out->semantic_entropy = fmax(0, entropy);
    }
    return SEMCAL_OK;
}

semcal_status sc_estimators_compute(sc_estimates *out, uint32_t *class_count, double *class_mass, const sc_draws *draws,
                                    semcal_error *error)
{
    return sc_estimators_compute_splits(out, class_count, class_mass, draws, SC_ESTIMATORS_SPLITS, error);
}

semcal_status sc_estimators_compute_splits(sc_estimates *out, uint32_t *class_count, double *class_mass,
                                           const sc_draws *draws, unsigned n_splits, semcal_error *error)
{
    *out = (sc_estimates){.mode = -1,
                          .correct = NAN,
                          .confidence_frequency = NAN,
                          .confidence_split = NAN,
                          .correct_split = NAN,
                          .mode_mass = -1,
                          .mass_found = NAN,
                          .mass_lower = NAN,
                          .mass_upper = NAN,
                          .confidence_mass = NAN,
                          .correct_mass = NAN,
                          .semantic_entropy = NAN,
                          .semantic_entropy_counts = NAN};
    semcal_status status = check_draws(draws, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    work w = {0};
    status = work_alloc(&w, draws->n_draws, draws->n_classes, error);
    if (status == SEMCAL_OK && draws->draw_string != NULL) {
        status = number_strings(&w, draws, error);
    }
    if (status == SEMCAL_OK && draws->draw_string != NULL) {
        status = estimate_mass(out, &w, draws, error);
    }
    if (status != SEMCAL_OK) {
        goto done;
    }
    estimate_split(out, &w, draws, n_splits > 0 ? n_splits : SC_ESTIMATORS_SPLITS);
    tally(&w, draws, NULL);
    out->mode = sc_estimators_mode(w.count, w.mass, w.first_draw, draws->n_classes);
    out->confidence_frequency = (double)w.count[out->mode] / (double)draws->n_draws;
    out->correct = draws->class_correct[out->mode];
    out->semantic_entropy_counts = 0;
    for (size_t k = 0; k < draws->n_classes; k++) {
        double p = (double)w.count[k] / (double)draws->n_draws;
        out->semantic_entropy_counts -= p > 0 ? p * log(p) : 0;
        if (class_count != NULL) {
            class_count[k] = w.count[k];
        }
        if (class_mass != NULL) {
            class_mass[k] = draws->draw_string != NULL ? w.mass[k] : NAN;
        }
    }
    out->semantic_entropy_counts = fmax(0, out->semantic_entropy_counts);
done:
    work_free(&w);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/floors.h"

#include "base/memory.h"
#include "base/numeric.h"
#include "base/parallel.h"
#include "base/random.h"
#include "statistics/binomial.h"
#include "statistics/estimators.h"
#include "statistics/group.h"
#include "statistics/smece.h"

#include <math.h>
#include <stdlib.h>

#define TOLERANCE 1e-7

/* Scratch of one thread. */
typedef struct worker {
    sc_smece_work *work;
    double *c, *mass;     /* [n] */
    uint32_t *count;      /* [largest K] */
    uint32_t *first_draw; /* [largest K] */
    int32_t *draw;        /* [M] */
} worker;

typedef struct redraws {
    sc_groups groups;          /* noise floor: equal confidences together */
    const sc_class_laws *laws; /* model floor */
    const double *cumulative;  /* [first[n]] cumulated law of each question, last entry 1 */
    const bool *chooses;       /* [splits, M] */
    size_t n_points;           /* pairs, or groups of them */
    double n;                  /* questions */
    size_t n_draws, largest;
    sc_floor_estimator estimator;
    uint64_t key;
    worker *workers;
    unsigned n_threads;
    double *values, *overconfidence; /* [n_redraws] */
} redraws;

static semcal_status workers_alloc(redraws *r, semcal_error *error)
{
    r->workers = sc_memory_alloc(r->n_threads, sizeof *r->workers, error);
    for (unsigned t = 0; r->workers != NULL && t < r->n_threads; t++) {
        worker *w = &r->workers[t];
        w->work = sc_smece_work_new(error);
        w->c = sc_memory_alloc(r->n_points, sizeof(double), error);
        w->mass = sc_memory_alloc(r->n_points, sizeof(double), error);
        w->count = sc_memory_alloc(r->largest, sizeof *w->count, error);
        w->first_draw = sc_memory_alloc(r->largest, sizeof *w->first_draw, error);
        w->draw = sc_memory_alloc(r->n_draws, sizeof *w->draw, error);
        if (w->work == NULL || w->c == NULL || w->mass == NULL || w->count == NULL || w->first_draw == NULL ||
            w->draw == NULL) {
            return SEMCAL_E_MEMORY;
        }
    }
    return r->workers != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
}

static void workers_free(redraws *r)
{
    for (unsigned t = 0; r->workers != NULL && t < r->n_threads; t++) {
        sc_smece_work_free(r->workers[t].work);
        free(r->workers[t].c);
        free(r->workers[t].mass);
        free(r->workers[t].count);
        free(r->workers[t].first_draw);
        free(r->workers[t].draw);
    }
    free(r->workers);
}

/* Runs the redraws and sums them up. */
static semcal_status summarise(sc_floor *floor, double *values, redraws *r, sc_parallel_body body,
                               const sc_floor_options *options, semcal_error *error)
{
    size_t n = options->n_redraws;
    if (n == 0 || r->n_points == 0) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "a floor needs at least one redraw and one question");
    }
    r->n_threads = options->n_threads != 0 ? options->n_threads : sc_parallel_default_threads();
    r->values = sc_memory_alloc(n, sizeof(double), error);
    r->overconfidence = sc_memory_alloc(n, sizeof(double), error);
    semcal_status status = SEMCAL_E_MEMORY;
    if (r->values != NULL && r->overconfidence != NULL) {
        status = workers_alloc(r, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_parallel_for(n, r->n_threads, body, r, error);
    }
    if (status == SEMCAL_OK) {
        qsort(r->values, n, sizeof *r->values, sc_compare_doubles);
        sc_sum sum = {0, 0}, over = {0, 0};
        for (size_t i = 0; i < n; i++) {
            sc_sum_add(&sum, r->values[i]);
            sc_sum_add(&over, r->overconfidence[i]);
            if (values != NULL) {
                values[i] = r->values[i];
            }
        }
        *floor = (sc_floor){sc_sum_value(&sum) / (double)n, sc_quantile_sorted(r->values, n, 0.95),
                            sc_sum_value(&over) / (double)n};
    }
    workers_free(r);
    free(r->values);
    free(r->overconfidence);
    return status;
}

/* smECE of the points whose summed residuals a - c lie in w->mass. */
static semcal_status score(const redraws *r, size_t i, worker *w, const double *c, semcal_error *error)
{
    sc_sum over = {0, 0};
    for (size_t q = 0; q < r->n_points; q++) {
        sc_sum_add(&over, -w->mass[q]);
        w->mass[q] /= r->n;
    }
    r->overconfidence[i] = sc_sum_value(&over) / r->n;
    return sc_smece_of_masses(&r->values[i], w->work, c, w->mass, r->n_points, TOLERANCE, error);
}

static semcal_status redraw_noise(size_t i, unsigned thread, void *payload, semcal_error *error)
{
    const redraws *r = payload;
    const sc_groups *g = &r->groups;
    worker *w = &r->workers[thread];
    sc_random_stream stream;
    sc_random_stream_init(&stream, r->key, i);
    for (size_t q = 0; q < g->n; q++) {
        double right = (double)sc_binomial_draw(&stream, (uint64_t)g->count[q], g->c[q]);
        w->mass[q] = right - g->count[q] * g->c[q];
    }
    return score(r, i, w, g->c, error);
}

semcal_status sc_floors_noise(sc_floor *floor, double *values, const double *c, size_t n,
                              const sc_floor_options *options, semcal_error *error)
{
    redraws r = {.n = (double)n, .key = sc_random_key(options->seed, "noise floor", options->name)};
    semcal_status status = sc_smece_check(c, c, NULL, n, error);
    if (status == SEMCAL_OK) {
        status = sc_group_pairs(&r.groups, c, NULL, n, error);
    }
    if (status == SEMCAL_OK) {
        r.n_points = r.groups.n;
        status = summarise(floor, values, &r, redraw_noise, options, error);
    }
    sc_group_free(&r.groups);
    return status;
}

/* A class of the law `cumulative[k]` by inverse CDF. */
static int32_t draw_class(const double *cumulative, size_t n_classes, double u)
{
    size_t low = 0, high = n_classes - 1;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (u < cumulative[middle]) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return (int32_t)low;
}

/* Mode of the draws i with chooses[i] (all when NULL), ties by probability and then the first draw. */
static int32_t mode_of(worker *w, const bool *chooses, size_t n_draws, const double *probability, size_t n_classes)
{
    for (size_t k = 0; k < n_classes; k++) {
        w->count[k] = 0;
    }
    for (size_t j = 0; j < n_draws; j++) {
        if ((chooses == NULL || chooses[j]) && w->count[w->draw[j]]++ == 0) {
            w->first_draw[w->draw[j]] = (uint32_t)j;
        }
    }
    return sc_estimators_mode(w->count, probability, w->first_draw, n_classes);
}

static void redraw_question(const redraws *r, size_t q, worker *w, sc_random_stream *stream)
{
    size_t first = r->laws->first[q], n_classes = r->laws->first[q + 1] - first, m = r->n_draws;
    const double *law = r->cumulative + first, *probability = r->laws->probability + first;
    for (size_t j = 0; j < m; j++) {
        w->draw[j] = draw_class(law, n_classes, sc_random_unit(stream));
    }
    int32_t answer = draw_class(law, n_classes, sc_random_unit(stream));
    bool answerable = r->laws->never_correct == NULL || !r->laws->never_correct[first + (size_t)answer];
    if (r->estimator == SC_FLOOR_FREQUENCY) {
        int32_t mode = mode_of(w, NULL, m, probability, n_classes);
        w->c[q] = (double)w->count[mode] / (double)m;
        w->mass[q] = (answerable && answer == mode ? 1 : 0) - w->c[q];
        return;
    }
    double confidence = 0, correct = 0;
    for (size_t split = 0; split < SC_ESTIMATORS_SPLITS; split++) {
        const bool *chooses = r->chooses + split * m;
        int32_t mode = mode_of(w, chooses, m, probability, n_classes);
        size_t hits = 0;
        for (size_t j = 0; j < m; j++) {
            hits += !chooses[j] && w->draw[j] == mode;
        }
        confidence += (double)hits / (double)(m - m / 2);
        correct += answerable && answer == mode ? 1 : 0;
    }
    w->c[q] = fmin(1, confidence / SC_ESTIMATORS_SPLITS);
    w->mass[q] = correct / SC_ESTIMATORS_SPLITS - w->c[q];
}

static semcal_status redraw_model(size_t i, unsigned thread, void *payload, semcal_error *error)
{
    const redraws *r = payload;
    worker *w = &r->workers[thread];
    sc_random_stream stream;
    sc_random_stream_init(&stream, r->key, i);
    for (size_t q = 0; q < r->n_points; q++) {
        redraw_question(r, q, w, &stream);
    }
    return score(r, i, w, w->c, error);
}

static semcal_status cumulate(double *cumulative, size_t *largest, const sc_class_laws *laws, semcal_error *error)
{
    for (size_t q = 0; q < laws->n_questions; q++) {
        sc_sum sum = {0, 0};
        size_t from = laws->first[q], to = laws->first[q + 1];
        bool sound = true;
        for (size_t k = from; k < to; k++) {
            sound = sound && laws->probability[k] >= 0 && isfinite(laws->probability[k]);
            sc_sum_add(&sum, laws->probability[k]);
            cumulative[k] = sc_sum_value(&sum);
        }
        double total = sc_sum_value(&sum);
        if (!sound || !(total > 0)) {
            return sc_error_set(error, SEMCAL_E_NUMERIC, "question %zu: its class probabilities sum to %g", q, total);
        }
        for (size_t k = from; k < to; k++) {
            cumulative[k] /= total;
        }
        *largest = to - from > *largest ? to - from : *largest;
    }
    return SEMCAL_OK;
}

semcal_status sc_floors_model(sc_floor *floor, double *values, const sc_class_laws *laws, size_t n_draws,
                              sc_floor_estimator estimator, const sc_floor_options *options, semcal_error *error)
{
    if (n_draws < (estimator == SC_FLOOR_SPLIT ? 2u : 1u) || n_draws > UINT32_MAX) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "%zu draws are too few for this floor", n_draws);
    }
    if (laws->n_questions == 0) {
        return sc_error_set(error, SEMCAL_E_DATA, "no questions");
    }
    size_t n_classes = laws->first[laws->n_questions], largest = 1;
    double *cumulative = sc_memory_alloc(n_classes, sizeof *cumulative, error);
    bool *chooses = sc_memory_alloc(SC_ESTIMATORS_SPLITS * n_draws, sizeof *chooses, error);
    uint32_t *scratch = sc_memory_alloc(n_draws, sizeof *scratch, error);
    semcal_status status = SEMCAL_E_MEMORY;
    if (cumulative != NULL && chooses != NULL && scratch != NULL) {
        status = cumulate(cumulative, &largest, laws, error);
    }
    if (status == SEMCAL_OK) {
        for (unsigned split = 0; split < SC_ESTIMATORS_SPLITS; split++) {
            sc_estimators_split(chooses + split * n_draws, scratch, n_draws, split);
        }
        redraws r = {.laws = laws,
                     .cumulative = cumulative,
                     .chooses = chooses,
                     .n_points = laws->n_questions,
                     .n = (double)laws->n_questions,
                     .n_draws = n_draws,
                     .largest = largest,
                     .estimator = estimator,
                     .key = sc_random_key(options->seed, "model floor", options->name)};
        status = summarise(floor, values, &r, redraw_model, options, error);
    }
    free(cumulative);
    free(chooses);
    free(scratch);
    return status;
}

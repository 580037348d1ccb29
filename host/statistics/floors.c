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
#include <string.h>

/* Far below the spread of the redraws. */
#define TOLERANCE 1e-5
/* Equal steps of the unit interval for which the first class of a law is tabulated. */
#define GUIDES 64

/* Scratch of one thread. */
typedef struct worker {
    sc_smece_work *work;
    double *c[2];         /* [n] confidences and residuals, by sc_floor_estimator (noise floor: the first) */
    double *mass[2];      /* [n] */
    uint32_t n_found;     /* distinct classes drawn */
    uint32_t *slot;       /* [largest K] where a class lies in the arrays below */
    uint32_t *found;      /* [largest K] class, */
    uint32_t *total;      /* how often drawn, */
    uint32_t *count;      /* how often among those that choose, */
    uint32_t *first_draw; /* when first, */
    double *probability;  /* and its probability */
    uint64_t *mask;       /* [largest K, words] its draws as bits */
} worker;

typedef struct redraws {
    sc_groups groups;          /* noise floor: equal confidences together */
    const sc_class_laws *laws; /* model floor */
    const double *cumulative;  /* [first[n]] cumulated law of each question, last entry 1 */
    const uint32_t *guide;     /* [n, GUIDES] where to start in it */
    const uint64_t *chooses;   /* [splits, words] draws that choose the mode, as bits */
    size_t n_points;           /* pairs, or groups of them */
    double n;                  /* questions */
    size_t n_draws, n_words, n_splits, largest;
    bool wanted[2]; /* by sc_floor_estimator */
    uint64_t key;
    worker *workers;
    unsigned n_threads;
    size_t n_redraws;
    double *values, *overconfidence; /* [2, n_redraws] */
} redraws;

static semcal_status workers_alloc(redraws *r, semcal_error *error)
{
    r->workers = sc_memory_alloc(r->n_threads, sizeof *r->workers, error);
    for (unsigned t = 0; r->workers != NULL && t < r->n_threads; t++) {
        worker *w = &r->workers[t];
        w->work = sc_smece_work_new(error);
        w->c[0] = sc_memory_alloc(4 * r->n_points, sizeof(double), error);
        w->slot = sc_memory_alloc(5 * r->largest, sizeof *w->slot, error);
        w->probability = sc_memory_alloc(r->largest, sizeof(double), error);
        w->mask = sc_memory_alloc(r->largest * r->n_words, sizeof *w->mask, error);
        if (w->work == NULL || w->c[0] == NULL || w->slot == NULL || w->probability == NULL || w->mask == NULL) {
            return SEMCAL_E_MEMORY;
        }
        w->c[1] = w->c[0] + r->n_points;
        w->mass[0] = w->c[1] + r->n_points;
        w->mass[1] = w->mass[0] + r->n_points;
        w->found = w->slot + r->largest;
        w->total = w->found + r->largest;
        w->count = w->total + r->largest;
        w->first_draw = w->count + r->largest;
    }
    return r->workers != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
}

static void workers_free(redraws *r)
{
    for (unsigned t = 0; r->workers != NULL && t < r->n_threads; t++) {
        sc_smece_work_free(r->workers[t].work);
        free(r->workers[t].c[0]);
        free(r->workers[t].slot);
        free(r->workers[t].probability);
        free(r->workers[t].mask);
    }
    free(r->workers);
}

static sc_floor summarise(double *values, const double *overconfidence, size_t n)
{
    qsort(values, n, sizeof *values, sc_compare_doubles);
    sc_sum sum = {0, 0}, over = {0, 0};
    for (size_t i = 0; i < n; i++) {
        sc_sum_add(&sum, values[i]);
        sc_sum_add(&over, overconfidence[i]);
    }
    return (sc_floor){sc_sum_value(&sum) / (double)n, sc_quantile_sorted(values, n, 0.95),
                      sc_sum_value(&over) / (double)n};
}

/* Runs the redraws and sums them up: floors[k] for each wanted estimator k. */
static semcal_status run(sc_floor *floors, double *values, redraws *r, sc_parallel_body body,
                         const sc_floor_options *options, semcal_error *error)
{
    size_t n = r->n_redraws = options->n_redraws;
    if (n == 0 || r->n_points == 0) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "a floor needs at least one redraw and one question");
    }
    r->n_threads = options->n_threads != 0 ? options->n_threads : sc_parallel_default_threads();
    r->values = sc_memory_alloc(2 * n, sizeof(double), error);
    r->overconfidence = sc_memory_alloc(2 * n, sizeof(double), error);
    semcal_status status = SEMCAL_E_MEMORY;
    if (r->values != NULL && r->overconfidence != NULL) {
        status = workers_alloc(r, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_parallel_for(n, r->n_threads, body, r, error);
    }
    for (size_t k = 0; status == SEMCAL_OK && k < 2; k++) {
        if (r->wanted[k]) {
            floors[k] = summarise(r->values + k * n, r->overconfidence + k * n, n);
            if (values != NULL) {
                memcpy(values, r->values + k * n, n * sizeof *values);
            }
        }
    }
    workers_free(r);
    free(r->values);
    free(r->overconfidence);
    return status;
}

/* smECE of the points whose summed residuals a - c lie in w->mass[k]. */
static semcal_status score(const redraws *r, size_t i, worker *w, size_t k, const double *c, semcal_error *error)
{
    sc_sum over = {0, 0};
    double *mass = w->mass[k];
    for (size_t q = 0; q < r->n_points; q++) {
        sc_sum_add(&over, -mass[q]);
        mass[q] /= r->n;
    }
    size_t at = k * r->n_redraws + i;
    r->overconfidence[at] = sc_sum_value(&over) / r->n;
    return sc_smece_of_masses(&r->values[at], w->work, c, mass, r->n_points, TOLERANCE, error);
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
        w->mass[0][q] = right - g->count[q] * g->c[q];
    }
    return score(r, i, w, 0, g->c, error);
}

semcal_status sc_floors_noise(sc_floor *floor, double *values, const double *c, size_t n,
                              const sc_floor_options *options, semcal_error *error)
{
    redraws r = {
        .n = (double)n, .wanted = {true, false}, .key = sc_random_key(options->seed, "noise floor", options->name)};
    semcal_status status = sc_smece_check(c, c, NULL, n, error);
    if (status == SEMCAL_OK) {
        status = sc_group_pairs(&r.groups, c, NULL, n, error);
    }
    if (status == SEMCAL_OK) {
        r.n_points = r.groups.n;
        status = run(floor, values, &r, redraw_noise, options, error);
    }
    sc_group_free(&r.groups);
    return status;
}

/* A class of the law `cumulative[k]` by inverse CDF; `guide[g]` is the class of u = g / GUIDES. */
static uint32_t draw_class(const double *cumulative, const uint32_t *guide, size_t n_classes, double u)
{
    uint32_t k = guide[(size_t)(u * GUIDES)];
    while (k + 1 < n_classes && u >= cumulative[k]) {
        k++;
    }
    return k;
}

static unsigned count_bits(uint64_t x)
{
    x -= x >> 1 & 0x5555555555555555u;
    x = (x & 0x3333333333333333u) + (x >> 2 & 0x3333333333333333u);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return (unsigned)(x * 0x0101010101010101u >> 56);
}

/* The draws of a question as one bit mask for each class that was drawn, in the order of first draws. */
static void redraw_masks(const redraws *r, size_t q, worker *w, sc_random_stream *stream)
{
    size_t first = r->laws->first[q], n_classes = r->laws->first[q + 1] - first, n_words = r->n_words;
    w->n_found = 0;
    for (size_t j = 0; j < r->n_draws; j++) {
        uint32_t k = draw_class(r->cumulative + first, r->guide + q * GUIDES, n_classes, sc_random_unit(stream));
        uint32_t slot = w->slot[k];
        if (slot >= w->n_found || w->found[slot] != k) {
            slot = w->slot[k] = w->n_found++;
            w->found[slot] = k;
            w->total[slot] = 0;
            w->probability[slot] = r->laws->probability[first + k];
            memset(w->mask + slot * n_words, 0, n_words * sizeof *w->mask);
        }
        w->total[slot]++;
        w->mask[slot * n_words + j / 64] |= (uint64_t)1 << (j % 64);
    }
}

/* The first of the draws in a mask. */
static uint32_t lowest_bit(const uint64_t *mask, const uint64_t *chooses, size_t n_words)
{
    for (size_t i = 0; i < n_words; i++) {
        uint64_t bits = chooses != NULL ? mask[i] & chooses[i] : mask[i];
        if (bits != 0) {
            return (uint32_t)(64 * i) + count_bits((bits & (~bits + 1)) - 1);
        }
    }
    return UINT32_MAX;
}

/* Mode, as a slot, of the draws in `chooses` (all when NULL), ties by probability and then the first draw. */
static uint32_t mode_of(const redraws *r, worker *w, const uint64_t *chooses)
{
    uint32_t best = 0, most = 0;
    bool tied = false;
    for (uint32_t slot = 0; slot < w->n_found; slot++) {
        const uint64_t *mask = w->mask + slot * r->n_words;
        uint32_t count = 0;
        /* A class drawn less often in all than another among those that choose is out. */
        for (size_t i = 0; i < r->n_words && w->total[slot] >= most; i++) {
            count += count_bits(chooses != NULL ? mask[i] & chooses[i] : mask[i]);
        }
        w->count[slot] = count;
        if (count > most) {
            most = count;
            best = slot;
            tied = false;
        } else if (count == most && count > 0) {
            tied = true;
        }
    }
    if (!tied) {
        return best;
    }
    for (uint32_t slot = 0; slot < w->n_found; slot++) {
        w->first_draw[slot] = lowest_bit(w->mask + slot * r->n_words, chooses, r->n_words);
    }
    return (uint32_t)sc_estimators_mode(w->count, w->probability, w->first_draw, w->n_found);
}

/* The split estimator of question q; `answer` is a class. */
static void redraw_split(const redraws *r, size_t q, worker *w, uint32_t answer)
{
    size_t m = r->n_draws;
    double confidence = 0, correct = 0;
    for (size_t split = 0; split < r->n_splits; split++) {
        uint32_t mode = mode_of(r, w, r->chooses + split * r->n_words);
        confidence += (double)(w->total[mode] - w->count[mode]) / (double)(m - m / 2);
        correct += answer == w->found[mode] ? 1 : 0;
    }
    confidence = fmin(1, confidence / (double)r->n_splits);
    w->c[SC_FLOOR_SPLIT][q] = confidence;
    w->mass[SC_FLOOR_SPLIT][q] = correct / (double)r->n_splits - confidence;
}

static void redraw_question(const redraws *r, size_t q, worker *w, sc_random_stream *stream)
{
    size_t first = r->laws->first[q], n_classes = r->laws->first[q + 1] - first, m = r->n_draws;
    uint32_t only = r->guide[q * GUIDES];
    if (r->laws->probability[first + only] > 0 && r->cumulative[first + only] == 1 &&
        (only == 0 || r->cumulative[first + only - 1] == 0)) {
        bool answerable = r->laws->never_correct == NULL || !r->laws->never_correct[first + only];
        sc_random_skip(stream, 2 * ((uint64_t)m + 1));
        w->c[0][q] = w->c[1][q] = 1;
        w->mass[0][q] = w->mass[1][q] = answerable ? 0 : -1;
        return;
    }
    redraw_masks(r, q, w, stream);
    uint32_t answer = draw_class(r->cumulative + first, r->guide + q * GUIDES, n_classes, sc_random_unit(stream));
    bool answerable = r->laws->never_correct == NULL || !r->laws->never_correct[first + answer];
    if (r->wanted[SC_FLOOR_FREQUENCY]) {
        uint32_t mode = mode_of(r, w, NULL);
        double confidence = (double)w->count[mode] / (double)m;
        w->c[SC_FLOOR_FREQUENCY][q] = confidence;
        w->mass[SC_FLOOR_FREQUENCY][q] = (answerable && answer == w->found[mode] ? 1 : 0) - confidence;
    }
    if (r->wanted[SC_FLOOR_SPLIT]) {
        redraw_split(r, q, w, answerable ? answer : UINT32_MAX);
    }
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
    semcal_status status = SEMCAL_OK;
    for (size_t k = 0; k < 2 && status == SEMCAL_OK; k++) {
        status = r->wanted[k] ? score(r, i, w, k, w->c[k], error) : SEMCAL_OK;
    }
    return status;
}

static semcal_status cumulate(double *cumulative, uint32_t *guide, size_t *largest, const sc_class_laws *laws,
                              semcal_error *error)
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
        size_t k = from;
        for (size_t g = 0; g < GUIDES; g++) {
            while (k + 1 < to && (double)g / GUIDES >= cumulative[k]) {
                k++;
            }
            guide[q * GUIDES + g] = (uint32_t)(k - from);
        }
        *largest = to - from > *largest ? to - from : *largest;
    }
    return SEMCAL_OK;
}

static semcal_status model_floors(sc_floor floors[2], double *values, const bool wanted[2], const sc_class_laws *laws,
                                  size_t n_draws, const sc_floor_options *options, semcal_error *error)
{
    if (n_draws < (wanted[SC_FLOOR_SPLIT] ? 2u : 1u) || n_draws > UINT32_MAX) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "%zu draws are too few for this floor", n_draws);
    }
    if (laws->n_questions == 0) {
        return sc_error_set(error, SEMCAL_E_DATA, "no questions");
    }
    size_t n_classes = laws->first[laws->n_questions], largest = 1;
    double *cumulative = sc_memory_alloc(n_classes, sizeof *cumulative, error);
    size_t n_words = n_draws / 64 + 1, n_splits = options->n_splits > 0 ? options->n_splits : SC_ESTIMATORS_SPLITS;
    uint32_t *guide = sc_memory_alloc(laws->n_questions * GUIDES, sizeof *guide, error);
    uint64_t *chooses = sc_memory_alloc(n_splits * n_words, sizeof *chooses, error);
    bool *split_draws = sc_memory_alloc(n_draws, sizeof *split_draws, error);
    uint32_t *scratch = sc_memory_alloc(n_draws, sizeof *scratch, error);
    semcal_status status = SEMCAL_E_MEMORY;
    if (cumulative != NULL && guide != NULL && chooses != NULL && split_draws != NULL && scratch != NULL) {
        status = cumulate(cumulative, guide, &largest, laws, error);
    }
    if (status == SEMCAL_OK) {
        for (unsigned split = 0; split < n_splits; split++) {
            sc_estimators_split(split_draws, scratch, n_draws, split);
            for (size_t j = 0; j < n_draws; j++) {
                chooses[split * n_words + j / 64] |= (uint64_t)split_draws[j] << (j % 64);
            }
        }
        redraws r = {.laws = laws,
                     .cumulative = cumulative,
                     .guide = guide,
                     .chooses = chooses,
                     .n_points = laws->n_questions,
                     .n = (double)laws->n_questions,
                     .n_draws = n_draws,
                     .n_words = n_words,
                     .n_splits = n_splits,
                     .largest = largest,
                     .wanted = {wanted[0], wanted[1]},
                     .key = sc_random_key(options->seed, "model floor", options->name)};
        status = run(floors, values, &r, redraw_model, options, error);
    }
    free(cumulative);
    free(guide);
    free(chooses);
    free(split_draws);
    free(scratch);
    return status;
}

semcal_status sc_floors_model(sc_floor *floor, double *values, const sc_class_laws *laws, size_t n_draws,
                              sc_floor_estimator estimator, const sc_floor_options *options, semcal_error *error)
{
    sc_floor floors[2];
    const bool wanted[2] = {estimator == SC_FLOOR_FREQUENCY, estimator == SC_FLOOR_SPLIT};
    semcal_status status = model_floors(floors, values, wanted, laws, n_draws, options, error);
    if (status == SEMCAL_OK) {
        *floor = floors[estimator];
    }
    return status;
}

semcal_status sc_floors_model_both(sc_floor floors[2], const sc_class_laws *laws, size_t n_draws,
                                   const sc_floor_options *options, semcal_error *error)
{
    return model_floors(floors, NULL, (const bool[2]){true, true}, laws, n_draws, options, error);
}

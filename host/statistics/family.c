/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/family.h"

#include "base/memory.h"
#include "base/numeric.h"
#include "base/parallel.h"
#include "base/random.h"
#include "statistics/bootstrap.h"
#include "statistics/gap.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#define D SC_FAMILY_FEATURES
#define ITERATIONS 100
/* Nats that a full step must still promise. */
#define TOLERANCE 1e-10
/* Largest change of a coefficient in one step. */
#define STRIDE 2.0

/* The classes with mass, their features computed once; what changes between fits is `answer` and the weights. */
typedef struct sample {
    size_t n;
    size_t *first;       /* [n + 1] */
    double *probability; /* [first[n]] */
    double *feature;     /* [first[n], D] */
    double *rest;        /* [n] 1 - sum of probabilities */
    double *confidence;  /* [n] of the mode */
    size_t *mode;        /* [n] index into the classes; SIZE_MAX: the question has none */
    size_t *answer;      /* [n] index into the classes; SIZE_MAX: in none */
} sample;

void sc_family_features(double feature[D], size_t rank, double probability)
{
    feature[0] = rank == 1;
    feature[1] = rank == 2;
    feature[2] = log((double)rank);
    feature[3] = log(probability);
}

void sc_family_smooth(double *probability, const uint32_t *count, size_t n_classes, size_t n_draws)
{
    double once = 0, twice = 0;
    for (size_t k = 0; k < n_classes; k++) {
        once += count[k] == 1;
        twice += count[k] == 2;
    }
    double discount = (once + 0.5) / (once + 2 * twice + 1);
    for (size_t k = 0; k < n_classes; k++) {
        probability[k] = count[k] > 0 ? (count[k] - discount) / (double)n_draws : 0;
    }
}

static double dot(const double *theta, const double *feature)
{
    double sum = 0;
    for (size_t d = 0; d < D; d++) {
        sum += theta[d] * feature[d];
    }
    return sum;
}

double sc_family_tilt(const double theta[D], const double feature[D])
{
    return fmin(SC_GAP_MOST_TILT, fmax(-SC_GAP_MOST_TILT, dot(theta, feature)));
}

/* ---- the sample ---- */

static void sample_free(sample *s)
{
    free(s->first);
    free(s->probability);
    free(s->feature);
    free(s->rest);
    free(s->confidence);
    free(s->mode);
    free(s->answer);
    *s = (sample){0};
}

static semcal_status check_question(const sc_family_laws *laws, size_t q, semcal_error *error)
{
    size_t from = laws->first[q], n_classes = laws->first[q + 1] - from;
    sc_sum sum = {0, 0};
    for (size_t k = 0; k < n_classes; k++) {
        double p = laws->probability[from + k];
        if (!(p >= 0 && p <= 1 + 1e-9)) {
            return sc_error_set(error, SEMCAL_E_NUMERIC, "question %zu: class %zu has probability %g", q, k, p);
        }
        sc_sum_add(&sum, p);
    }
    if (sc_sum_value(&sum) > 1 + 1e-9) {
        return sc_error_set(error, SEMCAL_E_NUMERIC, "question %zu: its class probabilities sum to %g", q,
                            sc_sum_value(&sum));
    }
    if (laws->reference[q] >= 0 && (size_t)laws->reference[q] >= n_classes) {
        return sc_error_set(error, SEMCAL_E_DATA, "question %zu: its answer is in class %d of %zu", q,
                            (int)laws->reference[q], n_classes);
    }
    if (laws->mode != NULL && (laws->mode[q] < 0 || (size_t)laws->mode[q] >= n_classes ||
                               !(laws->probability[from + (size_t)laws->mode[q]] > 0))) {
        return sc_error_set(error, SEMCAL_E_DATA, "question %zu: class %d of %zu cannot be its mode", q,
                            (int)laws->mode[q], n_classes);
    }
    return SEMCAL_OK;
}

/* The rank of class k among the question's: the mode first, then by falling probability, then as listed. */
static size_t rank_of(const double *p, size_t n_classes, size_t mode, size_t k)
{
    size_t rank = 1;
    for (size_t j = 0; j < n_classes && k != mode; j++) {
        rank += j != k && (j == mode || p[j] > p[k] || (p[j] == p[k] && j < k));
    }
    return rank;
}

static void take_question(sample *s, const sc_family_laws *laws, size_t q)
{
    size_t from = laws->first[q], n_classes = laws->first[q + 1] - from, at = s->first[q], mode = 0;
    const double *p = laws->probability + from;
    for (size_t k = 1; k < n_classes; k++) {
        mode = p[k] > p[mode] ? k : mode;
    }
    mode = laws->mode != NULL ? (size_t)laws->mode[q] : mode;
    sc_sum sum = {0, 0};
    s->mode[q] = s->answer[q] = SIZE_MAX;
    for (size_t k = 0; k < n_classes; k++) {
        if (p[k] > 0) {
            s->probability[at] = p[k];
            sc_family_features(s->feature + at * D, rank_of(p, n_classes, mode, k), p[k]);
            sc_sum_add(&sum, p[k]);
            s->mode[q] = k == mode ? at : s->mode[q];
            s->answer[q] = laws->reference[q] == (int32_t)k ? at : s->answer[q];
            at++;
        }
    }
    s->rest[q] = fmax(0, 1 - sc_sum_value(&sum));
    s->confidence[q] = s->mode[q] == SIZE_MAX ? 0 : fmin(1, s->probability[s->mode[q]]);
    s->first[q + 1] = at;
}

static semcal_status sample_make(sample *s, const sc_family_laws *laws, semcal_error *error)
{
    *s = (sample){0};
    size_t n = laws->n_questions, n_classes = n > 0 ? laws->first[n] : 0;
    if (n == 0 || n > UINT32_MAX) {
        return sc_error_set(error, SEMCAL_E_DATA, "cannot fit a tilt to %zu questions", n);
    }
    s->n = n;
    s->first = sc_memory_alloc(n + 1, sizeof *s->first, error);
    s->probability = sc_memory_alloc(n_classes, sizeof(double), error);
    s->feature = sc_memory_alloc(n_classes, D * sizeof(double), error);
    s->rest = sc_memory_alloc(n, sizeof(double), error);
    s->confidence = sc_memory_alloc(n, sizeof(double), error);
    s->mode = sc_memory_alloc(n, sizeof *s->mode, error);
    s->answer = sc_memory_alloc(n, sizeof *s->answer, error);
    semcal_status status = SEMCAL_OK;
    if (s->first == NULL || s->probability == NULL || s->feature == NULL || s->rest == NULL || s->confidence == NULL ||
        s->mode == NULL || s->answer == NULL) {
        status = SEMCAL_E_MEMORY;
    }
    for (size_t q = 0; q < n && status == SEMCAL_OK; q++) {
        status = check_question(laws, q, error);
        if (status == SEMCAL_OK) {
            take_question(s, laws, q);
        }
    }
    if (status != SEMCAL_OK) {
        sample_free(s);
    }
    return status;
}

/* ---- the fit ---- */

/* Gradient and negated Hessian of the mean gain. */
typedef struct derivatives {
    double g[D], h[D][D];
} derivatives;

/* What theta saves on one question; adds `weight` times its derivatives to `d` when that is given. Clipped classes do
 * not move. */
static double question_gain(const sample *s, size_t q, size_t answer, const double *theta, double weight,
                            derivatives *d)
{
    double z = s->rest[q], mean[D] = {0}, square[D][D] = {{0}};
    for (size_t k = s->first[q]; k < s->first[q + 1]; k++) {
        const double *f = s->feature + k * D;
        double x = dot(theta, f), p = s->probability[k];
        bool moves = fabs(x) < SC_GAP_MOST_TILT;
        p *= exp(moves ? x : copysign(SC_GAP_MOST_TILT, x));
        z += p;
        for (size_t i = 0; d != NULL && moves && i < D; i++) {
            mean[i] += p * f[i];
            for (size_t j = 0; j <= i; j++) {
                square[i][j] += p * f[i] * f[j];
            }
        }
    }
    double at_answer = answer == SIZE_MAX ? 0 : dot(theta, s->feature + answer * D);
    bool moves = answer != SIZE_MAX && fabs(at_answer) < SC_GAP_MOST_TILT;
    for (size_t i = 0; d != NULL && i < D; i++) {
        d->g[i] += weight * ((moves ? s->feature[answer * D + i] : 0) - mean[i] / z);
        for (size_t j = 0; j <= i; j++) {
            d->h[i][j] += weight * (square[i][j] / z - mean[i] * mean[j] / (z * z));
        }
    }
    return fmin(SC_GAP_MOST_TILT, fmax(-SC_GAP_MOST_TILT, at_answer)) - log(z);
}

/* Mean gain over questions of weights w (summing to `total`), less the penalty. */
static double objective(const sample *s, const size_t *answer, const double *w, double total, const double *theta,
                        derivatives *d)
{
    sc_sum sum = {0, 0};
    if (d != NULL) {
        *d = (derivatives){{0}, {{0}}};
    }
    for (size_t q = 0; q < s->n; q++) {
        double weight = w != NULL ? w[q] / total : 1 / total;
        if (weight > 0) {
            sc_sum_add(&sum, weight * question_gain(s, q, answer[q], theta, weight, d));
        }
    }
    for (size_t i = 1; i < D; i++) {
        sc_sum_add(&sum, -theta[i] * theta[i] / (2 * total));
        if (d != NULL) {
            d->g[i] -= theta[i] / total;
            d->h[i][i] += 1 / total;
        }
    }
    return sc_sum_value(&sum);
}

/* Solves (h + damping) step = g by Cholesky's factors; false when it is not positive. */
static bool solve(double step[D], const derivatives *d, double damping)
{
    double l[D][D] = {{0}};
    for (size_t i = 0; i < D; i++) {
        for (size_t j = 0; j <= i; j++) {
            double sum = d->h[i][j] + (i == j ? damping : 0);
            for (size_t k = 0; k < j; k++) {
                sum -= l[i][k] * l[j][k];
            }
            if (i == j && !(sum > 0)) {
                return false;
            }
            l[i][j] = i == j ? sqrt(sum) : sum / l[j][j];
        }
    }
    for (size_t i = 0; i < D; i++) {
        step[i] = d->g[i];
        for (size_t k = 0; k < i; k++) {
            step[i] -= l[i][k] * step[k];
        }
        step[i] /= l[i][i];
    }
    for (size_t i = D; i-- > 0;) {
        for (size_t k = i + 1; k < D; k++) {
            step[i] -= l[k][i] * step[k];
        }
        step[i] /= l[i][i];
    }
    return true;
}

/* The best shift of the mode's logit: where the search starts. */
static semcal_status best_shift(double *tau, const sample *s, const size_t *answer, const double *w, double *right,
                                semcal_error *error)
{
    for (size_t q = 0; q < s->n; q++) {
        right[q] = answer[q] != SIZE_MAX && answer[q] == s->mode[q];
    }
    sc_pool pool;
    sc_gap_tilt tilt;
    double gap;
    semcal_status status = sc_pool_make(&pool, s->confidence, right, w, s->n, error);
    if (status == SEMCAL_OK) {
        status = sc_gap_fit(&tilt, &gap, NULL, SC_GAP_SHIFT, &pool, error);
        if (status == SEMCAL_OK) {
            *tau = tilt.at_zero;
            sc_gap_free(&tilt);
        }
        sc_pool_free(&pool);
    }
    return status;
}

/* Newton's method, damped until a step climbs. `*gain` is the mean gain at theta without the penalty. */
static semcal_status fit(double theta[D], double *gain, const sample *s, const size_t *answer, const double *w,
                         semcal_error *error)
{
    double total = 0, *right = sc_memory_alloc(s->n, sizeof *right, error);
    if (right == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t q = 0; q < s->n; q++) {
        total += w != NULL ? w[q] : 1;
    }
    for (size_t i = 0; i < D; i++) {
        theta[i] = 0;
    }
    semcal_status status = best_shift(&theta[0], s, answer, w, right, error);
    free(right);
    if (status != SEMCAL_OK) {
        return status;
    }
    derivatives d, next;
    double best = objective(s, answer, w, total, theta, &d), damping = 1e-6;
    for (int i = 0; i < ITERATIONS && damping < 1e6; i++) {
        double step[D], candidate[D], promise = 0, largest = 0;
        bool sound = solve(step, &d, damping);
        for (size_t k = 0; sound && k < D; k++) {
            promise += step[k] * d.g[k];
            largest = fmax(largest, fabs(step[k]));
        }
        if (sound && promise <= TOLERANCE) {
            break;
        }
        for (size_t k = 0; sound && k < D; k++) {
            candidate[k] = theta[k] + step[k] * (largest > STRIDE ? STRIDE / largest : 1);
        }
        double value = sound ? objective(s, answer, w, total, candidate, &next) : -INFINITY;
        if (value > best) {
            best = value;
            d = next;
            damping = fmax(1e-12, damping / 10);
            for (size_t k = 0; k < D; k++) {
                theta[k] = candidate[k];
            }
        } else {
            damping *= 10;
        }
    }
    for (size_t i = 1; i < D; i++) {
        best += theta[i] * theta[i] / (2 * total);
    }
    *gain = best;
    return SEMCAL_OK;
}

semcal_status sc_family_gain(double *gain, const double theta[D], const sc_family_laws *laws, const double *w,
                             semcal_error *error)
{
    sample s;
    semcal_status status = sample_make(&s, laws, error);
    if (status == SEMCAL_OK) {
        sc_sum sum = {0, 0}, total = {0, 0};
        for (size_t q = 0; q < s.n; q++) {
            double weight = w != NULL ? w[q] : 1;
            sc_sum_add(&total, weight);
            sc_sum_add(&sum, weight * question_gain(&s, q, s.answer[q], theta, 0, NULL));
        }
        *gain = sc_sum_value(&sum) / sc_sum_value(&total);
        sample_free(&s);
    }
    return status;
}

/* ---- cross-fit, interval, floor ---- */

static semcal_status crossfit(double *gap, const sample *s, const sc_family_options *options, semcal_error *error)
{
    if (options->n_folds < 2 || s->n < options->n_folds) {
        return SEMCAL_OK;
    }
    uint32_t *fold = sc_memory_alloc(s->n, sizeof *fold, error);
    double *w = sc_memory_alloc(s->n, sizeof *w, error), sum = 0;
    semcal_status status = fold == NULL || w == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK) {
        sc_gap_folds(fold, s->n, options->n_folds, options->seed, options->name);
    }
    for (size_t f = 0; f < options->n_folds && status == SEMCAL_OK; f++) {
        double theta[D], in_sample;
        for (size_t q = 0; q < s->n; q++) {
            w[q] = fold[q] == f ? 0 : 1;
        }
        status = fit(theta, &in_sample, s, s->answer, w, error);
        for (size_t q = 0; q < s->n && status == SEMCAL_OK; q++) {
            sum += fold[q] == f ? question_gain(s, q, s->answer[q], theta, 0, NULL) : 0;
        }
    }
    *gap = status == SEMCAL_OK ? sum / (double)s->n : NAN;
    free(fold);
    free(w);
    return status;
}

static semcal_status resampled(double *values, const double *times, unsigned thread, void *payload, semcal_error *error)
{
    (void)thread;
    double theta[D];
    const sample *s = payload;
    return fit(theta, values, s, s->answer, times, error);
}

typedef struct redraws {
    const sample *sample;
    uint64_t key;
    size_t n_draws;
    double *values;
} redraws;

/* A class of question q, as an index into the classes; SIZE_MAX: in the rest. */
static size_t draw_class(const sample *s, size_t q, sc_random_stream *stream)
{
    double u = sc_random_unit(stream);
    size_t k = s->first[q], end = s->first[q + 1];
    for (; k < end && u >= s->probability[k]; k++) {
        u -= s->probability[k];
    }
    /* Past the last class: the rest, or rounding where there is none. */
    return k < end ? k : s->rest[q] > 1e-9 || end == s->first[q] ? SIZE_MAX : end - 1;
}

/* Room for the redrawn laws of all questions: at most M classes each. */
typedef struct redrawn_laws {
    size_t *first;
    double *probability;
    int32_t *reference;
    uint32_t *count; /* [M] */
    size_t *found;   /* [M] classes by first draw; SIZE_MAX: one of the rest */
} redrawn_laws;

static void redraw_law(redrawn_laws *laws, const sample *s, size_t q, size_t n_draws, sc_random_stream *stream)
{
    size_t n_found = 0;
    for (size_t j = 0; j < n_draws; j++) {
        size_t k = draw_class(s, q, stream), slot = 0;
        while (k != SIZE_MAX && slot < n_found && laws->found[slot] != k) {
            slot++;
        }
        slot = k == SIZE_MAX ? n_found : slot;
        laws->count[slot] = slot == n_found ? 1 : laws->count[slot] + 1;
        laws->found[slot] = k;
        n_found += slot == n_found;
    }
    size_t answer = draw_class(s, q, stream);
    laws->reference[q] = -1;
    for (size_t slot = 0; slot < n_found && answer != SIZE_MAX; slot++) {
        laws->reference[q] = laws->found[slot] == answer ? (int32_t)slot : laws->reference[q];
    }
    sc_family_smooth(laws->probability + laws->first[q], laws->count, n_found, n_draws);
    laws->first[q + 1] = laws->first[q] + n_found;
}

static semcal_status redraw_sample(sample *out, const redraws *r, sc_random_stream *stream, semcal_error *error)
{
    size_t n = r->sample->n, m = r->n_draws;
    redrawn_laws laws = {.first = sc_memory_alloc(n + 1, sizeof *laws.first, error),
                         .probability = sc_memory_alloc(n, m * sizeof(double), error),
                         .reference = sc_memory_alloc(n, sizeof *laws.reference, error),
                         .count = sc_memory_alloc(m, sizeof *laws.count, error),
                         .found = sc_memory_alloc(m, sizeof *laws.found, error)};
    semcal_status status = SEMCAL_E_MEMORY;
    if (laws.first != NULL && laws.probability != NULL && laws.reference != NULL && laws.count != NULL &&
        laws.found != NULL) {
        for (size_t q = 0; q < n; q++) {
            redraw_law(&laws, r->sample, q, m, stream);
        }
        const sc_family_laws view = {n, laws.first, laws.probability, laws.reference, NULL};
        status = sample_make(out, &view, error);
    }
    free(laws.first);
    free(laws.probability);
    free(laws.reference);
    free(laws.count);
    free(laws.found);
    return status;
}

static semcal_status redrawn(size_t i, unsigned thread, void *payload, semcal_error *error)
{
    (void)thread;
    const redraws *r = payload;
    const sample *s = r->sample;
    double theta[D];
    semcal_status status = SEMCAL_OK;
    sc_random_stream stream;
    sc_random_stream_init(&stream, r->key, i);
    if (r->n_draws > 0) {
        sample redrawn_sample;
        status = redraw_sample(&redrawn_sample, r, &stream, error);
        if (status == SEMCAL_OK) {
            status = fit(theta, &r->values[i], &redrawn_sample, redrawn_sample.answer, NULL, error);
            sample_free(&redrawn_sample);
        }
        return status;
    }
    size_t *answer = sc_memory_alloc(s->n, sizeof *answer, error);
    if (answer == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t q = 0; q < s->n; q++) {
        answer[q] = draw_class(s, q, &stream);
    }
    status = fit(theta, &r->values[i], s, answer, NULL, error);
    free(answer);
    return status;
}

static semcal_status spread(sc_family_gap *out, sample *s, const sc_family_options *options, semcal_error *error)
{
    size_t b = options->n_replicates;
    double *values = sc_memory_alloc(b, sizeof *values, error);
    semcal_status status = values == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK) {
        sc_bootstrap_options how = {options->seed, options->name, b, options->n_threads};
        status = sc_bootstrap_run(values, 1, NULL, s->n, &how, resampled, s, error);
    }
    if (status == SEMCAL_OK) {
        sc_bootstrap_basic(out->interval, s->n > 1 ? out->gap : (double)NAN, values, b, 0, INFINITY);
        redraws r = {s, sc_random_key(options->seed, "family floor", options->name), options->n_draws, values};
        status = sc_parallel_for(b, options->n_threads, redrawn, &r, error);
    }
    if (status == SEMCAL_OK) {
        sc_sum sum = {0, 0};
        for (size_t i = 0; i < b; i++) {
            sc_sum_add(&sum, values[i]);
        }
        qsort(values, b, sizeof *values, sc_compare_doubles);
        out->floor = sc_sum_value(&sum) / (double)b;
        out->floor_95 = sc_quantile_sorted(values, b, 0.95);
    }
    free(values);
    return status;
}

semcal_status sc_family_compute(sc_family_gap *out, const sc_family_laws *laws, const sc_family_options *options,
                                semcal_error *error)
{
    *out = (sc_family_gap){
        .gap = NAN, .crossfit = NAN, .interval = {NAN, NAN}, .floor = NAN, .floor_95 = NAN, .n_unseen = 0};
    sample s;
    semcal_status status = sample_make(&s, laws, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    for (size_t q = 0; q < s.n; q++) {
        out->n_unseen += s.answer[q] == SIZE_MAX;
    }
    status = fit(out->theta, &out->gap, &s, s.answer, NULL, error);
    if (status == SEMCAL_OK) {
        status = crossfit(&out->crossfit, &s, options, error);
    }
    if (status == SEMCAL_OK && options->n_replicates > 0) {
        status = spread(out, &s, options, error);
    }
    sample_free(&s);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/gap_families.h"

#include "base/memory.h"
#include "base/numeric.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* Points of the coarse search, slopes tried, and how many of the best starts are refined. */
#define COARSE 96
#define SLOPES 17
#define OFFSET_STEP 0.5
#define STARTS 4
/* The same when the tolerance is loose. */
#define LOOSE 1e-8
#define COARSE_LOOSE 32
#define SLOPES_LOOSE 9
#define STARTS_LOOSE 2
#define ITERATIONS 60
/* Cells of the table behind the coarse search. */
#define CELLS 32

/* The sample strictly between 0 and 1. */
typedef struct logits {
    size_t n;
    double *t, *c, *weight, *right;
} logits;

static double clip(double x)
{
    return fmin(SC_GAP_MOST_TILT, fmax(-SC_GAP_MOST_TILT, x));
}

/* What the line gains, and when `d` is given its derivatives over the points that are not clipped. */
typedef struct derivatives {
    double g[2], h[3]; /* gradient, negated Hessian (slope slope, slope offset, offset offset) */
} derivatives;

static double gain(const logits *s, double slope, double offset, derivatives *d)
{
    double sum = 0;
    derivatives at = {{0, 0}, {0, 0, 0}};
    for (size_t j = 0; j < s->n; j++) {
        double free_x = slope * s->t[j] + offset, x = clip(free_x), c = s->c[j];
        double e = exp(x), whole = 1 - c + c * e;
        sum += s->right[j] * x - s->weight[j] * log(whole);
        if (d != NULL && fabs(free_x) < SC_GAP_MOST_TILT) {
            double scale = 1 / whole, p = c * e * scale, t = s->t[j];
            double first = s->right[j] - s->weight[j] * p, second = s->weight[j] * p * (1 - c) * scale;
            at.g[0] += first * t;
            at.g[1] += first;
            at.h[0] += second * t * t;
            at.h[1] += second * t;
            at.h[2] += second;
        }
    }
    if (d != NULL) {
        *d = at;
    }
    return sum;
}

/* Newton with backtracking from (slope, offset), slope kept in [low, high]; low = high moves the offset alone. */
static double climb(const logits *s, double *slope, double *offset, double low, double high, double tolerance)
{
    derivatives d, next;
    double best = gain(s, *slope, *offset, &d);
    for (int i = 0; i < ITERATIONS; i++) {
        double step[2];
        const double *g = d.g, *h = d.h;
        bool held = (*slope <= low && g[0] <= 0) || (*slope >= high && g[0] >= 0) || low == high;
        double ridge = 1e-12 * (h[0] + h[2]) + 1e-300;
        double det = (h[0] + ridge) * (h[2] + ridge) - h[1] * h[1];
        if (held || !(det > 0)) {
            step[0] = held ? 0 : g[0] / (h[0] + ridge);
            step[1] = g[1] / (h[2] + ridge);
        } else {
            step[0] = ((h[2] + ridge) * g[0] - h[1] * g[1]) / det;
            step[1] = ((h[0] + ridge) * g[1] - h[1] * g[0]) / det;
        }
        double largest = fmax(fabs(step[0]), fabs(step[1]) / 8);
        double scale = largest > 1 ? 1 / largest : 1;
        /* What a full step could gain; below rounding of the sum there is nothing left to climb. */
        if (!(g[0] * step[0] + g[1] * step[1] > tolerance * 1e-4)) {
            break;
        }
        bool better = false;
        for (int halving = 0; halving < 20; halving++, scale /= 2) {
            double a = fmin(high, fmax(low, *slope + scale * step[0])), b = *offset + scale * step[1];
            double value = gain(s, a, b, &next);
            if (value > best) {
                better = value > best + 1e-15;
                best = value;
                d = next;
                *slope = a;
                *offset = b;
                break;
            }
        }
        if (!better) {
            break;
        }
    }
    return best;
}

/* ---- where the line meets the clip: kinks that Newton's method cannot climb along ---- */

#define POLISH_MOST 64
#define POLISH_FIRST 0.25
#define POLISH_LAST 1e-12
#define KINK_SLOPES 48
#define KINK_STARTS 4
#define KINK_NEAR 1e-3

/* Moves both numbers by `step` along a direction while that gains; true when it did. */
static bool move(const logits *s, double *best, double *slope, double *offset, double low, double high, double along,
                 double across)
{
    bool moved = false;
    for (;;) {
        double a = fmin(high, fmax(low, *slope + along)), b = *offset + across;
        double value = gain(s, a, b, NULL);
        if (!(value > *best)) {
            return moved;
        }
        *best = value;
        *slope = a;
        *offset = b;
        moved = true;
    }
}

/* Direct search: along both axes, and for every point along the lines that keep its tilt, among them the kinks. */
static double polish(const logits *s, double best, double *slope, double *offset, double low, double high)
{
    for (double step = POLISH_FIRST; step > POLISH_LAST; step /= 2) {
        bool moved = true;
        for (int round = 0; moved && round < 8; round++) {
            moved = false;
            for (size_t j = 0; j < s->n + 2; j++) {
                const double along = j == s->n + 1 ? 0 : 1, across = j == s->n + 1 ? 1 : j == s->n ? 0 : -s->t[j];
                const double size = step / fmax(1, fabs(across) / 8);
                moved |= move(s, &best, slope, offset, low, high, size * along, size * across);
                moved |= move(s, &best, slope, offset, low, high, -size * along, -size * across);
            }
        }
    }
    return best;
}

/* ---- where to start: the gain of every line of a coarse grid, from a table of each point's gain ---- */

typedef struct table {
    double at[COARSE][CELLS + 1]; /* gain of point j at the tilt -4 + 8 k / CELLS */
} table;

static void tabulate(table *out, const logits *few)
{
    double rise[CELLS + 1];
    for (size_t k = 0; k <= CELLS; k++) {
        rise[k] = expm1(SC_GAP_MOST_TILT * (2 * (double)k / CELLS - 1));
    }
    for (size_t j = 0; j < few->n; j++) {
        for (size_t k = 0; k <= CELLS; k++) {
            double x = SC_GAP_MOST_TILT * (2 * (double)k / CELLS - 1);
            out->at[j][k] = few->right[j] * x - few->weight[j] * log(1 + few->c[j] * rise[k]);
        }
    }
}

static double look_up(const table *from, const logits *few, double slope, double offset)
{
    const double per = CELLS / (2 * SC_GAP_MOST_TILT);
    double sum = 0;
    for (size_t j = 0; j < few->n; j++) {
        double place = (slope * few->t[j] + offset + SC_GAP_MOST_TILT) * per;
        place = place > 0 ? place : 0;
        place = place < CELLS ? place : CELLS;
        size_t k = (size_t)place;
        k = k < CELLS ? k : CELLS - 1;
        const double *row = &from->at[j][k];
        sum += row[0] + (place - (double)k) * (row[1] - row[0]);
    }
    return sum;
}

typedef struct start {
    double gain, slope, offset;
} start;

/* Keeps the best starts, one for each slope. */
static void remember(start *starts, int n_starts, start candidate)
{
    for (int i = 0; i < n_starts; i++) {
        if (candidate.gain > starts[i].gain) {
            start pushed = starts[i];
            starts[i] = candidate;
            candidate = pushed;
        }
    }
}

/* Refines the line found, and the best ones on which some point meets the clip where those are nearly as good. */
static double along_kinks(const logits *s, double best, double *slope, double *offset, double low, double high)
{
    start starts[KINK_STARTS + 1];
    for (int i = 0; i < KINK_STARTS; i++) {
        starts[i] = (start){-INFINITY, 0, 0};
    }
    for (size_t j = 0; j < s->n; j++) {
        for (int wall = -1; wall <= 1; wall += 2) {
            start top = {-INFINITY, 0, 0};
            for (int i = 0; i <= KINK_SLOPES; i++) {
                const double a = low + (high - low) * i / KINK_SLOPES, b = wall * SC_GAP_MOST_TILT - a * s->t[j];
                const double value = gain(s, a, b, NULL);
                top = value > top.gain ? (start){value, a, b} : top;
            }
            remember(starts, KINK_STARTS, top);
        }
    }
    starts[KINK_STARTS] = (start){best, *slope, *offset};
    for (int i = 0; i <= KINK_STARTS; i++) {
        start *from = &starts[i];
        const double value =
            from->gain > best - KINK_NEAR ? polish(s, from->gain, &from->slope, &from->offset, low, high) : from->gain;
        if (value > best) {
            best = value;
            *slope = from->slope;
            *offset = from->offset;
        }
    }
    return best;
}

/* The sample, what the coarse search sees of it, and the best line of slope 0. */
typedef struct search {
    logits all, few;
    table table;
    double flat_offset, tolerance;
} search;

/* The best line with slope in [low, high]: coarse grid on few points, refined on few, then on all. */
static double best_line(const search *s, double low, double high, double *slope, double *offset)
{
    const logits *few = &s->few, *all = &s->all;
    bool loose = s->tolerance > LOOSE;
    int n_slopes = loose ? SLOPES_LOOSE : SLOPES, n_starts = loose ? STARTS_LOOSE : STARTS;
    start starts[STARTS];
    for (int i = 0; i < n_starts; i++) {
        starts[i] = (start){-INFINITY, 0, 0};
    }
    for (int i = 0; i < n_slopes; i++) {
        double a = low + (high - low) * i / (n_slopes - 1);
        double ends[2] = {a * few->t[0], a * few->t[few->n - 1]};
        start best = {-INFINITY, a, 0};
        double from = -SC_GAP_MOST_TILT - fmax(ends[0], ends[1]), to = SC_GAP_MOST_TILT - fmin(ends[0], ends[1]);
        /* Beyond some hundred steps the data are so wide that a finer grid would find nothing new. */
        double step = fmax(OFFSET_STEP, (to - from) / 128);
        for (double b = from; b <= to; b += step) {
            double value = look_up(&s->table, few, a, b);
            best = value > best.gain ? (start){value, a, b} : best;
        }
        remember(starts, n_starts, best);
    }
    double best = gain(all, 0, s->flat_offset, NULL);
    *slope = 0;
    *offset = s->flat_offset;
    for (int i = 0; i < n_starts; i++) {
        start *from = &starts[i];
        (void)climb(few, &from->slope, &from->offset, low, high, s->tolerance);
        double value = gain(all, from->slope, from->offset, NULL);
        if (value > best) {
            best = value;
            *slope = from->slope;
            *offset = from->offset;
        }
    }
    best = climb(all, slope, offset, low, high, s->tolerance);
    return loose || all->n > POLISH_MOST ? best : along_kinks(all, best, slope, offset, low, high);
}

/* ---- a tilt from the line ---- */

static semcal_status put_line(sc_gap_tilt *tilt, double slope, double offset, semcal_error *error)
{
    double one = (-SC_GAP_MOST_TILT - offset) / slope, two = (SC_GAP_MOST_TILT - offset) / slope;
    bool flat = !(isfinite(one) && isfinite(two) && fabs(two - one) < 1e9);
    semcal_status status = sc_gap_alloc(tilt, flat ? 1 : 2, error);
    if (status == SEMCAL_OK && flat) {
        tilt->place[0] = 0;
        tilt->value[0] = clip(offset);
    } else if (status == SEMCAL_OK) {
        tilt->place[0] = fmin(one, two);
        tilt->place[1] = fmax(one, two);
        tilt->value[0] = slope > 0 ? -SC_GAP_MOST_TILT : SC_GAP_MOST_TILT;
        tilt->value[1] = -tilt->value[0];
    }
    return status;
}

static semcal_status logits_of(logits *s, const sc_pool *pool, semcal_error *error)
{
    *s = (logits){0, sc_memory_alloc(pool->n, sizeof(double), error), sc_memory_alloc(pool->n, sizeof(double), error),
                  sc_memory_alloc(pool->n, sizeof(double), error), sc_memory_alloc(pool->n, sizeof(double), error)};
    if (s->t == NULL || s->c == NULL || s->weight == NULL || s->right == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t j = 0; j < pool->n; j++) {
        if (pool->c[j] > 0 && pool->c[j] < 1) {
            s->t[s->n] = sc_logit(pool->c[j]);
            s->c[s->n] = pool->c[j];
            s->weight[s->n] = pool->weight[j];
            s->right[s->n++] = pool->right[j];
        }
    }
    return SEMCAL_OK;
}

static void thin(logits *few, size_t most)
{
    size_t run = (few->n + most - 1) / most, m = 0;
    for (size_t i = 0; run > 1 && i < few->n; i += run, m++) {
        double weight = 0, right = 0, t = 0;
        for (size_t j = i; j < few->n && j < i + run; j++) {
            weight += few->weight[j];
            right += few->right[j];
            t += few->weight[j] * few->t[j];
        }
        few->t[m] = t / weight;
        few->c[m] = sc_sigmoid(few->t[m]);
        few->weight[m] = weight;
        few->right[m] = right;
    }
    few->n = run > 1 ? m : few->n;
}

static void logits_free(logits *s)
{
    free(s->t);
    free(s->c);
    free(s->weight);
    free(s->right);
}

/* One tau for all, atoms included: the derivative of the gain falls with tau, so its root is bracketed. */
static double best_shift(const sc_pool *pool)
{
    double low = -SC_GAP_MOST_TILT, high = SC_GAP_MOST_TILT;
    for (int i = 0; i < 48; i++) {
        double x = (low + high) / 2, e = exp(x), slope = 0;
        for (size_t j = 0; j < pool->n; j++) {
            double c = pool->c[j];
            slope += pool->right[j] - pool->weight[j] * (c * e / (1 - c + c * e));
        }
        if (slope > 0) {
            low = x;
        } else {
            high = x;
        }
    }
    /* At a wall the gain is still rising: go to the wall itself. */
    return low == -SC_GAP_MOST_TILT ? low : high == SC_GAP_MOST_TILT ? high : (low + high) / 2;
}

semcal_status sc_gap_fit_affine(sc_gap_tilt *tilt, const sc_pool *pool, double tolerance, semcal_error *error)
{
    if (tilt->family == SC_GAP_SHIFT) {
        double tau = best_shift(pool);
        tilt->at_zero = tilt->at_one = tau;
        return put_line(tilt, 0, tau, error);
    }
    double slope = 0, offset = 0, rising_slope = 0, rising_offset = 0;
    search *s = sc_memory_alloc(1, sizeof *s, error);
    if (s == NULL) {
        return SEMCAL_E_MEMORY;
    }
    s->tolerance = tolerance;
    semcal_status status = logits_of(&s->all, pool, error);
    if (status == SEMCAL_OK) {
        status = logits_of(&s->few, pool, error);
    }
    if (status == SEMCAL_OK && s->all.n > 0) {
        double flat = 0;
        thin(&s->few, tolerance > LOOSE ? COARSE_LOOSE : COARSE);
        tabulate(&s->table, &s->few);
        (void)climb(&s->all, &flat, &s->flat_offset, 0, 0, tolerance);
        size_t last = pool->n - 1;
        double right_at_zero = pool->c[0] == 0 ? pool->right[0] : 0;
        double wrong_at_one = pool->c[last] == 1 ? pool->weight[last] - pool->right[last] : 0;
        double atoms = SC_GAP_MOST_TILT * (right_at_zero + wrong_at_one);
        /* alpha < 1 pulls both atoms inwards, and its limit at 1 does too; alpha > 1 pushes them outwards. */
        double falling = atoms + best_line(s, -1, 0, &slope, &offset);
        double rising = best_line(s, 0, 1, &rising_slope, &rising_offset) - atoms;
        if (rising > falling) {
            slope = rising_slope;
            offset = rising_offset;
            tilt->at_zero = -SC_GAP_MOST_TILT;
            tilt->at_one = SC_GAP_MOST_TILT;
        }
    }
    if (status == SEMCAL_OK) {
        status = put_line(tilt, slope, offset, error);
    }
    logits_free(&s->all);
    logits_free(&s->few);
    free(s);
    return status;
}

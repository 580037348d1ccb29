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
#define ITERATIONS 60

/* The sample strictly between 0 and 1. */
typedef struct logits {
    size_t n;
    double *t, *c, *weight, *right;
} logits;

static double clip(double x)
{
    return fmin(SC_GAP_MOST_TILT, fmax(-SC_GAP_MOST_TILT, x));
}

static double gain(const logits *s, double slope, double offset)
{
    double sum = 0;
    for (size_t j = 0; j < s->n; j++) {
        double x = clip(slope * s->t[j] + offset);
        sum += s->right[j] * x - s->weight[j] * log1p(s->c[j] * expm1(x));
    }
    return sum;
}

/* Gradient and (negated) Hessian of the gain over the points that are not clipped. */
static void derivatives(const logits *s, double slope, double offset, double g[2], double h[3])
{
    g[0] = g[1] = h[0] = h[1] = h[2] = 0;
    for (size_t j = 0; j < s->n; j++) {
        double x = slope * s->t[j] + offset;
        if (fabs(x) < SC_GAP_MOST_TILT) {
            double e = exp(x), scale = 1 / (1 - s->c[j] + s->c[j] * e), p = s->c[j] * e * scale;
            double first = s->right[j] - s->weight[j] * p, second = s->weight[j] * p * (1 - s->c[j]) * scale;
            g[0] += first * s->t[j];
            g[1] += first;
            h[0] += second * s->t[j] * s->t[j];
            h[1] += second * s->t[j];
            h[2] += second;
        }
    }
}

/* Newton with backtracking from (slope, offset), slope kept in [low, high]; low = high moves the offset alone. */
static double climb(const logits *s, double *slope, double *offset, double low, double high)
{
    double best = gain(s, *slope, *offset);
    for (int i = 0; i < ITERATIONS; i++) {
        double g[2], h[3], step[2];
        derivatives(s, *slope, *offset, g, h);
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
        if (!(g[0] * step[0] + g[1] * step[1] > 1e-13)) {
            break;
        }
        bool better = false;
        for (int halving = 0; halving < 20; halving++, scale /= 2) {
            double a = fmin(high, fmax(low, *slope + scale * step[0])), b = *offset + scale * step[1];
            double value = gain(s, a, b);
            if (value > best) {
                better = value > best + 1e-15;
                best = value;
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

typedef struct start {
    double gain, slope, offset;
} start;

/* Keeps the best starts, one for each slope. */
static void remember(start starts[STARTS], start candidate)
{
    for (int i = 0; i < STARTS; i++) {
        if (candidate.gain > starts[i].gain) {
            start pushed = starts[i];
            starts[i] = candidate;
            candidate = pushed;
        }
    }
}

/* The best line with slope in [low, high]: coarse grid on few points, refined on few, then on all. */
static double best_line(const logits *few, const logits *all, double low, double high, double *slope, double *offset)
{
    start starts[STARTS];
    for (int i = 0; i < STARTS; i++) {
        starts[i] = (start){-INFINITY, 0, 0};
    }
    for (int i = 0; low < high && i < SLOPES; i++) {
        double a = low + (high - low) * i / (SLOPES - 1);
        double ends[2] = {a * few->t[0], a * few->t[few->n - 1]};
        start best = {-INFINITY, a, 0};
        double from = -SC_GAP_MOST_TILT - fmax(ends[0], ends[1]), to = SC_GAP_MOST_TILT - fmin(ends[0], ends[1]);
        /* Beyond some hundred steps the data are so wide that a finer grid would find nothing new. */
        double step = fmax(OFFSET_STEP, (to - from) / 128);
        for (double b = from; b <= to; b += step) {
            double value = gain(few, a, b);
            best = value > best.gain ? (start){value, a, b} : best;
        }
        remember(starts, best);
    }
    double best = -INFINITY;
    for (int i = 0; i < STARTS && low < high; i++) {
        starts[i].gain = climb(few, &starts[i].slope, &starts[i].offset, low, high);
        double value = gain(all, starts[i].slope, starts[i].offset);
        if (value > best) {
            best = value;
            *slope = starts[i].slope;
            *offset = starts[i].offset;
        }
    }
    double zero_slope = 0, zero_offset = 0, shift = climb(all, &zero_slope, &zero_offset, 0, 0);
    if (!(best > shift)) {
        *slope = zero_slope;
        *offset = zero_offset;
    }
    return climb(all, slope, offset, low, high);
}

/* ---- a tilt from the line ---- */

static semcal_status put_line(sc_tilt *tilt, double slope, double offset, semcal_error *error)
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

static void thin(logits *few)
{
    size_t run = (few->n + COARSE - 1) / COARSE, m = 0;
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
    for (int i = 0; i < 60; i++) {
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

semcal_status sc_gap_fit_affine(sc_tilt *tilt, const sc_pool *pool, semcal_error *error)
{
    if (tilt->family == SC_GAP_SHIFT) {
        double tau = best_shift(pool);
        tilt->at_zero = tilt->at_one = tau;
        return put_line(tilt, 0, tau, error);
    }
    logits all = {0}, few = {0};
    double slope = 0, offset = 0, rising_slope = 0, rising_offset = 0;
    semcal_status status = logits_of(&all, pool, error);
    if (status == SEMCAL_OK) {
        status = logits_of(&few, pool, error);
    }
    if (status == SEMCAL_OK && all.n > 0) {
        thin(&few);
        size_t last = pool->n - 1;
        double right_at_zero = pool->c[0] == 0 ? pool->right[0] : 0;
        double wrong_at_one = pool->c[last] == 1 ? pool->weight[last] - pool->right[last] : 0;
        double atoms = SC_GAP_MOST_TILT * (right_at_zero + wrong_at_one);
        /* alpha < 1 pulls both atoms inwards, and its limit at 1 does too; alpha > 1 pushes them outwards. */
        double falling = atoms + best_line(&few, &all, -1, 0, &slope, &offset);
        double rising = best_line(&few, &all, 0, 1, &rising_slope, &rising_offset) - atoms;
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
    logits_free(&all);
    logits_free(&few);
    return status;
}

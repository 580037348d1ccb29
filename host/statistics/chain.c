/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/chain.h"

#include "base/memory.h"
#include "base/numeric.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ITERATIONS 200
/* Share of the way to the nearest wall that a step may go. */
#define STEP_BACK 0.995
/* A corrected step shorter than this is replaced by one towards this share of the mean complementarity. */
#define SHORT_STEP 0.5
#define CENTRED 0.3

/* ---- the functions ---- */

double sc_chain_value(const sc_chain *h, size_t j, double x)
{
    if (h->kind == SC_CHAIN_LOG) {
        /* exp and log lose what expm1 and log1p keep, 1e-16 of the weight, at a third of their price. */
        return h->weight[j] * log(1 - h->c[j] + h->c[j] * exp(x)) - h->right[j] * x;
    }
    return h->weight[j] * x * x - 2 * (h->right[j] - h->weight[j] * h->c[j]) * x;
}

static void f_slopes(const sc_chain *h, size_t j, double x, double *first, double *second)
{
    if (h->kind == SC_CHAIN_LOG) {
        double c = h->c[j], e = exp(x), scale = 1 / (1 - c + c * e), p = c * e * scale;
        *first = h->weight[j] * p - h->right[j];
        *second = h->weight[j] * p * ((1 - c) * scale);
    } else {
        *first = 2 * h->weight[j] * x - 2 * (h->right[j] - h->weight[j] * h->c[j]);
        *second = 2 * h->weight[j];
    }
}

double sc_chain_slope(const sc_chain *h, size_t j, double x)
{
    double first, second;
    f_slopes(h, j, x, &first, &second);
    return first;
}

/* Minimum over [low, high] of f_j(x) + g x. */
static double f_tilted_minimum(const sc_chain *h, size_t j, double g)
{
    double x;
    if (h->kind == SC_CHAIN_LOG) {
        double p = (h->right[j] - g) / h->weight[j];
        x = p <= 0 ? h->low[j] : p >= 1 ? h->high[j] : sc_logit(p) - sc_logit(h->c[j]);
    } else {
        x = (h->right[j] - h->weight[j] * h->c[j] - g / 2) / h->weight[j];
    }
    x = fmin(h->high[j], fmax(h->low[j], x));
    return sc_chain_value(h, j, x) + g * x;
}

/* ---- the iteration ---- */

/* Slacks and multipliers of the four kinds of wall: below, above (n each), right neighbour too high, too low (n-1). */
typedef struct state {
    size_t n;
    double *slack[4], *multiplier[4];
    double *step_slack[4], *step_multiplier[4];
    double *inverse[4]; /* 1 / slack */
    double *dx, *first, *ground, *spring, *share, *loose, *stretch;
    double *block;
} state;

static semcal_status state_alloc(state *s, size_t n, semcal_error *error)
{
    *s = (state){.n = n, .block = sc_memory_alloc(27 * n, sizeof(double), error)};
    if (s->block == NULL) {
        return SEMCAL_E_MEMORY;
    }
    double *at = s->block;
    for (int w = 0; w < 4; w++) {
        double **const of_wall[] = {&s->slack[w], &s->multiplier[w], &s->step_slack[w], &s->step_multiplier[w],
                                    &s->inverse[w]};
        for (size_t i = 0; i < sizeof of_wall / sizeof *of_wall; i++, at += n) {
            *of_wall[i] = at;
        }
    }
    double **const of_point[] = {&s->dx, &s->first, &s->ground, &s->spring, &s->share, &s->loose, &s->stretch};
    for (size_t i = 0; i < sizeof of_point / sizeof *of_point; i++, at += n) {
        *of_point[i] = at;
    }
    return SEMCAL_OK;
}

static size_t walls(const state *s, int w)
{
    return w < 2 ? s->n : s->n - 1;
}

static void start(state *s, const double *x, const sc_chain *h)
{
    for (size_t j = 0; j < s->n; j++) {
        s->slack[0][j] = x[j] - h->low[j];
        s->slack[1][j] = h->high[j] - x[j];
        if (j + 1 < s->n) {
            s->slack[2][j] = h->distance[j] - (x[j + 1] - x[j]);
            s->slack[3][j] = h->distance[j] + (x[j + 1] - x[j]);
        }
    }
    for (int w = 0; w < 4; w++) {
        for (size_t j = 0; j < walls(s, w); j++) {
            s->multiplier[w][j] = 0.1 / ((double)s->n * s->slack[w][j]);
        }
    }
}

/* Mean of slack times multiplier. */
static double complementarity(const state *s)
{
    double sum = 0, count = 0;
    for (int w = 0; w < 4; w++) {
        for (size_t j = 0; j < walls(s, w); j++) {
            sum += s->slack[w][j] * s->multiplier[w][j];
        }
        count += (double)walls(s, w);
    }
    return sum / count;
}

/* The Newton system is a row of nodes held to the ground by springs (ground > 0) and to each other (spring >= 0).
 * Eliminated as springs in series it needs no subtraction, so a spring 10^20 times the others (neighbours at almost the
 * same place) costs no accuracy. Done once for an iteration's two directions. */
static void eliminate(state *s, const double *x, const sc_chain *h)
{
    size_t n = s->n;
    for (int w = 0; w < 4; w++) {
        for (size_t j = 0; j < walls(s, w); j++) {
            s->inverse[w][j] = 1 / s->slack[w][j];
        }
    }
    for (size_t j = 0; j < n; j++) {
        f_slopes(h, j, x[j], &s->first[j], &s->ground[j]);
        s->ground[j] += s->multiplier[0][j] * s->inverse[0][j] + s->multiplier[1][j] * s->inverse[1][j];
    }
    for (size_t j = 0; j + 1 < n; j++) {
        s->spring[j] = s->multiplier[2][j] * s->inverse[2][j] + s->multiplier[3][j] * s->inverse[3][j];
        s->loose[j] = 1 / (s->ground[j] + s->spring[j]);
        s->share[j] = s->spring[j] * s->loose[j];
        s->ground[j + 1] += s->ground[j] * s->share[j];
    }
}

/* Newton's direction for slack * multiplier = target (less the second-order term of the predictor when `corrected`):
 * forces in dx become displacements; stretch is dx_{j+1} - dx_j. */
static void direction(state *s, double target, int corrected)
{
    size_t n = s->n;
    for (int w = 0; w < 4; w++) {
        for (size_t j = 0; j < walls(s, w); j++) {
            /* Until the solve below, step_multiplier holds the multiplier that a step of 0 asks for. */
            double second = corrected ? s->step_slack[w][j] * s->step_multiplier[w][j] : 0;
            s->step_multiplier[w][j] = (target - second) * s->inverse[w][j];
        }
    }
    for (size_t j = 0; j < n; j++) {
        s->dx[j] = -s->first[j] + s->step_multiplier[0][j] - s->step_multiplier[1][j];
    }
    for (size_t j = 0; j + 1 < n; j++) {
        double push = s->step_multiplier[2][j] - s->step_multiplier[3][j];
        s->dx[j] += push;
        s->dx[j + 1] -= push;
    }
    for (size_t j = 0; j + 1 < n; j++) {
        s->dx[j + 1] += s->dx[j] * s->share[j];
    }
    s->dx[n - 1] /= s->ground[n - 1];
    for (size_t j = n - 1; j-- > 0;) {
        double next = s->dx[j + 1], force = s->dx[j];
        s->dx[j] = force * s->loose[j] + s->share[j] * next;
        s->stretch[j] = (s->ground[j] * next - force) * s->loose[j];
    }
    for (int w = 0; w < 4; w++) {
        for (size_t j = 0; j < walls(s, w); j++) {
            double move = w < 2 ? s->dx[j] : s->stretch[j];
            s->step_slack[w][j] = w == 1 || w == 2 ? -move : move;
            s->step_multiplier[w][j] -= s->multiplier[w][j] * (1 + s->step_slack[w][j] * s->inverse[w][j]);
        }
    }
}

/* Largest steps in [0, 1] that keep slacks and multipliers positive. */
static void longest(const state *s, double *slack, double *multiplier)
{
    *slack = *multiplier = 1 / STEP_BACK;
    for (int w = 0; w < 4; w++) {
        for (size_t j = 0; j < walls(s, w); j++) {
            if (s->step_slack[w][j] * *slack < -s->slack[w][j]) {
                *slack = -s->slack[w][j] / s->step_slack[w][j];
            }
            if (s->step_multiplier[w][j] * *multiplier < -s->multiplier[w][j]) {
                *multiplier = -s->multiplier[w][j] / s->step_multiplier[w][j];
            }
        }
    }
    *slack = fmin(1, STEP_BACK * *slack);
    *multiplier = fmin(1, STEP_BACK * *multiplier);
}

static void move(state *s, double *x, double by)
{
    for (size_t j = 0; j < s->n; j++) {
        x[j] += by * s->dx[j];
    }
    for (int w = 0; w < 4; w++) {
        for (size_t j = 0; j < walls(s, w); j++) {
            s->slack[w][j] += by * s->step_slack[w][j];
            s->multiplier[w][j] += by * s->step_multiplier[w][j];
        }
    }
}

double sc_chain_lower_bound(const sc_chain *h, const double *flow)
{
    sc_sum sum = {0, 0};
    double before = 0;
    for (size_t j = 0; j < h->n; j++) {
        double after = j + 1 < h->n ? flow[j] : 0;
        sc_sum_add(&sum, f_tilted_minimum(h, j, before - after));
        sc_sum_add(&sum, j + 1 < h->n ? -h->distance[j] * fabs(after) : 0);
        before = after;
    }
    return sc_sum_value(&sum);
}

/* The bound from the multipliers at hand; they stay in s->spring. */
static double bound_here(state *s, const sc_chain *h)
{
    for (size_t j = 0; j + 1 < s->n; j++) {
        s->spring[j] = s->multiplier[2][j] - s->multiplier[3][j];
    }
    return sc_chain_lower_bound(h, s->spring);
}

/* Rounding may have left x outside by some ulps: puts it back, and gives its value. */
static double settle(double *x, const sc_chain *h)
{
    sc_sum sum = {0, 0};
    for (size_t j = 0; j < h->n; j++) {
        double low = h->low[j], high = h->high[j];
        if (j > 0) {
            low = fmax(low, x[j - 1] - h->distance[j - 1]);
            high = fmin(high, x[j - 1] + h->distance[j - 1]);
        }
        x[j] = fmin(high, fmax(low, x[j]));
        sc_sum_add(&sum, sc_chain_value(h, j, x[j]));
    }
    return sc_sum_value(&sum);
}

semcal_status sc_chain_minimise(double *x, double *value, double *gap_bound, double *flow, const sc_chain *chain,
                                double tolerance, semcal_error *error)
{
    *value = *gap_bound = 0;
    if (chain->n == 0) {
        return SEMCAL_OK;
    }
    state s;
    semcal_status status = state_alloc(&s, chain->n, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    start(&s, x, chain);
    *gap_bound = INFINITY;
    double best_bound = -INFINITY;
    for (int i = 0; i < MAX_ITERATIONS; i++) {
        double mu = complementarity(&s);
        if (mu * 4 * (double)s.n < 100 * tolerance) {
            sc_sum sum = {0, 0};
            for (size_t j = 0; j < s.n; j++) {
                sc_sum_add(&sum, sc_chain_value(chain, j, x[j]));
            }
            double bound = bound_here(&s, chain);
            if (bound > best_bound) {
                best_bound = bound;
                if (flow != NULL) {
                    memcpy(flow, s.spring, (s.n - 1) * sizeof *flow);
                }
            }
            *gap_bound = sc_sum_value(&sum) - best_bound;
            if (*gap_bound <= tolerance || mu < 1e-22) {
                break;
            }
        }
        /* Mehrotra: how far plain Newton would get decides how much to centre. */
        double slack, multiplier;
        eliminate(&s, x, chain);
        direction(&s, 0, 0);
        longest(&s, &slack, &multiplier);
        double reach = fmin(slack, multiplier), centre = pow(1 - reach, 3);
        direction(&s, fmax(centre, 1e-4) * mu, 1);
        longest(&s, &slack, &multiplier);
        if (fmin(slack, multiplier) < SHORT_STEP) {
            /* The corrector can cycle; a plainly centred step cannot. */
            direction(&s, CENTRED * mu, 0);
            longest(&s, &slack, &multiplier);
        }
        move(&s, x, fmin(slack, multiplier));
    }
    *value = settle(x, chain);
    *gap_bound = fmax(0, *value - best_bound);
    if (!(*gap_bound <= 1000 * tolerance)) {
        status = sc_error_set(error, SEMCAL_E_NUMERIC, "a chain program of %zu points stopped %g above its bound", s.n,
                              *gap_bound);
    }
    free(s.block);
    return status;
}

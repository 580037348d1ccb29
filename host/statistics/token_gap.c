/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/token_gap.h"

#include "base/memory.h"
#include "base/numeric.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* ---- temperature ---- */

double sc_token_gap_multiplier(size_t k)
{
    return exp2(((double)k - SC_TEMPERATURE_ONE) / 6);
}

/* Lagrange's weights of the five points around `at` (in grid steps). */
static void interpolate(double weight[SC_TEMPERATURES], double at)
{
    size_t first = at < 2.5 ? 0 : (size_t)(at - 1.5);
    first = first > SC_TEMPERATURES - 5 ? SC_TEMPERATURES - 5 : first;
    memset(weight, 0, SC_TEMPERATURES * sizeof *weight);
    for (size_t i = first; i < first + 5; i++) {
        weight[i] = 1;
        for (size_t j = first; j < first + 5; j++) {
            weight[i] *= j == i ? 1 : (at - (double)j) / ((double)i - (double)j);
        }
    }
}

static double loss_at(double weight[SC_TEMPERATURES], const double loss[SC_TEMPERATURES], double at)
{
    double sum = 0;
    interpolate(weight, at);
    for (size_t i = 0; i < SC_TEMPERATURES; i++) {
        sum += weight[i] * loss[i];
    }
    return sum;
}

void sc_token_gap_temperature(double *multiplier, double weight[SC_TEMPERATURES], const double loss[SC_TEMPERATURES])
{
    size_t best = SC_TEMPERATURE_ONE;
    for (size_t i = 0; i < SC_TEMPERATURES; i++) {
        best = loss[i] < loss[best] ? i : best;
    }
    double low = best == 0 ? 0 : (double)best - 1, high = best + 1 < SC_TEMPERATURES ? (double)best + 1 : (double)best;
    const double golden = 0.6180339887498949;
    for (int i = 0; i < 60; i++) {
        const double a = high - golden * (high - low), b = low + golden * (high - low);
        if (loss_at(weight, loss, a) <= loss_at(weight, loss, b)) {
            high = b;
        } else {
            low = a;
        }
    }
    double at = (low + high) / 2;
    if (loss_at(weight, loss, at) > loss[best]) {
        at = (double)best; /* at an end of the grid, or flat to rounding */
    }
    interpolate(weight, at);
    *multiplier = exp2((at - SC_TEMPERATURE_ONE) / 6);
}

/* ---- bias ---- */

typedef struct bias_problem {
    const double *mass;
    const int32_t *class_of;
    const uint8_t *use;
    size_t n, K;
    double n_used;
    double *growth; /* [K] e^b */
} bias_problem;

static bool used(const bias_problem *p, size_t i)
{
    return p->use == NULL || p->use[i] != 0;
}

static void set_bias(bias_problem *p, const double *bias)
{
    for (size_t k = 0; k < p->K; k++) {
        p->growth[k] = exp(bias[k]);
    }
}

static double row_sum(const bias_problem *p, const double *mass)
{
    double sum = 0;
    for (size_t k = 0; k < p->K; k++) {
        sum += mass[k] * p->growth[k];
    }
    return sum;
}

/* Mean change of the loss plus the ridge, and its gradient ([K], may be NULL). */
static double objective(double *gradient, bias_problem *p, const double *bias)
{
    sc_sum sum = {0, 0};
    double ridge = 0;
    set_bias(p, bias);
    for (size_t k = 0; k < p->K; k++) {
        ridge += bias[k] * bias[k] / 2;
        if (gradient != NULL) {
            gradient[k] = bias[k];
        }
    }
    for (size_t i = 0; i < p->n; i++) {
        if (!used(p, i)) {
            continue;
        }
        const double *mass = p->mass + i * p->K, total = row_sum(p, mass);
        sc_sum_add(&sum, log(total) - bias[p->class_of[i]]);
        for (size_t k = 0; gradient != NULL && k < p->K; k++) {
            gradient[k] += mass[k] * p->growth[k] / total;
        }
        if (gradient != NULL) {
            gradient[p->class_of[i]] -= 1;
        }
    }
    for (size_t k = 0; gradient != NULL && k < p->K; k++) {
        gradient[k] /= p->n_used;
    }
    return (sc_sum_value(&sum) + ridge) / p->n_used;
}

/* product = Hessian x at the bias set last. */
static void curvature(double *product, const bias_problem *p, const double *x)
{
    for (size_t k = 0; k < p->K; k++) {
        product[k] = x[k];
    }
    for (size_t i = 0; i < p->n; i++) {
        if (!used(p, i)) {
            continue;
        }
        const double *mass = p->mass + i * p->K, total = row_sum(p, mass);
        double along = 0;
        for (size_t k = 0; k < p->K; k++) {
            along += mass[k] * p->growth[k] / total * x[k];
        }
        for (size_t k = 0; k < p->K; k++) {
            product[k] += mass[k] * p->growth[k] / total * (x[k] - along);
        }
    }
    for (size_t k = 0; k < p->K; k++) {
        product[k] /= p->n_used;
    }
}

static double dot(const double *x, const double *y, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += x[i] * y[i];
    }
    return sum;
}

/* step = - Hessian^-1 gradient by conjugate gradients; `room` [3 K]. */
static void newton_step(double *step, const bias_problem *p, const double *gradient, double *room)
{
    const size_t K = p->K;
    double *rest = room, *along = room + K, *product = room + 2 * K;
    for (size_t k = 0; k < K; k++) {
        step[k] = 0;
        rest[k] = along[k] = -gradient[k];
    }
    const double begin = dot(rest, rest, K);
    double now = begin;
    for (size_t i = 0; i < 2 * K + 10 && i < 60 && now > 1e-20 * begin && now > 0; i++) {
        curvature(product, p, along);
        const double length = now / dot(along, product, K), before = now;
        for (size_t k = 0; k < K; k++) {
            step[k] += length * along[k];
            rest[k] -= length * product[k];
        }
        now = dot(rest, rest, K);
        for (size_t k = 0; k < K; k++) {
            along[k] = rest[k] + now / before * along[k];
        }
    }
}

semcal_status sc_token_gap_bias(double *bias, const double *mass, const int32_t *class_of, const uint8_t *use, size_t n,
                                size_t K, semcal_error *error)
{
    bias_problem p = {.mass = mass, .class_of = class_of, .use = use, .n = n, .K = K};
    for (size_t i = 0; i < n; i++) {
        p.n_used += used(&p, i);
    }
    memset(bias, 0, K * sizeof *bias);
    double *room = sc_memory_alloc(7 * K, sizeof *room, error);
    if (room == NULL) {
        return SEMCAL_E_MEMORY;
    }
    p.growth = room;
    double *gradient = room + K, *step = room + 2 * K, *next = room + 3 * K;
    semcal_status status = SEMCAL_OK;
    double value = p.n_used > 0 ? objective(gradient, &p, bias) : 0;
    for (int i = 0; p.n_used > 0 && status == SEMCAL_OK; i++) {
        newton_step(step, &p, gradient, room + 4 * K);
        const double slope = dot(step, gradient, K);
        if (!(slope < -1e-14)) {
            break; /* half of this is what the step would still save */
        }
        double length = 1, trial = NAN;
        do {
            for (size_t k = 0; k < K; k++) {
                next[k] = bias[k] + length * step[k];
            }
            trial = objective(NULL, &p, next);
            length /= 2;
        } while (!(trial <= value + 1e-4 * 2 * length * slope) && length > 1e-10);
        if (!(trial <= value)) {
            break;
        }
        memcpy(bias, next, K * sizeof *bias);
        value = objective(gradient, &p, bias);
        if (i == 200 || !isfinite(value)) {
            status = sc_error_set(error, SEMCAL_E_NUMERIC, "the biases of the classes do not converge");
        }
    }
    free(room);
    return status;
}

double sc_token_gap_bias_gain(const double *bias, const double *mass, int32_t class_of, size_t K)
{
    double sum = 0;
    for (size_t k = 0; k < K; k++) {
        sum += mass[k] * exp(bias[k]);
    }
    return bias[class_of] - log(sum);
}

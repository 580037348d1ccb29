/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/gap_families.h"

#include "base/memory.h"
#include "base/numeric.h"
#include "statistics/chain.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* Places closer than this are one place: no value moves by more, so no gap does. */
#define SAME_PLACE 1e-9

/* The points of a chain program, with the arrays it points into. */
typedef struct points {
    size_t n;
    double *place, *c, *weight, *right, *low, *high, *distance, *x;
} points;

static void points_free(points *p)
{
    free(p->place);
    free(p->c);
    free(p->weight);
    free(p->right);
    free(p->low);
    free(p->high);
    free(p->distance);
    free(p->x);
}

static semcal_status points_alloc(points *p, size_t n, semcal_error *error)
{
    double **const arrays[] = {&p->place, &p->c, &p->weight, &p->right, &p->low, &p->high, &p->distance, &p->x};
    semcal_status status = SEMCAL_OK;
    *p = (points){0};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        *arrays[i] = sc_memory_alloc(n, sizeof(double), error);
        status = *arrays[i] == NULL ? SEMCAL_E_MEMORY : status;
    }
    return status;
}

static void add(points *p, double weight, double c, double right)
{
    size_t j = p->n - 1;
    p->c[j] = (p->c[j] * p->weight[j] + c * weight) / (p->weight[j] + weight);
    p->weight[j] += weight;
    p->right[j] += right;
}

/* Distances, bounds and a strictly feasible start. */
static void finish(points *p, bool square)
{
    for (size_t j = 0; j < p->n; j++) {
        p->low[j] = square ? -p->place[j] : -SC_GAP_MOST_TILT;
        p->high[j] = square ? 1 - p->place[j] : SC_GAP_MOST_TILT;
        p->x[j] = square ? (0.5 - p->place[j]) / 2 : 0;
        if (j + 1 < p->n) {
            p->distance[j] = p->place[j + 1] - p->place[j];
        }
    }
}

/* The sample without free atoms, same places together. */
static void take(points *p, const sc_pool *pool, bool square)
{
    for (size_t j = 0; j < pool->n; j++) {
        if (!square && (pool->c[j] == 0 || pool->c[j] == 1)) {
            continue;
        }
        double place = square ? pool->c[j] : sc_logit(pool->c[j]);
        if (p->n == 0 || place - p->place[p->n - 1] > SAME_PLACE) {
            p->place[p->n++] = place;
        }
        add(p, pool->weight[j], pool->c[j], pool->right[j]);
    }
    finish(p, square);
}

/* Runs of `run` neighbours as one point each at their mean place. */
static void merge(points *out, const points *p, size_t run, bool square)
{
    for (size_t j = 0; j < p->n; j++) {
        if (j % run == 0) {
            out->n++;
        }
        double before = out->weight[out->n - 1];
        add(out, p->weight[j], p->c[j], p->right[j]);
        out->place[out->n - 1] += (p->place[j] - out->place[out->n - 1]) * (p->weight[j] / (before + p->weight[j]));
    }
    for (size_t j = 0; !square && j < out->n; j++) {
        out->c[j] = sc_sigmoid(out->place[j]);
    }
    finish(out, square);
}

static sc_chain chain_of(const points *p, bool square)
{
    return (sc_chain){
        square ? SC_CHAIN_SQUARE : SC_CHAIN_LOG, p->n, p->c, p->weight, p->right, p->low, p->high, p->distance};
}

/* What the merged solution misses on all points: its value there less the bound that its multipliers prove, which are
 * continued inside each run so that every point's own condition holds up to an even share of the run's mismatch. */
static semcal_status prove(double *slack, const sc_gap_tilt *tilt, const points *p, const double *run_flow, size_t run,
                           bool square, semcal_error *error)
{
    sc_chain chain = chain_of(p, square);
    double *flow = sc_memory_alloc(p->n, sizeof *flow, error);
    if (flow == NULL) {
        return SEMCAL_E_MEMORY;
    }
    sc_sum value = {0, 0};
    double before = 0;
    for (size_t from = 0, r = 0; from < p->n; from += run, r++) {
        size_t to = from + run < p->n ? from + run : p->n;
        double after = to < p->n ? run_flow[r] : 0, sum = 0;
        for (size_t j = from; j < to; j++) {
            double x = sc_gap_tilt_at(tilt, p->c[j]);
            flow[j] = sc_chain_slope(&chain, j, x);
            sum += flow[j];
            sc_sum_add(&value, sc_chain_value(&chain, j, x));
        }
        double share = (after - before - sum) / (double)(to - from);
        for (size_t j = from; j < to; j++) {
            before += flow[j] + share;
            flow[j] = before;
        }
        before = after;
    }
    *slack = sc_sum_value(&value) - sc_chain_lower_bound(&chain, flow);
    free(flow);
    return SEMCAL_OK;
}

semcal_status sc_gap_fit_chain(sc_gap_tilt *tilt, double *slack, const sc_pool *pool, double tolerance,
                               semcal_error *error)
{
    bool square = tilt->family == SC_GAP_SQUARE;
    points p = {0}, merged = {0};
    double *flow = NULL, value;
    semcal_status status = points_alloc(&p, pool->n, error);
    if (status != SEMCAL_OK) {
        goto done;
    }
    take(&p, pool, square);
    size_t run = (p.n + SC_GAP_CHAIN - 1) / SC_GAP_CHAIN;
    if (run > 1) {
        status = points_alloc(&merged, p.n / run + 1, error);
        if (status == SEMCAL_OK) {
            merge(&merged, &p, run, square);
        }
    }
    const points *solved = run > 1 ? &merged : &p;
    flow = sc_memory_alloc(solved->n, sizeof *flow, error);
    if (status != SEMCAL_OK || flow == NULL || sc_gap_alloc(tilt, solved->n, error) != SEMCAL_OK) {
        status = SEMCAL_E_MEMORY;
        goto done;
    }
    sc_chain chain = chain_of(solved, square);
    status = sc_chain_minimise(solved->x, &value, slack, flow, &chain, tolerance, error);
    for (size_t j = 0; j < solved->n; j++) {
        tilt->place[j] = solved->place[j];
        tilt->value[j] = solved->x[j];
    }
    *slack += 4 * SAME_PLACE;
    if (status == SEMCAL_OK && run > 1) {
        status = prove(slack, tilt, &p, flow, run, square, error);
    }
done:
    points_free(&p);
    points_free(&merged);
    free(flow);
    return status;
}

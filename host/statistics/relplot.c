/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/relplot.h"

#include "base/memory.h"
#include "statistics/smece.h"

#include <math.h>
#include <stdlib.h>

/* Nodes are at most 20 / 2^-10 / 2 + 1. */
#define MAX_NODES ((size_t)10241)

typedef struct grid {
    size_t n_nodes;   /* G of the sample laid out below; 0: none yet */
    double *residual; /* [G] sum of c - a */
    double *count;    /* [G] */
    double *extended; /* [3G - 2] */
    double *kernel;   /* [G] */
} grid;

static void lay_out(grid *g, size_t n_nodes, const double *c, const double *a, size_t n)
{
    g->n_nodes = n_nodes;
    for (size_t j = 0; j < n_nodes; j++) {
        g->residual[j] = g->count[j] = 0;
    }
    for (size_t i = 0; i < n; i++) {
        double x = c[i] * (double)(n_nodes - 1);
        size_t j = (size_t)x < n_nodes - 2 ? (size_t)x : n_nodes - 2;
        double u = x - (double)j, r = c[i] - a[i];
        g->residual[j] += (1 - u) * r;
        g->residual[j + 1] += u * r;
        g->count[j] += 1 - u;
        g->count[j + 1] += u;
    }
}

static void reflect(double *extended, const double *values, size_t g)
{
    for (size_t j = 0; j < g; j++) {
        extended[g - 1 + j] = values[j];
    }
    for (size_t j = 1; j < g; j++) {
        extended[g - 1 - j] = values[j];
        extended[2 * g - 2 + j] = values[g - 1 - j];
    }
}

/* Node i of the smoothed sample. For an even number of nodes the kernel's centre falls between two nodes and the
 * package's result is shifted by half a node; so is this. */
static double smoothed(const grid *g, size_t i, size_t from, size_t to)
{
    const double *x = g->extended + i + g->n_nodes / 2;
    double sum = 0;
    for (size_t k = from; k < to; k++) {
        sum += x[k] * g->kernel[k];
    }
    return sum;
}

/* Reads the smoothed values at T equispaced points and sums |.| (absolute) or . + 1e-4. */
static double read_back(grid *g, const double *values, size_t n_points, size_t from, size_t to, int absolute)
{
    size_t nodes = g->n_nodes;
    reflect(g->extended, values, nodes);
    double sum = 0, width = 1 / (double)(nodes - 1);
    for (size_t j = 0; j < n_points; j++) {
        double t = (double)j / (double)(n_points - 1), x = t * (double)(nodes - 1);
        size_t i = (size_t)x < nodes - 2 ? (size_t)x : nodes - 2;
        double u = (t - (double)i * width) / width;
        double value = smoothed(g, i, from, to) * (1 - u) + smoothed(g, i + 1, from, to) * u;
        sum += absolute ? fabs(value) : value + 1e-4;
    }
    return sum;
}

static double value_at(grid *g, double s, const double *c, const double *a, size_t n)
{
    size_t n_points = (size_t)fmax(rint(10 / s), 200);
    size_t nodes = (size_t)fmax(2000, rint(20 / s)) / 2 + 1;
    if (g->n_nodes != nodes) {
        lay_out(g, nodes, c, a, n);
    }
    /* Beyond 9 widths the Gaussian is below 3e-18 of its peak. */
    size_t from = nodes, to = 0;
    for (size_t k = 0; k < nodes; k++) {
        double u = ((double)k / (double)(nodes - 1) - 0.5) / s;
        g->kernel[k] = exp(-u * u / 2) / (sqrt(2 * 3.14159265358979323846) * s);
        if (fabs(u) <= 9) {
            from = k < from ? k : from;
            to = k + 1;
        }
    }
    double error = read_back(g, g->residual, n_points, from, to, 1);
    return error / read_back(g, g->count, n_points, from, to, 0);
}

semcal_status sc_relplot_smece(double *smece, double *sigma, const double *c, const double *a, size_t n,
                               semcal_error *error)
{
    semcal_status status = sc_smece_check(c, a, NULL, n, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    grid g = {0, sc_memory_alloc(MAX_NODES, sizeof(double), error), sc_memory_alloc(MAX_NODES, sizeof(double), error),
              sc_memory_alloc(3 * MAX_NODES, sizeof(double), error), sc_memory_alloc(MAX_NODES, sizeof(double), error)};
    if (g.residual == NULL || g.count == NULL || g.extended == NULL || g.kernel == NULL) {
        status = SEMCAL_E_MEMORY;
        goto done;
    }
    double upper = 1, lower = 0;
    if (!(1 < value_at(&g, 1, c, a, n))) {
        for (int i = 0; i < 10; i++) {
            double middle = (upper + lower) / 2;
            if (middle < 1e-3 || middle < value_at(&g, middle, c, a, n)) {
                lower = middle;
            } else {
                upper = middle;
            }
        }
    }
    *smece = value_at(&g, upper, c, a, n);
    if (sigma != NULL) {
        *sigma = upper;
    }
done:
    free(g.residual);
    free(g.count);
    free(g.extended);
    free(g.kernel);
    return status;
}

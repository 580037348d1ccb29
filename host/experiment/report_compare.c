/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/report_compare.h"

#include "base/memory.h"
#include "base/parallel.h"
#include "statistics/bootstrap.h"
#include "statistics/smece.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* More pairs than these are not read by anyone, and each costs seconds. */
enum { MOST_PAIRS = 300 };

/* The one axis in which two cells of a dataset differ; NULL when there is none or more than one. */
static const char *axis_between(const sc_cell *a, const sc_cell *b)
{
    const struct {
        const char *name;
        bool differs;
    } axes[] = {
        {"model", a->model != b->model},
        {"style", a->style != b->style},
        {"temperature", a->temperature != b->temperature},
        {"draws", a->draws != b->draws},
        {"estimator", a->estimator != b->estimator},

        /* each style has its own shots and limit: they are axes only within one style */
        {"shots", a->style == b->style && a->shots != b->shots},
        {"max_tokens", a->style == b->style && a->max_tokens != b->max_tokens},
    };
    const char *axis = NULL;
    for (size_t i = 0; i < sizeof axes / sizeof *axes; i++) {
        if (axes[i].differs && axis != NULL) {
            return NULL;
        }
        axis = axes[i].differs ? axes[i].name : axis;
    }
    return a->dataset == b->dataset ? axis : NULL;
}

/* True when no earlier cell differs from `b` in this axis alone as `a` does: `a` has the axis' first value. */
static bool is_first(const sc_report_data *data, size_t a, size_t b, const char *axis)
{
    for (size_t i = 0; i < a; i++) {
        const char *other = axis_between(data->cells[i].plan, data->cells[b].plan);
        if (other != NULL && strcmp(other, axis) == 0) {
            return false;
        }
    }
    return true;
}

/* ---- one pair ---- */

typedef struct pair {
    size_t n;
    double *c[2], *a[2]; /* [n] of the shared questions */
    struct scratch {
        sc_smece_work *work;
        double *masses; /* [n] */
    } * scratch;        /* per thread */
} pair;

enum { SMECE, OVERCONFIDENCE, N_VALUES };

static semcal_status difference(double *values, const double *times, unsigned thread, void *payload,
                                semcal_error *error)
{
    const pair *p = payload;
    struct scratch *s = &p->scratch[thread];
    double smece[2], over[2] = {0, 0};
    if (s->work == NULL) {
        s->work = sc_smece_work_new(error);
        s->masses = sc_memory_alloc(p->n, sizeof *s->masses, error);
        if (s->work == NULL || s->masses == NULL) {
            return SEMCAL_E_MEMORY;
        }
    }
    for (int which = 0; which < 2; which++) {
        for (size_t i = 0; i < p->n; i++) {
            double weight = (times != NULL ? times[i] : 1) / (double)p->n;
            s->masses[i] = weight * (p->a[which][i] - p->c[which][i]);
            over[which] -= s->masses[i];
        }
        semcal_status status = sc_smece_of_masses(&smece[which], s->work, p->c[which], s->masses, p->n, 1e-4, error);
        if (status != SEMCAL_OK) {
            return status;
        }
    }
    values[SMECE] = smece[1] - smece[0];
    values[OVERCONFIDENCE] = over[1] - over[0];
    return SEMCAL_OK;
}

/* Questions in both cells; rows of a cell are in the order of the dataset. */
static semcal_status share_questions(pair *p, const sc_report_cell *const cells[2], semcal_error *error)
{
    for (int which = 0; which < 2; which++) {
        p->c[which] = sc_memory_alloc(cells[0]->n, sizeof(double), error);
        p->a[which] = sc_memory_alloc(cells[0]->n, sizeof(double), error);
        if (p->c[which] == NULL || p->a[which] == NULL) {
            return SEMCAL_E_MEMORY;
        }
    }
    for (size_t i = 0, k = 0; i < cells[0]->n && k < cells[1]->n;) {
        if (cells[0]->index[i] != cells[1]->index[k]) {
            if (cells[0]->index[i] < cells[1]->index[k]) {
                i++;
            } else {
                k++;
            }
            continue;
        }
        const size_t row[2] = {i++, k++};
        bool whole = true;
        for (int which = 0; which < 2; which++) {
            p->c[which][p->n] = cells[which]->confidence[row[which]];
            p->a[which][p->n] = cells[which]->correct[row[which]];
            whole = whole && isfinite(p->c[which][p->n]) && isfinite(p->a[which][p->n]);
        }
        p->n += whole;
    }
    return SEMCAL_OK;
}

static double mean_difference(const pair *p)
{
    double sum = 0;
    for (size_t i = 0; i < p->n; i++) {
        sum += p->a[1][i] - p->a[0][i];
    }
    return sum / (double)p->n;
}

static semcal_status compare(sc_report_comparison *to, const sc_report_data *data, size_t n_bootstrap,
                             semcal_error *error)
{
    const sc_report_cell *const cells[2] = {to->a, to->b};
    pair p = {0};
    unsigned n_threads = sc_parallel_default_threads();
    double estimate[N_VALUES], *values = sc_memory_alloc(N_VALUES * n_bootstrap, sizeof *values, error);
    sc_text name = {0};
    p.scratch = sc_memory_alloc(n_threads, sizeof *p.scratch, error);
    semcal_status status = values == NULL || p.scratch == NULL ? SEMCAL_E_MEMORY : share_questions(&p, cells, error);
    to->n = p.n;
    to->smece = to->overconfidence = to->accuracy = NAN;
    to->smece_ci[0] = to->smece_ci[1] = to->overconfidence_ci[0] = to->overconfidence_ci[1] = NAN;
    if (status == SEMCAL_OK && p.n > 0) {
        status = difference(estimate, NULL, 0, &p, error);
        if (status == SEMCAL_OK) {
            to->smece = estimate[SMECE];
            to->overconfidence = estimate[OVERCONFIDENCE];
            to->accuracy = mean_difference(&p);
            status = sc_text_printf(&name, error, "%s - %s", to->b->numbers->name, to->a->numbers->name);
        }
        if (status == SEMCAL_OK && n_bootstrap > 0) {
            const sc_bootstrap_options options = {.seed = (uint64_t)data->state.config->seed,
                                                  .name = name.data,
                                                  .n_replicates = n_bootstrap,
                                                  .n_threads = n_threads};
            status = sc_bootstrap_run(values, N_VALUES, NULL, p.n, &options, difference, &p, error);
        }
        if (status == SEMCAL_OK && n_bootstrap > 0) {
            sc_bootstrap_basic(to->smece_ci, to->smece, values, n_bootstrap, -1, 1);
            sc_bootstrap_basic(to->overconfidence_ci, to->overconfidence, values + n_bootstrap, n_bootstrap, -2, 2);
        }
    }
    for (unsigned t = 0; p.scratch != NULL && t < n_threads; t++) {
        sc_smece_work_free(p.scratch[t].work);
        free(p.scratch[t].masses);
    }
    for (int which = 0; which < 2; which++) {
        free(p.c[which]);
        free(p.a[which]);
    }
    free(p.scratch);
    free(values);
    sc_text_free(&name);
    return status;
}

semcal_status sc_report_compare(sc_report_comparisons *out, const sc_report_data *data, size_t n_bootstrap,
                                semcal_error *error)
{
    *out = (sc_report_comparisons){0};
    size_t capacity = 0;
    semcal_status status = SEMCAL_OK;
    for (int pass = 0; pass < 2 && status == SEMCAL_OK; pass++) {
        out->n = 0;
        for (size_t a = 0; a < data->n_cells && status == SEMCAL_OK; a++) {
            for (size_t b = a + 1; b < data->n_cells && status == SEMCAL_OK; b++) {
                const char *axis = axis_between(data->cells[a].plan, data->cells[b].plan);
                if (axis == NULL || (out->first_only && !is_first(data, a, b, axis))) {
                    continue;
                }
                status = sc_memory_grow(&out->at, &capacity, out->n + 1, sizeof *out->at, error);
                if (status == SEMCAL_OK) {
                    out->at[out->n++] =
                        (sc_report_comparison){.a = &data->cells[a], .b = &data->cells[b], .axis = axis};
                }
            }
        }
        if (out->n <= MOST_PAIRS) {
            break;
        }
        out->first_only = true;
    }
    for (size_t i = 0; i < out->n && status == SEMCAL_OK; i++) {
        status = compare(&out->at[i], data, n_bootstrap, error);
    }
    if (status != SEMCAL_OK) {
        sc_report_comparisons_free(out);
    }
    return status;
}

void sc_report_comparisons_free(sc_report_comparisons *comparisons)
{
    free(comparisons->at);
    *comparisons = (sc_report_comparisons){0};
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/calibration.h"

#include "base/memory.h"
#include "base/parallel.h"
#include "statistics/binned.h"
#include "statistics/bootstrap.h"
#include "statistics/floors.h"
#include "statistics/group.h"
#include "statistics/relplot.h"
#include "statistics/smce.h"
#include "statistics/smece.h"

#include <math.h>
#include <stdlib.h>

/* Far below the width of any interval. */
#define REPLICATE_TOLERANCE 1e-5

enum { SMECE, ACCURACY, OVERCONFIDENCE, N_VALUES };

typedef struct resampled {
    sc_groups groups;
    double n;
    sc_smece_work **work; /* [threads] */
    double *mass;         /* [threads, n] */
} resampled;

static semcal_status replicate(double *values, const double *times, unsigned thread, void *payload, semcal_error *error)
{
    const resampled *r = payload;
    const sc_groups *g = &r->groups;
    double *mass = r->mass + thread * g->n, accuracy = 0, residual = 0, scale = 1 / r->n;
    for (size_t i = 0; i < g->n; i++) {
        mass[i] = times[i] * (g->a[i] - g->c[i]) * scale;
        residual += mass[i];
        accuracy += times[i] * g->a[i];
    }
    values[ACCURACY] = accuracy * scale;
    values[OVERCONFIDENCE] = -residual;
    return sc_smece_of_masses(&values[SMECE], r->work[thread], g->c, mass, g->n, REPLICATE_TOLERANCE, error);
}

static semcal_status intervals(sc_calibration *out, double exact, const double *c, const double *a, size_t n,
                               const sc_calibration_options *options, semcal_error *error)
{
    unsigned n_threads = options->n_threads != 0 ? options->n_threads : sc_parallel_default_threads();
    sc_bootstrap_options how = {options->seed, options->name, options->n_bootstrap, n_threads};
    resampled r = {.n = (double)n, .work = sc_memory_alloc(n_threads, sizeof *r.work, error)};
    double *values = sc_memory_alloc(N_VALUES * how.n_replicates, sizeof *values, error);
    semcal_status status = r.work != NULL && values != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
    if (status == SEMCAL_OK) {
        status = sc_group_pairs(&r.groups, c, a, n, error);
    }
    if (status == SEMCAL_OK) {
        r.mass = sc_memory_alloc((size_t)n_threads * r.groups.n, sizeof(double), error);
        status = r.mass != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
    }
    for (unsigned t = 0; status == SEMCAL_OK && t < n_threads; t++) {
        r.work[t] = sc_smece_work_new(error);
        status = r.work[t] != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
    }
    if (status == SEMCAL_OK) {
        status = sc_bootstrap_run(values, N_VALUES, r.groups.count, r.groups.n, &how, replicate, &r, error);
    }
    if (status == SEMCAL_OK) {
        size_t b = how.n_replicates;
        sc_bootstrap_basic(out->smece_ci, exact, values + SMECE * b, b, 0, 1);
        sc_bootstrap_basic(out->accuracy_ci, out->accuracy, values + ACCURACY * b, b, 0, 1);
        sc_bootstrap_basic(out->overconfidence_ci, out->overconfidence, values + OVERCONFIDENCE * b, b, -1, 1);
    }
    for (unsigned t = 0; r.work != NULL && t < n_threads; t++) {
        sc_smece_work_free(r.work[t]);
    }
    sc_group_free(&r.groups);
    free(r.work);
    free(r.mass);
    free(values);
    return status;
}

static semcal_status smooth_scores(sc_calibration *out, const double *c, const double *a, size_t n,
                                   const sc_calibration_options *options, semcal_error *error)
{
    double exact;
    semcal_status status = sc_smece_exact(&exact, c, a, NULL, n, error);
    if (status == SEMCAL_OK) {
        status = sc_smece_at(&out->smece_005, 0.05, c, a, NULL, n, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_relplot_smece(&out->smece_relplot, &out->smece_relplot_sigma, c, a, n, error);
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    out->smece = options->relplot ? out->smece_relplot : exact;
    out->smece_sigma = options->relplot ? out->smece_relplot_sigma : exact;
    if (options->n_bootstrap > 0 && n > 1) { /* one question says nothing about spread */
        status = intervals(out, exact, c, a, n, options, error);
    }
    if (status == SEMCAL_OK && options->n_floor > 0) {
        sc_floor_options how = {options->seed, options->name, options->n_floor, options->n_threads, 0};
        sc_floor floor;
        status = sc_floors_noise(&floor, NULL, c, n, &how, error);
        if (status == SEMCAL_OK) {
            out->smece_floor = floor.mean;
            out->smece_floor_95 = floor.point_95;
        }
    }
    return status;
}

static semcal_status gaps(sc_calibration *out, const double *c, const double *a, size_t n,
                          const sc_calibration_options *options, semcal_error *error)
{
    semcal_status status = sc_smce_exact(&out->smce, c, a, NULL, n, error);
    if (status == SEMCAL_OK) {
        status = sc_smce_logit(&out->dsmce, c, a, NULL, n, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_gap_in_sample(out->pgap, NULL, c, a, NULL, n, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_gap_crossfit(out->pgap_crossfit, c, a, n, options->n_folds, options->seed, options->name, error);
    }
    if (status == SEMCAL_OK && options->n_gap > 0) {
        sc_bootstrap_options how = {options->seed, options->name, options->n_gap, options->n_threads};
        status = sc_gap_resample(&out->pgap_spread, out->pgap, (const double[]){out->smce, out->dsmce}, c, a, n, &how,
                                 error);
    }
    return status;
}

static void forget(sc_calibration *out)
{
    *out = (sc_calibration){.accuracy_ci = {NAN, NAN},
                            .overconfidence_ci = {NAN, NAN},
                            .smece = NAN,
                            .smece_sigma = NAN,
                            .smece_005 = NAN,
                            .smece_ci = {NAN, NAN},
                            .smece_floor = NAN,
                            .smece_floor_95 = NAN,
                            .smece_relplot = NAN,
                            .smece_relplot_sigma = NAN,
                            .log_loss_smoothed = NAN,
                            .auroc = NAN,
                            .smce = NAN,
                            .dsmce = NAN};
    for (int family = 0; family < SC_GAP_FAMILIES; family++) {
        out->pgap[family] = out->pgap_crossfit[family] = NAN;
        out->pgap_spread.interval[family][0] = out->pgap_spread.interval[family][1] = NAN;
        out->pgap_spread.floor[family] = out->pgap_spread.floor_95[family] = NAN;
    }
    for (int k = 0; k < SC_GAP_SMOOTH; k++) {
        out->pgap_spread.smooth_interval[k][0] = out->pgap_spread.smooth_interval[k][1] = NAN;
        out->pgap_spread.smooth_floor[k] = out->pgap_spread.smooth_floor_95[k] = NAN;
    }
}

semcal_status sc_calibration_compute(sc_calibration *out, const double *c, const double *a, size_t n,
                                     const sc_calibration_options *options, semcal_error *error)
{
    forget(out);
    out->n = n;
    semcal_status status = sc_smece_check(c, a, NULL, n, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    for (size_t i = 0; i < n; i++) {
        out->accuracy += a[i] / (double)n;
        out->mean_confidence += c[i] / (double)n;
    }
    out->overconfidence = sc_binned_overconfidence(c, a, n);
    out->ece_10 = sc_binned_ece(c, a, n, 10);
    out->brier = sc_binned_brier(c, a, n);
    out->log_loss = sc_binned_log_loss(&out->log_loss_infinite, c, a, n);
    if (options->n_draws > 0) {
        out->log_loss_smoothed = sc_binned_log_loss_smoothed(c, a, n, options->n_draws);
    }
    status = sc_binned_auroc(&out->auroc, c, a, n, error);
    if (status == SEMCAL_OK) {
        status = smooth_scores(out, c, a, n, options, error);
    }
    if (status == SEMCAL_OK) {
        status = gaps(out, c, a, n, options, error);
    }
    return status;
}

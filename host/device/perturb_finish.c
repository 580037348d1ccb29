/* SPDX-License-Identifier: Apache-2.0 */
/* From a row's sums to its losses; and what the sums cannot hold, again in double from the logits. */
#include "device/perturb_internal.h"

#include "base/memory.h"
#include "base/parallel.h"
#include "device/rows_law.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LOG2E 1.44269504088896340735992468100
#define ROWS_PER_ITEM 16

typedef struct finish {
    sc_perturb *p;
    const sc_perturb_batch *batch;
    sc_perturb_result *result;
    bool *exact;  /* [N] something of this row is NaN and to be computed again */
    double trust; /* sums below this share of what they could be are not trusted */
} finish;

/* log of a sum, or NaN where it is too small to be trusted. */
static double trusted_log(finish *f, size_t i, double sum, double of)
{
    if (sum >= f->trust * of) {
        return log(sum);
    }
    f->exact[i] = true;
    return (double)NAN;
}

static void finish_classes(finish *f, size_t i, double loss)
{
    sc_perturb *p = f->p;
    const sc_perturb_spec *spec = &p->spec;
    size_t n = spec->n_classes;
    const double *tilted = p->tilted + i * p->shape.n_tilts;
    double total = tilted[spec->n_tilts], log_total = log(total);
    for (size_t k = 0; f->result->class_logmass != NULL && k < n; k++) {
        double mass = p->mass[i * p->shape.n_classes + k];
        f->result->class_logmass[i * n + k] = trusted_log(f, i, mass, total) - log_total;
    }
    if (f->result->loss_tilt == NULL) {
        return;
    }
    size_t target_class = (size_t)sc_perturb_classes(spec, f->batch, i)[f->batch->target[i]];
    for (size_t t = 0; t < spec->n_tilts; t++) {
        f->result->loss_tilt[i * spec->n_tilts + t] = loss + (trusted_log(f, i, tilted[t], total) - log_total) +
                                                      (p->tilt_max[t] - spec->tilt[t * n + target_class]);
    }
}

/* The normalizer without the biased tokens, by subtracting the very integers that were added, and those tokens again
 * with their biases. */
static void finish_sparse(finish *f, size_t i, const sc_rows_row *law)
{
    const sc_perturb_spec *spec = &f->p->spec;
    const float *pair = f->p->gathered + 2 * i * f->p->shape.n_entries;
    double max = (double)law->max, whole = (double)law->weight;
    double lost = (double)spec->n_vocabulary * 0x1p-46; /* of weights below 2^-45, at most */
    for (size_t b = 0; b < spec->n_sparse; b++) {
        double rest = whole, highest = 0, sum = 0, bias_target = 0;
        for (size_t j = spec->sparse_first[b]; j < spec->sparse_first[b + 1]; j++) {
            float logit = pair[2 * j], block = pair[2 * j + 1];
            if (logit > -INFINITY) {
                double moved = (double)logit - max + spec->sparse_value[j];
                rest -= (double)sc_rows_weight(logit, block, 1) * exp2(((double)block - max) * LOG2E);
                highest = moved > highest ? moved : highest;
            }
            bias_target = spec->sparse_token[j] == f->batch->target[i] ? spec->sparse_value[j] : bias_target;
        }
        for (size_t j = spec->sparse_first[b]; j < spec->sparse_first[b + 1]; j++) {
            sum += pair[2 * j] > -INFINITY ? exp((double)pair[2 * j] - max + spec->sparse_value[j] - highest) : 0;
        }
        double scaled = (rest > 0 ? rest * 0x1p-45 : 0) * exp(-highest);
        bool trusted = lost * exp(-highest) <= 5e-6 * (scaled + sum);
        f->exact[i] = f->exact[i] || !trusted;
        f->result->loss_sparse[i * spec->n_sparse + b] =
            trusted ? highest + log(scaled + sum) - ((double)law->target - max + bias_target) : (double)NAN;
    }
}

static void finish_row(finish *f, size_t i)
{
    sc_perturb *p = f->p;
    sc_perturb_result *result = f->result;
    const sc_perturb_spec *spec = &p->spec;
    const sc_rows_row *law = &sc_rows_laws(p->rows)[i];
    const double *sums = p->sums + i * (p->shape.n_temperatures + p->shape.n_biases);
    double gap = (double)law->max - (double)law->target, loss = gap + sc_rows_log_weight(law->weight);
    if (result->loss != NULL) {
        result->loss[i] = loss;
    }
    if (result->loss_temperature != NULL) {
        double *out = result->loss_temperature + i * spec->n_temperatures;
        for (size_t t = 0; t < spec->n_temperatures; t++) {
            out[t] = loss;
        }
        for (size_t t = 0; t < p->n_tempered; t++) {
            out[p->tempered[t]] = gap / spec->temperature[p->tempered[t]] + log(sums[t]);
        }
    }
    for (size_t b = 0; result->loss_dense != NULL && b < spec->n_dense; b++) {
        double bias = (double)spec->dense[b * spec->n_vocabulary + (size_t)f->batch->target[i]];
        result->loss_dense[i * spec->n_dense + b] =
            gap + trusted_log(f, i, sums[p->shape.n_temperatures + b], 1) + (p->dense_max[b] - bias);
    }
    if (spec->n_classes > 0) {
        finish_classes(f, i, loss);
    }
    if (result->loss_sparse != NULL && spec->n_sparse > 0) {
        finish_sparse(f, i, law);
    }
}

static semcal_status finish_rows(size_t item, unsigned thread, void *payload, semcal_error *error)
{
    (void)thread;
    (void)error;
    finish *f = payload;
    size_t first = item * ROWS_PER_ITEM, n = f->batch->input.n_rows;
    for (size_t i = first; i < n && i < first + ROWS_PER_ITEM; i++) {
        finish_row(f, i);
    }
    return SEMCAL_OK;
}

/* ---- again, in double ---- */

typedef struct again {
    finish *f;
    size_t row;
    const double *logit;
    double *bias; /* [threads, V] */
} again;

static semcal_status biased_again(size_t item, unsigned thread, void *payload, semcal_error *error)
{
    (void)error;
    again *a = payload;
    finish *f = a->f;
    const sc_perturb_spec *spec = &f->p->spec;
    size_t n = spec->n_vocabulary, t = (size_t)f->batch->target[a->row], b = item;
    double *bias = a->bias + thread * n, *loss;
    if (b < spec->n_tilts) {
        loss = f->result->loss_tilt == NULL ? NULL : f->result->loss_tilt + a->row * spec->n_tilts + b;
        if (loss != NULL && isnan(*loss)) {
            sc_perturb_tilt_bias(bias, spec, sc_perturb_classes(spec, f->batch, a->row), b);
        }
    } else if ((b -= spec->n_tilts) < spec->n_dense) {
        loss = f->result->loss_dense == NULL ? NULL : f->result->loss_dense + a->row * spec->n_dense + b;
        if (loss != NULL && isnan(*loss)) {
            sc_perturb_dense_bias(bias, spec, b);
        }
    } else {
        b -= spec->n_dense;
        loss = f->result->loss_sparse == NULL ? NULL : f->result->loss_sparse + a->row * spec->n_sparse + b;
        if (loss != NULL && isnan(*loss)) {
            sc_perturb_sparse_bias(bias, spec, b);
        }
    }
    if (loss != NULL && isnan(*loss)) {
        *loss = sc_perturb_normalizer(a->logit, n, 1, bias) - (a->logit[t] + bias[t]);
    }
    return SEMCAL_OK;
}

static semcal_status masses_again(again *a, double *scratch, bool *wanted)
{
    const sc_perturb_spec *spec = &a->f->p->spec;
    double *logmass = a->f->result->class_logmass + a->row * spec->n_classes;
    bool any = false;
    for (size_t k = 0; k < spec->n_classes; k++) {
        wanted[k] = isnan(logmass[k]);
        any = any || wanted[k];
    }
    if (any) {
        const sc_rows_row *law = &sc_rows_laws(a->f->p->rows)[a->row];
        sc_perturb_logmasses(logmass, a->logit, spec, sc_perturb_classes(spec, a->f->batch, a->row), wanted,
                             (double)law->max + sc_rows_log_weight(law->weight), scratch);
    }
    return SEMCAL_OK;
}

static semcal_status rows_again(finish *f, semcal_error *error)
{
    const sc_rows_input *input = &f->batch->input;
    const sc_perturb_spec *spec = &f->p->spec;
    size_t n = spec->n_vocabulary, element = sc_rows_element(input->type);
    unsigned n_threads = sc_parallel_default_threads();
    char *row = sc_memory_alloc(n, element, error);
    double *logit = sc_memory_alloc(n * (1 + (size_t)n_threads) + 2 * spec->n_classes, sizeof *logit, error);
    bool *wanted = sc_memory_alloc(spec->n_classes, sizeof *wanted, error);
    semcal_status status = row == NULL || logit == NULL || wanted == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t i = 0; status == SEMCAL_OK && i < input->n_rows; i++) {
        if (!f->exact[i]) {
            continue;
        }
        f->result->n_exact++;
        status = sc_buffer_read(input->logits, (input->offset + i * input->stride) * element, row, n * element, error);
        for (size_t v = 0; status == SEMCAL_OK && v < n; v++) {
            logit[v] = (double)sc_rows_load(row, input->type, v);
        }
        again a = {f, i, logit, logit + n};
        if (status == SEMCAL_OK && f->result->class_logmass != NULL && spec->n_classes > 0) {
            status = masses_again(&a, logit + n * (1 + (size_t)n_threads), wanted);
        }
        if (status == SEMCAL_OK && f->batch->target != NULL) {
            status =
                sc_parallel_for(spec->n_tilts + spec->n_dense + spec->n_sparse, n_threads, biased_again, &a, error);
        }
    }
    free(row);
    free(logit);
    free(wanted);
    return status;
}

semcal_status sc_perturb_finish(sc_perturb *p, const sc_perturb_batch *batch, sc_perturb_result *result,
                                semcal_error *error)
{
    size_t n = batch->input.n_rows;
    /* Weights below 2^-100 of their block are gone; integer masses have steps of 2^-72. */
    finish f = {p, batch, result, sc_memory_alloc(n, sizeof(bool), error), p->group == 1 ? 0x1p-60 : 0x1p-36};
    if (f.exact == NULL) {
        return SEMCAL_E_MEMORY;
    }
    semcal_status status =
        sc_parallel_for((n + ROWS_PER_ITEM - 1) / ROWS_PER_ITEM, n < 64 ? 1 : 0, finish_rows, &f, error);
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        any = any || f.exact[i];
    }
    if (status == SEMCAL_OK && any) {
        status = rows_again(&f, error);
    }
    free(f.exact);
    return status;
}

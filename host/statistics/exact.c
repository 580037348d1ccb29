/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/exact.h"

#include "base/memory.h"
#include "base/numeric.h"

#include <math.h>
#include <stdlib.h>

static semcal_status check_classes(const int32_t *class, size_t n, size_t n_classes, const char *what,
                                   semcal_error *error)
{
    for (size_t i = 0; i < n; i++) {
        if (class[i] < 0 || (size_t) class[i] >= n_classes) {
            return sc_error_set(error, SEMCAL_E_DATA, "%s %zu: class %d is not in 0..%zu", what, i, (int)class[i],
                                n_classes - 1);
        }
    }
    return SEMCAL_OK;
}

/* Masses by class of all strings, or of the head alone; returns their sum. */
static double add_masses(double *mass, const sc_exact_found *f, bool head_only)
{
    sc_sum total = {0, 0};
    for (size_t k = 0; k < f->n_classes; k++) {
        mass[k] = 0;
    }
    for (size_t i = 0; i < f->n_strings; i++) {
        if (f->string_in_head[i] || !head_only) {
            double p = exp(f->string_logp[i]);
            mass[f->string_class[i]] += p;
            sc_sum_add(&total, p);
        }
    }
    return sc_sum_value(&total);
}

static int32_t heaviest(const double *mass, size_t n, double *second)
{
    int32_t best = -1;
    *second = 0;
    for (size_t k = 0; k < n; k++) {
        if (mass[k] > 0 && (best < 0 || mass[k] > mass[best])) {
            *second = best < 0 ? 0 : mass[best];
            best = (int32_t)k;
        } else {
            *second = fmax(*second, mass[k]);
        }
    }
    return best;
}

static void estimate_hybrid(sc_exact_estimates *out, double *mass, const sc_exact_found *f)
{
    double r = (double)f->n_tail, second;
    /* What is left of the tail by rounding is no tail. */
    bool whole = out->tail <= 1e-9;
    if (f->n_tail == 0 && !whole) {
        return;
    }
    for (size_t i = 0; i < f->n_tail; i++) {
        mass[f->tail_class[i]] += out->tail / r;
    }
    out->mode_hybrid = heaviest(mass, f->n_classes, &second);
    if (out->mode_hybrid < 0) {
        return;
    }
    size_t hits = 0;
    for (size_t i = 0; i < f->n_tail; i++) {
        hits += f->tail_class[i] == out->mode_hybrid;
    }
    double share = f->n_tail > 0 ? (double)hits / r : 0;
    out->confidence_hybrid = fmin(1, mass[out->mode_hybrid]);
    out->correct_hybrid = f->class_correct[out->mode_hybrid];
    out->standard_error = f->n_tail > 1 ? out->tail * sqrt(share * (1 - share) / (r - 1)) : whole ? 0 : NAN;
}

semcal_status sc_exact_compute(sc_exact_estimates *out, double *class_lower, const sc_exact_found *f,
                               semcal_error *error)
{
    *out = (sc_exact_estimates){.mode = -1,
                                .confidence = NAN,
                                .correct = NAN,
                                .mode_hybrid = -1,
                                .confidence_hybrid = NAN,
                                .correct_hybrid = NAN,
                                .standard_error = NAN};
    semcal_status status = check_classes(f->string_class, f->n_strings, f->n_classes, "response", error);
    if (status == SEMCAL_OK) {
        status = check_classes(f->tail_class, f->n_tail, f->n_classes, "tail draw", error);
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    double *head = sc_memory_alloc(f->n_classes, sizeof *head, error), second;
    if (head == NULL) {
        return SEMCAL_E_MEMORY;
    }
    out->tail = fmax(0, 1 - add_masses(head, f, true));
    estimate_hybrid(out, head, f);
    free(head);
    double found = add_masses(class_lower, f, false);
    if (found > 1 + 1e-3) {
        return sc_error_set(error, SEMCAL_E_NUMERIC, "the responses found have mass %.6g, more than 1", found);
    }
    out->unexplored = fmax(0, 1 - found);
    out->mode = heaviest(class_lower, f->n_classes, &second);
    out->lower = out->mode < 0 ? 0 : fmin(1, class_lower[out->mode]);
    out->upper = fmin(1, out->lower + out->unexplored);
    out->mode_certain = out->mode >= 0 && out->lower >= second + out->unexplored;
    if (out->mode_certain) {
        out->confidence = (out->lower + out->upper) / 2;
        out->correct = f->class_correct[out->mode];
    }
    return SEMCAL_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/perturb_calibration.h"

#include "base/memory.h"
#include "statistics/gap.h"
#include "statistics/pair_grid.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { FLOOR_REDRAWS = 100 };

struct sc_perturb_pairs {
    double weight[SC_PAIR_GRID], right[SC_PAIR_GRID], confidence[SC_PAIR_GRID];
    double c[SC_PAIR_GRID], a[SC_PAIR_GRID], w[SC_PAIR_GRID]; /* scratch of the gaps */
};

#define FACT(name, text, units)                                                                                        \
    {                                                                                                                  \
#name, text, units, offsetof(sc_perturb_calibration, name)                                                     \
    }
const sc_perturb_fact sc_perturb_facts[] = {
    FACT(accuracy, "share of rows whose target is the most probable token", "1"),
    FACT(mean_confidence, "mean probability of the most probable token", "1"),
    FACT(smece, "SmoothECE of the most probable token", "1"),
    FACT(smece_005, "SmoothECE at width .05", "1"),
    FACT(smece_floor, "SmoothECE if outcomes were drawn from the confidences, mean", "1"),
    FACT(smece_floor_95, "the same, 95 % point", "1"),
    FACT(gap_shift, "nats saved by one tilt of the most probable token, in sample", "nat"),
    FACT(gap_affine, "the same, tilt affine in the logit of the confidence", "nat"),
    FACT(gap_lipschitz, "the same, tilt 1-Lipschitz in the logit", "nat"),
    FACT(gap_isotonic, "the same, order of confidences kept", "nat"),
};
const size_t sc_perturb_n_facts = sizeof sc_perturb_facts / sizeof *sc_perturb_facts;

double sc_perturb_fact_value(const sc_perturb_calibration *of, size_t fact)
{
    double value;
    memcpy(&value, (const char *)of + sc_perturb_facts[fact].offset, sizeof value);
    return value;
}

semcal_status sc_perturb_pairs_new(sc_perturb_pairs **pairs, semcal_error *error)
{
    *pairs = sc_memory_alloc(1, sizeof **pairs, error);
    return *pairs == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
}

void sc_perturb_pairs_free(sc_perturb_pairs *pairs)
{
    free(pairs);
}

static sc_pair_grid grid_of(sc_perturb_pairs *p)
{
    return (sc_pair_grid){p->weight, p->right, p->confidence};
}

void sc_perturb_pairs_add(sc_perturb_pairs *pairs, double logprob, bool came)
{
    const sc_pair_grid grid = grid_of(pairs);
    sc_pair_grid_add(&grid, fmin(1, exp(logprob)), came, 1);
}

semcal_status sc_perturb_pairs_describe(sc_perturb_calibration *out, sc_perturb_pairs *pairs, semcal_error *error)
{
    const sc_pair_grid grid = grid_of(pairs);
    sc_pair_grid_facts facts;
    double gap[SC_GAP_FAMILIES];
    semcal_status status = sc_pair_grid_describe(&facts, &grid, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    out->accuracy = facts.accuracy;
    out->mean_confidence = facts.mean_confidence;
    out->smece = facts.smece;
    out->smece_005 = facts.smece_005;
    status = sc_pair_grid_floor(&out->smece_floor, &out->smece_floor_95, &grid, FLOOR_REDRAWS, 1, "perturb", error);
    if (status == SEMCAL_OK) {
        const size_t n = sc_pair_grid_pairs(pairs->c, pairs->a, pairs->w, &grid);
        status = sc_gap_in_sample(gap, NULL, pairs->c, pairs->a, pairs->w, n, error);
    }
    if (status == SEMCAL_OK) {
        out->gap_shift = gap[SC_GAP_SHIFT];
        out->gap_affine = gap[SC_GAP_AFFINE];
        out->gap_lipschitz = gap[SC_GAP_LIPSCHITZ];
        out->gap_isotonic = gap[SC_GAP_ISOTONIC];
    }
    return status;
}

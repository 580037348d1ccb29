/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/calibrate_curve.h"

#include "base/file.h"
#include "base/memory.h"
#include "statistics/gap.h"
#include "statistics/smece.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { PLACES = 201, FAMILIES = 4 };

typedef struct curves {
    double confidence[PLACES], accuracy[PLACES], density[PLACES], tau[FAMILIES][PLACES];
} curves;

static semcal_status compute(curves *out, const double *c, const double *a, size_t n, double width, semcal_error *error)
{
    static const sc_gap_family families[FAMILIES] = {SC_GAP_SHIFT, SC_GAP_AFFINE, SC_GAP_LIPSCHITZ, SC_GAP_ISOTONIC};
    for (size_t i = 0; i < PLACES; i++) {
        out->confidence[i] = (double)i / (PLACES - 1);
    }
    sc_pool pool = {0};
    semcal_status status =
        sc_smece_curve(out->accuracy, out->density, out->confidence, PLACES, fmax(width, .01), c, a, NULL, n, error);
    if (status == SEMCAL_OK) {
        status = sc_pool_make(&pool, c, a, NULL, n, error);
    }
    for (size_t k = 0; k < FAMILIES && status == SEMCAL_OK; k++) {
        sc_gap_tilt tilt = {0};
        double gap;
        status = sc_gap_fit(&tilt, &gap, NULL, families[k], &pool, error);
        for (size_t i = 0; i < PLACES && status == SEMCAL_OK; i++) {
            out->tau[k][i] = sc_gap_tilt_at(&tilt, out->confidence[i]);
        }
        sc_gap_free(&tilt);
    }
    sc_pool_free(&pool);
    return status;
}

semcal_status sc_calibrate_write_curve(const char *path, const double *c, const double *a, size_t n, double width,
                                       semcal_error *error)
{
    sc_text text = {0};
    curves *made = sc_memory_alloc(1, sizeof *made, error);
    semcal_status status = made != NULL ? compute(made, c, a, n, width, error) : SEMCAL_E_MEMORY;
    if (status == SEMCAL_OK) {
        status = sc_text_printf(&text, error,
                                "confidence,accuracy,density,tau_shift,tau_affine,tau_lipschitz,tau_isotonic\n");
    }
    for (size_t i = 0; i < PLACES && status == SEMCAL_OK; i++) {
        char accuracy[32] = "";
        if (isfinite(made->accuracy[i])) {
            (void)snprintf(accuracy, sizeof accuracy, "%.9g", made->accuracy[i]);
        }
        status = sc_text_printf(&text, error, "%.3f,%s,%.9g,%.9g,%.9g,%.9g,%.9g\n", made->confidence[i], accuracy,
                                made->density[i], made->tau[0][i], made->tau[1][i], made->tau[2][i], made->tau[3][i]);
    }
    if (status == SEMCAL_OK) {
        status = sc_file_write_atomic(path, text.data, text.length, error);
    }
    sc_text_free(&text);
    free(made);
    return status;
}

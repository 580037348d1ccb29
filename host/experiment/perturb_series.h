/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token-level stage over several recorded models, one row each: how loss, calibration and loss gaps go with size.
 *
 * The file is YAML:
 *     temperatures: [0.7, 0.9, 1.1]            # optional
 *     models:
 *       - {name: 0.5B, path: recorded/0.5B}    # a folder of scripts/record_logits.py; relative to this file
 *       - {name: 7B, path: recorded/7B, size: 7.6}   # billions of parameters, else what the folder says
 */
#ifndef SC_EXPERIMENT_PERTURB_SERIES_H
#define SC_EXPERIMENT_PERTURB_SERIES_H

#include "experiment/perturb_stream.h"
#include "formats/yaml.h"

typedef struct sc_perturb_series_row {
    char *name, *path;
    double size;  /* billions of parameters, NaN: not known */
    char *failed; /* why there are no numbers; NULL */
    sc_perturb_summary summary;
    double temperature_best;         /* of those given and 1 */
    sc_perturb_mean gap_temperature; /* of it; 0 where 1 is the best */
} sc_perturb_series_row;

typedef struct sc_perturb_series {
    sc_perturb_series_row *rows;
    size_t n, n_temperatures;
    double *temperature;
} sc_perturb_series;

/* Reads the file. SEMCAL_E_CONFIG with file:line:column. Free with sc_perturb_series_free, also after an error. */
semcal_status sc_perturb_series_read(sc_perturb_series *series, const char *path, semcal_error *error);
/* Runs every model; one that fails keeps its reason, the others go on. SEMCAL_PARTIAL when some failed, the first
 * one's status when all did. */
semcal_status sc_perturb_series_run(sc_perturb_series *series, sc_device *device, semcal_error *error);
/* One CSV row per model that has numbers, by rising size, below a header. */
semcal_status sc_perturb_series_csv(sc_text *csv, const sc_perturb_series *series, semcal_error *error);
void sc_perturb_series_free(sc_perturb_series *series);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* An analysis as JSON text. */
#include "experiment/analyze.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *value_of(const sc_analysis_field *field, double value)
{
    return field->is_count && isfinite(value) ? json_integer((json_int_t)value) : number(value);
}

static json_t *places(const sc_analysis_place *from, size_t n, const char *at)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *place = json_object();
        json_object_set_new(place, at, number(from[i].at));
        json_object_set_new(place, "resolved", number(from[i].resolved));
        json_object_set_new(place, "low", number(from[i].low));
        json_object_set_new(place, "high", number(from[i].high));
        json_array_append_new(list, place);
    }
    return list;
}

static json_t *mechanism(const sc_analysis_mechanism *m)
{
    if (m->n_places == 0) {
        return json_null();
    }
    json_t *object = json_object();
    json_object_set_new(object, "n_questions", json_integer((json_int_t)m->n_questions));
    json_object_set_new(object, "start", number(m->start));
    json_object_set_new(object, "exact", number(m->exact));
    json_object_set_new(object, "by_fraction", places(m->by_fraction, m->n_places, "fraction"));
    json_object_set_new(object, "by_token", places(m->by_token, m->n_places, "token"));
    return object;
}

semcal_status sc_analysis_json(sc_text *text, const sc_analysis *analysis, semcal_error *error)
{
    json_t *root = json_object(), *cells = json_array(), *missing = json_array();
    for (size_t k = 0; k < analysis->n_cells; k++) {
        const sc_analysis_cell *cell = &analysis->cells[k];
        json_t *object = json_object(), *estimators = json_object();
        for (size_t i = 0; i < SC_ANALYSIS_TEXTS; i++) {
            const char *value;
            memcpy(&value, (const char *)cell + sc_analysis_texts[i].offset, sizeof value);
            json_object_set_new(object, sc_analysis_texts[i].name, json_string(value));
        }
        for (int e = 0; e < SC_ANALYSIS_N_ESTIMATORS; e++) {
            json_object_set_new(estimators, sc_analysis_estimator_name(e), json_object());
        }
        for (size_t f = 0; f < sc_analysis_n_fields; f++) {
            const sc_analysis_field *field = &sc_analysis_fields[f];
            if (field->of_cell != NULL) {
                json_object_set_new(object, field->name, value_of(field, field->of_cell(cell)));
            }
            for (int e = 0; e < SC_ANALYSIS_N_ESTIMATORS && field->of_row != NULL; e++) {
                json_object_set_new(json_object_get(estimators, sc_analysis_estimator_name(e)), field->name,
                                    value_of(field, field->of_row(&cell->rows[e])));
            }
        }
        json_object_set_new(object, "estimators", estimators);
        json_object_set_new(object, "mechanism", mechanism(&cell->mechanism));
        json_array_append_new(cells, object);
    }
    for (size_t i = 0; i < analysis->n_missing; i++) {
        json_array_append_new(missing, json_string(analysis->missing[i]));
    }
    json_object_set_new(root, "cells", cells);
    json_object_set_new(root, "text_cells", sc_analysis_text_json(analysis->texts, analysis->n_texts));
    json_object_set_new(root, "missing", missing);
    char *dump = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    semcal_status status = dump == NULL ? sc_error_set(error, SEMCAL_E_MEMORY, "out of memory while writing JSON")
                                        : sc_text_printf(text, error, "%s\n", dump);
    free(dump);
    json_decref(root);
    return status;
}

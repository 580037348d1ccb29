/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers of text cells by name: one row here is one JSON key and one HDF5 variable. */
#include "experiment/analyze_text.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define VALUE(name, expression)                                                                                        \
    static double value_##name(const sc_analysis_text *text)                                                           \
    {                                                                                                                  \
        return text->expression;                                                                                       \
    }                                                                                                                  \
    static double *place_##name(sc_analysis_text *text)                                                                \
    {                                                                                                                  \
        return &text->expression;                                                                                      \
    }
#define GAP(name, family)                                                                                              \
    VALUE(gap_##name, gap[family].in_sample)                                                                           \
    VALUE(gap_##name##_crossfit, gap[family].crossfit)                                                                 \
    VALUE(gap_##name##_crossfit_low, gap[family].ci[0])                                                                \
    VALUE(gap_##name##_crossfit_high, gap[family].ci[1])

VALUE(temperature, temperature)
VALUE(n_tokens, n_tokens)
VALUE(n_documents, n_documents)
VALUE(n_chunks, n_chunks)
VALUE(n_blocks, n_blocks)
VALUE(accuracy, accuracy)
VALUE(accuracy_low, accuracy_ci[0])
VALUE(accuracy_high, accuracy_ci[1])
VALUE(mean_confidence, mean_confidence)
VALUE(overconfidence, overconfidence)
VALUE(overconfidence_low, overconfidence_ci[0])
VALUE(overconfidence_high, overconfidence_ci[1])
VALUE(smece, smece)
VALUE(smece_low, smece_ci[0])
VALUE(smece_high, smece_ci[1])
VALUE(smece_005, smece_005)
VALUE(smece_floor, smece_floor)
VALUE(smece_floor_95, smece_floor_95)
VALUE(smece_classwise, smece_classwise)
VALUE(smece_classwise_low, smece_classwise_ci[0])
VALUE(smece_classwise_high, smece_classwise_ci[1])
VALUE(smece_classwise_005, smece_classwise_005)
VALUE(log_loss, log_loss)
VALUE(log_loss_low, log_loss_ci[0])
VALUE(log_loss_high, log_loss_ci[1])
VALUE(perplexity, perplexity)
VALUE(entropy, entropy)
VALUE(temperature_best, temperature_best)
VALUE(n_bias_tokens, n_bias_tokens)
GAP(temperature, SC_TEXT_TEMPERATURE_GAP)
GAP(bias, SC_TEXT_BIAS_GAP)
GAP(shift, SC_TEXT_SHIFT_GAP)
GAP(affine, SC_TEXT_AFFINE_GAP)
GAP(lipschitz, SC_TEXT_LIPSCHITZ_GAP)
GAP(isotonic, SC_TEXT_ISOTONIC_GAP)

#define FIELD(name, text, unit)                                                                                        \
    {                                                                                                                  \
#name, text, unit, value_##name, place_##name                                                                  \
    }
#define GAP_FIELDS(name, text)                                                                                         \
    FIELD(gap_##name, "loss saved per token, in sample: " text, "nat"),                                                \
        FIELD(gap_##name##_crossfit, "loss saved per token, cross-fitted over blocks: " text, "nat"),                  \
        FIELD(gap_##name##_crossfit_low, "the cross-fitted one, lower end of its 95 % interval", "nat"),               \
        FIELD(gap_##name##_crossfit_high, "the cross-fitted one, upper end of its 95 % interval", "nat")

const sc_analysis_text_field sc_analysis_text_fields[] = {
    FIELD(temperature, "temperature of the law", "1"),
    FIELD(n_tokens, "tokens scored", "1"),
    FIELD(n_documents, "documents", "1"),
    FIELD(n_chunks, "chunks the model read", "1"),
    FIELD(n_blocks, "blocks of chunks: what intervals resample", "1"),
    FIELD(accuracy, "share of tokens that were the most probable one", "1"),
    FIELD(accuracy_low, "accuracy, lower end of the 95 % interval over blocks", "1"),
    FIELD(accuracy_high, "accuracy, upper end of the 95 % interval over blocks", "1"),
    FIELD(mean_confidence, "mean probability of the most probable token", "1"),
    FIELD(overconfidence, "mean confidence minus accuracy", "1"),
    FIELD(overconfidence_low, "overconfidence, lower end of the 95 % interval over blocks", "1"),
    FIELD(overconfidence_high, "overconfidence, upper end of the 95 % interval over blocks", "1"),
    FIELD(smece, "SmoothECE of the most probable token", "1"),
    FIELD(smece_low, "SmoothECE, lower end of the 95 % basic interval over blocks", "1"),
    FIELD(smece_high, "SmoothECE, upper end of the 95 % basic interval over blocks", "1"),
    FIELD(smece_005, "SmoothECE at width .05", "1"),
    FIELD(smece_floor, "SmoothECE of a calibrated model with these confidences, mean", "1"),
    FIELD(smece_floor_95, "the same, 95 % point", "1"),
    FIELD(smece_classwise, "class-wise SmoothECE over classes of tokens, weighted by probability", "1"),
    FIELD(smece_classwise_low, "class-wise SmoothECE, lower end of the 95 % basic interval over blocks", "1"),
    FIELD(smece_classwise_high, "class-wise SmoothECE, upper end of the 95 % basic interval over blocks", "1"),
    FIELD(smece_classwise_005, "class-wise SmoothECE at width .05", "1"),
    FIELD(log_loss, "mean -log p(token)", "nat"),
    FIELD(log_loss_low, "log loss, lower end of the 95 % interval over blocks", "nat"),
    FIELD(log_loss_high, "log loss, upper end of the 95 % interval over blocks", "nat"),
    FIELD(perplexity, "exp of the log loss", "1"),
    FIELD(entropy, "mean entropy of the next-token laws", "nat"),
    FIELD(temperature_best, "multiple of the temperature with the least log loss, in [1/2, 2]", "1"),
    FIELD(n_bias_tokens, "sampled tokens that the biases of classes are fitted on", "1"),
    GAP_FIELDS(temperature, "the best temperature"),
    GAP_FIELDS(bias, "a bias for each class of tokens"),
    GAP_FIELDS(shift, "tilt of the most probable token by one number"),
    GAP_FIELDS(affine, "tilt of the most probable token, affine in its logit"),
    GAP_FIELDS(lipschitz, "tilt of the most probable token, 1-Lipschitz in its logit"),
    GAP_FIELDS(isotonic, "tilt of the most probable token that keeps the order of confidences"),
};
const size_t sc_analysis_text_n_fields = sizeof sc_analysis_text_fields / sizeof *sc_analysis_text_fields;

/* ---- HDF5 ---- */

static semcal_status put(sc_h5 *file, const char *name, sc_h5_type type, const char *first, const char *second,
                         const char *long_name, const char *units, const void *values, semcal_error *error)
{
    sc_h5_spec spec = {.path = name,
                       .type = type,
                       .n_dims = second != NULL ? 2 : 1,
                       .dims = {first, second},
                       .long_name = long_name,
                       .units = units};
    semcal_status status = sc_h5_make_dataset(file, &spec, error);
    return status == SEMCAL_OK ? sc_h5_write(file, name, type, NULL, NULL, values, error) : status;
}

static const struct {
    const char *name, *long_name;
    size_t offset;
} columns[] = {{"text_name", "text cell", offsetof(sc_analysis_text, name)},
               {"text_model", "model", offsetof(sc_analysis_text, model)},
               {"text_model_kind", "kind of model", offsetof(sc_analysis_text, model_kind)},
               {"text_dataset", "text", offsetof(sc_analysis_text, dataset)}};
enum { N_COLUMNS = sizeof columns / sizeof *columns };

static semcal_status write_names(sc_h5 *file, const sc_analysis_text *texts, size_t n, semcal_error *error)
{
    const char **column = sc_memory_alloc(n, sizeof *column, error);
    semcal_status status = column == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t i = 0; i < N_COLUMNS && status == SEMCAL_OK; i++) {
        for (size_t k = 0; k < n; k++) {
            memcpy(&column[k], (const char *)&texts[k] + columns[i].offset, sizeof column[k]);
        }
        status = put(file, columns[i].name, SC_H5_TEXT, "text_cell", NULL, columns[i].long_name, "", column, error);
    }
    free(column);
    return status;
}

static semcal_status write_numbers(sc_h5 *file, const sc_analysis_text *texts, size_t n, const char *curve,
                                   semcal_error *error)
{
    double *values = sc_memory_alloc(n * SC_TEXT_CURVE, sizeof *values, error);
    semcal_status status = values == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t f = 0; f < sc_analysis_text_n_fields && status == SEMCAL_OK; f++) {
        const sc_analysis_text_field *field = &sc_analysis_text_fields[f];
        char name[64] = "text_";
        (void)strncat(name, field->name, sizeof name - 6);
        for (size_t k = 0; k < n; k++) {
            values[k] = field->value(&texts[k]);
        }
        status = put(file, name, SC_H5_F64, "text_cell", NULL, field->long_name, field->units, values, error);
    }
    for (size_t k = 0; k < n && status == SEMCAL_OK; k++) {
        memcpy(values + k * SC_TEMPERATURES, texts[k].loss, sizeof texts[k].loss);
    }
    if (status == SEMCAL_OK) {
        status = put(file, "text_loss", SC_H5_F64, "text_cell", "text_grid",
                     "mean log loss at this multiple of the temperature", "nat", values, error);
    }
    for (size_t p = 0; p < SC_TEMPERATURES && status == SEMCAL_OK; p++) {
        values[p] = sc_token_gap_multiplier(p);
    }
    if (status == SEMCAL_OK) {
        status = put(file, "text_multiplier", SC_H5_F64, "text_grid", NULL, "multiple of the temperature", "1", values,
                     error);
    }
    for (int which = 0; which < 2 && status == SEMCAL_OK; which++) {
        for (size_t k = 0; k < n; k++) {
            memcpy(values + k * SC_TEXT_CURVE, which == 0 ? texts[k].curve : texts[k].density, sizeof texts[k].curve);
        }
        status =
            put(file, which == 0 ? "text_curve" : "text_density", SC_H5_F64, "text_cell", curve,
                which == 0 ? "smoothed share of right tokens at this confidence" : "smoothed density of confidences",
                "1", values, error);
    }
    free(values);
    return status;
}

/* Classes of all cells, one after the other. */
static semcal_status write_classes(sc_h5 *file, const sc_analysis_text *texts, size_t n, size_t n_classes,
                                   semcal_error *error)
{
    double *values = sc_memory_alloc(4 * n_classes, sizeof *values, error);
    const char **labels = sc_memory_alloc(n_classes, sizeof *labels, error);
    semcal_status status = values == NULL || labels == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t k = 0, at = 0; k < n && status == SEMCAL_OK; k++) {
        for (size_t i = 0; i < texts[k].n_classes; i++, at++) {
            labels[at] = texts[k].labels[i];
            values[at] = (double)k;
            values[n_classes + at] = texts[k].class_frequency[i];
            values[2 * n_classes + at] = texts[k].class_mass[i];
            values[3 * n_classes + at] = texts[k].class_bias[i];
        }
    }
    static const char *const names[] = {"text_class_cell", "text_class_frequency", "text_class_mass",
                                        "text_class_bias"};
    static const char *const long_names[] = {"row of text_cell", "share of tokens of the class",
                                             "mean probability of the class", "bias of the class that saves most loss"};
    static const char *const units[] = {"1", "1", "1", "nat"};
    if (status == SEMCAL_OK) {
        status = put(file, "text_class_label", SC_H5_TEXT, "text_class", NULL, "class of tokens", "", labels, error);
    }
    for (size_t i = 0; i < 4 && status == SEMCAL_OK; i++) {
        status =
            put(file, names[i], SC_H5_F64, "text_class", NULL, long_names[i], units[i], values + i * n_classes, error);
    }
    free(values);
    free(labels);
    return status;
}

semcal_status sc_analysis_text_write(sc_h5 *file, const sc_analysis_text *texts, size_t n, const char *curve_dimension,
                                     semcal_error *error)
{
    size_t n_classes = 0;
    for (size_t k = 0; k < n; k++) {
        n_classes += texts[k].n_classes;
    }
    if (n == 0) {
        return SEMCAL_OK;
    }
    semcal_status status = sc_h5_make_dimension(file, "text_cell", n, false, error);
    if (status == SEMCAL_OK) {
        status = sc_h5_make_dimension(file, "text_grid", SC_TEMPERATURES, false, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_make_dimension(file, "text_class", n_classes, false, error);
    }
    if (status == SEMCAL_OK) {
        status = write_names(file, texts, n, error);
    }
    if (status == SEMCAL_OK) {
        status = write_numbers(file, texts, n, curve_dimension, error);
    }
    return status == SEMCAL_OK ? write_classes(file, texts, n, n_classes, error) : status;
}

/* ---- the way back ---- */

static semcal_status get(sc_h5 *file, const char *name, sc_h5_type type, size_t n, void **values, semcal_error *error)
{
    *values = sc_memory_alloc(n, type == SC_H5_TEXT ? sizeof(char *) : sizeof(double), error);
    return *values == NULL ? SEMCAL_E_MEMORY : sc_h5_read(file, name, type, NULL, NULL, *values, error);
}

static semcal_status read_numbers(sc_h5 *file, sc_analysis_text *texts, size_t n, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    void *values = NULL;
    for (size_t f = 0; f < sc_analysis_text_n_fields && status == SEMCAL_OK; f++) {
        char name[64] = "text_";
        (void)strncat(name, sc_analysis_text_fields[f].name, sizeof name - 6);
        status = get(file, name, SC_H5_F64, n, &values, error);
        for (size_t k = 0; k < n && status == SEMCAL_OK; k++) {
            *sc_analysis_text_fields[f].place(&texts[k]) = ((double *)values)[k];
        }
        free(values);
        values = NULL;
    }
    static const struct {
        const char *name;
        size_t offset, length;
    } arrays[] = {{"text_loss", offsetof(sc_analysis_text, loss), SC_TEMPERATURES},
                  {"text_curve", offsetof(sc_analysis_text, curve), SC_TEXT_CURVE},
                  {"text_density", offsetof(sc_analysis_text, density), SC_TEXT_CURVE}};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays && status == SEMCAL_OK; i++) {
        status = get(file, arrays[i].name, SC_H5_F64, n * arrays[i].length, &values, error);
        for (size_t k = 0; k < n && status == SEMCAL_OK; k++) {
            memcpy((char *)&texts[k] + arrays[i].offset, (double *)values + k * arrays[i].length,
                   arrays[i].length * sizeof(double));
        }
        free(values);
        values = NULL;
    }
    return status;
}

/* Classes lie one cell after the other; `rows` holds the cell of each. */
static semcal_status read_classes(sc_h5 *file, sc_analysis_text *texts, size_t n, semcal_error *error)
{
    static const char *const names[] = {"text_class_cell", "text_class_frequency", "text_class_mass",
                                        "text_class_bias"};
    sc_h5_shape shape;
    void *values[4] = {NULL}, *labels = NULL;
    size_t n_classes = 0, taken = 0;
    semcal_status status = sc_h5_get_shape(&shape, file, names[0], error);
    if (status == SEMCAL_OK) {
        n_classes = (size_t)shape.length[0];
        status = get(file, "text_class_label", SC_H5_TEXT, n_classes, &labels, error);
    }
    for (size_t i = 0; i < 4 && status == SEMCAL_OK; i++) {
        status = get(file, names[i], SC_H5_F64, n_classes, &values[i], error);
    }
    for (size_t k = 0, at = 0; k < n && status == SEMCAL_OK; k++) {
        sc_analysis_text *text = &texts[k];
        const size_t first = at;
        while (at < n_classes && ((double *)values[0])[at] == (double)k) {
            at++;
        }
        const size_t length = at - first;
        text->labels = sc_memory_alloc(length, sizeof *text->labels, error);
        text->class_frequency = sc_memory_alloc(length, sizeof(double), error);
        text->class_mass = sc_memory_alloc(length, sizeof(double), error);
        text->class_bias = sc_memory_alloc(length, sizeof(double), error);
        if (!text->labels || !text->class_frequency || !text->class_mass || !text->class_bias) {
            status = SEMCAL_E_MEMORY;
            break;
        }
        text->n_classes = length;
        for (size_t i = 0; i < length; i++, taken++) {
            text->labels[i] = ((char **)labels)[taken];
            text->class_frequency[i] = ((double *)values[1])[taken];
            text->class_mass[i] = ((double *)values[2])[taken];
            text->class_bias[i] = ((double *)values[3])[taken];
        }
    }
    for (size_t i = taken; labels != NULL && i < n_classes; i++) {
        free(((char **)labels)[i]);
    }
    free(labels);
    for (size_t i = 0; i < 4; i++) {
        free(values[i]);
    }
    return status;
}

semcal_status sc_analysis_text_read(sc_analysis_text **texts, size_t *n, sc_h5 *file, semcal_error *error)
{
    sc_h5_shape shape;
    *texts = NULL;
    *n = 0;
    if (!sc_h5_exists(file, columns[0].name)) {
        return SEMCAL_OK;
    }
    semcal_status status = sc_h5_get_shape(&shape, file, columns[0].name, error);
    if (status == SEMCAL_OK) {
        *texts = sc_memory_alloc((size_t)shape.length[0], sizeof **texts, error);
        status = *texts == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    if (status == SEMCAL_OK) {
        *n = (size_t)shape.length[0];
        memset(*texts, 0, *n * sizeof **texts);
    }
    for (size_t i = 0; i < N_COLUMNS && status == SEMCAL_OK; i++) {
        void *names = NULL;
        status = get(file, columns[i].name, SC_H5_TEXT, *n, &names, error);
        for (size_t k = 0; k < *n && status == SEMCAL_OK; k++) {
            memcpy((char *)&(*texts)[k] + columns[i].offset, (char **)names + k, sizeof(char *));
        }
        free(names);
    }
    if (status == SEMCAL_OK) {
        status = read_numbers(file, *texts, *n, error);
    }
    return status == SEMCAL_OK ? read_classes(file, *texts, *n, error) : status;
}

/* ---- JSON ---- */

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *sc_analysis_text_json(const sc_analysis_text *texts, size_t n)
{
    json_t *list = json_array();
    for (size_t k = 0; k < n; k++) {
        const sc_analysis_text *text = &texts[k];
        json_t *object = json_object(), *classes = json_array(), *losses = json_array();
        json_object_set_new(object, "name", json_string(text->name));
        json_object_set_new(object, "model", json_string(text->model));
        json_object_set_new(object, "model_kind", json_string(text->model_kind));
        json_object_set_new(object, "dataset", json_string(text->dataset));
        for (size_t f = 0; f < sc_analysis_text_n_fields; f++) {
            const sc_analysis_text_field *field = &sc_analysis_text_fields[f];
            const double value = field->value(text);
            const bool is_count = strncmp(field->name, "n_", 2) == 0 && isfinite(value);
            json_object_set_new(object, field->name, is_count ? json_integer((json_int_t)value) : number(value));
        }
        for (size_t i = 0; i < text->n_classes; i++) {
            json_t *one = json_object();
            json_object_set_new(one, "label", json_string(text->labels[i]));
            json_object_set_new(one, "frequency", number(text->class_frequency[i]));
            json_object_set_new(one, "mass", number(text->class_mass[i]));
            json_object_set_new(one, "bias", number(text->class_bias[i]));
            json_array_append_new(classes, one);
        }
        for (size_t p = 0; p < SC_TEMPERATURES; p++) {
            json_t *one = json_object();
            json_object_set_new(one, "multiplier", number(sc_token_gap_multiplier(p)));
            json_object_set_new(one, "log_loss", number(text->loss[p]));
            json_array_append_new(losses, one);
        }
        json_object_set_new(object, "classes", classes);
        json_object_set_new(object, "temperatures", losses);
        json_array_append_new(list, object);
    }
    return list;
}

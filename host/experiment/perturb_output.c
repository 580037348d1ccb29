/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/perturb_output.h"

#include "base/file.h"
#include "base/memory.h"
#include "experiment/perturb_calibration.h"
#include "experiment/store_internal.h"
#include "formats/h5.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define DEFLATE 1

struct sc_perturb_output {
    sc_h5 *file;
    char *path, *temporary;
    const sc_perturb_inputs *inputs;
    const sc_perturb_options *options;
};

/* What stands in a row. `dim`: a second dimension or NULL. */
static const struct variable {
    const char *name, *dim, *long_name, *units;
    sc_h5_type type;
    size_t offset; /* of the array in sc_perturb_result */
} variables[] = {
#define AT(member) offsetof(sc_perturb_result, member)
    {"log_normalizer", NULL, "log sum exp of the logits", "nat", SC_H5_F64, AT(log_normalizer)},
    {"entropy", NULL, "entropy of the next-token law", "nat", SC_H5_F64, AT(entropy)},
    {"loss", NULL, "log-loss of the target", "nat", SC_H5_F64, AT(loss)},
    {"rank", NULL, "number of tokens before the target by falling logit, then index", "1", SC_H5_I32, AT(target_rank)},
    {"top_token", "top", "most probable tokens", "", SC_H5_I32, AT(top_token)},
    {"top_logprob", "top", "log-probabilities of the most probable tokens", "nat", SC_H5_F64, AT(top_logprob)},
    {"class_logmass", "class", "log of the probability of a class of tokens", "nat", SC_H5_F64, AT(class_logmass)},
    {"loss_temperature", "temperature", "log-loss of the target at another temperature", "nat", SC_H5_F64,
     AT(loss_temperature)},
    {"loss_tilt", "tilt", "log-loss of the target after a tilt of the classes", "nat", SC_H5_F64, AT(loss_tilt)},
    {"loss_bias", "bias", "log-loss of the target after a bias of every token", "nat", SC_H5_F64, AT(loss_dense)},
    {"loss_sparse_bias", "sparse_bias", "log-loss of the target after a bias of single tokens", "nat", SC_H5_F64,
     AT(loss_sparse)},
#undef AT
};

static const void *array_of(const sc_perturb_result *result, const struct variable *v)
{
    /* Every array of the result is an object pointer at the offset given. */
    return *(const void *const *)(const void *)((const char *)result + v->offset);
}

/* ---- making ---- */

static semcal_status make_variable(sc_perturb_output *o, const struct variable *v, semcal_error *error)
{
    sc_h5_spec spec = {.path = v->name,
                       .type = v->type,
                       .n_dims = v->dim == NULL ? 1 : 2,
                       .dims = {"row", v->dim},
                       .deflate = DEFLATE,
                       .long_name = v->long_name,
                       .units = v->units};
    return v->dim != NULL && !sc_h5_exists(o->file, v->dim) ? SEMCAL_OK : sc_h5_make_dataset(o->file, &spec, error);
}

static semcal_status make_table(sc_perturb_output *o, const char *name, const char *dim, const char *second,
                                const char *long_name, const char *units, sc_h5_type type, const void *data,
                                semcal_error *error)
{
    const sc_h5_spec spec = {.path = name,
                             .type = type,
                             .n_dims = second == NULL ? 1 : 2,
                             .dims = {dim, second},
                             .deflate = DEFLATE,
                             .long_name = long_name,
                             .units = units};
    semcal_status status = sc_h5_make_dataset(o->file, &spec, error);
    return status == SEMCAL_OK ? sc_h5_write(o->file, name, type, NULL, NULL, data, error) : status;
}

static semcal_status make_dimensions(sc_perturb_output *o, semcal_error *error)
{
    const sc_perturb_spec *spec = &o->inputs->spec;
    const struct {
        const char *name;
        size_t length;
    } dims[] = {{"top", o->options->n_top}, {"class", spec->n_classes}, {"temperature", spec->n_temperatures},
                {"tilt", spec->n_tilts},    {"bias", spec->n_dense},    {"sparse_bias", spec->n_sparse}};
    semcal_status status = sc_h5_make_dimension(o->file, "row", 0, true, error);
    for (size_t i = 0; status == SEMCAL_OK && i < sizeof dims / sizeof *dims; i++) {
        if (dims[i].length > 0) {
            status = sc_h5_make_dimension(o->file, dims[i].name, dims[i].length, false, error);
        }
    }
    return status;
}

/* What the columns mean. */
static semcal_status make_tables(sc_perturb_output *o, semcal_error *error)
{
    const sc_perturb_spec *spec = &o->inputs->spec;
    semcal_status status = SEMCAL_OK;
    if (spec->n_temperatures > 0) {
        status = make_table(o, "temperature_value", "temperature", NULL, "the temperature", "1", SC_H5_F64,
                            spec->temperature, error);
    }
    if (status == SEMCAL_OK && spec->n_tilts > 0) {
        status = make_table(o, "tilt_value", "tilt", "class", "what is added to the logits of a class", "nat",
                            SC_H5_F64, spec->tilt, error);
    }
    if (status == SEMCAL_OK && spec->n_sparse > 0) {
        status = make_table(o, "sparse_bias_name", "sparse_bias", NULL, "name of the bias", "", SC_H5_TEXT,
                            o->inputs->sparse_name, error);
    }
    return status;
}

semcal_status sc_perturb_output_create(sc_perturb_output **output, const sc_perturb_inputs *inputs,
                                       const sc_perturb_options *options, semcal_error *error)
{
    *output = NULL;
    sc_perturb_output *o = sc_memory_alloc(1, sizeof *o, error);
    sc_text temporary = {0};
    if (o == NULL) {
        return SEMCAL_E_MEMORY;
    }
    o->inputs = inputs;
    o->options = options;
    o->path = sc_memory_strdup(options->output, error);
    semcal_status status = o->path == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK) {
        status = sc_text_printf(&temporary, error, "%s.tmp", options->output);
        o->temporary = temporary.data;
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_create(&o->file, o->temporary, error);
    }
    if (status == SEMCAL_OK) {
        status = make_dimensions(o, error);
    }
    const bool targets = sc_perturb_inputs_has_targets(inputs);
    if (status == SEMCAL_OK && targets) {
        const struct variable target = {"target", NULL, "the token that came", "", SC_H5_I32, 0};
        status = make_variable(o, &target, error);
    }
    for (size_t i = 0; status == SEMCAL_OK && i < sizeof variables / sizeof *variables; i++) {
        bool of_target = variables[i].offset == offsetof(sc_perturb_result, loss) ||
                         variables[i].offset == offsetof(sc_perturb_result, target_rank);
        bool left_out = variables[i].offset == offsetof(sc_perturb_result, class_logmass) && options->no_masses;
        if (!left_out && !(of_target && !targets)) {
            status = make_variable(o, &variables[i], error);
        }
    }
    if (status == SEMCAL_OK) {
        status = make_tables(o, error);
    }
    if (status != SEMCAL_OK) {
        sc_perturb_output_free(o);
        return status;
    }
    *output = o;
    return SEMCAL_OK;
}

void sc_perturb_output_free(sc_perturb_output *o)
{
    if (o == NULL) {
        return;
    }
    if (o->file != NULL) {
        (void)sc_h5_close(&o->file, NULL);
    }
    if (o->temporary != NULL) {
        (void)remove(o->temporary); /* gone already where the file was finished */
    }
    free(o->path);
    free(o->temporary);
    free(o);
}

/* ---- filling ---- */

semcal_status sc_perturb_output_append(sc_perturb_output *o, const sc_perturb_result *result, const int32_t *target,
                                       size_t n, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    if (sc_perturb_inputs_has_targets(o->inputs)) {
        status = sc_h5_append(o->file, "target", SC_H5_I32, n, target, error);
    }
    for (size_t i = 0; status == SEMCAL_OK && i < sizeof variables / sizeof *variables; i++) {
        if (sc_h5_exists(o->file, variables[i].name)) {
            status =
                sc_h5_append(o->file, variables[i].name, variables[i].type, n, array_of(result, &variables[i]), error);
        }
    }
    return status;
}

static semcal_status write_means(sc_perturb_output *o, const sc_perturb_summary *summary, semcal_error *error)
{
    static const char *const dims[SC_PERTURB_FAMILIES] = {"temperature", "tilt", "bias", "sparse_bias"};
    semcal_status status = SEMCAL_OK;
    for (size_t f = 0; status == SEMCAL_OK && f < SC_PERTURB_FAMILIES; f++) {
        size_t n = summary->n[f];
        double *numbers = sc_memory_alloc(3 * n, sizeof *numbers, error);
        if (numbers == NULL) {
            return SEMCAL_E_MEMORY;
        }
        for (size_t p = 0; p < n; p++) {
            numbers[p] = summary->loss_of[f][p].mean;
            numbers[n + p] = summary->gap_of[f][p].mean;
            numbers[2 * n + p] = summary->gap_of[f][p].error;
        }
        static const char *const names[3][2] = {{"mean_loss_", "mean log-loss per token"},
                                                {"gap_", "mean log-loss of the law as it is minus that, per token"},
                                                {"gap_error_", "standard error of the gap, tokens as independent"}};
        for (size_t k = 0; status == SEMCAL_OK && n > 0 && k < 3; k++) {
            char name[64];
            (void)snprintf(name, sizeof name, "%s%s", names[k][0], dims[f]);
            status = make_table(o, name, dims[f], NULL, names[k][1], "nat", SC_H5_F64, numbers + k * n, error);
        }
        free(numbers);
    }
    return status;
}

/* Files are told by path and size, and up to FILE_HASHED bytes by their content: hashing a file larger than memory
 * would read it once more. */
#define FILE_HASHED ((uint64_t)1 << 30)

static semcal_status tell_file(sc_perturb_output *o, const char *role, const char *label, const char *path,
                               semcal_error *error)
{
    char name[64], hex[65];
    struct stat facts;
    semcal_status status = sc_h5_set_text(o->file, "", role, label, error);
    if (status == SEMCAL_OK && stat(path, &facts) == 0 && S_ISREG(facts.st_mode)) {
        (void)snprintf(name, sizeof name, "%s_bytes", role);
        status = sc_h5_set_int(o->file, "", name, (int64_t)facts.st_size, error);
        if (status == SEMCAL_OK && (uint64_t)facts.st_size <= FILE_HASHED) {
            (void)snprintf(name, sizeof name, "%s_sha256", role);
            status = sc_file_sha256(hex, path, error);
            status = status == SEMCAL_OK ? sc_h5_set_text(o->file, "", name, hex, error) : status;
        }
    }
    return status;
}

static semcal_status tell_inputs(sc_perturb_output *o, semcal_error *error)
{
    const sc_perturb_inputs *in = o->inputs;
    const sc_table *tables[] = {in->logits, in->head, in->targets};
    static const char *const roles[] = {"input", "head", "targets_file"};
    const struct {
        const char *role, *path;
    } others[] = {{"classes_file", in->classes_path}, {"tilts_file", in->tilts_path}, {"biases_file", in->biases_path}};
    semcal_status status = SEMCAL_OK;
    if (in->live != NULL) {
        status = sc_h5_set_text(o->file, "", "input", sc_perturb_live_label(in->live), error);
        for (size_t i = 0; status == SEMCAL_OK && i < SC_PERTURB_LIVE_FACTS; i++) {
            const char *name, *text = sc_perturb_live_fact(in->live, i, &name);
            status = sc_h5_set_text(o->file, "", name, text, error);
        }
    }
    for (size_t i = 0; status == SEMCAL_OK && i < sizeof tables / sizeof *tables; i++) {
        if (tables[i] != NULL) {
            status = tell_file(o, roles[i], sc_table_label(tables[i]), sc_table_path(tables[i]), error);
        }
    }
    for (size_t i = 0; status == SEMCAL_OK && i < sizeof others / sizeof *others; i++) {
        if (others[i].path != NULL) {
            status = tell_file(o, others[i].role, others[i].path, others[i].path, error);
        }
    }
    if (status == SEMCAL_OK && o->options->record != NULL) {
        status = sc_h5_set_text(o->file, "", "record", o->options->record, error);
    }
    return status;
}

/* Numbers of the whole file. */
static semcal_status tell_summary(sc_perturb_output *o, const sc_perturb_summary *summary, double wall_s,
                                  semcal_error *error)
{
    semcal_status status = sc_h5_set_int(o->file, "", "vocabulary", (int64_t)summary->n_vocabulary, error);
    if (status == SEMCAL_OK) {
        status = sc_h5_set_int(o->file, "", "rows_computed_in_double", (int64_t)summary->n_exact, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_set_real(o->file, "", "mean_entropy", summary->entropy.mean, error);
    }
    if (status == SEMCAL_OK && summary->has_targets) {
        status = sc_h5_set_real(o->file, "", "mean_loss", summary->loss.mean, error);
    }
    for (size_t i = 0; status == SEMCAL_OK && summary->has_targets && i < sc_perturb_n_facts; i++) {
        status = sc_h5_set_real(o->file, "", sc_perturb_facts[i].name, sc_perturb_fact_value(&summary->top1, i), error);
    }
    return status == SEMCAL_OK ? sc_h5_set_real(o->file, "", "wall_s", wall_s, error) : status;
}

semcal_status sc_perturb_output_finish(sc_perturb_output *o, const sc_perturb_summary *summary,
                                       const char *kernels_sha256, const char *build_options, double wall_s,
                                       semcal_error *error)
{
    const sc_device_info *facts = sc_device_facts(o->options->device);
    const struct {
        const char *name, *text;
    } texts[] = {{"format", "semcal-perturb"},
                 {"semcal_version", semcal_version()},
                 {"semcal_commit", semcal_commit()},
                 {"device", facts->name},
                 {"driver", facts->driver},
                 {"kernels_sha256", kernels_sha256},
                 {"kernel_build_options", build_options}};
    semcal_status status = write_means(o, summary, error);
    if (status == SEMCAL_OK) {
        status = sc_h5_set_int(o->file, "", "format_version", 1, error);
    }
    for (size_t i = 0; status == SEMCAL_OK && i < sizeof texts / sizeof *texts; i++) {
        status = sc_h5_set_text(o->file, "", texts[i].name, texts[i].text, error);
    }
    if (status == SEMCAL_OK) {
        status = tell_inputs(o, error);
    }
    if (status == SEMCAL_OK) {
        status = tell_summary(o, summary, wall_s, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_close(&o->file, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_store_commit_sealed(o->temporary, o->path, error);
    }
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The public functions of semcal.h that work on what is in memory or on one model: thin, every rule lives below. */
#include "base/memory.h"
#include "device/device.h"
#include "experiment/score.h"
#include "language/tokenizer.h"
#include "meaning/choices.h"
#include "source/model.h"
#include "statistics/calibration.h"
#include "statistics/relplot.h"
#include "statistics/smece.h"

#include <stdlib.h>
#include <string.h>

/* ---- calibration ---- */

semcal_status semcal_calibration_compute(semcal_calibration *out, const double *confidence, const double *correct,
                                         size_t n, const semcal_calibration_options *options, semcal_error *error)
{
    const semcal_calibration_options standard = SEMCAL_CALIBRATION_OPTIONS_INIT;
    const semcal_calibration_options *o = options != NULL ? options : &standard;
    sc_calibration_options inner = SC_CALIBRATION_OPTIONS_INIT;
    inner.seed = o->seed;
    inner.name = o->name != NULL ? o->name : "";
    inner.n_bootstrap = o->n_bootstrap;
    inner.n_floor = o->n_floor;
    inner.n_draws = o->n_draws;
    inner.n_folds = o->n_folds;
    inner.n_gap = 0; /* intervals of the gaps are not part of the result */
    inner.n_threads = o->n_threads;
    sc_calibration r;
    semcal_status status = sc_calibration_compute(&r, confidence, correct, n, &inner, error);
    if (status == SEMCAL_OK) {
        *out = (semcal_calibration){.n = r.n,
                                    .accuracy = r.accuracy,
                                    .accuracy_ci = {r.accuracy_ci[0], r.accuracy_ci[1]},
                                    .mean_confidence = r.mean_confidence,
                                    .overconfidence = r.overconfidence,
                                    .overconfidence_ci = {r.overconfidence_ci[0], r.overconfidence_ci[1]},
                                    .smece = r.smece,
                                    .smece_ci = {r.smece_ci[0], r.smece_ci[1]},
                                    .smece_sigma = r.smece_sigma,
                                    .smece_005 = r.smece_005,
                                    .smece_floor = r.smece_floor,
                                    .smece_floor_95 = r.smece_floor_95,
                                    .smece_relplot = r.smece_relplot,
                                    .ece_10 = r.ece_10,
                                    .brier = r.brier,
                                    .auroc = r.auroc,
                                    .log_loss = r.log_loss,
                                    .log_loss_infinite = r.log_loss_infinite,
                                    .log_loss_smoothed = r.log_loss_smoothed,
                                    .smce = r.smce,
                                    .dsmce = r.dsmce,
                                    .pgap_shift = r.pgap[SC_GAP_SHIFT],
                                    .pgap_affine = r.pgap[SC_GAP_AFFINE],
                                    .pgap_lipschitz = r.pgap[SC_GAP_LIPSCHITZ],
                                    .pgap_isotonic = r.pgap[SC_GAP_ISOTONIC],
                                    .pgap_sq = r.pgap[SC_GAP_SQUARE],
                                    .pgap_shift_crossfit = r.pgap_crossfit[SC_GAP_SHIFT],
                                    .pgap_affine_crossfit = r.pgap_crossfit[SC_GAP_AFFINE],
                                    .pgap_lipschitz_crossfit = r.pgap_crossfit[SC_GAP_LIPSCHITZ],
                                    .pgap_isotonic_crossfit = r.pgap_crossfit[SC_GAP_ISOTONIC],
                                    .pgap_sq_crossfit = r.pgap_crossfit[SC_GAP_SQUARE]};
    }
    return status;
}

semcal_status semcal_smece_exact(double *smece, const double *confidence, const double *correct, size_t n,
                                 semcal_error *error)
{
    return sc_smece_exact(smece, confidence, correct, NULL, n, error);
}

semcal_status semcal_smece_at(double *smece, double width, const double *confidence, const double *correct, size_t n,
                              semcal_error *error)
{
    if (!(width >= SC_SMECE_NARROWEST)) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "SmoothECE: the width must be at least 2^-17, got %g", width);
    }
    return sc_smece_at(smece, width, confidence, correct, NULL, n, error);
}

semcal_status semcal_smece_relplot(double *smece, double *width, const double *confidence, const double *correct,
                                   size_t n, semcal_error *error)
{
    return sc_relplot_smece(smece, width, confidence, correct, n, error);
}

/* ---- collapse ---- */

/* One choice written "name<TAB>alias<TAB>alias". */
static semcal_status add_choice(sc_choices *choices, const char *line, semcal_error *error)
{
    size_t n_names = 1;
    for (const char *at = line; *at != '\0'; at++) {
        n_names += *at == '\t';
    }
    char *copy = sc_memory_strdup(line, error);
    const char **names = sc_memory_alloc(n_names, sizeof *names, error);
    semcal_status status = copy == NULL || names == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK) {
        char *at = copy;
        for (size_t i = 0; i < n_names; i++) {
            names[i] = at;
            at += strcspn(at, "\t");
            *at++ = '\0';
        }
        status = sc_choices_add(choices, names, n_names, error);
    }
    free(copy);
    free(names);
    return status;
}

semcal_status semcal_collapse_classify(semcal_class *out, const char *kind, const semcal_collapse_context *context,
                                       const char *response, semcal_error *error)
{
    const semcal_collapse_context nothing = SEMCAL_COLLAPSE_CONTEXT_INIT;
    const semcal_collapse_context *known = context != NULL ? context : &nothing;
    const sc_collapse_kind *found;
    sc_choices choices = {0};
    sc_collapse_question *question = NULL;
    sc_collapse_class class = {0};
    semcal_status status = sc_collapse_find(&found, kind, error);
    for (size_t i = 0; i < known->n_choices && status == SEMCAL_OK; i++) {
        status = add_choice(&choices, known->choices[i], error);
    }
    if (status == SEMCAL_OK) {
        const sc_collapse_context inner = {.question = known->question,
                                           .answers = known->answers,
                                           .n_answers = known->n_answers,
                                           .choices = choices.items,
                                           .n_choices = choices.n};
        status = sc_collapse_question_make(&question, found, &inner, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_collapse_classify(&class, question, response, error);
    }
    if (status == SEMCAL_OK) {
        *out = (semcal_class){class.label, class.parsed, class.correct};
    }
    sc_collapse_question_free(question);
    sc_choices_free(&choices);
    return status;
}

/* ---- tokenizer: the public handle is the internal one ---- */

static const sc_tokenizer *inside(const semcal_tokenizer *tokenizer)
{
    return (const sc_tokenizer *)(const void *)tokenizer;
}

semcal_status semcal_tokenizer_open(semcal_tokenizer **out, const char *path, semcal_error *error)
{
    sc_tokenizer *tokenizer = NULL;
    semcal_status status = sc_tokenizer_open(&tokenizer, path, error);
    *out = (semcal_tokenizer *)(void *)tokenizer;
    return status;
}

void semcal_tokenizer_free(semcal_tokenizer *tokenizer)
{
    sc_tokenizer_free((sc_tokenizer *)(void *)tokenizer);
}

semcal_status semcal_tokenizer_encode(int32_t **ids, size_t *n_ids, const semcal_tokenizer *tokenizer, const char *text,
                                      size_t length, bool special, semcal_error *error)
{
    return sc_tokenizer_encode(ids, n_ids, inside(tokenizer), text, length, special, error);
}

semcal_status semcal_tokenizer_decode(char **text, size_t *length, const semcal_tokenizer *tokenizer,
                                      const int32_t *ids, size_t n_ids, bool skip_special, semcal_error *error)
{
    return sc_tokenizer_decode_text(text, length, inside(tokenizer), ids, n_ids, skip_special, error);
}

/* ---- model ---- */

struct semcal_model {
    sc_device *device;
    sc_source *source;
};

semcal_status semcal_model_open(semcal_model **out, const char *folder, const char *device, semcal_error *error)
{
    *out = NULL;
    semcal_model *model = sc_memory_alloc(1, sizeof *model, error);
    if (model == NULL) {
        return SEMCAL_E_MEMORY;
    }
    sc_device_options device_options = SC_DEVICE_OPTIONS_INIT;
    device_options.selector = device;
    sc_source_model_options options = SC_SOURCE_MODEL_OPTIONS_INIT;
    options.no_tokenizer = true; /* texts go through a semcal_tokenizer */
    semcal_status status = sc_device_open(&model->device, &device_options, error);
    if (status == SEMCAL_OK) {
        status = sc_source_model_open(&model->source, folder, model->device, &options, error);
    }
    if (status != SEMCAL_OK) {
        semcal_model_free(model);
        return status;
    }
    *out = model;
    return SEMCAL_OK;
}

void semcal_model_free(semcal_model *model)
{
    if (model == NULL) {
        return;
    }
    if (model->source != NULL) {
        model->source->functions->close(model->source);
    }
    sc_device_close(model->device);
    free(model);
}

size_t semcal_model_vocabulary(const semcal_model *model)
{
    return (size_t)model->source->facts.n_vocabulary;
}

size_t semcal_model_context(const semcal_model *model)
{
    return (size_t)model->source->facts.n_context;
}

semcal_status semcal_model_score(semcal_model *model, double *logprobs, const int32_t *tokens, size_t n,
                                 semcal_error *error)
{
    const size_t first[2] = {0, n};
    double *at_tokens = sc_memory_alloc(n, sizeof *at_tokens, error);
    semcal_status status =
        at_tokens == NULL ? SEMCAL_E_MEMORY : sc_score_tokens(at_tokens, model->source, tokens, first, 1, error);
    if (status == SEMCAL_OK && n > 1) {
        memcpy(logprobs, at_tokens + 1, (n - 1) * sizeof *logprobs);
    }
    free(at_tokens);
    return status;
}

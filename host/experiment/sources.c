/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/sources.h"

#include "base/memory.h"
#include "source/model.h"
#include "source/recorded.h"
#include "source/toy.h"

#include <stdlib.h>
#include <string.h>

_Static_assert((int)SC_CONFIG_GEMM_AUTO == (int)SC_GEMM_AUTO && (int)SC_CONFIG_GEMM_OWN == (int)SC_GEMM_OWN &&
                   (int)SC_CONFIG_GEMM_CLBLAST == (int)SC_GEMM_CLBLAST && (int)SC_CONFIG_GEMM_BF16 == (int)SC_GEMM_BF16,
               "a configuration's words are the device's choices, in its order");

semcal_status sc_sources_init(sc_sources *sources, const char *device, bool profile, sc_phases *phases,
                              semcal_error *error)
{
    *sources = (sc_sources){.profile = profile, .phases = phases};
    if (device != NULL) {
        sources->selector = sc_memory_strdup(device, error);
        if (sources->selector == NULL) {
            return SEMCAL_E_MEMORY;
        }
    }
    return SEMCAL_OK;
}

static semcal_status open_device(sc_sources *sources, semcal_error *error)
{
    if (sources->device != NULL) {
        return SEMCAL_OK;
    }
    sc_device_options options = SC_DEVICE_OPTIONS_INIT;
    options.selector = sources->selector;
    options.profile = sources->profile;
    options.phases = sources->phases;
    return sc_device_open(&sources->device, &options, error);
}

static semcal_status open_source(sc_sources *sources, const sc_config_model *model, semcal_error *error)
{
    if (model->source == SC_CONFIG_TOY) {
        return sc_source_toy_open(&sources->source, error);
    }
    if (model->source == SC_CONFIG_RECORDED) {
        return sc_source_recorded_open(&sources->source, model->logits, error);
    }
    semcal_status status = open_device(sources, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    sc_source_model_options options = SC_SOURCE_MODEL_OPTIONS_INIT;
    options.model.gemm = (sc_gemm_choice)model->gemm;
    options.model.kv_bytes = model->kv_memory == SC_CONFIG_UNSET ? 0 : (uint64_t)model->kv_memory;
    return sc_source_model_open(&sources->source, model->path, sources->device, &options, error);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* The same laws from the same memory, whatever they are called. */
static bool is_same(const sc_config_model *a, const sc_config_model *b)
{
    return a->source == b->source && a->gemm == b->gemm && a->kv_memory == b->kv_memory &&
           same_text(a->path, b->path) && same_text(a->logits, b->logits);
}

bool sc_sources_is_open(const sc_sources *sources, const sc_config_model *model)
{
    return sources->source != NULL && is_same(&sources->model, model);
}

semcal_status sc_sources_get(sc_source **source, sc_sources *sources, const sc_config_model *model, semcal_error *error)
{
    if (!sc_sources_is_open(sources, model)) {
        if (sources->source != NULL) {
            sources->source->functions->close(sources->source);
            sources->source = NULL;
        }
        const sc_phase before = sc_phases_enter(sources->phases, SC_PHASE_OPEN);
        semcal_status status = open_source(sources, model, error);
        (void)sc_phases_enter(sources->phases, before);
        if (status != SEMCAL_OK) {
            sc_error_where(error, "model '%s'", model->name);
            return status;
        }
        sources->model = *model;
        sources->source->phases = sources->phases;
    }
    *source = sources->source;
    return SEMCAL_OK;
}

void sc_sources_free(sc_sources *sources)
{
    if (sources->source != NULL) {
        sources->source->functions->close(sources->source);
    }
    sc_device_close(sources->device);
    free(sources->selector);
    *sources = (sc_sources){0};
}

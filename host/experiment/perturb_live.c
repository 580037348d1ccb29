/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/perturb_live.h"

#include "base/file.h"
#include "base/memory.h"
#include "experiment/text_data.h"
#include "source/model_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sc_perturb_live {
    sc_config_model model;
    sc_config_dataset dataset;
    sc_sources sources;
    sc_source *source;
    sc_text_data data;
    sc_model_text *reader;
    char *label, window[24], overlap[24]; /* as texts, for provenance */
    /* of the run */
    sc_perturb_take take;
    void *payload;
};

static semcal_status hand_on(const sc_rows_input *input, const int32_t *target, void *payload, semcal_error *error)
{
    sc_perturb_live *live = payload;
    return live->take(input, target, live->payload, error);
}

/* A dataset as a config would describe it. */
static semcal_status describe(sc_perturb_live *live, const sc_perturb_text *text, semcal_error *error)
{
    const char *dot = strrchr(text->text, '.');
    sc_text label = {0};
    live->model =
        (sc_config_model){.source = SC_CONFIG_MODEL, .gemm = SC_CONFIG_GEMM_AUTO, .kv_memory = SC_CONFIG_UNSET};
    live->dataset = (sc_config_dataset){.format = SC_CONFIG_TEXT,
                                        .limit = text->limit,
                                        .window = text->window,
                                        .overlap = text->overlap == SC_CONFIG_UNSET ? 1 : text->overlap};
    if (dot != NULL && strcmp(dot, ".jsonl") == 0) {
        live->dataset.format = SC_CONFIG_TEXT_JSONL;
    }
    semcal_status status = sc_text_printf(&label, error, "%s reading %s", text->model, text->text);
    live->label = label.data;
    live->model.name = sc_memory_strdup(text->model, error);
    live->model.path = sc_memory_strdup(text->model, error);
    live->dataset.name = sc_memory_strdup(text->text, error);
    live->dataset.path = sc_memory_strdup(text->text, error);
    live->dataset.question = sc_memory_strdup(text->field != NULL ? text->field : "text", error);
    live->dataset.context = text->context == NULL ? NULL : sc_memory_strdup(text->context, error);
    return status == SEMCAL_OK && live->model.name && live->model.path && live->dataset.name && live->dataset.path &&
                   live->dataset.question && (text->context == NULL || live->dataset.context)
               ? SEMCAL_OK
               : SEMCAL_E_MEMORY;
}

semcal_status sc_perturb_live_open(sc_perturb_live **out, const sc_perturb_text *text, const char *device,
                                   semcal_error *error)
{
    *out = NULL;
    sc_perturb_live *live = sc_memory_alloc(1, sizeof *live, error);
    if (live == NULL) {
        return SEMCAL_E_MEMORY;
    }
    semcal_status status = describe(live, text, error);
    if (status == SEMCAL_OK) {
        status = sc_sources_init(&live->sources, device, false, NULL, error);
    }
    if (status == SEMCAL_OK && !sc_file_exists(text->text)) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: no such file", text->text);
    }
    if (status == SEMCAL_OK) {
        status = sc_sources_get(&live->source, &live->sources, &live->model, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_text_data_open(&live->data, &live->dataset, live->source, error);
    }
    if (status == SEMCAL_OK) {
        const sc_text_spec spec = {.temperature = 1, .take = hand_on, .payload = live};
        status = sc_model_text_open(&live->reader, live->source, &spec, error);
    }
    if (status != SEMCAL_OK) {
        sc_perturb_live_close(live);
        return status;
    }
    (void)snprintf(live->window, sizeof live->window, "%zu", live->data.window);
    (void)snprintf(live->overlap, sizeof live->overlap, "%zu", live->data.overlap);
    *out = live;
    return SEMCAL_OK;
}

void sc_perturb_live_close(sc_perturb_live *live)
{
    if (live == NULL) {
        return;
    }
    sc_model_text_close(live->reader);
    sc_text_data_free(&live->data);
    sc_sources_free(&live->sources);
    free(live->model.name);
    free(live->model.path);
    free(live->dataset.name);
    free(live->dataset.path);
    free(live->dataset.question);
    free(live->dataset.context);
    free(live->label);
    free(live);
}

sc_device *sc_perturb_live_device(const sc_perturb_live *live)
{
    return live->sources.device;
}

size_t sc_perturb_live_n_rows(const sc_perturb_live *live)
{
    return live->data.n_scored;
}

size_t sc_perturb_live_n_vocabulary(const sc_perturb_live *live)
{
    return (size_t)live->source->facts.n_vocabulary;
}

size_t sc_perturb_live_batch(const sc_perturb_live *live)
{
    return sc_model_text_rows(live->reader);
}

const char *sc_perturb_live_label(const sc_perturb_live *live)
{
    return live->label;
}

const char *sc_perturb_live_fact(const sc_perturb_live *live, size_t i, const char **name)
{
    const sc_source_facts *facts = &live->source->facts;
    const struct {
        const char *name, *text;
    } all[SC_PERTURB_LIVE_FACTS] = {{"model", facts->description},
                                    {"model_sha256", facts->model_sha256},
                                    {"tokenizer_sha256", facts->tokenizer_sha256},
                                    {"dataset", live->dataset.path},
                                    {"dataset_sha256", live->data.sha256},
                                    {"window", live->window},
                                    {"overlap", live->overlap}};
    *name = all[i].name;
    return all[i].text;
}

semcal_status sc_perturb_live_run(sc_perturb_live *live, sc_perturb_take take, void *payload, semcal_error *error)
{
    const sc_text_data *data = &live->data;
    const size_t rows = sc_model_text_rows(live->reader), most = rows > data->window ? rows : data->window;
    size_t *first = sc_memory_alloc(most + 1, sizeof *first, error), *skip = sc_memory_alloc(most, sizeof *skip, error);
    int32_t *tokens = sc_memory_alloc(most, sizeof *tokens, error);
    semcal_status status = first && skip && tokens ? SEMCAL_OK : SEMCAL_E_MEMORY;
    live->take = take;
    live->payload = payload;
    for (size_t c = 0, n = 0; c <= data->n_chunks && status == SEMCAL_OK; c++) {
        const sc_text_chunk *chunk = c == data->n_chunks ? NULL : &data->chunks[c];
        if (n > 0 && (chunk == NULL || first[n] + chunk->n_tokens > most)) {
            const sc_text_request request = {n, first, tokens, skip};
            status = sc_model_text_evaluate(live->reader, NULL, &request, error);
            n = 0;
        }
        if (status == SEMCAL_OK && chunk != NULL) {
            first[0] = 0;
            memcpy(tokens + first[n], data->tokens + chunk->at, chunk->n_tokens * sizeof *tokens);
            first[n + 1] = first[n] + chunk->n_tokens;
            skip[n++] = chunk->skip;
        }
    }
    free(first);
    free(skip);
    free(tokens);
    return status;
}

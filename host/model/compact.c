/* SPDX-License-Identifier: Apache-2.0 */
/* When weights are worth having a second time for steps of few rows (sc_matrix_compact). */
#include "model/model_internal.h"

/* Making them takes the time of some hundred steps' gain: a few steps are no reason. Nor are weights that caches hold.
 */
enum { STEPS = 32, LEAST_BYTES = 64 << 20 };

static void forget(sc_model *model)
{
    for (size_t i = 0; i < model->config.n_layers; i++) {
        const struct sc_model_layer *layer = &model->layers[i];
        sc_matrix *const matrices[] = {layer->qkv, layer->o, layer->gate_up, layer->down};
        for (size_t j = 0; j < sizeof matrices / sizeof *matrices; j++) {
            sc_matrix_forget_compact(matrices[j]);
        }
    }
    sc_matrix_forget_compact(model->head);
}

uint64_t sc_model_compact_bytes(const sc_model *model)
{
    uint64_t bytes = sc_matrix_compact_bytes(model->head, model->gemm);
    for (size_t i = 0; i < model->config.n_layers; i++) {
        const struct sc_model_layer *layer = &model->layers[i];
        const sc_matrix *const matrices[] = {layer->qkv, layer->o, layer->gate_up, layer->down};
        for (size_t j = 0; j < sizeof matrices / sizeof *matrices; j++) {
            bytes += sc_matrix_compact_bytes(matrices[j], model->gemm);
        }
    }
    return bytes;
}

semcal_status sc_model_compact(sc_model *model, semcal_error *error)
{
    model->compact_decided = true;
    const uint64_t budget = sc_device_memory_budget(model->device), used = sc_device_memory_used(model->device),
                   bytes = sc_model_compact_bytes(model);
    /* half of what is left stays for others */
    if (bytes < LEAST_BYTES || used > budget || bytes > (budget - used) / 2) {
        return SEMCAL_OK;
    }
    semcal_error why = SEMCAL_ERROR_INIT;
    semcal_status status = sc_matrix_compact(model->head, model->gemm, &why);
    for (size_t i = 0; i < model->config.n_layers && status == SEMCAL_OK; i++) {
        const struct sc_model_layer *layer = &model->layers[i];
        sc_matrix *const matrices[] = {layer->qkv, layer->o, layer->gate_up, layer->down};
        for (size_t j = 0; j < sizeof matrices / sizeof *matrices && status == SEMCAL_OK; j++) {
            status = sc_matrix_compact(matrices[j], model->gemm, &why);
        }
    }
    if (status == SEMCAL_OK) {
        return SEMCAL_OK;
    }
    forget(model);
    if (!sc_device_ran_out(model->device)) {
        return sc_error_set(error, status, "%s", why.message);
    }
    sc_device_note(model->device, "%s: no memory for weights in compact form; steps of few rows read them whole",
                   sc_device_facts(model->device)->name);
    return SEMCAL_OK;
}

semcal_status sc_model_count_few(sc_model *model, size_t n_rows, semcal_error *error)
{
    if (model->compact_decided || n_rows > sc_gemm_compact_rows(model->gemm) || ++model->n_few < STEPS) {
        return SEMCAL_OK;
    }
    return sc_model_compact(model, error);
}

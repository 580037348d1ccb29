/* SPDX-License-Identifier: Apache-2.0 */
/* When weights are worth having a second time for steps of few rows (sc_matrix_compact). */
#include "base/room.h"
#include "device/tune.h"
#include "model/model_internal.h"

/* Making them takes as long as some 250 steps gain by them: as many must have come before, so that it never costs more
 * than it could have saved. */
enum { STEPS = 256 };

static size_t n_matrices(const sc_model *model)
{
    return 1 + 4 * model->config.n_layers;
}

/* The head, then those of the layers. */
static sc_matrix *matrix_at(const sc_model *model, size_t i)
{
    if (i == 0) {
        return model->head;
    }
    const struct sc_model_layer *layer = &model->layers[(i - 1) / 4];
    sc_matrix *const matrices[] = {layer->qkv, layer->o, layer->gate_up, layer->down};
    return matrices[(i - 1) % 4];
}

uint64_t sc_model_compact_bytes(const sc_model *model)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < n_matrices(model); i++) {
        bytes += sc_matrix_compact_bytes(matrix_at(model, i), model->gemm);
    }
    return bytes;
}

/* Half of what is left stays for others, who may be other programs where the device's memory is the host's. */
static bool has_room(const sc_model *model, uint64_t bytes)
{
    const uint64_t budget = sc_device_memory_budget(model->device), used = sc_device_memory_used(model->device);
    const uint64_t left = budget > used ? budget - used : 0, room = sc_room();
    return bytes <= (left < room ? left : room) / 2;
}

semcal_status sc_model_compact(sc_model *model, semcal_error *error)
{
    model->compact_decided = true;
    const uint64_t bytes = sc_model_compact_bytes(model),
                   least = (uint64_t)sc_device_tune(model->device)->gemm_compact_mb << 20;
    if (bytes == 0 || bytes < least || !has_room(model, bytes)) {
        return SEMCAL_OK;
    }
    semcal_error why = SEMCAL_ERROR_INIT;
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < n_matrices(model) && status == SEMCAL_OK; i++) {
        status = sc_matrix_compact(matrix_at(model, i), model->gemm, &why);
    }
    if (status == SEMCAL_OK) {
        return SEMCAL_OK;
    }
    for (size_t i = 0; i < n_matrices(model); i++) {
        sc_matrix_forget_compact(matrix_at(model, i));
    }
    if (!sc_device_ran_out(model->device) && status != SEMCAL_E_MEMORY) {
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

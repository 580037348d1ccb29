/* SPDX-License-Identifier: Apache-2.0 */
#include "device/rows_internal.h"

#include "base/memory.h"
#include "device/selftest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- making ---- */

static size_t local_size(const sc_device_info *facts, const char *build_options)
{
    const char *given = strstr(build_options, "-DLSZ=");
    if (given != NULL) {
        return (size_t)strtoul(given + 6, NULL, 10);
    }
    return facts->is_cpu ? 1 : facts->max_group < 256 ? facts->max_group : 256;
}

semcal_status sc_rows_create(sc_rows **out, sc_device *device, const sc_rows_options *options, semcal_error *error)
{
    static const sc_rows_options defaults = SC_ROWS_OPTIONS_INIT;
    options = options == NULL ? &defaults : options;
    *out = NULL;
    sc_rows *rows = sc_memory_alloc(1, sizeof *rows, error);
    if (rows == NULL) {
        return SEMCAL_E_MEMORY;
    }
    rows->device = device;
    rows->options = *options;
    rows->build_options = sc_memory_strdup(options->build_options == NULL ? "" : options->build_options, error);
    if (rows->build_options == NULL) {
        free(rows);
        return SEMCAL_E_MEMORY;
    }
    rows->group = local_size(sc_device_facts(device), rows->build_options);
    if (!sc_device_facts(device)->fp64) {
        sc_device_note(device, "%s: no double precision (cl_khr_fp64) for the row kernels; the host computes the laws",
                       sc_device_facts(device)->name);
        rows->on_host[SC_ROWS_F32] = rows->on_host[SC_ROWS_F16] = rows->on_host[SC_ROWS_BF16] = true;
    }
    *out = rows;
    return SEMCAL_OK;
}

void sc_rows_free(sc_rows *rows)
{
    if (rows == NULL) {
        return;
    }
    if (rows->outstanding) {
        (void)sc_device_finish(rows->device, NULL); /* enqueued reads write into memory freed below */
    }
    for (size_t i = 0; i < N_ROOMS; i++) {
        sc_buffer_free(rows->rooms[i].buffer);
    }
    free(rows->law);
    free(rows->raw);
    free(rows->top);
    free(rows->draws);
    free(rows->draw_row);
    sc_rows_sort_free(&rows->sort);
    free(rows->build_options);
    free(rows);
}

semcal_status sc_rows_program(sc_program **program, sc_rows *rows, const char *file, sc_rows_type type,
                              semcal_error *error)
{
    sc_text options = {0};
    const char *space = rows->build_options[0] == '\0' ? "" : " ";
    semcal_status status = sc_text_printf(&options, error, "-DROWS_TYPE=%d%s%s", (int)type, space, rows->build_options);
    if (status == SEMCAL_OK) {
        status = sc_program_get(program, rows->device, file, options.data, error);
    }
    sc_text_free(&options);
    return status;
}

/* Another sc_rows, so that this one's state is not touched. */
static semcal_status test_kernels(sc_rows *rows, sc_rows_type type, semcal_error *error)
{
    sc_rows_options options = rows->options;
    options.build_options = rows->build_options;
    sc_rows_trial trial = {NULL, type};
    semcal_status status = sc_rows_create(&trial.rows, rows->device, &options, error);
    if (status == SEMCAL_OK) {
        sc_rows_trust(trial.rows);
        rows->on_host[type] = !sc_selftest(rows->device, "rows", "the reference on the host",
                                           rows->kernels[type].program, sc_rows_selftest, &trial);
    }
    sc_rows_free(trial.rows);
    return status;
}

static semcal_status get_kernels(sc_rows_kernels **out, sc_rows *rows, sc_rows_type type, semcal_error *error)
{
    sc_rows_kernels *k = &rows->kernels[type];
    *out = k;
    if (k->draw != NULL || rows->on_host[type]) {
        return SEMCAL_OK;
    }
    semcal_status status = sc_rows_program(&k->program, rows, "rows.cl", type, error);
    if (status == SEMCAL_OK) {
        status = sc_rows_program(&k->pick, rows, "rows_pick.cl", type, error);
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    const struct {
        sc_kernel **kernel;
        sc_program *program;
        const char *name;
    } wanted[] = {{&k->law, k->program, "rows_law"},
                  {&k->loss, k->program, "rows_loss"},
                  {&k->law_rank, k->program, "rows_law_rank"},
                  {&k->merge, k->program, "rows_merge"},
                  {&k->top, k->pick, "rows_top"},
                  {&k->draw, k->pick, "rows_draw"}};
    for (size_t i = 0; status == SEMCAL_OK && i < sizeof wanted / sizeof *wanted; i++) {
        status = sc_kernel_get(wanted[i].kernel, wanted[i].program, wanted[i].name, error);
    }
    return status == SEMCAL_OK && !rows->trusted ? test_kernels(rows, type, error) : status;
}

void sc_rows_trust(sc_rows *rows)
{
    rows->trusted = true;
}

sc_device *sc_rows_device(const sc_rows *rows)
{
    return rows->device;
}

size_t sc_rows_group(const sc_rows *rows)
{
    return rows->group;
}

const char *sc_rows_kernels_sha256(const sc_rows *rows)
{
    for (size_t i = 0; i < SC_ROWS_N_TYPES; i++) {
        if (rows->kernels[i].program != NULL) {
            return sc_program_sha256(rows->kernels[i].program);
        }
    }
    return "";
}

const char *sc_rows_build_options(const sc_rows *rows)
{
    for (size_t i = 0; i < SC_ROWS_N_TYPES; i++) {
        if (rows->kernels[i].program != NULL) {
            return sc_program_options(rows->kernels[i].program);
        }
    }
    return "";
}

/* ---- enqueueing ---- */

static semcal_status check_input(const sc_rows *rows, const sc_rows_input *input, const sc_rows_request *request,
                                 semcal_error *error)
{
    if (rows->outstanding) {
        return sc_error_set(error, SEMCAL_E_DEVICE, "rows: the last request is not collected yet");
    }
    semcal_status status = sc_rows_check(request, input->n_rows, input->n_vocabulary, input->stride, error);
    if (status != SEMCAL_OK || input->n_rows == 0) {
        return status;
    }
    uint64_t elements = sc_buffer_bytes(input->logits) / sc_rows_element(input->type);
    uint64_t needed = input->offset + (uint64_t)(input->n_rows - 1) * input->stride + input->n_vocabulary;
    if (needed > elements || input->n_rows > INT32_MAX) {
        return sc_error_set(error, SEMCAL_E_DATA, "%zu rows of %zu logits: the buffer has %llu of the %llu needed",
                            input->n_rows, input->n_vocabulary, (unsigned long long)elements,
                            (unsigned long long)needed);
    }
    return SEMCAL_OK;
}

semcal_status sc_rows_uses_host(bool *on_host, sc_rows *rows, sc_rows_type type, semcal_error *error)
{
    sc_rows_kernels *k;
    const semcal_status status = get_kernels(&k, rows, type, error);
    *on_host = status == SEMCAL_OK && rows->on_host[type];
    return status;
}

semcal_status sc_rows_enqueue(sc_rows *rows, const sc_rows_input *input, const sc_rows_request *request,
                              const sc_rows_result *result, semcal_error *error)
{
    semcal_status status = check_input(rows, input, request, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    rows->input = *input;
    rows->request = *request;
    rows->result = *result;
    rows->outstanding = true;
    if (input->n_rows == 0) {
        return SEMCAL_OK;
    }
    sc_rows_kernels *k = NULL;
    status = get_kernels(&k, rows, input->type, error);
    if (status == SEMCAL_OK && rows->on_host[input->type]) {
        return SEMCAL_OK;
    }
    if (status == SEMCAL_OK) {
        status = sc_rows_enqueue_passes(rows, k, error);
    }
    if (status != SEMCAL_OK) {
        (void)sc_device_finish(rows->device, NULL);
        rows->outstanding = false;
        return status;
    }
    return sc_device_flush(rows->device, error);
}

/* ---- collecting ---- */

static semcal_status name_bad_row(sc_rows *rows, size_t i, semcal_error *error)
{
    const sc_rows_input *input = &rows->input;
    size_t element = sc_rows_element(input->type);
    void *row = sc_memory_alloc(input->n_vocabulary, element, error);
    if (row == NULL) {
        return SEMCAL_E_MEMORY;
    }
    semcal_status status = sc_buffer_read(input->logits, (input->offset + i * input->stride) * element, row,
                                          input->n_vocabulary * element, error);
    if (status == SEMCAL_OK) {
        status = sc_rows_name_bad(&rows->result, i, row, input->type, input->n_vocabulary, &rows->request, error);
    }
    free(row);
    return status;
}

semcal_status sc_rows_collect(sc_rows *rows, sc_rows_result *result, semcal_error *error)
{
    if (!rows->outstanding) {
        return sc_error_set(error, SEMCAL_E_DEVICE, "rows: nothing to collect");
    }
    rows->outstanding = false;
    semcal_status status = sc_device_finish(rows->device, error);
    const sc_rows_request *request = &rows->request;
    const bool on_host = rows->on_host[rows->input.type];
    if (status == SEMCAL_OK && on_host) {
        status = sc_rows_on_host(&rows->input, request, &rows->result, error);
    }
    const bool has_draws = !on_host && rows->input.n_rows > 0 && request->first_draw != NULL;
    const sc_rows_token *draws =
        has_draws ? sc_rows_sort_back(&rows->sort, rows->draws, request->first_draw[rows->input.n_rows]) : rows->draws;
    for (size_t i = 0; status == SEMCAL_OK && !on_host && i < rows->input.n_rows; i++) {
        const sc_rows_row *raw = request->temperature == 1 ? &rows->law[i] : &rows->raw[i];
        if (rows->law[i].bad || raw->bad) {
            status = name_bad_row(rows, i, error);
            break;
        }
        size_t first = request->first_draw == NULL ? 0 : request->first_draw[i];
        sc_rows_finish_row(&rows->result, i, request, &rows->law[i], raw, rows->top + i * request->n_top,
                           draws + first);
    }
    if (result != NULL) {
        result->bad_row = rows->result.bad_row;
        result->bad_token = rows->result.bad_token;
    }
    return status;
}

semcal_status sc_rows_evaluate(sc_rows *rows, const sc_rows_input *input, const sc_rows_request *request,
                               sc_rows_result *result, semcal_error *error)
{
    semcal_status status = sc_rows_enqueue(rows, input, request, result, error);
    return status == SEMCAL_OK ? sc_rows_collect(rows, result, error) : status;
}

semcal_status sc_rows_evaluate_with(sc_rows *rows, const sc_rows_input *input, const sc_rows_request *request,
                                    sc_rows_result *result, const sc_rows_hook *hook, semcal_error *error)
{
    rows->hook = hook;
    semcal_status status = sc_rows_evaluate(rows, input, request, result, error);
    rows->hook = NULL;
    return status;
}

const sc_rows_row *sc_rows_laws(const sc_rows *rows)
{
    return rows->law;
}

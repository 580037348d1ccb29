/* SPDX-License-Identifier: Apache-2.0 */
#include "device/perturb.h"

#include "base/memory.h"
#include "device/perturb_law.h"
#include "device/rows_law.h"

#include <stdlib.h>

/* Losses at one temperature, into column `column` of a table of `n_columns`. */
static semcal_status losses_at(double *table, size_t column, size_t n_columns, sc_rows *rows,
                               const sc_rows_input *input, const sc_perturb_request *request, double temperature,
                               double *logprob, sc_perturb_result *result, semcal_error *error)
{
    sc_rows_request law = SC_ROWS_REQUEST_INIT;
    law.temperature = temperature;
    law.target = request->target;
    sc_rows_result out = {.target_logprob = logprob};
    semcal_status status = sc_rows_evaluate(rows, input, &law, &out, error);
    result->bad_row = out.bad_row;
    result->bad_token = out.bad_token;
    for (size_t i = 0; status == SEMCAL_OK && table != NULL && i < input->n_rows; i++) {
        table[i * n_columns + column] = -logprob[i];
    }
    return status;
}

/* Class masses of rows first .. first+n-1, folded over the copies a kernel keeps. */
static semcal_status masses_of(uint64_t *mass, sc_rows *rows, sc_kernel *kernel, sc_buffer *class_of,
                               sc_buffer *device_mass, size_t copies, const sc_rows_input *input, size_t first,
                               size_t n, size_t n_classes, semcal_error *error)
{
    const uint64_t zero = 0;
    uint64_t bytes = 8 * (uint64_t)n * copies * n_classes;
    sc_rows_shape shape = sc_rows_make_shape(input, 1, 0);
    shape.offset += first * input->stride;
    shape.n_rows = (uint32_t)n;
    shape.n_items = 1;
    sc_work work = SC_WORK_1D(n, sc_rows_group(rows));
    semcal_status status = sc_buffer_fill(device_mass, 0, bytes, &zero, sizeof zero, error);
    if (status == SEMCAL_OK) {
        status = sc_launch(kernel, &work,
                           SC_ARGS(SC_BUFFER_ARG(input->logits), SC_STRUCT(&shape), SC_BUFFER_ARG(class_of),
                                   SC_U32((uint32_t)n_classes), SC_BUFFER_ARG(device_mass)),
                           error);
    }
    if (status == SEMCAL_OK) {
        status = sc_buffer_read(device_mass, 0, mass, bytes, error);
    }
    for (size_t i = 0; status == SEMCAL_OK && i < n; i++) {
        for (size_t k = 0; k < n_classes; k++) {
            uint64_t sum = 0;
            for (size_t c = 0; c < copies; c++) {
                sum += mass[(i * copies + c) * n_classes + k];
            }
            mass[i * n_classes + k] = sum; /* at or before what is still to be read */
        }
    }
    return status;
}

static semcal_status tilts(sc_rows *rows, const sc_rows_input *input, const sc_perturb_request *request,
                           sc_perturb_result *result, const double *loss, semcal_error *error)
{
    sc_device *device = sc_rows_device(rows);
    size_t copies = sc_rows_group(rows) == 1 ? 4 : 1, per_row = copies * request->n_classes;
    size_t step = ((size_t)8 << 20) / per_row; /* 64 MB of masses at once */
    step = step < 1 ? 1 : step > input->n_rows ? input->n_rows : step;
    sc_buffer *class_of = NULL, *device_mass = NULL;
    sc_program *program;
    sc_kernel *kernel = NULL;
    uint64_t *mass = sc_memory_alloc(step * per_row, sizeof *mass, error);
    semcal_status status = mass == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK) {
        status = sc_rows_program(&program, rows, "perturb.cl", input->type, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_kernel_get(&kernel, program, "perturb_classes", error);
    }
    if (status == SEMCAL_OK) {
        status = sc_buffer_create(&class_of, device, 4 * input->n_vocabulary, SC_BUFFER_DEVICE, "classes", error);
    }
    if (status == SEMCAL_OK) {
        status = sc_buffer_write(class_of, 0, request->class_of, 4 * input->n_vocabulary, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_buffer_create(&device_mass, device, 8 * (uint64_t)step * per_row, SC_BUFFER_DEVICE, "class masses",
                                  error);
    }
    for (size_t first = 0; status == SEMCAL_OK && first < input->n_rows; first += step) {
        size_t n = input->n_rows - first < step ? input->n_rows - first : step;
        status =
            masses_of(mass, rows, kernel, class_of, device_mass, copies, input, first, n, request->n_classes, error);
        for (size_t i = 0; status == SEMCAL_OK && i < n; i++) {
            sc_perturb_finish_row(result, first + i, request, mass + i * request->n_classes, loss[first + i]);
        }
    }
    sc_buffer_free(device_mass);
    sc_buffer_free(class_of);
    free(mass);
    return status;
}

semcal_status sc_perturb_evaluate(sc_rows *rows, const sc_rows_input *input, const sc_perturb_request *request,
                                  sc_perturb_result *result, semcal_error *error)
{
    semcal_status status = sc_perturb_check(request, input->n_rows, input->n_vocabulary, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    double *logprob = sc_memory_alloc(input->n_rows, sizeof *logprob, error);
    double *loss = sc_memory_alloc(input->n_rows, sizeof *loss, error);
    status = logprob == NULL || loss == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK) {
        status = losses_at(loss, 0, 1, rows, input, request, 1, logprob, result, error);
    }
    for (size_t i = 0; status == SEMCAL_OK && result->loss != NULL && i < input->n_rows; i++) {
        result->loss[i] = loss[i];
    }
    for (size_t p = 0; status == SEMCAL_OK && p < request->n_temperatures; p++) {
        status = losses_at(result->loss_temperature, p, request->n_temperatures, rows, input, request,
                           request->temperature[p], logprob, result, error);
    }
    if (status == SEMCAL_OK && request->n_classes > 0 && input->n_rows > 0) {
        status = tilts(rows, input, request, result, loss, error);
    }
    free(logprob);
    free(loss);
    return status;
}

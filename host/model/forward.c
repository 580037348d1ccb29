/* SPDX-License-Identifier: Apache-2.0 */
/* One forward pass: eight launches per layer (nine with head norms; one more in the last layer where not every row has
 * logits), all enqueued, none waited for. */
#include "model/attended.h"
#include "model/model_internal.h"

#include "abi.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint32_t u32(size_t value)
{
    return (uint32_t)value;
}

/* The table of angles reaches at least `n_positions`; it grows by doubling, so that it is rebuilt seldom. */
static semcal_status reach_angles(sc_model *model, size_t n_positions, semcal_error *error)
{
    if (n_positions <= model->n_angles) {
        return SEMCAL_OK;
    }
    size_t n = model->n_angles == 0 ? 512 : model->n_angles;
    while (n < n_positions) {
        n *= 2;
    }
    n = n < model->config.n_context ? n : model->config.n_context;
    const size_t half = model->config.head_size / 2;
    const uint64_t bytes = (uint64_t)n * half * 2 * sizeof(float);
    float *angle = sc_memory_alloc(n * half * 2, sizeof *angle, error);
    double *frequency = sc_memory_alloc(half, sizeof *frequency, error);
    semcal_status status = SEMCAL_E_MEMORY;
    if (angle == NULL || frequency == NULL) {
        goto done;
    }
    sc_rope_frequencies(frequency, &model->config.rope, model->config.head_size);
    for (size_t t = 0; t < n; t++) {
        for (size_t i = 0; i < half; i++) {
            angle[(t * half + i) * 2] = (float)cos((double)t * frequency[i]);
            angle[(t * half + i) * 2 + 1] = (float)sin((double)t * frequency[i]);
        }
    }
    sc_buffer_free(model->angle);
    model->angle = NULL;
    model->n_angles = 0;
    status = sc_buffer_create(&model->angle, model->device, bytes, SC_BUFFER_DEVICE, "rotary angles", error);
    if (status == SEMCAL_OK && (status = sc_buffer_write(model->angle, 0, angle, bytes, error)) == SEMCAL_OK) {
        model->n_angles = n;
    }
done:
    free(angle);
    free(frequency);
    return status;
}

static semcal_status check(const sc_model *model, const sc_forward *f, size_t *n_positions, semcal_error *error)
{
    if (f->n_rows > model->max_rows || f->n_outputs > model->max_outputs) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "forward: %zu rows and %zu outputs, at most %zu and %zu", f->n_rows,
                            f->n_outputs, model->max_rows, model->max_outputs);
    }
    *n_positions = 0;
    for (size_t i = 0; i < f->n_outputs; i++) {
        if (f->output[i] < 0 || (size_t)f->output[i] >= f->n_rows) {
            return sc_error_set(error, SEMCAL_E_CONFIG, "forward: the logits of row %d of %zu are wanted",
                                (int)f->output[i], f->n_rows);
        }
    }
    for (size_t i = 0; i < f->n_rows; i++) {
        if (f->token[i] < 0 || (size_t)f->token[i] >= model->config.n_vocabulary) {
            return sc_error_set(error, SEMCAL_E_DATA, "token %d is outside the model's vocabulary of %zu",
                                (int)f->token[i], model->config.n_vocabulary);
        }
        if (f->position[i] < 0 || (size_t)f->position[i] >= model->config.n_context) {
            return sc_error_set(error, SEMCAL_E_DATA, "position %d is outside the model's context of %zu",
                                (int)f->position[i], model->config.n_context);
        }
        const size_t need = (size_t)f->position[i] + 1;
        *n_positions = need > *n_positions ? need : *n_positions;
    }
    return SEMCAL_OK;
}

/* Integers into a buffer that grows. */
static semcal_status upload_list(sc_buffer **buffer, size_t *capacity, sc_model *model, const int32_t *list, size_t n,
                                 const char *what, semcal_error *error)
{
    if (n > *capacity) {
        const size_t wanted = n + n / 2;
        sc_buffer_free(*buffer);
        *buffer = NULL;
        *capacity = 0;
        semcal_status status =
            sc_buffer_create(buffer, model->device, wanted * sizeof *list, SC_BUFFER_DEVICE, what, error);
        if (status != SEMCAL_OK) {
            return status;
        }
        *capacity = wanted;
    }
    return n == 0 ? SEMCAL_OK : sc_buffer_write(*buffer, 0, list, n * sizeof *list, error);
}

static semcal_status upload(sc_model *model, const sc_forward *f, semcal_error *error)
{
    const uint64_t bytes = f->n_rows * sizeof(int32_t);
    semcal_status status;
    if ((status = upload_list(&model->pages, &model->pages_capacity, model, f->pages, f->n_pages, "page lists",
                              error)) != SEMCAL_OK ||
        (status = upload_list(&model->copies, &model->copies_capacity, model, f->copy, 2 * f->n_copies, "page copies",
                              error)) != SEMCAL_OK ||
        (status = sc_buffer_write(model->token, 0, f->token, bytes, error)) != SEMCAL_OK ||
        (status = sc_buffer_write(model->position, 0, f->position, bytes, error)) != SEMCAL_OK ||
        (status = sc_buffer_write(model->table, 0, f->table, bytes, error)) != SEMCAL_OK) {
        return status;
    }
    return f->n_outputs == 0 ? SEMCAL_OK
                             : sc_buffer_write(model->output, 0, f->output, f->n_outputs * sizeof(int32_t), error);
}

static semcal_status copy_pages(sc_model *model, size_t n_copies, semcal_error *error)
{
    sc_work work = SC_WORK_1D(n_copies, model->group_size);
    work.bytes = 2.0 * (double)n_copies * (double)(model->key_page_bytes + model->value_page_bytes);
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < model->config.n_layers && n_copies > 0 && status == SEMCAL_OK; i++) {
        const struct sc_model_layer *layer = &model->layers[i];
        status = sc_launch(
            model->copy_pages, &work,
            SC_ARGS(SC_BUFFER_ARG(layer->keys), SC_BUFFER_ARG(layer->values), SC_BUFFER_ARG(model->copies)), error);
    }
    return status;
}

/* A row of the embedding lies across its panel: for every place (every two of pairs) a line of 64 bytes that it shares
 * with its neighbours there, 16 of them or, of two bf16 in a word, 32. Lines count once, rows are written. */
static double embedded_bytes(const sc_model *model, const int32_t *token, size_t n_rows, size_t first_panel,
                             size_t n_panels)
{
    const uint32_t form = sc_matrix_form(model->embedding);
    const size_t beside = form == SC_PANELS_BF16 ? 32 : 16;
    const double width = (double)model->config.width;
    double strips = 0, rows = 0;
    if (model->seen_strips == NULL) {
        return 0;
    }
    memset(model->seen_strips, 0, sc_model_strips(&model->config));
    for (size_t i = 0; i < n_rows; i++) {
        const size_t id = (size_t)token[i], panel = id / SC_PANEL;
        if (panel >= first_panel && panel < first_panel + n_panels) {
            strips += model->seen_strips[id / beside] == 0;
            model->seen_strips[id / beside] = 1;
            rows++;
        }
    }
    return strips * 64 * (form == SC_PANELS_PAIRS ? ceil(width / 2) : width) + rows * 4 * width;
}

static semcal_status embed(sc_model *model, const int32_t *token, size_t n_rows, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    sc_work work = SC_WORK_1D(n_rows, model->group_size);
    for (size_t i = 0; i < sc_matrix_n_parts(model->embedding) && status == SEMCAL_OK; i++) {
        size_t first, n;
        const sc_buffer *panels = sc_matrix_part(model->embedding, i, &first, &n);
        work.bytes = embedded_bytes(model, token, n_rows, first, n);
        status = sc_launch(model->embed, &work,
                           SC_ARGS(SC_BUFFER_ARG(model->x), SC_BUFFER_ARG(model->token), SC_BUFFER_ARG(panels),
                                   SC_U32(u32(first)), SC_U32(u32(n)), SC_U32(u32(model->config.width)),
                                   SC_U32(sc_matrix_form(model->embedding))),
                           error);
    }
    return status;
}

/* Rows that go through (part of) a layer together. */
typedef struct row_set {
    size_t n;
    sc_buffer *x, *qkv, *position, *table;
    sc_attended attended; /* for profiles; 0 when there is none */
} row_set;

/* Normed rows as the products with `next` take them best. */
static semcal_status norm(sc_model *model, const row_set *rows, sc_buffer *gain, const sc_matrix *next,
                          semcal_error *error)
{
    const bool rounded = sc_gemm_takes_rounded(model->gemm, next);
    sc_work work = SC_WORK_1D(rows->n, model->group_size);
    work.bytes = (rounded ? 6.0 : 8.0) * (double)rows->n * (double)model->config.width;
    return sc_launch(model->norm, &work,
                     SC_ARGS(SC_BUFFER_ARG(model->normed), SC_BUFFER_ARG(rows->x), SC_BUFFER_ARG(gain),
                             SC_U32(u32(model->config.width)), SC_F32((float)model->config.norm_epsilon),
                             SC_U32(rounded)),
                     error);
}

/* The product of rows that `norm` made for this matrix. */
static semcal_status multiply(sc_model *model, sc_buffer *c, size_t stride, sc_gemm_mode mode, sc_buffer *a,
                              const sc_matrix *matrix, size_t m, semcal_error *error)
{
    return (sc_gemm_takes_rounded(model->gemm, matrix) ? sc_gemm_run_rounded : sc_gemm_run)(model->gemm, c, stride,
                                                                                            mode, a, matrix, m, error);
}

/* Runs of rows that go through the pages together: long, as keys and values are then read seldom, but enough of them to
 * give every compute unit its share. Work-groups take one row each. */
static size_t attention_tiles(const sc_model *model, size_t n_rows)
{
    if (model->group_size > 1) {
        return n_rows;
    }
    const size_t heads = model->config.n_kv_heads, wanted = 4 * sc_device_facts(model->device)->compute_units;
    const size_t least = (n_rows + SC_ATTENTION_ROWS - 1) / SC_ATTENTION_ROWS, even = (wanted + heads - 1) / heads;
    const size_t n = least > even ? least : even;
    return n < n_rows ? n : n_rows;
}

/* Up to keys and values in their pages. */
static semcal_status begin_layer(sc_model *model, const struct sc_model_layer *layer, const row_set *all,
                                 semcal_error *error)
{
    const sc_model_config *c = &model->config;
    const size_t kv = c->n_kv_heads * c->head_size, qkv = c->n_heads * c->head_size + 2 * kv;
    sc_work rows = SC_WORK_1D(all->n, model->group_size);
    semcal_status status = norm(model, all, layer->attention_norm, layer->qkv, error);
    if (status == SEMCAL_OK) {
        status = multiply(model, all->qkv, qkv, SC_MODE_STORE, model->normed, layer->qkv, all->n, error);
    }
    if (status == SEMCAL_OK && layer->head_norms != NULL) {
        rows.bytes = 8.0 * (double)all->n * (double)(qkv - kv);
        status = sc_launch(
            model->head_norm, &rows,
            SC_ARGS(SC_BUFFER_ARG(all->qkv), SC_BUFFER_ARG(layer->head_norms), SC_F32((float)c->norm_epsilon)), error);
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    /* read whole, queries written back, keys and values into their pages */
    rows.bytes = (double)all->n * (4.0 * (double)(2 * qkv - 2 * kv) + 2.0 * (double)model->key_page_bytes / SC_PAGE);
    return sc_launch(model->rope_store, &rows,
                     SC_ARGS(SC_BUFFER_ARG(all->qkv), SC_BUFFER_ARG(layer->keys), SC_BUFFER_ARG(layer->values),
                             SC_BUFFER_ARG(all->position), SC_BUFFER_ARG(all->table), SC_BUFFER_ARG(model->pages),
                             SC_BUFFER_ARG(model->angle)),
                     error);
}

/* Keys and values once per KV head however many rows share them, queries, mixed values; scores and weighted values are
 * two multiply-adds per head, place and position attended to. Exponentials and page lists are left out. */
static void tell_floor(sc_work *work, const sc_model *model, const row_set *rows, bool rounded)
{
    const sc_model_config *c = &model->config;
    const double places = (double)(c->n_heads * c->head_size), kv_places = (double)(c->n_kv_heads * c->head_size);
    const double number = (double)model->key_page_bytes / (kv_places * SC_PAGE);
    if (model->seen != NULL) {
        work->bytes = 2 * number * kv_places * rows->attended.positions +
                      (sizeof(float) + (rounded ? 2.0 : 4.0)) * places * (double)rows->n;
        work->flops = 4.0 * rows->attended.pairs * places;
        work->pace = number < 4 && model->group_size == 1 && sc_gemm_has_unit(model->gemm) ? 2 : 1;
    }
}

/* rounded: its rows are for products that take them so. */
static semcal_status attend(sc_model *model, const struct sc_model_layer *layer, const row_set *rows, bool rounded,
                            semcal_error *error)
{
    static const double log2_e = 1.44269504088896340736;
    const sc_model_config *c = &model->config;
    const size_t n_tiles = attention_tiles(model, rows->n);
    sc_work heads = SC_WORK_1D(n_tiles * c->n_kv_heads, model->group_size);
    tell_floor(&heads, model, rows, rounded);
    return sc_launch(model->attention, &heads,
                     SC_ARGS(SC_BUFFER_ARG(model->mixed), SC_BUFFER_ARG(rows->qkv), SC_BUFFER_ARG(layer->keys),
                             SC_BUFFER_ARG(layer->values), SC_BUFFER_ARG(rows->position), SC_BUFFER_ARG(rows->table),
                             SC_BUFFER_ARG(model->pages), SC_F32((float)(log2_e / sqrt((double)c->head_size))),
                             SC_U32(u32(rows->n)), SC_U32(u32(n_tiles)), SC_U32(rounded)),
                     error);
}

/* From attention on. */
static semcal_status end_layer(sc_model *model, const struct sc_model_layer *layer, const row_set *rows,
                               semcal_error *error)
{
    const sc_model_config *c = &model->config;
    const bool rounded =
        sc_gemm_takes_rounded(model->gemm, layer->gate_up) && sc_gemm_takes_rounded(model->gemm, layer->down);
    const bool mixed_rounded = sc_gemm_takes_rounded(model->gemm, layer->o);
    semcal_status status;
    if ((status = attend(model, layer, rows, mixed_rounded, error)) != SEMCAL_OK ||
        (status = (mixed_rounded ? sc_gemm_run_rounded : sc_gemm_run)(
             model->gemm, rows->x, c->width, SC_MODE_ADD, model->mixed, layer->o, rows->n, error)) != SEMCAL_OK ||
        (status = norm(model, rows, layer->mlp_norm, layer->gate_up, error)) != SEMCAL_OK ||
        (status = multiply(model, model->activation, rounded ? (c->mlp_width + 1) / 2 : c->mlp_width,
                           rounded ? SC_MODE_SWIGLU_ROUNDED : SC_MODE_SWIGLU, model->normed, layer->gate_up, rows->n,
                           error)) != SEMCAL_OK) {
        return status;
    }
    return (rounded ? sc_gemm_run_rounded : sc_gemm_run)(model->gemm, rows->x, c->width, SC_MODE_ADD, model->activation,
                                                         layer->down, rows->n, error);
}

/* Of the last layer nothing but keys and values is read again of rows without logits: the others go on alone. */
static semcal_status keep_wanted(row_set *rows, sc_model *model, const sc_forward *f, semcal_error *error)
{
    const sc_model_config *c = &model->config;
    bool all = f->n_outputs == f->n_rows;
    for (size_t i = 0; i < f->n_outputs && all; i++) {
        all = (size_t)f->output[i] == i;
    }
    if (all) {
        return SEMCAL_OK;
    }
    sc_work work = SC_WORK_1D(f->n_outputs, model->group_size);
    work.bytes = 8.0 * (double)f->n_outputs * (double)(c->width + c->n_heads * c->head_size);
    semcal_status status =
        sc_launch(model->keep, &work,
                  SC_ARGS(SC_BUFFER_ARG(model->kept_x), SC_BUFFER_ARG(model->kept_qkv),
                          SC_BUFFER_ARG(model->kept_position), SC_BUFFER_ARG(model->kept_table), SC_BUFFER_ARG(rows->x),
                          SC_BUFFER_ARG(rows->qkv), SC_BUFFER_ARG(rows->position), SC_BUFFER_ARG(rows->table),
                          SC_BUFFER_ARG(model->output), SC_U32(u32(c->width))),
                  error);
    *rows = (row_set){f->n_outputs, model->kept_x, model->kept_qkv, model->kept_position, model->kept_table, {0, 0}};
    if (model->seen != NULL) {
        sc_attended_count(&rows->attended, model->seen, model->n_pages, f, f->output, f->n_outputs);
    }
    return status;
}

semcal_status sc_model_forward(sc_model *model, const sc_forward *forward, semcal_error *error)
{
    size_t n_positions = 0;
    semcal_status status = check(model, forward, &n_positions, error);
    if (status != SEMCAL_OK || forward->n_rows == 0) {
        return status;
    }
    if ((status = sc_model_count_few(model, forward->n_rows, error)) != SEMCAL_OK ||
        (status = reach_angles(model, n_positions, error)) != SEMCAL_OK ||
        (status = upload(model, forward, error)) != SEMCAL_OK ||
        (status = copy_pages(model, forward->n_copies, error)) != SEMCAL_OK ||
        (status = embed(model, forward->token, forward->n_rows, error)) != SEMCAL_OK) {
        return status;
    }
    row_set rows = {forward->n_rows, model->x, model->qkv, model->position, model->table, {0, 0}};
    if (model->seen != NULL) {
        sc_attended_count(&rows.attended, model->seen, model->n_pages, forward, NULL, forward->n_rows);
    }
    const size_t n_layers = model->config.n_layers;
    for (size_t i = 0; i < n_layers; i++) {
        status = begin_layer(model, &model->layers[i], &rows, error);
        if (i + 1 == n_layers && status == SEMCAL_OK) {
            if (forward->n_outputs == 0) {
                return SEMCAL_OK;
            }
            status = keep_wanted(&rows, model, forward, error);
        }
        if (status == SEMCAL_OK) {
            status = end_layer(model, &model->layers[i], &rows, error);
        }
        if (status != SEMCAL_OK) {
            sc_error_where(error, "layer %zu", i);
            return status;
        }
    }
    status = norm(model, &rows, model->final_norm, model->head, error);
    return status != SEMCAL_OK ? status
                               : multiply(model, model->logits, model->config.n_vocabulary, SC_MODE_STORE,
                                          model->normed, model->head, rows.n, error);
}

sc_buffer *sc_model_logits(const sc_model *model)
{
    return model->logits;
}

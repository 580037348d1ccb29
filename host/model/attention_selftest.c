/* SPDX-License-Identifier: Apache-2.0 */
#include "model/attention_selftest.h"

#include "abi.h"
#include "base/memory.h"
#include "device/gemm.h"
#include "device/selftest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows that look back on parts of a page, of a chunk of pages, of two chunks, and a little more. */
static const int32_t looked_at[] = {0, 1, 2, 7, 14, 15, 16, 17, 18, 19, 31, 32, 47, 63, 90, 255, 256, 511, 513};
enum {
    ROWS = sizeof looked_at / sizeof *looked_at,
    POSITIONS = 514,
    PAGES = (POSITIONS + SC_PAGE - 1) / SC_PAGE,
    TILES = 2
};

struct trial {
    sc_device *device;
    const sc_model_config *config;
    sc_program *program;
    bool rounded;
    float scale;
    float *qkv, *rows, *got; /* [POSITIONS], [ROWS][(heads + 2 KV heads) head size]; [ROWS][heads * head size] */
};

static size_t width_of(const sc_model_config *c)
{
    return (c->n_heads + 2 * c->n_kv_heads) * c->head_size;
}

static double taken(const struct trial *t, float x)
{
    return (double)(t->rounded ? sc_gemm_rounded(x) : x);
}

static bool is_right(const struct trial *t, size_t row, size_t head)
{
    const sc_model_config *c = t->config;
    const size_t d = c->head_size, width = width_of(c), kv = head / (c->n_heads / c->n_kv_heads);
    const size_t n = (size_t)looked_at[row] + 1;
    const float *q = t->rows + row * width + head * d, *k = t->qkv + (c->n_heads + kv) * d, *v = k + c->n_kv_heads * d;
    double weight[POSITIONS], mass = 0;
    for (size_t p = 0; p < n; p++) {
        double score = 0;
        for (size_t i = 0; i < d; i++) {
            score += taken(t, q[i] * t->scale) * taken(t, k[p * width + i]);
        }
        mass += weight[p] = exp2(score);
    }
    for (size_t i = 0; i < d; i++) {
        double mean = 0, distance = 0, size = 0;
        for (size_t p = 0; p < n; p++) {
            const double x = taken(t, v[p * width + i]);
            mean += weight[p] / mass * x;
            size += weight[p] / mass * fabs(x);
        }
        for (size_t p = 0; p < n; p++) {
            distance += weight[p] / mass * fabs(taken(t, v[p * width + i]) - mean);
        }
        /* a weight has 8 bits in bf16 */
        const double off = t->rounded ? 1e-6 + 0.0042 * distance : 1e-6 + 4e-6 * size;
        if (!(fabs((double)t->got[(row * c->n_heads + head) * d + i] - mean) <= off)) {
            return false;
        }
    }
    return true;
}

static semcal_status filled(sc_buffer **buffer, sc_device *device, const void *data, uint64_t bytes,
                            semcal_error *error)
{
    semcal_status status = sc_buffer_create(buffer, device, bytes, SC_BUFFER_DEVICE, "self-test", error);
    return status != SEMCAL_OK ? status : sc_buffer_write(*buffer, 0, data, bytes, error);
}

static semcal_status run(struct trial *t, const float *angle, const void *page, size_t page_bytes, semcal_error *error)
{
    const sc_model_config *c = t->config;
    const size_t out_bytes = ROWS * c->n_heads * c->head_size * sizeof(float);
    int32_t position[POSITIONS], table[POSITIONS] = {0}, pages[PAGES];
    for (int32_t i = 0; i < POSITIONS; i++) {
        position[i] = i;
    }
    for (int32_t i = 0; i < PAGES; i++) {
        pages[i] = PAGES - 1 - i;
    }
    enum { QKV, ROWS_QKV, KEYS, VALUES, POSITION, LOOKED_AT, TABLE, LIST, ANGLE, OUT, BUFFERS };
    const struct {
        const void *data;
        uint64_t bytes;
    } what[BUFFERS] = {{t->qkv, POSITIONS * width_of(c) * sizeof(float)},
                       {t->rows, ROWS * width_of(c) * sizeof(float)},
                       {page, page_bytes},
                       {page, page_bytes},
                       {position, sizeof position},
                       {looked_at, sizeof looked_at},
                       {table, sizeof table},
                       {pages, sizeof pages},
                       {angle, POSITIONS * c->head_size * sizeof(float)},
                       {t->got, out_bytes}};
    sc_buffer *b[BUFFERS] = {NULL};
    sc_kernel *store, *attention;
    semcal_status status = sc_kernel_get(&store, t->program, "rope_store", error);
    if (status == SEMCAL_OK) {
        status = sc_kernel_get(&attention, t->program, "attention", error);
    }
    for (size_t i = 0; i < BUFFERS && status == SEMCAL_OK; i++) {
        status = filled(&b[i], t->device, what[i].data, what[i].bytes, error);
    }
    const sc_work rows = SC_WORK_1D(POSITIONS, 1), items = SC_WORK_1D(TILES * c->n_kv_heads, 1);
    if (status == SEMCAL_OK &&
        (status = sc_launch(store, &rows,
                            SC_ARGS(SC_BUFFER_ARG(b[QKV]), SC_BUFFER_ARG(b[KEYS]), SC_BUFFER_ARG(b[VALUES]),
                                    SC_BUFFER_ARG(b[POSITION]), SC_BUFFER_ARG(b[TABLE]), SC_BUFFER_ARG(b[LIST]),
                                    SC_BUFFER_ARG(b[ANGLE])),
                            error)) == SEMCAL_OK &&
        (status = sc_launch(attention, &items,
                            SC_ARGS(SC_BUFFER_ARG(b[OUT]), SC_BUFFER_ARG(b[ROWS_QKV]), SC_BUFFER_ARG(b[KEYS]),
                                    SC_BUFFER_ARG(b[VALUES]), SC_BUFFER_ARG(b[LOOKED_AT]), SC_BUFFER_ARG(b[TABLE]),
                                    SC_BUFFER_ARG(b[LIST]), SC_F32(t->scale), SC_U32(ROWS), SC_U32(TILES), SC_U32(0)),
                            error)) == SEMCAL_OK) {
        status = sc_buffer_read(b[OUT], 0, t->got, out_bytes, error);
    }
    for (size_t i = 0; i < BUFFERS; i++) {
        sc_buffer_free(b[i]);
    }
    return status;
}

static semcal_status try_attention(bool *same, void *payload, semcal_error *error)
{
    struct trial *t = payload;
    const sc_model_config *c = t->config;
    const size_t width = width_of(c), n = POSITIONS * width,
                 page_words = (c->head_size + 15) / 16 * 16 * c->n_kv_heads * SC_PAGE * PAGES;
    semcal_status status = SEMCAL_E_MEMORY;
    float *angle = sc_memory_alloc(POSITIONS * c->head_size, sizeof *angle, error);
    uint32_t *page = sc_memory_alloc(page_words, sizeof *page, error);
    t->qkv = sc_memory_alloc(n, sizeof *t->qkv, error);
    t->rows = sc_memory_alloc(ROWS * width, sizeof *t->rows, error);
    t->got = sc_memory_alloc(ROWS * c->n_heads * c->head_size, sizeof *t->got, error);
    if (angle == NULL || page == NULL || t->qkv == NULL || t->rows == NULL || t->got == NULL) {
        goto done;
    }
    uint32_t seed = 1;
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        t->qkv[i] = (float)((int32_t)(seed >> 8) - (1 << 23)) / 0x1p22f;
    }
    for (size_t i = 0; i < POSITIONS * c->head_size; i += 2) {
        angle[i] = 1; /* cosine; nothing is turned */
    }
    for (size_t row = 0; row < ROWS; row++) {
        memcpy(t->rows + row * width, t->qkv + (size_t)looked_at[row] * width, width * sizeof *t->rows);
    }
    memset(page, 0xff, page_words * sizeof *page); /* what is not written is NaN */
    t->scale = (float)(1.44269504088896340736 / sqrt((double)c->head_size));
    status = run(t, angle, page, page_words * sizeof *page, error);
    *same = status == SEMCAL_OK;
    for (size_t row = 0; row < ROWS && *same; row++) {
        for (size_t head = 0; head < c->n_heads && *same; head++) {
            *same = is_right(t, row, head);
        }
    }
done:
    free(angle);
    free(page);
    free(t->qkv);
    free(t->rows);
    free(t->got);
    return status;
}

bool sc_attention_selftest(sc_device *device, const sc_model_config *config, const char *options, bool rounded,
                           const char *name, const char *instead)
{
    struct trial t = {.device = device, .config = config, .rounded = rounded};
    semcal_error error = SEMCAL_ERROR_INIT;
    if (sc_program_get(&t.program, device, "transformer.cl", options, &error) != SEMCAL_OK) {
        sc_device_note(device, "%s is not used, %s runs instead: %s", name, instead, error.message);
        return false;
    }
    return sc_selftest(device, name, instead, t.program, try_attention, &t);
}

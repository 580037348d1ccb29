/* SPDX-License-Identifier: Apache-2.0 */
/* The attention kernel on one sequence whose every position is a row, and what float64 makes of it. */
#ifndef SEMCAL_TEST_ATTENTION_ROWS_H
#define SEMCAL_TEST_ATTENTION_ROWS_H

#include "abi.h"
#include "check.h"
#include "device/device.h"

enum { MOST_POSITIONS = 560, MOST_WIDTH = 14 * 64 + 2 * 3 * 64 };

typedef struct attention_shape {
    size_t n_heads, n_kv_heads, head_size;
} attention_shape;

/* Groups of 7, 1, 2, 8, 20 and again 7, 6 and 8 heads; head sizes that fill vectors and others. The fourth and the last
 * three have whole chunks in bf16 (cl/attention_chunk.h): one to five products from step to step, and a step after the
 * last product or none. */
static const attention_shape attention_shapes[] = {{14, 2, 24}, {3, 3, 10},  {4, 2, 32},  {16, 2, 40},
                                                   {20, 1, 8},  {14, 2, 64}, {6, 1, 128}, {8, 1, 64}};
enum { ATTENTION_SHAPES = sizeof attention_shapes / sizeof *attention_shapes };

/* Keys and values in fp32, in bf16 on any processor, and in bf16 by the processor's own products. */
enum { FORM_FP32 = 0, FORM_BF16 = 1, FORM_BF16_UNIT = 2 };

static inline bool has_bf16_unit(const sc_device *device)
{
#if defined(__x86_64__)
    return sc_device_facts(device)->is_cpu && __builtin_cpu_supports("avx512bf16");
#else
    return false;
#endif
}

static inline float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* To the nearest bf16, by distance. */
static inline double nearest_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const double down = (double)float_of_bits(bits & 0xffff0000u),
                 up = (double)float_of_bits((bits & 0xffff0000u) + 0x10000u);
    const double to_down = fabs((double)x - down), to_up = fabs(up - (double)x);
    return to_down < to_up || (to_down == to_up && (bits >> 16 & 1) == 0) ? down : up;
}

static inline size_t attention_width(const attention_shape *s)
{
    return (s->n_heads + 2 * s->n_kv_heads) * s->head_size;
}

static inline sc_buffer *filled_buffer(sc_device *device, const void *data, uint64_t bytes)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_buffer *buffer;
    check_ok(sc_buffer_create(&buffer, device, bytes, SC_BUFFER_DEVICE, "test", &error), error);
    check_ok(sc_buffer_write(buffer, 0, data, bytes, &error), error);
    return buffer;
}

/* out [n, heads, head size] of n positions of one sequence, none of them turned, in pages full of NaN. `scale` goes
 * with the queries; local is 1 or the size of work-groups. */
static inline void attend(float *out, sc_device *device, const float *qkv, const attention_shape *s, size_t n,
                          float scale, int form, uint32_t local, bool rounded)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    enum { MOST_PAGES = (MOST_POSITIONS + SC_PAGE - 1) / SC_PAGE };
    char options[160];
    (void)snprintf(options, sizeof options, "-DHEADS=%zu -DKV_HEADS=%zu -DHEAD=%zu -DLSZ=%u", s->n_heads, s->n_kv_heads,
                   s->head_size, local);
    if (form != FORM_FP32) {
        (void)snprintf(options + strlen(options), sizeof options - strlen(options), " -DKV_BF16=%d", form);
    }
    sc_program *program;
    sc_kernel *store, *kernel;
    check_ok(sc_program_get(&program, device, "transformer.cl", options, &error), error);
    check_ok(sc_kernel_get(&store, program, "rope_store", &error), error);
    check_ok(sc_kernel_get(&kernel, program, "attention", &error), error);
    static float angle[MOST_POSITIONS * 64 * 2];
    static uint32_t nan[MOST_PAGES * 3 * 64 * SC_PAGE];
    static int32_t position[MOST_POSITIONS], table[MOST_POSITIONS], pages[MOST_PAGES];
    const int32_t n_pages = (int32_t)((n + SC_PAGE - 1) / SC_PAGE);
    for (size_t i = 0; i < n * s->head_size / 2; i++) {
        angle[2 * i] = 1;
        angle[2 * i + 1] = 0;
    }
    memset(nan, 0xff, sizeof nan);
    for (size_t t = 0; t < n; t++) {
        position[t] = (int32_t)t;
    }
    for (int32_t p = 0; p < n_pages; p++) {
        pages[p] = n_pages - 1 - p;
    }
    const size_t out_bytes = n * s->n_heads * s->head_size * sizeof(float), rows_bytes = n * sizeof(int32_t);
    sc_buffer *all = filled_buffer(device, qkv, n * attention_width(s) * sizeof(float)),
              *keys = filled_buffer(device, nan, sizeof nan), *values = filled_buffer(device, nan, sizeof nan),
              *at = filled_buffer(device, position, rows_bytes), *lists = filled_buffer(device, table, rows_bytes),
              *list = filled_buffer(device, pages, sizeof pages), *turns = filled_buffer(device, angle, sizeof angle),
              *result = filled_buffer(device, qkv, out_bytes);
    /* runs of rows in every length up to the longest */
    const size_t n_tiles = local > 1 ? n : n / SC_ATTENTION_ROWS + 2;
    const sc_work rows = SC_WORK_1D(n, local), items = SC_WORK_1D(n_tiles * s->n_kv_heads, local);
    check_ok(sc_launch(store, &rows,
                       SC_ARGS(SC_BUFFER_ARG(all), SC_BUFFER_ARG(keys), SC_BUFFER_ARG(values), SC_BUFFER_ARG(at),
                               SC_BUFFER_ARG(lists), SC_BUFFER_ARG(list), SC_BUFFER_ARG(turns)),
                       &error),
             error);
    check_ok(sc_launch(kernel, &items,
                       SC_ARGS(SC_BUFFER_ARG(result), SC_BUFFER_ARG(all), SC_BUFFER_ARG(keys), SC_BUFFER_ARG(values),
                               SC_BUFFER_ARG(at), SC_BUFFER_ARG(lists), SC_BUFFER_ARG(list), SC_F32(scale),
                               SC_U32((uint32_t)n), SC_U32((uint32_t)n_tiles), SC_U32(rounded)),
                       &error),
             error);
    check_ok(sc_buffer_read(result, 0, out, out_bytes, &error), error);
    sc_buffer *const used[] = {all, keys, values, at, lists, list, turns, result};
    for (size_t i = 0; i < sizeof used / sizeof *used; i++) {
        sc_buffer_free(used[i]);
    }
}

static inline void random_rows(float *qkv, size_t n)
{
    uint32_t seed = 7;
    for (size_t i = 0; i < n; i++) {
        float sum = 0;
        for (int k = 0; k < 4; k++) {
            seed = seed * 1664525u + 1013904223u;
            sum += (float)(seed >> 8) * 0x1p-24f - 0.5f;
        }
        qkv[i] = 2 * sum;
    }
}

/* mean [head size] of row t and head h in float64, operands rounded to bf16 or not, and around it the mean distance of
 * the values and the mean of their sizes. */
static inline void exact_row(double *mean, double *distance, double *size, const float *qkv, const attention_shape *s,
                             size_t t, size_t h, float scale, bool rounded)
{
    static double weight[MOST_POSITIONS];
    const size_t d = s->head_size, width = attention_width(s);
    const size_t key = (s->n_heads + h / (s->n_heads / s->n_kv_heads)) * d, value = key + s->n_kv_heads * d;
    double mass = 0, highest = -INFINITY;
    for (size_t p = 0; p <= t; p++) {
        weight[p] = 0;
        for (size_t i = 0; i < d; i++) {
            const float q = qkv[t * width + h * d + i] * scale, k = qkv[p * width + key + i];
            weight[p] += rounded ? nearest_bf16(q) * nearest_bf16(k) : (double)q * (double)k;
        }
        highest = fmax(highest, weight[p]);
    }
    for (size_t p = 0; p <= t; p++) {
        mass += weight[p] = exp2(weight[p] - highest);
    }
    for (size_t i = 0; i < d; i++) {
        mean[i] = distance[i] = size[i] = 0;
        for (int turn = 0; turn < 2; turn++) {
            for (size_t p = 0; p <= t; p++) {
                const float x = qkv[p * width + value + i];
                const double v = rounded ? nearest_bf16(x) : (double)x, part = weight[p] / mass;
                if (turn == 0) {
                    mean[i] += part * v;
                    size[i] += part * fabs(v);
                } else {
                    distance[i] += part * fabs(v - mean[i]);
                }
            }
        }
    }
}

#endif

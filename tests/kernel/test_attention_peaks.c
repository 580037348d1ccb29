/* SPDX-License-Identifier: Apache-2.0 */
/* Attention over several chunks of positions against float64: random rows, scores that climb by more octaves than fp32
 * has from one chunk to the next, NaN. */
#include "attention_rows.h"

static sc_device *device;
static semcal_error error = SEMCAL_ERROR_INIT;

enum { T = 547 }; /* a third chunk */

static float qkv[T * MOST_WIDTH], got[T * MOST_WIDTH];

/* By rows of a few and by work-groups. */
static const struct form {
    int kind;
    uint32_t local;
} forms[] = {{FORM_FP32, 1}, {FORM_FP32, 32}, {FORM_BF16, 1}, {FORM_BF16, 32}, {FORM_BF16_UNIT, 1}};
enum { FORMS = sizeof forms / sizeof *forms };

/* What imitates the products in bf16 is slow: the groups of 7 and of 20 heads have to do. */
static bool is_tried(const struct form *form, size_t shape)
{
    return form->kind == FORM_BF16 ? shape == 0 || shape == 4 : form->kind == FORM_FP32 || has_bf16_unit(device);
}

/* Rows at the edges of pages and chunks, and some between. */
static bool is_looked_at(size_t t)
{
    return t % 256 < 3 || t % 256 > 253 || t % 37 == 0 || t + 1 == T;
}

/* The first place of a query of head h is 1, the others are 0, so that the first place of a key is the score. */
static void set_scores(const attention_shape *s, float (*score)(size_t p, size_t kv_head))
{
    const size_t d = s->head_size, width = attention_width(s);
    random_rows(qkv, T * width);
    for (size_t t = 0; t < T; t++) {
        for (size_t i = 0; i < (s->n_heads + s->n_kv_heads) * d; i++) {
            const bool is_key = i >= s->n_heads * d;
            qkv[t * width + i] = i % d != 0 ? 0 : is_key ? score(t, i / d - s->n_heads) : 1;
        }
    }
}

static void check_rows(const attention_shape *s, float scale, const struct form *form, double part)
{
    double mean[128], distance[128], size[128];
    for (size_t t = 0; t < T; t++) {
        for (size_t h = 0; is_looked_at(t) && h < s->n_heads; h++) {
            exact_row(mean, distance, size, qkv, s, t, h, scale, form->kind != FORM_FP32);
            for (size_t i = 0; i < s->head_size; i++) {
                check_close((double)got[(t * s->n_heads + h) * s->head_size + i], mean[i], 1e-6 + part * size[i]);
            }
        }
    }
}

static void random_scores_in_fp32(void **state)
{
    (void)state;
    for (size_t k = 0; k < ATTENTION_SHAPES; k++) {
        const attention_shape *s = &attention_shapes[k];
        const float scale = (float)(1.4426950408889634 / sqrt((double)s->head_size));
        for (size_t f = 0; f < 2; f++) {
            random_rows(qkv, T * attention_width(s));
            attend(got, device, qkv, s, T, scale, forms[f].kind, forms[f].local, false);
            check_rows(s, scale, &forms[f], 2e-6);
        }
    }
}

/* Whole numbers, exact in bf16 too. Head 0 climbs by 40 octaves in the second chunk and by 40 again in the third, which
 * is allowed each time but not together; head 1 by 150 in each, once in the middle of a chunk; head 2 falls. */
static float climbing(size_t p, size_t kv_head)
{
    const int chunk = (int)(p / 256), small = (int)(p * 7 % 5);
    switch (kv_head) {
    case 0:
        return (float)(40 * chunk + small);
    case 1:
        return (float)(-180 + 150 * (p > 300) + (p == 520 ? 200 : 0) + small);
    default:
        return (float)(100 - 90 * chunk - small);
    }
}

static void peaks_move(void **state)
{
    (void)state;
    for (size_t k = 0; k < ATTENTION_SHAPES; k++) {
        const attention_shape *s = &attention_shapes[k];
        for (size_t f = 0; f < FORMS; f++) {
            if (!is_tried(&forms[f], k)) {
                continue;
            }
            set_scores(s, climbing);
            attend(got, device, qkv, s, T, 1, forms[f].kind, forms[f].local, false);
            check_rows(s, 1, &forms[f], 4e-6);
        }
    }
}

/* Scores at random and scores that climb: whole chunks of the processor's own products (cl/attention_chunk.h) and those
 * of its imitation, which goes page by page. */
static void whole_chunks_give_the_same_bits(void **state)
{
    (void)state;
    static float other[T * MOST_WIDTH];
    if (!has_bf16_unit(device)) {
        print_message("left out: it needs a CPU with AVX-512 bf16\n");
        return;
    }
    const size_t shapes[] = {3, 5, 6, 7};
    for (size_t k = 0; k < 8; k++) {
        const attention_shape *s = &attention_shapes[shapes[k / 2]];
        if (k % 2 == 0) {
            random_rows(qkv, T * attention_width(s));
        } else {
            set_scores(s, climbing);
        }
        attend(got, device, qkv, s, T, 0.5f, FORM_BF16_UNIT, 1, false);
        attend(other, device, qkv, s, T, 0.5f, FORM_BF16, 1, false);
        assert_memory_equal(got, other, T * s->n_heads * s->head_size * sizeof *got);
    }
}

/* A NaN among the keys reaches every row from its position on, and none before; so does a score of +inf. */
static void hide_a_number(size_t shape)
{
    const attention_shape *s = &attention_shapes[shape];
    const size_t d = s->head_size, width = attention_width(s), where[] = {3, 290};
    for (size_t f = 0; f < FORMS; f++) {
        for (size_t k = 0; is_tried(&forms[f], shape) && k < 4; k++) {
            random_rows(qkv, T * width);
            for (size_t t = 0; t < T; t++) {
                qkv[t * width] = 1; /* the first head's; its KV head is shared by seven */
            }
            qkv[where[k % 2] * width + s->n_heads * d] = k < 2 ? NAN : INFINITY;
            attend(got, device, qkv, s, T, 1, forms[f].kind, forms[f].local, false);
            for (size_t t = 0; t < T; t++) {
                assert_true(isnan(got[t * s->n_heads * d]) == (t >= where[k % 2]));
                assert_true(isfinite(got[(t * s->n_heads + 7) * d])); /* of the other KV head */
            }
        }
    }
}

static void no_number_stays_hidden(void **state)
{
    (void)state;
    hide_a_number(0);
    hide_a_number(5);
}

/* One score of one head rises, at every head and at other places of the second chunk. */
static void one_score_rises(void **state)
{
    (void)state;
    const size_t shapes[] = {3, 5, 6, 7};
    for (size_t k = 0; k < 4; k++) {
        const attention_shape *s = &attention_shapes[shapes[k]];
        const size_t d = s->head_size, width = attention_width(s);
        for (size_t hot = 0; hot < s->n_heads; hot++) {
            set_scores(s, climbing);
            for (size_t t = 0; t < T; t++) {
                for (size_t h = 0; h < s->n_heads; h++) {
                    qkv[t * width + h * d] = h == hot;
                }
                for (size_t h = 0; h < s->n_kv_heads; h++) {
                    qkv[t * width + (s->n_heads + h) * d] = t == 256 + hot * 37 % 256 ? 200 : (float)(t * 7 % 5);
                }
            }
            for (size_t f = 0; f < FORMS; f++) {
                if (forms[f].local == 1 && forms[f].kind != FORM_BF16 && is_tried(&forms[f], shapes[k])) {
                    attend(got, device, qkv, s, T, 1, forms[f].kind, 1, false);
                    check_rows(s, 1, &forms[f], 4e-6);
                }
            }
        }
    }
}

int main(void)
{
    if (sc_device_open(&device, NULL, &error) != SEMCAL_OK) {
        print_message("skipped: %s\n", error.message);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_scores_in_fp32),  cmocka_unit_test(peaks_move),
        cmocka_unit_test(one_score_rises),        cmocka_unit_test(whole_chunks_give_the_same_bits),
        cmocka_unit_test(no_number_stays_hidden),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sc_device_close(device);
    return failed;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Made-up records for tests of the store: a function of the question's index alone. */
#ifndef SEMCAL_TESTS_STORE_RECORDS_H
#define SEMCAL_TESTS_STORE_RECORDS_H

#include "base/memory.h"
#include "base/random.h"
#include "check.h"
#include "experiment/store.h"

static inline char *test_text(const char *format, ...) SC_PRINTF(1, 2);

static inline char *test_text(const char *format, ...)
{
    char text[128];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return sc_memory_strdup(text, NULL);
}

#define TEST_ARRAY(n, type) ((type *)sc_memory_alloc((n), sizeof(type), NULL))

static inline void test_tree(sc_tree *tree, unsigned index, size_t n_draws, size_t n_top, sc_random_stream *random)
{
    size_t n = 1 + sc_random_below(random, 40);
    *tree = (sc_tree){.n_nodes = n, .n_top = n_top, .n_draws = n_draws, .n_laws = n + index};
    tree->parent = TEST_ARRAY(n, int32_t);
    tree->token = TEST_ARRAY(n, int32_t);
    tree->count = TEST_ARRAY(n, int32_t);
    tree->logprob = TEST_ARRAY(n, double);
    tree->logprob_raw = TEST_ARRAY(n, double);
    tree->entropy = TEST_ARRAY(n, double);
    tree->log_normalizer = TEST_ARRAY(n, double);
    tree->rest_mass = TEST_ARRAY(n, double);
    tree->top_token = TEST_ARRAY(n * n_top, int32_t);
    tree->top_logprob = TEST_ARRAY(n * n_top, double);
    for (size_t i = 0; i < n; i++) {
        bool goes_on = i % 3 != 2;
        tree->parent[i] = i == 0 ? -1 : (int32_t)sc_random_below(random, (uint32_t)i);
        tree->token[i] = i == 0 ? -1 : (int32_t)sc_random_below(random, 50000);
        tree->count[i] = (int32_t)sc_random_below(random, 50);
        tree->logprob[i] = i == 0 ? 0 : -5 * sc_random_unit(random);
        tree->logprob_raw[i] = 2 * tree->logprob[i];
        tree->entropy[i] = goes_on ? sc_random_unit(random) : (double)NAN;
        tree->log_normalizer[i] = goes_on ? sc_random_unit(random) : (double)NAN;
        tree->rest_mass[i] = goes_on ? sc_random_unit(random) : (double)NAN;
        for (size_t k = 0; k < n_top; k++) {
            tree->top_token[i * n_top + k] = goes_on ? (int32_t)sc_random_below(random, 50000) : -1;
            tree->top_logprob[i * n_top + k] = goes_on ? -sc_random_unit(random) : (double)NAN;
        }
    }
    tree->leaf = TEST_ARRAY(n_draws, int32_t);
    tree->n_tokens = TEST_ARRAY(n_draws, int32_t);
    tree->draw_logprob = TEST_ARRAY(n_draws, double);
    tree->draw_logprob_raw = TEST_ARRAY(n_draws, double);
    tree->finish = TEST_ARRAY(n_draws, uint8_t);
    tree->text = TEST_ARRAY(n_draws, char *);
    tree->text_length = TEST_ARRAY(n_draws, size_t);
    for (size_t j = 0; j < n_draws; j++) {
        tree->leaf[j] = (int32_t)sc_random_below(random, (uint32_t)n);
        tree->n_tokens[j] = (int32_t)sc_random_below(random, 9);
        tree->draw_logprob[j] = -9 * sc_random_unit(random);
        tree->draw_logprob_raw[j] = 2 * tree->draw_logprob[j];
        tree->finish[j] = (uint8_t)sc_random_below(random, 3);
        tree->text[j] =
            j % 4 == 3 ? test_text("%s", "") : test_text("caf\xc3\xa9 %u", (unsigned)sc_random_below(random, 100));
        tree->text_length[j] = strlen(tree->text[j]);
        tree->n_draw_tokens += (uint64_t)tree->n_tokens[j];
    }
    tree->logprob_reference = index % 5 == 4 ? (double)NAN : -3 * sc_random_unit(random);
}

/* `variant` changes numbers that scheduling decides, nothing else. */
static inline sc_store_record test_record(unsigned index, size_t n_draws, size_t n_top, bool enumerated,
                                          unsigned variant)
{
    sc_store_record r = SC_STORE_RECORD_INIT;
    sc_random_stream random;
    sc_random_stream_init(&random, 77, index);
    r.index = index;
    r.id = test_text("q%u", index);
    r.question = test_text("What is %u?\nSecond line", index);
    r.prompt = test_text("Q: What is %u?\nA:", index);
    r.n_prompt_tokens = (int32_t)(5 + index % 3);
    r.n_answers = index % 3;
    r.answers = TEST_ARRAY(r.n_answers, char *);
    for (size_t i = 0; i < r.n_answers; i++) {
        r.answers[i] = test_text("answer %u", (unsigned)(index + i));
    }
    r.n_law = index % 4 == 1 ? 2 : 0;
    r.law_label = TEST_ARRAY(r.n_law, char *);
    r.law_probability = TEST_ARRAY(r.n_law, double);
    for (size_t i = 0; i < r.n_law; i++) {
        r.law_label[i] = test_text("label %u", (unsigned)i);
        r.law_probability[i] = .25 + .5 * (double)i;
    }
    r.reference = index % 5 == 4 ? NULL : test_text("ref %u", index);
    test_tree(&r.tree, index, n_draws, n_top, &random);
    if (enumerated) {
        r.n_found = 1 + index % 3;
        r.found_leaf = TEST_ARRAY(r.n_found, int32_t);
        r.found_logprob = TEST_ARRAY(r.n_found, double);
        r.found_logprob_raw = TEST_ARRAY(r.n_found, double);
        r.found_finish = TEST_ARRAY(r.n_found, uint8_t);
        r.found_tail = TEST_ARRAY(r.n_found, uint8_t);
        r.found_text = TEST_ARRAY(r.n_found, char *);
        for (size_t i = 0; i < r.n_found; i++) {
            r.found_leaf[i] = (int32_t)sc_random_below(&random, (uint32_t)r.tree.n_nodes);
            r.found_logprob[i] = -(double)i - sc_random_unit(&random);
            r.found_logprob_raw[i] = 2 * r.found_logprob[i];
            r.found_finish[i] = 1;
            r.found_tail[i] = i % 3 == 2;
            r.found_text[i] = test_text("found %u", (unsigned)i);
        }
        r.unexplored_mass = sc_random_unit(&random);
    }
    r.n_forward_tokens = 100 + variant;
    r.tree.n_laws += variant;
    return r;
}

#endif

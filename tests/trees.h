/* SPDX-License-Identifier: Apache-2.0 */
/* Two prefix trees hold the same draws, bit by bit. */
#ifndef SEMCAL_TESTS_TREES_H
#define SEMCAL_TESTS_TREES_H

#include "check.h"
#include "sampling/generate.h"

#define check_array(a, b, n) assert_memory_equal(a, b, (n) * sizeof *(a))

static inline void check_same_tree(const sc_tree *a, const sc_tree *b)
{
    assert_int_equal(a->n_nodes, b->n_nodes);
    assert_int_equal(a->n_draws, b->n_draws);
    check_array(a->parent, b->parent, a->n_nodes);
    check_array(a->token, b->token, a->n_nodes);
    check_array(a->count, b->count, a->n_nodes);
    check_array(a->logprob, b->logprob, a->n_nodes);
    check_array(a->logprob_raw, b->logprob_raw, a->n_nodes);
    check_array(a->entropy, b->entropy, a->n_nodes);
    check_array(a->log_normalizer, b->log_normalizer, a->n_nodes);
    check_array(a->rest_mass, b->rest_mass, a->n_nodes);
    check_array(a->top_token, b->top_token, a->n_nodes * a->n_top);
    check_array(a->top_logprob, b->top_logprob, a->n_nodes * a->n_top);
    check_array(a->leaf, b->leaf, a->n_draws);
    check_array(a->n_tokens, b->n_tokens, a->n_draws);
    check_array(a->draw_logprob, b->draw_logprob, a->n_draws);
    check_array(a->draw_logprob_raw, b->draw_logprob_raw, a->n_draws);
    check_array(a->finish, b->finish, a->n_draws);
    for (size_t j = 0; j < a->n_draws; j++) {
        assert_true((a->text[j] == NULL) == (b->text[j] == NULL));
        if (a->text[j] != NULL) { /* a source without a tokenizer has none */
            assert_string_equal(a->text[j], b->text[j]);
        }
    }
    assert_memory_equal(&a->logprob_reference, &b->logprob_reference, sizeof(double));
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Questions taken in, and handed over as trees with their texts. */
#include "sampling/generate_internal.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void sc_generate_active_free(sc_generate_active *question)
{
    if (question != NULL) {
        sc_tree_raw_free(&question->raw);
        free(question->order);
        free(question->leaf);
        free(question->finish);
        free(question);
    }
}

semcal_status sc_generate_push(sc_generator *g, const sc_generate_entry *fresh, semcal_error *error)
{
    semcal_status status =
        sc_memory_grow(&g->frontier, &g->frontier_capacity, g->n_frontier + 1, sizeof *g->frontier, error);
    if (status == SEMCAL_OK) {
        g->frontier[g->n_frontier++] = *fresh;
        fresh->question->n_open++;
    }
    return status;
}

static semcal_status push_root(sc_generator *g, sc_generate_active *question, size_t begin, size_t end,
                               bool on_reference, semcal_error *error)
{
    sc_generate_entry root = {
        .question = question, .node = -1, .begin = begin, .end = end, .on_reference = on_reference};
    const sc_generate_question *q = &question->question;
    for (size_t i = 0; i < q->n_given; i++) {
        (void)sc_ending_extend(&root.tail, &g->options->ending, g->source, 0, q->prompt[q->n_prompt - q->n_given + i]);
    }
    semcal_status status = sc_tree_raw_add(&question->raw, &root.raw, -1, -1, 0, 0, error);
    return status == SEMCAL_OK ? sc_generate_push(g, &root, error) : status;
}

static semcal_status admit(sc_generator *g, const sc_generate_question *question, semcal_error *error)
{
    size_t n_draws = g->options->n_draws;
    bool has_reference = question->n_reference > 0;
    sc_generate_active *fresh = sc_memory_alloc(1, sizeof *fresh, error);
    if (fresh == NULL) {
        return SEMCAL_E_MEMORY;
    }
    fresh->question = *question;
    fresh->raw.n_top = g->options->n_top;
    fresh->raw.spill = g->options->spill;
    fresh->logprob_reference = has_reference ? 0 : NAN;
    fresh->order = sc_memory_alloc(n_draws, sizeof *fresh->order, error);
    fresh->leaf = sc_memory_alloc(n_draws, sizeof *fresh->leaf, error);
    fresh->finish = sc_memory_alloc(n_draws, sizeof *fresh->finish, error);
    semcal_status status =
        sc_memory_grow(&g->actives, &g->actives_capacity, g->n_actives + 1, sizeof *g->actives, error);
    if (fresh->order == NULL || fresh->leaf == NULL || fresh->finish == NULL || status != SEMCAL_OK) {
        sc_generate_active_free(fresh);
        return SEMCAL_E_MEMORY;
    }
    for (size_t j = 0; j < n_draws; j++) {
        fresh->order[j] = (int32_t)j;
    }
    g->actives[g->n_actives++] = fresh;
    if (!g->options->chain) {
        return push_root(g, fresh, 0, n_draws, has_reference, error);
    }
    for (size_t j = 0; j < n_draws && status == SEMCAL_OK; j++) {
        status = push_root(g, fresh, j, j + 1, false, error);
    }
    if (has_reference && status == SEMCAL_OK) {
        status = push_root(g, fresh, 0, 0, true, error);
    }
    return status;
}

/* Takes new questions while there is room for all their draws to part. */
semcal_status sc_generate_admit_more(sc_generator *g, semcal_error *error)
{
    size_t per_question = (size_t)g->options->n_draws + 1;
    while (!g->no_more) {
        bool room = g->n_frontier < g->batch_nodes &&
                    (g->live_nodes == 0 || (g->n_actives + 1) * per_question <= g->live_nodes);
        if (g->n_actives > 0 && !room) {
            break;
        }
        sc_generate_question question = {0};
        bool more = true;
        semcal_status status = g->callbacks->next(&question, &more, g->payload, error);
        if (status != SEMCAL_OK) {
            return status;
        }
        if (!more) {
            g->no_more = true;
            break;
        }
        status = admit(g, &question, error);
        if (status != SEMCAL_OK) {
            return status;
        }
    }
    return SEMCAL_OK;
}

/* Draws that ended at one leaf have one text. */
static semcal_status copy_text(sc_tree *tree, size_t to, size_t from, semcal_error *error)
{
    const size_t n = tree->text_length[from];
    tree->text[to] = sc_memory_alloc(n + 1, 1, error);
    if (tree->text[to] == NULL) {
        return SEMCAL_E_MEMORY;
    }
    memcpy(tree->text[to], tree->text[from], n); /* zeroed: it ends in NUL */
    tree->text_length[to] = n;
    return SEMCAL_OK;
}

static semcal_status fill_texts(const sc_generator *g, const sc_generate_active *question, sc_tree *tree,
                                semcal_error *error)
{
    const sc_generate_question *q = &question->question;
    int32_t *ids = sc_memory_alloc(q->n_given + g->options->ending.max_tokens, sizeof *ids, error);
    size_t *first = sc_memory_alloc(tree->n_nodes, sizeof *first, error); /* draw of a leaf, from 1 */
    semcal_status status = ids == NULL || first == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK && q->n_given > 0) {
        memcpy(ids, q->prompt + q->n_prompt - q->n_given, q->n_given * sizeof *ids);
    }
    const sc_phase before = sc_phases_enter(g->source->phases, SC_PHASE_TEXT);
    for (size_t j = 0; j < tree->n_draws && status == SEMCAL_OK; j++) {
        size_t n = q->n_given + (size_t)tree->n_tokens[j];
        int32_t at = tree->leaf[j];
        size_t *known = &first[at];
        if (*known > 0) {
            tree->finish[j] = question->finish[j];
            status = copy_text(tree, j, *known - 1, error);
            continue;
        }
        *known = j + 1;
        for (size_t i = n; i-- > q->n_given; at = tree->parent[at]) {
            ids[i] = tree->token[at];
        }
        tree->finish[j] = question->finish[j];
        status = sc_ending_text(&tree->text[j], &tree->text_length[j], &g->options->ending, g->source, ids, n,
                                tree->finish[j], error);
    }
    (void)sc_phases_enter(g->source->phases, before);
    free(first);
    free(ids);
    return status;
}

semcal_status sc_generate_finish(sc_generator *g, sc_generate_active *question, semcal_error *error)
{
    sc_tree tree;
    semcal_status status = sc_tree_build(&tree, &question->raw, question->leaf, g->options->n_draws, error);
    if (status == SEMCAL_OK) {
        tree.logprob_reference = question->logprob_reference;
        tree.n_laws = question->n_laws;
        status = fill_texts(g, question, &tree, error);
        if (status == SEMCAL_OK) {
            g->counters.n_questions++;
            g->counters.n_draws += tree.n_draws;
            status = g->callbacks->finished(&question->question, &tree, g->payload, error);
        } else {
            sc_tree_free(&tree);
        }
    }
    for (size_t i = 0; i < g->n_actives; i++) {
        if (g->actives[i] == question) {
            g->actives[i] = g->actives[--g->n_actives];
            break;
        }
    }
    sc_generate_active_free(question);
    return status;
}

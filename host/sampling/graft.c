/* SPDX-License-Identifier: Apache-2.0 */
#include "sampling/graft.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct grafter {
    sc_tree *tree;
    size_t capacity;
    int32_t *first_child, *next_sibling; /* [capacity] */
    size_t child_capacity, sibling_capacity;
} grafter;

/* The law after a prefix, however it became known; top has room for the tree's n_top. */
typedef struct law {
    double entropy, log_normalizer;
    const int32_t *top_token;
    const double *top_logprob;
    int64_t logits; /* row of the spill, -1: none */
} law;

static void grafter_free(grafter *g)
{
    free(g->first_child);
    free(g->next_sibling);
}

static void link_node(grafter *g, size_t i)
{
    int32_t parent = g->tree->parent[i];
    g->first_child[i] = -1;
    g->next_sibling[i] = -1;
    if (parent >= 0) {
        g->next_sibling[i] = g->first_child[parent];
        g->first_child[parent] = (int32_t)i;
    }
}

static semcal_status make_room(grafter *g, size_t need, semcal_error *error)
{
    semcal_status status = sc_memory_grow(&g->first_child, &g->child_capacity, need, sizeof *g->first_child, error);
    status |= sc_memory_grow(&g->next_sibling, &g->sibling_capacity, need, sizeof *g->next_sibling, error);
    if (status != SEMCAL_OK || need <= g->capacity) {
        return status == SEMCAL_OK ? SEMCAL_OK : SEMCAL_E_MEMORY;
    }
    sc_tree *t = g->tree;
    size_t before = g->capacity, capacity = before, n_top = t->n_top;
#define GROW(array, size)                                                                                              \
    capacity = before * (size);                                                                                        \
    status |= sc_memory_grow(&t->array, &capacity, (need + need / 2) * (size), sizeof *t->array, error)
    GROW(parent, 1);
    GROW(token, 1);
    GROW(count, 1);
    GROW(logprob, 1);
    GROW(logprob_raw, 1);
    GROW(entropy, 1);
    GROW(log_normalizer, 1);
    GROW(rest_mass, 1);
    if (t->spill != NULL) {
        GROW(logits, 1);
    }
    GROW(top_token, n_top);
    GROW(top_logprob, n_top);
#undef GROW
    if (status != SEMCAL_OK) {
        return SEMCAL_E_MEMORY;
    }
    g->capacity = need + need / 2;
    return SEMCAL_OK;
}

static semcal_status grafter_init(grafter *g, sc_tree *tree, semcal_error *error)
{
    *g = (grafter){.tree = tree, .capacity = tree->n_nodes};
    semcal_status status = make_room(g, tree->n_nodes, error);
    for (size_t i = 0; i < tree->n_nodes && status == SEMCAL_OK; i++) {
        link_node(g, i);
    }
    return status;
}

/* Moves *at to its child by `token`, which is made when it is not there. */
static semcal_status step(grafter *g, int32_t *at, int32_t token, double logprob, double logprob_raw,
                          semcal_error *error)
{
    sc_tree *t = g->tree;
    for (int32_t child = g->first_child[*at]; child >= 0; child = g->next_sibling[child]) {
        if (t->token[child] == token) {
            *at = child;
            return SEMCAL_OK;
        }
    }
    size_t i = t->n_nodes;
    semcal_status status = make_room(g, i + 1, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    t->parent[i] = *at;
    t->token[i] = token;
    t->count[i] = 0;
    t->logprob[i] = logprob;
    t->logprob_raw[i] = logprob_raw;
    t->entropy[i] = t->log_normalizer[i] = t->rest_mass[i] = NAN;
    if (t->spill != NULL) {
        t->logits[i] = -1;
    }
    for (size_t k = 0; k < t->n_top; k++) {
        t->top_token[i * t->n_top + k] = -1;
        t->top_logprob[i * t->n_top + k] = NAN;
    }
    t->n_nodes++;
    link_node(g, i);
    *at = (int32_t)i;
    return SEMCAL_OK;
}

static void set_law(grafter *g, int32_t at, const law *from)
{
    sc_tree *t = g->tree;
    if (!isnan(t->entropy[at])) {
        return;
    }
    double found = 0;
    t->entropy[at] = from->entropy;
    t->log_normalizer[at] = from->log_normalizer;
    for (size_t k = 0; k < t->n_top; k++) {
        t->top_token[(size_t)at * t->n_top + k] = from->top_token[k];
        t->top_logprob[(size_t)at * t->n_top + k] = from->top_logprob[k];
        found += exp(from->top_logprob[k]);
    }
    t->rest_mass[at] = found < 1 ? 1 - found : 0;
    if (t->spill != NULL) {
        t->logits[at] = from->logits;
        sc_spill_hold(t->spill, from->logits);
    }
}

static void need_path(bool *needed, const sc_enumeration *e, int64_t at)
{
    for (; at >= 0 && !needed[at]; at = e->prefixes[at].parent) {
        needed[at] = true;
    }
}

/* node[i] of every needed prefix i; parents come first. */
static semcal_status graft_prefixes(grafter *g, int32_t *node, const bool *needed, const sc_enumeration *e,
                                    semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < e->n_prefixes && status == SEMCAL_OK; i++) {
        const sc_enumerated_prefix *p = &e->prefixes[i];
        node[i] = p->parent < 0 ? 0 : node[p->parent];
        if (!needed[i]) {
            continue;
        }
        if (p->parent >= 0) {
            const sc_enumerated_prefix *q = &e->prefixes[p->parent];
            status = step(g, &node[i], p->token, p->logprob - q->logprob, p->logprob_raw - q->logprob_raw, error);
        }
        if (status == SEMCAL_OK && p->law >= 0) {
            size_t row = (size_t)p->law * e->keep_top;
            const law from = {e->entropy[p->law], e->log_normalizer[p->law], e->top_token + row, e->top_logprob + row,
                              e->logits != NULL ? e->logits[p->law] : -1};
            set_law(g, node[i], &from);
        }
    }
    return status;
}

/* Room shared by both: a grafter, the prefixes that are needed and their nodes. */
static semcal_status prepare(grafter *g, bool **needed, int32_t **node, sc_tree *tree, const sc_enumeration *e,
                             semcal_error *error)
{
    *g = (grafter){.tree = tree};
    *needed = NULL;
    *node = NULL;
    if (e->keep_top < tree->n_top) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "the enumeration keeps the top %zu of each law, the tree %zu",
                            e->keep_top, tree->n_top);
    }
    *needed = sc_memory_alloc(e->n_prefixes, sizeof **needed, error);
    *node = sc_memory_alloc(e->n_prefixes, sizeof **node, error);
    return *needed == NULL || *node == NULL ? SEMCAL_E_MEMORY : grafter_init(g, tree, error);
}

semcal_status sc_graft_enumeration(sc_tree *tree, int32_t *leaf, const sc_enumeration *e, semcal_error *error)
{
    grafter g;
    bool *needed;
    int32_t *node;
    semcal_status status = prepare(&g, &needed, &node, tree, e, error);
    for (size_t i = 0; i < e->n_responses && status == SEMCAL_OK; i++) {
        need_path(needed, e, e->responses[i].parent);
    }
    if (status == SEMCAL_OK) {
        status = graft_prefixes(&g, node, needed, e, error);
    }
    for (size_t i = 0; i < e->n_responses && status == SEMCAL_OK; i++) {
        const sc_enumerated *r = &e->responses[i];
        const sc_enumerated_prefix *p = &e->prefixes[r->parent];
        leaf[i] = node[r->parent];
        status = step(&g, &leaf[i], r->tokens[r->n_tokens - 1], r->logprob - p->logprob,
                      r->logprob_raw - p->logprob_raw, error);
    }
    grafter_free(&g);
    free(needed);
    free(node);
    return status;
}

/* Walks the path of one tail draw from the node of its prefix. */
static semcal_status graft_draw(grafter *g, int32_t *at, const sc_tail_draw *draw, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    if (draw->rest_token >= 0) {
        status = step(g, at, draw->rest_token, draw->rest_logprob, draw->rest_logprob_raw, error);
    }
    const sc_tree *path = &draw->tree;
    for (size_t i = 0; i < path->n_nodes && status == SEMCAL_OK; i++) {
        if (i > 0) {
            status = step(g, at, path->token[i], path->logprob[i], path->logprob_raw[i], error);
        }
        if (status == SEMCAL_OK && !isnan(path->entropy[i])) {
            const law from = {path->entropy[i], path->log_normalizer[i], path->top_token + i * path->n_top,
                              path->top_logprob + i * path->n_top, path->logits != NULL ? path->logits[i] : -1};
            set_law(g, *at, &from);
        }
    }
    return status;
}

semcal_status sc_graft_tail(sc_tree *tree, int32_t *leaf, const sc_enumeration *e, const sc_tail *tail,
                            semcal_error *error)
{
    grafter g;
    bool *needed;
    int32_t *node;
    semcal_status status = prepare(&g, &needed, &node, tree, e, error);
    for (size_t i = 0; i < tail->n_draws && status == SEMCAL_OK; i++) {
        need_path(needed, e, tail->draws[i].prefix);
        if (tail->draws[i].tree.n_nodes > 0 && tail->draws[i].tree.n_top != tree->n_top) {
            status = sc_error_set(error, SEMCAL_E_CONFIG, "the tail keeps the top %zu of each law, the tree %zu",
                                  tail->draws[i].tree.n_top, tree->n_top);
        }
    }
    if (status == SEMCAL_OK) {
        status = graft_prefixes(&g, node, needed, e, error);
    }
    for (size_t i = 0; i < tail->n_draws && status == SEMCAL_OK; i++) {
        leaf[i] = node[tail->draws[i].prefix];
        status = graft_draw(&g, &leaf[i], &tail->draws[i], error);
    }
    grafter_free(&g);
    free(needed);
    free(node);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "sampling/tree.h"

#include "base/memory.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void sc_tree_free(sc_tree *tree)
{
    free(tree->parent);
    free(tree->token);
    free(tree->count);
    free(tree->logprob);
    free(tree->logprob_raw);
    free(tree->entropy);
    free(tree->log_normalizer);
    free(tree->rest_mass);
    free(tree->top_token);
    free(tree->top_logprob);
    for (size_t i = 0; tree->logits != NULL && i < tree->n_nodes; i++) {
        sc_spill_drop(tree->spill, tree->logits[i]);
    }
    free(tree->logits);
    free(tree->leaf);
    free(tree->n_tokens);
    free(tree->draw_logprob);
    free(tree->draw_logprob_raw);
    free(tree->finish);
    for (size_t j = 0; tree->text != NULL && j < tree->n_draws; j++) {
        free(tree->text[j]);
    }
    free(tree->text);
    free(tree->text_length);
    *tree = (sc_tree){0};
}

void sc_tree_raw_free(sc_tree_raw *raw)
{
    for (size_t i = 0; raw->spill != NULL && i < raw->n; i++) {
        sc_spill_drop(raw->spill, raw->nodes[i].logits);
    }
    free(raw->nodes);
    free(raw->top_token);
    free(raw->top_logprob);
    *raw = (sc_tree_raw){0};
}

semcal_status sc_tree_raw_add(sc_tree_raw *raw, int32_t *index, int32_t parent, int32_t token, double logprob,
                              double logprob_raw, semcal_error *error)
{
    if (raw->n >= INT32_MAX) {
        return sc_error_set(error, SEMCAL_E_MEMORY, "more than 2^31 prefixes in one question");
    }
    semcal_status status = sc_memory_grow(&raw->nodes, &raw->capacity, raw->n + 1, sizeof *raw->nodes, error);
    if (status == SEMCAL_OK) {
        *index = (int32_t)raw->n;
        raw->nodes[raw->n++] = (struct sc_tree_raw_node){.parent = parent,
                                                         .token = token,
                                                         .logprob = logprob,
                                                         .logprob_raw = logprob_raw,
                                                         .entropy = NAN,
                                                         .log_normalizer = NAN,
                                                         .top = -1,
                                                         .logits = -1};
    }
    return status;
}

semcal_status sc_tree_raw_set_law(sc_tree_raw *raw, int32_t index, double entropy, double log_normalizer,
                                  const int32_t *top_token, const double *top_logprob, int64_t logits,
                                  semcal_error *error)
{
    raw->nodes[index].logits = logits;
    size_t n = raw->n_top, room = raw->tops_capacity;
    semcal_status status = sc_memory_grow(&raw->top_token, &room, (raw->n_tops + 1) * n, sizeof *raw->top_token, error);
    if (status == SEMCAL_OK) {
        status = sc_memory_grow(&raw->top_logprob, &raw->tops_capacity, (raw->n_tops + 1) * n, sizeof *raw->top_logprob,
                                error);
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    if (n > 0) {
        memcpy(raw->top_token + raw->n_tops * n, top_token, n * sizeof *top_token);
        memcpy(raw->top_logprob + raw->n_tops * n, top_logprob, n * sizeof *top_logprob);
    }
    raw->nodes[index].entropy = entropy;
    raw->nodes[index].log_normalizer = log_normalizer;
    raw->nodes[index].top = (int64_t)raw->n_tops++;
    return SEMCAL_OK;
}

static bool same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

/* A node of the canonical tree under construction. */
typedef struct place {
    int32_t raw, first_child, next_sibling;
} place;

typedef struct builder {
    const sc_tree_raw *raw;
    place *places;
    int32_t *parent, *count;
    size_t n, n_places, n_parents, n_counts;
    uint64_t n_mismatches;
} builder;

static semcal_status add_place(builder *b, int32_t raw, int32_t parent, semcal_error *error)
{
    semcal_status status = sc_memory_grow(&b->places, &b->n_places, b->n + 1, sizeof *b->places, error);
    if (status == SEMCAL_OK) {
        status = sc_memory_grow(&b->parent, &b->n_parents, b->n + 1, sizeof *b->parent, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_memory_grow(&b->count, &b->n_counts, b->n + 1, sizeof *b->count, error);
    }
    if (status == SEMCAL_OK) {
        b->places[b->n] = (place){raw, -1, parent >= 0 ? b->places[parent].first_child : -1};
        b->parent[b->n] = parent;
        b->count[b->n] = 0;
        if (parent >= 0) {
            b->places[parent].first_child = (int32_t)b->n;
        }
        b->n++;
    }
    return status;
}

/* Equal prefixes must have equal numbers; keeps the one that carries a law. */
static void merge_place(builder *b, int32_t at, int32_t raw)
{
    const struct sc_tree_raw_node *kept = &b->raw->nodes[b->places[at].raw], *other = &b->raw->nodes[raw];
    bool same = same_bits(kept->logprob, other->logprob) && same_bits(kept->logprob_raw, other->logprob_raw);
    if (kept->top >= 0 && other->top >= 0) {
        same =
            same && same_bits(kept->entropy, other->entropy) && same_bits(kept->log_normalizer, other->log_normalizer);
    } else if (kept->top < 0 && other->top >= 0) {
        b->places[at].raw = raw;
    }
    b->n_mismatches += !same;
}

/* Walks one draw's path from the root, adding what is new; *leaf receives the last place. */
static semcal_status add_draw(builder *b, int32_t *leaf, const int32_t *path, size_t n_path, semcal_error *error)
{
    int32_t at = 0;
    b->count[0]++;
    if (b->places[0].raw != path[n_path - 1]) {
        merge_place(b, 0, path[n_path - 1]);
    }
    for (size_t i = n_path - 1; i-- > 0;) {
        int32_t token = b->raw->nodes[path[i]].token, child = b->places[at].first_child;
        while (child >= 0 && b->raw->nodes[b->places[child].raw].token != token) {
            child = b->places[child].next_sibling;
        }
        if (child < 0) {
            child = (int32_t)b->n;
            semcal_status status = add_place(b, path[i], at, error);
            if (status != SEMCAL_OK) {
                return status;
            }
        } else if (b->places[child].raw != path[i]) {
            merge_place(b, child, path[i]);
        }
        at = child;
        b->count[at]++;
    }
    *leaf = at;
    return SEMCAL_OK;
}

static semcal_status allocate(sc_tree *tree, size_t n, size_t n_top, size_t n_draws, bool with_logits,
                              semcal_error *error)
{
    *tree = (sc_tree){.n_nodes = n, .n_top = n_top, .n_draws = n_draws, .logprob_reference = NAN};
    tree->token = sc_memory_alloc(n, sizeof *tree->token, error);
    tree->logprob = sc_memory_alloc(n, sizeof *tree->logprob, error);
    tree->logprob_raw = sc_memory_alloc(n, sizeof *tree->logprob_raw, error);
    tree->entropy = sc_memory_alloc(n, sizeof *tree->entropy, error);
    tree->log_normalizer = sc_memory_alloc(n, sizeof *tree->log_normalizer, error);
    tree->rest_mass = sc_memory_alloc(n, sizeof *tree->rest_mass, error);
    tree->top_token = sc_memory_alloc(n * n_top, sizeof *tree->top_token, error);
    tree->top_logprob = sc_memory_alloc(n * n_top, sizeof *tree->top_logprob, error);
    tree->logits = with_logits ? sc_memory_alloc(n, sizeof *tree->logits, error) : NULL;
    for (size_t i = 0; tree->logits != NULL && i < n; i++) {
        tree->logits[i] = -1;
    }
    tree->leaf = sc_memory_alloc(n_draws, sizeof *tree->leaf, error);
    tree->n_tokens = sc_memory_alloc(n_draws, sizeof *tree->n_tokens, error);
    tree->draw_logprob = sc_memory_alloc(n_draws, sizeof *tree->draw_logprob, error);
    tree->draw_logprob_raw = sc_memory_alloc(n_draws, sizeof *tree->draw_logprob_raw, error);
    tree->finish = sc_memory_alloc(n_draws, sizeof *tree->finish, error);
    tree->text = sc_memory_alloc(n_draws, sizeof *tree->text, error);
    tree->text_length = sc_memory_alloc(n_draws, sizeof *tree->text_length, error);
    bool complete = tree->token && tree->logprob && tree->logprob_raw && tree->entropy && tree->log_normalizer &&
                    tree->rest_mass && tree->top_token && tree->top_logprob && tree->leaf && tree->n_tokens &&
                    tree->draw_logprob && tree->draw_logprob_raw && tree->finish && tree->text && tree->text_length &&
                    (!with_logits || tree->logits);
    return complete ? SEMCAL_OK : SEMCAL_E_MEMORY;
}

static void fill_node(sc_tree *tree, size_t i, const sc_tree_raw *raw, int32_t from)
{
    const struct sc_tree_raw_node *node = &raw->nodes[from];
    tree->token[i] = node->token;
    tree->logprob[i] = node->logprob;
    tree->logprob_raw[i] = node->logprob_raw;
    tree->entropy[i] = node->entropy;
    tree->log_normalizer[i] = node->log_normalizer;
    tree->rest_mass[i] = NAN;
    double found = 0;
    for (size_t k = 0; k < raw->n_top; k++) {
        size_t to = i * raw->n_top + k;
        tree->top_token[to] = node->top < 0 ? -1 : raw->top_token[(size_t)node->top * raw->n_top + k];
        tree->top_logprob[to] = node->top < 0 ? NAN : raw->top_logprob[(size_t)node->top * raw->n_top + k];
        found += node->top < 0 ? 0 : exp(tree->top_logprob[to]);
    }
    if (node->top >= 0) {
        tree->rest_mass[i] = found < 1 ? 1 - found : 0;
    }
    if (raw->spill != NULL) {
        tree->logits[i] = node->logits;
        sc_spill_hold(raw->spill, node->logits);
    }
}

/* Log-probabilities of a draw: those of its own raw nodes, in order from the first token. */
static void fill_draw(sc_tree *tree, size_t j, const sc_tree_raw *raw, const int32_t *path, size_t n_path)
{
    tree->n_tokens[j] = (int32_t)n_path - 1;
    double sum = 0, sum_raw = 0;
    for (size_t i = n_path - 1; i-- > 0;) {
        sum += raw->nodes[path[i]].logprob;
        sum_raw += raw->nodes[path[i]].logprob_raw;
    }
    tree->draw_logprob[j] = sum;
    tree->draw_logprob_raw[j] = sum_raw;
    tree->n_draw_tokens += n_path - 1;
}

/* The raw nodes from `leaf` up to its root. */
static semcal_status path_of(int32_t **path, size_t *n_path, size_t *capacity, const sc_tree_raw *raw, int32_t leaf,
                             semcal_error *error)
{
    *n_path = 0;
    for (int32_t at = leaf; at >= 0; at = raw->nodes[at].parent) {
        semcal_status status = sc_memory_grow(path, capacity, *n_path + 1, sizeof **path, error);
        if (status != SEMCAL_OK) {
            return status;
        }
        (*path)[(*n_path)++] = at;
    }
    return SEMCAL_OK;
}

semcal_status sc_tree_build(sc_tree *tree, const sc_tree_raw *raw, const int32_t *leaf, size_t n_draws,
                            semcal_error *error)
{
    *tree = (sc_tree){0};
    builder b = {.raw = raw};
    int32_t *path = NULL, *leaves = sc_memory_alloc(n_draws, sizeof *leaves, error);
    size_t n_path = 0, capacity = 0;
    semcal_status status = leaves == NULL ? SEMCAL_E_MEMORY : add_place(&b, 0, -1, error);
    for (size_t j = 0; j < n_draws && status == SEMCAL_OK; j++) {
        status = path_of(&path, &n_path, &capacity, raw, leaf[j], error);
        if (status == SEMCAL_OK) {
            status = add_draw(&b, &leaves[j], path, n_path, error);
        }
    }
    if (status == SEMCAL_OK) {
        status = allocate(tree, b.n, raw->n_top, n_draws, raw->spill != NULL, error);
        tree->spill = raw->spill;
    }
    for (size_t i = 0; i < b.n && status == SEMCAL_OK; i++) {
        fill_node(tree, i, raw, b.places[i].raw);
    }
    for (size_t j = 0; j < n_draws && status == SEMCAL_OK; j++) {
        tree->leaf[j] = leaves[j];
        status = path_of(&path, &n_path, &capacity, raw, leaf[j], error);
        if (status == SEMCAL_OK) {
            fill_draw(tree, j, raw, path, n_path);
        }
    }
    if (status == SEMCAL_OK) {
        tree->parent = b.parent;
        tree->count = b.count;
        b.parent = NULL;
        b.count = NULL;
        tree->n_mismatches = b.n_mismatches;
    } else {
        sc_tree_free(tree);
    }
    free(path);
    free(leaves);
    free(b.places);
    free(b.parent);
    free(b.count);
    return status;
}

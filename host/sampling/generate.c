/* SPDX-License-Identifier: Apache-2.0 */
#include "sampling/generate_internal.h"

#include "base/memory.h"
#include "base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_BATCH = 1024 };

/* ---- one call to the source ---- */

/* Moves up to batch_nodes entries from the frontier to the batch: the newest first, so that questions finish before
 * others begin; those that live as paths only as far as there is room to open them. */
static semcal_status take_batch(sc_generator *g, semcal_error *error)
{
    semcal_status status = sc_memory_grow(&g->batch, &g->batch_capacity, g->batch_nodes, sizeof *g->batch, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    size_t room = g->live_nodes == 0 ? SIZE_MAX : g->live_nodes - g->n_live, kept = g->n_frontier;
    g->n_batch = 0;
    for (size_t i = g->n_frontier; i-- > 0;) {
        bool opened = g->frontier[i].node >= 0;
        if (g->n_batch < g->batch_nodes && (opened || room > 0)) {
            room -= !opened && room != SIZE_MAX;
            g->batch[g->n_batch++] = g->frontier[i];
        } else {
            g->frontier[--kept] = g->frontier[i];
        }
    }
    memmove(g->frontier, g->frontier + kept, (g->n_frontier - kept) * sizeof *g->frontier);
    g->n_frontier -= kept;
    return SEMCAL_OK;
}

/* Says whose law it was that could not be had. */
static void name_question(const sc_generate_entry *e, semcal_error *error)
{
    if (e->question->question.name != NULL) {
        sc_error_where(error, "question '%s': after %u tokens of a response", e->question->question.name,
                       (unsigned)e->question->question.n_given + e->depth);
    }
}

/* Gives handles to the entries of the batch that are paths only. */
static semcal_status open_paths(sc_generator *g, semcal_error *error)
{
    size_t n = 0, n_tokens = 0, capacity = 0;
    for (size_t i = 0; i < g->n_batch; i++) {
        if (g->batch[i].node < 0) {
            n++;
            n_tokens += g->batch[i].question->question.n_prompt + g->batch[i].depth;
            g->counters.n_reopened += g->batch[i].depth > 0;
        }
    }
    if (n == 0) {
        return SEMCAL_OK;
    }
    size_t *first = sc_memory_alloc(n + 1, sizeof *first, error);
    sc_node *roots = sc_memory_alloc(n, sizeof *roots, error);
    int32_t *tokens = NULL;
    semcal_status status = sc_memory_grow(&tokens, &capacity, n_tokens + 1, sizeof *tokens, error);
    if (first == NULL || roots == NULL || status != SEMCAL_OK) {
        status = SEMCAL_E_MEMORY;
        goto done;
    }
    size_t at = 0, used = 0;
    for (size_t i = 0; i < g->n_batch; i++) {
        const sc_generate_entry *e = &g->batch[i];
        if (e->node >= 0) {
            continue;
        }
        const sc_generate_question *q = &e->question->question;
        first[at++] = used;
        memcpy(tokens + used, q->prompt, q->n_prompt * sizeof *tokens);
        used += q->n_prompt + e->depth;
        int32_t raw = e->raw;
        for (size_t k = 0; k < e->depth; k++) {
            tokens[used - 1 - k] = e->question->raw.nodes[raw].token;
            raw = e->question->raw.nodes[raw].parent;
        }
    }
    first[at] = used;
    g->source->failed = SC_SOURCE_NONE;
    status = g->source->functions->open(g->source, roots, n, first, tokens, error);
    if (status != SEMCAL_OK) {
        at = 0;
        for (size_t i = 0; i < g->n_batch; i++) {
            if (g->batch[i].node < 0 && at++ == g->source->failed) {
                name_question(&g->batch[i], error);
            }
        }
        goto done;
    }
    g->n_live += n;
    at = 0;
    for (size_t i = 0; i < g->n_batch; i++) {
        if (g->batch[i].node < 0) {
            g->batch[i].node = roots[at++];
        }
    }
done:
    free(first);
    free(roots);
    free(tokens);
    return status;
}

static semcal_status make_request(sc_generator *g, sc_law_request *request, semcal_error *error)
{
    size_t n_draws = 0;
    for (size_t i = 0; i < g->n_batch; i++) {
        n_draws += g->batch[i].end - g->batch[i].begin;
    }
    semcal_status status = sc_memory_grow(&g->uniform, &g->uniform_capacity, n_draws, sizeof *g->uniform, error);
    status |= sc_memory_grow(&g->result.token, &g->token_capacity, n_draws, sizeof *g->result.token, error);
    status |= sc_memory_grow(&g->result.logprob, &g->logprob_capacity, n_draws, sizeof *g->result.logprob, error);
    status |= sc_memory_grow(&g->result.logprob_raw, &g->raw_capacity, n_draws, sizeof *g->result.logprob_raw, error);
    if (status != SEMCAL_OK) {
        return SEMCAL_E_MEMORY;
    }
    size_t at = 0;
    for (size_t i = 0; i < g->n_batch; i++) {
        const sc_generate_entry *e = &g->batch[i];
        g->nodes[i] = e->node;
        g->first_draw[i] = at;
        g->target[i] = e->on_reference ? e->question->question.reference[e->depth] : -1;
        for (size_t j = e->begin; j < e->end; j++) {
            g->uniform[at++] = sc_random_uniform(g->options->key, e->question->question.item,
                                                 (uint32_t)e->question->order[j], e->depth);
        }
    }
    g->first_draw[g->n_batch] = at;
    *request = (sc_law_request){.n_nodes = g->n_batch,
                                .node = g->nodes,
                                .first_draw = g->first_draw,
                                .uniform = g->uniform,
                                .target = g->target,
                                .temperature = g->options->temperature,
                                .n_top = g->options->n_top,
                                .spill = g->options->spill};
    return SEMCAL_OK;
}

static semcal_status add_child(sc_generator *g, const sc_generate_entry *child, semcal_error *error)
{
    semcal_status status =
        sc_memory_grow(&g->children, &g->children_capacity, g->n_children + 1, sizeof *g->children, error);
    status |= sc_memory_grow(&g->parents_of, &g->parents_capacity, g->n_children + 1, sizeof *g->parents_of, error);
    status |= sc_memory_grow(&g->tokens_of, &g->tokens_capacity, g->n_children + 1, sizeof *g->tokens_of, error);
    if (status != SEMCAL_OK) {
        return SEMCAL_E_MEMORY;
    }
    g->children[g->n_children++] = *child;
    return SEMCAL_OK;
}

static int compare_taken(const void *a, const void *b)
{
    const sc_generate_taken *x = a, *y = b;
    int by_token = (x->token > y->token) - (x->token < y->token);
    return by_token != 0 ? by_token : (x->draw > y->draw) - (x->draw < y->draw);
}

/* Sorts a segment of draws by token, then by draw, so that draws which go on together are neighbours. */
static semcal_status group_by_token(sc_generator *g, int32_t *order, size_t at, size_t n, semcal_error *error)
{
    semcal_status status = sc_memory_grow(&g->taken, &g->taken_capacity, n, sizeof *g->taken, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    for (size_t j = 0; j < n; j++) {
        g->taken[j] = (sc_generate_taken){order[j], g->result.token[at + j], g->result.logprob[at + j],
                                          g->result.logprob_raw[at + j]};
    }
    qsort(g->taken, n, sizeof *g->taken, compare_taken);
    for (size_t j = 0; j < n; j++) {
        order[j] = g->taken[j].draw;
        g->result.token[at + j] = g->taken[j].token;
        g->result.logprob[at + j] = g->taken[j].logprob;
        g->result.logprob_raw[at + j] = g->taken[j].logprob_raw;
    }
    return SEMCAL_OK;
}

/* Draws [begin, end) of entry `e` took `token`: they end here or go on as a child. */
static semcal_status take_token(sc_generator *g, size_t i, size_t begin, size_t end, int32_t token, double logprob,
                                double logprob_raw, bool *reference_taken, semcal_error *error)
{
    const sc_generate_entry *e = &g->batch[i];
    sc_generate_active *question = e->question;
    sc_generate_entry child = *e;
    child.node = -1;
    child.depth = e->depth + 1;
    child.begin = begin;
    child.end = end;
    semcal_status status = sc_tree_raw_add(&question->raw, &child.raw, e->raw, token, logprob, logprob_raw, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    int finish = sc_ending_extend(&child.tail, &g->options->ending, g->source,
                                  (uint32_t)question->question.n_given + e->depth, token);
    if (finish >= 0) {
        for (size_t j = begin; j < end; j++) {
            question->leaf[question->order[j]] = child.raw;
            question->finish[question->order[j]] = (uint8_t)finish;
        }
        return SEMCAL_OK;
    }
    child.on_reference = e->on_reference && question->question.reference[e->depth] == token &&
                         child.depth < question->question.n_reference;
    *reference_taken = *reference_taken || child.on_reference;
    return add_child(g, &child, error);
}

/* Scores the reference's next token and, when no draw follows it, goes on alone. */
static semcal_status follow_reference(sc_generator *g, size_t i, bool reference_taken, semcal_error *error)
{
    const sc_generate_entry *e = &g->batch[i];
    const sc_generate_question *question = &e->question->question;
    double logprob = g->result.target_logprob_raw[i];
    e->question->logprob_reference += logprob;
    if (reference_taken || e->depth + 1 >= question->n_reference || logprob == -INFINITY) {
        return SEMCAL_OK;
    }
    sc_generate_entry child = *e;
    child.node = -1;
    child.depth = e->depth + 1;
    child.begin = child.end = e->begin;
    semcal_status status = sc_tree_raw_add(&e->question->raw, &child.raw, e->raw, question->reference[e->depth],
                                           g->result.target_logprob[i], logprob, error);
    return status == SEMCAL_OK ? add_child(g, &child, error) : status;
}

static semcal_status take_laws(sc_generator *g, size_t i, semcal_error *error)
{
    const sc_generate_entry *e = &g->batch[i];
    sc_generate_active *question = e->question;
    size_t at = g->first_draw[i], n = e->end - e->begin, n_top = g->options->n_top;
    bool reference_taken = false;
    semcal_status status = SEMCAL_OK;
    size_t children_before = g->n_children;
    if (n > 0) {
        question->n_laws++;
        g->counters.n_laws++;
        g->counters.n_draw_tokens += n;
        status = sc_tree_raw_set_law(&question->raw, e->raw, g->result.entropy[i], g->result.log_normalizer[i],
                                     g->result.top_token + i * n_top, g->result.top_logprob + i * n_top,
                                     g->result.logits != NULL ? g->result.logits[i] : -1, error);
        if (g->result.logits != NULL) {
            g->result.logits[i] = -1;
        }
        if (status == SEMCAL_OK) {
            status = group_by_token(g, question->order + e->begin, at, n, error);
        }
    }
    for (size_t j = 0; j < n && status == SEMCAL_OK;) {
        size_t k = j;
        int32_t token = g->result.token[at + j];
        while (k < n && g->result.token[at + k] == token) {
            k++;
        }
        status = take_token(g, i, e->begin + j, e->begin + k, token, g->result.logprob[at + j],
                            g->result.logprob_raw[at + j], &reference_taken, error);
        j = k;
    }
    if (status == SEMCAL_OK && e->on_reference) {
        status = follow_reference(g, i, reference_taken, error);
    }
    for (size_t k = children_before; k < g->n_children && status == SEMCAL_OK; k++) {
        g->parents_of[k] = e->node;
        g->tokens_of[k] = question->raw.nodes[g->children[k].raw].token;
    }
    return status;
}

/* Extends the parents by their children's tokens as far as there is room, gives the parents back, and closes the
 * questions that have nothing left. */
static semcal_status settle(sc_generator *g, semcal_error *error)
{
    size_t room = g->live_nodes == 0 ? g->n_children : g->live_nodes - g->n_live;
    size_t n = g->n_children < room ? g->n_children : room;
    semcal_status status = sc_memory_grow(&g->made, &g->made_capacity, n, sizeof *g->made, error);
    if (status == SEMCAL_OK && n > 0) {
        g->source->failed = SC_SOURCE_NONE;
        status = g->source->functions->extend(g->source, g->made, n, g->parents_of, g->tokens_of, error);
        if (status != SEMCAL_OK && g->source->failed < n) {
            name_question(&g->children[g->source->failed], error);
        }
        for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
            g->children[i].node = g->made[i];
        }
        g->n_live += status == SEMCAL_OK ? n : 0;
    }
    g->source->functions->release(g->source, g->n_batch, g->nodes);
    g->n_live -= g->n_batch;
    for (size_t i = 0; i < g->n_children; i++) {
        if (status == SEMCAL_OK) {
            status = sc_generate_push(g, &g->children[i], error);
        }
    }
    for (size_t i = 0; i < g->n_batch; i++) {
        sc_generate_active *question = g->batch[i].question;
        if (--question->n_open == 0 && status == SEMCAL_OK) {
            status = sc_generate_finish(g, question, error);
        }
    }
    g->n_batch = 0;
    g->n_children = 0;
    return status;
}

/* After a call for which the memory did not suffice: the batch goes back, and only half of the nodes stay alive; the
 * others become paths, to be opened again when it is their turn. False when a single node was too much. */
static bool shrink(sc_generator *g)
{
    if (g->n_live <= 1 || sc_memory_grow(&g->frontier, &g->frontier_capacity, g->n_frontier + g->n_batch,
                                         sizeof *g->frontier, NULL) != SEMCAL_OK) {
        return false;
    }
    for (size_t i = g->n_batch; i-- > 0;) { /* the batch was taken from the end */
        g->frontier[g->n_frontier++] = g->batch[i];
    }
    g->n_batch = 0;
    g->live_nodes = g->n_live / 2;
    for (size_t i = 0; i < g->n_frontier && g->n_live > g->live_nodes; i++) {
        if (g->frontier[i].node >= 0) {
            g->source->functions->release(g->source, 1, &g->frontier[i].node);
            g->frontier[i].node = -1;
            g->n_live--;
        }
    }
    return true;
}

/* Whole laws of the last call that went into no tree: those of a call that failed, and of the reference alone. */
static void drop_logits(sc_generator *g)
{
    for (size_t i = 0; g->result.logits != NULL && i < g->batch_nodes; i++) {
        sc_spill_drop(g->options->spill, g->result.logits[i]);
        g->result.logits[i] = -1;
    }
}

static semcal_status step(sc_generator *g, semcal_error *error)
{
    semcal_status status = take_batch(g, error);
    if (status == SEMCAL_OK) {
        status = open_paths(g, error);
    }
    sc_law_request request;
    if (status == SEMCAL_OK) {
        status = make_request(g, &request, error);
    }
    if (status == SEMCAL_OK) {
        semcal_error why = SEMCAL_ERROR_INIT;
        g->source->failed = SC_SOURCE_NONE;
        status = g->source->functions->laws(g->source, &request, &g->result, &why);
        g->counters.n_calls++;
        if (status != SEMCAL_OK) {
            drop_logits(g);
        }
        if (status != SEMCAL_OK && g->source->facts.out_of_memory && shrink(g)) {
            return SEMCAL_OK; /* the next step tries with fewer */
        }
        if (status != SEMCAL_OK && g->source->failed < g->n_batch) {
            name_question(&g->batch[g->source->failed], &why);
        }
        if (status != SEMCAL_OK) {
            return sc_error_set(error, status, "%s", why.message);
        }
    }
    for (size_t i = 0; i < g->n_batch && status == SEMCAL_OK; i++) {
        status = take_laws(g, i, error);
    }
    drop_logits(g);
    return status == SEMCAL_OK ? settle(g, error) : status;
}

/* ---- the whole ---- */

static semcal_status check_options(const sc_generate_options *o, semcal_error *error)
{
    if (o->n_draws < 1 || !(o->temperature > 0) || !isfinite(o->temperature)) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "sampling: draws must be >= 1 and temperature > 0");
    }
    return sc_ending_check(&o->ending, error);
}

static semcal_status allocate(sc_generator *g, semcal_error *error)
{
    size_t n = g->batch_nodes, n_top = g->options->n_top;
    g->nodes = sc_memory_alloc(n, sizeof *g->nodes, error);
    g->first_draw = sc_memory_alloc(n + 1, sizeof *g->first_draw, error);
    g->target = sc_memory_alloc(n, sizeof *g->target, error);
    g->result.log_normalizer = sc_memory_alloc(n, sizeof(double), error);
    g->result.entropy = sc_memory_alloc(n, sizeof(double), error);
    g->result.target_logprob = sc_memory_alloc(n, sizeof(double), error);
    g->result.target_logprob_raw = sc_memory_alloc(n, sizeof(double), error);
    g->result.top_token = sc_memory_alloc(n * n_top, sizeof(int32_t), error);
    g->result.top_logprob = sc_memory_alloc(n * n_top, sizeof(double), error);
    if (g->options->spill != NULL) {
        g->result.logits = sc_memory_alloc(n, sizeof *g->result.logits, error);
        for (size_t i = 0; g->result.logits != NULL && i < n; i++) {
            g->result.logits[i] = -1;
        }
    }
    bool complete = g->nodes && g->first_draw && g->target && g->result.log_normalizer && g->result.entropy &&
                    g->result.target_logprob && g->result.target_logprob_raw && g->result.top_token &&
                    g->result.top_logprob && (g->options->spill == NULL || g->result.logits);
    return complete ? SEMCAL_OK : SEMCAL_E_MEMORY;
}

static void drop(sc_generator *g)
{
    for (size_t i = 0; i < g->n_frontier; i++) {
        if (g->frontier[i].node >= 0) {
            g->source->functions->release(g->source, 1, &g->frontier[i].node);
        }
    }
    for (size_t i = 0; i < g->n_batch; i++) {
        if (g->batch[i].node >= 0) {
            g->source->functions->release(g->source, 1, &g->batch[i].node);
        }
    }
    while (g->n_actives > 0) {
        sc_generate_active_free(g->actives[--g->n_actives]);
    }
    free(g->frontier);
    free(g->actives);
    free(g->batch);
    free(g->nodes);
    free(g->first_draw);
    free(g->target);
    free(g->uniform);
    free(g->result.log_normalizer);
    free(g->result.entropy);
    free(g->result.target_logprob);
    free(g->result.target_logprob_raw);
    free(g->result.top_token);
    free(g->result.top_logprob);
    free(g->result.token);
    free(g->result.logprob);
    free(g->result.logprob_raw);
    free(g->result.logits);
    free(g->children);
    free(g->parents_of);
    free(g->made);
    free(g->tokens_of);
    free(g->taken);
}

semcal_status sc_generate(sc_source *source, const sc_generate_options *options, const sc_generate_callbacks *callbacks,
                          void *payload, semcal_error *error)
{
    semcal_status status = check_options(options, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    sc_generator g = {.source = source, .options = options, .callbacks = callbacks, .payload = payload};
    size_t live = 0, batch = 0;
    const sc_limits_plan plan = {options->max_prompt, options->ending.max_tokens, (size_t)options->n_draws + 1};
    source->functions->limits(source, &plan, &live, &batch);
    g.live_nodes = options->live_nodes > 0 && (live == 0 || options->live_nodes < live) ? options->live_nodes : live;
    g.batch_nodes = options->batch_nodes > 0 ? options->batch_nodes : batch > 0 ? batch : DEFAULT_BATCH;
    status = allocate(&g, error);
    while (status == SEMCAL_OK) {
        status = sc_generate_admit_more(&g, error);
        if (status != SEMCAL_OK || g.n_frontier == 0) {
            break;
        }
        status = step(&g, error);
        if (status == SEMCAL_OK && callbacks->progress != NULL && callbacks->progress(&g.counters, payload)) {
            status = SEMCAL_INTERRUPTED;
        }
    }
    drop(&g);
    return status;
}
